//! The administration shapes: the demo's document, short documents, and what is refused in a desired state.

use proptest::prelude::proptest;
use serde_json::{Value, json};
use vouchsafe_wire::admin::{
    Action, ApplyReport, ApplyRequest, AuditTail, Change, ClientSecret, ClientSecretRequest, DEFAULT_GROUP,
    DesiredState, Endpoints, Kind, Principal, Problem, Scope, SecretWrite, Sku, Status,
};
use vouchsafe_wire::json::{Budget, parse};
use vouchsafe_wire::secret_text::SecretText;

const BUDGET: Budget = Budget::new(1 << 20);
const DEMO: &str = include_str!("../../../examples/demo.yaml");

fn from_yaml(text: &str) -> Result<DesiredState, String> {
    serde_saphyr::from_str(text).map_err(|error| error.to_string())
}

fn refusal(state: &Value) -> String {
    parse::<DesiredState>(state.to_string().as_bytes(), &BUDGET).expect_err("refused").to_string()
}

#[test]
fn the_demo_is_a_desired_state() {
    let state = from_yaml(DEMO).unwrap();
    assert_eq!(state.groups[0].name, "demo");
    assert_eq!((state.vaults[0].name.as_str(), state.vaults[0].resource_group.as_str()), ("app", "demo"));
    let identities: Vec<&str> = state.identities.iter().map(|identity| identity.name.as_str()).collect();
    assert_eq!(identities, ["reader", "stranger"]);
    assert!(state.identities.iter().all(|identity| identity.bindings.is_empty()));
    let [assignment] = state.role_assignments.as_slice() else { panic!("one assignment") };
    assert_eq!(assignment.principal, Principal::Identity("reader".to_owned()));
    assert_eq!(assignment.role, "Key Vault Secrets User");
    assert_eq!(assignment.scope, Scope::Vault("app".to_owned()));
}

#[test]
fn the_smallest_document_is_short() {
    let state = from_yaml("vaults: [{name: app}]\nidentities: [{name: reader}]\n").unwrap();
    let vault = &state.vaults[0];
    assert_eq!((vault.resource_group.as_str(), vault.retention_days), (DEFAULT_GROUP, 90));
    assert!(!vault.purge_protection && vault.location.is_none() && vault.tenant.is_none());
    assert_eq!(from_yaml("{}").unwrap(), DesiredState::default());
}

#[test]
fn a_full_document_travels_from_yaml_through_json_unchanged() {
    let state = from_yaml(
        r"
tenants:
  - name: Contoso
    id: 11111111-1111-1111-1111-111111111111
    domains: [contoso.localhost]
    subscription: {id: 22222222-2222-2222-2222-222222222222, name: Main}
groups: [{name: g, location: westus, tags: {a: b}, tenant: Contoso}]
vaults: [{name: v, resource_group: g, purge_protection: true, retention_days: 7, sku: premium, location: l, tenant: Contoso}]
identities:
  - name: worker
    resource_group: g
    bindings:
      - {uid: 1000, path: /usr/bin/app}
      - {gid: 5, sha256: 00ff, unit: app.service}
applications:
  - {name: ci, client_id: 33333333-3333-3333-3333-333333333333, certificates: ['-----BEGIN CERTIFICATE-----']}
custom_roles: [{name: Lister, description: d, data_actions: ['*/read'], not_data_actions: [x], actions: [a]}]
role_assignments:
  - {identity: worker, role: Lister, scope: subscription}
  - {application: ci, role: Lister, scope: {resource_group: g}}
  - {principal_id: p, role: Lister, scope: {secret: {vault: v, name: db}}, tenant: Contoso}
",
    )
    .unwrap();
    assert_eq!(state.vaults[0].sku, Some(Sku::Premium));
    assert_eq!(state.identities[0].bindings[0].uid, Some(1000));
    assert_eq!(state.role_assignments[0].scope, Scope::Subscription);
    assert_eq!(state.role_assignments[1].principal, Principal::Application("ci".to_owned()));
    let secret = Scope::Secret { vault: "v".to_owned(), name: "db".to_owned() };
    assert_eq!(state.role_assignments[2].scope, secret);

    let request = ApplyRequest { dry_run: true, state };
    let body = serde_json::to_vec(&request).unwrap();
    assert_eq!(parse::<ApplyRequest>(&body, &BUDGET), Ok(request));
}

#[test]
fn what_is_wrong_in_itself_is_refused_by_member() {
    let assignment = |who: Value, scope: Value| {
        let mut entry = json!({"role": "r", "scope": scope});
        entry.as_object_mut().expect("an object").extend(who.as_object().expect("an object").clone());
        json!({ "role_assignments": [entry] })
    };
    let reader = json!({"identity": "reader"});
    for (state, message) in [
        (json!({"vault": []}), "the member `vault` is unknown; known here: "),
        (json!({"vaults": [{"nmae": "x"}]}), "the member `vaults[0].nmae` is unknown; known here: `name`"),
        (json!({"vaults": [{}]}), "the member `vaults[0].name` is missing"),
        (json!({"vaults": {"name": "x"}}), "the member `vaults` must be a list, not an object"),
        (
            json!({"vaults": [{"name": "x", "retention_days": "90"}]}),
            "the member `vaults[0].retention_days` must be a whole number from 0 to 4294967295, not text",
        ),
        (
            json!({"identities": [{"name": "x", "bindings": [{}]}]}),
            "the member `identities[0].bindings[0]` must say at least one of `uid`",
        ),
        (
            json!({"identities": [{"name": "x", "bindings": [{"uid": null}]}]}),
            "the member `identities[0].bindings[0]` must say at least one of `uid`",
        ),
        (
            json!({"identities": [{"name": "x", "bindings": [{"user": 1}]}]}),
            "the member `identities[0].bindings[0].user` is unknown",
        ),
        (
            assignment(json!({}), json!("subscription")),
            "the member `role_assignments[0]` must say exactly one of `identity`, `application`, `group`, `principal_id`",
        ),
        (
            assignment(json!({"identity": "a", "application": "b"}), json!("subscription")),
            "the member `role_assignments[0]` must say exactly one of",
        ),
        (
            assignment(reader.clone(), json!({"vualt": "app"})),
            "the member `role_assignments[0].scope` must be one of `subscription`, `resource_group`, `vault`, `secret`",
        ),
        (
            assignment(reader.clone(), json!({"vault": "app", "secret": "x"})),
            "the member `role_assignments[0].scope` must have exactly one member",
        ),
        (
            assignment(reader.clone(), json!({"secret": {"vault": "app"}})),
            "the member `role_assignments[0].scope.secret.name` is missing",
        ),
        (
            json!({"role_assignments": [{"identity": "a", "role": "r"}]}),
            "the member `role_assignments[0].scope` is missing",
        ),
    ] {
        let refusal = refusal(&state);
        assert!(refusal.starts_with(message), "{refusal}\n  instead of\n{message}");
    }
}

#[test]
fn yaml_refuses_the_same_and_says_where() {
    for text in ["vaults: [{name: app, nmae: x}]", "identities:\n  - name: a\n    bindings: [{}]\n"] {
        let refusal = from_yaml(text).unwrap_err();
        assert!(refusal.contains("line"), "{refusal}");
    }
}

#[test]
fn answers_have_snake_case_names() {
    let change = |kind, action| Change { kind, name: "n".to_owned(), action, details: Vec::new() };
    let report = ApplyReport {
        dry_run: false,
        changes: vec![
            change(Kind::ResourceGroup, Action::Created),
            Change { details: vec!["retention_days: 90".to_owned()], ..change(Kind::Vault, Action::Updated) },
            change(Kind::RoleAssignment, Action::Unchanged),
        ],
    };
    assert_eq!(
        serde_json::to_value(report).unwrap(),
        json!({"dry_run": false, "changes": [
            {"kind": "resource_group", "name": "n", "action": "created"},
            {"kind": "vault", "name": "n", "action": "updated", "details": ["retention_days: 90"]},
            {"kind": "role_assignment", "name": "n", "action": "unchanged"},
        ]})
    );
    let endpoints = json!({
        "authority": "a", "tenant": "t", "arm": "r", "graph": "g", "vault_suffix": "vault.localhost:8443",
        "imds": "i", "proxy": "p", "ca_file": "c", "ca_bundle": "b", "admin_socket": "s", "data": "d"
    });
    let read: Endpoints = parse(endpoints.to_string().as_bytes(), &BUDGET).unwrap();
    assert_eq!(serde_json::to_value(read).unwrap(), endpoints);
    let status = json!({
        "version": "0.1.0", "ready": true, "started_at": "2026-01-01T00:00:00Z", "endpoints": endpoints,
        "log": {"size": 3, "checkpoint_size": 2, "verifier": "v"},
        "clock": {"standing": "behind", "seconds": 61, "now": "2026-01-01T00:00:01Z"}
    });
    let read: Status = parse(status.to_string().as_bytes(), &BUDGET).unwrap();
    assert_eq!(serde_json::to_value(read).unwrap(), status);
    let tail = json!({"next": 2, "entries": [
        {"position": 0, "time": "t", "phase": "event", "request": "r", "action": "a", "resource": "/s",
            "subject": {"tenant": "t", "oid": "o", "by": "bearer"}, "outcome": "denied", "reason": "no_assignment"},
        {"position": 1, "time": "t", "phase": "intent", "request": "r", "action": "a", "resource": "/s",
            "subject": {"by": "kernel"}, "from": "uid 0 pid 7"},
    ]});
    let read: AuditTail = parse(tail.to_string().as_bytes(), &BUDGET).unwrap();
    assert_eq!(serde_json::to_value(read).unwrap(), tail);
}

#[test]
fn a_bad_body_becomes_a_problem_with_its_field() {
    let bad = parse::<DesiredState>(br#"{"vaults":[{"name":7}]}"#, &BUDGET).unwrap_err();
    assert_eq!(
        serde_json::to_value(Problem::from(&bad)).unwrap(),
        json!({"code": "bad_body", "field": "vaults[0].name",
            "message": "the member `vaults[0].name` must be text, not a number"})
    );
    let bad = parse::<DesiredState>(b"", &BUDGET).unwrap_err();
    assert_eq!(Problem::from(&bad).field, None);
}

#[test]
fn secrets_travel_through_their_own_writers_only() {
    let write = SecretWrite { value: SecretText::new("v\"\n".to_owned()), content_type: None };
    assert_eq!(serde_json::from_slice::<Value>(&write.to_json()).unwrap(), json!({"value": "v\"\n"}));
    let read: SecretWrite = parse(&write.to_json(), &BUDGET).unwrap();
    assert_eq!(read.value.expose(), "v\"\n");

    let request: ClientSecretRequest = parse(br#"{"application":"ci"}"#, &BUDGET).unwrap();
    assert_eq!((request.lifetime_days, request.tenant), (None, None));
    let answer = ClientSecret {
        client_id: "c".to_owned(),
        key_id: "k".to_owned(),
        secret: SecretText::new("s".to_owned()),
        expires_at: "2027-01-01T00:00:00Z".to_owned(),
    };
    let read: ClientSecret = parse(&answer.to_json(), &BUDGET).unwrap();
    assert_eq!(read.secret.expose(), "s");
    // Key Vault reads this body, so it must be in Key Vault's words.
    let write = SecretWrite { value: SecretText::new("v".to_owned()), content_type: Some("text".to_owned()) };
    assert_eq!(write.to_json().as_slice(), br#"{"value":"v","contentType":"text"}"#);
}

proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic(body: Vec<u8>) {
        let _ = parse::<ApplyRequest>(&body, &BUDGET);
    }
}

//! Nothing crosses from one tenant to another, and nothing from one vault to its neighbour: every request that the one
//! makes is replayed by the other, is refused, and is answered in the very words that names have which do not exist.

mod support;

use std::collections::BTreeSet;

use rcgen::{CertificateParams, KeyPair};
use serde_json::json;
use support::{Answer, Ask, HOST, InProcess, TLS};
use vouchsafe_crypto::jose::{Algorithm, KeyKind, SigningKey, azure_assertion};
use vouchsafe_crypto::x509::Certificate;
use vouchsafe_crypto::{Reason, SecretBytes};
use vouchsafe_domain::access::built_in;
use vouchsafe_domain::directory::ApplicationToPut;
use vouchsafe_domain::ids::{ClientId, ObjectName, PrincipalId, TenantId, VaultName};
use vouchsafe_domain::ports::Clock;
use vouchsafe_domain::resource::VaultToPut;
use vouchsafe_domain::resource::scope::Scope;
use vouchsafe_server::assemble::routes;
use vouchsafe_server::http::route::Guard;
use vouchsafe_testkit::world::{KEY_VAULT, ORIGIN};

/// A certificate and its key.
struct Signer {
    certificate: Certificate,
    key: SigningKey,
}

impl Signer {
    fn new() -> Self {
        let pair = KeyPair::generate().expect("a key");
        let certificate = CertificateParams::default().self_signed(&pair).expect("a certificate");
        let pkcs8 = SecretBytes::new(pair.serialize_der());
        Self {
            certificate: Certificate::from_der(certificate.der()).expect("a certificate"),
            key: SigningKey::from_pkcs8(KeyKind::P256, &pkcs8).expect("a key"),
        }
    }

    fn thumbprints(&self) -> [String; 2] {
        let sha256 = self.certificate.sha256();
        [data_encoding::HEXUPPER.encode(&sha256), data_encoding::HEXLOWER.encode(&sha256)]
    }

    fn assertion(&self, world: &InProcess, client: &str, tenant: &str) -> String {
        let now = world.opened.clock.now().seconds();
        let audience = format!("{ORIGIN}/{tenant}/oauth2/v2.0/token");
        let claims =
            json!({"aud": audience, "iss": client, "sub": client, "jti": "1", "nbf": now, "exp": now + 600});
        azure_assertion::sign(&self.key, Algorithm::Es256, &self.certificate.sha256(), &claims)
            .expect("signed")
    }
}

/// A tenant with an application that may do everything in its subscription, and two vaults.
struct Tenant {
    name: &'static str,
    id: TenantId,
    subscription: String,
    client: ClientId,
    principal: PrincipalId,
    signer: Signer,
    secret: String,
}

impl Tenant {
    async fn found(world: &InProcess, name: &'static str) -> Self {
        let opened = &world.opened;
        let id = opened.found_tenant(name).await;
        let (context, caller, signer) = (opened.context(), opened.administrator(id), Signer::new());
        let wanted = ApplicationToPut {
            display_name: format!("{name}-application"),
            certificates: vec![signer.certificate.clone()],
            ..ApplicationToPut::default()
        };
        let put = opened.platform.put_application(&context, &caller, id, &wanted).await;
        let (_, application, principal) = put.expect("an application");
        let client = application.client;
        let secret = opened.platform.generate_client_secret(&context, &caller, id, client, None).await;
        let secret = secret.expect("a secret").value.expose(Reason::Test).to_owned();
        let subscription = opened.subscription(id);
        for role in [built_in::OWNER, built_in::KEY_VAULT_ADMINISTRATOR] {
            opened.assign(id, role, principal.id, Scope::of_subscription(subscription)).await;
        }
        let subscription = subscription.to_string();
        Self { name, id, subscription, client, principal: principal.id, signer, secret }
    }

    fn token_path(&self) -> String {
        format!("/{}/oauth2/v2.0/token", self.id)
    }

    fn with_secret(&self, resource: &str) -> Ask {
        token_request(&self.token_path(), &self.client.to_string(), resource)
            .appended(&format!("&client_secret={}", self.secret))
    }

    fn with_certificate(&self, world: &InProcess, resource: &str) -> Ask {
        let client = self.client.to_string();
        let assertion = self.signer.assertion(world, &client, &self.id.to_string());
        token_request(&self.token_path(), &client, resource).appended(&by_assertion(&assertion))
    }

    async fn token(&self, world: &InProcess, resource: &str) -> String {
        let answer = world.ask(TLS, &self.with_secret(resource)).await;
        answer.json()["access_token"].as_str().unwrap_or_else(|| panic!("{answer:?}")).to_owned()
    }

    fn vault_host(&self, number: &str) -> String {
        format!("{}-{number}.vault.localhost:8443", self.name)
    }
}

fn token_request(path: &str, client: &str, resource: &str) -> Ask {
    let form = format!("grant_type=client_credentials&client_id={client}&scope={resource}/.default");
    Ask::new("POST", HOST, path).body(form)
}

fn by_assertion(assertion: &str) -> String {
    let kind = "urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer";
    format!("&client_assertion={assertion}&client_assertion_type={kind}")
}

impl Ask {
    fn appended(mut self, text: &str) -> Self {
        self.body += text;
        self
    }

    fn is_of_a_vault(&self) -> bool {
        self.host != HOST
    }
}

/// What an answer says, without what differs from request to request.
fn said(answer: &Answer) -> (u16, Vec<(String, String)>, String) {
    let mut headers: Vec<(String, String)> = Vec::new();
    let mut body = answer.body.clone();
    for (name, value) in &answer.headers {
        let value = value.to_str().expect("text").to_owned();
        if name.as_str().ends_with("request-id") {
            body = body.replace(&value, "ID");
        } else {
            headers.push((name.to_string(), value));
        }
    }
    headers.sort();
    (answer.status, headers, body)
}

/// An answer with the names put back that stood for those that do not exist.
fn said_of_ghosts(answer: &Answer, ghosts: &[(String, String)]) -> (u16, Vec<(String, String)>, String) {
    let back = |text: String| ghosts.iter().fold(text, |text, (name, ghost)| text.replace(ghost, name));
    let (status, headers, body) = said(answer);
    (status, headers.into_iter().map(|(name, value)| (name, back(value))).collect(), back(body))
}

/// Everything a tenant does, each request with its answer.
struct Scenario<'w> {
    world: &'w InProcess,
    tokens: [String; 2],
    tape: Vec<(Ask, Answer)>,
}

impl Scenario<'_> {
    fn token_for(&self, ask: &Ask) -> &str {
        if ask.is_of_a_vault() { &self.tokens[1] } else { &self.tokens[0] }
    }

    async fn ask(&mut self, ask: Ask) -> Answer {
        let answer = self.world.ask(TLS, &ask.clone().bearer(self.token_for(&ask))).await;
        assert!((200..300).contains(&answer.status), "{ask:?} {answer:?}");
        self.tape.push((ask, answer.clone()));
        answer
    }

    async fn on(&mut self, method: &str, host: &str, path: &str, body: serde_json::Value) -> Answer {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.ask(Ask::new(method, host, path).body(body)).await
    }

    async fn read(&mut self, path: &str) -> Answer {
        self.on("GET", HOST, path, json!(null)).await
    }
}

const ASSIGNMENT: &str = "aaaaaaaa-0000-4000-8000-000000000001";
const ROLE: &str = "aaaaaaaa-0000-4000-8000-000000000002";

/// All operations of Resource Manager that are served, on names that begin with `alpha`.
async fn control_plane(tape: &mut Scenario<'_>, tenant: &Tenant) {
    let subscription = format!("/subscriptions/{}", tenant.subscription);
    let group = format!("{subscription}/resourceGroups/alpha-rg");
    tape.on("PUT", HOST, &group, json!({"location": "local", "tags": {"alpha-tag": "1"}})).await;
    tape.on("HEAD", HOST, &group, json!(null)).await;
    let empty = format!("{subscription}/resourceGroups/alpha-empty");
    tape.on("PUT", HOST, &empty, json!({"location": "local"})).await;
    tape.on("DELETE", HOST, &empty, json!(null)).await;
    let vault_body = json!({"location": "local", "properties": {
        "tenantId": tenant.id.to_string(), "sku": {"family": "A", "name": "standard"}}});
    let vaults = format!("{group}/providers/Microsoft.KeyVault/vaults");
    for name in ["alpha-one", "alpha-two", "alpha-old", "alpha-gone"] {
        tape.on("PUT", HOST, &format!("{vaults}/{name}"), vault_body.clone()).await;
    }
    let check = format!("{subscription}/providers/Microsoft.KeyVault/checkNameAvailability");
    tape.on("POST", HOST, &check, json!({"name": "alpha-one", "type": "Microsoft.KeyVault/vaults"})).await;
    let identities = format!("{group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities");
    for name in ["alpha-worker", "alpha-leaver"] {
        tape.on("PUT", HOST, &format!("{identities}/{name}"), json!({"location": "local"})).await;
    }
    tape.on("PATCH", HOST, &format!("{identities}/alpha-worker"), json!({"tags": {"alpha-tag": "2"}})).await;
    tape.on("DELETE", HOST, &format!("{identities}/alpha-leaver"), json!(null)).await;
    let roles = format!("{subscription}/providers/Microsoft.Authorization/roleDefinitions");
    let role = json!({"properties": {"roleName": "alpha-role", "assignableScopes": [&subscription],
        "permissions": [{"actions": ["*/read"], "notActions": [], "dataActions": [], "notDataActions": []}]}});
    let spare = format!("{roles}/{}", ROLE.replace("0002", "0003"));
    tape.on("PUT", HOST, &format!("{roles}/{ROLE}"), role.clone()).await;
    let other = serde_json::from_str(&role.to_string().replace("alpha-role", "alpha-spare")).expect("JSON");
    tape.on("PUT", HOST, &spare, other).await;
    tape.on("DELETE", HOST, &spare, json!(null)).await;
    let worker = tape.read(&format!("{identities}/alpha-worker")).await.json();
    let principal = worker["properties"]["principalId"].as_str().expect("an id").to_owned();
    let assignments = "providers/Microsoft.Authorization/roleAssignments";
    let assignment =
        json!({"properties": {"roleDefinitionId": format!("{roles}/{ROLE}"), "principalId": principal}});
    for (scope, id) in [(&group, ASSIGNMENT.to_owned()), (&subscription, ASSIGNMENT.replace("0001", "0009"))]
    {
        tape.on("PUT", HOST, &format!("{scope}/{assignments}/{id}"), assignment.clone()).await;
    }
    let second = format!("{subscription}/{assignments}/{}", ASSIGNMENT.replace("0001", "0009"));
    tape.on("DELETE", HOST, &second, json!(null)).await;
    for gone in ["alpha-old", "alpha-gone"] {
        tape.on("DELETE", HOST, &format!("{vaults}/{gone}"), json!(null)).await;
    }
    let deleted = format!("{subscription}/providers/Microsoft.KeyVault/locations/local/deletedVaults");
    tape.on("POST", HOST, &format!("{deleted}/alpha-gone/purge"), json!(null)).await;
    let provider = format!("{subscription}/providers/Microsoft.KeyVault");
    tape.on("POST", HOST, &format!("{provider}/register"), json!(null)).await;
    let filter =
        "%24filter=resourceType%20eq%20%27Microsoft.KeyVault/vaults%27%20and%20name%20eq%20%27alpha-one%27";
    for path in [
        "/tenants".to_owned(),
        "/subscriptions".to_owned(),
        subscription.clone(),
        format!("{subscription}/locations"),
        format!("{subscription}/resourceGroups"),
        group.clone(),
        format!("{subscription}/resources"),
        format!("{subscription}/resources?{filter}"),
        provider.clone(),
        format!("{provider}/vaults"),
        vaults.clone(),
        format!("{vaults}/alpha-one"),
        format!("{provider}/deletedVaults"),
        format!("{deleted}/alpha-old"),
        format!("{provider}/managedHSMs"),
        format!("{provider}/deletedManagedHSMs"),
        identities.clone(),
        format!("{subscription}/providers/Microsoft.ManagedIdentity/userAssignedIdentities"),
        format!("{group}/{assignments}"),
        format!("{group}/{assignments}/{ASSIGNMENT}"),
        format!("{subscription}/{assignments}?%24filter=principalId%20eq%20%27{principal}%27"),
        roles.clone(),
        format!("{roles}/{ROLE}"),
    ] {
        tape.read(&path).await;
    }
}

/// All operations on secrets, on names that begin with `alpha`.
async fn data_plane(tape: &mut Scenario<'_>, host: &str, other: &str) {
    let set = tape.on("PUT", host, "/secrets/alpha-db", json!({"value": "first", "tags": {"a": "b"}})).await;
    let id = set.json()["id"].as_str().expect("an id").to_owned();
    let version = id.rsplit('/').next().expect("a version").to_owned();
    tape.on("PUT", host, "/secrets/alpha-db", json!({"value": "second"})).await;
    tape.on("PATCH", host, "/secrets/alpha-db/", json!({"contentType": "text"})).await;
    tape.on("PATCH", host, &format!("/secrets/alpha-db/{version}"), json!({"attributes": {"exp": 1}})).await;
    let backup = tape.on("POST", host, "/secrets/alpha-db/backup", json!(null)).await.json();
    tape.on("POST", other, "/secrets/restore", json!({"value": backup["value"]})).await;
    for name in ["alpha-kept", "alpha-back", "alpha-gone"] {
        tape.on("PUT", host, &format!("/secrets/{name}"), json!({"value": name})).await;
        tape.on("DELETE", host, &format!("/secrets/{name}"), json!(null)).await;
    }
    tape.on("POST", host, "/deletedsecrets/alpha-back/recover", json!(null)).await;
    tape.on("DELETE", host, "/deletedsecrets/alpha-gone", json!(null)).await;
    for path in [
        "/secrets",
        "/secrets?maxresults=1",
        "/secrets/alpha-db",
        &format!("/secrets/alpha-db/{version}"),
        "/secrets/alpha-db/versions",
        "/deletedsecrets",
        "/deletedsecrets/alpha-kept",
    ] {
        tape.on("GET", host, path, json!(null)).await;
    }
}

/// Names of the first tenant, each with one of the same length that nothing has.
fn ghosts(tenant: &Tenant, tape: &[(Ask, Answer)]) -> Vec<(String, String)> {
    let guid = |number: u64| format!("99999999-0000-4000-8000-{number:012}");
    let mut names = vec![
        (tenant.id.to_string(), guid(1)),
        (tenant.subscription.clone(), guid(2)),
        (tenant.client.to_string(), guid(3)),
        (tenant.principal.to_string(), guid(4)),
        (ASSIGNMENT.to_owned(), guid(5)),
        (ROLE.to_owned(), guid(6)),
        ("alpha".to_owned(), "ghost".to_owned()),
    ];
    for (_, answer) in tape {
        let json = answer.json();
        if let Some(principal) = json["properties"]["principalId"].as_str() {
            names.push((principal.to_owned(), guid(7)));
        }
        let version =
            json["id"].as_str().and_then(|id| id.rsplit('/').next()).filter(|version| version.len() == 32);
        names.extend(version.map(|version| (version.to_owned(), "9".repeat(32))));
    }
    let mut seen = BTreeSet::new();
    names.retain(|(name, _)| seen.insert(name.clone()));
    names
}

struct Two {
    world: InProcess,
    alpha: Tenant,
    bravo: Tenant,
}

impl Two {
    async fn found(seed: u64) -> Self {
        let world = InProcess::found(seed).await;
        let (alpha, bravo) = (Tenant::found(&world, "alpha").await, Tenant::found(&world, "bravo").await);
        for name in ["bravo-one", "bravo-two"] {
            world.opened.put_vault(bravo.id, name, &VaultToPut::default()).await;
        }
        Self { world, alpha, bravo }
    }

    async fn tokens(&self, tenant: &Tenant) -> [String; 2] {
        [tenant.token(&self.world, ORIGIN).await, tenant.token(&self.world, KEY_VAULT).await]
    }

    async fn scenario(&self) -> Scenario<'_> {
        let tokens = self.tokens(&self.alpha).await;
        let mut scenario = Scenario { world: &self.world, tokens, tape: Vec::new() };
        control_plane(&mut scenario, &self.alpha).await;
        let (one, two) = (self.alpha.vault_host("one"), self.alpha.vault_host("two"));
        data_plane(&mut scenario, &one, &two).await;
        scenario
    }

    /// What a tenant sees when it reads everything it read before.
    async fn reads(&self, scenario: &Scenario<'_>) -> Vec<(u16, Vec<(String, String)>, String)> {
        let mut seen = Vec::new();
        for (ask, _) in scenario.tape.iter().filter(|(ask, _)| ask.method == "GET") {
            let answer = self.world.ask(TLS, &ask.clone().bearer(scenario.token_for(ask))).await;
            assert_eq!(answer.status, 200, "{ask:?} {answer:?}");
            seen.push(said(&answer));
        }
        seen
    }
}

#[tokio::test]
async fn every_request_of_one_tenant_is_refused_to_the_other_and_tells_nothing() {
    let two = Two::found(21).await;
    let scenario = two.scenario().await;
    let covered: BTreeSet<_> = scenario.tape.iter().filter_map(|(ask, _)| two.world.route(ask)).collect();
    let guarded: BTreeSet<_> =
        routes().iter().filter(|route| route.guard == Guard::Bearer).map(|route| route.name).collect();
    assert_eq!(covered, guarded, "the scenario must use every route that takes a token");

    let ghosts = ghosts(&two.alpha, &scenario.tape);
    let strangers = two.tokens(&two.bravo).await;
    // Tokens that are good at home, and remembered as good, when they come to the wrong door.
    for (token, home) in strangers.iter().zip([
        Ask::new("GET", HOST, &format!("/subscriptions/{}/resourceGroups", two.bravo.subscription)),
        Ask::new("GET", &two.bravo.vault_host("one"), "/secrets"),
    ]) {
        assert_eq!(two.world.ask(TLS, &home.bearer(token)).await.status, 200);
    }
    let before = two.reads(&scenario).await;
    let commits = two.world.opened.store.commits();
    let mut own = Vec::new();
    for (ask, _) in &scenario.tape {
        let token = if ask.is_of_a_vault() { &strangers[1] } else { &strangers[0] };
        let answer = two.world.ask(TLS, &ask.clone().bearer(token)).await;
        // A vault's host is a name in the DNS: who asks it may know that it is there. What is in it must not show.
        let mut ghost = ask.renamed(&ghosts);
        ghost.host.clone_from(&ask.host);
        let of_ghost = two.world.ask(TLS, &ghost.bearer(token)).await;
        assert_eq!(said(&answer), said_of_ghosts(&of_ghost, &ghosts), "{ask:?}");
        if ask.is_of_a_vault() {
            let challenge =
                format!("Bearer authorization=\"{ORIGIN}/{}\", resource=\"{KEY_VAULT}\"", two.alpha.id);
            assert_eq!((answer.status, answer.challenge()), (401, Some(challenge.as_str())), "{ask:?}");
            let told = answer.json()["error"]["message"].as_str().unwrap_or_default().to_owned();
            assert!(ask.method == "HEAD" || told.starts_with("AKV10032: Invalid issuer."), "{ask:?} {told}");
        } else if ask.path.starts_with("/subscriptions/") {
            assert_eq!(answer.status, 404, "{ask:?} {answer:?}");
        } else {
            let told = ghosts.iter().find(|(name, _)| answer.body.contains(name.as_str()));
            assert_eq!(told, None, "{ask:?} {answer:?}");
            own.push(ask.path.as_str());
        }
    }
    assert_eq!(own, ["/tenants", "/subscriptions"], "only these are about whoever asks");
    assert_eq!(two.world.opened.store.commits(), commits, "a refused request changed something");
    assert_eq!(two.reads(&scenario).await, before);
    println!("{} requests replayed over {} routes", scenario.tape.len(), covered.len());
}

#[tokio::test]
async fn naming_another_tenants_things_in_ones_own_requests_tells_nothing() {
    let two = Two::found(22).await;
    let scenario = two.scenario().await;
    let ghosts = ghosts(&two.alpha, &scenario.tape);
    let tokens = two.tokens(&two.bravo).await;
    let (alpha, bravo) = (&two.alpha, &two.bravo);
    let own = format!("/subscriptions/{}", bravo.subscription);
    let foreign = format!("/subscriptions/{}", alpha.subscription);
    let authorization = format!("{own}/providers/Microsoft.Authorization");
    let worker = scenario
        .tape
        .iter()
        .find_map(|(_, answer)| answer.json()["properties"]["principalId"].as_str().map(str::to_owned));
    let worker = worker.expect("a principal");
    let reader = format!("{authorization}/roleDefinitions/{}", built_in::KEY_VAULT_READER);
    let assign = |role: &str, principal: &str| json!({"properties": {"roleDefinitionId": role, "principalId": principal}});
    let role = |scope: &str| {
        json!({"properties": {"roleName": "mine", "assignableScopes": [scope],
            "permissions": [{"actions": ["*/read"], "notActions": [], "dataActions": [], "notDataActions": []}]}})
    };
    let vault = |tenant: TenantId| {
        json!({"location": "local", "properties": {
            "tenantId": tenant.to_string(), "sku": {"family": "A", "name": "standard"}}})
    };
    let new = "bbbbbbbb-0000-4000-8000-000000000001";
    let put = |path: String, body: serde_json::Value| Ask::new("PUT", HOST, &path).body(body);
    let get = |path: String| Ask::new("GET", HOST, &path);
    let asks = [
        put(format!("{authorization}/roleAssignments/{new}"), assign(&reader, &worker)),
        put(format!("{authorization}/roleAssignments/{new}"), assign(&reader, &alpha.principal.to_string())),
        put(
            format!("{authorization}/roleAssignments/{new}"),
            assign(&format!("{authorization}/roleDefinitions/{ROLE}"), &bravo.principal.to_string()),
        ),
        put(format!("{authorization}/roleDefinitions/{new}"), role(&foreign)),
        put(
            format!("{own}/resourceGroups/rg/providers/Microsoft.KeyVault/vaults/bravo-new"),
            vault(alpha.id),
        ),
        put(
            format!("{own}/resourceGroups/alpha-rg/providers/Microsoft.KeyVault/vaults/bravo-new"),
            vault(bravo.id),
        ),
        Ask::new("DELETE", HOST, &format!("{authorization}/roleAssignments/{ASSIGNMENT}")),
        Ask::new("DELETE", HOST, &format!("{authorization}/roleDefinitions/{ROLE}")),
        get(format!("{authorization}/roleAssignments/{ASSIGNMENT}")),
        get(format!("{authorization}/roleDefinitions/{ROLE}")),
        get(format!("{authorization}/roleAssignments?%24filter=principalId%20eq%20%27{worker}%27")),
        get(format!("{authorization}/roleAssignments?%24filter=assignedTo%28%27{worker}%27%29")),
        get(format!("{own}/resources?%24filter=name%20eq%20%27alpha-one%27")),
        get(format!("{own}/resourceGroups/alpha-rg")),
        get(format!("{own}/resourceGroups/alpha-rg/providers/Microsoft.KeyVault/vaults/alpha-one")),
        get(format!("{own}/providers/Microsoft.KeyVault/locations/local/deletedVaults/alpha-old")),
        get("/tenants".to_owned()).header("x-vouchsafe-tenant", alpha.id),
        get("/subscriptions".to_owned()).header("x-vouchsafe-tenant", "alpha.example"),
        Ask::new("GET", &bravo.vault_host("one"), "/secrets/alpha-db").header("x-vouchsafe-tenant", alpha.id),
    ];
    let commits = two.world.opened.store.commits();
    for ask in asks {
        let token = if ask.is_of_a_vault() { &tokens[1] } else { &tokens[0] };
        let answer = two.world.ask(TLS, &ask.clone().bearer(token)).await;
        let of_ghost = two.world.ask(TLS, &ask.renamed(&ghosts).bearer(token)).await;
        assert_eq!(said(&answer), said_of_ghosts(&of_ghost, &ghosts), "{ask:?}");
        let repeated = format!("{}{}", ask.path, ask.body);
        let told = ghosts
            .iter()
            .find(|(name, _)| answer.body.contains(name.as_str()) && !repeated.contains(name.as_str()));
        assert_eq!(told, None, "{ask:?} {answer:?}");
    }
    assert_eq!(two.world.opened.store.commits(), commits);

    // A backup opens in its own subscription and nowhere else; elsewhere it is like any other bytes.
    let backup = scenario.tape.iter().find(|(ask, _)| ask.path.ends_with("/backup")).expect("a backup");
    let blob = backup.1.json()["value"].as_str().expect("a blob").to_owned();
    let garbage: String =
        blob.chars().rev().map(|c| if c.is_ascii_alphanumeric() { 'A' } else { c }).collect();
    let mut answers = Vec::new();
    for value in [&blob, &garbage] {
        let ask =
            Ask::new("POST", &bravo.vault_host("one"), "/secrets/restore").body(json!({"value": value}));
        answers.push(said(&two.world.ask(TLS, &ask.bearer(&tokens[1])).await));
    }
    assert_eq!(answers[0].0, 400, "{answers:?}");
    assert_eq!(answers[0], answers[1]);
}

#[tokio::test]
async fn a_vault_name_that_another_tenant_has_is_refused_alike_whether_its_vault_lives_or_is_deleted() {
    let two = Two::found(23).await;
    let _scenario = two.scenario().await;
    let [token, _] = two.tokens(&two.bravo).await;
    let own = format!("/subscriptions/{}", two.bravo.subscription);
    let body = json!({"location": "local", "properties": {
        "tenantId": two.bravo.id.to_string(), "sku": {"family": "A", "name": "standard"}}});
    let mut answers = Vec::new();
    for name in ["alpha-one", "alpha-old"] {
        let path = format!("{own}/resourceGroups/rg/providers/Microsoft.KeyVault/vaults/{name}");
        let answer = two.world.ask(TLS, &Ask::new("PUT", HOST, &path).body(&body).bearer(&token)).await;
        let (status, headers, body) = said(&answer);
        answers.push((status, headers, body.replace(name, "NAME")));
    }
    assert_eq!(answers[0].0, 409, "{answers:?}");
    assert_eq!(answers[0], answers[1]);
    // What was purged is free for everybody.
    let path = format!("{own}/resourceGroups/rg/providers/Microsoft.KeyVault/vaults/alpha-gone");
    let answer = two.world.ask(TLS, &Ask::new("PUT", HOST, &path).body(&body).bearer(&token)).await;
    assert_eq!(answer.status, 201, "{answer:?}");
}

#[tokio::test]
async fn the_credentials_of_one_tenant_open_nothing_at_the_other_and_tell_nothing() {
    let two = Two::found(24).await;
    let (world, alpha, bravo) = (&two.world, &two.alpha, &two.bravo);
    let ghost_client = "99999999-0000-4000-8000-000000000003";
    let ghost_signer = Signer::new();
    for tenant in [alpha, bravo] {
        for ask in [tenant.with_secret(KEY_VAULT), tenant.with_certificate(world, KEY_VAULT)] {
            assert_eq!(world.ask(TLS, &ask).await.status, 200, "{ask:?}");
        }
    }
    let own_client = bravo.client.to_string();
    let mut ghosts = vec![(own_client.clone(), ghost_client.to_owned())];
    ghosts.extend(bravo.signer.thumbprints().into_iter().zip(ghost_signer.thumbprints()));
    ghosts.push((bravo.secret.clone(), "x".repeat(bravo.secret.len())));
    for tenant in [alpha.id.to_string(), "alpha.example".to_owned(), "common".to_owned(), "adfs".to_owned()] {
        let path = format!("/{tenant}/oauth2/v2.0/token");
        let target = alpha.client.to_string();
        let assertions = |signer: &Signer, client: &str, audience: &str| {
            by_assertion(&signer.assertion(world, client, audience))
        };
        let (home, id) = (bravo.id.to_string(), tenant.as_str());
        // Each with a stranger's credential, and the same with one that nobody has.
        let pairs = [
            // Bravo's application asks in alpha.
            (
                &own_client,
                format!("&client_secret={}", bravo.secret),
                format!("&client_secret={}", "x".repeat(43)),
            ),
            (
                &own_client,
                assertions(&bravo.signer, &own_client, &home),
                assertions(&ghost_signer, ghost_client, &home),
            ),
            (
                &own_client,
                assertions(&bravo.signer, &own_client, id),
                assertions(&ghost_signer, ghost_client, id),
            ),
            // Bravo's credentials for alpha's application.
            (
                &target,
                format!("&client_secret={}", bravo.secret),
                format!("&client_secret={}", "x".repeat(43)),
            ),
            (&target, assertions(&bravo.signer, &target, id), assertions(&ghost_signer, &target, id)),
            (
                &target,
                assertions(&bravo.signer, &own_client, &home),
                assertions(&ghost_signer, ghost_client, &home),
            ),
        ];
        for (client, credential, of_nobody) in pairs {
            let ask = token_request(&path, client, KEY_VAULT);
            let answer = world.ask(TLS, &ask.clone().appended(&credential)).await;
            assert!(matches!(answer.status, 400 | 401), "{ask:?} {answer:?}");
            assert!(!answer.body.contains("access_token"));
            let ghost = ask.renamed(&ghosts[..1]).appended(&of_nobody);
            let of_ghost = world.ask(TLS, &ghost).await;
            assert_eq!(said(&answer), said_of_ghosts(&of_ghost, &ghosts), "{ask:?} {credential}");
        }
    }
    // Replayed at the other tenant's endpoint, alpha's own requests are a stranger's.
    for ask in [alpha.with_secret(KEY_VAULT), alpha.with_certificate(world, KEY_VAULT)] {
        let at_bravo = Ask { path: bravo.token_path(), ..ask };
        let answer = world.ask(TLS, &at_bravo).await;
        let renamed = at_bravo.renamed(&[(alpha.client.to_string(), ghost_client.to_owned())]);
        let of_ghost = world.ask(TLS, &renamed).await;
        assert_eq!(answer.status, 400, "{answer:?}");
        assert_eq!(
            said(&answer),
            said_of_ghosts(&of_ghost, &[(alpha.client.to_string(), ghost_client.to_owned())])
        );
    }
}

#[tokio::test]
async fn a_role_on_one_vault_or_one_secret_opens_nothing_beside_it() {
    let two = Two::found(25).await;
    let scenario = two.scenario().await;
    let (world, id) = (&two.world, two.alpha.id);
    let opened = &world.opened;
    let (_, vault) =
        opened.platform.world().vault(&VaultName::parse("alpha-one").expect("a name")).expect("a vault");
    let scope = Scope::vault(vault.subscription, &vault.group, &vault.name);
    let of_vault = opened.put_identity(id, "of-one-vault").await;
    opened.assign(id, built_in::KEY_VAULT_ADMINISTRATOR, of_vault.principal, scope.clone()).await;
    let of_secret = opened.put_identity(id, "of-one-secret").await;
    let secret = scope.object("secrets", &ObjectName::parse("alpha-db").expect("a name"));
    opened.assign(id, built_in::KEY_VAULT_SECRETS_OFFICER, of_secret.principal, secret).await;
    let (of_vault, of_secret) =
        (opened.token(&of_vault, KEY_VAULT).await, opened.token(&of_secret, KEY_VAULT).await);
    let (one, neighbour) = (two.alpha.vault_host("one"), two.alpha.vault_host("two"));
    let ghosts = ghosts(&two.alpha, &scenario.tape);
    let reads_of_db = |ask: &Ask| ask.method == "GET" && ask.path.starts_with("/secrets/alpha-db");

    // The positive twins: what the roles are for.
    for (ask, _) in scenario.tape.iter().filter(|(ask, _)| ask.method == "GET" && ask.host == one) {
        let answer = world.ask(TLS, &ask.clone().bearer(&of_vault)).await;
        assert_eq!(answer.status, 200, "{ask:?} {answer:?}");
        let answer = world.ask(TLS, &ask.clone().bearer(&of_secret)).await;
        assert_eq!(answer.status, if reads_of_db(ask) { 200 } else { 403 }, "{ask:?} {answer:?}");
    }
    let (before, commits) = (two.reads(&scenario).await, opened.store.commits());
    let mut refused = 0;
    for (ask, _) in scenario.tape.iter().filter(|(ask, _)| ask.is_of_a_vault()) {
        let next_door = Ask { host: neighbour.clone(), ..ask.clone() };
        let beside =
            Ask { host: one.clone(), ..ask.renamed(&[("alpha-db".to_owned(), "alpha-back".to_owned())]) };
        let collection =
            ask.path.starts_with("/secrets?") || matches!(ask.path.as_str(), "/secrets" | "/secrets/restore");
        let mut cases = vec![(&of_vault, next_door.clone()), (&of_secret, next_door), (&of_secret, beside)];
        if collection {
            cases.push((&of_secret, ask.clone()));
        }
        for (token, ask) in cases {
            let answer = world.ask(TLS, &ask.clone().bearer(token)).await;
            assert_eq!(answer.status, 403, "{ask:?} {answer:?}");
            assert_eq!(answer.json()["error"]["innererror"]["code"], "ForbiddenByRbac", "{ask:?}");
            let mut ghost = ask.renamed(&ghosts);
            ghost.host.clone_from(&ask.host);
            let of_ghost = world.ask(TLS, &ghost.bearer(token)).await;
            // The place is named as it was asked for; nothing else differs.
            assert_eq!(said(&answer), said_of_ghosts(&of_ghost, &ghosts), "{ask:?}");
            refused += 1;
        }
    }
    assert!(refused > 50);
    assert_eq!(opened.store.commits(), commits);
    assert_eq!(two.reads(&scenario).await, before);
}

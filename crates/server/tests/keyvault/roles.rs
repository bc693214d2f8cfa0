//! Every operation of the data plane, asked for over REST by the holder of each built-in role: it is done exactly when
//! the golden matrix of the domain says that the role has the action, and otherwise the refusal names the action that
//! is missing. The list of operations is held against the routes, so that a new route must come with its action.

use std::collections::{BTreeMap, BTreeSet};

use data_encoding::BASE64;
use serde_json::{Value, json};
use vouchsafe_crypto::Reason;
use vouchsafe_domain::access::built_in;
use vouchsafe_domain::resource::VaultToPut;
use vouchsafe_domain::resource::scope::Scope;
use vouchsafe_server::assemble::routes;
use vouchsafe_server::http::route::Plane;
use vouchsafe_testkit::elsewhere::Elsewhere;
use vouchsafe_testkit::world::KEY_VAULT;

use crate::keys::{published_key, text};
use crate::support::{Ask, TLS};
use crate::{Bench, VAULT};

const MATRIX: &str = include_str!("../../../domain/tests/golden/role_matrix.txt");
const PREFIX: &str = "Microsoft.KeyVault/vaults/";

/// What each line of the matrix permits, by the name of the action: one letter a role.
fn matrix() -> BTreeMap<&'static str, Vec<char>> {
    let lines = MATRIX.lines().filter_map(|line| line.strip_prefix(PREFIX));
    lines
        .map(|line| {
            let (action, cells) = line.split_once(' ').expect("an action and its cells");
            (action, cells.chars().filter(|cell| *cell != ' ').collect())
        })
        .collect()
}

/// What has to be there before an operation makes sense.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Before {
    Nothing,
    Live(&'static str),
    Deleted(&'static str),
    /// It was, and only its backup is left.
    Blob(&'static str),
    /// A certificate that waits for somebody.
    Pending,
    /// A certificate of the authority of the vault.
    Issued,
    Issuer,
    Contacts,
}

use Before::{Blob, Contacts, Deleted, Issued, Issuer, Live, Nothing, Pending};

/// What an operation may need to say about what is there.
#[derive(Default)]
struct Facts {
    version: String,
    value: Value,
    elsewhere: Option<Elsewhere>,
}

/// The name of its route, how it is asked for, and the actions of which one is enough.
struct Operation {
    route: &'static str,
    method: &'static str,
    path: &'static str,
    actions: &'static [&'static str],
    before: Before,
    body: fn(&Facts) -> Value,
}

fn none(_: &Facts) -> Value {
    Value::Null
}

fn digest(_: &Facts) -> Value {
    json!({ "alg": "RS256", "value": text(&[7; 32]) })
}

fn opened(facts: &Facts) -> Value {
    json!({ "alg": "RSA-OAEP", "value": facts.value })
}

fn blob(facts: &Facts) -> Value {
    json!({ "value": facts.value })
}

fn policy(issuer: &str) -> Value {
    json!({ "issuer": { "name": issuer }, "key_props": { "kty": "EC", "crv": "P-256" },
        "x509_props": { "subject": "CN=app.example.test" } })
}

const fn operation(
    route: &'static str,
    method: &'static str,
    path: &'static str,
    actions: &'static [&'static str],
    before: Before,
    body: fn(&Facts) -> Value,
) -> Operation {
    Operation { route, method, path, actions, before, body }
}

/// `{n}` is the name of what is there, or will be; `{v}` its version.
fn operations() -> Vec<Operation> {
    let o = operation;
    let (s, k, c) = (Live("secrets"), Live("keys"), Live("certificates"));
    let sealed = |_: &Facts| json!({ "alg": "RSA-OAEP", "value": text(&[5; 32]) });
    let verified = |facts: &Facts| json!({ "alg": "RS256", "digest": text(&[7; 32]), "value": facts.value });
    let own_policy = |_: &Facts| json!({ "lifetimeActions": [], "attributes": { "expiryTime": "P1Y" } });
    let tags = |_: &Facts| json!({ "tags": { "a": "b" } });
    let merged = |facts: &Facts| {
        let elsewhere = facts.elsewhere.as_ref().expect("somebody who signs");
        let csr = BASE64.decode(facts.value.as_str().unwrap().as_bytes()).unwrap();
        json!({ "x5c": [BASE64.encode(&elsewhere.answer(&csr)), BASE64.encode(&elsewhere.certificate)] })
    };
    vec![
        o(
            "secret_set",
            "PUT",
            "/secrets/{n}",
            &["secrets/setSecret/action"],
            Nothing,
            |_| json!({ "value": "v" }),
        ),
        o("secret_get", "GET", "/secrets/{n}", &["secrets/getSecret/action"], s, none),
        o("secret_update", "PATCH", "/secrets/{n}/{v}", &["secrets/update/action"], s, tags),
        o("secret_delete", "DELETE", "/secrets/{n}", &["secrets/delete"], s, none),
        o("secret_list", "GET", "/secrets", &["secrets/readMetadata/action"], Nothing, none),
        o("secret_versions", "GET", "/secrets/{n}/versions", &["secrets/readMetadata/action"], s, none),
        o("secret_backup", "POST", "/secrets/{n}/backup", &["secrets/backup/action"], s, none),
        o("secret_restore", "POST", "/secrets/restore", &["secrets/restore/action"], Blob("secrets"), blob),
        o("deleted_secret_list", "GET", "/deletedsecrets", &["secrets/readMetadata/action"], Nothing, none),
        o(
            "deleted_secret_get",
            "GET",
            "/deletedsecrets/{n}",
            &["secrets/readMetadata/action"],
            Deleted("secrets"),
            none,
        ),
        o(
            "deleted_secret_purge",
            "DELETE",
            "/deletedsecrets/{n}",
            &["secrets/purge/action"],
            Deleted("secrets"),
            none,
        ),
        o(
            "deleted_secret_recover",
            "POST",
            "/deletedsecrets/{n}/recover",
            &["secrets/recover/action"],
            Deleted("secrets"),
            none,
        ),
        o(
            "key_create",
            "POST",
            "/keys/{n}/create",
            &["keys/create/action"],
            Nothing,
            |_| json!({ "kty": "EC" }),
        ),
        o(
            "key_import",
            "PUT",
            "/keys/{n}",
            &["keys/import/action"],
            Nothing,
            |_| json!({ "key": published_key() }),
        ),
        o("key_get", "GET", "/keys/{n}", &["keys/read"], k, none),
        o("key_attestation", "GET", "/keys/{n}/{v}/attestation", &["keys/read"], k, none),
        o("key_update", "PATCH", "/keys/{n}/{v}", &["keys/update/action"], k, tags),
        o("key_delete", "DELETE", "/keys/{n}", &["keys/delete"], k, none),
        o("key_list", "GET", "/keys", &["keys/read"], Nothing, none),
        o("key_versions", "GET", "/keys/{n}/versions", &["keys/read"], k, none),
        o("key_backup", "POST", "/keys/{n}/backup", &["keys/backup/action"], k, none),
        o("key_restore", "POST", "/keys/restore", &["keys/restore/action"], Blob("keys"), blob),
        o("key_rotate", "POST", "/keys/{n}/rotate", &["keys/rotate/action"], k, none),
        o(
            "key_rotation_policy_get",
            "GET",
            "/keys/{n}/rotationpolicy",
            &["keyrotationpolicies/read"],
            k,
            none,
        ),
        o(
            "key_rotation_policy_set",
            "PUT",
            "/keys/{n}/rotationpolicy",
            &["keyrotationpolicies/write"],
            k,
            own_policy,
        ),
        o(
            "key_encrypt",
            "POST",
            "/keys/shared//encrypt",
            &["keys/encrypt/action", "keys/read"],
            Nothing,
            sealed,
        ),
        o("key_decrypt", "POST", "/keys/shared//decrypt", &["keys/decrypt/action"], Nothing, opened),
        o("key_sign", "POST", "/keys/shared//sign", &["keys/sign/action"], Nothing, digest),
        o(
            "key_verify",
            "POST",
            "/keys/shared//verify",
            &["keys/verify/action", "keys/read"],
            Nothing,
            verified,
        ),
        o("key_wrap", "POST", "/keys/shared//wrapkey", &["keys/wrap/action", "keys/read"], Nothing, sealed),
        o("key_unwrap", "POST", "/keys/shared//unwrapkey", &["keys/unwrap/action"], Nothing, opened),
        o(
            "key_release",
            "POST",
            "/keys/{n}/{v}/release",
            &["keys/release/action"],
            k,
            |_| json!({ "target": "a.b.c" }),
        ),
        o("random_bytes", "POST", "/rng", &["keys/read"], Nothing, |_| json!({ "count": 8 })),
        o("deleted_key_list", "GET", "/deletedkeys", &["keys/read"], Nothing, none),
        o("deleted_key_get", "GET", "/deletedkeys/{n}", &["keys/read"], Deleted("keys"), none),
        o("deleted_key_purge", "DELETE", "/deletedkeys/{n}", &["keys/purge/action"], Deleted("keys"), none),
        o(
            "deleted_key_recover",
            "POST",
            "/deletedkeys/{n}/recover",
            &["keys/recover/action"],
            Deleted("keys"),
            none,
        ),
        o(
            "certificate_create",
            "POST",
            "/certificates/{n}/create",
            &["certificates/create/action"],
            Nothing,
            |_| json!({ "policy": policy("Self") }),
        ),
        o(
            "certificate_import",
            "POST",
            "/certificates/{n}/import",
            &["certificates/import/action"],
            Nothing,
            |_| json!({ "value": Elsewhere::new().pem().expose(Reason::Test) }),
        ),
        o("certificate_get", "GET", "/certificates/{n}", &["certificates/read"], c, none),
        o("certificate_update", "PATCH", "/certificates/{n}/{v}", &["certificates/update/action"], c, tags),
        o(
            "certificate_revoke",
            "POST",
            "/certificates/{n}/{v}/revoke",
            &["certificates/update/action"],
            Issued,
            |_| json!({ "reason": "superseded" }),
        ),
        o("certificate_policy_get", "GET", "/certificates/{n}/policy", &["certificates/read"], c, none),
        o(
            "certificate_policy_update",
            "PATCH",
            "/certificates/{n}/policy",
            &["certificates/update/action"],
            c,
            |_| json!({ "x509_props": { "validity_months": 6 } }),
        ),
        o(
            "certificate_pending_get",
            "GET",
            "/certificates/{n}/pending",
            &["certificates/read"],
            Pending,
            none,
        ),
        o(
            "certificate_pending_update",
            "PATCH",
            "/certificates/{n}/pending",
            &["certificates/update/action"],
            Pending,
            |_| json!({ "cancellation_requested": true }),
        ),
        o(
            "certificate_pending_delete",
            "DELETE",
            "/certificates/{n}/pending",
            &["certificates/update/action"],
            Pending,
            none,
        ),
        o(
            "certificate_merge",
            "POST",
            "/certificates/{n}/pending/merge",
            &["certificates/create/action"],
            Pending,
            merged,
        ),
        o("certificate_delete", "DELETE", "/certificates/{n}", &["certificates/delete"], c, none),
        o("certificate_list", "GET", "/certificates", &["certificates/read"], Nothing, none),
        o("certificate_versions", "GET", "/certificates/{n}/versions", &["certificates/read"], c, none),
        o("certificate_backup", "POST", "/certificates/{n}/backup", &["certificates/backup/action"], c, none),
        o(
            "certificate_restore",
            "POST",
            "/certificates/restore",
            &["certificates/restore/action"],
            Blob("certificates"),
            blob,
        ),
        o("deleted_certificate_list", "GET", "/deletedcertificates", &["certificates/read"], Nothing, none),
        o(
            "deleted_certificate_get",
            "GET",
            "/deletedcertificates/{n}",
            &["certificates/read"],
            Deleted("certificates"),
            none,
        ),
        o(
            "deleted_certificate_purge",
            "DELETE",
            "/deletedcertificates/{n}",
            &["certificates/purge/action"],
            Deleted("certificates"),
            none,
        ),
        o(
            "deleted_certificate_recover",
            "POST",
            "/deletedcertificates/{n}/recover",
            &["certificates/recover/action"],
            Deleted("certificates"),
            none,
        ),
        o(
            "certificate_contacts_get",
            "GET",
            "/certificates/contacts",
            &["certificatecontacts/write"],
            Contacts,
            none,
        ),
        o(
            "certificate_contacts_set",
            "PUT",
            "/certificates/contacts",
            &["certificatecontacts/write"],
            Nothing,
            contacts,
        ),
        o(
            "certificate_contacts_delete",
            "DELETE",
            "/certificates/contacts",
            &["certificatecontacts/write"],
            Contacts,
            none,
        ),
        o("certificate_issuer_list", "GET", "/certificates/issuers", &["certificatecas/read"], Nothing, none),
        o(
            "certificate_issuer_get",
            "GET",
            "/certificates/issuers/{n}",
            &["certificatecas/read"],
            Issuer,
            none,
        ),
        o(
            "certificate_issuer_set",
            "PUT",
            "/certificates/issuers/{n}",
            &["certificatecas/write"],
            Nothing,
            issuer,
        ),
        o(
            "certificate_issuer_update",
            "PATCH",
            "/certificates/issuers/{n}",
            &["certificatecas/write"],
            Issuer,
            |_| json!({ "attributes": { "enabled": false } }),
        ),
        o(
            "certificate_issuer_delete",
            "DELETE",
            "/certificates/issuers/{n}",
            &["certificatecas/delete"],
            Issuer,
            none,
        ),
    ]
}

fn contacts(_: &Facts) -> Value {
    json!({ "contacts": [{ "email": "somebody@example.test" }] })
}

fn issuer(_: &Facts) -> Value {
    json!({ "provider": "Test" })
}

fn version_of(bundle: &Value) -> String {
    let id = bundle["key"]["kid"].as_str().or_else(|| bundle["id"].as_str()).unwrap_or_default();
    id.rsplit('/').next().unwrap_or_default().to_owned()
}

impl Bench {
    /// Makes something live; its bundle.
    async fn made(&self, collection: &str, name: &str) -> Value {
        match collection {
            "secrets" => self.done("PUT", &format!("/secrets/{name}"), json!({ "value": "v" })).await,
            "keys" => self.done("POST", &format!("/keys/{name}/create"), json!({ "kty": "EC" })).await,
            _ => {
                let body = json!({ "value": Elsewhere::new().pem().expose(Reason::Test) });
                self.done("POST", &format!("/certificates/{name}/import"), body).await
            }
        }
    }

    /// What has to be there, by the administrator.
    async fn furnish(&self, before: Before, name: &str) -> Facts {
        let mut facts = Facts::default();
        match before {
            Nothing => {}
            Live(collection) => facts.version = version_of(&self.made(collection, name).await),
            Deleted(collection) => {
                self.made(collection, name).await;
                self.done("DELETE", &format!("/{collection}/{name}"), Value::Null).await;
            }
            Blob(collection) => {
                self.made(collection, name).await;
                let path = format!("/{collection}/{name}/backup");
                facts.value = self.done("POST", &path, Value::Null).await["value"].clone();
                self.done("DELETE", &format!("/{collection}/{name}"), Value::Null).await;
                let purged = self.ask("DELETE", &format!("/deleted{collection}/{name}"), Value::Null).await;
                assert_eq!(purged.status, 204, "{purged:?}");
            }
            Pending => {
                let body = json!({ "policy": policy("Unknown") });
                let begun = self.ask("POST", &format!("/certificates/{name}/create"), body).await;
                facts.value = begun.json()["csr"].clone();
                facts.elsewhere = Some(Elsewhere::new());
            }
            Issued => {
                let body = json!({ "policy": policy("ours") });
                self.ask("POST", &format!("/certificates/{name}/create"), body).await;
                self.done("GET", &format!("/certificates/{name}/pending"), Value::Null).await;
                let made = self.done("GET", &format!("/certificates/{name}"), Value::Null).await;
                facts.version = version_of(&made);
            }
            Issuer => {
                let path = format!("/certificates/issuers/{name}");
                self.done("PUT", &path, issuer(&facts)).await;
            }
            Contacts => drop(self.done("PUT", "/certificates/contacts", contacts(&facts)).await),
        }
        facts
    }
}

#[test]
fn every_route_of_a_vault_is_in_the_list_of_operations() {
    let listed: BTreeSet<&str> = operations().iter().map(|operation| operation.route).collect();
    let routes = routes();
    let there: BTreeSet<&str> =
        routes.iter().filter(|route| route.plane == Plane::KeyVault).map(|route| route.name).collect();
    assert_eq!(listed, there, "say in `operations` which action a route needs");
    let matrix = matrix();
    let asked: BTreeSet<&str> =
        operations().iter().flat_map(|operation| operation.actions).copied().collect();
    let data: BTreeSet<&str> = matrix
        .keys()
        .copied()
        .filter(|action| matrix[action].len() == built_in::all().len() && data_action(action))
        .collect();
    assert_eq!(asked, data, "a data action that no operation asks for, or the other way round");
}

/// Whether a line of the matrix is about what lies in vaults, not about vaults.
fn data_action(action: &str) -> bool {
    ["secrets/", "keys/", "keyrotationpolicies/", "certificates/", "certificatecas/", "certificatecontacts/"]
        .iter()
        .any(|family| action.starts_with(family))
}

#[tokio::test]
async fn each_operation_is_done_for_each_built_in_role_exactly_when_the_matrix_says_and_a_refusal_names_the_action()
 {
    let bench = Bench::new(87).await;
    let (opened, home, matrix) = (&bench.server.opened, bench.server.memory.home, matrix());
    let authority = json!({ "provider": "Vouchsafe", "credentials": { "account_id": "example.test" } });
    bench.done("PUT", "/certificates/issuers/ours", authority).await;
    bench.done("POST", "/keys/shared/create", json!({ "kty": "RSA" })).await;
    let sealed = json!({ "alg": "RSA-OAEP", "value": text(&[5; 32]) });
    let sealed = bench.done("POST", "/keys/shared//encrypt", sealed).await["value"].clone();
    let signed = bench.done("POST", "/keys/shared//sign", digest(&Facts::default())).await["value"].clone();
    let vault = opened.put_vault(home, VAULT, &VaultToPut::default()).await;
    let scope = Scope::vault(vault.subscription, &vault.group, &vault.name);
    let (mut done, mut refused) = (0, 0);
    for (column, role) in built_in::all().iter().enumerate() {
        let identity = opened.put_identity(home, &format!("holder-{column}")).await;
        opened.assign(home, role.id(), identity.principal, scope.clone()).await;
        let token = opened.token(&identity, KEY_VAULT).await;
        for (row, operation) in operations().iter().enumerate() {
            let name = format!("r{column}o{row}");
            let mut facts = bench.furnish(operation.before, &name).await;
            match operation.route {
                "key_decrypt" | "key_unwrap" => facts.value = sealed.clone(),
                "key_verify" => facts.value = signed.clone(),
                _ => {}
            }
            let path = operation.path.replace("{n}", &name).replace("{v}", &facts.version);
            let ask = Ask::new(operation.method, &format!("{VAULT}.vault.localhost:8443"), &path);
            let body = (operation.body)(&facts);
            let ask = if body.is_null() { ask } else { ask.body(body) };
            let answer = bench.server.ask(TLS, &ask.bearer(&token)).await;
            let may = operation.actions.iter().any(|action| matrix[action][column] == 'x');
            let what = format!("{} by the holder of {}: {answer:?}", operation.route, role.name());
            if may {
                // A key is released to an attested environment only: whoever may ask is told what this one lacks.
                // One in a token is attested only: whoever may ask is told that this one is in software.
                let as_expected = match operation.route {
                    "key_release" => {
                        answer.status == 403
                            && answer.json()["error"]["innererror"]["code"] != "ForbiddenByRbac"
                    }
                    "key_attestation" => {
                        answer.status == 400 && answer.json()["error"]["code"] == "BadParameter"
                    }
                    _ => (200..300).contains(&answer.status),
                };
                assert!(as_expected, "not done: {what}");
                done += 1;
            } else {
                let said = answer.json();
                let inner = &said["error"]["innererror"]["code"];
                assert_eq!((answer.status, inner), (403, &json!("ForbiddenByRbac")), "{what}");
                let message = said["error"]["message"].as_str().unwrap();
                let missing = format!("Action: '{PREFIX}{}'", operation.actions[0]);
                assert!(message.contains(&missing), "it does not say `{missing}`: {what}");
                refused += 1;
            }
        }
    }
    println!("{done} operations done and {refused} refused, each with the action that is missing");
    assert!(done > 200 && refused > 600, "{done} {refused}");
}

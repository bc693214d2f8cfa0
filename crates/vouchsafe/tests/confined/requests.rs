//! Every string that the server takes, each in turn one of the hostile values.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use vouchsafe_testkit::running::{Answer, Client, Pieces, RunningServer};

/// What became of the requests.
#[derive(Default)]
pub struct Sent {
    pub all: usize,
    pub done: usize,
    pub wrong: Vec<String>,
}

impl Sent {
    fn count(&mut self, what: &str, answer: std::io::Result<Answer>) {
        self.all += 1;
        match answer {
            Ok(answer) if answer.status.is_success() => self.done += 1,
            Ok(answer) if answer.status.is_server_error() => {
                self.wrong.push(format!("{what}: {} {}", answer.status, answer.text()));
            }
            Ok(_) => {}
            Err(error) => self.wrong.push(format!("{what}: no answer: {error}")),
        }
    }
}

/// A place, who asks there, and what is usually sent.
struct Template {
    door: Door,
    method: Method,
    path: String,
    body: Value,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Door {
    Vault,
    Arm,
    Socket,
}

pub async fn send_all(server: &RunningServer, values: &[String]) -> Sent {
    let mut sent = Sent::default();
    let vault = server.token("https://vault.azure.net").await;
    let arm = server.token("https://management.azure.com").await;
    let (mut https, mut admin) = (server.https(), server.admin());
    let vault_host = server.vault_host("app");
    let list = admin.request(Method::GET, server.host(), "/subscriptions?api-version=1", None, None).await;
    let subscription = list.unwrap().json()["value"][0]["subscriptionId"].as_str().unwrap().to_owned();
    for template in templates(&subscription, &server.endpoints().tenant) {
        let Template { door, method, path, body } = &template;
        let (client, host, bearer): (&mut Client, &str, Option<&str>) = match door {
            Door::Vault => (&mut https, &vault_host, Some(&vault)),
            Door::Arm => (&mut https, server.host(), Some(&arm)),
            Door::Socket => (&mut admin, "vouchsafe", None),
        };
        // As it is, so that what follows differs from something that is understood in one string only.
        let bytes = body.to_string().into_bytes();
        let usual = client.request(method.clone(), host, path, bearer, Some(&bytes)).await;
        sent.count(&format!("{method} {path}"), usual);
        for place in strings(body) {
            for value in values {
                let mut bent = body.clone();
                *bent.pointer_mut(&place).unwrap() = json!(value);
                let bytes = bent.to_string().into_bytes();
                let answer = client.request(method.clone(), host, path, bearer, Some(&bytes)).await;
                sent.count(&format!("{method} {path} with {place} {value:?}"), answer);
            }
        }
    }
    for value in values {
        addresses(server, value, &vault, &arm, &mut sent).await;
        forms(server, value, &mut sent).await;
    }
    sent
}

/// Where the strings of a document are, as RFC 6901 writes it.
fn strings(document: &Value) -> Vec<String> {
    fn below(value: &Value, here: String, found: &mut Vec<String>) {
        match value {
            Value::String(_) => found.push(here),
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    below(item, format!("{here}/{index}"), found);
                }
            }
            Value::Object(members) => {
                for (name, member) in members {
                    below(member, format!("{here}/{}", name.replace('~', "~0").replace('/', "~1")), found);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    let mut found = Vec::new();
    below(document, String::new(), &mut found);
    found
}

fn templates(subscription: &str, tenant: &str) -> Vec<Template> {
    let template = |door, method, path: &str, body| Template { door, method, path: path.to_owned(), body };
    let below = format!("/subscriptions/{subscription}");
    let group = format!("{below}/resourceGroups/default");
    let authorization = format!("{below}/providers/Microsoft.Authorization");
    let id = "11111111-2222-4333-8444-555555555555";
    let policy = json!({
        "issuer": { "name": "Self", "cty": "a kind" },
        "key_props": { "kty": "EC", "crv": "P-256" },
        "secret_props": { "contentType": "application/x-pem-file" },
        "x509_props": {
            "subject": "CN=a",
            "sans": { "dns_names": ["a.example"], "emails": ["a@b.example"], "upns": ["a@b.example"] },
            "ekus": ["1.3.6.1.5.5.7.3.1"],
            "key_usage": ["digitalSignature"],
        },
        "lifetime_actions": [{ "trigger": { "days_before_expiry": 9 }, "action": { "action_type": "AutoRenew" } }],
    });
    let (vault, arm, socket) = (Door::Vault, Door::Arm, Door::Socket);
    let mut templates = vec![
        template(
            vault,
            Method::PUT,
            "/secrets/s",
            json!({ "value": "v", "contentType": "t", "tags": { "a": "b" } }),
        ),
        template(vault, Method::PATCH, "/secrets/s", json!({ "contentType": "t", "tags": { "a": "b" } })),
        template(vault, Method::POST, "/secrets/restore", json!({ "value": "AAAA" })),
        template(
            vault,
            Method::POST,
            "/keys/k/create",
            json!({ "kty": "EC", "crv": "P-256", "key_ops": ["sign"],
            "tags": { "a": "b" }, "release_policy": { "data": "AAAA", "contentType": "application/json" } }),
        ),
        template(vault, Method::POST, "/keys/k/create", json!({ "kty": "EC", "tags": { "a": "b" } })),
        template(
            vault,
            Method::PUT,
            "/keys/i",
            json!({ "key": { "kty": "EC", "crv": "P-256", "x": "AAAA", "y": "AAAA",
            "d": "AAAA", "key_hsm": "AAAA" } }),
        ),
        template(vault, Method::POST, "/keys/restore", json!({ "value": "AAAA" })),
        template(vault, Method::POST, "/keys/k//sign", json!({ "alg": "ES256", "value": "AAAA" })),
        template(
            vault,
            Method::POST,
            "/keys/k//verify",
            json!({ "alg": "ES256", "digest": "AAAA", "value": "AAAA" }),
        ),
        template(
            vault,
            Method::POST,
            "/keys/k//decrypt",
            json!({ "alg": "A256GCM", "value": "AAAA", "iv": "AAAA",
            "aad": "AAAA", "tag": "AAAA" }),
        ),
        template(
            vault,
            Method::POST,
            "/keys/k//release",
            json!({ "target": "a.b.c", "nonce": "n", "enc": "e" }),
        ),
        template(
            vault,
            Method::PUT,
            "/keys/k/rotationpolicy",
            json!({ "attributes": { "expiryTime": "P90D" },
            "lifetimeActions": [{ "trigger": { "timeAfterCreate": "P30D" }, "action": { "type": "Rotate" } }] }),
        ),
        template(
            vault,
            Method::POST,
            "/certificates/c/create",
            json!({ "policy": policy, "tags": { "a": "b" } }),
        ),
        template(vault, Method::PATCH, "/certificates/c/policy", policy.clone()),
        template(
            vault,
            Method::POST,
            "/certificates/f/import",
            json!({ "value": "AAAA", "pwd": "p", "policy": policy }),
        ),
        template(
            vault,
            Method::POST,
            "/certificates/c/pending/merge",
            json!({ "x5c": ["AAAA"], "tags": { "a": "b" } }),
        ),
        template(vault, Method::POST, "/certificates/restore", json!({ "value": "AAAA" })),
        template(
            vault,
            Method::PUT,
            "/certificates/contacts",
            json!({ "contacts": [{ "email": "a@b.example",
            "name": "n", "phone": "1" }] }),
        ),
        template(
            arm,
            Method::PUT,
            &format!("{below}/resourceGroups/g?api-version=1"),
            json!({ "location": "local", "tags": { "a": "b" } }),
        ),
        template(
            arm,
            Method::PUT,
            &format!("{group}/providers/Microsoft.KeyVault/vaults/other?api-version=1"),
            json!({ "location": "local", "tags": { "a": "b" },
                "properties": { "tenantId": tenant, "sku": { "family": "A", "name": "standard" } } }),
        ),
        template(
            arm,
            Method::PUT,
            &format!(
                "{group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/other?api-version=1"
            ),
            json!({ "location": "local", "tags": { "a": "b" } }),
        ),
        template(
            arm,
            Method::PUT,
            &format!("{authorization}/roleDefinitions/{id}?api-version=1"),
            json!({ "properties": { "roleName": "r", "description": "d", "type": "CustomRole",
                "assignableScopes": [below.clone()],
                "permissions": [{ "actions": ["*/read"], "notActions": ["a/b"], "dataActions": ["a/b"] }] } }),
        ),
        template(
            arm,
            Method::PUT,
            &format!("{authorization}/roleAssignments/{id}?api-version=1"),
            json!({ "properties": { "roleDefinitionId": "r", "principalId": id, "principalType": "ServicePrincipal",
                "description": "d", "condition": "c" } }),
        ),
        template(
            arm,
            Method::POST,
            &format!("{below}/providers/Microsoft.KeyVault/checkNameAvailability?api-version=1"),
            json!({ "name": "n", "type": "Microsoft.KeyVault/vaults" }),
        ),
        template(
            socket,
            Method::POST,
            "/admin/v1/client-secrets",
            json!({ "application": "a", "tenant": "t" }),
        ),
        template(
            socket,
            Method::POST,
            "/node/v1/token",
            json!({ "resource": "https://vault.azure.net",
            "process": { "pid": 1, "uid": 1, "gid": 1, "path": "/bin/app", "sha256": "00", "unit": "u.service" } }),
        ),
        template(
            socket,
            Method::POST,
            "/admin/v1/apply",
            json!({ "state": {
            "tenants": [{ "name": "t", "domain": "t.example" }],
            "vaults": [{ "name": "app", "group": "g", "tenant": "t" }],
            "identities": [{ "name": "reader", "bindings": [{ "path": "/bin/app", "unit": "u.service", "sha256": "00" }] }],
            "applications": [{ "name": "a", "certificates": ["PEM"] }],
            "custom_roles": [{ "name": "r", "description": "d", "actions": ["a/b"], "data_actions": ["a/b"] }],
            "attestation_issuers": [{ "issuer": "https://a.example", "keys": [{ "kty": "EC", "crv": "P-256" }] }],
            "role_assignments": [{ "identity": "reader", "role": "Reader", "scope": { "vault": "app" } }] } }),
        ),
    ];
    // Parts of a desired state one by one, so that one that is refused does not hide the others.
    let parts = templates.last().unwrap().body["state"].as_object().unwrap().clone();
    templates.extend(parts.into_iter().map(|(name, part)| {
        template(socket, Method::POST, "/admin/v1/apply", json!({ "state": { name: part } }))
    }));
    for provider in ["Vouchsafe", "ACME"] {
        let issuer = json!({ "provider": provider, "credentials": { "account_id": "example.test", "pwd": "p" },
            "org_details": { "id": "o", "admin_details": [{ "first_name": "f", "last_name": "l",
                "email": "a@b.example", "phone": "1" }] } });
        templates.push(template(vault, Method::PUT, "/certificates/issuers/i", issuer));
    }
    templates
}

fn percent_encoded(value: &str) -> String {
    value.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// In paths, queries and heads, as it is and encoded.
async fn addresses(server: &RunningServer, value: &str, vault: &str, arm: &str, sent: &mut Sent) {
    let (tls, socket) = (server.https(), server.admin());
    let (vault_host, host) = (server.vault_host("app"), server.host().to_owned());
    let raw: String = value.chars().filter(|letter| !letter.is_whitespace()).collect();
    for spelled in [percent_encoded(value), raw.clone()] {
        for (to, lines) in [
            (
                &vault_host,
                vec![
                    format!("GET /secrets/{spelled}"),
                    format!("GET /secrets/s/{spelled}"),
                    format!("GET /keys/{spelled}"),
                    format!("GET /certificates/{spelled}"),
                    format!("GET /certificates/issuers/{spelled}"),
                    format!("GET /secrets?maxresults={spelled}"),
                    format!("GET /secrets?$skiptoken={spelled}"),
                    format!("GET /secrets/s?outContentType={spelled}"),
                    format!("GET /secrets/s?api-version={spelled}"),
                    format!("GET /pki/{spelled}/ca.crt"),
                ],
            ),
            (
                &host,
                vec![
                    format!("GET /{spelled}/v2.0/.well-known/openid-configuration"),
                    format!("GET /subscriptions/{spelled}?api-version=1"),
                    format!("GET /subscriptions?api-version=1&$filter={spelled}"),
                    format!("GET /common/discovery/instance?authorization_endpoint={spelled}"),
                    format!("GET /{spelled}"),
                    format!("GET /metadata/{spelled}"),
                ],
            ),
        ] {
            for line in lines {
                let token = if to == &vault_host { vault } else { arm };
                let pieces = Pieces::new(format!("{line} HTTP/1.1"), to);
                let pieces = pieces.header(format!("Authorization: Bearer {token}"));
                sent.count(&line, tls.raw(to, &pieces).await);
            }
        }
        for line in [
            format!("POST /admin/v1/token?resource={spelled}"),
            format!("GET /admin/v1/audit?from={spelled}"),
            format!("GET /admin/v1/{spelled}"),
        ] {
            let pieces = Pieces::new(format!("{line} HTTP/1.1"), "vouchsafe");
            sent.count(&line, socket.raw("vouchsafe", &pieces).await);
        }
    }
    for head in [
        "X-Ms-Client-Request-Id",
        "X-Ms-Correlation-Request-Id",
        "X-Vouchsafe-Tenant",
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Original-Url",
        "Forwarded",
        "Referer",
        "User-Agent",
        "Cookie",
        "Accept",
        "Content-Type",
        "Authorization",
    ] {
        let pieces = Pieces::new("GET /secrets/s HTTP/1.1", &vault_host).header(format!("{head}: {raw}"));
        let pieces = match head {
            "Authorization" => pieces,
            _ => pieces.header(format!("Authorization: Bearer {vault}")),
        };
        sent.count(&format!("{head}: {raw}"), tls.raw(&vault_host, &pieces).await);
        let pieces =
            Pieces::new("GET /admin/v1/status HTTP/1.1", "vouchsafe").header(format!("{head}: {raw}"));
        sent.count(&format!("{head}: {raw}, on the socket"), socket.raw("vouchsafe", &pieces).await);
    }
    let pieces = Pieces::new("GET /secrets/s HTTP/1.1", &raw);
    sent.count(&format!("Host: {raw}"), tls.raw("localhost", &pieces).await);
}

/// At the token endpoint.
async fn forms(server: &RunningServer, value: &str, sent: &mut Sent) {
    let spelled = percent_encoded(value);
    let path = format!("/{}/oauth2/v2.0/token", server.endpoints().tenant);
    let usual = [
        ("grant_type", "client_credentials"),
        ("client_id", "6b1a7d3e-0000-4000-8000-00000000c11e"),
        ("scope", "https%3A%2F%2Fvault.azure.net%2F.default"),
        ("client_secret", "s"),
        ("client_assertion", "a.b.c"),
        ("client_assertion_type", "urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer"),
        ("claims", "%7B%7D"),
        ("resource", "https%3A%2F%2Fvault.azure.net"),
    ];
    let mut client = server.https();
    for (bent, _) in usual {
        let fields = usual.map(|(name, value)| {
            let value = if name == bent { &spelled } else { value };
            format!("{name}={value}")
        });
        let answer = client.form(server.host(), &path, &fields.join("&")).await;
        assert_ne!(answer.as_ref().map(|answer| answer.status).unwrap(), StatusCode::OK);
        sent.count(&format!("{bent} is {value:?}"), answer);
    }
}

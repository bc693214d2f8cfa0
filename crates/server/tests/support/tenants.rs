//! Two tenants with two vaults each, and everything that one of them can do, on tape.

use std::collections::BTreeSet;

use data_encoding::BASE64;
use rcgen::{CertificateParams, KeyPair};
use serde_json::json;
use vouchsafe_crypto::jose::{Algorithm, KeyKind, SigningKey, azure_assertion};
use vouchsafe_crypto::x509::Certificate;
use vouchsafe_crypto::{Reason, SecretBytes};
use vouchsafe_domain::access::built_in;
use vouchsafe_domain::directory::ApplicationToPut;
use vouchsafe_domain::ids::{ClientId, PrincipalId, TenantId};
use vouchsafe_domain::ports::Clock;
use vouchsafe_domain::resource::VaultToPut;
use vouchsafe_domain::resource::scope::Scope;
use vouchsafe_testkit::elsewhere::Elsewhere;
use vouchsafe_testkit::world::{KEY_VAULT, ORIGIN};

use super::{Answer, Ask, HOST, InProcess, TLS};

/// A certificate and its key.
pub struct Signer {
    pub certificate: Certificate,
    pub key: SigningKey,
}

impl Signer {
    pub fn new() -> Self {
        let pair = KeyPair::generate().expect("a key");
        let certificate = CertificateParams::default().self_signed(&pair).expect("a certificate");
        let pkcs8 = SecretBytes::new(pair.serialize_der());
        Self {
            certificate: Certificate::from_der(certificate.der()).expect("a certificate"),
            key: SigningKey::from_pkcs8(KeyKind::P256, &pkcs8).expect("a key"),
        }
    }

    pub fn thumbprints(&self) -> [String; 2] {
        let sha256 = self.certificate.sha256();
        [data_encoding::HEXUPPER.encode(&sha256), data_encoding::HEXLOWER.encode(&sha256)]
    }

    pub fn assertion(&self, world: &InProcess, client: &str, tenant: &str) -> String {
        let now = world.opened.clock.now().seconds();
        let audience = format!("{ORIGIN}/{tenant}/oauth2/v2.0/token");
        let claims =
            json!({"aud": audience, "iss": client, "sub": client, "jti": "1", "nbf": now, "exp": now + 600});
        azure_assertion::sign(&self.key, Algorithm::Es256, &self.certificate.sha256(), &claims)
            .expect("signed")
    }
}

/// A tenant with an application that may do everything in its subscription, and two vaults.
pub struct Tenant {
    pub name: &'static str,
    pub id: TenantId,
    pub subscription: String,
    pub client: ClientId,
    pub principal: PrincipalId,
    pub signer: Signer,
    pub secret: String,
}

impl Tenant {
    pub async fn found(world: &InProcess, name: &'static str) -> Self {
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

    pub fn token_path(&self) -> String {
        format!("/{}/oauth2/v2.0/token", self.id)
    }

    pub fn with_secret(&self, resource: &str) -> Ask {
        token_request(&self.token_path(), &self.client.to_string(), resource)
            .appended(&format!("&client_secret={}", self.secret))
    }

    pub fn with_certificate(&self, world: &InProcess, resource: &str) -> Ask {
        let client = self.client.to_string();
        let assertion = self.signer.assertion(world, &client, &self.id.to_string());
        token_request(&self.token_path(), &client, resource).appended(&by_assertion(&assertion))
    }

    pub async fn token(&self, world: &InProcess, resource: &str) -> String {
        let answer = world.ask(TLS, &self.with_secret(resource)).await;
        answer.json()["access_token"].as_str().unwrap_or_else(|| panic!("{answer:?}")).to_owned()
    }

    pub fn vault_host(&self, number: &str) -> String {
        format!("{}-{number}.vault.localhost:8443", self.name)
    }
}

pub fn token_request(path: &str, client: &str, resource: &str) -> Ask {
    let form = format!("grant_type=client_credentials&client_id={client}&scope={resource}/.default");
    Ask::new("POST", HOST, path).body(form)
}

pub fn by_assertion(assertion: &str) -> String {
    let kind = "urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer";
    format!("&client_assertion={assertion}&client_assertion_type={kind}")
}

impl Ask {
    pub fn appended(mut self, text: &str) -> Self {
        self.body += text;
        self
    }

    pub fn is_of_a_vault(&self) -> bool {
        self.host != HOST
    }
}

/// What an answer says, without what differs from request to request.
pub fn said(answer: &Answer) -> (u16, Vec<(String, String)>, String) {
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
pub fn said_of_ghosts(answer: &Answer, ghosts: &[(String, String)]) -> (u16, Vec<(String, String)>, String) {
    let back = |text: String| ghosts.iter().fold(text, |text, (name, ghost)| text.replace(ghost, name));
    let (status, headers, body) = said(answer);
    (status, headers.into_iter().map(|(name, value)| (name, back(value))).collect(), back(body))
}

/// Everything a tenant does, each request with its answer.
pub struct Scenario<'w> {
    pub world: &'w InProcess,
    pub tokens: [String; 2],
    pub tape: Vec<(Ask, Answer)>,
}

impl Scenario<'_> {
    pub fn token_for(&self, ask: &Ask) -> &str {
        if ask.is_of_a_vault() { &self.tokens[1] } else { &self.tokens[0] }
    }

    pub async fn ask(&mut self, ask: Ask) -> Answer {
        let answer = self.world.ask(TLS, &ask.clone().bearer(self.token_for(&ask))).await;
        assert!((200..300).contains(&answer.status), "{ask:?} {answer:?}");
        self.tape.push((ask, answer.clone()));
        answer
    }

    /// What nobody is granted, or no such key can: the refusal is on tape like an answer.
    pub async fn refused(&mut self, method: &str, host: &str, path: &str, body: serde_json::Value) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let ask = Ask::new(method, host, path).body(body);
        let answer = self.world.ask(TLS, &ask.clone().bearer(self.token_for(&ask))).await;
        assert!(matches!(answer.status, 400 | 403), "{ask:?} {answer:?}");
        self.tape.push((ask, answer));
    }

    pub async fn on(&mut self, method: &str, host: &str, path: &str, body: serde_json::Value) -> Answer {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.ask(Ask::new(method, host, path).body(body)).await
    }

    pub async fn read(&mut self, path: &str) -> Answer {
        self.on("GET", HOST, path, json!(null)).await
    }
}

pub const ASSIGNMENT: &str = "aaaaaaaa-0000-4000-8000-000000000001";
pub const ROLE: &str = "aaaaaaaa-0000-4000-8000-000000000002";

/// All operations of Resource Manager that are served, on names that begin with `alpha`.
pub async fn control_plane(tape: &mut Scenario<'_>, tenant: &Tenant) {
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
pub async fn data_plane(tape: &mut Scenario<'_>, host: &str, other: &str) {
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

/// All operations on keys, on names that begin with `alpha`.
pub async fn keys(tape: &mut Scenario<'_>, host: &str, other: &str) {
    let made = tape.on("POST", host, "/keys/alpha-ec/create", json!({"kty": "EC", "tags": {"a": "b"}})).await;
    let kid = made.json()["key"]["kid"].as_str().expect("an id").to_owned();
    let version = kid.rsplit('/').next().expect("a version").to_owned();
    tape.on("POST", host, "/keys/alpha-aes/create", json!({"kty": "oct", "key_size": 256})).await;
    // RFC 7515 appendix A.3.1.
    let key = json!({"kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        "d": "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"});
    tape.on("PUT", host, "/keys/alpha-theirs", json!({"key": key})).await;
    tape.on("PATCH", host, &format!("/keys/alpha-ec/{version}"), json!({"tags": {"alpha-tag": "1"}})).await;
    let digest = data_encoding::BASE64URL_NOPAD.encode(&[7; 32]);
    let sign = json!({"alg": "ES256", "value": digest});
    let signed = tape.on("POST", host, "/keys/alpha-ec//sign", sign).await.json();
    let verify = json!({"alg": "ES256", "digest": digest, "value": signed["value"]});
    tape.on("POST", host, &format!("/keys/alpha-ec/{version}/verify"), verify).await;
    for (there, back, algorithm) in [("encrypt", "decrypt", "A256GCM"), ("wrapkey", "unwrapkey", "A256KW")] {
        let body = json!({"alg": algorithm, "value": digest});
        let mut given = tape.on("POST", host, &format!("/keys/alpha-aes//{there}"), body).await.json();
        given["alg"] = json!(algorithm);
        tape.on("POST", host, &format!("/keys/alpha-aes//{back}"), given).await;
    }
    tape.refused("POST", host, "/keys/alpha-ec//release", json!({"target": "alpha"})).await;
    tape.refused("GET", host, &format!("/keys/alpha-ec/{version}/attestation"), json!(null)).await;
    tape.on("POST", host, "/rng", json!({"count": 8})).await;
    tape.on("PUT", host, "/keys/alpha-ec/rotationpolicy", json!({"attributes": {"expiryTime": "P1Y"}})).await;
    tape.on("POST", host, "/keys/alpha-ec/rotate", json!(null)).await;
    let backup = tape.on("POST", host, "/keys/alpha-ec/backup", json!(null)).await.json();
    tape.on("POST", other, "/keys/restore", json!({"value": backup["value"]})).await;
    for name in ["alpha-kept", "alpha-back", "alpha-gone"] {
        tape.on("POST", host, &format!("/keys/{name}/create"), json!({"kty": "EC"})).await;
        tape.on("DELETE", host, &format!("/keys/{name}"), json!(null)).await;
    }
    tape.on("POST", host, "/deletedkeys/alpha-back/recover", json!(null)).await;
    tape.on("DELETE", host, "/deletedkeys/alpha-gone", json!(null)).await;
    for path in [
        "/keys",
        "/keys?maxresults=1",
        "/keys/alpha-ec",
        &format!("/keys/alpha-ec/{version}"),
        "/keys/alpha-ec/versions",
        "/keys/alpha-ec/rotationpolicy",
        "/deletedkeys",
        "/deletedkeys/alpha-kept",
    ] {
        tape.on("GET", host, path, json!(null)).await;
    }
}

/// All operations on certificates, on names that begin with `alpha`.
pub async fn certificates(tape: &mut Scenario<'_>, host: &str, other: &str) {
    let contacts = json!({"contacts": [{"email": "alpha@alpha.test"}]});
    tape.on("PUT", host, "/certificates/contacts", contacts.clone()).await;
    tape.on("DELETE", host, "/certificates/contacts", json!(null)).await;
    tape.on("PUT", host, "/certificates/contacts", contacts).await;
    let issuer = "/certificates/issuers/alpha-ca";
    let account = |rules: &str| json!({"provider": "Vouchsafe", "credentials": {"account_id": rules}});
    tape.on("PUT", host, issuer, account("alpha.test")).await;
    tape.on("PATCH", host, issuer, account("alpha.test days:90")).await;
    tape.on("PUT", host, "/certificates/issuers/alpha-spare", json!({"provider": "Test"})).await;
    tape.on("DELETE", host, "/certificates/issuers/alpha-spare", json!(null)).await;
    let wanted = |issuer: &str| {
        json!({"policy": {"issuer": {"name": issuer}, "key_props": {"kty": "EC", "crv": "P-256"},
            "secret_props": {"contentType": "application/x-pem-file"},
            "x509_props": {"subject": "CN=alpha.test", "validity_months": 2}}})
    };
    tape.on("POST", host, "/certificates/alpha-web/create", wanted("alpha-ca")).await;
    tape.on("GET", host, "/certificates/alpha-web/pending", json!(null)).await;
    let made = tape.on("GET", host, "/certificates/alpha-web", json!(null)).await.json();
    let version = made["id"].as_str().and_then(|id| id.rsplit('/').next()).expect("a version").to_owned();
    let of_version = format!("/certificates/alpha-web/{version}");
    tape.on("PATCH", host, &of_version, json!({"tags": {"alpha-tag": "1"}})).await;
    tape.on("POST", host, &format!("{of_version}/revoke"), json!({"reason": "superseded"})).await;
    let actions = json!({"lifetime_actions": [
        {"trigger": {"lifetime_percentage": 70}, "action": {"action_type": "EmailContacts"}}]});
    tape.on("PATCH", host, "/certificates/alpha-web/policy", actions).await;

    let elsewhere = Elsewhere::new();
    tape.on("POST", host, "/certificates/alpha-csr/create", wanted("Unknown")).await;
    let pending = tape.on("GET", host, "/certificates/alpha-csr/pending", json!(null)).await.json();
    let csr = BASE64.decode(pending["csr"].as_str().expect("a request").as_bytes()).expect("base64");
    let x5c = json!({"x5c": [BASE64.encode(&elsewhere.answer(&csr)), BASE64.encode(&elsewhere.certificate)]});
    tape.on("POST", host, "/certificates/alpha-csr/pending/merge", x5c).await;
    tape.on("POST", host, "/certificates/alpha-never/create", wanted("Unknown")).await;
    let ends = json!({"cancellation_requested": true});
    tape.on("PATCH", host, "/certificates/alpha-never/pending", ends).await;
    tape.on("DELETE", host, "/certificates/alpha-never/pending", json!(null)).await;

    let file = json!({"value": elsewhere.pem().expose(Reason::Test)});
    for name in ["alpha-cert", "alpha-cert-kept", "alpha-cert-back", "alpha-cert-gone"] {
        tape.on("POST", host, &format!("/certificates/{name}/import"), file.clone()).await;
    }
    let backup = tape.on("POST", host, "/certificates/alpha-cert/backup", json!(null)).await.json();
    tape.on("POST", other, "/certificates/restore", json!({"value": backup["value"]})).await;
    for name in ["alpha-cert-kept", "alpha-cert-back", "alpha-cert-gone"] {
        tape.on("DELETE", host, &format!("/certificates/{name}"), json!(null)).await;
    }
    tape.on("POST", host, "/deletedcertificates/alpha-cert-back/recover", json!(null)).await;
    tape.on("DELETE", host, "/deletedcertificates/alpha-cert-gone", json!(null)).await;
    for path in [
        "/certificates",
        "/certificates?maxresults=1&includePending=true",
        "/certificates/contacts",
        "/certificates/issuers",
        issuer,
        "/certificates/alpha-web/",
        &of_version,
        "/certificates/alpha-web/versions",
        "/certificates/alpha-web/policy",
        "/secrets/alpha-web",
        "/keys/alpha-web",
        "/deletedcertificates",
        "/deletedcertificates/alpha-cert-kept",
    ] {
        tape.on("GET", host, path, json!(null)).await;
    }
}

/// Names of the first tenant, each with one of the same length that nothing has.
pub fn ghosts(tenant: &Tenant, tape: &[(Ask, Answer)]) -> Vec<(String, String)> {
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
        let id = json["id"].as_str().or(json["key"]["kid"].as_str());
        let version = id.and_then(|id| id.rsplit('/').next()).filter(|version| version.len() == 32);
        names.extend(version.map(|version| (version.to_owned(), "9".repeat(32))));
    }
    let mut seen = BTreeSet::new();
    names.retain(|(name, _)| seen.insert(name.clone()));
    names
}

pub struct Two {
    pub world: InProcess,
    pub alpha: Tenant,
    pub bravo: Tenant,
}

impl Two {
    pub async fn found(seed: u64) -> Self {
        let world = InProcess::found(seed).await;
        let (alpha, bravo) = (Tenant::found(&world, "alpha").await, Tenant::found(&world, "bravo").await);
        for name in ["bravo-one", "bravo-two"] {
            world.opened.put_vault(bravo.id, name, &VaultToPut::default()).await;
        }
        Self { world, alpha, bravo }
    }

    pub async fn tokens(&self, tenant: &Tenant) -> [String; 2] {
        [tenant.token(&self.world, ORIGIN).await, tenant.token(&self.world, KEY_VAULT).await]
    }

    pub async fn scenario(&self) -> Scenario<'_> {
        let tokens = self.tokens(&self.alpha).await;
        let mut scenario = Scenario { world: &self.world, tokens, tape: Vec::new() };
        control_plane(&mut scenario, &self.alpha).await;
        let (one, two) = (self.alpha.vault_host("one"), self.alpha.vault_host("two"));
        data_plane(&mut scenario, &one, &two).await;
        keys(&mut scenario, &one, &two).await;
        certificates(&mut scenario, &one, &two).await;
        scenario
    }

    /// What a tenant sees when it reads everything it read before.
    pub async fn reads(&self, scenario: &Scenario<'_>) -> Vec<(u16, Vec<(String, String)>, String)> {
        let mut seen = Vec::new();
        for (ask, told) in scenario.tape.iter().filter(|(ask, _)| ask.method == "GET") {
            let answer = self.world.ask(TLS, &ask.clone().bearer(scenario.token_for(ask))).await;
            assert_eq!(answer.status, told.status, "{ask:?} {answer:?}");
            seen.push(said(&answer));
        }
        seen
    }
}

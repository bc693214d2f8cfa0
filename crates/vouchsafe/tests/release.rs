//! Secure key release from a token, as an application asks for it that was written for Azure: what is made in the token is
//! wrapped there, opens in the environment that was vouched for as the key that it is, and for nobody else.

use data_encoding::BASE64URL_NOPAD;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use vouchsafe_crypto::SecretBytes;
use vouchsafe_crypto::jose::{Algorithm, JwkSet, KeyKind, SigningKey};
use vouchsafe_crypto::keys::{
    CiphertextParts, EncryptionAlgorithm, KeySpec, PrivateKey, PublicKey, SignatureAlgorithm, transport,
};
use vouchsafe_testkit::running::{Installation, RunningServer, Token};
use vouchsafe_testkit::suites::hsm::without_filling;

const PROGRAM: &str = env!("CARGO_BIN_EXE_vouchsafe");
const AUTHORITY: &str = "https://attest.example";

/// A server with a token that believes one attestation service, and an environment that the service vouches for.
struct Bench {
    installation: Installation,
    server: RunningServer,
    bearer: String,
    service: SigningKey,
    environment: PrivateKey,
}

impl Bench {
    async fn new() -> Option<Self> {
        let installation = Installation::init(PROGRAM);
        let token = Token::make(installation.scratch())?;
        let server = installation.serve(&token.environment()).await;
        let service = SigningKey::generate(KeyKind::P256);
        let mut keys = JwkSet::new();
        assert!(keys.insert("one", service.public().clone(), Algorithm::Es256));
        let state = json!({ "state": {
            "vaults": [{ "name": "app", "sku": "premium" }, { "name": "plain" }],
            "attestation_issuers": [{ "issuer": AUTHORITY, "keys": keys }],
        } });
        let state = state.to_string();
        let mut admin = server.admin();
        let applied = admin
            .request(Method::POST, "vouchsafe", "/admin/v1/apply", None, Some(state.as_bytes()))
            .await
            .expect("an answer");
        assert_eq!(applied.status, StatusCode::OK, "{}", applied.text());
        let bearer = server.token("https://vault.azure.net").await;
        let environment = PrivateKey::generate(KeySpec::Rsa2048);
        Some(Self { installation, server, bearer, service, environment })
    }

    async fn ask(&self, method: Method, vault: &str, path: &str, body: &Value) -> (StatusCode, Value) {
        let body = body.to_string();
        let body = (method != Method::GET).then_some(body.as_bytes());
        let (mut client, host) = (self.server.https(), self.server.vault_host(vault));
        let path = format!("{path}?api-version=7.4");
        let answer = client.request(method, &host, &path, Some(&self.bearer), body).await.expect("an answer");
        (answer.status, answer.json())
    }

    async fn done(&self, method: Method, path: &str, body: &Value) -> Value {
        let (status, answer) = self.ask(method, "app", path, body).await;
        assert_eq!(status, StatusCode::OK, "{path}: {answer}");
        answer
    }

    async fn is_refused(&self, path: &str, body: &Value, status: StatusCode, says: &str) {
        let (was, answer) = self.ask(Method::POST, "app", path, body).await;
        assert_eq!(was, status, "{path}: {answer}");
        assert!(answer.to_string().contains(says), "{path}: {answer}");
    }

    /// What the service says of the environment: that it is of this type.
    fn target(&self, of_type: &str) -> Value {
        // The server's clock: the caller's token was issued just now.
        let bearer = json_in(&json!(self.bearer.split('.').nth(1).expect("a payload")));
        let now = bearer["iat"].as_u64().expect("a moment");
        let Some(PublicKey::Rsa { n, e }) = self.environment.public() else { panic!("an RSA key") };
        let key = json!({
            "kid": "TpmEphemeralEncryptionKey", "kty": "RSA", "key_ops": ["encrypt"], "n": text(&n), "e": text(&e),
        });
        let claims = json!({
            "iss": AUTHORITY, "nbf": now, "iat": now, "exp": now + 600,
            "x-ms-attestation-type": of_type, "x-ms-runtime": { "keys": [key] },
        });
        let header = json!({ "alg": "ES256", "kid": "one", "typ": "JWT" });
        let unsigned =
            format!("{}.{}", text(header.to_string().as_bytes()), text(claims.to_string().as_bytes()));
        let signature = self.service.sign(Algorithm::Es256, unsigned.as_bytes()).expect("signed");
        json!(format!("{unsigned}.{}", text(&signature)))
    }

    /// What is in the answer, opened by the environment. Nothing else is in there that the key could be read from.
    fn opened(&self, released: &Value, enc: &str) -> SecretBytes {
        let jws = released["value"].as_str().expect("a JWS");
        let payload = json_in(&json!(jws.split('.').nth(1).expect("a payload")));
        let key = &payload["response"]["key"]["key"];
        assert_eq!(payload["request"]["enc"], enc);
        let wrapped = json_in(&key["key_hsm"]);
        assert_eq!(wrapped["header"]["enc"], enc);
        let blob = bytes(&wrapped["ciphertext"]);
        let oaep = match enc {
            "CKM_RSA_AES_KEY_WRAP" => EncryptionAlgorithm::RsaOaep,
            _ => EncryptionAlgorithm::RsaOaep256,
        };
        let (outer, inner) = blob.split_at(self.environment.spec().bytes());
        let aes = self.environment.decrypt(oaep, &CiphertextParts::of(outer)).expect("its AES key");
        transport::unwrap_key(&aes, inner).expect("the key")
    }
}

fn text(bytes: &[u8]) -> String {
    BASE64URL_NOPAD.encode(bytes)
}

fn bytes(value: &Value) -> Vec<u8> {
    BASE64URL_NOPAD.decode(value.as_str().expect("text").as_bytes()).expect("base64url")
}

fn json_in(value: &Value) -> Value {
    serde_json::from_slice(&bytes(value)).expect("JSON")
}

/// The body of an application that was written for Azure.
fn exportable(kty: &str) -> Value {
    let policy = json!({ "version": "1.0.0", "anyOf": [{
        "authority": AUTHORITY, "allOf": [{ "claim": "x-ms-attestation-type", "equals": "sevsnpvm" }],
    }] });
    json!({
        "kty": kty,
        "attributes": { "exportable": true },
        "release_policy": { "data": text(policy.to_string().as_bytes()) },
    })
}

#[tokio::test]
async fn a_key_of_a_token_is_released_to_an_attested_environment_and_is_the_key() {
    let Some(bench) = Bench::new().await else { return };
    for (name, kty, enc) in [
        ("rsa", "RSA-HSM", "CKM_RSA_AES_KEY_WRAP"),
        ("curve", "EC-HSM", "RSA_AES_KEY_WRAP_256"),
        ("aes", "oct-HSM", "RSA_AES_KEY_WRAP_256"),
    ] {
        let made = bench.done(Method::POST, &format!("/keys/{name}/create"), &exportable(kty)).await;
        assert_eq!((&made["key"]["kty"], &made["attributes"]["exportable"]), (&json!(kty), &json!(true)));
        let body = json!({ "target": bench.target("sevsnpvm"), "enc": enc });
        // Twice: with another AES key each time, and every time it is the key.
        for _ in 0..2 {
            let released = bench.done(Method::POST, &format!("/keys/{name}//release"), &body).await;
            is_the_key(&bench, name, &made, &bench.opened(&released, enc)).await;
        }
        // The statement about it says that it can leave, as it is.
        let attested = bench.done(Method::GET, &format!("/keys/{name}//attestation"), &Value::Null).await;
        let statement = bytes(&attested["attributes"]["attestation"]["privateKeyAttestation"]);
        let statement = String::from_utf8(statement).expect("a JWS");
        let payload = json_in(&json!(statement.split('.').nth(1).expect("a payload")));
        for (attribute, value) in [
            ("CKA_SENSITIVE", true),
            ("CKA_ALWAYS_SENSITIVE", true),
            ("CKA_LOCAL", true),
            ("CKA_EXTRACTABLE", true),
            ("CKA_NEVER_EXTRACTABLE", false),
        ] {
            assert_eq!(payload["attributes"][attribute], json!(value), "{attribute} of {name}");
        }
    }
    bench.installation.verify_audit();
}

/// Whether what the environment has is what the vault has: a signature of one verifies with the other, and what one
/// encrypts the other decrypts.
async fn is_the_key(bench: &Bench, name: &str, made: &Value, clear: &SecretBytes) {
    if made["key"]["kty"] == "oct-HSM" {
        let key = PrivateKey::from_material(KeySpec::Oct256, clear).expect("an AES key");
        let asked = json!({ "alg": "A256GCM", "value": text(b"hello") });
        let encrypted = bench.done(Method::POST, &format!("/keys/{name}//encrypt"), &asked).await;
        let [value, iv, tag] = ["value", "iv", "tag"].map(|member| bytes(&encrypted[member]));
        let parts = CiphertextParts { value: &value, iv: Some(&iv), tag: Some(&tag), aad: None };
        let decrypted = key.decrypt(EncryptionAlgorithm::A256Gcm, &parts).expect("decrypted");
        assert!(decrypted.matches(b"hello"));
        return;
    }
    let key = PrivateKey::from_pkcs8(&without_filling(clear)).expect("PKCS #8");
    let algorithm = match key.public().expect("a public half") {
        PublicKey::Rsa { n, .. } => {
            assert_eq!(text(&n), made["key"]["n"]);
            SignatureAlgorithm::Ps256
        }
        PublicKey::Ec { x, y, .. } => {
            assert_eq!(
                (json!(text(&x)), json!(text(&y))),
                (made["key"]["x"].clone(), made["key"]["y"].clone())
            );
            SignatureAlgorithm::Es256
        }
    };
    let signature = key.sign(algorithm, &[7; 32]).expect("signed");
    let asked = json!({ "alg": algorithm.as_str(), "digest": text(&[7; 32]), "value": text(&signature) });
    let verified = bench.done(Method::POST, &format!("/keys/{name}//verify"), &asked).await;
    assert_eq!(verified["value"], true, "{name}");
    // The key in the token works on: nothing about it has changed.
    let asked = json!({ "alg": algorithm.as_str(), "value": text(&[8; 32]) });
    let signed = bench.done(Method::POST, &format!("/keys/{name}//sign"), &asked).await;
    let public = key.public().expect("a public half");
    assert_eq!(public.verify(algorithm, &[8; 32], &bytes(&signed["value"])), Ok(true));
}

#[tokio::test]
async fn a_key_of_a_token_leaves_for_nobody_else() {
    let Some(bench) = Bench::new().await else { return };
    let (bad, forbidden) = (StatusCode::BAD_REQUEST, StatusCode::FORBIDDEN);
    let mut without = exportable("RSA-HSM");
    without.as_object_mut().expect("an object").remove("release_policy");
    bench.is_refused("/keys/without/create", &without, bad, "release policy").await;
    let mut kept = exportable("EC-HSM");
    kept.as_object_mut().expect("an object").remove("attributes");
    bench.is_refused("/keys/without/create", &kept, bad, "release policy").await;
    // What others wrapped for an exchange key would be in the hands of whoever it is released to.
    let mut exchange = exportable("RSA-HSM");
    exchange["key_ops"] = json!(["import"]);
    bench.is_refused("/keys/without/create", &exchange, bad, "never leave").await;
    let (status, _) = bench.ask(Method::POST, "plain", "/keys/k/create", &exportable("RSA-HSM")).await;
    assert_eq!(status, bad, "a vault of the SKU standard");

    bench.done(Method::POST, "/keys/kept/create", &json!({ "kty": "EC-HSM" })).await;
    bench.done(Method::POST, "/keys/leaves/create", &exportable("EC-HSM")).await;
    let good = json!({ "target": bench.target("sevsnpvm") });
    let says = "KeyReleaseForbidden";
    bench.is_refused("/keys/kept//release", &good, forbidden, says).await;
    let wrong = json!({ "target": bench.target("sgx") });
    bench.is_refused("/keys/leaves//release", &wrong, forbidden, says).await;
    let stranger = Bench { service: SigningKey::generate(KeyKind::P256), ..bench };
    let wrong = json!({ "target": stranger.target("sevsnpvm") });
    stranger.is_refused("/keys/leaves//release", &wrong, forbidden, says).await;
    // The same with nothing wrong.
    let released = stranger.done(Method::POST, "/keys/leaves//release", &good).await;
    let clear = stranger.opened(&released, "CKM_RSA_AES_KEY_WRAP");
    assert!(PrivateKey::from_pkcs8(&without_filling(&clear)).is_ok());
    stranger.installation.verify_audit();
}

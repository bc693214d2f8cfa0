//! Secure key release: what leaves and for whom, and every way in which somebody else might get it. The environment of
//! these tests unwraps with OpenSSL, which knows nothing of us.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use vouchsafe_crypto::Reason;
use vouchsafe_crypto::jose::{Algorithm, JwkSet, KeyKind, PublicKey, SigningKey};
use vouchsafe_crypto::keys::{KeySpec, PrivateKey};
use vouchsafe_crypto::pki::{ParsedCertificate, to_pem};
use vouchsafe_domain::access::built_in;
use vouchsafe_domain::audit::Outcome;
use vouchsafe_domain::directory::AttestationIssuer;
use vouchsafe_domain::ports::{Clock, Log};
use vouchsafe_domain::resource::scope::Scope;
use vouchsafe_testkit::world::KEY_VAULT;

use crate::keys::{bytes, published_key, text};
use crate::support::{Ask, TLS};
use crate::{Bench, VAULT, refusal};

const AUTHORITY: &str = "https://attest.example";
const ANOTHER: &str = "https://other.example";
const STRANGER: &str = "https://stranger.example";

/// An attestation service.
struct Service {
    key: SigningKey,
}

impl Service {
    fn new() -> Self {
        Self { key: SigningKey::generate(KeyKind::P256) }
    }

    fn keys(&self) -> JwkSet {
        let mut keys = JwkSet::new();
        assert!(keys.insert("one", self.key.public().clone(), Algorithm::Es256));
        keys
    }

    fn token(&self, claims: &Value) -> String {
        self.token_with(
            &json!({"alg": "ES256", "kid": "one", "typ": "JWT", "jku": "https://evil.example/certs"}),
            claims,
        )
    }

    fn token_with(&self, header: &Value, claims: &Value) -> String {
        let unsigned =
            format!("{}.{}", text(header.to_string().as_bytes()), text(claims.to_string().as_bytes()));
        let signature = self.key.sign(Algorithm::Es256, unsigned.as_bytes()).unwrap();
        format!("{unsigned}.{}", text(&signature))
    }
}

/// An environment: a key that never leaves it.
struct Environment {
    key: PrivateKey,
}

impl Environment {
    fn new(spec: KeySpec) -> Self {
        Self { key: PrivateKey::generate(spec) }
    }

    /// Its public half, as it stands in a token.
    fn jwk(&self) -> Value {
        let Some(vouchsafe_crypto::keys::PublicKey::Rsa { n, e }) = self.key.public() else {
            panic!("an RSA key")
        };
        json!({"kid": "TpmEphemeralEncryptionKey", "kty": "RSA", "key_ops": ["encrypt"], "n": text(&n), "e": text(&e)})
    }

    /// What an operator of the environment does with OpenSSL: OAEP, then AES key wrap with padding.
    fn unwrap(&self, ciphertext: &[u8], hash: &str) -> Vec<u8> {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name).display().to_string();
        let pkcs8 = self.key.to_pkcs8().unwrap();
        std::fs::write(path("key.pem"), to_pem("PRIVATE KEY", pkcs8.expose(Reason::Test))).unwrap();
        let (outer, inner) = ciphertext.split_at(self.key.spec().bytes());
        std::fs::write(path("outer"), outer).unwrap();
        std::fs::write(path("inner"), inner).unwrap();
        let (hash, mgf) = (format!("rsa_oaep_md:{hash}"), format!("rsa_mgf1_md:{hash}"));
        openssl(&[
            "pkeyutl",
            "-decrypt",
            "-inkey",
            &path("key.pem"),
            "-in",
            &path("outer"),
            "-out",
            &path("aes"),
            "-pkeyopt",
            "rsa_padding_mode:oaep",
            "-pkeyopt",
            &hash,
            "-pkeyopt",
            &mgf,
        ]);
        let aes = data_encoding::HEXLOWER.encode(&std::fs::read(path("aes")).unwrap());
        openssl(&[
            "enc",
            "-d",
            "-id-aes256-wrap-pad",
            "-iv",
            "A65959A6",
            "-K",
            &aes,
            "-in",
            &path("inner"),
            "-out",
            &path("clear"),
        ]);
        std::fs::read(Path::new(&path("clear"))).unwrap()
    }
}

fn openssl(arguments: &[&str]) {
    let ran = Command::new("openssl").args(arguments).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
}

/// A vault whose tenant trusts two services, and an environment.
struct Scene {
    bench: Bench,
    service: Service,
    another: Service,
    environment: Environment,
}

impl Scene {
    async fn new(seed: u64) -> Self {
        let bench = Bench::new(seed).await;
        let (service, another) = (Service::new(), Service::new());
        let scene = Self { bench, service, another, environment: Environment::new(KeySpec::Rsa2048) };
        scene.trust(AUTHORITY, scene.service.keys()).await;
        scene.trust(ANOTHER, scene.another.keys()).await;
        scene
    }

    async fn trust(&self, issuer: &str, keys: JwkSet) {
        let (opened, home) = (&self.bench.server.opened, self.bench.server.memory.home);
        let issuer = AttestationIssuer::new(issuer, keys).unwrap();
        let caller = opened.administrator(home);
        opened.platform.put_attestation_issuer(&opened.context(), &caller, home, &issuer).await.unwrap();
    }

    fn now(&self) -> u64 {
        self.bench.server.opened.clock.now().seconds()
    }

    /// What an honest service says of an honest environment.
    fn claims(&self) -> Value {
        json!({
            "iss": AUTHORITY, "nbf": self.now(), "iat": self.now(), "exp": self.now() + 8 * 3_600, "jti": "1",
            "x-ms-attestation-type": "sevsnpvm", "x-ms-compliance-status": "azure-compliant-cvm",
            "level": 3, "debuggable": false,
            "x-ms-isolation-tee": {"x-ms-attestation-type": "sevsnpvm", "hostdata": {"digest": "abc"}},
            "x-ms-runtime": {"keys": [self.environment.jwk(), {"kid": "HCLAkPub", "kty": "RSA", "key_ops": ["sign"]}]},
        })
    }

    /// An honest token, but for some claims.
    fn but(&self, changes: Value) -> String {
        let mut claims = self.claims();
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        self.service.token(&claims)
    }

    async fn exportable(&self, name: &str, kind: Value, policy: &Value) -> Value {
        let path = format!("/keys/{name}/create?api-version=7.4");
        self.bench.done("POST", &path, exportable(kind, policy)).await
    }

    async fn release(&self, name: &str, target: &str, more: Value) -> (u16, Value) {
        let mut body = json!({ "target": target });
        for (member, value) in more.as_object().unwrap() {
            body[member] = value.clone();
        }
        let path = format!("/keys/{name}//release?api-version=7.4");
        let answer = self.bench.ask("POST", &path, body).await;
        (answer.status, answer.json())
    }

    async fn is_refused(&self, what: &str, name: &str, target: &str) {
        let (status, answer) = self.release(name, target, json!({})).await;
        let inner = &answer["error"]["innererror"]["code"];
        assert_eq!((status, inner), (403, &json!("KeyReleaseForbidden")), "{what}: {answer}");
    }

    /// What was released, once the signature is that of a key that the tenant publishes.
    async fn verified(&self, answer: &Value) -> Value {
        let jws = answer["value"].as_str().unwrap();
        let parts: Vec<&str> = jws.split('.').collect();
        let [header, payload, signature] = parts[..] else { panic!("three parts") };
        let json = |part: &str| serde_json::from_slice::<Value>(&bytes(&json!(part))).unwrap();
        let head = json(header);
        let certificate = data_encoding::BASE64.decode(head["x5c"][0].as_str().unwrap().as_bytes()).unwrap();
        let certificate = ParsedCertificate::from_der(&certificate).unwrap();
        assert!(certificate.is_signed_by(&certificate));
        assert_eq!(bytes(&head["x5t#S256"]), certificate.sha256());
        assert!(certificate.validity().holds_at(self.now()));
        let key = PublicKey::from_spki_der(certificate.spki_der()).unwrap();
        let unsigned = format!("{header}.{payload}");
        assert_eq!(head["alg"], "RS256");
        key.verify(Algorithm::Rs256, unsigned.as_bytes(), &bytes(&json!(signature))).unwrap();
        let home = self.bench.server.memory.home;
        let keys = Ask::new("GET", "localhost:8443", &format!("/{home}/discovery/v2.0/keys"));
        let keys = self.bench.server.ask(TLS, &keys).await.json();
        let published =
            keys["keys"].as_array().unwrap().iter().find(|key| key["kid"] == head["kid"]).unwrap();
        let published = PublicKey::from_jwk(published.to_string().as_bytes()).unwrap();
        assert_eq!(published.thumbprint(), key.thumbprint(), "another key signed than the tenant's");
        json(payload)
    }
}

fn exportable(mut kind: Value, policy: &Value) -> Value {
    kind["attributes"] = json!({"exportable": true});
    kind["release_policy"] = json!({"data": text(policy.to_string().as_bytes())});
    kind
}

fn policy(conditions: Value) -> Value {
    let mut authority = json!({"authority": AUTHORITY});
    for (name, value) in conditions.as_object().unwrap() {
        authority[name] = value.clone();
    }
    json!({"version": "1.0.0", "anyOf": [authority]})
}

fn usual_policy() -> Value {
    policy(json!({"allOf": [
        {"claim": "x-ms-attestation-type", "equals": "sevsnpvm"},
        {"claim": "x-ms-compliance-status", "equals": "azure-compliant-cvm"},
    ]}))
}

#[tokio::test]
async fn a_key_is_released_to_an_attested_environment_and_is_the_key() {
    let scene = Scene::new(71).await;
    let target = scene.service.token(&scene.claims());
    let octets = [9; 32];
    let body = exportable(
        json!({"key": {"kty": "oct", "k": text(&octets), "key_ops": ["wrapKey"]}}),
        &usual_policy(),
    );
    scene.bench.done("PUT", "/keys/symmetric", body).await;
    scene
        .bench
        .done("PUT", "/keys/curve", exportable(json!({"key": published_key()}), &usual_policy()))
        .await;
    // What it may be used for does not matter.
    let made = scene.exportable("rsa", json!({"kty": "RSA", "key_ops": ["sign"]}), &usual_policy()).await;
    for (name, enc, hash) in [
        ("rsa", None, "sha1"),
        ("rsa", Some("CKM_RSA_AES_KEY_WRAP"), "sha1"),
        ("curve", Some("RSA_AES_KEY_WRAP_256"), "sha256"),
        ("symmetric", Some("RSA_AES_KEY_WRAP_384"), "sha384"),
    ] {
        let (status, answer) = scene.release(name, &target, json!({"nonce": "fresh", "enc": enc})).await;
        assert_eq!(status, 200, "{name}: {answer}");
        let payload = scene.verified(&answer).await;
        let request = &payload["request"];
        let enc = enc.unwrap_or("CKM_RSA_AES_KEY_WRAP");
        assert_eq!(request["enc"], enc);
        assert_eq!((&request["nonce"], &request["api-version"]), (&json!("fresh"), &json!("7.4")));
        let key = &payload["response"]["key"];
        assert_eq!(request["kid"], key["key"]["kid"]);
        assert_eq!(key["attributes"]["exportable"], true);
        assert!(key["release_policy"]["data"].is_string());
        let wrapped: Value = serde_json::from_slice(&bytes(&key["key"]["key_hsm"])).unwrap();
        assert_eq!(wrapped["schema_version"], "1.0");
        assert_eq!(wrapped["header"], json!({"alg": "dir", "enc": enc, "kid": "TpmEphemeralEncryptionKey"}));
        let clear = scene.environment.unwrap(&bytes(&wrapped["ciphertext"]), hash);
        if name == "symmetric" {
            assert_eq!(clear, octets);
            continue;
        }
        let released = PrivateKey::from_pkcs8(&vouchsafe_crypto::SecretBytes::new(clear)).unwrap();
        match released.public().unwrap() {
            vouchsafe_crypto::keys::PublicKey::Rsa { n, .. } => assert_eq!(text(&n), made["key"]["n"]),
            vouchsafe_crypto::keys::PublicKey::Ec { x, .. } => assert_eq!(text(&x), published_key()["x"]),
        }
    }
}

#[tokio::test]
async fn who_cannot_prove_what_it_is_gets_no_key() {
    let mut scene = Scene::new(72).await;
    scene.exportable("key", json!({"kty": "EC"}), &usual_policy()).await;
    let now = scene.now();
    let unsigned = |header: Value| {
        format!("{}.{}.", text(header.to_string().as_bytes()), text(scene.claims().to_string().as_bytes()))
    };
    let stranger = Service::new();
    let jwk = serde_json::to_value(stranger.keys()).unwrap()["keys"][0].clone();
    let (small, second) = (
        json!({"kid": "k", "kty": "RSA", "key_ops": ["encrypt"], "n": text(&[0xff; 128]), "e": "AQAB"}),
        Environment::new(KeySpec::Rsa2048).jwk(),
    );
    let runtime = |keys: Value| scene.but(json!({"x-ms-runtime": {"keys": keys}}));
    let with = |name: &str, value: Value| {
        let mut jwk = scene.environment.jwk();
        jwk[name] = value;
        runtime(json!([jwk]))
    };
    let header = |header: Value| scene.service.token_with(&header, &scene.claims());
    let good = scene.service.token(&scene.claims());
    let cut = good.rsplit_once('.').unwrap().0;
    let cases = [
        ("nothing", String::new()),
        ("no token", "a.b.c".to_owned()),
        ("no signature", format!("{cut}.")),
        ("alg none", unsigned(json!({"alg": "none", "kid": "one"}))),
        ("HS256 with the public key", unsigned(json!({"alg": "HS256", "kid": "one"})) + &text(&[1; 32])),
        ("another algorithm", header(json!({"alg": "RS256", "kid": "one"}))),
        ("no kid", header(json!({"alg": "ES256"}))),
        ("an unknown kid", header(json!({"alg": "ES256", "kid": "two"}))),
        ("a key of its own", stranger.token(&scene.claims())),
        (
            "a key in the header",
            stranger.token_with(&json!({"alg": "ES256", "kid": "one", "jwk": jwk}), &scene.claims()),
        ),
        ("a critical extension", header(json!({"alg": "ES256", "kid": "one", "crit": ["b64"]}))),
        ("another type", header(json!({"alg": "ES256", "kid": "one", "typ": "at+jwt"}))),
        ("another trusted service", scene.another.token(&scene.claims())),
        (
            "as itself",
            scene.another.token(&{
                let mut claims = scene.claims();
                claims["iss"] = json!(ANOTHER);
                claims
            }),
        ),
        ("another issuer", scene.but(json!({"iss": STRANGER}))),
        ("an issuer that is nearly the same", scene.but(json!({"iss": format!("{AUTHORITY}/")}))),
        ("no issuer", scene.but(json!({"iss": null}))),
        ("expired", scene.but(json!({"nbf": now - 900, "iat": now - 900, "exp": now - 100}))),
        ("not yet valid", scene.but(json!({"nbf": now + 600}))),
        ("issued in the future", scene.but(json!({"iat": now + 600}))),
        ("without an end", scene.but(json!({"exp": null}))),
        ("an end as text", scene.but(json!({"exp": (now + 60).to_string()}))),
        ("for ever", scene.but(json!({"exp": now + 365 * 86_400}))),
        ("a claim that is another", scene.but(json!({"x-ms-attestation-type": "sgx"}))),
        ("a claim in another case", scene.but(json!({"x-ms-attestation-type": "SEVSNPVM"}))),
        ("a claim of another type", scene.but(json!({"x-ms-attestation-type": ["sevsnpvm"]}))),
        ("a claim that is not there", scene.but(json!({"x-ms-compliance-status": null}))),
        ("no keys", scene.but(json!({"x-ms-runtime": {}}))),
        ("no key for encryption", with("key_ops", json!(["sign", "verify"]))),
        ("a key for signatures", with("use", json!("sig"))),
        ("a key that does not say what it is for", with("key_ops", json!(null))),
        ("a key of another kind", with("kty", json!("EC"))),
        ("a key that is too small", runtime(json!([small]))),
        ("a tiny exponent", with("e", json!("Aw"))),
        ("a modulus that is even", with("n", json!(text(&[0xfe; 256])))),
        ("two keys", runtime(json!([scene.environment.jwk(), second.clone()]))),
        ("a key outside of the runtime claims", scene.but(json!({"x-ms-runtime": {}, "keys": [second]}))),
    ];
    for (what, target) in &cases {
        scene.is_refused(what, "key", target).await;
    }
    // A key that the asker names itself is not even looked at.
    let theirs = Environment::new(KeySpec::Rsa2048);
    let planted = json!({"key": theirs.jwk(), "x-ms-runtime": {"keys": [theirs.jwk()]}});
    let (status, answer) = scene.release("key", &good, planted).await;
    assert_eq!(status, 200);
    let payload = scene.verified(&answer).await;
    let wrapped: Value =
        serde_json::from_slice(&bytes(&payload["response"]["key"]["key"]["key_hsm"])).unwrap();
    scene.environment.unwrap(&bytes(&wrapped["ciphertext"]), "sha1");
    // The nonce of a token belongs to one request.
    let bound = scene.but(json!({"nonce": "mine"}));
    for (nonce, status) in [("mine", 200), ("yours", 403)] {
        let (was, answer) = scene.release("key", &bound, json!({"nonce": nonce})).await;
        assert_eq!(was, status, "{answer}");
    }
    for enc in ["RSA-OAEP", "ckm_rsa_aes_key_wrap", ""] {
        assert_eq!(scene.release("key", &good, json!({"enc": enc})).await.0, 400, "{enc}");
    }
    assert_eq!(scene.release("key", &good, json!({"nonce": "n".repeat(2_000)})).await.0, 400);
    assert_eq!(scene.release("none", &good, json!({})).await.0, 404);
    // It is out of date by itself, and when the service is trusted no longer.
    scene.bench.server.opened.clock.forward(Duration::from_secs(1_800));
    assert_eq!(scene.release("key", &good, json!({})).await.0, 200);
    scene.trust(AUTHORITY, JwkSet::new()).await;
    scene.is_refused("a service without keys", "key", &good).await;
    scene.trust(AUTHORITY, scene.service.keys()).await;
    let server = &scene.bench.server;
    server.opened.clock.forward(Duration::from_secs(8 * 3_600));
    scene.bench.token = server.opened.administrator_token(server.memory.home, KEY_VAULT).await;
    scene.is_refused("old", "key", &good).await;
}

#[tokio::test]
async fn a_key_leaves_only_if_its_attributes_its_policy_and_a_role_let_it() {
    let scene = Scene::new(73).await;
    let good = scene.service.token(&scene.claims());
    scene.bench.done("POST", "/keys/kept/create", json!({"kty": "EC"})).await;
    scene.is_refused("not exportable", "kept", &good).await;
    let foreign = json!({"version": "1.0.0", "anyOf": [
        {"authority": STRANGER, "allOf": [{"claim": "x-ms-attestation-type", "equals": "sevsnpvm"}]},
    ]});
    scene.exportable("foreign", json!({"kty": "EC"}), &foreign).await;
    scene.is_refused("an authority that nobody configured", "foreign", &good).await;
    let tee = |equals: Value| json!({"claim": "x-ms-isolation-tee.x-ms-attestation-type", "equals": equals});
    let claim = |name: &str, equals: Value| json!({"claim": name, "equals": equals});
    let (yes, no) =
        (claim("x-ms-attestation-type", json!("sevsnpvm")), claim("x-ms-attestation-type", json!("sgx")));
    for (number, (conditions, released)) in [
        (json!({"allOf": [yes, tee(json!("sevsnpvm"))]}), true),
        (json!({"allOf": [yes, tee(json!("tdxvm"))]}), false),
        (json!({"anyOf": [no, tee(json!("sevsnpvm"))]}), true),
        (json!({"anyOf": [no, tee(json!("tdxvm"))]}), false),
        (json!({"allOf": [{"anyOf": [no, yes]}, {"allOf": [yes, {"anyOf": [no, no, yes]}]}]}), true),
        (json!({"allOf": [{"anyOf": [no, yes]}, {"allOf": [yes, {"anyOf": [no, no]}]}]}), false),
        (json!({"allOf": [claim("x-ms-isolation-tee.hostdata.digest", json!("abc"))]}), true),
        (json!({"allOf": [claim("x-ms-isolation-tee.hostdata", json!("abc"))]}), false),
        (json!({"allOf": [claim("x-ms-isolation-tee.hostdata.digest.a", json!("abc"))]}), false),
        (json!({"allOf": [claim("level", json!(3))]}), true),
        (json!({"allOf": [claim("level", json!(4))]}), false),
        (json!({"allOf": [claim("level", json!("3"))]}), false),
        (json!({"allOf": [claim("debuggable", json!(false))]}), true),
        (json!({"allOf": [claim("debuggable", json!(true))]}), false),
        (json!({"allOf": [claim("debuggable", json!("false"))]}), false),
        (json!({"anyOf": [claim("absent", json!(false)), claim("absent", json!(""))]}), false),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("nested{number}");
        scene.exportable(&name, json!({"kty": "EC"}), &policy(conditions.clone())).await;
        let (status, answer) = scene.release(&name, &good, json!({})).await;
        assert_eq!(status, if released { 200 } else { 403 }, "{conditions}: {answer}");
    }
    // Any of the authorities is enough.
    let mut both = usual_policy();
    both["anyOf"].as_array_mut().unwrap().insert(0, foreign["anyOf"][0].clone());
    scene.exportable("either", json!({"kty": "EC"}), &both).await;
    assert_eq!(scene.release("either", &good, json!({})).await.0, 200);

    // Switched off; not yet valid and expired are no matter.
    scene.exportable("off", json!({"kty": "EC"}), &usual_policy()).await;
    let now = scene.now();
    for (attributes, inner) in [
        (json!({"enabled": false}), "KeyDisabled"),
        (json!({"enabled": true, "nbf": now + 100}), ""),
        (json!({"nbf": now - 200, "exp": now - 100}), ""),
        (json!({"nbf": now - 200, "exp": now + 100}), ""),
    ] {
        scene.bench.done("PATCH", "/keys/off/", json!({ "attributes": attributes })).await;
        let (status, answer) = scene.release("off", &good, json!({})).await;
        let expected = if inner.is_empty() { (200, Value::Null) } else { (403, json!(inner)) };
        assert_eq!((status, answer["error"]["innererror"]["code"].clone()), expected, "{attributes}");
    }

    // A policy is changed by whoever may change the key, unless it says that it never is.
    let changed = |policy: &Value| json!({"release_policy": {"data": text(policy.to_string().as_bytes())}});
    let loose = policy(json!({"anyOf": [no, yes]}));
    scene.bench.done("PATCH", "/keys/off/", changed(&loose)).await;
    let bad = refusal(400, "BadParameter", "");
    assert_eq!(scene.bench.refused("PATCH", "/keys/off/", changed(&json!({"version": "1.0.0"}))).await, bad);
    let mut fixed = exportable(json!({"kty": "EC"}), &usual_policy());
    fixed["release_policy"]["immutable"] = json!(true);
    scene.bench.done("POST", "/keys/fixed/create", fixed).await;
    assert_eq!(scene.bench.refused("PATCH", "/keys/fixed/", changed(&loose)).await, bad);
    assert_eq!(
        scene.bench.refused("PATCH", "/keys/fixed/", changed(&usual_policy())).await,
        bad,
        "mutable again"
    );
    assert_eq!(scene.release("fixed", &good, json!({})).await.0, 200);

    // Policies that could be read in two ways, or let everybody in, are not taken.
    for wrong in [
        json!({}),
        json!({"version": "1.0.0", "anyOf": []}),
        policy(json!({})),
        policy(json!({"allOf": []})),
        policy(json!({"allOf": [yes], "anyOf": [yes]})),
        policy(json!({"allOf": [{"claim": "a", "notEquals": "b"}]})),
    ] {
        let body = exportable(json!({"kty": "EC"}), &wrong);
        assert_eq!(scene.bench.refused("POST", "/keys/wrong/create", body).await, bad, "{wrong}");
    }
    // A key leaves by a policy or not at all, and a policy is for what leaves.
    let mut stays = exportable(json!({}), &usual_policy());
    stays["attributes"]["exportable"] = json!(false);
    let open = json!({"attributes": {"exportable": true}});
    for (what, mut body) in [("no policy", open), ("a policy for nothing", stays)] {
        for (method, path, key) in [
            ("POST", "/keys/wrong/create", ("kty", json!("EC"))),
            ("PUT", "/keys/wrong", ("key", published_key())),
        ] {
            body[key.0] = key.1;
            assert_eq!(scene.bench.refused(method, path, body.clone()).await, bad, "{what} {path}");
        }
    }

    // The role for it is enough, and without it nothing is looked at.
    let (opened, home) = (&scene.bench.server.opened, scene.bench.server.memory.home);
    let vault = opened.put_vault(home, VAULT, &Default::default()).await;
    let scope = Scope::vault(vault.subscription, &vault.group, &vault.name);
    for (name, role, status) in [
        ("releaser", built_in::KEY_VAULT_CRYPTO_SERVICE_RELEASE_USER, 200),
        ("wrapper", built_in::KEY_VAULT_CRYPTO_SERVICE_ENCRYPTION_USER, 403),
    ] {
        let identity = opened.put_identity(home, name).await;
        opened.assign(home, role, identity.principal, scope.clone()).await;
        let token = opened.token(&identity, KEY_VAULT).await;
        let host = format!("{VAULT}.vault.localhost:8443");
        let ask = Ask::new("POST", &host, "/keys/either//release").bearer(&token);
        let answer = scene.bench.server.ask(TLS, &ask.body(json!({"target": good}))).await;
        assert_eq!(answer.status, status, "{name}: {answer:?}");
    }
    // What happened is in the log, and what was refused with its reason.
    scene.bench.server.memory.log.flush().await.unwrap();
    let entries = scene.bench.server.memory.log.entries();
    let action = "Microsoft.KeyVault/vaults/keys/release/action";
    let said: Vec<_> = entries
        .iter()
        .filter(|(_, entry)| entry.action == action)
        .map(|(_, entry)| (entry.outcome, entry.reason.clone().unwrap_or_default()))
        .collect();
    for (outcome, reason) in [
        (Outcome::Done, ""),
        (Outcome::Refused, "key_not_exportable"),
        (Outcome::Refused, "attestation_authority"),
        (Outcome::Refused, "attestation_conditions"),
        (Outcome::Refused, "key_disabled"),
    ] {
        assert!(
            said.contains(&(Some(outcome), reason.to_owned())),
            "{outcome:?} {reason:?} is not in {said:?}"
        );
    }
}

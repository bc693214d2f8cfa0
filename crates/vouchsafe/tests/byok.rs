//! Keys that are brought: the guide's own lines are run as they stand against a server with a token, and whatever a
//! blob, a key-exchange key or a caller can get wrong is refused and leaves nothing in the token. What the token says of keys
//! that were brought, and of those that it made, is signed with a key that the tenant publishes.

use std::path::{Path, PathBuf};
use std::process::Command;

use data_encoding::BASE64URL_NOPAD;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use vouchsafe_crypto::jose::{Algorithm, PublicKey as PublishedKey};
use vouchsafe_crypto::keys::{KeySpec, PrivateKey, PublicKey, TransportAlgorithm, wrap_for};
use vouchsafe_testkit::running::{Installation, RunningServer, Token};

const PROGRAM: &str = env!("CARGO_BIN_EXE_vouchsafe");
const GUIDE: &str = include_str!("../../../docs/guide/bring-your-own-key.md");

/// A server with a token, and two vaults of which `app` may have keys in it.
struct Bench {
    installation: Installation,
    server: RunningServer,
    token: String,
}

impl Bench {
    async fn new() -> Option<Self> {
        let installation = Installation::init(PROGRAM);
        let module = Token::make(installation.scratch())?;
        let server = installation.serve(&module.environment()).await;
        let vaults = json!([
            { "name": "app", "sku": "premium" }, { "name": "plain" }, { "name": "other", "sku": "premium" },
        ]);
        let state = json!({ "state": { "vaults": vaults } }).to_string();
        let mut admin = server.admin();
        let applied = admin
            .request(Method::POST, "vouchsafe", "/admin/v1/apply", None, Some(state.as_bytes()))
            .await
            .expect("an answer");
        assert_eq!(applied.status, StatusCode::OK, "{}", applied.text());
        let token = server.token("https://vault.azure.net").await;
        Some(Self { installation, server, token })
    }

    async fn ask(&self, method: Method, vault: &str, path: &str, body: &Value) -> (StatusCode, Value) {
        let body = body.to_string();
        let body = (method != Method::GET).then_some(body.as_bytes());
        let (mut client, host) = (self.server.https(), self.server.vault_host(vault));
        let path = format!("{path}?api-version=7.4");
        let answer = client.request(method, &host, &path, Some(&self.token), body).await.expect("an answer");
        (answer.status, answer.json())
    }

    async fn done(&self, method: Method, vault: &str, path: &str, body: &Value) -> Value {
        let (status, answer) = self.ask(method, vault, path, body).await;
        assert_eq!(status, StatusCode::OK, "{path}: {answer}");
        answer
    }

    /// A key in the token that unwraps others.
    async fn exchange_key(&self, vault: &str, name: &str, more: Value) -> Kek {
        let mut body = json!({ "kty": "RSA-HSM", "key_size": 2048, "key_ops": ["import"] });
        for (member, value) in more.as_object().expect("an object") {
            body[member] = value.clone();
        }
        let made = self.done(Method::POST, vault, &format!("/keys/{name}/create"), &body).await;
        let number = |member: &str| bytes(&made["key"][member]);
        let public = PublicKey::rsa(&number("n"), &number("e")).expect("an RSA key");
        Kek { kid: made["key"]["kid"].as_str().expect("a kid").to_owned(), public }
    }

    /// What a signed statement says, if it verifies with the key set that the server publishes for its issuer.
    async fn stated(&self, attested: &Value, member: &str) -> Option<Value> {
        let statement = attested["attributes"]["attestation"].get(member)?;
        let statement = String::from_utf8(bytes(statement)).expect("a JWS");
        let (signed, signature) = statement.rsplit_once('.').expect("three parts");
        let (header, payload) = signed.split_once('.').expect("three parts");
        let read = |part: &str| serde_json::from_slice::<Value>(&bytes(&json!(part))).expect("JSON");
        let (header, payload) = (read(header), read(payload));
        assert_eq!((&header["alg"], &header["typ"]), (&json!("RS256"), &json!("key-attestation+jwt")));
        let issuer = payload["iss"].as_str().expect("an issuer");
        let tenant = issuer.strip_suffix("/v2.0").and_then(|issuer| issuer.rsplit('/').next());
        let path = format!("/{}/discovery/v2.0/keys", tenant.expect("a tenant"));
        let mut client = self.server.https();
        let published = client.request(Method::GET, self.server.host(), &path, None, None).await;
        let published = published.expect("an answer").json();
        let key =
            published["keys"].as_array().and_then(|keys| keys.iter().find(|key| key["kid"] == header["kid"]));
        let key =
            PublishedKey::from_jwk(key.expect("a published key").to_string().as_bytes()).expect("a key");
        let signature = bytes(&json!(signature));
        key.verify(Algorithm::Rs256, signed.as_bytes(), &signature).expect("a good signature");
        assert!(key.verify(Algorithm::Rs256, &signed.as_bytes()[1..], &signature).is_err());
        // The certificate that comes along is of that key, too.
        let pem = bytes(&attested["attributes"]["attestation"]["certificatePemFile"]);
        let pem = String::from_utf8(pem).expect("PEM");
        let inside: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
        assert_eq!(header["x5c"], json!([inside]));
        assert_eq!((&payload["kid"], &payload["key"]), (&attested["key"]["kid"], &attested["key"]));
        assert_eq!(payload["vault"], "app");
        Some(payload)
    }

    /// How many objects are in the token: SoftHSM keeps each in a file.
    fn objects(&self) -> usize {
        count(&self.installation.scratch().join("token/tokens"))
    }
}

fn count(directory: &Path) -> usize {
    let entries = std::fs::read_dir(directory).expect("a directory");
    let paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.iter().map(|path| if path.is_dir() { count(path) } else { usize::from(is_object(path)) }).sum()
}

fn is_object(path: &Path) -> bool {
    // The token itself is one, too.
    path.extension().is_some_and(|extension| extension == "object")
        && path.file_name().is_some_and(|name| name != "token.object")
}

struct Kek {
    kid: String,
    public: PublicKey,
}

impl Kek {
    fn blob(&self, key: &PrivateKey) -> Value {
        let wrapped = wrap_for(&self.public, TransportAlgorithm::CkmRsaAesKeyWrap, key).expect("wrapped");
        json!({
            "schema_version": "1.0.0",
            "header": { "kid": self.kid, "alg": "dir", "enc": "CKM_RSA_AES_KEY_WRAP" },
            "ciphertext": BASE64URL_NOPAD.encode(&wrapped),
            "generator": "a test",
        })
    }
}

fn bytes(value: &Value) -> Vec<u8> {
    BASE64URL_NOPAD.decode(value.as_str().expect("text").as_bytes()).expect("base64url")
}

/// What a client sends: the blob as bytes, whatever they are.
fn body(kty: &str, blob: &Value) -> Value {
    json!({ "Hsm": true, "key": { "kty": kty, "key_hsm": BASE64URL_NOPAD.encode(blob.to_string().as_bytes()) } })
}

/// The lines of the page's shell blocks, in order.
fn script() -> String {
    let mut script = String::from("set -eu\nPATH=\"$PROGRAMS:$PATH\"\n");
    let mut inside = false;
    for line in GUIDE.lines() {
        match line {
            "```sh" => inside = true,
            "```" => inside = false,
            line if inside => {
                script.push_str(line);
                script.push('\n');
            }
            _ => {}
        }
    }
    script
}

#[tokio::test]
async fn the_lines_of_the_guide_bring_a_key_that_openssl_verifies() {
    let Some(bench) = Bench::new().await else { return };
    let script = script();
    assert!(
        script.contains("openssl pkeyutl -encrypt") && script.contains("openssl enc -id-aes256-wrap-pad")
    );
    let directory = bench.installation.scratch();
    let work = directory.join("work");
    std::fs::create_dir(&work).expect("a directory");
    let ran = Command::new("sh")
        .args(["-c", &script])
        .current_dir(&work)
        .env("PROGRAMS", directory)
        .env("VOUCHSAFE_SOCKET", &bench.server.endpoints().admin_socket)
        .output()
        .expect("a shell");
    let (said, complained) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{said}\n{complained}");
    assert!(said.contains("Verified OK"), "{said}\n{complained}");
    // The two ways to wrap brought one and the same key, and what came over is what was made.
    let one = bench.done(Method::GET, "app", "/keys/mine", &Value::Null).await;
    let other = bench.done(Method::GET, "app", "/keys/by-hand", &Value::Null).await;
    assert_eq!(one["key"]["n"], other["key"]["n"]);
    assert_eq!((&one["key"]["kty"], &one["attributes"]["hsmPlatform"]), (&json!("RSA-HSM"), &json!("1")));
    assert_eq!(other["key"]["key_ops"], json!(["sign", "verify"]));
    bench.installation.verify_audit();
}

#[tokio::test]
async fn the_command_wraps_every_kind_and_says_what_it_cannot() {
    let Some(bench) = Bench::new().await else { return };
    let scratch = bench.installation.scratch();
    let path = |name: &str| scratch.join(name).display().to_string();
    let socket = bench.server.endpoints().admin_socket.clone();
    bench.exchange_key("app", "kek", json!({})).await;
    std::fs::write(path("aes.key"), [7; 32]).expect("a file");
    std::fs::write(path("long.key"), [7; 33]).expect("a file");
    let pem = |label: &str, key: KeySpec| {
        let key = PrivateKey::generate(key).to_pkcs8().expect("PKCS #8");
        vouchsafe_crypto::pki::to_pem(label, key.expose(vouchsafe_crypto::Reason::Test))
    };
    std::fs::write(path("rsa.pem"), pem("PRIVATE KEY", KeySpec::Rsa2048)).expect("a file");
    std::fs::write(path("locked.pem"), pem("ENCRYPTED PRIVATE KEY", KeySpec::P256)).expect("a file");
    let wrap = |key: &str, more: &[&str], out: &str| {
        let (key, out) = (path(key), path(out));
        let mut arguments =
            vec!["--socket", &socket, "byok", "wrap", "--key-file", &key, "--byok-file", &out];
        arguments.extend(more);
        bench.installation.run(arguments)
    };
    let asked = ["--vault", "app", "--kek", "kek"];
    let (status, said, complained) =
        wrap("aes.key", &["--oct", "--vault", "app", "--kek", "kek", "-o", "json"], "aes.byok");
    assert!(status.success(), "{complained}");
    let said: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!((&said["kty"], &said["keySize"]), (&json!("oct-HSM"), &json!(256)));
    let blob = path("aes.byok");
    let imported = ["byok", "import", "aes", "--vault", "app", "--kind", "oct", "--byok-file", &blob];
    let (status, _, complained) = bench.installation.run(["--socket", &socket].into_iter().chain(imported));
    assert!(status.success(), "{complained}");
    // The key is the one that was brought: what it encrypts there is decrypted here.
    let asked_for = json!({ "alg": "A256GCM", "value": BASE64URL_NOPAD.encode(b"hello") });
    let encrypted = bench.done(Method::POST, "app", "/keys/aes//encrypt", &asked_for).await;
    let original =
        PrivateKey::from_material(KeySpec::Oct256, &vouchsafe_crypto::SecretBytes::new(vec![7; 32]));
    let [value, iv, tag] = ["value", "iv", "tag"].map(|member| bytes(&encrypted[member]));
    let parts =
        vouchsafe_crypto::keys::CiphertextParts { value: &value, iv: Some(&iv), tag: Some(&tag), aad: None };
    let algorithm = vouchsafe_crypto::keys::EncryptionAlgorithm::A256Gcm;
    let decrypted = original.expect("a key").decrypt(algorithm, &parts);
    assert!(decrypted.is_ok_and(|plaintext| plaintext.matches(b"hello")));

    bench.done(Method::POST, "app", "/keys/usual/create", &json!({ "kty": "RSA-HSM" })).await;
    let of = |name: &'static str| ["--vault", "app", "--kek", name];
    for (key, more, says) in [
        ("rsa.pem", &of("usual")[..], "no key-exchange key"),
        ("rsa.pem", &of("none")[..], "KeyNotFound"),
        ("rsa.pem", &["--vault", "app"][..], "--kek"),
        ("rsa.pem", &["--kek-file", "/nowhere"][..], "cannot read"),
        ("none.pem", &asked[..], "cannot read"),
        ("aes.key", &asked[..], "--oct"),
        ("locked.pem", &asked[..], "encrypted"),
        ("long.key", &["--oct", "--vault", "app", "--kek", "kek"][..], "33 bytes"),
    ] {
        let (status, _, complained) = wrap(key, more, "wrong.byok");
        assert!(!status.success() && complained.contains(says), "{key} {more:?}: {complained}");
    }
    assert!(!scratch.join("wrong.byok").exists(), "a blob was written");
    let (status, _, complained) = wrap("rsa.pem", &asked, "aes.byok");
    assert!(!status.success() && complained.contains("cannot create"), "{complained}");
}

#[tokio::test]
async fn what_cannot_be_unwrapped_is_refused_and_nothing_is_left_in_the_token() {
    let Some(bench) = Bench::new().await else { return };
    let kek = bench.exchange_key("app", "kek", json!({})).await;
    let off = bench.exchange_key("app", "off", json!({ "attributes": { "enabled": false } })).await;
    let late = bench.exchange_key("app", "late", json!({ "attributes": { "exp": 1_000_000_000 } })).await;
    let elsewhere = bench.exchange_key("other", "kek", json!({})).await;
    let usual = bench.exchange_key("app", "usual", json!({ "key_ops": ["unwrapKey", "decrypt"] })).await;
    let software = json!({ "kty": "RSA", "key_ops": ["unwrapKey", "decrypt"] });
    let software = bench.done(Method::POST, "app", "/keys/software/create", &software).await;
    let before = bench.objects();
    let key = PrivateKey::generate(KeySpec::Rsa2048);
    let oct = PrivateKey::generate(KeySpec::Oct256);
    let good = kek.blob(&key);
    let with = |pointer: &str, value: Value| {
        let mut blob = good.clone();
        *blob.pointer_mut(pointer).expect("a member") = value;
        blob
    };
    let whole = bytes(&good["ciphertext"]);
    let cut = |bytes: &[u8]| with("/ciphertext", json!(BASE64URL_NOPAD.encode(bytes)));
    let touched = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        cut(&bytes)
    };
    let kid = |kid: String| with("/header/kid", json!(kid));
    let stranger = PrivateKey::generate(KeySpec::Rsa2048).public().expect("a public half");
    let stranger = Kek { kid: kek.kid.clone(), public: stranger }.blob(&key);
    let (bad, forbidden, absent) = (StatusCode::BAD_REQUEST, StatusCode::FORBIDDEN, StatusCode::NOT_FOUND);
    let mut both = body("RSA-HSM", &good);
    both["key"]["n"] = json!(BASE64URL_NOPAD.encode(&[1; 256]));
    let mut exportable = body("RSA-HSM", &good);
    exportable["attributes"] = json!({ "exportable": true });
    let mut exchange = body("RSA-HSM", &good);
    exchange["key"]["key_ops"] = json!(["import"]);
    let mut curve = body("EC-HSM", &good);
    curve["key"]["crv"] = json!("P-256");
    let cases = [
        ("a disabled KEK", "app", body("RSA-HSM", &off.blob(&key)), forbidden),
        ("an expired KEK", "app", body("RSA-HSM", &late.blob(&key)), forbidden),
        ("a key for other things", "app", body("RSA-HSM", &usual.blob(&key)), forbidden),
        ("a key in software", "app", body("RSA-HSM", &kid(text(&software["key"]["kid"]))), forbidden),
        ("a KEK of another vault", "app", body("RSA-HSM", &elsewhere.blob(&key)), bad),
        ("the same from there", "other", body("RSA-HSM", &good), bad),
        ("a standard vault", "plain", body("RSA-HSM", &kid(kek.kid.replace("app.", "plain."))), bad),
        ("a KEK that is not there", "app", body("RSA-HSM", &kid(kek.kid.replace("/kek/", "/none/"))), absent),
        ("a version that is not there", "app", body("RSA-HSM", &kid(other_version(&kek.kid))), absent),
        ("no identifier", "app", body("RSA-HSM", &kid("kek".to_owned())), bad),
        ("a secret's identifier", "app", body("RSA-HSM", &kid(kek.kid.replace("/keys/", "/secrets/"))), bad),
        (
            "another version of the format",
            "app",
            body("RSA-HSM", &with("/schema_version", json!("2.0.0"))),
            bad,
        ),
        ("another alg", "app", body("RSA-HSM", &with("/header/alg", json!("RSA-OAEP"))), bad),
        ("another enc", "app", body("RSA-HSM", &with("/header/enc", json!("RSA_AES_KEY_WRAP_256"))), bad),
        ("no JSON", "app", json!({ "key": { "kty": "RSA-HSM", "key_hsm": "AAAA" } }), bad),
        ("no members", "app", body("RSA-HSM", &json!({})), bad),
        ("nothing wrapped", "app", body("RSA-HSM", &cut(&[])), bad),
        ("the AES key only", "app", body("RSA-HSM", &cut(&whole[..256])), bad),
        ("half", "app", body("RSA-HSM", &cut(&whole[..whole.len() / 2])), bad),
        ("one byte less", "app", body("RSA-HSM", &cut(&whole[..whole.len() - 1])), bad),
        ("one block less", "app", body("RSA-HSM", &cut(&whole[..whole.len() - 8])), bad),
        ("too long", "app", body("RSA-HSM", &cut(&[1; 9_000])), bad),
        ("another AES key", "app", body("RSA-HSM", &touched(9)), bad),
        ("a touched key", "app", body("RSA-HSM", &touched(300)), bad),
        ("wrapped for somebody else", "app", body("RSA-HSM", &stranger), bad),
        ("not a symmetric key", "app", body("oct-HSM", &good), bad),
        ("not an RSA key", "app", body("RSA-HSM", &kek.blob(&oct)), bad),
        ("not a key on a curve", "app", curve, bad),
        ("no curve", "app", body("EC-HSM", &good), bad),
        ("for software", "app", body("RSA", &good), bad),
        ("in parts as well", "app", both, bad),
        ("to be released", "app", exportable, bad),
        ("to unwrap others", "app", exchange, bad),
    ];
    for (what, vault, body, status) in cases {
        let (was, answer) = bench.ask(Method::PUT, vault, "/keys/mine", &body).await;
        assert_eq!(was, status, "{what}: {answer}");
        assert_eq!(bench.objects(), before, "{what}: something is left in the token");
    }
    // The same with nothing wrong.
    let imported = bench.done(Method::PUT, "app", "/keys/mine", &body("RSA-HSM", &good)).await;
    let Some(PublicKey::Rsa { n, .. }) = key.public() else { panic!("an RSA key") };
    assert_eq!(bytes(&imported["key"]["n"]), n);
    bench.done(Method::PUT, "app", "/keys/symmetric", &body("oct-HSM", &kek.blob(&oct))).await;
    assert!(bench.objects() > before);
    bench.installation.verify_audit();
}

#[tokio::test]
async fn a_signed_statement_says_of_each_key_whether_its_token_made_it() {
    let Some(bench) = Bench::new().await else { return };
    let kek = bench.exchange_key("app", "kek", json!({})).await;
    let key = PrivateKey::generate(KeySpec::Rsa2048);
    bench.done(Method::PUT, "app", "/keys/brought", &body("RSA-HSM", &kek.blob(&key))).await;
    for (name, kty) in [("curve", "EC-HSM"), ("rsa", "RSA-HSM"), ("aes", "oct-HSM"), ("soft", "EC")] {
        bench.done(Method::POST, "app", &format!("/keys/{name}/create"), &json!({ "kty": kty })).await;
    }
    for (name, class, kind, made_there) in [
        ("curve", "CKO_PRIVATE_KEY", "CKK_EC", true),
        ("rsa", "CKO_PRIVATE_KEY", "CKK_RSA", true),
        ("aes", "CKO_SECRET_KEY", "CKK_AES", true),
        ("brought", "CKO_PRIVATE_KEY", "CKK_RSA", false),
    ] {
        let known = bench.done(Method::GET, "app", &format!("/keys/{name}"), &Value::Null).await;
        let path = format!("/keys/{name}/{}/attestation", version(&known));
        let mut attested = bench.done(Method::GET, "app", &path, &Value::Null).await;
        assert_eq!(attested["attributes"]["attestation"]["version"], "vouchsafe-1");
        let statement = bench.stated(&attested, "privateKeyAttestation").await.expect("a statement");
        assert_eq!(statement["token"]["manufacturer"], "SoftHSM project");
        assert_eq!(statement["token"]["serialNumber"].as_str().map(str::len), Some(16));
        let said = &statement["attributes"];
        assert_eq!((&said["CKA_CLASS"], &said["CKA_KEY_TYPE"]), (&json!(class), &json!(kind)), "{name}");
        let bits = (kind == "CKK_RSA").then_some(2048);
        assert_eq!(said["CKA_MODULUS_BITS"].as_u64(), bits, "{name}");
        assert_eq!(bytes(&said["CKA_ID"]).len(), 16);
        for (attribute, value) in [
            ("CKA_TOKEN", true),
            ("CKA_PRIVATE", true),
            ("CKA_SENSITIVE", true),
            ("CKA_EXTRACTABLE", false),
            ("CKA_ALWAYS_SENSITIVE", made_there),
            ("CKA_NEVER_EXTRACTABLE", made_there),
            ("CKA_LOCAL", made_there),
        ] {
            assert_eq!(said[attribute], json!(value), "{attribute} of {name}");
        }
        // The public half: none of a symmetric key, and no object of its own of a key that was brought.
        let public = bench.stated(&attested, "publicKeyAttestation").await;
        assert_eq!(public.is_none(), kind == "CKK_AES", "{name}");
        let public = public.map(|public| public["attributes"]["CKA_CLASS"].clone());
        let own = json!("CKO_PUBLIC_KEY");
        assert_eq!(public.is_some_and(|class| class == own), made_there && kind != "CKK_AES", "{name}");
        // Without the statements it is the key as everybody sees it, and there they are nowhere else.
        attested["attributes"].as_object_mut().expect("attributes").remove("attestation");
        assert_eq!(attested, known);
    }
    // It is a read: a disabled key is attested, a deleted one is not there, and one in software is no token's.
    let off = json!({ "attributes": { "enabled": false } });
    bench.done(Method::PATCH, "app", "/keys/rsa", &off).await;
    bench.done(Method::GET, "app", "/keys/rsa//attestation", &Value::Null).await;
    bench.done(Method::DELETE, "app", "/keys/curve", &Value::Null).await;
    let (status, _) = bench.ask(Method::GET, "app", "/keys/curve//attestation", &Value::Null).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let (status, refused) = bench.ask(Method::GET, "app", "/keys/soft//attestation", &Value::Null).await;
    assert_eq!((status, &refused["error"]["code"]), (StatusCode::BAD_REQUEST, &json!("BadParameter")));
    assert!(text(&refused["error"]["message"]).contains("software"), "{refused}");
    bench.installation.verify_audit();
}

fn version(bundle: &Value) -> String {
    text(&bundle["key"]["kid"]).rsplit('/').next().expect("a version").to_owned()
}

fn other_version(kid: &str) -> String {
    let (key, _) = kid.rsplit_once('/').expect("a version");
    format!("{key}/0123456789abcdef0123456789abcdef")
}

fn text(value: &Value) -> String {
    value.as_str().expect("text").to_owned()
}

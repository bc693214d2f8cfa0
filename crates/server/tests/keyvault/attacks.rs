//! What attackers do to keys, one line each: how it is refused, and beside it the honest request from which it differs in
//! one thing, which is done. Each table names the class of attack it stands for.
//!
//! `weak_keys.json` has RSA keys that were made for this with a seed: one that is sound, and others that are one step
//! away from it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use vouchsafe_domain::access::built_in;
use vouchsafe_domain::ids::RoleDefinitionId;
use vouchsafe_domain::ports::Clock;
use vouchsafe_domain::resource::VaultToPut;
use vouchsafe_domain::resource::scope::Scope;
use vouchsafe_testkit::world::KEY_VAULT;

use crate::keys::{bytes, published_key, text};
use crate::support::{Answer, Ask, TLS};
use crate::{Bench, VAULT};

const DIGEST: [u8; 32] = [7; 32];
/// A second vault, in which nothing can be purged early.
const PROTECTED: &str = "protected";

fn sign() -> Value {
    json!({"alg": "ES256", "value": text(&DIGEST)})
}

/// Who asks which vault for what.
#[derive(Clone)]
struct Deed {
    who: &'static str,
    vault: &'static str,
    method: &'static str,
    path: String,
    body: Value,
}

impl Deed {
    fn by(self, who: &'static str) -> Self {
        Self { who, ..self }
    }

    fn at(self, vault: &'static str) -> Self {
        Self { vault, ..self }
    }
}

fn deed(method: &'static str, path: &str, body: Value) -> Deed {
    Deed { who: "administrator", vault: VAULT, method, path: path.to_owned(), body }
}

fn post(path: &str, body: Value) -> Deed {
    deed("POST", path, body)
}

fn import(name: &str, key: Value) -> Deed {
    deed("PUT", &format!("/keys/{name}"), json!({ "key": key }))
}

/// An attack, how it is refused, and its honest twin.
type Case<'a> = (&'a str, Deed, (u16, &'a str, &'a str), Deed);

const BAD: (u16, &str, &str) = (400, "BadParameter", "");
const ABSENT: (u16, &str, &str) = (404, "KeyNotFound", "");
const UNRELEASED: (u16, &str, &str) = (403, "Forbidden", "KeyReleaseForbidden");
const BY_RBAC: (u16, &str, &str) = (403, "Forbidden", "ForbiddenByRbac");

/// A bench with more people than the administrator.
struct Scene {
    bench: Bench,
    tokens: BTreeMap<&'static str, String>,
}

impl Scene {
    async fn new(seed: u64) -> Self {
        let bench = Bench::new(seed).await;
        let tokens = [("administrator", bench.token.clone())].into();
        Self { bench, tokens }
    }

    /// Somebody with one role in the vault.
    async fn with(mut self, name: &'static str, role: RoleDefinitionId) -> Self {
        let (opened, home) = (&self.bench.server.opened, self.bench.server.memory.home);
        let vault = opened.put_vault(home, VAULT, &VaultToPut::default()).await;
        let identity = opened.put_identity(home, name).await;
        let scope = Scope::vault(vault.subscription, &vault.group, &vault.name);
        opened.assign(home, role, identity.principal, scope).await;
        self.tokens.insert(name, opened.token(&identity, KEY_VAULT).await);
        self
    }

    async fn ask(&self, deed: &Deed) -> Answer {
        let host = format!("{}.vault.localhost:8443", deed.vault);
        let ask = Ask::new(deed.method, &host, &deed.path).bearer(&self.tokens[deed.who]);
        let ask = if deed.body.is_null() { ask } else { ask.body(&deed.body) };
        self.bench.server.ask(TLS, &ask).await
    }

    async fn done(&self, deed: Deed) -> Value {
        let answer = self.ask(&deed).await;
        assert!(matches!(answer.status, 200 | 204), "{} {}: {answer:?}", deed.method, deed.path);
        answer.json()
    }

    /// Each attack, its twin, and the attack again: the twin opened no way.
    async fn holds(&self, class: &str, cases: Vec<Case<'_>>) {
        let count = cases.len();
        for (what, attack, (status, code, inner), twin) in cases {
            self.refuses(class, what, &attack, (status, code, inner)).await;
            let answer = self.ask(&twin).await;
            assert!(matches!(answer.status, 200 | 204), "{class}: the twin of `{what}`: {answer:?}");
            self.refuses(class, what, &attack, (status, code, inner)).await;
        }
        println!("{class}: {count} attacks refused, each before and after its twin was accepted");
    }

    async fn refuses(&self, class: &str, what: &str, attack: &Deed, expected: (u16, &str, &str)) {
        let answer = self.ask(attack).await;
        let said = answer.json();
        let error = &said["error"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let refused = (answer.status, text(&error["code"]), text(&error["innererror"]["code"]));
        let expected = (expected.0, expected.1.to_owned(), expected.2.to_owned());
        assert_eq!(refused, expected, "{class}: {what}: {answer:?}");
        // Nothing private that was sent comes back.
        for part in ["d", "p", "q", "dp", "dq", "qi", "k"] {
            if let Some(private) = attack.body["key"][part].as_str().filter(|private| private.len() > 8) {
                assert!(!answer.body.contains(private), "{class}: {what}: `{part}` is in the refusal");
            }
        }
    }
}

/// V10: what is deleted is not used, not shown, not replaced, and not purged by whoever may not.
#[tokio::test]
async fn a_deleted_key_is_out_of_reach_until_it_is_recovered() {
    let scene = Scene::new(61).await.with("user", built_in::KEY_VAULT_CRYPTO_USER).await;
    let (opened, home) = (&scene.bench.server.opened, scene.bench.server.memory.home);
    let protected = VaultToPut { purge_protection: Some(true), ..VaultToPut::default() };
    opened.put_vault(home, PROTECTED, &protected).await;
    for name in ["gone", "here", "doomed"] {
        scene.done(post(&format!("/keys/{name}/create"), json!({"kty": "EC"}))).await;
        scene.done(post(&format!("/keys/{name}/create"), json!({"kty": "EC"})).at(PROTECTED)).await;
    }
    let made = scene.done(deed("GET", "/keys/gone", Value::Null)).await;
    let version = made["key"]["kid"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    let here = scene.done(deed("GET", "/keys/here", Value::Null)).await;
    let live = here["key"]["kid"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    let signature = scene.done(post("/keys/here//sign", sign())).await["value"].clone();
    let backup = scene.done(post("/keys/gone/backup", Value::Null)).await["value"].clone();
    for name in ["gone", "doomed"] {
        scene.done(deed("DELETE", &format!("/keys/{name}"), Value::Null)).await;
    }
    scene.done(deed("DELETE", "/keys/gone", Value::Null).at(PROTECTED)).await;
    let verify = json!({"alg": "ES256", "digest": text(&DIGEST), "value": signature});
    let both = |method, before: &str, after: &str, body: Value| {
        let path = |name: &str| format!("/keys/{before}{after}").replace("{}", name);
        (deed(method, &path("gone"), body.clone()), deed(method, &path("here"), body))
    };
    let mut cases = Vec::new();
    for (what, method, after, body) in [
        ("read", "GET", "", Value::Null),
        ("list its versions", "GET", "/versions", Value::Null),
        ("sign with it", "POST", "//sign", sign()),
        ("verify with it", "POST", "//verify", verify),
        ("change it", "PATCH", "/", json!({"tags": {"a": "b"}})),
        ("rotate it", "POST", "/rotate", Value::Null),
        ("back it up", "POST", "/backup", Value::Null),
        ("read its rotation policy", "GET", "/rotationpolicy", Value::Null),
    ] {
        let (attack, twin) = both(method, "{}", after, body);
        cases.push((what, attack, ABSENT, twin));
    }
    cases.push((
        "sign with a version of it",
        post(&format!("/keys/gone/{version}/sign"), sign()),
        ABSENT,
        post(&format!("/keys/here/{live}/sign"), sign()),
    ));
    cases.push((
        "sign with a version of it under another's name",
        post(&format!("/keys/here/{version}/sign"), sign()),
        ABSENT,
        post(&format!("/keys/here/{live}/sign"), sign()),
    ));
    let taken = (409, "Conflict", "ObjectIsDeletedButRecoverable");
    let ec = json!({"kty": "EC"});
    cases.push((
        "make a new one of its name",
        post("/keys/gone/create", ec.clone()),
        taken,
        post("/keys/new/create", ec.clone()),
    ));
    cases.push((
        "import one of its name",
        import("gone", published_key()),
        taken,
        import("imported", published_key()),
    ));
    cases.push((
        "restore a copy over it",
        post("/keys/restore", json!({"value": backup})),
        taken,
        deed("GET", "/deletedkeys/gone", Value::Null),
    ));
    cases.push((
        "recover what lives",
        post("/deletedkeys/here/recover", Value::Null),
        ABSENT,
        deed("GET", "/keys/here", Value::Null),
    ));
    let purge = |name: &str| deed("DELETE", &format!("/deletedkeys/{name}"), Value::Null);
    cases.push((
        "purge without the right to",
        purge("gone").by("user"),
        BY_RBAC,
        post("/keys/here//sign", sign()).by("user"),
    ));
    cases.push((
        "purge before its time where that is protected",
        purge("gone").at(PROTECTED),
        (403, "Forbidden", ""),
        purge("doomed"),
    ));
    cases.push((
        "recover it without the right to",
        post("/deletedkeys/gone/recover", Value::Null).by("user"),
        BY_RBAC,
        deed("GET", "/keys/here", Value::Null).by("user"),
    ));
    scene.holds("V10", cases).await;
    scene.done(post("/deletedkeys/gone/recover", Value::Null)).await;
    scene.done(post(&format!("/keys/gone/{version}/sign"), sign())).await;
}

/// V14 and the forms of RFC 7515 to 7518: a key does what it is for, while it may, on inputs of the one right form.
#[tokio::test]
async fn a_key_is_used_for_what_it_is_for_and_on_nothing_malformed() {
    let scene = Scene::new(62).await;
    let now = scene.bench.server.opened.clock.now().seconds();
    let make = async |name: &str, body: Value| {
        scene.done(post(&format!("/keys/{name}/create"), body)).await;
    };
    make("ec", json!({"kty": "EC"})).await;
    make("p384", json!({"kty": "EC", "crv": "P-384"})).await;
    make("rsa", json!({"kty": "RSA"})).await;
    make("aes", json!({"kty": "oct", "key_size": 256})).await;
    make("verifier", json!({"kty": "EC", "key_ops": ["verify"]})).await;
    make("wrapper", json!({"kty": "RSA", "key_ops": ["wrapKey", "unwrapKey"]})).await;
    make("disabled", json!({"kty": "EC", "attributes": {"enabled": false}})).await;
    make("early", json!({"kty": "EC", "attributes": {"nbf": now + 3_600}})).await;
    make("late", json!({"kty": "EC", "attributes": {"exp": now + 60}})).await;
    scene.bench.server.opened.clock.forward(Duration::from_secs(120));
    let block = text(&[5; 32]);
    let wrapped =
        |key: &str| post(&format!("/keys/{key}//wrapkey"), json!({"alg": "RSA-OAEP", "value": block}));
    let sealed = scene.done(wrapped("wrapper")).await["value"].clone();
    let open = json!({"alg": "RSA-OAEP", "value": sealed});
    let gcm = scene.done(post("/keys/aes//encrypt", json!({"alg": "A256GCM", "value": block}))).await;
    let signature = scene.done(post("/keys/ec//sign", sign())).await["value"].clone();
    let good = || post("/keys/ec//sign", sign());
    let with = |alg: &str, digest: &[u8]| post("/keys/ec//sign", json!({"alg": alg, "value": text(digest)}));
    let spelled = |value: String| post("/keys/ec//sign", json!({"alg": "ES256", "value": value}));
    let decrypt = |change: Value| {
        let mut body = json!({"alg": "A256GCM", "value": gcm["value"], "iv": gcm["iv"], "tag": gcm["tag"]});
        for (member, value) in change.as_object().into_iter().flatten() {
            body[member] = value.clone();
        }
        post("/keys/aes//decrypt", body)
    };
    let mut short_tag = bytes(&gcm["tag"]);
    short_tag.truncate(4);
    let forbidden = |inner| (403, "Forbidden", inner);
    let plain = text(&DIGEST);
    let cases = vec![
        (
            "sign with a key that verifies",
            post("/keys/verifier//sign", sign()),
            forbidden("KeyOperationForbidden"),
            good(),
        ),
        (
            "unwrap's ciphertext through decrypt",
            post("/keys/wrapper//decrypt", open.clone()),
            forbidden("KeyOperationForbidden"),
            post("/keys/wrapper//unwrapkey", open),
        ),
        ("use a disabled key", post("/keys/disabled//sign", sign()), forbidden("KeyDisabled"), good()),
        ("use a key before its time", post("/keys/early//sign", sign()), forbidden("KeyNotYetValid"), good()),
        ("use a key after its time", post("/keys/late//sign", sign()), forbidden("KeyExpired"), good()),
        (
            "another curve's algorithm",
            with("ES384", &[1; 48]),
            BAD,
            post("/keys/p384//sign", json!({"alg": "ES384", "value": text(&[1; 48])})),
        ),
        ("the algorithm of the other curve with 256 bits", with("ES256K", &DIGEST), BAD, good()),
        (
            "RSA's algorithm",
            with("RS256", &DIGEST),
            BAD,
            post("/keys/rsa//sign", json!({"alg": "RS256", "value": plain})),
        ),
        ("an HMAC keyed with what everybody knows", with("HS256", &DIGEST), BAD, good()),
        ("no algorithm", with("none", &DIGEST), BAD, good()),
        ("an algorithm in other letters", with("es256", &DIGEST), BAD, good()),
        (
            "RSA without padding",
            post("/keys/rsa//sign", json!({"alg": "RSNULL", "value": plain})),
            BAD,
            post("/keys/rsa//sign", json!({"alg": "PS256", "value": plain})),
        ),
        ("a digest that is too short", with("ES256", &[1; 31]), BAD, good()),
        ("a digest that is too long", with("ES256", &[1; 33]), BAD, good()),
        ("a message instead of a digest", with("ES256", &[1; 600]), BAD, good()),
        ("nothing", with("ES256", &[]), BAD, good()),
        ("base64url with padding", spelled(format!("{plain}=")), BAD, good()),
        ("base64url with a space", spelled(format!("{plain} ")), BAD, good()),
        ("base64url with a line break", spelled(format!("{}\n{}", &plain[..20], &plain[20..])), BAD, good()),
        ("base64 of the other alphabet", spelled("+/".repeat(21) + "A"), BAD, spelled("-_".repeat(21) + "A")),
        ("bits that nobody reads", spelled(format!("{}d", &plain[..42])), BAD, good()),
        ("nothing at all", Deed { body: Value::Null, ..good() }, BAD, good()),
        ("a tag of four bytes", decrypt(json!({"tag": text(&short_tag)})), BAD, decrypt(json!({}))),
        ("a tag of nothing", decrypt(json!({"tag": ""})), BAD, decrypt(json!({}))),
        ("another's associated data", decrypt(json!({"aad": plain})), BAD, decrypt(json!({}))),
        ("another initialization vector", decrypt(json!({"iv": text(&[0; 12])})), BAD, decrypt(json!({}))),
        (
            "an initialization vector of 16 bytes",
            decrypt(json!({"iv": text(&[0; 16])})),
            BAD,
            decrypt(json!({})),
        ),
        (
            "another mode over the same key",
            decrypt(json!({"alg": "A256CBC", "iv": text(&[0; 16])})),
            BAD,
            decrypt(json!({})),
        ),
        ("a shorter key's algorithm", decrypt(json!({"alg": "A128GCM"})), BAD, decrypt(json!({}))),
        (
            "a vector of the caller's for GCM",
            post("/keys/aes//encrypt", json!({"alg": "A256GCM", "value": plain, "iv": text(&[0; 12])})),
            BAD,
            post("/keys/aes//encrypt", json!({"alg": "A256GCM", "value": plain})),
        ),
        (
            "a digest to verify that is too short",
            post("/keys/ec//verify", json!({"alg": "ES256", "digest": text(&[1; 20]), "value": signature})),
            BAD,
            post("/keys/ec//verify", json!({"alg": "ES256", "digest": plain, "value": signature})),
        ),
    ];
    scene.holds("V14", cases).await;
}

/// T14: what is no signature is no signature, in whatever form it comes.
#[tokio::test]
async fn signatures_that_are_none_do_not_verify() {
    let scene = Scene::new(63).await;
    scene.done(post("/keys/ec/create", json!({"kty": "EC"}))).await;
    let good = bytes(&scene.done(post("/keys/ec//sign", sign())).await["value"]);
    let verify = async |signature: &[u8]| {
        let body = json!({"alg": "ES256", "digest": text(&DIGEST), "value": text(signature)});
        let answer = scene.ask(&post("/keys/ec//verify", body)).await;
        // A signature of another length may be called no signature, or false.
        answer.status == 200 && answer.json()["value"] == true
    };
    assert!(verify(&good).await, "the twin");
    let (r, s) = good.split_at(32);
    let order = data_encoding::HEXLOWER
        .decode(b"ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551")
        .unwrap();
    let integer = |bytes: &[u8]| {
        let sign: &[u8] = if bytes[0] >= 0x80 { &[0] } else { &[] };
        let length = u8::try_from(bytes.len() + sign.len()).unwrap();
        [&[2, length], sign, bytes].concat()
    };
    let numbers = [integer(r), integer(s)].concat();
    let der = [&[0x30, u8::try_from(numbers.len()).unwrap()], numbers.as_slice()].concat();
    let zero = [0; 32];
    let forged: [(&str, Vec<u8>); 14] = [
        ("nothing", Vec::new()),
        ("zeros", vec![0; 64]),
        ("r is zero", [&zero, s].concat()),
        ("s is zero", [r, &zero].concat()),
        ("r is the order", [&order, s].concat()),
        ("s is the order", [r, &order].concat()),
        ("both are the order", [order.as_slice(), &order].concat()),
        ("all bits", vec![0xff; 64]),
        ("swapped", [s, r].concat()),
        ("DER", der),
        ("one byte short", good[..63].to_vec()),
        ("one byte long", [good.as_slice(), &[0]].concat()),
        ("another curve's length", [&[0; 16], r, &[0; 16], s].concat()),
        ("a bit flipped", good.iter().enumerate().map(|(at, byte)| byte ^ u8::from(at == 40)).collect()),
    ];
    for (what, forged) in &forged {
        assert!(!verify(forged).await, "T14: {what}");
    }
    assert!(verify(&good).await, "the twin, after all of them");
    println!("T14: {} forged signatures are none; the true one verifies before and after", forged.len());
}

/// V16: what is imported is a whole, sound private key, or nothing.
#[tokio::test]
async fn weak_and_malformed_keys_are_not_imported() {
    let scene = Scene::new(64).await;
    let keys: BTreeMap<String, Value> = serde_json::from_str(include_str!("weak_keys.json")).unwrap();
    let sound = keys["sound"].clone();
    let ec = published_key();
    let changed = |key: &Value, member: &str, value: Value| {
        let mut key = key.clone();
        key[member] = value;
        key
    };
    let weak: Vec<(String, Value)> = keys
        .iter()
        .filter(|(what, _)| *what != "sound")
        .map(|(what, key)| (format!("an RSA key {what}"), key.clone()))
        .collect();
    let mut cases: Vec<Case<'_>> = weak
        .iter()
        .map(|(what, key)| (what.as_str(), import("weak", key.clone()), BAD, import("sound", sound.clone())))
        .collect();
    let order = "_____wAAAAD__________7zm-q2nF56E87nKwvxjJVE";
    let without = |member: &str| {
        let mut key = ec.clone();
        key.as_object_mut().unwrap().remove(member);
        key
    };
    let public = json!({"kty": "EC", "crv": "P-256", "x": ec["x"], "y": ec["y"]});
    for (what, key) in [
        ("a point off the curve", changed(&ec, "y", ec["x"].clone())),
        (
            "the point at infinity",
            changed(&changed(&ec, "x", json!(text(&[0; 32]))), "y", json!(text(&[0; 32]))),
        ),
        ("a coordinate that is too long", changed(&ec, "x", json!(text(&[1; 33])))),
        ("a private number of zero", changed(&ec, "d", json!(text(&[0; 32])))),
        ("the order as private number", changed(&ec, "d", json!(order))),
        ("a private number that is too long", changed(&ec, "d", json!(text(&[1; 33])))),
        ("another's private number", changed(&ec, "d", json!(text(&[1; 32])))),
        ("the point on another curve", changed(&ec, "crv", json!("P-256K"))),
        ("a curve that is not offered", changed(&ec, "crv", json!("P-224"))),
        ("no curve", without("crv")),
        ("a public key only", public),
        ("parts of two families", changed(&ec, "n", sound["n"].clone())),
        ("a symmetric key beside it", changed(&ec, "k", json!(text(&[1; 32])))),
        ("a private number in hexadecimal", changed(&ec, "d", json!("00".repeat(32)))),
    ] {
        cases.push((what, import("weak", key), BAD, import("theirs", ec.clone())));
    }
    let oct = |k: &[u8]| json!({"kty": "oct", "k": text(k)});
    for (what, key) in [
        ("a symmetric key of 120 bits", oct(&[1; 15])),
        ("a symmetric key of 512 bits", oct(&[1; 64])),
        ("a symmetric key of nothing", oct(&[])),
        ("a symmetric key with a private number", changed(&oct(&[1; 32]), "d", json!(text(&[1; 32])))),
    ] {
        cases.push((what, import("weak", key), BAD, import("symmetric", oct(&[1; 32]))));
    }
    scene.holds("V16", cases).await;
    // A member that is there twice is read differently by different readers, so nobody reads it.
    let once = json!({"key": ec}).to_string();
    let private = format!("\"d\":{}", ec["d"]);
    for twice in [
        once.replace(&private, &format!("{private},{private}")),
        once.replace(&private, &format!("\"d\":\"AQ\",{private}")),
        once.replace("\"kty\":\"EC\"", "\"kty\":\"oct\",\"kty\":\"EC\""),
        once.replace("\"key\":", "\"key\":{\"kty\":\"oct\",\"k\":\"AQ\"},\"key\":"),
    ] {
        assert_ne!(twice, once);
        let host = format!("{VAULT}.vault.localhost:8443");
        let ask = Ask::new("PUT", &host, "/keys/weak").bearer(&scene.tokens["administrator"]).body(&twice);
        let answer = scene.bench.server.ask(TLS, &ask).await;
        assert_eq!(
            (answer.status, &answer.json()["error"]["code"]),
            (400, &json!("BadParameter")),
            "{twice}"
        );
    }
    let weak = scene.ask(&deed("GET", "/keys/weak", Value::Null)).await;
    assert_eq!(weak.status, 404, "one of the attacks left a key: {weak:?}");
}

/// V40: there is no way out for a key: not by release (`release.rs` has the ways of asking for that), not by backup, not by
/// a role that only wraps.
#[tokio::test]
async fn keys_do_not_leave_and_a_role_that_wraps_does_nothing_else() {
    let scene = Scene::new(65).await;
    let scene = scene.with("wrapper", built_in::KEY_VAULT_CRYPTO_SERVICE_ENCRYPTION_USER).await;
    let scene = scene.with("releaser", built_in::KEY_VAULT_CRYPTO_SERVICE_RELEASE_USER).await;
    scene.done(post("/keys/rsa/create", json!({"kty": "RSA"}))).await;
    scene.done(post("/keys/ec/create", json!({"kty": "EC"}))).await;
    let kek = json!({"alg": "RSA-OAEP-256", "value": text(&DIGEST)});
    let wrapped = scene.done(post("/keys/rsa//wrapkey", kek.clone()).by("wrapper")).await["value"].clone();
    let unwrap = json!({"alg": "RSA-OAEP-256", "value": wrapped});
    let release = json!({"target": "eyJhbGciOiJub25lIn0.e30.", "nonce": "n", "enc": "CKM_RSA_AES_KEY_WRAP"});
    let honest = || post("/keys/rsa//unwrapkey", unwrap.clone()).by("wrapper");
    let read = || deed("GET", "/keys/rsa", Value::Null).by("wrapper");
    let policy =
        json!({"contentType": "application/json", "data": text(b"{\"version\":\"1.0.0\",\"anyOf\":[]}")});
    let create = |body: Value| post("/keys/out/create", body);
    let backup = scene.done(post("/keys/ec/backup", Value::Null)).await["value"].clone();
    let mut bent = bytes(&backup);
    let middle = bent.len() / 2;
    bent[middle] ^= 1;
    let restore = |value: Value| post("/keys/restore", json!({"value": value}));
    scene.done(deed("DELETE", "/keys/ec", Value::Null)).await;
    scene.done(deed("DELETE", "/deletedkeys/ec", Value::Null)).await;
    let decrypt = || post("/keys/rsa//decrypt", unwrap.clone()).by("wrapper");
    let digest = json!({"alg": "RS256", "value": text(&DIGEST)});
    let cases = vec![
        ("release what no policy lets go", post("/keys/rsa//release", release.clone()), UNRELEASED, honest()),
        (
            "release by whoever has the role for it",
            post("/keys/rsa//release", release.clone()).by("releaser"),
            UNRELEASED,
            honest(),
        ),
        ("release without the role", post("/keys/rsa//release", release).by("wrapper"), BY_RBAC, honest()),
        (
            "an exportable key without a policy",
            create(json!({"kty": "EC", "attributes": {"exportable": true}})),
            BAD,
            post("/keys/kept/create", json!({"kty": "EC"})),
        ),
        (
            "a policy for a key that is not exportable",
            create(json!({"kty": "EC", "release_policy": policy})),
            BAD,
            post("/keys/kept/create", json!({"kty": "EC"})),
        ),
        ("decrypt with a role that unwraps", decrypt(), BY_RBAC, honest()),
        ("sign with it", post("/keys/rsa//sign", digest).by("wrapper"), BY_RBAC, honest()),
        ("back up with it", post("/keys/rsa/backup", Value::Null).by("wrapper"), BY_RBAC, read()),
        (
            "import with it a key that somebody else has too",
            import("planted", published_key()).by("wrapper"),
            BY_RBAC,
            read(),
        ),
        ("rotate with it", post("/keys/rsa/rotate", Value::Null).by("wrapper"), BY_RBAC, read()),
        (
            "permit more with it",
            deed("PATCH", "/keys/rsa/", json!({"key_ops": ["export"]})).by("wrapper"),
            BY_RBAC,
            read(),
        ),
        ("delete with it", deed("DELETE", "/keys/rsa", Value::Null).by("wrapper"), BY_RBAC, read()),
        ("restore a backup with one bit changed", restore(json!(text(&bent))), BAD, read()),
        (
            "restore another collection's backup",
            deed("POST", "/secrets/restore", json!({"value": backup})),
            BAD,
            restore(backup.clone()),
        ),
    ];
    scene.holds("V40", cases).await;
    for path in ["/keys/rsa", "/keys", "/keys/rsa/versions", "/keys/ec"] {
        let said = scene.done(deed("GET", path, Value::Null)).await.to_string();
        for part in ["\"d\":", "\"p\":", "\"q\":", "\"dp\":", "\"k\":"] {
            assert!(!said.contains(part), "{path} shows {part}");
        }
    }
    // A refusal names the action that is missing, and nothing of the key.
    let refused = scene.ask(&decrypt()).await;
    assert!(refused.body.contains("Microsoft.KeyVault/vaults/keys/decrypt/action"), "{refused:?}");
}

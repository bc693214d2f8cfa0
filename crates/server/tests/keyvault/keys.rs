//! Keys: every operation, every way in which it may be refused.

use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};
use vouchsafe_crypto::digest::{sha256, sha384, sha512};
use vouchsafe_domain::ports::Clock;
use vouchsafe_domain::resource::Sku;

use crate::{Bench, refusal};

const ORIGIN: &str = "https://app.vault.localhost:8443";

pub fn text(bytes: &[u8]) -> String {
    BASE64URL_NOPAD.encode(bytes)
}

pub fn bytes(value: &Value) -> Vec<u8> {
    BASE64URL_NOPAD.decode(value.as_str().unwrap().as_bytes()).unwrap()
}

fn digest(algorithm: &str) -> String {
    match algorithm.get(2..5) {
        Some("384") => text(&sha384(b"a message")),
        Some("512") => text(&sha512(b"a message")),
        _ => text(&sha256(b"a message")),
    }
}

#[tokio::test]
async fn every_kind_of_key_is_made_signs_and_verifies() {
    let bench = Bench::new(31).await;
    for (name, body, algorithms) in [
        ("rsa", json!({"kty": "RSA"}), &["RS256", "PS512"][..]),
        ("p256", json!({"kty": "EC", "attributes": {}, "tags": {"a": "b"}}), &["ES256"]),
        ("p384", json!({"kty": "EC", "crv": "P-384", "key_size": 384}), &["ES384"]),
        ("p521", json!({"kty": "EC", "crv": "P-521"}), &["ES512"]),
        ("p256k", json!({"kty": "EC", "crv": "P-256K"}), &["ES256K"]),
    ] {
        let made = bench.done("POST", &format!("/keys/{name}/create?api-version=7.4"), body.clone()).await;
        let kid = made["key"]["kid"].as_str().unwrap().to_owned();
        let version = kid.strip_prefix(&format!("{ORIGIN}/keys/{name}/")).unwrap();
        assert_eq!(version.len(), 32, "{kid}");
        assert_eq!(made["key"]["kty"], body["kty"]);
        assert!(made["key"].get("d").is_none() && made["key"].get("k").is_none());
        let attributes = &made["attributes"];
        assert_eq!((&attributes["enabled"], &attributes["hsmPlatform"]), (&json!(true), &json!("0")));
        assert_eq!(attributes["recoveryLevel"], "Recoverable+Purgeable");
        assert_eq!(made.get("tags"), body.get("tags"));
        for path in [format!("/keys/{name}"), format!("/keys/{name}/"), format!("/keys/{name}/{version}")] {
            assert_eq!(bench.done("GET", &path, Value::Null).await, made, "{path}");
        }
        for algorithm in algorithms {
            let value = digest(algorithm);
            // Rust's client leaves the version empty in the middle of the path.
            let path = format!("/keys/{name}//sign?api-version=7.4");
            let signed = bench.done("POST", &path, json!({"alg": algorithm, "value": value})).await;
            assert_eq!(signed["kid"], kid);
            let asked =
                |signature: &[u8]| json!({"alg": algorithm, "digest": value, "value": text(signature)});
            let verify = format!("/keys/{name}/{version}/verify");
            let mut signature = bytes(&signed["value"]);
            let good = bench.done("POST", &verify, asked(&signature)).await;
            assert_eq!(good, json!({"value": true}), "{algorithm}");
            *signature.last_mut().unwrap() ^= 1;
            let touched = bench.done("POST", &verify, asked(&signature)).await;
            assert_eq!(touched, json!({"value": false}), "{algorithm}");
        }
    }
    let text = bench.server.service.parts().telemetry.render();
    let counted = "vouchsafe_key_operations_total{operation=\"sign\",algorithm=\"ES256\",outcome=\"done\"} 1";
    assert!(text.contains(counted), "{text}");
    assert!(!text.contains("p256k"), "a metric names a key");
}

#[tokio::test]
async fn what_was_encrypted_or_wrapped_comes_back() {
    let bench = Bench::new(32).await;
    bench.done("POST", "/keys/rsa/create", json!({"kty": "RSA"})).await;
    bench.done("POST", "/keys/aes/create", json!({"kty": "oct", "key_size": 256})).await;
    let block = text(&[7; 32]);
    let iv = text(&[9; 16]);
    for (key, there, back, body) in [
        ("rsa", "encrypt", "decrypt", json!({"alg": "RSA-OAEP", "value": block})),
        ("rsa", "wrapkey", "unwrapkey", json!({"alg": "RSA-OAEP-256", "value": block})),
        (
            "aes",
            "encrypt",
            "decrypt",
            json!({"alg": "A256GCM", "value": text(b"short"), "aad": text(b"about")}),
        ),
        ("aes", "encrypt", "decrypt", json!({"alg": "A256CBC", "value": block, "iv": iv})),
        ("aes", "encrypt", "decrypt", json!({"alg": "A256CBCPAD", "value": text(b"short"), "iv": iv})),
        ("aes", "wrapkey", "unwrapkey", json!({"alg": "A256KW", "value": block})),
    ] {
        let mut given = bench.done("POST", &format!("/keys/{key}//{there}"), body.clone()).await;
        assert_ne!(given["value"], body["value"]);
        given["alg"] = body["alg"].clone();
        if body.get("iv").is_some() {
            given["iv"] = body["iv"].clone();
        }
        if body.get("aad").is_some() {
            given["aad"] = body["aad"].clone();
        }
        let back_again = bench.done("POST", &format!("/keys/{key}//{back}"), given.clone()).await;
        assert_eq!(back_again["value"], body["value"], "{body}");
        assert!(back_again["kid"].as_str().unwrap().starts_with(&format!("{ORIGIN}/keys/{key}/")));
        let mut touched = bytes(&given["value"]);
        touched[0] ^= 1;
        given["value"] = json!(text(&touched));
        if body["alg"] != "A256CBC" && body["alg"] != "A256CBCPAD" {
            let refused = bench.refused("POST", &format!("/keys/{key}//{back}"), given).await;
            assert_eq!(refused, refusal(400, "BadParameter", ""), "{body}");
        }
    }
    let random = bench.done("POST", "/rng", json!({"count": 40})).await;
    assert_eq!(bytes(&random["value"]).len(), 40);
}

/// RFC 7515 appendix A.3.1.
pub fn published_key() -> Value {
    json!({"kty": "EC", "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        "d": "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"})
}

#[tokio::test]
async fn an_imported_key_is_used_and_its_private_half_is_never_said() {
    let bench = Bench::new(33).await;
    let key = published_key();
    let imported =
        bench.done("PUT", "/keys/theirs", json!({"Hsm": false, "key": key, "attributes": {}})).await;
    assert_eq!((&imported["key"]["x"], &imported["key"]["y"]), (&key["x"], &key["y"]));
    // The signature that the RFC shows over its example verifies with it.
    let signed = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    let signature = "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    let body = json!({"alg": "ES256", "digest": text(&sha256(signed.as_bytes())), "value": signature});
    assert_eq!(bench.done("POST", "/keys/theirs//verify", body).await, json!({"value": true}));
    bench.done("POST", "/keys/theirs//sign", json!({"alg": "ES256", "value": digest("ES256")})).await;
    let private = key["d"].as_str().unwrap();
    for path in ["/keys/theirs", "/keys", "/keys/theirs/versions"] {
        assert!(!bench.done("GET", path, Value::Null).await.to_string().contains(private), "{path}");
    }
    let mut other = key.clone();
    other["x"] = key["y"].clone();
    let mut long = key.clone();
    long["d"] = json!(text(&[1; 2_000]));
    let with = |key: Value| json!({"key": key});
    for body in [
        with(other),
        with(long),
        with(json!({"kty": "EC", "crv": "P-256", "x": key["x"], "y": key["y"]})),
        with(json!({"kty": "RSA", "d": key["d"]})),
        with(json!({"kty": "oct", "k": text(&[1; 15])})),
        with(json!({"kty": "RSA-HSM", "key_hsm": "e30"})),
    ] {
        let refused = bench.ask("PUT", "/keys/wrong", body.clone()).await;
        assert_eq!(
            (refused.status, &refused.json()["error"]["code"]),
            (400, &json!("BadParameter")),
            "{body}"
        );
        assert!(!refused.body.contains(private), "{}", refused.body);
    }
    assert_eq!(bench.refused("GET", "/keys/wrong", Value::Null).await, refusal(404, "KeyNotFound", ""));
}

#[tokio::test]
async fn a_key_is_only_used_for_what_it_is_for_and_while_it_may_be() {
    let bench = Bench::new(34).await;
    let now = bench.server.opened.clock.now().seconds();
    bench.done("POST", "/keys/ec/create", json!({"kty": "EC"})).await;
    bench.done("POST", "/keys/verifies/create", json!({"kty": "EC", "key_ops": ["verify"]})).await;
    for (name, attributes) in [
        ("disabled", json!({"enabled": false})),
        ("early", json!({"nbf": now + 3_600})),
        ("late", json!({"exp": now + 60})),
    ] {
        bench
            .done("POST", &format!("/keys/{name}/create"), json!({"kty": "EC", "attributes": attributes}))
            .await;
    }
    bench.server.opened.clock.forward(Duration::from_secs(120));
    let sign = json!({"alg": "ES256", "value": digest("ES256")});
    for (name, inner) in [
        ("verifies", "KeyOperationForbidden"),
        ("disabled", "KeyDisabled"),
        ("early", "KeyNotYetValid"),
        ("late", "KeyExpired"),
    ] {
        let refused = bench.refused("POST", &format!("/keys/{name}//sign"), sign.clone()).await;
        assert_eq!(refused, refusal(403, "Forbidden", inner), "{name}");
        // Its public half can still be read.
        bench.done("GET", &format!("/keys/{name}/"), Value::Null).await;
    }
    let bad = refusal(400, "BadParameter", "");
    let value = digest("ES256");
    for (operation, body) in [
        ("sign", json!({})),
        ("sign", json!({"alg": "ES256"})),
        ("sign", json!({"alg": "ES256", "value": "not base64url!"})),
        ("sign", json!({"alg": "ES256", "value": text(&[1; 31])})),
        ("sign", json!({"alg": "ES256", "value": text(&[1; 33])})),
        ("sign", json!({"alg": "ES384", "value": digest("ES384")})),
        ("sign", json!({"alg": "RS256", "value": value})),
        ("sign", json!({"alg": "HS256", "value": value})),
        ("sign", json!({"alg": "none", "value": value})),
        ("sign", json!({"alg": "es256", "value": value})),
        ("sign", json!({"alg": "RSNULL", "value": value})),
        ("verify", json!({"alg": "ES256", "digest": text(b"short"), "value": value})),
    ] {
        let refused = bench.refused("POST", &format!("/keys/ec//{operation}"), body.clone()).await;
        assert_eq!(refused, bad, "{operation} {body}");
    }
    for (path, body) in [
        ("/keys/ec//encrypt", json!({"alg": "A256GCM", "value": value})),
        ("/keys/ec//encrypt", json!({"alg": "RSA-OAEP", "value": value, "tag": value})),
        ("/keys/new/create", json!({"kty": "OKP"})),
        ("/keys/new/create", json!({"kty": "RSA", "key_size": 1024})),
        ("/keys/new/create", json!({"kty": "RSA", "key_size": 2047})),
        ("/keys/new/create", json!({"kty": "RSA", "crv": "P-256"})),
        ("/keys/new/create", json!({"kty": "RSA", "public_exponent": 3})),
        ("/keys/new/create", json!({"kty": "EC", "crv": "P-256", "key_size": 384})),
        ("/keys/new/create", json!({"kty": "oct", "key_size": 64})),
        ("/keys/new/create", json!({"kty": "EC", "attributes": {"nbf": 2, "exp": 1}})),
        ("/keys/new/create", json!({"kty": "EC", "attributes": {"exp": -1}})),
        ("/keys/new/create", json!({"kty": "EC-HSM"})),
        ("/rng", json!({"count": 0})),
        ("/rng", json!({"count": 129})),
    ] {
        let refused = bench.refused("POST", path, body.clone()).await;
        let encrypts = path.ends_with("encrypt");
        let forbidden = refusal(403, "Forbidden", "KeyOperationForbidden");
        assert!(refused == bad || (encrypts && refused == forbidden), "{path} {body} {refused:?}");
    }
    let release = bench.refused("POST", "/keys/ec//release", json!({"target": "a.b.c"})).await;
    assert_eq!(release, refusal(403, "Forbidden", "KeyReleaseForbidden"));
    assert_eq!(bench.refused("GET", "/keys/new", Value::Null).await, refusal(404, "KeyNotFound", ""));
}

#[tokio::test]
async fn a_key_is_listed_deleted_recovered_backed_up_and_purged() {
    let bench = Bench::new(35).await;
    let first = bench.done("POST", "/keys/k/create", json!({"kty": "EC", "tags": {"a": "b"}})).await;
    let second = bench.done("POST", "/keys/k/create", json!({"kty": "EC"})).await;
    bench.done("POST", "/keys/other/create", json!({"kty": "EC"})).await;
    let versions = bench.done("GET", "/keys/k/versions", Value::Null).await;
    let mut kids: Vec<_> = versions["value"].as_array().unwrap().iter().map(|item| &item["kid"]).collect();
    kids.sort_by_key(|kid| kid.to_string());
    let mut expected = vec![&first["key"]["kid"], &second["key"]["kid"]];
    expected.sort_by_key(|kid| kid.to_string());
    assert_eq!(kids, expected);

    let page = bench.done("GET", "/keys?api-version=7.4&maxresults=1", Value::Null).await;
    assert_eq!(page["value"][0]["kid"], format!("{ORIGIN}/keys/k"));
    assert_eq!(page["value"][0]["attributes"]["hsmPlatform"], "0");
    let next = page["nextLink"].as_str().unwrap().strip_prefix(ORIGIN).unwrap().to_owned();
    let page = bench.done("GET", &next, Value::Null).await;
    assert_eq!(
        (&page["value"][0]["kid"], &page["nextLink"]),
        (&json!(format!("{ORIGIN}/keys/other")), &Value::Null)
    );

    let update = json!({"key_ops": ["sign"], "attributes": {"enabled": false}, "tags": {"c": "d"}});
    let updated = bench.done("PATCH", "/keys/k/", update).await;
    assert_eq!((&updated["key"]["key_ops"], &updated["tags"]), (&json!(["sign"]), &json!({"c": "d"})));
    assert_eq!(updated["attributes"]["enabled"], false);

    let backup = bench.done("POST", "/keys/k/backup", Value::Null).await;
    let deleted = bench.done("DELETE", "/keys/k", Value::Null).await;
    assert_eq!(deleted["recoveryId"], format!("{ORIGIN}/deletedkeys/k"));
    assert_eq!(deleted["key"]["kid"], second["key"]["kid"]);
    assert!(deleted["scheduledPurgeDate"].as_i64() > deleted["deletedDate"].as_i64());
    assert_eq!(bench.refused("GET", "/keys/k", Value::Null).await, refusal(404, "KeyNotFound", ""));
    let taken = refusal(409, "Conflict", "ObjectIsDeletedButRecoverable");
    assert_eq!(bench.refused("POST", "/keys/k/create", json!({"kty": "EC"})).await, taken);
    assert_eq!(bench.refused("PUT", "/keys/k", json!({"key": published_key()})).await, taken);
    assert_eq!(bench.done("GET", "/deletedkeys/k", Value::Null).await, deleted);
    let list = bench.done("GET", "/deletedkeys", Value::Null).await;
    assert_eq!(list["value"][0]["kid"], format!("{ORIGIN}/keys/k"));
    let recovered = bench.done("POST", "/deletedkeys/k/recover", Value::Null).await;
    assert_eq!(recovered, bench.done("GET", "/keys/k", Value::Null).await);

    bench.done("DELETE", "/keys/k", Value::Null).await;
    let purged = bench.ask("DELETE", "/deletedkeys/k", Value::Null).await;
    assert_eq!((purged.status, purged.body.as_str()), (204, ""));
    assert_eq!(bench.refused("GET", "/deletedkeys/k", Value::Null).await, refusal(404, "KeyNotFound", ""));
    let restored = bench.done("POST", "/keys/restore", json!({"value": backup["value"]})).await;
    assert_eq!(restored["key"], updated["key"]);
    let again = bench.refused("POST", "/keys/restore", json!({"value": backup["value"]})).await;
    assert_eq!(again.0, 409);
    let not_a_backup = bench.refused("POST", "/keys/restore", json!({"value": "AAAA"})).await;
    assert_eq!(not_a_backup, refusal(400, "BadParameter", ""));
}

#[tokio::test]
async fn a_key_rotates_when_asked_and_has_a_policy() {
    let bench = Bench::new(36).await;
    let made = bench.done("POST", "/keys/k/create", json!({"kty": "EC", "tags": {"a": "b"}})).await;
    let policy = json!({
        "lifetimeActions": [
            {"trigger": {"timeAfterCreate": "P90D"}, "action": {"type": "rotate"}},
            {"trigger": {"timeBeforeExpiry": "P30D"}, "action": {"type": "Notify"}},
        ],
        "attributes": {"expiryTime": "P2Y"},
    });
    let set = bench.done("PUT", "/keys/k/rotationpolicy", policy).await;
    assert_eq!(set["id"], format!("{ORIGIN}/keys/k/rotationpolicy"));
    assert_eq!(set["attributes"]["expiryTime"], "P2Y");
    assert_eq!(set["lifetimeActions"][0]["action"]["type"], "Rotate");
    assert_eq!(bench.done("GET", "/keys/k/rotationpolicy", Value::Null).await, set);
    let rotated = bench.done("POST", "/keys/k/rotate", Value::Null).await;
    assert_ne!(rotated["key"]["kid"], made["key"]["kid"]);
    assert_ne!(rotated["key"]["x"], made["key"]["x"]);
    assert_eq!(rotated["tags"], made["tags"]);
    assert!(rotated["attributes"]["exp"].is_i64());
    let with = |action: Value| json!({"lifetimeActions": [action]});
    for body in [
        with(json!({})),
        with(json!({"action": {"type": "Rotate"}})),
        with(json!({"action": {"type": "Rotate"}, "trigger": {"timeAfterCreate": "90 days"}})),
        with(
            json!({"action": {"type": "Rotate"}, "trigger": {"timeAfterCreate": "P90D", "timeBeforeExpiry": "P7D"}}),
        ),
        with(json!({"action": {"type": "Explode"}, "trigger": {"timeAfterCreate": "P90D"}})),
        json!({"attributes": {"expiryTime": "P1D"}}),
    ] {
        let refused = bench.refused("PUT", "/keys/k/rotationpolicy", body.clone()).await;
        assert_eq!(refused, refusal(400, "BadParameter", ""), "{body}");
    }
    for (method, path, body) in [
        ("POST", "/keys/nothing/rotate", Value::Null),
        ("GET", "/keys/nothing/rotationpolicy", Value::Null),
        ("PUT", "/keys/nothing/rotationpolicy", json!({})),
        ("POST", "/keys/nothing//sign", json!({"alg": "ES256", "value": digest("ES256")})),
        ("DELETE", "/keys/nothing", Value::Null),
        ("POST", "/keys/nothing/backup", Value::Null),
        ("PATCH", "/keys/nothing/", json!({})),
        ("GET", "/keys/k/00000000000000000000000000000000", Value::Null),
    ] {
        assert_eq!(
            bench.refused(method, path, body).await,
            refusal(404, "KeyNotFound", ""),
            "{method} {path}"
        );
    }
}

#[tokio::test]
async fn a_vault_without_a_token_says_so() {
    let bench = Bench::with(37, Sku::Premium).await;
    for kty in ["RSA-HSM", "EC-HSM", "oct-HSM"] {
        let refused = bench.refused("POST", "/keys/k/create", json!({"kty": kty})).await;
        assert_eq!(refused, refusal(400, "BadParameter", ""), "{kty}");
    }
    let import = json!({"Hsm": true, "key": published_key()});
    assert_eq!(bench.refused("PUT", "/keys/k", import).await, refusal(400, "BadParameter", ""));
}

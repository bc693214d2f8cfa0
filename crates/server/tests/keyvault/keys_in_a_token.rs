//! What is different about keys in a token over REST: none is made to leave a token that keeps its keys, and one that
//! unwraps what is imported does nothing else. The token is one in memory; what a real one does is in the tests of
//! `vouchsafe` itself.

use serde_json::{Value, json};
use vouchsafe_testkit::faulty_hsm::Mood;

use crate::keys::{published_key, text};
use crate::{Bench, refusal};

#[tokio::test]
async fn no_key_is_made_to_leave_a_token_that_keeps_its_keys() {
    let (bench, token) = Bench::with_token(93).await;
    let rules = json!({"version": "1.0.0", "anyOf": [
        {"authority": "https://attest.example", "allOf": [{"claim": "a", "equals": "b"}]},
    ]});
    let leaving = |mut key: Value| {
        key["attributes"] = json!({"exportable": true});
        key["release_policy"] = json!({"data": text(rules.to_string().as_bytes())});
        key
    };
    let import = |hsm: bool| leaving(json!({"Hsm": hsm, "key": published_key()}));
    for (method, path, in_software, in_token) in [
        ("POST", "/keys/ec/create", leaving(json!({"kty": "EC"})), leaving(json!({"kty": "EC-HSM"}))),
        ("POST", "/keys/rsa/create", leaving(json!({"kty": "RSA"})), leaving(json!({"kty": "RSA-HSM"}))),
        ("PUT", "/keys/known", import(false), import(true)),
    ] {
        token.set(Mood::Keeps);
        bench.done(method, path, in_software).await;
        let refused = bench.refused(method, path, in_token.clone()).await;
        assert_eq!(refused, refusal(400, "BadParameter", ""), "{path}");
        token.set(Mood::Works);
        bench.done(method, path, in_token).await;
    }
}

#[tokio::test]
async fn a_key_that_unwraps_what_is_imported_does_nothing_else() {
    let (bench, _) = Bench::with_token(94).await;
    let leaving = json!({"kty": "RSA-HSM", "key_ops": ["import"], "attributes": {"exportable": true},
        "release_policy": {"data": text(br#"{"version":"1.0.0","anyOf":[{"authority":"https://a.example","allOf":[{"claim":"a","equals":"b"}]}]}"#)}});
    // What is wrapped for it would be as safe as where it went.
    assert_eq!(bench.refused("POST", "/keys/kek/create", leaving).await, refusal(400, "BadParameter", ""));
    bench.done("POST", "/keys/kek/create", json!({"kty": "RSA-HSM", "key_ops": ["import"]})).await;
    bench.done("POST", "/keys/usual/create", json!({"kty": "RSA-HSM"})).await;
    let value = text(&[7; 32]);
    let signature = bench.done("POST", "/keys/usual//sign", json!({"alg": "PS256", "value": value})).await;
    for (operation, body) in [
        ("sign", json!({"alg": "PS256", "value": value})),
        ("verify", json!({"alg": "PS256", "digest": value, "value": signature["value"]})),
        ("encrypt", json!({"alg": "RSA-OAEP", "value": value})),
        ("wrapkey", json!({"alg": "RSA-OAEP-256", "value": value})),
    ] {
        let made = bench.done("POST", &format!("/keys/usual//{operation}"), body.clone()).await;
        let refused = bench.refused("POST", &format!("/keys/kek//{operation}"), body).await;
        assert_eq!(refused, refusal(403, "Forbidden", "KeyOperationForbidden"), "{operation}");
        // The way back, with what the other key can open.
        let back = match operation {
            "encrypt" => json!({"alg": "RSA-OAEP", "value": made["value"]}),
            "wrapkey" => json!({"alg": "RSA-OAEP-256", "value": made["value"]}),
            _ => continue,
        };
        let operation = if operation == "encrypt" { "decrypt" } else { "unwrapkey" };
        bench.done("POST", &format!("/keys/usual//{operation}"), back.clone()).await;
        let refused = bench.refused("POST", &format!("/keys/kek//{operation}"), back).await;
        assert_eq!(refused, refusal(403, "Forbidden", "KeyOperationForbidden"), "{operation}");
    }
}

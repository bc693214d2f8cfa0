//! Keys against the published examples (keys.json 7.4, `CreateKey`, `ImportKey`, `sign`, `GetKeyRotationPolicy` and
//! their kin), and the oddities of real clients.

use proptest::prelude::proptest;
use serde_json::{Value, json};
use vouchsafe_wire::keyvault::key::{
    ActionKind, CreateKeyRequest, Curve, DeletedKeyBundle, DeletedKeyItem, ImportKeyRequest, JsonWebKey,
    KeyAttributes, KeyAttributesRequest, KeyBundle, KeyItem, KeyOperation, KeyOperationResult,
    KeyRotationPolicy, KeyType, OperationRequest, RandomBytes, RandomRequest, ReleaseRequest, SignRequest,
    TransferBlob, UpdateKeyRequest, VerifyRequest,
};
use vouchsafe_wire::keyvault::{Octets, SecretOctets, identifier};

use crate::{BUDGET, ORIGIN, attributes, json_of};

const KID: &str = "https://myvault.vault.azure.net/keys/CreateSoftKeyTest/78deebed173b48e48f55abf87ed4cf71";

fn bundle() -> KeyBundle {
    KeyBundle {
        key: JsonWebKey {
            kid: identifier(ORIGIN, "keys", "CreateSoftKeyTest", Some("78deebed173b48e48f55abf87ed4cf71")),
            kty: KeyType::Rsa,
            key_ops: vec![KeyOperation::Sign, KeyOperation::WrapKey],
            n: Some(Octets(vec![0xd8, 0x72, 0x40])),
            e: Some(Octets(vec![1, 0, 1])),
            crv: None,
            x: None,
            y: None,
            key_hsm: None,
        },
        attributes: key_attributes(),
        tags: None,
        managed: None,
        release_policy: None,
    }
}

fn key_attributes() -> KeyAttributes {
    let hsm_platform = Some("0".to_owned());
    KeyAttributes { common: attributes(), exportable: Some(false), hsm_platform, attestation: None }
}

fn shown_attributes() -> Value {
    json!({"enabled": true, "created": 1_493_938_410, "updated": 1_493_938_410,
        "recoveryLevel": "Recoverable+Purgeable", "recoverableDays": 90, "exportable": false, "hsmPlatform": "0"})
}

#[test]
fn create_requests_of_every_client_are_read() {
    let example = CreateKeyRequest::parse(
        br#"{"kty":"RSA","key_size":2048,"key_ops":["encrypt","decrypt","sign","verify","wrapKey","unwrapKey"],
            "attributes":{},"tags":{"purpose":"unit test","test name ":"CreateGetDeleteKeyTest"}}"#,
        &BUDGET,
    )
    .unwrap();
    assert_eq!((example.kty, example.key_size), (KeyType::Rsa, Some(2048)));
    assert_eq!(example.key_ops.unwrap().len(), 6);
    assert_eq!(example.attributes, Some(KeyAttributesRequest::default()));
    assert_eq!(example.tags.unwrap()["purpose"], "unit test");

    let curve = CreateKeyRequest::parse(
        br#"{"kty":"EC-HSM","crv":"P-256K","public_exponent":null,"release_policy":{"data":"e30","immutable":true},
            "attributes":{"enabled":false,"exportable":true,"exp":9,"recoveryLevel":"Purgeable"},"later":[{}]}"#,
        &BUDGET,
    )
    .unwrap();
    assert!(curve.kty.in_token());
    assert_eq!(curve.crv, Some(Curve::P256K));
    assert_eq!(curve.release_policy.unwrap().data, Some(Octets(b"{}".to_vec())));
    let expected =
        KeyAttributesRequest { enabled: Some(false), nbf: None, exp: Some(9), exportable: Some(true) };
    assert_eq!(curve.attributes, Some(expected));
}

#[test]
fn a_kind_a_curve_or_a_use_that_we_do_not_know_is_refused_with_those_that_we_do() {
    for (body, message) in [
        (
            r#"{"kty":"OKP"}"#,
            "the member `kty` must be one of `EC`, `EC-HSM`, `RSA`, `RSA-HSM`, `oct`, `oct-HSM`",
        ),
        (r#"{"key_size":2048}"#, "the member `kty` is missing"),
        (
            r#"{"kty":"RSA","key_size":"2048"}"#,
            "the member `key_size` must be a whole number from 0 to 4294967295, not text",
        ),
        (
            r#"{"kty":"RSA","key_ops":["derive"]}"#,
            "the member `key_ops[0]` must be one of `encrypt`, `decrypt`, `sign`, `verify`, `wrapKey`, `unwrapKey`, `import`, `export`",
        ),
    ] {
        assert_eq!(CreateKeyRequest::parse(body.as_bytes(), &BUDGET).unwrap_err().to_string(), message);
    }
    let curve = CreateKeyRequest::parse(br#"{"kty":"EC","crv":"P-224"}"#, &BUDGET).unwrap_err();
    assert!(curve.to_string().starts_with("the member `crv` must be one of `P-256`, `P-384`"), "{curve}");
}

#[test]
fn an_imported_key_keeps_its_numbers_as_they_were_sent() {
    let import = ImportKeyRequest::parse(
        br#"{"Hsm":false,"key":{"kid":"ignored","kty":"RSA","key_ops":["sign"],"n":"ANhyQA","e":"AQAB","d":"AAEC",
            "dp":"AQ","dq":"Ag","qi":"Aw","p":"BA","q":"BQ"},"tags":{"purpose":"unit test"},"attributes":{}}"#,
        &BUDGET,
    )
    .unwrap();
    assert_eq!(import.hsm, Some(false));
    assert_eq!(import.key.n, Some(Octets(vec![0, 0xd8, 0x72, 0x40])));
    assert_eq!(import.key.e.as_ref().map(Octets::as_slice), Some(&[1, 0, 1][..]));
    let secret = |part: &Option<SecretOctets>| part.as_ref().unwrap().expose().to_vec();
    let key = &import.key;
    assert_eq!(secret(&key.d), [0, 1, 2]);
    let small = [&key.dp, &key.dq, &key.qi, &key.p, &key.q].map(|part| secret(part)[0]);
    assert_eq!(small, [1, 2, 3, 4, 5]);
    let symmetric = ImportKeyRequest::parse(br#"{"key":{"kty":"oct","k":"AAECAw"}}"#, &BUDGET).unwrap();
    assert_eq!(secret(&symmetric.key.k), [0, 1, 2, 3]);
}

#[test]
fn a_number_has_one_spelling_and_a_wrong_one_is_not_repeated() {
    for wrong in ["AQA=", "AQ==", "A+A/", "AQ AB", "AQAB\\n", "AR", "A", "canary!", "AQAB\\u0000"] {
        let public = format!(r#"{{"key":{{"kty":"RSA","e":"{wrong}"}}}}"#);
        let refusal = ImportKeyRequest::parse(public.as_bytes(), &BUDGET).err().expect("refused");
        assert_eq!(
            refusal.to_string(),
            "the member `key.e` must be base64url text without padding",
            "{wrong}"
        );
        let private = format!(r#"{{"key":{{"kty":"RSA","d":"{wrong}"}}}}"#);
        let refusal = ImportKeyRequest::parse(private.as_bytes(), &BUDGET).err().expect("refused");
        assert_eq!(
            refusal.to_string(),
            "the member `key.d` must be base64url text without padding",
            "{wrong}"
        );
    }
    for wrong in [r#"{"key":{"kty":"RSA","d":["canary"]}}"#, r#"{"key":["canary"]}"#, r#"{"key":{"d":"AQ"}}"#]
    {
        let refusal = ImportKeyRequest::parse(wrong.as_bytes(), &BUDGET).err().expect("refused");
        assert!(!refusal.to_string().contains("canary"), "{refusal}");
    }
}

#[test]
fn a_key_looks_like_the_published_example() {
    assert_eq!(
        serde_json::to_value(bundle()).unwrap(),
        json!({
            "key": {"kid": KID, "kty": "RSA", "key_ops": ["sign", "wrapKey"], "n": "2HJA", "e": "AQAB"},
            "attributes": shown_attributes(),
        })
    );
    let mut curve = bundle();
    curve.key = JsonWebKey {
        kty: KeyType::EcHsm,
        crv: Some(Curve::P521),
        n: None,
        e: None,
        x: Some(Octets(vec![0, 1])),
        y: Some(Octets(vec![2])),
        ..curve.key
    };
    let shown = serde_json::to_value(&curve).unwrap();
    assert_eq!(
        (&shown["key"]["kty"], &shown["key"]["crv"], &shown["key"]["x"]),
        (&json!("EC-HSM"), &json!("P-521"), &json!("AAE"))
    );
    assert_eq!(serde_json::from_value::<KeyBundle>(shown).unwrap(), curve);
}

#[test]
fn lists_and_deleted_keys_look_like_the_published_examples() {
    let item = KeyItem {
        kid: identifier(ORIGIN, "keys", "sdktestkey", None),
        attributes: key_attributes(),
        tags: None,
        managed: Some(true),
    };
    let kid = "https://myvault.vault.azure.net/keys/sdktestkey";
    let shown = json!({"kid": kid, "attributes": shown_attributes(), "managed": true});
    assert_eq!(serde_json::to_value(&item).unwrap(), shown);

    let recovery_id = identifier(ORIGIN, "deletedkeys", "sdktestkey", None);
    let (deleted_date, scheduled_purge_date) = (1_493_942_452, 1_501_718_452);
    let deleted =
        DeletedKeyItem { recovery_id: recovery_id.clone(), deleted_date, scheduled_purge_date, item };
    let shown = serde_json::to_value(deleted).unwrap();
    assert_eq!(shown["recoveryId"], "https://myvault.vault.azure.net/deletedkeys/sdktestkey");
    assert_eq!((&shown["kid"], &shown["deletedDate"]), (&json!(kid), &json!(1_493_942_452)));
    let deleted = DeletedKeyBundle { recovery_id, deleted_date, scheduled_purge_date, bundle: bundle() };
    let shown = serde_json::to_value(deleted).unwrap();
    assert_eq!((&shown["key"]["kid"], &shown["scheduledPurgeDate"]), (&json!(KID), &json!(1_501_718_452)));
}

#[test]
fn operations_look_like_the_published_examples() {
    let sign = SignRequest::parse(br#"{"alg":"RS512","value":"RUE3Nzg4"}"#, &BUDGET).unwrap();
    assert_eq!((sign.alg.as_str(), sign.value), ("RS512", Octets(b"EA7788".to_vec())));
    let verify = VerifyRequest::parse(br#"{"alg":"ES256","digest":"AAE","value":"AgM"}"#, &BUDGET).unwrap();
    assert_eq!((verify.digest, verify.value), (Octets(vec![0, 1]), Octets(vec![2, 3])));
    let decrypt = OperationRequest::parse(
        br#"{"alg":"A256GCM","value":"5ka5IVsnGrzufA","iv":"AA","aad":null,"tag":"AQ"}"#,
        &BUDGET,
    )
    .unwrap();
    assert_eq!(decrypt.value.len(), 10);
    assert_eq!((decrypt.iv, decrypt.aad, decrypt.tag), (Some(Octets(vec![0])), None, Some(Octets(vec![1]))));
    let result = KeyOperationResult {
        kid: KID.to_owned(),
        value: SecretOctets::new(vec![0xe6, 0x46, 0xb9]),
        iv: Some(Octets(vec![7; 12])),
        tag: None,
        aad: None,
    };
    assert_eq!(json_of(&result.to_json()), json!({"kid": KID, "value": "5ka5", "iv": "BwcHBwcHBwcHBwcH"}));
    assert_eq!(RandomRequest::parse(br#"{"count":4}"#, &BUDGET).unwrap().count, 4);
    let random = RandomBytes { value: SecretOctets::new(b"1234".to_vec()) };
    assert_eq!(json_of(&random.to_json()), json!({"value": "MTIzNA"}));
    let update = UpdateKeyRequest::parse(
        br#"{"key_ops":["decrypt","encrypt"],"attributes":{"enabled":false,"nbf":631180800,"exp":662716800}}"#,
        &BUDGET,
    )
    .unwrap();
    assert_eq!(update.key_ops, Some(vec![KeyOperation::Decrypt, KeyOperation::Encrypt]));
    let release = ReleaseRequest::parse(br#"{"target":"a.b.c","enc":"RSA_AES_KEY_WRAP_256"}"#, &BUDGET);
    assert_eq!(release.unwrap().target.expose(), "a.b.c");
}

#[test]
fn a_rotation_policy_survives_the_round_trip() {
    let example = json!({
        "id": "https://myvault.vault.azure.net/keys/key01/rotationpolicy",
        "lifetimeActions": [
            {"trigger": {"timeAfterCreate": "P90D"}, "action": {"type": "Rotate"}},
            {"trigger": {"timeBeforeExpiry": "P30D"}, "action": {"type": "Notify"}},
        ],
        "attributes": {"expiryTime": "P2Y", "created": 1_482_188_947, "updated": 1_482_188_948},
    });
    let policy = KeyRotationPolicy::parse(example.to_string().as_bytes(), &BUDGET).unwrap();
    assert_eq!(serde_json::to_value(&policy).unwrap(), example);
    // The published example writes the kinds without a capital, as some clients do.
    let lower = KeyRotationPolicy::parse(
        example
            .to_string()
            .to_lowercase()
            .replace("lifetimeactions", "lifetimeActions")
            .replace("timeaftercreate", "timeAfterCreate")
            .replace("timebeforeexpiry", "timeBeforeExpiry")
            .as_bytes(),
        &BUDGET,
    )
    .unwrap();
    let kinds: Vec<_> =
        lower.lifetime_actions.unwrap().iter().map(|action| action.action.unwrap().kind).collect();
    assert_eq!(kinds, [ActionKind::Rotate, ActionKind::Notify]);
    assert_eq!(KeyRotationPolicy::parse(b"{}", &BUDGET).unwrap(), KeyRotationPolicy::default());
}

#[test]
fn a_key_that_was_wrapped_elsewhere_says_how() {
    let blob = br#"{"schema_version":"1.0.0","header":{"kid":"https://v/keys/kek/1","alg":"dir",
        "enc":"CKM_RSA_AES_KEY_WRAP"},"ciphertext":"AAEC","generator":"some tool"}"#;
    let blob = TransferBlob::parse(&SecretOctets::new(blob.to_vec())).unwrap();
    assert_eq!((blob.header.alg.as_str(), blob.ciphertext), ("dir", Octets(vec![0, 1, 2])));
    assert!(TransferBlob::parse(&SecretOctets::new(b"\x00binary".to_vec())).is_err());
}

proptest! {
    #[test]
    fn no_bytes_make_a_parser_panic(body: Vec<u8>) {
        let _ = CreateKeyRequest::parse(&body, &BUDGET);
        let _ = ImportKeyRequest::parse(&body, &BUDGET);
        let _ = OperationRequest::parse(&body, &BUDGET);
        let _ = KeyRotationPolicy::parse(&body, &BUDGET);
        let _ = TransferBlob::parse(&SecretOctets::new(body));
    }

    #[test]
    fn secret_bytes_survive_the_round_trip(bytes: Vec<u8>) {
        let random = RandomBytes { value: SecretOctets::new(bytes.clone()) };
        let body = format!(r#"{{"alg":"x","value":{}}}"#, json_of(&random.to_json())["value"]);
        let read = OperationRequest::parse(body.as_bytes(), &BUDGET).expect("what we write we read");
        assert_eq!(read.value.expose(), bytes);
    }
}

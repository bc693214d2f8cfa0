//! Keys: what is read, what is refused, and that both encodings mean the same key.

use data_encoding::BASE64;
use rcgen::{KeyPair, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PublicKeyData};
use serde_json::{Value, json};
use vouchsafe_crypto::jose::{
    Algorithm, JwkSet, JwkSetRefused, KeyKind, KeyRefused, PublicKey, SignError, SignatureRefused,
    SigningKey, base64url,
};
use vouchsafe_crypto::{Reason, SecretBytes};

use crate::{P256, RSA};

fn jwk(key: &PublicKey) -> Value {
    serde_json::to_value(key.to_jwk()).expect("JSON")
}

fn from_jwk(jwk: &Value) -> Result<KeyKind, KeyRefused> {
    PublicKey::from_jwk(jwk.to_string().as_bytes()).map(|key| key.kind())
}

#[test]
fn every_kind_of_key_signs_survives_storage_and_verifies() {
    for (kind, algorithms) in [
        (KeyKind::Rsa2048, &[Algorithm::Rs256, Algorithm::Ps256][..]),
        (KeyKind::Rsa3072, &[Algorithm::Rs256, Algorithm::Ps256]),
        (KeyKind::Rsa4096, &[Algorithm::Rs256, Algorithm::Ps256]),
        (KeyKind::P256, &[Algorithm::Es256]),
    ] {
        let key = SigningKey::generate(kind);
        let restored = SigningKey::from_pkcs8(kind, &key.to_pkcs8()).expect("what was given out");
        assert!(restored.public() == key.public() && key.public().kind() == kind);
        let read = PublicKey::from_jwk(jwk(key.public()).to_string().as_bytes()).expect("a JWK");
        assert!(read == *key.public() && read.thumbprint() == key.public().thumbprint());
        for algorithm in [Algorithm::Rs256, Algorithm::Ps256, Algorithm::Es256] {
            if algorithms.contains(&algorithm) {
                let signature = restored.sign(algorithm, b"message").expect("fits");
                assert_eq!(read.verify(algorithm, b"message", &signature), Ok(()));
                assert_eq!(read.verify(algorithm, b"messagE", &signature), Err(SignatureRefused));
                for other in [KeyKind::Rsa2048, KeyKind::P256] {
                    let other = SigningKey::generate(other);
                    assert_eq!(
                        other.public().verify(algorithm, b"message", &signature),
                        Err(SignatureRefused)
                    );
                }
            } else {
                assert_eq!(restored.sign(algorithm, b"message"), Err(SignError::Algorithm));
                assert_eq!(read.verify(algorithm, b"message", &[0; 64]), Err(SignatureRefused));
            }
        }
    }
}

#[test]
fn a_stored_key_is_of_the_kind_that_is_expected() {
    for (kind, key) in [(KeyKind::Rsa3072, &*RSA), (KeyKind::P256, &*RSA), (KeyKind::Rsa2048, &*P256)] {
        assert!(SigningKey::from_pkcs8(kind, &key.to_pkcs8()).is_err(), "{kind:?}");
    }
    let mut damaged = RSA.to_pkcs8().expose(Reason::Test).to_vec();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    assert!(SigningKey::from_pkcs8(KeyKind::Rsa2048, &SecretBytes::new(damaged)).is_err());
    assert!(SigningKey::from_pkcs8(KeyKind::Rsa2048, &SecretBytes::new(vec![])).is_err());
    let p384 = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).expect("P-384");
    assert!(SigningKey::from_pkcs8(KeyKind::P256, &SecretBytes::new(p384.serialize_der())).is_err());
}

#[test]
fn a_jwk_is_refused_for_each_thing_that_is_wrong_with_it() {
    let (rsa, p256) = (jwk(RSA.public()), jwk(P256.public()));
    let with = |jwk: &Value, name: &str, value: Value| {
        let mut jwk = jwk.clone();
        jwk[name] = value;
        from_jwk(&jwk)
    };
    assert_eq!(with(&rsa, "use", json!("sig")), Ok(KeyKind::Rsa2048));
    assert_eq!(with(&p256, "kid", json!("1")), Ok(KeyKind::P256));
    for name in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
        assert_eq!(with(&rsa, name, json!("AQAB")), Err(KeyRefused::Private), "{name}");
        assert_eq!(with(&p256, name, json!("AQAB")), Err(KeyRefused::Private), "{name}");
    }
    let n = base64url::decode(rsa["n"].as_str().expect("text").as_bytes()).expect("base64url");
    let encode = |bytes: &[u8]| json!(base64url::encode(bytes));
    for (name, value, expected) in [
        ("n", encode(&[&[0], &n[..]].concat()), KeyRefused::Malformed),
        ("n", encode(&n[1..]), KeyRefused::Unsupported),
        ("n", encode(&[&n[..], &[1]].concat()), KeyRefused::Unsupported),
        ("n", encode(&[&[0x7f], &n[1..]].concat()), KeyRefused::Unsupported),
        ("n", encode(&[&n[..255], &[2]].concat()), KeyRefused::Unsupported),
        ("n", encode(&[0xff; 128]), KeyRefused::Unsupported),
        ("n", encode(&[0xff; 1024]), KeyRefused::Unsupported),
        ("n", encode(&[]), KeyRefused::Malformed),
        ("n", json!(1), KeyRefused::Malformed),
        ("n", json!(null), KeyRefused::Malformed),
        ("n", json!(BASE64.encode(&n)), KeyRefused::Malformed),
        ("e", encode(&[1]), KeyRefused::Unsupported),
        ("e", encode(&[3]), KeyRefused::Unsupported),
        ("e", encode(&[1, 0, 0]), KeyRefused::Unsupported),
        ("e", encode(&[1, 0, 0, 0, 1]), KeyRefused::Unsupported),
        ("e", encode(&[0, 1, 0, 1]), KeyRefused::Malformed),
        ("e", encode(&[]), KeyRefused::Malformed),
        ("e", encode(&n), KeyRefused::Unsupported),
        ("kty", json!("oct"), KeyRefused::Unsupported),
        ("kty", json!("rsa"), KeyRefused::Unsupported),
        ("kty", json!("EC"), KeyRefused::Unsupported),
        ("kty", json!(null), KeyRefused::Malformed),
    ] {
        assert_eq!(with(&rsa, name, value.clone()), Err(expected), "{name} {value}");
    }
    let x = base64url::decode(p256["x"].as_str().expect("text").as_bytes()).expect("base64url");
    for (name, value, expected) in [
        ("x", encode(&[0; 32]), KeyRefused::Malformed),
        ("x", encode(&[&[0], &x[..]].concat()), KeyRefused::Malformed),
        ("x", encode(&x[..31]), KeyRefused::Malformed),
        ("x", encode(&[0xff; 32]), KeyRefused::Malformed),
        ("y", encode(&x), KeyRefused::Malformed),
        ("y", json!(null), KeyRefused::Malformed),
        ("crv", json!("P-384"), KeyRefused::Unsupported),
        ("crv", json!("p-256"), KeyRefused::Unsupported),
        ("crv", json!("secp256k1"), KeyRefused::Unsupported),
    ] {
        assert_eq!(with(&p256, name, value.clone()), Err(expected), "{name} {value}");
    }
    for text in
        ["", "[]", "null", r#"{"kty":"EC","kty":"EC"}"#, &format!("{p256}{p256}"), &"[".repeat(20_000)]
    {
        assert_eq!(PublicKey::from_jwk(text.as_bytes()).err(), Some(KeyRefused::Malformed));
    }
}

#[test]
fn a_subject_public_key_info_of_another_kind_is_refused() {
    for algorithm in [&PKCS_ECDSA_P384_SHA384, &PKCS_ED25519] {
        let spki = KeyPair::generate_for(algorithm).expect("made").subject_public_key_info();
        assert_eq!(PublicKey::from_spki_der(&spki).err(), Some(KeyRefused::Unsupported));
    }
    let spki = KeyPair::generate().expect("P-256").subject_public_key_info();
    assert!(PublicKey::from_spki_der(&spki).is_ok());
    let mut compressed = spki.clone();
    let point = spki.len() - 65;
    compressed[point] = 2;
    assert_eq!(PublicKey::from_spki_der(&compressed).err(), Some(KeyRefused::Malformed));
    let mut off_curve = spki.clone();
    off_curve[point + 40] ^= 1;
    assert_eq!(PublicKey::from_spki_der(&off_curve).err(), Some(KeyRefused::Malformed));
    for length in 0..spki.len() {
        assert!(PublicKey::from_spki_der(&spki[..length]).is_err());
    }
    assert!(PublicKey::from_spki_der(&[&spki[..], &[0]].concat()).is_err());
}

#[test]
fn a_key_set_that_is_published_reads_back() {
    let mut set = JwkSet::new();
    assert!(set.insert("1", RSA.public().clone(), Algorithm::Rs256));
    assert!(set.insert("2", P256.public().clone(), Algorithm::Es256));
    assert!(!set.insert("2", RSA.public().clone(), Algorithm::Ps256), "the name is taken");
    assert!(!set.insert("3", RSA.public().clone(), Algorithm::Es256), "the algorithm does not fit");
    let published = serde_json::to_value(&set).expect("JSON");
    assert_eq!(published["keys"][0]["use"], "sig");
    assert_eq!(published["keys"][1]["alg"], "ES256");
    assert_eq!(published["keys"][1].as_object().expect("object").len(), 7);
    let read = JwkSet::parse(published.to_string().as_bytes()).expect("a key set");
    assert_eq!(read.len(), 2);
    assert!(
        read.find("1").is_some_and(|(key, algorithm)| key == RSA.public() && algorithm == Algorithm::Rs256)
    );
    assert!(read.find("3").is_none());
}

#[test]
fn keys_without_use_are_passed_over_and_ambiguous_ones_are_not() {
    let named = |key: &PublicKey, members: Value| {
        let mut jwk = jwk(key);
        jwk.as_object_mut().expect("object").extend(members.as_object().expect("object").clone());
        jwk
    };
    let parse = |keys: &[Value]| JwkSet::parse(json!({"keys": keys, "x": 1}).to_string().as_bytes());
    let rsa = RSA.public();
    let usable =
        named(rsa, json!({"kid": "1", "x5t": "1", "x5c": ["MIIB"], "issuer": "https://login.example"}));
    for passed_over in [
        named(rsa, json!({})),
        named(rsa, json!({"kid": "2", "use": "enc"})),
        named(rsa, json!({"kid": "2", "key_ops": ["encrypt"]})),
        named(rsa, json!({"kid": "2", "alg": "RS512"})),
        named(rsa, json!({"kid": "2", "alg": "ES256"})),
        named(rsa, json!({"kid": "2", "alg": 1})),
        named(rsa, json!({"kid": 2})),
        named(rsa, json!({"kid": "2", "d": "AQAB"})),
        json!({"kty": "oct", "k": "AAAA", "kid": "2"}),
        json!({"kty": "OKP", "crv": "Ed25519", "x": "AAAA", "kid": "2"}),
        json!({}),
    ] {
        let set = parse(&[passed_over.clone(), usable.clone()]).expect("a key set");
        assert_eq!((set.len(), set.find("1").is_some()), (1, true), "{passed_over}");
    }
    let algorithm =
        |set: Result<JwkSet, _>, kid| set.expect("a key set").find(kid).map(|(_, algorithm)| algorithm);
    assert_eq!(algorithm(parse(std::slice::from_ref(&usable)), "1"), Some(Algorithm::Rs256));
    let ps256 = named(rsa, json!({"kid": "1", "alg": "PS256", "key_ops": ["verify"]}));
    assert_eq!(algorithm(parse(&[ps256]), "1"), Some(Algorithm::Ps256));
    assert_eq!(algorithm(parse(&[named(P256.public(), json!({"kid": "1"}))]), "1"), Some(Algorithm::Es256));

    let twin = named(P256.public(), json!({"kid": "1"}));
    assert_eq!(parse(&[usable, twin]).err(), Some(JwkSetRefused::Ambiguous));
    for text in ["", "{}", "[]", r#"{"keys":{}}"#, r#"{"keys":[1]}"#, r#"{"keys":[],"keys":[]}"#] {
        assert_eq!(JwkSet::parse(text.as_bytes()).err(), Some(JwkSetRefused::Malformed), "{text}");
    }
    assert!(parse(&[]).expect("an empty key set").is_empty());
}

#[test]
fn a_key_may_be_said_by_its_certificate_where_that_is_asked_for() {
    let pair = KeyPair::generate().expect("a P-256 key");
    let certificate = rcgen::CertificateParams::new(vec!["attest.example".to_owned()])
        .and_then(|parameters| parameters.self_signed(&pair))
        .expect("a certificate");
    let certified = PublicKey::from_spki_der(&pair.subject_public_key_info()).expect("its key");
    let x5c = |der: &[u8]| json!([BASE64.encode(der)]);
    let parse = |jwk: &Value| {
        let set = json!({ "keys": [jwk] }).to_string();
        JwkSet::parse_with_certificates(set.as_bytes()).expect("a key set")
    };
    let alone = json!({"kid": "1", "kty": "EC", "x5c": x5c(certificate.der())});
    assert!(
        parse(&alone)
            .find("1")
            .is_some_and(|(key, algorithm)| { *key == certified && algorithm == Algorithm::Es256 })
    );
    let strict = JwkSet::parse(json!({ "keys": [alone] }).to_string().as_bytes()).expect("a key set");
    assert!(strict.is_empty(), "nobody else says keys like this");

    let mut both = jwk(P256.public());
    both.as_object_mut()
        .expect("object")
        .extend([("kid".to_owned(), json!("1")), ("x5c".to_owned(), x5c(certificate.der()))]);
    assert!(
        parse(&both).find("1").is_some_and(|(key, _)| key == P256.public()),
        "numbers are taken as they are"
    );
    both["x"] = json!("AAAA");
    assert!(parse(&both).is_empty(), "a certificate does not make up for wrong numbers");

    for wrong in [
        json!({"kid": "1", "kty": "RSA", "x5c": x5c(certificate.der())}),
        json!({"kid": "1", "x5c": x5c(certificate.der())}),
        json!({"kid": "1", "kty": "EC", "x5c": []}),
        json!({"kid": "1", "kty": "EC", "x5c": x5c(&certificate.der()[1..])}),
        json!({"kid": "1", "kty": "EC", "x5c": [base64url::encode(certificate.der())]}),
        json!({"kid": "1", "kty": "EC", "x5c": BASE64.encode(certificate.der())}),
        json!({"kid": "1", "kty": "EC", "use": "enc", "x5c": x5c(certificate.der())}),
    ] {
        assert!(parse(&wrong).is_empty(), "{wrong}");
    }
}

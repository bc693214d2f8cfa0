//! The crate `jsonwebtoken` reads what we write, and we read what it writes.

use data_encoding::BASE64;
use jsonwebtoken::{DecodingKey, EncodingKey, Header, Validation};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use vouchsafe_crypto::Reason;
use vouchsafe_crypto::jose::{Algorithm, Expected, SigningKey, sign_jwt, verify};

use crate::{NOW, P256, RSA, known_key};

fn cases() -> [(&'static str, &'static SigningKey, Algorithm, jsonwebtoken::Algorithm); 3] {
    [
        ("rs", &RSA, Algorithm::Rs256, jsonwebtoken::Algorithm::RS256),
        ("ps", &RSA, Algorithm::Ps256, jsonwebtoken::Algorithm::PS256),
        ("es", &P256, Algorithm::Es256, jsonwebtoken::Algorithm::ES256),
    ]
}

fn their_decoding_key(key: &SigningKey) -> DecodingKey {
    let jwk = serde_json::to_value(key.public().to_jwk()).expect("JSON");
    DecodingKey::from_jwk(&serde_json::from_value(jwk).expect("a JWK")).expect("a key")
}

fn their_encoding_key(key: &SigningKey) -> EncodingKey {
    let der = BASE64.encode(key.to_pkcs8().expose(Reason::Test));
    let lines: Vec<&str> =
        der.as_bytes().chunks(64).map(|line| str::from_utf8(line).expect("ASCII")).collect();
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"));
    let key = EncodingKey::from_rsa_pem(pem.as_bytes()).or_else(|_| EncodingKey::from_ec_pem(pem.as_bytes()));
    key.expect("a key")
}

fn claims() -> impl Strategy<Value = Map<String, Value>> {
    let value = prop_oneof![
        ".{0,20}".prop_map(Value::String),
        any::<i64>().prop_map(|number| json!(number)),
        any::<bool>().prop_map(Value::Bool),
        proptest::collection::vec(".{0,5}", 0..4).prop_map(|list| json!(list)),
    ];
    proptest::collection::btree_map("[a-zA-Z_]{4,10}|.{4,6}", value, 0..6).prop_map(|others| {
        let mut claims: Map<String, Value> = others.into_iter().collect();
        let ours = json!({"iss": "issuer", "aud": "audience", "exp": NOW + 600, "nbf": NOW, "iat": NOW});
        claims.extend(ours.as_object().expect("an object").clone());
        claims
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_we_sign_they_verify(claims in claims()) {
        for (kid, key, ours, theirs) in cases() {
            let token = sign_jwt(key, ours, kid, &claims).expect("signed");
            let mut validation = Validation::new(theirs);
            validation.validate_exp = false;
            validation.set_audience(&["audience"]);
            validation.set_issuer(&["issuer"]);
            let decoded = jsonwebtoken::decode::<Map<String, Value>>(&token, &their_decoding_key(key), &validation)
                .expect("accepted");
            prop_assert_eq!(&decoded.claims, &claims);
            prop_assert_eq!(decoded.header.kid.as_deref(), Some(kid));
            prop_assert_eq!(decoded.header.typ.as_deref(), Some("JWT"));
        }
    }

    #[test]
    fn what_they_sign_we_verify(claims in claims()) {
        for (kid, key, _, theirs) in cases() {
            let header = Header { kid: Some(kid.to_owned()), ..Header::new(theirs) };
            let token = jsonwebtoken::encode(&header, &claims, &their_encoding_key(key)).expect("signed");
            let expected = Expected {
                issuer: &|issuer| issuer == "issuer",
                audience: &|audience| audience == "audience",
                now_seconds: NOW,
                skew_seconds: 0,
            };
            let verified = verify(token.as_bytes(), &known_key, &expected);
            prop_assert!(verified.is_ok(), "{:?}", verified.err());
            let Ok(verified) = verified else { unreachable!() };
            for (name, value) in &claims {
                prop_assert_eq!(verified.claim(name), Some(value));
            }
        }
    }
}

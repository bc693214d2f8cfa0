//! The examples of RFC 7515, 7517, 7520 and 7638, as published.
//!
//! RFC 7520 §4.2 signs with PS384, which is not used here: it shows that a valid signature of an algorithm we do not
//! have is refused. PS256 has no published example; `wycheproof` and the other implementation stand in for it.

use aws_lc_rs::signature::{RSA_PSS_2048_8192_SHA384, RsaPublicKeyComponents};
use serde_json::json;
use vouchsafe_crypto::jose::{Algorithm, JwkSet, PublicKey, Refused, SignatureRefused, base64url};

use crate::verify_strictly;

fn key(jwk: serde_json::Value) -> PublicKey {
    PublicKey::from_jwk(jwk.to_string().as_bytes()).expect("the published key")
}

/// Verifies a published token, and that neither a changed token nor another algorithm verifies.
fn check(name: &str, key: &PublicKey, algorithm: Algorithm, token: &str) {
    let (input, signature) = token.rsplit_once('.').expect("three segments");
    let signature = base64url::decode(signature.as_bytes()).expect("base64url");
    assert_eq!(key.verify(algorithm, input.as_bytes(), &signature), Ok(()), "{name}");
    let changed = input.replacen('.', "..", 1);
    assert_eq!(key.verify(algorithm, changed.as_bytes(), &signature), Err(SignatureRefused), "{name}");
    for other in
        [Algorithm::Rs256, Algorithm::Ps256, Algorithm::Es256].iter().filter(|other| **other != algorithm)
    {
        assert_eq!(key.verify(*other, input.as_bytes(), &signature), Err(SignatureRefused), "{name}");
    }
    // The examples have no type and no name of a key, so as tokens of ours they are refused.
    assert_eq!(verify_strictly(token), Err(Refused::Type), "{name}");
}

const JOE: &str =
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";

#[test]
fn rfc_7515_appendix_a_2() {
    let key = key(json!({"kty": "RSA", "e": "AQAB", "n": concat!(
        "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZ",
        "S-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2",
        "R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcD",
        "TW9gb54h4FRWyuXpoQ"
    )}));
    let signature = concat!(
        "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CU",
        "Ar7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_d",
        "O--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0ig",
        "cN_IoypGlUPQGe77Rw"
    );
    check("A.2", &key, Algorithm::Rs256, &format!("eyJhbGciOiJSUzI1NiJ9.{JOE}.{signature}"));
}

#[test]
fn rfc_7515_appendix_a_3() {
    let key = key(json!({
        "kty": "EC", "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
    }));
    let signature = "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    check("A.3", &key, Algorithm::Es256, &format!("eyJhbGciOiJFUzI1NiJ9.{JOE}.{signature}"));
}

const RFC_7517_N: &str = concat!(
    "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknj",
    "hMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQ",
    "vRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzK",
    "nqDKgw"
);

#[test]
fn rfc_7638_section_3_1() {
    let key = key(json!({"kty": "RSA", "n": RFC_7517_N, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"}));
    assert_eq!(base64url::encode(&key.thumbprint()), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
}

/// The first key is for encryption and so is passed over.
#[test]
fn rfc_7517_appendix_a_1() {
    let set = json!({"keys": [
        {"kty": "EC", "crv": "P-256", "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
         "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM", "use": "enc", "kid": "1"},
        {"kty": "RSA", "n": RFC_7517_N, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"}
    ]});
    let read = JwkSet::parse(set.to_string().as_bytes()).expect("a key set");
    assert_eq!(read.len(), 1);
    assert!(read.find("2011-04-29").is_some_and(|(_, algorithm)| algorithm == Algorithm::Rs256));
    assert!(PublicKey::from_jwk(set["keys"][0].to_string().as_bytes()).is_ok());
}

const RFC_7520_N: &str = concat!(
    "n4EPtAOCc9AlkeQHPzHStgAbgs7bTZLwUBZdR8_KuKPEHLd4rHVTeT-O-XV2jRojdNhxJWTDvNd7nqQ0VEiZQHz_AJmSCpMaJMRBSFKrKb2wqVwG",
    "U_NsYOYL-QtiWN2lbzcEe6XC0dApr5ydQLrHqkHHig3RBordaZ6Aj-oBHqFEHYpPe7Tpe-OfVfHd1E6cS6M1FZcD1NNLYD5lFHpPI9bTwJlsde3u",
    "hGqC0ZCuEHg8lhzwOHrtIQbS0FVbb9k3-tVTU4fg_3L_vniUFAKwuCLqKnS2BYwdq_mzSnbLY7h_qixoR7jig3__kRhuaxwUkRz5iaiQkqgc5gHd",
    "rNP5zw"
);

const FRODO: &str = concat!(
    "SXTigJlzIGEgZGFuZ2Vyb3VzIGJ1c2luZXNzLCBGcm9kbywgZ29pbmcgb3V0IHlvdXIgZG9vci4gWW91IHN0ZXAgb250byB0aGUgcm9hZCwgYW5k",
    "IGlmIHlvdSBkb24ndCBrZWVwIHlvdXIgZmVldCwgdGhlcmXigJlzIG5vIGtub3dpbmcgd2hlcmUgeW91IG1pZ2h0IGJlIHN3ZXB0IG9mZiB0by4"
);

#[test]
fn rfc_7520_section_4_1() {
    let key = key(json!({
        "kty": "RSA", "kid": "bilbo.baggins@hobbiton.example", "use": "sig", "n": RFC_7520_N, "e": "AQAB"
    }));
    let signature = concat!(
        "MRjdkly7_-oTPTS3AXP41iQIGKa80A0ZmTuV5MEaHoxnW2e5CZ5NlKtainoFmKZopdHM1O2U4mwzJdQx996ivp83xuglII7PNDi84wnB-BDk",
        "oBwA78185hX-Es4JIwmDLJK3lfWRa-XtL0RnltuYv746iYTh_qHRD68BNt1uSNCrUCTJDt5aAE6x8wW1Kt9eRo4QPocSadnHXFxnt8Is9UzpE",
        "RV0ePPQdLuW3IS_de3xyIrDaLGdjluPxUAhb6L2aXic1U12podGU0KLUQSE_oI-ZnmKJ3F4uOZDnd6QZWJushZ41Axf_fcIe8u9ipH84ogore",
        "e7vjbU5y18kDquDg"
    );
    let header = "eyJhbGciOiJSUzI1NiIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9";
    check("4.1", &key, Algorithm::Rs256, &format!("{header}.{FRODO}.{signature}"));
}

#[test]
fn rfc_7520_section_4_2_is_valid_and_refused_for_its_algorithm() {
    let header = "eyJhbGciOiJQUzM4NCIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9";
    let signature = base64url::decode(
        concat!(
            "cu22eBqkYDKgIlTpzDXGvaFfz6WGoz7fUDcfT0kkOy42miAh2qyBzk1xEsnk2IpN6-tPid6VrklHkqsGqDqHCdP6O8TTB5dDDItllVo6",
            "_1OLPpcbUrhiUSMxbbXUvdvWXzg-UD8biiReQFlfz28zGWVsdiNAUf8ZnyPEgVFn442ZdNqiVJRmBqrYRXe8P_ijQ7p8Vdz0TTrxUeT3",
            "lm8d9shnr2lfJT8ImUjvAA2Xez2Mlp8cBE5awDzT0qI0n6uiP1aCN_2_jLAeQTlqRHtfa64QQSUmFAAjVKPbByi7xho0uTOcbH510a6G",
            "YmJUAfmWjwZ6oD4ifKo8DYM-X72Eaw"
        )
        .as_bytes(),
    )
    .expect("base64url");
    let input = format!("{header}.{FRODO}");
    let decode = |text: &str| base64url::decode(text.as_bytes()).expect("base64url");
    let components = RsaPublicKeyComponents { n: decode(RFC_7520_N), e: decode("AQAB") };
    assert!(components.verify(&RSA_PSS_2048_8192_SHA384, input.as_bytes(), &signature).is_ok());

    let key = key(json!({"kty": "RSA", "n": RFC_7520_N, "e": "AQAB"}));
    assert_eq!(Algorithm::parse("PS384"), None);
    for algorithm in [Algorithm::Ps256, Algorithm::Rs256] {
        assert_eq!(key.verify(algorithm, input.as_bytes(), &signature), Err(SignatureRefused));
    }
}

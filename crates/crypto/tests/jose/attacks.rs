//! The strict profile under attack.

use aws_lc_rs::hmac;
use data_encoding::BASE64;
use proptest::prelude::*;
use vouchsafe_crypto::jose::attestation::{self, AttestationRefused, ExpectedAttestation, sign_statement};
use vouchsafe_crypto::jose::{Algorithm, Expected, JwkSet, Refused, TOKEN_BYTES_MAX, base64url, verify};

use crate::{NOW, P256, RSA, es256, known_key, sign_segments, sign_texts, verify_strictly};

const HEADER: &str = r#"{"typ":"JWT","alg":"ES256","kid":"es"}"#;
const PAYLOAD: &str = r#"{"iss":"https://login.example/t1/","aud":"https://vault.example","exp":1800000600,"nbf":1800000000,"iat":1800000000,"sub":"s"}"#;

/// The claims of [`PAYLOAD`] with one replaced by any text, or left out.
fn with_claim(name: &str, value: Option<&str>) -> String {
    let claims = [
        ("iss", r#""https://login.example/t1/""#),
        ("aud", r#""https://vault.example""#),
        ("exp", "1800000600"),
        ("nbf", "1800000000"),
        ("iat", "1800000000"),
    ];
    let members = claims.iter().filter_map(|(known, usual)| match value {
        Some(value) if *known == name => Some(format!(r#""{known}":{value}"#)),
        None if *known == name => None,
        _ => Some(format!(r#""{known}":{usual}"#)),
    });
    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
}

#[test]
fn the_token_that_all_attacks_start_from_is_accepted() {
    assert_eq!(verify_strictly(es256(HEADER, PAYLOAD)), Ok(()));
    assert_eq!(verify_strictly(es256(HEADER, &with_claim("none", None))), Ok(()));
    for (kid, algorithm) in [("rs", Algorithm::Rs256), ("ps", Algorithm::Ps256)] {
        let header = format!(r#"{{"typ":"JWT","alg":"{}","kid":"{kid}"}}"#, algorithm.as_str());
        assert_eq!(verify_strictly(sign_texts(&RSA, algorithm, &header, PAYLOAD)), Ok(()), "{kid}");
    }
}

#[test]
fn an_unsigned_token_is_refused_in_every_spelling() {
    let valid = es256(HEADER, PAYLOAD);
    let payload = base64url::encode(PAYLOAD.as_bytes());
    for none in ["none", "None", "NONE", "nOnE", "none ", "", "null"] {
        let header = HEADER.replace("ES256", none);
        let encoded = base64url::encode(header.as_bytes());
        assert_eq!(verify_strictly(format!("{encoded}.{payload}.")), Err(Refused::Algorithm), "{none:?}");
        assert_eq!(verify_strictly(format!("{encoded}.{payload}")), Err(Refused::Segments), "{none:?}");
        assert_eq!(verify_strictly(es256(&header, PAYLOAD)), Err(Refused::Algorithm), "{none:?} but signed");
    }
    for alg in [
        "null",
        "0",
        "[\"ES256\"]",
        "{}",
        "true",
        "\"es256\"",
        "\"ES384\"",
        "\"PS384\"",
        "\"EdDSA\"",
        "\"ES256K\"",
        "\"RSA-OAEP\"",
        "\"dir\"",
    ] {
        let header = HEADER.replace("\"ES256\"", alg);
        assert_eq!(verify_strictly(es256(&header, PAYLOAD)), Err(Refused::Algorithm), "{alg}");
    }
    assert_eq!(
        verify_strictly(es256(&HEADER.replace(r#""alg":"ES256","#, ""), PAYLOAD)),
        Err(Refused::Algorithm)
    );
    let (signed, _) = valid.rsplit_once('.').expect("three segments");
    assert_eq!(verify_strictly(format!("{signed}.")), Err(Refused::Signature));
}

#[test]
fn a_public_key_is_never_a_shared_secret() {
    let jwk = serde_json::to_string(&RSA.public().to_jwk()).expect("JSON");
    let certificate_like = BASE64.encode(jwk.as_bytes());
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{certificate_like}\n-----END PUBLIC KEY-----");
    let payload = base64url::encode(PAYLOAD.as_bytes());
    for secret in [jwk.clone(), jwk + "\n", pem.clone(), pem + "\n", String::new()] {
        for (alg, expected) in [
            ("HS256", Refused::Algorithm),
            ("HS384", Refused::Algorithm),
            ("hs256", Refused::Algorithm),
            ("RS256", Refused::Signature),
        ] {
            let header = format!(r#"{{"typ":"JWT","alg":"{alg}","kid":"rs"}}"#);
            let input = format!("{}.{payload}", base64url::encode(header.as_bytes()));
            let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), input.as_bytes());
            let token = format!("{input}.{}", base64url::encode(tag.as_ref()));
            assert_eq!(verify_strictly(token), Err(expected), "{alg}");
        }
    }
}

#[test]
fn a_key_is_used_with_its_own_algorithm_only() {
    for (kid, bound, used) in [("rs", "RS256", Algorithm::Ps256), ("ps", "PS256", Algorithm::Rs256)] {
        let header = |alg: &str| format!(r#"{{"typ":"JWT","alg":"{alg}","kid":"{kid}"}}"#);
        let honest = sign_texts(&RSA, used, &header(used.as_str()), PAYLOAD);
        assert_eq!(verify_strictly(honest), Err(Refused::AlgorithmOfKey), "{kid}");
        let lying = sign_texts(&RSA, used, &header(bound), PAYLOAD);
        assert_eq!(verify_strictly(lying), Err(Refused::Signature), "{kid}");
    }
    let other_kind = HEADER.replace(r#""es""#, r#""rs""#);
    assert_eq!(verify_strictly(es256(&other_kind, PAYLOAD)), Err(Refused::AlgorithmOfKey));
    let expected = Expected { issuer: &|_| true, audience: &|_| true, now_seconds: NOW, skew_seconds: 0 };
    let wrongly_bound =
        verify(es256(HEADER, PAYLOAD).as_bytes(), &|_| Some((RSA.public(), Algorithm::Es256)), &expected);
    assert_eq!(wrongly_bound.err(), Some(Refused::Signature));
}

/// Whatever it says and whatever it calls itself, though the same key signed it.
#[test]
fn a_statement_about_a_key_is_no_token() {
    for typ in [None, Some("key-attestation+jwt"), Some("JWT")] {
        let signed = sign_statement(&P256, Algorithm::Es256, "es", b"certificate", typ, PAYLOAD.as_bytes());
        let signed = signed.expect("signed");
        let refused = verify_strictly(signed.clone());
        assert!(matches!(refused, Err(Refused::HeaderMember | Refused::Type)), "{typ:?}: {refused:?}");
        let mut keys = JwkSet::new();
        assert!(keys.insert("es", P256.public().clone(), Algorithm::Es256));
        let expected = ExpectedAttestation {
            issuer: "https://login.example/t1/",
            now_seconds: NOW,
            skew_seconds: 0,
            lifetime_max_seconds: 3_600,
        };
        let refused = attestation::verify(signed.as_bytes(), &keys, &expected).err();
        assert_eq!(refused, Some(AttestationRefused::Malformed), "{typ:?}");
    }
}

#[test]
fn a_header_has_no_members_but_three() {
    let jwk = serde_json::to_string(&P256.public().to_jwk()).expect("JSON");
    let members = [
        (format!(r#""jwk":{jwk}"#), Refused::HeaderMember),
        (r#""jku":"https://attacker.example/keys""#.to_owned(), Refused::HeaderMember),
        (r#""x5u":"https://attacker.example/chain""#.to_owned(), Refused::HeaderMember),
        (r#""x5c":["MIIB"]"#.to_owned(), Refused::HeaderMember),
        (r#""x5t":"AAAA""#.to_owned(), Refused::HeaderMember),
        (r#""b64":false"#.to_owned(), Refused::HeaderMember),
        (r#""b64":true"#.to_owned(), Refused::HeaderMember),
        (r#""zip":"DEF""#.to_owned(), Refused::HeaderMember),
        (r#""cty":"JWT""#.to_owned(), Refused::HeaderMember),
        (r#""enc":"A256GCM""#.to_owned(), Refused::HeaderMember),
        (r#""p2c":2147483648"#.to_owned(), Refused::HeaderMember),
        (r#""x":null"#.to_owned(), Refused::HeaderMember),
        (r#""crit":["b64"],"b64":false"#.to_owned(), Refused::Critical),
        (r#""crit":["exp"],"exp":1"#.to_owned(), Refused::Critical),
        (r#""crit":[]"#.to_owned(), Refused::Critical),
        (r#""crit":null"#.to_owned(), Refused::Critical),
    ];
    for (member, expected) in members {
        let header = HEADER.replace(r#""kid""#, &format!(r#"{member},"kid""#));
        assert_eq!(verify_strictly(es256(&header, PAYLOAD)), Err(expected), "{member}");
    }
}

#[test]
fn a_token_of_another_type_is_refused() {
    for typ in [
        r#""typ":"jwt","#,
        r#""typ":"at+jwt","#,
        r#""typ":"JWE","#,
        r#""typ":"","#,
        r#""typ":null,"#,
        r#""typ":["JWT"],"#,
        r#""typ":"application/jwt","#,
        r#""typ":"dpop+jwt","#,
        "",
    ] {
        let header = HEADER.replace(r#""typ":"JWT","#, typ);
        assert_eq!(verify_strictly(es256(&header, PAYLOAD)), Err(Refused::Type), "{typ}");
    }
}

#[test]
fn a_key_is_found_by_its_exact_name_or_not_at_all() {
    for kid in [
        r#""ES""#,
        r#""es ""#,
        r#""""#,
        r#""../es""#,
        r#""es\u0000""#,
        r#""es' OR 1=1 --""#,
        "null",
        "0",
        "[\"es\"]",
    ] {
        let header = HEADER.replace(r#""es""#, kid);
        assert_eq!(verify_strictly(es256(&header, PAYLOAD)), Err(Refused::UnknownKey), "{kid}");
    }
    let long = HEADER.replace(r#""es""#, &format!("\"{}\"", "e".repeat(10_000)));
    assert_eq!(verify_strictly(es256(&long, PAYLOAD)), Err(Refused::UnknownKey));
    assert_eq!(
        verify_strictly(es256(&HEADER.replace(r#","kid":"es""#, ""), PAYLOAD)),
        Err(Refused::UnknownKey)
    );
}

#[test]
fn duplicate_members_are_refused_in_header_and_claims() {
    for member in [r#""alg":"ES256""#, r#""kid":"es""#, r#""\u0061lg":"none""#] {
        let header = HEADER.replace("{", &format!("{{{member},"));
        assert_eq!(verify_strictly(es256(&header, PAYLOAD)), Err(Refused::DuplicateMember), "{member}");
    }
    for member in [r#""exp":1800000600"#, r#""\u0065xp":1"#, r#""nested":{"deep":[{"a":1,"a":2}]}"#] {
        let payload = PAYLOAD.replace("{", &format!("{{{member},"));
        assert_eq!(verify_strictly(es256(HEADER, &payload)), Err(Refused::DuplicateMember), "{member}");
    }
}

#[test]
fn a_date_that_is_not_an_integer_is_refused_like_one_that_is_absent() {
    for claim in ["exp", "nbf", "iat"] {
        let refused = Err(Refused::Claim(match claim {
            "exp" => "exp",
            "nbf" => "nbf",
            _ => "iat",
        }));
        assert_eq!(verify_strictly(es256(HEADER, &with_claim(claim, Some("1800000010")))), Ok(()), "{claim}");
        assert_eq!(verify_strictly(es256(HEADER, &with_claim(claim, None))), refused, "{claim} absent");
        for value in [
            "\"1800000010\"",
            "1800000010.0",
            "1800000010.5",
            "1.80000001e9",
            "-1",
            "-0",
            "null",
            "true",
            "[]",
            "[1800000010]",
            "{}",
            "18446744073709551616",
            "1e300",
            "\"\"",
        ] {
            assert_eq!(
                verify_strictly(es256(HEADER, &with_claim(claim, Some(value)))),
                refused,
                "{claim} {value}"
            );
        }
        for value in ["1e400", "NaN", "Infinity", "01800000010", "0x6b49d20a", "+1800000010", "1800000010."] {
            assert_eq!(
                verify_strictly(es256(HEADER, &with_claim(claim, Some(value)))),
                Err(Refused::Claims),
                "{claim} {value}"
            );
        }
    }
}

#[test]
fn the_skew_moves_each_edge_by_exactly_itself() {
    let check =
        |claim, seconds: u64| verify_strictly(es256(HEADER, &with_claim(claim, Some(&seconds.to_string()))));
    assert_eq!(check("exp", NOW - 59), Ok(()));
    assert_eq!(check("exp", NOW - 60), Err(Refused::Expired));
    assert_eq!(check("exp", 0), Err(Refused::Expired));
    assert_eq!(check("exp", u64::MAX), Ok(()));
    assert_eq!(check("nbf", NOW + 60), Ok(()));
    assert_eq!(check("nbf", NOW + 61), Err(Refused::NotYetValid));
    assert_eq!(check("nbf", u64::MAX), Err(Refused::NotYetValid));
    assert_eq!(check("iat", NOW + 60), Ok(()));
    assert_eq!(check("iat", NOW + 61), Err(Refused::IssuedInTheFuture));
}

#[test]
fn issuer_and_audience_match_whole_or_not_at_all() {
    for value in [
        "\"https://vault.example/\"",
        "\"https://vault.example:443\"",
        "\"https://VAULT.example\"",
        "\"https://vault.exampl\"",
        "\"https://vault.example.attacker.example\"",
        "\"vault.example\"",
        "\"\"",
        "\"https://vault.example\\u0000\"",
        "\" https://vault.example\"",
    ] {
        assert_eq!(
            verify_strictly(es256(HEADER, &with_claim("aud", Some(value)))),
            Err(Refused::Audience),
            "{value}"
        );
    }
    for value in [
        "[\"https://vault.example\"]",
        "[\"https://vault.example\",\"https://other.example\"]",
        "null",
        "1",
        "{}",
        "[]",
    ] {
        let refused = Err(Refused::Claim("aud"));
        assert_eq!(verify_strictly(es256(HEADER, &with_claim("aud", Some(value)))), refused, "{value}");
    }
    for value in
        ["\"https://login.example/t2/\"", "\"https://login.example/t1\"", "\"https://login.example/T1/\""]
    {
        assert_eq!(
            verify_strictly(es256(HEADER, &with_claim("iss", Some(value)))),
            Err(Refused::Issuer),
            "{value}"
        );
    }
    for claim in ["iss", "aud"] {
        assert!(matches!(verify_strictly(es256(HEADER, &with_claim(claim, None))), Err(Refused::Claim(_))));
    }
}

#[test]
fn base64url_has_one_spelling_in_every_segment() {
    // Spaces make both texts a length that has padding, and so unused bits in their last character.
    let fill = |text: &str| format!("{text}{}", &"  "[..(4 - text.len() % 3) % 3]);
    let (header, payload) = (fill(HEADER), fill(PAYLOAD));
    let encode = |text: &str| base64url::encode(text.as_bytes());
    assert_eq!(
        verify_strictly(sign_segments(&P256, Algorithm::Es256, &encode(&header), &encode(&payload))),
        Ok(())
    );
    type Spell = fn(&str) -> String;
    let odd: [(&str, Spell); 7] = [
        ("padding", |segment| format!("{segment}{}", &"=="[..(4 - segment.len() % 4) % 4])),
        ("trailing bits", |segment| {
            let (start, last) = segment.split_at(segment.len() - 1);
            let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
            let next = alphabet.find(last).expect("in the alphabet") + 1;
            format!("{start}{}", &alphabet[next..=next])
        }),
        ("space before", |segment| format!(" {segment}")),
        ("line break after", |segment| format!("{segment}\n")),
        ("line break inside", |segment| format!("{}\r\n{}", &segment[..4], &segment[4..])),
        ("other alphabet", |segment| format!("{}+/{}", &segment[..2], &segment[4..])),
        ("percent", |segment| format!("{segment}%3D")),
    ];
    for (name, spell) in odd {
        let in_header = sign_segments(&P256, Algorithm::Es256, &spell(&encode(&header)), &encode(&payload));
        assert_eq!(verify_strictly(in_header), Err(Refused::Base64url), "{name} in the header");
        let in_payload = sign_segments(&P256, Algorithm::Es256, &encode(&header), &spell(&encode(&payload)));
        assert_eq!(verify_strictly(in_payload), Err(Refused::Base64url), "{name} in the payload");
        let token = es256(HEADER, PAYLOAD);
        let (input, signature) = token.rsplit_once('.').expect("three segments");
        assert_eq!(
            verify_strictly(format!("{input}.{}", spell(signature))),
            Err(Refused::Base64url),
            "{name} in the signature"
        );
    }
}

#[test]
fn a_token_has_exactly_three_segments() {
    let token = es256(HEADER, PAYLOAD);
    let header = base64url::encode(HEADER.as_bytes());
    for other in [
        String::new(),
        ".".to_owned(),
        header.clone(),
        format!("{token}."),
        format!(".{token}"),
        format!("{token}.{header}"),
        format!("{header}.a.b.c.d"),
        ".".repeat(TOKEN_BYTES_MAX),
        token.replace('.', ".."),
    ] {
        assert_eq!(verify_strictly(&other), Err(Refused::Segments), "{other}");
    }
    assert_eq!(verify_strictly(".."), Err(Refused::Header));
    assert_eq!(verify_strictly(token.replace('.', "\0")), Err(Refused::Segments));
    assert_eq!(verify_strictly([0xff; 64]), Err(Refused::Segments));
}

#[test]
fn an_ecdsa_signature_is_r_and_s_and_nothing_else() {
    let input = format!("{}.{}", base64url::encode(HEADER.as_bytes()), base64url::encode(PAYLOAD.as_bytes()));
    let raw = P256.sign(Algorithm::Es256, input.as_bytes()).expect("P-256");
    let (r, s) = raw.split_at(32);
    let integer = |bytes: &[u8]| {
        let sign: &[u8] = if bytes[0] >= 0x80 { &[0] } else { &[] };
        [&[2, (bytes.len() + sign.len()) as u8], sign, bytes].concat()
    };
    let body = [integer(r), integer(s)].concat();
    let der = [&[0x30, body.len() as u8], &body[..]].concat();
    let order = data_encoding::HEXUPPER
        .decode(b"FFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551")
        .expect("hex");
    let token = |signature: &[u8]| format!("{input}.{}", base64url::encode(signature));
    assert_eq!(verify_strictly(token(&raw)), Ok(()));
    for (name, signature) in [
        ("DER", der),
        ("empty", vec![]),
        ("short", raw[..63].to_vec()),
        ("long", [&raw[..], &[0]].concat()),
        ("prefixed", [&[0], &raw[..]].concat()),
        ("wide", [&[0; 16], r, &[0; 16], s].concat()),
        ("swapped", [s, r].concat()),
        ("zero", vec![0; 64]),
        ("r zero", [&[0; 32], s].concat()),
        ("s zero", [r, &[0; 32]].concat()),
        ("r is the order", [&order[..], s].concat()),
        ("s is the order", [r, &order[..]].concat()),
        ("beyond the order", vec![0xff; 64]),
    ] {
        assert_eq!(verify_strictly(token(&signature)), Err(Refused::Signature), "{name}");
    }
}

#[test]
fn size_and_depth_end_where_they_should() {
    let padded = |length: usize| PAYLOAD.replace("{", &format!("{{\"pad\":\"{}\",", "x".repeat(length)));
    let fits = es256(HEADER, &padded(TOKEN_BYTES_MAX * 3 / 4 - 400));
    assert!(fits.len() <= TOKEN_BYTES_MAX && fits.len() > TOKEN_BYTES_MAX - 400);
    assert_eq!(verify_strictly(&fits), Ok(()));
    assert_eq!(verify_strictly(es256(HEADER, &padded(TOKEN_BYTES_MAX))), Err(Refused::TooLong));
    assert_eq!(verify_strictly("A".repeat(1 << 20)), Err(Refused::TooLong));

    let nested =
        |depth: usize| PAYLOAD.replace("{", &format!("{{\"n\":{}{},", "[".repeat(depth), "]".repeat(depth)));
    assert_eq!(verify_strictly(es256(HEADER, &nested(7))), Ok(()));
    assert_eq!(verify_strictly(es256(HEADER, &nested(8))), Err(Refused::Claims));
    assert_eq!(verify_strictly(es256(HEADER, &nested(5000))), Err(Refused::Claims));
    assert_eq!(verify_strictly(es256(&"[".repeat(9000), PAYLOAD)), Err(Refused::Header));
}

#[test]
fn what_is_signed_but_is_not_an_object_is_refused() {
    for text in ["", "null", "[]", "\"JWT\"", "1", "{", "{}{}", "\u{feff}{}"] {
        assert_eq!(verify_strictly(es256(HEADER, text)), Err(Refused::Claims), "{text}");
        assert_eq!(verify_strictly(es256(text, PAYLOAD)), Err(Refused::Header), "{text}");
    }
    let not_utf8 = base64url::encode(b"{\"sub\":\"\xff\"}");
    let token = sign_segments(&P256, Algorithm::Es256, &base64url::encode(HEADER.as_bytes()), &not_utf8);
    assert_eq!(verify_strictly(token), Err(Refused::Claims));
}

#[test]
fn claims_are_not_read_before_the_signature_holds() {
    let token = es256(HEADER, "not JSON at all");
    let (input, _) = token.rsplit_once('.').expect("three segments");
    let forged = format!("{input}.{}", base64url::encode(&[1; 64]));
    assert_eq!(verify_strictly(forged), Err(Refused::Signature));
}

#[test]
fn what_comes_back_is_what_was_signed() {
    let expected = Expected {
        issuer: &|issuer| issuer.starts_with("https://login.example/"),
        audience: &|_| true,
        now_seconds: NOW,
        skew_seconds: 0,
    };
    let token = verify(es256(HEADER, PAYLOAD).as_bytes(), &known_key, &expected).expect("accepted");
    assert_eq!(token.kid(), "es");
    assert_eq!(token.issuer(), "https://login.example/t1/");
    assert_eq!(token.audience(), "https://vault.example");
    assert_eq!((token.expires(), token.issued_at()), (NOW + 600, NOW));
    assert_eq!(token.claim("sub").and_then(|claim| claim.as_str()), Some("s"));
    assert_eq!(token.claim("oid"), None);
}

#[test]
fn a_refusal_repeats_nothing_of_the_token() {
    for payload in [r#"{"iss":"hunter2"}"#, r#"{"hunter2":1,"hunter2":1}"#, "hunter2"] {
        let refused = verify_strictly(es256(HEADER, payload)).expect_err("refused");
        assert!(!format!("{refused} {refused:?}").contains("hunter2"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_flipped_bit_is_accepted(place in any::<proptest::sample::Index>(), bit in 0u8..8) {
        let mut token = es256(HEADER, PAYLOAD).into_bytes();
        let place = place.index(token.len());
        token[place] ^= 1 << bit;
        prop_assert!(verify_strictly(&token).is_err());
    }

    #[test]
    fn noise_is_refused(noise in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(verify_strictly(&noise).is_err());
    }

    #[test]
    fn structured_noise_is_refused(
        header in "[{}\\[\\]\":,a-z0-9\\\\]{0,40}",
        payload in "[{}\\[\\]\":,a-z0-9\\\\]{0,40}",
    ) {
        prop_assert!(verify_strictly(es256(&header, &payload)).is_err());
    }
}

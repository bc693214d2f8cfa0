//! The tolerant profile: what each released client sends is accepted, and the strict profile shows what was tolerated.

use data_encoding::{BASE64, BASE64URL, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};
use proptest::prelude::*;
use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256};
use rustls_pki_types::PrivatePkcs8KeyDer;
use serde_json::json;
use vouchsafe_crypto::Reason;
use vouchsafe_crypto::digest::sha256;
use vouchsafe_crypto::jose::azure_assertion::{
    AssertionRefused, Credential, ExpectedAssertion, VerifiedAssertion, sign, verify,
};
use vouchsafe_crypto::jose::{self, Algorithm, Expected, Refused, SigningKey, base64url};
use vouchsafe_crypto::x509::Certificate;

use crate::{NOW, P256, RSA, sign_segments, sign_texts};

const CLIENT: &str = "5c0a1b9e-3f77-4a52-9d2e-0b1c2d3e4f50";
const ENDPOINT: &str = "https://login.example:8443/t1/oauth2/v2.0/token";

const RSA_SHA1: [u8; 20] = [0xfb; 20];
const RSA_SHA256: [u8; 32] = [0xfb; 32];
const P256_SHA1: [u8; 20] = [0x3e; 20];
const P256_SHA256: [u8; 32] = [0x3e; 32];

fn credentials() -> [Credential<'static>; 2] {
    [
        Credential { sha1: RSA_SHA1, sha256: RSA_SHA256, key: RSA.public() },
        Credential { sha1: P256_SHA1, sha256: P256_SHA256, key: P256.public() },
    ]
}

fn verified(assertion: impl AsRef<[u8]>) -> Result<VerifiedAssertion, AssertionRefused> {
    let expected = ExpectedAssertion {
        client_id: CLIENT,
        audience: &|audience| audience == ENDPOINT,
        now_seconds: NOW,
        skew_seconds: 300,
        lifetime_max_seconds: 86_400,
    };
    verify(assertion.as_ref(), &credentials(), &expected)
}

fn check(assertion: impl AsRef<[u8]>) -> Result<(), AssertionRefused> {
    verified(assertion).map(|_| ())
}

/// Judges the same bytes by the strict profile, for which every name finds the right key.
fn check_strictly(assertion: impl AsRef<[u8]>) -> Result<(), Refused> {
    let expected = Expected {
        issuer: &|issuer| issuer == CLIENT,
        audience: &|audience| audience == ENDPOINT,
        now_seconds: NOW,
        skew_seconds: 300,
    };
    jose::verify(assertion.as_ref(), &|_| Some((RSA.public(), Algorithm::Rs256)), &expected).map(|_| ())
}

fn rs256(header: &str, claims: &str) -> String {
    sign_texts(&RSA, Algorithm::Rs256, header, claims)
}

/// A header that both profiles accept: `kid` is a thumbprint.
fn plain_header() -> String {
    json!({"typ": "JWT", "alg": "RS256", "kid": HEXUPPER.encode(&RSA_SHA1)}).to_string()
}

fn header(alg: &str, thumbprint: &str, value: &str) -> String {
    json!({"typ": "JWT", "alg": alg, thumbprint: value}).to_string()
}

fn claims(dates: &str) -> String {
    format!(r#"{{"iss":"{CLIENT}","sub":"{CLIENT}","aud":"{ENDPOINT}","jti":"1"{dates}}}"#)
}

const INTEGERS: &str = r#","exp":1800000600,"nbf":1800000000,"iat":1800000000"#;

#[test]
fn the_assertion_that_all_cases_start_from_is_accepted_by_both_profiles() {
    let assertion = rs256(&plain_header(), &claims(INTEGERS));
    assert_eq!(check(&assertion), Ok(()));
    assert_eq!(check_strictly(&assertion), Ok(()));
}

#[test]
fn what_each_released_client_sends_is_accepted() {
    let padded = |text: &str| BASE64URL.encode(text.as_bytes());
    let x5c = |alg: &str, thumbprint: &str, value: &str, entry: &str| {
        json!({"typ": "JWT", "alg": alg, thumbprint: value, "x5c": [entry]}).to_string()
    };
    let pem = BASE64.encode(b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n");
    let floats = r#","exp":1800000600.5625,"iat":1800000000.5625"#;
    let cases = [
        ("Python", rs256(&x5c("RS256", "x5t", &BASE64URL.encode(&RSA_SHA1), "MIIB"), &claims(floats))),
        (
            "Python async",
            sign_segments(
                &RSA,
                Algorithm::Ps256,
                &padded(&header("PS256", "x5t#S256", &BASE64URL.encode(&RSA_SHA256))),
                &padded(&claims(r#","exp":1800001800,"nbf":1800000000"#)),
            ) + "==",
        ),
        (
            "JS",
            sign_texts(
                &RSA,
                Algorithm::Ps256,
                &x5c("PS256", "x5t#S256", &BASE64URL_NOPAD.encode(&RSA_SHA256), "MIIB"),
                &claims(r#","exp":1800000600,"nbf":1800000001,"iat":1800000000"#),
            ),
        ),
        (
            "Rust",
            rs256(
                &x5c("RS256", "x5t", &BASE64.encode(&RSA_SHA1), &pem),
                &claims(r#","exp":1800000300,"nbf":1800000000"#),
            ),
        ),
        (
            "Go",
            sign_texts(
                &RSA,
                Algorithm::Ps256,
                &header("PS256", "x5t#S256", &BASE64.encode(&RSA_SHA256)),
                &claims(INTEGERS),
            ),
        ),
        (
            ".NET",
            sign_texts(
                &RSA,
                Algorithm::Ps256,
                &header("PS256", "x5t#S256", &BASE64URL_NOPAD.encode(&RSA_SHA256)),
                &claims(r#","exp":"1800000600","nbf":"1800000000""#),
            ),
        ),
        (
            ".NET before",
            rs256(
                &json!({"alg": "RS256", "kid": HEXUPPER.encode(&RSA_SHA1), "x5t": base64url::encode(&RSA_SHA1), "typ": "JWT"})
                    .to_string(),
                &claims(r#","exp":"1800000600","nbf":"1800000000""#),
            ),
        ),
        ("Java", rs256(&header("RS256", "x5t", &base64url::encode(&RSA_SHA1)), &claims(INTEGERS))),
    ];
    for (client, assertion) in cases {
        assert_eq!(check(&assertion), Ok(()), "{client}");
        assert_eq!(check(format!("{assertion}\r\n")), Ok(()), "{client}, from a file");
        assert!(
            check_strictly(&assertion).is_err(),
            "{client} sends nothing that the strict profile accepts"
        );
    }
}

#[test]
fn each_tolerance_is_one_that_the_strict_profile_does_not_have() {
    let plain = rs256(&plain_header(), &claims(INTEGERS));
    let dates = |dates: &str| rs256(&plain_header(), &claims(dates));
    let renamed = |from: &str, to: &str| rs256(&plain_header().replace(from, to), &claims(INTEGERS));
    let segment = |text: &str| base64url::encode(text.as_bytes());
    // Two spaces make both texts a length that has padding.
    let (header, body) = (plain_header(), claims(INTEGERS));
    let fill = |text: &str| format!("{text}{}", &"  "[..(4 - text.len() % 3) % 3]);
    let (header, body) = (fill(&header), fill(&body));
    let padding = |text: &str| BASE64URL.encode(text.as_bytes());
    assert!(padding(&header).ends_with('=') && padding(&body).ends_with('='));

    let sha1 = HEXUPPER.encode(&RSA_SHA1);
    let cases = [
        ("line break after", format!("{plain}\n"), Refused::Base64url),
        ("whitespace around", format!(" \t{plain}\r\n\n"), Refused::Base64url),
        (
            "padded header",
            sign_segments(&RSA, Algorithm::Rs256, &padding(&header), &segment(&body)),
            Refused::Base64url,
        ),
        (
            "padded claims",
            sign_segments(&RSA, Algorithm::Rs256, &segment(&header), &padding(&body)),
            Refused::Base64url,
        ),
        ("padded signature", format!("{plain}=="), Refused::Base64url),
        (
            "float exp",
            dates(r#","exp":1800000600.25,"nbf":1800000000,"iat":1800000000"#),
            Refused::Claim("exp"),
        ),
        (
            "float iat",
            dates(r#","exp":1800000600,"nbf":1800000000,"iat":1800000000.25"#),
            Refused::Claim("iat"),
        ),
        (
            "text exp",
            dates(r#","exp":"1800000600","nbf":1800000000,"iat":1800000000"#),
            Refused::Claim("exp"),
        ),
        (
            "text nbf",
            dates(r#","exp":1800000600,"nbf":"1800000000","iat":1800000000"#),
            Refused::Claim("nbf"),
        ),
        ("no iat", dates(r#","exp":1800000600,"nbf":1800000000"#), Refused::Claim("iat")),
        ("no nbf", dates(r#","exp":1800000600,"iat":1800000000"#), Refused::Claim("nbf")),
        ("lower-case typ", renamed(r#""JWT""#, r#""jwt""#), Refused::Type),
        ("no typ", renamed(r#","typ":"JWT""#, ""), Refused::Type),
        ("x5c", renamed(r#","typ""#, r#","x5c":["MIIB"],"typ""#), Refused::HeaderMember),
        ("unknown member", renamed(r#","typ""#, r#","x":1,"typ""#), Refused::HeaderMember),
        (
            "x5t beside kid",
            renamed(r#","typ""#, &format!(r#","x5t":"{}","typ""#, base64url::encode(&RSA_SHA1))),
            Refused::HeaderMember,
        ),
        (
            "PS256",
            sign_texts(&RSA, Algorithm::Ps256, &plain_header().replace("RS256", "PS256"), &claims(INTEGERS)),
            Refused::AlgorithmOfKey,
        ),
        (
            "upper-case client id",
            rs256(&plain_header(), &claims(INTEGERS).replace(CLIENT, &CLIENT.to_uppercase())),
            Refused::Issuer,
        ),
    ];
    for (name, assertion, refused) in cases {
        assert_eq!(check(&assertion), Ok(()), "{name}");
        assert_eq!(check_strictly(&assertion), Err(refused), "{name}");
    }
    // How a name that is a thumbprint is spelled means nothing to the strict profile.
    for kid in [
        sha1.to_lowercase(),
        base64url::encode(&RSA_SHA1),
        BASE64.encode(&RSA_SHA256),
        HEXLOWER.encode(&RSA_SHA256),
    ] {
        assert_eq!(check(renamed(&sha1, &kid)), Ok(()), "{kid}");
    }
}

#[test]
fn an_assertion_with_a_p_256_certificate_is_accepted() {
    let assertion = sign(
        &P256,
        Algorithm::Es256,
        &P256_SHA256,
        &serde_json::from_str::<serde_json::Value>(&claims(INTEGERS)).expect("JSON"),
    );
    let assertion = assertion.expect("signed");
    let verified = verified(format!("{assertion}\n")).expect("accepted");
    assert_eq!(verified.credential_sha256(), P256_SHA256);
    assert_eq!(verified.expires(), NOW + 600);
    assert_eq!(verified.digest(), sha256(assertion.as_bytes()));
}

#[test]
fn a_certificate_from_a_file_and_its_key_make_an_assertion() {
    let key = SigningKey::generate(jose::KeyKind::Rsa2048);
    let pkcs8 = key.to_pkcs8();
    let der = PrivatePkcs8KeyDer::from(pkcs8.expose(Reason::Test));
    let pair = KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_RSA_SHA256).expect("RSA");
    let pem = CertificateParams::default().self_signed(&pair).expect("rcgen signs what it made").pem();
    let certificate = Certificate::from_pem(&pem).expect("a certificate");

    let claims = json!({"iss": CLIENT, "sub": CLIENT, "aud": ENDPOINT, "exp": NOW + 300, "nbf": NOW});
    let assertion = sign(&key, Algorithm::Ps256, &certificate.sha256(), &claims).expect("signed");
    let expected = ExpectedAssertion {
        client_id: CLIENT,
        audience: &|audience| audience == ENDPOINT,
        now_seconds: NOW,
        skew_seconds: 0,
        lifetime_max_seconds: 300,
    };
    let registered =
        Credential { sha1: certificate.sha1(), sha256: certificate.sha256(), key: certificate.public_key() };
    let verified = verify(assertion.as_bytes(), &[registered], &expected).expect("accepted");
    assert_eq!(verified.credential_sha256(), certificate.sha256());
}

#[test]
fn a_thumbprint_names_a_registered_certificate_or_is_shown() {
    let with = |members: serde_json::Value| {
        let mut header = json!({"typ": "JWT", "alg": "RS256"});
        header.as_object_mut().expect("object").extend(members.as_object().expect("object").clone());
        check(rs256(&header.to_string(), &claims(INTEGERS)))
    };
    let (sha1, sha256) = (base64url::encode(&RSA_SHA1), base64url::encode(&RSA_SHA256));
    assert_eq!(with(json!({"x5t": sha1, "x5t#S256": sha256})), Ok(()));
    let unknown =
        |presented: &[u8]| Err(AssertionRefused::UnknownCredential { presented: HEXLOWER.encode(presented) });
    assert_eq!(with(json!({"x5t": base64url::encode(&[1; 20])})), unknown(&[1; 20]));
    assert_eq!(with(json!({"x5t#S256": base64url::encode(&[1; 32])})), unknown(&[1; 32]));
    assert_eq!(with(json!({"kid": HEXUPPER.encode(&[0xab; 20])})), unknown(&[0xab; 20]));
    assert_eq!(with(json!({"x5t": base64url::encode(&P256_SHA1), "x5t#S256": sha256})), unknown(&RSA_SHA256));
    // A registered name elsewhere does not help a thumbprint that is unknown.
    assert_eq!(with(json!({"x5t": base64url::encode(&[1; 20]), "kid": sha1})), unknown(&[1; 20]));
    for members in [
        json!({}),
        json!({"kid": "key-1"}),
        json!({"kid": ""}),
        json!({"kid": null}),
        json!({"x5t": ""}),
        json!({"x5t": 1}),
        json!({"x5t": null, "kid": sha1}),
        json!({"x5t": sha256}),
        json!({"x5t#S256": sha1}),
        json!({"x5t": "not base64!"}),
        json!({"x5t": format!("{sha1}==")}),
        json!({"x5t": sha1, "x5t#S256": ""}),
    ] {
        assert!(matches!(with(members.clone()), Err(AssertionRefused::Malformed(_))), "{members}");
    }
}

#[test]
fn attacks_on_the_header_are_refused_here_too() {
    let thumbprint = base64url::encode(&RSA_SHA1);
    let good = header("RS256", "x5t", &thumbprint);
    assert_eq!(check(rs256(&good, &claims(INTEGERS))), Ok(()));
    let jwk = serde_json::to_string(&P256.public().to_jwk()).expect("JSON");
    for member in [
        r#""crit":["exp"]"#.to_owned(),
        r#""crit":null"#.to_owned(),
        r#""b64":false"#.to_owned(),
        r#""zip":"DEF""#.to_owned(),
        format!(r#""jwk":{jwk}"#),
        r#""jku":"https://attacker.example""#.to_owned(),
        r#""x5u":"https://attacker.example""#.to_owned(),
        r#""alg":"RS256""#.to_owned(),
        r#""\u00785t":"AAAA""#.to_owned(),
        r#""deep":[[[[[[[[[]]]]]]]]]"#.to_owned(),
    ] {
        let header = good.replace("{", &format!("{{{member},"));
        assert!(
            matches!(check(rs256(&header, &claims(INTEGERS))), Err(AssertionRefused::Malformed(_))),
            "{member}"
        );
    }
    for alg in ["none", "None", "NONE", "HS256", "RS384", "PS384", "RS1", "rs256", "", "ES256"] {
        let header = good.replace("RS256", alg);
        assert!(
            matches!(check(rs256(&header, &claims(INTEGERS))), Err(AssertionRefused::Malformed(_))),
            "{alg}"
        );
        let unsigned = format!(
            "{}.{}.",
            base64url::encode(header.as_bytes()),
            base64url::encode(claims(INTEGERS).as_bytes())
        );
        assert!(matches!(check(unsigned), Err(AssertionRefused::Malformed(_))), "{alg}");
    }
    for typ in [r#""JWE""#, r#""at+jwt""#, "null", "1"] {
        let header = good.replace(r#""JWT""#, typ);
        assert!(
            matches!(check(rs256(&header, &claims(INTEGERS))), Err(AssertionRefused::Malformed(_))),
            "{typ}"
        );
    }
}

#[test]
fn a_signature_of_another_key_or_algorithm_is_refused() {
    let thumbprint = base64url::encode(&RSA_SHA256);
    let header = header("RS256", "x5t#S256", &thumbprint);
    let other = SigningKey::generate(jose::KeyKind::Rsa2048);
    assert_eq!(
        check(sign_texts(&other, Algorithm::Rs256, &header, &claims(INTEGERS))),
        Err(AssertionRefused::Signature)
    );
    assert_eq!(
        check(sign_texts(&RSA, Algorithm::Ps256, &header, &claims(INTEGERS))),
        Err(AssertionRefused::Signature)
    );
    let assertion = rs256(&header, &claims(INTEGERS));
    let (input, _) = assertion.rsplit_once('.').expect("three segments");
    assert_eq!(check(format!("{input}.")), Err(AssertionRefused::Signature));
}

#[test]
fn tolerance_ends_at_spellings_that_nobody_sends() {
    let plain = rs256(&plain_header(), &claims(INTEGERS));
    let (header, rest) = plain.split_once('.').expect("three segments");
    for odd in [
        format!("{plain}="),
        format!("{plain}==="),
        format!("{plain}.{header}"),
        format!("{header}\n.{rest}"),
        format!("{header}.\n{rest}"),
        format!("Bearer {plain}"),
        format!("\"{plain}\""),
        plain.replace('.', ".."),
        format!("\u{feff}{plain}"),
        format!("{}{plain}", " ".repeat(20) + "\0"),
    ] {
        assert!(matches!(check(&odd), Err(AssertionRefused::Malformed(_))), "{odd}");
    }
    let long = claims(&format!(r#","pad":"{}"{INTEGERS}"#, "x".repeat(jose::TOKEN_BYTES_MAX)));
    assert!(matches!(check(rs256(&plain_header(), &long)), Err(AssertionRefused::Malformed(_))));
    let duplicate = claims(&format!(r#","exp":1800000600{INTEGERS}"#));
    assert!(matches!(check(rs256(&plain_header(), &duplicate)), Err(AssertionRefused::Malformed(_))));
}

#[test]
fn a_date_is_a_number_of_seconds_in_one_of_three_forms() {
    let with = |dates: &str| check(rs256(&plain_header(), &claims(dates)));
    let malformed =
        |dates: &str| assert!(matches!(with(dates), Err(AssertionRefused::Malformed(_))), "{dates}");
    malformed("");
    malformed(r#","nbf":1800000000,"iat":1800000000"#);
    for value in [
        "null",
        "true",
        "[]",
        "[1800000600]",
        "{}",
        "-1",
        "-0.5",
        "1e16",
        "1e300",
        "18446744073709551615",
        "9007199254740992",
        r#""""#,
        r#"" 1800000600""#,
        r#""+1800000600""#,
        r#""-1""#,
        r#""1800000600.5""#,
        r#""1e9""#,
        r#""0x6b49d258""#,
        r#""99999999999999999999""#,
        r#""2027-01-15T08:00:00Z""#,
        r#""١٨""#,
    ] {
        malformed(&format!(r#","exp":{value}"#));
        malformed(&format!(r#","exp":1800000600,"nbf":{value}"#));
        malformed(&format!(r#","exp":1800000600,"iat":{value}"#));
    }
}

#[test]
fn the_time_range_has_sharp_edges() {
    let with = |dates: &str| check(rs256(&plain_header(), &claims(dates)));
    let outside = Err(AssertionRefused::TimeRange);
    assert_eq!(with(r#","exp":1799999701"#), Ok(()));
    assert_eq!(with(r#","exp":1799999700"#), outside);
    assert_eq!(with(r#","exp":1799999700.99"#), outside);
    assert_eq!(with(r#","exp":"0""#), outside);
    assert_eq!(with(r#","exp":1800000600,"nbf":1800000300"#), Ok(()));
    assert_eq!(with(r#","exp":1800000600,"nbf":1800000301"#), outside);
    assert_eq!(with(r#","exp":1800000600,"iat":1800000301"#), outside);
    // At most a day, counted from where the assertion says it began, or from now.
    assert_eq!(with(r#","exp":1800086400,"nbf":1800000000"#), Ok(()));
    assert_eq!(with(r#","exp":1800086401,"nbf":1800000000"#), outside);
    assert_eq!(with(r#","exp":1800086401,"nbf":1800000001,"iat":1800000000"#), outside);
    assert_eq!(with(r#","exp":1800086700"#), Ok(()));
    assert_eq!(with(r#","exp":1800086701"#), outside);
    assert_eq!(with(r#","exp":1800000600,"nbf":0"#), outside);
    assert_eq!(with(r#","exp":9007199254740991"#), outside);
}

#[test]
fn the_skew_is_never_more_than_five_minutes() {
    let assertion = rs256(&plain_header(), &claims(r#","exp":1799999700"#));
    let expected = ExpectedAssertion {
        client_id: CLIENT,
        audience: &|_| true,
        now_seconds: NOW,
        skew_seconds: u64::MAX,
        lifetime_max_seconds: 600,
    };
    assert_eq!(
        verify(assertion.as_bytes(), &credentials(), &expected).err(),
        Some(AssertionRefused::TimeRange)
    );
}

#[test]
fn an_assertion_speaks_for_one_client_to_one_endpoint() {
    let with = |from: &str, to: &str| check(rs256(&plain_header(), &claims(INTEGERS).replacen(from, to, 1)));
    let other = "5c0a1b9e-3f77-4a52-9d2e-0b1c2d3e4f51";
    assert_eq!(
        with(&format!(r#""iss":"{CLIENT}""#), &format!(r#""iss":"{other}""#)),
        Err(AssertionRefused::IssuerOrSubject)
    );
    assert_eq!(
        with(&format!(r#""sub":"{CLIENT}""#), &format!(r#""sub":"{other}""#)),
        Err(AssertionRefused::IssuerOrSubject)
    );
    assert_eq!(with(&format!(r#""iss":"{CLIENT}","#), ""), Err(AssertionRefused::IssuerOrSubject));
    assert_eq!(with(&format!(r#""sub":"{CLIENT}","#), ""), Err(AssertionRefused::IssuerOrSubject));
    assert_eq!(
        with(&format!(r#""iss":"{CLIENT}""#), &format!(r#""iss":["{CLIENT}"]"#)),
        Err(AssertionRefused::IssuerOrSubject)
    );
    assert_eq!(
        with(ENDPOINT, "https://login.example:8443/t2/oauth2/v2.0/token"),
        Err(AssertionRefused::Audience)
    );
    assert_eq!(with(ENDPOINT, &format!("{ENDPOINT}/")), Err(AssertionRefused::Audience));
    for aud in [format!(r#"["{ENDPOINT}"]"#), "null".to_owned(), "1".to_owned()] {
        let refused = with(&format!(r#""{ENDPOINT}""#), &aud);
        assert!(matches!(refused, Err(AssertionRefused::Malformed(_))), "{aud}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn no_flipped_bit_is_accepted(place in any::<proptest::sample::Index>(), bit in 0u8..8) {
        let assertion = rs256(&plain_header(), &claims(INTEGERS));
        let mut flipped = assertion.into_bytes();
        let place = place.index(flipped.len());
        flipped[place] ^= 1 << bit;
        prop_assert!(check(&flipped).is_err());
    }

    #[test]
    fn noise_is_refused(noise in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(check(&noise).is_err());
    }
}

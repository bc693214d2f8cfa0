//! Real tokens with one thing changed, and things that are no tokens (attack cases T01 to T16, T26).

use data_encoding::BASE64URL_NOPAD;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use serde_json::{Value, json};
use vouchsafe_crypto::SecretBytes;
use vouchsafe_crypto::jose::{Algorithm, KeyKind, SigningKey, sign_jwt};
use vouchsafe_testkit::running::Pieces;

use crate::{Bench, Place};

fn segment(value: &Value) -> String {
    BASE64URL_NOPAD.encode(value.to_string().as_bytes())
}

fn decoded(segment: &str) -> Value {
    serde_json::from_slice(&BASE64URL_NOPAD.decode(segment.as_bytes()).unwrap()).unwrap()
}

fn with(value: &Value, member: &str, to: Value) -> Value {
    let mut changed = value.clone();
    changed[member] = to;
    changed
}

/// Every token that must be refused, with what is wrong with it.
async fn forgeries(place: &Place, jwks: &Value) -> Vec<(String, String)> {
    let token = place.bearer.clone().unwrap();
    let parts: Vec<&str> = token.split('.').collect();
    let [head, body, signature] = parts[..] else { panic!("a token has three parts") };
    let (header, claims) = (decoded(head), decoded(body));
    let mut forged: Vec<(String, String)> = Vec::new();
    let mut add = |what: &str, token: String| forged.push((what.to_owned(), token));

    for alg in ["none", "None", "NONE", "nOnE", "noNe", ""] {
        let head = segment(&with(&header, "alg", json!(alg)));
        add("alg none", format!("{head}.{body}."));
        add("alg none with a signature", format!("{head}.{body}.{signature}"));
        add("alg none in two segments", format!("{head}.{body}"));
    }
    let kid = header["kid"].clone();
    let own =
        jwks["keys"].as_array().unwrap().iter().find(|key| key["kid"] == kid).expect("the key is published");
    let modulus = own["n"].as_str().or(own["x"].as_str()).unwrap();
    for (what, secret) in [
        ("the JWK", own.to_string().into_bytes()),
        ("the modulus", BASE64URL_NOPAD.decode(modulus.as_bytes()).unwrap()),
        ("the modulus as text", modulus.as_bytes().to_vec()),
        ("nothing", Vec::new()),
    ] {
        let mut hmac = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS256);
        hmac.kid = kid.as_str().map(str::to_owned);
        let key = jsonwebtoken::EncodingKey::from_secret(&secret);
        add(&format!("HS256 keyed with {what}"), jsonwebtoken::encode(&hmac, &claims, &key).unwrap());
    }
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let stranger =
        SigningKey::from_pkcs8(KeyKind::P256, &SecretBytes::new(key.serialize_der())).ok().unwrap();
    let sign = |header: &Value| {
        let input = format!("{}.{body}", segment(header));
        let signature = stranger.sign(Algorithm::Es256, input.as_bytes()).ok().unwrap();
        format!("{input}.{}", BASE64URL_NOPAD.encode(&signature))
    };
    let kids = jwks["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned());
    for kid in kids.clone() {
        add(
            "a stranger's signature under our kid",
            sign_jwt(&stranger, Algorithm::Es256, &kid, &claims).ok().unwrap(),
        );
        let zeros = BASE64URL_NOPAD.encode(&[0; 64]);
        let head = segment(&json!({ "typ": "JWT", "alg": "ES256", "kid": kid }));
        add("r and s zero", format!("{head}.{body}.{zeros}"));
        add("a signature of no length", format!("{head}.{body}."));
        add(
            "a signature in DER",
            format!("{head}.{body}.{}", BASE64URL_NOPAD.encode(&[0x30, 6, 2, 1, 1, 2, 1, 1])),
        );
    }
    let jwk = serde_json::to_value(stranger.public().to_jwk()).unwrap();
    let es256 = json!({ "typ": "JWT", "alg": "ES256", "kid": kid });
    add("its own key in the header", sign(&with(&es256, "jwk", jwk)));
    add("a key's address in the header", sign(&with(&es256, "jku", json!("https://127.0.0.1:1/keys"))));
    add("a certificate in the header", sign(&with(&es256, "x5c", json!(["MIIB"]))));
    for kid in ["../../root.key", "' OR 1=1 --", "\u{0}", "\n", "", "%00"] {
        add("a strange kid", sign(&with(&es256, "kid", json!(kid))));
    }
    add("a kid of 10 KB", sign(&with(&es256, "kid", json!("k".repeat(10_000)))));
    add("a kid that is no text", sign(&with(&es256, "kid", json!([kid]))));
    for (member, value) in [
        ("crit", json!(["x"])),
        ("b64", json!(false)),
        ("zip", json!("DEF")),
        ("cty", json!("JWT")),
        ("typ", json!("JWE")),
        ("enc", json!("A256GCM")),
        ("x", json!(1)),
        ("alg", json!("RS512")),
        ("alg", json!(null)),
        ("alg", json!(["RS256"])),
        ("alg", json!("PBES2-HS256+A128KW")),
        ("p2c", json!(2_147_483_648_u64)),
    ] {
        add(
            &format!("{member} in the header"),
            format!("{}.{body}.{signature}", segment(&with(&header, member, value))),
        );
    }
    for member in ["exp", "nbf", "iat"] {
        let odd = [
            json!("1"),
            json!(1.5),
            json!(-1),
            json!([1]),
            json!(null),
            json!(true),
            json!(99_999_999_999_u64),
        ];
        for value in odd {
            let claims = segment(&with(&claims, member, value));
            add(&format!("{member} of another kind"), format!("{head}.{claims}.{signature}"));
        }
    }
    for (member, value) in
        [("aud", json!("https://evil.example")), ("iss", json!("https://evil.example")), ("oid", json!("x"))]
    {
        add(
            &format!("another {member}"),
            format!("{head}.{}.{signature}", segment(&with(&claims, member, value))),
        );
    }
    let double = format!("{{\"aud\":1,{}", &claims.to_string()[1..]);
    add("a claim given twice", format!("{head}.{}.{signature}", BASE64URL_NOPAD.encode(double.as_bytes())));
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(5_000), "]".repeat(5_000));
    add("5000 deep", format!("{head}.{}.{signature}", BASE64URL_NOPAD.encode(deep.as_bytes())));
    for (what, text) in
        [("a list", "[]"), ("a number", "1"), ("nothing", ""), ("not JSON", "{"), ("not text", "\u{0}")]
    {
        add(what, format!("{head}.{}.{signature}", BASE64URL_NOPAD.encode(text.as_bytes())));
        add(what, format!("{}.{body}.{signature}", BASE64URL_NOPAD.encode(text.as_bytes())));
    }

    // The signature is still right: only its spelling is not the one and only.
    add("padding", format!("{head}.{body}.{signature}="));
    add("padding of the head", format!("{head}=.{body}.{signature}"));
    add(
        "the standard alphabet",
        format!("{head}.{body}.{}", signature.replace('-', "+").replace('_', "/").replacen('A', "+", 1)),
    );
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let last = signature.chars().last().unwrap();
    let next = alphabet.chars().nth(alphabet.find(last).unwrap() ^ 1).unwrap();
    add("bits behind the end", format!("{head}.{body}.{}{next}", &signature[..signature.len() - 1]));
    add("a space inside", format!("{head}.{body} .{signature}"));
    add("a tab inside", format!("{head}\t.{body}.{signature}"));
    add("one dot more", format!("{token}."));
    add("one dot before", format!(".{token}"));
    add("two dots", format!("{head}..{body}.{signature}"));
    add("five segments", format!("{token}.a.b"));
    add("twice", format!("{token},{token}"));
    add("twice with a space", format!("{token} {token}"));
    add("half a signature", format!("{head}.{body}.{}", &signature[..signature.len() / 2]));
    add(
        "one letter changed",
        format!("{head}.{body}.{}", signature.replacen(|c: char| c.is_ascii_lowercase(), "0", 1)),
    );
    add("only the head", head.to_owned());
    add("nothing but dots", "..".to_owned());
    add("one letter", "x".to_owned());
    add("20 KB", "x".repeat(20_000));
    add("20 KB of dots", ".".repeat(20_000));
    add("quotes", format!("\"{token}\""));
    forged
}

pub async fn try_all(bench: &mut Bench) {
    let (vault, arm) = (bench.vault.clone(), bench.arm.clone());
    let path = format!("/{}/discovery/v2.0/keys", bench.tenant);
    let pieces = Pieces::new(format!("GET {path} HTTP/1.1"), &arm.host);
    let jwks = arm.client.raw(&arm.host, &pieces).await.unwrap().json();
    for (place, path) in [(&vault, "/secrets/kept"), (&arm, "/subscriptions?api-version=1")] {
        let line = format!("GET {path} HTTP/1.1");
        for scheme in ["Bearer", "bearer", "BEARER"] {
            let twin = Pieces::new(&line, &place.host);
            let twin = twin.header(format!("Authorization: {scheme} {}", place.bearer.clone().unwrap()));
            assert_eq!(place.client.raw(&place.host, &twin).await.unwrap().status, 200, "the token is good");
        }
        for (what, token) in forgeries(place, &jwks).await {
            let pieces = Pieces::new(&line, &place.host).header(format!("Authorization: Bearer {token}"));
            challenged(bench, place, &format!("{path} with {what}"), &pieces).await;
        }
        // A good token for another service, and a good token that is not alone.
        let (own, other) =
            (place.bearer.clone().unwrap(), if place.dialect == vault.dialect { &arm } else { &vault });
        let other = other.bearer.clone().unwrap();
        let pieces = Pieces::new(&line, &place.host);
        let headers: [Vec<Vec<u8>>; 8] = [
            vec![format!("Authorization: Bearer {other}").into_bytes()],
            vec![],
            vec![b"Authorization:".to_vec()],
            vec![b"Authorization: Bearer".to_vec()],
            vec![format!("Authorization: {own}").into_bytes()],
            vec![format!("Authorization: Basic {own}").into_bytes()],
            vec![b"Authorization: Bearer \xff\xfe".to_vec()],
            vec![
                format!("Authorization: Bearer {own}").into_bytes(),
                format!("Authorization: Bearer {other}").into_bytes(),
            ],
        ];
        for headers in headers {
            let what = format!("{path} with {} headers", headers.len());
            let pieces = headers.into_iter().fold(pieces.clone(), Pieces::header);
            challenged(bench, place, &what, &pieces).await;
        }
    }
}

/// A refusal that says where to get a token.
async fn challenged(bench: &mut Bench, place: &Place, what: &str, pieces: &Pieces) {
    let Some(answer) = bench.refuses_with(place, 401, what, pieces).await else { return };
    let challenge = answer.headers.get("www-authenticate").and_then(|challenge| challenge.to_str().ok());
    if !challenge
        .is_some_and(|challenge| challenge.starts_with("Bearer ") && challenge.contains(&bench.tenant))
    {
        bench.complain(format!("{what}: without a challenge: {challenge:?}"));
    }
}

//! Bodies that are not what was asked for.

use vouchsafe_testkit::running::Pieces;

use crate::{Bench, Dialect, Place};

/// Bodies that are wrong for every route that wants a JSON object.
fn never_an_object() -> Vec<(&'static str, Vec<u8>)> {
    let deep = |open: &str, close: &str, inside: &str| {
        format!("{}{inside}{}", open.repeat(200), close.repeat(200)).into_bytes()
    };
    let mut many = b"{\"a\":[".to_vec();
    many.extend(b"0,".repeat(250_000));
    many.extend(b"0]}");
    vec![
        ("nothing", Vec::new()),
        ("white space", b" \r\n\t ".to_vec()),
        ("null", b"null".to_vec()),
        ("true", b"true".to_vec()),
        ("a number", b"1".to_vec()),
        ("a text", b"\"value\"".to_vec()),
        ("a list", b"[]".to_vec()),
        ("a list of objects", b"[{}]".to_vec()),
        ("half an object", b"{\"value\":\"v".to_vec()),
        ("an object and more", b"{} {}".to_vec()),
        ("a comma too many", b"{\"value\":\"v\",}".to_vec()),
        ("single quotes", b"{'value':'v'}".to_vec()),
        ("no quotes", b"{value:1}".to_vec()),
        ("a comment", b"{/* */}".to_vec()),
        ("a byte order mark", b"\xef\xbb\xbf{}".to_vec()),
        ("UTF-16", "{}".encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ("bytes that are no text", b"{\"value\":\"\xff\xfe\"}".to_vec()),
        ("an overlong encoding", b"{\"value\":\"\xc0\xaf\"}".to_vec()),
        ("half a surrogate pair", b"{\"value\":\"\\ud800\"}".to_vec()),
        ("a control character", b"{\"value\":\"\x00\"}".to_vec()),
        ("a bad escape", b"{\"value\":\"\\x41\"}".to_vec()),
        ("not a number", b"{\"value\":NaN}".to_vec()),
        ("an infinite number", b"{\"value\":1e400}".to_vec()),
        ("a number with a leading zero", b"{\"value\":01}".to_vec()),
        ("lists 200 deep", deep("[", "]", "")),
        ("objects 200 deep", deep("{\"a\":", "}", "1")),
        ("200 deep in an unknown member", [b"{\"x\":".to_vec(), deep("[", "]", ""), b"}".to_vec()].concat()),
        ("never closed", b"[".repeat(100_000)),
        ("a quarter of a million values", many),
        ("a member given twice", b"{\"value\":\"a\",\"value\":\"b\"}".to_vec()),
        ("a member given twice, once escaped", b"{\"value\":\"a\",\"valu\\u0065\":\"b\"}".to_vec()),
        ("an unknown member given twice", b"{\"value\":\"a\",\"x\":{\"y\":1,\"y\":1}}".to_vec()),
        (
            "XML",
            b"<?xml version=\"1.0\"?><!DOCTYPE a [<!ENTITY b SYSTEM \"file:///etc/passwd\">]><a>&b;</a>"
                .to_vec(),
        ),
        ("a form", b"value=v&value=w".to_vec()),
        ("compressed", b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03".to_vec()),
        (
            "far too long",
            [b"{\"value\":\"".to_vec(), b"v".repeat(23 * 1024 * 1024), b"\"}".to_vec()].concat(),
        ),
    ]
}

pub async fn try_all(bench: &mut Bench) {
    let below = format!("/subscriptions/{}", bench.subscription);
    let group = format!("{below}/resourceGroups/default");
    let id = "11111111-2222-4333-8444-555555555555";
    let (vault, arm, admin, node) =
        (bench.vault.clone(), bench.arm.clone(), bench.admin.clone(), bench.node.clone());
    let routes: Vec<(&Place, &str, String)> = vec![
        (&vault, "PUT", "/secrets/new?api-version=7.4".to_owned()),
        (&vault, "PATCH", "/secrets/kept?api-version=7.4".to_owned()),
        (&vault, "POST", "/secrets/restore?api-version=7.4".to_owned()),
        (&vault, "POST", "/keys/new/create?api-version=7.4".to_owned()),
        (&vault, "PUT", "/keys/new?api-version=7.4".to_owned()),
        (&vault, "POST", "/keys/kept//sign?api-version=7.4".to_owned()),
        (&vault, "PUT", "/keys/kept/rotationpolicy?api-version=7.4".to_owned()),
        (&vault, "POST", "/certificates/new/create?api-version=7.4".to_owned()),
        (&vault, "POST", "/certificates/new/import?api-version=7.4".to_owned()),
        (&vault, "PATCH", "/certificates/kept-tls/policy?api-version=7.4".to_owned()),
        (&vault, "PUT", "/certificates/issuers/new?api-version=7.4".to_owned()),
        (&arm, "PUT", format!("{below}/resourceGroups/new?api-version=1")),
        (&arm, "PUT", format!("{group}/providers/Microsoft.KeyVault/vaults/new?api-version=1")),
        (
            &arm,
            "PUT",
            format!("{group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/new?api-version=1"),
        ),
        (
            &arm,
            "PUT",
            format!("{below}/providers/Microsoft.Authorization/roleAssignments/{id}?api-version=1"),
        ),
        (
            &arm,
            "PUT",
            format!("{below}/providers/Microsoft.Authorization/roleDefinitions/{id}?api-version=1"),
        ),
        (&arm, "POST", format!("{below}/providers/Microsoft.KeyVault/checkNameAvailability?api-version=1")),
        (&admin, "POST", "/admin/v1/apply".to_owned()),
        (&admin, "POST", "/admin/v1/client-secrets".to_owned()),
        (&node, "POST", "/node/v1/token".to_owned()),
    ];
    for (place, method, path) in &routes {
        for (what, body) in never_an_object() {
            let pieces = place.pieces(format!("{method} {path} HTTP/1.1")).body(&body);
            let pieces = pieces.header("Content-Type: application/json");
            let what = format!("{method} {path} with {what}");
            let answer = bench.refuses(place, place.dialect, &what, &pieces).await;
            let too_long = body.len() > 23 * 1024 * 1024;
            if too_long && answer.is_some_and(|answer| answer.status != 413) {
                bench.complain(format!("{what}: not 413"));
            }
        }
        for kind in [
            "text/plain",
            "application/xml",
            "application/x-www-form-urlencoded",
            "multipart/form-data",
            "a/b/c",
            "",
        ] {
            let pieces = place.pieces(format!("{method} {path} HTTP/1.1")).body("{\"value\":\"v\"}");
            let pieces = pieces.header(format!("Content-Type: {kind}"));
            let what = format!("{method} {path} as `{kind}`");
            bench.refuses_with(place, 415, &what, &pieces).await;
        }
    }
    wrong_members(bench, &routes).await;
    wrong_keys(bench).await;
    wrong_certificates(bench).await;
    public_questions(bench).await;
    forms(bench).await;
}

/// Certificates that cannot be, files that hold none, issuers that are nobody.
async fn wrong_certificates(bench: &mut Bench) {
    const CREATE: &str = "certificates/new/create";
    const IMPORT: &str = "certificates/new/import";
    const MERGE: &str = "certificates/kept-tls/pending/merge";
    const ISSUER: &str = "certificates/issuers/new";
    let policy = |rest: &str| {
        format!(
            "{{\"policy\":{{\"issuer\":{{\"name\":\"Self\"}},\"x509_props\":{{\"subject\":\"CN=a\"}}{rest}}}}}"
        )
    };
    let x509 = |rest: &str| {
        format!(
            "{{\"policy\":{{\"issuer\":{{\"name\":\"Self\"}},\"x509_props\":{{\"subject\":\"CN=a\"{rest}}}}}}}"
        )
    };
    let value = |value: &str| format!("{{\"value\":\"{value}\"}}");
    let names = (0..101).map(|n| format!("\"a{n}.test\"")).collect::<Vec<_>>().join(",");
    let cases = [
        ("POST", CREATE, "{}".to_owned()),
        ("POST", CREATE, "{\"policy\":{}}".to_owned()),
        ("POST", CREATE, "{\"policy\":{\"issuer\":{\"name\":\"Self\"}}}".to_owned()),
        (
            "POST",
            CREATE,
            "{\"policy\":{\"issuer\":{\"name\":\"nobody\"},\"x509_props\":{\"subject\":\"CN=a\"}}}"
                .to_owned(),
        ),
        (
            "POST",
            CREATE,
            "{\"policy\":{\"issuer\":{\"name\":\"../x\"},\"x509_props\":{\"subject\":\"CN=a\"}}}".to_owned(),
        ),
        ("POST", CREATE, policy(",\"key_props\":{\"kty\":\"oct\"}")),
        ("POST", CREATE, policy(",\"key_props\":{\"kty\":\"RSA\",\"key_size\":1024}")),
        ("POST", CREATE, policy(",\"key_props\":{\"kty\":\"RSA\",\"crv\":\"P-256\"}")),
        ("POST", CREATE, policy(",\"key_props\":{\"kty\":\"EC\",\"crv\":\"P-256\",\"key_size\":384}")),
        ("POST", CREATE, policy(",\"key_props\":{\"kty\":\"RSA-HSM\"}")),
        ("POST", CREATE, policy(",\"secret_props\":{\"contentType\":\"text/plain\"}")),
        ("POST", CREATE, policy(",\"lifetime_actions\":[{}]")),
        (
            "POST",
            CREATE,
            policy(",\"lifetime_actions\":[{\"action\":{\"action_type\":\"AutoRenew\"},\"trigger\":{}}]"),
        ),
        (
            "POST",
            CREATE,
            policy(
                ",\"lifetime_actions\":[{\"action\":{\"action_type\":\"AutoRenew\"},\"trigger\":{\"lifetime_percentage\":100}}]",
            ),
        ),
        (
            "POST",
            CREATE,
            policy(
                ",\"lifetime_actions\":[{\"action\":{\"action_type\":\"Explode\"},\"trigger\":{\"lifetime_percentage\":80}}]",
            ),
        ),
        ("POST", CREATE, x509(",\"validity_months\":0")),
        ("POST", CREATE, x509(",\"validity_months\":4294967295")),
        ("POST", CREATE, x509(",\"ekus\":[\"1.2.x\"]")),
        ("POST", CREATE, x509(",\"key_usage\":[\"everything\"]")),
        ("POST", CREATE, x509(",\"key_usage\":[\"keyCertSign\"]")),
        ("POST", CREATE, x509(",\"basic_constraints\":{\"ca\":true}")),
        ("POST", CREATE, x509(",\"sans\":{\"dns_names\":[\"a b\"]}")),
        ("POST", CREATE, x509(",\"sans\":{\"ipAddresses\":[\"10.0.0.0/8\"]}")),
        ("POST", CREATE, x509(&format!(",\"sans\":{{\"dns_names\":[{names}]}}"))),
        ("POST", CREATE, x509(&format!(",\"x\":\"{}\"", "x".repeat(100_000)))),
        (
            "POST",
            CREATE,
            "{\"policy\":{\"issuer\":{\"name\":\"Self\"},\"x509_props\":{\"subject\":\"no name\"}}}"
                .to_owned(),
        ),
        ("POST", IMPORT, "{}".to_owned()),
        ("POST", IMPORT, value("")),
        ("POST", IMPORT, value("not base64!")),
        ("POST", IMPORT, value("MAA=")),
        ("POST", IMPORT, value(&"MIIB".repeat(80_000))),
        ("POST", IMPORT, value("-----BEGIN CERTIFICATE-----\\nMAA=\\n-----END CERTIFICATE-----")),
        ("POST", IMPORT, value("-----BEGIN PRIVATE KEY-----\\nMAA=\\n-----END PRIVATE KEY-----")),
        ("POST", MERGE, "{\"x5c\":[]}".to_owned()),
        ("POST", MERGE, "{\"x5c\":[\"!\"]}".to_owned()),
        ("POST", MERGE, "{\"x5c\":[\"MAA=\"]}".to_owned()),
        ("PATCH", "certificates/kept-tls/pending", "{\"cancellation_requested\":\"yes\"}".to_owned()),
        ("POST", "certificates/kept-tls//revoke", "{\"reason\":\"boredom\"}".to_owned()),
        ("POST", "certificates/kept-tls//revoke", "{}".to_owned()),
        ("POST", "certificates/restore", value("AAAA")),
        ("PUT", ISSUER, "{}".to_owned()),
        ("PUT", ISSUER, "{\"provider\":\"Nobody\"}".to_owned()),
        ("PUT", ISSUER, "{\"provider\":\"Vouchsafe\"}".to_owned()),
        (
            "PUT",
            ISSUER,
            "{\"provider\":\"Vouchsafe\",\"credentials\":{\"account_id\":\"10.0.0.0/99\"}}".to_owned(),
        ),
        (
            "PUT",
            ISSUER,
            format!("{{\"provider\":\"Test\",\"credentials\":{{\"pwd\":\"{}\"}}}}", "x".repeat(100_000)),
        ),
        ("PUT", "certificates/contacts", "{\"contacts\":[]}".to_owned()),
        ("PUT", "certificates/contacts", "{\"contacts\":[{\"email\":\"nobody\"}]}".to_owned()),
    ];
    let place = bench.vault.clone();
    for (method, path, body) in cases {
        let pieces = place.pieces(format!("{method} /{path} HTTP/1.1")).body(&body);
        let shown: String = body.chars().take(80).collect();
        bench.refuses_with(&place, 400, &format!("{method} {path} {shown}"), &pieces).await;
    }
}

/// What anybody may ask without a token, of authorities that do not exist.
async fn public_questions(bench: &mut Bench) {
    let place = bench.vault.clone();
    let id = "11111111-2222-4333-8444-555555555555";
    for (status, line) in [
        (404, "GET /pki HTTP/1.1".to_owned()),
        (404, format!("GET /pki/{id} HTTP/1.1")),
        (404, format!("GET /pki/{id}/crl HTTP/1.1")),
        (404, format!("GET /pki/{id}/certificate HTTP/1.1")),
        (400, "GET /pki/%00/crl HTTP/1.1".to_owned()),
        (404, "GET /pki/11111111222243338444555555555555/crl HTTP/1.1".to_owned()),
        (404, "POST /pki/nobody/ocsp HTTP/1.1".to_owned()),
        (405, format!("PUT /pki/{id}/crl HTTP/1.1")),
        (405, format!("DELETE /pki/{id}/ocsp HTTP/1.1")),
        (400, "GET /pki/../secrets HTTP/1.1".to_owned()),
    ] {
        let pieces = Pieces::new(&line, &place.host);
        let answer = bench.refuses(&place, Dialect::Ours, &line, &pieces).await;
        if let Some(answer) = answer.filter(|answer| answer.status != status) {
            bench.complain(format!("{line}: {} instead of {status}", answer.status));
        }
    }
    let line = format!("POST /pki/{id}/ocsp HTTP/1.1");
    for (status, kind, body) in [
        (415, "application/json", b"{}".to_vec()),
        (415, "application/x-www-form-urlencoded", b"a=b".to_vec()),
        (413, "application/ocsp-request", vec![0x30; 17 * 1024]),
    ] {
        let pieces = Pieces::new(&line, &place.host).body(&body).header(format!("Content-Type: {kind}"));
        let what = format!("{line} as {kind}");
        let answer = bench.refuses(&place, Dialect::Ours, &what, &pieces).await;
        if let Some(answer) = answer.filter(|answer| answer.status != status) {
            bench.complain(format!("{what}: {} instead of {status}", answer.status));
        }
    }
}

/// Keys that cannot be, and operations that no key does.
async fn wrong_keys(bench: &mut Bench) {
    let digest = "A".repeat(43);
    let key = |rest: &str| format!("{{\"key\":{{{rest}}}}}");
    let sign = |rest: &str| format!("{{\"alg\":\"ES256\",{rest}}}");
    let action = |rest: &str| format!("{{\"lifetimeActions\":[{{{rest}}}]}}");
    let tags: Vec<_> = (0..16).map(|n| format!("\"t{n}\":\"v\"")).collect();
    let cases = [
        ("POST", "keys/new/create", "{}".to_owned()),
        ("POST", "keys/new/create", "{\"kty\":1}".to_owned()),
        ("POST", "keys/new/create", "{\"kty\":\"rsa\"}".to_owned()),
        ("POST", "keys/new/create", "{\"kty\":{\"RSA\":1}}".to_owned()),
        ("POST", "keys/new/create", "{\"kty\":\"RSA\",\"key_size\":-2048}".to_owned()),
        ("POST", "keys/new/create", "{\"kty\":\"RSA\",\"key_size\":2048.5}".to_owned()),
        ("POST", "keys/new/create", "{\"kty\":\"RSA\",\"key_size\":4294967296}".to_owned()),
        ("POST", "keys/new/create", "{\"kty\":\"RSA\",\"key_size\":1000000000}".to_owned()),
        ("POST", "keys/new/create", "{\"kty\":\"RSA\",\"public_exponent\":1}".to_owned()),
        ("POST", "keys/new/create", "{\"kty\":\"EC\",\"crv\":\"P-224\"}".to_owned()),
        ("POST", "keys/new/create", "{\"kty\":\"EC\",\"key_ops\":\"sign\"}".to_owned()),
        ("POST", "keys/new/create", "{\"kty\":\"EC\",\"key_ops\":[\"steal\"]}".to_owned()),
        ("POST", "keys/new/create", "{\"kty\":\"EC\",\"attributes\":{\"exp\":-1}}".to_owned()),
        ("POST", "keys/new/create", "{\"kty\":\"EC\",\"attributes\":{\"nbf\":2,\"exp\":1}}".to_owned()),
        ("POST", "keys/new/create", "{\"kty\":\"EC\",\"attributes\":{\"exportable\":true}}".to_owned()),
        ("POST", "keys/new/create", "{\"kty\":\"EC\",\"release_policy\":{}}".to_owned()),
        ("POST", "keys/new/create", "{\"kty\":\"EC\",\"release_policy\":{\"data\":\"!\"}}".to_owned()),
        ("POST", "keys/new/create", format!("{{\"kty\":\"EC\",\"tags\":{{{}}}}}", tags.join(","))),
        ("POST", "keys/new/create", "{\"kty\":\"EC-HSM\"}".to_owned()),
        ("PUT", "keys/new", "{}".to_owned()),
        ("PUT", "keys/new", key("")),
        ("PUT", "keys/new", key("\"kty\":\"EC\",\"crv\":\"P-256\",\"d\":\"AQ==\"")),
        ("PUT", "keys/new", key("\"kty\":\"EC\",\"crv\":\"P-256\",\"d\":\"\",\"x\":\"\",\"y\":\"\"")),
        (
            "PUT",
            "keys/new",
            key("\"kty\":\"RSA\",\"n\":\"AQ\",\"e\":\"AQ\",\"d\":\"AQ\",\"p\":\"AQ\",\"q\":\"AQ\""),
        ),
        (
            "PUT",
            "keys/new",
            key(&format!("\"kty\":\"RSA\",\"n\":\"{}\",\"e\":\"AQAB\"", "A".repeat(100_000))),
        ),
        ("PUT", "keys/new", key("\"kty\":\"oct\",\"k\":\"\"")),
        ("PUT", "keys/new", key("\"kty\":\"oct\"")),
        ("PUT", "keys/new", key("\"kty\":\"RSA-HSM\",\"key_hsm\":\"AAAA\"")),
        ("POST", "keys/kept//sign", sign("\"value\":\"\"")),
        ("POST", "keys/kept//sign", sign("\"value\":[1]")),
        ("POST", "keys/kept//sign", sign(&format!("\"value\":\"{digest}=\""))),
        ("POST", "keys/kept//sign", sign(&format!("\"value\":\"{}\"", "A".repeat(200_000)))),
        ("POST", "keys/kept//sign", format!("{{\"alg\":\"none\",\"value\":\"{digest}\"}}")),
        ("POST", "keys/kept//sign", format!("{{\"alg\":\"HS256\",\"value\":\"{digest}\"}}")),
        ("POST", "keys/kept//sign", format!("{{\"alg\":\"RS256\",\"value\":\"{digest}\"}}")),
        ("POST", "keys/kept//sign", format!("{{\"alg\":\"{}\",\"value\":\"{digest}\"}}", "x".repeat(10_000))),
        ("POST", "keys/kept//verify", sign(&format!("\"value\":\"{digest}\""))),
        ("POST", "keys/kept//decrypt", format!("{{\"alg\":\"A999GCM\",\"value\":\"{digest}\"}}")),
        ("POST", "keys/kept//release", "{\"target\":[1]}".to_owned()),
        ("POST", "keys/kept//release", "{}".to_owned()),
        ("POST", "keys/restore", "{\"value\":\"AAAA\"}".to_owned()),
        ("POST", "rng", "{}".to_owned()),
        ("POST", "rng", "{\"count\":0}".to_owned()),
        ("POST", "rng", "{\"count\":-1}".to_owned()),
        ("POST", "rng", "{\"count\":4294967295}".to_owned()),
        ("PUT", "keys/kept/rotationpolicy", action("")),
        ("PUT", "keys/kept/rotationpolicy", action("\"action\":{\"type\":\"Explode\"}")),
        (
            "PUT",
            "keys/kept/rotationpolicy",
            action("\"action\":{\"type\":\"Rotate\"},\"trigger\":{\"timeAfterCreate\":\"P999999999Y\"}"),
        ),
        ("PUT", "keys/kept/rotationpolicy", "{\"attributes\":{\"expiryTime\":\"PT1S\"}}".to_owned()),
    ];
    let place = bench.vault.clone();
    for (method, path, body) in cases {
        let pieces = place.pieces(format!("{method} /{path} HTTP/1.1")).body(&body);
        let shown: String = body.chars().take(80).collect();
        bench.refuses_with(&place, 400, &format!("{method} {path} {shown}"), &pieces).await;
    }
}

/// Objects that are well formed and mean nothing.
async fn wrong_members(bench: &mut Bench, routes: &[(&Place, &str, String)]) {
    let long = "x".repeat(26 * 1024);
    let tags = |count: usize| (0..count).map(|n| format!("\"t{n}\":\"v\"")).collect::<Vec<_>>().join(",");
    let value = |rest: &str| format!("{{\"value\":\"v\",{rest}}}");
    let vault = [
        ("secrets/new", "{}".to_owned()),
        ("secrets/new", "{\"value\":null}".to_owned()),
        ("secrets/new", "{\"value\":1}".to_owned()),
        ("secrets/new", "{\"value\":[\"v\"]}".to_owned()),
        ("secrets/new", "{\"value\":{\"v\":\"v\"}}".to_owned()),
        ("secrets/new", format!("{{\"value\":\"{long}\"}}")),
        ("secrets/new", value("\"contentType\":1")),
        ("secrets/new", value(&format!("\"contentType\":\"{}\"", "c".repeat(300)))),
        ("secrets/new", value("\"tags\":[]")),
        ("secrets/new", value("\"tags\":{\"a\":1}")),
        ("secrets/new", value("\"tags\":{\"a\":{}}")),
        ("secrets/new", value(&format!("\"tags\":{{{}}}", tags(16)))),
        ("secrets/new", value(&format!("\"tags\":{{\"{}\":\"v\"}}", "n".repeat(300)))),
        ("secrets/new", value(&format!("\"tags\":{{\"n\":\"{}\"}}", "v".repeat(300)))),
        ("secrets/new", value("\"attributes\":[]")),
        ("secrets/new", value("\"attributes\":\"enabled\"")),
        ("secrets/new", value("\"attributes\":{\"enabled\":\"yes\"}")),
        ("secrets/new", value("\"attributes\":{\"enabled\":1}")),
        ("secrets/new", value("\"attributes\":{\"exp\":\"soon\"}")),
        ("secrets/new", value("\"attributes\":{\"exp\":1.5}")),
        ("secrets/new", value("\"attributes\":{\"exp\":-1}")),
        ("secrets/new", value("\"attributes\":{\"exp\":1e18}")),
        ("secrets/new", value("\"attributes\":{\"exp\":18446744073709551616}")),
        ("secrets/new", value("\"attributes\":{\"nbf\":9223372036854775807}")),
        ("secrets/new", value("\"attributes\":{\"nbf\":99999999999999999999999999}")),
        ("secrets/new", value("\"attributes\":{\"nbf\":-9223372036854775808}")),
        ("secrets/new", value("\"attributes\":{\"nbf\":2000000000,\"exp\":1000000000}")),
        ("secrets/restore", "{\"value\":\"\"}".to_owned()),
        ("secrets/restore", "{\"value\":\"not base64url!\"}".to_owned()),
        ("secrets/restore", "{\"value\":\"AAAA\"}".to_owned()),
        ("secrets/restore", format!("{{\"value\":\"{}\"}}", "A".repeat(1_000_000))),
        ("secrets/restore", "{\"value\":1}".to_owned()),
    ];
    for (path, body) in vault {
        let method = if path == "secrets/restore" { "POST" } else { "PUT" };
        let place = bench.vault.clone();
        let pieces = place.pieces(format!("{method} /{path} HTTP/1.1")).body(&body);
        let shown: String = body.chars().take(80).collect();
        bench.refuses_with(&place, 400, &format!("{path} {shown}"), &pieces).await;
    }
    for (place, method, path) in routes.iter().filter(|(_, _, path)| path.contains("roleAssignments")) {
        let role = "\"roleDefinitionId\":\"4633458b-17de-408a-b874-0445c86b69e6\"";
        for body in [
            "{}".to_owned(),
            "{\"properties\":{}}".to_owned(),
            "{\"properties\":[]}".to_owned(),
            format!("{{\"properties\":{{{role},\"principalId\":\"nobody\"}}}}"),
            format!("{{\"properties\":{{{role},\"principalId\":1}}}}"),
            format!("{{\"properties\":{{{role},\"principalId\":\"11111111-2222-4333-8444-555555555555\",\"principalType\":\"God\"}}}}"),
            format!("{{\"properties\":{{{role},\"principalId\":\"11111111-2222-4333-8444-555555555555\",\"condition\":\"true\"}}}}"),
            "{\"properties\":{\"roleDefinitionId\":\"Owner\",\"principalId\":\"11111111-2222-4333-8444-555555555555\"}}".to_owned(),
            "{\"properties\":{\"roleDefinitionId\":\"11111111-2222-4333-8444-555555555555\",\"principalId\":\"11111111-2222-4333-8444-555555555555\"}}".to_owned(),
        ] {
            let pieces = place.pieces(format!("{method} {path} HTTP/1.1")).body(&body);
            bench.refuses(place, place.dialect, &body, &pieces).await;
        }
    }
    let admin = bench.admin.clone();
    for state in [
        "{\"unknown\":[]}",
        "{\"vaults\":{}}",
        "{\"vaults\":[1]}",
        "{\"vaults\":[{}]}",
        "{\"vaults\":[{\"name\":1}]}",
        "{\"vaults\":[{\"name\":\"x\"}]}",
        "{\"vaults\":[{\"name\":\"../../etc\"}]}",
        "{\"vaults\":[{\"name\":\"new-vault\",\"colour\":1}]}",
        "{\"vaults\":[{\"name\":\"new-vault\",\"retention_days\":1}]}",
        "{\"vaults\":[{\"name\":\"new-vault\",\"retention_days\":-1}]}",
        "{\"vaults\":[{\"name\":\"new-vault\",\"retention_days\":4294967296}]}",
        "{\"vaults\":[{\"name\":\"new-vault\",\"tenant\":\"nobody\"}]}",
        "{\"identities\":[{\"name\":\"reader\",\"bindings\":[{}]}]}",
        "{\"identities\":[{\"name\":\"reader\",\"bindings\":[{\"uid\":-1}]}]}",
        "{\"identities\":[{\"name\":\"reader\",\"bindings\":[{\"sha256\":\"zz\"}]}]}",
        "{\"identities\":[{\"name\":\"reader\",\"bindings\":[{\"uid\":4294967296}]}]}",
        "{\"applications\":[{\"name\":\"a\",\"certificates\":[\"not pem\"]}]}",
        "{\"applications\":[{\"name\":\"a\",\"client_id\":\"x\"}]}",
        "{\"custom_roles\":[{\"name\":\"r\",\"actions\":[\"no such thing\"]}]}",
        "{\"role_assignments\":[{}]}",
        "{\"role_assignments\":[{\"identity\":\"reader\",\"role\":\"Owner\"}]}",
        "{\"role_assignments\":[{\"identity\":\"nobody\",\"role\":\"Owner\",\"scope\":\"subscription\"}]}",
        "{\"role_assignments\":[{\"identity\":\"reader\",\"role\":\"No Such Role\",\"scope\":\"subscription\"}]}",
        "{\"role_assignments\":[{\"identity\":\"reader\",\"application\":\"x\",\"role\":\"Owner\",\"scope\":\"subscription\"}]}",
        "{\"role_assignments\":[{\"identity\":\"reader\",\"role\":\"Owner\",\"scope\":\"everything\"}]}",
        "{\"role_assignments\":[{\"identity\":\"reader\",\"role\":\"Owner\",\"scope\":{\"vault\":\"nowhere\"}}]}",
    ] {
        for dry in ["true", "false"] {
            let body = format!("{{\"dry_run\":{dry},\"state\":{state}}}");
            let pieces = admin.pieces("POST /admin/v1/apply HTTP/1.1").body(&body);
            bench.refuses(&admin, admin.dialect, &body, &pieces).await;
        }
    }
    for body in [
        "{}",
        "{\"application\":1}",
        "{\"application\":\"nobody\"}",
        "{\"application\":\"a\",\"lifetime_days\":-1}",
        "{\"application\":\"a\",\"lifetime_days\":4294967296}",
        "{\"application\":\"a\",\"tenant\":\"nobody\"}",
    ] {
        let pieces = admin.pieces("POST /admin/v1/client-secrets HTTP/1.1").body(body);
        bench.refuses(&admin, admin.dialect, body, &pieces).await;
    }
}

/// What can be wrong at the token endpoint.
async fn forms(bench: &mut Bench) {
    let entra = bench.entra.clone();
    let many = (0..100).map(|n| format!("p{n}=v")).collect::<Vec<_>>().join("&");
    let known = "6b1a7d3e-0000-4000-8000-00000000c11e";
    let base = format!("grant_type=client_credentials&client_id={known}");
    let scope = "scope=https%3A%2F%2Fvault.azure.net%2F.default";
    let assertion = "client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer&client_assertion";
    let forms = [
        String::new(),
        "&&&&".to_owned(),
        "=".to_owned(),
        "%".to_owned(),
        "grant_type=%ff%fe".to_owned(),
        "grant_type".to_owned(),
        "{\"grant_type\":\"client_credentials\"}".to_owned(),
        "grant_type=password&username=u&password=p".to_owned(),
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&subject_token=x".to_owned(),
        format!("grant_type=client_credentials&{base}&{scope}&client_secret=x"),
        base.clone(),
        format!("{base}&scope="),
        format!("{base}&scope=a+b+c&client_secret=x"),
        format!("{base}&scope=https%3A%2F%2Fvault.azure.net&client_secret=x"),
        format!(
            "{base}&scope=https%3A%2F%2Fvault.azure.net%2F.default+https%3A%2F%2Fmanagement.azure.com%2F.default&client_secret=x"
        ),
        format!("{base}&scope={}&client_secret=x", "s".repeat(60_000)),
        format!("{base}&{scope}"),
        format!("{base}&{scope}&client_secret=x"),
        format!("{base}&{scope}&client_secret=x&client_secret=y"),
        format!("{base}&{scope}&client_secret=x&{assertion}=a.b.c"),
        format!("{base}&{scope}&client_assertion=a.b.c"),
        format!("{base}&{scope}&{assertion}="),
        format!("{base}&{scope}&{assertion}=a.b.c"),
        format!("{base}&{scope}&{assertion}={}", "a".repeat(60_000)),
        format!("{base}&{scope}&client_secret=x&claims=%7B"),
        format!("{base}&{scope}&client_secret=x&claims={}", "%5B".repeat(200)),
        format!("grant_type=client_credentials&client_id=%22%5C%0A&{scope}&client_secret=x"),
        format!("grant_type=client_credentials&client_id={}&{scope}&client_secret=x", "c".repeat(60_000)),
        format!("{base}&{scope}&client_secret=x&{many}"),
        "a=b&".repeat(500_000),
    ];
    for form in forms {
        let shown: String = form.chars().take(120).collect();
        for path in [format!("/{}/oauth2/v2.0/token", bench.tenant), "/common/oauth2/token".to_owned()] {
            let pieces = entra.pieces(format!("POST {path} HTTP/1.1")).body(&form);
            let pieces = pieces.header("Content-Type: application/x-www-form-urlencoded");
            bench.refuses(&entra, entra.dialect, &format!("{path} {shown}"), &pieces).await;
        }
    }
    let path = format!("/{}/oauth2/v2.0/token", bench.tenant);
    for kind in ["application/json", "text/plain", "multipart/form-data; boundary=x", "application/xml"] {
        let pieces =
            entra.pieces(format!("POST {path} HTTP/1.1")).body(format!("{base}&{scope}&client_secret=x"));
        let pieces = pieces.header(format!("Content-Type: {kind}"));
        bench.refuses_with(&entra, 415, &format!("a form as {kind}"), &pieces).await;
    }
    for basic in [
        "",
        "Basic",
        "Basic !!!!",
        "Basic AAAA",
        "Basic Og==",
        "Basic /////w==",
        "Digest x",
        "Basic Og== Og==",
    ] {
        let pieces = entra.pieces(format!("POST {path} HTTP/1.1")).body(format!("{base}&{scope}"));
        let pieces = pieces.header(format!("Authorization: {basic}"));
        bench.refuses(&entra, entra.dialect, &format!("Authorization: {basic}"), &pieces).await;
    }
}

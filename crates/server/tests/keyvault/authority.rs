//! V17: what whoever may make certificates of a vault wants a private authority of that vault to certify, and does not
//! get: an authority's rights, others' names, wildcards, purposes, a long life, extensions of their own. Each wish
//! stands beside the honest one from which it differs in one thing, and is refused before and after it was granted.

use data_encoding::BASE64;
use serde_json::{Value, json};
use vouchsafe_crypto::pki::{KeyUsage, ParsedCertificate};

use crate::Bench;

/// What the authority certifies: hosts of one domain and no wildcards, one network, one domain's mail, some URIs.
const RULES: &str = "example.test 10.1.0.0/16 @example.test spiffe://example.test/ days:90";

/// How a wish ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum End {
    /// It is not even begun.
    Refused,
    /// The operation fails.
    Failed,
    Issued,
}

/// The honest wish, with one member of its X.509 properties changed.
fn wish(member: &str, value: Value) -> Value {
    let mut x509 = json!({
        "subject": "CN=app.example.test",
        "sans": { "dns_names": ["app.example.test"] },
        "validity_months": 2,
    });
    if !member.is_empty() {
        x509[member] = value;
    }
    json!({ "issuer": { "name": "ours" }, "key_props": { "kty": "EC", "crv": "P-256" }, "x509_props": x509 })
}

fn sans(kind: &str, names: &[&str]) -> Value {
    wish("sans", json!({ kind: names }))
}

/// Asks for a certificate; how that ends, and the certificate if there is one.
async fn wanted(bench: &Bench, name: &str, policy: &Value) -> (End, Option<ParsedCertificate>) {
    let path = format!("/certificates/{name}/create");
    let begun = bench.ask("POST", &path, json!({ "policy": policy })).await;
    let end = match begun.status {
        400 => End::Refused,
        202 => {
            let pending = bench.done("GET", &format!("/certificates/{name}/pending"), Value::Null).await;
            match pending["status"].as_str() {
                Some("completed") => End::Issued,
                Some("failed") => {
                    assert_eq!(pending["error"]["code"], "RequestRefused", "{pending}");
                    End::Failed
                }
                other => panic!("{other:?}: {pending}"),
            }
        }
        status => panic!("{status}: {begun:?}"),
    };
    let there = bench.ask("GET", &format!("/certificates/{name}"), Value::Null).await.json();
    let certificate = there["cer"].as_str().map(|cer| {
        let der = BASE64.decode(cer.as_bytes()).unwrap();
        ParsedCertificate::from_der(&der).unwrap()
    });
    assert_eq!(certificate.is_some(), end == End::Issued, "{name}: {there}");
    (end, certificate)
}

async fn with_an_authority(seed: u64, rules: &str) -> Bench {
    let bench = Bench::new(seed).await;
    let issuer = json!({ "provider": "Vouchsafe", "credentials": { "account_id": rules } });
    bench.done("PUT", "/certificates/issuers/ours", issuer).await;
    bench
}

#[tokio::test]
async fn an_authority_of_a_vault_certifies_nothing_that_its_rules_do_not_say() {
    let bench = with_an_authority(81, RULES).await;
    let honest = || wish("", Value::Null);
    let cases: Vec<(&str, Value, End, Value)> = vec![
        ("an authority", wish("basic_constraints", json!({ "ca": true })), End::Refused, honest()),
        (
            "an authority with a path",
            wish("basic_constraints", json!({ "ca": true, "path_len_constraint": 0 })),
            End::Refused,
            wish("basic_constraints", json!({ "ca": false })),
        ),
        (
            "another's domain",
            sans("dns_names", &["app.example.test", "app.other.test"]),
            End::Failed,
            sans("dns_names", &["app.example.test", "b.example.test"]),
        ),
        ("a domain that ends alike", sans("dns_names", &["notexample.test"]), End::Failed, honest()),
        ("a domain that begins alike", sans("dns_names", &["example.test.evil.test"]), End::Failed, honest()),
        ("the domain above", sans("dns_names", &["test"]), End::Failed, sans("dns_names", &["EXAMPLE.test"])),
        ("a wildcard", sans("dns_names", &["*.example.test"]), End::Failed, honest()),
        ("a wildcard in the middle", sans("dns_names", &["a.*.example.test"]), End::Refused, honest()),
        ("a wildcard over everything", sans("dns_names", &["*"]), End::Refused, honest()),
        (
            "another's name as common name",
            wish("subject", json!("CN=app.other.test")),
            End::Failed,
            wish("subject", json!("CN=b.example.test")),
        ),
        ("a wildcard as common name", wish("subject", json!("CN=*.example.test")), End::Failed, honest()),
        (
            "a second common name",
            wish("subject", json!("CN=app.example.test,CN=app.other.test")),
            End::Failed,
            honest(),
        ),
        (
            "an address outside the network",
            sans("ipAddresses", &["10.2.0.1"]),
            End::Failed,
            sans("ipAddresses", &["10.1.255.255"]),
        ),
        ("an address in the other family", sans("ipAddresses", &["::ffff:10.2.0.1"]), End::Failed, honest()),
        ("an address as host", sans("dns_names", &["10.2.0.1"]), End::Failed, honest()),
        (
            "another's mail address",
            sans("emails", &["root@other.test"]),
            End::Failed,
            sans("emails", &["root@example.test"]),
        ),
        ("mail of a domain below", sans("emails", &["root@a.example.test"]), End::Failed, honest()),
        (
            "another's user",
            sans("upns", &["root@other.test"]),
            End::Failed,
            sans("upns", &["a@example.test"]),
        ),
        (
            "another's workload",
            sans("uris", &["spiffe://other.test/a"]),
            End::Failed,
            sans("uris", &["spiffe://example.test/a"]),
        ),
        (
            "a workload that begins alike",
            sans("uris", &["spiffe://example.test.evil/a"]),
            End::Failed,
            honest(),
        ),
        (
            "the purpose of signing code",
            wish("ekus", json!(["1.3.6.1.5.5.7.3.3"])),
            End::Failed,
            wish("ekus", json!(["1.3.6.1.5.5.7.3.1"])),
        ),
        (
            "the purpose of answering for the authority",
            wish("ekus", json!(["1.3.6.1.5.5.7.3.9"])),
            End::Failed,
            honest(),
        ),
        ("every purpose", wish("ekus", json!(["2.5.29.37.0"])), End::Failed, honest()),
        ("a long life", wish("validity_months", json!(4)), End::Failed, wish("validity_months", json!(1))),
    ];
    let count = cases.len();
    for (number, (what, attack, end, twin)) in cases.into_iter().enumerate() {
        let refused = wanted(&bench, &format!("bad-{number}"), &attack).await.0;
        assert_eq!(refused, end, "V17: {what}");
        let (granted, leaf) = wanted(&bench, &format!("good-{number}"), &twin).await;
        assert_eq!(granted, End::Issued, "V17: the twin of `{what}`");
        assert!(leaf.is_some_and(|leaf| !leaf.is_authority()), "V17: {what}");
        let refused = wanted(&bench, &format!("again-{number}"), &attack).await.0;
        assert_eq!(refused, end, "V17: {what}, after its twin");
    }
    println!("V17: {count} wishes refused, each before and after its twin was granted");
}

#[tokio::test]
async fn extensions_that_nobody_offers_are_in_no_certificate() {
    let bench = with_an_authority(82, RULES).await;
    let mut policy = wish("extensions", json!([{ "oid": "1.2.3.4.5", "critical": true, "value": "MAA=" }]));
    policy["extensions"] = json!([{ "oid": "1.2.3.4.5", "critical": true, "value": "MAA=" }]);
    policy["key_props"]["extensions"] =
        json!([{ "oid": "2.5.29.19", "critical": true, "value": "MAMBAf8=" }]);
    let (end, leaf) = wanted(&bench, "extended", &policy).await;
    let leaf = leaf.unwrap();
    assert_eq!(end, End::Issued);
    assert!(leaf.unknown_extensions().is_empty() && !leaf.is_authority());
    let (_, plain) = wanted(&bench, "plain", &wish("", Value::Null)).await;
    assert_eq!(plain.unwrap().unknown_extensions().len(), 0, "the twin");
}

#[tokio::test]
async fn the_rights_of_an_authority_may_be_wished_for_and_are_left_out() {
    let bench = with_an_authority(85, RULES).await;
    let rights = [KeyUsage::KeyCertSign, KeyUsage::CrlSign];
    for (number, (wished, end)) in [
        (json!(["digitalSignature", "keyCertSign"]), End::Issued),
        (json!(["digitalSignature", "keyCertSign", "cRLSign", "keyAgreement"]), End::Issued),
        // Whoever wishes for nothing else gets nothing: no key usage at all would restrict the key in nothing.
        (json!(["cRLSign"]), End::Refused),
        (json!(["keyCertSign", "cRLSign"]), End::Refused),
    ]
    .into_iter()
    .enumerate()
    {
        let (got, leaf) = wanted(&bench, &format!("rights-{number}"), &wish("key_usage", wished)).await;
        assert_eq!(got, end, "V17: rights {number}");
        let Some(leaf) = leaf else { continue };
        assert!(!leaf.is_authority(), "V17: {number}");
        let has = leaf.key_usage().is_some_and(|usage| rights.iter().any(|right| usage.contains(right)));
        assert!(!has, "V17: {:?}", leaf.key_usage());
    }
    let (_, twin) = wanted(&bench, "twin", &wish("key_usage", json!(["digitalSignature"]))).await;
    let twin = twin.unwrap();
    assert!(twin.key_usage().is_some_and(|usage| usage.contains(&KeyUsage::DigitalSignature)), "the twin");
}

#[tokio::test]
async fn what_was_wished_for_later_is_judged_like_the_first_wish() {
    let bench = with_an_authority(83, RULES).await;
    assert_eq!(wanted(&bench, "web", &wish("", Value::Null)).await.0, End::Issued);
    let first = bench.done("GET", "/certificates/web", Value::Null).await;
    // A policy says what is wanted, and may say anything; what is certified is decided when it is asked for.
    let patch = json!({ "x509_props": { "sans": { "dns_names": ["app.other.test"] } } });
    bench.done("PATCH", "/certificates/web/policy", patch).await;
    bench.ask("POST", "/certificates/web/create", json!({})).await;
    let pending = bench.done("GET", "/certificates/web/pending", Value::Null).await;
    assert_eq!((&pending["status"], &pending["error"]["code"]), (&json!("failed"), &json!("RequestRefused")));
    let still = bench.done("GET", "/certificates/web", Value::Null).await;
    assert_eq!((&still["id"], &still["x5t"]), (&first["id"], &first["x5t"]));
    let rights = json!({ "x509_props": { "basic_constraints": { "ca": true } } });
    assert_eq!(bench.refused("PATCH", "/certificates/web/policy", rights).await.0, 400);

    // Narrower rules hold from then on, also for who was certified before.
    let back = json!({ "x509_props": { "sans": { "dns_names": ["app.example.test"] } } });
    bench.done("PATCH", "/certificates/web/policy", back).await;
    bench.ask("POST", "/certificates/web/create", json!({})).await;
    let twin = bench.done("GET", "/certificates/web/pending", Value::Null).await;
    assert_eq!(twin["status"], "completed", "{twin}");
    let narrower = json!({ "credentials": { "account_id": "b.example.test" } });
    bench.done("PATCH", "/certificates/issuers/ours", narrower).await;
    bench.ask("POST", "/certificates/web/create", json!({})).await;
    let pending = bench.done("GET", "/certificates/web/pending", Value::Null).await;
    assert_eq!(pending["error"]["code"], "RequestRefused", "{pending}");
}

#[tokio::test]
async fn a_chain_that_is_merged_is_for_the_pending_key_and_brings_no_authority() {
    let bench = Bench::new(84).await;
    let policy = json!({
        "issuer": { "name": "Unknown" },
        "key_props": { "kty": "EC", "crv": "P-256" },
        "x509_props": { "subject": "CN=app.example.test" },
    });
    let elsewhere = vouchsafe_testkit::elsewhere::Elsewhere::new();
    let begun = bench.ask("POST", "/certificates/csr/create", json!({ "policy": policy })).await.json();
    let csr = BASE64.decode(begun["csr"].as_str().unwrap().as_bytes()).unwrap();
    let leaf = BASE64.encode(&elsewhere.answer(&csr));
    let authority = BASE64.encode(&elsewhere.certificate);
    let stranger = BASE64.encode(&elsewhere.bundle().chain[0]);
    for (what, x5c) in [
        ("only the authority", json!([authority])),
        ("another key's certificate", json!([stranger, authority])),
        ("a stranger between", json!([stranger])),
        ("nothing", json!([])),
    ] {
        let refused = bench.refused("POST", "/certificates/csr/pending/merge", json!({ "x5c": x5c })).await;
        assert_eq!(refused.0, 400, "V17: {what}");
    }
    let merged =
        bench.ask("POST", "/certificates/csr/pending/merge", json!({ "x5c": [leaf, authority] })).await;
    assert_eq!(merged.status, 201, "the twin: {merged:?}");
}

//! Certificates: from the request to the end, in every way in which one can be had, and what authorities publish.

use data_encoding::{BASE64, BASE64URL_NOPAD};
use http::header;
use serde_json::{Value, json};
use vouchsafe_crypto::digest::{sha1, sha256};
use vouchsafe_crypto::keys::{PublicKey, SignatureAlgorithm};
use vouchsafe_crypto::pki::{
    Bundle, ChainOrder, OcspError, ParsedCertificate, RevocationReason, chain, parse_revocation_list,
    read_pem, read_pfx, write_pfx,
};
use vouchsafe_crypto::{Reason, SecretBytes, SecretString};
use vouchsafe_domain::ports::Clock;
use vouchsafe_testkit::elsewhere::{Elsewhere, ocsp_request, ocsp_says_good};
use vouchsafe_testkit::world::KEY_VAULT;

use crate::support::{Answer, Ask, TLS};
use crate::{Bench, VAULT, refusal};

const ORIGIN: &str = "https://app.vault.localhost:8443";
const PEM: &str = "application/x-pem-file";

fn wanted(issuer: &str) -> Value {
    json!({
        "issuer": {"name": issuer},
        "key_props": {"kty": "EC", "crv": "P-256"},
        "x509_props": {"subject": "CN=app.example.test", "sans": {"dns_names": ["app.example.test"]}},
    })
}

fn text(text: &str) -> SecretString {
    SecretString::new(text.to_owned())
}

fn certificate(bundle: &Value) -> ParsedCertificate {
    let der = BASE64.decode(bundle["cer"].as_str().unwrap().as_bytes()).unwrap();
    ParsedCertificate::from_der(&der).unwrap()
}

fn version(bundle: &Value) -> String {
    bundle["id"].as_str().unwrap().rsplit('/').next().unwrap().to_owned()
}

fn pfx_of(secret: &Value) -> Bundle {
    let file = BASE64.decode(secret["value"].as_str().unwrap().as_bytes()).unwrap();
    read_pfx(&file, &text(""), ChainOrder::LeafFirst).unwrap()
}

fn exposed(key: &SecretBytes) -> &[u8] {
    key.expose(Reason::Test)
}

impl Bench {
    /// Begins to make a certificate.
    async fn begin(&self, name: &str, body: Value) -> Answer {
        let answer = self.ask("POST", &format!("/certificates/{name}/create?api-version=7.4"), body).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        let begun = answer.json();
        assert_eq!(begun["id"], format!("{ORIGIN}/certificates/{name}/pending"));
        assert_eq!((&begun["status"], &begun["target"]), (&json!("inProgress"), &Value::Null));
        let location = answer.headers[header::LOCATION].to_str().unwrap();
        let number = begun["request_id"].as_str().unwrap();
        let expected = format!("{ORIGIN}/certificates/{name}/pending?api-version=7.4&request_id={number}");
        assert_eq!(location, expected);
        assert!(answer.headers.contains_key(header::RETRY_AFTER));
        answer
    }

    /// Makes a certificate as clients do: begins, polls, reads.
    async fn make(&self, name: &str, body: Value) -> Value {
        self.begin(name, body).await;
        let polled = self.ask("GET", &format!("/certificates/{name}/pending"), Value::Null).await;
        assert!(polled.headers.contains_key(header::RETRY_AFTER), "{polled:?}");
        let (polled, target) = (polled.json(), format!("{ORIGIN}/certificates/{name}"));
        assert_eq!((&polled["status"], &polled["target"]), (&json!("completed"), &json!(target)), "{polled}");
        self.done("GET", &format!("/certificates/{name}/"), Value::Null).await
    }
}

#[tokio::test]
async fn a_certificate_goes_from_its_request_to_a_key_that_signs_and_to_its_end() {
    let bench = Bench::new(51).await;
    let mut policy = wanted("Self");
    policy["platformManaged"] = json!({"a": [1]});
    let body = json!({"policy": policy, "attributes": {}, "tags": {"a": "b"}, "preserveCertOrder": true});
    bench.begin("web", body.clone()).await;
    let waiting = bench.done("GET", "/certificates/web", Value::Null).await;
    assert_eq!((&waiting["attributes"]["enabled"], &waiting["cer"]), (&json!(false), &Value::Null));
    assert_eq!(waiting["pending"]["id"], format!("{ORIGIN}/certificates/web/pending"));
    assert_eq!(bench.done("GET", "/certificates", Value::Null).await["value"], json!([]));
    let all = bench.done("GET", "/certificates?includePending=True", Value::Null).await;
    assert_eq!(all["value"][0]["id"], format!("{ORIGIN}/certificates/web"));
    let again = bench.refused("POST", "/certificates/web/create", body.clone()).await;
    assert_eq!(again, refusal(409, "Conflict", ""));
    let polled = bench.done("GET", "/certificates/web/pending", Value::Null).await;
    assert_eq!(polled["status"], "completed");

    let made = bench.done("GET", "/certificates/web/", Value::Null).await;
    let (leaf, number) = (certificate(&made), version(&made));
    assert_eq!(made["x5t"], BASE64URL_NOPAD.encode(&sha1(leaf.der())));
    assert_eq!(made["kid"], format!("{ORIGIN}/keys/web/{number}"));
    assert_eq!(made["sid"], format!("{ORIGIN}/secrets/web/{number}"));
    assert_eq!((&made["tags"], &made["preserveCertOrder"]), (&json!({"a": "b"}), &json!(true)));
    assert_eq!(made["policy"]["platformManaged"], json!({"a": [1]}));
    assert_eq!(made["policy"]["x509_props"]["sans"], json!({"dns_names": ["app.example.test"]}));
    assert_eq!(made["policy"]["lifetime_actions"][0]["action"]["action_type"], "AutoRenew");
    assert_eq!(made["policy"], bench.done("GET", "/certificates/web/policy", Value::Null).await);
    assert!(leaf.is_signed_by(&leaf));

    let secret = bench.done("GET", "/secrets/web", Value::Null).await;
    assert_eq!((&secret["contentType"], &secret["managed"]), (&json!("application/x-pkcs12"), &json!(true)));
    assert_eq!((&secret["kid"], &secret["id"]), (&made["kid"], &made["sid"]));
    assert_eq!(secret.get("previousVersion"), None);
    let pfx = pfx_of(&secret);
    let pem = bench.done("GET", &format!("/secrets/web/{number}?outContentType={PEM}"), Value::Null).await;
    assert_eq!(pem["contentType"], PEM);
    let pem = read_pem(&text(pem["value"].as_str().unwrap()), ChainOrder::LeafFirst).unwrap();
    assert!(exposed(&pfx.key) == exposed(&pem.key) && pfx.chain == pem.chain && pfx.chain == [leaf.der()]);
    let bad = refusal(400, "BadParameter", "");
    bench.done("PUT", "/secrets/plain", json!({"value": "v"})).await;
    for path in ["/secrets/web?outContentType=text/plain", &format!("/secrets/plain?outContentType={PEM}")] {
        assert_eq!(bench.refused("GET", path, Value::Null).await, bad, "{path}");
    }

    let digest = sha256(b"a message");
    let body = json!({"alg": "ES256", "value": BASE64URL_NOPAD.encode(&digest)});
    let signed = bench.done("POST", "/keys/web//sign", body).await;
    let signature = BASE64URL_NOPAD.decode(signed["value"].as_str().unwrap().as_bytes()).unwrap();
    let public = PublicKey::from_spki_der(leaf.spki_der()).unwrap();
    assert!(public.verify(SignatureAlgorithm::Es256, &digest, &signature).unwrap());
    assert_eq!(bench.done("GET", "/keys/web", Value::Null).await["managed"], true);
    for path in ["/keys", "/keys/web/versions", "/secrets/web/versions"] {
        assert_eq!(bench.done("GET", path, Value::Null).await["value"][0]["managed"], true, "{path}");
    }
    assert_eq!(
        bench.refused("DELETE", "/keys/web", Value::Null).await,
        refusal(403, "Forbidden", "KeyManagedByCertificate")
    );
    assert_eq!(
        bench.refused("DELETE", "/secrets/web", Value::Null).await,
        refusal(403, "Forbidden", "SecretManagedByCertificate")
    );
    assert_eq!(bench.refused("PUT", "/secrets/web", json!({"value": "v"})).await.0, 403);

    let next = bench.make("web", json!({})).await;
    assert_ne!((&next["id"], &next["x5t"]), (&made["id"], &made["x5t"]));
    let secret = bench.done("GET", "/secrets/web", Value::Null).await;
    assert_eq!(secret["previousVersion"], number);
    assert_eq!(
        bench.done("GET", "/certificates/web/versions", Value::Null).await["value"].as_array().unwrap().len(),
        2
    );
    to_its_end(&bench, &next).await;
}

async fn to_its_end(bench: &Bench, next: &Value) {
    let backup = bench.done("POST", "/certificates/web/backup", Value::Null).await;
    let deleted = bench.done("DELETE", "/certificates/web", Value::Null).await;
    assert_eq!(deleted["recoveryId"], format!("{ORIGIN}/deletedcertificates/web"));
    assert_eq!((&deleted["id"], &deleted["policy"]), (&next["id"], &next["policy"]));
    assert_eq!(bench.done("GET", "/deletedcertificates/web", Value::Null).await, deleted);
    let gone = refusal(404, "CertificateNotFound", "");
    for path in ["/certificates/web", "/certificates/web/policy"] {
        assert_eq!(bench.refused("GET", path, Value::Null).await, gone, "{path}");
    }
    let absent = bench.refused("GET", "/certificates/web/pending", Value::Null).await;
    assert_eq!(absent, refusal(404, "PendingCertificateNotFound", ""));
    assert_eq!(bench.refused("GET", "/keys/web", Value::Null).await, refusal(404, "KeyNotFound", ""));
    assert_eq!(bench.refused("GET", "/secrets/web", Value::Null).await, refusal(404, "SecretNotFound", ""));
    assert_eq!(
        bench.refused("POST", "/certificates/web/create", json!({"policy": wanted("Self")})).await,
        refusal(409, "Conflict", "ObjectIsDeletedButRecoverable")
    );
    let list = bench.done("GET", "/deletedcertificates", Value::Null).await;
    assert_eq!(list["value"][0]["id"], format!("{ORIGIN}/certificates/web"));
    let recovered = bench.done("POST", "/deletedcertificates/web/recover", Value::Null).await;
    assert_eq!((&recovered["id"], &recovered["cer"]), (&next["id"], &next["cer"]));
    bench.done("GET", "/secrets/web", Value::Null).await;
    bench.done("DELETE", "/certificates/web", Value::Null).await;
    let purged = bench.ask("DELETE", "/deletedcertificates/web", Value::Null).await;
    assert_eq!((purged.status, purged.body.as_str()), (204, ""));
    assert_eq!(bench.refused("GET", "/deletedcertificates/web", Value::Null).await, gone);
    let restored = bench.done("POST", "/certificates/restore", json!({"value": backup["value"]})).await;
    assert_eq!((&restored["id"], &restored["cer"]), (&next["id"], &next["cer"]));
}

#[tokio::test]
async fn a_file_with_key_and_certificate_is_taken_over_and_given_back() {
    let bench = Bench::new(52).await;
    let elsewhere = Elsewhere::new();
    let bundle = elsewhere.bundle();
    let file = write_pfx(&bundle, 0, &text("open sesame")).unwrap();
    let value = BASE64.encode(file.expose(Reason::Test));
    let import = |pwd: &str| json!({"value": value, "pwd": pwd, "tags": {"a": "b"}});
    let imported = bench.done("POST", "/certificates/theirs/import", import("open sesame")).await;
    assert_eq!(certificate(&imported).der(), bundle.chain[0]);
    assert_eq!(imported["policy"]["issuer"]["name"], "Unknown");
    assert_eq!(imported["policy"]["x509_props"]["subject"], "CN=theirs");
    let given = pfx_of(&bench.done("GET", "/secrets/theirs", Value::Null).await);
    assert!(exposed(&given.key) == exposed(&bundle.key) && given.chain == bundle.chain);

    let pem = elsewhere.pem();
    let policy = json!({"key_props": {"exportable": false}, "secret_props": {"contentType": PEM}});
    let body = json!({"value": pem.expose(Reason::Test), "policy": policy});
    bench.done("POST", "/certificates/kept/import", body).await;
    let secret = bench.done("GET", "/secrets/kept", Value::Null).await;
    let value = secret["value"].as_str().unwrap();
    assert!(
        value.contains("BEGIN CERTIFICATE") && !value.contains("PRIVATE"),
        "a key that may not leave left"
    );
    for body in [import("wrong"), json!({"value": "!"}), json!({"value": "AAAA"}), json!({"value": ""})] {
        let refused = bench.refused("POST", "/certificates/wrong/import", body).await;
        assert_eq!(refused, refusal(400, "BadParameter", ""));
    }
}

#[tokio::test]
async fn what_somebody_else_signed_is_merged() {
    let bench = Bench::new(53).await;
    let elsewhere = Elsewhere::new();
    let begun = bench.begin("csr", json!({"policy": wanted("Unknown")})).await.json();
    let csr = BASE64.decode(begun["csr"].as_str().unwrap().as_bytes()).unwrap();
    let polled = bench.done("GET", "/certificates/csr/pending", Value::Null).await;
    assert_eq!((&polled["status"], &polled["csr"]), (&json!("inProgress"), &begun["csr"]));
    let bad = refusal(400, "BadParameter", "");
    let other = elsewhere.bundle().chain[0].clone();
    for body in
        [json!({"x5c": []}), json!({"x5c": ["MAA="]}), json!({"x5c": [BASE64.encode(&other)]}), json!({})]
    {
        assert_eq!(bench.refused("POST", "/certificates/csr/pending/merge", body).await, bad);
    }
    // Python's client encodes twice.
    let leaf = elsewhere.answer(&csr);
    let twice = BASE64.encode(BASE64.encode(&leaf).as_bytes());
    let body = json!({"x5c": [twice, BASE64.encode(&elsewhere.certificate)]});
    let merged = bench.ask("POST", "/certificates/csr/pending/merge", body.clone()).await;
    assert_eq!(merged.status, 201, "{merged:?}");
    assert_eq!(certificate(&merged.json()).der(), leaf);
    assert_eq!(bench.refused("POST", "/certificates/csr/pending/merge", body).await, bad);

    bench.begin("never", json!({"policy": wanted("Unknown")})).await;
    let ends = json!({"cancellation_requested": true});
    let updated = bench.done("PATCH", "/certificates/never/pending", ends.clone()).await;
    assert_eq!(updated["cancellation_requested"], true);
    let ended = bench.done("GET", "/certificates/never/pending", Value::Null).await;
    assert_eq!(ended["status"], "cancelled");
    let over = bench.refused("PATCH", "/certificates/never/pending", ends).await;
    assert_eq!(over, refusal(409, "Conflict", ""));
    bench.done("DELETE", "/certificates/never/pending", Value::Null).await;
    let gone = bench.refused("DELETE", "/certificates/never/pending", Value::Null).await;
    assert_eq!(gone, refusal(404, "PendingCertificateNotFound", ""));
}

fn path(url: &str) -> String {
    url.strip_prefix(ORIGIN).unwrap().to_owned()
}

impl Bench {
    /// Asks for what everybody may have, without a token.
    async fn public(&self, method: &str, path: &str, body: Option<Vec<u8>>) -> Answer {
        let ask = Ask::new(method, &format!("{VAULT}.vault.localhost:8443"), path);
        let ask = Ask { bytes: body, ..ask }.header("content-type", "application/ocsp-request");
        self.server.ask(TLS, &ask).await
    }
}

fn says(answer: &Answer, kind: &str, cached: bool) {
    assert_eq!((answer.status, answer.headers[header::CONTENT_TYPE].to_str().unwrap()), (200, kind));
    let rule = answer.headers[header::CACHE_CONTROL].to_str().unwrap();
    assert_eq!(rule.starts_with("public, max-age="), cached, "{rule}");
}

#[tokio::test]
async fn an_authority_in_the_vault_issues_and_everybody_can_ask_what_still_holds() {
    let bench = Bench::new(54).await;
    let issuer =
        json!({"provider": "Vouchsafe", "credentials": {"account_id": "example.test", "pwd": "hush"}});
    let set = bench.done("PUT", "/certificates/issuers/ours", issuer).await;
    assert_eq!(set["id"], format!("{ORIGIN}/certificates/issuers/ours"));
    assert!(!set.to_string().contains("hush"));
    let made = bench.make("web", json!({"policy": wanted("ours")})).await;
    let leaf = certificate(&made);
    let ocsp = path(&leaf.ocsp_urls()[0]);
    let list = path(&leaf.revocation_list_urls()[0]);

    let own = bench.public("GET", &list.replace("/crl", "/certificate"), None).await;
    says(&own, "application/pkix-cert", true);
    let own = ParsedCertificate::from_der(&own.bytes).unwrap();
    let now = bench.server.opened.clock.now().seconds();
    chain::verify_path(&leaf, &[], std::slice::from_ref(&own), now, Some("1.3.6.1.5.5.7.3.1")).unwrap();
    let fetched = bench.public("GET", &list, None).await;
    says(&fetched, "application/pkix-crl", true);
    assert!(parse_revocation_list(&fetched.bytes, &own).unwrap().revoked.is_empty());
    let request = ocsp_request(&own, leaf.serial());
    let posted = bench.public("POST", &ocsp, Some(request.clone())).await;
    says(&posted, "application/ocsp-response", false);
    assert!(ocsp_says_good(&posted.bytes, leaf.serial()));
    let plain = BASE64.encode(&request);
    let escaped = plain.replace('/', "%2F").replace('+', "%2B").replace('=', "%3D");
    for asked in [plain, escaped] {
        let got = bench.public("GET", &format!("{ocsp}/{asked}"), None).await;
        says(&got, "application/ocsp-response", true);
        assert_eq!(got.bytes, posted.bytes, "{asked}");
    }

    let body = json!({"reason": "keyCompromise"});
    bench.done("POST", &format!("/certificates/web/{}/revoke", version(&made)), body).await;
    let fetched = bench.public("GET", &list, None).await;
    let revoked = parse_revocation_list(&fetched.bytes, &own).unwrap().revoked;
    assert_eq!((revoked.len(), revoked[0].reason), (1, RevocationReason::KeyCompromise));
    assert_eq!(revoked[0].serial.as_bytes(), leaf.serial());
    assert!(!ocsp_says_good(&bench.public("POST", &ocsp, Some(request.clone())).await.bytes, leaf.serial()));

    for (what, request, error) in [
        ("a certificate of nobody", ocsp_request(&own, &[1, 2, 3]), OcspError::Unauthorized),
        ("no request", b"nothing".to_vec(), OcspError::MalformedRequest),
        ("nothing", Vec::new(), OcspError::MalformedRequest),
    ] {
        let answer = bench.public("POST", &ocsp, Some(request)).await;
        says(&answer, "application/ocsp-response", false);
        assert_eq!(answer.bytes, error.to_der(), "{what}");
    }
    let answer = bench.public("GET", &format!("{ocsp}/not-base64!"), None).await;
    says(&answer, "application/ocsp-response", false);
    assert_eq!(bench.public("POST", &ocsp, Some(vec![0; 20_000])).await.status, 413);
    let other = ocsp.replace(|c: char| c.is_ascii_digit(), "0");
    assert_eq!(
        bench.public("POST", &other, Some(request.clone())).await.bytes,
        OcspError::Unauthorized.to_der()
    );
    for path in
        [other.replace("/ocsp", "/crl"), list.to_uppercase(), "/pki".to_owned(), "/pki/x/crl".to_owned()]
    {
        let status = bench.public("GET", &path, None).await.status;
        assert_eq!(status, if path.starts_with("/PKI") { 401 } else { 404 }, "{path}");
    }
    let form = Ask::new("POST", &format!("{VAULT}.vault.localhost:8443"), &ocsp);
    let form = Ask { bytes: Some(request), ..form }.header("content-type", "application/json");
    assert_eq!(bench.server.ask(TLS, &form).await.status, 415);

    let mut policy = wanted("ours");
    policy["x509_props"]["sans"]["dns_names"] = json!(["example.com"]);
    bench.begin("foreign", json!({"policy": policy})).await;
    let failed = bench.done("GET", "/certificates/foreign/pending", Value::Null).await;
    assert_eq!((&failed["status"], &failed["error"]["code"]), (&json!("failed"), &json!("RequestRefused")));
    bench.make("own", json!({"policy": wanted("Self")})).await;
    let refused = bench.refused("POST", "/certificates/own//revoke", json!({})).await;
    assert_eq!(refused, refusal(400, "BadParameter", ""));
}

#[tokio::test]
async fn issuers_and_contacts_are_kept_and_told_apart_from_names() {
    let bench = Bench::new(55).await;
    let none = bench.refused("GET", "/certificates/contacts", Value::Null).await;
    assert_eq!(none, refusal(404, "ContactsNotFound", ""));
    let contacts = json!({"contacts": [{"email": "a@example.test", "name": "A", "phone": "1"}, {"email": "b@example.test"}]});
    let set = bench.done("PUT", "/certificates/contacts", contacts.clone()).await;
    assert_eq!(set["id"], format!("{ORIGIN}/certificates/contacts"));
    assert_eq!(set["contacts"], contacts["contacts"]);
    assert_eq!(bench.done("GET", "/certificates/contacts", Value::Null).await, set);
    assert_eq!(bench.done("DELETE", "/certificates/contacts", Value::Null).await, set);
    let bad = refusal(400, "BadParameter", "");
    for body in [json!({}), json!({"contacts": []}), json!({"contacts": [{"name": "A"}]})] {
        assert_eq!(bench.refused("PUT", "/certificates/contacts", body).await, bad);
    }
    let issuer = json!({"provider": "Test", "credentials": {"account_id": "me", "pwd": "hush"},
        "org_details": {"id": "o", "admin_details": [{"first_name": "A", "email": "a@example.test"}]},
        "attributes": {"enabled": false}});
    let set = bench.done("PUT", "/certificates/issuers/test", issuer.clone()).await;
    assert_eq!(
        (&set["credentials"], &set["org_details"]),
        (&json!({"account_id": "me"}), &issuer["org_details"])
    );
    assert_eq!(set["attributes"]["enabled"], false);
    assert_eq!(bench.done("GET", "/certificates/issuers/TEST", Value::Null).await, set);
    let on = json!({"attributes": {"enabled": true}});
    let changed = bench.done("PATCH", "/certificates/issuers/test", on).await;
    assert_eq!((&changed["attributes"]["enabled"], &changed["provider"]), (&json!(true), &json!("Test")));
    let list = bench.done("GET", "/certificates/issuers?maxresults=5", Value::Null).await;
    assert_eq!(list["value"], json!([{"id": set["id"], "provider": "Test"}]));
    assert_eq!(bench.done("DELETE", "/certificates/issuers/test", Value::Null).await, changed);
    let absent = refusal(404, "CertificateIssuerNotFound", "");
    for (method, body) in [("GET", Value::Null), ("PATCH", json!({})), ("DELETE", Value::Null)] {
        assert_eq!(bench.refused(method, "/certificates/issuers/test", body).await, absent, "{method}");
    }
    for (name, body) in [
        ("self", json!({"provider": "Test"})),
        ("new", json!({})),
        ("new", json!({"provider": "Nobody"})),
        ("new", json!({"provider": "Vouchsafe"})),
    ] {
        let refused = bench.refused("PUT", &format!("/certificates/issuers/{name}"), body).await;
        assert_eq!(refused, bad, "{name}");
    }
}

#[tokio::test]
async fn whoever_may_not_import_makes_nobody_look_at_what_is_imported() {
    let bench = Bench::new(56).await;
    let home = bench.server.memory.home;
    let stranger = bench.server.opened.put_identity(home, "stranger").await;
    let token = bench.server.opened.token(&stranger, KEY_VAULT).await;
    let host = format!("{VAULT}.vault.localhost:8443");
    // What is wrong with these is only seen by whoever looks at them.
    let key = json!({"key": {"kty": "oct", "k": "AAAA"}});
    let file = json!({"value": "AAAA"});
    for (method, path, body) in [("PUT", "/keys/k", key), ("POST", "/certificates/c/import", file)] {
        let ask = Ask::new(method, &host, path).body(&body).bearer(&token);
        let answer = bench.server.ask(TLS, &ask).await;
        let inner = answer.json()["error"]["innererror"]["code"].clone();
        assert_eq!((answer.status, inner), (403, json!("ForbiddenByRbac")), "{path} {answer:?}");
        assert_eq!(bench.refused(method, path, body).await, refusal(400, "BadParameter", ""));
    }
}

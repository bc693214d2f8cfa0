//! Certificates against the published examples (certificates.json 7.4, `CreateCertificate`, `GetCertificate`,
//! `GetCertificateOperation`, `SetCertificateIssuer` and their kin), and the oddities of real clients.

use proptest::prelude::proptest;
use serde_json::{Value, json};
use vouchsafe_wire::keyvault::certificate::{
    ActionType, CertificateBundle, CertificateContacts, CertificateIssuer, CertificateItem,
    CertificateOperation, CertificatePolicy, CreateCertificateRequest, DeletedCertificateBundle, Der,
    ImportCertificateRequest, IssuerRequest, KeyUsage, MergeCertificateRequest, SetContactsRequest,
    UpdateCertificateRequest, UpdateOperationRequest,
};
use vouchsafe_wire::keyvault::identifier;

use crate::{BUDGET, ORIGIN, attributes};

fn policy() -> Value {
    json!({
        "key_props": {"exportable": true, "kty": "RSA", "key_size": 2048, "reuse_key": false},
        "secret_props": {"contentType": "application/x-pkcs12"},
        "x509_props": {"subject": "CN=*.microsoft.com", "sans": {"dns_names": ["onedrive.microsoft.com"],
            "uris": ["spiffe://a/b"], "ipAddresses": ["::1"]}, "ekus": [], "key_usage": ["cRLSign", "digitalSignature"],
            "validity_months": 297, "basic_constraints": {"ca": false}},
        "lifetime_actions": [{"trigger": {"lifetime_percentage": 80}, "action": {"action_type": "AutoRenew"}}],
        "issuer": {"name": "Self"},
        "attributes": {"enabled": true, "created": 1_493_938_289, "updated": 1_493_938_291},
    })
}

#[test]
fn a_policy_survives_the_round_trip_with_everything_that_we_do_not_know() {
    let mut said = policy();
    said["platformManaged"] = json!(true);
    said["x509_props"]["futureConstraint"] = json!({"depth": [1, 2.5, null, "x"]});
    said["issuer"]["futureMember"] = json!("kept");
    let policy = CertificatePolicy::parse(said.to_string().as_bytes(), &BUDGET).unwrap();
    assert_eq!(serde_json::to_value(&policy).unwrap(), said);
    let x509 = policy.x509_props.unwrap();
    assert_eq!(x509.key_usage, Some(vec![KeyUsage::CrlSign, KeyUsage::DigitalSignature]));
    assert_eq!(x509.sans.unwrap().ip_addresses, Some(vec!["::1".to_owned()]));
    let action = policy.lifetime_actions.unwrap().remove(0);
    assert_eq!(action.action.unwrap().action_type, ActionType::AutoRenew);
    assert_eq!(policy.rest["platformManaged"], true);
}

#[test]
fn create_import_and_update_requests_of_every_client_are_read() {
    let body = json!({"policy": policy(), "attributes": {}, "tags": {"a": "b"}, "preserveCertOrder": true})
        .to_string();
    let create = CreateCertificateRequest::parse(body.as_bytes(), &BUDGET).unwrap();
    assert_eq!(create.preserve_cert_order, Some(true));
    assert_eq!(create.policy.unwrap().issuer.unwrap().name.as_deref(), Some("Self"));
    let import = ImportCertificateRequest::parse(
        br#"{"value":"MIIJ","pwd":"123","policy":{"secret_props":{}}}"#,
        &BUDGET,
    )
    .unwrap();
    assert_eq!((import.value.expose(), import.pwd.unwrap().expose()), ("MIIJ", "123"));
    let update =
        UpdateCertificateRequest::parse(br#"{"attributes":{"enabled":true,"nbf":1}}"#, &BUDGET).unwrap();
    assert_eq!(update.attributes.unwrap().nbf, Some(1));
    assert!(
        UpdateOperationRequest::parse(br#"{"cancellation_requested":true}"#, &BUDGET)
            .unwrap()
            .cancellation_requested
    );
}

#[test]
fn a_wrong_policy_is_refused_by_the_path_of_its_member_and_a_password_is_never_repeated() {
    for (body, message) in [
        (
            r#"{"policy":{"x509_props":{"validity_months":-1}}}"#,
            "the member `policy.x509_props.validity_months` must be a whole number from 0 to 4294967295",
        ),
        (
            r#"{"policy":{"x509_props":{"sans":{"dns_names":[1]}}}}"#,
            "the member `policy.x509_props.sans.dns_names[0]` must be text, not a number",
        ),
        (r#"{"policy":[]}"#, "the member `policy` must be an object, not a list"),
    ] {
        let refusal = CreateCertificateRequest::parse(body.as_bytes(), &BUDGET).unwrap_err().to_string();
        assert_eq!(refusal, message);
    }
    for body in [r#"{"pwd":"canary"}"#, r#"{"value":["canary"]}"#, r#"{"value":"canary","pwd":{"canary":1}}"#]
    {
        let refusal = ImportCertificateRequest::parse(body.as_bytes(), &BUDGET).err().expect("refused");
        assert!(!refusal.to_string().contains("canary"), "{refusal}");
    }
}

#[test]
fn a_merged_certificate_may_be_wrapped_in_base64_once_or_twice() {
    let merge =
        |entry: &str| MergeCertificateRequest::parse(json!({"x5c": [entry]}).to_string().as_bytes(), &BUDGET);
    // The first bytes of a certificate, in base64, and in base64 of that.
    for entry in ["MIICxTCCAa0", "MIICxTCCAa0=", "MIIC\r\nxTCCAa0=\n", "TUlJQ3hUQ0NBYTA", "TUlJQ3hUQ0NBYTA9"]
    {
        let merged = merge(entry).unwrap();
        assert_eq!(merged.x5c[0].0, [0x30, 0x82, 0x02, 0xc5, 0x30, 0x82, 0x01, 0xad], "{entry}");
    }
    for wrong in ["", "AAAA", "MIIC*", "canary", "VFVsSlEzaFVRME5CWVRBOQ"] {
        let refusal = merge(wrong).unwrap_err().to_string();
        assert_eq!(refusal, "the member `x5c[0]` must be a certificate in base64 text", "{wrong}");
    }
}

fn bundle() -> CertificateBundle {
    let version = Some("f60f2a4f8ae442cfb41ca2090bd4b769");
    serde_json::from_value(json!({
        "id": identifier(ORIGIN, "certificates", "selfSignedCert01", version),
        "kid": identifier(ORIGIN, "keys", "selfSignedCert01", version),
        "sid": identifier(ORIGIN, "secrets", "selfSignedCert01", version),
        "x5t": "fLi3U52HunIVNXubkEnf8tP6Wbo",
        "cer": "MIICxTCCAa0=",
        "attributes": attributes(),
        "policy": policy(),
        "pending": {"id": "https://myvault.vault.azure.net/certificates/selfSignedCert01/pending"},
    }))
    .expect("an example")
}

#[test]
fn a_certificate_looks_like_the_published_example() {
    let bundle = bundle();
    let shown = serde_json::to_value(&bundle).unwrap();
    assert_eq!(shown["x5t"], "fLi3U52HunIVNXubkEnf8tP6Wbo");
    assert_eq!(shown["cer"], "MIICxTCCAa0=");
    assert_eq!(shown["policy"], policy());
    assert_eq!(shown["attributes"]["recoveryLevel"], "Recoverable+Purgeable");
    assert_eq!(bundle.x5t.as_ref().map(|x5t| x5t.0.len()), Some(20));
    let pending = CertificateBundle { kid: None, sid: None, x5t: None, cer: None, ..bundle.clone() };
    let shown = serde_json::to_value(pending).unwrap();
    assert!(["kid", "sid", "x5t", "cer"].iter().all(|member| shown.get(member).is_none()));
    let deleted = DeletedCertificateBundle {
        recovery_id: identifier(ORIGIN, "deletedcertificates", "c", None),
        deleted_date: 1,
        scheduled_purge_date: 2,
        bundle,
    };
    let shown = serde_json::to_value(&deleted).unwrap();
    assert_eq!((&shown["deletedDate"], &shown["cer"]), (&json!(1), &json!("MIICxTCCAa0=")));
    assert_eq!(serde_json::from_value::<DeletedCertificateBundle>(shown).unwrap(), deleted);
    let item = CertificateItem {
        id: identifier(ORIGIN, "certificates", "c", None),
        x5t: deleted.bundle.x5t,
        attributes: attributes(),
        subject: None,
        tags: None,
    };
    assert_eq!(serde_json::to_value(item).unwrap()["id"], "https://myvault.vault.azure.net/certificates/c");
}

#[test]
fn a_pending_certificate_looks_like_the_published_example() {
    let example = json!({
        "id": "https://myvault.vault.azure.net/certificates/selfSignedCert01/pending",
        "issuer": {"name": "Self"},
        "csr": "MIIC4zCCAcsC",
        "cancellation_requested": false,
        "status": "inProgress",
        "status_details": "Pending certificate created.",
        "request_id": "6faacd568ab049a2803861e8dd3ae21f",
    });
    let operation: CertificateOperation = serde_json::from_value(example.clone()).unwrap();
    assert_eq!(operation.csr.as_ref().map(|Der(der)| der[0]), Some(0x30));
    assert_eq!(serde_json::to_value(operation).unwrap(), example);
}

#[test]
fn an_issuers_password_is_heard_and_never_said() {
    let request = IssuerRequest::parse(
        br#"{"provider":"Test","credentials":{"account_id":"keyvaultuser","pwd":"password"},
            "org_details":{"admin_details":[{"first_name":"John","email":"admin@microsoft.com"}]}}"#,
        &BUDGET,
    )
    .unwrap();
    assert_eq!(request.credentials.unwrap().pwd.unwrap().expose(), "password");
    let example = json!({
        "id": "https://myvault.vault.azure.net/certificates/issuers/issuer01", "provider": "Test",
        "credentials": {"account_id": "keyvaultuser"},
        "org_details": {"admin_details": [{"first_name": "John", "last_name": "Doe",
            "email": "admin@microsoft.com", "phone": "4255555555"}]},
        "attributes": {"enabled": true, "created": 1_482_188_806, "updated": 1_482_189_526},
    });
    let mut with_password = example.clone();
    with_password["credentials"]["pwd"] = json!("password");
    let issuer: CertificateIssuer = serde_json::from_value(with_password).unwrap();
    assert_eq!(serde_json::to_value(issuer).unwrap(), example);
}

#[test]
fn contacts_look_like_the_published_example() {
    let contacts =
        json!([{"email": "admin@contoso.com", "name": "John Doe", "phone": "1111111111"}, {"email": "a@b"}]);
    let body = json!({"contacts": contacts});
    let set = SetContactsRequest::parse(body.to_string().as_bytes(), &BUDGET).unwrap();
    let id = identifier(ORIGIN, "certificates", "contacts", None);
    let shown = serde_json::to_value(CertificateContacts { id, contacts: set.contacts.unwrap() }).unwrap();
    assert_eq!(shown["contacts"], contacts);
    assert_eq!(shown["id"], "https://myvault.vault.azure.net/certificates/contacts");
}

proptest! {
    #[test]
    fn no_bytes_make_a_parser_panic(body: Vec<u8>, text: String) {
        let _ = CreateCertificateRequest::parse(&body, &BUDGET);
        let _ = ImportCertificateRequest::parse(&body, &BUDGET);
        let _ = IssuerRequest::parse(&body, &BUDGET);
        let merge = json!({"x5c": [text]}).to_string();
        let _ = MergeCertificateRequest::parse(merge.as_bytes(), &BUDGET);
    }
}

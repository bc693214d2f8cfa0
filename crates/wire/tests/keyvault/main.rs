//! Key Vault shapes against the published examples: secrets (secrets.json 7.4) and what all objects share here, keys and
//! certificates in modules of their own; and the oddities of real clients.

mod certificates;
mod keys;

use std::collections::BTreeMap;

use proptest::prelude::proptest;
use serde_json::{Value, json};
use vouchsafe_wire::challenge;
use vouchsafe_wire::form::BadForm;
use vouchsafe_wire::json::{BadBody, Budget};
use vouchsafe_wire::keyvault::{
    Attributes, AttributesRequest, BackupResult, DeletedSecretBundle, ErrorBody, Page, Query, RecoveryLevel,
    RestoreRequest, SecretBundle, SecretItem, SetSecretRequest, UpdateSecretRequest, identifier,
};
use vouchsafe_wire::link::{NextLink, SkipToken};
use vouchsafe_wire::secret_text::SecretText;

const BUDGET: Budget = Budget::new(64 * 1024);
const ORIGIN: &str = "https://myvault.vault.azure.net";

fn attributes() -> Attributes {
    Attributes {
        enabled: true,
        nbf: None,
        exp: None,
        created: 1_493_938_410,
        updated: 1_493_938_410,
        recovery_level: RecoveryLevel::RecoverablePurgeable,
        recoverable_days: 90,
    }
}

fn bundle(value: Option<&str>) -> SecretBundle {
    SecretBundle {
        value: value.map(|text| SecretText::new(text.to_owned())),
        id: identifier(ORIGIN, "secrets", "mysecretname", Some("4387e9f3d6e14c459867679a90fd0f79")),
        content_type: None,
        attributes: attributes(),
        tags: None,
        kid: None,
        managed: None,
        previous_version: None,
    }
}

fn json_of(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).expect("this crate writes JSON")
}

#[test]
fn a_read_secret_looks_like_the_published_example() {
    assert_eq!(
        json_of(&bundle(Some("mysecretvalue")).to_json()),
        json!({
            "value": "mysecretvalue",
            "id": "https://myvault.vault.azure.net/secrets/mysecretname/4387e9f3d6e14c459867679a90fd0f79",
            "attributes": {"enabled": true, "created": 1_493_938_410, "updated": 1_493_938_410,
                "recoveryLevel": "Recoverable+Purgeable", "recoverableDays": 90}
        })
    );
}

#[test]
fn an_updated_or_recovered_secret_has_no_value() {
    let mut updated = bundle(None);
    updated.content_type = Some("myContentType".to_owned());
    updated.tags = Some(BTreeMap::from([("mytag".to_owned(), "myvalue".to_owned())]));
    let value = json_of(&updated.to_json());
    assert!(value.get("value").is_none());
    assert_eq!(value["contentType"], "myContentType");
    assert_eq!(value["tags"], json!({"mytag": "myvalue"}));
}

#[test]
fn a_value_that_json_must_escape_survives_a_growing_buffer() {
    let long = "\u{1}\"\\é\n".repeat(5000);
    assert_eq!(json_of(&bundle(Some(&long)).to_json())["value"], Value::String(long));
}

#[test]
fn a_list_looks_like_the_published_example() {
    let item = SecretItem {
        id: identifier(ORIGIN, "secrets", "listsecrettest0", None),
        attributes: attributes(),
        tags: None,
        content_type: Some("plainText".to_owned()),
        managed: None,
    };
    let page = serde_json::to_value(Page { value: vec![item], next_link: None }).unwrap();
    assert_eq!(page["value"][0]["id"], "https://myvault.vault.azure.net/secrets/listsecrettest0");
    assert_eq!(page["value"][0]["contentType"], "plainText");
    assert_eq!(page["nextLink"], Value::Null);
}

#[test]
fn a_deleted_secret_looks_like_the_published_example() {
    let deleted = DeletedSecretBundle {
        recovery_id: identifier(ORIGIN, "deletedsecrets", "GetDeletedSecretTest", None),
        deleted_date: 1_493_938_433,
        scheduled_purge_date: 1_501_714_433,
        id: identifier(ORIGIN, "secrets", "GetDeletedSecretTest", Some("b595353d9c39413d80626575b3b5d865")),
        content_type: None,
        attributes: attributes(),
        tags: None,
        kid: None,
        managed: None,
    };
    let value = serde_json::to_value(deleted).unwrap();
    assert_eq!(value["recoveryId"], "https://myvault.vault.azure.net/deletedsecrets/GetDeletedSecretTest");
    assert_eq!(value["deletedDate"], 1_493_938_433);
    assert_eq!(value["scheduledPurgeDate"], 1_501_714_433);
    assert_eq!(value["attributes"]["recoveryLevel"], "Recoverable+Purgeable");
}

#[test]
fn recovery_levels_have_the_published_names() {
    for (level, name) in [
        (RecoveryLevel::Purgeable, "Purgeable"),
        (RecoveryLevel::RecoverablePurgeable, "Recoverable+Purgeable"),
        (RecoveryLevel::Recoverable, "Recoverable"),
        (RecoveryLevel::RecoverableProtectedSubscription, "Recoverable+ProtectedSubscription"),
        (RecoveryLevel::CustomizedRecoverablePurgeable, "CustomizedRecoverable+Purgeable"),
        (RecoveryLevel::CustomizedRecoverable, "CustomizedRecoverable"),
        (
            RecoveryLevel::CustomizedRecoverableProtectedSubscription,
            "CustomizedRecoverable+ProtectedSubscription",
        ),
    ] {
        assert_eq!(serde_json::to_value(level).unwrap(), name);
    }
}

#[test]
fn a_backup_is_one_opaque_text() {
    let backup = BackupResult { value: SecretText::new("b64".to_owned()) };
    assert_eq!(json_of(&backup.to_json()), json!({"value": "b64"}));
    let restore = RestoreRequest::parse(br#"{"value":"b64"}"#, &BUDGET).unwrap();
    assert_eq!(restore.value.expose(), "b64");
}

#[test]
fn a_refusal_has_code_message_and_inner_code() {
    let body = ErrorBody::new("Forbidden", "not allowed", Some("ForbiddenByRbac"));
    assert_eq!(
        serde_json::to_value(body).unwrap(),
        json!({"error": {"code": "Forbidden", "message": "not allowed", "innererror": {"code": "ForbiddenByRbac"}}})
    );
    let body = ErrorBody::new("SecretNotFound", "none", None);
    assert!(serde_json::to_value(body).unwrap()["error"].get("innererror").is_none());
}

#[test]
fn set_requests_of_every_client_are_read() {
    let js = SetSecretRequest::parse(br#"{"value":"v","attributes":{}}"#, &BUDGET).unwrap();
    assert_eq!(js.value.expose(), "v");
    assert_eq!(js.attributes, Some(AttributesRequest::default()));
    let full = SetSecretRequest::parse(
        br#"{"value":"v","contentType":"text/plain","tags":{"a":"b"},"futureMember":{"x":[1]},
            "attributes":{"enabled":false,"nbf":1,"exp":2,"recoveryLevel":"Purgeable","created":9}}"#,
        &BUDGET,
    )
    .unwrap();
    let expected = AttributesRequest { enabled: Some(false), nbf: Some(1), exp: Some(2) };
    assert_eq!(full.attributes, Some(expected));
    assert_eq!(full.tags.unwrap()["a"], "b");
    let empty = UpdateSecretRequest::parse(b"{}", &BUDGET).unwrap();
    assert_eq!(empty, UpdateSecretRequest { content_type: None, tags: None, attributes: None });
}

#[test]
fn bad_set_requests_are_refused_without_quoting_the_value() {
    for (body, message) in [
        (r#"{"value":["canary"]}"#, "the member `value` must be text, not a list"),
        (r#"{"val":"canary"}"#, "the member `value` is missing"),
        (r#"{"value":"canary","value":"canary"}"#, "the member `value` is given twice"),
        (r#"{"value":null}"#, "the member `value` must be text, not null"),
        (r#"{"value":"canary","tags":{"a":1}}"#, "the member `tags.a` must be text, not a number"),
        (
            r#"{"value":"canary","attributes":{"exp":"tomorrow"}}"#,
            "the member `attributes.exp` must be a whole number, not text",
        ),
    ] {
        let refusal = SetSecretRequest::parse(body.as_bytes(), &BUDGET).err().expect("refused");
        assert_eq!(refusal.to_string(), message);
    }
    let broken = SetSecretRequest::parse(br#"{"value":"canary"#, &BUDGET).err().expect("refused");
    assert!(!broken.to_string().contains("canary"));
    let long = format!(r#"{{"value":"{}"}}"#, "x".repeat(70_000));
    let refusal = SetSecretRequest::parse(long.as_bytes(), &BUDGET).err();
    assert_eq!(refusal, Some(BadBody::TooLong { bytes_max: 65_536 }));
}

#[test]
fn queries_with_encoded_names_and_unknown_parameters_are_read() {
    let js = Query::parse(Some("api%2Dversion=2025-07-01&maxresults=3&extra=1")).unwrap();
    assert_eq!(js.api_version.as_deref(), Some("2025-07-01"));
    assert_eq!(js.max_results, Some(3));
    let rust = Query::parse(Some("%24skiptoken=bWFyaw&api-version=x")).unwrap();
    assert_eq!(rust.skip_token.unwrap().place(), b"mark");
    let converted = Query::parse(Some("outContentType=application%2Fx-pem-file")).unwrap();
    assert_eq!(converted.out_content_type.as_deref(), Some("application/x-pem-file"));
    assert_eq!(Query::parse(None).unwrap(), Query::default());
}

#[test]
fn bad_queries_are_refused_by_name() {
    let refusal = |query: &str| Query::parse(Some(query)).unwrap_err().to_string();
    for wrong in ["maxresults=abc", "maxresults=-1", "maxresults=99999999999"] {
        assert_eq!(refusal(wrong), "the parameter `maxresults` must be a whole number that is not negative");
    }
    assert!(refusal("$skiptoken=%%%").starts_with("the parameter `$skiptoken` is not one"));
    let twice = Query::parse(Some("api-version=1&api%2Dversion=2"));
    assert_eq!(twice, Err(BadForm::Duplicate { name: "api-version" }));
    assert_eq!(Query::parse(Some(&"a".repeat(9000))), Err(BadForm::TooLong { bytes_max: 8192 }));
}

#[test]
fn a_link_is_absolute_and_repeats_the_page_size() {
    let token = SkipToken::new(b"mark".to_vec());
    let link = NextLink {
        origin: "https://app.vault.localhost:8443",
        path: "/secrets/n/versions",
        api_version: Some("2026-04-01"),
        skip_token: &token,
        max_results: Some(2),
        include_pending: None,
    };
    assert_eq!(
        link.compose(),
        "https://app.vault.localhost:8443/secrets/n/versions?api-version=2026-04-01&$skiptoken=bWFyaw&maxresults=2"
    );
}

#[test]
fn the_challenge_is_what_six_clients_can_take_apart() {
    assert_eq!(
        challenge::key_vault("https://localhost:8443/TENANT/", "https://vault.localhost:8443"),
        r#"Bearer authorization="https://localhost:8443/TENANT", resource="https://vault.localhost:8443""#
    );
    assert_eq!(
        challenge::resource_manager("https://localhost:8443/T", Some(("invalid_token", "it has expired"))),
        r#"Bearer authorization_uri="https://localhost:8443/T", error="invalid_token", error_description="it has expired""#
    );
}

#[test]
fn nothing_in_a_host_can_end_the_quotes_of_a_challenge() {
    let header = challenge::key_vault("https://evil\",x=\"\r\nSet-Cookie: a", "https://v");
    assert!(!header.contains(['\r', '\n', '\\']));
    assert_eq!(header.matches('"').count(), 4);
}

proptest! {
    #[test]
    fn no_bytes_make_a_parser_panic(body: Vec<u8>, query: String) {
        let _ = SetSecretRequest::parse(&body, &BUDGET);
        let _ = UpdateSecretRequest::parse(&body, &BUDGET);
        let _ = RestoreRequest::parse(&body, &BUDGET);
        let _ = Query::parse(Some(&query));
        let _ = SkipToken::parse(&query);
    }

    #[test]
    fn a_link_survives_the_round_trip_also_re_encoded(
        place: Vec<u8>,
        version in "\\PC{1,20}",
        max_results: Option<u32>,
        include_pending: Option<bool>,
    ) {
        let skip_token = SkipToken::new(place);
        let link = NextLink {
            origin: "https://v",
            path: "/secrets",
            api_version: Some(&version),
            skip_token: &skip_token,
            max_results,
            include_pending,
        }
        .compose();
        let query = link.split_once('?').unwrap().1;
        let skip_token = (!skip_token.place().is_empty()).then_some(skip_token);
        let expected =
            Query { api_version: Some(version), max_results, skip_token, out_content_type: None, include_pending };
        assert_eq!(Query::parse(Some(query)).as_ref(), Ok(&expected));
        let reordered: Vec<&str> = query.rsplit('&').collect();
        assert_eq!(Query::parse(Some(&reordered.join("&").replace('$', "%24"))), Ok(expected));
    }
}

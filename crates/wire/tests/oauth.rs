//! OAuth shapes: what clients really send, what they insist on in answers, and what is refused.

use proptest::prelude::proptest;
use serde_json::{Value, json};
use vouchsafe_wire::form::BadForm;
use vouchsafe_wire::oauth::{
    BasicCredentials, ErrorResponse, InstanceDiscovery, InstanceMetadata, JwkSet, OpenIdConfiguration,
    PublishedKey, TokenRequest, TokenResponse, TokenResponseV1, client_capabilities,
};
use vouchsafe_wire::secret_text::SecretText;

fn refusal(body: &[u8]) -> BadForm {
    TokenRequest::parse(body).err().expect("this form must be refused")
}

#[test]
fn a_client_secret_request_is_read_and_unknown_fields_are_ignored() {
    let body = b"client_id=app&grant_type=client_credentials&client_secret=p%26w+d%2B&client_info=1\
        &scope=https%3A%2F%2Fvault.localhost%3A8443%2F.default&x-client-SKU=a&x-client-SKU=b&claims=%7B%7D";
    let request = TokenRequest::parse(body).unwrap();
    assert_eq!(request.client_id.as_deref(), Some("app"));
    assert_eq!(request.grant_type.as_deref(), Some("client_credentials"));
    assert_eq!(request.scope.as_deref(), Some("https://vault.localhost:8443/.default"));
    assert_eq!(request.client_secret.unwrap().expose(), "p&w d+");
    assert_eq!(request.claims.as_deref(), Some("{}"));
    assert!(request.client_assertion.is_none() && request.resource.is_none());
}

#[test]
fn an_assertion_loses_the_newline_of_the_file_it_was_read_from() {
    let request = TokenRequest::parse(b"client_assertion=a.b.c%0D%0A&client_assertion_type=urn%3Ax").unwrap();
    assert_eq!(request.client_assertion.unwrap().expose(), "a.b.c");
    assert_eq!(request.client_assertion_type.as_deref(), Some("urn:x"));
}

#[test]
fn a_parameter_without_a_value_counts_as_absent() {
    let request = TokenRequest::parse(b"&&client_id=&scope&=x&").unwrap();
    assert!(request.client_id.is_none() && request.scope.is_none());
}

#[test]
fn bad_forms_are_refused_with_the_reason() {
    assert_eq!(refusal(b"client_id=a&client_id=a"), BadForm::Duplicate { name: "client_id" });
    assert_eq!(refusal(b"client_secret=a&client%5Fsecret="), BadForm::Duplicate { name: "client_secret" });
    assert_eq!(refusal(b"a=1&client_id=%ff%fe"), BadForm::NotText { position: 2 });
    assert_eq!(refusal(b"\xc3=1"), BadForm::NotText { position: 1 });
    assert_eq!(refusal(&[b'a'; 64 * 1024 + 1]), BadForm::TooLong { bytes_max: 65_536 });
    let fields = |count: usize| (0..count).map(|n| format!("f{n}=1")).collect::<Vec<_>>().join("&");
    assert!(TokenRequest::parse(fields(64).as_bytes()).is_ok());
    assert_eq!(refusal(fields(70).as_bytes()), BadForm::TooMany { fields_max: 64 });
}

#[test]
fn no_refusal_quotes_a_value() {
    let message = refusal(b"client_secret=canary&client_secret=canary").to_string();
    assert_eq!(message, "the parameter `client_secret` is given twice");
}

#[test]
fn capabilities_are_found_in_the_claims_of_every_client() {
    let cp1 = r#"{"access_token":{"xms_cc":{"values":["CP1"]}}}"#;
    assert_eq!(client_capabilities(cp1).unwrap(), ["CP1"]);
    for none in
        ["{}", r#"{"access_token":{}}"#, r#"{"access_token":{"nbf":{"essential":true},"xms_cc":null}}"#]
    {
        assert!(client_capabilities(none).unwrap().is_empty(), "{none}");
    }
    for wrong in ["", "CP1", r#"{"access_token":[]}"#, r#"{"access_token":{"xms_cc":{"values":"CP1"}}}"#] {
        assert!(client_capabilities(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn basic_credentials_are_decoded_on_both_sides_of_the_colon() {
    // `app:id` and `s:e+c r%et`, percent-encoded and joined, as RFC 6749 §2.3.1 asks.
    let header = "basic YXBwJTNBaWQ6cyUzQWUlMkJjK3IlMjVldA==";
    let credentials = BasicCredentials::parse(header).unwrap().unwrap();
    assert_eq!(credentials.client_id, "app:id");
    assert_eq!(credentials.client_secret.expose(), "s:e+c r%et");
    assert!(BasicCredentials::parse("Bearer abc").unwrap().is_none());
    assert!(BasicCredentials::parse("Basic").unwrap().is_none());
    for wrong in ["Basic !!!", "Basic YWJj", "Basic /////w==", "Basic JWZmOmE="] {
        assert!(BasicCredentials::parse(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_v2_answer_has_integers_and_a_v1_answer_has_strings() {
    let token = || SecretText::new("h.p.s".to_owned());
    let v2: Value = serde_json::from_slice(&TokenResponse::bearer(token(), 3599).to_json()).unwrap();
    assert_eq!(
        v2,
        json!({"token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599, "access_token": "h.p.s"})
    );
    let v1 = TokenResponseV1::bearer(token(), "https://vault.azure.net".to_owned(), 1000, 3599).to_json();
    assert_eq!(
        serde_json::from_slice::<Value>(&v1).unwrap(),
        json!({"token_type": "Bearer", "expires_in": "3599", "ext_expires_in": "3599", "expires_on": "4599",
            "not_before": "1000", "resource": "https://vault.azure.net", "access_token": "h.p.s"})
    );
}

#[test]
fn a_refusal_has_integer_codes_and_a_description_that_rust_can_borrow() {
    let refusal = ErrorResponse::new("invalid_client", 7_000_215, "secret for \"app\\x\"\r\nis wrong.")
        .traced("2026-01-31 23:59:59Z", "T", "C");
    let text = serde_json::to_string(&refusal).unwrap();
    assert!(!text.contains('\\'), "{text}");
    assert_eq!(
        serde_json::from_str::<Value>(&text).unwrap(),
        json!({"error": "invalid_client", "error_codes": [7_000_215], "timestamp": "2026-01-31 23:59:59Z",
            "trace_id": "T", "correlation_id": "C", "error_description": "AADSTS7000215: secret for 'app/x'  is wrong. \
             Trace ID: T Correlation ID: C Timestamp: 2026-01-31 23:59:59Z"})
    );
}

#[test]
fn discovery_names_every_endpoint_under_the_origin_that_was_asked() {
    let base = "https://localhost:8443/72f988bf-0000-0000-0000-000000000000";
    let document = OpenIdConfiguration::v2(base, format!("{base}/v2.0"), &["RS256", "ES256"]);
    let document = serde_json::to_value(document).unwrap();
    for (name, path) in [
        ("issuer", "/v2.0"),
        ("authorization_endpoint", "/oauth2/v2.0/authorize"),
        ("token_endpoint", "/oauth2/v2.0/token"),
        ("device_authorization_endpoint", "/oauth2/v2.0/devicecode"),
        ("jwks_uri", "/discovery/v2.0/keys"),
    ] {
        assert_eq!(document[name], format!("{base}{path}"));
    }
    assert_eq!(document["id_token_signing_alg_values_supported"], json!(["RS256", "ES256"]));
    let adfs = OpenIdConfiguration::v1("https://localhost:8443/adfs", String::new(), &["RS256"]);
    assert_eq!(adfs.token_endpoint, "https://localhost:8443/adfs/oauth2/token");
}

#[test]
fn instance_discovery_and_keys_have_their_published_names() {
    let discovery = InstanceDiscovery {
        tenant_discovery_endpoint:
            "https://login.microsoftonline.com/t/v2.0/.well-known/openid-configuration".into(),
        api_version: "1.1".into(),
        metadata: vec![InstanceMetadata {
            preferred_network: "login.microsoftonline.com".into(),
            preferred_cache: "login.windows.net".into(),
            aliases: vec!["login.microsoftonline.com".into(), "login.windows.net".into()],
        }],
    };
    let value = serde_json::to_value(discovery).unwrap();
    assert_eq!(value["api-version"], "1.1");
    assert_eq!(value["metadata"][0]["aliases"][1], "login.windows.net");

    let keys = JwkSet {
        keys: vec![PublishedKey {
            kid: "k1".into(),
            intended_use: "sig".into(),
            alg: Some("RS256".into()),
            issuer: None,
            key: json!({"kty": "RSA", "n": "AQAB", "e": "AQAB"}),
        }],
    };
    assert_eq!(
        serde_json::to_value(keys).unwrap(),
        json!({"keys": [{"kid": "k1", "use": "sig", "alg": "RS256", "kty": "RSA", "n": "AQAB", "e": "AQAB"}]})
    );
}

proptest! {
    #[test]
    fn no_bytes_make_a_parser_panic(body: Vec<u8>, text: String) {
        let _ = TokenRequest::parse(&body);
        let _ = BasicCredentials::parse(&text);
        let _ = BasicCredentials::parse(&format!("Basic {text}"));
        let _ = client_capabilities(&text);
    }

    #[test]
    fn no_description_needs_an_escape(sentence: String, code: String) {
        let text = serde_json::to_string(&ErrorResponse::new(&code, 90_002, &sentence)).unwrap();
        assert!(!text.contains('\\'));
    }

    #[test]
    fn a_form_gives_back_what_an_encoder_put_in(secret in "\\PC{1,40}") {
        let mut body = b"client_secret=".to_vec();
        for byte in secret.bytes() {
            body.extend(format!("%{byte:02x}").bytes());
        }
        let request = TokenRequest::parse(&body).unwrap();
        assert_eq!(request.client_secret.unwrap().expose(), secret);
    }
}

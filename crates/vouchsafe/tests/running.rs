//! The shipped program starts, says where it is, answers over TLS, and stops when told to.

use http::{Method, StatusCode};
use vouchsafe_testkit::running::{Installation, Pieces};

const PROGRAM: &str = env!("CARGO_BIN_EXE_vouchsafe");

#[tokio::test]
async fn a_secret_set_before_a_stop_is_read_after_the_next_start() {
    let installation = Installation::init(PROGRAM);
    let server = installation.serve(&[]).await;
    let state = serde_json::json!({ "state": { "vaults": [{ "name": "app" }] } }).to_string();
    let applied = server
        .admin()
        .request(Method::POST, "vouchsafe", "/admin/v1/apply", None, Some(state.as_bytes()))
        .await;
    assert_eq!(applied.unwrap().status, StatusCode::OK);

    let token = server.token("https://vault.azure.net").await;
    let (mut client, host) = (server.https(), server.vault_host("app"));
    let value = br#"{"value":"open sesame"}"#;
    let set = client
        .request(Method::PUT, &host, "/secrets/door?api-version=7.4", Some(&token), Some(value))
        .await
        .unwrap();
    assert_eq!(set.status, StatusCode::OK, "{}", set.text());
    assert!(set.request_id().is_some());
    assert!(server.terminate().await.success());

    let mut server = installation.serve(&[]).await;
    let token = server.token("https://vault.azure.net").await;
    let (mut client, host) = (server.https(), server.vault_host("app"));
    let read = client.request(Method::GET, &host, "/secrets/door", Some(&token), None).await.unwrap();
    assert_eq!(read.json()["value"], "open sesame", "{}", read.text());
    let pieces = Pieces::new("GET /nowhere HTTP/1.1", &host).header(format!("Authorization: Bearer {token}"));
    assert_eq!(client.raw(&host, &pieces).await.unwrap().status, StatusCode::NOT_FOUND);
    assert!(server.is_alive());
    server.kill();
    installation.verify_audit();
}

#[tokio::test]
async fn the_development_server_says_where_everything_is() {
    let installation = Installation::empty(PROGRAM);
    let mut server = installation.dev(&[], &[]).await;
    assert!(server.endpoints().imds.is_some() && server.endpoints().proxy.is_some());
    let metrics = server.https().request(Method::GET, server.host(), "/metrics", None, None).await.unwrap();
    assert!(metrics.text().contains("vouchsafe_http_panics_total 0"), "{}", metrics.text());
    assert!(server.is_alive() && server.log().contains("ready"));
}

//! The shipped program starts, says where it is, answers over TLS, and stops when told to.

use http::{Method, StatusCode};
use vouchsafe_crypto::Reason;
use vouchsafe_crypto::keys::{KeySpec, PrivateKey};
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

/// What an operator does on the worst day: the key file is gone, two of three custodians come, OpenSSL in one's hand.
#[tokio::test]
async fn a_deployment_gets_new_keys_while_it_serves_and_custodians_open_it_when_its_key_is_lost() {
    let installation = Installation::empty(PROGRAM);
    let scratch = installation.scratch().to_owned();
    let path = |name: &str| scratch.join(name).display().to_string();
    let run = |arguments: &[&str]| {
        let (status, out, error) = installation.run(arguments);
        assert!(status.success(), "{arguments:?}: {out}{error}");
        out
    };
    let data = installation.data().display().to_string();
    let mut init: Vec<String> =
        ["init", "--data", &data, "--recovery-threshold", "2"].map(str::to_owned).into();
    for name in ["alice", "bob", "carol"] {
        let key = PrivateKey::generate(KeySpec::Rsa2048);
        let private = pem("PRIVATE KEY", key.to_pkcs8().expect("an RSA key").expose(Reason::Test));
        std::fs::write(path(&format!("{name}.key")), private).expect("a file");
        let public = key.public().expect("an RSA key").spki_der();
        std::fs::write(path(&format!("{name}.pem")), pem("PUBLIC KEY", &public)).expect("a file");
        init.extend(["--custodian".to_owned(), path(&format!("{name}.pem"))]);
    }
    init.extend(["--shares-dir".to_owned(), path("shares")]);
    run(&init.iter().map(String::as_str).collect::<Vec<_>>());
    let again = installation.run(&init);
    assert!(!again.0.success() && again.2.contains("already exists"), "{}", again.2);

    let server = installation.serve(&[]).await;
    let socket = installation.data().join("admin/admin.sock").display().to_string();
    let rekeyed = run(&["--socket", &socket, "rekey", "kek"]);
    assert!(rekeyed.starts_with("done: 2 of 2 key rings done"), "{rekeyed}");
    let used = installation.run(["rekey", "root-provider", "remove", "file", "--data", &data]);
    assert!(used.2.contains("in use by another process"), "{}", used.2);
    assert!(server.terminate().await.success());

    run(&["rekey", "root", "--data", &data, "--shares-dir", &path("new-shares")]);
    std::fs::remove_file(installation.data().join("root.key")).expect("the key file");
    let (alice, carol) = (path("new-shares/share-1-alice.json"), path("new-shares/share-3-carol.json"));
    run(&["open-share", &alice, "--key", &path("alice.key"), "--out", &path("alice.share")]);
    run(&["open-share", &carol, "--key", &path("carol.key"), "--out", &path("carol.share")]);
    let old = path("shares/share-2-bob.json");
    run(&["open-share", &old, "--key", &path("bob.key"), "--out", &path("bob.share")]);
    let recover = |shares: &[&str]| {
        let mut arguments: Vec<String> =
            ["recover", "--data", &data, "--to", "file", "--remove", "file"].map(str::to_owned).into();
        for share in shares {
            arguments.extend(["--share".to_owned(), path(share)]);
        }
        installation.run(&arguments)
    };
    let (status, _, error) = recover(&["alice.share", "bob.share"]);
    assert!(!status.success() && error.contains("bob.share` is of another set"), "{error}");
    let (status, _, error) = recover(&["alice.share"]);
    assert!(!status.success() && error.contains("2 shares are needed, and 1 were given"), "{error}");
    let (status, out, error) = recover(&["alice.share", "carol.share"]);
    assert!(status.success(), "{out}{error}");
    let server = installation.serve(&[]).await;
    assert!(server.terminate().await.success());
    assert!(run(&["rekey", "root-provider", "list", "--data", &data]).contains("2 of 3: alice, bob, carol"));
    installation.verify_audit();
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = data_encoding::BASE64.encode(der);
    let lines: Vec<_> =
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).expect("base64")).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

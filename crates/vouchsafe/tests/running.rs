//! The shipped program starts, says where it is, answers over TLS, and stops when told to.

use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use vouchsafe_crypto::keys::{KeySpec, PrivateKey};
use vouchsafe_crypto::{Reason, SecretBytes};
use vouchsafe_domain::ports::Clock as _;
use vouchsafe_domain::ports::store::{Commit, Expect, Housekeeping, Key, Kind, Partition};
use vouchsafe_domain::record::Encode as _;
use vouchsafe_domain::timekeeping::ClockMark;
use vouchsafe_server::adapters::SystemClock;
use vouchsafe_store::root::RootKeySource;
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

/// A deployment that once ran with a date in the future, served with today's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_whose_clock_is_behind_says_so_and_issues_nothing_until_an_operator_confirms_it() {
    let installation = Installation::init(PROGRAM);
    let now = SystemClock.now();
    {
        let root = RootKeySource::KeyFile(installation.data().join("root.key"));
        let opened = vouchsafe_store::open(&installation.data(), &root, Arc::new(SystemClock)).await.unwrap();
        let mark = ClockMark { latest: now.plus(Duration::from_secs(400 * 86_400)), doubted: false };
        let place = Key::new(Partition::Deployment, Kind::ClockMark, "local");
        let commit = Commit::housekeeping(Housekeeping::ClockMark);
        let commit = commit.put(place, Expect::Absent, SecretBytes::new(mark.encode()));
        opened.store.commit(commit).await.unwrap();
    }
    let server = installation.serve(&[]).await;
    let socket = server.endpoints().admin_socket.clone();
    let run = |arguments: &[&str]| {
        let all = arguments.iter().copied().chain(["--socket", socket.as_str()]);
        tokio::task::block_in_place(|| installation.run(all))
    };
    let token = "/admin/v1/token?resource=https://vault.azure.net";
    let refused = server.admin().request(Method::POST, "vouchsafe", token, None, None).await.unwrap();
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE, "{}", refused.text());
    assert_eq!(refused.headers["retry-after"], "60");
    let (_, said, _) = run(&["clock", "status", "-o", "json"]);
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["standing"], "behind");
    assert!(said["seconds"].as_u64().is_some_and(|seconds| seconds > 399 * 86_400), "{said}");
    let (status, said, _) = run(&["doctor"]);
    assert!(!status.success() && said.contains("vouchsafe clock confirm"), "{said}");
    // Over the socket: the listener's certificate is dated by the latest time known, too.
    let metrics = server.admin().request(Method::GET, server.host(), "/metrics", None, None).await.unwrap();
    let text = metrics.text();
    let behind = text.lines().find(|line| line.starts_with("vouchsafe_clock_behind_seconds ")).unwrap();
    assert!(!behind.ends_with(" 0"), "{behind}");
    assert!(server.log().contains("is behind the latest time known"), "{}", server.log());

    let (status, said, complained) = run(&["clock", "confirm"]);
    assert!(status.success() && said.contains("s behind"), "{said}{complained}");
    assert!(!server.token("https://vault.azure.net").await.is_empty());
    server.kill();
    // It was durable before it was said.
    let server = installation.serve(&[]).await;
    assert!(!server.token("https://vault.azure.net").await.is_empty());
    assert!(server.terminate().await.success());
    installation.verify_audit();
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

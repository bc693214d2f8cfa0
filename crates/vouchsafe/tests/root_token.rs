//! A deployment whose root key is under a key in a SoftHSM token: it starts by itself, and says what is missing when it does not.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use http::{Method, StatusCode};
use serde_json::json;
use vouchsafe_testkit::processes::children_of;
use vouchsafe_testkit::running::{Installation, RunningServer, Token};

const PROGRAM: &str = env!("CARGO_BIN_EXE_vouchsafe");

/// A deployment made with a token, or nothing where SoftHSM is not installed.
fn made() -> Option<(Installation, Token)> {
    let installation = Installation::empty(PROGRAM);
    let token = Token::make(installation.scratch())?;
    let data = installation.data().display().to_string();
    let (status, out, error) =
        installation.run_with(["init", "--root", "pkcs11", "--data", &data], &token.environment());
    assert!(status.success(), "{out}{error}");
    assert!(out.contains("the only way in is the provider `pkcs11`"), "{out}");
    assert!(!installation.data().join("root.key").exists());
    Some((installation, token))
}

/// What `serve` complains of.
fn refusal(installation: &Installation, token: &Token) -> String {
    let data = installation.data().display().to_string();
    let arguments = ["serve", "--data", &data, "--listen", "127.0.0.1:0"];
    let (status, _, error) = installation.run_with(arguments, &token.environment());
    assert!(!status.success(), "{error}");
    let last = error.lines().rfind(|line| line.starts_with("error: "));
    last.unwrap_or_else(|| panic!("no error: {error}")).to_owned()
}

async fn secret(server: &RunningServer, method: Method, body: Option<&[u8]>) -> (StatusCode, String) {
    let bearer = server.token("https://vault.azure.net").await;
    let (mut client, host) = (server.https(), server.vault_host("app"));
    let answer = client.request(method, &host, "/secrets/door", Some(&bearer), body).await.unwrap();
    (answer.status, answer.json()["value"].as_str().unwrap_or_default().to_owned())
}

async fn opens(installation: &Installation, token: &Token) {
    let server = installation.serve(&token.environment()).await;
    let read = secret(&server, Method::GET, None).await;
    assert_eq!(read, (StatusCode::OK, "open sesame".to_owned()));
    assert!(server.terminate().await.success());
}

/// A secret to be read after the next start.
async fn furnished(installation: &Installation, token: &Token) {
    let server = installation.serve(&token.environment()).await;
    let state = json!({ "state": { "vaults": [{ "name": "app" }] } }).to_string();
    let mut admin = server.admin();
    let applied =
        admin.request(Method::POST, "vouchsafe", "/admin/v1/apply", None, Some(state.as_bytes())).await;
    assert_eq!(applied.unwrap().status, StatusCode::OK);
    let set = secret(&server, Method::PUT, Some(br#"{"value":"open sesame"}"#)).await;
    assert_eq!(set.0, StatusCode::OK);
    assert!(children_of(server.pid()).is_empty(), "the process that unwrapped is gone");
    assert!(server.terminate().await.success());
}

#[tokio::test]
async fn a_deployment_opens_with_its_token_and_says_what_is_wrong_when_it_does_not() {
    let Some((installation, token)) = made() else { return };
    furnished(&installation, &token).await;
    opens(&installation, &token).await;

    token.set_pin(None);
    let error = refusal(&installation, &token);
    assert!(error.contains("PIN file") && error.contains("cannot be read"), "{error}");
    token.set_pin(Some("00000000"));
    let error = refusal(&installation, &token);
    assert!(error.contains("refused the PIN") && error.contains("correct the file"), "{error}");
    token.set_pin(Some(token.pin()));
    opens(&installation, &token).await;

    let other = token.another("other");
    let error = refusal(&installation, &other);
    assert!(error.contains("serial number") && error.contains("name the right one"), "{error}");
    let absent = other.with_module("/nowhere/module.so".as_ref());
    let error = refusal(&installation, &absent);
    assert!(error.contains("`/nowhere/module.so` is not a file"), "{error}");
    let unnamed = installation.run(["serve", "--data", &installation.data().display().to_string()]);
    assert!(unnamed.2.contains("name the token of the root key with --pkcs11-module"), "{}", unnamed.2);
    opens(&installation, &token).await;

    let listed = installation.run([
        "rekey",
        "root-provider",
        "list",
        "--data",
        &installation.data().display().to_string(),
    ]);
    let id = listed.1.split_whitespace().find(|word| word.len() == 32).unwrap().to_owned();
    assert!(listed.1.contains("vouchsafe-test"), "{}", listed.1);
    token.lose_keys();
    let error = refusal(&installation, &token);
    assert!(error.contains(&format!("the key {id} is gone from the token")), "{error}");
    token.plant(&id);
    let error = refusal(&installation, &token);
    assert!(error.contains(&id) && error.contains("is another key"), "{error}");
    installation.verify_audit();
}

#[tokio::test]
async fn a_token_is_added_beside_a_file_replaces_it_and_seals_the_next_root_key() {
    let installation = Installation::init(PROGRAM);
    let Some(token) = Token::make(installation.scratch()) else { return };
    let data = installation.data().display().to_string();
    let run = |arguments: &[&str]| {
        let (status, out, error) = installation.run_with(arguments, &token.environment());
        assert!(status.success(), "{arguments:?}: {out}{error}");
        out
    };
    furnished(&installation, &token).await;
    run(&["rekey", "root-provider", "add", "pkcs11", "--name", "hsm", "--data", &data]);
    run(&["rekey", "root-provider", "remove", "file", "--root-key", "pkcs11", "--data", &data]);
    std::fs::remove_file(installation.data().join("root.key")).unwrap();
    opens(&installation, &token).await;

    let before = std::fs::read(installation.data().join("root.json")).unwrap();
    run(&["rekey", "root", "--data", &data]);
    opens(&installation, &token).await;
    // A copy of the earlier record still finds its key, which opens the earlier root: no backup is lost by a replacement.
    let after = std::fs::read(installation.data().join("root.json")).unwrap();
    std::fs::write(installation.data().join("root.json"), &before).unwrap();
    let error = refusal(&installation, &token);
    assert!(!error.contains("token"), "the token gave the earlier root: {error}");
    std::fs::write(installation.data().join("root.json"), &after).unwrap();
    opens(&installation, &token).await;

    run(&["rekey", "root-provider", "add", "file", "--data", &data]);
    run(&["rekey", "root-provider", "remove", "hsm", "--data", &data]);
    token.lose_keys();
    opens(&installation, &token).await;
    installation.verify_audit();
}

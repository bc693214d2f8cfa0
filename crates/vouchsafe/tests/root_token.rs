//! A deployment whose root key is under a key in a SoftHSM token: it starts by itself, and says what is missing when it does not.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use http::{Method, StatusCode};
use serde_json::json;
use vouchsafe_crypto::Reason;
use vouchsafe_crypto::keys::{KeySpec, PrivateKey};
use vouchsafe_crypto::pki::to_pem;
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

/// Two of three custodians, whose shares their own keys open.
struct Custodians(std::path::PathBuf);

impl Custodians {
    /// Their keys, and what `init` is told of them.
    fn appointed(scratch: &std::path::Path) -> (Self, Vec<String>) {
        let custodians = Self(scratch.to_owned());
        let mut told = vec!["--recovery-threshold".to_owned(), "2".to_owned()];
        for name in ["alice", "bob", "carol"] {
            let key = PrivateKey::generate(KeySpec::Rsa2048);
            let private = to_pem("PRIVATE KEY", key.to_pkcs8().unwrap().expose(Reason::Test));
            std::fs::write(custodians.path(&format!("{name}.key")), private).unwrap();
            let public = to_pem("PUBLIC KEY", &key.public().unwrap().spki_der());
            std::fs::write(custodians.path(&format!("{name}.pem")), public).unwrap();
            told.extend(["--custodian".to_owned(), custodians.path(&format!("{name}.pem"))]);
        }
        told.extend(["--shares-dir".to_owned(), custodians.path("shares")]);
        (custodians, told)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    /// Decrypts the shares of these, and says where they are.
    fn come(&self, installation: &Installation, names: &[(usize, &str)]) -> Vec<String> {
        let mut shares = Vec::new();
        for (number, name) in names {
            let (sealed, key) = (format!("shares/share-{number}-{name}.json"), format!("{name}.key"));
            let out = self.path(&format!("{name}.share"));
            let (status, _, error) = installation.run([
                "open-share",
                &self.path(&sealed),
                "--key",
                &self.path(&key),
                "--out",
                &out,
            ]);
            assert!(status.success(), "{error}");
            shares.extend(["--share".to_owned(), out]);
        }
        shares
    }
}

/// The worst day of somebody who has bought a token since: the key file is gone, and what opens next is the token.
#[tokio::test]
async fn custodians_let_a_token_in_when_the_key_file_is_lost() {
    let installation = Installation::empty(PROGRAM);
    let Some(token) = Token::make(installation.scratch()) else { return };
    let data = installation.data().display().to_string();
    let (custodians, told) = Custodians::appointed(installation.scratch());
    let init = ["init", "--data", &data].map(str::to_owned).into_iter().chain(told);
    let (status, out, error) = installation.run(init);
    assert!(status.success(), "{out}{error}");
    furnished(&installation, &token).await;
    std::fs::remove_file(installation.data().join("root.key")).unwrap();

    let shares = custodians.come(&installation, &[(1, "alice"), (3, "carol")]);
    let recover = |shares: &[String]| {
        let arguments = ["recover", "--data", &data, "--to", "pkcs11", "--name", "hsm", "--remove", "file"];
        let arguments = arguments.map(str::to_owned).into_iter().chain(shares.iter().cloned());
        installation.run_with(arguments, &token.environment())
    };
    // What cannot be the way in takes no other away, and makes nothing in the token.
    let record = installation.data().join("root.json");
    let before = std::fs::read(&record).unwrap();
    token.set_pin(Some("00000000"));
    let (status, _, error) = recover(&shares);
    assert!(!status.success() && error.contains("refused the PIN"), "{error}");
    token.set_pin(Some(token.pin()));
    let (status, _, error) = recover(&shares[..2]);
    assert!(!status.success() && error.contains("2 shares are needed, and 1 were given"), "{error}");
    assert!(std::fs::read(&record).unwrap() == before, "a recovery that was refused changed the record");

    let (status, out, error) = recover(&shares);
    assert!(status.success(), "{out}{error}");
    assert!(out.contains("`hsm` can open the deployment from now on"), "{out}");
    opens(&installation, &token).await;
    let listed = installation.run(["rekey", "root-provider", "list", "--data", &data]).1;
    assert!(listed.contains("hsm") && listed.contains("2 of 3: alice, bob, carol"), "{listed}");
    assert!(!listed.lines().any(|line| line.starts_with("file")), "{listed}");
    // It is the token that opens: its key is the only way in, but for the custodians.
    token.lose_keys();
    let error = refusal(&installation, &token);
    assert!(error.contains("is gone from the token"), "{error}");
    installation.verify_audit();
}

//! What a vault's authority publishes, found by those who judge certificates: OpenSSL follows the addresses in them over
//! plain HTTP, without knowing whom to trust for TLS.

use std::ffi::OsStr;
use std::process::Command;

use vouchsafe_testkit::running::{Installation, free_port};

#[tokio::test(flavor = "multi_thread")]
async fn openssl_finds_revocation_lists_and_answers_at_the_addresses_in_certificates() {
    let installation = Installation::empty(env!("CARGO_BIN_EXE_vouchsafe"));
    let listen = format!("127.0.0.1:{}", free_port());
    let arguments = ["--http-listen", &listen, "--http-port", "80"].map(OsStr::new);
    let _server = installation.dev(&arguments, &[]).await;
    let socket = installation.data().join("admin/admin.sock");
    let run = |arguments: &[&str]| {
        let all = [OsStr::new("--socket"), socket.as_os_str()].into_iter();
        let (status, said, complained) = installation.run(all.chain(arguments.iter().map(OsStr::new)));
        assert!(status.success(), "{arguments:?}: {said}{complained}");
        said
    };
    let file = |name: &str| installation.scratch().join(name).display().to_string();
    run(&["vault", "create", "app"]);
    run(&["certificate", "issuer", "set", "ca", "--account", "example.test", "--vault", "app"]);
    for name in ["good", "revoked"] {
        let host = format!("{name}.example.test");
        let how = ["--dns", &host, "--issuer", "ca", "--months", "1", "--key-type", "ec", "--vault", "app"];
        run(&[&["certificate", "create", name], &how[..]].concat());
        let chain = file(&format!("{name}.pem"));
        run(&["certificate", "download", name, "--form", "chain", "--file", &chain, "--vault", "app"]);
    }
    run(&["certificate", "revoke", "revoked", "--reason", "superseded", "--vault", "app"]);
    let chain = std::fs::read_to_string(file("good.pem")).expect("a chain");
    let authority = chain.split_inclusive("-----END CERTIFICATE-----\n").nth(1).expect("an authority");
    std::fs::write(file("authority.pem"), authority).expect("a file");

    let text = |arguments: &[&str]| {
        let output = Command::new("openssl").args(arguments).output().expect("openssl");
        String::from_utf8(output.stdout).expect("text").trim().to_owned()
    };
    // The names of vaults need not be resolved here: OpenSSL asks our listener as if it were a proxy (RFC 9112 §3.2.2).
    let openssl = |arguments: &[&str]| {
        let output = Command::new("openssl")
            .args(arguments)
            .env("http_proxy", format!("http://{listen}"))
            .env_remove("no_proxy")
            .output()
            .expect("openssl");
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    };
    let authority = file("authority.pem");
    for (name, holds) in [("good", true), ("revoked", false)] {
        let leaf = file(&format!("{name}.pem"));
        let (verified, said) =
            openssl(&["verify", "-CAfile", &authority, "-crl_check", "-crl_download", &leaf]);
        assert_eq!(verified, holds, "{name}: {said}");
        assert!(holds || said.contains("certificate revoked"), "{said}");
        let url = text(&["x509", "-in", &leaf, "-noout", "-ocsp_uri"]);
        assert!(url.starts_with("http://app.vault.localhost/pki/"), "{url}");
        let (_, said) =
            openssl(&["ocsp", "-url", &url, "-issuer", &authority, "-cert", &leaf, "-CAfile", &authority]);
        let expected = if holds { ": good" } else { ": revoked" };
        assert!(said.contains("Response verify OK") && said.contains(expected), "{name}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_names_the_listener_where_nothing_stands_before_it() {
    let installation = Installation::empty(env!("CARGO_BIN_EXE_vouchsafe"));
    let port = free_port();
    let listen = format!("127.0.0.1:{port}");
    let _server = installation.dev(&["--http-listen".as_ref(), listen.as_ref()], &[]).await;
    let socket = installation.data().join("admin/admin.sock");
    let file = installation.scratch().join("web.pem").display().to_string();
    let wanted = ["--dns", "web.example.test", "--issuer", "ca", "--months", "1", "--vault", "app"];
    for arguments in [
        &["vault", "create", "app"][..],
        &["certificate", "issuer", "set", "ca", "--account", "example.test", "--vault", "app"],
        &[&["certificate", "create", "web"], &wanted[..]].concat(),
        &["certificate", "download", "web", "--form", "chain", "--file", &file, "--vault", "app"],
    ] {
        let all = [OsStr::new("--socket"), socket.as_os_str()].into_iter();
        let (status, said, complained) = installation.run(all.chain(arguments.iter().map(OsStr::new)));
        assert!(status.success(), "{arguments:?}: {said}{complained}");
    }
    let show = ["x509", "-in", &file, "-noout", "-ext", "crlDistributionPoints"];
    let said = Command::new("openssl").args(show).output().expect("openssl");
    let said = String::from_utf8(said.stdout).expect("text");
    assert!(said.contains(&format!("URI:http://app.vault.localhost:{port}/pki/")), "{said}");
}

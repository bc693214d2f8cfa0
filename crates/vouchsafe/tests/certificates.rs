//! `vouchsafe certificate`, as an operator uses it: real files, a real server, and OpenSSL as the one who checks what
//! comes out - also what the private authority says over TLS about certificates that it took back.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};

use vouchsafe_testkit::running::{Installation, RunningServer};

/// A server with one vault, and the commands that are typed beside it.
struct Desk {
    installation: Installation,
    server: RunningServer,
}

impl Desk {
    async fn new() -> Self {
        Self::with(&[]).await
    }

    async fn with(arguments: &[&str]) -> Self {
        let installation = Installation::empty(env!("CARGO_BIN_EXE_vouchsafe"));
        let arguments: Vec<&OsStr> = arguments.iter().map(OsStr::new).collect();
        let server = installation.dev(&arguments, &[]).await;
        let desk = Self { installation, server };
        desk.ok(&["vault", "create", "app"]);
        desk.ok(&["vault", "create", "other"]);
        desk
    }

    fn run(&self, arguments: &[&str]) -> (ExitStatus, String, String) {
        let socket = self.installation.data().join("admin/admin.sock");
        let all = [OsStr::new("--socket"), socket.as_os_str()].into_iter();
        self.installation.run(all.chain(arguments.iter().map(OsStr::new)))
    }

    /// A command that must succeed; what it printed.
    #[track_caller]
    fn ok(&self, arguments: &[&str]) -> String {
        let (status, said, complained) = self.run(arguments);
        assert!(status.success(), "{arguments:?}: {said}{complained}");
        said
    }

    /// The same for certificates of the vault.
    #[track_caller]
    fn certificate(&self, arguments: &[&str]) -> String {
        self.ok(&[&["certificate"], arguments, &["--vault", "app"]].concat())
    }

    /// A command that must fail and say `words`.
    #[track_caller]
    fn refused(&self, words: &str, arguments: &[&str]) {
        let (status, said, complained) =
            self.run(&[&["certificate"], arguments, &["--vault", "app"]].concat());
        assert_eq!(status.code(), Some(1), "{arguments:?}: {said}{complained}");
        assert!(format!("{said}{complained}").contains(words), "{arguments:?}: {said}{complained}");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.installation.scratch().join(name)
    }

    fn file(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// `openssl` in the directory for files; what it printed to either side, and whether it was content.
    fn openssl(&self, arguments: &[&str]) -> (bool, String) {
        let mut command = Command::new("openssl");
        command.args(arguments).current_dir(self.installation.scratch());
        command.env("SSL_CERT_FILE", self.installation.data().join("tls/ca.pem"));
        let output = command.output().expect("openssl is installed");
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_made_changed_shown_and_taken_away_by_commands() {
    let desk = Desk::new().await;
    let hosts = ["--dns", "app.example.test,www.example.test", "--key-type", "ec", "--months", "3"];
    let made = desk.certificate(&[&["create", "web"], &hosts[..]].concat());
    assert!(made.starts_with("made https://app.vault.localhost:"), "{made}");
    let shown = desk.certificate(&["show", "web"]);
    assert!(shown.contains("CN=app.example.test") && shown.contains("www.example.test"), "{shown}");
    desk.certificate(&["download", "web", "--form", "der", "--file", &desk.file("web.der")]);
    let (_, read) =
        desk.openssl(&["x509", "-inform", "DER", "-in", "web.der", "-noout", "-ext", "subjectAltName"]);
    assert!(read.contains("DNS:app.example.test, DNS:www.example.test"), "{read}");

    // What is not said again stays, also through a file.
    let policy = desk.certificate(&["policy", "set", "web", "--months", "6", "--not-exportable"]);
    assert!(policy.contains("www.example.test") && policy.contains("months"), "{policy}");
    let written = desk.ok(&["-o", "json", "certificate", "policy", "show", "web", "--vault", "app"]);
    std::fs::write(desk.path("policy.json"), &written).expect("a file");
    let policy = desk.file("policy.json");
    desk.certificate(&["create", "web", "--policy-file", &policy, "--subject", "CN=second"]);
    assert_eq!(desk.certificate(&["versions", "web"]).matches("web/").count(), 2);
    let chain = desk.certificate(&["download", "web", "--form", "chain"]);
    assert!(chain.contains("BEGIN CERTIFICATE") && !chain.contains("PRIVATE KEY"), "{chain}");
    assert!(desk.certificate(&["show", "web"]).contains("CN=second"));

    desk.refused("--dns, --subject or --policy-file", &["create", "nothing"]);
    desk.refused("`P-1` is no curve", &["create", "x", "--subject", "CN=x", "--curve", "P-1"]);
    desk.refused("(CertificateNotFound)", &["show", "nothing"]);
    desk.refused("letters, digits or hyphens", &["show", "a/b"]);
    std::fs::write(desk.path("az.json"), r#"{"issuerParameters":{"name":"Self"}}"#).expect("a file");
    desk.refused("how `az` spells policies", &["create", "x", "--policy-file", &desk.file("az.json")]);

    desk.certificate(&["contacts", "set", "--email", "ada@example.test,bob@example.test"]);
    assert!(desk.certificate(&["contacts", "list"]).contains("bob@example.test"));
    desk.certificate(&["contacts", "remove"]);
    desk.refused("(ContactsNotFound)", &["contacts", "list"]);

    desk.certificate(&["backup", "web", "--file", &desk.file("web.backup")]);
    desk.refused("already", &["restore", "--file", &desk.file("web.backup")]);
    desk.ok(&["certificate", "restore", "--vault", "other", "--file", &desk.file("web.backup")]);
    desk.certificate(&["delete", "web"]);
    assert!(desk.certificate(&["list", "--deleted"]).contains("web"));
    desk.certificate(&["recover", "web"]);
    desk.certificate(&["delete", "web"]);
    desk.certificate(&["purge", "web"]);
    desk.refused("(CertificateNotFound)", &["show", "web"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_openssl_made_is_imported_and_what_it_signs_is_merged() {
    let desk = Desk::new().await;
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "key.pem"];
    let (made, said) =
        desk.openssl(&[&["req", "-x509", "-subj", "/CN=elsewhere", "-out", "ca.pem"], &key[..]].concat());
    assert!(made, "{said}");
    let export = ["-inkey", "key.pem", "-in", "ca.pem", "-out", "ca.p12", "-passout", "pass:opens it"];
    assert!(desk.openssl(&[&["pkcs12", "-export"], &export[..]].concat()).0);
    let both = [desk.path("key.pem"), desk.path("ca.pem")].map(|file| std::fs::read(file).expect("a file"));
    std::fs::write(desk.path("both.pem"), both.concat()).expect("a file");
    for (file, text) in [("password", "opens it\n"), ("wrong", "opens nothing\n")] {
        std::fs::write(desk.path(file), text).expect("a file");
    }
    desk.certificate(&["import", "pem", "--file", &desk.file("both.pem")]);
    let (bundle, password) = (desk.file("ca.p12"), desk.file("password"));
    desk.certificate(&["import", "pfx", "--file", &bundle, "--password-file", &password]);
    for name in ["pem", "pfx"] {
        assert!(desk.certificate(&["show", name]).contains("CN=elsewhere"), "{name}");
    }
    let wrong = desk.file("wrong");
    desk.refused("the password is wrong", &["import", "x", "--file", &bundle, "--password-file", &wrong]);
    desk.refused("no private key", &["import", "x", "--file", &desk.file("ca.pem")]);
    let both = desk.file("both.pem");
    desk.refused("has no password", &["import", "x", "--file", &both, "--password-file", &password]);
    let lock = ["pkcs8", "-topk8", "-in", "key.pem", "-out", "locked.pem", "-passout", "pass:opens it"];
    assert!(desk.openssl(&lock).0);
    desk.refused("`openssl pkey` decrypts it", &["import", "x", "--file", &desk.file("locked.pem")]);

    let outside = ["--issuer", "Unknown", "--key-type", "ec"];
    let begun = desk.certificate(&[&["create", "signed", "--subject", "CN=signed"], &outside[..]].concat());
    assert!(begun.contains("certificate pending show --csr signed"), "{begun}");
    let request = desk.certificate(&["pending", "show", "signed", "--csr"]);
    std::fs::write(desk.path("request.pem"), request).expect("a file");
    desk.refused("(BadParameter)", &["pending", "merge", "signed", "--file", &desk.file("ca.pem")]);
    let sign = [
        "-in",
        "request.pem",
        "-CA",
        "ca.pem",
        "-CAkey",
        "key.pem",
        "-CAcreateserial",
        "-days",
        "30",
        "-out",
        "signed.pem",
    ];
    let (made, said) = desk.openssl(&[&["x509", "-req"], &sign[..]].concat());
    assert!(made, "{said}");
    desk.certificate(&["pending", "merge", "signed", "--file", &desk.file("signed.pem")]);
    let shown = desk.certificate(&["show", "signed"]);
    assert_eq!((line(&shown, "subject"), line(&shown, "signed by")), ("CN=signed", "CN=elsewhere"));

    desk.certificate(&[&["create", "given-up", "--subject", "CN=x"], &outside[..]].concat());
    desk.certificate(&["pending", "cancel", "given-up"]);
    assert!(desk.certificate(&["pending", "show", "given-up"]).contains("cancelled"));
    desk.certificate(&["pending", "delete", "given-up"]);
    desk.refused("(PendingCertificateNotFound)", &["pending", "show", "given-up"]);
}

/// The addresses in a certificate are asked as they stand there; only the vault's name is resolved by hand.
#[tokio::test(flavor = "multi_thread")]
async fn openssl_learns_from_the_private_authority_what_is_good_and_what_is_revoked() {
    let desk = Desk::new().await;
    desk.refused("which names it may certify", &["issuer", "set", "ca"]);
    desk.certificate(&["issuer", "set", "ca", "--account", "example.test, days:90"]);
    assert!(desk.certificate(&["issuer", "list"]).contains("Vouchsafe"));
    for name in ["good", "revoked"] {
        let host = format!("{name}.example.test");
        let how = ["--dns", &host, "--issuer", "ca", "--months", "1", "--key-type", "ec"];
        desk.certificate(&[&["create", name], &how[..]].concat());
        let file = desk.file(&format!("{name}.pem"));
        desk.certificate(&["download", name, "--form", "chain", "--file", &file]);
    }
    let elsewhere = ["--dns", "a.elsewhere.test", "--issuer", "ca", "--months", "1", "--key-type", "ec"];
    desk.refused("does not certify the name", &[&["create", "outside"], &elsewhere[..]].concat());

    let chain = std::fs::read_to_string(desk.path("good.pem")).expect("a chain");
    let authority =
        chain.split_inclusive("-----END CERTIFICATE-----\n").nth(1).expect("an authority above it");
    std::fs::write(desk.path("authority.pem"), authority).expect("a file");
    let (_, url) = desk.openssl(&["x509", "-in", "good.pem", "-noout", "-ocsp_uri"]);
    let host = desk.server.vault_host("app");
    let path =
        url.trim().strip_prefix(&format!("https://{host}")).expect("an address of the vault").to_owned();
    // One certificate a question (RFC 5019 §2.1.1).
    let ask = || {
        let (local, header) =
            (format!("https://localhost:{}{path}", desk.server.port()), format!("Host={host}"));
        let each = ["good.pem", "revoked.pem"].map(|certificate| {
            let who = ["-issuer", "authority.pem", "-cert", certificate];
            let how = ["ocsp", "-url", &local, "-header", &header, "-CAfile", "authority.pem"];
            let (content, said) = desk.openssl(&[&how[..], &who[..]].concat());
            assert!(content && said.contains("Response verify OK"), "{said}");
            said
        });
        each.concat()
    };
    let said = ask();
    assert!(said.contains("good.pem: good") && said.contains("revoked.pem: good"), "{said}");
    desk.certificate(&["revoke", "revoked", "--reason", "key-compromise"]);
    desk.certificate(&["create", "own", "--subject", "CN=own", "--key-type", "ec"]);
    desk.refused("not issued by an authority", &["revoke", "own"]);
    let said = ask();
    assert!(said.contains("good.pem: good") && said.contains("revoked.pem: revoked"), "{said}");
    assert!(said.contains("Reason: keyCompromise"), "{said}");

    let list = path.strip_suffix("ocsp").map(|base| format!("{base}crl")).expect("an address");
    let mut client = desk.server.https();
    let list = client.request(http::Method::GET, &host, &list, None, None).await.expect("an answer");
    std::fs::write(desk.path("list.der"), &list.body).expect("a file");
    let (content, said) = desk.openssl(&["crl", "-inform", "DER", "-in", "list.der", "-out", "list.pem"]);
    assert!(content, "{said}");
    let verify = ["verify", "-CAfile", "authority.pem", "-CRLfile", "list.pem", "-crl_check"];
    let (content, said) = desk.openssl(&[&verify[..], &["good.pem"]].concat());
    assert!(content, "{said}");
    let (content, said) = desk.openssl(&[&verify[..], &["revoked.pem"]].concat());
    assert!(!content && said.contains("certificate revoked"), "{said}");
}

/// A line of what `certificate show` prints, by its first word.
#[track_caller]
fn line<'a>(shown: &'a str, begins: &str) -> &'a str {
    let found = shown.lines().find_map(|line| line.trim_start().strip_prefix(begins));
    found.unwrap_or_else(|| panic!("no `{begins}` in {shown}")).trim()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_word_of_a_policy_is_in_the_certificate_that_is_made() {
    let desk = Desk::new().await;
    let words = [
        "--subject=CN=all",
        "--dns=a.example.test,b.example.test",
        "--ip=10.1.2.3,fd00::1",
        "--key-type=rsa",
        "--size=3072",
        "--months=7",
        "--secret-form=pem",
    ];
    desk.certificate(&[&["create", "all"], &words[..]].concat());
    // The same policy through a file, in which it is written whole.
    let written = desk.ok(&["-o", "json", "certificate", "policy", "show", "all", "--vault", "app"]);
    std::fs::write(desk.path("policy.json"), &written).expect("a file");
    desk.certificate(&["create", "again", "--policy-file", &desk.file("policy.json")]);
    for name in ["all", "again"] {
        let file = format!("{name}.pem");
        assert_eq!(line(&desk.certificate(&["show", name]), "subject"), "CN=all");
        desk.certificate(&["download", name, "--file", &desk.file(&file)]);
        let written = std::fs::read_to_string(desk.path(&file)).expect("PEM");
        assert!(written.starts_with("-----BEGIN CERTIFICATE-----"), "{written}");
        let (_, said) = desk.openssl(&["x509", "-in", &file, "-noout", "-text"]);
        for part in [
            "Public-Key: (3072 bit)",
            "DNS:a.example.test, DNS:b.example.test, IP Address:10.1.2.3, IP Address:FD00:0:0:0:0:0:0:1",
        ] {
            assert!(said.contains(part), "no `{part}` in {said}");
        }
        // Seven months are more than 200 days and less than 220.
        let lasts = |days: u32| {
            let seconds = (days * 86_400).to_string();
            desk.openssl(&["x509", "-in", &file, "-noout", "-checkend", &seconds]).0
        };
        assert!(lasts(200) && !lasts(220), "{name}");
        // The secret has the key, in PEM; the chain comes from there, and is given without it.
        assert!(desk.ok(&["secret", "get", name, "--vault", "app"]).contains("BEGIN PRIVATE KEY"), "{name}");
        let chain = desk.certificate(&["download", name, "--form", "chain"]);
        assert!(chain.contains("BEGIN CERTIFICATE") && !chain.contains("PRIVATE KEY"), "{chain}");
    }
    desk.refused("cannot create", &["download", "all", "--file", &desk.file("all.pem")]);

    let stays =
        ["--subject=CN=stays", "--key-type=ec", "--curve=P-384", "--not-exportable", "--secret-form=pem"];
    desk.certificate(&[&["create", "stays"], &stays[..]].concat());
    desk.certificate(&["download", "stays", "--file", &desk.file("stays.pem")]);
    let (_, said) = desk.openssl(&["x509", "-in", "stays.pem", "-noout", "-text"]);
    assert!(said.contains("ASN1 OID: secp384r1"), "{said}");
    let secret = desk.ok(&["secret", "get", "stays", "--vault", "app"]);
    assert!(secret.contains("BEGIN CERTIFICATE") && !secret.contains("PRIVATE KEY"), "{secret}");
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_and_lists_say_what_is_asked_for_and_nothing_is_waited_for_unasked() {
    let desk = Desk::new().await;
    let how = ["--key-type", "ec", "--months", "2"];
    desk.certificate(&[&["create", "web", "--subject", "CN=first"], &how[..]].concat());
    let versions = desk.certificate(&["versions", "web"]);
    let first = line(&versions, "web/").split_whitespace().next().expect("a version");
    let begun = desk.certificate(&["create", "web", "--subject", "CN=second", "--no-wait"]);
    assert!(begun.contains("web is being made"), "{begun}");
    assert!(desk.certificate(&["pending", "show", "web"]).contains("completed"));
    let shown = |more: &[&str]| desk.certificate(&[&["show", "web"], more].concat());
    let (now, before) = (shown(&[]), shown(&["--version", first]));
    assert_eq!((line(&now, "subject"), line(&before, "subject")), ("CN=second", "CN=first"));
    desk.certificate(&["download", "web", "--version", first, "--file", &desk.file("first.pem")]);
    let (_, said) = desk.openssl(&["x509", "-in", "first.pem", "-noout", "-text", "-nameopt", "RFC2253"]);
    assert!(said.contains("Subject: CN=first") && said.contains("id-ecPublicKey"), "{said}");
    let listed = desk.certificate(&["list"]);
    assert!(line(&listed, "web").contains(line(&now, "expires")), "{listed}{now}");
    assert_ne!(line(&now, "expires"), line(&now, "not before"));

    desk.certificate(&[
        "issuer",
        "set",
        "off",
        "--account",
        "example.test",
        "--organization",
        "4711",
        "--disabled",
    ]);
    let issuer = desk.certificate(&["issuer", "show", "off"]);
    let said = ["account", "organization", "enabled"].map(|what| line(&issuer, what));
    assert_eq!(said, ["example.test", "4711", "false"]);
    desk.certificate(&["issuer", "remove", "off"]);
    desk.refused("(CertificateIssuerNotFound)", &["issuer", "show", "off"]);
}

/// Nothing shows it again, but an ACME directory's external account is not taken without one that fits.
#[tokio::test(flavor = "multi_thread")]
async fn the_password_of_an_issuer_comes_from_a_file() {
    let directory = ["--acme-directory", "public=https://acme.example.test/directory"];
    let desk = Desk::with(&[&directory[..], &["--http-listen", "127.0.0.1:0"]].concat()).await;
    let account = ["issuer", "set", "acme", "--provider", "Acme", "--account", "public/one"];
    desk.refused("pwd must be the MAC key", &account);
    for (file, text) in [("wrong", "no base64url!\n"), ("key", "c2VjcmV0\n")] {
        std::fs::write(desk.path(file), text).expect("a file");
    }
    let (wrong, key) = (desk.file("wrong"), desk.file("key"));
    desk.refused("in base64url", &[&account[..], &["--password-file", &wrong]].concat());
    desk.certificate(&[&account[..], &["--password-file", &key]].concat());
    assert_eq!(line(&desk.certificate(&["issuer", "show", "acme"]), "account"), "public/one");
}

//! An ACME server for tests: Pebble, which Let's Encrypt tests clients with, and a DNS server that leads every name here.
//!
//! `cargo xtask test` builds both below the target directory. Where they are missing the test is left out, except in CI,
//! where it fails. Pebble refuses one nonce in twenty and forgets everything when it stops, both on purpose.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use http::Method;
use serde_json::json;
use tempfile::TempDir;

use crate::running::{Client, free_port};

/// How long Pebble may take to listen before the test fails.
const PATIENCE: Duration = Duration::from_secs(60);
const GLANCE: Duration = Duration::from_millis(5);

/// A name that Pebble certifies for nobody.
pub const BLOCKED: &str = "blocked-domain.example";
/// The external account that a Pebble which wants one knows.
pub const KEY_ID: &str = "kid-1";
/// Its MAC key.
pub const MAC_KEY: &str = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";
/// How long its certificates are valid, in days.
pub const VALIDITY_DAYS: u64 = 90;

/// A Pebble and its DNS server, with ports and a certificate of their own.
pub struct Pebble {
    directory: TempDir,
    tools: PathBuf,
    port: u16,
    management: u16,
    dns: u16,
    dns_management: u16,
    pebble: Option<Child>,
    resolver: Child,
}

/// Where `cargo xtask test` puts tools: beside the profile of this very executable.
#[track_caller]
fn tools() -> Option<PathBuf> {
    let this = std::env::current_exe().expect("this executable");
    let beside = this.ancestors().map(|directory| directory.join("tools"));
    let found = beside
        .into_iter()
        .find(|tools| ["pebble", "pebble-challtestsrv"].iter().all(|program| tools.join(program).is_file()));
    if found.is_none() {
        let ci = std::env::var_os("CI").is_some();
        assert!(!ci, "Pebble is missing; `cargo xtask test --only prerequisites` builds it");
        eprintln!(
            "left out: Pebble is missing; `cargo xtask test --only prerequisites` builds it where there is Go"
        );
    }
    found
}

impl Pebble {
    /// A running Pebble that looks at challenges on a port of this machine, and wants external accounts or not. None
    /// where it is missing, which is an error in CI.
    #[track_caller]
    pub fn start(http_port: u16, wants_external_accounts: bool) -> Option<Self> {
        let tools = tools()?;
        let directory = TempDir::new().expect("a temporary directory");
        let [port, management, dns, dns_management, unused] = std::array::from_fn(|_| free_port());
        let key = rcgen::KeyPair::generate().expect("a key");
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let certificate = rcgen::CertificateParams::new(names).and_then(|wanted| wanted.self_signed(&key));
        let certificate = certificate.expect("a certificate").pem();
        let path = |name: &str| directory.path().join(name);
        fs::write(path("certificate.pem"), certificate).expect("a file");
        fs::write(path("key.pem"), key.serialize_pem()).expect("a file");
        let mut accounts = serde_json::Map::new();
        if wants_external_accounts {
            accounts.insert(KEY_ID.to_owned(), json!(MAC_KEY));
        }
        let settings = json!({"pebble": {
            "listenAddress": format!("127.0.0.1:{port}"),
            "managementListenAddress": format!("127.0.0.1:{management}"),
            "certificate": path("certificate.pem"),
            "privateKey": path("key.pem"),
            "httpPort": http_port,
            "tlsPort": unused,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": wants_external_accounts,
            "externalAccountMACKeys": accounts,
            "domainBlocklist": [BLOCKED],
            "retryAfter": {"authz": 1, "order": 1},
            "keyAlgorithm": "ecdsa",
            "profiles": {"default": {"description": "the only one", "validityPeriod": VALIDITY_DAYS * 86_400}},
        }});
        fs::write(path("pebble.json"), settings.to_string()).expect("a file");
        let resolver = Command::new(tools.join("pebble-challtestsrv"))
            .args([
                "-defaultIPv4",
                "127.0.0.1",
                "-defaultIPv6",
                "",
                "-http01",
                "",
                "-https01",
                "",
                "-tlsalpn01",
                "",
            ])
            .args(["-doh", "", "-dnsserver", &format!("127.0.0.1:{dns}")])
            .args(["-management", &format!("127.0.0.1:{dns_management}")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(path("dns.log")).expect("a file"))
            .spawn()
            .expect("the DNS server starts");
        let mut made =
            Self { directory, tools, port, management, dns, dns_management, pebble: None, resolver };
        made.listens(dns_management);
        made.start_again();
        Some(made)
    }

    /// Starts a Pebble that was stopped. It knows nobody any more.
    #[track_caller]
    pub fn start_again(&mut self) {
        let log = File::options().create(true).append(true).open(self.path("pebble.log")).expect("a file");
        let pebble = Command::new(self.tools.join("pebble"))
            .arg("-config")
            .arg(self.path("pebble.json"))
            .args(["-dnsserver", &format!("127.0.0.1:{}", self.dns)])
            .env("PEBBLE_VA_NOSLEEP", "1")
            .env("PEBBLE_AUTHZREUSE", "0")
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file"))
            .stderr(log)
            .spawn();
        self.pebble = Some(pebble.expect("Pebble starts"));
        self.listens(self.port);
        self.listens(self.management);
    }

    /// Stops Pebble, as if it had lost its power.
    pub fn stop(&mut self) {
        if let Some(mut pebble) = self.pebble.take() {
            let _ = pebble.kill();
            let _ = pebble.wait();
        }
    }

    #[track_caller]
    fn listens(&self, port: u16) {
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            assert!(Instant::now() < deadline, "nobody listens:\n{}{}", self.log(), self.text("dns.log"));
            // There is no event to wait for: another process is about to listen.
            std::thread::park_timeout(GLANCE);
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The directory's address.
    pub fn url(&self) -> String {
        format!("https://localhost:{}/dir", self.port)
    }

    /// What the server's certificate is to be trusted by.
    pub fn ca(&self) -> PathBuf {
        self.path("certificate.pem")
    }

    /// Everything that it wrote.
    pub fn log(&self) -> String {
        self.text("pebble.log")
    }

    fn text(&self, name: &str) -> String {
        String::from_utf8_lossy(&fs::read(self.path(name)).unwrap_or_default()).into_owned()
    }

    /// How many orders it was asked for.
    pub fn orders(&self) -> usize {
        // Not the requests: Pebble refuses one good nonce in twenty, and a client then asks once more.
        self.log().matches("Added order ").count()
    }

    /// The root that its certificates lead to, in PEM.
    pub async fn root(&self) -> String {
        let mut client = Client::trusting(self.management, Path::new(&self.ca())).expect("a client");
        let host = format!("localhost:{}", self.management);
        client.request(Method::GET, &host, "/roots/0", None, None).await.expect("a root").text()
    }

    /// Leads a name to another address than ours.
    pub async fn lead(&self, name: &str, address: Ipv4Addr) {
        let body = json!({"host": format!("{name}."), "addresses": [address]}).to_string();
        let mut client = Client::tcp(self.dns_management);
        let done = client.request(Method::POST, "localhost", "/add-a", None, Some(body.as_bytes())).await;
        assert!(done.expect("the DNS server answers").status.is_success());
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        self.stop();
        let _ = self.resolver.kill();
        let _ = self.resolver.wait();
    }
}

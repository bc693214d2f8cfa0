//! TLS for the server's doors: which certificate is shown to whom, and how it stays fresh.
//!
//! By default our own authority ([`authority`]) issues a short-lived leaf for our names, and a second one for
//! Microsoft's names when clients are captured; an operator may give certificate files instead ([`files`]). Which
//! one is shown depends on the name the client asks for (SNI) and nothing else. Renewal and re-reading happen in
//! [`Tls::tick`], which is told the time.

pub mod authority;
pub mod files;

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use vouchsafe_domain::ports::Entropy;
use vouchsafe_domain::time::Timestamp;

use crate::http::plane::{
    Host, PUBLIC_GRAPH_HOST, PUBLIC_LOGIN_ALIASES, PUBLIC_LOGIN_HOST, PUBLIC_RESOURCE_MANAGER_HOST,
    PUBLIC_VAULT_SUFFIX,
};
use authority::{Authority, Leaf};
use files::{CertificateFiles, Loaded};

/// Why TLS cannot be set up or renewed.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The stored authority cannot be used.
    #[error("the stored certificate authority cannot be used: {0}")]
    Authority(String),
    /// A name that no client would accept, or that would claim too much.
    #[error("`{name}` cannot stand in the server's certificate: {problem}")]
    Name {
        /// The name.
        name: String,
        /// What is wrong and what would be right.
        problem: &'static str,
    },
    /// Issuing failed.
    #[error("the certificate could not be issued: {0}")]
    Issue(#[from] rcgen::Error),
    /// A certificate or key file cannot be used.
    #[error("`{path}` cannot be used: {problem}")]
    File {
        /// The file.
        path: String,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// rustls refused the configuration.
    #[error("TLS could not be configured: {0}")]
    Configuration(#[from] rustls::Error),
    /// A file could not be written.
    #[error("`{path}` could not be written: {source}")]
    Write {
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
}

/// The names that the main certificate covers.
#[derive(Clone, Debug)]
pub struct CertificateNames {
    /// The parent of vault names; every vault directly under it is covered.
    pub vault_suffix: Host,
    /// Names and addresses besides `localhost`, 127.0.0.1 and ::1.
    pub extra: Vec<Host>,
}

impl CertificateNames {
    /// The subject alternative names; refuses wildcards that clients reject or that would cover strangers.
    fn subject_alternative_names(&self) -> Result<Vec<String>, TlsError> {
        let suffix = self.vault_suffix.as_str();
        let name_problem = |problem| TlsError::Name { name: format!("*.{suffix}"), problem };
        if suffix.parse::<IpAddr>().is_ok() {
            return Err(name_problem("vaults are found by name; choose a name as the vault suffix"));
        }
        // Node, OpenSSL and webpki refuse a wildcard directly under a top-level name, `*.localhost` included.
        if !suffix.contains('.') {
            return Err(name_problem("the vault suffix needs at least two labels, like `vault.localhost`"));
        }
        let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
        names.extend([suffix.to_owned(), format!("*.{suffix}")]);
        for extra in self.extra.iter().map(Host::as_str) {
            if !names.iter().any(|name| name == extra) {
                names.push(extra.to_owned());
            }
        }
        Ok(names)
    }
}

/// Microsoft's names, as far as we answer for them.
fn capture_names() -> Vec<String> {
    let fixed = [PUBLIC_LOGIN_HOST, PUBLIC_RESOURCE_MANAGER_HOST, PUBLIC_GRAPH_HOST];
    let vaults = format!("*.{PUBLIC_VAULT_SUFFIX}");
    fixed.into_iter().chain(PUBLIC_LOGIN_ALIASES).map(str::to_owned).chain([vaults]).collect()
}

fn is_capture_name(sni: &str) -> bool {
    // rustls has lower-cased and validated the name already; a vault is exactly one label below the suffix.
    let under = sni.strip_suffix(PUBLIC_VAULT_SUFFIX).and_then(|rest| rest.strip_suffix('.'));
    under.is_some_and(|label| !label.is_empty() && !label.contains('.'))
        || [PUBLIC_LOGIN_HOST, PUBLIC_RESOURCE_MANAGER_HOST, PUBLIC_GRAPH_HOST].contains(&sni)
        || PUBLIC_LOGIN_ALIASES.contains(&sni)
}

/// Where the main certificate comes from.
pub enum MainCertificate {
    /// Our authority issues it.
    Issued(CertificateNames),
    /// The operator gives it.
    Files(CertificateFiles),
}

/// The server's certificates, kept fresh by [`Tls::tick`].
pub struct Tls {
    authority: Authority,
    main: MainCertificate,
    capture: bool,
    shown: Arc<Shown>,
    config: Arc<ServerConfig>,
    state: std::sync::Mutex<State>,
}

struct State {
    main: Option<Leaf>,
    files: Option<Loaded>,
    capture: Option<Leaf>,
}

/// The certificates handshakes choose from; replaced as a whole, so that a handshake sees one state.
struct Shown(ArcSwap<Pair>);

struct Pair {
    main: Arc<CertifiedKey>,
    capture: Option<Arc<CertifiedKey>>,
}

impl std::fmt::Debug for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shown")
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let pair = self.0.load();
        match (&pair.capture, hello.server_name()) {
            (Some(capture), Some(name)) if is_capture_name(name) => Some(capture.clone()),
            _ => Some(pair.main.clone()),
        }
    }
}

/// What a [`Tls::tick`] did.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Ticked {
    /// The main certificate was replaced.
    pub main: bool,
    /// The capture certificate was replaced.
    pub capture: bool,
    /// The given files changed but cannot be used; the old certificate stays.
    pub files_refused: bool,
}

impl Tls {
    /// Issues or reads the first certificates.
    pub fn new(
        authority: Authority,
        main: MainCertificate,
        capture: bool,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<Self, TlsError> {
        let mut state = State { main: None, files: None, capture: None };
        let main_key = match &main {
            MainCertificate::Issued(names) => {
                let leaf = authority.issue(&names.subject_alternative_names()?, now, entropy)?;
                let key = leaf.key.clone();
                state.main = Some(leaf);
                key
            }
            MainCertificate::Files(files) => {
                let loaded = files.load()?;
                if loaded.expired(now) {
                    tracing::error!(path = %files.chain.display(), "the given certificate is not valid now");
                }
                let key = loaded.key.clone();
                state.files = Some(loaded);
                key
            }
        };
        if capture {
            state.capture = Some(authority.issue(&capture_names(), now, entropy)?);
        }
        let capture_key = state.capture.as_ref().map(|leaf| leaf.key.clone());
        let shown = Arc::new(Shown(ArcSwap::from_pointee(Pair { main: main_key, capture: capture_key })));
        let config = server_config(shown.clone())?;
        Ok(Self { authority, main, capture, shown, config, state: std::sync::Mutex::new(state) })
    }

    /// The configuration for accepting connections; it never changes, the certificates behind it do.
    pub fn server_config(&self) -> Arc<ServerConfig> {
        self.config.clone()
    }

    /// The authority behind issued certificates.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Renews what is due and re-reads given files; call it every minute or so.
    ///
    /// Whatever fails keeps the certificate that is shown now, and says so in the log.
    pub fn tick(&self, now: Timestamp, entropy: &dyn Entropy) -> Ticked {
        let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut ticked = Ticked::default();
        match &self.main {
            MainCertificate::Issued(names) => {
                if state.main.as_ref().is_none_or(|leaf| leaf.due(now)) {
                    let issued = names
                        .subject_alternative_names()
                        .and_then(|names| self.authority.issue(&names, now, entropy));
                    ticked.main = keep(issued, &mut state.main);
                }
            }
            MainCertificate::Files(files) => match files.reload(state.files.as_ref(), now) {
                Ok(None) => {}
                Ok(Some(loaded)) => {
                    tracing::info!(path = %files.chain.display(), "the given certificate changed and is in use");
                    state.files = Some(loaded);
                    ticked.main = true;
                }
                Err(error) => {
                    tracing::error!(%error, "the given certificate changed and cannot be used; the old one stays");
                    ticked.files_refused = true;
                }
            },
        }
        if self.capture && state.capture.as_ref().is_none_or(|leaf| leaf.due(now)) {
            ticked.capture = keep(self.authority.issue(&capture_names(), now, entropy), &mut state.capture);
        }
        if ticked.main || ticked.capture {
            let old = self.shown.0.load_full();
            let main = state.main.as_ref().map(|leaf| leaf.key.clone());
            let main = main.or_else(|| state.files.as_ref().map(|files| files.key.clone()));
            let pair = Pair {
                main: main.unwrap_or_else(|| old.main.clone()),
                capture: state.capture.as_ref().map(|leaf| leaf.key.clone()),
            };
            self.shown.0.store(Arc::new(pair));
        }
        ticked
    }

    /// Writes `ca.pem` and `ca-bundle.pem` (the system's roots and ours) for clients into a directory.
    pub fn write_trust(&self, directory: &Path) -> Result<(), TlsError> {
        self.authority.write_trust(directory)
    }
}

fn keep(issued: Result<Leaf, TlsError>, place: &mut Option<Leaf>) -> bool {
    match issued {
        Ok(leaf) => {
            *place = Some(leaf);
            true
        }
        Err(error) => {
            tracing::error!(%error, "the server's certificate could not be renewed; the old one stays");
            false
        }
    }
}

/// TLS 1.2 and 1.3 with aws-lc-rs named here, so that no process-wide default decides.
fn server_config(shown: Arc<Shown>) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_no_client_auth()
        .with_cert_resolver(shown);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests;

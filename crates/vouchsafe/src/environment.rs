//! The environment that unmodified SDKs need (wire facts §2.3, §6.1, §12), and where the agent says what it is.
//!
//! Nothing in here is a credential: the identity header only keeps simple server-side request forgeries out, and its
//! value is the same everywhere. Who a process is, the kernel says.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde::{Deserialize, Serialize};
use vouchsafe_crypto::digest::sha1;

/// What `run` and `env` must know of an agent. The agent keeps it beside its socket, for its owner only.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct AgentFacts {
    /// The metadata endpoints.
    pub imds: String,
    /// The forward proxy.
    pub proxy: String,
    /// The server's certificate authority.
    pub ca_file: String,
    /// The system's roots and that authority in one file.
    pub ca_bundle: String,
    /// The same as `ca_bundle` for Java, which reads no PEM; empty where it could not be made.
    #[serde(default)]
    pub java_truststore: String,
}

const FACTS_FILE: &str = "agent.json";

impl AgentFacts {
    /// Keeps the facts beside the agent's socket, and Java's trust store with them.
    pub fn keep(&mut self, directory: &Path) -> Result<()> {
        use std::io::Write as _;
        use std::os::unix::fs::OpenOptionsExt as _;
        let truststore = directory.join("truststore.jks");
        let written = java_truststore(Path::new(&self.ca_bundle))
            .and_then(|bytes| std::fs::write(&truststore, bytes).context("it cannot be written"));
        match written {
            Ok(()) => self.java_truststore = truststore.display().to_string(),
            Err(error) => tracing::warn!(%error, "there is no trust store for Java programs"),
        }
        let (path, partial) = (directory.join(FACTS_FILE), directory.join("agent.json.new"));
        let mut file =
            std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&partial)?;
        file.write_all(&serde_json::to_vec_pretty(self)?)?;
        std::fs::rename(&partial, &path).with_context(|| format!("cannot write `{}`", path.display()))
    }

    /// Reads the facts of the agent in `directory`.
    pub fn read(directory: &Path) -> Result<Self> {
        let path = directory.join(FACTS_FILE);
        let text = std::fs::read(&path).with_context(|| {
            format!("cannot read `{}`; is `vouchsafe agent` or `vouchsafe dev` running?", path.display())
        })?;
        serde_json::from_slice(&text).with_context(|| format!("`{}` cannot be read", path.display()))
    }

    /// The variables, in the order in which they are printed.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        let mut variables = vec![
            ("IDENTITY_ENDPOINT", format!("{}/msi/token", self.imds)),
            ("IDENTITY_HEADER", "attested-by-the-kernel".to_owned()),
            ("AZURE_POD_IDENTITY_AUTHORITY_HOST", self.imds.clone()),
        ];
        for name in ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"] {
            variables.push((name, self.proxy.clone()));
        }
        for name in ["NO_PROXY", "no_proxy"] {
            // Only the address: `localhost` would also take `*.vault.localhost` away from the proxy.
            variables.push((name, "127.0.0.1".to_owned()));
        }
        for name in ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"] {
            variables.push((name, self.ca_bundle.clone()));
        }
        variables.push(("NODE_EXTRA_CA_CERTS", self.ca_file.clone()));
        variables.push(("JAVA_TOOL_OPTIONS", self.java_options()));
        variables
    }

    /// Java knows neither the proxy variables nor PEM, but every virtual machine reads this one variable. What it
    /// held before stays, and comes last so that it wins.
    fn java_options(&self) -> String {
        let mut options = Vec::new();
        if !self.java_truststore.is_empty() {
            options.push(format!("\"-Djavax.net.ssl.trustStore={}\"", self.java_truststore));
            options.push("-Djavax.net.ssl.trustStoreType=JKS".to_owned());
        }
        let proxy = self.proxy.trim_start_matches("http://").rsplit_once(':');
        if let Some((host, port)) = proxy {
            for scheme in ["https", "http"] {
                options.push(format!("-D{scheme}.proxyHost={host} -D{scheme}.proxyPort={port}"));
            }
            options.push("-Dhttp.nonProxyHosts=127.0.0.1".to_owned());
        }
        // Passed on, not read as configuration of ours.
        options.extend(std::env::var_os("JAVA_TOOL_OPTIONS").and_then(|before| before.into_string().ok()));
        options.join(" ")
    }
}

/// The certificates of a PEM file as a Java key store: a magic number and a version, the entries, and a digest that
/// covers them together with a password. It guards nothing, for the certificates are public; Java checks it only when
/// it is given a password.
fn java_truststore(bundle: &Path) -> Result<Vec<u8>> {
    const MAGIC: u32 = 0xfeed_feed;
    const VERSION: u32 = 2;
    const TRUSTED_CERTIFICATE: u32 = 2;
    const PASSWORD: &str = "changeit";
    const WHITENER: &[u8] = b"Mighty Aphrodite";

    let pem = std::fs::read(bundle).with_context(|| format!("`{}` cannot be read", bundle.display()))?;
    let certificates: Vec<CertificateDer<'_>> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .context("not a bundle of certificates")?;
    let mut store = Vec::new();
    for number in [MAGIC, VERSION, u32::try_from(certificates.len())?] {
        store.extend(number.to_be_bytes());
    }
    let text = |store: &mut Vec<u8>, text: &str| -> Result<()> {
        store.extend(u16::try_from(text.len())?.to_be_bytes());
        store.extend(text.as_bytes());
        Ok(())
    };
    for (index, certificate) in certificates.iter().enumerate() {
        store.extend(TRUSTED_CERTIFICATE.to_be_bytes());
        text(&mut store, &format!("root-{index}"))?;
        // The date of the entry, which nothing looks at.
        store.extend(0_u64.to_be_bytes());
        text(&mut store, "X.509")?;
        store.extend(u32::try_from(certificate.len())?.to_be_bytes());
        store.extend_from_slice(certificate);
    }
    let mut digested: Vec<u8> = PASSWORD.encode_utf16().flat_map(u16::to_be_bytes).collect();
    digested.extend(WHITENER);
    digested.extend(&store);
    store.extend(sha1(&digested));
    Ok(store)
}

/// Where the agent that belongs to a server's socket keeps its own: `DATA/agent` beside `DATA/admin`, unless a
/// separate agent runs.
pub fn agent_directory(admin_socket: &Path) -> PathBuf {
    let beside = admin_socket.parent().and_then(Path::parent).map(|data| data.join("agent"));
    match beside {
        Some(beside) if beside.join(FACTS_FILE).exists() => beside,
        Some(beside) if !Path::new(SEPARATE_AGENT).exists() => beside,
        _ => PathBuf::from(SEPARATE_AGENT),
    }
}

const SEPARATE_AGENT: &str = "/run/vouchsafe-agent";

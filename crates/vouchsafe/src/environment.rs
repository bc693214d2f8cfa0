//! The environment that unmodified SDKs need (wire facts §2.3, §6.1, §12), and where the agent says what it is.
//!
//! Nothing in here is a credential: the identity header only keeps simple server-side request forgeries out, and its
//! value is the same everywhere. Who a process is, the kernel says.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

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
}

const FACTS_FILE: &str = "agent.json";

impl AgentFacts {
    /// Keeps the facts beside the agent's socket.
    pub fn keep(&self, directory: &Path) -> Result<()> {
        use std::io::Write as _;
        use std::os::unix::fs::OpenOptionsExt as _;
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
        variables
    }
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

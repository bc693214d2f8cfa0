//! `vouchsafe doctor`: finds out what is wrong, and says what to do.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use tokio::net::TcpStream;
use vouchsafe_store::root::{ProviderKind, RootRecord};

use super::clock;
use crate::cli::Global;
use crate::client::Client;
use crate::environment::{AgentFacts, agent_directory};
use crate::output;

struct Findings {
    rows: Vec<[String; 3]>,
    bad: bool,
}

impl Findings {
    fn add(&mut self, what: &str, found: Result<String, String>) {
        let (mark, text) = match found {
            Ok(text) => ("ok", text),
            Err(text) => {
                self.bad = true;
                ("FAIL", text)
            }
        };
        self.rows.push([mark.to_owned(), what.to_owned(), text]);
    }
}

pub async fn doctor(global: &Global) -> Result<ExitCode> {
    let mut findings = Findings { rows: Vec::new(), bad: false };
    let status = Client::new(global).status().await;
    match &status {
        Err(error) => findings.add("server", Err(format!("{error:#}"))),
        Ok(status) => {
            let ready =
                if status.ready { Ok("ready".to_owned()) } else { Err("not ready; see its log".to_owned()) };
            findings.add("server", ready);
            let behind = status.log.size.saturating_sub(status.log.checkpoint_size);
            let log = format!("{} entries, {behind} not yet under a signed checkpoint", status.log.size);
            findings.add("audit log", if behind <= 4_096 { Ok(log) } else { Err(log) });
            findings.add("clock", clock::said(&status.clock));
            let ca = Path::new(&status.endpoints.ca_file);
            let readable = std::fs::metadata(ca).map(|_| ca.display().to_string()).map_err(|error| {
                format!("cannot read `{}`: {error}; clients cannot trust the server without it", ca.display())
            });
            findings.add("certificate authority", readable);
            for (what, found) in root_providers(Path::new(&status.endpoints.data)) {
                findings.add(&what, found);
            }
            let suffix = &status.endpoints.vault_suffix;
            findings.add("vault names", resolves(suffix).await);
        }
    }
    match AgentFacts::read(&agent_directory(&global.socket)) {
        Err(error) => findings.add("agent", Err(format!("{error:#}"))),
        Ok(facts) => {
            for (what, url) in [("metadata endpoint", &facts.imds), ("proxy", &facts.proxy)] {
                let address = url.strip_prefix("http://").unwrap_or(url);
                let reached = TcpStream::connect(address).await;
                findings.add(what, reached.map(|_| url.clone()).map_err(|error| format!("{url}: {error}")));
            }
        }
    }
    output::line(&output::table(["", "", ""], findings.rows));
    Ok(if findings.bad { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Who can open the deployment, and whether it hangs on one thread.
fn root_providers(data: &Path) -> Vec<(String, Result<String, String>)> {
    let record = match RootRecord::load(data) {
        Err(error) => return vec![("root key".to_owned(), Err(error.to_string()))],
        Ok(None) => {
            let text = "the key file or credential holds the root key itself; `vouchsafe rekey root-provider add` makes a \
                        record";
            return vec![("root key".to_owned(), Ok(text.to_owned()))];
        }
        Ok(Some(record)) => record,
    };
    let providers = record.providers();
    let mut found: Vec<_> = providers
        .iter()
        .map(|provider| (format!("root key: {}", provider.name), Ok(provider.detail.clone())))
        .collect();
    if let Some(path) = record.key_file(data) {
        let there = path.metadata().map(|_| format!("{} is there", path.display()));
        let there = there.map_err(|error| format!("{}: {error}", path.display()));
        found.push(("root key file".to_owned(), there));
    }
    if !providers.iter().any(|provider| provider.kind == ProviderKind::Recovery) {
        let text = "no quorum: if the providers above are lost, everything is";
        found.push(("recovery".to_owned(), Ok(text.to_owned())));
    }
    found
}

/// Whether vault names resolve without the proxy. That they do not is usual, and no fault: the proxy resolves them.
async fn resolves(suffix: &str) -> Result<String, String> {
    match tokio::net::lookup_host(format!("doctor.{suffix}")).await {
        Ok(_) => Ok(format!("*.{suffix} resolves on this machine")),
        Err(_) => Ok(format!(
            "*.{suffix} does not resolve here; programs under `vouchsafe run` reach vaults through the proxy, others \
             need a line in the hosts file"
        )),
    }
}

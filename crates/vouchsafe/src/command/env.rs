//! `vouchsafe env`: the environment for a shell that is running already.

use std::process::ExitCode;

use anyhow::{Result, bail};
use vouchsafe_agent::{BindingRequest, Until, bind};

use crate::cli::{Env, EnvFormat, Global};
use crate::environment::{AgentFacts, agent_directory};
use crate::output;

pub async fn env(global: &Global, arguments: &Env) -> Result<ExitCode> {
    let directory = agent_directory(&global.socket);
    let variables = AgentFacts::read(&directory)?.variables();
    if let Some(identity) = &arguments.identity {
        let Some(shell) = rustix::process::getppid() else { bail!("the calling shell cannot be found") };
        let root_pid = u32::try_from(shell.as_raw_nonzero().get())?;
        let wanted = BindingRequest { identity: identity.clone(), root_pid, until: Until::Exit };
        drop(bind(&directory.join("agent.sock"), &wanted).await?);
    }
    match arguments.format {
        EnvFormat::Shell => {
            for (name, value) in &variables {
                output::line(&format!("export {name}={}", quoted(value)));
            }
        }
        EnvFormat::Dotenv => {
            for (name, value) in &variables {
                output::line(&format!("{name}={}", quoted(value)));
            }
        }
        EnvFormat::Json => {
            let members = variables.into_iter().map(|(name, value)| (name.to_owned(), value.into()));
            output::line(&serde_json::to_string_pretty(&members.collect::<serde_json::Map<_, _>>())?);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// In single quotes, which both shells and `.env` readers take literally.
fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\'', "'\\''"))
}

//! One file a command.

pub mod apply;
mod audit;
mod byok;
mod certificate;
mod clock;
mod doctor;
mod env;
mod identity;
mod init;
mod key;
mod object;
mod recover;
mod rekey;
mod role;
pub mod root_source;
mod run;
mod secret;
mod token;
mod vault;

use std::process::ExitCode;

use anyhow::Result;
use clap::CommandFactory;

use crate::cli::{Cli, Command};
use crate::client::Client;
use crate::serving;

/// Runs the command that was typed.
pub async fn run(cli: Cli) -> Result<ExitCode> {
    let Cli { global, command } = cli;
    let client = Client::new(&global);
    match &command {
        Command::Init(arguments) => init::init(arguments).await,
        Command::Serve(arguments) => serving::serve(arguments).await,
        Command::Agent(arguments) => serving::agent(&global, arguments).await,
        Command::Dev(arguments) => serving::dev(arguments).await,
        Command::Run(arguments) => run::run(&global, arguments).await,
        Command::Env(arguments) => env::env(&global, arguments).await,
        Command::Apply(arguments) => apply::apply(&client, global.output, arguments).await,
        Command::Secret(command) => secret::secret(&client, global.output, command).await,
        Command::Key(command) => key::key(&client, global.output, command).await,
        Command::Byok(command) => byok::byok(&client, global.output, command).await,
        Command::Certificate(command) => certificate::certificate(&client, global.output, command).await,
        Command::Vault(command) => vault::vault(&client, global.output, command).await,
        Command::Identity(command) => identity::identity(&client, global.output, command).await,
        Command::Role(command) => role::role(&client, global.output, command).await,
        Command::Token(command) => token::token(&client, global.output, command).await,
        Command::Audit(command) => audit::audit(&client, global.output, command).await,
        Command::Clock(command) => clock::clock(&client, global.output, command).await,
        Command::Rekey(command) => rekey::rekey(&client, global.output, command).await,
        Command::Recover(arguments) => recover::recover(arguments).await,
        Command::OpenShare(arguments) => recover::open_share(arguments),
        Command::Doctor => doctor::doctor(&global).await,
        Command::Completion { shell } => {
            clap_complete::generate(*shell, &mut Cli::command(), "vouchsafe", &mut std::io::stdout());
            Ok(ExitCode::SUCCESS)
        }
        Command::Pkcs11Module => anyhow::bail!("the process of a module is served without a runtime"),
    }
}

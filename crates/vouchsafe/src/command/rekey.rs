//! `vouchsafe rekey`: who can open a deployment, and the keys under which it is kept.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use http::Method;
use vouchsafe_server::adapters::SystemEntropy;
use vouchsafe_server::assemble;
use vouchsafe_store::root::RootRecord;
use vouchsafe_wire::admin::RekeyStatus;

use super::root_source::{self, Chips};
use crate::cli::{Deployment, Format, Rekey, RootKey, RootProvider};
use crate::client::Client;
use crate::output;

pub async fn rekey(client: &Client, format: Format, command: &Rekey) -> Result<ExitCode> {
    match command {
        Rekey::RootProvider(command) => root_provider(command).await,
        Rekey::Root { deployment, with, shares_dir } => root(deployment, with, shares_dir).await,
        Rekey::Kek { status, no_wait } => kek(client, format, *status, *no_wait).await,
    }
}

async fn root_provider(command: &RootProvider) -> Result<ExitCode> {
    match command {
        RootProvider::List { data } => {
            let Some(record) = RootRecord::load(data)? else {
                output::line(
                    "the key file or credential holds the root key itself (the layout before records)",
                );
                return Ok(ExitCode::SUCCESS);
            };
            let rows = record
                .providers()
                .into_iter()
                .map(|provider| [provider.name, provider.kind.to_string(), provider.detail]);
            output::line(&output::table(["Name", "Kind", "Detail"], rows));
        }
        RootProvider::Add { source, deployment, name, tpm, quorum } => {
            let recovery = root_source::recovery(quorum)?;
            let added = match source {
                Some(source) => {
                    let chips = Chips { tpm_pcrs: &tpm.tpm_pcrs, hsm: &deployment.root_key.hsm };
                    Some(root_source::sealing(Some(source), &deployment.data, chips)?)
                }
                None => None,
            };
            let mut ceremony = begin(deployment, "rootProviders/write", "provider_added").await?;
            if let Some(source) = added {
                let name = name.clone().unwrap_or_else(|| source.kind().to_string());
                ceremony.add(&name, &source, &SystemEntropy)?;
                output::line(&format!("`{name}` can open the deployment from now on"));
            }
            if let Some(recovery) = recovery {
                let shares = &quorum.shares_dir;
                ceremony
                    .add_recovery(&recovery, &SystemEntropy, |files| root_source::deliver(shares, files))?;
                output::line(&format!("the shares are in {}", shares.display()));
            }
        }
        RootProvider::Remove { name, deployment } => {
            let mut ceremony = begin(deployment, "rootProviders/delete", "provider_removed").await?;
            ceremony.remove(name)?;
            output::line(&format!(
                "`{name}` is removed; whoever kept a copy of root.json can still use it there: run `vouchsafe rekey root` \
                 if that matters"
            ));
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn begin(
    deployment: &Deployment,
    action: &str,
    reason: &str,
) -> Result<vouchsafe_store::deployment::Ceremony> {
    let source = root_source::opening(&deployment.root_key, &deployment.data)?;
    Ok(assemble::ceremony(&deployment.data, &source, &format!("vouchsafe/{action}"), reason).await?)
}

async fn root(deployment: &Deployment, with: &[String], shares_dir: &Path) -> Result<ExitCode> {
    let first = root_source::remembering(&root_source::opening(&deployment.root_key, &deployment.data)?)?;
    let mut sources = vec![first.clone()];
    for source in with {
        let other = RootKey { root_key: Some(source.clone()), hsm: deployment.root_key.hsm.clone() };
        sources.push(root_source::opening(&other, &deployment.data)?);
    }
    let data = &deployment.data;
    let ceremony =
        assemble::ceremony(data, &first, "vouchsafe/rootKey/rekey/action", "root_replaced").await?;
    let mut delivered = 0;
    ceremony
        .replace_root(&sources, &SystemEntropy, |files| {
            delivered = files.len();
            root_source::deliver(shares_dir, files)
        })
        .await?;
    output::line("the root key is replaced, for every provider");
    if delivered > 0 {
        output::line(&format!(
            "{delivered} new shares in {}; the earlier ones open nothing any more",
            shares_dir.display()
        ));
    }
    output::line("if the old one may be known: start the server and run `vouchsafe rekey kek` too");
    Ok(ExitCode::SUCCESS)
}

const POLL: Duration = Duration::from_millis(500);

async fn kek(client: &Client, format: Format, only_status: bool, no_wait: bool) -> Result<ExitCode> {
    let method = if only_status { Method::GET } else { Method::POST };
    let mut status: RekeyStatus = client.json(method, "vouchsafe", "/admin/v1/rekey", None).await?;
    while !only_status && !no_wait && status.state != "done" {
        if format == Format::Human {
            eprintln!("{}", human(&status));
        }
        tokio::time::sleep(POLL).await;
        status = client.json(Method::GET, "vouchsafe", "/admin/v1/rekey", None).await?;
        if status.state == "idle" {
            bail!("the server was started anew meanwhile; run `vouchsafe rekey kek --status`");
        }
    }
    output::print(format, &status, human)?;
    Ok(ExitCode::SUCCESS)
}

fn human(status: &RekeyStatus) -> String {
    let RekeyStatus { state, partitions, partitions_done, records_seen, records_sealed, strays, problem } =
        status;
    let mut text = format!(
        "{state}: {partitions_done} of {partitions} key rings done, {records_seen} records looked at, {records_sealed} \
         sealed anew"
    );
    if *strays > 0 {
        text += &format!("; {strays} rings of vaults that are gone still use older keys, which are kept");
    }
    if let Some(problem) = problem {
        text += &format!("; {problem}");
    }
    text
}

//! `vouchsafe recover` and `open-share`: a quorum of custodians lets a deployment in again.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow};
use vouchsafe_crypto::{Reason, SecretString};
use vouchsafe_server::adapters::SystemEntropy;
use vouchsafe_server::assemble;
use vouchsafe_store::root::{OpenedShare, RootKeySource, ShareFile};
use zeroize::Zeroizing;

use super::root_source::{self, Chips};
use crate::cli::{OpenShare, Recover};
use crate::output;

pub async fn recover(arguments: &Recover) -> Result<ExitCode> {
    let mut shares = Vec::new();
    for path in &arguments.shares {
        let line = Zeroizing::new(read(path)?);
        let from = format!("`{}`", path.display());
        shares.push(OpenedShare::parse(&from, &line).map_err(|problem| {
            anyhow!("{problem}; it must be decrypted by its custodian first, for example with `vouchsafe open-share`")
        })?);
    }
    let data = &arguments.data;
    let quorum = RootKeySource::Quorum(shares.into());
    let chips = Chips { tpm_pcrs: &arguments.tpm.tpm_pcrs, hsm: &arguments.hsm };
    let source = root_source::sealing(Some(&arguments.to), data, chips)?;
    let mut ceremony =
        assemble::ceremony(data, &quorum, "vouchsafe/rootKey/recover/action", "quorum").await?;
    let name = arguments.name.clone().unwrap_or_else(|| source.kind().to_string());
    // A lost provider of the same name makes room for the new one, but the new one has to stand first.
    let taken = arguments.remove.contains(&name);
    let standing = if taken { format!("{name}-new") } else { name };
    ceremony.add(&standing, &source, &SystemEntropy)?;
    for lost in &arguments.remove {
        ceremony.remove(lost)?;
    }
    output::line(&format!("`{standing}` can open the deployment from now on"));
    output::line("delete the decrypted shares; if one was seen by others, set up a new quorum");
    Ok(ExitCode::SUCCESS)
}

pub fn open_share(arguments: &OpenShare) -> Result<ExitCode> {
    let share = ShareFile::parse(&read(&arguments.share)?).map_err(|problem| anyhow!(problem))?;
    let key = String::from_utf8(read(&arguments.key)?).context("the key is not text")?;
    let opened = share.open(&SecretString::new(key)).map_err(|problem| anyhow!(problem))?;
    let mut options = std::fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&arguments.out)
        .with_context(|| format!("cannot create `{}`", arguments.out.display()))?;
    file.write_all(opened.line().expose(Reason::OwnerOnlyFile).as_bytes())?;
    output::line(&format!(
        "share {} of {} ({} are needed) in {}",
        share.index,
        share.shares,
        share.threshold,
        arguments.out.display()
    ));
    Ok(ExitCode::SUCCESS)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))
}

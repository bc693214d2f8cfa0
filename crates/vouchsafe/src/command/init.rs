//! `vouchsafe init`: makes a deployment, explicitly, and says who can open it from now on.

use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use vouchsafe_server::assemble::{self, FirstTenant};
use vouchsafe_store::root::{ProviderKind, RootKeySource};

use super::root_source::{self, Chips};
use crate::cli::{Init, RootKey};
use crate::output;

pub async fn init(arguments: &Init) -> Result<ExitCode> {
    let RootKey { root_key, hsm } = &arguments.root_key;
    let chips = Chips { tpm_pcrs: &arguments.tpm.tpm_pcrs, hsm };
    let source = root_source::sealing(root_key.as_deref(), &arguments.data, chips)?;
    let recovery = root_source::recovery(&arguments.quorum)?;
    let shares_dir = &arguments.quorum.shares_dir;
    if recovery.is_some() && shares_dir.exists() {
        bail!("`{}` already exists; shares are never written over others", shares_dir.display());
    }
    if let Some(parent) = arguments.data.parent() {
        std::fs::create_dir_all(parent).with_context(|| format!("cannot create `{}`", parent.display()))?;
    }
    let first = FirstTenant {
        id: None,
        display_name: arguments.tenant_name.clone(),
        domain: arguments.domain.clone(),
    };
    let data = &arguments.data;
    let (tenant, shares) = match &source {
        // The prompt would come twice: once to seal, once to open what was just made.
        RootKeySource::Passphrase(_) => {
            let opening = root_source::remembering(&source)?;
            assemble::initialise(data, &opening, recovery.as_ref(), &first).await?
        }
        _ => assemble::initialise(data, &source, recovery.as_ref(), &first).await?,
    };
    root_source::deliver(shares_dir, &shares)
        .context("the recovery shares cannot be written; start again")?;
    output::line(&format!("initialised {} with tenant {tenant}", data.display()));
    if let RootKeySource::KeyFile(path) = &source {
        output::line(&format!(
            "root key in {}: without it nothing can be read, so keep a copy apart",
            path.display()
        ));
    }
    if shares.is_empty() {
        let advice = match source.kind() {
            ProviderKind::File => "",
            _ => "; add a recovery quorum with `vouchsafe rekey root-provider add --custodian …`",
        };
        output::line(&format!("the only way in is the provider `{}`{advice}", source.kind()));
    } else {
        output::line(&format!(
            "{} recovery shares in {}: give each to its custodian and delete them here",
            shares.len(),
            shares_dir.display()
        ));
    }
    output::line(&format!(
        "audit public key in {}: copy it to whoever verifies the log",
        data.join("audit/key.pub").display()
    ));
    Ok(ExitCode::SUCCESS)
}

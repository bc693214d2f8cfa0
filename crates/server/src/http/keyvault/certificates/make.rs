//! Making, importing, reading, changing and revoking certificates.

use std::sync::Arc;

use vouchsafe_crypto::SecretString;
use vouchsafe_crypto::pki::RevocationReason;
use vouchsafe_domain::Fault;
use vouchsafe_domain::vault::certificate::{
    CertificateFile, CertificateToCreate, CertificateToImport, CertificateUpdate,
};
use vouchsafe_wire::json::Budget;
use vouchsafe_wire::keyvault::certificate as wire;
use vouchsafe_wire::secret_text::SecretText;

use super::{bundle, heard_attributes, pending, policy, shown};
use crate::http::Request;
use crate::http::app::App;
use crate::http::keyvault::{Asked, BODY, bad, body, name, query, version};
use crate::http::problem::Problem;
use crate::http::refusal::of_vault;
use crate::http::reply::{Reply, Success};

/// How much a body with a file in it may cost: the largest PKCS#12 that is read, in base64.
const FILE: Budget = Budget::new(512 * 1024);

/// Begins; what it comes to is for the client to poll.
pub(super) async fn create(app: Arc<App>, mut request: Request) -> Result<Reply, Problem> {
    let (asked, name, query) = (Asked::of(&request)?, name(&request)?, query(&request)?);
    let given = body(&mut request, &BODY, wire::CreateCertificateRequest::parse).await?;
    let wanted = CertificateToCreate {
        policy: given.policy.map(policy::heard).transpose()?,
        attributes: heard_attributes(given.attributes, given.tags),
        preserve_order: given.preserve_cert_order == Some(true),
    };
    let (context, caller) = (app.context(&request.head), &asked.admitted.caller);
    let begun = app.platform.create_certificate(&context, caller, &asked.vault, &name, &wanted).await;
    let (name, operation, _) = begun.map_err(of_vault)?;
    Ok(pending::begun(&asked, &query, &name, &operation))
}

pub(super) async fn import(app: Arc<App>, mut request: Request) -> Result<Reply, Problem> {
    let (asked, name) = (Asked::of(&request)?, name(&request)?);
    query(&request)?;
    let given = body(&mut request, &FILE, wire::ImportCertificateRequest::parse).await?;
    let secret = |text: SecretText| SecretString::new(std::mem::take(&mut *text.into_exposed()));
    let wanted = CertificateToImport {
        file: CertificateFile::parse(&secret(given.value)).map_err(bad)?,
        password: given.pwd.map(secret),
        policy: given.policy.map(policy::heard).transpose()?,
        attributes: heard_attributes(given.attributes, given.tags),
        preserve_order: given.preserve_cert_order == Some(true),
    };
    let context = app.context(&request.head);
    let (caller, vault) = (asked.admitted.caller.clone(), asked.vault.clone());
    // To try a password and to look at prime numbers takes a while; others are answered meanwhile. The domain looks at
    // neither before the caller's role.
    let runtime = tokio::runtime::Handle::current();
    let import = move || {
        let imported = app.platform.import_certificate(&context, &caller, &vault, &name, &wanted);
        runtime.block_on(imported)
    };
    let imported = tokio::task::spawn_blocking(import).await;
    let imported = imported.map_err(|error| of_vault(Fault::Broken(error.to_string()).into()))?;
    Ok(shown(Success::Ok, &asked, &imported.map_err(of_vault)?))
}

pub(super) async fn get(app: Arc<App>, request: Request) -> Result<Reply, Problem> {
    let (asked, name, version) = (Asked::of(&request)?, name(&request)?, version(&request)?);
    query(&request)?;
    let (context, caller) = (app.context(&request.head), &asked.admitted.caller);
    let read = app.platform.get_certificate(&context, caller, &asked.vault, &name, version).await;
    Ok(shown(Success::Ok, &asked, &read.map_err(of_vault)?))
}

pub(super) async fn update(app: Arc<App>, mut request: Request) -> Result<Reply, Problem> {
    let (asked, name, version) = (Asked::of(&request)?, name(&request)?, version(&request)?);
    query(&request)?;
    let given = body(&mut request, &BODY, wire::UpdateCertificateRequest::parse).await?;
    let update = CertificateUpdate {
        disabled: given.attributes.and_then(|attributes| attributes.enabled).map(|enabled| !enabled),
        tags: given.tags,
        policy: given.policy.map(policy::heard).transpose()?,
    };
    let (context, caller) = (app.context(&request.head), &asked.admitted.caller);
    let (platform, vault) = (&app.platform, &asked.vault);
    let updated = platform.update_certificate(&context, caller, vault, &name, version, &update).await;
    Ok(shown(Success::Ok, &asked, &updated.map_err(of_vault)?))
}

pub(super) async fn get_policy(app: Arc<App>, request: Request) -> Result<Reply, Problem> {
    let (asked, name) = (Asked::of(&request)?, name(&request)?);
    query(&request)?;
    let (context, caller) = (app.context(&request.head), &asked.admitted.caller);
    let found = app.platform.get_certificate_policy(&context, caller, &asked.vault, &name).await;
    let (name, policy, _) = found.map_err(of_vault)?;
    Ok(Reply::json(Success::Ok, &policy::said(&asked, &name, &policy)))
}

pub(super) async fn update_policy(app: Arc<App>, mut request: Request) -> Result<Reply, Problem> {
    let (asked, name) = (Asked::of(&request)?, name(&request)?);
    query(&request)?;
    let given = body(&mut request, &BODY, wire::CertificatePolicy::parse).await?;
    let patch = policy::heard(given)?;
    let (context, caller) = (app.context(&request.head), &asked.admitted.caller);
    let (platform, vault) = (&app.platform, &asked.vault);
    let updated = platform.update_certificate_policy(&context, caller, vault, &name, &patch).await;
    let (name, policy, _) = updated.map_err(of_vault)?;
    Ok(Reply::json(Success::Ok, &policy::said(&asked, &name, &policy)))
}

/// Azure's vaults leave this to issuers outside; an authority in a vault has to be told there.
pub(super) async fn revoke(app: Arc<App>, mut request: Request) -> Result<Reply, Problem> {
    let (asked, name, version) = (Asked::of(&request)?, name(&request)?, version(&request)?);
    query(&request)?;
    let given = body(&mut request, &BODY, wire::RevokeCertificateRequest::parse).await?;
    let reason = match given.reason {
        None | Some(wire::RevocationReason::Unspecified) => RevocationReason::Unspecified,
        Some(wire::RevocationReason::KeyCompromise) => RevocationReason::KeyCompromise,
        Some(wire::RevocationReason::AffiliationChanged) => RevocationReason::AffiliationChanged,
        Some(wire::RevocationReason::Superseded) => RevocationReason::Superseded,
        Some(wire::RevocationReason::CessationOfOperation) => RevocationReason::CessationOfOperation,
        Some(wire::RevocationReason::PrivilegeWithdrawn) => RevocationReason::PrivilegeWithdrawn,
    };
    let (context, caller) = (app.context(&request.head), &asked.admitted.caller);
    let (platform, vault) = (&app.platform, &asked.vault);
    let revoked = platform.revoke_certificate(&context, caller, vault, &name, version, reason).await;
    let (name, version, vault) = revoked.map_err(of_vault)?;
    Ok(Reply::json(Success::Ok, &bundle(&asked, &name, &version, &vault, None, false)))
}

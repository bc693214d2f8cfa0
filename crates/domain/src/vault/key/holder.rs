//! Who holds a key, and what its failures mean.

use vouchsafe_crypto::keys::KeySpec;
use vouchsafe_crypto::{Reason, SecretBytes};

use super::KeyVersion;
use crate::error::Fault;
use crate::platform::Platform;
use crate::ports::hsm::{HeldKey, Hsm, HsmError, KeyRef};
use crate::ports::store::{Key, Kind, Partition, Prefix};
use crate::record::Decode;
use crate::vault::error::Error;
use crate::vault::object::Place;

impl From<HsmError> for Error {
    fn from(error: HsmError) -> Self {
        match error {
            HsmError::Unsupported(_) | HsmError::Refused(_) => Self::BadParameter(error.to_string()),
            HsmError::Unavailable { retry_after_seconds } => {
                Self::Fault(Fault::UnavailableFor { why: error.to_string(), retry_after_seconds })
            }
            HsmError::Locked => Self::Fault(Fault::Unavailable(error.to_string())),
            HsmError::Mismatch | HsmError::NotFound | HsmError::Broken(_) => {
                Self::Fault(Fault::Broken(error.to_string()))
            }
        }
    }
}

/// What a run of a job knows of the token: whether it is well, asked at most once and only if that matters, and how many
/// keys wait because it is not.
///
/// A job comes by every minute. What it announced each time, and could not do, would fill the audit log.
#[derive(Default)]
pub(in crate::vault) struct TokenInRun {
    asked: Option<Result<(), Error>>,
    waiting: usize,
}

impl TokenInRun {
    /// Says once what was left for the next run, and why.
    pub(in crate::vault) fn report(self, what: &str) {
        if let Some(Err(error)) = self.asked {
            let waiting = self.waiting;
            tracing::warn!(waiting, %error, "the token is not well: {what} of keys in it waits");
        }
    }
}

/// A copy of what a holder wants back, for a second attempt or another record.
pub(super) fn copy(material: &SecretBytes) -> SecretBytes {
    SecretBytes::new(material.expose(Reason::Record).to_vec())
}

impl Platform {
    /// Who holds keys in software, or in the token. There is no fallback from one to the other.
    pub(in crate::vault) fn holder(&self, in_token: bool) -> Result<&dyn Hsm, Error> {
        match (in_token, &self.holders.token) {
            (false, _) => Ok(&*self.holders.software),
            (true, Some(token)) => Ok(&**token),
            (true, None) => {
                let problem = "no token is configured on this server: it has no keys in an HSM";
                Err(Error::Fault(Fault::Unavailable(problem.to_owned())))
            }
        }
    }

    /// The holder for a new key of this kind.
    pub(in crate::vault) fn holder_for(&self, in_token: bool, spec: KeySpec) -> Result<&dyn Hsm, Error> {
        if in_token && self.holders.token.is_none() {
            let problem = "no token is configured on this server, so that it makes no keys in an HSM";
            return Err(Error::BadParameter(problem.to_owned()));
        }
        let holder = self.holder(in_token)?;
        if !holder.holds(spec) {
            let problem = "the token of this server does not hold keys of that kind";
            return Err(Error::BadParameter(problem.to_owned()));
        }
        Ok(holder)
    }

    /// Forgets a key that was made and never got into the store. What cannot be forgotten now is found by
    /// [`Platform::token_handles`] later.
    pub(in crate::vault) async fn discard(&self, spec: KeySpec, in_token: bool, made: Option<HeldKey>) {
        let Some(made) = made.filter(|_| in_token) else { return };
        let destroyed = match self.holder(in_token) {
            Ok(holder) => holder.destroy(&made.reference(spec)).await.map_err(Error::from),
            Err(error) => Err(error),
        };
        if let Err(error) = destroyed {
            tracing::warn!(%error, "a key that nothing refers to is left in the token");
        }
    }

    /// Whether a job leaves a key in the token for a later run, because the token is not well.
    pub(in crate::vault) async fn token_must_wait(&self, run: &mut TokenInRun) -> bool {
        if run.asked.is_none() {
            run.asked = Some(match self.holder(true) {
                Ok(token) => token.healthy().await.map_err(Error::from),
                Err(error) => Err(error),
            });
        }
        let waits = matches!(run.asked, Some(Err(_)));
        run.waiting += usize::from(waits);
        waits
    }

    /// What kind of key a version record refers to, if a token holds it.
    pub(in crate::vault) fn token_key(&self, version: &[u8]) -> Result<Option<KeySpec>, Error> {
        let version = KeyVersion::decode(version)?;
        Ok(version.in_token.then_some(version.spec))
    }

    /// Destroys the keys of an object in the token, each once, but not what a restored copy of its records refers to
    /// still. What else the object has of the same key goes with it: the versions of a certificate can share one.
    ///
    /// Whoever calls holds [`Platform::token_references`].
    pub(in crate::vault) async fn destroy_in_token(
        &self,
        object: &Place,
        keys: &[(KeySpec, SecretBytes)],
    ) -> Result<(), Error> {
        let mut needed = self.token_handles().await?;
        needed.retain(|(place, _)| !object.owns(place));
        let holder = self.holder(true)?;
        let mut destroyed: Vec<&SecretBytes> = Vec::with_capacity(keys.len());
        for (spec, material) in keys {
            let same = |other: &SecretBytes| other.matches(material.expose(Reason::Record));
            if destroyed.iter().any(|other| same(other)) || needed.iter().any(|(_, other)| same(other)) {
                continue;
            }
            holder.destroy(&KeyRef { spec: *spec, material }).await?;
            destroyed.push(material);
        }
        Ok(())
    }

    /// What the holder gives out for a backup, and takes back in [`Platform::import_material`].
    pub(in crate::vault) async fn export_material(
        &self,
        version: &[u8],
        material: SecretBytes,
    ) -> Result<SecretBytes, Error> {
        let KeyVersion { spec, in_token, .. } = KeyVersion::decode(version)?;
        Ok(self.holder(in_token)?.backup(&KeyRef { spec, material: &material }).await?)
    }

    /// Makes a backed-up key usable again.
    pub(in crate::vault) async fn import_material(
        &self,
        version: &[u8],
        vault: &crate::resource::Vault,
        blob: &SecretBytes,
    ) -> Result<SecretBytes, Error> {
        let KeyVersion { spec, in_token, .. } = KeyVersion::decode(version)?;
        super::decide::protection(vault, in_token)?;
        match self.holder_for(in_token, spec)?.restore(spec, blob).await {
            Ok(held) => Ok(held.material),
            // A backup of a token's key is a reference, and the key may have been purged since.
            Err(HsmError::NotFound) => {
                let problem = "the key that this backup refers to is not in the token any more";
                Err(Error::BadParameter(problem.to_owned()))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Everything that the store refers to in the token: what else stands there under our label is an orphan.
    ///
    /// A key is made in the token before the store can know of it, so that a crash in between leaves one behind.
    pub async fn token_handles(&self) -> Result<Vec<(Key, SecretBytes)>, Fault> {
        let mut handles = Vec::new();
        let partitions: Vec<Partition> = self
            .world()
            .tenants()
            .flat_map(|tenant| {
                let id = tenant.tenant().id;
                let vaults = tenant.vaults().chain(tenant.deleted_vaults());
                vaults.map(|vault| Partition::Vault(id, vault.id)).collect::<Vec<_>>()
            })
            .collect();
        for partition in partitions {
            handles.extend(self.certificate_handles(partition).await?);
            let prefix = Prefix { partition, kind: Kind::KeyVersion, outer: None };
            let mut after = None;
            loop {
                let page = self.store.scan(&prefix, after.as_ref(), crate::limits::JOB_BATCH_MAX).await?;
                for record in page.records {
                    if !KeyVersion::decode(record.value.expose(Reason::Record))?.in_token {
                        continue;
                    }
                    let place = Key { kind: Kind::KeyMaterial, ..record.key };
                    if let Some(found) = self.store.get(&place).await? {
                        handles.push((place, found.value));
                    }
                }
                match page.next {
                    Some(next) => after = Some(next),
                    None => break,
                }
            }
        }
        Ok(handles)
    }
}

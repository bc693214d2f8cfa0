//! The deciders of keys: pure, synchronous, everything they need is an argument.

use vouchsafe_crypto::keys::{EncryptionAlgorithm, KeyFamily, KeySpec, SignatureAlgorithm};

use super::change::KeyUpdate;
use super::{DeletedKey, KeyAttributes, KeyHead, KeyOperation, KeyVersion, ReleasePolicy};
use crate::ids::ObjectName;
use crate::limits;
use crate::resource::{Sku, Vault};
use crate::time::Timestamp;
use crate::vault::decide::{labels_and_validity, name_is_free, unmanaged};
use crate::vault::error::{Error, KeyUnusable};
use crate::vault::object::ObjectKind;

/// Whether a new version may get this name, and the name as it was first written.
pub(super) fn new_version(
    operation: &'static str,
    name: &ObjectName,
    live: Option<&KeyHead>,
    deleted: Option<&DeletedKey>,
) -> Result<ObjectName, Error> {
    name_is_free(ObjectKind::Key, name, deleted)?;
    let Some(head) = live else { return Ok(name.clone()) };
    unmanaged(ObjectKind::Key, operation, &head.current)?;
    Ok(head.name.clone())
}

/// Whether this vault keeps keys in a token.
pub(in crate::vault) fn protection(vault: &Vault, in_token: bool) -> Result<(), Error> {
    if in_token && vault.sku != Sku::Premium {
        return Err(Error::BadParameter(
            "the property `kty` asks for a key in an HSM, which vaults of the SKU `premium` have and this one is not"
                .to_owned(),
        ));
    }
    Ok(())
}

/// What a new key may be used for.
pub(super) fn operations(spec: KeySpec, wanted: Option<&[KeyOperation]>) -> Result<Vec<KeyOperation>, Error> {
    let Some(wanted) = wanted else { return Ok(KeyOperation::usual(spec)) };
    let mut operations = Vec::with_capacity(wanted.len());
    for operation in wanted {
        if !operations.contains(operation) {
            operations.push(*operation);
        }
    }
    let imports = operations.contains(&KeyOperation::Import);
    if imports && (operations.len() > 1 || spec.family() != KeyFamily::Rsa) {
        let problem = "the operation `import` is for RSA keys that may do nothing else";
        return Err(Error::BadParameter(problem.to_owned()));
    }
    Ok(operations)
}

/// Refuses attributes that Key Vault documents as too long or contradictory.
pub(super) fn attributes(attributes: &KeyAttributes, policy: Option<&ReleasePolicy>) -> Result<(), Error> {
    let problem = match policy {
        None if attributes.exportable => "an exportable key needs a release policy",
        Some(_) if !attributes.exportable => "a release policy is for exportable keys",
        Some(policy) if policy.data.len() > limits::RELEASE_POLICY_BYTES_MAX => {
            "the release policy is too long"
        }
        _ => {
            let checked = labels_and_validity(&attributes.tags, attributes.not_before, attributes.expires);
            return checked.map_err(Error::BadParameter);
        }
    };
    Err(Error::BadParameter(problem.to_owned()))
}

/// The version after an update: what is not mentioned stays; tags are replaced whole.
pub(super) fn update(version: &KeyVersion, update: &KeyUpdate, now: Timestamp) -> Result<KeyVersion, Error> {
    let before = &version.attributes;
    let changed = KeyAttributes {
        disabled: update.disabled.unwrap_or(before.disabled),
        not_before: update.not_before.or(before.not_before),
        expires: update.expires.or(before.expires),
        exportable: before.exportable,
        tags: update.tags.clone().unwrap_or_else(|| before.tags.clone()),
    };
    let release_policy = match (&version.release_policy, &update.release_policy) {
        (Some(before), Some(after)) if before.immutable && before != after => {
            let problem = "the release policy is immutable and cannot be changed";
            return Err(Error::BadParameter(problem.to_owned()));
        }
        (before, after) => after.clone().or_else(|| before.clone()),
    };
    attributes(&changed, release_policy.as_ref())?;
    let operations = match &update.operations {
        Some(wanted) => operations(version.spec, Some(wanted))?,
        None => version.operations.clone(),
    };
    Ok(KeyVersion { attributes: changed, release_policy, operations, updated: now, ..version.clone() })
}

/// Whether a version may be used for `operation` now.
///
/// A disabled key does nothing. Outside `nbf` and `exp` it does not make anything new, but it still decrypts, unwraps
/// and verifies what was made with it: Key Vault documents that under "date-time controlled operations", so that data
/// can be recovered and a key can be tried before its time.
pub(super) fn usable(version: &KeyVersion, operation: KeyOperation, now: Timestamp) -> Result<(), Error> {
    let refuse = |why| Err(Error::KeyUnusable(why, operation.as_str()));
    let attributes = &version.attributes;
    if attributes.disabled {
        return refuse(KeyUnusable::Disabled);
    }
    if !version.operations.contains(&operation) {
        return refuse(KeyUnusable::Operation);
    }
    let looks_back =
        matches!(operation, KeyOperation::Decrypt | KeyOperation::UnwrapKey | KeyOperation::Verify);
    if !looks_back && attributes.not_before.is_some_and(|not_before| now < not_before) {
        return refuse(KeyUnusable::NotYetValid);
    }
    if !looks_back && attributes.expires.is_some_and(|expires| now >= expires) {
        return refuse(KeyUnusable::Expired);
    }
    Ok(())
}

/// Whether a digest can be signed or verified like this.
pub(super) fn signature(spec: KeySpec, algorithm: SignatureAlgorithm, digest: &[u8]) -> Result<(), Error> {
    if !algorithm.fits(spec) {
        return Err(unfit(algorithm.as_str()));
    }
    if digest.len() != algorithm.digest_bytes() {
        return Err(Error::BadParameter(format!(
            "the digest has {} bytes, but {} signs one of {}",
            digest.len(),
            algorithm.as_str(),
            algorithm.digest_bytes()
        )));
    }
    Ok(())
}

/// Whether a key can encrypt or wrap, decrypt or unwrap like this.
pub(super) fn encryption(
    spec: KeySpec,
    operation: KeyOperation,
    algorithm: EncryptionAlgorithm,
) -> Result<(), Error> {
    let offered = match operation {
        KeyOperation::WrapKey | KeyOperation::UnwrapKey => algorithm.wraps(),
        _ => algorithm.encrypts(),
    };
    if offered && algorithm.fits(spec) { Ok(()) } else { Err(unfit(algorithm.as_str())) }
}

fn unfit(algorithm: &str) -> Error {
    Error::BadParameter(format!("the algorithm `{algorithm}` does not fit the key or the operation"))
}

//! The deciders of keys: pure, synchronous, everything they need is an argument.

use vouchsafe_crypto::keys::{EncryptionAlgorithm, KeyFamily, KeySpec, SignatureAlgorithm};

use super::change::KeyUpdate;
use super::{DeletedKey, KeyAttributes, KeyHead, KeyOperation, KeyVersion, ReleasePolicy};
use crate::ids::ObjectName;
use crate::resource::{Sku, Vault};
use crate::time::Timestamp;
use crate::vault::decide::{labels_and_validity, name_is_free, unmanaged};
use crate::vault::error::{Error, KeyUnusable, NotReleased};
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

/// What a key may be used for: each operation once.
pub(super) fn operations(spec: KeySpec, wanted: Option<&[KeyOperation]>) -> Vec<KeyOperation> {
    let Some(wanted) = wanted else { return KeyOperation::usual(spec) };
    let mut operations = Vec::with_capacity(wanted.len());
    for operation in wanted {
        if !operations.contains(operation) {
            operations.push(*operation);
        }
    }
    operations
}

/// Whether a new key may be one that unwraps what is imported, if that is asked for.
///
/// SECURITY: what is wrapped for a key-exchange key is as safe as that key. It is made in the token and never leaves it
/// (`stays`), so that nobody has it, and does nothing else, so that nobody decrypts with it what others wrapped.
pub(super) fn exchange(spec: KeySpec, stays: bool, operations: &[KeyOperation]) -> Result<(), Error> {
    if !operations.contains(&KeyOperation::Import) {
        return Ok(());
    }
    if operations.len() == 1 && spec.family() == KeyFamily::Rsa && stays {
        return Ok(());
    }
    let problem = "the operation `import` is for keys of the kind RSA-HSM that are made here, never leave and may do nothing else";
    Err(Error::BadParameter(problem.to_owned()))
}

/// Refuses attributes that Key Vault documents as too long or contradictory.
pub(super) fn attributes(attributes: &KeyAttributes, policy: Option<&ReleasePolicy>) -> Result<(), Error> {
    let problem = match policy {
        None if attributes.exportable => "an exportable key needs a release policy",
        Some(_) if !attributes.exportable => "a release policy is for exportable keys",
        _ => {
            let checked = labels_and_validity(&attributes.tags, attributes.not_before, attributes.expires);
            return checked.map_err(Error::BadParameter);
        }
    };
    Err(Error::BadParameter(problem.to_owned()))
}

/// Refuses a key that could never do what its attributes promise, because what is to hold it does not give it away.
pub(super) fn leaves(can: bool, attributes: &KeyAttributes) -> Result<(), Error> {
    if attributes.exportable && !can {
        let problem = "the attribute `exportable` asks for a key that can be released, and the token of this server does not \
                       wrap its keys for others; make one in software (`kty` without `-HSM`), or one that is not exportable";
        return Err(Error::BadParameter(problem.to_owned()));
    }
    Ok(())
}

/// Refuses a policy that would not be understood when it is needed.
pub(super) fn release_policy(policy: Option<&ReleasePolicy>) -> Result<(), Error> {
    let Some(policy) = policy else { return Ok(()) };
    let refused = |problem| Error::BadParameter(format!("the release policy cannot be used: {problem}"));
    policy.check().map_err(refused)
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
    self::release_policy(update.release_policy.as_ref())?;
    let operations = match &update.operations {
        Some(wanted) => operations(version.spec, Some(wanted)),
        None => version.operations.clone(),
    };
    // SECURITY: a key that unwrapped keys would decrypt them, too, if it could change what it is for.
    let imports = |operations: &[KeyOperation]| operations.contains(&KeyOperation::Import);
    if operations != version.operations && (imports(&operations) || imports(&version.operations)) {
        let problem =
            "what a key may do that imports others cannot be changed, nor can another key become one";
        return Err(Error::BadParameter(problem.to_owned()));
    }
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

/// Whether a version may be released at all. What it may be used for is no matter: who has it decides that. Nor are `nbf`
/// and `exp`: Key Vault documents a release among what works outside of them, as [`usable`] says of others.
pub(super) fn released(version: &KeyVersion) -> Result<(), Error> {
    if !version.attributes.exportable {
        return Err(NotReleased::Exportable.into());
    }
    if version.attributes.disabled {
        return Err(Error::KeyUnusable(KeyUnusable::Disabled, "release"));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::ObjectVersion;

    #[test]
    fn what_looks_back_works_outside_of_the_validity_and_a_disabled_key_does_nothing() {
        let now = Timestamp::from_seconds(1_800_000_000);
        let (early, late) = (Timestamp::from_seconds(1), Timestamp::from_seconds(2_000_000_000));
        let operations = KeyOperation::usual(KeySpec::Rsa2048);
        let version = |disabled, not_before, expires| KeyVersion {
            version: ObjectVersion(uuid::Uuid::nil()),
            spec: KeySpec::Rsa2048,
            in_token: false,
            operations: operations.clone(),
            public: None,
            attributes: KeyAttributes {
                disabled,
                not_before,
                expires,
                exportable: true,
                ..KeyAttributes::default()
            },
            release_policy: None,
            managed: false,
            created: early,
            updated: early,
        };
        for (key, enabled, valid) in [
            (version(false, Some(early), Some(late)), true, true),
            (version(false, Some(late), None), true, false),
            (version(false, None, Some(early)), true, false),
            (version(true, None, None), false, true),
        ] {
            for operation in &operations {
                let looks_back = ["decrypt", "unwrapKey", "verify"].contains(&operation.as_str());
                let expected = enabled && (valid || looks_back);
                assert_eq!(usable(&key, *operation, now).is_ok(), expected, "{operation:?} {key:?}");
            }
            assert_eq!(released(&key).is_ok(), enabled, "release {key:?}");
            let mut kept = key;
            kept.attributes.exportable = false;
            assert!(released(&kept).is_err());
        }
    }
}

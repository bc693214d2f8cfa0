//! The deciders of secrets: pure, synchronous, everything they need is an argument.

use super::change::{SecretToSet, SecretUpdate};
use super::{Attributes, DeletedSecret, SecretHead, SecretVersion};
use crate::ids::{ObjectName, ObjectVersion};
use crate::limits;
use crate::time::Timestamp;
use crate::vault::decide::{name_is_free, unmanaged};
use crate::vault::error::Error;
use crate::vault::object::ObjectKind;

/// Whether the value of this version may be read.
///
/// Key Vault lets a secret be read outside its `nbf` and `exp`: they inform, they do not forbid. Only `enabled` does.
pub(super) fn readable(version: &SecretVersion) -> Result<(), Error> {
    if version.attributes.disabled { Err(Error::Disabled(ObjectKind::Secret)) } else { Ok(()) }
}

/// The new version that a set makes.
pub(super) fn set(
    name: &ObjectName,
    live: Option<&SecretHead>,
    deleted: Option<&DeletedSecret>,
    wanted: &SecretToSet,
    version: ObjectVersion,
    now: Timestamp,
) -> Result<SecretHead, Error> {
    name_is_free(ObjectKind::Secret, name, deleted)?;
    if let Some(head) = live {
        unmanaged(ObjectKind::Secret, "set", &head.current)?;
    }
    if wanted.value.len() > limits::SECRET_VALUE_BYTES_MAX {
        return Err(Error::BadParameter(format!(
            "the value is longer than {} bytes",
            limits::SECRET_VALUE_BYTES_MAX
        )));
    }
    wanted.attributes.check().map_err(Error::BadParameter)?;
    // The first spelling of the name stays: ids must not change when somebody types it differently.
    let name = live.map_or_else(|| name.clone(), |head| head.name.clone());
    let current = SecretVersion {
        version,
        attributes: wanted.attributes.clone(),
        managed: false,
        created: now,
        updated: now,
    };
    Ok(SecretHead { name, current })
}

/// The version after an update: what is not mentioned stays; tags are replaced whole.
pub(super) fn update(
    version: &SecretVersion,
    update: &SecretUpdate,
    now: Timestamp,
) -> Result<SecretVersion, Error> {
    let before = &version.attributes;
    let attributes = Attributes {
        disabled: update.disabled.unwrap_or(before.disabled),
        not_before: update.not_before.or(before.not_before),
        expires: update.expires.or(before.expires),
        content_type: update.content_type.clone().or_else(|| before.content_type.clone()),
        tags: update.tags.clone().unwrap_or_else(|| before.tags.clone()),
    };
    attributes.check().map_err(Error::BadParameter)?;
    Ok(SecretVersion { attributes, updated: now, ..version.clone() })
}

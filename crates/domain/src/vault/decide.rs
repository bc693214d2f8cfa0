//! The deciders of every object's life: pure, synchronous, everything they need is an argument.

use std::collections::BTreeMap;

use super::error::Error;
use super::object::{Deleted, Head, ObjectKind, Version};
use crate::ids::ObjectName;
use crate::limits;
use crate::resource::Vault;
use crate::time::Timestamp;

/// The soft-deleted form.
pub(super) fn delete<V>(head: Head<V>, vault: &Vault, now: Timestamp) -> Deleted<V> {
    Deleted { head, deleted: now, purge_due: vault.purge_due(now), purging: false }
}

/// Whether a soft-deleted object may become live again.
pub(super) fn recover<V: Version>(
    kind: ObjectKind,
    deleted: &Deleted<V>,
    live: Option<&Head<V>>,
) -> Result<Head<V>, Error> {
    if deleted.purging {
        return Err(Error::NotFound(kind, deleted.head.name.to_string()));
    }
    match live {
        Some(head) => Err(Error::AlreadyExists(kind, head.name.to_string())),
        None => Ok(deleted.head.clone()),
    }
}

/// Whether a soft-deleted object may be destroyed on request.
pub(super) fn purge(vault: &Vault) -> Result<(), Error> {
    if vault.purge_protection { Err(Error::PurgeProtected) } else { Ok(()) }
}

/// Whether a name may be used for a new object.
pub(super) fn name_is_free<V>(
    kind: ObjectKind,
    name: &ObjectName,
    deleted: Option<&Deleted<V>>,
) -> Result<(), Error> {
    match deleted {
        Some(deleted) if deleted.purging => Err(Error::BeingDeleted(kind, name.to_string())),
        Some(_) => Err(Error::DeletedButRecoverable(kind, name.to_string())),
        None => Ok(()),
    }
}

/// Whether an object may be changed by itself: what belongs to a certificate may not.
pub(super) fn unmanaged<V: Version>(
    kind: ObjectKind,
    operation: &'static str,
    version: &V,
) -> Result<(), Error> {
    if version.managed() { Err(Error::Managed(kind, operation)) } else { Ok(()) }
}

/// Refuses labels and a validity that Key Vault documents as too long or contradictory.
pub(super) fn labels_and_validity(
    tags: &BTreeMap<String, String>,
    not_before: Option<Timestamp>,
    expires: Option<Timestamp>,
) -> Result<(), String> {
    if let (Some(not_before), Some(expires)) = (not_before, expires)
        && not_before > expires
    {
        return Err("the attribute nbf must not be later than exp".to_owned());
    }
    if tags.len() > limits::TAGS_MAX {
        return Err(format!("there are more than {} tags", limits::TAGS_MAX));
    }
    let too_long = |(name, value): (&String, &String)| {
        name.is_empty()
            || name.chars().count() > limits::TAG_NAME_CHARS_MAX
            || value.chars().count() > limits::TAG_VALUE_CHARS_MAX
    };
    if tags.iter().any(too_long) {
        return Err(format!(
            "a tag's name must have 1 to {} characters and its value at most {}",
            limits::TAG_NAME_CHARS_MAX,
            limits::TAG_VALUE_CHARS_MAX
        ));
    }
    Ok(())
}

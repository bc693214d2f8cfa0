//! What a vault answers about secrets (secrets.json, `SecretBundle` and its kin), and what its other objects share.
//!
//! Plain secrets never carry `previousVersion`: the member belongs to certificate-backed ones.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::secret_text::{SecretText, to_wiped_json, write_exposed};

/// What can still be undone after a deletion.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum RecoveryLevel {
    /// Nothing: a deletion is final.
    Purgeable,
    /// Ninety days, unless purged.
    #[serde(rename = "Recoverable+Purgeable")]
    RecoverablePurgeable,
    /// Ninety days, and nobody can purge.
    Recoverable,
    /// Ninety days, nobody can purge, and the subscription cannot be cancelled.
    #[serde(rename = "Recoverable+ProtectedSubscription")]
    RecoverableProtectedSubscription,
    /// Fewer than ninety days, unless purged.
    #[serde(rename = "CustomizedRecoverable+Purgeable")]
    CustomizedRecoverablePurgeable,
    /// Fewer than ninety days, and nobody can purge.
    CustomizedRecoverable,
    /// Fewer than ninety days, nobody can purge, and the subscription cannot be cancelled.
    #[serde(rename = "CustomizedRecoverable+ProtectedSubscription")]
    CustomizedRecoverableProtectedSubscription,
}

/// When and whether an object may be used, and what happens when it is deleted.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Attributes {
    /// Whether it may be read or used.
    pub enabled: bool,
    /// Not before, in seconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<i64>,
    /// Not after, in seconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exp: Option<i64>,
    /// When the version was made, in seconds since the epoch.
    pub created: i64,
    /// When it was last changed, in seconds since the epoch.
    pub updated: i64,
    /// What can be undone.
    pub recovery_level: RecoveryLevel,
    /// For how many days after a deletion.
    pub recoverable_days: u32,
}

/// A secret with its value (GET and PUT) or without (PATCH, recover, restore).
///
/// Of all shapes about secrets this is the only one that can say a value.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretBundle {
    /// The value; only in answers to GET and PUT.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "write_value")]
    pub value: Option<SecretText>,
    /// The identifier, with the version.
    pub id: String,
    /// What kind of text it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// When and whether it may be used.
    pub attributes: Attributes,
    /// The caller's own names and values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<BTreeMap<String, String>>,
    /// The key behind it, when it backs a certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
    /// Whether it backs a certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed: Option<bool>,
    /// The version before, when it backs a certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_version: Option<String>,
}

impl SecretBundle {
    /// The answer's bytes, in a buffer that wipes itself.
    pub fn to_json(&self) -> Zeroizing<Vec<u8>> {
        let tags =
            self.tags.iter().flatten().map(|(name, value)| name.len() + value.len() + 6).sum::<usize>();
        let value = self.value.as_ref().map_or(0, |value| value.len() + value.len() / 8);
        let kid = self.kid.as_ref().map_or(0, String::len);
        to_wiped_json(self, 448 + self.id.len() + kid + tags + value)
    }
}

fn write_value<S: serde::Serializer>(value: &Option<SecretText>, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => write_exposed(value, serializer),
        None => serializer.serialize_none(),
    }
}

/// A secret in a list: never a value.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretItem {
    /// The identifier; with the version in the list of versions, without in the list of secrets.
    pub id: String,
    /// When and whether it may be used.
    pub attributes: Attributes,
    /// The caller's own names and values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<BTreeMap<String, String>>,
    /// What kind of text it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// Whether it backs a certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed: Option<bool>,
}

/// A deleted secret, as DELETE and GET `/deletedsecrets/{name}` answer it: never a value.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeletedSecretBundle {
    /// Where to recover it.
    pub recovery_id: String,
    /// When it was deleted, in seconds since the epoch.
    pub deleted_date: i64,
    /// When it will be purged, in seconds since the epoch.
    pub scheduled_purge_date: i64,
    /// The identifier it had, with the newest version.
    pub id: String,
    /// What kind of text it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// When and whether it could be used.
    pub attributes: Attributes,
    /// The caller's own names and values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<BTreeMap<String, String>>,
    /// The key behind it, when it backs a certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
    /// Whether it backs a certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed: Option<bool>,
}

/// A deleted secret in a list; like the bundle, but the identifier has no version.
pub type DeletedSecretItem = DeletedSecretBundle;

/// One page of a list.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Page<T> {
    /// What is on it.
    pub value: Vec<T>,
    /// Where the next one is; `null` on the last.
    pub next_link: Option<String>,
}

/// The answer to a backup.
#[derive(Deserialize, Serialize)]
pub struct BackupResult {
    /// One opaque base64url text. Sealed, yet not for logs.
    #[serde(serialize_with = "write_exposed")]
    pub value: SecretText,
}

impl BackupResult {
    /// The answer's bytes, in a buffer that wipes itself.
    pub fn to_json(&self) -> Zeroizing<Vec<u8>> {
        to_wiped_json(self, self.value.len() + 16)
    }
}

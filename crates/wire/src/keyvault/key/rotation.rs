//! When a key is replaced by itself (keys.json, `KeyRotationPolicy`; durations are ISO 8601).

use serde::{Deserialize, Serialize};

use crate::json::{self, BadBody, Budget};

/// `GET` and `PUT /keys/{name}/rotationpolicy`.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyRotationPolicy {
    /// Its address; read-only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What happens when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifetime_actions: Option<Vec<LifetimeAction>>,
    /// How long new versions are valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attributes: Option<RotationAttributes>,
}

impl KeyRotationPolicy {
    /// Reads a body within a budget.
    pub fn parse(body: &[u8], budget: &Budget) -> Result<Self, BadBody> {
        json::parse(body, budget)
    }
}

/// One action and its moment.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct LifetimeAction {
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<LifetimeTrigger>,
    /// What.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<LifetimeActionKind>,
}

/// A moment in the life of a version; exactly one member is meant to be there.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LifetimeTrigger {
    /// So long after the version was made: an ISO 8601 duration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_after_create: Option<String>,
    /// So long before it expires: an ISO 8601 duration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_before_expiry: Option<String>,
}

/// The action's kind, in an object of its own.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct LifetimeActionKind {
    /// Which.
    #[serde(rename = "type")]
    pub kind: ActionKind,
}

/// What can happen; clients write it with and without a capital.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum ActionKind {
    /// A new version is made.
    #[serde(alias = "rotate")]
    Rotate,
    /// Somebody is told.
    #[serde(alias = "notify")]
    Notify,
}

/// How long versions are valid, and since when the policy is as it is.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RotationAttributes {
    /// How long a version that rotation makes is valid: an ISO 8601 duration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiry_time: Option<String>,
    /// When the policy was first set, in seconds since the epoch; read-only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<i64>,
    /// When it was last set, in seconds since the epoch; read-only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated: Option<i64>,
}

//! `/metadata/endpoints`: how `az cloud register` and `ARM_CLOUD_METADATA_URL` learn where everything is.
//!
//! From 2022-09-01 on the answer is one object; before, a list of which `az` takes the first as its default.

use serde::{Deserialize, Serialize};

/// The first version that is answered with a single object.
const SINGLE_SINCE: &str = "2022-09-01";

/// The endpoints of one cloud; members that we leave out stay null in `az`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CloudMetadata {
    /// The name of the cloud.
    pub name: String,
    /// How to log in.
    pub authentication: Authentication,
    /// Where the control plane is.
    pub resource_manager: String,
    /// The audience and base of Microsoft Graph; `az` refuses to register without it.
    pub microsoft_graph_resource_id: String,
    /// The audience of the older graph.
    pub graph_audience: String,
    /// What follows a name to make a host.
    pub suffixes: Suffixes,
    /// A page for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub portal: Option<String>,
}

/// How to log in to a cloud.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Authentication {
    /// The authority, without a tenant.
    pub login_endpoint: String,
    /// What control-plane tokens are for; the first one is used.
    pub audiences: Vec<String>,
    /// `common`.
    pub tenant: String,
    /// `AAD`.
    pub identity_provider: String,
}

/// What follows a name to make a host.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Suffixes {
    /// Of a vault; may have a port, and `az` adds the leading dot.
    pub key_vault_dns: String,
    /// Of a managed HSM, where there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mhsm_dns: Option<String>,
}

/// The answer in the shape that the asked version has.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(untagged)]
pub enum MetadataAnswer {
    /// From 2022-09-01 on.
    Single(CloudMetadata),
    /// Before.
    List([CloudMetadata; 1]),
}

impl MetadataAnswer {
    /// Chooses the shape; a request without a version gets the newest.
    pub fn new(api_version: Option<&str>, cloud: CloudMetadata) -> Self {
        // Versions are dates, so their text sorts like they do.
        match api_version {
            Some(version) if version < SINGLE_SINCE => Self::List([cloud]),
            _ => Self::Single(cloud),
        }
    }
}

//! How clients find the endpoints and keys of a tenant (OpenID Connect Discovery 1.0 §3, RFC 7517 §5, and Entra's
//! instance discovery).

use serde::{Deserialize, Serialize};

/// The metadata of one tenant as issuer.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct OpenIdConfiguration {
    /// Must have the origin that the client asked, or JS and Go refuse the document.
    pub issuer: String,
    /// Where people log in; must not be empty even where nobody does.
    pub authorization_endpoint: String,
    /// Where tokens are asked for; its first path segment is the tenant for MSAL's cache.
    pub token_endpoint: String,
    /// Where a device code is asked for.
    pub device_authorization_endpoint: String,
    /// Where the public keys are.
    pub jwks_uri: String,
    /// How clients may authenticate.
    pub token_endpoint_auth_methods_supported: Vec<String>,
    /// Required by the specification.
    pub response_types_supported: Vec<String>,
    /// Required by the specification.
    pub subject_types_supported: Vec<String>,
    /// Required by the specification.
    pub id_token_signing_alg_values_supported: Vec<String>,
    /// What may be asked for beside audiences.
    pub scopes_supported: Vec<String>,
}

impl OpenIdConfiguration {
    /// The document for endpoints under `base` (`ORIGIN/TENANT`), with the signing algorithms in use.
    pub fn v2(base: &str, issuer: String, signing_algorithms: &[&str]) -> Self {
        Self {
            issuer,
            authorization_endpoint: format!("{base}/oauth2/v2.0/authorize"),
            token_endpoint: format!("{base}/oauth2/v2.0/token"),
            device_authorization_endpoint: format!("{base}/oauth2/v2.0/devicecode"),
            jwks_uri: format!("{base}/discovery/v2.0/keys"),
            ..Self::common(signing_algorithms)
        }
    }

    /// The document for the ADFS kind of authority and for v1, whose paths have no `v2.0`.
    pub fn v1(base: &str, issuer: String, signing_algorithms: &[&str]) -> Self {
        Self {
            issuer,
            authorization_endpoint: format!("{base}/oauth2/authorize"),
            token_endpoint: format!("{base}/oauth2/token"),
            device_authorization_endpoint: format!("{base}/oauth2/devicecode"),
            jwks_uri: format!("{base}/discovery/keys"),
            ..Self::common(signing_algorithms)
        }
    }

    fn common(signing_algorithms: &[&str]) -> Self {
        let list = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>();
        Self {
            issuer: String::new(),
            authorization_endpoint: String::new(),
            token_endpoint: String::new(),
            device_authorization_endpoint: String::new(),
            jwks_uri: String::new(),
            token_endpoint_auth_methods_supported: list(&[
                "private_key_jwt",
                "client_secret_post",
                "client_secret_basic",
            ]),
            response_types_supported: list(&["code", "id_token", "code id_token", "token"]),
            subject_types_supported: list(&["pairwise"]),
            id_token_signing_alg_values_supported: list(signing_algorithms),
            scopes_supported: list(&["openid", "profile", "email", "offline_access"]),
        }
    }
}

/// The answer to instance discovery: which hosts are one and the same authority.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct InstanceDiscovery {
    /// The openid-configuration of the authority that was asked about.
    pub tenant_discovery_endpoint: String,
    /// The version that was asked for.
    #[serde(rename = "api-version")]
    pub api_version: String,
    /// The groups of hosts.
    pub metadata: Vec<InstanceMetadata>,
}

/// Hosts that are aliases of one another.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct InstanceMetadata {
    /// The host to send requests to.
    pub preferred_network: String,
    /// The host to key caches with.
    pub preferred_cache: String,
    /// All of them.
    pub aliases: Vec<String>,
}

/// A set of public keys.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct JwkSet<K> {
    /// The keys, current and next.
    pub keys: Vec<PublishedKey<K>>,
}

/// A public key with what resource servers select it by.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct PublishedKey<K> {
    /// Its id in the header of tokens.
    pub kid: String,
    /// What it is for; `sig`.
    #[serde(rename = "use")]
    pub intended_use: String,
    /// The one algorithm it is used with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alg: Option<String>,
    /// The issuer of the tokens that it verifies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// The key itself: `kty` and what belongs to it.
    #[serde(flatten)]
    pub key: K,
}

//! The one function that issues tokens.

use serde::Serialize;
use vouchsafe_crypto::SecretString;
use vouchsafe_crypto::jose::{Algorithm, sign_jwt};

use super::audience::{Audience, Service};
use super::evidence::Evidence;
use crate::audit::Recorded;
use crate::error::Fault;
use crate::limits;
use crate::time::Timestamp;
use crate::timekeeping::IssueTime;
use crate::world::TenantSnapshot;

/// A token on its way to who asked for it.
pub struct IssuedToken {
    /// The token.
    pub access_token: SecretString,
    /// When it stops being valid.
    pub expires: Timestamp,
    /// When it starts being valid.
    pub not_before: Timestamp,
    /// For whom it is.
    pub audience: Audience,
}

/// What a token says besides who and for whom.
pub struct Particulars<'a> {
    /// The origin under which the client knows us; it becomes the issuer.
    pub origin: &'a str,
    /// The id of this token.
    pub token_id: &'a str,
    /// Whether the client understands claims challenges (`xms_cc`).
    pub client_capability_cp1: bool,
    /// For a managed identity: its ARM id (`xms_mirid`).
    pub resource_id: Option<&'a str>,
}

/// The claims of an app-only Entra access token, version 2.0.
#[derive(Serialize)]
struct Claims<'a> {
    aud: &'a str,
    iss: String,
    iat: u64,
    nbf: u64,
    exp: u64,
    appid: String,
    azp: String,
    azpacr: &'a str,
    idtyp: &'a str,
    oid: String,
    sub: String,
    tid: String,
    uti: &'a str,
    ver: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    xms_cc: Option<[&'a str; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    xms_mirid: Option<&'a str>,
}

/// The issuer of a tenant's tokens at an origin.
pub fn issuer(origin: &str, tenant: crate::ids::TenantId) -> String {
    format!("{origin}/{tenant}/v2.0")
}

/// Signs a token for whom the evidence proves, once the entry that records it is durable.
pub fn issue(
    evidence: &Evidence,
    tenant: &TenantSnapshot,
    audience: Audience,
    particulars: &Particulars<'_>,
    _: &Recorded,
    now: IssueTime,
) -> Result<IssuedToken, Fault> {
    if evidence.tenant() != tenant.tenant().id || !tenant.is_active(evidence.principal()) {
        return Err(Fault::Broken(
            "evidence does not belong to this tenant, or its principal is gone".to_owned(),
        ));
    }
    let now = now.moment();
    let algorithm = match audience.service {
        Service::KeyVault | Service::ResourceManager | Service::Graph => Algorithm::Es256,
        Service::Application(_) => Algorithm::Rs256,
    };
    let key = tenant
        .current_key(algorithm)
        .ok_or_else(|| Fault::Broken(format!("tenant {} has no current signing key", tenant.tenant().id)))?;
    let expires = now.plus(limits::ACCESS_TOKEN_LIFETIME);
    let claims = Claims {
        aud: &audience.name,
        iss: issuer(particulars.origin, tenant.tenant().id),
        iat: now.seconds(),
        nbf: now.seconds(),
        exp: expires.seconds(),
        appid: evidence.client().to_string(),
        azp: evidence.client().to_string(),
        azpacr: evidence.how().azpacr(),
        idtyp: "app",
        oid: evidence.principal().to_string(),
        sub: evidence.principal().to_string(),
        tid: tenant.tenant().id.to_string(),
        uti: particulars.token_id,
        ver: "2.0",
        xms_cc: particulars.client_capability_cp1.then_some(["CP1"]),
        xms_mirid: particulars.resource_id,
    };
    let token =
        sign_jwt(&key.key, algorithm, &key.kid, &claims).map_err(|error| Fault::Broken(error.to_string()))?;
    Ok(IssuedToken { access_token: SecretString::new(token), expires, not_before: now, audience })
}

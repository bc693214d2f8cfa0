//! What a presented access token proves to our own services.
//!
//! A token is verified with the keys of the tenant that owns the resource, and with no other. The result is remembered
//! by the token's digest until it expires, but the state of the principal is asked anew each time.

use std::cell::Cell;
use std::sync::Arc;

use vouchsafe_crypto::digest;
use vouchsafe_crypto::jose::{Expected, Refused, verify};

use super::audience::Service;
use super::issue::issuer;
use super::signing::KeyState;
use crate::access::caller::{Caller, Subject};
use crate::ids::{ClientId, PrincipalId, TenantId};
use crate::limits;
use crate::platform::Platform;
use crate::time::Timestamp;
use crate::world::TenantSnapshot;

/// Why a token does not open this door. Callers learn little: a new token is what helps in every case.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BearerRefused {
    /// AKV10032: another tenant's, or another issuer's.
    #[error("invalid issuer; expected {expected}")]
    Issuer {
        /// The issuer that would be right.
        expected: String,
    },
    /// For another service.
    #[error("the token's audience is not this service")]
    Audience,
    /// Over.
    #[error("the token has expired")]
    Expired,
    /// The principal does not exist any more, or is disabled.
    #[error("the token's principal does not exist or is disabled")]
    Principal,
    /// Not a token of ours at all.
    #[error("the token is malformed or its signature is not valid")]
    Invalid,
}

struct Remembered {
    service: Service,
    kid: String,
    issued: Timestamp,
    expires: Timestamp,
    caller: Caller,
}

/// Tokens verified before, by digest.
pub struct VerifiedTokens(moka::sync::Cache<[u8; 32], Arc<Remembered>>);

impl Default for VerifiedTokens {
    fn default() -> Self {
        Self(moka::sync::Cache::new(limits::VERIFIED_TOKENS_MAX))
    }
}

impl Platform {
    /// Who presents this token to a service. With a tenant, only that tenant's keys count; without one, the key that
    /// signed it says whose it is.
    pub fn verify_bearer(
        &self,
        tenant: Option<&Arc<TenantSnapshot>>,
        service: Service,
        token: &[u8],
    ) -> Result<(Arc<TenantSnapshot>, Caller), BearerRefused> {
        // SECURITY: not the wall clock: whoever sets that back does not make an expired token valid again.
        let now = self.time().now();
        if token.len() > limits::ACCESS_TOKEN_BYTES_MAX {
            return Err(BearerRefused::Invalid);
        }
        let digest = digest::sha256(token);
        let remembered = match self.tokens.0.get(&digest) {
            Some(remembered) => remembered,
            None => {
                let remembered = Arc::new(self.verify_anew(tenant, service, token, now)?);
                self.tokens.0.insert(digest, remembered.clone());
                remembered
            }
        };
        // The same checks for a remembered token as for a new one: the full tuple, then the state of the world now.
        let tenant = match tenant {
            Some(tenant) if tenant.tenant().id != remembered.caller.tenant() => {
                return Err(self.wrong_issuer(Some(tenant)));
            }
            Some(tenant) => tenant.clone(),
            None => self.world().tenant(remembered.caller.tenant()).ok_or(BearerRefused::Invalid)?,
        };
        if remembered.service != service {
            return Err(BearerRefused::Audience);
        }
        if now >= remembered.expires.plus(limits::TOKEN_SKEW) {
            return Err(BearerRefused::Expired);
        }
        if tenant.verification_key(&remembered.kid).is_none() {
            return Err(BearerRefused::Invalid);
        }
        // SECURITY: a key that does not sign any more has signed nothing since. Whoever got hold of it must not make new
        // tokens with it for as long as old ones are verified.
        let retired = tenant
            .signing_keys()
            .find(|key| key.state == KeyState::Retained && key.kid == remembered.kid)
            .map(|key| key.since.plus(limits::TOKEN_SKEW));
        if retired.is_some_and(|retired| remembered.issued > retired) {
            return Err(BearerRefused::Invalid);
        }
        if !tenant.is_active(remembered.caller.principal()) {
            return Err(BearerRefused::Principal);
        }
        Ok((tenant, remembered.caller.clone()))
    }

    fn wrong_issuer(&self, tenant: Option<&Arc<TenantSnapshot>>) -> BearerRefused {
        match tenant {
            Some(tenant) => {
                BearerRefused::Issuer { expected: issuer(self.settings().origin(), tenant.tenant().id) }
            }
            None => BearerRefused::Invalid,
        }
    }

    fn verify_anew(
        &self,
        tenant: Option<&Arc<TenantSnapshot>>,
        service: Service,
        token: &[u8],
        now: Timestamp,
    ) -> Result<Remembered, BearerRefused> {
        let world = self.world();
        let candidates: Vec<&Arc<TenantSnapshot>> = match tenant {
            Some(tenant) => vec![tenant],
            None => world.tenants().collect(),
        };
        // Key ids are unique in the deployment, so the key that verifies the signature names the tenant.
        let signer = Cell::new(None);
        let keys = |kid: &str| {
            let (tenant, key) = candidates
                .iter()
                .find_map(|tenant| tenant.verification_key(kid).map(|key| (tenant.tenant().id, key)))?;
            signer.set(Some(tenant));
            Some(key)
        };
        let issuer_is_ours = |presented: &str| {
            signer.get().is_some_and(|id| {
                self.settings().origins.iter().any(|origin| issuer(origin, id) == presented)
            })
        };
        let audience_is_ours = |presented: &str| self.settings().services.service(presented) == Some(service);
        let expected = Expected {
            issuer: &issuer_is_ours,
            audience: &audience_is_ours,
            now_seconds: now.seconds(),
            skew_seconds: limits::TOKEN_SKEW.as_secs(),
        };
        let verified = verify(token, &keys, &expected).map_err(|refused| match refused {
            // A key that is not this tenant's is how another tenant's token looks from here.
            Refused::UnknownKey | Refused::Issuer => self.wrong_issuer(tenant),
            Refused::Audience => BearerRefused::Audience,
            Refused::Expired => BearerRefused::Expired,
            _ => BearerRefused::Invalid,
        })?;
        let text = |name: &str| verified.claim(name).and_then(|value| value.as_str()).map(str::to_owned);
        let id = signer.get().ok_or(BearerRefused::Invalid)?;
        if text("tid").and_then(|raw| TenantId::parse(&raw).ok()) != Some(id) {
            return Err(self.wrong_issuer(tenant));
        }
        let principal =
            text("oid").and_then(|raw| PrincipalId::parse(&raw).ok()).ok_or(BearerRefused::Invalid)?;
        Ok(Remembered {
            service,
            kid: verified.kid().to_owned(),
            issued: Timestamp::from_seconds(verified.issued_at()),
            expires: Timestamp::from_seconds(verified.expires()),
            caller: Caller::from_verified(Subject {
                tenant: id,
                principal,
                client: text("appid").and_then(|raw| ClientId::parse(&raw).ok()),
                issuer: verified.issuer().to_owned(),
                token_id: text("uti"),
            }),
        })
    }
}

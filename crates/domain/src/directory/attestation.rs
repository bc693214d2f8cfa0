//! Whom a tenant believes when it says what an environment is: attestation services, with the keys that they sign with.
//!
//! The keys are given by an administrator and never fetched: a policy that names an authority is as good as the keys
//! that are kept here under its name.

use std::sync::Arc;

use vouchsafe_crypto::jose::JwkSet;

use crate::access::action::WriteAttestationIssuer;
use crate::access::caller::Caller;
use crate::ids::TenantId;
use crate::limits;
use crate::platform::{Context, Platform};
use crate::record::{self, Decode, Encode, Undecodable};
use crate::resource::scope::Scope;
use crate::resource::{Error, Plan, Put, Write};
use crate::world::Entity;

/// An attestation service that is trusted.
#[derive(Clone)]
pub struct AttestationIssuer {
    /// What its tokens say in `iss`, exactly.
    pub issuer: String,
    /// The keys that it signs with. Without any, nothing that it says is believed.
    pub keys: JwkSet,
}

impl AttestationIssuer {
    /// An issuer as tokens name it: an https URL without query, fragment and user.
    pub fn new(issuer: &str, keys: JwkSet) -> Result<Self, Error> {
        let rest = issuer.strip_prefix("https://").unwrap_or_default();
        let well_formed = !rest.is_empty()
            && !rest.starts_with('/')
            && issuer.len() <= limits::ATTESTATION_ISSUER_BYTES_MAX
            && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~:/[]".contains(&b));
        if !well_formed {
            return Err(Error::Invalid(format!(
                "an attestation issuer must be an https URL of at most {} bytes without query and fragment, exactly as \
                 its tokens say it in `iss`",
                limits::ATTESTATION_ISSUER_BYTES_MAX
            )));
        }
        if keys.len() > limits::ATTESTATION_KEYS_MAX {
            return Err(Error::Invalid(format!(
                "an attestation issuer has at most {} keys",
                limits::ATTESTATION_KEYS_MAX
            )));
        }
        Ok(Self { issuer: issuer.to_owned(), keys })
    }
}

fn published(keys: &JwkSet) -> Vec<u8> {
    // Texts only: serialisation has nothing that could fail.
    serde_json::to_vec(keys).unwrap_or_default()
}

impl Encode for AttestationIssuer {
    fn encode(&self) -> Vec<u8> {
        record::encode(&record::AttestationIssuer {
            issuer: self.issuer.clone(),
            keys: published(&self.keys),
        })
    }
}

impl Decode for AttestationIssuer {
    fn decode(bytes: &[u8]) -> Result<Self, Undecodable> {
        let stored: record::AttestationIssuer = record::decode(bytes)?;
        let keys = JwkSet::parse(&stored.keys).map_err(|error| Undecodable(error.to_string()))?;
        Ok(Self { issuer: stored.issuer, keys })
    }
}

impl Platform {
    /// Trusts an attestation service with these keys and no others; one without keys is trusted no longer.
    pub async fn put_attestation_issuer(
        &self,
        context: &Context,
        caller: &Caller,
        tenant: TenantId,
        wanted: &AttestationIssuer,
    ) -> Result<Put, Error> {
        self.change::<WriteAttestationIssuer, _>(context, caller, tenant, &Scope::root(), |snapshot| {
            let before = snapshot.attestation_issuer(&wanted.issuer);
            if before.as_ref().is_some_and(|before| published(&before.keys) == published(&wanted.keys)) {
                return Ok(Plan::unchanged(Put::Unchanged));
            }
            let known = snapshot.attestation_issuers().count();
            if before.is_none() && known >= limits::ATTESTATION_ISSUERS_MAX {
                return Err(Error::Invalid(format!(
                    "a tenant trusts at most {} attestation issuers",
                    limits::ATTESTATION_ISSUERS_MAX
                )));
            }
            let put = if before.is_some() { Put::Updated } else { Put::Created };
            let issuer = Entity::AttestationIssuer(Arc::new(wanted.clone()));
            Ok(Plan { writes: vec![Write::Put(issuer)], result: put })
        })
        .await
    }
}

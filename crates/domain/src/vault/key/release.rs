//! Secure key release: an exportable key leaves for an environment that a trusted authority vouches for.
//!
//! The environment proves what it is with a token of an attestation service that the operator configured. The key's own
//! policy says which services, and what they must say. What leaves is wrapped for a key inside that token, so that
//! whoever carries token and answer around gains nothing, and is signed with a key that the tenant publishes, so that the
//! environment can tell where it comes from.

use std::sync::Arc;

use vouchsafe_crypto::jose::attestation::{
    self, AttestationRefused, ExpectedAttestation, Recipient, VerifiedAttestation,
};
use vouchsafe_crypto::keys::TransportAlgorithm;

use super::release_policy::ReleaseRules;
use super::{KeyVersion, Keys, decide};
use crate::access::action::ReleaseKey;
use crate::access::authorize::Authorized;
use crate::access::caller::Caller;
use crate::audit::{Outcome, Recorded};
use crate::ids::{ObjectName, ObjectVersion, RoleAssignmentId, VaultName};
use crate::limits;
use crate::platform::{Context, Platform};
use crate::ports::hsm::KeyRef;
use crate::resource::Vault;
use crate::vault::error::{Error, NotReleased};
use crate::vault::object::{Collection, ObjectKind, Place};
use crate::world::TenantSnapshot;

/// What an environment asks for.
pub struct KeyReleaseRequest<'a> {
    /// The token that vouches for it.
    pub target: &'a str,
    /// What it wants repeated, and finds in its token if that has a nonce.
    pub nonce: Option<&'a str>,
    /// How the key is to be wrapped.
    pub algorithm: TransportAlgorithm,
}

/// A key that is wrapped for an environment, for whoever writes the answer down before it is signed.
pub struct KeyOnRelease {
    /// The name of the key as first written.
    pub name: ObjectName,
    /// The version.
    pub version: KeyVersion,
    /// The vault it stands in.
    pub vault: Arc<Vault>,
    /// What the environment calls the key that it is wrapped for.
    pub recipient: String,
    /// The wrapped key.
    pub ciphertext: Vec<u8>,
}

/// A signed answer with a key in it. It exists only together with a durable audit entry.
pub struct ReleasedKey {
    /// The role assignment that allowed it.
    pub assignment: RoleAssignmentId,
    jws: String,
    _recorded: Recorded,
}

impl ReleasedKey {
    /// The answer, on its way out.
    pub fn into_jws(self) -> String {
        self.jws
    }
}

/// Which version of which key is asked for.
type Wanted<'a> = (&'a ObjectName, Option<ObjectVersion>);

impl Platform {
    /// Releases a version of a key, the current one if none is named, to the environment that `asked.target` attests.
    /// `write` puts what is signed into the words of the answer.
    #[expect(clippy::too_many_arguments, reason = "the caller, the key and the request are all needed")]
    pub async fn release_key(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        name: &ObjectName,
        version: Option<ObjectVersion>,
        asked: &KeyReleaseRequest<'_>,
        write: &(dyn Fn(&KeyOnRelease) -> Vec<u8> + Sync),
    ) -> Result<ReleasedKey, Error> {
        let admitted = self.admit::<ReleaseKey>(context, caller, vault, ObjectKind::Key, Some(name)).await?;
        let entry = self.entry(context, &admitted.proof);
        let place = admitted.place(Keys::FAMILY, name);
        let wrapped =
            self.wrapped_for(context, &admitted.proof, &admitted.tenant, &place, (name, version), asked);
        let signed = match wrapped.await {
            Ok((name, version, recipient, ciphertext)) => {
                let vault = admitted.vault.clone();
                let leaving = KeyOnRelease { name, version, vault, recipient: recipient.kid, ciphertext };
                let signatory = self.signatory(&admitted.tenant, "Key release");
                signatory.and_then(|signatory| signatory.sign(None, &write(&leaving)))
            }
            Err(error) => Err(error),
        };
        match signed {
            Ok(jws) => {
                // INVARIANT: the answer is in nobody's hands before the log has it.
                let recorded = self.trail.record(entry.outcome(Outcome::Done, None)).await?;
                Ok(ReleasedKey { assignment: admitted.proof.assignment(), jws, _recorded: recorded })
            }
            Err(error) => self.record_refusal(entry, error).await,
        }
    }

    /// Decides, and has the key's holder wrap it: the key is never in the clear here.
    async fn wrapped_for(
        &self,
        context: &Context,
        proof: &Authorized<ReleaseKey>,
        tenant: &TenantSnapshot,
        place: &Place,
        (name, version): Wanted<'_>,
        asked: &KeyReleaseRequest<'_>,
    ) -> Result<(ObjectName, KeyVersion, Recipient, Vec<u8>), Error> {
        let (name, key) = self.load_version::<KeyVersion>(place, name, version).await?;
        decide::released(&key)?;
        let policy = key.release_policy.as_ref().ok_or(NotReleased::Policy)?;
        let rules = ReleaseRules::parse(policy.content_type.as_deref(), &policy.data);
        let said = vouched_for(&rules.map_err(|_| NotReleased::Policy)?, tenant, asked.target, context)?;
        let nonce = said.claim("nonce").map(|nonce| nonce.as_str());
        if let (Some(nonce), Some(wanted)) = (nonce, asked.nonce)
            && nonce != Some(wanted)
        {
            return Err(NotReleased::Nonce.into());
        }
        let recipient = said.recipient().map_err(NotReleased::Attestation)?;
        let material = self.load_material(proof, place, key.version).await?;
        let reference = KeyRef { spec: key.spec, material: &material };
        let holder = self.holder(key.in_token)?;
        let ciphertext = holder.wrap_for_release(&reference, &recipient.key, asked.algorithm).await?;
        Ok((name, key, recipient, ciphertext))
    }
}

/// What a trusted authority says of the environment, if it is enough for the policy.
///
/// An authority counts if the policy names it **and** the operator configured it, under exactly the same text. The most
/// telling refusal is the one that is told: that of a token which was believed.
fn vouched_for(
    rules: &ReleaseRules,
    tenant: &TenantSnapshot,
    target: &str,
    context: &Context,
) -> Result<VerifiedAttestation, NotReleased> {
    let mut refused = NotReleased::Authority;
    for rule in rules.authorities() {
        let Some(issuer) = tenant.attestation_issuer(&rule.authority) else { continue };
        let expected = ExpectedAttestation {
            issuer: &rule.authority,
            now_seconds: context.now.seconds(),
            skew_seconds: limits::TOKEN_SKEW.as_secs(),
            lifetime_max_seconds: limits::ATTESTATION_LIFETIME_MAX.as_secs(),
        };
        match attestation::verify(target.as_bytes(), &issuer.keys, &expected) {
            Ok(said) if rule.holds(&said) => return Ok(said),
            Ok(_) => refused = NotReleased::Conditions,
            Err(AttestationRefused::UnknownKey | AttestationRefused::Issuer) => {}
            Err(error) if refused != NotReleased::Conditions => refused = NotReleased::Attestation(error),
            Err(_) => {}
        }
    }
    Err(refused)
}

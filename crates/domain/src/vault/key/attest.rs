//! Key attestation: what a token says of a key in it, signed by the tenant.
//!
//! A token behind PKCS#11 has no signature of its maker for what it says. So this server reads it and signs: whoever
//! believes the tenant's published keys learns where the key is and how it came there. Of a key in software there is
//! nothing that this server's own word could add to.

use std::sync::Arc;

use super::{KeyVersion, Keys};
use crate::access::action::ReadKey;
use crate::access::authorize::Authorized;
use crate::access::caller::Caller;
use crate::audit::{Outcome, Recorded};
use crate::ids::{ObjectName, ObjectVersion, RoleAssignmentId, VaultName};
use crate::platform::{Context, Platform};
use crate::ports::hsm::{KeyRef, ObjectStatement, TokenStatement};
use crate::resource::Vault;
use crate::token::issue::issuer;
use crate::vault::error::Error;
use crate::vault::object::{Collection, ObjectKind, Place};
use crate::world::TenantSnapshot;

/// What a statement about a key says that it is (`typ`).
const TYPE: &str = "key-attestation+jwt";

/// Which half of a key a statement is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KeyHalf {
    /// The private or symmetric key.
    Secret,
    /// The public key.
    Public,
}

/// A key that is spoken of, for whoever writes the statement down before it is signed.
pub struct KeyOnAttestation {
    /// The name of the key as first written.
    pub name: ObjectName,
    /// The version.
    pub version: KeyVersion,
    /// The vault it stands in.
    pub vault: Arc<Vault>,
    /// The issuer of the tenant's tokens, under which its key set is found.
    pub issuer: String,
    /// When the token said it, in seconds since the epoch.
    pub read: u64,
    /// What it said.
    pub said: TokenStatement,
}

impl KeyOnAttestation {
    /// What the token said of one half; of a public half that is no object of its own in the token, nothing.
    pub fn of(&self, half: KeyHalf) -> Option<&ObjectStatement> {
        match half {
            KeyHalf::Secret => Some(&self.said.secret),
            KeyHalf::Public => self.said.public.as_ref(),
        }
    }
}

/// Signed statements about a key. They exist only together with a durable audit entry.
pub struct AttestedKey {
    /// The key, and what was said of it.
    pub key: KeyOnAttestation,
    /// The role assignment that allowed it.
    pub assignment: RoleAssignmentId,
    /// About the private or symmetric key.
    pub secret: String,
    /// About the public key, where there is one.
    pub public: Option<String>,
    /// The certificate of the key that signed, in DER.
    pub certificate: Vec<u8>,
    _recorded: Recorded,
}

impl Platform {
    /// Attests a version of a key in the token, the current one if none is named. It is a read: a disabled key is
    /// attested as well, because nothing is done with it. `write` puts what is signed into words.
    pub async fn attest_key(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        name: &ObjectName,
        version: Option<ObjectVersion>,
        write: &(dyn Fn(&KeyOnAttestation, KeyHalf) -> Vec<u8> + Sync),
    ) -> Result<AttestedKey, Error> {
        let admitted = self.admit::<ReadKey>(context, caller, vault, ObjectKind::Key, Some(name)).await?;
        let entry = self.entry(context, &admitted.proof);
        let place = admitted.place(Keys::FAMILY, name);
        let signed = match self.said_by_token(&admitted.proof, &place, name, version).await {
            Ok((name, version, said)) => {
                let key = KeyOnAttestation {
                    name,
                    version,
                    vault: admitted.vault.clone(),
                    issuer: issuer(self.settings().origin(), admitted.tenant.tenant().id),
                    read: context.now.seconds(),
                    said,
                };
                self.signed_statements(&admitted.tenant, &key, write).map(|signed| (key, signed))
            }
            Err(error) => Err(error),
        };
        match signed {
            Ok((key, (secret, public, certificate))) => {
                // INVARIANT: the statements are in nobody's hands before the log has them.
                let recorded = self.trail.record(entry.outcome(Outcome::Done, None)).await?;
                let assignment = admitted.proof.assignment();
                Ok(AttestedKey { key, assignment, secret, public, certificate, _recorded: recorded })
            }
            Err(error) => self.record_refusal(entry, error).await,
        }
    }

    async fn said_by_token(
        &self,
        proof: &Authorized<ReadKey>,
        place: &Place,
        name: &ObjectName,
        version: Option<ObjectVersion>,
    ) -> Result<(ObjectName, KeyVersion, TokenStatement), Error> {
        let (name, key) = self.load_version::<KeyVersion>(place, name, version).await?;
        if !key.in_token {
            let problem = "only keys of the kinds RSA-HSM, EC-HSM and oct-HSM are attested: this key is held in \
                           software, and no token says anything of it";
            return Err(Error::BadParameter(problem.to_owned()));
        }
        let material = self.load_material(proof, place, key.version).await?;
        let said = self.holder(true)?.attest(&KeyRef { spec: key.spec, material: &material }).await?;
        Ok((name, key, said))
    }

    /// The statements about both halves, and the certificate that is in both.
    fn signed_statements(
        &self,
        tenant: &TenantSnapshot,
        key: &KeyOnAttestation,
        write: &(dyn Fn(&KeyOnAttestation, KeyHalf) -> Vec<u8> + Sync),
    ) -> Result<(String, Option<String>, Vec<u8>), Error> {
        let signatory = self.signatory(tenant, "Key attestation")?;
        let secret = signatory.sign(Some(TYPE), &write(key, KeyHalf::Secret))?;
        let public = key.version.public.is_some();
        let public = public.then(|| signatory.sign(Some(TYPE), &write(key, KeyHalf::Public))).transpose()?;
        Ok((secret, public, signatory.into_certificate()))
    }
}

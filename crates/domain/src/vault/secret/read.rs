//! Reading a secret's value: the hot path.

use std::sync::Arc;

use vouchsafe_crypto::SecretBytes;

use super::{SecretVersion, Secrets, decide};
use crate::access::action::GetSecret;
use crate::access::caller::Caller;
use crate::audit::{Outcome, Recorded};
use crate::ids::{ObjectName, ObjectVersion, VaultName};
use crate::platform::{Context, Platform};
use crate::resource::Vault;
use crate::vault::certificate::converted;
use crate::vault::error::Error;
use crate::vault::object::{Collection, ObjectKind};

/// A secret with its value. It exists only together with a durable audit entry.
pub struct ReadSecret {
    /// The name as first written.
    pub name: ObjectName,
    /// The version that was read.
    pub version: SecretVersion,
    /// The vault it stands in.
    pub vault: Arc<Vault>,
    /// The role assignment that allowed it.
    pub assignment: crate::ids::RoleAssignmentId,
    /// The version before it, of the secret of a certificate.
    pub previous: Option<ObjectVersion>,
    value: SecretBytes,
    _recorded: Recorded,
}

impl ReadSecret {
    /// The value, on its way out.
    pub fn into_value(self) -> SecretBytes {
        self.value
    }
}

impl Platform {
    /// Reads a version of a secret, the current one if none is named.
    pub async fn get_secret(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        name: &ObjectName,
        version: Option<ObjectVersion>,
    ) -> Result<ReadSecret, Error> {
        self.get_secret_as(context, caller, vault, name, version, None).await
    }

    /// The same in another content type, which only the secrets of certificates have (`outContentType`).
    pub async fn get_secret_as(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        name: &ObjectName,
        version: Option<ObjectVersion>,
        content_type: Option<&str>,
    ) -> Result<ReadSecret, Error> {
        let admitted =
            self.admit::<GetSecret>(context, caller, vault, ObjectKind::Secret, Some(name)).await?;
        let entry = self.entry(context, &admitted.proof);
        let place = admitted.place(Secrets::FAMILY, name);
        let loaded = async {
            let (name, mut found) = self.load_version::<SecretVersion>(&place, name, version).await?;
            decide::readable(&found)?;
            let form = converted(found.managed, found.attributes.content_type.as_deref(), content_type)?;
            if let Some(form) = form {
                found.attributes.content_type = Some(form.as_str().to_owned());
            }
            let (value, previous) = if found.managed {
                self.managed_value(&admitted.proof, &place, found.version, form).await?
            } else {
                (self.load_material(&admitted.proof, &place, found.version).await?, None)
            };
            Ok((name, found, value, previous))
        };
        match loaded.await {
            Ok((name, version, value, previous)) => {
                let recorded = self.trail.record(entry.outcome(Outcome::Done, None)).await?;
                let assignment = admitted.proof.assignment();
                Ok(ReadSecret {
                    name,
                    version,
                    vault: admitted.vault,
                    assignment,
                    previous,
                    value,
                    _recorded: recorded,
                })
            }
            Err(error) => self.record_refusal(entry, error).await,
        }
    }
}

//! Reading the public half and the attributes of a key.

use std::sync::Arc;

use super::{KeyVersion, Keys};
use crate::access::action;
use crate::access::caller::Caller;
use crate::audit::Outcome;
use crate::ids::{ObjectName, ObjectVersion, RoleAssignmentId, VaultName};
use crate::platform::{Context, Platform};
use crate::resource::Vault;
use crate::vault::error::Error;
use crate::vault::object::{Collection, ObjectKind};

/// A version of a key, as everybody may know it who may read keys.
pub struct ReadKey {
    /// The name as first written.
    pub name: ObjectName,
    /// The version that was read.
    pub version: KeyVersion,
    /// The vault it stands in.
    pub vault: Arc<Vault>,
    /// The role assignment that allowed it.
    pub assignment: RoleAssignmentId,
}

impl Platform {
    /// Reads a version of a key, the current one if none is named. A disabled one can be read, too: it is only not used.
    pub async fn get_key(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        name: &ObjectName,
        version: Option<ObjectVersion>,
    ) -> Result<ReadKey, Error> {
        let admitted =
            self.admit::<action::ReadKey>(context, caller, vault, ObjectKind::Key, Some(name)).await?;
        let entry = self.entry(context, &admitted.proof);
        let place = admitted.place(Keys::FAMILY, name);
        match self.load_version::<KeyVersion>(&place, name, version).await {
            Ok((name, version)) => {
                self.trail.record(entry.outcome(Outcome::Done, None)).await?;
                let assignment = admitted.proof.assignment();
                Ok(ReadKey { name, version, vault: admitted.vault, assignment })
            }
            Err(error) => self.record_refusal(entry, error).await,
        }
    }
}

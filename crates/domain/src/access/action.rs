//! Every action that a request can need, as one table (wire.md §7.6 and §9).
//!
//! An action has a name, which roles permit by pattern, a plane, and a marker type, so that a proof of one action is
//! not a proof of another: `Authorized<GetSecret>` is not an `Authorized<SetSecret>`. Actions are enumerated here;
//! wildcards expand inside role definitions only.

use std::fmt;

/// Which side of a resource an action is on; a permission on one says nothing about the other.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Plane {
    /// The resource itself: `actions` and `notActions` of a role.
    Control,
    /// What the resource holds: `dataActions` and `notDataActions` of a role.
    Data,
}

/// An action known at compile time; implemented by the marker types of the table and by nothing else.
pub trait Action: sealed::Sealed {
    /// Which action it is.
    const ACTION: ActionName;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! actions {
    ($($plane:ident { $($(#[$doc:meta])* $marker:ident = $name:literal,)* })*) => {
        /// The name of an action.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        #[repr(u8)]
        pub enum ActionName {
            $($($(#[$doc])* $marker,)*)*
        }

        impl ActionName {
            /// All actions, in the order of the table.
            pub const ALL: &[Self] = &[$($(Self::$marker,)*)*];

            /// The name in Azure's words.
            pub const fn as_str(self) -> &'static str {
                match self { $($(Self::$marker => $name,)*)* }
            }

            /// The plane that it is on.
            pub const fn plane(self) -> Plane {
                match self { $($(Self::$marker)|* => Plane::$plane,)* }
            }
        }

        $($(
            $(#[$doc])*
            pub enum $marker {}
            impl sealed::Sealed for $marker {}
            impl Action for $marker {
                const ACTION: ActionName = ActionName::$marker;
            }
        )*)*
    };
}

actions! {
    Data {
        /// Read a secret's value.
        GetSecret = "Microsoft.KeyVault/vaults/secrets/getSecret/action",
        /// Write a new version of a secret.
        SetSecret = "Microsoft.KeyVault/vaults/secrets/setSecret/action",
        /// List secrets and versions, deleted ones too, without values.
        ReadSecretMetadata = "Microsoft.KeyVault/vaults/secrets/readMetadata/action",
        /// Change a secret's attributes.
        UpdateSecret = "Microsoft.KeyVault/vaults/secrets/update/action",
        /// Soft-delete a secret.
        DeleteSecret = "Microsoft.KeyVault/vaults/secrets/delete",
        /// Export a secret with all its versions as a sealed blob.
        BackupSecret = "Microsoft.KeyVault/vaults/secrets/backup/action",
        /// Import a sealed blob.
        RestoreSecret = "Microsoft.KeyVault/vaults/secrets/restore/action",
        /// Bring a soft-deleted secret back.
        RecoverSecret = "Microsoft.KeyVault/vaults/secrets/recover/action",
        /// Destroy a soft-deleted secret.
        PurgeSecret = "Microsoft.KeyVault/vaults/secrets/purge/action",

        /// Read and list keys, and use the public half of asymmetric ones.
        ReadKey = "Microsoft.KeyVault/vaults/keys/read",
        /// Generate a key.
        CreateKey = "Microsoft.KeyVault/vaults/keys/create/action",
        /// Import a key.
        ImportKey = "Microsoft.KeyVault/vaults/keys/import/action",
        /// Change a key's attributes.
        UpdateKey = "Microsoft.KeyVault/vaults/keys/update/action",
        /// Soft-delete a key.
        DeleteKey = "Microsoft.KeyVault/vaults/keys/delete",
        /// Export a key as a sealed blob.
        BackupKey = "Microsoft.KeyVault/vaults/keys/backup/action",
        /// Import a sealed blob.
        RestoreKey = "Microsoft.KeyVault/vaults/keys/restore/action",
        /// Bring a soft-deleted key back.
        RecoverKey = "Microsoft.KeyVault/vaults/keys/recover/action",
        /// Destroy a soft-deleted key.
        PurgeKey = "Microsoft.KeyVault/vaults/keys/purge/action",
        /// Make a new version of a key.
        RotateKey = "Microsoft.KeyVault/vaults/keys/rotate/action",
        /// Release an exportable key to an attested environment.
        ReleaseKey = "Microsoft.KeyVault/vaults/keys/release/action",
        /// Encrypt with a key.
        Encrypt = "Microsoft.KeyVault/vaults/keys/encrypt/action",
        /// Decrypt with a key.
        Decrypt = "Microsoft.KeyVault/vaults/keys/decrypt/action",
        /// Wrap another key.
        WrapKey = "Microsoft.KeyVault/vaults/keys/wrap/action",
        /// Unwrap another key.
        UnwrapKey = "Microsoft.KeyVault/vaults/keys/unwrap/action",
        /// Sign a digest.
        Sign = "Microsoft.KeyVault/vaults/keys/sign/action",
        /// Verify the signature of a digest.
        Verify = "Microsoft.KeyVault/vaults/keys/verify/action",
        /// Read a key's rotation policy.
        ReadRotationPolicy = "Microsoft.KeyVault/vaults/keyrotationpolicies/read",
        /// Change a key's rotation policy.
        WriteRotationPolicy = "Microsoft.KeyVault/vaults/keyrotationpolicies/write",

        /// Read and list certificates.
        ReadCertificate = "Microsoft.KeyVault/vaults/certificates/read",
        /// Create a certificate.
        CreateCertificate = "Microsoft.KeyVault/vaults/certificates/create/action",
        /// Import a certificate.
        ImportCertificate = "Microsoft.KeyVault/vaults/certificates/import/action",
        /// Change a certificate's attributes or policy.
        UpdateCertificate = "Microsoft.KeyVault/vaults/certificates/update/action",
        /// Soft-delete a certificate.
        DeleteCertificate = "Microsoft.KeyVault/vaults/certificates/delete",
        /// Export a certificate as a sealed blob.
        BackupCertificate = "Microsoft.KeyVault/vaults/certificates/backup/action",
        /// Import a sealed blob.
        RestoreCertificate = "Microsoft.KeyVault/vaults/certificates/restore/action",
        /// Bring a soft-deleted certificate back.
        RecoverCertificate = "Microsoft.KeyVault/vaults/certificates/recover/action",
        /// Destroy a soft-deleted certificate.
        PurgeCertificate = "Microsoft.KeyVault/vaults/certificates/purge/action",
        /// Read certificate issuers.
        ReadCertificateIssuer = "Microsoft.KeyVault/vaults/certificatecas/read",
        /// Write a certificate issuer.
        WriteCertificateIssuer = "Microsoft.KeyVault/vaults/certificatecas/write",
        /// Delete a certificate issuer.
        DeleteCertificateIssuer = "Microsoft.KeyVault/vaults/certificatecas/delete",
        /// Manage certificate contacts.
        WriteCertificateContacts = "Microsoft.KeyVault/vaults/certificatecontacts/write",
    }
    Control {
        /// Read a vault's properties.
        ReadVault = "Microsoft.KeyVault/vaults/read",
        /// Create or change a vault, or recover a deleted one.
        WriteVault = "Microsoft.KeyVault/vaults/write",
        /// Soft-delete a vault.
        DeleteVault = "Microsoft.KeyVault/vaults/delete",
        /// Read soft-deleted vaults.
        ReadDeletedVault = "Microsoft.KeyVault/deletedVaults/read",
        /// Destroy a soft-deleted vault.
        PurgeVault = "Microsoft.KeyVault/locations/deletedVaults/purge/action",
        /// Ask whether a vault's name is free.
        CheckVaultName = "Microsoft.KeyVault/checkNameAvailability/read",

        /// Read a user-assigned identity.
        ReadIdentity = "Microsoft.ManagedIdentity/userAssignedIdentities/read",
        /// Create or change a user-assigned identity.
        WriteIdentity = "Microsoft.ManagedIdentity/userAssignedIdentities/write",
        /// Delete a user-assigned identity.
        DeleteIdentity = "Microsoft.ManagedIdentity/userAssignedIdentities/delete",
        /// Give an existing user-assigned identity to a workload.
        AssignIdentity = "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action",

        /// Read a subscription.
        ReadSubscription = "Microsoft.Resources/subscriptions/read",
        /// Read a resource group.
        ReadResourceGroup = "Microsoft.Resources/subscriptions/resourceGroups/read",
        /// Create or change a resource group.
        WriteResourceGroup = "Microsoft.Resources/subscriptions/resourceGroups/write",
        /// Delete a resource group with all that it holds.
        DeleteResourceGroup = "Microsoft.Resources/subscriptions/resourceGroups/delete",

        /// Read role assignments.
        ReadRoleAssignment = "Microsoft.Authorization/roleAssignments/read",
        /// Create a role assignment.
        WriteRoleAssignment = "Microsoft.Authorization/roleAssignments/write",
        /// Delete a role assignment.
        DeleteRoleAssignment = "Microsoft.Authorization/roleAssignments/delete",
        /// Read role definitions.
        ReadRoleDefinition = "Microsoft.Authorization/roleDefinitions/read",
        /// Create or change a custom role definition.
        WriteRoleDefinition = "Microsoft.Authorization/roleDefinitions/write",
        /// Delete a custom role definition.
        DeleteRoleDefinition = "Microsoft.Authorization/roleDefinitions/delete",

        /// Found another tenant.
        WriteTenant = "Microsoft.Directory/tenants/write",
        /// Create a subscription in the tenant.
        WriteSubscription = "Microsoft.Subscription/subscriptions/write",
        /// Read applications, service principals and groups.
        ReadDirectory = "Microsoft.Directory/directoryObjects/read",
        /// Create or change an application, its credentials and its service principal.
        WriteApplication = "Microsoft.Directory/applications/write",
        /// Create or change a group.
        WriteGroup = "Microsoft.Directory/groups/write",
        /// Trust an attestation service, or take the trust away.
        WriteAttestationIssuer = "Microsoft.Directory/attestationIssuers/write",
    }
}

impl fmt::Display for ActionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A set of actions; what the patterns of a role expand to.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ActionSet(u128);

const _: () = assert!(ActionName::ALL.len() <= 128, "an `ActionSet` has 128 places");

impl ActionSet {
    /// The actions that a question holds for.
    pub fn of(wanted: impl Fn(ActionName) -> bool) -> Self {
        ActionName::ALL
            .iter()
            .filter(|action| wanted(**action))
            .fold(Self::default(), |all, one| all | one.bit())
    }

    /// Whether `action` is in it.
    pub fn holds(self, action: ActionName) -> bool {
        self & action.bit() == action.bit()
    }

    /// These actions without `others`.
    pub fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }
}

impl ActionName {
    const fn bit(self) -> ActionSet {
        ActionSet(1 << self as u8)
    }
}

impl std::ops::BitOr for ActionSet {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl std::ops::BitAnd for ActionSet {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_actions_share_a_name_or_a_place_in_a_set() {
        let names: BTreeSet<String> =
            ActionName::ALL.iter().map(|a| a.as_str().to_ascii_lowercase()).collect();
        assert_eq!(names.len(), ActionName::ALL.len());
        for action in ActionName::ALL {
            let only = ActionSet::of(|other| other == *action);
            let held: Vec<_> = ActionName::ALL.iter().filter(|other| only.holds(**other)).collect();
            assert_eq!(held, [action]);
        }
    }

    #[test]
    fn a_name_says_the_kind_of_action() {
        for action in ActionName::ALL {
            let name = action.as_str();
            assert!(name.starts_with("Microsoft."), "{name}");
            assert!(
                ["/read", "/write", "/delete", "/action"].iter().any(|end| name.ends_with(end)),
                "{name}"
            );
        }
        assert_eq!(GetSecret::ACTION.plane(), Plane::Data);
        assert_eq!(ReadVault::ACTION.plane(), Plane::Control);
    }
}

//! The built-in roles that clients ask for by name or GUID, as one flat table (wire.md §8).
//!
//! GUIDs, names and actions are Azure's. Two kinds of entry differ on purpose, both marked: Azure lets a pattern with
//! `/*/` in the middle stand for the resource type itself as well (a Key Vault Reader may read the vault, a Managed
//! Identity Operator may assign an identity), our patterns are literal, so such names are listed beside the pattern.

use std::sync::{Arc, LazyLock};

use uuid::{Uuid, uuid};

use super::pattern::ActionPattern;
use super::role::{Condition, Permission, RoleDefinition, RoleKind};
use crate::ids::RoleDefinitionId;
use crate::resource::scope::Scope;

/// Every built-in role, in the order of the table.
pub fn all() -> &'static [Arc<RoleDefinition>] {
    &BUILT_IN
}

/// The built-in role of this id.
pub fn find(id: RoleDefinitionId) -> Option<&'static Arc<RoleDefinition>> {
    BUILT_IN.iter().find(|role| role.id() == id)
}

static BUILT_IN: LazyLock<Vec<Arc<RoleDefinition>>> =
    LazyLock::new(|| TABLE.iter().map(|row| Arc::new(row.definition())).collect());

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $guid:literal;)*) => {
        $($(#[$doc])* pub const $name: RoleDefinitionId = RoleDefinitionId(uuid!($guid));)*
    };
}

ids! {
    /// Key Vault Administrator.
    KEY_VAULT_ADMINISTRATOR = "00482a5a-887f-4fb3-b363-3b7fe8e74483";
    /// Key Vault Reader.
    KEY_VAULT_READER = "21090545-7ca7-4776-b22c-e363652d74d2";
    /// Key Vault Secrets Officer.
    KEY_VAULT_SECRETS_OFFICER = "b86a8fe4-44ce-4948-aee5-eccb2c155cd7";
    /// Key Vault Secrets User.
    KEY_VAULT_SECRETS_USER = "4633458b-17de-408a-b874-0445c86b69e6";
    /// Key Vault Crypto Officer.
    KEY_VAULT_CRYPTO_OFFICER = "14b46e9e-c2b7-41b4-b07b-48a6ebf60603";
    /// Key Vault Crypto User.
    KEY_VAULT_CRYPTO_USER = "12338af0-0e69-4776-bea7-57ae8d297424";
    /// Key Vault Crypto Service Encryption User.
    KEY_VAULT_CRYPTO_SERVICE_ENCRYPTION_USER = "e147488a-f6f5-4113-8e2d-b22465e65bf6";
    /// Key Vault Crypto Service Release User.
    KEY_VAULT_CRYPTO_SERVICE_RELEASE_USER = "08bbd89e-9f13-488c-ac41-acfcb10c90ab";
    /// Key Vault Certificates Officer.
    KEY_VAULT_CERTIFICATES_OFFICER = "a4417e6f-fecd-4de8-b567-7b0420556985";
    /// Key Vault Certificate User.
    KEY_VAULT_CERTIFICATE_USER = "db79e9a7-68ee-4b58-9aeb-b90e7c24fcba";
    /// Key Vault Contributor.
    KEY_VAULT_CONTRIBUTOR = "f25e0fa2-a7c8-4377-a976-54943a77a395";
    /// Key Vault Data Access Administrator.
    KEY_VAULT_DATA_ACCESS_ADMINISTRATOR = "8b54135c-b56d-4d72-a534-26097cfdc8d8";
    /// Owner.
    OWNER = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635";
    /// Contributor.
    CONTRIBUTOR = "b24988ac-6180-42a0-ab88-20f7382dd24c";
    /// Reader.
    READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7";
    /// User Access Administrator.
    USER_ACCESS_ADMINISTRATOR = "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9";
    /// Managed Identity Operator.
    MANAGED_IDENTITY_OPERATOR = "f1a07417-d97a-45cb-824c-7a7467783830";
    /// Managed Identity Contributor.
    MANAGED_IDENTITY_CONTRIBUTOR = "e40ec5ca-96e0-45a2-b4ff-59039f2c2b59";
}

struct Row {
    id: RoleDefinitionId,
    name: &'static str,
    description: &'static str,
    actions: &'static [&'static str],
    not_actions: &'static [&'static str],
    data_actions: &'static [&'static str],
    /// When not empty, role assignments may be written and deleted for these roles only.
    assigns_only: &'static [RoleDefinitionId],
}

impl Row {
    fn definition(&self) -> RoleDefinition {
        let permission = Permission {
            actions: patterns(self.actions),
            not_actions: patterns(self.not_actions),
            data_actions: patterns(self.data_actions),
            not_data_actions: Vec::new(),
            condition: (!self.assigns_only.is_empty())
                .then(|| Condition::AssignsOnly(self.assigns_only.to_vec())),
        };
        let (name, description) = (self.name.to_owned(), self.description.to_owned());
        let scopes = vec![Scope::root()];
        RoleDefinition::assume(self.id, name, description, RoleKind::BuiltIn, vec![permission], scopes)
    }
}

fn patterns(raw: &[&str]) -> Vec<ActionPattern> {
    let parse =
        |raw: &&str| ActionPattern::parse(raw).expect("the table is constant and a test reads all of it");
    raw.iter().map(parse).collect()
}

const EMPTY: Row = Row {
    id: RoleDefinitionId(Uuid::nil()),
    name: "",
    description: "",
    actions: &[],
    not_actions: &[],
    data_actions: &[],
    assigns_only: &[],
};

/// What the Key Vault officers and readers hold on the control plane.
const OFFICER: &[&str] = &[
    "Microsoft.Authorization/*/read",
    "Microsoft.Insights/alertRules/*",
    "Microsoft.Resources/deployments/*",
    "Microsoft.Resources/subscriptions/resourceGroups/read",
    "Microsoft.Support/*",
    "Microsoft.KeyVault/checkNameAvailability/read",
    "Microsoft.KeyVault/deletedVaults/read",
    "Microsoft.KeyVault/locations/*/read",
    "Microsoft.KeyVault/vaults/*/read",
    "Microsoft.KeyVault/vaults/read", // Implied by the line above in Azure.
    "Microsoft.KeyVault/operations/read",
];

const TABLE: &[Row] = &[
    Row {
        id: KEY_VAULT_ADMINISTRATOR,
        name: "Key Vault Administrator",
        description: "Every data operation on a vault's secrets, keys and certificates; no vaults, no role assignments.",
        actions: OFFICER,
        data_actions: &["Microsoft.KeyVault/vaults/*"],
        ..EMPTY
    },
    Row {
        id: KEY_VAULT_READER,
        name: "Key Vault Reader",
        description: "Properties of vaults and of what they hold; no values and no key material.",
        actions: OFFICER,
        data_actions: &[
            "Microsoft.KeyVault/vaults/*/read",
            "Microsoft.KeyVault/vaults/secrets/readMetadata/action",
        ],
        ..EMPTY
    },
    Row {
        id: KEY_VAULT_SECRETS_OFFICER,
        name: "Key Vault Secrets Officer",
        description: "Every operation on secrets, but no permissions.",
        actions: OFFICER,
        data_actions: &["Microsoft.KeyVault/vaults/secrets/*"],
        ..EMPTY
    },
    Row {
        id: KEY_VAULT_SECRETS_USER,
        name: "Key Vault Secrets User",
        description: "Read the values of secrets.",
        data_actions: &[
            "Microsoft.KeyVault/vaults/secrets/getSecret/action",
            "Microsoft.KeyVault/vaults/secrets/readMetadata/action",
        ],
        ..EMPTY
    },
    Row {
        id: KEY_VAULT_CRYPTO_OFFICER,
        name: "Key Vault Crypto Officer",
        description: "Every operation on keys, but no permissions.",
        actions: OFFICER,
        data_actions: &[
            "Microsoft.KeyVault/vaults/keys/*",
            "Microsoft.KeyVault/vaults/keyrotationpolicies/*",
        ],
        ..EMPTY
    },
    Row {
        id: KEY_VAULT_CRYPTO_USER,
        name: "Key Vault Crypto User",
        description: "Cryptographic operations with keys.",
        data_actions: &[
            "Microsoft.KeyVault/vaults/keys/read",
            "Microsoft.KeyVault/vaults/keys/update/action",
            "Microsoft.KeyVault/vaults/keys/backup/action",
            "Microsoft.KeyVault/vaults/keys/encrypt/action",
            "Microsoft.KeyVault/vaults/keys/decrypt/action",
            "Microsoft.KeyVault/vaults/keys/wrap/action",
            "Microsoft.KeyVault/vaults/keys/unwrap/action",
            "Microsoft.KeyVault/vaults/keys/sign/action",
            "Microsoft.KeyVault/vaults/keys/verify/action",
        ],
        ..EMPTY
    },
    Row {
        id: KEY_VAULT_CRYPTO_SERVICE_ENCRYPTION_USER,
        name: "Key Vault Crypto Service Encryption User",
        description: "Properties of keys; wrap and unwrap.",
        actions: &[
            "Microsoft.EventGrid/eventSubscriptions/write",
            "Microsoft.EventGrid/eventSubscriptions/read",
            "Microsoft.EventGrid/eventSubscriptions/delete",
        ],
        data_actions: &[
            "Microsoft.KeyVault/vaults/keys/read",
            "Microsoft.KeyVault/vaults/keys/wrap/action",
            "Microsoft.KeyVault/vaults/keys/unwrap/action",
        ],
        ..EMPTY
    },
    Row {
        id: KEY_VAULT_CRYPTO_SERVICE_RELEASE_USER,
        name: "Key Vault Crypto Service Release User",
        description: "Release keys to attested environments.",
        data_actions: &["Microsoft.KeyVault/vaults/keys/release/action"],
        ..EMPTY
    },
    Row {
        id: KEY_VAULT_CERTIFICATES_OFFICER,
        name: "Key Vault Certificates Officer",
        description: "Every operation on certificates, but no permissions.",
        actions: OFFICER,
        data_actions: &[
            "Microsoft.KeyVault/vaults/certificatecas/*",
            "Microsoft.KeyVault/vaults/certificates/*",
            "Microsoft.KeyVault/vaults/certificatecontacts/write",
        ],
        ..EMPTY
    },
    Row {
        id: KEY_VAULT_CERTIFICATE_USER,
        name: "Key Vault Certificate User",
        description: "Read certificates whole, private key included.",
        data_actions: &[
            "Microsoft.KeyVault/vaults/certificates/read",
            "Microsoft.KeyVault/vaults/secrets/getSecret/action",
            "Microsoft.KeyVault/vaults/secrets/readMetadata/action",
            "Microsoft.KeyVault/vaults/keys/read",
        ],
        ..EMPTY
    },
    Row {
        id: KEY_VAULT_CONTRIBUTOR,
        name: "Key Vault Contributor",
        description: "Vaults themselves, without what they hold and without role assignments.",
        actions: &[
            "Microsoft.Authorization/*/read",
            "Microsoft.Insights/alertRules/*",
            "Microsoft.KeyVault/*",
            "Microsoft.Resources/deployments/*",
            "Microsoft.Resources/subscriptions/resourceGroups/read",
            "Microsoft.Support/*",
        ],
        not_actions: &[
            "Microsoft.KeyVault/locations/deletedVaults/purge/action",
            "Microsoft.KeyVault/hsmPools/*",
            "Microsoft.KeyVault/managedHsms/*",
        ],
        ..EMPTY
    },
    Row {
        id: KEY_VAULT_DATA_ACCESS_ADMINISTRATOR,
        name: "Key Vault Data Access Administrator",
        description: "Role assignments of the eight Key Vault data roles, and of no other role.",
        actions: &[
            "Microsoft.Authorization/roleAssignments/write",
            "Microsoft.Authorization/roleAssignments/delete",
            "Microsoft.Authorization/*/read",
            "Microsoft.Resources/deployments/*",
            "Microsoft.Resources/subscriptions/resourceGroups/read",
            "Microsoft.Resources/subscriptions/read",
            "Microsoft.Management/managementGroups/read",
            "Microsoft.Support/*",
            "Microsoft.KeyVault/vaults/*/read",
            "Microsoft.KeyVault/vaults/read", // Implied by the line above in Azure.
        ],
        // Azure's own list; it leaves out Certificate User and Crypto Service Release User.
        assigns_only: &[
            KEY_VAULT_ADMINISTRATOR,
            KEY_VAULT_CERTIFICATES_OFFICER,
            KEY_VAULT_CRYPTO_OFFICER,
            KEY_VAULT_CRYPTO_SERVICE_ENCRYPTION_USER,
            KEY_VAULT_CRYPTO_USER,
            KEY_VAULT_READER,
            KEY_VAULT_SECRETS_OFFICER,
            KEY_VAULT_SECRETS_USER,
        ],
        ..EMPTY
    },
    Row {
        id: OWNER,
        name: "Owner",
        description: "All resources, role assignments included; nothing that vaults hold.",
        actions: &["*"],
        ..EMPTY
    },
    Row {
        id: CONTRIBUTOR,
        name: "Contributor",
        description: "All resources, without role assignments; nothing that vaults hold.",
        actions: &["*"],
        not_actions: &[
            "Microsoft.Authorization/*/Delete",
            "Microsoft.Authorization/*/Write",
            "Microsoft.Authorization/elevateAccess/Action",
            "Microsoft.Blueprint/blueprintAssignments/write",
            "Microsoft.Blueprint/blueprintAssignments/delete",
            "Microsoft.Compute/galleries/share/action",
            "Microsoft.Purview/consents/write",
            "Microsoft.Purview/consents/delete",
            "Microsoft.Resources/deploymentStacks/manageDenySetting/action",
            "Microsoft.Subscription/cancel/action",
            "Microsoft.Subscription/enable/action",
            // In Azure the directory is no resource, so `*` does not reach it. Here it would: whoever adds a credential
            // to an application or a member to a group can become someone who may assign roles.
            "Microsoft.Directory/*/write",
            "Microsoft.Directory/*/delete",
        ],
        ..EMPTY
    },
    Row {
        id: READER,
        name: "Reader",
        description: "See all resources and change none; nothing that vaults hold.",
        actions: &["*/read"],
        ..EMPTY
    },
    Row {
        id: USER_ACCESS_ADMINISTRATOR,
        name: "User Access Administrator",
        description: "See all resources and manage who may use them.",
        actions: &["*/read", "Microsoft.Authorization/*", "Microsoft.Support/*"],
        ..EMPTY
    },
    Row {
        id: MANAGED_IDENTITY_OPERATOR,
        name: "Managed Identity Operator",
        description: "See user-assigned identities and give them to workloads.",
        actions: &[
            "Microsoft.ManagedIdentity/userAssignedIdentities/*/read",
            "Microsoft.ManagedIdentity/userAssignedIdentities/read", // Implied by the line above in Azure.
            "Microsoft.ManagedIdentity/userAssignedIdentities/*/assign/action",
            "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action", // The same.
            "Microsoft.Authorization/*/read",
            "Microsoft.Insights/alertRules/*",
            "Microsoft.Resources/subscriptions/resourceGroups/read",
            "Microsoft.Resources/deployments/*",
            "Microsoft.Support/*",
        ],
        ..EMPTY
    },
    Row {
        id: MANAGED_IDENTITY_CONTRIBUTOR,
        name: "Managed Identity Contributor",
        description: "Create, see, change and delete user-assigned identities.",
        actions: &[
            "Microsoft.ManagedIdentity/userAssignedIdentities/read",
            "Microsoft.ManagedIdentity/userAssignedIdentities/write",
            "Microsoft.ManagedIdentity/userAssignedIdentities/delete",
            "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials/read",
            "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials/write",
            "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials/delete",
            "Microsoft.ManagedIdentity/userAssignedIdentities/revokeTokens/action",
            "Microsoft.Authorization/*/read",
            "Microsoft.Insights/alertRules/*",
            "Microsoft.Resources/subscriptions/resourceGroups/read",
            "Microsoft.Resources/deployments/*",
            "Microsoft.Support/*",
        ],
        ..EMPTY
    },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_row_is_whole_and_no_two_share_an_id_or_a_name() {
        let ids: BTreeSet<_> = all().iter().map(|role| role.id()).collect();
        let names: BTreeSet<_> = all().iter().map(|role| role.name().to_ascii_lowercase()).collect();
        assert_eq!((ids.len(), names.len()), (TABLE.len(), TABLE.len()));
        for role in all() {
            assert_eq!(role.kind(), RoleKind::BuiltIn);
            assert!(!role.id().0.is_nil() && !role.name().is_empty() && !role.description().is_empty());
            assert!(find(role.id()).is_some_and(|found| found == role));
        }
    }

    #[test]
    fn only_the_data_access_administrator_is_conditional_and_only_on_built_in_roles() {
        for row in TABLE {
            assert_eq!(
                !row.assigns_only.is_empty(),
                row.id == KEY_VAULT_DATA_ACCESS_ADMINISTRATOR,
                "{}",
                row.name
            );
            assert!(row.assigns_only.iter().all(|id| find(*id).is_some()));
        }
        let role = find(KEY_VAULT_DATA_ACCESS_ADMINISTRATOR).expect("in the table");
        let expression = role.permissions()[0].condition.as_ref().expect("a condition").expression();
        assert!(expression.starts_with(
            "((!(ActionMatches{'Microsoft.Authorization/roleAssignments/write'})) OR (@Request["
        ));
        assert!(
            expression
                .contains("ForAnyOfAnyValues:GuidEquals{00482a5a-887f-4fb3-b363-3b7fe8e74483, a4417e6f")
        );
        assert_eq!(expression.matches('(').count(), expression.matches(')').count());
    }
}

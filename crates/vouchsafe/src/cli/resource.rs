//! What can be typed after `vouchsafe vault`, `identity` and `role`: the resources of a tenant and who may use them.

use clap::{Subcommand, ValueEnum};

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Sku {
    /// Keys are sealed in the store
    Standard,
    /// Keys may also live in the server's token
    Premium,
}

impl Sku {
    /// The name in Resource Manager.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Premium => "premium",
        }
    }
}

#[derive(Debug, Subcommand)]
pub enum Vault {
    /// Create a vault
    Create {
        /// The vault's name
        name: String,
        /// The resource group, made if it is not there
        #[arg(long, short = 'g', value_name = "NAME", default_value = "default")]
        resource_group: String,
        /// How long deleted objects can be recovered
        #[arg(long, value_name = "DAYS", default_value_t = 90)]
        retention_days: u32,
        /// Keep deleted objects until then, whoever asks
        #[arg(long)]
        purge_protection: bool,
        /// Whether keys may live in the server's token
        #[arg(long, value_enum, default_value_t = Sku::Standard)]
        sku: Sku,
    },
    /// List vaults
    List,
    /// Show a vault
    Show {
        /// The vault's name
        name: String,
    },
    /// Soft-delete a vault
    Delete {
        /// The vault's name
        name: String,
    },
}

#[derive(Debug, Subcommand)]
pub enum Identity {
    /// Create a managed identity
    Create {
        /// The identity's name
        name: String,
        /// The resource group, made if it is not there
        #[arg(long, short = 'g', value_name = "NAME", default_value = "default")]
        resource_group: String,
    },
    /// List managed identities
    List,
    /// Show a managed identity
    Show {
        /// The identity's name
        name: String,
    },
    /// Delete a managed identity with its role assignments
    Delete {
        /// The identity's name
        name: String,
    },
}

#[derive(Debug, Subcommand)]
pub enum Role {
    /// List roles
    List,
    /// List role assignments
    Assignments,
    /// Assign a role to an identity
    Assign {
        /// The role, by name
        role: String,
        /// The identity, by name
        #[arg(long, value_name = "NAME")]
        identity: String,
        /// The vault on which it holds
        #[arg(long, value_name = "NAME")]
        vault: String,
        /// Only this secret of the vault
        #[arg(long, value_name = "NAME")]
        secret: Option<String>,
    },
    /// Remove a role assignment
    Unassign {
        /// The assignment's ARM id, as `role assignments` shows it
        id: String,
    },
}

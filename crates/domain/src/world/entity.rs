//! Every control-plane noun a snapshot can hold, and where it stands in the store.

use std::sync::Arc;

use vouchsafe_crypto::{Reason, SecretBytes};

use crate::access::assignment::RoleAssignment;
use crate::access::role::RoleDefinition;
use crate::directory::{Application, AttestationIssuer, Group, ServicePrincipal};
use crate::identity::ManagedIdentity;
use crate::ids::TenantId;
use crate::ports::store::{Key, Kind, Partition, Record};
use crate::record::{Decode, Encode, Undecodable};
use crate::resource::{ResourceGroup, Subscription, Vault};
use crate::token::TenantKey;

/// A control-plane record of a tenant.
#[derive(Clone)]
pub enum Entity {
    /// A subscription.
    Subscription(Arc<Subscription>),
    /// A resource group.
    ResourceGroup(Arc<ResourceGroup>),
    /// A vault.
    Vault(Arc<Vault>),
    /// A soft-deleted vault.
    DeletedVault(Arc<Vault>),
    /// A managed identity.
    Identity(Arc<ManagedIdentity>),
    /// An application.
    Application(Arc<Application>),
    /// A service principal.
    ServicePrincipal(Arc<ServicePrincipal>),
    /// A group.
    Group(Arc<Group>),
    /// An attestation service that is trusted.
    AttestationIssuer(Arc<AttestationIssuer>),
    /// A custom role definition.
    RoleDefinition(Arc<RoleDefinition>),
    /// A role assignment.
    RoleAssignment(Arc<RoleAssignment>),
    /// A signing key.
    SigningKey(Arc<TenantKey>),
}

impl Entity {
    /// The kinds that a snapshot is made of.
    pub const KINDS: [Kind; 12] = [
        Kind::Subscription,
        Kind::ResourceGroup,
        Kind::Vault,
        Kind::DeletedVault,
        Kind::Identity,
        Kind::Application,
        Kind::ServicePrincipal,
        Kind::Group,
        Kind::AttestationIssuer,
        Kind::RoleDefinition,
        Kind::RoleAssignment,
        Kind::SigningKey,
    ];

    /// Where the record stands.
    pub fn key(&self, tenant: TenantId) -> Key {
        let partition = Partition::Tenant(tenant);
        match self {
            Self::Subscription(noun) => Key::new(partition, Kind::Subscription, noun.id.to_string()),
            Self::ResourceGroup(noun) => Key::nested(
                partition,
                Kind::ResourceGroup,
                noun.subscription.to_string(),
                noun.name.canonical(),
            ),
            Self::Vault(noun) => Key::new(partition, Kind::Vault, noun.name.canonical()),
            Self::DeletedVault(noun) => Key::new(partition, Kind::DeletedVault, noun.name.canonical()),
            Self::Identity(noun) => Key::new(partition, Kind::Identity, noun.principal.to_string()),
            Self::Application(noun) => Key::new(partition, Kind::Application, noun.id.to_string()),
            Self::ServicePrincipal(noun) => Key::new(partition, Kind::ServicePrincipal, noun.id.to_string()),
            Self::Group(noun) => Key::new(partition, Kind::Group, noun.id.to_string()),
            Self::AttestationIssuer(noun) => {
                Key::new(partition, Kind::AttestationIssuer, noun.issuer.clone())
            }
            Self::RoleDefinition(noun) => Key::new(partition, Kind::RoleDefinition, noun.id().to_string()),
            Self::RoleAssignment(noun) => Key::new(partition, Kind::RoleAssignment, noun.id.to_string()),
            Self::SigningKey(noun) => Key::new(partition, Kind::SigningKey, noun.kid.clone()),
        }
    }

    /// The record's bytes.
    pub fn encode(&self) -> SecretBytes {
        SecretBytes::new(match self {
            Self::Subscription(noun) => noun.encode(),
            Self::ResourceGroup(noun) => noun.encode(),
            Self::Vault(noun) | Self::DeletedVault(noun) => noun.encode(),
            Self::Identity(noun) => noun.encode(),
            Self::Application(noun) => noun.encode(),
            Self::ServicePrincipal(noun) => noun.encode(),
            Self::Group(noun) => noun.encode(),
            Self::AttestationIssuer(noun) => noun.encode(),
            Self::RoleDefinition(noun) => noun.encode(),
            Self::RoleAssignment(noun) => noun.encode(),
            Self::SigningKey(noun) => noun.encode(),
        })
    }

    /// Reads a record of any kind that a snapshot holds.
    pub fn decode(record: &Record) -> Result<Self, Undecodable> {
        fn noun<T: Decode>(bytes: &[u8]) -> Result<Arc<T>, Undecodable> {
            T::decode(bytes).map(Arc::new)
        }
        let bytes = record.value.expose(Reason::Record);
        Ok(match record.key.kind {
            Kind::Subscription => Self::Subscription(noun(bytes)?),
            Kind::ResourceGroup => Self::ResourceGroup(noun(bytes)?),
            Kind::Vault => Self::Vault(noun(bytes)?),
            Kind::DeletedVault => Self::DeletedVault(noun(bytes)?),
            Kind::Identity => Self::Identity(noun(bytes)?),
            Kind::Application => Self::Application(noun(bytes)?),
            Kind::ServicePrincipal => Self::ServicePrincipal(noun(bytes)?),
            Kind::Group => Self::Group(noun(bytes)?),
            Kind::AttestationIssuer => Self::AttestationIssuer(noun(bytes)?),
            Kind::RoleDefinition => Self::RoleDefinition(noun(bytes)?),
            Kind::RoleAssignment => Self::RoleAssignment(noun(bytes)?),
            Kind::SigningKey => Self::SigningKey(noun(bytes)?),
            other => {
                return Err(Undecodable(format!("{other:?} does not belong to a tenant's control plane")));
            }
        })
    }
}

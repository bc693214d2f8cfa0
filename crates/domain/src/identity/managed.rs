//! User-assigned managed identities.

use std::collections::BTreeMap;

use crate::ids::{ClientId, IdentityName, Malformed, PrincipalId, ResourceGroupName, SubscriptionId};
use crate::record::{self, Decode, Encode, Undecodable, tags_from, tags_into};

/// A user-assigned managed identity: a principal without any credential.
#[derive(Clone, Debug)]
pub struct ManagedIdentity {
    /// The object id, which role assignments refer to.
    pub principal: PrincipalId,
    /// The client id, which programs ask for.
    pub client: ClientId,
    /// The subscription it stands in.
    pub subscription: SubscriptionId,
    /// The resource group it stands in.
    pub group: ResourceGroupName,
    /// Its name.
    pub name: IdentityName,
    /// Where it says it is.
    pub location: String,
    /// Labels.
    pub tags: BTreeMap<String, String>,
    /// Which workloads may be this identity: any one of these.
    pub bindings: Vec<Binding>,
}

/// A set of selectors that must *all* hold of a process.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Binding {
    /// The effective user id.
    pub uid: Option<u32>,
    /// The effective group id.
    pub gid: Option<u32>,
    /// The absolute path of the executable.
    pub path: Option<String>,
    /// SHA-256 of the executable.
    pub sha256: Option<[u8; 32]>,
    /// The systemd unit.
    pub unit: Option<String>,
}

impl Binding {
    /// Refuses a binding that would match every process, and paths that name nothing exact.
    pub fn check(&self) -> Result<(), Malformed> {
        if *self == Self::default() {
            return Err(Malformed::new("binding", "{}", "needs at least one selector"));
        }
        if let Some(path) = &self.path {
            let canonical = path.starts_with('/')
                && path.len() <= 4096
                && path[1..].split('/').all(|part| !part.is_empty() && part != "." && part != "..");
            if !canonical {
                return Err(Malformed::new(
                    "executable path",
                    path,
                    "must be absolute and without `.` or `..`",
                ));
            }
        }
        match &self.unit {
            Some(unit) if unit.is_empty() || unit.len() > 255 || unit.contains('/') => {
                Err(Malformed::new("systemd unit", unit, "must be a unit name such as `app.service`"))
            }
            _ => Ok(()),
        }
    }
}

impl Encode for ManagedIdentity {
    fn encode(&self) -> Vec<u8> {
        let bindings = self.bindings.iter().map(|binding| record::Binding {
            uid: binding.uid,
            gid: binding.gid,
            path: binding.path.clone(),
            sha256: binding.sha256.map(|digest| digest.to_vec()),
            unit: binding.unit.clone(),
        });
        record::encode(&record::Identity {
            principal: self.principal.0.as_bytes().to_vec(),
            client: self.client.0.as_bytes().to_vec(),
            subscription: self.subscription.0.as_bytes().to_vec(),
            group: self.group.to_string(),
            name: self.name.to_string(),
            location: self.location.clone(),
            tags: tags_into(&self.tags),
            bindings: bindings.collect(),
        })
    }
}

impl Decode for ManagedIdentity {
    fn decode(bytes: &[u8]) -> Result<Self, Undecodable> {
        let stored: record::Identity = record::decode(bytes)?;
        let bindings = stored.bindings.into_iter().map(|binding| {
            let sha256 = binding.sha256.map(|digest| {
                digest.try_into().map_err(|_| Undecodable("a binding's digest is not 32 bytes".to_owned()))
            });
            Ok(Binding {
                uid: binding.uid,
                gid: binding.gid,
                path: binding.path,
                sha256: sha256.transpose()?,
                unit: binding.unit,
            })
        });
        Ok(Self {
            principal: PrincipalId(record::uuid(&stored.principal)?),
            client: ClientId(record::uuid(&stored.client)?),
            subscription: SubscriptionId(record::uuid(&stored.subscription)?),
            group: ResourceGroupName::parse(&stored.group)?,
            name: IdentityName::parse(&stored.name)?,
            location: stored.location,
            tags: tags_from(stored.tags),
            bindings: bindings.collect::<Result<_, Undecodable>>()?,
        })
    }
}

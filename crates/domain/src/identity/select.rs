//! Which identity a process gets: a decider.
//!
//! The facts about the process come from the kernel through the node agent. A process may be several identities; then
//! it must say which it means, as on a virtual machine with several user-assigned identities.

use std::fmt;

use super::managed::{Binding, ManagedIdentity};
use crate::ids::{ClientId, PrincipalId};

/// What the agent saw of a process.
#[derive(Clone, Debug)]
pub struct Process {
    /// Its process id, for the audit log only: ids are used again.
    pub pid: u32,
    /// Effective user id.
    pub uid: u32,
    /// Effective group id.
    pub gid: u32,
    /// Absolute path of the executable.
    pub path: String,
    /// SHA-256 of the running executable.
    pub sha256: [u8; 32],
    /// The systemd unit it runs in, if any.
    pub unit: Option<String>,
    /// The identity, by name or ARM id, that `vouchsafe run` or `vouchsafe env` bound to this process tree, if any.
    pub run_identity: Option<String>,
}

/// Which identity the process asks for, in the words of the metadata protocols.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Requested {
    /// `client_id`.
    pub client: Option<ClientId>,
    /// `object_id` or `principal_id`.
    pub principal: Option<PrincipalId>,
    /// `msi_res_id` or `mi_res_id`: a canonical ARM id.
    pub resource_id: Option<String>,
}

/// Why a process gets no identity.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Unmatched {
    /// Nothing is bound to this process, or not what it asked for. The two look alike from outside.
    Nothing,
    /// Several identities are bound to it and it did not say which: their ARM ids.
    Ambiguous(Vec<String>),
}

impl Binding {
    /// Whether every selector holds.
    pub fn holds(&self, process: &Process) -> bool {
        fn is<T: PartialEq>(selector: &Option<T>, fact: &T) -> bool {
            selector.as_ref().is_none_or(|expected| expected == fact)
        }
        *self != Self::default()
            && is(&self.uid, &process.uid)
            && is(&self.gid, &process.gid)
            && is(&self.path, &process.path)
            && is(&self.sha256, &process.sha256)
            && self.unit.as_ref().is_none_or(|unit| process.unit.as_ref() == Some(unit))
    }
}

/// Chooses among `identities`; each comes with its canonical ARM id.
pub fn select<'a>(
    identities: impl Iterator<Item = (&'a ManagedIdentity, String)>,
    process: &Process,
    requested: &Requested,
) -> Result<&'a ManagedIdentity, Unmatched> {
    let chosen = |identity: &ManagedIdentity, resource_id: &str| {
        process.run_identity.as_ref().is_some_and(|chosen| {
            identity.name.as_str().eq_ignore_ascii_case(chosen) || resource_id.eq_ignore_ascii_case(chosen)
        })
    };
    // The identity that a person chose for this process tree is meant, unless the program asks for another by name.
    let only_chosen = process.run_identity.is_some() && *requested == Requested::default();
    let may_be = |identity: &ManagedIdentity, resource_id: &str| {
        chosen(identity, resource_id)
            || (!only_chosen && identity.bindings.iter().any(|binding| binding.holds(process)))
    };
    let asked_for = |identity: &ManagedIdentity, resource_id: &str| {
        requested.client.is_none_or(|client| client == identity.client)
            && requested.principal.is_none_or(|principal| principal == identity.principal)
            && requested.resource_id.as_ref().is_none_or(|id| id.eq_ignore_ascii_case(resource_id))
    };
    let candidates: Vec<(&ManagedIdentity, String)> = identities
        .filter(|(identity, resource_id)| may_be(identity, resource_id) && asked_for(identity, resource_id))
        .collect();
    match candidates.as_slice() {
        [] => Err(Unmatched::Nothing),
        [(identity, _)] => Ok(identity),
        _ => Err(Unmatched::Ambiguous(candidates.into_iter().map(|(_, resource_id)| resource_id).collect())),
    }
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "uid {} gid {} executable {}", self.uid, self.gid, self.path)?;
        match &self.unit {
            Some(unit) => write!(f, " unit {unit}"),
            None => Ok(()),
        }
    }
}

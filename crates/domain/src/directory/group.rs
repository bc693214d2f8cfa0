//! Groups of principals.

use crate::ids::PrincipalId;
use crate::record::{self, Decode, Encode, Undecodable};

/// A group; role assignments to it hold for its members. Groups do not nest.
#[derive(Clone, Debug)]
pub struct Group {
    /// The object id.
    pub id: PrincipalId,
    /// What people see.
    pub display_name: String,
    /// Object ids of the members.
    pub members: Vec<PrincipalId>,
}

impl Encode for Group {
    fn encode(&self) -> Vec<u8> {
        record::encode(&record::Group {
            id: self.id.0.as_bytes().to_vec(),
            display_name: self.display_name.clone(),
            members: self.members.iter().map(|member| member.0.as_bytes().to_vec()).collect(),
        })
    }
}

impl Decode for Group {
    fn decode(bytes: &[u8]) -> Result<Self, Undecodable> {
        let stored: record::Group = record::decode(bytes)?;
        let members = stored.members.iter().map(|member| record::uuid(member).map(PrincipalId));
        Ok(Self {
            id: PrincipalId(record::uuid(&stored.id)?),
            display_name: stored.display_name,
            members: members.collect::<Result<_, _>>()?,
        })
    }
}

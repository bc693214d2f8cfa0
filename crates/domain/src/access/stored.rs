//! How role assignments and custom roles are stored.

use super::assignment::{PrincipalType, RoleAssignment};
use super::pattern::ActionPattern;
use super::role::{Permission, RoleDefinition};
use crate::ids::{PrincipalId, RoleAssignmentId, RoleDefinitionId};
use crate::record::{self, Decode, Encode, Undecodable};
use crate::resource::scope::Scope;
use crate::time::Timestamp;

impl Encode for RoleAssignment {
    fn encode(&self) -> Vec<u8> {
        record::encode(&record::RoleAssignment {
            id: self.id.0.as_bytes().to_vec(),
            scope: self.scope.as_str().to_owned(),
            role: self.role.0.as_bytes().to_vec(),
            principal: self.principal.0.as_bytes().to_vec(),
            principal_type: self.principal_type.to_string(),
            created: self.created_on.millis(),
            created_by: self.created_by.map(|principal| principal.0.as_bytes().to_vec()),
        })
    }
}

impl Decode for RoleAssignment {
    fn decode(bytes: &[u8]) -> Result<Self, Undecodable> {
        let stored: record::RoleAssignment = record::decode(bytes)?;
        Ok(Self {
            id: RoleAssignmentId(record::uuid(&stored.id)?),
            scope: Scope::parse(&stored.scope)?,
            role: RoleDefinitionId(record::uuid(&stored.role)?),
            principal: PrincipalId(record::uuid(&stored.principal)?),
            principal_type: PrincipalType::parse(&stored.principal_type)?,
            created_on: Timestamp::from_millis(stored.created),
            created_by: stored.created_by.map(|id| record::uuid(&id).map(PrincipalId)).transpose()?,
        })
    }
}

impl Encode for RoleDefinition {
    fn encode(&self) -> Vec<u8> {
        let texts = |patterns: &[ActionPattern]| patterns.iter().map(ToString::to_string).collect();
        let permissions = self.permissions().iter().map(|permission| record::Permission {
            actions: texts(&permission.actions),
            not_actions: texts(&permission.not_actions),
            data_actions: texts(&permission.data_actions),
            not_data_actions: texts(&permission.not_data_actions),
        });
        record::encode(&record::RoleDefinition {
            id: self.id().0.as_bytes().to_vec(),
            name: self.name().to_owned(),
            description: self.description().to_owned(),
            permissions: permissions.collect(),
            assignable_scopes: self
                .assignable_scopes()
                .iter()
                .map(|scope| scope.as_str().to_owned())
                .collect(),
        })
    }
}

impl Decode for RoleDefinition {
    fn decode(bytes: &[u8]) -> Result<Self, Undecodable> {
        let stored: record::RoleDefinition = record::decode(bytes)?;
        let patterns = |texts: Vec<String>| -> Result<Vec<ActionPattern>, Undecodable> {
            texts.iter().map(|text| ActionPattern::parse(text).map_err(Undecodable::from)).collect()
        };
        let permissions = stored.permissions.into_iter().map(|permission| {
            Ok(Permission {
                actions: patterns(permission.actions)?,
                not_actions: patterns(permission.not_actions)?,
                data_actions: patterns(permission.data_actions)?,
                not_data_actions: patterns(permission.not_data_actions)?,
                condition: None,
            })
        });
        let permissions = permissions.collect::<Result<Vec<_>, Undecodable>>()?;
        let scopes =
            stored.assignable_scopes.iter().map(|raw| Scope::parse(raw)).collect::<Result<Vec<_>, _>>()?;
        let id = RoleDefinitionId(record::uuid(&stored.id)?);
        Ok(Self::custom(id, &stored.name, &stored.description, permissions, scopes)?)
    }
}

//! Tenants: the border that nothing crosses.

use std::fmt;

use crate::ids::{Malformed, PrincipalId, TenantId};
use crate::record::{self, Decode, Encode, Undecodable};
use crate::time::Timestamp;

/// A tenant.
#[derive(Clone, Debug)]
pub struct Tenant {
    /// Its id, which its tokens carry as `tid`.
    pub id: TenantId,
    /// What people see.
    pub display_name: String,
    /// A name that clients may use instead of the id.
    pub domain: TenantDomain,
    /// The principal that the kernel's login on the admin socket is, in this tenant.
    pub local_administrator: PrincipalId,
    /// When it was created.
    pub created: Timestamp,
}

/// A tenant's domain name, lower case.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct TenantDomain(Box<str>);

impl TenantDomain {
    /// Accepts DNS names of at least two labels, in any case.
    pub fn parse(raw: &str) -> Result<Self, Malformed> {
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        if raw.len() <= 253 && raw.contains('.') && raw.split('.').all(label) {
            Ok(Self(raw.to_ascii_lowercase().into()))
        } else {
            Err(Malformed::new("tenant domain", raw, "must be a domain name such as `contoso.example`"))
        }
    }

    /// The name in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TenantDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Encode for Tenant {
    fn encode(&self) -> Vec<u8> {
        record::encode(&record::Tenant {
            id: self.id.0.as_bytes().to_vec(),
            display_name: self.display_name.clone(),
            domain: self.domain.to_string(),
            local_administrator: self.local_administrator.0.as_bytes().to_vec(),
            created: self.created.millis(),
        })
    }
}

impl Decode for Tenant {
    fn decode(bytes: &[u8]) -> Result<Self, Undecodable> {
        let stored: record::Tenant = record::decode(bytes)?;
        Ok(Self {
            id: TenantId(record::uuid(&stored.id)?),
            display_name: stored.display_name,
            domain: TenantDomain::parse(&stored.domain)?,
            local_administrator: PrincipalId(record::uuid(&stored.local_administrator)?),
            created: Timestamp::from_millis(stored.created),
        })
    }
}

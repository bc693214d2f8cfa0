//! Ids of different things are different types; names are parsed once and cannot be wrong afterwards.

use std::fmt;

use uuid::Uuid;

/// Why a raw string is not a name or an id of the asked kind.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{what} `{given}` {problem}")]
pub struct Malformed {
    /// What was expected, in the words of Azure's documentation.
    pub what: &'static str,
    /// What was given, shortened.
    pub given: String,
    /// What is wrong with it and what would be right.
    pub problem: &'static str,
}

impl Malformed {
    /// Quotes at most 64 characters of what was given, control characters replaced.
    pub fn new(what: &'static str, given: &str, problem: &'static str) -> Self {
        let given = given.chars().take(64).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
        Self { what, given, problem }
    }
}

macro_rules! uuid_ids {
    ($($(#[$doc:meta])* $name:ident, $what:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $name(pub Uuid);

        impl $name {
            /// Reads the hyphenated form, in any case; no braces, no URN.
            pub fn parse(raw: &str) -> Result<Self, Malformed> {
                if raw.len() != 36 {
                    return Err(Malformed::new($what, raw, "is not a GUID"));
                }
                Uuid::try_parse(raw).map(Self).map_err(|_| Malformed::new($what, raw, "is not a GUID"))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}

uuid_ids! {
    /// A tenant (directory).
    TenantId, "tenant id";
    /// A subscription, which belongs to one tenant.
    SubscriptionId, "subscription id";
    /// A vault's immutable id; its name may be used again after a purge, its id never.
    VaultId, "vault id";
    /// The object id of a principal: what role assignments refer to.
    PrincipalId, "object id";
    /// The client id (`appId`) of an application or managed identity.
    ClientId, "client id";
    /// The object id of an application registration.
    ApplicationId, "application object id";
    /// The id of one credential of an application.
    CredentialId, "key id";
    /// A role definition.
    RoleDefinitionId, "role definition id";
    /// A role assignment.
    RoleAssignmentId, "role assignment id";
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident, $what:literal, $check:expr, $problem:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $name(Box<str>);

        impl $name {
            /// Accepts only well-formed names; case is kept for display and ignored by comparison.
            pub fn parse(raw: &str) -> Result<Self, Malformed> {
                let check: fn(&str) -> bool = $check;
                if check(raw) { Ok(Self(raw.into())) } else { Err(Malformed::new($what, raw, $problem)) }
            }

            /// The name as it was first written.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The one form that policy, storage and comparison use.
            pub fn canonical(&self) -> String {
                self.0.to_ascii_lowercase()
            }
        }

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.0.eq_ignore_ascii_case(&other.0)
            }
        }

        impl Eq for $name {}

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

fn alphanumeric_or_hyphen(raw: &str) -> bool {
    raw.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

names! {
    /// A vault's name: a DNS label, unique in the deployment.
    VaultName, "vault name",
        |raw| (3..=24).contains(&raw.len()) && alphanumeric_or_hyphen(raw)
            && raw.as_bytes()[0].is_ascii_alphabetic() && !raw.ends_with('-') && !raw.contains("--"),
        "must be 3 to 24 letters, digits or single hyphens, begin with a letter and end with a letter or digit";
    /// The name of a secret, key or certificate.
    ObjectName, "object name",
        |raw| (1..=127).contains(&raw.len()) && alphanumeric_or_hyphen(raw),
        "must be 1 to 127 letters, digits or hyphens";
    /// A resource group's name.
    ResourceGroupName, "resource group name",
        |raw| (1..=90).contains(&raw.len()) && !raw.ends_with('.')
            && raw.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.()".contains(&b)),
        "must be 1 to 90 letters, digits, `-`, `_`, `.`, `(` or `)` and not end with `.`";
    /// A user-assigned identity's name.
    IdentityName, "identity name",
        |raw| (3..=128).contains(&raw.len()) && raw.as_bytes()[0].is_ascii_alphanumeric()
            && raw.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)),
        "must be 3 to 128 letters, digits, `-` or `_` and begin with a letter or digit";
}

/// A version of a secret, key or certificate: 32 lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ObjectVersion(pub Uuid);

impl ObjectVersion {
    /// Reads exactly 32 hexadecimal digits.
    pub fn parse(raw: &str) -> Result<Self, Malformed> {
        let well_formed = raw.len() == 32 && raw.bytes().all(|b| b.is_ascii_hexdigit());
        let version = well_formed.then(|| Uuid::try_parse(raw).ok()).flatten();
        version
            .map(Self)
            .ok_or_else(|| Malformed::new("object version", raw, "must be 32 hexadecimal digits"))
    }
}

impl fmt::Display for ObjectVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.simple().fmt(f)
    }
}

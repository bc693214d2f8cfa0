//! A scope: the ARM id of what a role assignment or a request is about (wire.md §9, security.md §1 family 2).
//!
//! A raw id is read once, at the edge. What is not well-formed is refused, never repaired, so that two spellings of
//! one scope can only differ in the case of ASCII letters, which the canonical form removes. Policy, storage and
//! comparison see the canonical form; answers keep the form that was given, because users compare ids as text.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::ids::{IdentityName, Malformed, ObjectName, ResourceGroupName, SubscriptionId, VaultName};

const WHAT: &str = "scope";

/// How far down the tree of resources a scope stands.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Level {
    /// `/`: everything of one tenant.
    Root,
    /// `/subscriptions/{id}`.
    Subscription,
    /// `/subscriptions/{id}/resourceGroups/{name}`.
    ResourceGroup,
    /// A resource of a provider, nested or not.
    Resource,
}

/// A well-formed ARM id of a tenant's root, a subscription, a resource group or a resource.
///
/// Two scopes are equal when their canonical forms are. `given` and `canonical` differ in ASCII case only, so a byte
/// position in one is the same position in the other.
#[derive(Clone)]
pub struct Scope {
    given: Arc<str>,
    canonical: Arc<str>,
    level: Level,
    subscription: Option<SubscriptionId>,
}

impl Scope {
    /// Longest id that is looked at.
    pub const BYTES_MAX: usize = 2_048;
    /// Deepest id that is looked at.
    pub const SEGMENTS_MAX: usize = 32;

    /// Reads an id; case is kept for display and ignored by everything else.
    pub fn parse(raw: &str) -> Result<Self, Malformed> {
        let refuse = |problem| Malformed::new(WHAT, raw, problem);
        if raw.len() > Self::BYTES_MAX {
            return Err(refuse("is longer than 2048 bytes"));
        }
        if raw == "/" {
            return Ok(Self::root());
        }
        let rest = raw.strip_prefix('/').ok_or_else(|| refuse("must begin with `/`"))?;
        if rest.split('/').count() > Self::SEGMENTS_MAX {
            return Err(refuse("has more than 32 segments"));
        }
        let segments: Vec<&str> = rest.split('/').collect();
        if !segments.iter().all(|segment| well_formed(segment)) {
            return Err(refuse(
                "must have segments of letters, digits, `-`, `_`, `.`, `(` or `)`, none empty and none only dots",
            ));
        }
        let [keyword, id, rest @ ..] = segments.as_slice() else {
            return Err(refuse("must be `/` or begin with `/subscriptions/{id}`"));
        };
        if !keyword.eq_ignore_ascii_case("subscriptions") {
            return Err(refuse("must be `/` or begin with `/subscriptions/{id}`"));
        }
        let subscription = SubscriptionId::parse(id)?;
        let level = match rest {
            [] => Level::Subscription,
            [keyword, name, rest @ ..] if keyword.eq_ignore_ascii_case("resourceGroups") => {
                ResourceGroupName::parse(name)?;
                if rest.is_empty() { Level::ResourceGroup } else { resource(raw, rest)? }
            }
            rest => resource(raw, rest)?,
        };
        Ok(Self::assume(raw.to_owned(), level, Some(subscription)))
    }

    /// Everything of a tenant.
    pub fn root() -> Self {
        Self::assume("/".to_owned(), Level::Root, None)
    }

    /// A subscription.
    pub fn of_subscription(id: SubscriptionId) -> Self {
        Self::assume(format!("/subscriptions/{id}"), Level::Subscription, Some(id))
    }

    /// A resource group.
    pub fn of_group(subscription: SubscriptionId, group: &ResourceGroupName) -> Self {
        let given = format!("/subscriptions/{subscription}/resourceGroups/{group}");
        Self::assume(given, Level::ResourceGroup, Some(subscription))
    }

    /// A vault.
    pub fn vault(subscription: SubscriptionId, group: &ResourceGroupName, vault: &VaultName) -> Self {
        Self::of_group(subscription, group).below(&format!("providers/Microsoft.KeyVault/vaults/{vault}"))
    }

    /// A user-assigned managed identity.
    pub fn identity(subscription: SubscriptionId, group: &ResourceGroupName, name: &IdentityName) -> Self {
        let resource = format!("providers/Microsoft.ManagedIdentity/userAssignedIdentities/{name}");
        Self::of_group(subscription, group).below(&resource)
    }

    /// An object of this vault; `collection` is `secrets`, `keys` or `certificates`.
    pub fn object(&self, collection: &'static str, name: &ObjectName) -> Self {
        debug_assert_eq!(self.resource_type().as_deref(), Some("microsoft.keyvault/vaults"));
        debug_assert!(OBJECT_COLLECTIONS.contains(&collection));
        self.below(&format!("{collection}/{name}"))
    }

    /// The one form that policy, storage and comparison use.
    pub fn canonical(&self) -> &str {
        &self.canonical
    }

    /// The form that was given.
    pub fn as_str(&self) -> &str {
        &self.given
    }

    /// How far down the tree it stands.
    pub fn level(&self) -> Level {
        self.level
    }

    /// The subscription that it is or lies in; the root lies in none.
    pub fn subscription(&self) -> Option<SubscriptionId> {
        self.subscription
    }

    /// The name of the resource group that it is or lies in, as given.
    pub fn resource_group(&self) -> Option<&str> {
        self.in_group().then(|| self.segments().nth(3)).flatten()
    }

    /// The canonical resource type, for example `microsoft.keyvault/vaults/secrets`; nothing for what is no resource.
    pub fn resource_type(&self) -> Option<String> {
        let (namespace, types) = self.provider()?;
        let types = types.step_by(2).fold(namespace.to_ascii_lowercase(), |mut all, one| {
            all.push('/');
            all.push_str(&one.to_ascii_lowercase());
            all
        });
        Some(types)
    }

    /// The last name in it, as given: of the resource, resource group or subscription.
    pub fn name(&self) -> Option<&str> {
        (self.level != Level::Root).then(|| self.segments().last()).flatten()
    }

    /// Whether `other` is this scope or lies below it.
    pub fn contains(&self, other: &Self) -> bool {
        if self.level == Level::Root {
            return true;
        }
        // A prefix counts at the border of a segment only: `…/vaults/app` does not contain `…/vaults/app2`.
        other
            .canonical
            .strip_prefix(&*self.canonical)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// The scope that this one lies in directly; the root lies in none.
    pub fn parent(&self) -> Option<Self> {
        let (cut, level) = match self.level {
            Level::Root => return None,
            Level::Subscription => return Some(Self::root()),
            Level::ResourceGroup => (2, Level::Subscription),
            Level::Resource => match self.provider()?.1.count() {
                ..=2 if self.in_group() => (4, Level::ResourceGroup),
                ..=2 => (4, Level::Subscription),
                _ => (2, Level::Resource),
            },
        };
        let mut given = &*self.given;
        for _ in 0..cut {
            given = given.rsplit_once('/')?.0;
        }
        Some(Self::assume(given.to_owned(), level, self.subscription))
    }

    fn assume(given: String, level: Level, subscription: Option<SubscriptionId>) -> Self {
        let given: Arc<str> = given.into();
        let canonical = match given.bytes().any(|byte| byte.is_ascii_uppercase()) {
            true => given.to_ascii_lowercase().into(),
            false => Arc::clone(&given),
        };
        Self { given, canonical, level, subscription }
    }

    fn below(&self, rest: &str) -> Self {
        Self::assume(format!("{}/{rest}", self.given), Level::Resource, self.subscription)
    }

    fn segments(&self) -> impl Iterator<Item = &str> {
        self.given.split('/').skip(1)
    }

    fn in_group(&self) -> bool {
        match self.level {
            Level::Root | Level::Subscription => false,
            Level::ResourceGroup => true,
            Level::Resource => {
                self.segments().nth(2).is_some_and(|keyword| keyword.eq_ignore_ascii_case("resourceGroups"))
            }
        }
    }

    /// The provider's namespace, and the types and names that follow it in turn.
    fn provider(&self) -> Option<(&str, impl Iterator<Item = &str>)> {
        if self.level != Level::Resource {
            return None;
        }
        let keyword = if self.in_group() { 4 } else { 2 };
        let mut segments = self.segments().skip(keyword + 1);
        Some((segments.next()?, segments))
    }
}

const OBJECT_COLLECTIONS: [&str; 3] = ["secrets", "keys", "certificates"];

fn well_formed(segment: &str) -> bool {
    // SECURITY: ASCII only. Other scripts have letters whose lower case is an ASCII letter (the Kelvin sign), which
    // would make two spellings of one name.
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.()".contains(&byte);
    !segment.is_empty() && segment.bytes().all(allowed) && segment.bytes().any(|byte| byte != b'.')
}

/// Checks `providers/{namespace}/{type}/{name}`, where more types and names may follow.
fn resource(raw: &str, segments: &[&str]) -> Result<Level, Malformed> {
    let refuse = |problem| Malformed::new(WHAT, raw, problem);
    let [keyword, namespace, pairs @ ..] = segments else {
        return Err(refuse(
            "must go on with `resourceGroups/{name}` or `providers/{namespace}/{type}/{name}`",
        ));
    };
    if !keyword.eq_ignore_ascii_case("providers") {
        return Err(refuse(
            "must go on with `resourceGroups/{name}` or `providers/{namespace}/{type}/{name}`",
        ));
    }
    let labels_well_formed = namespace.split('.').all(|label| {
        label.starts_with(|c: char| c.is_ascii_alphabetic())
            && label.bytes().all(|b| b.is_ascii_alphanumeric())
    });
    if !namespace.contains('.') || !labels_well_formed {
        return Err(refuse("must name a provider such as `Microsoft.KeyVault`"));
    }
    let (pairs, []) = pairs.as_chunks::<2>() else {
        return Err(refuse("must name a resource: types and names in turn after the provider"));
    };
    if pairs.is_empty() {
        return Err(refuse("must name a resource: types and names in turn after the provider"));
    }
    let mut path = namespace.to_ascii_lowercase();
    for [kind, name] in pairs {
        // A second `providers` would be an extension resource, which is never a scope here.
        let is_type =
            kind.bytes().all(|b| b.is_ascii_alphanumeric()) && !kind.eq_ignore_ascii_case("providers");
        if !is_type {
            return Err(refuse("must have resource types of letters and digits"));
        }
        path.push('/');
        path.push_str(&kind.to_ascii_lowercase());
        match path.as_str() {
            "microsoft.keyvault/vaults" => drop(VaultName::parse(name)?),
            "microsoft.keyvault/vaults/secrets"
            | "microsoft.keyvault/vaults/keys"
            | "microsoft.keyvault/vaults/certificates" => drop(ObjectName::parse(name)?),
            "microsoft.managedidentity/userassignedidentities" => drop(IdentityName::parse(name)?),
            _ => {}
        }
    }
    Ok(Level::Resource)
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.given)
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scope({})", self.given)
    }
}

impl PartialEq for Scope {
    fn eq(&self, other: &Self) -> bool {
        self.canonical == other.canonical
    }
}

impl Eq for Scope {}

impl Hash for Scope {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.canonical.hash(state);
    }
}

impl PartialOrd for Scope {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scope {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.canonical.cmp(&other.canonical)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    const SUBSCRIPTION: &str = "/subscriptions/0b1f6471-1bf0-4dda-aec3-cb9272f09590";
    const GROUP: &str = "/subscriptions/0b1f6471-1bf0-4dda-aec3-cb9272f09590/resourceGroups/rg-1";
    const VAULT: &str = "/subscriptions/0b1f6471-1bf0-4dda-aec3-cb9272f09590/resourceGroups/rg-1/providers/Microsoft.KeyVault/vaults/app";
    const SECRET: &str = "/subscriptions/0b1f6471-1bf0-4dda-aec3-cb9272f09590/resourceGroups/rg-1/providers/Microsoft.KeyVault/vaults/app/secrets/db";
    const IDENTITY: &str = "/subscriptions/0b1f6471-1bf0-4dda-aec3-cb9272f09590/resourceGroups/rg-1/providers/Microsoft.ManagedIdentity/userAssignedIdentities/worker";
    const DELETED: &str = "/subscriptions/0b1f6471-1bf0-4dda-aec3-cb9272f09590/providers/Microsoft.KeyVault/locations/local/deletedVaults/app";
    const ALL: [&str; 7] = ["/", SUBSCRIPTION, GROUP, VAULT, SECRET, IDENTITY, DELETED];

    fn scope(raw: &str) -> Scope {
        Scope::parse(raw).expect(raw)
    }

    #[test]
    fn each_kind_of_scope_is_read() {
        let table = [
            ("/", Level::Root, None, None),
            (SUBSCRIPTION, Level::Subscription, None, Some("0b1f6471-1bf0-4dda-aec3-cb9272f09590")),
            (GROUP, Level::ResourceGroup, None, Some("rg-1")),
            (VAULT, Level::Resource, Some("microsoft.keyvault/vaults"), Some("app")),
            (SECRET, Level::Resource, Some("microsoft.keyvault/vaults/secrets"), Some("db")),
            (
                IDENTITY,
                Level::Resource,
                Some("microsoft.managedidentity/userassignedidentities"),
                Some("worker"),
            ),
            (DELETED, Level::Resource, Some("microsoft.keyvault/locations/deletedvaults"), Some("app")),
        ];
        for (raw, level, resource_type, name) in table {
            let scope = scope(raw);
            assert_eq!(scope.level(), level, "{raw}");
            assert_eq!(scope.resource_type().as_deref(), resource_type, "{raw}");
            assert_eq!(scope.name(), name, "{raw}");
            assert_eq!(scope.as_str(), raw);
        }
        assert_eq!(scope(SECRET).resource_group(), Some("rg-1"));
        assert_eq!(scope(DELETED).resource_group(), None);
    }

    #[test]
    fn a_scope_that_was_composed_equals_the_one_that_was_read() {
        let subscription = SubscriptionId::parse("0b1f6471-1bf0-4dda-aec3-cb9272f09590").expect("a GUID");
        let group = ResourceGroupName::parse("RG-1").expect("a name");
        let vault = Scope::vault(subscription, &group, &VaultName::parse("App").expect("a name"));
        let secret = vault.object("secrets", &ObjectName::parse("DB").expect("a name"));
        let identity = Scope::identity(subscription, &group, &IdentityName::parse("Worker").expect("a name"));
        assert_eq!(Scope::of_subscription(subscription), scope(SUBSCRIPTION));
        assert_eq!(Scope::of_group(subscription, &group), scope(GROUP));
        assert_eq!(vault, scope(VAULT));
        assert_eq!(secret, scope(SECRET));
        assert_eq!(identity, scope(IDENTITY));
        for composed in [vault, secret, identity] {
            assert_eq!(scope(composed.as_str()).level(), composed.level());
        }
    }

    #[test]
    fn parents_lead_to_the_root() {
        let chain: Vec<Scope> = std::iter::successors(Some(scope(SECRET)), Scope::parent).collect();
        assert_eq!(chain, [SECRET, VAULT, GROUP, SUBSCRIPTION, "/"].map(scope));
        assert_eq!(
            chain.iter().map(Scope::level).collect::<Vec<_>>()[1..4],
            [Level::Resource, Level::ResourceGroup, Level::Subscription]
        );
        let chain: Vec<Scope> = std::iter::successors(Some(scope(DELETED)), Scope::parent).skip(2).collect();
        assert_eq!(chain, [SUBSCRIPTION, "/"].map(scope));
    }

    #[test]
    fn a_scope_contains_itself_and_what_lies_below_it() {
        for outer in ALL {
            for inner in ALL {
                let below = outer == "/" || inner == outer || inner.starts_with(&format!("{outer}/"));
                assert_eq!(scope(outer).contains(&scope(inner)), below, "{outer} {inner}");
            }
        }
        for sibling in
            [format!("{VAULT}2"), GROUP.replace("rg-1", "rg-12"), SECRET.replace("/app/", "/app2/")]
        {
            for outer in [VAULT, SECRET] {
                assert!(!scope(outer).contains(&scope(&sibling)), "{outer} {sibling}");
            }
        }
        assert!(scope(&VAULT.to_uppercase()).contains(&scope(SECRET)));
    }

    #[test]
    fn malformed_scopes_are_refused() {
        let deep = format!("{GROUP}/providers/A.B{}", "/t/n".repeat(14));
        let long = format!("{GROUP}/providers/A.B/t/{}", "n".repeat(2_000));
        let table = [
            "",
            " ",
            "//",
            "/ ",
            "subscriptions",
            "/subscriptions",
            "/subscriptions/",
            "/subscriptions/x",
            "/subscriptions/{0b1f6471-1bf0-4dda-aec3-cb9272f09590}",
            "/subscriptions/0b1f64711bf04ddaaec3cb9272f09590",
            "/providers/Microsoft.Management/managementGroups/top",
            "/tenants/0b1f6471-1bf0-4dda-aec3-cb9272f09590",
            &format!("{SUBSCRIPTION}/"),
            &format!("{SUBSCRIPTION}/resourceGroups"),
            &format!("{SUBSCRIPTION}/resourceGroups/"),
            &format!("{SUBSCRIPTION}/resourceGroups/dot."),
            &format!("{SUBSCRIPTION}/other/rg"),
            &format!("{GROUP}/vaults/app"),
            &format!("{GROUP}/providers"),
            &format!("{GROUP}/providers/Microsoft.KeyVault"),
            &format!("{GROUP}/providers/Microsoft.KeyVault/vaults"),
            &format!("{GROUP}/providers/KeyVault/vaults/app"),
            &format!("{GROUP}/providers/Microsoft./vaults/app"),
            &format!("{GROUP}/providers/Microsoft.KeyVault/vaults/a_b"),
            &format!("{GROUP}/providers/Microsoft.KeyVault/vaults/ab"),
            &format!("{VAULT}/secrets"),
            &format!("{VAULT}/secrets/a_b"),
            &format!("{VAULT}/secrets/a.b"),
            &format!("{SECRET}/4387e9f3d6e14c459867679a90fd0f79"),
            &format!("{VAULT}/providers/Microsoft.Authorization/roleAssignments/x"),
            &format!("{VAULT}/../other"),
            &format!("{VAULT}/./secrets/x"),
            &format!("{VAULT}/secrets/.."),
            &format!("{VAULT}/secrets/%64b"),
            &format!("{VAULT}/secrets/d\u{212a}"),
            &format!("{VAULT}/secrets/d\0b"),
            &deep,
            &long,
        ];
        for raw in table {
            assert!(Scope::parse(raw).is_err(), "{raw:?}");
        }
    }

    /// MT2: whatever the spelling, a scope is refused or is the one value that its letters say.
    #[test]
    fn every_spelling_is_refused_or_means_one_scope() {
        let hostile = [
            "/", "//", ".", "..", "/.", "/..", "/./", "/../", "\\", "%", "%2f", "%2F", "%2e", "%00", " ",
            "\t", "\n", "\r", "\0", "\u{7f}", "\u{a0}", "\u{200b}", "\u{212a}", "\u{130}", "\u{17f}",
            "\u{ff0f}", "\u{2215}", "?", "#", ";", ":", "@", "*", "+", "'", "\"", "é", "a", "A", "0", "-",
        ];
        let (mut read, mut refused) = (0_u32, 0_u32);
        let mut canonical_of = HashMap::new();
        let mut judge = |raw: &str| match Scope::parse(raw) {
            Err(_) => refused += 1,
            Ok(scope) => {
                read += 1;
                // Nothing is repaired: letters' case is all that may differ, and reading again changes nothing.
                assert_eq!(scope.canonical(), raw.to_ascii_lowercase(), "{raw:?}");
                let again = Scope::parse(scope.canonical()).expect("the canonical form is a scope");
                assert_eq!(again, scope);
                assert_eq!(again.canonical(), scope.canonical());
                assert_eq!(again.level(), scope.level());
                let first = canonical_of.entry(scope.clone()).or_insert_with(|| scope.canonical().to_owned());
                assert_eq!(first, scope.canonical());
            }
        };
        for raw in ALL {
            for position in 0..=raw.len() {
                let (head, tail) = raw.split_at(position);
                judge(&format!("{}{tail}", head.to_ascii_uppercase()));
                judge(&format!("{}{}", head.to_ascii_lowercase(), tail.to_ascii_uppercase()));
                for piece in hostile {
                    judge(&format!("{head}{piece}{tail}"));
                    judge(&format!("{head}{piece}{}", tail.get(1..).unwrap_or_default()));
                }
                if let Some(byte) = tail.bytes().next() {
                    judge(&format!("{head}%{byte:02x}{}", &tail[1..]));
                    judge(&format!("{head}{}", &tail[1..]));
                }
            }
        }
        assert!(read > 2_000 && refused > 10_000, "{read} read, {refused} refused");
    }

    #[test]
    fn case_never_makes_another_scope() {
        for raw in ALL {
            let shuffled: String = raw
                .chars()
                .enumerate()
                .map(|(i, c)| if i % 2 == 0 { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() })
                .collect();
            for spelling in [raw.to_ascii_lowercase(), raw.to_ascii_uppercase(), shuffled] {
                assert_eq!(scope(&spelling), scope(raw));
                assert_eq!(scope(&spelling).canonical(), scope(raw).canonical());
                assert_eq!(scope(&spelling).to_string(), spelling);
            }
        }
    }
}

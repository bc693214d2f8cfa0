//! The policy of a certificate: what the next version is made from (wire.md §7.3, `CertificatePolicy` of the 7.4 API).
//!
//! A caller says parts of a policy; [`PolicyPatch::complete`] makes a whole one of them, with the defaults that Key
//! Vault documents, and [`CertificatePolicy::check`] refuses what could not be issued. A patched policy passes the same
//! check as a new one.

use std::collections::{BTreeMap, BTreeSet};

use vouchsafe_crypto::keys::{KeyFamily, KeySpec};
use vouchsafe_crypto::pki::{AlternativeNames, KeyUsage};

use super::lifetime::{LifetimeAction, LifetimeActionType, Trigger};
use super::subject;
use crate::limits;
use crate::time::Timestamp;

/// What the next version of a certificate is made from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CertificatePolicy {
    /// The key.
    pub key: KeyProperties,
    /// The form in which the managed secret gives the certificate with its key.
    pub content_type: ContentType,
    /// What the certificate says.
    pub x509: X509Properties,
    /// What is done before it expires.
    pub lifetime_actions: Vec<LifetimeAction>,
    /// Who issues it.
    pub issuer: IssuerParameters,
    /// Whether the policy is switched off.
    pub disabled: bool,
    /// When it was first written.
    pub created: Timestamp,
    /// When it was last changed.
    pub updated: Timestamp,
    /// Members that we do not act on and give back as they came: name and JSON text.
    pub other: BTreeMap<String, String>,
}

/// The key of a certificate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct KeyProperties {
    /// Its kind.
    pub spec: KeySpec,
    /// Whether a token holds it.
    pub in_token: bool,
    /// Whether the managed secret gives it out.
    pub exportable: bool,
    /// Whether a renewal keeps it.
    pub reuse_key: bool,
}

/// The form of a managed secret.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ContentType {
    /// PKCS#12 (RFC 7292), base64, with an empty password.
    Pkcs12,
    /// PEM (RFC 7468): the key, then the chain.
    Pem,
}

/// What a certificate says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct X509Properties {
    /// The distinguished name in text; may be empty when there are other names.
    pub subject: String,
    /// The other names.
    pub sans: AlternativeNames,
    /// Object identifiers of extended key usages.
    pub ekus: Vec<String>,
    /// What the key may be used for, as it was asked for; [`Self::usages`] is what is certified.
    pub key_usage: BTreeSet<KeyUsage>,
    /// How long it is valid.
    pub validity_months: u32,
}

/// Who issues a certificate.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct IssuerParameters {
    /// `Self`, `Unknown`, or the name of an issuer of the vault.
    pub name: IssuerChoice,
    /// The kind of certificate, in the provider's words.
    pub certificate_type: Option<String>,
    /// Whether it is to be published in transparency logs; kept, since no provider of ours publishes.
    pub transparency: Option<bool>,
}

/// The issuer that a policy names.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum IssuerChoice {
    /// The certificate signs itself.
    Itself,
    /// Somebody outside: the request is fetched, and the certificate brought back by a merge.
    Unknown,
    /// An issuer of the vault.
    Named(super::issuer::IssuerName),
}

/// What a caller says of a policy; what is not mentioned stays, or gets its default.
#[derive(Clone, Debug, Default)]
pub struct PolicyPatch {
    /// The family of the key, and whether a token is to hold it.
    pub key_type: Option<(KeyFamily, bool)>,
    /// The size of the key in bits.
    pub key_size: Option<u32>,
    /// The curve.
    pub curve: Option<KeySpec>,
    /// Whether the managed secret gives the key out.
    pub exportable: Option<bool>,
    /// Whether a renewal keeps the key.
    pub reuse_key: Option<bool>,
    /// The form of the managed secret.
    pub content_type: Option<String>,
    /// The distinguished name.
    pub subject: Option<String>,
    /// The other names, replacing all those before.
    pub sans: Option<AlternativeNames>,
    /// Extended key usages, replacing those before.
    pub ekus: Option<Vec<String>>,
    /// Key usages, replacing those before.
    pub key_usage: Option<BTreeSet<KeyUsage>>,
    /// How long it is valid.
    pub validity_months: Option<u32>,
    /// Whether the certificate may certify others.
    pub is_authority: Option<bool>,
    /// What is done before it expires, replacing what was.
    pub lifetime_actions: Option<Vec<LifetimeAction>>,
    /// The name of the issuer.
    pub issuer: Option<IssuerChoice>,
    /// The kind of certificate, in the provider's words.
    pub certificate_type: Option<String>,
    /// Whether it is to be published in transparency logs.
    pub transparency: Option<bool>,
    /// Whether the policy is switched off.
    pub disabled: Option<bool>,
    /// Members that we do not act on: name and JSON text.
    pub other: BTreeMap<String, String>,
}

impl ContentType {
    /// Reads a media type as Key Vault spells it.
    pub fn parse(raw: &str) -> Option<Self> {
        [Self::Pkcs12, Self::Pem].into_iter().find(|known| known.as_str().eq_ignore_ascii_case(raw))
    }

    /// The media type.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pkcs12 => "application/x-pkcs12",
            Self::Pem => "application/x-pem-file",
        }
    }
}

impl IssuerChoice {
    /// Reads the name in a policy. The reserved names are known in any case.
    pub fn parse(raw: &str) -> Result<Self, crate::ids::Malformed> {
        if raw.eq_ignore_ascii_case("Self") {
            Ok(Self::Itself)
        } else if raw.eq_ignore_ascii_case("Unknown") {
            Ok(Self::Unknown)
        } else {
            Ok(Self::Named(super::issuer::IssuerName::parse(raw)?))
        }
    }

    /// The name as a policy says it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Itself => "Self",
            Self::Unknown => "Unknown",
            Self::Named(name) => name.as_str(),
        }
    }
}

/// `serverAuth` and `clientAuth`.
pub const EKUS_DEFAULT: [&str; 2] = ["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"];
/// How long a certificate is valid when nobody says.
pub const VALIDITY_MONTHS_DEFAULT: u32 = 12;

impl PolicyPatch {
    /// A whole policy from what a caller said, with the defaults for the rest.
    pub fn complete(&self, now: Timestamp) -> Result<CertificatePolicy, String> {
        let Some(issuer) = self.issuer.clone() else {
            return Err("the policy must name an issuer: Self, Unknown or an issuer of this vault".to_owned());
        };
        let empty = CertificatePolicy {
            key: KeyProperties {
                spec: KeySpec::Rsa2048,
                in_token: false,
                exportable: true,
                reuse_key: false,
            },
            content_type: ContentType::Pkcs12,
            x509: X509Properties {
                subject: String::new(),
                sans: AlternativeNames::default(),
                ekus: EKUS_DEFAULT.map(str::to_owned).to_vec(),
                key_usage: BTreeSet::new(),
                validity_months: VALIDITY_MONTHS_DEFAULT,
            },
            lifetime_actions: Vec::new(),
            issuer: IssuerParameters { name: issuer, certificate_type: None, transparency: None },
            disabled: false,
            created: now,
            updated: now,
            other: BTreeMap::new(),
        };
        let mut policy = self.merge(&empty)?;
        if self.key_usage.is_none() {
            policy.x509.key_usage = default_usages(policy.key.spec.family());
        }
        if self.lifetime_actions.is_none() {
            policy.lifetime_actions = vec![default_action(&policy.issuer.name)];
        }
        policy.check()?;
        Ok(policy)
    }

    /// An existing policy with what a caller said changed in it.
    pub fn apply(&self, before: &CertificatePolicy, now: Timestamp) -> Result<CertificatePolicy, String> {
        let mut policy = self.merge(before)?;
        policy.updated = now;
        policy.check()?;
        Ok(policy)
    }

    /// The policy that an imported certificate shows, with what a caller said changed in it.
    ///
    /// What the certificate itself says was not made here and may be more than could be issued; it is checked when
    /// somebody changes the policy. The key is what it is.
    pub(super) fn describe(&self, observed: &CertificatePolicy) -> Result<CertificatePolicy, String> {
        let policy = self.merge(observed)?;
        if policy.key.spec != observed.key.spec {
            return Err("the policy asks for another kind of key than the file has".to_owned());
        }
        if policy.x509 != observed.x509 {
            policy.x509.check(policy.key.spec.family())?;
        }
        policy.check_actions()?;
        Ok(policy)
    }

    fn merge(&self, before: &CertificatePolicy) -> Result<CertificatePolicy, String> {
        if self.is_authority == Some(true) {
            return Err("a certificate of a vault cannot certify others: basic_constraints.ca must be false"
                .to_owned());
        }
        let mut policy = before.clone();
        policy.key = self.merged_key(&before.key)?;
        if let Some(raw) = &self.content_type {
            policy.content_type = ContentType::parse(raw).ok_or_else(|| {
                "the secret's content type must be application/x-pkcs12 or application/x-pem-file".to_owned()
            })?;
        }
        let x509 = &mut policy.x509;
        x509.subject = self.subject.clone().unwrap_or_else(|| x509.subject.clone());
        x509.sans = self.sans.clone().unwrap_or_else(|| x509.sans.clone());
        x509.ekus = self.ekus.clone().unwrap_or_else(|| x509.ekus.clone());
        x509.key_usage = self.key_usage.clone().unwrap_or_else(|| x509.key_usage.clone());
        x509.validity_months = self.validity_months.unwrap_or(x509.validity_months);
        if let Some(actions) = &self.lifetime_actions {
            policy.lifetime_actions.clone_from(actions);
        }
        if let Some(name) = &self.issuer {
            policy.issuer.name = name.clone();
        }
        if self.certificate_type.is_some() {
            policy.issuer.certificate_type.clone_from(&self.certificate_type);
        }
        policy.issuer.transparency = self.transparency.or(policy.issuer.transparency);
        policy.disabled = self.disabled.unwrap_or(policy.disabled);
        policy.other.extend(self.other.iter().map(|(name, text)| (name.clone(), text.clone())));
        Ok(policy)
    }

    fn merged_key(&self, before: &KeyProperties) -> Result<KeyProperties, String> {
        let family = match (self.key_type, self.curve) {
            (Some((family, _)), _) => family,
            (None, Some(_)) => KeyFamily::Ec,
            (None, None) => before.spec.family(),
        };
        let spec = match family {
            KeyFamily::Rsa => self.rsa_spec(before)?,
            KeyFamily::Ec => self.curve_spec(before)?,
            KeyFamily::Oct => return Err("the key of a certificate must be RSA or EC".to_owned()),
        };
        let in_token = self.key_type.map_or(before.in_token, |(_, in_token)| in_token);
        // What a token holds does not leave it; a caller who says nothing gets what is possible.
        let exportable = self.exportable.unwrap_or(before.exportable && !in_token);
        let reuse_key = self.reuse_key.unwrap_or(before.reuse_key);
        Ok(KeyProperties { spec, in_token, exportable, reuse_key })
    }

    fn rsa_spec(&self, before: &KeyProperties) -> Result<KeySpec, String> {
        if self.curve.is_some() {
            return Err("an RSA key has no curve".to_owned());
        }
        match self.key_size {
            Some(2048) => Ok(KeySpec::Rsa2048),
            Some(3072) => Ok(KeySpec::Rsa3072),
            Some(4096) => Ok(KeySpec::Rsa4096),
            Some(_) => Err("the key size of an RSA key must be 2048, 3072 or 4096".to_owned()),
            None if before.spec.family() == KeyFamily::Rsa => Ok(before.spec),
            None => Ok(KeySpec::Rsa2048),
        }
    }

    fn curve_spec(&self, before: &KeyProperties) -> Result<KeySpec, String> {
        let by_size = match self.key_size {
            None => None,
            Some(256) => Some(KeySpec::P256),
            Some(384) => Some(KeySpec::P384),
            Some(521) => Some(KeySpec::P521),
            Some(_) => return Err("the key size of an EC key must be 256, 384 or 521".to_owned()),
        };
        match (self.curve, by_size) {
            (Some(curve), _) if curve.family() != KeyFamily::Ec => {
                Err("the curve must be P-256, P-384, P-521 or P-256K".to_owned())
            }
            (Some(curve), Some(size)) if curve.bits() != size.bits() => {
                Err("the key size and the curve do not agree".to_owned())
            }
            (Some(curve), _) => Ok(curve),
            (None, Some(size)) => Ok(size),
            (None, None) if before.spec.family() == KeyFamily::Ec => Ok(before.spec),
            (None, None) => Ok(KeySpec::P256),
        }
    }
}

fn default_usages(family: KeyFamily) -> BTreeSet<KeyUsage> {
    match family {
        // Nothing can be enciphered to a key that only agrees and signs.
        KeyFamily::Ec => [KeyUsage::DigitalSignature].into_iter().collect(),
        _ => [KeyUsage::DigitalSignature, KeyUsage::KeyEncipherment].into_iter().collect(),
    }
}

fn default_action(issuer: &IssuerChoice) -> LifetimeAction {
    let action = match issuer {
        // Nobody here can renew what somebody outside issues.
        IssuerChoice::Unknown => LifetimeActionType::EmailContacts,
        IssuerChoice::Itself | IssuerChoice::Named(_) => LifetimeActionType::AutoRenew,
    };
    LifetimeAction { trigger: Trigger::LifetimePercentage(80), action }
}

impl CertificatePolicy {
    /// Refuses what Key Vault documents as wrong, and what could not be issued.
    pub fn check(&self) -> Result<(), String> {
        self.x509.check(self.key.spec.family())?;
        self.check_actions()
    }

    fn check_actions(&self) -> Result<(), String> {
        if self.key.in_token && self.key.exportable {
            return Err("a key that a token holds cannot be exportable".to_owned());
        }
        if self.lifetime_actions.len() > limits::LIFETIME_ACTIONS_MAX {
            return Err(format!("there are more than {} lifetime actions", limits::LIFETIME_ACTIONS_MAX));
        }
        for (index, action) in self.lifetime_actions.iter().enumerate() {
            action.check(self.x509.validity_months)?;
            if self.lifetime_actions.iter().skip(index + 1).any(|other| other.action == action.action) {
                return Err(format!("there are two lifetime actions {}", action.action.as_str()));
            }
        }
        if self
            .issuer
            .certificate_type
            .as_ref()
            .is_some_and(|text| text.len() > limits::CERTIFICATE_TYPE_BYTES_MAX)
        {
            return Err(format!(
                "the certificate type is longer than {} bytes",
                limits::CERTIFICATE_TYPE_BYTES_MAX
            ));
        }
        let other_bytes: usize = self.other.iter().map(|(name, text)| name.len() + text.len()).sum();
        if other_bytes > limits::POLICY_OTHER_BYTES_MAX {
            return Err("the policy says too much that is not known here".to_owned());
        }
        Ok(())
    }
}

impl X509Properties {
    /// The key usages that certificates for a key of this family get.
    ///
    /// SECURITY: none of them certifies others, whatever the policy asks for. `az keyvault certificate
    /// get-default-policy` asks for keyCertSign and cRLSign, so asking is no mistake; but a certificate that is no
    /// authority must not have them (RFC 5280 §4.2.1.9), and ours never are. Nor is anything enciphered to a key on a
    /// curve (RFC 8813 §3), for which the same default policy asks, too.
    pub fn usages(&self, family: KeyFamily) -> BTreeSet<KeyUsage> {
        let is_possible = |usage: &KeyUsage| match usage {
            KeyUsage::KeyCertSign | KeyUsage::CrlSign => false,
            KeyUsage::KeyEncipherment | KeyUsage::DataEncipherment => family == KeyFamily::Rsa,
            _ => true,
        };
        self.key_usage.iter().copied().filter(is_possible).collect()
    }

    fn check(&self, family: KeyFamily) -> Result<(), String> {
        if self.subject.is_empty() && self.sans.is_empty() {
            return Err("the policy must have a subject or subject alternative names".to_owned());
        }
        subject::check(&self.subject)?;
        check_names(&self.sans)?;
        if !(1..=limits::VALIDITY_MONTHS_MAX).contains(&self.validity_months) {
            return Err(format!("validity_months must be between 1 and {}", limits::VALIDITY_MONTHS_MAX));
        }
        if self.ekus.len() > limits::EKUS_MAX {
            return Err(format!("there are more than {} extended key usages", limits::EKUS_MAX));
        }
        if let Some(eku) = self.ekus.iter().find(|eku| !subject::is_oid(eku)) {
            let shown: String = eku.chars().filter(|c| !c.is_control()).take(64).collect();
            return Err(format!("the extended key usage `{shown}` is not an object identifier"));
        }
        // No usage at all would restrict the key in nothing.
        if self.usages(family).is_empty() && !self.key_usage.is_empty() {
            return Err(
                "no key usage is left: a certificate of a vault cannot certify others (keyCertSign, \
                        cRLSign), and nothing is enciphered to a key on a curve (keyEncipherment, \
                        dataEncipherment)"
                    .to_owned(),
            );
        }
        Ok(())
    }
}

fn check_names(names: &AlternativeNames) -> Result<(), String> {
    if names.len() > limits::SANS_MAX || names.others > 0 {
        return Err(format!("there are more than {} subject alternative names", limits::SANS_MAX));
    }
    let wrong = |what: &str, raw: &str| {
        let shown: String = raw.chars().filter(|c| !c.is_control()).take(64).collect();
        Err(format!("`{shown}` is not {what}"))
    };
    if let Some(name) = names.dns.iter().find(|name| !subject::is_dns_name(name)) {
        return wrong("a DNS name", name);
    }
    if let Some(mail) = names.emails.iter().find(|mail| !subject::is_mail_address(mail)) {
        return wrong("a mail address", mail);
    }
    if let Some(upn) = names.upns.iter().find(|upn| !subject::is_mail_address(upn)) {
        return wrong("a user principal name", upn);
    }
    if let Some(uri) = names.uris.iter().find(|uri| !subject::is_uri(uri)) {
        return wrong("a URI", uri);
    }
    Ok(())
}

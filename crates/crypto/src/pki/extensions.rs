//! The extensions of certificates and requests (RFC 5280 §4.2): what a profile makes of them, and what is read back.

use std::collections::BTreeSet;
use std::net::IpAddr;

use der::asn1::{Any, Ia5String, ObjectIdentifier, OctetString, Utf8StringRef};
use der::flagset::FlagSet;
use der::{Decode, Encode, Tag};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::crl::dp::DistributionPoint;
use x509_cert::ext::pkix::name::{DistributionPointName, GeneralName, OtherName};
use x509_cert::ext::pkix::{AccessDescription, AuthorityKeyIdentifier, KeyUsages};

use super::build::BuildRefused;
use super::{ALTERNATIVE_NAMES_MAX, CertificateProfile, PURPOSES_MAX, ReadRefused};

const SUBJECT_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.14");
const KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");
const ALTERNATIVE_NAMES: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");
const BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");
const REVOCATION_LISTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.31");
const AUTHORITY_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.35");
const PURPOSES: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37");
const AUTHORITY_ACCESS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.1.1");
const OCSP: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1");
const ISSUERS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.2");
/// `otherName` of a user principal name, which Windows defined.
const USER_PRINCIPAL_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.20.2.3");

/// What a certified key may do (RFC 5280 §4.2.1.3), under the names that Key Vault uses.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum KeyUsage {
    /// Signatures other than on certificates and revocation lists.
    DigitalSignature,
    /// Signatures that shall convince a third party.
    NonRepudiation,
    /// Encrypting keys.
    KeyEncipherment,
    /// Encrypting data directly.
    DataEncipherment,
    /// Agreeing on keys.
    KeyAgreement,
    /// Signing certificates.
    KeyCertSign,
    /// Signing revocation lists.
    CrlSign,
    /// With key agreement: only encrypting.
    EncipherOnly,
    /// With key agreement: only decrypting.
    DecipherOnly,
}

const KEY_USAGES: [(KeyUsage, &str, KeyUsages); 9] = [
    (KeyUsage::DigitalSignature, "digitalSignature", KeyUsages::DigitalSignature),
    (KeyUsage::NonRepudiation, "nonRepudiation", KeyUsages::NonRepudiation),
    (KeyUsage::KeyEncipherment, "keyEncipherment", KeyUsages::KeyEncipherment),
    (KeyUsage::DataEncipherment, "dataEncipherment", KeyUsages::DataEncipherment),
    (KeyUsage::KeyAgreement, "keyAgreement", KeyUsages::KeyAgreement),
    (KeyUsage::KeyCertSign, "keyCertSign", KeyUsages::KeyCertSign),
    (KeyUsage::CrlSign, "cRLSign", KeyUsages::CRLSign),
    (KeyUsage::EncipherOnly, "encipherOnly", KeyUsages::EncipherOnly),
    (KeyUsage::DecipherOnly, "decipherOnly", KeyUsages::DecipherOnly),
];

impl KeyUsage {
    /// Every one of them, in the order of their bits.
    pub fn all() -> impl Iterator<Item = Self> {
        KEY_USAGES.into_iter().map(|(usage, ..)| usage)
    }

    /// Reads the name that RFC 5280 gives it.
    pub fn parse(text: &str) -> Option<Self> {
        KEY_USAGES.into_iter().find(|(_, name, _)| name.eq_ignore_ascii_case(text)).map(|(usage, ..)| usage)
    }

    /// The name that RFC 5280 gives it.
    pub fn as_str(self) -> &'static str {
        KEY_USAGES.into_iter().find(|(usage, ..)| *usage == self).map_or("", |(_, name, _)| name)
    }
}

/// Whether the subject is an authority, and how many authorities may come below it (RFC 5280 §4.2.1.9).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BasicConstraints {
    /// Whether it may issue certificates.
    pub is_authority: bool,
    /// How many authorities may follow in a path; only an authority has it.
    pub path_length: Option<u8>,
}

/// By what else a subject is known (RFC 5280 §4.2.1.6).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct AlternativeNames {
    /// Host names in ASCII, perhaps with `*` as the first label.
    pub dns: Vec<String>,
    /// Mail addresses.
    pub emails: Vec<String>,
    /// User principal names, as Windows has them.
    pub upns: Vec<String>,
    /// URIs.
    pub uris: Vec<String>,
    /// Addresses.
    pub addresses: Vec<IpAddr>,
    /// Names of other kinds that were read; a profile cannot have any.
    pub others: usize,
}

impl AlternativeNames {
    /// How many names there are, those of other kinds included.
    pub fn len(&self) -> usize {
        self.dns.len()
            + self.emails.len()
            + self.upns.len()
            + self.uris.len()
            + self.addresses.len()
            + self.others
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn to_general(&self) -> Result<Vec<GeneralName>, BuildRefused> {
        let count = self.len();
        if count > ALTERNATIVE_NAMES_MAX || self.others > 0 {
            return Err(BuildRefused::TooManyNames);
        }
        let mut names = Vec::with_capacity(count);
        for host in &self.dns {
            names.push(GeneralName::DnsName(ascii(host, is_host_pattern)?));
        }
        for address in &self.emails {
            names.push(GeneralName::Rfc822Name(ascii(address, is_mail_address)?));
        }
        for upn in &self.upns {
            let plain = !upn.is_empty() && upn.len() <= 1024 && !upn.chars().any(char::is_control);
            let value = Any::new(Tag::Utf8String, upn.as_bytes())
                .ok()
                .filter(|_| plain)
                .ok_or_else(|| BuildRefused::BadAlternativeName(upn.clone()))?;
            names.push(GeneralName::OtherName(OtherName { type_id: USER_PRINCIPAL_NAME, value }));
        }
        for uri in &self.uris {
            names.push(GeneralName::UniformResourceIdentifier(ascii(uri, is_uri)?));
        }
        names.extend(self.addresses.iter().map(|address| GeneralName::from(*address)));
        Ok(names)
    }

    fn from_general(names: Vec<GeneralName>) -> Result<Self, ReadRefused> {
        if names.len() > ALTERNATIVE_NAMES_MAX {
            return Err(ReadRefused::TooMany("alternative names"));
        }
        let mut read = Self::default();
        for name in names {
            match name {
                GeneralName::DnsName(text) => read.dns.push(text.as_str().to_owned()),
                GeneralName::Rfc822Name(text) => read.emails.push(text.as_str().to_owned()),
                GeneralName::UniformResourceIdentifier(text) => read.uris.push(text.as_str().to_owned()),
                GeneralName::IpAddress(bytes) => match address(bytes.as_bytes()) {
                    Some(address) => read.addresses.push(address),
                    None => return Err(ReadRefused::Malformed("an IP address in an alternative name")),
                },
                GeneralName::OtherName(other) if other.type_id == USER_PRINCIPAL_NAME => {
                    match Utf8StringRef::try_from(&other.value) {
                        Ok(text) => read.upns.push(text.as_str().to_owned()),
                        Err(_) => read.others += 1,
                    }
                }
                _ => read.others += 1,
            }
        }
        Ok(read)
    }
}

fn ascii(text: &str, allowed: fn(&str) -> bool) -> Result<Ia5String, BuildRefused> {
    let text = Some(text).filter(|text| allowed(text)).and_then(|text| Ia5String::new(text).ok()).ok_or(text);
    text.map_err(|text| BuildRefused::BadAlternativeName(text.to_owned()))
}

/// A host name of RFC 1123 §2.1 with underscores, as people have them, and `*` only as the whole first label.
pub(super) fn is_host_pattern(text: &str) -> bool {
    let host = text.strip_prefix("*.").unwrap_or(text);
    text.len() <= 253
        && host.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        })
}

fn is_mail_address(text: &str) -> bool {
    text.len() <= 320
        && text.bytes().all(|byte| byte.is_ascii_graphic())
        && text.rsplit_once('@').is_some_and(|(local, host)| !local.is_empty() && !host.is_empty())
}

fn is_uri(text: &str) -> bool {
    text.len() <= 2048
        && text.bytes().all(|byte| byte.is_ascii_graphic())
        && text.split_once(':').is_some_and(|(scheme, rest)| {
            !rest.is_empty()
                && scheme.starts_with(|first: char| first.is_ascii_alphabetic())
                && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
        })
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}

/// What a profile says in extensions; the same for a request and a certificate.
pub(super) fn of_profile(profile: &CertificateProfile) -> Result<Vec<Extension>, BuildRefused> {
    let mut made = Vec::new();
    if let Some(constraints) = profile.basic_constraints {
        if constraints.path_length.is_some() && !constraints.is_authority {
            return Err(BuildRefused::PathLengthWithoutAuthority);
        }
        let value = x509_cert::ext::pkix::BasicConstraints {
            ca: constraints.is_authority,
            path_len_constraint: constraints.path_length,
        };
        made.push(extension(BASIC_CONSTRAINTS, true, &value)?);
    }
    if !profile.key_usage.is_empty() {
        let mut flags = FlagSet::default();
        for (usage, _, flag) in KEY_USAGES {
            if profile.key_usage.contains(&usage) {
                flags |= flag;
            }
        }
        made.push(extension(KEY_USAGE, true, &x509_cert::ext::pkix::KeyUsage(flags))?);
    }
    if profile.purposes.len() > PURPOSES_MAX {
        return Err(BuildRefused::TooManyNames);
    }
    if !profile.purposes.is_empty() {
        let purposes = profile
            .purposes
            .iter()
            .map(|text| ObjectIdentifier::new(text).map_err(|_| BuildRefused::BadPurpose(text.clone())))
            .collect::<Result<Vec<_>, _>>()?;
        made.push(extension(PURPOSES, false, &purposes)?);
    }
    let names = profile.alternative_names.to_general()?;
    if names.is_empty() && profile.subject.is_empty() {
        return Err(BuildRefused::Nameless);
    }
    if !names.is_empty() {
        // RFC 5280 §4.2.1.6: critical where the subject is empty.
        made.push(extension(ALTERNATIVE_NAMES, profile.subject.is_empty(), &names)?);
    }
    Ok(made)
}

/// What an issuer adds to a certificate: both key identifiers, and where to ask about it.
pub(super) fn of_issuer(
    profile: &CertificateProfile,
    subject_key: &[u8],
    issuer_key: &[u8],
) -> Result<Vec<Extension>, BuildRefused> {
    let mut made = vec![extension(SUBJECT_KEY, false, &octets(subject_key)?)?, authority_key(issuer_key)?];
    if let Some(url) = &profile.revocation_list_url {
        let point = DistributionPointName::FullName(vec![http(url)?]);
        let point = DistributionPoint { distribution_point: Some(point), reasons: None, crl_issuer: None };
        made.push(extension(REVOCATION_LISTS, false, &vec![point])?);
    }
    let mut access = Vec::new();
    for (access_method, url) in [(OCSP, &profile.ocsp_url), (ISSUERS, &profile.issuer_url)] {
        if let Some(url) = url {
            access.push(AccessDescription { access_method, access_location: http(url)? });
        }
    }
    if !access.is_empty() {
        made.push(extension(AUTHORITY_ACCESS, false, &access)?);
    }
    Ok(made)
}

/// The extension by which a certificate or a revocation list names its issuer's key.
pub(super) fn authority_key(identifier: &[u8]) -> Result<Extension, BuildRefused> {
    let value = AuthorityKeyIdentifier { key_identifier: Some(octets(identifier)?), ..Default::default() };
    extension(AUTHORITY_KEY, false, &value)
}

/// One extension with its value in DER.
pub(super) fn extension(
    extn_id: ObjectIdentifier,
    critical: bool,
    value: &impl Encode,
) -> Result<Extension, BuildRefused> {
    let extn_value = octets(&value.to_der().map_err(|_| BuildRefused::TooLarge)?)?;
    Ok(Extension { extn_id, critical, extn_value })
}

fn octets(bytes: &[u8]) -> Result<OctetString, BuildRefused> {
    OctetString::new(bytes).map_err(|_| BuildRefused::TooLarge)
}

fn http(url: &str) -> Result<GeneralName, BuildRefused> {
    let web = url.starts_with("http://") || url.starts_with("https://");
    let text = Some(url).filter(|url| web && is_uri(url)).and_then(|url| Ia5String::new(url).ok());
    text.map(GeneralName::UniformResourceIdentifier).ok_or_else(|| BuildRefused::BadUrl(url.to_owned()))
}

/// What was read out of the extensions of a certificate or a request.
#[derive(Clone, Debug, Default)]
pub(super) struct ReadExtensions {
    pub alternative_names: AlternativeNames,
    pub purposes: Vec<String>,
    pub key_usage: Option<BTreeSet<KeyUsage>>,
    pub basic_constraints: Option<BasicConstraints>,
    pub subject_key: Option<Vec<u8>>,
    pub authority_key: Option<Vec<u8>>,
    pub revocation_list_urls: Vec<String>,
    pub ocsp_urls: Vec<String>,
    pub unknown: Vec<UnknownExtension>,
}

/// An extension that has no meaning here.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UnknownExtension {
    /// Its object identifier in dotted text.
    pub oid: String,
    /// Whether whoever does not understand it must refuse (RFC 5280 §4.2).
    pub critical: bool,
}

impl ReadExtensions {
    /// Reads each extension at most once; a second of the same kind is refused, as RFC 5280 §4.2 demands.
    pub fn read(extensions: &[Extension]) -> Result<Self, ReadRefused> {
        let mut read = Self::default();
        let mut seen = BTreeSet::new();
        for extension in extensions {
            if !seen.insert(extension.extn_id) {
                return Err(ReadRefused::Malformed("a list of extensions that are there once each"));
            }
            read.take(extension)?;
        }
        Ok(read)
    }

    fn take(&mut self, extension: &Extension) -> Result<(), ReadRefused> {
        let value = extension.extn_value.as_bytes();
        match extension.extn_id {
            ALTERNATIVE_NAMES => {
                let names: Vec<GeneralName> = decode(value, "an alternative name extension")?;
                self.alternative_names = AlternativeNames::from_general(names)?;
            }
            PURPOSES => {
                let purposes: Vec<ObjectIdentifier> = decode(value, "an extended key usage extension")?;
                if purposes.len() > PURPOSES_MAX {
                    return Err(ReadRefused::TooMany("extended key usages"));
                }
                self.purposes = purposes.iter().map(ObjectIdentifier::to_string).collect();
            }
            KEY_USAGE => {
                let read: x509_cert::ext::pkix::KeyUsage = decode(value, "a key usage extension")?;
                let set = KEY_USAGES.into_iter().filter(|(.., flag)| read.0.contains(*flag));
                self.key_usage = Some(set.map(|(usage, ..)| usage).collect());
            }
            BASIC_CONSTRAINTS => {
                let read: x509_cert::ext::pkix::BasicConstraints =
                    decode(value, "a basic constraints extension")?;
                self.basic_constraints =
                    Some(BasicConstraints { is_authority: read.ca, path_length: read.path_len_constraint });
            }
            SUBJECT_KEY => {
                let read: OctetString = decode(value, "a subject key identifier")?;
                self.subject_key = Some(read.as_bytes().to_vec());
            }
            AUTHORITY_KEY => {
                let read: AuthorityKeyIdentifier = decode(value, "an authority key identifier")?;
                self.authority_key = read.key_identifier.map(|bytes| bytes.as_bytes().to_vec());
            }
            REVOCATION_LISTS => {
                let read: Vec<DistributionPoint> = decode(value, "a CRL distribution point extension")?;
                let names = read.into_iter().filter_map(|point| match point.distribution_point {
                    Some(DistributionPointName::FullName(names)) => Some(names),
                    _ => None,
                });
                self.revocation_list_urls = names.flatten().filter_map(uri).collect();
            }
            AUTHORITY_ACCESS => {
                let read: Vec<AccessDescription> =
                    decode(value, "an authority information access extension")?;
                let responders = read.into_iter().filter(|access| access.access_method == OCSP);
                self.ocsp_urls = responders.filter_map(|access| uri(access.access_location)).collect();
            }
            oid => self.unknown.push(UnknownExtension { oid: oid.to_string(), critical: extension.critical }),
        }
        Ok(())
    }
}

fn decode<'a, T: Decode<'a>>(bytes: &'a [u8], what: &'static str) -> Result<T, ReadRefused> {
    T::from_der(bytes).map_err(|_| ReadRefused::Malformed(what))
}

fn uri(name: GeneralName) -> Option<String> {
    match name {
        GeneralName::UniformResourceIdentifier(text) => Some(text.as_str().to_owned()),
        _ => None,
    }
}

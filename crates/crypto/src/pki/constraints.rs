//! What a private authority lets its certificates say.
//!
//! A request is a wish list by someone who holds a key and nothing more. Everything is refused that the authority's
//! policy does not name: an authority's rights, names of others, addresses, purposes, a long life. The common name is
//! under the same rule as the alternative names, because there is software that still looks for hosts there.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::extensions::{UnknownExtension, is_host_pattern};
use super::{
    AlternativeNames, BasicConstraints, CertificateProfile, Csr, DistinguishedName, KeyUsage,
    ParsedCertificate,
};
use crate::keys::PublicKey;

/// What an authority may certify. The default allows no names at all.
#[derive(Clone, Debug, Default)]
pub struct AuthorityPolicy {
    /// Domains whose hosts may be named, the domain itself included; compared without regard to case.
    pub dns_suffixes: BTreeSet<String>,
    /// Domains before which, and before whose hosts, `*.` may stand; they are not in `dns_suffixes` by that.
    pub wildcard_suffixes: BTreeSet<String>,
    /// Networks whose addresses may be named: an address and how many of its bits count.
    pub networks: Vec<(IpAddr, u8)>,
    /// Domains whose mail addresses and user principal names may be named.
    pub mail_domains: BTreeSet<String>,
    /// Beginnings of URIs that may be named; each ends in `/` or names one URI in full.
    pub uri_prefixes: BTreeSet<String>,
    /// Purposes that certificates may have, as object identifiers. With some given, a certificate must name one or more
    /// of them; with none given, it must name none.
    pub purposes: BTreeSet<String>,
    /// The longest life of a certificate.
    pub lifetime_seconds_max: u64,
}

/// Why a policy does not let something be certified.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NotAllowed {
    /// It would be an authority, or have an authority's rights.
    #[error("this authority does not certify other authorities")]
    Authority,
    /// A name is outside.
    #[error("this authority does not certify the name `{0}`")]
    Name(String),
    /// There is a name of a kind that is never certified.
    #[error("this authority does not certify names of this kind")]
    NameKind,
    /// It names no purpose, which is every purpose.
    #[error("this authority certifies for some purposes only, and none is named")]
    NoPurpose,
    /// A purpose is outside.
    #[error("this authority does not certify the purpose `{0}`")]
    Purpose(String),
    /// It would live too long.
    #[error("this authority certifies for at most {0} seconds")]
    Lifetime(u64),
    /// A request wants something critical that is not understood.
    #[error("the request has the critical extension `{0}`, which is not supported")]
    CriticalExtension(String),
    /// The key is too weak or of an unknown kind.
    #[error("the key is too weak or of a kind that is not certified")]
    Key,
}

impl AuthorityPolicy {
    /// Whether everything that a request asks for may be certified. Its lifetime is for [`Self::check_profile`].
    pub fn check_csr(&self, csr: &Csr) -> Result<(), NotAllowed> {
        self.check_unknown(csr.unknown_extensions())?;
        self.check_authority(csr.basic_constraints(), csr.key_usage())?;
        self.check_names(csr.subject(), csr.alternative_names())?;
        self.check_purposes(csr.purposes())?;
        check_key(csr.spki_der())
    }

    /// Whether a certificate as in `profile` may be issued.
    pub fn check_profile(&self, profile: &CertificateProfile) -> Result<(), NotAllowed> {
        self.check_authority(profile.basic_constraints, Some(&profile.key_usage))?;
        self.check_names(&profile.subject, &profile.alternative_names)?;
        self.check_purposes(&profile.purposes)?;
        let validity = profile.validity;
        if validity.not_after.saturating_sub(validity.not_before) > self.lifetime_seconds_max {
            return Err(NotAllowed::Lifetime(self.lifetime_seconds_max));
        }
        check_key(&profile.public_key)
    }

    /// Whether a finished certificate is one that [`Self::check_profile`] would have allowed.
    pub fn check_certificate(&self, certificate: &ParsedCertificate) -> Result<(), NotAllowed> {
        self.check_unknown(certificate.unknown_extensions())?;
        self.check_authority(certificate.basic_constraints(), certificate.key_usage())?;
        self.check_names(certificate.subject(), certificate.alternative_names())?;
        self.check_purposes(certificate.purposes())?;
        check_key(certificate.spki_der())
    }

    fn check_unknown(&self, unknown: &[UnknownExtension]) -> Result<(), NotAllowed> {
        match unknown.iter().find(|extension| extension.critical) {
            Some(extension) => Err(NotAllowed::CriticalExtension(extension.oid.clone())),
            None => Ok(()),
        }
    }

    fn check_authority(
        &self,
        constraints: Option<BasicConstraints>,
        usage: Option<&BTreeSet<KeyUsage>>,
    ) -> Result<(), NotAllowed> {
        let rights = [KeyUsage::KeyCertSign, KeyUsage::CrlSign];
        let has_right = usage.is_some_and(|usage| rights.iter().any(|right| usage.contains(right)));
        let is_authority = constraints
            .is_some_and(|constraints| constraints.is_authority || constraints.path_length.is_some());
        if has_right || is_authority { Err(NotAllowed::Authority) } else { Ok(()) }
    }

    fn check_names(&self, subject: &DistinguishedName, names: &AlternativeNames) -> Result<(), NotAllowed> {
        if names.others > 0 {
            return Err(NotAllowed::NameKind);
        }
        let refuse_text = |name: &String| Err(NotAllowed::Name(name.clone()));
        names.dns.iter().find(|name| !self.allows_host(name)).map_or(Ok(()), refuse_text)?;
        let mut people = names.emails.iter().chain(&names.upns);
        people.find(|name| !self.allows_mail(name)).map_or(Ok(()), refuse_text)?;
        names.uris.iter().find(|name| !self.allows_uri(name)).map_or(Ok(()), refuse_text)?;
        let outside = names.addresses.iter().find(|address| !self.allows_address(**address));
        outside.map_or(Ok(()), |address| Err(NotAllowed::Name(address.to_string())))?;
        for (is_mail, value) in subject.identifying_values().ok_or(NotAllowed::NameKind)? {
            let allowed = match value.parse::<IpAddr>() {
                _ if is_mail || value.contains('@') => self.allows_mail(&value),
                Ok(address) => self.allows_address(address),
                // A single word such as `billing` is no host that anybody would look up.
                Err(_) => self.allows_host(&value) || !looks_like_host(&value),
            };
            if !allowed {
                return Err(NotAllowed::Name(value));
            }
        }
        Ok(())
    }

    fn check_purposes(&self, purposes: &[String]) -> Result<(), NotAllowed> {
        // SECURITY: a certificate without the extension may be used for everything (RFC 5280 §4.2.1.12).
        if purposes.is_empty() && !self.purposes.is_empty() {
            return Err(NotAllowed::NoPurpose);
        }
        match purposes.iter().find(|purpose| !self.purposes.contains(*purpose)) {
            Some(purpose) => Err(NotAllowed::Purpose(purpose.clone())),
            None => Ok(()),
        }
    }

    fn allows_host(&self, name: &str) -> bool {
        let (host, suffixes) = match name.strip_prefix("*.") {
            Some(host) => (host, &self.wildcard_suffixes),
            None => (name, &self.dns_suffixes),
        };
        is_host_pattern(host) && suffixes.iter().any(|suffix| is_below(host, suffix))
    }

    fn allows_mail(&self, name: &str) -> bool {
        // SECURITY: the only `@`, so that no reader finds another domain behind another one.
        let mut parts = name.split('@');
        match (parts.next(), parts.next(), parts.next()) {
            (Some(local), Some(domain), None) if !local.is_empty() => {
                self.mail_domains.iter().any(|allowed| allowed.eq_ignore_ascii_case(domain))
            }
            _ => false,
        }
    }

    fn allows_uri(&self, name: &str) -> bool {
        // SECURITY: `..` and `\` are ways out of a prefix for whoever resolves the URI.
        let escapes =
            name.contains("..") || name.contains('\\') || name.contains("%2e") || name.contains("%2E");
        !escapes
            && self.uri_prefixes.iter().any(|prefix| {
                name == prefix
                    || (prefix.ends_with('/')
                        && name.len() > prefix.len()
                        && name.starts_with(prefix.as_str()))
            })
    }

    fn allows_address(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|(network, bits)| match (network, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                same_bits(network.to_bits().into(), address.to_bits().into(), 32, *bits)
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                same_bits(network.to_bits(), address.to_bits(), 128, *bits)
            }
            _ => false,
        })
    }
}

/// Whether the first `count` of `width` bits are the same.
fn same_bits(one: u128, other: u128, width: u32, count: u8) -> bool {
    let count = u32::from(count);
    if count > width {
        return false;
    }
    let ignored = width - count;
    one.checked_shr(ignored).unwrap_or(0) == other.checked_shr(ignored).unwrap_or(0)
}

/// Whether `host` is `suffix` or a name under it.
fn is_below(host: &str, suffix: &str) -> bool {
    let suffix = suffix.trim_start_matches('.').as_bytes();
    let host = host.as_bytes();
    let Some(start) = host.len().checked_sub(suffix.len()).filter(|_| !suffix.is_empty()) else {
        return false;
    };
    let (front, end) = host.split_at(start);
    end.eq_ignore_ascii_case(suffix) && (front.is_empty() || front.ends_with(b"."))
}

/// Whether software that takes a common name for a host could take this one: dots or a wildcard, and no spaces.
fn looks_like_host(value: &str) -> bool {
    (value.contains('.') || value.contains('*')) && !value.contains(' ')
}

fn check_key(spki: &[u8]) -> Result<(), NotAllowed> {
    // Reading holds a key to the kinds and sizes that Key Vault has.
    PublicKey::from_spki_der(spki).map(|_| ()).map_err(|_| NotAllowed::Key)
}

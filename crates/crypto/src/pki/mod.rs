//! Certificates that are made, read and carried: X.509, PKCS#10, CRLs, OCSP, PKCS#12 and PEM.
//!
//! RFC 5280 (certificates, CRLs), RFC 2986 (requests), RFC 6960 (OCSP), RFC 7292 (PKCS#12), RFC 7468 (PEM) and RFC 4514
//! (names as text). Nothing here holds a private key that signs: whoever builds a thing gets a [`ToBeSigned`], has its
//! digest signed wherever the key lives, and gives the signature to [`ToBeSigned::assemble`]. There is no clock, no
//! store and no randomness but the salts of a PKCS#12 file; times are seconds since the Unix epoch.
//!
//! What is parsed here comes from a caller and proves nothing by itself: a request has shown that its sender holds the
//! key ([`Csr`]), a chain that its links are signed ([`chain`]), and a profile that a policy allows it ([`constraints`]).
//!
//! Limits that come from the crates below:
//! - A year before 1970 is not a time for `x509-cert`, and a serial number may have 21 bytes at most.
//! - `rustls-webpki` judges paths by byte-equal names, version 3 only, without certificate policies, and knows no SHA-1
//!   and no RSA below 2048 bits; see [`chain`]. Revocation is not looked at when a path is judged.
//! - `der` insists on DER where old software wrote BER, so a PKCS#12 file in indefinite lengths is refused.

mod algorithm;
pub mod build;
pub mod bundle;
pub mod certificate;
pub mod chain;
pub mod constraints;
pub mod crl;
pub mod csr;
pub mod extensions;
pub mod name;
pub mod ocsp;
pub mod pem;
pub mod pfx;

pub use build::{BuildRefused, ToBeSigned, csr, issue, self_signed};
pub use bundle::{Bundle, BundleRefused, ChainOrder};
pub use certificate::ParsedCertificate;
pub use crl::{RevocationList, RevocationReason, Revoked, parse_revocation_list, revocation_list};
pub use csr::{Csr, parse_csr};
pub use extensions::{AlternativeNames, BasicConstraints, KeyUsage};
pub use name::DistinguishedName;
pub use ocsp::{OcspError, OcspRequest, OcspStatus, OcspTimes, ocsp_response};
pub use pem::{read_certificates_pem, read_pem, to_pem, write_pem};
pub use pfx::{read_pfx, write_pfx};

/// The largest certificate or request that is read, and the largest that is built.
pub const CERTIFICATE_BYTES_MAX: usize = 32 * 1024;
/// Alternative names in one certificate.
pub const ALTERNATIVE_NAMES_MAX: usize = 100;
/// Purposes (extended key usages) in one certificate.
pub const PURPOSES_MAX: usize = 32;
/// Attributes in one distinguished name.
pub const NAME_ATTRIBUTES_MAX: usize = 32;
/// A distinguished name as text.
pub const NAME_BYTES_MAX: usize = 2 * 1024;

/// What a certificate shall say.
#[derive(Clone, Debug)]
pub struct CertificateProfile {
    /// Whom it names.
    pub subject: DistinguishedName,
    /// By what else the subject is known.
    pub alternative_names: AlternativeNames,
    /// Purposes as object identifiers in dotted text, in the order given.
    pub purposes: Vec<String>,
    /// What the key may do.
    pub key_usage: std::collections::BTreeSet<KeyUsage>,
    /// From when to when it holds. A request does not carry it.
    pub validity: Validity,
    /// Whether the subject is an authority; `None` leaves the extension out.
    pub basic_constraints: Option<BasicConstraints>,
    /// The number its issuer gave it. A request does not carry it.
    pub serial: Serial,
    /// Where the issuer's revocation list is.
    pub revocation_list_url: Option<String>,
    /// Where the issuer's OCSP responder is.
    pub ocsp_url: Option<String>,
    /// Where the issuer's own certificate is.
    pub issuer_url: Option<String>,
    /// The subject's key: SubjectPublicKeyInfo in DER.
    pub public_key: Vec<u8>,
}

/// The first and the last second of a certificate's life.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Validity {
    /// The first second, since the Unix epoch.
    pub not_before: u64,
    /// The last second, since the Unix epoch.
    pub not_after: u64,
}

impl Validity {
    /// Whether `at` lies inside, both ends included.
    pub fn holds_at(&self, at: u64) -> bool {
        (self.not_before..=self.not_after).contains(&at)
    }
}

/// A certificate's number with its issuer (RFC 5280 §4.1.2.2): positive, at most 20 bytes.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Serial(Vec<u8>);

impl Serial {
    /// Turns 16 random bytes into a number that is positive and always has 16 bytes.
    pub fn from_random(mut bytes: [u8; 16]) -> Self {
        let [first, ..] = &mut bytes;
        *first = (*first & 0x7f) | 0x40;
        Self(bytes.to_vec())
    }

    /// Reads a big-endian number; `None` if it is zero, or longer than 20 bytes once it is encoded.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let start = bytes.iter().position(|byte| *byte != 0)?;
        let stripped = bytes.get(start..)?;
        let padding = usize::from(stripped.first().is_some_and(|first| *first >= 0x80));
        (stripped.len() + padding <= 20).then(|| Self(stripped.to_vec()))
    }

    /// The number in as few big-endian bytes as it needs.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Why something was not read.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ReadRefused {
    /// It is larger than what is looked at.
    #[error("{0} is larger than what is accepted")]
    TooLarge(&'static str),
    /// There is more of it than what is looked at.
    #[error("there are more {0} than what is accepted")]
    TooMany(&'static str),
    /// It does not follow its format.
    #[error("this is not {0}")]
    Malformed(&'static str),
    /// It follows its format with something that is not understood here.
    #[error("{0} is not supported")]
    Unsupported(&'static str),
    /// It is signed by another key than the one it names, or was changed.
    #[error("the signature of {0} does not verify")]
    Signature(&'static str),
}

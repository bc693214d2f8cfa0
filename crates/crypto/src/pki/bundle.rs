//! A private key together with the certificates that say whose it is: what PKCS#12 and PEM files carry.

use std::collections::BTreeSet;

use super::chain::{self, CHAIN_CERTIFICATES_MAX, ChainRefused};
use super::{ParsedCertificate, ReadRefused};
use crate::keys::PrivateKey;
use crate::secret::SecretBytes;

/// A key and its certificates.
pub struct Bundle {
    /// The private key: PKCS#8 in DER, as the file had it.
    pub key: SecretBytes,
    /// The certificates in DER, leaf first unless the given order was to be kept.
    pub chain: Vec<Vec<u8>>,
}

/// In which order certificates come out of a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ChainOrder {
    /// The leaf, its issuer, that one's issuer; then what belongs to none of them.
    LeafFirst,
    /// As the file has them.
    AsGiven,
}

/// Why a file with a key and certificates was not read.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BundleRefused {
    /// The password is not the one that the file was made with; or somebody changed the file.
    #[error("the password is wrong, or the file was changed")]
    Password,
    /// There is no private key.
    #[error("the file holds no private key")]
    NoKey,
    /// There is no certificate.
    #[error("the file holds no certificate")]
    NoCertificate,
    /// More than one private key.
    #[error("the file holds more than one private key")]
    ManyKeys,
    /// The private key belongs to none of the certificates.
    #[error("no certificate of the file is for its private key")]
    KeyMismatch,
    /// Reading it would cost too much.
    #[error("the file asks for more work to open it than is done here; export it with fewer iterations")]
    TooMuchWork,
    /// It could not be read.
    #[error("{0}")]
    Read(#[from] ReadRefused),
}

impl Bundle {
    /// Makes a bundle of what a file held.
    pub(super) fn of(
        key: SecretBytes,
        certificates: Vec<Vec<u8>>,
        wanted: ChainOrder,
    ) -> Result<Self, BundleRefused> {
        if certificates.len() > CHAIN_CERTIFICATES_MAX {
            return Err(ReadRefused::TooMany("certificates").into());
        }
        let mut seen = BTreeSet::new();
        let once = certificates.into_iter().filter(|der| seen.insert(der.clone()));
        let parsed = once.map(|der| ParsedCertificate::from_der(&der)).collect::<Result<Vec<_>, _>>()?;
        if parsed.is_empty() {
            return Err(BundleRefused::NoCertificate);
        }
        let leaf = leaf_key(&key, &parsed).ok_or(BundleRefused::KeyMismatch)?;
        let ordered = match wanted {
            ChainOrder::AsGiven => parsed,
            ChainOrder::LeafFirst => chain::order(parsed, &leaf).map_err(|error| match error {
                ChainRefused::TooLong => BundleRefused::Read(ReadRefused::TooMany("certificates")),
                _ => BundleRefused::KeyMismatch,
            })?,
        };
        Ok(Self { key, chain: ordered.iter().map(|one| one.der().to_vec()).collect() })
    }
}

/// The certified key that belongs to the private one.
///
/// A key of a kind that is not used here cannot be compared. Then the certificate counts that issued none of the others;
/// whoever imports the key refuses it for its kind, which says more than a refusal here could.
fn leaf_key(key: &SecretBytes, certificates: &[ParsedCertificate]) -> Option<Vec<u8>> {
    let issued_none = |one: &&ParsedCertificate| {
        !certificates.iter().any(|other| !other.is_self_issued() && other.issuer() == one.subject())
    };
    match PrivateKey::from_pkcs8(key).ok().and_then(|key| key.public()) {
        Some(public) => {
            let public = public.spki_der();
            certificates.iter().any(|one| one.spki_der() == public).then_some(public)
        }
        None => certificates.iter().find(issued_none).map(|leaf| leaf.spki_der().to_vec()),
    }
}

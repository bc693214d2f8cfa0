//! Chains: their order, and whether each certificate was issued by the next (RFC 5280 §6).
//!
//! `rustls-webpki` builds and judges paths. It compares names byte by byte, evaluates no certificate policies and no
//! name constraints beyond hosts and addresses, takes version 3 and no SHA-1, and, as it is called here, looks at no
//! revocation. The key usage of issuers is looked at here. What that means for the public test suite is listed case by
//! case in `tests/pki/pkits_divergences.txt`.

use rustls_pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, ExtendedKeyUsageValidator, KeyPurposeIdIter};

use super::algorithm::verifiable;
use super::{KeyUsage, ParsedCertificate};

/// Certificates in one chain.
pub const CHAIN_CERTIFICATES_MAX: usize = 32;

/// Why a chain was not taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ChainRefused {
    /// There are too many certificates.
    #[error("a chain has at most {CHAIN_CERTIFICATES_MAX} certificates")]
    TooLong,
    /// None of the certificates is for the key.
    #[error("no certificate of the chain has the key that is waited for")]
    KeyMismatch,
    /// A certificate has nothing to do with the leaf.
    #[error("the chain holds a certificate that is not between the leaf and its root")]
    Unrelated,
    /// A certificate is not valid any more.
    #[error("a certificate of the chain has expired")]
    Expired,
    /// A certificate is not valid yet.
    #[error("a certificate of the chain is not valid yet")]
    NotYetValid,
    /// No trusted certificate is at the end.
    #[error("the chain does not lead to the expected issuer")]
    UnknownIssuer,
    /// A signature does not verify.
    #[error("a signature in the chain does not verify")]
    Signature,
    /// A signature algorithm or key is too weak or unknown.
    #[error("the chain uses a signature algorithm or a key that is not accepted")]
    Algorithm,
    /// A certificate was issued by one that may not issue it.
    #[error("the chain breaks a constraint that one of its authorities is under")]
    Constraint,
    /// The certificate is not for this purpose.
    #[error("the certificate is not meant for this purpose")]
    Purpose,
    /// A certificate says something critical that is not understood.
    #[error("a certificate of the chain has a critical extension that is not supported")]
    CriticalExtension,
    /// A certificate has a form that is not accepted.
    #[error("a certificate of the chain is malformed or of a version that is not accepted")]
    Malformed,
}

/// Puts certificates that were given in any order into the order leaf, its issuer, that one's issuer, and so on.
///
/// The leaf is the one with the key `leaf_key`. What does not belong to its chain comes last, in the order given. Names
/// and key identifiers decide here; nothing is verified.
pub fn order(
    certificates: Vec<ParsedCertificate>,
    leaf_key: &[u8],
) -> Result<Vec<ParsedCertificate>, ChainRefused> {
    Ok(split(certificates, leaf_key)?.concat())
}

/// Checks a chain that was issued for a request: the leaf must have the key of the request, the others must lead from
/// it upwards, each signed by the next. Returns the chain in its order, leaf first.
///
/// Nothing says that the top is trusted: whoever merges a certificate decides that by merging it.
pub fn verify_issued(
    certificates: Vec<ParsedCertificate>,
    leaf_key: &[u8],
    at: u64,
) -> Result<Vec<ParsedCertificate>, ChainRefused> {
    let [path, rest] = split(certificates, leaf_key)?;
    if !rest.is_empty() {
        return Err(ChainRefused::Unrelated);
    }
    for certificate in &path {
        let validity = certificate.validity();
        if at < validity.not_before {
            return Err(ChainRefused::NotYetValid);
        }
        if at > validity.not_after {
            return Err(ChainRefused::Expired);
        }
    }
    let (Some((leaf, above)), Some(top)) = (path.split_first(), path.last()) else {
        return Err(ChainRefused::KeyMismatch);
    };
    if leaf.is_self_issued() && above.is_empty() {
        return if leaf.is_signed_by(leaf) { Ok(path) } else { Err(ChainRefused::Signature) };
    }
    if leaf.is_authority() {
        // webpki has no path whose leaf is an authority, so the links are verified one by one.
        let linked = path.windows(2).all(|pair| match pair {
            [below, issuer] => issuer.is_authority() && may_sign(issuer) && below.is_signed_by(issuer),
            _ => true,
        });
        return if linked { Ok(path) } else { Err(ChainRefused::Signature) };
    }
    if !above.is_empty() {
        verify_path(leaf, above, std::slice::from_ref(top), at, None)?;
    }
    Ok(path)
}

/// Finds a valid path from `leaf` to one of `anchors`. With a `purpose` (an object identifier), every certificate that
/// says what it is for must be for that.
pub fn verify_path(
    leaf: &ParsedCertificate,
    intermediates: &[ParsedCertificate],
    anchors: &[ParsedCertificate],
    at: u64,
    purpose: Option<&str>,
) -> Result<(), ChainRefused> {
    if intermediates.len() > CHAIN_CERTIFICATES_MAX {
        return Err(ChainRefused::TooLong);
    }
    let leaf = CertificateDer::from(leaf.der());
    let leaf = EndEntityCert::try_from(&leaf).map_err(refused)?;
    // webpki does not ask what an issuer's key may do, so one that may not sign certificates is no issuer from here on.
    let issuers = |given: &[ParsedCertificate]| -> Vec<CertificateDer<'static>> {
        let able = given.iter().filter(|one| may_sign(one));
        able.map(|one| CertificateDer::from(one.der().to_vec())).collect()
    };
    let (intermediates, anchors) = (issuers(intermediates), issuers(anchors));
    let anchors = anchors.iter().map(webpki::anchor_from_trusted_cert).collect::<Result<Vec<_>, _>>();
    let anchors = anchors.map_err(refused)?;
    let moment = UnixTime::since_unix_epoch(std::time::Duration::from_secs(at));
    leaf.verify_for_usage(&verifiable(), &anchors, &intermediates, moment, Purpose(purpose), None, None)
        .map(|_| ())
        .map_err(refused)
}

/// The certificates from the leaf upwards, and those that are left over.
fn split(
    mut rest: Vec<ParsedCertificate>,
    leaf_key: &[u8],
) -> Result<[Vec<ParsedCertificate>; 2], ChainRefused> {
    if rest.len() > CHAIN_CERTIFICATES_MAX {
        return Err(ChainRefused::TooLong);
    }
    let leaf = rest.iter().position(|one| one.spki_der() == leaf_key).ok_or(ChainRefused::KeyMismatch)?;
    let mut path = vec![rest.remove(leaf)];
    while let Some(top) = path.last().filter(|top| !top.is_self_issued()) {
        let Some(next) = rest.iter().position(|candidate| names_issuer(top, candidate)) else { break };
        path.push(rest.remove(next));
    }
    Ok([path, rest])
}

fn names_issuer(below: &ParsedCertificate, candidate: &ParsedCertificate) -> bool {
    let keys = (below.authority_key_identifier(), candidate.subject_key_identifier());
    let keys_agree = match keys {
        (Some(wanted), Some(found)) => wanted == found,
        _ => true,
    };
    keys_agree && below.issuer() == candidate.subject()
}

/// Whether the key may sign certificates, as far as anything is said about it (RFC 5280 §4.2.1.3).
fn may_sign(certificate: &ParsedCertificate) -> bool {
    certificate.key_usage().is_none_or(|usage| usage.contains(&KeyUsage::KeyCertSign))
}

/// Accepts certificates for this purpose, and those that do not say what they are for.
struct Purpose<'a>(Option<&'a str>);

impl ExtendedKeyUsageValidator for Purpose<'_> {
    fn validate(&self, purposes: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        let Some(wanted) = self.0 else { return Ok(()) };
        let mut silent = true;
        for purpose in purposes {
            silent = false;
            let parts: Vec<_> = purpose?.to_decoded_oid().iter().map(ToString::to_string).collect();
            if parts.join(".") == wanted {
                return Ok(());
            }
        }
        let missing = webpki::RequiredEkuNotFoundContext {
            required: webpki::KeyUsage::server_auth(),
            present: Vec::new(),
        };
        if silent { Ok(()) } else { Err(webpki::Error::RequiredEkuNotFoundContext(missing)) }
    }
}

fn refused(error: webpki::Error) -> ChainRefused {
    use webpki::Error as E;
    match error {
        E::CertExpired { .. } => ChainRefused::Expired,
        E::CertNotValidYet { .. } => ChainRefused::NotYetValid,
        E::UnknownIssuer => ChainRefused::UnknownIssuer,
        E::InvalidSignatureForPublicKey => ChainRefused::Signature,
        E::UnsupportedSignatureAlgorithmContext(_)
        | E::UnsupportedSignatureAlgorithmForPublicKeyContext(_)
        | E::SignatureAlgorithmMismatch => ChainRefused::Algorithm,
        E::EndEntityUsedAsCa
        | E::CaUsedAsEndEntity
        | E::NameConstraintViolation
        | E::PathLenConstraintViolated => ChainRefused::Constraint,
        E::RequiredEkuNotFoundContext(_) | E::EmptyEkuExtension => ChainRefused::Purpose,
        E::UnsupportedCriticalExtension => ChainRefused::CriticalExtension,
        E::MaximumSignatureChecksExceeded
        | E::MaximumPathBuildCallsExceeded
        | E::MaximumPathDepthExceeded
        | E::MaximumNameConstraintComparisonsExceeded => ChainRefused::TooLong,
        _ => ChainRefused::Malformed,
    }
}

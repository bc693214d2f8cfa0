//! Certificate revocation lists, version 2 (RFC 5280 §5).

use der::asn1::{ObjectIdentifier, Uint};
use der::{Decode, Encode, Enumerated};
use x509_cert::Version;
use x509_cert::crl::{CertificateList, RevokedCert, TbsCertList};
use x509_cert::serial_number::SerialNumber;

use super::algorithm;
use super::build::{BuildRefused, Signed, ToBeSigned, time, to_be_signed};
use super::certificate::verifies;
use super::extensions::{authority_key, extension};
use super::{KeyUsage, ParsedCertificate, ReadRefused, Serial};
use crate::keys::SignatureAlgorithm;

/// Entries in one list.
pub const REVOKED_MAX: usize = 100_000;
/// The largest list that is built or read.
pub const REVOCATION_LIST_BYTES_MAX: usize = 8 * 1024 * 1024;

const LIST_NUMBER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.20");
const REASON: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.21");

/// Why a certificate was revoked (RFC 5280 §5.3.1).
#[derive(Clone, Copy, Debug, Enumerated, Eq, PartialEq)]
#[repr(u8)]
pub enum RevocationReason {
    /// No reason is given.
    Unspecified = 0,
    /// The subject's key is no longer only the subject's.
    KeyCompromise = 1,
    /// The issuer's key is no longer only the issuer's.
    CaCompromise = 2,
    /// The subject's name changed.
    AffiliationChanged = 3,
    /// There is a newer certificate.
    Superseded = 4,
    /// The certificate is no longer needed.
    CessationOfOperation = 5,
    /// On hold, which may end.
    CertificateHold = 6,
    /// A right that the certificate names was taken away.
    PrivilegeWithdrawn = 9,
}

/// One certificate that no longer holds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Revoked {
    /// Its number.
    pub serial: Serial,
    /// Since when, in seconds since the Unix epoch.
    pub since: u64,
    /// Why.
    pub reason: RevocationReason,
}

/// What a list shall say.
#[derive(Clone, Debug)]
pub struct RevocationList {
    /// Grows with each list of an issuer.
    pub number: u64,
    /// When it is made.
    pub this_update: u64,
    /// When the next one comes at the latest.
    pub next_update: u64,
    /// What is revoked.
    pub revoked: Vec<Revoked>,
}

/// A list that `issuer` signs with `algorithm`.
pub fn revocation_list(
    list: &RevocationList,
    issuer: &ParsedCertificate,
    algorithm: SignatureAlgorithm,
) -> Result<ToBeSigned, BuildRefused> {
    if issuer.key_usage().is_some_and(|usage| !usage.contains(&KeyUsage::CrlSign)) {
        return Err(BuildRefused::Issuer("may not sign revocation lists"));
    }
    if list.revoked.len() > REVOKED_MAX {
        return Err(BuildRefused::TooManyNames);
    }
    if list.next_update <= list.this_update {
        return Err(BuildRefused::BadValidity);
    }
    let entries = list.revoked.iter().map(entry).collect::<Result<Vec<_>, _>>()?;
    let number = Uint::new(&list.number.to_be_bytes()).map_err(|_| BuildRefused::TooLarge)?;
    let body = TbsCertList {
        version: Version::V2,
        signature: algorithm::identifier(algorithm).ok_or(BuildRefused::Algorithm)?,
        issuer: issuer.subject().as_x509().clone(),
        this_update: time(list.this_update)?,
        next_update: Some(time(list.next_update)?),
        // RFC 5280 §5.1.2.6: absent, not empty, when nothing is revoked.
        revoked_certificates: (!entries.is_empty()).then_some(entries),
        crl_extensions: Some(vec![
            authority_key(&issuer.key_identifier())?,
            extension(LIST_NUMBER, false, &number)?,
        ]),
    };
    let wanted = to_be_signed(&body, algorithm, issuer.spki().clone())?;
    if wanted.bytes().len() > REVOCATION_LIST_BYTES_MAX {
        return Err(BuildRefused::TooLarge);
    }
    Ok(wanted)
}

fn entry(revoked: &Revoked) -> Result<RevokedCert, BuildRefused> {
    let extensions = match revoked.reason {
        // RFC 5280 §5.3.1: the code 0 is left out.
        RevocationReason::Unspecified => None,
        reason => Some(vec![extension(REASON, false, &reason)?]),
    };
    Ok(RevokedCert {
        serial_number: SerialNumber::new(revoked.serial.as_bytes()).map_err(|_| BuildRefused::TooLarge)?,
        revocation_date: time(revoked.since)?,
        crl_entry_extensions: extensions,
    })
}

/// Reads a list that `issuer` signed: its number and what it revokes. Indirect and delta lists are not understood.
pub fn parse_revocation_list(der: &[u8], issuer: &ParsedCertificate) -> Result<RevocationList, ReadRefused> {
    if der.len() > REVOCATION_LIST_BYTES_MAX {
        return Err(ReadRefused::TooLarge("the revocation list"));
    }
    let malformed = |_| ReadRefused::Malformed("a revocation list in DER");
    let list: CertificateList = CertificateList::from_der(der).map_err(malformed)?;
    let body = list.tbs_cert_list;
    let signed = Signed::from_der(der).map_err(malformed)?;
    let names_issuer = body.issuer.to_der().is_ok_and(|name| name == issuer.subject().to_der());
    if body.signature != list.signature_algorithm || !names_issuer || !verifies(&signed, issuer.spki()) {
        return Err(ReadRefused::Signature("the revocation list"));
    }
    let mut number = 0;
    for extension in body.crl_extensions.into_iter().flatten() {
        if extension.extn_id == LIST_NUMBER {
            number = u64::from_der(extension.extn_value.as_bytes()).map_err(malformed)?;
        } else if extension.critical {
            return Err(ReadRefused::Unsupported("a critical extension of a revocation list"));
        }
    }
    let entries = body.revoked_certificates.unwrap_or_default();
    if entries.len() > REVOKED_MAX {
        return Err(ReadRefused::TooMany("revoked certificates"));
    }
    let revoked = entries.into_iter().map(read_entry).collect::<Result<Vec<_>, _>>()?;
    Ok(RevocationList {
        number,
        this_update: body.this_update.to_unix_duration().as_secs(),
        next_update: body.next_update.map_or(u64::MAX, |time| time.to_unix_duration().as_secs()),
        revoked,
    })
}

fn read_entry(entry: RevokedCert) -> Result<Revoked, ReadRefused> {
    let malformed = ReadRefused::Malformed("an entry of a revocation list");
    let mut reason = RevocationReason::Unspecified;
    for extension in entry.crl_entry_extensions.into_iter().flatten() {
        if extension.extn_id == REASON {
            reason = RevocationReason::from_der(extension.extn_value.as_bytes()).map_err(|_| malformed)?;
        } else if extension.critical {
            return Err(ReadRefused::Unsupported("a critical extension of a revocation list"));
        }
    }
    Ok(Revoked {
        serial: Serial::from_bytes(entry.serial_number.as_bytes()).ok_or(malformed)?,
        since: entry.revocation_date.to_unix_duration().as_secs(),
        reason,
    })
}

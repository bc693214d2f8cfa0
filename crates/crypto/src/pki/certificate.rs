//! A certificate as it was received (RFC 5280 §4.1). Reading proves nothing: not who signed it, nor that it is valid now.

use std::collections::BTreeSet;

use der::{Decode, Encode};
use spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};

use super::build::{Signed, key_identifier};
use super::extensions::{ReadExtensions, UnknownExtension};
use super::{
    AlternativeNames, BasicConstraints, CERTIFICATE_BYTES_MAX, DistinguishedName, KeyUsage, ReadRefused,
    Validity, algorithm,
};
use crate::digest::{sha1, sha256};

/// What a certificate says.
#[derive(Clone, Debug)]
pub struct ParsedCertificate {
    der: Vec<u8>,
    subject: DistinguishedName,
    issuer: DistinguishedName,
    serial: Vec<u8>,
    validity: Validity,
    spki: SubjectPublicKeyInfoOwned,
    spki_der: Vec<u8>,
    read: ReadExtensions,
}

impl ParsedCertificate {
    /// Reads one certificate, and nothing after it.
    pub fn from_der(der: &[u8]) -> Result<Self, ReadRefused> {
        if der.len() > CERTIFICATE_BYTES_MAX {
            return Err(ReadRefused::TooLarge("the certificate"));
        }
        let malformed = |_| ReadRefused::Malformed("a certificate in DER");
        let parsed = x509_cert::Certificate::from_der(der).map_err(malformed)?;
        let body = parsed.tbs_certificate();
        if body.signature() != parsed.signature_algorithm() {
            return Err(ReadRefused::Malformed("a certificate that names one signature algorithm"));
        }
        let spki = body.subject_public_key_info().clone();
        Ok(Self {
            der: der.to_vec(),
            subject: body.subject().clone().into(),
            issuer: body.issuer().clone().into(),
            serial: body.serial_number().as_bytes().to_vec(),
            validity: Validity {
                not_before: body.validity().not_before.to_unix_duration().as_secs(),
                not_after: body.validity().not_after.to_unix_duration().as_secs(),
            },
            spki_der: spki.to_der().map_err(malformed)?,
            spki,
            read: ReadExtensions::read(body.extensions().map_or(&[], |extensions| extensions))?,
        })
    }

    /// The certificate in DER, byte by byte as it was read.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Whom it names.
    pub fn subject(&self) -> &DistinguishedName {
        &self.subject
    }

    /// Who says so.
    pub fn issuer(&self) -> &DistinguishedName {
        &self.issuer
    }

    /// The number its issuer gave it: the bytes of the integer, with the leading zero that a high bit needs.
    pub fn serial(&self) -> &[u8] {
        &self.serial
    }

    /// From when to when it holds.
    pub fn validity(&self) -> Validity {
        self.validity
    }

    /// The certified key, in DER.
    pub fn spki_der(&self) -> &[u8] {
        &self.spki_der
    }

    /// By what else the subject is known.
    pub fn alternative_names(&self) -> &AlternativeNames {
        &self.read.alternative_names
    }

    /// Its purposes as object identifiers; empty where nothing is said.
    pub fn purposes(&self) -> &[String] {
        &self.read.purposes
    }

    /// What the key may do, if something is said about it.
    pub fn key_usage(&self) -> Option<&BTreeSet<KeyUsage>> {
        self.read.key_usage.as_ref()
    }

    /// Its basic constraints, if it has the extension.
    pub fn basic_constraints(&self) -> Option<BasicConstraints> {
        self.read.basic_constraints
    }

    /// Whether it says that its subject is an authority.
    pub fn is_authority(&self) -> bool {
        self.read.basic_constraints.is_some_and(|constraints| constraints.is_authority)
    }

    /// The identifier of its key that it gives.
    pub fn subject_key_identifier(&self) -> Option<&[u8]> {
        self.read.subject_key.as_deref()
    }

    /// The identifier of its issuer's key that it gives.
    pub fn authority_key_identifier(&self) -> Option<&[u8]> {
        self.read.authority_key.as_deref()
    }

    /// Where its issuer's revocation lists are.
    pub fn revocation_list_urls(&self) -> &[String] {
        &self.read.revocation_list_urls
    }

    /// Where its issuer's OCSP responders are.
    pub fn ocsp_urls(&self) -> &[String] {
        &self.read.ocsp_urls
    }

    /// The extensions that have no meaning here.
    pub fn unknown_extensions(&self) -> &[UnknownExtension] {
        &self.read.unknown
    }

    /// SHA-1 of the certificate, which is `x5t`.
    pub fn sha1(&self) -> [u8; 20] {
        sha1(&self.der)
    }

    /// SHA-256 of the certificate, which is `x5t#S256`.
    pub fn sha256(&self) -> [u8; 32] {
        sha256(&self.der)
    }

    /// Whether subject and issuer have the same name, as in every self-signed certificate.
    pub fn is_self_issued(&self) -> bool {
        self.subject == self.issuer
    }

    /// Whether `issuer` has the name that this certificate gives and its key made the signature.
    ///
    /// One link and no more: whether `issuer` may issue at all is for [`super::chain`].
    pub fn is_signed_by(&self, issuer: &Self) -> bool {
        self.issuer == issuer.subject
            && Signed::from_der(&self.der).is_ok_and(|signed| verifies(&signed, &issuer.spki))
    }

    pub(super) fn spki(&self) -> &SubjectPublicKeyInfoOwned {
        &self.spki
    }

    /// The identifier of its key: what it says itself, or what RFC 5280 §4.2.1.2 makes of the key.
    pub(super) fn key_identifier(&self) -> Vec<u8> {
        self.read.subject_key.clone().unwrap_or_else(|| key_identifier(&self.spki))
    }
}

/// Whether the outer signature is by `key`.
pub(super) fn verifies(signed: &Signed, key: &SubjectPublicKeyInfoOwned) -> bool {
    let identifier: &AlgorithmIdentifierOwned = &signed.algorithm;
    signed.body.to_der().is_ok_and(|body| algorithm::verifies(key, identifier, &body, &signed.signature))
}

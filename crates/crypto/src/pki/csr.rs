//! Requests for a certificate (PKCS#10, RFC 2986).
//!
//! A [`Csr`] exists only after its signature was verified, so whoever sent it holds the key it names; or had a request
//! of someone who does. What it asks for is a wish, and [`super::constraints`] decides about it.

use std::collections::BTreeSet;

use der::asn1::ObjectIdentifier;
use der::{Decode, Encode};
use x509_cert::ext::Extension;
use x509_cert::request::CertReq;

use super::build::Signed;
use super::certificate::verifies;
use super::extensions::{ReadExtensions, UnknownExtension};
use super::{
    AlternativeNames, BasicConstraints, CERTIFICATE_BYTES_MAX, DistinguishedName, KeyUsage, ReadRefused,
};

const EXTENSION_REQUEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.14");

/// A request whose signature is by the key that it names.
#[derive(Clone, Debug)]
pub struct Csr {
    subject: DistinguishedName,
    spki_der: Vec<u8>,
    wanted: ReadExtensions,
}

/// Reads a request in DER and verifies that its own key signed it.
pub fn parse_csr(der: &[u8]) -> Result<Csr, ReadRefused> {
    if der.len() > CERTIFICATE_BYTES_MAX {
        return Err(ReadRefused::TooLarge("the certificate request"));
    }
    let malformed = |_| ReadRefused::Malformed("a certificate request in DER");
    let request = CertReq::from_der(der).map_err(malformed)?;
    let signed = Signed::from_der(der).map_err(malformed)?;
    if !verifies(&signed, &request.info.public_key) {
        return Err(ReadRefused::Signature("the certificate request"));
    }
    let mut extensions: Vec<Extension> = Vec::new();
    let asked = request.info.attributes.iter().filter(|attribute| attribute.oid == EXTENSION_REQUEST);
    for value in asked.flat_map(|attribute| attribute.values.iter()) {
        extensions.extend(value.decode_as::<Vec<Extension>>().map_err(malformed)?);
    }
    Ok(Csr {
        subject: request.info.subject.into(),
        spki_der: request.info.public_key.to_der().map_err(malformed)?,
        wanted: ReadExtensions::read(&extensions)?,
    })
}

impl Csr {
    /// Whom the certificate shall name.
    pub fn subject(&self) -> &DistinguishedName {
        &self.subject
    }

    /// The key that signed the request, in DER.
    pub fn spki_der(&self) -> &[u8] {
        &self.spki_der
    }

    /// By what else the subject wants to be known.
    pub fn alternative_names(&self) -> &AlternativeNames {
        &self.wanted.alternative_names
    }

    /// The purposes that are asked for, as object identifiers.
    pub fn purposes(&self) -> &[String] {
        &self.wanted.purposes
    }

    /// The key usages that are asked for, if any are.
    pub fn key_usage(&self) -> Option<&BTreeSet<KeyUsage>> {
        self.wanted.key_usage.as_ref()
    }

    /// The basic constraints that are asked for.
    pub fn basic_constraints(&self) -> Option<BasicConstraints> {
        self.wanted.basic_constraints
    }

    /// Extensions that are asked for and have no meaning here.
    pub fn unknown_extensions(&self) -> &[UnknownExtension] {
        &self.wanted.unknown
    }
}

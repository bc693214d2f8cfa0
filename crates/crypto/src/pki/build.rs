//! Certificates and requests before and after they are signed (RFC 5280 §4.1, RFC 2986 §4).
//!
//! The key is somewhere else, perhaps in a token. So building stops at the bytes that are signed, and goes on when the
//! signature is there. The signature is verified before anything leaves: a token that signed with another key, or a
//! caller that mixed up two of them, is found here and not by whoever trusts the certificate.

use der::asn1::{Any, BitString, SetOfVec};
use der::{Decode, Encode, Sequence};
use spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use x509_cert::attr::Attribute;
use x509_cert::ext::Extension;
use x509_cert::name::Name;
use x509_cert::request::{CertReqInfo, ExtensionReq};
use x509_cert::serial_number::SerialNumber;
use x509_cert::time::Time;

use super::algorithm;
use super::extensions;
use super::{CERTIFICATE_BYTES_MAX, CertificateProfile, KeyUsage, ParsedCertificate, Validity};
use crate::digest::sha1;
use crate::keys::SignatureAlgorithm;

/// Why something was not built.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BuildRefused {
    /// There is neither a subject nor an alternative name.
    #[error("a certificate needs a subject or an alternative name")]
    Nameless,
    /// More names, purposes or entries than are built.
    #[error("there are more names or entries than one certificate or list can have")]
    TooManyNames,
    /// An alternative name cannot be written.
    #[error("`{0}` is not an alternative name of its kind")]
    BadAlternativeName(String),
    /// An extended key usage is not an object identifier.
    #[error("`{0}` is not an object identifier")]
    BadPurpose(String),
    /// A URL is not one.
    #[error("`{0}` is not an http or https URL")]
    BadUrl(String),
    /// The public key is not a SubjectPublicKeyInfo.
    #[error("the public key cannot be certified")]
    BadPublicKey,
    /// The validity is empty, or ends after the year 9999.
    #[error("the certificate would never be valid")]
    BadValidity,
    /// A path length is given for something that is no authority.
    #[error("only an authority has a path length")]
    PathLengthWithoutAuthority,
    /// The issuer's certificate does not let it issue this.
    #[error("the issuer {0}")]
    Issuer(&'static str),
    /// The algorithm does not sign certificates, or does not fit the key.
    #[error("the signature algorithm does not fit the key that signs")]
    Algorithm,
    /// The result would be larger than what is accepted.
    #[error("the result would be larger than what is accepted")]
    TooLarge,
    /// The signature is not one of these bytes by the key that shall have signed.
    #[error("the signature was not made over these bytes by the expected key")]
    Signature,
}

/// Bytes that wait for a signature.
#[derive(Clone, Debug)]
pub struct ToBeSigned {
    bytes: Vec<u8>,
    algorithm: SignatureAlgorithm,
    signer: SubjectPublicKeyInfoOwned,
    form: Form,
}

/// What becomes of the bytes once they are signed.
#[derive(Clone, Debug)]
pub(super) enum Form {
    /// `SEQUENCE { bytes, algorithm, signature }`: certificate, request, CRL.
    Signed,
    /// The same inside an OCSP response.
    OcspResponse,
}

impl ToBeSigned {
    pub(super) fn with_form(self, form: Form) -> Self {
        Self { form, ..self }
    }

    /// How it has to be signed.
    pub fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    /// The bytes that are signed, for a signer that digests by itself.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The digest that is signed.
    pub fn digest(&self) -> Vec<u8> {
        algorithm::digest_for(self.algorithm, &self.bytes)
    }

    /// Puts the signature to the bytes and returns the whole in DER. ECDSA signatures are taken as `r || s`.
    pub fn assemble(&self, signature: &[u8]) -> Result<Vec<u8>, BuildRefused> {
        let identifier = algorithm::identifier(self.algorithm).ok_or(BuildRefused::Algorithm)?;
        let signature = algorithm::as_bits(self.algorithm, signature).ok_or(BuildRefused::Signature)?;
        if !algorithm::verifies(&self.signer, &identifier, &self.bytes, &signature) {
            return Err(BuildRefused::Signature);
        }
        let body = Any::from_der(&self.bytes).map_err(|_| BuildRefused::TooLarge)?;
        let signed = Signed { body, algorithm: identifier, signature };
        let whole = match &self.form {
            Form::Signed => signed.to_der(),
            Form::OcspResponse => super::ocsp::wrap(signed),
        };
        whole.map_err(|_| BuildRefused::TooLarge)
    }
}

/// The outer shape of everything that is signed in X.509.
#[derive(Clone, Debug, Sequence)]
pub(super) struct Signed {
    pub body: Any,
    pub algorithm: AlgorithmIdentifierOwned,
    pub signature: BitString,
}

/// A certificate that its own key signs; the profile's subject is its issuer.
pub fn self_signed(
    profile: &CertificateProfile,
    algorithm: SignatureAlgorithm,
) -> Result<ToBeSigned, BuildRefused> {
    let key = public_key(profile)?;
    let identifier = key_identifier(&key);
    let subject = profile.subject.as_x509().clone();
    certificate(profile, &key, Issuer { name: subject, key: &key, identifier: &identifier }, algorithm)
}

/// A certificate that `issuer` signs with `algorithm`.
pub fn issue(
    profile: &CertificateProfile,
    issuer: &ParsedCertificate,
    algorithm: SignatureAlgorithm,
) -> Result<ToBeSigned, BuildRefused> {
    let wants_authority = profile.basic_constraints.is_some_and(|constraints| constraints.is_authority);
    may_issue(issuer, wants_authority, profile)?;
    let key = public_key(profile)?;
    let name = issuer.subject().as_x509().clone();
    let identifier = issuer.key_identifier();
    certificate(profile, &key, Issuer { name, key: issuer.spki(), identifier: &identifier }, algorithm)
}

/// A request for a certificate (PKCS#10), with the extensions that are asked for. Its own key signs it.
pub fn csr(profile: &CertificateProfile, algorithm: SignatureAlgorithm) -> Result<ToBeSigned, BuildRefused> {
    let public_key = public_key(profile)?;
    let mut attributes = SetOfVec::new();
    let wanted = extensions::of_profile(profile)?;
    if !wanted.is_empty() {
        let attribute = Attribute::try_from(ExtensionReq(wanted)).map_err(|_| BuildRefused::TooLarge)?;
        attributes.insert(attribute).map_err(|_| BuildRefused::TooLarge)?;
    }
    let info = CertReqInfo {
        version: x509_cert::request::Version::V1,
        subject: profile.subject.as_x509().clone(),
        public_key: public_key.clone(),
        attributes,
    };
    small(to_be_signed(&info, algorithm, public_key)?)
}

/// The identifier of a key that RFC 5280 §4.2.1.2 calls method 1. A name for the key, never a proof.
pub(super) fn key_identifier(key: &SubjectPublicKeyInfoOwned) -> Vec<u8> {
    sha1(key.subject_public_key.raw_bytes()).to_vec()
}

/// Seconds since the Unix epoch as X.509 writes them: two digits for the year until 2049, then four.
pub(super) fn time(seconds: u64) -> Result<Time, BuildRefused> {
    let date = der::DateTime::from_unix_duration(std::time::Duration::from_secs(seconds));
    date.map(Time::from).map_err(|_| BuildRefused::BadValidity)
}

/// Encodes `body` and leaves it waiting for the signature of `signer`.
pub(super) fn to_be_signed(
    body: &impl Encode,
    algorithm: SignatureAlgorithm,
    signer: SubjectPublicKeyInfoOwned,
) -> Result<ToBeSigned, BuildRefused> {
    let bytes = body.to_der().map_err(|_| BuildRefused::TooLarge)?;
    if !algorithm::fits(algorithm, &signer) {
        return Err(BuildRefused::Algorithm);
    }
    Ok(ToBeSigned { bytes, algorithm, signer, form: Form::Signed })
}

struct Issuer<'a> {
    name: Name,
    key: &'a SubjectPublicKeyInfoOwned,
    identifier: &'a [u8],
}

/// `TBSCertificate` of RFC 5280 §4.1; the fields of `x509-cert`'s own can only be read.
#[derive(Sequence)]
struct CertificateBody {
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    version: u8,
    serial: SerialNumber,
    algorithm: AlgorithmIdentifierOwned,
    issuer: Name,
    validity: Times,
    subject: Name,
    public_key: SubjectPublicKeyInfoOwned,
    #[asn1(context_specific = "3", tag_mode = "EXPLICIT")]
    extensions: Vec<Extension>,
}

#[derive(Sequence)]
struct Times {
    not_before: Time,
    not_after: Time,
}

fn certificate(
    profile: &CertificateProfile,
    key: &SubjectPublicKeyInfoOwned,
    issuer: Issuer<'_>,
    algorithm: SignatureAlgorithm,
) -> Result<ToBeSigned, BuildRefused> {
    let Validity { not_before, not_after } = profile.validity;
    if not_after < not_before {
        return Err(BuildRefused::BadValidity);
    }
    let mut extensions = extensions::of_profile(profile)?;
    extensions.extend(extensions::of_issuer(profile, &key_identifier(key), issuer.identifier)?);
    let body = CertificateBody {
        version: 2,
        serial: SerialNumber::new(profile.serial.as_bytes()).map_err(|_| BuildRefused::TooLarge)?,
        algorithm: algorithm::identifier(algorithm).ok_or(BuildRefused::Algorithm)?,
        issuer: issuer.name,
        validity: Times { not_before: time(not_before)?, not_after: time(not_after)? },
        subject: profile.subject.as_x509().clone(),
        public_key: key.clone(),
        extensions,
    };
    small(to_be_signed(&body, algorithm, issuer.key.clone())?)
}

/// Leaves room for the signature below what [`ParsedCertificate`] and [`super::Csr`] read.
fn small(wanted: ToBeSigned) -> Result<ToBeSigned, BuildRefused> {
    match wanted.bytes.len() {
        0..=CERTIFICATE_BODY_BYTES_MAX => Ok(wanted),
        _ => Err(BuildRefused::TooLarge),
    }
}

const CERTIFICATE_BODY_BYTES_MAX: usize = CERTIFICATE_BYTES_MAX - 2 * 1024;

fn public_key(profile: &CertificateProfile) -> Result<SubjectPublicKeyInfoOwned, BuildRefused> {
    SubjectPublicKeyInfoOwned::from_der(&profile.public_key).map_err(|_| BuildRefused::BadPublicKey)
}

/// Refuses what a verifier would refuse later: an issuer that is none, or a certificate that outlives it.
fn may_issue(
    issuer: &ParsedCertificate,
    wants_authority: bool,
    profile: &CertificateProfile,
) -> Result<(), BuildRefused> {
    let Some(constraints) = issuer.basic_constraints().filter(|constraints| constraints.is_authority) else {
        return Err(BuildRefused::Issuer("is not an authority"));
    };
    if issuer.key_usage().is_some_and(|usage| !usage.contains(&KeyUsage::KeyCertSign)) {
        return Err(BuildRefused::Issuer("may not sign certificates"));
    }
    if wants_authority && constraints.path_length == Some(0) {
        return Err(BuildRefused::Issuer("may not have authorities below it"));
    }
    let (inner, outer) = (profile.validity, issuer.validity());
    if inner.not_before < outer.not_before || inner.not_after > outer.not_after {
        return Err(BuildRefused::Issuer("is not valid for as long as the certificate would be"));
    }
    Ok(())
}

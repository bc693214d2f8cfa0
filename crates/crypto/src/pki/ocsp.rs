//! Answers about single certificates (OCSP, RFC 6960; nonces as in RFC 9654).
//!
//! The authority itself signs, so no responder's certificate is sent along. Requests may be signed; nobody here cares
//! who asks, so that signature is not looked at. `x509-ocsp` has these shapes for an older `der` only.

use aws_lc_rs::digest;
use der::asn1::{BitString, GeneralizedTime, Int, Null, ObjectIdentifier, OctetString};
use der::{Any, Choice, Decode, Encode, Enumerated, Sequence};
use spki::AlgorithmIdentifierOwned;
use x509_cert::ext::Extension;

use super::build::{BuildRefused, Form, Signed, ToBeSigned, key_identifier, to_be_signed};
use super::{ParsedCertificate, ReadRefused, RevocationReason};
use crate::keys::SignatureAlgorithm;

/// The largest request that is read.
pub const OCSP_REQUEST_BYTES_MAX: usize = 16 * 1024;
/// Certificates that one request asks about.
pub const OCSP_QUESTIONS_MAX: usize = 32;
/// The longest nonce (RFC 9654 §2.1).
pub const OCSP_NONCE_BYTES_MAX: usize = 128;

const NONCE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.2");
const BASIC_RESPONSE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.1");
const SHA1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.14.3.2.26");
const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");

/// A request as it came.
#[derive(Clone, Debug)]
pub struct OcspRequest {
    questions: Vec<CertificateId>,
    nonce: Option<Extension>,
}

/// Which certificate is asked about (RFC 6960 §4.1.1).
#[derive(Clone, Debug, Eq, PartialEq, Sequence)]
pub struct CertificateId {
    hash: AlgorithmIdentifierOwned,
    issuer_name: OctetString,
    issuer_key: OctetString,
    serial: Int,
}

/// What is known about a certificate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum OcspStatus {
    /// It was issued and is not revoked.
    Good,
    /// It is revoked.
    Revoked {
        /// Since when, in seconds since the Unix epoch.
        since: u64,
        /// Why.
        reason: RevocationReason,
    },
    /// The issuer knows nothing of it.
    Unknown,
}

/// Why there is no answer (RFC 6960 §4.2.1).
#[derive(Clone, Copy, Debug, Enumerated, Eq, PartialEq)]
#[repr(u8)]
pub enum OcspError {
    /// The request does not follow the format.
    MalformedRequest = 1,
    /// Something is broken here.
    InternalError = 2,
    /// Ask again later.
    TryLater = 3,
    /// Nothing is said about such certificates here.
    Unauthorized = 6,
}

impl OcspError {
    /// The answer that says so. It is not signed.
    pub fn to_der(self) -> Vec<u8> {
        // ENUMERATED in a SEQUENCE without the optional response.
        vec![0x30, 0x03, 0x0a, 0x01, self as u8]
    }
}

impl OcspRequest {
    /// Reads a request in DER.
    pub fn from_der(der: &[u8]) -> Result<Self, ReadRefused> {
        if der.len() > OCSP_REQUEST_BYTES_MAX {
            return Err(ReadRefused::TooLarge("the OCSP request"));
        }
        let request = Request::from_der(der).map_err(|_| ReadRefused::Malformed("an OCSP request in DER"))?;
        let body = request.body;
        if body.questions.is_empty() {
            return Err(ReadRefused::Malformed("an OCSP request that asks about a certificate"));
        }
        if body.questions.len() > OCSP_QUESTIONS_MAX {
            return Err(ReadRefused::TooMany("certificates in one OCSP request"));
        }
        let mut nonce = None;
        for extension in body.extensions.into_iter().flatten() {
            if extension.extn_id == NONCE {
                if nonce.is_some() || extension.extn_value.as_bytes().len() > OCSP_NONCE_BYTES_MAX + 4 {
                    return Err(ReadRefused::Malformed("one nonce of at most 128 bytes"));
                }
                nonce = Some(Extension { critical: false, ..extension });
            } else if extension.critical {
                return Err(ReadRefused::Unsupported("a critical extension of an OCSP request"));
            }
        }
        let single = body.questions.iter().flat_map(|question| question.extensions.iter().flatten());
        if single.into_iter().any(|extension| extension.critical) {
            return Err(ReadRefused::Unsupported("a critical extension of an OCSP request"));
        }
        Ok(Self {
            questions: body.questions.into_iter().map(|question| question.certificate).collect(),
            nonce,
        })
    }

    /// The same request as whoever sends no nonce would ask it: its answer can be one that was signed before.
    pub fn without_nonce(self) -> Self {
        Self { nonce: None, ..self }
    }

    /// What is asked about, in the order of the request.
    pub fn questions(&self) -> &[CertificateId] {
        &self.questions
    }
}

impl CertificateId {
    /// Whether the certificate that is asked about would be issued by `issuer`; for SHA-1 and SHA-256.
    pub fn is_of(&self, issuer: &ParsedCertificate) -> bool {
        // SECURITY: SHA-1 here chooses a record and proves nothing.
        let function = match self.hash.oid {
            SHA1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            SHA256 => &digest::SHA256,
            _ => return false,
        };
        // SECURITY: an answer repeats the question, so that only as many questions are signed about as there are ways to
        // name a certificate. Parameters could be anything; RFC 5754 §2 knows none and NULL.
        if self.hash.parameters.as_ref().is_some_and(|parameters| *parameters != Any::null()) {
            return false;
        }
        let key = issuer.spki().subject_public_key.raw_bytes();
        digest::digest(function, &issuer.subject().to_der()).as_ref() == self.issuer_name.as_bytes()
            && digest::digest(function, key).as_ref() == self.issuer_key.as_bytes()
    }

    /// The digest of the question as it was asked.
    pub fn digest(&self) -> Result<[u8; 32], ReadRefused> {
        let der =
            self.to_der().map_err(|_| ReadRefused::Malformed("a question that can be written again"))?;
        Ok(crate::digest::sha256(&der))
    }

    /// The number that is asked about, in as few bytes as it needs.
    pub fn serial(&self) -> &[u8] {
        let bytes = self.serial.as_bytes();
        bytes.strip_prefix(&[0]).filter(|rest| !rest.is_empty()).unwrap_or(bytes)
    }
}

/// When an answer is made and how long it is good.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct OcspTimes {
    /// When it is signed.
    pub produced_at: u64,
    /// When what it says was known to be so.
    pub this_update: u64,
    /// When there is something newer at the latest.
    pub next_update: u64,
}

/// The answer of `issuer` to a request. `status` is asked about each of the issuer's own certificates; the others are
/// unknown.
pub fn ocsp_response(
    request: &OcspRequest,
    issuer: &ParsedCertificate,
    times: OcspTimes,
    algorithm: SignatureAlgorithm,
    status: impl Fn(&CertificateId) -> OcspStatus,
) -> Result<ToBeSigned, BuildRefused> {
    let answer = |question: &CertificateId| {
        let known = if question.is_of(issuer) { status(question) } else { OcspStatus::Unknown };
        Ok(Answer {
            certificate: question.clone(),
            status: encode_status(known)?,
            this_update: moment(times.this_update)?,
            next_update: Some(moment(times.next_update)?),
            extensions: None,
        })
    };
    let key = OctetString::new(key_identifier(issuer.spki())).map_err(|_| BuildRefused::TooLarge)?;
    let body = Answers {
        version: None,
        responder: Responder::Key(key),
        produced_at: moment(times.produced_at)?,
        answers: request.questions.iter().map(answer).collect::<Result<_, BuildRefused>>()?,
        extensions: request.nonce.clone().map(|nonce| vec![nonce]),
    };
    let wanted = to_be_signed(&body, algorithm, issuer.spki().clone())?;
    Ok(wanted.with_form(Form::OcspResponse))
}

/// The whole answer around what was signed.
pub(super) fn wrap(signed: Signed) -> der::Result<Vec<u8>> {
    let basic =
        BasicResponse { answers: signed.body, algorithm: signed.algorithm, signature: signed.signature };
    let bytes = ResponseBytes { kind: BASIC_RESPONSE, response: OctetString::new(basic.to_der()?)? };
    Response { status: Success::Successful, bytes }.to_der()
}

fn encode_status(status: OcspStatus) -> Result<Status, BuildRefused> {
    Ok(match status {
        OcspStatus::Good => Status::Good(Null),
        OcspStatus::Unknown => Status::Unknown(Null),
        OcspStatus::Revoked { since, reason } => Status::Revoked(RevokedInfo {
            since: moment(since)?,
            reason: (reason != RevocationReason::Unspecified).then_some(reason),
        }),
    })
}

fn moment(seconds: u64) -> Result<GeneralizedTime, BuildRefused> {
    GeneralizedTime::from_unix_duration(std::time::Duration::from_secs(seconds))
        .map_err(|_| BuildRefused::BadValidity)
}

#[derive(Sequence)]
struct Request {
    body: RequestBody,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    signature: Option<Any>,
}

#[derive(Sequence)]
struct RequestBody {
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    version: Option<u8>,
    #[asn1(context_specific = "1", tag_mode = "EXPLICIT", optional = "true")]
    requestor: Option<Any>,
    questions: Vec<Question>,
    #[asn1(context_specific = "2", tag_mode = "EXPLICIT", optional = "true")]
    extensions: Option<Vec<Extension>>,
}

#[derive(Sequence)]
struct Question {
    certificate: CertificateId,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    extensions: Option<Vec<Extension>>,
}

#[derive(Sequence)]
struct Answers {
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    version: Option<u8>,
    responder: Responder,
    produced_at: GeneralizedTime,
    answers: Vec<Answer>,
    #[asn1(context_specific = "1", tag_mode = "EXPLICIT", optional = "true")]
    extensions: Option<Vec<Extension>>,
}

#[derive(Choice)]
enum Responder {
    #[asn1(context_specific = "2", tag_mode = "EXPLICIT", constructed = "true")]
    Key(OctetString),
}

#[derive(Sequence)]
struct Answer {
    certificate: CertificateId,
    status: Status,
    this_update: GeneralizedTime,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    next_update: Option<GeneralizedTime>,
    #[asn1(context_specific = "1", tag_mode = "EXPLICIT", optional = "true")]
    extensions: Option<Vec<Extension>>,
}

#[derive(Choice)]
enum Status {
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT")]
    Good(Null),
    #[asn1(context_specific = "1", tag_mode = "IMPLICIT", constructed = "true")]
    Revoked(RevokedInfo),
    #[asn1(context_specific = "2", tag_mode = "IMPLICIT")]
    Unknown(Null),
}

#[derive(Sequence)]
struct RevokedInfo {
    since: GeneralizedTime,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    reason: Option<RevocationReason>,
}

#[derive(Sequence)]
struct BasicResponse {
    answers: Any,
    algorithm: AlgorithmIdentifierOwned,
    signature: BitString,
}

#[derive(Sequence)]
struct Response {
    status: Success,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    bytes: ResponseBytes,
}

#[derive(Clone, Copy, Enumerated)]
#[repr(u8)]
enum Success {
    Successful = 0,
}

#[derive(Sequence)]
struct ResponseBytes {
    kind: ObjectIdentifier,
    response: OctetString,
}

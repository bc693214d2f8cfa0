//! The tolerant profile: client assertions as Azure's client libraries really send them (RFC 7523).
//!
//! Accepted beyond the strict profile, because a released client does it, and nothing else:
//!
//! - whitespace around the assertion (files are sent with their last line break);
//! - segments with base64 padding (Python's asynchronous client);
//! - thumbprints in either alphabet of base64, padded or not (Python, Rust, Go); `x5t` or `x5t#S256`, or a `kid` that
//!   is a thumbprint, in base64 or in hexadecimal (.NET);
//! - dates that are floats (MSAL Python) or digits in a text (.NET); `iat` and `nbf` may be absent (Rust, Python);
//! - further header members, such as `x5c`, which are not looked at: what vouches for a client is the certificate that
//!   was registered, never one that came along;
//! - RS256, PS256 and ES256 with whatever registered key they fit; `typ` may be absent or in lower case;
//! - the client id in upper case, since it is a GUID.
//!
//! The same assertion may come many times before it expires (MSAL re-uses it), so its `jti` is not spent.
//! Still refused: duplicate members, `crit`, `b64`, `zip`, keys in the header by value or by address, other algorithms,
//! `aud` lists, stray trailing bits in base64.

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use serde::Serialize;
use serde_json::{Map, Value};

use super::compact::{Compact, Malformed};
use super::json::parse_object;
use super::key::sign_compact;
use super::{Algorithm, PublicKey, SignError, SigningKey, TOKEN_DEPTH_MAX, base64url};
use crate::digest::sha256;

/// The largest allowance for clocks that differ.
pub const SKEW_SECONDS_MAX: u64 = 300;

/// A certificate that was registered for the client, as far as it matters here.
pub struct Credential<'k> {
    /// SHA-1 of the certificate's DER.
    pub sha1: [u8; 20],
    /// SHA-256 of the certificate's DER.
    pub sha256: [u8; 32],
    /// The certificate's key.
    pub key: &'k PublicKey,
}

/// What an assertion must say to be believed, and the time it is now.
pub struct ExpectedAssertion<'a> {
    /// The client that the request is about: `iss` and `sub`.
    pub client_id: &'a str,
    /// Recognises `aud`, whole and exactly.
    pub audience: &'a dyn Fn(&str) -> bool,
    /// Seconds since the Unix epoch.
    pub now_seconds: u64,
    /// How far the client's clock may be off; more than [`SKEW_SECONDS_MAX`] counts as that.
    pub skew_seconds: u64,
    /// How long an assertion may be valid at most.
    pub lifetime_max_seconds: u64,
}

/// An assertion that a registered credential signed. Only [`verify`] makes it:
///
/// ```compile_fail,E0451
/// use vouchsafe_crypto::jose::azure_assertion::VerifiedAssertion;
/// let forged = VerifiedAssertion { credential_sha256: [0; 32], digest: [0; 32], expires: u64::MAX };
/// ```
pub struct VerifiedAssertion {
    credential_sha256: [u8; 32],
    digest: [u8; 32],
    expires: u64,
}

impl VerifiedAssertion {
    /// SHA-256 of the certificate whose key signed.
    pub fn credential_sha256(&self) -> [u8; 32] {
        self.credential_sha256
    }

    /// SHA-256 of the assertion, without the whitespace around it.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// When the assertion expires, in seconds since the Unix epoch and without any skew.
    pub fn expires(&self) -> u64 {
        self.expires
    }
}

/// Verifies a client assertion against the credentials that are registered for the client.
pub fn verify(
    assertion: &[u8],
    credentials: &[Credential<'_>],
    expected: &ExpectedAssertion<'_>,
) -> Result<VerifiedAssertion, AssertionRefused> {
    let assertion = assertion.trim_ascii();
    let Compact { header, payload, signing_input, signature } =
        Compact::parse(assertion, base64url::decode_maybe_padded)?;

    let forbidden = ["crit", "b64", "zip", "jwk", "jku", "x5u"];
    if forbidden.iter().any(|name| header.contains_key(*name)) {
        return Err(AssertionRefused::Malformed("a header member that is not accepted"));
    }
    match header.get("typ") {
        None => {}
        Some(Value::String(name)) if name.eq_ignore_ascii_case("JWT") => {}
        Some(_) => return Err(AssertionRefused::Malformed("`typ` is not `JWT`")),
    }
    let algorithm = header.get("alg").and_then(Value::as_str).and_then(Algorithm::parse);
    let algorithm =
        algorithm.ok_or(AssertionRefused::Malformed("`alg` is not `PS256`, `RS256` or `ES256`"))?;
    let credential = find(&header, credentials)?;
    if !algorithm.fits(credential.key.kind()) {
        return Err(AssertionRefused::Malformed("`alg` does not fit the key of the certificate"));
    }
    credential.key.verify(algorithm, signing_input, &signature).map_err(|_| AssertionRefused::Signature)?;

    let claims = parse_object(&payload, TOKEN_DEPTH_MAX)
        .map_err(|_| AssertionRefused::Malformed("the claims are not a JSON object with distinct members"))?;
    let expires = check_claims(&claims, expected)?;
    Ok(VerifiedAssertion { credential_sha256: credential.sha256, digest: sha256(assertion), expires })
}

/// Finds the credential that the header names. `kid` counts only when there is no thumbprint beside it.
fn find<'c, 'k>(
    header: &Map<String, Value>,
    credentials: &'c [Credential<'k>],
) -> Result<&'c Credential<'k>, AssertionRefused> {
    let text = |name| match header.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_bytes())),
        Some(_) => Err(AssertionRefused::Malformed("a thumbprint is not a text")),
    };
    let (sha1, sha256) = (text("x5t")?, text("x5t#S256")?);
    let sha1 = sha1.map(|text| base64url::decode_either_alphabet(text).filter(|bytes| bytes.len() == 20));
    let sha256 = sha256.map(|text| base64url::decode_either_alphabet(text).filter(|bytes| bytes.len() == 32));
    let presented = match (sha1, sha256) {
        (Some(None), _) | (_, Some(None)) => {
            return Err(AssertionRefused::Malformed("a thumbprint is not base64 of its digest"));
        }
        (Some(Some(sha1)), Some(Some(sha256))) => {
            // Both must name the same certificate: there is no telling which one the client meant.
            let unknown = AssertionRefused::UnknownCredential { presented: HEXLOWER.encode(&sha256) };
            return credentials
                .iter()
                .find(|known| known.sha1 == *sha1 && known.sha256 == *sha256)
                .ok_or(unknown);
        }
        (Some(Some(one)), None) | (None, Some(Some(one))) => one,
        (None, None) => {
            let kid =
                text("kid")?.ok_or(AssertionRefused::Malformed("no thumbprint names the certificate"))?;
            let hexadecimal = HEXLOWER_PERMISSIVE.decode(kid).ok();
            hexadecimal
                .or_else(|| base64url::decode_either_alphabet(kid))
                .filter(|bytes| matches!(bytes.len(), 20 | 32))
                .ok_or(AssertionRefused::Malformed("no thumbprint names the certificate"))?
        }
    };
    let unknown = AssertionRefused::UnknownCredential { presented: HEXLOWER.encode(&presented) };
    credentials
        .iter()
        .find(|known| known.sha1[..] == presented[..] || known.sha256[..] == presented[..])
        .ok_or(unknown)
}

fn check_claims(
    claims: &Map<String, Value>,
    expected: &ExpectedAssertion<'_>,
) -> Result<u64, AssertionRefused> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    if !["iss", "sub"]
        .iter()
        .all(|name| text(name).is_some_and(|id| id.eq_ignore_ascii_case(expected.client_id)))
    {
        return Err(AssertionRefused::IssuerOrSubject);
    }
    let audience = text("aud").ok_or(AssertionRefused::Malformed("`aud` is not a text"))?;
    if !(expected.audience)(audience) {
        return Err(AssertionRefused::Audience);
    }

    let date = |name| match claims.get(name).map(seconds) {
        None => Ok(None),
        Some(Some(seconds)) => Ok(Some(seconds)),
        Some(None) => Err(AssertionRefused::Malformed("a date is not a number of seconds")),
    };
    let expires = date("exp")?.ok_or(AssertionRefused::Malformed("`exp` is absent"))?;
    let starts = [date("nbf")?, date("iat")?];
    let skew = expected.skew_seconds.min(SKEW_SECONDS_MAX);
    let latest_start = expected.now_seconds.saturating_add(skew);
    let expired = expected.now_seconds >= expires.saturating_add(skew);
    let too_early = starts.iter().flatten().any(|start| *start > latest_start);
    // An assertion that does not say when its life began is taken to begin now.
    let began = starts.iter().flatten().copied().min().unwrap_or(latest_start);
    let too_long = expires.saturating_sub(began) > expected.lifetime_max_seconds;
    if expired || too_early || too_long { Err(AssertionRefused::TimeRange) } else { Ok(expires) }
}

/// Reads a date: an integer, a float, or digits in a text, below 2^53. Fractions of a second are dropped.
fn seconds(date: &Value) -> Option<u64> {
    const END: u64 = 1 << 53;
    let seconds = match date {
        Value::Number(number) => match (number.as_u64(), number.as_f64()) {
            (Some(integer), _) => integer,
            (None, Some(float)) if (0.0..END as f64).contains(&float) => float as u64,
            (None, _) => return None,
        },
        Value::String(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok()?,
        _ => return None,
    };
    (seconds < END).then_some(seconds)
}

/// Signs an assertion the way current client libraries do: PS256 or ES256, certificate named by `x5t#S256`.
pub fn sign(
    key: &SigningKey,
    algorithm: Algorithm,
    certificate_sha256: &[u8; 32],
    claims: &impl Serialize,
) -> Result<String, SignError> {
    #[derive(Serialize)]
    struct Header<'a> {
        typ: &'a str,
        alg: &'a str,
        #[serde(rename = "x5t#S256")]
        thumbprint: &'a str,
    }
    let thumbprint = &base64url::encode(certificate_sha256);
    sign_compact(key, algorithm, &Header { typ: "JWT", alg: algorithm.as_str(), thumbprint }, claims)
}

/// Why an assertion was not believed. Only the thumbprint it presented is repeated, which is public and is what
/// whoever looks for the mistake needs to see.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum AssertionRefused {
    /// It is not an assertion in this profile.
    #[error("the assertion is malformed: {0}")]
    Malformed(&'static str),
    /// No registered credential has the thumbprint.
    #[error("no certificate with thumbprint `{presented}` is registered for the client")]
    UnknownCredential {
        /// The thumbprint in lower-case hexadecimal; 40 digits are SHA-1, 64 are SHA-256.
        presented: String,
    },
    /// The signature does not match the credential.
    #[error("the signature of the assertion does not match the certificate it names")]
    Signature,
    /// It is expired, not yet valid, or valid for too long.
    #[error("the assertion is outside the time in which it is valid, or is valid for too long")]
    TimeRange,
    /// `aud` is not expected.
    #[error("the assertion is for another audience")]
    Audience,
    /// `iss` and `sub` are not both the client.
    #[error("the assertion's `iss` and `sub` are not both the client id")]
    IssuerOrSubject,
}

impl From<Malformed> for AssertionRefused {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(match malformed {
            Malformed::TooLong => "it is too long",
            Malformed::Segments => "it does not have three segments",
            Malformed::Base64url => "a segment is not base64url",
            Malformed::Header => "its header is not a JSON object",
            Malformed::DuplicateMember => "its header has two members of the same name",
        })
    }
}

//! The profile for what attestation services say of an environment (secure key release), and for the answer that goes
//! back to it.
//!
//! Tokens of Microsoft Azure Attestation, after which others are modelled, differ from ours in three points, and these are
//! the tolerances here; there are no others: the header may name where its key set is (`jku`), which is never read,
//! because keys come from what the operator configured; there need not be an `aud`, because the token is about an
//! environment and for nobody in particular; and `iat` may be missing where `nbf` is there.

use serde::Serialize;
use serde_json::{Map, Value};

use super::compact::{Compact, Malformed};
use super::json::parse_object;
use super::key::{SignError, SigningKey, sign_parts};
use super::{Algorithm, JwkSet, TOKEN_DEPTH_MAX, base64url};
use crate::digest::sha256;
use crate::keys::PublicKey;

/// The claim that holds what the environment itself says, its keys among it.
const RUNTIME: &str = "x-ms-runtime";
/// Keys of one environment that are looked at.
const RUNTIME_KEYS_MAX: usize = 16;

/// What a token must say to be believed, and the time it is now.
pub struct ExpectedAttestation<'a> {
    /// The issuer, whole and exactly.
    pub issuer: &'a str,
    /// Seconds since the Unix epoch.
    pub now_seconds: u64,
    /// How far the clock of whoever signed may be off.
    pub skew_seconds: u64,
    /// The longest life of a token.
    pub lifetime_max_seconds: u64,
}

/// What a trusted service says of an environment. Only [`verify`] makes it:
///
/// ```compile_fail,E0451
/// use vouchsafe_crypto::jose::attestation::VerifiedAttestation;
/// let forged = VerifiedAttestation { claims: serde_json::Map::new() };
/// ```
pub struct VerifiedAttestation {
    claims: Map<String, Value>,
}

/// A key of an attested environment, to which something may be encrypted.
pub struct Recipient {
    /// What the environment calls it.
    pub kid: String,
    /// The key.
    pub key: PublicKey,
}

impl VerifiedAttestation {
    /// A claim by its path: names with dots between them, one for each level.
    pub fn claim(&self, path: &str) -> Option<&Value> {
        let mut names = path.split('.');
        let first = self.claims.get(names.next()?)?;
        names.try_fold(first, |value, name| value.as_object()?.get(name))
    }

    /// The one RSA key of the environment that is for encryption.
    ///
    /// SECURITY: it comes out of the token and from nowhere else, so that only what was attested gets the key. If there
    /// are two, nobody says which of them is guarded as the policy's author thinks, and none is taken.
    pub fn recipient(&self) -> Result<Recipient, AttestationRefused> {
        let keys = self.claim(RUNTIME).and_then(|runtime| runtime.get("keys")).and_then(Value::as_array);
        let keys = keys.filter(|keys| keys.len() <= RUNTIME_KEYS_MAX).ok_or(AttestationRefused::NoKey)?;
        let mut encrypting = keys.iter().filter_map(Value::as_object).filter(|key| is_for_encryption(key));
        let (Some(key), None) = (encrypting.next(), encrypting.next()) else {
            return Err(AttestationRefused::NoKey);
        };
        let text = |name| key.get(name).and_then(Value::as_str);
        let number = |name| text(name).and_then(|text| base64url::decode(text.as_bytes()));
        let (Some("RSA"), Some(n), Some(e), Some(kid)) = (text("kty"), number("n"), number("e"), text("kid"))
        else {
            return Err(AttestationRefused::NoKey);
        };
        let key = PublicKey::rsa(&n, &e).map_err(|_| AttestationRefused::WeakKey)?;
        Ok(Recipient { kid: kid.to_owned(), key })
    }
}

/// RFC 7517 §4.2 and §4.3: `use` or `key_ops` says it, and one that says something else is not asked the other.
fn is_for_encryption(key: &Map<String, Value>) -> bool {
    if key.get("use").is_some_and(|usage| usage != "enc") {
        return false;
    }
    match key.get("key_ops") {
        Some(Value::Array(operations)) => {
            operations.iter().any(|operation| operation == "encrypt" || operation == "wrapKey")
        }
        Some(_) => false,
        None => key.contains_key("use"),
    }
}

/// Verifies a token of a configured issuer.
pub fn verify(
    token: &[u8],
    keys: &JwkSet,
    expected: &ExpectedAttestation<'_>,
) -> Result<VerifiedAttestation, AttestationRefused> {
    let Compact { header, payload, signing_input, signature } = Compact::parse(token, base64url::decode)?;
    if header.keys().any(|name| !matches!(name.as_str(), "alg" | "kid" | "typ" | "jku")) {
        return Err(AttestationRefused::Malformed);
    }
    let text = |name| header.get(name).and_then(Value::as_str);
    if header.contains_key("typ") && text("typ") != Some("JWT") {
        return Err(AttestationRefused::Malformed);
    }
    let algorithm = text("alg").and_then(Algorithm::parse).ok_or(AttestationRefused::Signature)?;
    let (key, bound) = text("kid").and_then(|kid| keys.find(kid)).ok_or(AttestationRefused::UnknownKey)?;
    if algorithm != bound {
        return Err(AttestationRefused::Signature);
    }
    key.verify(bound, signing_input, &signature).map_err(|_| AttestationRefused::Signature)?;

    let claims = parse_object(&payload, TOKEN_DEPTH_MAX).map_err(|_| AttestationRefused::Malformed)?;
    if claims.get("iss").and_then(Value::as_str) != Some(expected.issuer) {
        return Err(AttestationRefused::Issuer);
    }
    check_dates(&claims, expected)?;
    Ok(VerifiedAttestation { claims })
}

fn check_dates(
    claims: &Map<String, Value>,
    expected: &ExpectedAttestation<'_>,
) -> Result<(), AttestationRefused> {
    // A float, a negative number and a number beyond 64 bits are no dates; they are not taken for absent ones.
    let date = |name| match claims.get(name) {
        None => Ok(None),
        Some(value) => value.as_u64().map(Some).ok_or(AttestationRefused::Malformed),
    };
    let expires = date("exp")?.ok_or(AttestationRefused::Malformed)?;
    let starts = [date("nbf")?, date("iat")?];
    let began = starts.iter().flatten().copied().min().ok_or(AttestationRefused::Malformed)?;
    let latest_start = expected.now_seconds.saturating_add(expected.skew_seconds);
    if expected.now_seconds >= expires.saturating_add(expected.skew_seconds) {
        return Err(AttestationRefused::Expired);
    }
    if starts.iter().flatten().any(|start| *start > latest_start) {
        return Err(AttestationRefused::NotYetValid);
    }
    if expires.saturating_sub(began) > expected.lifetime_max_seconds {
        return Err(AttestationRefused::TooLong);
    }
    Ok(())
}

/// Signs a statement about a key, with the certificate of the signing key beside it, so that it can be told from any
/// token: [`super::verify`] takes no header with `x5c`. Kinds of statements are told apart by `typ` (RFC 8725 §3.11);
/// Azure's releases have none.
pub fn sign_statement(
    key: &SigningKey,
    algorithm: Algorithm,
    kid: &str,
    certificate: &[u8],
    typ: Option<&str>,
    payload: &[u8],
) -> Result<String, SignError> {
    #[derive(Serialize)]
    struct Header<'a> {
        alg: &'a str,
        kid: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        typ: Option<&'a str>,
        // RFC 7515 §4.1.6 wants base64 here, not base64url.
        x5c: [String; 1],
        #[serde(rename = "x5t#S256")]
        thumbprint: String,
    }
    let header = Header {
        alg: algorithm.as_str(),
        kid,
        typ,
        x5c: [data_encoding::BASE64.encode(certificate)],
        thumbprint: base64url::encode(&sha256(certificate)),
    };
    sign_parts(key, algorithm, &header, payload)
}

/// Why a token about an environment was not believed; nothing of the token is repeated.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum AttestationRefused {
    /// It is no token, or one with something in it that does not belong there.
    #[error("it is not a token of an attestation service")]
    Malformed,
    /// Its key is not one that the issuer was configured with.
    #[error("its key is not one of a configured issuer")]
    UnknownKey,
    /// The signature does not match, or is of another kind than the key is used with.
    #[error("its signature does not match")]
    Signature,
    /// `iss` is not expected.
    #[error("it has another issuer")]
    Issuer,
    /// `exp` is in the past.
    #[error("it has expired")]
    Expired,
    /// `nbf` or `iat` is in the future.
    #[error("it is not valid yet")]
    NotYetValid,
    /// It lives longer than such a token may.
    #[error("it is valid for too long")]
    TooLong,
    /// There is not exactly one key for encryption in it.
    #[error("it does not have exactly one RSA key for encryption in `x-ms-runtime.keys`")]
    NoKey,
    /// The key for encryption is not good enough.
    #[error("its key for encryption must be RSA with 2048, 3072 or 4096 bits")]
    WeakKey,
}

impl From<Malformed> for AttestationRefused {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

//! The strict profile: tokens of our own making (RFC 7519, with the advice of RFC 8725).
//!
//! The header has `typ`, `alg` and `kid` and nothing else; `kid` finds the key, and the key says which algorithm the
//! token must name. The claims are looked at only after the signature held. `exp`, `nbf` and `iat` are all present and
//! all integers, `iss` and `aud` are single texts that the caller recognises.

use serde_json::{Map, Value};

use super::compact::{Compact, Malformed};
use super::json::{ObjectInvalid, parse_object};
use super::{Algorithm, PublicKey, TOKEN_DEPTH_MAX, base64url};

/// What a token must say to be believed, and the time it is now.
pub struct Expected<'a> {
    /// Recognises `iss`, whole and exactly.
    pub issuer: &'a dyn Fn(&str) -> bool,
    /// Recognises `aud`, whole and exactly.
    pub audience: &'a dyn Fn(&str) -> bool,
    /// Seconds since the Unix epoch.
    pub now_seconds: u64,
    /// How far the clock of whoever signed may be off.
    pub skew_seconds: u64,
}

/// Claims that were signed by a key the caller found. Only [`verify`] makes them:
///
/// ```compile_fail,E0451
/// use vouchsafe_crypto::jose::VerifiedToken;
/// let forged = VerifiedToken {
///     claims: serde_json::Map::new(),
///     kid: String::new(),
///     issuer: String::new(),
///     audience: String::new(),
///     expires: u64::MAX,
///     issued_at: 0,
/// };
/// ```
///
/// and they are not printed by accident:
///
/// ```compile_fail,E0277
/// fn show(token: vouchsafe_crypto::jose::VerifiedToken) {
///     println!("{token:?}");
/// }
/// ```
pub struct VerifiedToken {
    claims: Map<String, Value>,
    kid: String,
    issuer: String,
    audience: String,
    expires: u64,
    issued_at: u64,
}

impl VerifiedToken {
    /// The name of the key that signed.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// Who issued the token.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Whom the token is for.
    pub fn audience(&self) -> &str {
        &self.audience
    }

    /// When the token expires, in seconds since the Unix epoch and without any skew.
    pub fn expires(&self) -> u64 {
        self.expires
    }

    /// When the token was issued, in seconds since the Unix epoch.
    pub fn issued_at(&self) -> u64 {
        self.issued_at
    }

    /// Any claim by its name.
    pub fn claim(&self, name: &str) -> Option<&Value> {
        self.claims.get(name)
    }
}

/// Verifies a token of our own making; `keys` finds a key and the one algorithm it is used with by `kid`.
pub fn verify<'k>(
    token: &[u8],
    keys: &dyn Fn(&str) -> Option<(&'k PublicKey, Algorithm)>,
    expected: &Expected<'_>,
) -> Result<VerifiedToken, Refused> {
    let Compact { header, payload, signing_input, signature } = Compact::parse(token, base64url::decode)?;

    if header.contains_key("crit") {
        return Err(Refused::Critical);
    }
    // SECURITY: this also covers `jwk`, `jku`, `x5u`, `x5c`, `b64`, `zip`, `cty`, and whatever comes next.
    if header.keys().any(|name| !matches!(name.as_str(), "alg" | "kid" | "typ")) {
        return Err(Refused::HeaderMember);
    }
    let text = |name| header.get(name).and_then(Value::as_str);
    if text("typ") != Some("JWT") {
        return Err(Refused::Type);
    }
    let algorithm = text("alg").and_then(Algorithm::parse).ok_or(Refused::Algorithm)?;
    let kid = text("kid").ok_or(Refused::UnknownKey)?;
    let (key, bound) = keys(kid).ok_or(Refused::UnknownKey)?;
    if algorithm != bound {
        return Err(Refused::AlgorithmOfKey);
    }
    key.verify(bound, signing_input, &signature).map_err(|_| Refused::Signature)?;

    let claims = parse_object(&payload, TOKEN_DEPTH_MAX).map_err(|invalid| match invalid {
        ObjectInvalid::DuplicateMember => Refused::DuplicateMember,
        ObjectInvalid::NotAnObject => Refused::Claims,
    })?;
    let text = |name| claims.get(name).and_then(Value::as_str).ok_or(Refused::Claim(name));
    // A float, a negative number and a number beyond 64 bits all fail here, like a missing one.
    let seconds = |name| claims.get(name).and_then(Value::as_u64).ok_or(Refused::Claim(name));
    let (issuer, audience) = (text("iss")?.to_owned(), text("aud")?.to_owned());
    let (expires, not_before, issued_at) = (seconds("exp")?, seconds("nbf")?, seconds("iat")?);

    let latest_start = expected.now_seconds.saturating_add(expected.skew_seconds);
    if expected.now_seconds >= expires.saturating_add(expected.skew_seconds) {
        return Err(Refused::Expired);
    }
    if not_before > latest_start {
        return Err(Refused::NotYetValid);
    }
    if issued_at > latest_start {
        return Err(Refused::IssuedInTheFuture);
    }
    if !(expected.issuer)(&issuer) {
        return Err(Refused::Issuer);
    }
    if !(expected.audience)(&audience) {
        return Err(Refused::Audience);
    }
    let kid = kid.to_owned();
    Ok(VerifiedToken { claims, kid, issuer, audience, expires, issued_at })
}

/// Why a token was not believed; nothing of the token is repeated.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refused {
    /// It is longer than any token of ours.
    #[error("the token is too long")]
    TooLong,
    /// It does not have three segments.
    #[error("the token does not have three segments")]
    Segments,
    /// A segment is not base64url in its one spelling.
    #[error("a segment of the token is not base64url")]
    Base64url,
    /// The header is not a JSON object.
    #[error("the header of the token is not a JSON object")]
    Header,
    /// A member appears twice.
    #[error("the token has two members of the same name")]
    DuplicateMember,
    /// The header has `crit`.
    #[error("the token requires an extension that is not understood")]
    Critical,
    /// The header has a member that our tokens do not have.
    #[error("the header of the token has a member that does not belong there")]
    HeaderMember,
    /// `typ` is not `JWT`.
    #[error("the token is of another type")]
    Type,
    /// `alg` is absent or not one of ours.
    #[error("the token names no algorithm that is used here")]
    Algorithm,
    /// `kid` is absent or finds no key.
    #[error("the token names no known key")]
    UnknownKey,
    /// `alg` is not the algorithm that the key is used with.
    #[error("the token names another algorithm than its key is used with")]
    AlgorithmOfKey,
    /// The signature does not match.
    #[error("the signature of the token does not match")]
    Signature,
    /// The claims are not a JSON object.
    #[error("the claims of the token are not a JSON object")]
    Claims,
    /// A claim is absent or of the wrong type.
    #[error("the claim `{0}` is absent or malformed")]
    Claim(&'static str),
    /// `exp` is in the past.
    #[error("the token has expired")]
    Expired,
    /// `nbf` is in the future.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// `iat` is in the future.
    #[error("the token was issued in the future")]
    IssuedInTheFuture,
    /// `iss` is not expected.
    #[error("the token has another issuer")]
    Issuer,
    /// `aud` is not expected.
    #[error("the token is for another audience")]
    Audience,
}

impl From<Malformed> for Refused {
    fn from(malformed: Malformed) -> Self {
        match malformed {
            Malformed::TooLong => Self::TooLong,
            Malformed::Segments => Self::Segments,
            Malformed::Base64url => Self::Base64url,
            Malformed::Header => Self::Header,
            Malformed::DuplicateMember => Self::DuplicateMember,
        }
    }
}

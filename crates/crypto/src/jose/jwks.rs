//! Key sets as issuers publish them (RFC 7517 §5).

use data_encoding::BASE64;
use serde::Serialize;
use serde_json::{Map, Value};

use super::json::parse_object;
use super::{Algorithm, Jwk, KeyKind, PublicKey, TOKEN_DEPTH_MAX};
use crate::x509::Certificate;

/// The longest key set that is looked at.
const SET_BYTES_MAX: usize = 256 * 1024;

/// Keys by name, each bound to the one algorithm it is used with.
#[derive(Clone, Default)]
pub struct JwkSet(Vec<Entry>);

#[derive(Clone)]
struct Entry {
    kid: String,
    algorithm: Algorithm,
    key: PublicKey,
}

impl JwkSet {
    /// A set without keys.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a key; `false`, and nothing added, if the name is taken or the algorithm does not fit the key.
    pub fn insert(&mut self, kid: &str, key: PublicKey, algorithm: Algorithm) -> bool {
        let addable = algorithm.fits(key.kind()) && self.find(kid).is_none();
        if addable {
            self.0.push(Entry { kid: kid.to_owned(), algorithm, key });
        }
        addable
    }

    /// Reads a published set.
    ///
    /// Keys that we have no use for - of other kinds, for encryption, without a name - are passed over, because
    /// issuers publish such keys next to the others. Two usable keys of one name make the whole set ambiguous.
    pub fn parse(set: &[u8]) -> Result<Self, JwkSetRefused> {
        Self::parse_by(set, |jwk| PublicKey::from_members(jwk).ok())
    }

    /// Reads a set whose keys may say their numbers by a certificate alone (`x5c`, RFC 7517 §4.7), as Microsoft Azure
    /// Attestation publishes them. The certificate is a form of the key and no more: it is trusted because of where the
    /// set came from, and neither its dates nor its chain are looked at. Numbers that are there are taken as they are.
    pub fn parse_with_certificates(set: &[u8]) -> Result<Self, JwkSetRefused> {
        Self::parse_by(set, |jwk| {
            let has_numbers = ["n", "e", "x", "y"].iter().any(|number| jwk.contains_key(*number));
            if has_numbers { PublicKey::from_members(jwk).ok() } else { certified(jwk) }
        })
    }

    fn parse_by(
        set: &[u8],
        read: impl Fn(&Map<String, Value>) -> Option<PublicKey>,
    ) -> Result<Self, JwkSetRefused> {
        if set.len() > SET_BYTES_MAX {
            return Err(JwkSetRefused::Malformed);
        }
        let set = parse_object(set, TOKEN_DEPTH_MAX).map_err(|_| JwkSetRefused::Malformed)?;
        let keys = set.get("keys").and_then(Value::as_array).ok_or(JwkSetRefused::Malformed)?;
        let mut parsed = Self::new();
        for jwk in keys {
            let jwk = jwk.as_object().ok_or(JwkSetRefused::Malformed)?;
            if let Some((kid, key, algorithm)) = usable(jwk, &read)
                && !parsed.insert(kid, key, algorithm)
            {
                return Err(JwkSetRefused::Ambiguous);
            }
        }
        Ok(parsed)
    }

    /// The key of that name and the algorithm it is used with, as [`super::verify`] asks for them.
    pub fn find(&self, kid: &str) -> Option<(&PublicKey, Algorithm)> {
        self.0.iter().find(|entry| entry.kid == kid).map(|entry| (&entry.key, entry.algorithm))
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no keys.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The key of the first certificate, if it is of the kind that is said.
fn certified(jwk: &Map<String, Value>) -> Option<PublicKey> {
    let first = jwk.get("x5c")?.as_array()?.first()?.as_str()?;
    // RFC 7517 §4.7 wants base64 here, not base64url.
    let key = Certificate::from_der(&BASE64.decode(first.as_bytes()).ok()?).ok()?.public_key().clone();
    let said = jwk.get("kty")?.as_str()?;
    (said == if key.kind() == KeyKind::P256 { "EC" } else { "RSA" }).then_some(key)
}

fn usable<'a>(
    jwk: &'a Map<String, Value>,
    read: &impl Fn(&Map<String, Value>) -> Option<PublicKey>,
) -> Option<(&'a str, PublicKey, Algorithm)> {
    let kid = jwk.get("kid")?.as_str()?;
    if jwk.get("use").is_some_and(|usage| usage != "sig") {
        return None;
    }
    if let Some(operations) = jwk.get("key_ops")
        && !operations.as_array()?.iter().any(|operation| operation == "verify")
    {
        return None;
    }
    let key = read(jwk)?;
    let algorithm = match jwk.get("alg") {
        Some(name) => Algorithm::parse(name.as_str()?)?,
        // Entra's sets name no algorithm; these are the ones they are used with.
        None if key.kind() == KeyKind::P256 => Algorithm::Es256,
        None => Algorithm::Rs256,
    };
    algorithm.fits(key.kind()).then_some((kid, key, algorithm))
}

impl Serialize for JwkSet {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Published<'a> {
            kid: &'a str,
            r#use: &'static str,
            alg: &'static str,
            #[serde(flatten)]
            key: Jwk,
        }
        #[derive(Serialize)]
        struct Set<'a> {
            keys: Vec<Published<'a>>,
        }
        fn publish(Entry { kid, algorithm, key }: &Entry) -> Published<'_> {
            Published { kid, r#use: "sig", alg: algorithm.as_str(), key: key.to_jwk() }
        }
        Set { keys: self.0.iter().map(publish).collect() }.serialize(serializer)
    }
}

/// Why a key set was not taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum JwkSetRefused {
    /// It is not a key set.
    #[error("the key set is malformed")]
    Malformed,
    /// Two keys have one name.
    #[error("the key set has two keys of the same name")]
    Ambiguous,
}

//! Certificates and requests as clients write them: DER in ordinary base64 (RFC 4648 §4), sometimes wrapped twice.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Ordinary base64; we write the padding, and read it where it is written.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The first byte of every certificate and request: a SEQUENCE (X.690 §8.9).
const SEQUENCE: u8 = 0x30;

/// A certificate or a request in DER; nothing of it is secret.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Der(pub Vec<u8>);

impl Serialize for Der {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Der {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        decode(text.as_bytes()).map(Self).ok_or_else(|| D::Error::custom("must be base64 text"))
    }
}

/// One entry of `x5c` in a merge: base64 of DER, or base64 of that, as Python's client sends it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MergedDer(pub Vec<u8>);

impl MergedDer {
    fn read(text: &str) -> Option<Self> {
        let once = decode(text.as_bytes())?;
        if once.first() == Some(&SEQUENCE) {
            return Some(Self(once));
        }
        // A second layer is text; its first character is never `0`, which would be the same byte as a SEQUENCE.
        let twice = decode(&once)?;
        (twice.first() == Some(&SEQUENCE)).then_some(Self(twice))
    }
}

impl<'de> Deserialize<'de> for MergedDer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::read(&text).ok_or_else(|| D::Error::custom("must be a certificate in base64 text"))
    }
}

/// Lines may be broken, as in the body of a PEM file.
fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let joined: Vec<u8> = text.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    BASE64.decode(joined).ok().filter(|bytes| !bytes.is_empty())
}

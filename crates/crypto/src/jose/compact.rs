//! The compact serialization: three segments with dots between them (RFC 7515 §3.1).

use serde_json::{Map, Value};

use super::json::{ObjectInvalid, parse_object};
use super::{TOKEN_BYTES_MAX, TOKEN_DEPTH_MAX};

/// A token taken apart. Nothing in it has been verified, which is why it stays in this module.
pub(super) struct Compact<'t> {
    pub(super) header: Map<String, Value>,
    pub(super) payload: Vec<u8>,
    pub(super) signing_input: &'t [u8],
    pub(super) signature: Vec<u8>,
}

pub(super) enum Malformed {
    TooLong,
    Segments,
    Base64url,
    Header,
    DuplicateMember,
}

impl<'t> Compact<'t> {
    /// Splits and decodes, with the one notion of base64url that the profile has.
    pub(super) fn parse(token: &'t [u8], decode: fn(&[u8]) -> Option<Vec<u8>>) -> Result<Self, Malformed> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Malformed::TooLong);
        }
        let mut segments = token.split(|byte| *byte == b'.');
        let (Some(header), Some(payload), Some(signature), None) =
            (segments.next(), segments.next(), segments.next(), segments.next())
        else {
            return Err(Malformed::Segments);
        };
        let signing_input = token.get(..header.len() + 1 + payload.len()).ok_or(Malformed::Segments)?;
        let decode = |segment| decode(segment).ok_or(Malformed::Base64url);
        let (header, payload, signature) = (decode(header)?, decode(payload)?, decode(signature)?);
        let header = parse_object(&header, TOKEN_DEPTH_MAX).map_err(|invalid| match invalid {
            ObjectInvalid::DuplicateMember => Malformed::DuplicateMember,
            ObjectInvalid::NotAnObject => Malformed::Header,
        })?;
        Ok(Self { header, payload, signing_input, signature })
    }
}

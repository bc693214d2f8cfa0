//! Request paths, read strictly and once (RFC 3986 §2.1, §3.3).
//!
//! What a proxy in front of us and we could read differently is refused instead of repaired: encoded slashes, dot
//! segments, control characters, text that is not UTF-8. Query strings are each dialect's own.

use std::borrow::Cow;

/// The longest request path, in bytes as sent.
pub const PATH_BYTES_MAX: usize = 2048;

/// The most segments a request path may have.
pub const PATH_SEGMENTS_MAX: usize = 32;

/// Why a path is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadUri {
    /// More bytes or segments than any address here has.
    #[error("the path is too long: at most {PATH_BYTES_MAX} bytes in {PATH_SEGMENTS_MAX} segments")]
    PathTooLong,
    /// It does not begin with a slash.
    #[error("the path must begin with a slash")]
    NotAbsolute,
    /// A percent sign without two hexadecimal digits.
    #[error("a percent sign must be followed by two hexadecimal digits")]
    Escape,
    /// Bytes that are not UTF-8 after decoding.
    #[error("the address is not UTF-8 after percent-decoding")]
    Utf8,
    /// A control character, a backslash or an encoded slash.
    #[error("the address contains a control character, a backslash or an encoded slash")]
    Character,
    /// `.` or `..` as a segment.
    #[error("the path contains a dot segment; send the resolved path")]
    DotSegment,
}

/// Decodes percent escapes into UTF-8 without control characters.
fn decode(raw: &str) -> Result<Cow<'_, str>, BadUri> {
    if !raw.contains('%') {
        return Ok(Cow::Borrowed(raw));
    }
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || rest.next().and_then(|b| char::from(b).to_digit(16));
                let (Some(high), Some(low)) = (digit(), digit()) else { return Err(BadUri::Escape) };
                u8::try_from(high * 16 + low).map_err(|_| BadUri::Escape)?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).map(Cow::Owned).map_err(|_| BadUri::Utf8)
}

/// The decoded segments of a path; one trailing slash is gone, other empty segments are kept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Segments<'a>(Vec<Cow<'a, str>>);

impl<'a> Segments<'a> {
    /// Reads a raw path.
    pub fn parse(raw: &'a str) -> Result<Self, BadUri> {
        if raw.len() > PATH_BYTES_MAX {
            return Err(BadUri::PathTooLong);
        }
        let rest = raw.strip_prefix('/').ok_or(BadUri::NotAbsolute)?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.is_empty() {
            return Ok(Self(Vec::new()));
        }
        let mut segments = Vec::with_capacity(8);
        for raw in rest.split('/') {
            if segments.len() == PATH_SEGMENTS_MAX {
                return Err(BadUri::PathTooLong);
            }
            let segment = decode(raw)?;
            // SECURITY: a segment that decodes to more than a segment would name another resource downstream.
            if segment.chars().any(|c| c.is_control() || c == '/' || c == '\\') {
                return Err(BadUri::Character);
            }
            if segment == "." || segment == ".." {
                return Err(BadUri::DotSegment);
            }
            segments.push(segment);
        }
        Ok(Self(segments))
    }

    /// The segments in order.
    pub fn as_slice(&self) -> &[Cow<'a, str>] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn segments(raw: &str) -> Result<Vec<String>, BadUri> {
        Segments::parse(raw).map(|s| s.as_slice().iter().map(|s| s.to_string()).collect())
    }

    #[test]
    fn a_path_is_decoded_once_and_loses_one_trailing_slash() {
        assert_eq!(segments("/secrets/a%2Db/"), Ok(vec!["secrets".into(), "a-b".into()]));
        assert_eq!(
            segments("/keys/k//sign"),
            Ok(vec!["keys".into(), "k".into(), String::new(), "sign".into()])
        );
        assert_eq!(segments("/keys/k//"), Ok(vec!["keys".into(), "k".into(), String::new()]));
        assert_eq!(segments("/a/%252e%252E"), Ok(vec!["a".into(), "%2e%2E".into()]));
        assert_eq!(segments("/"), Ok(vec![]));
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for (raw, error) in [
            ("", BadUri::NotAbsolute),
            ("*", BadUri::NotAbsolute),
            ("/a%2fb", BadUri::Character),
            ("/a%5Cb", BadUri::Character),
            ("/a\\b", BadUri::Character),
            ("/a%00", BadUri::Character),
            ("/a%0a", BadUri::Character),
            ("/a%c2%85", BadUri::Character),
            ("/a%7f", BadUri::Character),
            ("/../a", BadUri::DotSegment),
            ("/a/%2e%2E/b", BadUri::DotSegment),
            ("/a/.", BadUri::DotSegment),
            ("/a%ff", BadUri::Utf8),
            ("/a%c0%af", BadUri::Utf8),
            ("/a%2", BadUri::Escape),
            ("/a%+1", BadUri::Escape),
            ("/a%zz", BadUri::Escape),
        ] {
            assert_eq!(segments(raw), Err(error), "{raw}");
        }
        assert_eq!(segments(&format!("/{}", "a".repeat(2048))), Err(BadUri::PathTooLong));
        assert_eq!(segments(&"/a".repeat(33)), Err(BadUri::PathTooLong));
        assert!(segments(&"/a".repeat(32)).is_ok());
    }

    proptest! {
        #[test]
        fn reading_never_panics_and_never_yields_a_slash(raw in "[/a%0-9.+&=\\\\é]{0,60}|.{0,60}") {
            if let Ok(path) = Segments::parse(&raw) {
                prop_assert!(path.as_slice().iter().all(|s| !s.contains('/') && s != ".." && s != "."));
            }
        }
    }
}

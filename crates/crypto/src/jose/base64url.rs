//! Base64url without padding (RFC 7515 §2), with exactly one text for each sequence of bytes.

use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD};

/// Encodes without padding.
pub fn encode(bytes: &[u8]) -> String {
    BASE64URL_NOPAD.encode(bytes)
}

/// Decodes what [`encode`] would have written; padding, whitespace, `+`, `/` and stray trailing bits are refused.
pub fn decode(text: &[u8]) -> Option<Vec<u8>> {
    BASE64URL_NOPAD.decode(text).ok()
}

/// Decodes base64url that may have its padding; everything else stays refused.
pub(super) fn decode_maybe_padded(text: &[u8]) -> Option<Vec<u8>> {
    if text.ends_with(b"=") { BASE64URL.decode(text).ok() } else { decode(text) }
}

/// Decodes either alphabet of base64, padded or not.
pub(super) fn decode_either_alphabet(text: &[u8]) -> Option<Vec<u8>> {
    decode_maybe_padded(text).or_else(|| {
        if text.ends_with(b"=") { BASE64.decode(text).ok() } else { BASE64_NOPAD.decode(text).ok() }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_one_spelling_decodes() {
        assert_eq!(decode(b"-_8"), Some(vec![0xfb, 0xff]));
        assert_eq!(decode(b""), Some(vec![]));
        for other in ["-_8=", "+/8", "-_9", "-_-", " -_8", "-_8\n", "-_8A=", "-", "-_8==", "-_8%3D"] {
            assert_eq!(decode(other.as_bytes()), None, "{other:?}");
        }
    }

    #[test]
    fn padding_is_tolerated_only_where_it_belongs() {
        assert_eq!(decode_maybe_padded(b"-_8="), Some(vec![0xfb, 0xff]));
        assert_eq!(decode_maybe_padded(b"-_8"), Some(vec![0xfb, 0xff]));
        for other in ["-_8==", "-_9=", "+/8=", "=", "-_8A=", "-_8=\n", "-_8=AAAA"] {
            assert_eq!(decode_maybe_padded(other.as_bytes()), None, "{other:?}");
        }
    }

    #[test]
    fn either_alphabet_is_tolerated_but_not_both_at_once() {
        for text in ["-_8=", "-_8", "+/8=", "+/8"] {
            assert_eq!(decode_either_alphabet(text.as_bytes()), Some(vec![0xfb, 0xff]), "{text:?}");
        }
        for other in ["-/8=", "+_8", "+/9=", "+/9", "-_8==", "+/8 "] {
            assert_eq!(decode_either_alphabet(other.as_bytes()), None, "{other:?}");
        }
    }
}

//! What a token may say to a caller, as a fixed list: the process of a module sends a number, never a text.
//!
//! SECURITY: a module is foreign code. What it could make its process say goes into the log at most, shortened; a caller
//! reads nothing but these.

use vouchsafe_domain::ports::hsm::HsmError;

/// The sentences. Both sides are one program, so their places may change.
const SENTENCES: &[&str] = &[
    "an AES key of a token does not compute HMACs",
    "the ciphertext could not be decrypted",
    "the key is of another kind",
    "the module lacks a function",
    "the token does not do this",
    "the token does not show the public half of an unwrapped EC key",
    "the key is not exportable",
    "the public key is not usable",
    "the token does not wrap and unwrap keys with AES-KWP",
    "the token does not wrap keys of this kind",
    "the token keeps unwrapped bytes to itself",
    "the token refused the input",
    "the token's RSA-OAEP takes SHA-1 only",
    "the wrapped key could not be unwrapped",
    "the wrapped key is of another kind",
    "too many bytes",
    "the algorithm does not fit the key",
    "the key does not do this operation",
    "the initialization vector has the wrong length",
];

/// The number of a sentence. One that is not in the list is our mistake, and becomes a failure that the log explains.
pub(super) fn number(sentence: &'static str) -> Result<u32, HsmError> {
    let place = SENTENCES.iter().position(|known| *known == sentence);
    place
        .and_then(|place| u32::try_from(place).ok())
        .ok_or_else(|| HsmError::Broken(format!("the sentence `{sentence}` has no number")))
}

/// The sentence with a number.
pub(super) fn sentence(number: u32) -> Option<&'static str> {
    SENTENCES.get(usize::try_from(number).ok()?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every text that the process of a module may answer with, read from where it is written.
    fn written() -> Vec<&'static str> {
        let sources = [
            include_str!("import.rs"),
            include_str!("keys.rs"),
            include_str!("oaep.rs"),
            include_str!("operate.rs"),
            include_str!("release.rs"),
            include_str!("rejection.rs"),
            include_str!("token.rs"),
            include_str!("../wrapped.rs"),
        ];
        let mut found = Vec::new();
        for source in sources {
            for variant in ["Refused(", "Unsupported("] {
                let places = source.split(variant).skip(1).map(str::trim_start);
                found.extend(places.filter_map(|after| after.strip_prefix('"')?.split('"').next()));
            }
        }
        found
    }

    #[test]
    fn every_sentence_of_a_token_has_a_number_and_comes_back() {
        let written = written();
        assert!(written.len() > 12, "{written:?}");
        for text in written {
            let known = SENTENCES.iter().find(|known| **known == text);
            let known = known.unwrap_or_else(|| panic!("add `{text}` to the list"));
            assert_eq!(number(known).map(sentence), Ok(Some(*known)));
        }
        assert!(number("something else").is_err());
        assert_eq!(sentence(u32::MAX), None);
    }
}

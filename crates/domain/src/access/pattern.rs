//! Wildcard patterns over action names (wire.md §8): `*` stands for any text, also for `/` and for nothing; case
//! does not matter.

use std::fmt;

use crate::ids::Malformed;

/// A pattern such as `Microsoft.KeyVault/vaults/secrets/*`.
///
/// Equal patterns are equal in canonical form; the form that was given is kept for display.
#[derive(Clone, Debug)]
pub struct ActionPattern {
    given: Box<str>,
    canonical: Box<str>,
}

impl ActionPattern {
    /// Longest pattern that is accepted.
    pub const BYTES_MAX: usize = 256;

    /// Reads a pattern of letters, digits, `.`, `-`, `_`, `/` and `*`.
    pub fn parse(raw: &str) -> Result<Self, Malformed> {
        let refuse = |problem| Malformed::new("action", raw, problem);
        if raw.is_empty() || raw.len() > Self::BYTES_MAX {
            return Err(refuse("must be 1 to 256 bytes long"));
        }
        if !raw.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_/*".contains(&byte)) {
            return Err(refuse("must consist of letters, digits, `.`, `-`, `_`, `/` and `*`"));
        }
        // These could be read in one way only, but a second spelling of a pattern is a trap for whoever compares.
        if raw.contains("**") || raw.contains("//") || raw.starts_with('/') || raw.ends_with('/') {
            return Err(refuse("must not have `**`, `//` or a `/` at either end"));
        }
        Ok(Self { given: raw.into(), canonical: raw.to_ascii_lowercase().into() })
    }

    /// The pattern as it was given.
    pub fn as_str(&self) -> &str {
        &self.given
    }

    /// Whether the pattern stands for `name`.
    ///
    /// Linear: each literal piece is searched once (in linear time) in what the pieces before it left over. Taking
    /// the leftmost place is right because a later place leaves less to the pieces that follow.
    pub fn matches(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        let Some((head, pieces)) = self.canonical.split_once('*') else {
            return *self.canonical == *name;
        };
        let Some(mut rest) = name.strip_prefix(head) else {
            return false;
        };
        let (middle, tail) = pieces.rsplit_once('*').unwrap_or(("", pieces));
        for piece in middle.split('*') {
            let Some(place) = rest.find(piece) else {
                return false;
            };
            rest = rest.split_at(place + piece.len()).1;
        }
        rest.ends_with(tail)
    }
}

impl fmt::Display for ActionPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.given)
    }
}

impl PartialEq for ActionPattern {
    fn eq(&self, other: &Self) -> bool {
        self.canonical == other.canonical
    }
}

impl Eq for ActionPattern {}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        ActionPattern::parse(pattern).expect(pattern).matches(name)
    }

    #[test]
    fn a_star_stands_for_any_text() {
        let table = [
            ("*", "a/b/c", true),
            ("a/b", "A/B", true),
            ("A/B", "a/b", true),
            ("a/b", "a/bc", false),
            ("a/b", "xa/b", false),
            ("a/*", "a/b/c", true),
            ("a/*", "a/", true),
            ("a/*", "a", false),
            ("*/read", "a/b/read", true),
            ("*/read", "read", false),
            ("*/read", "a/readMetadata/action", false),
            ("a/*/read", "a/b/c/read", true),
            ("a/*/read", "a/read", false),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXcYb", false),
            ("*a*a*", "a", false),
            ("*a*a*", "xaya", true),
            ("*b", "abab", true),
            ("a*ab", "ab", false),
            ("a.c/d", "abc/d", false),
        ];
        for (pattern, name, expected) in table {
            assert_eq!(matches(pattern, name), expected, "`{pattern}` `{name}`");
        }
    }

    #[test]
    fn malformed_patterns_are_refused() {
        let long = "a".repeat(257);
        for raw in
            ["", " ", "a b", "a/**", "a//b", "/a", "a/", "a?b", "[a]", "a\0", "é", "a\\b", "a%2fb", &long]
        {
            assert!(ActionPattern::parse(raw).is_err(), "{raw:?}");
        }
    }

    #[test]
    fn case_makes_no_other_pattern() {
        let pattern = ActionPattern::parse("Microsoft.KeyVault/*").expect("a pattern");
        assert_eq!(pattern, ActionPattern::parse("microsoft.keyvault/*").expect("a pattern"));
        assert_eq!(pattern.to_string(), "Microsoft.KeyVault/*");
    }
}

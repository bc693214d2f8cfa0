//! Text that travels but never prints: secret values, client secrets, assertions.
//!
//! A [`SecretText`] is read from a request and handed to whoever keeps it; it has no `Debug`, `Display`, `Clone`,
//! `PartialEq` or `Serialize` of its own. The few shapes that answer with one (secret bundles, backups, tokens) write
//! it with a function private to this crate.

use std::io;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

/// Text that wipes itself and can be neither printed nor serialized by accident.
pub struct SecretText(Zeroizing<String>);

impl SecretText {
    /// Takes ownership of `text`; the caller keeps no copy.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// Shows the text; each use is an exit that reviewers read twice.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Gives the text away, still wiping itself.
    pub fn into_exposed(self) -> Zeroizing<String> {
        self.0
    }

    /// How many bytes the text has, which is not a secret.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is nothing inside.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The same text without white space around it.
    pub(crate) fn trimmed(self) -> Self {
        let kept = self.0.trim_ascii();
        if kept.len() == self.0.len() { self } else { Self::new(kept.to_owned()) }
    }
}

impl From<Zeroizing<String>> for SecretText {
    fn from(text: Zeroizing<String>) -> Self {
        Self(text)
    }
}

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

/// Writes the text into an answer; for `serialize_with` on the members that may carry one.
pub(crate) fn write_exposed<S: Serializer>(text: &SecretText, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text.expose())
}

/// Serializes an answer that carries a secret into a buffer that leaves no copy behind when it grows or goes.
pub(crate) fn to_wiped_json(answer: &impl Serialize, expected_bytes: usize) -> Zeroizing<Vec<u8>> {
    let mut buffer = WipedBuffer(Zeroizing::new(Vec::with_capacity(expected_bytes)));
    // Writing to memory cannot fail, and the shapes of this crate have only text for member names.
    serde_json::to_writer(&mut buffer, answer).expect("a shape of this crate always serializes");
    buffer.0
}

/// A growing buffer that wipes the memory it grows out of.
struct WipedBuffer(Zeroizing<Vec<u8>>);

impl io::Write for WipedBuffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let needed = self.0.len() + bytes.len();
        if needed > self.0.capacity() {
            let mut larger = Zeroizing::new(Vec::with_capacity(needed.max(self.0.capacity() * 2)));
            larger.extend_from_slice(&self.0);
            self.0 = larger;
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

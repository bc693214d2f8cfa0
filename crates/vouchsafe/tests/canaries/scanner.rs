//! Finds canaries in bytes, in every spelling in which a secret gets lost by accident.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::path::Path;

use data_encoding::{BASE64, BASE64URL};

/// How many bytes of a needle pick the candidates; canaries are random from their first byte.
const KEY: usize = 8;

/// Texts that must not be found, with what they are.
#[derive(Default)]
pub struct Scanner {
    needles: Vec<(String, Vec<u8>)>,
    by_key: HashMap<[u8; KEY], Vec<usize>>,
    longest: usize,
}

/// Twenty letters and digits that nobody has seen before; with a tilde, which encodings disagree about.
pub fn canary() -> String {
    let letters = letters();
    let (first, second) = letters.split_at(10);
    format!("{first}~{second}")
}

/// A canary that can be the name of a secret or a host.
pub fn name_canary() -> String {
    format!("n{}", letters())
}

fn letters() -> String {
    let alphabet = b"abcdefghijklmnopqrstuvwxyz0123456789";
    let random = || RandomState::new().build_hasher().finish();
    let (mut state, mut text) = (u128::from(random()) << 64 | u128::from(random()), String::new());
    while text.len() < 20 {
        text.push(char::from(alphabet[usize::try_from(state % 36).unwrap()]));
        state /= 36;
    }
    text
}

/// Every spelling of a text that is looked for. Text inside base64 has three of them, by where it begins; what is left
/// of each is the part that does not depend on its neighbours.
pub fn spellings(text: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let hexadecimal = |digits: &[u8; 16]| -> Vec<u8> {
        text.iter()
            .flat_map(|byte| [digits[usize::from(byte >> 4)], digits[usize::from(byte & 15)]])
            .collect()
    };
    let escaped = |all: bool, prefix: &str, upper: bool| -> Vec<u8> {
        let escape =
            |byte: u8| if upper { format!("{prefix}{byte:02X}") } else { format!("{prefix}{byte:02x}") };
        let spell = |byte: &u8| {
            if !all && byte.is_ascii_alphanumeric() { char::from(*byte).to_string() } else { escape(*byte) }
        };
        text.iter().map(spell).collect::<String>().into_bytes()
    };
    let listed = text.iter().map(u8::to_string).collect::<Vec<_>>();
    let mut found = vec![
        ("raw", text.to_vec()),
        ("upper case", text.to_ascii_uppercase()),
        ("hex", hexadecimal(b"0123456789abcdef")),
        ("upper-case hex", hexadecimal(b"0123456789ABCDEF")),
        ("URL-encoded", escaped(false, "%", true)),
        ("lower-case URL-encoded", escaped(false, "%", false)),
        ("wholly URL-encoded", escaped(true, "%", true)),
        ("JSON-escaped", escaped(false, "\\u00", false)),
        ("a debug print of bytes", listed.join(", ").into_bytes()),
        ("a JSON list of bytes", listed.join(",").into_bytes()),
        ("UTF-16", text.iter().flat_map(|byte| [*byte, 0]).collect()),
    ];
    for shift in 0..3 {
        let shifted = [vec![0; shift], text.to_vec()].concat();
        // The first group shares bits with what stands before, the last with what stands behind.
        let (from, to) = ((shift * 8).div_ceil(6), shifted.len() * 8 / 6);
        found.push(("base64", BASE64.encode(&shifted).as_bytes()[from..to].to_vec()));
        found.push(("base64url", BASE64URL.encode(&shifted).as_bytes()[from..to].to_vec()));
    }
    found
}

impl Scanner {
    /// Looks for a text in every spelling from now on.
    pub fn watch(&mut self, what: &str, text: &str) {
        self.watch_bytes(what, text.as_bytes());
    }

    /// Looks for bytes in every spelling from now on.
    pub fn watch_bytes(&mut self, what: &str, bytes: &[u8]) {
        for (spelling, bytes) in spellings(bytes) {
            let key = *bytes.first_chunk::<KEY>().expect("a canary is longer than this");
            self.longest = self.longest.max(bytes.len());
            self.by_key.entry(key).or_default().push(self.needles.len());
            self.needles.push((format!("{what} ({spelling})"), bytes));
        }
    }

    /// What is found, by description.
    pub fn find(&self, bytes: &[u8]) -> Vec<&str> {
        let mut found = Vec::new();
        for (at, window) in bytes.windows(KEY).enumerate() {
            let Some(key) = window.first_chunk::<KEY>() else { continue };
            for needle in self.by_key.get(key).into_iter().flatten() {
                let (what, needle) = &self.needles[*needle];
                if bytes[at..].starts_with(needle) && !found.contains(&what.as_str()) {
                    found.push(what.as_str());
                }
            }
        }
        found
    }

    /// Reads every file below a directory; what is found where, and how many bytes were looked at.
    pub fn find_in_files(&self, directory: &Path, skip: &[&Path]) -> (Vec<String>, u64) {
        let (mut found, mut bytes) = (Vec::new(), 0);
        for entry in std::fs::read_dir(directory).expect("the directory can be read") {
            let entry = entry.expect("an entry can be read");
            let (path, kind) = (entry.path(), entry.file_type().expect("an entry has a kind"));
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            found.extend(self.find(name.as_bytes()).into_iter().map(|what| format!("{what} as a file name")));
            if skip.contains(&path.as_path()) {
            } else if kind.is_dir() {
                let (inside, read) = self.find_in_files(&path, skip);
                found.extend(inside);
                bytes += read;
            } else if kind.is_file() {
                // A log that is being written may shrink or go; nothing else disappears while we look.
                let content = std::fs::read(&path).unwrap_or_default();
                bytes += content.len() as u64;
                found.extend(
                    self.find(&content).into_iter().map(|what| format!("{what} in {}", path.display())),
                );
            }
        }
        (found, bytes)
    }
}

//! Signed checkpoints as files: the newest, replaced whole, and all of them, one note after the other.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use vouchsafe_crypto::merkle::{Checkpoint, NoteSigner, NoteVerifier};

/// The name of the newest checkpoint's file.
pub const NEWEST: &str = "checkpoint";
/// The name of the history's file.
pub const HISTORY: &str = "checkpoints";
/// The name of the file with the verifier key.
pub const KEY: &str = "key.pub";

/// Signs for one log.
pub struct Signer {
    origin: String,
    note: NoteSigner,
}

impl Signer {
    /// Signs as `origin`, which is also the key's name.
    pub fn new(origin: &str, note: NoteSigner) -> Self {
        Self { origin: origin.to_owned(), note }
    }

    /// The signed checkpoint of a size and root.
    pub fn sign(&self, size: u64, root: [u8; 32]) -> String {
        self.note.sign(&Checkpoint { origin: self.origin.clone(), size, root })
    }

    /// What verifies it.
    pub fn vkey(&self) -> String {
        self.note.vkey()
    }
}

/// Opens a note and makes sure that it speaks of this log.
pub fn open_note(verifier: &NoteVerifier, note: &str) -> Result<Checkpoint, String> {
    let checkpoint = verifier.open(note).map_err(|refused| refused.to_string())?;
    if checkpoint.origin == verifier.name() {
        Ok(checkpoint)
    } else {
        Err(format!("it is a checkpoint of `{}`", checkpoint.origin))
    }
}

/// The notes of a history, and how many bytes they take; what follows is a note that was not written to its end.
///
/// A note is text, an empty line, signature lines; the history puts an empty line after each.
pub fn split(history: &str) -> (Vec<&str>, usize) {
    let mut notes = Vec::new();
    let mut whole = 0;
    while let Some(rest) = history.get(whole..) {
        // The first empty line ends the text, the second one the note.
        let Some(end) = rest.match_indices("\n\n").nth(1).map(|(at, _)| at) else { break };
        notes.extend(rest.get(..=end));
        whole += end + 2;
    }
    (notes, whole)
}

/// Adds a note to the history.
pub fn append(history: &mut File, note: &str) -> io::Result<()> {
    history.write_all(format!("{note}\n").as_bytes())
}

/// Opens the history for appending.
pub fn open_history(directory: &Path) -> io::Result<File> {
    std::fs::OpenOptions::new().append(true).create(true).mode(0o600).open(directory.join(HISTORY))
}

/// Replaces the newest checkpoint; readers see the old one or the new one.
pub fn replace(directory: &Path, note: &str) -> io::Result<()> {
    let temporary = directory.join("checkpoint.new");
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(note.as_bytes())?;
    drop(file);
    std::fs::rename(temporary, directory.join(NEWEST))
}

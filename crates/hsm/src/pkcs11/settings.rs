//! Which token, by which module, with which PIN, and how patiently.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use vouchsafe_crypto::{SecretBytes, SecretString};
use zeroize::Zeroizing;

use crate::limits;

/// Which token, and how it is reached.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TokenName {
    /// The PKCS#11 module: an absolute path to a shared library.
    pub module: PathBuf,
    /// The label of the token, if it is to be found by that.
    pub label: Option<String>,
    /// The serial number of the token, if it is to be found by that; both must match if both are given.
    pub serial: Option<String>,
    /// A file with the user's PIN on one line, readable by its owner only. It is read at each login and not kept.
    pub pin_file: PathBuf,
}

/// What is started for each connection: a program that calls [`child::serve`](super::child::serve).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ModuleProgram {
    /// The program.
    pub path: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
}

impl Default for ModuleProgram {
    /// This program itself, also when its file was replaced since it was started.
    fn default() -> Self {
        Self { path: PathBuf::from("/proc/self/exe"), arguments: vec![super::child::COMMAND.into()] }
    }
}

/// What an operator says about a token.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TokenSettings {
    /// The token.
    pub name: TokenName,
    /// What loads its module.
    pub program: ModuleProgram,
    /// How many connections are kept open.
    pub workers: usize,
    /// How long a call may take.
    pub call_deadline: Duration,
    /// How long making or taking over a key may take.
    pub generate_deadline: Duration,
    /// Failures in a row before the token is left alone.
    pub failures_max: u32,
    /// For how long it is then left alone.
    pub cooling: Duration,
}

impl TokenSettings {
    /// The settings for a token with this label, with the default patience.
    pub fn new(module: PathBuf, label: &str, pin_file: PathBuf) -> Self {
        Self {
            name: TokenName { module, label: Some(label.to_owned()), serial: None, pin_file },
            program: ModuleProgram::default(),
            workers: limits::WORKERS,
            call_deadline: limits::CALL_DEADLINE,
            generate_deadline: limits::GENERATE_DEADLINE,
            failures_max: limits::BREAKER_FAILURES,
            cooling: limits::BREAKER_COOLING,
        }
    }
}

impl TokenName {
    /// Refuses what cannot be right, before anything is started.
    pub fn check(&self) -> Result<(), OpenError> {
        if self.label.is_none() && self.serial.is_none() {
            return Err(OpenError::Unnamed);
        }
        if !self.module.is_absolute() || !self.module.is_file() {
            return Err(OpenError::Module(self.module.clone()));
        }
        read_pin(&self.pin_file).map(drop)
    }
}

/// Why a token cannot even be tried.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The settings name no token.
    #[error("name the token by its label or by its serial number")]
    Unnamed,
    /// The module is not there.
    #[error("the PKCS#11 module `{0}` is not a file with an absolute path")]
    Module(PathBuf),
    /// The PIN file is not safe to use.
    #[error("the PIN file `{path}` {problem}", path = .0.display(), problem = .1)]
    Pin(PathBuf, String),
    /// No threads.
    #[error("the threads of the token could not be started: {0}")]
    Threads(#[from] std::io::Error),
}

/// Reads a PIN file, which only its owner may be able to read.
pub fn read_pin(path: &Path) -> Result<SecretString, OpenError> {
    let refuse = |problem: String| OpenError::Pin(path.to_owned(), problem);
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file: File = rustix::fs::open(path, flags, Mode::empty())
        .map_err(|error| refuse(format!("cannot be read: {error}")))?
        .into();
    let metadata = file.metadata().map_err(|error| refuse(format!("cannot be read: {error}")))?;
    if !metadata.is_file() {
        return Err(refuse("is not a regular file".into()));
    }
    if metadata.mode() & 0o077 != 0 {
        let mode = metadata.mode() & 0o777;
        return Err(refuse(format!("has mode {mode:04o}, so others can read it; run `chmod 0600` on it")));
    }
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(refuse("belongs to another user; it must belong to the one that runs the server".into()));
    }
    let mut text = Zeroizing::new(Vec::with_capacity(limits::PIN_BYTES_MAX as usize));
    file.take(limits::PIN_BYTES_MAX)
        .read_to_end(&mut text)
        .map_err(|error| refuse(format!("cannot be read: {error}")))?;
    let line = text.strip_suffix(b"\n").unwrap_or(&text);
    if line.is_empty() || line.iter().any(u8::is_ascii_control) {
        return Err(refuse("is not one line with a PIN".into()));
    }
    SecretString::from_utf8(SecretBytes::new(line.to_vec())).ok_or_else(|| refuse("is not text".into()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use vouchsafe_crypto::Reason;

    use super::*;

    #[test]
    fn a_pin_is_read_from_a_file_that_only_its_owner_can_read() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("pin");
        for (text, mode, good) in [
            ("4711\n", 0o600, true),
            ("4711", 0o400, true),
            ("4711\n", 0o640, false),
            ("4711\n", 0o604, false),
            ("", 0o600, false),
            ("\n", 0o600, false),
            ("47\n11\n", 0o600, false),
        ] {
            let _ = fs::remove_file(&path);
            fs::write(&path, text).expect("written");
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("set");
            let pin = read_pin(&path);
            assert_eq!(pin.is_ok(), good, "{text:?} {mode:o}");
            assert!(pin.is_err() || pin.is_ok_and(|pin| pin.expose(Reason::Test) == "4711"));
        }
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&path, &link).expect("a link");
        assert!(read_pin(&link).is_err(), "a link");
        assert!(read_pin(directory.path()).is_err(), "a directory");
    }
}

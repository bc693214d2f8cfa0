//! Keys in files: a key file, or a credential that systemd hands over (security.md §7.2).
//!
//! Both hold one line of text: `vouchsafe-root-key-1 ` and 64 hexadecimal digits.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use rustix::fs::{Mode, OFlags};
use vouchsafe_crypto::SecretBytes;
use vouchsafe_crypto::envelope::Kek;
use vouchsafe_domain::ports::Entropy;
use zeroize::Zeroizing;

use super::{RootKeyError, RootKeySource, sync_directory};

const LABEL: &str = "vouchsafe-root-key-1 ";
const KEY_BYTES: usize = 32;
/// Label, digits and a line ending, with room for what an editor may add.
const FILE_BYTES_MAX: u64 = 256;

impl RootKeySource {
    /// Reads the key that lies in the file or credential.
    pub fn load(&self) -> Result<Kek, RootKeyError> {
        let path = self.path()?;
        let file =
            open(&path).map_err(|source| RootKeyError::File { path: path.clone(), verb: "read", source })?;
        let refuse = |problem: &str| RootKeyError::Unsafe { path: path.clone(), problem: problem.into() };
        let read_error = |source| RootKeyError::File { path: path.clone(), verb: "read", source };
        let metadata = file.metadata().map_err(read_error)?;
        if !metadata.is_file() {
            return Err(refuse("is not a regular file"));
        }
        // systemd decides who may read a credential, by owner or by access list; a key file has only its mode.
        if let Self::KeyFile(_) = self {
            if metadata.mode() & 0o077 != 0 {
                let mode = metadata.mode() & 0o777;
                return Err(refuse(&format!(
                    "has mode {mode:04o}, so others can read it; run `chmod 0600` on it"
                )));
            }
            if metadata.uid() != rustix::process::geteuid().as_raw() {
                return Err(refuse(
                    "belongs to another user; it must belong to the one that runs the server",
                ));
            }
        }
        let mut text = Zeroizing::new(Vec::with_capacity(FILE_BYTES_MAX as usize));
        file.take(FILE_BYTES_MAX).read_to_end(&mut text).map_err(read_error)?;
        parse(&text)
            .ok_or_else(|| refuse("is not one line `vouchsafe-root-key-1 ` with 64 hexadecimal digits"))
    }

    /// Makes a new key and keeps it, when this kind of source can; a systemd credential must exist already.
    pub fn create(&self, entropy: &dyn Entropy) -> Result<Kek, RootKeyError> {
        let path = self.path()?;
        if let Self::SystemdCredential(..) = self {
            return self.load();
        }
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        entropy.fill(&mut *key);
        let text = Zeroizing::new(format!("{LABEL}{}\n", *Zeroizing::new(HEXLOWER.encode(&*key))));
        let written = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
            .and_then(|()| sync_directory(path.parent().unwrap_or(Path::new("."))));
        written.map_err(|source| RootKeyError::File { path, verb: "created", source })?;
        self.load()
    }

    fn path(&self) -> Result<PathBuf, RootKeyError> {
        match self {
            Self::KeyFile(path) => Ok(path.clone()),
            Self::SystemdCredential(name, directory) => {
                let path = directory.join(name);
                if name.is_empty() || name.starts_with('.') || name.contains('/') {
                    return Err(RootKeyError::Unsafe {
                        path,
                        problem: "is not the name of a credential".into(),
                    });
                }
                Ok(path)
            }
            other => Err(RootKeyError::Refused(format!("a `{}` provider is not a file", other.kind()))),
        }
    }
}

/// Opens without following a symbolic link, and without waiting for whoever holds the other end of a pipe.
fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?.into())
}

fn parse(text: &[u8]) -> Option<Kek> {
    let line = text.strip_suffix(b"\n").unwrap_or(text);
    let digits = line.strip_prefix(LABEL.as_bytes())?;
    let key = SecretBytes::new(HEXLOWER.decode(digits).ok()?);
    Kek::from_secret(key)
}

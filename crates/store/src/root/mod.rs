//! Where the root key comes from (architecture.md §6, security.md §7.1 and §7.2).
//!
//! The deployment's root key is random and lies nowhere in the clear. The [`record`] in the data directory holds it once
//! per provider, each time sealed under a key that only that provider gives: a [key file or systemd credential](file),
//! a [passphrase](passphrase), a key in a [token](wrapper), a [TPM](tpm), a [quorum of custodians](quorum). Any one of them opens the deployment, so one can start it
//! unattended while another is kept for the day when the first is lost.
//!
//! A deployment without a record is of the first layout: its key file or credential holds the root key itself. A key is
//! only ever made by an explicit initialisation; one that is missing or unreadable is an error, never a reason to make
//! another.

use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use vouchsafe_crypto::SecretBytes;
use vouchsafe_crypto::envelope::{Kek, derive};

pub mod file;
pub mod passphrase;
pub mod quorum;
pub mod record;
pub mod tpm;
pub mod wrapper;

pub use passphrase::{Cost, Passphrase};
pub use quorum::{Custodian, OpenedShare, Recovery, ShareFile, Shares};
pub use record::{Provider, ProviderKind, RootRecord};
pub use tpm::TpmSource;
pub use wrapper::{RootWrapper, WrapError};

/// One place that the root key can come from, for opening and for sealing.
#[derive(Clone)]
pub enum RootKeySource {
    /// A file that only its owner can read. For development, and where nothing better exists.
    KeyFile(PathBuf),
    /// A systemd credential: its name, and the directory that `$CREDENTIALS_DIRECTORY` names.
    SystemdCredential(String, PathBuf),
    /// What a person remembers.
    Passphrase(Passphrase),
    /// A key that never leaves a token.
    Token(Arc<dyn RootWrapper>),
    /// A key that a TPM 2.0 unseals.
    Tpm(TpmSource),
    /// The shares of a recovery quorum. For opening only.
    Quorum(Shares),
}

impl RootKeySource {
    /// Which kind of provider it is.
    pub fn kind(&self) -> ProviderKind {
        match self {
            Self::KeyFile(_) => ProviderKind::File,
            Self::SystemdCredential(..) => ProviderKind::Systemd,
            Self::Passphrase(_) => ProviderKind::Passphrase,
            Self::Token(_) => ProviderKind::Pkcs11,
            Self::Tpm(_) => ProviderKind::Tpm,
            Self::Quorum(_) => ProviderKind::Recovery,
        }
    }
}

impl fmt::Debug for RootKeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KeyFile(path) => f.debug_tuple("KeyFile").field(path).finish(),
            Self::SystemdCredential(name, directory) => {
                f.debug_tuple("SystemdCredential").field(name).field(directory).finish()
            }
            Self::Passphrase(_) => f.write_str("Passphrase"),
            Self::Token(token) => f.debug_tuple("Token").field(&token.describe()).finish(),
            Self::Tpm(tpm) => tpm.fmt(f),
            Self::Quorum(shares) => f.debug_tuple("Quorum").field(shares).finish(),
        }
    }
}

/// Why there is no root key.
#[derive(Debug, thiserror::Error)]
pub enum RootKeyError {
    /// The file could not be read or written.
    #[error("the root key `{}` cannot be {verb}: {source}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// `read` or `created`.
        verb: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not safe to use.
    #[error("the root key `{}` {problem}", path.display())]
    Unsafe {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it and what to do.
        problem: String,
    },
    /// The record of providers cannot be used.
    #[error("the root record `{}` {problem}", path.display())]
    Record {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it and what to do.
        problem: String,
    },
    /// A provider did not give its key, or not the right one.
    #[error("the provider `{provider}` does not open the root key: {problem}")]
    Provider {
        /// Its name in the record.
        provider: String,
        /// Why, and what to do.
        problem: String,
    },
    /// The record has no such provider.
    #[error("no provider of the kind `{wanted}` can open this deployment; it has: {present}")]
    NoProvider {
        /// What was asked for.
        wanted: ProviderKind,
        /// What there is.
        present: String,
    },
    /// What was asked for makes no sense.
    #[error("{0}")]
    Refused(String),
}

/// The root key and what is kept under it. In memory only.
pub struct RootKeys {
    root: Kek,
    /// The root that a replacement has not finished to replace: the deployment's ring may still be under it.
    previous: Option<Kek>,
    carried: Carried,
}

/// Keys that stay when the root key is replaced: what they made cannot be made anew (names at rest), or is proved by
/// others (the log's signatures, backups).
struct Carried {
    names: SecretBytes,
    audit: SecretBytes,
    backup: SecretBytes,
}

impl Carried {
    fn bytes(&self) -> SecretBytes {
        let parts = [&self.names, &self.audit, &self.backup];
        SecretBytes::new(parts.map(|part| part.expose(vouchsafe_crypto::Reason::Record)).concat())
    }
}

impl RootKeys {
    /// The keys of a deployment whose root was never replaced: all are derived from it.
    pub fn of(root: Kek) -> Self {
        let carried = Carried {
            names: derive(&root, "names at rest"),
            audit: derive(&root, "audit checkpoint signing"),
            backup: derive(&root, "object backup"),
        };
        Self { root, previous: None, carried }
    }

    /// Another root, with everything that stays kept under it, until the ring is under it too.
    fn replaced_by(self, root: Kek) -> Self {
        Self { root, previous: Some(self.root), carried: self.carried }
    }

    /// Whether a replacement of the root has not been finished.
    pub(crate) fn is_between_roots(&self) -> bool {
        self.previous.is_some()
    }

    /// The root key itself.
    pub(crate) fn root(&self) -> &Kek {
        &self.root
    }

    /// What wraps the deployment's key ring: under the root, and under the one before if its replacement was broken off.
    pub(crate) fn ring_keys(&self) -> Option<(Kek, Option<Kek>)> {
        let wrapping = |root: &Kek| Kek::from_secret(derive(root, "deployment key ring"));
        let previous = match &self.previous {
            Some(previous) => Some(wrapping(previous)?),
            None => None,
        };
        Some((wrapping(&self.root)?, previous))
    }

    /// The key of names at rest.
    pub(crate) fn names(&self) -> SecretBytes {
        copy(&self.carried.names)
    }

    /// The seed of the log's signing key.
    pub(crate) fn audit(&self) -> &SecretBytes {
        &self.carried.audit
    }

    /// The key that seals backups of single objects.
    pub(crate) fn backup(&self) -> Option<Kek> {
        Kek::from_secret(copy(&self.carried.backup))
    }
}

fn copy(secret: &SecretBytes) -> SecretBytes {
    SecretBytes::new(secret.expose(vouchsafe_crypto::Reason::Cipher).to_vec())
}

/// Makes the names in a directory as durable as the files they name.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    File::open(path)?.sync_all()
}

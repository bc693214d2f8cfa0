//! The administrators' socket, where the kernel's word about the caller is the login (unix(7), `SO_PEERCRED`).
//!
//! Only the user that runs the server, and root, get in. The file's mode says so, and each accepted connection is
//! checked again, because a mode can be changed by mistake.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};

use crate::http::plane::KernelPeer;

/// How long a socket that exists may take to answer before it counts as alive.
const PROBE: Duration = Duration::from_secs(1);

/// Why the socket cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Another server answers there.
    #[error("`{0}` is in use by another server; stop it first, or choose another path")]
    Alive(String),
    /// Something else lies there.
    #[error("`{0}` exists and is not a socket; remove it, or choose another path")]
    NotASocket(String),
    /// The directory lets others in.
    #[error("`{0}` must be a directory of the server's user with mode 0700")]
    OpenDirectory(String),
    /// The system refused.
    #[error("`{path}` could not be opened: {source}")]
    System {
        /// The path.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
}

/// A bound socket; the file goes when this does.
pub struct AdminSocket {
    listener: UnixListener,
    path: PathBuf,
    inode: (u64, u64),
    owner: u32,
}

impl AdminSocket {
    /// Binds the socket; makes its directory when there is none, and replaces a file that a dead server left.
    pub async fn bind(path: &Path) -> Result<Self, SocketError> {
        let shown = || path.display().to_string();
        let failed = |source| SocketError::System { path: shown(), source };
        let owner = rustix::process::geteuid().as_raw();
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let directory = directory.unwrap_or(Path::new("."));
        if !directory.exists() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed)?;
        }
        let about = fs::metadata(directory).map_err(failed)?;
        // The directory is what keeps others out between binding the socket and setting its mode.
        if !about.is_dir() || about.mode() & 0o077 != 0 || ![0, owner].contains(&about.uid()) {
            return Err(SocketError::OpenDirectory(directory.display().to_string()));
        }
        if let Ok(about) = fs::symlink_metadata(path) {
            if !about.file_type().is_socket() {
                return Err(SocketError::NotASocket(shown()));
            }
            match tokio::time::timeout(PROBE, UnixStream::connect(path)).await {
                Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                    fs::remove_file(path).map_err(failed)?;
                }
                // Also when it is too busy to answer: somebody is there.
                _ => return Err(SocketError::Alive(shown())),
            }
        }
        let listener = UnixListener::bind(path).map_err(failed)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(failed)?;
        let about = fs::symlink_metadata(path).map_err(failed)?;
        Ok(Self { listener, path: path.to_owned(), inode: (about.dev(), about.ino()), owner })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn listener(&self) -> &UnixListener {
        &self.listener
    }

    /// The process at the other end, if it may come in.
    pub(super) fn admit(&self, stream: &UnixStream) -> Option<KernelPeer> {
        let peer = match stream.peer_cred() {
            Ok(credentials) => {
                KernelPeer { uid: credentials.uid(), gid: credentials.gid(), pid: credentials.pid() }
            }
            Err(error) => {
                tracing::error!(%error, "the kernel does not say who connected to the administrators' socket");
                return None;
            }
        };
        if may_enter(peer.uid, self.owner) {
            return Some(peer);
        }
        let KernelPeer { uid, gid, pid } = peer;
        tracing::warn!(uid, gid, pid, "a process of another user was refused at the administrators' socket");
        None
    }
}

fn may_enter(uid: u32, owner: u32) -> bool {
    uid == 0 || uid == owner
}

impl Drop for AdminSocket {
    fn drop(&mut self) {
        // Only our own file: another server may have bound the path since.
        let ours =
            fs::symlink_metadata(&self.path).is_ok_and(|about| (about.dev(), about.ino()) == self.inode);
        if ours && let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!(%error, "the administrators' socket could not be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_owner_and_root_may_enter() {
        assert!(may_enter(0, 1000) && may_enter(1000, 1000));
        assert!(!may_enter(1001, 1000) && !may_enter(65_534, 0));
    }

    #[tokio::test]
    async fn a_dead_servers_socket_is_replaced_and_a_live_one_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run/admin.sock");
        let first = AdminSocket::bind(&path).await.unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().mode() & 0o777, 0o700);
        assert!(matches!(AdminSocket::bind(&path).await, Err(SocketError::Alive(_))));
        drop(first);
        assert!(!path.exists());

        // What a killed server leaves behind: a file that nobody listens on.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let second = AdminSocket::bind(&path).await.unwrap();

        fs::remove_file(&path).unwrap();
        let third = AdminSocket::bind(&path).await.unwrap();
        drop(second);
        assert!(path.exists(), "an old server must not remove a new one's socket");
        drop(third);
    }

    #[tokio::test]
    async fn a_file_or_an_open_directory_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let path = directory.path().join("admin.sock");
        fs::write(&path, "precious").unwrap();
        assert!(matches!(AdminSocket::bind(&path).await, Err(SocketError::NotASocket(_))));
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o750)).unwrap();
        let other = directory.path().join("other.sock");
        assert!(matches!(AdminSocket::bind(&other).await, Err(SocketError::OpenDirectory(_))));
    }
}

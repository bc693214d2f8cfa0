//! The running executable: the inode that the kernel runs, not whatever its path leads to by now.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use data_encoding::HEXLOWER;
use rustix::fs::{AtFlags, Mode, OFlags};

use super::{ProcessPin, Refusal};
use crate::Clock;
use crate::limits::{EXECUTABLE_BYTES_MAX, EXECUTABLES_REMEMBERED_MAX};

/// `FUSE_SUPER_MAGIC` of `linux/magic.h`.
const FUSE: u64 = 0x6573_5546;
/// How old the last change of a file must be before its digest is remembered: two writes within one tick of the file
/// system's clock leave the same time behind.
const SETTLED_SECONDS: i64 = 2;

/// An open executable that some process runs.
pub(super) struct Executable {
    path: String,
    file: Arc<File>,
    state: FileState,
}

/// Which file, in which state.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
struct FileState {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl FileState {
    #[expect(clippy::unnecessary_cast, reason = "the widths of `stat` differ between architectures")]
    fn of(stat: &rustix::fs::Stat) -> Self {
        Self {
            device: stat.st_dev as u64,
            inode: stat.st_ino as u64,
            size: u64::try_from(stat.st_size).unwrap_or(u64::MAX),
            modified: (stat.st_mtime as i64, stat.st_mtime_nsec as i64),
            changed: (stat.st_ctime as i64, stat.st_ctime_nsec as i64),
        }
    }

    fn is_same_file(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }
}

impl Executable {
    pub(super) fn of(process: &ProcessPin) -> Result<Self, Refusal> {
        let unreadable = || Refusal::unreadable("the executable");
        let link = rustix::fs::readlinkat(process.directory(), "exe", Vec::with_capacity(256))
            .map_err(|error| unreadable()(error.into()))?;
        // Lossy is safe: a path with U+FFFD in it does not lead to the same file.
        let path = String::from_utf8_lossy(link.as_bytes()).into_owned();
        let file =
            rustix::fs::openat(process.directory(), "exe", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
                .map_err(|error| unreadable()(error.into()))?;
        let stat = rustix::fs::fstat(&file).map_err(|error| unreadable()(error.into()))?;
        let state = FileState::of(&stat);
        if path.starts_with("/memfd:") {
            return Err(Refusal::Memory(path));
        }
        if stat.st_nlink == 0 {
            return Err(Refusal::Deleted(path.trim_end_matches(" (deleted)").to_owned()));
        }
        // SECURITY: the kernel prints the path as the process sees it. Anyone may make a mount namespace in which
        // `/usr/bin/trusted` is a program of their own; the path counts only if it leads there for us too.
        match rustix::fs::stat(path.as_str()) {
            Ok(ours) if FileState::of(&ours).is_same_file(&state) => {}
            _ if path.ends_with(" (deleted)") => {
                return Err(Refusal::Deleted(path.trim_end_matches(" (deleted)").to_owned()));
            }
            _ => return Err(Refusal::OtherPath(path)),
        }
        let file = File::from(file);
        // SECURITY: whoever serves a FUSE file system can show one content to `execve` and another to us.
        if is_served_by_user(&file, state.device).map_err(unreadable())? {
            return Err(Refusal::UserFileSystem(path));
        }
        Ok(Self { path, file: Arc::new(file), state })
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Whether `process` runs this file, and nobody renamed it away or deleted it.
    pub(super) fn is_still_run_by(&self, process: &ProcessPin) -> bool {
        let now = rustix::fs::statat(process.directory(), "exe", AtFlags::empty());
        now.is_ok_and(|stat| FileState::of(&stat).is_same_file(&self.state))
    }
}

fn is_served_by_user(file: &File, device: u64) -> io::Result<bool> {
    let kind = rustix::fs::fstatfs(file)?.f_type;
    if u64::try_from(kind).ok() != Some(FUSE) {
        return Ok(false);
    }
    let number = format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device));
    let mounts = std::fs::read_to_string(Path::new("/proc/self/mountinfo"))?;
    let line = mounts.lines().find(|line| line.split(' ').nth(2) == Some(number.as_str()));
    let options = line.and_then(|line| line.rsplit(' ').next());
    // Without the option it is a virtio file system, which the machine's own host serves.
    let owner =
        options.and_then(|options| options.split(',').find_map(|option| option.strip_prefix("user_id=")));
    Ok(line.is_none() || owner.is_some_and(|uid| uid != "0"))
}

/// SHA-256 of executables, remembered as long as the file's inode and times stay.
pub(super) struct Digests {
    known: moka::sync::Cache<FileState, String>,
    clock: Arc<dyn Clock>,
}

impl Digests {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { known: moka::sync::Cache::new(EXECUTABLES_REMEMBERED_MAX), clock }
    }

    pub(super) async fn of(self: &Arc<Self>, executable: &Executable) -> Result<String, Refusal> {
        if let Some(digest) = self.known.get(&executable.state) {
            return Ok(digest);
        }
        if executable.state.size > EXECUTABLE_BYTES_MAX {
            return Err(Refusal::TooLarge(executable.path.clone()));
        }
        let (digests, file, state) = (Arc::clone(self), Arc::clone(&executable.file), executable.state);
        let now = i64::try_from(self.clock.now_seconds()).unwrap_or(i64::MAX);
        let settled = now.saturating_sub(state.changed.0) >= SETTLED_SECONDS;
        let hashing = tokio::task::spawn_blocking(move || {
            if settled {
                // Callers of one program at once hash it once.
                digests
                    .known
                    .try_get_with(state, || sha256(&file))
                    .map_err(|error| io::Error::other(error.to_string()))
            } else {
                sha256(&file)
            }
        });
        let digest = hashing.await.map_err(|error| Refusal::Unreadable(error.to_string()))?;
        digest.map_err(Refusal::unreadable("the executable"))
    }
}

fn sha256(file: &File) -> io::Result<String> {
    use std::os::unix::fs::FileExt;

    struct FromStart<'a>(&'a File, u64);
    impl Read for FromStart<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            // Several connections may share the open file, so its position is not used.
            let count = self.0.read_at(buffer, self.1)?;
            self.1 += count as u64;
            Ok(count)
        }
    }

    let mut reader = FromStart(file, 0).take(EXECUTABLE_BYTES_MAX + 1);
    let mut context = Context::new(&SHA256);
    let mut buffer = vec![0; 128 * 1024];
    loop {
        let count = reader.read(&mut buffer)?;
        match buffer.get(..count) {
            None | Some([]) => break,
            Some(bytes) => context.update(bytes),
        }
    }
    if reader.limit() == 0 {
        return Err(io::Error::from(io::ErrorKind::FileTooLarge));
    }
    Ok(HEXLOWER.encode(context.finish().as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_that_of_the_whole_file() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        io::Write::write_all(&mut file, b"abc").unwrap();
        // FIPS 180-4, appendix B.1.
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256(file.as_file()).unwrap(), expected);
        assert_eq!(sha256(file.as_file()).unwrap(), expected);
    }
}

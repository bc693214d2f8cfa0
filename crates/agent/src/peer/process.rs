//! One process, pinned, and what `/proc` says about it.
//!
//! A pidfd and an open `/proc/PID` directory both go on meaning the process that they were opened for: when it is
//! gone, reads through the directory fail, also when the number is in use again.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::retry_on_intr;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::{Refusal, holder};
use crate::limits::{ANCESTORS_MAX, PROC_BYTES_MAX};

/// A process that cannot be confused with a later one of the same number.
pub(crate) struct ProcessPin {
    pid: u32,
    pidfd: OwnedFd,
    directory: OwnedFd,
}

/// What changes when a process is replaced or replaces its program.
///
/// `execve` keeps pid, start time and descriptors, but lays the new image out elsewhere: with address space
/// randomisation these addresses repeat with negligible probability.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Fingerprint {
    start_time: u64,
    layout: [u64; 7],
}

/// The ids that a process acts with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Ids {
    /// The effective user id.
    pub(crate) uid: u32,
    /// The effective group id.
    pub(crate) gid: u32,
}

/// A process as a place in the tree of processes.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Birth {
    pub(crate) pid: u32,
    /// In clock ticks since boot; tells apart two processes that had the same number.
    pub(crate) start_time: u64,
}

struct Stat {
    parent: u32,
    start_time: u64,
    layout: [u64; 7],
}

impl ProcessPin {
    pub(crate) fn open(pid: u32) -> io::Result<Self> {
        let number = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let number = number.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        let pidfd = pidfd_open(number, PidfdFlags::empty())?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(format!("/proc/{pid}"), flags, Mode::empty())?;
        let pin = Self { pid, pidfd, directory };
        // INVARIANT: both handles mean the same process. The pidfd's process held the number before the directory
        // was opened; if it has not ended yet, it held it all the time.
        if pin.has_exited() {
            return Err(io::Error::from(io::ErrorKind::NotFound));
        }
        Ok(pin)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether the process has ended; a zombie has.
    pub(crate) fn has_exited(&self) -> bool {
        let mut fds = [PollFd::new(&self.pidfd, PollFlags::IN)];
        // A signal that is pending for this thread interrupts even a poll that does not wait.
        let ready = retry_on_intr(|| poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })));
        // An error would leave us without knowledge, and then it is safer to think so.
        !matches!(ready, Ok(0))
    }

    /// A second handle that becomes readable when the process ends.
    pub(crate) fn exit_handle(&self) -> io::Result<OwnedFd> {
        self.pidfd.as_fd().try_clone_to_owned()
    }

    pub(super) fn directory(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }

    pub(super) fn fingerprint(&self) -> Result<Fingerprint, Refusal> {
        let stat = self.stat().map_err(Refusal::unreadable("stat"))?;
        if stat.layout.iter().all(|address| *address <= 1) {
            // The kernel hides the layout from those who may not trace the process.
            return Err(Refusal::Unreadable(
                "stat: the memory layout is hidden; run the agent as root".to_owned(),
            ));
        }
        Ok(Fingerprint { start_time: stat.start_time, layout: stat.layout })
    }

    pub(crate) fn birth(&self) -> io::Result<Birth> {
        Ok(Birth { pid: self.pid, start_time: self.stat()?.start_time })
    }

    /// The process itself, its parent, and so on upwards, as far as start times make sense.
    pub(crate) fn lineage(&self) -> Vec<Birth> {
        let mut line = Vec::new();
        let Ok(mut stat) = self.stat() else { return line };
        let mut pid = self.pid;
        while line.len() < ANCESTORS_MAX {
            line.push(Birth { pid, start_time: stat.start_time });
            let Ok(parent) = Self::open(stat.parent).and_then(|parent| parent.stat()) else { break };
            // A number that is in use again belongs to a younger process, which cannot be the parent.
            if parent.start_time > stat.start_time {
                break;
            }
            pid = stat.parent;
            stat = parent;
        }
        line
    }

    pub(crate) fn ids(&self) -> Result<Ids, Refusal> {
        let status = self.read("status").map_err(Refusal::unreadable("status"))?;
        let text = String::from_utf8_lossy(&status);
        let effective = |label: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(label))?;
            line.split_ascii_whitespace().nth(1)?.parse().ok()
        };
        match (effective("Uid:"), effective("Gid:")) {
            (Some(uid), Some(gid)) => Ok(Ids { uid, gid }),
            _ => Err(Refusal::Unreadable("status: no ids".to_owned())),
        }
    }

    /// Whether descriptor `fd` is the socket `inode`.
    pub(super) fn holds(&self, fd: u32, inode: u32) -> bool {
        let link = rustix::fs::readlinkat(&self.directory, format!("fd/{fd}"), Vec::with_capacity(64));
        link.is_ok_and(|link| holder::socket_inode(link.as_bytes()) == Some(inode))
    }

    /// Whether descriptor `fd` closes on exec (`man 5 proc_pid_fdinfo`: octal flags).
    pub(super) fn is_close_on_exec(&self, fd: u32) -> Result<bool, Refusal> {
        let info = self.read(&format!("fdinfo/{fd}")).map_err(Refusal::unreadable("fdinfo"))?;
        let text = String::from_utf8_lossy(&info);
        let flags = text.lines().find_map(|line| line.strip_prefix("flags:"));
        let flags = flags.and_then(|octal| u32::from_str_radix(octal.trim(), 8).ok());
        let flags = flags.ok_or_else(|| Refusal::Unreadable("fdinfo: no flags".to_owned()))?;
        Ok(OFlags::from_bits_retain(flags).contains(OFlags::CLOEXEC))
    }

    /// The control group path and the systemd unit in it.
    pub(super) fn cgroup(&self) -> Result<(Option<String>, Option<String>), Refusal> {
        let bytes = self.read("cgroup").map_err(Refusal::unreadable("cgroup"))?;
        let path = cgroup_path(&String::from_utf8_lossy(&bytes));
        let unit = path.as_deref().and_then(systemd_unit);
        Ok((path, unit))
    }

    fn stat(&self) -> io::Result<Stat> {
        let bytes = self.read("stat")?;
        parse_stat(&bytes).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.directory, name, flags, Mode::empty())?;
        let mut bytes = vec![0; 4096];
        let mut length = 0;
        loop {
            let Some(room) = bytes.get_mut(length..).filter(|room| !room.is_empty()) else {
                if length >= PROC_BYTES_MAX {
                    return Err(io::Error::from(io::ErrorKind::FileTooLarge));
                }
                bytes.resize(length * 2, 0);
                continue;
            };
            match rustix::io::read(&file, room)? {
                0 => break,
                count => length += count,
            }
        }
        bytes.truncate(length);
        Ok(bytes)
    }
}

/// Reads `man 5 proc_pid_stat`; the program's name, in parentheses, may hold anything, parentheses included.
fn parse_stat(bytes: &[u8]) -> Option<Stat> {
    let end_of_name = bytes.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(bytes.get(end_of_name + 1..)?).ok()?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    // The manual counts from 1, and the state, behind the name, is 3.
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    Some(Stat {
        parent: u32::try_from(field(4)?).ok()?,
        start_time: field(22)?,
        layout: [field(26)?, field(27)?, field(28)?, field(45)?, field(47)?, field(48)?, field(50)?],
    })
}

/// The unified path; where there is none, that of systemd's own hierarchy. The root says nothing.
fn cgroup_path(text: &str) -> Option<String> {
    let after = |prefix: &str| {
        text.lines().find_map(|line| line.split_once(':').and_then(|(_, rest)| rest.strip_prefix(prefix)))
    };
    let says = |path: &&str| path.len() > 1;
    after(":").filter(says).or_else(|| after("name=systemd:").filter(says)).map(str::to_owned)
}

/// The system unit: the first component below the slices.
///
/// SECURITY: not the last one. A user may make control groups of any name below their own `user@UID.service`.
fn systemd_unit(path: &str) -> Option<String> {
    let first = path.split('/').find(|part| !part.is_empty() && !part.ends_with(".slice"))?;
    let is_unit =
        [".service", ".scope", ".socket", ".mount", ".swap"].iter().any(|kind| first.ends_with(kind));
    is_unit.then(|| first.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_full_of_parentheses_does_not_move_the_fields() {
        let mut line = b"42 (a) R 1 (b) S 7 ".to_vec();
        let rest: Vec<String> = (5..=52).map(|number| number.to_string()).collect();
        line.extend_from_slice(rest.join(" ").as_bytes());
        let stat = parse_stat(&line).unwrap();
        assert_eq!((stat.parent, stat.start_time), (7, 22));
        assert_eq!(stat.layout, [26, 27, 28, 45, 47, 48, 50]);
        assert!(parse_stat(b"42 (a) R 1 2 3").is_none());
        assert!(parse_stat(b"").is_none());
    }

    #[test]
    fn the_unit_is_the_one_that_the_system_started() {
        for (path, unit) in [
            ("/system.slice/nginx.service", Some("nginx.service")),
            ("/system.slice/system-getty.slice/getty@tty1.service", Some("getty@tty1.service")),
            ("/system.slice/app.service/worker", Some("app.service")),
            (
                "/user.slice/user-1000.slice/user@1000.service/app.slice/nginx.service",
                Some("user@1000.service"),
            ),
            ("/user.slice/user-1000.slice/session-2.scope", Some("session-2.scope")),
            ("/init.scope", Some("init.scope")),
            ("/kubepods/pod1", None),
            ("/docker/nginx.service", None),
        ] {
            assert_eq!(systemd_unit(path).as_deref(), unit, "{path}");
        }
    }

    #[test]
    fn the_unified_path_comes_first_and_the_root_says_nothing() {
        assert_eq!(cgroup_path("9:name=systemd:/a.service\n0::/b.service\n").as_deref(), Some("/b.service"));
        assert_eq!(cgroup_path("9:name=systemd:/a.service\n0::/\n").as_deref(), Some("/a.service"));
        assert_eq!(cgroup_path("9:name=systemd:/\n4:memory:/x\n0::/\n"), None);
        assert_eq!(cgroup_path("0::/a:b\n").as_deref(), Some("/a:b"));
    }

    #[test]
    fn this_process_is_its_own_first_ancestor() {
        let me = ProcessPin::open(std::process::id()).unwrap();
        let line = me.lineage();
        assert_eq!(line[0], me.birth().unwrap());
        assert_eq!(line[1].pid, std::os::unix::process::parent_id());
        assert!(!me.has_exited());
    }
}

//! Which processes hold a socket: the only way to ask is to look through `/proc/*/fd`.
//!
//! One thread looks, and everybody who asks while it looks shares the next round, so that a hundred connections at
//! once cost two rounds and not a hundred.

use std::collections::HashMap;
use std::ffi::CStr;
use std::io;
use std::sync::mpsc;

use rustix::fs::{Dir, Mode, OFlags};
use tokio::sync::oneshot;

use super::Refusal;

/// The most questions that one round answers.
const ROUND_MAX: usize = 1024;

/// A process and its descriptors of the socket in question.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Holder {
    pub(super) pid: u32,
    pub(super) fds: Vec<u32>,
}

struct Question {
    inode: u32,
    answer: oneshot::Sender<Result<Vec<Holder>, String>>,
}

/// The thread that looks; it ends when this is dropped.
pub(super) struct Holders {
    questions: mpsc::Sender<Question>,
}

impl Holders {
    pub(super) fn start() -> io::Result<Self> {
        let (questions, inbox) = mpsc::channel::<Question>();
        std::thread::Builder::new().name("holders".to_owned()).spawn(move || {
            while let Ok(first) = inbox.recv() {
                let mut round = vec![first];
                while round.len() < ROUND_MAX {
                    let Ok(next) = inbox.try_recv() else { break };
                    round.push(next);
                }
                answer(round);
            }
        })?;
        Ok(Self { questions })
    }

    /// Every process that holds the socket now and may be inspected.
    pub(super) async fn of(&self, inode: u32) -> Result<Vec<Holder>, Refusal> {
        let gone = || Refusal::Unreadable("the thread that reads /proc has ended".to_owned());
        let (answer, answered) = oneshot::channel();
        self.questions.send(Question { inode, answer }).map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?.map_err(Refusal::Unreadable)
    }
}

fn answer(round: Vec<Question>) {
    let mut found: HashMap<u32, Vec<Holder>> = round.iter().map(|q| (q.inode, Vec::new())).collect();
    let result = look(&mut found).map_err(|error| format!("/proc: {error}"));
    for question in round {
        let holders = result.clone().map(|()| found.get(&question.inode).cloned().unwrap_or_default());
        // Whoever asked may have gone.
        let _ = question.answer.send(holders);
    }
}

fn look(found: &mut HashMap<u32, Vec<Holder>>) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let proc = rustix::fs::open("/proc", flags, Mode::empty())?;
    let mut path = String::new();
    let mut link = Vec::with_capacity(64);
    for entry in Dir::read_from(&proc)? {
        let entry = entry?;
        let Some(pid) = number(entry.file_name()) else { continue };
        path.clear();
        path.push_str(&pid.to_string());
        path.push_str("/fd");
        // A process may end, or belong to somebody whom we may not inspect.
        let Ok(fds) = rustix::fs::openat(&proc, path.as_str(), flags, Mode::empty()) else { continue };
        let Ok(entries) = Dir::read_from(&fds) else { continue };
        for entry in entries {
            let Ok(entry) = entry else { break };
            let Some(fd) = number(entry.file_name()) else { continue };
            link.clear();
            let Ok(target) = rustix::fs::readlinkat(&fds, entry.file_name(), std::mem::take(&mut link))
            else {
                continue;
            };
            if let Some(holders) = socket_inode(target.as_bytes()).and_then(|inode| found.get_mut(&inode)) {
                match holders.last_mut() {
                    Some(holder) if holder.pid == pid => holder.fds.push(fd),
                    _ => holders.push(Holder { pid, fds: vec![fd] }),
                }
            }
            link = target.into_bytes();
        }
    }
    Ok(())
}

fn number(name: &CStr) -> Option<u32> {
    name.to_str().ok()?.parse().ok()
}

/// Reads `socket:[123]`.
pub(super) fn socket_inode(link: &[u8]) -> Option<u32> {
    let digits = link.strip_prefix(b"socket:[")?.strip_suffix(b"]")?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sockets_are_sockets() {
        assert_eq!(socket_inode(b"socket:[47796]"), Some(47796));
        for link in
            [&b"pipe:[47796]"[..], b"socket:[]", b"socket:[-1]", b"socket:[1] (deleted)", b"/socket:[1]"]
        {
            assert_eq!(socket_inode(link), None);
        }
    }
}

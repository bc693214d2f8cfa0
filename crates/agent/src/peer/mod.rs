//! Who holds the other end of a loopback connection, as the kernel tells it.
//!
//! Socket diagnostics name the client's socket (inode and the uid that created it); `/proc` names the process that
//! holds it; the process is pinned by a pidfd and by an open `/proc/PID` directory, neither of which can come to mean
//! another process. Everything is read, and then it is confirmed that the same image of the same process still holds
//! the socket. [`Attested::still_same`] repeats that before every answer.
//!
//! What this refuses, and why:
//! - several holders: a forked child or a passed descriptor would make the answer ambiguous;
//! - a socket created by another uid than its holder has now: it was handed over, or the holder changed user;
//! - an executable that is deleted or in memory only, or whose path leads elsewhere in our own view of the file
//!   system: a private mount namespace can put anything at `/usr/bin/trusted`;
//! - a socket that would have survived an exec, unless configured otherwise, see [`InheritableSockets`], or unless the
//!   process gets what its tree is bound to and nothing that its executable would decide.
//!
//! A script is attested as its interpreter, because that is what the kernel runs.

use std::net::SocketAddr;
use std::sync::Arc;

use thiserror::Error;
use tokio::sync::OnceCell;
use vouchsafe_wire::node::Process;

use crate::limits::{HOLDER_LOOK_AGAIN, HOLDER_LOOKS_MAX};
use crate::{Clock, InheritableSockets};

mod executable;
mod holder;
mod process;
mod socket;

use executable::{Digests, Executable};
use holder::{Holder, Holders};
pub(crate) use process::Birth;
pub(crate) use process::ProcessPin;
use process::{Fingerprint, Ids};

/// Why the agent does not vouch for a caller.
#[derive(Clone, Debug, Error, Eq, PartialEq)]
pub enum Refusal {
    /// The connection does not come from this machine's loopback.
    #[error("the connection does not come from the loopback interface of this machine")]
    NotLoopback,
    /// The kernel knows no such socket: the client has closed it, or lives in another network namespace.
    #[error(
        "the kernel knows no socket at the other end of this connection; is the client in another network namespace?"
    )]
    NoSocket,
    /// No process that the agent may inspect holds the socket.
    #[error(
        "no process holds the other end of this connection that the agent may inspect; run the agent as root to attest processes of other users"
    )]
    NoHolder,
    /// More than one process holds the socket.
    #[error(
        "{0} processes hold the other end of this connection; connect after forking, and do not share the socket"
    )]
    SeveralHolders(usize),
    /// The agent itself holds the socket.
    #[error("the agent does not vouch for itself")]
    Oneself,
    /// The socket was created by another user.
    #[error(
        "the connection was opened by uid {socket} but is held by uid {process}; connect after changing user"
    )]
    OtherUser {
        /// The uid that created the socket.
        socket: u32,
        /// The effective uid of its holder.
        process: u32,
    },
    /// The socket survives an exec.
    #[error(
        "the connection is inheritable, so another program may have opened it before an exec; open it with SOCK_CLOEXEC, or start the program with `vouchsafe run`"
    )]
    Inheritable,
    /// The executable has no name any more.
    #[error("the executable `{0}` was deleted or replaced after it was started; restart the program")]
    Deleted(String),
    /// The executable never had a name.
    #[error(
        "the executable `{0}` exists in memory only and cannot be attested; start the program from a file"
    )]
    Memory(String),
    /// The path means another file in the agent's view.
    #[error(
        "the executable `{0}` is another file in the agent's file system; a program in another mount namespace cannot be attested by path"
    )]
    OtherPath(String),
    /// The file system of the executable is served by an unprivileged user.
    #[error(
        "the executable `{0}` lies on a file system that an unprivileged user serves; install it elsewhere"
    )]
    UserFileSystem(String),
    /// The executable is too large to hash.
    #[error("the executable `{0}` is larger than 1 GiB")]
    TooLarge(String),
    /// What was read at first no longer holds.
    #[error(
        "the calling process changed while it was attested ({0}); connect again from the program that asks"
    )]
    Changed(&'static str),
    /// The kernel did not answer.
    #[error("the kernel did not say who is calling ({0})")]
    Unreadable(String),
}

impl Refusal {
    fn unreadable(what: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |error| Self::Unreadable(format!("{what}: {error}"))
    }
}

/// Finds out who calls.
pub(crate) struct Attestor {
    holders: Holders,
    digests: Arc<Digests>,
    inheritable_sockets: InheritableSockets,
}

impl Attestor {
    pub(crate) fn new(
        clock: Arc<dyn Clock>,
        inheritable_sockets: InheritableSockets,
    ) -> std::io::Result<Self> {
        Ok(Self { holders: Holders::start()?, digests: Arc::new(Digests::new(clock)), inheritable_sockets })
    }

    /// Attests whoever holds the client's end of a connection that was just accepted.
    pub(crate) async fn attest(&self, client: SocketAddr, server: SocketAddr) -> Result<Attested, Refusal> {
        if !client.ip().to_canonical().is_loopback() || !server.ip().to_canonical().is_loopback() {
            return Err(Refusal::NotLoopback);
        }
        let mut looks = 0;
        loop {
            looks += 1;
            let socket = socket::find(client, server)?;
            let mut holders = self.holders.of(socket.inode).await?;
            match (holders.pop(), holders.len()) {
                (None, _) => return Err(Refusal::NoHolder),
                (Some(holder), 0) => return self.inspect(&socket, holder),
                (Some(_), others) if looks >= HOLDER_LOOKS_MAX => {
                    return Err(Refusal::SeveralHolders(others + 1));
                }
                (Some(_), _) => tokio::time::sleep(HOLDER_LOOK_AGAIN).await,
            }
        }
    }

    fn inspect(&self, socket: &socket::ClientSocket, holder: Holder) -> Result<Attested, Refusal> {
        if holder.pid == std::process::id() {
            // SECURITY: the proxy can be asked to connect to the agent's own endpoints.
            return Err(Refusal::Oneself);
        }
        let process = ProcessPin::open(holder.pid).map_err(Refusal::unreadable("the process"))?;
        let fingerprint = process.fingerprint()?;
        let ids = process.ids()?;
        if ids.uid != socket.uid {
            return Err(Refusal::OtherUser { socket: socket.uid, process: ids.uid });
        }
        let mut opener_is_unknown = false;
        if self.inheritable_sockets == InheritableSockets::Refuse {
            for fd in &holder.fds {
                // SECURITY: a descriptor that is close-on-exec cannot have come through an exec, so the image that
                // holds it now is the one that connected (or that was given it on purpose, by the same uid).
                opener_is_unknown |= !process.is_close_on_exec(*fd)?;
            }
        }
        let executable = Executable::of(&process)?;
        let (cgroup, unit) = process.cgroup()?;
        let attested = Attested {
            process,
            fingerprint,
            ids,
            executable,
            cgroup,
            unit,
            opener_is_unknown,
            socket_inode: socket.inode,
            fds: holder.fds,
            digests: Arc::clone(&self.digests),
            sha256: OnceCell::new(),
        };
        attested.still_same()?;
        Ok(attested)
    }
}

/// A process whose facts were read and then confirmed; only [`Attestor`] makes one.
pub(crate) struct Attested {
    process: ProcessPin,
    fingerprint: Fingerprint,
    ids: Ids,
    executable: Executable,
    cgroup: Option<String>,
    unit: Option<String>,
    opener_is_unknown: bool,
    socket_inode: u32,
    fds: Vec<u32>,
    digests: Arc<Digests>,
    sha256: OnceCell<String>,
}

impl Attested {
    /// Confirms that the same image of the same process, with the same ids, still holds the socket.
    pub(crate) fn still_same(&self) -> Result<(), Refusal> {
        let held = self.fds.iter().any(|fd| self.process.holds(*fd, self.socket_inode));
        if !held {
            return Err(Refusal::Changed("it no longer holds the connection"));
        }
        if self.process.ids()? != self.ids {
            return Err(Refusal::Changed("its user or group changed"));
        }
        if !self.executable.is_still_run_by(&self.process) || self.process.fingerprint()? != self.fingerprint
        {
            return Err(Refusal::Changed("it runs another program now"));
        }
        // Last, so that everything above was said about a process that was alive all the time.
        if self.process.has_exited() {
            return Err(Refusal::Changed("it has exited"));
        }
        Ok(())
    }

    /// The facts as the platform wants them; the executable is hashed when this is asked first.
    pub(crate) async fn facts(&self, run_identity: Option<String>) -> Result<Process, Refusal> {
        let sha256 = self.sha256.get_or_try_init(|| self.digests.of(&self.executable)).await?;
        // The image cannot have been written while it ran, so the digest is that of the image if it still runs.
        self.still_same()?;
        Ok(Process {
            pid: self.process.pid(),
            uid: self.ids.uid,
            gid: self.ids.gid,
            exe_path: self.executable.path().to_owned(),
            exe_sha256: sha256.clone(),
            unit: self.unit.clone(),
            cgroup: self.cgroup.clone(),
            run_identity,
        })
    }

    /// Whether another program may have opened the connection before an exec. What is known of the executable then
    /// says nothing about who asks; which process tree it belongs to still does.
    pub(crate) fn opener_is_unknown(&self) -> bool {
        self.opener_is_unknown
    }

    /// The pinned process.
    pub(crate) fn process(&self) -> &ProcessPin {
        &self.process
    }

    /// What was seen, in words for the caller.
    pub(crate) fn describe(&self) -> String {
        let unit = self.unit.as_deref().or(self.cgroup.as_deref()).unwrap_or("none");
        format!(
            "pid {}, uid {}, executable `{}`, unit `{unit}`",
            self.process.pid(),
            self.ids.uid,
            self.executable.path()
        )
    }
}

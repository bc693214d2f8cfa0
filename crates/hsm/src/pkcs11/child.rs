//! The process of a module: reads orders from its standard input, which is a socket, and does them one after the other.
//!
//! It is started by [`ModuleProcesses`](super::process::ModuleProcesses) and by nobody else. It ends when the other side
//! of the socket is gone, and, once it is logged in, is ended by the kernel with the thread that started it. One that is
//! still logging in then has a few seconds to finish, and is ended whatever its module does. Keys that pass through it or
//! that a module keeps in its memory can be read by no debugger of the same user, and are in no core image.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{DumpableBehavior, Resource, Rlimit, Signal, getpid, kill_process};
use tokio::signal::unix::{SignalKind, signal};

use super::connection::{Connection, Reply};
use super::frame::{self, FrameError};
use super::message::{Answer, Misunderstood, Order};
use super::token;
use crate::limits;

/// The command of a program that calls [`serve`].
pub const COMMAND: &str = "pkcs11-module";

/// Why the process ended before its time.
#[derive(Debug, thiserror::Error)]
pub enum ChildError {
    /// Somebody else started it.
    #[error("this command is for the server itself: its standard input is not a socket")]
    NotASocket,
    /// The kernel did not take what protects the process.
    #[error("the process of the module cannot be protected: {0}")]
    Unprotected(#[from] io::Error),
    /// A frame did not come or go.
    #[error("the socket to the server: {0}")]
    Frame(#[from] FrameError),
    /// The server is another version.
    #[error(transparent)]
    Misunderstood(#[from] Misunderstood),
}

/// Loads the module that the first order names, and serves until the other side is gone.
pub fn serve() -> Result<(), ChildError> {
    let stream = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    stream.local_addr().map_err(|_| ChildError::NotASocket)?;
    protect()?;
    outlive_nobody(&stream)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let entered = runtime.enter();
    // A service manager tells every process of a server to stop. The server then finishes what it has begun, with us.
    let _taken = [signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?];
    drop(entered);
    match orders(&stream) {
        Err(ChildError::Frame(FrameError::Closed)) => Ok(()),
        other => other,
    }
}

fn protect() -> io::Result<()> {
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    rustix::process::setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    Ok(())
}

/// Ends this process some time after the other side of the socket is gone, wherever the module hangs.
#[expect(
    clippy::disallowed_methods,
    reason = "a module that hangs tells nobody, so that there is only time to wait for"
)]
fn outlive_nobody(stream: &UnixStream) -> io::Result<()> {
    let stream = stream.try_clone()?;
    thread::Builder::new().name("watch".to_owned()).spawn(move || {
        if is_hung_up(&stream) {
            thread::sleep(limits::LOGIN_GRACE);
            // Not by `exit`, which would have the module clean up, and wait for that.
            let _ = kill_process(getpid(), Signal::KILL);
        }
    })?;
    Ok(())
}

/// Waits until the other side has hung up; says whether it has.
fn is_hung_up(stream: &UnixStream) -> bool {
    loop {
        // That is always told: what else there is to read is nothing to wake up for.
        match poll(&mut [PollFd::new(stream, PollFlags::empty())], None) {
            Ok(_) => return true,
            Err(Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}

fn orders(stream: &UnixStream) -> Result<(), ChildError> {
    let first = Order::decode(&frame::read(stream, None)?)?;
    let Order::Open(name, care) = first else {
        return Err(Misunderstood("the first order does not open anything").into());
    };
    let token::Opening { connection, logged_in } = token::open(&name, care);
    let mut connection = match connection {
        Ok(connection) => connection,
        Err(fault) => {
            return Ok(frame::write(stream, &Answer::Opened(Err(fault), logged_in).encode(), None)?);
        }
    };
    // Not before: SoftHSM writes its token's file at a login, and is not to be killed with half of it written.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).map_err(io::Error::from)?;
    frame::write(stream, &Answer::Opened(Ok(connection.mechanisms()), logged_in).encode(), None)?;
    loop {
        let answer = match Order::decode(&frame::read(stream, None)?)? {
            Order::Perform { request, generation, next_id } => {
                connection.prepare(generation, next_id);
                connection.perform(&request, Instant::now())
            }
            Order::Forget(id) => connection.forget(id).map(|()| Reply::Done),
            Order::Open(..) => return Err(Misunderstood("it is open already").into()),
        };
        frame::write(stream, &Answer::Performed(answer).encode(), None)?;
    }
}

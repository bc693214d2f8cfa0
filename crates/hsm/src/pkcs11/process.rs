//! One process of the module for each connection: a [`Connector`] that starts them, talks to them and ends them.
//!
//! A process is this program once more, with another command and one end of a socket pair as its standard input. One
//! each, not one for all: a call that hangs is ended alone, and what a module breaks in its memory is one connection's.
//! A process that ends in a call leaves it unknown what was done, so that call fails; one that ended between two calls
//! is replaced before anything is asked.
//!
//! SECURITY: a PIN is shown to the token by one process at a time, and no process is started once a PIN was refused,
//! until an operator says that it was looked at.

use std::io;
use std::iter;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use vouchsafe_domain::ports::hsm::HsmError;
use zeroize::Zeroizing;

use super::connection::{Connection, Connector, Fault, Reply, Request};
use super::counts::{Counts, Ended};
use super::frame::{self, FrameError};
use super::material::ID_BYTES;
use super::message::{Answer, Misunderstood, Order};
use super::settings::{ModuleProgram, TokenName};
use super::token::{Care, Offered};
use crate::limits;

/// Starts processes of one token's module.
pub struct ModuleProcesses {
    shared: Arc<Shared>,
}

struct Shared {
    name: TokenName,
    program: ModuleProgram,
    login: Mutex<Login>,
    turn: Condvar,
    logins: AtomicU64,
    counts: Counts,
    offered: Arc<Offered>,
    /// Counts destroyed keys: a token may give a handle that was a key to another one.
    destroyed: AtomicU64,
    /// Under which ids keys may be in the token that nobody was told of.
    unknown: Mutex<Vec<[u8; ID_BYTES]>>,
}

/// What is known of logins.
#[derive(Default)]
struct Login {
    /// One is on its way.
    busy: bool,
    /// The token refused the PIN.
    refused: bool,
    /// What became of the last one is not known.
    unknown_end: bool,
}

impl ModuleProcesses {
    /// Nothing is started yet.
    pub fn new(name: TokenName, program: ModuleProgram) -> Self {
        let shared = Shared {
            name,
            program,
            login: Mutex::default(),
            turn: Condvar::new(),
            logins: AtomicU64::new(0),
            counts: Counts::default(),
            offered: Arc::default(),
            destroyed: AtomicU64::new(0),
            unknown: Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// What the token offers.
    pub fn offered(&self) -> Arc<Offered> {
        Arc::clone(&self.shared.offered)
    }

    /// Whether the PIN was refused.
    pub fn is_refused(&self) -> bool {
        self.shared.login().refused
    }

    /// An operator has looked at the PIN.
    pub fn forget_refusal(&self) {
        let mut login = self.shared.login();
        (login.refused, login.unknown_end) = (false, false);
    }

    /// How many logins were tried, as far as their processes lived to tell.
    pub fn logins(&self) -> u64 {
        self.shared.logins.load(Ordering::Relaxed)
    }

    /// How many processes there are and were, and why they ended.
    pub(super) fn counts(&self) -> &Counts {
        &self.shared.counts
    }
}

impl Connector for ModuleProcesses {
    fn connect(&self, until: Instant) -> Result<Box<dyn Connection>, Fault> {
        let mut process = self.shared.open(until)?;
        let mut unknown = std::mem::take(&mut *self.shared.unknown()).into_iter();
        while let Some(id) = unknown.next() {
            let forgotten = process.forget(id, until);
            self.shared.destroyed.fetch_add(1, Ordering::SeqCst);
            if let Err(fault) = forgotten {
                process.end();
                iter::once(id).chain(unknown).for_each(|id| self.shared.remember_unknown(id));
                return Err(fault);
            }
        }
        // INVARIANT: a new connection sees everything.
        if process.has_written {
            process.why = Ended::Blind;
            drop(process);
            process = self.shared.open(until)?;
        }
        Ok(Box::new(process))
    }
}

impl Shared {
    fn login(&self) -> MutexGuard<'_, Login> {
        self.login.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unknown(&self) -> MutexGuard<'_, Vec<[u8; ID_BYTES]>> {
        self.unknown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A key may have been made that nobody will ever ask for: the next connection looks for it.
    fn remember_unknown(&self, id: [u8; ID_BYTES]) {
        let mut unknown = self.unknown();
        if unknown.len() < limits::UNKNOWN_ENDS_MAX {
            unknown.push(id);
        } else {
            tracing::warn!("a key that nobody asked for any more may stay in the token");
        }
    }

    /// Waits until no other login is on its way; says how careful this one has to be.
    fn begin_login(&self, until: Instant) -> Result<Care, Fault> {
        let mut login = self.login();
        loop {
            if login.refused {
                return Err(Fault::Answer(HsmError::Locked));
            }
            if !login.busy {
                login.busy = true;
                return Ok(if login.unknown_end { Care::AfterAnUnknownEnd } else { Care::Usual });
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Fault::Failed("another connection is still being opened".into()));
            }
            login = self.turn.wait_timeout(login, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Starts a process and has it log in.
    fn open(self: &Arc<Self>, until: Instant) -> Result<Process, Fault> {
        // Looked at before anything is started, so that a refused PIN costs nothing at all.
        let care = self.begin_login(until)?;
        let opened = Process::start(self).map(|mut process| {
            let opened = process.open(care, until);
            (process, opened)
        });
        let mut login = self.login();
        login.busy = false;
        let (opened, logged_in) = match opened {
            Err(error) => {
                (Err(Fault::Failed(format!("the module's process does not start: {error}"))), false)
            }
            Ok((mut process, Ok((opened, logged_in)))) => {
                process.blame(opened.is_err(), Ended::Failed);
                (opened.map(|mechanisms| (process, mechanisms)), logged_in)
            }
            Ok((mut process, Err(fault))) => {
                process.end();
                login.unknown_end = true;
                (Err(fault), false)
            }
        };
        if logged_in {
            self.logins.fetch_add(1, Ordering::Relaxed);
            login.unknown_end = false;
        }
        // An answer of the token about itself; as an answer to a call it would look as if the token worked.
        let opened = opened.map_err(|fault| match fault {
            Fault::Answer(HsmError::Locked) => {
                login.refused = true;
                Fault::Answer(HsmError::Locked)
            }
            Fault::Answer(error) => Fault::Failed(error.to_string()),
            Fault::Stale => Fault::Failed("the token gave a handle that means nothing".into()),
            other => other,
        });
        drop(login);
        // All of them: one that finds the PIN refused does not take its turn.
        self.turn.notify_all();
        let (process, mechanisms) = opened?;
        self.offered.learn(&mechanisms);
        Ok(process)
    }
}

/// A process of the module; dropped, it is ended.
struct Process {
    child: Child,
    stream: UnixStream,
    shared: Arc<Shared>,
    /// Whether it has made or destroyed a key: a module that wrote may not see what others wrote meanwhile.
    has_written: bool,
    /// Why it has ended or will be ended.
    why: Ended,
}

impl Process {
    fn start(shared: &Arc<Shared>) -> io::Result<Self> {
        let (stream, theirs) = UnixStream::pair()?;
        let child = Command::new(&shared.program.path)
            .args(&shared.program.arguments)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            // What interrupts the server in a terminal is not for its modules: their calls are finished first.
            .process_group(0)
            .spawn()?;
        shared.counts.start();
        Ok(Self { child, stream, shared: Arc::clone(shared), has_written: false, why: Ended::Unneeded })
    }

    /// What became of opening, and whether a PIN was shown; an error if the process did not live to tell.
    fn open(&mut self, care: Care, until: Instant) -> Result<(Result<Vec<u64>, Fault>, bool), Fault> {
        let answer = self.ask(&Order::encode_open(&self.shared.name, care), until);
        let opened = Answer::decode_opened(&answer.map_err(not_lost)?);
        self.understood(opened)
    }

    fn forget(&mut self, id: [u8; ID_BYTES], until: Instant) -> Result<(), Fault> {
        self.has_written = true;
        let answer = self.ask(&Order::encode_forget(id), until).map_err(not_lost)?;
        self.understood(Answer::decode_forgotten(&answer))?
    }

    fn ask(&mut self, order: &[u8], until: Instant) -> Result<Zeroizing<Vec<u8>>, Fault> {
        frame::write(&self.stream, order, Some(until)).map_err(|error| match error {
            FrameError::Length(_) => Fault::Answer(HsmError::Refused("the input is too long for the token")),
            error => {
                self.blame(true, why(&error));
                match error {
                    // It acts on whole frames only, and will never have this one.
                    FrameError::Closed => Fault::Lost("the module's process has ended".into()),
                    error => Fault::Failed(error.to_string()),
                }
            }
        })?;
        frame::read(&self.stream, Some(until)).map_err(|error| {
            self.blame(true, why(&error));
            let ended = self.child.try_wait().ok().flatten();
            let how = ended.map(|status| format!(" ({status})")).unwrap_or_default();
            Fault::Failed(format!("{error}{how}"))
        })
    }

    /// What it said, if that was an answer.
    fn understood<T>(&mut self, read: Result<T, Misunderstood>) -> Result<T, Fault> {
        self.blame(read.is_err(), Ended::Garbled);
        read.map_err(|error| Fault::Failed(error.to_string()))
    }

    /// Keeps why it ended: the first reason that holds is the one.
    fn blame(&mut self, holds: bool, why: Ended) {
        if holds && self.why == Ended::Unneeded {
            self.why = why;
        }
    }

    /// Ends it, whatever it is doing. After this it does nothing more.
    fn end(&mut self) {
        // Errors mean that it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
        self.shared.counts.end(self.why);
    }
}

impl Connection for Process {
    fn perform(&mut self, request: &Request, until: Instant) -> Result<Reply, Fault> {
        if let Ok(Some(status)) = self.child.try_wait() {
            self.blame(true, Ended::Itself);
            return Err(Fault::Lost(format!("the module's process has ended ({status})")));
        }
        let next_id = if request.makes_a_key() { Some(new_id()?) } else { None };
        // Counted before and after: whoever looks in between may still find what is going.
        let destroyed = u64::from(matches!(request, Request::Destroy(_)));
        let generation = self.shared.destroyed.fetch_add(destroyed, Ordering::SeqCst) + destroyed;
        let order = Order::encode_request(request, generation, next_id);
        let answered = self.ask(&order, until);
        self.shared.destroyed.fetch_add(destroyed, Ordering::SeqCst);
        let could_be_blind = self.has_written;
        self.has_written |= next_id.is_some() || destroyed > 0;
        let answer = answered
            .and_then(|answer| self.understood(Answer::decode_performed(&answer, request))?)
            .and_then(|reply| made_as_asked(reply, next_id));
        self.blame(matches!(answer, Err(Fault::Lost(_) | Fault::Failed(_))), Ended::Failed);
        if let (Some(id), Err(Fault::Lost(_) | Fault::Failed(_))) = (next_id, &answer) {
            self.end();
            self.shared.remember_unknown(id);
        }
        match answer {
            // Nothing was done, so that a new process, which sees everything, may be asked once more.
            Err(Fault::Answer(HsmError::NotFound)) if could_be_blind => {
                self.blame(true, Ended::Blind);
                Err(Fault::Lost("the module's process does not see the key; a new one may".into()))
            }
            // One that is gone needs no destroying.
            Err(Fault::Answer(HsmError::NotFound)) if destroyed > 0 => Ok(Reply::Done),
            other => other,
        }
    }
}

fn made_as_asked(reply: Reply, next_id: Option<[u8; ID_BYTES]>) -> Result<Reply, Fault> {
    match (&reply, next_id) {
        (Reply::Held(key, _), Some(id)) if key.id != id => {
            Err(Fault::Failed("the module's process made a key under another id".into()))
        }
        _ => Ok(reply),
    }
}

fn new_id() -> Result<[u8; ID_BYTES], Fault> {
    let mut id = [0; ID_BYTES];
    aws_lc_rs::rand::fill(&mut id).map_err(|_| Fault::Failed("no randomness".into()))?;
    Ok(id)
}

/// An end while opening is not made good by opening once more.
fn not_lost(fault: Fault) -> Fault {
    match fault {
        Fault::Lost(reason) => Fault::Failed(reason),
        other => other,
    }
}

fn why(error: &FrameError) -> Ended {
    match error {
        FrameError::Late => Ended::Late,
        FrameError::Length(_) => Ended::Garbled,
        FrameError::Closed | FrameError::Socket(_) => Ended::Itself,
    }
}

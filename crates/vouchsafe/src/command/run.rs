//! `vouchsafe run`: starts a program as a managed identity.
//!
//! The binding is to this process and what descends from it, and lives as long as our connection to the agent: when we
//! end, it ends. We become the reaper of orphans, so that a program that detaches itself stays below us until then.

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, getpid, kill_process, set_child_subreaper};
use tokio::signal::unix::{SignalKind, signal};
use vouchsafe_agent::{BindingRequest, Until, bind};

use crate::cli::{Global, Run};
use crate::environment::{AgentFacts, agent_directory};

pub async fn run(global: &Global, arguments: &Run) -> Result<ExitCode> {
    let Some((program, rest)) = arguments.command.split_first() else { bail!("say which program to run") };
    let directory = agent_directory(&global.socket);
    let facts = AgentFacts::read(&directory)?;
    set_child_subreaper(Some(getpid())).context("cannot become the reaper of orphans")?;
    let root_pid = u32::try_from(getpid().as_raw_nonzero().get())?;
    let wanted = BindingRequest { identity: arguments.identity.clone(), root_pid, until: Until::Disconnect };
    let binding = bind(&directory.join("agent.sock"), &wanted).await?;

    let mut signals = Signals::listen()?;
    let child = tokio::process::Command::new(program).args(rest).envs(facts.variables()).spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => {
            eprintln!("error: cannot start `{}`: {error}", program.to_string_lossy());
            // What shells answer: 127 for a program that is not there, 126 for one that cannot be run.
            return Ok(ExitCode::from(if error.kind() == std::io::ErrorKind::NotFound { 127 } else { 126 }));
        }
    };
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    let status = loop {
        tokio::select! {
            status = child.wait() => break status.context("cannot wait for the program")?,
            signal = signals.next() => {
                if let (Some(pid), Some(signal)) = (pid, signal) {
                    // It may have ended just now; then there is nobody to tell.
                    let _ = kill_process(pid, signal);
                }
            }
        }
    };
    drop(binding);
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default());
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX)))
}

/// The signals that are passed on.
struct Signals {
    hangup: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    quit: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    user1: tokio::signal::unix::Signal,
    user2: tokio::signal::unix::Signal,
    from_terminal: bool,
}

impl Signals {
    fn listen() -> Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self {
            hangup: listen(SignalKind::hangup())?,
            interrupt: listen(SignalKind::interrupt())?,
            quit: listen(SignalKind::quit())?,
            terminate: listen(SignalKind::terminate())?,
            user1: listen(SignalKind::user_defined1())?,
            user2: listen(SignalKind::user_defined2())?,
            from_terminal: std::io::IsTerminal::is_terminal(&std::io::stdin()),
        })
    }

    /// The next signal to pass on. At a terminal the keys reach the program by themselves, and twice is once too often.
    async fn next(&mut self) -> Option<Signal> {
        tokio::select! {
            _ = self.hangup.recv() => Some(Signal::HUP),
            _ = self.interrupt.recv() => (!self.from_terminal).then_some(Signal::INT),
            _ = self.quit.recv() => (!self.from_terminal).then_some(Signal::QUIT),
            _ = self.terminate.recv() => Some(Signal::TERM),
            _ = self.user1.recv() => Some(Signal::USR1),
            _ = self.user2.recv() => Some(Signal::USR2),
        }
    }
}

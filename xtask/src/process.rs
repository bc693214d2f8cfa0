//! Running other programs: with their output in a log, with a limit on their time, and ended with all they started.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

/// A file that takes what programs print.
pub struct Log {
    pub path: PathBuf,
    file: File,
}

impl Log {
    /// Starts the log `name` anew in `directory`.
    pub fn create(directory: &Path, name: &str) -> Result<Self> {
        fs::create_dir_all(directory)?;
        let path = directory.join(format!("{name}.log"));
        let file = File::create(&path).with_context(|| format!("`{}` cannot be written", path.display()))?;
        Ok(Self { path, file })
    }

    /// The last `lines` lines.
    pub fn tail(&self, lines: usize) -> String {
        let text = String::from_utf8_lossy(&fs::read(&self.path).unwrap_or_default()).into_owned();
        let all: Vec<&str> = text.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }

    /// The whole text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.path).unwrap_or_default()).into_owned()
    }

    /// A handle that a program can print to.
    pub fn output(&self) -> Result<Stdio> {
        Ok(Stdio::from(self.file.try_clone()?))
    }

    /// Runs `command` to its end or for at most `limit`; tells whether it succeeded.
    pub fn run(&self, command: &mut Command, limit: Duration) -> Result<bool> {
        writeln!(&self.file, "$ {}", shown(command))?;
        command.stdin(Stdio::null()).stdout(self.output()?).stderr(self.output()?);
        let child = command.spawn().with_context(|| format!("`{}` cannot be started", shown(command)))?;
        match wait(child, limit)? {
            Some(status) => {
                writeln!(&self.file, "-> {status}")?;
                Ok(status.success())
            }
            None => {
                writeln!(&self.file, "-> stopped after {} s", limit.as_secs())?;
                Ok(false)
            }
        }
    }

    /// Like [`Log::run`], and an error when it did not succeed.
    pub fn must(&self, command: &mut Command, limit: Duration) -> Result<()> {
        if !self.run(command, limit)? {
            bail!("`{}` failed", shown(command));
        }
        Ok(())
    }
}

/// Whether `program` can be run with `arguments`; prints nothing.
pub fn succeeds(program: &str, arguments: &[&str]) -> bool {
    let (input, output, errors) = (Stdio::null(), Stdio::null(), Stdio::null());
    let mut command = Command::new(program);
    // A missing toolchain is an answer here, and not a reason to fetch one.
    command.args(arguments).env("RUSTUP_AUTO_INSTALL", "0").stdin(input).stdout(output).stderr(errors);
    command.status().is_ok_and(|status| status.success())
}

/// Waits for `child` for at most `limit`; then ends it with all it started and returns nothing.
pub fn wait(mut child: Child, limit: Duration) -> Result<Option<ExitStatus>> {
    let id = child.id();
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(child.wait()));
    match receiver.recv_timeout(limit) {
        Ok(status) => Ok(Some(status?)),
        Err(_) => {
            end_tree(id);
            // The wait above reaps the child; without it the next step would meet a half-dead server.
            receiver.recv_timeout(Duration::from_secs(10)).ok();
            Ok(None)
        }
    }
}

/// Asks the process to end, as an operator would.
pub fn terminate(id: u32) {
    signal(id, Signal::TERM);
}

/// The processes that `id` started, and those that they started.
pub fn descendants(id: u32) -> Vec<u32> {
    let parents: Vec<(u32, u32)> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let process: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
            let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()?;
            Some((process, parent))
        })
        .collect();
    let mut found = vec![id];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        found.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(process, _)| *process));
        next += 1;
    }
    found.split_off(1)
}

fn end_tree(id: u32) {
    for process in descendants(id) {
        signal(process, Signal::KILL);
    }
    signal(id, Signal::KILL);
}

fn signal(id: u32, signal: Signal) {
    if let Some(process) = i32::try_from(id).ok().and_then(Pid::from_raw) {
        // It may have ended by itself in the meantime.
        kill_process(process, signal).ok();
    }
}

fn shown(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|word| word.to_string_lossy().into_owned()));
    words.join(" ")
}

//! Processes of this machine, for tests that end, stop or look at one.

use std::fs;

use rustix::process::{Pid, Signal, kill_process};

/// The processes that `parent` has started and that are not gone.
pub fn children_of(parent: u32) -> Vec<u32> {
    let all = fs::read_dir("/proc").expect("the table of processes").flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let mut children: Vec<u32> = pids.filter(|pid| lives_under(*pid) == Some(parent)).collect();
    children.sort_unstable();
    children
}

/// Whether a process is there and has not ended.
pub fn lives(pid: u32) -> bool {
    lives_under(pid).is_some()
}

/// The parent of a process that has not ended (`proc_pid_stat(5)`).
fn lives_under(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name of the program may hold spaces and brackets of its own.
    let (_, rest) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split(' ').collect();
    let (state, parent, threads) = (*fields.first()?, fields.get(1)?, *fields.get(17)?);
    // What it held is let go of by its last thread, and the first one may be gone before that.
    let has_ended = matches!(state, "Z" | "X") && matches!(threads, "0" | "1");
    parent.parse().ok().filter(|_| !has_ended)
}

/// Sends a signal; whether there was somebody to get it.
pub fn signal(pid: u32, signal: Signal) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a process has an id");
    kill_process(pid, signal).is_ok()
}

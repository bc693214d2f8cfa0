//! How much a process has computed: a number that others on the machine hardly change, unlike a rate.

use std::fs;
use std::time::Duration;

/// `USER_HZ`: the unit of the kernel's accounts, which is the same on every architecture that we are built for.
const TICKS_PER_SECOND: f64 = 100.0;

/// The processor time of a process and of its children that live, such as the processes of a token's module; to a
/// hundredth of a second. Nothing, if it is gone.
pub fn time_of(process: u32) -> Option<Duration> {
    let own = Stat::of(process)?;
    let others = fs::read_dir("/proc").ok()?.flatten();
    let ids = others.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let children = ids.filter_map(Stat::of).filter(|stat| stat.parent == process);
    let ticks = own.ticks + children.map(|stat| stat.ticks).sum::<u64>();
    Some(Duration::from_secs_f64(ticks as f64 / TICKS_PER_SECOND))
}

/// What the kernel says of a process (proc_pid_stat(5)).
struct Stat {
    parent: u32,
    ticks: u64,
}

impl Stat {
    fn of(process: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        // The second field is a name in parentheses, which may have anything in it.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
        let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
        Some(Self { parent: u32::try_from(number(4)?).ok()?, ticks: number(14)? + number(15)? })
    }
}

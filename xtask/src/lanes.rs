//! Runs tasks in order, and those that mostly wait beside one another.
//!
//! What compiles or is sensitive to a busy machine runs alone. Between two of those, up to [`LANES`] others run at a time,
//! each begun in the order of the list as soon as what it needs has ended.

use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;

/// As many as a small machine has cores.
const LANES: usize = 2;

/// Whether others may run at the same time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Pace {
    /// Nothing else runs.
    Alone,
    /// Others of this pace may run.
    Beside,
}

/// What the order is made of.
#[derive(Clone, Copy, Debug)]
pub struct Task {
    pub name: &'static str,
    /// The task that must have ended before, if it is in the list at all.
    pub after: Option<&'static str>,
    pub pace: Pace,
}

struct Board<T> {
    begun: Vec<bool>,
    ended: Vec<Option<T>>,
}

impl<T> Board<T> {
    /// The first task that may begin now.
    fn next(&self, tasks: &[Task]) -> Option<usize> {
        let over = |at: usize| self.ended.get(at).is_some_and(Option::is_some);
        (0..tasks.len()).find(|&at| {
            let task = &tasks[at];
            !self.begun[at]
                && match task.pace {
                    Pace::Alone => (0..at).all(over),
                    Pace::Beside => {
                        (0..at).all(|earlier| tasks[earlier].pace == Pace::Beside || over(earlier))
                    }
                }
                && task.after.is_none_or(|needed| position(tasks, needed).is_none_or(over))
        })
    }
}

fn position(tasks: &[Task], name: &str) -> Option<usize> {
    tasks.iter().position(|task| task.name == name)
}

/// Does every task, with what the task that it needed came to; what they came to, in the order of the list.
pub fn run<T: Clone + Send>(tasks: &[Task], work: impl Fn(usize, Option<&T>) -> T + Sync) -> Vec<T> {
    let board =
        Mutex::new(Board { begun: vec![false; tasks.len()], ended: tasks.iter().map(|_| None).collect() });
    let changed = Condvar::new();
    let lane = || {
        let mut held = board.lock().unwrap_or_else(PoisonError::into_inner);
        while held.begun.contains(&false) {
            let Some(at) = held.next(tasks) else {
                held = changed.wait(held).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            held.begun[at] = true;
            let needed = tasks[at].after.and_then(|name| position(tasks, name));
            let needed = needed.and_then(|needed| held.ended[needed].clone());
            drop(held);
            let outcome = work(at, needed.as_ref());
            held = board.lock().unwrap_or_else(PoisonError::into_inner);
            held.ended[at] = Some(outcome);
            changed.notify_all();
        }
    };
    thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(lane);
        }
    });
    let board = board.into_inner().unwrap_or_else(PoisonError::into_inner);
    board.ended.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    fn task(name: &'static str, after: Option<&'static str>, pace: Pace) -> Task {
        Task { name, after, pace }
    }

    #[test]
    fn what_is_alone_begins_when_everything_before_has_ended() {
        let tasks = [
            task("a", None, Pace::Alone),
            task("b", None, Pace::Beside),
            task("c", None, Pace::Beside),
            task("d", None, Pace::Alone),
        ];
        let running = Mutex::new(Vec::new());
        // Both must be there at once, or neither goes on.
        let together = Barrier::new(2);
        let order = run(&tasks, |at, _: Option<&usize>| {
            running.lock().unwrap().push(at);
            if tasks[at].pace == Pace::Beside {
                together.wait();
            } else {
                assert_eq!(
                    running.lock().unwrap().len(),
                    at + 1,
                    "everything before has begun, nothing after"
                );
            }
            at
        });
        assert_eq!(order, [0, 1, 2, 3]);
    }

    #[test]
    fn what_is_needed_is_known_to_those_that_need_it() {
        let tasks = [
            task("a", None, Pace::Beside),
            task("b", Some("a"), Pace::Beside),
            task("c", Some("not in the list"), Pace::Beside),
        ];
        let seen = run(&tasks, |at, needed: Option<&(usize, Option<usize>)>| (at, needed.map(|(at, _)| *at)));
        assert_eq!(seen, [(0, None), (1, Some(0)), (2, None)]);
    }
}

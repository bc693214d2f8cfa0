//! Threads that each own one connection to a token, and a bounded queue before them.
//!
//! A module is foreign code: it may take a minute, or never come back. Nobody waits for it beyond the deadline, at which
//! its process is ended. Should even that take long (a process in a driver of the kernel ends when the driver lets it),
//! the thread counts as stuck and gives its connection up once it is back; it is never replaced, so that a token that
//! hangs costs a fixed number of threads. When all are stuck, calls fail at once.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::connection::{Connection, Connector, Fault, Reply, Request};
use crate::limits;

/// The threads of one token.
pub struct Workers {
    shared: Arc<Shared>,
    count: usize,
}

struct Shared {
    queue: Mutex<Queue>,
    ready: Condvar,
    stuck: AtomicUsize,
    late: AtomicU64,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    closed: bool,
}

struct Job {
    request: Request,
    until: Instant,
    answer: oneshot::Sender<Result<Reply, Fault>>,
    stage: Arc<AtomicU8>,
}

/// In the queue; nothing has happened.
const WAITING: u8 = 0;
/// With the module.
const RUNNING: u8 = 1;
/// The module came back in time.
const FINISHED: u8 = 2;
/// The deadline passed first.
const EXPIRED: u8 = 3;

/// A call was not begun, because too many came at once. It says nothing of the token, which was not asked.
#[derive(Clone, Copy, Debug)]
pub struct Busy;

impl Workers {
    /// Starts the threads; each connects when it has its first request.
    pub fn start(connector: Arc<dyn Connector>, count: usize) -> io::Result<Self> {
        let count = count.clamp(1, limits::WORKERS_MAX);
        let shared = Shared {
            queue: Mutex::default(),
            ready: Condvar::new(),
            stuck: AtomicUsize::new(0),
            late: AtomicU64::new(0),
        };
        let workers = Self { shared: Arc::new(shared), count };
        for number in 0..count {
            let (shared, connector) = (Arc::clone(&workers.shared), Arc::clone(&connector));
            thread::Builder::new()
                .name(format!("token-{number}"))
                .spawn(move || Worker { shared, connector, connection: None }.run())?;
        }
        Ok(workers)
    }

    /// Has `request` done by some thread.
    pub async fn call(&self, request: Request, deadline: Duration) -> Result<Result<Reply, Fault>, Busy> {
        let until = Instant::now() + deadline;
        let answer = self.answer(request, deadline, until).await;
        if Instant::now() >= until {
            self.shared.late.fetch_add(1, Ordering::Relaxed);
        }
        answer
    }

    async fn answer(
        &self,
        request: Request,
        deadline: Duration,
        until: Instant,
    ) -> Result<Result<Reply, Fault>, Busy> {
        let (answer, mut answered) = oneshot::channel();
        let stage = Arc::new(AtomicU8::new(WAITING));
        if self.stuck() >= self.count {
            return Ok(Err(Fault::Failed("every connection to the token hangs".into())));
        }
        {
            let mut queue = self.shared.queue();
            if queue.jobs.len() >= limits::QUEUE_MAX {
                return Err(Busy);
            }
            queue.jobs.push_back(Job { request, until, answer, stage: Arc::clone(&stage) });
        }
        self.shared.ready.notify_one();
        let mut waited = tokio::time::timeout(deadline, &mut answered).await;
        if waited.is_err() && stage.load(Ordering::SeqCst) == RUNNING {
            // The thread is about to end the process, which takes no time; then it is there for the next call.
            waited = tokio::time::timeout(limits::END_GRACE, &mut answered).await;
        }
        match waited {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Ok(Err(Fault::Failed("the thread of the token ended".into()))),
            Err(_) => {
                // Counted before the stage says so: the thread takes off what it finds expired.
                self.shared.stuck.fetch_add(1, Ordering::SeqCst);
                let found = stage.swap(EXPIRED, Ordering::SeqCst);
                if found != RUNNING {
                    self.shared.stuck.fetch_sub(1, Ordering::SeqCst);
                }
                if found == WAITING {
                    return Err(Busy);
                }
                // It came back at the last moment: what it made must not be lost.
                if found == FINISHED
                    && let Ok(answer) = answered.await
                {
                    return Ok(answer);
                }
                Ok(Err(Fault::Failed(format!("the token did not answer in {} ms", deadline.as_millis()))))
            }
        }
    }

    /// How many calls met their deadline, whatever became of them then.
    pub fn late(&self) -> u64 {
        self.shared.late.load(Ordering::Relaxed)
    }

    /// How many threads are with the module past their deadline.
    pub fn stuck(&self) -> usize {
        self.shared.stuck.load(Ordering::SeqCst)
    }
}

impl Drop for Workers {
    /// Lets the threads end when they are back; those that hang are left behind.
    fn drop(&mut self) {
        self.shared.queue().closed = true;
        self.shared.ready.notify_all();
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Option<Job> {
        let mut queue = self.queue();
        loop {
            if queue.closed {
                return None;
            }
            if let Some(job) = queue.jobs.pop_front() {
                return Some(job);
            }
            queue = self.ready.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

struct Worker {
    shared: Arc<Shared>,
    connector: Arc<dyn Connector>,
    connection: Option<Box<dyn Connection>>,
}

impl Worker {
    fn run(mut self) {
        while let Some(job) = self.shared.next() {
            let taken = job.stage.compare_exchange(WAITING, RUNNING, Ordering::SeqCst, Ordering::SeqCst);
            // Nobody waits for it any more, and nothing has happened yet.
            if taken.is_err() || job.answer.is_closed() {
                continue;
            }
            let answer = self.perform(&job.request, job.until);
            if job.stage.swap(FINISHED, Ordering::SeqCst) == EXPIRED {
                self.shared.stuck.fetch_sub(1, Ordering::SeqCst);
                tracing::warn!(
                    "a call to the token came back after its deadline; its connection is opened anew"
                );
                self.undo(answer);
                self.connection = None;
            } else if let Err(unheard) = job.answer.send(answer) {
                self.undo(unheard);
            }
        }
    }

    /// Does it, on a new connection if there is none or if the old one turns out to be gone; once.
    fn perform(&mut self, request: &Request, until: Instant) -> Result<Reply, Fault> {
        let first = self.on_connection(request, until);
        match first {
            Err(Fault::Lost(reason)) => {
                tracing::info!(reason, "the connection to the token is gone; logging in once more");
                self.connection = None;
                self.on_connection(request, until)
            }
            other => other,
        }
    }

    fn on_connection(&mut self, request: &Request, until: Instant) -> Result<Reply, Fault> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            None => self.connection.insert(self.connector.connect(until)?),
        };
        let answer = connection.perform(request, until);
        if matches!(answer, Err(Fault::Lost(_) | Fault::Failed(_))) {
            self.connection = None;
        }
        answer
    }

    /// Nobody will ever remember a key that was made for an answer that nobody heard.
    fn undo(&mut self, answer: Result<Reply, Fault>) {
        if let Ok(Reply::Held(key, _)) = answer
            && self.perform(&Request::Destroy(key), Instant::now() + limits::CALL_DEADLINE).is_err()
        {
            tracing::warn!("a key that nobody asked for any more stays in the token");
        }
    }
}

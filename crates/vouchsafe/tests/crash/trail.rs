//! What the audit log says after each start.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use http::Method;
use vouchsafe_testkit::running::Client;
use vouchsafe_wire::admin::{AuditTail, Outcome, Phase};

use crate::Seen;
use crate::secrets::Settled;

/// How long a job that announced a change may take for it. Far more than it needs.
const PATIENCE: Duration = Duration::from_secs(20);
const GLANCE: Duration = Duration::from_millis(5);

/// The log as far as it was read; only entries that survived a kill are ever in here.
#[derive(Default)]
pub struct Trail {
    next: u64,
    open: BTreeMap<u64, String>,
    /// By request: whether an entry says that it was done, or decided.
    requests: HashMap<String, bool>,
    /// By resource: requests whose change was done.
    done: HashMap<String, Vec<String>>,
    lost: u64,
    known: u64,
}

impl Trail {
    /// Reads what is new, and insists that every announced change has an outcome: what a kill cut off since the next
    /// start, what the job of this server announced as soon as it is done.
    pub async fn read_on(&mut self, admin: &mut Client) {
        let deadline = Instant::now() + PATIENCE;
        self.read(admin).await;
        while !self.open.is_empty() {
            assert!(Instant::now() < deadline, "announced changes without an outcome: {:?}", self.open);
            tokio::time::sleep(GLANCE).await;
            self.read(admin).await;
        }
    }

    async fn read(&mut self, admin: &mut Client) {
        loop {
            let path = format!("/admin/v1/audit?limit=1000&from={}", self.next);
            let answer = admin.request(Method::GET, "vouchsafe", &path, None, None).await.unwrap();
            let tail: AuditTail = serde_json::from_slice(&answer.body).expect("the log can be read");
            if tail.entries.is_empty() {
                break;
            }
            for entry in tail.entries {
                assert_eq!(entry.position, self.next, "the log has a gap");
                self.next += 1;
                let done = entry.outcome == Some(Outcome::Done);
                let known = self.requests.entry(entry.request.clone()).or_default();
                *known |= done;
                match entry.phase {
                    Phase::Event => {}
                    Phase::Intent => drop(self.open.insert(entry.position, entry.request)),
                    Phase::Outcome => {
                        let intent = entry.intent.expect("an outcome names its intent");
                        let opened = self.open.remove(&intent);
                        assert_eq!(opened.as_ref(), Some(&entry.request), "an outcome without its intent");
                        if done {
                            self.done.entry(entry.resource.to_lowercase()).or_default().push(entry.request);
                        } else {
                            self.lost += u64::from(entry.outcome == Some(Outcome::Lost));
                        }
                    }
                }
            }
        }
    }

    /// An answer that a client saw has its entry; one that reported a change, an entry that says it was done.
    pub fn must_know(&mut self, seen: &Seen) {
        match self.requests.get(&seen.request) {
            None => {
                panic!("a client saw an answer that the log does not know: {} ({})", seen.request, seen.what)
            }
            Some(false) if seen.changed => {
                panic!("the log does not say that this was done: {} ({})", seen.request, seen.what)
            }
            Some(_) => self.known += 1,
        }
    }

    /// What the log says of the request that had no answer is what the store says.
    pub fn must_agree(&self, settled: &Settled) {
        let suffix = format!("/{}/{}", settled.collection, settled.name);
        let done =
            self.done.iter().filter(|(resource, _)| resource.ends_with(&suffix)).map(|(_, done)| done.len());
        let done = done.sum::<usize>();
        assert_eq!(done, settled.changes, "the log and the store disagree about {settled:?}");
    }

    pub fn entries(&self) -> u64 {
        self.next
    }

    pub fn lost(&self) -> u64 {
        self.lost
    }

    pub fn known(&self) -> u64 {
        self.known
    }
}

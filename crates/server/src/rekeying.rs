//! New wrapping keys for every tenant and vault, as a job: begun by an administrator, or found unfinished at a start.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use vouchsafe_domain::audit::{Entry, Outcome, Subject};
use vouchsafe_domain::ports::Entropy;
use vouchsafe_domain::ports::store::{CommitError, Partition};
use vouchsafe_domain::{Context, Fault, Platform};
use vouchsafe_store::barrier::rekey::{Progress, Rekey};
use vouchsafe_wire::admin::RekeyStatus;

/// How long to wait after a failure before going on.
const PAUSE: Duration = Duration::from_secs(30);
const BEGIN: &str = "vouchsafe/keyRings/rekey/action";
const END: &str = "vouchsafe/keyRings/rekey/end";

/// The job and what it says of itself.
pub struct Rekeying {
    platform: Arc<Platform>,
    keys: Arc<dyn Rekey>,
    entropy: Arc<dyn Entropy>,
    stop: CancellationToken,
    running: AtomicBool,
    shown: Mutex<Shown>,
}

#[derive(Default)]
struct Shown {
    progress: Arc<Progress>,
    strays: u64,
    problem: Option<String>,
    done: bool,
}

impl Rekeying {
    /// A job that has nothing to do yet.
    pub fn new(
        platform: Arc<Platform>,
        keys: Arc<dyn Rekey>,
        entropy: Arc<dyn Entropy>,
        stop: CancellationToken,
    ) -> Arc<Self> {
        let (running, shown) = (AtomicBool::new(false), Mutex::default());
        Arc::new(Self { platform, keys, entropy, stop, running, shown })
    }

    /// Begins, durably and recorded, and works in the background. Begun already: goes on.
    pub async fn begin(self: &Arc<Self>, context: &Context) -> Result<(), Fault> {
        let subject = Subject { by: "kernel".to_owned(), ..Subject::default() };
        let mut entry = Entry::new(context.request, subject, BEGIN, "/", context.now());
        entry.from.clone_from(&context.from);
        self.platform.trail().record(entry.outcome(Outcome::Done, None)).await?;
        match self.keys.begin().await {
            Ok(_) | Err(CommitError::Conflict) => {}
            Err(CommitError::Store(error)) => return Err(Fault::from(error)),
        }
        self.go();
        Ok(())
    }

    /// Goes on with what an earlier process began.
    pub async fn resume(self: &Arc<Self>) -> Result<(), Fault> {
        if self.keys.is_pending().await? {
            tracing::info!("tenants and vaults are getting new keys; going on");
            self.go();
        }
        Ok(())
    }

    /// How far it is.
    pub fn status(&self) -> RekeyStatus {
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let state = match (self.running.load(Ordering::SeqCst), &shown.problem, shown.done) {
            (true, None, _) => "running",
            (true, Some(_), _) => "retrying",
            (false, _, true) => "done",
            (false, ..) => "idle",
        };
        let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        RekeyStatus {
            state: state.to_owned(),
            partitions: count(&shown.progress.partitions),
            partitions_done: count(&shown.progress.partitions_done),
            records_seen: count(&shown.progress.records_seen),
            records_sealed: count(&shown.progress.records_sealed),
            strays: shown.strays,
            problem: shown.problem.clone(),
        }
    }

    fn go(self: &Arc<Self>) {
        if !self.running.swap(true, Ordering::SeqCst) {
            tokio::spawn(Arc::clone(self).work());
        }
    }

    async fn work(self: Arc<Self>) {
        loop {
            self.finish().await;
            self.running.store(false, Ordering::SeqCst);
            // Somebody may have asked anew since the last look, and was told that it is under way.
            let again = !self.stop.is_cancelled() && self.keys.is_pending().await.unwrap_or(false);
            if !again || self.running.swap(true, Ordering::SeqCst) {
                break;
            }
        }
    }

    async fn finish(&self) {
        loop {
            let progress = Arc::new(Progress::default());
            self.show(|shown| {
                shown.progress = Arc::clone(&progress);
                shown.done = false;
            });
            let partitions = self.partitions();
            let ran = tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                ran = self.keys.run(&partitions, &progress) => ran,
            };
            match ran {
                Ok(rekeyed) => {
                    let subject = Subject { by: "platform".to_owned(), ..Subject::default() };
                    let entry =
                        Entry::new(self.entropy.uuid(), subject, END, "/", self.platform.time().now());
                    if let Err(error) = self.platform.trail().record(entry.outcome(Outcome::Done, None)).await
                    {
                        tracing::error!(%error, "that new keys are in force could not be recorded");
                    }
                    tracing::info!(strays = rekeyed.strays, "new keys are in force, older ones destroyed");
                    self.show(|shown| {
                        (shown.strays, shown.problem, shown.done) = (rekeyed.strays, None, true);
                    });
                    break;
                }
                Err(error) => {
                    tracing::error!(%error, "sealing under new keys stopped; it goes on in a while");
                    self.show(|shown| shown.problem = Some(error.to_string()));
                    tokio::select! {
                        () = self.stop.cancelled() => break,
                        () = tokio::time::sleep(PAUSE) => {}
                    }
                }
            }
        }
    }

    fn show(&self, change: impl FnOnce(&mut Shown)) {
        change(&mut self.shown.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn partitions(&self) -> Vec<Partition> {
        let world = self.platform.world();
        let mut partitions = vec![Partition::Deployment];
        for tenant in world.tenants() {
            let id = tenant.tenant().id;
            partitions.push(Partition::Tenant(id));
            let vaults = tenant.vaults().chain(tenant.deleted_vaults());
            partitions.extend(vaults.map(|vault| Partition::Vault(id, vault.id)));
        }
        partitions
    }
}

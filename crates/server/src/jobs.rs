//! What the server does without being asked. Each job is a `tick` that a test can call; this file only keeps time.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use vouchsafe_domain::Platform;
use vouchsafe_domain::ports::Entropy;
use vouchsafe_domain::timekeeping::ClockStanding;
use vouchsafe_domain::vault::certificate::CertificateJobs;
use vouchsafe_store::Deployment;

use crate::tls::Tls;

/// How often the log is anchored in the store, outcomes are settled and snapshots compared.
const OFTEN: Duration = Duration::from_secs(1);
/// How often certificates, signing keys and purges are looked at.
const SELDOM: Duration = Duration::from_secs(60);

/// Everything that jobs work on.
pub struct Jobs {
    /// What decides.
    pub platform: Arc<Platform>,
    /// The store and the log.
    pub deployment: Arc<Deployment>,
    /// The listener's certificates.
    pub tls: Arc<Tls>,
    /// Where request ids come from.
    pub entropy: Arc<dyn Entropy>,
}

impl Jobs {
    /// Keeps ticking until `stop`; the last tick happens after it.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        // An authority outside may let us wait: the rest does not wait with it.
        let certificates = self.clone().keep_certificates(stop.clone());
        tokio::join!(self.keep_everything_else(stop), certificates);
    }

    /// What is under way when the server stops is cut off, and goes on at the next start as after a crash.
    async fn keep_certificates(self: Arc<Self>, stop: CancellationToken) {
        let mut seldom = interval(SELDOM);
        seldom.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let ticking = async {
            loop {
                seldom.tick().await;
                self.tick_certificates().await;
            }
        };
        let _: Option<()> = stop.run_until_cancelled(ticking).await;
    }

    async fn keep_everything_else(self: Arc<Self>, stop: CancellationToken) {
        let mut often = interval(OFTEN);
        let mut seldom = interval(SELDOM);
        often.set_missed_tick_behavior(MissedTickBehavior::Delay);
        seldom.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                _ = seldom.tick() => self.tick_seldom().await,
                _ = often.tick() => self.tick_often().await,
            }
        }
        self.tick_often().await;
    }

    /// Looks at the clock, anchors the log's checkpoint in the store, lets the store forget settled announcements, and makes sure that what
    /// is held in memory is what is in the store.
    pub async fn tick_often(&self) {
        if let Err(error) = self.platform.keep_time().await {
            tracing::error!(%error, "the latest time known could not be kept in the store");
        }
        match self.platform.catch_up().await {
            Ok(0) => {}
            Ok(tenants) => tracing::warn!(tenants, "changes happened that nobody waited for; read again"),
            Err(error) => {
                tracing::error!(%error, "what is held in memory could not be compared with the store")
            }
        }
        if let Err(error) = self.deployment.anchor().await {
            tracing::error!(%error, "the audit log's checkpoint could not be kept in the store");
        }
        if let Err(error) = self.platform.trail().settle(self.platform.store()).await {
            tracing::error!(%error, "announced changes could not be settled");
        }
    }

    /// Goes on with certificates that are being made, and follows the policies of those that are there.
    pub async fn tick_certificates(&self) {
        let context = self.platform.context(self.entropy.uuid(), None);
        match self.platform.run_certificate_jobs(&context).await {
            Ok(jobs) if jobs.total() + jobs.failed == 0 => {}
            Ok(CertificateJobs { ended, renewed, told, lists, failed }) => {
                tracing::info!(ended, renewed, told, lists, failed, "policies of certificates were followed");
            }
            Err(error) => tracing::error!(%error, "policies of certificates could not be followed"),
        }
    }

    /// Says each minute what an operator has to do about the clock.
    fn warn_of_the_clock(&self) {
        let (consequence, by) = match self.platform.time().standing() {
            ClockStanding::Sound => return,
            ClockStanding::Behind(by) => {
                ("is behind the latest time known: no token and no certificate is issued", by)
            }
            ClockStanding::Ahead(by) => {
                ("is ahead of what can have passed: nothing is purged and no signing key retires", by)
            }
        };
        let seconds = by.as_secs();
        tracing::error!(
            seconds,
            "this machine's clock {consequence}; set it right or, if it is right, run `vouchsafe clock confirm`"
        );
    }

    /// Renews certificates, moves signing keys on, purges what is due.
    pub async fn tick_seldom(&self) {
        self.warn_of_the_clock();
        let context = self.platform.context(self.entropy.uuid(), None);
        self.tls.tick(context.now(), &*self.entropy);
        match self.platform.rotate_signing_keys(&context).await {
            Ok(0) => {}
            Ok(tenants) => tracing::info!(tenants, "signing keys moved on"),
            Err(error) => tracing::error!(%error, "signing keys could not be moved on"),
        }
        match self.platform.purge_due_secrets(&context).await {
            Ok(0) => {}
            Ok(secrets) => tracing::info!(secrets, "deleted secrets were purged on their scheduled date"),
            Err(error) => tracing::error!(%error, "deleted secrets that are due could not be purged"),
        }
        match self.platform.purge_due_keys(&context).await {
            Ok(0) => {}
            Ok(keys) => tracing::info!(keys, "deleted keys were purged on their scheduled date"),
            Err(error) => tracing::error!(%error, "deleted keys that are due could not be purged"),
        }
        match self.platform.purge_due_certificates(&context).await {
            Ok(0) => {}
            Ok(certificates) => {
                tracing::info!(certificates, "deleted certificates were purged on their scheduled date")
            }
            Err(error) => tracing::error!(%error, "deleted certificates that are due could not be purged"),
        }
        match self.platform.rotate_due_keys(&context).await {
            Ok(0) => {}
            Ok(steps) => tracing::info!(steps, "rotation policies were followed"),
            Err(error) => tracing::error!(%error, "rotation policies could not be followed"),
        }
    }
}

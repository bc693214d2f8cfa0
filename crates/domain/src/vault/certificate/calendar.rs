//! When something about a certificate is to be done next, as far as that is known: so that the job looks at what is due
//! and at what has changed, and not at every certificate of every vault with every tick.
//!
//! Nothing is decided here; what is due is decided from what is in the store. Where the calendar is wrong, a certificate is
//! looked at for nothing, or too late by [`limits::CERTIFICATE_REVIEW`] at most: that often everything is looked at, and
//! once after each start, because the calendar is in memory only.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::limits;
use crate::ports::store::{Change, Commit, Key, Kind, Partition};
use crate::time::Timestamp;

/// What there is to do in all vaults.
#[derive(Default)]
pub(crate) struct Calendar {
    vaults: Mutex<HashMap<Partition, Dates>>,
}

/// What there is to do in one vault. Names are canonical.
#[derive(Default)]
struct Dates {
    /// When everything was looked at.
    reviewed: Option<Timestamp>,
    next: HashMap<String, Timestamp>,
    changed: BTreeSet<String>,
}

/// What a run of the job looks at in one vault.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Agenda {
    Everything,
    These(Vec<String>),
}

/// Certificates that a commit changes. They are marked before it and after it: whoever looks between the two may see
/// what was there before, and looks again.
pub(crate) struct Touched<'a> {
    calendar: &'a Calendar,
    places: Vec<(Partition, String)>,
}

impl Drop for Touched<'_> {
    fn drop(&mut self) {
        self.calendar.mark(&self.places);
    }
}

impl Calendar {
    /// Marks the certificates that a commit changes, now and when the answer is dropped.
    pub(crate) fn touched(&self, commit: &Commit) -> Touched<'_> {
        let decides = |key: &Key| {
            let kinds = [Kind::Certificate, Kind::CertificatePolicy, Kind::PendingCertificate];
            kinds.contains(&key.kind)
        };
        let place = |change: &Change| match change {
            Change::Put(key, ..) | Change::Delete(key, _) if decides(key) => {
                key.name.first().map(|name| (key.partition, name.clone()))
            }
            _ => None,
        };
        let places: Vec<_> = commit.changes().iter().filter_map(place).collect();
        self.mark(&places);
        Touched { calendar: self, places }
    }

    fn mark(&self, places: &[(Partition, String)]) {
        if places.is_empty() {
            return;
        }
        let mut vaults = self.vaults();
        for (partition, name) in places {
            // In a vault that was never looked at, everything will be.
            if let Some(dates) = vaults.get_mut(partition) {
                dates.changed.insert(name.clone());
            }
        }
    }

    /// What is to be looked at now. Whatever is not looked at after all is given back with [`Calendar::postpone`].
    pub(super) fn agenda(&self, partition: Partition, now: Timestamp) -> Agenda {
        let mut vaults = self.vaults();
        let dates = vaults.entry(partition).or_default();
        let is_reviewed = dates
            .reviewed
            .is_some_and(|reviewed| now >= reviewed && now.since(reviewed) < limits::CERTIFICATE_REVIEW);
        if !is_reviewed {
            *dates = Dates { reviewed: Some(now), ..Dates::default() };
            return Agenda::Everything;
        }
        let mut names = std::mem::take(&mut dates.changed);
        names.extend(dates.next.iter().filter(|(_, next)| **next <= now).map(|(name, _)| name.clone()));
        Agenda::These(names.into_iter().collect())
    }

    /// Notes when a certificate is to be looked at again, if ever.
    pub(super) fn note(&self, partition: Partition, name: &str, next: Option<Timestamp>) {
        let mut vaults = self.vaults();
        let Some(dates) = vaults.get_mut(&partition) else { return };
        match next {
            Some(next) => drop(dates.next.insert(name.to_owned(), next)),
            None => drop(dates.next.remove(name)),
        }
    }

    /// Notes that a certificate was to be looked at and was not.
    pub(super) fn postpone(&self, partition: Partition, name: &str) {
        if let Some(dates) = self.vaults().get_mut(&partition) {
            dates.changed.insert(name.to_owned());
        }
    }

    /// Notes that not everything was looked at although it was to be.
    pub(super) fn review_again(&self, partition: Partition) {
        if let Some(dates) = self.vaults().get_mut(&partition) {
            dates.reviewed = None;
        }
    }

    fn vaults(&self) -> MutexGuard<'_, HashMap<Partition, Dates>> {
        self.vaults.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use uuid::Uuid;

    use super::*;
    use crate::ids::{TenantId, VaultId};
    use crate::ports::store::{Expect, Housekeeping, Revision};
    use vouchsafe_crypto::SecretBytes;

    const VAULT: Partition = Partition::Vault(TenantId(Uuid::from_u128(1)), VaultId(Uuid::from_u128(2)));

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    fn put(kind: Kind, name: &str) -> Commit {
        let key = Key::new(VAULT, kind, name);
        Commit::housekeeping(Housekeeping::Initialise).put(key, Expect::Absent, SecretBytes::new(vec![1]))
    }

    fn these(names: &[&str]) -> Agenda {
        Agenda::These(names.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn everything_is_looked_at_first_and_then_what_is_due_or_was_changed() {
        let calendar = Calendar::default();
        assert_eq!(calendar.agenda(VAULT, at(0)), Agenda::Everything);
        assert_eq!(calendar.agenda(VAULT, at(1)), these(&[]));
        calendar.note(VAULT, "due", Some(at(10)));
        calendar.note(VAULT, "never", None);
        drop(calendar.touched(&put(Kind::CertificatePolicy, "changed")));
        drop(calendar.touched(&put(Kind::Secret, "a-secret")));
        let key = Key::new(VAULT, Kind::Certificate, "gone");
        drop(calendar.touched(&Commit::housekeeping(Housekeeping::Initialise).delete(key, Revision(1))));
        assert_eq!(calendar.agenda(VAULT, at(9)), these(&["changed", "gone"]));
        assert_eq!(calendar.agenda(VAULT, at(10)), these(&["due"]));
        calendar.note(VAULT, "due", Some(at(20)));
        calendar.postpone(VAULT, "later");
        assert_eq!(calendar.agenda(VAULT, at(19)), these(&["later"]));
    }

    #[test]
    fn what_changes_while_it_is_looked_at_is_looked_at_again() {
        let calendar = Calendar::default();
        calendar.agenda(VAULT, at(0));
        let touched = calendar.touched(&put(Kind::PendingCertificate, "web"));
        assert_eq!(calendar.agenda(VAULT, at(1)), these(&["web"]), "the commit is on its way");
        assert_eq!(calendar.agenda(VAULT, at(1)), these(&[]));
        drop(touched);
        assert_eq!(calendar.agenda(VAULT, at(1)), these(&["web"]), "it is over, done or not");
    }

    #[test]
    fn everything_is_reviewed_now_and_then_and_when_the_clock_went_back() {
        let calendar = Calendar::default();
        calendar.agenda(VAULT, at(10_000));
        let review = limits::CERTIFICATE_REVIEW;
        let before = at(10_000).plus(review - Duration::from_secs(1));
        assert_eq!(calendar.agenda(VAULT, before), these(&[]));
        assert_eq!(calendar.agenda(VAULT, at(10_000).plus(review)), Agenda::Everything);
        assert_eq!(calendar.agenda(VAULT, at(10_000).plus(review)), these(&[]));
        assert_eq!(calendar.agenda(VAULT, at(9_999)), Agenda::Everything);
        calendar.review_again(VAULT);
        assert_eq!(calendar.agenda(VAULT, at(9_999)), Agenda::Everything);
    }
}

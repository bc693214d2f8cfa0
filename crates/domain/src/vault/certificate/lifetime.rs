//! Lifetime actions: what is to be done before a certificate expires, and when (wire.md §7.3).

use std::time::Duration;

use crate::time::Timestamp;

/// Something to do at a point of a certificate's life.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LifetimeAction {
    /// When.
    pub trigger: Trigger,
    /// What.
    pub action: LifetimeActionType,
}

/// When a lifetime action is due.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Trigger {
    /// After this share of the validity, in percent.
    LifetimePercentage(u32),
    /// This many days before the end of validity.
    DaysBeforeExpiry(u32),
}

/// What a lifetime action does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum LifetimeActionType {
    /// Makes the next version.
    AutoRenew = 1,
    /// Tells the contacts of the vault; here, as an event in the audit log.
    EmailContacts = 2,
}

impl LifetimeActionType {
    /// Reads an action as Key Vault spells it.
    pub fn parse(raw: &str) -> Option<Self> {
        [Self::AutoRenew, Self::EmailContacts]
            .into_iter()
            .find(|known| known.as_str().eq_ignore_ascii_case(raw))
    }

    /// The action in Key Vault's words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AutoRenew => "AutoRenew",
            Self::EmailContacts => "EmailContacts",
        }
    }

    /// The stored number.
    pub const fn code(self) -> u32 {
        self as u32
    }

    /// Reads a stored number.
    pub fn from_code(code: u32) -> Option<Self> {
        [Self::AutoRenew, Self::EmailContacts].into_iter().find(|known| known.code() == code)
    }
}

const DAY: Duration = Duration::from_secs(86_400);

/// The shortest month that Key Vault reckons with when it bounds `days_before_expiry`.
const DAYS_PER_MONTH: u32 = 27;

impl LifetimeAction {
    /// Refuses a trigger outside the documented bounds.
    pub fn check(&self, validity_months: u32) -> Result<(), String> {
        match self.trigger {
            Trigger::LifetimePercentage(1..=99) => Ok(()),
            Trigger::LifetimePercentage(_) => Err("lifetime_percentage must be between 1 and 99".to_owned()),
            Trigger::DaysBeforeExpiry(days) => {
                let most = validity_months.saturating_mul(DAYS_PER_MONTH);
                if (1..=most).contains(&days) {
                    Ok(())
                } else {
                    Err(format!("days_before_expiry must be between 1 and {most}"))
                }
            }
        }
    }

    /// The moment from which on it is due for a certificate with this validity, whose policy asked for so many months.
    ///
    /// Days are counted for the months that were asked for, and an issuer may give less: then days that begin in the
    /// first half of what was issued mean nothing, and two thirds of it are waited for, as ACME clients do.
    /// INVARIANT: what is just renewed is not due for renewal.
    pub fn due(&self, not_before: Timestamp, expires: Timestamp, validity_months: u32) -> Timestamp {
        let lifetime = expires.since(not_before);
        match self.trigger {
            Trigger::LifetimePercentage(percent) => not_before.plus(lifetime * percent.min(100) / 100),
            Trigger::DaysBeforeExpiry(days) => {
                let before = DAY.saturating_mul(days);
                let due =
                    expires.millis().saturating_sub(u64::try_from(before.as_millis()).unwrap_or(u64::MAX));
                let due = Timestamp::from_millis(due);
                let asked = DAY.saturating_mul(validity_months.saturating_mul(DAYS_PER_MONTH));
                let is_elsewhere = lifetime < asked && before > lifetime / 2;
                let renews = self.action == LifetimeActionType::AutoRenew;
                if renews && (is_elsewhere || due < not_before.plus(DAY)) {
                    return not_before.plus(lifetime * 2 / 3);
                }
                due
            }
        }
    }
}

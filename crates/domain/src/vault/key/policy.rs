//! Rotation policies: when a key gets a new version by itself, and when somebody is told that it will expire.
//!
//! Durations are ISO 8601 as Azure writes them (`P90D`, `P18M`, `P1Y`). They count from a version's creation or back
//! from its expiry, in calendar months where they say months.

use std::fmt;
use std::time::Duration;

use crate::ids::ObjectVersion;
use crate::limits;
use crate::record::key as stored;
use crate::record::{self, Decode, Encode, Undecodable};
use crate::time::Timestamp;
use crate::vault::error::Error;

/// An ISO 8601 duration of years, months, weeks and days. Azure's policies have no smaller parts.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Span {
    months: u32,
    days: u32,
    /// Whether the months are written as years.
    years: bool,
}

impl Span {
    /// A number of days.
    pub const fn of_days(days: u32) -> Self {
        Self { months: 0, days, years: false }
    }

    /// Reads `P1Y2M3W4D` or a part of it, in this order, each part at most once; at most a hundred years.
    pub fn parse(raw: &str) -> Option<Self> {
        let mut rest = raw.strip_prefix('P')?;
        let (mut span, mut last) = (Self::default(), 0);
        let mut total = (0_u32, 0_u32);
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let (number, unit) = rest.split_at_checked(digits)?;
            // Four digits are a hundred years in days, and more never is one.
            let number: u32 = (digits <= 5).then(|| number.parse().ok()).flatten()?;
            let (order, months, days) = match unit.bytes().next()? {
                b'Y' => (1, number.checked_mul(12)?, 0),
                b'M' => (2, number, 0),
                b'W' => (3, 0, number.checked_mul(7)?),
                b'D' => (4, 0, number),
                _ => return None,
            };
            if order <= last {
                return None;
            }
            last = order;
            total = (total.0.checked_add(months)?, total.1.checked_add(days)?);
            rest = unit.get(1..)?;
        }
        (span.months, span.days) = total;
        span.years = span.months > 0 && span.months % 12 == 0;
        (last > 0 && span.shortest_days() <= limits::ROTATION_SPAN_DAYS_MAX).then_some(span)
    }

    /// How many days it has at least, whichever months it covers.
    pub fn shortest_days(self) -> u32 {
        // A year has at least 365 days; of the months that are left over, February has 28 and no two follow.
        let (years, months) = (self.months / 12, self.months % 12);
        let left_over = if months == 0 { 0 } else { 28 + (months - 1) * 30 };
        years * 365 + left_over + self.days
    }

    /// How many days it has at most, whichever months it covers.
    pub fn longest_days(self) -> u32 {
        let (years, months) = (self.months / 12, self.months % 12);
        years * 366 + months * 31 + self.days
    }

    /// The moment this much later.
    pub fn after(self, moment: Timestamp) -> Timestamp {
        moved(moment, i64::from(self.months)).plus(self.plain_days())
    }

    /// The moment this much earlier.
    pub fn before(self, moment: Timestamp) -> Timestamp {
        let by_months = moved(moment, -i64::from(self.months));
        let days = u64::try_from(self.plain_days().as_millis()).unwrap_or(u64::MAX);
        Timestamp::from_millis(by_months.millis().saturating_sub(days))
    }

    fn plain_days(self) -> Duration {
        Duration::from_secs(u64::from(self.days) * 86_400)
    }
}

/// The same day and time of another month, or that month's last day.
fn moved(moment: Timestamp, months: i64) -> Timestamp {
    let nanos = i128::from(moment.millis()) * 1_000_000;
    let moved = || {
        let date_time = time::OffsetDateTime::from_unix_timestamp_nanos(nanos).ok()?;
        let date = date_time.date();
        let count = i64::from(date.year()) * 12 + i64::from(u8::from(date.month())) - 1 + months;
        let year = i32::try_from(count.div_euclid(12)).ok()?;
        let month = time::Month::try_from(u8::try_from(count.rem_euclid(12) + 1).ok()?).ok()?;
        let day = date.day().min(month.length(year));
        let date = time::Date::from_calendar_date(year, month, day).ok()?;
        u64::try_from(date_time.replace_date(date).unix_timestamp_nanos() / 1_000_000).ok()
    };
    if months == 0 {
        return moment;
    }
    // Out of the calendar: never, or always.
    moved().map_or(Timestamp::from_millis(if months > 0 { u64::MAX } else { 0 }), Timestamp::from_millis)
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("P")?;
        match self.months {
            0 => {}
            months if self.years => write!(f, "{}Y", months / 12)?,
            months => write!(f, "{months}M")?,
        }
        if self.days > 0 || self.months == 0 { write!(f, "{}D", self.days) } else { Ok(()) }
    }
}

/// When something is to happen to a version.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LifetimeTrigger {
    /// So long after it was made.
    AfterCreate(Span),
    /// So long before it expires.
    BeforeExpiry(Span),
}

/// What is to happen.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RotationAction {
    /// A new version is made.
    Rotate,
    /// An event says that the version will expire.
    Notify,
}

/// An action and its moment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LifetimeAction {
    /// When.
    pub trigger: LifetimeTrigger,
    /// What.
    pub action: RotationAction,
}

/// A rotation policy as a caller sets it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct RotationPolicyToSet {
    /// What happens when.
    pub actions: Vec<LifetimeAction>,
    /// How long a rotated version is valid.
    pub expiry: Option<Span>,
}

/// A rotation policy.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RotationPolicy {
    /// What happens when.
    pub actions: Vec<LifetimeAction>,
    /// How long a rotated version is valid.
    pub expiry: Option<Span>,
    /// When the key got a policy.
    pub created: Timestamp,
    /// When it last changed.
    pub updated: Timestamp,
    /// The version whose coming expiry was told.
    pub notified: Option<ObjectVersion>,
}

impl RotationPolicyToSet {
    /// What a key has that nobody gave a policy: a notice thirty days before it expires.
    pub fn usual() -> Self {
        let trigger = LifetimeTrigger::BeforeExpiry(Span::of_days(30));
        Self { actions: vec![LifetimeAction { trigger, action: RotationAction::Notify }], expiry: None }
    }

    /// Refuses what Key Vault documents as too short or contradictory.
    pub(super) fn check(&self) -> Result<(), Error> {
        let refuse = |problem: String| Err(Error::BadParameter(problem));
        let (expiry_min, trigger_min) = (limits::KEY_EXPIRY_DAYS_MIN, limits::ROTATION_TRIGGER_DAYS_MIN);
        if self.expiry.is_some_and(|expiry| expiry.shortest_days() < expiry_min) {
            return refuse(format!("expiryTime must be at least {expiry_min} days"));
        }
        for wanted in [RotationAction::Rotate, RotationAction::Notify] {
            if self.actions.iter().filter(|action| action.action == wanted).count() > 1 {
                return refuse("a rotation policy has at most one action of each type".to_owned());
            }
        }
        for LifetimeAction { trigger, action } in &self.actions {
            let (LifetimeTrigger::AfterCreate(span) | LifetimeTrigger::BeforeExpiry(span)) = trigger;
            if span.shortest_days() < trigger_min {
                return refuse(format!("the time of a lifetime action must be at least {trigger_min} days"));
            }
            match (action, trigger, self.expiry) {
                (RotationAction::Notify, LifetimeTrigger::AfterCreate(_), _) => {
                    return refuse("timeAfterCreate is for the action Rotate only".to_owned());
                }
                (RotationAction::Rotate, LifetimeTrigger::BeforeExpiry(_), None) => {
                    return refuse("rotating at timeBeforeExpiry needs an expiryTime".to_owned());
                }
                // A version that is to be replaced must live for a while first, whichever months that are, or every new
                // one would be due at once.
                (_, _, Some(expiry)) if span.longest_days() + trigger_min > expiry.shortest_days() => {
                    return refuse(format!(
                        "the time of a lifetime action must be at least {trigger_min} days shorter than expiryTime"
                    ));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl RotationPolicy {
    /// The moment at which `action` is due for a version made and expiring then; never, if absent.
    ///
    /// INVARIANT: no version that a rotation makes is due for the next one when it is made, whatever its policy says:
    /// a store may have policies that were accepted by another rule. A version that expires sooner than such a one was
    /// given its date by a user, and is followed when the user's date says so.
    pub(super) fn due(
        &self,
        action: RotationAction,
        created: Timestamp,
        expires: Option<Timestamp>,
    ) -> Option<Timestamp> {
        let found = self.actions.iter().find(|planned| planned.action == action)?;
        match found.trigger {
            LifetimeTrigger::AfterCreate(span) => Some(span.after(created)),
            LifetimeTrigger::BeforeExpiry(span) => {
                let expires = expires?;
                let due = span.before(expires);
                let as_rotated = self.expiry.is_some_and(|expiry| expires >= expiry.after(created));
                match action {
                    RotationAction::Rotate if as_rotated => {
                        let least = Span::of_days(limits::ROTATION_TRIGGER_DAYS_MIN).after(created);
                        Some(due.max(least.min(expires)))
                    }
                    RotationAction::Rotate | RotationAction::Notify => Some(due),
                }
            }
        }
    }
}

fn span_from(raw: &str) -> Result<Span, Undecodable> {
    Span::parse(raw).ok_or_else(|| Undecodable("a rotation policy has a malformed duration".to_owned()))
}

impl Encode for RotationPolicy {
    fn encode(&self) -> Vec<u8> {
        let actions = self.actions.iter().map(|LifetimeAction { trigger, action }| {
            let (after_create, before_expiry) = match trigger {
                LifetimeTrigger::AfterCreate(span) => (Some(span.to_string()), None),
                LifetimeTrigger::BeforeExpiry(span) => (None, Some(span.to_string())),
            };
            let action = match action {
                RotationAction::Rotate => 1,
                RotationAction::Notify => 2,
            };
            stored::LifetimeAction { action, after_create, before_expiry }
        });
        record::encode(&stored::RotationPolicy {
            actions: actions.collect(),
            expiry: self.expiry.map(|expiry| expiry.to_string()),
            created: Some(self.created.millis()),
            updated: self.updated.millis(),
            notified: self.notified.map(|version| version.0.as_bytes().to_vec()),
        })
    }
}

impl Decode for RotationPolicy {
    fn decode(bytes: &[u8]) -> Result<Self, Undecodable> {
        let stored: stored::RotationPolicy = record::decode(bytes)?;
        let malformed = || Undecodable("a rotation policy has an action that nobody knows".to_owned());
        let mut actions = Vec::with_capacity(stored.actions.len());
        for planned in stored.actions {
            let trigger = match (planned.after_create, planned.before_expiry) {
                (Some(span), None) => LifetimeTrigger::AfterCreate(span_from(&span)?),
                (None, Some(span)) => LifetimeTrigger::BeforeExpiry(span_from(&span)?),
                _ => return Err(malformed()),
            };
            let action = match planned.action {
                1 => RotationAction::Rotate,
                2 => RotationAction::Notify,
                _ => return Err(malformed()),
            };
            actions.push(LifetimeAction { trigger, action });
        }
        let created =
            stored.created.ok_or_else(|| Undecodable("a rotation policy has no date".to_owned()))?;
        let notified = stored.notified.map(|version| record::uuid(&version)).transpose()?;
        Ok(Self {
            actions,
            expiry: stored.expiry.as_deref().map(span_from).transpose()?,
            created: Timestamp::from_millis(created),
            updated: Timestamp::from_millis(stored.updated),
            notified: notified.map(ObjectVersion),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(raw: &str) -> Span {
        Span::parse(raw).expect(raw)
    }

    #[test]
    fn durations_are_read_as_azure_writes_them_and_nothing_else_is() {
        for (raw, written, days) in [
            ("P90D", "P90D", 90),
            ("P18M", "P18M", 365 + 28 + 5 * 30),
            ("P1Y", "P1Y", 365),
            ("P12M", "P1Y", 365),
            ("P2W", "P14D", 14),
            ("P1Y2M10D", "P14M10D", 365 + 28 + 30 + 10),
            ("P0D", "P0D", 0),
        ] {
            assert_eq!(
                (span(raw).to_string(), span(raw).shortest_days()),
                (written.to_owned(), days),
                "{raw}"
            );
            assert_eq!(Span::parse(written), Some(span(raw)), "{written}");
        }
        for raw in [
            "",
            "P",
            "90D",
            "P90",
            "PD",
            "P-1D",
            "P1.5D",
            "P1D1Y",
            "P1D1D",
            "PT1H",
            "P1DT1H",
            "p90d",
            "P90D ",
            "P99999Y",
            "P999999999999D",
            "P101Y",
            "P+1D",
            "P٣D",
        ] {
            assert_eq!(Span::parse(raw), None, "{raw}");
        }
    }

    #[test]
    fn months_are_those_of_the_calendar_and_never_shorter_than_said() {
        let at = |text: &str| {
            let parsed = time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339);
            Timestamp::from_seconds(u64::try_from(parsed.expect(text).unix_timestamp()).expect("after 1970"))
        };
        for (from, by, to) in [
            ("2027-01-31T10:00:00Z", "P1M", "2027-02-28T10:00:00Z"),
            ("2028-01-31T10:00:00Z", "P1M", "2028-02-29T10:00:00Z"),
            ("2027-11-30T00:00:00Z", "P18M", "2029-05-30T00:00:00Z"),
            ("2028-02-29T00:00:00Z", "P1Y", "2029-02-28T00:00:00Z"),
            ("2027-01-01T00:00:00Z", "P90D", "2027-04-01T00:00:00Z"),
        ] {
            assert_eq!(span(by).after(at(from)), at(to), "{from} {by}");
        }
        assert_eq!(span("P1M").before(at("2027-03-31T00:00:00Z")), at("2027-02-28T00:00:00Z"));
        assert_eq!(span("P30D").before(at("2027-03-31T00:00:00Z")), at("2027-03-01T00:00:00Z"));
        assert_eq!(span("P100Y").before(at("1971-01-01T00:00:00Z")), Timestamp::from_millis(0));
        let begin = at("2027-01-01T00:00:00Z");
        for months in 1..=60 {
            for day in 0..366 {
                let from = begin.plus(Duration::from_secs(day * 86_400));
                let by = span(&format!("P{months}M"));
                let days = by.after(from).since(from).as_secs() / 86_400;
                assert!(days >= u64::from(by.shortest_days()), "{months} months from {}", from.rfc3339());
            }
        }
    }

    #[test]
    fn a_policy_that_azure_refuses_is_refused() {
        use LifetimeTrigger::{AfterCreate, BeforeExpiry};
        use RotationAction::{Notify, Rotate};
        type Row<'a> = (&'a [(LifetimeTrigger, RotationAction)], Option<&'a str>, bool);
        let table: [Row<'_>; 14] = [
            (&[], None, true),
            (&[], Some("P28D"), true),
            (&[], Some("P27D"), false),
            (&[(AfterCreate(span("P90D")), Rotate)], None, true),
            (&[(AfterCreate(span("P6D")), Rotate)], None, false),
            (&[(AfterCreate(span("P7D")), Rotate)], Some("P28D"), true),
            (&[(AfterCreate(span("P28D")), Rotate)], Some("P28D"), false),
            (&[(BeforeExpiry(span("P30D")), Rotate)], None, false),
            (&[(BeforeExpiry(span("P30D")), Rotate)], Some("P1Y"), true),
            (&[(BeforeExpiry(span("P30D")), Rotate)], Some("P1M"), false),
            (&[(BeforeExpiry(span("P30D")), Notify)], None, true),
            (&[(AfterCreate(span("P30D")), Notify)], None, false),
            (&[(BeforeExpiry(span("P30D")), Notify), (AfterCreate(span("P90D")), Rotate)], Some("P1Y"), true),
            (&[(BeforeExpiry(span("P30D")), Notify), (BeforeExpiry(span("P9D")), Notify)], None, false),
        ];
        for (number, (actions, expiry, good)) in table.into_iter().enumerate() {
            let actions =
                actions.iter().map(|(trigger, action)| LifetimeAction { trigger: *trigger, action: *action });
            let policy = RotationPolicyToSet { actions: actions.collect(), expiry: expiry.map(span) };
            assert_eq!(policy.check().is_ok(), good, "policy {number}");
        }
    }

    #[test]
    fn no_version_that_a_policy_makes_is_due_when_it_is_made() {
        use LifetimeTrigger::{AfterCreate, BeforeExpiry};
        let parts =
            ["P7D", "P30D", "P1M", "P11M", "P334D", "P335D", "P365D", "P1Y", "P13M", "P1Y28D", "P2Y", "P4Y"];
        let begin = Timestamp::from_seconds(1_798_761_600);
        let least = Duration::from_secs(u64::from(limits::ROTATION_TRIGGER_DAYS_MIN) * 86_400);
        let mut accepted = 0;
        for (trigger, expiry) in parts.iter().flat_map(|trigger| parts.map(|expiry| (span(trigger), expiry)))
        {
            for trigger in [AfterCreate(trigger), BeforeExpiry(trigger)] {
                let action = RotationAction::Rotate;
                let actions = vec![LifetimeAction { trigger, action }];
                let wanted = RotationPolicyToSet { actions: actions.clone(), expiry: Some(span(expiry)) };
                let passes = wanted.check().is_ok();
                accepted += usize::from(passes);
                let policy = RotationPolicy {
                    actions,
                    expiry: wanted.expiry,
                    created: begin,
                    updated: begin,
                    notified: None,
                };
                for day in 0..4 * 366 {
                    let created = begin.plus(Duration::from_secs(day * 86_400));
                    let expires = span(expiry).after(created);
                    let shown = || format!("{trigger:?} {expiry} {}", created.rfc3339());
                    // Also one that was stored before it would have been refused.
                    let due = policy.due(action, created, Some(expires)).expect("it expires");
                    assert!(due >= created.plus(least), "{}", shown());
                    if passes {
                        let asked = match trigger {
                            AfterCreate(span) => span.after(created),
                            BeforeExpiry(span) => span.before(expires),
                        };
                        assert_eq!(due, asked, "{}", shown());
                        assert!(due < expires, "{}", shown());
                    }
                }
            }
        }
        assert!(accepted > 40, "{accepted}");
    }
}

//! What an ACME server fetches to see that a name is ours: the answers to http-01 challenges (RFC 8555 §8.3).
//!
//! They are in memory only. After a restart each order publishes its answers again when it is asked about.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use uuid::Uuid;
use vouchsafe_domain::ports::Clock;
use vouchsafe_domain::time::Timestamp;

use crate::limits;

/// Where answers to challenges are looked for (RFC 8555 §8.3).
pub const CHALLENGES: &str = "/.well-known/acme-challenge/";

/// The table of answers; bounded in number, size and time.
pub struct ChallengeAnswers {
    published: Mutex<HashMap<String, Published>>,
    clock: Arc<dyn Clock>,
}

struct Published {
    answer: String,
    request: Uuid,
    until: Timestamp,
}

impl ChallengeAnswers {
    /// A table with nothing in it.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { published: Mutex::default(), clock }
    }

    /// Answers a token from now on, for the order of a request. False if there is no more room.
    pub(crate) fn publish(&self, token: &str, answer: &str, request: Uuid) -> bool {
        let now = self.clock.now();
        let mut published = self.published.lock().unwrap_or_else(PoisonError::into_inner);
        if published.len() >= limits::CHALLENGE_ANSWERS_MAX && !published.contains_key(token) {
            published.retain(|_, one| one.until > now);
            if published.len() >= limits::CHALLENGE_ANSWERS_MAX {
                return false;
            }
        }
        let until = now.plus(limits::CHALLENGE_ANSWER_LIFETIME);
        published.insert(token.to_owned(), Published { answer: answer.to_owned(), request, until });
        true
    }

    /// Takes back what was published for a request.
    pub(super) fn forget(&self, request: Uuid) {
        let mut published = self.published.lock().unwrap_or_else(PoisonError::into_inner);
        published.retain(|_, one| one.request != request);
    }

    /// The answer to what was asked for, if it is a token that is being waited for.
    pub fn answer(&self, path: &str) -> Option<String> {
        let token = path.strip_prefix(CHALLENGES).filter(|token| is_token(token))?;
        let published = self.published.lock().unwrap_or_else(PoisonError::into_inner);
        let found = published.get(token).filter(|one| one.until > self.clock.now());
        found.map(|one| one.answer.clone())
    }
}

/// Whether text is a token (RFC 8555 §8.3): base64url, and not without bound.
pub(super) fn is_token(text: &str) -> bool {
    (1..=limits::CHALLENGE_TOKEN_BYTES_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use super::*;

    struct At(AtomicU64);

    impl Clock for At {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(self.0.load(Ordering::Relaxed))
        }

        fn monotonic(&self) -> Duration {
            Duration::from_millis(self.0.load(Ordering::Relaxed))
        }
    }

    fn table() -> (ChallengeAnswers, Arc<At>) {
        let clock = Arc::new(At(AtomicU64::new(1)));
        (ChallengeAnswers::new(clock.clone()), clock)
    }

    fn path(token: &str) -> String {
        format!("/.well-known/acme-challenge/{token}")
    }

    #[test]
    fn only_a_published_token_at_its_own_path_is_answered_until_its_order_is_over() {
        let (table, clock) = table();
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        assert!(table.publish("a-token_1", "a-token_1.thumb", one));
        assert!(table.publish("another", "another.thumb", other));
        assert_eq!(table.answer(&path("a-token_1")).as_deref(), Some("a-token_1.thumb"));
        for wrong in
            ["", "a-token_2", "a-token_1/", "a-token_1?", "../acme-challenge/a-token_1", "a-token%5F1"]
        {
            assert_eq!(table.answer(&path(wrong)), None, "{wrong}");
        }
        assert_eq!(table.answer("/a-token_1"), None);
        table.forget(one);
        assert_eq!(table.answer(&path("a-token_1")), None);
        let lifetime = u64::try_from(limits::CHALLENGE_ANSWER_LIFETIME.as_millis()).unwrap();
        clock.0.store(lifetime, Ordering::Relaxed);
        assert!(table.answer(&path("another")).is_some());
        clock.0.store(lifetime + 1, Ordering::Relaxed);
        assert_eq!(table.answer(&path("another")), None);
    }

    #[test]
    fn the_table_is_bounded_and_what_is_over_makes_room() {
        let (table, clock) = table();
        for number in 0..limits::CHALLENGE_ANSWERS_MAX {
            assert!(table.publish(&format!("t{number}"), "x", Uuid::nil()));
        }
        assert!(!table.publish("one-more", "x", Uuid::nil()));
        assert!(table.publish("t0", "y", Uuid::nil()), "what is there may be published again");
        let later = limits::CHALLENGE_ANSWER_LIFETIME + Duration::from_secs(1);
        clock.0.fetch_add(u64::try_from(later.as_millis()).unwrap(), Ordering::Relaxed);
        assert!(table.publish("one-more", "x", Uuid::nil()));
    }
}

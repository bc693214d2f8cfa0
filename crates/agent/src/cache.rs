//! Tokens in memory, and nowhere else.
//!
//! A token is served until five minutes before it expires (half its life, if that is shorter), then replaced. When
//! the platform cannot be reached, the old one is served as long as it is valid. A crowd that asks for the same
//! token at once makes one call; all of them get its outcome, also when it is a refusal. Refusals are not kept.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::digest::{Context, SHA256};
use vouchsafe_wire::node::TokenRequest;

use crate::limits::{FORGET_UNUSED, REFRESH_BEFORE_EXPIRY_SECONDS, RETRY_REFRESH_SECONDS, TOKENS_MAX};
use crate::source::{SourceError, Token};

/// What a token depends on: everything in the request but the number of the process.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Key([u8; 32]);

impl Key {
    pub(crate) fn of(request: &TokenRequest) -> Self {
        let process = &request.process;
        let mut context = Context::new(&SHA256);
        // Each field is told apart from its neighbours, and an absent one from an empty one.
        let mut field = |value: Option<&[u8]>| {
            let length = value.map_or(u64::MAX, |bytes| bytes.len() as u64);
            context.update(&length.to_be_bytes());
            context.update(value.unwrap_or_default());
        };
        field(Some(&process.uid.to_be_bytes()));
        field(Some(&process.gid.to_be_bytes()));
        field(Some(process.exe_path.as_bytes()));
        field(Some(process.exe_sha256.as_bytes()));
        for text in [&process.unit, &process.cgroup, &process.run_identity] {
            field(text.as_ref().map(String::as_bytes));
        }
        field(Some(request.resource.as_bytes()));
        for text in [&request.client_id, &request.object_id, &request.resource_id] {
            field(text.as_ref().map(String::as_bytes));
        }
        let mut key = [0; 32];
        key.copy_from_slice(context.finish().as_ref());
        Self(key)
    }
}

type Outcome = Result<Arc<Token>, SourceError>;

#[derive(Default)]
struct Slot {
    state: Mutex<SlotState>,
    /// Held by whoever asks the platform.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct SlotState {
    token: Option<(Arc<Token>, u64)>,
    /// How many calls have ended, and why the last one failed if it did.
    calls: u64,
    last_error: Option<SourceError>,
}

/// A bounded set of tokens.
pub(crate) struct TokenCache {
    slots: moka::sync::Cache<Key, Arc<Slot>>,
}

enum Held {
    Fresh(Arc<Token>),
    Ageing(Arc<Token>),
    Nothing,
}

impl Slot {
    fn with<T>(&self, use_state: impl FnOnce(&mut SlotState) -> T) -> T {
        // Nothing panics while it holds the lock; if it did, the state would still be whole.
        use_state(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn held(&self, now: u64) -> Held {
        self.with(|state| match &state.token {
            Some((token, refresh_at)) if now < token.expires_on.min(*refresh_at) => {
                Held::Fresh(Arc::clone(token))
            }
            Some((token, _)) if now < token.expires_on => Held::Ageing(Arc::clone(token)),
            _ => {
                state.token = None;
                Held::Nothing
            }
        })
    }
}

impl TokenCache {
    pub(crate) fn new() -> Self {
        Self {
            slots: moka::sync::Cache::builder().max_capacity(TOKENS_MAX).time_to_idle(FORGET_UNUSED).build(),
        }
    }

    /// The token for `key`, from memory or by `ask`.
    pub(crate) async fn get<F>(&self, key: Key, now: u64, ask: impl FnOnce() -> F) -> Outcome
    where
        F: Future<Output = Result<Token, SourceError>>,
    {
        let slot = self.slots.get_with(key, Arc::default);
        let calls_before = slot.with(|state| state.calls);
        let _asking = match slot.held(now) {
            Held::Fresh(token) => return Ok(token),
            // Somebody is replacing it already; it is good enough meanwhile.
            Held::Ageing(token) => match slot.asking.try_lock() {
                Ok(guard) => guard,
                Err(_) => return Ok(token),
            },
            Held::Nothing => slot.asking.lock().await,
        };
        // Whoever waited takes the outcome of the call that it waited for.
        if let Some(error) =
            slot.with(|state| state.last_error.clone().filter(|_| state.calls != calls_before))
        {
            return Err(error);
        }
        if let Held::Fresh(token) = slot.held(now) {
            return Ok(token);
        }
        let asked = ask().await.map(Arc::new);
        let held = slot.held(now);
        slot.with(|state| {
            state.calls += 1;
            let outcome = match (asked, held) {
                (Ok(token), _) => {
                    let refresh_at = refresh_at(&token, now);
                    Ok((token, refresh_at))
                }
                (Err(SourceError::Unreachable(reason)), Held::Fresh(token) | Held::Ageing(token)) => {
                    tracing::warn!(%reason, "serving a token that should have been replaced");
                    Ok((token, now.saturating_add(RETRY_REFRESH_SECONDS)))
                }
                // A refusal takes back what was granted before.
                (Err(error), _) => Err(error),
            };
            state.last_error = outcome.as_ref().err().cloned();
            state.token = outcome.as_ref().ok().cloned();
            outcome.map(|(token, _)| token)
        })
    }
}

fn refresh_at(token: &Token, now: u64) -> u64 {
    let life = token.expires_on.saturating_sub(token.not_before.min(now));
    token.expires_on.saturating_sub(REFRESH_BEFORE_EXPIRY_SECONDS.min(life / 2))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Semaphore;
    use vouchsafe_crypto::{Reason, SecretString};
    use vouchsafe_wire::node::{ErrorCode, Process};

    use super::*;

    const NOW: u64 = 1_000_000;

    fn token(name: &str, expires_on: u64) -> Token {
        Token {
            secret: SecretString::new(name.to_owned()),
            expires_on,
            not_before: NOW,
            token_type: "Bearer".to_owned(),
            client_id: "c".to_owned(),
        }
    }

    fn request() -> TokenRequest {
        TokenRequest {
            process: Process {
                pid: 1,
                uid: 2,
                gid: 3,
                exe_path: "/a".to_owned(),
                exe_sha256: "00".to_owned(),
                unit: None,
                cgroup: None,
                run_identity: None,
            },
            resource: "r".to_owned(),
            client_id: None,
            object_id: None,
            resource_id: None,
        }
    }

    async fn get(
        cache: &TokenCache,
        now: u64,
        answer: Result<Token, SourceError>,
    ) -> Result<String, SourceError> {
        let got = cache.get(Key::of(&request()), now, || async { answer }).await;
        got.map(|token| token.secret.expose(Reason::Test).to_owned())
    }

    fn away() -> Result<Token, SourceError> {
        Err(SourceError::Unreachable("away".to_owned()))
    }

    fn refused() -> Result<Token, SourceError> {
        Err(SourceError::Refused { code: ErrorCode::NoIdentity, message: "no".to_owned() })
    }

    #[tokio::test]
    async fn a_token_is_replaced_five_minutes_before_it_expires() {
        let cache = TokenCache::new();
        let expiry = NOW + 3600;
        assert_eq!(get(&cache, NOW, Ok(token("first", expiry))).await.unwrap(), "first");
        assert_eq!(get(&cache, expiry - 301, Ok(token("second", 0))).await.unwrap(), "first");
        assert_eq!(get(&cache, expiry - 300, Ok(token("second", expiry + 3600))).await.unwrap(), "second");
    }

    #[tokio::test]
    async fn an_old_token_is_served_while_the_platform_is_away_and_never_when_it_has_expired() {
        let cache = TokenCache::new();
        let expiry = NOW + 3600;
        assert!(get(&cache, NOW, away()).await.is_err());
        assert_eq!(get(&cache, NOW, Ok(token("first", expiry))).await.unwrap(), "first");
        assert_eq!(get(&cache, expiry - 200, away()).await.unwrap(), "first");
        // The platform is not asked again at once, but soon.
        assert_eq!(get(&cache, expiry - 191, Ok(token("second", expiry + 9))).await.unwrap(), "first");
        assert_eq!(get(&cache, expiry - 1, away()).await.unwrap(), "first");
        assert!(matches!(get(&cache, expiry, away()).await, Err(SourceError::Unreachable(_))));
        assert_eq!(get(&cache, expiry, Ok(token("third", expiry + 9))).await.unwrap(), "third");
    }

    #[tokio::test]
    async fn a_refusal_takes_back_what_was_granted_and_is_not_kept() {
        let cache = TokenCache::new();
        let expiry = NOW + 3600;
        get(&cache, NOW, Ok(token("first", expiry))).await.unwrap();
        assert_eq!(get(&cache, expiry - 300, refused()).await.unwrap_err(), refused().err().unwrap());
        assert!(matches!(get(&cache, expiry - 299, away()).await, Err(SourceError::Unreachable(_))));
        assert_eq!(get(&cache, expiry - 299, Ok(token("again", expiry))).await.unwrap(), "again");
    }

    #[tokio::test]
    async fn a_crowd_makes_one_call_and_shares_its_outcome() {
        for granted in [true, false] {
            let cache = Arc::new(TokenCache::new());
            let (calls, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
            let crowd: Vec<_> = (0..100)
                .map(|_| {
                    let (cache, calls, gate) = (Arc::clone(&cache), Arc::clone(&calls), Arc::clone(&gate));
                    tokio::spawn(async move {
                        let ask = || async {
                            calls.fetch_add(1, Ordering::SeqCst);
                            let _open = gate.acquire().await;
                            if granted { Ok(token("one", NOW + 3600)) } else { refused() }
                        };
                        cache.get(Key::of(&request()), NOW, ask).await.is_ok()
                    })
                })
                .collect();
            // One thread runs everything here: when this task is resumed, each of the others has begun.
            tokio::task::yield_now().await;
            gate.add_permits(1);
            for member in crowd {
                assert_eq!(member.await.unwrap(), granted);
            }
            assert_eq!(calls.load(Ordering::SeqCst), 1);
        }
    }

    #[test]
    fn everything_but_the_pid_makes_another_key() {
        let change = |edit: &dyn Fn(&mut TokenRequest)| {
            let mut changed = request();
            edit(&mut changed);
            Key::of(&changed)
        };
        let some = || Some("x".to_owned());
        let keys = [
            change(&|_| ()),
            change(&|r| r.process.uid = 9),
            change(&|r| r.process.gid = 9),
            change(&|r| r.process.exe_path = "/b".to_owned()),
            change(&|r| r.process.exe_sha256 = "11".to_owned()),
            change(&|r| r.process.unit = some()),
            change(&|r| r.process.unit = Some(String::new())),
            change(&|r| r.process.cgroup = some()),
            change(&|r| r.process.run_identity = some()),
            change(&|r| r.resource = "s".to_owned()),
            change(&|r| r.client_id = some()),
            change(&|r| r.object_id = some()),
            change(&|r| r.resource_id = some()),
        ];
        let distinct: std::collections::HashSet<_> = keys.iter().collect();
        assert_eq!(distinct.len(), keys.len());
        assert_eq!(change(&|r| r.process.pid = 9), keys[0]);
    }
}

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

//! Who follows which records. Commits tell the partition they changed; each watcher picks its range.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::stream::{self, BoxStream, StreamExt};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use vouchsafe_domain::ports::store::{Key, Partition, Prefix, StoreError};

/// Commits a watcher may be behind before it must load again.
const BEHIND_MAX: usize = 256;

type Changed = Arc<[Key]>;

/// The followers of one barrier.
#[derive(Default)]
pub struct Watchers(Mutex<HashMap<Partition, broadcast::Sender<Changed>>>);

impl Watchers {
    /// Follows a range from now on.
    pub fn follow(&self, prefix: Prefix) -> BoxStream<'static, Result<Key, StoreError>> {
        let receiver = {
            let mut channels = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            channels.entry(prefix.partition).or_insert_with(|| broadcast::channel(BEHIND_MAX).0).subscribe()
        };
        stream::unfold(receiver, |mut receiver| async {
            let changed = match receiver.recv().await {
                Ok(changed) => Ok(changed),
                Err(RecvError::Lagged(missed)) => {
                    Err(StoreError::Unavailable(format!("{missed} changes were missed; load again")))
                }
                Err(RecvError::Closed) => return None,
            };
            Some((changed, receiver))
        })
        .flat_map(move |changed| {
            let items: Vec<_> = match changed {
                Ok(keys) => keys.iter().filter(|key| in_range(&prefix, key)).cloned().map(Ok).collect(),
                Err(error) => vec![Err(error)],
            };
            stream::iter(items)
        })
        .boxed()
    }

    /// Tells followers what a commit changed.
    pub fn tell(&self, changed: &Changed) {
        let mut channels = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if channels.is_empty() {
            return;
        }
        let mut told: Vec<Partition> = Vec::with_capacity(1);
        for key in changed.iter() {
            if told.contains(&key.partition) {
                continue;
            }
            told.push(key.partition);
            let heard = channels.get(&key.partition).map(|channel| channel.send(Arc::clone(changed)).is_ok());
            if heard == Some(false) {
                // Nobody follows this partition any more.
                channels.remove(&key.partition);
            }
        }
    }
}

fn in_range(prefix: &Prefix, key: &Key) -> bool {
    key.partition == prefix.partition
        && key.kind == prefix.kind
        && match &prefix.outer {
            None => true,
            Some(outer) => key.name.len() > 1 && key.name.first() == Some(outer),
        }
}

//! The life of signing keys: next, current, retained, gone. One tick of a job.

use std::sync::Arc;

use super::signing::{KeyState, TenantKey};
use crate::audit::{Entry, Subject};
use crate::error::Fault;
use crate::platform::{Context, Platform};
use crate::ports::store::CommitError;
use crate::resource::Write;
use crate::timekeeping::ElapsedTime;
use crate::world::{Entity, TenantSnapshot};

/// What is due at `now`. A key that retires makes the next one current and asks for a new next one.
fn due(tenant: &TenantSnapshot, now: ElapsedTime) -> Vec<Write> {
    let now = now.moment();
    let in_state = |key: &TenantKey, state| {
        Write::Put(Entity::SigningKey(Arc::new(TenantKey {
            kid: key.kid.clone(),
            algorithm: key.algorithm,
            state,
            since: now,
            key: key.key.clone(),
        })))
    };
    let mut writes = Vec::new();
    for key in tenant.signing_keys() {
        match key.due(now) {
            None | Some(Some(KeyState::Next | KeyState::Current)) => {}
            Some(None) => writes.push(Write::Remove(Entity::SigningKey(key.clone()))),
            Some(Some(KeyState::Retained)) => {
                let next = tenant
                    .signing_keys()
                    .find(|other| other.algorithm == key.algorithm && other.state == KeyState::Next);
                // Without a published successor the old key goes on: a signature nobody can verify helps nobody.
                if let Some(next) = next {
                    let fresh = TenantKey::generate(key.algorithm, KeyState::Next, now);
                    writes.push(in_state(key, KeyState::Retained));
                    writes.push(in_state(next, KeyState::Current));
                    writes.push(Write::Put(Entity::SigningKey(Arc::new(fresh))));
                }
            }
        }
    }
    writes
}

impl Platform {
    /// Moves every tenant's signing keys on. Returns how many tenants changed.
    pub async fn rotate_signing_keys(&self, context: &Context) -> Result<usize, Fault> {
        // A key that is forgotten vouches for nothing any more: that waits until the time is not in doubt.
        let Some(now) = context.elapsed() else { return Ok(0) };
        let tenants: Vec<_> = self.world().tenants().map(|tenant| tenant.tenant().id).collect();
        let mut changed = 0;
        for id in tenants {
            let _in_a_row = self.worlds.writing().await;
            let Some(tenant) = self.world().tenant(id) else { continue };
            let writes = due(&tenant, now);
            if writes.is_empty() {
                continue;
            }
            let subject = Subject { by: "platform".to_owned(), ..Subject::default() };
            let resource = format!("/tenants/{id}");
            let entry =
                Entry::new(context.request, subject, "Vouchsafe.Token/rotateKeys", &resource, context.now);
            match self.carry_out(&tenant, writes, entry, context).await {
                Ok(()) => changed += 1,
                // The next tick finds what is still due.
                Err(CommitError::Conflict) => self.worlds.refresh(&*self.store, id).await?,
                Err(CommitError::Store(error)) => return Err(error.into()),
            }
        }
        Ok(changed)
    }
}

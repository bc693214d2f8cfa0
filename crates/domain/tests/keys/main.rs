//! Keys, their life and their use: against a naive model, through every refusal there is, by every role, in a token that
//! fails, and while they rotate.

mod authorization;
mod life;
mod operations;
mod purge;
mod rotation;
mod token;

use std::sync::Arc;

use vouchsafe_crypto::keys::KeySpec;
use vouchsafe_domain::Platform;
use vouchsafe_domain::access::caller::Caller;
use vouchsafe_domain::ids::{ObjectName, VaultName};
use vouchsafe_domain::resource::{Sku, Vault, VaultToPut};
use vouchsafe_domain::vault::{Error, KeyAttributes, KeyHead, KeyOperation, KeyToCreate};
use vouchsafe_testkit::world::{InMemory, Opened};

fn object(name: &str) -> ObjectName {
    ObjectName::parse(name).expect("a name")
}

fn vault_name(name: &str) -> VaultName {
    VaultName::parse(name).expect("a name")
}

fn to_create(spec: KeySpec) -> KeyToCreate {
    KeyToCreate {
        spec,
        in_token: false,
        operations: None,
        attributes: KeyAttributes::default(),
        release_policy: None,
    }
}

/// A platform with one premium vault called `app`.
struct App {
    memory: InMemory,
    opened: Opened,
    caller: Caller,
    vault: Arc<Vault>,
}

impl App {
    async fn over(memory: InMemory) -> Self {
        let opened = memory.open().await;
        let wanted = VaultToPut { sku: Some(Sku::Premium), ..VaultToPut::default() };
        let vault = opened.put_vault(memory.home, "app", &wanted).await;
        let caller = opened.administrator(memory.home);
        Self { memory, opened, caller, vault }
    }

    async fn new(seed: u64) -> Self {
        Self::over(InMemory::found(seed).await).await
    }

    fn platform(&self) -> &Platform {
        &self.opened.platform
    }

    async fn create(&self, name: &str, wanted: &KeyToCreate) -> Result<KeyHead, Error> {
        let (context, name) = (self.opened.context(), object(name));
        let created = self.platform().create_key(&context, &self.caller, &self.vault.name, &name, wanted);
        created.await.map(|(head, _)| head)
    }

    async fn create_with(&self, name: &str, spec: KeySpec, operations: &[KeyOperation]) -> KeyHead {
        let wanted = KeyToCreate { operations: Some(operations.to_vec()), ..to_create(spec) };
        self.create(name, &wanted).await.expect("a key")
    }
}

//! The data plane of vaults as clients meet it, in process: what is answered to what, in Key Vault's words.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail the test where they stand")]

mod attacks;
mod attestation;
mod audit;
mod authority;
mod certificates;
mod clock;
mod keys;
mod keys_in_a_token;
mod release;
mod roles;
#[path = "../support/mod.rs"]
mod support;
mod tokens;
mod unavailable;
mod wycheproof;

use std::sync::Arc;

use serde_json::Value;
use support::{Answer, Ask, InProcess, TLS};
use vouchsafe_domain::resource::{Sku, VaultToPut};
use vouchsafe_testkit::faulty_hsm::FaultyHsm;
use vouchsafe_testkit::world::{InMemory, KEY_VAULT};

const VAULT: &str = "app";

/// A vault and somebody who may do everything in it.
struct Bench {
    server: InProcess,
    token: String,
}

impl Bench {
    async fn new(seed: u64) -> Self {
        Self::with(seed, Sku::Standard).await
    }

    async fn with(seed: u64, sku: Sku) -> Self {
        Self::over(InProcess::found(seed).await, sku).await
    }

    /// A premium vault, and the token of its keys, which does what the test says.
    async fn with_token(seed: u64) -> (Self, Arc<FaultyHsm>) {
        let mut memory = InMemory::found(seed).await;
        let token = Arc::new(FaultyHsm::new(memory.software.clone()));
        memory.token = Some(token.clone());
        (Self::over(InProcess::over(memory).await, Sku::Premium).await, token)
    }

    async fn over(server: InProcess, sku: Sku) -> Self {
        let home = server.memory.home;
        let wanted = VaultToPut { sku: Some(sku), ..VaultToPut::default() };
        server.opened.put_vault(home, VAULT, &wanted).await;
        let token = server.opened.administrator_token(home, KEY_VAULT).await;
        Self { server, token }
    }

    async fn ask(&self, method: &str, path: &str, body: Value) -> Answer {
        let ask = Ask::new(method, &format!("{VAULT}.vault.localhost:8443"), path).bearer(&self.token);
        let ask = if body.is_null() { ask } else { ask.body(body) };
        self.server.ask(TLS, &ask).await
    }

    /// Asks for what must be done.
    async fn done(&self, method: &str, path: &str, body: Value) -> Value {
        let answer = self.ask(method, path, body).await;
        assert_eq!(answer.status, 200, "{method} {path} {answer:?}");
        answer.json()
    }

    /// Asks for what must be refused: status, code and second code.
    async fn refused(&self, method: &str, path: &str, body: Value) -> (u16, String, String) {
        let answer = self.ask(method, path, body).await;
        let error = &answer.json()["error"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        assert!(!text(&error["message"]).is_empty(), "{method} {path} {answer:?}");
        (answer.status, text(&error["code"]), text(&error["innererror"]["code"]))
    }
}

fn refusal(status: u16, code: &str, inner: &str) -> (u16, String, String) {
    (status, code.to_owned(), inner.to_owned())
}

//! A machine whose clock is set (T28, V11), as clients and administrators meet it.

use std::time::Duration;

use serde_json::{Value, json};
use vouchsafe_domain::ports::Clock;
use vouchsafe_domain::time::Timestamp;
use vouchsafe_testkit::world::KEY_VAULT;

use crate::Bench;
use crate::support::{Answer, Ask, SOCKET, TLS};

const HOURS: u64 = 2 * 3_600;

impl Bench {
    fn set_clock(&self, seconds: i64) {
        let clock = &self.server.opened.clock;
        let to = clock.now().seconds().checked_add_signed(seconds).unwrap();
        clock.set(Timestamp::from_seconds(to));
    }

    async fn administers(&self, method: &str, path: &str) -> Answer {
        self.server.ask(SOCKET, &Ask::new(method, "vouchsafe", path)).await
    }

    async fn clock(&self) -> Value {
        self.administers("GET", "/admin/v1/status").await.json()["clock"].clone()
    }
}

#[tokio::test]
async fn an_expired_token_stays_refused_when_the_clock_is_set_back_and_no_new_one_is_issued() {
    let bench = Bench::new(81).await;
    bench.done("PUT", "/secrets/s", json!({ "value": "v" })).await;
    bench.server.opened.clock.forward(Duration::from_secs(HOURS));
    assert_eq!(bench.ask("GET", "/secrets/s", Value::Null).await.status, 401, "it has expired");
    bench.set_clock(-i64::try_from(HOURS).unwrap());
    let replayed = bench.ask("GET", "/secrets/s", Value::Null).await;
    assert_eq!(replayed.status, 401, "T28: {replayed:?}");
    let path = format!("/admin/v1/token?resource={KEY_VAULT}");
    let refused = bench.administers("POST", &path).await;
    assert_eq!((refused.status, refused.headers["retry-after"].to_str().unwrap()), (503, "60"));
    assert!(refused.headers.get("www-authenticate").is_none());
    // What the kernel lets in needs no token, and no new date either.
    let local = Ask::new("GET", &format!("{}.vault.localhost:8443", crate::VAULT), "/secrets/s");
    assert_eq!(bench.server.ask(SOCKET, &local).await.status, 200);
    assert_eq!(bench.clock().await["standing"], "behind");
    assert_eq!(bench.clock().await["seconds"], HOURS);

    bench.set_clock(i64::try_from(HOURS).unwrap());
    assert_eq!(bench.clock().await["standing"], "sound");
    let granted = bench.administers("POST", &path).await;
    let token = granted.json()["access_token"].as_str().unwrap().to_owned();
    assert_eq!(bench.server.ask(TLS, &local.bearer(&token)).await.status, 200, "the twin");
}

#[tokio::test]
async fn only_an_administrator_of_this_machine_confirms_a_clock_that_jumped() {
    let bench = Bench::new(82).await;
    bench.done("PUT", "/secrets/s", json!({ "value": "v" })).await;
    bench.done("DELETE", "/secrets/s", Value::Null).await;
    bench.set_clock(91 * 86_400);
    let opened = &bench.server.opened;
    assert_eq!(opened.platform.purge_due_secrets(&opened.context()).await.unwrap(), 0, "V11");
    assert_eq!(bench.clock().await["standing"], "ahead");
    let path = "/admin/v1/clock/confirm";
    for host in ["localhost:8443", "app.vault.localhost:8443"] {
        let fresh = opened.administrator_token(bench.server.memory.home, KEY_VAULT).await;
        let stranger = bench.server.ask(TLS, &Ask::new("POST", host, path).bearer(&fresh)).await;
        assert!(stranger.status >= 400, "{stranger:?}");
    }
    assert_eq!(bench.clock().await["standing"], "ahead");
    assert_eq!(opened.platform.purge_due_secrets(&opened.context()).await.unwrap(), 0);
    let confirmed = bench.administers("POST", path).await;
    assert_eq!((confirmed.status, &confirmed.json()["before"]), (200, &json!("ahead")));
    assert_eq!(bench.clock().await["standing"], "sound");
    assert_eq!(opened.platform.purge_due_secrets(&opened.context()).await.unwrap(), 1);
}

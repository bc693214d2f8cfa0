//! What a token is worth after the world has changed (T20, T29), and that two tokens are two (T25). The honest twin is
//! asked beside each, before and after.

use std::time::Duration;

use serde_json::{Value, json};
use vouchsafe_crypto::jose::{Algorithm, sign_jwt};
use vouchsafe_domain::access::built_in;
use vouchsafe_domain::ids::{IdentityName, ResourceGroupName};
use vouchsafe_domain::ports::Clock;
use vouchsafe_domain::resource::VaultToPut;
use vouchsafe_domain::resource::scope::Scope;
use vouchsafe_domain::token::signing::KeyState;
use vouchsafe_testkit::world::{GROUP, KEY_VAULT};

use crate::support::{Ask, TLS};
use crate::{Bench, VAULT};

impl Bench {
    /// What reading a secret with a token comes to.
    async fn reads(&self, token: &str) -> u16 {
        let ask = Ask::new("GET", &format!("{VAULT}.vault.localhost:8443"), "/secrets/s").bearer(token);
        self.server.ask(TLS, &ask).await.status
    }
}

async fn bench(seed: u64) -> (Bench, Scope) {
    let bench = Bench::new(seed).await;
    bench.done("PUT", "/secrets/s", json!({ "value": "v" })).await;
    let (opened, home) = (&bench.server.opened, bench.server.memory.home);
    let vault = opened.put_vault(home, VAULT, &VaultToPut::default()).await;
    let scope = Scope::vault(vault.subscription, &vault.group, &vault.name);
    (bench, scope)
}

#[tokio::test]
async fn a_token_is_worth_what_its_principal_may_at_the_moment_it_is_shown() {
    let (bench, scope) = bench(71).await;
    let (opened, home) = (&bench.server.opened, bench.server.memory.home);
    let (context, caller, platform) = (opened.context(), opened.administrator(home), &opened.platform);
    let role = built_in::KEY_VAULT_SECRETS_USER;
    let twin = opened.put_identity(home, "twin").await;
    opened.assign(home, role, twin.principal, scope.clone()).await;
    let twin = opened.token(&twin, KEY_VAULT).await;
    let worker = opened.put_identity(home, "worker").await;
    let token = opened.token(&worker, KEY_VAULT).await;
    assert_eq!(bench.reads(&token).await, 403, "nobody gave it a role yet");
    let assignment = opened.assign(home, role, worker.principal, scope.clone()).await;
    assert_eq!((bench.reads(&token).await, bench.reads(&twin).await), (200, 200));

    platform.delete_role_assignment(&context, &caller, home, &scope, assignment.id).await.expect("removed");
    assert_eq!((bench.reads(&token).await, bench.reads(&twin).await), (403, 200), "T20: the role is gone");
    opened.assign(home, role, worker.principal, scope.clone()).await;
    assert_eq!(bench.reads(&token).await, 200, "the same token, with the role again");

    let group = ResourceGroupName::parse(GROUP).unwrap();
    let name = IdentityName::parse("worker").unwrap();
    platform
        .delete_identity(&context, &caller, home, worker.subscription, &group, &name)
        .await
        .expect("deleted");
    assert_eq!((bench.reads(&token).await, bench.reads(&twin).await), (401, 200), "T20: nobody has it now");
    let again = opened.put_identity(home, "worker").await;
    assert_ne!(again.principal, worker.principal);
    assert_eq!(bench.reads(&token).await, 401, "T20: another of the same name is another");
    let fresh = opened.token(&again, KEY_VAULT).await;
    assert_eq!(bench.reads(&fresh).await, 403, "T20: nor does it inherit what the first one might");
    opened.assign(home, role, again.principal, scope).await;
    assert_eq!((bench.reads(&fresh).await, bench.reads(&token).await), (200, 401));
}

fn claims(token: &str) -> Value {
    let claims = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&data_encoding::BASE64URL_NOPAD.decode(claims.as_bytes()).unwrap()).unwrap()
}

#[tokio::test]
async fn a_key_that_signs_no_more_vouches_for_what_it_signed_and_for_nothing_since() {
    let (bench, _) = bench(72).await;
    let (opened, home) = (&bench.server.opened, bench.server.memory.home);
    let platform = &opened.platform;
    // On the last day of its life the key signs a token, and the next one takes over.
    opened.clock.forward(vouchsafe_domain::token::signing::CURRENT_FOR - Duration::from_secs(60));
    let old = opened.administrator_token(home, KEY_VAULT).await;
    assert_eq!(bench.reads(&old).await, 200);
    let kid = |token: &str| {
        let header = data_encoding::BASE64URL_NOPAD.decode(token.split('.').next().unwrap().as_bytes());
        serde_json::from_slice::<Value>(&header.unwrap()).unwrap()["kid"].as_str().unwrap().to_owned()
    };
    opened.clock.forward(Duration::from_secs(120));
    assert_eq!(platform.rotate_signing_keys(&opened.context()).await.unwrap(), 1);
    let tenant = platform.world().tenant(home).unwrap();
    let retired = tenant.signing_keys().find(|key| key.kid == kid(&old)).unwrap().clone();
    assert_eq!(retired.state, KeyState::Retained);
    assert_eq!(bench.reads(&old).await, 200, "what it signed before holds");

    // Whoever stole the retired key signs with it: as before, and as if nothing had happened since.
    opened.clock.forward(Duration::from_secs(900));
    let now = opened.clock.now().seconds();
    let forged = |iat: u64| {
        let mut claims = claims(&old);
        claims["iat"] = json!(iat);
        claims["nbf"] = json!(iat);
        claims["exp"] = json!(now + 600);
        claims["uti"] = json!(format!("forged-{iat}"));
        sign_jwt(&retired.key, Algorithm::Es256, &retired.kid, &claims).unwrap()
    };
    let since = retired.since.seconds();
    assert_eq!(bench.reads(&forged(now)).await, 401, "T29: signed after it retired");
    assert_eq!(bench.reads(&forged(since - 30)).await, 200, "the twin: as if signed before");
    assert_eq!(
        bench.reads(&forged(now - 1)).await,
        401,
        "T29: and again, now that tokens of it are remembered"
    );

    // At last it is forgotten, and with it everything that it signed.
    opened.clock.forward(vouchsafe_domain::token::signing::RETAINED_FOR);
    platform.rotate_signing_keys(&opened.context()).await.unwrap();
    assert_eq!(bench.reads(&forged(since - 30)).await, 401, "T29: a key that is gone");
    let fresh = opened.administrator_token(home, KEY_VAULT).await;
    assert_eq!(bench.reads(&fresh).await, 200, "the twin");
}

#[tokio::test]
async fn tokens_that_look_alike_are_judged_each_on_its_own() {
    let (bench, scope) = bench(73).await;
    let (opened, home) = (&bench.server.opened, bench.server.memory.home);
    let good = opened.put_identity(home, "good").await;
    opened.assign(home, built_in::KEY_VAULT_SECRETS_USER, good.principal, scope).await;
    let other = opened.put_identity(home, "other").await;
    let (good, other) = (opened.token(&good, KEY_VAULT).await, opened.token(&other, KEY_VAULT).await);
    assert_eq!(bench.reads(&good).await, 200);
    let parts = |token: &str| token.split('.').map(str::to_owned).collect::<Vec<_>>();
    let (g, o) = (parts(&good), parts(&other));
    // The same header and signature as a token that is remembered, the same length, the same beginning.
    let mut flipped = g[1].clone().into_bytes();
    let last = flipped.len() - 1;
    flipped[last] = if flipped[last] == b'A' { b'B' } else { b'A' };
    let flipped = String::from_utf8(flipped).unwrap();
    for (what, token) in [
        ("another's claims under a known signature", format!("{}.{}.{}", g[0], o[1], g[2])),
        ("known claims under another's signature", format!("{}.{}.{}", g[0], g[1], o[2])),
        ("claims of the same length", format!("{}.{flipped}.{}", g[0], g[2])),
        ("a known token with one part more", format!("{good}.")),
        ("a known token without its end", good[..good.len() - 1].to_owned()),
    ] {
        assert_eq!(bench.reads(&token).await, 401, "T25: {what}");
        assert_eq!(bench.reads(&good).await, 200, "T25: the twin after {what}");
    }
    assert_eq!(bench.reads(&other).await, 403, "T25: another's token is another's");
}

//! A clock that somebody sets, over a whole platform: what may not become young again, what may not become old at once,
//! and what goes on meanwhile. Beside each stands the honest twin, in which time really passes.

use std::time::Duration;

use vouchsafe_crypto::SecretString;
use vouchsafe_crypto::keys::{KeyFamily, KeySpec};
use vouchsafe_domain::Fault;
use vouchsafe_domain::access::caller::Caller;
use vouchsafe_domain::audit::Outcome;
use vouchsafe_domain::ids::{ObjectName, VaultName};
use vouchsafe_domain::limits::ACCESS_TOKEN_LIFETIME;
use vouchsafe_domain::ports::Clock;
use vouchsafe_domain::resource::VaultToPut;
use vouchsafe_domain::time::Timestamp;
use vouchsafe_domain::timekeeping::ClockStanding;
use vouchsafe_domain::token::{BearerRefused, Error as TokenError, Service};
use vouchsafe_domain::vault::certificate::{CertificateToCreate, IssuerChoice, PendingStatus, PolicyPatch};
use vouchsafe_domain::vault::{Attributes, Error, KeyAttributes, KeyToCreate, SecretToSet};
use vouchsafe_testkit::world::{InMemory, KEY_VAULT, Opened};

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);
const RETENTION: Duration = Duration::from_secs(91 * 86_400);

struct Room {
    memory: InMemory,
    opened: Opened,
    caller: Caller,
    vault: VaultName,
}

fn object(name: &str) -> ObjectName {
    ObjectName::parse(name).expect("a name")
}

impl Room {
    async fn new(seed: u64) -> Self {
        let memory = InMemory::found(seed).await;
        let opened = memory.open().await;
        let vault = opened.put_vault(memory.home, "app", &VaultToPut::default()).await.name.clone();
        let caller = opened.administrator(memory.home);
        let room = Self { memory, opened, caller, vault };
        room.tick().await;
        room
    }

    async fn tick(&self) -> ClockStanding {
        self.opened.platform.keep_time().await.expect("a store");
        self.opened.platform.time().standing()
    }

    async fn restart(&mut self) {
        self.memory.log.crash();
        self.opened = self.memory.open().await;
    }

    /// Sets the wall clock, as somebody with the right to do so does.
    fn back(&self, by: Duration) {
        let shown = self.opened.clock.now().millis();
        let by = u64::try_from(by.as_millis()).expect("a small duration");
        self.opened.clock.set(Timestamp::from_millis(shown - by));
    }

    fn ahead(&self, by: Duration) {
        self.opened.clock.set(self.opened.clock.now().plus(by));
    }

    async fn set(&self, name: &str) -> Result<(), Error> {
        let wanted =
            SecretToSet { value: SecretString::new("v".to_owned()), attributes: Attributes::default() };
        let (platform, context) = (&self.opened.platform, self.opened.context());
        platform.set_secret(&context, &self.caller, &self.vault, &object(name), &wanted).await.map(drop)
    }

    /// A secret, a key and a certificate that are deleted.
    async fn delete_three(&self) {
        let (platform, context) = (&self.opened.platform, self.opened.context());
        let (caller, vault) = (&self.caller, &self.vault);
        self.set("s").await.expect("a secret");
        platform.delete_secret(&context, caller, vault, &object("s")).await.expect("deleted");
        let wanted = KeyToCreate {
            spec: KeySpec::P256,
            in_token: false,
            operations: None,
            attributes: KeyAttributes::default(),
            release_policy: None,
        };
        platform.create_key(&context, caller, vault, &object("k"), &wanted).await.expect("a key");
        platform.delete_key(&context, caller, vault, &object("k")).await.expect("deleted");
        self.begin("c").await.expect("an operation");
        let polled = platform.get_pending_certificate(&context, caller, vault, &object("c")).await;
        polled.expect("a certificate");
        platform.delete_certificate(&context, caller, vault, &object("c")).await.expect("deleted");
    }

    async fn begin(&self, name: &str) -> Result<(), Error> {
        let policy = PolicyPatch {
            key_type: Some((KeyFamily::Ec, false)),
            curve: Some(KeySpec::P256),
            subject: Some("CN=app.example.test".to_owned()),
            content_type: Some("application/x-pem-file".to_owned()),
            issuer: Some(IssuerChoice::Itself),
            ..PolicyPatch::default()
        };
        let wanted = CertificateToCreate { policy: Some(policy), ..CertificateToCreate::default() };
        let (platform, context) = (&self.opened.platform, self.opened.context());
        platform
            .create_certificate(&context, &self.caller, &self.vault, &object(name), &wanted)
            .await
            .map(drop)
    }

    /// How many things the timers destroy: secrets, keys, certificates, and tenants whose signing keys moved on.
    async fn destroyed(&self) -> [usize; 4] {
        let (platform, context) = (&self.opened.platform, self.opened.context());
        [
            platform.purge_due_secrets(&context).await.expect("a tick"),
            platform.purge_due_keys(&context).await.expect("a tick"),
            platform.purge_due_certificates(&context).await.expect("a tick"),
            platform.rotate_signing_keys(&context).await.expect("a tick"),
        ]
    }

    async fn grant(&self) -> Result<String, TokenError> {
        let (platform, context) = (&self.opened.platform, self.opened.context());
        let tenant = self.opened.tenant(self.memory.home);
        let issued = platform.grant_local_administrator(&context, &tenant, KEY_VAULT).await?;
        Ok(issued.access_token.expose(vouchsafe_crypto::Reason::Test).to_owned())
    }

    fn opens(&self, token: &str) -> Result<(), BearerRefused> {
        let verified = self.opened.platform.verify_bearer(None, Service::KeyVault, token.as_bytes());
        verified.map(drop)
    }
}

fn refused<T>(result: Result<T, TokenError>) {
    let Err(TokenError::Fault(Fault::UnavailableFor { why, .. })) = result else { panic!("it was issued") };
    assert!(why.contains("vouchsafe clock confirm"), "{why}");
}

#[tokio::test]
async fn a_clock_that_is_set_back_makes_no_expired_token_valid_again() {
    let room = Room::new(1).await;
    let token = room.grant().await.expect("a token");
    room.opened.clock.forward(ACCESS_TOKEN_LIFETIME + HOUR);
    assert_eq!(room.opens(&token), Err(BearerRefused::Expired));
    room.back(HOUR * 2);
    assert_eq!(room.opens(&token), Err(BearerRefused::Expired), "T28");
    refused(room.grant().await);
    assert_eq!(room.tick().await, ClockStanding::Behind(HOUR * 2));
    let (_, refusal) = room.memory.log.entries().pop().expect("an entry");
    assert_eq!((refusal.outcome, refusal.reason.as_deref()), (Some(Outcome::Failed), Some("fault")));
    // Time that is known goes on meanwhile, and a clock that is set right is believed.
    let before = room.opened.platform.time().now();
    room.opened.clock.forward(HOUR);
    assert_eq!(room.opened.platform.time().now(), before.plus(HOUR));
    room.ahead(HOUR * 2);
    let fresh = room.grant().await.expect("a token");
    assert_eq!(room.opens(&fresh), Ok(()), "the twin");
}

#[tokio::test]
async fn what_was_known_of_the_time_outlives_the_process() {
    let mut room = Room::new(2).await;
    let token = room.grant().await.expect("a token");
    // Nothing is asked for a while, and so nothing is recorded; only the tick looks at the clock.
    room.opened.clock.forward(ACCESS_TOKEN_LIFETIME * 5);
    room.tick().await;
    room.back(ACCESS_TOKEN_LIFETIME * 5);
    room.restart().await;
    assert_eq!(
        room.opens(&token),
        Err(BearerRefused::Expired),
        "T28, by a process that never saw the time go back"
    );
    refused(room.grant().await);
    room.ahead(ACCESS_TOKEN_LIFETIME * 5);
    room.grant().await.expect("a token");
}

#[tokio::test]
async fn the_newest_entry_of_the_log_is_known_where_no_mark_is() {
    let memory = InMemory::found(3).await;
    let mut room = {
        let opened = memory.open().await;
        let caller = opened.administrator(memory.home);
        Room { memory, opened, caller, vault: VaultName::parse("app").expect("a name") }
    };
    let token = room.grant().await.expect("a token");
    room.back(HOUR * 2);
    room.restart().await;
    refused(room.grant().await);
    assert_eq!(room.opens(&token), Ok(()), "it has not expired");
}

#[tokio::test]
async fn no_certificate_is_issued_by_a_clock_that_is_behind_and_the_rest_goes_on() {
    let room = Room::new(4).await;
    let (platform, vault, caller) = (&room.opened.platform, &room.vault, &room.caller);
    room.begin("begun").await.expect("an operation");
    room.back(DAY);
    let refusal = room.begin("web").await;
    assert!(matches!(refusal, Err(Error::Fault(Fault::UnavailableFor { .. }))), "{refusal:?}");
    // What was begun waits, and is issued once the clock is right.
    let context = room.opened.context();
    let polled = platform.get_pending_certificate(&context, caller, vault, &object("begun")).await;
    assert_eq!(polled.expect("an operation").pending.status, PendingStatus::InProgress);
    let context = room.opened.context();
    assert_eq!(platform.run_certificate_jobs(&context).await.expect("a tick").ended, 0);
    room.set("s").await.expect("what needs no date goes on");
    let context = room.opened.context();
    platform.get_secret(&context, caller, vault, &object("s"), None).await.expect("a secret");
    room.ahead(DAY);
    let context = room.opened.context();
    assert_eq!(platform.run_certificate_jobs(&context).await.expect("a tick").ended, 1);
    room.begin("web").await.expect("an operation");
}

#[tokio::test]
async fn a_clock_that_jumps_ahead_destroys_nothing_until_it_is_confirmed() {
    let mut room = Room::new(5).await;
    room.delete_three().await;
    for jump in [HOUR + Duration::from_secs(1), DAY, RETENTION, 3_650 * DAY] {
        room.ahead(jump);
        assert_eq!(room.tick().await, ClockStanding::Ahead(jump));
        assert_eq!(room.destroyed().await, [0; 4], "V11, {jump:?} ahead");
        // Nor does a start help whoever set it, however soon after: the doubt is in the store.
        room.restart().await;
        assert_eq!(room.destroyed().await, [0; 4], "V11, {jump:?} ahead, after a start");
        room.back(jump);
        assert_eq!(room.tick().await, ClockStanding::Sound, "a clock that comes back is believed");
    }
    let token = room.grant().await.expect("a token");
    assert_eq!(room.opens(&token), Ok(()));

    room.ahead(RETENTION);
    assert_eq!(room.destroyed().await, [0; 4]);
    let before = room.opened.platform.confirm_clock(&room.opened.context()).await.expect("confirmed");
    assert_eq!(before, ClockStanding::Ahead(RETENTION));
    assert_eq!(room.destroyed().await, [1; 4], "an administrator looked at the clock");
    let entries = room.memory.log.entries();
    let confirmations = entries.iter().filter(|(_, entry)| entry.action == "vouchsafe/clock/confirm/action");
    assert_eq!(confirmations.count(), 2, "an intent and an outcome");
    room.restart().await;
    assert_eq!(room.opened.platform.time().standing(), ClockStanding::Sound, "and it stays confirmed");
}

#[tokio::test]
async fn time_that_really_passes_destroys_what_is_due() {
    let room = Room::new(6).await;
    room.delete_three().await;
    room.opened.clock.forward(RETENTION);
    assert_eq!(room.destroyed().await, [1; 4]);
}

#[tokio::test]
async fn after_more_than_a_week_without_a_server_an_administrator_confirms_the_clock() {
    for (off, destroys) in [(DAY * 7, true), (DAY * 8, false)] {
        let mut room = Room::new(7).await;
        room.delete_three().await;
        // Another server would have run until then.
        room.opened.clock.forward(RETENTION - off);
        room.tick().await;
        room.opened.clock.forward(off);
        room.restart().await;
        assert_eq!(room.destroyed().await == [1; 4], destroys, "{off:?} off");
        if !destroys {
            assert_eq!(room.destroyed().await, [0; 4]);
            room.grant().await.expect("tokens are issued all the same");
            room.opened.platform.confirm_clock(&room.opened.context()).await.expect("confirmed");
            assert_eq!(room.destroyed().await, [1; 4]);
        }
    }
}

#[tokio::test]
async fn a_known_time_that_was_wrong_is_given_up_when_an_administrator_says_so() {
    let mut room = Room::new(8).await;
    // The machine ran in the wrong year, and somebody confirmed it.
    room.ahead(400 * DAY);
    room.opened.platform.confirm_clock(&room.opened.context()).await.expect("confirmed");
    room.back(400 * DAY);
    refused(room.grant().await);
    let before = room.opened.platform.confirm_clock(&room.opened.context()).await.expect("confirmed");
    assert_eq!(before, ClockStanding::Behind(400 * DAY));
    let token = room.grant().await.expect("a token");
    assert_eq!(room.opens(&token), Ok(()));
    room.restart().await;
    room.grant().await.expect("a token");
}

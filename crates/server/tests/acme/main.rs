//! Certificates by ACME against a real server (Pebble): the platform in memory with a clock that the test moves, the shipped
//! adapter, and the shipped listener for challenges, which Pebble really fetches them from.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail the test where they stand")]

mod egress;
#[path = "../support/mod.rs"]
mod support;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use vouchsafe_crypto::SecretString;
use vouchsafe_crypto::keys::{KeyFamily, KeySpec};
use vouchsafe_crypto::pki::chain::verify_path;
use vouchsafe_crypto::pki::{AlternativeNames, ParsedCertificate};
use vouchsafe_domain::access::caller::Caller;
use vouchsafe_domain::ids::{ObjectName, VaultName};
use vouchsafe_domain::resource::VaultToPut;
use vouchsafe_domain::vault::Error;
use vouchsafe_domain::vault::certificate::{
    CertificateToCreate, CertificateVersion, IssuerChoice, IssuerName, IssuerPatch, LifetimeAction,
    LifetimeActionType, PendingCertificate, PendingStatus, PolicyPatch, Provider, Trigger,
};
use vouchsafe_server::listen::serve_plain_http;
use vouchsafe_server::outside::{Acme, AcmeSettings, ChallengeAnswers};
use vouchsafe_testkit::pebble::{BLOCKED, KEY_ID, MAC_KEY, Pebble};
use vouchsafe_testkit::world::{InMemory, Opened};

const SERVER_AUTH: &str = "1.3.6.1.5.5.7.3.1";

/// A vault whose issuer `acme` is a Pebble.
struct House {
    memory: InMemory,
    opened: Opened,
    caller: Caller,
    vault: VaultName,
    pebble: Pebble,
    settings: AcmeSettings,
    http_listen: SocketAddr,
    listening: Option<DropGuard>,
}

impl House {
    /// None where there is no Pebble.
    async fn new(seed: u64, wants_external_accounts: bool) -> Option<Self> {
        let reserved = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let http_listen = reserved.local_addr().unwrap();
        let pebble = Pebble::start(http_listen.port(), wants_external_accounts)?;
        let settings = AcmeSettings {
            directories: [("pebble".to_owned(), pebble.url())].into(),
            roots: Some(pebble.ca()),
            networks: vec!["127.0.0.0/8".parse().unwrap(), "::1".parse().unwrap()],
        };
        let memory = InMemory::found(seed).await;
        let opened = memory.open().await;
        let vault = opened.put_vault(memory.home, "app", &VaultToPut::default()).await.name.clone();
        let caller = opened.administrator(memory.home);
        let mut house =
            Self { memory, opened, caller, vault, pebble, settings, http_listen, listening: None };
        house.restart(reserved).await;
        Some(house)
    }

    /// A new process over what the store has: the adapter and the table of challenges begin empty.
    async fn restart(&mut self, listener: TcpListener) {
        drop(self.listening.take());
        self.memory.log.crash();
        let opened = self.memory.open().await;
        let answers = Arc::new(ChallengeAnswers::new(opened.clock.clone()));
        let issuer = Acme::new(&self.settings, answers.clone(), opened.clock.clone()).unwrap();
        let Opened { platform, store, clock, entropy } = opened;
        let platform = Arc::into_inner(platform).unwrap().with_certificate_issuers(vec![Arc::new(issuer)]);
        self.opened = Opened { platform: Arc::new(platform), store, clock, entropy };
        let stop = CancellationToken::new();
        let service = support::service_over(&self.memory, &self.opened);
        tokio::spawn(serve_plain_http(listener, answers, service, stop.clone()));
        self.listening = Some(stop.drop_guard());
    }

    async fn issuer(&self, account: &str, password: Option<&str>) -> Result<(), Error> {
        let wanted = IssuerPatch {
            provider: Some(Provider::Acme),
            account: Some(account.to_owned()),
            password: password.map(|text| SecretString::new(text.to_owned())),
            ..IssuerPatch::default()
        };
        let (context, name) = (self.opened.context(), IssuerName::parse("acme").unwrap());
        let platform = &self.opened.platform;
        platform.set_certificate_issuer(&context, &self.caller, &self.vault, &name, &wanted).await.map(drop)
    }

    async fn begin(&self, name: &str, hosts: &[&str]) -> Result<PendingCertificate, Error> {
        let trigger = Trigger::LifetimePercentage(80);
        let policy = PolicyPatch {
            key_type: Some((KeyFamily::Ec, false)),
            curve: Some(KeySpec::P256),
            subject: Some(format!("CN={}", hosts[0])),
            sans: Some(AlternativeNames {
                dns: hosts.iter().map(|host| (*host).to_owned()).collect(),
                ..AlternativeNames::default()
            }),
            issuer: Some(IssuerChoice::parse("acme").unwrap()),
            lifetime_actions: Some(vec![LifetimeAction { trigger, action: LifetimeActionType::AutoRenew }]),
            ..PolicyPatch::default()
        };
        let wanted = CertificateToCreate { policy: Some(policy), ..CertificateToCreate::default() };
        let (context, name) = (self.opened.context(), ObjectName::parse(name).unwrap());
        let platform = &self.opened.platform;
        let begun = platform.create_certificate(&context, &self.caller, &self.vault, &name, &wanted).await;
        begun.map(|(_, pending, _)| pending)
    }

    async fn poll(&self, name: &str) -> PendingCertificate {
        let (context, name) = (self.opened.context(), ObjectName::parse(name).unwrap());
        let platform = &self.opened.platform;
        platform.get_pending_certificate(&context, &self.caller, &self.vault, &name).await.unwrap().pending
    }

    /// Polls as a client does until the operation ends, moving the clock on to when it makes sense.
    async fn end(&self, name: &str) -> PendingStatus {
        for _ in 0..60 {
            let pending = self.poll(name).await;
            if !pending.is_in_progress() {
                return pending.status;
            }
            self.opened.clock.forward(Duration::from_secs(31));
        }
        panic!("it does not end:\n{}", self.pebble.log());
    }

    async fn get(&self, name: &str) -> CertificateVersion {
        let (context, name) = (self.opened.context(), ObjectName::parse(name).unwrap());
        let platform = &self.opened.platform;
        platform.get_certificate(&context, &self.caller, &self.vault, &name, None).await.unwrap().version
    }

    /// Whether a version leads to Pebble's root, by the rules of RFC 5280, for a server.
    async fn leads_to_the_root(&self, version: &CertificateVersion) {
        let parse = |der: &Vec<u8>| ParsedCertificate::from_der(der).unwrap();
        let chain: Vec<ParsedCertificate> = version.chain.iter().map(parse).collect();
        let root = self.pebble.root().await;
        let root = certificate_of(&root);
        let (leaf, between) = chain.split_first().unwrap();
        assert!(!between.is_empty(), "Pebble has an intermediate authority");
        let at = leaf.validity().not_before + 60;
        verify_path(leaf, between, &[root], at, Some(SERVER_AUTH)).unwrap();
    }
}

fn certificate_of(pem: &str) -> ParsedCertificate {
    use rustls_pki_types::CertificateDer;
    use rustls_pki_types::pem::PemObject;
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
    ParsedCertificate::from_der(&der).unwrap()
}

fn failure(status: &PendingStatus) -> (&str, &str) {
    match status {
        PendingStatus::Failed(failure) => (&failure.code, &failure.message),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_certificate_is_ordered_proven_over_http_and_renewed() {
    let Some(house) = House::new(90, false).await else { return };
    house.issuer("pebble", None).await.unwrap();
    let hosts = ["app.example.test", "www.example.test"];
    assert!(house.begin("web", &hosts).await.unwrap().is_in_progress());
    assert_eq!(house.end("web").await, PendingStatus::Completed, "{}", house.pebble.log());
    let first = house.get("web").await;
    house.leads_to_the_root(&first).await;
    let names = ParsedCertificate::from_der(&first.chain[0]).unwrap().alternative_names().dns.clone();
    assert_eq!(names, hosts);
    assert_eq!(house.pebble.orders(), 1);

    // Nothing is due before four fifths of its life are over; then the job renews, and asks until it has the answer.
    let (begins, ends) = (first.not_before.unwrap(), first.expires.unwrap());
    // Pebble has the date of this machine, and the platform is told that it is the right one.
    house.opened.clock.set(begins.plus(ends.since(begins) / 2));
    house.opened.platform.confirm_clock(&house.opened.context()).await.unwrap();
    assert_eq!(house.opened.platform.run_certificate_jobs(&house.opened.context()).await.unwrap().total(), 0);
    house.opened.clock.forward_to(begins.plus(ends.since(begins) * 9 / 10));
    for _ in 0..60 {
        house.opened.platform.run_certificate_jobs(&house.opened.context()).await.unwrap();
        if house.get("web").await.version != first.version {
            break;
        }
        house.opened.clock.forward(Duration::from_secs(31));
    }
    let second = house.get("web").await;
    assert_ne!(second.version, first.version, "{}", house.pebble.log());
    assert_ne!(second.chain[0], first.chain[0]);
    house.leads_to_the_root(&second).await;
    assert_eq!(house.pebble.orders(), 2);
}

#[tokio::test]
async fn what_the_authority_refuses_ends_with_its_own_words() {
    let Some(house) = House::new(91, false).await else { return };
    house.issuer("pebble", None).await.unwrap();
    house.begin("blocked", &[BLOCKED]).await.unwrap();
    let ended = house.end("blocked").await;
    let (code, message) = failure(&ended);
    assert_eq!(code, "RequestRefused");
    assert!(message.contains("rejectedIdentifier") && message.contains(BLOCKED), "{message}");

    // Nobody answers where this name leads.
    house.pebble.lead("elsewhere.example.test", Ipv4Addr::new(127, 0, 0, 2)).await;
    house.begin("elsewhere", &["elsewhere.example.test"]).await.unwrap();
    let ended = house.end("elsewhere").await;
    let (code, message) = failure(&ended);
    assert_eq!(code, "RequestRefused");
    assert!(message.contains("elsewhere.example.test") && message.contains("connection"), "{message}");

    let refused = house.begin("wild", &["*.example.test"]).await.unwrap_err();
    assert!(refused.to_string().contains("dns-01"), "{refused}");
    for (account, password) in [("", None), ("other", None), ("pebble/", Some("AA")), ("pebble", Some("AA"))]
    {
        let refused = house.issuer(account, password).await;
        assert!(matches!(refused, Err(Error::BadParameter(_))), "{account}");
    }
    assert!(house.begin("fine", &["fine.example.test"]).await.is_ok());
    assert_eq!(house.end("fine").await, PendingStatus::Completed);
}

#[tokio::test]
async fn an_authority_that_was_down_and_forgot_the_account_is_ordered_from_when_it_is_back() {
    let Some(mut house) = House::new(92, false).await else { return };
    house.issuer("pebble", None).await.unwrap();
    house.begin("one", &["one.example.test"]).await.unwrap();
    assert_eq!(house.end("one").await, PendingStatus::Completed);
    house.pebble.stop();
    house.begin("two", &["two.example.test"]).await.unwrap();
    for _ in 0..3 {
        let pending = house.poll("two").await;
        assert!(pending.is_in_progress() && pending.order.is_none());
        assert!(pending.next_poll > Some(house.opened.context().now()));
        house.opened.clock.forward(Duration::from_secs(60));
    }
    house.pebble.start_again();
    assert_eq!(house.end("two").await, PendingStatus::Completed, "{}", house.pebble.log());
    house.leads_to_the_root(&house.get("two").await).await;
}

#[tokio::test]
async fn a_process_that_ended_after_the_order_was_submitted_goes_on_with_that_order() {
    let Some(mut house) = House::new(93, false).await else { return };
    house.issuer("pebble", None).await.unwrap();
    house.begin("web", &["web.example.test"]).await.unwrap();
    let mut submitted = house.poll("web").await;
    while submitted.order.is_none() {
        house.opened.clock.forward(Duration::from_secs(31));
        submitted = house.poll("web").await;
    }
    drop(house.listening.take());
    let again = loop {
        // The old listener is let go of when its task has heard of it.
        match TcpListener::bind(house.http_listen).await {
            Ok(listener) => break listener,
            Err(_) => tokio::task::yield_now().await,
        }
    };
    house.restart(again).await;
    assert_eq!(house.poll("web").await.order, submitted.order);
    assert_eq!(house.end("web").await, PendingStatus::Completed, "{}", house.pebble.log());
    assert_eq!(house.pebble.orders(), 1);
}

#[tokio::test]
async fn an_order_can_be_given_up_and_another_begun() {
    let Some(house) = House::new(94, false).await else { return };
    house.issuer("pebble", None).await.unwrap();
    house.begin("web", &["web.example.test"]).await.unwrap();
    let name = ObjectName::parse("web").unwrap();
    let (context, platform) = (house.opened.context(), &house.opened.platform);
    let given_up =
        platform.update_pending_certificate(&context, &house.caller, &house.vault, &name, true).await;
    given_up.unwrap();
    assert_eq!(house.end("web").await, PendingStatus::Cancelled);
    house.begin("web", &["web.example.test"]).await.unwrap();
    assert_eq!(house.end("web").await, PendingStatus::Completed);
}

#[tokio::test]
async fn an_account_is_bound_to_an_external_one_and_a_wrong_key_is_refused() {
    let Some(house) = House::new(95, true).await else { return };
    house.issuer("pebble", None).await.unwrap();
    house.begin("none", &["none.example.test"]).await.unwrap();
    let ended = house.end("none").await;
    assert!(failure(&ended).1.contains("externalAccountRequired"), "{ended:?}");
    let account = format!("pebble/{KEY_ID}");
    house.issuer(&account, Some("d3Jvbmcga2V5LCB3cm9uZyBrZXksIHdyb25nIGtleQ")).await.unwrap();
    house.begin("wrong", &["wrong.example.test"]).await.unwrap();
    assert_eq!(failure(&house.end("wrong").await).0, "RequestRefused");
    house.issuer(&account, Some(MAC_KEY)).await.unwrap();
    house.begin("right", &["right.example.test"]).await.unwrap();
    assert_eq!(house.end("right").await, PendingStatus::Completed, "{}", house.pebble.log());
}

//! Issuers outside: orders that wait, are answered, are refused, and issuers that lie or are silent.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use vouchsafe_crypto::{Reason, SecretBytes, SecretString};
use vouchsafe_domain::limits;
use vouchsafe_domain::ports::CertificateIssuer;
use vouchsafe_domain::ports::issuer::{CertificateOrder, IssuerAccount, IssuerError, OrderProgress};
use vouchsafe_domain::vault::Error;
use vouchsafe_domain::vault::certificate::{
    Administrator, IssuerPatch, Organization, PendingCertificate, PendingStatus, PolicyPatch, Provider,
};

use crate::pending::Elsewhere;
use crate::support::{DAY, House, by, issuer_name};

/// An issuer that answers what it is told to, and remembers what it was asked.
struct Scripted {
    answers: Mutex<Vec<Answer>>,
    asked: Mutex<Vec<String>>,
    authority: Elsewhere,
}

enum Answer {
    Waiting(&'static str),
    Issued,
    Wrong,
    Refused,
    Silent,
    Forgotten,
}

impl Scripted {
    fn answer(&self, asked: String, order: &CertificateOrder<'_>) -> Result<OrderProgress, IssuerError> {
        self.asked.lock().expect("one thread").push(asked);
        let issued = |csr: &[u8]| vec![self.authority.issue(csr), self.authority.certificate.clone()];
        match self.answers.lock().expect("one thread").remove(0) {
            Answer::Waiting(reference) => {
                Ok(OrderProgress::Waiting { reference: reference.to_owned(), retry_after_seconds: 60 })
            }
            Answer::Issued => Ok(OrderProgress::Issued(issued(order.csr))),
            Answer::Wrong => Ok(OrderProgress::Issued(vec![self.authority.certificate.clone()])),
            Answer::Refused => Err(IssuerError::Refused("the name is not yours".to_owned())),
            Answer::Silent => Err(IssuerError::Unavailable { retry_after_seconds: 30 }),
            Answer::Forgotten => Err(IssuerError::Unregistered),
        }
    }
}

#[async_trait]
impl CertificateIssuer for Scripted {
    fn provider(&self) -> &'static str {
        "Acme"
    }

    fn accepts(&self, account: &IssuerAccount<'_>, dns_names: &[String]) -> Result<(), String> {
        match (account.account, dns_names.iter().find(|name| name.starts_with('*'))) {
            (Some("nobody"), _) => Err("nobody is no account".to_owned()),
            (_, Some(name)) => Err(format!("{name} is a wildcard")),
            _ => Ok(()),
        }
    }

    async fn register(&self, account: &IssuerAccount<'_>) -> Result<SecretBytes, IssuerError> {
        let password = account.password.map_or("-", |text| text.expose(Reason::Test));
        let mut asked = self.asked.lock().expect("one thread");
        asked.push(format!("register {} {password} {:?}", account.account.unwrap_or("-"), account.mails));
        Ok(SecretBytes::new(format!("registration {}", asked.len()).into_bytes()))
    }

    async fn submit(
        &self,
        account: &IssuerAccount<'_>,
        order: &CertificateOrder<'_>,
    ) -> Result<OrderProgress, IssuerError> {
        let registration = account.registration.expect("a registration").expose(Reason::Test);
        let registration = String::from_utf8_lossy(registration).into_owned();
        self.answer(format!("submit {registration} {} {:?}", order.request, order.dns_names), order)
    }

    async fn poll(
        &self,
        _: &IssuerAccount<'_>,
        order: &CertificateOrder<'_>,
        reference: &str,
    ) -> Result<OrderProgress, IssuerError> {
        self.answer(format!("poll {reference}"), order)
    }
}

async fn house(seed: u64, answers: Vec<Answer>) -> (House, Arc<Scripted>) {
    let scripted = Arc::new(Scripted {
        answers: Mutex::new(answers),
        asked: Mutex::default(),
        authority: Elsewhere::new(),
    });
    let mut house = House::new(seed).await;
    house.connect(scripted.clone()).await;
    write(&house, account("me")).await.expect("an issuer");
    (house, scripted)
}

fn account(account: &str) -> IssuerPatch {
    IssuerPatch {
        provider: Some(Provider::Acme),
        account: Some(account.to_owned()),
        ..IssuerPatch::default()
    }
}

async fn write(house: &House, wanted: IssuerPatch) -> Result<(), Error> {
    let (context, name) = (house.opened.context(), issuer_name("acme"));
    let written =
        house.platform().set_certificate_issuer(&context, &house.caller, house.at(), &name, &wanted);
    written.await.map(drop)
}

impl Scripted {
    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("one thread").clone()
    }
}

async fn poll(house: &House) -> PendingCertificate {
    house.poll("web").await.expect("an operation")
}

#[tokio::test]
async fn an_order_is_submitted_once_and_asked_about_when_the_issuer_said() {
    let answers =
        vec![Answer::Silent, Answer::Waiting("order/1"), Answer::Waiting("order/1"), Answer::Issued];
    let (house, scripted) = house(70, answers).await;
    let begun = house.begin("web", by("acme")).await.expect("an operation");
    let submit = format!("submit registration 1 {} [\"app.example.test\"]", begun.request);
    assert!(poll(&house).await.is_in_progress());
    assert!(poll(&house).await.is_in_progress(), "it is too early to ask again");
    house.forward(Duration::from_secs(30));
    assert_eq!(poll(&house).await.order.as_deref(), Some("order/1"));
    house.forward(Duration::from_secs(59));
    assert!(poll(&house).await.is_in_progress());
    house.forward(Duration::from_secs(1));
    assert_eq!(house.jobs().await.ended, 0);
    house.forward(Duration::from_secs(60));
    assert_eq!(house.jobs().await.ended, 1);
    assert_eq!(poll(&house).await.status, PendingStatus::Completed);
    let asked = scripted.asked();
    assert_eq!(asked, ["register me - []", &submit, &submit, "poll order/1", "poll order/1"]);
    let made = house.get("web").await.expect("a certificate").version;
    assert_eq!(made.chain[1], scripted.authority.certificate);
}

#[tokio::test]
async fn what_an_issuer_refuses_or_gets_wrong_fails_the_operation() {
    for (seed, answer, code) in
        [(71, Answer::Refused, "RequestRefused"), (72, Answer::Wrong, "WrongCertificate")]
    {
        let (house, _) = house(seed, vec![answer]).await;
        house.begin("web", by("acme")).await.expect("an operation");
        let failed = poll(&house).await;
        assert!(
            matches!(&failed.status, PendingStatus::Failed(failure) if failure.code == code),
            "{failed:?}"
        );
        assert!(!house.has_key("web").await);
    }
}

#[tokio::test]
async fn without_the_connection_the_issuer_is_kept_and_issues_nothing() {
    let (mut house, _) = house(73, vec![]).await;
    house.restart().await;
    assert!(house.begin("web", by("acme")).await.is_err());
}

fn failure(pending: &PendingCertificate) -> &str {
    match &pending.status {
        PendingStatus::Failed(failure) => &failure.code,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_issuer_that_never_answers_is_asked_ever_less_often_and_then_no_more() {
    let answers = (0..200).map(|_| Answer::Silent).collect();
    let (house, scripted) = house(74, answers).await;
    house.begin("web", by("acme")).await.expect("an operation");
    let mut days = 0;
    while poll(&house).await.is_in_progress() {
        for _ in 0..(24 * 60) {
            house.forward(Duration::from_secs(60));
            house.jobs().await;
        }
        days += 1;
        assert!(days < 10, "it is still asked");
    }
    assert_eq!(failure(&poll(&house).await), "IssuerUnavailable");
    assert_eq!(days, 1 + limits::ORDER_AGE_MAX.as_secs() / DAY.as_secs());
    let asked = scripted.asked().len();
    assert!((40..120).contains(&asked), "asked {asked} times in {days} days");
    assert!(!house.key_waits("web").await);
}

#[tokio::test]
async fn an_account_is_made_once_and_again_when_the_issuer_or_its_owner_wants_another() {
    let answers = vec![
        Answer::Refused,
        Answer::Refused,
        Answer::Forgotten,
        Answer::Refused,
        Answer::Refused,
        Answer::Refused,
    ];
    let (mut house, scripted) = house(75, answers).await;
    let wanted = IssuerPatch {
        password: Some(SecretString::new("p".to_owned())),
        organization: Some(Organization {
            id: None,
            administrators: vec![Administrator {
                email: Some("a@example.test".to_owned()),
                ..Administrator::default()
            }],
        }),
        ..account("me")
    };
    write(&house, wanted).await.expect("an issuer");
    let attempt = async |house: &House, name: &str| {
        house.begin(name, by("acme")).await.expect("an operation");
        let mut pending = house.poll(name).await.expect("an operation");
        while pending.is_in_progress() {
            house.forward(Duration::from_secs(1));
            pending = house.poll(name).await.expect("an operation");
        }
        assert_eq!(failure(&pending), "RequestRefused");
    };
    attempt(&house, "one").await;
    // The account outlives the process that made it.
    house.restart().await;
    house.connect(scripted.clone()).await;
    attempt(&house, "two").await;
    // The issuer has forgotten it.
    attempt(&house, "three").await;
    // Saying the same of the issuer again keeps it; another password, or another account, does not.
    let (context, name) = (house.opened.context(), issuer_name("acme"));
    let same = account("me");
    let changed =
        house.platform().update_certificate_issuer(&context, &house.caller, house.at(), &name, &same);
    changed.await.expect("an issuer");
    attempt(&house, "four").await;
    let other = IssuerPatch { password: Some(SecretString::new("q".to_owned())), ..account("me") };
    let changed =
        house.platform().update_certificate_issuer(&context, &house.caller, house.at(), &name, &other);
    changed.await.expect("an issuer");
    attempt(&house, "five").await;
    let asked: Vec<String> = scripted.asked().iter().map(|asked| spoken(asked)).collect();
    assert_eq!(
        asked,
        [
            r#"register me p ["a@example.test"]"#,
            "submit registration 1",
            "submit registration 1",
            "submit registration 1",
            r#"register me p ["a@example.test"]"#,
            "submit registration 5",
            "submit registration 5",
            r#"register me q ["a@example.test"]"#,
            "submit registration 8",
        ]
    );
}

/// What was asked, without the random id of the operation.
fn spoken(asked: &str) -> String {
    let words = if asked.starts_with("submit") { 3 } else { usize::MAX };
    asked.split(' ').take(words).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn an_order_of_an_account_that_the_issuer_forgot_fails() {
    let (house, _) = house(76, vec![Answer::Waiting("order/1"), Answer::Forgotten]).await;
    house.begin("web", by("acme")).await.expect("an operation");
    poll(&house).await;
    house.forward(Duration::from_secs(60));
    assert_eq!(failure(&poll(&house).await), "OrderLost");
}

#[tokio::test]
async fn what_no_issuer_outside_could_certify_is_refused_before_a_key_is_made() {
    let (house, scripted) = house(77, vec![]).await;
    assert!(write(&house, account("nobody")).await.is_err());
    let sans = |change: fn(&mut vouchsafe_crypto::pki::AlternativeNames)| {
        let mut sans = vouchsafe_crypto::pki::AlternativeNames::default();
        change(&mut sans);
        PolicyPatch { sans: Some(sans), ..by("acme") }
    };
    for policy in [
        sans(|sans| sans.dns.push("*.example.test".to_owned())),
        sans(|sans| sans.emails.push("a@example.test".to_owned())),
        sans(|sans| sans.addresses.push([192, 0, 2, 1].into())),
        PolicyPatch { subject: Some("CN=Somebody Else".to_owned()), ..by("acme") },
        PolicyPatch { subject: Some("O=Somebody".to_owned()), ..by("acme") },
    ] {
        let refused = house.begin("web", policy).await;
        assert!(matches!(refused, Err(Error::BadParameter(_))), "{refused:?}");
    }
    assert!(!house.key_waits("web").await);
    assert!(scripted.asked().is_empty());
}

#[tokio::test]
async fn an_issuer_that_is_written_again_has_nothing_that_was_not_said_again() {
    let (house, scripted) = house(78, vec![Answer::Refused, Answer::Refused]).await;
    let (context, name) = (house.opened.context(), issuer_name("acme"));
    let read = async || {
        let read = house.platform().get_certificate_issuer(&context, &house.caller, house.at(), &name);
        read.await.expect("an issuer").0
    };
    let whole = IssuerPatch {
        password: Some(SecretString::new("p".to_owned())),
        organization: Some(Organization::default()),
        disabled: Some(true),
        ..account("me")
    };
    write(&house, whole).await.expect("an issuer");
    let before = read().await;
    assert!(before.disabled && before.organization.is_some());
    house.forward(DAY);
    write(&house, account("me")).await.expect("an issuer");
    let after = read().await;
    assert_eq!((after.disabled, after.organization, after.created), (false, None, before.created));
    house.begin("web", by("acme")).await.expect("an operation");
    assert_eq!(failure(&poll(&house).await), "RequestRefused");
    assert_eq!(scripted.asked().first().map(String::as_str), Some("register me - []"), "the password stayed");
    write(&house, IssuerPatch { provider: Some(Provider::Acme), ..IssuerPatch::default() })
        .await
        .expect("one");
    assert_eq!(read().await.account, None);
    assert!(write(&house, IssuerPatch::default()).await.is_err(), "an issuer has a provider");
}

//! Issuers outside: orders that wait, are answered, are refused, and issuers that lie or are silent.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use vouchsafe_domain::ports::CertificateIssuer;
use vouchsafe_domain::ports::issuer::{CertificateOrder, IssuerAccount, IssuerError, OrderProgress};
use vouchsafe_domain::vault::certificate::{IssuerPatch, PendingCertificate, PendingStatus, Provider};

use crate::pending::Elsewhere;
use crate::support::{House, by, issuer_name};

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
        }
    }
}

#[async_trait]
impl CertificateIssuer for Scripted {
    fn provider(&self) -> &'static str {
        "Acme"
    }

    async fn submit(
        &self,
        account: &IssuerAccount<'_>,
        order: &CertificateOrder<'_>,
    ) -> Result<OrderProgress, IssuerError> {
        self.answer(format!("submit {} {}", account.account.unwrap_or("-"), order.request), order)
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
    let wanted = IssuerPatch {
        provider: Some(Provider::Acme),
        account: Some("me".to_owned()),
        ..IssuerPatch::default()
    };
    let (context, name) = (house.opened.context(), issuer_name("acme"));
    house
        .platform()
        .set_certificate_issuer(&context, &house.caller, house.at(), &name, &wanted)
        .await
        .expect("an issuer");
    (house, scripted)
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
    let submit = format!("submit me {}", begun.request);
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
    let asked = scripted.asked.lock().expect("one thread").clone();
    assert_eq!(asked, [submit.as_str(), &submit, "poll order/1", "poll order/1"]);
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

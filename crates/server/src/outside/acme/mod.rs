//! The ACME issuer (RFC 8555): orders, http-01 challenges, and certificates from a directory that the operator named.
//!
//! The adapter keeps nothing that matters: the account's key comes with each question, the order's address is what the
//! platform keeps, and answers to challenges are published anew whenever an order is looked at. What it does keep - who
//! was silent a moment ago, what is being asked right now - only saves time.

mod account;
mod challenges;
mod http;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use instant_acme::{
    Account, AuthorizationStatus, ChallengeStatus, ChallengeType, Error, Identifier, NewAccount, NewOrder,
    Order, OrderStatus, Problem,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tokio::time::{sleep, timeout};
use vouchsafe_crypto::SecretBytes;
use vouchsafe_domain::ports::issuer::{CertificateOrder, IssuerAccount, IssuerError, OrderProgress};
use vouchsafe_domain::ports::{CertificateIssuer, Clock};
use vouchsafe_domain::time::Timestamp;

use super::network::Network;
use super::{Egress, OutsideError};
use crate::limits;
use account::Chosen;
use http::{Heard, Http};

pub use challenges::{CHALLENGES, ChallengeAnswers};

/// What an operator says about ACME.
#[derive(Clone, Debug)]
pub struct AcmeSettings {
    /// The directories that issuers of vaults may choose among, by name.
    pub directories: BTreeMap<String, String>,
    /// A file with further certificate authorities that the directories' servers may have certificates of.
    pub roots: Option<PathBuf>,
    /// Networks that are not public and may be connected to all the same.
    pub networks: Vec<Network>,
}

/// The issuer of provider `Acme`.
pub struct Acme {
    directories: BTreeMap<String, String>,
    egress: Arc<Egress>,
    answers: Arc<ChallengeAnswers>,
    clock: Arc<dyn Clock>,
    /// Directories that did not answer, and until when they are left alone.
    silent: Mutex<BTreeMap<String, Timestamp>>,
    /// What is being asked right now.
    asking: Arc<Mutex<BTreeSet<String>>>,
}

impl Acme {
    /// An issuer over the operator's directories, which publishes its answers in a table.
    pub fn new(
        settings: &AcmeSettings,
        answers: Arc<ChallengeAnswers>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, OutsideError> {
        for (name, url) in &settings.directories {
            account::check_directory(name, url)?;
        }
        let egress = Egress::new(settings.roots.as_deref(), settings.networks.clone())?;
        Ok(Self {
            directories: settings.directories.clone(),
            egress: Arc::new(egress),
            answers,
            clock,
            silent: Mutex::default(),
            asking: Arc::default(),
        })
    }

    fn chosen<'a>(&'a self, account: &'a IssuerAccount<'_>) -> Result<Chosen<'a>, String> {
        Chosen::read(&self.directories, account)
    }

    /// Begins a question to a directory, unless it was silent a moment ago or the same is being asked already.
    fn line(&self, directory: &str, what: String) -> Result<Line, IssuerError> {
        let now = self.clock.now();
        let silent = self.silent.lock().unwrap_or_else(PoisonError::into_inner).get(directory).copied();
        if let Some(until) = silent.filter(|until| *until > now) {
            let seconds = u32::try_from(until.since(now).as_secs()).unwrap_or(u32::MAX);
            return Err(IssuerError::Unavailable { retry_after_seconds: seconds.saturating_add(1) });
        }
        let asking = Asking::begin(&self.asking, what).ok_or(IssuerError::Busy)?;
        let (egress, heard) = (self.egress.clone(), Arc::new(Heard::default()));
        Ok(Line { directory: directory.to_owned(), egress, heard, _asking: asking })
    }

    /// The answer to a question, which takes its time, but not for ever.
    async fn answer<T>(
        &self,
        line: &Line,
        question: impl Future<Output = Result<T, Said>>,
    ) -> Result<T, IssuerError> {
        match timeout(limits::ACME_CALL_TIMEOUT, question).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(Said::Final(error))) => Err(error),
            Ok(Err(Said::Failed(error))) => Err(self.judged(line, error)),
            Err(_) => {
                self.leave_alone(line);
                Err(unavailable(line, &"the question took too long"))
            }
        }
    }

    /// What an error of the client means for the operation.
    fn judged(&self, line: &Line, error: Error) -> IssuerError {
        let Error::Api(problem) = error else {
            self.leave_alone(line);
            return unavailable(line, &error);
        };
        let kind = problem.r#type.as_deref().unwrap_or_default();
        match kind.strip_prefix("urn:ietf:params:acme:error:").unwrap_or(kind) {
            "accountDoesNotExist" => IssuerError::Unregistered,
            // Whom it concerns is asked about later; the others are not.
            "rateLimited" | "badNonce" => unavailable(line, &problem),
            _ if line.heard.is_overloaded() => {
                self.leave_alone(line);
                unavailable(line, &problem)
            }
            _ => IssuerError::Refused(in_words(&problem)),
        }
    }

    /// Asks a directory nothing for a while: it costs every operation time that there is no use for.
    fn leave_alone(&self, line: &Line) {
        let pause = Duration::from_secs(u64::from(limits::ACME_RETRY_SECONDS));
        let mut silent = self.silent.lock().unwrap_or_else(PoisonError::into_inner);
        silent.insert(line.directory.clone(), self.clock.now().plus(pause));
    }

    /// Follows an order as far as it goes in a few looks.
    async fn follow(
        &self,
        line: &Line,
        mut opened: Order,
        order: &CertificateOrder<'_>,
    ) -> Result<OrderProgress, Said> {
        let (mut published, mut finalized) = (false, false);
        for look in 1..=limits::ACME_LOOKS_MAX {
            match opened.state().status {
                OrderStatus::Pending if !published => {
                    self.answer_challenges(&mut opened, order).await?;
                    published = true;
                }
                OrderStatus::Ready if !finalized => {
                    opened.finalize_csr(order.csr).await?;
                    finalized = true;
                    if opened.state().status == OrderStatus::Valid {
                        continue;
                    }
                }
                OrderStatus::Valid => {
                    if let Some(chain) = opened.certificate().await? {
                        return Ok(OrderProgress::Issued(chain_of(&chain)?));
                    }
                }
                OrderStatus::Invalid => {
                    return Err(Said::Final(IssuerError::Refused(why(&mut opened).await)));
                }
                OrderStatus::Pending | OrderStatus::Ready | OrderStatus::Processing => {}
            }
            // An authority that wants more time gets it, between two questions of the platform.
            if look == limits::ACME_LOOKS_MAX || line.heard.retry_after_seconds() > limits::ACME_LOOK_SECONDS
            {
                break;
            }
            sleep(Duration::from_secs(u64::from(limits::ACME_LOOK_SECONDS))).await;
            opened.refresh().await?;
        }
        let retry_after_seconds = line.heard.retry_after_seconds().max(limits::ACME_LOOK_SECONDS);
        Ok(OrderProgress::Waiting { reference: opened.url().to_owned(), retry_after_seconds })
    }

    /// Publishes what the authority will fetch, and tells it to.
    async fn answer_challenges(&self, opened: &mut Order, order: &CertificateOrder<'_>) -> Result<(), Said> {
        let mut authorizations = opened.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization?;
            match authorization.status {
                AuthorizationStatus::Pending => {}
                AuthorizationStatus::Valid => continue,
                AuthorizationStatus::Invalid
                | AuthorizationStatus::Revoked
                | AuthorizationStatus::Expired
                | AuthorizationStatus::Deactivated => {
                    return Err(refused(why_of(&authorization)));
                }
            }
            let name = authorization.identifier().to_string();
            let Some(mut challenge) = authorization.challenge(ChallengeType::Http01) else {
                return Err(refused(format!(
                    "the authority does not offer to prove `{}` with http-01",
                    name.escape_default()
                )));
            };
            if !challenges::is_token(&challenge.token) {
                return Err(refused("the authority's challenge has no token".to_owned()));
            }
            let answer = challenge.key_authorization();
            if !self.answers.publish(&challenge.token, answer.as_str(), order.request) {
                tracing::warn!("no more answers to challenges fit into the table");
                let retry_after_seconds = limits::ACME_RETRY_SECONDS;
                return Err(Said::Final(IssuerError::Unavailable { retry_after_seconds }));
            }
            if challenge.status == ChallengeStatus::Pending {
                challenge.set_ready().await?;
            }
        }
        Ok(())
    }
}

#[async_trait]
impl CertificateIssuer for Acme {
    fn provider(&self) -> &'static str {
        "Acme"
    }

    fn accepts(&self, account: &IssuerAccount<'_>, dns_names: &[String]) -> Result<(), String> {
        self.chosen(account)?;
        if dns_names.len() > limits::ACME_NAMES_MAX {
            return Err(format!("an ACME order has at most {} names", limits::ACME_NAMES_MAX));
        }
        match dns_names.iter().find(|name| name.starts_with("*.")) {
            Some(wildcard) => Err(format!(
                "`{wildcard}` can only be proven with a DNS record (dns-01), which this server does not set: name each host, or \
                 use the issuer Unknown, have the request signed elsewhere and merge the certificate"
            )),
            None => Ok(()),
        }
    }

    async fn register(&self, account: &IssuerAccount<'_>) -> Result<SecretBytes, IssuerError> {
        let chosen = self.chosen(account).map_err(IssuerError::Refused)?;
        let binding = chosen.binding();
        let contacts: Vec<String> = account.mails.iter().map(|mail| format!("mailto:{mail}")).collect();
        let contacts: Vec<&str> = contacts.iter().map(String::as_str).collect();
        let line = self.line(chosen.url, format!("register {}", account.account.unwrap_or_default()))?;
        let register = async {
            // Whoever configured the directory agreed to its terms.
            let new =
                NewAccount { contact: &contacts, terms_of_service_agreed: true, only_return_existing: false };
            let builder = Account::builder_with_http(line.http());
            let (_, made) = builder.create(&new, chosen.url.to_owned(), binding.as_ref()).await?;
            Ok(account::to_be_kept(&made)?)
        };
        self.answer(&line, register).await
    }

    async fn submit(
        &self,
        account: &IssuerAccount<'_>,
        order: &CertificateOrder<'_>,
    ) -> Result<OrderProgress, IssuerError> {
        self.accepts(account, order.dns_names).map_err(IssuerError::Refused)?;
        let chosen = self.chosen(account).map_err(IssuerError::Refused)?;
        let known = chosen.known(account)?;
        let names: Vec<Identifier> = order.dns_names.iter().cloned().map(Identifier::Dns).collect();
        let line = self.line(chosen.url, format!("order {}", order.request))?;
        let submit = async {
            let account = Account::builder_with_http(line.http()).from_credentials(known).await?;
            let new = NewOrder::new(&names);
            let new = match order.certificate_type {
                Some(profile) => new.profile(profile),
                None => new,
            };
            let opened = account.new_order(&new).await?;
            // Its address is kept before anything of it is acted on, so that a crash loses no order.
            Ok(OrderProgress::Waiting { reference: opened.url().to_owned(), retry_after_seconds: 1 })
        };
        self.answer(&line, submit).await
    }

    async fn poll(
        &self,
        account: &IssuerAccount<'_>,
        order: &CertificateOrder<'_>,
        reference: &str,
    ) -> Result<OrderProgress, IssuerError> {
        let chosen = self.chosen(account).map_err(IssuerError::Refused)?;
        let known = chosen.known(account)?;
        let line = self.line(chosen.url, format!("order {}", order.request))?;
        let poll = async {
            let account = Account::builder_with_http(line.http()).from_credentials(known).await?;
            let opened = account.order(reference.to_owned()).await?;
            self.follow(&line, opened, order).await
        };
        let answer = self.answer(&line, poll).await;
        if matches!(
            answer,
            Ok(OrderProgress::Issued(_)) | Err(IssuerError::Refused(_) | IssuerError::Unregistered)
        ) {
            self.answers.forget(order.request);
        }
        answer
    }
}

/// Tells the operator what the platform is not told, and the platform when to come again.
fn unavailable(line: &Line, why: &dyn std::fmt::Display) -> IssuerError {
    let why = why.to_string();
    let why: String = why.chars().filter(|c| !c.is_control()).take(limits::ACME_LOG_CHARS_MAX).collect();
    tracing::warn!(directory = line.directory, why, "an ACME server does not help now");
    let retry_after_seconds = match line.heard.retry_after_seconds() {
        0 => limits::ACME_RETRY_SECONDS,
        seconds => seconds,
    };
    IssuerError::Unavailable { retry_after_seconds }
}

/// One question to one directory.
struct Line {
    directory: String,
    egress: Arc<Egress>,
    heard: Arc<Heard>,
    _asking: Asking,
}

impl Line {
    fn http(&self) -> Box<Http> {
        let Self { directory, egress, heard, .. } = self;
        Box::new(Http { egress: egress.clone(), directory: directory.clone(), heard: heard.clone() })
    }
}

/// Why a question has no answer.
enum Said {
    /// What it means is known.
    Final(IssuerError),
    /// What it means is to be judged.
    Failed(Error),
}

impl From<Error> for Said {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

fn refused(why: String) -> Said {
    Said::Final(IssuerError::Refused(why))
}

/// Something that is being asked, until it is dropped.
struct Asking {
    table: Arc<Mutex<BTreeSet<String>>>,
    what: String,
}

impl Asking {
    fn begin(table: &Arc<Mutex<BTreeSet<String>>>, what: String) -> Option<Self> {
        let mut asking = table.lock().unwrap_or_else(PoisonError::into_inner);
        asking.insert(what.clone()).then(|| Self { table: table.clone(), what })
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.table.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.what);
    }
}

/// A problem document in one sentence; the platform bounds it and takes control characters out.
fn in_words(problem: &Problem) -> String {
    let kind = problem.r#type.as_deref().unwrap_or("problem");
    let kind = kind.strip_prefix("urn:ietf:params:acme:error:").unwrap_or(kind);
    let mut words = format!("{kind}: {}", problem.detail.as_deref().unwrap_or("no reason was given"));
    for part in problem.subproblems.iter().take(limits::ACME_SUBPROBLEMS_MAX) {
        words.push_str("; ");
        words.push_str(part.detail.as_deref().unwrap_or_default());
    }
    words
}

/// Why an order is invalid: its own error, or that of the first challenge that failed.
async fn why(opened: &mut Order) -> String {
    if let Some(problem) = &opened.state().error {
        return in_words(problem);
    }
    let mut authorizations = opened.authorizations();
    while let Some(Ok(authorization)) = authorizations.next().await {
        if authorization.status != AuthorizationStatus::Valid {
            return why_of(&authorization);
        }
    }
    "the order is invalid, and the authority does not say why".to_owned()
}

fn why_of(authorization: &instant_acme::AuthorizationHandle<'_>) -> String {
    let name = authorization.identifier().to_string();
    let failed = authorization.challenges.iter().find_map(|challenge| challenge.error.as_ref());
    let said = failed.map_or_else(|| "it is not valid any more".to_owned(), in_words);
    format!("`{}` was not proven: {said}", name.escape_default())
}

/// The certificates of an answer (RFC 8555 §9.1), in DER.
fn chain_of(pem: &str) -> Result<Vec<Vec<u8>>, Said> {
    let read = CertificateDer::pem_slice_iter(pem.as_bytes()).take(limits::ACME_CHAIN_MAX + 1);
    let chain: Result<Vec<Vec<u8>>, _> = read.map(|one| one.map(|der| der.to_vec())).collect();
    match chain {
        Ok(chain) if (1..=limits::ACME_CHAIN_MAX).contains(&chain.len()) => Ok(chain),
        _ => Err(refused("the authority's certificate chain could not be read".to_owned())),
    }
}

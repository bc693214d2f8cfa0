//! The outside issuer port: a certificate authority that is reached over a network, for example with ACME (RFC 8555).
//!
//! The platform keeps what an issuer calls an order and asks again until there is an answer; an adapter keeps nothing.
//! What it needs to be known again at the issuer - the key of an ACME account - it makes when it registers, the platform
//! keeps it sealed without looking at it, and gives it back with every question. Submitting is safe to repeat: the same
//! request id, given twice, is one order, or the second one replaces the first.

use async_trait::async_trait;
use uuid::Uuid;
use vouchsafe_crypto::{SecretBytes, SecretString};

/// An authority outside, as one provider of a vault's issuers.
#[async_trait]
pub trait CertificateIssuer: Send + Sync {
    /// The name of the provider that issuers of a vault refer to, for example `Acme`.
    fn provider(&self) -> &'static str;

    /// Whether an account and names could be right, as far as it can be told without asking anybody outside. Without
    /// names, only the account is looked at. The text is for whoever gave them.
    fn accepts(&self, account: &IssuerAccount<'_>, dns_names: &[String]) -> Result<(), String>;

    /// Makes an account at the issuer, or takes one up. What comes back is kept and given in every later question; it is
    /// at most [`crate::limits::REGISTRATION_BYTES_MAX`] bytes long.
    async fn register(&self, account: &IssuerAccount<'_>) -> Result<SecretBytes, IssuerError>;

    /// Begins an order.
    async fn submit(
        &self,
        account: &IssuerAccount<'_>,
        order: &CertificateOrder<'_>,
    ) -> Result<OrderProgress, IssuerError>;

    /// Asks what became of an order.
    async fn poll(
        &self,
        account: &IssuerAccount<'_>,
        order: &CertificateOrder<'_>,
        reference: &str,
    ) -> Result<OrderProgress, IssuerError>;
}

/// Whose order it is.
pub struct IssuerAccount<'a> {
    /// The account, as the vault's issuer names it.
    pub account: Option<&'a str>,
    /// Its password or key.
    pub password: Option<&'a SecretString>,
    /// The mail addresses of those who answer for it.
    pub mails: &'a [String],
    /// What the adapter made when it registered; none before.
    pub registration: Option<&'a SecretBytes>,
}

/// What is ordered.
#[derive(Clone, Copy, Debug)]
pub struct CertificateOrder<'a> {
    /// The operation, which is the same in every attempt.
    pub request: Uuid,
    /// The request in DER (RFC 2986), signed by the key that is to be certified.
    pub csr: &'a [u8],
    /// The domain names in it, the common name among them; in lower case, each once, at least one.
    pub dns_names: &'a [String],
    /// The kind of certificate, in the provider's words.
    pub certificate_type: Option<&'a str>,
}

/// Where an order is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum OrderProgress {
    /// It goes on; ask again.
    Waiting {
        /// What the issuer calls the order; at most [`crate::limits::ORDER_BYTES_MAX`] bytes.
        reference: String,
        /// When asking again is sensible.
        retry_after_seconds: u32,
    },
    /// The certificate first, then those above it, in DER.
    Issued(Vec<Vec<u8>>),
}

/// Why there is no answer, or none that helps.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum IssuerError {
    /// The issuer will never issue this; the text is for whoever wants the certificate.
    #[error("the issuer refused: {0}")]
    Refused(String),
    /// The issuer does not know the account, or not any more: it is to be registered anew.
    #[error("the issuer does not know the account")]
    Unregistered,
    /// The same is being asked already; nothing changed.
    #[error("the issuer is being asked already")]
    Busy,
    /// The issuer does not answer now.
    #[error("the issuer does not answer; try again in {retry_after_seconds} seconds")]
    Unavailable {
        /// When trying again is sensible.
        retry_after_seconds: u32,
    },
}

//! The outside issuer port: a certificate authority that is reached over a network, for example with ACME (RFC 8555).
//!
//! The platform keeps what an issuer calls an order and asks again until there is an answer; an adapter keeps nothing.
//! Submitting is safe to repeat: the same request id, given twice, is one order, or the second one replaces the first.

use async_trait::async_trait;
use uuid::Uuid;
use vouchsafe_crypto::SecretString;

/// An authority outside, as one provider of a vault's issuers.
#[async_trait]
pub trait CertificateIssuer: Send + Sync {
    /// The name of the provider that issuers of a vault refer to, for example `Acme`.
    fn provider(&self) -> &'static str;

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
}

/// What is ordered.
#[derive(Clone, Copy, Debug)]
pub struct CertificateOrder<'a> {
    /// The operation, which is the same in every attempt.
    pub request: Uuid,
    /// The request in DER (RFC 2986), signed by the key that is to be certified.
    pub csr: &'a [u8],
    /// The domain names in it.
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
    /// The issuer does not answer now.
    #[error("the issuer does not answer; try again in {retry_after_seconds} seconds")]
    Unavailable {
        /// When trying again is sensible.
        retry_after_seconds: u32,
    },
}

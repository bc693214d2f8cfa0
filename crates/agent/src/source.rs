//! Where tokens come from: the platform, reached over its admin Unix socket.
//!
//! The trait is the agent's only door to the platform, so that a test can put a faulty one in its place.

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::net::UnixStream;
use vouchsafe_crypto::SecretString;
use vouchsafe_wire::node::{BODY_BYTES_MAX, ErrorAnswer, ErrorCode, TOKEN_PATH, TokenAnswer, TokenRequest};

/// How long one call may take, whatever the agent's own deadline is.
const CALL_DEADLINE: Duration = Duration::from_secs(20);

/// A token as the agent holds it.
pub struct Token {
    /// The bearer token.
    pub secret: SecretString,
    /// When it expires, in seconds since 1970.
    pub expires_on: u64,
    /// When it becomes valid, in seconds since 1970.
    pub not_before: u64,
    /// `Bearer`.
    pub token_type: String,
    /// The client id of the identity that was used.
    pub client_id: String,
}

/// Why there is no token.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum SourceError {
    /// The platform answered, and the answer is no.
    #[error("{message}")]
    Refused {
        /// The platform's word for it.
        code: ErrorCode,
        /// The platform's sentence for it; may be shown to the caller.
        message: String,
    },
    /// The platform did not answer; asking later may help.
    #[error("{0}")]
    Unreachable(String),
}

/// Issues a token for an attested process, or says why not.
#[async_trait]
pub trait TokenSource: Send + Sync {
    /// Asks once; deadlines are the implementation's duty.
    async fn token(&self, request: &TokenRequest) -> Result<Token, SourceError>;
}

/// The real source: the server's admin Unix socket.
pub struct AdminSocket {
    path: PathBuf,
}

impl AdminSocket {
    /// Uses the socket at `path`; a connection is made for each call, because tokens are kept and calls are rare.
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    async fn call(&self, request: &TokenRequest) -> Result<Token, SourceError> {
        let away =
            |what: &str, error: &dyn std::error::Error| SourceError::Unreachable(format!("{what}: {error}"));
        let stream = UnixStream::connect(&self.path).await.map_err(|error| away("connecting", &error))?;
        let server = stream.peer_cred().map_err(|error| away("connecting", &error))?.uid();
        if server != 0 && server != rustix::process::geteuid().as_raw() {
            // SECURITY: what a token says is the server's word; a socket of some other user's is not the server.
            return Err(SourceError::Unreachable(format!(
                "the admin socket is served by uid {server}, not by root or us"
            )));
        }
        let handshake = http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(|error| away("connecting", &error))?;
        let connection = AbortOnDrop(tokio::spawn(async move {
            let _ = connection.await;
        }));
        let body = serde_json::to_vec(request).map_err(|error| away("asking", &error))?;
        let post = Request::post(TOKEN_PATH)
            .header(HOST, "vouchsafe")
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| away("asking", &error))?;
        let response = sender.send_request(post).await.map_err(|error| away("asking", &error))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), BODY_BYTES_MAX).collect().await;
        let body = body
            .map_err(|error| SourceError::Unreachable(format!("reading the answer: {error}")))?
            .to_bytes();
        drop(connection);
        if status == StatusCode::OK {
            // The error of the parser could quote the token, so it is not repeated.
            let answer: TokenAnswer = serde_json::from_slice(&body)
                .map_err(|_| SourceError::Unreachable("the server's answer is not a token".to_owned()))?;
            return Ok(Token {
                secret: SecretString::new(answer.access_token.into_string()),
                expires_on: answer.expires_on,
                not_before: answer.not_before,
                token_type: answer.token_type,
                client_id: answer.client_id,
            });
        }
        match serde_json::from_slice::<ErrorAnswer>(&body) {
            Ok(error) if !status.is_server_error() => {
                Err(SourceError::Refused { code: error.code, message: error.message })
            }
            Ok(error) => Err(SourceError::Unreachable(error.message)),
            Err(_) => Err(SourceError::Unreachable(format!("the server answered {status}"))),
        }
    }
}

#[async_trait]
impl TokenSource for AdminSocket {
    async fn token(&self, request: &TokenRequest) -> Result<Token, SourceError> {
        match tokio::time::timeout(CALL_DEADLINE, self.call(request)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(SourceError::Unreachable("the server did not answer in time".to_owned())),
        }
    }
}

struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

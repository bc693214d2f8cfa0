//! How the ACME client reaches its server: through the guarded way out, at the directory's own origin only, and a bounded
//! number of times for each question of the platform.
//!
//! SECURITY: every address after the directory's comes from the server (orders, authorizations, certificates). RFC 8555
//! lets them be anywhere; here they stay where the operator's directory is.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use bytes::Bytes;
use http::{Request, header};
use http_body_util::BodyExt;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};

use crate::limits;
use crate::outside::egress::{Egress, destination};

/// What was heard of the server besides its answers.
#[derive(Default)]
pub(super) struct Heard {
    requests: AtomicUsize,
    retry_after_seconds: AtomicU32,
    status: AtomicU32,
}

impl Heard {
    /// What the newest answer that said when to come again said; zero for none.
    pub(super) fn retry_after_seconds(&self) -> u32 {
        self.retry_after_seconds.load(Ordering::Relaxed)
    }

    /// Whether the newest answer says that the server cannot do better now.
    pub(super) fn is_overloaded(&self) -> bool {
        matches!(self.status.load(Ordering::Relaxed), 429 | 500..)
    }
}

/// A client for one question.
pub(super) struct Http {
    pub egress: Arc<Egress>,
    pub directory: String,
    pub heard: Arc<Heard>,
}

/// Why a request was not sent.
#[derive(Debug, thiserror::Error)]
enum NotSent {
    #[error("the server refers to `{0}`, which is not where its directory is")]
    Elsewhere(String),
    #[error("one question would take more than {max} requests", max = limits::ACME_REQUESTS_MAX)]
    TooMany,
}

fn other(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Other(Box::new(error))
}

impl HttpClient for Http {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let (egress, heard, directory) = (self.egress.clone(), self.heard.clone(), self.directory.clone());
        Box::pin(async move {
            let home = directory.parse::<http::Uri>()?;
            if destination(request.uri()).map_err(other)? != destination(&home).map_err(other)? {
                return Err(other(NotSent::Elsewhere(request.uri().to_string())));
            }
            if heard.requests.load(Ordering::Relaxed) >= limits::ACME_REQUESTS_MAX {
                return Err(other(NotSent::TooMany));
            }
            heard.requests.fetch_add(1, Ordering::Relaxed);
            let (parts, body) = request.into_parts();
            let body = body.collect().await.map_err(other)?.to_bytes();
            let answer = egress.fetch(Request::from_parts(parts, body)).await.map_err(other)?;
            heard.status.store(u32::from(answer.status().as_u16()), Ordering::Relaxed);
            // A date would need the clock; who says it so is asked at our own pace.
            let said = answer.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
            let seconds = said.and_then(|text| text.trim().parse::<u32>().ok());
            heard.retry_after_seconds.store(seconds.unwrap_or(0), Ordering::Relaxed);
            let (parts, body) = answer.into_parts();
            Ok(BytesResponse { parts, body: Box::new(body) })
        })
    }
}

//! Request bodies, read when a handler asks, within a size and a time.
//!
//! The body of a refused caller is never read: authentication needs only the head.

use std::time::Duration;

use bytes::{Buf, Bytes};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use zeroize::Zeroizing;

use super::problem::Fault;

/// A body that has not been read yet.
pub enum RequestBody {
    /// From a connection.
    Incoming(Incoming),
    /// Already in memory, as in tests.
    Whole(Bytes),
}

impl From<Incoming> for RequestBody {
    fn from(body: Incoming) -> Self {
        Self::Incoming(body)
    }
}

impl From<Bytes> for RequestBody {
    fn from(body: Bytes) -> Self {
        Self::Whole(body)
    }
}

impl RequestBody {
    /// Reads everything, or says why not; the bytes are wiped when dropped, because some are secrets.
    pub async fn read(self, bytes_max: usize, timeout: Duration) -> Result<Zeroizing<Vec<u8>>, Fault> {
        match self {
            Self::Whole(bytes) if bytes.len() > bytes_max => Err(Fault::BodyTooLarge(bytes_max)),
            Self::Whole(bytes) => Ok(Zeroizing::new(bytes.to_vec())),
            Self::Incoming(body) => {
                tokio::time::timeout(timeout, collect(body, bytes_max)).await.unwrap_or(Err(Fault::BodySlow))
            }
        }
    }
}

async fn collect(mut body: Incoming, bytes_max: usize) -> Result<Zeroizing<Vec<u8>>, Fault> {
    // What the head announces is refused before a byte of it is read.
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > bytes_max {
        return Err(Fault::BodyTooLarge(bytes_max));
    }
    let mut read = Zeroizing::new(Vec::with_capacity(announced));
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Fault::BodyBroken)?;
        let Ok(mut data) = frame.into_data() else { continue };
        let needed = read.len().saturating_add(data.remaining());
        if needed > bytes_max {
            return Err(Fault::BodyTooLarge(bytes_max));
        }
        if needed > read.capacity() {
            let mut grown = Zeroizing::new(Vec::with_capacity(needed.saturating_mul(2).min(bytes_max)));
            grown.extend_from_slice(&read);
            read = grown;
        }
        while data.has_remaining() {
            let chunk = data.chunk().len();
            read.extend_from_slice(data.chunk());
            data.advance(chunk);
        }
    }
    Ok(read)
}

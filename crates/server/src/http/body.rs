//! Request bodies, read when a handler asks, within a size and a time.
//!
//! The body of a refused caller is never read: authentication needs only the head.

use std::time::Duration;

use bytes::{Buf, Bytes};
use http::HeaderValue;
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use zeroize::Zeroizing;

use super::problem::Fault;
use super::route::Plane;

/// What the bodies of a plane are written in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BodyKind {
    /// RFC 8259.
    Json,
    /// What token endpoints read (RFC 6749 appendix B).
    Form,
    /// RFC 6960 appendix A.1.
    Ocsp,
}

impl BodyKind {
    /// What a plane reads.
    pub const fn of(plane: Plane) -> Self {
        match plane {
            Plane::Entra => Self::Form,
            Plane::Pki => Self::Ocsp,
            Plane::KeyVault | Plane::Arm | Plane::Operations | Plane::Admin | Plane::Node | Plane::Graph => {
                Self::Json
            }
        }
    }

    /// Its media type.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Form => "application/x-www-form-urlencoded",
            Self::Ocsp => "application/ocsp-request",
        }
    }

    /// Whether a `Content-Type` says this kind; parameters are not looked at, because text is UTF-8 in any case.
    pub fn is_stated_by(self, content_type: &HeaderValue) -> bool {
        let stated = content_type.to_str().ok().and_then(|text| text.split(';').next()).unwrap_or_default();
        let stated = stated.trim().to_ascii_lowercase();
        stated == self.as_str()
            || (self == Self::Json && (stated == "text/json" || stated.ends_with("+json")))
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_of_the_kind_that_its_header_states_whatever_the_case_and_parameters() {
        for (stated, json, form) in [
            ("application/json", true, false),
            ("application/json; charset=utf-8", true, false),
            ("Application/JSON ;odata=none", true, false),
            ("application/merge-patch+json", true, false),
            ("text/json", true, false),
            ("application/x-www-form-urlencoded", false, true),
            ("application/x-www-form-urlencoded;charset=utf-8", false, true),
            ("", false, false),
            ("text/plain", false, false),
            ("application/jsonp", false, false),
            ("application/json, text/plain", false, false),
            ("multipart/form-data; boundary=application/json", false, false),
        ] {
            let value = HeaderValue::from_static(stated);
            assert_eq!(BodyKind::Json.is_stated_by(&value), json, "{stated}");
            assert_eq!(BodyKind::Form.is_stated_by(&value), form, "{stated}");
        }
    }
}

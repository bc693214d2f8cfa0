//! What makes a request an IMDS request: `GET /metadata/identity/oauth2/token` with `Metadata: true`.

use http::HeaderMap;

/// Refuses everything but exactly one `Metadata: true`.
pub(super) fn check(headers: &HeaderMap) -> Result<(), &'static str> {
    let mut values = headers.get_all("metadata").iter();
    match (values.next(), values.next()) {
        (Some(value), None) if value == "true" => Ok(()),
        (None, _) => Err("the header `Metadata: true` is missing"),
        _ => Err("the header `Metadata` must be there once, with the value `true`"),
    }
}

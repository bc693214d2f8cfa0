//! What makes a request an App Service request: `GET /msi/token` with a header `X-IDENTITY-HEADER`.
//!
//! In Azure that header is a secret that the platform puts into the process's environment. Here the kernel attests
//! the caller, so any value will do, and nobody has to keep one.

use http::HeaderMap;

/// Refuses everything but exactly one value that is not empty.
pub(super) fn check(headers: &HeaderMap) -> Result<(), &'static str> {
    let mut values = headers.get_all("x-identity-header").iter();
    match (values.next(), values.next()) {
        (Some(value), None) if !value.is_empty() => Ok(()),
        (None, _) => Err("the header `X-IDENTITY-HEADER` is missing; set IDENTITY_HEADER to any value"),
        _ => Err("the header `X-IDENTITY-HEADER` must be there once and not be empty"),
    }
}

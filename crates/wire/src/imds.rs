//! The managed identity protocol that every Azure SDK speaks to its own machine.
//!
//! IMDS (`GET /metadata/identity/oauth2/token`) and App Service (`GET /msi/token`) differ in path and headers only;
//! query, answer and error body are these. Numbers in the answer are strings, because the Rust and .NET clients
//! refuse anything else, and `resource`, `expires_in` and `expires_on` are always present, because each is required
//! by one client or another.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The path of the IMDS token endpoint, without the trailing slash that some clients add.
pub const IMDS_TOKEN_PATH: &str = "/metadata/identity/oauth2/token";
/// The path of the App Service token endpoint, without the trailing slash that some clients add.
pub const APP_SERVICE_TOKEN_PATH: &str = "/msi/token";
/// The longest query that is looked at.
pub const QUERY_BYTES_MAX: usize = 4096;
/// The longest single value in a query.
pub const VALUE_BYTES_MAX: usize = 1024;

/// What a client asks the metadata endpoint for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TokenQuery {
    /// The protocol version the client wrote; every version is answered alike.
    pub api_version: String,
    /// The resource (audience) that the token is for.
    pub resource: String,
    /// Which identity is asked for.
    pub identity: IdentityChoice,
}

/// Which of the identities that a machine may have is asked for.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub enum IdentityChoice {
    /// No parameter: the one identity that is bound to the caller.
    #[default]
    Bound,
    /// `client_id` (or `clientid`).
    ClientId(String),
    /// `object_id` (or `principal_id`).
    ObjectId(String),
    /// `msi_res_id` (IMDS) or `mi_res_id` (App Service).
    ResourceId(String),
}

/// Why a query is refused.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum QueryError {
    /// Longer than [`QUERY_BYTES_MAX`], or one value longer than [`VALUE_BYTES_MAX`].
    #[error("the query is too long")]
    TooLong,
    /// A percent escape that is not UTF-8, or a control character.
    #[error("the query is not printable text")]
    NotText,
    /// `api-version` is absent or empty.
    #[error(
        "the query parameter `api-version` is missing; Azure SDKs send it, a handwritten request may use 2018-02-01"
    )]
    NoApiVersion,
    /// `resource` is absent or empty.
    #[error(
        "the query parameter `resource` is missing; name the audience, for example https://vault.azure.net"
    )]
    NoResource,
    /// A parameter that counts is present twice.
    #[error("the query parameter `{0}` is present more than once")]
    Repeated(&'static str),
    /// Two different ways to choose an identity in one query.
    #[error(
        "the query chooses an identity in more than one way; send only one of client_id, object_id and msi_res_id"
    )]
    TwoChoices,
}

impl TokenQuery {
    /// Reads the part of a request target behind `?`; unknown parameters are ignored, as Azure does.
    pub fn parse(query: &str) -> Result<Self, QueryError> {
        if query.len() > QUERY_BYTES_MAX {
            return Err(QueryError::TooLong);
        }
        let mut api_version = None;
        let mut resource = None;
        let mut client_id = None;
        let mut object_id = None;
        let mut resource_id = None;
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let (slot, label) = match name.as_ref() {
                "api-version" => (&mut api_version, "api-version"),
                "resource" => (&mut resource, "resource"),
                "client_id" | "clientid" => (&mut client_id, "client_id"),
                "object_id" | "principal_id" => (&mut object_id, "object_id"),
                "msi_res_id" | "mi_res_id" => (&mut resource_id, "msi_res_id"),
                _ => continue,
            };
            if value.len() > VALUE_BYTES_MAX {
                return Err(QueryError::TooLong);
            }
            // The decoder writes U+FFFD where an escape was not UTF-8.
            if value.chars().any(|c| c.is_control() || c == '\u{fffd}') {
                return Err(QueryError::NotText);
            }
            if slot.replace(value.into_owned()).is_some() {
                return Err(QueryError::Repeated(label));
            }
        }
        let filled = |value: Option<String>| value.filter(|v| !v.is_empty());
        let identity = match (filled(client_id), filled(object_id), filled(resource_id)) {
            (None, None, None) => IdentityChoice::Bound,
            (Some(id), None, None) => IdentityChoice::ClientId(id),
            (None, Some(id), None) => IdentityChoice::ObjectId(id),
            (None, None, Some(id)) => IdentityChoice::ResourceId(id),
            _ => return Err(QueryError::TwoChoices),
        };
        Ok(Self {
            api_version: filled(api_version).ok_or(QueryError::NoApiVersion)?,
            resource: filled(resource).ok_or(QueryError::NoResource)?,
            identity,
        })
    }
}

/// The body of a successful answer; it borrows the token, so that the secret is not copied to be said.
#[derive(Serialize)]
pub struct TokenAnswer<'a> {
    /// The bearer token.
    pub access_token: &'a str,
    /// The client id of the identity that was used.
    pub client_id: &'a str,
    /// Seconds from now until the token expires, as digits.
    pub expires_in: String,
    /// When the token expires, in seconds since 1970, as digits.
    pub expires_on: String,
    /// The same as `expires_in`; Azure's resilience extension is not offered.
    pub ext_expires_in: String,
    /// When the token becomes valid, in seconds since 1970, as digits.
    pub not_before: String,
    /// The resource as it was asked for.
    pub resource: &'a str,
    /// `Bearer`.
    pub token_type: &'a str,
}

/// The body of every refusal: in the members that IMDS has, and again in those that App Service has, because a client
/// shows only the ones that it knows.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ErrorAnswer {
    /// A word for programs: `invalid_request` for everything that the caller can change.
    pub error: String,
    /// A sentence for people.
    pub error_description: String,
    /// App Service: the number of the answer's status.
    #[serde(rename = "statusCode")]
    pub status_code: u16,
    /// App Service: the same sentence.
    pub message: String,
}

impl ErrorAnswer {
    /// Makes a body whose description survives every client that prints it.
    pub fn new(status_code: u16, error: &str, description: &str) -> Self {
        let message = plain(description);
        Self { error: error.to_owned(), error_description: message.clone(), status_code, message }
    }
}

/// Replaces what breaks clients that cut error texts apart: quotes, backslashes, line ends and other controls.
pub fn plain(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '"' | '\'' => '`',
            '\\' => '/',
            c if c.is_control() => ' ',
            c => c,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(query: &str) -> TokenQuery {
        TokenQuery::parse(query).unwrap()
    }

    #[test]
    fn the_resource_is_read_escaped_or_not() {
        for query in [
            "api-version=2018-02-01&resource=https://vault.localhost:8443",
            "api-version=2018-02-01&resource=https%3A%2F%2Fvault.localhost%3A8443",
        ] {
            assert_eq!(parsed(query).resource, "https://vault.localhost:8443");
        }
    }

    #[test]
    fn every_spelling_of_an_identity_is_understood() {
        let id = || "7f".to_owned();
        for (name, expected) in [
            ("client_id", IdentityChoice::ClientId(id())),
            ("clientid", IdentityChoice::ClientId(id())),
            ("object_id", IdentityChoice::ObjectId(id())),
            ("principal_id", IdentityChoice::ObjectId(id())),
            ("msi_res_id", IdentityChoice::ResourceId(id())),
            ("mi_res_id", IdentityChoice::ResourceId(id())),
        ] {
            assert_eq!(parsed(&format!("api-version=1&resource=r&{name}=7f")).identity, expected);
        }
        assert_eq!(parsed("api-version=1&resource=r&client_id=").identity, IdentityChoice::Bound);
    }

    #[test]
    fn a_query_that_could_be_read_in_two_ways_is_refused() {
        let long = format!("api-version=1&resource={}", "r".repeat(VALUE_BYTES_MAX + 1));
        let longer = format!("x={}", "r".repeat(QUERY_BYTES_MAX));
        for (query, expected) in [
            ("", QueryError::NoApiVersion),
            ("resource=r", QueryError::NoApiVersion),
            ("api-version=1", QueryError::NoResource),
            ("api-version=1&resource=", QueryError::NoResource),
            ("api-version=1&api-version=2&resource=r", QueryError::Repeated("api-version")),
            ("api-version=1&resource=r&resource=s", QueryError::Repeated("resource")),
            ("api-version=1&resource=r&client_id=a&clientid=a", QueryError::Repeated("client_id")),
            ("api-version=1&resource=r&client_id=a&object_id=b", QueryError::TwoChoices),
            ("api-version=1&resource=%ff", QueryError::NotText),
            ("api-version=1&resource=a%0d%0ab", QueryError::NotText),
            (long.as_str(), QueryError::TooLong),
            (longer.as_str(), QueryError::TooLong),
        ] {
            assert_eq!(TokenQuery::parse(query), Err(expected), "{query:.60}");
        }
    }

    #[test]
    fn numbers_in_the_answer_are_strings() {
        let answer = TokenAnswer {
            access_token: "t",
            client_id: "c",
            expires_in: "10".into(),
            expires_on: "20".into(),
            ext_expires_in: "10".into(),
            not_before: "0".into(),
            resource: "r",
            token_type: "Bearer",
        };
        let json = serde_json::to_value(&answer).unwrap();
        for field in ["expires_in", "expires_on", "ext_expires_in", "not_before", "resource", "token_type"] {
            assert!(json[field].is_string(), "{field}");
        }
    }

    #[test]
    fn an_error_text_has_nothing_that_breaks_a_parser() {
        let body = ErrorAnswer::new(400, "invalid_request", "exe \"/a\\b\"\r\nis 'x'");
        assert_eq!(body.error_description, "exe `/a/b`  is `x`");
        assert_eq!((body.status_code, body.message), (400, body.error_description));
    }
}

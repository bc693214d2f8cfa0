//! Links to the next page.
//!
//! A link is absolute, has the host and port that the client used, and repeats `maxresults`, because Python and JS
//! follow it as it is. Key Vault and ARM make them alike.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::form::{BadForm, Form};

/// Everything but RFC 3986's unreserved characters.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The place in a list where the next page begins; opaque to clients, base64url on the wire.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SkipToken(Vec<u8>);

impl SkipToken {
    /// The token for a place.
    pub fn new(place: Vec<u8>) -> Self {
        Self(place)
    }

    /// The place.
    pub fn place(&self) -> &[u8] {
        &self.0
    }

    /// Reads a token; padding and the standard alphabet are not ours.
    pub fn parse(text: &str) -> Option<Self> {
        URL_SAFE_NO_PAD.decode(text).ok().map(Self)
    }

    /// Takes the token out of a query.
    pub(crate) fn take(form: &mut Form) -> Result<Option<Self>, BadForm> {
        let name = "$skiptoken";
        let problem = "is not one that this service gave; begin again without it";
        let token = form.take_plain(name)?;
        token.map(|text| Self::parse(&text).ok_or(BadForm::Malformed { name, problem })).transpose()
    }

    /// The token as text.
    pub fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(&self.0)
    }
}

/// What a link to the next page is made of.
#[derive(Clone, Copy, Debug)]
pub struct NextLink<'a> {
    /// Scheme, host and port, as the client reached us.
    pub origin: &'a str,
    /// The path of the list, such as `/secrets` or `/secrets/name/versions`.
    pub path: &'a str,
    /// The version that the client asked with.
    pub api_version: Option<&'a str>,
    /// Where the next page begins.
    pub skip_token: &'a SkipToken,
    /// The page size that the client asked for.
    pub max_results: Option<u32>,
    /// Whether the client asked for certificates that are still being made.
    pub include_pending: Option<bool>,
}

impl NextLink<'_> {
    /// The link as text.
    pub fn compose(&self) -> String {
        let Self { origin, path, .. } = self;
        let mut link = format!("{origin}{path}?");
        if let Some(version) = self.api_version {
            link.push_str(&format!("api-version={}&", utf8_percent_encode(version, RESERVED)));
        }
        link.push_str(&format!("$skiptoken={}", self.skip_token.encode()));
        if let Some(max_results) = self.max_results {
            link.push_str(&format!("&maxresults={max_results}"));
        }
        if let Some(include_pending) = self.include_pending {
            link.push_str(&format!("&includePending={include_pending}"));
        }
        link
    }
}

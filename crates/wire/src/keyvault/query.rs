//! Query strings of the data plane.
//!
//! JS percent-encodes names (`api%2Dversion`), Rust re-encodes and reorders our own links (`%24skiptoken`), and every
//! client may add parameters of its own.

use crate::form::{BadForm, Budget, Form};
use crate::link::SkipToken;

/// How much a query may cost before anybody is authenticated.
pub const QUERY_BUDGET: Budget = Budget { bytes_max: 8 * 1024, fields_max: 32 };

/// What we read of a query; absent is not the same as wrong, and both are for the caller to judge.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Query {
    /// The API version that the client was written for.
    pub api_version: Option<String>,
    /// How many items it wants on a page.
    pub max_results: Option<u32>,
    /// Where the page begins.
    pub skip_token: Option<SkipToken>,
    /// In which form a certificate's secret is wanted.
    pub out_content_type: Option<String>,
    /// Whether certificates that are still being made are wanted, too.
    pub include_pending: Option<bool>,
}

impl Query {
    /// Reads what comes after the `?`.
    pub fn parse(query: Option<&str>) -> Result<Self, BadForm> {
        let mut form = Form::parse(query.unwrap_or_default().as_bytes(), &QUERY_BUDGET)?;
        let api_version = form.take_plain("api-version")?;
        let max_results = form.take_number("maxresults")?;
        let skip_token = SkipToken::take(&mut form)?;
        let out_content_type = form.take_plain("outContentType")?;
        let include_pending = form.take_truth("includePending")?;
        Ok(Self { api_version, max_results, skip_token, out_content_type, include_pending })
    }
}

//! Query strings of the control plane.

use crate::form::{BadForm, Budget, Form};
use crate::link::SkipToken;

use super::filter::{BadFilter, Filter};

/// How much a query may cost before anybody is authenticated.
pub const QUERY_BUDGET: Budget = Budget { bytes_max: 8 * 1024, fields_max: 32 };

/// Why a query is refused; fit to be shown to the caller.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadQuery {
    /// It is not a well-formed query.
    #[error(transparent)]
    Form(#[from] BadForm),
    /// Its `$filter` is not one of those that are understood.
    #[error(transparent)]
    Filter(#[from] BadFilter),
}

/// What we read of a query; `$expand`, `$select` and whatever else there is are ignored.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Query {
    /// The API version that the client was written for.
    pub api_version: Option<String>,
    /// Which items of a list are wanted.
    pub filter: Option<Filter>,
    /// How many items are wanted.
    pub top: Option<u32>,
    /// Where the page begins.
    pub skip_token: Option<SkipToken>,
}

impl Query {
    /// Reads what comes after the `?`.
    pub fn parse(query: Option<&str>) -> Result<Self, BadQuery> {
        let mut form = Form::parse(query.unwrap_or_default().as_bytes(), &QUERY_BUDGET)?;
        Ok(Self {
            api_version: form.take_plain("api-version")?,
            filter: form.take_plain("$filter")?.map(|text| Filter::parse(&text)).transpose()?,
            top: form.take_number("$top")?,
            skip_token: SkipToken::take(&mut form)?,
        })
    }
}

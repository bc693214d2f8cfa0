//! How the token endpoint says no (RFC 6749 §5.2, with Entra's additions).

use serde::{Deserialize, Serialize};

/// One line of text that JSON can carry without a single escape.
///
/// The Rust SDK borrows the description from the answer's text; a quote, backslash or line break in it would make that
/// client report a JSON error instead of what we said.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(from = "String")]
pub struct PlainLine(String);

impl PlainLine {
    /// Keeps the text, with what JSON would escape replaced by its nearest harmless neighbour.
    pub fn new(text: &str) -> Self {
        Self(
            text.chars()
                .map(|c| match c {
                    '"' => '\'',
                    '\\' => '/',
                    c if c.is_control() => ' ',
                    c => c,
                })
                .collect(),
        )
    }

    /// The line.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for PlainLine {
    fn from(text: String) -> Self {
        Self::new(&text)
    }
}

/// The body of a refused token request.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ErrorResponse {
    /// The code of RFC 6749: `invalid_client`, `invalid_request`, …
    pub error: PlainLine,
    /// `AADSTSnnnn: ` and a sentence; clients show it to people.
    pub error_description: PlainLine,
    /// The numbers in it, as integers.
    #[serde(default)]
    pub error_codes: Vec<u32>,
    /// When, as `2026-01-31 23:59:59Z`.
    #[serde(default)]
    pub timestamp: String,
    /// Under which id the log knows more.
    #[serde(default)]
    pub trace_id: String,
    /// The caller's id for the request, or ours.
    #[serde(default)]
    pub correlation_id: String,
    /// A page that explains the code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_uri: Option<String>,
}

impl ErrorResponse {
    /// A refusal whose description needs no escape in JSON, whatever was quoted in it.
    pub fn new(error: &str, code: u32, sentence: &str) -> Self {
        Self {
            error: PlainLine::new(error),
            error_description: PlainLine::new(&format!("AADSTS{code}: {sentence}")),
            error_codes: vec![code],
            timestamp: String::new(),
            trace_id: String::new(),
            correlation_id: String::new(),
            error_uri: None,
        }
    }

    /// The same refusal, with what lets an operator find it again; the ids also end the description, as Entra's do.
    pub fn traced(mut self, timestamp: &str, trace_id: &str, correlation_id: &str) -> Self {
        let said = self.error_description.as_str();
        self.error_description = PlainLine::new(&format!(
            "{said} Trace ID: {trace_id} Correlation ID: {correlation_id} Timestamp: {timestamp}"
        ));
        self.timestamp = timestamp.to_owned();
        self.trace_id = trace_id.to_owned();
        self.correlation_id = correlation_id.to_owned();
        self
    }
}

//! What a client sends to the token endpoint (RFC 6749 §§2.3.1, 4.4; RFC 7523 §2.2).
//!
//! Real clients add many fields of their own (`x-client-*`, telemetry, `client_info`), send federated assertions with
//! the trailing newline of the file they read, and repeat nothing.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::form::{self, BadForm, Budget, Form};
use crate::json::{self, BadBody};
use crate::secret_text::SecretText;

/// How much a token request may cost before anybody is authenticated.
pub const FORM_BUDGET: Budget = Budget { bytes_max: 64 * 1024, fields_max: 64 };

/// The parameters of a token request that we read; all the rest is ignored.
#[derive(Default)]
pub struct TokenRequest {
    /// `client_credentials` and its kin.
    pub grant_type: Option<String>,
    /// The application that asks, unless it says so with HTTP Basic.
    pub client_id: Option<String>,
    /// What the token is for, v2.0: audiences with `/.default`, separated by spaces.
    pub scope: Option<String>,
    /// What the token is for, v1: the audience itself.
    pub resource: Option<String>,
    /// The application's password.
    pub client_secret: Option<SecretText>,
    /// A signed statement in place of a password, without white space around it.
    pub client_assertion: Option<SecretText>,
    /// What kind of statement; `urn:ietf:params:oauth:client-assertion-type:jwt-bearer` is the only one known.
    pub client_assertion_type: Option<String>,
    /// JSON that asks for claims and states client capabilities.
    pub claims: Option<String>,
}

impl TokenRequest {
    /// Reads the form; refuses one that is too large or gives a parameter of ours twice.
    pub fn parse(body: &[u8]) -> Result<Self, BadForm> {
        let mut form = Form::parse(body, &FORM_BUDGET)?;
        Ok(Self {
            grant_type: form.take_plain("grant_type")?,
            client_id: form.take_plain("client_id")?,
            scope: form.take_plain("scope")?,
            resource: form.take_plain("resource")?,
            client_secret: form.take("client_secret")?.map(SecretText::from),
            client_assertion: form.take("client_assertion")?.map(|text| SecretText::from(text).trimmed()),
            client_assertion_type: form.take_plain("client_assertion_type")?,
            claims: form.take_plain("claims")?,
        })
    }
}

/// The client capabilities (such as `CP1`) stated in a `claims` parameter.
pub fn client_capabilities(claims: &str) -> Result<Vec<String>, BadBody> {
    #[derive(Deserialize)]
    struct Claims {
        access_token: Option<BTreeMap<String, Option<Requested>>>,
    }
    #[derive(Deserialize)]
    struct Requested {
        values: Option<Vec<String>>,
    }
    let claims: Claims = json::parse(claims.as_bytes(), &json::Budget::new(FORM_BUDGET.bytes_max))?;
    let requested = claims.access_token.and_then(|mut wanted| wanted.remove("xms_cc")).flatten();
    Ok(requested.and_then(|requested| requested.values).unwrap_or_default())
}

/// Why an `Authorization: Basic` header is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the Basic authorization is not base64 of `client_id:client_secret`, each percent-encoded")]
pub struct BadBasic;

/// A client id and secret given with HTTP Basic (RFC 6749 §2.3.1).
pub struct BasicCredentials {
    /// The application that asks.
    pub client_id: String,
    /// Its password.
    pub client_secret: SecretText,
}

impl BasicCredentials {
    /// Reads the value of an `Authorization` header; `None` when it is of another scheme.
    pub fn parse(header: &str) -> Result<Option<Self>, BadBasic> {
        let Some((scheme, encoded)) = header.trim_ascii().split_once(' ') else { return Ok(None) };
        if !scheme.eq_ignore_ascii_case("basic") {
            return Ok(None);
        }
        if encoded.len() > FORM_BUDGET.bytes_max {
            return Err(BadBasic);
        }
        let decoded = Zeroizing::new(STANDARD.decode(encoded.trim_ascii()).map_err(|_| BadBasic)?);
        let pair = std::str::from_utf8(&decoded).map_err(|_| BadBasic)?;
        let (id, secret) = pair.split_once(':').ok_or(BadBasic)?;
        let side = |raw: &str| form::decode(raw.as_bytes()).ok_or(BadBasic);
        Ok(Some(Self { client_id: side(id)?, client_secret: SecretText::new(side(secret)?) }))
    }
}

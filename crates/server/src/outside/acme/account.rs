//! Whose orders they are: what an issuer's `account_id` and `pwd` choose, and the key that was registered with it.
//!
//! `account_id` is `DIRECTORY`, one of the operator's names, or `DIRECTORY/KEY-ID` for a directory that wants an external
//! account binding (RFC 8555 §7.3.4); then `pwd` is the binding's MAC key in base64url.

use std::collections::BTreeMap;

use ::http::Uri;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use instant_acme::{AccountCredentials, Error, ExternalAccountKey};
use serde::Deserialize;
use vouchsafe_crypto::{Reason, SecretBytes};
use vouchsafe_domain::ports::issuer::{IssuerAccount, IssuerError};

use crate::limits;
use crate::outside::OutsideError;
use crate::outside::egress::destination;

/// What an account names.
pub(super) struct Chosen<'a> {
    /// The directory's address.
    pub url: &'a str,
    binding: Option<(&'a str, SecretBytes)>,
}

/// Refuses a directory of the operator that could not be used.
pub(super) fn check_directory(name: &str, url: &str) -> Result<(), OutsideError> {
    let wrong = |problem| Err(OutsideError::Directory { name: name.escape_default().to_string(), problem });
    let well_named = (1..=limits::ACME_DIRECTORY_NAME_BYTES_MAX).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if !well_named {
        return wrong("must have a name of at most 64 lower-case letters, digits and hyphens");
    }
    match url.parse::<Uri>() {
        Ok(uri) if destination(&uri).is_ok() && uri.query().is_none() => Ok(()),
        _ => wrong("must have an https address without a user and a query"),
    }
}

impl<'a> Chosen<'a> {
    /// Reads an account, for whoever wrote it.
    pub(super) fn read(
        directories: &'a BTreeMap<String, String>,
        account: &'a IssuerAccount<'_>,
    ) -> Result<Self, String> {
        let known = || directories.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        let Some(text) = account.account else {
            return Err(format!("account_id must name an ACME directory of this server: {}", known()));
        };
        let (name, key_id) = match text.split_once('/') {
            Some((name, key_id)) => (name, Some(key_id)),
            None => (text, None),
        };
        let Some(url) = directories.get(name) else {
            let name = name.escape_default();
            return Err(format!(
                "`{name}` is no ACME directory of this server; account_id names one of: {}",
                known()
            ));
        };
        let binding = match (key_id, account.password) {
            (None, None) => None,
            (Some(key_id), Some(key))
                if !key_id.is_empty() && key_id.bytes().all(|byte| byte.is_ascii_graphic()) =>
            {
                let text = key.expose(Reason::Cipher).trim_end_matches('=');
                let decoded = BASE64_URL_SAFE_NO_PAD.decode(text).ok().filter(|key| !key.is_empty());
                let decoded =
                    decoded.ok_or("pwd must be the MAC key of the external account in base64url")?;
                Some((key_id, SecretBytes::new(decoded)))
            }
            (Some(_), Some(_)) => {
                return Err("the key id after `/` in account_id must be printable ASCII".to_owned());
            }
            (Some(_), None) => {
                return Err(
                    "pwd must be the MAC key of the external account that account_id names".to_owned()
                );
            }
            (None, Some(_)) => {
                return Err("pwd is for an external account: write account_id as DIRECTORY/KEY-ID".to_owned());
            }
        };
        Ok(Self { url, binding })
    }

    /// The external account that a new account is bound to.
    pub(super) fn binding(&self) -> Option<ExternalAccountKey> {
        let (key_id, key) = self.binding.as_ref()?;
        Some(ExternalAccountKey::new((*key_id).to_owned(), key.expose(Reason::Cipher)))
    }

    /// The account that was registered at this very directory.
    pub(super) fn known(&self, account: &IssuerAccount<'_>) -> Result<AccountCredentials, IssuerError> {
        #[derive(Deserialize)]
        struct At {
            directory: String,
        }
        let kept = account.registration.ok_or(IssuerError::Unregistered)?.expose(Reason::Cipher);
        let unreadable = |_| IssuerError::Unregistered;
        // The operator may have given the name to another server since.
        let at: At = serde_json::from_slice(kept).map_err(unreadable)?;
        if at.directory != self.url {
            return Err(IssuerError::Unregistered);
        }
        serde_json::from_slice(kept).map_err(unreadable)
    }
}

/// An account as the platform is to keep it: its address at the server, its private key, and its directory.
pub(super) fn to_be_kept(made: &AccountCredentials) -> Result<SecretBytes, Error> {
    Ok(SecretBytes::new(serde_json::to_vec(made)?))
}

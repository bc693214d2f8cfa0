//! `WWW-Authenticate` texts, which clients take apart with string operations rather than with a parser.
//!
//! Between two pairs there is a comma **and** a space, values are always quoted and the authority has no trailing
//! slash: each of these is what some Azure client depends on (Key Vault's challenge as its SDKs read it; RFC 6750 §3).

use std::fmt::Write as _;

/// The challenge of a vault: who issues tokens, and for which resource they must be asked.
///
/// `authority` is origin and tenant (`https://localhost:8443/TENANT`); `resource` is the vaults' parent **with** its
/// port, because Python and Go compare host and port.
pub fn key_vault(authority: &str, resource: &str) -> String {
    pairs(&[("authorization", authority), ("resource", resource)])
}

/// The challenge of the control plane for a missing (`error` is `None`) or refused token.
pub fn resource_manager(authority: &str, error: Option<(&str, &str)>) -> String {
    match error {
        None => pairs(&[("authorization_uri", authority)]),
        Some((code, description)) => {
            pairs(&[("authorization_uri", authority), ("error", code), ("error_description", description)])
        }
    }
}

fn pairs(pairs: &[(&str, &str)]) -> String {
    let mut text = String::from("Bearer ");
    for (index, (name, value)) in pairs.iter().enumerate() {
        let separator = if index == 0 { "" } else { ", " };
        // SECURITY: parts of a value come from the request's Host; nothing in it may end the quotes or the header.
        let value: String = value
            .trim_end_matches('/')
            .chars()
            .filter(|c| c.is_ascii_graphic() || *c == ' ')
            .filter(|c| !matches!(c, '"' | '\\'))
            .collect();
        let _ = write!(text, "{separator}{name}=\"{value}\"");
    }
    text
}

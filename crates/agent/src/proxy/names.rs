//! Which host names are ours, and which headers stay behind at a proxy.

use std::collections::HashSet;

use http::header::{CONNECTION, HeaderMap, HeaderName};

/// The longest host name (RFC 1035 §2.3.4).
pub(super) const NAME_BYTES_MAX: usize = 253;

/// The names that the server answers for.
#[derive(Clone, Debug, Default)]
pub(crate) struct KnownHosts {
    exact: HashSet<String>,
    /// What stands behind the first label of a wildcard.
    behind_wildcard: HashSet<String>,
}

impl KnownHosts {
    /// Reads exact names and names with one leading `*.` label; gives back the first that is neither.
    pub(crate) fn parse(names: &[String]) -> Result<Self, String> {
        let mut known = Self::default();
        for name in names {
            let lower = name.to_ascii_lowercase();
            let (set, rest) = match lower.strip_prefix("*.") {
                Some(rest) => (&mut known.behind_wildcard, rest),
                None => (&mut known.exact, lower.as_str()),
            };
            let is_label = |l: &str| {
                !l.is_empty() && l.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-' || c == b'_')
            };
            if rest.len() > NAME_BYTES_MAX || !rest.split('.').all(is_label) {
                return Err(name.clone());
            }
            set.insert(rest.to_owned());
        }
        Ok(known)
    }

    /// Whether `host`, in lower case, is ours.
    pub(super) fn contains(&self, host: &str) -> bool {
        self.exact.contains(host)
            || host
                .split_once('.')
                .is_some_and(|(label, rest)| !label.is_empty() && self.behind_wildcard.contains(rest))
    }
}

/// Removes what is meant for this connection only (RFC 9110 §7.6.1).
pub(super) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in [
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ] {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_wildcard_stands_for_one_label() {
        let names =
            ["login.microsoftonline.com", "*.Vault.Azure.net", "*.vault.localhost"].map(str::to_owned);
        let known = KnownHosts::parse(&names).unwrap();
        for ours in ["login.microsoftonline.com", "a.vault.azure.net", "b.vault.localhost"] {
            assert!(known.contains(ours), "{ours}");
        }
        for other in [
            "x.login.microsoftonline.com",
            "vault.azure.net",
            ".vault.azure.net",
            "a.b.vault.azure.net",
            "a.vault.azure.net.evil.example",
            "evilvault.azure.net",
            "microsoftonline.com",
            "",
        ] {
            assert!(!known.contains(other), "{other}");
        }
    }

    #[test]
    fn a_name_that_cannot_be_one_is_refused() {
        for name in ["", "*", "*.", "a.*.b", "a..b", "https://a", "a:443", "*.*.b"] {
            assert_eq!(KnownHosts::parse(&[name.to_owned()]).unwrap_err(), name);
        }
    }

    #[test]
    fn headers_of_one_hop_stay_behind() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, x-private"),
            ("x-private", "1"),
            ("proxy-authorization", "Basic eA=="),
            ("te", "trailers"),
            ("accept", "a"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        strip_hop_by_hop(&mut headers);
        assert_eq!(headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["accept"]);
    }
}

//! The shapes of names in a certificate, checked where a policy is taken, so that what is kept can be issued.

use vouchsafe_crypto::pki::DistinguishedName;

use crate::limits;

/// Whether text is an object identifier: two arcs at least, the first of them 0 to 2, no leading zeros.
pub(super) fn is_oid(text: &str) -> bool {
    if text.len() > limits::OID_BYTES_MAX {
        return false;
    }
    let arcs: Vec<&str> = text.split('.').collect();
    let well_formed = |arc: &&str| {
        !arc.is_empty()
            && arc.len() <= 9
            && arc.bytes().all(|b| b.is_ascii_digit())
            && (arc.len() == 1 || !arc.starts_with('0'))
    };
    if arcs.len() < 2 || !arcs.iter().all(well_formed) {
        return false;
    }
    let number = |index: usize| arcs.get(index).and_then(|arc| arc.parse::<u32>().ok());
    match (number(0), number(1)) {
        (Some(0 | 1), Some(second)) => second < 40,
        (Some(2), Some(_)) => true,
        _ => false,
    }
}

/// Whether text is a domain name in ASCII (RFC 1034 §3.5, RFC 6125 §6.4.3): labels, the first of which may be `*`.
pub(super) fn is_dns_name(text: &str) -> bool {
    let labels = text.strip_prefix("*.").unwrap_or(text);
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && labels.split('.').all(is_label)
}

/// Whether text is an address in ASCII: a local part and a domain.
pub(super) fn is_mail_address(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    (1..=64).contains(&local.len())
        && local.bytes().all(|b| b.is_ascii_graphic() && !b"\"(),:;<>@[\\]".contains(&b))
        && !domain.starts_with('*')
        && is_dns_name(domain)
}

/// Whether text is an absolute URI in ASCII: a scheme and something more.
pub(super) fn is_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    text.len() <= limits::SAN_URI_BYTES_MAX
        && scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
        && !rest.is_empty()
        && rest.bytes().all(|b| b.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&b))
}

/// Refuses a distinguished name that could not be written into a certificate.
pub(super) fn check(text: &str) -> Result<(), String> {
    DistinguishedName::parse(text).map(drop).map_err(|refused| refused.to_string())
}

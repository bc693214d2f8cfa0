//! Policies of certificates: from what clients write to what the domain decides on, and back.
//!
//! Members that nobody here knows are kept as JSON text under a name that says which object they were in, because
//! clients send back what they read.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde_json::Value;
use vouchsafe_crypto::pki::{AlternativeNames, KeyUsage};
use vouchsafe_domain::ids::ObjectName;
use vouchsafe_domain::vault::certificate::{
    CertificatePolicy, IssuerChoice, LifetimeAction, LifetimeActionType, PolicyPatch, Trigger,
};
use vouchsafe_wire::keyvault::certificate as wire;

use super::CERTIFICATES;
use crate::http::keyvault::{Asked, bad, keys, seconds};
use crate::http::problem::Problem;
use crate::http::refusal::of_vault;

/// Where a member was that is kept and not known. No prefix is the beginning of another.
const TOP: &str = "/";
const KEY: &str = "key_props/";
const X509: &str = "x509_props/";
const SANS: &str = "sans/";
const ISSUER: &str = "issuer/";

type Rest = BTreeMap<String, Value>;

pub(super) fn heard(given: wire::CertificatePolicy) -> Result<PolicyPatch, Problem> {
    let mut other = BTreeMap::new();
    let mut keep = |place: &str, rest: Rest| {
        other.extend(rest.into_iter().map(|(name, value)| (format!("{place}{name}"), value.to_string())));
    };
    let key = given.key_props.unwrap_or_default();
    let mut x509 = given.x509_props.unwrap_or_default();
    let sans = x509.sans.take().map(|mut sans| {
        keep(SANS, std::mem::take(&mut sans.rest));
        heard_names(sans)
    });
    let issuer = given.issuer.unwrap_or_default();
    keep(TOP, given.rest);
    keep(KEY, key.rest);
    keep(X509, x509.rest);
    keep(ISSUER, issuer.rest);
    let name = issuer.name.as_deref().map(IssuerChoice::parse).transpose();
    let actions = given.lifetime_actions.map(|actions| actions.into_iter().enumerate().map(heard_action));
    Ok(PolicyPatch {
        key_type: key.kty.map(|kty| (keys::family(kty), kty.in_token())),
        key_size: key.key_size,
        curve: key.crv.map(keys::heard_curve),
        exportable: key.exportable,
        reuse_key: key.reuse_key,
        content_type: given.secret_props.and_then(|properties| properties.content_type),
        subject: x509.subject,
        sans: sans.transpose()?,
        ekus: x509.ekus,
        key_usage: x509.key_usage.map(|usages| usages.into_iter().map(heard_usage).collect()),
        validity_months: x509.validity_months,
        is_authority: x509.basic_constraints.and_then(|constraints| constraints.ca),
        lifetime_actions: actions.map(Iterator::collect::<Result<_, _>>).transpose()?,
        issuer: name.map_err(|error| of_vault(error.into()))?,
        certificate_type: issuer.cty,
        transparency: issuer.cert_transparency,
        disabled: given.attributes.and_then(|attributes| attributes.enabled).map(|enabled| !enabled),
        other,
    })
}

fn heard_names(given: wire::SubjectAlternativeNames) -> Result<AlternativeNames, Problem> {
    let addresses = given.ip_addresses.unwrap_or_default();
    let addresses = addresses.iter().map(|text| text.parse::<IpAddr>()).collect::<Result<_, _>>();
    Ok(AlternativeNames {
        dns: given.dns_names.unwrap_or_default(),
        emails: given.emails.unwrap_or_default(),
        upns: given.upns.unwrap_or_default(),
        uris: given.uris.unwrap_or_default(),
        addresses: addresses.map_err(|_| {
            bad("the member `x509_props.sans.ipAddresses` must hold addresses, as text without a prefix length")
        })?,
        others: 0,
    })
}

fn heard_action((index, given): (usize, wire::LifetimeAction)) -> Result<LifetimeAction, Problem> {
    let at = |member: &str| format!("lifetime_actions[{index}].{member}");
    let action = given.action.ok_or_else(|| bad(format!("the member `{}` is missing", at("action"))))?;
    let trigger = given.trigger.unwrap_or_default();
    let trigger = match (trigger.lifetime_percentage, trigger.days_before_expiry) {
        (Some(percentage), None) => Trigger::LifetimePercentage(percentage),
        (None, Some(days)) => Trigger::DaysBeforeExpiry(days),
        _ => {
            let problem = "must have one of `lifetime_percentage` and `days_before_expiry`";
            return Err(bad(format!("the member `{}` {problem}", at("trigger"))));
        }
    };
    let action = match action.action_type {
        wire::ActionType::AutoRenew => LifetimeActionType::AutoRenew,
        wire::ActionType::EmailContacts => LifetimeActionType::EmailContacts,
    };
    Ok(LifetimeAction { trigger, action })
}

const USAGES: [(wire::KeyUsage, KeyUsage); 9] = [
    (wire::KeyUsage::DigitalSignature, KeyUsage::DigitalSignature),
    (wire::KeyUsage::NonRepudiation, KeyUsage::NonRepudiation),
    (wire::KeyUsage::KeyEncipherment, KeyUsage::KeyEncipherment),
    (wire::KeyUsage::DataEncipherment, KeyUsage::DataEncipherment),
    (wire::KeyUsage::KeyAgreement, KeyUsage::KeyAgreement),
    (wire::KeyUsage::KeyCertSign, KeyUsage::KeyCertSign),
    (wire::KeyUsage::CrlSign, KeyUsage::CrlSign),
    (wire::KeyUsage::EncipherOnly, KeyUsage::EncipherOnly),
    (wire::KeyUsage::DecipherOnly, KeyUsage::DecipherOnly),
];

const fn heard_usage(usage: wire::KeyUsage) -> KeyUsage {
    match usage {
        wire::KeyUsage::DigitalSignature => KeyUsage::DigitalSignature,
        wire::KeyUsage::NonRepudiation => KeyUsage::NonRepudiation,
        wire::KeyUsage::KeyEncipherment => KeyUsage::KeyEncipherment,
        wire::KeyUsage::DataEncipherment => KeyUsage::DataEncipherment,
        wire::KeyUsage::KeyAgreement => KeyUsage::KeyAgreement,
        wire::KeyUsage::KeyCertSign => KeyUsage::KeyCertSign,
        wire::KeyUsage::CrlSign => KeyUsage::CrlSign,
        wire::KeyUsage::EncipherOnly => KeyUsage::EncipherOnly,
        wire::KeyUsage::DecipherOnly => KeyUsage::DecipherOnly,
    }
}

pub(super) fn said(asked: &Asked, name: &ObjectName, policy: &CertificatePolicy) -> wire::CertificatePolicy {
    let kept = |place: &str| -> Rest {
        let of_place = policy.other.iter().filter_map(|(name, text)| {
            Some((name.strip_prefix(place)?.to_owned(), serde_json::from_str(text).ok()?))
        });
        of_place.collect()
    };
    let key = &policy.key;
    let key = wire::KeyProperties {
        exportable: Some(key.exportable),
        kty: Some(keys::kind(key.spec, key.in_token)),
        key_size: u32::try_from(key.spec.bits()).ok(),
        reuse_key: Some(key.reuse_key),
        crv: keys::curve(key.spec),
        rest: kept(KEY),
    };
    let sans = said_names(&policy.x509.sans, kept(SANS));
    let usages = USAGES.iter().filter(|(_, usage)| policy.x509.key_usage.contains(usage));
    let x509 = wire::X509Properties {
        subject: Some(policy.x509.subject.clone()),
        sans,
        ekus: Some(policy.x509.ekus.clone()),
        key_usage: Some(usages.map(|(said, _)| *said).collect()),
        validity_months: Some(policy.x509.validity_months),
        basic_constraints: Some(wire::BasicConstraints { ca: Some(false), path_len_constraint: None }),
        rest: kept(X509),
    };
    wire::CertificatePolicy {
        id: Some(format!("{}/policy", asked.identifier(CERTIFICATES, name, None))),
        key_props: Some(key),
        secret_props: Some(wire::SecretProperties {
            content_type: Some(policy.content_type.as_str().to_owned()),
        }),
        x509_props: Some(x509),
        lifetime_actions: Some(policy.lifetime_actions.iter().map(said_action).collect()),
        issuer: Some(wire::IssuerParameters { rest: kept(ISSUER), ..said_issuer(policy) }),
        attributes: Some(wire::PolicyAttributes {
            enabled: Some(!policy.disabled),
            created: Some(seconds(policy.created)),
            updated: Some(seconds(policy.updated)),
        }),
        rest: kept(TOP),
    }
}

/// Who signs, as policies and operations say it.
pub(super) fn said_issuer(policy: &CertificatePolicy) -> wire::IssuerParameters {
    wire::IssuerParameters {
        name: Some(policy.issuer.name.as_str().to_owned()),
        cty: policy.issuer.certificate_type.clone(),
        cert_transparency: policy.issuer.transparency,
        rest: Rest::new(),
    }
}

fn said_names(names: &AlternativeNames, rest: Rest) -> Option<wire::SubjectAlternativeNames> {
    let some = |names: &[String]| (!names.is_empty()).then(|| names.to_vec());
    let addresses: Vec<String> = names.addresses.iter().map(ToString::to_string).collect();
    let said = wire::SubjectAlternativeNames {
        emails: some(&names.emails),
        dns_names: some(&names.dns),
        upns: some(&names.upns),
        uris: some(&names.uris),
        ip_addresses: some(&addresses),
        rest,
    };
    (said != wire::SubjectAlternativeNames::default()).then_some(said)
}

fn said_action(action: &LifetimeAction) -> wire::LifetimeAction {
    let (lifetime_percentage, days_before_expiry) = match action.trigger {
        Trigger::LifetimePercentage(percentage) => (Some(percentage), None),
        Trigger::DaysBeforeExpiry(days) => (None, Some(days)),
    };
    let action_type = match action.action {
        LifetimeActionType::AutoRenew => wire::ActionType::AutoRenew,
        LifetimeActionType::EmailContacts => wire::ActionType::EmailContacts,
    };
    wire::LifetimeAction {
        trigger: Some(wire::Trigger { lifetime_percentage, days_before_expiry }),
        action: Some(wire::Action { action_type }),
    }
}

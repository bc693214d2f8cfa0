//! Policies of certificates: from a file in Key Vault's own JSON, from words, or from both.

use anyhow::{Context as _, Result, bail};
use http::Method;
use serde_json::Value;
use vouchsafe_wire::keyvault::certificate::{
    CertificatePolicy, IssuerParameters, SubjectAlternativeNames, X509Properties,
};

use crate::cli::Format;
use crate::cli::certificate::{KeyType, Policy, PolicyFlags, SecretForm};
use crate::client::Client;
use crate::command::object::{VERSION, checked, date, read, rows};
use crate::output;

const POLICY_BYTES_MAX: u64 = 64 * 1024;

pub(super) async fn policy(client: &Client, format: Format, command: &Policy) -> Result<()> {
    let (Policy::Show { name, vault } | Policy::Set { name, vault, .. }) = command;
    let host = client.vault_host(&vault.vault).await?;
    let path = format!("/certificates/{}/policy?{VERSION}", checked(name)?);
    let policy: Value = match command {
        Policy::Show { .. } => client.json(Method::GET, &host, &path, None).await?,
        Policy::Set { policy, .. } => {
            let Some(policy) = of(policy)? else {
                bail!("nothing is to be changed; say what with --policy-file or the other options");
            };
            let body = serde_json::to_value(policy)?;
            client.json(Method::PATCH, &host, &path, Some(&body)).await?
        }
    };
    output::print(format, &policy, shown)
}

/// What was said, if anything was.
pub(super) fn of(flags: &PolicyFlags) -> Result<Option<CertificatePolicy>> {
    let mut policy = match &flags.policy_file {
        Some(file) => parse(&read(file, POLICY_BYTES_MAX)?)?,
        None => CertificatePolicy::default(),
    };
    let text = |text: &Option<String>| text.clone().map(Value::String);
    // As members of JSON: only a curve can be one that nobody knows.
    let mut policy_value = serde_json::to_value(&policy)?;
    let mut set = |object: &str, member: &str, value: Option<Value>| {
        if let Some(value) = value {
            policy_value[object][member] = value;
        }
    };
    let kty = flags.key_type.map(|kind| match kind {
        KeyType::Rsa => "RSA",
        KeyType::Ec => "EC",
    });
    set("key_props", "kty", kty.map(Value::from));
    set("key_props", "key_size", flags.size.map(Value::from));
    set("key_props", "crv", text(&flags.curve));
    set("key_props", "exportable", flags.not_exportable.then_some(Value::Bool(false)));
    let form = flags.secret_form.map(|form| match form {
        SecretForm::Pkcs12 => "application/x-pkcs12",
        SecretForm::Pem => "application/x-pem-file",
    });
    set("secret_props", "contentType", form.map(Value::from));
    set("x509_props", "subject", text(&flags.subject));
    set("x509_props", "validity_months", flags.months.map(Value::from));
    set("issuer", "name", text(&flags.issuer));
    let Ok(read) = serde_json::from_value(policy_value) else {
        bail!(
            "`{}` is no curve; it must be P-256, P-384 or P-521",
            flags.curve.as_deref().unwrap_or_default()
        );
    };
    policy = read;
    if !flags.dns.is_empty() || !flags.ip.is_empty() {
        let x509 = policy.x509_props.get_or_insert_default();
        let names = x509.sans.get_or_insert_default();
        if !flags.dns.is_empty() {
            names.dns_names = Some(flags.dns.clone());
        }
        if !flags.ip.is_empty() {
            names.ip_addresses = Some(flags.ip.iter().map(ToString::to_string).collect());
        }
    }
    Ok(Some(policy).filter(|policy| *policy != CertificatePolicy::default()))
}

/// The policy of a new certificate: signed by itself unless somebody else is named, and named after its first host.
pub(super) fn completed(mut policy: CertificatePolicy) -> CertificatePolicy {
    let issuer = policy.issuer.get_or_insert_with(IssuerParameters::default);
    issuer.name.get_or_insert_with(|| "Self".to_owned());
    if let Some(x509) = &mut policy.x509_props
        && x509.subject.is_none()
        && let Some(name) = first_name(x509)
    {
        x509.subject = Some(format!("CN={name}"));
    }
    policy
}

fn first_name(x509: &X509Properties) -> Option<String> {
    let SubjectAlternativeNames { dns_names, .. } = x509.sans.as_ref()?;
    dns_names.as_ref()?.first().cloned()
}

/// What `az keyvault certificate get-default-policy` prints, and what `az` also reads.
const SPELLED_BY_AZ: [&str; 9] = [
    "issuerParameters",
    "issuer_parameters",
    "keyProperties",
    "key_properties",
    "lifetimeActions",
    "secretProperties",
    "secret_properties",
    "x509CertificateProperties",
    "x509_certificate_properties",
];

/// A policy in Key Vault's own spelling.
///
/// Members that the server does not know it keeps without acting on them. In `az`'s spelling nothing would be known.
fn parse(file: &[u8]) -> Result<CertificatePolicy> {
    let policy: CertificatePolicy = serde_json::from_slice(file).context("the file is no policy in JSON")?;
    if let Some(member) = policy.rest.keys().find(|member| SPELLED_BY_AZ.contains(&member.as_str())) {
        bail!(
            "`{member}` is how `az` spells policies; `vouchsafe -o json certificate policy show` prints one as it is \
             written here"
        );
    }
    Ok(policy)
}

fn shown(policy: &Value) -> String {
    let list = |pointer| {
        let items = policy.pointer(pointer).and_then(Value::as_array).into_iter().flatten();
        items.filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
    };
    let action = |action: &Value| {
        let days = output::text(action, "/trigger/days_before_expiry");
        let share = output::text(action, "/trigger/lifetime_percentage");
        let when = if days.is_empty() {
            format!("after {share} % of its life")
        } else {
            format!("{days} days before its end")
        };
        format!("{} {when}", output::text(action, "/action/action_type"))
    };
    let actions = policy["lifetime_actions"].as_array().into_iter().flatten();
    let key =
        ["/key_props/kty", "/key_props/crv", "/key_props/key_size"].map(|part| output::text(policy, part));
    rows([
        ("issuer", output::text(policy, "/issuer/name")),
        ("subject", output::text(policy, "/x509_props/subject")),
        ("host names", list("/x509_props/sans/dns_names")),
        ("addresses", list("/x509_props/sans/ipAddresses")),
        ("months", output::text(policy, "/x509_props/validity_months")),
        ("key", key.iter().filter(|part| !part.is_empty()).cloned().collect::<Vec<_>>().join(" ")),
        ("key usage", list("/x509_props/key_usage")),
        ("exportable", output::text(policy, "/key_props/exportable")),
        ("same key when renewed", output::text(policy, "/key_props/reuse_key")),
        ("secret", output::text(policy, "/secret_props/contentType")),
        ("then", actions.map(action).collect::<Vec<_>>().join(", ")),
        ("updated", date(policy, "/attributes/updated")),
    ])
}

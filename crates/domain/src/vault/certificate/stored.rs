//! How the nouns of certificates are written and read back (`record/certificate.rs`).

use std::collections::BTreeMap;

use vouchsafe_crypto::keys::KeySpec;
use vouchsafe_crypto::pki::{AlternativeNames, KeyUsage};

use super::lifetime::{LifetimeAction, LifetimeActionType, Trigger};
use super::pending::{Failure, PendingCertificate, PendingStatus};
use super::policy::{
    CertificatePolicy, ContentType, IssuerChoice, IssuerParameters, KeyProperties, X509Properties,
};
use super::{AuthorityId, CertificateAttributes, CertificateVersion};
use crate::ids::ObjectVersion;
use crate::record::certificate as stored;
use crate::record::{self, Decode, Encode, Tag, Undecodable, tags_from, tags_into};
use crate::time::Timestamp;

fn unknown(what: &str) -> Undecodable {
    Undecodable(format!("{what} is not one that is known"))
}

impl ContentType {
    const fn code(self) -> u32 {
        match self {
            Self::Pkcs12 => 1,
            Self::Pem => 2,
        }
    }

    fn from_code(code: u32) -> Result<Self, Undecodable> {
        [Self::Pkcs12, Self::Pem]
            .into_iter()
            .find(|known| known.code() == code)
            .ok_or_else(|| unknown("a content type"))
    }
}

fn policy_into(policy: &CertificatePolicy) -> stored::CertificatePolicy {
    let (x509, names) = (&policy.x509, &policy.x509.sans);
    let action = |action: &LifetimeAction| {
        let (percentage, days_before_expiry) = match action.trigger {
            Trigger::LifetimePercentage(percentage) => (Some(percentage), None),
            Trigger::DaysBeforeExpiry(days) => (None, Some(days)),
        };
        stored::LifetimeAction { action: action.action.code(), percentage, days_before_expiry }
    };
    stored::CertificatePolicy {
        spec: policy.key.spec.code(),
        in_token: policy.key.in_token,
        exportable: policy.key.exportable,
        reuse_key: policy.key.reuse_key,
        content_type: policy.content_type.code(),
        subject: x509.subject.clone(),
        dns_names: names.dns.clone(),
        emails: names.emails.clone(),
        upns: names.upns.clone(),
        uris: names.uris.clone(),
        ip_addresses: names.addresses.iter().map(ToString::to_string).collect(),
        ekus: x509.ekus.clone(),
        key_usage: x509.key_usage.iter().map(|usage| usage.as_str().to_owned()).collect(),
        validity_months: x509.validity_months,
        lifetime_actions: policy.lifetime_actions.iter().map(action).collect(),
        issuer: policy.issuer.name.as_str().to_owned(),
        certificate_type: policy.issuer.certificate_type.clone(),
        transparency: policy.issuer.transparency,
        disabled: policy.disabled,
        created: policy.created.millis(),
        updated: policy.updated.millis(),
        other: policy
            .other
            .iter()
            .map(|(name, value)| Tag { name: name.clone(), value: value.clone() })
            .collect(),
    }
}

fn action_from(stored: &stored::LifetimeAction) -> Result<LifetimeAction, Undecodable> {
    let trigger = match (stored.percentage, stored.days_before_expiry) {
        (Some(percentage), None) => Trigger::LifetimePercentage(percentage),
        (None, Some(days)) => Trigger::DaysBeforeExpiry(days),
        _ => return Err(unknown("a trigger")),
    };
    let action = LifetimeActionType::from_code(stored.action).ok_or_else(|| unknown("a lifetime action"))?;
    Ok(LifetimeAction { trigger, action })
}

fn policy_from(stored: stored::CertificatePolicy) -> Result<CertificatePolicy, Undecodable> {
    let usage = |text: &String| KeyUsage::parse(text).ok_or_else(|| unknown("a key usage"));
    let address = |text: &String| text.parse().map_err(|_| unknown("an IP address"));
    Ok(CertificatePolicy {
        key: KeyProperties {
            spec: KeySpec::from_code(stored.spec).ok_or_else(|| unknown("a kind of key"))?,
            in_token: stored.in_token,
            exportable: stored.exportable,
            reuse_key: stored.reuse_key,
        },
        content_type: ContentType::from_code(stored.content_type)?,
        x509: X509Properties {
            subject: stored.subject,
            sans: AlternativeNames {
                dns: stored.dns_names,
                emails: stored.emails,
                upns: stored.upns,
                uris: stored.uris,
                addresses: stored.ip_addresses.iter().map(address).collect::<Result<_, _>>()?,
                others: 0,
            },
            ekus: stored.ekus,
            key_usage: stored.key_usage.iter().map(usage).collect::<Result<_, _>>()?,
            validity_months: stored.validity_months,
        },
        lifetime_actions: stored.lifetime_actions.iter().map(action_from).collect::<Result<_, _>>()?,
        issuer: IssuerParameters {
            name: IssuerChoice::parse(&stored.issuer)?,
            certificate_type: stored.certificate_type,
            transparency: stored.transparency,
        },
        disabled: stored.disabled,
        created: Timestamp::from_millis(stored.created),
        updated: Timestamp::from_millis(stored.updated),
        other: stored.other.into_iter().map(|tag| (tag.name, tag.value)).collect::<BTreeMap<_, _>>(),
    })
}

impl Encode for CertificatePolicy {
    fn encode(&self) -> Vec<u8> {
        record::encode(&policy_into(self))
    }
}

impl Decode for CertificatePolicy {
    fn decode(bytes: &[u8]) -> Result<Self, Undecodable> {
        policy_from(record::decode(bytes)?)
    }
}

impl Encode for CertificateVersion {
    fn encode(&self) -> Vec<u8> {
        record::encode(&stored::CertificateVersion {
            version: self.version.0.as_bytes().to_vec(),
            disabled: self.attributes.disabled,
            not_before: self.not_before.map(Timestamp::millis),
            expires: self.expires.map(Timestamp::millis),
            created: self.created.millis(),
            updated: self.updated.millis(),
            tags: tags_into(&self.attributes.tags),
            chain: self.chain.clone(),
            leaf_at: u32::try_from(self.leaf_at).unwrap_or(0),
            content_type: self.content_type.code(),
            exportable: self.exportable,
            preserve_order: self.preserve_order,
            previous: self.previous.map(|version| version.0.as_bytes().to_vec()),
            notified: self.notified,
            authority: self.authority.map(|id| id.0.as_bytes().to_vec()),
            revoked: self.revoked.map(Timestamp::millis),
        })
    }
}

impl Decode for CertificateVersion {
    fn decode(bytes: &[u8]) -> Result<Self, Undecodable> {
        let stored: stored::CertificateVersion = record::decode(bytes)?;
        let id = |bytes: Vec<u8>| record::uuid(&bytes);
        Ok(Self {
            version: ObjectVersion(record::uuid(&stored.version)?),
            attributes: CertificateAttributes { disabled: stored.disabled, tags: tags_from(stored.tags) },
            not_before: stored.not_before.map(Timestamp::from_millis),
            expires: stored.expires.map(Timestamp::from_millis),
            created: Timestamp::from_millis(stored.created),
            updated: Timestamp::from_millis(stored.updated),
            chain: stored.chain,
            leaf_at: stored.leaf_at as usize,
            content_type: ContentType::from_code(stored.content_type)?,
            exportable: stored.exportable,
            preserve_order: stored.preserve_order,
            previous: stored.previous.map(id).transpose()?.map(ObjectVersion),
            notified: stored.notified,
            authority: stored.authority.map(id).transpose()?.map(AuthorityId),
            revoked: stored.revoked.map(Timestamp::from_millis),
        })
    }
}

impl Encode for PendingCertificate {
    fn encode(&self) -> Vec<u8> {
        let (status, failure) = match &self.status {
            PendingStatus::InProgress => (1, None),
            PendingStatus::Completed => (2, None),
            PendingStatus::Cancelled => (3, None),
            PendingStatus::Failed(failure) => (4, Some(failure)),
        };
        record::encode(&stored::PendingCertificate {
            request: self.request.as_bytes().to_vec(),
            version: self.version.0.as_bytes().to_vec(),
            status,
            cancellation_requested: self.cancellation_requested,
            policy: Some(policy_into(&self.policy)),
            csr: self.csr.clone(),
            disabled: self.attributes.disabled,
            tags: tags_into(&self.attributes.tags),
            preserve_order: self.preserve_order,
            created: self.created.millis(),
            updated: self.updated.millis(),
            order: self.order.clone(),
            next_poll: self.next_poll.map(Timestamp::millis),
            error_code: failure.map(|failure| failure.code.clone()),
            error_message: failure.map(|failure| failure.message.clone()),
            renewal: self.renewal,
        })
    }
}

impl Decode for PendingCertificate {
    fn decode(bytes: &[u8]) -> Result<Self, Undecodable> {
        let stored: stored::PendingCertificate = record::decode(bytes)?;
        let status = match (stored.status, stored.error_code, stored.error_message) {
            (1, None, None) => PendingStatus::InProgress,
            (2, None, None) => PendingStatus::Completed,
            (3, None, None) => PendingStatus::Cancelled,
            (4, Some(code), Some(message)) => PendingStatus::Failed(Failure { code, message }),
            _ => return Err(unknown("the state of a pending certificate")),
        };
        let policy =
            stored.policy.ok_or_else(|| Undecodable("a pending certificate has no policy".to_owned()))?;
        Ok(Self {
            request: record::uuid(&stored.request)?,
            version: ObjectVersion(record::uuid(&stored.version)?),
            status,
            cancellation_requested: stored.cancellation_requested,
            policy: policy_from(policy)?,
            csr: stored.csr,
            attributes: CertificateAttributes { disabled: stored.disabled, tags: tags_from(stored.tags) },
            preserve_order: stored.preserve_order,
            created: Timestamp::from_millis(stored.created),
            updated: Timestamp::from_millis(stored.updated),
            order: stored.order,
            next_poll: stored.next_poll.map(Timestamp::from_millis),
            renewal: stored.renewal,
        })
    }
}

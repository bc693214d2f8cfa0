//! The stored forms of certificates: a golden sample of each, full and as sparse as it may be.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use data_encoding::HEXLOWER;
use prost::Message;
use uuid::Uuid;
use vouchsafe_crypto::keys::{KeyFamily, KeySpec};
use vouchsafe_crypto::pki::{AlternativeNames, KeyUsage};
use vouchsafe_domain::ids::ObjectVersion;
use vouchsafe_domain::record::certificate as stored;
use vouchsafe_domain::record::{Decode, Encode};
use vouchsafe_domain::time::Timestamp;
use vouchsafe_domain::vault::certificate::{
    AuthorityId, CertificateAttributes, CertificatePolicy, CertificateVersion, Contact, Contacts,
    ContentType, Failure, IssuerChoice, LifetimeAction, LifetimeActionType, PendingCertificate,
    PendingStatus, PolicyPatch, Trigger,
};
use vouchsafe_testkit::golden;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/certificate_records.txt");

fn id(number: u128) -> Uuid {
    Uuid::from_u128(0x0bad_cafe_0000_4000_8000_0000_0000_0000 + number)
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_seconds(1_800_000_000 + seconds)
}

fn tags() -> BTreeMap<String, String> {
    [("team".to_owned(), "payments".to_owned())].into()
}

fn policy() -> CertificatePolicy {
    let text = |text: &str| vec![text.to_owned()];
    PolicyPatch {
        key_type: Some((KeyFamily::Ec, true)),
        curve: Some(KeySpec::P521),
        reuse_key: Some(true),
        content_type: Some("application/x-pem-file".to_owned()),
        subject: Some("CN=a".to_owned()),
        sans: Some(AlternativeNames {
            dns: text("a.example"),
            emails: text("a@b.example"),
            upns: text("u@b.example"),
            uris: text("urn:a"),
            addresses: vec!["192.0.2.1".parse().expect("an address"), "2001:db8::1".parse().expect("one")],
            others: 0,
        }),
        ekus: Some(text("1.3.6.1.5.5.7.3.1")),
        key_usage: Some([KeyUsage::DigitalSignature, KeyUsage::DecipherOnly].into()),
        validity_months: Some(7),
        lifetime_actions: Some(vec![
            LifetimeAction { trigger: Trigger::DaysBeforeExpiry(9), action: LifetimeActionType::AutoRenew },
            LifetimeAction {
                trigger: Trigger::LifetimePercentage(50),
                action: LifetimeActionType::EmailContacts,
            },
        ]),
        issuer: Some(IssuerChoice::parse("Ours").expect("a name")),
        certificate_type: Some("DV".to_owned()),
        transparency: Some(true),
        disabled: Some(true),
        other: [("platformManaged".to_owned(), "{}".to_owned())].into(),
        ..PolicyPatch::default()
    }
    .complete(at(1))
    .expect("a policy")
}

fn version(full: bool) -> CertificateVersion {
    CertificateVersion {
        version: ObjectVersion(id(1)),
        attributes: CertificateAttributes {
            disabled: full,
            tags: if full { tags() } else { BTreeMap::new() },
        },
        not_before: full.then(|| at(2)),
        expires: full.then(|| at(3)),
        created: at(4),
        updated: at(5),
        chain: if full { vec![vec![1, 2], vec![3]] } else { vec![] },
        leaf_at: usize::from(full),
        content_type: if full { ContentType::Pem } else { ContentType::Pkcs12 },
        exportable: full,
        preserve_order: full,
        previous: full.then(|| ObjectVersion(id(2))),
        notified: full,
        authority: full.then(|| AuthorityId(id(3))),
        revoked: full.then(|| at(6)),
    }
}

fn pending(full: bool, status: PendingStatus) -> PendingCertificate {
    PendingCertificate {
        request: id(4),
        version: ObjectVersion(id(5)),
        status,
        cancellation_requested: full,
        policy: policy(),
        csr: vec![9],
        attributes: CertificateAttributes { disabled: full, tags: tags() },
        preserve_order: full,
        created: at(7),
        updated: at(8),
        order: full.then(|| "order".to_owned()),
        next_poll: full.then(|| at(9)),
        renewal: full,
    }
}

#[test]
fn every_record_of_certificates_is_written_as_its_golden_sample_and_read_as_what_it_was() {
    let mut lines = String::new();
    let mut sample = |kind: &str, bytes: &[u8], again: Vec<u8>| {
        assert_eq!(bytes, again, "{kind} is read as something else");
        writeln!(lines, "{kind} {}", HEXLOWER.encode(bytes)).expect("text");
    };
    macro_rules! nouns {
        ($($kind:literal: $type:ty = $noun:expr;)*) => {$(
            let noun: $type = $noun;
            let bytes = noun.encode();
            let read = <$type>::decode(&bytes).expect("a record");
            assert_eq!(read, noun, $kind);
            sample($kind, &bytes, read.encode());
        )*};
    }
    let failed = PendingStatus::Failed(Failure { code: "Code".to_owned(), message: "why".to_owned() });
    nouns! {
        "policy": CertificatePolicy = policy();
        "version": CertificateVersion = version(true);
        "version-sparse": CertificateVersion = version(false);
        "pending": PendingCertificate = pending(true, PendingStatus::InProgress);
        "pending-completed": PendingCertificate = pending(false, PendingStatus::Completed);
        "pending-cancelled": PendingCertificate = pending(false, PendingStatus::Cancelled);
        "pending-failed": PendingCertificate = pending(false, failed);
        "contacts": Contacts = Contacts(vec![Contact {
            email: "a@b.example".to_owned(),
            name: Some("A".to_owned()),
            phone: Some("1".to_owned()),
        }]);
    }
    let issuer = stored::CertificateIssuer {
        name: "Ours".to_owned(),
        provider: 1,
        account: Some("a.example".to_owned()),
        password: Some("secret".to_owned()),
        has_organization: true,
        organization: Some("1".to_owned()),
        administrators: vec![stored::Administrator {
            first_name: Some("A".to_owned()),
            last_name: Some("B".to_owned()),
            email: Some("a@b.example".to_owned()),
            phone: Some("1".to_owned()),
        }],
        disabled: true,
        created: 1,
        updated: 2,
        authority: Some(vec![1; 16]),
        registration: None,
    };
    let registered = stored::CertificateIssuer { registration: Some(vec![7; 3]), ..issuer.clone() };
    let authority = stored::CertificateAuthority {
        id: vec![1; 16],
        issuer: "Ours".to_owned(),
        spec: 12,
        in_token: true,
        certificate: vec![2],
        created: 3,
        list_number: 4,
        list: vec![5],
        list_next_update: 6,
        list_stale: true,
    };
    let issued = stored::IssuedCertificate {
        serial: vec![1],
        object: "web".to_owned(),
        version: vec![2; 16],
        not_before: 3,
        expires: 4,
        revoked: Some(5),
        reason: 1,
    };
    sample("issuer", &issuer.encode_to_vec(), issuer.encode_to_vec());
    sample("issuer-registered", &registered.encode_to_vec(), registered.encode_to_vec());
    sample("authority", &authority.encode_to_vec(), authority.encode_to_vec());
    sample("issued", &issued.encode_to_vec(), issued.encode_to_vec());
    golden::check(GOLDEN, &lines);
}

#[test]
fn what_is_not_a_record_of_its_kind_is_refused() {
    let whole = version(true).encode();
    assert!(CertificateVersion::decode(&whole[..whole.len() - 1]).is_err());
    for bytes in [vec![], vec![0xff], policy().encode()] {
        assert!(CertificateVersion::decode(&bytes).is_err());
        assert!(PendingCertificate::decode(&bytes).is_err());
    }
    let strange = stored::CertificatePolicy { spec: 99, ..stored::CertificatePolicy::default() };
    assert!(CertificatePolicy::decode(&strange.encode_to_vec()).is_err());
}

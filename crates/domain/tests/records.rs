//! Stored records stay readable: a golden sample of each format, full and as sparse as it may be, is what the code
//! writes today, and what was written then is what the code reads today. A line of `golden/records.txt` that changes
//! is a deployment that cannot be opened any more; new fields get new lines.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use prost::Message;
use uuid::Uuid;
use vouchsafe_crypto::SecretBytes;
use vouchsafe_crypto::jose::{Algorithm, JwkSet, KeyKind, SigningKey};
use vouchsafe_crypto::keys::{KeySpec, PublicKey};
use vouchsafe_crypto::x509::Certificate;
use vouchsafe_domain::access::assignment::{PrincipalType, RoleAssignment};
use vouchsafe_domain::access::built_in;
use vouchsafe_domain::access::pattern::ActionPattern;
use vouchsafe_domain::access::role::{Permission, RoleDefinition};
use vouchsafe_domain::directory::{
    Application, AttestationIssuer, CertificateCredential, Group, SecretCredential, ServicePrincipal, Tenant,
    TenantDomain,
};
use vouchsafe_domain::identity::{Binding, ManagedIdentity};
use vouchsafe_domain::ids::{
    ApplicationId, ClientId, CredentialId, IdentityName, ObjectName, ObjectVersion, PrincipalId,
    ResourceGroupName, RoleAssignmentId, RoleDefinitionId, SubscriptionId, TenantId, VaultId, VaultName,
};
use vouchsafe_domain::listener::ListenerAuthority;
use vouchsafe_domain::record::{self, Decode, Encode, Undecodable};
use vouchsafe_domain::resource::scope::Scope;
use vouchsafe_domain::resource::{ResourceGroup, Sku, Subscription, Vault};
use vouchsafe_domain::time::Timestamp;
use vouchsafe_domain::timekeeping::ClockMark;
use vouchsafe_domain::token::{KeyState, TenantKey};
use vouchsafe_domain::vault::{
    Attributes, DeletedKey, DeletedSecret, KeyAttributes, KeyHead, KeyOperation, KeyVersion, LifetimeAction,
    LifetimeTrigger, ReleasePolicy, RotationAction, RotationPolicy, SecretHead, SecretVersion, Span,
};
use vouchsafe_testkit::golden;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/records.txt");
const CERTIFICATE: &str = include_str!("golden/certificate.pem");

type Recode = fn(&[u8]) -> Result<Vec<u8>, Undecodable>;

/// A record as it is written, and how it is read and written again.
struct Sample {
    kind: &'static str,
    bytes: Vec<u8>,
    recode: Recode,
}

fn noun<T: Decode + Encode>(kind: &'static str, noun: &T) -> Sample {
    Sample { kind, bytes: noun.encode(), recode: |bytes| T::decode(bytes).map(|noun| noun.encode()) }
}

/// A record that no noun stands for outside its room.
fn message<T: Default + Message>(kind: &'static str, message: &T) -> Sample {
    let recode: Recode = |bytes| Ok(T::decode(bytes)?.encode_to_vec());
    Sample { kind, bytes: message.encode_to_vec(), recode }
}

fn id(number: u128) -> Uuid {
    Uuid::from_u128(0x0bad_cafe_0000_4000_8000_0000_0000_0000 + number)
}

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(1_800_000_000_000 + millis)
}

fn tags() -> BTreeMap<String, String> {
    [("environment", "prod"), ("owner", "Ünï")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

/// The key pair of RFC 7515, Appendix A.3, as PKCS #8.
fn published_key() -> SecretBytes {
    let [d, x, y] = [
        "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI",
        "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    ]
    .map(|text| BASE64URL_NOPAD.decode(text.as_bytes()).expect("base64url"));
    let before = "308187020100301306072a8648ce3d020106082a8648ce3d030107046d306b0201010420";
    let before = HEXLOWER.decode(before.as_bytes()).expect("hex");
    let between = HEXLOWER.decode(b"a14403420004").expect("hex");
    SecretBytes::new([before, d, between, x, y].concat())
}

fn attributes() -> Attributes {
    Attributes {
        disabled: true,
        not_before: Some(at(1)),
        expires: Some(at(2)),
        content_type: Some("text/plain".to_owned()),
        tags: tags(),
    }
}

fn version(number: u128, attributes: Attributes) -> SecretVersion {
    SecretVersion {
        version: ObjectVersion(id(number)),
        attributes,
        managed: false,
        created: at(3),
        updated: at(4),
    }
}

fn permission(actions: &[&str], data_actions: &[&str]) -> Permission {
    let patterns =
        |texts: &[&str]| texts.iter().map(|text| ActionPattern::parse(text).expect("a pattern")).collect();
    Permission {
        actions: patterns(actions),
        not_actions: patterns(&["*/delete"]),
        data_actions: patterns(data_actions),
        not_data_actions: patterns(&["*/purge/action"]),
        condition: None,
    }
}

/// The key pair of RFC 7515, Appendix A.3, as that of a service.
fn attestation_issuer() -> AttestationIssuer {
    let keys = br#"{"keys":[{"kid":"one","use":"sig","alg":"ES256","crv":"P-256","kty":"EC",
        "x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#;
    let keys = JwkSet::parse(keys).expect("a key set");
    AttestationIssuer::new("https://attest.example", keys).expect("an issuer")
}

fn control_plane() -> Vec<Sample> {
    let subscription = SubscriptionId(id(2));
    let group = ResourceGroupName::parse("Group_1").expect("a name");
    let certificate = Certificate::from_pem(CERTIFICATE).expect("a certificate");
    let vault = Vault {
        id: VaultId(id(3)),
        name: VaultName::parse("App-Vault").expect("a name"),
        subscription,
        group: group.clone(),
        location: "local".to_owned(),
        retention_days: 90,
        purge_protection: true,
        sku: Sku::Standard,
        tags: tags(),
        created: at(0),
        deleted: None,
    };
    let binding = Binding {
        uid: Some(1_000),
        gid: Some(0),
        path: Some("/usr/bin/app".to_owned()),
        sha256: Some([7; 32]),
        unit: Some("app.service".to_owned()),
    };
    let identity = ManagedIdentity {
        principal: PrincipalId(id(4)),
        client: ClientId(id(5)),
        subscription,
        group: group.clone(),
        name: IdentityName::parse("worker_1").expect("a name"),
        location: "local".to_owned(),
        tags: tags(),
        bindings: vec![binding, Binding { uid: Some(0), ..Binding::default() }],
    };
    let application = Application {
        id: ApplicationId(id(6)),
        client: ClientId(id(7)),
        display_name: "Billing".to_owned(),
        identifier_uris: vec!["api://billing".to_owned()],
        certificates: vec![CertificateCredential::new(CredentialId(id(8)), certificate)],
        secrets: vec![SecretCredential {
            id: CredentialId(id(9)),
            sha256: [9; 32],
            hint: "abc".to_owned(),
            created: at(0),
            expires: at(1),
        }],
    };
    let bare =
        Application { identifier_uris: vec![], certificates: vec![], secrets: vec![], ..application.clone() };
    let scope = Scope::vault(subscription, &group, &vault.name);
    let role = RoleDefinition::custom(
        RoleDefinitionId(id(10)),
        "Reader of names",
        "Reads names, never values.",
        vec![permission(&["*/read"], &["Microsoft.KeyVault/vaults/secrets/readMetadata/action"])],
        vec![Scope::of_subscription(subscription), Scope::of_group(subscription, &group)],
    );
    let assignment = RoleAssignment {
        id: RoleAssignmentId(id(11)),
        scope: scope.object("secrets", &ObjectName::parse("Db-Password").expect("a name")),
        role: built_in::KEY_VAULT_SECRETS_USER,
        principal: PrincipalId(id(4)),
        principal_type: PrincipalType::ServicePrincipal,
        created_on: at(0),
        created_by: Some(PrincipalId(id(12))),
    };
    let first = RoleAssignment { scope: Scope::root(), created_by: None, ..assignment.clone() };
    let key = |state| TenantKey {
        kid: "a-kid".to_owned(),
        algorithm: Algorithm::Es256,
        state,
        since: at(0),
        key: Arc::new(SigningKey::from_pkcs8(KeyKind::P256, &published_key()).expect("a key")),
    };
    let principal = ServicePrincipal {
        id: PrincipalId(id(13)),
        client: ClientId(id(7)),
        display_name: "Billing".to_owned(),
        disabled: false,
    };
    vec![
        noun(
            "Tenant",
            &Tenant {
                id: TenantId(id(1)),
                display_name: "Contoso".to_owned(),
                domain: TenantDomain::parse("contoso.example").expect("a domain"),
                local_administrator: PrincipalId(id(14)),
                created: at(0),
            },
        ),
        noun(
            "Subscription",
            &Subscription { id: subscription, tenant: TenantId(id(1)), display_name: "Main".to_owned() },
        ),
        noun(
            "ResourceGroup",
            &ResourceGroup { subscription, name: group, location: "local".to_owned(), tags: tags() },
        ),
        noun("Vault", &vault),
        noun("DeletedVault", &Vault { deleted: Some(at(5)), ..vault.clone() }),
        noun("Vault with keys in an HSM", &Vault { sku: Sku::Premium, ..vault }),
        noun("Identity", &identity),
        noun(
            "Identity without bindings",
            &ManagedIdentity { tags: BTreeMap::new(), bindings: vec![], ..identity },
        ),
        noun("Application", &application),
        noun("Application without credentials", &bare),
        noun("ServicePrincipal", &principal),
        noun("ServicePrincipal disabled", &ServicePrincipal { disabled: true, ..principal }),
        noun(
            "Group",
            &Group {
                id: PrincipalId(id(15)),
                display_name: "Operators".to_owned(),
                members: vec![PrincipalId(id(4)), PrincipalId(id(13))],
            },
        ),
        noun("AttestationIssuer", &attestation_issuer()),
        noun("RoleDefinition", &role.expect("a role")),
        noun("RoleAssignment", &assignment),
        noun("RoleAssignment of a new tenant", &first),
        noun("SigningKey next", &key(KeyState::Next)),
        noun("SigningKey current", &key(KeyState::Current)),
        noun("SigningKey retained", &key(KeyState::Retained)),
    ]
}

fn keys() -> Vec<Sample> {
    let attributes = KeyAttributes {
        disabled: true,
        not_before: Some(at(1)),
        expires: Some(at(2)),
        exportable: true,
        tags: tags(),
    };
    let bare = KeyVersion {
        version: ObjectVersion(id(30)),
        spec: KeySpec::Oct256,
        in_token: false,
        operations: vec![],
        public: None,
        attributes: KeyAttributes::default(),
        release_policy: None,
        managed: false,
        created: at(3),
        updated: at(4),
    };
    let release_policy = ReleasePolicy {
        content_type: Some("application/json".to_owned()),
        data: b"{}".to_vec(),
        immutable: true,
    };
    let full = KeyVersion {
        version: ObjectVersion(id(31)),
        spec: KeySpec::P256,
        in_token: true,
        operations: KeyOperation::ALL.to_vec(),
        public: Some(PublicKey::Ec { curve: KeySpec::P256, x: vec![1; 32], y: vec![2; 32] }),
        attributes,
        release_policy: Some(release_policy),
        managed: true,
        ..bare.clone()
    };
    let rsa = KeyVersion {
        spec: KeySpec::Rsa2048,
        operations: KeyOperation::usual(KeySpec::Rsa2048),
        public: Some(PublicKey::Rsa { n: vec![0xc5; 256], e: vec![1, 0, 1] }),
        ..bare.clone()
    };
    let head = KeyHead { name: ObjectName::parse("Signing-Key").expect("a name"), current: rsa.clone() };
    let deleted = |purging| DeletedKey { head: head.clone(), deleted: at(5), purge_due: at(6), purging };
    let span = |raw| Span::parse(raw).expect("a duration");
    let policy = RotationPolicy {
        actions: vec![
            LifetimeAction {
                trigger: LifetimeTrigger::AfterCreate(span("P18M")),
                action: RotationAction::Rotate,
            },
            LifetimeAction {
                trigger: LifetimeTrigger::BeforeExpiry(span("P30D")),
                action: RotationAction::Notify,
            },
        ],
        expiry: Some(span("P2Y")),
        created: at(7),
        updated: at(8),
        notified: Some(ObjectVersion(id(31))),
    };
    let no_policy = RotationPolicy { actions: vec![], expiry: None, notified: None, ..policy.clone() };
    let carried = |name: &str| record::ObjectBackup {
        name: name.to_owned(),
        current: id(31).as_bytes().to_vec(),
        versions: vec![record::BackupVersion {
            attributes: Some(Encode::encode(&full)),
            value: b"key".to_vec(),
        }],
        ..record::ObjectBackup::default()
    };
    let extra = record::BackupExtra { kind: 26, record: Encode::encode(&policy) };
    let backup = record::ObjectBackup {
        companions: vec![carried("Companion")],
        extras: vec![extra],
        ..carried("Signing-Key")
    };
    let managed = SecretVersion { managed: true, ..version(32, Attributes::default()) };
    vec![
        noun("Key", &head),
        noun("DeletedKey", &deleted(false)),
        noun("DeletedKey being purged", &deleted(true)),
        noun("KeyVersion", &full),
        noun("KeyVersion without attributes", &bare),
        noun("KeyVersion of RSA", &rsa),
        noun("KeyRotationPolicy", &policy),
        noun("KeyRotationPolicy without actions", &no_policy),
        message("KeyBackup", &backup),
        noun("SecretVersion of a certificate", &managed),
    ]
}

fn samples() -> Vec<Sample> {
    let head = SecretHead {
        name: ObjectName::parse("Db-Password").expect("a name"),
        current: version(20, attributes()),
    };
    let deleted = |purging| DeletedSecret { head: head.clone(), deleted: at(5), purge_due: at(6), purging };
    let key = published_key();
    let authority = ListenerAuthority { certificate: vec![0x30, 0], key };
    let stored = Encode::encode(&version(21, attributes()));
    let backup = record::ObjectBackup {
        name: "Db-Password".to_owned(),
        current: id(21).as_bytes().to_vec(),
        versions: vec![record::BackupVersion { attributes: Some(stored), value: b"value".to_vec() }],
        ..record::ObjectBackup::default()
    };
    let owner = record::VaultName { tenant: id(1).as_bytes().to_vec(), vault: id(3).as_bytes().to_vec() };
    let mut samples = control_plane();
    samples.extend([
        message("VaultName", &owner),
        noun("TlsAuthority", &authority),
        noun("ClockMark", &ClockMark { latest: at(0), doubted: false }),
        noun("ClockMark in doubt", &ClockMark { latest: at(0), doubted: true }),
        message("Epoch", &record::Epoch { changed: at(0).millis() }),
        noun("Secret", &head),
        noun("DeletedSecret", &deleted(false)),
        noun("DeletedSecret being purged", &deleted(true)),
        noun("SecretVersion", &version(20, attributes())),
        noun("SecretVersion without attributes", &version(22, Attributes::default())),
        message("SecretBackup", &backup),
    ]);
    samples.extend(keys());
    samples
}

#[test]
fn every_record_is_written_as_its_golden_sample() {
    let mut text =
        String::from("A sample of each stored record: what was written once must be read for ever.\n\n");
    for sample in samples() {
        writeln!(text, "{}: {}", sample.kind, HEXLOWER.encode(&sample.bytes)).expect("a string");
    }
    golden::check(GOLDEN, &text);
}

#[test]
fn every_golden_sample_is_read_and_means_what_it_meant() {
    let file = std::fs::read_to_string(GOLDEN).expect("the golden file");
    let (mut read, samples) = (0, samples());
    for line in file.lines().skip(2) {
        let (kind, hex) = line.split_once(": ").expect("a kind and a record");
        let old = HEXLOWER.decode(hex.as_bytes()).expect("hex");
        let sample = samples.iter().find(|sample| sample.kind == kind);
        let sample = sample.unwrap_or_else(|| panic!("nothing reads `{kind}` any more"));
        // The noun has no other state than what it writes, so that writing it again shows that all was understood.
        assert_eq!((sample.recode)(&old).expect(kind), old, "{kind}");
        read += 1;
    }
    assert_eq!(read, samples.len());
}

#[test]
fn a_field_of_a_later_version_is_passed_over_and_an_incomplete_record_is_an_error() {
    for sample in samples() {
        // Field 15, two bytes: what a newer server may have written.
        let newer = [&sample.bytes[..], &[0x7a, 2, b'h', b'i']].concat();
        assert_eq!((sample.recode)(&newer).expect(sample.kind), sample.bytes, "{}", sample.kind);
        for length in 0..sample.bytes.len() {
            // Never a panic; and what is read from a part is never the whole.
            if let Ok(again) = (sample.recode)(&sample.bytes[..length]) {
                assert_ne!(again, sample.bytes, "{} cut to {length}", sample.kind);
            }
        }
        let without_ids = [
            "ClockMark",
            "ClockMark in doubt",
            "Epoch",
            "TlsAuthority",
            "VaultName",
            "SecretBackup",
            "KeyBackup",
        ];
        let is_plain = without_ids.contains(&sample.kind);
        assert_eq!((sample.recode)(&[]).is_err(), !is_plain, "{} of nothing", sample.kind);
    }
}

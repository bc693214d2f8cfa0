//! Operations: one at a time, ended once, cancelled, forgotten, completed by a merge.

use vouchsafe_crypto::keys::{KeySpec, PrivateKey, SignatureAlgorithm};
use vouchsafe_crypto::pki::{
    self, BasicConstraints, CertificateProfile, DistinguishedName, KeyUsage, ParsedCertificate, Serial,
    Validity, parse_csr,
};
use vouchsafe_domain::vault::Error;
use vouchsafe_domain::vault::certificate::{CertificateToMerge, PendingStatus, ReadCertificate};

use crate::support::{House, itself, object, unknown};

/// An authority somewhere else.
pub struct Elsewhere {
    key: PrivateKey,
    pub certificate: Vec<u8>,
}

impl Elsewhere {
    pub fn new() -> Self {
        let key = PrivateKey::generate(KeySpec::P256);
        let profile = profile("CN=Elsewhere", &key.public().expect("a pair").spki_der(), true);
        let unsigned = pki::self_signed(&profile, SignatureAlgorithm::Es256).expect("a profile");
        let certificate = signed(&key, &unsigned);
        Self { key, certificate }
    }

    /// What it makes of a request.
    pub fn issue(&self, csr: &[u8]) -> Vec<u8> {
        self.issue_for(parse_csr(csr).expect("a request").spki_der())
    }

    pub fn issue_for(&self, spki: &[u8]) -> Vec<u8> {
        let own = ParsedCertificate::from_der(&self.certificate).expect("X.509");
        let profile = profile("CN=issued elsewhere", spki, false);
        signed(&self.key, &pki::issue(&profile, &own, SignatureAlgorithm::Es256).expect("a profile"))
    }
}

pub fn profile(subject: &str, spki: &[u8], is_authority: bool) -> CertificateProfile {
    let usage = if is_authority { KeyUsage::KeyCertSign } else { KeyUsage::DigitalSignature };
    CertificateProfile {
        subject: DistinguishedName::parse(subject).expect("a name"),
        alternative_names: pki::AlternativeNames::default(),
        purposes: Vec::new(),
        key_usage: [usage].into(),
        validity: Validity { not_before: 1_799_000_000, not_after: 1_831_000_000 },
        basic_constraints: Some(BasicConstraints { is_authority, path_length: None }),
        serial: Serial::from_random([7; 16]),
        revocation_list_url: None,
        ocsp_url: None,
        issuer_url: None,
        public_key: spki.to_vec(),
    }
}

pub fn signed(key: &PrivateKey, unsigned: &pki::ToBeSigned) -> Vec<u8> {
    let signature = key.sign(unsigned.algorithm(), &unsigned.digest()).expect("a signature");
    unsigned.assemble(&signature).expect("a certificate")
}

async fn merge(house: &House, name: &str, chain: Vec<Vec<u8>>) -> Result<ReadCertificate, Error> {
    let wanted = CertificateToMerge { chain, ..CertificateToMerge::default() };
    let (context, name) = (house.opened.context(), object(name));
    house.platform().merge_certificate(&context, &house.caller, house.at(), &name, &wanted).await
}

async fn cancel(house: &House, name: &str, requested: bool) -> Result<bool, Error> {
    let (context, name) = (house.opened.context(), object(name));
    let done = house
        .platform()
        .update_pending_certificate(&context, &house.caller, house.at(), &name, requested)
        .await;
    done.map(|(_, pending, _)| pending.cancellation_requested)
}

async fn forget(house: &House, name: &str) -> Result<PendingStatus, Error> {
    let (context, name) = (house.opened.context(), object(name));
    let done = house.platform().delete_pending_certificate(&context, &house.caller, house.at(), &name).await;
    done.map(|(_, pending, _)| pending.status)
}

#[tokio::test]
async fn there_is_one_operation_at_a_time() {
    let house = House::new(20).await;
    house.begin("web", unknown()).await.expect("an operation");
    assert!(matches!(house.begin("web", itself()).await, Err(Error::OperationInProgress(_))));
    forget(&house, "web").await.expect("forgotten");
    assert!(!house.key_waits("web").await);
    house.begin("web", itself()).await.expect("an operation");
}

#[tokio::test]
async fn a_cancelled_operation_says_so_with_its_next_step_and_makes_nothing() {
    let house = House::new(21).await;
    house.begin("web", itself()).await.expect("an operation");
    assert!(cancel(&house, "web", true).await.expect("asked"));
    assert!(!cancel(&house, "web", false).await.expect("asked otherwise"));
    assert!(cancel(&house, "web", true).await.expect("asked"));
    assert_eq!(house.poll("web").await.expect("an operation").status, PendingStatus::Cancelled);
    assert!(!house.key_waits("web").await, "nobody waits for this key any more");
    assert!(!house.get("web").await.expect("a wish").version.is_issued());
    assert!(matches!(cancel(&house, "web", true).await, Err(Error::OperationEnded(_))));
    assert!(matches!(cancel(&house, "web", false).await, Err(Error::OperationEnded(_))));
    assert_eq!(forget(&house, "web").await.expect("forgotten"), PendingStatus::Cancelled);
    assert!(matches!(house.poll("web").await, Err(Error::PendingNotFound(_))));
    assert!(matches!(forget(&house, "web").await, Err(Error::PendingNotFound(_))));
    house.delete("web").await.expect("a certificate without a version can be deleted");
}

#[tokio::test]
async fn what_is_over_is_not_cancelled_and_can_be_forgotten() {
    let house = House::new(22).await;
    house.make("web", itself()).await;
    assert!(matches!(cancel(&house, "web", true).await, Err(Error::OperationEnded(_))));
    assert_eq!(forget(&house, "web").await.expect("forgotten"), PendingStatus::Completed);
    assert!(house.get("web").await.expect("a certificate").version.is_issued());
}

#[tokio::test]
async fn an_unknown_issuer_is_waited_for_until_somebody_merges() {
    let house = House::new(23).await;
    let begun = house.begin("web", unknown()).await.expect("an operation");
    house.jobs().await;
    assert_eq!(house.poll("web").await.expect("an operation").status, PendingStatus::InProgress);
    let authority = Elsewhere::new();
    let leaf = authority.issue(&begun.csr);
    let merged = merge(&house, "web", vec![authority.certificate.clone(), leaf.clone()]).await;
    let merged = merged.expect("merged").version;
    assert_eq!(merged.version, begun.version);
    assert_eq!(merged.chain, [leaf, authority.certificate.clone()], "the certificate comes first");
    assert_eq!(house.poll("web").await.expect("an operation").status, PendingStatus::Completed);
    assert!(house.has_key("web").await && house.secret("web", None).await.is_ok());
    assert!(!house.key_waits("web").await, "the key is stored once");
    let again = merge(&house, "web", merged.chain.clone()).await;
    assert!(matches!(again, Err(Error::BadParameter(_))));
}

#[tokio::test]
async fn a_merge_takes_the_certificate_for_the_pending_key_and_no_other() {
    let house = House::new(24).await;
    let begun = house.begin("web", unknown()).await.expect("an operation");
    let (authority, other) = (Elsewhere::new(), Elsewhere::new());
    let foreign = PrivateKey::generate(KeySpec::P256).public().expect("a pair").spki_der();
    let leaf = authority.issue(&begun.csr);
    let mut broken = leaf.clone();
    broken.truncate(leaf.len() - 1);
    for (what, chain) in [
        ("nothing", vec![]),
        ("a certificate for another key", vec![authority.issue_for(&foreign)]),
        ("an authority only", vec![authority.certificate.clone()]),
        ("an authority that did not sign", vec![leaf.clone(), other.certificate.clone()]),
        ("what is no certificate", vec![broken]),
        ("too many", vec![leaf.clone(); 11]),
    ] {
        let before = house.memory.image().await;
        let refused = merge(&house, "web", chain).await;
        assert!(matches!(refused, Err(Error::BadParameter(_))), "{what}: {refused:?}");
        assert_eq!(house.memory.image().await, before, "{what}");
    }
    cancel(&house, "web", true).await.expect("asked");
    assert!(matches!(merge(&house, "web", vec![leaf.clone()]).await, Err(Error::BadParameter(_))));
    cancel(&house, "web", false).await.expect("asked");
    merge(&house, "web", vec![leaf]).await.expect("merged");

    house.begin("own", itself()).await.expect("an operation");
    let own = merge(&house, "own", vec![authority.certificate.clone()]).await;
    assert!(matches!(own, Err(Error::BadParameter(_))), "what signs itself takes nothing");
    assert!(matches!(merge(&house, "none", vec![]).await, Err(Error::PendingNotFound(_))));
}

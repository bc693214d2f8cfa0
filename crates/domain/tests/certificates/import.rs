//! Taking over what was made elsewhere: both forms, the policy that is read from it, and what is refused (V16).

use data_encoding::BASE64;
use vouchsafe_crypto::keys::{KeySpec, PrivateKey, SignatureAlgorithm};
use vouchsafe_crypto::pki::{self, Bundle, write_pem, write_pfx};
use vouchsafe_crypto::{Reason, SecretBytes, SecretString};
use vouchsafe_domain::vault::Error;
use vouchsafe_domain::vault::certificate::{
    CertificateFile, CertificateToImport, ContentType, IssuerChoice, LifetimeActionType, PolicyPatch,
    ReadCertificate,
};

use crate::pending::{Elsewhere, profile, signed};
use crate::support::{House, itself, labelled, object, unknown};

pub fn bundle(spec: KeySpec) -> Bundle {
    let authority = Elsewhere::new();
    let key = PrivateKey::generate(spec);
    let leaf = authority.issue_for(&key.public().expect("a pair").spki_der());
    Bundle { key: key.to_pkcs8().expect("a pair"), chain: vec![leaf, authority.certificate] }
}

fn text(text: &str) -> SecretString {
    SecretString::new(text.to_owned())
}

fn pfx(bundle: &Bundle, password: &str) -> SecretString {
    let file = write_pfx(bundle, 0, &text(password)).expect("a file");
    text(&BASE64.encode(file.expose(Reason::Test)))
}

pub async fn import(
    house: &House,
    name: &str,
    value: &SecretString,
    password: Option<&str>,
    policy: Option<PolicyPatch>,
) -> Result<ReadCertificate, Error> {
    let file = CertificateFile::parse(value).map_err(Error::BadParameter)?;
    let wanted = CertificateToImport {
        file,
        password: password.map(text),
        policy,
        attributes: labelled("imported"),
        preserve_order: false,
    };
    let (context, name) = (house.opened.context(), object(name));
    house.platform().import_certificate(&context, &house.caller, house.at(), &name, &wanted).await
}

#[tokio::test]
async fn both_forms_are_taken_over_and_the_policy_is_what_the_certificate_says() {
    let house = House::new(80).await;
    let bundle = bundle(KeySpec::P256);
    let cases = [
        ("pfx", pfx(&bundle, "open sesame"), Some("open sesame"), ContentType::Pkcs12),
        ("pfx-without", pfx(&bundle, ""), None, ContentType::Pkcs12),
        ("pem", write_pem(&bundle), None, ContentType::Pem),
        (
            "pem64",
            text(&BASE64.encode(write_pem(&bundle).expose(Reason::Test).as_bytes())),
            None,
            ContentType::Pem,
        ),
    ];
    for (name, value, password, form) in cases {
        let read = import(&house, name, &value, password, None).await.expect("a certificate");
        assert_eq!(read.version.chain, bundle.chain, "{name}");
        assert_eq!(read.version.attributes, labelled("imported"));
        let policy = read.policy.expect("a policy");
        assert_eq!(policy.content_type, form);
        assert_eq!((policy.key.spec, policy.key.exportable), (KeySpec::P256, true));
        assert_eq!(policy.issuer.name, IssuerChoice::Unknown);
        assert_eq!(policy.x509.subject, "CN=issued elsewhere");
        assert_eq!(policy.lifetime_actions[0].action, LifetimeActionType::EmailContacts);
        assert!(house.secret(name, None).await.is_ok() && house.has_key(name).await);
    }
    let second = import(&house, "pem", &write_pem(&bundle), None, None).await.expect("a version");
    assert!(second.version.previous.is_some());
}

#[tokio::test]
async fn an_import_says_what_is_to_be_different_but_not_which_key_it_is() {
    let house = House::new(81).await;
    let bundle = bundle(KeySpec::P256);
    let policy = PolicyPatch { exportable: Some(false), ..PolicyPatch::default() };
    import(&house, "held", &write_pem(&bundle), None, Some(policy)).await.expect("a certificate");
    let secret = house.secret("held", None).await.expect("a secret");
    assert!(!String::from_utf8(secret).expect("text").contains("PRIVATE"));
    let policy = PolicyPatch { key_size: Some(4096), ..PolicyPatch::default() };
    let policy = PolicyPatch { key_type: Some((vouchsafe_crypto::keys::KeyFamily::Rsa, false)), ..policy };
    let refused = import(&house, "other", &write_pem(&bundle), None, Some(policy)).await;
    assert!(matches!(refused, Err(Error::BadParameter(_))), "{refused:?}");
}

#[tokio::test]
async fn what_is_broken_weak_or_does_not_belong_together_is_refused_and_leaves_nothing() {
    let house = House::new(82).await;
    let good = bundle(KeySpec::P256);
    let foreign = Bundle { key: bundle(KeySpec::P256).key, chain: good.chain.clone() };
    let pem = write_pem(&good).expose(Reason::Test).to_owned();
    let certificate_only =
        pem.split_once("-----BEGIN CERTIFICATE").map(|(_, rest)| rest).expect("two blocks");
    let zero = {
        let mut bytes = good.key.expose(Reason::Test).to_vec();
        let at = bytes.windows(5).position(|window| window == [2, 1, 1, 4, 32]).expect("a scalar") + 5;
        bytes[at..at + 32].fill(0);
        Bundle { key: SecretBytes::new(bytes), chain: good.chain.clone() }
    };
    let cases = [
        ("a wrong password", pfx(&good, "right"), Some("wrong")),
        ("no password", pfx(&good, "right"), None),
        ("the key of another certificate", write_pem(&foreign), None),
        ("a zero scalar", write_pem(&zero), None),
        ("no key", text(&format!("-----BEGIN CERTIFICATE{certificate_only}")), None),
        ("no certificate", text(pem.split_once("-----BEGIN CERT").expect("two").0), None),
        ("nothing", text(""), None),
        ("no base64", text("%%%"), None),
        ("no file", text("AAAA"), None),
        ("half a file", text(&BASE64.encode(&[0x30; 100])), None),
    ];
    let before = house.memory.image().await;
    for (what, value, password) in cases {
        let refused = import(&house, "web", &value, password, None).await;
        assert!(matches!(refused, Err(Error::BadParameter(_))), "{what}: {refused:?}");
        assert_eq!(house.memory.image().await, before, "{what}");
    }
    import(&house, "web", &write_pem(&good), None, None).await.expect("the twin that is accepted");
}

#[tokio::test]
async fn nothing_is_imported_while_an_operation_goes_on_and_what_ended_makes_way() {
    let house = House::new(83).await;
    let bundle = bundle(KeySpec::P256);
    house.begin("web", unknown()).await.expect("an operation");
    let busy = import(&house, "web", &write_pem(&bundle), None, None).await;
    assert!(matches!(busy, Err(Error::OperationInProgress(_))));
    house.make("made", itself()).await;
    import(&house, "made", &write_pem(&bundle), None, None).await.expect("a version");
    assert!(matches!(house.poll("made").await, Err(Error::PendingNotFound(_))));
}

#[tokio::test]
async fn an_imported_authority_signs_but_the_policy_of_its_successor_certifies_nobody() {
    let house = House::new(84).await;
    let key = PrivateKey::generate(KeySpec::P256);
    let profile = profile("CN=Imported", &key.public().expect("a pair").spki_der(), true);
    let certificate =
        signed(&key, &pki::self_signed(&profile, SignatureAlgorithm::Es256).expect("a profile"));
    let bundle = Bundle { key: key.to_pkcs8().expect("a pair"), chain: vec![certificate] };
    let read = import(&house, "ca", &write_pem(&bundle), None, None).await.expect("a certificate");
    assert!(read.policy.expect("a policy").x509.key_usage.is_empty());
}

#[tokio::test]
async fn an_import_does_not_name_an_issuer_that_is_not_there() {
    let house = House::new(85).await;
    let file = write_pem(&bundle(KeySpec::P256));
    let policy = || {
        let issuer = IssuerChoice::parse("ours").expect("an issuer");
        Some(PolicyPatch { issuer: Some(issuer), ..PolicyPatch::default() })
    };
    let refused = import(&house, "web", &file, None, policy()).await;
    assert!(matches!(refused, Err(Error::BadParameter(_))));
    house.set_authority("ours", "example.test").await.expect("an issuer");
    import(&house, "web", &file, None, policy()).await.expect("imported");
}

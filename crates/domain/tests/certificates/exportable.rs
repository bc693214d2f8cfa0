//! `exportable: false` means it: every use case that gives bytes out is tried, and the private key is in none of them.
//! The twin, an exportable certificate, gives its key out through its secret and through nothing else.

use data_encoding::BASE64;
use vouchsafe_crypto::keys::{KeySpec, PrivateKey, SignatureAlgorithm};
use vouchsafe_crypto::pki::{ChainOrder, read_pem, read_pfx};
use vouchsafe_crypto::{Reason, SecretBytes, SecretString};
use vouchsafe_domain::vault::Error;
use vouchsafe_domain::vault::certificate::{CertificateVersion, PolicyPatch};

use crate::support::{House, itself, object};

const PFX: &str = "application/x-pkcs12";
const PEM: &str = "application/x-pem-file";

fn policy(exportable: bool, form: &str) -> PolicyPatch {
    PolicyPatch {
        exportable: Some(exportable),
        content_type: Some(form.to_owned()),
        reuse_key: Some(true),
        ..itself()
    }
}

/// The secret scalar of a version's key.
async fn scalar(house: &House, name: &str, version: &CertificateVersion) -> Vec<u8> {
    let material = SecretBytes::new(house.material(name, version.version).await);
    let key = PrivateKey::from_material(KeySpec::P256, &material).expect("a key");
    let pkcs8 = key.to_pkcs8().expect("a pair");
    let pkcs8 = pkcs8.expose(Reason::Test);
    // ECPrivateKey (RFC 5915): OCTET STRING of 32 bytes after `INTEGER 1`.
    let at = pkcs8.windows(5).position(|window| window == [2, 1, 1, 4, 32]).expect("a scalar");
    pkcs8[at + 5..at + 37].to_vec()
}

fn holds(bytes: &[u8], wanted: &[u8]) -> bool {
    let found = |bytes: &[u8]| bytes.windows(wanted.len()).any(|window| window == wanted);
    // Text may carry it in base64: of each block, whatever decodes.
    let text = String::from_utf8_lossy(bytes);
    let lines: String = text.lines().filter(|line| !line.starts_with("-----")).collect();
    found(bytes) || BASE64.decode(lines.as_bytes()).is_ok_and(|decoded| found(&decoded)) || {
        text.split("-----").any(|part| {
            let part: String = part.chars().filter(|c| !c.is_whitespace()).collect();
            BASE64.decode(part.as_bytes()).is_ok_and(|decoded| found(&decoded))
        })
    }
}

/// Everything that leaves about a certificate, with the name of what gave it.
async fn everything_that_leaves(house: &House, name: &str) -> Vec<(String, Vec<u8>)> {
    let (context, object) = (house.opened.context(), object(name));
    let (platform, caller, at) = (house.platform(), &house.caller, house.at());
    let mut left = Vec::new();
    for form in [None, Some(PEM), Some(PFX)] {
        if let Ok(value) = house.secret(name, form).await {
            left.push((format!("secret as {form:?}"), value));
        }
    }
    let read = house.get(name).await.expect("a certificate");
    left.push(("certificate".to_owned(), read.version.chain.concat()));
    left.push(("policy".to_owned(), format!("{:?}", read.policy).into_bytes()));
    if let Ok(pending) = house.poll(name).await {
        left.push(("request".to_owned(), [format!("{pending:?}").into_bytes(), pending.csr].concat()));
    }
    let key = platform.get_key(&context, caller, at, &object, None).await.expect("a key").version;
    left.push(("key".to_owned(), format!("{key:?}").into_bytes()));
    left.push(("public half".to_owned(), key.public.expect("a pair").spki_der()));
    let signed =
        platform.sign(&context, caller, at, &object, None, SignatureAlgorithm::Es256, &[7; 32]).await;
    left.push(("signature".to_owned(), signed.expect("a signature").into_result()));
    let backup = platform.backup_certificate(&context, caller, at, &object).await.expect("a backup");
    left.push(("backup".to_owned(), backup.blob));
    // The ways that are closed.
    assert!(matches!(platform.backup_key(&context, caller, at, &object).await, Err(Error::Managed(..))));
    assert!(matches!(platform.backup_secret(&context, caller, at, &object).await, Err(Error::Managed(..))));
    for (_, entry) in house.memory.log.entries() {
        left.push(("audit entry".to_owned(), entry.encode()));
    }
    left
}

#[tokio::test]
async fn nothing_that_leaves_has_the_key_of_a_certificate_that_is_not_exportable() {
    let house = House::new(40).await;
    for (name, form) in [("held-pfx", PFX), ("held-pem", PEM)] {
        let first = house.make(name, policy(false, form)).await;
        let scalar = scalar(&house, name, &first).await;
        let check = |when: &str, left: Vec<(String, Vec<u8>)>| {
            assert!(left.len() > 8);
            for (what, bytes) in left {
                assert!(!bytes.is_empty() && !holds(&bytes, &scalar), "{name}, {when}: {what}");
            }
        };
        check("first", everything_that_leaves(&house, name).await);

        // A looser policy is about the next version, and that one does not get this key, whatever `reuse_key` says.
        let looser = policy(true, form);
        let (context, object) = (house.opened.context(), object(name));
        let (platform, caller, at) = (house.platform(), &house.caller, house.at());
        platform.update_certificate_policy(&context, caller, at, &object, &looser).await.expect("changed");
        check("policy changed", everything_that_leaves(&house, name).await);
        house.make(name, looser).await;
        check("created anew", everything_that_leaves(&house, name).await);
        let old = platform.get_secret(&context, caller, at, &object, Some(first.version)).await;
        let old = old.expect("a secret").into_value();
        assert!(!holds(old.expose(Reason::Test), &scalar), "{name}: the old version");
    }
}

#[tokio::test]
async fn what_a_certificate_without_its_key_gives_is_its_chain_in_the_form_of_its_policy() {
    let house = House::new(41).await;
    house.make("held-pem", policy(false, PEM)).await;
    let text = String::from_utf8(house.secret("held-pem", None).await.expect("a secret")).expect("text");
    assert!(text.starts_with("-----BEGIN CERTIFICATE-----") && !text.contains("PRIVATE"));
    house.make("held-pfx", policy(false, PFX)).await;
    let file = BASE64.decode(&house.secret("held-pfx", None).await.expect("a secret")).expect("base64");
    let refused = read_pfx(&file, &SecretString::new(String::new()), ChainOrder::AsGiven).err();
    assert_eq!(refused, Some(vouchsafe_crypto::pki::BundleRefused::NoKey));
    let as_pem = house.secret("held-pfx", Some(PEM)).await.expect("a secret");
    assert!(as_pem.starts_with(b"-----BEGIN CERTIFICATE-----"));
}

#[tokio::test]
async fn an_exportable_certificate_gives_key_and_chain_in_both_forms() {
    let house = House::new(42).await;
    for (name, form) in [("open-pfx", PFX), ("open-pem", PEM)] {
        let made = house.make(name, policy(true, form)).await;
        let scalar = scalar(&house, name, &made).await;
        let none = SecretString::new(String::new());
        let value = house.secret(name, None).await.expect("a secret");
        let bundle = if form == PFX {
            read_pfx(&BASE64.decode(&value).expect("base64"), &none, ChainOrder::AsGiven)
        } else {
            assert!(holds(&value, &scalar), "the search finds what is there");
            read_pem(&SecretString::new(String::from_utf8(value).expect("text")), ChainOrder::AsGiven)
        };
        let bundle = bundle.expect("key and chain");
        assert!(holds(bundle.key.expose(Reason::Test), &scalar));
        assert_eq!(bundle.chain, made.chain);
        let as_pem = house.secret(name, Some(PEM)).await.expect("a secret");
        assert!(holds(&as_pem, &scalar), "{name} as PEM");
    }
    assert!(matches!(house.secret("open-pem", Some(PFX)).await, Err(Error::BadParameter(_))));
    assert!(matches!(house.secret("open-pem", Some("text/plain")).await, Err(Error::BadParameter(_))));
    let (context, plain) = (house.opened.context(), object("plain"));
    let set = crate::support::to_set("v");
    house.platform().set_secret(&context, &house.caller, house.at(), &plain, &set).await.expect("a secret");
    assert!(matches!(house.secret("plain", Some(PEM)).await, Err(Error::BadParameter(_))));
}

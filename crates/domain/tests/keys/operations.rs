//! Every operation with every kind of key, every algorithm, every state and every moment: who of them answers is told by
//! a table that is made here from the documentation, not from the deciders.

use std::collections::BTreeMap;
use std::time::Duration;

use vouchsafe_crypto::Reason;
use vouchsafe_crypto::keys::{
    CiphertextParts, Encrypted, EncryptionAlgorithm, KeyFamily, KeySpec, PrivateKey, SignatureAlgorithm,
};
use vouchsafe_domain::audit::Outcome;
use vouchsafe_domain::ports::Log;
use vouchsafe_domain::time::Timestamp;
use vouchsafe_domain::vault::{
    Error, KeyAttributes, KeyOperation, KeyToCreate, KeyToImport, KeyUnusable, KeyUpdate, Plaintext,
};

use super::{App, object, to_create};

const OPERATIONS: [KeyOperation; 6] = [
    KeyOperation::Encrypt,
    KeyOperation::Decrypt,
    KeyOperation::Sign,
    KeyOperation::Verify,
    KeyOperation::WrapKey,
    KeyOperation::UnwrapKey,
];

/// RSA 3072 and 4096 differ from 2048 in length only, and take seconds to make without optimization.
const SPECS: [KeySpec; 8] = [
    KeySpec::Rsa2048,
    KeySpec::P256,
    KeySpec::P384,
    KeySpec::P521,
    KeySpec::P256K,
    KeySpec::Oct128,
    KeySpec::Oct192,
    KeySpec::Oct256,
];

fn name(spec: KeySpec) -> String {
    format!("{spec:?}").to_lowercase()
}

/// How an operation with something that fits a key came out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Came {
    Done,
    Unfit,
    Unusable(KeyUnusable),
}

fn came<T>(result: Result<T, Error>, operation: KeyOperation) -> (Came, Option<T>) {
    match result {
        Ok(result) => (Came::Done, Some(result)),
        Err(Error::BadParameter(_)) => (Came::Unfit, None),
        Err(Error::KeyUnusable(why, named)) => {
            assert_eq!(named, operation.as_str());
            (Came::Unusable(why), None)
        }
        Err(other) => panic!("{operation:?}: {other}"),
    }
}

impl App {
    async fn signs(
        &self,
        key: &str,
        algorithm: SignatureAlgorithm,
        digest: &[u8],
    ) -> (Came, Option<Vec<u8>>) {
        let (context, vault) = (self.opened.context(), &self.vault.name);
        let signed =
            self.platform().sign(&context, &self.caller, vault, &object(key), None, algorithm, digest).await;
        came(signed.map(|used| used.into_result()), KeyOperation::Sign)
    }

    async fn verifies(
        &self,
        key: &str,
        algorithm: SignatureAlgorithm,
        digest: &[u8],
        signature: &[u8],
    ) -> (Came, Option<bool>) {
        let (context, vault, key) = (self.opened.context(), &self.vault.name, object(key));
        let platform = self.platform();
        let verified =
            platform.verify(&context, &self.caller, vault, &key, None, algorithm, digest, signature).await;
        came(verified.map(|used| used.into_result()), KeyOperation::Verify)
    }

    async fn enciphers(
        &self,
        operation: KeyOperation,
        key: &str,
        algorithm: EncryptionAlgorithm,
    ) -> (Came, Option<Encrypted>) {
        let (context, vault, key) = (self.opened.context(), &self.vault.name, object(key));
        let iv = algorithm.needs_iv().then_some([3; 16]);
        let input = Plaintext { iv: iv.as_ref().map(|iv| &iv[..]), ..Plaintext::of(&[5; 32]) };
        let platform = self.platform();
        let done = match operation {
            KeyOperation::Encrypt => {
                platform.encrypt(&context, &self.caller, vault, &key, None, algorithm, &input).await
            }
            _ => platform.wrap_key(&context, &self.caller, vault, &key, None, algorithm, &input).await,
        };
        came(done.map(|used| used.into_result()), operation)
    }

    async fn deciphers(
        &self,
        operation: KeyOperation,
        key: &str,
        algorithm: EncryptionAlgorithm,
        parts: &CiphertextParts<'_>,
    ) -> (Came, Option<Vec<u8>>) {
        let (context, vault, key) = (self.opened.context(), &self.vault.name, object(key));
        let platform = self.platform();
        let done = match operation {
            KeyOperation::Decrypt => {
                platform.decrypt(&context, &self.caller, vault, &key, None, algorithm, parts).await
            }
            _ => platform.unwrap_key(&context, &self.caller, vault, &key, None, algorithm, parts).await,
        };
        came(done.map(|used| used.into_result().expose(Reason::Test).to_vec()), operation)
    }

    /// One try of an operation with an algorithm of its kind.
    async fn tries(&self, operation: KeyOperation, key: &str, spec: KeySpec) -> Came {
        let signature = match spec {
            KeySpec::P256 => SignatureAlgorithm::Es256,
            KeySpec::Oct256 => SignatureAlgorithm::Hs256,
            _ => SignatureAlgorithm::Ps256,
        };
        let rsa = spec.family() == KeyFamily::Rsa;
        let encryption = if rsa { EncryptionAlgorithm::RsaOaep256 } else { EncryptionAlgorithm::A256Kw };
        let ciphertext = vec![1; if rsa { 256 } else { 40 }];
        match operation {
            KeyOperation::Sign => self.signs(key, signature, &[7; 32]).await.0,
            KeyOperation::Verify => self.verifies(key, signature, &[7; 32], &[1; 64]).await.0,
            KeyOperation::Encrypt | KeyOperation::WrapKey => {
                self.enciphers(operation, key, encryption).await.0
            }
            _ => self.deciphers(operation, key, encryption, &CiphertextParts::of(&ciphertext)).await.0,
        }
    }
}

#[tokio::test]
async fn each_kind_of_key_does_what_its_algorithms_do_and_nothing_else() {
    let app = App::new(1).await;
    for spec in SPECS {
        app.create_with(&name(spec), spec, &OPERATIONS).await;
    }
    let mut fitting: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for spec in SPECS {
        let key = name(spec);
        for algorithm in SignatureAlgorithm::ALL.iter().copied() {
            let digest = vec![7; algorithm.digest_bytes()];
            let (outcome, signature) = app.signs(&key, algorithm, &digest).await;
            let wanted = if algorithm.fits(spec) { Came::Done } else { Came::Unfit };
            assert_eq!(outcome, wanted, "{spec:?} {algorithm:?}");
            let signature = signature.unwrap_or_else(|| vec![1; 64]);
            let (outcome, verified) = app.verifies(&key, algorithm, &digest, &signature).await;
            assert_eq!(outcome, wanted, "{spec:?} {algorithm:?}");
            if wanted == Came::Done {
                fitting.entry(algorithm.as_str()).or_default().push(spec_word(spec));
                assert_eq!(verified, Some(true), "{spec:?} {algorithm:?}");
                let other = vec![8; digest.len()];
                assert_eq!(app.verifies(&key, algorithm, &other, &signature).await.1, Some(false));
                for length in [0, digest.len() - 1, digest.len() + 1] {
                    let (outcome, _) = app.signs(&key, algorithm, &vec![7; length]).await;
                    assert_eq!(outcome, Came::Unfit, "{algorithm:?} signs {length} bytes");
                    let (outcome, _) = app.verifies(&key, algorithm, &vec![7; length], &signature).await;
                    assert_eq!(outcome, Came::Unfit, "{algorithm:?} verifies {length} bytes");
                }
            }
        }
        for algorithm in EncryptionAlgorithm::ALL.iter().copied() {
            for (forward, back, offered) in [
                (KeyOperation::Encrypt, KeyOperation::Decrypt, algorithm.encrypts()),
                (KeyOperation::WrapKey, KeyOperation::UnwrapKey, algorithm.wraps()),
            ] {
                let (outcome, encrypted) = app.enciphers(forward, &key, algorithm).await;
                let wanted = if offered && algorithm.fits(spec) { Came::Done } else { Came::Unfit };
                assert_eq!(outcome, wanted, "{spec:?} {algorithm:?} {forward:?}");
                let Some(encrypted) = encrypted else {
                    let nothing = CiphertextParts::of(&[1; 40]);
                    assert_eq!(app.deciphers(back, &key, algorithm, &nothing).await.0, Came::Unfit);
                    continue;
                };
                fitting.entry(algorithm.as_str()).or_default().push(spec_word(spec));
                let plaintext = app.deciphers(back, &key, algorithm, &encrypted.parts()).await;
                assert_eq!(plaintext, (Came::Done, Some(vec![5; 32])), "{spec:?} {algorithm:?} {back:?}");
            }
        }
    }
    // RFC 7518 and 8812: no algorithm is left without a key, and each has the kinds that the RFC gives it.
    assert_eq!(fitting.len(), SignatureAlgorithm::ALL.len() + EncryptionAlgorithm::ALL.len());
    for (algorithm, wanted) in [
        ("ES256", vec!["P256"]),
        ("ES256K", vec!["P256K"]),
        ("RS256", vec!["Rsa2048"]),
        ("A192KW", vec!["Oct192"]),
    ] {
        assert_eq!(fitting[algorithm], wanted, "{algorithm}");
    }
}

fn spec_word(spec: KeySpec) -> &'static str {
    match spec {
        KeySpec::Rsa2048 => "Rsa2048",
        KeySpec::P256 => "P256",
        KeySpec::P256K => "P256K",
        KeySpec::Oct192 => "Oct192",
        _ => "another",
    }
}

#[tokio::test]
async fn state_permission_and_time_decide_before_the_key_is_touched() {
    let app = App::new(2).await;
    let now = app.opened.context().now();
    let (before, after) = (Timestamp::from_seconds(now.seconds() - 60), now.plus(Duration::from_secs(60)));
    let mut checked = 0;
    for spec in [KeySpec::Rsa2048, KeySpec::P256, KeySpec::Oct256] {
        let key = name(spec);
        app.create_with(&key, spec, &OPERATIONS).await;
        for operation in OPERATIONS {
            let signs = matches!(operation, KeyOperation::Sign | KeyOperation::Verify);
            if spec.family() == KeyFamily::Ec && !signs {
                continue;
            }
            for (enabled, permitted, not_before, expires) in [true, false]
                .into_iter()
                .flat_map(|enabled| [true, false].map(|permitted| (enabled, permitted)))
                .flat_map(|(enabled, permitted)| {
                    [
                        (None, None),
                        (Some(before), Some(after)),
                        (Some(after), Some(after)),
                        (None, Some(before)),
                        (Some(now), None),
                        (None, Some(now)),
                    ]
                    .map(|(not_before, expires)| (enabled, permitted, not_before, expires))
                })
            {
                let others = OPERATIONS.into_iter().filter(|other| *other != operation).collect();
                let wanted = KeyToCreate {
                    operations: Some(if permitted { OPERATIONS.to_vec() } else { others }),
                    attributes: KeyAttributes {
                        disabled: !enabled,
                        not_before,
                        expires,
                        ..KeyAttributes::default()
                    },
                    ..to_create(spec)
                };
                app.set_state(&key, &wanted).await;
                let looks_back = matches!(
                    operation,
                    KeyOperation::Decrypt | KeyOperation::UnwrapKey | KeyOperation::Verify
                );
                let early = not_before == Some(after);
                let late = expires.is_some_and(|expires| expires <= now);
                let wanted = match (enabled, permitted) {
                    (false, _) => Some(KeyUnusable::Disabled),
                    (true, false) => Some(KeyUnusable::Operation),
                    (true, true) if early && !looks_back => Some(KeyUnusable::NotYetValid),
                    (true, true) if late && !looks_back => Some(KeyUnusable::Expired),
                    (true, true) => None,
                };
                let outcome = app.tries(operation, &key, spec).await;
                let state =
                    format!("{spec:?} {operation:?} {enabled} {permitted} {not_before:?} {expires:?}");
                match wanted {
                    Some(why) => assert_eq!(outcome, Came::Unusable(why), "{state}"),
                    // What is decrypted here is no ciphertext: it gets as far as the key.
                    None => assert!(!matches!(outcome, Came::Unusable(_)), "{state}: {outcome:?}"),
                }
                checked += 1;
            }
        }
    }
    assert_eq!(checked, 24 * (6 + 2 + 6));
}

impl App {
    /// Gives the current version this state; a version is made once, because RSA keys take long.
    async fn set_state(&self, key: &str, wanted: &KeyToCreate) {
        let (context, vault) = (self.opened.context(), &self.vault.name);
        let far =
            |moment: Option<Timestamp>, otherwise: u64| moment.unwrap_or(Timestamp::from_seconds(otherwise));
        let update = KeyUpdate {
            disabled: Some(wanted.attributes.disabled),
            // An update cannot take a date away: a far one says the same.
            not_before: Some(far(wanted.attributes.not_before, 0)),
            expires: Some(far(wanted.attributes.expires, 9_000_000_000)),
            operations: wanted.operations.clone(),
            ..KeyUpdate::default()
        };
        let updated =
            self.platform().update_key(&context, &self.caller, vault, &object(key), None, &update).await;
        updated.expect("an update");
    }
}

#[tokio::test]
async fn what_is_asked_for_without_words_is_what_azure_gives() {
    let app = App::new(3).await;
    for (spec, usual) in [
        (KeySpec::Rsa2048, "encrypt decrypt sign verify wrapKey unwrapKey"),
        (KeySpec::P384, "sign verify"),
        (KeySpec::Oct256, "encrypt decrypt wrapKey unwrapKey"),
    ] {
        let head = app.create(&name(spec), &to_create(spec)).await.expect("a key");
        let names: Vec<_> = head.current.operations.iter().map(|operation| operation.as_str()).collect();
        assert_eq!(names.join(" "), usual);
        assert_eq!(
            head.current.public.as_ref().map(|public| public.spec()),
            match spec.family() {
                KeyFamily::Oct => None,
                _ => Some(spec),
            }
        );
    }
    let import = [KeyOperation::Import, KeyOperation::Sign];
    for (wanted, good) in [
        (KeyToCreate { operations: Some(import.to_vec()), ..to_create(KeySpec::Rsa2048) }, false),
        (KeyToCreate { operations: Some(vec![KeyOperation::Import]), ..to_create(KeySpec::P256) }, false),
        (KeyToCreate { operations: Some(Vec::new()), ..to_create(KeySpec::P256) }, true),
        (
            KeyToCreate {
                attributes: KeyAttributes { exportable: true, ..KeyAttributes::default() },
                ..to_create(KeySpec::P256)
            },
            false,
        ),
    ] {
        let created = app.create("asked", &wanted).await;
        assert_eq!(created.is_ok(), good, "{wanted:?}");
        assert!(good || matches!(created, Err(Error::BadParameter(_))), "{wanted:?}");
    }
}

#[tokio::test]
async fn an_imported_key_is_the_key_and_old_versions_go_on_working() {
    let app = App::new(4).await;
    let (context, vault) = (app.opened.context(), &app.vault.name);
    let key = PrivateKey::generate(KeySpec::P256);
    let public = key.public();
    let wanted = |key| KeyToImport {
        key,
        in_token: false,
        operations: None,
        attributes: KeyAttributes::default(),
        release_policy: None,
    };
    let platform = app.platform();
    let imported = platform
        .import_key(&context, &app.caller, vault, &object("mine"), wanted(key))
        .await
        .expect("a key")
        .0;
    assert_eq!(imported.current.public, public);
    let first = imported.current.version;
    let second = PrivateKey::generate(KeySpec::P384);
    let again = platform.import_key(&context, &app.caller, vault, &object("MINE"), wanted(second)).await;
    let again = again.expect("another version").0;
    assert_eq!((again.name.as_str(), again.current.spec), ("mine", KeySpec::P384));
    let digest = [7; 32];
    let name = object("mine");
    let signed = platform
        .sign(&context, &app.caller, vault, &name, Some(first), SignatureAlgorithm::Es256, &digest)
        .await
        .expect("a signature");
    assert_eq!(signed.version, first);
    let signature = signed.into_result();
    assert_eq!(public.expect("public").verify(SignatureAlgorithm::Es256, &digest, &signature), Ok(true));
    let newest =
        platform.sign(&context, &app.caller, vault, &name, None, SignatureAlgorithm::Es256, &digest).await;
    assert!(matches!(newest, Err(Error::BadParameter(_))), "the newest is on another curve");
}

#[tokio::test]
async fn every_use_is_in_the_log_and_without_a_log_nothing_is_answered() {
    let app = App::new(5).await;
    app.create_with("signer", KeySpec::P256, &[KeyOperation::Sign, KeyOperation::Verify]).await;
    app.memory.log.flush().await.expect("a log");
    let start = app.memory.log.entries().len();
    assert_eq!(app.signs("signer", SignatureAlgorithm::Es256, &[7; 32]).await.0, Came::Done);
    assert_eq!(app.signs("signer", SignatureAlgorithm::Es256, &[7; 31]).await.0, Came::Unfit);
    let wrapped = app.enciphers(KeyOperation::WrapKey, "signer", EncryptionAlgorithm::RsaOaep).await.0;
    assert_eq!(wrapped, Came::Unusable(KeyUnusable::Operation));
    let entries = app.memory.log.entries();
    let told: Vec<_> = entries[start..]
        .iter()
        .map(|(_, entry)| {
            (entry.action.rsplit_once("keys/").expect("an action").1, entry.outcome, entry.reason.as_deref())
        })
        .collect();
    assert_eq!(
        told,
        [
            ("sign/action", Some(Outcome::Done), None),
            ("sign/action", Some(Outcome::Refused), Some("bad_parameter")),
            ("wrap/action", Some(Outcome::Refused), Some("key_operation_forbidden")),
        ]
    );
    app.memory.log.break_down(true);
    let (context, vault, key) = (app.opened.context(), &app.vault.name, object("signer"));
    let signed = app
        .platform()
        .sign(&context, &app.caller, vault, &key, None, SignatureAlgorithm::Es256, &[7; 32])
        .await;
    assert!(matches!(signed, Err(Error::Fault(_))));
    assert!(app.platform().random_bytes(&context, &app.caller, vault, 16).await.is_err());
    assert!(app.create("other", &to_create(KeySpec::P256)).await.is_err());
    app.memory.log.break_down(false);
    assert!(app.platform().get_key(&context, &app.caller, vault, &object("other"), None).await.is_err());
}

#[tokio::test]
async fn random_bytes_are_counted_as_azure_counts_them() {
    let app = App::new(6).await;
    let (context, vault) = (app.opened.context(), &app.vault.name);
    for (count, good) in [(0, false), (1, true), (128, true), (129, false)] {
        let given = app.platform().random_bytes(&context, &app.caller, vault, count).await;
        assert_eq!(given.as_ref().map(|given| given.bytes.len()).ok(), good.then_some(count));
        assert!(good || matches!(given, Err(Error::BadParameter(_))));
    }
}

//! Keys in a SoftHSM token: the suite, and what an attacker or an accident does to a token.

use std::sync::Arc;
use std::time::Duration;

use cryptoki::context::Pkcs11;
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use vouchsafe_crypto::keys::{EncryptionAlgorithm, KeySpec, SignatureAlgorithm};
use vouchsafe_crypto::{Reason, SecretBytes};
use vouchsafe_domain::ports::Hsm;
use vouchsafe_domain::ports::hsm::{HsmError, KeyRef};
use vouchsafe_hsm::breaker::Position;
use vouchsafe_hsm::{Pkcs11Hsm, TokenSettings};
use vouchsafe_testkit::softhsm::{PIN, SoftHsm, in_its_own_process};
use vouchsafe_testkit::suites::hsm::{self as suite, Reopen};

use super::software::software;
use super::{Hand, run};

const DIGEST: &[u8] = &[7; 32];
const ES256: SignatureAlgorithm = SignatureAlgorithm::Es256;

fn settings(soft: &SoftHsm, label: &str) -> TokenSettings {
    TokenSettings::new(soft.module.clone(), label, soft.pin_file(&format!("pin-{label}"), PIN))
}

fn open(soft: &SoftHsm, label: &str) -> Pkcs11Hsm {
    Pkcs11Hsm::open(settings(soft, label), Arc::new(Hand::new())).unwrap()
}

/// Another user of the same token in this process, as an attacker with the PIN would be.
fn intruder(soft: &SoftHsm, label: &str) -> Session {
    // The module is initialized already: this is the same one.
    let module = Pkcs11::new(&soft.module).unwrap();
    let slots = module.get_slots_with_initialized_token().unwrap();
    let slot =
        slots.into_iter().find(|slot| module.get_token_info(*slot).unwrap().label().trim_end() == label);
    module.open_rw_session(slot.unwrap()).unwrap()
}

fn private_keys(session: &Session) -> Vec<ObjectHandle> {
    session.find_objects(&[Attribute::Class(ObjectClass::PRIVATE_KEY)]).unwrap()
}

struct Token<'a>(&'a SoftHsm);

impl Reopen for Token<'_> {
    fn open(&self) -> Arc<dyn Hsm> {
        Arc::new(open(self.0, "suite"))
    }

    fn keeps_keys(&self) -> bool {
        true
    }
}

#[test]
fn a_softhsm_token_passes_the_suite() {
    in_its_own_process("softhsm::a_softhsm_token_passes_the_suite", &["other", "suite"], |soft| {
        run(async {
            suite::all(&Token(&soft)).await;
            let hsm = open(&soft, "suite");
            hsm.healthy().await.unwrap();
            let intruder = intruder(&soft, "suite");
            let wanted = [AttributeType::Class, AttributeType::KeyType, AttributeType::Token];
            let left = intruder.find_objects(&[]).unwrap();
            let left: Vec<_> =
                left.into_iter().map(|left| intruder.get_attributes(left, &wanted).unwrap()).collect();
            assert!(left.is_empty(), "nothing is left behind, not even public halves: {left:?}");
            softhsm_offers_what_the_reference_says(&hsm).await;
        });
    });
}

/// `docs/reference/hsm.md` names the gaps; a SoftHSM that closes one should change the page.
async fn softhsm_offers_what_the_reference_says(hsm: &Pkcs11Hsm) {
    hsm.healthy().await.unwrap();
    assert!(KeySpec::ALL.into_iter().all(|spec| hsm.holds(spec)));
    for spec in KeySpec::ALL {
        for algorithm in SignatureAlgorithm::ALL.iter().filter(|algorithm| algorithm.fits(spec)) {
            assert_eq!(hsm.signs(spec, *algorithm), !algorithm.is_symmetric(), "{spec:?} {algorithm:?}");
        }
        for algorithm in EncryptionAlgorithm::ALL.iter().filter(|algorithm| algorithm.fits(spec)) {
            assert!(hsm.decrypts(spec, *algorithm), "{spec:?} {algorithm:?}");
        }
    }
}

#[test]
fn a_wrong_pin_is_tried_once_and_never_again_until_it_was_looked_at() {
    let name = "softhsm::a_wrong_pin_is_tried_once_and_never_again_until_it_was_looked_at";
    in_its_own_process(name, &["pin"], |soft| {
        run(async {
            let mut settings = settings(&soft, "pin");
            settings.pin_file = soft.pin_file("wrong", "00000000");
            let hsm = Arc::new(Pkcs11Hsm::open(settings, Arc::new(Hand::new())).unwrap());
            let calls: Vec<_> = (0..16)
                .map(|_| {
                    let hsm = Arc::clone(&hsm);
                    tokio::spawn(async move { hsm.generate(KeySpec::P256).await.map(drop) })
                })
                .collect();
            for call in calls {
                assert_eq!(call.await.unwrap(), Err(HsmError::Locked));
            }
            assert_eq!(hsm.healthy().await, Err(HsmError::Locked));
            let state = hsm.state();
            assert_eq!((state.logins, state.locked, state.breaker), (1, true, Position::Closed));
            soft.pin_file("wrong", PIN);
            assert_eq!(hsm.healthy().await, Err(HsmError::Locked), "the right PIN alone changes nothing");
            assert_eq!(hsm.state().logins, 1);
            hsm.reload_pin();
            assert_eq!(hsm.healthy().await, Ok(()));
            let state = hsm.state();
            assert_eq!((state.logins, state.locked), (2, false), "one thread logs all of them in");
        });
    });
}

#[test]
fn a_token_that_is_taken_away_is_unavailable_and_software_keys_are_not() {
    let name = "softhsm::a_token_that_is_taken_away_is_unavailable_and_software_keys_are_not";
    in_its_own_process(name, &["gone"], |soft| {
        run(async {
            let (token, software) = (open(&soft, "gone"), software());
            let held = token.generate(KeySpec::P256).await.unwrap();
            let ours = software.generate(KeySpec::P256).await.unwrap();
            let (key, ours) = (held.reference(KeySpec::P256), ours.reference(KeySpec::P256));
            token.sign(&key, ES256, DIGEST).await.unwrap();
            soft.remove_tokens();
            for _ in 0..8 {
                let signed = token.sign(&key, ES256, DIGEST).await;
                assert!(matches!(signed, Err(HsmError::Unavailable { .. })), "{signed:?}");
                software.sign(&ours, ES256, DIGEST).await.unwrap();
            }
            assert!(token.healthy().await.is_err());
            assert!(token.generate(KeySpec::P256).await.is_err());
            assert_eq!(token.state().breaker, Position::Open);
            software.healthy().await.unwrap();
        });
    });
}

#[test]
fn keys_cannot_be_taken_out_weakened_or_swapped() {
    in_its_own_process("softhsm::keys_cannot_be_taken_out_weakened_or_swapped", &["attacked"], |soft| {
        run(async {
            let hsm = open(&soft, "attacked");
            let (one, two) =
                (hsm.generate(KeySpec::P256).await.unwrap(), hsm.generate(KeySpec::P256).await.unwrap());
            let aes = hsm.generate(KeySpec::Oct256).await.unwrap();
            let intruder = intruder(&soft, "attacked");
            nothing_leaves(&intruder);
            ids_do_not_stand_for_keys(&hsm, &one.material, &two.material).await;
            a_planted_key_is_not_used(&hsm, &intruder, &two.material).await;
            a_planted_symmetric_key_is_not_used(&hsm, &intruder, &aes.material).await;
            hsm.sign(&one.reference(KeySpec::P256), ES256, DIGEST).await.unwrap();
        });
    });
}

/// Every key that was made: it shows no value, cannot be made to, and no key that an intruder brings wraps it.
fn nothing_leaves(intruder: &Session) {
    let template = [
        Attribute::Token(false),
        Attribute::Sensitive(false),
        Attribute::Extractable(true),
        Attribute::Encrypt(true),
        Attribute::Wrap(true),
        Attribute::Decrypt(true),
        Attribute::ValueLen(32.into()),
    ];
    let weak = intruder.generate_key(&Mechanism::AesKeyGen, &template).unwrap();
    let secret =
        intruder.find_objects(&[Attribute::Class(ObjectClass::SECRET_KEY), Attribute::Token(true)]).unwrap();
    let keys = [private_keys(intruder), secret].concat();
    assert_eq!(keys.len(), 3);
    for key in keys {
        assert_eq!(intruder.get_attributes(key, &[AttributeType::Value]).unwrap(), []);
        for wish in [Attribute::Extractable(true), Attribute::Sensitive(false), Attribute::Modifiable(true)] {
            assert!(intruder.update_attributes(key, std::slice::from_ref(&wish)).is_err(), "{wish:?}");
            assert!(intruder.copy_object(key, &[wish]).is_err());
        }
        for mechanism in [Mechanism::AesKeyWrap, Mechanism::AesKeyWrapPad] {
            assert!(intruder.wrap_key(&mechanism, weak, key).is_err());
        }
    }
}

/// The id of one key with the check of another is neither of them.
async fn ids_do_not_stand_for_keys(hsm: &Pkcs11Hsm, one: &SecretBytes, two: &SecretBytes) {
    for key in [one, two] {
        hsm.sign(&KeyRef { spec: KeySpec::P256, material: key }, ES256, DIGEST).await.unwrap();
    }
    let (one, two) = (one.expose(Reason::Test), two.expose(Reason::Test));
    let spliced = SecretBytes::new([&one[..17], &two[17..]].concat());
    let spliced = KeyRef { spec: KeySpec::P256, material: &spliced };
    // Every connection has the handle of the true key by now, and must not use it for this one.
    for _ in 0..8 {
        assert_eq!(hsm.sign(&spliced, ES256, DIGEST).await.err(), Some(HsmError::Mismatch));
    }
    assert_eq!(hsm.destroy(&spliced).await.err(), Some(HsmError::Mismatch), "nor destroy it");
    let mut unknown = one.to_vec();
    unknown[1] ^= 1;
    let unknown = KeyRef { spec: KeySpec::P256, material: &SecretBytes::new(unknown) };
    assert_eq!(hsm.sign(&unknown, ES256, DIGEST).await.err(), Some(HsmError::NotFound));
}

/// Another private key under the id of ours, beside it and instead of it.
async fn a_planted_key_is_not_used(hsm: &Pkcs11Hsm, intruder: &Session, material: &SecretBytes) {
    let id = Attribute::Id(material.expose(Reason::Test)[1..17].to_vec());
    let key = KeyRef { spec: KeySpec::P256, material };
    let ours = intruder.find_objects(&[Attribute::Class(ObjectClass::PRIVATE_KEY), id.clone()]).unwrap();
    let plant = |extractable: bool| {
        let curve = Attribute::EcParams(vec![0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07]);
        let public = [Attribute::Token(false), Attribute::Verify(true), curve];
        let private = [
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(extractable),
            Attribute::Sign(true),
            id.clone(),
        ];
        intruder.generate_key_pair(&Mechanism::EccKeyPairGen, &public, &private).unwrap().1
    };
    let beside = plant(false);
    // A new holder has no handle yet and finds two.
    let signed = hsm.sign(&key, ES256, DIGEST).await;
    assert!(matches!(signed, Ok(_) | Err(HsmError::Mismatch)), "the true one or none: {signed:?}");
    intruder.destroy_object(beside).unwrap();
    for ours in ours {
        intruder.destroy_object(ours).unwrap();
    }
    for extractable in [false, true] {
        let planted = plant(extractable);
        for _ in 0..8 {
            assert_eq!(hsm.sign(&key, ES256, DIGEST).await.err(), Some(HsmError::Mismatch), "{extractable}");
        }
        intruder.destroy_object(planted).unwrap();
    }
    assert_eq!(hsm.sign(&key, ES256, DIGEST).await.err(), Some(HsmError::NotFound));
}

async fn a_planted_symmetric_key_is_not_used(hsm: &Pkcs11Hsm, intruder: &Session, material: &SecretBytes) {
    let id = Attribute::Id(material.expose(Reason::Test)[1..17].to_vec());
    let key = KeyRef { spec: KeySpec::Oct256, material };
    let gcm = EncryptionAlgorithm::A256Gcm;
    hsm.encrypt(&key, gcm, b"secret", None, None).await.unwrap();
    for ours in intruder.find_objects(&[Attribute::Class(ObjectClass::SECRET_KEY), id.clone()]).unwrap() {
        intruder.destroy_object(ours).unwrap();
    }
    let known = [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::AES),
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Encrypt(true),
        Attribute::Decrypt(true),
        Attribute::Value(vec![0; 32]),
        id,
    ];
    intruder.create_object(&known).unwrap();
    for _ in 0..8 {
        let encrypted = hsm.encrypt(&key, gcm, b"secret", None, None).await;
        assert_eq!(encrypted.err(), Some(HsmError::Mismatch), "nothing is encrypted for the intruder");
    }
}

#[test]
fn a_lost_login_is_made_good_once() {
    in_its_own_process("softhsm::a_lost_login_is_made_good_once", &["login"], |soft| {
        run(async {
            let hsm = open(&soft, "login");
            let (curve, aes) =
                (hsm.generate(KeySpec::P256).await.unwrap(), hsm.generate(KeySpec::Oct128).await.unwrap());
            let before = hsm.state().logins;
            for round in 1..=3 {
                intruder(&soft, "login").logout().unwrap();
                hsm.sign(&curve.reference(KeySpec::P256), ES256, DIGEST).await.unwrap();
                assert_eq!(hsm.state().logins, before + round);
            }
            intruder(&soft, "login").logout().unwrap();
            hsm.generate(KeySpec::P384).await.unwrap();
            let key = aes.reference(KeySpec::Oct128);
            hsm.encrypt(&key, EncryptionAlgorithm::A128Gcm, b"x", None, None).await.unwrap();
            assert_eq!(hsm.state().breaker, Position::Closed);
        });
    });
}

#[test]
fn a_backup_refers_to_its_own_token_and_tokens_are_found_by_name() {
    let name = "softhsm::a_backup_refers_to_its_own_token_and_tokens_are_found_by_name";
    in_its_own_process(name, &["left", "right", "twin", "twin"], |soft| {
        run(async {
            let (left, right) = (open(&soft, "left"), open(&soft, "right"));
            let key = left.generate(KeySpec::P256).await.unwrap();
            let blob = left.backup(&key.reference(KeySpec::P256)).await.unwrap();
            assert!(left.restore(KeySpec::P256, &blob).await.is_ok());
            assert!(matches!(right.restore(KeySpec::P256, &blob).await, Err(HsmError::Refused(_))));
            let there = right.sign(&key.reference(KeySpec::P256), ES256, DIGEST).await;
            assert_eq!(there.err(), Some(HsmError::NotFound));
            left.destroy(&key.reference(KeySpec::P256)).await.unwrap();
            assert_eq!(left.restore(KeySpec::P256, &blob).await.err(), Some(HsmError::NotFound));
            for label in ["twin", "nobody"] {
                let health = open(&soft, label).healthy().await;
                assert!(matches!(health, Err(HsmError::Unavailable { .. })), "{label}: {health:?}");
            }
        });
    });
}

#[test]
fn a_key_that_nobody_waited_for_does_not_stay() {
    in_its_own_process("softhsm::a_key_that_nobody_waited_for_does_not_stay", &["late"], |soft| {
        run(async {
            let mut settings = settings(&soft, "late");
            settings.workers = 1;
            settings.generate_deadline = Duration::from_millis(30);
            let hsm = Pkcs11Hsm::open(settings, Arc::new(Hand::new())).unwrap();
            hsm.healthy().await.unwrap();
            let made = hsm.generate(KeySpec::Rsa3072).await.map(drop);
            assert!(matches!(made, Err(HsmError::Unavailable { .. })), "{made:?}");
            assert_eq!(hsm.state().stuck, 1);
            while hsm.state().stuck > 0 {
                tokio::task::yield_now().await;
            }
            hsm.healthy().await.unwrap();
            assert_eq!(private_keys(&intruder(&soft, "late")), []);
        });
    });
}

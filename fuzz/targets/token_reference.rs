//! What is remembered of a key in a token, as the store gives it back and as a backup brings it: the key that it says, or
//! none. A key that is read is of the kind that was asked for, says the same again, and is recognized by a whole public
//! key where it has one.
//!
//! The first byte chooses the kind of key, the second the form.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vouchsafe_crypto::SecretBytes;
use vouchsafe_crypto::keys::{KeyFamily, KeySpec};
use vouchsafe_domain::ports::hsm::{HsmError, KeyRef};
use vouchsafe_hsm::pkcs11::material::TokenKey;

const SERIAL: &str = "4711";

fuzz_target!(|data: &[u8]| {
    let Some((&[kind, form], rest)) = data.split_first_chunk::<2>() else { return };
    let spec = KeySpec::ALL[usize::from(kind) % KeySpec::ALL.len()];
    let bytes = SecretBytes::new(rest.to_vec());
    let read = match form % 2 {
        0 => TokenKey::from_reference(&KeyRef { spec, material: &bytes }),
        _ => TokenKey::from_backup(spec, &bytes, SERIAL),
    };
    match read {
        Ok(key) => {
            assert!(key.spec == spec, "another kind of key than was asked for");
            let material = key.material();
            let again = TokenKey::from_reference(&KeyRef { spec, material: &material });
            assert!(again == Ok(key.clone()), "another key came back");
            assert!(TokenKey::from_backup(spec, &key.backup(SERIAL), SERIAL) == Ok(key.clone()));
            let has_public = spec.family() != KeyFamily::Oct;
            assert_eq!(key.public().map(|public| public.spec()), has_public.then_some(spec));
        }
        Err(HsmError::Mismatch | HsmError::Refused(_)) => {}
        Err(other) => panic!("a reference that cannot be read is {other:?}"),
    }
});

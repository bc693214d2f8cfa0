//! RSA-OAEP with SHA-256 (RFC 8017 §7.1) on tokens whose OAEP knows SHA-1 only.
//!
//! Such a token can still compute the bare RSA operation, which gives the padded message. Taking the padding off must
//! take the same time whatever is in it, and we write no primitives. So the padded message is encrypted once more, for
//! a key pair of this process (a bridge), bare again and with its public half; what comes out is an ordinary OAEP ciphertext for the
//! bridge, and aws-lc-rs decrypts it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, KeyType, ObjectClass, ObjectHandle};
use tokio::task::spawn_blocking;
use vouchsafe_crypto::SecretBytes;
use vouchsafe_crypto::keys::{CiphertextParts, EncryptionAlgorithm, KeySpec, PrivateKey, PublicKey};
use vouchsafe_domain::ports::hsm::HsmError;
use zeroize::Zeroizing;

use super::connection::Fault;
use super::token::{TokenConnection, fault};

/// Key pairs of this process, one of each size. A thread of the token says which it misses; the pair is made elsewhere,
/// because that may take longer than any call to a token.
#[derive(Default)]
pub(super) struct Bridges {
    pairs: Mutex<BTreeMap<KeySpec, Option<Arc<PrivateKey>>>>,
    making: tokio::sync::Mutex<()>,
}

impl Bridges {
    /// The pair, if it was made; otherwise it is missed from now on.
    fn of(&self, spec: KeySpec) -> Option<Arc<PrivateKey>> {
        self.pairs().entry(spec).or_insert(None).clone()
    }

    /// Makes the pair if a call missed it; says whether there is one now, so that the call is worth repeating.
    pub(super) async fn make_if_missed(&self, spec: KeySpec) -> bool {
        let found = || self.pairs().get(&spec).map(Option::is_some);
        if found() == Some(false) {
            let _one_at_a_time = self.making.lock().await;
            if found() == Some(false) {
                let Ok(pair) = spawn_blocking(move || PrivateKey::generate(spec)).await else { return false };
                self.pairs().insert(spec, Some(Arc::new(pair)));
            }
        }
        found() == Some(true)
    }

    fn pairs(&self) -> MutexGuard<'_, BTreeMap<KeySpec, Option<Arc<PrivateKey>>>> {
        self.pairs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TokenConnection {
    pub(super) fn decrypt_oaep_sha256_raw(
        &mut self,
        spec: KeySpec,
        handle: ObjectHandle,
        value: &[u8],
    ) -> Result<SecretBytes, Fault> {
        if !self.offers(MechanismType::RSA_X_509) {
            return Err(Fault::Answer(HsmError::Unsupported("the token's RSA-OAEP takes SHA-1 only")));
        }
        let Some(bridge) = self.shared.bridges.of(spec) else {
            return Err(Fault::Answer(HsmError::Broken(
                "the key pair for RSA-OAEP-256 is not made yet".into(),
            )));
        };
        let bare = self
            .session
            .decrypt(&Mechanism::RsaX509, handle, value)
            .map(Zeroizing::new)
            .map_err(|error| self.judge_error(error))?;
        // Some tokens leave leading zeros out.
        let mut padded = Zeroizing::new(vec![0; spec.bytes()]);
        let start = padded.len().checked_sub(bare.len());
        let Some(place) = start.and_then(|start| padded.get_mut(start..)) else {
            return Err(Fault::Failed("the token gave more than a modulus".into()));
        };
        place.copy_from_slice(&bare);
        // SECURITY: a padded message begins with a zero byte. That it does not must show nowhere (Manger's attack): the
        // byte is cleared, which also keeps the number below the modulus of the bridge, and counts at the very end.
        let first = padded.first_mut().map(std::mem::take).unwrap_or(1);
        let crossed = self.encrypt_bare(bridge.as_ref(), &padded)?;
        let opened = bridge.decrypt(EncryptionAlgorithm::RsaOaep256, &CiphertextParts::of(&crossed));
        match opened {
            Ok(plaintext) if first == 0 => Ok(plaintext),
            _ => Err(Fault::Answer(HsmError::Refused("the ciphertext could not be decrypted"))),
        }
    }

    /// The bare RSA operation with a public key, which the token computes too.
    fn encrypt_bare(&self, key: &PrivateKey, message: &[u8]) -> Result<Vec<u8>, Fault> {
        let Some(PublicKey::Rsa { n, e }) = key.public() else {
            return Err(Fault::Answer(HsmError::Broken("the bridge is not an RSA key".into())));
        };
        let passing = self
            .session
            .create_object(&[
                Attribute::Class(ObjectClass::PUBLIC_KEY),
                Attribute::KeyType(KeyType::RSA),
                Attribute::Token(false),
                Attribute::Private(false),
                Attribute::Encrypt(true),
                Attribute::Modulus(n),
                Attribute::PublicExponent(e),
            ])
            .map_err(fault)?;
        let crossed = self.session.encrypt(&Mechanism::RsaX509, passing, message).map_err(fault);
        self.discard(passing);
        crossed
    }
}

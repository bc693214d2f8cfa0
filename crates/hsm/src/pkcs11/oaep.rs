//! RSA-OAEP with SHA-256 (RFC 8017 §7.1) on tokens whose OAEP knows SHA-1 only.
//!
//! Such a token can still compute the bare RSA operation, which gives the padded message. Taking the padding off must
//! take the same time whatever is in it, and we write no primitives. So the padded message is encrypted once more, for
//! a key pair of the server (a bridge), bare again and with its public half; what comes out is an ordinary OAEP
//! ciphertext for the bridge, and aws-lc-rs decrypts it. The process of the module sees the bridge's public half only.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, KeyType, ObjectClass, ObjectHandle};
use tokio::task::spawn_blocking;
use vouchsafe_crypto::SecretBytes;
use vouchsafe_crypto::keys::{CiphertextParts, EncryptionAlgorithm, KeySpec, PrivateKey, PublicKey};
use vouchsafe_domain::ports::hsm::HsmError;
use zeroize::Zeroizing;

use super::connection::{Fault, Reply};
use super::token::{TokenConnection, fault};

/// Key pairs of the server, one of each size, made when one is missed first: that may take longer than any call to a
/// token.
#[derive(Default)]
pub(super) struct Bridges {
    pairs: Mutex<BTreeMap<KeySpec, Arc<PrivateKey>>>,
    making: tokio::sync::Mutex<()>,
}

impl Bridges {
    /// The pair, if it was made.
    pub(super) fn of(&self, spec: KeySpec) -> Option<Arc<PrivateKey>> {
        self.pairs().get(&spec).cloned()
    }

    /// The pair, made now if there is none.
    pub(super) async fn of_or_new(&self, spec: KeySpec) -> Result<Arc<PrivateKey>, HsmError> {
        let _one_at_a_time = self.making.lock().await;
        if let Some(pair) = self.of(spec) {
            return Ok(pair);
        }
        let made = spawn_blocking(move || PrivateKey::generate(spec)).await;
        let pair = Arc::new(made.map_err(|_| HsmError::Broken("no bridge was made".into()))?);
        self.pairs().insert(spec, Arc::clone(&pair));
        Ok(pair)
    }

    fn pairs(&self) -> MutexGuard<'_, BTreeMap<KeySpec, Arc<PrivateKey>>> {
        self.pairs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens what crossed the bridge.
pub(super) fn cross(bridge: &PrivateKey, first: u8, crossed: &[u8]) -> Result<SecretBytes, HsmError> {
    let opened = bridge.decrypt(EncryptionAlgorithm::RsaOaep256, &CiphertextParts::of(crossed));
    match opened {
        Ok(plaintext) if first == 0 => Ok(plaintext),
        _ => Err(HsmError::Refused("the ciphertext could not be decrypted")),
    }
}

impl TokenConnection {
    pub(super) fn decrypt_oaep_sha256_raw(
        &mut self,
        spec: KeySpec,
        handle: ObjectHandle,
        value: &[u8],
        bridge: Option<&PublicKey>,
    ) -> Result<Reply, Fault> {
        if !self.offers(MechanismType::RSA_X_509) {
            return Err(Fault::Answer(HsmError::Unsupported("the token's RSA-OAEP takes SHA-1 only")));
        }
        let Some(bridge) = bridge else { return Ok(Reply::NeedsBridge) };
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
        let crossed = self.encrypt_bare(bridge, &padded)?;
        Ok(Reply::Crossed { first, crossed })
    }

    /// The bare RSA operation with a public key, which the token computes too.
    fn encrypt_bare(&self, key: &PublicKey, message: &[u8]) -> Result<Vec<u8>, Fault> {
        let PublicKey::Rsa { n, e } = key else {
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
                Attribute::Modulus(n.clone()),
                Attribute::PublicExponent(e.clone()),
            ])
            .map_err(fault)?;
        let crossed = self.session.encrypt(&Mechanism::RsaX509, passing, message).map_err(fault);
        self.discard(passing);
        crossed
    }
}

//! RSA-OAEP with SHA-256 (RFC 8017 §7.1) on tokens whose OAEP knows SHA-1 only.
//!
//! Such a token can still compute the bare RSA operation, which gives the padded message. Taking the padding off must
//! take the same time whatever is in it, and we write no primitives. So the padded message is encrypted once more, for
//! a key pair of this process (a bridge), bare again and with its public half; what comes out is an ordinary OAEP ciphertext for the
//! bridge, and aws-lc-rs decrypts it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, KeyType, ObjectClass, ObjectHandle};
use vouchsafe_crypto::SecretBytes;
use vouchsafe_crypto::keys::{CiphertextParts, EncryptionAlgorithm, KeySpec, PrivateKey, PublicKey};
use vouchsafe_domain::ports::hsm::HsmError;
use zeroize::Zeroizing;

use super::connection::Fault;
use super::token::{TokenConnection, fault};

/// Key pairs of this process, one of each size, made when first needed.
#[derive(Default)]
pub(super) struct Bridges(Mutex<BTreeMap<KeySpec, Arc<PrivateKey>>>);

impl Bridges {
    fn of(&self, spec: KeySpec) -> Arc<PrivateKey> {
        let mut bridges = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(bridges.entry(spec).or_insert_with(|| Arc::new(PrivateKey::generate(spec))))
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
        let bridge = self.shared.bridges.of(spec);
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

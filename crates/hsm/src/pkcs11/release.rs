//! Keys on their way out of a token: wrapped in there, with an AES key that only their recipient gets (the layout of
//! `CKM_RSA_AES_KEY_WRAP`, PKCS#11 §2.1.21).
//!
//! The AES key is made here, put into the token as an object of this connection that does nothing but wrap, and
//! destroyed after the one call. What the token gives is under it; the key itself is never in our memory. Whether a key may leave is
//! decided by whoever asks; here one that was not made to leave is refused whoever asks.

use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, ObjectHandle};
use vouchsafe_crypto::SecretBytes;
use vouchsafe_crypto::keys::transport::wrapping_key_for;
use vouchsafe_crypto::keys::{KeyFamily, KeySpec, PublicKey, TransportAlgorithm};
use vouchsafe_domain::ports::hsm::{Exportable, HsmError};

use super::connection::Fault;
use super::material::TokenKey;
use super::token::{TokenConnection, fault};
use crate::words::misuse;
use crate::wrapped;

impl TokenConnection {
    /// Wraps a key for `recipient`.
    pub(super) fn wrap_for(
        &mut self,
        key: &TokenKey,
        recipient: &PublicKey,
        algorithm: TransportAlgorithm,
    ) -> Result<Vec<u8>, Fault> {
        if key.exportable == Exportable::Never {
            return Err(Fault::Answer(HsmError::Refused("the key is not exportable")));
        }
        let (wrapping_key, outer) =
            wrapping_key_for(recipient, algorithm).map_err(|error| Fault::Answer(misuse(error)))?;
        let inner = self.with_key(key, |token, handle| token.wrap_out(key.spec, handle, &wrapping_key))?;
        Ok([outer, inner].concat())
    }

    /// Whether the token wraps this key at all.
    pub(super) fn can_be_wrapped(&self, spec: KeySpec, handle: ObjectHandle) -> Result<(), Fault> {
        let nobodys = wrapped::new_wrapping_key().map_err(Fault::Answer)?;
        self.wrap_out(spec, handle, &nobodys).map(drop)
    }

    fn wrap_out(
        &self,
        spec: KeySpec,
        handle: ObjectHandle,
        wrapping_key: &SecretBytes,
    ) -> Result<Vec<u8>, Fault> {
        self.require_key_wrap()?;
        let wrapping = self.create_wrapping_key(wrapping_key, Attribute::Wrap(true))?;
        let inner = self.session.wrap_key(&Mechanism::AesKeyWrapPad, wrapping, handle).map_err(unwrappable);
        self.discard(wrapping);
        let inner = inner?;
        if has_length_of(spec, inner.len()) {
            Ok(inner)
        } else {
            Err(Fault::Answer(HsmError::Broken("the token wrapped something else than the key".into())))
        }
    }
}

/// A token that offers AES-KWP need not take every kind of key for it.
fn unwrappable(error: Error) -> Fault {
    match error {
        Error::Pkcs11(
            RvError::KeyNotWrappable
            | RvError::KeySizeRange
            | RvError::KeyTypeInconsistent
            | RvError::KeyUnextractable
            | RvError::FunctionNotSupported
            | RvError::MechanismInvalid,
            _,
        ) => Fault::Answer(HsmError::Unsupported("the token does not wrap keys of this kind")),
        other => fault(other),
    }
}

/// Whether a key under AES-KWP can be so long (RFC 5649 §4.1): whole blocks, one more than what is in them.
fn has_length_of(spec: KeySpec, bytes: usize) -> bool {
    let clear = match spec.family() {
        KeyFamily::Oct => spec.bytes()..=spec.bytes(),
        // A scalar with or without the point.
        KeyFamily::Ec => spec.bytes()..=4 * spec.bytes() + 64,
        // Four and a half times the modulus in nine numbers.
        KeyFamily::Rsa => 4 * spec.bytes()..=5 * spec.bytes() + 64,
    };
    let filled = clear.start().next_multiple_of(8) + 8..=clear.end().next_multiple_of(8) + 8;
    bytes.is_multiple_of(8) && filled.contains(&bytes)
}

#[cfg(test)]
mod tests {
    use vouchsafe_crypto::keys::PrivateKey;

    use super::*;

    #[test]
    fn the_lengths_of_wrapped_keys_are_those_that_their_kinds_have() {
        for spec in KeySpec::ALL {
            let key = PrivateKey::generate(spec);
            let clear = key.to_pkcs8().unwrap_or_else(|| key.to_material());
            let key = wrapped::new_wrapping_key().expect("a key");
            let bytes = wrapped::wrap(&key, &clear).expect("wrapped").len();
            assert!(has_length_of(spec, bytes), "{spec:?}: {bytes}");
            for wrong in [0, 8, bytes - 1, bytes + 1, 2 * bytes + 200] {
                assert!(!has_length_of(spec, wrong), "{spec:?}: {wrong}");
            }
        }
    }
}

//! Keys that come into a token from outside.
//!
//! A key of a caller is wrapped here with a key of ours and unwrapped inside (AES-KWP, PKCS#11 §2.14), so that one way
//! in is enough for every kind. A wrapped key ("bring your own key", the layout of `CKM_RSA_AES_KEY_WRAP`, PKCS#11
//! §2.1.21) is unwrapped inside in two steps: first the AES key with the exchange key, then the key with the AES key.
//! Neither of the two is ever in our memory.

use cryptoki::error::Error;
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, KeyType, ObjectClass, ObjectHandle};
use vouchsafe_crypto::keys::{KeyFamily, KeySpec, PrivateKey, PublicKey};
use vouchsafe_crypto::{Reason, SecretBytes};
use vouchsafe_domain::ports::hsm::{Exportable, HsmError};

use super::connection::{Fault, Reply};
use super::keys::{Origin, Plan, private_template};
use super::material::TokenKey;
use super::operate::oaep_sha1;
use super::token::{TokenConnection, fault};
use crate::wrapped;

impl TokenConnection {
    /// Takes over a key that is in our memory.
    pub(super) fn import(&mut self, key: &PrivateKey, exportable: Exportable) -> Result<Reply, Fault> {
        let spec = key.spec();
        let clear = key.to_pkcs8().unwrap_or_else(|| key.to_material());
        let wrapping_key = wrapped::new_wrapping_key().map_err(Fault::Answer)?;
        let inner = wrapped::wrap(&wrapping_key, &clear).map_err(Fault::Answer)?;
        self.require_key_wrap()?;
        let wrapping = self.create_wrapping_key(&wrapping_key, Attribute::Unwrap(true))?;
        let held = self.unwrap_in(spec, exportable, wrapping, &inner, |_, _| Ok(key.public()));
        self.discard(wrapping);
        held
    }

    /// Takes over a key that only the token can unwrap.
    pub(super) fn import_wrapped(
        &mut self,
        exchange: &TokenKey,
        wrapping_key: &[u8],
        inner: &[u8],
        spec: KeySpec,
        exportable: Exportable,
    ) -> Result<Reply, Fault> {
        self.require_key_wrap()?;
        self.with_key(exchange, |token, exchange| {
            let wrapping = token
                .session
                .unwrap_key(&oaep_sha1(), exchange, wrapping_key, &wrapping_template(Attribute::Unwrap(true)))
                .map_err(|error| token.not_unwrapped(error))?;
            let held =
                token.unwrap_in(spec, exportable, wrapping, inner, |token, handle| match spec.family() {
                    KeyFamily::Oct => Ok(None),
                    KeyFamily::Rsa => token.read_public(spec, handle).map(Some),
                    // The point is not part of what a token makes of an unwrapped key, unless it computes it.
                    KeyFamily::Ec => token.read_public(spec, handle).map(Some).map_err(|error| match error {
                        Fault::Answer(_) => Fault::Answer(HsmError::Unsupported(
                            "the token does not show the public half of an unwrapped EC key",
                        )),
                        other => other,
                    }),
                });
            token.discard(wrapping);
            held
        })
    }

    /// One answer for every step, so that it does not tell where a padding was wrong.
    fn not_unwrapped(&self, error: Error) -> Fault {
        match self.judge_error(error) {
            Fault::Answer(HsmError::Refused(_)) => {
                Fault::Answer(HsmError::Refused("the wrapped key could not be unwrapped"))
            }
            other => other,
        }
    }

    pub(super) fn require_key_wrap(&self) -> Result<(), Fault> {
        if self.offers(MechanismType::AES_KEY_WRAP_PAD) {
            Ok(())
        } else {
            Err(Fault::Answer(HsmError::Unsupported("the token does not wrap and unwrap keys with AES-KWP")))
        }
    }

    /// Puts an AES key into the token that does what `purpose` says, and lives as long as one call.
    pub(super) fn create_wrapping_key(
        &self,
        key: &SecretBytes,
        purpose: Attribute,
    ) -> Result<ObjectHandle, Fault> {
        let mut template = wrapping_template(purpose);
        template.push(Attribute::Value(key.expose(Reason::Cipher).to_vec()));
        self.session.create_object(&template).map_err(fault)
    }

    /// Unwraps a key so that it stays, and accepts it or destroys it.
    fn unwrap_in(
        &mut self,
        spec: KeySpec,
        exportable: Exportable,
        wrapping: ObjectHandle,
        inner: &[u8],
        public: impl Fn(&mut Self, ObjectHandle) -> Result<Option<PublicKey>, Fault>,
    ) -> Result<Reply, Fault> {
        // Nothing but its length tells one kind of symmetric key from another, and not every token says what it unwrapped.
        // AES-KWP adds one block (RFC 5649 §4.1); what it filled up to whole blocks is no AES key.
        if spec.family() == KeyFamily::Oct && inner.len() != spec.bytes() + 8 {
            return Err(Fault::Answer(HsmError::Refused("the wrapped key is of another kind")));
        }
        let plan = Plan { spec, id: self.new_id()?, exportable };
        // Not as strict as for keys that are made: SoftHSM refuses that here, and leaves an empty object behind.
        let template = private_template(plan, false);
        let unwrapped = self.session.unwrap_key(&Mechanism::AesKeyWrapPad, wrapping, inner, &template);
        let handle = unwrapped.map_err(|error| self.not_unwrapped(error))?;
        let held = self.take_in(plan, handle, Origin::Elsewhere, |token| public(token, handle));
        // What was unwrapped is not what the caller said it was.
        held.map_err(|error| match error {
            Fault::Answer(HsmError::Unsupported(_)) if spec.family() != KeyFamily::Oct => error,
            Fault::Answer(HsmError::Mismatch | HsmError::Broken(_) | HsmError::Unsupported(_)) => {
                Fault::Answer(HsmError::Refused("the wrapped key is of another kind"))
            }
            other => other,
        })
    }
}

/// An AES key that lives as long as one call and does nothing but wrap or unwrap.
fn wrapping_template(purpose: Attribute) -> Vec<Attribute> {
    vec![
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::AES),
        Attribute::Token(false),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        purpose,
    ]
}

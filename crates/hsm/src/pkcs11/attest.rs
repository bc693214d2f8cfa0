//! What a token says of a key in it, for whoever wants to know where the key is and how it came there.
//!
//! SECURITY: a statement is about the key that is remembered. The connection forgets that it has met the key, so that it
//! is found, examined and proved once more before anything is read; and all that is read comes from the token, not from
//! what was asked of it when the key was made.

use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use vouchsafe_crypto::keys::{KeyFamily, KeySpec};
use vouchsafe_domain::ports::hsm::{HsmError, ObjectStatement, TokenStatement};

use super::connection::Fault;
use super::keys::{class_of, curve_parameters};
use super::material::TokenKey;
use super::token::{TokenConnection, fault, lost};

/// What is read of every object.
const WANTED: &[AttributeType] = &[
    AttributeType::KeyType,
    AttributeType::Token,
    AttributeType::Private,
    AttributeType::Sensitive,
    AttributeType::AlwaysSensitive,
    AttributeType::Extractable,
    AttributeType::NeverExtractable,
    AttributeType::Local,
];

impl TokenConnection {
    /// Reads what the token says of itself and of a key.
    pub(super) fn attest(&mut self, key: &TokenKey) -> Result<TokenStatement, Fault> {
        self.handles.remove(key);
        let secret = self.with_key(key, |token, handle| token.object(key.spec, handle))?;
        let public = match key.spec.family() {
            KeyFamily::Oct => None,
            // A key that was unwrapped has none.
            KeyFamily::Rsa | KeyFamily::Ec => {
                match self.objects(ObjectClass::PUBLIC_KEY, key.id)?.as_slice() {
                    [] => None,
                    [handle] => Some(self.public_object(key, *handle)?),
                    _ => return Err(Fault::Answer(HsmError::Mismatch)),
                }
            }
        };
        let token = self.module.get_token_info(self.slot).map_err(lost)?;
        let text = |text: &str| text.trim_end().to_owned();
        Ok(TokenStatement {
            manufacturer: text(token.manufacturer_id()),
            model: text(token.model()),
            serial: text(token.serial_number()),
            label: text(token.label()),
            id: key.id.to_vec(),
            secret,
            public,
        })
    }

    fn object(&self, spec: KeySpec, handle: ObjectHandle) -> Result<ObjectStatement, Fault> {
        let mut wanted = WANTED.to_vec();
        wanted.push(match spec.family() {
            KeyFamily::Rsa => AttributeType::Modulus,
            KeyFamily::Ec => AttributeType::EcParams,
            KeyFamily::Oct => AttributeType::ValueLen,
        });
        let attributes = self.session.get_attributes(handle, &wanted).map_err(fault)?;
        if is_of(spec, &attributes) { Ok(said(&attributes)) } else { Err(Fault::Answer(HsmError::Mismatch)) }
    }

    /// The public half under the same id, if it is that of the key.
    fn public_object(&self, key: &TokenKey, handle: ObjectHandle) -> Result<ObjectStatement, Fault> {
        if key.public() != Some(self.read_public(key.spec, handle)?) {
            return Err(Fault::Answer(HsmError::Mismatch));
        }
        self.object(key.spec, handle)
    }
}

/// Whether an object is of the kind and the size that it is remembered with. Every token says the kind (PKCS#11 §4.7); a
/// size that is not said has been proved with the key.
fn is_of(spec: KeySpec, attributes: &[Attribute]) -> bool {
    let mut kind: Option<KeyType> = None;
    for attribute in attributes {
        let fits = match attribute {
            Attribute::KeyType(said) => {
                kind = Some(*said);
                true
            }
            Attribute::Modulus(modulus) => {
                let zeros = modulus.iter().take_while(|byte| **byte == 0).count();
                (modulus.len() - zeros) * 8 == spec.bits()
            }
            Attribute::EcParams(parameters) => parameters == curve_parameters(spec),
            // SoftHSM says this of a key that was unwrapped.
            Attribute::ValueLen(bytes) if **bytes == 0 => true,
            Attribute::ValueLen(bytes) => usize::try_from(**bytes).is_ok_and(|bytes| bytes == spec.bytes()),
            _ => true,
        };
        if !fits {
            return false;
        }
    }
    kind == Some(class_of(spec).1)
}

fn said(attributes: &[Attribute]) -> ObjectStatement {
    let mut statement = ObjectStatement::default();
    for attribute in attributes {
        let (place, value) = match attribute {
            Attribute::Token(value) => (&mut statement.token, value),
            Attribute::Private(value) => (&mut statement.private, value),
            Attribute::Sensitive(value) => (&mut statement.sensitive, value),
            Attribute::AlwaysSensitive(value) => (&mut statement.always_sensitive, value),
            Attribute::Extractable(value) => (&mut statement.extractable, value),
            Attribute::NeverExtractable(value) => (&mut statement.never_extractable, value),
            Attribute::Local(value) => (&mut statement.local, value),
            _ => continue,
        };
        *place = Some(*value);
    }
    statement
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_of_another_kind_or_size_is_not_spoken_of() {
        let modulus = |bytes: usize| Attribute::Modulus(vec![0x80; bytes]);
        let curve = |spec| Attribute::EcParams(curve_parameters(spec).to_vec());
        let length = |bytes: std::ffi::c_ulong| Attribute::ValueLen(bytes.into());
        let kind = Attribute::KeyType;
        for (spec, right, wrong) in [
            (KeySpec::Rsa3072, [kind(KeyType::RSA), modulus(384)], [kind(KeyType::RSA), modulus(256)]),
            (
                KeySpec::P384,
                [kind(KeyType::EC), curve(KeySpec::P384)],
                [kind(KeyType::EC), curve(KeySpec::P256)],
            ),
            (KeySpec::Oct256, [kind(KeyType::AES), length(32)], [kind(KeyType::AES), length(16)]),
        ] {
            assert!(is_of(spec, &right) && is_of(spec, &right[..1]), "{spec:?}");
            assert!(!is_of(spec, &wrong), "{spec:?} of another size");
            assert!(!is_of(spec, &right[1..]), "{spec:?} of no kind");
        }
        assert!(is_of(KeySpec::Oct256, &[kind(KeyType::AES), length(0)]), "a size that is not said");
        assert!(!is_of(KeySpec::Oct256, &[kind(KeyType::GENERIC_SECRET), length(32)]));
    }

    #[test]
    fn each_attribute_is_read_as_itself_and_what_is_not_said_is_absent() {
        let all = [
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::AlwaysSensitive(true),
            Attribute::Extractable(true),
            Attribute::NeverExtractable(true),
            Attribute::Local(true),
        ];
        let shown = |attributes: &[Attribute]| {
            let said = said(attributes);
            [
                said.token,
                said.private,
                said.sensitive,
                said.always_sensitive,
                said.extractable,
                said.never_extractable,
                said.local,
            ]
        };
        for place in 0..all.len() {
            let mut expected = [None; 7];
            expected[place] = Some(true);
            assert_eq!(shown(&all[place..=place]), expected);
        }
        assert_eq!(shown(&[Attribute::Local(false)])[6], Some(false));
    }
}

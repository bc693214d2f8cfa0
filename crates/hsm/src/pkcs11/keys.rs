//! Keys in a token: made so that they cannot leave it, unless that is what they are for, found by id, and proved before
//! their first use.
//!
//! SECURITY: a template is a wish. What a token made of it is read back, and a key that could leave the token and should
//! not, could not and should, or is shown in the clear is destroyed and refused. The same is looked at again whenever a
//! connection meets a key for the first time, together with a proof that it is the key that is remembered.

use aws_lc_rs::digest::{SHA256, digest};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use vouchsafe_crypto::keys::{KeyFamily, KeySpec, PublicKey, SignatureAlgorithm};
use vouchsafe_domain::ports::hsm::{Exportable, HsmError};

use super::connection::{Fault, Reply};
use super::material::{Check, ID_BYTES, TokenKey};
use super::token::{TokenConnection, fault, lost};
use crate::limits;

/// What is signed to prove that a private key belongs to a public one.
const CHALLENGE: &[u8] = b"vouchsafe: this private key belongs to the public key that is remembered";
/// What a symmetric key encrypts to be recognized. Not zeros, as is usual: that would be the key of GCM's authentication.
const CHECK_BLOCK: &[u8; 16] = b"vouchsafe check\x01";

impl TokenConnection {
    /// Makes a key in the token.
    pub(super) fn generate(&mut self, spec: KeySpec, exportable: Exportable) -> Result<Reply, Fault> {
        let plan = Plan { spec, id: self.new_id()?, exportable };
        let made = match self.generate_object(plan, true) {
            Err(error) if refuses_strictness(&error) => self.generate_object(plan, false),
            other => other,
        };
        let (public, private) = made.map_err(fault)?;
        let held = self.take_in(plan, private, Origin::Made, |token| match public {
            Some(public) => token.read_public(spec, public).map(Some),
            None => Ok(None),
        });
        if held.is_err()
            && let Some(public) = public
        {
            self.discard(public);
        }
        held
    }

    fn generate_object(
        &self,
        plan: Plan,
        strict: bool,
    ) -> Result<(Option<ObjectHandle>, ObjectHandle), Error> {
        let Plan { spec, id, .. } = plan;
        let mut private = private_template(plan, strict);
        let mut public = vec![
            Attribute::Token(true),
            Attribute::Private(false),
            Attribute::Verify(true),
            Attribute::Id(id.to_vec()),
        ];
        let mechanism = match spec.family() {
            KeyFamily::Oct => {
                private.push(Attribute::ValueLen(spec.bytes().try_into()?));
                return Ok((None, self.session.generate_key(&Mechanism::AesKeyGen, &private)?));
            }
            KeyFamily::Rsa => {
                public.extend([
                    Attribute::Encrypt(true),
                    Attribute::ModulusBits(spec.bits().try_into()?),
                    Attribute::PublicExponent(vec![1, 0, 1]),
                ]);
                Mechanism::RsaPkcsKeyPairGen
            }
            KeyFamily::Ec => {
                public.push(Attribute::EcParams(curve_parameters(spec).to_vec()));
                Mechanism::EccKeyPairGen
            }
        };
        let (public, private) = self.session.generate_key_pair(&mechanism, &public, &private)?;
        Ok((Some(public), private))
    }

    /// Accepts a key that has just come to be in the token, or destroys it.
    pub(super) fn take_in(
        &mut self,
        Plan { spec, id, exportable }: Plan,
        handle: ObjectHandle,
        origin: Origin,
        public: impl FnOnce(&mut Self) -> Result<Option<PublicKey>, Fault>,
    ) -> Result<Reply, Fault> {
        let accepted = self.examine(handle, origin, exportable).and_then(|()| {
            let public = public(self)?;
            let check = match &public {
                Some(public) if public.spec() != spec => {
                    return Err(Fault::Answer(HsmError::Refused("the key is of another kind")));
                }
                Some(public) => Check::Public(public.spki_der()),
                None => Check::Value(self.check_value(handle)?),
            };
            let key = TokenKey { spec, id, exportable, check };
            self.prove(&key, handle)?;
            if exportable == Exportable::OnRelease {
                // Whether it can be kept is found out now, and not on the day on which it is needed elsewhere.
                self.can_be_wrapped(spec, handle)?;
            }
            Ok((key, public))
        });
        match accepted {
            Ok((key, public)) => {
                self.remember(key.clone(), handle);
                Ok(Reply::Held(key, public))
            }
            Err(error) => {
                self.discard(handle);
                Err(error)
            }
        }
    }

    /// Works with a key. A handle that turns out to mean nothing any more is looked up once more.
    pub(super) fn with_key<T>(
        &mut self,
        key: &TokenKey,
        work: impl Fn(&mut Self, ObjectHandle) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let handle = self.find(key)?;
        match work(self, handle) {
            Err(Fault::Stale) => {
                self.handles.clear();
                let handle = self.find(key)?;
                work(self, handle)
            }
            other => other,
        }
    }

    /// The handle of a key that has been proved on this connection.
    fn find(&mut self, key: &TokenKey) -> Result<ObjectHandle, Fault> {
        if self.trusted != self.generation {
            self.handles.clear();
            self.trusted = self.generation;
        }
        if let Some(handle) = self.handles.get(key) {
            return Ok(*handle);
        }
        let handle = self.find_one(key)?.ok_or(Fault::Answer(HsmError::NotFound))?;
        match self.examine(handle, Origin::Elsewhere, key.exportable) {
            Err(Fault::Answer(_)) => return Err(Fault::Answer(HsmError::Mismatch)),
            other => other?,
        }
        self.prove(key, handle)?;
        self.remember(key.clone(), handle);
        Ok(handle)
    }

    /// The one private or secret key with the id, not proved.
    fn find_one(&self, key: &TokenKey) -> Result<Option<ObjectHandle>, Fault> {
        let (class, _) = class_of(key.spec);
        let found = self.objects(class, key.id)?;
        match found.as_slice() {
            [handle] => Ok(Some(*handle)),
            // A token that is gone has no keys either, nor has one that we are not logged in to. Only one that is there
            // and shows us everything can say that a key is not.
            [] => self.serial().and_then(|_| self.is_logged_in()).map(|()| None),
            _ => Err(Fault::Answer(HsmError::Mismatch)),
        }
    }

    pub(super) fn objects(&self, class: ObjectClass, id: [u8; ID_BYTES]) -> Result<Vec<ObjectHandle>, Fault> {
        let template = [Attribute::Class(class), Attribute::Token(true), Attribute::Id(id.to_vec())];
        self.session.find_objects(&template).map_err(lost)
    }

    /// Forgets a key with its public half. One that is not found may be one that only this process does not see: whether
    /// it is gone is not decided here.
    pub(super) fn destroy(&mut self, key: &TokenKey) -> Result<(), Fault> {
        let handle = match self.find(key) {
            Err(Fault::Answer(HsmError::NotFound)) => {
                self.destroy_public(key)?;
                return Err(Fault::Answer(HsmError::NotFound));
            }
            other => other?,
        };
        self.handles.clear();
        match self.session.destroy_object(handle).map_err(fault) {
            Ok(()) | Err(Fault::Stale) => self.destroy_public(key),
            Err(error) => Err(error),
        }
    }

    fn destroy_public(&self, key: &TokenKey) -> Result<(), Fault> {
        if key.spec.family() != KeyFamily::Oct {
            for handle in self.objects(ObjectClass::PUBLIC_KEY, key.id)? {
                self.discard(handle);
            }
        }
        Ok(())
    }

    /// Forgets whatever is under an id that nobody remembers: a key that was being made when its maker ended.
    pub fn forget(&mut self, id: [u8; ID_BYTES]) -> Result<(), Fault> {
        self.handles.clear();
        for class in [ObjectClass::PRIVATE_KEY, ObjectClass::PUBLIC_KEY, ObjectClass::SECRET_KEY] {
            for handle in self.objects(class, id)? {
                self.session.destroy_object(handle).map_err(lost)?;
            }
        }
        Ok(())
    }

    /// Removes what must not stay; that it could not be removed is said, and does not hide why it was to go.
    pub(super) fn discard(&self, handle: ObjectHandle) {
        if let Err(error) = self.session.destroy_object(handle) {
            tracing::warn!(%error, "an object that is not used stays in the token");
        }
    }

    fn remember(&mut self, key: TokenKey, handle: ObjectHandle) {
        if self.handles.len() >= limits::HANDLES_MAX {
            self.handles.clear();
        }
        self.handles.insert(key, handle);
    }

    /// Has the module take notice of what other processes made and destroyed.
    ///
    /// SoftHSM does so when it is asked to find something, and takes what it writes itself for the newest state: a process
    /// that writes before it has looked does not find their keys until somebody writes again.
    fn look(&self) -> Result<(), Fault> {
        self.objects(ObjectClass::PRIVATE_KEY, [0; ID_BYTES]).map(drop)
    }

    /// The id of a key that is about to be made.
    pub(super) fn new_id(&mut self) -> Result<[u8; ID_BYTES], Fault> {
        self.look()?;
        if let Some(id) = self.next_id.take() {
            return Ok(id);
        }
        let id = self.random_bytes(ID_BYTES)?;
        id.try_into().map_err(|_| Fault::Failed("the token gave too few random bytes".into()))
    }

    /// Whether a key is held as it must be.
    fn examine(&self, handle: ObjectHandle, origin: Origin, exportable: Exportable) -> Result<(), Fault> {
        let wanted = [
            AttributeType::Token,
            AttributeType::Private,
            AttributeType::Sensitive,
            AttributeType::Extractable,
            AttributeType::AlwaysSensitive,
            AttributeType::NeverExtractable,
        ];
        let attributes = self.session.get_attributes(handle, &wanted).map_err(fault)?;
        match weakness(&attributes, origin, exportable) {
            None => Ok(()),
            Some(weakness) => {
                tracing::error!(weakness, "a key in the token is not held as it must be; it is not used");
                Err(Fault::Answer(HsmError::Broken(format!("the token holds a key {weakness}"))))
            }
        }
    }

    /// Whether the key behind the handle is the one that is remembered.
    fn prove(&mut self, key: &TokenKey, handle: ObjectHandle) -> Result<(), Fault> {
        let mismatch = || Fault::Answer(HsmError::Mismatch);
        let proved = match &key.check {
            Check::Value(value) => self.check_value(handle).map(|found| found == *value),
            Check::Public(_) => {
                let public = key.public().ok_or_else(mismatch)?;
                let algorithm = proof_algorithm(key.spec).ok_or_else(mismatch)?;
                let digest = challenge(algorithm, &key.id);
                self.sign(handle, algorithm, &digest)
                    .map(|signature| public.verify(algorithm, &digest, &signature).unwrap_or(false))
            }
        };
        match proved {
            Ok(true) => Ok(()),
            // A key of another kind cannot even try.
            Ok(false) | Err(Fault::Answer(_)) => Err(mismatch()),
            Err(error) => Err(error),
        }
    }

    fn check_value(&self, handle: ObjectHandle) -> Result<[u8; 32], Fault> {
        let block = self.session.encrypt(&Mechanism::AesEcb, handle, CHECK_BLOCK).map_err(fault)?;
        digest(&SHA256, &block)
            .as_ref()
            .try_into()
            .map_err(|_| Fault::Failed("SHA-256 is not 32 bytes".into()))
    }

    /// The public key that an object shows.
    pub(super) fn read_public(&self, spec: KeySpec, handle: ObjectHandle) -> Result<PublicKey, Fault> {
        let wanted = match spec.family() {
            KeyFamily::Rsa => [AttributeType::Modulus, AttributeType::PublicExponent].as_slice(),
            KeyFamily::Ec => [AttributeType::EcPoint].as_slice(),
            KeyFamily::Oct => [].as_slice(),
        };
        let attributes = self.session.get_attributes(handle, wanted).map_err(fault)?;
        public_key(spec, &attributes)
            .ok_or_else(|| Fault::Answer(HsmError::Broken("the token shows no usable public key".into())))
    }
}

/// What is to come to be in the token.
#[derive(Clone, Copy)]
pub(super) struct Plan {
    pub spec: KeySpec,
    pub id: [u8; ID_BYTES],
    pub exportable: Exportable,
}

/// Where a key comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Origin {
    /// The token made it: it has never been anywhere else.
    Made,
    /// It was taken over, or was met again.
    Elsewhere,
}

/// What is wrong with how a key is held; what a token does not say counts as wrong.
fn weakness(attributes: &[Attribute], origin: Origin, exportable: Exportable) -> Option<&'static str> {
    let said = |wanted: &Attribute| attributes.contains(wanted);
    let stays = exportable == Exportable::Never;
    if !said(&Attribute::Sensitive(true)) {
        Some("that it shows in the clear")
    } else if stays && !said(&Attribute::Extractable(false)) {
        Some("that can leave it")
    } else if !stays && !said(&Attribute::Extractable(true)) {
        Some("that cannot leave it, as it should")
    } else if !said(&Attribute::Token(true)) || !said(&Attribute::Private(true)) {
        Some("that is not kept, or needs no login")
    } else if origin == Origin::Made
        && (said(&Attribute::AlwaysSensitive(false)) || stays && said(&Attribute::NeverExtractable(false)))
    {
        Some("that could once leave it")
    } else {
        None
    }
}

/// What every key is held as. `strict` adds what not every token takes.
pub(super) fn private_template(plan: Plan, strict: bool) -> Vec<Attribute> {
    let Plan { spec, id, exportable } = plan;
    let (class, key_type) = class_of(spec);
    let mut template = vec![
        Attribute::Class(class),
        Attribute::KeyType(key_type),
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(exportable == Exportable::OnRelease),
        Attribute::Id(id.to_vec()),
    ];
    match spec.family() {
        KeyFamily::Rsa => {
            template.extend([Attribute::Sign(true), Attribute::Decrypt(true), Attribute::Unwrap(true)]);
        }
        KeyFamily::Ec => template.push(Attribute::Sign(true)),
        KeyFamily::Oct => template.extend([
            Attribute::Encrypt(true),
            Attribute::Decrypt(true),
            Attribute::Wrap(true),
            Attribute::Unwrap(true),
        ]),
    }
    if strict {
        template.extend([Attribute::Modifiable(false), Attribute::Copyable(false)]);
    }
    template
}

/// Whether a token may have refused because of what `strict` adds.
fn refuses_strictness(error: &Error) -> bool {
    matches!(
        error,
        Error::Pkcs11(
            RvError::AttributeTypeInvalid
                | RvError::AttributeValueInvalid
                | RvError::AttributeReadOnly
                | RvError::TemplateInconsistent,
            _
        )
    )
}

pub(super) fn class_of(spec: KeySpec) -> (ObjectClass, KeyType) {
    match spec.family() {
        KeyFamily::Rsa => (ObjectClass::PRIVATE_KEY, KeyType::RSA),
        KeyFamily::Ec => (ObjectClass::PRIVATE_KEY, KeyType::EC),
        KeyFamily::Oct => (ObjectClass::SECRET_KEY, KeyType::AES),
    }
}

/// The object identifier of a curve in DER (RFC 5480 §2.1.1.1, SEC 2).
pub(super) fn curve_parameters(spec: KeySpec) -> &'static [u8] {
    match spec {
        KeySpec::P256 => &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07],
        KeySpec::P384 => &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22],
        KeySpec::P521 => &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x23],
        KeySpec::P256K => &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x0a],
        _ => &[],
    }
}

fn proof_algorithm(spec: KeySpec) -> Option<SignatureAlgorithm> {
    SignatureAlgorithm::ALL
        .iter()
        .copied()
        .find(|algorithm| algorithm.fits(spec) && !algorithm.is_symmetric())
}

/// A digest as long as the algorithm's; only that nobody else signs it matters.
fn challenge(algorithm: SignatureAlgorithm, id: &[u8]) -> Vec<u8> {
    let half = digest(&SHA256, &[CHALLENGE, id].concat());
    half.as_ref().iter().copied().cycle().take(algorithm.digest_bytes()).collect()
}

/// Reads a public key from attributes. An EC point is an OCTET STRING in DER (PKCS#11 §2.3.3); some tokens leave that out.
fn public_key(spec: KeySpec, attributes: &[Attribute]) -> Option<PublicKey> {
    let (mut modulus, mut exponent, mut point) = (None, None, None);
    for attribute in attributes {
        match attribute {
            Attribute::Modulus(bytes) => modulus = Some(bytes),
            Attribute::PublicExponent(bytes) => exponent = Some(bytes),
            Attribute::EcPoint(bytes) => point = Some(bytes.as_slice()),
            _ => {}
        }
    }
    if spec.family() == KeyFamily::Rsa {
        return PublicKey::rsa(modulus?, exponent?).ok();
    }
    let (point, raw_bytes) = (point?, 1 + 2 * spec.bytes());
    let raw = match point.len().checked_sub(raw_bytes)? {
        0 => point,
        2 => point.strip_prefix(&[0x04, u8::try_from(raw_bytes).ok()?])?,
        3 => point.strip_prefix(&[0x04, 0x81, u8::try_from(raw_bytes).ok()?])?,
        _ => return None,
    };
    let (x, y) = raw.strip_prefix(&[0x04])?.split_at_checked(spec.bytes())?;
    PublicKey::ec(spec, x, y).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn as_wished() -> Vec<Attribute> {
        vec![
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::AlwaysSensitive(true),
            Attribute::NeverExtractable(true),
        ]
    }

    #[test]
    fn a_key_that_a_token_made_weaker_than_wished_is_not_taken() {
        let weakness = |attributes: &[Attribute], origin| weakness(attributes, origin, Exportable::Never);
        assert_eq!(weakness(&as_wished(), Origin::Made), None);
        for other in [
            Attribute::Token(false),
            Attribute::Private(false),
            Attribute::Sensitive(false),
            Attribute::Extractable(true),
            Attribute::AlwaysSensitive(false),
            Attribute::NeverExtractable(false),
        ] {
            let mut attributes = as_wished();
            attributes.retain(|attribute| attribute.attribute_type() != other.attribute_type());
            let taken_over = matches!(other, Attribute::AlwaysSensitive(_) | Attribute::NeverExtractable(_));
            attributes.push(other);
            assert!(weakness(&attributes, Origin::Made).is_some());
            assert_eq!(weakness(&attributes, Origin::Elsewhere).is_none(), taken_over);
        }
        for missing in 0..4 {
            let mut attributes = as_wished();
            attributes.remove(missing);
            assert!(weakness(&attributes, Origin::Made).is_some(), "what is not said is not so");
        }
    }

    #[test]
    fn a_key_that_is_to_leave_is_taken_if_it_can_leave_and_is_not_shown_in_the_clear() {
        let leaves = |changed: &[Attribute]| {
            let mut attributes = as_wished();
            attributes.extend([Attribute::Extractable(true), Attribute::NeverExtractable(false)]);
            attributes.retain(|attribute| {
                *attribute != Attribute::Extractable(false) && *attribute != Attribute::NeverExtractable(true)
            });
            for changed in changed {
                attributes.retain(|attribute| attribute.attribute_type() != changed.attribute_type());
                attributes.push(changed.clone());
            }
            attributes
        };
        for origin in [Origin::Made, Origin::Elsewhere] {
            assert_eq!(weakness(&leaves(&[]), origin, Exportable::OnRelease), None);
            assert!(weakness(&leaves(&[]), origin, Exportable::Never).is_some());
            assert!(weakness(&as_wished(), origin, Exportable::OnRelease).is_some(), "it would never leave");
            for other in [
                Attribute::Token(false),
                Attribute::Private(false),
                Attribute::Sensitive(false),
                Attribute::Extractable(false),
            ] {
                assert!(weakness(&leaves(&[other]), origin, Exportable::OnRelease).is_some());
            }
        }
        let shown_once = leaves(&[Attribute::AlwaysSensitive(false)]);
        assert!(weakness(&shown_once, Origin::Made, Exportable::OnRelease).is_some());
        assert!(weakness(&shown_once, Origin::Elsewhere, Exportable::OnRelease).is_none());
    }

    #[test]
    fn a_point_is_read_with_and_without_its_wrapping() {
        let key = vouchsafe_crypto::keys::PrivateKey::generate(KeySpec::P521).public().expect("a public key");
        let PublicKey::Ec { x, y, .. } = &key else { panic!("a point") };
        let raw = [&[4], x.as_slice(), y].concat();
        let wrapped = [&[0x04, 0x81, 133], raw.as_slice()].concat();
        for point in [raw.clone(), wrapped] {
            let read = public_key(KeySpec::P521, &[Attribute::EcPoint(point)]);
            assert_eq!(read.as_ref(), Some(&key));
        }
        for wrong in [&raw[1..], &raw[..132], &[]] {
            assert_eq!(public_key(KeySpec::P521, &[Attribute::EcPoint(wrong.to_vec())]), None);
        }
    }
}

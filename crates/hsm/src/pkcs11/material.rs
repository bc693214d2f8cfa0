//! What the store remembers of a key in a token: where it is, and what proves that it is still the same.
//!
//! SECURITY: a label or an id finds *a* key. Whoever can write to the token can put another key under the same id, so
//! the material also holds the public key, which a signature must verify with, or a digest of what a symmetric key
//! encrypts a fixed block to. And it says whether the key may leave the token, so that one which was exchanged for a copy
//! that can is not used.

use vouchsafe_crypto::keys::{KeyFamily, KeySpec, PublicKey};
use vouchsafe_crypto::{Reason, SecretBytes};
use vouchsafe_domain::ports::hsm::{Exportable, HsmError, KeyRef};

/// `CKA_ID`: random, so that two deployments can share a token.
pub const ID_BYTES: usize = 16;
const CHECK_BYTES: usize = 32;
/// The first byte: how the rest is to be read, which is the same, and whether the key may leave the token.
const STAYS: u8 = 1;
const EXPORTABLE: u8 = 2;
const BACKUP_LABEL: &[u8] = b"vouchsafe token key reference 1\0";

/// A key in a token, as it is remembered.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct TokenKey {
    /// Its kind.
    pub spec: KeySpec,
    /// Its `CKA_ID`.
    pub id: [u8; ID_BYTES],
    /// Whether the token can wrap it for somebody; if not, it never leaves.
    pub exportable: Exportable,
    /// What it is recognized by.
    pub check: Check,
}

/// What a key is recognized by.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Check {
    /// Its public key, as `SubjectPublicKeyInfo`.
    Public(Vec<u8>),
    /// SHA-256 of what it encrypts a fixed block to.
    Value([u8; CHECK_BYTES]),
}

impl TokenKey {
    /// What the store keeps: a format, the id, the check.
    pub fn material(&self) -> SecretBytes {
        let check = match &self.check {
            Check::Public(spki) => spki.as_slice(),
            Check::Value(value) => value.as_slice(),
        };
        let format = match self.exportable {
            Exportable::Never => STAYS,
            Exportable::OnRelease => EXPORTABLE,
        };
        SecretBytes::new([&[format], self.id.as_slice(), check].concat())
    }

    /// Reads what the store kept; what is not a key of that kind is a mismatch.
    pub fn from_reference(key: &KeyRef<'_>) -> Result<Self, HsmError> {
        Self::read(key.spec, key.material.expose(Reason::Cipher))
    }

    pub(super) fn read(spec: KeySpec, material: &[u8]) -> Result<Self, HsmError> {
        let (format, rest) = material.split_first().ok_or(HsmError::Mismatch)?;
        let exportable = match *format {
            STAYS => Exportable::Never,
            EXPORTABLE => Exportable::OnRelease,
            _ => return Err(HsmError::Mismatch),
        };
        let (id, check) = rest.split_first_chunk::<ID_BYTES>().ok_or(HsmError::Mismatch)?;
        let check = match spec.family() {
            KeyFamily::Oct => Check::Value(check.try_into().map_err(|_| HsmError::Mismatch)?),
            KeyFamily::Rsa | KeyFamily::Ec => {
                let public = PublicKey::from_spki_der(check).map_err(|_| HsmError::Mismatch)?;
                if public.spec() != spec {
                    return Err(HsmError::Mismatch);
                }
                Check::Public(check.to_vec())
            }
        };
        Ok(Self { spec, id: *id, exportable, check })
    }

    /// The public key, where there is one.
    pub fn public(&self) -> Option<PublicKey> {
        match &self.check {
            Check::Public(spki) => PublicKey::from_spki_der(spki).ok(),
            Check::Value(_) => None,
        }
    }

    /// A backup: the material and the token it means something to. The key itself cannot leave.
    pub fn backup(&self, serial: &str) -> SecretBytes {
        let material = self.material();
        let length = u8::try_from(serial.len()).unwrap_or(u8::MAX);
        let serial = serial.as_bytes().get(..usize::from(length)).unwrap_or_default();
        SecretBytes::new([BACKUP_LABEL, &[length], serial, material.expose(Reason::Record)].concat())
    }

    /// Reads a backup that was made of this token.
    pub fn from_backup(spec: KeySpec, blob: &SecretBytes, serial: &str) -> Result<Self, HsmError> {
        let refused = || HsmError::Refused("the backup is not one of a key in a token");
        let rest = blob.expose(Reason::Record).strip_prefix(BACKUP_LABEL).ok_or_else(refused)?;
        let (length, rest) = rest.split_first().ok_or_else(refused)?;
        let (made_of, material) = rest.split_at_checked(usize::from(*length)).ok_or_else(refused)?;
        if made_of != serial.as_bytes() {
            return Err(HsmError::Refused("the backup refers to a key in another token"));
        }
        Self::read(spec, material)
    }
}

#[cfg(test)]
mod tests {
    use vouchsafe_crypto::keys::PrivateKey;

    use super::*;

    #[test]
    fn material_and_backups_come_back_and_what_is_cut_or_of_another_kind_does_not() {
        let public = PrivateKey::generate(KeySpec::P384).public().expect("a public key");
        for (key, other) in [
            (KeySpec::P384, Check::Public(public.spki_der()), KeySpec::P256),
            (KeySpec::Oct256, Check::Value([2; 32]), KeySpec::Rsa2048),
        ]
        .into_iter()
        .flat_map(|(spec, check, other)| {
            [Exportable::Never, Exportable::OnRelease].map(|exportable| {
                (TokenKey { spec, id: [1; ID_BYTES], exportable, check: check.clone() }, other)
            })
        }) {
            let spec = key.spec;
            let material = key.material();
            let material = material.expose(Reason::Test);
            assert_eq!(TokenKey::read(spec, material), Ok(key.clone()));
            assert_eq!(TokenKey::read(other, material), Err(HsmError::Mismatch));
            let backup = key.backup("4711");
            assert_eq!(TokenKey::from_backup(spec, &backup, "4711"), Ok(key.clone()));
            assert!(TokenKey::from_backup(spec, &backup, "4712").is_err());
            for length in 0..material.len() {
                assert_eq!(TokenKey::read(spec, &material[..length]), Err(HsmError::Mismatch), "{length}");
            }
            let whole = backup.expose(Reason::Test);
            for length in 0..whole.len() {
                let cut = SecretBytes::new(whole[..length].to_vec());
                assert!(TokenKey::from_backup(spec, &cut, "4711").is_err(), "{length}");
            }
            let mut changed = material.to_vec();
            changed[0] ^= 4;
            assert_eq!(TokenKey::read(spec, &changed), Err(HsmError::Mismatch), "another format");
            changed[0] ^= 4 | STAYS | EXPORTABLE;
            let turned = TokenKey::read(spec, &changed).expect("a reference");
            assert_ne!(turned.exportable, key.exportable, "it is another key, which the token does not have");
            changed[0] ^= STAYS | EXPORTABLE;
            changed.push(0);
            assert_eq!(TokenKey::read(spec, &changed), Err(HsmError::Mismatch), "one byte more");
        }
    }

    /// A small generator of numbers that a seed repeats (SplitMix64).
    struct Dice(u64);

    impl Dice {
        fn below(&mut self, end: usize) -> usize {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            usize::try_from((z ^ (z >> 31)) % (end.max(1) as u64)).expect("it is below a number of bytes")
        }

        /// The same bytes with a bit, a byte, a piece or the end changed.
        fn bent(&mut self, sample: &[u8]) -> Vec<u8> {
            let mut bytes = sample.to_vec();
            for _ in 0..=self.below(2) {
                let at = self.below(bytes.len());
                match (self.below(6), bytes.len()) {
                    (_, 0) => bytes.push(self.below(256) as u8),
                    (0, _) => bytes[at] ^= 1 << self.below(8),
                    (1, _) => bytes[at] = self.below(256) as u8,
                    (2, _) => bytes.truncate(at),
                    (3, _) => bytes.insert(at, self.below(256) as u8),
                    (4, _) => drop(bytes.remove(at)),
                    _ => {
                        let piece = bytes[at..].to_vec();
                        bytes.extend(piece);
                    }
                }
            }
            bytes
        }
    }

    /// It takes the place of a fuzz target, whose build would need everything that a token needs.
    #[test]
    fn ten_thousand_bent_references_and_backups_are_the_key_they_say_or_no_key() {
        let mut dice = Dice(0x0741);
        let public = |spec| PrivateKey::generate(spec).public().expect("a public key").spki_der();
        let keys: Vec<TokenKey> = [KeySpec::P256, KeySpec::P521, KeySpec::Rsa2048]
            .map(|spec| TokenKey {
                spec,
                id: [1; ID_BYTES],
                exportable: Exportable::Never,
                check: Check::Public(public(spec)),
            })
            .into_iter()
            .chain([TokenKey {
                spec: KeySpec::Oct256,
                id: [1; ID_BYTES],
                exportable: Exportable::OnRelease,
                check: Check::Value([2; 32]),
            }])
            .collect();
        let (mut refused, mut read) = (0, 0);
        for round in 0..10_000 {
            let key = &keys[round % keys.len()];
            let spec = keys[dice.below(keys.len())].spec;
            let known = match round % 2 {
                0 => TokenKey::read(spec, &dice.bent(key.material().expose(Reason::Test))),
                _ => {
                    let bent = dice.bent(key.backup("4711").expose(Reason::Test));
                    TokenKey::from_backup(spec, &SecretBytes::new(bent), "4711")
                }
            };
            match known {
                Ok(known) => {
                    // Whatever is read is a key of the kind that was asked for, says the same again, and - where it is
                    // recognized by a public key - by a whole one.
                    assert_eq!(known.spec, spec);
                    assert_eq!(
                        TokenKey::read(spec, known.material().expose(Reason::Test)),
                        Ok(known.clone())
                    );
                    let kind = known.public().map(|public| public.spec());
                    assert_eq!(kind, (spec.family() != KeyFamily::Oct).then_some(spec));
                    read += 1;
                }
                Err(HsmError::Mismatch | HsmError::Refused(_)) => refused += 1,
                Err(other) => panic!("{other:?}"),
            }
        }
        println!("10,000 bent references: {refused} refused, {read} of another id or check");
        assert!(refused > 1_000 && read > 100, "{refused} {read}");
    }
}

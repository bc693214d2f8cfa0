//! Envelope encryption: every value is sealed under a fresh key of its own, and that key is wrapped by a long-lived one.
//!
//! A value is encrypted with AES-256-GCM under a data key that encrypts nothing else. The data key is wrapped with
//! XAES-256-GCM (C2SP `xaes-256-gcm`), whose 192-bit random nonces make the number of wraps under one key a matter of
//! no concern. GCM does not commit to its key, so a commitment derived from the data key with HKDF-SHA-256 (RFC 5869)
//! travels along. Both encryptions are bound to where the value stands by [`AssociatedData`].
//!
//! ```text
//! format (1) | wrap nonce (24) | wrapped data key (32 + 16) | key commitment (32) | ciphertext | tag (16)
//! ```

use aws_lc_rs::{aead, cmac, hkdf, hmac, rand};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use crate::secret::{Reason, SecretBytes};

/// The only format there is. It stands first in the sealed bytes and first in the associated data.
const FORMAT: u8 = 1;

const KEY_BYTES: usize = 32;
const TAG_BYTES: usize = 16;
const WRAP_NONCE_BYTES: usize = 24;
const WRAPPED_KEY_BYTES: usize = KEY_BYTES + TAG_BYTES;
const COMMITMENT_BYTES: usize = 32;
const HEADER_BYTES: usize = 1 + WRAP_NONCE_BYTES + WRAPPED_KEY_BYTES + COMMITMENT_BYTES;

/// How many bytes [`seal`] adds to what it seals.
pub const OVERHEAD_BYTES: usize = HEADER_BYTES + TAG_BYTES;

/// A key that wraps data keys, or from which such keys are derived. It cannot be printed:
///
/// ```compile_fail,E0277
/// println!("{:?}", vouchsafe_crypto::envelope::Kek::generate());
/// ```
///
/// nor copied:
///
/// ```compile_fail,E0599
/// let kek = vouchsafe_crypto::envelope::Kek::generate();
/// let twin = kek.clone();
/// ```
pub struct Kek {
    bytes: Zeroizing<[u8; KEY_BYTES]>,
    subkeys: cmac::Key,
}

impl Kek {
    /// Makes a new key from the system's randomness.
    pub fn generate() -> Self {
        Self::new(random())
    }

    /// Takes a key that was kept elsewhere; `None` unless it has exactly 32 bytes.
    pub fn from_secret(secret: SecretBytes) -> Option<Self> {
        Some(Self::new(Zeroizing::new(secret.expose(Reason::Cipher).try_into().ok()?)))
    }

    /// Gives the key out to be kept elsewhere.
    pub fn to_secret(&self) -> SecretBytes {
        SecretBytes::new(self.bytes.to_vec())
    }

    fn new(bytes: Zeroizing<[u8; KEY_BYTES]>) -> Self {
        let subkeys = cmac::Key::new(cmac::AES_256, &*bytes).expect("an AES-256 key has 32 bytes");
        Self { bytes, subkeys }
    }

    /// XAES-256-GCM: AES-256-GCM under a key and with a nonce that both come from a 192-bit nonce.
    fn wrapping(&self, nonce: &[u8; WRAP_NONCE_BYTES]) -> (aead::LessSafeKey, aead::Nonce) {
        let (context, gcm_nonce) = nonce.split_at(12);
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        for (counter, half) in (1u8..).zip(key.chunks_exact_mut(16)) {
            // SP 800-108 KDF in counter mode with label `X`: each message is exactly one block.
            let mut message = [0, counter, b'X', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
            message[4..].copy_from_slice(context);
            cmac::sign_to_buffer(&self.subkeys, &message, half).expect("a CMAC of AES has 16 bytes");
        }
        let nonce = aead::Nonce::try_assume_unique_for_key(gcm_nonce).expect("24 - 12 bytes are a nonce");
        (aes_256_gcm(&key), nonce)
    }
}

/// Derives a key for one purpose from the root key with HKDF-SHA-256; `label` is the only context.
pub fn derive(root: &Kek, label: &str) -> SecretBytes {
    let mut key = vec![0; KEY_BYTES];
    hkdf::Salt::none(hkdf::HKDF_SHA256)
        .extract(&*root.bytes)
        .expand(&[label.as_bytes()], Length(KEY_BYTES))
        .and_then(|output| output.fill(&mut key))
        .expect("HKDF-SHA-256 yields up to 8160 bytes");
    SecretBytes::new(key)
}

/// Where a sealed value stands: a purpose and fields, encoded so that two different lists never read the same.
#[derive(Clone)]
pub struct AssociatedData(Vec<u8>);

impl AssociatedData {
    /// Begins with what the value is for, which is the first field.
    pub fn new(purpose: &str) -> Self {
        Self(vec![FORMAT]).field(purpose.as_bytes())
    }

    /// Adds a field behind its length (64-bit big-endian, so that no length fails to fit).
    #[must_use]
    pub fn field(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
        self.0.extend_from_slice(bytes);
        self
    }
}

/// Seals `plaintext` under a fresh data key, wraps that key with `kek`, and binds both to `aad`.
pub fn seal(kek: &Kek, aad: &AssociatedData, plaintext: &[u8]) -> Vec<u8> {
    let data_key = random::<KEY_BYTES>();
    let wrap_nonce = random::<WRAP_NONCE_BYTES>();
    let (encryption_key, commitment) = split(&data_key);

    let (wrapping_key, nonce) = kek.wrapping(&wrap_nonce);
    let mut wrapped = *data_key;
    let wrapped_tag = wrapping_key.seal_in_place_separate_tag(nonce, aead::Aad::from(&aad.0), &mut wrapped);

    let mut ciphertext = plaintext.to_vec();
    let tag = aes_256_gcm(&encryption_key).seal_in_place_separate_tag(
        only_nonce(),
        aead::Aad::from(&aad.0),
        &mut ciphertext,
    );
    let (Ok(wrapped_tag), Ok(tag)) = (wrapped_tag, tag) else {
        ciphertext.zeroize();
        panic!("AES-256-GCM refuses only what is longer than 64 GiB");
    };

    let mut sealed = Vec::with_capacity(OVERHEAD_BYTES + ciphertext.len());
    sealed.push(FORMAT);
    sealed.extend_from_slice(&*wrap_nonce);
    sealed.extend_from_slice(&wrapped);
    sealed.extend_from_slice(wrapped_tag.as_ref());
    sealed.extend_from_slice(&*commitment);
    sealed.extend_from_slice(&ciphertext);
    sealed.extend_from_slice(tag.as_ref());
    sealed
}

/// Opens what [`seal`] made with the same `kek` and the same `aad`, or says nothing about why not.
pub fn open(kek: &Kek, aad: &AssociatedData, sealed: &[u8]) -> Result<SecretBytes, OpenFailed> {
    let ([FORMAT], rest) = sealed.split_first_chunk().ok_or(OpenFailed)? else { return Err(OpenFailed) };
    let (wrap_nonce, rest) = rest.split_first_chunk::<WRAP_NONCE_BYTES>().ok_or(OpenFailed)?;
    let (wrapped, rest) = rest.split_first_chunk::<WRAPPED_KEY_BYTES>().ok_or(OpenFailed)?;
    let (committed, ciphertext) = rest.split_first_chunk::<COMMITMENT_BYTES>().ok_or(OpenFailed)?;

    let (wrapping_key, nonce) = kek.wrapping(wrap_nonce);
    let mut wrapped = Zeroizing::new(*wrapped);
    let data_key = wrapping_key
        .open_in_place(nonce, aead::Aad::from(&aad.0), &mut *wrapped)
        .ok()
        .and_then(|key| <[u8; KEY_BYTES]>::try_from(&*key).ok())
        .map(Zeroizing::new)
        .ok_or(OpenFailed)?;

    let (encryption_key, commitment) = split(&data_key);
    if !bool::from(commitment.ct_eq(committed)) {
        return Err(OpenFailed);
    }
    let mut plaintext = Zeroizing::new(ciphertext.to_vec());
    let length = aes_256_gcm(&encryption_key)
        .open_in_place(only_nonce(), aead::Aad::from(&aad.0), &mut plaintext)
        .map_err(|_| OpenFailed)?
        .len();
    plaintext.truncate(length);
    Ok(SecretBytes::new(std::mem::take(&mut *plaintext)))
}

/// The sealed bytes are not what was sealed with this key for this place.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the sealed bytes are not authentic for this key and this place")]
pub struct OpenFailed;

/// Turns names into storage keys that tell nothing without the key (HMAC-SHA-256, truncated to 128 bits).
pub struct NameKey(hmac::Key);

impl NameKey {
    /// Takes the key, which is derived for nothing else.
    pub fn new(secret: SecretBytes) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret.expose(Reason::Cipher)))
    }

    /// Blinds a list of parts; two different lists never feed the same bytes to the HMAC.
    pub fn blind(&self, parts: &[&[u8]]) -> [u8; 16] {
        let mut context = hmac::Context::with_key(&self.0);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        *context.sign().as_ref().first_chunk().expect("HMAC-SHA-256 has 32 bytes")
    }
}

/// The key that encrypts and the commitment that names the data key, independent of each other.
fn split(data_key: &[u8; KEY_BYTES]) -> (Zeroizing<[u8; KEY_BYTES]>, Zeroizing<[u8; COMMITMENT_BYTES]>) {
    let key = hkdf::Prk::new_less_safe(hkdf::HKDF_SHA256, data_key);
    let mut output = Zeroizing::new([0; KEY_BYTES + COMMITMENT_BYTES]);
    key.expand(&[b"vouchsafe envelope 1"], Length(KEY_BYTES + COMMITMENT_BYTES))
        .and_then(|okm| okm.fill(&mut *output))
        .expect("HKDF-SHA-256 yields up to 8160 bytes");
    let mut encryption_key = Zeroizing::new([0; KEY_BYTES]);
    let mut commitment = Zeroizing::new([0; COMMITMENT_BYTES]);
    let (left, right) = output.split_at(KEY_BYTES);
    encryption_key.copy_from_slice(left);
    commitment.copy_from_slice(right);
    (encryption_key, commitment)
}

fn aes_256_gcm(key: &[u8; KEY_BYTES]) -> aead::LessSafeKey {
    let key = aead::UnboundKey::new(&aead::AES_256_GCM, key).expect("an AES-256 key has 32 bytes");
    aead::LessSafeKey::new(key)
}

/// SECURITY: a data key encrypts exactly one message, so its nonce carries nothing and is fixed.
fn only_nonce() -> aead::Nonce {
    aead::Nonce::assume_unique_for_key([0; 12])
}

fn random<const N: usize>() -> Zeroizing<[u8; N]> {
    let mut bytes = Zeroizing::new([0; N]);
    rand::fill(&mut *bytes).expect("AWS-LC's generator aborts rather than fails once the system has entropy");
    bytes
}

struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;
    use proptest::prelude::*;

    use super::*;

    fn kek(byte: u8) -> Kek {
        Kek::from_secret(SecretBytes::new(vec![byte; 32])).expect("32 bytes")
    }

    fn opened(kek: &Kek, aad: &AssociatedData, sealed: &[u8]) -> Result<Vec<u8>, OpenFailed> {
        open(kek, aad, sealed).map(|plaintext| plaintext.expose(Reason::Test).to_vec())
    }

    /// C2SP xaes-256-gcm.md, "Test vectors".
    #[test]
    fn the_xaes_256_gcm_vectors_hold() {
        let cases = [
            (1, &b""[..], "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"),
            (3, b"c2sp.org/XAES-256-GCM", "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d"),
        ];
        for (byte, aad, expected) in cases {
            let (key, nonce) = kek(byte).wrapping(b"ABCDEFGHIJKLMNOPQRSTUVWX");
            let mut text = b"XAES-256-GCM".to_vec();
            key.seal_in_place_append_tag(nonce, aead::Aad::from(aad), &mut text).expect("short");
            assert_eq!(HEXLOWER.encode(&text), expected);
        }
    }

    #[test]
    fn derived_keys_are_hkdf_sha_256_with_the_label_as_info() {
        // Computed with Python's `hmac` from RFC 5869 §2: IKM 32 x 07, no salt, info `names`.
        let derived = derive(&kek(7), "names");
        assert_eq!(HEXLOWER.encode(derived.expose(Reason::Test)), DERIVED_NAMES);
        assert!(!derive(&kek(7), "audit").matches(derived.expose(Reason::Test)));
        assert!(!derive(&kek(8), "names").matches(derived.expose(Reason::Test)));
    }

    const DERIVED_NAMES: &str = "68f6ebcc932959c723ecb90fe1d74f3bcad3d1d47166aaf8ccef846a1b8b3fe6";

    #[test]
    fn a_key_has_exactly_32_bytes() {
        for length in [0, 16, 31, 33, 64] {
            assert!(Kek::from_secret(SecretBytes::new(vec![1; length])).is_none(), "{length} bytes");
        }
        let key = Kek::generate();
        let again = Kek::from_secret(key.to_secret()).expect("32 bytes");
        let aad = AssociatedData::new("test");
        assert_eq!(opened(&again, &aad, &seal(&key, &aad, b"value")), Ok(b"value".to_vec()));
    }

    #[test]
    fn sealing_twice_shares_no_bytes_but_the_format() {
        let (key, aad) = (kek(1), AssociatedData::new("test"));
        let (one, two) = (seal(&key, &aad, &[0; 64]), seal(&key, &aad, &[0; 64]));
        assert_eq!(one.len(), OVERHEAD_BYTES + 64);
        let same = one.iter().zip(&two).skip(1).filter(|(a, b)| a == b).count();
        assert!(same < 16, "{same} of {} bytes agree", one.len());
    }

    #[test]
    fn another_key_or_another_place_does_not_open() {
        let aad = AssociatedData::new("secret").field(b"vault").field(b"name");
        let sealed = seal(&kek(1), &aad, b"value");
        assert_eq!(opened(&kek(1), &aad, &sealed), Ok(b"value".to_vec()));
        assert_eq!(opened(&kek(2), &aad, &sealed), Err(OpenFailed));
        let elsewhere = [
            AssociatedData::new("secret"),
            AssociatedData::new("secret").field(b"vault"),
            AssociatedData::new("secret").field(b"vaultname"),
            AssociatedData::new("secret").field(b"vaul").field(b"tname"),
            AssociatedData::new("secret").field(b"name").field(b"vault"),
            AssociatedData::new("secret").field(b"vault").field(b"name").field(b""),
            AssociatedData::new("secrets").field(b"vault").field(b"name"),
        ];
        for (index, aad) in elsewhere.iter().enumerate() {
            assert_eq!(opened(&kek(1), aad, &sealed), Err(OpenFailed), "place {index}");
        }
    }

    #[test]
    fn neither_half_can_be_put_on_another_value() {
        let (key, aad) = (kek(1), AssociatedData::new("test"));
        let (one, two) = (seal(&key, &aad, b"one"), seal(&key, &aad, b"two"));
        for cut in [1, 1 + WRAP_NONCE_BYTES, 1 + WRAP_NONCE_BYTES + WRAPPED_KEY_BYTES, HEADER_BYTES] {
            let mixed = [&one[..cut], &two[cut..]].concat();
            let expected = if cut == 1 { Ok(b"two".to_vec()) } else { Err(OpenFailed) };
            assert_eq!(opened(&key, &aad, &mixed), expected, "cut at {cut}");
        }
    }

    #[test]
    fn every_truncation_and_every_extension_is_refused() {
        let (key, aad) = (kek(1), AssociatedData::new("test"));
        let mut sealed = seal(&key, &aad, b"value");
        for length in 0..sealed.len() {
            assert_eq!(opened(&key, &aad, &sealed[..length]), Err(OpenFailed), "{length} bytes");
        }
        sealed.push(0);
        assert_eq!(opened(&key, &aad, &sealed), Err(OpenFailed));
    }

    #[test]
    fn every_single_flipped_bit_is_refused() {
        let (key, aad) = (kek(1), AssociatedData::new("test"));
        let sealed = seal(&key, &aad, b"value");
        for bit in 0..sealed.len() * 8 {
            let mut damaged = sealed.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(opened(&key, &aad, &damaged), Err(OpenFailed), "bit {bit}");
        }
    }

    #[test]
    fn names_are_blinded_by_key_and_by_every_boundary() {
        let key = NameKey::new(SecretBytes::new(vec![1; 32]));
        let other = NameKey::new(SecretBytes::new(vec![2; 32]));
        let name = key.blind(&[b"tenant", b"vault"]);
        assert_eq!(key.blind(&[b"tenant", b"vault"]), name);
        assert_ne!(other.blind(&[b"tenant", b"vault"]), name);
        for parts in [&[&b"tenantvault"[..]][..], &[b"tenan", b"tvault"], &[b"tenant", b"vault", b""], &[]] {
            assert_ne!(key.blind(parts), name);
        }
    }

    proptest! {
        #[test]
        fn what_was_sealed_opens(
            plaintext in proptest::collection::vec(any::<u8>(), 0..4096),
            purpose in ".{0,40}",
            field in proptest::collection::vec(any::<u8>(), 0..64),
        ) {
            let (key, aad) = (Kek::generate(), AssociatedData::new(&purpose).field(&field));
            let sealed = seal(&key, &aad, &plaintext);
            prop_assert_eq!(sealed.len(), plaintext.len() + OVERHEAD_BYTES);
            prop_assert_eq!(opened(&key, &aad, &sealed), Ok(plaintext));
        }

        #[test]
        fn different_places_never_encode_alike(
            one in proptest::collection::vec(proptest::collection::vec(0u8..3, 0..4), 0..4),
            two in proptest::collection::vec(proptest::collection::vec(0u8..3, 0..4), 0..4),
        ) {
            let encode = |fields: &[Vec<u8>]| {
                fields.iter().fold(AssociatedData::new("p"), |aad, field| aad.field(field)).0
            };
            prop_assert_eq!(encode(&one) == encode(&two), one == two);
        }

        #[test]
        fn noise_never_opens(noise in proptest::collection::vec(any::<u8>(), 0..400)) {
            prop_assert_eq!(opened(&kek(1), &AssociatedData::new("p"), &noise), Err(OpenFailed));
        }
    }
}

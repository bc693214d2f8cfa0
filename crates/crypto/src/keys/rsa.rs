//! Decrypting with RSA (RFC 8017 §7), so that a caller cannot learn from us whether a padding was right.
//!
//! With OAEP a wrong padding is one error for every cause. RSAES-PKCS1-v1_5 needs more: whoever can tell a right padding
//! from a wrong one can decrypt anything, and sign, with some thousand or million questions (Bleichenbacher 1998, and
//! again ever since). So there is no wrong padding. A ciphertext that does not open gives a plaintext that is made up
//! from it and from a secret of the key: always the same one for the same ciphertext, of a made-up length, and made up
//! before it is known whether it is needed. This is what OpenSSL 3.2 and others call implicit rejection, with a
//! derivation of our own; nothing needs to agree with theirs.
//!
//! What it does not do:
//! - The library that removes the padding does so in constant time but then returns success or an error, and takes some
//!   hundred more instructions for the error. Both outcomes are merged without a branch here, yet that difference stays,
//!   and a local attacker who measures nanoseconds may see it. Over a network and behind an audit write it drowns.
//! - The made-up length is uniform. A protocol in which all plaintexts have 32 bytes shows by the length alone that
//!   something was made up; that says the same for all wrong paddings and most right ones, and so does not help the
//!   attack, but what the caller does with the answer afterwards may.
//! - The audit log of an operator does not learn that a ciphertext was bad either.
//! - Nothing makes an unauthenticated ciphertext authentic. Use OAEP.

use aws_lc_rs::hkdf::{self, HKDF_SHA256, KeyType};
use aws_lc_rs::hmac;
use aws_lc_rs::rsa::{OaepPrivateDecryptingKey, Pkcs1PrivateDecryptingKey, PrivateDecryptingKey};
use subtle::{Choice, ConditionallySelectable};
use zeroize::Zeroizing;

use super::public::{minimum_padding_bytes, oaep};
use super::{DecryptError, EncryptionAlgorithm, Misuse};
use crate::secret::{Reason, SecretBytes};

/// An RSA key in the form that decrypting takes.
pub(super) struct Decrypting {
    key: PrivateDecryptingKey,
    /// What made-up plaintexts are derived from.
    rejection: hmac::Key,
}

impl Decrypting {
    pub(super) fn from_pkcs8(pkcs8: &SecretBytes) -> Result<Self, Misuse> {
        let pkcs8 = pkcs8.expose(Reason::Cipher);
        let mut secret = Zeroizing::new([0; 32]);
        hkdf::Salt::new(HKDF_SHA256, b"vouchsafe RSA1_5 implicit rejection v1")
            .extract(pkcs8)
            .expand(&[b"key"], Bytes(secret.len()))
            .and_then(|okm| okm.fill(secret.as_mut_slice()))
            .map_err(|_| Misuse::Failed)?;
        Ok(Self {
            key: PrivateDecryptingKey::from_pkcs8(pkcs8).map_err(|_| Misuse::Failed)?,
            rejection: hmac::Key::new(hmac::HMAC_SHA256, secret.as_slice()),
        })
    }

    pub(super) fn decrypt(
        &self,
        algorithm: EncryptionAlgorithm,
        ciphertext: &[u8],
    ) -> Result<SecretBytes, DecryptError> {
        if ciphertext.len() != self.key.key_size_bytes() {
            return Err(Misuse::CiphertextLength.into());
        }
        let Some(oaep) = oaep(algorithm) else { return self.decrypt_pkcs1(algorithm, ciphertext) };
        let key = OaepPrivateDecryptingKey::new(self.key.clone()).map_err(|_| Misuse::Failed)?;
        let mut plaintext = Zeroizing::new(vec![0; key.min_output_size()]);
        let bytes = key
            .decrypt(oaep, ciphertext, &mut plaintext, None)
            .map(|plain| plain.len())
            .map_err(|_| DecryptError::Refused)?;
        plaintext.truncate(bytes);
        Ok(SecretBytes::new(std::mem::take(&mut *plaintext)))
    }

    fn decrypt_pkcs1(
        &self,
        algorithm: EncryptionAlgorithm,
        ciphertext: &[u8],
    ) -> Result<SecretBytes, DecryptError> {
        let max = minimum_padding_bytes(algorithm)
            .and_then(|padding| self.key.key_size_bytes().checked_sub(padding))
            .ok_or(Misuse::Algorithm)?;
        let key = Pkcs1PrivateDecryptingKey::new(self.key.clone()).map_err(|_| Misuse::Failed)?;
        // SECURITY: everything that can take time or fail for public reasons comes before the padding is looked at.
        let (mut answer, made_up_bytes) = self.make_up(ciphertext, max)?;
        let mut opened = Zeroizing::new(vec![0; key.min_output_size()]);

        let result = key.decrypt(ciphertext, &mut opened).map(|plain| plain.len());
        let is_right = Choice::from(u8::from(result.is_ok()));
        let opened_bytes = result.unwrap_or_default() as u64;
        for (answer, opened) in answer.iter_mut().zip(opened.iter()) {
            answer.conditional_assign(opened, is_right);
        }
        let bytes = u64::conditional_select(&made_up_bytes, &opened_bytes, is_right);
        answer.truncate(usize::try_from(bytes).map_err(|_| Misuse::Failed)?);
        Ok(SecretBytes::new(std::mem::take(&mut *answer)))
    }

    /// A plaintext for a ciphertext that has none: `max` bytes, and how many of them count.
    fn make_up(&self, ciphertext: &[u8], max: usize) -> Result<(Zeroizing<Vec<u8>>, u64), Misuse> {
        let seed = hmac::sign(&self.rejection, ciphertext);
        let seed = hkdf::Prk::new_less_safe(HKDF_SHA256, seed.as_ref());
        let fill = |label: &'static [u8], output: &mut [u8]| {
            seed.expand(&[label], Bytes(output.len()))
                .and_then(|okm| okm.fill(output))
                .map_err(|_| Misuse::Failed)
        };
        let mut bytes = Zeroizing::new(vec![0; max]);
        fill(b"message", &mut bytes)?;
        let mut length = [0; 8];
        fill(b"length", &mut length)?;
        // Scaled down by a multiplication, which takes the same time for every number: 0 to `max`, both included.
        let scaled = (u128::from(u64::from_be_bytes(length)) * (max as u128 + 1)) >> 64;
        Ok((bytes, u64::try_from(scaled).map_err(|_| Misuse::Failed)?))
    }
}

struct Bytes(usize);

impl KeyType for Bytes {
    fn len(&self) -> usize {
        self.0
    }
}

//! RSAES-PKCS1-v1_5 without telling whether the padding was right (Bleichenbacher's attack), as software keys do it.
//!
//! A ciphertext that does not open gives a plaintext that is made up from it and from a secret of the key: always the
//! same one for the same ciphertext. The secret is what the key makes of a fixed number in the bare RSA operation. Nobody
//! else can compute that, and none of the operations that callers have does: they all pad. It is asked for every time,
//! before the padding is looked at, and kept nowhere.
//!
//! What the token itself shows by the time it takes for a wrong padding is beyond us. Use OAEP.

use aws_lc_rs::hkdf::{self, HKDF_SHA256, KeyType};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::ObjectHandle;
use vouchsafe_crypto::SecretBytes;
use vouchsafe_crypto::keys::KeySpec;
use zeroize::Zeroizing;

use super::connection::Fault;
use super::token::{TokenConnection, fault};

/// What the padding takes at least (RFC 8017 §7.2.1).
const PADDING_BYTES: usize = 11;

impl TokenConnection {
    pub(super) fn decrypt_pkcs1(
        &self,
        spec: KeySpec,
        handle: ObjectHandle,
        value: &[u8],
    ) -> Result<SecretBytes, Fault> {
        let number = fixed_number(spec)?;
        let secret =
            self.session.decrypt(&Mechanism::RsaX509, handle, &number).map(Zeroizing::new).map_err(fault)?;
        let made_up = make_up(&secret, value, spec.bytes().saturating_sub(PADDING_BYTES))?;
        let opened = self.session.decrypt(&Mechanism::RsaPkcs, handle, value);
        // Asked whatever came, so that it takes the same time: a token that is gone must not look like an answer.
        self.serial()?;
        match opened {
            Ok(plaintext) => Ok(SecretBytes::new(plaintext)),
            Err(Error::Pkcs11(
                RvError::GeneralError
                | RvError::FunctionFailed
                | RvError::DataInvalid
                | RvError::DataLenRange
                | RvError::EncryptedDataInvalid
                | RvError::EncryptedDataLenRange,
                _,
            )) => Ok(made_up),
            Err(error) => Err(fault(error)),
        }
    }
}

/// A number below every modulus of its size, without structure: no padding looks like it.
fn fixed_number(spec: KeySpec) -> Result<Vec<u8>, Fault> {
    let mut number = vec![0; spec.bytes()];
    if let Some(place) = number.get_mut(1..) {
        fill(b"vouchsafe RSA1_5 implicit rejection in a token v1", b"number", place)?;
    }
    Ok(number)
}

/// From 0 to `max` bytes that say nothing.
fn make_up(secret: &[u8], ciphertext: &[u8], max: usize) -> Result<SecretBytes, Fault> {
    let seed = Zeroizing::new([secret, ciphertext].concat());
    let mut length = [0; 8];
    fill(&seed, b"length", &mut length)?;
    let mut bytes = Zeroizing::new(vec![0; max]);
    fill(&seed, b"message", &mut bytes)?;
    let scaled = (u128::from(u64::from_be_bytes(length)) * (max as u128 + 1)) >> 64;
    bytes.truncate(usize::try_from(scaled).unwrap_or(max));
    Ok(SecretBytes::new(std::mem::take(&mut *bytes)))
}

fn fill(seed: &[u8], label: &[u8], output: &mut [u8]) -> Result<(), Fault> {
    hkdf::Salt::new(HKDF_SHA256, b"vouchsafe token")
        .extract(seed)
        .expand(&[label], Bytes(output.len()))
        .and_then(|expanded| expanded.fill(output))
        .map_err(|_| Fault::Failed("HKDF refused".into()))
}

struct Bytes(usize);

impl KeyType for Bytes {
    fn len(&self) -> usize {
        self.0
    }
}

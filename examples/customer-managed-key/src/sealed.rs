//! One row's seal: AES-256-GCM with a key of its own, bound to the row's name.

use anyhow::{Context, Result, anyhow};
use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, RandomizedNonceKey};
use aws_lc_rs::rand;

/// A data key. It seals one value once, and is kept nowhere but wrapped.
pub struct DataKey(Vec<u8>);

impl DataKey {
    pub fn generate() -> Result<Self> {
        let mut bytes = vec![0; AES_256_GCM.key_len()];
        rand::fill(&mut bytes).map_err(|_| anyhow!("the system gives no randomness"))?;
        Ok(Self(bytes))
    }

    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self> {
        if bytes.len() != AES_256_GCM.key_len() {
            return Err(anyhow!("what the vault unwrapped is not a data key"));
        }
        Ok(Self(bytes))
    }

    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The nonce, then the ciphertext with its tag.
    pub fn seal(&self, name: &str, value: &[u8]) -> Result<Vec<u8>> {
        let mut sealed = value.to_vec();
        let nonce = self
            .cipher()?
            .seal_in_place_append_tag(Aad::from(name.as_bytes()), &mut sealed)
            .map_err(|_| anyhow!("the row cannot be sealed"))?;
        Ok([nonce.as_ref().as_slice(), sealed.as_slice()].concat())
    }

    pub fn open(&self, name: &str, sealed: &[u8]) -> Result<Vec<u8>> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>().context("the row is too short")?;
        let mut opened = sealed.to_vec();
        let length = self
            .cipher()?
            .open_in_place(nonce.into(), Aad::from(name.as_bytes()), &mut opened)
            .map_err(|_| anyhow!("the row `{name}` was changed, or belongs elsewhere"))?
            .len();
        opened.truncate(length);
        Ok(opened)
    }

    fn cipher(&self) -> Result<RandomizedNonceKey> {
        RandomizedNonceKey::new(&AES_256_GCM, &self.0).map_err(|_| anyhow!("this is not a data key"))
    }
}

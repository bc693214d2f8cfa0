//! The port in software: keys of [`vouchsafe_crypto::keys`], kept by the store as sealed bytes.
//!
//! What takes milliseconds (everything with RSA) runs on the runtime's threads for blocking work, a bounded number at
//! a time; what takes microseconds runs where it is. A key that was read is remembered for a few seconds.

use std::num::NonZeroUsize;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use vouchsafe_crypto::keys::{
    CiphertextParts, DecryptError, Encrypted, EncryptionAlgorithm, ImportRefused, KeyFamily, KeySpec,
    PrivateKey, PublicKey, SignatureAlgorithm, TransportAlgorithm, wrap_for,
};
use vouchsafe_crypto::{Reason, SecretBytes};
use vouchsafe_domain::limits::RANDOM_BYTES_MAX;
use vouchsafe_domain::ports::hsm::{ByokBlob, Exportable, HeldKey, Hsm, HsmError, KeyRef};
use zeroize::Zeroizing;

use crate::pool::KeyPool;
use crate::recent::RecentKeys;
use crate::words::{misuse, refused_import};
use crate::wrapped;

/// Keys in software.
pub struct SoftwareKeys {
    pool: Arc<KeyPool>,
    cores: Arc<Semaphore>,
    recent: Arc<RecentKeys>,
}

impl SoftwareKeys {
    /// Computes on at most `cores` threads at a time, and takes RSA keys from `pool` as long as it has some.
    pub fn new(pool: Arc<KeyPool>, cores: NonZeroUsize) -> Self {
        Self { pool, cores: Arc::new(Semaphore::new(cores.get())), recent: Arc::default() }
    }

    /// Runs what takes long, once a thread is free.
    async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, HsmError> + Send + 'static,
    ) -> Result<T, HsmError> {
        let broken = |what: &str| HsmError::Broken(format!("a computation {what}"));
        let turn = Arc::clone(&self.cores).acquire_owned().await.map_err(|_| broken("has no thread"))?;
        // The turn ends with the work, not with the caller's patience.
        spawn_blocking(move || {
            let result = work();
            drop(turn);
            result
        })
        .await
        .map_err(|_| broken("panicked"))?
    }

    /// Works with a key: RSA on another thread, the rest here.
    async fn with_key<T: Send + 'static>(
        &self,
        key: &KeyRef<'_>,
        work: impl FnOnce(&PrivateKey) -> Result<T, HsmError> + Send + 'static,
    ) -> Result<T, HsmError> {
        let spec = key.spec;
        if spec.family() != KeyFamily::Rsa {
            return work(open(&self.recent, key)?.as_ref());
        }
        let (material, recent) = (copy(key.material), Arc::clone(&self.recent));
        self.compute(move || work(open(&recent, &KeyRef { spec, material: &material })?.as_ref())).await
    }
}

/// What was stored as a key of another kind is not this key.
fn open(recent: &RecentKeys, key: &KeyRef<'_>) -> Result<Arc<PrivateKey>, HsmError> {
    recent.read(key.spec, key.material).map_err(|_| HsmError::Mismatch)
}

fn copy(secret: &SecretBytes) -> SecretBytes {
    SecretBytes::new(secret.expose(Reason::Cipher).to_vec())
}

fn hold(key: &PrivateKey) -> HeldKey {
    HeldKey { public: key.public(), material: key.to_material() }
}

fn undecrypted(error: DecryptError) -> HsmError {
    match error {
        DecryptError::Misuse(error) => misuse(error),
        DecryptError::Refused => HsmError::Refused("the ciphertext could not be decrypted"),
    }
}

#[async_trait]
impl Hsm for SoftwareKeys {
    fn holds(&self, _: KeySpec) -> bool {
        true
    }

    /// What a caller may take out is decided by whoever asks: a key in software is as exportable as its record says.
    async fn generate(&self, spec: KeySpec, _: Exportable) -> Result<HeldKey, HsmError> {
        if spec.family() != KeyFamily::Rsa {
            return Ok(hold(&PrivateKey::generate(spec)));
        }
        let pool = Arc::clone(&self.pool);
        self.compute(move || Ok(hold(&pool.take(spec).unwrap_or_else(|| PrivateKey::generate(spec))))).await
    }

    async fn import(&self, key: PrivateKey, _: Exportable) -> Result<HeldKey, HsmError> {
        Ok(hold(&key))
    }

    async fn import_wrapped(
        &self,
        exchange: &KeyRef<'_>,
        blob: &ByokBlob,
        spec: KeySpec,
        _: Exportable,
    ) -> Result<HeldKey, HsmError> {
        let (wrapping_key, inner) = blob.split(exchange.spec)?;
        let (wrapping_key, inner) = (wrapping_key.to_vec(), inner.to_vec());
        self.with_key(exchange, move |exchange| {
            let parts = CiphertextParts::of(&wrapping_key);
            // The same words as for the second step, so that they do not tell where a padding was wrong.
            let wrapping_key = exchange.decrypt(EncryptionAlgorithm::RsaOaep, &parts);
            let wrapping_key = wrapping_key.map_err(|error| match undecrypted(error) {
                HsmError::Refused(_) => HsmError::Refused("the wrapped key could not be unwrapped"),
                other => other,
            })?;
            let inner = wrapped::unwrap(&wrapping_key, &inner)?;
            let key = if spec.family() == KeyFamily::Oct {
                PrivateKey::from_material(spec, &inner).map_err(|_| ImportRefused::Malformed)
            } else {
                PrivateKey::from_pkcs8(&inner)
            }
            .map_err(refused_import)?;
            if key.spec() == spec { Ok(hold(&key)) } else { Err(refused_import(ImportRefused::Inconsistent)) }
        })
        .await
    }

    async fn sign(
        &self,
        key: &KeyRef<'_>,
        algorithm: SignatureAlgorithm,
        digest: &[u8],
    ) -> Result<Vec<u8>, HsmError> {
        let digest = digest.to_vec();
        self.with_key(key, move |key| key.sign(algorithm, &digest).map_err(misuse)).await
    }

    async fn verify(
        &self,
        key: &KeyRef<'_>,
        algorithm: SignatureAlgorithm,
        digest: &[u8],
        signature: &[u8],
    ) -> Result<bool, HsmError> {
        if !algorithm.fits(key.spec) || !algorithm.is_symmetric() {
            return Err(HsmError::Refused("a signature of this key is verified with its public key"));
        }
        open(&self.recent, key)?.verify(algorithm, digest, signature).map_err(misuse)
    }

    async fn encrypt(
        &self,
        key: &KeyRef<'_>,
        algorithm: EncryptionAlgorithm,
        plaintext: &[u8],
        iv: Option<&[u8]>,
        aad: Option<&[u8]>,
    ) -> Result<Encrypted, HsmError> {
        if key.spec.family() != KeyFamily::Oct {
            return Err(HsmError::Refused("what is meant for this key is encrypted with its public key"));
        }
        open(&self.recent, key)?.encrypt(algorithm, plaintext, iv, aad).map_err(misuse)
    }

    async fn decrypt(
        &self,
        key: &KeyRef<'_>,
        algorithm: EncryptionAlgorithm,
        parts: &CiphertextParts<'_>,
    ) -> Result<SecretBytes, HsmError> {
        let value = parts.value.to_vec();
        let [iv, tag, aad] = [parts.iv, parts.tag, parts.aad].map(|part| part.map(<[u8]>::to_vec));
        self.with_key(key, move |key| {
            let parts = CiphertextParts {
                value: &value,
                iv: iv.as_deref(),
                tag: tag.as_deref(),
                aad: aad.as_deref(),
            };
            key.decrypt(algorithm, &parts).map_err(undecrypted)
        })
        .await
    }

    async fn wrap_for_release(
        &self,
        key: &KeyRef<'_>,
        recipient: &PublicKey,
        algorithm: TransportAlgorithm,
    ) -> Result<Vec<u8>, HsmError> {
        let recipient = recipient.clone();
        self.with_key(key, move |key| wrap_for(&recipient, algorithm, key).map_err(misuse)).await
    }

    async fn backup(&self, key: &KeyRef<'_>) -> Result<SecretBytes, HsmError> {
        self.with_key(key, |key| Ok(key.to_material())).await
    }

    async fn restore(&self, spec: KeySpec, blob: &SecretBytes) -> Result<HeldKey, HsmError> {
        self.with_key(&KeyRef { spec, material: blob }, |key| Ok(hold(key)))
            .await
            .map_err(|_| HsmError::Refused("the backup is not one of a key in software"))
    }

    /// There is nothing to forget here: the key is gone when its record is.
    async fn destroy(&self, _: &KeyRef<'_>) -> Result<(), HsmError> {
        Ok(())
    }

    async fn random(&self, bytes: usize) -> Result<SecretBytes, HsmError> {
        if bytes == 0 || bytes > RANDOM_BYTES_MAX {
            return Err(HsmError::Refused("ask for 1 to 128 random bytes"));
        }
        let mut random = Zeroizing::new(vec![0; bytes]);
        aws_lc_rs::rand::fill(&mut random).map_err(|_| HsmError::Broken("no randomness".into()))?;
        Ok(SecretBytes::new(std::mem::take(&mut *random)))
    }

    async fn healthy(&self) -> Result<(), HsmError> {
        Ok(())
    }
}

//! A token that counts: it keeps its keys to itself, can be slow, away or locked, and says how many keys are in it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use vouchsafe_crypto::keys::{
    CiphertextParts, Encrypted, EncryptionAlgorithm, KeySpec, PrivateKey, PublicKey, SignatureAlgorithm,
    TransportAlgorithm,
};
use vouchsafe_crypto::{Reason, SecretBytes};
use vouchsafe_domain::ports::Hsm;
use vouchsafe_domain::ports::hsm::{ByokBlob, Exportable, HeldKey, HsmError, KeyRef};

/// A token that keeps its keys to itself: the store gets a number.
#[derive(Default)]
pub struct CountingToken {
    keys: Mutex<Keys>,
    made: AtomicU64,
    slow: AtomicUsize,
    asked: AtomicU64,
    destroyed: AtomicU64,
    /// Whether it does not answer.
    pub away: AtomicBool,
    /// Whether it refused its PIN.
    pub locked: AtomicBool,
    /// Whether it signs nothing.
    pub mute: AtomicBool,
    /// Whether it wraps no key for anybody.
    pub wraps_nothing: AtomicBool,
    exportable: Mutex<Vec<Exportable>>,
}

type Keys = BTreeMap<Vec<u8>, (KeySpec, SecretBytes)>;

impl CountingToken {
    /// How many keys are in it.
    pub fn count(&self) -> usize {
        self.keys().len()
    }

    /// Loses all its keys.
    pub fn clear(&self) {
        self.keys().clear();
    }

    /// Lets others run so often before it changes what is in it.
    pub fn slow(&self, turns: usize) {
        self.slow.store(turns, Ordering::SeqCst);
    }

    /// How often it was asked whether it is well.
    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::SeqCst)
    }

    /// How often it was told to destroy a key.
    pub fn destroyed(&self) -> u64 {
        self.destroyed.load(Ordering::SeqCst)
    }

    /// What was asked of each key that came to be since the last time.
    pub fn take_exportable(&self) -> Vec<Exportable> {
        std::mem::take(&mut self.exportable.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn take_time(&self) {
        for _ in 0..self.slow.load(Ordering::SeqCst) {
            tokio::task::yield_now().await;
        }
    }

    fn keys(&self) -> MutexGuard<'_, Keys> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answers(&self) -> Result<(), HsmError> {
        if self.away.load(Ordering::SeqCst) {
            return Err(HsmError::Unavailable { retry_after_seconds: 3 });
        }
        if self.locked.load(Ordering::SeqCst) { Err(HsmError::Locked) } else { Ok(()) }
    }

    fn key(&self, key: &KeyRef<'_>) -> Result<PrivateKey, HsmError> {
        self.answers()?;
        let keys = self.keys();
        let (spec, material) = keys.get(key.material.expose(Reason::Test)).ok_or(HsmError::NotFound)?;
        PrivateKey::from_material(*spec, material).map_err(|_| HsmError::Mismatch)
    }

    fn hold(&self, key: &PrivateKey, exportable: Exportable) -> HeldKey {
        self.exportable.lock().unwrap_or_else(PoisonError::into_inner).push(exportable);
        let number = self.made.fetch_add(1, Ordering::SeqCst);
        let handle = format!("handle {number}").into_bytes();
        self.keys().insert(handle.clone(), (key.spec(), key.to_material()));
        HeldKey { public: key.public(), material: SecretBytes::new(handle) }
    }
}

#[async_trait]
impl Hsm for CountingToken {
    fn holds(&self, spec: KeySpec) -> bool {
        spec != KeySpec::P256K
    }

    fn releases(&self, spec: KeySpec) -> bool {
        self.holds(spec) && !self.wraps_nothing.load(Ordering::SeqCst)
    }

    async fn generate(&self, spec: KeySpec, exportable: Exportable) -> Result<HeldKey, HsmError> {
        self.answers()?;
        self.take_time().await;
        Ok(self.hold(&PrivateKey::generate(spec), exportable))
    }

    async fn import(&self, key: PrivateKey, exportable: Exportable) -> Result<HeldKey, HsmError> {
        self.answers()?;
        self.take_time().await;
        Ok(self.hold(&key, exportable))
    }

    /// The wrapping is the adapters' business: here it is enough who unwraps.
    async fn import_wrapped(
        &self,
        exchange: &KeyRef<'_>,
        _: &ByokBlob,
        spec: KeySpec,
        exportable: Exportable,
    ) -> Result<HeldKey, HsmError> {
        self.key(exchange)?;
        self.take_time().await;
        Ok(self.hold(&PrivateKey::generate(spec), exportable))
    }

    async fn wrap_for_release(
        &self,
        _: &KeyRef<'_>,
        _: &PublicKey,
        _: TransportAlgorithm,
    ) -> Result<Vec<u8>, HsmError> {
        Err(HsmError::Unsupported("nothing is released by this token"))
    }

    async fn sign(
        &self,
        key: &KeyRef<'_>,
        alg: SignatureAlgorithm,
        digest: &[u8],
    ) -> Result<Vec<u8>, HsmError> {
        if self.mute.load(Ordering::SeqCst) {
            return Err(HsmError::Broken("it signs nothing".to_owned()));
        }
        self.key(key)?.sign(alg, digest).map_err(|_| HsmError::Refused("misuse"))
    }

    async fn verify(
        &self,
        key: &KeyRef<'_>,
        alg: SignatureAlgorithm,
        digest: &[u8],
        signature: &[u8],
    ) -> Result<bool, HsmError> {
        self.key(key)?.verify(alg, digest, signature).map_err(|_| HsmError::Refused("misuse"))
    }

    async fn encrypt(
        &self,
        key: &KeyRef<'_>,
        alg: EncryptionAlgorithm,
        plaintext: &[u8],
        iv: Option<&[u8]>,
        aad: Option<&[u8]>,
    ) -> Result<Encrypted, HsmError> {
        self.key(key)?.encrypt(alg, plaintext, iv, aad).map_err(|_| HsmError::Refused("misuse"))
    }

    async fn decrypt(
        &self,
        key: &KeyRef<'_>,
        alg: EncryptionAlgorithm,
        parts: &CiphertextParts<'_>,
    ) -> Result<SecretBytes, HsmError> {
        self.key(key)?.decrypt(alg, parts).map_err(|_| HsmError::Refused("misuse"))
    }

    async fn backup(&self, key: &KeyRef<'_>) -> Result<SecretBytes, HsmError> {
        self.key(key)?;
        Ok(SecretBytes::new(key.material.expose(Reason::Test).to_vec()))
    }

    async fn restore(&self, spec: KeySpec, blob: &SecretBytes) -> Result<HeldKey, HsmError> {
        let key = self.key(&KeyRef { spec, material: blob })?;
        Ok(HeldKey { public: key.public(), material: SecretBytes::new(blob.expose(Reason::Test).to_vec()) })
    }

    async fn destroy(&self, key: &KeyRef<'_>) -> Result<(), HsmError> {
        self.answers()?;
        self.take_time().await;
        self.destroyed.fetch_add(1, Ordering::SeqCst);
        self.keys().remove(key.material.expose(Reason::Test));
        Ok(())
    }

    async fn random(&self, bytes: usize) -> Result<SecretBytes, HsmError> {
        self.answers()?;
        Ok(SecretBytes::new(vec![4; bytes]))
    }

    async fn healthy(&self) -> Result<(), HsmError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.answers()
    }
}

//! A key holder that hangs, fails, is locked or says of keys what a test wants, in front of any other.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch;
use vouchsafe_crypto::SecretBytes;
use vouchsafe_crypto::keys::{
    CiphertextParts, Encrypted, EncryptionAlgorithm, KeySpec, PrivateKey, PublicKey, SignatureAlgorithm,
    TransportAlgorithm,
};
use vouchsafe_domain::ports::Hsm;
use vouchsafe_domain::ports::hsm::{ByokBlob, Exportable, HeldKey, HsmError, KeyRef, TokenStatement};

/// What happens to calls.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Mood {
    /// They are done.
    Works,
    /// They do not come back before the mood changes.
    Hangs,
    /// They are answered so.
    Answers(HsmError),
    /// They are done, and no key is made that could leave.
    Keeps,
    /// They are done, and this is said of every key.
    Says(Box<TokenStatement>),
}

/// A holder with a mood.
pub struct FaultyHsm {
    inner: Arc<dyn Hsm>,
    mood: watch::Sender<Mood>,
}

impl FaultyHsm {
    /// In front of `inner`, and working.
    pub fn new(inner: Arc<dyn Hsm>) -> Self {
        Self { inner, mood: watch::Sender::new(Mood::Works) }
    }

    /// Changes what happens from now on, also to calls that hang.
    pub fn set(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }

    async fn pass(&self) -> Result<&dyn Hsm, HsmError> {
        let mut mood = self.mood.subscribe();
        let now = mood.wait_for(|mood| *mood != Mood::Hangs).await.map(|mood| mood.clone());
        match now {
            Ok(Mood::Answers(error)) => Err(error),
            _ => Ok(&*self.inner),
        }
    }
}

#[async_trait]
impl Hsm for FaultyHsm {
    fn holds(&self, spec: KeySpec) -> bool {
        self.inner.holds(spec)
    }

    fn signs(&self, spec: KeySpec, algorithm: SignatureAlgorithm) -> bool {
        self.inner.signs(spec, algorithm)
    }

    fn decrypts(&self, spec: KeySpec, algorithm: EncryptionAlgorithm) -> bool {
        self.inner.decrypts(spec, algorithm)
    }

    fn releases(&self, spec: KeySpec) -> bool {
        *self.mood.borrow() != Mood::Keeps && self.inner.releases(spec)
    }

    async fn generate(&self, spec: KeySpec, exportable: Exportable) -> Result<HeldKey, HsmError> {
        self.pass().await?.generate(spec, exportable).await
    }

    async fn import(&self, key: PrivateKey, exportable: Exportable) -> Result<HeldKey, HsmError> {
        self.pass().await?.import(key, exportable).await
    }

    async fn import_wrapped(
        &self,
        exchange: &KeyRef<'_>,
        blob: &ByokBlob,
        spec: KeySpec,
        exportable: Exportable,
    ) -> Result<HeldKey, HsmError> {
        self.pass().await?.import_wrapped(exchange, blob, spec, exportable).await
    }

    async fn sign(
        &self,
        key: &KeyRef<'_>,
        algorithm: SignatureAlgorithm,
        digest: &[u8],
    ) -> Result<Vec<u8>, HsmError> {
        self.pass().await?.sign(key, algorithm, digest).await
    }

    async fn verify(
        &self,
        key: &KeyRef<'_>,
        algorithm: SignatureAlgorithm,
        digest: &[u8],
        signature: &[u8],
    ) -> Result<bool, HsmError> {
        self.pass().await?.verify(key, algorithm, digest, signature).await
    }

    async fn encrypt(
        &self,
        key: &KeyRef<'_>,
        algorithm: EncryptionAlgorithm,
        plaintext: &[u8],
        iv: Option<&[u8]>,
        aad: Option<&[u8]>,
    ) -> Result<Encrypted, HsmError> {
        self.pass().await?.encrypt(key, algorithm, plaintext, iv, aad).await
    }

    async fn decrypt(
        &self,
        key: &KeyRef<'_>,
        algorithm: EncryptionAlgorithm,
        parts: &CiphertextParts<'_>,
    ) -> Result<SecretBytes, HsmError> {
        self.pass().await?.decrypt(key, algorithm, parts).await
    }

    async fn wrap_for_release(
        &self,
        key: &KeyRef<'_>,
        recipient: &PublicKey,
        algorithm: TransportAlgorithm,
    ) -> Result<Vec<u8>, HsmError> {
        self.pass().await?.wrap_for_release(key, recipient, algorithm).await
    }

    async fn attest(&self, key: &KeyRef<'_>) -> Result<TokenStatement, HsmError> {
        let inner = self.pass().await?;
        let mood = self.mood.borrow().clone();
        if let Mood::Says(statement) = mood { Ok(*statement) } else { inner.attest(key).await }
    }

    async fn backup(&self, key: &KeyRef<'_>) -> Result<SecretBytes, HsmError> {
        self.pass().await?.backup(key).await
    }

    async fn restore(&self, spec: KeySpec, blob: &SecretBytes) -> Result<HeldKey, HsmError> {
        self.pass().await?.restore(spec, blob).await
    }

    async fn destroy(&self, key: &KeyRef<'_>) -> Result<(), HsmError> {
        self.pass().await?.destroy(key).await
    }

    async fn random(&self, bytes: usize) -> Result<SecretBytes, HsmError> {
        self.pass().await?.random(bytes).await
    }

    async fn healthy(&self) -> Result<(), HsmError> {
        self.pass().await?.healthy().await
    }
}

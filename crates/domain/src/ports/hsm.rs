//! The key holder port: what has the private half of a key and works with it.
//!
//! Two kinds of adapter exist: software, whose keys are sealed by the barrier like any other record, and a PKCS#11
//! token, whose keys never leave it in the clear. The rooms above know neither. What a holder wants remembered of a key
//! is opaque to them ([`HeldKey::material`]) and is given back with every call ([`KeyRef`]).

use async_trait::async_trait;
use vouchsafe_crypto::SecretBytes;
use vouchsafe_crypto::keys::{
    CiphertextParts, Encrypted, EncryptionAlgorithm, KeySpec, PrivateKey, PublicKey, SignatureAlgorithm,
    TransportAlgorithm,
};

use crate::limits;

/// Holds private and symmetric keys, and works with them.
///
/// An adapter fails closed: what it cannot do, it refuses, and it never lets another holder stand in for it.
#[async_trait]
pub trait Hsm: Send + Sync {
    /// Whether keys of this kind can be held.
    fn holds(&self, spec: KeySpec) -> bool;

    /// Whether a held key of this kind can sign (and, where it is symmetric, verify) with `algorithm`.
    fn signs(&self, spec: KeySpec, algorithm: SignatureAlgorithm) -> bool {
        self.holds(spec) && algorithm.fits(spec)
    }

    /// Whether a held key of this kind can decrypt (and, where it is symmetric, encrypt) with `algorithm`.
    fn decrypts(&self, spec: KeySpec, algorithm: EncryptionAlgorithm) -> bool {
        self.holds(spec) && algorithm.fits(spec)
    }

    /// Whether a key of this kind can be held so that [`Hsm::wrap_for_release`] gives it away.
    fn releases(&self, spec: KeySpec) -> bool {
        self.holds(spec)
    }

    /// Makes a new key.
    async fn generate(&self, spec: KeySpec, exportable: Exportable) -> Result<HeldKey, HsmError>;

    /// Takes over a key that was made elsewhere.
    async fn import(&self, key: PrivateKey, exportable: Exportable) -> Result<HeldKey, HsmError>;

    /// Takes over a key that only `exchange`, a held RSA key, can unwrap; the key is never in the clear outside.
    async fn import_wrapped(
        &self,
        exchange: &KeyRef<'_>,
        blob: &ByokBlob,
        spec: KeySpec,
        exportable: Exportable,
    ) -> Result<HeldKey, HsmError>;

    /// Signs a digest; ECDSA signatures are `r || s`.
    async fn sign(
        &self,
        key: &KeyRef<'_>,
        algorithm: SignatureAlgorithm,
        digest: &[u8],
    ) -> Result<Vec<u8>, HsmError>;

    /// Verifies with a symmetric key. What has a public half is verified with [`PublicKey::verify`], by nobody else.
    async fn verify(
        &self,
        key: &KeyRef<'_>,
        algorithm: SignatureAlgorithm,
        digest: &[u8],
        signature: &[u8],
    ) -> Result<bool, HsmError>;

    /// Encrypts with a symmetric key. What has a public half is encrypted to with [`PublicKey::encrypt`].
    async fn encrypt(
        &self,
        key: &KeyRef<'_>,
        algorithm: EncryptionAlgorithm,
        plaintext: &[u8],
        iv: Option<&[u8]>,
        aad: Option<&[u8]>,
    ) -> Result<Encrypted, HsmError>;

    /// Decrypts, or unwraps bytes; every reason for a failure of the ciphertext is one answer.
    async fn decrypt(
        &self,
        key: &KeyRef<'_>,
        algorithm: EncryptionAlgorithm,
        parts: &CiphertextParts<'_>,
    ) -> Result<SecretBytes, HsmError>;

    /// Wraps a key for an environment that it may be released to; the key is never in the clear outside. A holder that
    /// knows of a key that it is not exportable refuses.
    async fn wrap_for_release(
        &self,
        key: &KeyRef<'_>,
        recipient: &PublicKey,
        algorithm: TransportAlgorithm,
    ) -> Result<Vec<u8>, HsmError>;

    /// Says what is said of a key where it is held, read there now. Nobody else's word stands behind what a holder says of
    /// itself, so that one in this process has nothing to say.
    async fn attest(&self, _: &KeyRef<'_>) -> Result<TokenStatement, HsmError> {
        Err(HsmError::Unsupported("only a token says something of its keys"))
    }

    /// What [`Hsm::restore`] takes; whoever keeps it seals it. Of a token's key it is a reference, not the key.
    async fn backup(&self, key: &KeyRef<'_>) -> Result<SecretBytes, HsmError>;

    /// Makes a key usable again from what [`Hsm::backup`] gave.
    async fn restore(&self, spec: KeySpec, blob: &SecretBytes) -> Result<HeldKey, HsmError>;

    /// Forgets a key for ever; forgetting one that is gone succeeds.
    async fn destroy(&self, key: &KeyRef<'_>) -> Result<(), HsmError>;

    /// Random bytes, from 1 to [`limits::RANDOM_BYTES_MAX`].
    async fn random(&self, bytes: usize) -> Result<SecretBytes, HsmError>;

    /// Whether the holder answers now.
    async fn healthy(&self) -> Result<(), HsmError>;
}

/// Whether a key may ever leave its holder. It is said when the key is made or taken over, and stays so.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Exportable {
    /// It stays where it is.
    Never,
    /// It can be wrapped for an environment.
    OnRelease,
}

/// A key that a holder has.
pub struct HeldKey {
    /// The public half, where there is one.
    pub public: Option<PublicKey>,
    /// What the holder wants back with every call: the key itself in software, of a token its id and check value.
    pub material: SecretBytes,
}

impl HeldKey {
    /// The reference that the holder takes.
    pub fn reference(&self, spec: KeySpec) -> KeyRef<'_> {
        KeyRef { spec, material: &self.material }
    }
}

/// What a token says of itself and of a key in it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct TokenStatement {
    /// Who made the token.
    pub manufacturer: String,
    /// Its model.
    pub model: String,
    /// Its serial number.
    pub serial: String,
    /// Its label.
    pub label: String,
    /// `CKA_ID` of the key, and of its public half.
    pub id: Vec<u8>,
    /// Of the private or symmetric key.
    pub secret: ObjectStatement,
    /// Of the public half, if that is an object of its own in the token.
    pub public: Option<ObjectStatement>,
}

/// The attributes of an object in a token; what the token does not say is absent.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ObjectStatement {
    /// `CKA_TOKEN`: it stays when the connection ends.
    pub token: Option<bool>,
    /// `CKA_PRIVATE`: it needs a login.
    pub private: Option<bool>,
    /// `CKA_SENSITIVE`: its value is not shown in the clear.
    pub sensitive: Option<bool>,
    /// `CKA_ALWAYS_SENSITIVE`: nor ever was.
    pub always_sensitive: Option<bool>,
    /// `CKA_EXTRACTABLE`: it can leave, wrapped.
    pub extractable: Option<bool>,
    /// `CKA_NEVER_EXTRACTABLE`: it never could.
    pub never_extractable: Option<bool>,
    /// `CKA_LOCAL`: the token made it.
    pub local: Option<bool>,
}

/// Names a held key to its holder.
#[derive(Clone, Copy)]
pub struct KeyRef<'a> {
    /// What kind of key it is.
    pub spec: KeySpec,
    /// [`HeldKey::material`], as it was given out.
    pub material: &'a SecretBytes,
}

/// A wrapped key as Azure's "bring your own key" sends it, in the layout of `CKM_RSA_AES_KEY_WRAP` (PKCS#11 §2.1.21):
/// an AES-256 key under RSA-OAEP with SHA-1, then the key in PKCS#8 under AES-KWP with that AES key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ByokBlob(Vec<u8>);

impl ByokBlob {
    /// Takes the bytes of `ciphertext`; which are which is known once the exchange key is.
    pub fn new(bytes: Vec<u8>) -> Result<Self, HsmError> {
        if bytes.len() > limits::BYOK_BYTES_MAX {
            return Err(HsmError::Refused("the wrapped key is too long"));
        }
        Ok(Self(bytes))
    }

    /// The wrapped AES key and what it wraps, for an exchange key of this kind.
    pub fn split(&self, exchange: KeySpec) -> Result<(&[u8], &[u8]), HsmError> {
        let modulus_bytes = match exchange {
            KeySpec::Rsa2048 => 256,
            KeySpec::Rsa3072 => 384,
            KeySpec::Rsa4096 => 512,
            _ => return Err(HsmError::Refused("the exchange key is not an RSA key")),
        };
        match self.0.split_at_checked(modulus_bytes) {
            // RFC 5649 gives at least two blocks, and whole ones.
            Some((key, wrapped)) if wrapped.len() >= 16 && wrapped.len().is_multiple_of(8) => {
                Ok((key, wrapped))
            }
            _ => Err(HsmError::Refused("the wrapped key does not have the layout of CKM_RSA_AES_KEY_WRAP")),
        }
    }

    /// What kind of key must be in there, as far as its wrapped length tells: nothing else says how long an RSA or a
    /// symmetric key is. The holder proves it once the key is unwrapped.
    pub fn spec(&self, exchange: KeySpec, kind: WrappedKind) -> Result<KeySpec, HsmError> {
        // AES-KWP fills up to whole blocks and adds one (RFC 5649 §4.1).
        let clear_bytes = self.split(exchange)?.1.len() - 8;
        let spec = match (kind, clear_bytes) {
            (WrappedKind::Ec(curve), _) => Some(curve),
            (WrappedKind::Oct, 16) => Some(KeySpec::Oct128),
            (WrappedKind::Oct, 24) => Some(KeySpec::Oct192),
            (WrappedKind::Oct, 32) => Some(KeySpec::Oct256),
            // An RSA key in PKCS #8 is nine numbers: some 1216, 1794 and 2374 bytes, give or take a few.
            (WrappedKind::Rsa, 1_100..=1_400) => Some(KeySpec::Rsa2048),
            (WrappedKind::Rsa, 1_650..=1_950) => Some(KeySpec::Rsa3072),
            (WrappedKind::Rsa, 2_250..=2_550) => Some(KeySpec::Rsa4096),
            _ => None,
        };
        spec.ok_or(HsmError::Refused("the wrapped key has the length of no key of that kind"))
    }
}

/// What whoever brings a wrapped key says it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum WrappedKind {
    /// An RSA key in PKCS #8.
    Rsa,
    /// A key on this curve in PKCS #8.
    Ec(KeySpec),
    /// The bytes of a symmetric key.
    Oct,
}

/// Why a holder did not do what it was asked.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum HsmError {
    /// This holder cannot do that with any input.
    #[error("not supported by what holds the key: {0}")]
    Unsupported(&'static str),
    /// The caller's input is wrong: a length, a padding, an algorithm that does not fit the key.
    #[error("{0}")]
    Refused(&'static str),
    /// What was found is not the key that is remembered; it is not used.
    #[error("the key that was found is not the one that is remembered")]
    Mismatch,
    /// There is no such key.
    #[error("what holds the keys does not have this one")]
    NotFound,
    /// The holder does not answer now.
    #[error("what holds the key does not answer; try again in {retry_after_seconds} seconds")]
    Unavailable {
        /// When trying again is sensible.
        retry_after_seconds: u32,
    },
    /// The holder refused the PIN, and is not asked again until an operator has looked at it.
    #[error("what holds the key refused its PIN; it is not tried again before the PIN is reloaded")]
    Locked,
    /// Our own mistake, or a holder that does not do what it says; for the log.
    #[error("what holds the key failed: {0}")]
    Broken(String),
}

//! The seam between calls and a token: a [`Connector`] opens connections, a [`Connection`] does one [`Request`] at a time.
//!
//! Everything on this side of it is synchronous, belongs to one thread and may hang for ever: modules are foreign code
//! that talks to hardware or a network. Tests put a token that fails in its place.

use vouchsafe_crypto::SecretBytes;
use vouchsafe_crypto::keys::{
    Encrypted, EncryptionAlgorithm, KeySpec, PrivateKey, PublicKey, SignatureAlgorithm,
};
use vouchsafe_domain::ports::hsm::HsmError;

use super::material::TokenKey;

/// Opens connections to one token.
pub trait Connector: Send + Sync + 'static {
    /// Opens a connection that is logged in; called in the thread that will use it.
    fn connect(&self) -> Result<Box<dyn Connection>, Fault>;
}

/// One open connection, used by one thread.
pub trait Connection {
    /// Does what is asked.
    fn perform(&mut self, request: &Request) -> Result<Reply, Fault>;
}

/// What a token is asked to do.
pub enum Request {
    /// Make a key.
    Generate(KeySpec),
    /// Take a key over.
    Import(Box<PrivateKey>),
    /// Take a key over that only `exchange` can unwrap.
    ImportWrapped {
        /// The RSA key that unwraps.
        exchange: TokenKey,
        /// The AES key under the exchange key.
        wrapping_key: Vec<u8>,
        /// The key under the AES key.
        wrapped: Vec<u8>,
        /// What the key must be.
        spec: KeySpec,
    },
    /// Sign a digest.
    Sign(TokenKey, SignatureAlgorithm, Vec<u8>),
    /// Encrypt with a symmetric key.
    Encrypt {
        /// The key.
        key: TokenKey,
        /// How.
        algorithm: EncryptionAlgorithm,
        /// What.
        plaintext: SecretBytes,
        /// The initialization vector, where the caller brings it.
        iv: Option<Vec<u8>>,
        /// What is authenticated beside.
        aad: Option<Vec<u8>>,
    },
    /// Decrypt or unwrap bytes.
    Decrypt(TokenKey, EncryptionAlgorithm, Encrypted),
    /// Say whether the key is there and is the one that is meant.
    Find(TokenKey),
    /// Forget a key.
    Destroy(TokenKey),
    /// Give random bytes.
    Random(usize),
    /// Say what token this is, which shows that it answers.
    Identify,
}

impl Request {
    /// Whether it may take as long as making a key takes.
    pub fn makes_a_key(&self) -> bool {
        matches!(self, Self::Generate(_) | Self::Import(_) | Self::ImportWrapped { .. })
    }
}

/// What a token answers.
pub enum Reply {
    /// A key was made or taken over.
    Held(TokenKey, Option<PublicKey>),
    /// A signature.
    Signature(Vec<u8>),
    /// A ciphertext.
    Encrypted(Encrypted),
    /// A plaintext or random bytes.
    Secret(SecretBytes),
    /// The serial number of the token.
    Serial(String),
    /// Done.
    Done,
}

/// Why a token did not do it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Fault {
    /// The connection is gone; a new one may do better, and nothing was done.
    Lost(String),
    /// The token failed; whether something was done is not known.
    Failed(String),
    /// A handle means nothing any more: the key was destroyed, or the token was restarted.
    Stale,
    /// The token works, and this is its answer.
    Answer(HsmError),
}

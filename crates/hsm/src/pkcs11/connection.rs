//! The seam between calls and a token: a [`Connector`] opens connections, a [`Connection`] does one [`Request`] at a time.
//!
//! Everything on this side of it is synchronous and belongs to one thread. Modules are foreign code that talks to
//! hardware or a network: they run in [processes](super::process) of their own, which are given until a moment and are
//! then ended. Tests put a token that fails in their place.

use std::time::Instant;

use vouchsafe_crypto::SecretBytes;
use vouchsafe_crypto::keys::{
    Encrypted, EncryptionAlgorithm, KeySpec, PrivateKey, PublicKey, SignatureAlgorithm, TransportAlgorithm,
};
use vouchsafe_domain::ports::hsm::{Exportable, HsmError, TokenStatement};

use super::material::TokenKey;

/// Opens connections to one token.
pub trait Connector: Send + Sync + 'static {
    /// Opens a connection that is logged in, in the thread that will use it; nobody waits for it after `until`.
    fn connect(&self, until: Instant) -> Result<Box<dyn Connection>, Fault>;
}

/// One open connection, used by one thread.
pub trait Connection {
    /// Does what is asked; nobody waits for it after `until`.
    fn perform(&mut self, request: &Request, until: Instant) -> Result<Reply, Fault>;
}

/// What a token is asked to do.
pub enum Request {
    /// Make a key.
    Generate(KeySpec, Exportable),
    /// Take a key over.
    Import(Box<PrivateKey>, Exportable),
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
        /// Whether it is to be wrapped for others one day.
        exportable: Exportable,
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
    Decrypt {
        /// The key.
        key: TokenKey,
        /// How.
        algorithm: EncryptionAlgorithm,
        /// What.
        encrypted: Encrypted,
        /// To whom a padded message is encrypted that the token cannot take the padding off.
        bridge: Option<PublicKey>,
    },
    /// Wrap a key for somebody, in the layout of `CKM_RSA_AES_KEY_WRAP`.
    WrapFor {
        /// The key.
        key: TokenKey,
        /// Whose private half opens it.
        recipient: PublicKey,
        /// How the AES key in the middle is wrapped.
        algorithm: TransportAlgorithm,
    },
    /// Say whether the key is there and is the one that is meant.
    Find(TokenKey),
    /// Say what the token says of a key, which is proved once more.
    Attest(TokenKey),
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
        self.made().is_some()
    }

    /// What kind of key it makes, if it makes one.
    pub fn made(&self) -> Option<(KeySpec, Exportable)> {
        match self {
            Self::Generate(spec, exportable) | Self::ImportWrapped { spec, exportable, .. } => {
                Some((*spec, *exportable))
            }
            Self::Import(key, exportable) => Some((key.spec(), *exportable)),
            _ => None,
        }
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
    /// A padded message without its first byte, encrypted to the bridge.
    Crossed {
        /// The first byte, which is zero in every message that is padded as it must be.
        first: u8,
        /// The rest for whoever has the bridge.
        crossed: Vec<u8>,
    },
    /// The token needs a bridge for that, and was given none.
    NeedsBridge,
    /// The serial number of the token.
    Serial(String),
    /// What the token says of a key.
    Attested(Box<TokenStatement>),
    /// A key that only the one it was wrapped for can open.
    Wrapped(Vec<u8>),
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

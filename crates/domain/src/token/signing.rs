//! A tenant's signing keys.
//!
//! Two kinds at all times: ES256 for our own services, which accept it and sign sixteen times faster with it, and
//! RS256 for every other audience, whose libraries may know nothing else. Of each kind there is a current key and a
//! next one that is already published, so that relying parties have it before its first signature.

use std::sync::Arc;
use std::time::Duration;

use vouchsafe_crypto::jose::{Algorithm, KeyKind, SigningKey};
use vouchsafe_crypto::{Reason, SecretBytes};

use crate::record::{self, Decode, Encode, Undecodable};
use crate::time::Timestamp;

/// How long a key signs before the next one takes over.
pub const CURRENT_FOR: Duration = Duration::from_secs(90 * 86_400);
/// How long a key stays published after its last signature: the longest token life, skew and a day of caches.
pub const RETAINED_FOR: Duration = Duration::from_secs(86_400 + 3_600 + 300);

/// What a signing key is used for now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KeyState {
    /// Published, signs nothing yet.
    Next,
    /// Signs.
    Current,
    /// Published for tokens it signed earlier.
    Retained,
}

/// One key of a tenant.
pub struct TenantKey {
    /// Its id, unique in the deployment: the RFC 7638 thumbprint.
    pub kid: String,
    /// What it signs with.
    pub algorithm: Algorithm,
    /// What it is used for.
    pub state: KeyState,
    /// When it entered this state.
    pub since: Timestamp,
    /// The key itself.
    pub key: Arc<SigningKey>,
}

impl TenantKey {
    /// A fresh key pair.
    pub fn generate(algorithm: Algorithm, state: KeyState, now: Timestamp) -> Self {
        let key = SigningKey::generate(kind_of(algorithm));
        Self { kid: kid_of(&key), algorithm, state, since: now, key: Arc::new(key) }
    }

    /// The keys that a new tenant starts with.
    pub fn first_set(now: Timestamp) -> Vec<Self> {
        [Algorithm::Es256, Algorithm::Rs256]
            .into_iter()
            .flat_map(|algorithm| [KeyState::Current, KeyState::Next].map(|state| (algorithm, state)))
            .map(|(algorithm, state)| Self::generate(algorithm, state, now))
            .collect()
    }

    /// What is due for this key at `now`: `Some(None)` means that it is to be forgotten.
    pub fn due(&self, now: Timestamp) -> Option<Option<KeyState>> {
        match self.state {
            KeyState::Current if now.since(self.since) >= CURRENT_FOR => Some(Some(KeyState::Retained)),
            KeyState::Retained if now.since(self.since) >= RETAINED_FOR => Some(None),
            _ => None,
        }
    }
}

fn kind_of(algorithm: Algorithm) -> KeyKind {
    match algorithm {
        Algorithm::Es256 => KeyKind::P256,
        Algorithm::Rs256 | Algorithm::Ps256 => KeyKind::Rsa2048,
    }
}

fn kid_of(key: &SigningKey) -> String {
    data_encoding::BASE64URL_NOPAD.encode(&key.public().thumbprint())
}

impl Encode for TenantKey {
    fn encode(&self) -> Vec<u8> {
        record::encode(&record::SigningKey {
            kid: self.kid.clone(),
            kind: match self.algorithm {
                Algorithm::Es256 => 1,
                Algorithm::Rs256 => 2,
                Algorithm::Ps256 => 3,
            },
            state: match self.state {
                KeyState::Next => 1,
                KeyState::Current => 2,
                KeyState::Retained => 3,
            },
            created: self.since.millis(),
            pkcs8: self.key.to_pkcs8().expose(Reason::Record).to_vec(),
        })
    }
}

impl Decode for TenantKey {
    fn decode(bytes: &[u8]) -> Result<Self, Undecodable> {
        let stored: record::SigningKey = record::decode(bytes)?;
        let pkcs8 = SecretBytes::new(stored.pkcs8);
        let algorithm = match stored.kind {
            1 => Algorithm::Es256,
            2 => Algorithm::Rs256,
            3 => Algorithm::Ps256,
            other => return Err(Undecodable(format!("unknown signing key kind {other}"))),
        };
        let state = match stored.state {
            1 => KeyState::Next,
            2 => KeyState::Current,
            3 => KeyState::Retained,
            other => return Err(Undecodable(format!("unknown signing key state {other}"))),
        };
        let key = SigningKey::from_pkcs8(kind_of(algorithm), &pkcs8)
            .map_err(|error| Undecodable(format!("a signing key: {error}")))?;
        let key = Arc::new(key);
        Ok(Self { kid: stored.kid, algorithm, state, since: Timestamp::from_millis(stored.created), key })
    }
}

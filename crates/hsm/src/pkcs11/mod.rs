//! The port over a PKCS#11 token (PKCS#11 2.40, and 3.0 where it only adds).
//!
//! A call becomes a request and waits for one of a few threads ([`workers`]). Each thread has a [process](process) of
//! its own that loads the module and is asked in [messages](message); in there ([`child`]) the request is done on a
//! [connection](token) to the token. A [`Breaker`] leaves a token alone that fails again and again. Keys are made inside
//! the token and marked so that they cannot leave it, unless they are made to be [released](release); what is remembered of
//! them is in [`material`].
//!
//! INVARIANT: nothing here computes with a private key itself. What the token cannot do is refused.

mod attest;
pub mod child;
pub mod connection;
pub mod counts;
pub mod frame;
mod import;
mod keys;
pub mod material;
pub mod message;
mod oaep;
mod operate;
pub mod process;
mod rejection;
mod release;
mod sentences;
pub mod settings;
pub mod token;
pub mod workers;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use vouchsafe_crypto::keys::{
    CiphertextParts, Encrypted, EncryptionAlgorithm, KeyFamily, KeySpec, PrivateKey, PublicKey,
    SignatureAlgorithm, TransportAlgorithm,
};
use vouchsafe_crypto::{Reason, SecretBytes};
use vouchsafe_domain::limits::RANDOM_BYTES_MAX;
use vouchsafe_domain::ports::Clock;
use vouchsafe_domain::ports::hsm::{ByokBlob, Exportable, HeldKey, Hsm, HsmError, KeyRef, TokenStatement};

use self::connection::{Connector, Fault, Reply, Request};
use self::counts::{Counts, Ended};
use self::material::TokenKey;
use self::oaep::Bridges;
use self::process::ModuleProcesses;
pub use self::settings::{OpenError, TokenSettings};
use self::token::Offered;
use self::workers::Workers;
use crate::breaker::{self, Breaker};
use crate::limits;

/// Keys in a token.
pub struct Pkcs11Hsm {
    workers: Workers,
    breaker: Breaker,
    offered: Arc<Offered>,
    processes: Option<Arc<ModuleProcesses>>,
    bridges: Bridges,
    call_deadline: Duration,
    generate_deadline: Duration,
}

/// How a token does; for health, metrics and whoever has to look at it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TokenState {
    /// Whether calls are made.
    pub breaker: breaker::Position,
    /// Whether the token refused the PIN, so that no login is tried.
    pub locked: bool,
    /// Threads whose process could not be ended in time.
    pub stuck: usize,
    /// Logins tried since the start.
    pub logins: u64,
    /// Processes that have the module loaded.
    pub processes: usize,
    /// Processes started since the start.
    pub started: u64,
    /// Those that ended, and why.
    pub ended: [(Ended, u64); Ended::ALL.len()],
    /// Calls that met their deadline since the start.
    pub late: u64,
}

impl Pkcs11Hsm {
    /// Prepares to use a token. It need not answer now: until it does, its keys are unavailable.
    pub fn open(settings: TokenSettings, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        settings.name.check()?;
        let processes = Arc::new(ModuleProcesses::new(settings.name.clone(), settings.program.clone()));
        let offered = processes.offered();
        let mut hsm = Self::over(processes.clone(), offered, &settings, clock)?;
        hsm.processes = Some(processes);
        Ok(hsm)
    }

    /// The same over any connector; for tests of what happens when a token does not behave.
    pub fn over(
        connector: Arc<dyn Connector>,
        offered: Arc<Offered>,
        settings: &TokenSettings,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, OpenError> {
        Ok(Self {
            workers: Workers::start(connector, settings.workers)?,
            breaker: Breaker::new(clock, settings.failures_max, settings.cooling),
            offered,
            processes: None,
            bridges: Bridges::default(),
            call_deadline: settings.call_deadline,
            generate_deadline: settings.generate_deadline,
        })
    }

    /// An operator has looked at the PIN: the next call reads the file again and logs in once.
    pub fn reload_pin(&self) {
        if let Some(processes) = &self.processes {
            processes.forget_refusal();
        }
    }

    /// How it does.
    pub fn state(&self) -> TokenState {
        let processes = self.processes.as_deref();
        let counts = processes.map(ModuleProcesses::counts);
        TokenState {
            breaker: self.breaker.position(),
            locked: processes.is_some_and(ModuleProcesses::is_refused),
            stuck: self.workers.stuck(),
            logins: processes.map_or(0, ModuleProcesses::logins),
            processes: counts.map_or(0, Counts::running),
            started: counts.map_or(0, Counts::started),
            ended: counts.map_or(Ended::ALL.map(|why| (why, 0)), Counts::ended),
            late: self.workers.late(),
        }
    }

    async fn call(&self, request: Request) -> Result<Reply, HsmError> {
        let permit = self
            .breaker
            .admit()
            .map_err(|retry_after_seconds| HsmError::Unavailable { retry_after_seconds })?;
        let deadline = if request.makes_a_key() { self.generate_deadline } else { self.call_deadline };
        let unavailable = HsmError::Unavailable { retry_after_seconds: limits::RETRY_AFTER_SECONDS };
        let Ok(answer) = self.workers.call(request, deadline).await else {
            // No verdict: a burst of callers must not close the way to a token that works.
            tracing::debug!("too many calls wait for the token");
            return Err(unavailable);
        };
        match answer {
            Ok(reply) => {
                permit.answered();
                Ok(reply)
            }
            // Whether the token works is not known while its PIN is refused: no verdict.
            Err(Fault::Answer(HsmError::Locked)) => Err(HsmError::Locked),
            Err(Fault::Answer(error)) => {
                permit.answered();
                Err(error)
            }
            Err(Fault::Stale) => {
                permit.answered();
                Err(HsmError::NotFound)
            }
            Err(Fault::Lost(reason) | Fault::Failed(reason)) => {
                permit.failed();
                tracing::warn!(reason, "the token does not answer as it should");
                Err(unavailable)
            }
        }
    }

    async fn held(&self, request: Request) -> Result<HeldKey, HsmError> {
        match self.call(request).await? {
            Reply::Held(key, public) => Ok(HeldKey { public, material: key.material() }),
            _ => Err(unexpected()),
        }
    }

    async fn serial(&self) -> Result<String, HsmError> {
        match self.call(Request::Identify).await? {
            Reply::Serial(serial) => Ok(serial),
            _ => Err(unexpected()),
        }
    }
}

fn unexpected() -> HsmError {
    HsmError::Broken("the connection to the token answered another question".into())
}

#[async_trait]
impl Hsm for Pkcs11Hsm {
    fn holds(&self, spec: KeySpec) -> bool {
        self.offered.generates(spec)
    }

    fn signs(&self, spec: KeySpec, algorithm: SignatureAlgorithm) -> bool {
        self.holds(spec) && algorithm.fits(spec) && self.offered.signs(algorithm)
    }

    fn decrypts(&self, spec: KeySpec, algorithm: EncryptionAlgorithm) -> bool {
        self.holds(spec) && algorithm.fits(spec) && self.offered.decrypts(algorithm)
    }

    fn releases(&self, spec: KeySpec) -> bool {
        self.holds(spec) && self.offered.wraps()
    }

    async fn generate(&self, spec: KeySpec, exportable: Exportable) -> Result<HeldKey, HsmError> {
        self.held(Request::Generate(spec, exportable)).await
    }

    async fn import(&self, key: PrivateKey, exportable: Exportable) -> Result<HeldKey, HsmError> {
        self.held(Request::Import(Box::new(key), exportable)).await
    }

    async fn import_wrapped(
        &self,
        exchange: &KeyRef<'_>,
        blob: &ByokBlob,
        spec: KeySpec,
        exportable: Exportable,
    ) -> Result<HeldKey, HsmError> {
        let (wrapping_key, wrapped) = blob.split(exchange.spec)?;
        let (wrapping_key, wrapped) = (wrapping_key.to_vec(), wrapped.to_vec());
        let exchange = TokenKey::from_reference(exchange)?;
        self.held(Request::ImportWrapped { exchange, wrapping_key, wrapped, spec, exportable }).await
    }

    async fn sign(
        &self,
        key: &KeyRef<'_>,
        algorithm: SignatureAlgorithm,
        digest: &[u8],
    ) -> Result<Vec<u8>, HsmError> {
        if !algorithm.fits(key.spec) {
            return Err(HsmError::Refused("the algorithm does not fit the key"));
        }
        if digest.len() != algorithm.digest_bytes() {
            return Err(HsmError::Refused("the digest does not have the length that the algorithm signs"));
        }
        if !self.offered.signs(algorithm) {
            return Err(HsmError::Unsupported("the token does not offer this signature algorithm"));
        }
        let request = Request::Sign(TokenKey::from_reference(key)?, algorithm, digest.to_vec());
        match self.call(request).await? {
            Reply::Signature(signature) => Ok(signature),
            _ => Err(unexpected()),
        }
    }

    async fn verify(
        &self,
        key: &KeyRef<'_>,
        algorithm: SignatureAlgorithm,
        _: &[u8],
        _: &[u8],
    ) -> Result<bool, HsmError> {
        if !algorithm.fits(key.spec) || !algorithm.is_symmetric() {
            return Err(HsmError::Refused("a signature of this key is verified with its public key"));
        }
        Err(HsmError::Unsupported("an AES key of a token does not compute HMACs"))
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
        operate::check_to_encrypt(key.spec, algorithm, plaintext.len(), iv, aad)?;
        if !self.offered.decrypts(algorithm) {
            return Err(HsmError::Unsupported("the token does not offer this encryption algorithm"));
        }
        let request = Request::Encrypt {
            key: TokenKey::from_reference(key)?,
            algorithm,
            plaintext: SecretBytes::new(plaintext.to_vec()),
            iv: iv.map(<[u8]>::to_vec),
            aad: aad.map(<[u8]>::to_vec),
        };
        match self.call(request).await? {
            Reply::Encrypted(encrypted) => Ok(encrypted),
            _ => Err(unexpected()),
        }
    }

    async fn decrypt(
        &self,
        key: &KeyRef<'_>,
        algorithm: EncryptionAlgorithm,
        parts: &CiphertextParts<'_>,
    ) -> Result<SecretBytes, HsmError> {
        operate::check_to_decrypt(key.spec, algorithm, parts)?;
        if !self.offered.decrypts(algorithm) {
            return Err(HsmError::Unsupported("the token does not offer this encryption algorithm"));
        }
        let (spec, key) = (key.spec, TokenKey::from_reference(key)?);
        let request = |bridge: Option<&PrivateKey>| Request::Decrypt {
            key: key.clone(),
            algorithm,
            encrypted: Encrypted {
                value: parts.value.to_vec(),
                iv: parts.iv.map(<[u8]>::to_vec),
                tag: parts.tag.map(<[u8]>::to_vec),
                aad: parts.aad.map(<[u8]>::to_vec),
            },
            bridge: bridge.and_then(PrivateKey::public),
        };
        // Most tokens take the padding off themselves: a bridge is made for one that has shown that it cannot.
        let mut bridge = self.bridges.of(spec).filter(|_| algorithm == EncryptionAlgorithm::RsaOaep256);
        let mut reply = self.call(request(bridge.as_deref())).await?;
        if matches!(reply, Reply::NeedsBridge) {
            let made = bridge.insert(self.bridges.of_or_new(spec).await?);
            reply = self.call(request(Some(made))).await?;
        }
        match (reply, bridge) {
            (Reply::Secret(plaintext), _) => Ok(plaintext),
            (Reply::Crossed { first, crossed }, Some(bridge)) => oaep::cross(&bridge, first, &crossed),
            _ => Err(unexpected()),
        }
    }

    async fn wrap_for_release(
        &self,
        key: &KeyRef<'_>,
        recipient: &PublicKey,
        algorithm: TransportAlgorithm,
    ) -> Result<Vec<u8>, HsmError> {
        let (key, recipient) = (TokenKey::from_reference(key)?, recipient.clone());
        match self.call(Request::WrapFor { key, recipient, algorithm }).await? {
            Reply::Wrapped(blob) => Ok(blob),
            _ => Err(unexpected()),
        }
    }

    async fn attest(&self, key: &KeyRef<'_>) -> Result<TokenStatement, HsmError> {
        match self.call(Request::Attest(TokenKey::from_reference(key)?)).await? {
            Reply::Attested(statement) => Ok(*statement),
            _ => Err(unexpected()),
        }
    }

    async fn backup(&self, key: &KeyRef<'_>) -> Result<SecretBytes, HsmError> {
        let key = TokenKey::from_reference(key)?;
        self.call(Request::Find(key.clone())).await?;
        Ok(key.backup(&self.serial().await?))
    }

    async fn restore(&self, spec: KeySpec, blob: &SecretBytes) -> Result<HeldKey, HsmError> {
        let key = TokenKey::from_backup(spec, blob, &self.serial().await?)?;
        self.call(Request::Find(key.clone())).await?;
        Ok(HeldKey { public: key.public(), material: key.material() })
    }

    async fn destroy(&self, key: &KeyRef<'_>) -> Result<(), HsmError> {
        self.call(Request::Destroy(TokenKey::from_reference(key)?)).await.map(drop)
    }

    async fn random(&self, bytes: usize) -> Result<SecretBytes, HsmError> {
        if bytes == 0 || bytes > RANDOM_BYTES_MAX {
            return Err(HsmError::Refused("ask for 1 to 128 random bytes"));
        }
        match self.call(Request::Random(bytes)).await? {
            Reply::Secret(random) if random.expose(Reason::Answer).len() == bytes => Ok(random),
            _ => Err(unexpected()),
        }
    }

    async fn healthy(&self) -> Result<(), HsmError> {
        self.serial().await.map(drop)
    }
}

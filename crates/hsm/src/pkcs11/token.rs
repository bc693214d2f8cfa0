//! Connections to a real token: the module is loaded once a process, the token found by name, the user logged in.
//!
//! SECURITY: a token locks itself after a few wrong PINs. A PIN that was refused is therefore never tried again, by any
//! thread, until an operator says that it was looked at; and a token that says that the next wrong PIN would be the last
//! is not logged in to at all.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::MechanismType;
use cryptoki::object::ObjectHandle;
use cryptoki::session::{Session, SessionState, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use vouchsafe_crypto::keys::{EncryptionAlgorithm, KeyFamily, KeySpec, SignatureAlgorithm};
use vouchsafe_crypto::{Reason, SecretBytes};
use vouchsafe_domain::ports::hsm::HsmError;

use super::connection::{Connection, Connector, Fault, Reply, Request};
use super::material::TokenKey;
use super::oaep::Bridges;
use super::settings::{TokenSettings, read_pin};

/// The modules of this process. A second `C_Initialize` of one is an error at best.
static MODULES: Mutex<BTreeMap<PathBuf, Pkcs11>> = Mutex::new(BTreeMap::new());

/// Loads and initializes a module, once.
fn module(path: &Path) -> Result<Pkcs11, Fault> {
    let mut modules = MODULES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(module) = modules.get(path) {
        return Ok(module.clone());
    }
    let broken = |error: Error| Fault::Failed(format!("the module `{}`: {error}", path.display()));
    let module = Pkcs11::new(path).map_err(broken)?;
    match module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
        Err(error) => return Err(broken(error)),
    }
    modules.insert(path.to_owned(), module.clone());
    Ok(module)
}

/// Which mechanisms a token offers; until it has answered once, everything is presumed.
#[derive(Default)]
pub struct Offered(OnceLock<Vec<MechanismType>>);

impl Offered {
    fn has(&self, mechanism: MechanismType) -> bool {
        self.0.get().is_none_or(|offered| offered.contains(&mechanism))
    }

    /// Whether keys of this kind are made.
    pub fn generates(&self, spec: KeySpec) -> bool {
        self.has(match spec.family() {
            KeyFamily::Rsa => MechanismType::RSA_PKCS_KEY_PAIR_GEN,
            KeyFamily::Ec => MechanismType::ECC_KEY_PAIR_GEN,
            KeyFamily::Oct => MechanismType::AES_KEY_GEN,
        })
    }

    /// Whether signatures of this kind are made. An AES key of PKCS#11 computes no HMAC.
    pub fn signs(&self, algorithm: SignatureAlgorithm) -> bool {
        use SignatureAlgorithm as A;
        match algorithm {
            A::Rs256 | A::Rs384 | A::Rs512 => self.has(MechanismType::RSA_PKCS),
            A::Ps256 | A::Ps384 | A::Ps512 => self.has(MechanismType::RSA_PKCS_PSS),
            A::Es256 | A::Es384 | A::Es512 | A::Es256k => self.has(MechanismType::ECDSA),
            A::Hs256 | A::Hs384 | A::Hs512 => false,
        }
    }

    /// Whether such ciphertexts are opened.
    pub fn decrypts(&self, algorithm: EncryptionAlgorithm) -> bool {
        use EncryptionAlgorithm as A;
        self.has(match algorithm {
            // Without the bare operation a wrong padding could not be kept from the caller.
            A::Rsa15 if !self.has(MechanismType::RSA_X_509) => return false,
            A::Rsa15 => MechanismType::RSA_PKCS,
            A::RsaOaep | A::RsaOaep256 => MechanismType::RSA_PKCS_OAEP,
            A::A128Gcm | A::A192Gcm | A::A256Gcm => MechanismType::AES_GCM,
            A::A128Cbc | A::A192Cbc | A::A256Cbc => MechanismType::AES_CBC,
            A::A128CbcPad | A::A192CbcPad | A::A256CbcPad => MechanismType::AES_CBC_PAD,
            A::A128Kw | A::A192Kw | A::A256Kw => MechanismType::AES_KEY_WRAP,
        })
    }
}

/// Opens connections to the token that the settings name.
pub struct TokenConnector {
    settings: TokenSettings,
    login: Mutex<Login>,
    logins: AtomicU64,
    shared: Arc<Shared>,
}

/// What the connections of one token have in common.
pub(super) struct Shared {
    pub(super) offered: Arc<Offered>,
    pub(super) bridges: Bridges,
    /// Counts destroyed keys: a token may give a handle that was a key to another one.
    pub(super) destroyed: AtomicU64,
}

#[derive(Eq, PartialEq)]
enum Login {
    MayBeTried,
    WasRefused,
}

impl TokenConnector {
    /// Nothing is loaded yet.
    pub fn new(settings: TokenSettings) -> Self {
        let shared =
            Shared { offered: Arc::default(), bridges: Bridges::default(), destroyed: AtomicU64::new(0) };
        Self {
            settings,
            login: Mutex::new(Login::MayBeTried),
            logins: AtomicU64::new(0),
            shared: Arc::new(shared),
        }
    }

    /// What the token offers.
    pub fn offered(&self) -> Arc<Offered> {
        Arc::clone(&self.shared.offered)
    }

    /// The key pairs that some tokens need for RSA-OAEP-256.
    pub(super) fn bridges(&self) -> &Bridges {
        &self.shared.bridges
    }

    /// Whether the PIN was refused.
    pub fn is_refused(&self) -> bool {
        // A login that hangs holds the lock; the PIN is then not known to be wrong.
        self.login.try_lock().is_ok_and(|login| *login == Login::WasRefused)
    }

    /// An operator has looked at the PIN.
    pub fn forget_refusal(&self) {
        // A login that is on its way holds the lock: nothing was refused yet that could be forgotten.
        if let Ok(mut login) = self.login.try_lock() {
            *login = Login::MayBeTried;
        }
    }

    /// How many logins were tried.
    pub fn logins(&self) -> u64 {
        self.logins.load(Ordering::Relaxed)
    }

    fn login(&self) -> MutexGuard<'_, Login> {
        self.login.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The slot with the one token that has the name.
    fn find(&self, module: &Pkcs11) -> Result<Slot, Fault> {
        let mut found = Vec::new();
        let mut unreadable = None;
        for slot in module.get_slots_with_token().map_err(lost)? {
            let token = match module.get_token_info(slot) {
                Ok(token) => token,
                Err(error) => {
                    unreadable = Some(error);
                    continue;
                }
            };
            let fits = |wanted: &Option<String>, has: &str| {
                wanted.as_deref().is_none_or(|wanted| wanted == has.trim_end())
            };
            if token.token_initialized()
                && fits(&self.settings.label, token.label())
                && fits(&self.settings.serial, token.serial_number())
            {
                found.push(slot);
            }
        }
        match (found.as_slice(), unreadable) {
            ([slot], _) => Ok(*slot),
            ([], Some(error)) => Err(lost(error)),
            ([], None) => Err(Fault::Failed("no token has the configured label and serial number".into())),
            _ => Err(Fault::Failed(
                "several tokens have the configured label; configure the serial number".into(),
            )),
        }
    }

    /// Logs in, unless the process is logged in already or a login would be one too many.
    fn log_in(&self, module: &Pkcs11, slot: Slot, session: &Session) -> Result<(), Fault> {
        // One thread at a time: the others then find the process logged in, or the PIN refused.
        let mut login = self.login();
        if *login == Login::WasRefused {
            return Err(Fault::Answer(HsmError::Locked));
        }
        let state = session.get_session_info().map_err(lost)?.session_state();
        if state == SessionState::RwUser {
            return Ok(());
        }
        let token = module.get_token_info(slot).map_err(lost)?;
        if token.user_pin_locked() || token.user_pin_final_try() {
            tracing::error!("the token is locked, or one wrong PIN away from it; no login is tried");
            *login = Login::WasRefused;
            return Err(Fault::Answer(HsmError::Locked));
        }
        let pin = read_pin(&self.settings.pin_file).map_err(|error| Fault::Failed(error.to_string()))?;
        let pin = AuthPin::new(pin.expose(Reason::Cipher).into());
        self.logins.fetch_add(1, Ordering::Relaxed);
        match session.login(UserType::User, Some(&pin)) {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(()),
            Err(Error::Pkcs11(
                RvError::PinIncorrect
                | RvError::PinInvalid
                | RvError::PinLenRange
                | RvError::PinLocked
                | RvError::PinExpired
                | RvError::UserPinNotInitialized,
                _,
            )) => {
                tracing::error!("the token refused the PIN; it is not tried again before it is reloaded");
                *login = Login::WasRefused;
                Err(Fault::Answer(HsmError::Locked))
            }
            Err(error) => Err(lost(error)),
        }
    }
}

impl Connector for TokenConnector {
    fn connect(&self) -> Result<Box<dyn Connection>, Fault> {
        // Looked at before anything is opened, so that a refused PIN costs the token nothing at all.
        if *self.login() == Login::WasRefused {
            return Err(Fault::Answer(HsmError::Locked));
        }
        let module = module(&self.settings.module)?;
        let slot = self.find(&module)?;
        let session = module.open_rw_session(slot).map_err(lost)?;
        self.log_in(&module, slot, &session)?;
        if self.shared.offered.0.get().is_none() {
            let offered = module.get_mechanism_list(slot).map_err(lost)?;
            // Whoever was first has written the same.
            let _ = self.shared.offered.0.set(offered);
        }
        let destroyed = self.shared.destroyed.load(Ordering::SeqCst);
        let shared = Arc::clone(&self.shared);
        Ok(Box::new(TokenConnection { module, slot, session, shared, handles: HashMap::new(), destroyed }))
    }
}

/// One logged-in connection.
pub(super) struct TokenConnection {
    pub(super) module: Pkcs11,
    pub(super) slot: Slot,
    pub(super) session: Session,
    pub(super) shared: Arc<Shared>,
    /// Keys that were found and proved, by everything that is remembered of them.
    pub(super) handles: HashMap<TokenKey, ObjectHandle>,
    /// [`Shared::destroyed`] when the handles were last trusted.
    pub(super) destroyed: u64,
}

impl TokenConnection {
    /// The serial number, read from the token itself: also how it is asked whether it is there at all.
    pub(super) fn serial(&self) -> Result<String, Fault> {
        let token = self.module.get_token_info(self.slot).map_err(lost)?;
        Ok(token.serial_number().trim_end().to_owned())
    }

    /// Someone else in this process may have logged the token out, or it may have done so itself.
    pub(super) fn is_logged_in(&self) -> Result<(), Fault> {
        match self.session.get_session_info().map_err(lost)?.session_state() {
            SessionState::RwUser => Ok(()),
            _ => Err(Fault::Lost("the token has logged us out".into())),
        }
    }

    pub(super) fn offers(&self, mechanism: MechanismType) -> bool {
        self.shared.offered.has(mechanism)
    }

    pub(super) fn random_bytes(&self, bytes: usize) -> Result<Vec<u8>, Fault> {
        let bytes = u32::try_from(bytes).map_err(|_| Fault::Answer(HsmError::Refused("too many bytes")))?;
        self.session.generate_random_vec(bytes).map_err(fault)
    }
}

impl Connection for TokenConnection {
    fn perform(&mut self, request: &Request) -> Result<Reply, Fault> {
        match request {
            Request::Generate(spec) => self.generate(*spec),
            Request::Import(key) => self.import(key),
            Request::ImportWrapped { exchange, wrapping_key, wrapped, spec } => {
                self.import_wrapped(exchange, wrapping_key, wrapped, *spec)
            }
            Request::Sign(key, algorithm, digest) => self
                .with_key(key, |token, handle| token.sign(handle, *algorithm, digest))
                .map(Reply::Signature),
            Request::Encrypt { key, algorithm, plaintext, iv, aad } => self
                .with_key(key, |token, handle| {
                    token.encrypt(handle, *algorithm, plaintext, iv.as_deref(), aad.as_deref())
                })
                .map(Reply::Encrypted),
            Request::Decrypt(key, algorithm, encrypted) => self
                .with_key(key, |token, handle| token.decrypt(key.spec, handle, *algorithm, encrypted))
                .map(Reply::Secret),
            Request::Find(key) => self.with_key(key, |_, _| Ok(Reply::Done)),
            Request::Destroy(key) => self.destroy(key).map(|()| Reply::Done),
            Request::Random(bytes) => {
                self.random_bytes(*bytes).map(|random| Reply::Secret(SecretBytes::new(random)))
            }
            Request::Identify => self.serial().map(Reply::Serial),
        }
    }
}

/// What an error means where no input of a caller is involved: the token is not there as it should be.
pub(super) fn lost(error: Error) -> Fault {
    match fault(error) {
        Fault::Answer(error) => Fault::Failed(error.to_string()),
        other => other,
    }
}

/// What an error of the module means.
pub(super) fn fault(error: Error) -> Fault {
    let Error::Pkcs11(code, function) = error else {
        return match error {
            Error::NullFunctionPointer | Error::NotSupported => {
                Fault::Answer(HsmError::Unsupported("the module lacks a function"))
            }
            other => Fault::Failed(other.to_string()),
        };
    };
    match code {
        RvError::SessionHandleInvalid
        | RvError::SessionClosed
        | RvError::UserNotLoggedIn
        | RvError::DeviceRemoved
        | RvError::TokenNotPresent
        | RvError::TokenNotRecognized
        | RvError::SlotIdInvalid
        | RvError::OperationActive => Fault::Lost(format!("{function}: {code}")),
        RvError::KeyHandleInvalid | RvError::ObjectHandleInvalid | RvError::UnwrappingKeyHandleInvalid => {
            Fault::Stale
        }
        RvError::MechanismInvalid
        | RvError::MechanismParamInvalid
        | RvError::FunctionNotSupported
        | RvError::CurveNotSupported
        | RvError::KeySizeRange => Fault::Answer(HsmError::Unsupported("the token does not do this")),
        RvError::DataInvalid
        | RvError::DataLenRange
        | RvError::EncryptedDataInvalid
        | RvError::EncryptedDataLenRange
        | RvError::WrappedKeyInvalid
        | RvError::WrappedKeyLenRange => Fault::Answer(HsmError::Refused("the token refused the input")),
        RvError::KeyFunctionNotPermitted | RvError::KeyTypeInconsistent => Fault::Answer(HsmError::Mismatch),
        _ => Fault::Failed(format!("{function}: {code}")),
    }
}

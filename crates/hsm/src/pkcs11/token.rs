//! A connection to a real token, in the process of its module: the token is found by name and the user logged in.
//!
//! SECURITY: a token locks itself after a few wrong PINs. One process tries one login; whether another may be tried is
//! decided by the one that starts these processes. A token that says that the next wrong PIN would be the last is not
//! logged in to at all.

use std::collections::HashMap;
use std::ffi::c_ulong;
use std::sync::OnceLock;
use std::time::Instant;

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

use super::connection::{Connection, Fault, Reply, Request};
use super::material::{ID_BYTES, TokenKey};
use super::settings::{TokenName, read_pin};

/// Which mechanisms a token offers; until it has answered once, everything is presumed.
#[derive(Default)]
pub struct Offered(OnceLock<Vec<MechanismType>>);

impl Offered {
    /// Keeps what the first connection was told, as the numbers that PKCS#11 gives mechanisms.
    pub(super) fn learn(&self, numbers: &[u64]) {
        let known = |number: &u64| MechanismType::try_from(c_ulong::try_from(*number).ok()?).ok();
        // Whoever was first has written the same.
        let _ = self.0.set(numbers.iter().filter_map(known).collect());
    }

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

    /// Whether keys that may leave are wrapped; which kinds is known only by trying.
    pub fn wraps(&self) -> bool {
        self.has(MechanismType::AES_KEY_WRAP_PAD)
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

/// How careful a login has to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Care {
    /// The last login that was tried was answered.
    Usual,
    /// What became of the last login is not known: it may have cost the token one of its tries.
    AfterAnUnknownEnd,
}

/// What became of an attempt to open a connection.
pub struct Opening {
    /// The connection, or why there is none.
    pub connection: Result<TokenConnection, Fault>,
    /// Whether the PIN was shown to the token.
    pub logged_in: bool,
}

/// Loads the module, finds the token and logs in.
pub fn open(name: &TokenName, care: Care) -> Opening {
    let mut logged_in = false;
    let connection = connect(name, care, &mut logged_in);
    Opening { connection, logged_in }
}

fn connect(name: &TokenName, care: Care, logged_in: &mut bool) -> Result<TokenConnection, Fault> {
    let broken = |error: Error| Fault::Failed(format!("the module `{}`: {error}", name.module.display()));
    let module = Pkcs11::new(&name.module).map_err(broken)?;
    match module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
        Err(error) => return Err(broken(error)),
    }
    let slot = find(name, &module)?;
    let session = module.open_rw_session(slot).map_err(lost)?;
    log_in(name, &module, slot, &session, care, logged_in)?;
    let offered = module.get_mechanism_list(slot).map_err(lost)?;
    Ok(TokenConnection {
        module,
        slot,
        session,
        offered,
        handles: HashMap::new(),
        trusted: 0,
        generation: 0,
        next_id: None,
    })
}

/// The slot with the one token that has the name.
fn find(name: &TokenName, module: &Pkcs11) -> Result<Slot, Fault> {
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
            && fits(&name.label, token.label())
            && fits(&name.serial, token.serial_number())
        {
            found.push(slot);
        }
    }
    match (found.as_slice(), unreadable) {
        ([slot], _) => Ok(*slot),
        ([], Some(error)) => Err(lost(error)),
        ([], None) => Err(Fault::Failed("no token has the configured label and serial number".into())),
        _ => {
            Err(Fault::Failed("several tokens have the configured label; configure the serial number".into()))
        }
    }
}

/// Logs in, unless that would be one try too many.
fn log_in(
    name: &TokenName,
    module: &Pkcs11,
    slot: Slot,
    session: &Session,
    care: Care,
    logged_in: &mut bool,
) -> Result<(), Fault> {
    let token = module.get_token_info(slot).map_err(lost)?;
    if token.user_pin_locked() || token.user_pin_final_try() {
        tracing::error!("the token is locked, or one wrong PIN away from it; no login is tried");
        return Err(Fault::Answer(HsmError::Locked));
    }
    if care == Care::AfterAnUnknownEnd && token.user_pin_count_low() {
        tracing::error!(
            "the token says that its last login failed, and how that ended is not known; no other is tried"
        );
        return Err(Fault::Answer(HsmError::Locked));
    }
    let pin = read_pin(&name.pin_file).map_err(|error| Fault::Failed(error.to_string()))?;
    let pin = AuthPin::new(pin.expose(Reason::Cipher).into());
    *logged_in = true;
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
            Err(Fault::Answer(HsmError::Locked))
        }
        Err(error) => Err(lost(error)),
    }
}

/// One logged-in connection.
pub struct TokenConnection {
    pub(super) module: Pkcs11,
    pub(super) slot: Slot,
    pub(super) session: Session,
    offered: Vec<MechanismType>,
    /// Keys that were found and proved, by everything that is remembered of them.
    pub(super) handles: HashMap<TokenKey, ObjectHandle>,
    /// The generation that the handles were last trusted in.
    pub(super) trusted: u64,
    /// How many keys all connections together have destroyed: a token may give a handle that was a key to another one.
    pub(super) generation: u64,
    /// Under which id the next key is made; random where nobody says.
    pub(super) next_id: Option<[u8; ID_BYTES]>,
}

impl TokenConnection {
    /// What holds for the next request: how many keys were destroyed by now, and which id a new key gets.
    pub fn prepare(&mut self, generation: u64, next_id: Option<[u8; ID_BYTES]>) {
        self.generation = generation;
        self.next_id = next_id;
    }

    /// The mechanisms that the token offers, as the numbers that PKCS#11 gives them.
    #[expect(clippy::useless_conversion, reason = "the C type has another width on other machines")]
    pub fn mechanisms(&self) -> Vec<u64> {
        self.offered.iter().map(|mechanism| u64::from(c_ulong::from(*mechanism))).collect()
    }

    /// The serial number, read from the token itself: also how it is asked whether it is there at all.
    pub(super) fn serial(&self) -> Result<String, Fault> {
        let token = self.module.get_token_info(self.slot).map_err(lost)?;
        Ok(token.serial_number().trim_end().to_owned())
    }

    /// A token may log its user out by itself.
    pub(super) fn is_logged_in(&self) -> Result<(), Fault> {
        match self.session.get_session_info().map_err(lost)?.session_state() {
            SessionState::RwUser => Ok(()),
            _ => Err(Fault::Lost("the token has logged us out".into())),
        }
    }

    pub(super) fn offers(&self, mechanism: MechanismType) -> bool {
        self.offered.contains(&mechanism)
    }

    pub(super) fn random_bytes(&self, bytes: usize) -> Result<Vec<u8>, Fault> {
        let bytes = u32::try_from(bytes).map_err(|_| Fault::Answer(HsmError::Refused("too many bytes")))?;
        self.session.generate_random_vec(bytes).map_err(fault)
    }
}

impl Connection for TokenConnection {
    fn perform(&mut self, request: &Request, _: Instant) -> Result<Reply, Fault> {
        match request {
            Request::Generate(spec, exportable) => self.generate(*spec, *exportable),
            Request::Import(key, exportable) => self.import(key, *exportable),
            Request::ImportWrapped { exchange, wrapping_key, wrapped, spec, exportable } => {
                self.import_wrapped(exchange, wrapping_key, wrapped, *spec, *exportable)
            }
            Request::Sign(key, algorithm, digest) => self
                .with_key(key, |token, handle| token.sign(handle, *algorithm, digest))
                .map(Reply::Signature),
            Request::Encrypt { key, algorithm, plaintext, iv, aad } => self
                .with_key(key, |token, handle| {
                    token.encrypt(handle, *algorithm, plaintext, iv.as_deref(), aad.as_deref())
                })
                .map(Reply::Encrypted),
            Request::Decrypt { key, algorithm, encrypted, bridge } => self.with_key(key, |token, handle| {
                token.decrypt(key.spec, handle, *algorithm, encrypted, bridge.as_ref())
            }),
            Request::WrapFor { key, recipient, algorithm } => {
                self.wrap_for(key, recipient, *algorithm).map(Reply::Wrapped)
            }
            Request::Find(key) => self.with_key(key, |_, _| Ok(Reply::Done)),
            Request::Attest(key) => self.attest(key).map(|statement| Reply::Attested(Box::new(statement))),
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

//! A root key under a key in a PKCS#11 token: what the store wants of a token, done with what speaks to one.
//!
//! Each wrap makes an AES-256 key in the token that cannot leave it, and encrypts with it in Galois/Counter Mode, bound to
//! the context. What is stored is the token's serial number, the key's id and check value, and the ciphertext. A key is used
//! only after it was proved to be the same. Keys of earlier wraps stay: a copy of an older record opens with them only.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use data_encoding::HEXLOWER;
use vouchsafe_crypto::keys::{Encrypted, EncryptionAlgorithm, KeySpec};
use vouchsafe_crypto::{Reason, SecretBytes};
use vouchsafe_domain::ports::hsm::{Exportable, HsmError, KeyRef};
use vouchsafe_hsm::TokenSettings;
use vouchsafe_hsm::pkcs11::OpenError;
use vouchsafe_hsm::pkcs11::connection::{Connection, Connector, Fault, Reply, Request};
use vouchsafe_hsm::pkcs11::material::TokenKey;
use vouchsafe_hsm::pkcs11::process::ModuleProcesses;
use vouchsafe_store::root::{RootWrapper, WrapError};

const FORMAT: u8 = 1;
const SERIAL_BYTES_MAX: usize = 64;
const MATERIAL_BYTES: usize = 49;
const IV_BYTES: usize = 12;
const TAG_BYTES: usize = 16;
const GCM: EncryptionAlgorithm = EncryptionAlgorithm::A256Gcm;

/// A token that holds keys over root keys.
pub struct RootToken {
    processes: ModuleProcesses,
    settings: TokenSettings,
    /// The id of the key that was made last.
    made: Mutex<Option<String>>,
}

impl RootToken {
    /// Looks at the settings; the token is asked when it is needed.
    pub fn new(settings: TokenSettings) -> Result<Self, OpenError> {
        settings.name.check()?;
        let processes = ModuleProcesses::new(settings.name.clone(), settings.program.clone());
        Ok(Self { processes, settings, made: Mutex::default() })
    }

    /// The token as it was named.
    fn name(&self) -> String {
        let name = &self.settings.name;
        name.label.clone().or_else(|| name.serial.clone()).unwrap_or_default()
    }

    /// A connection, which costs one login, and the token's serial number.
    fn open(&self) -> Result<Opened<'_>, WrapError> {
        let connected = self.processes.connect(self.until(self.settings.call_deadline));
        let connection = connected.map_err(|fault| self.unavailable(fault))?;
        let mut opened = Opened { token: self, connection, serial: String::new() };
        match opened.perform(&Request::Identify, self.settings.call_deadline)? {
            Reply::Serial(serial) if serial.len() <= SERIAL_BYTES_MAX => opened.serial = serial,
            _ => {
                return Err(WrapError::Unavailable(format!(
                    "the token `{}` has no serial number",
                    self.name()
                )));
            }
        }
        if !self.processes.offered().decrypts(GCM) {
            let problem =
                format!("the token `{}` does not offer CKM_AES_GCM, which a root key needs", self.name());
            return Err(WrapError::Unavailable(problem));
        }
        Ok(opened)
    }

    fn until(&self, deadline: Duration) -> Instant {
        Instant::now() + deadline
    }

    fn unavailable(&self, fault: Fault) -> WrapError {
        let name = self.name();
        WrapError::Unavailable(match fault {
            Fault::Answer(HsmError::Locked) => format!(
                "the token `{name}` refused the PIN in `{}`, or would lock itself at the next wrong one; it was tried once \
                 at most: correct the file before the next start",
                self.settings.name.pin_file.display()
            ),
            Fault::Lost(reason) | Fault::Failed(reason) => {
                format!("the token `{name}` cannot be used: {reason}")
            }
            Fault::Stale => format!("the token `{name}` does not have the key"),
            Fault::Answer(error) => format!("the token `{name}`: {error}"),
        })
    }
}

impl RootWrapper for RootToken {
    fn describe(&self) -> String {
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        match &*made {
            Some(id) => format!("{id} in {}", self.name()),
            None => format!("in {}", self.name()),
        }
    }

    fn wrap(&self, key: &SecretBytes, context: &[u8]) -> Result<Vec<u8>, WrapError> {
        let mut opened = self.open()?;
        let Reply::Held(wrapping, _) = opened.perform(
            &Request::Generate(KeySpec::Oct256, Exportable::Never),
            self.settings.generate_deadline,
        )?
        else {
            return Err(unexpected());
        };
        let request = Request::Encrypt {
            key: wrapping.clone(),
            algorithm: GCM,
            plaintext: SecretBytes::new(key.expose(Reason::Cipher).to_vec()),
            iv: None,
            aad: Some(context.to_vec()),
        };
        let Reply::Encrypted(Encrypted { value, iv: Some(iv), tag: Some(tag), .. }) =
            opened.perform(&request, self.settings.call_deadline)?
        else {
            return Err(unexpected());
        };
        let stored = Stored { serial: opened.serial.clone(), key: wrapping, iv, tag, value };
        *self.made.lock().unwrap_or_else(PoisonError::into_inner) = Some(HEXLOWER.encode(&stored.key.id));
        stored.encode().ok_or_else(unexpected)
    }

    fn unwrap(&self, wrapped: &[u8], context: &[u8]) -> Result<SecretBytes, WrapError> {
        let Stored { serial, key, iv, tag, value } = Stored::decode(wrapped).ok_or(WrapError::NotOurs)?;
        let mut opened = self.open()?;
        let (name, id) = (self.name(), HEXLOWER.encode(&key.id));
        if opened.serial != serial {
            return Err(WrapError::Unavailable(format!(
                "the key is in the token with the serial number `{serial}`, and `{name}` is `{}`: name the right one",
                opened.serial
            )));
        }
        let encrypted = Encrypted { value, iv: Some(iv), tag: Some(tag), aad: Some(context.to_vec()) };
        let request = Request::Decrypt { key, algorithm: GCM, encrypted, bridge: None };
        let until = self.until(self.settings.call_deadline);
        match opened.connection.perform(&request, until) {
            Ok(Reply::Secret(key)) => Ok(key),
            Ok(_) => Err(unexpected()),
            Err(Fault::Answer(HsmError::NotFound) | Fault::Stale) => Err(WrapError::Unavailable(format!(
                "the key {id} is gone from the token `{name}`: restore the token, or open with another provider"
            ))),
            Err(Fault::Answer(HsmError::Mismatch)) => Err(WrapError::Unavailable(format!(
                "under the id {id} in the token `{name}` is another key, or two: somebody else writes to the token"
            ))),
            Err(Fault::Answer(HsmError::Refused(_))) => Err(WrapError::NotOurs),
            Err(fault) => Err(self.unavailable(fault)),
        }
    }
}

/// A connection for one wrap or unwrap; with it ends the process of the module.
struct Opened<'a> {
    token: &'a RootToken,
    connection: Box<dyn Connection>,
    serial: String,
}

impl Opened<'_> {
    fn perform(&mut self, request: &Request, deadline: Duration) -> Result<Reply, WrapError> {
        let until = self.token.until(deadline);
        self.connection.perform(request, until).map_err(|fault| self.token.unavailable(fault))
    }
}

fn unexpected() -> WrapError {
    WrapError::Unavailable("the token answered another question".into())
}

/// What a record holds of a wrap.
struct Stored {
    serial: String,
    key: TokenKey,
    iv: Vec<u8>,
    tag: Vec<u8>,
    value: Vec<u8>,
}

impl Stored {
    /// A format, the length of the serial number and it, the key's id and check value, the initialization vector, the tag, and the
    /// ciphertext.
    fn encode(&self) -> Option<Vec<u8>> {
        if self.iv.len() != IV_BYTES || self.tag.len() != TAG_BYTES {
            return None;
        }
        let length = u8::try_from(self.serial.len()).ok()?;
        let material = self.key.material();
        let parts = [
            &[FORMAT, length],
            self.serial.as_bytes(),
            material.expose(Reason::Record),
            &self.iv,
            &self.tag,
            &self.value,
        ];
        Some(parts.concat())
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (&[format, length], rest) = bytes.split_first_chunk()?;
        let (serial, rest) = rest.split_at_checked(usize::from(length))?;
        let (material, rest) = rest.split_at_checked(MATERIAL_BYTES)?;
        let (iv, rest) = rest.split_at_checked(IV_BYTES)?;
        let (tag, value) = rest.split_at_checked(TAG_BYTES)?;
        let material = SecretBytes::new(material.to_vec());
        let key = TokenKey::from_reference(&KeyRef { spec: KeySpec::Oct256, material: &material }).ok()?;
        if format != FORMAT || serial.len() > SERIAL_BYTES_MAX || key.exportable != Exportable::Never {
            return None;
        }
        let serial = std::str::from_utf8(serial).ok()?.to_owned();
        Some(Self { serial, key, iv: iv.to_vec(), tag: tag.to_vec(), value: value.to_vec() })
    }
}

#[cfg(test)]
mod tests {
    use vouchsafe_hsm::pkcs11::material::Check;

    use super::*;

    #[test]
    fn what_is_stored_comes_back_and_nothing_else_is_read() {
        let key = TokenKey {
            spec: KeySpec::Oct256,
            id: [1; 16],
            exportable: Exportable::Never,
            check: Check::Value([2; 32]),
        };
        let stored =
            Stored { serial: "4711".into(), key, iv: vec![3; 12], tag: vec![4; 16], value: vec![5; 32] };
        let bytes = stored.encode().expect("encoded");
        let read = Stored::decode(&bytes).expect("decoded");
        assert_eq!((read.serial.as_str(), &read.key, &read.iv), ("4711", &stored.key, &stored.iv));
        assert_eq!((&read.tag, &read.value), (&stored.tag, &stored.value));
        let ciphertext_begins = bytes.len() - stored.value.len();
        for length in 0..ciphertext_begins {
            assert!(Stored::decode(&bytes[..length]).is_none(), "{length} bytes");
        }
        for (place, wrong) in [(0, 2), (1, 255), (6, 9)] {
            let mut changed = bytes.clone();
            changed[place] = wrong;
            assert!(Stored::decode(&changed).is_none(), "byte {place}");
        }
    }
}

//! What is said between the server and the process of a module, and the way from and to [`Request`] and [`Reply`].
//!
//! Both sides are one program of one version, so numbers here may change. Every message is still looked at as a
//! stranger's: what is missing, unknown or does not fit is refused and never guessed.

mod statement;

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;

use prost::Message;
use vouchsafe_crypto::keys::{
    Encrypted, EncryptionAlgorithm, KeySpec, PrivateKey, PublicKey, SignatureAlgorithm, TransportAlgorithm,
};
use vouchsafe_crypto::{Reason, SecretBytes};
use vouchsafe_domain::limits::RANDOM_BYTES_MAX;
use vouchsafe_domain::ports::hsm::{Exportable, HsmError};
use zeroize::{Zeroize, Zeroizing};

use self::statement::Statement;
use super::connection::{Fault, Reply, Request};
use super::material::{ID_BYTES, TokenKey};
use super::sentences;
use super::settings::TokenName;
use super::token::Care;
use crate::limits;

/// A frame that says nothing that can be understood.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a message that cannot be understood: {0}")]
pub struct Misunderstood(pub(super) &'static str);

/// What the process of a module is told.
pub enum Order {
    /// The first one: to open the connection.
    Open(TokenName, Care),
    /// Everything else that a token is asked.
    Perform {
        /// The request.
        request: Request,
        /// How many keys all connections have destroyed.
        generation: u64,
        /// Under which id a new key is made.
        next_id: Option<[u8; ID_BYTES]>,
    },
    /// To destroy whatever is under an id.
    Forget([u8; ID_BYTES]),
}

/// What the process of a module says.
pub enum Answer {
    /// To [`Order::Open`]: the mechanisms of the token or why there is no connection, and whether a PIN was shown.
    Opened(Result<Vec<u64>, Fault>, bool),
    /// To everything else.
    Performed(Result<Reply, Fault>),
}

/// An [`Order`] as it is sent. `value` may be a plaintext or a key and is wiped.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
struct Question {
    #[prost(uint32, tag = "1")]
    operation: u32,
    #[prost(uint64, tag = "2")]
    generation: u64,
    /// An id, or the module's path.
    #[prost(bytes = "vec", optional, tag = "3")]
    id: Option<Vec<u8>>,
    /// The kind of a key to be made, or how many random bytes.
    #[prost(uint32, tag = "4")]
    spec: u32,
    /// The kind of a key to be used.
    #[prost(uint32, tag = "5")]
    key_spec: u32,
    #[prost(bytes = "vec", tag = "6")]
    key: Vec<u8>,
    #[prost(string, tag = "7")]
    algorithm: String,
    #[prost(bytes = "vec", tag = "8")]
    value: Vec<u8>,
    #[prost(bytes = "vec", optional, tag = "9")]
    iv: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "10")]
    aad: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "11")]
    tag: Option<Vec<u8>>,
    /// A bridge, a recipient, a wrapped wrapping key, or the path of the PIN file.
    #[prost(bytes = "vec", optional, tag = "12")]
    other: Option<Vec<u8>>,
    #[prost(string, optional, tag = "13")]
    label: Option<String>,
    #[prost(string, optional, tag = "14")]
    serial: Option<String>,
    #[prost(bool, tag = "15")]
    care: bool,
    /// Whether a key to be made may leave.
    #[prost(bool, tag = "16")]
    exportable: bool,
}

/// An [`Answer`] as it is sent. `value` may be a plaintext and is wiped.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
struct Said {
    #[prost(uint32, tag = "1")]
    kind: u32,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
    #[prost(bytes = "vec", optional, tag = "3")]
    iv: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "4")]
    tag: Option<Vec<u8>>,
    #[prost(string, tag = "5")]
    text: String,
    #[prost(uint32, tag = "6")]
    number: u32,
    #[prost(uint64, repeated, tag = "7")]
    mechanisms: Vec<u64>,
    #[prost(bool, tag = "8")]
    logged_in: bool,
    #[prost(message, optional, tag = "9")]
    statement: Option<Statement>,
}

macro_rules! wiped {
    ($($name:ident)*) => {$(
        impl Drop for $name {
            fn drop(&mut self) {
                self.value.zeroize();
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), " { .. }"))
            }
        }
    )*};
}

wiped! { Question Said }

const OPEN: u32 = 1;
const GENERATE: u32 = 2;
const IMPORT: u32 = 3;
const IMPORT_WRAPPED: u32 = 4;
const SIGN: u32 = 5;
const ENCRYPT: u32 = 6;
const DECRYPT: u32 = 7;
const FIND: u32 = 8;
const DESTROY: u32 = 9;
const RANDOM: u32 = 10;
const IDENTIFY: u32 = 11;
const FORGET: u32 = 12;
const ATTEST: u32 = 13;
const WRAP_FOR: u32 = 14;

const OPENED: u32 = 1;
const HELD: u32 = 2;
const SIGNATURE: u32 = 3;
const ENCRYPTED: u32 = 4;
const SECRET: u32 = 5;
const CROSSED: u32 = 6;
const NEEDS_BRIDGE: u32 = 7;
const SERIAL: u32 = 8;
const DONE: u32 = 9;
const ATTESTED: u32 = 10;
const WRAPPED: u32 = 11;
const LOST: u32 = 21;
const FAILED: u32 = 22;
const STALE: u32 = 23;
const UNSUPPORTED: u32 = 24;
const REFUSED: u32 = 25;
const MISMATCH: u32 = 26;
const NOT_FOUND: u32 = 27;
const LOCKED: u32 = 28;
const BROKEN: u32 = 29;

fn encoded(message: &impl Message) -> Zeroizing<Vec<u8>> {
    // Reserved at once: a buffer that grew would leave what it held behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(message.encoded_len()));
    // It has the room that it asked for.
    let _ = message.encode(&mut *bytes);
    bytes
}

impl Order {
    /// The bytes of a request, without taking it apart.
    pub fn encode_request(
        request: &Request,
        generation: u64,
        next_id: Option<[u8; ID_BYTES]>,
    ) -> Zeroizing<Vec<u8>> {
        let mut question = Question::default();
        question.generation = generation;
        question.id = next_id.map(Vec::from);
        question.ask(request);
        encoded(&question)
    }

    /// The bytes of the first order.
    pub fn encode_open(name: &TokenName, care: Care) -> Zeroizing<Vec<u8>> {
        let mut question = Question::default();
        question.operation = OPEN;
        question.id = Some(name.module.as_os_str().as_bytes().to_vec());
        question.other = Some(name.pin_file.as_os_str().as_bytes().to_vec());
        question.label.clone_from(&name.label);
        question.serial.clone_from(&name.serial);
        question.care = care == Care::AfterAnUnknownEnd;
        encoded(&question)
    }

    /// The bytes of an order to forget.
    pub fn encode_forget(id: [u8; ID_BYTES]) -> Zeroizing<Vec<u8>> {
        let mut question = Question::default();
        question.operation = FORGET;
        question.id = Some(id.to_vec());
        encoded(&question)
    }

    /// Reads one.
    pub fn decode(bytes: &[u8]) -> Result<Self, Misunderstood> {
        let mut question = Question::decode(bytes).map_err(|_| Misunderstood("no question"))?;
        let id = || -> Result<Option<[u8; ID_BYTES]>, Misunderstood> {
            let id = question.id.as_deref().map(<[u8; ID_BYTES]>::try_from).transpose();
            id.map_err(|_| Misunderstood("an id of another length"))
        };
        match question.operation {
            OPEN => question.opening(),
            FORGET => id()?.map(Self::Forget).ok_or(Misunderstood("no id")),
            _ => {
                let (generation, next_id) = (question.generation, id()?);
                Ok(Self::Perform { request: question.request()?, generation, next_id })
            }
        }
    }
}

impl Question {
    fn ask(&mut self, request: &Request) {
        if let Some((spec, exportable)) = request.made() {
            self.spec = spec.code();
            self.exportable = exportable == Exportable::OnRelease;
        }
        match request {
            Request::Generate(..) => self.operation = GENERATE,
            Request::Import(key, _) => {
                self.operation = IMPORT;
                self.value = std::mem::take(&mut *key.to_material().into_exposed(Reason::Cipher));
            }
            Request::ImportWrapped { exchange, wrapping_key, wrapped, .. } => {
                self.operation = IMPORT_WRAPPED;
                self.uses(exchange);
                self.other = Some(wrapping_key.clone());
                self.value = wrapped.clone();
            }
            Request::Sign(key, algorithm, digest) => {
                self.operation = SIGN;
                self.uses(key);
                self.algorithm = algorithm.as_str().to_owned();
                self.value = digest.clone();
            }
            Request::Encrypt { key, algorithm, plaintext, iv, aad } => {
                self.operation = ENCRYPT;
                self.uses(key);
                self.algorithm = algorithm.as_str().to_owned();
                self.value = plaintext.expose(Reason::Cipher).to_vec();
                self.iv.clone_from(iv);
                self.aad.clone_from(aad);
            }
            Request::Decrypt { key, algorithm, encrypted, bridge } => {
                self.operation = DECRYPT;
                self.uses(key);
                self.algorithm = algorithm.as_str().to_owned();
                self.value = encrypted.value.clone();
                self.iv.clone_from(&encrypted.iv);
                self.tag.clone_from(&encrypted.tag);
                self.aad.clone_from(&encrypted.aad);
                self.other = bridge.as_ref().map(PublicKey::spki_der);
            }
            Request::WrapFor { key, recipient, algorithm } => {
                self.operation = WRAP_FOR;
                self.uses(key);
                self.algorithm = algorithm.as_str().to_owned();
                self.other = Some(recipient.spki_der());
            }
            Request::Find(key) => {
                self.operation = FIND;
                self.uses(key);
            }
            Request::Attest(key) => {
                self.operation = ATTEST;
                self.uses(key);
            }
            Request::Destroy(key) => {
                self.operation = DESTROY;
                self.uses(key);
            }
            Request::Random(bytes) => {
                self.operation = RANDOM;
                self.spec = u32::try_from(*bytes).unwrap_or(u32::MAX);
            }
            Request::Identify => self.operation = IDENTIFY,
        }
    }

    fn uses(&mut self, key: &TokenKey) {
        self.key_spec = key.spec.code();
        self.key = key.material().expose(Reason::Cipher).to_vec();
    }

    fn opening(&mut self) -> Result<Order, Misunderstood> {
        let path = |bytes: &Option<Vec<u8>>| bytes.as_deref().map(|bytes| OsStr::from_bytes(bytes).into());
        let name = TokenName {
            module: path(&self.id).ok_or(Misunderstood("no module"))?,
            pin_file: path(&self.other).ok_or(Misunderstood("no PIN file"))?,
            label: self.label.take(),
            serial: self.serial.take(),
        };
        let care = if self.care { Care::AfterAnUnknownEnd } else { Care::Usual };
        Ok(Order::Open(name, care))
    }

    fn request(&mut self) -> Result<Request, Misunderstood> {
        let spec = |code| KeySpec::from_code(code).ok_or(Misunderstood("no such kind of key"));
        let exportable = if self.exportable { Exportable::OnRelease } else { Exportable::Never };
        Ok(match self.operation {
            GENERATE => Request::Generate(spec(self.spec)?, exportable),
            IMPORT => {
                let material = std::mem::take(&mut self.value);
                let key = PrivateKey::from_material(spec(self.spec)?, &SecretBytes::new(material));
                Request::Import(Box::new(key.map_err(|_| Misunderstood("no key to import"))?), exportable)
            }
            IMPORT_WRAPPED => Request::ImportWrapped {
                exchange: self.used()?,
                wrapping_key: self.other.take().ok_or(Misunderstood("no wrapping key"))?,
                wrapped: std::mem::take(&mut self.value),
                spec: spec(self.spec)?,
                exportable,
            },
            SIGN => {
                let algorithm = SignatureAlgorithm::parse(&self.algorithm);
                let algorithm = algorithm.ok_or(Misunderstood("no such algorithm"))?;
                Request::Sign(self.used()?, algorithm, std::mem::take(&mut self.value))
            }
            ENCRYPT => Request::Encrypt {
                key: self.used()?,
                algorithm: self.encryption()?,
                plaintext: SecretBytes::new(std::mem::take(&mut self.value)),
                iv: self.iv.take(),
                aad: self.aad.take(),
            },
            DECRYPT => {
                let bridge = self.other.take().map(|spki| PublicKey::from_spki_der(&spki)).transpose();
                Request::Decrypt {
                    key: self.used()?,
                    algorithm: self.encryption()?,
                    encrypted: Encrypted {
                        value: std::mem::take(&mut self.value),
                        iv: self.iv.take(),
                        tag: self.tag.take(),
                        aad: self.aad.take(),
                    },
                    bridge: bridge.map_err(|_| Misunderstood("no bridge"))?,
                }
            }
            WRAP_FOR => {
                let recipient = self.other.take().ok_or(Misunderstood("no recipient"))?;
                Request::WrapFor {
                    key: self.used()?,
                    recipient: PublicKey::from_spki_der(&recipient)
                        .map_err(|_| Misunderstood("no recipient"))?,
                    algorithm: TransportAlgorithm::parse(&self.algorithm)
                        .ok_or(Misunderstood("no such algorithm"))?,
                }
            }
            FIND => Request::Find(self.used()?),
            ATTEST => Request::Attest(self.used()?),
            DESTROY => Request::Destroy(self.used()?),
            RANDOM => {
                let bytes = usize::try_from(self.spec).ok().filter(|bytes| *bytes <= RANDOM_BYTES_MAX);
                Request::Random(bytes.ok_or(Misunderstood("too many random bytes"))?)
            }
            IDENTIFY => Request::Identify,
            _ => return Err(Misunderstood("no such operation")),
        })
    }

    fn used(&self) -> Result<TokenKey, Misunderstood> {
        let spec = KeySpec::from_code(self.key_spec).ok_or(Misunderstood("no such kind of key"))?;
        TokenKey::read(spec, &self.key).map_err(|_| Misunderstood("no key"))
    }

    fn encryption(&self) -> Result<EncryptionAlgorithm, Misunderstood> {
        EncryptionAlgorithm::parse(&self.algorithm).ok_or(Misunderstood("no such algorithm"))
    }
}

impl Answer {
    /// The bytes.
    pub fn encode(self) -> Zeroizing<Vec<u8>> {
        let mut said = Said::default();
        match self {
            Self::Opened(opened, logged_in) => {
                said.logged_in = logged_in;
                match opened {
                    Ok(mechanisms) => {
                        said.kind = OPENED;
                        said.mechanisms = mechanisms;
                        said.mechanisms.truncate(limits::MECHANISMS_MAX);
                    }
                    Err(fault) => said.fault(fault),
                }
            }
            Self::Performed(Ok(reply)) => said.reply(reply),
            Self::Performed(Err(fault)) => said.fault(fault),
        }
        encoded(&said)
    }

    /// Reads the answer to [`Order::Open`].
    pub fn decode_opened(bytes: &[u8]) -> Result<(Result<Vec<u64>, Fault>, bool), Misunderstood> {
        let mut said = Said::decode(bytes).map_err(|_| Misunderstood("no answer"))?;
        let logged_in = said.logged_in;
        if said.kind != OPENED {
            return Ok((Err(said.read_fault()?), logged_in));
        }
        if said.mechanisms.len() > limits::MECHANISMS_MAX {
            return Err(Misunderstood("too many mechanisms"));
        }
        Ok((Ok(std::mem::take(&mut said.mechanisms)), logged_in))
    }

    /// Reads the answer to `request`; what answers another one is not an answer.
    pub fn decode_performed(bytes: &[u8], request: &Request) -> Result<Result<Reply, Fault>, Misunderstood> {
        let mut said = Said::decode(bytes).map_err(|_| Misunderstood("no answer"))?;
        let reply = match (said.kind, request) {
            (HELD, Request::Generate(..) | Request::Import(..) | Request::ImportWrapped { .. }) => {
                let (spec, exportable) = request.made().ok_or(Misunderstood("no kind of key"))?;
                let key = TokenKey::read(spec, &said.value).ok().filter(|key| key.exportable == exportable);
                let key = key.ok_or(Misunderstood("no key of that kind"))?;
                let public = key.public();
                Reply::Held(key, public)
            }
            (SIGNATURE, Request::Sign(..)) => Reply::Signature(std::mem::take(&mut said.value)),
            (ENCRYPTED, Request::Encrypt { aad, .. }) => Reply::Encrypted(Encrypted {
                value: std::mem::take(&mut said.value),
                iv: said.iv.take(),
                tag: said.tag.take(),
                aad: aad.clone(),
            }),
            (SECRET, Request::Decrypt { .. } | Request::Random(_)) => {
                Reply::Secret(SecretBytes::new(std::mem::take(&mut said.value)))
            }
            (CROSSED, Request::Decrypt { bridge: Some(_), .. }) => Reply::Crossed {
                first: u8::try_from(said.number).map_err(|_| Misunderstood("no first byte"))?,
                crossed: std::mem::take(&mut said.value),
            },
            (NEEDS_BRIDGE, Request::Decrypt { bridge: None, .. }) => Reply::NeedsBridge,
            (SERIAL, Request::Identify) => Reply::Serial(shortened(&said.text)),
            (ATTESTED, Request::Attest(key)) => {
                let statement = said.statement.take().ok_or(Misunderstood("no statement"))?;
                Reply::Attested(Box::new(statement.read(&key.id)?))
            }
            (WRAPPED, Request::WrapFor { .. }) => Reply::Wrapped(std::mem::take(&mut said.value)),
            (DONE, Request::Find(_) | Request::Destroy(_)) => Reply::Done,
            _ => return said.read_fault().map(Err),
        };
        Ok(Ok(reply))
    }

    /// Reads the answer to [`Order::Forget`].
    pub fn decode_forgotten(bytes: &[u8]) -> Result<Result<(), Fault>, Misunderstood> {
        let said = Said::decode(bytes).map_err(|_| Misunderstood("no answer"))?;
        if said.kind == DONE { Ok(Ok(())) } else { said.read_fault().map(Err) }
    }
}

impl Said {
    fn reply(&mut self, reply: Reply) {
        match reply {
            Reply::Held(key, _) => {
                self.kind = HELD;
                self.value = key.material().expose(Reason::Cipher).to_vec();
            }
            Reply::Signature(signature) => {
                self.kind = SIGNATURE;
                self.value = signature;
            }
            Reply::Encrypted(encrypted) => {
                self.kind = ENCRYPTED;
                self.value = encrypted.value;
                self.iv = encrypted.iv;
                self.tag = encrypted.tag;
            }
            Reply::Secret(secret) => {
                self.kind = SECRET;
                self.value = std::mem::take(&mut *secret.into_exposed(Reason::Cipher));
            }
            Reply::Crossed { first, crossed } => {
                self.kind = CROSSED;
                self.number = u32::from(first);
                self.value = crossed;
            }
            Reply::NeedsBridge => self.kind = NEEDS_BRIDGE,
            Reply::Serial(serial) => {
                self.kind = SERIAL;
                self.text = serial;
            }
            Reply::Attested(statement) => {
                self.kind = ATTESTED;
                self.statement = Some((*statement).into());
            }
            Reply::Wrapped(blob) => {
                self.kind = WRAPPED;
                self.value = blob;
            }
            Reply::Done => self.kind = DONE,
        }
    }

    fn fault(&mut self, fault: Fault) {
        let error = match fault {
            Fault::Lost(reason) => return self.explain(LOST, &reason),
            Fault::Failed(reason) => return self.explain(FAILED, &reason),
            Fault::Stale => {
                self.kind = STALE;
                return;
            }
            Fault::Answer(error) => error,
        };
        let (kind, numbered) = match error {
            HsmError::Unsupported(sentence) => (UNSUPPORTED, sentences::number(sentence)),
            HsmError::Refused(sentence) => (REFUSED, sentences::number(sentence)),
            HsmError::Mismatch => (MISMATCH, Ok(0)),
            HsmError::NotFound => (NOT_FOUND, Ok(0)),
            HsmError::Locked => (LOCKED, Ok(0)),
            HsmError::Unavailable { .. } => return self.explain(FAILED, "the token is not available"),
            HsmError::Broken(reason) => return self.explain(BROKEN, &reason),
        };
        match numbered {
            Ok(number) => (self.kind, self.number) = (kind, number),
            Err(error) => self.explain(BROKEN, &error.to_string()),
        }
    }

    fn explain(&mut self, kind: u32, reason: &str) {
        self.kind = kind;
        self.text = shortened(reason);
    }

    fn read_fault(&self) -> Result<Fault, Misunderstood> {
        let sentence = || sentences::sentence(self.number).ok_or(Misunderstood("no such sentence"));
        let reason = || shortened(&self.text);
        Ok(match self.kind {
            LOST => Fault::Lost(reason()),
            FAILED => Fault::Failed(reason()),
            STALE => Fault::Stale,
            UNSUPPORTED => Fault::Answer(HsmError::Unsupported(sentence()?)),
            REFUSED => Fault::Answer(HsmError::Refused(sentence()?)),
            MISMATCH => Fault::Answer(HsmError::Mismatch),
            NOT_FOUND => Fault::Answer(HsmError::NotFound),
            LOCKED => Fault::Answer(HsmError::Locked),
            BROKEN => Fault::Answer(HsmError::Broken(reason())),
            _ => return Err(Misunderstood("no answer to this question")),
        })
    }
}

/// What goes into a log or to an operator: so much, on one line.
fn shortened(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(limits::REASON_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests;

//! The root record: `root.json` in the data directory, which says who can open the deployment.
//!
//! The root key lies in it once per provider, in an envelope under the key that the provider gives, bound to the
//! deployment, the provider's name and its parameters. The whole record is proved with a key derived from the root, so
//! that nobody who can only write to the disk changes, say, to whom recovery shares will be sent next time. Nothing in
//! it is secret; without it no provider opens anything, so it belongs into every backup.

use std::fmt;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use vouchsafe_crypto::envelope::{AssociatedData, Kek, NameKey, derive, open, seal};
use vouchsafe_crypto::{Reason, SecretBytes};
use vouchsafe_domain::ports::Entropy;

use super::passphrase::{self, Cost, SALT_BYTES};
use super::quorum::{Quorum, Recovery, ShareFile};
use super::tpm::{self, Sealed};
use super::{Carried, RootKeyError, RootKeySource, RootKeys, sync_directory};

/// The record's name in the data directory.
pub const ROOT_RECORD_FILE: &str = "root.json";
const FORMAT: u32 = 1;
const PURPOSE: &str = "vouchsafe root key";
const KEY_BYTES: usize = 32;
/// Sixteen custodians with 4096-bit keys and a handful of other providers stay far below.
const RECORD_BYTES_MAX: u64 = 256 * 1024;
/// Providers one deployment may have.
const PROVIDERS_MAX: usize = 32;
const NAME_BYTES_MAX: usize = 64;

/// The kinds of providers, in the words of the record and of the command line.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ProviderKind {
    /// A key file.
    File,
    /// A systemd credential.
    Systemd,
    /// A passphrase.
    Passphrase,
    /// A key in a PKCS#11 token.
    Pkcs11,
    /// A TPM 2.0.
    Tpm,
    /// A quorum of custodians.
    Recovery,
}

impl ProviderKind {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Systemd => "systemd",
            Self::Passphrase => "passphrase",
            Self::Pkcs11 => "pkcs11",
            Self::Tpm => "tpm",
            Self::Recovery => "recovery",
        }
    }

    /// Whether a server can start with it while nobody is there.
    pub fn is_unattended(self) -> bool {
        matches!(self, Self::File | Self::Systemd | Self::Pkcs11 | Self::Tpm)
    }
}

impl fmt::Display for ProviderKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A provider as anyone may see it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Provider {
    /// Its name in this record.
    pub name: String,
    /// What it is.
    pub kind: ProviderKind,
    /// Where it is and how it is set up, for people.
    pub detail: String,
}

/// Bytes as lower-case hexadecimal digits.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Hex(pub Vec<u8>);

impl Serialize for Hex {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&HEXLOWER.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        HEXLOWER.decode(text.as_bytes()).map(Self).map_err(serde::de::Error::custom)
    }
}

/// What a provider needs to give its key. Bound to the envelope: changed parameters open nothing.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "provider", rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum Parameters {
    /// The path; relative to the data directory if the file lies in it.
    File {
        path: PathBuf,
    },
    Systemd {
        credential: String,
    },
    Passphrase {
        salt: Hex,
        memory_kib: u32,
        passes: u32,
        lanes: u32,
    },
    Pkcs11 {
        key: String,
        wrapped: Hex,
    },
    Tpm {
        public: Hex,
        private: Hex,
        pcrs: Vec<u8>,
    },
    Recovery {
        quorum: Quorum,
    },
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    parameters: Parameters,
    sealed: Hex,
}

/// Who can open a deployment, and the root key sealed for each of them.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RootRecord {
    format: u32,
    deployment: Hex,
    providers: Vec<Entry>,
    /// Keys that were derived from an earlier root and stay, under this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    carried: Option<Hex>,
    /// The root before this one, under this one, until the deployment's ring is under this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    previous: Option<Hex>,
    proof: Hex,
}

impl RootRecord {
    /// A record that nobody can open yet.
    pub fn new(deployment: [u8; 16]) -> Self {
        Self {
            format: FORMAT,
            deployment: Hex(deployment.to_vec()),
            providers: Vec::new(),
            carried: None,
            previous: None,
            proof: Hex::default(),
        }
    }

    /// The record of a deployment of the layout before records: what held the root itself becomes the first provider, and
    /// opens an envelope like any other.
    pub(crate) fn adopt(
        directory: &Path,
        deployment: [u8; 16],
        keys: &RootKeys,
        source: &RootKeySource,
    ) -> Result<Self, RootKeyError> {
        let parameters = match source {
            RootKeySource::KeyFile(path) => {
                Parameters::File { path: path.strip_prefix(directory).unwrap_or(path).to_owned() }
            }
            RootKeySource::SystemdCredential(credential, _) => {
                Parameters::Systemd { credential: credential.clone() }
            }
            other => {
                return Err(RootKeyError::Refused(format!(
                    "a `{}` provider holds no root key",
                    other.kind()
                )));
            }
        };
        let (kek, name) = (source.load()?, source.kind().as_str());
        let mut record = Self::new(deployment);
        let failed = |problem| RootKeyError::Provider { provider: name.to_owned(), problem };
        record.enter(keys, name, parameters, &kek).map_err(failed)?;
        Ok(record)
    }

    /// Reads the record of a data directory; nothing if the deployment is of the layout before records.
    pub fn load(directory: &Path) -> Result<Option<Self>, RootKeyError> {
        let path = directory.join(ROOT_RECORD_FILE);
        let refuse = |problem: String| RootKeyError::Record { path: path.clone(), problem };
        let file = match std::fs::File::open(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            result => result.map_err(|error| refuse(format!("cannot be read: {error}")))?,
        };
        let mut text = Vec::new();
        file.take(RECORD_BYTES_MAX + 1)
            .read_to_end(&mut text)
            .map_err(|error| refuse(format!("cannot be read: {error}")))?;
        if text.len() as u64 > RECORD_BYTES_MAX {
            return Err(refuse(format!("has more than {RECORD_BYTES_MAX} bytes")));
        }
        Self::parse(&text).map(Some).map_err(refuse)
    }

    /// Reads the text of a record, or says what it is instead.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        let damaged = |error| format!("is damaged ({error}); put it back from a backup");
        let record: Self = serde_json::from_slice(text).map_err(damaged)?;
        if record.format != FORMAT {
            return Err(format!("is of format {}, which a newer program wrote", record.format));
        }
        let sound = record.deployment.0.len() == 16 && record.providers.len() <= PROVIDERS_MAX;
        if sound { Ok(record) } else { Err("is damaged; put it back from a backup".into()) }
    }

    /// Writes the record so that after a crash there is this one or the one before, whole.
    pub fn save(&self, directory: &Path) -> Result<(), RootKeyError> {
        let path = directory.join(ROOT_RECORD_FILE);
        let partial = directory.join("root.json.new");
        let written = self.text().and_then(|text| {
            let mut options = std::fs::OpenOptions::new();
            let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&partial)?;
            file.write_all(&text)?;
            file.sync_all()?;
            std::fs::rename(&partial, &path)?;
            sync_directory(directory)
        });
        written.map_err(|error| RootKeyError::Record { path, problem: format!("cannot be written: {error}") })
    }

    fn text(&self) -> std::io::Result<Vec<u8>> {
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        Ok(text)
    }

    /// The deployment's random id.
    pub fn deployment(&self) -> [u8; 16] {
        self.deployment.0.as_slice().try_into().unwrap_or_default()
    }

    /// Who can open it.
    pub fn providers(&self) -> Vec<Provider> {
        let shown = |entry: &Entry| Provider {
            name: entry.name.clone(),
            kind: entry.parameters.kind(),
            detail: entry.parameters.describe(),
        };
        self.providers.iter().map(shown).collect()
    }

    /// The source that a file or credential entry names, so that a start needs no further word.
    pub fn key_file(&self, directory: &Path) -> Option<PathBuf> {
        self.providers.iter().find_map(|entry| match &entry.parameters {
            Parameters::File { path } => Some(directory.join(path)),
            _ => None,
        })
    }

    /// Opens the root key with the first provider of the source's kind that gives the right key.
    pub fn open(&self, directory: &Path, source: &RootKeySource) -> Result<RootKeys, RootKeyError> {
        let mut refused = None;
        for entry in self.providers.iter().filter(|entry| entry.parameters.kind() == source.kind()) {
            let opened = self
                .key_of(entry, source)
                .and_then(|kek| open(&kek, &self.aad(entry), &entry.sealed.0).map_err(|_| wrong_key(entry)));
            match opened {
                Ok(root) => return self.keys(directory, root),
                Err(problem) => refused = Some((entry.name.clone(), problem)),
            }
        }
        Err(match refused {
            Some((provider, problem)) => RootKeyError::Provider { provider, problem },
            None => {
                let present: Vec<_> = self.providers.iter().map(|entry| entry.name.as_str()).collect();
                RootKeyError::NoProvider { wanted: source.kind(), present: present.join(", ") }
            }
        })
    }

    /// Seals the root key for one more provider. The record still has to be saved.
    pub fn add(
        &mut self,
        directory: &Path,
        keys: &RootKeys,
        name: &str,
        source: &RootKeySource,
        entropy: &dyn Entropy,
    ) -> Result<(), RootKeyError> {
        self.admit(name)?;
        let failed = |problem| RootKeyError::Provider { provider: name.to_owned(), problem };
        let (parameters, kek) = self.provide(directory, name, source, entropy)?;
        self.enter(keys, name, parameters, &kek).map_err(failed)
    }

    /// Sets up a recovery quorum. The shares are for its custodians; the record still has to be saved, after them.
    pub fn add_recovery(
        &mut self,
        keys: &RootKeys,
        name: &str,
        recovery: &Recovery,
        entropy: &dyn Entropy,
    ) -> Result<Vec<ShareFile>, RootKeyError> {
        self.admit(name)?;
        let failed = |problem| RootKeyError::Provider { provider: name.to_owned(), problem };
        let (quorum, kek, files) = Quorum::set_up(recovery, &self.deployment.0, entropy).map_err(failed)?;
        self.enter(keys, name, Parameters::Recovery { quorum }, &kek).map_err(failed)?;
        Ok(files)
    }

    /// Seals another root key for every provider. Each has to be opened, with one of `sources`, but for quorums: those
    /// get new shares, which are returned. The record still has to be saved, after them.
    pub fn replace_root(
        &mut self,
        keys: RootKeys,
        sources: &[RootKeySource],
        entropy: &dyn Entropy,
    ) -> Result<(RootKeys, Vec<ShareFile>), RootKeyError> {
        if keys.is_between_roots() {
            return Err(RootKeyError::Refused(
                "the root key is being replaced already; open it once first".into(),
            ));
        }
        let mut opened = Vec::new();
        for entry in &self.providers {
            let kek = match &entry.parameters {
                Parameters::Recovery { .. } => None,
                _ => Some(self.unlocked(entry, sources)?),
            };
            opened.push(kek);
        }
        let keys = keys.replaced_by(Kek::generate());
        let entries = std::mem::take(&mut self.providers);
        self.carried = Some(self.sealed_below(&keys, "carried", &keys.carried.bytes()));
        self.previous = keys
            .previous
            .as_ref()
            .map(|previous| self.sealed_below(&keys, "previous", &previous.to_secret()));
        let mut files = Vec::new();
        for (entry, kek) in entries.into_iter().zip(opened) {
            let failed = |problem| RootKeyError::Provider { provider: entry.name.clone(), problem };
            match (kek, &entry.parameters) {
                (Some(kek), _) => {
                    self.enter(&keys, &entry.name, entry.parameters.clone(), &kek).map_err(failed)?;
                }
                (None, Parameters::Recovery { quorum }) => {
                    files.extend(self.add_recovery(&keys, &entry.name, &quorum.again(), entropy)?);
                }
                (None, _) => return Err(failed("it was not opened".into())),
            }
        }
        Ok((keys, files))
    }

    /// Lets go of the root before this one: nothing is under it any more.
    pub(crate) fn settle(&mut self, keys: &RootKeys) -> Result<(), RootKeyError> {
        self.previous = None;
        self.prove(keys)
    }

    /// The key of an entry, from whichever source opens it.
    fn unlocked(&self, entry: &Entry, sources: &[RootKeySource]) -> Result<Kek, RootKeyError> {
        let mut problem = format!("say how to open it, or remove it first ({})", entry.parameters.kind());
        for source in sources.iter().filter(|source| source.kind() == entry.parameters.kind()) {
            match self.key_of(entry, source) {
                Ok(kek) if open(&kek, &self.aad(entry), &entry.sealed.0).is_ok() => return Ok(kek),
                Ok(_) => problem = wrong_key(entry),
                Err(why) => problem = why,
            }
        }
        Err(RootKeyError::Provider { provider: entry.name.clone(), problem })
    }

    fn sealed_below(&self, keys: &RootKeys, what: &str, secret: &SecretBytes) -> Hex {
        Hex(seal(keys.root(), &self.below(what), secret.expose(Reason::Record)))
    }

    /// Whether a provider of this name may be added.
    fn admit(&self, name: &str) -> Result<(), RootKeyError> {
        let word = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(word) {
            let rule = "has 1 to 64 letters, digits, `-`, `_` or `.`";
            return Err(RootKeyError::Refused(format!("the name of a provider {rule}, not `{name}`")));
        }
        if self.providers.iter().any(|entry| entry.name == name) {
            return Err(RootKeyError::Refused(format!(
                "there is a provider `{name}` already; remove it first, or give the new one another name"
            )));
        }
        if self.providers.len() >= PROVIDERS_MAX {
            return Err(RootKeyError::Refused(format!("a deployment has at most {PROVIDERS_MAX} providers")));
        }
        Ok(())
    }

    fn enter(
        &mut self,
        keys: &RootKeys,
        name: &str,
        parameters: Parameters,
        kek: &Kek,
    ) -> Result<(), String> {
        let mut entry = Entry { name: name.to_owned(), parameters, sealed: Hex::default() };
        let root = keys.root().to_secret();
        entry.sealed = Hex(seal(kek, &self.aad(&entry), root.expose(Reason::Record)));
        self.providers.push(entry);
        self.prove(keys).map_err(|error| error.to_string())
    }

    /// Takes a provider out. What it sealed before may still lie in backups: replace the root key if it must not open.
    pub fn remove(&mut self, keys: &RootKeys, name: &str) -> Result<(), RootKeyError> {
        let Some(at) = self.providers.iter().position(|entry| entry.name == name) else {
            return Err(RootKeyError::Refused(format!("there is no provider `{name}`")));
        };
        let stays = |(index, entry): (usize, &Entry)| index != at && entry.parameters.starts_a_server();
        if !self.providers.iter().enumerate().any(stays) {
            return Err(RootKeyError::Refused(format!(
                "`{name}` is the last provider that can start a server; add another one first"
            )));
        }
        self.providers.remove(at);
        self.prove(keys)
    }

    /// What the source gives for an entry.
    fn key_of(&self, entry: &Entry, source: &RootKeySource) -> Result<Kek, String> {
        match (source, &entry.parameters) {
            (RootKeySource::KeyFile(_) | RootKeySource::SystemdCredential(..), _) => {
                source.load().map_err(|error| error.to_string())
            }
            (
                RootKeySource::Passphrase(person),
                Parameters::Passphrase { salt, memory_kib, passes, lanes },
            ) => {
                let cost = Cost { memory_kib: *memory_kib, passes: *passes, lanes: *lanes };
                passphrase::stretch(&person.ask()?, &salt.0, cost)
            }
            (RootKeySource::Token(token), Parameters::Pkcs11 { wrapped, .. }) => {
                let context = self.context(&entry.name);
                let key = token.unwrap(&wrapped.0, &context).map_err(|error| error.to_string())?;
                Kek::from_secret(key).ok_or_else(|| wrong_key(entry))
            }
            (RootKeySource::Tpm(tpm), Parameters::Tpm { public, private, pcrs }) => {
                let sealed = Sealed { public: public.0.clone(), private: private.0.clone() };
                let key = tpm::unseal(tpm, &sealed, pcrs)?;
                Kek::from_secret(key).ok_or_else(|| wrong_key(entry))
            }
            (RootKeySource::Quorum(shares), Parameters::Recovery { quorum }) => {
                quorum.key(shares, &self.deployment.0)
            }
            _ => Err("it is of another kind".to_owned()),
        }
    }

    /// Sets a source up to give a key for this record.
    fn provide(
        &self,
        directory: &Path,
        name: &str,
        source: &RootKeySource,
        entropy: &dyn Entropy,
    ) -> Result<(Parameters, Kek), RootKeyError> {
        let failed = |problem: String| RootKeyError::Provider { provider: name.to_owned(), problem };
        match source {
            RootKeySource::KeyFile(path) => {
                let kek = source.create(entropy)?;
                let path = path.strip_prefix(directory).unwrap_or(path).to_owned();
                Ok((Parameters::File { path }, kek))
            }
            RootKeySource::SystemdCredential(credential, _) => {
                Ok((Parameters::Systemd { credential: credential.clone() }, source.load()?))
            }
            RootKeySource::Passphrase(person) => {
                let passphrase = person.ask().map_err(failed)?;
                passphrase::long_enough(&passphrase).map_err(failed)?;
                let mut salt = vec![0; SALT_BYTES];
                entropy.fill(&mut salt);
                let cost = person.cost();
                let kek = passphrase::stretch(&passphrase, &salt, cost).map_err(failed)?;
                let Cost { memory_kib, passes, lanes } = cost;
                Ok((Parameters::Passphrase { salt: Hex(salt), memory_kib, passes, lanes }, kek))
            }
            RootKeySource::Token(token) => {
                let kek = Kek::generate();
                let wrapped = token.wrap(&kek.to_secret(), &self.context(name));
                let wrapped = wrapped.map_err(|error| failed(error.to_string()))?;
                Ok((Parameters::Pkcs11 { key: token.describe(), wrapped: Hex(wrapped) }, kek))
            }
            RootKeySource::Tpm(source) => {
                let kek = Kek::generate();
                let Sealed { public, private } = tpm::seal(source, &kek.to_secret()).map_err(failed)?;
                let pcrs = source.pcrs.clone();
                Ok((Parameters::Tpm { public: Hex(public), private: Hex(private), pcrs }, kek))
            }
            RootKeySource::Quorum(_) => Err(RootKeyError::Refused(
                "a quorum is set up with the public keys of its custodians, not with shares".into(),
            )),
        }
    }

    /// What a token binds its wrap to.
    fn context(&self, name: &str) -> Vec<u8> {
        [PURPOSE.as_bytes(), b"\0", self.deployment.0.as_slice(), name.as_bytes()].concat()
    }

    fn aad(&self, entry: &Entry) -> AssociatedData {
        let parameters = serde_json::to_vec(&entry.parameters).unwrap_or_default();
        AssociatedData::new(PURPOSE)
            .field(&self.format.to_be_bytes())
            .field(&self.deployment.0)
            .field(entry.name.as_bytes())
            .field(&parameters)
    }

    /// From the opened root to everything under it, after the record's proof.
    fn keys(&self, directory: &Path, root: SecretBytes) -> Result<RootKeys, RootKeyError> {
        let damaged = || RootKeyError::Record {
            path: directory.join(ROOT_RECORD_FILE),
            problem: "was changed by somebody without the root key; put it back from a backup".into(),
        };
        let root = Kek::from_secret(root).ok_or_else(damaged)?;
        if self.proof_under(&root)? != self.proof.0 {
            return Err(damaged());
        }
        let under = |sealed: &Hex, what| open(&root, &self.below(what), &sealed.0).map_err(|_| damaged());
        let previous = match &self.previous {
            Some(sealed) => Some(Kek::from_secret(under(sealed, "previous")?).ok_or_else(damaged)?),
            None => None,
        };
        let mut keys = match &self.carried {
            Some(sealed) => {
                let carried = under(sealed, "carried")?;
                let mut parts = carried.expose(Reason::Record).chunks_exact(KEY_BYTES);
                let mut next =
                    || parts.next().map(|part| SecretBytes::new(part.to_vec())).ok_or_else(damaged);
                let carried = Carried { names: next()?, audit: next()?, backup: next()? };
                RootKeys { root, previous: None, carried }
            }
            None => RootKeys::of(root),
        };
        keys.previous = previous;
        Ok(keys)
    }

    fn below(&self, what: &str) -> AssociatedData {
        AssociatedData::new("vouchsafe root record").field(&self.deployment.0).field(what.as_bytes())
    }

    fn prove(&mut self, keys: &RootKeys) -> Result<(), RootKeyError> {
        self.proof = Hex(self.proof_under(keys.root())?);
        Ok(())
    }

    fn proof_under(&self, root: &Kek) -> Result<Vec<u8>, RootKeyError> {
        let unproved = Self { proof: Hex::default(), ..self.clone() };
        let text = serde_json::to_vec(&unproved)
            .map_err(|error| RootKeyError::Refused(format!("the root record cannot be encoded: {error}")))?;
        Ok(NameKey::new(derive(root, "root record")).blind(&[&text]).to_vec())
    }
}

fn wrong_key(entry: &Entry) -> String {
    match entry.parameters {
        Parameters::Passphrase { .. } => {
            "the passphrase is wrong, or the record was tampered with".to_owned()
        }
        _ => "its key is not the one that was used, or the record was tampered with".to_owned(),
    }
}

impl Parameters {
    fn kind(&self) -> ProviderKind {
        match self {
            Self::File { .. } => ProviderKind::File,
            Self::Systemd { .. } => ProviderKind::Systemd,
            Self::Passphrase { .. } => ProviderKind::Passphrase,
            Self::Pkcs11 { .. } => ProviderKind::Pkcs11,
            Self::Tpm { .. } => ProviderKind::Tpm,
            Self::Recovery { .. } => ProviderKind::Recovery,
        }
    }

    fn starts_a_server(&self) -> bool {
        self.kind() != ProviderKind::Recovery
    }

    fn describe(&self) -> String {
        match self {
            Self::File { path } => format!("key file {}", path.display()),
            Self::Systemd { credential } => format!("systemd credential {credential}"),
            Self::Passphrase { memory_kib, passes, lanes, .. } => {
                format!("Argon2id, {} MiB, {passes} passes, {lanes} lanes", memory_kib / 1024)
            }
            Self::Pkcs11 { key, .. } => format!("token key {key}"),
            Self::Tpm { pcrs, .. } if pcrs.is_empty() => "TPM 2.0, bound to no PCR".to_owned(),
            Self::Tpm { pcrs, .. } => format!("TPM 2.0, PCRs {pcrs:?}"),
            Self::Recovery { quorum } => quorum.describe(),
        }
    }
}

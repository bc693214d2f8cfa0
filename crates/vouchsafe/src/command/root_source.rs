//! From `--root-key` to whoever gives the root key. A passphrase is asked on the terminal or read from a file, never
//! taken from the command line or the environment.

use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow, bail};
use vouchsafe_crypto::{Reason, SecretBytes, SecretString};
use vouchsafe_hsm::TokenSettings;
use vouchsafe_server::root_token::RootToken;
use vouchsafe_store::root::tpm::DEFAULT_TCTI;
use vouchsafe_store::root::{
    Custodian, Passphrase, ProviderKind, Recovery, RootKeySource, RootRecord, ShareFile, TpmSource,
};
use zeroize::Zeroizing;

use crate::cli::{HsmToken, Quorum, RootKey};

const KEY_FILE: &str = "root.key";
const PASSPHRASE_BYTES_MAX: u64 = 4096;

/// What opens a deployment: as typed, or else the first provider of its record that needs nobody, or else its passphrase.
pub fn opening(arguments: &RootKey, data: &Path) -> Result<RootKeySource> {
    let RootKey { root_key, hsm } = arguments;
    let chips = Chips { tpm_pcrs: &[], hsm };
    if let Some(typed) = root_key {
        return parse(typed, data, chips, Asked::Once);
    }
    let Some(record) = RootRecord::load(data)? else {
        return Ok(RootKeySource::KeyFile(data.join(KEY_FILE)));
    };
    let providers = record.providers();
    let has = |kind| providers.iter().any(|provider| provider.kind == kind);
    if let Some(path) = record.key_file(data) {
        Ok(RootKeySource::KeyFile(path))
    } else if has(ProviderKind::Tpm) {
        parse("tpm", data, chips, Asked::Once)
    } else if has(ProviderKind::Pkcs11) && token(hsm).is_some() {
        parse("pkcs11", data, chips, Asked::Once)
    } else if has(ProviderKind::Passphrase) {
        parse("passphrase", data, chips, Asked::Once)
    } else if has(ProviderKind::Pkcs11) {
        // It says which options are missing.
        parse("pkcs11", data, chips, Asked::Once)
    } else {
        let names: Vec<_> = providers.into_iter().map(|provider| provider.name).collect();
        bail!("say with --root-key what opens this deployment; its providers are: {}", names.join(", "))
    }
}

/// What seals: as typed. A passphrase is asked twice.
pub fn sealing(typed: Option<&str>, data: &Path, chips: Chips<'_>) -> Result<RootKeySource> {
    parse(typed.unwrap_or("file"), data, chips, Asked::Twice)
}

/// What was said about hardware, beside the source itself.
#[derive(Clone, Copy)]
pub struct Chips<'a> {
    /// What a new key in a TPM is bound to.
    pub tpm_pcrs: &'a [u8],
    /// The token.
    pub hsm: &'a HsmToken,
}

/// The token that was named, if one was.
pub fn token(arguments: &HsmToken) -> Option<TokenSettings> {
    let HsmToken { pkcs11_module, pkcs11_token, pkcs11_pin_file } = arguments.clone();
    Some(TokenSettings::new(pkcs11_module?, &pkcs11_token?, pkcs11_pin_file?))
}

/// How often a terminal is asked for a passphrase.
#[derive(Clone, Copy)]
enum Asked {
    Once,
    Twice,
}

fn parse(source: &str, data: &Path, chips: Chips<'_>, asked: Asked) -> Result<RootKeySource> {
    let (kind, rest) = source.split_once(':').map_or((source, None), |(kind, rest)| (kind, Some(rest)));
    match (kind, rest.filter(|rest| !rest.is_empty())) {
        ("file", path) => Ok(RootKeySource::KeyFile(path.map_or_else(|| data.join(KEY_FILE), PathBuf::from))),
        ("systemd" | "credential", Some(name)) => {
            #[expect(clippy::disallowed_methods, reason = "systemd tells the directory in this variable and nowhere else")]
            let directory = std::env::var("CREDENTIALS_DIRECTORY").context(
                "CREDENTIALS_DIRECTORY is not set; start the server from a systemd unit with LoadCredentialEncrypted=",
            )?;
            Ok(RootKeySource::SystemdCredential(name.to_owned(), PathBuf::from(directory)))
        }
        ("passphrase", None) => Ok(RootKeySource::Passphrase(Passphrase::new(move || typed(asked)))),
        ("passphrase", Some(path)) => {
            let path = PathBuf::from(path);
            Ok(RootKeySource::Passphrase(Passphrase::new(move || from_file(&path))))
        }
        ("tpm", tcti) => {
            let tcti = tcti.unwrap_or(DEFAULT_TCTI).to_owned();
            Ok(RootKeySource::Tpm(TpmSource { tcti, pcrs: chips.tpm_pcrs.to_vec() }))
        }
        ("pkcs11", None) => {
            let named = token(chips.hsm).context(
                "name the token of the root key with --pkcs11-module, --pkcs11-token and --pkcs11-pin-file",
            )?;
            Ok(RootKeySource::Token(Arc::new(RootToken::new(named)?)))
        }
        _ => bail!(
            "`{source}` is not a root key source; write `file:PATH`, `systemd:NAME`, `passphrase`, `passphrase:FILE`, \
             `tpm`, `tpm:TCTI` or `pkcs11`"
        ),
    }
}

fn typed(asked: Asked) -> io::Result<SecretString> {
    let first = SecretString::new(rpassword::prompt_password("Passphrase of the root key: ")?);
    if let Asked::Twice = asked {
        let second = Zeroizing::new(rpassword::prompt_password("Once more: ")?);
        if !first.matches(&second) {
            return Err(io::Error::other("the two were not the same"));
        }
    }
    Ok(first)
}

/// A file for its owner only, a pipe, or a descriptor as `/dev/fd/N`.
fn from_file(path: &Path) -> io::Result<SecretString> {
    let file = std::fs::File::open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_file() && metadata.permissions().mode() & 0o077 != 0 {
        let problem = format!("others can read `{}`; run `chmod 0600` on it", path.display());
        return Err(io::Error::other(problem));
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(256));
    file.take(PASSPHRASE_BYTES_MAX).read_to_end(&mut bytes)?;
    while bytes.last().is_some_and(|byte| *byte == b'\n' || *byte == b'\r') {
        bytes.pop();
    }
    let text = SecretString::from_utf8(SecretBytes::new(std::mem::take(&mut *bytes)));
    text.ok_or_else(|| io::Error::other("the passphrase is not text"))
}

/// The quorum that the arguments describe, if they do.
pub fn recovery(quorum: &Quorum) -> Result<Option<Recovery>> {
    let Some(threshold) = quorum.recovery_threshold else { return Ok(None) };
    if let Some(shares) = quorum.recovery_shares.filter(|shares| *shares != quorum.custodian.len()) {
        bail!("--recovery-shares says {shares}, but --custodian was given {} times", quorum.custodian.len());
    }
    let custodian = |path: &PathBuf| {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
        let name =
            path.file_stem().map_or_else(|| path.display().to_string(), |stem| stem.to_string_lossy().into());
        Custodian::from_pem(&name, &text).map_err(|problem| anyhow!("{}: {problem}", path.display()))
    };
    let custodians = quorum.custodian.iter().map(custodian).collect::<Result<Vec<_>>>()?;
    Recovery::new(threshold, custodians).map(Some).map_err(|problem| anyhow!(problem))
}

/// Writes shares, one file each, never over anything.
pub fn deliver(directory: &Path, shares: &[ShareFile]) -> io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
    if shares.is_empty() {
        return Ok(());
    }
    std::fs::DirBuilder::new().mode(0o700).recursive(true).create(directory)?;
    for share in shares {
        let path = directory.join(format!("share-{}-{}.json", share.index, file_name(&share.custodian)));
        let mut options = std::fs::OpenOptions::new();
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(|error| io::Error::new(error.kind(), format!("`{}`: {error}", path.display())))?;
        file.write_all(share.text().as_bytes())?;
        file.sync_all()?;
    }
    // Their names must be durable, too, before the record says that there are no other shares.
    std::fs::File::open(directory)?.sync_all()?;
    let parent = directory.parent().filter(|parent| !parent.as_os_str().is_empty());
    std::fs::File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

fn file_name(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).take(40).collect()
}

/// The same source, whose passphrase is asked now and not again.
pub fn remembering(source: &RootKeySource) -> Result<RootKeySource> {
    let RootKeySource::Passphrase(person) = source else { return Ok(source.clone()) };
    let passphrase = person.ask().map_err(|problem| anyhow!(problem))?;
    let once = move || Ok(SecretString::new(passphrase.expose(Reason::Cipher).to_owned()));
    Ok(RootKeySource::Passphrase(Passphrase::new(once)))
}

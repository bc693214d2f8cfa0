//! A recovery quorum: `k` of `n` custodians open the deployment when every other provider is lost (security.md §7.2).
//!
//! The quorum's key is shared with Shamir's scheme over GF(2⁸), in constant time, by the crate `vsss-rs`. A share is never
//! shown: it is encrypted to its custodian's RSA public key (RSA-OAEP with SHA-256), and what is encrypted is the very
//! line that a custodian brings back, so that any tool which decrypts - OpenSSL, a smart card - will do. The line names
//! deployment, set, index and threshold; the record knows a digest of each share, so that a wrong one is named.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::rsa::{
    OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, OaepPublicEncryptingKey, PrivateDecryptingKey,
    PublicEncryptingKey,
};
use data_encoding::{BASE64, HEXLOWER};
use rand_core::{Infallible, TryCryptoRng, TryRng};
use serde::{Deserialize, Serialize};
use vouchsafe_crypto::digest::sha256;
use vouchsafe_crypto::envelope::Kek;
use vouchsafe_crypto::{Reason, SecretBytes, SecretString};
use vouchsafe_domain::ports::Entropy;
use vsss_rs::Gf256;
use x509_cert::der::{Decode, Encode, pem};
use zeroize::Zeroizing;

use super::record::Hex;

/// Custodians one quorum may have.
pub const CUSTODIANS_MAX: usize = 16;
const THRESHOLD_MIN: u8 = 2;
const SET_BYTES: usize = 8;
const LABEL: &str = "vouchsafe-share-1";
const ALGORITHM: &str = "RSA-OAEP-256";
/// Bytes of a share file or an opened share, with room for what an editor may add.
const SHARE_BYTES_MAX: usize = 64 * 1024;

/// Somebody who keeps a share, known by a public key.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Custodian {
    name: String,
    /// SubjectPublicKeyInfo, DER.
    public_key: Hex,
}

impl Custodian {
    /// Reads an RSA public key or a certificate with one, in PEM. The name is how people call the custodian.
    pub fn from_pem(name: &str, text: &str) -> Result<Self, String> {
        let wrong = || format!("`{name}` is neither a certificate nor a public key in PEM");
        let (label, der) = pem::decode_vec(text.trim().as_bytes()).map_err(|_| wrong())?;
        let spki = match label {
            "PUBLIC KEY" => der,
            "CERTIFICATE" => {
                let certificate = x509_cert::Certificate::from_der(&der).map_err(|_| wrong())?;
                certificate.tbs_certificate().subject_public_key_info().to_der().map_err(|_| wrong())?
            }
            _ => return Err(wrong()),
        };
        let custodian = Self { name: name.to_owned(), public_key: Hex(spki) };
        custodian.key()?;
        Ok(custodian)
    }

    fn key(&self) -> Result<OaepPublicEncryptingKey, String> {
        PublicEncryptingKey::from_der(&self.public_key.0)
            .ok()
            .and_then(|key| OaepPublicEncryptingKey::new(key).ok())
            .ok_or_else(|| format!("the key of `{}` is not an RSA key of 2048 to 8192 bits", self.name))
    }
}

/// A quorum that is to be set up.
#[derive(Clone, Debug)]
pub struct Recovery {
    threshold: u8,
    custodians: Vec<Custodian>,
}

impl Recovery {
    /// `threshold` of these custodians. At least 2, at most all, and nobody twice.
    pub fn new(threshold: u8, custodians: Vec<Custodian>) -> Result<Self, String> {
        let count = custodians.len();
        if count > CUSTODIANS_MAX || threshold < THRESHOLD_MIN || usize::from(threshold) > count {
            return Err(format!(
                "a quorum has {THRESHOLD_MIN} to {CUSTODIANS_MAX} custodians and a threshold from {THRESHOLD_MIN} up \
                 to their number; this is {threshold} of {count}"
            ));
        }
        for (index, custodian) in custodians.iter().enumerate() {
            if custodians.iter().take(index).any(|other| other.public_key == custodian.public_key) {
                return Err(format!("`{}` has the same key as another custodian", custodian.name));
            }
        }
        Ok(Self { threshold, custodians })
    }
}

/// What the record keeps of one share.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
struct Held {
    index: u8,
    custodian: Custodian,
    check: Hex,
}

/// What the record keeps of a quorum.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Quorum {
    set: Hex,
    threshold: u8,
    held: Vec<Held>,
}

/// A share as its custodian gets it: encrypted, and saying for what it is.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ShareFile {
    format: u32,
    deployment: Hex,
    set: Hex,
    /// Which share.
    pub index: u8,
    /// How many open the deployment.
    pub threshold: u8,
    /// How many there are.
    pub shares: u8,
    /// Whose.
    pub custodian: String,
    algorithm: String,
    /// Base64.
    sealed: String,
}

impl ShareFile {
    /// The file's text.
    pub fn text(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// Reads a share file.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        if text.len() > SHARE_BYTES_MAX {
            return Err("it is too long for a share".to_owned());
        }
        let file: Self =
            serde_json::from_slice(text).map_err(|error| format!("it is not a share: {error}"))?;
        if file.format != 1 || file.algorithm != ALGORITHM {
            return Err("it is of a format that a newer program wrote".to_owned());
        }
        Ok(file)
    }

    /// Opens it with the custodian's private key: PKCS #8, PEM, not encrypted.
    pub fn open(&self, private_key_pem: &SecretString) -> Result<OpenedShare, String> {
        let wrong = || "the key is not an RSA private key in PEM (PKCS #8)".to_owned();
        let text = private_key_pem.expose(Reason::Cipher).trim();
        let (label, der) = pem::decode_vec(text.as_bytes()).map_err(|_| wrong())?;
        let der = Zeroizing::new(der);
        if label != "PRIVATE KEY" {
            return Err(wrong());
        }
        let key = PrivateDecryptingKey::from_pkcs8(&der).map_err(|_| wrong())?;
        let key = OaepPrivateDecryptingKey::new(key).map_err(|_| wrong())?;
        let sealed = BASE64.decode(self.sealed.as_bytes()).map_err(|_| "the share is damaged".to_owned())?;
        let mut buffer = Zeroizing::new(vec![0; key.min_output_size()]);
        let line = key.decrypt(&OAEP_SHA256_MGF1SHA256, &sealed, &mut buffer, None).map_err(|_| {
            format!("the key is not the one of `{}`, or the share is damaged", self.custodian)
        })?;
        OpenedShare::parse(&format!("share {} of `{}`", self.index, self.custodian), line)
    }
}

/// A share in the clear, and where it came from.
pub struct OpenedShare {
    from: String,
    deployment: Vec<u8>,
    set: Vec<u8>,
    index: u8,
    threshold: u8,
    share: SecretBytes,
}

impl OpenedShare {
    /// Reads the line that a custodian decrypted; `from` is how to call it when it is wrong.
    pub fn parse(from: &str, line: &[u8]) -> Result<Self, String> {
        let wrong = || format!("{from} is not a share");
        let text =
            line.get(..line.len().min(SHARE_BYTES_MAX)).and_then(|line| std::str::from_utf8(line).ok());
        let words: Vec<&str> = text.ok_or_else(wrong)?.split_ascii_whitespace().collect();
        let &[LABEL, deployment, set, index, threshold, share] = words.as_slice() else {
            return Err(wrong());
        };
        let hex = |text: &str| HEXLOWER.decode(text.as_bytes()).map_err(|_| wrong());
        Ok(Self {
            from: from.to_owned(),
            deployment: hex(deployment)?,
            set: hex(set)?,
            index: index.parse().map_err(|_| wrong())?,
            threshold: threshold.parse().map_err(|_| wrong())?,
            share: SecretBytes::new(hex(share)?),
        })
    }

    /// The line, for the custodian to carry to the ceremony.
    pub fn line(&self) -> SecretString {
        let (deployment, set) = (HEXLOWER.encode(&self.deployment), HEXLOWER.encode(&self.set));
        let share = Zeroizing::new(HEXLOWER.encode(self.share.expose(Reason::OwnerOnlyFile)));
        let Self { index, threshold, .. } = self;
        SecretString::new(format!("{LABEL} {deployment} {set} {index} {threshold} {}\n", *share))
    }
}

/// The shares that were brought to a ceremony.
pub type Shares = Arc<[OpenedShare]>;

impl Quorum {
    /// A fresh key, shared among the custodians.
    pub(super) fn set_up(
        recovery: &Recovery,
        deployment: &[u8],
        entropy: &dyn Entropy,
    ) -> Result<(Self, Kek, Vec<ShareFile>), String> {
        let kek = Kek::generate();
        let mut set = vec![0; SET_BYTES];
        entropy.fill(&mut set);
        let count = recovery.custodians.len();
        let secret = kek.to_secret();
        let rng = FromPort(entropy);
        let split =
            Gf256::split_bytes(usize::from(recovery.threshold), count, secret.expose(Reason::Cipher), rng);
        let split = split.map_err(|error| format!("the key cannot be shared: {error}"))?;
        let (mut held, mut files) = (Vec::new(), Vec::new());
        for (custodian, share) in recovery.custodians.iter().zip(split) {
            let share = Zeroizing::new(share);
            let (&index, share) = share.split_first().ok_or("a share has an index")?;
            let opened = OpenedShare {
                from: String::new(),
                deployment: deployment.to_vec(),
                set: set.clone(),
                index,
                threshold: recovery.threshold,
                share: SecretBytes::new(share.to_vec()),
            };
            let key = custodian.key()?;
            let mut sealed = vec![0; key.ciphertext_size()];
            let line = opened.line().into_bytes();
            let sealed = key
                .encrypt(&OAEP_SHA256_MGF1SHA256, line.expose(Reason::Cipher), &mut sealed, None)
                .map_err(|_| format!("the share cannot be encrypted to `{}`", custodian.name))?;
            files.push(ShareFile {
                format: 1,
                deployment: Hex(deployment.to_vec()),
                set: Hex(set.clone()),
                index,
                threshold: recovery.threshold,
                shares: u8::try_from(count).unwrap_or(u8::MAX),
                custodian: custodian.name.clone(),
                algorithm: ALGORITHM.to_owned(),
                sealed: BASE64.encode(sealed),
            });
            held.push(Held { index, custodian: custodian.clone(), check: Hex(check(&opened)) });
        }
        Ok((Self { set: Hex(set), threshold: recovery.threshold, held }, kek, files))
    }

    /// The same custodians and threshold, for a new set of shares.
    pub(super) fn again(&self) -> Recovery {
        let custodians = self.held.iter().map(|held| held.custodian.clone()).collect();
        Recovery { threshold: self.threshold, custodians }
    }

    /// The key, from enough shares of this set. Each one that is not right is named, and then nothing is opened: a wrong
    /// share among enough right ones means that somebody should ask where it came from.
    pub(super) fn key(&self, shares: &[OpenedShare], deployment: &[u8]) -> Result<Kek, String> {
        let mut wrong = Vec::new();
        let mut good: Vec<&OpenedShare> = Vec::new();
        for share in shares {
            match self.examine(share, deployment, &good) {
                Ok(()) => good.push(share),
                Err(problem) => wrong.push(format!("{} {problem}", share.from)),
            }
        }
        if !wrong.is_empty() {
            return Err(wrong.join("; "));
        }
        if good.len() < usize::from(self.threshold) {
            return Err(format!("{} shares are needed, and {} were given", self.threshold, good.len()));
        }
        let lines: Vec<Vec<u8>> = good
            .iter()
            .take(usize::from(self.threshold))
            .map(|share| [&[share.index], share.share.expose(Reason::Cipher)].concat())
            .collect();
        let lines = Zeroizing::new(lines);
        let secret =
            Gf256::combine_bytes(&*lines).map_err(|error| format!("the shares do not combine: {error}"))?;
        Kek::from_secret(SecretBytes::new(secret))
            .ok_or_else(|| "the shares do not combine to a key".to_owned())
    }

    fn examine(&self, share: &OpenedShare, deployment: &[u8], good: &[&OpenedShare]) -> Result<(), String> {
        if share.deployment != deployment {
            return Err("belongs to another deployment".to_owned());
        }
        if share.set != self.set.0 {
            return Err("is of another set of shares than the one that is in force".to_owned());
        }
        if good.iter().any(|other| other.index == share.index) {
            return Err(format!("is share {} once more", share.index));
        }
        let held = self.held.iter().find(|held| held.index == share.index);
        match held {
            Some(held) if held.check.0 == check(share) => Ok(()),
            Some(held) => {
                Err(format!("is not the share {} that `{}` was given", share.index, held.custodian.name))
            }
            None => Err(format!("says it is share {}, which there is not", share.index)),
        }
    }

    /// For people.
    pub(super) fn describe(&self) -> String {
        let names: Vec<_> = self.held.iter().map(|held| held.custodian.name.as_str()).collect();
        format!("{} of {}: {}", self.threshold, self.held.len(), names.join(", "))
    }
}

/// A share's digest. A share is 32 uniformly random bytes, so its digest tells nothing of it.
fn check(share: &OpenedShare) -> Vec<u8> {
    let mut bytes = Zeroizing::new(b"vouchsafe recovery share".to_vec());
    bytes.extend_from_slice(&share.deployment);
    bytes.extend_from_slice(&share.set);
    bytes.push(share.index);
    bytes.push(share.threshold);
    bytes.extend_from_slice(share.share.expose(Reason::Cipher));
    sha256(&bytes).to_vec()
}

impl fmt::Debug for OpenedShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenedShare").field("from", &self.from).finish_non_exhaustive()
    }
}

/// The entropy port as the sharing crate wants it.
struct FromPort<'a>(&'a dyn Entropy);

impl TryRng for FromPort<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.0.fill(&mut bytes);
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill(bytes);
        Ok(())
    }
}

impl TryCryptoRng for FromPort<'_> {}

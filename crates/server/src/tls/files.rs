//! Certificate files that the operator gives, read again whenever their content changes.
//!
//! The content decides, not the modification time: Kubernetes and ACME clients swap symbolic links, and a copy may
//! keep its date. A new pair is taken only when it would work: the key belongs to the certificate, which is valid
//! now. A pair that is replaced file by file is simply refused until the second file is there.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use der::Decode;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

use vouchsafe_domain::time::Timestamp;

use super::TlsError;
use crate::limits::CERTIFICATE_FILE_BYTES_MAX;

/// Where the operator's certificate lies.
#[derive(Clone, Debug)]
pub struct CertificateFiles {
    /// The certificate and its intermediates in PEM, leaf first.
    pub chain: PathBuf,
    /// The private key in PEM.
    pub key: PathBuf,
}

/// A pair of files as it was read.
pub struct Loaded {
    /// What rustls signs handshakes with.
    pub key: Arc<CertifiedKey>,
    digest: [u8; 32],
    not_before: u64,
    not_after: u64,
}

impl Loaded {
    /// Whether clients would refuse it for its dates.
    pub fn expired(&self, now: Timestamp) -> bool {
        now.seconds() < self.not_before || now.seconds() > self.not_after
    }
}

impl CertificateFiles {
    /// Reads both files.
    pub fn load(&self) -> Result<Loaded, TlsError> {
        let (chain, key) = (read(&self.chain)?, read(&self.key)?);
        self.parse(&chain, &key)
    }

    /// Reads both files if their content is not what `old` was made from.
    pub(super) fn reload(&self, old: Option<&Loaded>, now: Timestamp) -> Result<Option<Loaded>, TlsError> {
        let (chain, key) = (read(&self.chain)?, read(&self.key)?);
        if old.is_some_and(|old| old.digest == digest(&chain, &key)) {
            return Ok(None);
        }
        let loaded = self.parse(&chain, &key)?;
        if loaded.expired(now) {
            return Err(refused(
                &self.chain,
                "the certificate is not valid now; check its dates and this machine's clock",
            ));
        }
        Ok(Some(loaded))
    }

    fn parse(&self, chain: &[u8], key: &[u8]) -> Result<Loaded, TlsError> {
        let certificates: Vec<CertificateDer<'static>> =
            CertificateDer::pem_slice_iter(chain).collect::<Result<_, _>>().map_err(|_| {
                refused(&self.chain, "it is not PEM; give the certificate followed by its intermediates")
            })?;
        let leaf = certificates.first().ok_or_else(|| refused(&self.chain, "it contains no certificate"))?;
        let leaf = x509_cert::Certificate::from_der(leaf)
            .map_err(|_| refused(&self.chain, "its first certificate is not X.509"))?;
        let validity = leaf.tbs_certificate().validity();
        let not_before = validity.not_before.to_unix_duration().as_secs();
        let not_after = validity.not_after.to_unix_duration().as_secs();
        let private = PrivateKeyDer::from_pem_slice(key)
            .map_err(|_| refused(&self.key, "it is not an unencrypted private key in PEM"))?;
        let signing = any_supported_type(&private).map_err(|_| {
            refused(&self.key, "this kind of key is not supported; use RSA, ECDSA or Ed25519")
        })?;
        let certified = CertifiedKey::new(certificates, signing);
        certified
            .keys_match()
            .map_err(|_| refused(&self.key, "it is not the key of the given certificate"))?;
        Ok(Loaded { key: Arc::new(certified), digest: digest(chain, key), not_before, not_after })
    }
}

fn refused(path: &Path, problem: &str) -> TlsError {
    TlsError::File { path: path.display().to_string(), problem: problem.to_owned() }
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, TlsError> {
    let failed = |error: std::io::Error| refused(path, &error.to_string());
    let mut bytes = Zeroizing::new(Vec::new());
    let mut file = std::fs::File::open(path).map_err(failed)?.take(CERTIFICATE_FILE_BYTES_MAX);
    file.read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

fn digest(chain: &[u8], key: &[u8]) -> [u8; 32] {
    let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    context.update(&u64::try_from(chain.len()).unwrap_or(u64::MAX).to_be_bytes());
    context.update(chain);
    context.update(key);
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    digest
}

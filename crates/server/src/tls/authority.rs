//! Our own certificate authority and the leafs it issues (RFC 5280).
//!
//! The authority's key is P-256 and is handed out only as [`CaMaterial`], for the barrier to seal. A leaf has a
//! fresh key and lives 30 days, so nothing about it needs to be stored.

use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use der::{Decode, Encode};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData, SerialNumber,
};
use rustls::crypto::aws_lc_rs::sign::any_ecdsa_type;
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use time::{Duration, OffsetDateTime};

use vouchsafe_crypto::secret::{Reason, SecretBytes};
use vouchsafe_domain::ports::Entropy;
use vouchsafe_domain::time::Timestamp;

use super::TlsError;

/// How long an authority is valid.
const AUTHORITY_LIFETIME: Duration = Duration::days(3650);

/// How long a leaf is valid.
pub const LEAF_LIFETIME: Duration = Duration::days(30);

/// A leaf is replaced when less than this is left.
const LEAF_RENEWAL: Duration = Duration::days(10);

/// Certificates begin to be valid a little before they are issued, for clients whose clocks are behind.
const BACKDATED: Duration = Duration::hours(1);

/// An authority as it is stored: sealed by the barrier, never in a file of its own.
pub struct CaMaterial {
    /// The certificate.
    pub certificate_der: Vec<u8>,
    /// The private key in PKCS#8.
    pub key_pkcs8: SecretBytes,
}

/// A certificate authority that can issue leafs.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
}

/// An issued certificate with its key, ready for handshakes.
pub struct Leaf {
    /// What rustls signs handshakes with.
    pub key: Arc<CertifiedKey>,
    issued: Timestamp,
    renew: Timestamp,
}

impl Leaf {
    /// Whether it is time for a new one; also when the clock went back behind the time of issue.
    pub fn due(&self, now: Timestamp) -> bool {
        now >= self.renew || now < self.issued
    }
}

impl Authority {
    /// Makes a new authority; the material is for storing and is not needed again before the next start.
    pub fn generate(now: Timestamp, entropy: &dyn Entropy) -> Result<(Self, CaMaterial), TlsError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let key_pkcs8 = SecretBytes::new(key.serialize_der());
        let mut params = authority_params(&key);
        params.serial_number = Some(serial(entropy));
        (params.not_before, params.not_after) = validity(now, AUTHORITY_LIFETIME)?;
        let certificate = params.self_signed(&key)?.der().clone();
        let material = CaMaterial { certificate_der: certificate.to_vec(), key_pkcs8 };
        Ok((Self { issuer: Issuer::new(params, key), certificate }, material))
    }

    /// Takes a stored authority up again.
    pub fn load(material: &CaMaterial) -> Result<Self, TlsError> {
        let unusable = |problem: &str| TlsError::Authority(problem.to_owned());
        let pkcs8 = PrivatePkcs8KeyDer::from(material.key_pkcs8.expose(Reason::Cipher));
        let key = KeyPair::from_pkcs8_der_and_sign_algo(&pkcs8, &PKCS_ECDSA_P256_SHA256)
            .map_err(|_| unusable("its key is not a P-256 key in PKCS#8"))?;
        let parsed = x509_cert::Certificate::from_der(&material.certificate_der)
            .map_err(|_| unusable("its certificate is not X.509 in DER"))?;
        let spki = parsed.tbs_certificate().subject_public_key_info().to_der();
        if spki.ok().as_deref() != Some(key.subject_public_key_info().as_slice()) {
            return Err(unusable("its certificate belongs to another key"));
        }
        let certificate = CertificateDer::from(material.certificate_der.clone());
        Ok(Self { issuer: Issuer::new(authority_params(&key), key), certificate })
    }

    /// The authority's certificate.
    pub fn certificate_der(&self) -> &[u8] {
        &self.certificate
    }

    /// The authority's certificate in PEM.
    pub fn certificate_pem(&self) -> String {
        pem(&self.certificate)
    }

    /// Issues a leaf with a fresh key for the given names and addresses.
    pub fn issue(&self, names: &[String], now: Timestamp, entropy: &dyn Entropy) -> Result<Leaf, TlsError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = CertificateParams::new(names)?;
        params.serial_number = Some(serial(entropy));
        (params.not_before, params.not_after) = validity(now, LEAF_LIFETIME)?;
        params.distinguished_name = DistinguishedName::new();
        // Clients read only the alternative names; people read this.
        params.distinguished_name.push(DnType::CommonName, names.first().map_or("vouchsafe", String::as_str));
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.issuer)?.der().clone();
        self.check_issuer(&certificate)?;
        let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let signing = any_ecdsa_type(&private)?;
        // The authority itself is not sent: a client that trusts it has it, another would not believe it.
        let key = Arc::new(CertifiedKey::new(vec![certificate], signing));
        let lifetime = LEAF_LIFETIME - LEAF_RENEWAL;
        Ok(Leaf { key, issued: now, renew: now.plus(lifetime.unsigned_abs()) })
    }

    /// A stored authority whose name is written differently than we would write it must not issue leafs that no
    /// client can chain to it.
    fn check_issuer(&self, leaf: &CertificateDer<'_>) -> Result<(), TlsError> {
        let parse = |der: &[u8]| x509_cert::Certificate::from_der(der).ok();
        let issuer = parse(leaf).and_then(|leaf| leaf.tbs_certificate().issuer().to_der().ok());
        let subject = parse(&self.certificate).and_then(|own| own.tbs_certificate().subject().to_der().ok());
        if issuer.is_some() && issuer == subject {
            Ok(())
        } else {
            Err(TlsError::Authority("its certificate was not made by this program".to_owned()))
        }
    }

    /// Writes `ca.pem` and `ca-bundle.pem`. The bundle exists because `REQUESTS_CA_BUNDLE` replaces the system's
    /// roots instead of adding to them.
    pub(super) fn write_trust(&self, directory: &Path) -> Result<(), TlsError> {
        let own = self.certificate_pem();
        let system = rustls_native_certs::load_native_certs();
        for error in &system.errors {
            tracing::warn!(%error, "some of the system's root certificates cannot be read");
        }
        let mut bundle = String::new();
        for root in system.certs.iter().filter(|root| ***root != *self.certificate) {
            bundle.push_str(&pem(root));
        }
        bundle.push_str(&own);
        write_public(&directory.join("ca.pem"), &own)?;
        write_public(&directory.join("ca-bundle.pem"), &bundle)
    }
}

/// What is the same at every start, made from the key alone.
fn authority_params(key: &KeyPair) -> CertificateParams {
    let mut params = CertificateParams::default();
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &key.subject_public_key_info());
    let fingerprint = data_encoding::HEXLOWER.encode(digest.as_ref().get(..8).unwrap_or_default());
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "Vouchsafe");
    // The fingerprint keeps two deployments apart in one trust store.
    params.distinguished_name.push(DnType::CommonName, format!("Vouchsafe CA {fingerprint}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.use_authority_key_identifier_extension = true;
    params
}

/// RFC 5280 §4.1.2.2: positive, unpredictable, at most 20 octets.
fn serial(entropy: &dyn Entropy) -> SerialNumber {
    let mut bytes = [0; 16];
    entropy.fill(&mut bytes);
    bytes[0] = bytes[0] & 0x7f | 0x40;
    SerialNumber::from_slice(&bytes)
}

fn validity(now: Timestamp, lifetime: Duration) -> Result<(OffsetDateTime, OffsetDateTime), TlsError> {
    let out_of_range = || TlsError::Authority("the clock is out of range".to_owned());
    let seconds = i64::try_from(now.seconds()).map_err(|_| out_of_range())?;
    let now = OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| out_of_range())?;
    let not_before = now.checked_sub(BACKDATED).ok_or_else(out_of_range)?;
    let not_after = now.checked_add(lifetime).ok_or_else(out_of_range)?;
    Ok((not_before, not_after))
}

/// RFC 7468 §3.
fn pem(der: &[u8]) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    for line in text.as_bytes().chunks(64) {
        pem.extend(line.iter().copied().map(char::from));
        pem.push('\n');
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}

/// Replaces a file as a whole, so that a client never reads half of it.
fn write_public(path: &Path, text: &str) -> Result<(), TlsError> {
    let failed = |source| TlsError::Write { path: path.display().to_string(), source };
    let fresh = path.with_extension("pem.new");
    std::fs::write(&fresh, text).map_err(failed)?;
    std::fs::set_permissions(&fresh, std::os::unix::fs::PermissionsExt::from_mode(0o644)).map_err(failed)?;
    std::fs::rename(&fresh, path).map_err(failed)
}

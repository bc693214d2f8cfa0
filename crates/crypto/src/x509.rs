//! Certificates that are registered as credentials (RFC 5280, RFC 7468).
//!
//! A certificate is a named public key here: it is recognised by its digest and its key verifies signatures. Nobody
//! builds chains from it, so its own signature and its extensions are not looked at.

use data_encoding::BASE64;
use der::{Decode, Encode};

use crate::digest::{sha1, sha256};
use crate::jose::{KeyRefused, PublicKey};

/// The largest certificate that is looked at.
const CERTIFICATE_BYTES_MAX: usize = 32 * 1024;

/// A certificate whose key can verify signatures here.
#[derive(Clone)]
pub struct Certificate {
    der: Vec<u8>,
    sha1: [u8; 20],
    sha256: [u8; 32],
    public_key: PublicKey,
    not_before: u64,
    not_after: u64,
    subject: String,
}

impl Certificate {
    /// Reads the first certificate of a PEM file; text around it is allowed, a private key beside it is not.
    pub fn from_pem(pem: &str) -> Result<Self, CertificateRefused> {
        if pem.contains("PRIVATE KEY-----") {
            return Err(CertificateRefused::PrivateKey);
        }
        let (_, from_here) =
            pem.split_once("-----BEGIN CERTIFICATE-----").ok_or(CertificateRefused::Malformed)?;
        let (body, _) =
            from_here.split_once("-----END CERTIFICATE-----").ok_or(CertificateRefused::Malformed)?;
        if body.len() > 2 * CERTIFICATE_BYTES_MAX {
            return Err(CertificateRefused::Malformed);
        }
        let body: Vec<u8> = body.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
        Self::from_der(&BASE64.decode(&body).map_err(|_| CertificateRefused::Malformed)?)
    }

    /// Reads a certificate in DER.
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateRefused> {
        if der.len() > CERTIFICATE_BYTES_MAX {
            return Err(CertificateRefused::Malformed);
        }
        let parsed = x509_cert::Certificate::from_der(der).map_err(|_| CertificateRefused::Malformed)?;
        let body = parsed.tbs_certificate();
        let spki = body.subject_public_key_info().to_der().map_err(|_| CertificateRefused::Malformed)?;
        Ok(Self {
            der: der.to_vec(),
            sha1: sha1(der),
            sha256: sha256(der),
            public_key: PublicKey::from_spki_der(&spki)?,
            not_before: body.validity().not_before.to_unix_duration().as_secs(),
            not_after: body.validity().not_after.to_unix_duration().as_secs(),
            subject: body.subject().to_string(),
        })
    }

    /// The certificate in DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// SHA-1 of the DER, which is `x5t`.
    pub fn sha1(&self) -> [u8; 20] {
        self.sha1
    }

    /// SHA-256 of the DER, which is `x5t#S256`.
    pub fn sha256(&self) -> [u8; 32] {
        self.sha256
    }

    /// The key that was certified.
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// The first second of validity, since the Unix epoch.
    pub fn not_before(&self) -> u64 {
        self.not_before
    }

    /// The last second of validity, since the Unix epoch.
    pub fn not_after(&self) -> u64 {
        self.not_after
    }

    /// The subject in the form of RFC 4514. Whoever made the certificate chose it, so it proves nothing.
    pub fn subject(&self) -> &str {
        &self.subject
    }
}

/// Why a certificate was not taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CertificateRefused {
    /// It is not a certificate in DER or PEM.
    #[error("this is not a certificate in PEM or DER")]
    Malformed,
    /// There is a private key beside it.
    #[error("the file holds a private key; give only the certificate, and keep the key where it is used")]
    PrivateKey,
    /// Its key cannot be used.
    #[error("{0}")]
    Key(#[from] KeyRefused),
}

#[cfg(test)]
mod tests {
    use rcgen::{
        CertificateParams, DnType, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PublicKeyData,
    };

    use super::*;
    use crate::jose::KeyKind;

    fn certificate(key: &KeyPair) -> rcgen::Certificate {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name.push(DnType::CommonName, "billing, batch");
        parameters.not_before = rcgen::date_time_ymd(2026, 1, 2);
        parameters.not_after = rcgen::date_time_ymd(2051, 1, 2);
        parameters.self_signed(key).expect("rcgen signs what it made")
    }

    #[test]
    fn a_certificate_is_read_from_pem_with_text_around_it() {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("P-256");
        let made = certificate(&key);
        let pem =
            format!("Bag Attributes\n  friendlyName: x\n{}\ntrailing", made.pem().replace('\n', "\r\n"));
        let read = Certificate::from_pem(&pem).expect("a certificate");
        assert_eq!(read.der(), made.der().as_ref());
        assert_eq!((read.sha1(), read.sha256()), (sha1(made.der()), sha256(made.der())));
        assert_eq!((read.not_before(), read.not_after()), (1_767_312_000, 2_556_230_400));
        assert_eq!(read.subject(), r"CN=billing\, batch");
        assert_eq!(read.public_key().kind(), KeyKind::P256);
        let same = PublicKey::from_spki_der(&key.subject_public_key_info()).expect("P-256");
        assert!(*read.public_key() == same);
    }

    #[test]
    fn the_first_certificate_of_a_chain_counts() {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("P-256");
        let (one, two) = (certificate(&key), certificate(&key));
        let read = Certificate::from_pem(&(one.pem() + &two.pem())).expect("a certificate");
        assert_eq!(read.der(), one.der().as_ref());
    }

    #[test]
    fn a_private_key_beside_the_certificate_is_refused() {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("P-256");
        let pem = certificate(&key).pem() + &key.serialize_pem();
        assert_eq!(Certificate::from_pem(&pem).err(), Some(CertificateRefused::PrivateKey));
    }

    #[test]
    fn what_is_not_a_certificate_with_a_usable_key_is_refused() {
        let other_curve = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).expect("P-384");
        let refused = Certificate::from_pem(&certificate(&other_curve).pem()).err();
        assert_eq!(refused, Some(CertificateRefused::Key(KeyRefused::Unsupported)));

        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("P-256");
        let made = certificate(&key);
        let der = made.der().as_ref();
        for length in 0..der.len() {
            assert!(Certificate::from_der(&der[..length]).is_err(), "{length} bytes");
        }
        assert!(Certificate::from_der(&[der, &[0]].concat()).is_err());
        assert!(Certificate::from_der(&vec![0x30; CERTIFICATE_BYTES_MAX + 1]).is_err());
        let pem = made.pem();
        for text in
            ["", "-----BEGIN CERTIFICATE-----", &pem.replace("END", "end"), &pem.replacen('M', "*", 1)]
        {
            assert!(Certificate::from_pem(text).is_err(), "{text}");
        }
    }
}

//! Applications that log in with a certificate, and the token requests they send.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, RsaKeySize};
use serde_json::json;
use vouchsafe_crypto::digest;
use vouchsafe_crypto::jose::{Algorithm, KeyKind, SigningKey, azure_assertion};
use vouchsafe_crypto::secret::SecretBytes;

/// One application with one certificate.
pub struct Applicant {
    pub name: &'static str,
    pub client_id: &'static str,
    pub certificate: String,
    algorithm: Algorithm,
    sha256: [u8; 32],
    key: SigningKey,
}

impl Applicant {
    /// One whose key is RSA with 2048 bits.
    pub fn rsa() -> Result<Self> {
        let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)?;
        Self::new(
            "bench-rsa",
            "be4c4000-0000-4000-8000-000000000001",
            Algorithm::Rs256,
            KeyKind::Rsa2048,
            &key,
        )
    }

    /// One whose key is on P-256.
    pub fn p256() -> Result<Self> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        Self::new("bench-p256", "be4c4000-0000-4000-8000-000000000002", Algorithm::Es256, KeyKind::P256, &key)
    }

    fn new(
        name: &'static str,
        client_id: &'static str,
        algorithm: Algorithm,
        kind: KeyKind,
        key: &KeyPair,
    ) -> Result<Self> {
        let certificate = CertificateParams::new(vec![name.to_owned()])?.self_signed(key)?;
        let private = SecretBytes::new(key.serialize_der());
        Ok(Self {
            name,
            client_id,
            certificate: certificate.pem(),
            algorithm,
            sha256: digest::sha256(certificate.der()),
            key: SigningKey::from_pkcs8(kind, &private).ok().context("the key is not what it should be")?,
        })
    }

    pub fn algorithm(&self) -> &'static str {
        self.algorithm.as_str()
    }

    /// What is aimed at.
    pub fn aim(&self) -> &'static str {
        match self.algorithm {
            Algorithm::Es256 => ">= 8k/s",
            _ => ">= 2.5k/s",
        }
    }

    /// More than can be answered, so that no assertion need be used twice.
    pub fn expected_per_second(&self) -> usize {
        match self.algorithm {
            Algorithm::Es256 => 12_000,
            _ => 4_000,
        }
    }

    /// As many token requests, each with an assertion of its own.
    #[expect(clippy::disallowed_methods, reason = "an assertion says when it was made, and this is a client")]
    pub fn bodies(&self, audience: &str, count: usize) -> Result<Vec<String>> {
        let client_id = self.client_id;
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        (0..count)
            .map(|number| {
                let claims = json!({
                    "iss": client_id, "sub": client_id, "aud": audience,
                    "iat": now, "nbf": now, "exp": now + 600, "jti": format!("{number}"),
                });
                let assertion = azure_assertion::sign(&self.key, self.algorithm, &self.sha256, &claims)
                    .ok()
                    .context("the assertion cannot be signed")?;
                Ok(form_urlencoded::Serializer::new(String::new())
                    .append_pair("client_id", client_id)
                    .append_pair("grant_type", "client_credentials")
                    .append_pair("scope", "https://vault.azure.net/.default")
                    .append_pair(
                        "client_assertion_type",
                        "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                    )
                    .append_pair("client_assertion", &assertion)
                    .finish())
            })
            .collect()
    }
}

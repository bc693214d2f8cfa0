//! Who signs what is said of keys to the world outside: the tenant, with the key that it publishes for audiences there.

use vouchsafe_crypto::jose::{Algorithm, attestation};
use vouchsafe_crypto::keys::SignatureAlgorithm;
use vouchsafe_crypto::pki::{
    AlternativeNames, CertificateProfile, DistinguishedName, KeyUsage, Serial, Validity, self_signed,
};

use crate::error::Fault;
use crate::limits;
use crate::platform::Platform;
use crate::token::TenantKey;
use crate::vault::error::Error;
use crate::world::TenantSnapshot;

/// A key of the tenant, and its own certificate.
pub(super) struct Signatory<'a> {
    key: &'a TenantKey,
    certificate: Vec<u8>,
}

impl Signatory<'_> {
    /// Signs a statement of the kind `typ`.
    pub(super) fn sign(&self, typ: Option<&str>, payload: &[u8]) -> Result<String, Error> {
        let Self { key, certificate } = self;
        attestation::sign_statement(&key.key, key.algorithm, &key.kid, certificate, typ, payload)
            .map_err(|error| broken(&error))
    }

    /// The certificate that stands in everything that is signed, in DER.
    pub(super) fn into_certificate(self) -> Vec<u8> {
        self.certificate
    }
}

impl Platform {
    /// Whoever signs for a tenant now; `purpose` is what the certificate says that it is for.
    pub(super) fn signatory<'a>(
        &self,
        tenant: &'a TenantSnapshot,
        purpose: &str,
    ) -> Result<Signatory<'a>, Error> {
        let key = tenant.current_key(Algorithm::Rs256);
        let key = key.ok_or_else(|| broken(&"the tenant has no current signing key"))?;
        let certificate = self.certificate_of(tenant, key, purpose)?;
        Ok(Signatory { key, certificate })
    }

    /// The key's own certificate: clients look for the key that signed there. Nobody else vouches in it; that the key is
    /// the tenant's, its published key set says.
    fn certificate_of(
        &self,
        tenant: &TenantSnapshot,
        key: &TenantKey,
        purpose: &str,
    ) -> Result<Vec<u8>, Error> {
        let mut serial = [0; 16];
        self.entropy.fill(&mut serial);
        let subject = DistinguishedName::parse(&format!("CN={purpose} of tenant {}", tenant.tenant().id));
        let from = key.since.seconds();
        let profile = CertificateProfile {
            subject: subject.map_err(|error| broken(&error))?,
            alternative_names: AlternativeNames::default(),
            purposes: Vec::new(),
            key_usage: [KeyUsage::DigitalSignature].into(),
            validity: Validity {
                not_before: from,
                not_after: from.saturating_add(limits::STATEMENT_CERTIFICATE_LIFETIME.as_secs()),
            },
            basic_constraints: None,
            serial: Serial::from_random(serial),
            revocation_list_url: None,
            ocsp_url: None,
            issuer_url: None,
            public_key: key.key.public_spki_der(),
        };
        let unsigned = self_signed(&profile, SignatureAlgorithm::Rs256).map_err(|error| broken(&error))?;
        let signature = key.key.sign(key.algorithm, unsigned.bytes()).map_err(|error| broken(&error))?;
        unsigned.assemble(&signature).map_err(|error| broken(&error))
    }
}

fn broken(what: &dyn std::fmt::Display) -> Error {
    Error::Fault(Fault::Broken(what.to_string()))
}

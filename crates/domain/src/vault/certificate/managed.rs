//! What the secret of a certificate gives: put together from key and chain when it is read, and stored nowhere.
//!
//! SECURITY: this is the only way by which a key of a certificate leaves in the clear. It asks the version that was made,
//! not the policy of the next one, whether it is exportable; a key in a token never is.

use data_encoding::BASE64;
use vouchsafe_crypto::keys::PrivateKey;
use vouchsafe_crypto::pki::{Bundle, pfx, to_pem, write_pem, write_pfx};
use vouchsafe_crypto::{Reason, SecretBytes, SecretString};

use super::policy::ContentType;
use super::{CertificateVersion, Certificates};
use crate::access::action::GetSecret;
use crate::access::authorize::Authorized;
use crate::error::Fault;
use crate::ids::ObjectVersion;
use crate::platform::Platform;
use crate::vault::error::Error;
use crate::vault::key::{KeyVersion, Keys};
use crate::vault::object::{Collection, ObjectKind, Place};

impl Platform {
    /// The value of a managed secret's version, in the form that its certificate has, or in another; and the version
    /// before it.
    pub(in crate::vault) async fn managed_value(
        &self,
        proof: &Authorized<GetSecret>,
        secret: &Place,
        version: ObjectVersion,
        form: Option<ContentType>,
    ) -> Result<(SecretBytes, Option<ObjectVersion>), Error> {
        let certificates = secret.companion(Certificates::FAMILY);
        let certificate = self.load::<CertificateVersion>(&certificates.version(version)).await?;
        let missing = || Fault::Broken("a managed secret has no certificate".to_owned());
        let certificate = certificate.ok_or_else(missing)?.noun;
        let form = form.unwrap_or(certificate.content_type);
        let previous = certificate.previous;
        if !certificate.exportable {
            return Ok((chain_only(&certificate, form)?, previous));
        }
        let keys = secret.companion(Keys::FAMILY);
        let key = self.load::<KeyVersion>(&keys.version(version)).await?.ok_or_else(missing)?.noun;
        if key.in_token {
            return Ok((chain_only(&certificate, form)?, previous));
        }
        let material = self.load_material(proof, &keys, version).await?;
        let key = PrivateKey::from_material(key.spec, &material).map_err(|e| Fault::Broken(e.to_string()))?;
        let pkcs8 =
            key.to_pkcs8().ok_or_else(|| Fault::Broken("a key pair has no PKCS#8 form".to_owned()))?;
        let (leaf_at, bundle) = (certificate.leaf_at, Bundle { key: pkcs8, chain: certificate.chain });
        match form {
            ContentType::Pem => Ok((bytes(write_pem(&bundle)), previous)),
            ContentType::Pkcs12 => Ok((base64(&write_pfx(&bundle, leaf_at, &no_password())?), previous)),
        }
    }
}

/// What a certificate gives whose key does not leave.
fn chain_only(certificate: &CertificateVersion, form: ContentType) -> Result<SecretBytes, Error> {
    match form {
        ContentType::Pem => {
            let pem: String = certificate.chain.iter().map(|der| to_pem("CERTIFICATE", der)).collect();
            Ok(SecretBytes::new(pem.into_bytes()))
        }
        ContentType::Pkcs12 => Ok(base64(&pfx::write_certificates_pfx(&certificate.chain, &no_password())?)),
    }
}

fn no_password() -> SecretString {
    SecretString::new(String::new())
}

fn base64(file: &SecretBytes) -> SecretBytes {
    let mut text = vec![0; BASE64.encode_len(file.len())];
    BASE64.encode_mut(file.expose(Reason::Answer), &mut text);
    SecretBytes::new(text)
}

fn bytes(text: SecretString) -> SecretBytes {
    SecretBytes::new(text.expose(Reason::Answer).as_bytes().to_vec())
}

/// Whether a secret can be given in another form than its own: only the files of certificates, and only as PEM.
pub(in crate::vault) fn converted(
    managed: bool,
    own: Option<&str>,
    wanted: Option<&str>,
) -> Result<Option<ContentType>, Error> {
    let Some(wanted) = wanted else { return Ok(None) };
    let own = own.and_then(ContentType::parse);
    match (managed, own, ContentType::parse(wanted)) {
        (true, Some(own), Some(wanted)) if own == wanted => Ok(Some(wanted)),
        (true, Some(ContentType::Pkcs12), Some(ContentType::Pem)) => Ok(Some(ContentType::Pem)),
        _ => Err(Error::BadParameter(format!(
            "this {} cannot be converted: outContentType turns the application/x-pkcs12 of a certificate into \
             application/x-pem-file",
            ObjectKind::Secret
        ))),
    }
}

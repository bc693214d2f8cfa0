//! What a policy says as X.509 builds it, and signatures by keys that somebody else holds.

use vouchsafe_crypto::keys::{KeySpec, SignatureAlgorithm};
use vouchsafe_crypto::pki::{
    BasicConstraints, BuildRefused, CertificateProfile, DistinguishedName, Serial, ToBeSigned, Validity,
};

use super::policy::{CertificatePolicy, X509Properties};
use crate::limits;
use crate::ports::Hsm;
use crate::ports::hsm::KeyRef;
use crate::timekeeping::IssueTime;
use crate::vault::error::Error;

/// How keys of a kind sign certificates and requests.
pub(super) fn algorithm(spec: KeySpec) -> Result<SignatureAlgorithm, Error> {
    match spec {
        KeySpec::Rsa2048 | KeySpec::Rsa3072 | KeySpec::Rsa4096 => Ok(SignatureAlgorithm::Rs256),
        KeySpec::P256 => Ok(SignatureAlgorithm::Es256),
        KeySpec::P384 => Ok(SignatureAlgorithm::Es384),
        KeySpec::P521 => Ok(SignatureAlgorithm::Es512),
        KeySpec::P256K => Ok(SignatureAlgorithm::Es256k),
        KeySpec::Oct128 | KeySpec::Oct192 | KeySpec::Oct256 => {
            Err(Error::BadParameter("a symmetric key signs no certificate".to_owned()))
        }
    }
}

/// Has something signed by the key's holder, and puts it together; the signature is verified on the way.
pub(super) async fn sign(
    holder: &dyn Hsm,
    key: &KeyRef<'_>,
    unsigned: &ToBeSigned,
) -> Result<Vec<u8>, Error> {
    let signature = holder.sign(key, unsigned.algorithm(), &unsigned.digest()).await?;
    Ok(unsigned.assemble(&signature)?)
}

impl From<BuildRefused> for Error {
    fn from(refused: BuildRefused) -> Self {
        match refused {
            // Whoever holds the key signed something else than it was given.
            BuildRefused::Signature | BuildRefused::Algorithm => {
                Self::Fault(crate::error::Fault::Broken(refused.to_string()))
            }
            _ => Self::BadParameter(refused.to_string()),
        }
    }
}

/// What the next version of a certificate is to say; only its issuer adds to that.
pub(super) fn profile(
    policy: &CertificatePolicy,
    public_key: Vec<u8>,
    serial: Serial,
    now: IssueTime,
) -> Result<CertificateProfile, Error> {
    let X509Properties { subject, sans, ekus, validity_months, .. } = &policy.x509;
    let subject =
        DistinguishedName::parse(subject).map_err(|refused| Error::BadParameter(refused.to_string()))?;
    Ok(CertificateProfile {
        subject,
        alternative_names: sans.clone(),
        purposes: ekus.clone(),
        key_usage: policy.x509.usages(policy.key.spec.family()),
        validity: validity(*validity_months, now),
        basic_constraints: Some(BasicConstraints { is_authority: false, path_length: None }),
        serial,
        revocation_list_url: None,
        ocsp_url: None,
        issuer_url: None,
        public_key,
    })
}

/// From ten minutes ago, for clocks that are behind, to the same day of a later month.
pub(super) fn validity(months: u32, now: IssueTime) -> Validity {
    let seconds = now.moment().seconds();
    let backdating = limits::CERTIFICATE_BACKDATING.as_secs();
    Validity { not_before: seconds.saturating_sub(backdating), not_after: months_later(seconds, months) }
}

/// The same time of the same day, so many months later; the last day of a month that has fewer days.
pub(super) fn months_later(seconds: u64, months: u32) -> u64 {
    let fallback = seconds.saturating_add(u64::from(months).saturating_mul(30 * 86_400));
    let Some(moment) =
        i64::try_from(seconds).ok().and_then(|s| time::OffsetDateTime::from_unix_timestamp(s).ok())
    else {
        return fallback;
    };
    let date = moment.date();
    let months_since_zero = date.year() * 12 + i32::from(u8::from(date.month())) - 1;
    let target = months_since_zero.saturating_add(i32::try_from(months).unwrap_or(i32::MAX));
    let (year, month) = (target.div_euclid(12), target.rem_euclid(12) + 1);
    let month = u8::try_from(month).ok().and_then(|month| time::Month::try_from(month).ok());
    let Some(month) = month else { return fallback };
    let day = date.day().min(month.length(year));
    let later = time::Date::from_calendar_date(year, month, day).map(|date| moment.replace_date(date));
    later.ok().and_then(|later| u64::try_from(later.unix_timestamp()).ok()).unwrap_or(fallback)
}

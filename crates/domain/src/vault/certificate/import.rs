//! Taking over a certificate that was made elsewhere, with its key: PKCS#12 or PEM (wire.md §7.3).

use std::sync::Arc;

use data_encoding::BASE64;
use vouchsafe_crypto::keys::{KeySpec, PrivateKey, PublicKey};
use vouchsafe_crypto::pki::{Bundle, ChainOrder, KeyUsage, ParsedCertificate, read_pem, read_pfx};
use vouchsafe_crypto::{Reason, SecretBytes, SecretString};

use super::complete::{NewVersion, put_trio};
use super::create::{Standing, may_begin};
use super::lifetime::{LifetimeAction, LifetimeActionType, Trigger};
use super::policy::{
    CertificatePolicy, ContentType, IssuerChoice, IssuerParameters, KeyProperties, PolicyPatch,
    X509Properties,
};
use super::read::ReadCertificate;
use super::{CertificateAttributes, Certificates, copied};
use crate::access::action::ImportCertificate;
use crate::access::caller::Caller;
use crate::error::Fault;
use crate::ids::{ObjectName, ObjectVersion, VaultName};
use crate::limits;
use crate::platform::{Context, Platform};
use crate::ports::hsm::{Exportable, HeldKey};
use crate::ports::store::Kind;
use crate::resource::Vault;
use crate::time::Timestamp;
use crate::vault::decide::labels_and_validity;
use crate::vault::error::Error;
use crate::vault::key::protection;
use crate::vault::load::{Attempt, expect, sealed, until_done};
use crate::vault::object::{Collection, ObjectKind, Place};

/// A key with its certificates, as a file has them.
pub enum CertificateFile {
    /// PKCS#12.
    Pfx(SecretBytes),
    /// PEM text.
    Pem(SecretString),
}

/// What a caller wants taken over.
pub struct CertificateToImport {
    /// The file.
    pub file: CertificateFile,
    /// What opens it.
    pub password: Option<SecretString>,
    /// What is to be different from what the certificate itself says.
    pub policy: Option<PolicyPatch>,
    /// What the version is to have.
    pub attributes: CertificateAttributes,
    /// Whether the managed secret keeps the chain in the order of the file.
    pub preserve_order: bool,
}

/// A key that its holder has, and what the next version is then made of.
struct Taken {
    held: HeldKey,
    public: PublicKey,
    chain: Vec<Vec<u8>>,
    leaf_at: usize,
    policy: CertificatePolicy,
}

impl CertificateFile {
    /// Reads the text of an import: PEM as it is, or either form in base64.
    pub fn parse(text: &SecretString) -> Result<Self, String> {
        let raw = text.expose(Reason::Record);
        if raw.contains(PEM_BEGINS) {
            return Ok(Self::Pem(SecretString::new(raw.to_owned())));
        }
        let joined = raw.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
        let joined = SecretBytes::new(joined);
        let decoded = BASE64.decode(joined.expose(Reason::Record)).map(SecretBytes::new);
        let decoded = decoded.map_err(|_| "the value is neither PEM nor base64".to_owned())?;
        if !decoded.expose(Reason::Record).starts_with(PEM_BEGINS.as_bytes()) {
            return Ok(Self::Pfx(decoded));
        }
        let text = SecretString::from_utf8(decoded);
        text.map(Self::Pem).ok_or_else(|| "the value is neither PEM nor base64".to_owned())
    }

    fn open(&self, password: Option<&SecretString>, order: ChainOrder) -> Result<Bundle, Error> {
        let empty = SecretString::new(String::new());
        let opened = match self {
            Self::Pfx(file) => read_pfx(file.expose(Reason::Cipher), password.unwrap_or(&empty), order),
            Self::Pem(text) => read_pem(text, order),
        };
        opened.map_err(|refused| Error::BadParameter(refused.to_string()))
    }
}

const PEM_BEGINS: &str = "-----BEGIN ";

impl Platform {
    /// Takes over a certificate with its key, as a new certificate or a new version of one.
    pub async fn import_certificate(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        name: &ObjectName,
        wanted: &CertificateToImport,
    ) -> Result<ReadCertificate, Error> {
        let mut taken = None;
        let done = self.import_certificate_from(context, caller, vault, name, wanted, &mut taken).await;
        if let Some(Taken { held, policy, .. }) = taken {
            self.discard(policy.key.spec, policy.key.in_token, Some(held)).await;
        }
        done
    }

    /// As [`Platform::import_certificate`]; `taken` is left with what was taken over and did not get into the store. When
    /// the store does not say whether it did, the key is let go without being destroyed, because it may be needed.
    async fn import_certificate_from(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        name: &ObjectName,
        wanted: &CertificateToImport,
        taken: &mut Option<Taken>,
    ) -> Result<ReadCertificate, Error> {
        let kind = ObjectKind::Certificate;
        until_done!(self, tenant, {
            let admitted = self.admit::<ImportCertificate>(context, caller, vault, kind, Some(name)).await?;
            let entry = self.entry(context, &admitted.proof);
            let place = admitted.place(Certificates::FAMILY, name);
            let decided = async {
                let standing = self.standing(&place).await?;
                may_begin(name, &standing)?;
                let belongings = self.name_is_ours(&place, name).await?;
                labels_and_validity(&wanted.attributes.tags, None, None).map_err(Error::BadParameter)?;
                if taken.is_none() {
                    *taken = Some(self.take_over(context, &place, &admitted.vault, wanted).await?);
                }
                Ok((standing, belongings))
            };
            let (standing, belongings) = match decided.await {
                Ok(standing) => standing,
                Err(error) => return self.record_refusal(entry, error).await,
            };
            let Some(ready) = &*taken else {
                return Err(Fault::Broken("a key that was just taken over is gone".to_owned()).into());
            };
            let trio = new_version(ready, wanted, ObjectVersion(self.entropy.uuid()))
                .records(previous(&standing), context.now)?;
            let policy = CertificatePolicy {
                created: standing.policy.as_ref().map_or(context.now, |found| found.noun.created),
                ..ready.policy.clone()
            };
            let head = standing.head.as_ref();
            let name = head.map_or_else(|| name.clone(), |found| found.noun.name.clone());
            let intent = self.trail.announce(entry).await?;
            let commit = admitted.guard(intent.commit()).put(
                place.extra(Kind::CertificatePolicy),
                expect(standing.policy.as_ref()),
                sealed(&policy),
            );
            let commit = match &standing.pending {
                // What ended is about another version.
                Some(found) => commit.delete(place.extra(Kind::PendingCertificate), found.revision),
                None => {
                    commit.guard(place.extra(Kind::PendingCertificate), crate::ports::store::Expect::Absent)
                }
            };
            let material = copied(&ready.held.material);
            let commit = put_trio(commit, &place, &name, head, &belongings, &trio, material);
            let read = ReadCertificate {
                name,
                version: trio.certificate,
                policy: Some(policy),
                has_pending: false,
                assignment: admitted.proof.assignment(),
                vault: Arc::clone(&admitted.vault),
            };
            let made = taken.take();
            let attempt = self.attempt(intent, commit, read, context).await?;
            if let Attempt::Again = attempt {
                *taken = made;
            }
            (attempt, admitted.tenant)
        })
    }

    /// Opens the file, decides the policy, and gives the key to its holder.
    async fn take_over(
        &self,
        context: &Context,
        place: &Place,
        vault: &Vault,
        wanted: &CertificateToImport,
    ) -> Result<Taken, Error> {
        let order = if wanted.preserve_order { ChainOrder::AsGiven } else { ChainOrder::LeafFirst };
        let Bundle { key, chain } = wanted.file.open(wanted.password.as_ref(), order)?;
        let key = PrivateKey::from_pkcs8(&key).map_err(|refused| Error::BadParameter(refused.to_string()))?;
        let public = key.public();
        let public = public.ok_or_else(|| Error::BadParameter("the key has no public half".to_owned()))?;
        let spki = public.spki_der();
        let certificates = chain.iter().map(|der| ParsedCertificate::from_der(der));
        let certificates: Vec<ParsedCertificate> =
            certificates.collect::<Result<_, _>>().map_err(|e| Error::BadParameter(e.to_string()))?;
        let leaf_at = certificates.iter().position(|certificate| certificate.spki_der() == spki);
        let (leaf_at, leaf) = leaf_at.and_then(|at| Some((at, certificates.get(at)?))).ok_or_else(|| {
            Error::BadParameter("no certificate of the file is for its private key".to_owned())
        })?;
        let content_type = match wanted.file {
            CertificateFile::Pfx(_) => ContentType::Pkcs12,
            CertificateFile::Pem(_) => ContentType::Pem,
        };
        let observed = observed(leaf, key.spec(), content_type, context.now);
        let policy = match &wanted.policy {
            Some(patch) => patch.describe(&observed).map_err(Error::BadParameter)?,
            None => observed,
        };
        protection(vault, policy.key.in_token)?;
        self.issuer_is_usable(place, &policy).await?;
        let held = self.holder_for(policy.key.in_token, key.spec())?.import(key, Exportable::Never).await?;
        Ok(Taken { held, public, chain, leaf_at, policy })
    }
}

fn previous(standing: &Standing) -> Option<ObjectVersion> {
    let current = standing.head.as_ref().map(|found| &found.noun.current);
    current.filter(|current| current.is_issued()).map(|current| current.version)
}

fn new_version(taken: &Taken, wanted: &CertificateToImport, version: ObjectVersion) -> NewVersion {
    NewVersion {
        version,
        attributes: wanted.attributes.clone(),
        chain: taken.chain.clone(),
        leaf_at: taken.leaf_at,
        content_type: taken.policy.content_type,
        exportable: taken.policy.key.exportable,
        preserve_order: wanted.preserve_order,
        spec: taken.policy.key.spec,
        in_token: taken.policy.key.in_token,
        public: taken.public.clone(),
        authority: None,
    }
}

/// The policy that a certificate which was made elsewhere would have had here.
fn observed(
    leaf: &ParsedCertificate,
    spec: KeySpec,
    content_type: ContentType,
    now: Timestamp,
) -> CertificatePolicy {
    let validity = leaf.validity();
    let days = validity.not_after.saturating_sub(validity.not_before) / 86_400;
    let months = u32::try_from((days + 15) / 30).unwrap_or(u32::MAX);
    let certifies = [KeyUsage::KeyCertSign, KeyUsage::CrlSign];
    let usage = leaf.key_usage().into_iter().flatten().copied();
    CertificatePolicy {
        key: KeyProperties { spec, in_token: false, exportable: true, reuse_key: false },
        content_type,
        x509: X509Properties {
            subject: leaf.subject().to_string(),
            sans: leaf.alternative_names().clone(),
            ekus: leaf.purposes().to_vec(),
            key_usage: usage.filter(|usage| !certifies.contains(usage)).collect(),
            validity_months: months.clamp(1, limits::VALIDITY_MONTHS_MAX),
        },
        lifetime_actions: vec![LifetimeAction {
            trigger: Trigger::LifetimePercentage(80),
            action: LifetimeActionType::EmailContacts,
        }],
        issuer: IssuerParameters { name: IssuerChoice::Unknown, certificate_type: None, transparency: None },
        disabled: false,
        created: now,
        updated: now,
        other: std::collections::BTreeMap::new(),
    }
}

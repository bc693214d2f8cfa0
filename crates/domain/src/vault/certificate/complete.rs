//! Making a version: the certificate, its key and its secret become current in one commit.

use std::collections::BTreeSet;

use vouchsafe_crypto::SecretBytes;
use vouchsafe_crypto::keys::{KeyFamily, KeySpec, PublicKey};
use vouchsafe_crypto::pki::{KeyUsage, ParsedCertificate};

use super::authority::AuthorityId;
use super::create::Belongings;
use super::policy::ContentType;
use super::{CertificateAttributes, CertificateHead, CertificateVersion};
use crate::error::Fault;
use crate::ids::{ObjectName, ObjectVersion};
use crate::ports::store::{Commit, Expect};
use crate::record::Encode;
use crate::time::Timestamp;
use crate::vault::error::Error;
use crate::vault::key::{KeyAttributes, KeyOperation, KeyVersion, Keys};
use crate::vault::load::{Found, expect, sealed};
use crate::vault::object::{Collection, Head, Place};
use crate::vault::secret::{Attributes, SecretVersion, Secrets};

/// Everything that a new version is made of, whoever issued it.
pub(super) struct NewVersion {
    pub version: ObjectVersion,
    pub attributes: CertificateAttributes,
    pub chain: Vec<Vec<u8>>,
    pub leaf_at: usize,
    pub content_type: ContentType,
    pub exportable: bool,
    pub preserve_order: bool,
    pub spec: KeySpec,
    pub in_token: bool,
    pub public: PublicKey,
    pub authority: Option<AuthorityId>,
}

/// The three records of a version.
pub(super) struct Trio {
    pub certificate: CertificateVersion,
    pub key: KeyVersion,
    pub secret: SecretVersion,
}

/// What a key may be used for, as its certificate restricts it (RFC 5280 §4.2.1.3).
///
/// SECURITY: a certificate that says nothing restricts nothing; one that says something is believed, so that a key for
/// signatures never decrypts and a key for encryption never signs.
pub(super) fn operations(spec: KeySpec, usage: Option<&BTreeSet<KeyUsage>>) -> Vec<KeyOperation> {
    let Some(usage) = usage.filter(|usage| !usage.is_empty()) else { return KeyOperation::usual(spec) };
    let has = |wanted: &[KeyUsage]| wanted.iter().any(|one| usage.contains(one));
    let mut operations = Vec::new();
    let enciphers = spec.family() == KeyFamily::Rsa;
    if enciphers && has(&[KeyUsage::KeyEncipherment, KeyUsage::DataEncipherment]) {
        operations.extend([KeyOperation::Encrypt, KeyOperation::Decrypt]);
    }
    if has(&[KeyUsage::DigitalSignature, KeyUsage::NonRepudiation, KeyUsage::KeyCertSign, KeyUsage::CrlSign])
    {
        operations.extend([KeyOperation::Sign, KeyOperation::Verify]);
    }
    if enciphers && has(&[KeyUsage::KeyEncipherment]) {
        operations.extend([KeyOperation::WrapKey, KeyOperation::UnwrapKey]);
    }
    operations
}

impl NewVersion {
    /// The records, with what the certificate itself says.
    pub(super) fn records(self, previous: Option<ObjectVersion>, now: Timestamp) -> Result<Trio, Error> {
        let leaf = self.chain.get(self.leaf_at);
        let leaf = leaf.ok_or_else(|| Fault::Broken("a chain without its certificate".to_owned()))?;
        let leaf = ParsedCertificate::from_der(leaf).map_err(|e| Error::BadParameter(e.to_string()))?;
        let validity = leaf.validity();
        let not_before = Some(Timestamp::from_seconds(validity.not_before));
        let expires = Some(Timestamp::from_seconds(validity.not_after));
        let CertificateAttributes { disabled, tags } = self.attributes.clone();
        let key = KeyVersion {
            version: self.version,
            spec: self.spec,
            in_token: self.in_token,
            operations: operations(self.spec, leaf.key_usage()),
            public: Some(self.public),
            attributes: KeyAttributes {
                disabled,
                not_before,
                expires,
                exportable: false,
                tags: tags.clone(),
            },
            release_policy: None,
            managed: true,
            created: now,
            updated: now,
        };
        let secret = SecretVersion {
            version: self.version,
            attributes: Attributes {
                disabled,
                not_before,
                expires,
                content_type: Some(self.content_type.as_str().to_owned()),
                tags,
            },
            managed: true,
            created: now,
            updated: now,
        };
        let certificate = CertificateVersion {
            version: self.version,
            attributes: self.attributes,
            not_before,
            expires,
            created: now,
            updated: now,
            chain: self.chain,
            leaf_at: self.leaf_at,
            content_type: self.content_type,
            exportable: self.exportable,
            preserve_order: self.preserve_order,
            previous,
            notified: false,
            authority: self.authority,
            revoked: None,
        };
        Ok(Trio { certificate, key, secret })
    }
}

/// Adds a version to a commit: of the certificate, its key and its secret, all of which become current.
///
/// SECURITY: in the place of what was looked at before, and of nothing else: a key or a secret that somebody put there
/// since is not written over.
pub(super) fn put_trio(
    commit: Commit,
    place: &Place,
    name: &ObjectName,
    head: Option<&Found<CertificateHead>>,
    belongings: &Belongings,
    trio: &Trio,
    material: SecretBytes,
) -> Commit {
    let keys = place.companion(Keys::FAMILY);
    let secrets = place.companion(Secrets::FAMILY);
    let version = trio.certificate.version;
    let commit = commit
        .guard(place.deleted(), Expect::Absent)
        .guard(keys.deleted(), Expect::Absent)
        .guard(secrets.deleted(), Expect::Absent)
        .put(place.head(), expect(head), sealed(&named(name, &trio.certificate)))
        .put(keys.head(), expect(belongings.key.as_ref()), sealed(&named(name, &trio.key)))
        .put(secrets.head(), expect(belongings.secret.as_ref()), sealed(&named(name, &trio.secret)));
    let commit = place.put_version(commit, version, trio.certificate.encode(), None);
    let commit = keys.put_version(commit, version, trio.key.encode(), Some(material));
    secrets.put_version(commit, version, trio.secret.encode(), None)
}

fn named<V: Clone>(name: &ObjectName, current: &V) -> Head<V> {
    Head { name: name.clone(), current: current.clone() }
}

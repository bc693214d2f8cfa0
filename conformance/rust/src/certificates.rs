//! The life of certificates, through `azure_security_keyvault_certificates` as it is; what comes out is read by OpenSSL.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use azure_core::http::ClientOptions;
use azure_core::time::OffsetDateTime;
use azure_identity::ManagedIdentityCredential;
use azure_security_keyvault_certificates::models::{
    Certificate, CertificateAttributes, CertificateClientGetCertificateOptions,
    CertificateClientListCertificatePropertiesOptions, CertificateClientUpdateCertificatePropertiesOptions,
    CertificateOperation, CertificatePolicy, CertificatePolicyAction, CreateCertificateParameters, CurveName,
    IssuerParameters, KeyProperties, KeyType, KeyUsageType, LifetimeAction, LifetimeActionTrigger,
    LifetimeActionType, RestoreCertificateParameters, SecretProperties, SubjectAlternativeNames,
    UpdateCertificatePropertiesParameters, X509CertificateProperties,
};
use azure_security_keyvault_certificates::{CertificateClient, CertificateClientOptions, ResourceExt};
use futures_util::TryStreamExt;
use openssl::asn1::{Asn1Time, Asn1TimeRef};
use openssl::hash::MessageDigest;
use openssl::x509::X509;

use crate::keys::{Keys, tags};
use crate::lists::{Listed, each_once, numbered, over_pages};
use crate::recording::{hurried, recorded};
use crate::world::{World, equal, fresh, get, refused, set, value};

const NO_VERSION: &str = "00000000000000000000000000000000";
pub const PEM: &str = "application/x-pem-file";

/// A client as an application would write it, with every check that it makes by itself.
pub struct Certificates(pub CertificateClient);

impl Certificates {
    pub fn of(world: &World, vault: usize) -> Result<Self> {
        Self::with(world, vault, hurried())
    }

    fn with(world: &World, vault: usize, client_options: ClientOptions) -> Result<Self> {
        let options = CertificateClientOptions { client_options, ..Default::default() };
        let credential = ManagedIdentityCredential::new(None)?;
        Ok(Self(CertificateClient::new(&world.vault_url(vault), credential, Some(options))?))
    }

    /// Asks for a certificate; the first answer of the client's poller.
    pub async fn begin(&self, name: &str, how: CertificatePolicy) -> Result<CertificateOperation> {
        let wanted = CreateCertificateParameters { certificate_policy: Some(how), ..Default::default() };
        self.begin_with(name, wanted).await
    }

    async fn begin_with(
        &self,
        name: &str,
        wanted: CreateCertificateParameters,
    ) -> Result<CertificateOperation> {
        let mut poller = self.0.begin_create_certificate(name, wanted.try_into()?, None)?;
        Ok(poller.try_next().await?.context("no answer")?.into_model()?)
    }

    pub async fn create(&self, name: &str, how: CertificatePolicy) -> Result<Certificate> {
        self.create_with(name, how, &[]).await
    }

    /// Makes a certificate, and asks until it is there: the poller's interval is meant for a service far away.
    pub async fn create_with(
        &self,
        name: &str,
        how: CertificatePolicy,
        labels: &[(&str, &str)],
    ) -> Result<Certificate> {
        let (certificate_policy, tags) = (Some(how), tags(labels));
        let wanted = CreateCertificateParameters { certificate_policy, tags, ..Default::default() };
        let mut operation = self.begin_with(name, wanted).await?;
        while operation.status.as_deref() == Some("inProgress") {
            operation = self.operation(name).await?;
        }
        ensure!(
            operation.status.as_deref() == Some("completed"),
            "{:?}: {:?}",
            operation.status,
            operation.error
        );
        self.get(name, None).await
    }

    pub async fn operation(&self, name: &str) -> Result<CertificateOperation> {
        Ok(self.0.get_certificate_operation(name, None).await?.into_model()?)
    }

    pub async fn get(&self, name: &str, version: Option<&str>) -> Result<Certificate> {
        let certificate_version = version.map(str::to_owned);
        let options = CertificateClientGetCertificateOptions { certificate_version, ..Default::default() };
        Ok(self.0.get_certificate(name, Some(options)).await?.into_model()?)
    }

    async fn policy(&self, name: &str) -> Result<CertificatePolicy> {
        Ok(self.0.get_certificate_policy(name, None).await?.into_model()?)
    }

    async fn enable(&self, name: &str, version: Option<&str>, enabled: bool) -> Result<Certificate> {
        let attributes = CertificateAttributes { enabled: Some(enabled), ..Default::default() };
        let wanted = UpdateCertificatePropertiesParameters {
            certificate_attributes: Some(attributes),
            tags: version.and(tags(&[("b", "2")])),
            ..Default::default()
        };
        let certificate_version = version.map(str::to_owned);
        let options =
            CertificateClientUpdateCertificatePropertiesOptions { certificate_version, ..Default::default() };
        let changed = self.0.update_certificate_properties(name, wanted.try_into()?, Some(options)).await?;
        Ok(changed.into_model()?)
    }

    async fn deleted(&self, name: &str) -> Result<()> {
        self.0.get_deleted_certificate(name, None).await?;
        Ok(())
    }

    pub async fn delete(&self, name: &str) -> Result<()> {
        self.0.delete_certificate(name, None).await?;
        Ok(())
    }

    pub async fn purge(&self, name: &str) -> Result<()> {
        self.0.purge_deleted_certificate(name, None).await?;
        Ok(())
    }

    async fn restore(&self, backup: &[u8]) -> Result<Certificate> {
        let wanted = RestoreCertificateParameters { certificate_backup: Some(backup.to_vec()) };
        Ok(self.0.restore_certificate(wanted.try_into()?, None).await?.into_model()?)
    }

    pub async fn names(&self, pending: bool) -> Result<BTreeSet<String>> {
        let options = CertificateClientListCertificatePropertiesOptions {
            include_pending: Some(pending),
            ..Default::default()
        };
        let mut items = self.0.list_certificate_properties(Some(options))?;
        let mut names = BTreeSet::new();
        while let Some(item) = items.try_next().await? {
            names.insert(item.resource_id()?.name);
        }
        Ok(names)
    }

    async fn versions(&self, name: &str) -> Result<Vec<String>> {
        let mut items = self.0.list_certificate_properties_versions(name, None)?;
        let mut versions = Vec::new();
        while let Some(item) = items.try_next().await? {
            versions.push(item.resource_id()?.version.context("a listed version without its id")?);
        }
        versions.sort();
        Ok(versions)
    }
}

/// A policy whose key is quickly made; what is not said is left to the vault.
pub fn policy_of(issuer: &str, subject: &str) -> CertificatePolicy {
    CertificatePolicy {
        key_properties: Some(KeyProperties {
            key_type: Some(KeyType::Ec),
            curve: Some(CurveName::P256),
            ..Default::default()
        }),
        ..plain(issuer, subject)
    }
}

/// A policy that leaves even the key to the vault.
pub fn plain(issuer: &str, subject: &str) -> CertificatePolicy {
    CertificatePolicy {
        issuer_parameters: Some(IssuerParameters { name: Some(issuer.to_owned()), ..Default::default() }),
        x509_certificate_properties: Some(X509CertificateProperties {
            subject: Some(subject.to_owned()),
            ..Default::default()
        }),
        ..Default::default()
    }
}

pub fn policy() -> CertificatePolicy {
    policy_of("Self", "CN=conformance.example")
}

pub fn kept_as(content_type: &str, how: CertificatePolicy) -> CertificatePolicy {
    let content_type = Some(content_type.to_owned());
    CertificatePolicy { secret_properties: Some(SecretProperties { content_type }), ..how }
}

fn properties(how: &CertificatePolicy) -> X509CertificateProperties {
    how.x509_certificate_properties.clone().unwrap_or_default()
}

pub fn version_of(certificate: &Certificate) -> Result<String> {
    certificate.resource_id()?.version.context("a certificate without a version")
}

/// The certificate as OpenSSL reads it.
pub fn opened(certificate: &Certificate) -> Result<X509> {
    Ok(X509::from_der(certificate.cer.as_ref().context("no certificate")?)?)
}

pub fn common_name(certificate: &X509) -> Result<String> {
    let name = certificate.subject_name().entries_by_nid(openssl::nid::Nid::COMMONNAME).next();
    Ok(name.context("no common name")?.data().to_string()?)
}

pub fn signs_itself(certificate: &X509) -> Result<()> {
    ensure!(certificate.verify(&*certificate.public_key()?)?, "not signed by itself");
    Ok(())
}

fn days_valid(certificate: &X509) -> Result<i32> {
    Ok(certificate.not_before().diff(certificate.not_after())?.days)
}

fn same_time(said: Option<OffsetDateTime>, found: &Asn1TimeRef) -> Result<()> {
    let said = Asn1Time::from_unix(said.context("no date")?.unix_timestamp())?;
    ensure!(said == found, "{} is said, {found} is in the certificate", &*said);
    Ok(())
}

pub async fn create_self_signed(world: &World) -> Result<()> {
    // Here the client has its own patience, waits by itself, and follows to what was made.
    let (certificates, name) = (Certificates::with(world, 0, recorded())?, fresh("self"));
    let wanted = CreateCertificateParameters {
        certificate_policy: Some(plain("Self", "CN=DefaultPolicy")),
        tags: tags(&[("a", "b")]),
        ..Default::default()
    };
    let made =
        certificates.0.begin_create_certificate(&name, wanted.try_into()?, None)?.await?.into_model()?;
    let (id, version) = (made.resource_id()?, version_of(&made)?);
    equal((id.name, id.vault_url, &made.tags), (name.clone(), world.vault_url(0), &tags(&[("a", "b")])))?;
    for (found, kind) in [(&made.id, "certificates"), (&made.kid, "keys"), (&made.sid, "secrets")] {
        equal(found.clone(), Some(format!("{}/{kind}/{name}/{version}", world.vault_url(0))))?;
    }
    let found = opened(&made)?;
    signs_itself(&found)?;
    equal((common_name(&found)?.as_str(), found.public_key()?.bits()), ("DefaultPolicy", 2048))?;
    equal(made.x509_thumbprint, Some(found.digest(MessageDigest::sha1())?.to_vec()))?;
    let attributes = made.attributes.context("no attributes")?;
    same_time(attributes.not_before, found.not_before())?;
    same_time(attributes.expires, found.not_after())?;
    ensure!((362..=368).contains(&days_valid(&found)?), "valid for {} days", days_valid(&found)?);
    ensure!(attributes.enabled == Some(true) && attributes.recovery_level.is_some(), "{attributes:?}");
    ensure!(attributes.recoverable_days >= Some(7), "{attributes:?}");
    Ok(())
}

pub async fn default_policy(world: &World) -> Result<()> {
    let (certificates, name) = (Certificates::of(world, 0)?, fresh("default"));
    let made = certificates.create(&name, plain("Self", "CN=DefaultPolicy")).await?;
    for found in [made.policy.context("no policy")?, certificates.policy(&name).await?] {
        let issuer = found.issuer_parameters.and_then(|issuer| issuer.name);
        let content_type = found.secret_properties.and_then(|secret| secret.content_type);
        equal((issuer.as_deref(), content_type.as_deref()), (Some("Self"), Some("application/x-pkcs12")))?;
        let key = found.key_properties.context("no key")?;
        equal((key.key_type, key.key_size), (Some(KeyType::Rsa), Some(2048)))?;
        equal((key.exportable, key.reuse_key), (Some(true), Some(false)))?;
        let said = found.x509_certificate_properties.context("no properties")?;
        equal((said.subject.as_deref(), said.validity_in_months), (Some("CN=DefaultPolicy"), Some(12)))?;
        let mut usages = said.enhanced_key_usage.context("no purposes")?;
        usages.sort();
        equal(usages, vec!["1.3.6.1.5.5.7.3.1".to_owned(), "1.3.6.1.5.5.7.3.2".to_owned()])?;
        let usage = said.key_usage.context("no usages")?;
        ensure!(usage.len() == 2 && usage.contains(&KeyUsageType::DigitalSignature), "{usage:?}");
        ensure!(usage.contains(&KeyUsageType::KeyEncipherment), "{usage:?}");
        let [action] = <[_; 1]>::try_from(found.lifetime_actions.context("no actions")?)
            .map_err(|actions| anyhow::anyhow!("{actions:?}"))?;
        let kind = action.action.and_then(|action| action.action_type);
        let percentage = action.trigger.and_then(|trigger| trigger.lifetime_percentage);
        equal((kind, percentage), (Some(CertificatePolicyAction::AutoRenew), Some(80)))?;
    }
    Ok(())
}

pub async fn create_ec(world: &World) -> Result<()> {
    let certificates = Certificates::of(world, 0)?;
    for (curve, bits) in [(CurveName::P256, 256), (CurveName::P384, 384), (CurveName::P521, 521)] {
        let key = KeyProperties { key_type: Some(KeyType::Ec), curve: Some(curve), ..Default::default() };
        let how = CertificatePolicy { key_properties: Some(key), ..policy() };
        let found = opened(&certificates.create(&fresh("ec"), how).await?)?;
        signs_itself(&found)?;
        equal(found.public_key()?.bits(), bits)?;
    }
    Ok(())
}

pub async fn names_and_usages(world: &World) -> Result<()> {
    let words = |words: &[&str]| Some(words.iter().map(|&word| word.to_owned()).collect());
    let names = SubjectAlternativeNames {
        dns_names: words(&["names.example", "*.names.example"]),
        emails: words(&["someone@names.example"]),
        ..Default::default()
    };
    let wanted = X509CertificateProperties {
        subject: Some("CN=names.example, O=Team One, C=CH".to_owned()),
        subject_alternative_names: Some(names),
        enhanced_key_usage: words(&["1.3.6.1.5.5.7.3.3"]),
        key_usage: Some(vec![KeyUsageType::DigitalSignature, KeyUsageType::NonRepudiation]),
        validity_in_months: Some(3),
    };
    let how = CertificatePolicy { x509_certificate_properties: Some(wanted), ..policy() };
    let found = opened(&Certificates::of(world, 0)?.create(&fresh("names"), how).await?)?;
    equal(common_name(&found)?.as_str(), "names.example")?;
    let names = found.subject_alt_names().context("no other names")?;
    let dns: BTreeSet<&str> = names.iter().filter_map(|name| name.dnsname()).collect();
    let emails: Vec<&str> = names.iter().filter_map(|name| name.email()).collect();
    equal(dns, BTreeSet::from(["names.example", "*.names.example"]))?;
    equal(emails, vec!["someone@names.example"])?;
    let text = String::from_utf8(found.to_text()?)?;
    for said in ["O=Team One", "C=CH", "Digital Signature, Non Repudiation\n", "Code Signing\n"] {
        let spaced = said.replacen('=', " = ", 1);
        ensure!(text.contains(said) || text.contains(&spaced), "`{said}` is not in the certificate: {text}");
    }
    ensure!((87..=94).contains(&days_valid(&found)?), "valid for {} days", days_valid(&found)?);
    Ok(())
}

pub async fn policy_without_sense_is_refused(world: &World) -> Result<()> {
    let certificates = Certificates::of(world, 0)?;
    let small = KeyProperties { key_type: Some(KeyType::Rsa), key_size: Some(1024), ..Default::default() };
    let long = X509CertificateProperties { validity_in_months: Some(100_000), ..properties(&policy()) };
    for wrong in [
        CertificatePolicy { key_properties: Some(small), ..policy() },
        CertificatePolicy { x509_certificate_properties: Some(long), ..policy() },
        kept_as("text/plain", policy()),
        policy_of("Self", "not a name"),
        policy_of("NoSuchIssuer", "CN=conformance.example"),
    ] {
        refused(certificates.begin(&fresh("wrong"), wrong).await, 400, &["BadParameter"])?;
    }
    Ok(())
}

pub async fn versions(world: &World) -> Result<()> {
    let (certificates, name) = (Certificates::of(world, 0)?, fresh("versions"));
    let mut versions = Vec::new();
    for _ in 0..3 {
        let made = certificates.create(&name, policy()).await?;
        let version = version_of(&made)?;
        equal(certificates.get(&name, Some(&version)).await?.cer, made.cer)?;
        versions.push(version);
    }
    equal(Some(&version_of(&certificates.get(&name, None).await?)?), versions.last())?;
    versions.sort();
    equal(certificates.versions(&name).await?, versions)
}

pub async fn list_over_pages(world: &World) -> Result<()> {
    let (certificates, prefix) = (Certificates::of(world, 1)?, fresh("page"));
    let names = numbered(&prefix, 27);
    for (name, number) in &names {
        certificates.create_with(name, policy(), &[("n", number)]).await?;
    }
    let listed = over_pages(certificates.0.list_certificate_properties(None)?.into_pages(), 2, |page| {
        let items = page.into_model()?.value.into_iter().map(|item| {
            let id = item.resource_id()?;
            Ok(Listed { name: id.name, version: id.version, tags: item.tags })
        });
        items.collect()
    });
    each_once(listed.await?, &prefix, &names)
}

pub async fn pending_is_listed_when_asked(world: &World) -> Result<()> {
    let (certificates, name) = (Certificates::of(world, 0)?, fresh("pending"));
    certificates.begin(&name, policy_of("Unknown", "CN=pending.example")).await?;
    ensure!(!certificates.names(false).await?.contains(&name), "it is listed");
    ensure!(certificates.names(true).await?.contains(&name), "it is not listed");
    Ok(())
}

pub async fn policy_update(world: &World) -> Result<()> {
    let (certificates, name) = (Certificates::of(world, 0)?, fresh("policy"));
    certificates.create(&name, policy()).await?;
    let action = LifetimeAction {
        action: Some(LifetimeActionType { action_type: Some(CertificatePolicyAction::EmailContacts) }),
        trigger: Some(LifetimeActionTrigger { days_before_expiry: Some(20), ..Default::default() }),
    };
    let changed = policy_of("Self", "CN=changed.example");
    let months = X509CertificateProperties { validity_in_months: Some(6), ..properties(&changed) };
    let wanted = CertificatePolicy {
        lifetime_actions: Some(vec![action.clone()]),
        x509_certificate_properties: Some(months),
        ..changed
    };
    let answer = certificates.0.update_certificate_policy(&name, wanted.try_into()?, None).await?;
    for found in [answer.into_model()?, certificates.policy(&name).await?] {
        let said = properties(&found);
        equal((said.subject.as_deref(), said.validity_in_months), (Some("CN=changed.example"), Some(6)))?;
        equal(format!("{:?}", found.lifetime_actions), format!("{:?}", Some(vec![action.clone()])))?;
        let key = found.key_properties.context("no key")?;
        equal((key.key_type, key.curve), (Some(KeyType::Ec), Some(CurveName::P256)))?;
    }
    // What is there stays as it was made; the next one follows the policy.
    equal(common_name(&opened(&certificates.get(&name, None).await?)?)?.as_str(), "conformance.example")?;
    let next = certificates.create(&name, certificates.policy(&name).await?).await?;
    equal(common_name(&opened(&next)?)?.as_str(), "changed.example")
}

pub async fn update(world: &World) -> Result<()> {
    let (certificates, name) = (Certificates::of(world, 0)?, fresh("update"));
    let made = certificates.create_with(&name, policy(), &[("a", "1")]).await?;
    let enabled =
        |certificate: &Certificate| certificate.attributes.as_ref().and_then(|attributes| attributes.enabled);
    let changed = certificates.enable(&name, Some(&version_of(&made)?), false).await?;
    equal((enabled(&changed), &changed.tags, &changed.cer), (Some(false), &tags(&[("b", "2")]), &made.cer))?;
    refused(get(&world.client(0)?, &name).await, 403, &["Forbidden", "SecretDisabled"])?;
    // Without a version the newest is meant, and what is not said stays.
    let again = certificates.enable(&name, None, true).await?;
    equal((enabled(&again), &again.tags), (Some(true), &tags(&[("b", "2")])))?;
    ensure!(!value(&world.client(0)?, &name).await?.is_empty(), "the secret is empty");
    Ok(())
}

pub async fn not_found(world: &World) -> Result<()> {
    let (certificates, name, absent) =
        (Certificates::of(world, 0)?, fresh("absent"), &["CertificateNotFound"]);
    refused(certificates.get(&name, None).await, 404, absent)?;
    refused(certificates.policy(&name).await, 404, absent)?;
    refused(certificates.deleted(&name).await, 404, absent)?;
    refused(certificates.delete(&name).await, 404, absent)?;
    refused(certificates.enable(&name, Some(NO_VERSION), false).await, 404, absent)?;
    refused(certificates.operation(&name).await, 404, &["PendingCertificateNotFound"])?;
    certificates.create(&name, policy()).await?;
    refused(certificates.get(&name, Some(NO_VERSION)).await, 404, absent)
}

pub async fn delete_and_recover(world: &World) -> Result<()> {
    let (certificates, name, absent) =
        (Certificates::of(world, 0)?, fresh("recover"), &["CertificateNotFound"]);
    let first = certificates.create(&name, policy()).await?;
    let second = certificates.create_with(&name, policy(), &[("k", "v")]).await?;
    let deleted = certificates.0.delete_certificate(&name, None).await?.into_model()?;
    equal(deleted.recovery_id, Some(format!("{}/deletedcertificates/{name}", world.vault_url(0))))?;
    ensure!(deleted.scheduled_purge_date > deleted.deleted_date, "purged before it is deleted");
    refused(certificates.get(&name, None).await, 404, absent)?;
    // Its key and its secret went with it.
    refused(get(&world.client(0)?, &name).await, 404, &["SecretNotFound"])?;
    refused(Keys::of(world, 0)?.get(&name, None).await, 404, &["KeyNotFound"])?;
    ensure!(!certificates.names(true).await?.contains(&name), "a deleted certificate is listed");
    let mut listed = certificates.0.list_deleted_certificate_properties(None)?;
    let mut found = false;
    while let Some(item) = listed.try_next().await? {
        found |= item.resource_id()?.name == name;
    }
    ensure!(found, "a deleted certificate is not listed as deleted");
    let shown = certificates.0.get_deleted_certificate(&name, None).await?.into_model()?;
    equal(shown.tags, tags(&[("k", "v")]))?;
    certificates.0.recover_deleted_certificate(&name, None).await?;
    equal(certificates.get(&name, None).await?.cer, second.cer.clone())?;
    equal(certificates.get(&name, Some(&version_of(&first)?)).await?.cer, first.cer)?;
    ensure!(!value(&world.client(0)?, &name).await?.is_empty(), "the secret did not come back");
    Keys::of(world, 0)?.get(&name, None).await?;
    Ok(())
}

pub async fn purge(world: &World) -> Result<()> {
    let (certificates, name) = (Certificates::of(world, 0)?, fresh("purge"));
    let old = certificates.create(&name, policy()).await?;
    certificates.delete(&name).await?;
    certificates.purge(&name).await?;
    refused(certificates.deleted(&name).await, 404, &["CertificateNotFound"])?;
    refused(certificates.purge(&name).await, 404, &["CertificateNotFound"])?;
    let made = certificates.create(&name, policy()).await?;
    ensure!(!opened(&made)?.public_key()?.public_eq(&*opened(&old)?.public_key()?), "it came back");
    equal(certificates.versions(&name).await?, vec![version_of(&made)?])
}

pub async fn name_of_a_deleted_one_is_taken(world: &World) -> Result<()> {
    let (certificates, name) = (Certificates::of(world, 0)?, fresh("taken"));
    certificates.create(&name, policy()).await?;
    certificates.delete(&name).await?;
    let said = &["Conflict", "ObjectIsDeletedButRecoverable"];
    refused(certificates.begin(&name, policy()).await, 409, said)?;
    // The names of its key and its secret are taken with it.
    refused(set(&world.client(0)?, &name, "other").await, 409, &["Conflict"])
}

pub async fn backup_and_restore(world: &World) -> Result<()> {
    let (here, there, name) = (Certificates::of(world, 0)?, Certificates::of(world, 1)?, fresh("backup"));
    let first = here.create_with(&name, policy(), &[("a", "b")]).await?;
    let second = here.create(&name, kept_as(PEM, policy())).await?;
    let backup = here.0.backup_certificate(&name, None).await?.into_model()?;
    let mut backup = backup.value.context("a backup without a value")?;
    let restored = there.restore(&backup).await?.resource_id()?;
    equal((restored.name, restored.vault_url), (name.clone(), world.vault_url(1)))?;
    equal(there.get(&name, None).await?.cer, second.cer)?;
    let old = there.get(&name, Some(&version_of(&first)?)).await?;
    equal((&old.cer, &old.tags), (&first.cer, &tags(&[("a", "b")])))?;
    // The key came with it.
    let (one, other) = (value(&world.client(0)?, &name).await?, value(&world.client(1)?, &name).await?);
    ensure!(one == other && !one.is_empty(), "the secrets differ");
    refused(there.restore(&backup).await, 409, &["Conflict"])?;
    let middle = backup.len() / 2;
    backup[middle] ^= 1;
    refused(here.restore(&backup).await, 400, &["BadParameter"])
}

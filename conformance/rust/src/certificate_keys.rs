//! Where a certificate's key is: made here or elsewhere, given out or not, signed for by others, used by its name.

use anyhow::{Context, Result, ensure};
use azure_security_keyvault_certificates::models::{
    AdministratorContact, Certificate, CertificatePolicy, Contact, Contacts, CurveName,
    ImportCertificateParameters, IssuerAttributes, IssuerCredentials, KeyProperties, KeyType,
    MergeCertificateParameters, OrganizationDetails, SetIssuerParameters, SubjectAlternativeNames,
    UpdateCertificateOperationParameter, UpdateIssuerParameters, X509CertificateProperties,
};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures_util::TryStreamExt;
use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkcs12::Pkcs12;
use openssl::pkey::{HasPublic, PKey, PKeyRef, Private};
use openssl::rsa::Rsa;
use openssl::stack::Stack;
use openssl::x509::extension::BasicConstraints;
use openssl::x509::{X509, X509Name, X509NameRef, X509Req, X509VerifyResult};

use crate::certificates::{Certificates, PEM, kept_as, opened, plain, policy, policy_of};
use crate::cryptography::{sign, verified_elsewhere};
use crate::keys::{Keys, jwk, tags};
use crate::world::{World, equal, fresh, get, refused, set, value};

const ACTION: &str = "Microsoft.KeyVault/vaults/";
const PKCS12: &str = "application/x-pkcs12";

/// Who signs certificates outside of the vault.
struct Authority {
    key: PKey<Private>,
    certificate: X509,
}

impl Authority {
    fn new() -> Result<Self> {
        let (key, name) = (ec_key(Nid::X9_62_PRIME256V1)?, named("Somebody Else's Authority")?);
        let certificate = certified(&key, &name, &name, &key, true)?;
        Ok(Self { key, certificate })
    }

    fn issue(&self, public: &PKeyRef<impl HasPublic>, subject: &X509NameRef) -> Result<X509> {
        certified(public, subject, self.certificate.subject_name(), &self.key, false)
    }

    /// A certificate for a key that was made here.
    fn made_elsewhere(&self, own: &PKey<Private>) -> Result<X509> {
        self.issue(own, &*named("elsewhere.example")?)
    }
}

fn certified(
    public: &PKeyRef<impl HasPublic>,
    subject: &X509NameRef,
    issuer: &X509NameRef,
    signer: &PKey<Private>,
    is_authority: bool,
) -> Result<X509> {
    let mut number = BigNum::new()?;
    number.rand(64, openssl::bn::MsbOption::ONE, false)?;
    let mut constraints = BasicConstraints::new();
    constraints.critical();
    if is_authority {
        constraints.ca();
    }
    let mut builder = X509::builder()?;
    builder.set_version(2)?;
    builder.set_serial_number(&*number.to_asn1_integer()?)?;
    builder.set_subject_name(subject)?;
    builder.set_issuer_name(issuer)?;
    builder.set_pubkey(public)?;
    builder.set_not_before(&*Asn1Time::days_from_now(0)?)?;
    builder.set_not_after(&*Asn1Time::days_from_now(90)?)?;
    builder.append_extension(constraints.build()?)?;
    builder.sign(signer, MessageDigest::sha256())?;
    Ok(builder.build())
}

fn named(name: &str) -> Result<X509Name> {
    let mut builder = X509Name::builder()?;
    builder.append_entry_by_nid(Nid::COMMONNAME, name)?;
    Ok(builder.build())
}

fn ec_key(curve: Nid) -> Result<PKey<Private>> {
    Ok(PKey::from_ec_key(EcKey::generate(&*EcGroup::from_curve_name(curve)?)?)?)
}

/// What is in a secret: the certificates from the leaf up, and the private key if there is one.
struct Bundle {
    chain: Vec<X509>,
    key: Option<PKey<Private>>,
}

impl Bundle {
    fn of_pkcs12(text: &str) -> Result<Self> {
        let parsed = Pkcs12::from_der(&BASE64_STANDARD.decode(text)?)?.parse2("")?;
        let chain = parsed.cert.into_iter().chain(parsed.ca.into_iter().flatten()).collect();
        Ok(Self { chain, key: parsed.pkey })
    }

    fn of_pem(text: &str) -> Result<Self> {
        let key = text.contains("PRIVATE").then(|| PKey::private_key_from_pem(text.as_bytes()));
        Ok(Self { chain: X509::stack_from_pem(text.as_bytes())?, key: key.transpose()? })
    }

    fn ders(&self) -> Result<Vec<Vec<u8>>> {
        Ok(self.chain.iter().map(|each| each.to_der()).collect::<Result<_, _>>()?)
    }

    /// The key is the one that the leaf certifies.
    fn belongs_together(&self) -> Result<()> {
        let (key, leaf) =
            (self.key.as_ref().context("no private key")?, self.chain.first().context("empty")?);
        ensure!(key.public_eq(&*leaf.public_key()?), "the key of another certificate");
        Ok(())
    }
}

fn certificate_of(certificate: &Certificate) -> Result<Vec<u8>> {
    certificate.cer.clone().context("no certificate")
}

async fn import(certificates: &Certificates, name: &str, file: Import) -> Result<Certificate> {
    let wanted = ImportCertificateParameters {
        base64_encoded_certificate: Some(file.text),
        password: file.password.map(str::to_owned),
        certificate_policy: file.policy,
        tags: tags(&[("from", "outside")]),
        ..Default::default()
    };
    Ok(certificates.0.import_certificate(name, wanted.try_into()?, None).await?.into_model()?)
}

#[derive(Default)]
struct Import {
    text: String,
    password: Option<&'static str>,
    policy: Option<CertificatePolicy>,
}

fn sealed(own: &PKey<Private>, leaf: &X509, above: &[&X509], password: &str) -> Result<String> {
    let mut chain = Stack::new()?;
    for each in above {
        chain.push((*each).clone())?;
    }
    let file = Pkcs12::builder().name("name").pkey(own).cert(leaf).ca(chain).build2(password)?;
    Ok(BASE64_STANDARD.encode(file.to_der()?))
}

pub async fn import_pkcs12(world: &World) -> Result<()> {
    let (certificates, authority) = (Certificates::of(world, 0)?, Authority::new()?);
    let own = PKey::from_rsa(Rsa::generate(2048)?)?;
    let leaf = authority.made_elsewhere(&own)?;
    for password in ["", "of the file"] {
        let (name, text) = (fresh("pkcs12"), sealed(&own, &leaf, &[&authority.certificate], password)?);
        let file = Import { text, password: Some(password), ..Default::default() };
        let imported = import(&certificates, &name, file).await?;
        equal((certificate_of(&imported)?, imported.tags), (leaf.to_der()?, tags(&[("from", "outside")])))?;
        let how = imported.policy.context("no policy")?;
        equal(how.issuer_parameters.and_then(|issuer| issuer.name).as_deref(), Some("Unknown"))?;
        equal(how.key_properties.and_then(|key| key.key_type), Some(KeyType::Rsa))?;
        let found = Bundle::of_pkcs12(&value(&world.client(0)?, &name).await?)?;
        equal(found.ders()?, vec![leaf.to_der()?, authority.certificate.to_der()?])?;
        found.belongs_together()?;
    }
    Ok(())
}

fn pem_of(own: &PKey<Private>, chain: &[&X509]) -> Result<String> {
    let mut text = String::from_utf8(own.private_key_to_pem_pkcs8()?)?;
    for each in chain {
        text += &String::from_utf8(each.to_pem()?)?;
    }
    Ok(text)
}

pub async fn import_pem(world: &World) -> Result<()> {
    let (certificates, authority, name) = (Certificates::of(world, 0)?, Authority::new()?, fresh("pem"));
    let own = ec_key(Nid::SECP384R1)?;
    let leaf = authority.made_elsewhere(&own)?;
    let text = pem_of(&own, &[&leaf, &authority.certificate])?;
    let key = KeyProperties {
        key_type: Some(KeyType::Ec),
        curve: Some(CurveName::P384),
        exportable: Some(true),
        ..Default::default()
    };
    let how = CertificatePolicy { key_properties: Some(key), ..kept_as(PEM, policy_of("Unknown", "")) };
    let how = CertificatePolicy { x509_certificate_properties: None, ..how };
    let file = Import { text, policy: Some(how), ..Default::default() };
    let imported = import(&certificates, &name, file).await?;
    equal(certificate_of(&imported)?, leaf.to_der()?)?;
    equal(imported.content_type.as_deref(), Some(PEM))?;
    signs_as(world, &name, "ES384").await
}

/// The key of this name signs, and the signature is good.
async fn signs_as(world: &World, name: &str, algorithm: &str) -> Result<()> {
    let keys = Keys::of(world, 0)?;
    let key = keys.get(name, None).await?;
    verified_elsewhere(jwk(&key)?, algorithm, &sign(&keys, &key, algorithm).await?)
}

pub async fn import_of_a_broken_file_is_refused(world: &World) -> Result<()> {
    let certificates = Certificates::of(world, 0)?;
    let (own, other) = (ec_key(Nid::X9_62_PRIME256V1)?, ec_key(Nid::X9_62_PRIME256V1)?);
    let leaf = Authority::new()?.made_elsewhere(&own)?;
    let in_pem = |text| Import { text, policy: Some(kept_as(PEM, policy())), ..Default::default() };
    for file in [
        Import { text: BASE64_STANDARD.encode("not a certificate at all"), ..Default::default() },
        Import { text: sealed(&own, &leaf, &[], "right")?, password: Some("wrong"), ..Default::default() },
        // Without a key, and with the key of another.
        in_pem(String::from_utf8(leaf.to_pem()?)?),
        in_pem(pem_of(&other, &[&leaf])?),
    ] {
        let name = fresh("broken");
        refused(import(&certificates, &name, file).await, 400, &["BadParameter"])?;
        refused(certificates.get(&name, None).await, 404, &["CertificateNotFound"])?;
    }
    Ok(())
}

async fn merge(certificates: &Certificates, name: &str, chain: Vec<Vec<u8>>) -> Result<Certificate> {
    let wanted = MergeCertificateParameters {
        tags: tags(&[("by", "somebody else")]),
        x509_certificates: Some(chain),
        ..Default::default()
    };
    Ok(certificates.0.merge_certificate(name, wanted.try_into()?, None).await?.into_model()?)
}

async fn status(certificates: &Certificates, name: &str) -> Result<String> {
    certificates.operation(name).await?.status.context("no status")
}

pub async fn request_and_merge(world: &World) -> Result<()> {
    let (certificates, authority, name) = (Certificates::of(world, 0)?, Authority::new()?, fresh("merge"));
    let operation = certificates.begin(&name, policy_of("Unknown", "CN=merged.example")).await?;
    equal(operation.status.as_deref(), Some("inProgress"))?;
    let request = X509Req::from_der(&operation.csr.context("no request")?)?;
    let public = request.public_key()?;
    ensure!(request.verify(&public)?, "the request is not signed by its key");
    equal(request.subject_name().to_der()?, named("merged.example")?.to_der()?)?;
    let leaf = authority.issue(&public, request.subject_name())?.to_der()?;
    let chain = vec![leaf.clone(), authority.certificate.to_der()?];
    let merged = merge(&certificates, &name, chain.clone()).await?;
    equal((certificate_of(&merged)?, merged.tags), (leaf, tags(&[("by", "somebody else")])))?;
    equal(status(&certificates, &name).await?.as_str(), "completed")?;
    let found = Bundle::of_pkcs12(&value(&world.client(0)?, &name).await?)?;
    equal(found.ders()?, chain)?;
    found.belongs_together()
}

pub async fn merge_of_another_key_is_refused(world: &World) -> Result<()> {
    let (certificates, name) = (Certificates::of(world, 0)?, fresh("another"));
    certificates.begin(&name, policy_of("Unknown", "CN=merged.example")).await?;
    let leaf = Authority::new()?.made_elsewhere(&ec_key(Nid::X9_62_PRIME256V1)?)?;
    refused(merge(&certificates, &name, vec![leaf.to_der()?]).await, 400, &["BadParameter"])?;
    equal(status(&certificates, &name).await?.as_str(), "inProgress")
}

pub async fn operation_cancelled_and_deleted(world: &World) -> Result<()> {
    let (certificates, name) = (Certificates::of(world, 0)?, fresh("cancel"));
    certificates.begin(&name, policy_of("Unknown", "CN=cancelled.example")).await?;
    // There is one operation at a time.
    refused(certificates.begin(&name, policy()).await, 409, &["Conflict"])?;
    let cancel = UpdateCertificateOperationParameter { cancellation_requested: Some(true) };
    let answer = certificates.0.update_certificate_operation(&name, cancel.try_into()?, None).await?;
    equal(answer.into_model()?.cancellation_requested, Some(true))?;
    equal(status(&certificates, &name).await?.as_str(), "cancelled")?;
    let deleted = certificates.0.delete_certificate_operation(&name, None).await?.into_model()?;
    equal(deleted.status.as_deref(), Some("cancelled"))?;
    let absent = &["PendingCertificateNotFound"];
    refused(status(&certificates, &name).await, 404, absent)?;
    let again = certificates.0.delete_certificate_operation(&name, None).await;
    refused(again.map_err(Into::into), 404, absent)?;
    certificate_of(&certificates.create(&name, policy()).await?).map(drop)
}

pub async fn secret_as_pkcs12(world: &World) -> Result<()> {
    let name = fresh("pfx");
    let made = Certificates::of(world, 0)?.create(&name, plain("Self", "CN=conformance.example")).await?;
    let secret = get(&world.client(0)?, &name).await?;
    equal((secret.content_type.as_deref(), &secret.kid, &secret.id), (Some(PKCS12), &made.kid, &made.sid))?;
    let found = Bundle::of_pkcs12(&secret.value.context("no value")?)?;
    equal(found.ders()?, vec![certificate_of(&made)?])?;
    found.belongs_together()
}

pub async fn secret_as_pem(world: &World) -> Result<()> {
    let name = fresh("pem");
    let made = Certificates::of(world, 0)?.create(&name, kept_as(PEM, policy())).await?;
    let secret = get(&world.client(0)?, &name).await?;
    equal(secret.content_type.as_deref(), Some(PEM))?;
    let found = Bundle::of_pem(&secret.value.context("no value")?)?;
    equal(found.ders()?, vec![certificate_of(&made)?])?;
    found.belongs_together()
}

pub async fn key_signs(world: &World) -> Result<()> {
    let name = fresh("signs");
    let made = Certificates::of(world, 0)?.create(&name, policy()).await?;
    let key = Keys::of(world, 0)?.get(&name, None).await?;
    equal((&jwk(&key)?.kid, key.managed), (&made.kid, Some(true)))?;
    let (x, y) = (jwk(&key)?.x.clone().context("no x")?, jwk(&key)?.y.clone().context("no y")?);
    // The end of what is certified is the point.
    let public = opened(&made)?.public_key()?.public_key_to_der()?;
    ensure!(public.ends_with(&[x, y].concat()), "the key of another certificate");
    signs_as(world, &name, "ES256").await
}

pub async fn key_that_stays(world: &World) -> Result<()> {
    for content_type in [PEM, PKCS12] {
        let name = fresh("stays");
        let how = kept_as(content_type, policy());
        let key = KeyProperties { exportable: Some(false), ..how.key_properties.clone().unwrap_or_default() };
        let how = CertificatePolicy { key_properties: Some(key), ..how };
        let made = Certificates::of(world, 0)?.create(&name, how).await?;
        let text = value(&world.client(0)?, &name).await?;
        let found = if content_type == PEM { Bundle::of_pem(&text)? } else { Bundle::of_pkcs12(&text)? };
        ensure!(found.key.is_none(), "the private key is given out");
        equal(found.ders()?, vec![certificate_of(&made)?])?;
        signs_as(world, &name, "ES256").await?;
    }
    Ok(())
}

pub async fn key_and_secret_are_managed(world: &World) -> Result<()> {
    let (certificates, name) = (Certificates::of(world, 0)?, fresh("managed"));
    let made = certificates.create(&name, policy()).await?;
    let (secrets, keys, no) = (world.client(0)?, Keys::of(world, 0)?, &["Forbidden"]);
    refused(set(&secrets, &name, "other").await, 403, no)?;
    refused(secrets.delete_secret(&name, None).await.map_err(Into::into), 403, no)?;
    refused(keys.delete(&name).await, 403, no)?;
    refused(keys.rotate(&name).await, 403, no)?;
    equal(certificates.get(&name, None).await?.cer, made.cer)
}

pub async fn issuers(world: &World) -> Result<()> {
    let (certificates, name) = (Certificates::of(world, 1)?, fresh("issuer"));
    let client = &certificates.0;
    let text = |text: &str| Some(text.to_owned());
    let contact = AdministratorContact {
        first_name: text("First"),
        last_name: text("Last"),
        email: text("admin@example.test"),
        phone: text("555"),
    };
    let wanted = SetIssuerParameters {
        provider: text("Test"),
        credentials: Some(IssuerCredentials {
            account_id: text("account"),
            password: text("of the account"),
        }),
        organization_details: Some(OrganizationDetails {
            id: text("one"),
            admin_contacts: Some(vec![contact]),
        }),
        ..Default::default()
    };
    let made = client.set_issuer(&name, wanted.try_into()?, None).await?.into_model()?;
    let id = format!("{}/certificates/issuers/{name}", world.vault_url(1));
    equal((made.id.as_deref(), made.provider.as_deref()), (Some(id.as_str()), Some("Test")))?;
    let read = client.get_issuer(&name, None).await?.into_model()?;
    let credentials = read.credentials.context("no credentials")?;
    equal((read.provider.as_deref(), credentials.account_id.as_deref()), (Some("Test"), Some("account")))?;
    ensure!(credentials.password.is_none(), "an issuer's password is shown");
    equal(read.attributes.and_then(|attributes| attributes.enabled), Some(true))?;
    let organization = read.organization_details.context("no organization")?;
    equal(organization.id.as_deref(), Some("one"))?;
    let people = organization.admin_contacts.unwrap_or_default();
    let shown: Vec<_> = people
        .into_iter()
        .map(|each| [each.first_name, each.last_name, each.email, each.phone].map(Option::unwrap_or_default))
        .collect();
    equal(shown, vec![["First", "Last", "admin@example.test", "555"].map(str::to_owned)])?;
    let mut listed = client.list_issuer_properties(None)?;
    let mut found = false;
    while let Some(item) = listed.try_next().await? {
        found |= item.id.as_deref() == Some(&id) && item.provider.as_deref() == Some("Test");
    }
    ensure!(found, "it is not listed");
    let wanted = UpdateIssuerParameters {
        attributes: Some(IssuerAttributes { enabled: Some(false), ..Default::default() }),
        credentials: Some(IssuerCredentials { account_id: text("other"), ..Default::default() }),
        ..Default::default()
    };
    let changed = client.update_issuer(&name, wanted.try_into()?, None).await?.into_model()?;
    equal(changed.attributes.and_then(|attributes| attributes.enabled), Some(false))?;
    equal(changed.credentials.and_then(|credentials| credentials.account_id).as_deref(), Some("other"))?;
    equal(changed.provider.as_deref(), Some("Test"))?;
    equal(client.delete_issuer(&name, None).await?.into_model()?.id.as_deref(), Some(id.as_str()))?;
    let absent = &["CertificateIssuerNotFound"];
    refused(client.get_issuer(&name, None).await.map_err(Into::into), 404, absent)?;
    refused(client.delete_issuer(&name, None).await.map_err(Into::into), 404, absent)
}

pub async fn contacts(world: &World) -> Result<()> {
    let certificates = Certificates::of(world, 1)?;
    let client = &certificates.0;
    let text = |text: &str| Some(text.to_owned());
    let people = vec![
        Contact { email: text("one@example.test"), name: text("One"), phone: text("1") },
        Contact { email: text("two@example.test"), ..Default::default() },
    ];
    let told = |contacts: Contacts| {
        let people = contacts.contact_list.unwrap_or_default().into_iter();
        people.map(|each| (each.email, each.name, each.phone)).collect::<Vec<_>>()
    };
    let wanted = Contacts { contact_list: Some(people), ..Default::default() };
    let expected = told(wanted.clone());
    equal(told(client.set_contacts(wanted.try_into()?, None).await?.into_model()?), expected.clone())?;
    equal(told(client.get_contacts(None).await?.into_model()?), expected.clone())?;
    equal(told(client.delete_contacts(None).await?.into_model()?), expected)?;
    refused(client.get_contacts(None).await.map_err(Into::into), 404, &["ContactsNotFound"])
}

fn issued_by(issuer: &str, name: &str) -> CertificatePolicy {
    let names = SubjectAlternativeNames { dns_names: Some(vec![name.to_owned()]), ..Default::default() };
    let wanted = X509CertificateProperties {
        subject: Some(format!("CN={name}")),
        subject_alternative_names: Some(names),
        validity_in_months: Some(1),
        ..Default::default()
    };
    CertificatePolicy { x509_certificate_properties: Some(wanted), ..kept_as(PEM, policy_of(issuer, "")) }
}

pub async fn private_authority(world: &World) -> Result<()> {
    let (certificates, issuer, name) = (Certificates::of(world, 1)?, fresh("authority"), fresh("issued"));
    let credentials =
        IssuerCredentials { account_id: Some("example.test days:90".to_owned()), ..Default::default() };
    let wanted = SetIssuerParameters {
        provider: Some("Vouchsafe".to_owned()),
        credentials: Some(credentials),
        ..Default::default()
    };
    certificates.0.set_issuer(&issuer, wanted.try_into()?, None).await?;
    let made = certificates.create(&name, issued_by(&issuer, "one.example.test")).await?;
    let found = Bundle::of_pem(&value(&world.client(1)?, &name).await?)?;
    found.belongs_together()?;
    let [leaf, above] = found.chain.as_slice() else { anyhow::bail!("{} certificates", found.chain.len()) };
    equal(leaf.to_der()?, certificate_of(&made)?)?;
    ensure!(leaf.verify(&*above.public_key()?)?, "signed by another");
    equal(above.issued(leaf), X509VerifyResult::OK)?;
    // What the authority may not certify it does not.
    let outside = fresh("outside");
    let mut operation = certificates.begin(&outside, issued_by(&issuer, "elsewhere.test")).await?;
    while operation.status.as_deref() == Some("inProgress") {
        operation = certificates.operation(&outside).await?;
    }
    ensure!(operation.error.is_some(), "nothing is said of why");
    equal(operation.status.as_deref(), Some("failed"))
}

pub async fn without_a_role(world: &World) -> Result<()> {
    let (certificates, name) = (Certificates::of(world, 0)?, fresh("absent"));
    let stranger = world.identity("stranger")?;
    let no = |result: Result<()>, action: &str| {
        let action = format!("{ACTION}{action}");
        let said = ["Forbidden", "ForbiddenByRbac", &action, &stranger.client_id, &stranger.principal_id];
        refused(result, 403, &said)
    };
    no(certificates.get(&name, None).await.map(drop), "certificates/read")?;
    no(certificates.names(false).await.map(drop), "certificates/read")?;
    no(certificates.begin(&name, policy()).await.map(drop), "certificates/create/action")?;
    no(certificates.delete(&name).await, "certificates/delete")?;
    no(certificates.purge(&name).await, "certificates/purge/action")?;
    let wanted = SetIssuerParameters { provider: Some("Test".to_owned()), ..Default::default() };
    let set = certificates.0.set_issuer(&name, wanted.try_into()?, None).await;
    no(set.map(drop).map_err(Into::into), "certificatecas/write")?;
    let deleted = certificates.0.delete_contacts(None).await;
    no(deleted.map(drop).map_err(Into::into), "certificatecontacts/write")
}

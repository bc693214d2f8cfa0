//! A vault with certificates in it.

use std::sync::Arc;
use std::time::Duration;

use vouchsafe_crypto::keys::{KeyFamily, KeySpec};
use vouchsafe_crypto::{Reason, SecretString};
use vouchsafe_domain::Platform;
use vouchsafe_domain::access::caller::Caller;
use vouchsafe_domain::ids::{ObjectName, ObjectVersion, VaultName};
use vouchsafe_domain::ports::CertificateIssuer;
use vouchsafe_domain::ports::store::{Key, Kind, Partition};
use vouchsafe_domain::resource::{Vault, VaultToPut};
use vouchsafe_domain::vault::certificate::{
    CertificateAttributes, CertificateToCreate, CertificateVersion, IssuerChoice, IssuerName, IssuerPatch,
    LifetimeAction, LifetimeActionType, PendingCertificate, PendingStatus, PolicyPatch, Provider,
    ReadCertificate, Trigger,
};
use vouchsafe_domain::vault::{Attributes, Error, SecretToSet};
use vouchsafe_testkit::world::{InMemory, Opened};

pub const DAY: Duration = Duration::from_secs(86_400);

pub struct House {
    pub memory: InMemory,
    pub opened: Opened,
    pub caller: Caller,
    pub vault: Arc<Vault>,
}

pub fn object(name: &str) -> ObjectName {
    ObjectName::parse(name).expect("a name")
}

pub fn issuer_name(name: &str) -> IssuerName {
    IssuerName::parse(name).expect("a name")
}

/// A policy for a key that is made quickly.
pub fn quick(issuer: IssuerChoice) -> PolicyPatch {
    PolicyPatch {
        key_type: Some((KeyFamily::Ec, false)),
        curve: Some(KeySpec::P256),
        subject: Some("CN=app.example.test".to_owned()),
        content_type: Some("application/x-pem-file".to_owned()),
        issuer: Some(issuer),
        ..PolicyPatch::default()
    }
}

pub fn itself() -> PolicyPatch {
    quick(IssuerChoice::Itself)
}

pub fn unknown() -> PolicyPatch {
    quick(IssuerChoice::Unknown)
}

pub fn by(issuer: &str) -> PolicyPatch {
    quick(IssuerChoice::parse(issuer).expect("an issuer"))
}

pub fn renews_at(percent: u32) -> Option<Vec<LifetimeAction>> {
    let trigger = Trigger::LifetimePercentage(percent);
    Some(vec![LifetimeAction { trigger, action: LifetimeActionType::AutoRenew }])
}

pub fn to_create(policy: PolicyPatch) -> CertificateToCreate {
    CertificateToCreate { policy: Some(policy), ..CertificateToCreate::default() }
}

pub fn to_set(value: &str) -> SecretToSet {
    SecretToSet { value: SecretString::new(value.to_owned()), attributes: Attributes::default() }
}

impl House {
    pub async fn new(seed: u64) -> Self {
        let memory = InMemory::found(seed).await;
        let opened = memory.open().await;
        let vault = opened.put_vault(memory.home, "app", &VaultToPut::default()).await;
        let caller = opened.administrator(memory.home);
        Self { memory, opened, caller, vault }
    }

    pub fn platform(&self) -> &Platform {
        &self.opened.platform
    }

    pub fn at(&self) -> &VaultName {
        &self.vault.name
    }

    pub fn partition(&self) -> Partition {
        Partition::Vault(self.memory.home, self.vault.id)
    }

    pub fn forward(&self, by: Duration) {
        self.opened.clock.forward(by);
    }

    /// Starts again over what the store has.
    pub async fn restart(&mut self) {
        self.memory.log.crash();
        self.opened = self.memory.open().await;
    }

    /// Starts again, connected with an issuer outside.
    pub async fn connect(&mut self, issuer: Arc<dyn CertificateIssuer>) {
        let memory = InMemory::found(0).await;
        let platform = std::mem::replace(&mut self.opened.platform, memory.open().await.platform);
        let platform = Arc::into_inner(platform).expect("nobody else has it");
        self.opened.platform = Arc::new(platform.with_certificate_issuers(vec![issuer]));
    }

    pub async fn begin(&self, name: &str, policy: PolicyPatch) -> Result<PendingCertificate, Error> {
        self.begin_with(name, &to_create(policy)).await
    }

    pub async fn begin_with(
        &self,
        name: &str,
        wanted: &CertificateToCreate,
    ) -> Result<PendingCertificate, Error> {
        let (context, name) = (self.opened.context(), object(name));
        let made = self.platform().create_certificate(&context, &self.caller, self.at(), &name, wanted).await;
        made.map(|(_, pending, _)| pending)
    }

    pub async fn poll(&self, name: &str) -> Result<PendingCertificate, Error> {
        let (context, name) = (self.opened.context(), object(name));
        let polled = self.platform().get_pending_certificate(&context, &self.caller, self.at(), &name).await;
        polled.map(|read| read.pending)
    }

    pub async fn get(&self, name: &str) -> Result<ReadCertificate, Error> {
        self.get_version(name, None).await
    }

    pub async fn get_version(
        &self,
        name: &str,
        version: Option<ObjectVersion>,
    ) -> Result<ReadCertificate, Error> {
        let (context, name) = (self.opened.context(), object(name));
        self.platform().get_certificate(&context, &self.caller, self.at(), &name, version).await
    }

    /// A certificate that is there.
    pub async fn make(&self, name: &str, policy: PolicyPatch) -> CertificateVersion {
        self.begin(name, policy).await.expect("an operation");
        let polled = self.poll(name).await.expect("an operation");
        assert_eq!(polled.status, PendingStatus::Completed);
        self.get(name).await.expect("a certificate").version
    }

    pub async fn secret(&self, name: &str, form: Option<&str>) -> Result<Vec<u8>, Error> {
        let (context, name) = (self.opened.context(), object(name));
        let read = self.platform().get_secret_as(&context, &self.caller, self.at(), &name, None, form).await;
        read.map(|read| read.into_value().expose(Reason::Test).to_vec())
    }

    pub async fn delete(&self, name: &str) -> Result<(), Error> {
        let (context, name) = (self.opened.context(), object(name));
        let done = self.platform().delete_certificate(&context, &self.caller, self.at(), &name).await;
        done.map(drop)
    }

    pub async fn recover(&self, name: &str) -> Result<(), Error> {
        let (context, name) = (self.opened.context(), object(name));
        let done = self.platform().recover_certificate(&context, &self.caller, self.at(), &name).await;
        done.map(drop)
    }

    pub async fn purge(&self, name: &str) -> Result<(), Error> {
        let (context, name) = (self.opened.context(), object(name));
        self.platform().purge_certificate(&context, &self.caller, self.at(), &name).await
    }

    pub async fn has_key(&self, name: &str) -> bool {
        let (context, name) = (self.opened.context(), object(name));
        self.platform().get_key(&context, &self.caller, self.at(), &name, None).await.is_ok()
    }

    pub async fn set_authority(&self, name: &str, rules: &str) -> Result<(), Error> {
        let wanted = IssuerPatch {
            provider: Some(Provider::Vouchsafe),
            account: Some(rules.to_owned()),
            ..IssuerPatch::default()
        };
        let (context, name) = (self.opened.context(), issuer_name(name));
        let done =
            self.platform().set_certificate_issuer(&context, &self.caller, self.at(), &name, &wanted).await;
        done.map(drop)
    }

    pub async fn jobs(&self) -> vouchsafe_domain::vault::certificate::CertificateJobs {
        self.platform().run_certificate_jobs(&self.opened.context()).await.expect("a tick")
    }

    /// Whether a key waits for its certificate.
    pub async fn key_waits(&self, name: &str) -> bool {
        use vouchsafe_domain::ports::Store as _;
        let place = Key::new(self.partition(), Kind::KeyMaterial, name);
        self.opened.store.get(&place).await.expect("a store").is_some()
    }

    /// The private key of a version as the store has it: what must not be found anywhere else.
    pub async fn material(&self, name: &str, version: ObjectVersion) -> Vec<u8> {
        use vouchsafe_domain::ports::Store as _;
        let place = Key::nested(self.partition(), Kind::KeyMaterial, name, version.to_string());
        let found = self.opened.store.get(&place).await.expect("a store").expect("a key");
        found.value.expose(Reason::Test).to_vec()
    }
}

/// Attributes with a label, to see them again.
pub fn labelled(value: &str) -> CertificateAttributes {
    let tags = [("made-for".to_owned(), value.to_owned())].into();
    CertificateAttributes { disabled: false, tags }
}

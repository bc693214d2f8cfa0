//! What entitles somebody to a token: values that only checking code can make.

use vouchsafe_crypto::digest;
use vouchsafe_crypto::jose::azure_assertion::VerifiedAssertion;
use vouchsafe_crypto::{Reason, SecretString};

use crate::audit::Subject;
use crate::directory::Application;
use crate::identity::{ManagedIdentity, Process};
use crate::ids::{ClientId, PrincipalId, TenantId};
use crate::time::Timestamp;

/// Proof that a principal of a tenant is who asks. There is no public constructor: each way of checking makes its own.
pub struct Evidence {
    tenant: TenantId,
    principal: PrincipalId,
    client: ClientId,
    how: How,
}

/// How the principal was recognised.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum How {
    /// By an assertion signed with a registered certificate.
    Certificate,
    /// By a client secret.
    Secret,
    /// By the node agent's attestation of a process.
    Workload,
    /// By the kernel, on the admin socket.
    Kernel,
}

impl How {
    /// The word in the audit log and in the token's `azpacr`-like meaning.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::Secret => "secret",
            Self::Workload => "workload",
            Self::Kernel => "kernel",
        }
    }

    /// The `azpacr` claim: 0 public, 1 client secret, 2 certificate or assertion.
    pub fn azpacr(self) -> &'static str {
        match self {
            Self::Secret => "1",
            Self::Certificate | Self::Workload | Self::Kernel => "2",
        }
    }
}

impl Evidence {
    /// The tenant.
    pub fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// The principal.
    pub fn principal(&self) -> PrincipalId {
        self.principal
    }

    /// The client id.
    pub fn client(&self) -> ClientId {
        self.client
    }

    /// How it was recognised.
    pub fn how(&self) -> How {
        self.how
    }

    /// For the audit log.
    pub fn subject(&self) -> Subject {
        Subject {
            tenant: Some(self.tenant.to_string()),
            oid: Some(self.principal.to_string()),
            appid: Some(self.client.to_string()),
            token: None,
            by: self.how.as_str().to_owned(),
        }
    }

    pub(super) fn by_certificate(
        tenant: TenantId,
        principal: PrincipalId,
        application: &Application,
        _: &VerifiedAssertion,
    ) -> Self {
        Self { tenant, principal, client: application.client, how: How::Certificate }
    }

    pub(super) fn by_secret(
        tenant: TenantId,
        principal: PrincipalId,
        application: &Application,
        presented: &SecretString,
        now: Timestamp,
    ) -> Option<Self> {
        let presented = digest::sha256(presented.expose(Reason::Cipher).as_bytes());
        // Every credential is compared, so that the time does not tell which one was near. The digests are of
        // 256 random bits: knowing a digest's prefix would not help anyone, but the rule has no exceptions.
        let matched = application.secrets.iter().fold(false, |found, credential| {
            let equal = subtle_eq(&credential.sha256, &presented);
            found | (equal && now < credential.expires)
        });
        matched.then_some(Self { tenant, principal, client: application.client, how: How::Secret })
    }

    pub(super) fn by_attestation(tenant: TenantId, identity: &ManagedIdentity, _: &Process) -> Self {
        Self { tenant, principal: identity.principal, client: identity.client, how: How::Workload }
    }

    pub(super) fn by_kernel(tenant: TenantId, administrator: PrincipalId) -> Self {
        Self { tenant, principal: administrator, client: ClientId(administrator.0), how: How::Kernel }
    }
}

fn subtle_eq(left: &[u8; 32], right: &[u8; 32]) -> bool {
    vouchsafe_crypto::SecretBytes::new(left.to_vec()).matches(right)
}

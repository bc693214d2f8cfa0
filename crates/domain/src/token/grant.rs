//! Grants: from a request to a token. The use cases of the token service.

use std::sync::Arc;

use vouchsafe_crypto::SecretString;
use vouchsafe_crypto::jose::azure_assertion::{self, AssertionRefused};

use super::audience::Audience;
use super::evidence::Evidence;
use super::issue::{IssuedToken, Particulars, issue};
use crate::access::caller::Caller;
use crate::audit::{Entry, Outcome, Subject};
use crate::directory::Application;
use crate::error::Fault;
use crate::identity::{Process, Requested, Unmatched, select};
use crate::ids::{ClientId, PrincipalId};
use crate::limits;
use crate::platform::{Context, Platform};
use crate::world::TenantSnapshot;

/// How a client says who it is.
pub enum ClientAuthentication {
    /// A signed assertion (RFC 7523 §2.2).
    Assertion(SecretString),
    /// A client secret (RFC 6749 §2.3.1).
    Secret(SecretString),
}

/// A `client_credentials` request (RFC 6749 §4.4).
pub struct GrantRequest {
    /// The tenant as the path names it.
    pub tenant: String,
    /// The `client_id` as given.
    pub client_id: String,
    /// How the client says who it is.
    pub authentication: ClientAuthentication,
    /// The resource asked for.
    pub resource: String,
    /// The origin under which the client reached us.
    pub origin: String,
    /// Whether the client understands claims challenges.
    pub client_capability_cp1: bool,
}

/// A node agent's request for a process it attested.
pub struct NodeGrant {
    /// What the agent saw.
    pub process: Process,
    /// Which identity the process asks for.
    pub requested: Requested,
    /// The resource asked for.
    pub resource: String,
}

/// A managed identity's token.
pub struct NodeToken {
    /// The token.
    pub token: IssuedToken,
    /// The client id of the identity.
    pub client: ClientId,
}

/// Why no token was issued.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// AADSTS90002.
    #[error("tenant `{0}` not found; check that you use the correct tenant id")]
    TenantUnknown(String),
    /// AADSTS700016.
    #[error(
        "application with identifier `{0}` was not found in the directory; it may not be registered in this tenant"
    )]
    ClientUnknown(String),
    /// AADSTS7000112.
    #[error("application `{0}` is disabled")]
    ClientDisabled(String),
    /// AADSTS7000215.
    #[error(
        "invalid client secret provided; send the secret's value, not its id, and check that it has not expired"
    )]
    BadSecret,
    /// AADSTS700027.
    #[error(
        "the certificate with thumbprint {presented} is not registered for the application `{client}`, or its signature is not valid"
    )]
    AssertionSignature {
        /// The application.
        client: String,
        /// What the assertion's header names.
        presented: String,
    },
    /// AADSTS700024.
    #[error("the client assertion is not within its valid time range; check the clock of the client")]
    AssertionTime,
    /// AADSTS50027.
    #[error("the client assertion is not acceptable: {0}")]
    AssertionMalformed(String),
    /// AADSTS500011.
    #[error("the resource principal named `{0}` was not found in the tenant")]
    ResourceUnknown(String),
    /// AADSTS70011.
    #[error("the scope `{0}` is not valid; ask for one resource, as in `https://vault.azure.net/.default`")]
    BadScope(String),
    /// A process is nobody here.
    #[error(
        "no managed identity is bound to the process with {seen}; bind one with a selector, or start the process with `vouchsafe run --identity NAME`"
    )]
    NoIdentity {
        /// What the agent saw.
        seen: String,
    },
    /// A process may be several identities and did not choose.
    #[error(
        "several managed identities are bound to the process with {seen}; ask for one by client_id: {among}"
    )]
    AmbiguousIdentity {
        /// What the agent saw.
        seen: String,
        /// Their ARM ids.
        among: String,
    },
    /// Not the caller's fault.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl Error {
    fn reason(&self) -> &'static str {
        match self {
            Self::TenantUnknown(_) => "tenant_unknown",
            Self::ClientUnknown(_) => "client_unknown",
            Self::ClientDisabled(_) => "client_disabled",
            Self::BadSecret => "bad_secret",
            Self::AssertionSignature { .. } => "assertion_signature",
            Self::AssertionTime => "assertion_time",
            Self::AssertionMalformed(_) => "assertion_malformed",
            Self::ResourceUnknown(_) => "resource_unknown",
            Self::BadScope(_) => "bad_scope",
            Self::NoIdentity { .. } => "no_identity",
            Self::AmbiguousIdentity { .. } => "ambiguous_identity",
            Self::Fault(_) => "fault",
        }
    }
}

const ACTION: &str = "Vouchsafe.Token/grant";

impl Platform {
    /// Grants a token to a client that proves who it is.
    pub async fn grant_client_credentials(
        &self,
        context: &Context,
        request: &GrantRequest,
    ) -> Result<IssuedToken, Error> {
        let attempted = self.authenticate_client(context, request);
        match attempted {
            Ok((tenant, evidence, audience)) => {
                let entry =
                    Entry::new(context.request, evidence.subject(), ACTION, &audience.name, context.now);
                self.issue_recorded(
                    context,
                    &tenant,
                    &evidence,
                    audience,
                    entry,
                    request.client_capability_cp1,
                    &request.origin,
                    None,
                )
                .await
            }
            Err(error) => {
                // Only what parses as an id is recorded: a client may put anything into the fields.
                let known = ClientId::parse(&request.client_id).ok().map(|client| client.to_string());
                let subject = Subject { appid: known, by: "none".to_owned(), ..Subject::default() };
                self.record_failure(context, subject, None, error).await
            }
        }
    }

    /// Grants a token to a process that a node agent attested.
    pub async fn grant_workload(&self, context: &Context, grant: &NodeGrant) -> Result<NodeToken, Error> {
        let process = format!("pid {} {}", grant.process.pid, grant.process);
        let chosen = self.choose_identity(grant);
        let (tenant, identity, resource_id) = match chosen {
            Ok(chosen) => chosen,
            Err(error) => {
                let subject = Subject { by: "workload".to_owned(), ..Subject::default() };
                return self.record_failure(context, subject, Some(process), error).await;
            }
        };
        let evidence = Evidence::by_attestation(tenant.tenant().id, &identity, &grant.process);
        let Some(audience) = self.settings().services.resolve(&tenant, &grant.resource) else {
            let error = Error::ResourceUnknown(grant.resource.clone());
            return self.record_failure(context, evidence.subject(), Some(process), error).await;
        };
        let mut entry = Entry::new(context.request, evidence.subject(), ACTION, &audience.name, context.now);
        entry.process = Some(process);
        let origin = self.settings().origin().to_owned();
        let token = self
            .issue_recorded(context, &tenant, &evidence, audience, entry, true, &origin, Some(&resource_id))
            .await?;
        Ok(NodeToken { token, client: identity.client })
    }

    /// Grants a token to the administrator whom the kernel vouches for on the admin socket.
    pub async fn grant_local_administrator(
        &self,
        context: &Context,
        tenant: &TenantSnapshot,
        resource: &str,
    ) -> Result<IssuedToken, Error> {
        let evidence = Evidence::by_kernel(tenant.tenant().id, tenant.tenant().local_administrator);
        let Some(audience) = self.settings().services.resolve(tenant, resource) else {
            let error = Error::ResourceUnknown(resource.to_owned());
            return self.record_failure(context, evidence.subject(), None, error).await;
        };
        let mut entry = Entry::new(context.request, evidence.subject(), ACTION, &audience.name, context.now);
        entry.from = context.from.clone();
        let origin = self.settings().origin().to_owned();
        self.issue_recorded(context, tenant, &evidence, audience, entry, true, &origin, None).await
    }

    /// The caller that the kernel vouches for on the admin socket.
    pub fn local_administrator(&self, tenant: &TenantSnapshot) -> Caller {
        let principal = tenant.tenant().local_administrator;
        Caller::from_verified(crate::access::caller::Subject {
            tenant: tenant.tenant().id,
            principal,
            client: None,
            issuer: "kernel".to_owned(),
            token_id: None,
        })
    }

    #[expect(clippy::too_many_arguments, reason = "the one path to the signer names everything it binds")]
    async fn issue_recorded(
        &self,
        context: &Context,
        tenant: &TenantSnapshot,
        evidence: &Evidence,
        audience: Audience,
        mut entry: Entry,
        client_capability_cp1: bool,
        origin: &str,
        resource_id: Option<&str>,
    ) -> Result<IssuedToken, Error> {
        let now = match context.for_issuing() {
            Ok(now) => now,
            Err(fault) => {
                return self.record_failure(context, entry.subject, entry.process, fault.into()).await;
            }
        };
        let token_id = self.token_id();
        entry.from = context.from.clone();
        entry.subject.token = Some(token_id.clone());
        let recorded = self.trail.record(entry.outcome(Outcome::Done, None)).await?;
        let particulars = Particulars { origin, token_id: &token_id, client_capability_cp1, resource_id };
        Ok(issue(evidence, tenant, audience, &particulars, &recorded, now)?)
    }

    async fn record_failure<T>(
        &self,
        context: &Context,
        subject: Subject,
        process: Option<String>,
        error: Error,
    ) -> Result<T, Error> {
        let mut entry = Entry::new(context.request, subject, ACTION, "", context.now);
        entry.from = context.from.clone();
        entry.process = process;
        let outcome = if matches!(error, Error::Fault(_)) { Outcome::Failed } else { Outcome::Denied };
        self.trail.record(entry.outcome(outcome, Some(error.reason()))).await?;
        Err(error)
    }

    fn token_id(&self) -> String {
        let mut bytes = [0; 16];
        self.entropy.fill(&mut bytes);
        data_encoding::BASE64URL_NOPAD.encode(&bytes)
    }

    fn authenticate_client(
        &self,
        context: &Context,
        request: &GrantRequest,
    ) -> Result<(Arc<TenantSnapshot>, Evidence, Audience), Error> {
        let tenant = self
            .world()
            .tenant_named(&request.tenant)
            .ok_or_else(|| Error::TenantUnknown(request.tenant.clone()))?;
        let unknown = || Error::ClientUnknown(request.client_id.clone());
        let client = ClientId::parse(&request.client_id).map_err(|_| unknown())?;
        let application = tenant.application(client).ok_or_else(unknown)?;
        let principal = tenant.service_principal(client).ok_or_else(unknown)?;
        let evidence = match &request.authentication {
            ClientAuthentication::Assertion(assertion) => {
                self.check_assertion(context, request, &tenant, &application, principal.id, assertion)?
            }
            ClientAuthentication::Secret(secret) => {
                Evidence::by_secret(tenant.tenant().id, principal.id, &application, secret, context.now)
                    .ok_or(Error::BadSecret)?
            }
        };
        // Checked after the credential: a stranger must not learn which applications are disabled.
        if principal.disabled {
            return Err(Error::ClientDisabled(request.client_id.clone()));
        }
        let audience = self.settings().services.resolve(&tenant, &request.resource);
        let audience = audience.ok_or_else(|| Error::ResourceUnknown(request.resource.clone()))?;
        Ok((tenant, evidence, audience))
    }

    fn check_assertion(
        &self,
        context: &Context,
        request: &GrantRequest,
        tenant: &TenantSnapshot,
        application: &Application,
        principal: PrincipalId,
        assertion: &SecretString,
    ) -> Result<Evidence, Error> {
        let credentials: Vec<_> = application
            .certificates
            .iter()
            .filter(|credential| credential.is_valid_at(context.now))
            .map(|credential| azure_assertion::Credential {
                sha1: credential.certificate.sha1(),
                sha256: credential.certificate.sha256(),
                key: &credential.key,
            })
            .collect();
        let client_id = application.client.to_string();
        let audience = |presented: &str| self.is_token_endpoint(presented, &request.tenant, tenant);
        let expected = azure_assertion::ExpectedAssertion {
            client_id: &client_id,
            audience: &audience,
            now_seconds: context.now.seconds(),
            skew_seconds: limits::ASSERTION_SKEW.as_secs(),
            lifetime_max_seconds: limits::ASSERTION_LIFETIME_MAX.as_secs(),
        };
        let assertion = assertion.expose(vouchsafe_crypto::Reason::Cipher).as_bytes();
        match azure_assertion::verify(assertion, &credentials, &expected) {
            Ok(verified) => {
                Ok(Evidence::by_certificate(tenant.tenant().id, principal, application, &verified))
            }
            Err(AssertionRefused::UnknownCredential { presented }) => {
                Err(Error::AssertionSignature { client: client_id, presented })
            }
            Err(AssertionRefused::Signature) => {
                Err(Error::AssertionSignature { client: client_id, presented: "in the assertion".to_owned() })
            }
            Err(AssertionRefused::TimeRange) => Err(Error::AssertionTime),
            Err(other) => Err(Error::AssertionMalformed(other.to_string())),
        }
    }

    /// Whether an assertion's `aud` is this tenant's token endpoint or issuer, under any of our names.
    fn is_token_endpoint(&self, presented: &str, tenant_as_asked: &str, tenant: &TenantSnapshot) -> bool {
        let id = tenant.tenant().id.to_string();
        let names = [id.as_str(), tenant.tenant().domain.as_str(), tenant_as_asked];
        let paths = ["oauth2/v2.0/token", "oauth2/token", "v2.0"];
        self.settings().origins.iter().any(|origin| {
            presented.strip_prefix(origin.as_str()).and_then(|rest| rest.strip_prefix('/')).is_some_and(
                |rest| {
                    names.iter().any(|name| {
                        rest.strip_prefix(name)
                            .and_then(|rest| rest.strip_prefix('/'))
                            .is_some_and(|path| paths.contains(&path))
                    })
                },
            )
        })
    }

    fn choose_identity(
        &self,
        grant: &NodeGrant,
    ) -> Result<(Arc<TenantSnapshot>, Arc<crate::identity::ManagedIdentity>, String), Error> {
        let world = self.world();
        let identities = world.tenants().flat_map(|tenant| {
            tenant
                .identities()
                .map(|identity| (&**identity, TenantSnapshot::identity_scope(identity).as_str().to_owned()))
        });
        let chosen = match select::select(identities, &grant.process, &grant.requested) {
            Ok(identity) => identity.principal,
            Err(Unmatched::Nothing) => return Err(Error::NoIdentity { seen: grant.process.to_string() }),
            Err(Unmatched::Ambiguous(among)) => {
                return Err(Error::AmbiguousIdentity {
                    seen: grant.process.to_string(),
                    among: among.join(", "),
                });
            }
        };
        world
            .tenants()
            .find_map(|tenant| {
                let identity = tenant.identity_by_principal(chosen)?;
                let scope = TenantSnapshot::identity_scope(&identity).as_str().to_owned();
                Some((tenant.clone(), identity, scope))
            })
            .ok_or_else(|| Error::NoIdentity { seen: grant.process.to_string() })
    }
}

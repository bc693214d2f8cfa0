//! Desired state: one document, the same use cases as everybody else's, in the order in which things need one another.
//!
//! Idempotent: what is already so is left alone and reported as unchanged. Nothing is removed because a document does
//! not mention it. When something cannot be, what came before it stays done, and the report says how far it got.

use std::sync::Arc;

use vouchsafe_crypto::jose::JwkSet;
use vouchsafe_crypto::x509::Certificate;
use vouchsafe_domain::access::assignment::{NewAssignment, PrincipalType};
use vouchsafe_domain::access::pattern::ActionPattern;
use vouchsafe_domain::access::role::{Permission, RoleDefinition};
use vouchsafe_domain::directory::{ApplicationToPut, AttestationIssuer, TenantDomain, TenantToFound};
use vouchsafe_domain::identity::Binding;
use vouchsafe_domain::ids::{
    ClientId, IdentityName, ObjectName, PrincipalId, ResourceGroupName, RoleAssignmentId, RoleDefinitionId,
    SubscriptionId, TenantId, VaultName,
};
use vouchsafe_domain::resource::scope::Scope;
use vouchsafe_domain::resource::{Error, IdentityToPut, Put, Sku, VaultToPut};
use vouchsafe_domain::world::TenantSnapshot;
use vouchsafe_domain::{Context, Platform};
use vouchsafe_wire::admin::{self as wire, Action, ApplyReport, ApplyRequest, Change, Kind};
use vouchsafe_wire::json::{self, Budget};

use super::super::Request;
use super::super::app::App;
use super::super::problem::{Class, Problem};
use super::super::refusal::of_resource;
use super::super::reply::{Reply, Success};

const BODY: Budget = Budget::new(4 * 1024 * 1024).with_values_max(200_000);

pub(super) async fn apply(app: Arc<App>, mut request: Request) -> Result<Reply, Problem> {
    let body = request.body_up_to(BODY.bytes_max).await?;
    let asked: ApplyRequest = json::parse(&body, &BODY)
        .map_err(|error| Problem::new(Class::Invalid, "invalid_request", error.to_string()))?;
    let context = app.context(&request.head);
    // What the document does not say the tenant of belongs to the tenant that the administrator acts in.
    let home = request.admitted()?.tenant.tenant().id;
    let report = if asked.dry_run {
        run(&app.platform.rehearsal(), &context, home, &asked.state, true).await
    } else {
        run(&app.platform, &context, home, &asked.state, false).await
    };
    Ok(Reply::json(Success::Ok, &report?))
}

async fn run(
    platform: &Platform,
    context: &Context,
    home: TenantId,
    state: &wire::DesiredState,
    dry_run: bool,
) -> Result<ApplyReport, Problem> {
    let mut applying =
        Applying { platform, context, home, report: ApplyReport { dry_run, changes: Vec::new() } };
    applying.all(state).await?;
    Ok(applying.report)
}

struct Applying<'a> {
    platform: &'a Platform,
    context: &'a Context,
    home: TenantId,
    report: ApplyReport,
}

/// Names the member of the document that is wrong.
fn at(member: String) -> impl FnOnce(Error) -> Problem {
    move |error| {
        let problem = of_resource(error);
        let message = format!("{member}: {}", problem.message);
        Problem { message, ..problem }
    }
}

const fn sku(wanted: wire::Sku) -> Sku {
    match wanted {
        wire::Sku::Standard => Sku::Standard,
        wire::Sku::Premium => Sku::Premium,
    }
}

impl Applying<'_> {
    async fn all(&mut self, state: &wire::DesiredState) -> Result<(), Problem> {
        for (index, tenant) in state.tenants.iter().enumerate() {
            self.tenant(tenant).await.map_err(at(format!("tenants[{index}]")))?;
        }
        for (index, group) in state.groups.iter().enumerate() {
            self.group(group).await.map_err(at(format!("groups[{index}]")))?;
        }
        for (index, vault) in state.vaults.iter().enumerate() {
            self.vault(vault).await.map_err(at(format!("vaults[{index}]")))?;
        }
        for (index, identity) in state.identities.iter().enumerate() {
            self.identity(identity).await.map_err(at(format!("identities[{index}]")))?;
        }
        for (index, application) in state.applications.iter().enumerate() {
            self.application(application).await.map_err(at(format!("applications[{index}]")))?;
        }
        for (index, issuer) in state.attestation_issuers.iter().enumerate() {
            self.attestation_issuer(issuer).await.map_err(at(format!("attestation_issuers[{index}]")))?;
        }
        for (index, group) in state.principal_groups.iter().enumerate() {
            self.principal_group(group).await.map_err(at(format!("principal_groups[{index}]")))?;
        }
        for (index, role) in state.custom_roles.iter().enumerate() {
            self.role(role).await.map_err(at(format!("custom_roles[{index}]")))?;
        }
        for (index, assignment) in state.role_assignments.iter().enumerate() {
            self.assignment(assignment).await.map_err(at(format!("role_assignments[{index}]")))?;
        }
        Ok(())
    }

    fn note(&mut self, kind: Kind, name: &str, put: Put, details: Vec<String>) {
        let action = match put {
            Put::Created => Action::Created,
            Put::Updated => Action::Updated,
            Put::Unchanged => Action::Unchanged,
        };
        self.report.changes.push(Change { kind, name: name.to_owned(), action, details });
    }

    /// The tenant that a member belongs to: by display name, domain or id; the administrator's own if it does not say.
    fn in_tenant(&self, named: Option<&str>) -> Result<Arc<TenantSnapshot>, Error> {
        let world = self.platform.world();
        let found = match named {
            None => world.tenant(self.home),
            Some(named) => world
                .tenants()
                .find(|tenant| tenant.tenant().display_name == named)
                .cloned()
                .or_else(|| world.tenant_named(named)),
        };
        found.ok_or_else(|| Error::NotFound { kind: "tenant", name: named.unwrap_or("default").to_owned() })
    }

    fn subscription(tenant: &TenantSnapshot) -> Result<SubscriptionId, Error> {
        let mut all: Vec<_> = tenant.subscriptions().map(|subscription| subscription.id).collect();
        all.sort();
        all.first()
            .copied()
            .ok_or_else(|| Error::NotFound { kind: "subscription", name: "of the tenant".to_owned() })
    }

    async fn tenant(&mut self, wanted: &wire::Tenant) -> Result<(), Error> {
        let subscription = wanted.subscription.as_ref().and_then(|subscription| subscription.id.as_deref());
        let domain = match wanted.domains.first() {
            Some(domain) => TenantDomain::parse(domain)?,
            None => {
                TenantDomain::parse(&format!("{}.vouchsafe.localhost", wanted.name.to_ascii_lowercase()))?
            }
        };
        let to_found = TenantToFound {
            id: wanted.id.as_deref().map(TenantId::parse).transpose()?,
            display_name: wanted.name.clone(),
            domain,
            subscription: subscription.map(SubscriptionId::parse).transpose()?,
        };
        // Tenants are founded by the first one's administrator, whichever tenant the rest of the document is about.
        let first = self.platform.world().default_tenant();
        let first = first.ok_or_else(|| Error::NotFound { kind: "tenant", name: "default".to_owned() })?;
        let caller = self.platform.local_administrator(&first);
        let (put, tenant) = self.platform.found_tenant(self.context, &caller, &to_found).await?;
        self.note(Kind::Tenant, &wanted.name, put, vec![format!("id {}", tenant.id)]);
        Ok(())
    }

    async fn put_group(
        &mut self,
        tenant: &TenantSnapshot,
        name: &ResourceGroupName,
        location: Option<&str>,
        tags: &std::collections::BTreeMap<String, String>,
    ) -> Result<Put, Error> {
        let caller = self.platform.local_administrator(tenant);
        let (id, subscription) = (tenant.tenant().id, Self::subscription(tenant)?);
        let put =
            self.platform.put_resource_group(self.context, &caller, id, subscription, name, location, tags);
        Ok(put.await?.0)
    }

    async fn group(&mut self, wanted: &wire::Group) -> Result<(), Error> {
        let tenant = self.in_tenant(wanted.tenant.as_deref())?;
        let name = ResourceGroupName::parse(&wanted.name)?;
        let put = self.put_group(&tenant, &name, wanted.location.as_deref(), &wanted.tags).await?;
        self.note(Kind::ResourceGroup, &wanted.name, put, Vec::new());
        Ok(())
    }

    /// The group that something stands in. The default one is made when it is first needed; others must be said.
    async fn standing_in(&mut self, tenant: &TenantSnapshot, name: &str) -> Result<ResourceGroupName, Error> {
        let group = ResourceGroupName::parse(name)?;
        let missing = tenant.group(Self::subscription(tenant)?, &group).is_none();
        if missing && name == wire::DEFAULT_GROUP {
            let put = self.put_group(tenant, &group, None, &std::collections::BTreeMap::new()).await?;
            self.note(Kind::ResourceGroup, name, put, Vec::new());
        }
        Ok(group)
    }

    async fn vault(&mut self, wanted: &wire::Vault) -> Result<(), Error> {
        let tenant = self.in_tenant(wanted.tenant.as_deref())?;
        let name = VaultName::parse(&wanted.name)?;
        let group = self.standing_in(&tenant, &wanted.resource_group).await?;
        let to_put = VaultToPut {
            location: wanted.location.clone(),
            tags: wanted.tags.clone(),
            retention_days: Some(wanted.retention_days),
            purge_protection: Some(wanted.purge_protection),
            sku: wanted.sku.map(sku),
            recover: false,
        };
        let caller = self.platform.local_administrator(&tenant);
        let (id, subscription) = (tenant.tenant().id, Self::subscription(&tenant)?);
        let put = self.platform.put_vault(self.context, &caller, id, subscription, &group, &name, &to_put);
        let (put, _) = put.await?;
        self.note(Kind::Vault, &wanted.name, put, Vec::new());
        Ok(())
    }

    async fn identity(&mut self, wanted: &wire::Identity) -> Result<(), Error> {
        let tenant = self.in_tenant(wanted.tenant.as_deref())?;
        let name = IdentityName::parse(&wanted.name)?;
        let group = self.standing_in(&tenant, &wanted.resource_group).await?;
        let bindings = wanted.bindings.iter().map(|binding| {
            let sha256 = binding.sha256.as_deref().map(|text| {
                let digest = data_encoding::HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok();
                digest
                    .and_then(|digest| digest.try_into().ok())
                    .ok_or_else(|| Error::Invalid("sha256 must be 64 hexadecimal digits".to_owned()))
            });
            let (path, unit) = (binding.path.clone(), binding.unit.clone());
            Ok(Binding { uid: binding.uid, gid: binding.gid, path, sha256: sha256.transpose()?, unit })
        });
        let to_put = IdentityToPut {
            location: wanted.location.clone(),
            tags: wanted.tags.clone(),
            bindings: Some(bindings.collect::<Result<_, Error>>()?),
        };
        let caller = self.platform.local_administrator(&tenant);
        let (id, subscription) = (tenant.tenant().id, Self::subscription(&tenant)?);
        let put = self.platform.put_identity(self.context, &caller, id, subscription, &group, &name, &to_put);
        let (put, identity) = put.await?;
        self.note(Kind::Identity, &wanted.name, put, vec![format!("client id {}", identity.client)]);
        Ok(())
    }

    async fn application(&mut self, wanted: &wire::Application) -> Result<(), Error> {
        let tenant = self.in_tenant(wanted.tenant.as_deref())?;
        let certificates = wanted.certificates.iter().map(|pem| {
            Certificate::from_pem(pem)
                .map_err(|error| Error::Invalid(format!("a certificate cannot be read: {error}")))
        });
        let to_put = ApplicationToPut {
            display_name: wanted.name.clone(),
            client: wanted.client_id.as_deref().map(ClientId::parse).transpose()?,
            identifier_uris: Vec::new(),
            certificates: certificates.collect::<Result<_, Error>>()?,
        };
        let caller = self.platform.local_administrator(&tenant);
        let put = self.platform.put_application(self.context, &caller, tenant.tenant().id, &to_put).await?;
        let (put, application, _) = put;
        self.note(Kind::Application, &wanted.name, put, vec![format!("client id {}", application.client)]);
        Ok(())
    }

    async fn attestation_issuer(&mut self, wanted: &wire::AttestationIssuer) -> Result<(), Error> {
        let tenant = self.in_tenant(wanted.tenant.as_deref())?;
        let invalid = |problem: &str| Error::Invalid(format!("the issuer's keys: {problem}"));
        let keys = serde_json::to_vec(&wanted.keys).map_err(|_| invalid("they are not JSON"))?;
        let keys = JwkSet::parse_with_certificates(&keys).map_err(|error| invalid(&error.to_string()))?;
        // An empty list is said on purpose; a list of which nothing can be used is a mistake.
        let said = wanted.keys.get("keys").and_then(|keys| keys.as_array()).map_or(0, Vec::len);
        if keys.len() != said {
            return Err(invalid(
                "each must have a `kid` and be for signatures: RSA with `n` and `e`, P-256 with `x` and `y`, or \
                 either with a certificate in `x5c`",
            ));
        }
        let issuer = AttestationIssuer::new(&wanted.issuer, keys)?;
        let caller = self.platform.local_administrator(&tenant);
        let put =
            self.platform.put_attestation_issuer(self.context, &caller, tenant.tenant().id, &issuer).await?;
        self.note(Kind::AttestationIssuer, &wanted.issuer, put, vec![format!("{said} keys")]);
        Ok(())
    }

    async fn principal_group(&mut self, wanted: &wire::PrincipalGroup) -> Result<(), Error> {
        let tenant = self.in_tenant(wanted.tenant.as_deref())?;
        let members = wanted.members.iter().map(|member| {
            let principal = match member {
                wire::Member::Identity(name) => wire::Principal::Identity(name.clone()),
                wire::Member::Application(name) => wire::Principal::Application(name.clone()),
                wire::Member::PrincipalId(id) => wire::Principal::Id(id.clone()),
            };
            Ok(self.principal(&tenant, &principal)?.0)
        });
        let members = members.collect::<Result<Vec<_>, Error>>()?;
        let caller = self.platform.local_administrator(&tenant);
        let put = self
            .platform
            .put_group(self.context, &caller, tenant.tenant().id, &wanted.name, &members)
            .await?;
        self.note(Kind::PrincipalGroup, &wanted.name, put.0, Vec::new());
        Ok(())
    }

    async fn role(&mut self, wanted: &wire::CustomRole) -> Result<(), Error> {
        let tenant = self.in_tenant(wanted.tenant.as_deref())?;
        let patterns = |texts: &[String]| -> Result<Vec<ActionPattern>, Error> {
            texts.iter().map(|text| Ok(ActionPattern::parse(text)?)).collect()
        };
        let permission = Permission {
            actions: patterns(&wanted.actions)?,
            not_actions: patterns(&wanted.not_actions)?,
            data_actions: patterns(&wanted.data_actions)?,
            not_data_actions: patterns(&wanted.not_data_actions)?,
            condition: None,
        };
        let known = tenant.custom_roles().find(|role| role.name().eq_ignore_ascii_case(&wanted.name));
        let id = match (&wanted.id, known) {
            (Some(id), _) => RoleDefinitionId::parse(id)?,
            (None, Some(known)) => known.id(),
            (None, None) => RoleDefinitionId(self.platform.random_id()),
        };
        let scopes = vec![Scope::root()];
        let role = RoleDefinition::custom(id, &wanted.name, &wanted.description, vec![permission], scopes)?;
        let caller = self.platform.local_administrator(&tenant);
        let (id, root) = (tenant.tenant().id, Scope::root());
        let (put, _) = self.platform.put_role_definition(self.context, &caller, id, &root, &role).await?;
        self.note(Kind::CustomRole, &wanted.name, put, Vec::new());
        Ok(())
    }

    async fn assignment(&mut self, wanted: &wire::RoleAssignment) -> Result<(), Error> {
        let tenant = self.in_tenant(wanted.tenant.as_deref())?;
        let (principal, who) = self.principal(&tenant, &wanted.principal)?;
        let (scope, place) = Self::scope(&tenant, &wanted.scope)?;
        let role = tenant.facts().roles().find(|role| {
            role.name().eq_ignore_ascii_case(&wanted.role)
                || role.id().to_string().eq_ignore_ascii_case(&wanted.role)
        });
        let role = role.ok_or_else(|| Error::NotFound { kind: "role", name: wanted.role.clone() })?.id();
        let same = tenant.assignments().find(|assignment| {
            assignment.scope == scope && assignment.role == role && assignment.principal == principal
        });
        let id = same.map_or_else(|| RoleAssignmentId(self.platform.random_id()), |assignment| assignment.id);
        let to_put =
            NewAssignment { id, scope, role, principal, principal_type: PrincipalType::ServicePrincipal };
        let caller = self.platform.local_administrator(&tenant);
        let put = self.platform.put_role_assignment(self.context, &caller, tenant.tenant().id, &to_put, None);
        let (put, _) = put.await?;
        self.note(Kind::RoleAssignment, &format!("{who}: {} on {place}", wanted.role), put, Vec::new());
        Ok(())
    }

    fn principal(
        &self,
        tenant: &TenantSnapshot,
        wanted: &wire::Principal,
    ) -> Result<(PrincipalId, String), Error> {
        match wanted {
            wire::Principal::Id(id) => Ok((PrincipalId::parse(id)?, id.clone())),
            wire::Principal::Identity(name) => {
                let mut named =
                    tenant.identities().filter(|identity| identity.name.as_str().eq_ignore_ascii_case(name));
                match (named.next(), named.next()) {
                    (Some(identity), None) => Ok((identity.principal, name.clone())),
                    (Some(_), Some(_)) => Err(Error::Conflict(format!(
                        "several identities are named `{name}`; use principal_id"
                    ))),
                    (None, _) => Err(Error::NotFound { kind: "identity", name: name.clone() }),
                }
            }
            wire::Principal::Group(name) => {
                let group = tenant.user_groups().find(|group| group.display_name == *name);
                let group = group.ok_or_else(|| Error::NotFound { kind: "group", name: name.clone() })?;
                Ok((group.id, name.clone()))
            }
            wire::Principal::Application(name) => {
                let application = tenant.applications().find(|application| application.display_name == *name);
                let principal =
                    application.and_then(|application| tenant.service_principal(application.client));
                let principal =
                    principal.ok_or_else(|| Error::NotFound { kind: "application", name: name.clone() })?;
                Ok((principal.id, name.clone()))
            }
        }
    }

    fn scope(tenant: &TenantSnapshot, wanted: &wire::Scope) -> Result<(Scope, String), Error> {
        let subscription = Self::subscription(tenant)?;
        let vault = |name: &str| {
            let missing = || Error::NotFound { kind: "vault", name: name.to_owned() };
            tenant.vault(&VaultName::parse(name)?).ok_or_else(missing)
        };
        Ok(match wanted {
            wire::Scope::Subscription => {
                (Scope::of_subscription(subscription), "the subscription".to_owned())
            }
            wire::Scope::ResourceGroup(name) => (
                Scope::of_group(subscription, &ResourceGroupName::parse(name)?),
                format!("resource group {name}"),
            ),
            wire::Scope::Vault(name) => {
                let found = vault(name)?;
                (Scope::vault(found.subscription, &found.group, &found.name), format!("vault {name}"))
            }
            wire::Scope::Secret { vault: in_vault, name } => {
                let found = vault(in_vault)?;
                let scope = Scope::vault(found.subscription, &found.group, &found.name);
                (scope.object("secrets", &ObjectName::parse(name)?), format!("secret {in_vault}/{name}"))
            }
        })
    }
}

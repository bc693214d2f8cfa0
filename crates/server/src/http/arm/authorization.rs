//! Role assignments and role definitions at any scope (`Microsoft.Authorization`).

use std::sync::Arc;

use http::Method;
use vouchsafe_domain::access::action::{ReadRoleAssignment, ReadRoleDefinition};
use vouchsafe_domain::access::assignment::{NewAssignment, PrincipalType, RoleAssignment};
use vouchsafe_domain::access::pattern::ActionPattern;
use vouchsafe_domain::access::role::{Permission, RoleDefinition, RoleKind};
use vouchsafe_domain::ids::{Malformed, PrincipalId, RoleAssignmentId, RoleDefinitionId};
use vouchsafe_domain::resource::Error;
use vouchsafe_domain::resource::scope::Scope;
use vouchsafe_wire::arm::{self as wire, Condition, Property};

use super::{absent, body, malformed, may, query, route};
use crate::http::app::{Admitted, App};
use crate::http::problem::{Class, Problem};
use crate::http::refusal::of_resource;
use crate::http::reply::{Reply, Success};
use crate::http::route::Route;
use crate::http::{Handler, Request, answer};

const ASSIGNMENTS: &str = "{scope*}/providers/Microsoft.Authorization/roleAssignments";
const ASSIGNMENT: &str = "{scope*}/providers/Microsoft.Authorization/roleAssignments/{id}";
const DEFINITIONS: &str = "{scope*}/providers/Microsoft.Authorization/roleDefinitions";
const DEFINITION: &str = "{scope*}/providers/Microsoft.Authorization/roleDefinitions/{id}";

pub(super) fn routes() -> Vec<Route<Handler<App>>> {
    vec![
        route(Method::GET, ASSIGNMENTS, "role_assignment_list", |app, r| answer(list_assignments(app, r))),
        route(Method::GET, ASSIGNMENT, "role_assignment_get", |app, r| answer(get_assignment(app, r))),
        route(Method::PUT, ASSIGNMENT, "role_assignment_put", |app, r| answer(put_assignment(app, r))),
        route(Method::DELETE, ASSIGNMENT, "role_assignment_delete", |app, r| {
            answer(delete_assignment(app, r))
        }),
        route(Method::GET, DEFINITIONS, "role_definition_list", |app, r| answer(list_definitions(app, r))),
        route(Method::GET, DEFINITION, "role_definition_get", |app, r| answer(get_definition(app, r))),
        route(Method::PUT, DEFINITION, "role_definition_put", |app, r| answer(put_definition(app, r))),
        route(Method::DELETE, DEFINITION, "role_definition_delete", |app, r| {
            answer(delete_definition(app, r))
        }),
    ]
}

/// The scope in the path; one in another tenant's subscription is as absent as one that does not exist.
fn scope(request: &Request, admitted: &Admitted) -> Result<Scope, Problem> {
    let raw = request.params.text("scope");
    let raw = if raw.is_empty() || raw.starts_with('/') { raw.to_owned() } else { format!("/{raw}") };
    let scope = if raw.is_empty() { Scope::root() } else { Scope::parse(&raw).map_err(malformed)? };
    in_tenant(admitted, scope)
}

fn in_tenant(admitted: &Admitted, scope: Scope) -> Result<Scope, Problem> {
    match scope.subscription() {
        Some(id) if admitted.tenant.subscription(id).is_none() => {
            Err(of_resource(Error::NotFound { kind: "subscription", name: id.to_string() }))
        }
        _ => Ok(scope),
    }
}

/// Clients refer to a role by its whole ARM id, at whatever scope; the GUID at the end is what counts.
fn role_id(raw: &str) -> Result<RoleDefinitionId, Malformed> {
    RoleDefinitionId::parse(raw.rsplit('/').next().unwrap_or_default())
}

fn role_resource_id(scope: &Scope, id: RoleDefinitionId) -> String {
    let prefix = scope.subscription().map(|id| format!("/subscriptions/{id}")).unwrap_or_default();
    format!("{prefix}/providers/Microsoft.Authorization/roleDefinitions/{id}")
}

fn shown_assignment(assignment: &RoleAssignment) -> wire::RoleAssignment {
    let scope = assignment.scope.as_str();
    let prefix = if scope == "/" { "" } else { scope };
    let by = assignment.created_by.map(|principal| principal.to_string());
    wire::Resource {
        id: format!("{prefix}/providers/Microsoft.Authorization/roleAssignments/{}", assignment.id),
        name: assignment.id.to_string(),
        resource_type: wire::RoleAssignment::TYPE.to_owned(),
        location: None,
        tags: None,
        properties: wire::RoleAssignmentProperties {
            scope: scope.to_owned(),
            role_definition_id: role_resource_id(&assignment.scope, assignment.role),
            principal_id: assignment.principal.to_string(),
            principal_type: assignment.principal_type.to_string(),
            description: None,
            created_on: Some(assignment.created_on.rfc3339()),
            updated_on: Some(assignment.created_on.rfc3339()),
            created_by: by.clone(),
            updated_by: by,
        },
    }
}

async fn list_assignments(app: Arc<App>, request: Request) -> Result<Reply, Problem> {
    let admitted = request.admitted()?;
    let (scope, filter) = (scope(&request, &admitted)?, query(&request)?.filter);
    may::<ReadRoleAssignment>(&app, &request, &admitted, &scope).await?;
    let conditions = filter.map(|filter| filter.conditions).unwrap_or_default();
    let facts = admitted.tenant.facts();
    let holds = |assignment: &RoleAssignment, condition: &Condition| match condition {
        Condition::AtScope => assignment.scope.contains(&scope),
        Condition::Equals(Property::PrincipalId, id) => {
            assignment.principal.to_string().eq_ignore_ascii_case(id)
        }
        Condition::AssignedTo(id) => PrincipalId::parse(id).is_ok_and(|principal| {
            assignment.principal == principal || facts.groups_of(principal).contains(&assignment.principal)
        }),
        Condition::Equals(..) => true,
    };
    let shown: Vec<_> = facts
        .assignments()
        .filter(|assignment| assignment.scope.contains(&scope) || scope.contains(&assignment.scope))
        .filter(|assignment| conditions.iter().all(|condition| holds(assignment, condition)))
        .map(|assignment| shown_assignment(assignment))
        .collect();
    Ok(Reply::json(Success::Ok, &wire::List::whole(shown)))
}

fn assignment_id(request: &Request) -> Result<RoleAssignmentId, Problem> {
    RoleAssignmentId::parse(request.params.text("id")).map_err(malformed)
}

async fn get_assignment(app: Arc<App>, request: Request) -> Result<Reply, Problem> {
    let admitted = request.admitted()?;
    let (scope, id) = (scope(&request, &admitted)?, assignment_id(&request)?);
    may::<ReadRoleAssignment>(&app, &request, &admitted, &scope).await?;
    let found = admitted.tenant.assignment(id).filter(|assignment| assignment.scope == scope);
    Ok(Reply::json(Success::Ok, &shown_assignment(&*found.ok_or_else(|| absent("role assignment", id))?)))
}

async fn put_assignment(app: Arc<App>, mut request: Request) -> Result<Reply, Problem> {
    let admitted = request.admitted()?;
    let (scope, id) = (scope(&request, &admitted)?, assignment_id(&request)?);
    let given: wire::RoleAssignmentPut = body(&mut request).await?;
    if given.properties.condition.is_some() {
        let message = "conditions on role assignments are not supported; use a custom role";
        return Err(Problem::new(Class::Invalid, "NotSupported", message));
    }
    let stated_type = given.properties.principal_type.as_deref().map(PrincipalType::parse).transpose();
    let stated_type = stated_type.map_err(malformed)?;
    let wanted = NewAssignment {
        id,
        scope,
        role: role_id(&given.properties.role_definition_id).map_err(malformed)?,
        principal: PrincipalId::parse(&given.properties.principal_id).map_err(malformed)?,
        principal_type: stated_type.unwrap_or(PrincipalType::ServicePrincipal),
    };
    let context = app.context(&request.head);
    let tenant = admitted.tenant.tenant().id;
    let put =
        app.platform.put_role_assignment(&context, &admitted.caller, tenant, &wanted, stated_type).await;
    let (_, assignment) = put.map_err(of_resource)?;
    Ok(Reply::json(Success::Created, &shown_assignment(&assignment)))
}

async fn delete_assignment(app: Arc<App>, request: Request) -> Result<Reply, Problem> {
    let admitted = request.admitted()?;
    let (scope, id) = (scope(&request, &admitted)?, assignment_id(&request)?);
    let context = app.context(&request.head);
    let tenant = admitted.tenant.tenant().id;
    match app.platform.delete_role_assignment(&context, &admitted.caller, tenant, &scope, id).await {
        Ok(assignment) => Ok(Reply::json(Success::Ok, &shown_assignment(&assignment))),
        // ARM: deleting what is not there is done already.
        Err(Error::NotFound { kind: "role assignment", .. }) => Ok(Reply::empty(Success::NoContent)),
        Err(error) => Err(of_resource(error)),
    }
}

fn shown_definition(scope: &Scope, role: &RoleDefinition) -> wire::RoleDefinition {
    let texts = |patterns: &[ActionPattern]| patterns.iter().map(ToString::to_string).collect();
    wire::Resource {
        id: role_resource_id(scope, role.id()),
        name: role.id().to_string(),
        resource_type: wire::RoleDefinition::TYPE.to_owned(),
        location: None,
        tags: None,
        properties: wire::RoleDefinitionProperties {
            role_name: role.name().to_owned(),
            role_type: match role.kind() {
                RoleKind::BuiltIn => "BuiltInRole".to_owned(),
                RoleKind::Custom => "CustomRole".to_owned(),
            },
            description: role.description().to_owned(),
            assignable_scopes: role
                .assignable_scopes()
                .iter()
                .map(|scope| scope.as_str().to_owned())
                .collect(),
            permissions: role
                .permissions()
                .iter()
                .map(|permission| wire::Permission {
                    actions: texts(&permission.actions),
                    not_actions: texts(&permission.not_actions),
                    data_actions: texts(&permission.data_actions),
                    not_data_actions: texts(&permission.not_data_actions),
                })
                .collect(),
        },
    }
}

async fn list_definitions(app: Arc<App>, request: Request) -> Result<Reply, Problem> {
    let admitted = request.admitted()?;
    let (scope, filter) = (scope(&request, &admitted)?, query(&request)?.filter);
    may::<ReadRoleDefinition>(&app, &request, &admitted, &scope).await?;
    let is = |property, text: &str| {
        let wanted = filter.as_ref().and_then(|filter| filter.wanted(property));
        wanted.is_none_or(|wanted| wanted.eq_ignore_ascii_case(text))
    };
    let mut shown: Vec<_> = admitted
        .tenant
        .facts()
        .roles()
        .filter(|role| {
            role.is_assignable_at(&scope) || role.assignable_scopes().iter().any(|s| scope.contains(s))
        })
        .map(|role| shown_definition(&scope, role))
        .filter(|role| {
            is(Property::RoleName, &role.properties.role_name)
                && is(Property::RoleType, &role.properties.role_type)
        })
        .collect();
    shown.sort_by(|a, b| a.properties.role_name.cmp(&b.properties.role_name));
    Ok(Reply::json(Success::Ok, &wire::List::whole(shown)))
}

fn definition_id(request: &Request) -> Result<RoleDefinitionId, Problem> {
    RoleDefinitionId::parse(request.params.text("id")).map_err(malformed)
}

async fn get_definition(app: Arc<App>, request: Request) -> Result<Reply, Problem> {
    let admitted = request.admitted()?;
    let (scope, id) = (scope(&request, &admitted)?, definition_id(&request)?);
    may::<ReadRoleDefinition>(&app, &request, &admitted, &scope).await?;
    let role = admitted.tenant.role(id).ok_or_else(|| absent("role definition", id))?;
    Ok(Reply::json(Success::Ok, &shown_definition(&scope, &role)))
}

async fn put_definition(app: Arc<App>, mut request: Request) -> Result<Reply, Problem> {
    let admitted = request.admitted()?;
    let (scope, id) = (scope(&request, &admitted)?, definition_id(&request)?);
    let given: wire::RoleDefinitionPut = body(&mut request).await?;
    let role = role_of(&admitted, id, &given)?;
    let context = app.context(&request.head);
    let tenant = admitted.tenant.tenant().id;
    let put = app.platform.put_role_definition(&context, &admitted.caller, tenant, &scope, &role).await;
    let (_, role) = put.map_err(of_resource)?;
    // 201 also for a change: `az role definition update` takes 200 for an error.
    Ok(Reply::json(Success::Created, &shown_definition(&scope, &role)))
}

fn role_of(
    admitted: &Admitted,
    id: RoleDefinitionId,
    given: &wire::RoleDefinitionPut,
) -> Result<RoleDefinition, Problem> {
    let patterns = |texts: &[String]| -> Result<Vec<ActionPattern>, Problem> {
        texts.iter().map(|text| ActionPattern::parse(text).map_err(malformed)).collect()
    };
    let permissions = given.properties.permissions.iter().map(|permission| {
        Ok(Permission {
            actions: patterns(&permission.actions)?,
            not_actions: patterns(&permission.not_actions)?,
            data_actions: patterns(&permission.data_actions)?,
            not_data_actions: patterns(&permission.not_data_actions)?,
            condition: None,
        })
    });
    let permissions = permissions.collect::<Result<Vec<_>, Problem>>()?;
    let scopes = given.properties.assignable_scopes.iter().map(|raw| {
        let scope = if raw == "/" { Ok(Scope::root()) } else { Scope::parse(raw) };
        in_tenant(admitted, scope.map_err(malformed)?)
    });
    let scopes = scopes.collect::<Result<Vec<_>, Problem>>()?;
    let description = given.properties.description.clone().unwrap_or_default();
    RoleDefinition::custom(id, &given.properties.role_name, &description, permissions, scopes)
        .map_err(malformed)
}

async fn delete_definition(app: Arc<App>, request: Request) -> Result<Reply, Problem> {
    let admitted = request.admitted()?;
    let (scope, id) = (scope(&request, &admitted)?, definition_id(&request)?);
    let context = app.context(&request.head);
    let tenant = admitted.tenant.tenant().id;
    match app.platform.delete_role_definition(&context, &admitted.caller, tenant, &scope, id).await {
        Ok(role) => Ok(Reply::json(Success::Ok, &shown_definition(&scope, &role))),
        Err(Error::NotFound { kind: "role definition", .. }) => Ok(Reply::empty(Success::NoContent)),
        Err(error) => Err(of_resource(error)),
    }
}

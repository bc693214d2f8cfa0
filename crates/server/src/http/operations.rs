//! Health, metrics, and the cloud metadata that `az cloud register` reads (wire facts §11.1).

use std::sync::Arc;

use http::Method;
use vouchsafe_wire::arm::{Authentication, CloudMetadata, MetadataAnswer, Query, Suffixes};

use super::app::App;
use super::plane::{PUBLIC_GRAPH_HOST, PUBLIC_RESOURCE_MANAGER_HOST, PUBLIC_VAULT_SUFFIX};
use super::problem::{Class, Problem};
use super::reply::{Reply, Success};
use super::route::{Guard, Plane, Route};
use super::{Handler, Request, answer};
use crate::telemetry;

/// The routes of this plane.
pub fn routes() -> Vec<Route<Handler<App>>> {
    fn route(pattern: &'static str, name: &'static str, handler: Handler<App>) -> Route<Handler<App>> {
        Route { plane: Plane::Operations, method: Method::GET, pattern, name, guard: Guard::None, handler }
    }
    vec![
        route("/healthz", "healthz", |app, request| answer(health(app, request))),
        route("/readyz", "readyz", |app, request| answer(readiness(app, request))),
        route("/metrics", "metrics", |app, request| answer(metrics(app, request))),
        route("/metadata/endpoints", "metadata_endpoints", |app, request| answer(endpoints(app, request))),
    ]
}

async fn health(_: Arc<App>, _: Request) -> Result<Reply, Problem> {
    Ok(Reply::text(Success::Ok, "text/plain; charset=utf-8", "alive\n".to_owned()))
}

async fn readiness(app: Arc<App>, _: Request) -> Result<Reply, Problem> {
    if app.readiness.is_ready() {
        Ok(Reply::text(Success::Ok, "text/plain; charset=utf-8", "ready\n".to_owned()))
    } else {
        Err(Problem::new(Class::Unavailable, "not_ready", "the server is starting or draining")
            .with_retry_after(1))
    }
}

async fn metrics(app: Arc<App>, _: Request) -> Result<Reply, Problem> {
    app.telemetry.clock(app.platform.time().standing());
    Ok(Reply::text(Success::Ok, telemetry::CONTENT_TYPE, app.telemetry.render()))
}

async fn endpoints(app: Arc<App>, request: Request) -> Result<Reply, Problem> {
    let query = Query::parse(request.head.query())
        .map_err(|error| Problem::new(Class::Invalid, "invalid_request", error.to_string()))?;
    let captured = request.head.address.captured;
    let origin = request.head.address.login.to_string();
    let (resource_manager, graph, vault_suffix) = if captured {
        (
            format!("https://{PUBLIC_RESOURCE_MANAGER_HOST}"),
            format!("https://{PUBLIC_GRAPH_HOST}"),
            PUBLIC_VAULT_SUFFIX.to_owned(),
        )
    } else {
        (origin.clone(), app.endpoints.graph.clone(), app.endpoints.vault_suffix.clone())
    };
    let cloud = CloudMetadata {
        name: if captured { "AzureCloud" } else { "Vouchsafe" }.to_owned(),
        authentication: Authentication {
            login_endpoint: origin,
            audiences: vec![
                "https://management.core.windows.net/".to_owned(),
                "https://management.azure.com/".to_owned(),
            ],
            tenant: "common".to_owned(),
            identity_provider: "AAD".to_owned(),
        },
        resource_manager: format!("{resource_manager}/"),
        microsoft_graph_resource_id: format!("{graph}/"),
        graph_audience: format!("{graph}/"),
        suffixes: Suffixes { key_vault_dns: vault_suffix, mhsm_dns: None },
        portal: None,
    };
    Ok(Reply::json(Success::Ok, &MetadataAnswer::new(query.api_version.as_deref(), cloud)))
}

//! Replacing keys, now or when their policy says so.

use std::sync::Arc;

use vouchsafe_domain::vault::{
    KeyRotationPolicy, LifetimeAction, LifetimeTrigger, RotationAction, RotationPolicyToSet, Span,
};
use vouchsafe_wire::keyvault::key as wire;

use super::{KEYS, shown};
use crate::http::Request;
use crate::http::app::App;
use crate::http::keyvault::{Asked, BODY, bad, body, name, query, seconds};
use crate::http::problem::Problem;
use crate::http::refusal::of_vault;
use crate::http::reply::{Reply, Success};

pub(super) async fn rotate(app: Arc<App>, request: Request) -> Result<Reply, Problem> {
    let (asked, name) = (Asked::of(&request)?, name(&request)?);
    query(&request)?;
    let context = app.context(&request.head);
    let rotated = app.platform.rotate_key(&context, &asked.admitted.caller, &asked.vault, &name).await;
    let (head, vault) = rotated.map_err(of_vault)?;
    Ok(shown(&asked, &head, &vault))
}

pub(super) async fn get(app: Arc<App>, request: Request) -> Result<Reply, Problem> {
    let (asked, name) = (Asked::of(&request)?, name(&request)?);
    query(&request)?;
    let (context, caller) = (app.context(&request.head), &asked.admitted.caller);
    let policy = app.platform.get_rotation_policy(&context, caller, &asked.vault, &name).await;
    Ok(said(&asked, &policy.map_err(of_vault)?))
}

pub(super) async fn set(app: Arc<App>, mut request: Request) -> Result<Reply, Problem> {
    let (asked, name) = (Asked::of(&request)?, name(&request)?);
    query(&request)?;
    let given = body(&mut request, &BODY, wire::KeyRotationPolicy::parse).await?;
    let actions = given.lifetime_actions.unwrap_or_default();
    let actions = actions.iter().enumerate().map(|(index, action)| heard(index, action));
    let expiry = given.attributes.unwrap_or_default().expiry_time;
    let wanted = RotationPolicyToSet {
        actions: actions.collect::<Result<_, _>>()?,
        expiry: expiry.map(|text| span("attributes.expiryTime", &text)).transpose()?,
    };
    let (context, caller) = (app.context(&request.head), &asked.admitted.caller);
    let policy = app.platform.set_rotation_policy(&context, caller, &asked.vault, &name, &wanted).await;
    Ok(said(&asked, &policy.map_err(of_vault)?))
}

fn span(member: &str, text: &str) -> Result<Span, Problem> {
    let problem = "must be a duration in whole years, months or days, such as P90D";
    Span::parse(text).ok_or_else(|| bad(format!("the member `{member}` {problem}")))
}

fn heard(index: usize, given: &wire::LifetimeAction) -> Result<LifetimeAction, Problem> {
    let at = |member: &str| format!("lifetimeActions[{index}].{member}");
    let action = given.action.ok_or_else(|| bad(format!("the member `{}` is missing", at("action"))))?;
    let trigger = given.trigger.as_ref();
    let after_create = trigger.and_then(|trigger| trigger.time_after_create.as_deref());
    let before_expiry = trigger.and_then(|trigger| trigger.time_before_expiry.as_deref());
    let trigger = match (after_create, before_expiry) {
        (Some(text), None) => LifetimeTrigger::AfterCreate(span(&at("trigger.timeAfterCreate"), text)?),
        (None, Some(text)) => LifetimeTrigger::BeforeExpiry(span(&at("trigger.timeBeforeExpiry"), text)?),
        _ => {
            let problem = "must have one of `timeAfterCreate` and `timeBeforeExpiry`";
            return Err(bad(format!("the member `{}` {problem}", at("trigger"))));
        }
    };
    let action = match action.kind {
        wire::ActionKind::Rotate => RotationAction::Rotate,
        wire::ActionKind::Notify => RotationAction::Notify,
    };
    Ok(LifetimeAction { trigger, action })
}

fn said(asked: &Asked, policy: &KeyRotationPolicy) -> Reply {
    let actions = policy.policy.actions.iter().map(|LifetimeAction { trigger, action }| {
        let (time_after_create, time_before_expiry) = match trigger {
            LifetimeTrigger::AfterCreate(span) => (Some(span.to_string()), None),
            LifetimeTrigger::BeforeExpiry(span) => (None, Some(span.to_string())),
        };
        let kind = match action {
            RotationAction::Rotate => wire::ActionKind::Rotate,
            RotationAction::Notify => wire::ActionKind::Notify,
        };
        wire::LifetimeAction {
            trigger: Some(wire::LifetimeTrigger { time_after_create, time_before_expiry }),
            action: Some(wire::LifetimeActionKind { kind }),
        }
    });
    let shown = wire::KeyRotationPolicy {
        id: Some(format!("{}/rotationpolicy", asked.identifier(KEYS, &policy.name, None))),
        lifetime_actions: Some(actions.collect()),
        attributes: Some(wire::RotationAttributes {
            expiry_time: policy.policy.expiry.map(|expiry| expiry.to_string()),
            created: policy.dates.map(|(created, _)| seconds(created)),
            updated: policy.dates.map(|(_, updated)| seconds(updated)),
        }),
    };
    Reply::json(Success::Ok, &shown)
}

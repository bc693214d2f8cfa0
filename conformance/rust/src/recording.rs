//! What the clients are given besides: a record of the vaults' answers, for `conformance/contract.py` to hold against
//! Microsoft's own description, and less patience.

use std::fs::OpenOptions;
use std::io::Write;
use std::sync::Arc;

use async_trait::async_trait;
use azure_core::http::headers::{CONTENT_TYPE, Headers, RETRY_AFTER, RETRY_AFTER_MS};
use azure_core::http::policies::{Policy, PolicyResult};
use azure_core::http::{AsyncRawResponse, ClientOptions, Context, Request};
use serde_json::{Value, json};

/// Stands for every `value`, which may be secret; it is base64url as well as text.
const REPLACED: &str = "replaced";

/// What a client is given to be recorded; nothing that it sends or reads is changed.
pub fn recorded() -> ClientOptions {
    ClientOptions { per_try_policies: vec![Arc::new(Recorder)], ..Default::default() }
}

/// The same, and asks again at once: the vault's word for when to come again counts before the poller's own interval.
pub fn hurried() -> ClientOptions {
    ClientOptions { per_try_policies: vec![Arc::new(Hurried), Arc::new(Recorder)], ..Default::default() }
}

#[derive(Debug)]
struct Recorder;

#[derive(Debug)]
struct Hurried;

#[async_trait]
impl Policy for Recorder {
    async fn send(&self, context: &Context, request: &mut Request, next: &[Arc<dyn Policy>]) -> PolicyResult {
        let (method, path) = (request.method().as_str(), request.url().path().to_owned());
        let answered = go_on(context, request, next).await?.try_into_raw_response().await?;
        let (status, headers, body) = answered.deconstruct();
        write(json!({
            "method": method,
            "path": path,
            "status": u16::from(status),
            "content_type": content_type(&headers),
            "body": shown(&headers, &body)?,
        }))?;
        Ok(AsyncRawResponse::from_bytes(status, headers, body.to_vec()))
    }
}

#[async_trait]
impl Policy for Hurried {
    async fn send(&self, context: &Context, request: &mut Request, next: &[Arc<dyn Policy>]) -> PolicyResult {
        let (status, mut headers, body) = go_on(context, request, next).await?.deconstruct();
        if status.is_success() && headers.get_optional_str(&RETRY_AFTER).is_some() {
            headers.insert(RETRY_AFTER_MS, "20");
        }
        Ok(AsyncRawResponse::new(status, headers, Box::pin(body)))
    }
}

async fn go_on(context: &Context<'_>, request: &mut Request, next: &[Arc<dyn Policy>]) -> PolicyResult {
    let Some((policy, after)) = next.split_first() else { unreachable!("the transport is the last policy") };
    policy.send(context, request, after).await
}

fn content_type(headers: &Headers) -> &str {
    let said = headers.get_optional_str(&CONTENT_TYPE).unwrap_or_default();
    said.split(';').next().unwrap_or_default()
}

fn shown(headers: &Headers, body: &[u8]) -> azure_core::Result<Value> {
    if content_type(headers) != "application/json" {
        return Ok(Value::from(String::from_utf8_lossy(body)));
    }
    let mut body: Value = serde_json::from_slice(body)?;
    if let Some(value) = body.get_mut("value").filter(|value| value.is_string()) {
        *value = Value::from(REPLACED);
    }
    Ok(body)
}

fn write(line: Value) -> azure_core::Result<()> {
    let Ok(path) = std::env::var("CONFORMANCE_RECORDING") else { return Ok(()) };
    // One write at the end of the file, so that lines of several processes do not mix.
    let mut file = OpenOptions::new().append(true).create(true).open(path)?;
    file.write_all(format!("{line}\n").as_bytes())?;
    Ok(())
}

//! Speaks to the server over the administrators' socket, in the same protocols as everybody else.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::net::UnixStream;
use vouchsafe_wire::admin::Status;
use zeroize::Zeroizing;

use crate::cli::Global;

const DEADLINE: Duration = Duration::from_secs(60);
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A connection-per-request client; commands ask a handful of things.
pub struct Client {
    socket: PathBuf,
    tenant: Option<String>,
}

/// An answer with its status.
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The body, wiped after use because it may be a secret.
    pub body: Zeroizing<Vec<u8>>,
}

impl Client {
    /// A client of the server that the options name.
    pub fn new(global: &Global) -> Self {
        Self { socket: global.socket.clone(), tenant: global.tenant.clone() }
    }

    /// A client of a certain socket.
    pub fn at(socket: &Path) -> Self {
        Self { socket: socket.to_owned(), tenant: None }
    }

    /// What the server says of itself.
    pub async fn status(&self) -> Result<Status> {
        self.json(Method::GET, "vouchsafe", "/admin/v1/status", None).await
    }

    /// The host of a vault.
    pub async fn vault_host(&self, vault: &str) -> Result<String> {
        let plausible = !vault.is_empty() && vault.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if !plausible {
            bail!("`{vault}` is not a vault name");
        }
        Ok(format!("{vault}.{}", self.status().await?.endpoints.vault_suffix))
    }

    /// The first subscription of the tenant, and the host of Resource Manager.
    pub async fn subscription(&self) -> Result<(String, String)> {
        let host = self.arm_host().await?;
        let list: Value =
            self.json(Method::GET, &host, "/subscriptions?api-version=2022-12-01", None).await?;
        let id = list.pointer("/value/0/subscriptionId").and_then(Value::as_str);
        Ok((id.ok_or_else(|| anyhow!("the tenant has no subscription"))?.to_owned(), host))
    }

    /// The host of Resource Manager.
    pub async fn arm_host(&self) -> Result<String> {
        let arm = self.status().await?.endpoints.arm;
        Ok(arm.strip_prefix("https://").unwrap_or(&arm).to_owned())
    }

    /// Asks and reads a JSON answer; anything but success is an error with the server's own words.
    pub async fn json<T: DeserializeOwned>(
        &self,
        method: Method,
        host: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<T> {
        let body = body.map(serde_json::to_vec).transpose()?.map(Zeroizing::new);
        let answer = self.send(method, host, path, body).await?.successful()?;
        serde_json::from_slice(&answer.body)
            .context("the server's answer cannot be read; is it of another version?")
    }

    /// Asks and returns whatever comes back.
    pub async fn send(
        &self,
        method: Method,
        host: &str,
        path: &str,
        body: Option<Zeroizing<Vec<u8>>>,
    ) -> Result<Answer> {
        match tokio::time::timeout(DEADLINE, self.exchange(method, host, path, body)).await {
            Ok(answer) => answer,
            Err(_) => bail!("the server did not answer within {} seconds", DEADLINE.as_secs()),
        }
    }

    async fn exchange(
        &self,
        method: Method,
        host: &str,
        path: &str,
        body: Option<Zeroizing<Vec<u8>>>,
    ) -> Result<Answer> {
        let stream = UnixStream::connect(&self.socket).await.with_context(|| {
            format!(
                "cannot reach the server at `{}`; is `vouchsafe serve` or `vouchsafe dev` running? Say where with \
                 --socket or VOUCHSAFE_SOCKET",
                self.socket.display()
            )
        })?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, host);
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        if let Some(tenant) = &self.tenant {
            request = request.header("x-vouchsafe-tenant", tenant);
        }
        let body = body.map(Bytes::from_owner).unwrap_or_default();
        let response = sender.send_request(request.body(Full::new(body))?).await;
        let response = response.context("the server closed the connection")?;
        let status = response.status();
        let collected = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        let collected = collected.map_err(|error| anyhow!("the server's answer broke off: {error}"))?;
        Ok(Answer { status, body: Zeroizing::new(collected.to_bytes().to_vec()) })
    }
}

impl Answer {
    /// The answer if it is a success; else an error with the server's own words.
    pub fn successful(self) -> Result<Self> {
        if self.status.is_success() {
            return Ok(self);
        }
        let problem: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let say = |pointer: &str| problem.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let message = say("/error/message").or_else(|| say("/error_description")).or_else(|| say("/message"));
        let code = say("/error/innererror/code").or_else(|| say("/error/code")).or_else(|| say("/error"));
        let message = message.unwrap_or_else(|| format!("the server answered {}", self.status));
        match code {
            Some(code) => bail!("{} ({code})", message.trim()),
            None => bail!("{}", message.trim()),
        }
    }
}

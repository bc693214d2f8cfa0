//! What a node agent and the platform say to each other: HTTP/1.1 with JSON on the server's admin Unix socket.
//!
//! `POST /node/v1/token` carries what the kernel said about a process, and asks for a token of the identity whose
//! selectors match it. 200 answers with [`TokenAnswer`]; anything else is an [`ErrorAnswer`]. The token is wrapped in
//! [`AccessToken`], which serialises (that is how the server says it) but does not print.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The path of the token call.
pub const TOKEN_PATH: &str = "/node/v1/token";
/// The longest request or answer body that either side reads.
pub const BODY_BYTES_MAX: usize = 64 * 1024;

/// What the kernel said about the calling process; the agent vouches for it.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub struct Process {
    /// The process id, for the audit entry; never a selector.
    pub pid: u32,
    /// The effective user id.
    pub uid: u32,
    /// The effective group id.
    pub gid: u32,
    /// The path of the running executable, as the agent sees it.
    pub exe_path: String,
    /// SHA-256 of the running executable, 64 lower-case hexadecimal digits.
    pub exe_sha256: String,
    /// The systemd unit, for example `nginx.service`, when there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// The control group path, when the kernel has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<String>,
    /// The identity whose process tree (`vouchsafe run`) the process belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_identity: Option<String>,
}

/// The body of `POST /node/v1/token`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct TokenRequest {
    /// Who asks.
    pub process: Process,
    /// The resource (audience) as the client wrote it.
    pub resource: String,
    /// The identity that is asked for, by client id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// The identity that is asked for, by object (principal) id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object_id: Option<String>,
    /// The identity that is asked for, by ARM resource id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_id: Option<String>,
}

/// The body of a 200 answer.
#[derive(Debug, Deserialize, Serialize)]
pub struct TokenAnswer {
    /// The bearer token.
    pub access_token: AccessToken,
    /// When it expires, in seconds since 1970.
    pub expires_on: u64,
    /// When it becomes valid, in seconds since 1970.
    pub not_before: u64,
    /// The resource it is for.
    pub resource: String,
    /// `Bearer`.
    pub token_type: String,
    /// The client id of the identity that was used.
    pub client_id: String,
}

/// A bearer token on its way from the server to the agent; it does not print.
#[derive(Deserialize, Serialize)]
#[serde(transparent)]
pub struct AccessToken(String);

impl AccessToken {
    /// Wraps a token that was just issued.
    pub fn new(token: String) -> Self {
        Self(token)
    }

    /// Gives the token to a type that wipes it.
    pub fn into_string(self) -> String {
        self.0
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[a token]")
    }
}

/// The body of every other answer.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ErrorAnswer {
    /// What went wrong, for the agent.
    pub code: ErrorCode,
    /// What went wrong, for the person who reads the client's log; may be shown to the caller.
    pub message: String,
}

/// What went wrong, for the agent.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// No identity is bound to such a process. HTTP 403.
    NoIdentity,
    /// Several identities match and the caller did not choose one. HTTP 409.
    Ambiguous,
    /// The identity asked for does not exist or is not bound to such a process; which, is not said. HTTP 403.
    NotAssigned,
    /// The resource is none that tokens are issued for. HTTP 400.
    UnknownResource,
    /// The request makes no sense. HTTP 400.
    InvalidRequest,
    /// The platform cannot answer now, for example because its audit log cannot be written. HTTP 503.
    Unavailable,
    /// A code that this version does not know.
    #[serde(other)]
    Other,
}

impl ErrorCode {
    /// Whether asking again later, unchanged, may help.
    pub fn is_transient(self) -> bool {
        matches!(self, Self::Unavailable | Self::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_reads_back_as_it_was_written() {
        let request = TokenRequest {
            process: Process {
                pid: 7,
                uid: 1000,
                gid: 1000,
                exe_path: "/usr/bin/app".into(),
                exe_sha256: "ab".repeat(32),
                unit: Some("app.service".into()),
                cgroup: None,
                run_identity: None,
            },
            resource: "https://vault.azure.net".into(),
            client_id: None,
            object_id: None,
            resource_id: None,
        };
        let text = serde_json::to_string(&request).unwrap();
        assert!(!text.contains("null"));
        assert_eq!(serde_json::from_str::<TokenRequest>(&text).unwrap(), request);
    }

    #[test]
    fn a_token_answer_does_not_print_its_token() {
        let text = r#"{"access_token":"canary","expires_on":2,"not_before":1,"resource":"r","token_type":"Bearer","client_id":"c"}"#;
        let answer: TokenAnswer = serde_json::from_str(text).unwrap();
        assert!(!format!("{answer:?}").contains("canary"));
        assert!(serde_json::to_string(&answer).unwrap().contains("canary"));
        assert_eq!(answer.access_token.into_string(), "canary");
    }

    #[test]
    fn an_unknown_error_code_is_still_an_error() {
        let answer: ErrorAnswer =
            serde_json::from_str(r#"{"code":"from_the_future","message":"m"}"#).unwrap();
        assert_eq!(answer.code, ErrorCode::Other);
    }
}

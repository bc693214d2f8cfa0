//! The real source of tokens, against a server that behaves and one that does not.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::path::Path;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;
use vouchsafe_agent::{AdminSocket, SourceError, TokenSource};
use vouchsafe_crypto::Reason;
use vouchsafe_wire::node::{ErrorCode, Process, TokenRequest};

fn request() -> TokenRequest {
    TokenRequest {
        process: Process {
            pid: 1,
            uid: 2,
            gid: 3,
            exe_path: "/a".to_owned(),
            exe_sha256: "00".to_owned(),
            unit: None,
            cgroup: None,
            run_identity: None,
        },
        resource: "r".to_owned(),
        client_id: None,
        object_id: None,
        resource_id: None,
    }
}

/// Answers the one request that comes with `status` and `body`; gives what it heard.
async fn answered(
    socket: &Path,
    status: &str,
    body: &str,
) -> (String, Result<vouchsafe_agent::Token, SourceError>) {
    let _ = std::fs::remove_file(socket);
    let listener = UnixListener::bind(socket).unwrap();
    let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut heard = Vec::new();
        while !heard.ends_with(b"}") {
            heard.push(stream.read_u8().await.unwrap());
        }
        while serde_json::from_slice::<TokenRequest>(heard.split(|b| *b == b'\n').next_back().unwrap())
            .is_err()
        {
            heard.push(stream.read_u8().await.unwrap());
        }
        stream.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8(heard).unwrap()
    });
    let outcome = AdminSocket::new(socket.to_owned()).token(&request()).await;
    (server.await.unwrap(), outcome)
}

#[tokio::test]
async fn a_token_is_asked_for_and_read() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("admin.sock");
    let body = r#"{"access_token":"t","expires_on":20,"not_before":10,"resource":"r","token_type":"Bearer","client_id":"c"}"#;
    let (heard, outcome) = answered(&socket, "200 OK", body).await;
    assert!(heard.starts_with("POST /node/v1/token HTTP/1.1\r\n"), "{heard}");
    let Ok(token) = outcome else { panic!("no token") };
    assert_eq!(token.secret.expose(Reason::Test), "t");
    assert_eq!((token.expires_on, token.not_before, token.client_id.as_str()), (20, 10, "c"));
}

#[tokio::test]
async fn a_refusal_is_told_from_an_outage() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("admin.sock");
    let outcome = AdminSocket::new(socket.clone()).token(&request()).await;
    assert!(matches!(outcome, Err(SourceError::Unreachable(_))));
    for (status, body, is_refusal) in [
        ("403 Forbidden", r#"{"code":"no_identity","message":"m"}"#, true),
        ("400 Bad Request", r#"{"code":"unknown_resource","message":"m"}"#, true),
        ("503 Service Unavailable", r#"{"code":"unavailable","message":"m"}"#, false),
        ("500 Internal Server Error", "oops", false),
        ("404 Not Found", "", false),
        ("200 OK", r#"{"access_token":"canary","expires_on":"wrong"}"#, false),
        ("200 OK", "", false),
    ] {
        let (_, outcome) = answered(&socket, status, body).await;
        match outcome {
            Err(SourceError::Refused { code, message }) => {
                assert!(is_refusal && code != ErrorCode::Other && message == "m", "{status} {body}");
            }
            Err(SourceError::Unreachable(reason)) => {
                assert!(!is_refusal && !reason.contains("canary"), "{status} {body}")
            }
            Ok(_) => panic!("a token out of {status} {body}"),
        }
    }
}

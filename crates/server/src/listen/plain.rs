//! The plain listener, for the two things that are of no use behind TLS: there an ACME server sees that a name is ours
//! (RFC 8555 §8.3), and there is what certificate authorities publish, which those need who are about to judge a
//! certificate (RFC 5280 §8, §4.2.1.13). Both are public, and the second is signed. Nothing else is reached through it:
//! no token is asked for, and none is looked at, where everybody on the way could read it.
//!
//! A connection has one request, a small head and a few seconds; there are few connections at once.

use std::convert::Infallible;
use std::sync::Arc;

use http::Method;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::ACCEPT_PAUSE;
use crate::http::plane::{Connection, Door};
use crate::http::{Service, reply};
use crate::limits;
use crate::outside::{CHALLENGES, ChallengeAnswers};

/// Answers challenges, and of `service` what may be known without TLS, until `stop`.
pub async fn serve_plain_http<A: Send + Sync + 'static>(
    listener: TcpListener,
    answers: Arc<ChallengeAnswers>,
    service: Arc<Service<A>>,
    stop: CancellationToken,
) {
    let slots = Arc::new(Semaphore::new(limits::PLAIN_CONNECTIONS_MAX));
    loop {
        let accepted = async {
            let permit = slots.clone().acquire_owned().await.ok()?;
            match listener.accept().await {
                Ok((stream, remote)) => Some((stream, remote, permit)),
                Err(error) => {
                    tracing::warn!(%error, "a plain connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    None
                }
            }
        };
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            accepted = accepted => accepted,
        };
        let Some((stream, remote, permit)) = accepted else { continue };
        let (answers, service, stop) = (answers.clone(), service.clone(), stop.clone());
        tokio::spawn(async move {
            let _permit = permit;
            let connection = Connection { door: Door::Http, remote: Some(remote), tls: false, peer: None };
            let answering = timeout(limits::PLAIN_TIMEOUT, answer(stream, connection, &answers, &service));
            let _ = stop.run_until_cancelled(answering).await;
        });
    }
}

async fn answer<A: Send + Sync + 'static>(
    stream: TcpStream,
    connection: Connection,
    answers: &ChallengeAnswers,
    service: &Service<A>,
) {
    let answering = service_fn(async |request: http::Request<Incoming>| {
        let path = request.uri().path();
        Ok::<_, Infallible>(if path.starts_with(CHALLENGES) {
            let asked = *request.method() == Method::GET;
            reply::challenge(asked.then(|| answers.answer(path)).flatten())
        } else {
            service.dispatch(connection, request).await
        })
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits::PLAIN_TIMEOUT)
        .max_buf_size(limits::PLAIN_HEAD_BYTES_MAX)
        .max_headers(limits::PLAIN_HEADERS_MAX)
        .keep_alive(false);
    if let Err(error) = builder.serve_connection(TokioIo::new(stream), answering).await {
        tracing::debug!(%error, "a plain connection ended early");
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use uuid::Uuid;

    use super::*;
    use crate::adapters::SystemClock;
    use crate::http::tests::service;
    use crate::limits::Limits;

    async fn say(address: std::net::SocketAddr, words: &str) -> io::Result<String> {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(words.as_bytes()).await?;
        let mut heard = Vec::new();
        // A refused head may end in a reset; what came before it counts.
        let _ = stream.read_to_end(&mut heard).await;
        Ok(String::from_utf8_lossy(&heard).into_owned())
    }

    #[tokio::test]
    async fn challenges_are_answered_under_every_name_and_only_at_their_place() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let answers = Arc::new(ChallengeAnswers::new(Arc::new(SystemClock)));
        assert!(answers.publish("token", "token.thumb", Uuid::nil()));
        let stop = CancellationToken::new();
        let serving =
            tokio::spawn(serve_plain_http(listener, answers, service(Limits::default()), stop.clone()));
        let well_known = "/.well-known/acme-challenge";
        let ask = |line: String| format!("{line} HTTP/1.1\r\nHost: app.example.test\r\n\r\n");
        let good = say(address, &ask(format!("GET {well_known}/token"))).await.unwrap();
        assert!(good.starts_with("HTTP/1.1 200") && good.ends_with("\r\n\r\ntoken.thumb"), "{good}");
        for line in [
            format!("GET {well_known}/other"),
            format!("GET {well_known}/"),
            format!("HEAD {well_known}/token"),
            format!("POST {well_known}/token"),
        ] {
            let answer = say(address, &ask(line.clone())).await.unwrap();
            assert!(answer.starts_with("HTTP/1.1 404") && answer.ends_with("\r\n\r\n"), "{line}: {answer}");
        }
        for line in ["GET /v1.0/me", "GET /", "GET /.well-known/acme-challenge"] {
            let answer = say(address, &ask(line.to_owned())).await.unwrap();
            assert!(answer.starts_with("HTTP/1.1 421"), "{line}: {answer}");
        }
        let long = ask(format!("GET /{}", "x".repeat(2 * limits::PLAIN_HEAD_BYTES_MAX)));
        assert!(!say(address, &long).await.unwrap().starts_with("HTTP/1.1 200"));
        stop.cancel();
        serving.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_says_nothing_or_drips_ends() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let answers = Arc::new(ChallengeAnswers::new(Arc::new(SystemClock)));
        let stop = CancellationToken::new();
        tokio::spawn(serve_plain_http(listener, answers, service(Limits::default()), stop.clone()));
        assert_eq!(say(address, "").await.unwrap(), "");
        assert!(!say(address, "GET / HTTP/1.1\r\nHost: a\r\n").await.unwrap().starts_with("HTTP/1.1 2"));
        stop.cancel();
    }
}

//! The plain listener where an ACME server sees that a name is ours (RFC 8555 §8.3). It knows answers to challenges and
//! nothing else of the server: no route, no vault, no identity is reached through it.
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
use crate::http::reply;
use crate::limits;
use crate::outside::ChallengeAnswers;

/// Answers challenges until `stop`.
pub async fn answer_challenges(
    listener: TcpListener,
    answers: Arc<ChallengeAnswers>,
    stop: CancellationToken,
) {
    let slots = Arc::new(Semaphore::new(limits::CHALLENGE_CONNECTIONS_MAX));
    loop {
        let accepted = async {
            let permit = slots.clone().acquire_owned().await.ok()?;
            match listener.accept().await {
                Ok((stream, _)) => Some((stream, permit)),
                Err(error) => {
                    tracing::warn!(%error, "a connection for a challenge could not be accepted");
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
        let Some((stream, permit)) = accepted else { continue };
        let (answers, stop) = (answers.clone(), stop.clone());
        tokio::spawn(async move {
            let _permit = permit;
            let answering = timeout(limits::CHALLENGE_TIMEOUT, answer(stream, &answers));
            let _ = stop.run_until_cancelled(answering).await;
        });
    }
}

async fn answer(stream: TcpStream, answers: &ChallengeAnswers) {
    let service = service_fn(|request: http::Request<Incoming>| {
        let found = match *request.method() {
            Method::GET => answers.answer(request.uri().path()),
            _ => None,
        };
        std::future::ready(Ok::<_, Infallible>(reply::challenge(found)))
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits::CHALLENGE_TIMEOUT)
        .max_buf_size(limits::CHALLENGE_HEAD_BYTES_MAX)
        .max_headers(limits::CHALLENGE_HEADERS_MAX)
        .keep_alive(false);
    if let Err(error) = builder.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "a connection for a challenge ended early");
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use uuid::Uuid;

    use super::*;
    use crate::adapters::SystemClock;

    async fn say(address: std::net::SocketAddr, words: &str) -> io::Result<String> {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(words.as_bytes()).await?;
        let mut heard = Vec::new();
        // A refused head may end in a reset; what came before it counts.
        let _ = stream.read_to_end(&mut heard).await;
        Ok(String::from_utf8_lossy(&heard).into_owned())
    }

    #[tokio::test]
    async fn the_listener_knows_answers_to_challenges_and_nothing_else() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let answers = Arc::new(ChallengeAnswers::new(Arc::new(SystemClock)));
        assert!(answers.publish("token", "token.thumb", Uuid::nil()));
        let stop = CancellationToken::new();
        let serving = tokio::spawn(answer_challenges(listener, answers, stop.clone()));
        let well_known = "/.well-known/acme-challenge";
        let ask = |line: String| format!("{line} HTTP/1.1\r\nHost: app.example.test\r\n\r\n");
        let good = say(address, &ask(format!("GET {well_known}/token"))).await.unwrap();
        assert!(good.starts_with("HTTP/1.1 200") && good.ends_with("\r\n\r\ntoken.thumb"), "{good}");
        for line in [
            format!("GET {well_known}/other"),
            format!("GET {well_known}/"),
            format!("HEAD {well_known}/token"),
            format!("POST {well_known}/token"),
            "GET /health/live".to_owned(),
            "GET /certificates/web?api-version=7.4".to_owned(),
            "GET /".to_owned(),
        ] {
            let answer = say(address, &ask(line.clone())).await.unwrap();
            assert!(answer.starts_with("HTTP/1.1 404") && answer.ends_with("\r\n\r\n"), "{line}: {answer}");
        }
        let long = ask(format!("GET /{}", "x".repeat(2 * limits::CHALLENGE_HEAD_BYTES_MAX)));
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
        tokio::spawn(answer_challenges(listener, answers, stop.clone()));
        assert_eq!(say(address, "").await.unwrap(), "");
        assert!(!say(address, "GET / HTTP/1.1\r\nHost: a\r\n").await.unwrap().starts_with("HTTP/1.1 2"));
        stop.cancel();
    }
}

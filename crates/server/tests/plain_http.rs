//! The listener without TLS: what authorities publish, and nothing else of the server.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail the test where they stand")]

#[path = "support/mod.rs"]
mod support;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use support::{Connection, InProcess};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use vouchsafe_domain::resource::VaultToPut;
use vouchsafe_server::http::plane::Door;
use vouchsafe_server::http::route::Plane;
use vouchsafe_server::listen::serve_plain_http;
use vouchsafe_server::outside::ChallengeAnswers;

use crate::support::Ask;

const HTTP: Connection = Connection { door: Door::Http, remote: None, tls: false, peer: None };
const VAULT: &str = "app.vault.localhost:8443";

/// The server, and where it listens.
struct Listening {
    server: InProcess,
    address: SocketAddr,
    stop: CancellationToken,
}

impl Listening {
    async fn start() -> Self {
        let server = InProcess::found(95).await;
        server.opened.put_vault(server.memory.home, "app", &VaultToPut::default()).await;
        let answers = Arc::new(ChallengeAnswers::new(server.opened.clock.clone()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        tokio::spawn(serve_plain_http(listener, answers, server.service.clone(), stop.clone()));
        Self { server, address, stop }
    }

    async fn say(&self, words: &str) -> io::Result<String> {
        let mut stream = TcpStream::connect(self.address).await?;
        stream.write_all(words.as_bytes()).await?;
        let mut heard = Vec::new();
        // A refused head may end in a reset; what came before it counts.
        let _ = stream.read_to_end(&mut heard).await;
        Ok(String::from_utf8_lossy(&heard).into_owned())
    }

    /// The status and the body of the answer to a request without a body.
    async fn ask(&self, line: &str, host: &str) -> (u16, String) {
        let answer = self.say(&format!("{line} HTTP/1.1\r\nHost: {host}\r\n\r\n")).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{line}: {answer}"));
        (head[9..12].parse().unwrap(), body.to_owned())
    }
}

#[tokio::test]
async fn every_route_is_reached_over_tls_only_but_those_of_what_authorities_publish() {
    let listening = Listening::start().await;
    let service = &listening.server.service;
    let (mut open, mut closed) = (0, 0);
    for route in service.parts().table.routes() {
        let host = match route.plane {
            Plane::KeyVault | Plane::Pki => VAULT,
            _ => "localhost:8443",
        };
        let path = route.samples().into_iter().next().expect("an address of every route");
        let base = if route.plane == Plane::Graph { "/graph" } else { "" };
        let ask = Ask::new(&route.method, host, &format!("{base}{path}")).bearer("a-token");
        let answer = listening.server.ask(HTTP, &ask).await;
        if route.plane == Plane::Pki {
            assert_ne!(answer.status, 421, "{ask:?}: {}", answer.body);
            open += 1;
        } else {
            assert_eq!(answer.status, 421, "{ask:?}: {}", answer.body);
            assert!(answer.body.contains("https") || ask.method == "HEAD", "{}", answer.body);
            assert_eq!(answer.challenge(), None, "a client would answer it with a token");
            closed += 1;
        }
        assert!(answer.headers.get("strict-transport-security").is_none(), "RFC 6797 §7.2");
    }
    assert!(open >= 4 && closed >= 80, "{open} open, {closed} closed");
    // The same through the real listener, and for what is not ours at all.
    assert_eq!(listening.ask("GET /secrets/n?api-version=7.4", VAULT).await.0, 421);
    assert_eq!(listening.ask("GET /healthz", "localhost").await.0, 421);
    assert_eq!(listening.ask("GET /", "elsewhere.example").await.0, 421);
    let nobody = format!("GET /pki/{}/crl", Uuid::nil());
    assert_eq!(listening.ask(&nobody, VAULT).await.0, 404);
    listening.stop.cancel();
}

//! The way out, against servers that are where they must not be, or say what they should not.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use rustls::ServerConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use vouchsafe_domain::ports::CertificateIssuer;
use vouchsafe_domain::ports::issuer::{IssuerAccount, IssuerError};
use vouchsafe_server::limits;
use vouchsafe_server::outside::{Acme, AcmeSettings, ChallengeAnswers, Egress, EgressError, Network};

use vouchsafe_testkit::world::SteeredClock;

/// Makes an answer of what was heard at a port.
type Act = Arc<dyn Fn(&str, u16) -> String + Send + Sync>;

/// What a server on loopback does with everybody who comes.
#[derive(Clone)]
enum Manner {
    /// Says this, and closes.
    Says(String),
    /// Says a head, and then one byte a second.
    Drips,
    /// Says nothing.
    Silent,
    /// Answers each request in turn with what belongs to its path.
    Acts(Act),
}

/// A server with a certificate for `localhost` and `127.0.0.1`; what was asked of it is counted.
struct Hostile {
    directory: tempfile::TempDir,
    port: u16,
    asked: Arc<std::sync::atomic::AtomicUsize>,
}

impl Hostile {
    async fn start(manner: Manner) -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let wanted =
            rcgen::CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        let certificate = wanted.self_signed(&key).unwrap();
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("ca.pem"), certificate.pem()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config =
            ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let private = rustls_pki_types::PrivatePkcs8KeyDer::from(key.serialize_der()).into();
        let chain = vec![certificate.der().clone()];
        let config = config.with_no_client_auth().with_single_cert(chain, private).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let counted = asked.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, manner, counted) = (acceptor.clone(), manner.clone(), counted.clone());
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else { return };
                    let mut heard = vec![0; 16 * 1024];
                    let read = stream.read(&mut heard).await.unwrap_or(0);
                    counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                    let heard = String::from_utf8_lossy(&heard[..read]).into_owned();
                    let said = match manner {
                        Manner::Says(words) => words,
                        Manner::Acts(act) => act(&heard, port),
                        Manner::Silent => return std::future::pending().await,
                        Manner::Drips => {
                            let _ =
                                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n").await;
                            while stream.write_all(b"x").await.is_ok() {
                                tokio::time::sleep(Duration::from_secs(1)).await;
                            }
                            return;
                        }
                    };
                    let _ = stream.write_all(said.as_bytes()).await;
                    let _ = stream.shutdown().await;
                });
            }
        });
        Self { directory, port, asked }
    }

    fn ca(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    fn asked(&self) -> usize {
        self.asked.load(std::sync::atomic::Ordering::SeqCst)
    }

    async fn fetch(&self, egress: &Egress) -> Result<Bytes, EgressError> {
        let request =
            Request::get(format!("https://localhost:{}/dir", self.port)).body(Bytes::new()).unwrap();
        egress.fetch(request).await.map(http::Response::into_body)
    }
}

fn loopback() -> Vec<Network> {
    vec!["127.0.0.0/8".parse().unwrap(), "::1".parse().unwrap()]
}

fn answer(head: &str, body: &str) -> String {
    format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn loopback_is_reached_only_when_it_is_listed_and_the_certificate_is_trusted() {
    let server = Hostile::start(Manner::Says(answer("200 OK", "hello"))).await;
    let listed = Egress::new(Some(&server.ca()), loopback()).unwrap();
    assert_eq!(server.fetch(&listed).await.unwrap(), "hello");
    let not_listed = Egress::new(Some(&server.ca()), vec!["10.0.0.0/8".parse().unwrap()]).unwrap();
    assert!(matches!(server.fetch(&not_listed).await, Err(EgressError::Forbidden { .. })));
    assert_eq!(server.asked(), 1, "nothing was sent to a forbidden address");
    let not_trusted = Egress::new(None, loopback()).unwrap();
    assert!(matches!(server.fetch(&not_trusted).await, Err(EgressError::Unreachable { .. })));
    for wrong in ["http://localhost/dir", "https://user@localhost/dir", "/dir"] {
        let request = Request::get(wrong).body(Bytes::new()).unwrap();
        assert!(matches!(listed.fetch(request).await, Err(EgressError::NotHttps(_))), "{wrong}");
    }
    assert_eq!(server.asked(), 1);
}

#[tokio::test]
async fn redirects_long_answers_and_long_heads_are_refused() {
    let redirect =
        Hostile::start(Manner::Says(answer("302 Found\r\nLocation: https://localhost/", ""))).await;
    let egress = Egress::new(Some(&redirect.ca()), loopback()).unwrap();
    assert!(matches!(redirect.fetch(&egress).await, Err(EgressError::Redirect(_))));
    assert_eq!(redirect.asked(), 1);
    let most = "x".repeat(limits::EGRESS_ANSWER_BYTES_MAX);
    let long = Hostile::start(Manner::Says(answer("200 OK", &most))).await;
    let egress = Egress::new(Some(&long.ca()), loopback()).unwrap();
    assert_eq!(long.fetch(&egress).await.unwrap().len(), most.len());
    let long = Hostile::start(Manner::Says(answer("200 OK", &format!("{most}x")))).await;
    let egress = Egress::new(Some(&long.ca()), loopback()).unwrap();
    assert!(matches!(long.fetch(&egress).await, Err(EgressError::TooLong(_))));
    let head = "x".repeat(2 * limits::EGRESS_HEAD_BYTES_MAX);
    let long = Hostile::start(Manner::Says(answer(&format!("200 OK\r\nA: {head}"), ""))).await;
    let egress = Egress::new(Some(&long.ca()), loopback()).unwrap();
    assert!(matches!(long.fetch(&egress).await, Err(EgressError::Unreadable { .. })));
}

#[tokio::test(start_paused = true)]
async fn who_says_nothing_or_drips_is_left() {
    for manner in [Manner::Silent, Manner::Drips] {
        let server = Hostile::start(manner).await;
        let egress = Egress::new(Some(&server.ca()), loopback()).unwrap();
        assert!(matches!(server.fetch(&egress).await, Err(EgressError::Slow(_))));
    }
}

/// An ACME server as bad as they come, of which only the directory is right.
async fn registered(manner: Manner) -> (Result<(), IssuerError>, Hostile) {
    let server = Hostile::start(manner).await;
    let settings = AcmeSettings {
        directories: [("bad".to_owned(), format!("https://localhost:{}/dir", server.port))].into(),
        roots: Some(server.ca()),
        networks: loopback(),
    };
    let clock = Arc::new(SteeredClock::at(1_800_000_000_000));
    let acme = Acme::new(&settings, Arc::new(ChallengeAnswers::new(clock.clone())), clock.clone()).unwrap();
    let account = IssuerAccount { account: Some("bad"), password: None, mails: &[], registration: None };
    let first = acme.register(&account).await.map(drop);
    let asked = server.asked();
    if matches!(first, Err(IssuerError::Unavailable { .. })) && asked == 1 {
        // Who did not answer is left alone for a while, and then asked again.
        assert!(matches!(acme.register(&account).await, Err(IssuerError::Unavailable { .. })));
        assert_eq!(server.asked(), asked);
        clock.forward(Duration::from_secs(u64::from(limits::ACME_RETRY_SECONDS)));
        assert!(acme.register(&account).await.is_err());
        assert!(server.asked() > asked);
    }
    (first, server)
}

fn directory(port: u16, host: &str) -> String {
    let at = |name: &str| format!("https://{host}:{port}/{name}");
    let body =
        serde_json::json!({"newNonce": at("nonce"), "newAccount": at("account"), "newOrder": at("order")});
    answer("200 OK", &body.to_string())
}

#[tokio::test]
async fn an_authority_that_refuses_every_nonce_is_given_up() {
    let acts = |heard: &str, port| {
        if heard.starts_with("GET /dir") {
            directory(port, "localhost")
        } else if heard.starts_with("HEAD /nonce") {
            "HTTP/1.1 200 OK\r\nReplay-Nonce: abc\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                .to_owned()
        } else {
            let problem = r#"{"type":"urn:ietf:params:acme:error:badNonce","detail":"no"}"#;
            answer("400 Bad Request\r\nReplay-Nonce: abc", problem)
        }
    };
    let (error, server) = registered(Manner::Acts(Arc::new(acts))).await;
    assert!(matches!(error, Err(IssuerError::Unavailable { .. })), "{error:?}");
    assert!(server.asked() < 10, "asked {} times", server.asked());
}

#[tokio::test]
async fn an_authority_that_refers_to_somewhere_else_is_not_followed() {
    // Where it refers to there is somebody, with a certificate that is trusted: only the address is not the directory's.
    let beside = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let other = beside.local_addr().unwrap().port();
    let elsewhere: [fn(u16, u16) -> String; 2] =
        [|port, _| directory(port, "127.0.0.1"), |_, other| directory(other, "localhost")];
    for refers in elsewhere {
        let acts = move |heard: &str, port| {
            if heard.starts_with("GET /dir") { refers(port, other) } else { answer("200 OK", "{}") }
        };
        let (error, server) = registered(Manner::Acts(Arc::new(acts))).await;
        assert!(matches!(error, Err(IssuerError::Unavailable { .. })), "{error:?}");
        assert_eq!(server.asked(), 2, "the directory each time, and nothing that it refers to");
        let came = tokio::time::timeout(Duration::ZERO, beside.accept()).await;
        assert!(came.is_err(), "another port was connected to");
    }
}

#[tokio::test]
async fn an_authority_that_fails_is_left_alone_for_a_while() {
    let (error, _) = registered(Manner::Says(answer("503 Unavailable\r\nRetry-After: 7", "{}"))).await;
    assert_eq!(error, Err(IssuerError::Unavailable { retry_after_seconds: 7 }));
    let (error, _) = registered(Manner::Says(answer("200 OK", "not a directory"))).await;
    assert!(matches!(error, Err(IssuerError::Unavailable { .. })), "{error:?}");
}

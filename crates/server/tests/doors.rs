//! The doors as clients meet them: real sockets, real TLS, foreign clients where they are installed.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail the test where they stand")]

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Method, Request as HttpRequest};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixStream};
use tokio::sync::{Notify, Semaphore};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use vouchsafe_domain::ports::Clock;
use vouchsafe_server::adapters::{SystemClock, SystemEntropy};
use vouchsafe_server::http::plane::{Host, Names};
use vouchsafe_server::http::problem::Problem;
use vouchsafe_server::http::reply::{Reply, Success};
use vouchsafe_server::http::route::{Guard, Plane, Route, Table};
use vouchsafe_server::http::{Handler, Parts, Request, Service, answer};
use vouchsafe_server::limits::Limits;
use vouchsafe_server::listen::{AdminSocket, Doors};
use vouchsafe_server::telemetry::Telemetry;
use vouchsafe_server::tls::authority::Authority;
use vouchsafe_server::tls::files::CertificateFiles;
use vouchsafe_server::tls::{CertificateNames, MainCertificate, Tls};

struct App {
    entered: Notify,
    release: Semaphore,
}

async fn echo(_: Arc<App>, mut request: Request) -> Result<Reply, Problem> {
    let body = request.body().await?;
    let peer = request.head.connection.peer.map_or(String::new(), |peer| format!("uid {}", peer.uid));
    Ok(Reply::text(Success::Ok, "text/plain", format!("{}{peer}", String::from_utf8_lossy(&body))))
}

async fn wait(app: Arc<App>, _: Request) -> Result<Reply, Problem> {
    app.entered.notify_one();
    app.release.acquire().await.unwrap().forget();
    Ok(Reply::text(Success::Ok, "text/plain", "finished".to_owned()))
}

fn panics(_: Arc<App>, _: Request) -> BoxFuture<'static, Reply> {
    panic!("on purpose")
}

struct Running {
    app: Arc<App>,
    service: Arc<Service<App>>,
    doors: Doors<App>,
    tls: Arc<Tls>,
    address: SocketAddr,
    directory: tempfile::TempDir,
}

fn row(
    plane: Plane,
    method: Method,
    pattern: &'static str,
    guard: Guard,
    handler: Handler<App>,
) -> Route<Handler<App>> {
    let name: &'static str = Box::leak(format!("{method} {pattern}").into_boxed_str());
    Route { plane, method, pattern, name, guard, handler }
}

fn host(raw: &str) -> Host {
    Host::parse(raw).unwrap()
}

async fn run(limits: Limits) -> Running {
    let names = CertificateNames { vault_suffix: host("vault.localhost"), extra: Vec::new() };
    run_with(limits, MainCertificate::Issued(names)).await
}

async fn run_with(limits: Limits, main: MainCertificate) -> Running {
    let table = Table::new([
        row(Plane::Operations, Method::GET, "/healthz", Guard::None, |a, r| answer(echo(a, r))),
        row(Plane::KeyVault, Method::PUT, "/secrets/{name}", Guard::None, |a, r| answer(echo(a, r))),
        row(Plane::KeyVault, Method::GET, "/secrets/{name}/{version?}", Guard::None, |a, r| {
            answer(wait(a, r))
        }),
        row(Plane::Arm, Method::GET, "/tenants", Guard::None, panics),
        row(Plane::Admin, Method::GET, "/admin/v1/status", Guard::KernelPeer, |a, r| answer(echo(a, r))),
    ])
    .unwrap();
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let now = SystemClock.now();
    let (authority, _) = Authority::generate(now, &SystemEntropy).unwrap();
    let tls = Arc::new(Tls::new(authority, main, true, now, &SystemEntropy).unwrap());
    tls.write_trust(directory.path()).unwrap();
    let app = Arc::new(App { entered: Notify::new(), release: Semaphore::new(0) });
    let service = Arc::new(Service::new(Parts {
        app: app.clone(),
        table,
        names: Names {
            primary: host("localhost"),
            others: vec![host("127.0.0.1")],
            vault_suffix: host("vault.localhost"),
            capture: true,
        },
        before_route: None,
        before_handler: None,
        limits,
        telemetry: Arc::new(Telemetry::new("0", |_| {})),
        readiness: Arc::default(),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
    }));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let doors = Doors::new(service.clone());
    doors.open_tls(listener, tls.server_config());
    service.parts().readiness.ready();
    Running { app, service, doors, tls, address, directory }
}

impl Running {
    fn metric(&self, line: &str) -> bool {
        self.service.parts().telemetry.render().contains(line)
    }

    async fn connect(&self, name: &'static str, alpn: &[u8]) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from(self.tls.authority().certificate_der().to_vec())).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![alpn.to_vec()];
        // Small buffers, so that a client that is still sending is one also on loopback.
        let socket = TcpSocket::new_v4()?;
        socket.set_send_buffer_size(8 * 1024)?;
        let stream = socket.connect(self.address).await?;
        TlsConnector::from(Arc::new(config)).connect(ServerName::try_from(name).unwrap(), stream).await
    }
}

/// Sends raw text and reads until the server closes, or says that it does not within ten seconds.
async fn raw(stream: &mut TlsStream<TcpStream>, text: &[u8]) -> String {
    let _ = stream.write_all(text).await;
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await;
    assert!(
        read.is_ok(),
        "the server keeps the connection open after {:?}",
        String::from_utf8_lossy(&answer)
    );
    String::from_utf8_lossy(&answer).into_owned()
}

fn put(path: &str, body: impl Into<Bytes>) -> HttpRequest<Full<Bytes>> {
    let url = format!("https://app.vault.localhost{path}");
    HttpRequest::put(url).header("host", "app.vault.localhost").body(Full::new(body.into())).unwrap()
}

fn get(url: &str) -> HttpRequest<Full<Bytes>> {
    let uri: http::Uri = url.parse().unwrap();
    let host = uri.host().unwrap().to_owned();
    HttpRequest::get(uri).header("host", host).body(Full::default()).unwrap()
}

type H1 = hyper::client::conn::http1::SendRequest<Full<Bytes>>;
type H2 = hyper::client::conn::http2::SendRequest<Full<Bytes>>;

async fn http1(stream: TlsStream<TcpStream>) -> H1 {
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

async fn http2(stream: TlsStream<TcpStream>) -> H2 {
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (sender, connection) = handshake.await.unwrap();
    tokio::spawn(connection);
    sender
}

async fn text(response: hyper::Response<hyper::body::Incoming>) -> (u16, String) {
    let status = response.status().as_u16();
    (status, String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap())
}

#[tokio::test]
async fn both_http_versions_are_served_over_tls_to_our_names_and_captured_ones() {
    let server = run(Limits::default()).await;
    let mut h1 = http1(server.connect("app.vault.localhost", b"http/1.1").await.unwrap()).await;
    assert_eq!(text(h1.send_request(put("/secrets/a", "one")).await.unwrap()).await, (200, "one".to_owned()));
    assert_eq!(text(h1.send_request(put("/secrets/b", "two")).await.unwrap()).await, (200, "two".to_owned()));
    let mut h2 = http2(server.connect("localhost", b"h2").await.unwrap()).await;
    assert_eq!(
        text(h2.send_request(put("/secrets/a", "three")).await.unwrap()).await,
        (200, "three".to_owned())
    );
    let captured = server.connect("myvault.vault.azure.net", b"http/1.1").await.unwrap();
    let mut captured = http1(captured).await;
    let (status, body) =
        text(captured.send_request(get("https://myvault.vault.azure.net/nothing")).await.unwrap()).await;
    assert_eq!(status, 404);
    assert!(body.contains("NotFound"), "{body}");
    assert!(server.connect("example.com", b"h2").await.is_err(), "no certificate for strangers");
}

#[tokio::test(flavor = "multi_thread")]
async fn draining_finishes_what_is_in_flight_and_accepts_nothing_new() {
    let server = run(Limits::default()).await;
    let mut busy = http1(server.connect("localhost", b"http/1.1").await.unwrap()).await;
    let mut busy2 = http2(server.connect("localhost", b"h2").await.unwrap()).await;
    let _silent = server.connect("localhost", b"http/1.1").await.unwrap();
    let url = "https://app.vault.localhost/secrets/slow";
    let first = tokio::spawn(async move { text(busy.send_request(get(url)).await.unwrap()).await });
    server.app.entered.notified().await;
    let second = tokio::spawn(async move { text(busy2.send_request(get(url)).await.unwrap()).await });
    server.app.entered.notified().await;

    let Running { app, service, doors, address, .. } = server;
    assert!(service.parts().readiness.is_ready());
    let draining = tokio::spawn(doors.drain(Duration::ZERO));
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!service.parts().readiness.is_ready());
    assert!(!draining.is_finished());
    app.release.add_permits(2);
    assert_eq!(first.await.unwrap(), (200, "finished".to_owned()));
    assert_eq!(second.await.unwrap(), (200, "finished".to_owned()));
    assert_eq!(draining.await.unwrap().cut, 0);
}

#[tokio::test]
async fn draining_gives_up_on_what_does_not_finish() {
    let server = run(Limits { drain_timeout: Duration::from_millis(50), ..Limits::default() }).await;
    let mut stuck = http1(server.connect("localhost", b"http/1.1").await.unwrap()).await;
    let request = tokio::spawn(async move {
        stuck.send_request(get("https://app.vault.localhost/secrets/x")).await.is_err()
    });
    server.app.entered.notified().await;
    assert_eq!(server.doors.drain(Duration::ZERO).await.cut, 1);
    assert!(request.await.unwrap());
}

#[tokio::test]
async fn heads_that_are_too_large_are_refused_on_both_versions() {
    let server = run(Limits { header_bytes_max: 16 * 1024, ..Limits::default() }).await;
    let large = "a".repeat(32 * 1024);
    let mut stream = server.connect("localhost", b"http/1.1").await.unwrap();
    // So much that the client is still sending when it is refused; many give up at the first failed write.
    let head = format!("GET /healthz HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n", "a".repeat(900 * 1024));
    stream.write_all(head.as_bytes()).await.unwrap();
    let answer = raw(&mut stream, b"").await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");

    let mut many = server.connect("localhost", b"http/1.1").await.unwrap();
    let fields: String = (0..101).map(|n| format!("x{n}: y\r\n")).collect();
    let answer =
        raw(&mut many, format!("GET /healthz HTTP/1.1\r\nhost: localhost\r\n{fields}\r\n").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");

    let mut h2 = http2(server.connect("localhost", b"h2").await.unwrap()).await;
    let mut request = get("https://localhost/healthz");
    request.headers_mut().insert("x", large.parse().unwrap());
    let refused = h2.send_request(request).await;
    assert!(refused.map_or(true, |response| response.status() == 431));
}

#[tokio::test]
async fn bodies_that_are_too_large_are_refused_announced_or_not() {
    let server = run(Limits { body_bytes_max: 1000, ..Limits::default() }).await;
    let mut h1 = http1(server.connect("localhost", b"http/1.1").await.unwrap()).await;
    let (status, body) = text(h1.send_request(put("/secrets/a", vec![b'x'; 1001])).await.unwrap()).await;
    assert_eq!(status, 413);
    assert!(body.contains("RequestEntityTooLarge"), "{body}");

    let mut stream = server.connect("localhost", b"http/1.1").await.unwrap();
    let head = "PUT /secrets/a HTTP/1.1\r\nhost: app.vault.localhost\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n";
    let chunks = format!("{head}3e8\r\n{}\r\n1\r\ny\r\n0\r\n\r\n", "x".repeat(1000));
    assert!(raw(&mut stream, chunks.as_bytes()).await.starts_with("HTTP/1.1 413"));

    let mut stream = server.connect("localhost", b"http/1.1").await.unwrap();
    let chunks = format!("{head}3e8\r\n{}\r\n0\r\n\r\n", "x".repeat(1000));
    assert!(raw(&mut stream, chunks.as_bytes()).await.starts_with("HTTP/1.1 200"));

    // Announced bodies are refused before they are sent.
    let mut stream = server.connect("localhost", b"http/1.1").await.unwrap();
    let head =
        "PUT /secrets/a HTTP/1.1\r\nhost: app.vault.localhost\r\ncontent-length: 99999999999999999\r\n\r\n";
    assert!(raw(&mut stream, head.as_bytes()).await.starts_with("HTTP/1.1 413"));
}

#[tokio::test]
async fn slow_heads_slow_bodies_slow_handshakes_and_silence_end() {
    let short = Duration::from_millis(100);
    let limits = Limits {
        header_timeout: short,
        body_timeout: short,
        handshake_timeout: short,
        idle_timeout: 5 * short,
        ..Limits::default()
    };
    let server = run(limits).await;

    let mut slow = server.connect("localhost", b"http/1.1").await.unwrap();
    assert_eq!(raw(&mut slow, b"GET /healthz HTTP/1.1\r\nhost: loc").await, "");
    assert!(server.metric("reason=\"header_slow\"} 1"));

    let mut slow = server.connect("localhost", b"http/1.1").await.unwrap();
    let head = b"PUT /secrets/a HTTP/1.1\r\nhost: app.vault.localhost\r\ncontent-length: 9\r\n\r\nhalf";
    let answer = raw(&mut slow, head).await;
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("RequestTimeout"), "{answer}");

    let mut bare = TcpStream::connect(server.address).await.unwrap();
    assert_eq!(bare.read(&mut [0; 8]).await.unwrap_or(0), 0);
    assert!(server.metric("reason=\"handshake_slow\"} 1"));

    for alpn in [&b"http/1.1"[..], b"h2"] {
        let mut silent = server.connect("localhost", alpn).await.unwrap();
        raw(&mut silent, b"").await;
    }
    assert!(server.metric("reason=\"header_slow\"} 1"), "silence is not slowness");
}

#[tokio::test]
async fn garbage_ends_a_connection_and_nothing_else() {
    let server = run(Limits::default()).await;
    let mut plain = TcpStream::connect(server.address).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP"), "nothing is served without TLS");
    for garbage in
        [&b"\x00\xff\x00\xff\r\n\r\n"[..], b"GET  HTTP/9.9\r\n\r\n", b"GET /a b c HTTP/1.1\r\n\r\n"]
    {
        let mut stream = server.connect("localhost", b"http/1.1").await.unwrap();
        let answer = raw(&mut stream, garbage).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    let mut h1 = http1(server.connect("localhost", b"http/1.1").await.unwrap()).await;
    assert_eq!(text(h1.send_request(get("https://localhost/healthz")).await.unwrap()).await.0, 200);
}

#[tokio::test]
async fn a_panicking_handler_costs_one_request_and_not_the_connection() {
    let server = run(Limits::default()).await;
    let mut h1 = http1(server.connect("localhost", b"http/1.1").await.unwrap()).await;
    let (status, body) = text(h1.send_request(get("https://localhost/tenants")).await.unwrap()).await;
    assert_eq!(status, 500);
    assert!(body.contains("InternalServerError") && !body.contains("on purpose"), "{body}");
    assert_eq!(text(h1.send_request(get("https://localhost/healthz")).await.unwrap()).await.0, 200);
    assert!(server.metric("vouchsafe_http_panics_total 1"));
}

#[tokio::test]
async fn connections_over_the_limit_wait_until_one_ends() {
    let server = run(Limits { connections_max: 1, ..Limits::default() }).await;
    let first = server.connect("localhost", b"http/1.1").await.unwrap();
    let waiting = tokio::time::timeout(Duration::from_millis(200), server.connect("localhost", b"http/1.1"));
    assert!(waiting.await.is_err(), "the second connection is not even shaken hands with");
    drop(first);
    let mut second = http1(server.connect("localhost", b"http/1.1").await.unwrap()).await;
    assert_eq!(text(second.send_request(get("https://localhost/healthz")).await.unwrap()).await.0, 200);
}

#[tokio::test]
async fn certificate_files_are_taken_up_without_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let files =
        CertificateFiles { chain: directory.path().join("c.pem"), key: directory.path().join("k.pem") };
    let write = |name: &str| {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate =
            rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap().self_signed(&key).unwrap();
        std::fs::write(&files.chain, certificate.pem()).unwrap();
        std::fs::write(&files.key, key.serialize_pem()).unwrap();
        certificate.der().to_vec()
    };
    let first = write("localhost");
    let server = run_with(Limits::default(), MainCertificate::Files(files.clone())).await;
    let shown = async || {
        let mut roots = rustls::RootCertStore::empty();
        let der = CertificateDer::from_pem_file(&files.chain).unwrap();
        roots.add(der).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = TcpStream::connect(server.address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.ok()?;
        Some(stream.get_ref().1.peer_certificates()?[0].to_vec())
    };
    assert_eq!(shown().await, Some(first));
    let second = write("localhost");
    assert_eq!(shown().await, None, "not before the tick");
    assert!(server.tls.tick(SystemClock.now(), &SystemEntropy).main);
    assert_eq!(shown().await, Some(second));
}

fn run_command(program: &str, arguments: &[&str], environment: &[(&str, &Path)]) -> Option<(bool, String)> {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .env_remove("SSL_CERT_FILE")
        .envs(environment.iter().copied());
    let output = match command.output() {
        Ok(output) => output,
        Err(_) => {
            eprintln!("{program} is not installed: not run");
            return None;
        }
    };
    let text = [output.stdout, output.stderr].concat();
    Some((output.status.success(), String::from_utf8_lossy(&text).into_owned()))
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_tls_clients_trust_our_authority() {
    let server = run(Limits::default()).await;
    let (ca, port) = (server.directory.path().join("ca.pem"), server.address.port());
    let ca_text = ca.to_str().unwrap().to_owned();
    let asked = tokio::task::spawn_blocking(move || {
        let url = format!("https://localhost:{port}/healthz");
        let connect = format!("127.0.0.1:{port}");
        let resolve = format!("app.vault.localhost:{port}:127.0.0.1");
        let vault = format!("https://app.vault.localhost:{port}/nothing");
        let python = format!(
            "import socket,ssl\nc=ssl.create_default_context(cafile={ca_text:?})\nc.verify_flags|=ssl.VERIFY_X509_STRICT\nfor n in ('localhost','127.0.0.1','app.vault.localhost'):\n with socket.create_connection(('127.0.0.1',{port})) as s, c.wrap_socket(s,server_hostname=n) as t: print(t.version())"
        );
        let refused = format!(
            "import socket,ssl\nc=ssl.create_default_context(cafile={ca_text:?})\nwith socket.create_connection(('127.0.0.1',{port})) as s: c.wrap_socket(s,server_hostname='x.localhost')"
        );
        let node = format!(
            "fetch('{url}').then(r=>process.exit(r.status===200?0:1),e=>{{console.error(e);process.exit(2)}})"
        );
        let s_client = |version: &str, name: &str| {
            let arguments = [
                "s_client",
                "-connect",
                &connect,
                version,
                "-CAfile",
                &ca_text,
                "-verify_return_error",
                "-servername",
                name,
                "-verify_hostname",
                name,
            ];
            run_command("openssl", &arguments, &[])
        };
        [
            ("curl", true, run_command("curl", &["-sS", "--fail", "--cacert", &ca_text, &url], &[])),
            (
                "curl h1 vault",
                true,
                run_command(
                    "curl",
                    &["-sS", "--http1.1", "--resolve", &resolve, "--cacert", &ca_text, &vault],
                    &[],
                ),
            ),
            ("curl without the authority", false, run_command("curl", &["-sS", &url], &[])),
            ("openssl 1.3", true, s_client("-tls1_3", "localhost")),
            ("openssl 1.2", true, s_client("-tls1_2", "login.microsoftonline.com")),
            ("openssl 1.1", false, s_client("-tls1_1", "localhost")),
            ("python", true, run_command("python3", &["-c", &python], &[])),
            ("python x.localhost", false, run_command("python3", &["-c", &refused], &[])),
            ("node", true, run_command("node", &["-e", &node], &[("NODE_EXTRA_CA_CERTS", ca.as_path())])),
        ]
    });
    for (what, should, ran) in asked.await.unwrap() {
        if let Some((succeeded, text)) = ran {
            assert_eq!(succeeded, should, "{what}: {text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_admin_socket_admits_its_owner_and_refuses_another_user() {
    let server = run(Limits::default()).await;
    let private = server.directory.path().join("private");
    let path = private.join("admin.sock");
    server.doors.open_admin(AdminSocket::bind(&path).await.unwrap());
    let stream = UnixStream::connect(&path).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = HttpRequest::get("/admin/v1/status").body(Full::<Bytes>::default()).unwrap();
    let own = rustix::process::geteuid().as_raw();
    assert_eq!(text(sender.send_request(request).await.unwrap()).await, (200, format!("uid {own}")));

    if own != 0 {
        eprintln!("not root: another user cannot be tried");
        return;
    }
    let attempt = async |expected: &str| {
        let script = format!(
            "import socket,sys\ns=socket.socket(socket.AF_UNIX)\ns.settimeout(10)\ntry:\n s.connect({path:?})\nexcept PermissionError:\n print('mode'); sys.exit()\ntry:\n s.sendall(b'GET /admin/v1/status HTTP/1.1\\r\\n\\r\\n'); d=s.recv(99)\nexcept (BrokenPipeError,ConnectionResetError):\n d=b''\nprint('answered' if d else 'closed')"
        );
        let ran = tokio::task::spawn_blocking(move || {
            run_command(
                "setpriv",
                &["--reuid=65534", "--regid=65534", "--clear-groups", "/usr/bin/python3", "-c", &script],
                &[],
            )
        });
        match ran.await.unwrap() {
            Some((true, said)) => assert_eq!(said.trim(), expected),
            other => eprintln!("setpriv or python3 is not there: not run ({other:?})"),
        }
    };
    attempt("mode").await;
    // Somebody opens the file and its directory by mistake: the kernel's credentials still refuse.
    for (what, mode) in [(private.as_path(), 0o777), (path.as_path(), 0o666)] {
        std::fs::set_permissions(what, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    attempt("closed").await;
    assert!(server.metric("reason=\"foreign_user\"} 1"));
}

//! The forward proxy: what is ours, what is not, and what nobody gets through it.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::net::SocketAddr;
use std::process::Stdio;

use support::{BASH, PATIENCE, Setup, agent, assert_status, raw, says};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;

mod support;

/// A server that says its name and then repeats what it hears.
async fn echo(name: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                stream.write_all(name.as_bytes()).await.unwrap();
                let (mut read, mut write) = stream.split();
                let _ = tokio::io::copy(&mut read, &mut write).await;
            });
        }
    });
    address
}

async fn connect(proxy: SocketAddr, target: &str) -> (String, TcpStream) {
    let mut stream = TcpStream::connect(proxy).await.unwrap();
    stream
        .write_all(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n").as_bytes())
        .await
        .unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let byte = tokio::time::timeout(PATIENCE, stream.read_u8()).await.unwrap();
        head.push(byte.unwrap());
    }
    (String::from_utf8(head).unwrap(), stream)
}

async fn says_through(mut stream: TcpStream) -> String {
    stream.write_all(b" heard").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut text = String::new();
    tokio::time::timeout(PATIENCE, stream.read_to_string(&mut text)).await.unwrap().unwrap();
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn known_names_lead_to_us_and_others_to_themselves() {
    let (ours, theirs) = (echo("ours").await, echo("theirs").await);
    let agent = agent(Setup { server_tls: ours, ..Setup::default() }, |_| Ok("secret".to_owned())).await;
    for (target, expected) in [
        ("login.microsoftonline.com:443".to_owned(), "ours heard"),
        ("LOGIN.microsoftonline.com.:443".to_owned(), "ours heard"),
        ("demo.vault.localhost:8443".to_owned(), "ours heard"),
        (format!("127.0.0.1:{}", theirs.port()), "theirs heard"),
        (format!("localhost:{}", theirs.port()), "theirs heard"),
    ] {
        let (head, stream) = connect(agent.proxy(), &target).await;
        assert_status(&head, 200);
        assert_eq!(says_through(stream).await, expected, "{target}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_gets_where_only_the_agent_may_go() {
    let agent = agent(Setup::default(), |_| Ok("secret".to_owned())).await;
    let (imds, proxy) = (agent.imds().port(), agent.proxy().port());
    for target in [
        "169.254.169.254:80".to_owned(),
        "169.254.0.1:443".to_owned(),
        "0.0.0.0:443".to_owned(),
        "[::]:443".to_owned(),
        "[fe80::1]:443".to_owned(),
        "[::ffff:169.254.169.254]:80".to_owned(),
        "224.0.0.1:80".to_owned(),
        format!("127.0.0.1:{imds}"),
        format!("localhost:{imds}"),
        format!("127.0.0.2:{proxy}"),
    ] {
        let (head, _) = connect(agent.proxy(), &target).await;
        assert_status(&head, 403);
    }
    let plain = "GET http://169.254.169.254:8080/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    assert_status(&raw(agent.proxy(), plain.as_bytes()).await, 403);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_makes_no_sense_is_refused_clearly() {
    let agent = agent(Setup::default(), |_| Ok("secret".to_owned())).await;
    // A port that nobody listens on.
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let long = "a".repeat(300);
    for (status, target) in [
        (400, "CONNECT example.com HTTP/1.1".to_owned()),
        (400, "CONNECT example.com:0 HTTP/1.1".to_owned()),
        (400, "CONNECT user@example.com:443 HTTP/1.1".to_owned()),
        (400, format!("CONNECT {long}:443 HTTP/1.1")),
        (400, "GET / HTTP/1.1".to_owned()),
        (400, "GET https://example.com/ HTTP/1.1".to_owned()),
        (400, "GET ftp://example.com/ HTTP/1.1".to_owned()),
        (400, "OPTIONS * HTTP/1.1".to_owned()),
        (502, format!("CONNECT {closed} HTTP/1.1")),
        (502, "CONNECT login.microsoftonline.com:443 HTTP/1.1".to_owned()),
        (502, format!("GET http://{closed}/ HTTP/1.1")),
    ] {
        let answer =
            raw(agent.proxy(), format!("{target}\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes()).await;
        assert_status(&answer, status);
        assert!(answer.ends_with('\n') && answer.contains("text/plain"), "{answer}");
    }
    let answer =
        raw(agent.proxy(), format!("GET http://x/ HTTP/1.1\r\nX: {}\r\n\r\n", "a".repeat(40_000)).as_bytes())
            .await;
    assert_status(&answer, 431);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_metadata_request_through_the_proxy_is_that_of_the_proxys_client() {
    let agent = agent(Setup::default(), |request| Ok(format!("of-{}", request.process.pid))).await;
    let own = format!("127.0.0.1:{}", agent.imds().port());
    for host in ["169.254.169.254", own.as_str()] {
        let script = support::bash_script(agent.proxy()).replace("GET /", &format!("GET http://{host}/"));
        let child = Command::new(BASH)
            .arg("-c")
            .arg(script)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let pid = child.id().unwrap();
        // Two processes of one program share a token; another resource keeps them apart here.
        let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await.unwrap().unwrap();
        let answer = String::from_utf8(output.stdout).unwrap();
        assert_status(&answer, 200);
        let first = agent.platform.asked.lock().unwrap()[0].process.pid;
        assert!(answer.contains(&format!("\"of-{first}\"")), "{answer}");
        if host == "169.254.169.254" {
            assert_eq!(pid, first);
        }
    }
    // The headers count here, too.
    let script = support::bash_script(agent.proxy())
        .replace("GET /", "GET http://169.254.169.254/")
        .replace("Metadata: true", "Accept: a");
    let mut command = Command::new(BASH);
    command.arg("-c").arg(script).stdin(Stdio::null());
    assert_status(&says(command).await, 400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plain_requests_are_forwarded_without_what_was_meant_for_the_proxy() {
    let agent = agent(Setup::default(), |_| Ok("secret".to_owned())).await;
    let origin = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = origin.local_addr().unwrap();
    let served = tokio::spawn(async move {
        let (mut stream, _) = origin.accept().await.unwrap();
        let mut heard = Vec::new();
        while !heard.ends_with(b"body") {
            heard.push(stream.read_u8().await.unwrap());
        }
        let answer = b"HTTP/1.1 201 Created\r\nConnection: x-hop\r\nX-Hop: 1\r\nX-End: 2\r\nContent-Length: 4\r\n\r\ndone";
        stream.write_all(answer).await.unwrap();
        String::from_utf8(heard).unwrap().to_ascii_lowercase()
    });
    let request = format!(
        "POST http://{address}/path?q=1 HTTP/1.1\r\nHost: other.example\r\nProxy-Authorization: Basic eA==\r\nProxy-Connection: keep-alive\r\nX-End: 1\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody"
    );
    let answer = raw(agent.proxy(), request.as_bytes()).await.to_ascii_lowercase();
    assert_status(&answer.replace("http/1.1", "HTTP/1.1"), 201);
    assert!(answer.contains("x-end: 2") && answer.ends_with("done") && !answer.contains("x-hop"), "{answer}");
    let heard = served.await.unwrap();
    assert!(heard.starts_with("post /path?q=1 http/1.1\r\n"), "{heard}");
    assert!(
        heard.contains(&format!("host: {address}\r\n"))
            && heard.contains("x-end: 1")
            && heard.contains("via: "),
        "{heard}"
    );
    assert!(!heard.contains("proxy-") && !heard.contains("other.example"), "{heard}");
}

//! Requests byte by byte, for what no well-behaved client can send.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::client::{Answer, Client};

const DEADLINE: Duration = Duration::from_secs(60);

/// A request as bytes: nothing is checked, completed or escaped, except that the connection is not kept.
#[derive(Clone, Debug, Default)]
pub struct Pieces {
    /// What stands in the first line, such as `GET /secrets HTTP/1.1`.
    pub line: Vec<u8>,
    /// The header lines, without their ends; `Host` too.
    pub headers: Vec<Vec<u8>>,
    /// The body; its length is announced when it is not empty.
    pub body: Vec<u8>,
}

impl Pieces {
    /// A request line with a `Host`.
    pub fn new(line: impl AsRef<[u8]>, host: &str) -> Self {
        let host = format!("Host: {host}").into_bytes();
        Self { line: line.as_ref().to_vec(), headers: vec![host], body: Vec::new() }
    }

    /// Adds a header line.
    pub fn header(mut self, line: impl AsRef<[u8]>) -> Self {
        self.headers.push(line.as_ref().to_vec());
        self
    }

    /// Adds a body.
    pub fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = body.as_ref().to_vec();
        self
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = [self.line.as_slice(), b"\r\nConnection: close\r\n"].concat();
        for header in &self.headers {
            bytes.extend_from_slice(header);
            bytes.extend_from_slice(b"\r\n");
        }
        if !self.body.is_empty() {
            bytes.extend_from_slice(format!("Content-Length: {}\r\n", self.body.len()).as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

impl Client {
    /// Sends bytes over a connection of their own, opened by a well-formed name, and reads what comes back until the
    /// server closes it.
    pub async fn raw(&self, connect_to: &str, pieces: &Pieces) -> io::Result<Answer> {
        let exchange = async {
            let mut stream = self.way.connect(connect_to).await?;
            let bytes = pieces.to_bytes();
            // A server that refuses early closes before everything is written: its answer counts, not our error.
            let written = stream.write_all(&bytes).await;
            let _ = stream.flush().await;
            let mut read = Vec::new();
            let ended = stream.read_to_end(&mut read).await;
            if read.is_empty() {
                written?;
                ended?;
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "the server closed without an answer",
                ));
            }
            parse(&read)
        };
        tokio::time::timeout(DEADLINE, exchange).await?
    }
}

/// Reads a whole answer; the server's bodies are never chunked.
fn parse(read: &[u8]) -> io::Result<Answer> {
    let bad = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let end = read
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .ok_or_else(|| bad("an answer without an end"))?;
    let (head, rest) = read.split_at(end);
    let head = std::str::from_utf8(head).map_err(|_| bad("an answer's head that is not text"))?;
    let mut lines = head.split("\r\n");
    let status =
        lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse::<u16>().ok());
    let status = status
        .and_then(|code| StatusCode::from_u16(code).ok())
        .ok_or_else(|| bad("an answer without a status"))?;
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(':').ok_or_else(|| bad("a header line without a colon"))?;
        let name = HeaderName::try_from(name).map_err(io::Error::other)?;
        headers.append(name, HeaderValue::from_str(value.trim()).map_err(io::Error::other)?);
    }
    let body = rest.get(4..).unwrap_or_default();
    let announced =
        headers.get(http::header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if announced.is_some_and(|announced: usize| announced != body.len()) {
        return Err(bad("an answer whose body is not as long as announced"));
    }
    Ok(Answer { status, headers, body: Bytes::copy_from_slice(body) })
}

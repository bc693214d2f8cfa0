//! Every bound of the doors in one place, applied before anyone is authenticated.

use std::time::Duration;

/// The longest `Host` header; a DNS name with a port fits.
pub const HOST_BYTES_MAX: usize = 260;

/// The longest `x-ms-client-request-id` that is echoed.
pub const CLIENT_REQUEST_ID_BYTES_MAX: usize = 128;

/// The most bytes of a certificate or key file that are read.
pub const CERTIFICATE_FILE_BYTES_MAX: u64 = 1024 * 1024;

/// How long what authorities in vaults publish may be remembered on its way, at most: who is revoked is known soon.
pub const PKI_CACHE_SECONDS_MAX: u64 = 300;

/// How long a connection to the outside may take to be there, TLS included.
pub const EGRESS_CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How long a request to the outside may take altogether.
pub const EGRESS_TIMEOUT: Duration = Duration::from_secs(8);

/// The most bytes of an answer from outside.
pub const EGRESS_ANSWER_BYTES_MAX: usize = 256 * 1024;

/// The most bytes of an answer's head.
pub const EGRESS_HEAD_BYTES_MAX: usize = 32 * 1024;

/// The most headers of an answer.
pub const EGRESS_HEADERS_MAX: usize = 64;

/// The most addresses of a name that are looked at.
pub const EGRESS_ADDRESSES_MAX: usize = 16;

/// Requests to the outside that are under way at once.
pub const EGRESS_CONCURRENT_MAX: usize = 16;

/// How long one question of the platform to an ACME server may take; less than a request to us may.
pub const ACME_CALL_TIMEOUT: Duration = Duration::from_secs(20);

/// The most requests for one question of the platform: each name takes two, and a refused nonce repeats them.
pub const ACME_REQUESTS_MAX: usize = 300;

/// The most names of an ACME order; public authorities take no more.
pub const ACME_NAMES_MAX: usize = 100;

/// How often one question looks at an order that may be ready in a moment.
pub const ACME_LOOKS_MAX: usize = 5;

/// How long it waits between two looks, and how soon an order is asked about again when nobody says.
pub const ACME_LOOK_SECONDS: u32 = 1;

/// How long a directory that did not answer is left alone, and how soon it is asked again when nobody says.
pub const ACME_RETRY_SECONDS: u32 = 30;

/// Certificates in a chain of an ACME server.
pub const ACME_CHAIN_MAX: usize = 10;

/// Parts of a problem document that are told.
pub const ACME_SUBPROBLEMS_MAX: usize = 5;

/// What is logged of an ACME server's words.
pub const ACME_LOG_CHARS_MAX: usize = 512;

/// The name of an operator's ACME directory.
pub const ACME_DIRECTORY_NAME_BYTES_MAX: usize = 64;

/// Answers to challenges that are published at once.
pub const CHALLENGE_ANSWERS_MAX: usize = 2048;

/// How long an answer to a challenge stays published when its order is not looked at again.
pub const CHALLENGE_ANSWER_LIFETIME: Duration = Duration::from_secs(3_600);

/// The token of a challenge.
pub const CHALLENGE_TOKEN_BYTES_MAX: usize = 128;

/// Connections to the plain listener; more wait in the kernel's backlog.
pub const PLAIN_CONNECTIONS_MAX: usize = 256;

/// How long a connection to the plain listener may last; it has one request.
pub const PLAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// The size of the head of a request to the plain listener; the least that hyper can hold to.
pub const PLAIN_HEAD_BYTES_MAX: usize = 8 * 1024;

/// The headers of such a request.
pub const PLAIN_HEADERS_MAX: usize = 64;

/// The bounds an operator may move; the defaults suit one machine.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections per listener; more wait in the kernel's backlog.
    pub connections_max: usize,
    /// Requests being answered at once; more are shed with a retry hint. Health is never shed.
    pub requests_in_flight_max: usize,
    /// How long a TLS handshake may take.
    pub handshake_timeout: Duration,
    /// How long the head of a request may take from its first byte.
    pub header_timeout: Duration,
    /// How long a connection may stay open without a request.
    pub idle_timeout: Duration,
    /// The size of a request's head, in bytes.
    pub header_bytes_max: usize,
    /// Streams that one HTTP/2 connection may have open.
    pub streams_max: u32,
    /// The size of a request's body, in bytes.
    pub body_bytes_max: usize,
    /// How long a request's body may take to arrive.
    pub body_timeout: Duration,
    /// How long a request may take altogether.
    pub request_timeout: Duration,
    /// How long requests in flight may take once the server is draining.
    pub drain_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 8192,
            requests_in_flight_max: 4096,
            handshake_timeout: Duration::from_secs(10),
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(120),
            header_bytes_max: 64 * 1024,
            streams_max: 128,
            body_bytes_max: 1024 * 1024,
            body_timeout: Duration::from_secs(15),
            request_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(30),
        }
    }
}

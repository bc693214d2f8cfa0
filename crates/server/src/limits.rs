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

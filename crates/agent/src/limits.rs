//! Every bound of the agent, in one place.

use std::time::Duration;

/// The longest request head that is read.
pub(crate) const HEAD_BYTES_MAX: usize = 16 * 1024;
/// The most header lines in a request.
pub(crate) const HEADERS_MAX: usize = 64;
/// How long a client may take to send a request head, and how long a kept-alive connection may be silent.
pub(crate) const HEAD_DEADLINE: Duration = Duration::from_secs(30);
/// How long answering one metadata request may take.
pub(crate) const ANSWER_DEADLINE: Duration = Duration::from_secs(30);

/// The largest executable that is hashed.
pub(crate) const EXECUTABLE_BYTES_MAX: u64 = 1 << 30;
/// How many digests of executables are remembered.
pub(crate) const EXECUTABLES_REMEMBERED_MAX: u64 = 1024;
/// The longest file of `/proc` that is read.
pub(crate) const PROC_BYTES_MAX: usize = 64 * 1024;
/// How many generations up a process tree is followed.
pub(crate) const ANCESTORS_MAX: usize = 128;
/// How often a socket with several holders is looked at again: a program that is starting another one shares all
/// its sockets with it for the moment between fork and exec.
pub(crate) const HOLDER_LOOKS_MAX: u32 = 6;
/// How long between two looks.
pub(crate) const HOLDER_LOOK_AGAIN: Duration = Duration::from_millis(5);

/// How many tokens are kept.
pub(crate) const TOKENS_MAX: u64 = 10_000;
/// How long before its expiry a token is replaced.
pub(crate) const REFRESH_BEFORE_EXPIRY_SECONDS: u64 = 300;
/// How long after a vain attempt to replace a token the next one is made.
pub(crate) const RETRY_REFRESH_SECONDS: u64 = 10;
/// How long a token stays in memory that nobody asks for.
pub(crate) const FORGET_UNUSED: Duration = Duration::from_secs(3600);

/// How many process trees may be bound at once.
pub(crate) const BINDINGS_MAX: usize = 1024;
/// The longest name of an identity.
pub(crate) const IDENTITY_NAME_BYTES_MAX: usize = 128;
/// The longest body on the agent's own socket.
pub(crate) const BINDING_BODY_BYTES_MAX: usize = 4096;

/// How long finding and connecting to a proxied host may take.
pub(crate) const CONNECT_DEADLINE: Duration = Duration::from_secs(10);
/// How long a proxied plain request may wait for the head of its answer.
pub(crate) const FORWARD_DEADLINE: Duration = Duration::from_secs(60);
/// How long a tunnel may be silent in both directions.
pub(crate) const TUNNEL_IDLE: Duration = Duration::from_secs(300);
/// How many tunnels and forwarded requests run at once.
pub(crate) const TUNNELS_MAX: usize = 512;

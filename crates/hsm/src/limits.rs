//! Every bound of the key holders in one place.

use std::time::Duration;

/// Threads that each hold one connection to a token, and with it one process of its module.
pub const WORKERS: usize = 4;
/// The most threads an operator may ask for; a token has few connections.
pub const WORKERS_MAX: usize = 64;
/// Calls that wait for a free thread.
pub const QUEUE_MAX: usize = 128;
/// How long a call to a token may take.
pub const CALL_DEADLINE: Duration = Duration::from_secs(10);
/// How long a token may take to make or take over a key; RSA with 4096 bits takes a small token half a minute.
pub const GENERATE_DEADLINE: Duration = Duration::from_secs(60);
/// Failures of a token, one after the other, before it is left alone.
pub const BREAKER_FAILURES: u32 = 5;
/// How long a token that failed is left alone before one call tries it.
pub const BREAKER_COOLING: Duration = Duration::from_secs(10);
/// What a caller is told to wait when one call failed.
pub const RETRY_AFTER_SECONDS: u32 = 5;
/// Handles that one connection remembers.
pub const HANDLES_MAX: usize = 4_096;
/// Bytes of a PIN file.
pub const PIN_BYTES_MAX: u64 = 256;
/// Pre-generated keys of one kind.
pub const POOL_KEYS_MAX: usize = 64;
/// How long a software key that was read is remembered, counted from its reading.
pub const RECENT_KEY_LIFE: Duration = Duration::from_secs(5);
/// Software keys that are remembered at a time, some kilobytes each.
pub const RECENT_KEYS_MAX: usize = 256;
/// Bytes of one frame to or from the process of a module: far more than any request that gets here.
pub const FRAME_BYTES_MAX: usize = 256 * 1024;
/// How long a caller waits beyond the deadline for the process of a module to be ended.
pub const END_GRACE: Duration = Duration::from_secs(1);
/// How long a process of a module that is logging in may go on after its server is gone: SoftHSM writes its token's file
/// then, which takes some 40 ms, and is not to be ended with half of it written.
pub const LOGIN_GRACE: Duration = Duration::from_secs(5);
/// Characters of a reason that the process of a module gives.
pub const REASON_CHARS_MAX: usize = 400;
/// Mechanisms of one token.
pub const MECHANISMS_MAX: usize = 4_096;
/// Ids of keys that were being made when their makers ended, to be looked for later.
pub const UNKNOWN_ENDS_MAX: usize = 64;

//! A passphrase, stretched with Argon2id (RFC 9106). What it costs stands in the record, beside the salt, so that the
//! cost can be raised without making older records unreadable.

use std::io;
use std::sync::Arc;

use argon2::{Algorithm, Argon2, Params, Version};
use vouchsafe_crypto::envelope::Kek;
use vouchsafe_crypto::{Reason, SecretBytes, SecretString};
use zeroize::Zeroizing;

/// Bytes of a salt.
pub(super) const SALT_BYTES: usize = 16;
/// The shortest passphrase that a root key may hang on.
pub const PASSPHRASE_BYTES_MIN: usize = 15;
/// What a record may ask for: more would only keep an operator waiting for somebody's trick.
const MEMORY_KIB_MAX: u32 = 4 * 1024 * 1024;
const PASSES_MAX: u32 = 64;
const LANES_MAX: u32 = 64;

/// What one guess costs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Cost {
    /// KiB of memory.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
    /// Lanes in which it may be computed.
    pub lanes: u32,
}

impl Default for Cost {
    /// Four times the memory of RFC 9106's second recommendation: it is paid once per start.
    fn default() -> Self {
        Self { memory_kib: 256 * 1024, passes: 3, lanes: 4 }
    }
}

/// Whoever can be asked for the passphrase, and what sealing with it is to cost.
#[derive(Clone)]
pub struct Passphrase {
    ask: Arc<dyn Fn() -> io::Result<SecretString> + Send + Sync>,
    cost: Cost,
}

impl Passphrase {
    /// A passphrase that `ask` brings: from a terminal, a file, a descriptor.
    pub fn new(ask: impl Fn() -> io::Result<SecretString> + Send + Sync + 'static) -> Self {
        Self { ask: Arc::new(ask), cost: Cost::default() }
    }

    /// The same with another cost for what it will seal.
    #[must_use]
    pub fn with_cost(self, cost: Cost) -> Self {
        Self { cost, ..self }
    }

    pub(super) fn cost(&self) -> Cost {
        self.cost
    }

    /// Asks.
    pub fn ask(&self) -> Result<SecretString, String> {
        (self.ask)().map_err(|error| format!("the passphrase cannot be read: {error}"))
    }
}

/// Whether a passphrase may be used for a new wrap.
pub(super) fn long_enough(passphrase: &SecretString) -> Result<(), String> {
    if passphrase.len() < PASSPHRASE_BYTES_MIN {
        return Err(format!("a passphrase for the root key has at least {PASSPHRASE_BYTES_MIN} characters"));
    }
    Ok(())
}

/// Argon2id of the passphrase.
pub(super) fn stretch(passphrase: &SecretString, salt: &[u8], cost: Cost) -> Result<Kek, String> {
    let Cost { memory_kib, passes, lanes } = cost;
    if memory_kib > MEMORY_KIB_MAX || passes > PASSES_MAX || lanes > LANES_MAX {
        return Err("the record asks for more work than any record should".to_owned());
    }
    let wrong = |error: argon2::Error| format!("the record's Argon2id parameters are not usable: {error}");
    let parameters = Params::new(memory_kib, passes, lanes, Some(32)).map_err(wrong)?;
    let mut key = Zeroizing::new(vec![0; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters)
        .hash_password_into(passphrase.expose(Reason::Cipher).as_bytes(), salt, &mut key)
        .map_err(wrong)?;
    Kek::from_secret(SecretBytes::new(std::mem::take(&mut *key)))
        .ok_or_else(|| "a stretched passphrase has 32 bytes".to_owned())
}

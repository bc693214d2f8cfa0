//! What can be typed after `vouchsafe key`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::InVault;
use super::object::{Named, Noun, Object, Which};

#[derive(Debug, Subcommand)]
pub enum Key {
    /// Make a key, or a new version of one
    Create {
        /// The key's name
        name: String,
        #[command(flatten)]
        vault: InVault,
        /// What kind of key
        #[arg(long, value_enum, default_value_t = KeyKind::Rsa)]
        kind: KeyKind,
        /// How many bits, for RSA and symmetric keys
        #[arg(long, value_name = "BITS")]
        size: Option<u32>,
        /// The curve of an elliptic curve key: P-256, P-384, P-521 or P-256K
        #[arg(long, value_name = "CURVE")]
        curve: Option<String>,
        /// Make it in the server's token, which it never leaves
        #[arg(long)]
        hsm: bool,
        /// What it may be used for, such as `sign,verify`; what its kind usually is if not given
        #[arg(long, value_name = "OPERATIONS", value_delimiter = ',')]
        operations: Option<Vec<String>>,
    },
    /// Show the public half and the attributes of a key
    Show {
        #[command(flatten)]
        key: Which<Self>,
    },
    /// Make a new version of a key like the current one
    Rotate(Named<Self>),
    /// Sign a file; the digest is computed here, the signature is printed in base64url
    Sign {
        #[command(flatten)]
        key: Which<Self>,
        #[command(flatten)]
        input: KeyInput,
    },
    /// Verify the signature of a file
    Verify {
        #[command(flatten)]
        key: Which<Self>,
        #[command(flatten)]
        input: KeyInput,
        /// The file with the signature, as `key sign` prints it
        #[arg(long, value_name = "FILE")]
        signature_file: PathBuf,
    },
    /// Encrypt a small file; the ciphertext is printed as JSON, as `key decrypt` reads it
    Encrypt {
        #[command(flatten)]
        key: Which<Self>,
        #[command(flatten)]
        input: KeyInput,
    },
    /// Decrypt what `key encrypt` printed
    Decrypt {
        #[command(flatten)]
        key: Which<Self>,
        #[command(flatten)]
        input: KeyInput,
        /// Write the plaintext into this new file, for its owner only; to standard output if not given
        #[arg(long, value_name = "FILE")]
        value_file: Option<PathBuf>,
    },
    #[command(flatten)]
    Object(Object<Key>),
}

impl Noun for Key {
    const WORD: &str = "key";
}

#[derive(Args, Debug)]
pub struct KeyInput {
    /// The algorithm, such as ES256, PS256, RSA-OAEP-256 or A256GCM
    #[arg(long, short, value_name = "NAME")]
    pub algorithm: String,
    /// The file; `-` reads standard input
    #[arg(long, value_name = "FILE", default_value = "-")]
    pub file: PathBuf,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum KeyKind {
    /// RSA, 2048 bits if nothing else is said
    Rsa,
    /// Elliptic curve, P-256 if nothing else is said
    Ec,
    /// Symmetric, 256 bits if nothing else is said
    Oct,
}

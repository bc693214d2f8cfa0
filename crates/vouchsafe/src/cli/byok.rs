//! What can be typed after `vouchsafe byok`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::InVault;
use super::key::KeyKind;

#[derive(Debug, Subcommand)]
pub enum Byok {
    /// Write the public half of a key-exchange key as PEM, and say its identifier
    Kek {
        /// The name of the key-exchange key: an RSA key in the token with the one operation `import`
        name: String,
        #[command(flatten)]
        vault: InVault,
        /// The file to write
        #[arg(long, value_name = "FILE")]
        pem_file: PathBuf,
    },
    /// Wrap a key for a key-exchange key, on this machine, into a transfer blob
    Wrap(Wrap),
    /// Import a transfer blob as a key, or as a new version of one
    Import {
        /// The name that the key gets
        name: String,
        #[command(flatten)]
        vault: InVault,
        /// The transfer blob
        #[arg(long, value_name = "FILE")]
        byok_file: PathBuf,
        /// What kind of key is in it
        #[arg(long, value_enum, default_value_t = KeyKind::Rsa)]
        kind: KeyKind,
        /// The curve of an elliptic curve key: P-256, P-384, P-521 or P-256K
        #[arg(long, value_name = "CURVE")]
        curve: Option<String>,
        /// What it may be used for, such as `sign,verify`; what its kind usually is if not given
        #[arg(long, value_name = "OPERATIONS", value_delimiter = ',')]
        operations: Option<Vec<String>>,
    },
}

#[derive(Args, Debug)]
pub struct Wrap {
    /// The private key: PEM (PKCS#8, PKCS#1 or SEC 1, not encrypted), or with --oct the bytes of a symmetric key
    #[arg(long, value_name = "FILE")]
    pub key_file: PathBuf,
    /// The file holds the bytes of a symmetric key: 16, 24 or 32 of them
    #[arg(long)]
    pub oct: bool,
    /// The public half of the key-exchange key: PEM, a JWK, or what `key show -o json` prints
    #[arg(long, value_name = "FILE", required_unless_present = "kek", conflicts_with = "kek")]
    pub kek_file: Option<PathBuf>,
    /// The identifier of the key-exchange key, where its file does not say it
    #[arg(long, value_name = "URL", conflicts_with = "kek")]
    pub kid: Option<String>,
    /// Ask the server for the key-exchange key of this name
    #[arg(long, value_name = "NAME", requires = "vault")]
    pub kek: Option<String>,
    /// The vault of the key-exchange key
    #[arg(long, value_name = "NAME", env = "VOUCHSAFE_VAULT")]
    pub vault: Option<String>,
    /// The new file for the transfer blob
    #[arg(long, value_name = "FILE")]
    pub byok_file: PathBuf,
}

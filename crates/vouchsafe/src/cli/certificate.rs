//! What can be typed after `vouchsafe certificate`. Passwords come from files or prompts, never from arguments.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::InVault;
use super::object::{Noun, Object, Which};

#[derive(Debug, Subcommand)]
pub enum Certificate {
    /// Make a certificate, or a new version of one, and wait until it is there
    Create {
        /// The certificate's name
        name: String,
        #[command(flatten)]
        vault: InVault,
        #[command(flatten)]
        policy: PolicyFlags,
        /// Only begin; `certificate pending show` says how far it is
        #[arg(long)]
        no_wait: bool,
    },
    /// Show what a certificate says
    Show {
        #[command(flatten)]
        certificate: Which<Self>,
    },
    /// Write a certificate to standard output or a file, without its key; `secret get` gives both
    Download {
        #[command(flatten)]
        certificate: Which<Self>,
        /// In which form
        #[arg(long, value_enum, default_value_t = Form::Pem)]
        form: Form,
        /// Write it into this new file
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Import a certificate with its key: PKCS #12, or PEM without encryption
    Import {
        /// The certificate's name
        name: String,
        #[command(flatten)]
        vault: InVault,
        /// The file; `-` reads standard input
        #[arg(long, value_name = "FILE")]
        file: PathBuf,
        /// A file with the password of the PKCS #12; asked for at a terminal, else none, if not given
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
    /// Work with the policy that the next version is made from
    #[command(subcommand)]
    Policy(Policy),
    /// Work with the certificate that is being made
    #[command(subcommand)]
    Pending(Pending),
    /// Work with a vault's issuers
    #[command(subcommand)]
    Issuer(Issuer),
    /// Work with the people who are told about a vault's certificates
    #[command(subcommand)]
    Contacts(Contacts),
    /// Take back a certificate that an authority of the vault issued
    Revoke {
        #[command(flatten)]
        certificate: Which<Self>,
        /// Why
        #[arg(long, value_enum, default_value_t = Reason::Unspecified)]
        reason: Reason,
    },
    #[command(flatten)]
    Object(Object<Certificate>),
}

impl Noun for Certificate {
    const WORD: &str = "certificate";
    const WITH: &str = " with its key and its secret";
}

/// A policy, from a file or in words; what is said in words goes before the file.
#[derive(Args, Debug, Default)]
pub struct PolicyFlags {
    /// A file with a policy in JSON, as `-o json certificate policy show` prints it; `-` reads standard input
    #[arg(long, value_name = "FILE")]
    pub policy_file: Option<PathBuf>,
    /// The subject, such as `CN=app.example.test`
    #[arg(long, value_name = "NAME")]
    pub subject: Option<String>,
    /// A host name; may be repeated, or several separated by commas
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub dns: Vec<String>,
    /// An address; likewise
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',')]
    pub ip: Vec<IpAddr>,
    /// Who signs: `Self`, `Unknown` for somebody outside, or an issuer of the vault; `Self` for a new policy
    #[arg(long, value_name = "ISSUER")]
    pub issuer: Option<String>,
    /// What kind of key
    #[arg(long, value_enum)]
    pub key_type: Option<KeyType>,
    /// How many bits, for RSA
    #[arg(long, value_name = "BITS")]
    pub size: Option<u32>,
    /// The curve, for elliptic curves: P-256, P-384 or P-521
    #[arg(long, value_name = "CURVE")]
    pub curve: Option<String>,
    /// For how many months it is valid
    #[arg(long, value_name = "MONTHS")]
    pub months: Option<u32>,
    /// Never give out the private key, not even in the secret of the same name
    #[arg(long)]
    pub not_exportable: bool,
    /// The form of the secret of the same name
    #[arg(long, value_enum)]
    pub secret_form: Option<SecretForm>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum KeyType {
    /// RSA, 2048 bits if nothing else is said
    Rsa,
    /// Elliptic curve, P-256 if nothing else is said
    Ec,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum SecretForm {
    /// PKCS #12 in base64
    Pkcs12,
    /// PEM
    Pem,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Form {
    /// The certificate alone, in PEM
    Pem,
    /// The certificate alone, in DER
    Der,
    /// The certificate and those above it, in PEM
    Chain,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Reason {
    /// No reason is given
    Unspecified,
    /// Somebody else may have the key
    KeyCompromise,
    /// The subject has another name
    AffiliationChanged,
    /// There is a newer certificate
    Superseded,
    /// It is no longer needed
    CessationOfOperation,
    /// A right that it names was taken away
    PrivilegeWithdrawn,
}

#[derive(Debug, Subcommand)]
pub enum Policy {
    /// Show the policy
    Show {
        /// The certificate's name
        name: String,
        #[command(flatten)]
        vault: InVault,
    },
    /// Change the policy; what is not said stays
    Set {
        /// The certificate's name
        name: String,
        #[command(flatten)]
        vault: InVault,
        #[command(flatten)]
        policy: PolicyFlags,
    },
}

#[derive(Debug, Subcommand)]
pub enum Pending {
    /// Show how far it is
    Show {
        /// The certificate's name
        name: String,
        #[command(flatten)]
        vault: InVault,
        /// Print the request for the signer instead, in PEM
        #[arg(long)]
        csr: bool,
    },
    /// Give up; there is no certificate then
    Cancel {
        /// The certificate's name
        name: String,
        #[command(flatten)]
        vault: InVault,
    },
    /// Forget an operation, whatever became of it
    Delete {
        /// The certificate's name
        name: String,
        #[command(flatten)]
        vault: InVault,
    },
    /// Complete it with what the signer outside gave
    Merge {
        /// The certificate's name
        name: String,
        #[command(flatten)]
        vault: InVault,
        /// The certificate, then those above it, in PEM; or the certificate in DER. `-` reads standard input
        #[arg(long, value_name = "FILE")]
        file: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub enum Issuer {
    /// List the issuers of a vault
    List {
        #[command(flatten)]
        vault: InVault,
    },
    /// Set an issuer
    Set {
        /// The issuer's name
        issuer: String,
        #[command(flatten)]
        vault: InVault,
        /// Who it is: Vouchsafe for a private authority in this vault, Acme, DigiCert, GlobalSign or Test
        #[arg(long, value_name = "PROVIDER", default_value = "Vouchsafe")]
        provider: String,
        /// The account there; for Vouchsafe what it may certify, such as `example.test, *.example.test, 10.0.0.0/8, days:90`
        #[arg(long, value_name = "TEXT")]
        account: Option<String>,
        /// A file with the account's password
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
        /// Our number there
        #[arg(long, value_name = "ID")]
        organization: Option<String>,
        /// Keep it, but let it issue nothing
        #[arg(long)]
        disabled: bool,
    },
    /// Show an issuer
    Show {
        /// The issuer's name
        issuer: String,
        #[command(flatten)]
        vault: InVault,
    },
    /// Remove an issuer; what it issued stays valid
    Remove {
        /// The issuer's name
        issuer: String,
        #[command(flatten)]
        vault: InVault,
    },
}

#[derive(Debug, Subcommand)]
pub enum Contacts {
    /// List who is told
    List {
        #[command(flatten)]
        vault: InVault,
    },
    /// Set who is told, in place of those before
    Set {
        #[command(flatten)]
        vault: InVault,
        /// A mail address; may be repeated, or several separated by commas
        #[arg(long, value_name = "ADDRESS", value_delimiter = ',', required = true)]
        email: Vec<String>,
    },
    /// Remove them all
    Remove {
        #[command(flatten)]
        vault: InVault,
    },
}

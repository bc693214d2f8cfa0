//! What can be typed. Help texts begin with a verb; no secret is ever an argument.

pub mod byok;
pub mod certificate;
pub mod key;
pub mod object;
pub mod resource;
pub mod secret;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use self::byok::Byok;
use self::certificate::Certificate;
use self::key::Key;
use self::resource::{Identity, Role, Vault};
use self::secret::Secret;
use vouchsafe_server::outside::Network;

/// Secretless authentication that you run yourself
#[derive(Debug, Parser)]
#[command(name = "vouchsafe", version, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// Where the server is, and how answers look.
#[derive(Args, Clone, Debug)]
pub struct Global {
    /// The administrators' socket of the server
    #[arg(long, global = true, env = "VOUCHSAFE_SOCKET", value_name = "PATH", default_value = DEFAULT_SOCKET)]
    pub socket: PathBuf,
    /// How to print answers
    #[arg(long, short, global = true, value_enum, default_value_t = Format::Human)]
    pub output: Format,
    /// The tenant to act in: an id or a domain; the oldest one if not given
    #[arg(long, global = true, env = "VOUCHSAFE_TENANT", value_name = "TENANT")]
    pub tenant: Option<String>,
}

/// Where a packaged server keeps everything.
pub const DEFAULT_DATA: &str = "/var/lib/vouchsafe";
const DEFAULT_SOCKET: &str = "/var/lib/vouchsafe/admin/admin.sock";

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Format {
    /// For people
    Human,
    /// For programs
    Json,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a new deployment: root key, store, audit log, first tenant
    Init(Init),
    /// Serve a deployment
    Serve(Serve),
    /// Give processes on this machine their managed identities
    Agent(Agent),
    /// Run server, agent and proxy in one process, for development
    Dev(Dev),
    /// Run a program as a managed identity
    Run(Run),
    /// Print the environment that lets programs find everything
    Env(Env),
    /// Make things as a file says they should be
    Apply(Apply),
    /// Work with secrets
    #[command(subcommand)]
    Secret(Secret),
    /// Work with keys
    #[command(subcommand)]
    Key(Key),
    /// Bring one's own keys into the server's token
    #[command(subcommand)]
    Byok(Byok),
    /// Work with certificates
    #[command(subcommand)]
    Certificate(Certificate),
    /// Work with vaults
    #[command(subcommand)]
    Vault(Vault),
    /// Work with managed identities
    #[command(subcommand)]
    Identity(Identity),
    /// Work with roles and role assignments
    #[command(subcommand)]
    Role(Role),
    /// Work with access tokens and client secrets
    #[command(subcommand)]
    Token(Token),
    /// Read and verify the audit log
    #[command(subcommand)]
    Audit(Audit),
    /// Look at the machine's clock, and confirm it
    #[command(subcommand)]
    Clock(Clock),
    /// Change who can open a deployment, or the keys under which it is kept
    #[command(subcommand)]
    Rekey(Rekey),
    /// Open a deployment with a quorum of its custodians and set up a new provider of its root key
    Recover(Recover),
    /// Decrypt one's own recovery share, to be carried to the ceremony
    OpenShare(OpenShare),
    /// Find out what is wrong
    Doctor,
    /// Print the completion script of a shell
    Completion {
        /// The shell
        shell: Shell,
    },
    /// Load a PKCS#11 module for the server that started this
    #[command(name = vouchsafe_hsm::pkcs11::child::COMMAND, hide = true)]
    Pkcs11Module,
}

impl Command {
    /// Whether the command has keys or tokens of others in its memory.
    pub fn holds_keys(&self) -> bool {
        let ceremony = matches!(self, Self::Init(_) | Self::Rekey(_) | Self::Recover(_) | Self::OpenShare(_));
        ceremony || self.is_a_server()
    }

    /// Whether the command serves until it is stopped.
    pub fn is_a_server(&self) -> bool {
        matches!(self, Self::Serve(_) | Self::Agent(_) | Self::Dev(_) | Self::Pkcs11Module)
    }
}

#[derive(Args, Clone, Debug)]
pub struct RootKey {
    /// What opens the root key: `file:PATH`, `systemd:NAME`, `passphrase`, `passphrase:FILE`, `tpm`, `tpm:TCTI` or
    /// `pkcs11`; if not given, what the deployment's record names
    #[arg(long, visible_alias = "root", value_name = "SOURCE", env = "VOUCHSAFE_ROOT_KEY")]
    pub root_key: Option<String>,
    #[command(flatten)]
    pub hsm: HsmToken,
}

#[derive(Args, Clone, Debug)]
pub struct HsmToken {
    /// The PKCS#11 module of the token that holds the keys of HSM kinds, or the key over the root key
    #[arg(long, value_name = "FILE", env = "VOUCHSAFE_PKCS11_MODULE", requires_all = ["pkcs11_token", "pkcs11_pin_file"])]
    pub pkcs11_module: Option<PathBuf>,
    /// The token's label
    #[arg(long, value_name = "LABEL", env = "VOUCHSAFE_PKCS11_TOKEN")]
    pub pkcs11_token: Option<String>,
    /// A file with the token's user PIN, readable by its owner only
    #[arg(long, value_name = "FILE", env = "VOUCHSAFE_PKCS11_PIN_FILE")]
    pub pkcs11_pin_file: Option<PathBuf>,
}

/// What is found without TLS.
#[derive(Args, Clone, Copy, Debug)]
pub struct PlainHttp {
    /// Listen here without TLS, too: for challenges of ACME servers, and for the revocation lists and OCSP answers of vaults'
    /// authorities
    #[arg(long, value_name = "ADDRESS")]
    pub http_listen: Option<SocketAddr>,
    /// The port at which the world reaches that, which new certificates name; that of the address if not given
    #[arg(long, value_name = "PORT", requires = "http_listen", value_parser = clap::value_parser!(u16).range(1..))]
    pub http_port: Option<u16>,
}

/// Where certificates are got from by ACME.
#[derive(Args, Clone, Debug)]
pub struct Acme {
    /// An ACME directory that issuers of vaults may name, whose terms of service you agree to; may be repeated
    #[arg(long, value_name = "NAME=URL", requires = "http_listen")]
    pub acme_directory: Vec<DirectoryToUse>,
    /// Trust these certificates, in PEM, too when connecting to an ACME server
    #[arg(long, value_name = "FILE", requires = "acme_directory")]
    pub acme_ca: Option<PathBuf>,
    /// Connect to ACME servers in this network, too, although it is not public; may be repeated
    #[arg(long, value_name = "NETWORK", requires = "acme_directory")]
    pub acme_allow_network: Vec<Network>,
}

/// A directory and what it is called.
#[derive(Clone, Debug)]
pub struct DirectoryToUse {
    pub name: String,
    pub url: String,
}

impl FromStr for DirectoryToUse {
    type Err = String;

    fn from_str(raw: &str) -> Result<Self, String> {
        let (name, url) = raw.split_once('=').ok_or("must be NAME=URL")?;
        Ok(Self { name: name.to_owned(), url: url.to_owned() })
    }
}

#[derive(Args, Clone, Debug)]
pub struct TpmPcrs {
    /// Bind a TPM's key to these PCRs of its SHA-256 bank, as they are now
    #[arg(long, value_name = "PCRS", value_delimiter = ',')]
    pub tpm_pcrs: Vec<u8>,
}

/// A recovery quorum to be set up.
#[derive(Args, Clone, Debug)]
pub struct Quorum {
    /// How many custodians it takes to recover
    #[arg(long, value_name = "K", requires = "custodian")]
    pub recovery_threshold: Option<u8>,
    /// How many custodians there are, to be sure that none was forgotten
    #[arg(long, value_name = "N", requires = "custodian")]
    pub recovery_shares: Option<usize>,
    /// A custodian's certificate or RSA public key, in PEM; once for each
    #[arg(long, value_name = "FILE", requires = "recovery_threshold")]
    pub custodian: Vec<PathBuf>,
    /// Where to write the encrypted shares
    #[arg(long, value_name = "DIR", default_value = "recovery-shares")]
    pub shares_dir: PathBuf,
}

#[derive(Debug, Subcommand)]
pub enum Clock {
    /// Show how the machine's clock stands to the time that the deployment knows
    Status,
    /// Say that the machine's clock is right, whatever was known before; look at it first
    Confirm,
}

#[derive(Debug, Subcommand)]
pub enum Rekey {
    /// Add, remove or list what can open the root key; the server must be stopped
    #[command(subcommand)]
    RootProvider(RootProvider),
    /// Replace the root key; the server must be stopped
    Root {
        #[command(flatten)]
        deployment: Deployment,
        /// What opens each of the other providers, which will open the new root key; may be repeated
        #[arg(long = "with", value_name = "SOURCE")]
        with: Vec<String>,
        /// Where to write new encrypted shares, if there is a recovery quorum
        #[arg(long, value_name = "DIR", default_value = "recovery-shares")]
        shares_dir: PathBuf,
    },
    /// Give every tenant and vault a new wrapping key and seal every record under it, while the server runs
    Kek {
        /// Only show how far it is
        #[arg(long)]
        status: bool,
        /// Do not wait until it is done
        #[arg(long)]
        no_wait: bool,
    },
}

/// A deployment that no server uses, and what opens it.
#[derive(Args, Clone, Debug)]
pub struct Deployment {
    /// The deployment's directory
    #[arg(long, value_name = "DIR", default_value = DEFAULT_DATA)]
    pub data: PathBuf,
    #[command(flatten)]
    pub root_key: RootKey,
}

#[derive(Debug, Subcommand)]
pub enum RootProvider {
    /// List what can open the root key
    List {
        /// The deployment's directory
        #[arg(long, value_name = "DIR", default_value = DEFAULT_DATA)]
        data: PathBuf,
    },
    /// Add a provider, or a recovery quorum
    Add {
        /// The new provider: as for `--root-key`
        #[arg(required_unless_present = "custodian")]
        source: Option<String>,
        #[command(flatten)]
        deployment: Deployment,
        /// What to call it; its kind if not given
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
        #[command(flatten)]
        tpm: TpmPcrs,
        #[command(flatten)]
        quorum: Quorum,
    },
    /// Remove a provider
    Remove {
        /// Its name
        name: String,
        #[command(flatten)]
        deployment: Deployment,
    },
}

#[derive(Args, Debug)]
pub struct Recover {
    /// The deployment's directory
    #[arg(long, value_name = "DIR", default_value = DEFAULT_DATA)]
    pub data: PathBuf,
    /// A share that its custodian decrypted; once for each
    #[arg(long = "share", value_name = "FILE", required = true)]
    pub shares: Vec<PathBuf>,
    /// The new provider: as for `--root-key`
    #[arg(long, value_name = "SOURCE")]
    pub to: String,
    /// What to call it; its kind if not given
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Remove this provider, which is lost; may be repeated
    #[arg(long, value_name = "NAME")]
    pub remove: Vec<String>,
    #[command(flatten)]
    pub tpm: TpmPcrs,
    #[command(flatten)]
    pub hsm: HsmToken,
}

#[derive(Args, Debug)]
pub struct OpenShare {
    /// The encrypted share
    pub share: PathBuf,
    /// The custodian's private key: RSA, PKCS #8, PEM
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// The new file for the decrypted share
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

#[derive(Args, Debug)]
pub struct Init {
    /// The directory to make; it must not exist or be empty
    #[arg(long, value_name = "DIR", default_value = DEFAULT_DATA)]
    pub data: PathBuf,
    #[command(flatten)]
    pub root_key: RootKey,
    #[command(flatten)]
    pub tpm: TpmPcrs,
    #[command(flatten)]
    pub quorum: Quorum,
    /// What people call the first tenant
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub tenant_name: String,
    /// The first tenant's domain
    #[arg(long, value_name = "DOMAIN", default_value = "default.vouchsafe.localhost")]
    pub domain: String,
}

#[derive(Args, Clone, Debug)]
pub struct Names {
    /// The host name in our own URLs
    #[arg(long, value_name = "NAME", default_value = "localhost")]
    pub host: String,
    /// Another name or address that clients use; may be repeated
    #[arg(long = "also", value_name = "NAME")]
    pub also_known_as: Vec<String>,
    /// The parent of vault names
    #[arg(long, value_name = "NAME", default_value = "vault.localhost")]
    pub vault_suffix: String,
    /// Where resources say they are when nobody says
    #[arg(long, value_name = "NAME", default_value = "local")]
    pub location: String,
}

#[derive(Args, Debug)]
pub struct Serve {
    /// The deployment's directory
    #[arg(long, value_name = "DIR", default_value = DEFAULT_DATA)]
    pub data: PathBuf,
    #[command(flatten)]
    pub root_key: RootKey,
    /// Where to listen
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8443")]
    pub listen: SocketAddr,
    #[command(flatten)]
    pub names: Names,
    #[command(flatten)]
    pub http: PlainHttp,
    #[command(flatten)]
    pub acme: Acme,
    /// Answer for Microsoft's public names too, when a proxy leads them here
    #[arg(long)]
    pub capture: bool,
    /// The certificate chain to show, in PEM; ours if not given
    #[arg(long, value_name = "FILE", requires = "key")]
    pub certificate: Option<PathBuf>,
    /// The private key of the certificate, in PEM
    #[arg(long, value_name = "FILE", requires = "certificate")]
    pub key: Option<PathBuf>,
    /// How long to go on serving after balancers were told to stop sending
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    pub drain_seconds: u64,
}

#[derive(Args, Debug)]
pub struct Agent {
    /// The agent's own directory, for its socket and what `run` and `env` read
    #[arg(long, value_name = "DIR", default_value = "/run/vouchsafe-agent")]
    pub directory: PathBuf,
    /// Where the metadata endpoints listen; loopback only
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:40342")]
    pub imds: SocketAddr,
    /// Where the forward proxy listens; loopback only
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:40343")]
    pub proxy: SocketAddr,
    /// The server's TLS address, where the proxy leads our names
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8443")]
    pub server: SocketAddr,
}

#[derive(Args, Debug)]
pub struct Dev {
    /// Where to keep everything; a temporary directory if not given
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// The TLS port; 0 picks a free one
    #[arg(long, value_name = "PORT", default_value_t = 8443)]
    pub port: u16,
    #[command(flatten)]
    pub hsm: HsmToken,
    #[command(flatten)]
    pub http: PlainHttp,
    #[command(flatten)]
    pub acme: Acme,
    /// A file to apply when ready
    #[arg(long, value_name = "FILE")]
    pub apply: Option<PathBuf>,
    /// Print one line of JSON when ready
    #[arg(long)]
    pub json: bool,
}

#[derive(Args, Debug)]
pub struct Run {
    /// The identity, by name or ARM id
    #[arg(long, value_name = "NAME")]
    pub identity: String,
    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "CMD")]
    pub command: Vec<std::ffi::OsString>,
}

#[derive(Args, Debug)]
pub struct Env {
    /// Bind this identity to the calling shell until it ends
    #[arg(long, value_name = "NAME")]
    pub identity: Option<String>,
    /// How to print it
    #[arg(long, value_enum, default_value_t = EnvFormat::Shell)]
    pub format: EnvFormat,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum EnvFormat {
    /// For `eval "$(vouchsafe env)"`
    Shell,
    /// For `.env` files
    Dotenv,
    /// For programs
    Json,
}

#[derive(Args, Debug)]
pub struct Apply {
    /// The file, in YAML; `-` reads standard input
    #[arg(long, short, value_name = "FILE")]
    pub file: PathBuf,
    /// Only say what would change
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Args, Debug)]
pub struct InVault {
    /// The vault
    #[arg(long, value_name = "NAME", env = "VOUCHSAFE_VAULT")]
    pub vault: String,
}

#[derive(Debug, Subcommand)]
pub enum Token {
    /// Print an access token of the local administrator
    Get {
        /// For which resource
        #[arg(long, value_name = "RESOURCE", default_value = "https://vault.azure.net")]
        resource: String,
    },
    /// Generate a client secret for an application that can do no better
    ClientSecret {
        /// The application, by name or client id
        application: String,
        /// How long it works
        #[arg(long, value_name = "DAYS")]
        lifetime_days: Option<u32>,
    },
}

#[derive(Debug, Subcommand)]
pub enum Audit {
    /// Prove offline that a log is complete and unedited
    Verify {
        /// The log's directory: `audit` in the deployment's directory
        directory: PathBuf,
        /// The file with the public key, kept apart from the log
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
    },
    /// Print the newest entries
    Tail {
        /// How many
        #[arg(long, short = 'n', value_name = "COUNT", default_value_t = 20)]
        lines: u32,
        /// Go on as entries come
        #[arg(long, short)]
        follow: bool,
    },
}

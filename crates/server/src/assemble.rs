//! Puts the server together: with `root_token.rs`, the only file that names concrete adapters.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use vouchsafe_crypto::envelope::Kek;
use vouchsafe_crypto::keys::KeySpec;
use vouchsafe_domain::audit::{Entry, Outcome, Subject, Trail, newest};
use vouchsafe_domain::directory::{TenantDomain, TenantToFound, found_first_tenant};
use vouchsafe_domain::ids::TenantId;
use vouchsafe_domain::listener::ListenerAuthority;
use vouchsafe_domain::ports::{CertificateIssuer, Clock, Entropy, Hsm, Log, Store};
use vouchsafe_domain::timekeeping::Timekeeper;
use vouchsafe_domain::token::audience::ServiceNames;
use vouchsafe_domain::{Fault, KeyHolders, Platform, Settings};
use vouchsafe_hsm::pkcs11::OpenError as TokenError;
use vouchsafe_hsm::{KeyPool, Pkcs11Hsm, SoftwareKeys, TokenSettings};
use vouchsafe_store::deployment::{Ceremony, initialise_with};
use vouchsafe_store::log::FileLog;
use vouchsafe_store::root::{Recovery, RootKeySource, ShareFile};
use vouchsafe_store::{Deployment, EngineKind, InitError, OpenError};
use vouchsafe_wire::admin::Endpoints;

use crate::adapters::{SystemClock, SystemEntropy};
use crate::http::app::{App, LogFacts, before_handler, before_route};
use crate::http::plane::{
    Host, Names, Origin, PUBLIC_GRAPH_HOST, PUBLIC_LOGIN_ALIASES, PUBLIC_LOGIN_HOST,
    PUBLIC_RESOURCE_MANAGER_HOST, PUBLIC_VAULT_SUFFIX,
};
use crate::http::route::{Route, Table, TableError};
use crate::http::{Handler, Parts, Readiness, Service, admin, arm, keyvault, node, oauth, operations, pki};
use crate::jobs::Jobs;
use crate::limits::Limits;
use crate::listen::{AdminSocket, Doors, Drained, SocketError, serve_plain_http};
use crate::outside::{Acme, AcmeSettings, ChallengeAnswers, OutsideError};
use crate::rekeying::Rekeying;
use crate::telemetry::Telemetry;
use crate::tls::authority::{Authority, CaMaterial};
use crate::tls::files::CertificateFiles;
use crate::tls::{CertificateNames, MainCertificate, Tls, TlsError};
use crate::token_metrics::TokenMetrics;

/// How a server is to be run.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where everything persistent is.
    pub data: PathBuf,
    /// Where the root key comes from.
    pub root_key: RootKeySource,
    /// The PKCS#11 token that holds the keys of HSM kinds, if there is one.
    pub token: Option<TokenSettings>,
    /// Where to listen. Port 0 picks a free one.
    pub listen: SocketAddr,
    /// Where to listen without TLS, if anywhere: for challenges of ACME servers, and for what authorities publish.
    pub http: Option<PlainHttp>,
    /// The host name in our own URLs.
    pub host: String,
    /// Further names and addresses that clients may use.
    pub also_known_as: Vec<String>,
    /// The parent of vault names, without a port.
    pub vault_suffix: String,
    /// Whether Microsoft's public names, led here by our proxy, are answered too.
    pub capture: bool,
    /// The certificate chain and key to show, instead of one of our own authority.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// The administrators' socket; in the data directory if absent.
    pub admin_socket: Option<PathBuf>,
    /// Where certificates may be got from by ACME, if anywhere.
    pub acme: Option<AcmeSettings>,
    /// Where resources say they are when nobody says.
    pub location: String,
    /// The bounds of the doors.
    pub limits: Limits,
}

/// Where there is no TLS.
#[derive(Clone, Copy, Debug)]
pub struct PlainHttp {
    /// Where to listen. Port 0 picks a free one.
    pub listen: SocketAddr,
    /// The port under which the world reaches that, if it is another.
    pub port: Option<u16>,
}

/// The first tenant of a new deployment.
#[derive(Clone, Debug)]
pub struct FirstTenant {
    /// Its id; random if absent.
    pub id: Option<TenantId>,
    /// What people see.
    pub display_name: String,
    /// Its domain.
    pub domain: String,
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The deployment could not be made.
    #[error(transparent)]
    Init(#[from] InitError),
    /// The deployment does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// What is in the store cannot be used.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// A name is not one.
    #[error("`{name}` {problem}")]
    Name {
        /// The name.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// The certificates cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The token's settings cannot be right. A token that merely does not answer stops nobody.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The address cannot be listened on.
    #[error("cannot listen on `{address}`: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// What the operator says about the outside cannot be used.
    #[error(transparent)]
    Outside(#[from] OutsideError),
    /// The socket cannot be opened.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// The route table contradicts itself: our mistake.
    #[error("the route table is wrong: {0}")]
    Table(#[from] TableError),
    /// The store has no listener authority.
    #[error(
        "the deployment was not initialised to its end; remove the directory and run `vouchsafe init` again"
    )]
    Unfinished,
}

/// A server that is running.
pub struct Server {
    /// Where everything is.
    pub endpoints: Endpoints,
    /// The address of the TLS listener.
    pub tls_addr: SocketAddr,
    /// The names that a proxy should lead here.
    pub known_hosts: Vec<String>,
    doors: Doors<App>,
    token: Option<Arc<Pkcs11Hsm>>,
    jobs: tokio::task::JoinHandle<()>,
    stop: CancellationToken,
}

impl LogFacts for FileLog {
    fn checkpoint_size(&self) -> u64 {
        // The second line of a checkpoint is the tree's size (C2SP tlog-checkpoint).
        self.checkpoint().lines().nth(1).and_then(|size| size.parse().ok()).unwrap_or(0)
    }

    fn verifier(&self) -> String {
        self.vkey().to_owned()
    }
}

/// Every route there is.
pub fn routes() -> Vec<Route<Handler<App>>> {
    let planes = [
        oauth::routes(),
        keyvault::routes(),
        arm::routes(),
        operations::routes(),
        admin::routes(),
        node::routes(),
        pki::routes(),
    ];
    planes.into_iter().flatten().collect()
}

/// Makes a deployment: store, log, root key, the first tenant and the listener's authority. Explicit, and never over
/// anything that exists.
pub async fn initialise(
    data: &std::path::Path,
    root_key: &RootKeySource,
    recovery: Option<&Recovery>,
    first: &FirstTenant,
) -> Result<(TenantId, Vec<ShareFile>), StartError> {
    let domain = TenantDomain::parse(&first.domain)
        .map_err(|error| StartError::Name { name: first.domain.clone(), problem: error.to_string() })?;
    let (clock, entropy) = (SystemClock, SystemEntropy);
    let shares = initialise_with(data, root_key, recovery, EngineKind::default(), &entropy)?;
    let deployment = vouchsafe_store::open(data, root_key, Arc::new(clock)).await?;
    let now = clock.now();
    let wanted =
        TenantToFound { id: first.id, display_name: first.display_name.clone(), domain, subscription: None };
    let tenant = found_first_tenant(&*deployment.store, &entropy, &wanted, now).await?;
    let (_, material) = Authority::generate(now, &entropy)?;
    // Last, so that a deployment without it is known to be unfinished.
    let authority = ListenerAuthority { certificate: material.certificate_der, key: material.key_pkcs8 };
    authority.keep(&*deployment.store).await?;
    Ok((tenant, shares))
}

/// Opens a deployment for a ceremony, while no server runs, and records what is about to be done to it.
pub async fn ceremony(
    data: &std::path::Path,
    root_key: &RootKeySource,
    action: &str,
    reason: &str,
) -> Result<Ceremony, StartError> {
    let (clock, entropy) = (SystemClock, SystemEntropy);
    let ceremony = Ceremony::begin(data, root_key, Arc::new(clock)).await?;
    let trail = Trail::new(ceremony.deployment.log.clone());
    let subject = Subject { by: "kernel".to_owned(), ..Subject::default() };
    let time = timekeeper(&ceremony.deployment, Arc::new(clock)).await?;
    let mut entry = Entry::new(entropy.uuid(), subject, action, "/", time.now());
    entry.from = Some(format!("uid {} pid {}", rustix::process::getuid().as_raw(), std::process::id()));
    trail.record(entry.outcome(Outcome::Done, Some(reason))).await?;
    Ok(ceremony)
}

/// What reads the clock for everything that the deployment decides.
async fn timekeeper(deployment: &Deployment, clock: Arc<dyn Clock>) -> Result<Arc<Timekeeper>, Fault> {
    let recorded = newest(&*deployment.log).await?;
    Timekeeper::open(&*deployment.store, recorded, clock).await
}

/// Opens a deployment and starts to serve it.
pub async fn start(config: Config) -> Result<Server, StartError> {
    let machine: Arc<dyn Clock> = Arc::new(SystemClock);
    let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
    let names = names(&config)?;
    let deployment = Arc::new(vouchsafe_store::open(&config.data, &config.root_key, machine.clone()).await?);
    let time = timekeeper(&deployment, machine).await?;
    let clock: Arc<dyn Clock> = time.clone();
    let authority = ListenerAuthority::load(&*deployment.store).await?.ok_or(StartError::Unfinished)?;
    let authority =
        Authority::load(&CaMaterial { certificate_der: authority.certificate, key_pkcs8: authority.key })?;
    let now = clock.now();
    let main = match &config.certificate {
        Some((chain, key)) => {
            MainCertificate::Files(CertificateFiles { chain: chain.clone(), key: key.clone() })
        }
        None => {
            let extra = std::iter::once(&names.primary).chain(&names.others).cloned().collect();
            MainCertificate::Issued(CertificateNames { vault_suffix: names.vault_suffix.clone(), extra })
        }
    };
    let tls = Arc::new(Tls::new(authority, main, config.capture, now, &*entropy)?);
    let trust = config.data.join("tls");
    make_directory(&trust)?;
    tls.write_trust(&trust)?;

    let stop = CancellationToken::new();
    let answers = Arc::new(ChallengeAnswers::new(clock.clone()));
    let issuers = connect_issuers(config.acme.as_ref(), answers.clone(), clock.clone())?;
    let (listener, tls_addr) = bind(config.listen).await?;
    let plain = match &config.http {
        Some(http) => Some(bind(http.listen).await?),
        None => None,
    };
    let publication_port = plain
        .as_ref()
        .map(|(_, address)| config.http.and_then(|http| http.port).unwrap_or_else(|| address.port()));
    let admin_socket = config.admin_socket.clone().unwrap_or_else(|| config.data.join("admin/admin.sock"));

    let settings = settings(&config, &names, tls_addr.port(), publication_port);
    let origin = settings.origin().to_owned();
    let backup_key = Kek::from_secret(deployment.backup_key.to_secret()).ok_or(StartError::Unfinished)?;
    let log: Arc<dyn Log> = deployment.log.clone();
    let store: Arc<dyn Store> = deployment.store.clone();
    let pool = KeyPool::new(KEYS_IN_STOCK);
    let token = token(&config, clock.clone())?;
    let holders = key_holders(token.clone(), pool.clone());
    let platform = Platform::open(store, log, entropy.clone(), backup_key, holders, settings, time).await?;
    let platform = Arc::new(platform.with_certificate_issuers(issuers));
    let tenant = platform.world().default_tenant().ok_or(StartError::Unfinished)?.tenant().id;
    let endpoints = Endpoints {
        authority: origin.clone(),
        tenant: tenant.to_string(),
        arm: origin.clone(),
        graph: format!("{origin}/graph"),
        vault_suffix: Origin::new(names.vault_suffix.clone(), Some(tls_addr.port())).authority(),
        imds: None,
        proxy: None,
        ca_file: trust.join("ca.pem").display().to_string(),
        ca_bundle: trust.join("ca-bundle.pem").display().to_string(),
        admin_socket: admin_socket.display().to_string(),
        data: config.data.display().to_string(),
    };

    let readiness = Arc::new(Readiness::default());
    let rekeying = Rekeying::new(platform.clone(), deployment.keys.clone(), entropy.clone(), stop.clone());
    rekeying.resume().await?;
    let telemetry = Arc::new(Telemetry::new(env!("CARGO_PKG_VERSION"), |registry| {
        if let Some(token) = token.clone() {
            registry.register_collector(Box::new(TokenMetrics(move || token.state())));
        }
    }));
    let app = Arc::new(App {
        platform: platform.clone(),
        log: deployment.log.clone(),
        telemetry: telemetry.clone(),
        readiness: readiness.clone(),
        endpoints: endpoints.clone(),
        names: names.clone(),
        started_at: now.rfc3339(),
        rekeying: Some(rekeying),
    });
    let service = Arc::new(Service::new(Parts {
        app,
        table: Table::new(routes())?,
        names: names.clone(),
        before_route: Some(before_route),
        before_handler: Some(before_handler),
        limits: config.limits.clone(),
        telemetry,
        readiness: readiness.clone(),
        clock: clock.clone(),
        entropy: entropy.clone(),
    }));
    if let Some((listener, address)) = plain {
        tracing::info!(%address, "plain HTTP is answered, for challenges and for what authorities publish");
        tokio::spawn(serve_plain_http(listener, answers, service.clone(), stop.clone()));
    }
    let doors = Doors::new(service);
    doors.open_admin(AdminSocket::bind(&admin_socket).await?);
    doors.open_tls(listener, tls.server_config());
    let jobs = Arc::new(Jobs { platform, deployment, tls, entropy });
    let jobs = tokio::spawn(jobs.run(stop.clone()));
    tokio::spawn(stop.clone().run_until_cancelled_owned(pool.keep_filled()));
    readiness.ready();
    tracing::info!(%tls_addr, origin, "ready");
    Ok(Server { endpoints, tls_addr, known_hosts: known_hosts(&config, &names), doors, token, jobs, stop })
}

impl Server {
    /// An operator has looked at the token's PIN: if it was refused, the next call to the token shows it what is in the file now.
    pub fn reload_pin(&self) {
        if let Some(token) = &self.token {
            token.reload_pin();
            tracing::info!("the PIN of the token may be tried again");
        }
    }

    /// Stops in order: balancers are told, requests in flight finish, the log is anchored.
    pub async fn drain(self, announce: Duration) -> Drained {
        let drained = self.doors.drain(announce).await;
        self.stop.cancel();
        if let Err(error) = self.jobs.await {
            tracing::error!(%error, "the jobs did not end in order");
        }
        drained
    }
}

/// RSA keys that are made before they are asked for: enough for a burst of what is asked for most.
const KEYS_IN_STOCK: [(KeySpec, usize); 3] =
    [(KeySpec::Rsa2048, 8), (KeySpec::Rsa3072, 2), (KeySpec::Rsa4096, 1)];

fn token(config: &Config, clock: Arc<dyn Clock>) -> Result<Option<Arc<Pkcs11Hsm>>, StartError> {
    let Some(settings) = &config.token else { return Ok(None) };
    Ok(Some(Arc::new(Pkcs11Hsm::open(settings.clone(), clock)?)))
}

fn key_holders(token: Option<Arc<Pkcs11Hsm>>, pool: Arc<KeyPool>) -> KeyHolders {
    let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let token = token.map(|token| token as Arc<dyn Hsm>);
    KeyHolders { software: Arc::new(SoftwareKeys::new(pool, cores)), token }
}

/// A listener, and where it is: port 0 picked one.
async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |source| StartError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

/// The certificate authorities outside that the operator named, with the table of what they will look for.
fn connect_issuers(
    acme: Option<&AcmeSettings>,
    answers: Arc<ChallengeAnswers>,
    clock: Arc<dyn Clock>,
) -> Result<Vec<Arc<dyn CertificateIssuer>>, StartError> {
    let Some(settings) = acme else { return Ok(Vec::new()) };
    Ok(vec![Arc::new(Acme::new(settings, answers, clock)?)])
}

fn host(raw: &str) -> Result<Host, StartError> {
    Host::parse(raw)
        .ok_or_else(|| StartError::Name { name: raw.to_owned(), problem: "is not a host name".to_owned() })
}

fn names(config: &Config) -> Result<Names, StartError> {
    let primary = host(&config.host)?;
    let always = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let others =
        config.also_known_as.iter().chain(&always).map(|name| host(name)).collect::<Result<Vec<_>, _>>()?;
    let others = others.into_iter().filter(|other| *other != primary).collect();
    Ok(Names { primary, others, vault_suffix: host(&config.vault_suffix)?, capture: config.capture })
}

fn settings(config: &Config, names: &Names, port: u16, publication_port: Option<u16>) -> Settings {
    let own = std::iter::once(&names.primary).chain(&names.others);
    let mut origins: Vec<String> =
        own.map(|name| Origin::new(name.clone(), Some(port)).to_string()).collect();
    let origin = origins.first().cloned().unwrap_or_default();
    let mut key_vault = vec![Origin::new(names.vault_suffix.clone(), Some(port)).to_string()];
    let mut resource_manager = origins.clone();
    let mut graph = vec![format!("{origin}/graph")];
    // Azure's own names for the services are accepted as audiences wherever the client came from (wire facts §12).
    key_vault.push(format!("https://{PUBLIC_VAULT_SUFFIX}"));
    resource_manager.push(format!("https://{PUBLIC_RESOURCE_MANAGER_HOST}"));
    resource_manager.push("https://management.core.windows.net".to_owned());
    graph.push(format!("https://{PUBLIC_GRAPH_HOST}"));
    if config.capture {
        origins.push(format!("https://{PUBLIC_LOGIN_HOST}"));
        origins.extend(PUBLIC_LOGIN_ALIASES.map(|name| format!("https://{name}")));
    }
    let services = ServiceNames { key_vault, resource_manager, graph };
    Settings { origins, services, publication_port, location: config.location.clone() }
}

fn known_hosts(config: &Config, names: &Names) -> Vec<String> {
    let suffix = names.vault_suffix.as_str();
    let mut known = vec![suffix.to_owned(), format!("*.{suffix}"), names.primary.as_str().to_owned()];
    if config.capture {
        known.extend(captured_hosts());
    }
    known
}

/// Microsoft's names that a server with capture answers for.
pub fn captured_hosts() -> Vec<String> {
    let fixed = [PUBLIC_LOGIN_HOST, PUBLIC_RESOURCE_MANAGER_HOST, PUBLIC_GRAPH_HOST];
    let vaults = format!("*.{PUBLIC_VAULT_SUFFIX}");
    fixed.into_iter().chain(PUBLIC_LOGIN_ALIASES).map(str::to_owned).chain([vaults]).collect()
}

fn make_directory(path: &std::path::Path) -> Result<(), StartError> {
    match std::fs::create_dir(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            Err(StartError::Tls(TlsError::Write { path: path.display().to_string(), source: error }))
        }
        _ => Ok(()),
    }
}

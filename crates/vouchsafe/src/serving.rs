//! The commands that serve until they are stopped: `serve`, `agent`, `dev`. All are the same parts, put together
//! differently; `dev` takes no step that the others do not take.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use vouchsafe_agent::{AdminSocket, Config as AgentConfig, InheritableSockets, ProxyConfig};
use vouchsafe_server::adapters::SystemClock;
use vouchsafe_server::assemble::{self, Config, FirstTenant, Server};
use vouchsafe_server::limits::Limits;
use vouchsafe_server::outside::AcmeSettings;
use vouchsafe_store::root::RootKeySource;
use vouchsafe_wire::admin::Endpoints;

use crate::cli::{Acme, Agent, Dev, DirectoryToUse, Global, PlainHttp, Serve};
use crate::client::Client;
use crate::command::{apply, root_source};
use crate::environment::AgentFacts;
use crate::output;

/// What was said about ACME, if anything was.
fn acme(arguments: &Acme) -> Result<Option<AcmeSettings>> {
    let Acme { acme_directory, acme_ca, acme_allow_network } = arguments.clone();
    if acme_directory.is_empty() {
        return Ok(None);
    }
    let mut directories = BTreeMap::new();
    for DirectoryToUse { name, url } in acme_directory {
        if directories.insert(name.clone(), url).is_some() {
            bail!("the ACME directory `{name}` is given twice");
        }
    }
    Ok(Some(AcmeSettings { directories, roots: acme_ca, networks: acme_allow_network }))
}

fn plain_http(arguments: &PlainHttp) -> Option<assemble::PlainHttp> {
    let PlainHttp { http_listen, http_port } = *arguments;
    http_listen.map(|listen| assemble::PlainHttp { listen, port: http_port })
}

/// `vouchsafe serve`.
pub async fn serve(arguments: &Serve) -> Result<ExitCode> {
    let mut stop = Stop::listen()?;
    let config = Config {
        data: arguments.data.clone(),
        root_key: root_source::opening(&arguments.root_key, &arguments.data)?,
        token: root_source::token(&arguments.root_key.hsm),
        acme: acme(&arguments.acme)?,
        http: plain_http(&arguments.http),
        listen: arguments.listen,
        host: arguments.names.host.clone(),
        also_known_as: arguments.names.also_known_as.clone(),
        vault_suffix: arguments.names.vault_suffix.clone(),
        capture: arguments.capture,
        certificate: arguments.certificate.clone().zip(arguments.key.clone()),
        admin_socket: None,
        location: arguments.names.location.clone(),
        limits: Limits::default(),
    };
    let server = assemble::start(config).await?;
    let mut reload = signal(SignalKind::hangup()).context("cannot listen for signals")?;
    loop {
        tokio::select! {
            () = stop.wait() => break,
            Some(()) = reload.recv() => server.reload_pin(),
        }
    }
    server.drain(Duration::from_secs(arguments.drain_seconds)).await;
    Ok(ExitCode::SUCCESS)
}

/// `vouchsafe agent`.
pub async fn agent(global: &Global, arguments: &Agent) -> Result<ExitCode> {
    let mut stop = Stop::listen()?;
    let endpoints = Client::at(&global.socket).status().await?.endpoints;
    let suffix = host_of(&endpoints.vault_suffix);
    let authority = endpoints.authority.strip_prefix("https://").unwrap_or(&endpoints.authority);
    let mut known_hosts = vec![suffix.to_owned(), format!("*.{suffix}"), host_of(authority).to_owned()];
    known_hosts.extend(assemble::captured_hosts());
    let shutdown = CancellationToken::new();
    let wanted = AgentToStart {
        directory: arguments.directory.clone(),
        admin_socket: global.socket.clone(),
        imds: arguments.imds,
        proxy: arguments.proxy,
        server_tls: arguments.server,
        known_hosts,
    };
    wanted.start(&endpoints, shutdown.clone()).await?;
    stop.wait().await;
    shutdown.cancel();
    Ok(ExitCode::SUCCESS)
}

fn host_of(authority: &str) -> &str {
    authority.rsplit_once(':').map_or(authority, |(host, _)| host)
}

/// What `dev` and `agent` start alike.
struct AgentToStart {
    directory: PathBuf,
    admin_socket: PathBuf,
    imds: SocketAddr,
    proxy: SocketAddr,
    server_tls: SocketAddr,
    known_hosts: Vec<String>,
}

impl AgentToStart {
    async fn start(self, endpoints: &Endpoints, shutdown: CancellationToken) -> Result<AgentFacts> {
        let config = AgentConfig {
            imds: self.imds,
            proxy: Some(ProxyConfig {
                listen: self.proxy,
                known_hosts: self.known_hosts,
                server_tls: self.server_tls,
            }),
            socket: self.directory.join("agent.sock"),
            source: Arc::new(AdminSocket::new(self.admin_socket)),
            clock: Arc::new(|| vouchsafe_server::adapters::now_seconds(&SystemClock)),
            inheritable_sockets: InheritableSockets::default(),
            connections_max: 4_096,
            source_deadline: Duration::from_secs(10),
        };
        let running = vouchsafe_agent::start(config, shutdown).await?;
        let proxy = running.proxy_addr.context("the agent started without its proxy")?;
        let mut facts = AgentFacts {
            imds: format!("http://{}", running.imds_addr),
            proxy: format!("http://{proxy}"),
            ca_file: endpoints.ca_file.clone(),
            ca_bundle: endpoints.ca_bundle.clone(),
            java_truststore: String::new(),
        };
        facts.keep(&self.directory)?;
        Ok(facts)
    }
}

/// `vouchsafe dev`.
pub async fn dev(arguments: &Dev) -> Result<ExitCode> {
    let mut stop = Stop::listen()?;
    let temporary = match arguments.data {
        Some(_) => None,
        None => {
            Some(tempfile::Builder::new().prefix("vouchsafe-").tempdir().context("cannot make a directory")?)
        }
    };
    let data = match (&arguments.data, &temporary) {
        (Some(data), _) => std::path::absolute(data)?,
        (None, Some(temporary)) => temporary.path().join("data"),
        (None, None) => bail!("there is no data directory"),
    };
    let root_key = RootKeySource::KeyFile(data.join("root.key"));
    if !data.join("store.sqlite").exists() {
        if let Some(parent) = data.parent() {
            std::fs::create_dir_all(parent)
                .with_context(|| format!("cannot create `{}`", parent.display()))?;
        }
        let first = FirstTenant {
            id: None,
            display_name: "dev".to_owned(),
            domain: "dev.vouchsafe.localhost".to_owned(),
        };
        assemble::initialise(&data, &root_key, None, &first).await?;
    }
    let loopback = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
    let config = Config {
        data: data.clone(),
        root_key,
        token: root_source::token(&arguments.hsm),
        acme: acme(&arguments.acme)?,
        http: plain_http(&arguments.http),
        listen: loopback(arguments.port),
        host: "localhost".to_owned(),
        also_known_as: Vec::new(),
        vault_suffix: "vault.localhost".to_owned(),
        capture: true,
        certificate: None,
        admin_socket: None,
        location: "local".to_owned(),
        limits: Limits::default(),
    };
    let server = assemble::start(config).await?;
    let shutdown = CancellationToken::new();
    let ran = with_agent(arguments, &data, &server, shutdown.clone(), &mut stop).await;
    shutdown.cancel();
    server.drain(Duration::ZERO).await;
    ran.map(|()| ExitCode::SUCCESS)
}

async fn with_agent(
    arguments: &Dev,
    data: &Path,
    server: &Server,
    shutdown: CancellationToken,
    stop: &mut Stop,
) -> Result<()> {
    let mut endpoints = server.endpoints.clone();
    let admin_socket = PathBuf::from(&endpoints.admin_socket);
    let any = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
    let wanted = AgentToStart {
        directory: data.join("agent"),
        admin_socket: admin_socket.clone(),
        imds: any,
        proxy: any,
        server_tls: server.tls_addr,
        known_hosts: server.known_hosts.clone(),
    };
    let facts = wanted.start(&endpoints, shutdown).await?;
    endpoints.imds = Some(facts.imds);
    endpoints.proxy = Some(facts.proxy);
    if let Some(file) = &arguments.apply {
        let report = apply::apply_file(&Client::at(&admin_socket), file, false).await?;
        if !arguments.json {
            output::line(&apply::human(&report));
        }
    }
    if arguments.json {
        output::line(&serde_json::to_string(&endpoints)?);
    } else {
        output::line(&human(&endpoints));
    }
    stop.wait().await;
    Ok(())
}

fn human(endpoints: &Endpoints) -> String {
    let Endpoints { authority, tenant, vault_suffix, admin_socket, data, .. } = endpoints;
    format!(
        "ready\n  authority      {authority}/{tenant}\n  vaults         https://NAME.{vault_suffix}\n  data           \
         {data}\n\nIn another shell:\n  export VOUCHSAFE_SOCKET={admin_socket}\n  vouchsafe run --identity NAME -- \
         PROGRAM"
    )
}

/// The signals that mean "stop in order".
struct Stop {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Stop {
    /// Listens from now on, so that a signal during the start is not missed.
    fn listen() -> Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

//! Which of our services a request addresses, and by which public name.
//!
//! Everything that leaves with a name in it - ids, links, challenges, issuers - is made from the [`Address`] found
//! here, which comes from the listener and the `Host` header alone. `Forwarded` and `X-Forwarded-*` are never read:
//! a proxy that changes names in front of a vault is a configuration error that must show, not one to paper over.

use std::fmt;

use http::uri::Scheme;
use http::{HeaderMap, Uri, header};

use vouchsafe_domain::ids::VaultName;

use super::route::Plane;
use crate::limits::HOST_BYTES_MAX;

/// Microsoft's login host, under which captured clients know us.
pub const PUBLIC_LOGIN_HOST: &str = "login.microsoftonline.com";

/// Other names of the login host; instance discovery lists them as aliases.
pub const PUBLIC_LOGIN_ALIASES: [&str; 3] = ["login.windows.net", "login.microsoft.com", "sts.windows.net"];

/// Microsoft's Resource Manager host.
pub const PUBLIC_RESOURCE_MANAGER_HOST: &str = "management.azure.com";

/// Microsoft's Graph host.
pub const PUBLIC_GRAPH_HOST: &str = "graph.microsoft.com";

/// Microsoft's vault parent.
pub const PUBLIC_VAULT_SUFFIX: &str = "vault.azure.net";

/// A process on this machine, as the kernel names it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct KernelPeer {
    /// The user.
    pub uid: u32,
    /// The primary group.
    pub gid: u32,
    /// The process, when the kernel tells.
    pub pid: Option<i32>,
}

/// How a request arrived.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Connection {
    /// Which door.
    pub door: Door,
    /// The other end, on TCP.
    pub remote: Option<std::net::SocketAddr>,
    /// Whether the bytes were encrypted on the way.
    pub tls: bool,
    /// The process at the other end, on the administrators' socket.
    pub peer: Option<KernelPeer>,
}

/// The kinds of door a request can come through.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Door {
    /// TCP with TLS.
    Tls,
    /// TCP without, where only what authorities publish is found.
    Http,
    /// The administrators' Unix socket.
    AdminSocket,
}

impl Door {
    /// The door's name in metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::Http => "http",
            Self::AdminSocket => "admin-socket",
        }
    }
}

/// A host without scheme or port: a DNS name in lower case, or an IP address (version 6 without brackets).
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Host(Box<str>);

impl Host {
    /// Reads a host name or an IP address; a trailing dot is dropped.
    pub fn parse(raw: &str) -> Option<Self> {
        if let Ok(address) = raw.parse::<std::net::IpAddr>() {
            return Some(Self(address.to_string().into()));
        }
        let name = raw.strip_suffix('.').unwrap_or(raw);
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        // A last label of digits only would be an IPv4 address to some readers and a name to others.
        let numeric = name.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
        let well_formed = name.len() <= 253 && !numeric && name.split('.').all(label);
        well_formed.then(|| Self(name.to_ascii_lowercase().into()))
    }

    /// The host's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands before `.suffix`, when it is exactly one label.
    fn label_under(&self, suffix: &str) -> Option<&str> {
        let label = self.0.strip_suffix(suffix)?.strip_suffix('.')?;
        (!label.contains('.')).then_some(label)
    }

    /// Whether browsers may be told to insist on TLS here: never for names that other programs on a developer's
    /// machine share, nor for addresses.
    pub fn is_shared_or_numeric(&self) -> bool {
        self.as_str() == "localhost"
            || self.0.ends_with(".localhost")
            || self.0.parse::<std::net::IpAddr>().is_ok()
    }
}

/// A public origin: `https`, a host and, when it is not 443, a port.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Origin {
    /// The host.
    pub host: Host,
    /// The port, `None` for 443.
    pub port: Option<u16>,
}

impl Origin {
    /// An origin; port 443 is left out, as clients do.
    pub fn new(host: Host, port: Option<u16>) -> Self {
        Self { host, port: port.filter(|port| *port != 443) }
    }

    /// Host and port as in a `Host` header.
    pub fn authority(&self) -> String {
        let host = self.host.as_str();
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        match self.port {
            Some(port) => format!("{host}:{port}"),
            None => host,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}", self.authority())
    }
}

/// The names that are ours.
#[derive(Clone, Debug)]
pub struct Names {
    /// The name that challenges and links to other planes use.
    pub primary: Host,
    /// Every other name or address that clients may use for the same planes.
    pub others: Vec<Host>,
    /// The parent of vault names.
    pub vault_suffix: Host,
    /// Whether Microsoft's public names, led here by a proxy or a hosts file, are answered too.
    pub capture: bool,
}

/// The vault that a host name stands for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct VaultAddress {
    /// The vault's name.
    pub name: VaultName,
    /// The audience that the challenge names: the parent with scheme and port.
    pub resource: String,
}

/// What a request addresses.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Address {
    /// The service.
    pub plane: Plane,
    /// The origin the caller used; ids and links begin with it.
    pub origin: Origin,
    /// Where this caller finds the token service.
    pub login: Origin,
    /// What stands before the plane's own paths: `/graph` or nothing.
    pub base_path: &'static str,
    /// The vault, on the planes of vaults only.
    pub vault: Option<VaultAddress>,
    /// Whether one of Microsoft's public names was used.
    pub captured: bool,
}

/// Why a request addresses nothing here.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadHost {
    /// No `Host` header and no `:authority`.
    #[error("the request names no host")]
    Absent,
    /// Not a host with an optional port, several that differ, or too long.
    #[error("the request's host cannot be read; send one `Host` header with a name and a port")]
    Garbled,
    /// A well-formed host that is not ours.
    #[error(
        "this server does not answer for the requested host; check the address, or add the name to the server's names"
    )]
    Foreign,
    /// One of ours, but not without TLS.
    #[error("here only what certificate authorities publish is found; everything else is served over https")]
    OnlyHttps,
    /// A name under the vault parent that no vault can have.
    #[error(
        "no vault can have this name: it must be 3 to 24 letters, digits or single hyphens directly under the vault suffix"
    )]
    VaultName,
}

impl Names {
    /// Finds out what a request addresses.
    pub fn address(&self, door: Door, uri: &Uri, headers: &HeaderMap) -> Result<Address, BadHost> {
        match door {
            // The socket is a door to everything; only what is ours alone needs no host.
            Door::AdminSocket => match first_segment(uri.path()) {
                "healthz" | "readyz" | "metrics" => Ok(self.ours(Plane::Operations)),
                "node" => Ok(self.ours(Plane::Node)),
                "admin" => Ok(self.ours(Plane::Admin)),
                _ => self.by_host(host_of(uri, headers)?, uri.path()),
            },
            Door::Tls => self.by_host(host_of(uri, headers)?, uri.path()),
            // SECURITY: whatever else is asked for here, a token or a secret came with it, or would be the answer.
            Door::Http => match self.by_host(host_of(uri, headers)?, uri.path())? {
                address if address.plane == Plane::Pki => Ok(address),
                _ => Err(BadHost::OnlyHttps),
            },
        }
    }

    /// The vault that an authority - host and port, as an identifier has them - is a name of.
    pub fn vault_of(&self, authority: &str) -> Option<VaultName> {
        let origin = parse_authority(authority.as_bytes()).ok()?;
        self.by_host(origin, "").ok()?.vault.map(|vault| vault.name)
    }

    fn ours(&self, plane: Plane) -> Address {
        let origin = Origin::new(self.primary.clone(), None);
        let login = origin.clone();
        Address { plane, origin, login, base_path: "", vault: None, captured: false }
    }

    fn by_host(&self, origin: Origin, path: &str) -> Result<Address, BadHost> {
        let host = &origin.host;
        let own = || Origin::new(self.primary.clone(), origin.port);
        if *host == self.primary || self.others.contains(host) {
            let (plane, base_path) = plane_of_path(path);
            let login = origin.clone();
            return Ok(Address { plane, origin, login, base_path, vault: None, captured: false });
        }
        if let Some(label) = host.label_under(self.vault_suffix.as_str()) {
            let name = VaultName::parse(label).map_err(|_| BadHost::VaultName)?;
            let resource = Origin::new(self.vault_suffix.clone(), origin.port).to_string();
            let vault = Some(VaultAddress { name, resource });
            let login = own();
            return Ok(Address {
                plane: plane_of_vault(path),
                origin,
                login,
                base_path: "",
                vault,
                captured: false,
            });
        }
        if self.capture {
            return captured(origin, path);
        }
        Err(BadHost::Foreign)
    }
}

fn captured(origin: Origin, path: &str) -> Result<Address, BadHost> {
    let login_host = Host(PUBLIC_LOGIN_HOST.into());
    let login = Origin::new(login_host, None);
    let host = origin.host.as_str();
    let address = |plane, origin, vault| {
        Ok(Address { plane, origin, login: login.clone(), base_path: "", vault, captured: true })
    };
    if host == PUBLIC_LOGIN_HOST || PUBLIC_LOGIN_ALIASES.contains(&host) {
        return address(Plane::Entra, login.clone(), None);
    }
    if host == PUBLIC_RESOURCE_MANAGER_HOST {
        // The same host serves the cloud's metadata.
        let metadata = first_segment(path).eq_ignore_ascii_case("metadata");
        return address(if metadata { Plane::Operations } else { Plane::Arm }, origin, None);
    }
    if host == PUBLIC_GRAPH_HOST {
        return address(Plane::Graph, origin, None);
    }
    if let Some(label) = origin.host.label_under(PUBLIC_VAULT_SUFFIX) {
        let name = VaultName::parse(label).map_err(|_| BadHost::VaultName)?;
        let vault = VaultAddress { name, resource: format!("https://{PUBLIC_VAULT_SUFFIX}") };
        return address(plane_of_vault(path), origin, Some(vault));
    }
    Err(BadHost::Foreign)
}

fn first_segment(path: &str) -> &str {
    let path = path.strip_prefix('/').unwrap_or(path);
    path.split_once('/').map_or(path, |(first, _)| first)
}

/// On a vault's name everything is its data plane, but what its authorities publish.
fn plane_of_vault(path: &str) -> Plane {
    if first_segment(path) == "pki" { Plane::Pki } else { Plane::KeyVault }
}

/// On our own names the first segment tells the services apart; whatever is no other service's is a tenant.
fn plane_of_path(path: &str) -> (Plane, &'static str) {
    match first_segment(path) {
        "healthz" | "readyz" | "metrics" | "metadata" => (Plane::Operations, ""),
        "graph" => (Plane::Graph, "/graph"),
        "v1.0" => (Plane::Graph, ""),
        "node" => (Plane::Node, ""),
        _ => {
            // SDKs put an id that begins with a slash after a base that ends with one.
            let first = first_segment(path.trim_start_matches('/'));
            let arm = ["subscriptions", "tenants", "providers"];
            let is_arm = arm.iter().any(|word| word.eq_ignore_ascii_case(first));
            (if is_arm { Plane::Arm } else { Plane::Entra }, "")
        }
    }
}

/// The one host a request names: `Host` (RFC 9110 §7.2), `:authority` (RFC 9113 §8.3.1) or an absolute target.
fn host_of(uri: &Uri, headers: &HeaderMap) -> Result<Origin, BadHost> {
    let mut named =
        uri.authority().map(|authority| parse_authority(authority.as_str().as_bytes())).transpose()?;
    // The port that a scheme has by itself may be said or not (RFC 9110 §4.2.3); OpenSSL does it in one of the two places.
    if uri.scheme() == Some(&Scheme::HTTP)
        && let Some(Origin { port: port @ Some(80), .. }) = &mut named
    {
        *port = None;
    }
    let mut hosts = headers.get_all(header::HOST).iter();
    if let Some(host) = hosts.next() {
        let host = parse_authority(host.as_bytes())?;
        if named.get_or_insert_with(|| host.clone()) != &host {
            return Err(BadHost::Garbled);
        }
    }
    if hosts.next().is_some() {
        return Err(BadHost::Garbled);
    }
    named.ok_or(BadHost::Absent)
}

fn parse_authority(raw: &[u8]) -> Result<Origin, BadHost> {
    let text =
        std::str::from_utf8(raw).ok().filter(|text| text.len() <= HOST_BYTES_MAX).ok_or(BadHost::Garbled)?;
    if text.is_empty() {
        return Err(BadHost::Absent);
    }
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or(BadHost::Garbled)?;
        let address = host.parse::<std::net::Ipv6Addr>().map_err(|_| BadHost::Garbled)?;
        let port = if rest.is_empty() { None } else { Some(rest.strip_prefix(':').ok_or(BadHost::Garbled)?) };
        (Some(Host(address.to_string().into())), port)
    } else {
        let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
        (Host::parse(host), port)
    };
    let port = port.map(parse_port).transpose()?;
    Ok(Origin::new(host.ok_or(BadHost::Garbled)?, port))
}

fn parse_port(raw: &str) -> Result<u16, BadHost> {
    let digits = (1..=5).contains(&raw.len()) && raw.bytes().all(|b| b.is_ascii_digit());
    raw.parse().ok().filter(|port| digits && *port != 0).ok_or(BadHost::Garbled)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn names(capture: bool) -> Names {
        let host = |raw| Host::parse(raw).unwrap();
        Names {
            primary: host("localhost"),
            others: vec![host("127.0.0.1"), host("::1"), host("id.example.org")],
            vault_suffix: host("vault.localhost"),
            capture,
        }
    }

    fn address(capture: bool, host: &str, path: &str) -> Result<Address, BadHost> {
        let headers = HeaderMap::from_iter([(header::HOST, HeaderValue::from_str(host).unwrap())]);
        names(capture).address(Door::Tls, &path.parse().unwrap(), &headers)
    }

    #[test]
    fn a_vault_host_names_its_vault_its_audience_and_its_login_with_the_port() {
        let found = address(false, "App.Vault.localhost:8443", "/secrets/n").unwrap();
        assert_eq!(found.plane, Plane::KeyVault);
        assert_eq!(found.origin.to_string(), "https://app.vault.localhost:8443");
        assert_eq!(found.login.to_string(), "https://localhost:8443");
        let vault = found.vault.unwrap();
        assert_eq!((vault.name.as_str(), vault.resource.as_str()), ("app", "https://vault.localhost:8443"));
        let found = address(false, "app.vault.localhost:443", "/subscriptions").unwrap();
        assert_eq!(
            (found.plane, found.origin.to_string()),
            (Plane::KeyVault, "https://app.vault.localhost".into())
        );
        assert_eq!(found.login.to_string(), "https://localhost");
    }

    #[test]
    fn public_names_are_answered_only_when_captured_and_with_public_audiences() {
        for host in [
            "app.vault.azure.net",
            "login.microsoftonline.com",
            "management.azure.com",
            "graph.microsoft.com",
        ] {
            assert_eq!(address(false, host, "/"), Err(BadHost::Foreign), "{host}");
        }
        let vault = address(true, "app.vault.azure.net", "/secrets").unwrap();
        assert_eq!((vault.plane, vault.captured), (Plane::KeyVault, true));
        assert_eq!(vault.vault.unwrap().resource, "https://vault.azure.net");
        assert_eq!(vault.login.to_string(), "https://login.microsoftonline.com");
        for host in
            ["login.microsoftonline.com", "login.windows.net", "sts.windows.net", "login.microsoft.com:443"]
        {
            let login = address(true, host, "/common/discovery/instance").unwrap();
            assert_eq!(
                (login.plane, login.origin.to_string().as_str()),
                (Plane::Entra, "https://login.microsoftonline.com")
            );
        }
        assert_eq!(address(true, "management.azure.com", "/subscriptions").unwrap().plane, Plane::Arm);
        assert_eq!(
            address(true, "management.azure.com", "/metadata/endpoints").unwrap().plane,
            Plane::Operations
        );
        assert_eq!(address(true, "graph.microsoft.com", "/v1.0/me").unwrap().plane, Plane::Graph);
        assert_eq!(address(true, "example.com", "/"), Err(BadHost::Foreign));
        assert_eq!(address(true, "a.b.vault.azure.net", "/"), Err(BadHost::Foreign));
    }

    #[test]
    fn on_our_own_names_the_first_segment_chooses_the_plane() {
        for (path, plane, base) in [
            ("/SubScriptions/x", Plane::Arm, ""),
            ("/tenants", Plane::Arm, ""),
            ("//providers/Microsoft.Authorization/roleAssignments", Plane::Arm, ""),
            ("/metadata/endpoints?api-version=1", Plane::Operations, ""),
            ("/healthz", Plane::Operations, ""),
            ("/graph/v1.0/me", Plane::Graph, "/graph"),
            ("/v1.0/me", Plane::Graph, ""),
            ("/node/join", Plane::Node, ""),
            ("/common/v2.0/.well-known/openid-configuration", Plane::Entra, ""),
            ("/", Plane::Entra, ""),
        ] {
            let found = address(false, "id.example.org", path).unwrap();
            assert_eq!((found.plane, found.base_path), (plane, base), "{path}");
            assert_eq!(found.login.to_string(), "https://id.example.org");
        }
        assert_eq!(address(false, "[::1]:8443", "/").unwrap().origin.to_string(), "https://[::1]:8443");
        assert_eq!(
            address(false, "127.0.0.1:8443", "/").unwrap().origin.to_string(),
            "https://127.0.0.1:8443"
        );
    }

    #[test]
    fn a_host_that_is_absent_garbled_or_foreign_is_refused() {
        for (host, error) in [
            ("", BadHost::Absent),
            ("localhost:", BadHost::Garbled),
            ("localhost:0", BadHost::Garbled),
            ("localhost:+80", BadHost::Garbled),
            ("localhost:65536", BadHost::Garbled),
            ("user@localhost", BadHost::Garbled),
            ("local host", BadHost::Garbled),
            ("localhost/x", BadHost::Garbled),
            ("localhost,evil", BadHost::Garbled),
            ("[::1", BadHost::Garbled),
            ("[::1]x", BadHost::Garbled),
            ("::1", BadHost::Garbled),
            ("127.1", BadHost::Garbled),
            ("a..b", BadHost::Garbled),
            ("evil.example", BadHost::Foreign),
            ("vault.localhost", BadHost::Foreign),
            ("x.y.vault.localhost", BadHost::Foreign),
            ("evilvault.localhost", BadHost::Foreign),
            ("ab.vault.localhost", BadHost::VaultName),
            ("1app.vault.localhost", BadHost::VaultName),
        ] {
            assert_eq!(address(true, host, "/"), Err(error), "{host}");
        }
        assert_eq!(address(false, &"a".repeat(261), "/"), Err(BadHost::Garbled));
        assert_eq!(
            names(true).address(Door::Tls, &"/".parse().unwrap(), &HeaderMap::new()),
            Err(BadHost::Absent)
        );
    }

    #[test]
    fn two_names_that_differ_are_refused_and_forwarded_headers_ignored() {
        let mut headers = HeaderMap::new();
        headers.append(header::HOST, HeaderValue::from_static("localhost"));
        headers.append("x-forwarded-host", HeaderValue::from_static("app.vault.localhost"));
        headers.append("forwarded", HeaderValue::from_static("host=app.vault.localhost"));
        let names = names(false);
        let plain = "/".parse().unwrap();
        assert_eq!(names.address(Door::Tls, &plain, &headers).unwrap().plane, Plane::Entra);
        let absolute = "https://app.vault.localhost/".parse().unwrap();
        assert_eq!(names.address(Door::Tls, &absolute, &headers), Err(BadHost::Garbled));
        headers.append(header::HOST, HeaderValue::from_static("localhost"));
        assert_eq!(names.address(Door::Tls, &plain, &headers), Err(BadHost::Garbled));
    }

    #[test]
    fn the_port_of_plain_http_may_be_said_or_not() {
        let host = HeaderValue::from_static("app.vault.localhost");
        let headers = HeaderMap::from_iter([(header::HOST, host)]);
        let of = |uri: &str| names(false).address(Door::Http, &uri.parse().unwrap(), &headers);
        for same in ["http://app.vault.localhost:80/pki/x", "http://app.vault.localhost/pki/x", "/pki/x"] {
            assert_eq!(of(same).unwrap().plane, Plane::Pki, "{same}");
        }
        for other in ["http://app.vault.localhost:81/pki/x", "https://app.vault.localhost:80/pki/x"] {
            assert_eq!(of(other), Err(BadHost::Garbled), "{other}");
        }
    }

    #[test]
    fn what_is_ours_alone_needs_no_host_on_the_admin_socket() {
        let names = names(false);
        let of = |path: &str| {
            names.address(Door::AdminSocket, &path.parse().unwrap(), &HeaderMap::new()).unwrap().plane
        };
        assert_eq!(
            [of("/admin/v1/apply"), of("/readyz"), of("/node/x")],
            [Plane::Admin, Plane::Operations, Plane::Node]
        );
        // The socket is a door to every other plane too; those are told apart by their hosts.
        let elsewhere = "/secrets".parse().unwrap();
        assert_eq!(names.address(Door::AdminSocket, &elsewhere, &HeaderMap::new()), Err(BadHost::Absent));
        let host = HeaderValue::from_static("app.vault.localhost");
        let headers = HeaderMap::from_iter([(header::HOST, host)]);
        let found = names.address(Door::AdminSocket, &elsewhere, &headers).unwrap();
        assert_eq!(found.plane, Plane::KeyVault);
    }

    proptest! {
        #[test]
        fn finding_the_address_never_panics(host in "[a-z0-9.:\\[\\]@-]{0,40}", capture: bool) {
            let _ = address(capture, &host, "/");
        }
    }
}

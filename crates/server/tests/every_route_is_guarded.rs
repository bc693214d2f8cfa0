//! Every route refuses whoever may not come in: walks the route table itself, so that a new route is in here before
//! anybody thinks of it. The routes that ask for no token are a golden file.

mod support;

use std::fmt::Write as _;
use std::time::Duration;

use support::{Answer, Ask, HOST, InProcess, SOCKET, TLS};
use vouchsafe_crypto::SecretString;
use vouchsafe_crypto::keys::{KeyFamily, KeySpec};
use vouchsafe_domain::access::built_in;
use vouchsafe_domain::ids::{ObjectName, TenantId, VaultName};
use vouchsafe_domain::resource::VaultToPut;
use vouchsafe_domain::resource::scope::Scope;
use vouchsafe_domain::vault::certificate::{
    CertificateToCreate, IssuerChoice, IssuerName, IssuerPatch, PolicyPatch, Provider,
};
use vouchsafe_domain::vault::{Attributes, KeyAttributes, KeyToCreate, SecretToSet};
use vouchsafe_domain::world::TenantSnapshot;
use vouchsafe_server::assemble::routes;
use vouchsafe_server::http::Handler;
use vouchsafe_server::http::app::App;
use vouchsafe_server::http::route::{Guard, Plane, Route};
use vouchsafe_testkit::golden;
use vouchsafe_testkit::world::{GROUP, KEY_VAULT, ORIGIN};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/unauthenticated_routes.txt");
const VAULT: &str = "app";

fn vault_host(vault: &str) -> String {
    format!("{vault}.vault.localhost:8443")
}

#[test]
fn the_routes_that_need_no_token_are_the_golden_ones() {
    let mut rows: Vec<String> = routes()
        .iter()
        .filter_map(|route| {
            let needs = match route.guard {
                Guard::None => "nothing",
                Guard::ClientAuthentication => "client authentication in the body",
                Guard::Bearer | Guard::KernelPeer => return None,
            };
            let (plane, method) = (route.plane.as_str(), route.method.as_str());
            Some(format!("{plane:<10} {method:<4} {:<52} {:<24} {needs}", route.pattern, route.name))
        })
        .collect();
    rows.sort();
    let mut text = String::from(
        "The routes that answer somebody who shows no token. This list shrinks, or somebody says why it does not.\n\n",
    );
    for row in rows {
        writeln!(text, "{row}").expect("a string");
    }
    golden::check(GOLDEN, &text);
}

fn key_to_create() -> KeyToCreate {
    let attributes = KeyAttributes::default();
    KeyToCreate { spec: KeySpec::P256, in_token: false, operations: None, attributes, release_policy: None }
}

/// A live certificate, a deleted one and an issuer; answers with the version of the live one.
async fn furnish_certificates(server: &InProcess, vault: &VaultName) -> String {
    let opened = &server.opened;
    let (context, caller) = (opened.context(), opened.administrator(server.memory.home));
    let policy = PolicyPatch {
        key_type: Some((KeyFamily::Ec, false)),
        subject: Some("CN=app.example.test".to_owned()),
        issuer: Some(IssuerChoice::Itself),
        ..PolicyPatch::default()
    };
    let wanted = CertificateToCreate { policy: Some(policy), ..CertificateToCreate::default() };
    let names = ["tls", "gone-tls"].map(|name| ObjectName::parse(name).expect("a name"));
    let platform = &opened.platform;
    for name in &names {
        let begun = platform.create_certificate(&context, &caller, vault, name, &wanted).await;
        begun.expect("an operation");
        let ended = platform.get_pending_certificate(&context, &caller, vault, name).await;
        ended.expect("a certificate");
    }
    let [live, gone] = names;
    platform.delete_certificate(&context, &caller, vault, &gone).await.expect("a deleted certificate");
    let issuer = IssuerName::parse("ours").expect("a name");
    let authority = IssuerPatch {
        provider: Some(Provider::Vouchsafe),
        account: Some("example.test".to_owned()),
        ..IssuerPatch::default()
    };
    let set = platform.set_certificate_issuer(&context, &caller, vault, &issuer, &authority).await;
    set.expect("an issuer");
    let read = platform.get_certificate(&context, &caller, vault, &live, None).await;
    read.expect("a certificate").version.version.to_string()
}

/// A server with everything that a path may name.
struct Furnished {
    server: InProcess,
    /// What stands for `sample` after which segment.
    real: Vec<(&'static str, String)>,
    /// What stands for a version in paths that begin like this.
    versions: Vec<(&'static str, String)>,
}

impl Furnished {
    async fn new(seed: u64) -> Self {
        let server = InProcess::found(seed).await;
        let (opened, home) = (&server.opened, server.memory.home);
        let vault = opened.put_vault(home, VAULT, &VaultToPut::default()).await;
        let identity = opened.put_identity(home, "worker").await;
        let scope = Scope::vault(vault.subscription, &vault.group, &vault.name);
        let assignment =
            opened.assign(home, built_in::KEY_VAULT_ADMINISTRATOR, identity.principal, scope).await;
        let (context, caller) = (opened.context(), opened.administrator(home));
        let mut versions = Vec::new();
        for name in ["db", "gone"] {
            let name = ObjectName::parse(name).expect("a name");
            let value = SecretString::new("v".to_owned());
            let wanted = SecretToSet { value, attributes: Attributes::default() };
            let set = opened.platform.set_secret(&context, &caller, &vault.name, &name, &wanted).await;
            let current = set.expect("a secret").0.current.version.to_string();
            let key = key_to_create();
            let made = opened.platform.create_key(&context, &caller, &vault.name, &name, &key).await;
            let key = made.expect("a key").0.current.version.to_string();
            if name.as_str() == "gone" {
                let deleted = opened.platform.delete_secret(&context, &caller, &vault.name, &name).await;
                deleted.expect("a deleted secret");
                let deleted = opened.platform.delete_key(&context, &caller, &vault.name, &name).await;
                deleted.expect("a deleted key");
            } else {
                versions = vec![("/secrets/", current), ("/keys/", key)];
            }
        }
        versions.push(("/certificates/", furnish_certificates(&server, &vault.name).await));
        let real = vec![
            ("subscriptions", vault.subscription.to_string()),
            ("resourceGroups", GROUP.to_owned()),
            ("vaults", VAULT.to_owned()),
            ("deletedVaults", VAULT.to_owned()),
            ("userAssignedIdentities", "worker".to_owned()),
            ("roleAssignments", assignment.id.to_string()),
            ("roleDefinitions", built_in::OWNER.to_string()),
            ("providers", "Microsoft.KeyVault".to_owned()),
            ("locations", "local".to_owned()),
            ("secrets", "db".to_owned()),
            ("deletedsecrets", "gone".to_owned()),
            ("keys", "db".to_owned()),
            ("deletedkeys", "gone".to_owned()),
            ("certificates", "tls".to_owned()),
            ("deletedcertificates", "gone-tls".to_owned()),
            ("issuers", "ours".to_owned()),
        ];
        Self { server, real, versions }
    }

    /// The same path with names of things that exist.
    fn filled(&self, sample: &str) -> String {
        let mut before = "";
        let mut segments = Vec::new();
        for segment in sample.split('/') {
            let real = self.real.iter().find(|(word, _)| segment == "sample" && *word == before);
            let version = self.versions.iter().find(|(begin, _)| sample.starts_with(begin));
            segments.push(match (real, version, segment) {
                (Some((_, real)), ..) => real.clone(),
                (None, Some((_, version)), "sample") => version.clone(),
                _ => segment.to_owned(),
            });
            before = segment;
        }
        segments.join("/")
    }

    fn asks(&self, route: &Route<Handler<App>>) -> Vec<Ask> {
        let vault = vault_host(VAULT);
        let host = if route.plane == Plane::KeyVault { &vault } else { HOST };
        let samples = route.samples();
        let filled = samples.iter().map(|sample| self.filled(sample));
        let paths: std::collections::BTreeSet<String> = samples.iter().cloned().chain(filled).collect();
        paths.into_iter().map(|path| Ask::new(&route.method, host, &path)).collect()
    }

    fn challenge(&self) -> String {
        let tenant = self.server.memory.home;
        format!("Bearer authorization=\"{ORIGIN}/{tenant}\", resource=\"{KEY_VAULT}\"")
    }

    fn refuses(&self, what: &str, ask: &Ask, answer: &Answer) {
        assert_eq!(answer.status, 401, "{what}: {ask:?} was answered {answer:?}");
        match ask.host.as_str() {
            HOST => {
                let challenge = answer.challenge().unwrap_or_default();
                assert!(challenge.starts_with("Bearer authorization_uri=\""), "{what}: {ask:?} {challenge}");
            }
            _ => assert_eq!(answer.challenge(), Some(self.challenge().as_str()), "{what}: {ask:?}"),
        }
    }
}

/// For each plane with tokens: a resource that is right, and one that is not.
fn resources(plane: Plane) -> (&'static str, &'static str) {
    match plane {
        Plane::KeyVault => (KEY_VAULT, ORIGIN),
        _ => (ORIGIN, KEY_VAULT),
    }
}

/// Whether a Resource Manager address names nothing of any tenant: then it is about the tenant of the token.
fn is_about_the_callers_own_tenant(ask: &Ask) -> bool {
    ask.host == HOST && !ask.path.starts_with("/subscriptions/")
}

#[tokio::test]
async fn every_guarded_route_refuses_no_token_and_every_token_that_is_not_right() {
    let world = Furnished::new(11).await;
    let (opened, home) = (&world.server.opened, world.server.memory.home);
    let other = opened.found_tenant("other").await;
    opened.put_vault(other, "theirs", &VaultToPut::default()).await;
    // Every token below is good at its own door first, and remembered as good there.
    let own_doors = [
        (ORIGIN, Ask::new("GET", HOST, "/subscriptions")),
        (KEY_VAULT, Ask::new("GET", &vault_host(VAULT), "/secrets")),
    ];
    let mut expired = Vec::new();
    for (resource, door) in &own_doors {
        let token = opened.administrator_token(home, resource).await;
        assert_eq!(world.server.ask(TLS, &door.clone().bearer(&token)).await.status, 200);
        expired.push((*resource, token));
    }
    opened.clock.forward(Duration::from_secs(3_600 + 60));
    let identity = opened.put_identity(home, "leaver").await;
    let subscription = Scope::of_subscription(identity.subscription);
    for role in [built_in::OWNER, built_in::KEY_VAULT_ADMINISTRATOR] {
        opened.assign(home, role, identity.principal, subscription.clone()).await;
    }
    let graph = opened.administrator_token(home, &format!("{ORIGIN}/graph")).await;

    let mut asked = 0;
    let mut tokens = Vec::new();
    for plane in [Plane::KeyVault, Plane::Arm] {
        let (right, wrong) = resources(plane);
        let good = opened.administrator_token(home, right).await;
        let leaver = opened.token(&identity, right).await;
        // The positive twin of the token below: the same one, before its principal is deleted.
        let host = vault_host(VAULT);
        let twin = match plane {
            Plane::KeyVault => Ask::new("GET", &host, "/secrets/db"),
            _ => Ask::new("GET", HOST, &world.filled("/subscriptions/sample/resourceGroups")),
        };
        assert_eq!(world.server.ask(TLS, &twin.bearer(&leaver)).await.status, 200);
        let (_, door) = own_doors.iter().find(|(resource, _)| *resource == wrong).expect("both");
        let wrong = opened.administrator_token(home, wrong).await;
        assert_eq!(world.server.ask(TLS, &door.clone().bearer(&wrong)).await.status, 200);
        let stranger = opened.administrator_token(other, right).await;
        let door = match plane {
            Plane::KeyVault => Ask::new("GET", &vault_host("theirs"), "/secrets"),
            _ => Ask::new("GET", HOST, "/tenants"),
        };
        assert_eq!(world.server.ask(TLS, &door.bearer(&stranger)).await.status, 200);
        tokens.push((plane, good, leaver, wrong, stranger));
    }
    let (caller, context) = (opened.administrator(home), opened.context());
    let group = &identity.group;
    let deleted = opened.platform.delete_identity(
        &context,
        &caller,
        home,
        identity.subscription,
        group,
        &identity.name,
    );
    deleted.await.expect("a deleted identity");

    let commits = opened.store.commits();
    for (plane, good, leaver, wrong, stranger) in &tokens {
        let (right, _) = resources(*plane);
        let expired = &expired.iter().find(|(resource, _)| *resource == right).expect("both").1;
        let mut forged = good.clone();
        let last = forged.pop();
        forged.push(if last == Some('A') { 'B' } else { 'A' });
        let unsigned = format!("{}.", good.rsplit_once('.').expect("three segments").0);
        for route in routes().iter().filter(|route| route.plane == *plane) {
            assert_eq!(route.guard, Guard::Bearer, "{}", route.name);
            for ask in world.asks(route) {
                let cases = [
                    ("no token", ask.clone()),
                    ("an empty token", ask.clone().header("authorization", "Bearer ")),
                    ("no token but a body", ask.clone().body("{\"value\":\"x\"}")),
                    ("garbage", ask.clone().bearer("garbage")),
                    ("another scheme", ask.clone().header("authorization", format!("Basic {good}"))),
                    ("two tokens", ask.clone().bearer(good).bearer(good)),
                    ("a forged signature", ask.clone().bearer(&forged)),
                    ("no signature", ask.clone().bearer(&unsigned)),
                    ("another audience", ask.clone().bearer(wrong)),
                    ("Graph's audience", ask.clone().bearer(&graph)),
                    ("an expired token", ask.clone().bearer(expired)),
                    ("a deleted principal's token", ask.clone().bearer(leaver)),
                    ("the kernel's tenant header", ask.clone().header("x-vouchsafe-tenant", home)),
                ];
                for (what, ask) in cases {
                    let answer = world.server.ask(TLS, &ask).await;
                    world.refuses(what, &ask, &answer);
                    asked += 1;
                }
                let ask = ask.bearer(stranger);
                let answer = world.server.ask(TLS, &ask).await;
                match plane {
                    Plane::KeyVault => world.refuses("another tenant's token", &ask, &answer),
                    _ if is_about_the_callers_own_tenant(&ask) => {
                        tells_nothing_of(&world, home, &ask, &answer)
                    }
                    _ => assert!(
                        matches!(answer.status, 400 | 403 | 404),
                        "another tenant's token: {ask:?} {answer:?}"
                    ),
                }
            }
        }
    }
    assert_eq!(opened.store.commits(), commits, "a refused request changed something");
    println!("{asked} requests refused");

    // The positive twin: on every route, with everything the same, the right token is let in.
    for (plane, good, ..) in &tokens {
        for route in routes().iter().filter(|route| route.plane == *plane) {
            for ask in world.asks(route) {
                let ask = ask.bearer(good);
                let answer = world.server.ask(TLS, &ask).await;
                assert!(!matches!(answer.status, 401 | 403 | 500..), "{}: {ask:?} {answer:?}", route.name);
            }
        }
    }
}

fn tells_nothing_of(world: &Furnished, tenant: TenantId, ask: &Ask, answer: &Answer) {
    let own: [String; 2] = [tenant.to_string(), world.server.opened.subscription(tenant).to_string()];
    for text in own.iter().filter(|text| !ask.path.contains(*text)) {
        assert!(!answer.body.contains(text.as_str()), "{ask:?} was answered {answer:?}");
    }
}

#[tokio::test]
async fn what_the_kernel_guards_is_not_reached_through_the_network_with_any_token() {
    let world = Furnished::new(12).await;
    let (opened, home) = (&world.server.opened, world.server.memory.home);
    let unknown_peer = support::Connection { peer: None, ..SOCKET };
    let mut tokens = vec![None];
    for resource in [ORIGIN, KEY_VAULT] {
        tokens.push(Some(opened.administrator_token(home, resource).await));
    }
    let mut seen = 0;
    let commits = opened.store.commits();
    for route in routes().iter().filter(|route| matches!(route.plane, Plane::Admin | Plane::Node)) {
        assert_eq!(route.guard, Guard::KernelPeer, "{}", route.name);
        for ask in world.asks(route) {
            for token in &tokens {
                let ask = token.iter().fold(ask.clone(), |ask, token| ask.bearer(token));
                for connection in [TLS, unknown_peer] {
                    let answer = world.server.ask(connection, &ask).await;
                    assert!(matches!(answer.status, 401 | 403 | 404), "{connection:?} {ask:?} {answer:?}");
                }
            }
            seen += 1;
        }
    }
    assert!(seen > 5);
    assert_eq!(opened.store.commits(), commits);
    for route in routes().iter().filter(|route| matches!(route.plane, Plane::Admin | Plane::Node)) {
        for ask in world.asks(route) {
            let answer = world.server.ask(SOCKET, &ask).await;
            assert!(!matches!(answer.status, 401 | 403 | 404 | 500..), "{ask:?} {answer:?}");
        }
    }
}

#[tokio::test]
async fn the_token_endpoints_refuse_whoever_does_not_authenticate() {
    let world = Furnished::new(13).await;
    let (opened, home) = (&world.server.opened, world.server.memory.home);
    let administrator = opened.administrator_token(home, ORIGIN).await;
    let identity = opened.tenant(home).identities().next().expect("an identity").clone();
    let asked = format!("grant_type=client_credentials&scope={KEY_VAULT}/.default&resource={KEY_VAULT}");
    let (worker, root) = (identity.client, opened.tenant(home).tenant().local_administrator);
    let guarded = routes();
    for route in guarded.iter().filter(|route| route.guard == Guard::ClientAuthentication) {
        for path in route.samples() {
            let path = path.replace("sample", &home.to_string());
            let ask = Ask::new(&route.method, HOST, &path);
            let form = |more: &str| ask.clone().body(format!("{asked}{more}"));
            let forms = [
                ask.clone(),
                form(""),
                form("&client_id=sample&client_secret=x"),
                // Neither a managed identity nor the local administrator has a credential that could be presented.
                form(&format!("&client_id={worker}&client_secret=")),
                form(&format!("&client_id={root}&client_secret=x")),
                form(&format!("&client_id={worker}&client_assertion=x&client_assertion_type=x")),
                form("").bearer(&administrator),
            ];
            for ask in forms {
                let answer = world.server.ask(TLS, &ask).await;
                assert!(matches!(answer.status, 400 | 401), "{ask:?} {answer:?}");
                assert!(!answer.body.contains("access_token"), "{ask:?} {answer:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_vaults_challenge_comes_before_anything_else_is_looked_at() {
    let world = Furnished::new(14).await;
    let host = vault_host(VAULT);
    let long = format!("/secrets/{}", "x".repeat(2_000));
    let paths = [
        "/secrets/db",
        "/secrets/db/",
        "/secrets/nobody",
        "/secrets/not_a_name",
        "/secrets/db/not-a-version",
        "/secrets/db?api%2Dversion=x",
        "/secrets/db?api-version=7.4&api-version=7.5",
        "/secrets?maxresults=-1",
        "/secrets/restore",
        "/secrets/db/backup",
        "/keys/k//sign",
        "/keys/db//sign",
        "/keys/db/create",
        "/certificates/c/",
        "/",
        "/nowhere",
        "/rng",
        "/secrets/%00",
        "/secrets/%zz",
        "/secrets/../admin/v1/status",
        "//",
        &long,
    ];
    for method in ["GET", "PUT", "POST", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE"] {
        for path in paths {
            let ask = Ask::new(method, &host, path);
            let answer = world.server.ask(TLS, &ask).await;
            world.refuses("no token", &ask, &answer);
            if method != "HEAD" {
                let error = &answer.json()["error"];
                assert_eq!(error["code"], "Unauthorized", "{ask:?}");
                assert!(
                    error["message"].as_str().is_some_and(|text| text.starts_with("AKV10000")),
                    "{answer:?}"
                );
            }
        }
    }
    // Names and port are those that the caller used.
    let tenant = world.server.memory.home;
    for (port, shown) in [(":9443", ":9443"), (":443", ""), ("", "")] {
        for name in ["app", "APP"] {
            let ask = Ask::new("PUT", &format!("{name}.vault.localhost{port}"), "/secrets/db");
            let challenge = format!(
                "Bearer authorization=\"https://localhost{shown}/{tenant}\", resource=\"https://vault.localhost{shown}\""
            );
            assert_eq!(world.server.ask(TLS, &ask).await.challenge(), Some(challenge.as_str()));
        }
    }
    // A vault of another tenant sends its clients to that tenant.
    let other = world.server.opened.found_tenant("other").await;
    world.server.opened.put_vault(other, "theirs", &VaultToPut::default()).await;
    let answer = world.server.ask(TLS, &Ask::new("GET", &vault_host("theirs"), "/secrets")).await;
    assert_eq!(
        answer.challenge(),
        Some(format!("Bearer authorization=\"{ORIGIN}/{other}\", resource=\"{KEY_VAULT}\"").as_str())
    );
    assert!(VaultName::parse("theirs").is_ok_and(|name| {
        world
            .server
            .opened
            .platform
            .world()
            .vault(&name)
            .is_some_and(|(tenant, _): (std::sync::Arc<TenantSnapshot>, _)| tenant.tenant().id == other)
    }));
}

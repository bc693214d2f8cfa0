//! `vouchsafe apply`, as an operator uses it: real files, a real server.

use std::ffi::OsStr;
use std::process::ExitStatus;

use data_encoding::BASE64;
use vouchsafe_testkit::running::{Installation, RunningServer};

/// A server and the commands that are typed beside it.
struct Desk {
    installation: Installation,
    _server: RunningServer,
}

impl Desk {
    async fn new() -> Self {
        let installation = Installation::empty(env!("CARGO_BIN_EXE_vouchsafe"));
        let server = installation.dev(&[], &[]).await;
        Self { installation, _server: server }
    }

    fn run(&self, arguments: &[&str]) -> (ExitStatus, String, String) {
        let socket = self.installation.data().join("admin/admin.sock");
        let all = [OsStr::new("--socket"), socket.as_os_str()].into_iter();
        self.installation.run(all.chain(arguments.iter().map(OsStr::new)))
    }

    fn apply(&self, text: &str, flags: &[&str]) -> (ExitStatus, String, String) {
        let file = self.installation.scratch().join("desired.yaml");
        std::fs::write(&file, text).expect("a file");
        self.run(&[&["apply", "-f", file.to_str().expect("text")], flags].concat())
    }
}

const WORLD: &str = "
groups:
  - name: prod
vaults:
  - { name: app-vault, resource_group: prod }
identities:
  - { name: web, resource_group: prod, bindings: [ { uid: 1000, path: /usr/bin/web } ] }
  - { name: worker, resource_group: prod }
principal_groups:
  - name: readers
    members: [ { identity: web }, { identity: worker } ]
attestation_issuers:
  - issuer: https://attest.example
    keys: { keys: [ { kid: one, kty: EC, crv: P-256, x: f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU, y: x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0 } ] }
custom_roles:
  - name: Lister
    data_actions: [ Microsoft.KeyVault/vaults/secrets/readMetadata/action ]
role_assignments:
  - { group: readers, role: Key Vault Secrets User, scope: { vault: app-vault } }
  - { identity: worker, role: Lister, scope: { secret: { vault: app-vault, name: db } } }
";

#[tokio::test(flavor = "multi_thread")]
async fn a_document_is_made_so_once_and_then_left_alone() {
    let desk = Desk::new().await;
    let (status, said, complained) = desk.apply(WORLD, &["--dry-run"]);
    assert!(status.success() && said.contains("9 of 9 would change"), "{said}{complained}");
    // Nothing happened: the real run changes all of it.
    for expected in ["9 of 9 changed", "0 of 9 changed"] {
        let (status, said, complained) = desk.apply(WORLD, &[]);
        assert!(status.success() && said.contains(expected), "{said}{complained}");
    }
    for (from, to) in [("uid: 1000", "uid: 1001"), ("kid: one", "kid: two")] {
        let (_, said, complained) = desk.apply(&WORLD.replace(from, to), &[]);
        assert!(said.contains("of 9 changed"), "{said}{complained}");
        assert!(said.lines().filter(|line| line.contains("updated")).count() >= 1, "{said}{complained}");
    }
    // As Microsoft Azure Attestation publishes its keys: by certificates alone.
    let service = rcgen::generate_simple_self_signed(["attest.example".to_owned()]).unwrap();
    let service = BASE64.encode(service.cert.der());
    let certified = format!(
        "attestation_issuers:\n  - issuer: https://attest.example\n    keys: {{ keys: [ {{ kid: one, kty: EC, x5c: [ '{service}' ] }} ] }}\n"
    );
    for expected in ["1 of 1 changed", "0 of 1 changed"] {
        let (_, said, complained) = desk.apply(&certified, &[]);
        assert!(said.contains(expected), "{said}{complained}");
    }
    // An empty set takes the trust away, and is said on purpose.
    let none = "attestation_issuers:\n  - { issuer: 'https://attest.example', keys: { keys: [] } }\n";
    for expected in ["1 of 1 changed", "0 of 1 changed"] {
        let (_, said, complained) = desk.apply(none, &[]);
        assert!(said.contains(expected), "{said}{complained}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mistake_is_told_with_its_place_and_changes_nothing_more() {
    let desk = Desk::new().await;
    let table = [
        ("vaults:\n  - name: app\n    colour: red\n", "3"),
        ("vaults:\n  - nme: app\n", "2"),
        ("identities:\n  - name: web\n    bindings: [ {} ]\n", "3"),
        ("role_assignments:\n  - { role: Reader, scope: subscription }\n", "2"),
        (
            "attestation_issuers:\n  - { issuer: 'http://a.example', keys: { keys: [] } }\n",
            "attestation_issuers[0]",
        ),
        ("attestation_issuers:\n  - { issuer: 'https://a.example', keys: [] }\n", "attestation_issuers[0]"),
        (
            "attestation_issuers:\n  - { issuer: 'https://a.example', keys: { keys: [ { kid: a, kty: oct, k: AAAA } ] } }\n",
            "attestation_issuers[0]",
        ),
        ("vaults: 7\n", "1"),
        ("vaults:\n  - name: 'x'\n", "vaults[0]"),
        ("vaults:\n  - { name: app, resource_group: nowhere }\n", "nowhere"),
        (
            "role_assignments:\n  - { identity: nobody, role: Reader, scope: subscription }\n",
            "role_assignments[0]",
        ),
        ("custom_roles:\n  - { name: Bad, data_actions: [ 'a b' ] }\n", "custom_roles[0]"),
    ];
    for (document, place) in table {
        let (status, _, complained) = desk.apply(document, &[]);
        assert!(!status.success(), "{document}");
        assert!(complained.starts_with("error: ") && complained.contains(place), "{document}\n{complained}");
        assert!(!complained.contains("panicked") && !complained.contains("DesiredState"), "{complained}");
    }
    let (_, said, _) = desk.run(&["-o", "json", "vault", "list"]);
    assert_eq!(said.trim(), "[]");
}

//! Looks for known private keys in the memory of the server that uses them, and in a core image of it.
//!
//! SECURITY.md does not promise that whoever can read the server's memory finds no keys. What is held here: of a key in
//! software or in a token, neither a number nor the JSON that brought it is left once it was used and its connection is
//! closed; nor is a secret's value that was set and read, nor the key of the file provider that opened the root. A
//! SoftHSM token has the numbers of its keys in the memory of its module's processes, where they are found by whoever may
//! look there, and that is root.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use data_encoding::BASE64URL_NOPAD;
use http::{Method, StatusCode};
use serde_json::json;
use vouchsafe_crypto::keys::KeySpec;
use vouchsafe_testkit::processes::children_of;
use vouchsafe_testkit::running::{Installation, RunningServer, Token};

use crate::PROGRAM;
use crate::known_keys::known;

/// A page of zeros.
const PAGE: [u8; 4096] = [0; 4096];

/// Texts and numbers to be found in memory, each in the forms that it has there.
#[derive(Default)]
pub struct Needles {
    needles: Vec<(String, Vec<u8>)>,
    begins: Vec<Vec<u16>>,
}

impl Needles {
    /// A number of a key: as it is written, as arithmetic holds it, and as JSON says it.
    pub fn number(&mut self, what: &str, number: &[u8]) {
        let reversed: Vec<u8> = number.iter().rev().copied().collect();
        self.bytes(&format!("{what}, big-endian"), &number[..32.min(number.len())]);
        self.bytes(&format!("{what}, little-endian"), &reversed[..32.min(reversed.len())]);
        let text = BASE64URL_NOPAD.encode(number);
        self.bytes(&format!("{what}, in JSON"), &text.as_bytes()[..40.min(text.len())]);
    }

    /// Bytes as they are.
    pub fn bytes(&mut self, what: &str, bytes: &[u8]) {
        if self.begins.is_empty() {
            self.begins = vec![Vec::new(); 1 << 16];
        }
        let index = u16::try_from(self.needles.len()).unwrap();
        self.begins[usize::from(u16::from_be_bytes([bytes[0], bytes[1]]))].push(index);
        self.needles.push((what.to_owned(), bytes.to_vec()));
    }

    /// How often each is in there.
    fn count(&self, haystack: &[u8], found: &mut [usize]) {
        // Most of an image is memory that nobody wrote to.
        let written =
            haystack.chunks(PAGE.len()).enumerate().filter(|(_, page)| **page != PAGE[..page.len()]);
        for at in written.flat_map(|(page, bytes)| page * PAGE.len()..page * PAGE.len() + bytes.len()) {
            let Some(pair) = haystack.get(at..at + 2) else { continue };
            for index in &self.begins[usize::from(u16::from_be_bytes([pair[0], pair[1]]))] {
                let index = usize::from(*index);
                if haystack[at..].starts_with(&self.needles[index].1) {
                    found[index] += 1;
                }
            }
        }
    }

    fn named(&self, found: &[usize]) -> Vec<String> {
        let found = self.needles.iter().zip(found).filter(|(_, count)| **count > 0);
        found.map(|((what, _), count)| format!("{what}: {count}")).collect()
    }

    /// Reads everything that a process has mapped and may write; what was found, and how many bytes were read.
    pub fn in_process(&self, pid: u32) -> std::io::Result<(Vec<String>, u64)> {
        let maps = std::fs::read_to_string(format!("/proc/{pid}/maps"))?;
        let memory = File::open(format!("/proc/{pid}/mem"))?;
        let (mut found, mut bytes) = (vec![0; self.needles.len()], 0);
        for line in maps.lines() {
            let mut words = line.split_ascii_whitespace();
            let (range, may) = (words.next().unwrap(), words.next().unwrap());
            if !may.starts_with("rw") {
                continue;
            }
            let (from, to) = range.split_once('-').unwrap();
            let [from, to] = [from, to].map(|text| u64::from_str_radix(text, 16).unwrap());
            let mut region = vec![0; usize::try_from(to - from).unwrap()];
            // Some mappings of the kernel's cannot be read by anybody.
            if memory.read_exact_at(&mut region, from).is_ok() {
                self.count(&region, &mut found);
                bytes += to - from;
            }
        }
        Ok((self.named(&found), bytes))
    }

    /// Reads a file.
    pub fn in_file(&self, path: &Path) -> (Vec<String>, u64) {
        let content = std::fs::read(path).unwrap();
        let mut found = vec![0; self.needles.len()];
        self.count(&content, &mut found);
        (self.named(&found), content.len() as u64)
    }
}

/// A vault of keys that the test knows, used once each.
async fn use_keys(server: &RunningServer, vault: &str, in_token: bool, needles: &mut Needles) {
    let (mut client, host) = (server.https(), server.vault_host(vault));
    let bearer = server.token("https://vault.azure.net").await;
    let digest = BASE64URL_NOPAD.encode(&[7; 32]);
    let place = if in_token { "in the token" } else { "in software" };
    for (spec, alg, operation) in [
        (KeySpec::Rsa2048, "PS256", "sign"),
        (KeySpec::P256, "ES256", "sign"),
        (KeySpec::Oct256, "A256GCM", "encrypt"),
    ] {
        let key = known(spec);
        for (name, number) in &key.numbers {
            needles.number(&format!("`{name}` of {spec:?} {place}"), number);
        }
        let name = format!("{spec:?}");
        let body = json!({ "key": key.jwk, "Hsm": in_token });
        let used = json!({ "alg": alg, "value": digest });
        let path = format!("/keys/{name}//{operation}");
        for (method, path, body) in [(Method::PUT, format!("/keys/{name}"), body), (Method::POST, path, used)]
        {
            let body = body.to_string().into_bytes();
            let answer = client.request(method, &host, &path, Some(&bearer), Some(&body)).await.unwrap();
            assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text());
        }
    }
}

/// A secret's value that was set and read, and the key that opened the root when the server started.
async fn use_others(server: &RunningServer, installation: &Installation, needles: &mut Needles) {
    let (mut client, host, value) = (server.https(), server.vault_host("app"), crate::scanner::canary());
    let bearer = server.token("https://vault.azure.net").await;
    let body = json!({ "value": value }).to_string().into_bytes();
    for (method, body) in [(Method::PUT, Some(body.as_slice())), (Method::GET, None)] {
        let answer = client.request(method, &host, "/secrets/known", Some(&bearer), body).await.unwrap();
        assert_eq!(answer.json()["value"], value.as_str(), "{}", answer.text());
    }
    needles.bytes("a secret's value", value.as_bytes());
    let key = std::fs::read_to_string(installation.data().join("root.key")).unwrap();
    let key = key.split_whitespace().nth(1).unwrap();
    needles.bytes("the text of the file provider's key", key.as_bytes());
    let key = data_encoding::HEXLOWER.decode(key.as_bytes()).unwrap();
    needles.bytes("the file provider's key", &key);
}

/// Requests of others, whose buffers the server takes from where earlier ones were.
async fn go_on(server: &RunningServer) {
    let bearer = server.token("https://vault.azure.net").await;
    let (mut client, host) = (server.https(), server.vault_host("app"));
    for number in 0..40 {
        let body = json!({ "value": "x".repeat(4_000) }).to_string().into_bytes();
        let path = format!("/secrets/other-{number}");
        let answer = client.request(Method::PUT, &host, &path, Some(&bearer), Some(&body)).await.unwrap();
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    }
}

#[tokio::test]
async fn the_numbers_of_a_known_key_are_not_in_the_servers_memory_once_it_was_used() {
    let installation = Installation::empty(PROGRAM);
    let token = Token::make(installation.scratch());
    let canary = crate::scanner::canary();
    let mut environment = vec![("VOUCHSAFE_TEST", canary.as_str())];
    environment.extend(token.iter().flat_map(Token::environment));
    let server = installation.dev(&[], &environment).await;
    let vaults = json!([{ "name": "app" }, { "name": "sealed", "sku": "premium" }]);
    let state = json!({ "state": { "vaults": vaults } });
    assert_eq!(
        crate::post(&mut server.admin(), "/admin/v1/apply", &state).await.unwrap().status,
        StatusCode::OK
    );
    let mut needles = Needles::default();
    needles.bytes("the control", canary.as_bytes());
    use_keys(&server, "app", false, &mut needles).await;
    use_others(&server, &installation, &mut needles).await;
    if token.is_some() {
        use_keys(&server, "sealed", true, &mut needles).await;
    }
    let whole = |found: Vec<String>, bytes: u64, place: &str| {
        println!("in {bytes} bytes of {place}: {found:#?}");
        assert!(found.iter().any(|found| found.starts_with("the control")), "{place} was not searched");
        found
    };
    let (found, bytes) = match needles.in_process(server.pid()) {
        Ok(found) => found,
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "the memory of a child cannot be read: {error}");
            eprintln!("left out: the memory of a child cannot be read: {error}");
            return;
        }
    };
    whole(found, bytes, "memory, right after the keys were used");
    if token.is_some() {
        the_module_has_them(&needles, server.pid());
    }
    go_on(&server).await;
    // A key that was read is remembered for seconds; the search is repeated until they are over (A11 gives it a minute).
    let patience = Instant::now() + Duration::from_secs(60);
    loop {
        let (found, bytes) = needles.in_process(server.pid()).unwrap();
        let left = left(&whole(found, bytes, "memory, after others' requests"));
        if left.is_empty() {
            break;
        }
        assert!(Instant::now() < patience, "numbers of keys at rest are in memory: {left:#?}");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    // Only what the process made itself: its program is on the disk for everybody.
    let pid = server.pid().to_string();
    std::fs::write(format!("/proc/{pid}/coredump_filter"), "0x3").unwrap();
    let core = installation.scratch().join("core");
    match Command::new("gcore").arg("-o").arg(&core).arg(&pid).output() {
        Ok(made) if made.status.success() => {
            let (found, bytes) = needles.in_file(&installation.scratch().join(format!("core.{pid}")));
            let left = left(&whole(found, bytes, "a core image"));
            assert!(left.is_empty(), "numbers of keys at rest are in a core image: {left:#?}");
        }
        _ => println!("no core image was made: there is no gcore; its memory was searched"),
    }
}

/// The search is one that finds: what it does not find in the server is where the token is.
fn the_module_has_them(needles: &Needles, server: u32) {
    let modules = children_of(server);
    assert!(!modules.is_empty(), "the module has no process");
    let searched: Vec<_> = modules.into_iter().filter_map(|pid| needles.in_process(pid).ok()).collect();
    if searched.is_empty() {
        assert!(!rustix::process::geteuid().is_root(), "root may look into every process");
        println!("the processes of the module cannot be looked into, except by root");
        return;
    }
    let in_token = |found: &String| found.contains("in the token") && !found.contains("in JSON");
    let found: Vec<_> = searched.into_iter().flat_map(|(found, _)| found).filter(in_token).collect();
    assert!(!found.is_empty(), "SoftHSM is expected to hold in memory what it uses");
    println!("in the processes of the module: {found:#?}");
}

/// What was found and may not be, once keys rest.
fn left(found: &[String]) -> Vec<String> {
    let ours = |found: &&String| !found.starts_with("the control");
    found.iter().filter(ours).cloned().collect()
}

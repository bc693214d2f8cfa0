//! Secrets leave by the one answer that was asked for, and by nothing else: not by logs at their most talkative, not
//! by metrics, errors or the audit log, and not by any file that the server keeps.
//!
//! Random canaries go wherever a caller can put something secret, on ways that succeed and ways that fail; then
//! everything the process wrote and keeps is searched for each, in every spelling of `scanner.rs`. Names of secrets
//! are identifiers: they may stand in answers and in the audit log, but nowhere in the store. Labels and content types
//! belong to their secret: they may stand in its answers, and nowhere else.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod keys;
mod known_keys;
mod memory;
mod scanner;

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use data_encoding::{BASE64, BASE64URL_NOPAD};
use http::{Method, Request, StatusCode, header};
use http_body_util::Full;
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};
use serde_json::{Value, json};
use vouchsafe_crypto::jose::{Algorithm, KeyKind, SigningKey, azure_assertion};
use vouchsafe_crypto::{SecretBytes, digest};
use vouchsafe_testkit::running::{Answer, Client, Installation, Pieces, RunningServer, Token};

use scanner::{Scanner, canary, name_canary};

const PROGRAM: &str = env!("CARGO_BIN_EXE_vouchsafe");
const VAULT_RESOURCE: &str = "https://vault.azure.net";

/// Everything that was sent and answered.
#[derive(Default)]
struct Journey {
    /// Must be nowhere but in the answers that are for them.
    secrets: BTreeMap<String, String>,
    /// Private numbers of keys, plaintexts and random bytes: the same as secrets, but bytes.
    material: Vec<(String, Vec<u8>)>,
    /// Must be nowhere but in answers about their secret.
    labels: BTreeMap<String, String>,
    /// May be named to the caller who sent them, and nowhere else.
    identifiers: Vec<String>,
    /// Must not be in the store; the audit log and answers may name them.
    names: Vec<String>,
    /// Answers that hold a value by right.
    by_right: Vec<Vec<u8>>,
    /// Answers about a secret without its value.
    about: Vec<Vec<u8>>,
    /// Everything else that was answered, refusals first of all.
    others: Vec<Vec<u8>>,
    refusals: usize,
}

impl Journey {
    fn secret(&mut self, what: &str) -> String {
        let canary = canary();
        self.secrets.insert(what.to_owned(), canary.clone());
        canary
    }

    fn label(&mut self, what: &str) -> String {
        let canary = canary();
        self.labels.insert(what.to_owned(), canary.clone());
        canary
    }

    fn identifier(&mut self) -> String {
        let canary = canary();
        self.identifiers.push(canary.clone());
        canary
    }

    fn name(&mut self) -> String {
        let canary = name_canary();
        self.names.push(canary.clone());
        canary
    }

    fn bytes(answer: &Answer) -> Vec<u8> {
        let mut bytes = answer.body.to_vec();
        for (name, value) in &answer.headers {
            bytes.extend_from_slice(name.as_str().as_bytes());
            bytes.extend_from_slice(value.as_bytes());
        }
        bytes
    }

    /// An answer that was to be a refusal.
    fn refused(&mut self, answer: std::io::Result<Answer>, what: &str) {
        let answer = answer.unwrap_or_else(|error| panic!("{what}: no answer: {error}"));
        assert!(answer.status.is_client_error(), "{what}: {} {}", answer.status, answer.text());
        self.others.push(Self::bytes(&answer));
        self.refusals += 1;
    }

    /// An answer that was to be a success, of which only `kept` may hold what.
    fn granted(kept: &mut Vec<Vec<u8>>, answer: std::io::Result<Answer>, what: &str) -> Answer {
        let answer = answer.unwrap_or_else(|error| panic!("{what}: no answer: {error}"));
        assert!(answer.status.is_success(), "{what}: {} {}", answer.status, answer.text());
        kept.push(Self::bytes(&answer));
        answer
    }
}

struct Stage<'a> {
    installation: &'a Installation,
    server: &'a RunningServer,
    journey: Journey,
    client: Client,
    vault: String,
    host: String,
    token: String,
}

impl Stage<'_> {
    async fn vault(&mut self, method: Method, path: &str, body: Option<Value>) -> std::io::Result<Answer> {
        let body = body.map(|body| body.to_string().into_bytes());
        self.client.request(method, &self.vault, path, Some(&self.token), body.as_deref()).await
    }

    /// Every operation on secrets, as it should be.
    async fn secrets_come_and_go(&mut self) {
        let (value, label, kind) = (
            self.journey.secret("a value"),
            self.journey.label("a tag"),
            self.journey.label("a content type"),
        );
        let name = self.journey.name();
        let path = format!("/secrets/{name}");
        let body = json!({ "value": value, "contentType": kind, "tags": { "k": label, label.clone(): "v" } });
        let set = self.vault(Method::PUT, &path, Some(body)).await;
        let set = Journey::granted(&mut self.journey.by_right, set, "set");
        let read = self.vault(Method::GET, &path, None).await;
        let read = Journey::granted(&mut self.journey.by_right, read, "get");
        assert_eq!(read.json()["value"], value.as_str());
        let version = set.json()["id"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
        let changed = json!({ "contentType": self.journey.label("a changed content type"),
            "tags": { "k": self.journey.label("a changed tag") } });
        let long = format!("{}{}", self.journey.secret("a long value"), "x".repeat(20_000));
        let steps = [
            (Method::PATCH, format!("{path}/{version}"), Some(changed)),
            (Method::GET, "/secrets".to_owned(), None),
            (Method::GET, format!("{path}/versions"), None),
            (Method::DELETE, path.clone(), None),
            (Method::GET, "/deletedsecrets".to_owned(), None),
            (Method::GET, format!("/deletedsecrets/{name}"), None),
            (Method::POST, format!("/deletedsecrets/{name}/recover"), None),
        ];
        for (method, path, body) in steps {
            let what = format!("{method} {path}");
            let answer = self.vault(method, &path, body).await;
            Journey::granted(&mut self.journey.about, answer, &what);
        }
        let second = self.vault(Method::PUT, &path, Some(json!({ "value": long }))).await;
        Journey::granted(&mut self.journey.by_right, second, "set again");
        let backup = self.vault(Method::POST, &format!("{path}/backup"), None).await;
        let backup = Journey::granted(&mut self.journey.others, backup, "backup").json();
        for (method, path) in
            [(Method::DELETE, path.clone()), (Method::DELETE, format!("/deletedsecrets/{name}"))]
        {
            let answer = self.vault(method, &path, None).await;
            Journey::granted(&mut self.journey.about, answer, "delete and purge");
        }
        let restored =
            self.vault(Method::POST, "/secrets/restore", Some(json!({ "value": backup["value"] }))).await;
        Journey::granted(&mut self.journey.about, restored, "restore");

        // The same by HTTP/2, whose library has much to say at this level of logging.
        let value = self.journey.secret("a value by HTTP/2");
        let uri = format!("https://{}/secrets/{}", self.vault, self.journey.name());
        let request = |method: Method, body: String| {
            let request = Request::builder().method(method).uri(&uri);
            let request = request.header(header::AUTHORIZATION, format!("Bearer {}", self.token));
            request.body(Full::new(Bytes::from(body))).unwrap()
        };
        let set = request(Method::PUT, json!({ "value": value }).to_string());
        let read = request(Method::GET, String::new());
        for request in [set, read] {
            let answer = self.client.send_http2(request).await;
            Journey::granted(&mut self.journey.by_right, answer, "by HTTP/2");
        }

        // And by the command line, value from a file.
        let value = self.journey.secret("a value by the command line");
        let file = self.installation.scratch().join("value.input");
        std::fs::write(&file, &value).unwrap();
        let (file, socket) = (file.to_str().unwrap(), self.server.endpoints().admin_socket.as_str());
        let name = self.journey.name();
        let set = ["--socket", socket, "secret", "set", &name, "--vault", "app", "--value-file", file];
        let (status, said, complained) = self.installation.run(set);
        assert!(status.success(), "{complained}");
        self.journey.others.push(format!("{said}{complained}").into_bytes());
        let list = ["--socket", socket, "secret", "list", "--vault", "app", "-o", "json"];
        let (status, said, complained) = self.installation.run(list);
        assert!(status.success(), "{complained}");
        self.journey.about.push(format!("{said}{complained}").into_bytes());
    }

    /// Clients log in with what only they know.
    async fn clients_log_in(&mut self) {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let certificate =
            CertificateParams::new(vec!["client".to_owned()]).unwrap().self_signed(&key).unwrap();
        let id = "6b1a7d3e-0000-4000-8000-00000000c11e";
        let application = json!({ "name": "client", "client_id": id, "certificates": [certificate.pem()] });
        let state = json!({ "state": { "applications": [application] } });
        let mut admin = self.server.admin();
        let applied = post(&mut admin, "/admin/v1/apply", &state).await;
        Journey::granted(&mut self.journey.others, applied, "apply");
        let secret = post(&mut admin, "/admin/v1/client-secrets", &json!({ "application": "client" })).await;
        let secret = Journey::granted(&mut self.journey.by_right, secret, "client secret").json();
        let secret = secret["secret"].as_str().expect("a client secret").to_owned();
        self.journey.secrets.insert("a client secret".to_owned(), secret.clone());

        let path = format!("/{}/oauth2/v2.0/token", self.server.endpoints().tenant);
        let scope = "https://vault.azure.net/.default";
        let signing =
            SigningKey::from_pkcs8(KeyKind::P256, &SecretBytes::new(key.serialize_der())).ok().unwrap();
        let audience = format!("{}{path}", self.server.endpoints().authority);
        let now = now();
        let claims = json!({ "iss": id, "sub": id, "aud": audience, "exp": now + 600, "jti": "1" });
        let sha256 = digest::sha256(certificate.der());
        let assertion = azure_assertion::sign(&signing, Algorithm::Es256, &sha256, &claims).ok().unwrap();
        self.journey.secrets.insert("a client assertion".to_owned(), assertion.clone());
        let signature = assertion.rsplit('.').next().unwrap().to_owned();
        self.journey.secrets.insert("the signature of an assertion".to_owned(), signature);

        let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        let by_assertion = form(&[
            ("grant_type", "client_credentials"),
            ("client_id", id),
            ("scope", scope),
            ("client_assertion_type", kind),
            ("client_assertion", &assertion),
        ]);
        let by_secret = form(&[
            ("grant_type", "client_credentials"),
            ("client_id", id),
            ("scope", scope),
            ("client_secret", &secret),
        ]);
        for (what, body) in [("by assertion", by_assertion), ("by secret", by_secret)] {
            let answer = self.client.form(&self.host, &path, &body).await;
            self.a_token(answer, what);
        }
        let basic = BASE64.encode(form(&[(id, &secret)]).replacen('=', ":", 1).as_bytes());
        let body = form(&[("grant_type", "client_credentials"), ("scope", scope)]);
        let answer = self.basic(&path, &basic, body).await;
        self.a_token(answer, "by Basic");

        // The same client with what is wrong.
        let wrong = self.journey.secret("a wrong client secret");
        let body = form(&[
            ("grant_type", "client_credentials"),
            ("client_id", id),
            ("scope", scope),
            ("client_secret", &wrong),
        ]);
        let answer = self.client.form(&self.host, &path, &body).await;
        self.journey.refused(answer, "a wrong client secret");
        let wrong = self.journey.secret("a wrong client secret in a Basic header");
        let basic = BASE64.encode(format!("{id}:{wrong}").as_bytes());
        let answer =
            self.basic(&path, &basic, form(&[("grant_type", "client_credentials"), ("scope", scope)])).await;
        self.journey.refused(answer, "a wrong client secret in a Basic header");
        let forged = self.journey.secret("a claim of a forged assertion");
        let claims = json!({ "iss": id, "sub": forged, "aud": audience, "exp": now + 600, "jti": forged });
        let unsigned = azure_assertion::sign(&signing, Algorithm::Es256, &sha256, &claims).ok().unwrap();
        let opaque = self.journey.secret("an assertion that is none");
        let header = self.journey.secret("a header member of an assertion");
        let strange = format!(
            "{}.e30.AAAA",
            BASE64URL_NOPAD.encode(json!({ "alg": header, "x5t": header }).to_string().as_bytes())
        );
        for assertion in [unsigned, opaque, strange] {
            let body = form(&[
                ("grant_type", "client_credentials"),
                ("client_id", id),
                ("scope", scope),
                ("client_assertion_type", kind),
                ("client_assertion", &assertion),
            ]);
            let answer = self.client.form(&self.host, &path, &body).await;
            self.journey.refused(answer, "a wrong assertion");
        }
        for field in ["password", "refresh_token", "code", "device_code", "assertion", "code_verifier"] {
            let lost = self.journey.secret(&format!("the field {field}"));
            for grant in ["password", "refresh_token", "client_credentials"] {
                let body = form(&[
                    ("grant_type", grant),
                    ("client_id", id),
                    ("username", "u"),
                    ("scope", scope),
                    (field, &lost),
                ]);
                let answer = self.client.form(&self.host, &path, &body).await;
                self.journey.refused(answer, field);
            }
            let answer = self.client.form(&self.host, &format!("{path}?{field}={lost}"), "").await;
            self.journey.refused(answer, "in a query");
        }
        let twice = self.journey.secret("a client secret given twice");
        let body = form(&[
            ("client_secret", &twice),
            ("client_secret", &twice),
            ("grant_type", "client_credentials"),
        ]);
        let answer = self.client.form(&self.host, &path, &body).await;
        self.journey.refused(answer, "twice");
        let claims = self.journey.secret("a claims parameter");
        let body = form(&[
            ("grant_type", "client_credentials"),
            ("scope", scope),
            ("claims", &format!("{{\"a\": {claims}")),
        ]);
        let answer = self.client.form(&self.host, &path, &body).await;
        self.journey.refused(answer, "claims");
    }

    async fn basic(&mut self, path: &str, basic: &str, body: String) -> std::io::Result<Answer> {
        let request = Request::post(path)
            .header(header::HOST, &self.host)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::AUTHORIZATION, format!("Basic {basic}"));
        self.client.send(request.body(Full::new(Bytes::from(body))).unwrap()).await
    }

    /// A token in an answer is a secret from now on, and so is its signature alone.
    fn a_token(&mut self, answer: std::io::Result<Answer>, what: &str) {
        let answer = Journey::granted(&mut self.journey.by_right, answer, what).json();
        self.keep_token(what, answer["access_token"].as_str().expect("a token"));
    }

    fn keep_token(&mut self, what: &str, token: &str) {
        self.journey.secrets.insert(format!("a token {what}"), token.to_owned());
        let signature = token.rsplit('.').next().unwrap().to_owned();
        self.journey.secrets.insert(format!("the signature of a token {what}"), signature);
    }

    /// Whatever a caller may get wrong, with something secret in its hands.
    async fn callers_err(&mut self) {
        let (vault, host, token) = (self.vault.clone(), self.host.clone(), self.token.clone());
        let bearer = format!("Authorization: Bearer {token}");
        let arm = self.server.token("https://management.azure.com").await;
        for (plane, token) in [(&vault, &token), (&host, &arm)] {
            let bearer = format!("Authorization: Bearer {token}");
            for scheme in ["Bearer", "Basic", "PoP", "Negotiate", ""] {
                let password = self.journey.secret(&format!("an Authorization: {scheme} header at {plane}"));
                let encoded = BASE64.encode(format!("user:{password}").as_bytes());
                for text in [password.clone(), encoded, format!("a.{password}.c")] {
                    let path =
                        if plane == &vault { "/secrets/x" } else { "/subscriptions?api-version=2022-12-01" };
                    let pieces = Pieces::new(format!("GET {path} HTTP/1.1"), plane)
                        .header(format!("Authorization: {scheme} {text}"));
                    let answer = self.client.raw(plane, &pieces).await;
                    self.journey.refused(answer, scheme);
                    let request = Request::get(format!("https://{plane}{path}"))
                        .header(header::AUTHORIZATION, format!("{scheme} {text}"));
                    let answer = self.client.send_http2(request.body(Full::default()).unwrap()).await;
                    self.journey.refused(answer, scheme);
                }
            }
            for header in ["Cookie", "X-Api-Key", "Ocp-Apim-Subscription-Key", "X-Forwarded-Host", "Referer"]
            {
                let lost = self.journey.secret(&format!("the header {header} at {plane}"));
                let pieces = Pieces::new("GET /nowhere/at/all/here HTTP/1.1", plane)
                    .header(format!("{header}: {lost}"));
                let answer = self.client.raw(plane, &pieces).await;
                self.journey.refused(answer, header);
            }
            for line in [
                "GET /nowhere/{} HTTP/1.1",
                "PUT /nowhere/x?code={} HTTP/1.1",
                "DELETE /a/b/c/{}/d?x={} HTTP/1.1",
                "POST /subscriptions?$filter={} HTTP/1.1",
                "{} / HTTP/1.1",
                "GET /%00{} HTTP/1.1",
                "GET /../{} HTTP/1.1",
                "GET / HTTP/1.1{}",
                "GET /secrets?$skiptoken={} HTTP/1.1",
                "GET /secrets?maxresults={} HTTP/1.1",
            ] {
                let lost = self.journey.secret(&format!("the request line {line} at {plane}"));
                let pieces = Pieces::new(line.replace("{}", &lost), plane).header(&bearer);
                let answer = self.client.raw(plane, &pieces).await;
                self.journey.refused(answer, line);
            }
            let long = self.journey.secret(&format!("a path that is too long at {plane}"));
            let pieces =
                Pieces::new(format!("GET /{}{long} HTTP/1.1", "a".repeat(3000)), plane).header(&bearer);
            let answer = self.client.raw(plane, &pieces).await;
            self.journey.refused(answer, "long");
        }
        // What stands where an identifier belongs may be named to whoever sent it, and nowhere else.
        for path in ["/secrets/x/{}", "/deletedsecrets/{}", "/secrets/{}/versions"] {
            let path = path.replace("{}", &self.journey.identifier());
            let answer = self.vault(Method::GET, &path, None).await;
            self.journey.refused(answer, &path);
        }
        let path = format!("/subscriptions/{}/resourceGroups?api-version=1", self.journey.identifier());
        let answer = self.client.request(Method::GET, &host, &path, Some(&arm), None).await;
        self.journey.refused(answer, &path);
        let token_path = format!("/{}/oauth2/v2.0/token", self.server.endpoints().tenant);
        for (tenant, client, scope) in [(0, 0, 0), (1, 0, 0), (1, 1, 0)] {
            let odd = |known: i32, usual: &str, journey: &mut Journey| {
                if known == 1 { usual.to_owned() } else { journey.identifier() }
            };
            let path = odd(tenant, &token_path, &mut self.journey);
            let path = if path.starts_with('/') { path } else { format!("/{path}/oauth2/v2.0/token") };
            let client = odd(client, "6b1a7d3e-0000-4000-8000-00000000c11e", &mut self.journey);
            let scope = odd(scope, "", &mut self.journey);
            let secret = self.journey.secret("a client secret for what is not there");
            let body = form(&[
                ("grant_type", "client_credentials"),
                ("client_id", &client),
                ("scope", &scope),
                ("client_secret", &secret),
            ]);
            let answer = self.client.form(&host, &path, &body).await;
            self.journey.refused(answer, &path);
        }
        for host in ["{}.example", "{}.vault.localhost", "user:{}@localhost"] {
            let lost = self.journey.secret(&format!("the Host {host}"));
            let answer =
                self.client.raw(&vault, &Pieces::new("GET / HTTP/1.1", &host.replace("{}", &lost))).await;
            self.journey.refused(answer, host);
        }

        let bodies = [
            "{\"value\": \"{}",
            "{\"value\": [\"{}\"]}",
            "{\"value\": {\"a\": \"{}\"}}",
            "\"{}\"",
            "{}",
            "{\"value\": \"{}\", \"value\": \"{}\"}",
            "{\"value\": \"{}\", \"attributes\": {\"exp\": \"{}\"}}",
            "{\"value\": \"{}\", \"attributes\": {\"enabled\": \"{}\"}}",
            "{\"value\": \"{}\", \"tags\": [\"{}\"]}",
            "{\"value\": \"{}\", \"tags\": {\"a\": [\"{}\"]}}",
            "{\"value\": \"{}\", \"contentType\": [\"{}\"]}",
            "{\"value\": \"{}\\ud800\"}",
            "{\"value\": \"{}\", \"attributes\": {\"nbf\": -1}}",
        ];
        for body in bodies {
            let lost = self.journey.secret(&format!("the body {body}"));
            let content = body.replace("{}", &lost);
            let long = self.journey.secret(&format!("a body too long {body}"));
            let long = format!("{}{}", body.replace("{}", &long), " ".repeat(2 * 1024 * 1024));
            let name = self.journey.name();
            for (method, path) in
                [("PUT", format!("/secrets/{name}")), ("POST", "/secrets/restore".to_owned())]
            {
                for content in [&content, &long] {
                    let pieces = Pieces::new(format!("{method} {path} HTTP/1.1"), &vault)
                        .header(&bearer)
                        .body(content);
                    let answer = self.client.raw(&vault, &pieces).await;
                    self.journey.refused(answer, body);
                }
            }
            let path =
                "/subscriptions/00000000-0000-4000-8000-000000000000/resourceGroups/x?api-version=2022-12-01";
            let answer =
                self.client.request(Method::PUT, &host, path, Some(&arm), Some(content.as_bytes())).await;
            self.journey.refused(answer, body);
            let mut admin = self.server.admin();
            for path in ["/admin/v1/apply", "/admin/v1/client-secrets", "/node/v1/token"] {
                let answer =
                    admin.request(Method::POST, "vouchsafe", path, None, Some(content.as_bytes())).await;
                self.journey.refused(answer, path);
            }
        }
        // Somebody puts the private key where the certificate belongs.
        let key = self.journey.secret("a private key instead of a certificate");
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{key}\n-----END PRIVATE KEY-----\n");
        let state = json!({ "state": { "applications": [{ "name": "a", "certificates": [pem] }] } });
        let answer = post(&mut self.server.admin(), "/admin/v1/apply", &state).await;
        self.journey.refused(answer, "a private key");
        // A value that is too long, a blob of another vault, a name that is not there.
        let long = format!("{}{}", self.journey.secret("a value too long"), "y".repeat(26 * 1024));
        let blob = BASE64URL_NOPAD.encode(self.journey.secret("a backup blob").as_bytes());
        let name = self.journey.name();
        let (label, kind) =
            (self.journey.secret("a tag too long"), self.journey.secret("a content type too long"));
        for (method, path, body) in [
            (Method::PUT, format!("/secrets/{name}"), json!({ "value": long })),
            (Method::POST, "/secrets/restore".to_owned(), json!({ "value": blob })),
            (Method::GET, format!("/secrets/{name}"), Value::Null),
            (
                Method::PUT,
                format!("/secrets/{name}"),
                json!({ "value": "v", "tags": { "k": label.repeat(20) } }),
            ),
            (
                Method::PUT,
                format!("/secrets/{name}"),
                json!({ "value": "v", "contentType": kind.repeat(20) }),
            ),
        ] {
            let answer = self.vault(method, &path, Some(body)).await;
            self.journey.refused(answer, &path);
        }
    }

    /// The agent hears secrets too: identity headers, proxy passwords, queries.
    async fn the_agent_is_asked(&mut self) {
        let port = |url: &Option<String>| {
            url.as_deref()
                .and_then(|url| url.rsplit_once(':'))
                .and_then(|(_, port)| port.parse::<u16>().ok())
                .unwrap()
        };
        let (imds, proxy) = (port(&self.server.endpoints().imds), port(&self.server.endpoints().proxy));
        for (line, header) in [
            (
                "GET /metadata/identity/oauth2/token?api-version=2018-02-01&resource={} HTTP/1.1",
                "Metadata: true",
            ),
            (
                "GET /metadata/identity/oauth2/token?resource=https://vault.azure.net&sig={} HTTP/1.1",
                "Metadata: true",
            ),
            (
                "GET /msi/token?api-version=2019-08-01&resource=https://vault.azure.net HTTP/1.1",
                "X-IDENTITY-HEADER: {}",
            ),
            ("GET /msi/token?secret={} HTTP/1.1", "Authorization: Bearer {}"),
            ("GET /{} HTTP/1.1", "Secret: {}"),
        ] {
            let lost = self.journey.secret(&format!("to the agent {line} {header}"));
            let pieces =
                Pieces::new(line.replace("{}", &lost), "127.0.0.1").header(header.replace("{}", &lost));
            let answer = Client::tcp(imds).raw("127.0.0.1", &pieces).await;
            self.journey.refused(answer, line);
        }
        for line in ["GET http://localhost/{} HTTP/1.1", "CONNECT {} HTTP/1.1", "GET /{} HTTP/1.1"] {
            let lost = self.journey.secret(&format!("to the proxy {line}"));
            let basic = BASE64.encode(format!("user:{lost}").as_bytes());
            let pieces = Pieces::new(line.replace("{}", &lost), "localhost")
                .header(format!("Proxy-Authorization: Basic {basic}"));
            // What the proxy answers is its own business; that it keeps quiet is ours.
            if let Ok(answer) = Client::tcp(proxy).raw("localhost", &pieces).await {
                self.journey.others.push(Journey::bytes(&answer));
            }
        }
    }
}

async fn post(client: &mut Client, path: &str, body: &Value) -> std::io::Result<Answer> {
    client.request(Method::POST, "vouchsafe", path, None, Some(body.to_string().as_bytes())).await
}

fn form(fields: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

#[expect(
    clippy::disallowed_methods,
    reason = "an assertion says until when it is good, and this is a client"
)]
fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

#[test]
fn the_scanner_finds_a_planted_canary_in_every_spelling_and_place() {
    let (planted, other) = (canary(), canary());
    let mut scanner = Scanner::default();
    scanner.watch("planted", &planted);
    scanner.watch("other", &other);
    for before in ["", "a", "ab", "abc", "{\"value\":\""] {
        let surrounded = format!("{before}{planted}\"}}");
        let mut url = String::new();
        url.extend(percent_encoding::utf8_percent_encode(&surrounded, percent_encoding::NON_ALPHANUMERIC));
        let places = [
            surrounded.clone().into_bytes(),
            BASE64.encode(surrounded.as_bytes()).into_bytes(),
            BASE64URL_NOPAD.encode(surrounded.as_bytes()).into_bytes(),
            data_encoding::HEXLOWER.encode(surrounded.as_bytes()).into_bytes(),
            data_encoding::HEXUPPER.encode(surrounded.as_bytes()).into_bytes(),
            url.into_bytes(),
            form(&[("k", &surrounded)]).into_bytes(),
            format!("{:?}", surrounded.as_bytes()).into_bytes(),
            serde_json::to_vec(surrounded.as_bytes()).unwrap(),
        ];
        for place in places {
            let found = scanner.find(&place);
            assert!(!found.is_empty(), "`{}` hides the canary", String::from_utf8_lossy(&place));
            assert!(found.iter().all(|what| what.starts_with("planted")), "{found:?}");
            let directory = tempfile::tempdir().unwrap();
            std::fs::create_dir(directory.path().join("deep")).unwrap();
            std::fs::write(directory.path().join("deep/file"), [vec![0xff; 5000], place].concat()).unwrap();
            assert!(!scanner.find_in_files(directory.path(), &[]).0.is_empty());
        }
    }
    assert!(scanner.find(&planted.as_bytes()[..20]).is_empty(), "half a canary is none");
}

#[tokio::test]
async fn canaries_are_nowhere_but_in_the_answers_that_are_for_them() {
    let installation = Installation::empty(PROGRAM);
    let token = Token::make(installation.scratch());
    let mut environment = vec![("VOUCHSAFE_LOG", "trace")];
    environment.extend(token.iter().flat_map(Token::environment));
    let server = installation.dev(&[], &environment).await;
    let vaults = json!([{ "name": "app" }, { "name": "sealed", "sku": "premium" }]);
    let state = json!({ "state": { "vaults": vaults } });
    assert_eq!(post(&mut server.admin(), "/admin/v1/apply", &state).await.unwrap().status, StatusCode::OK);
    let mut stage = Stage {
        installation: &installation,
        server: &server,
        journey: Journey::default(),
        client: server.https(),
        vault: server.vault_host("app"),
        host: server.host().to_owned(),
        token: server.token(VAULT_RESOURCE).await,
    };
    let bearer = stage.token.clone();
    stage.keep_token("of the administrator", &bearer);
    stage.secrets_come_and_go().await;
    stage.clients_log_in().await;
    stage.callers_err().await;
    stage.keys_come_and_go(false).await;
    stage.callers_err_with_keys().await;
    if token.is_some() {
        stage.vault = server.vault_host("sealed");
        stage.keys_come_and_go(true).await;
    }
    stage.the_agent_is_asked().await;
    let (mut client, host) = (stage.client, stage.host);
    let mut journey = stage.journey;
    let metrics = client.request(Method::GET, &host, "/metrics", None, None).await;
    let metrics = Journey::granted(&mut journey.others, metrics, "metrics").text();
    assert!(metrics.contains("vouchsafe_http_panics_total 0"), "{metrics}");
    assert!(server.log().contains("\"level\":\"TRACE\""), "the log is not at its most talkative");

    let (mut all, mut secrets, mut names) = (Scanner::default(), Scanner::default(), Scanner::default());
    let mut identifiers = Scanner::default();
    for identifier in &journey.identifiers {
        identifiers.watch("an identifier that is none", identifier);
    }
    for (what, secret) in &journey.secrets {
        all.watch(what, secret);
        secrets.watch(what, secret);
    }
    for (what, bytes) in &journey.material {
        all.watch_bytes(what, bytes);
        secrets.watch_bytes(what, bytes);
    }
    for (what, label) in &journey.labels {
        all.watch(what, label);
    }
    for name in &journey.names {
        names.watch("a secret's name", name);
    }

    let mut found: Vec<String> = Vec::new();
    let mut look = |scanner: &Scanner, answers: &[Vec<u8>], what: &str| {
        for answer in answers {
            let text = String::from_utf8_lossy(answer).into_owned();
            found
                .extend(scanner.find(answer).into_iter().map(|leaked| format!("{leaked} in {what}: {text}")));
        }
    };
    look(&all, &journey.others, "an answer");
    look(&secrets, &journey.about, "an answer without a value");
    assert!(
        journey.by_right.iter().all(|answer| !secrets.find(answer).is_empty()),
        "an answer lacks its secret"
    );

    // What lies on the disk: while it runs, with the write-ahead log full; after a crash; after an orderly end.
    let data = installation.data();
    let program = installation.scratch().join("vouchsafe");
    let input = installation.scratch().join("value.input");
    let skip: [&Path; 2] = [&program, &input];
    let wal = std::fs::metadata(data.join("store.sqlite-wal")).map_or(0, |wal| wal.len());
    assert!(wal > 0, "there is no write-ahead log to look into");
    let mut bytes = 0;
    let mut search = || {
        let (leaked, read) = all.find_in_files(installation.scratch(), &skip);
        found.extend(leaked);
        found.extend(identifiers.find_in_files(installation.scratch(), &skip).0);
        bytes += read;
        for entry in std::fs::read_dir(&data).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("store.sqlite")) {
                let content = std::fs::read(&path).unwrap_or_default();
                found.extend(
                    names.find(&content).into_iter().map(|what| format!("{what} in {}", path.display())),
                );
            }
        }
    };
    search();
    server.kill();
    search();
    let server = installation.dev(&[], &environment).await;
    assert!(server.terminate().await.success());
    search();
    // The audit log is written in the clear: what may be there is found there, so what is not found is not there.
    let (named, _) = names.find_in_files(&data.join("audit"), &[]);
    assert!(!named.is_empty(), "not even the names of secrets are found in the audit log");
    found.sort();
    found.dedup();
    assert!(found.is_empty(), "{} leaks:\n{}", found.len(), found.join("\n"));
    println!(
        "{} secrets, {} numbers and plaintexts, and {} labels in {} spellings were looked for in {bytes} bytes of files and {} answers, {} of them \
         refusals",
        journey.secrets.len(),
        journey.material.len(),
        journey.labels.len(),
        scanner::spellings(b"canary").len(),
        journey.others.len() + journey.about.len(),
        journey.refusals,
    );
}

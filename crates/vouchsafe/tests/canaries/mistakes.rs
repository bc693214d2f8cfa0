//! Whatever a caller may get wrong with something secret in its hands, at the server, the agent and the proxy.

use data_encoding::{BASE64, BASE64URL_NOPAD};
use http::{Method, Request, header};
use http_body_util::Full;
use serde_json::{Value, json};
use vouchsafe_testkit::running::{Client, Pieces};

use crate::{Journey, Stage, form, post};

impl Stage<'_> {
    /// Whatever a caller may get wrong, with something secret in its hands.
    pub async fn callers_err(&mut self) {
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
    pub async fn the_agent_is_asked(&mut self) {
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

//! Keys and certificates: what is signed, decrypted and made by the vault, each answer behind a durable audit entry.

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use hyper::client::conn::http1::SendRequest;
use serde_json::{Value, json};

use crate::Arguments;
use crate::load::{self, Body, Load, Ready, Target};
use crate::report::Report;
use crate::server::Server;
use crate::token::Token;

/// A SHA-256 digest in base64url; of what does not matter.
const DIGEST: &str = "n4bQgYhMfWWaL-qgxVrQFaO_TxsrC4Is0V1sFbDwCgg";

/// One operation that is repeated.
struct Operation {
    row: &'static str,
    aim: &'static str,
    kind: Value,
    verb: &'static str,
    algorithm: &'static str,
}

pub async fn measure(arguments: &Arguments, server: &Server, report: &mut Report) -> Result<()> {
    let operations = [
        Operation {
            row: "key sign, P-256",
            aim: ">= 15k/s",
            kind: json!({ "kty": "EC", "crv": "P-256" }),
            verb: "sign",
            algorithm: "ES256",
        },
        Operation {
            row: "key sign, RSA-2048",
            aim: ">= 5k/s",
            kind: json!({ "kty": "RSA", "key_size": 2048 }),
            verb: "sign",
            algorithm: "RS256",
        },
        Operation {
            row: "key decrypt, RSA-2048 OAEP-256",
            aim: "",
            kind: json!({ "kty": "RSA", "key_size": 2048 }),
            verb: "decrypt",
            algorithm: "RSA-OAEP-256",
        },
    ];
    for operation in operations.iter().filter(|operation| arguments.wants(operation.row)) {
        operation.measure(arguments, server, server.vault()?, report).await?;
    }
    let made =
        [("key create, RSA-2048", json!({ "kty": "RSA" })), ("key create, P-256", json!({ "kty": "EC" }))];
    for (row, kind) in made.into_iter().filter(|(row, _)| arguments.wants(row)) {
        let (host, target) = server.vault()?;
        let token = server.token()?;
        let body = Bytes::from(kind.to_string());
        // A connection has a name of its own, so that no two makers race for the same one.
        let create: Vec<_> = (0..arguments.connections)
            .map(|name| post(&host, &format!("/keys/made{name}/create"), &token, body.clone()))
            .collect();
        let load = arguments.load(target);
        report.load(row, "", load.run(move |connection, _| create[connection % create.len()].clone()).await?);
    }
    Ok(())
}

/// Signing in a token, and the same token asked directly in the same run.
pub async fn measure_token(
    arguments: &Arguments,
    server: &Server,
    token: &Token,
    report: &mut Report,
) -> Result<()> {
    let operations = [
        Operation {
            row: "key sign in SoftHSM 2, P-256",
            aim: "",
            kind: json!({ "kty": "EC-HSM", "crv": "P-256" }),
            verb: "sign",
            algorithm: "ES256",
        },
        Operation {
            row: "key sign in SoftHSM 2, RSA-2048",
            aim: "",
            kind: json!({ "kty": "RSA-HSM", "key_size": 2048 }),
            verb: "sign",
            algorithm: "RS256",
        },
    ];
    for (operation, kind) in operations.iter().zip(["P-256", "RSA-2048"]) {
        if !arguments.wants(operation.row) {
            continue;
        }
        let bare = token.sign_raw(kind, arguments.seconds)?;
        let bare_rate = bare.rate();
        report.load(&format!("SoftHSM 2 alone, sign, {kind}"), "", bare);
        let rate = operation.measure(arguments, server, server.premium_vault()?, report).await?;
        report.note(&format!("{}: {:.0} % of the token alone", operation.row, 100.0 * rate / bare_rate));
    }
    Ok(())
}

/// A certificate is asked for, and asked after until it is there, as Azure's clients do.
pub async fn measure_certificates(arguments: &Arguments, server: &Server, report: &mut Report) -> Result<()> {
    let row = "certificate create and its poll, P-256, self-signed (two requests)";
    if !arguments.wants(row) {
        return Ok(());
    }
    let ((host, target), token) = (server.vault()?, server.token()?);
    let policy = json!({ "policy": {
        "issuer": { "name": "Self" },
        "key_props": { "kty": "EC", "crv": "P-256" },
        "x509_props": { "subject": "CN=bench", "validity_months": 1 },
    }});
    let body = Bytes::from(policy.to_string());
    let turns: Vec<[Ready; 2]> = (0..arguments.connections)
        .map(|name| {
            let path = format!("/certificates/certified{name}");
            [
                post(&host, &format!("{path}/create"), &token, body.clone()),
                load::get(&host, &format!("{path}/pending?api-version=7.4"), Some(&token)),
            ]
        })
        .collect();
    let load = Load { expected: &[200, 202], ..arguments.load(target) };
    let measured =
        load.run(move |connection, turn| turns[connection % turns.len()][turn % 2].clone()).await?;
    report.load(row, "", measured);
    Ok(())
}

impl Operation {
    async fn measure(
        &self,
        arguments: &Arguments,
        server: &Server,
        (host, target): (String, Target),
        report: &mut Report,
    ) -> Result<f64> {
        let token = server.token()?;
        let mut once = load::connect(&target).await?;
        let name = format!("{}-{}", self.verb, self.algorithm.to_lowercase());
        let body = Bytes::from(self.kind.to_string());
        let made = answer(&mut once, post(&host, &format!("/keys/{name}/create"), &token, body)).await?;
        let id = made["key"]["kid"].as_str().context("the key has no id")?;
        let path = id.splitn(4, '/').nth(3).context("the key's id has no path")?;
        let value = match self.verb {
            "decrypt" => {
                let plaintext = json!({ "alg": self.algorithm, "value": DIGEST }).to_string();
                let encrypt = post(&host, &format!("/{path}/encrypt"), &token, Bytes::from(plaintext));
                answer(&mut once, encrypt).await?["value"].as_str().context("no ciphertext")?.to_owned()
            }
            _ => DIGEST.to_owned(),
        };
        let body = Bytes::from(json!({ "alg": self.algorithm, "value": value }).to_string());
        let request = post(&host, &format!("/{path}/{}", self.verb), &token, body);
        let measured = arguments.load(target).run(move |_, _| request.clone()).await?;
        let rate = measured.rate();
        report.load(self.row, self.aim, measured);
        Ok(rate)
    }
}

fn post(host: &str, path: &str, token: &str, body: Bytes) -> Ready {
    load::json("POST", host, &format!("{path}?api-version=7.4"), token, body)
}

async fn answer(connection: &mut SendRequest<Body>, request: Ready) -> Result<Value> {
    let (status, body) = load::ask(connection, request).await?;
    ensure!(status == 200, "answered with {status}: {}", String::from_utf8_lossy(&body));
    Ok(serde_json::from_slice(&body)?)
}

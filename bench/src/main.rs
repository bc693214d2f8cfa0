//! A closed-loop load generator: a number of connections, each of which sends its next request when it has the answer
//! to the last one. TLS 1.3 with keep-alive, everything on one machine, and a bare echo in the same run to compare with.
//!
//! It starts the server itself, gets its tokens as any attested process does, and prints a table that can be pasted.
//! It measures; it proves nothing and is no test.

mod assertions;
mod echo;
mod keys;
mod load;
mod processor;
mod report;
mod server;
mod token;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use clap::{Parser, Subcommand};

use crate::assertions::Applicant;
use crate::load::{Load, Measured, Target, Tls};
use crate::report::Report;
use crate::server::Server;
use crate::token::Token;

#[derive(Parser)]
#[command(about = "Measures a Vouchsafe that it starts itself")]
struct Arguments {
    /// The binary to measure; build it with `--release`
    #[arg(long, default_value = "target/release/vouchsafe")]
    binary: PathBuf,
    /// For how long each load lasts
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// How many connections ask at the same time
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// Only rows whose name contains this
    #[arg(long, default_value = "")]
    only: String,
    #[command(subcommand)]
    part: Option<Part>,
}

/// Parts that run in a process of their own.
#[derive(Subcommand)]
enum Part {
    /// Answer every request with 200, behind TLS
    #[command(hide = true)]
    Echo,
    /// Print a token for the vault, as the attested process this is
    #[command(hide = true)]
    Token,
    /// Load the agent's metadata endpoint, as the attested process this is
    #[command(hide = true)]
    Agent,
    /// Sign in a token with nothing in between
    #[command(hide = true)]
    RawToken {
        /// The key: `P-256` or `RSA-2048`
        kind: String,
    },
}

/// How many secrets are read and written.
const SECRETS: usize = 200;
/// Start-ups whose median is shown.
const STARTS: usize = 7;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match &arguments.part {
            Some(Part::Echo) => echo::serve().await,
            Some(Part::Token) => {
                let token = server::token_from_the_agent().await?;
                std::io::stdout().write_all(token.as_bytes())?;
                Ok(())
            }
            Some(Part::Agent) => {
                let target = server::agent_target()?;
                let request = server::agent_request("https://vault.azure.net");
                let load = arguments.load(target);
                let measured = load.run(move |_, _| request.clone()).await?;
                println!("{}", measured.to_json());
                Ok(())
            }
            Some(Part::RawToken { kind }) => {
                println!("{}", token::sign_raw(kind, arguments.seconds)?.to_json());
                Ok(())
            }
            None => measure(&arguments).await,
        }
    })
}

impl Arguments {
    fn load(&self, target: Target) -> Load {
        Load {
            target,
            connections: self.connections,
            duration: Duration::from_secs(self.seconds),
            expected: &[200],
        }
    }

    fn wants(&self, row: &str) -> bool {
        row.contains(&self.only)
    }
}

async fn measure(arguments: &Arguments) -> Result<()> {
    ensure!(arguments.binary.exists(), "`{}` is not built", arguments.binary.display());
    let mut report = Report::new(arguments.connections, arguments.seconds);
    let directory = tempfile::Builder::new().prefix("vouchsafe-bench-").tempdir()?;

    if arguments.wants("bare TLS echo") {
        let echo = server::Echo::start(directory.path())?;
        let target = Target::tls("localhost", echo.port, Tls::trusting(&echo.certificate_file)?)?;
        let target = target.served_by(echo.process());
        let request = load::get("localhost", "/", None);
        report.load("bare TLS echo", "", arguments.load(target).run(move |_, _| request.clone()).await?);
    }
    if arguments.wants("start to ready") {
        start_up(arguments, directory.path(), &mut report)?;
    }

    let applicants = [Applicant::rsa()?, Applicant::p256()?];
    let token = Token::make(directory.path())?;
    let environment = token.as_ref().map(Token::environment).unwrap_or_default();
    let server =
        Server::start(&arguments.binary, &directory.path().join("measured"), &applicants, &environment)?;
    report.fact("memory after start", "< 64 MB", format!("{:.0} MB", server.resident_megabytes()?));
    secrets(arguments, &server, &mut report).await?;
    keys::measure(arguments, &server, &mut report).await?;
    match &token {
        Some(token) => keys::measure_token(arguments, &server, token, &mut report).await?,
        None => report.note("no keys in a token: SoftHSM 2 is not here (Debian: softhsm2)"),
    }
    keys::measure_certificates(arguments, &server, &mut report).await?;
    grants(arguments, &server, &applicants, &mut report).await?;
    if arguments.wants("managed identity from the agent's cache") {
        let measured = server.agent_load(arguments.seconds, arguments.connections)?;
        report.load("managed identity from the agent's cache", ">= 20k/s, p50 < 1 ms", measured);
    }
    report.fact("memory after the load", "", format!("{:.0} MB", server.resident_megabytes()?));
    let log_bytes = server::directory_bytes(&directory.path().join("measured/audit"))?;
    report.fact("audit log after the load", "", format!("{:.0} MB", log_bytes as f64 / 1e6));
    server.stop()?;
    report.print();
    Ok(())
}

/// Starts on empty directories, and once more on one of them.
fn start_up(arguments: &Arguments, directory: &Path, report: &mut Report) -> Result<()> {
    let mut empty = Vec::new();
    let mut again = Vec::new();
    for number in 0..STARTS {
        let data = directory.join(format!("start-{number}"));
        for times in [&mut empty, &mut again] {
            let started = Instant::now();
            let server = Server::start(&arguments.binary, &data, &[], &[])?;
            times.push(started.elapsed());
            server.stop()?;
        }
    }
    for (row, aim, mut times) in
        [("start to ready, empty", "< 150 ms", empty), ("start to ready, again on the same data", "", again)]
    {
        times.sort();
        let median = times.get(STARTS / 2).context("nothing was started")?;
        report.fact(row, aim, format!("{:.0} ms (median of {STARTS})", median.as_secs_f64() * 1e3));
    }
    Ok(())
}

async fn secrets(arguments: &Arguments, server: &Server, report: &mut Report) -> Result<()> {
    let token = server.token()?;
    let (host, target) = server.vault()?;
    let set = |name: usize| {
        let body = Bytes::from_static(br#"{"value":"a value of ordinary length, forty bytes.."}"#);
        load::json("PUT", &host, &format!("/secrets/s{name}?api-version=7.4"), &token, body)
    };
    // Everything that is read must be there first.
    let mut once = load::connect(&target).await?;
    for name in 0..SECRETS {
        let (status, body) = load::ask(&mut once, set(name)).await?;
        ensure!(
            status == 200,
            "setting a secret was answered with {status}: {}",
            String::from_utf8_lossy(&body)
        );
    }
    if arguments.wants("secret GET") {
        let get: Vec<_> = (0..SECRETS)
            .map(|name| load::get(&host, &format!("/secrets/s{name}/?api-version=7.4"), Some(&token)))
            .collect();
        let measured = arguments
            .load(target.clone())
            .run(move |connection, turn| get[(connection * 31 + turn) % SECRETS].clone())
            .await?;
        report.load("secret GET", ">= 50 % of the echo (about 40k/s), p99 < 10 ms", measured);
    }
    if arguments.wants("secret SET") {
        let set: Vec<_> = (0..SECRETS).map(set).collect();
        let measured = arguments
            .load(target)
            .run(move |connection, turn| set[(connection * 31 + turn) % SECRETS].clone())
            .await?;
        report.load("secret SET, durable", ">= 5k/s", measured);
    }
    Ok(())
}

async fn grants(
    arguments: &Arguments,
    server: &Server,
    applicants: &[Applicant],
    report: &mut Report,
) -> Result<()> {
    let (host, path, target) = server.token_endpoint()?;
    let audience = format!("https://{host}{path}");
    for applicant in applicants {
        let row = format!("certificate assertion grant, {}", applicant.algorithm());
        if !arguments.wants(&row) {
            continue;
        }
        // Signed beforehand, so that only the server's work is measured; each is used once, or as often as it must.
        let wanted = usize::try_from(arguments.seconds)? * applicant.expected_per_second();
        let bodies = applicant.bodies(&audience, wanted)?;
        let requests: Vec<_> = bodies.into_iter().map(|body| load::form(&host, &path, body)).collect();
        let share = requests.len() / arguments.connections.max(1);
        let measured = arguments
            .load(target.clone())
            .run(move |connection, turn| {
                requests[(connection * share + turn % share.max(1)) % requests.len()].clone()
            })
            .await?;
        let reused = measured.answers > wanted;
        report.load(&row, applicant.aim(), measured);
        if reused {
            report.note(&format!(
                "{row}: more answers than assertions signed beforehand ({wanted}), so some were used again"
            ));
        }
    }
    Ok(())
}

/// What one load measured, as it crosses from a part to the whole.
impl Measured {
    fn to_json(&self) -> String {
        serde_json::json!({
            "answers": self.answers, "errors": self.errors, "seconds": self.seconds,
            "p50": self.p50, "p99": self.p99, "max": self.max, "first_error": self.first_error,
            "processor_micros": self.processor_micros,
        })
        .to_string()
    }

    fn from_json(text: &str) -> Result<Self> {
        let json: serde_json::Value = serde_json::from_str(text.trim())?;
        let number = |name: &str| json[name].as_f64().with_context(|| format!("no `{name}`"));
        Ok(Self {
            answers: number("answers")? as usize,
            errors: number("errors")? as usize,
            seconds: number("seconds")?,
            p50: number("p50")?,
            p99: number("p99")?,
            max: number("max")?,
            first_error: json["first_error"].as_str().map(str::to_owned),
            processor_micros: json["processor_micros"].as_f64(),
        })
    }
}

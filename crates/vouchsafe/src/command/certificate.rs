//! `vouchsafe certificate`: Key Vault's own operations, and revocation, over the administrators' socket.

mod issuer;
mod policy;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use http::Method;
use serde::Serialize;
use serde_json::{Value, json};
use vouchsafe_crypto::pki::{ParsedCertificate, pem};
use vouchsafe_crypto::x509::Certificate as AnyCertificate;
use vouchsafe_wire::keyvault::certificate::{CertificateBundle, CertificateOperation, Der};
use vouchsafe_wire::secret_text::SecretText;
use zeroize::Zeroizing;

use super::object::{CERTIFICATES, VERSION, checked, date, password, read, rows, write_value};
use crate::cli::Format;
use crate::cli::certificate::{Certificate, Form, Pending, Reason};
use crate::cli::object::Which;
use crate::client::Client;
use crate::output;

/// What is imported or merged; the server takes less.
const FILE_BYTES_MAX: u64 = 256 * 1024;
/// The only form of the secret that can be read without a password and without our PKCS #12.
const AS_PEM: &str = "outContentType=application/x-pem-file";
const POLL: Duration = Duration::from_secs(1);
/// Ten minutes. An issuer outside may need its time; whoever needs more asks with `pending show`.
const POLLS_MAX: u32 = 600;
const POLLS_BETWEEN_WORDS: u32 = 10;

pub async fn certificate(client: &Client, format: Format, command: &Certificate) -> Result<ExitCode> {
    match command {
        Certificate::Create { name, vault, policy, no_wait } => {
            let body = match policy::of(policy)? {
                Some(policy) => json!({ "policy": policy::completed(policy) }),
                None => json!({}),
            };
            return create(client, format, &vault.vault, name, &body, *no_wait).await;
        }
        Certificate::Show { certificate } => {
            let (host, path) = CERTIFICATES.place(client, certificate, "").await?;
            let found: Value = client.json(Method::GET, &host, &path, None).await?;
            output::print(format, &found, shown)?;
        }
        Certificate::Download { certificate, form, file } => {
            let bytes = download(client, certificate, *form).await?;
            write_value(file.as_deref(), &bytes)?;
        }
        Certificate::Import { name, vault, file, password_file } => {
            let body = import_body(&read(file, FILE_BYTES_MAX)?, password_file.as_deref())?;
            let host = client.vault_host(&vault.vault).await?;
            let path = format!("/certificates/{}/import?{VERSION}", checked(name)?);
            let answer = client.send(Method::POST, &host, &path, Some(body)).await?.successful()?;
            let made: Value = serde_json::from_slice(&answer.body).context("the answer cannot be read")?;
            output::print(format, &made, |made| format!("imported {}", output::text(made, "/id")))?;
        }
        Certificate::Policy(command) => policy::policy(client, format, command).await?,
        Certificate::Pending(command) => pending(client, format, command).await?,
        Certificate::Issuer(command) => issuer::issuer(client, format, command).await?,
        Certificate::Contacts(command) => issuer::contacts(client, format, command).await?,
        Certificate::Revoke { certificate, reason } => {
            let (host, path) = CERTIFICATES.place(client, certificate, "/revoke").await?;
            let body = json!({ "reason": reason_of(*reason) });
            let revoked: Value = client.json(Method::POST, &host, &path, Some(&body)).await?;
            output::print(format, &revoked, |revoked| {
                format!(
                    "revoked {}; whoever has fetched the last revocation list learns it with the next one",
                    output::text(revoked, "/id")
                )
            })?;
        }
        Certificate::Object(command) => CERTIFICATES.run(client, format, command).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Begins, and waits for the end unless nobody here can bring it about. That the operation did not succeed is exit code 1.
async fn create(
    client: &Client,
    format: Format,
    vault: &str,
    name: &str,
    body: &Value,
    no_wait: bool,
) -> Result<ExitCode> {
    let host = client.vault_host(vault).await?;
    let path = format!("/certificates/{}/create?{VERSION}", checked(name)?);
    let begun = client.json(Method::POST, &host, &path, Some(body)).await;
    let mut operation: CertificateOperation = match body.get("policy") {
        Some(_) => begun?,
        None => {
            begun.context("nothing is said of it; --dns, --subject or --policy-file say what it is to be")?
        }
    };
    let issuer = operation.issuer.as_ref().and_then(|issuer| issuer.name.clone()).unwrap_or_default();
    let waits = !no_wait && !issuer.eq_ignore_ascii_case("Unknown");
    let path = format!("/certificates/{}/pending?{VERSION}", checked(name)?);
    for asked in 0..POLLS_MAX {
        if !waits || operation.status != IN_PROGRESS {
            break;
        }
        // The first question is what brings most operations to their end.
        if asked > 0 {
            tokio::time::sleep(POLL).await;
        }
        if format == Format::Human && asked % POLLS_BETWEEN_WORDS == 1 {
            let details = operation.status_details.as_deref().unwrap_or_default();
            eprintln!("waiting for {issuer}: {details}");
        }
        operation = client.json(Method::GET, &host, &path, None).await?;
    }
    output::print(format, &operation, |operation| match operation.status.as_str() {
        "completed" => format!("made {}", operation.target.as_deref().unwrap_or(name)),
        IN_PROGRESS if waits => {
            format!("{name} is not there yet; `vouchsafe certificate pending show {name}` says how far it is")
        }
        IN_PROGRESS if issuer.eq_ignore_ascii_case("Unknown") => format!(
            "the request for {name} waits for its signer: `vouchsafe certificate pending show --csr {name}` prints it, \
             `vouchsafe certificate pending merge {name}` takes the answer"
        ),
        IN_PROGRESS => {
            format!("{name} is being made; `vouchsafe certificate pending show {name}` says how far it is")
        }
        status => format!("{status}: {}", said_of(operation)),
    })?;
    let failed = operation.status != "completed" && operation.status != IN_PROGRESS;
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

const IN_PROGRESS: &str = "inProgress";

fn said_of(operation: &CertificateOperation) -> String {
    let error = operation.error.as_ref();
    error.map(|error| format!("{} ({})", error.message, error.code)).unwrap_or_default()
}

fn shown(found: &Value) -> String {
    let bundle: Option<CertificateBundle> = serde_json::from_value(found.clone()).ok();
    let der = bundle.and_then(|bundle| bundle.cer);
    let read = der.as_ref().and_then(|der| ParsedCertificate::from_der(&der.0).ok());
    let text = |of: fn(&ParsedCertificate) -> String| read.as_ref().map(of).unwrap_or_default();
    let fingerprint =
        der.as_ref().and_then(|der| AnyCertificate::from_der(&der.0).ok()).map(|any| hex(&any.sha256()));
    rows([
        ("id", output::text(found, "/id")),
        ("subject", text(|read| read.subject().to_string())),
        ("host names", text(|read| read.alternative_names().dns.join(", "))),
        ("signed by", text(|read| read.issuer().to_string())),
        ("serial", text(|read| hex(read.serial()))),
        ("sha-256", fingerprint.unwrap_or_default()),
        ("enabled", output::text(found, "/attributes/enabled")),
        ("not before", date(found, "/attributes/nbf")),
        ("expires", date(found, "/attributes/exp")),
        ("key", output::text(found, "/kid")),
        ("secret", output::text(found, "/sid")),
    ])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn download(client: &Client, which: &Which<Certificate>, form: Form) -> Result<Zeroizing<Vec<u8>>> {
    let (host, path) = CERTIFICATES.place(client, which, "").await?;
    let found: CertificateBundle = client.json(Method::GET, &host, &path, None).await?;
    let Some(Der(leaf)) = found.cer else {
        bail!(
            "the certificate is not there yet; `vouchsafe certificate pending show {}` says why",
            which.named.name
        );
    };
    match form {
        Form::Der => Ok(Zeroizing::new(leaf)),
        Form::Pem => Ok(Zeroizing::new(pem::to_pem(CERTIFICATE, &leaf).into_bytes())),
        Form::Chain => {
            // What is above a certificate is only in its secret, in which the key is, too; that is not written.
            let secret = found.sid.context("the certificate has no secret")?;
            let secret = secret.splitn(4, '/').nth(3).context("the secret's id has no path")?;
            let answer = client.send(Method::GET, &host, &format!("/{secret}?{AS_PEM}"), None).await?;
            #[derive(serde::Deserialize)]
            struct Secret {
                value: SecretText,
            }
            let secret: Secret = serde_json::from_slice(&answer.successful()?.body)
                .context("the secret of the certificate has no value")?;
            let text = certificates_in(secret.value.expose());
            Ok(Zeroizing::new(text.into_bytes()))
        }
    }
}

const CERTIFICATE: &str = "CERTIFICATE";

/// The certificates in PEM that holds a key, too.
fn certificates_in(pem: &str) -> String {
    const BEGINS: &str = "-----BEGIN CERTIFICATE-----";
    const ENDS: &str = "-----END CERTIFICATE-----";
    let blocks = pem.split(BEGINS).skip(1).filter_map(|rest| rest.split_once(ENDS));
    blocks.map(|(inside, _)| format!("{BEGINS}{inside}{ENDS}\n")).collect()
}

/// PEM as it is; PKCS #12 in base64, with what opens it. Written into memory that wipes itself.
fn import_body(file: &[u8], password_file: Option<&Path>) -> Result<Zeroizing<Vec<u8>>> {
    #[derive(Serialize)]
    struct Import<'a> {
        value: &'a str,
        pwd: Option<&'a str>,
    }
    let pem = std::str::from_utf8(file).ok().filter(|text| text.contains("-----BEGIN "));
    if pem.is_some_and(|text| text.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----")) {
        bail!(
            "the private key in the file is encrypted; `openssl pkey` decrypts it, or import PKCS #12 with its password"
        );
    }
    let encoded;
    let (value, password) = match pem {
        Some(text) if password_file.is_none() => (text, None),
        Some(_) => bail!("the file is PEM, which has no password"),
        None => {
            encoded = Zeroizing::new(serde_json::to_string(&Der(file.to_vec()))?);
            (encoded.trim_matches('"'), password(password_file, "Password of the file (none if empty): ")?)
        }
    };
    let password = password.as_ref().map(|password| password.as_str());
    let mut body = Zeroizing::new(Vec::with_capacity(2 * value.len() + 1024));
    serde_json::to_writer(&mut *body, &Import { value, pwd: password })?;
    Ok(body)
}

async fn pending(client: &Client, format: Format, command: &Pending) -> Result<()> {
    let (Pending::Show { name, vault, .. }
    | Pending::Cancel { name, vault }
    | Pending::Delete { name, vault }
    | Pending::Merge { name, vault, .. }) = command;
    let host = client.vault_host(&vault.vault).await?;
    let base = format!("/certificates/{}/pending", checked(name)?);
    let path = format!("{base}?{VERSION}");
    match command {
        Pending::Show { csr, .. } => {
            let operation: CertificateOperation = client.json(Method::GET, &host, &path, None).await?;
            if *csr {
                let request = operation.csr.context("the operation has no request")?;
                write_value(None, pem::to_pem("CERTIFICATE REQUEST", &request.0).as_bytes())?;
                return Ok(());
            }
            output::print(format, &operation, |operation| {
                let issuer = operation.issuer.as_ref().and_then(|issuer| issuer.name.clone());
                rows([
                    ("status", operation.status.clone()),
                    ("", operation.status_details.clone().unwrap_or_default()),
                    ("error", said_of(operation)),
                    ("issuer", issuer.unwrap_or_default()),
                    ("request", operation.request_id.clone()),
                    ("certificate", operation.target.clone().unwrap_or_default()),
                ])
            })?;
        }
        Pending::Cancel { .. } => {
            let body = json!({ "cancellation_requested": true });
            let operation: Value = client.json(Method::PATCH, &host, &path, Some(&body)).await?;
            output::print(format, &operation, |_| {
                format!("{name} is being given up; `vouchsafe certificate pending delete {name}` forgets it")
            })?;
        }
        Pending::Delete { .. } => {
            let operation: Value = client.json(Method::DELETE, &host, &path, None).await?;
            output::print(format, &operation, |_| format!("forgot the operation of {name}"))?;
        }
        Pending::Merge { file, .. } => {
            let body = json!({ "x5c": chain_of(&read(file, FILE_BYTES_MAX)?)? });
            let path = format!("{base}/merge?{VERSION}");
            let made: Value = client.json(Method::POST, &host, &path, Some(&body)).await?;
            output::print(format, &made, |made| format!("made {}", output::text(made, "/id")))?;
        }
    }
    Ok(())
}

fn chain_of(file: &[u8]) -> Result<Vec<Der>> {
    let chain = match std::str::from_utf8(file).ok().filter(|text| text.contains("-----BEGIN ")) {
        Some(text) => pem::read_certificates_pem(text).context("the file holds no certificates")?,
        None => {
            ParsedCertificate::from_der(file).context("the file is neither PEM nor a certificate in DER")?;
            vec![file.to_vec()]
        }
    };
    Ok(chain.into_iter().map(Der).collect())
}

const fn reason_of(reason: Reason) -> &'static str {
    match reason {
        Reason::Unspecified => "unspecified",
        Reason::KeyCompromise => "keyCompromise",
        Reason::AffiliationChanged => "affiliationChanged",
        Reason::Superseded => "superseded",
        Reason::CessationOfOperation => "cessationOfOperation",
        Reason::PrivilegeWithdrawn => "privilegeWithdrawn",
    }
}

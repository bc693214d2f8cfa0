//! Using keys: every answer here carries the key's full identifier, because callers name none and mean the newest.

use std::sync::Arc;

use vouchsafe_crypto::keys::{CiphertextParts, Encrypted, EncryptionAlgorithm, SignatureAlgorithm};
use vouchsafe_crypto::{Reason, SecretBytes};
use vouchsafe_domain::vault::{Error, Plaintext, UsedKey};
use vouchsafe_wire::keyvault::key as wire;
use vouchsafe_wire::keyvault::{Octets, SecretOctets};

use super::KEYS;
use crate::http::Request;
use crate::http::app::App;
use crate::http::keyvault::{Asked, BODY, RBAC_ASSIGNMENT_HEADER, bad, body, name, query, version};
use crate::http::problem::Problem;
use crate::http::refusal::of_vault;
use crate::http::reply::{Reply, Success};

pub(super) async fn sign(app: Arc<App>, mut request: Request) -> Result<Reply, Problem> {
    let (asked, name, version) = (Asked::of(&request)?, name(&request)?, version(&request)?);
    query(&request)?;
    let given = body(&mut request, &BODY, wire::SignRequest::parse).await?;
    let algorithm = signature(&given.alg)?;
    let (context, caller) = (app.context(&request.head), &asked.admitted.caller);
    let digest = given.value.as_slice();
    let used = app.platform.sign(&context, caller, &asked.vault, &name, version, algorithm, digest).await;
    let used = counted(&app, "sign", algorithm.as_str(), used)?;
    Ok(result(&asked, used, |signature| Given::of(SecretOctets::new(signature))))
}

pub(super) async fn verify(app: Arc<App>, mut request: Request) -> Result<Reply, Problem> {
    let (asked, name, version) = (Asked::of(&request)?, name(&request)?, version(&request)?);
    query(&request)?;
    let given = body(&mut request, &BODY, wire::VerifyRequest::parse).await?;
    let algorithm = signature(&given.alg)?;
    let (context, caller) = (app.context(&request.head), &asked.admitted.caller);
    let (digest, said) = (given.digest.as_slice(), given.value.as_slice());
    let (platform, vault) = (&app.platform, &asked.vault);
    let used = platform.verify(&context, caller, vault, &name, version, algorithm, digest, said).await;
    let used = counted(&app, "verify", algorithm.as_str(), used)?;
    let assignment = used.assignment.to_string();
    let reply = Reply::json(Success::Ok, &wire::VerifyResult { value: used.into_result() });
    Ok(reply.with_header(RBAC_ASSIGNMENT_HEADER, &assignment))
}

pub(super) async fn encrypt(app: Arc<App>, mut request: Request) -> Result<Reply, Problem> {
    let (asked, name, version) = (Asked::of(&request)?, name(&request)?, version(&request)?);
    query(&request)?;
    let given = Operation::of(&mut request).await?;
    let (context, caller) = (app.context(&request.head), &asked.admitted.caller);
    let (platform, vault, plaintext) = (&app.platform, &asked.vault, given.plaintext()?);
    let used = platform.encrypt(&context, caller, vault, &name, version, given.algorithm, &plaintext).await;
    let used = counted(&app, "encrypt", given.algorithm.as_str(), used)?;
    Ok(result(&asked, used, Given::from))
}

pub(super) async fn wrap(app: Arc<App>, mut request: Request) -> Result<Reply, Problem> {
    let (asked, name, version) = (Asked::of(&request)?, name(&request)?, version(&request)?);
    query(&request)?;
    let given = Operation::of(&mut request).await?;
    let (context, caller) = (app.context(&request.head), &asked.admitted.caller);
    let (platform, vault, plaintext) = (&app.platform, &asked.vault, given.plaintext()?);
    let used = platform.wrap_key(&context, caller, vault, &name, version, given.algorithm, &plaintext).await;
    let used = counted(&app, "wrap", given.algorithm.as_str(), used)?;
    Ok(result(&asked, used, Given::from))
}

pub(super) async fn decrypt(app: Arc<App>, mut request: Request) -> Result<Reply, Problem> {
    let (asked, name, version) = (Asked::of(&request)?, name(&request)?, version(&request)?);
    query(&request)?;
    let given = Operation::of(&mut request).await?;
    let (context, caller) = (app.context(&request.head), &asked.admitted.caller);
    let (platform, vault, parts) = (&app.platform, &asked.vault, given.ciphertext());
    let used = platform.decrypt(&context, caller, vault, &name, version, given.algorithm, &parts).await;
    let used = counted(&app, "decrypt", given.algorithm.as_str(), used)?;
    Ok(result(&asked, used, Given::plain))
}

pub(super) async fn unwrap(app: Arc<App>, mut request: Request) -> Result<Reply, Problem> {
    let (asked, name, version) = (Asked::of(&request)?, name(&request)?, version(&request)?);
    query(&request)?;
    let given = Operation::of(&mut request).await?;
    let (context, caller) = (app.context(&request.head), &asked.admitted.caller);
    let (platform, vault, parts) = (&app.platform, &asked.vault, given.ciphertext());
    let used = platform.unwrap_key(&context, caller, vault, &name, version, given.algorithm, &parts).await;
    let used = counted(&app, "unwrap", given.algorithm.as_str(), used)?;
    Ok(result(&asked, used, Given::plain))
}

pub(super) async fn random(app: Arc<App>, mut request: Request) -> Result<Reply, Problem> {
    let asked = Asked::of(&request)?;
    query(&request)?;
    let given = body(&mut request, &BODY, wire::RandomRequest::parse).await?;
    let count = usize::try_from(given.count).unwrap_or(usize::MAX);
    let context = app.context(&request.head);
    let made = app.platform.random_bytes(&context, &asked.admitted.caller, &asked.vault, count).await;
    let made = counted(&app, "random", "none", made)?;
    let value = SecretOctets::new(made.bytes.expose(Reason::Answer).to_vec());
    Ok(Reply::wiped_json(Success::Ok, wire::RandomBytes { value }.to_json()))
}

fn signature(name: &str) -> Result<SignatureAlgorithm, Problem> {
    SignatureAlgorithm::parse(name)
        .ok_or_else(|| unknown(SignatureAlgorithm::ALL.iter().map(|algorithm| algorithm.as_str())))
}

fn unknown(known: impl Iterator<Item = &'static str>) -> Problem {
    bad(format!("the member `alg` must be one of {}", known.collect::<Vec<_>>().join(", ")))
}

/// A request to encrypt, decrypt, wrap or unwrap.
struct Operation {
    algorithm: EncryptionAlgorithm,
    given: wire::OperationRequest,
}

impl Operation {
    async fn of(request: &mut Request) -> Result<Self, Problem> {
        let given = body(request, &BODY, wire::OperationRequest::parse).await?;
        let algorithm = EncryptionAlgorithm::parse(&given.alg)
            .ok_or_else(|| unknown(EncryptionAlgorithm::ALL.iter().map(|algorithm| algorithm.as_str())))?;
        Ok(Self { algorithm, given })
    }

    fn plaintext(&self) -> Result<Plaintext<'_>, Problem> {
        if self.given.tag.is_some() {
            return Err(bad("the member `tag` is only for what was encrypted"));
        }
        let (iv, aad) = (self.given.iv.as_ref(), self.given.aad.as_ref());
        Ok(Plaintext {
            value: self.given.value.expose(),
            iv: iv.map(Octets::as_slice),
            aad: aad.map(Octets::as_slice),
        })
    }

    fn ciphertext(&self) -> CiphertextParts<'_> {
        CiphertextParts {
            value: self.given.value.expose(),
            iv: self.given.iv.as_ref().map(Octets::as_slice),
            tag: self.given.tag.as_ref().map(Octets::as_slice),
            aad: self.given.aad.as_ref().map(Octets::as_slice),
        }
    }
}

/// What an operation gave, in the words of the answer.
struct Given {
    value: SecretOctets,
    iv: Option<Octets>,
    tag: Option<Octets>,
    aad: Option<Octets>,
}

impl Given {
    fn of(value: SecretOctets) -> Self {
        Self { value, iv: None, tag: None, aad: None }
    }

    fn plain(plaintext: SecretBytes) -> Self {
        Self::of(SecretOctets::new(plaintext.expose(Reason::Answer).to_vec()))
    }
}

impl From<Encrypted> for Given {
    fn from(encrypted: Encrypted) -> Self {
        let Encrypted { value, iv, tag, aad } = encrypted;
        Self {
            value: SecretOctets::new(value),
            iv: iv.map(Octets),
            tag: tag.map(Octets),
            aad: aad.map(Octets),
        }
    }
}

fn result<T>(asked: &Asked, used: UsedKey<T>, given: impl Fn(T) -> Given) -> Reply {
    let kid = asked.identifier(KEYS, &used.name, Some(used.version));
    let assignment = used.assignment.to_string();
    let Given { value, iv, tag, aad } = given(used.into_result());
    let result = wire::KeyOperationResult { kid, value, iv, tag, aad };
    Reply::wiped_json(Success::Ok, result.to_json()).with_header(RBAC_ASSIGNMENT_HEADER, &assignment)
}

/// Counts what came of an operation, by words of ours only: no key and no caller is named.
pub(super) fn counted<T>(
    app: &App,
    operation: &'static str,
    algorithm: &'static str,
    result: Result<T, Error>,
) -> Result<T, Problem> {
    let outcome = result.as_ref().err().map_or("done", Error::reason);
    app.telemetry.key_used(operation, algorithm, outcome);
    result.map_err(of_vault)
}

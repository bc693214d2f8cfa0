//! Importing a key that was wrapped for the token ("bring your own key", Azure's BYOK specification).
//!
//! The member `key_hsm` carries a transfer blob: which key of this vault unwraps it, and the wrapped key. Nothing here
//! can look into it; what kind of key it is, the request says and the token proves.

use std::sync::Arc;

use vouchsafe_crypto::keys::KeyFamily;
use vouchsafe_domain::ids::{ObjectName, ObjectVersion};
use vouchsafe_domain::ports::hsm::{ByokBlob, WrappedKind};
use vouchsafe_domain::vault::{Error, WrappedKey};
use vouchsafe_wire::keyvault::key as wire;

use super::make::{attributes, curve, family, heard, release_policy};
use super::{KEYS, shown};
use crate::http::Request;
use crate::http::app::App;
use crate::http::keyvault::{Asked, bad};
use crate::http::problem::Problem;
use crate::http::refusal::of_vault;
use crate::http::reply::Reply;

pub(super) async fn import(
    app: Arc<App>,
    request: Request,
    asked: Asked,
    name: ObjectName,
    given: wire::ImportKeyRequest,
) -> Result<Reply, Problem> {
    let wire::ImportKeyRequest { key, attributes: given_attributes, tags, release_policy: policy, .. } =
        given;
    let blob = blob(&key)?;
    let (exchange, version) = exchange(&app, &asked, &blob.header.kid)?;
    let wrapped = WrappedKey {
        exchange,
        version,
        kind: kind(&key)?,
        blob: ByokBlob::new(blob.ciphertext.0).map_err(|error| of_vault(Error::from(error)))?,
        operations: key.key_ops.map(heard),
        attributes: attributes(given_attributes, tags)?,
        release_policy: policy.map(release_policy).transpose()?,
    };
    let (context, caller) = (app.context(&request.head), &asked.admitted.caller);
    let made = app.platform.import_wrapped_key(&context, caller, &asked.vault, &name, wrapped).await;
    let (head, vault) = made.map_err(of_vault)?;
    Ok(shown(&asked, &head, &vault))
}

/// The transfer blob, in the one form that there is.
fn blob(key: &wire::JsonWebKeyRequest) -> Result<wire::TransferBlob, Problem> {
    let blob = key.key_hsm.as_ref().map(wire::TransferBlob::parse);
    let blob = blob.ok_or_else(|| bad("the member `key_hsm` is missing"))?;
    let blob = blob.map_err(|error| bad(format!("the member `key_hsm` is no transfer blob: {error}")))?;
    let must = |member, value| bad(format!("the transfer blob's member `{member}` must be `{value}`"));
    if blob.schema_version != wire::TransferBlob::SCHEMA_VERSION {
        return Err(must("schema_version", wire::TransferBlob::SCHEMA_VERSION));
    }
    if blob.header.alg != wire::TransferBlob::ALG {
        return Err(must("header.alg", wire::TransferBlob::ALG));
    }
    if blob.header.enc != wire::TransferBlob::ENC {
        return Err(must("header.enc", wire::TransferBlob::ENC));
    }
    Ok(blob)
}

/// What the wrapped key is said to be; a key in parts beside it would be a second answer to the same question.
fn kind(key: &wire::JsonWebKeyRequest) -> Result<WrappedKind, Problem> {
    if !key.kty.in_token() {
        return Err(bad(
            "a key in `key_hsm` is for a token: the member `kty` must be RSA-HSM, EC-HSM or oct-HSM",
        ));
    }
    let shown = [&key.n, &key.e, &key.x, &key.y].into_iter().any(Option::is_some);
    let hidden = [&key.d, &key.p, &key.q, &key.dp, &key.dq, &key.qi, &key.k].into_iter().any(Option::is_some);
    if shown || hidden {
        return Err(bad("a key is sent in parts or in `key_hsm`, not both"));
    }
    match (family(key.kty), key.crv) {
        (KeyFamily::Ec, Some(given)) => Ok(WrappedKind::Ec(curve(given))),
        (KeyFamily::Ec, None) => Err(bad("the member `crv` must name the curve of a wrapped EC key")),
        (_, Some(_)) => Err(bad("the member `crv` is only for keys of the kind EC")),
        (KeyFamily::Rsa, None) => Ok(WrappedKind::Rsa),
        (KeyFamily::Oct, None) => Ok(WrappedKind::Oct),
    }
}

/// The key-exchange key that a `kid` names, which must stand in the vault that is asked.
fn exchange(app: &App, asked: &Asked, kid: &str) -> Result<(ObjectName, Option<ObjectVersion>), Problem> {
    let malformed = || bad("the transfer blob's member `header.kid` is not the identifier of a key");
    let (authority, path) =
        kid.strip_prefix("https://").and_then(|rest| rest.split_once('/')).ok_or_else(malformed)?;
    let mut path = path.split('/');
    let (collection, name) = (path.next(), path.next().ok_or_else(malformed)?);
    let version = path.next().filter(|version| !version.is_empty());
    if collection != Some(KEYS.live) || path.next().is_some() {
        return Err(malformed());
    }
    if app.names.vault_of(authority).as_ref() != Some(&asked.vault) {
        return Err(bad(
            "the transfer blob was made for a key of another vault: the key that unwraps stands in the vault that \
             imports",
        ));
    }
    let name = ObjectName::parse(name).map_err(|error| of_vault(error.into()))?;
    let version = version.map(ObjectVersion::parse).transpose().map_err(|error| of_vault(error.into()))?;
    Ok((name, version))
}

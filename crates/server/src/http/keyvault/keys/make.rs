//! Making, importing, reading and changing keys.

use std::sync::Arc;

use vouchsafe_crypto::SecretBytes;
use vouchsafe_crypto::keys::{ImportedKey, KeyFamily, KeySpec, PrivateKey};
use vouchsafe_domain::Fault;
use vouchsafe_domain::vault::{
    KeyAttributes, KeyOperation, KeyToCreate, KeyToImport, KeyUpdate, ReleasePolicy,
};
use vouchsafe_wire::keyvault::SecretOctets;
use vouchsafe_wire::keyvault::key as wire;

use super::{bundle, byok, shown};
use crate::http::Request;
use crate::http::app::App;
use crate::http::keyvault::{Asked, BODY, RBAC_ASSIGNMENT_HEADER, bad, body, moment, name, query, version};
use crate::http::problem::Problem;
use crate::http::refusal::of_vault;
use crate::http::reply::{Reply, Success};

/// The public exponent that every key here has, and the only one that may be asked for.
const PUBLIC_EXPONENT: u64 = 65_537;

pub(super) async fn create(app: Arc<App>, mut request: Request) -> Result<Reply, Problem> {
    let (asked, name) = (Asked::of(&request)?, name(&request)?);
    query(&request)?;
    let given = body(&mut request, &BODY, wire::CreateKeyRequest::parse).await?;
    let wanted = KeyToCreate {
        spec: spec(&given)?,
        in_token: given.kty.in_token(),
        operations: given.key_ops.map(heard),
        attributes: attributes(given.attributes, given.tags)?,
        release_policy: given.release_policy.map(release_policy).transpose()?,
    };
    let context = app.context(&request.head);
    let made = app.platform.create_key(&context, &asked.admitted.caller, &asked.vault, &name, &wanted).await;
    let (head, vault) = made.map_err(of_vault)?;
    Ok(shown(&asked, &head, &vault))
}

pub(super) async fn import(app: Arc<App>, mut request: Request) -> Result<Reply, Problem> {
    let (asked, name) = (Asked::of(&request)?, name(&request)?);
    query(&request)?;
    let given = body(&mut request, &BODY, wire::ImportKeyRequest::parse).await?;
    if given.key.key_hsm.is_some() {
        return byok::import(app, request, asked, name, given).await;
    }
    let in_token = given.hsm.unwrap_or(false) || given.key.kty.in_token();
    let operations = given.key.key_ops.clone().map(heard);
    let attributes = attributes(given.attributes, given.tags)?;
    let release_policy = given.release_policy.map(release_policy).transpose()?;
    let parts = parts(given.key)?;
    let (context, caller, vault) = (app.context(&request.head), &asked.admitted.caller, &asked.vault);
    // SECURITY: nobody without the role makes this server look for prime numbers.
    app.platform.may_import_key(&context, caller, vault, &name).await.map_err(of_vault)?;
    // Whether two numbers are prime is looked at before they are used, and that takes a while.
    let read = tokio::task::spawn_blocking(move || PrivateKey::from_components(parts)).await;
    let read = read.map_err(|error| of_vault(Fault::Broken(error.to_string()).into()))?;
    let key = read.map_err(|refused| bad(refused.to_string()))?;
    let wanted = KeyToImport { key, in_token, operations, attributes, release_policy };
    let made = app.platform.import_key(&context, caller, vault, &name, wanted).await;
    let (head, vault) = made.map_err(of_vault)?;
    Ok(shown(&asked, &head, &vault))
}

pub(super) async fn get(app: Arc<App>, request: Request) -> Result<Reply, Problem> {
    let (asked, name, version) = (Asked::of(&request)?, name(&request)?, version(&request)?);
    query(&request)?;
    let context = app.context(&request.head);
    let read = app.platform.get_key(&context, &asked.admitted.caller, &asked.vault, &name, version).await;
    let read = read.map_err(of_vault)?;
    let reply = Reply::json(Success::Ok, &bundle(&asked, &read.name, &read.version, &read.vault));
    Ok(reply.with_header(RBAC_ASSIGNMENT_HEADER, &read.assignment.to_string()))
}

pub(super) async fn update(app: Arc<App>, mut request: Request) -> Result<Reply, Problem> {
    let (asked, name, version) = (Asked::of(&request)?, name(&request)?, version(&request)?);
    query(&request)?;
    let given = body(&mut request, &BODY, wire::UpdateKeyRequest::parse).await?;
    let attributes = given.attributes.unwrap_or_default();
    let update = KeyUpdate {
        disabled: attributes.enabled.map(|enabled| !enabled),
        not_before: moment("nbf", attributes.nbf)?,
        expires: moment("exp", attributes.exp)?,
        // A client that has no operations to change sends an empty list; a key without any would be good for nothing.
        operations: given.key_ops.filter(|operations| !operations.is_empty()).map(heard),
        release_policy: given.release_policy.map(release_policy).transpose()?,
        tags: given.tags,
    };
    let context = app.context(&request.head);
    let (caller, vault) = (&asked.admitted.caller, &asked.vault);
    let updated = app.platform.update_key(&context, caller, vault, &name, version, &update).await;
    let (name, version, vault) = updated.map_err(of_vault)?;
    Ok(Reply::json(Success::Ok, &bundle(&asked, &name, &version, &vault)))
}

/// What kind of key is asked for; what a kind does not have must not be there.
fn spec(given: &wire::CreateKeyRequest) -> Result<KeySpec, Problem> {
    let family = family(given.kty);
    if given.crv.is_some() && family != KeyFamily::Ec {
        return Err(bad("the member `crv` is only for keys of the kind EC"));
    }
    // A client that has no exponent to say says 0.
    let exponent = given.public_exponent.filter(|exponent| *exponent != 0);
    if exponent.is_some_and(|exponent| exponent != PUBLIC_EXPONENT || family != KeyFamily::Rsa) {
        return Err(bad(format!("the member `public_exponent` may only be {PUBLIC_EXPONENT}, for RSA keys")));
    }
    match (family, given.key_size) {
        (KeyFamily::Rsa, None | Some(2048)) => Ok(KeySpec::Rsa2048),
        (KeyFamily::Rsa, Some(3072)) => Ok(KeySpec::Rsa3072),
        (KeyFamily::Rsa, Some(4096)) => Ok(KeySpec::Rsa4096),
        (KeyFamily::Rsa, Some(_)) => {
            Err(bad("the member `key_size` of an RSA key must be 2048, 3072 or 4096"))
        }
        (KeyFamily::Oct, Some(128)) => Ok(KeySpec::Oct128),
        (KeyFamily::Oct, Some(192)) => Ok(KeySpec::Oct192),
        (KeyFamily::Oct, None | Some(256)) => Ok(KeySpec::Oct256),
        (KeyFamily::Oct, Some(_)) => {
            Err(bad("the member `key_size` of a symmetric key must be 128, 192 or 256"))
        }
        (KeyFamily::Ec, size) => {
            let spec = curve(given.crv.unwrap_or(wire::Curve::P256));
            let fits = size.is_none_or(|size| usize::try_from(size).is_ok_and(|size| size == spec.bits()));
            if fits { Ok(spec) } else { Err(bad("the member `key_size` is not the size of the curve")) }
        }
    }
}

pub(in crate::http::keyvault) const fn family(kty: wire::KeyType) -> KeyFamily {
    match kty {
        wire::KeyType::Rsa | wire::KeyType::RsaHsm => KeyFamily::Rsa,
        wire::KeyType::Ec | wire::KeyType::EcHsm => KeyFamily::Ec,
        wire::KeyType::Oct | wire::KeyType::OctHsm => KeyFamily::Oct,
    }
}

pub(in crate::http::keyvault) const fn curve(curve: wire::Curve) -> KeySpec {
    match curve {
        wire::Curve::P256 => KeySpec::P256,
        wire::Curve::P384 => KeySpec::P384,
        wire::Curve::P521 => KeySpec::P521,
        wire::Curve::P256K => KeySpec::P256K,
    }
}

pub(super) fn heard(operations: Vec<wire::KeyOperation>) -> Vec<KeyOperation> {
    let heard = |operation| match operation {
        wire::KeyOperation::Encrypt => KeyOperation::Encrypt,
        wire::KeyOperation::Decrypt => KeyOperation::Decrypt,
        wire::KeyOperation::Sign => KeyOperation::Sign,
        wire::KeyOperation::Verify => KeyOperation::Verify,
        wire::KeyOperation::WrapKey => KeyOperation::WrapKey,
        wire::KeyOperation::UnwrapKey => KeyOperation::UnwrapKey,
        wire::KeyOperation::Import => KeyOperation::Import,
        wire::KeyOperation::Export => KeyOperation::Export,
    };
    operations.into_iter().map(heard).collect()
}

pub(super) fn attributes(
    given: Option<wire::KeyAttributesRequest>,
    tags: Option<std::collections::BTreeMap<String, String>>,
) -> Result<KeyAttributes, Problem> {
    let given = given.unwrap_or_default();
    Ok(KeyAttributes {
        disabled: given.enabled == Some(false),
        not_before: moment("nbf", given.nbf)?,
        expires: moment("exp", given.exp)?,
        exportable: given.exportable == Some(true),
        tags: tags.unwrap_or_default(),
    })
}

pub(super) fn release_policy(given: wire::ReleasePolicy) -> Result<ReleasePolicy, Problem> {
    let data = given.data.ok_or_else(|| bad("the member `release_policy.data` is missing"))?.0;
    Ok(ReleasePolicy { content_type: given.content_type, data, immutable: given.immutable == Some(true) })
}

/// The parts of a key, in the words of those who look at them.
fn parts(key: wire::JsonWebKeyRequest) -> Result<ImportedKey, Problem> {
    let secret = |octets: Option<SecretOctets>| {
        octets.map(|octets| SecretBytes::new(std::mem::take(&mut *octets.into_exposed())))
    };
    Ok(ImportedKey {
        family: family(key.kty),
        curve: key.crv.map(curve),
        n: key.n.map(|n| n.0),
        e: key.e.map(|e| e.0),
        d: secret(key.d),
        p: secret(key.p),
        q: secret(key.q),
        dp: secret(key.dp),
        dq: secret(key.dq),
        qi: secret(key.qi),
        x: key.x.map(|x| x.0),
        y: key.y.map(|y| y.0),
        k: secret(key.k),
    })
}

//! Keys (wire facts §7.1): routes and bundles. What makes keys is in `make`, what takes wrapped ones over in `byok`, what uses them in `operate`, what lists,
//! deletes and brings them back in `life`, what attests them in `attest`, what replaces them in `rotation`.

mod attest;
mod byok;
mod life;
mod make;
mod operate;
mod release;
mod rotation;

use http::Method;
use vouchsafe_crypto::keys::{KeyFamily, KeySpec, PublicKey};
use vouchsafe_domain::ids::{ObjectName, ObjectVersion};
use vouchsafe_domain::resource::Vault;
use vouchsafe_domain::vault::{DeletedKey, KeyHead, KeyOperation, KeyVersion, ReleasePolicy};
use vouchsafe_wire::keyvault::Octets;
use vouchsafe_wire::keyvault::key as wire;

pub(super) use make::{curve as heard_curve, family};

use super::{Asked, Collection, Life, route, seconds, shown_tags};
use crate::http::app::App;
use crate::http::reply::{Reply, Success};
use crate::http::route::Route;
use crate::http::{Handler, answer};

pub(super) const KEYS: Collection = Collection { live: "keys", deleted: "deletedkeys" };

pub(super) fn routes() -> Vec<Route<Handler<App>>> {
    const ONE: &str = "/keys/{name}";
    const VERSION: &str = "/keys/{name}/{version?}";
    const POLICY: &str = "/keys/{name}/rotationpolicy";
    const DELETED: &str = "/deletedkeys/{name}";
    const RECOVER: &str = "/deletedkeys/{name}/recover";
    vec![
        route(Method::POST, "/keys/{name}/create", "key_create", |app, r| answer(make::create(app, r))),
        route(Method::PUT, ONE, "key_import", |app, r| answer(make::import(app, r))),
        route(Method::GET, VERSION, "key_get", |app, r| answer(make::get(app, r))),
        route(Method::GET, "/keys/{name}/{version?}/attestation", "key_attestation", |app, r| {
            answer(attest::attest(app, r))
        }),
        route(Method::PATCH, VERSION, "key_update", |app, r| answer(make::update(app, r))),
        route(Method::DELETE, ONE, "key_delete", |app, r| answer(life::delete(app, r))),
        route(Method::GET, "/keys", "key_list", |app, r| answer(life::list(app, r))),
        route(Method::GET, "/keys/{name}/versions", "key_versions", |app, r| answer(life::versions(app, r))),
        route(Method::POST, "/keys/{name}/backup", "key_backup", |app, r| answer(life::backup(app, r))),
        route(Method::POST, "/keys/restore", "key_restore", |app, r| answer(life::restore(app, r))),
        route(Method::POST, "/keys/{name}/rotate", "key_rotate", |app, r| answer(rotation::rotate(app, r))),
        route(Method::GET, POLICY, "key_rotation_policy_get", |app, r| answer(rotation::get(app, r))),
        route(Method::PUT, POLICY, "key_rotation_policy_set", |app, r| answer(rotation::set(app, r))),
        route(Method::POST, "/keys/{name}/{version?}/encrypt", "key_encrypt", |app, r| {
            answer(operate::encrypt(app, r))
        }),
        route(Method::POST, "/keys/{name}/{version?}/decrypt", "key_decrypt", |app, r| {
            answer(operate::decrypt(app, r))
        }),
        route(Method::POST, "/keys/{name}/{version?}/sign", "key_sign", |app, r| {
            answer(operate::sign(app, r))
        }),
        route(Method::POST, "/keys/{name}/{version?}/verify", "key_verify", |app, r| {
            answer(operate::verify(app, r))
        }),
        route(Method::POST, "/keys/{name}/{version?}/wrapkey", "key_wrap", |app, r| {
            answer(operate::wrap(app, r))
        }),
        route(Method::POST, "/keys/{name}/{version?}/unwrapkey", "key_unwrap", |app, r| {
            answer(operate::unwrap(app, r))
        }),
        route(Method::POST, "/keys/{name}/{version?}/release", "key_release", |app, r| {
            answer(release::release(app, r))
        }),
        route(Method::POST, "/rng", "random_bytes", |app, r| answer(operate::random(app, r))),
        route(Method::GET, "/deletedkeys", "deleted_key_list", |app, r| answer(life::list_deleted(app, r))),
        route(Method::GET, DELETED, "deleted_key_get", |app, r| answer(life::get_deleted(app, r))),
        route(Method::DELETE, DELETED, "deleted_key_purge", |app, r| answer(life::purge(app, r))),
        route(Method::POST, RECOVER, "deleted_key_recover", |app, r| answer(life::recover(app, r))),
    ]
}

fn attributes(version: &KeyVersion, vault: &Vault) -> wire::KeyAttributes {
    let life = Life {
        disabled: version.attributes.disabled,
        not_before: version.attributes.not_before,
        expires: version.attributes.expires,
        created: version.created,
        updated: version.updated,
    };
    wire::KeyAttributes {
        common: life.shown(vault),
        exportable: Some(version.attributes.exportable),
        hsm_platform: Some(if version.in_token { "1" } else { "0" }.to_owned()),
        attestation: None,
    }
}

pub(super) const fn kind(spec: KeySpec, in_token: bool) -> wire::KeyType {
    match (spec.family(), in_token) {
        (KeyFamily::Rsa, false) => wire::KeyType::Rsa,
        (KeyFamily::Rsa, true) => wire::KeyType::RsaHsm,
        (KeyFamily::Ec, false) => wire::KeyType::Ec,
        (KeyFamily::Ec, true) => wire::KeyType::EcHsm,
        (KeyFamily::Oct, false) => wire::KeyType::Oct,
        (KeyFamily::Oct, true) => wire::KeyType::OctHsm,
    }
}

pub(super) const fn curve(spec: KeySpec) -> Option<wire::Curve> {
    match spec {
        KeySpec::P256 => Some(wire::Curve::P256),
        KeySpec::P384 => Some(wire::Curve::P384),
        KeySpec::P521 => Some(wire::Curve::P521),
        KeySpec::P256K => Some(wire::Curve::P256K),
        _ => None,
    }
}

const fn said(operation: KeyOperation) -> wire::KeyOperation {
    match operation {
        KeyOperation::Encrypt => wire::KeyOperation::Encrypt,
        KeyOperation::Decrypt => wire::KeyOperation::Decrypt,
        KeyOperation::Sign => wire::KeyOperation::Sign,
        KeyOperation::Verify => wire::KeyOperation::Verify,
        KeyOperation::WrapKey => wire::KeyOperation::WrapKey,
        KeyOperation::UnwrapKey => wire::KeyOperation::UnwrapKey,
        KeyOperation::Import => wire::KeyOperation::Import,
        KeyOperation::Export => wire::KeyOperation::Export,
    }
}

fn web_key(asked: &Asked, name: &ObjectName, version: &KeyVersion) -> wire::JsonWebKey {
    let (mut n, mut e, mut x, mut y) = (None, None, None, None);
    match &version.public {
        Some(PublicKey::Rsa { n: modulus, e: exponent }) => {
            n = Some(Octets(modulus.clone()));
            e = Some(Octets(exponent.clone()));
        }
        Some(PublicKey::Ec { x: first, y: second, .. }) => {
            x = Some(Octets(first.clone()));
            y = Some(Octets(second.clone()));
        }
        None => {}
    }
    wire::JsonWebKey {
        kid: asked.identifier(KEYS, name, Some(version.version)),
        kty: kind(version.spec, version.in_token),
        key_ops: version.operations.iter().copied().map(said).collect(),
        n,
        e,
        crv: curve(version.spec),
        x,
        y,
        key_hsm: None,
    }
}

fn shown_policy(policy: &ReleasePolicy) -> wire::ReleasePolicy {
    wire::ReleasePolicy {
        content_type: policy.content_type.clone(),
        immutable: Some(policy.immutable),
        data: Some(Octets(policy.data.clone())),
    }
}

fn bundle(asked: &Asked, name: &ObjectName, version: &KeyVersion, vault: &Vault) -> wire::KeyBundle {
    wire::KeyBundle {
        key: web_key(asked, name, version),
        attributes: attributes(version, vault),
        tags: shown_tags(&version.attributes.tags),
        managed: version.managed.then_some(true),
        release_policy: version.release_policy.as_ref().map(shown_policy),
    }
}

fn shown(asked: &Asked, head: &KeyHead, vault: &Vault) -> Reply {
    Reply::json(Success::Ok, &bundle(asked, &head.name, &head.current, vault))
}

fn item(
    asked: &Asked,
    name: &ObjectName,
    shown: Option<ObjectVersion>,
    version: &KeyVersion,
    vault: &Vault,
) -> wire::KeyItem {
    wire::KeyItem {
        kid: asked.identifier(KEYS, name, shown),
        attributes: attributes(version, vault),
        tags: shown_tags(&version.attributes.tags),
        managed: version.managed.then_some(true),
    }
}

fn deleted_bundle(asked: &Asked, deleted: &DeletedKey, vault: &Vault) -> wire::DeletedKeyBundle {
    wire::DeletedKeyBundle {
        recovery_id: asked.recovery_id(KEYS, &deleted.head.name),
        deleted_date: seconds(deleted.deleted),
        scheduled_purge_date: seconds(deleted.purge_due),
        bundle: bundle(asked, &deleted.head.name, &deleted.head.current, vault),
    }
}

fn deleted_item(asked: &Asked, deleted: &DeletedKey, vault: &Vault) -> wire::DeletedKeyItem {
    wire::DeletedKeyItem {
        recovery_id: asked.recovery_id(KEYS, &deleted.head.name),
        deleted_date: seconds(deleted.deleted),
        scheduled_purge_date: seconds(deleted.purge_due),
        item: item(asked, &deleted.head.name, None, &deleted.head.current, vault),
    }
}

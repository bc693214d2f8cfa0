//! Certificates (wire facts §7.1, §7.3): routes and bundles. What makes certificates is in `make`, the operations that
//! clients poll in `pending`, what lists, deletes and brings back in `life`, who issues them and who is told in
//! `issuers`, and how policies are heard and said in `policy`.

mod issuers;
mod life;
mod make;
mod pending;
mod policy;

use http::Method;
use vouchsafe_domain::ids::{ObjectName, ObjectVersion};
use vouchsafe_domain::resource::Vault;
use vouchsafe_domain::vault::certificate::{
    CertificateAttributes, CertificatePolicy, CertificateVersion, DeletedCertificate, ReadCertificate,
};
use vouchsafe_wire::keyvault::certificate as wire;
use vouchsafe_wire::keyvault::{Attributes, AttributesRequest, Octets};

use super::keys::KEYS;
use super::secrets::SECRETS;
use super::{Asked, Collection, Life, RBAC_ASSIGNMENT_HEADER, route, seconds, shown_tags};
use crate::http::app::App;
use crate::http::reply::{Reply, Success};
use crate::http::route::Route;
use crate::http::{Handler, answer};

const CERTIFICATES: Collection = Collection { live: "certificates", deleted: "deletedcertificates" };

pub(super) fn routes() -> Vec<Route<Handler<App>>> {
    let mut routes = of_objects();
    routes.extend(of_vaults());
    routes
}

fn of_objects() -> Vec<Route<Handler<App>>> {
    const ONE: &str = "/certificates/{name}";
    const VERSION: &str = "/certificates/{name}/{version?}";
    const POLICY: &str = "/certificates/{name}/policy";
    const PENDING: &str = "/certificates/{name}/pending";
    const DELETED: &str = "/deletedcertificates/{name}";
    vec![
        route(Method::POST, "/certificates/{name}/create", "certificate_create", |app, r| {
            answer(make::create(app, r))
        }),
        route(Method::POST, "/certificates/{name}/import", "certificate_import", |app, r| {
            answer(make::import(app, r))
        }),
        route(Method::GET, VERSION, "certificate_get", |app, r| answer(make::get(app, r))),
        route(Method::PATCH, VERSION, "certificate_update", |app, r| answer(make::update(app, r))),
        route(Method::POST, "/certificates/{name}/{version?}/revoke", "certificate_revoke", |app, r| {
            answer(make::revoke(app, r))
        }),
        route(Method::GET, POLICY, "certificate_policy_get", |app, r| answer(make::get_policy(app, r))),
        route(Method::PATCH, POLICY, "certificate_policy_update", |app, r| {
            answer(make::update_policy(app, r))
        }),
        route(Method::GET, PENDING, "certificate_pending_get", |app, r| answer(pending::get(app, r))),
        route(Method::PATCH, PENDING, "certificate_pending_update", |app, r| answer(pending::update(app, r))),
        route(Method::DELETE, PENDING, "certificate_pending_delete", |app, r| {
            answer(pending::delete(app, r))
        }),
        route(Method::POST, "/certificates/{name}/pending/merge", "certificate_merge", |app, r| {
            answer(pending::merge(app, r))
        }),
        route(Method::DELETE, ONE, "certificate_delete", |app, r| answer(life::delete(app, r))),
        route(Method::GET, "/certificates", "certificate_list", |app, r| answer(life::list(app, r))),
        route(Method::GET, "/certificates/{name}/versions", "certificate_versions", |app, r| {
            answer(life::versions(app, r))
        }),
        route(Method::POST, "/certificates/{name}/backup", "certificate_backup", |app, r| {
            answer(life::backup(app, r))
        }),
        route(Method::POST, "/certificates/restore", "certificate_restore", |app, r| {
            answer(life::restore(app, r))
        }),
        route(Method::GET, "/deletedcertificates", "deleted_certificate_list", |app, r| {
            answer(life::list_deleted(app, r))
        }),
        route(Method::GET, DELETED, "deleted_certificate_get", |app, r| answer(life::get_deleted(app, r))),
        route(Method::DELETE, DELETED, "deleted_certificate_purge", |app, r| answer(life::purge(app, r))),
        route(
            Method::POST,
            "/deletedcertificates/{name}/recover",
            "deleted_certificate_recover",
            |app, r| answer(life::recover(app, r)),
        ),
    ]
}

/// What belongs to the vault as a whole; these words are found before the names of certificates.
fn of_vaults() -> Vec<Route<Handler<App>>> {
    const CONTACTS: &str = "/certificates/contacts";
    const ISSUERS: &str = "/certificates/issuers";
    const ISSUER: &str = "/certificates/issuers/{name}";
    vec![
        route(Method::GET, CONTACTS, "certificate_contacts_get", |app, r| {
            answer(issuers::get_contacts(app, r))
        }),
        route(Method::PUT, CONTACTS, "certificate_contacts_set", |app, r| {
            answer(issuers::set_contacts(app, r))
        }),
        route(Method::DELETE, CONTACTS, "certificate_contacts_delete", |app, r| {
            answer(issuers::delete_contacts(app, r))
        }),
        route(Method::GET, ISSUERS, "certificate_issuer_list", |app, r| answer(issuers::list(app, r))),
        route(Method::GET, ISSUER, "certificate_issuer_get", |app, r| answer(issuers::get(app, r))),
        route(Method::PUT, ISSUER, "certificate_issuer_set", |app, r| answer(issuers::set(app, r))),
        route(Method::PATCH, ISSUER, "certificate_issuer_update", |app, r| answer(issuers::update(app, r))),
        route(Method::DELETE, ISSUER, "certificate_issuer_delete", |app, r| answer(issuers::delete(app, r))),
    ]
}

/// What a caller may set; `nbf` and `exp` come back from clients that send what they read, and are the certificate's own.
fn heard_attributes(
    given: Option<AttributesRequest>,
    tags: Option<std::collections::BTreeMap<String, String>>,
) -> CertificateAttributes {
    let disabled = given.and_then(|given| given.enabled) == Some(false);
    CertificateAttributes { disabled, tags: tags.unwrap_or_default() }
}

fn attributes(version: &CertificateVersion, vault: &Vault) -> Attributes {
    let life = Life {
        // What is not there yet cannot be used.
        disabled: version.attributes.disabled || !version.is_issued(),
        not_before: version.not_before,
        expires: version.expires,
        created: version.created,
        updated: version.updated,
    };
    life.shown(vault)
}

fn pending_id(asked: &Asked, name: &ObjectName) -> String {
    format!("{}/pending", asked.identifier(CERTIFICATES, name, None))
}

fn bundle(
    asked: &Asked,
    name: &ObjectName,
    version: &CertificateVersion,
    vault: &Vault,
    policy: Option<&CertificatePolicy>,
    has_pending: bool,
) -> wire::CertificateBundle {
    let of_version =
        |collection| version.is_issued().then(|| asked.identifier(collection, name, Some(version.version)));
    wire::CertificateBundle {
        id: asked.identifier(CERTIFICATES, name, Some(version.version)),
        kid: of_version(KEYS),
        sid: of_version(SECRETS),
        x5t: version.thumbprint().map(|digest| Octets(digest.to_vec())),
        cer: version.leaf().map(|leaf| wire::Der(leaf.to_vec())),
        content_type: Some(version.content_type.as_str().to_owned()),
        attributes: attributes(version, vault),
        tags: shown_tags(&version.attributes.tags),
        policy: policy.map(|policy| policy::said(asked, name, policy)),
        pending: has_pending.then(|| wire::PendingLink { id: pending_id(asked, name) }),
        preserve_cert_order: Some(version.preserve_order),
    }
}

/// A certificate with all that belongs to it.
fn shown(success: Success, asked: &Asked, read: &ReadCertificate) -> Reply {
    let ReadCertificate { name, version, policy, has_pending, vault, assignment } = read;
    let bundle = bundle(asked, name, version, vault, policy.as_ref(), *has_pending);
    Reply::json(success, &bundle).with_header(RBAC_ASSIGNMENT_HEADER, &assignment.to_string())
}

fn item(
    asked: &Asked,
    name: &ObjectName,
    shown: Option<ObjectVersion>,
    version: &CertificateVersion,
    vault: &Vault,
) -> wire::CertificateItem {
    let leaf = version.leaf().and_then(|leaf| vouchsafe_crypto::pki::ParsedCertificate::from_der(leaf).ok());
    wire::CertificateItem {
        id: asked.identifier(CERTIFICATES, name, shown),
        x5t: version.thumbprint().map(|digest| Octets(digest.to_vec())),
        attributes: attributes(version, vault),
        subject: leaf.map(|leaf| leaf.subject().to_string()),
        tags: shown_tags(&version.attributes.tags),
    }
}

fn deleted_bundle(
    asked: &Asked,
    deleted: &DeletedCertificate,
    vault: &Vault,
    policy: Option<&CertificatePolicy>,
) -> wire::DeletedCertificateBundle {
    let (name, current) = (&deleted.head.name, &deleted.head.current);
    wire::DeletedCertificateBundle {
        recovery_id: asked.recovery_id(CERTIFICATES, name),
        deleted_date: seconds(deleted.deleted),
        scheduled_purge_date: seconds(deleted.purge_due),
        bundle: bundle(asked, name, current, vault, policy, false),
    }
}

fn deleted_item(asked: &Asked, deleted: &DeletedCertificate, vault: &Vault) -> wire::DeletedCertificateItem {
    let (name, current) = (&deleted.head.name, &deleted.head.current);
    wire::DeletedCertificateItem {
        recovery_id: asked.recovery_id(CERTIFICATES, name),
        deleted_date: seconds(deleted.deleted),
        scheduled_purge_date: seconds(deleted.purge_due),
        item: item(asked, name, None, current, vault),
    }
}

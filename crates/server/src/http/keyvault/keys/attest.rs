//! Key attestation (wire facts §7.1, 7.6): the key, and signed statements of what its token says of it.

use std::sync::Arc;

use vouchsafe_crypto::keys::KeyFamily;
use vouchsafe_crypto::pki::to_pem;
use vouchsafe_domain::vault::{KeyHalf, KeyOnAttestation};
use vouchsafe_wire::keyvault::Octets;
use vouchsafe_wire::keyvault::key as wire;

use super::{bundle, web_key};
use crate::http::Request;
use crate::http::app::App;
use crate::http::keyvault::{Asked, RBAC_ASSIGNMENT_HEADER, name, query, version};
use crate::http::problem::Problem;
use crate::http::refusal::of_vault;
use crate::http::reply::{Reply, Success};

pub(super) async fn attest(app: Arc<App>, request: Request) -> Result<Reply, Problem> {
    let (asked, name, version) = (Asked::of(&request)?, name(&request)?, version(&request)?);
    query(&request)?;
    let write = |key: &KeyOnAttestation, half| statement(&asked, key, half).to_json();
    let (context, caller) = (app.context(&request.head), &asked.admitted.caller);
    let attested = app.platform.attest_key(&context, caller, &asked.vault, &name, version, &write).await;
    let attested = attested.map_err(of_vault)?;
    let mut bundle = bundle(&asked, &attested.key.name, &attested.key.version, &attested.key.vault);
    bundle.attributes.attestation = Some(wire::Attestation {
        certificate_pem_file: Some(Octets(to_pem("CERTIFICATE", &attested.certificate).into_bytes())),
        private_key_attestation: Some(Octets(attested.secret.into_bytes())),
        public_key_attestation: attested.public.map(|public| Octets(public.into_bytes())),
        version: Some(wire::KeyStatement::VERSION.to_owned()),
    });
    let reply = Reply::json(Success::Ok, &bundle);
    Ok(reply.with_header(RBAC_ASSIGNMENT_HEADER, &attested.assignment.to_string()))
}

fn statement(asked: &Asked, key: &KeyOnAttestation, half: KeyHalf) -> wire::KeyStatement {
    let web_key = web_key(asked, &key.name, &key.version);
    let said = &key.said;
    wire::KeyStatement {
        iss: key.issuer.clone(),
        iat: key.read,
        kid: web_key.kid.clone(),
        vault: key.vault.name.to_string(),
        key: web_key,
        token: wire::StatedToken {
            manufacturer: said.manufacturer.clone(),
            model: said.model.clone(),
            serial_number: said.serial.clone(),
            label: said.label.clone(),
        },
        attributes: stated(key, half),
    }
}

/// The kind and the size are what the key was remembered with and the token confirmed.
fn stated(key: &KeyOnAttestation, half: KeyHalf) -> Option<wire::StatedAttributes> {
    let (object, spec) = (key.of(half)?, key.version.spec);
    let (secret, key_type) = match spec.family() {
        KeyFamily::Rsa => ("CKO_PRIVATE_KEY", "CKK_RSA"),
        KeyFamily::Ec => ("CKO_PRIVATE_KEY", "CKK_EC"),
        KeyFamily::Oct => ("CKO_SECRET_KEY", "CKK_AES"),
    };
    let class = if half == KeyHalf::Public { "CKO_PUBLIC_KEY" } else { secret };
    Some(wire::StatedAttributes {
        class: class.to_owned(),
        key_type: key_type.to_owned(),
        modulus_bits: (spec.family() == KeyFamily::Rsa).then(|| spec.bits()),
        value_len: (spec.family() == KeyFamily::Oct).then(|| spec.bytes()),
        id: Octets(key.said.id.clone()),
        token: object.token,
        private: object.private,
        sensitive: object.sensitive,
        always_sensitive: object.always_sensitive,
        extractable: object.extractable,
        never_extractable: object.never_extractable,
        local: object.local,
    })
}

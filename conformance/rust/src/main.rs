//! Runs scenarios of `conformance/scenarios.toml` by their names, several at once, inside the process that the agent attests.
//!
//! The clients are Microsoft's crates as published. The world (addresses, names, ids, files) is the JSON file that
//! `CONFORMANCE_WORLD` names; `conformance/run.py` writes it, reads the verdicts and compares them with the known gaps.

mod certificate_keys;
mod certificates;
mod cryptography;
mod identities;
mod key_release;
mod keys;
mod keys_in_a_token;
mod lists;
mod recording;
mod refusals;
mod secrets;
mod world;

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, bail};
use futures_util::{StreamExt, stream};

use crate::world::World;

const AT_ONCE: usize = 6;

#[tokio::main]
async fn main() -> ExitCode {
    let passed: Vec<bool> =
        stream::iter(std::env::args().skip(1)).map(judged).buffer_unordered(AT_ONCE).collect().await;
    if passed.contains(&false) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Runs one scenario and prints its verdict.
async fn judged(name: String) -> bool {
    let started = Instant::now();
    let said = run(&name).await.err().map(|error| format!("{error:?}"));
    let passed = said.is_none();
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "{}",
        serde_json::json!({ "scenario": name, "passed": passed, "seconds": seconds, "said": said })
    );
    passed
}

async fn run(name: &str) -> Result<()> {
    let world = &World::read()?;
    match name {
        "managed-identity-app-service" => identities::app_service(world).await,
        "managed-identity-proxy-only" => identities::proxy_only(world).await,
        "managed-identity-by-client-id" => identities::by_client_id(world).await,
        "managed-identity-of-another-is-refused" => identities::of_another_is_refused(world).await,
        "unattested-process-gets-no-token" => identities::unattested_process_gets_no_token().await,
        "token-for-another-audience" => identities::token_for_another_audience(world).await,
        "certificate-credential" => identities::certificate_credential(world).await,
        "certificate-credential-own-authority" => {
            identities::certificate_credential_own_authority(world).await
        }
        "unregistered-certificate-is-refused" => identities::unregistered_certificate_is_refused(world).await,
        "secret-set-and-get" => secrets::set_and_get(world).await,
        "secret-attributes" => secrets::attributes(world).await,
        "secret-odd-values" => secrets::odd_values(world).await,
        "secret-too-long-is-refused" => secrets::too_long_is_refused(world).await,
        "secret-versions" => secrets::versions(world).await,
        "secret-update" => secrets::update(world).await,
        "secret-list-over-pages" => secrets::list_over_pages(world).await,
        "secret-not-found" => secrets::not_found(world).await,
        "secret-delete-and-recover" => secrets::delete_and_recover(world).await,
        "secret-purge" => secrets::purge(world).await,
        "secret-deleted-list-over-pages" => secrets::deleted_list_over_pages(world).await,
        "secret-name-of-a-deleted-one-is-taken" => secrets::name_of_a_deleted_one_is_taken(world).await,
        "secret-backup-and-restore" => secrets::backup_and_restore(world).await,
        "secret-restore-onto-itself-is-refused" => secrets::restore_onto_itself_is_refused(world).await,
        "secret-damaged-backup-is-refused" => secrets::damaged_backup_is_refused(world).await,
        "secret-disabled-cannot-be-read" => secrets::disabled_cannot_be_read(world).await,
        "secret-outside-its-dates-can-be-read" => secrets::outside_its_dates_can_be_read(world).await,
        "no-role-names-the-data-action" => refusals::no_role_names_the_data_action(world).await,
        "reader-cannot-write" => refusals::reader_cannot_write(world).await,
        "role-on-one-vault-is-no-role-on-another" => {
            refusals::role_on_one_vault_is_no_role_on_another(world).await
        }
        "unknown-vault" => refusals::unknown_vault(world).await,
        "async-many-at-once" => secrets::many_at_once(world).await,
        "key-create-rsa" => keys::create_rsa(world).await,
        "key-create-with-nothing-said" => keys::create_with_nothing_said(world).await,
        "key-create-ec" => keys::create_ec(world).await,
        "key-create-symmetric" => keys::create_symmetric(world).await,
        "key-create-of-a-wrong-size-is-refused" => keys::create_of_a_wrong_size_is_refused(world).await,
        "key-of-an-hsm-in-a-standard-vault-is-refused" => {
            keys::of_an_hsm_in_a_standard_vault_is_refused(world).await
        }
        "key-attributes" => keys::key_attributes(world).await,
        "key-import" => keys::import(world).await,
        "key-import-of-a-broken-key-is-refused" => keys::import_of_a_broken_key_is_refused(world).await,
        "key-versions" => keys::versions(world).await,
        "key-update" => keys::update(world).await,
        "key-update-keeps-operations" => keys::update_keeps_operations(world).await,
        "key-list-over-pages" => keys::list_over_pages(world).await,
        "key-not-found" => keys::not_found(world).await,
        "key-delete-and-recover" => keys::delete_and_recover(world).await,
        "key-purge" => keys::purge(world).await,
        "key-name-of-a-deleted-one-is-taken" => keys::name_of_a_deleted_one_is_taken(world).await,
        "key-backup-and-restore" => keys::backup_and_restore(world).await,
        "key-damaged-backup-is-refused" => keys::damaged_backup_is_refused(world).await,
        "key-rotate" => keys::rotate(world).await,
        "key-rotation-policy" => keys::rotation_policy(world).await,
        "key-random-bytes" => keys::random_bytes(world).await,
        "key-sign-rsa" => cryptography::sign_rsa(world).await,
        "key-sign-ec" => cryptography::sign_ec(world).await,
        "key-sign-hmac" => cryptography::sign_hmac(world).await,
        "key-sign-with-the-wrong-algorithm-is-refused" => {
            cryptography::sign_with_the_wrong_algorithm_is_refused(world).await
        }
        "key-encrypt-rsa" => cryptography::encrypt_rsa(world).await,
        "key-encrypt-aes-gcm" => cryptography::encrypt_aes_gcm(world).await,
        "key-encrypt-aes-cbc" => cryptography::encrypt_aes_cbc(world).await,
        "key-wrap-rsa" => cryptography::wrap_rsa(world).await,
        "key-wrap-aes" => cryptography::wrap_aes(world).await,
        "key-operations-are-enforced" => cryptography::operations_are_enforced(world).await,
        "key-disabled-cannot-be-used" => cryptography::disabled_cannot_be_used(world).await,
        "key-outside-its-dates-cannot-be-used" => cryptography::outside_its_dates_cannot_be_used(world).await,
        "key-of-an-older-version-still-opens" => cryptography::of_an_older_version_still_opens(world).await,
        "key-local-and-remote-agree" => cryptography::local_and_remote_agree(world).await,
        "key-used-without-a-version" => cryptography::used_without_a_version(world).await,
        "key-user-cannot-change-keys" => cryptography::user_cannot_change_keys(world).await,
        "key-without-a-role" => cryptography::without_a_role(world).await,
        "certificate-create-self-signed" => certificates::create_self_signed(world).await,
        "certificate-default-policy" => certificates::default_policy(world).await,
        "certificate-create-ec" => certificates::create_ec(world).await,
        "certificate-names-and-usages" => certificates::names_and_usages(world).await,
        "certificate-policy-without-sense-is-refused" => {
            certificates::policy_without_sense_is_refused(world).await
        }
        "certificate-versions" => certificates::versions(world).await,
        "certificate-list-over-pages" => certificates::list_over_pages(world).await,
        "certificate-pending-is-listed-when-asked" => certificates::pending_is_listed_when_asked(world).await,
        "certificate-policy-update" => certificates::policy_update(world).await,
        "certificate-update" => certificates::update(world).await,
        "certificate-not-found" => certificates::not_found(world).await,
        "certificate-delete-and-recover" => certificates::delete_and_recover(world).await,
        "certificate-purge" => certificates::purge(world).await,
        "certificate-name-of-a-deleted-one-is-taken" => {
            certificates::name_of_a_deleted_one_is_taken(world).await
        }
        "certificate-backup-and-restore" => certificates::backup_and_restore(world).await,
        "certificate-import-pkcs12" => certificate_keys::import_pkcs12(world).await,
        "certificate-import-pem" => certificate_keys::import_pem(world).await,
        "certificate-import-of-a-broken-file-is-refused" => {
            certificate_keys::import_of_a_broken_file_is_refused(world).await
        }
        "certificate-request-and-merge" => certificate_keys::request_and_merge(world).await,
        "certificate-merge-of-another-key-is-refused" => {
            certificate_keys::merge_of_another_key_is_refused(world).await
        }
        "certificate-operation-cancelled-and-deleted" => {
            certificate_keys::operation_cancelled_and_deleted(world).await
        }
        "certificate-secret-as-pkcs12" => certificate_keys::secret_as_pkcs12(world).await,
        "certificate-secret-as-pem" => certificate_keys::secret_as_pem(world).await,
        "certificate-key-signs" => certificate_keys::key_signs(world).await,
        "certificate-key-that-stays" => certificate_keys::key_that_stays(world).await,
        "certificate-key-and-secret-are-managed" => certificate_keys::key_and_secret_are_managed(world).await,
        "certificate-issuers" => certificate_keys::issuers(world).await,
        "certificate-contacts" => certificate_keys::contacts(world).await,
        "certificate-private-authority" => certificate_keys::private_authority(world).await,
        "certificate-without-a-role" => certificate_keys::without_a_role(world).await,
        "key-hsm-create" => keys_in_a_token::create_keys(world).await,
        "key-hsm-sign" => keys_in_a_token::sign_with(world).await,
        "key-hsm-encrypt-and-wrap" => keys_in_a_token::encrypt_and_wrap(world).await,
        "key-hsm-encrypt-and-wrap-aes" => keys_in_a_token::encrypt_and_wrap_aes(world).await,
        "key-hsm-import" => keys_in_a_token::import(world).await,
        "key-hsm-import-wrapped" => keys_in_a_token::import_wrapped(world).await,
        "key-attestation" => keys_in_a_token::attestation(world).await,
        "key-hsm-rotate" => keys_in_a_token::rotate(world).await,
        "key-hsm-delete-and-purge" => keys_in_a_token::delete_and_purge(world).await,
        "certificate-hsm-key" => keys_in_a_token::of_a_certificate(world).await,
        "key-release" => key_release::is_released(world).await,
        "key-release-is-refused" => key_release::is_refused(world).await,
        _ => bail!("no scenario is called `{name}` here: give it an arm in conformance/rust/src/main.rs"),
    }
}

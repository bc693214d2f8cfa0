//! The life of keys, through `azure_security_keyvault_keys` as it is.

use std::collections::{BTreeSet, HashMap};

use anyhow::{Context, Result, bail, ensure};
use azure_core::time::{Duration, OffsetDateTime};
use azure_identity::ManagedIdentityCredential;
use azure_security_keyvault_keys::models::{
    CreateKeyParameters, CurveName, GetRandomBytesParameters, ImportKeyParameters, JsonWebKey, Key,
    KeyAttributes, KeyClientGetKeyOptions, KeyClientUpdateKeyPropertiesOptions, KeyOperation,
    KeyRotationPolicy, KeyRotationPolicyAction, KeyRotationPolicyAttributes, KeyType, LifetimeAction,
    LifetimeActionTrigger, LifetimeActionType, RestoreKeyParameters, UpdateKeyPropertiesParameters,
};
use azure_security_keyvault_keys::{KeyClient, KeyClientOptions, ResourceExt};
use futures_util::TryStreamExt;

use crate::cryptography::{self, own_ec_key, own_rsa_key, verified_elsewhere};
use crate::lists::{Listed, each_once, numbered, over_pages};
use crate::recording::recorded;
use crate::world::{PREMIUM, World, equal, fresh, refused};

const NO_VERSION: &str = "00000000000000000000000000000000";
const CURVES: [(CurveName, usize); 4] =
    [(CurveName::P256, 32), (CurveName::P384, 48), (CurveName::P521, 66), (CurveName::P256K, 32)];

/// A client as an application would write it, with every check that it makes by itself.
pub struct Keys(pub KeyClient);

impl Keys {
    pub fn of(world: &World, vault: usize) -> Result<Self> {
        let options = KeyClientOptions { client_options: recorded(), ..Default::default() };
        let credential = ManagedIdentityCredential::new(None)?;
        Ok(Self(KeyClient::new(&world.vault_url(vault), credential, Some(options))?))
    }

    pub async fn create(&self, name: &str, wanted: CreateKeyParameters) -> Result<Key> {
        Ok(self.0.create_key(name, wanted.try_into()?, None).await?.into_model()?)
    }

    pub async fn ec(&self, name: &str) -> Result<Key> {
        self.create(name, ec()).await
    }

    pub async fn get(&self, name: &str, version: Option<&str>) -> Result<Key> {
        let key_version = version.map(str::to_owned);
        let options = KeyClientGetKeyOptions { key_version, ..Default::default() };
        Ok(self.0.get_key(name, Some(options)).await?.into_model()?)
    }

    pub async fn import(&self, name: &str, key: JsonWebKey) -> Result<Key> {
        let wanted = ImportKeyParameters { key: Some(key), ..Default::default() };
        Ok(self.0.import_key(name, wanted.try_into()?, None).await?.into_model()?)
    }

    pub async fn update(
        &self,
        name: &str,
        version: Option<&str>,
        wanted: UpdateKeyPropertiesParameters,
    ) -> Result<Key> {
        let key_version = version.map(str::to_owned);
        let options = KeyClientUpdateKeyPropertiesOptions { key_version, ..Default::default() };
        Ok(self.0.update_key_properties(name, wanted.try_into()?, Some(options)).await?.into_model()?)
    }

    pub async fn delete(&self, name: &str) -> Result<()> {
        self.0.delete_key(name, None).await?;
        Ok(())
    }

    pub async fn recover(&self, name: &str) -> Result<()> {
        self.0.recover_deleted_key(name, None).await?;
        Ok(())
    }

    pub async fn purge(&self, name: &str) -> Result<()> {
        self.0.purge_deleted_key(name, None).await?;
        Ok(())
    }

    pub async fn rotate(&self, name: &str) -> Result<Key> {
        Ok(self.0.rotate_key(name, None).await?.into_model()?)
    }

    async fn deleted(&self, name: &str) -> Result<()> {
        self.0.get_deleted_key(name, None).await?;
        Ok(())
    }

    pub async fn backup(&self, name: &str) -> Result<Vec<u8>> {
        let backup = self.0.backup_key(name, None).await?.into_model()?;
        backup.value.context("a backup without a value")
    }

    pub async fn restore(&self, backup: &[u8]) -> Result<Key> {
        let wanted = RestoreKeyParameters { key_backup: Some(backup.to_vec()) };
        Ok(self.0.restore_key(wanted.try_into()?, None).await?.into_model()?)
    }

    async fn names(&self) -> Result<BTreeSet<String>> {
        let mut items = self.0.list_key_properties(None)?;
        let mut names = BTreeSet::new();
        while let Some(item) = items.try_next().await? {
            names.insert(item.resource_id()?.name);
        }
        Ok(names)
    }

    async fn deleted_names(&self) -> Result<BTreeSet<String>> {
        let mut items = self.0.list_deleted_key_properties(None)?;
        let mut names = BTreeSet::new();
        while let Some(item) = items.try_next().await? {
            names.insert(item.resource_id()?.name);
        }
        Ok(names)
    }

    pub async fn versions(&self, name: &str) -> Result<Vec<String>> {
        let mut items = self.0.list_key_properties_versions(name, None)?;
        let mut versions = Vec::new();
        while let Some(item) = items.try_next().await? {
            versions.push(item.resource_id()?.version.context("a listed version without its id")?);
        }
        versions.sort();
        Ok(versions)
    }
}

pub fn ec() -> CreateKeyParameters {
    on(CurveName::P256)
}

pub fn on(curve: CurveName) -> CreateKeyParameters {
    CreateKeyParameters { kty: Some(KeyType::Ec), curve: Some(curve), ..Default::default() }
}

pub fn rsa(bits: i32) -> CreateKeyParameters {
    CreateKeyParameters { kty: Some(KeyType::Rsa), key_size: Some(bits), ..Default::default() }
}

pub fn oct(bits: i32) -> CreateKeyParameters {
    CreateKeyParameters { kty: Some(KeyType::Oct), key_size: Some(bits), ..Default::default() }
}

pub fn jwk(key: &Key) -> Result<&JsonWebKey> {
    key.key.as_ref().context("a key without its public part")
}

pub fn version_of(key: &Key) -> Result<String> {
    key.resource_id()?.version.context("a key without a version")
}

fn attributes(key: &Key) -> Result<&KeyAttributes> {
    key.attributes.as_ref().context("a key without attributes")
}

fn operations(key: &Key) -> Result<BTreeSet<String>> {
    Ok(jwk(key)?.key_ops.clone().unwrap_or_default().into_iter().collect())
}

fn words(words: &[&str]) -> BTreeSet<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

pub fn tags(pairs: &[(&str, &str)]) -> Option<HashMap<String, String>> {
    Some(pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect())
}

/// A point in time, in whole seconds as a vault keeps it.
pub fn days_from_now(days: i64) -> Result<OffsetDateTime> {
    let seconds = OffsetDateTime::now_utc().unix_timestamp() + days * 86_400;
    Ok(OffsetDateTime::from_unix_timestamp(seconds)?)
}

pub async fn create_rsa(world: &World) -> Result<()> {
    let keys = Keys::of(world, 0)?;
    for bits in [2048, 3072, 4096] {
        let name = fresh("rsa");
        let made = keys.create(&name, rsa(bits)).await?;
        let (shown, id) = (jwk(&made)?, made.resource_id()?);
        equal(shown.kty.clone(), Some(KeyType::Rsa))?;
        equal(shown.n.as_ref().map(|n| n.len() as i32 * 8), Some(bits))?;
        equal(shown.e.clone(), Some(vec![1, 0, 1]))?;
        equal((id.name.clone(), id.vault_url.clone()), (name.clone(), world.vault_url(0)))?;
        ensure!(shown.d.is_none() && shown.p.is_none() && shown.k.is_none(), "a private part is shown");
        equal(operations(&made)?, words(&["encrypt", "decrypt", "sign", "verify", "wrapKey", "unwrapKey"]))?;
        let read = keys.get(&name, None).await?;
        equal((jwk(&read)?.kid.clone(), jwk(&read)?.n.clone()), (shown.kid.clone(), shown.n.clone()))?;
        let found = attributes(&read)?;
        equal(found.enabled, Some(true))?;
        let created = found.created.context("a key without a date")?;
        ensure!((created - OffsetDateTime::now_utc()).abs() < Duration::minutes(5), "created at {created}");
        ensure!(found.recovery_level.is_some() && found.recoverable_days >= Some(7), "{found:?}");
    }
    Ok(())
}

pub async fn create_with_nothing_said(world: &World) -> Result<()> {
    let keys = Keys::of(world, 0)?;
    let only = |kty| CreateKeyParameters { kty: Some(kty), ..Default::default() };
    let made = keys.create(&fresh("plain"), only(KeyType::Rsa)).await?;
    equal(jwk(&made)?.n.as_ref().map(Vec::len), Some(256))?;
    let made = keys.create(&fresh("plain"), only(KeyType::Ec)).await?;
    equal(jwk(&made)?.crv.clone(), Some(CurveName::P256))
}

pub async fn create_ec(world: &World) -> Result<()> {
    let keys = Keys::of(world, 0)?;
    for (curve, field) in CURVES {
        let made = keys.create(&fresh("ec"), on(curve.clone())).await?;
        let shown = jwk(&made)?;
        equal((shown.kty.clone(), shown.crv.clone()), (Some(KeyType::Ec), Some(curve)))?;
        let lengths = [&shown.x, &shown.y].map(|part| part.as_ref().map(Vec::len));
        equal((lengths, shown.d.is_none()), ([Some(field); 2], true))?;
        equal(operations(&made)?, words(&["sign", "verify"]))?;
    }
    Ok(())
}

pub async fn create_symmetric(world: &World) -> Result<()> {
    let keys = Keys::of(world, 0)?;
    for bits in [128, 192, 256] {
        let made = keys.create(&fresh("oct"), oct(bits)).await?;
        equal((jwk(&made)?.kty.clone(), jwk(&made)?.k.is_none()), (Some(KeyType::Oct), true))?;
    }
    Ok(())
}

pub async fn create_of_a_wrong_size_is_refused(world: &World) -> Result<()> {
    let keys = Keys::of(world, 0)?;
    for wrong in [rsa(1024), rsa(2047), rsa(8192), oct(64)] {
        refused(keys.create(&fresh("size"), wrong).await, 400, &["BadParameter"])?;
    }
    Ok(())
}

pub async fn of_an_hsm_in_a_standard_vault_is_refused(world: &World) -> Result<()> {
    let keys = Keys::of(world, 0)?;
    for (kty, like) in [(KeyType::RsaHsm, rsa(2048)), (KeyType::EcHsm, ec())] {
        let wanted = CreateKeyParameters { kty: Some(kty), ..like };
        refused(keys.create(&fresh("hsm"), wanted).await, 400, &["BadParameter"])?;
    }
    Ok(())
}

pub async fn key_attributes(world: &World) -> Result<()> {
    let (keys, name) = (Keys::of(world, 0)?, fresh("attributes"));
    let wanted = KeyAttributes {
        enabled: Some(false),
        not_before: Some(days_from_now(-1)?),
        expires: Some(days_from_now(30)?),
        ..Default::default()
    };
    let labels = tags(&[("owner", "team one"), ("empty", ""), ("ümlaut", "ja")]);
    let parameters = CreateKeyParameters {
        key_attributes: Some(wanted.clone()),
        key_ops: Some(vec![KeyOperation::Sign]),
        tags: labels.clone(),
        ..ec()
    };
    keys.create(&name, parameters).await?;
    let read = keys.get(&name, None).await?;
    let found = attributes(&read)?;
    equal(
        (found.enabled, found.not_before, found.expires),
        (wanted.enabled, wanted.not_before, wanted.expires),
    )?;
    equal((operations(&read)?, read.tags), (words(&["sign"]), labels))
}

pub async fn import(world: &World) -> Result<()> {
    let keys = Keys::of(world, 0)?;
    for (own, algorithm) in [(own_rsa_key()?, "RS256"), (own_ec_key(CurveName::P384)?, "ES384")] {
        let imported = keys.import(&fresh("imported"), own.clone()).await?;
        let shown = jwk(&imported)?;
        equal((&shown.n, &shown.x, shown.d.is_none()), (&own.n, &own.x, true))?;
        let signature = cryptography::sign(&keys, &imported, algorithm).await?;
        verified_elsewhere(shown, algorithm, &signature)?;
    }
    Ok(())
}

pub async fn import_of_a_broken_key_is_refused(world: &World) -> Result<()> {
    let other = own_ec_key(CurveName::P256)?;
    let broken = JsonWebKey { d: other.d, ..own_ec_key(CurveName::P256)? };
    refused(Keys::of(world, 0)?.import(&fresh("broken"), broken).await, 400, &["BadParameter"])
}

pub async fn versions(world: &World) -> Result<()> {
    let (keys, name) = (Keys::of(world, 0)?, fresh("versions"));
    let mut versions = Vec::new();
    for _ in 0..3 {
        let made = keys.ec(&name).await?;
        let version = version_of(&made)?;
        equal(&jwk(&keys.get(&name, Some(&version)).await?)?.x, &jwk(&made)?.x)?;
        versions.push(version);
    }
    equal(Some(version_of(&keys.get(&name, None).await?)?).as_ref(), versions.last())?;
    versions.sort();
    equal(keys.versions(&name).await?, versions)
}

pub async fn update(world: &World) -> Result<()> {
    let (keys, name) = (Keys::of(world, 0)?, fresh("update"));
    let first = keys.create(&name, CreateKeyParameters { tags: tags(&[("a", "1")]), ..rsa(2048) }).await?;
    let expires = Some(days_from_now(2)?);
    let wanted = UpdateKeyPropertiesParameters {
        key_attributes: Some(KeyAttributes { expires, ..Default::default() }),
        key_ops: Some(vec![KeyOperation::Encrypt]),
        tags: tags(&[("b", "2")]),
        ..Default::default()
    };
    let changed = keys.update(&name, Some(&version_of(&first)?), wanted).await?;
    equal((operations(&changed)?, changed.tags.clone()), (words(&["encrypt"]), tags(&[("b", "2")])))?;
    equal((&jwk(&changed)?.n, attributes(&changed)?.expires), (&jwk(&first)?.n, expires))?;
    ensure!(attributes(&changed)?.updated >= attributes(&first)?.updated, "`updated` went back");
    // Without a version the newest is meant, and what is not said stays.
    let again = keys.update(&name, None, enabled(false)).await?;
    equal((attributes(&again)?.enabled, attributes(&again)?.expires), (Some(false), expires))?;
    equal(again.tags, tags(&[("b", "2")]))
}

pub fn enabled(enabled: bool) -> UpdateKeyPropertiesParameters {
    let key_attributes = Some(KeyAttributes { enabled: Some(enabled), ..Default::default() });
    UpdateKeyPropertiesParameters { key_attributes, ..Default::default() }
}

pub async fn update_keeps_operations(world: &World) -> Result<()> {
    let (keys, name) = (Keys::of(world, 0)?, fresh("keeps"));
    let only = CreateKeyParameters { key_ops: Some(vec![KeyOperation::Sign]), ..ec() };
    keys.create(&name, only).await?;
    let wanted = UpdateKeyPropertiesParameters { tags: tags(&[("b", "2")]), ..Default::default() };
    equal(operations(&keys.update(&name, None, wanted).await?)?, words(&["sign"]))
}

pub async fn list_over_pages(world: &World) -> Result<()> {
    let (keys, prefix) = (Keys::of(world, 1)?, fresh("page"));
    let names = numbered(&prefix, 28);
    for (name, number) in &names {
        keys.create(name, CreateKeyParameters { tags: tags(&[("n", number)]), ..ec() }).await?;
    }
    let listed = over_pages(keys.0.list_key_properties(None)?.into_pages(), 2, |page| {
        let items = page.into_model()?.value.into_iter().map(|item| {
            let id = item.resource_id()?;
            Ok(Listed { name: id.name, version: id.version, tags: item.tags })
        });
        items.collect()
    });
    each_once(listed.await?, &prefix, &names)
}

pub async fn not_found(world: &World) -> Result<()> {
    let (keys, name, absent) = (Keys::of(world, 0)?, fresh("absent"), &["KeyNotFound"]);
    refused(keys.get(&name, None).await, 404, absent)?;
    refused(keys.deleted(&name).await, 404, absent)?;
    refused(keys.delete(&name).await, 404, absent)?;
    refused(keys.update(&name, Some(NO_VERSION), enabled(false)).await, 404, absent)?;
    refused(keys.rotate(&name).await, 404, absent)?;
    keys.ec(&name).await?;
    refused(keys.get(&name, Some(NO_VERSION)).await, 404, absent)
}

pub async fn delete_and_recover(world: &World) -> Result<()> {
    let (keys, name, absent) = (Keys::of(world, 0)?, fresh("recover"), &["KeyNotFound"]);
    let first = keys.ec(&name).await?;
    let second = keys.create(&name, CreateKeyParameters { tags: tags(&[("k", "v")]), ..ec() }).await?;
    let deleted = keys.0.delete_key(&name, None).await?.into_model()?;
    equal(deleted.recovery_id, Some(format!("{}/deletedkeys/{name}", world.vault_url(0))))?;
    ensure!(deleted.scheduled_purge_date > deleted.deleted_date, "purged before it is deleted");
    refused(keys.get(&name, None).await, 404, absent)?;
    refused(keys.get(&name, Some(&version_of(&first)?)).await, 404, absent)?;
    refused(cryptography::sign(&keys, &second, "ES256").await, 404, absent)?;
    ensure!(!keys.names().await?.contains(&name), "a deleted key is listed");
    ensure!(keys.deleted_names().await?.contains(&name), "a deleted key is not listed as deleted");
    let shown = keys.0.get_deleted_key(&name, None).await?.into_model()?;
    equal(shown.tags, tags(&[("k", "v")]))?;
    keys.recover(&name).await?;
    equal(&jwk(&keys.get(&name, None).await?)?.x, &jwk(&second)?.x)?;
    equal(&jwk(&keys.get(&name, Some(&version_of(&first)?)).await?)?.x, &jwk(&first)?.x)?;
    let signature = cryptography::sign(&keys, &second, "ES256").await?;
    verified_elsewhere(jwk(&second)?, "ES256", &signature)
}

pub async fn purge(world: &World) -> Result<()> {
    let (keys, name) = (Keys::of(world, 0)?, fresh("purge"));
    let old = keys.ec(&name).await?;
    keys.delete(&name).await?;
    keys.purge(&name).await?;
    refused(keys.deleted(&name).await, 404, &["KeyNotFound"])?;
    refused(keys.purge(&name).await, 404, &["KeyNotFound"])?;
    let made = keys.ec(&name).await?;
    ensure!(jwk(&made)?.x != jwk(&old)?.x, "a purged key came back");
    equal(keys.versions(&name).await?, vec![version_of(&made)?])
}

pub async fn name_of_a_deleted_one_is_taken(world: &World) -> Result<()> {
    let (keys, name) = (Keys::of(world, 0)?, fresh("taken"));
    keys.ec(&name).await?;
    keys.delete(&name).await?;
    refused(keys.ec(&name).await, 409, &["Conflict", "ObjectIsDeletedButRecoverable"])
}

pub async fn backup_and_restore(world: &World) -> Result<()> {
    let (here, there, name) = (Keys::of(world, 0)?, Keys::of(world, 1)?, fresh("backup"));
    let labels = tags(&[("a", "b")]);
    let first = here.create(&name, CreateKeyParameters { tags: labels.clone(), ..rsa(2048) }).await?;
    let second = here.create(&name, rsa(2048)).await?;
    let backup = here.backup(&name).await?;
    let restored = there.restore(&backup).await?.resource_id()?;
    equal((restored.name, restored.vault_url), (name.clone(), world.vault_url(1)))?;
    equal(&jwk(&there.get(&name, None).await?)?.n, &jwk(&second)?.n)?;
    let old = there.get(&name, Some(&version_of(&first)?)).await?;
    equal((&jwk(&old)?.n, &old.tags), (&jwk(&first)?.n, &labels))?;
    // The private half came with it.
    let signature = cryptography::sign(&there, &old, "PS256").await?;
    verified_elsewhere(jwk(&first)?, "PS256", &signature)?;
    refused(there.restore(&backup).await, 409, &["Conflict"])
}

pub async fn damaged_backup_is_refused(world: &World) -> Result<()> {
    let (here, there, name) = (Keys::of(world, 0)?, Keys::of(world, 1)?, fresh("damaged"));
    here.ec(&name).await?;
    let mut backup = here.backup(&name).await?;
    let middle = backup.len() / 2;
    backup[middle] ^= 1;
    for damaged in [backup.as_slice(), b"", b"not a backup at all"] {
        refused(there.restore(damaged).await, 400, &["BadParameter"])?;
    }
    refused(there.get(&name, None).await, 404, &["KeyNotFound"])
}

pub async fn rotate(world: &World) -> Result<()> {
    let (keys, name) = (Keys::of(world, 0)?, fresh("rotate"));
    let wanted = CreateKeyParameters {
        key_ops: Some(vec![KeyOperation::Sign, KeyOperation::Verify]),
        tags: tags(&[("kept", "yes")]),
        ..rsa(3072)
    };
    let first = keys.create(&name, wanted).await?;
    let second = keys.rotate(&name).await?;
    ensure!(jwk(&second)?.n != jwk(&first)?.n, "not another key");
    equal(jwk(&second)?.n.as_ref().map(Vec::len), Some(384))?;
    equal((operations(&second)?, &second.tags), (operations(&first)?, &first.tags))?;
    equal(version_of(&keys.get(&name, None).await?)?, version_of(&second)?)?;
    let signature = cryptography::sign(&keys, &first, "RS256").await?;
    verified_elsewhere(jwk(&first)?, "RS256", &signature)
}

pub async fn rotation_policy(world: &World) -> Result<()> {
    let (keys, name) = (Keys::of(world, 0)?, fresh("policy"));
    keys.create(&name, rsa(2048)).await?;
    let unset = keys.0.get_key_rotation_policy(&name, None).await?.into_model()?;
    equal(actions(&unset), vec![(KeyRotationPolicyAction::Notify, None, Some("P30D".to_owned()))])?;
    let wanted = policy("P90D");
    keys.0.update_key_rotation_policy(&name, wanted.clone().try_into()?, None).await?;
    let read = keys.0.get_key_rotation_policy(&name, None).await?.into_model()?;
    let mut found = actions(&read);
    found.sort_by_key(|(_, after_create, _)| after_create.is_none());
    equal(found, actions(&wanted))?;
    equal(read.attributes.and_then(|attributes| attributes.expiry_time), Some("P90D".to_owned()))?;
    // A key made now expires when the policy says.
    let rotated = keys.rotate(&name).await?;
    let dates = attributes(&rotated)?;
    let (Some(created), Some(expires)) = (dates.created, dates.expires) else { bail!("without dates") };
    let off = (expires - created - Duration::days(90)).abs();
    ensure!(off < Duration::minutes(1), "expires at {expires}");
    let wrong = keys.0.update_key_rotation_policy(&name, policy("P1D").try_into()?, None).await;
    refused(wrong.map_err(Into::into), 400, &["BadParameter"])
}

pub fn policy(expiry: &str) -> KeyRotationPolicy {
    let action = |kind, time_after_create, time_before_expiry| LifetimeAction {
        action: Some(LifetimeActionType { type_prop: Some(kind) }),
        trigger: Some(LifetimeActionTrigger { time_after_create, time_before_expiry }),
    };
    KeyRotationPolicy {
        attributes: Some(KeyRotationPolicyAttributes {
            expiry_time: Some(expiry.to_owned()),
            ..Default::default()
        }),
        lifetime_actions: Some(vec![
            action(KeyRotationPolicyAction::Rotate, Some("P30D".to_owned()), None),
            action(KeyRotationPolicyAction::Notify, None, Some("P30D".to_owned())),
        ]),
        ..Default::default()
    }
}

type ShownAction = (KeyRotationPolicyAction, Option<String>, Option<String>);

fn actions(policy: &KeyRotationPolicy) -> Vec<ShownAction> {
    let actions = policy.lifetime_actions.iter().flatten();
    let shown = actions.filter_map(|each| {
        let trigger = each.trigger.clone()?;
        Some((each.action.as_ref()?.type_prop?, trigger.time_after_create, trigger.time_before_expiry))
    });
    shown.collect()
}

pub async fn random_bytes(world: &World) -> Result<()> {
    for vault in [0, PREMIUM] {
        let keys = Keys::of(world, vault)?;
        let random = async |count| -> Result<Vec<u8>> {
            let wanted = GetRandomBytesParameters { count: Some(count) };
            let random = keys.0.get_random_bytes(wanted.try_into()?, None).await?.into_model()?;
            random.value.context("no bytes")
        };
        for count in [1, 32, 128] {
            equal(random(count).await?.len() as i32, count)?;
        }
        ensure!(random(32).await? != random(32).await?, "the same bytes twice");
        refused(random(129).await, 400, &["BadParameter"])?;
    }
    Ok(())
}

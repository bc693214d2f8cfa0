// Every operation on secrets, through @azure/keyvault-secrets as it is.

import assert from "node:assert/strict";

import { POLLING, VAULT_A, VAULT_B, WORLD, all, daysFromNow, fresh, refused, secretClient, vaultUrl, waited } from "./world.mjs";

const NO_VERSION = "0".repeat(32);

async function removed(client, name) {
  return waited(client.beginDeleteSecret(name, POLLING));
}

async function recovered(client, name) {
  return waited(client.beginRecoverDeletedSecret(name, POLLING));
}

async function namesIn(iterator) {
  return new Set((await all(iterator)).map((item) => item.name));
}

export async function secret_set_and_get() {
  const name = fresh("plain");
  const written = await secretClient().setSecret(name, "a first value");
  assert.equal(written.value, "a first value");
  assert.equal(written.name, name);
  assert(written.properties.id.startsWith(`${vaultUrl()}/secrets/${name}/`), written.properties.id);
  const { value, properties } = await secretClient().getSecret(name);
  assert.equal(value, "a first value");
  assert.equal(properties.id, written.properties.id);
  assert.equal(properties.vaultUrl, vaultUrl());
  assert.equal(properties.enabled, true);
  assert(Math.abs(properties.createdOn - Date.now()) < 300_000, `${properties.createdOn}`);
  assert(properties.recoveryLevel, "a vault says how it recovers");
  assert(properties.recoverableDays >= 7 && properties.recoverableDays <= 90, `${properties.recoverableDays}`);
}

export async function secret_attributes() {
  const client = secretClient();
  const name = fresh("attributes");
  const wanted = {
    contentType: "text/plain; charset=utf-8",
    tags: { owner: "team one", empty: "", ümlaut: "ja" },
    enabled: true,
    notBefore: daysFromNow(-1),
    expiresOn: daysFromNow(30),
  };
  await client.setSecret(name, "v", wanted);
  const { properties } = await client.getSecret(name);
  for (const [field, value] of Object.entries(wanted)) assert.deepEqual(properties[field], value, field);
}

export async function secret_odd_values() {
  const client = secretClient();
  const values = ["", "two\r\nlines\n", '"quoted" \\ and {"json": [1]}', "пароль 秘密 🔑", "x".repeat(25_000), " padded "];
  for (const value of values) {
    const name = fresh("odd");
    await client.setSecret(name, value);
    assert.equal((await client.getSecret(name)).value, value);
  }
}

export async function secret_too_long_is_refused() {
  await refused(400, () => secretClient().setSecret(fresh("long"), "x".repeat(25_601)), "BadParameter");
}

export async function secret_versions() {
  const client = secretClient();
  const name = fresh("versions");
  const versions = [];
  for (let number = 0; number < 4; number++) {
    versions.push((await client.setSecret(name, `value ${number}`)).properties.version);
  }
  assert.equal(new Set(versions).size, 4);
  for (const [number, version] of versions.entries()) {
    assert.match(version, /^[0-9a-f]{32}$/);
    assert.equal((await client.getSecret(name, { version })).value, `value ${number}`);
  }
  assert.equal((await client.getSecret(name)).properties.version, versions[3]);
  const listed = await all(client.listPropertiesOfSecretVersions(name));
  assert.deepEqual(listed.map((item) => item.version).sort(), versions.toSorted());
  assert(listed.every((item) => item.name === name));
}

export async function secret_update() {
  const client = secretClient();
  const name = fresh("update");
  const first = await client.setSecret(name, "kept", { tags: { a: "1" } });
  const expiresOn = daysFromNow(1);
  const version = first.properties.version;
  const changed = await client.updateSecretProperties(name, version, { tags: { b: "2" }, contentType: "x/y", expiresOn });
  assert.deepEqual([changed.tags, changed.contentType, changed.version], [{ b: "2" }, "x/y", version]);
  assert(changed.updatedOn >= first.properties.updatedOn);
  // Without a version the newest is meant, and what is not said stays.
  const again = await client.updateSecretProperties(name, "", { enabled: true });
  assert.deepEqual([again.tags, again.contentType], [{ b: "2" }, "x/y"]);
  const { value, properties } = await client.getSecret(name);
  assert.deepEqual([value, properties.tags, properties.expiresOn], ["kept", { b: "2" }, expiresOn]);
}

export async function secret_list_over_pages() {
  const client = secretClient(VAULT_B);
  const prefix = fresh("page");
  const names = Array.from({ length: 63 }, (_, number) => `${prefix}-${String(number).padStart(2, "0")}`);
  for (const name of names) await client.setSecret(name, "listed", { tags: { n: name.slice(-2) } });
  const pages = await all(client.listPropertiesOfSecrets().byPage());
  const sizes = pages.map((page) => page.length);
  assert(pages.length >= 3 && Math.max(...sizes) <= 25, `${sizes}`);
  const listed = pages.flat().filter((item) => item.name.startsWith(prefix));
  assert.deepEqual(listed.map((item) => item.name).sort(), names);
  for (const item of listed) assert.deepEqual([item.tags, item.version], [{ n: item.name.slice(-2) }, undefined]);
  const small = (await all(client.listPropertiesOfSecrets().byPage({ maxPageSize: 7 }))).map((page) => page.length);
  assert(Math.max(...small) <= 7 && small.reduce((sum, size) => sum + size) >= 63, `${small}`);
}

export async function secret_not_found() {
  const client = secretClient();
  const name = fresh("absent");
  await refused(404, () => client.getSecret(name), "SecretNotFound");
  await refused(404, () => client.getDeletedSecret(name), "SecretNotFound");
  await refused(404, () => client.beginDeleteSecret(name, POLLING), "SecretNotFound");
  await refused(404, () => client.updateSecretProperties(name, NO_VERSION, { enabled: false }), "SecretNotFound");
  await client.setSecret(name, "now it is");
  await refused(404, () => client.getSecret(name, { version: NO_VERSION }), "SecretNotFound");
}

export async function secret_delete_and_recover() {
  const client = secretClient();
  const name = fresh("recover");
  const version = (await client.setSecret(name, "one")).properties.version;
  await client.setSecret(name, "two", { tags: { k: "v" } });
  const deleted = await removed(client, name);
  assert.equal(deleted.name, name);
  assert.equal(deleted.recoveryId, `${vaultUrl()}/deletedsecrets/${name}`);
  assert(deleted.scheduledPurgeDate > deleted.deletedOn, `${deleted.scheduledPurgeDate}`);
  await refused(404, () => client.getSecret(name), "SecretNotFound");
  await refused(404, () => client.getSecret(name, { version }), "SecretNotFound");
  assert(!(await namesIn(client.listPropertiesOfSecrets())).has(name));
  assert((await namesIn(client.listDeletedSecrets())).has(name));
  assert.deepEqual((await client.getDeletedSecret(name)).properties.tags, { k: "v" });
  await recovered(client, name);
  assert.equal((await client.getSecret(name)).value, "two");
  assert.equal((await client.getSecret(name, { version })).value, "one");
  assert(!(await namesIn(client.listDeletedSecrets())).has(name));
}

export async function secret_purge() {
  const client = secretClient();
  const name = fresh("purge");
  const old = (await client.setSecret(name, "gone soon")).properties.version;
  await removed(client, name);
  await client.purgeDeletedSecret(name);
  await refused(404, () => client.getDeletedSecret(name), "SecretNotFound");
  await refused(404, () => client.purgeDeletedSecret(name), "SecretNotFound");
  const { version } = (await client.setSecret(name, "a new life")).properties;
  assert.notEqual(version, old);
  const listed = await all(client.listPropertiesOfSecretVersions(name));
  assert.deepEqual(listed.map((item) => item.version), [version]);
  await refused(404, () => client.getSecret(name, { version: old }), "SecretNotFound");
}

export async function secret_deleted_list_over_pages() {
  const client = secretClient(VAULT_B);
  const prefix = fresh("gone");
  const names = Array.from({ length: 28 }, (_, number) => `${prefix}-${String(number).padStart(2, "0")}`);
  for (const name of names) {
    await client.setSecret(name, "x");
    await client.beginDeleteSecret(name, POLLING);
  }
  const pages = await all(client.listDeletedSecrets().byPage());
  assert(pages.length >= 2, `${pages.length}`);
  const found = pages.flat().filter((item) => item.name.startsWith(prefix));
  assert.deepEqual(found.map((item) => item.name).sort(), names);
}

export async function secret_name_of_a_deleted_one_is_taken() {
  const client = secretClient();
  const name = fresh("taken");
  await client.setSecret(name, "first");
  await removed(client, name);
  await refused(409, () => client.setSecret(name, "second"), "Conflict", "ObjectIsDeletedButRecoverable");
  await recovered(client, name);
  assert.equal((await client.getSecret(name)).value, "first");
}

export async function secret_backup_and_restore() {
  const [here, there] = [secretClient(VAULT_A), secretClient(VAULT_B)];
  const name = fresh("backup");
  const expiresOn = daysFromNow(9);
  const first = await here.setSecret(name, "one", { tags: { a: "b" }, contentType: "c/d" });
  const second = await here.setSecret(name, "two", { expiresOn });
  const backup = Buffer.from(await here.backupSecret(name));
  assert(!backup.includes("one") && !backup.includes("two"), "a backup shows nothing");
  const restored = await there.restoreSecretBackup(backup);
  assert.deepEqual([restored.name, restored.vaultUrl], [name, vaultUrl(VAULT_B)]);
  const newest = await there.getSecret(name);
  assert.deepEqual([newest.value, newest.properties.expiresOn], ["two", expiresOn]);
  const old = await there.getSecret(name, { version: first.properties.version });
  assert.deepEqual([old.value, old.properties.tags, old.properties.contentType], ["one", { a: "b" }, "c/d"]);
  const versions = (await all(there.listPropertiesOfSecretVersions(name))).map((item) => item.version);
  assert.deepEqual(new Set(versions), new Set([first.properties.version, second.properties.version]));
  assert.equal((await here.getSecret(name)).value, "two");
}

export async function secret_restore_onto_itself_is_refused() {
  const client = secretClient();
  const name = fresh("again");
  await client.setSecret(name, "here");
  const backup = await client.backupSecret(name);
  await refused(409, () => client.restoreSecretBackup(backup), "Conflict");
  await removed(client, name);
  await client.purgeDeletedSecret(name);
  await client.restoreSecretBackup(backup);
  assert.equal((await client.getSecret(name)).value, "here");
}

export async function secret_damaged_backup_is_refused() {
  const [here, there] = [secretClient(VAULT_A), secretClient(VAULT_B)];
  const name = fresh("damaged");
  await here.setSecret(name, "whole");
  const backup = Buffer.from(await here.backupSecret(name));
  backup[backup.length >> 1] ^= 1;
  for (const damaged of [backup, Buffer.alloc(0), Buffer.from("not a backup at all")]) {
    await refused(400, () => there.restoreSecretBackup(damaged), "BadParameter");
  }
  await refused(404, () => there.getSecret(name), "SecretNotFound");
}

export async function secret_disabled_cannot_be_read() {
  const client = secretClient();
  const name = fresh("disabled");
  const { version } = (await client.setSecret(name, "hidden", { enabled: false })).properties;
  await refused(403, () => client.getSecret(name), "Forbidden", "SecretDisabled");
  await refused(403, () => client.getSecret(name, { version }), "Forbidden", "SecretDisabled");
  const listed = (await all(client.listPropertiesOfSecrets())).find((item) => item.name === name);
  assert.equal(listed.enabled, false);
  await client.updateSecretProperties(name, "", { enabled: true });
  assert.equal((await client.getSecret(name)).value, "hidden");
}

export async function secret_outside_its_dates_can_be_read() {
  const client = secretClient();
  for (const dates of [{ expiresOn: daysFromNow(-1) }, { notBefore: daysFromNow(1) }]) {
    const name = fresh("dates");
    await client.setSecret(name, "still there", dates);
    assert.equal((await client.getSecret(name)).value, "still there");
  }
}

export async function async_many_at_once() {
  const client = secretClient();
  const read = await Promise.all(Array.from({ length: 100 }, () => client.getSecret(WORLD.seeded_name)));
  assert.deepEqual(new Set(read.map((secret) => secret.value)), new Set([WORLD.seeded_value]));
}

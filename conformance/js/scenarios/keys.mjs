// The life of keys, through @azure/keyvault-keys as it is.

import assert from "node:assert/strict";
import { createHash, generateKeyPairSync } from "node:crypto";

import { DIGESTS, verifiedElsewhere } from "./cryptography.mjs";
import {
  POLLING, VAULT_A, VAULT_B, WORLD, all, cryptoClient, daysFromNow, fresh, keyClient, refused, vaultUrl, waited,
} from "./world.mjs";

const ABSENT = "0".repeat(32);
const FIELD_BYTES = { "P-256": 32, "P-384": 48, "P-521": 66, "P-256K": 32 };

const removed = (client, name) => waited(client.beginDeleteKey(name, POLLING));

export async function key_create_rsa() {
  const keys = keyClient();
  for (const keySize of [2048, 3072, 4096]) {
    const name = fresh("rsa");
    const made = await keys.createRsaKey(name, { keySize });
    assert.deepEqual([made.name, made.keyType, made.key.n.length * 8], [name, "RSA", keySize]);
    assert.deepEqual([...made.key.e], [1, 0, 1]);
    assert.equal(made.id, `${vaultUrl()}/keys/${name}/${made.properties.version}`);
    assert(!made.key.d && !made.key.p && !made.key.k, "a private part is shown");
    assert.deepEqual(made.keyOperations.toSorted(), ["decrypt", "encrypt", "sign", "unwrapKey", "verify", "wrapKey"]);
    const read = await keys.getKey(name);
    assert.deepEqual([read.id, read.key.n, read.properties.enabled], [made.id, made.key.n, true]);
    assert(Math.abs(read.properties.createdOn - Date.now()) < 300_000, `${read.properties.createdOn}`);
    assert(read.properties.recoveryLevel && read.properties.recoverableDays >= 7);
  }
}

export async function key_create_with_nothing_said() {
  assert.equal((await keyClient().createRsaKey(fresh("plain"))).key.n.length, 256);
  assert.equal((await keyClient().createEcKey(fresh("plain"))).key.crv, "P-256");
}

export async function key_create_ec() {
  for (const [curve, field] of Object.entries(FIELD_BYTES)) {
    const { keyType, key, keyOperations } = await keyClient().createEcKey(fresh("ec"), { curve });
    assert.deepEqual([keyType, key.crv, key.x.length, key.y.length, key.d], ["EC", curve, field, field, undefined]);
    assert.deepEqual(keyOperations.toSorted(), ["sign", "verify"]);
  }
}

export async function key_create_symmetric() {
  for (const keySize of [128, 192, 256]) {
    const made = await keyClient().createOctKey(fresh("oct"), { keySize });
    assert.deepEqual([made.keyType, made.key.k], ["oct", undefined]);
  }
}

export async function key_create_of_a_wrong_size_is_refused() {
  const keys = keyClient();
  for (const keySize of [1024, 2047, 8192]) {
    await refused(400, () => keys.createRsaKey(fresh("size"), { keySize }), "BadParameter");
  }
  await refused(400, () => keys.createOctKey(fresh("size"), { keySize: 64 }), "BadParameter");
}

export async function key_of_an_hsm_in_a_standard_vault_is_refused() {
  const keys = keyClient();
  await refused(400, () => keys.createRsaKey(fresh("hsm"), { keySize: 2048, hsm: true }), "BadParameter");
  await refused(400, () => keys.createEcKey(fresh("hsm"), { curve: "P-256", hsm: true }), "BadParameter");
}

export async function key_attributes() {
  const [keys, name] = [keyClient(), fresh("attributes")];
  const wanted = {
    enabled: false,
    notBefore: daysFromNow(-1),
    expiresOn: daysFromNow(30),
    tags: { owner: "team one", empty: "", ümlaut: "ja" },
  };
  await keys.createEcKey(name, { keyOps: ["sign"], ...wanted });
  const read = await keys.getKey(name);
  for (const [field, value] of Object.entries(wanted)) assert.deepEqual(read.properties[field], value, field);
  assert.deepEqual(read.keyOperations, ["sign"]);
}

/** A key made by Node, in the shape that the client imports. */
export function made(kind, options, keyOps) {
  const jwk = generateKeyPairSync(kind, options).privateKey.export({ format: "jwk" });
  const bytes = Object.entries(jwk).map(([part, text]) => [
    part,
    part === "kty" || part === "crv" ? text : new Uint8Array(Buffer.from(text, "base64url")),
  ]);
  return { ...Object.fromEntries(bytes), keyOps };
}

export async function key_import() {
  const keys = keyClient();
  const rsa = made("rsa", { modulusLength: 2048 }, ["sign", "verify"]);
  let imported = await keys.importKey(fresh("imported"), rsa, { tags: { from: "outside" } });
  assert.deepEqual([Buffer.from(imported.key.n), imported.key.d], [Buffer.from(rsa.n), undefined]);
  assert.deepEqual(imported.properties.tags, { from: "outside" });
  let signed = await cryptoClient(imported).sign("RS256", DIGESTS.sha256);
  verifiedElsewhere(imported.key, "RS256", signed.result);

  const ec = made("ec", { namedCurve: "P-384" }, ["sign"]);
  imported = await keys.importKey(fresh("imported"), ec);
  assert.deepEqual(Buffer.from(imported.key.x), Buffer.from(ec.x));
  signed = await cryptoClient(imported).sign("ES384", DIGESTS.sha384);
  verifiedElsewhere(imported.key, "ES384", signed.result);
}

export async function key_import_of_a_broken_key_is_refused() {
  const own = made("ec", { namedCurve: "P-256" }, ["sign"]);
  own.d = made("ec", { namedCurve: "P-256" }).d;
  await refused(400, () => keyClient().importKey(fresh("broken"), own), "BadParameter");
}

export async function key_versions() {
  const [keys, name] = [keyClient(), fresh("versions")];
  const made = [];
  for (let number = 0; number < 3; number++) made.push(await keys.createEcKey(name));
  const versions = made.map((key) => key.properties.version);
  assert.equal(new Set(versions).size, 3);
  for (const key of made) {
    assert.deepEqual((await keys.getKey(name, { version: key.properties.version })).key.x, key.key.x);
  }
  assert.equal((await keys.getKey(name)).properties.version, versions[2]);
  const listed = await all(keys.listPropertiesOfKeyVersions(name));
  assert.deepEqual(listed.map((item) => item.version).sort(), versions.toSorted());
}

export async function key_update() {
  const [keys, name, expiresOn] = [keyClient(), fresh("update"), daysFromNow(2)];
  const first = await keys.createRsaKey(name, { keySize: 2048, tags: { a: "1" } });
  const wanted = { keyOps: ["encrypt"], tags: { b: "2" }, expiresOn };
  const changed = await keys.updateKeyProperties(name, first.properties.version, wanted);
  assert.deepEqual([changed.keyOperations, changed.properties.tags], [["encrypt"], { b: "2" }]);
  assert.deepEqual([changed.properties.expiresOn, changed.key.n], [expiresOn, first.key.n]);
  assert(changed.properties.updatedOn >= first.properties.updatedOn);
  // Without a version the newest is meant, and what is not said stays.
  const { properties } = await keys.updateKeyProperties(name, { enabled: false });
  assert.deepEqual([properties.enabled, properties.tags, properties.expiresOn], [false, { b: "2" }, expiresOn]);
}

export async function key_update_keeps_operations() {
  const [keys, name] = [keyClient(), fresh("keeps")];
  await keys.createEcKey(name, { keyOps: ["sign"] });
  assert.deepEqual((await keys.updateKeyProperties(name, { tags: { b: "2" } })).keyOperations, ["sign"]);
}

export async function key_list_over_pages() {
  const [keys, prefix] = [keyClient(VAULT_B), fresh("page")];
  const names = Array.from({ length: 28 }, (_, number) => `${prefix}-${String(number).padStart(2, "0")}`);
  for (const name of names) await keys.createEcKey(name, { tags: { n: name.slice(-2) } });
  const pages = await all(keys.listPropertiesOfKeys().byPage());
  assert(pages.length >= 2 && pages.every((page) => page.length <= 25), `${pages.map((page) => page.length)}`);
  const listed = pages.flat().filter((item) => item.name.startsWith(prefix));
  assert.deepEqual(listed.map((item) => item.name).sort(), names);
  for (const item of listed) assert.deepEqual([item.tags, item.version], [{ n: item.name.slice(-2) }, undefined]);
}

export async function key_not_found() {
  const [keys, name] = [keyClient(), fresh("absent")];
  const attempts = [
    () => keys.getKey(name),
    () => keys.getDeletedKey(name),
    () => keys.beginDeleteKey(name, POLLING),
    () => keys.updateKeyProperties(name, ABSENT, { enabled: false }),
    () => keys.rotateKey(name),
  ];
  for (const attempt of attempts) await refused(404, attempt, "KeyNotFound");
  await keys.createEcKey(name);
  await refused(404, () => keys.getKey(name, { version: ABSENT }), "KeyNotFound");
}

export async function key_delete_and_recover() {
  const [keys, name] = [keyClient(), fresh("recover")];
  const first = await keys.createEcKey(name);
  const second = await keys.createEcKey(name, { tags: { k: "v" } });
  const crypto = cryptoClient(second);
  const deleted = await removed(keys, name);
  assert.deepEqual([deleted.name, deleted.properties.recoveryId], [name, `${vaultUrl()}/deletedkeys/${name}`]);
  assert(deleted.properties.scheduledPurgeDate > deleted.properties.deletedOn);
  await refused(404, () => keys.getKey(name), "KeyNotFound");
  await refused(404, () => keys.getKey(name, { version: first.properties.version }), "KeyNotFound");
  await refused(404, () => crypto.sign("ES256", DIGESTS.sha256), "KeyNotFound");
  assert(!(await all(keys.listPropertiesOfKeys())).some((item) => item.name === name));
  assert((await all(keys.listDeletedKeys())).some((item) => item.name === name));
  assert.deepEqual((await keys.getDeletedKey(name)).properties.tags, { k: "v" });
  await waited(keys.beginRecoverDeletedKey(name, POLLING));
  assert.deepEqual((await keys.getKey(name)).key.x, second.key.x);
  assert.deepEqual((await keys.getKey(name, { version: first.properties.version })).key.x, first.key.x);
  verifiedElsewhere(second.key, "ES256", (await crypto.sign("ES256", DIGESTS.sha256)).result);
}

export async function key_purge() {
  const [keys, name] = [keyClient(), fresh("purge")];
  const old = await keys.createEcKey(name);
  await removed(keys, name);
  await keys.purgeDeletedKey(name);
  await refused(404, () => keys.getDeletedKey(name), "KeyNotFound");
  await refused(404, () => keys.purgeDeletedKey(name), "KeyNotFound");
  const made = await keys.createEcKey(name);
  assert.notDeepEqual(made.key.x, old.key.x);
  const listed = await all(keys.listPropertiesOfKeyVersions(name));
  assert.deepEqual(listed.map((item) => item.version), [made.properties.version]);
}

export async function key_name_of_a_deleted_one_is_taken() {
  const [keys, name] = [keyClient(), fresh("taken")];
  await keys.createEcKey(name);
  await removed(keys, name);
  await refused(409, () => keys.createEcKey(name), "Conflict", "ObjectIsDeletedButRecoverable");
}

export async function key_backup_and_restore() {
  const [here, there, name] = [keyClient(VAULT_A), keyClient(VAULT_B), fresh("backup")];
  const first = await here.createRsaKey(name, { keySize: 2048, tags: { a: "b" } });
  const second = await here.createRsaKey(name, { keySize: 2048 });
  const backup = await here.backupKey(name);
  const restored = await there.restoreKeyBackup(backup);
  assert.deepEqual([restored.name, restored.properties.vaultUrl], [name, vaultUrl(VAULT_B)]);
  assert.deepEqual((await there.getKey(name)).key.n, second.key.n);
  const old = await there.getKey(name, { version: first.properties.version });
  assert.deepEqual([old.key.n, old.properties.tags], [first.key.n, { a: "b" }]);
  // The private half came with it.
  verifiedElsewhere(first.key, "PS256", (await cryptoClient(old).sign("PS256", DIGESTS.sha256)).result);
  await refused(409, () => there.restoreKeyBackup(backup), "Conflict");
}

export async function key_damaged_backup_is_refused() {
  const [here, there, name] = [keyClient(VAULT_A), keyClient(VAULT_B), fresh("damaged")];
  await here.createEcKey(name);
  const backup = Buffer.from(await here.backupKey(name));
  backup[backup.length >> 1] ^= 1;
  for (const damaged of [backup, Buffer.alloc(0), Buffer.from("not a backup at all")]) {
    await refused(400, () => there.restoreKeyBackup(damaged), "BadParameter");
  }
  await refused(404, () => there.getKey(name), "KeyNotFound");
}

export async function key_rotate() {
  const [keys, name] = [keyClient(), fresh("rotate")];
  const first = await keys.createRsaKey(name, { keySize: 3072, keyOps: ["sign", "verify"], tags: { kept: "yes" } });
  const second = await keys.rotateKey(name);
  assert.notEqual(second.properties.version, first.properties.version);
  assert.notDeepEqual(second.key.n, first.key.n);
  assert.equal(second.key.n.length, 384);
  assert.deepEqual([second.keyOperations, second.properties.tags], [first.keyOperations, { kept: "yes" }]);
  assert.equal((await keys.getKey(name)).id, second.id);
  verifiedElsewhere(first.key, "RS256", (await cryptoClient(first).sign("RS256", DIGESTS.sha256)).result);
}

export async function key_rotation_policy() {
  const [keys, name] = [keyClient(), fresh("policy")];
  await keys.createRsaKey(name, { keySize: 2048 });
  assert.deepEqual((await keys.getKeyRotationPolicy(name)).lifetimeActions.map((each) => each.action), ["Notify"]);
  const lifetimeActions = [
    { action: "Rotate", timeAfterCreate: "P30D" },
    { action: "Notify", timeBeforeExpiry: "P30D" },
  ];
  const written = await keys.updateKeyRotationPolicy(name, { lifetimeActions, expiresIn: "P90D" });
  for (const policy of [written, await keys.getKeyRotationPolicy(name)]) {
    assert.equal(policy.expiresIn, "P90D");
    const found = Object.fromEntries(policy.lifetimeActions.map((each) => [each.action.toLowerCase(), each]));
    assert.deepEqual([found.rotate.timeAfterCreate, found.rotate.timeBeforeExpiry], ["P30D", undefined]);
    assert.deepEqual([found.notify.timeAfterCreate, found.notify.timeBeforeExpiry], [undefined, "P30D"]);
  }
  // A key made now expires when the policy says.
  const { expiresOn, createdOn } = (await keys.rotateKey(name)).properties;
  assert(Math.abs(expiresOn - createdOn - 90 * 86_400_000) < 60_000, `${expiresOn}`);
  await refused(400, () => keys.updateKeyRotationPolicy(name, { lifetimeActions, expiresIn: "P1D" }), "BadParameter");
}

export async function key_random_bytes() {
  const hash = (bytes) => createHash("sha256").update(bytes).digest("hex");
  for (const keys of [keyClient(), keyClient(WORLD.premium_vault)]) {
    for (const count of [1, 32, 128]) assert.equal((await keys.getRandomBytes(count)).length, count);
    assert.notEqual(hash(await keys.getRandomBytes(32)), hash(await keys.getRandomBytes(32)));
    await refused(400, () => keys.getRandomBytes(129), "BadParameter");
  }
}

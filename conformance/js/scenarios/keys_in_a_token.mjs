// Keys of the HSM kinds in a premium vault: the token computes with them, and they never leave it.

import assert from "node:assert/strict";
import { X509Certificate, createPublicKey, randomBytes, verify } from "node:crypto";
import { readFileSync } from "node:fs";

import { PEM, begun, create, opened, policy } from "./certificates.mjs";
import { DIGESTS, TEXT, signs, verifiedElsewhere } from "./cryptography.mjs";
import { parsed } from "./key_release.mjs";
import { made } from "./keys.mjs";
import {
  POLLING, VAULT_A, WORLD, all, certificateClient, cryptoClient, fresh, keyClient, refused, secretClient, waited,
} from "./world.mjs";

const PREMIUM = WORLD.premium_vault;
const FIELDS = { "P-256": 32, "P-384": 48, "P-521": 66, "P-256K": 32 };

const rsaKey = (keySize = 2048) => keyClient(PREMIUM).createRsaKey(fresh("rsa"), { keySize, hsm: true });
const ecKey = (curve = "P-256") => keyClient(PREMIUM).createEcKey(fresh("ec"), { curve, hsm: true });
const octKey = (keySize, keyOps) => keyClient(PREMIUM).createOctKey(fresh("oct"), { keySize, keyOps, hsm: true });

async function signsAsItself(key) {
  verifiedElsewhere(key.key, "ES256", (await cryptoClient(key).sign("ES256", DIGESTS.sha256)).result);
}

export async function key_hsm_create() {
  for (const keySize of [2048, 3072]) {
    const { key, keyType, name } = await rsaKey(keySize);
    assert.deepEqual([keyType, key.n.length * 8, key.d, key.p], ["RSA-HSM", keySize, undefined, undefined]);
    assert.deepEqual((await keyClient(PREMIUM).getKey(name)).key.n, key.n);
  }
  for (const [curve, field] of Object.entries(FIELDS)) {
    const { key, keyType } = await ecKey(curve);
    assert.deepEqual([keyType, key.x.length, key.y.length, key.d], ["EC-HSM", field, field, undefined]);
  }
  for (const keySize of [128, 192, 256]) {
    const { key, keyType } = await octKey(keySize);
    assert.deepEqual([keyType, key.k], ["oct-HSM", undefined]);
  }
  // A premium vault holds keys in software as well.
  assert.equal((await keyClient(PREMIUM).createEcKey(fresh("soft"))).keyType, "EC");
}

export async function key_hsm_sign() {
  const rsa = await rsaKey();
  for (const algorithm of ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]) {
    verifiedElsewhere(rsa.key, algorithm, await signs(rsa, algorithm));
  }
  const algorithms = { "P-256": "ES256", "P-384": "ES384", "P-521": "ES512", "P-256K": "ES256K" };
  for (const [curve, algorithm] of Object.entries(algorithms)) {
    const key = await ecKey(curve);
    verifiedElsewhere(key.key, algorithm, await signs(key, algorithm));
  }
}

export async function key_hsm_encrypt_and_wrap() {
  const [crypto, other] = [cryptoClient(await rsaKey()), randomBytes(32)];
  for (const algorithm of ["RSA-OAEP", "RSA-OAEP-256"]) {
    const sealed = await crypto.encrypt({ algorithm, plaintext: TEXT });
    assert.deepEqual(Buffer.from((await crypto.decrypt({ algorithm, ciphertext: sealed.result })).result), TEXT);
    const wrapped = await crypto.wrapKey(algorithm, other);
    assert.deepEqual(Buffer.from((await crypto.unwrapKey(algorithm, wrapped.result)).result), other);
  }
  const ciphertext = randomBytes(256);
  await refused(400, () => crypto.decrypt({ algorithm: "RSA-OAEP", ciphertext }), "BadParameter");
}

export async function key_hsm_encrypt_and_wrap_aes() {
  for (const keySize of [128, 256]) {
    let crypto = cryptoClient(await octKey(keySize, ["encrypt", "decrypt"]));
    const [beside, other] = [Buffer.from("beside"), Buffer.from("other")];
    let algorithm = `A${keySize}GCM`;
    let sealed = await crypto.encrypt({ algorithm, plaintext: TEXT, additionalAuthenticatedData: beside });
    const parts = { algorithm, ciphertext: sealed.result, iv: sealed.iv, authenticationTag: sealed.authenticationTag };
    const back = await crypto.decrypt({ ...parts, additionalAuthenticatedData: beside });
    assert.deepEqual(Buffer.from(back.result), TEXT);
    await refused(400, () => crypto.decrypt({ ...parts, additionalAuthenticatedData: other }), "BadParameter");
    for (const [suffix, plaintext] of [["CBC", Buffer.alloc(32, 7)], ["CBCPAD", TEXT]]) {
      algorithm = `A${keySize}${suffix}`;
      sealed = await crypto.encrypt({ algorithm, plaintext, iv: randomBytes(16) });
      const text = await crypto.decrypt({ algorithm, ciphertext: sealed.result, iv: sealed.iv });
      assert.deepEqual(Buffer.from(text.result), plaintext);
    }
    crypto = cryptoClient(await octKey(keySize, ["wrapKey", "unwrapKey"]));
    const [wrapping, secret] = [`A${keySize}KW`, randomBytes(32)];
    const wrapped = (await crypto.wrapKey(wrapping, secret)).result;
    assert.equal(wrapped.length, 40);
    assert.deepEqual(Buffer.from((await crypto.unwrapKey(wrapping, wrapped)).result), secret);
    await refused(400, () => crypto.unwrapKey(wrapping, Buffer.alloc(40)), "BadParameter");
  }
}

export async function key_hsm_import() {
  const [own, options] = [made("ec", { namedCurve: "P-256" }, ["sign"]), { hardwareProtected: true }];
  const imported = await keyClient(PREMIUM).importKey(fresh("imported"), own, options);
  assert.deepEqual([imported.keyType, Buffer.from(imported.key.x)], ["EC-HSM", Buffer.from(own.x)]);
  await signsAsItself(imported);
  await refused(400, () => keyClient(VAULT_A).importKey(fresh("imported"), own, options), "BadParameter");
}

export async function key_hsm_import_wrapped() {
  const wrapped = { kty: "RSA-HSM", keyOps: ["sign", "verify"], t: new Uint8Array(readFileSync(WORLD.transfer_blob)) };
  const imported = await keyClient(PREMIUM).importKey(fresh("wrapped"), wrapped);
  const { n } = createPublicKey(readFileSync(WORLD.transfer_public_pem)).export({ format: "jwk" });
  assert.deepEqual([imported.keyType, Buffer.from(imported.key.n).toString("base64url")], ["RSA-HSM", n]);
  verifiedElsewhere(imported.key, "PS256", await signs(imported, "PS256"));
  await refused(400, () => keyClient(VAULT_A).importKey(fresh("wrapped"), wrapped), "BadParameter");
}

const statements = ({ properties: { attestation } }) =>
  [attestation.privateKeyAttestation, attestation.publicKeyAttestation].map((bytes) => Buffer.from(bytes).toString());

export async function key_attestation() {
  const [keys, key] = [keyClient(PREMIUM), await rsaKey()];
  const attested = await keys.getKeyAttestation(key.name, { version: key.properties.version });
  assert.deepEqual([attested.id, attested.key.n], [key.id, key.key.n]);
  const signer = new X509Certificate(Buffer.from(attested.properties.attestation.certificatePemFile)).publicKey;
  const kinds = ["CKO_PRIVATE_KEY", "CKO_PUBLIC_KEY"];
  for (const [at, statement] of statements(attested).entries()) {
    const [header, payload, signature] = statement.split(".");
    const signed = Buffer.from(`${header}.${payload}`);
    assert(verify("sha256", signed, signer, Buffer.from(signature, "base64url")), "the statement does not verify");
    const { kid, attributes } = parsed(payload);
    assert.deepEqual([kid, attributes.CKA_CLASS, attributes.CKA_LOCAL], [key.id, kinds[at], true]);
  }
  const own = made("ec", { namedCurve: "P-256" }, ["sign"]);
  const imported = await keys.importKey(fresh("imported"), own, { hardwareProtected: true });
  const [statement] = statements(await keys.getKeyAttestation(imported.name));
  const { attributes } = parsed(statement.split(".")[1]);
  assert.deepEqual([attributes.CKA_EXTRACTABLE, attributes.CKA_LOCAL], [false, false]);
  const soft = await keys.createEcKey(fresh("soft"));
  await refused(400, () => keys.getKeyAttestation(soft.name), "BadParameter");
}

export async function key_hsm_rotate() {
  const [keys, first] = [keyClient(PREMIUM), await ecKey()];
  const second = await keys.rotateKey(first.name);
  assert.equal(second.keyType, "EC-HSM");
  assert.notDeepEqual(second.key.x, first.key.x);
  for (const key of [first, second]) await signsAsItself(key);
  assert.equal((await all(keys.listPropertiesOfKeyVersions(first.name))).length, 2);
}

export async function key_hsm_delete_and_purge() {
  const [keys, key] = [keyClient(PREMIUM), await ecKey()];
  const backup = await keys.backupKey(key.name);
  await waited(keys.beginDeleteKey(key.name, POLLING));
  await refused(404, () => signsAsItself(key), "KeyNotFound");
  await waited(keys.beginRecoverDeletedKey(key.name, POLLING));
  await signsAsItself(key);
  await waited(keys.beginDeleteKey(key.name, POLLING));
  await keys.purgeDeletedKey(key.name);
  // The backup was a reference to the key in the token, which is gone.
  await refused(400, () => keys.restoreKeyBackup(backup), "BadParameter");
  await refused(404, () => keys.getKey(key.name), "KeyNotFound");
}

export async function certificate_hsm_key() {
  const how = policy({ keyType: "EC-HSM", exportable: false, contentType: PEM });
  const certificate = await create(certificateClient(PREMIUM), fresh("token"), how);
  const { value } = await secretClient(PREMIUM).getSecret(certificate.name);
  assert.deepEqual(new X509Certificate(value).raw, opened(certificate).raw);
  assert(!value.includes("PRIVATE"), "a private key is given out");
  const key = await keyClient(PREMIUM).getKey(certificate.name);
  assert.deepEqual([key.id, key.keyType], [certificate.keyId, "EC-HSM"]);
  await signsAsItself(key);
  await refused(400, () => begun(certificateClient(VAULT_A), fresh("token"), how), "BadParameter");
}

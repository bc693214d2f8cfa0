// What keys do, through @azure/keyvault-keys as it is; what can be checked elsewhere is, by Node's own cryptography.

import assert from "node:assert/strict";
import { constants, createHash, createPublicKey, randomBytes, verify } from "node:crypto";

import { CryptographyClient } from "@azure/keyvault-keys";

import { WORLD, cryptoClient, daysFromNow, fresh, keyClient, refused } from "./world.mjs";

export const TEXT = Buffer.from("what is signed");
const ALL = ["encrypt", "decrypt", "sign", "verify", "wrapKey", "unwrapKey"];
export const DIGESTS = Object.fromEntries(
  ["sha256", "sha384", "sha512"].map((name) => [name, createHash(name).update(TEXT).digest()]),
);

function digestOf(algorithm) {
  return `sha${algorithm.slice(2, 5)}`;
}

/** Fails unless Node takes the signature for one of this public key. */
export function verifiedElsewhere(jwk, algorithm, signature) {
  const text = (bytes) => bytes && Buffer.from(bytes).toString("base64url");
  const crv = jwk.crv === "P-256K" ? "secp256k1" : jwk.crv;
  const shown = { kty: jwk.kty.replace("-HSM", ""), crv, n: text(jwk.n), e: text(jwk.e), x: text(jwk.x), y: text(jwk.y) };
  const key = createPublicKey({ key: shown, format: "jwk" });
  const options = { key, dsaEncoding: "ieee-p1363" };
  if (algorithm.startsWith("PS")) {
    Object.assign(options, { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST });
  }
  assert(verify(digestOf(algorithm), TEXT, options, signature), `${algorithm} does not verify elsewhere`);
}

export async function signs(key, algorithm) {
  const [crypto, digest] = [cryptoClient(key), DIGESTS[digestOf(algorithm)]];
  const signed = await crypto.sign(algorithm, digest);
  assert.deepEqual([signed.keyID, signed.algorithm], [key.id, algorithm]);
  assert.equal((await crypto.verify(algorithm, digest, signed.result)).result, true, algorithm);
  const wrong = Buffer.from(signed.result);
  wrong[0] ^= 1;
  assert.equal((await crypto.verify(algorithm, digest, wrong)).result, false, `${algorithm} of another text`);
  return signed.result;
}

export async function key_sign_rsa() {
  const made = await keyClient().createRsaKey(fresh("sign"), { keySize: 2048 });
  for (const algorithm of ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]) {
    verifiedElsewhere(made.key, algorithm, await signs(made, algorithm));
  }
}

export async function key_sign_ec() {
  const algorithms = { "P-256": "ES256", "P-384": "ES384", "P-521": "ES512", "P-256K": "ES256K" };
  for (const [curve, algorithm] of Object.entries(algorithms)) {
    const made = await keyClient().createEcKey(fresh("sign"), { curve });
    verifiedElsewhere(made.key, algorithm, await signs(made, algorithm));
  }
}

export async function key_sign_hmac() {
  const made = await keyClient().createOctKey(fresh("sign"), { keySize: 256, keyOps: ["sign", "verify"] });
  for (const algorithm of ["HS256", "HS384", "HS512"]) await signs(made, algorithm);
}

export async function key_sign_with_the_wrong_algorithm_is_refused() {
  const crypto = cryptoClient(await keyClient().createEcKey(fresh("wrong")));
  for (const [algorithm, digest] of [["RS256", "sha256"], ["ES384", "sha384"], ["ES256", "sha384"]]) {
    await refused(400, () => crypto.sign(algorithm, DIGESTS[digest]), "BadParameter");
  }
}

export async function key_encrypt_rsa() {
  const crypto = cryptoClient(await keyClient().createRsaKey(fresh("encrypt"), { keySize: 2048 }));
  for (const algorithm of ["RSA1_5", "RSA-OAEP", "RSA-OAEP-256"]) {
    const sealed = await crypto.encrypt({ algorithm, plaintext: TEXT });
    const opened = await crypto.decrypt({ algorithm, ciphertext: sealed.result });
    assert.deepEqual(Buffer.from(opened.result), TEXT);
  }
  for (const algorithm of ["RSA-OAEP", "RSA-OAEP-256"]) {
    await refused(400, () => crypto.decrypt({ algorithm, ciphertext: randomBytes(256) }), "BadParameter");
  }
}

export async function key_encrypt_aes_gcm() {
  const additionalAuthenticatedData = Buffer.from("beside");
  for (const keySize of [128, 192, 256]) {
    const keyOps = ["encrypt", "decrypt"];
    const crypto = cryptoClient(await keyClient().createOctKey(fresh("gcm"), { keySize, keyOps }));
    const algorithm = `A${keySize}GCM`;
    const sealed = await crypto.encrypt({ algorithm, plaintext: TEXT, additionalAuthenticatedData });
    assert(sealed.iv && sealed.authenticationTag);
    const parts = { algorithm, ciphertext: sealed.result, iv: sealed.iv, authenticationTag: sealed.authenticationTag };
    const opened = await crypto.decrypt({ ...parts, additionalAuthenticatedData });
    assert.deepEqual(Buffer.from(opened.result), TEXT);
    const other = { ...parts, additionalAuthenticatedData: Buffer.from("other") };
    await refused(400, () => crypto.decrypt(other), "BadParameter");
  }
}

export async function key_encrypt_aes_cbc() {
  for (const keySize of [128, 192, 256]) {
    const keyOps = ["encrypt", "decrypt"];
    const crypto = cryptoClient(await keyClient().createOctKey(fresh("cbc"), { keySize, keyOps }));
    for (const [suffix, plaintext] of [["CBC", Buffer.alloc(32, 7)], ["CBCPAD", TEXT]]) {
      const algorithm = `A${keySize}${suffix}`;
      const sealed = await crypto.encrypt({ algorithm, plaintext, iv: randomBytes(16) });
      const opened = await crypto.decrypt({ algorithm, ciphertext: sealed.result, iv: sealed.iv });
      assert.deepEqual(Buffer.from(opened.result), plaintext);
    }
  }
}

export async function key_wrap_rsa() {
  const crypto = cryptoClient(await keyClient().createRsaKey(fresh("wrap"), { keySize: 2048 }));
  const other = randomBytes(32);
  for (const algorithm of ["RSA1_5", "RSA-OAEP", "RSA-OAEP-256"]) {
    const wrapped = await crypto.wrapKey(algorithm, other);
    assert.deepEqual(Buffer.from((await crypto.unwrapKey(algorithm, wrapped.result)).result), other);
  }
}

export async function key_wrap_aes() {
  const other = randomBytes(32);
  for (const keySize of [128, 192, 256]) {
    const keyOps = ["wrapKey", "unwrapKey"];
    const crypto = cryptoClient(await keyClient().createOctKey(fresh("wrap"), { keySize, keyOps }));
    const algorithm = `A${keySize}KW`;
    const wrapped = (await crypto.wrapKey(algorithm, other)).result;
    assert.equal(wrapped.length, 40);
    assert.deepEqual(Buffer.from((await crypto.unwrapKey(algorithm, wrapped)).result), other);
    await refused(400, () => crypto.unwrapKey(algorithm, Buffer.alloc(40)), "BadParameter");
  }
}

export async function key_wrap_for_who_cannot_read_it() {
  const [id, other] = [WORLD.seeded_wrapping_key_id, randomBytes(32)];
  await refused(403, () => keyClient().getKey(id.split("/").at(-2)), "ForbiddenByRbac");
  const wrapped = (await cryptoClient(id).wrapKey("A256KW", other)).result;
  // Another client has nothing of the first one's but what it wrapped.
  assert.deepEqual(Buffer.from((await cryptoClient(id).unwrapKey("A256KW", wrapped)).result), other);
  await refused(400, () => cryptoClient(id).unwrapKey("A256KW", Buffer.alloc(40)), "BadParameter");
}

export async function key_operations_are_enforced() {
  const [keys, name] = [keyClient(), fresh("only")];
  // The client looks at the operations itself, so it was made while all of them were permitted.
  const crypto = cryptoClient(await keys.createRsaKey(name, { keySize: 2048, keyOps: ALL }));
  await keys.updateKeyProperties(name, { keyOps: ["encrypt"] });
  const attempts = [
    () => crypto.sign("RS256", DIGESTS.sha256),
    () => crypto.verify("RS256", DIGESTS.sha256, Buffer.alloc(256)),
    () => crypto.decrypt({ algorithm: "RSA-OAEP", ciphertext: Buffer.alloc(256) }),
    () => crypto.unwrapKey("RSA-OAEP", Buffer.alloc(256)),
  ];
  for (const attempt of attempts) await refused(403, attempt, "Forbidden", "KeyOperationForbidden");
}

export async function key_disabled_cannot_be_used() {
  const [keys, name] = [keyClient(), fresh("disabled")];
  const crypto = cryptoClient(await keys.createEcKey(name));
  await crypto.sign("ES256", DIGESTS.sha256);
  await keys.updateKeyProperties(name, { enabled: false });
  await refused(403, () => crypto.sign("ES256", DIGESTS.sha256), "Forbidden", "KeyDisabled");
  await keys.updateKeyProperties(name, { enabled: true });
  await crypto.sign("ES256", DIGESTS.sha256);
}

export async function key_outside_its_dates_cannot_be_used() {
  const keys = keyClient();
  const cases = [
    [{ expiresOn: daysFromNow(-1) }, "KeyExpired"],
    [{ notBefore: daysFromNow(1) }, "KeyNotYetValid"],
  ];
  for (const [dates, said] of cases) {
    const name = fresh("dates");
    // The client was made while the key was good, so that it is the vault that refuses.
    const crypto = cryptoClient(await keys.createEcKey(name));
    await keys.updateKeyProperties(name, dates);
    await refused(403, () => crypto.sign("ES256", DIGESTS.sha256), "Forbidden", said);
  }
}

export async function key_of_an_older_version_still_opens() {
  const [keys, name, algorithm] = [keyClient(), fresh("older"), "RSA-OAEP-256"];
  const crypto = cryptoClient(await keys.createRsaKey(name, { keySize: 2048 }));
  const sealed = await crypto.encrypt({ algorithm, plaintext: TEXT });
  await keys.rotateKey(name);
  assert.deepEqual(Buffer.from((await crypto.decrypt({ algorithm, ciphertext: sealed.result })).result), TEXT);
}

export async function key_local_and_remote_agree() {
  const made = await keyClient().createRsaKey(fresh("local"), { keySize: 2048 });
  const [local, remote, algorithm] = [new CryptographyClient(made.key), cryptoClient(made), "RSA-OAEP"];
  const sealed = await local.encrypt({ algorithm, plaintext: TEXT });
  assert.deepEqual(Buffer.from((await remote.decrypt({ algorithm, ciphertext: sealed.result })).result), TEXT);
  const signed = await remote.signData("RS256", TEXT);
  assert.equal((await local.verifyData("RS256", TEXT, signed.result)).result, true);
}

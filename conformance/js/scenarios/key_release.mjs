// A key that leaves the vault, wrapped for an environment that an attestation service vouches for.

import assert from "node:assert/strict";
import { constants, createDecipheriv, createPrivateKey, createPublicKey, privateDecrypt } from "node:crypto";
import { readFileSync } from "node:fs";

import { WORLD, fresh, keyClient, refused } from "./world.mjs";

const NONCE = "asked now";

function exportable() {
  const allOf = [{ claim: "x-ms-attestation-type", equals: "sevsnpvm" }];
  const rules = { version: "1.0.0", anyOf: [{ authority: WORLD.attestation_authority, allOf }] };
  return { exportable: true, releasePolicy: { encodedPolicy: Buffer.from(JSON.stringify(rules)) } };
}

export const parsed = (text) => JSON.parse(Buffer.from(text, "base64url"));

/** What the environment does: OAEP with its own key, and under that AES key wrap with padding (RFC 5649). */
function unwrapped(released) {
  const key = createPrivateKey(readFileSync(WORLD.environment_pem));
  const ciphertext = Buffer.from(parsed(released.key_hsm).ciphertext, "base64url");
  const size = key.asymmetricKeyDetails.modulusLength / 8;
  const options = { key, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: "sha1" };
  const wrapping = privateDecrypt(options, ciphertext.subarray(0, size));
  const decipher = createDecipheriv("id-aes256-wrap-pad", wrapping, Buffer.from("a65959a6", "hex"));
  const der = Buffer.concat([decipher.update(ciphertext.subarray(size)), decipher.final()]);
  return createPrivateKey({ key: der, format: "der", type: "pkcs8" });
}

export async function key_release() {
  const [keys, name] = [keyClient(), fresh("released")];
  const made = await keys.createEcKey(name, exportable());
  assert.equal(made.properties.exportable, true);
  const options = { version: made.properties.version, nonce: NONCE };
  const { value } = await keys.releaseKey(name, WORLD.attestation_token, options);
  const { request, response } = parsed(value.split(".")[1]);
  assert.deepEqual([request.kid, request.nonce], [made.id, NONCE]);
  const { x, y } = createPublicKey(unwrapped(response.key.key)).export({ format: "jwk" });
  assert.deepEqual([made.key.x, made.key.y].map((part) => Buffer.from(part).toString("base64url")), [x, y]);
}

export async function key_release_is_refused() {
  const [keys, name] = [keyClient(), fresh("kept")];
  await keys.createEcKey(name, exportable());
  const no = ["Forbidden", "KeyReleaseForbidden"];
  // It is well signed, and says of the environment something else than the policy asks for.
  await refused(403, () => keys.releaseKey(name, WORLD.attestation_token_of_another), ...no);
  await refused(403, () => keys.releaseKey(name, `${WORLD.attestation_token.slice(0, -8)}AAAAAAAA`), ...no);
  const stays = await keys.createEcKey(fresh("stays"));
  await refused(403, () => keys.releaseKey(stays.name, WORLD.attestation_token), "Forbidden");
  // A key leaves by a policy or not at all.
  await refused(400, () => keys.createEcKey(fresh("open"), { exportable: true }), "BadParameter");
}

// What happens to those who may use keys and not change them, or not even that.

import assert from "node:assert/strict";

import { DIGESTS } from "./cryptography.mjs";
import { made } from "./keys.mjs";
import { WORLD, cryptoClient, fresh, keyClient, refused, vaultUrl } from "./world.mjs";

const ACTION = "Microsoft.KeyVault/vaults/keys/";
const NAME = WORLD.seeded_key;

export async function key_user_cannot_change_keys() {
  const keys = keyClient();
  const seeded = await keys.getKey(NAME);
  const crypto = cryptoClient(seeded);
  const { result } = await crypto.sign("ES256", DIGESTS.sha256);
  assert.equal((await crypto.verify("ES256", DIGESTS.sha256, result)).result, true);
  const attempts = [
    ["create/action", () => keys.createEcKey(fresh("refused"))],
    ["import/action", () => keys.importKey(fresh("refused"), made("ec", { namedCurve: "P-256" }, ["sign"]))],
    ["delete", () => keys.beginDeleteKey(NAME)],
    ["purge/action", () => keys.purgeDeletedKey(NAME)],
    ["rotate/action", () => keys.rotateKey(NAME)],
  ];
  for (const [action, attempt] of attempts) await refused(403, attempt, "ForbiddenByRbac", ACTION + action);
  const policy = () => keys.updateKeyRotationPolicy(NAME, { expiresIn: "P90D", lifetimeActions: [] });
  await refused(403, policy, "ForbiddenByRbac", "Microsoft.KeyVault/vaults/keyrotationpolicies/write");
}

export async function key_without_a_role() {
  const { client_id, principal_id } = WORLD.identities.stranger;
  for (const name of [NAME, fresh("absent")]) {
    const said = ["Forbidden", "ForbiddenByRbac", `${ACTION}read`, client_id, principal_id];
    await refused(403, () => keyClient().getKey(name), ...said);
  }
  const crypto = cryptoClient(`${vaultUrl()}/keys/${NAME}/${"0".repeat(32)}`);
  await refused(403, () => crypto.sign("ES256", DIGESTS.sha256), "ForbiddenByRbac");
}

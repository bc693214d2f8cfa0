// What happens to those who may not, and what they are told.

import assert from "node:assert/strict";

import { ManagedIdentityCredential } from "@azure/identity";
import { SecretClient } from "@azure/keyvault-secrets";

import { VAULT_A, VAULT_B, WORLD, all, fresh, readsTheSeededSecret, refused, secretClient, vaultUrl } from "./world.mjs";

const ACTION = "Microsoft.KeyVault/vaults/secrets/";
const NAME = WORLD.seeded_name;

export async function no_role_names_the_data_action() {
  const { client_id, principal_id } = WORLD.identities.stranger;
  const said = ["Forbidden", "ForbiddenByRbac", `${ACTION}getSecret/action`, client_id, principal_id, VAULT_A];
  await refused(403, () => secretClient().getSecret(NAME), ...said);
  // A name that is not there says no more than one that is.
  await refused(403, () => secretClient().getSecret(fresh("absent")), ...said);
}

export async function reader_cannot_write() {
  const client = secretClient();
  await readsTheSeededSecret(client);
  const attempts = [
    ["setSecret/action", () => client.setSecret(NAME, "other")],
    ["delete", () => client.beginDeleteSecret(NAME)],
    ["backup/action", () => client.backupSecret(NAME)],
    ["update/action", () => client.updateSecretProperties(NAME, "", { enabled: false })],
    ["purge/action", () => client.purgeDeletedSecret(NAME)],
  ];
  for (const [action, attempt] of attempts) await refused(403, attempt, "ForbiddenByRbac", ACTION + action);
  // The poller of this client asks whether the secret is there before it asks for the recovery.
  await readsTheSeededSecret(client);
}

export async function role_on_one_vault_is_no_role_on_another() {
  await readsTheSeededSecret(secretClient(VAULT_A));
  await refused(403, () => secretClient(VAULT_B).getSecret(NAME), "ForbiddenByRbac", VAULT_B);
  // This client drops the body of a refused listing, and says so itself.
  await refused(403, () => all(secretClient(VAULT_B).listPropertiesOfSecrets()), "Forbidden");
}

export async function unknown_vault() {
  const options = { retryOptions: { maxRetries: 0 } };
  const client = new SecretClient(vaultUrl("no-such-vault"), new ManagedIdentityCredential(), options);
  let error;
  try {
    await client.getSecret(NAME);
  } catch (caught) {
    error = caught;
  }
  assert(error, "a vault that does not exist answered");
  // Real Azure has no such name in DNS; a refusal by the proxy reads the same to the client.
  if (error.statusCode !== undefined) assert(error.statusCode >= 400 && error.statusCode < 500, `${error}`);
}

// What the scenarios share: the world they run in, clients for it, and how a refusal is looked at.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";

import { ManagedIdentityCredential } from "@azure/identity";
import { CertificateClient } from "@azure/keyvault-certificates";
import { CryptographyClient, KeyClient } from "@azure/keyvault-keys";
import { SecretClient } from "@azure/keyvault-secrets";

import { RECORDED } from "./recording.mjs";

export const WORLD = JSON.parse(readFileSync(process.env.CONFORMANCE_WORLD, "utf8"));
export const [VAULT_A, VAULT_B] = WORLD.vaults;

/** The address of a vault: by our own suffix, or by the one that the proxy answers for. */
export function vaultUrl(name = VAULT_A, isPublic = false) {
  return `https://${name}.${isPublic ? "vault.azure.net" : WORLD.vault_suffix}`;
}

/** A client as an application would write it, with every check that it makes by itself. */
export function secretClient(vault = VAULT_A, credential = new ManagedIdentityCredential(), isPublic = false) {
  return new SecretClient(vaultUrl(vault, isPublic), credential, RECORDED);
}

/** The same for keys. */
export function keyClient(vault = VAULT_A) {
  return new KeyClient(vaultUrl(vault), new ManagedIdentityCredential(), RECORDED);
}

/** The same for certificates. */
export function certificateClient(vault = VAULT_A) {
  return new CertificateClient(vaultUrl(vault), new ManagedIdentityCredential(), RECORDED);
}

/** What uses a key: what it can do by itself it does, the rest is asked of the vault. */
export function cryptoClient(key) {
  return new CryptographyClient(key, new ManagedIdentityCredential(), RECORDED);
}

/** A name that no other scenario uses. */
export function fresh(prefix) {
  return `${prefix}-${randomUUID().replaceAll("-", "").slice(0, 12)}`;
}

/** Reads what the runner wrote, and checks it. */
export async function readsTheSeededSecret(client) {
  assert.equal((await client.getSecret(WORLD.seeded_name)).value, WORLD.seeded_value);
}

/** Expects `attempt` to be refused with `status` and a body that says each of `parts`. */
export async function refused(status, attempt, ...parts) {
  let error;
  try {
    await attempt();
  } catch (caught) {
    error = caught;
  }
  assert(error, `expected a refusal with ${status}, and it was allowed`);
  if (error.statusCode === undefined) throw error;
  const said = error.response?.bodyAsText ?? `${error.code} ${error.message} ${JSON.stringify(error.details ?? {})}`;
  assert.equal(error.statusCode, status, said);
  for (const part of parts) assert(said.includes(part), `\`${part}\` is not in the refusal: ${said}`);
}

/** Everything that a listing yields. */
export async function all(iterator) {
  const items = [];
  for await (const item of iterator) items.push(item);
  return items;
}

/** A point in time, in whole seconds as a vault keeps it. */
export function daysFromNow(days) {
  return new Date((Math.floor(Date.now() / 1000) + days * 86_400) * 1000);
}

/** How often a poller asks; the default is meant for a service far away. */
export const POLLING = { intervalInMs: 100 };

export async function waited(begun) {
  return (await begun).pollUntilDone();
}

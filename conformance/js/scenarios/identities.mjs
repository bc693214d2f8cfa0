// How a program proves who it is, with the credentials of @azure/identity as they are.

import assert from "node:assert/strict";

import { ClientCertificateCredential, DefaultAzureCredential, ManagedIdentityCredential } from "@azure/identity";

import { VAULT_A, WORLD, readsTheSeededSecret, secretClient } from "./world.mjs";

const VAULT_SCOPE = "https://vault.azure.net/.default";
const READER = WORLD.identities.reader;
const OFFICER = WORLD.identities.officer;

export async function managed_identity_app_service() {
  assert("IDENTITY_ENDPOINT" in process.env && !("AZURE_POD_IDENTITY_AUTHORITY_HOST" in process.env));
  await readsTheSeededSecret(secretClient());
}

export async function managed_identity_pod_identity() {
  assert(!("IDENTITY_ENDPOINT" in process.env) && "AZURE_POD_IDENTITY_AUTHORITY_HOST" in process.env);
  await readsTheSeededSecret(secretClient());
}

export async function managed_identity_proxy_only() {
  for (const name of ["IDENTITY_ENDPOINT", "IDENTITY_HEADER", "AZURE_POD_IDENTITY_AUTHORITY_HOST"]) {
    assert(!(name in process.env), `${name} is set`);
  }
  await readsTheSeededSecret(secretClient(VAULT_A, new ManagedIdentityCredential(), true));
}

export async function managed_identity_by_client_id() {
  const selectors = [
    { clientId: READER.client_id },
    { objectId: READER.principal_id },
    { resourceId: READER.resource_id },
  ];
  for (const selector of selectors) {
    await readsTheSeededSecret(secretClient(VAULT_A, new ManagedIdentityCredential(selector)));
  }
}

export async function managed_identity_of_another_is_refused() {
  await getsNoToken(new ManagedIdentityCredential({ clientId: OFFICER.client_id }));
}

export async function unattested_process_gets_no_token() {
  assert("IDENTITY_ENDPOINT" in process.env);
  await getsNoToken(new ManagedIdentityCredential());
}

export async function refusal_says_what_was_seen() {
  const error = await getsNoToken(new ManagedIdentityCredential());
  assert(error.message.includes(`uid ${process.getuid()}`), error.message);
}

export const refusal_says_what_was_seen_app_service = refusal_says_what_was_seen;

export async function default_azure_credential() {
  await readsTheSeededSecret(secretClient(VAULT_A, new DefaultAzureCredential(), true));
}

export async function token_for_another_audience() {
  const credential = new ManagedIdentityCredential();
  for (const audience of ["https://vault.azure.net", "https://management.azure.com"]) {
    const { token } = await credential.getToken(`${audience}/.default`);
    const claims = JSON.parse(Buffer.from(token.split(".")[1], "base64url"));
    assert.equal(claims.aud.replace(/\/$/, ""), audience);
    assert.equal(claims.tid, WORLD.tenant);
    assert.equal(claims.oid, READER.principal_id);
    assert.equal(claims.appid ?? claims.azp, READER.client_id);
  }
}

export async function certificate_credential() {
  assert(!("AZURE_AUTHORITY_HOST" in process.env));
  await readsTheSeededSecret(secretClient(VAULT_A, certificate(), true));
}

export async function certificate_credential_own_authority() {
  // Instance discovery cannot know a private authority, so this client's way to one by environment alone is the
  // authority kind without discovery: the tenant called `adfs`.
  assert.equal(process.env.AZURE_AUTHORITY_HOST, WORLD.authority);
  await readsTheSeededSecret(secretClient(VAULT_A, certificate(WORLD.certificate_pem, "adfs")));
}

export async function certificate_credential_reuses_its_assertion() {
  const credential = certificate();
  const tokens = new Set();
  for (const resource of ["https://vault.azure.net", "https://management.azure.com", "https://graph.microsoft.com"]) {
    tokens.add((await credential.getToken(`${resource}/.default`)).token);
  }
  assert.equal(tokens.size, 3);
}

export async function unregistered_certificate_is_refused() {
  const error = await getsNoToken(certificate(WORLD.unregistered_certificate_pem));
  assert(error.message.includes("AADSTS700027"), error.message);
}

function certificate(path = WORLD.certificate_pem, tenant = WORLD.tenant) {
  return new ClientCertificateCredential(tenant, WORLD.application_client_id, path);
}

async function getsNoToken(credential) {
  let token;
  try {
    token = await credential.getToken(VAULT_SCOPE);
  } catch (error) {
    return error;
  }
  throw new assert.AssertionError({ message: `a token that nobody vouches for: ${typeof token}` });
}

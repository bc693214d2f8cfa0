// Certificates that others sign, and files that are none, through @azure/keyvault-certificates as it is.

import assert from "node:assert/strict";
import { X509Certificate, createPrivateKey, createPublicKey } from "node:crypto";

import { Authority, ecKeys, named, opened } from "./authority.mjs";
import { PEM, begun, create, policy } from "./certificates.mjs";
import { POLLING, certificateClient, fresh, refused, secretClient } from "./world.mjs";

/** How far the operation is. */
async function operation(certificates, name) {
  const poller = await certificates.getCertificateOperation(name, POLLING);
  await poller.poll();
  return poller.getOperationState().certificateOperation;
}

export async function certificate_request_and_merge() {
  const [certificates, name, authority] = [certificateClient(), fresh("merge"), new Authority()];
  await begun(certificates, name, policy({ issuerName: "Unknown", subject: "CN=merged.example", contentType: PEM }));
  const { csr, status } = await operation(certificates, name);
  assert.equal(status, "inProgress");
  const { subject, publicKey } = opened(csr);
  assert.deepEqual(subject, named("merged.example"));
  const chain = [authority.issue(publicKey, subject), authority.certificate];
  // The client takes tags here and does not send them.
  const merged = await certificates.mergeCertificate(name, chain.map((each) => each.raw));
  assert.deepEqual(Buffer.from(merged.cer), chain[0].raw);
  assert.equal((await operation(certificates, name)).status, "completed");
  const { value } = await secretClient().getSecret(name);
  const pems = value.match(/-----BEGIN CERTIFICATE-----[^]*?-----END CERTIFICATE-----/g);
  assert.deepEqual(pems.map((pem) => new X509Certificate(pem).raw), chain.map((each) => each.raw));
  assert(createPublicKey(createPrivateKey(value)).equals(publicKey), "the key of another certificate");
}

export async function certificate_merge_of_another_key_is_refused() {
  const [certificates, name] = [certificateClient(), fresh("another")];
  await begun(certificates, name, policy({ issuerName: "Unknown" }));
  const leaf = new Authority().issue(ecKeys().publicKey, named("conformance.example"));
  await refused(400, () => certificates.mergeCertificate(name, [leaf.raw]), "BadParameter");
  assert.equal((await operation(certificates, name)).status, "inProgress");
}

export async function certificate_import_of_a_broken_file_is_refused() {
  const certificates = certificateClient();
  const [own, other] = [ecKeys(), ecKeys()];
  const leaf = new Authority().issue(own.publicKey, named("elsewhere.example")).toString();
  // Node makes no PKCS #12, so that it is one of the vault's own that does not open.
  const made = await create(certificates, fresh("origin"));
  const { value } = await secretClient().getSecret(made.name);
  const inPem = { policy: policy({ issuerName: "Unknown", contentType: PEM }) };
  const files = [
    ["not a certificate at all", {}],
    [Buffer.from(value, "base64"), { password: "wrong" }],
    // Without a key, and with the key of another.
    [leaf, inPem],
    [other.privateKey.export({ type: "pkcs8", format: "pem" }) + leaf, inPem],
  ];
  for (const [file, options] of files) {
    const name = fresh("broken");
    await refused(400, () => certificates.importCertificate(name, Buffer.from(file), options), "BadParameter");
    await refused(404, () => certificates.getCertificate(name), "CertificateNotFound");
  }
}

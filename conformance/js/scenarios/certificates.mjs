// The life of certificates, through @azure/keyvault-certificates as it is; what comes out is read by Node's OpenSSL.

import assert from "node:assert/strict";
import { X509Certificate, createPrivateKey, createPublicKey } from "node:crypto";
import { createSecureContext } from "node:tls";

import { DIGESTS, verifiedElsewhere } from "./cryptography.mjs";
import {
  POLLING, VAULT_A, VAULT_B, WORLD, all, certificateClient, cryptoClient, fresh, keyClient, refused, secretClient,
  vaultUrl, waited,
} from "./world.mjs";

const ABSENT = "0".repeat(32);
const ACTION = "Microsoft.KeyVault/vaults/";
const DEFAULT = { issuerName: "Self", subject: "CN=DefaultPolicy" };
export const PEM = "application/x-pem-file";

/** A policy whose key is quickly made; what is not said is left to the vault. */
export function policy(properties = {}) {
  return { issuerName: "Self", subject: "CN=conformance.example", keyType: "EC", keyCurveName: "P-256", ...properties };
}

export const begun = (client, name, how = policy(), options = {}) =>
  client.beginCreateCertificate(name, how, { ...POLLING, ...options });
export const create = (client, name, how, options) => waited(begun(client, name, how, options));
const removed = (client, name) => waited(client.beginDeleteCertificate(name, POLLING));
export const opened = (certificate) => new X509Certificate(certificate.cer);
const bytes = (found) => Buffer.from(found);

/** Fails unless this is the private half of the certificate. */
function belongs(key, certificate) {
  assert(createPublicKey(key).equals(certificate.publicKey), "the key of another certificate");
}

export async function certificate_create_self_signed() {
  const [certificates, name] = [certificateClient(), fresh("self")];
  const made = await create(certificates, name, DEFAULT, { tags: { a: "b" } });
  const { version, tags, enabled, x509Thumbprint, recoveryLevel, notBefore, expiresOn } = made.properties;
  assert.deepEqual([made.name, tags, enabled], [name, { a: "b" }, true]);
  const ids = ["certificates", "keys", "secrets"].map((collection) => `${vaultUrl()}/${collection}/${name}/${version}`);
  assert.deepEqual([made.properties.id, made.keyId, made.secretId], ids);
  const found = opened(made);
  assert(found.verify(found.publicKey) && recoveryLevel);
  assert.deepEqual([found.subject, found.publicKey.asymmetricKeyDetails.modulusLength], ["CN=DefaultPolicy", 2048]);
  assert.equal(bytes(x509Thumbprint).toString("hex").toUpperCase(), found.fingerprint.replaceAll(":", ""));
  assert.deepEqual([notBefore, expiresOn], [new Date(found.validFrom), new Date(found.validTo)]);
}

export async function certificate_default_policy() {
  const [certificates, name] = [certificateClient(), fresh("default")];
  await create(certificates, name, DEFAULT);
  const { policy: shown } = await certificates.getCertificate(name);
  for (const found of [shown, await certificates.getCertificatePolicy(name)]) {
    assert.deepEqual([found.issuerName, found.subject], ["Self", "CN=DefaultPolicy"]);
    assert.equal(found.contentType, "application/x-pkcs12");
    assert.deepEqual([found.keyType, found.keySize, found.exportable, found.reuseKey], ["RSA", 2048, true, false]);
    assert.deepEqual([found.validityInMonths, found.enabled], [12, true]);
    assert.deepEqual(found.enhancedKeyUsage.toSorted(), ["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"]);
    assert.deepEqual(found.keyUsage.toSorted(), ["digitalSignature", "keyEncipherment"]);
    const actions = found.lifetimeActions.map((each) => [each.action, each.lifetimePercentage]);
    assert.deepEqual(actions, [["AutoRenew", 80]]);
  }
}

export async function certificate_create_ec() {
  for (const [keyCurveName, named] of [["P-256", "prime256v1"], ["P-384", "secp384r1"], ["P-521", "secp521r1"]]) {
    const found = opened(await create(certificateClient(), fresh("ec"), policy({ keyCurveName })));
    assert(found.verify(found.publicKey));
    assert.equal(found.publicKey.asymmetricKeyDetails.namedCurve, named);
  }
}

export async function certificate_names_and_usages() {
  const wanted = {
    subject: "CN=names.example, O=Team One, C=CH",
    subjectAlternativeNames: { dnsNames: ["names.example", "*.names.example"], emails: ["someone@names.example"] },
    enhancedKeyUsage: ["1.3.6.1.5.5.7.3.3"],
    keyUsage: ["digitalSignature", "nonRepudiation"],
    validityInMonths: 3,
  };
  const found = opened(await create(certificateClient(), fresh("names"), policy(wanted)));
  assert.deepEqual(found.subject.split("\n").toSorted(), ["C=CH", "CN=names.example", "O=Team One"]);
  const names = found.subjectAltName.split(", ").toSorted();
  assert.deepEqual(names, ["DNS:*.names.example", "DNS:names.example", "email:someone@names.example"]);
  assert.deepEqual(found.keyUsage, ["1.3.6.1.5.5.7.3.3"]);
  const days = (new Date(found.validTo) - new Date(found.validFrom)) / 86_400_000;
  assert(Math.abs(days - 91) < 3, `valid for ${days} days`);
}

export async function certificate_policy_without_sense_is_refused() {
  const wrong = [
    { keyType: "RSA", keySize: 1024, keyCurveName: undefined },
    { validityInMonths: 100_000 },
    { contentType: "text/plain" },
    { subject: "not a name" },
    { issuerName: "NoSuchIssuer" },
  ];
  for (const each of wrong) {
    await refused(400, () => begun(certificateClient(), fresh("wrong"), policy(each)), "BadParameter");
  }
}

export async function certificate_versions() {
  const [certificates, name, made] = [certificateClient(), fresh("versions"), []];
  for (let number = 0; number < 3; number++) made.push(await create(certificates, name));
  const versions = made.map((each) => each.properties.version);
  assert.equal(new Set(versions).size, 3);
  for (const each of made) {
    assert.deepEqual((await certificates.getCertificateVersion(name, each.properties.version)).cer, each.cer);
  }
  assert.equal((await certificates.getCertificate(name)).properties.version, versions[2]);
  const listed = await all(certificates.listPropertiesOfCertificateVersions(name));
  assert.deepEqual(listed.map((item) => item.version).sort(), versions.toSorted());
}

export async function certificate_list_over_pages() {
  const [certificates, prefix] = [certificateClient(VAULT_B), fresh("page")];
  const names = Array.from({ length: 27 }, (_, number) => `${prefix}-${String(number).padStart(2, "0")}`);
  for (const name of names) await create(certificates, name, policy(), { tags: { n: name.slice(-2) } });
  const pages = await all(certificates.listPropertiesOfCertificates().byPage());
  assert(pages.length >= 2 && pages.every((page) => page.length <= 25), `${pages.map((page) => page.length)}`);
  const listed = pages.flat().filter((item) => item.name.startsWith(prefix));
  assert.deepEqual(listed.map((item) => item.name).sort(), names);
  for (const item of listed) assert.deepEqual([item.tags, item.version], [{ n: item.name.slice(-2) }, undefined]);
}

export async function certificate_pending_is_listed_when_asked() {
  const [certificates, name] = [certificateClient(), fresh("pending")];
  await begun(certificates, name, policy({ issuerName: "Unknown" }));
  const isListed = async (options) =>
    (await all(certificates.listPropertiesOfCertificates(options))).some((item) => item.name === name);
  assert.deepEqual([await isListed(), await isListed({ includePending: true })], [false, true]);
}

export async function certificate_policy_update() {
  const [certificates, name] = [certificateClient(), fresh("policy")];
  await create(certificates, name);
  const lifetimeActions = [{ action: "EmailContacts", daysBeforeExpiry: 20 }];
  const wanted = policy({ subject: "CN=changed.example", validityInMonths: 6, lifetimeActions, reuseKey: true });
  // The client does not look at the answer.
  await certificates.updateCertificatePolicy(name, wanted);
  const found = await certificates.getCertificatePolicy(name);
  assert.deepEqual([found.subject, found.validityInMonths, found.reuseKey], ["CN=changed.example", 6, true]);
  assert.deepEqual(found.lifetimeActions.map((each) => [each.action, each.daysBeforeExpiry]), [["EmailContacts", 20]]);
  assert.deepEqual([found.keyType, found.keyCurveName], ["EC", "P-256"]);
  // What is there stays as it was made; the next one follows the policy.
  assert.equal(opened(await certificates.getCertificate(name)).subject, "CN=conformance.example");
  const next = await create(certificates, name, await certificates.getCertificatePolicy(name));
  assert.equal(opened(next).subject, "CN=changed.example");
}

export async function certificate_update() {
  const [certificates, name] = [certificateClient(), fresh("update")];
  const { cer, properties: before } = await create(certificates, name, policy(), { tags: { a: "1" } });
  const update = (wanted) => certificates.updateCertificateProperties(name, before.version, wanted);
  const changed = await update({ enabled: false, tags: { b: "2" } });
  assert.deepEqual([changed.properties.enabled, changed.properties.tags, changed.cer], [false, { b: "2" }, cer]);
  assert(changed.properties.updatedOn >= before.updatedOn);
  await refused(403, () => secretClient().getSecret(name), "Forbidden", "SecretDisabled");
  // What is not said stays.
  const { properties } = await update({ enabled: true });
  assert.deepEqual([properties.enabled, properties.tags], [true, { b: "2" }]);
  assert((await secretClient().getSecret(name)).value);
}

export async function certificate_not_found() {
  const [certificates, name] = [certificateClient(), fresh("absent")];
  const attempts = [
    () => certificates.getCertificate(name),
    () => certificates.getCertificatePolicy(name),
    () => certificates.getDeletedCertificate(name),
    () => certificates.beginDeleteCertificate(name, POLLING),
    () => certificates.updateCertificateProperties(name, ABSENT, { enabled: false }),
  ];
  for (const attempt of attempts) await refused(404, attempt, "CertificateNotFound");
  await refused(404, () => certificates.deleteCertificateOperation(name), "PendingCertificateNotFound");
  await create(certificates, name);
  await refused(404, () => certificates.getCertificateVersion(name, ABSENT), "CertificateNotFound");
}

export async function certificate_delete_and_recover() {
  const [certificates, name] = [certificateClient(), fresh("recover")];
  const first = await create(certificates, name);
  const second = await create(certificates, name, policy(), { tags: { k: "v" } });
  const deleted = await removed(certificates, name);
  assert.deepEqual([deleted.name, deleted.recoveryId], [name, `${vaultUrl()}/deletedcertificates/${name}`]);
  assert(deleted.scheduledPurgeDate > deleted.deletedOn);
  await refused(404, () => certificates.getCertificate(name), "CertificateNotFound");
  // Its key and its secret went with it.
  await refused(404, () => secretClient().getSecret(name), "SecretNotFound");
  await refused(404, () => keyClient().getKey(name), "KeyNotFound");
  assert(!(await all(certificates.listPropertiesOfCertificates())).some((item) => item.name === name));
  assert((await all(certificates.listDeletedCertificates())).some((item) => item.name === name));
  assert.deepEqual((await certificates.getDeletedCertificate(name)).properties.tags, { k: "v" });
  await waited(certificates.beginRecoverDeletedCertificate(name, POLLING));
  assert.deepEqual((await certificates.getCertificate(name)).cer, second.cer);
  assert.deepEqual((await certificates.getCertificateVersion(name, first.properties.version)).cer, first.cer);
  assert((await secretClient().getSecret(name)).value && (await keyClient().getKey(name)).key.x);
}

export async function certificate_purge() {
  const [certificates, name] = [certificateClient(), fresh("purge")];
  const old = await create(certificates, name);
  await removed(certificates, name);
  await certificates.purgeDeletedCertificate(name);
  await refused(404, () => certificates.getDeletedCertificate(name), "CertificateNotFound");
  await refused(404, () => certificates.purgeDeletedCertificate(name), "CertificateNotFound");
  const made = await create(certificates, name);
  assert(!opened(made).publicKey.equals(opened(old).publicKey));
  const listed = await all(certificates.listPropertiesOfCertificateVersions(name));
  assert.deepEqual(listed.map((item) => item.version), [made.properties.version]);
}

export async function certificate_name_of_a_deleted_one_is_taken() {
  const [certificates, name] = [certificateClient(), fresh("taken")];
  await create(certificates, name);
  await removed(certificates, name);
  await refused(409, () => begun(certificates, name), "Conflict", "ObjectIsDeletedButRecoverable");
  // The names of its key and its secret are taken with it.
  await refused(409, () => secretClient().setSecret(name, "other"), "Conflict");
}

export async function certificate_backup_and_restore() {
  const [here, there, name] = [certificateClient(VAULT_A), certificateClient(VAULT_B), fresh("backup")];
  const first = await create(here, name, policy(), { tags: { a: "b" } });
  const second = await create(here, name, policy({ contentType: PEM }));
  const backup = await here.backupCertificate(name);
  const restored = await there.restoreCertificateBackup(backup);
  assert.deepEqual([restored.name, restored.properties.vaultUrl], [name, vaultUrl(VAULT_B)]);
  assert.deepEqual((await there.getCertificate(name)).cer, second.cer);
  const old = await there.getCertificateVersion(name, first.properties.version);
  assert.deepEqual([old.cer, old.properties.tags], [first.cer, { a: "b" }]);
  assert.equal((await there.getCertificatePolicy(name)).contentType, PEM);
  // The key came with it.
  const [one, other] = [await secretClient(VAULT_A).getSecret(name), await secretClient(VAULT_B).getSecret(name)];
  assert(one.value === other.value, "the secrets differ");
  await refused(409, () => there.restoreCertificateBackup(backup), "Conflict");
  backup[Math.floor(backup.length / 2)] ^= 1;
  await refused(400, () => here.restoreCertificateBackup(backup), "BadParameter");
}

export async function certificate_import_pkcs12() {
  const [certificates, name] = [certificateClient(), fresh("pkcs12")];
  // Node makes no PKCS #12, so that it is one of the vault's own that goes round.
  const made = await create(certificates, fresh("origin"));
  const { value } = await secretClient().getSecret(made.name);
  const file = Buffer.from(value, "base64");
  const imported = await certificates.importCertificate(name, file, { tags: { from: "outside" } });
  assert.deepEqual([bytes(imported.cer), imported.properties.tags], [bytes(made.cer), { from: "outside" }]);
  assert.deepEqual([imported.policy.issuerName, imported.policy.keyType], ["Unknown", "EC"]);
  const key = await keyClient().getKey(name);
  verifiedElsewhere(key.key, "ES256", (await cryptoClient(key).sign("ES256", DIGESTS.sha256)).result);
}

export async function certificate_import_pem() {
  const [certificates, name] = [certificateClient(), fresh("pem")];
  const made = await create(certificates, fresh("origin"), policy({ contentType: PEM, keyCurveName: "P-384" }));
  const { value } = await secretClient().getSecret(made.name);
  const imported = await certificates.importCertificate(name, Buffer.from(value), { policy: { contentType: PEM } });
  assert.deepEqual([bytes(imported.cer), imported.policy.contentType], [bytes(made.cer), PEM]);
  const key = await keyClient().getKey(name);
  verifiedElsewhere(key.key, "ES384", (await cryptoClient(key).sign("ES384", DIGESTS.sha384)).result);
}

export async function certificate_operation_cancelled_and_deleted() {
  const [certificates, name] = [certificateClient(), fresh("cancel")];
  const poller = await begun(certificates, name, policy({ issuerName: "Unknown" }));
  // There is one operation at a time.
  await refused(409, () => begun(certificates, name), "Conflict");
  await poller.cancelOperation();
  const seen = await certificates.getCertificateOperation(name, POLLING);
  await seen.poll();
  assert.equal(seen.getOperationState().certificateOperation.status, "cancelled");
  assert.equal((await certificates.deleteCertificateOperation(name)).status, "cancelled");
  await refused(404, () => certificates.deleteCertificateOperation(name), "PendingCertificateNotFound");
  assert((await create(certificates, name)).cer);
}

export async function certificate_secret_as_pkcs12() {
  const how = policy({ keyType: "RSA", keySize: 2048, keyCurveName: undefined });
  const made = await create(certificateClient(), fresh("pfx"), how);
  const { value, properties } = await secretClient().getSecret(made.name, { version: made.properties.version });
  assert.deepEqual([properties.contentType, properties.certificateKeyId], ["application/x-pkcs12", made.keyId]);
  // It is taken only with a private key that belongs to its certificate.
  createSecureContext({ pfx: Buffer.from(value, "base64") });
}

export async function certificate_secret_as_pem() {
  const made = await create(certificateClient(), fresh("pem"), policy({ contentType: PEM }));
  const { value, properties } = await secretClient().getSecret(made.name);
  assert.equal(properties.contentType, PEM);
  assert.deepEqual(new X509Certificate(value).raw, bytes(made.cer));
  belongs(createPrivateKey(value), opened(made));
}

export async function certificate_key_signs() {
  const made = await create(certificateClient(), fresh("signs"));
  const key = await keyClient().getKey(made.name);
  assert.deepEqual([key.id, key.properties.managed], [made.keyId, true]);
  const { x, y } = opened(made).publicKey.export({ format: "jwk" });
  assert.deepEqual([key.key.x, key.key.y].map((part) => bytes(part).toString("base64url")), [x, y]);
  verifiedElsewhere(key.key, "ES256", (await cryptoClient(made.keyId).sign("ES256", DIGESTS.sha256)).result);
}

export async function certificate_key_that_stays() {
  const made = await create(certificateClient(), fresh("stays"), policy({ exportable: false, contentType: PEM }));
  assert.equal(made.policy.exportable, false);
  const { value } = await secretClient().getSecret(made.name);
  assert.deepEqual(new X509Certificate(value).raw, bytes(made.cer));
  assert(!value.includes("PRIVATE"), "the private key is given out");
  const { key } = await keyClient().getKey(made.name);
  verifiedElsewhere(key, "ES256", (await cryptoClient(made.keyId).sign("ES256", DIGESTS.sha256)).result);
}

export async function certificate_key_and_secret_are_managed() {
  const made = await create(certificateClient(), fresh("managed"));
  const attempts = [
    () => secretClient().setSecret(made.name, "other"),
    () => secretClient().beginDeleteSecret(made.name, POLLING),
    () => keyClient().beginDeleteKey(made.name, POLLING),
    () => keyClient().rotateKey(made.name),
  ];
  for (const attempt of attempts) await refused(403, attempt, "Forbidden");
  assert.deepEqual((await certificateClient().getCertificate(made.name)).cer, made.cer);
}

export async function certificate_issuers() {
  const [certificates, name] = [certificateClient(VAULT_B), fresh("issuer")];
  const administratorContacts = [{ firstName: "First", lastName: "Last", email: "admin@example.test", phone: "555" }];
  const wanted = { accountId: "account", password: "of the account", organizationId: "one", administratorContacts };
  const made = await certificates.createIssuer(name, "Test", wanted);
  // What the client calls the name of a single issuer is the word before it in its address.
  const id = `${vaultUrl(VAULT_B)}/certificates/issuers/${name}`;
  assert.deepEqual([made.id, made.provider, made.accountId], [id, "Test", "account"]);
  const read = await certificates.getIssuer(name);
  assert.deepEqual([read.provider, read.accountId], ["Test", "account"]);
  assert.deepEqual([read.organizationId, read.enabled], ["one", true]);
  assert(!read.password, "an issuer's password is shown");
  const [{ firstName, lastName, email, phone }] = read.administratorContacts;
  assert.deepEqual({ firstName, lastName, email, phone }, administratorContacts[0]);
  const listed = await all(certificates.listPropertiesOfIssuers());
  assert(listed.some((item) => item.id === id && item.provider === "Test"), JSON.stringify(listed));
  // The client sends `enabled` only when it is true.
  const changed = await certificates.updateIssuer(name, { accountId: "other" });
  assert.deepEqual([changed.enabled, changed.accountId, changed.provider], [true, "other", "Test"]);
  assert.equal((await certificates.deleteIssuer(name)).id, id);
  await refused(404, () => certificates.getIssuer(name), "CertificateIssuerNotFound");
  await refused(404, () => certificates.deleteIssuer(name), "CertificateIssuerNotFound");
}

export async function certificate_contacts() {
  const certificates = certificateClient(VAULT_B);
  const wanted = [{ email: "one@example.test", name: "One", phone: "1" }, { email: "two@example.test" }];
  const told = wanted.map((each) => [each.email, each.name, each.phone]);
  for (const ask of [() => certificates.setContacts(wanted), () => certificates.getContacts()]) {
    assert.deepEqual((await ask()).map((each) => [each.email, each.name, each.phone]), told);
  }
  await certificates.deleteContacts();
  await refused(404, () => certificates.getContacts(), "ContactsNotFound");
}

export async function certificate_private_authority() {
  const [certificates, issuerName] = [certificateClient(VAULT_B), fresh("authority")];
  await certificates.createIssuer(issuerName, "Vouchsafe", { accountId: "example.test days:90" });
  const named = (dns) => ({ subject: `CN=${dns}`, subjectAlternativeNames: { dnsNames: [dns] } });
  const how = policy({ issuerName, contentType: PEM, validityInMonths: 1, ...named("one.example.test") });
  const made = await create(certificates, fresh("issued"), how);
  const { value } = await secretClient(VAULT_B).getSecret(made.name);
  const pems = value.match(/-----BEGIN CERTIFICATE-----[^]*?-----END CERTIFICATE-----/g);
  const chain = pems.map((pem) => new X509Certificate(pem));
  assert.deepEqual(chain[0].raw, bytes(made.cer));
  assert(chain[1].ca && chain[0].checkIssued(chain[1]) && chain[0].verify(chain[1].publicKey));
  belongs(createPrivateKey(value), chain[0]);
  // What the authority may not certify it does not.
  const outside = fresh("outside");
  const wrong = policy({ issuerName, validityInMonths: 1, ...named("elsewhere.test") });
  await assert.rejects(create(certificates, outside, wrong), /elsewhere\.test/);
  assert.equal((await certificates.deleteCertificateOperation(outside)).status, "failed");
}

export async function certificate_without_a_role() {
  const [stranger, certificates, name] = [WORLD.identities.stranger, certificateClient(), fresh("absent")];
  const attempts = [
    ["certificates/read", () => certificates.getCertificate(name)],
    ["certificates/create/action", () => begun(certificates, name)],
    ["certificates/delete", () => certificates.beginDeleteCertificate(name, POLLING)],
    ["certificates/purge/action", () => certificates.purgeDeletedCertificate(name)],
    ["certificatecas/write", () => certificates.createIssuer(name, "Test")],
    ["certificatecontacts/write", () => certificates.deleteContacts()],
  ];
  for (const [action, attempt] of attempts) {
    await refused(403, attempt, "ForbiddenByRbac", stranger.client_id, stranger.principal_id, ACTION + action);
  }
}

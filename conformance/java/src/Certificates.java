package vouchsafe;

import static vouchsafe.World.VAULT_A;
import static vouchsafe.World.VAULT_B;
import static vouchsafe.World.certificates;
import static vouchsafe.World.check;
import static vouchsafe.World.equal;
import static vouchsafe.World.fresh;
import static vouchsafe.World.keys;
import static vouchsafe.World.refused;
import static vouchsafe.World.secrets;
import static vouchsafe.World.url;
import static vouchsafe.World.waited;

import com.azure.core.http.rest.PagedResponse;
import com.azure.core.util.Context;
import com.azure.core.util.polling.LongRunningOperationStatus;
import com.azure.core.util.polling.SyncPoller;
import com.azure.security.keyvault.certificates.CertificateClient;
import com.azure.security.keyvault.certificates.models.CertificateContentType;
import com.azure.security.keyvault.certificates.models.CertificateKeyCurveName;
import com.azure.security.keyvault.certificates.models.CertificateKeyType;
import com.azure.security.keyvault.certificates.models.CertificateKeyUsage;
import com.azure.security.keyvault.certificates.models.CertificateOperation;
import com.azure.security.keyvault.certificates.models.CertificatePolicy;
import com.azure.security.keyvault.certificates.models.CertificatePolicyAction;
import com.azure.security.keyvault.certificates.models.CertificateProperties;
import com.azure.security.keyvault.certificates.models.DeletedCertificate;
import com.azure.security.keyvault.certificates.models.KeyVaultCertificate;
import com.azure.security.keyvault.certificates.models.KeyVaultCertificateWithPolicy;
import com.azure.security.keyvault.certificates.models.LifetimeAction;
import com.azure.security.keyvault.certificates.models.SubjectAlternativeNames;
import java.io.ByteArrayInputStream;
import java.security.MessageDigest;
import java.security.cert.CertificateException;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.security.interfaces.ECPublicKey;
import java.security.interfaces.RSAPublicKey;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;

/** The life of certificates, through azure-security-keyvault-certificates as it is; what comes out is read by the JDK. */
final class Certificates {
    private static final String NO_VERSION = "0".repeat(32);

    private Certificates() {}

    static void register(Map<String, Main.Scenario> scenarios) {
        scenarios.put("certificate-create-self-signed", Certificates::createSelfSigned);
        scenarios.put("certificate-default-policy", Certificates::defaultPolicy);
        scenarios.put("certificate-create-ec", Certificates::createEc);
        scenarios.put("certificate-names-and-usages", Certificates::namesAndUsages);
        scenarios.put("certificate-policy-without-sense-is-refused", Certificates::policyWithoutSenseIsRefused);
        scenarios.put("certificate-versions", Certificates::versions);
        scenarios.put("certificate-list-over-pages", Certificates::listOverPages);
        scenarios.put("certificate-pending-is-listed-when-asked", Certificates::pendingIsListedWhenAsked);
        scenarios.put("certificate-policy-update", Certificates::policyUpdate);
        scenarios.put("certificate-update", Certificates::update);
        scenarios.put("certificate-not-found", Certificates::notFound);
        scenarios.put("certificate-delete-and-recover", Certificates::deleteAndRecover);
        scenarios.put("certificate-purge", Certificates::purge);
        scenarios.put("certificate-name-of-a-deleted-one-is-taken", Certificates::nameOfADeletedOneIsTaken);
        scenarios.put("certificate-backup-and-restore", Certificates::backupAndRestore);
    }

    /** A policy whose key is quickly made; what is not said is left to the vault. */
    static CertificatePolicy policy(String issuer, String subject) {
        return new CertificatePolicy(issuer, subject).setKeyType(CertificateKeyType.EC)
                .setKeyCurveName(CertificateKeyCurveName.P_256);
    }

    static CertificatePolicy policy() {
        return policy("Self", "CN=conformance.example");
    }

    static CertificatePolicy pem() {
        return policy().setContentType(CertificateContentType.PEM);
    }

    static KeyVaultCertificateWithPolicy create(CertificateClient client, String name, CertificatePolicy how) {
        return create(client, name, how, null);
    }

    static KeyVaultCertificateWithPolicy create(
            CertificateClient client, String name, CertificatePolicy how, Map<String, String> tags) {
        SyncPoller<CertificateOperation, KeyVaultCertificateWithPolicy> poller =
                client.beginCreateCertificate(name, how, true, tags);
        CertificateOperation ended = waited(poller);
        equal(ended.getStatus(), "completed");
        return poller.getFinalResult();
    }

    static X509Certificate parsed(byte[] der) {
        try {
            return (X509Certificate) CertificateFactory.getInstance("X.509").generateCertificate(new ByteArrayInputStream(der));
        } catch (CertificateException error) {
            throw new AssertionError(error);
        }
    }

    /** The certificate as the JDK reads it. */
    static X509Certificate opened(KeyVaultCertificate certificate) {
        return parsed(certificate.getCer());
    }

    static String subject(X509Certificate certificate) {
        return certificate.getSubjectX500Principal().getName();
    }

    private static String hex(byte[] bytes) {
        return HexFormat.of().formatHex(bytes);
    }

    private static void createSelfSigned() throws Exception {
        String name = fresh("self");
        var made = create(certificates(VAULT_A), name, CertificatePolicy.getDefault(), Map.of("a", "b"));
        CertificateProperties properties = made.getProperties();
        equal(List.of(made.getName(), properties.getTags(), properties.isEnabled()), List.of(name, Map.of("a", "b"), true));
        String end = name + "/" + properties.getVersion();
        equal(List.of(made.getId(), made.getKeyId(), made.getSecretId()), List.of(
                url(VAULT_A) + "/certificates/" + end, url(VAULT_A) + "/keys/" + end, url(VAULT_A) + "/secrets/" + end));
        X509Certificate found = opened(made);
        found.verify(found.getPublicKey());
        equal(List.of(subject(found), ((RSAPublicKey) found.getPublicKey()).getModulus().bitLength()),
                List.of("CN=DefaultPolicy", 2048));
        equal(hex(properties.getX509Thumbprint()), hex(MessageDigest.getInstance("SHA-1").digest(made.getCer())));
        equal(properties.getNotBefore().toInstant(), found.getNotBefore().toInstant());
        equal(properties.getExpiresOn().toInstant(), found.getNotAfter().toInstant());
        long days = Duration.between(properties.getNotBefore(), properties.getExpiresOn()).toDays();
        check(days >= 364 && days <= 367, "valid for " + days + " days");
        check(properties.getRecoveryLevel() != null && properties.getRecoverableDays() >= 7, "says not how it recovers");
    }

    private static void defaultPolicy() {
        CertificateClient client = certificates(VAULT_A);
        String name = fresh("default");
        create(client, name, CertificatePolicy.getDefault());
        for (CertificatePolicy found : List.of(client.getCertificate(name).getPolicy(), client.getCertificatePolicy(name))) {
            equal(List.of(found.getIssuerName(), found.getSubject(), found.getContentType()),
                    List.of("Self", "CN=DefaultPolicy", CertificateContentType.PKCS12));
            equal(List.of(found.getKeyType(), found.getKeySize(), found.isExportable(), found.isKeyReusable()),
                    List.of(CertificateKeyType.RSA, 2048, true, false));
            equal(List.of(found.getValidityInMonths(), found.isEnabled()), List.of(12, true));
            equal(Set.copyOf(found.getEnhancedKeyUsage()), Set.of("1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"));
            equal(Set.copyOf(found.getKeyUsage()),
                    Set.of(CertificateKeyUsage.DIGITAL_SIGNATURE, CertificateKeyUsage.KEY_ENCIPHERMENT));
            equal(found.getLifetimeActions().size(), 1);
            LifetimeAction action = found.getLifetimeActions().get(0);
            equal(List.of(action.getAction(), action.getLifetimePercentage()), List.of(CertificatePolicyAction.AUTO_RENEW, 80));
        }
    }

    private static void createEc() throws Exception {
        Map<CertificateKeyCurveName, Integer> sizes = Map.of(CertificateKeyCurveName.P_256, 256,
                CertificateKeyCurveName.P_384, 384, CertificateKeyCurveName.P_521, 521);
        for (var each : sizes.entrySet()) {
            X509Certificate found =
                    opened(create(certificates(VAULT_A), fresh("ec"), policy().setKeyCurveName(each.getKey())));
            found.verify(found.getPublicKey());
            equal(((ECPublicKey) found.getPublicKey()).getParams().getCurve().getField().getFieldSize(), each.getValue());
        }
    }

    private static void namesAndUsages() throws Exception {
        CertificatePolicy how = policy("Self", "CN=names.example, O=Team One, C=CH")
                .setSubjectAlternativeNames(new SubjectAlternativeNames()
                        .setDnsNames(List.of("names.example", "*.names.example")).setEmails(List.of("someone@names.example")))
                .setEnhancedKeyUsage(List.of("1.3.6.1.5.5.7.3.3"))
                .setKeyUsage(CertificateKeyUsage.DIGITAL_SIGNATURE, CertificateKeyUsage.NON_REPUDIATION)
                .setValidityInMonths(3);
        X509Certificate found = opened(create(certificates(VAULT_A), fresh("names"), how));
        equal(Set.of(subject(found).split(",")), Set.of("CN=names.example", "O=Team One", "C=CH"));
        Set<List<?>> names = found.getSubjectAlternativeNames().stream().collect(Collectors.toSet());
        equal(names, Set.of(List.of(2, "names.example"), List.of(2, "*.names.example"), List.of(1, "someone@names.example")));
        equal(found.getExtendedKeyUsage(), List.of("1.3.6.1.5.5.7.3.3"));
        // Digital signature and non-repudiation are the first two bits.
        boolean[] usage = found.getKeyUsage();
        check(usage[0] && usage[1] && !usage[2] && !usage[3], Arrays.toString(usage));
        long days = Duration.between(found.getNotBefore().toInstant(), found.getNotAfter().toInstant()).toDays();
        check(days > 87 && days < 94, "valid for " + days + " days");
    }

    private static void policyWithoutSenseIsRefused() throws Exception {
        List<CertificatePolicy> wrong = List.of(
                new CertificatePolicy("Self", "CN=wrong.example").setKeyType(CertificateKeyType.RSA).setKeySize(1024),
                policy().setValidityInMonths(100_000),
                policy().setContentType(CertificateContentType.fromString("text/plain")),
                policy("Self", "not a name"),
                policy("NoSuchIssuer", "CN=wrong.example"));
        for (CertificatePolicy each : wrong) {
            refused(400, () -> certificates(VAULT_A).beginCreateCertificate(fresh("wrong"), each), "BadParameter");
        }
    }

    private static List<String> versionsOf(CertificateClient client, String name) {
        return client.listPropertiesOfCertificateVersions(name).stream().map(CertificateProperties::getVersion).sorted().toList();
    }

    private static void versions() {
        CertificateClient client = certificates(VAULT_A);
        String name = fresh("versions");
        List<String> versions = new ArrayList<>();
        for (int number = 0; number < 3; number++) {
            KeyVaultCertificate made = create(client, name, policy());
            versions.add(made.getProperties().getVersion());
            equal(hex(client.getCertificateVersion(name, versions.get(number)).getCer()), hex(made.getCer()));
        }
        equal(client.getCertificate(name).getProperties().getVersion(), versions.get(2));
        equal(versionsOf(client, name), versions.stream().sorted().toList());
    }

    private static void listOverPages() {
        CertificateClient client = certificates(VAULT_B);
        String prefix = fresh("page");
        for (int number = 0; number < 27; number++) {
            String tag = String.format("%02d", number);
            create(client, prefix + "-" + tag, policy(), Map.of("n", tag));
        }
        List<PagedResponse<CertificateProperties>> pages = client.listPropertiesOfCertificates().streamByPage().toList();
        check(pages.size() >= 2, pages.size() + " pages");
        check(pages.stream().allMatch(page -> page.getValue().size() <= 25), "a page of more than 25");
        List<CertificateProperties> found = pages.stream().flatMap(page -> page.getValue().stream())
                .filter(item -> item.getName().startsWith(prefix)).toList();
        equal(found.stream().map(CertificateProperties::getName).distinct().count(), 27L);
        equal(found.size(), 27);
        for (CertificateProperties item : found) {
            equal(item.getTags(), Map.of("n", item.getName().substring(prefix.length() + 1)));
        }
    }

    static boolean lists(CertificateClient client, String name, boolean pending) {
        return client.listPropertiesOfCertificates(pending, Context.NONE).stream().anyMatch(item -> item.getName().equals(name));
    }

    private static void pendingIsListedWhenAsked() {
        CertificateClient client = certificates(VAULT_A);
        String name = fresh("pending");
        client.beginCreateCertificate(name, policy("Unknown", "CN=pending.example"));
        check(!lists(client, name, false), "it is listed");
        check(lists(client, name, true), "it is not listed");
    }

    private static void policyUpdate() {
        CertificateClient client = certificates(VAULT_A);
        String name = fresh("policy");
        create(client, name, policy());
        LifetimeAction action = new LifetimeAction(CertificatePolicyAction.EMAIL_CONTACTS).setDaysBeforeExpiry(20);
        CertificatePolicy how = policy("Self", "CN=changed.example").setValidityInMonths(6).setKeyReusable(true)
                .setLifetimeActions(action);
        CertificatePolicy changed = client.updateCertificatePolicy(name, how);
        for (CertificatePolicy found : List.of(changed, client.getCertificatePolicy(name))) {
            equal(List.of(found.getSubject(), found.getValidityInMonths(), found.isKeyReusable()),
                    List.of("CN=changed.example", 6, true));
            equal(found.getLifetimeActions().size(), 1);
            LifetimeAction only = found.getLifetimeActions().get(0);
            equal(List.of(only.getAction(), only.getDaysBeforeExpiry()), List.of(CertificatePolicyAction.EMAIL_CONTACTS, 20));
            equal(List.of(found.getKeyType(), found.getKeyCurveName()),
                    List.of(CertificateKeyType.EC, CertificateKeyCurveName.P_256));
        }
        // What is there stays as it was made; the next one follows the policy.
        equal(subject(opened(client.getCertificate(name))), "CN=conformance.example");
        equal(subject(opened(create(client, name, client.getCertificatePolicy(name)))), "CN=changed.example");
    }

    private static void update() throws Exception {
        CertificateClient client = certificates(VAULT_A);
        var made = create(client, fresh("update"), policy(), Map.of("a", "1"));
        CertificateProperties wanted = made.getProperties().setEnabled(false).setTags(Map.of("b", "2"));
        KeyVaultCertificate changed = client.updateCertificateProperties(wanted);
        CertificateProperties found = changed.getProperties();
        equal(List.of(found.isEnabled(), found.getTags(), hex(changed.getCer())),
                List.of(false, Map.of("b", "2"), hex(made.getCer())));
        check(!found.getUpdatedOn().isBefore(found.getCreatedOn()), "`updated` went back");
        refused(403, () -> secrets(VAULT_A).getSecret(made.getName()), "Forbidden", "SecretDisabled");
        KeyVaultCertificate again = client.updateCertificateProperties(found.setEnabled(true));
        equal(List.of(again.getProperties().isEnabled(), again.getProperties().getTags()), List.of(true, Map.of("b", "2")));
        check(!secrets(VAULT_A).getSecret(made.getName()).getValue().isEmpty(), "the secret is empty");
    }

    private static void notFound() throws Exception {
        CertificateClient client = certificates(VAULT_A);
        String name = fresh("absent");
        List<Callable<?>> reads = List.of(
                () -> client.getCertificate(name),
                () -> client.getCertificatePolicy(name),
                () -> client.getDeletedCertificate(name),
                () -> client.beginDeleteCertificate(name).poll());
        for (Callable<?> read : reads) refused(404, read, "CertificateNotFound");
        refused(404, () -> client.getCertificateOperation(name).poll(), "PendingCertificateNotFound");
        create(client, name, policy());
        refused(404, () -> client.getCertificateVersion(name, NO_VERSION), "CertificateNotFound");
    }

    private static void deleteAndRecover() throws Exception {
        CertificateClient client = certificates(VAULT_A);
        String name = fresh("recover");
        KeyVaultCertificate first = create(client, name, policy());
        KeyVaultCertificate second = create(client, name, policy(), Map.of("k", "v"));
        DeletedCertificate deleted = waited(client.beginDeleteCertificate(name));
        equal(List.of(deleted.getName(), deleted.getRecoveryId()), List.of(name, url(VAULT_A) + "/deletedcertificates/" + name));
        check(deleted.getScheduledPurgeDate().isAfter(deleted.getDeletedOn()), "purged before it is deleted");
        refused(404, () -> client.getCertificate(name), "CertificateNotFound");
        // Its key and its secret went with it.
        refused(404, () -> secrets(VAULT_A).getSecret(name), "SecretNotFound");
        refused(404, () -> keys(VAULT_A).getKey(name), "KeyNotFound");
        check(!lists(client, name, true), "it is listed");
        check(client.listDeletedCertificates().stream().anyMatch(item -> item.getName().equals(name)), "it is not listed as deleted");
        equal(client.getDeletedCertificate(name).getProperties().getTags(), Map.of("k", "v"));
        var recovery = client.beginRecoverDeletedCertificate(name);
        waited(recovery);
        equal(recovery.poll().getStatus(), LongRunningOperationStatus.SUCCESSFULLY_COMPLETED);
        equal(hex(client.getCertificate(name).getCer()), hex(second.getCer()));
        String version = first.getProperties().getVersion();
        equal(hex(client.getCertificateVersion(name, version).getCer()), hex(first.getCer()));
        check(!secrets(VAULT_A).getSecret(name).getValue().isEmpty(), "the secret did not come back");
        equal(keys(VAULT_A).getKey(name).getId(), second.getKeyId());
    }

    private static void purge() throws Exception {
        CertificateClient client = certificates(VAULT_A);
        String name = fresh("purge");
        KeyVaultCertificate old = create(client, name, policy());
        waited(client.beginDeleteCertificate(name));
        client.purgeDeletedCertificate(name);
        refused(404, () -> client.getDeletedCertificate(name), "CertificateNotFound");
        refused(404, () -> client.purgeDeletedCertificateWithResponse(name, Context.NONE), "CertificateNotFound");
        KeyVaultCertificate made = create(client, name, policy());
        check(!opened(made).getPublicKey().equals(opened(old).getPublicKey()), "a purged certificate came back");
        equal(versionsOf(client, name), List.of(made.getProperties().getVersion()));
    }

    private static void nameOfADeletedOneIsTaken() throws Exception {
        CertificateClient client = certificates(VAULT_A);
        String name = fresh("taken");
        create(client, name, policy());
        waited(client.beginDeleteCertificate(name));
        refused(409, () -> client.beginCreateCertificate(name, policy()), "Conflict", "ObjectIsDeletedButRecoverable");
        // The names of its key and its secret are taken with it.
        refused(409, () -> secrets(VAULT_A).setSecret(name, "other"), "Conflict");
    }

    private static void backupAndRestore() throws Exception {
        CertificateClient here = certificates(VAULT_A);
        CertificateClient there = certificates(VAULT_B);
        String name = fresh("backup");
        KeyVaultCertificate first = create(here, name, policy(), Map.of("a", "b"));
        KeyVaultCertificate second = create(here, name, pem());
        byte[] backup = here.backupCertificate(name);
        KeyVaultCertificate restored = there.restoreCertificateBackup(backup);
        check(restored.getId().startsWith(url(VAULT_B) + "/certificates/" + name + "/"), restored.getId());
        equal(hex(there.getCertificate(name).getCer()), hex(second.getCer()));
        KeyVaultCertificate old = there.getCertificateVersion(name, first.getProperties().getVersion());
        equal(List.of(hex(old.getCer()), old.getProperties().getTags()), List.of(hex(first.getCer()), Map.of("a", "b")));
        equal(there.getCertificatePolicy(name).getContentType(), CertificateContentType.PEM);
        // The key came with it.
        String value = secrets(VAULT_A).getSecret(name).getValue();
        check(secrets(VAULT_B).getSecret(name).getValue().equals(value), "the secrets differ");
        refused(409, () -> there.restoreCertificateBackup(backup), "Conflict");
        byte[] damaged = backup.clone();
        damaged[damaged.length / 2] ^= 1;
        refused(400, () -> here.restoreCertificateBackup(damaged), "BadParameter");
    }
}

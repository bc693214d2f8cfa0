package vouchsafe;

import static vouchsafe.Certificates.create;
import static vouchsafe.Certificates.opened;
import static vouchsafe.Certificates.parsed;
import static vouchsafe.Certificates.pem;
import static vouchsafe.Certificates.policy;
import static vouchsafe.World.VAULT_A;
import static vouchsafe.World.VAULT_B;
import static vouchsafe.World.certificates;
import static vouchsafe.World.check;
import static vouchsafe.World.equal;
import static vouchsafe.World.fresh;
import static vouchsafe.World.identity;
import static vouchsafe.World.keys;
import static vouchsafe.World.refused;
import static vouchsafe.World.secrets;
import static vouchsafe.World.waited;

import com.azure.core.util.Context;
import com.azure.core.util.polling.LongRunningOperationStatus;
import com.azure.security.keyvault.certificates.CertificateClient;
import com.azure.security.keyvault.certificates.models.AdministratorContact;
import com.azure.security.keyvault.certificates.models.CertificateContact;
import com.azure.security.keyvault.certificates.models.CertificateContentType;
import com.azure.security.keyvault.certificates.models.CertificateIssuer;
import com.azure.security.keyvault.certificates.models.CertificateKeyCurveName;
import com.azure.security.keyvault.certificates.models.CertificateKeyType;
import com.azure.security.keyvault.certificates.models.CertificateOperation;
import com.azure.security.keyvault.certificates.models.CertificatePolicy;
import com.azure.security.keyvault.certificates.models.ImportCertificateOptions;
import com.azure.security.keyvault.certificates.models.KeyVaultCertificate;
import com.azure.security.keyvault.certificates.models.MergeCertificateOptions;
import com.azure.security.keyvault.certificates.models.SubjectAlternativeNames;
import com.azure.security.keyvault.keys.cryptography.models.SignatureAlgorithm;
import com.azure.security.keyvault.keys.models.KeyVaultKey;
import com.azure.security.keyvault.secrets.models.KeyVaultSecret;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.security.Key;
import java.security.KeyFactory;
import java.security.KeyPair;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.PublicKey;
import java.security.Signature;
import java.security.cert.X509Certificate;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Where a certificate's key is: made here or elsewhere, given out or not, signed for by others, used by its name. */
final class CertificateKeys {
    private static final String ACTION = "Microsoft.KeyVault/vaults/";
    private static final Pattern PEM = Pattern.compile("-----BEGIN ([A-Z ]+)-----([^-]*)-----END \\1-----");

    private CertificateKeys() {}

    static void register(Map<String, Main.Scenario> scenarios) {
        scenarios.put("certificate-import-pkcs12", CertificateKeys::importPkcs12);
        scenarios.put("certificate-import-pem", CertificateKeys::importPem);
        scenarios.put("certificate-import-of-a-broken-file-is-refused", CertificateKeys::importOfABrokenFileIsRefused);
        scenarios.put("certificate-request-and-merge", CertificateKeys::requestAndMerge);
        scenarios.put("certificate-merge-of-another-key-is-refused", CertificateKeys::mergeOfAnotherKeyIsRefused);
        scenarios.put("certificate-operation-cancelled-and-deleted", CertificateKeys::operationCancelledAndDeleted);
        scenarios.put("certificate-secret-as-pkcs12", CertificateKeys::secretAsPkcs12);
        scenarios.put("certificate-secret-as-pem", CertificateKeys::secretAsPem);
        scenarios.put("certificate-key-signs", CertificateKeys::keySigns);
        scenarios.put("certificate-key-that-stays", CertificateKeys::keyThatStays);
        scenarios.put("certificate-key-and-secret-are-managed", CertificateKeys::keyAndSecretAreManaged);
        scenarios.put("certificate-issuers", CertificateKeys::issuers);
        scenarios.put("certificate-contacts", CertificateKeys::contacts);
        scenarios.put("certificate-private-authority", CertificateKeys::privateAuthority);
        scenarios.put("certificate-without-a-role", CertificateKeys::withoutARole);
    }

    /** What is in a bundle: the certificates from the leaf up, and its private key if there is one. */
    private record Bundle(List<X509Certificate> chain, PrivateKey key) {
        /** The key is the one that the leaf certifies. */
        void belongsTogether(String algorithm) throws Exception {
            check(key != null, "there is no private key");
            Signature signature = Signature.getInstance(algorithm);
            signature.initSign(key);
            byte[] signed = signature.sign();
            signature.initVerify(chain.get(0).getPublicKey());
            check(signature.verify(signed), "the key of another certificate");
        }
    }

    private static Bundle pkcs12(String text) throws Exception {
        KeyStore store = KeyStore.getInstance("PKCS12");
        store.load(new ByteArrayInputStream(Base64.getDecoder().decode(text)), new char[0]);
        List<X509Certificate> chain = new ArrayList<>();
        Key key = null;
        for (String alias : java.util.Collections.list(store.aliases())) {
            if (store.isKeyEntry(alias)) {
                key = store.getKey(alias, new char[0]);
                for (var each : store.getCertificateChain(alias)) chain.add((X509Certificate) each);
            } else {
                chain.add((X509Certificate) store.getCertificate(alias));
            }
        }
        return new Bundle(chain, (PrivateKey) key);
    }

    private static Bundle inPem(String text) throws Exception {
        List<X509Certificate> chain = new ArrayList<>();
        PrivateKey key = null;
        for (Matcher found = PEM.matcher(text); found.find(); ) {
            byte[] der = Base64.getMimeDecoder().decode(found.group(2));
            if (found.group(1).equals("CERTIFICATE")) chain.add(parsed(der));
            else key = KeyFactory.getInstance("EC").generatePrivate(new PKCS8EncodedKeySpec(der));
        }
        return new Bundle(chain, key);
    }

    private static String asPem(String label, byte[] der) {
        return "-----BEGIN " + label + "-----\n" + Base64.getMimeEncoder().encodeToString(der) + "\n-----END " + label + "-----\n";
    }

    private static byte[] file(String text) {
        return text.getBytes(StandardCharsets.US_ASCII);
    }

    private static byte[] sealed(KeyPair own, String password, X509Certificate... chain) throws Exception {
        KeyStore store = KeyStore.getInstance("PKCS12");
        store.load(null, null);
        store.setKeyEntry("name", own.getPrivate(), password.toCharArray(), chain);
        var file = new ByteArrayOutputStream();
        store.store(file, password.toCharArray());
        return file.toByteArray();
    }

    private static String secretOf(String vault, String name) {
        return secrets(vault).getSecret(name).getValue();
    }

    private static void importPkcs12() throws Exception {
        var authority = new Authority();
        KeyPair own = Authority.pair("RSA", 2048);
        X509Certificate leaf = authority.issue(own.getPublic(), Authority.named("elsewhere.example"));
        for (String password : List.of("", "of the file")) {
            String name = fresh("pkcs12");
            byte[] file = sealed(own, password, leaf, authority.certificate);
            var imported = certificates(VAULT_A).importCertificate(
                    new ImportCertificateOptions(name, file).setPassword(password).setTags(Map.of("from", "outside")));
            equal(List.of(opened(imported), imported.getProperties().getTags()), List.of(leaf, Map.of("from", "outside")));
            equal(List.of(imported.getPolicy().getIssuerName(), imported.getPolicy().getKeyType()),
                    List.of("Unknown", CertificateKeyType.RSA));
            Bundle found = pkcs12(secretOf(VAULT_A, name));
            equal(found.chain(), List.of(leaf, authority.certificate));
            found.belongsTogether("SHA256withRSA");
        }
    }

    private static void importPem() throws Exception {
        var authority = new Authority();
        KeyPair own = Authority.pair("EC", 384);
        X509Certificate leaf = authority.issue(own.getPublic(), Authority.named("elsewhere.example"));
        String text = asPem("PRIVATE KEY", own.getPrivate().getEncoded()) + asPem("CERTIFICATE", leaf.getEncoded())
                + asPem("CERTIFICATE", authority.certificate.getEncoded());
        String name = fresh("pem");
        CertificatePolicy how = pem().setKeyCurveName(CertificateKeyCurveName.P_384);
        var imported = certificates(VAULT_A).importCertificate(new ImportCertificateOptions(name, file(text)).setPolicy(how));
        equal(List.of(opened(imported), imported.getPolicy().getContentType()), List.of(leaf, CertificateContentType.PEM));
        KeyVaultKey key = keys(VAULT_A).getKey(name);
        Cryptography.verifiedElsewhere(key, SignatureAlgorithm.ES384, Cryptography.sign(key, SignatureAlgorithm.ES384));
    }

    private static void importOfABrokenFileIsRefused() throws Exception {
        CertificateClient client = certificates(VAULT_A);
        KeyPair own = Authority.pair("EC", 256);
        PrivateKey other = Authority.pair("EC", 256).getPrivate();
        X509Certificate leaf = new Authority().issue(own.getPublic(), Authority.named("elsewhere.example"));
        String alone = asPem("CERTIFICATE", leaf.getEncoded());
        List<ImportCertificateOptions> files = List.of(
                new ImportCertificateOptions(fresh("broken"), file("not a certificate at all")),
                new ImportCertificateOptions(fresh("broken"), sealed(own, "right", leaf)).setPassword("wrong"),
                // Without a key, and with the key of another.
                new ImportCertificateOptions(fresh("broken"), file(alone)).setPolicy(pem()),
                new ImportCertificateOptions(fresh("broken"), file(asPem("PRIVATE KEY", other.getEncoded()) + alone))
                        .setPolicy(pem()));
        for (ImportCertificateOptions each : files) {
            refused(400, () -> client.importCertificate(each), "BadParameter");
            refused(404, () -> client.getCertificate(each.getName()), "CertificateNotFound");
        }
    }

    private static CertificateOperation begun(CertificateClient client, String name, String subject) {
        return client.beginCreateCertificate(name, policy("Unknown", subject)).poll().getValue();
    }

    private static String status(CertificateClient client, String name) {
        return client.getCertificateOperation(name).poll().getValue().getStatus();
    }

    private static void requestAndMerge() throws Exception {
        CertificateClient client = certificates(VAULT_A);
        String name = fresh("merge");
        CertificateOperation operation = begun(client, name, "CN=merged.example");
        equal(List.of(operation.getIssuerName(), operation.getStatus()), List.of("Unknown", "inProgress"));
        Authority.Request request = Authority.request(operation.getCsr(), "EC", "SHA256withECDSA");
        equal(request.subject(), Authority.named("merged.example"));
        var authority = new Authority();
        X509Certificate leaf = authority.issue(request.key(), request.subject());
        // The client says that it is disabled unless it is told otherwise.
        var merged = client.mergeCertificate(new MergeCertificateOptions(name,
                List.of(leaf.getEncoded(), authority.certificate.getEncoded())).setEnabled(true).setTags(Map.of("by", "somebody else")));
        equal(List.of(opened(merged), merged.getProperties().getTags()), List.of(leaf, Map.of("by", "somebody else")));
        equal(status(client, name), "completed");
        Bundle found = pkcs12(secretOf(VAULT_A, name));
        equal(found.chain(), List.of(leaf, authority.certificate));
        found.belongsTogether("SHA256withECDSA");
    }

    private static void mergeOfAnotherKeyIsRefused() throws Exception {
        CertificateClient client = certificates(VAULT_A);
        String name = fresh("another");
        begun(client, name, "CN=merged.example");
        PublicKey other = Authority.pair("EC", 256).getPublic();
        byte[] leaf = new Authority().issue(other, Authority.named("merged.example")).getEncoded();
        refused(400, () -> client.mergeCertificate(new MergeCertificateOptions(name, List.of(leaf))), "BadParameter");
        equal(status(client, name), "inProgress");
    }

    private static void operationCancelledAndDeleted() throws Exception {
        CertificateClient client = certificates(VAULT_A);
        String name = fresh("cancel");
        begun(client, name, "CN=cancelled.example");
        // There is one operation at a time.
        refused(409, () -> client.beginCreateCertificate(name, policy()), "Conflict");
        equal(client.cancelCertificateOperation(name).getCancellationRequested(), true);
        equal(status(client, name), "cancelled");
        equal(client.deleteCertificateOperation(name).getStatus(), "cancelled");
        refused(404, () -> status(client, name), "PendingCertificateNotFound");
        refused(404, () -> client.deleteCertificateOperation(name), "PendingCertificateNotFound");
        check(create(client, name, policy()).getCer().length > 0, "no certificate");
    }

    private static void secretAsPkcs12() throws Exception {
        CertificatePolicy how = new CertificatePolicy("Self", "CN=conformance.example").setKeyType(CertificateKeyType.RSA)
                .setKeySize(2048);
        KeyVaultCertificate made = create(certificates(VAULT_A), fresh("pfx"), how);
        KeyVaultSecret secret = secrets(VAULT_A).getSecret(made.getName(), made.getProperties().getVersion());
        equal(List.of(secret.getProperties().getContentType(), secret.getProperties().getKeyId()),
                List.of("application/x-pkcs12", made.getKeyId()));
        Bundle found = pkcs12(secret.getValue());
        equal(found.chain(), List.of(opened(made)));
        found.belongsTogether("SHA256withRSA");
        equal(secrets(VAULT_A).getSecret(made.getName()).getId(), made.getSecretId());
    }

    private static void secretAsPem() throws Exception {
        KeyVaultCertificate made = create(certificates(VAULT_A), fresh("pem"), pem());
        KeyVaultSecret secret = secrets(VAULT_A).getSecret(made.getName());
        equal(secret.getProperties().getContentType(), "application/x-pem-file");
        Bundle found = inPem(secret.getValue());
        equal(found.chain(), List.of(opened(made)));
        found.belongsTogether("SHA256withECDSA");
    }

    private static void keySigns() throws Exception {
        KeyVaultCertificate made = create(certificates(VAULT_A), fresh("signs"), policy());
        KeyVaultKey key = keys(VAULT_A).getKey(made.getName());
        equal(List.of(key.getId(), key.getProperties().isManaged()), List.of(made.getKeyId(), true));
        equal(key.getKey().toEc().getPublic(), opened(made).getPublicKey());
        Cryptography.verifiedElsewhere(key, SignatureAlgorithm.ES256, Cryptography.sign(key, SignatureAlgorithm.ES256));
    }

    private static void keyThatStays() throws Exception {
        for (CertificateContentType contentType : List.of(CertificateContentType.PEM, CertificateContentType.PKCS12)) {
            CertificatePolicy how = policy().setExportable(false).setContentType(contentType);
            var made = create(certificates(VAULT_A), fresh("stays"), how);
            equal(made.getPolicy().isExportable(), false);
            String value = secretOf(VAULT_A, made.getName());
            if (contentType.equals(CertificateContentType.PEM)) {
                Bundle found = inPem(value);
                equal(found.chain(), List.of(opened(made)));
                check(found.key() == null && !value.contains("PRIVATE"), "the private key is given out");
            } else {
                check(pkcs12(value).key() == null, "the private key is given out");
            }
            KeyVaultKey key = keys(VAULT_A).getKey(made.getName());
            Cryptography.verifiedElsewhere(key, SignatureAlgorithm.ES256, Cryptography.sign(key, SignatureAlgorithm.ES256));
        }
    }

    private static void keyAndSecretAreManaged() throws Exception {
        KeyVaultCertificate made = create(certificates(VAULT_A), fresh("managed"), policy());
        String name = made.getName();
        List<Callable<?>> attempts = List.of(
                () -> secrets(VAULT_A).setSecret(name, "other"),
                () -> secrets(VAULT_A).beginDeleteSecret(name).poll(),
                () -> keys(VAULT_A).beginDeleteKey(name).poll(),
                () -> keys(VAULT_A).rotateKey(name));
        for (Callable<?> attempt : attempts) refused(403, attempt, "Forbidden");
        equal(opened(certificates(VAULT_A).getCertificate(name)), opened(made));
    }

    private static void issuers() throws Exception {
        CertificateClient client = certificates(VAULT_B);
        String name = fresh("issuer");
        AdministratorContact contact = new AdministratorContact().setFirstName("First").setLastName("Last")
                .setEmail("admin@example.test").setPhone("555");
        CertificateIssuer made = client.createIssuer(new CertificateIssuer(name, "Test").setAccountId("account")
                .setPassword("of the account").setOrganizationId("one").setAdministratorContacts(List.of(contact)));
        equal(List.of(made.getName(), made.getProvider(), made.getAccountId()), List.of(name, "Test", "account"));
        CertificateIssuer read = client.getIssuer(name);
        equal(List.of(read.getProvider(), read.getAccountId(), read.getOrganizationId(), read.isEnabled()),
                List.of("Test", "account", "one", true));
        check(read.getPassword() == null, "an issuer's password is shown");
        AdministratorContact shown = read.getAdministratorContacts().get(0);
        equal(List.of(shown.getFirstName(), shown.getLastName(), shown.getEmail(), shown.getPhone()),
                List.of("First", "Last", "admin@example.test", "555"));
        check(client.listPropertiesOfIssuers().stream().anyMatch(
                item -> item.getName().equals(name) && item.getProvider().equals("Test")), "it is not listed");
        CertificateIssuer changed = client.updateIssuer(read.setEnabled(false).setAccountId("other"));
        equal(List.of(changed.isEnabled(), changed.getAccountId(), changed.getProvider()), List.of(false, "other", "Test"));
        equal(client.deleteIssuer(name).getName(), name);
        refused(404, () -> client.getIssuer(name), "CertificateIssuerNotFound");
        refused(404, () -> client.deleteIssuer(name), "CertificateIssuerNotFound");
    }

    private static void contacts() throws Exception {
        CertificateClient client = certificates(VAULT_B);
        List<CertificateContact> wanted = List.of(
                new CertificateContact().setEmail("one@example.test").setName("One").setPhone("1"),
                new CertificateContact().setEmail("two@example.test"));
        List<String> told = List.of("one@example.test One 1", "two@example.test null null");
        for (var shown : List.of(client.setContacts(wanted), client.listContacts(), client.deleteContacts())) {
            equal(shown.stream().map(each -> each.getEmail() + " " + each.getName() + " " + each.getPhone()).toList(), told);
        }
        refused(404, () -> client.listContacts().stream().toList(), "ContactsNotFound");
    }

    private static CertificatePolicy issuedBy(String issuer, String name) {
        return policy(issuer, "CN=" + name).setValidityInMonths(1).setContentType(CertificateContentType.PEM)
                .setSubjectAlternativeNames(new SubjectAlternativeNames().setDnsNames(List.of(name)));
    }

    private static void privateAuthority() throws Exception {
        CertificateClient client = certificates(VAULT_B);
        String issuer = fresh("authority");
        client.createIssuer(new CertificateIssuer(issuer, "Vouchsafe").setAccountId("example.test days:90"));
        KeyVaultCertificate made = create(client, fresh("issued"), issuedBy(issuer, "one.example.test"));
        Bundle found = inPem(secretOf(VAULT_B, made.getName()));
        equal(found.chain().get(0), opened(made));
        found.belongsTogether("SHA256withECDSA");
        X509Certificate above = found.chain().get(1);
        opened(made).verify(above.getPublicKey());
        check(above.getBasicConstraints() >= 0, "signed by no authority");
        // What the authority may not certify it does not.
        var poller = client.beginCreateCertificate(fresh("outside"), issuedBy(issuer, "elsewhere.test"));
        CertificateOperation ended = waited(poller);
        equal(List.of(ended.getStatus(), poller.poll().getStatus()), List.of("failed", LongRunningOperationStatus.FAILED));
    }

    private static void withoutARole() throws Exception {
        CertificateClient client = certificates(VAULT_A);
        String name = fresh("absent");
        Map<String, Callable<?>> attempts = Map.of(
                "certificates/read", () -> client.getCertificate(name),
                "certificates/create/action", () -> client.beginCreateCertificate(name, policy()),
                "certificates/delete", () -> client.beginDeleteCertificate(name).poll(),
                "certificates/purge/action", () -> client.purgeDeletedCertificateWithResponse(name, Context.NONE),
                "certificatecas/write", () -> client.createIssuer(new CertificateIssuer(name, "Test")),
                "certificatecontacts/write", () -> client.deleteContacts().stream().toList());
        for (var each : attempts.entrySet()) {
            refused(403, each.getValue(), "Forbidden", "ForbiddenByRbac", ACTION + each.getKey(),
                    identity("stranger", "client_id"), identity("stranger", "principal_id"));
        }
        refused(403, () -> client.listPropertiesOfCertificates().stream().toList(), ACTION + "certificates/read");
    }
}

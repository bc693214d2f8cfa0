package vouchsafe;

import static vouchsafe.World.PREMIUM;
import static vouchsafe.World.VAULT_A;
import static vouchsafe.World.VAULT_B;
import static vouchsafe.World.check;
import static vouchsafe.World.crypto;
import static vouchsafe.World.daysFromNow;
import static vouchsafe.World.equal;
import static vouchsafe.World.fresh;
import static vouchsafe.World.keys;
import static vouchsafe.World.refused;
import static vouchsafe.World.url;
import static vouchsafe.World.waited;

import com.azure.core.http.rest.PagedResponse;
import com.azure.security.keyvault.keys.KeyClient;
import com.azure.security.keyvault.keys.cryptography.CryptographyClient;
import com.azure.security.keyvault.keys.cryptography.models.SignatureAlgorithm;
import com.azure.security.keyvault.keys.models.CreateEcKeyOptions;
import com.azure.security.keyvault.keys.models.CreateOctKeyOptions;
import com.azure.security.keyvault.keys.models.CreateRsaKeyOptions;
import com.azure.security.keyvault.keys.models.DeletedKey;
import com.azure.security.keyvault.keys.models.ImportKeyOptions;
import com.azure.security.keyvault.keys.models.JsonWebKey;
import com.azure.security.keyvault.keys.models.KeyCurveName;
import com.azure.security.keyvault.keys.models.KeyOperation;
import com.azure.security.keyvault.keys.models.KeyProperties;
import com.azure.security.keyvault.keys.models.KeyRotationLifetimeAction;
import com.azure.security.keyvault.keys.models.KeyRotationPolicy;
import com.azure.security.keyvault.keys.models.KeyRotationPolicyAction;
import com.azure.security.keyvault.keys.models.KeyType;
import com.azure.security.keyvault.keys.models.KeyVaultKey;
import java.nio.charset.StandardCharsets;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.Security;
import java.time.Duration;
import java.time.OffsetDateTime;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** The life of keys, through azure-security-keyvault-keys as it is. */
final class Keys {
    private static final String NO_VERSION = "0".repeat(32);

    private Keys() {}

    static void register(Map<String, Main.Scenario> scenarios) {
        scenarios.put("key-create-rsa", Keys::createRsa);
        scenarios.put("key-create-with-nothing-said", () -> {
            equal(keys(VAULT_A).createRsaKey(new CreateRsaKeyOptions(fresh("plain"))).getKey().getN().length, 256);
            KeyVaultKey made = keys(VAULT_A).createEcKey(new CreateEcKeyOptions(fresh("plain")));
            equal(made.getKey().getCurveName(), KeyCurveName.P_256);
        });
        scenarios.put("key-update-keeps-operations", () -> {
            KeyVaultKey made = keys(VAULT_A).createEcKey(ec(fresh("keeps")).setKeyOperations(KeyOperation.SIGN));
            KeyProperties wanted = made.getProperties().setTags(Map.of("b", "2"));
            equal(operations(keys(VAULT_A).updateKeyProperties(wanted)), Set.of(KeyOperation.SIGN));
        });
        scenarios.put("key-create-ec", Keys::createEc);
        scenarios.put("key-create-symmetric", Keys::createSymmetric);
        scenarios.put("key-create-of-a-wrong-size-is-refused", Keys::createOfAWrongSizeIsRefused);
        scenarios.put("key-of-an-hsm-in-a-standard-vault-is-refused", Keys::ofAnHsmInAStandardVaultIsRefused);
        scenarios.put("key-attributes", Keys::attributes);
        scenarios.put("key-import", Keys::importKey);
        scenarios.put("key-import-of-a-broken-key-is-refused", Keys::importOfABrokenKeyIsRefused);
        scenarios.put("key-versions", Keys::versions);
        scenarios.put("key-update", Keys::update);
        scenarios.put("key-list-over-pages", Keys::listOverPages);
        scenarios.put("key-not-found", Keys::notFound);
        scenarios.put("key-delete-and-recover", Keys::deleteAndRecover);
        scenarios.put("key-purge", Keys::purge);
        scenarios.put("key-name-of-a-deleted-one-is-taken", Keys::nameOfADeletedOneIsTaken);
        scenarios.put("key-backup-and-restore", Keys::backupAndRestore);
        scenarios.put("key-damaged-backup-is-refused", Keys::damagedBackupIsRefused);
        scenarios.put("key-rotate", Keys::rotate);
        scenarios.put("key-rotation-policy", Keys::rotationPolicy);
        scenarios.put("key-random-bytes", Keys::randomBytes);
    }

    static CreateRsaKeyOptions rsa(String name, int size) {
        // The client sends the exponent 0 when nothing is said.
        return new CreateRsaKeyOptions(name).setKeySize(size).setPublicExponent(65_537);
    }

    static CreateEcKeyOptions ec(String name) {
        return new CreateEcKeyOptions(name).setCurveName(KeyCurveName.P_256);
    }

    private static Set<KeyOperation> operations(KeyVaultKey key) {
        return new HashSet<>(key.getKeyOperations());
    }

    private static String hex(byte[] bytes) {
        return bytes == null ? null : java.util.HexFormat.of().formatHex(bytes);
    }

    private static void createRsa() {
        KeyClient client = keys(VAULT_A);
        for (int size : List.of(2048, 3072, 4096)) {
            String name = fresh("rsa");
            KeyVaultKey made = client.createRsaKey(rsa(name, size));
            JsonWebKey key = made.getKey();
            equal(List.of(made.getName(), made.getKeyType(), key.getN().length * 8), List.of(name, KeyType.RSA, size));
            equal(hex(key.getE()), "010001");
            equal(made.getId(), url(VAULT_A) + "/keys/" + name + "/" + made.getProperties().getVersion());
            check(key.getD() == null && key.getP() == null && key.getK() == null, "a private part is shown");
            equal(operations(made), Set.of(KeyOperation.ENCRYPT, KeyOperation.DECRYPT, KeyOperation.SIGN, KeyOperation.VERIFY,
                    KeyOperation.WRAP_KEY, KeyOperation.UNWRAP_KEY));
            KeyVaultKey read = client.getKey(name);
            equal(List.of(read.getId(), hex(read.getKey().getN())), List.of(made.getId(), hex(key.getN())));
            KeyProperties properties = read.getProperties();
            Duration age = Duration.between(properties.getCreatedOn(), OffsetDateTime.now()).abs();
            check(properties.isEnabled() && age.compareTo(Duration.ofMinutes(5)) < 0, "created on " + properties.getCreatedOn());
            check(properties.getRecoveryLevel() != null && properties.getRecoverableDays() >= 7, "says not how it recovers");
        }
    }

    private static void createEc() {
        Map<KeyCurveName, Integer> fields = Map.of(
                KeyCurveName.P_256, 32, KeyCurveName.P_384, 48, KeyCurveName.P_521, 66, KeyCurveName.P_256K, 32);
        fields.forEach((curve, field) -> {
            KeyVaultKey made = keys(VAULT_A).createEcKey(new CreateEcKeyOptions(fresh("ec")).setCurveName(curve));
            JsonWebKey key = made.getKey();
            equal(List.of(made.getKeyType(), key.getCurveName(), key.getX().length, key.getY().length),
                    List.of(KeyType.EC, curve, field, field));
            check(key.getD() == null, "a private part is shown");
            equal(operations(made), Set.of(KeyOperation.SIGN, KeyOperation.VERIFY));
        });
    }

    private static void createSymmetric() {
        for (int size : List.of(128, 192, 256)) {
            KeyVaultKey made = keys(VAULT_A).createOctKey(new CreateOctKeyOptions(fresh("oct")).setKeySize(size));
            equal(made.getKeyType(), KeyType.OCT);
            check(made.getKey().getK() == null, "the key is shown");
        }
    }

    private static void createOfAWrongSizeIsRefused() throws Exception {
        for (int size : List.of(1024, 2047, 8192)) {
            refused(400, () -> keys(VAULT_A).createRsaKey(rsa(fresh("size"), size)), "BadParameter");
        }
        refused(400, () -> keys(VAULT_A).createOctKey(new CreateOctKeyOptions(fresh("size")).setKeySize(64)), "BadParameter");
    }

    private static void ofAnHsmInAStandardVaultIsRefused() throws Exception {
        refused(400, () -> keys(VAULT_A).createRsaKey(rsa(fresh("hsm"), 2048).setHardwareProtected(true)), "BadParameter");
        refused(400, () -> keys(VAULT_A).createEcKey(ec(fresh("hsm")).setHardwareProtected(true)), "BadParameter");
    }

    private static void attributes() {
        KeyClient client = keys(VAULT_A);
        String name = fresh("attributes");
        Map<String, String> tags = Map.of("owner", "team one", "empty", "", "ümlaut", "ja");
        OffsetDateTime from = daysFromNow(-1);
        OffsetDateTime until = daysFromNow(30);
        client.createEcKey(ec(name).setKeyOperations(KeyOperation.SIGN).setTags(tags).setEnabled(false)
                .setNotBefore(from).setExpiresOn(until));
        KeyVaultKey read = client.getKey(name);
        equal(List.of(read.getProperties().getTags(), read.getProperties().isEnabled()), List.of(tags, false));
        equal(read.getProperties().getNotBefore().toInstant(), from.toInstant());
        equal(read.getProperties().getExpiresOn().toInstant(), until.toInstant());
        equal(operations(read), Set.of(KeyOperation.SIGN));
    }

    private static KeyPair pair(String algorithm, int size) throws Exception {
        KeyPairGenerator generator = KeyPairGenerator.getInstance(algorithm);
        generator.initialize(size);
        return generator.generateKeyPair();
    }

    /** A key made by the JDK, in the shape that is imported. */
    static JsonWebKey ecKey(int bits) throws Exception {
        return JsonWebKey.fromEc(pair("EC", bits), Security.getProvider("SunEC"), List.of(KeyOperation.SIGN));
    }

    private static void importKey() throws Exception {
        KeyClient client = keys(VAULT_A);
        JsonWebKey own = JsonWebKey.fromRsa(pair("RSA", 2048)).setKeyOps(List.of(KeyOperation.SIGN, KeyOperation.VERIFY));
        ImportKeyOptions options = new ImportKeyOptions(fresh("imported"), own);
        options.setTags(Map.of("from", "outside"));
        KeyVaultKey imported = client.importKey(options);
        equal(Cryptography.unsigned(imported.getKey().getN()), Cryptography.unsigned(own.getN()));
        equal(imported.getProperties().getTags(), Map.of("from", "outside"));
        check(imported.getKey().getD() == null, "a private part is shown");
        Cryptography.verifiedElsewhere(imported, SignatureAlgorithm.RS256, Cryptography.sign(imported, SignatureAlgorithm.RS256));

        own = ecKey(384);
        imported = client.importKey(fresh("imported"), own);
        equal(Cryptography.unsigned(imported.getKey().getX()), Cryptography.unsigned(own.getX()));
        Cryptography.verifiedElsewhere(imported, SignatureAlgorithm.ES384, Cryptography.sign(imported, SignatureAlgorithm.ES384));
    }

    private static void importOfABrokenKeyIsRefused() throws Exception {
        JsonWebKey own = ecKey(256).setD(ecKey(256).getD());
        refused(400, () -> keys(VAULT_A).importKey(fresh("broken"), own), "BadParameter");
    }

    private static List<String> versionsOf(KeyClient client, String name) {
        return client.listPropertiesOfKeyVersions(name).stream().map(KeyProperties::getVersion).sorted().toList();
    }

    private static void versions() {
        KeyClient client = keys(VAULT_A);
        String name = fresh("versions");
        List<String> versions = new ArrayList<>();
        for (int number = 0; number < 3; number++) {
            KeyVaultKey made = client.createEcKey(ec(name));
            versions.add(made.getProperties().getVersion());
            equal(hex(client.getKey(name, versions.get(number)).getKey().getX()), hex(made.getKey().getX()));
        }
        equal(client.getKey(name).getProperties().getVersion(), versions.get(2));
        equal(versionsOf(client, name), versions.stream().sorted().toList());
    }

    private static void update() {
        KeyClient client = keys(VAULT_A);
        KeyVaultKey first = client.createRsaKey(rsa(fresh("update"), 2048).setTags(Map.of("a", "1")));
        OffsetDateTime until = daysFromNow(2);
        KeyProperties wanted = first.getProperties().setTags(Map.of("b", "2")).setExpiresOn(until);
        KeyVaultKey changed = client.updateKeyProperties(wanted, KeyOperation.ENCRYPT);
        equal(operations(changed), Set.of(KeyOperation.ENCRYPT));
        equal(List.of(changed.getProperties().getTags(), changed.getId()), List.of(Map.of("b", "2"), first.getId()));
        equal(changed.getProperties().getExpiresOn().toInstant(), until.toInstant());
        check(!changed.getProperties().getUpdatedOn().isBefore(first.getProperties().getUpdatedOn()), "`updated` went back");
    }

    private static void listOverPages() {
        KeyClient client = keys(VAULT_B);
        String prefix = fresh("page");
        for (int number = 0; number < 28; number++) {
            String tag = String.format("%02d", number);
            client.createEcKey(ec(prefix + "-" + tag).setTags(Map.of("n", tag)));
        }
        List<PagedResponse<KeyProperties>> pages = client.listPropertiesOfKeys().streamByPage().toList();
        check(pages.size() >= 2, pages.size() + " pages");
        check(pages.stream().allMatch(page -> page.getValue().size() <= 25), "a page of more than 25");
        List<KeyProperties> found = pages.stream().flatMap(page -> page.getValue().stream())
                .filter(item -> item.getName().startsWith(prefix)).toList();
        equal(found.stream().map(KeyProperties::getName).distinct().count(), 28L);
        equal(found.size(), 28);
        for (KeyProperties item : found) equal(item.getTags(), Map.of("n", item.getName().substring(prefix.length() + 1)));
    }

    private static void notFound() throws Exception {
        KeyClient client = keys(VAULT_A);
        String name = fresh("absent");
        refused(404, () -> client.getKey(name), "KeyNotFound");
        refused(404, () -> client.getDeletedKey(name), "KeyNotFound");
        refused(404, () -> client.beginDeleteKey(name).poll(), "KeyNotFound");
        refused(404, () -> client.rotateKey(name), "KeyNotFound");
        client.createEcKey(ec(name));
        refused(404, () -> client.getKey(name, NO_VERSION), "KeyNotFound");
    }

    private static void deleteAndRecover() throws Exception {
        KeyClient client = keys(VAULT_A);
        String name = fresh("recover");
        KeyVaultKey first = client.createEcKey(ec(name));
        KeyVaultKey second = client.createEcKey(ec(name).setTags(Map.of("k", "v")));
        CryptographyClient crypto = crypto(second.getId());
        crypto.sign(SignatureAlgorithm.ES256, Cryptography.digest(SignatureAlgorithm.ES256));
        DeletedKey deleted = waited(client.beginDeleteKey(name));
        equal(List.of(deleted.getName(), deleted.getRecoveryId()), List.of(name, url(VAULT_A) + "/deletedkeys/" + name));
        check(deleted.getScheduledPurgeDate().isAfter(deleted.getDeletedOn()), "purged before it is deleted");
        refused(404, () -> client.getKey(name), "KeyNotFound");
        refused(404, () -> client.getKey(name, first.getProperties().getVersion()), "KeyNotFound");
        byte[] digest = Cryptography.digest(SignatureAlgorithm.ES256);
        refused(404, () -> crypto.sign(SignatureAlgorithm.ES256, digest), "KeyNotFound");
        check(client.listPropertiesOfKeys().stream().noneMatch(item -> item.getName().equals(name)), "it is listed");
        check(client.listDeletedKeys().stream().anyMatch(item -> item.getName().equals(name)), "it is not listed as deleted");
        equal(client.getDeletedKey(name).getProperties().getTags(), Map.of("k", "v"));
        waited(client.beginRecoverDeletedKey(name));
        equal(hex(client.getKey(name).getKey().getX()), hex(second.getKey().getX()));
        String version = first.getProperties().getVersion();
        equal(hex(client.getKey(name, version).getKey().getX()), hex(first.getKey().getX()));
        Cryptography.verifiedElsewhere(second, SignatureAlgorithm.ES256, Cryptography.sign(second, SignatureAlgorithm.ES256));
    }

    private static void purge() throws Exception {
        KeyClient client = keys(VAULT_A);
        String name = fresh("purge");
        KeyVaultKey old = client.createEcKey(ec(name));
        waited(client.beginDeleteKey(name));
        client.purgeDeletedKey(name);
        refused(404, () -> client.getDeletedKey(name), "KeyNotFound");
        refused(404, () -> client.purgeDeletedKeyWithResponse(name, null), "KeyNotFound");
        KeyVaultKey made = client.createEcKey(ec(name));
        check(!Arrays.equals(made.getKey().getX(), old.getKey().getX()), "a purged key came back");
        equal(versionsOf(client, name), List.of(made.getProperties().getVersion()));
    }

    private static void nameOfADeletedOneIsTaken() throws Exception {
        KeyClient client = keys(VAULT_A);
        String name = fresh("taken");
        client.createEcKey(ec(name));
        waited(client.beginDeleteKey(name));
        refused(409, () -> client.createEcKey(ec(name)), "Conflict", "ObjectIsDeletedButRecoverable");
    }

    private static void backupAndRestore() throws Exception {
        KeyClient here = keys(VAULT_A);
        KeyClient there = keys(VAULT_B);
        String name = fresh("backup");
        KeyVaultKey first = here.createRsaKey(rsa(name, 2048).setTags(Map.of("a", "b")));
        KeyVaultKey second = here.createRsaKey(rsa(name, 2048));
        byte[] backup = here.backupKey(name);
        KeyVaultKey restored = there.restoreKeyBackup(backup);
        check(restored.getId().startsWith(url(VAULT_B) + "/keys/" + name + "/"), restored.getId());
        equal(hex(there.getKey(name).getKey().getN()), hex(second.getKey().getN()));
        KeyVaultKey old = there.getKey(name, first.getProperties().getVersion());
        equal(List.of(hex(old.getKey().getN()), old.getProperties().getTags()), List.of(hex(first.getKey().getN()), Map.of("a", "b")));
        // The private half came with it.
        Cryptography.verifiedElsewhere(first, SignatureAlgorithm.PS256, Cryptography.sign(old, SignatureAlgorithm.PS256));
        refused(409, () -> there.restoreKeyBackup(backup), "Conflict");
    }

    private static void damagedBackupIsRefused() throws Exception {
        KeyClient there = keys(VAULT_B);
        String name = fresh("damaged");
        keys(VAULT_A).createEcKey(ec(name));
        byte[] backup = keys(VAULT_A).backupKey(name);
        backup[backup.length / 2] ^= 1;
        byte[] text = "not a backup at all".getBytes(StandardCharsets.UTF_8);
        for (byte[] damaged : List.of(backup, new byte[0], text)) {
            refused(400, () -> there.restoreKeyBackup(damaged), "BadParameter");
        }
        refused(404, () -> there.getKey(name), "KeyNotFound");
    }

    private static void rotate() throws Exception {
        KeyClient client = keys(VAULT_A);
        String name = fresh("rotate");
        KeyVaultKey first = client.createRsaKey(
                rsa(name, 3072).setKeyOperations(KeyOperation.SIGN, KeyOperation.VERIFY).setTags(Map.of("kept", "yes")));
        KeyVaultKey second = client.rotateKey(name);
        check(!second.getId().equals(first.getId()), "not a new version");
        check(!Arrays.equals(second.getKey().getN(), first.getKey().getN()), "the same key");
        equal(List.of(second.getKey().getN().length, operations(second), second.getProperties().getTags()),
                List.of(384, operations(first), Map.of("kept", "yes")));
        equal(client.getKey(name).getId(), second.getId());
        Cryptography.verifiedElsewhere(first, SignatureAlgorithm.RS256, Cryptography.sign(first, SignatureAlgorithm.RS256));
    }

    private static void rotationPolicy() throws Exception {
        KeyClient client = keys(VAULT_A);
        String name = fresh("policy");
        client.createRsaKey(rsa(name, 2048));
        equal(client.getKeyRotationPolicy(name).getLifetimeActions().get(0).getAction(), KeyRotationPolicyAction.NOTIFY);
        List<KeyRotationLifetimeAction> actions = List.of(
                new KeyRotationLifetimeAction(KeyRotationPolicyAction.ROTATE).setTimeAfterCreate("P30D"),
                new KeyRotationLifetimeAction(KeyRotationPolicyAction.NOTIFY).setTimeBeforeExpiry("P30D"));
        client.updateKeyRotationPolicy(name, new KeyRotationPolicy().setExpiresIn("P90D").setLifetimeActions(actions));
        KeyRotationPolicy read = client.getKeyRotationPolicy(name);
        equal(List.of(read.getExpiresIn(), read.getLifetimeActions().size()), List.of("P90D", 2));
        for (KeyRotationLifetimeAction action : read.getLifetimeActions()) {
            boolean rotates = action.getAction().toString().equalsIgnoreCase("rotate");
            equal(rotates ? action.getTimeAfterCreate() : action.getTimeBeforeExpiry(), "P30D");
        }
        // A key made now expires when the policy says.
        KeyProperties made = client.rotateKey(name).getProperties();
        Duration off = Duration.between(made.getCreatedOn().plusDays(90), made.getExpiresOn()).abs();
        check(off.compareTo(Duration.ofMinutes(1)) < 0, "expires on " + made.getExpiresOn());
        KeyRotationPolicy tooShort = new KeyRotationPolicy().setExpiresIn("P1D").setLifetimeActions(actions);
        refused(400, () -> client.updateKeyRotationPolicy(name, tooShort), "BadParameter");
    }

    private static void randomBytes() throws Exception {
        for (KeyClient client : List.of(keys(VAULT_A), keys(PREMIUM))) {
            for (int count : List.of(1, 32, 128)) equal(client.getRandomBytes(count).length, count);
            check(!Arrays.equals(client.getRandomBytes(32), client.getRandomBytes(32)), "the same bytes twice");
            refused(400, () -> client.getRandomBytes(129), "BadParameter");
        }
    }
}

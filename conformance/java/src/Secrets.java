package vouchsafe;

import static vouchsafe.World.SEEDED_NAME;
import static vouchsafe.World.SEEDED_VALUE;
import static vouchsafe.World.VAULT_A;
import static vouchsafe.World.VAULT_B;
import static vouchsafe.World.check;
import static vouchsafe.World.daysFromNow;
import static vouchsafe.World.equal;
import static vouchsafe.World.fresh;
import static vouchsafe.World.refused;
import static vouchsafe.World.secrets;
import static vouchsafe.World.url;
import static vouchsafe.World.waited;

import com.azure.core.http.rest.PagedResponse;
import com.azure.security.keyvault.secrets.SecretAsyncClient;
import com.azure.security.keyvault.secrets.SecretClient;
import com.azure.security.keyvault.secrets.SecretClientBuilder;
import com.azure.security.keyvault.secrets.models.DeletedSecret;
import com.azure.security.keyvault.secrets.models.KeyVaultSecret;
import com.azure.security.keyvault.secrets.models.SecretProperties;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.OffsetDateTime;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import reactor.core.publisher.Flux;

/** Every operation on secrets, through azure-security-keyvault-secrets as it is. */
final class Secrets {
    private static final String NO_VERSION = "0".repeat(32);

    private Secrets() {}

    static void register(Map<String, Main.Scenario> scenarios) {
        scenarios.put("secret-set-and-get", Secrets::setAndGet);
        scenarios.put("secret-attributes", Secrets::attributes);
        scenarios.put("secret-odd-values", Secrets::oddValues);
        scenarios.put("secret-too-long-is-refused", () -> refused(
                400, () -> secrets(VAULT_A).setSecret(fresh("long"), "x".repeat(25_601)), "BadParameter"));
        scenarios.put("secret-versions", Secrets::versions);
        scenarios.put("secret-update", Secrets::update);
        scenarios.put("secret-list-over-pages", Secrets::listOverPages);
        scenarios.put("secret-not-found", Secrets::notFound);
        scenarios.put("secret-delete-and-recover", Secrets::deleteAndRecover);
        scenarios.put("secret-purge", Secrets::purge);
        scenarios.put("secret-deleted-list-over-pages", Secrets::deletedListOverPages);
        scenarios.put("secret-name-of-a-deleted-one-is-taken", Secrets::nameOfADeletedOneIsTaken);
        scenarios.put("secret-backup-and-restore", Secrets::backupAndRestore);
        scenarios.put("secret-restore-onto-itself-is-refused", Secrets::restoreOntoItselfIsRefused);
        scenarios.put("secret-damaged-backup-is-refused", Secrets::damagedBackupIsRefused);
        scenarios.put("secret-disabled-cannot-be-read", Secrets::disabledCannotBeRead);
        scenarios.put("secret-outside-its-dates-can-be-read", Secrets::outsideItsDatesCanBeRead);
        scenarios.put("async-many-at-once", Secrets::manyAtOnce);
    }

    private static DeletedSecret removed(SecretClient client, String name) {
        return waited(client.beginDeleteSecret(name));
    }

    private static void recovered(SecretClient client, String name) {
        waited(client.beginRecoverDeletedSecret(name));
    }

    private static Set<String> listed(SecretClient client) {
        return client.listPropertiesOfSecrets().stream().map(SecretProperties::getName).collect(Collectors.toSet());
    }

    private static Set<String> listedAsDeleted(SecretClient client) {
        return client.listDeletedSecrets().stream().map(DeletedSecret::getName).collect(Collectors.toSet());
    }

    private static Set<String> versionsOf(SecretClient client, String name) {
        List<String> versions = client.listPropertiesOfSecretVersions(name).stream().map(SecretProperties::getVersion).toList();
        check(new HashSet<>(versions).size() == versions.size(), "a version is listed twice");
        return new HashSet<>(versions);
    }

    private static KeyVaultSecret with(String name, String value, SecretProperties properties) {
        return new KeyVaultSecret(name, value).setProperties(properties);
    }

    private static void setAndGet() {
        String name = fresh("plain");
        KeyVaultSecret written = secrets(VAULT_A).setSecret(name, "a first value");
        equal(written.getValue(), "a first value");
        equal(written.getName(), name);
        check(written.getId().startsWith(url(VAULT_A) + "/secrets/" + name + "/"), written.getId());
        KeyVaultSecret read = secrets(VAULT_A).getSecret(name);
        equal(read.getValue(), "a first value");
        equal(read.getId(), written.getId());
        SecretProperties properties = read.getProperties();
        equal(properties.isEnabled(), true);
        Duration age = Duration.between(properties.getCreatedOn(), OffsetDateTime.now()).abs();
        check(age.compareTo(Duration.ofMinutes(5)) < 0, "created on " + properties.getCreatedOn());
        check(properties.getRecoveryLevel() != null, "a vault says how it recovers");
        int days = properties.getRecoverableDays();
        check(days >= 7 && days <= 90, "recoverable for " + days + " days");
    }

    private static void attributes() {
        SecretClient client = secrets(VAULT_A);
        String name = fresh("attributes");
        Map<String, String> tags = Map.of("owner", "team one", "empty", "", "ümlaut", "ja");
        OffsetDateTime from = daysFromNow(-1);
        OffsetDateTime until = daysFromNow(30);
        client.setSecret(with(name, "v", new SecretProperties().setContentType("text/plain; charset=utf-8").setTags(tags)
                .setEnabled(true).setNotBefore(from).setExpiresOn(until)));
        SecretProperties read = client.getSecret(name).getProperties();
        equal(read.getContentType(), "text/plain; charset=utf-8");
        equal(read.getTags(), tags);
        equal(read.isEnabled(), true);
        equal(read.getNotBefore().toInstant(), from.toInstant());
        equal(read.getExpiresOn().toInstant(), until.toInstant());
    }

    private static void oddValues() {
        SecretClient client = secrets(VAULT_A);
        // This client refuses the empty value by itself.
        for (String value : List.of("two\r\nlines\n", "\"quoted\" \\ and {\"json\": [1]}", "пароль 秘密 🔑", "x".repeat(25_000),
                " padded ")) {
            String name = fresh("odd");
            client.setSecret(name, value);
            equal(client.getSecret(name).getValue(), value);
        }
    }

    private static void versions() {
        SecretClient client = secrets(VAULT_A);
        String name = fresh("versions");
        List<String> versions = new ArrayList<>();
        for (int number = 0; number < 4; number++) {
            versions.add(client.setSecret(name, "value " + number).getProperties().getVersion());
        }
        for (int number = 0; number < 4; number++) {
            check(versions.get(number).matches("[0-9a-f]{32}"), versions.get(number));
            equal(client.getSecret(name, versions.get(number)).getValue(), "value " + number);
        }
        equal(client.getSecret(name).getProperties().getVersion(), versions.get(3));
        equal(versionsOf(client, name), new HashSet<>(versions));
        equal(versionsOf(client, name).size(), 4);
    }

    private static void update() {
        SecretClient client = secrets(VAULT_A);
        String name = fresh("update");
        KeyVaultSecret first = client.setSecret(with(name, "kept", new SecretProperties().setTags(Map.of("a", "1"))));
        OffsetDateTime until = daysFromNow(1);
        SecretProperties wanted = first.getProperties().setTags(Map.of("b", "2")).setContentType("x/y").setExpiresOn(until);
        SecretProperties changed = client.updateSecretProperties(wanted);
        equal(List.of(changed.getTags(), changed.getContentType()), List.of(Map.of("b", "2"), "x/y"));
        equal(changed.getVersion(), first.getProperties().getVersion());
        check(!changed.getUpdatedOn().isBefore(first.getProperties().getUpdatedOn()), "`updated` went back");
        KeyVaultSecret read = client.getSecret(name);
        equal(List.of(read.getValue(), read.getProperties().getTags()), List.of("kept", Map.of("b", "2")));
        equal(read.getProperties().getExpiresOn().toInstant(), until.toInstant());
    }

    private static void listOverPages() {
        SecretClient client = secrets(VAULT_B);
        String prefix = fresh("page");
        for (int number = 0; number < 63; number++) {
            String tag = String.format("%02d", number);
            client.setSecret(with(prefix + "-" + tag, "listed", new SecretProperties().setTags(Map.of("n", tag))));
        }
        List<PagedResponse<SecretProperties>> pages = client.listPropertiesOfSecrets().streamByPage().toList();
        check(pages.size() >= 3, pages.size() + " pages");
        check(pages.stream().allMatch(page -> page.getValue().size() <= 25), "a page of more than 25");
        List<SecretProperties> found = pages.stream().flatMap(page -> page.getValue().stream())
                .filter(item -> item.getName().startsWith(prefix)).toList();
        equal(found.size(), 63);
        equal(found.stream().map(SecretProperties::getName).distinct().count(), 63L);
        for (SecretProperties item : found) {
            equal(item.getTags(), Map.of("n", item.getName().substring(prefix.length() + 1)));
            check(item.getVersion() == null || item.getVersion().isEmpty(), "a list names the version " + item.getVersion());
        }
    }

    private static void notFound() throws Exception {
        SecretClient client = secrets(VAULT_A);
        String name = fresh("absent");
        refused(404, () -> client.getSecret(name), "SecretNotFound");
        refused(404, () -> client.getDeletedSecret(name), "SecretNotFound");
        refused(404, () -> client.beginDeleteSecret(name).poll(), "SecretNotFound");
        client.setSecret(name, "now it is");
        refused(404, () -> client.getSecret(name, NO_VERSION), "SecretNotFound");
    }

    private static void deleteAndRecover() throws Exception {
        SecretClient client = secrets(VAULT_A);
        String name = fresh("recover");
        String version = client.setSecret(name, "one").getProperties().getVersion();
        client.setSecret(with(name, "two", new SecretProperties().setTags(Map.of("k", "v"))));
        DeletedSecret deleted = removed(client, name);
        equal(deleted.getName(), name);
        equal(deleted.getRecoveryId(), url(VAULT_A) + "/deletedsecrets/" + name);
        check(deleted.getScheduledPurgeDate().isAfter(deleted.getDeletedOn()), "purged before it is deleted");
        refused(404, () -> client.getSecret(name), "SecretNotFound");
        refused(404, () -> client.getSecret(name, version), "SecretNotFound");
        check(!listed(client).contains(name), "a deleted secret is listed");
        check(listedAsDeleted(client).contains(name), "a deleted secret is not listed as deleted");
        equal(client.getDeletedSecret(name).getProperties().getTags(), Map.of("k", "v"));
        recovered(client, name);
        equal(client.getSecret(name).getValue(), "two");
        equal(client.getSecret(name, version).getValue(), "one");
        check(!listedAsDeleted(client).contains(name), "a recovered secret is listed as deleted");
    }

    private static void purge() throws Exception {
        SecretClient client = secrets(VAULT_A);
        String name = fresh("purge");
        String old = client.setSecret(name, "gone soon").getProperties().getVersion();
        removed(client, name);
        client.purgeDeletedSecret(name);
        refused(404, () -> client.getDeletedSecret(name), "SecretNotFound");
        refused(404, () -> client.purgeDeletedSecretWithResponse(name, null), "SecretNotFound");
        String version = client.setSecret(name, "a new life").getProperties().getVersion();
        check(!version.equals(old), "a version came back");
        equal(versionsOf(client, name), Set.of(version));
        refused(404, () -> client.getSecret(name, old), "SecretNotFound");
    }

    private static void deletedListOverPages() {
        SecretClient client = secrets(VAULT_B);
        String prefix = fresh("gone");
        for (int number = 0; number < 28; number++) {
            String name = prefix + "-" + number;
            client.setSecret(name, "x");
            client.beginDeleteSecret(name).poll();
        }
        List<PagedResponse<DeletedSecret>> pages = client.listDeletedSecrets().streamByPage().toList();
        check(pages.size() >= 2, pages.size() + " pages");
        Stream<DeletedSecret> items = pages.stream().flatMap(page -> page.getValue().stream());
        equal(items.filter(item -> item.getName().startsWith(prefix)).count(), 28L);
    }

    private static void nameOfADeletedOneIsTaken() throws Exception {
        SecretClient client = secrets(VAULT_A);
        String name = fresh("taken");
        client.setSecret(name, "first");
        removed(client, name);
        refused(409, () -> client.setSecret(name, "second"), "Conflict", "ObjectIsDeletedButRecoverable");
        recovered(client, name);
        equal(client.getSecret(name).getValue(), "first");
    }

    private static void backupAndRestore() {
        SecretClient here = secrets(VAULT_A);
        SecretClient there = secrets(VAULT_B);
        String name = fresh("backup");
        OffsetDateTime until = daysFromNow(9);
        KeyVaultSecret first = here.setSecret(
                with(name, "one", new SecretProperties().setTags(Map.of("a", "b")).setContentType("c/d")));
        KeyVaultSecret second = here.setSecret(with(name, "two", new SecretProperties().setExpiresOn(until)));
        byte[] backup = here.backupSecret(name);
        String shown = new String(backup, StandardCharsets.ISO_8859_1);
        check(!shown.contains("one") && !shown.contains("two"), "a backup shows something");
        KeyVaultSecret restored = there.restoreSecretBackup(backup);
        check(restored.getId().startsWith(url(VAULT_B) + "/secrets/" + name + "/"), restored.getId());
        KeyVaultSecret newest = there.getSecret(name);
        equal(newest.getValue(), "two");
        equal(newest.getProperties().getExpiresOn().toInstant(), until.toInstant());
        KeyVaultSecret old = there.getSecret(name, first.getProperties().getVersion());
        equal(List.of(old.getValue(), old.getProperties().getTags(), old.getProperties().getContentType()),
                List.of("one", Map.of("a", "b"), "c/d"));
        equal(versionsOf(there, name), Set.of(first.getProperties().getVersion(), second.getProperties().getVersion()));
        equal(here.getSecret(name).getValue(), "two");
    }

    private static void restoreOntoItselfIsRefused() throws Exception {
        SecretClient client = secrets(VAULT_A);
        String name = fresh("again");
        client.setSecret(name, "here");
        byte[] backup = client.backupSecret(name);
        refused(409, () -> client.restoreSecretBackup(backup), "Conflict");
        removed(client, name);
        client.purgeDeletedSecret(name);
        client.restoreSecretBackup(backup);
        equal(client.getSecret(name).getValue(), "here");
    }

    private static void damagedBackupIsRefused() throws Exception {
        SecretClient there = secrets(VAULT_B);
        String name = fresh("damaged");
        secrets(VAULT_A).setSecret(name, "whole");
        byte[] backup = secrets(VAULT_A).backupSecret(name);
        backup[backup.length / 2] ^= 1;
        byte[] text = "not a backup at all".getBytes(StandardCharsets.UTF_8);
        for (byte[] damaged : List.of(backup, new byte[0], text)) {
            refused(400, () -> there.restoreSecretBackup(damaged), "BadParameter");
        }
        refused(404, () -> there.getSecret(name), "SecretNotFound");
    }

    private static void disabledCannotBeRead() throws Exception {
        SecretClient client = secrets(VAULT_A);
        String name = fresh("disabled");
        KeyVaultSecret written = client.setSecret(with(name, "hidden", new SecretProperties().setEnabled(false)));
        String version = written.getProperties().getVersion();
        refused(403, () -> client.getSecret(name), "Forbidden", "SecretDisabled");
        refused(403, () -> client.getSecret(name, version), "Forbidden", "SecretDisabled");
        for (SecretProperties item : client.listPropertiesOfSecrets()) {
            if (item.getName().equals(name)) equal(item.isEnabled(), false);
        }
        client.updateSecretProperties(written.getProperties().setEnabled(true));
        equal(client.getSecret(name).getValue(), "hidden");
    }

    private static void outsideItsDatesCanBeRead() {
        SecretClient client = secrets(VAULT_A);
        for (SecretProperties dates : List.of(new SecretProperties().setExpiresOn(daysFromNow(-1)),
                new SecretProperties().setNotBefore(daysFromNow(1)))) {
            String name = fresh("dates");
            client.setSecret(with(name, "still there", dates));
            equal(client.getSecret(name).getValue(), "still there");
        }
    }

    private static void manyAtOnce() {
        SecretAsyncClient client = new SecretClientBuilder()
                .vaultUrl(url(VAULT_A)).credential(World.managedIdentity()).buildAsyncClient();
        List<String> values = Flux.range(0, 100).flatMap(index -> client.getSecret(SEEDED_NAME), 100)
                .map(KeyVaultSecret::getValue).collectList().block(Duration.ofSeconds(60));
        equal(values, java.util.Collections.nCopies(100, SEEDED_VALUE));
    }
}

package vouchsafe;

import com.azure.core.credential.TokenCredential;
import com.azure.core.exception.HttpResponseException;
import com.azure.core.util.polling.SyncPoller;
import com.azure.identity.ManagedIdentityCredentialBuilder;
import com.azure.json.JsonProviders;
import com.azure.json.JsonReader;
import com.azure.security.keyvault.certificates.CertificateClient;
import com.azure.security.keyvault.certificates.CertificateClientBuilder;
import com.azure.security.keyvault.keys.KeyClient;
import com.azure.security.keyvault.keys.KeyClientBuilder;
import com.azure.security.keyvault.keys.cryptography.CryptographyClient;
import com.azure.security.keyvault.keys.cryptography.CryptographyClientBuilder;
import com.azure.security.keyvault.secrets.SecretClient;
import com.azure.security.keyvault.secrets.SecretClientBuilder;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.time.temporal.ChronoUnit;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.UUID;
import java.util.concurrent.Callable;

/** What the scenarios share: the world they run in, clients for it, and how a refusal is looked at. */
final class World {
    private static final Map<String, Object> WORLD = read();

    static final String TENANT = text("tenant");
    static final String SUFFIX = text("vault_suffix");
    static final String VAULT_A = (String) ((List<?>) WORLD.get("vaults")).get(0);
    static final String VAULT_B = (String) ((List<?>) WORLD.get("vaults")).get(1);
    /** Its keys may be in a token. */
    static final String PREMIUM = text("premium_vault");
    static final String SEEDED_NAME = text("seeded_name");
    static final String SEEDED_VALUE = text("seeded_value");

    private World() {}

    private static Map<String, Object> read() {
        try (JsonReader reader = JsonProviders.createReader(Files.readString(Path.of(System.getenv("CONFORMANCE_WORLD"))))) {
            return reader.readMap(JsonReader::readUntyped);
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    static String text(String name) {
        return (String) WORLD.get(name);
    }

    /** What is known of an identity: `client_id`, `principal_id` or `resource_id`. */
    static String identity(String name, String part) {
        return (String) ((Map<?, ?>) ((Map<?, ?>) WORLD.get("identities")).get(name)).get(part);
    }

    /** The address of a vault by our own suffix. */
    static String url(String vault) {
        return "https://" + vault + "." + SUFFIX;
    }

    /** The address that the proxy answers for. */
    static String publicUrl(String vault) {
        return "https://" + vault + ".vault.azure.net";
    }

    static TokenCredential managedIdentity() {
        return new ManagedIdentityCredentialBuilder().build();
    }

    /** A client as an application would write it, with every check that it makes by itself. */
    static SecretClient secrets(String vault) {
        return secretsAt(url(vault), managedIdentity());
    }

    static SecretClient secretsAt(String url, TokenCredential credential) {
        return new SecretClientBuilder().vaultUrl(url).credential(credential).addPolicy(new Recorder()).buildClient();
    }

    /** The same for keys. */
    static KeyClient keys(String vault) {
        return new KeyClientBuilder().vaultUrl(url(vault)).credential(managedIdentity()).addPolicy(new Recorder()).buildClient();
    }

    /** The same for certificates. */
    static CertificateClient certificates(String vault) {
        return new CertificateClientBuilder().vaultUrl(url(vault)).credential(managedIdentity())
                .addPolicy(new Recorder()).buildClient();
    }

    /** What uses a key: what it can do by itself it does, the rest is asked of the vault. */
    static CryptographyClient crypto(String id) {
        return new CryptographyClientBuilder().keyIdentifier(id).credential(managedIdentity())
                .addPolicy(new Recorder()).buildClient();
    }

    /** Reads what the runner wrote, and checks it. */
    static void readsTheSeededSecret(SecretClient client) {
        equal(client.getSecret(SEEDED_NAME).getValue(), SEEDED_VALUE);
    }

    /** A name that no other scenario uses. */
    static String fresh(String prefix) {
        return prefix + "-" + HexFormat.of().toHexDigits(UUID.randomUUID().getLeastSignificantBits()).substring(4);
    }

    /** A point in time, in whole seconds as a vault keeps it. */
    static OffsetDateTime daysFromNow(int days) {
        return OffsetDateTime.now(ZoneOffset.UTC).truncatedTo(ChronoUnit.SECONDS).plusDays(days);
    }

    /** The end of a long operation; the default interval is meant for a service far away. */
    static <P, R> P waited(SyncPoller<P, R> poller) {
        poller.setPollInterval(Duration.ofMillis(100));
        return poller.waitForCompletion(Duration.ofSeconds(30)).getValue();
    }

    static void equal(Object found, Object expected) {
        check(Objects.equals(found, expected), "found " + found + ", expected " + expected);
    }

    static void check(boolean holds, String said) {
        if (!holds) throw new AssertionError(said);
    }

    /** Expects `attempt` to be refused with `status` and a body that says each of `parts`. */
    static void refused(int status, Callable<?> attempt, String... parts) throws Exception {
        try {
            attempt.call();
        } catch (HttpResponseException error) {
            String said = error.getMessage() + body(error);
            check(error.getResponse().getStatusCode() == status, "expected " + status + ": " + said);
            for (String part : parts) check(said.contains(part), "`" + part + "` is not in the refusal: " + said);
            return;
        }
        throw new AssertionError("expected a refusal with " + status + ", and it was allowed");
    }

    private static String body(HttpResponseException error) {
        byte[] bytes = error.getResponse().getBodyAsByteArray().block();
        return bytes == null ? "" : new String(bytes, StandardCharsets.UTF_8);
    }
}

package vouchsafe;

import static vouchsafe.World.SEEDED_NAME;
import static vouchsafe.World.SUFFIX;
import static vouchsafe.World.VAULT_A;
import static vouchsafe.World.VAULT_B;
import static vouchsafe.World.check;
import static vouchsafe.World.fresh;
import static vouchsafe.World.identity;
import static vouchsafe.World.managedIdentity;
import static vouchsafe.World.readsTheSeededSecret;
import static vouchsafe.World.refused;
import static vouchsafe.World.secrets;

import com.azure.core.exception.HttpResponseException;
import com.azure.core.http.policy.FixedDelayOptions;
import com.azure.core.http.policy.RetryOptions;
import com.azure.security.keyvault.secrets.SecretClient;
import com.azure.security.keyvault.secrets.SecretClientBuilder;
import java.time.Duration;
import java.util.List;
import java.util.Map;

/** What happens to those who may not, and what they are told. */
final class Refusals {
    private static final String ACTION = "Microsoft.KeyVault/vaults/secrets/";

    private Refusals() {}

    static void register(Map<String, Main.Scenario> scenarios) {
        scenarios.put("no-role-names-the-data-action", Refusals::noRoleNamesTheDataAction);
        scenarios.put("reader-cannot-write", Refusals::readerCannotWrite);
        scenarios.put("role-on-one-vault-is-no-role-on-another", Refusals::roleOnOneVaultIsNoRoleOnAnother);
        scenarios.put("unknown-vault", Refusals::unknownVault);
    }

    private static void noRoleNamesTheDataAction() throws Exception {
        // A name that is not there says no more than one that is.
        for (String name : List.of(SEEDED_NAME, fresh("absent"))) {
            refused(403, () -> secrets(VAULT_A).getSecret(name), "Forbidden", "ForbiddenByRbac", ACTION + "getSecret/action",
                    identity("stranger", "client_id"), identity("stranger", "principal_id"), VAULT_A);
        }
    }

    private static void readerCannotWrite() throws Exception {
        SecretClient client = secrets(VAULT_A);
        readsTheSeededSecret(client);
        refused(403, () -> client.setSecret(SEEDED_NAME, "other"), "ForbiddenByRbac", ACTION + "setSecret/action");
        refused(403, () -> client.beginDeleteSecret(SEEDED_NAME).poll(), "ForbiddenByRbac", ACTION + "delete");
        refused(403, () -> client.backupSecret(SEEDED_NAME), "ForbiddenByRbac", ACTION + "backup/action");
        refused(403, () -> client.updateSecretProperties(client.getSecret(SEEDED_NAME).getProperties().setEnabled(false)),
                "ForbiddenByRbac", ACTION + "update/action");
        refused(403, () -> client.purgeDeletedSecretWithResponse(SEEDED_NAME, null), "ForbiddenByRbac", ACTION + "purge/action");
        refused(403, () -> client.beginRecoverDeletedSecret(SEEDED_NAME).poll(), "ForbiddenByRbac", ACTION + "recover/action");
        readsTheSeededSecret(client);
    }

    private static void roleOnOneVaultIsNoRoleOnAnother() throws Exception {
        readsTheSeededSecret(secrets(VAULT_A));
        refused(403, () -> secrets(VAULT_B).getSecret(SEEDED_NAME), "ForbiddenByRbac", VAULT_B);
        refused(403, () -> secrets(VAULT_B).listPropertiesOfSecrets().stream().count(), "ForbiddenByRbac", VAULT_B);
    }

    private static void unknownVault() {
        SecretClient client = new SecretClientBuilder()
                .vaultUrl("https://no-such-vault." + SUFFIX)
                .credential(managedIdentity())
                .retryOptions(new RetryOptions(new FixedDelayOptions(0, Duration.ofMillis(1))))
                .buildClient();
        try {
            client.getSecret(SEEDED_NAME);
        } catch (HttpResponseException error) {
            int status = error.getResponse().getStatusCode();
            check(status >= 400 && status < 500, "answered " + status);
            return;
        } catch (RuntimeException error) {
            // Real Azure has no such name in DNS; a refusal by the proxy reads the same to the client.
            System.err.println("refused: " + error);
            return;
        }
        throw new AssertionError("a vault that does not exist answered");
    }
}

package vouchsafe;

import static vouchsafe.World.VAULT_A;
import static vouchsafe.World.check;
import static vouchsafe.World.crypto;
import static vouchsafe.World.fresh;
import static vouchsafe.World.identity;
import static vouchsafe.World.keys;
import static vouchsafe.World.refused;
import static vouchsafe.World.text;
import static vouchsafe.World.url;

import com.azure.security.keyvault.keys.KeyClient;
import com.azure.security.keyvault.keys.cryptography.CryptographyClient;
import com.azure.security.keyvault.keys.cryptography.models.SignatureAlgorithm;
import com.azure.security.keyvault.keys.models.KeyRotationPolicy;
import com.azure.security.keyvault.keys.models.KeyVaultKey;
import java.util.List;
import java.util.Map;

/** What happens to those who may use keys and not change them, or not even that. */
final class KeyRefusals {
    private static final String ACTION = "Microsoft.KeyVault/vaults/keys/";

    private KeyRefusals() {}

    static void register(Map<String, Main.Scenario> scenarios) {
        scenarios.put("key-user-cannot-change-keys", KeyRefusals::userCannotChangeKeys);
        scenarios.put("key-without-a-role", KeyRefusals::withoutARole);
    }

    private static void userCannotChangeKeys() throws Exception {
        KeyClient client = keys(VAULT_A);
        String name = text("seeded_key");
        KeyVaultKey seeded = client.getKey(name);
        CryptographyClient crypto = crypto(seeded.getId());
        byte[] digest = Cryptography.digest(SignatureAlgorithm.ES256);
        byte[] signature = crypto.sign(SignatureAlgorithm.ES256, digest).getSignature();
        check(crypto.verify(SignatureAlgorithm.ES256, digest, signature).isValid(), "the signature does not verify");
        refused(403, () -> client.createEcKey(Keys.ec(fresh("refused"))), "ForbiddenByRbac", ACTION + "create/action");
        refused(403, () -> client.importKey(fresh("refused"), Keys.ecKey(256)), "ForbiddenByRbac", ACTION + "import/action");
        refused(403, () -> client.beginDeleteKey(name).poll(), "ForbiddenByRbac", ACTION + "delete");
        refused(403, () -> client.purgeDeletedKeyWithResponse(name, null), "ForbiddenByRbac", ACTION + "purge/action");
        refused(403, () -> client.beginRecoverDeletedKey(name).poll(), "ForbiddenByRbac", ACTION + "recover/action");
        refused(403, () -> client.rotateKey(name), "ForbiddenByRbac", ACTION + "rotate/action");
        refused(403, () -> client.updateKeyRotationPolicy(name, new KeyRotationPolicy().setExpiresIn("P90D")),
                "ForbiddenByRbac", "Microsoft.KeyVault/vaults/keyrotationpolicies/write");
    }

    private static void withoutARole() throws Exception {
        for (String name : List.of(text("seeded_key"), fresh("absent"))) {
            refused(403, () -> keys(VAULT_A).getKey(name), "Forbidden", "ForbiddenByRbac", ACTION + "read",
                    identity("stranger", "client_id"), identity("stranger", "principal_id"));
        }
        CryptographyClient crypto = crypto(url(VAULT_A) + "/keys/" + text("seeded_key"));
        byte[] digest = Cryptography.digest(SignatureAlgorithm.ES256);
        refused(403, () -> crypto.sign(SignatureAlgorithm.ES256, digest), "ForbiddenByRbac");
    }
}

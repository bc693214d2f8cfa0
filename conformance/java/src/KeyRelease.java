package vouchsafe;

import static vouchsafe.World.VAULT_A;
import static vouchsafe.World.equal;
import static vouchsafe.World.fresh;
import static vouchsafe.World.keys;
import static vouchsafe.World.refused;
import static vouchsafe.World.text;

import com.azure.core.util.BinaryData;
import com.azure.core.util.Context;
import com.azure.json.JsonProviders;
import com.azure.json.JsonReader;
import com.azure.security.keyvault.keys.KeyClient;
import com.azure.security.keyvault.keys.models.CreateEcKeyOptions;
import com.azure.security.keyvault.keys.models.KeyReleasePolicy;
import com.azure.security.keyvault.keys.models.KeyVaultKey;
import com.azure.security.keyvault.keys.models.ReleaseKeyOptions;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.interfaces.ECPrivateKey;
import java.security.interfaces.RSAPrivateKey;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import javax.crypto.Cipher;
import javax.crypto.spec.SecretKeySpec;

/** A key that leaves the vault, wrapped for an environment that an attestation service vouches for. */
final class KeyRelease {
    private static final String NONCE = "asked now";

    private KeyRelease() {}

    static void register(Map<String, Main.Scenario> scenarios) {
        scenarios.put("key-release", KeyRelease::release);
        scenarios.put("key-release-is-refused", KeyRelease::isRefused);
    }

    private static CreateEcKeyOptions exportable(String name) {
        String rules = "{\"version\": \"1.0.0\", \"anyOf\": [{\"authority\": \"" + text("attestation_authority")
                + "\", \"allOf\": [{\"claim\": \"x-ms-attestation-type\", \"equals\": \"sevsnpvm\"}]}]}";
        return Keys.ec(name).setExportable(true).setReleasePolicy(new KeyReleasePolicy(BinaryData.fromString(rules)));
    }

    static Map<?, ?> parsed(String base64url) throws IOException {
        try (JsonReader reader = JsonProviders.createReader(Base64.getUrlDecoder().decode(base64url))) {
            return reader.readMap(JsonReader::readUntyped);
        }
    }

    static Map<?, ?> member(Map<?, ?> of, String name) {
        return (Map<?, ?>) of.get(name);
    }

    /** What the environment does: OAEP with its own key, and under that AES key wrap with padding (RFC 5649). */
    private static ECPrivateKey unwrapped(Map<?, ?> released) throws Exception {
        String pem = Files.readString(Path.of(text("environment_pem"))).replaceAll("-----[A-Z ]+-----", "");
        var encoded = new PKCS8EncodedKeySpec(Base64.getMimeDecoder().decode(pem));
        RSAPrivateKey environment = (RSAPrivateKey) KeyFactory.getInstance("RSA").generatePrivate(encoded);
        byte[] ciphertext =
                Base64.getUrlDecoder().decode((String) parsed((String) released.get("key_hsm")).get("ciphertext"));
        int size = environment.getModulus().bitLength() / 8;
        Cipher oaep = Cipher.getInstance("RSA/ECB/OAEPWithSHA-1AndMGF1Padding");
        oaep.init(Cipher.DECRYPT_MODE, environment);
        var wrapping = new SecretKeySpec(oaep.doFinal(ciphertext, 0, size), "AES");
        Cipher padded = Cipher.getInstance("AES/KWP/NoPadding");
        padded.init(Cipher.UNWRAP_MODE, wrapping);
        return (ECPrivateKey) padded.unwrap(Arrays.copyOfRange(ciphertext, size, ciphertext.length), "EC", Cipher.PRIVATE_KEY);
    }

    private static void release() throws Exception {
        KeyClient client = keys(VAULT_A);
        String name = fresh("released");
        KeyVaultKey made = client.createEcKey(exportable(name));
        equal(made.getProperties().isExportable(), true);
        ReleaseKeyOptions options = new ReleaseKeyOptions().setNonce(NONCE);
        String version = made.getProperties().getVersion();
        String answer = client.releaseKeyWithResponse(name, version, text("attestation_token"), options, Context.NONE)
                .getValue().getValue();
        Map<?, ?> payload = parsed(answer.split("\\.")[1]);
        Map<?, ?> request = member(payload, "request");
        equal(List.of(request.get("kid"), request.get("nonce")), List.of(made.getId(), NONCE));
        ECPrivateKey own = unwrapped(member(member(member(payload, "response"), "key"), "key"));
        // The JDK does not compute a public half, so that the key is known by what it signs.
        var signature = java.security.Signature.getInstance("SHA256withECDSA");
        signature.initSign(own);
        byte[] signed = signature.sign();
        signature.initVerify(made.getKey().toEc().getPublic());
        World.check(signature.verify(signed), "another key was released");
    }

    private static void isRefused() throws Exception {
        KeyClient client = keys(VAULT_A);
        String name = fresh("kept");
        client.createEcKey(exportable(name));
        String token = text("attestation_token");
        // It is well signed, and says of the environment something else than the policy asks for.
        refused(403, () -> client.releaseKey(name, text("attestation_token_of_another")), "Forbidden", "KeyReleaseForbidden");
        String forged = token.substring(0, token.length() - 8) + "AAAAAAAA";
        refused(403, () -> client.releaseKey(name, forged), "Forbidden", "KeyReleaseForbidden");
        String stays = client.createEcKey(Keys.ec(fresh("stays"))).getName();
        refused(403, () -> client.releaseKey(stays, token), "Forbidden");
        // A key leaves by a policy or not at all.
        refused(400, () -> client.createEcKey(Keys.ec(fresh("open")).setExportable(true)), "BadParameter");
    }
}

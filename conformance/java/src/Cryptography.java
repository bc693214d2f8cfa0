package vouchsafe;

import static vouchsafe.World.VAULT_A;
import static vouchsafe.World.check;
import static vouchsafe.World.crypto;
import static vouchsafe.World.daysFromNow;
import static vouchsafe.World.equal;
import static vouchsafe.World.fresh;
import static vouchsafe.World.keys;
import static vouchsafe.World.refused;

import com.azure.core.util.Context;
import com.azure.security.keyvault.keys.KeyClient;
import com.azure.security.keyvault.keys.cryptography.CryptographyClient;
import com.azure.security.keyvault.keys.cryptography.CryptographyClientBuilder;
import com.azure.security.keyvault.keys.cryptography.models.DecryptParameters;
import com.azure.security.keyvault.keys.cryptography.models.EncryptParameters;
import com.azure.security.keyvault.keys.cryptography.models.EncryptResult;
import com.azure.security.keyvault.keys.cryptography.models.EncryptionAlgorithm;
import com.azure.security.keyvault.keys.cryptography.models.KeyWrapAlgorithm;
import com.azure.security.keyvault.keys.cryptography.models.SignatureAlgorithm;
import com.azure.security.keyvault.keys.models.CreateEcKeyOptions;
import com.azure.security.keyvault.keys.models.CreateOctKeyOptions;
import com.azure.security.keyvault.keys.models.JsonWebKey;
import com.azure.security.keyvault.keys.models.KeyCurveName;
import com.azure.security.keyvault.keys.models.KeyOperation;
import com.azure.security.keyvault.keys.models.KeyProperties;
import com.azure.security.keyvault.keys.models.KeyType;
import com.azure.security.keyvault.keys.models.KeyVaultKey;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.security.KeyPair;
import java.security.MessageDigest;
import java.security.SecureRandom;
import java.security.Signature;
import java.security.spec.MGF1ParameterSpec;
import java.security.spec.PSSParameterSpec;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;

/** What keys do, through azure-security-keyvault-keys as it is; what can be checked elsewhere is, by the JDK. */
final class Cryptography {
    static final byte[] TEXT = "what is signed".getBytes(StandardCharsets.UTF_8);

    private Cryptography() {}

    static void register(Map<String, Main.Scenario> scenarios) {
        scenarios.put("key-sign-rsa", Cryptography::signRsa);
        scenarios.put("key-sign-ec", Cryptography::signEc);
        scenarios.put("key-sign-hmac", Cryptography::signHmac);
        scenarios.put("key-sign-with-the-wrong-algorithm-is-refused", Cryptography::wrongAlgorithmIsRefused);
        scenarios.put("key-encrypt-rsa", Cryptography::encryptRsa);
        scenarios.put("key-encrypt-aes-gcm", Cryptography::encryptAesGcm);
        scenarios.put("key-encrypt-aes-cbc", Cryptography::encryptAesCbc);
        scenarios.put("key-wrap-rsa", Cryptography::wrapRsa);
        scenarios.put("key-wrap-aes", Cryptography::wrapAes);
        scenarios.put("key-wrap-for-who-cannot-read-it", Cryptography::wrapForWhoCannotReadIt);
        scenarios.put("key-operations-are-enforced", Cryptography::operationsAreEnforced);
        scenarios.put("key-disabled-cannot-be-used", Cryptography::disabledCannotBeUsed);
        scenarios.put("key-outside-its-dates-cannot-be-used", Cryptography::outsideItsDatesCannotBeUsed);
        scenarios.put("key-of-an-older-version-still-opens", Cryptography::olderVersionStillOpens);
        scenarios.put("key-local-and-remote-agree", Cryptography::localAndRemoteAgree);
    }

    static BigInteger unsigned(byte[] bytes) {
        return new BigInteger(1, bytes);
    }

    private static String bits(SignatureAlgorithm algorithm) {
        return algorithm.toString().substring(2, 5);
    }

    static byte[] digest(SignatureAlgorithm algorithm) throws Exception {
        return MessageDigest.getInstance("SHA-" + bits(algorithm)).digest(TEXT);
    }

    static byte[] sign(KeyVaultKey key, SignatureAlgorithm algorithm) throws Exception {
        return crypto(key.getId()).sign(algorithm, digest(algorithm)).getSignature();
    }

    /** Fails unless the JDK takes the signature for one of this public key. */
    static void verifiedElsewhere(KeyVaultKey key, SignatureAlgorithm algorithm, byte[] signature) throws Exception {
        JsonWebKey jwk = key.getKey();
        // The JDK has no such curve; the vault's own verification was asked.
        if (KeyCurveName.P_256K.equals(jwk.getCurveName())) return;
        boolean rsa = List.of(KeyType.RSA, KeyType.RSA_HSM).contains(jwk.getKeyType());
        KeyPair pair = rsa ? jwk.toRsa() : jwk.toEc();
        String name = algorithm.toString();
        Signature verifier;
        if (name.startsWith("PS")) {
            verifier = Signature.getInstance("RSASSA-PSS");
            String hash = "SHA-" + bits(algorithm);
            int salt = Integer.parseInt(bits(algorithm)) / 8;
            verifier.setParameter(new PSSParameterSpec(hash, "MGF1", new MGF1ParameterSpec(hash), salt, 1));
        } else {
            verifier = Signature.getInstance("SHA" + bits(algorithm) + (rsa ? "withRSA" : "withECDSAinP1363Format"));
        }
        verifier.initVerify(pair.getPublic());
        verifier.update(TEXT);
        check(verifier.verify(signature), name + " does not verify elsewhere");
    }

    static byte[] signs(KeyVaultKey key, SignatureAlgorithm algorithm) throws Exception {
        CryptographyClient crypto = crypto(key.getId());
        byte[] digest = digest(algorithm);
        byte[] signature = crypto.sign(algorithm, digest).getSignature();
        check(crypto.verify(algorithm, digest, signature).isValid(), algorithm + " does not verify");
        byte[] wrong = signature.clone();
        wrong[0] ^= 1;
        check(!crypto.verify(algorithm, digest, wrong).isValid(), algorithm + " of another text verifies");
        return signature;
    }

    private static void signRsa() throws Exception {
        KeyVaultKey key = keys(VAULT_A).createRsaKey(Keys.rsa(fresh("sign"), 2048));
        for (String name : List.of("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")) {
            SignatureAlgorithm algorithm = SignatureAlgorithm.fromString(name);
            verifiedElsewhere(key, algorithm, signs(key, algorithm));
        }
    }

    private static void signEc() throws Exception {
        Map<KeyCurveName, SignatureAlgorithm> algorithms = Map.of(
                KeyCurveName.P_256, SignatureAlgorithm.ES256, KeyCurveName.P_384, SignatureAlgorithm.ES384,
                KeyCurveName.P_521, SignatureAlgorithm.ES512, KeyCurveName.P_256K, SignatureAlgorithm.ES256K);
        for (var each : algorithms.entrySet()) {
            KeyVaultKey key = keys(VAULT_A).createEcKey(new CreateEcKeyOptions(fresh("sign")).setCurveName(each.getKey()));
            verifiedElsewhere(key, each.getValue(), signs(key, each.getValue()));
        }
    }

    private static void signHmac() throws Exception {
        KeyVaultKey key = oct(256, KeyOperation.SIGN, KeyOperation.VERIFY);
        for (String name : List.of("HS256", "HS384", "HS512")) signs(key, SignatureAlgorithm.fromString(name));
    }

    private static KeyVaultKey oct(int size, KeyOperation... operations) {
        return keys(VAULT_A).createOctKey(new CreateOctKeyOptions(fresh("oct")).setKeySize(size).setKeyOperations(operations));
    }

    private static void wrongAlgorithmIsRefused() throws Exception {
        CryptographyClient crypto = crypto(keys(VAULT_A).createEcKey(Keys.ec(fresh("wrong"))).getId());
        for (SignatureAlgorithm algorithm : List.of(SignatureAlgorithm.RS256, SignatureAlgorithm.ES384)) {
            refused(400, () -> crypto.sign(algorithm, digest(algorithm)), "BadParameter");
        }
        refused(400, () -> crypto.sign(SignatureAlgorithm.ES256, digest(SignatureAlgorithm.ES384)), "BadParameter");
    }

    private static void encryptRsa() throws Exception {
        CryptographyClient crypto = crypto(keys(VAULT_A).createRsaKey(Keys.rsa(fresh("encrypt"), 2048)).getId());
        for (String name : List.of("RSA1_5", "RSA-OAEP", "RSA-OAEP-256")) {
            EncryptionAlgorithm algorithm = EncryptionAlgorithm.fromString(name);
            byte[] sealed = crypto.encrypt(algorithm, TEXT).getCipherText();
            check(Arrays.equals(crypto.decrypt(algorithm, sealed).getPlainText(), TEXT), name + " does not come back");
            if (!name.equals("RSA1_5")) refused(400, () -> crypto.decrypt(algorithm, random(256)), "BadParameter");
        }
    }

    static byte[] random(int count) {
        byte[] bytes = new byte[count];
        new SecureRandom().nextBytes(bytes);
        return bytes;
    }

    static EncryptParameters encryptParameters(String algorithm, byte[] text, byte[] iv, byte[] beside) {
        return switch (algorithm) {
            case "A128GCM" -> EncryptParameters.createA128GcmParameters(text, beside);
            case "A192GCM" -> EncryptParameters.createA192GcmParameters(text, beside);
            case "A256GCM" -> EncryptParameters.createA256GcmParameters(text, beside);
            case "A128CBC" -> EncryptParameters.createA128CbcParameters(text, iv);
            case "A192CBC" -> EncryptParameters.createA192CbcParameters(text, iv);
            case "A256CBC" -> EncryptParameters.createA256CbcParameters(text, iv);
            case "A128CBCPAD" -> EncryptParameters.createA128CbcPadParameters(text, iv);
            case "A192CBCPAD" -> EncryptParameters.createA192CbcPadParameters(text, iv);
            case "A256CBCPAD" -> EncryptParameters.createA256CbcPadParameters(text, iv);
            default -> throw new AssertionError(algorithm);
        };
    }

    static DecryptParameters decryptParameters(String algorithm, EncryptResult sealed, byte[] beside) {
        byte[] text = sealed.getCipherText();
        byte[] iv = sealed.getIv();
        byte[] tag = sealed.getAuthenticationTag();
        return switch (algorithm) {
            case "A128GCM" -> DecryptParameters.createA128GcmParameters(text, iv, tag, beside);
            case "A192GCM" -> DecryptParameters.createA192GcmParameters(text, iv, tag, beside);
            case "A256GCM" -> DecryptParameters.createA256GcmParameters(text, iv, tag, beside);
            case "A128CBC" -> DecryptParameters.createA128CbcParameters(text, iv);
            case "A192CBC" -> DecryptParameters.createA192CbcParameters(text, iv);
            case "A256CBC" -> DecryptParameters.createA256CbcParameters(text, iv);
            case "A128CBCPAD" -> DecryptParameters.createA128CbcPadParameters(text, iv);
            case "A192CBCPAD" -> DecryptParameters.createA192CbcPadParameters(text, iv);
            case "A256CBCPAD" -> DecryptParameters.createA256CbcPadParameters(text, iv);
            default -> throw new AssertionError(algorithm);
        };
    }

    private static void encryptAesGcm() throws Exception {
        byte[] beside = {1, 2, 3};
        for (int size : List.of(128, 192, 256)) {
            CryptographyClient crypto = crypto(oct(size, KeyOperation.ENCRYPT, KeyOperation.DECRYPT).getId());
            String algorithm = "A" + size + "GCM";
            EncryptResult sealed = crypto.encrypt(encryptParameters(algorithm, TEXT, null, beside), Context.NONE);
            byte[] opened = crypto.decrypt(decryptParameters(algorithm, sealed, beside), Context.NONE).getPlainText();
            check(Arrays.equals(opened, TEXT), algorithm + " does not come back");
            DecryptParameters other = decryptParameters(algorithm, sealed, new byte[] {9});
            refused(400, () -> crypto.decrypt(other, Context.NONE), "BadParameter");
        }
    }

    private static void encryptAesCbc() {
        for (int size : List.of(128, 192, 256)) {
            CryptographyClient crypto = crypto(oct(size, KeyOperation.ENCRYPT, KeyOperation.DECRYPT).getId());
            for (String suffix : List.of("CBC", "CBCPAD")) {
                String algorithm = "A" + size + suffix;
                byte[] text = suffix.equals("CBC") ? new byte[32] : TEXT;
                EncryptResult sealed = crypto.encrypt(encryptParameters(algorithm, text, random(16), null), Context.NONE);
                byte[] opened = crypto.decrypt(decryptParameters(algorithm, sealed, null), Context.NONE).getPlainText();
                check(Arrays.equals(opened, text), algorithm + " does not come back");
            }
        }
    }

    private static void wrapRsa() {
        CryptographyClient crypto = crypto(keys(VAULT_A).createRsaKey(Keys.rsa(fresh("wrap"), 2048)).getId());
        byte[] other = random(32);
        for (String name : List.of("RSA1_5", "RSA-OAEP", "RSA-OAEP-256")) {
            KeyWrapAlgorithm algorithm = KeyWrapAlgorithm.fromString(name);
            byte[] wrapped = crypto.wrapKey(algorithm, other).getEncryptedKey();
            check(Arrays.equals(crypto.unwrapKey(algorithm, wrapped).getKey(), other), name + " does not come back");
        }
    }

    private static void wrapAes() throws Exception {
        byte[] other = random(32);
        for (int size : List.of(128, 192, 256)) {
            CryptographyClient crypto = crypto(oct(size, KeyOperation.WRAP_KEY, KeyOperation.UNWRAP_KEY).getId());
            KeyWrapAlgorithm algorithm = KeyWrapAlgorithm.fromString("A" + size + "KW");
            byte[] wrapped = crypto.wrapKey(algorithm, other).getEncryptedKey();
            equal(wrapped.length, 40);
            check(Arrays.equals(crypto.unwrapKey(algorithm, wrapped).getKey(), other), algorithm + " does not come back");
            refused(400, () -> crypto.unwrapKey(algorithm, new byte[40]), "BadParameter");
        }
    }

    private static void wrapForWhoCannotReadIt() throws Exception {
        String id = World.text("seeded_wrapping_key_id");
        String[] parts = id.split("/");
        refused(403, () -> keys(VAULT_A).getKey(parts[parts.length - 2]), "ForbiddenByRbac");
        byte[] other = random(32);
        byte[] wrapped = crypto(id).wrapKey(KeyWrapAlgorithm.A256KW, other).getEncryptedKey();
        // Another client has nothing of the first one's but what it wrapped.
        check(Arrays.equals(crypto(id).unwrapKey(KeyWrapAlgorithm.A256KW, wrapped).getKey(), other), "it does not come back");
        refused(400, () -> crypto(id).unwrapKey(KeyWrapAlgorithm.A256KW, new byte[40]), "BadParameter");
    }

    private static void operationsAreEnforced() throws Exception {
        KeyClient client = keys(VAULT_A);
        KeyVaultKey key = client.createRsaKey(Keys.rsa(fresh("only"), 2048));
        // The client looks at the operations itself, so it learned the key while all of them were permitted.
        CryptographyClient crypto = crypto(key.getId());
        byte[] signature = crypto.sign(SignatureAlgorithm.RS256, digest(SignatureAlgorithm.RS256)).getSignature();
        byte[] sealed = crypto.encrypt(EncryptionAlgorithm.RSA_OAEP, TEXT).getCipherText();
        check(signature.length == sealed.length, "not of one key");
        client.updateKeyProperties(key.getProperties(), KeyOperation.ENCRYPT);
        List<Callable<?>> attempts = List.of(
                () -> crypto.sign(SignatureAlgorithm.RS256, digest(SignatureAlgorithm.RS256)),
                () -> crypto.decrypt(EncryptionAlgorithm.RSA_OAEP, sealed),
                () -> crypto.unwrapKey(KeyWrapAlgorithm.RSA_OAEP, sealed));
        for (Callable<?> attempt : attempts) refused(403, attempt, "Forbidden", "KeyOperationForbidden");
    }

    private static void disabledCannotBeUsed() throws Exception {
        KeyClient client = keys(VAULT_A);
        KeyVaultKey key = client.createEcKey(Keys.ec(fresh("disabled")));
        CryptographyClient crypto = crypto(key.getId());
        byte[] digest = digest(SignatureAlgorithm.ES256);
        crypto.sign(SignatureAlgorithm.ES256, digest);
        KeyProperties properties = key.getProperties();
        client.updateKeyProperties(properties.setEnabled(false), KeyOperation.SIGN);
        refused(403, () -> crypto.sign(SignatureAlgorithm.ES256, digest), "Forbidden", "KeyDisabled");
        client.updateKeyProperties(properties.setEnabled(true), KeyOperation.SIGN);
        crypto.sign(SignatureAlgorithm.ES256, digest);
    }

    private static void outsideItsDatesCannotBeUsed() throws Exception {
        KeyClient client = keys(VAULT_A);
        byte[] digest = digest(SignatureAlgorithm.ES256);
        for (String said : List.of("KeyExpired", "KeyNotYetValid")) {
            KeyVaultKey key = client.createEcKey(Keys.ec(fresh("dates")));
            // The client learned the key while it was good, so that it is the vault that refuses.
            CryptographyClient crypto = crypto(key.getId());
            crypto.sign(SignatureAlgorithm.ES256, digest);
            KeyProperties properties = key.getProperties();
            if (said.equals("KeyExpired")) properties.setExpiresOn(daysFromNow(-1));
            else properties.setNotBefore(daysFromNow(1));
            client.updateKeyProperties(properties, KeyOperation.SIGN);
            refused(403, () -> crypto.sign(SignatureAlgorithm.ES256, digest), "Forbidden", said);
        }
    }

    private static void olderVersionStillOpens() {
        KeyClient client = keys(VAULT_A);
        KeyVaultKey first = client.createRsaKey(Keys.rsa(fresh("older"), 2048));
        CryptographyClient crypto = crypto(first.getId());
        byte[] sealed = crypto.encrypt(EncryptionAlgorithm.RSA_OAEP_256, TEXT).getCipherText();
        client.rotateKey(first.getName());
        byte[] opened = crypto.decrypt(EncryptionAlgorithm.RSA_OAEP_256, sealed).getPlainText();
        check(Arrays.equals(opened, TEXT), "it does not come back");
    }

    private static void localAndRemoteAgree() throws Exception {
        KeyVaultKey key = keys(VAULT_A).createRsaKey(Keys.rsa(fresh("local"), 2048));
        CryptographyClient local = new CryptographyClientBuilder().jsonWebKey(key.getKey()).buildClient();
        CryptographyClient remote = crypto(key.getId());
        byte[] sealed = local.encrypt(EncryptionAlgorithm.RSA_OAEP, TEXT).getCipherText();
        check(Arrays.equals(remote.decrypt(EncryptionAlgorithm.RSA_OAEP, sealed).getPlainText(), TEXT), "not what was sealed");
        byte[] wrapped = local.wrapKey(KeyWrapAlgorithm.RSA_OAEP, TEXT).getEncryptedKey();
        check(Arrays.equals(remote.unwrapKey(KeyWrapAlgorithm.RSA_OAEP, wrapped).getKey(), TEXT), "not what was wrapped");
    }
}

package vouchsafe;

import static vouchsafe.Certificates.create;
import static vouchsafe.Certificates.opened;
import static vouchsafe.Certificates.pem;
import static vouchsafe.World.PREMIUM;
import static vouchsafe.World.VAULT_A;
import static vouchsafe.World.certificates;
import static vouchsafe.World.check;
import static vouchsafe.World.crypto;
import static vouchsafe.World.equal;
import static vouchsafe.World.fresh;
import static vouchsafe.World.keys;
import static vouchsafe.World.refused;
import static vouchsafe.World.secrets;
import static vouchsafe.World.text;
import static vouchsafe.World.waited;

import com.azure.core.util.Context;
import com.azure.security.keyvault.certificates.models.CertificateKeyType;
import com.azure.security.keyvault.certificates.models.CertificatePolicy;
import com.azure.security.keyvault.certificates.models.KeyVaultCertificate;
import com.azure.security.keyvault.keys.KeyClient;
import com.azure.security.keyvault.keys.cryptography.CryptographyClient;
import com.azure.security.keyvault.keys.cryptography.models.EncryptResult;
import com.azure.security.keyvault.keys.cryptography.models.EncryptionAlgorithm;
import com.azure.security.keyvault.keys.cryptography.models.KeyWrapAlgorithm;
import com.azure.security.keyvault.keys.cryptography.models.SignatureAlgorithm;
import com.azure.security.keyvault.keys.models.CreateEcKeyOptions;
import com.azure.security.keyvault.keys.models.CreateOctKeyOptions;
import com.azure.security.keyvault.keys.models.ImportKeyOptions;
import com.azure.security.keyvault.keys.models.JsonWebKey;
import com.azure.security.keyvault.keys.models.KeyAttestation;
import com.azure.security.keyvault.keys.models.KeyCurveName;
import com.azure.security.keyvault.keys.models.KeyOperation;
import com.azure.security.keyvault.keys.models.KeyType;
import com.azure.security.keyvault.keys.models.KeyVaultKey;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.Signature;
import java.security.cert.CertificateFactory;
import java.security.interfaces.RSAPublicKey;
import java.security.spec.X509EncodedKeySpec;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;
import java.util.Map;

/** Keys of the HSM kinds in a premium vault: the token computes with them, and they never leave it. */
final class KeysInAToken {
    private static final Map<KeyCurveName, Integer> FIELDS = Map.of(
            KeyCurveName.P_256, 32, KeyCurveName.P_384, 48, KeyCurveName.P_521, 66, KeyCurveName.P_256K, 32);

    private KeysInAToken() {}

    static void register(Map<String, Main.Scenario> scenarios) {
        scenarios.put("key-hsm-create", KeysInAToken::createKeys);
        scenarios.put("key-hsm-sign", KeysInAToken::sign);
        scenarios.put("key-hsm-encrypt-and-wrap", KeysInAToken::encryptAndWrap);
        scenarios.put("key-hsm-encrypt-and-wrap-aes", KeysInAToken::encryptAndWrapAes);
        scenarios.put("key-hsm-import", KeysInAToken::importKey);
        scenarios.put("key-hsm-import-wrapped", KeysInAToken::importWrapped);
        scenarios.put("key-attestation", KeysInAToken::attestation);
        scenarios.put("key-hsm-rotate", KeysInAToken::rotate);
        scenarios.put("key-hsm-delete-and-purge", KeysInAToken::deleteAndPurge);
        scenarios.put("certificate-hsm-key", KeysInAToken::ofACertificate);
    }

    private static KeyVaultKey rsa(int size) {
        return keys(PREMIUM).createRsaKey(Keys.rsa(fresh("rsa"), size).setHardwareProtected(true));
    }

    private static KeyVaultKey ec(KeyCurveName curve) {
        var wanted = new CreateEcKeyOptions(fresh("ec")).setCurveName(curve).setHardwareProtected(true);
        return keys(PREMIUM).createEcKey(wanted);
    }

    private static KeyVaultKey oct(int size, KeyOperation... operations) {
        var wanted = new CreateOctKeyOptions(fresh("oct")).setKeySize(size).setHardwareProtected(true);
        return keys(PREMIUM).createOctKey(operations.length == 0 ? wanted : wanted.setKeyOperations(operations));
    }

    private static void signsAsItself(KeyVaultKey key) throws Exception {
        Cryptography.verifiedElsewhere(key, SignatureAlgorithm.ES256, Cryptography.sign(key, SignatureAlgorithm.ES256));
    }

    private static void createKeys() {
        for (int size : List.of(2048, 3072)) {
            KeyVaultKey made = rsa(size);
            equal(List.of(made.getKeyType(), made.getKey().getN().length * 8), List.of(KeyType.RSA_HSM, size));
            check(made.getKey().getD() == null && made.getKey().getP() == null, "a private part is shown");
            check(Arrays.equals(keys(PREMIUM).getKey(made.getName()).getKey().getN(), made.getKey().getN()), "another key");
        }
        FIELDS.forEach((curve, field) -> {
            JsonWebKey key = ec(curve).getKey();
            equal(List.of(key.getKeyType(), key.getX().length, key.getY().length), List.of(KeyType.EC_HSM, field, field));
            check(key.getD() == null, "a private part is shown");
        });
        for (int size : List.of(128, 192, 256)) {
            KeyVaultKey made = oct(size);
            equal(made.getKeyType(), KeyType.OCT_HSM);
            check(made.getKey().getK() == null, "the key is shown");
        }
        // A premium vault holds keys in software as well.
        equal(keys(PREMIUM).createEcKey(Keys.ec(fresh("soft"))).getKeyType(), KeyType.EC);
    }

    private static void sign() throws Exception {
        KeyVaultKey key = rsa(2048);
        for (String name : List.of("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")) {
            SignatureAlgorithm algorithm = SignatureAlgorithm.fromString(name);
            Cryptography.verifiedElsewhere(key, algorithm, Cryptography.signs(key, algorithm));
        }
        Map<KeyCurveName, SignatureAlgorithm> algorithms = Map.of(
                KeyCurveName.P_256, SignatureAlgorithm.ES256, KeyCurveName.P_384, SignatureAlgorithm.ES384,
                KeyCurveName.P_521, SignatureAlgorithm.ES512, KeyCurveName.P_256K, SignatureAlgorithm.ES256K);
        for (var each : algorithms.entrySet()) {
            key = ec(each.getKey());
            Cryptography.verifiedElsewhere(key, each.getValue(), Cryptography.signs(key, each.getValue()));
        }
    }

    private static void encryptAndWrap() throws Exception {
        CryptographyClient crypto = crypto(rsa(2048).getId());
        byte[] other = Cryptography.random(32);
        for (String name : List.of("RSA-OAEP", "RSA-OAEP-256")) {
            EncryptionAlgorithm algorithm = EncryptionAlgorithm.fromString(name);
            byte[] sealed = crypto.encrypt(algorithm, Cryptography.TEXT).getCipherText();
            check(Arrays.equals(crypto.decrypt(algorithm, sealed).getPlainText(), Cryptography.TEXT), "it does not come back");
            KeyWrapAlgorithm wrapping = KeyWrapAlgorithm.fromString(name);
            byte[] wrapped = crypto.wrapKey(wrapping, other).getEncryptedKey();
            check(Arrays.equals(crypto.unwrapKey(wrapping, wrapped).getKey(), other), "it does not come back");
        }
        refused(400, () -> crypto.decrypt(EncryptionAlgorithm.RSA_OAEP, Cryptography.random(256)), "BadParameter");
    }

    private static void encryptAndWrapAes() throws Exception {
        byte[] beside = {1, 2, 3};
        for (int size : List.of(128, 256)) {
            CryptographyClient crypto = crypto(oct(size, KeyOperation.ENCRYPT, KeyOperation.DECRYPT).getId());
            for (String suffix : List.of("GCM", "CBC", "CBCPAD")) {
                String algorithm = "A" + size + suffix;
                byte[] text = suffix.equals("CBC") ? new byte[32] : Cryptography.TEXT;
                EncryptResult sealed = crypto.encrypt(
                        Cryptography.encryptParameters(algorithm, text, Cryptography.random(16), beside), Context.NONE);
                var parts = Cryptography.decryptParameters(algorithm, sealed, beside);
                check(Arrays.equals(crypto.decrypt(parts, Context.NONE).getPlainText(), text), algorithm + " does not come back");
                if (!suffix.equals("GCM")) continue;
                var wrong = Cryptography.decryptParameters(algorithm, sealed, new byte[] {9});
                refused(400, () -> crypto.decrypt(wrong, Context.NONE), "BadParameter");
            }
            CryptographyClient wrapper = crypto(oct(size, KeyOperation.WRAP_KEY, KeyOperation.UNWRAP_KEY).getId());
            KeyWrapAlgorithm wrapping = KeyWrapAlgorithm.fromString("A" + size + "KW");
            byte[] other = Cryptography.random(32);
            byte[] wrapped = wrapper.wrapKey(wrapping, other).getEncryptedKey();
            equal(wrapped.length, 40);
            check(Arrays.equals(wrapper.unwrapKey(wrapping, wrapped).getKey(), other), "it does not come back");
            refused(400, () -> wrapper.unwrapKey(wrapping, new byte[40]), "BadParameter");
        }
    }

    private static void importKey() throws Exception {
        JsonWebKey own = Keys.ecKey(256);
        ImportKeyOptions wanted = new ImportKeyOptions(fresh("imported"), own).setHardwareProtected(true);
        KeyVaultKey imported = keys(PREMIUM).importKey(wanted);
        equal(List.of(imported.getKeyType(), Cryptography.unsigned(imported.getKey().getX())),
                List.of(KeyType.EC_HSM, Cryptography.unsigned(own.getX())));
        signsAsItself(imported);
        refused(400, () -> keys(VAULT_A).importKey(wanted), "BadParameter");
    }

    private static void importWrapped() throws Exception {
        String pem = Files.readString(Path.of(text("transfer_public_pem"))).replaceAll("-----[A-Z ]+-----", "");
        var encoded = new X509EncodedKeySpec(Base64.getMimeDecoder().decode(pem));
        RSAPublicKey own = (RSAPublicKey) KeyFactory.getInstance("RSA").generatePublic(encoded);
        JsonWebKey wrapped = new JsonWebKey().setKeyType(KeyType.RSA_HSM).setT(Files.readAllBytes(Path.of(text("transfer_blob"))))
                .setKeyOps(List.of(KeyOperation.SIGN, KeyOperation.VERIFY));
        KeyVaultKey imported = keys(PREMIUM).importKey(fresh("wrapped"), wrapped);
        equal(List.of(imported.getKeyType(), Cryptography.unsigned(imported.getKey().getN())),
                List.of(KeyType.RSA_HSM, own.getModulus()));
        Cryptography.verifiedElsewhere(
                imported, SignatureAlgorithm.PS256, Cryptography.signs(imported, SignatureAlgorithm.PS256));
        refused(400, () -> keys(VAULT_A).importKey(fresh("wrapped"), wrapped), "BadParameter");
    }

    private static String compact(byte[] statement) {
        return new String(statement, StandardCharsets.US_ASCII);
    }

    private static Map<?, ?> said(byte[] statement) throws IOException {
        return KeyRelease.parsed(compact(statement).split("\\.")[1]);
    }

    private static void attestation() throws Exception {
        KeyClient client = keys(PREMIUM);
        KeyVaultKey key = rsa(2048);
        String version = key.getProperties().getVersion();
        KeyVaultKey attested = client.getKeyAttestationWithResponse(key.getName(), version, Context.NONE).getValue();
        equal(attested.getId(), key.getId());
        check(Arrays.equals(attested.getKey().getN(), key.getKey().getN()), "another key");
        KeyAttestation attestation = attested.getProperties().getKeyAttestation();
        var signer = CertificateFactory.getInstance("X.509")
                .generateCertificate(new ByteArrayInputStream(attestation.getCertificatePemFile()));
        Map<String, byte[]> statements = Map.of("CKO_PRIVATE_KEY", attestation.getPrivateKeyAttestation(),
                "CKO_PUBLIC_KEY", attestation.getPublicKeyAttestation());
        for (var each : statements.entrySet()) {
            String statement = compact(each.getValue());
            int end = statement.lastIndexOf('.');
            Signature signature = Signature.getInstance("SHA256withRSA");
            signature.initVerify(signer);
            signature.update(each.getValue(), 0, end);
            byte[] signed = Base64.getUrlDecoder().decode(statement.substring(end + 1));
            check(signature.verify(signed), "the statement does not verify");
            Map<?, ?> said = said(each.getValue());
            Map<?, ?> attributes = KeyRelease.member(said, "attributes");
            equal(List.of(said.get("kid"), attributes.get("CKA_CLASS"), attributes.get("CKA_LOCAL")),
                    List.of(key.getId(), each.getKey(), true));
        }
        ImportKeyOptions wanted = new ImportKeyOptions(fresh("imported"), Keys.ecKey(256)).setHardwareProtected(true);
        KeyAttestation imported =
                client.getKeyAttestation(client.importKey(wanted).getName()).getProperties().getKeyAttestation();
        Map<?, ?> attributes = KeyRelease.member(said(imported.getPrivateKeyAttestation()), "attributes");
        equal(List.of(attributes.get("CKA_EXTRACTABLE"), attributes.get("CKA_LOCAL")), List.of(false, false));
        String soft = client.createEcKey(Keys.ec(fresh("soft"))).getName();
        refused(400, () -> client.getKeyAttestation(soft), "BadParameter");
    }

    private static void rotate() throws Exception {
        KeyClient client = keys(PREMIUM);
        KeyVaultKey first = ec(KeyCurveName.P_256);
        KeyVaultKey second = client.rotateKey(first.getName());
        equal(second.getKeyType(), KeyType.EC_HSM);
        check(!Arrays.equals(second.getKey().getX(), first.getKey().getX()), "the same key");
        signsAsItself(first);
        signsAsItself(second);
        equal(client.listPropertiesOfKeyVersions(first.getName()).stream().count(), 2L);
    }

    private static void deleteAndPurge() throws Exception {
        KeyClient client = keys(PREMIUM);
        KeyVaultKey key = ec(KeyCurveName.P_256);
        byte[] backup = client.backupKey(key.getName());
        CryptographyClient crypto = crypto(key.getId());
        byte[] digest = Cryptography.digest(SignatureAlgorithm.ES256);
        crypto.sign(SignatureAlgorithm.ES256, digest);
        waited(client.beginDeleteKey(key.getName()));
        refused(404, () -> crypto.sign(SignatureAlgorithm.ES256, digest), "KeyNotFound");
        waited(client.beginRecoverDeletedKey(key.getName()));
        signsAsItself(key);
        waited(client.beginDeleteKey(key.getName()));
        client.purgeDeletedKey(key.getName());
        // The backup was a reference to the key in the token, which is gone.
        refused(400, () -> client.restoreKeyBackup(backup), "BadParameter");
        refused(404, () -> client.getKey(key.getName()), "KeyNotFound");
    }

    private static void ofACertificate() throws Exception {
        CertificatePolicy how = pem().setKeyType(CertificateKeyType.EC_HSM).setExportable(false);
        KeyVaultCertificate made = create(certificates(PREMIUM), fresh("token"), how);
        opened(made).verify(opened(made).getPublicKey());
        String value = secrets(PREMIUM).getSecret(made.getName()).getValue();
        check(!value.contains("PRIVATE"), "a private key is given out");
        KeyVaultKey key = keys(PREMIUM).getKey(made.getName());
        equal(List.of(key.getId(), key.getKeyType()), List.of(made.getKeyId(), KeyType.EC_HSM));
        signsAsItself(key);
        refused(400, () -> certificates(VAULT_A).beginCreateCertificate(fresh("token"), how), "BadParameter");
    }
}

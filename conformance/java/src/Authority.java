package vouchsafe;

import java.io.ByteArrayOutputStream;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.PublicKey;
import java.security.Signature;
import java.security.cert.X509Certificate;
import java.security.spec.X509EncodedKeySpec;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import javax.security.auth.x500.X500Principal;

/**
 * Who signs certificates outside of the vault. The JDK reads certificates and makes none, so the few elements of DER that
 * RFC 5280 and RFC 2986 need are written and read here.
 */
final class Authority {
    private static final DateTimeFormatter UTC_TIME = DateTimeFormatter.ofPattern("yyMMddHHmmss'Z'").withZone(ZoneOffset.UTC);
    private static final byte[] ECDSA_WITH_SHA256 = hex("300a06082a8648ce3d040302");
    /** The oid of the extension, `critical`, and the sequence that says whether it is an authority. */
    private static final byte[] NO_AUTHORITY = hex("300c0603551d130101ff04023000");
    private static final byte[] AN_AUTHORITY = hex("300f0603551d130101ff040530030101ff");

    private final KeyPair own = pair("EC", 256);
    private final X500Principal name = new X500Principal("CN=Somebody Else's Authority");
    final X509Certificate certificate = Certificates.parsed(certified(own.getPublic(), name, AN_AUTHORITY));

    /** A request as a vault writes it, whose signature is good. */
    record Request(X500Principal subject, PublicKey key) {}

    static KeyPair pair(String algorithm, int bits) {
        try {
            KeyPairGenerator generator = KeyPairGenerator.getInstance(algorithm);
            generator.initialize(bits);
            return generator.generateKeyPair();
        } catch (java.security.GeneralSecurityException error) {
            throw new AssertionError(error);
        }
    }

    X509Certificate issue(PublicKey key, X500Principal subject) {
        return Certificates.parsed(certified(key, subject, NO_AUTHORITY));
    }

    private byte[] certified(PublicKey key, X500Principal subject, byte[] constraints) {
        byte[] number = new BigInteger(64, new java.security.SecureRandom()).setBit(62).clearBit(63).toByteArray();
        byte[] validity = element(0x30, time(-300), time(90 * 86_400));
        byte[] signed = element(0x30, element(0xa0, element(0x02, new byte[] {2})), element(0x02, number), ECDSA_WITH_SHA256,
                name.getEncoded(), validity, subject.getEncoded(), key.getEncoded(), element(0xa3, element(0x30, constraints)));
        try {
            Signature signer = Signature.getInstance("SHA256withECDSA");
            signer.initSign(own.getPrivate());
            signer.update(signed);
            return element(0x30, signed, ECDSA_WITH_SHA256, element(0x03, new byte[1], signer.sign()));
        } catch (java.security.GeneralSecurityException error) {
            throw new AssertionError(error);
        }
    }

    /** Reads a request and checks that who made it has the key. */
    static Request request(byte[] der, String keyAlgorithm, String signatureAlgorithm) throws Exception {
        List<byte[]> outer = elements(der);
        List<byte[]> inner = elements(outer.get(0));
        var encoded = new X509EncodedKeySpec(inner.get(2));
        PublicKey key = java.security.KeyFactory.getInstance(keyAlgorithm).generatePublic(encoded);
        Signature verifier = Signature.getInstance(signatureAlgorithm);
        verifier.initVerify(key);
        verifier.update(outer.get(0));
        byte[] bits = content(outer.get(2));
        World.check(verifier.verify(bits, 1, bits.length - 1), "the request is not signed by its key");
        return new Request(new X500Principal(inner.get(1)), key);
    }

    static X500Principal named(String name) {
        return new X500Principal("CN=" + name);
    }

    private static byte[] time(long secondsFromNow) {
        String text = UTC_TIME.format(Instant.now().plusSeconds(secondsFromNow));
        return element(0x17, text.getBytes(StandardCharsets.US_ASCII));
    }

    private static byte[] hex(String text) {
        return HexFormat.of().parseHex(text);
    }

    private static byte[] element(int tag, byte[]... parts) {
        var content = new ByteArrayOutputStream();
        for (byte[] part : parts) content.writeBytes(part);
        var whole = new ByteArrayOutputStream();
        whole.write(tag);
        byte[] length = BigInteger.valueOf(content.size()).toByteArray();
        if (content.size() > 127) {
            if (length[0] == 0) length = Arrays.copyOfRange(length, 1, length.length);
            whole.write(0x80 | length.length);
        }
        whole.writeBytes(length);
        whole.writeBytes(content.toByteArray());
        return whole.toByteArray();
    }

    /** Where the content of the element at `from` begins and ends. */
    private static int[] bounds(byte[] der, int from) {
        int length = der[from + 1] & 0xff;
        int start = from + 2;
        if (length > 127) {
            int bytes = length & 0x7f;
            length = new BigInteger(1, Arrays.copyOfRange(der, start, start + bytes)).intValueExact();
            start += bytes;
        }
        return new int[] {start, start + length};
    }

    private static byte[] content(byte[] der) {
        int[] bounds = bounds(der, 0);
        return Arrays.copyOfRange(der, bounds[0], bounds[1]);
    }

    /** The elements inside of one, whole. */
    private static List<byte[]> elements(byte[] der) {
        byte[] content = content(der);
        List<byte[]> found = new ArrayList<>();
        for (int at = 0; at < content.length; at = bounds(content, at)[1]) {
            found.add(Arrays.copyOfRange(content, at, bounds(content, at)[1]));
        }
        return found;
    }
}

"""What keys do, through azure-keyvault-keys as it is; what can be checked elsewhere is, by OpenSSL."""

import hashlib
import os
from datetime import datetime, timedelta, timezone

from azure.keyvault.keys import KeyCurveName
from azure.keyvault.keys.crypto import CryptographyClient, EncryptionAlgorithm, KeyWrapAlgorithm, SignatureAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

from .world import WORLD, crypto_client, equal, fresh, key_client, refused

TEXT = b"what is signed"
DIGESTS = {name: hashlib.new(name, TEXT).digest() for name in ("sha256", "sha384", "sha512")}
HASHES = {"sha256": hashes.SHA256, "sha384": hashes.SHA384, "sha512": hashes.SHA512}
CURVES = {"P-256": ec.SECP256R1, "P-384": ec.SECP384R1, "P-521": ec.SECP521R1, "P-256K": ec.SECP256K1}


def verified_elsewhere(jwk, algorithm, digest, signature):
    """Fails unless OpenSSL takes the signature for one of this public key."""
    chosen = utils.Prehashed(HASHES[digest]())
    if algorithm.startswith("ES"):
        point = (int.from_bytes(jwk.x), int.from_bytes(jwk.y))
        public = ec.EllipticCurvePublicNumbers(*point, CURVES[getattr(jwk.crv, "value", jwk.crv)]()).public_key()
        half = len(signature) // 2
        pair = utils.encode_dss_signature(int.from_bytes(signature[:half]), int.from_bytes(signature[half:]))
        public.verify(pair, DIGESTS[digest], ec.ECDSA(chosen))
        return
    public = rsa.RSAPublicNumbers(int.from_bytes(jwk.e), int.from_bytes(jwk.n)).public_key()
    how = padding.PKCS1v15()
    if algorithm.startswith("PS"):
        how = padding.PSS(padding.MGF1(HASHES[digest]()), HASHES[digest].digest_size)
    public.verify(signature, DIGESTS[digest], how, chosen)


def signs(key, algorithm, digest):
    crypto = crypto_client(key)
    signed = crypto.sign(SignatureAlgorithm(algorithm), DIGESTS[digest])
    equal((signed.key_id, signed.algorithm), (key.id, SignatureAlgorithm(algorithm)))
    assert crypto.verify(signed.algorithm, DIGESTS[digest], signed.signature).is_valid, algorithm
    wrong = bytes([signed.signature[0] ^ 1]) + signed.signature[1:]
    assert not crypto.verify(signed.algorithm, DIGESTS[digest], wrong).is_valid, f"{algorithm} of another text"
    return signed.signature


def key_sign_rsa():
    key = key_client().create_rsa_key(fresh("sign"), size=2048)
    for bits in (256, 384, 512):
        for kind in ("RS", "PS"):
            digest = f"sha{bits}"
            verified_elsewhere(key.key, f"{kind}{bits}", digest, signs(key, f"{kind}{bits}", digest))


def key_sign_ec():
    algorithms = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512", "P-256K": "ES256K"}
    for curve, algorithm in algorithms.items():
        key = key_client().create_ec_key(fresh("sign"), curve=KeyCurveName(curve))
        digest = f"sha{algorithm[2:5]}"
        verified_elsewhere(key.key, algorithm, digest, signs(key, algorithm, digest))


def key_sign_hmac():
    key = key_client().create_oct_key(fresh("sign"), size=256, key_operations=["sign", "verify"])
    for bits in (256, 384, 512):
        signs(key, f"HS{bits}", f"sha{bits}")


def key_sign_with_the_wrong_algorithm_is_refused():
    key = key_client().create_ec_key(fresh("wrong"))
    for algorithm, digest in (("RS256", "sha256"), ("ES384", "sha384"), ("ES256", "sha384")):
        with refused(400, "BadParameter"):
            crypto_client(key).sign(SignatureAlgorithm(algorithm), DIGESTS[digest])


def key_encrypt_rsa():
    key = key_client().create_rsa_key(fresh("encrypt"), size=2048)
    crypto = crypto_client(key)
    for algorithm in (EncryptionAlgorithm.rsa1_5, EncryptionAlgorithm.rsa_oaep, EncryptionAlgorithm.rsa_oaep_256):
        encrypted = crypto.encrypt(algorithm, TEXT)
        equal(crypto.decrypt(algorithm, encrypted.ciphertext).plaintext, TEXT)
    for algorithm in (EncryptionAlgorithm.rsa_oaep, EncryptionAlgorithm.rsa_oaep_256):
        with refused(400, "BadParameter"):
            crypto.decrypt(algorithm, os.urandom(256))


def key_encrypt_aes_gcm():
    for size in (128, 192, 256):
        key = key_client().create_oct_key(fresh("gcm"), size=size, key_operations=["encrypt", "decrypt"])
        crypto, algorithm = crypto_client(key), EncryptionAlgorithm(f"A{size}GCM")
        sealed = crypto.encrypt(algorithm, TEXT, additional_authenticated_data=b"beside")
        assert sealed.iv and sealed.tag and sealed.ciphertext != TEXT
        parts = {"iv": sealed.iv, "authentication_tag": sealed.tag}
        opened = crypto.decrypt(algorithm, sealed.ciphertext, additional_authenticated_data=b"beside", **parts)
        equal(opened.plaintext, TEXT)
        with refused(400, "BadParameter"):
            crypto.decrypt(algorithm, sealed.ciphertext, additional_authenticated_data=b"other", **parts)


def key_encrypt_aes_cbc():
    for size in (128, 192, 256):
        key = key_client().create_oct_key(fresh("cbc"), size=size, key_operations=["encrypt", "decrypt"])
        iv = os.urandom(16)
        for suffix, text in (("CBC", TEXT.ljust(32)), ("CBCPAD", TEXT)):
            algorithm = EncryptionAlgorithm(f"A{size}{suffix}")
            if algorithm == EncryptionAlgorithm.a256_cbcpad:
                # The client does this one by itself, with a key that it makes up.
                continue
            sealed = crypto_client(key).encrypt(algorithm, text, iv=iv)
            equal(crypto_client(key).decrypt(algorithm, sealed.ciphertext, iv=sealed.iv).plaintext, text)


def key_wrap_rsa():
    crypto, other = crypto_client(key_client().create_rsa_key(fresh("wrap"), size=2048)), os.urandom(32)
    for algorithm in (KeyWrapAlgorithm.rsa1_5, KeyWrapAlgorithm.rsa_oaep, KeyWrapAlgorithm.rsa_oaep_256):
        wrapped = crypto.wrap_key(algorithm, other)
        equal(crypto.unwrap_key(algorithm, wrapped.encrypted_key).key, other)


def key_wrap_for_who_cannot_read_it():
    id, other = WORLD["seeded_wrapping_key_id"], os.urandom(32)
    with refused(403, "ForbiddenByRbac"):
        key_client().get_key(WORLD["seeded_wrapping_key_id"].split("/")[-2])
    for algorithm in (KeyWrapAlgorithm.aes_128, KeyWrapAlgorithm.aes_192):
        with refused(400, "BadParameter"):
            crypto_client(id).wrap_key(algorithm, other)
    wrapped = crypto_client(id).wrap_key(KeyWrapAlgorithm.aes_256, other).encrypted_key
    # Another client has nothing of the first one's but what it wrapped.
    equal((len(wrapped), crypto_client(id).unwrap_key(KeyWrapAlgorithm.aes_256, wrapped).key), (40, other))
    with refused(400, "BadParameter"):
        crypto_client(id).unwrap_key(KeyWrapAlgorithm.aes_256, bytes(40))


def key_operations_are_enforced():
    keys = key_client()
    signer = crypto_client(keys.create_rsa_key(fresh("only"), size=2048, key_operations=["sign"]))
    signature = signer.sign(SignatureAlgorithm.rs256, DIGESTS["sha256"]).signature
    opener = crypto_client(keys.create_rsa_key(fresh("only"), size=2048, key_operations=["decrypt"]))
    for attempt in (
        lambda: signer.verify(SignatureAlgorithm.rs256, DIGESTS["sha256"], signature),
        lambda: signer.encrypt(EncryptionAlgorithm.rsa_oaep, TEXT),
        lambda: signer.decrypt(EncryptionAlgorithm.rsa_oaep, bytes(256)),
        lambda: signer.wrap_key(KeyWrapAlgorithm.rsa_oaep, bytes(16)),
        lambda: signer.unwrap_key(KeyWrapAlgorithm.rsa_oaep, bytes(256)),
        lambda: opener.sign(SignatureAlgorithm.rs256, DIGESTS["sha256"]),
    ):
        with refused(403, "Forbidden", "KeyOperationForbidden"):
            attempt()


def key_disabled_cannot_be_used():
    keys = key_client()
    key = keys.create_ec_key(fresh("disabled"))
    crypto = crypto_client(key)
    crypto.sign(SignatureAlgorithm.es256, DIGESTS["sha256"])
    keys.update_key_properties(key.name, enabled=False)
    with refused(403, "Forbidden", "KeyDisabled"):
        crypto.sign(SignatureAlgorithm.es256, DIGESTS["sha256"])
    keys.update_key_properties(key.name, enabled=True)
    crypto.sign(SignatureAlgorithm.es256, DIGESTS["sha256"])


def key_outside_its_dates_cannot_be_used():
    keys, now = key_client(), datetime.now(timezone.utc)
    for dates, said in (
        ({"expires_on": now - timedelta(days=1)}, "KeyExpired"),
        ({"not_before": now + timedelta(days=1)}, "KeyNotYetValid"),
    ):
        key = keys.create_ec_key(fresh("dates"))
        # The client was made while the key was good, so that it is the vault that refuses.
        crypto = crypto_client(key)
        keys.update_key_properties(key.name, **dates)
        with refused(403, "Forbidden", said):
            crypto.sign(SignatureAlgorithm.es256, DIGESTS["sha256"])


def key_of_an_older_version_still_opens():
    keys, name = key_client(), fresh("older")
    first = keys.create_rsa_key(name, size=2048)
    encrypted = crypto_client(first).encrypt(EncryptionAlgorithm.rsa_oaep_256, TEXT)
    keys.rotate_key(name)
    equal(crypto_client(first).decrypt(EncryptionAlgorithm.rsa_oaep_256, encrypted.ciphertext).plaintext, TEXT)


def key_local_and_remote_agree():
    keys = key_client()
    key = keys.create_rsa_key(fresh("local"), size=2048)
    local, remote = CryptographyClient.from_jwk(key.key), crypto_client(key)
    sealed = local.encrypt(EncryptionAlgorithm.rsa_oaep_256, TEXT)
    equal(remote.decrypt(EncryptionAlgorithm.rsa_oaep_256, sealed.ciphertext).plaintext, TEXT)
    signed = remote.sign(SignatureAlgorithm.ps384, DIGESTS["sha384"])
    assert local.verify(SignatureAlgorithm.ps384, DIGESTS["sha384"], signed.signature).is_valid

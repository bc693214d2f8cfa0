"""Keys of the HSM kinds in a premium vault: the token computes with them, and they never leave it."""

import json
import os
from pathlib import Path

from azure.keyvault.certificates import CertificateContentType, KeyType as CertificateKeyType
from azure.keyvault.keys import JsonWebKey, KeyCurveName, KeyType
from azure.keyvault.keys.crypto import EncryptionAlgorithm, KeyWrapAlgorithm, SignatureAlgorithm
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding

from .certificates import create, opened, policy
from .cryptography_of_keys import DIGESTS, TEXT, signs, verified_elsewhere
from .key_release import base64url
from .keys import FIELD_BYTES, ec_key
from .world import PREMIUM, VAULT_A, WORLD, certificate_client, client, crypto_client, equal, fresh, key_client, refused


def rsa_key(name=None, **options):
    return key_client(PREMIUM).create_rsa_key(name or fresh("rsa"), size=2048, hardware_protected=True, **options)


def elliptic_key(name=None, curve="P-256"):
    return key_client(PREMIUM).create_ec_key(name or fresh("ec"), curve=KeyCurveName(curve), hardware_protected=True)


def symmetric_key(*operations, size=256):
    keys = key_client(PREMIUM)
    return keys.create_oct_key(fresh("oct"), size=size, hardware_protected=True, key_operations=operations or None)


def signs_as_itself(key):
    signed = crypto_client(key).sign(SignatureAlgorithm.es256, DIGESTS["sha256"])
    verified_elsewhere(key.key, "ES256", "sha256", signed.signature)


def key_hsm_create():
    for size in (2048, 3072):
        key = key_client(PREMIUM).create_rsa_key(fresh("rsa"), size=size, hardware_protected=True)
        equal((key.key_type, int.from_bytes(key.key.n).bit_length()), (KeyType.rsa_hsm, size))
        assert key.key.d is None and key.key.p is None, "a private part is shown"
        equal(key_client(PREMIUM).get_key(key.name).key.n, key.key.n)
    for curve, field in FIELD_BYTES.items():
        key = elliptic_key(curve=curve)
        equal((key.key_type, len(key.key.x), len(key.key.y)), (KeyType.ec_hsm, field, field))
        equal(key.key.d, None)
    for size in (128, 192, 256):
        key = symmetric_key(size=size)
        equal((key.key_type, key.key.k), (KeyType.oct_hsm, None))
    # A premium vault holds keys in software as well.
    equal(key_client(PREMIUM).create_ec_key(fresh("soft")).key_type, KeyType.ec)


def key_hsm_sign():
    key = rsa_key()
    for bits in (256, 384, 512):
        for kind in ("RS", "PS"):
            verified_elsewhere(key.key, f"{kind}{bits}", f"sha{bits}", signs(key, f"{kind}{bits}", f"sha{bits}"))
    for curve, algorithm in {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512", "P-256K": "ES256K"}.items():
        key, digest = elliptic_key(curve=curve), f"sha{algorithm[2:5]}"
        verified_elsewhere(key.key, algorithm, digest, signs(key, algorithm, digest))


def key_hsm_encrypt_and_wrap():
    crypto, other = crypto_client(rsa_key()), os.urandom(32)
    for algorithm in ("RSA-OAEP", "RSA-OAEP-256"):
        sealed = crypto.encrypt(EncryptionAlgorithm(algorithm), TEXT).ciphertext
        equal(crypto.decrypt(EncryptionAlgorithm(algorithm), sealed).plaintext, TEXT)
        wrapped = crypto.wrap_key(KeyWrapAlgorithm(algorithm), other).encrypted_key
        equal(crypto.unwrap_key(KeyWrapAlgorithm(algorithm), wrapped).key, other)
    with refused(400, "BadParameter"):
        crypto.decrypt(EncryptionAlgorithm.rsa_oaep, os.urandom(256))


def key_hsm_encrypt_and_wrap_aes():
    for size in (128, 256):
        crypto = crypto_client(symmetric_key("encrypt", "decrypt", size=size))
        algorithm = EncryptionAlgorithm(f"A{size}GCM")
        sealed = crypto.encrypt(algorithm, TEXT, additional_authenticated_data=b"beside")
        parts = {"iv": sealed.iv, "authentication_tag": sealed.tag}
        opened_again = crypto.decrypt(algorithm, sealed.ciphertext, additional_authenticated_data=b"beside", **parts)
        equal(opened_again.plaintext, TEXT)
        with refused(400, "BadParameter"):
            crypto.decrypt(algorithm, sealed.ciphertext, additional_authenticated_data=b"other", **parts)
        # Padded with 256 bits, and all wrapping, the client does by itself, with a key that it makes up.
        for suffix, text in (("CBC", TEXT.ljust(32)), ("CBCPAD", TEXT)):
            algorithm, iv = EncryptionAlgorithm(f"A{size}{suffix}"), os.urandom(16)
            if algorithm == EncryptionAlgorithm.a256_cbcpad:
                continue
            sealed = crypto.encrypt(algorithm, text, iv=iv)
            equal(crypto.decrypt(algorithm, sealed.ciphertext, iv=iv).plaintext, text)


def key_hsm_import():
    own, keys = ec_key(ec.SECP256R1(), "P-256"), key_client(PREMIUM)
    imported = keys.import_key(fresh("imported"), own, hardware_protected=True)
    equal((imported.key_type, imported.key.x, imported.key.d), (KeyType.ec_hsm, own.x, None))
    signs_as_itself(imported)
    with refused(400, "BadParameter"):
        key_client(VAULT_A).import_key(fresh("imported"), own, hardware_protected=True)


def key_hsm_import_wrapped():
    blob, keys = Path(WORLD["transfer_blob"]).read_bytes(), key_client(PREMIUM)
    wrapped = JsonWebKey(kty="RSA-HSM", key_ops=["sign", "verify"], t=blob)
    imported = keys.import_key(fresh("wrapped"), wrapped)
    own = serialization.load_pem_public_key(Path(WORLD["transfer_public_pem"]).read_bytes())
    equal((imported.key_type, int.from_bytes(imported.key.n)), (KeyType.rsa_hsm, own.public_numbers().n))
    verified_elsewhere(imported.key, "PS256", "sha256", signs(imported, "PS256", "sha256"))
    with refused(400, "BadParameter"):
        key_client(VAULT_A).import_key(fresh("wrapped"), wrapped)


def key_hsm_rotate():
    keys, first = key_client(PREMIUM), elliptic_key()
    second = keys.rotate_key(first.name)
    equal(second.key_type, KeyType.ec_hsm)
    assert second.key.x != first.key.x, "the same key"
    signs_as_itself(first)
    signs_as_itself(second)
    equal(len(list(keys.list_properties_of_key_versions(first.name))), 2)


def key_hsm_delete_and_purge():
    keys, key = key_client(PREMIUM), elliptic_key()
    backup = keys.backup_key(key.name)
    keys.begin_delete_key(key.name).wait()
    with refused(404, "KeyNotFound"):
        signs_as_itself(key)
    keys.begin_recover_deleted_key(key.name).wait()
    signs_as_itself(key)
    keys.begin_delete_key(key.name).wait()
    keys.purge_deleted_key(key.name)
    # The backup was a reference to the key in the token, which is gone.
    with refused(400, "BadParameter"):
        keys.restore_key_backup(backup)
    with refused(404, "KeyNotFound"):
        keys.get_key(key.name)


def key_attestation():
    keys, key = key_client(PREMIUM), rsa_key()
    attested = keys.get_key_attestation(key.name, key.properties.version)
    equal((attested.id, attested.key.n), (key.id, key.key.n))
    attestation = attested.properties.attestation
    signer = x509.load_pem_x509_certificate(attestation.certificate_pem_file).public_key()
    for statement, kind in (
        (attestation.private_key_attestation, "CKO_PRIVATE_KEY"),
        (attestation.public_key_attestation, "CKO_PUBLIC_KEY"),
    ):
        signed, _, signature = statement.decode().rpartition(".")
        signer.verify(base64url(signature), signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        said = json.loads(base64url(signed.split(".")[1]))
        attributes = said["attributes"]
        equal((said["kid"], attributes["CKA_CLASS"], attributes["CKA_LOCAL"]), (key.id, kind, True))
    imported = keys.import_key(fresh("imported"), ec_key(ec.SECP256R1(), "P-256"), hardware_protected=True)
    statement = keys.get_key_attestation(imported.name).properties.attestation.private_key_attestation
    attributes = json.loads(base64url(statement.decode().split(".")[1]))["attributes"]
    equal((attributes["CKA_EXTRACTABLE"], attributes["CKA_LOCAL"]), (False, False))
    with refused(400, "BadParameter"):
        keys.get_key_attestation(keys.create_ec_key(fresh("soft")).name)


def certificate_hsm_key():
    how = policy(key_type=CertificateKeyType.ec_hsm, exportable=False, content_type=CertificateContentType.pem)
    made = create(certificate_client(PREMIUM), fresh("token"), how)
    found = opened(made)
    found.verify_directly_issued_by(found)
    value = client(PREMIUM).get_secret(made.name).value
    equal(x509.load_pem_x509_certificates(value.encode()), [found])
    assert "PRIVATE" not in value, "a private key is given out"
    key = key_client(PREMIUM).get_key(made.name)
    equal((key.id, key.key_type), (made.key_id, KeyType.ec_hsm))
    signs_as_itself(key)
    with refused(400, "BadParameter"):
        certificate_client(VAULT_A).begin_create_certificate(fresh("token"), how)

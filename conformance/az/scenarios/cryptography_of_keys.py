"""What keys do, told in commands; the other half is done with another implementation."""

import base64
import hashlib

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from .world import FAILED, VAULT_A, equal, fresh, scratch, signed_in

HERE = ("--vault-name", VAULT_A)
MESSAGE = b"told in commands"
DIGEST = hashlib.sha256(MESSAGE).digest()
ALL_256 = Prehashed(hashes.SHA256())


def base64_text(data):
    return base64.b64encode(data).decode()


def public_key(az, name):
    file = scratch("public.pem")
    az("keyvault key download -n", name, *HERE, "--file", file)
    return load_pem_public_key(file.read_bytes())


def signed(az, name, algorithm):
    digest = base64_text(DIGEST)
    answer = az("keyvault key sign --algorithm", algorithm, "-n", name, *HERE, "--digest", digest)
    check = ("keyvault key verify --algorithm", algorithm, "-n", name, *HERE, "--digest", digest, "--signature")
    equal(az(*check, answer["signature"])["isValid"], True)
    equal(az(*check, base64_text(b"\x01" * len(base64.b64decode(answer["signature"]))))["isValid"], False)
    return base64.b64decode(answer["signature"])


def az_key_sign_and_verify():
    az = signed_in()
    name = fresh("rsa")
    az("keyvault key create --kty RSA -n", name, *HERE)
    public_key(az, name).verify(signed(az, name, "PS256"), DIGEST, padding.PSS(padding.MGF1(hashes.SHA256()), 32), ALL_256)
    name = fresh("ec")
    az("keyvault key create --curve P-256 -n", name, *HERE)
    signature = signed(az, name, "ES256")
    r, s = (int.from_bytes(part) for part in (signature[:32], signature[32:]))
    public = public_key(az, name)
    public.verify(encode_dss_signature(r, s), DIGEST, ec.ECDSA(ALL_256))
    try:
        public.verify(encode_dss_signature(r, s), bytes(32), ec.ECDSA(ALL_256))
    except InvalidSignature:
        pass
    else:
        raise AssertionError("a signature of something else")


def az_key_encrypt_and_decrypt():
    az, name = signed_in(), fresh("encrypt")
    az("keyvault key create --kty RSA --ops encrypt decrypt -n", name, *HERE)
    which = ("--algorithm", "RSA-OAEP-256", "-n", name, *HERE, "--value")
    encrypted = az("keyvault key encrypt --data-type plaintext", *which, "for the vault")
    equal(az("keyvault key decrypt --data-type plaintext", *which, encrypted["result"])["result"], "for the vault")
    padded = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
    elsewhere = base64_text(public_key(az, name).encrypt(MESSAGE, padded))
    equal(base64.b64decode(az("keyvault key decrypt", *which, elsewhere)["result"]), MESSAGE)
    az.refused(FAILED, ["BadParameter"], "keyvault key decrypt", *which, base64_text(bytes(256)))
    sign = ("keyvault key sign --algorithm RS256 -n", name, *HERE, "--digest", base64_text(DIGEST))
    az.refused(FAILED, ["sign"], *sign)

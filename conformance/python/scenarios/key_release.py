"""A key that leaves the vault, wrapped for an environment that an attestation service vouches for."""

import base64
import json
from pathlib import Path

from azure.keyvault.keys import KeyReleasePolicy
from cryptography.hazmat.primitives import hashes, keywrap, serialization
from cryptography.hazmat.primitives.asymmetric import padding

from .world import PREMIUM, VAULT_A, WORLD, equal, fresh, key_client, refused

NONCE = "asked now"


def release_policy():
    conditions = [{"claim": "x-ms-attestation-type", "equals": "sevsnpvm"}]
    rules = {"version": "1.0.0", "anyOf": [{"authority": WORLD["attestation_authority"], "allOf": conditions}]}
    return KeyReleasePolicy(json.dumps(rules).encode())


def base64url(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def unwrapped(released):
    """What the environment does: OAEP with its own key, and under that AES key wrap with padding."""
    environment = serialization.load_pem_private_key(Path(WORLD["environment_pem"]).read_bytes(), None)
    blob = json.loads(base64url(released["key_hsm"]))
    ciphertext, size = base64url(blob["ciphertext"]), environment.key_size // 8
    oaep = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)
    wrapping = environment.decrypt(ciphertext[:size], oaep)
    clear = keywrap.aes_key_unwrap_with_padding(wrapping, ciphertext[size:])
    return serialization.load_der_private_key(alone(clear), None)


def alone(key):
    """As many bytes as its DER says: SoftHSM wraps up to seven zeros behind a key, and this parser takes none."""
    length, start = key[1], 2
    if length >= 0x80:
        start = 2 + length - 0x80
        length = int.from_bytes(key[2:start])
    assert key[start + length :] in (bytes(zeros) for zeros in range(8)), "something else was wrapped with it"
    return key[: start + length]


def key_release():
    released_from(key_client())
    released_from(key_client(PREMIUM), hardware_protected=True)


def released_from(keys, **options):
    name = fresh("released")
    made = keys.create_ec_key(name, exportable=True, release_policy=release_policy(), **options)
    equal((made.properties.exportable, keys.get_key(name).properties.exportable), (True, True))
    answer = keys.release_key(name, WORLD["attestation_token"], version=made.properties.version, nonce=NONCE).value
    payload = json.loads(base64url(answer.split(".")[1]))
    equal((payload["request"]["kid"], payload["request"]["nonce"]), (made.id, NONCE))
    point = unwrapped(payload["response"]["key"]["key"]).public_key().public_numbers()
    equal((point.x, point.y), (int.from_bytes(made.key.x), int.from_bytes(made.key.y)))


def key_release_is_refused():
    keys, name = key_client(), fresh("kept")
    keys.create_ec_key(name, exportable=True, release_policy=release_policy())
    # It is well signed, and says of the environment something else than the policy asks for.
    with refused(403, "Forbidden", "KeyReleaseForbidden"):
        keys.release_key(name, WORLD["attestation_token_of_another"])
    forged = WORLD["attestation_token"][:-8] + "AAAAAAAA"
    with refused(403, "Forbidden", "KeyReleaseForbidden"):
        keys.release_key(name, forged)
    for holder, options in ((keys, {}), (key_client(PREMIUM), {"hardware_protected": True})):
        stays = holder.create_ec_key(fresh("stays"), **options)
        with refused(403, "Forbidden"):
            holder.release_key(stays.name, WORLD["attestation_token"])
    # A key leaves by a policy or not at all.
    with refused(400, "BadParameter"):
        key_client(VAULT_A).create_ec_key(fresh("open"), exportable=True)

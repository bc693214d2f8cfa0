"""Secure key release, through azure-keyvault-keys as it is; the environment unwraps with a library that knows nothing of us."""

import base64
import json
import time

from azure.keyvault.keys import KeyExportEncryptionAlgorithm, KeyReleasePolicy
from cryptography import x509
from cryptography.hazmat.primitives import hashes, keywrap, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

from .world import equal, fresh, key_client, refused

# The service that world.yaml lists, whose key everybody knows: it is that of RFC 7515, appendix A.3.
AUTHORITY = "https://attest.example"
SERVICE = ec.derive_private_key(
    int.from_bytes(base64.urlsafe_b64decode("jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI=")), ec.SECP256R1()
)
POLICY = {
    "version": "1.0.0",
    "anyOf": [{"authority": AUTHORITY, "allOf": [{"claim": "x-ms-attestation-type", "equals": "sevsnpvm"}]}],
}
HASHES = {
    KeyExportEncryptionAlgorithm.ckm_rsa_aes_key_wrap: hashes.SHA1,
    KeyExportEncryptionAlgorithm.rsa_aes_key_wrap_256: hashes.SHA256,
    KeyExportEncryptionAlgorithm.rsa_aes_key_wrap_384: hashes.SHA384,
}


def text(octets):
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def octets(encoded):
    return base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))


def token(environment, **changes):
    """What the service says of an environment with this key."""
    numbers = environment.public_key().public_numbers()
    key = {"kid": "TpmEphemeralEncryptionKey", "kty": "RSA", "key_ops": ["encrypt"]}
    key |= {"n": text(numbers.n.to_bytes(256)), "e": text(numbers.e.to_bytes(3))}
    now = int(time.time())
    claims = {"iss": AUTHORITY, "iat": now, "nbf": now, "exp": now + 600, "x-ms-attestation-type": "sevsnpvm"}
    claims |= {"x-ms-runtime": {"keys": [key]}} | changes
    header = {"alg": "ES256", "kid": "one", "typ": "JWT", "jku": f"{AUTHORITY}/certs"}
    unsigned = ".".join(text(json.dumps(part).encode()) for part in (header, claims))
    r, s = utils.decode_dss_signature(SERVICE.sign(unsigned.encode(), ec.ECDSA(hashes.SHA256())))
    return f"{unsigned}.{text(r.to_bytes(32) + s.to_bytes(32))}"


def unwrapped(environment, released, algorithm):
    """The key in an answer whose signature is that of the certificate beside it."""
    header, payload, signature = released.value.split(".")
    certificate = json.loads(octets(header))["x5c"][0]
    certificate = x509.load_der_x509_certificate(base64.b64decode(certificate))
    unsigned = f"{header}.{payload}".encode()
    certificate.public_key().verify(octets(signature), unsigned, padding.PKCS1v15(), hashes.SHA256())
    said = json.loads(octets(payload))
    equal((said["request"]["enc"], said["request"]["nonce"]), (algorithm.value, "fresh"))
    ciphertext = octets(json.loads(octets(said["response"]["key"]["key"]["key_hsm"]))["ciphertext"])
    oaep = padding.OAEP(padding.MGF1(HASHES[algorithm]()), HASHES[algorithm](), None)
    wrapping = environment.decrypt(ciphertext[:256], oaep)
    clear = keywrap.aes_key_unwrap_with_padding(wrapping, ciphertext[256:])
    return serialization.load_der_private_key(clear, None)


def key_release_to_an_attested_environment():
    keys, environment = key_client(), rsa.generate_private_key(65537, 2048)
    policy = KeyReleasePolicy(json.dumps(POLICY).encode())
    name = fresh("released")
    key = keys.create_rsa_key(name, size=2048, exportable=True, release_policy=policy)
    equal((key.properties.exportable, bool(key.properties.release_policy.immutable)), (True, False))
    for algorithm in KeyExportEncryptionAlgorithm:
        released = keys.release_key(name, token(environment), algorithm=algorithm, nonce="fresh")
        numbers = unwrapped(environment, released, algorithm).public_key().public_numbers()
        equal(numbers.n, int.from_bytes(key.key.n))
    with refused(403, "KeyReleaseForbidden"):
        keys.release_key(name, token(environment, **{"x-ms-attestation-type": "sgx"}))
    with refused(403, "KeyReleaseForbidden"):
        keys.release_key(keys.create_ec_key(fresh("kept")).name, token(environment))

"""The life of keys, told in the commands of `az keyvault key`."""

import base64
import json
import os

from cryptography import x509
from cryptography.hazmat.primitives import hashes, keywrap, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_public_key

from .world import ABSENT, FAILED, VAULT_A, VAULT_B, WORLD, equal, fresh, names, scratch, signed_in, vault_url

HERE = ("--vault-name", VAULT_A)


def az_key_create():
    az, name = signed_in(), fresh("rsa")
    dates = ("--not-before", "2026-01-01T00:00:00Z", "--expires", "2036-01-01T00:00:00Z")
    made = az("keyvault key create --kty RSA --size 3072 --ops sign verify --tags a=b c=d -n", name, *HERE, *dates)
    equal((made["key"]["kty"], made["key"]["keyOps"], made["tags"]), ("RSA", ["sign", "verify"], {"a": "b", "c": "d"}))
    attributes = made["attributes"]
    equal((attributes["enabled"], attributes["exportable"]), (True, False))
    equal(attributes["notBefore"], "2026-01-01T00:00:00+00:00")
    equal(attributes["expires"], "2036-01-01T00:00:00+00:00")
    equal(made["key"]["kid"].rsplit("/", 1)[0], f"{vault_url()}/keys/{name}")
    private = [member for member in ("d", "p", "q", "dp", "dq", "qi", "k") if made["key"][member] is not None]
    equal(private, [])
    file = scratch("key.pem")
    az("keyvault key download -n", name, *HERE, "--file", file)
    equal(load_pem_public_key(file.read_bytes()).key_size, 3072)
    equal(az("keyvault key show --id", made["key"]["kid"])["key"], made["key"])


def az_key_create_ec():
    az, name = signed_in(), fresh("ec")
    for curve, size in (("P-256K", 256), ("P-384", 384), ("P-521", 521)):
        made = az("keyvault key create --kty EC --curve", curve, "-n", name, *HERE)
        equal((made["key"]["kty"], made["key"]["crv"]), ("EC", curve))
        file = scratch("key.der")
        az("keyvault key download --encoding DER -n", name, *HERE, "--file", file)
        equal(load_der_public_key(file.read_bytes()).key_size, size)


def az_key_versions_and_attributes():
    az, name = signed_in(), fresh("versions")
    first = az("keyvault key create --kty EC -n", name, *HERE)
    second = az("keyvault key rotate -n", name, *HERE)
    kids = [first["key"]["kid"], second["key"]["kid"]]
    equal({item["kid"] for item in az("keyvault key list-versions -n", name, *HERE)}, set(kids))
    equal(az("keyvault key show -n", name, *HERE)["key"]["kid"], kids[1])
    assert name in names(az("keyvault key list", *HERE))
    changed = az(
        "keyvault key set-attributes --enabled false --ops sign --tags x=y --expires 2031-02-03T04:05:06Z -n",
        name, *HERE, "--version", kids[0].rsplit("/", 1)[-1],
    )  # fmt: skip
    equal((changed["attributes"]["enabled"], changed["key"]["keyOps"]), (False, ["sign"]))
    equal((changed["tags"], changed["attributes"]["expires"]), ({"x": "y"}, "2031-02-03T04:05:06+00:00"))
    now = az("keyvault key show -n", name, *HERE)
    equal((now["attributes"]["enabled"], now["tags"]), (True, second["tags"]))


def az_key_rotation_policy():
    az, name = signed_in(), fresh("policy")
    az("keyvault key create --kty EC -n", name, *HERE)
    equal(az("keyvault key rotation-policy show -n", name, *HERE)["expiresIn"], None)
    policy = {
        "lifetimeActions": [
            {"trigger": {"timeAfterCreate": "P60D"}, "action": {"type": "Rotate"}},
            {"trigger": {"timeBeforeExpiry": "P30D"}, "action": {"type": "Notify"}},
        ],
        "attributes": {"expiryTime": "P90D"},
    }
    # `az` shows the members in another spelling than it reads; it reads both.
    read = json.dumps(policy).replace("lifetimeActions", "lifetime_actions").replace("expiryTime", "expiry_time")
    read = read.replace("timeAfterCreate", "time_after_create").replace("timeBeforeExpiry", "time_before_expiry")
    file = scratch("policy.json")
    file.write_text(read)
    az("keyvault key rotation-policy update -n", name, *HERE, "--value", file)
    shown = az("keyvault key rotation-policy show -n", name, *HERE)
    equal(shown["expiresIn"], "P90D")
    actions = {(each["action"], each["timeAfterCreate"], each["timeBeforeExpiry"]) for each in shown["lifetimeActions"]}
    assert ("Rotate", "P60D", None) in actions and ("Notify", None, "P30D") in actions, actions
    rotated = az("keyvault key rotate -n", name, *HERE)
    assert rotated["attributes"]["expires"] is not None, rotated
    equal(set(az("keyvault key get-policy-template")), {"anyOf", "version"})


def az_key_import():
    az = signed_in()
    sources = (
        (rsa.generate_private_key(65537, 2048), serialization.NoEncryption(), ()),
        (ec.generate_private_key(ec.SECP384R1()), serialization.NoEncryption(), ()),
        (ec.generate_private_key(ec.SECP521R1()), serialization.BestAvailableEncryption(b"opens it"), ("--pem-password", "opens it")),
    )
    for key, encryption, password in sources:
        name, file = fresh("import"), scratch("key.pem")
        pem = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8)
        file.write_bytes(key.private_bytes(*pem, encryption))
        az("keyvault key import --ops sign verify -n", name, *HERE, "--pem-file", file, *password)
        out = scratch("public.pem")
        az("keyvault key download -n", name, *HERE, "--file", out)
        equal(load_pem_public_key(out.read_bytes()), key.public_key())


def az_key_import_of_a_wrapped_key():
    az, there = signed_in(), ("--vault-name", WORLD["premium_vault"])
    kek, name, pem, file = fresh("kek"), fresh("byok"), scratch("kek.pem"), scratch("key.byok")
    kid = az("keyvault key create --kty RSA-HSM --size 2048 --ops import -n", kek, *there)["key"]["kid"]
    az("keyvault key download -n", kek, *there, "--file", pem)
    key, wrapping = rsa.generate_private_key(65537, 2048), os.urandom(32)
    pkcs8 = (serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    oaep = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)
    ciphertext = load_pem_public_key(pem.read_bytes()).encrypt(wrapping, oaep)
    ciphertext += keywrap.aes_key_wrap_with_padding(wrapping, key.private_bytes(*pkcs8))
    header = {"kid": kid, "alg": "dir", "enc": "CKM_RSA_AES_KEY_WRAP"}
    blob = {"schema_version": "1.0.0", "header": header, "generator": "a scenario"}
    file.write_text(json.dumps(blob | {"ciphertext": base64.urlsafe_b64encode(ciphertext).rstrip(b"=").decode()}))
    made = az("keyvault key import --kty RSA --ops sign verify -n", name, *there, "--byok-file", file)
    equal((made["key"]["kty"], made["key"]["keyOps"]), ("RSA-HSM", ["sign", "verify"]))
    out = scratch("public.pem")
    az("keyvault key download -n", name, *there, "--file", out)
    equal(load_pem_public_key(out.read_bytes()), key.public_key())


def az_key_backup_and_restore():
    az, name, file = signed_in(), fresh("backup"), scratch("backup")
    made = az("keyvault key create --kty EC -n", name, *HERE)
    az("keyvault key backup -n", name, *HERE, "--file", file)
    restored = az("keyvault key restore --vault-name", VAULT_B, "--file", file)
    equal((restored["key"]["x"], restored["key"]["y"]), (made["key"]["x"], made["key"]["y"]))
    az.refused(FAILED, ["Conflict"], "keyvault key restore", *HERE, "--file", file)
    damaged = bytearray(file.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    file.write_bytes(damaged)
    az("keyvault key delete -n", name, "--vault-name", VAULT_B)
    az("keyvault key purge -n", name, "--vault-name", VAULT_B)
    az.refused(FAILED, ["BadParameter"], "keyvault key restore --vault-name", VAULT_B, "--file", file)


def az_key_delete_and_recover():
    az, name = signed_in(), fresh("delete")
    which = ("-n", name, *HERE)
    made = az("keyvault key create --kty EC", *which)
    gone = az("keyvault key delete", *which)
    equal(gone["recoveryId"], f"{vault_url()}/deletedkeys/{name}")
    assert gone["deletedDate"] and gone["scheduledPurgeDate"], gone
    az.refused(ABSENT, ["KeyNotFound"], "keyvault key show", *which)
    az.refused(FAILED, ["Conflict", "deleted but recoverable"], "keyvault key create --kty EC", *which)
    assert name in names(az("keyvault key list-deleted", *HERE))
    equal(az("keyvault key show-deleted", *which)["key"]["kid"], made["key"]["kid"])
    az("keyvault key recover", *which)
    equal(az("keyvault key show", *which)["key"], made["key"])
    az("keyvault key delete", *which)
    az("keyvault key purge", *which)
    az.refused(FAILED, ["KeyNotFound"], "keyvault key show-deleted", *which)


def stated(attestation, half):
    """What a statement says, once it verifies with the certificate beside it."""
    certificate = x509.load_pem_x509_certificate(base64.b64decode(attestation["certificatePemFile"]))
    statement = base64.b64decode(attestation[half])
    signed, _, signature = statement.rpartition(b".")
    signature, payload = (base64.urlsafe_b64decode(part + b"==") for part in (signature, signed.split(b".")[1]))
    certificate.public_key().verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())
    return json.loads(payload)


def az_key_attestation():
    az, there = signed_in(), ("--vault-name", WORLD["premium_vault"])
    made = az("keyvault key create --kty RSA-HSM -n", fresh("attested"), *there)["key"]["kid"]
    # By the id and not by the name of the vault, in place of which there is `--hsm-name`.
    attestation = az("keyvault key get-attestation --id", made)
    for half, kind in (("privateKeyAttestation", "CKO_PRIVATE_KEY"), ("publicKeyAttestation", "CKO_PUBLIC_KEY")):
        said = stated(attestation, half)
        equal((said["kid"], said["attributes"]["CKA_CLASS"], said["attributes"]["CKA_LOCAL"]), (made, kind, True))
    own, file = ec.generate_private_key(ec.SECP256R1()), scratch("own.pem")
    pem = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file.write_bytes(own.private_bytes(*pem))
    imported = az("keyvault key import --protection hsm -n", fresh("brought"), *there, "--pem-file", file)["key"]["kid"]
    said = stated(az("keyvault key get-attestation --id", imported), "privateKeyAttestation")
    equal((said["kid"], said["attributes"]["CKA_LOCAL"]), (imported, False))
    soft = az("keyvault key create --kty EC -n", fresh("soft"), *HERE)["key"]["kid"]
    az.refused(FAILED, ["BadParameter"], "keyvault key get-attestation --id", soft)


def az_key_random_bytes():
    az = signed_in()
    found = [az("keyvault key random --count 16 --id", vault_url())["value"] for _ in range(2)]
    equal([len(base64.b64decode(value)) for value in found], [16, 16])
    assert found[0] != found[1], "the same twice"

"""The life of certificates, told in the commands of `az keyvault certificate`."""

import base64
import datetime
import json

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

from .world import ABSENT, FAILED, VAULT_A, VAULT_B, equal, fresh, names, scratch, signed_in, vault_url

HERE = ("--vault-name", VAULT_A)


def policy(issuer="Self", **members):
    """A policy in `az`'s own spelling, whose key is quickly made."""
    made = {
        "issuer_parameters": {"name": issuer},
        "key_properties": {"exportable": True, "key_type": "EC", "curve": "P-256", "reuse_key": False},
        "secret_properties": {"content_type": "application/x-pem-file"},
        "x509_certificate_properties": {"subject": "CN=conformance.example", "validity_in_months": 3},
    }
    return json.dumps(made | members)


def name_of(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def issued(subject, public_key, key, issuer):
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(public_key)
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(minutes=5))
    return builder.not_valid_after(now + datetime.timedelta(days=30)).sign(key, hashes.SHA256())


def downloaded(az, name, *version):
    file = scratch("certificate.pem")
    az("keyvault certificate download -n", name, *HERE, "--file", file, *version)
    return x509.load_pem_x509_certificate(file.read_bytes())


def az_certificate_default_policy():
    az, name, file = signed_in(), fresh("default"), scratch("policy.json")
    default = az("keyvault certificate get-default-policy")
    file.write_text(json.dumps(default))
    made = az("keyvault certificate create -n", name, *HERE, "--policy", f"@{file}", "--validity", "6", "--tags", "a=b")
    equal((made["status"], made["target"], made["error"]), ("completed", f"{vault_url()}/certificates/{name}", None))
    shown = az("keyvault certificate show -n", name, *HERE)
    found = shown["policy"]
    equal(found["keyProperties"]["keyType"], default["keyProperties"]["keyType"])
    equal((found["issuerParameters"]["name"], found["x509CertificateProperties"]["validityInMonths"]), ("Self", 6))
    equal([each["action"]["actionType"] for each in found["lifetimeActions"]], ["AutoRenew"])
    equal((shown["tags"], shown["attributes"]["enabled"]), ({"a": "b"}, True))
    equal(found["secretProperties"]["contentType"], "application/x-pkcs12")
    certificate = downloaded(az, name)
    certificate.verify_directly_issued_by(certificate)
    equal(certificate.public_bytes(serialization.Encoding.DER), base64.b64decode(shown["cer"]))
    equal(shown["x509ThumbprintHex"], certificate.fingerprint(hashes.SHA1()).hex().upper())
    bundle = scratch("bundle.p12")
    az("keyvault secret download --encoding base64 -n", name, *HERE, "--file", bundle)
    key, inside, _ = pkcs12.load_key_and_certificates(bundle.read_bytes(), None)
    equal((inside, key.public_key()), (certificate, certificate.public_key()))
    # What belongs to a certificate is in the lists of keys and secrets only when it is asked for.
    assert name not in names(az("keyvault key list", *HERE))
    assert name in names(az("keyvault key list --include-managed", *HERE))


def az_certificate_versions_and_attributes():
    az, name = signed_in(), fresh("versions")
    which = ("-n", name, *HERE)
    az("keyvault certificate create", *which, "--policy", policy())
    first = az("keyvault certificate show", *which)["id"]
    az("keyvault certificate create", *which, "--policy", policy())
    second = az("keyvault certificate show", *which)["id"]
    versions = az("keyvault certificate list-versions", *which)
    equal({each["id"] for each in versions}, {first, second})
    assert name in names(az("keyvault certificate list", *HERE))
    old = ("--version", first.rsplit("/", 1)[-1])
    changed = az("keyvault certificate set-attributes --enabled false --tags x=y", *which, *old)
    equal((changed["id"], changed["attributes"]["enabled"], changed["tags"]), (first, False, {"x": "y"}))
    az("keyvault certificate set-attributes", *which, "--policy", policy(issuer="Unknown"))
    now = az("keyvault certificate show", *which)
    equal((now["id"], now["attributes"]["enabled"]), (second, True))
    equal(now["policy"]["issuerParameters"]["name"], "Unknown")
    assert downloaded(az, name, *old).serial_number != downloaded(az, name).serial_number


def az_certificate_request_and_merge():
    az, name = signed_in(), fresh("merge")
    which = ("-n", name, *HERE)
    pending = az("keyvault certificate create", *which, "--policy", policy(issuer="Unknown"))
    equal((pending["status"], pending["issuerParameters"]["name"]), ("inProgress", "Unknown"))
    equal(az("keyvault certificate pending show", *which)["csr"], pending["csr"])
    assert name in names(az("keyvault certificate list --include-pending", *HERE))
    request = x509.load_der_x509_csr(base64.b64decode(pending["csr"]))
    assert request.is_signature_valid
    authority, file = ec.generate_private_key(ec.SECP256R1()), scratch("answer.pem")
    root = issued(name_of("authority"), authority.public_key(), authority, name_of("authority"))
    other = issued(request.subject, ec.generate_private_key(ec.SECP256R1()).public_key(), authority, root.subject)
    file.write_bytes(other.public_bytes(serialization.Encoding.PEM))
    az.refused(FAILED, ["BadParameter"], "keyvault certificate pending merge", *which, "--file", file)
    answer = issued(request.subject, request.public_key(), authority, root.subject)
    file.write_bytes(b"".join(each.public_bytes(serialization.Encoding.PEM) for each in (answer, root)))
    merged = az("keyvault certificate pending merge --tags a=b", *which, "--file", file)
    equal(base64.b64decode(merged["cer"]), answer.public_bytes(serialization.Encoding.DER))
    equal(downloaded(az, name), answer)
    chain = scratch("chain.pem")
    az("keyvault secret download", *which, "--file", chain)
    equal(x509.load_pem_x509_certificates(chain.read_bytes()), [answer, root])


def az_certificate_request_deleted():
    az, name = signed_in(), fresh("pending")
    which = ("-n", name, *HERE)
    az("keyvault certificate create", *which, "--policy", policy(issuer="Unknown"))
    az("keyvault certificate pending delete", *which)
    az.refused(ABSENT, ["PendingCertificateNotFound"], "keyvault certificate pending show", *which)
    az("keyvault certificate create", *which, "--policy", policy())


def az_certificate_import():
    az = signed_in()
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = issued(name_of("imported"), key.public_key(), key, name_of("imported"))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem = private + certificate.public_bytes(serialization.Encoding.PEM)
    password = serialization.BestAvailableEncryption(b"opens it")
    bundle = pkcs12.serialize_key_and_certificates(b"x", key, certificate, None, password)
    for kind, content, options in (("pem", pem, ()), ("p12", bundle, ("--password", "opens it"))):
        name, file = fresh(kind), scratch(kind)
        file.write_bytes(content)
        made = az("keyvault certificate import --tags a=b -n", name, *HERE, "--file", file, *options)
        equal((base64.b64decode(made["cer"]), made["tags"]), (certificate.public_bytes(serialization.Encoding.DER), {"a": "b"}))
        kept = scratch(kind)
        az("keyvault secret download -n", name, *HERE, "--file", kept, *(("--encoding", "base64") if kind == "p12" else ()))
        found = (
            pkcs12.load_key_and_certificates(kept.read_bytes(), None)[0]
            if kind == "p12"
            else serialization.load_pem_private_key(kept.read_bytes(), None)
        )
        equal(found.private_numbers(), key.private_numbers())
    wrong = ("-n", fresh("wrong"), *HERE, "--file", file, "--password", "opens nothing")
    az.refused(FAILED, ["BadParameter", "password"], "keyvault certificate import", *wrong)


def az_certificate_backup_and_restore():
    az, name, file = signed_in(), fresh("backup"), scratch("backup")
    az("keyvault certificate create -n", name, *HERE, "--policy", policy())
    az("keyvault certificate backup -n", name, *HERE, "--file", file)
    restored = az("keyvault certificate restore --vault-name", VAULT_B, "--file", file)
    equal(restored["cer"], az("keyvault certificate show -n", name, *HERE)["cer"])


def az_certificate_delete_and_recover():
    az, name = signed_in(), fresh("delete")
    which = ("-n", name, *HERE)
    az("keyvault certificate create", *which, "--policy", policy())
    gone = az("keyvault certificate delete", *which)
    equal(gone["recoveryId"], f"{vault_url()}/deletedcertificates/{name}")
    for noun, code in (("certificate", "CertificateNotFound"), ("key", "KeyNotFound"), ("secret", "SecretNotFound")):
        az.refused(ABSENT, [code], f"keyvault {noun} show", *which)
    assert name in names(az("keyvault certificate list-deleted", *HERE))
    equal(az("keyvault certificate show-deleted", *which)["cer"], gone["cer"])
    az("keyvault certificate recover", *which)
    equal(az("keyvault certificate show", *which)["cer"], gone["cer"])
    az("keyvault certificate delete", *which)
    az("keyvault certificate purge", *which)
    az.refused(FAILED, ["CertificateNotFound"], "keyvault certificate show-deleted", *which)

"""Where a certificate's key is: made here or elsewhere, given out or not, signed for by others, used by its name."""

import base64
from datetime import datetime, timedelta, timezone

from azure.keyvault.certificates import AdministratorContact, CertificateContact, CertificateContentType, KeyType
from azure.keyvault.keys.crypto import SignatureAlgorithm
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

from .certificates import create, opened, policy
from .cryptography_of_keys import DIGESTS, verified_elsewhere
from .world import VAULT_B, WORLD, certificate_client, client, crypto_client, equal, fresh, key_client, refused

DER, PEM = serialization.Encoding.DER, serialization.Encoding.PEM
ACTION = "Microsoft.KeyVault/vaults/"


def public_bytes(key):
    return key.public_bytes(DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def certified(public, subject, issuer, signer, is_authority=False):
    """A certificate as somebody outside makes it."""
    now = datetime.now(timezone.utc)
    constraints = x509.BasicConstraints(ca=is_authority, path_length=None)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(public)
    builder = builder.serial_number(x509.random_serial_number()).add_extension(constraints, critical=True)
    builder = builder.not_valid_before(now - timedelta(minutes=5)).not_valid_after(now + timedelta(days=90))
    return builder.sign(signer, hashes.SHA256())


def named(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


class Authority:
    """Who signs certificates outside of the vault."""

    def __init__(self):
        self.key, self.name = ec.generate_private_key(ec.SECP256R1()), named("Somebody Else's Authority")
        self.certificate = certified(self.key.public_key(), self.name, self.name, self.key, is_authority=True)

    def issue(self, public, subject):
        return certified(public, subject, self.name, self.key)


def made_elsewhere(key):
    """A certificate with its chain."""
    authority = Authority()
    return authority.issue(key.public_key(), named("elsewhere.example")), authority.certificate


def private_pem(key):
    return key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def certificate_import_pkcs12():
    own = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    leaf, above = made_elsewhere(own)
    for password in (None, "of the file"):
        sealed = serialization.NoEncryption()
        if password:
            sealed = serialization.BestAvailableEncryption(password.encode())
        file = pkcs12.serialize_key_and_certificates(b"name", own, leaf, [above], sealed)
        certificates, name = certificate_client(), fresh("pkcs12")
        imported = certificates.import_certificate(name, file, password=password, tags={"from": "outside"})
        equal((bytes(imported.cer), imported.properties.tags), (leaf.public_bytes(DER), {"from": "outside"}))
        equal((imported.policy.issuer_name, imported.policy.key_type), ("Unknown", KeyType.rsa))
        key, found, chain = pkcs12.load_key_and_certificates(base64.b64decode(client().get_secret(name).value), None)
        equal((key.private_numbers(), found), (own.private_numbers(), leaf))
        equal(chain, [above])


def certificate_import_pem():
    own = ec.generate_private_key(ec.SECP384R1())
    leaf, above = made_elsewhere(own)
    file = private_pem(own) + leaf.public_bytes(PEM) + above.public_bytes(PEM)
    certificates, name = certificate_client(), fresh("pem")
    how = policy("Unknown", subject=None, key_curve_name="P-384", content_type=CertificateContentType.pem)
    imported = certificates.import_certificate(name, file, policy=how)
    equal((bytes(imported.cer), imported.policy.content_type), (leaf.public_bytes(DER), CertificateContentType.pem))
    signed = crypto_client(key_client().get_key(name)).sign(SignatureAlgorithm.es384, DIGESTS["sha384"])
    verified_elsewhere(key_client().get_key(name).key, "ES384", "sha384", signed.signature)


def certificate_import_of_a_broken_file_is_refused():
    own, other = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    leaf, _ = made_elsewhere(own)
    sealed = serialization.BestAvailableEncryption(b"right")
    certificates = certificate_client()
    pem = policy("Unknown", content_type=CertificateContentType.pem)
    for file, options in (
        (b"not a certificate at all", {}),
        (pkcs12.serialize_key_and_certificates(b"", own, leaf, None, sealed), {"password": "wrong"}),
        # Without a key, and with the key of another.
        (leaf.public_bytes(PEM), {"policy": pem}),
        (private_pem(other) + leaf.public_bytes(PEM), {"policy": pem}),
    ):
        name = fresh("broken")
        with refused(400, "BadParameter"):
            certificates.import_certificate(name, file, **options)
        with refused(404, "CertificateNotFound"):
            certificates.get_certificate(name)


def certificate_request_and_merge():
    authority = Authority()
    for encoded in (bytes, base64.b64encode):
        certificates, name = certificate_client(), fresh("merge")
        operation = create(certificates, name, policy("Unknown", subject="CN=merged.example"))
        equal((operation.issuer_name, operation.status), ("Unknown", "inProgress"))
        request = x509.load_der_x509_csr(operation.csr)
        assert request.is_signature_valid
        equal(request.subject, named("merged.example"))
        equal(certificates.get_certificate_operation(name).csr, operation.csr)
        leaf = authority.issue(request.public_key(), request.subject)
        # What the client documents is base64 of the certificate, which it encodes again; plain DER is taken as well.
        chain = [encoded(each.public_bytes(DER)) for each in (leaf, authority.certificate)]
        merged = certificates.merge_certificate(name, chain, tags={"by": "somebody else"})
        equal((bytes(merged.cer), merged.properties.tags), (leaf.public_bytes(DER), {"by": "somebody else"}))
        equal(certificates.get_certificate_operation(name).status, "completed")
        file = base64.b64decode(client().get_secret(name).value)
        key, found, above = pkcs12.load_key_and_certificates(file, None)
        equal((public_bytes(key.public_key()), found), (public_bytes(request.public_key()), leaf))
        equal(above, [authority.certificate])


def certificate_merge_of_another_key_is_refused():
    certificates, name = certificate_client(), fresh("another")
    create(certificates, name, policy("Unknown"))
    leaf, _ = made_elsewhere(ec.generate_private_key(ec.SECP256R1()))
    with refused(400, "BadParameter"):
        certificates.merge_certificate(name, [leaf.public_bytes(DER)])
    equal(certificates.get_certificate_operation(name).status, "inProgress")


def certificate_operation_cancelled_and_deleted():
    certificates, name = certificate_client(), fresh("cancel")
    create(certificates, name, policy("Unknown"))
    # There is one operation at a time.
    with refused(409, "Conflict"):
        certificates.begin_create_certificate(name, policy())
    equal(certificates.cancel_certificate_operation(name).cancellation_requested, True)
    equal(certificates.get_certificate_operation(name).status, "cancelled")
    equal(certificates.delete_certificate_operation(name).status, "cancelled")
    with refused(404, "PendingCertificateNotFound"):
        certificates.get_certificate_operation(name)
    with refused(404, "PendingCertificateNotFound"):
        certificates.delete_certificate_operation(name)
    assert create(certificates, name).cer


def certificate_secret_as_pkcs12():
    made = create(certificate_client(), fresh("pfx"), policy(key_type=KeyType.rsa, key_size=2048, key_curve_name=None))
    secret = client().get_secret(made.name, made.properties.version)
    equal((secret.properties.content_type, secret.properties.key_id), ("application/x-pkcs12", made.key_id))
    key, found, above = pkcs12.load_key_and_certificates(base64.b64decode(secret.value), None)
    equal((found, above), (opened(made), []))
    equal(public_bytes(key.public_key()), public_bytes(found.public_key()))
    equal(client().get_secret(made.name).id, made.secret_id)


def certificate_secret_as_pem():
    made = create(certificate_client(), fresh("pem"), policy(content_type=CertificateContentType.pem))
    secret = client().get_secret(made.name)
    equal(secret.properties.content_type, "application/x-pem-file")
    text = secret.value.encode()
    equal(x509.load_pem_x509_certificates(text), [opened(made)])
    key = serialization.load_pem_private_key(text, None)
    equal(public_bytes(key.public_key()), public_bytes(opened(made).public_key()))


def certificate_key_signs():
    made = create(certificate_client(), fresh("signs"))
    key = key_client().get_key(made.name)
    equal((key.id, key.properties.managed), (made.key_id, True))
    point = opened(made).public_key().public_numbers()
    equal((int.from_bytes(key.key.x), int.from_bytes(key.key.y)), (point.x, point.y))
    signed = crypto_client(made.key_id).sign(SignatureAlgorithm.es256, DIGESTS["sha256"])
    verified_elsewhere(key.key, "ES256", "sha256", signed.signature)


def certificate_key_that_stays():
    for content_type in CertificateContentType:
        made = create(certificate_client(), fresh("stays"), policy(exportable=False, content_type=content_type))
        equal(made.policy.exportable, False)
        value = client().get_secret(made.name).value
        if content_type == CertificateContentType.pem:
            equal(x509.load_pem_x509_certificates(value.encode()), [opened(made)])
            assert "PRIVATE" not in value, "the private key is given out"
        else:
            found = pkcs12.load_pkcs12(base64.b64decode(value), None)
            equal(found.key, None)
            shown = [each.certificate for each in (found.cert, *found.additional_certs) if each]
            equal(shown, [opened(made)])
        signed = crypto_client(made.key_id).sign(SignatureAlgorithm.es256, DIGESTS["sha256"])
        verified_elsewhere(key_client().get_key(made.name).key, "ES256", "sha256", signed.signature)


def certificate_key_and_secret_are_managed():
    made = create(certificate_client(), fresh("managed"))
    secrets, keys = client(), key_client()
    for attempt in (
        lambda: secrets.set_secret(made.name, "other"),
        lambda: secrets.begin_delete_secret(made.name),
        lambda: keys.begin_delete_key(made.name),
        lambda: keys.rotate_key(made.name),
    ):
        with refused(403, "Forbidden"):
            attempt()
    assert made.name in {item.name for item in secrets.list_properties_of_secrets() if item.managed is not False}
    equal(certificate_client().get_certificate(made.name).cer, made.cer)


def certificate_issuers():
    certificates, name = certificate_client(VAULT_B), fresh("issuer")
    contact = AdministratorContact("First", "Last", "admin@example.test", "555")
    made = certificates.create_issuer(
        name, "Test", account_id="account", password="of the account", organization_id="one", admin_contacts=[contact]
    )
    equal((made.name, made.provider, made.account_id), (name, "Test", "account"))
    read = certificates.get_issuer(name)
    equal((read.provider, read.account_id, read.organization_id, read.enabled), ("Test", "account", "one", True))
    assert not read.password, "an issuer's password is shown"
    shown = [(each.first_name, each.last_name, each.email, each.phone) for each in read.admin_contacts]
    equal(shown, [("First", "Last", "admin@example.test", "555")])
    assert (name, "Test") in {(item.name, item.provider) for item in certificates.list_properties_of_issuers()}
    changed = certificates.update_issuer(name, enabled=False, account_id="other")
    equal((changed.enabled, changed.account_id, changed.provider), (False, "other", "Test"))
    equal(certificates.delete_issuer(name).name, name)
    for gone in (certificates.get_issuer, certificates.delete_issuer):
        with refused(404, "CertificateIssuerNotFound"):
            gone(name)


def certificate_contacts():
    certificates = certificate_client(VAULT_B)
    wanted = [CertificateContact("one@example.test", "One", "1"), CertificateContact("two@example.test")]
    told = [("one@example.test", "One", "1"), ("two@example.test", None, None)]
    for read in (lambda: certificates.set_contacts(wanted), certificates.get_contacts, certificates.delete_contacts):
        equal([(each.email, each.name, each.phone) for each in read()], told)
    with refused(404, "ContactsNotFound"):
        certificates.get_contacts()


def certificate_private_authority():
    certificates, issuer = certificate_client(VAULT_B), fresh("authority")
    certificates.create_issuer(issuer, "Vouchsafe", account_id="example.test days:90")
    how = policy(issuer, subject="CN=one.example.test", san_dns_names=["one.example.test"], validity_in_months=1)
    made = create(certificates, fresh("issued"), how)
    leaf = opened(made)
    file = base64.b64decode(client(VAULT_B).get_secret(made.name).value)
    key, found, above = pkcs12.load_key_and_certificates(file, None)
    equal((found, public_bytes(key.public_key())), (leaf, public_bytes(leaf.public_key())))
    leaf.verify_directly_issued_by(above[0])
    assert above[0].extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    # What the authority may not certify it does not.
    outside = policy(issuer, subject="CN=elsewhere.test", san_dns_names=["elsewhere.test"], validity_in_months=1)
    operation = create(certificates, fresh("outside"), outside)
    assert getattr(operation, "cer", None) is None and operation.status == "failed", operation


def certificate_without_a_role():
    stranger, certificates, name = WORLD["identities"]["stranger"], certificate_client(), fresh("absent")
    said = ("Forbidden", "ForbiddenByRbac", stranger["client_id"], stranger["principal_id"])
    for action, attempt in (
        ("certificates/read", lambda: certificates.get_certificate(name)),
        ("certificates/read", lambda: list(certificates.list_properties_of_certificates())),
        ("certificates/create/action", lambda: certificates.begin_create_certificate(name, policy())),
        ("certificates/delete", lambda: certificates.begin_delete_certificate(name)),
        ("certificates/purge/action", lambda: certificates.purge_deleted_certificate(name)),
        ("certificatecas/write", lambda: certificates.create_issuer(name, "Test")),
        ("certificatecontacts/write", certificates.delete_contacts),
    ):
        with refused(403, *said, ACTION + action):
            attempt()

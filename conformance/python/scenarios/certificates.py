"""The life of certificates, through azure-keyvault-certificates as it is; what comes out is read by OpenSSL."""

import hashlib
from datetime import datetime, timedelta, timezone

from azure.keyvault.certificates import (
    ApiVersion,
    CertificateContentType,
    CertificatePolicy,
    CertificatePolicyAction,
    KeyCurveName,
    KeyType,
    LifetimeAction,
)
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from .world import VAULT_A, VAULT_B, certificate_client, client, equal, fresh, key_client, refused, vault_url

NOW = datetime.now(timezone.utc).replace(microsecond=0)
ABSENT = "0" * 32


def policy(issuer="Self", **properties):
    """A policy whose key is quickly made; what is not said is left to the vault."""
    chosen = {"subject": "CN=conformance.example", "key_type": KeyType.ec, "key_curve_name": KeyCurveName.p_256}
    return CertificatePolicy(issuer, **(chosen | properties))


def create(certificates, name, how=None, **options):
    return certificates.begin_create_certificate(name, how or policy(), **options).result()


def opened(certificate):
    """The certificate as OpenSSL reads it."""
    return x509.load_der_x509_certificate(bytes(certificate.cer))


def common_name(name):
    return name.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value


def certificate_create_self_signed():
    certificates, name = certificate_client(), fresh("self")
    poller = certificates.begin_create_certificate(name, CertificatePolicy.get_default(), tags={"a": "b"})
    made = poller.result()
    equal((poller.status(), made.name, made.properties.tags), ("completed", name, {"a": "b"}))
    version = made.properties.version
    equal(made.id, f"{vault_url()}/certificates/{name}/{version}")
    equal(made.key_id, f"{vault_url()}/keys/{name}/{version}")
    equal(made.secret_id, f"{vault_url()}/secrets/{name}/{version}")
    found = opened(made)
    found.verify_directly_issued_by(found)
    equal((common_name(found.subject), found.public_key().key_size), ("DefaultPolicy", 2048))
    equal(bytes(made.properties.x509_thumbprint), hashlib.sha1(bytes(made.cer)).digest())
    dates = (made.properties.not_before, made.properties.expires_on)
    equal(dates, (found.not_valid_before_utc, found.not_valid_after_utc))
    assert dates[0] < datetime.now(timezone.utc) and abs(dates[1] - NOW - timedelta(days=365)) < timedelta(days=3), dates
    equal(made.properties.enabled, True)
    assert made.properties.recovery_level and 7 <= made.properties.recoverable_days <= 90


def certificate_default_policy():
    certificates, name = certificate_client(), fresh("default")
    create(certificates, name, CertificatePolicy.get_default())
    for found in (certificates.get_certificate(name).policy, certificates.get_certificate_policy(name)):
        equal((found.issuer_name, found.subject, found.content_type), ("Self", "CN=DefaultPolicy", "application/x-pkcs12"))
        equal((found.key_type, found.key_size, found.exportable, found.reuse_key), ("RSA", 2048, True, False))
        equal((found.validity_in_months, found.enabled), (12, True))
        equal(set(found.enhanced_key_usage), {"1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"})
        equal(set(found.key_usage), {"digitalSignature", "keyEncipherment"})
        equal([(each.action, each.lifetime_percentage) for each in found.lifetime_actions], [("AutoRenew", 80)])


def certificate_create_ec():
    certificates = certificate_client()
    for curve, size in (("P-256", 256), ("P-384", 384), ("P-521", 521)):
        found = opened(create(certificates, fresh("ec"), policy(key_curve_name=curve)))
        found.verify_directly_issued_by(found)
        equal(found.public_key().curve.key_size, size)


def certificate_names_and_usages():
    how = policy(
        subject="CN=names.example, O=Team One, C=CH",
        san_dns_names=["names.example", "*.names.example"],
        san_emails=["someone@names.example"],
        enhanced_key_usage=["1.3.6.1.5.5.7.3.3"],
        key_usage=["digitalSignature", "nonRepudiation"],
        validity_in_months=3,
    )
    found = opened(create(certificate_client(), fresh("names"), how))
    equal(common_name(found.subject), "names.example")
    equal(found.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[0].value, "Team One")
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    equal(set(names.get_values_for_type(x509.DNSName)), {"names.example", "*.names.example"})
    equal(names.get_values_for_type(x509.RFC822Name), ["someone@names.example"])
    purposes = found.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    equal(list(purposes), [ExtendedKeyUsageOID.CODE_SIGNING])
    usage = found.extensions.get_extension_for_class(x509.KeyUsage).value
    equal((usage.digital_signature, usage.content_commitment, usage.key_encipherment), (True, True, False))
    lifetime = found.not_valid_after_utc - found.not_valid_before_utc
    assert abs(lifetime - timedelta(days=91)) < timedelta(days=3), lifetime


def certificate_policy_without_sense_is_refused():
    certificates = certificate_client()
    for wrong in (
        {"key_type": KeyType.rsa, "key_size": 1024, "key_curve_name": None},
        {"validity_in_months": 100_000},
        {"content_type": "text/plain"},
        {"subject": "not a name"},
        {"issuer": "NoSuchIssuer"},
    ):
        with refused(400, "BadParameter"):
            certificates.begin_create_certificate(fresh("wrong"), policy(**wrong))


def certificate_versions():
    certificates, name = certificate_client(), fresh("versions")
    made = [create(certificates, name) for _ in range(3)]
    versions = [each.properties.version for each in made]
    equal(len(set(versions)), 3)
    for each in made:
        equal(certificates.get_certificate_version(name, each.properties.version).cer, each.cer)
    equal(certificates.get_certificate(name).properties.version, versions[-1])
    listed = list(certificates.list_properties_of_certificate_versions(name))
    equal(sorted(item.version for item in listed), sorted(versions))
    equal({bytes(item.x509_thumbprint) for item in listed}, {bytes(each.properties.x509_thumbprint) for each in made})


def certificate_list_over_pages():
    certificates, prefix = certificate_client(VAULT_B), fresh("page")
    names = {f"{prefix}-{number:02}" for number in range(27)}
    for name in sorted(names):
        create(certificates, name, tags={"n": name[-2:]})
    pages = [list(page) for page in certificates.list_properties_of_certificates().by_page()]
    assert len(pages) >= 2 and max(map(len, pages)) <= 25, [len(page) for page in pages]
    listed = [item for page in pages for item in page if item.name.startswith(prefix)]
    equal(sorted(item.name for item in listed), sorted(names))
    assert all(item.tags == {"n": item.name[-2:]} and not item.version for item in listed)


def certificate_pending_is_listed_when_asked():
    certificates, name = certificate_client(), fresh("pending")
    certificates.begin_create_certificate(name, policy("Unknown"))
    assert name not in {item.name for item in certificates.list_properties_of_certificates()}
    assert name in {item.name for item in certificates.list_properties_of_certificates(include_pending=True)}


def certificate_policy_update():
    certificates, name = certificate_client(), fresh("policy")
    create(certificates, name)
    actions = [LifetimeAction(CertificatePolicyAction.email_contacts, days_before_expiry=20)]
    how = policy(subject="CN=changed.example", validity_in_months=6, lifetime_actions=actions, reuse_key=True)
    changed = certificates.update_certificate_policy(name, how)
    for found in (changed, certificates.get_certificate_policy(name)):
        equal((found.subject, found.validity_in_months, found.reuse_key), ("CN=changed.example", 6, True))
        equal([(each.action, each.days_before_expiry) for each in found.lifetime_actions], [("EmailContacts", 20)])
        equal((found.key_type, found.key_curve_name), ("EC", "P-256"))
    # What is there stays as it was made; the next one follows the policy.
    equal(common_name(opened(certificates.get_certificate(name)).subject), "conformance.example")
    equal(common_name(opened(create(certificates, name, certificates.get_certificate_policy(name))).subject), "changed.example")


def certificate_update():
    certificates, name = certificate_client(), fresh("update")
    made = create(certificates, name, tags={"a": "1"})
    changed = certificates.update_certificate_properties(name, made.properties.version, enabled=False, tags={"b": "2"})
    equal((changed.properties.enabled, changed.properties.tags, changed.cer), (False, {"b": "2"}, made.cer))
    assert changed.properties.updated_on >= made.properties.updated_on
    with refused(403, "Forbidden", "SecretDisabled"):
        client().get_secret(name)
    # Without a version the newest is meant, and what is not said stays.
    again = certificates.update_certificate_properties(name, enabled=True)
    equal((again.properties.enabled, again.properties.tags), (True, {"b": "2"}))
    assert client().get_secret(name).value


def certificate_not_found():
    certificates, name = certificate_client(), fresh("absent")
    for read in (
        lambda: certificates.get_certificate(name),
        lambda: certificates.get_certificate_policy(name),
        lambda: certificates.get_deleted_certificate(name),
        lambda: certificates.begin_delete_certificate(name),
        lambda: certificates.update_certificate_properties(name, ABSENT, enabled=False),
    ):
        with refused(404, "CertificateNotFound"):
            read()
    with refused(404, "PendingCertificateNotFound"):
        certificates.get_certificate_operation(name)
    create(certificates, name)
    with refused(404, "CertificateNotFound"):
        certificates.get_certificate_version(name, ABSENT)


def certificate_delete_and_recover():
    certificates, name = certificate_client(), fresh("recover")
    first = create(certificates, name)
    second = create(certificates, name, tags={"k": "v"})
    deletion = certificates.begin_delete_certificate(name)
    deletion.wait()
    deleted = deletion.result()
    equal((deleted.name, deleted.recovery_id), (name, f"{vault_url()}/deletedcertificates/{name}"))
    assert deleted.scheduled_purge_date > deleted.deleted_on
    with refused(404, "CertificateNotFound"):
        certificates.get_certificate(name)
    # Its key and its secret went with it.
    with refused(404, "SecretNotFound"):
        client().get_secret(name)
    with refused(404, "KeyNotFound"):
        key_client().get_key(name)
    assert name not in {item.name for item in certificates.list_properties_of_certificates()}
    assert name in {item.name for item in certificates.list_deleted_certificates()}
    equal(certificates.get_deleted_certificate(name).properties.tags, {"k": "v"})
    certificates.begin_recover_deleted_certificate(name).wait()
    equal(certificates.get_certificate(name).cer, second.cer)
    equal(certificates.get_certificate_version(name, first.properties.version).cer, first.cer)
    assert client().get_secret(name).value and key_client().get_key(name).key.x


def certificate_purge():
    certificates, name = certificate_client(), fresh("purge")
    old = create(certificates, name)
    certificates.begin_delete_certificate(name).wait()
    certificates.purge_deleted_certificate(name)
    for gone in (certificates.get_deleted_certificate, certificates.purge_deleted_certificate):
        with refused(404, "CertificateNotFound"):
            gone(name)
    made = create(certificates, name)
    assert opened(made).public_key() != opened(old).public_key()
    equal(
        [item.version for item in certificates.list_properties_of_certificate_versions(name)], [made.properties.version]
    )


def certificate_name_of_a_deleted_one_is_taken():
    certificates, name = certificate_client(), fresh("taken")
    create(certificates, name)
    certificates.begin_delete_certificate(name).wait()
    with refused(409, "Conflict", "ObjectIsDeletedButRecoverable"):
        certificates.begin_create_certificate(name, policy())
    # The names of its key and its secret are taken with it.
    with refused(409, "Conflict"):
        client().set_secret(name, "other")


def certificate_backup_and_restore():
    here, there, name = certificate_client(VAULT_A), certificate_client(VAULT_B), fresh("backup")
    first = create(here, name, tags={"a": "b"})
    second = create(here, name, policy(content_type=CertificateContentType.pem))
    backup = here.backup_certificate(name)
    restored = there.restore_certificate_backup(backup)
    equal((restored.name, restored.properties.vault_url), (name, vault_url(VAULT_B)))
    equal(there.get_certificate(name).cer, second.cer)
    old = there.get_certificate_version(name, first.properties.version)
    equal((old.cer, old.properties.tags), (first.cer, {"a": "b"}))
    equal(there.get_certificate_policy(name).content_type, CertificateContentType.pem)
    # The key came with it.
    equal(client(VAULT_B).get_secret(name).value, client(VAULT_A).get_secret(name).value)
    with refused(409, "Conflict"):
        there.restore_certificate_backup(backup)
    damaged = bytearray(backup)
    damaged[len(damaged) // 2] ^= 1
    with refused(400, "BadParameter"):
        certificate_client(VAULT_A).restore_certificate_backup(bytes(damaged))


def certificate_reached_by_every_api_version():
    name = fresh("api")
    made = create(certificate_client(), name)
    for api_version in ApiVersion:
        equal(certificate_client(api_version=api_version).get_certificate(name).cer, made.cer)

"""The asynchronous clients: other HTTP code, other token code, the same vault."""

import asyncio

from azure.identity.aio import CertificateCredential, ManagedIdentityCredential
from azure.keyvault.certificates.aio import CertificateClient
from azure.keyvault.keys import KeyRotationLifetimeAction, KeyRotationPolicy, KeyRotationPolicyAction
from azure.keyvault.keys.aio import KeyClient
from azure.keyvault.keys.crypto import EncryptionAlgorithm, KeyWrapAlgorithm, SignatureAlgorithm
from azure.keyvault.keys.crypto.aio import CryptographyClient
from azure.keyvault.secrets.aio import SecretClient
from recording import RECORDED

from .certificates import opened, policy
from .cryptography_of_keys import DIGESTS, TEXT, verified_elsewhere
from .world import SEEDED_NAME, SEEDED_VALUE, TENANT, VAULT_A, VAULT_B, WORLD, equal, fresh, refused, vault_url


def async_managed_identity():
    async def scenario():
        async with ManagedIdentityCredential() as credential, SecretClient(vault_url(), credential, **RECORDED) as secrets:
            equal((await secrets.get_secret(SEEDED_NAME)).value, SEEDED_VALUE)

    asyncio.run(scenario())


def async_certificate_credential():
    async def scenario():
        credential = CertificateCredential(TENANT, WORLD["application_client_id"], WORLD["certificate_pem"])
        async with credential, SecretClient(vault_url(public=True), credential, **RECORDED) as secrets:
            equal((await secrets.get_secret(SEEDED_NAME)).value, SEEDED_VALUE)

    asyncio.run(scenario())


def async_every_operation():
    async def scenario():
        async with ManagedIdentityCredential() as credential:
            async with SecretClient(vault_url(VAULT_A), credential, **RECORDED) as here:
                async with SecretClient(vault_url(VAULT_B), credential, **RECORDED) as there:
                    await every_operation(here, there)

    asyncio.run(scenario())


async def every_operation(here, there):
    name = fresh("async")
    first = await here.set_secret(name, "one")
    await here.set_secret(name, "two", tags={"a": "b"})
    equal((await here.get_secret(name)).value, "two")
    equal((await here.get_secret(name, first.properties.version)).value, "one")
    equal(len([item async for item in here.list_properties_of_secret_versions(name)]), 2)
    assert name in {item.name async for item in here.list_properties_of_secrets()}
    equal((await here.update_secret_properties(name, content_type="t")).content_type, "t")
    await there.restore_secret_backup(await here.backup_secret(name))
    equal((await there.get_secret(name)).value, "two")
    await here.delete_secret(name)
    with refused(404, "SecretNotFound"):
        await here.get_secret(name)
    equal((await here.get_deleted_secret(name)).name, name)
    assert name in {item.name async for item in here.list_deleted_secrets()}
    await here.recover_deleted_secret(name)
    equal((await here.get_secret(name)).value, "two")
    await here.delete_secret(name)
    await here.purge_deleted_secret(name)
    with refused(404, "SecretNotFound"):
        await here.get_deleted_secret(name)


def async_many_at_once():
    async def scenario():
        async with ManagedIdentityCredential() as credential, SecretClient(vault_url(), credential, **RECORDED) as secrets:
            read = await asyncio.gather(*(secrets.get_secret(SEEDED_NAME) for _ in range(100)))
            equal({secret.value for secret in read}, {SEEDED_VALUE})

    asyncio.run(scenario())


def async_keys():
    async def scenario():
        async with ManagedIdentityCredential() as credential:
            async with KeyClient(vault_url(VAULT_A), credential, **RECORDED) as here:
                async with KeyClient(vault_url(VAULT_B), credential, **RECORDED) as there:
                    await uses_of_keys(here, credential)
                    await life_of_a_key(here, there)

    asyncio.run(scenario())


async def uses_of_keys(keys, credential):
    signer = await keys.create_ec_key(fresh("async"))
    async with CryptographyClient(signer, credential, **RECORDED) as crypto:
        signed = await crypto.sign(SignatureAlgorithm.es256, DIGESTS["sha256"])
        verified_elsewhere(signer.key, "ES256", "sha256", signed.signature)
        with refused(400, "BadParameter"):
            await crypto.sign(SignatureAlgorithm.es384, DIGESTS["sha384"])
    rsa_key = await keys.create_rsa_key(fresh("async"), size=2048)
    async with CryptographyClient(rsa_key, credential, **RECORDED) as crypto:
        sealed = await crypto.encrypt(EncryptionAlgorithm.rsa_oaep_256, TEXT)
        equal((await crypto.decrypt(sealed.algorithm, sealed.ciphertext)).plaintext, TEXT)
        wrapped = await crypto.wrap_key(KeyWrapAlgorithm.rsa_oaep, TEXT)
        equal((await crypto.unwrap_key(wrapped.algorithm, wrapped.encrypted_key)).key, TEXT)
    equal(len(await keys.get_random_bytes(32)), 32)


async def life_of_a_key(here, there):
    name = fresh("async")
    first = await here.create_ec_key(name)
    second = await here.rotate_key(name)
    equal((await here.get_key(name)).id, second.id)
    equal((await here.get_key(name, first.properties.version)).key.x, first.key.x)
    equal(len([item async for item in here.list_properties_of_key_versions(name)]), 2)
    pages = [[item.name async for item in page] async for page in here.list_properties_of_keys().by_page()]
    assert any(name in page for page in pages), pages
    equal((await here.update_key_properties(name, tags={"a": "b"})).properties.tags, {"a": "b"})
    action = KeyRotationLifetimeAction(KeyRotationPolicyAction.rotate, time_after_create="P30D")
    await here.update_key_rotation_policy(name, KeyRotationPolicy(), expires_in="P90D", lifetime_actions=[action])
    equal((await here.get_key_rotation_policy(name)).expires_in, "P90D")
    await there.restore_key_backup(await here.backup_key(name))
    equal((await there.get_key(name)).key.x, second.key.x)
    await here.delete_key(name)
    with refused(404, "KeyNotFound"):
        await here.get_key(name)
    assert name in {item.name async for item in here.list_deleted_keys()}
    await here.recover_deleted_key(name)
    equal((await here.get_key(name)).id, second.id)
    await here.delete_key(name)
    await here.purge_deleted_key(name)
    with refused(404, "KeyNotFound"):
        await here.get_deleted_key(name)


def async_certificates():
    async def scenario():
        async with ManagedIdentityCredential() as credential:
            async with CertificateClient(vault_url(VAULT_A), credential, **RECORDED) as here:
                async with CertificateClient(vault_url(VAULT_B), credential, **RECORDED) as there:
                    await life_of_a_certificate(here, there)
                    await operation_of_a_certificate(here)
                    await issuer_of_certificates(there)

    asyncio.run(scenario())


async def life_of_a_certificate(here, there):
    name = fresh("async")
    # This client's poller waits within the call.
    first = await here.create_certificate(name, policy(), tags={"a": "b"})
    opened(first).verify_directly_issued_by(opened(first))
    second = await here.create_certificate(name, policy())
    equal((await here.get_certificate(name)).cer, second.cer)
    equal((await here.get_certificate_version(name, first.properties.version)).properties.tags, {"a": "b"})
    equal(len([item async for item in here.list_properties_of_certificate_versions(name)]), 2)
    pages = [[item.name async for item in page] async for page in here.list_properties_of_certificates().by_page()]
    assert any(name in page for page in pages), pages
    changed = await here.update_certificate_policy(name, policy(subject="CN=changed.example"))
    equal((changed.subject, (await here.get_certificate_policy(name)).subject), ("CN=changed.example",) * 2)
    equal((await here.update_certificate_properties(name, tags={"b": "2"})).properties.tags, {"b": "2"})
    await there.restore_certificate_backup(await here.backup_certificate(name))
    equal((await there.get_certificate(name)).cer, second.cer)
    await here.delete_certificate(name)
    with refused(404, "CertificateNotFound"):
        await here.get_certificate(name)
    assert name in {item.name async for item in here.list_deleted_certificates()}
    await here.recover_deleted_certificate(name)
    equal((await here.get_certificate(name)).cer, second.cer)
    await here.delete_certificate(name)
    await here.purge_deleted_certificate(name)
    with refused(404, "CertificateNotFound"):
        await here.get_deleted_certificate(name)


async def operation_of_a_certificate(certificates):
    name = fresh("async")
    operation = await certificates.create_certificate(name, policy("Unknown"))
    equal((operation.status, (await certificates.get_certificate_operation(name)).csr), ("inProgress", operation.csr))
    with refused(409, "Conflict"):
        await certificates.create_certificate(name, policy())
    equal((await certificates.cancel_certificate_operation(name)).cancellation_requested, True)
    equal((await certificates.get_certificate_operation(name)).status, "cancelled")
    equal((await certificates.delete_certificate_operation(name)).status, "cancelled")
    with refused(404, "PendingCertificateNotFound"):
        await certificates.get_certificate_operation(name)


async def issuer_of_certificates(certificates):
    name = fresh("async")
    await certificates.create_issuer(name, "Test", account_id="account", password="of the account")
    equal((await certificates.get_issuer(name)).account_id, "account")
    assert name in {item.name async for item in certificates.list_properties_of_issuers()}
    equal((await certificates.update_issuer(name, account_id="other")).account_id, "other")
    await certificates.delete_issuer(name)
    with refused(404, "CertificateIssuerNotFound"):
        await certificates.get_issuer(name)

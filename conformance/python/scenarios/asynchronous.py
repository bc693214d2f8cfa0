"""The asynchronous clients: other HTTP code, other token code, the same vault."""

import asyncio

from azure.identity.aio import CertificateCredential, ManagedIdentityCredential
from azure.keyvault.secrets.aio import SecretClient

from .recording import RECORDED
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

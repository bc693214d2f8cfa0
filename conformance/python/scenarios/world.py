"""What the scenarios share: the world they run in, clients for it, and how a refusal is looked at."""

import json
import os
import uuid
from contextlib import contextmanager

from azure.core.exceptions import HttpResponseError
from azure.identity import ManagedIdentityCredential
from azure.keyvault.certificates import CertificateClient
from azure.keyvault.keys import KeyClient
from azure.keyvault.keys.crypto import CryptographyClient
from azure.keyvault.secrets import SecretClient
from recording import RECORDED

with open(os.environ["CONFORMANCE_WORLD"], encoding="utf-8") as file:
    WORLD = json.load(file)

TENANT = WORLD["tenant"]
AUTHORITY = WORLD["authority"]
VAULT_A, VAULT_B = WORLD["vaults"]
# Its keys may be in a token.
PREMIUM = WORLD["premium_vault"]
# Written by the runner before anything starts, so that readers have something to read.
SEEDED_NAME, SEEDED_VALUE = WORLD["seeded_name"], WORLD["seeded_value"]


def vault_url(name=VAULT_A, public=False):
    """The address of a vault: by our own suffix, or by the one that the proxy answers for."""
    return f"https://{name}.{'vault.azure.net' if public else WORLD['vault_suffix']}"


def client(name=VAULT_A, credential=None, public=False):
    """A client as an application would write it, with every check that it makes by itself."""
    return SecretClient(vault_url(name, public), credential or ManagedIdentityCredential(), **RECORDED)


def key_client(name=VAULT_A, **options):
    """The same for keys."""
    return KeyClient(vault_url(name), ManagedIdentityCredential(), **RECORDED, **options)


def certificate_client(name=VAULT_A, **options):
    """The same for certificates."""
    return CertificateClient(vault_url(name), ManagedIdentityCredential(), **RECORDED, **options)


def crypto_client(key):
    """What uses a key: what it can do by itself it does, the rest is asked of the vault."""
    return CryptographyClient(key, ManagedIdentityCredential(), **RECORDED)


def fresh(prefix):
    """A name that no other scenario uses."""
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


def reads_the_seeded_secret(secrets):
    """Reads what the runner wrote, and checks it."""
    equal(secrets.get_secret(SEEDED_NAME).value, SEEDED_VALUE)


def equal(found, expected):
    """Fails with both sides shown."""
    assert found == expected, f"found {found!r}, expected {expected!r}"


@contextmanager
def refused(status, *parts):
    """Expects the block to be refused with `status` and a body that says each of `parts`."""
    try:
        yield
    except HttpResponseError as error:
        said = error.response.text() if error.response is not None else str(error)
        equal(error.status_code, status)
        for part in parts:
            assert part in said, f"`{part}` is not in the refusal: {said}"
        return
    raise AssertionError(f"expected a refusal with {status}, and it was allowed")

"""How a program proves who it is, with the credentials of azure-identity as they are."""

import base64
import json
import os

from azure.core.exceptions import ClientAuthenticationError
from azure.identity import CertificateCredential, DefaultAzureCredential, ManagedIdentityCredential

from .world import AUTHORITY, TENANT, WORLD, client, equal, reads_the_seeded_secret

READER = WORLD["identities"]["reader"]
OFFICER = WORLD["identities"]["officer"]


def managed_identity_app_service():
    assert "IDENTITY_ENDPOINT" in os.environ and "AZURE_POD_IDENTITY_AUTHORITY_HOST" not in os.environ
    reads_the_seeded_secret(client())


def managed_identity_pod_identity():
    assert "IDENTITY_ENDPOINT" not in os.environ and "AZURE_POD_IDENTITY_AUTHORITY_HOST" in os.environ
    reads_the_seeded_secret(client())


def managed_identity_proxy_only():
    assert not {"IDENTITY_ENDPOINT", "IDENTITY_HEADER", "AZURE_POD_IDENTITY_AUTHORITY_HOST"} & set(os.environ)
    reads_the_seeded_secret(client(public=True))


def managed_identity_by_client_id():
    by_client_id = ManagedIdentityCredential(client_id=READER["client_id"])
    reads_the_seeded_secret(client(credential=by_client_id))
    for config in ({"object_id": READER["principal_id"]}, {"resource_id": READER["resource_id"]}):
        reads_the_seeded_secret(client(credential=ManagedIdentityCredential(identity_config=config)))


def managed_identity_of_another_is_refused():
    try:
        ManagedIdentityCredential(client_id=OFFICER["client_id"]).get_token("https://vault.azure.net/.default")
    except ClientAuthenticationError as error:
        print(f"refused: {error.message}")
        return
    raise AssertionError("a token for an identity that this process is not bound to")


def unattested_process_gets_no_token():
    assert "IDENTITY_ENDPOINT" in os.environ
    try:
        ManagedIdentityCredential().get_token("https://vault.azure.net/.default")
    except ClientAuthenticationError as error:
        print(f"refused: {error.message}")
        return
    raise AssertionError("a token for a process that nobody vouches for")


def refusal_says_what_was_seen():
    try:
        ManagedIdentityCredential().get_token("https://vault.azure.net/.default")
    except ClientAuthenticationError as error:
        assert f"uid {os.getuid()}" in error.message, error.message
        return
    raise AssertionError("a token for a process that nobody vouches for")


refusal_says_what_was_seen_app_service = refusal_says_what_was_seen


def default_azure_credential():
    reads_the_seeded_secret(client(credential=DefaultAzureCredential(), public=True))


def token_for_another_audience():
    credential = ManagedIdentityCredential()
    for scope, audiences in (
        ("https://vault.azure.net/.default", {"https://vault.azure.net"}),
        ("https://management.azure.com/.default", {"https://management.azure.com"}),
    ):
        claims = claims_of(credential.get_token(scope).token)
        assert claims["aud"].rstrip("/") in audiences, claims["aud"]
        equal(claims["tid"], TENANT)
        equal(claims["oid"], READER["principal_id"])
        equal(claims["appid"] if "appid" in claims else claims["azp"], READER["client_id"])


def certificate_credential():
    assert "AZURE_AUTHORITY_HOST" not in os.environ
    reads_the_seeded_secret(client(credential=certificate(), public=True))


def certificate_credential_own_authority():
    # Instance discovery cannot know a private authority, so this client's way to one by environment alone is the
    # authority kind without discovery: the tenant called `adfs`.
    equal(os.environ["AZURE_AUTHORITY_HOST"], AUTHORITY)
    credential = CertificateCredential("adfs", WORLD["application_client_id"], WORLD["certificate_pem"])
    reads_the_seeded_secret(client(credential=credential))


def certificate_credential_reuses_its_assertion():
    credential = certificate()
    tokens = {
        credential.get_token(scope).token
        for scope in (
            "https://vault.azure.net/.default",
            "https://management.azure.com/.default",
            "https://graph.microsoft.com/.default",
        )
    }
    equal(len(tokens), 3)


def unregistered_certificate_is_refused():
    credential = certificate(WORLD["unregistered_certificate_pem"])
    try:
        credential.get_token("https://vault.azure.net/.default")
    except ClientAuthenticationError as error:
        assert "AADSTS700027" in error.message, error.message
        return
    raise AssertionError("a token for a certificate that nobody registered")


def certificate(path=WORLD["certificate_pem"]):
    return CertificateCredential(TENANT, WORLD["application_client_id"], path)


def claims_of(token):
    body = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))



"""How `az` is signed in to us: managed identities by every way it knows, and a certificate."""

import base64
import json
import os

from .world import (
    AUTHORITY, FAILED, SEEDED_NAME, SEEDED_VALUE, TENANT, VAULT_A, WORLD, Az, equal, vault_url,
)  # fmt: skip

OFFICER, READER = WORLD["identities"]["officer"], WORLD["identities"]["reader"]


def reads_the_seeded_secret(az):
    equal(az("keyvault secret show -n", SEEDED_NAME, "--vault-name", VAULT_A)["value"], SEEDED_VALUE)


def claims(token):
    body = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))


def az_login_managed_identity():
    az = Az().use_our_cloud()
    cloud = az("cloud show")
    equal((cloud["name"], cloud["endpoints"]["resourceManager"]), ("vouchsafe", AUTHORITY))
    equal("https://x" + cloud["suffixes"]["keyvaultDns"], vault_url("x"))
    (subscription,) = az("login --identity")
    equal((subscription["tenantId"], subscription["state"]), (TENANT, "Enabled"))
    equal(subscription["user"], {"assignedIdentityInfo": "MSI", "name": "systemAssignedIdentity", "type": "servicePrincipal"})
    equal(az("account show")["id"], subscription["id"])
    equal([each["id"] for each in az("account list --refresh")], [subscription["id"]])
    token = az("account get-access-token --resource https://vault.azure.net")
    equal((token["tenant"], token["tokenType"]), (TENANT, "Bearer"))
    found = claims(token["accessToken"])
    equal((found["tid"], found["oid"]), (TENANT, OFFICER["principal_id"]))
    reads_the_seeded_secret(az)
    # The officers' roles also read vaults at Resource Manager.
    assert VAULT_A in [each["name"] for each in az("keyvault list")]
    equal(az("keyvault show -n", VAULT_A)["properties"]["vaultUri"], f"{vault_url()}/")
    az("logout")
    az.refused(FAILED, ["Please run 'az login'"], "keyvault secret show -n", SEEDED_NAME, "--vault-name", VAULT_A)


def az_login_managed_identity_by_id():
    az = Az().use_our_cloud()
    for option, value in (("--client-id", "client_id"), ("--object-id", "principal_id"), ("--resource-id", "resource_id")):
        az("login --identity --allow-no-subscriptions", option, READER[value])
        reads_the_seeded_secret(az)
    az.refused(FAILED, ["identity"], "login --identity --allow-no-subscriptions --client-id", OFFICER["client_id"])


def az_login_pod_identity():
    assert "IDENTITY_ENDPOINT" not in os.environ and "AZURE_POD_IDENTITY_AUTHORITY_HOST" in os.environ
    az = Az().use_our_cloud()
    az("login --identity --allow-no-subscriptions")
    reads_the_seeded_secret(az)


def az_login_proxy_only():
    assert not {"IDENTITY_ENDPOINT", "IDENTITY_HEADER", "AZURE_POD_IDENTITY_AUTHORITY_HOST"} & set(os.environ)
    az = Az()
    equal(az("cloud show")["name"], "AzureCloud")
    az("login --identity --allow-no-subscriptions")
    shown = az("keyvault secret show -n", SEEDED_NAME, "--vault-name", VAULT_A)
    equal((shown["value"], shown["id"].split("/")[2]), (SEEDED_VALUE, f"{VAULT_A}.vault.azure.net"))


def az_login_certificate():
    az = Az().use_our_cloud()
    login = ("login --service-principal --allow-no-subscriptions -u", WORLD["application_client_id"], "--tenant", TENANT)
    az.refused(FAILED, ["AADSTS"], *login, "--certificate", WORLD["unregistered_certificate_pem"])
    az(*login, "--certificate", WORLD["certificate_pem"])
    equal(az("account show")["user"], {"name": WORLD["application_client_id"], "type": "servicePrincipal"})
    reads_the_seeded_secret(az)


def az_login_of_the_unattested_is_refused():
    az = Az().use_our_cloud()
    az.refused(FAILED, ["identity"], "login --identity --allow-no-subscriptions")

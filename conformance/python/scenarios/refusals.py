"""What happens to those who may not, and what they are told."""

from azure.core.exceptions import AzureError, HttpResponseError
from azure.keyvault.secrets import SecretClient
from azure.identity import ManagedIdentityCredential

from .world import SEEDED_NAME, VAULT_A, VAULT_B, WORLD, client, fresh, reads_the_seeded_secret, refused, vault_url


def no_role_names_the_data_action():
    stranger = WORLD["identities"]["stranger"]
    said = (
        "Forbidden",
        "ForbiddenByRbac",
        "Microsoft.KeyVault/vaults/secrets/getSecret/action",
        stranger["client_id"],
        stranger["principal_id"],
        VAULT_A,
    )
    with refused(403, *said):
        client().get_secret(SEEDED_NAME)
    # A name that is not there says no more than one that is.
    with refused(403, *said):
        client().get_secret(fresh("absent"))


def reader_cannot_write():
    secrets = client()
    reads_the_seeded_secret(secrets)
    action = "Microsoft.KeyVault/vaults/secrets/"
    with refused(403, "ForbiddenByRbac", f"{action}setSecret/action"):
        secrets.set_secret(SEEDED_NAME, "other")
    with refused(403, "ForbiddenByRbac", f"{action}delete"):
        secrets.begin_delete_secret(SEEDED_NAME)
    with refused(403, "ForbiddenByRbac", f"{action}backup/action"):
        secrets.backup_secret(SEEDED_NAME)
    with refused(403, "ForbiddenByRbac", f"{action}update/action"):
        secrets.update_secret_properties(SEEDED_NAME, enabled=False)
    with refused(403, "ForbiddenByRbac", f"{action}purge/action"):
        secrets.purge_deleted_secret(SEEDED_NAME)
    with refused(403, "ForbiddenByRbac", f"{action}recover/action"):
        secrets.begin_recover_deleted_secret(SEEDED_NAME)
    reads_the_seeded_secret(secrets)


def role_on_one_vault_is_no_role_on_another():
    reads_the_seeded_secret(client(VAULT_A))
    with refused(403, "ForbiddenByRbac", VAULT_B):
        client(VAULT_B).get_secret(SEEDED_NAME)
    with refused(403, "ForbiddenByRbac", VAULT_B):
        list(client(VAULT_B).list_properties_of_secrets())


def unknown_vault():
    secrets = SecretClient(vault_url("no-such-vault"), ManagedIdentityCredential(), retry_total=0)
    try:
        secrets.get_secret(SEEDED_NAME)
    except HttpResponseError as error:
        assert error.status_code is not None and 400 <= error.status_code < 500, error
    except AzureError as error:
        # Real Azure has no such name in DNS; a refusal by the proxy reads the same to the client.
        print(f"refused: {error}")
    else:
        raise AssertionError("a vault that does not exist answered")

"""What `az` exits with and says when the vault refuses: scripts act on the one, people on the other."""

from .world import ABSENT, FAILED, SEEDED_NAME, USAGE, VAULT_A, VAULT_B, WORLD, signed_in

HERE = ("--vault-name", VAULT_A)


def az_without_a_role():
    az = signed_in()
    forbidden = ["Forbidden", "ForbiddenByRbac", "Assignment: (not found)"]
    az.refused(FAILED, [*forbidden, "secrets/getSecret/action"], "keyvault secret show -n", SEEDED_NAME, *HERE)
    az.refused(FAILED, [*forbidden, "keys/create/action"], "keyvault key create -n new", *HERE)
    az.refused(FAILED, [*forbidden, "certificates/read"], "keyvault certificate list", *HERE)
    # Its exit code is the same for every refusal but the absence of what is shown.
    az.refused(FAILED, ["certificatecas/read"], "keyvault certificate issuer list", *HERE)


def az_reader_cannot_write():
    az = signed_in()
    az("keyvault key show -n", WORLD["seeded_key"], *HERE)
    az.refused(FAILED, ["keys/delete"], "keyvault key delete -n", WORLD["seeded_key"], *HERE)
    az.refused(FAILED, ["secrets/setSecret/action"], "keyvault secret set --value x -n", SEEDED_NAME, *HERE)
    az.refused(FAILED, ["secrets/getSecret/action"], "keyvault secret show -n", SEEDED_NAME, "--vault-name", VAULT_B)


def az_wrong_names():
    az = signed_in()
    az.refused(ABSENT, ["KeyNotFound", "nothing-here"], "keyvault key show -n nothing-here", *HERE)
    az.refused(ABSENT, ["CertificateNotFound", "nothing-here"], "keyvault certificate show -n nothing-here", *HERE)
    az.refused(FAILED, ["BadParameter"], "keyvault key create --kty EC -n", "no_such_name", *HERE)
    az.refused(ABSENT, ["VaultNotFound", "no-such-vault"], "keyvault secret show -n x --vault-name no-such-vault")
    az.refused(USAGE, ["unrecognized arguments"], "keyvault certificate list --nothing", *HERE)

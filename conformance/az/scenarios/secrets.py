"""The commands of `az keyvault secret`."""

from .world import ABSENT, FAILED, VAULT_A, VAULT_B, equal, fresh, names, scratch, signed_in, vault_url


def az_secret_life():
    az, name = signed_in(), fresh("secret")
    here = ("--vault-name", VAULT_A)
    first = az("keyvault secret set --value first -n", name, *here, "--tags", "a=b", "--content-type", "text/plain")
    equal((first["value"], first["tags"]), ("first", {"a": "b", "file-encoding": "utf-8"}))
    file = scratch("value")
    file.write_bytes(bytes(range(256)))
    second = az("keyvault secret set --encoding base64 -n", name, *here, "--file", file)
    equal(az("keyvault secret show --id", first["id"])["value"], "first")
    equal(az("keyvault secret show -n", name, *here)["id"], second["id"])
    versions = az("keyvault secret list-versions -n", name, *here)
    equal(set(names(versions)), set(names([first, second])))
    assert name in names(az("keyvault secret list", *here))
    out = scratch("out")
    az("keyvault secret download -n", name, *here, "--file", out)
    equal(out.read_bytes(), file.read_bytes())
    dated = az("keyvault secret set-attributes --expires 2031-02-03T04:05:06Z -n", name, *here, "--content-type", "x")
    equal((dated["attributes"]["expires"], dated["contentType"]), ("2031-02-03T04:05:06+00:00", "x"))
    backup = scratch("backup")
    az("keyvault secret backup -n", name, *here, "--file", backup)
    restored = az("keyvault secret restore --vault-name", VAULT_B, "--file", backup)
    equal(restored["id"].rsplit("/", 1)[0], f"{vault_url(VAULT_B)}/secrets/{name}")


def az_secret_delete_and_recover():
    az, name = signed_in(), fresh("secret")
    which = ("-n", name, "--vault-name", VAULT_A)
    az("keyvault secret set --value gone", *which)
    equal(az("keyvault secret delete", *which)["recoveryId"], f"{vault_url()}/deletedsecrets/{name}")
    az.refused(ABSENT, ["SecretNotFound"], "keyvault secret show", *which)
    assert name in names(az("keyvault secret list-deleted --vault-name", VAULT_A))
    az("keyvault secret show-deleted", *which)
    az("keyvault secret recover", *which)
    equal(az("keyvault secret show", *which)["value"], "gone")
    az("keyvault secret delete", *which)
    az("keyvault secret purge", *which)
    az.refused(FAILED, ["SecretNotFound"], "keyvault secret show-deleted", *which)

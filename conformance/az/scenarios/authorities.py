"""Who signs and who is told, told in the commands of `az keyvault certificate issuer` and `contact`."""

from cryptography import x509

from .certificates import downloaded, policy
from .world import ABSENT, FAILED, VAULT_A, VAULT_B, equal, fresh, names, signed_in

HERE = ("--vault-name", VAULT_A)


def az_certificate_issuers():
    az, name = signed_in(), fresh("issuer")
    which = ("--issuer-name", name, *HERE)
    made = az(
        "keyvault certificate issuer create --provider-name DigiCert --account-id us --password hidden"
        " --organization-id 7",
        *which,
    )
    equal((made["provider"], made["credentials"]["accountId"]), ("DigiCert", "us"))
    assert "hidden" not in str(made), "a password is shown"
    person = ("--email", "ada@example.org", "--first-name", "Ada", "--last-name", "L", "--phone", "1")
    az("keyvault certificate issuer admin add", *which, *person)
    (admin,) = az("keyvault certificate issuer admin list", *which)
    equal(admin, {"emailAddress": "ada@example.org", "firstName": "Ada", "lastName": "L", "phone": "1"})
    az.refused(FAILED, ["already exists"], "keyvault certificate issuer admin add", *which, *person)
    az("keyvault certificate issuer update --enabled false --account-id others", *which)
    shown = az("keyvault certificate issuer show", *which)
    equal((shown["credentials"]["accountId"], shown["attributes"]["enabled"]), ("others", False))
    equal(len(shown["organizationDetails"]["adminDetails"]), 1)
    assert name in names(az("keyvault certificate issuer list", *HERE))
    az("keyvault certificate issuer admin delete --email ada@example.org", *which)
    az("keyvault certificate issuer delete", *which)
    az.refused(ABSENT, ["CertificateIssuerNotFound"], "keyvault certificate issuer show", *which)


def az_certificate_private_authority():
    az, name, issuer = signed_in(), fresh("leaf"), fresh("authority")
    # Which names it may certify, and for how long, is what the account says.
    rules = ("--account-id", "conformance.example days:120")
    az("keyvault certificate issuer create --provider-name Vouchsafe --issuer-name", issuer, *HERE, *rules)
    made = az("keyvault certificate create -n", name, *HERE, "--policy", policy(issuer=issuer))
    equal((made["status"], made["error"]), ("completed", None))
    found = downloaded(az, name)
    assert found.issuer != found.subject, found
    access = found.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    assert any("/ocsp" in each.access_location.value for each in access), access


def az_certificate_contacts():
    # The contacts are the vault's, so this scenario has those of a vault for itself.
    az, here = signed_in(), ("--vault-name", VAULT_B)
    added = az("keyvault certificate contact add --email ada@example.org --name Ada --phone 1", *here)
    equal([each["emailAddress"] for each in added["contactList"]], ["ada@example.org"])
    az("keyvault certificate contact add --email bob@example.org", *here)
    listed = az("keyvault certificate contact list", *here)
    equal({each["emailAddress"] for each in listed["contactList"]}, {"ada@example.org", "bob@example.org"})
    az.refused(FAILED, ["already exists"], "keyvault certificate contact add --email bob@example.org", *here)
    az("keyvault certificate contact delete --email ada@example.org", *here)
    az("keyvault certificate contact delete --email bob@example.org", *here)

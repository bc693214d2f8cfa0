"""What happens to those who may use keys and not change them, or not even that."""

from azure.keyvault.keys import KeyRotationPolicy
from azure.keyvault.keys.crypto import SignatureAlgorithm

from cryptography.hazmat.primitives.asymmetric import ec

from .cryptography_of_keys import DIGESTS
from .keys import ec_key
from .world import WORLD, crypto_client, fresh, key_client, refused

ACTION = "Microsoft.KeyVault/vaults/keys/"
NAME = WORLD["seeded_key"]


def key_user_cannot_change_keys():
    keys = key_client()
    key = keys.get_key(NAME)
    crypto = crypto_client(key)
    signature = crypto.sign(SignatureAlgorithm.es256, DIGESTS["sha256"]).signature
    assert crypto.verify(SignatureAlgorithm.es256, DIGESTS["sha256"], signature).is_valid
    for action, attempt in (
        ("create/action", lambda: keys.create_ec_key(fresh("refused"))),
        ("import/action", lambda: keys.import_key(fresh("refused"), ec_key(ec.SECP256R1(), "P-256"))),
        ("delete", lambda: keys.begin_delete_key(NAME)),
        ("purge/action", lambda: keys.purge_deleted_key(NAME)),
        ("recover/action", lambda: keys.begin_recover_deleted_key(NAME)),
        ("rotate/action", lambda: keys.rotate_key(NAME)),
    ):
        with refused(403, "ForbiddenByRbac", ACTION + action):
            attempt()
    with refused(403, "ForbiddenByRbac", "Microsoft.KeyVault/vaults/keyrotationpolicies/write"):
        keys.update_key_rotation_policy(NAME, KeyRotationPolicy(), expires_in="P90D")


def key_without_a_role():
    stranger, keys = WORLD["identities"]["stranger"], key_client()
    said = ("Forbidden", "ForbiddenByRbac", f"{ACTION}read", stranger["client_id"], stranger["principal_id"])
    for name in (NAME, fresh("absent")):
        with refused(403, *said):
            keys.get_key(name)
    crypto = crypto_client(f"{keys.vault_url}/keys/{NAME}")
    with refused(403, "ForbiddenByRbac", f"{ACTION}sign/action"):
        crypto.sign(SignatureAlgorithm.es256, DIGESTS["sha256"])

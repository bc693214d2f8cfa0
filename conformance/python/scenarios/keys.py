"""The life of keys, through azure-keyvault-keys as it is."""

from datetime import datetime, timedelta, timezone

from azure.core.exceptions import ResourceNotFoundError
from azure.keyvault.keys import (
    ApiVersion,
    JsonWebKey,
    KeyCurveName,
    KeyOperation,
    KeyRotationLifetimeAction,
    KeyRotationPolicy,
    KeyRotationPolicyAction,
    KeyType,
)
from azure.keyvault.keys.crypto import SignatureAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from .cryptography_of_keys import DIGESTS, verified_elsewhere
from .world import PREMIUM, VAULT_A, VAULT_B, crypto_client, equal, fresh, key_client, refused, vault_url

NOW = datetime.now(timezone.utc).replace(microsecond=0)
ABSENT = "0" * 32
FIELD_BYTES = {"P-256": 32, "P-384": 48, "P-521": 66, "P-256K": 32}


def key_create_rsa():
    keys = key_client()
    for size in (2048, 3072, 4096):
        name = fresh("rsa")
        key = keys.create_rsa_key(name, size=size)
        equal((key.name, key.key_type, int.from_bytes(key.key.n).bit_length()), (name, KeyType.rsa, size))
        equal(bytes(key.key.e).lstrip(b"\0"), b"\x01\x00\x01")
        assert key.id == f"{vault_url()}/keys/{name}/{key.properties.version}", key.id
        assert key.key.d is None and key.key.p is None and key.key.k is None, "a private part is shown"
        wanted = {"encrypt", "decrypt", "sign", "verify", "wrapKey", "unwrapKey"}
        equal({str(getattr(o, "value", o)) for o in key.key_operations}, wanted)
        read = keys.get_key(name)
        equal((read.id, read.key.n), (key.id, key.key.n))
        equal(read.properties.enabled, True)
        assert abs(read.properties.created_on - NOW) < timedelta(minutes=5), read.properties.created_on
        assert read.properties.recovery_level and 7 <= read.properties.recoverable_days <= 90


def key_create_with_nothing_said():
    keys = key_client()
    equal(int.from_bytes(keys.create_rsa_key(fresh("plain")).key.n).bit_length(), 2048)
    equal(keys.create_ec_key(fresh("plain")).key.crv, KeyCurveName.p_256)


def key_create_ec():
    keys = key_client()
    for curve in KeyCurveName:
        key = keys.create_ec_key(fresh("ec"), curve=curve)
        equal((key.key_type, key.key.crv), (KeyType.ec, curve))
        field = FIELD_BYTES[curve.value]
        equal((len(key.key.x), len(key.key.y), key.key.d), (field, field, None))
        equal({str(getattr(o, "value", o)) for o in key.key_operations}, {"sign", "verify"})


def key_create_symmetric():
    keys = key_client()
    for size in (128, 192, 256):
        key = keys.create_oct_key(fresh("oct"), size=size)
        equal((key.key_type, key.key.k), (KeyType.oct, None))


def key_create_of_a_wrong_size_is_refused():
    keys = key_client()
    for size in (1024, 2047, 8192):
        with refused(400, "BadParameter"):
            keys.create_rsa_key(fresh("size"), size=size)
    with refused(400, "BadParameter"):
        keys.create_oct_key(fresh("size"), size=64)


def key_of_an_hsm_in_a_standard_vault_is_refused():
    keys = key_client()
    with refused(400, "BadParameter"):
        keys.create_rsa_key(fresh("hsm"), size=2048, hardware_protected=True)
    with refused(400, "BadParameter"):
        keys.create_ec_key(fresh("hsm"), curve=KeyCurveName.p_256, hardware_protected=True)


def key_attributes():
    wanted = {
        "enabled": False,
        "not_before": NOW - timedelta(days=1),
        "expires_on": NOW + timedelta(days=30),
        "tags": {"owner": "team one", "empty": "", "ümlaut": "ja"},
    }
    keys, name = key_client(), fresh("attributes")
    keys.create_ec_key(name, key_operations=[KeyOperation.sign], **wanted)
    read = keys.get_key(name)
    for field, value in wanted.items():
        equal(getattr(read.properties, field), value)
    equal(list(read.key_operations), [KeyOperation.sign])


def key_import():
    keys = key_client()
    own = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private, public = own.private_numbers(), own.public_key().public_numbers()
    numbers = {"n": public.n, "e": public.e, "d": private.d, "p": private.p, "q": private.q}
    numbers |= {"dp": private.dmp1, "dq": private.dmq1, "qi": private.iqmp}
    jwk = JsonWebKey(kty="RSA", key_ops=["sign", "verify"], **{name: as_bytes(n) for name, n in numbers.items()})
    imported = keys.import_key(fresh("imported"), jwk, tags={"from": "outside"})
    equal((imported.key.n, imported.key.d, imported.properties.tags), (as_bytes(public.n), None, {"from": "outside"}))
    signed = crypto_client(imported).sign(SignatureAlgorithm.rs256, DIGESTS["sha256"])
    verified_elsewhere(imported.key, "RS256", "sha256", signed.signature)

    own = ec_key(ec.SECP384R1(), "P-384")
    imported = keys.import_key(fresh("imported"), own)
    equal((imported.key.x, imported.key.y), (own.x, own.y))
    signed = crypto_client(imported).sign(SignatureAlgorithm.es384, DIGESTS["sha384"])
    verified_elsewhere(imported.key, "ES384", "sha384", signed.signature)


def ec_key(curve, name):
    """A key made here, in the shape that is imported."""
    own = ec.generate_private_key(curve)
    public, field = own.public_key().public_numbers(), FIELD_BYTES[name]
    parts = {"x": public.x, "y": public.y, "d": own.private_numbers().private_value}
    parts = {part: number.to_bytes(field) for part, number in parts.items()}
    return JsonWebKey(kty="EC", crv=name, key_ops=["sign"], **parts)


def as_bytes(number):
    return number.to_bytes((number.bit_length() + 7) // 8)


def key_import_of_a_broken_key_is_refused():
    broken = ec_key(ec.SECP256R1(), "P-256")
    broken.d = ec_key(ec.SECP256R1(), "P-256").d
    with refused(400, "BadParameter"):
        key_client().import_key(fresh("broken"), broken)


def key_versions():
    keys, name = key_client(), fresh("versions")
    made = [keys.create_ec_key(name) for _ in range(3)]
    versions = [key.properties.version for key in made]
    equal(len(set(versions)), 3)
    for key in made:
        equal(keys.get_key(name, key.properties.version).key.x, key.key.x)
    equal(keys.get_key(name).properties.version, versions[-1])
    listed = list(keys.list_properties_of_key_versions(name))
    equal((sorted(item.version for item in listed), {item.name for item in listed}), (sorted(versions), {name}))


def key_update():
    keys, name = key_client(), fresh("update")
    made = keys.create_rsa_key(name, size=2048, tags={"a": "1"})
    expires = NOW + timedelta(days=2)
    changed = keys.update_key_properties(
        name, made.properties.version, key_operations=["encrypt"], tags={"b": "2"}, expires_on=expires
    )
    equal((list(changed.key_operations), changed.properties.tags), ([KeyOperation.encrypt], {"b": "2"}))
    equal((changed.properties.expires_on, changed.key.n), (expires, made.key.n))
    assert changed.properties.updated_on >= made.properties.updated_on
    # Without a version the newest is meant, and what is not said stays.
    again = keys.update_key_properties(name, enabled=False)
    equal((again.properties.enabled, again.properties.tags, again.properties.expires_on), (False, {"b": "2"}, expires))


def key_update_keeps_operations():
    keys, name = key_client(), fresh("keeps")
    keys.create_ec_key(name, key_operations=["sign"])
    equal(list(keys.update_key_properties(name, tags={"b": "2"}).key_operations), [KeyOperation.sign])


def key_list_over_pages():
    keys, prefix = key_client(VAULT_B), fresh("page")
    names = {f"{prefix}-{number:02}" for number in range(28)}
    for name in sorted(names):
        keys.create_ec_key(name, tags={"n": name[-2:]})
    pages = [list(page) for page in keys.list_properties_of_keys().by_page()]
    assert len(pages) >= 2 and max(map(len, pages)) <= 25, [len(page) for page in pages]
    listed = [item for page in pages for item in page if item.name.startswith(prefix)]
    equal(sorted(item.name for item in listed), sorted(names))
    assert all(item.tags == {"n": item.name[-2:]} and not item.version for item in listed)


def key_not_found():
    keys, name = key_client(), fresh("absent")
    for read in (
        lambda: keys.get_key(name),
        lambda: keys.get_deleted_key(name),
        lambda: keys.begin_delete_key(name),
        lambda: keys.update_key_properties(name, ABSENT, enabled=False),
        lambda: keys.rotate_key(name),
    ):
        with refused(404, "KeyNotFound"):
            read()
    keys.create_ec_key(name)
    with refused(404, "KeyNotFound"):
        keys.get_key(name, ABSENT)


def key_delete_and_recover():
    keys, name = key_client(), fresh("recover")
    first = keys.create_ec_key(name)
    second = keys.create_ec_key(name, tags={"k": "v"})
    deletion = keys.begin_delete_key(name)
    deletion.wait()
    deleted = deletion.result()
    equal((deleted.name, deleted.recovery_id), (name, f"{vault_url()}/deletedkeys/{name}"))
    assert deleted.scheduled_purge_date > deleted.deleted_date
    for version in (None, first.properties.version):
        with refused(404, "KeyNotFound"):
            keys.get_key(name, version)
    with refused(404, "KeyNotFound"):
        crypto_client(second).sign(SignatureAlgorithm.es256, DIGESTS["sha256"])
    assert name not in {item.name for item in keys.list_properties_of_keys()}
    assert name in {item.name for item in keys.list_deleted_keys()}
    equal(keys.get_deleted_key(name).properties.tags, {"k": "v"})
    keys.begin_recover_deleted_key(name).wait()
    equal(keys.get_key(name).key.x, second.key.x)
    equal(keys.get_key(name, first.properties.version).key.x, first.key.x)
    signed = crypto_client(second).sign(SignatureAlgorithm.es256, DIGESTS["sha256"])
    verified_elsewhere(second.key, "ES256", "sha256", signed.signature)


def key_purge():
    keys, name = key_client(), fresh("purge")
    old = keys.create_ec_key(name)
    keys.begin_delete_key(name).wait()
    keys.purge_deleted_key(name)
    for gone in (keys.get_deleted_key, keys.purge_deleted_key):
        with refused(404, "KeyNotFound"):
            gone(name)
    made = keys.create_ec_key(name)
    assert made.key.x != old.key.x
    equal([item.version for item in keys.list_properties_of_key_versions(name)], [made.properties.version])


def key_name_of_a_deleted_one_is_taken():
    keys, name = key_client(), fresh("taken")
    keys.create_ec_key(name)
    keys.begin_delete_key(name).wait()
    with refused(409, "Conflict", "ObjectIsDeletedButRecoverable"):
        keys.create_ec_key(name)


def key_backup_and_restore():
    here, there, name = key_client(VAULT_A), key_client(VAULT_B), fresh("backup")
    first = here.create_rsa_key(name, size=2048, tags={"a": "b"})
    second = here.create_rsa_key(name, size=2048)
    backup = here.backup_key(name)
    restored = there.restore_key_backup(backup)
    equal((restored.name, restored.properties.vault_url), (name, vault_url(VAULT_B)))
    equal(there.get_key(name).key.n, second.key.n)
    old = there.get_key(name, first.properties.version)
    equal((old.key.n, old.properties.tags), (first.key.n, {"a": "b"}))
    # The private half came with it.
    signed = crypto_client(old).sign(SignatureAlgorithm.ps256, DIGESTS["sha256"])
    verified_elsewhere(first.key, "PS256", "sha256", signed.signature)
    with refused(409, "Conflict"):
        there.restore_key_backup(backup)


def key_damaged_backup_is_refused():
    here, there, name = key_client(VAULT_A), key_client(VAULT_B), fresh("damaged")
    here.create_ec_key(name)
    backup = bytearray(here.backup_key(name))
    backup[len(backup) // 2] ^= 1
    for damaged in (bytes(backup), b"", b"not a backup at all"):
        with refused(400, "BadParameter"):
            there.restore_key_backup(damaged)
    try:
        there.get_key(name)
    except ResourceNotFoundError:
        return
    raise AssertionError("a damaged backup restored something")


def key_rotate():
    keys, name = key_client(), fresh("rotate")
    first = keys.create_rsa_key(name, size=3072, key_operations=["sign", "verify"], tags={"kept": "yes"})
    second = keys.rotate_key(name)
    assert second.properties.version != first.properties.version and second.key.n != first.key.n
    equal(int.from_bytes(second.key.n).bit_length(), 3072)
    equal((list(second.key_operations), second.properties.tags), (list(first.key_operations), {"kept": "yes"}))
    equal(keys.get_key(name).id, second.id)
    signed = crypto_client(first).sign(SignatureAlgorithm.rs256, DIGESTS["sha256"])
    verified_elsewhere(first.key, "RS256", "sha256", signed.signature)


def key_rotation_policy():
    keys, name = key_client(), fresh("policy")
    keys.create_rsa_key(name, size=2048)
    equal([action.action for action in keys.get_key_rotation_policy(name).lifetime_actions], ["Notify"])
    actions = [
        KeyRotationLifetimeAction(KeyRotationPolicyAction.rotate, time_after_create="P30D"),
        KeyRotationLifetimeAction(KeyRotationPolicyAction.notify, time_before_expiry="P30D"),
    ]
    written = keys.update_key_rotation_policy(name, KeyRotationPolicy(), lifetime_actions=actions, expires_in="P90D")
    read = keys.get_key_rotation_policy(name)
    for policy in (written, read):
        equal(policy.expires_in, "P90D")
        found = {action.action.lower(): action for action in policy.lifetime_actions}
        equal((found["rotate"].time_after_create, found["rotate"].time_before_expiry), ("P30D", None))
        equal((found["notify"].time_after_create, found["notify"].time_before_expiry), (None, "P30D"))
    # A key made now expires when the policy says.
    rotated = keys.rotate_key(name)
    lifetime = rotated.properties.expires_on - rotated.properties.created_on
    assert abs(lifetime - timedelta(days=90)) < timedelta(minutes=1), lifetime
    with refused(400, "BadParameter"):
        keys.update_key_rotation_policy(name, KeyRotationPolicy(), lifetime_actions=actions, expires_in="P1D")


def key_random_bytes():
    for keys in (key_client(), key_client(PREMIUM)):
        for count in (1, 32, 128):
            equal(len(keys.get_random_bytes(count)), count)
        assert keys.get_random_bytes(32) != keys.get_random_bytes(32)
        with refused(400, "BadParameter"):
            keys.get_random_bytes(129)


def key_reached_by_every_api_version():
    name = fresh("api")
    made = key_client().create_ec_key(name)
    for api_version in ApiVersion:
        equal(key_client(api_version=api_version).get_key(name).key.x, made.key.x)

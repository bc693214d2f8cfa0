"""Every operation on secrets, through azure-keyvault-secrets as it is."""

from datetime import datetime, timedelta, timezone

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError

from .world import VAULT_A, VAULT_B, client, equal, fresh, refused, vault_url

NOW = datetime.now(timezone.utc).replace(microsecond=0)


def secret_set_and_get():
    name = fresh("plain")
    written = client().set_secret(name, "a first value")
    equal(written.value, "a first value")
    equal(written.name, name)
    assert written.id.startswith(f"{vault_url()}/secrets/{name}/"), written.id
    read = client().get_secret(name)
    equal((read.value, read.id, read.properties.version), ("a first value", written.id, written.properties.version))
    equal(read.properties.vault_url, vault_url())
    equal(read.properties.enabled, True)
    assert abs(read.properties.created_on - NOW) < timedelta(minutes=5), read.properties.created_on
    assert read.properties.recovery_level, "a vault says how it recovers"
    assert 7 <= read.properties.recoverable_days <= 90, read.properties.recoverable_days


def secret_attributes():
    secrets = client()
    wanted = {
        "content_type": "text/plain; charset=utf-8",
        "tags": {"owner": "team one", "empty": "", "ümlaut": "ja"},
        "enabled": True,
        "not_before": NOW - timedelta(days=1),
        "expires_on": NOW + timedelta(days=30),
    }
    name = fresh("attributes")
    secrets.set_secret(name, "v", **wanted)
    properties = secrets.get_secret(name).properties
    for field, value in wanted.items():
        equal(getattr(properties, field), value)


def secret_odd_values():
    secrets = client()
    for value in ("", "two\r\nlines\n", '"quoted" \\ and {"json": [1]}', "пароль 秘密 🔑", "x" * 25_000, " padded "):
        name = fresh("odd")
        secrets.set_secret(name, value)
        equal(secrets.get_secret(name).value, value)


def secret_too_long_is_refused():
    with refused(400, "BadParameter"):
        client().set_secret(fresh("long"), "x" * 25_601)


def secret_versions():
    secrets = client()
    name = fresh("versions")
    written = [secrets.set_secret(name, f"value {number}") for number in range(4)]
    versions = [secret.properties.version for secret in written]
    equal(len(set(versions)), 4)
    for version, number in zip(versions, range(4)):
        assert len(version) == 32 and set(version) <= set("0123456789abcdef"), version
        equal(secrets.get_secret(name, version).value, f"value {number}")
    equal(secrets.get_secret(name).properties.version, versions[-1])
    listed = list(secrets.list_properties_of_secret_versions(name))
    equal(sorted(item.version for item in listed), sorted(versions))
    equal({item.name for item in listed}, {name})


def secret_update():
    secrets = client()
    name = fresh("update")
    first = secrets.set_secret(name, "kept", tags={"a": "1"})
    changed = secrets.update_secret_properties(
        name, first.properties.version, tags={"b": "2"}, content_type="x/y", expires_on=NOW + timedelta(days=1)
    )
    equal((changed.tags, changed.content_type, changed.version), ({"b": "2"}, "x/y", first.properties.version))
    assert changed.updated_on >= first.properties.updated_on
    # Without a version the newest is meant, and what is not said stays.
    again = secrets.update_secret_properties(name, enabled=True)
    equal((again.tags, again.content_type), ({"b": "2"}, "x/y"))
    read = secrets.get_secret(name)
    equal((read.value, read.properties.tags, read.properties.expires_on), ("kept", {"b": "2"}, NOW + timedelta(days=1)))


def secret_list_over_pages():
    secrets = client(VAULT_B)
    prefix = fresh("page")
    names = {f"{prefix}-{number:02}" for number in range(63)}
    for name in sorted(names):
        secrets.set_secret(name, "listed", tags={"n": name[-2:]})
    pages = [list(page) for page in secrets.list_properties_of_secrets().by_page()]
    assert len(pages) >= 3 and max(map(len, pages)) <= 25, [len(page) for page in pages]
    listed = [item for page in pages for item in page if item.name.startswith(prefix)]
    equal(sorted(item.name for item in listed), sorted(names))
    assert all(item.tags == {"n": item.name[-2:]} and item.version is None for item in listed)
    small = [len(list(page)) for page in secrets.list_properties_of_secrets(max_page_size=7).by_page()]
    assert max(small) <= 7 and sum(small) >= 63, small


def secret_not_found():
    secrets = client()
    name = fresh("absent")
    for read in (
        lambda: secrets.get_secret(name),
        lambda: secrets.get_deleted_secret(name),
        lambda: secrets.begin_delete_secret(name),
        lambda: secrets.update_secret_properties(name, "0" * 32, enabled=False),
    ):
        with refused(404, "SecretNotFound"):
            read()
    secrets.set_secret(name, "now it is")
    with refused(404, "SecretNotFound"):
        secrets.get_secret(name, "0" * 32)


def secret_delete_and_recover():
    secrets = client()
    name = fresh("recover")
    first = secrets.set_secret(name, "one")
    secrets.set_secret(name, "two", tags={"k": "v"})
    deletion = secrets.begin_delete_secret(name)
    deletion.wait()
    deleted = deletion.result()
    equal(deleted.name, name)
    assert deleted.recovery_id == f"{vault_url()}/deletedsecrets/{name}", deleted.recovery_id
    assert deleted.scheduled_purge_date > deleted.deleted_date
    with refused(404, "SecretNotFound"):
        secrets.get_secret(name)
    with refused(404, "SecretNotFound"):
        secrets.get_secret(name, first.properties.version)
    assert name not in {item.name for item in secrets.list_properties_of_secrets()}
    assert name in {item.name for item in secrets.list_deleted_secrets()}
    equal(secrets.get_deleted_secret(name).properties.tags, {"k": "v"})
    recovery = secrets.begin_recover_deleted_secret(name)
    recovery.wait()
    equal(secrets.get_secret(name).value, "two")
    equal(secrets.get_secret(name, first.properties.version).value, "one")
    assert name not in {item.name for item in secrets.list_deleted_secrets()}


def secret_purge():
    secrets = client()
    name = fresh("purge")
    first = secrets.set_secret(name, "gone soon")
    secrets.begin_delete_secret(name).wait()
    secrets.purge_deleted_secret(name)
    with refused(404, "SecretNotFound"):
        secrets.get_deleted_secret(name)
    with refused(404, "SecretNotFound"):
        secrets.purge_deleted_secret(name)
    again = secrets.set_secret(name, "a new life")
    assert again.properties.version != first.properties.version
    equal([item.version for item in secrets.list_properties_of_secret_versions(name)], [again.properties.version])
    with refused(404, "SecretNotFound"):
        secrets.get_secret(name, first.properties.version)


def secret_deleted_list_over_pages():
    secrets = client(VAULT_B)
    prefix = fresh("gone")
    names = {f"{prefix}-{number:02}" for number in range(28)}
    for name in sorted(names):
        secrets.set_secret(name, "x")
        secrets.begin_delete_secret(name)
    pages = [list(page) for page in secrets.list_deleted_secrets().by_page()]
    assert len(pages) >= 2, [len(page) for page in pages]
    equal({item.name for page in pages for item in page if item.name.startswith(prefix)}, names)


def secret_name_of_a_deleted_one_is_taken():
    secrets = client()
    name = fresh("taken")
    secrets.set_secret(name, "first")
    secrets.begin_delete_secret(name).wait()
    with refused(409, "Conflict", "ObjectIsDeletedButRecoverable"):
        secrets.set_secret(name, "second")
    try:
        secrets.set_secret(name, "second")
    except ResourceExistsError:
        pass
    secrets.begin_recover_deleted_secret(name).wait()
    equal(secrets.get_secret(name).value, "first")


def secret_backup_and_restore():
    here, there = client(VAULT_A), client(VAULT_B)
    name = fresh("backup")
    first = here.set_secret(name, "one", tags={"a": "b"}, content_type="c/d")
    second = here.set_secret(name, "two", expires_on=NOW + timedelta(days=9))
    backup = here.backup_secret(name)
    assert b"one" not in backup and b"two" not in backup, "a backup shows nothing"
    restored = there.restore_secret_backup(backup)
    equal((restored.name, restored.vault_url), (name, vault_url(VAULT_B)))
    equal(there.get_secret(name).value, "two")
    equal(there.get_secret(name).properties.expires_on, NOW + timedelta(days=9))
    old = there.get_secret(name, first.properties.version)
    equal((old.value, old.properties.tags, old.properties.content_type), ("one", {"a": "b"}, "c/d"))
    equal(
        {item.version for item in there.list_properties_of_secret_versions(name)},
        {first.properties.version, second.properties.version},
    )
    equal(here.get_secret(name).value, "two")


def secret_restore_onto_itself_is_refused():
    secrets = client()
    name = fresh("again")
    secrets.set_secret(name, "here")
    backup = secrets.backup_secret(name)
    with refused(409, "Conflict"):
        secrets.restore_secret_backup(backup)
    secrets.begin_delete_secret(name).wait()
    secrets.purge_deleted_secret(name)
    secrets.restore_secret_backup(backup)
    equal(secrets.get_secret(name).value, "here")


def secret_damaged_backup_is_refused():
    here, there = client(VAULT_A), client(VAULT_B)
    name = fresh("damaged")
    here.set_secret(name, "whole")
    backup = bytearray(here.backup_secret(name))
    backup[len(backup) // 2] ^= 1
    for damaged in (bytes(backup), b"", b"not a backup at all"):
        with refused(400, "BadParameter"):
            there.restore_secret_backup(damaged)
    try:
        there.get_secret(name)
    except ResourceNotFoundError:
        return
    raise AssertionError("a damaged backup restored something")


def secret_disabled_cannot_be_read():
    secrets = client()
    name = fresh("disabled")
    written = secrets.set_secret(name, "hidden", enabled=False)
    with refused(403, "Forbidden", "SecretDisabled"):
        secrets.get_secret(name)
    with refused(403, "Forbidden", "SecretDisabled"):
        secrets.get_secret(name, written.properties.version)
    listed = {item.name: item.enabled for item in secrets.list_properties_of_secrets()}
    equal(listed[name], False)
    secrets.update_secret_properties(name, enabled=True)
    equal(secrets.get_secret(name).value, "hidden")


def secret_outside_its_dates_can_be_read():
    secrets = client()
    for dates in ({"expires_on": NOW - timedelta(days=1)}, {"not_before": NOW + timedelta(days=1)}):
        name = fresh("dates")
        secrets.set_secret(name, "still there", **dates)
        equal(secrets.get_secret(name).value, "still there")

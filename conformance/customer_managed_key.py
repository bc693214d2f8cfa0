"""Proves examples/customer-managed-key with a PostgreSQL and a server of its own.

Rows are sealed under a key that never leaves the vault; the identity that does it may wrap and unwrap and nothing
else. The key is rotated and the old rows stay readable, before and after their keys are wrapped anew; the key is
disabled and no row can be read; a row moved to another name does not open; the data directory holds no plaintext.

Environment: VOUCHSAFE_BINARY, CUSTOMER_MANAGED_KEY (the example's program).
"""

import os
import pwd
import secrets
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from run import BINARY, HERE, TARGET, Server

PROGRAM = os.environ.get("CUSTOMER_MANAGED_KEY", str(TARGET / "debug" / "customer-managed-key"))
WORLD = """
vaults:
  - name: customer
identities:
  - name: application
  - name: custodian
role_assignments:
  - identity: application
    role: Key Vault Crypto Service Encryption User
    scope: { vault: customer }
  - identity: custodian
    role: Key Vault Crypto Officer
    scope: { vault: customer }
"""
KEY = "rows"
READY_SECONDS = 30


class Database:
    """A PostgreSQL cluster in a temporary directory, reached by a Unix socket only."""

    def __init__(self, directory):
        self.directory = directory / "postgresql"
        self.sockets = directory / "sockets"
        found = shutil.which("initdb") or next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))), None)
        if not found:
            sys.exit("PostgreSQL is not installed (Debian: postgresql)")
        self.programs = Path(found).resolve().parent
        # PostgreSQL refuses to run as root.
        self.user = "postgres" if os.getuid() == 0 else None

    def command(self, program, *arguments):
        return [str(self.programs / program), *arguments]

    def __enter__(self):
        for directory in (self.directory, self.sockets):
            directory.mkdir()
            if self.user:
                shutil.chown(directory, self.user, self.user)
                directory.parent.chmod(0o755)
        self.run("initdb", "--auth=trust", "--username=postgres", "--no-sync", "-D", str(self.directory))
        options = f"-c listen_addresses='' -c unix_socket_directories={self.sockets} -c fsync=off"
        log = str(self.directory / "log")
        self.run("pg_ctl", "start", "-w", "-t", str(READY_SECONDS), "-D", str(self.directory), "-l", log, "-o", options)
        return self

    def __exit__(self, *_):
        self.run("pg_ctl", "stop", "-m", "immediate", "-D", str(self.directory))

    def run(self, program, *arguments):
        done = subprocess.run(
            self.command(program, *arguments), user=self.user, cwd="/", timeout=60, check=False,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )
        if done.returncode != 0:
            sys.exit(f"`{program}` failed:\n{done.stdout.decode(errors='replace')}")

    def query(self, text):
        command = self.command("psql", "-h", str(self.sockets), "-U", "postgres", "-At", "-v", "ON_ERROR_STOP=1", "-c", text)
        return subprocess.run(command, capture_output=True, timeout=30, check=True, text=True).stdout.strip()

    @property
    def address(self):
        return f"host={self.sockets} user=postgres dbname=postgres"


def main():
    if len(sys.argv) > 1:
        return custodian(sys.argv[1])
    with tempfile.TemporaryDirectory(prefix="vouchsafe-rows-") as name:
        directory = Path(name)
        with Database(directory) as database, Server(directory, directory, WORLD) as server:
            check(Consumer(server, database), database, directory)
    print("customer-managed key: every expectation held")
    return 0


class Consumer:
    """The two people of the story, each a process that the agent attests."""

    def __init__(self, server, database):
        self.server, self.database = server, database

    def run(self, identity, command, stdin=b""):
        environment = os.environ | {
            "VAULT_URL": f"https://customer.{self.server.facts['vault_suffix']}",
            "KEY_NAME": KEY,
            "DATABASE": self.database.address,
        }
        command = [BINARY, "--socket", self.server.facts["admin_socket"], "run", "--identity", identity, "--", *command]
        return subprocess.run(command, input=stdin, capture_output=True, timeout=120, check=False, env=environment)

    def application(self, *arguments, stdin=b""):
        done = self.run("application", [PROGRAM, *arguments], stdin)
        if done.returncode != 0:
            sys.exit(f"the application failed at {arguments}:\n{done.stderr.decode(errors='replace')}")
        return done.stdout

    def refused(self, *arguments):
        """What the application says when it does not get what it wants."""
        done = self.run("application", [PROGRAM, *arguments])
        expect(done.returncode != 0, f"the application was not refused at {arguments}")
        return done.stderr.decode(errors="replace")

    def custodian(self, order):
        done = self.run("custodian", [sys.executable, str(HERE / "customer_managed_key.py"), order])
        if done.returncode != 0:
            sys.exit(f"the custodian could not {order} the key:\n{done.stderr.decode(errors='replace')}")


def check(consumer, database, directory):
    values = {name: f"{name} {secrets.token_urlsafe(24)}".encode() for name in ("first", "second", "third")}
    consumer.custodian("create")
    for name in ("first", "second"):
        consumer.application("put", name, stdin=values[name])
    expect(consumer.application("get", "first") == values["first"], "a row does not give back its value")
    keys = database.query("select count(distinct wrapped_key) from sealed_rows")
    expect(keys == "2", f"two rows have {keys} keys")

    consumer.custodian("rotate")
    consumer.application("put", "third", stdin=values["third"])
    versions = "select count(distinct key_version) from sealed_rows"
    expect(database.query(versions) == "2", "the new row is not under the new version")
    expect(consumer.application("get", "second") == values["second"], "an old row is lost after the rotation")
    sealed = database.query("select string_agg(encode(sealed, 'hex'), ',' order by name) from sealed_rows")
    expect(consumer.application("rewrap") == b"2 rows wrapped anew\n", "not the two old rows were wrapped anew")
    expect(consumer.application("rewrap") == b"0 rows wrapped anew\n", "wrapping anew is not idempotent")
    expect(database.query(versions) == "1", "a row is still under the old version")
    again = database.query("select string_agg(encode(sealed, 'hex'), ',' order by name) from sealed_rows")
    expect(sealed == again, "wrapping anew touched the rows themselves")
    for name, value in values.items():
        expect(consumer.application("get", name) == value, f"the row `{name}` is lost after wrapping anew")

    database.query(
        "update sealed_rows set sealed = other.sealed, wrapped_key = other.wrapped_key "
        "from sealed_rows as other where sealed_rows.name = 'third' and other.name = 'first'"
    )
    expect("belongs elsewhere" in consumer.refused("get", "third"), "a row under another's name opens")

    consumer.custodian("disable")
    said = consumer.refused("get", "first")
    expect("disabled" in said, f"the refusal does not say that the key is disabled:\n{said}")
    consumer.custodian("enable")
    expect(consumer.application("get", "first") == values["first"], "the key was enabled again, the row is lost")

    database.query("checkpoint")
    found = [path for path in directory.rglob("*") if path.is_file() and any(v in path.read_bytes() for v in values.values())]
    expect(not found, f"plaintext stands in {found}")


def custodian(order):
    """Runs as the identity that owns the key's life and cannot use it on data of others."""
    from azure.identity import DefaultAzureCredential
    from azure.keyvault.keys import KeyClient

    keys = KeyClient(os.environ["VAULT_URL"], DefaultAzureCredential())
    if order == "create":
        keys.create_rsa_key(KEY, size=2048, key_operations=["wrapKey", "unwrapKey"])
    elif order == "rotate":
        keys.rotate_key(KEY)
    elif order in ("disable", "enable"):
        for version in keys.list_properties_of_key_versions(KEY):
            keys.update_key_properties(KEY, version.version, enabled=order == "enable")
    else:
        sys.exit(f"the custodian knows no order `{order}`")
    return 0


def expect(held, otherwise):
    if not held:
        sys.exit(f"customer-managed key: {otherwise}")


if __name__ == "__main__":
    sys.exit(main())

"""What the scenarios share: the world they run in, an `az` that is signed in, and how its refusals are looked at."""

import atexit
import json
import os
import shutil
import subprocess
import tempfile
import threading
import uuid
from pathlib import Path

with open(os.environ["CONFORMANCE_WORLD"], encoding="utf-8") as file:
    WORLD = json.load(file)

TENANT = WORLD["tenant"]
AUTHORITY = WORLD["authority"]
VAULT_A, VAULT_B = WORLD["vaults"]
SEEDED_NAME, SEEDED_VALUE = WORLD["seeded_name"], WORLD["seeded_value"]

COMMAND_SECONDS = 60
# What `az` exits with, by whose fault it says it is.
FAILED, USAGE, ABSENT = 1, 2, 3

# Where Python finds what records the answers.
RECORDER = Path(__file__).resolve().parent.parent / "recorder"
SCRATCH = Path(tempfile.mkdtemp(prefix="conformance-az-"))
atexit.register(shutil.rmtree, SCRATCH, ignore_errors=True)


class Az:
    """`az` with a configuration directory of its own, as a user has one in the home directory."""

    def __init__(self, template=None):
        self.directory = Path(tempfile.mkdtemp(dir=SCRATCH))
        if template is not None:
            shutil.copytree(template.directory, self.directory, dirs_exist_ok=True)
        # MSAL would ask Microsoft whether our authority is one; this is `az`'s own setting for clouds apart.
        self.environment = dict(
            os.environ,
            AZURE_CONFIG_DIR=str(self.directory),
            AZURE_CORE_COLLECT_TELEMETRY="no",
            AZURE_CORE_INSTANCE_DISCOVERY="false",
            PYTHONPATH=str(RECORDER),
        )

    def run(self, command, *arguments):
        """Runs a command: its words are split, the arguments are not."""
        words = [os.environ["CONFORMANCE_AZ"], *command.split(), *map(str, arguments)]
        done = subprocess.run(
            words, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=COMMAND_SECONDS, text=True
        )
        print(f"az {' '.join(words[1:])}: {done.returncode}\n{done.stderr}", end="")
        return done

    def __call__(self, command, *arguments):
        """Runs a command that must succeed; what it answers, if anything."""
        done = self.run(command, *arguments)
        assert done.returncode == 0, f"`az {command}` ended with {done.returncode}: {done.stderr}{done.stdout}"
        return json.loads(done.stdout) if done.stdout.strip() else None

    def refused(self, code, parts, command, *arguments):
        """Expects a command to end with `code` and to say each of `parts`, and nothing of a mistake of its own."""
        done = self.run(command, *arguments)
        assert done.returncode == code, f"expected exit code {code}, found {done.returncode}: {done.stderr}{done.stdout}"
        assert "Traceback" not in done.stderr, done.stderr
        for part in parts:
            assert part in done.stderr, f"`{part}` is not in the refusal: {done.stderr}"

    def use_our_cloud(self):
        """Makes our address a cloud that `az` knows, which it asks us about, and chooses it."""
        self("cloud register -n vouchsafe --endpoint-resource-manager", AUTHORITY)
        self("cloud set -n vouchsafe")
        return self


SIGNING_IN = threading.Lock()
SIGNED_IN = []


def signed_in():
    """An `az` in our cloud with the managed identity of this process; the signing in itself is done once."""
    with SIGNING_IN:
        if not SIGNED_IN:
            az = Az().use_our_cloud()
            # Who has no role at the subscription sees none, and needs none for the vaults.
            az("login --identity --allow-no-subscriptions")
            SIGNED_IN.append(az)
    return Az(SIGNED_IN[0])


def vault_url(name=VAULT_A):
    return f"https://{name}.{WORLD['vault_suffix']}"


def fresh(prefix):
    """A name that no other scenario uses."""
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


def scratch(name):
    """A path for a file that does not exist."""
    return Path(tempfile.mkdtemp(dir=SCRATCH)) / name


def equal(found, expected):
    """Fails with both sides shown."""
    assert found == expected, f"found {found!r}, expected {expected!r}"


def names(items):
    """The names in a list, from the last part of each id."""
    return [(item.get("id") or item["kid"]).rsplit("/", 1)[-1] for item in items]

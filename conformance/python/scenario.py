"""Runs scenarios by their names, several at once, inside the process that the agent attests.

The world they run in (addresses, names, ids, files) is described by the JSON file that CONFORMANCE_WORLD names; there
is no credential in it except the certificate that the certificate scenarios are about. Every scenario ends in one line
of JSON on the standard output, which conformance/run.py reads.
"""

import importlib
import json
import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor

MODULES = (
    "identities",
    "secrets",
    "refusals",
    "asynchronous",
    "keys",
    "cryptography_of_keys",
    "key_refusals",
    "keys_in_a_token",
    "certificates",
    "keys_of_certificates",
)
AT_ONCE = 4
PRINTING = threading.Lock()


def find(name):
    function = name.replace("-", "_")
    for module in MODULES:
        found = getattr(importlib.import_module(f"scenarios.{module}"), function, None)
        if found is not None:
            return found
    raise LookupError(f"no scenario is called `{name}` here: write `{function}` in conformance/python/scenarios")


def run(name):
    started, said = time.monotonic(), None
    try:
        find(name)()
    except Exception:
        said = traceback.format_exc()
    verdict = {"scenario": name, "passed": said is None, "seconds": time.monotonic() - started, "said": said}
    with PRINTING:
        # On a line of its own, whatever another scenario is printing just now.
        sys.stdout.write(f"\n{json.dumps(verdict)}\n")
    return said is None


if __name__ == "__main__":
    with ThreadPoolExecutor(AT_ONCE) as pool:
        sys.exit(0 if all(list(pool.map(run, sys.argv[1:]))) else 1)

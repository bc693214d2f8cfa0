"""Runs one scenario by its name, inside the process that the agent attests.

The world it runs in (addresses, names, ids, files) is described by the JSON file that CONFORMANCE_WORLD names; there
is no credential in it except the certificate that the certificate scenarios are about.
"""

import importlib
import sys

MODULES = ("identities", "secrets", "refusals", "asynchronous")


def find(name):
    function = name.replace("-", "_")
    for module in MODULES:
        found = getattr(importlib.import_module(f"scenarios.{module}"), function, None)
        if found is not None:
            return found
    sys.exit(f"no scenario is called `{name}` here: write `{function}` in conformance/python/scenarios")


if __name__ == "__main__":
    find(sys.argv[1])()

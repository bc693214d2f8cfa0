"""Tells scenarios by their names, several at once, and says how each ended: what the programs in Python share.

Every scenario ends in one line of JSON on the standard output, which conformance/run.py reads.
"""

import importlib
import json
import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor

PRINTING = threading.Lock()


def tell(modules, at_once, names):
    """Runs the functions of these names, found in the first of `modules` that has each; answers with the exit code."""

    def find(name):
        function = name.replace("-", "_")
        for module in modules:
            found = getattr(importlib.import_module(f"scenarios.{module}"), function, None)
            if found is not None:
                return found
        raise LookupError(f"no scenario is called `{name}` here: write `{function}` in {sys.path[0]}/scenarios")

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

    with ThreadPoolExecutor(at_once) as pool:
        return 0 if all(list(pool.map(run, names))) else 1

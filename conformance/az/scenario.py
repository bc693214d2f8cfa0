"""Runs scenarios by their names with `az` as it is, one process of it for every command.

The world they run in is described by the JSON file that CONFORMANCE_WORLD names, and CONFORMANCE_AZ is the `az` to run.
"""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent))

from verdicts import tell  # noqa: E402

MODULES = ("logins", "secrets", "keys", "cryptography_of_keys", "certificates", "authorities", "refusals")
# A command keeps a core busy while it starts, and some wait: for a certificate, `az` does for five seconds.
AT_ONCE = 3

if __name__ == "__main__":
    sys.exit(tell(MODULES, AT_ONCE, sys.argv[1:]))

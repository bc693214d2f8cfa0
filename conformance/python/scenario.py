"""Runs scenarios by their names, several at once, inside the process that the agent attests.

The world they run in (addresses, names, ids, files) is described by the JSON file that CONFORMANCE_WORLD names; there
is no credential in it except the certificate that the certificate scenarios are about.
"""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent))

from verdicts import tell  # noqa: E402

MODULES = (
    "identities",
    "secrets",
    "refusals",
    "asynchronous",
    "keys",
    "cryptography_of_keys",
    "key_refusals",
    "keys_in_a_token",
    "key_release",
    "certificates",
    "keys_of_certificates",
)
AT_ONCE = 4

if __name__ == "__main__":
    sys.exit(tell(MODULES, AT_ONCE, sys.argv[1:]))

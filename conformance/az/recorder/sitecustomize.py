"""Has `az` recorded: it has no option for that, and Python looks for a module of this name whenever it starts.

The recorder is that of Python's SDK, on which `az` is built. It comes last in every pipeline, before what sends, and what is
not answered by a vault it passes over. Nothing that `az` sends or reads is changed.
"""

import json
import os
import sys
from pathlib import Path
from urllib.parse import urlsplit


def record():
    """Puts a recorder into the pipelines that are made from now on."""
    sys.path.append(str(Path(__file__).resolve().parents[2]))
    from azure.core.pipeline import Pipeline
    from recording import Recorder

    sys.path.pop()
    with open(os.environ["CONFORMANCE_WORLD"], encoding="utf-8") as file:
        vaults = (f".{json.load(file)['vault_suffix']}", ".vault.azure.net")

    class OfVaults(Recorder):
        def on_response(self, request, response):
            if urlsplit(request.http_request.url).netloc.endswith(vaults):
                super().on_response(request, response)

    made = Pipeline.__init__

    def make(self, transport, policies=None):
        made(self, transport, [*(policies or ()), OfVaults()])

    Pipeline.__init__ = make


# The script that is called `az` starts Python a second time, and that is `az`.
if sys.orig_argv[1:3] == ["-m", "azure.cli"]:
    record()

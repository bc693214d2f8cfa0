"""Writes down what the vaults answer, for conformance/contract.py to hold against Microsoft's own description."""

import json
import os
from urllib.parse import urlsplit

from azure.core.pipeline.policies import SansIOHTTPPolicy

FILE = os.environ.get("CONFORMANCE_RECORDING")
# Stands for every `value`, which may be secret; it is base64url as well as text.
REPLACED = "replaced"


class Recorder(SansIOHTTPPolicy):
    """One line of JSON for every answer that reaches a client."""

    def on_response(self, request, response):
        if FILE is None:
            return
        answered = response.http_response
        content_type = answered.headers.get("Content-Type", "")
        text = answered.text()
        line = {
            "method": request.http_request.method,
            "path": urlsplit(request.http_request.url).path,
            "status": answered.status_code,
            "content_type": content_type.partition(";")[0],
            "body": without_values(json.loads(text)) if content_type.startswith("application/json") else text,
        }
        # One write at the end of the file, so that lines of several processes do not mix.
        with open(FILE, "ab", buffering=0) as file:
            file.write(json.dumps(line).encode() + b"\n")


def without_values(body):
    if isinstance(body, dict) and isinstance(body.get("value"), str):
        return body | {"value": REPLACED}
    return body


# What a client is given to be recorded; nothing that it sends or reads is changed.
RECORDED = {"per_retry_policies": [Recorder()]}

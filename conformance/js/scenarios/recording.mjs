// Writes down what the vaults answer, for conformance/contract.py to hold against Microsoft's own description.

import { appendFileSync } from "node:fs";

const FILE = process.env.CONFORMANCE_RECORDING;
// Stands for every `value`, which may be secret; it is base64url as well as text.
const REPLACED = "replaced";

function withoutValues(body) {
  return typeof body?.value === "string" ? { ...body, value: REPLACED } : body;
}

/** One line of JSON for every answer that reaches a client. */
const recorder = {
  name: "recorder",
  async sendRequest(request, next) {
    const answered = await next(request);
    if (FILE) {
      const [contentType] = (answered.headers.get("content-type") ?? "").split(";");
      const text = answered.bodyAsText ?? "";
      const body = contentType === "application/json" ? withoutValues(JSON.parse(text)) : text;
      const path = new URL(request.url).pathname;
      const line = { method: request.method, path, status: answered.status, content_type: contentType, body };
      // One write at the end of the file, so that lines of several processes do not mix.
      appendFileSync(FILE, `${JSON.stringify(line)}\n`);
    }
    return answered;
  },
};

/** What a client is given to be recorded; nothing that it sends or reads is changed. */
export const RECORDED = { additionalPolicies: [{ policy: recorder, position: "perRetry" }] };

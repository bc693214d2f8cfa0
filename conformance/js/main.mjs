// Runs scenarios of conformance/scenarios.toml by their names, several at once, inside the process that the agent
// attests. The clients are Microsoft's packages as published. The world is the JSON file that CONFORMANCE_WORLD names;
// conformance/run.py writes it and reads the verdicts, one line of JSON each.

import * as certificates from "./scenarios/certificates.mjs";
import * as certificatesOutside from "./scenarios/certificates_outside.mjs";
import * as cryptography from "./scenarios/cryptography.mjs";
import * as identities from "./scenarios/identities.mjs";
import * as keyRelease from "./scenarios/key_release.mjs";
import * as keyRefusals from "./scenarios/key_refusals.mjs";
import * as keys from "./scenarios/keys.mjs";
import * as keysInAToken from "./scenarios/keys_in_a_token.mjs";
import * as refusals from "./scenarios/refusals.mjs";
import * as secrets from "./scenarios/secrets.mjs";

const SCENARIOS = {
  ...identities, ...refusals, ...secrets, ...keys, ...cryptography, ...keyRefusals, ...certificates, ...certificatesOutside,
  ...keysInAToken,
  ...keyRelease,
};
const AT_ONCE = 6;

async function judge(name) {
  const started = performance.now();
  let said = null;
  try {
    const scenario = SCENARIOS[name.replaceAll("-", "_")];
    if (!scenario) throw new Error(`no scenario is called \`${name}\` here: export it in conformance/js/scenarios`);
    await scenario();
  } catch (error) {
    said = error?.stack ?? String(error);
  }
  const seconds = (performance.now() - started) / 1000;
  process.stdout.write(`${JSON.stringify({ scenario: name, passed: said === null, seconds, said })}\n`);
  if (said !== null) process.exitCode = 1;
}

const waiting = process.argv.slice(2);

async function worker() {
  while (waiting.length > 0) await judge(waiting.shift());
}

await Promise.all(Array.from({ length: AT_ONCE }, worker));

"""Runs the scenario catalogue with unmodified Azure SDKs against a server of its own.

Usage: run.py --language python [--language rust] [--only NAME] [--list]

It starts `vouchsafe dev` on free ports with conformance/world.yaml and a token of SoftHSM's, and then the scenarios
under `vouchsafe run --identity …`, so that the agent has to attest them. Those that share an identity and an
environment share a process, which is given their names, runs several at once and prints a verdict for each: one line
of JSON with `scenario`, `passed`, `seconds` and `said`. A scenario without a verdict has failed. What a language
cannot do is in scenarios.toml; what we cannot do is in known_gaps.toml, and both directions are checked: an unlisted
failure fails the run, and so does a listed one that passes. The server's log is kept beside the scenario logs when
--logs is given.

Environment: VOUCHSAFE_BINARY (default target/debug/vouchsafe); CONFORMANCE_RUST and CONFORMANCE_GO
(the scenario programs of these languages), CONFORMANCE_JS (a folder with node_modules),
CONFORMANCE_JAVA (a folder with classes and lib), CONFORMANCE_AZ (the `az` to run).
"""

import argparse
import base64
import datetime
import json
import os
import secrets
import select
import shutil
import signal
import string
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa, utils
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

HERE = Path(__file__).resolve().parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", HERE.parent / "target"))
BINARY = os.environ.get("VOUCHSAFE_BINARY", str(TARGET / "debug" / "vouchsafe"))
JS = Path(os.environ.get("CONFORMANCE_JS", TARGET / "js"))
JAVA = Path(os.environ.get("CONFORMANCE_JAVA", TARGET / "java"))
AZ = os.environ.get("CONFORMANCE_AZ", str(TARGET / "az" / "bin" / "az"))
PROGRAMS = {
    "python": [sys.executable, str(HERE / "python" / "scenario.py")],
    "rust": [os.environ.get("CONFORMANCE_RUST", str(TARGET / "debug" / "vouchsafe-conformance"))],
    "js": ["node", str(JS / "main.mjs")],
    "java": ["java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", f"{JAVA}/classes:{JAVA}/lib/*", "vouchsafe.Main"],
    "go": [os.environ.get("CONFORMANCE_GO", str(TARGET / "go" / "conformance"))],
    "az": [sys.executable, str(HERE / "az" / "scenario.py")],
}
# A command line has stories of its own, told in commands; the SDKs tell theirs under the same names.
SDKS = [language for language in PROGRAMS if language != "az"]
REMOVED = {
    "app-service": ["AZURE_POD_IDENTITY_AUTHORITY_HOST"],
    "own-authority": ["AZURE_POD_IDENTITY_AUTHORITY_HOST"],
    "pod-identity": ["IDENTITY_ENDPOINT", "IDENTITY_HEADER"],
    "proxy": ["AZURE_POD_IDENTITY_AUTHORITY_HOST", "IDENTITY_ENDPOINT", "IDENTITY_HEADER"],
}
CERTIFICATE_PASSWORD = "of a bundle that lives for one run"
# What the clients were answered; contract.py reads it.
RECORDING = "answers-{}.jsonl"
READY_SECONDS = 30
TOKEN = "conformance"
# Where Debian and Fedora put the module.
TOKEN_MODULES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
)
# For all the scenarios of a process together; `az` starts Python anew for every command.
PROCESS_SECONDS, AZ_PROCESS_SECONDS = 300, 900
PROCESSES_AT_ONCE = 2


def main():
    arguments = parse()
    scenarios = tomllib.loads((HERE / "scenarios.toml").read_text())["scenario"]
    gaps = tomllib.loads((HERE / "known_gaps.toml").read_text()).get("gap", [])
    for scenario in scenarios:
        scenario.setdefault("languages", SDKS)
    check_catalogue(scenarios, gaps)
    chosen = [
        (scenario, language)
        for language in arguments.language
        for scenario in scenarios
        if language in scenario["languages"] and arguments.only in (None, scenario["name"])
    ]
    if arguments.list:
        for scenario, language in chosen:
            print(f"{language:8}{scenario['name']:44}{scenario['what']}")
        return 0
    if not chosen:
        sys.exit(f"no scenario is called `{arguments.only}`; --list shows them")
    # Node looks for packages beside the source, and those belong to target/.
    shutil.copytree(HERE / "js", JS, dirs_exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="vouchsafe-conformance-") as directory:
        logs = Path(arguments.logs or directory)
        logs.mkdir(parents=True, exist_ok=True)
        for language in arguments.language:
            (logs / RECORDING.format(language)).unlink(missing_ok=True)
        with Server(Path(directory), logs, token=Token(Path(directory))) as server:
            world = prepare(server, Path(directory))
            started = time.monotonic()
            with ThreadPoolExecutor(PROCESSES_AT_ONCE) as pool:
                # The largest first, so that the small ones fill what is left of the time.
                groups = sorted(grouped(chosen).items(), key=lambda group: -len(group[1]))
                ended = [pool.submit(run, server, world, logs, *key, names) for key, names in groups]
                results = [result for each in ended for result in each.result()]
            print(f"all scenarios in {time.monotonic() - started:.0f} s")
            return report(results, gaps)


def grouped(chosen):
    """The scenarios that can share a process."""
    groups = {}
    for scenario, language in chosen:
        groups.setdefault((language, scenario["identity"], scenario["environment"]), []).append(scenario["name"])
    return groups


def parse():
    parser = argparse.ArgumentParser(description="Runs the scenarios with unmodified Azure SDKs.")
    parser.add_argument("--language", action="append", choices=sorted(PROGRAMS), required=True)
    parser.add_argument("--only", metavar="NAME")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--logs", metavar="DIRECTORY", help="keep the logs there")
    return parser.parse_args()


def check_catalogue(scenarios, gaps):
    """The catalogue and the gaps must agree before anything is run."""
    names = [scenario["name"] for scenario in scenarios]
    problems = [f"`{name}` is listed twice in scenarios.toml" for name in set(names) if names.count(name) > 1]
    for scenario in scenarios:
        missing = set() if scenario["languages"] == ["az"] else set(SDKS) - set(scenario["languages"])
        if missing and "why" not in scenario:
            problems.append(f"`{scenario['name']}` leaves out {', '.join(missing)} without a `why`")
    for gap in gaps:
        if not gap.get("reason"):
            problems.append(f"the gap `{gap.get('scenario')}` has no reason")
        if not any(s["name"] == gap.get("scenario") and gap.get("language") in s["languages"] for s in scenarios):
            problems.append(f"the gap `{gap.get('scenario')}` for {gap.get('language')} is about no scenario")
    if problems:
        sys.exit("\n".join(problems))


class Token:
    """A token of SoftHSM's in a directory of its own, and how a server is told of it."""

    def __init__(self, directory):
        tokens, configuration = directory / "tokens", directory / "softhsm2.conf"
        tokens.mkdir()
        configuration.write_text(f"directories.tokendir = {tokens}\nobjectstore.backend = file\nlog.level = ERROR\n")
        self.environment = {"SOFTHSM2_CONF": str(configuration)}
        module = next((path for path in TOKEN_MODULES if os.path.isfile(path)), None)
        if module is None or shutil.which("softhsm2-util") is None:
            sys.exit("SoftHSM 2 is missing (Debian: softhsm2)")
        pin, pin_of_the_officer = (str(secrets.randbelow(9 * 10**7) + 10**7) for _ in range(2))
        pin_file = directory / "token.pin"
        with open(os.open(pin_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(f"{pin}\n")
        # The token lives for one run, and so do the PINs that other processes can see here.
        subprocess.run(
            ["softhsm2-util", "--init-token", "--free", "--label", TOKEN, "--pin", pin, "--so-pin", pin_of_the_officer],
            env=os.environ | self.environment,
            check=True,
            stdout=subprocess.DEVNULL,
            timeout=60,
        )
        self.arguments = ["--pkcs11-module", module, "--pkcs11-token", TOKEN, "--pkcs11-pin-file", str(pin_file)]


class Attestation:
    """An attestation service, and the environment that it vouches for, whose key is in a file."""

    AUTHORITY = "https://attest.example"

    def __init__(self, directory):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.environment = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        private = self.environment.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        self.environment_pem = directory / "environment.pem"
        self.environment_pem.write_bytes(private)

    def keys(self):
        point = self.key.public_key().public_numbers()
        jwk = {"kid": "one", "kty": "EC", "crv": "P-256", "use": "sig", "x": number(point.x, 32), "y": number(point.y, 32)}
        return json.dumps({"keys": [jwk]})

    def token(self, kind):
        """What it says of the environment; `kind` is what the policies of the scenarios ask about."""
        public, now = self.environment.public_key().public_numbers(), int(time.time())
        wraps = {"kid": "environment", "kty": "RSA", "key_ops": ["encrypt"], "n": number(public.n, 256), "e": "AQAB"}
        claims = {"iss": self.AUTHORITY, "iat": now, "exp": now + 8 * 3600, "x-ms-attestation-type": kind}
        claims["x-ms-runtime"] = {"keys": [wraps]}
        header = {"alg": "ES256", "kid": "one", "typ": "JWT"}
        signed = ".".join(base64url(json.dumps(part).encode()) for part in (header, claims))
        pair = utils.decode_dss_signature(self.key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{base64url(b''.join(half.to_bytes(32) for half in pair))}"


def number(value, length):
    return base64url(value.to_bytes(length))


def base64url(content):
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


class Server:
    """One `vouchsafe dev`, with the lines of its log in a file, ended when the block ends."""

    def __init__(self, directory, logs, world=None, token=None):
        self.directory = directory
        self.log = logs / "server.log"
        self.world = world or (HERE / "world.yaml").read_text()
        self.token_arguments = token.arguments if token else []
        self.environment = os.environ | (token.environment if token else {})

    def __enter__(self):
        make_certificates(self.directory)
        template = string.Template(self.world)
        applied = self.directory / "world.yaml"
        # A JSON string is a YAML one, whatever line breaks it holds.
        certificate = json.dumps((self.directory / "registered.crt").read_text())
        self.application_client_id = str(uuid.uuid4())
        self.attestation = Attestation(self.directory)
        applied.write_text(
            template.substitute(
                certificate=certificate,
                client_id=self.application_client_id,
                attestation_authority=self.attestation.AUTHORITY,
                attestation_keys=self.attestation.keys(),
            )
        )
        started = time.monotonic()
        self.stderr = open(self.log, "wb")
        self.process = subprocess.Popen(
            [
                *[BINARY, "dev", "--data", str(self.directory / "data"), "--port", "0", "--apply", str(applied), "--json"],
                *self.token_arguments,
            ],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self.stderr,
        )
        try:
            ready, _, _ = select.select([self.process.stdout], [], [], READY_SECONDS)
            line = self.process.stdout.readline() if ready else b""
            if not line and ready:
                raise RuntimeError(f"the server ended with {self.process.wait()} before it was ready")
            if not line:
                raise RuntimeError(f"the server was not ready in {READY_SECONDS} s")
            self.facts = json.loads(line)
        except (RuntimeError, ValueError) as error:
            self.__exit__()
            sys.exit(f"{error}; its log:\n{self.log.read_text(errors='replace')[-4000:]}")
        print(f"server ready after {1000 * (time.monotonic() - started):.0f} ms: {self.facts['authority']}")
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                print("warning: the server did not end within 20 s of SIGTERM, so it was killed")
                self.process.kill()
                self.process.wait()
        self.stderr.close()

    def cli(self, *arguments, stdin=None):
        """Runs the command line against this server; it is the operator, known by the admin socket's peer."""
        command = [BINARY, "--socket", self.facts["admin_socket"], *arguments]
        done = subprocess.run(command, input=stdin, capture_output=True, timeout=60, check=False)
        if done.returncode != 0:
            sys.exit(f"`{' '.join(command)}` failed:\n{done.stderr.decode(errors='replace')}")
        return done.stdout


def prepare(server, directory):
    """Seeds what readers read, and writes down the world for the scenarios."""
    value = f"seeded {secrets.token_urlsafe(18)}"
    value_file = directory / "seeded-value"
    value_file.write_text(value)
    server.cli("secret", "set", "seeded", "--vault", "conformance-a", "--value-file", str(value_file))
    value_file.unlink()
    server.cli("key", "create", "seeded", "--vault", "conformance-a", "--kind", "ec", "--curve", "P-256")
    made = server.cli("-o", "json", "key", "create", "seeded-wrapping", "--vault", "conformance-a", "--kind", "oct")
    transfer = make_transfer_blob(server, directory)
    identities = {
        identity["name"]: {
            "client_id": identity["properties"]["clientId"],
            "principal_id": identity["properties"]["principalId"],
            "resource_id": identity["id"],
        }
        for identity in json.loads(server.cli("-o", "json", "identity", "list"))
    }
    world = {
        "tenant": server.facts["tenant"],
        "authority": server.facts["authority"],
        "vault_suffix": server.facts["vault_suffix"],
        "vaults": ["conformance-a", "conformance-b"],
        "premium_vault": "conformance-hsm",
        "seeded_name": "seeded",
        "seeded_value": value,
        "seeded_key": "seeded",
        "seeded_wrapping_key_id": json.loads(made)["key"]["kid"],
        "transfer_blob": str(transfer),
        "transfer_public_pem": str(directory / "transfer.pub"),
        "attestation_authority": Attestation.AUTHORITY,
        "attestation_token": server.attestation.token("sevsnpvm"),
        "attestation_token_of_another": server.attestation.token("sgx"),
        "environment_pem": str(server.attestation.environment_pem),
        "identities": identities,
        "application_client_id": server.application_client_id,
        "certificate_pem": str(directory / "registered.pem"),
        "certificate_pkcs12": str(directory / "registered.p12"),
        "unregistered_certificate_pem": str(directory / "unregistered.pem"),
        "unregistered_certificate_pkcs12": str(directory / "unregistered.p12"),
        "certificate_password": CERTIFICATE_PASSWORD,
    }
    path = directory / "world.json"
    path.write_text(json.dumps(world, indent=2))
    return path


def make_transfer_blob(server, directory):
    """A key that was made here, wrapped for one of the token's that can do nothing but unwrap."""
    own = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    key_file, blob = directory / "transfer.pem", directory / "transfer.byok"
    key_file.write_bytes(own.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    public = own.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
    (directory / "transfer.pub").write_bytes(public)
    vault = ["--vault", "conformance-hsm"]
    server.cli("key", "create", "kek", *vault, "--kind", "rsa", "--size", "2048", "--hsm", "--operations", "import")
    server.cli("byok", "wrap", "--key-file", str(key_file), *vault, "--kek", "kek", "--byok-file", str(blob))
    key_file.unlink()
    return blob


def make_certificates(directory):
    """A registered and an unregistered certificate, as PEM for one client and PKCS #12 for the other."""
    now = datetime.datetime.now(datetime.timezone.utc)
    for kind in ("registered", "unregistered"):
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{kind} application")])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(minutes=5))
            .not_valid_after(now + datetime.timedelta(days=2))
            .sign(key, hashes.SHA256())
        )
        public = certificate.public_bytes(serialization.Encoding.PEM)
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (directory / f"{kind}.crt").write_bytes(public)
        (directory / f"{kind}.pem").write_bytes(private + public)
        # Without encryption there is no integrity code either, and OpenSSL refuses to read that.
        encryption = serialization.BestAvailableEncryption(CERTIFICATE_PASSWORD.encode())
        bundle = pkcs12.serialize_key_and_certificates(b"", key, certificate, None, encryption)
        (directory / f"{kind}.p12").write_bytes(bundle)


def run(server, world, logs, language, identity, kind, names):
    """Runs the scenarios `names` in a process that the agent must attest; answers with how each ended."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AZURE_", "IDENTITY_", "MSI_")) and not name.lower().endswith("_proxy")
    }
    environment["CONFORMANCE_WORLD"] = str(world)
    environment["CONFORMANCE_RECORDING"] = str(logs / RECORDING.format(language))
    environment["CONFORMANCE_AZ"] = AZ
    if kind == "own-authority":
        environment["AZURE_AUTHORITY_HOST"] = server.facts["authority"]
    # Lines are written as they come, so that a hang shows how far it got.
    environment["PYTHONUNBUFFERED"] = "1"
    program = [*PROGRAMS[language], *names]
    under = [BINARY, "--socket", server.facts["admin_socket"], "run", "--identity"]
    if identity == "nobody":
        # The whole environment of an attested process, and none of its descent.
        shown = subprocess.run([*under, "officer", "--", "env", "-0"], env=environment, capture_output=True, timeout=60)
        environment = dict(line.split("=", 1) for line in shown.stdout.decode().split("\0") if "=" in line)
        for name in REMOVED[kind]:
            environment.pop(name, None)
        command = program
    else:
        removed = [part for name in REMOVED[kind] for part in ("-u", name)]
        command = [*under, identity, "--", "env", *removed, *program]
    verdicts = watch(command, environment, logs / f"{language}-{identity}-{kind}.log", language, set(names))
    for name in names:
        if name not in verdicts:
            print(f"FAIL {language:8}{name:44}  without a verdict", flush=True)
    return [(name, language, verdicts.get(name, False)) for name in names]


def watch(command, environment, log, language, names):
    """Runs `command`, prints the verdicts as they come, and answers with them; everything else goes to the log."""
    verdicts = {}
    with open(log, "w", encoding="utf-8") as output:
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=output, start_new_session=True
        )
        seconds = AZ_PROCESS_SECONDS if language == "az" else PROCESS_SECONDS
        timer = threading.Timer(seconds, os.killpg, (process.pid, signal.SIGKILL))
        timer.start()
        for line in process.stdout:
            text = line.decode(errors="replace")
            verdict = parsed(text)
            if verdict is None or verdict["scenario"] not in names:
                output.write(text)
                output.flush()
                continue
            name, passed, said = verdict["scenario"], verdict["passed"], verdict.get("said") or ""
            verdicts[name] = passed and verdicts.get(name, True)
            lines = [f"{'ok  ' if passed else 'FAIL'} {language:8}{name:44}{verdict['seconds']:6.1f} s"]
            lines += [] if passed else [f"     | {line}" for line in said.splitlines()[-25:]]
            print("\n".join(lines), flush=True)
            output.write(f"{lines[0]}\n{said}\n")
        code = process.wait()
        timer.cancel()
        output.write(f"ended with {code}\n")
    if len(verdicts) < len(names):
        tail = log.read_text(errors="replace").splitlines()[-25:]
        print("".join(f"     | {line}\n" for line in tail), flush=True)
    return verdicts


def parsed(text):
    """The verdict in a line, if it holds one."""
    try:
        verdict = json.loads(text)
    except ValueError:
        return None
    return verdict if isinstance(verdict, dict) and "scenario" in verdict else None


def report(results, gaps):
    """Compares the results with the known gaps, both ways."""
    listed = {(gap["scenario"], gap["language"]): gap["reason"] for gap in gaps}
    broken = [each for each in results if not each[2] and each[:2] not in listed]
    healed = [each for each in results if each[2] and each[:2] in listed]
    known = [each for each in results if not each[2] and each[:2] in listed]
    for name, language, _ in known:
        print(f"known gap: {language} {name}: {listed[name, language]}")
    for name, language, _ in healed:
        print(f"to mend: {language} {name} passes now: take its line out of known_gaps.toml")
    for name, language, _ in broken:
        print(f"to mend: {language} {name} fails")
    passed = sum(1 for each in results if each[2])
    print(f"{passed} of {len(results)} scenarios pass, {len(known)} known gaps, {len(broken)} failures")
    return 1 if broken or healed else 0


if __name__ == "__main__":
    sys.exit(main())

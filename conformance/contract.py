"""Holds what the vaults answered against Microsoft's OpenAPI description of Key Vault 7.4 (conformance/specs).

Usage: contract.py --language LANGUAGE ANSWERS   (the answers-LANGUAGE.jsonl that run.py leaves beside its logs)

Every answer must be of an operation, a status and a media type that the description knows, without an undocumented
member, with every required one, and each of the type that is written there. What later versions of the interface
added, and where the real service departs from its own description, is in contract_additions.toml, each with a reason;
an addition that nothing needs fails as well: Python's clients need them all.

Every operation must have been asked for, and done once. What a language does not reach is in unreached.toml, each with a reason, and
both directions are checked.
"""

import argparse
import base64
import binascii
import json
import re
import sys
import tomllib
from collections import Counter
from pathlib import Path

from jsonschema import Draft4Validator, FormatChecker

HERE = Path(__file__).resolve().parent
DESCRIPTIONS = ("secrets", "keys", "certificates")
SHOWN_MAX = 40

FORMATS = FormatChecker(formats=())


@FORMATS.checks("byte", raises=binascii.Error)
def is_base64(text):
    return not isinstance(text, str) or base64.b64decode(text, validate=True) is not None


@FORMATS.checks("base64url")
def is_base64url(text):
    return not isinstance(text, str) or re.fullmatch(r"[A-Za-z0-9_-]*", text) is not None


@FORMATS.checks("unixtime")
def is_time(seconds):
    # Between 1990 and 9999, so that neither milliseconds nor a count of days passes.
    return not isinstance(seconds, int) or 631_152_000 <= seconds < 253_402_300_800


class Contract:
    """The descriptions and the additions to them, as validators by operation and status."""

    def __init__(self):
        self.read = {}
        self.definitions = {}
        self.additions = tomllib.loads((HERE / "contract_additions.toml").read_text())
        self.used = Counter()
        for file in ("common", *DESCRIPTIONS):
            self.read[file] = json.loads((HERE / "specs" / f"{file}.json").read_text())
            for name in self.read[file]["definitions"]:
                self.definitions[f"{file}.{name}"] = self.closed(file, name)
        self.apply_additions()
        # Operations that 7.4 does not have, by where they stand in the additions.
        self.later = {}
        self.operations = [
            (method.upper(), template, pattern(template), operation["responses"], file)
            for file in DESCRIPTIONS
            for template, methods in self.read[file]["paths"].items()
            for method, operation in methods.items()
        ]
        for index, addition in enumerate(self.additions.get("operation", ())):
            method, template = addition["operation"].split(" ", 1)
            like = next(each for each in self.operations if f"{each[0]} {each[1]}" == addition["like"])
            self.operations.append((method, template, pattern(template), like[3], like[4]))
            self.later[addition["operation"]] = index
        # A word that is written in the path goes before a name that may be anything.
        self.operations.sort(key=lambda each: each[1].count("{"))
        self.validators = {}

    def closed(self, file, name):
        """A definition with what it inherits, in which nothing else may be."""
        definition = self.read[file]["definitions"][name]
        members, required = {}, set(definition.get("required", ()))
        for above in definition.get("allOf", ()):
            above_file, above_name = referred(above["$ref"], file)
            inherited = self.closed(above_file, above_name)
            members |= inherited["properties"]
            required |= set(inherited.get("required", ()))
        members |= {key: self.schema(value, file) for key, value in definition.get("properties", {}).items()}
        closed = {"type": "object", "properties": members, "additionalProperties": False}
        if definition.get("x-nullable"):
            closed["type"] = ["object", "null"]
        return closed | ({"required": sorted(required)} if required else {})

    def schema(self, described, file):
        """A schema of Swagger 2.0 as one of JSON Schema draft 4, with names that are unique over the files."""
        if "$ref" in described:
            return {"$ref": "#/definitions/{}.{}".format(*referred(described["$ref"], file))}
        kept = {key: described[key] for key in KEPT if key in described}
        if "items" in described:
            kept["items"] = self.schema(described["items"], file)
        if "properties" in described:
            kept["properties"] = {key: self.schema(value, file) for key, value in described["properties"].items()}
            kept["additionalProperties"] = False
        elif "additionalProperties" in described:
            kept["additionalProperties"] = self.schema(described["additionalProperties"], file)
        return kept

    def apply_additions(self):
        """Makes the additions part of the schemas, marked so that their use can be seen."""
        for kind, additions in self.additions.items():
            for addition in additions:
                if not addition.get("reason"):
                    sys.exit(f"an addition of kind `{kind}` has no reason: {addition}")
        for addition in self.additions.get("member", ()):
            members = self.definitions[addition["definition"]]["properties"]
            if addition["member"] in members:
                sys.exit(f"`{addition['member']}` is described in {addition['definition']} already")
            members[addition["member"]] = addition["schema"]
        for addition in self.additions.get("value", ()):
            member = self.definitions[addition["definition"]]["properties"][addition["member"]]
            member["enum"] = [*member["enum"], *addition["values"]]
        for addition in self.additions.get("nullable", ()):
            members = self.definitions[addition["definition"]]["properties"]
            members[addition["member"]] = {"anyOf": [members[addition["member"]], {"type": "null"}]}

    def operation(self, method, path):
        for known, template, matches, responses, file in self.operations:
            if known == method and matches.fullmatch(path):
                return template, responses, file
        return None

    def problems(self, answer):
        """What is wrong with an answer, and which operation it is of."""
        method, path, status, body = (answer[key] for key in ("method", "path", "status", "body"))
        found = self.operation(method, path)
        if found is None:
            return None, [f"{method} {path} is no operation"]
        template, responses, file = found
        name = f"{method} {template}"
        if name in self.later:
            self.used["operation", self.later[name]] += 1
        documented = responses.get(str(status)) or (responses["default"] if status >= 400 else None)
        for index, addition in enumerate(self.additions.get("status", ())):
            if documented is None and (addition["operation"], addition["status"]) == (name, status):
                self.used["status", index] += 1
                documented = responses[str(addition["like"])]
        if documented is None:
            return name, [f"{name} answers {status}, which is not described"]
        if "schema" not in documented:
            return name, [f"{name} answers {status} with a body"] if body else []
        if answer["content_type"] != "application/json":
            return name, [f"{name} answers {status} as `{answer['content_type']}`"]
        self.see_additions(self.schema(documented["schema"], file), body)
        validator = self.validator(documented["schema"], file)
        return name, [f"{name} {status}: {said}" for error in validator.iter_errors(body) for said in explained(error)]

    def validator(self, described, file):
        key = (described["$ref"], file)
        if key not in self.validators:
            schema = self.schema(described, file) | {"definitions": self.definitions}
            self.validators[key] = Draft4Validator(schema, format_checker=FORMATS)
        return self.validators[key]

    def see_additions(self, schema, body):
        """Counts which additions an answer needed."""
        if "anyOf" in schema:
            schema = schema["anyOf"][0]
        if isinstance(body, list) and "items" in schema:
            for item in body:
                self.see_additions(schema["items"], item)
        if not isinstance(body, dict) or "$ref" not in schema:
            return
        name = schema["$ref"].removeprefix("#/definitions/")
        members = self.definitions[name]["properties"]
        for kind in ("member", "value", "nullable"):
            for index, addition in enumerate(self.additions.get(kind, ())):
                member = addition["member"]
                if addition["definition"] != name or member not in body:
                    continue
                needed = {
                    "member": lambda: True,
                    "value": lambda: body[member] in addition["values"],
                    "nullable": lambda: body[member] is None,
                }
                self.used[kind, index] += needed[kind]()
        for member, value in body.items():
            if member in members:
                self.see_additions(members[member], value)

    def unused(self):
        for kind, additions in self.additions.items():
            for index, addition in enumerate(additions):
                if not self.used[kind, index]:
                    yield kind, {key: value for key, value in addition.items() if key not in ("reason", "schema")}


KEPT = ("type", "format", "enum", "minimum", "maximum", "minLength", "maxLength", "pattern")


def referred(reference, file):
    """The file and the name that a reference is to."""
    other, _, name = reference.partition("#/definitions/")
    return other.removesuffix(".json") or file, name


def pattern(template):
    """Every path of a template. A version may be left out, with or without its slash."""
    escaped = re.sub(r"\\\{[^}]*-version\\\}", r"VERSION", re.escape(template).replace(r"\-", "-"))
    return re.compile(re.sub(r"\\\{[^}]*\\\}", r"[^/]+", escaped).replace("/VERSION", "(?:/[0-9a-f]*)?"))


def explained(error):
    """A violation in words, without what stands in the answer."""
    where = "/".join(str(part) if isinstance(part, str) else "*" for part in error.absolute_path) or "the body"
    if error.validator == "additionalProperties":
        known = error.schema.get("properties", {})
        return [f"{where}: `{member}` is not described" for member in error.instance if member not in known]
    if error.validator == "required":
        return [f"{where}: `{member}` is missing" for member in error.validator_value if member not in error.instance]
    if error.validator == "enum":
        return [f"{where}: `{error.instance}` is none of the described values"]
    return [f"{where}: a {type(error.instance).__name__} is not as described ({error.validator})"]


def parse():
    parser = argparse.ArgumentParser(description="Holds what the vaults answered against the description of Key Vault.")
    parser.add_argument("--language", required=True)
    parser.add_argument("answers", type=Path)
    return parser.parse_args()


def coverage(language, known, seen):
    """What is wrong with the operations that were asked for, or were not."""
    unreached = tomllib.loads((HERE / "unreached.toml").read_text()).get("unreached", [])
    reasons = {each["operation"]: each["reason"] for each in unreached if language in each["languages"]}
    for operation in sorted(reasons.keys() - known):
        yield f"unreached.toml names `{operation}`, which is no operation"
    for operation in sorted(reasons.keys() & seen):
        yield f"{operation} is asked for now: take {language} out of unreached.toml"
    for operation in sorted(known - seen - reasons.keys()):
        yield f"{operation} is never asked for: tell it in a scenario, or say in unreached.toml why not"
    for operation in sorted(reasons.keys() - seen):
        print(f"not reached: {operation}: {reasons[operation]}")


def main():
    arguments = parse()
    contract, problems, seen = Contract(), Counter(), Counter()
    answers = [json.loads(line) for line in arguments.answers.read_text().splitlines()]
    if not answers:
        sys.exit("nothing was recorded")
    for answer in answers:
        name, wrong = contract.problems(answer)
        # Who is only ever refused has not been told.
        seen[name] += answer["status"] < 400
        problems.update(wrong)
    known = {f"{method} {template}" for method, template, *_ in contract.operations}
    gaps = list(coverage(arguments.language, known, {name for name in known if seen[name]}))
    for gap in gaps:
        print(f"to mend: {gap}")
    for problem, times in problems.most_common(SHOWN_MAX):
        print(f"to mend: {problem} ({times} times)")
    unused = list(contract.unused()) if arguments.language == "python" else []
    for kind, addition in unused:
        print(f"to mend: nothing needs the addition of a {kind}: {addition}")
    print(
        f"{len(answers)} answers of {sum(bool(seen[name]) for name in known)} of {len(known)} operations, "
        f"{len(problems)} kinds of violation, {sum(contract.used.values())} uses of additions"
    )
    return 1 if problems or unused or gaps else 0


if __name__ == "__main__":
    sys.exit(main())

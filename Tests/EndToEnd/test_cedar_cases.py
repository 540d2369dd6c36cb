"""Every shared case of the Cedar language, answered by the release build of cedar-conformance."""

import gzip
import json
import os
import pathlib
import subprocess

import pytest

from processes import CHECKOUT

SHARED = pathlib.Path(os.environ.get("STOCKADE_TEST_DATA") or CHECKOUT.parent / "shared") / "corpus" / "cedar"
BINARY = pathlib.Path(os.environ.get("CEDAR_CONFORMANCE") or CHECKOUT / ".build-release" / "release" / "cedar-conformance")

# What of an answer is compared, by operation; `ok` and `stage` always are.
COMPARED = {
    "authorize": ["results"],
    "validate": ["valid", "errors", "warnings"],
    "parse_policies": ["policies", "templates"],
    "parse_entities": ["count"],
    "entities_to_json": ["json"],
    "to_json": ["json"],
    "from_json": ["json"],
    "format": ["text"],
    "schema_to_json": ["json"],
    "eval": ["value", "kind"],
    "tpe": ["decision"] + [f"{outcome}_{effect}s" for outcome in ("true", "false", "error", "residual") for effect in ("permit", "forbid")],
}


def lines(name):
    path = SHARED / name
    if not path.exists():
        print(f"shared cases: {path.name} is not here; its cases were NOT run")
        pytest.skip(f"{path.name} is not here")
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def answers(cases):
    assert BINARY.exists(), "build it: .ci/release cedar-conformance"
    text = "".join(json.dumps(case) + "\n" for case in cases)
    run = subprocess.run([BINARY], input=text, stdout=subprocess.PIPE, text=True, encoding="utf-8", timeout=600, check=True)
    # Only a line feed ends an answer; what else Python takes for a line end may stand in a string.
    found = [json.loads(line) for line in run.stdout.split("\n") if line]
    assert len(found) == len(cases)
    return found


def unwrapped(json_value):
    """Entity references in scopes and links mean the same with and without `__entity` around them."""
    if isinstance(json_value, dict):
        if list(json_value) == ["__entity"]:
            return json_value["__entity"]
        return {name: unwrapped(value) for name, value in json_value.items()}
    return [unwrapped(value) for value in json_value] if isinstance(json_value, list) else json_value


def policies(value):
    """A policy set with the wrappers of scopes and links taken off; those in conditions are part of the expression."""
    value = json.loads(json.dumps(value))
    for group in ("staticPolicies", "templates"):
        for policy in value.get(group, {}).values():
            for element in ("principal", "action", "resource"):
                policy[element] = unwrapped(policy[element])
    for link in value.get("templateLinks", []):
        link["values"] = unwrapped(link["values"])
    return value


def sets(value):
    """A value with the elements of its sets in one order."""
    if isinstance(value, list):
        return sorted((sets(element) for element in value), key=lambda element: json.dumps(element, sort_keys=True))
    return {name: sets(element) for name, element in value.items()} if isinstance(value, dict) else value


def result(value):
    """The compared part of one request's answer; a bad context and a bad request are one."""
    return "error" if "error" in value else (value["decision"], value["reason"], value["errors"])


def compared(operation, field, value):
    if field == "json" and operation in ("to_json", "from_json"):
        value = policies(value)
    if field == "results":
        return [result(each) for each in value]
    # As text, so that `true` and `1` differ.
    return json.dumps(sets(value) if field == "value" else value, sort_keys=True)


def difference(case, expected, got):
    operation = case["op"]
    if "omit" in got or got.get("stage") == "unsupported":
        return f"not answered: {got}"
    for field in ["ok", "stage"] + COMPARED.get(operation, []):
        wanted, found = expected.get(field), got.get(field)
        if field not in expected:
            # What the reference does not report is not compared; a stage that it does not name must not be ours.
            if field == "stage" and found is not None:
                return f"stage {found}"
            continue
        if field not in got:
            return f"no {field}"
        if wanted is None or found is None:
            if wanted is not found:
                return f"{field}: {wanted!r} expected, {found!r} got"
        elif compared(operation, field, wanted) != compared(operation, field, found):
            return f"{field}: {wanted!r} expected, {found!r} got"
    return None


def check(cases, expectations, name):
    wrong = []
    for case, expected, got in zip(cases, expectations, answers(cases)):
        found = difference(case, expected, got)
        if found:
            wrong.append(f"{case['id']}: {found}")
    print(f"shared cases: {name}: {len(cases)} ran")
    assert not wrong, f"{len(wrong)} of {len(cases)} differ:\n" + "\n".join(wrong[:20])


def test_every_case_of_the_differential_set_agrees():
    cases = lines("diff-share.jsonl.gz")
    check(cases, [case.pop("expect") for case in cases], "cedar differential cases")


def test_every_world_of_the_corpus_is_authorized_alike():
    worlds = lines("corpus-share.jsonl.gz")
    expected = [{"ok": True, "results": world.pop("expect")["authorize"]} for world in worlds]
    check([dict(world, op="authorize") for world in worlds], expected, "cedar corpus, authorization")


def test_every_world_of_the_corpus_validates_alike():
    worlds = lines("corpus-share.jsonl.gz")
    cases, expected = [], []
    for world in worlds:
        verdict = world["expect"]["validate"]
        base = {"op": "validate", "id": world["id"], "policies": world["policies"], "schema": world["schema"]}
        cases.append(base)
        expected.append({"ok": True, **{field: verdict[field] for field in ("valid", "errors", "warnings")}})
        cases.append(dict(base, mode="permissive"))
        expected.append({"ok": True, "valid": verdict["permissive"]})
        for level in range(3):
            # The lowest level that passes; none may.
            cases.append(dict(base, level=level))
            expected.append({"ok": True, "valid": verdict["level"] is not None and level >= verdict["level"]})
    check(cases, expected, "cedar corpus, validation")

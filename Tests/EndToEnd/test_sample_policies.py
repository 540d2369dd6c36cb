"""The sample policies mean to the reference engine what their tests say: cedarpy, and the built-in mapping by hand."""

import json
import pathlib
import re
import textwrap

import cedarpy
import pytest

POLICIES = pathlib.Path(__file__).resolve().parents[2] / "policies"
TEXT = (POLICIES / "orders.cedar").read_text()
SCHEMA = (POLICIES / "schema.cedarschema").read_text()
ENTITIES = json.loads((POLICIES / "entities.json").read_text())
SUITES = [json.loads((POLICIES / "tests" / name).read_text()) for name in ("orders.test.json", "ownership.test.json")]


def uid(kind, name):
    return {"type": kind, "id": name}


def ancestors(path):
    """The path, then every path above it."""
    out = [path]
    while path != "/":
        path = path.rsplit("/", 1)[0] or "/"
        out.append(path)
    return out


def cedar_request(principal, line, defaults, looked_up):
    """A request as the built-in mapping makes it, or, where entities are looked up, as the route of demo.json5 does."""
    method, target = line.split(" ", 1)
    path = target.split("?", 1)[0]
    claims = dict(principal["claims"])
    prefix = principal["issuer"]
    groups = claims.pop("cognito:groups", [])
    token = {"client_id": claims["client_id"], "scope": claims["scope"].split()} if "scope" in claims else None
    context = {
        "http": {"method": method, "path": path, "host": "localhost"},
        "client": {"ip": {"__extn": {"fn": "ip", "arg": defaults["ip"]}}},
        "time": {"__extn": {"fn": "datetime", "arg": defaults["now"]}},
    }
    if token:
        context["token"] = token
    entities = list(ENTITIES)
    order = re.fullmatch(r"PUT /orders/([^/]+)", line) if looked_up is not None else None
    user = f"{prefix}|{claims['sub']}"
    entities.append({"uid": uid("User", user), "attrs": {}, "parents": [uid("UserGroup", f"{prefix}|{g}") for g in groups]})
    entities += [{"uid": uid("UserGroup", f"{prefix}|{g}"), "attrs": {}, "parents": []} for g in groups]
    chain = ancestors(path)
    for child, parent in zip(chain, chain[1:] + [None]):
        attributes = {"path": child, "segments": len([segment for segment in child.split("/") if segment])}
        entities.append({"uid": uid("Path", child), "attrs": attributes, "parents": [uid("Path", parent)] if parent else []})
    request = {
        "principal": f"User::{json.dumps(user)}",
        "action": f'Action::"{"GET" if method == "HEAD" else method}"',
        "resource": f"Order::{json.dumps(order[1])}" if order else f"Path::{json.dumps(path)}",
        "context": json.dumps(context),
    }
    if order:
        found = {"uid": uid("Order", order[1]), "attrs": {}, "parents": []}
        for entity in looked_up:
            if entity["uid"] == found["uid"]:
                found["attrs"] = entity["attrs"]
            else:
                entities.append(entity)
        entities.append(found | {"parents": [uid("Path", above) for above in chain]})
    return request, entities


def cases():
    for suite, test in ((suite, test) for suite in SUITES for test in suite["tests"]):
        names = test["as"] if isinstance(test["as"], list) else [test["as"]]
        lines = test["request"] if isinstance(test["request"], list) else [test["request"]]
        for name in names:
            expected = test["expect"][name] if isinstance(test["expect"], dict) else test["expect"]
            for line, want in zip(lines, expected.split(), strict=True):
                # What could not be decided is not the engine's to answer.
                if suite["principals"][name] is not None and want != "error":
                    found = test.get("entities", suite["defaults"].get("entities"))
                    request = cedar_request(suite["principals"][name], line, suite["defaults"], found)
                    yield pytest.param(*request, want, test.get("by"), id=f"{test['name']}-{name}-{line}")


def test_the_schema_accepts_the_policies():
    result = cedarpy.validate_policies(TEXT, SCHEMA)
    assert result.validation_passed, result.errors


def test_the_demo_s_built_in_sample_is_this_one():
    swift = (POLICIES.parent / "Sources" / "stockade" / "SamplePolicies.swift").read_text()
    built_in = dict(re.findall(r'static let (\w+) = #"""\n(.*?)\n    """#', swift, re.DOTALL))
    files = {"policies": "orders.cedar", "schema": "schema.cedarschema", "entities": "entities.json", "configuration": "demo.json5"}
    assert {name: textwrap.dedent(text) for name, text in built_in.items()} == {
        name: (POLICIES / file).read_text() for name, file in files.items()
    }


@pytest.mark.parametrize("asked,entities,want,by", list(cases()))
def test_the_reference_engine_agrees(asked, entities, want, by):
    result = cedarpy.is_authorized(asked, TEXT, entities, schema=SCHEMA)
    assert result.diagnostics.errors == []
    assert result.decision.value.lower() == want
    if by is not None:
        assert sorted(result.diagnostics.id_annotations_by_reason.values()) == sorted(by)

"""The sample policies mean to the reference engine what their tests say: cedarpy, and the built-in mapping by hand."""

import json
import pathlib

import cedarpy
import pytest

POLICIES = pathlib.Path(__file__).resolve().parents[2] / "policies"
TEXT = (POLICIES / "orders.cedar").read_text()
SCHEMA = (POLICIES / "schema.cedarschema").read_text()
ENTITIES = json.loads((POLICIES / "entities.json").read_text())
SUITE = json.loads((POLICIES / "tests" / "orders.test.json").read_text())


def uid(kind, name):
    return {"type": kind, "id": name}


def ancestors(path):
    """The path, then every path above it."""
    out = [path]
    while path != "/":
        path = path.rsplit("/", 1)[0] or "/"
        out.append(path)
    return out


def cedar_request(principal, line, defaults):
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
        "resource": f"Path::{json.dumps(path)}",
        "context": json.dumps(context),
    }
    return request, entities


def cases():
    for test in SUITE["tests"]:
        names = test["as"] if isinstance(test["as"], list) else [test["as"]]
        lines = test["request"] if isinstance(test["request"], list) else [test["request"]]
        for name in names:
            expected = test["expect"][name] if isinstance(test["expect"], dict) else test["expect"]
            for line, want in zip(lines, expected.split(), strict=True):
                if SUITE["principals"][name] is not None:
                    yield pytest.param(name, line, want, test.get("by"), id=f"{test['name']}-{name}-{line}")


def test_the_schema_accepts_the_policies():
    result = cedarpy.validate_policies(TEXT, SCHEMA)
    assert result.validation_passed, result.errors


@pytest.mark.parametrize("name,line,want,by", list(cases()))
def test_the_reference_engine_agrees(name, line, want, by):
    request, entities = cedar_request(SUITE["principals"][name], line, SUITE["defaults"])
    result = cedarpy.is_authorized(request, TEXT, entities, schema=SCHEMA)
    assert result.diagnostics.errors == []
    assert result.decision.value.lower() == want
    if by is not None:
        assert sorted(result.diagnostics.id_annotations_by_reason.values()) == sorted(by)

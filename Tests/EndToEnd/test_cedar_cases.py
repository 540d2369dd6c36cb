"""The engine's line protocol on cases: our own, and every shared case of the reference engine where they are.

Shared: no difference, nothing unsupported, no field left out. Own (cedar_cases.jsonl): made by Tests/Deep/differential.py's
worlds, expectations confirmed by the reference engine, and some by hand.
"""

import concurrent.futures
import gzip
import importlib.util
import json
import os
import pathlib
import subprocess

import pytest
from processes import CHECKOUT

BINARY = pathlib.Path(os.environ.get("CEDAR_CONFORMANCE") or CHECKOUT / ".build-release/release/cedar-conformance")
SHARED = pathlib.Path(os.environ.get("STOCKADE_TEST_DATA") or CHECKOUT.parent / "shared") / "corpus/cedar"
OWN = pathlib.Path(__file__).parent / "cedar_cases.jsonl"


def answers(cases):
    """One answer for each case, in order; the work is shared by as many processes as there are cores."""
    workers = os.cpu_count() or 1
    size = max(1, (len(cases) + workers - 1) // workers)
    parts = [cases[i : i + size] for i in range(0, len(cases), size)]

    def run(part):
        lines = "".join(json.dumps(case, ensure_ascii=False) + "\n" for case in part)
        done = subprocess.run([str(BINARY)], input=lines, capture_output=True, text=True, encoding="utf-8", timeout=900, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        out = [json.loads(line) for line in done.stdout.split("\n") if line]
        assert len(out) == len(part), f"{len(out)} answers to {len(part)} cases"
        return out

    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        return [answer for part in pool.map(run, parts) for answer in part]


def rules():
    """The comparison rules that come with the shared cases."""
    spec = importlib.util.spec_from_file_location("shared_compare", SHARED / "compare.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def shared_cases(name):
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"shared cases: {name} is not here; its cases were NOT run")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def split(case):
    """A case of the reference's differential package as question and expectation."""
    return {k: v for k, v in case.items() if k != "expect"}, case["expect"]


def unfold(case):
    """A case of the integration corpus as questions and expectations: authorize, validate, permissive, levels."""
    expect = case["expect"]
    checks = expect["validate"]
    policies = {"policies": case["policies"], "schema": case["schema"]}
    yield {"op": "authorize", "id": case["id"], **policies, "entities": case["entities"], "requests": case["requests"]}, {"ok": True, "results": expect["authorize"]}
    yield {"op": "validate", "id": case["id"], **policies}, {"ok": True, **{k: checks[k] for k in ("valid", "errors", "warnings")}}
    yield {"op": "validate", "id": case["id"], **policies, "mode": "permissive"}, {"ok": True, "valid": checks["permissive"]}
    for level in range(3):
        passes = checks["level"] is not None and level >= checks["level"]
        yield {"op": "validate", "id": case["id"], **policies, "level": level}, {"ok": True, "valid": passes}


def differences(pairs, differs):
    found = []
    for (question, expect), answer in zip(pairs, answers([q for q, _ in pairs]), strict=True):
        assert "omit" not in answer, answer
        difference = differs(question["op"], expect, answer)
        if difference:
            found.append(f"{question.get('id')} {question['op']}: {difference}")
    return found


@pytest.mark.parametrize("package", ["diff-share.jsonl.gz", "corpus-share.jsonl.gz"])
def test_every_shared_case_agrees_with_the_reference(package):
    cases = shared_cases(package)
    compare = rules()

    def differs(op, expect, answer):
        # Warnings are compared wherever the reference reports them: an answer without them is a difference, too.
        missing = [k for k in ("warnings",) if k in expect and k not in answer]
        if missing:
            return missing
        if set(expect) == {"ok", "valid"}:
            return None if (answer["ok"], answer.get("valid")) == (True, expect["valid"]) else (expect, answer)
        return compare.differs(op, expect, answer)

    pairs = [split(case) for case in cases] if package.startswith("diff") else [pair for case in cases for pair in unfold(case)]
    found = differences(pairs, differs)
    print(f"shared cases: {package}: {len(pairs)} ran")
    assert not found, f"{len(found)} differences:\n" + "\n".join(found[:20])


def test_our_own_cases():
    lines = OWN.read_text(encoding="utf-8").splitlines()
    pairs = [split(json.loads(line)) for line in lines]

    def differs(_, expect, answer):
        for result in answer.get("results", []):
            result.pop("message", None)
        wrong = {k: (v, answer.get(k)) for k, v in expect.items() if answer.get(k) != v}
        return wrong or None

    found = differences(pairs, differs)
    assert not found, "\n".join(found)


def test_no_line_stops_the_engine():
    broken = ["", "{", '{"op": "nope"}', '{"op": "validate"}', '{"op": "authorize", "policies": 1}', '{"id": 7, "op": "parse_schema", "schema": []}']
    done = subprocess.run([str(BINARY)], input="\n".join(broken) + "\n", capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0
    out = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["ok"] for answer in out] == [False] * len(broken)
    assert out[-1]["id"] == 7

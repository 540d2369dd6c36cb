"""The engine's line protocol on cases of our own, which stand without the shared ones (those are Tests/Corpus).

cedar_cases.jsonl: made by Tests/Deep/differential.py's worlds, expectations confirmed by the reference engine, and some by hand.
"""

import json
import os
import pathlib
import subprocess

from processes import CHECKOUT

BINARY = pathlib.Path(os.environ.get("CEDAR_CONFORMANCE") or CHECKOUT / ".build-release/release/cedar-conformance")
OWN = pathlib.Path(__file__).parent / "cedar_cases.jsonl"


def answers(cases):
    lines = "".join(json.dumps(case, ensure_ascii=False) + "\n" for case in cases)
    done = subprocess.run([str(BINARY)], input=lines, capture_output=True, text=True, encoding="utf-8", timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    out = [json.loads(line) for line in done.stdout.split("\n") if line]
    assert len(out) == len(cases), f"{len(out)} answers to {len(cases)} cases"
    return out


def test_our_own_cases():
    cases = [json.loads(line) for line in OWN.read_text(encoding="utf-8").splitlines()]
    found = []
    for case, answer in zip(cases, answers([{k: v for k, v in case.items() if k != "expect"} for case in cases]), strict=True):
        assert "omit" not in answer, answer
        for result in answer.get("results", []):
            result.pop("message", None)
        wrong = {k: (v, answer.get(k)) for k, v in case["expect"].items() if answer.get(k) != v}
        if wrong:
            found.append(f"{case['id']} {case['op']}: {wrong}")
    assert not found, "\n".join(found)


def test_no_line_stops_the_engine():
    broken = ["", "{", '{"op": "nope"}', '{"op": "validate"}', '{"op": "authorize", "policies": 1}', '{"id": 7, "op": "parse_schema", "schema": []}']
    done = subprocess.run([str(BINARY)], input="\n".join(broken) + "\n", capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0
    out = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["ok"] for answer in out] == [False] * len(broken)
    assert out[-1]["id"] == 7

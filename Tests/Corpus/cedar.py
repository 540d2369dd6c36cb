"""Every shared Cedar case through cedar-conformance, held against the reference engine's answers.

    python Tests/Corpus/cedar.py [--exe PATH] [--family NAME] [--show N]

The cases, and the rules by which answers are compared, are read from STOCKADE_TEST_DATA or ../shared where that exists;
elsewhere this says so and runs nothing. A case agrees only if every compared field is there and equal: an operation that
is not supported, or a field that is left out, is a mismatch.
"""

import argparse
import collections
import concurrent.futures
import gzip
import importlib.util
import json
import os
import pathlib
import subprocess
import sys

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]


def shared():
    named = os.environ.get("STOCKADE_TEST_DATA")
    folder = pathlib.Path(named) if named else CHECKOUT.parent / "shared"
    return folder / "corpus" / "cedar"


def lines(path):
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def questions(case):
    """A case of the corpus as protocol lines, each with the answer that is expected."""
    common = {"policies": case["policies"], "schema": case["schema"]}
    yield (
        {"op": "authorize", "id": case["id"], **common, "entities": case["entities"], "requests": case["requests"]},
        {"ok": True, "results": case["expect"]["authorize"]},
    )
    # Asked for its trace the evaluator gives the same answer, and what it tells of each policy adds up to it.
    yield (
        {"op": "authorize", "traced": True, "id": case["id"], **common, "entities": case["entities"], "requests": case["requests"]},
        {"ok": True, "results": case["expect"]["authorize"]},
    )
    expected = case["expect"]["validate"]
    if not isinstance(expected, dict) or "valid" not in expected:
        return
    yield (
        {"op": "validate", "id": case["id"], **common, "mode": "strict"},
        {"ok": True, **{name: expected[name] for name in ("valid", "errors", "warnings") if name in expected}},
    )
    if "permissive" in expected:
        yield {"op": "validate", "id": case["id"], **common, "mode": "permissive"}, {"ok": True, "valid": expected["permissive"]}
    if "level" in expected:
        for level in range(3):
            passes = expected["level"] is not None and expected["level"] <= level
            yield {"op": "validate", "id": case["id"], **common, "mode": "strict", "level": level}, {"ok": True, "valid": passes}


def run(exe, batch):
    """Answers to a batch of questions, one line each."""
    text = "".join(json.dumps(question) + "\n" for question, _ in batch)
    done = subprocess.run([exe], input=text.encode(), stdout=subprocess.PIPE, check=False)
    answers = done.stdout.decode().splitlines()
    if len(answers) < len(batch):
        answers += [json.dumps({"ok": False, "stage": "no answer"})] * (len(batch) - len(answers))
    return [json.loads(answer) for answer in answers]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--exe", default=os.environ.get("CEDAR_CONFORMANCE", CHECKOUT / ".build-release/release/cedar-conformance"))
    parser.add_argument("--family")
    parser.add_argument("--show", type=int, default=10)
    arguments = parser.parse_args()
    folder = shared()
    if not (folder / "compare.py").exists():
        print("shared cases: corpus/cedar is not here; its cases were NOT run")
        print("0 passed, 0 failed")
        return 0
    spec = importlib.util.spec_from_file_location("compare", folder / "compare.py")
    compare = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(compare)

    asked = []
    for case in lines(folder / "corpus-share.jsonl.gz"):
        for question, expected in questions(case):
            asked.append((question, expected, "corpus " + question["op"] + (" traced" if "traced" in question else "")))
    for case in lines(folder / "diff-share.jsonl.gz"):
        expected, family = case.pop("expect"), case.get("family", case["op"])
        asked.append((case, expected, family))
    if arguments.family:
        asked = [item for item in asked if item[2] == arguments.family]

    size = 500
    batches = [asked[start : start + size] for start in range(0, len(asked), size)]
    ran, wrong = collections.Counter(), []
    with concurrent.futures.ThreadPoolExecutor(max_workers=os.cpu_count() or 2) as pool:
        for batch, answers in zip(batches, pool.map(lambda batch: run(arguments.exe, [item[:2] for item in batch]), batches)):
            for (question, expected, family), answer in zip(batch, answers):
                ran[family] += 1
                difference = compare.differs(question["op"], expected, answer)
                if answer.get("omit"):
                    difference = ("omit", None, answer["omit"])
                if difference:
                    wrong.append((family, question, difference))
    for family, question, difference in wrong[: arguments.show]:
        print(f"mismatch: {family} {question['op']} {question.get('id')}: {difference[0]}: expected {difference[1]!r}, got {difference[2]!r}")
    failed = collections.Counter(item[0] for item in wrong)
    for family in sorted(ran):
        print(f"shared cases: cedar {family}: {ran[family]} ran, {failed[family]} mismatches")
    print(f"{len(asked) - len(wrong)} passed, {len(wrong)} failed")
    return 1 if wrong else 0


sys.exit(main())

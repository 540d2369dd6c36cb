"""`stockade test` as a process: exit codes, files, what fails on nothing; its JUnit output by Python's reader of XML."""

import json
import shutil
import subprocess
import xml.etree.ElementTree

import pytest
from processes import CHECKOUT, binary, outside


@pytest.fixture
def folder(tmp_path):
    shutil.copytree(CHECKOUT / "policies", tmp_path / "policies")
    return tmp_path


def run(folder, *words):
    return subprocess.run(
        [binary(), "test", *map(str, words)], capture_output=True, text=True, timeout=120, check=False, cwd=folder, env={**outside(), "COLUMNS": "80", "LC_ALL": "C"}
    )  # fmt: skip


def test_the_sample_policies_pass_and_are_covered_but_for_what_is_frozen(folder):
    done = run(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].endswith(" passed, 0 failed")
    assert done.stdout.count("never") == 2 and "never: frozen" in done.stdout
    share = json.loads(run(folder, "--json").stdout)["coverage"]["clauses"]
    percent = share["covered"] * 100 // share["total"]
    assert run(folder, "--coverage-min", percent).returncode == 0
    gate = run(folder, "--coverage-min", percent + 1)
    assert gate.returncode == 4 and f"coverage of clauses: {share['covered']} of {share['total']} is less than {percent + 1} %" in gate.stderr


def test_a_failure_is_exit_4_and_in_every_output(folder):
    before = json.loads(run(folder, "--json").stdout)["passed"]
    path = folder / "policies" / "tests" / "wrong.json5"
    path.write_text("{ principals: { a: null }, tests: [{ name: 'a <b>', as: 'a', request: 'GET /orders', expect: 'allow' }] }")
    done = run(folder, "--junit", "results.xml", "--json")
    assert done.returncode == 4
    results = json.loads(done.stdout)
    assert (results["passed"], results["failed"]) == (before, 1)
    root = xml.etree.ElementTree.parse(folder / "results.xml").getroot()
    assert (root.get("tests"), root.get("failures")) == (str(before + 1), "1")
    failures = [case for case in root.iter("testcase") if case.find("failure") is not None]
    assert [case.get("name") for case in failures] == ["a <b>"]
    assert "expected allow, got deny (no_token)" in failures[0].find("failure").get("message")
    assert run(folder, "--filter", "viewers").returncode == 0
    assert run(folder, path).returncode == 4


def test_nothing_to_test_is_a_failure(folder):
    nothing = run(folder, "--filter", "no such test")
    assert nothing.returncode == 4 and "no test is called like" in nothing.stderr
    shutil.rmtree(folder / "policies" / "tests")
    nothing = run(folder)
    assert nothing.returncode == 4 and "there are no tests" in nothing.stderr


def test_what_is_wrong_is_told_before_any_test_runs(folder):
    (folder / "policies" / "tests" / "broken.json5").write_text("{ tests: [] }")
    done = run(folder)
    assert done.returncode == 3 and "there are no tests" in done.stderr and done.stdout == ""
    assert run(folder, "--coverage-min", "101").returncode == 64

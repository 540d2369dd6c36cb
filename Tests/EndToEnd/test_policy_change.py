"""A change of policy, played as its author plays it: from what would be refused to the new decision in the log. And every example that
the help of the commands of that day shows, as a shell runs it."""

import json
import os
import pathlib
import shutil
import subprocess

import pytest
import requests
from conftest import run_flags
from processes import CHECKOUT, Stockade, binary, outside

TEST = """{
  principals: { alice: { issuer: 'demo', claims: { sub: 'alice', 'cognito:groups': ['viewer'] } } },
  tests: [
    { name: 'viewers read reports', as: 'alice', request: 'GET /reports/7', expect: 'allow', by: ['viewers-read-reports'] },
    { name: 'and do not write them', as: 'alice', request: 'PUT /reports/7', expect: 'deny' },
  ],
}
"""
POLICY = """
@id("viewers-read-reports")
@owner("team-reports")
permit (
  principal in UserGroup::"demo|viewer",
  action in Action::"read",
  resource in Path::"/reports"
);
"""


def run(*words, **more):
    return subprocess.run(
        [binary(), *map(str, words)], capture_output=True, text=True, timeout=120, check=False,
        **{"env": {**outside(), "COLUMNS": "80", "LC_ALL": "C.UTF-8"}, **more},
    )  # fmt: skip


@pytest.fixture(scope="module")
def server(workplace, pool, nginx):
    folder = workplace / "live"
    shutil.copytree(CHECKOUT / "policies", folder)
    server = Stockade(workplace, "changing", *run_flags(pool, nginx.url, folder), "--mode", "observe", "--log-record", "replayable")
    server.until("its keys are there", lambda: requests.get(server.ops + "/readyz", timeout=5).status_code == 200)
    server.policies = folder
    yield server
    assert server.end() == 0, server.text()


def test_from_a_would_deny_to_the_new_decision_in_the_log(server, alice, bob, tmp_path):
    def ask(method, path, who):
        answer = requests.request(method, server.proxy + path, headers={"Authorization": "Bearer " + who["AccessToken"]}, timeout=30)
        return server.record(answer.headers["X-Stockade-Decision-Id"])

    # The day: among what is allowed, something that would be refused.
    for method, path, who in [("GET", "/orders/42", alice), ("GET", "/reports/7", alice), ("PUT", "/orders/42", bob), ("GET", "/reports/8", alice)]:
        ask(method, path, who)

    # It is seen in the log, and asked after.
    seen = run("logs", server.log, "--would-deny", "--by", "reason,principal")
    assert seen.returncode == 0 and "2  no_permit" in seen.stdout and "2 decisions in 1 group" in seen.stdout, seen.stdout
    refused = [json.loads(line) for line in run("logs", server.log, "--would-deny", "--json").stdout.splitlines()]
    told = run("why", refused[0]["id"], "--log", server.log, "--policies", server.policies)
    assert told.returncode == 0 and "observed and not enforced" in told.stdout
    assert "viewers-read-orders\n    resource in Path::\"/orders\"\n" in told.stdout.split("Nearest permits")[1], told.stdout

    # What should be is written down first, and fails.
    candidate = tmp_path / "candidate"
    shutil.copytree(server.policies, candidate)
    (candidate / "tests" / "reports.json5").write_text(TEST)
    failing = run("test", "--policies", candidate)
    assert failing.returncode == 4 and "expected allow by viewers-read-reports" not in failing.stdout
    assert "expected allow, got deny (no_permit)" in failing.stdout and failing.stdout.endswith(" passed, 1 failed\n")

    # The change, its tests, and the day decided again.
    policies = candidate / "orders.cedar"
    policies.write_text(policies.read_text() + POLICY)
    assert run("test", "--policies", candidate).returncode == 0
    assert run("check", "--policies", candidate).returncode == 0
    replayed = run("replay", server.log, "--policies", candidate, "--baseline", server.policies, "--json")
    result = json.loads(replayed.stdout)
    assert replayed.returncode == 4 and result["replayed"] == 4 and result["widened"] == result["changed"] == 2
    assert [(change["request"], change["now_by"], change["count"]) for change in result["changes"]] == [("GET /reports/…", "viewers-read-reports", 2)]

    # In force.
    before = refused[0]["policy_set"]
    shutil.copy(policies, server.policies / "orders.cedar")
    done = run("reload", env={**outside(), "STATE_DIRECTORY": str(pathlib.Path(server.folder) / "changing.state")})
    assert done.returncode == 0, done.stderr
    record = ask("GET", "/reports/7", alice)
    assert (record["decision"], record["policies"]) == ("allow", ["viewers-read-reports"]) and record["policy_set"] != before
    found = run("logs", server.log, "--policy", "viewers-read-reports", "--json").stdout.splitlines()
    assert [json.loads(line)["id"] for line in found] == [record["id"]]
    assert "owner: team-reports" in run("why", record["id"], "--log", server.log, "--policies", server.policies).stdout
    assert run("replay", server.log, "--policies", server.policies, "--since", "1h").returncode == 64


@pytest.fixture
def bench(server, alice, tmp_path):
    """A folder in which the examples find what they name."""
    requests.get(server.proxy + "/orders/42", headers={"Authorization": "Bearer " + alice["AccessToken"]}, timeout=30)
    server.until("a decision is written", lambda: server.records())
    shutil.copytree(CHECKOUT / "policies", tmp_path / "policies")
    shutil.copytree(CHECKOUT / "policies", tmp_path / "candidate")
    lines = server.log.read_text()
    (tmp_path / "decisions.ndjson").write_text(lines.replace(json.loads(lines.splitlines()[0])["id"], "01M83T90FM000G000000000001"))
    (tmp_path / "ticket-key").write_text("a key of more than 16 bytes\n")
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "stockade").symlink_to(binary())
    (tools / "journalctl").write_text("#!/bin/sh\ncat decisions.ndjson\n")
    (tools / "journalctl").chmod(0o755)
    return tmp_path


@pytest.mark.parametrize("command", ["logs", "why", "explain", "authorize", "ticket", "test", "replay", "learn"])
def test_every_example_of_the_help_does_what_it_says(bench, command):
    text = run("help", command).stdout.split("Examples:\n")[1].split("\n\n")[0]
    examples = [line.strip() for line in text.splitlines()]
    assert examples
    for example in examples:
        environment = {**outside(), "PATH": f"{bench / 'bin'}:{os.environ['PATH']}"}
        done = subprocess.run(["bash", "-c", f"set -o pipefail; {example}"], cwd=bench, env=environment, capture_output=True, text=True, timeout=60, check=False)
        # 2: denied, 4: changes were found. Anything else is not what an example shows.
        assert done.returncode in (0, 2, 4), f"{example}\n{done.stdout}{done.stderr}"
        assert done.stdout or "no decision is like that" in done.stderr, example

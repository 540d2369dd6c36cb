"""`stockade replay` and `stockade learn` over a log that the proxy wrote."""

import json
import os
import shutil
import subprocess

import pytest
import requests
from conftest import run_flags
from processes import CHECKOUT, Stockade, binary, outside


def run(*words, **more):
    return subprocess.run(
        [binary(), *map(str, words)], capture_output=True, text=True, timeout=120, check=False, env={**outside(), "COLUMNS": "80", "LC_ALL": "C"}, **more
    )  # fmt: skip


@pytest.fixture(scope="module")
def log(workplace, pool, nginx, alice, bob):
    """A day of decisions that can be replayed."""
    server = Stockade(workplace, "replayed", *run_flags(pool, nginx.url), "--log-record", "replayable")
    try:
        for method, path, who in [
            ("GET", "/orders/42", alice), ("GET", "/orders/", alice), ("DELETE", "/orders/42", alice), ("GET", "/invoices/1", alice),
            ("GET", "/orders/42", bob), ("GET", "/orders/archive/7", alice), ("GET", "/orders/42", None), ("DELETE", "/orders/archive/7", bob),
        ]:  # fmt: skip
            headers = {"Authorization": "Bearer " + who["AccessToken"]} if who else {}
            answer = requests.request(method, server.proxy + path, headers=headers, timeout=30)
            server.record(answer.headers["X-Stockade-Decision-Id"])
    finally:
        assert server.end() == 0, server.text()
    return server.log


@pytest.fixture
def candidate(tmp_path):
    shutil.copytree(CHECKOUT / "policies", tmp_path / "candidate")
    return tmp_path / "candidate"


def test_the_policies_that_decided_decide_so_again(log, candidate):
    done = run("replay", log, "--policies", candidate)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "replayed 7 of 8 decisions" in done.stdout and "unchanged 7\n" in done.stdout


def test_what_changes_is_listed_and_fails(log, candidate):
    policies = candidate / "orders.cedar"
    text = policies.read_text()
    policies.write_text(text.replace('@id("viewers-read-orders")', '@id("viewers-read-orders")', 1).replace('action in Action::"read",\n  resource in Path::"/orders"\n);', 'action in Action::"read",\n  resource\n);', 1))
    done = run("replay", log, "--policies", candidate)
    assert done.returncode == 4 and "deny -> allow  1  widening" in done.stdout and "GET /invoices/" in done.stdout, done.stdout
    assert run("replay", log, "--policies", candidate, "--fail-on", "widening").returncode == 4
    back = run("replay", log, "--policies", CHECKOUT / "policies", "--baseline", candidate, "--json")
    result = json.loads(back.stdout)
    assert back.returncode == 4 and (result["changed"], result["widened"]) == (1, 0)
    assert run("replay", log, "--policies", CHECKOUT / "policies", "--baseline", candidate, "--fail-on", "widening").returncode == 0


def test_what_cannot_be_replayed_is_counted_and_never_a_success(log, candidate, tmp_path):
    plain = tmp_path / "plain.ndjson"
    plain.write_text("".join(json.dumps({k: v for k, v in json.loads(line).items() if k != "input"}) + "\n" for line in log.open()))
    done = run("replay", plain, "--policies", candidate)
    assert done.returncode == 1 and "7 could not be replayed" in done.stdout and "was not recorded" in done.stdout
    assert "nothing could be replayed" in done.stderr
    (candidate / "orders.cedar").write_text("permit(principal, action, resource) when { 1 = 1 };")
    assert run("replay", log, "--policies", candidate).returncode == 3
    assert run("replay", log, "--fail-on", "thursdays").returncode == 64


def test_what_is_learned_is_accepted_and_loses_nothing(log, tmp_path):
    learned = run("learn", log)
    assert learned.returncode == 0, learned.stderr
    folder = tmp_path / "learned"
    folder.mkdir()
    (folder / "learned.cedar").write_text(learned.stdout)
    for name in ["schema.cedarschema", "entities.json"]:
        shutil.copy(CHECKOUT / "policies" / name, folder)
    assert run("check", "--policies", folder, "--deny-warnings", "--allow-lint", "unused-action", cwd=tmp_path).returncode == 0
    done = run("replay", log, "--policies", folder, "--json")
    result = json.loads(done.stdout)
    assert done.returncode == 0 and result["changed"] == 0 and result["replayed"] == 7, done.stdout


def test_many_records_are_replayed_by_all_processors_and_none_twice(log, candidate, tmp_path):
    many = tmp_path / "many.ndjson"
    many.write_text(log.read_text() * 500)
    result = json.loads(run("replay", many, "--policies", candidate, "--json").stdout)
    assert (result["seen"], result["replayed"], result["changed"]) == (4000, 3500, 0)
    with open(many) as piped:
        again = json.loads(run("replay", "-", "--policies", candidate, "--json", stdin=piped).stdout)
    assert again == result


def test_progress_is_shown_on_a_terminal_and_nowhere_else(log, candidate, tmp_path):
    many = tmp_path / "many.ndjson"
    many.write_text(log.read_text() * 700)
    command = [binary(), "replay", str(many), "--policies", str(candidate)]
    assert run(*command[1:]).stderr == ""
    controller, terminal = os.openpty()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=terminal, env={**outside(), "TERM": "xterm"})
    os.close(terminal)
    shown = b""
    try:
        while chunk := os.read(controller, 4096):
            shown += chunk
    except OSError:
        pass
    assert process.wait(60) == 0
    assert b"replayed" in shown and b" %" in shown and shown.endswith(b"\r\x1b[K")

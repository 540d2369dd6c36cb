"""`stockade logs` over real logs: the published schema, filters, standard input, a file that grows and is rotated."""

import json
import os
import subprocess

import jsonschema
import pytest
import requests
from conftest import run_flags
from processes import CHECKOUT, Stockade, binary, eventually, outside


def logs(*words, **more):
    return subprocess.run(
        [binary(), "logs", *map(str, words)], capture_output=True, text=True, timeout=60, check=False, env={**outside(), "COLUMNS": "80", "LC_ALL": "C"}, **more
    )  # fmt: skip


@pytest.fixture(scope="module")
def log(workplace, pool, nginx, alice):
    """Decisions of every kind, in a file."""
    server = Stockade(workplace, "watched", *run_flags(pool, nginx.url), "--log-record", "replayable")
    try:
        def ask(method, path, token=None, **more):
            headers = {"Authorization": "Bearer " + token} if token else {}
            return requests.request(method, server.proxy + path, headers=headers, timeout=30, **more).headers["X-Stockade-Decision-Id"]

        token = alice["AccessToken"]
        names = [ask("GET", "/orders/42", token), ask("DELETE", "/orders/42", token), ask("GET", "/orders/42"), ask("GET", "/orders/42", "a.b.c")]
        names.append(ask("POST", "/orders", token, data="x" * 10))
        for name in names:
            server.record(name)
    finally:
        assert server.end() == 0, server.text()
    return server.log


def strict(schema):
    """The schema with no room for fields that it does not name, except in what the policies saw."""
    if isinstance(schema, dict):
        closed = {key: strict(value) for key, value in schema.items()}
        if "properties" in closed:
            closed["additionalProperties"] = False
        return closed
    return [strict(value) for value in schema] if isinstance(schema, list) else schema


def test_every_line_is_what_the_published_schema_says(log):
    schema = json.loads(logs("--schema").stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(strict(schema))
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert len(lines) == 5 and any("input" in line for line in lines)
    for line in lines:
        validator.validate(line)
    validator.validate({"v": 1, "type": "summary", "time": "2026-11-23T09:00:00.000Z", "dropped": 3})
    for broken in [{**lines[0], "v": 2}, {**lines[0], "reason": "whim"}, {**lines[0], "extra": 1}, {k: v for k, v in lines[0].items() if k != "id"}]:
        assert not validator.is_valid(broken)


def test_no_line_holds_a_token(log, alice):
    text = log.read_text()
    for part in alice["AccessToken"].split("."):
        assert part not in text


def test_filters_and_groups(log):
    def ids(*words):
        return [json.loads(line)["id"] for line in logs(log, "--json", *words).stdout.splitlines()]

    records = {record["id"]: record for record in map(json.loads, log.read_text().splitlines())}
    assert ids() == list(records)
    assert ids("--denied") == [name for name, record in records.items() if record["decision"] == "deny"]
    assert ids("--reason", "no_token") == [name for name, record in records.items() if record["reason"] == "no_token"]
    assert ids("--method", "POST", "--since", "1h") == [name for name, record in records.items() if record["http"]["method"] == "POST"]
    assert ids("--until", "1h") == []
    assert ids("--last", "2") == list(records)[-2:]
    counted = logs(log, "--by", "decision", "--json").stdout.splitlines()
    assert {json.loads(line)["decision"]: json.loads(line)["count"] for line in counted} == {"allow": 1, "deny": 4}
    piped = logs("-", "--allowed", "--columns", "method,path,status", stdin=log.open())
    assert piped.stdout == "GET\t/orders/42\t200\n"


def why(*words):
    return subprocess.run(
        [binary(), "why", *map(str, words)], capture_output=True, text=True, timeout=60, check=False, env={**outside(), "COLUMNS": "80", "LC_ALL": "C.UTF-8"}, cwd=CHECKOUT
    )  # fmt: skip


def test_a_logged_decision_is_explained_by_its_id_its_end_and_as_the_last(log, tmp_path):
    records = [json.loads(line) for line in log.read_text().splitlines()]
    refused = next(record for record in records if record["action"] == 'Action::"DELETE"')
    told = why(refused["id"], "--log", log)
    assert told.returncode == 0, told.stderr
    assert "DENY  no_permit" in told.stdout and "Nearest permits" in told.stdout and "not recorded" not in told.stdout
    assert "    action in Action::\"read\"" in told.stdout
    assert why(refused["id"][-8:], "--log", log).stdout == told.stdout
    assert records[-1]["id"] in why("last", "--log", log).stdout

    # A record without what the policies saw: it is said, and not guessed.
    plain = tmp_path / "plain.ndjson"
    plain.write_text("".join(json.dumps({k: v for k, v in record.items() if k != "input"}) + "\n" for record in records))
    assert "not recorded: the principal's groups" in why(refused["id"], "--log", plain).stdout
    expired = next(record for record in records if record["reason"] == "no_token")
    assert "No policy was asked" in why(expired["id"], "--log", plain).stdout
    nobody = why("0000", "--log", plain)
    assert nobody.returncode == 1 and "no decision is called 0000" in nobody.stderr
    assert why("0", "--log", plain).returncode == 1
    assert why("--log", plain).returncode == 64


def test_what_is_not_to_be_had_is_said(log, tmp_path):
    assert logs(tmp_path / "none").returncode == 1
    nothing = logs(log, "--reason", "overload")
    assert nothing.returncode == 0 and nothing.stdout == "" and "no decision" in nothing.stderr
    for words in [["--reason", "no_tokn"], ["--by", "rute"], ["--since", "yesterday"], ["--slow", "10"], ["--follow", "--by", "route"]]:
        done = logs(log, *words)
        assert done.returncode == 64 and done.stderr.count("\n") == 1, words


def test_a_reader_that_leaves_ends_it(log, tmp_path):
    long = tmp_path / "long"
    long.write_text(log.read_text() * 2000)
    process = subprocess.Popen([binary(), "logs", str(long), "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(30) != 0 or process.stderr.read() == b""


def test_a_file_is_followed_over_a_rotation(log, tmp_path):
    lines = log.read_text().splitlines(keepends=True)
    grows = tmp_path / "grows.ndjson"
    grows.write_text(lines[0])
    out = tmp_path / "out"
    with out.open("wb") as sink:
        process = subprocess.Popen([binary(), "logs", str(grows), "--follow", "--json"], stdout=sink)
    try:
        def shows(count):
            eventually(f"{count} lines", lambda: out.read_text() == "".join(lines[:count]))

        shows(1)
        with grows.open("a") as more:
            # A line that is written in two pieces is one line.
            more.write(lines[1][:100])
            more.flush()
            more.write(lines[1][100:])
        shows(2)
        os.rename(grows, tmp_path / "grows.1")
        with (tmp_path / "grows.1").open("a") as late:
            late.write(lines[2])
        grows.write_text(lines[3])
        shows(4)
        # Copied away and emptied: what is shorter than before is begun anew.
        assert len(lines[2]) < len(lines[3])
        grows.write_text(lines[2])
        eventually("the new line", lambda: out.read_text() == "".join(lines[:4]) + lines[2])
    finally:
        process.kill()
        process.wait()

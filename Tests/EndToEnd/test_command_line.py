"""The commands as a person meets them: help, slips of the fingers, exit codes, JSON."""

import json
import os
import pty
import subprocess

import pytest
import requests
from issuer import Issuer
from processes import binary, eventually, outside
from test_shells import commands, flags


def run(*words, folder=None, **variables):
    return subprocess.run(
        [binary(), *map(str, words)], cwd=folder, env=outside() | variables, capture_output=True, text=True, timeout=60, check=False
    )


NAMED = "run demo init check authorize token config reload health version help completion man".split()


def test_every_command_has_help_with_examples_that_are_read_as_written():
    assert set(NAMED) <= set(commands())
    for command in commands():
        for words in [(command, "--help"), ("help", command), (command, "-h")]:
            done = run(*words)
            assert done.returncode == 0 and done.stderr == "", words
            assert f"Usage: stockade {command}" in done.stdout and "Examples:" in done.stdout, words
        examples = [line.strip() for line in done.stdout.split("Examples:")[1].split("Flags:")[0].splitlines() if line.strip()]
        assert examples
        for example in examples:
            known = flags(command)
            assert all(word.split("=")[0] in known for word in example.split() if word.startswith("--")), example


def test_without_a_command_the_overview_is_a_mistake_and_with_help_it_is_an_answer():
    done = run()
    assert done.returncode == 64 and done.stdout == "" and "stockade demo" in done.stderr
    assert run("help").stdout == run("--help").stdout == run("-h").stdout != ""
    assert run("--version").stdout == run("version").stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["chekc"], "did you mean `check`?"), (["help", "relaod"], "did you mean `reload`?"), (["frobnicate"], "stockade help"),
        (["run", "--polices", "x"], "did you mean --policies?"), (["run", "--mode"], "--mode needs a value"),
        (["run", "--mode", "observe", "--mode", "enforce"], "--mode is given twice"), (["run", "--dev=yes"], "takes no value"),
        (["run", "extra"], "takes no `extra`"), (["version", "1"], "takes no `1`"), (["check", "-x"], "unknown flag -x"),
        (["authorize", "--principal", 'User::"a"'], "--action is missing"), (["config"], "config show"), (["config", "shwo"], "does not know `shwo`"),
        (["token"], "needs the name"), (["completion", "tcsh"], "bash, zsh or fish"),
    ],
)  # fmt: skip
def test_a_wrong_command_line_is_64_and_says_what_was_probably_meant(words, said):
    done = run(*words)
    assert done.returncode == 64 and done.stdout == "" and said in done.stderr, done.stderr


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "all.cedar").write_text(
        '@id("read") permit (principal, action in Action::"read", resource);\n'
        '@id("late") @mode("shadow") forbid (principal, action, resource in Path::"/secret");\n'
    )
    (tmp_path / "keys.json").write_text(Issuer().key_set())
    (tmp_path / "stockade.json5").write_text(
        "{ upstream: 'http://127.0.0.1:1', policies: 'policies/',\n"
        "  issuers: { main: { issuer: 'https://login.example.com', audiences: ['a'], jwks_file: 'keys.json' } } }"
    )
    return tmp_path


def authorize(folder, action, *more):
    return run("authorize", "--principal", 'User::"a"', "--action", f'Action::"{action}"', "--resource", 'Path::"/secret"', *more, folder=folder)


def test_exit_codes_are_those_that_are_documented(folder):
    assert authorize(folder, "GET").returncode == 0
    assert authorize(folder, "DELETE").returncode == 2
    assert run("check", folder=folder).returncode == 0
    assert run("health", "--ops-listen", "127.0.0.1:1", folder=folder).returncode == 1
    assert run("reload", "--socket", "none.sock", folder=folder).returncode == 1
    assert run("token", "alice", "--issuer", "http://127.0.0.1:1").returncode == 1
    (folder / "policies" / "tests").mkdir()
    (folder / "policies" / "tests" / "a.test.json5").write_text("{ principals: { nobody: null }, tests: [ { name: 'x', as: 'nobody', request: 'GET /', expect: 'allow' } ] }")
    assert run("check", folder=folder).returncode == 4
    (folder / "policies" / "all.cedar").write_text("permti (principal, action, resource);\n")
    assert run("check", folder=folder).returncode == 3
    assert run("run", folder=folder).returncode == 3
    assert authorize(folder, "GET").returncode == 3
    assert run("run", "--config", "nowhere.json5", folder=folder).returncode == 3


def test_json_is_for_programs(folder):
    assert json.loads(run("version", "--json").stdout)["version"] == run("version").stdout.split()[1]
    answer = json.loads(authorize(folder, "GET", "--json").stdout)
    assert answer == {
        "decision": "allow", "policies": ["read"], "errors": [], "would": {"decision": "deny", "policies": ["late"], "errors": []},
    }  # fmt: skip
    denied = authorize(folder, "DELETE", "--json")
    assert denied.returncode == 2 and json.loads(denied.stdout)["decision"] == "deny"
    sound = json.loads(run("check", "--json", folder=folder).stdout)
    assert (sound["exit"], sound["problems"], sound["shadow"]) == (0, [], ["late"])
    (folder / "policies" / "all.cedar").write_text('@id("a")\npermti (principal, action, resource);\n')
    broken = run("check", "--json", folder=folder)
    problem = json.loads(broken.stdout)["problems"][0]
    assert broken.returncode == 3
    assert (problem["file"], problem["line"], problem["column"], problem["severity"]) == ("policies/all.cedar", 2, 1, "error")
    (folder / "stockade.json5").write_text("{ mod: 1 }")
    broken = run("check", "--json", folder=folder)
    assert broken.returncode == 3
    assert any('stockade.json5:1:3: error: unknown name "mod"' in problem["text"] for problem in json.loads(broken.stdout)["problems"])


def test_what_is_public_is_listed(folder):
    text = (folder / "stockade.json5").read_text().replace(
        "policies:",
        "routes: [ { match: 'GET /healthz', access: 'public' }, { match: 'OPTIONS /{rest...}', access: 'preflight' },"
        " { match: 'GET /new', mode: 'observe' }, { match: 'GET /orders' } ], policies:",
    )
    (folder / "stockade.json5").write_text(text)
    done = run("check", "--explain-public", folder=folder)
    assert done.returncode == 0, done.stderr
    for line in ["public      GET /healthz", "preflight   OPTIONS /{rest...}   (CORS preflights only)", "observed    GET /new   (forwards what would be refused)"]:
        assert line in done.stdout
    assert "/orders" not in done.stdout


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_decisions_on_a_terminal_have_colours_unless_no_color_is_set(folder, no_color, coloured):
    ours, theirs = pty.openpty()
    environment = outside() | {"NO_COLOR": no_color, "TERM": "xterm", "LANG": "C.UTF-8", "STATE_DIRECTORY": str(folder)}
    ready = folder / "ready"
    words = ["run", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--ready-file", ready]
    process = subprocess.Popen([binary(), *map(str, words)], cwd=folder, env=environment, stdout=theirs, stderr=subprocess.DEVNULL)
    os.close(theirs)
    try:
        eventually("it is ready", lambda: ready.exists() and ready.read_text())
        assert requests.get(json.loads(ready.read_text())["proxy"] + "/orders", timeout=10).status_code == 401
        line = b""
        while b"no_token" not in line:
            line += os.read(ours, 4096)
        assert (b"\x1b[31m" in line) == coloured and "✗ deny".encode() in line
    finally:
        process.terminate()
        process.wait(timeout=20)
        os.close(ours)

"""What README shows is run: its commands with the addresses of this run, and their answers compared with what it prints."""

import json
import os
import re
import signal
import subprocess

import pytest
import requests
from authority import Authority
from processes import CHECKOUT, Running, Stockade, binary

README = (CHECKOUT / "README.md").read_text()


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def console():
    """Each shown command with what is shown below it."""
    for block in blocks("console"):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            yield command, output


def inline_commands():
    return sorted(set(re.findall(r"`(stockade (?:help|version)[^`]*)`", README)))


def test_there_are_two_commands_and_the_first_starts_the_demo(tmp_path):
    commands = [line for block in blocks("sh") for line in block.splitlines() if line]
    assert commands == [".ci/demo", ".ci/test"]
    assert all(os.access(CHECKOUT / command, os.X_OK) for command in commands)
    if os.environ.get("STOCKADE_BINARY"):
        pytest.skip("another binary than the checkout's is under test")
    demo = Running([CHECKOUT / ".ci/demo", "--port", "0", "--json"], tmp_path, "first-command")
    try:
        def ready():
            return next((line for line in demo.out.read_text().splitlines() if line.startswith('{"ready_ms"')), None)

        info = json.loads(demo.until("the first command's demo", ready, patience=900))
        assert requests.get(info["proxy"] + "/orders/42", timeout=10).status_code == 401
    finally:
        demo.process.send_signal(signal.SIGINT)
        assert demo.process.wait(30) == 0


@pytest.mark.parametrize("command,output", [c for c in console() if c[0].startswith("curl ")])
def test_each_shown_request_is_answered_as_shown(demo, command, output):
    command = command.replace("http://127.0.0.1:8080", demo.info["proxy"])
    command = re.sub(r"stockade token (\w+)", rf"{binary()} token \1 --issuer {demo.info['issuer_url']}", command)
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, cwd=CHECKOUT)
    shown = output.splitlines()[0]
    assert done.stdout.splitlines()[0].strip() == shown, done.stdout + done.stderr


@pytest.mark.parametrize("command", [c for c, _ in console() if c.startswith("stockade run ")])
def test_the_shown_run_command_starts(tmp_path, command):
    flags = command.split()[2:]
    flags[flags.index("--policies") + 1] = str(CHECKOUT / flags[flags.index("--policies") + 1])
    server = Stockade(tmp_path, "readme", *flags)
    try:
        # The pool is nobody's and the service is not there, and both are said.
        assert requests.get(server.ops + "/readyz", timeout=10).status_code == 503
        assert requests.get(server.proxy + "/", timeout=10).status_code == 401
    finally:
        assert server.end() == 0, server.text()


def test_the_first_configuration_is_written_and_in_order(tmp_path):
    commands = [c for c, _ in console() if c.startswith(("stockade init ", "stockade check"))]
    assert len(commands) == 2
    for command in commands:
        done = subprocess.run([binary(), *command.split()[1:]], cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
    assert "mode: 'observe'" in (tmp_path / "stockade.json5").read_text()


def test_every_console_command_is_of_a_kind_that_is_run():
    for command, _ in console():
        assert command.startswith(("curl ", "stockade run ", "stockade init ", "stockade check")), f"nothing runs: {command}"
    assert any(command.startswith("curl ") for command, _ in console())


@pytest.mark.parametrize("command", inline_commands())
def test_commands_named_in_passing_exist(command):
    done = subprocess.run([binary(), *command.split()[1:]], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0 and done.stdout


def test_flags_named_in_passing_exist():
    commands = ("run", "demo", "avp")
    known = "".join(subprocess.run([binary(), "help", c], capture_output=True, text=True, timeout=30).stdout for c in commands)
    for flag in set(re.findall(r"`(--[a-z-]+)", README)):
        assert flag in known, flag


def test_the_sample_policy_shown_is_in_the_sample():
    sample = (CHECKOUT / "policies" / "orders.cedar").read_text()
    for block in blocks("cedar"):
        assert block.strip() in sample


@pytest.mark.parametrize(("shown", "word"), zip(blocks("json5"), ["unix:/run/orders.sock", "client_certificates", "/payment/amount", "policy-store-alias/shop", "reports.s3.eu-central-1"], strict=True))
def test_the_settings_shown_are_a_configuration_s(tmp_path, shown, word):
    issuers = "issuers: { main: { cognito: 'us-east-1_AbC123', client_ids: ['app'] } },"
    (tmp_path / "stockade.json5").write_text(f"{{ upstream: 'http://127.0.0.1:3000', {issuers} policies: 'policies', {shown} }}")
    if "tls:" in shown:
        (tmp_path / "tls").mkdir()
        authority = Authority(tmp_path, "authority")
        authority.issue("api", "DNS:api.example").place(tmp_path / "tls")
        (tmp_path / "tls/clients.pem").write_bytes(authority.pem.read_bytes())
        (tmp_path / "tls/revoked.pem").write_text(authority.revocations())
    command = [binary(), "config", "show", "--config", tmp_path / "stockade.json5"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0 and word in done.stdout, done.stdout + done.stderr


def test_the_json_shown_is_what_the_log_and_the_answers_have(demo):
    problem, line = (json.loads(block) for block in blocks("json"))
    answer = requests.get(demo.info["proxy"] + "/orders/42", timeout=10)
    assert list(answer.json()) == list(problem)
    record = demo.record(answer.headers["X-Stockade-Decision-Id"])
    assert set(line) <= set(record)
    assert set(line["http"]) <= set(record["http"])


def test_reasons_in_the_table_are_the_log_s_own():
    table = (CHECKOUT / "Tests" / "TelemetryTests" / "Golden" / "reasons.txt").read_text()
    known = {line.split("\t")[0] for line in table.splitlines()}
    section = README.split("## Why was I refused?")[1].split("\n## ")[0]
    for row in section.splitlines():
        if re.match(r"\| \d{3} ", row):
            for reason in re.findall(r"`([a-z_]+)`", row.split("|")[2]):
                assert reason in known, reason

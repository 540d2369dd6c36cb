"""Every example of every `--help` is executed, word for word, in a folder as its reader would have it.

Those of authorize, explain, learn, logs, replay, test, ticket and why are in test_policy_change.py, beside the log they read.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap

import boto3
import pytest

from issuer import Issuer
from processes import CHECKOUT, Running, VerifiedPermissions, binary, eventually, listening, outside
from test_shells import commands

ELSEWHERE = {"authorize", "explain", "learn", "logs", "replay", "test", "ticket", "why"}
DAEMONS = ("stockade run", "stockade demo", "stockade avp serve")
OPENAPI = {"openapi": "3.0.0", "info": {"title": "Orders", "version": "1"}, "paths": {"/orders/{id}": {"get": {
    "operationId": "getOrder", "parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}],
    "responses": {"200": {"description": "it"}}}}}}  # fmt: skip


def examples(command):
    text = subprocess.run([binary(), "help", command], capture_output=True, text=True, timeout=30, check=True).stdout
    return [line.strip() for line in text.split("Examples:\n")[1].split("\n\n")[0].splitlines()]


def shim(folder, name, text):
    path = folder / "bin" / name
    path.write_text(text)
    path.chmod(0o755)


@pytest.fixture(scope="module")
def store(workplace):
    service = VerifiedPermissions(workplace, "examples")
    yield service
    assert service.end() == 0, service.text()


@pytest.fixture
def folder(tmp_path, store):
    (tmp_path / "bin").mkdir()
    (tmp_path / "state" / "stockade").mkdir(mode=0o700, parents=True)
    os.symlink(os.path.abspath(binary()), tmp_path / "bin" / "stockade")
    # A stand-in for the command line that AWS has, over the same library.
    shim(tmp_path, "aws", f"#!{sys.executable}\n" + textwrap.dedent("""
        import boto3, os, sys
        assert sys.argv[1:] == ["verifiedpermissions", "list-policy-stores"]
        client = boto3.client("verifiedpermissions", region_name="eu-central-1", aws_access_key_id="a", aws_secret_access_key="b",
                              endpoint_url=os.environ["AWS_ENDPOINT_URL_VERIFIEDPERMISSIONS"])
        print(client.list_policy_stores()["policyStores"])
    """))
    shutil.copytree(CHECKOUT / "policies", tmp_path / "policies")
    (tmp_path / "keys.json").write_text(Issuer().key_set())
    (tmp_path / "openapi.json").write_text(json.dumps(OPENAPI))
    (tmp_path / "stockade.json5").write_text(
        "{ upstream: 'http://127.0.0.1:1', policies: 'policies',\n"
        "  issuers: { main: { issuer: 'https://login.example.com', audiences: ['a'], jwks_file: 'keys.json' } } }"
    )
    schema = subprocess.run(
        [binary(), "translate", "--to", "schema-to-json", next((tmp_path / "policies").glob("*.cedarschema"))], capture_output=True, text=True, timeout=30, check=True
    )
    (tmp_path / "schema.json").write_text(schema.stdout)
    return tmp_path


def surroundings(folder, store):
    return outside() | {
        "PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "XDG_STATE_HOME": str(folder / "state"), "XDG_CONFIG_HOME": str(folder / "fish"), "HOME": str(folder),
        "AWS_ENDPOINT_URL_VERIFIEDPERMISSIONS": store.url, "AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b",
    }  # fmt: skip


def as_here(example, folder, store):
    """What an example names and this machine has elsewhere: a folder of root's, a store, a service."""
    client = boto3.client(
        "verifiedpermissions", endpoint_url=store.url, region_name="eu-central-1", aws_access_key_id="a", aws_secret_access_key="b")
    if "policy-store" in example and "PSEXAMPLE" in example or "policy-store-alias/shop" in example:
        made = client.create_policy_store(validationSettings={"mode": "OFF"})["policyStoreId"]
        example = example.replace("PSEXAMPLEabcdefg111111", made).replace("policy-store-alias/shop", made)
        # A folder that is not there yet is pulled into.
        shutil.rmtree(folder / "policies")
        if "push" in example:
            (folder / "policies").mkdir()
            (folder / "policies" / "all.cedar").write_text('@id("all") permit (principal, action, resource);\n')
    return example.replace("/etc/bash_completion.d", str(folder)).replace("http://127.0.0.1:8787", store.url)


@pytest.fixture
def running(folder, store):
    """The process that an example talks to."""
    processes = []

    def begin(*words, port):
        process = Running([binary(), *words], folder, "running", surroundings(folder, store), cwd=folder)
        processes.append(process)
        process.until("it listens", lambda: listening(port))
        return process

    yield begin
    for process in processes:
        assert process.end() == 0, process.text()


CASES = [(command, example) for command in commands() if command not in ELSEWHERE for example in examples(command)]


@pytest.mark.parametrize(("command", "example"), CASES, ids=[example[:60] for _, example in CASES])
def test_an_example_does_what_it_says(folder, store, running, command, example):
    if any(listening(port) for port in (8080, 8081, 8082, 8787, 9902)):
        pytest.fail("the examples' own ports are taken on this machine")
    if command in ("health", "reload"):
        process = running("run", port=9902)
        process.until("it takes commands", lambda: (folder / "state" / "stockade" / "control.sock").exists())
    if command == "token":
        running("demo", port=8081)
    if "--to" in example and command == "run" or command == "init":
        (folder / "stockade.json5").unlink()
    if command == "init":
        shutil.rmtree(folder / "policies")
    if "check --openapi" in example:
        (folder / "stockade.json5").unlink()
        shutil.rmtree(folder / "policies")
        started = next(line for line in examples("init") if "--openapi" in line)
        assert shell(started + " --client-id 4h57example", folder, store).returncode == 0
    elif command == "check":
        # Tests of a folder are its own; these are another issuer's.
        shutil.rmtree(folder / "policies" / "tests")
    if command == "check" and "--online" in example:
        # Nothing is there to be reached: it says so.
        done = shell(example, folder, store)
        assert done.returncode == 1 and "127.0.0.1:1" in done.stdout + done.stderr, done.stdout + done.stderr
        return
    if example.startswith(DAEMONS):
        daemon(example, folder, store)
        return
    done = shell(as_here(example, folder, store), folder, store, "fish" if "| source" in example else "bash")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout or command == "health" or ">" in example or "--write" in example or "--check" in example or "| source" in example, example


def shell(example, folder, store, name="bash"):
    command = [name, "-c", example] if name == "fish" else [name, "-o", "pipefail", "-c", example]
    return subprocess.run(command, cwd=folder, env=surroundings(folder, store), capture_output=True, text=True, timeout=60, check=False)


def daemon(example, folder, store):
    with open(folder / "out", "w") as out:
        process = subprocess.Popen(
            ["bash", "-c", "exec " + example], cwd=folder, env=surroundings(folder, store), stdout=out, stderr=subprocess.STDOUT)
        try:
            said = lambda: process.poll() is not None or "http://127.0.0.1:" in (folder / "out").read_text()  # noqa: E731
            eventually("it listens", said)
            assert process.poll() is None, (folder / "out").read_text()
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0, (folder / "out").read_text()

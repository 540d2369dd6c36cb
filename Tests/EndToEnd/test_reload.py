"""Reloading: an edit is in force as a whole, a mistake changes nothing and is told, and no request is lost to either."""

import os
import shutil
import signal
import subprocess
import threading

import pytest
import requests

from conftest import run_flags
from processes import CHECKOUT, Stockade, binary


@pytest.fixture
def policies(tmp_path):
    folder = tmp_path / "policies"
    shutil.copytree(CHECKOUT / "policies", folder)
    return folder


@pytest.fixture
def server(tmp_path, pool, nginx, policies):
    running = Stockade(tmp_path, "reload", *run_flags(pool, nginx.url, policies))
    running.until("its keys are there", lambda: requests.get(running.ops + "/readyz", timeout=5).status_code == 200)
    yield running
    assert running.end() == 0, running.text()


def get(server, token, path="/orders/42"):
    return requests.get(server.proxy + path, headers={"Authorization": "Bearer " + token}, timeout=10).status_code


def generation(server):
    return metric(server, "stockade_snapshot_generation")


def metric(server, name):
    for line in requests.get(server.ops + "/metrics", timeout=5).text.splitlines():
        if line.startswith(name + " ") or line.startswith(name + "{"):
            return float(line.split()[-1])
    raise AssertionError(f"no {name}")


CLOSED = '@id("closed") forbid (principal, action, resource);\n'


def test_an_edit_is_in_force_without_a_signal(server, policies, alice):
    token = alice["AccessToken"]
    assert get(server, token) == 200
    (policies / "closed.cedar").write_text(CLOSED)
    server.until("the new policy refuses", lambda: get(server, token) == 403)
    record = server.until("the record", lambda: next((r for r in server.records() if r["status"] == 403), None))
    assert record["policies"] == ["closed"] and record["generation"] == 2
    (policies / "closed.cedar").unlink()
    server.until("it is taken back", lambda: get(server, token) == 200)
    assert generation(server) == 3


def test_a_broken_policy_changes_nothing_and_says_why(server, policies, alice):
    token = alice["AccessToken"]
    good = (policies / "orders.cedar").read_text()
    (policies / "orders.cedar").write_text(good + "permti (principal, action, resource);\n")
    server.until("it is told", lambda: "Nothing was changed." in server.err.read_text())
    said = server.err.read_text()
    line = good.count("\n") + 1
    assert f"orders.cedar:{line}:1: error:" in said and "permti" in said
    assert get(server, token) == 200, "the old set stays"
    assert metric(server, "stockade_policy_last_reload_successful") == 0
    assert generation(server) == 1
    (policies / "orders.cedar").write_text(good + CLOSED)
    server.until("the mended set is in force", lambda: get(server, token) == 403)
    assert metric(server, "stockade_policy_last_reload_successful") == 1


def test_sighup_reloads(server, alice):
    os.kill(server.pid, signal.SIGHUP)
    server.until("another generation", lambda: generation(server) == 2)
    assert get(server, alice["AccessToken"]) == 200


def test_the_reload_command_waits_for_the_outcome_and_tells_it(tmp_path, server, policies, alice):
    environment = {**os.environ, "STATE_DIRECTORY": str(tmp_path / "reload.state")}

    def reload():
        return subprocess.run([binary(), "reload"], env=environment, capture_output=True, text=True, timeout=30)

    (policies / "closed.cedar").write_text(CLOSED)
    done = reload()
    # The watch may have been faster; either way the new set is in force when the command is back.
    assert done.returncode == 0 and done.stdout.startswith("reloaded: generation "), done.stderr
    assert get(server, alice["AccessToken"]) == 403
    (policies / "closed.cedar").write_text("forbidden (principal, action, resource);\n")
    done = reload()
    assert done.returncode == 3 and "closed.cedar:1:1: error:" in done.stderr and "Nothing was changed." in done.stderr
    assert get(server, alice["AccessToken"]) == 403
    nowhere = subprocess.run([binary(), "reload", "--socket", str(tmp_path / "none.sock")], capture_output=True, text=True, timeout=30)
    assert nowhere.returncode == 1 and "none.sock" in nowhere.stderr


def test_health_is_for_container_checks(server):
    listen = server.ops.removeprefix("http://")
    assert subprocess.run([binary(), "health", "--ops-listen", listen], timeout=30).returncode == 0
    assert subprocess.run([binary(), "health", "--ops-listen", "127.0.0.1:1"], capture_output=True, timeout=30).returncode == 1


def test_a_link_that_is_swapped_is_seen(tmp_path, pool, nginx, policies, alice):
    """As Kubernetes updates a ConfigMap: files are links through `..data`, which is replaced by a rename."""
    mount = tmp_path / "mount"
    mount.mkdir()
    for number, extra in ((1, ""), (2, CLOSED)):
        version = mount / f"..{number}"
        shutil.copytree(policies, version)
        with open(version / "orders.cedar", "a") as file:
            file.write(extra)
    os.symlink("..1", mount / "..data")
    for name in ("orders.cedar", "schema.cedarschema", "entities.json"):
        os.symlink(f"..data/{name}", mount / name)
    running = Stockade(tmp_path, "configmap", *run_flags(pool, nginx.url, mount))
    running.until("its keys are there", lambda: requests.get(running.ops + "/readyz", timeout=5).status_code == 200)
    assert get(running, alice["AccessToken"]) == 200
    os.symlink("..2", mount / "..new")
    os.rename(mount / "..new", mount / "..data")
    running.until("the new version is in force", lambda: get(running, alice["AccessToken"]) == 403)
    assert running.end() == 0, running.text()


def test_no_request_is_lost_to_reloads_under_load(server, policies, alice, bob):
    stop = threading.Event()
    wrong, counts = [], []

    def ask(token, path, allowed):
        count = 0
        with requests.Session() as session:
            session.headers["Authorization"] = "Bearer " + token
            while not stop.is_set():
                status = session.get(server.proxy + path, timeout=10).status_code
                count += 1
                if status not in allowed:
                    wrong.append((path, status))
        counts.append(count)

    # Each reload turns one permission and leaves the other alone: the first may be either, the second only itself.
    threads = [
        threading.Thread(target=ask, args=(alice["AccessToken"], "/orders/42", {200})),
        threading.Thread(target=ask, args=(bob["IdToken"], "/orders/42", {200})),
        threading.Thread(target=ask, args=(alice["AccessToken"], "/invoices/1", {200, 403})),
    ]
    for thread in threads:
        thread.start()
    extra = '@id("invoices") permit (principal, action in Action::"read", resource in Path::"/invoices");\n'
    for number in range(20):
        before = generation(server)
        (policies / "extra.cedar").write_text(extra if number % 2 == 0 else '@id("nothing") forbid (principal, action, resource) when { false };\n')
        os.kill(server.pid, signal.SIGHUP)
        server.until("the reload is in force", lambda before=before: generation(server) > before)
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == [] and min(counts) > 20

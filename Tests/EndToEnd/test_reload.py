"""Reloading: an edit is in force as a whole, a mistake changes nothing and is told, and no request is lost to either."""

import os
import shutil
import signal
import subprocess
import threading
import time

import pytest
import requests

from conftest import run_flags
from issuer import Issuer
from processes import CHECKOUT, Stockade, binary
from test_configuration import Service


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


@pytest.mark.parametrize(
    "name, old, new, place",
    [
        ("schema.cedarschema", "entity UserGroup", "entitty UserGroup", "schema.cedarschema:"),
        ("entities.json", "[", "[,", "entities.json:1:"),
    ],
)
def test_a_broken_schema_or_entities_change_nothing_either(server, policies, alice, name, old, new, place):
    good = (policies / name).read_text()
    assert old in good
    fresh = policies / "fresh"
    fresh.write_text(good.replace(old, new, 1))
    os.rename(fresh, policies / name)
    server.until("it is told", lambda: "Nothing was changed." in server.err.read_text())
    assert place in server.err.read_text() and ": error:" in server.err.read_text()
    assert get(server, alice["AccessToken"]) == 200 and generation(server) == 1
    assert metric(server, "stockade_policy_last_reload_successful") == 0
    fresh.write_text(good)
    os.rename(fresh, policies / name)
    server.until("it is mended", lambda: metric(server, "stockade_policy_last_reload_successful") == 1)


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


# A configuration file with what it names: keys, secrets and policies beside it.


def configuration(upstream, **more):
    lines = "".join(f"{name}: {value}, " for name, value in more.items())
    return f"""{{
      upstream: '{upstream}', policies: 'policies/', {lines}
      issuers: {{ main: {{ issuer: 'https://login.example.com', audiences: ['orders'], jwks_file: 'keys.json', id_prefix: 'x' }} }},
    }}"""


def write(folder, name, text):
    """As editors save: a new file takes the name of the old one."""
    (folder / (name + "~")).write_text(text)
    os.rename(folder / (name + "~"), folder / name)


@pytest.fixture
def issuer():
    return Issuer()


@pytest.fixture
def mount(tmp_path, issuer):
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "all.cedar").write_text('@id("all") permit (principal, action, resource);\n')
    (tmp_path / "keys.json").write_text(issuer.key_set())
    return tmp_path


@pytest.fixture
def service():
    return Service("usual")


def run(mount, *flags):
    return Stockade(mount, "file", "--config", mount / "stockade.json5", *flags)


def test_keys_of_a_file_are_in_force_and_replaced_with_it(mount, issuer, service):
    (mount / "stockade.json5").write_text(configuration(service.url))
    server = run(mount)
    first = issuer.token("alice")
    assert get(server, first) == 200
    issuer.rotate("second")
    second = issuer.token("alice")
    assert get(server, second) == 401, "a key that nobody named"
    write(mount, "keys.json", issuer.key_set())
    server.until("the new key is in force", lambda: get(server, second) == 200)
    assert get(server, first) == 401, "the old key is gone, and what it signed with it"
    write(mount, "keys.json", issuer.key_set(private=True))
    server.until("it is told", lambda: "shows its private half" in server.err.read_text())
    said = server.err.read_text()
    assert "keys.json:1:" in said and issuer.key.as_dict(private=True)["d"][:24] not in said
    assert get(server, second) == 200, "the old snapshot stays"
    assert metric(server, "stockade_policy_last_reload_successful") == 0
    assert server.end() == 0, server.text()


def test_a_secret_that_changed_is_another_configuration(mount, service):
    (mount / "realm").write_text("one")
    (mount / "stockade.json5").write_text(configuration(service.url, realm="'${file:realm}'"))
    server = run(mount)

    def realm():
        return requests.get(server.proxy + "/", timeout=10).headers["WWW-Authenticate"]

    assert realm() == 'Bearer realm="one"'
    write(mount, "realm", "two\n")
    server.until("the other realm is named", lambda: realm() == 'Bearer realm="two"')
    assert server.end() == 0, server.text()


def test_a_configuration_that_is_as_it_was_is_told_as_good_again(mount, issuer, service):
    good = configuration(service.url)
    (mount / "stockade.json5").write_text(good)
    server = run(mount)
    write(mount, "stockade.json5", good.replace("upstream", "upstraem"))
    server.until("it is told", lambda: 'did you mean "upstream"?' in server.err.read_text())
    assert metric(server, "stockade_policy_last_reload_successful") == 0
    write(mount, "stockade.json5", good)
    server.until("all is well again", lambda: metric(server, "stockade_policy_last_reload_successful") == 1)
    assert get(server, issuer.token("alice")) == 200
    assert server.err.read_text().count("Nothing was changed.") == 1, "once, however often the folder is looked at"
    assert server.end() == 0, server.text()


def test_a_change_that_the_kernel_does_not_tell_of_is_seen_all_the_same(mount, issuer, service, tmp_path_factory):
    """As on a network file system: what is written elsewhere makes no event here. A slow poll sees it."""
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "closed.cedar"
    elsewhere.write_text("// nothing yet\n")
    os.symlink(elsewhere, mount / "policies" / "closed.cedar")
    (mount / "stockade.json5").write_text(configuration(service.url))
    # What the process itself writes must not wake the watch.
    server = Stockade(tmp_path_factory.mktemp("process"), "poll", "--config", mount / "stockade.json5")
    token = issuer.token("alice")
    assert get(server, token) == 200
    elsewhere.write_text(CLOSED)
    server.until("it is in force", lambda: get(server, token) == 403)
    assert server.end() == 0, server.text()


def test_a_folder_that_takes_the_place_of_another_is_watched(mount, issuer, service):
    (mount / "stockade.json5").write_text(configuration(service.url))
    server = run(mount)
    token = issuer.token("alice")
    os.rename(mount / "policies", mount / "before")
    shutil.copytree(mount / "before", mount / "policies")
    (mount / "policies" / "closed.cedar").write_text(CLOSED)
    server.until("what stands in it is in force", lambda: get(server, token) == 403)
    before = time.monotonic()
    (mount / "policies" / "closed.cedar").unlink()
    server.until("and what changes in it", lambda: get(server, token) == 200)
    assert time.monotonic() - before < 8, "by the watch, and not by the poll"
    assert server.end() == 0, server.text()


def test_no_request_is_decided_half_by_the_old_and_half_by_the_new_set(tmp_path, issuer, service):
    """Every version names its own action in the configuration, its own policy for it, and its own header for the service: a request
    for which one version's configuration met another's policies would be refused. The versions are swapped as Kubernetes swaps them."""
    mount = tmp_path / "mount"
    mount.mkdir()

    def version(number):
        folder = mount / f"..{number}"
        (folder / "policies").mkdir(parents=True)
        (folder / "policies" / "all.cedar").write_text(
            f'@id("policy-{number}") permit (principal, action == Action::"action-{number}", resource);\n'
        )
        (folder / "keys.json").write_text(issuer.key_set())
        routes = f"[ {{ match: '* /{{rest...}}', action: 'action-{number}' }} ]"
        (folder / "stockade.json5").write_text(
            configuration(service.url, routes=routes, identity_headers=f"{{ principal: 'X-Principal-{number}' }}")
        )

    def swap(number):
        os.symlink(f"..{number}", mount / "..new")
        os.rename(mount / "..new", mount / "..data")

    version(0)
    swap(0)
    for name in ("stockade.json5", "keys.json", "policies"):
        os.symlink(f"..data/{name}", mount / name)
    server = Stockade(tmp_path, "halves", "--config", mount / "stockade.json5", "--workers", "2")
    stop = threading.Event()
    wrong, seen = [], set()
    token = issuer.token("alice")

    def ask():
        with requests.Session() as session:
            while not stop.is_set():
                response = session.get(server.proxy + "/orders", headers={"Authorization": "Bearer " + token}, timeout=10)
                told = [name for name in response.json().get("headers", {}) if name.startswith("X-Principal-")]
                if response.status_code != 200 or len(told) != 1:
                    wrong.append((response.status_code, told))
                seen.update(told)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(1, 25):
        version(number)
        before = generation(server)
        swap(number)
        if number % 2:
            os.kill(server.pid, signal.SIGHUP)
        server.until("the next version is in force", lambda number=number: f"X-Principal-{number}" in seen)
        assert generation(server) > before
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    for record in server.records():
        number = record["policies"][0].removeprefix("policy-")
        assert record["action"] == f'Action::"action-{number}"' and record["decision"] == "allow"
    assert "reload_failed" not in server.err.read_text()
    assert server.end() == 0, server.text()

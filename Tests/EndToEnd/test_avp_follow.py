"""A running proxy follows a policy store: changes by boto3 come in force, what is broken or away changes nothing."""

import json
import re
import subprocess
import time

import pytest
import requests

from processes import Stockade, VerifiedPermissions, binary, eventually, outside
from test_verified_permissions import client

KEYS = {"AWS_ACCESS_KEY_ID": "AKIDTEST", "AWS_SECRET_ACCESS_KEY": "hush-secret", "AWS_REGION": "us-east-1"}
OPEN = 'permit(principal, action, resource == Path::"/orders/42");'


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("follow")


@pytest.fixture(scope="module")
def server(folder):
    server = VerifiedPermissions(folder, "store")
    yield server
    assert server.end() == 0


@pytest.fixture
def api(server):
    return client(server)


@pytest.fixture
def store(api):
    return api.create_policy_store(validationSettings={"mode": "OFF"})["policyStoreId"]


def add(api, store, statement, **more):
    return api.create_policy(policyStoreId=store, definition={"static": {"statement": statement}}, **more)["policyId"]


def start(folder, name, pool, nginx, store, url, waits=True, **more):
    configuration = {
        "upstream": nginx.url,
        "issuers": {"main": {
            "cognito": pool.id, "jwks_url": pool.jwks_url, "client_ids": [pool.client_id, pool.secret_client_id],
        }},
        "policies": {"store": {"policy_store": store, "endpoint": url, "poll": "200ms"}},
    }  # fmt: skip
    path = folder / f"{name}.json5"
    path.write_text(json.dumps(configuration))
    server = Stockade(folder, name, "--config", path, environment=KEYS, waits=waits, **more)
    if waits:
        server.until("it is ready", lambda: requests.get(server.ops + "/readyz", timeout=5).status_code == 200)
    return server


def status(server, alice, path):
    return requests.get(server.proxy + path, headers={"Authorization": alice["AccessToken"]}, timeout=10).status_code


def polls(server):
    text = requests.get(server.ops + "/metrics", timeout=5).text
    return {m[1]: int(m[2]) for m in re.finditer(r'^stockade_policy_store_polls_total\{result="(\w+)"\} (\d+)', text, re.M)}


def test_a_change_of_the_store_comes_in_force(folder, pool, nginx, alice, server, api, store):
    first = add(api, store, OPEN, name="name/first")
    proxy = start(folder, "change", pool, nginx, store, server.url)
    assert status(proxy, alice, "/orders/42") == 200 and status(proxy, alice, "/invoices/1") == 403
    record = eventually("a record", lambda: [r for r in proxy.records() if r["decision"] == "allow"])[0]
    assert record["policies"] == ["first.cedar#0"] and record["engine"] == "local"

    add(api, store, '@id("second") permit(principal, action, resource == Path::"/invoices/1");')
    began = time.monotonic()
    eventually("the new permit is in force", lambda: status(proxy, alice, "/invoices/1") == 200)
    # Looked at five times a second; what a debug build on a busy machine takes is allowed on top.
    assert time.monotonic() - began < 5
    api.update_policy(policyStoreId=store, policyId=first, definition={"static": {"statement": OPEN.replace(";", " when { false };")}})
    eventually("the changed permit is in force", lambda: status(proxy, alice, "/orders/42") == 403)
    template = api.create_policy_template(
        policyStoreId=store, statement="forbid(principal == ?principal, action, resource in ?resource);", name="name/ban"
    )["policyTemplateId"]
    me = {"entityType": "User", "entityId": record["principal"].split('"')[1] if '"' in record["principal"] else record["principal"]}
    linked = api.create_policy(policyStoreId=store, name="name/ban-alice", definition={"templateLinked": {
        "policyTemplateId": template, "principal": me, "resource": {"entityType": "Path", "entityId": "/invoices"},
    }})["policyId"]  # fmt: skip
    eventually("the link is in force", lambda: status(proxy, alice, "/invoices/1") == 403)
    eventually("it is named", lambda: any(r["policies"] == ["ban-alice"] for r in proxy.records() if r.get("policies")))
    api.delete_policy(policyStoreId=store, policyId=linked)
    eventually("the deletion is in force", lambda: status(proxy, alice, "/invoices/1") == 200)
    found = polls(proxy)
    assert found["changed"] >= 4 and found["refused"] == 0 and found["failed"] == 0
    assert "hush" not in proxy.text()
    assert proxy.end() == 0


def test_bad_contents_never_replace_good_ones(folder, pool, nginx, alice, server, api, store):
    add(api, store, OPEN)
    proxy = start(folder, "bad", pool, nginx, store, server.url)
    # A shadow here would not be enforced, and there it is.
    bad = add(api, store, '@mode("shadow") forbid(principal, action, resource);')
    eventually("it is refused", lambda: polls(proxy)["refused"] == 1)
    time.sleep(0.6)
    assert polls(proxy)["refused"] == 1 and status(proxy, alice, "/orders/42") == 200
    assert 'says @mode("shadow")' in proxy.text() and "policy_store_refused" in proxy.text()
    api.delete_policy(policyStoreId=store, policyId=bad)
    # A schema that the store's own policies do not fit: the store takes it, here it is refused.
    api.put_schema(policyStoreId=store, definition={"cedarJson": json.dumps({"Other": {"entityTypes": {"Thing": {}}, "actions": {}}})})
    eventually("it is refused", lambda: polls(proxy)["refused"] == 2)
    assert status(proxy, alice, "/orders/42") == 200 and status(proxy, alice, "/invoices/1") == 403
    api.put_schema(policyStoreId=store, definition={"cedarJson": "{}"})
    add(api, store, OPEN.replace("/orders/42", "/invoices/1"))
    eventually("good ones are taken again", lambda: status(proxy, alice, "/invoices/1") == 200)
    # A reload of something else changes nothing of it.
    proxy.process.send_signal(1)
    eventually("it is reloaded", lambda: "SIGHUP" in proxy.text())
    assert status(proxy, alice, "/invoices/1") == 200
    assert proxy.end() == 0


def test_an_outage_keeps_the_last_good_policies_over_a_restart(folder, pool, nginx, alice):
    service = VerifiedPermissions(folder, "outage")
    api = client(service)
    store = api.create_policy_store(validationSettings={"mode": "OFF"})["policyStoreId"]
    add(api, store, OPEN)
    proxy = start(folder, "outage-1", pool, nginx, store, service.url)
    add(api, store, OPEN.replace("/orders/42", "/invoices/1"))
    eventually("in force", lambda: status(proxy, alice, "/invoices/1") == 200)
    assert service.end() == 0
    eventually("the outage is counted", lambda: polls(proxy)["failed"] >= 2)
    assert status(proxy, alice, "/orders/42") == 200 and status(proxy, alice, "/orders/7") == 403
    assert proxy.text().count("policy_store_failed") == 1
    state = folder / "outage-1.state"
    assert proxy.end() == 0

    again = restart(folder, "outage-1", "outage-2", state)
    assert status(again, alice, "/orders/42") == 200 and status(again, alice, "/invoices/1") == 200 and status(again, alice, "/orders/7") == 403
    assert "policy_store_copy" in again.text()
    assert again.end() == 0

    # A copy that somebody changed is none, and without one nothing is started.
    copy = next(state.glob("policies-*.copy"))
    copy.write_bytes(copy.read_bytes().replace(b"/orders/42", b"/orders/43"))
    refused = restart(folder, "outage-1", "outage-3", state, waits=False)
    assert refused.process.wait(60) == 1
    assert "cannot be read" in refused.text() and "is not whole" in refused.text() and "Nothing was started" in refused.text()
    copy.unlink()
    refused = restart(folder, "outage-1", "outage-4", state, waits=False)
    assert refused.process.wait(60) == 1 and "there is no last good copy" in refused.text()


def restart(folder, configuration, name, state, waits=True):
    server = Stockade(
        folder, name, "--config", folder / f"{configuration}.json5", environment={**KEYS, "STATE_DIRECTORY": str(state)}, waits=waits
    )
    if waits:
        server.until("it is ready", lambda: requests.get(server.ops + "/readyz", timeout=5).status_code == 200)
    return server


def test_check_says_where_the_policies_are(folder, pool, nginx, store, server):
    path = folder / "checked.json5"
    path.write_text(json.dumps({
        "upstream": nginx.url, "issuers": {"main": {"cognito": pool.id, "jwks_url": pool.jwks_url, "client_ids": ["x"]}},
        "policies": {"store": {"policy_store": store, "endpoint": server.url}},
    }))  # fmt: skip
    done = subprocess.run(
        [binary(), "check", "--config", path, "--online"], capture_output=True, text=True, timeout=60, env={**outside(), **KEYS}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"policies come from policy store {store}" in done.stdout and "credentials" in done.stdout and "hush" not in done.stdout


def test_a_store_and_a_folder_are_one_too_many(folder, pool, nginx, store, server):
    path = folder / "both.json5"
    path.write_text(json.dumps({
        "upstream": nginx.url, "issuers": {"main": {"cognito": pool.id, "client_ids": ["x"]}},
        "policies": {"dir": "policies", "store": {"policy_store": store, "endpoint": server.url}},
    }))  # fmt: skip
    refused = Stockade(folder, "both", "--config", path, environment=KEYS, waits=False)
    assert refused.process.wait(60) == 3 and "keep one of the two" in refused.text()

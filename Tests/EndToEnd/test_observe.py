"""What is decided and not enforced: a policy in the shadow, a route, everything. It is logged, and nobody can overlook it."""

import json
import socket
import subprocess

import pytest
import requests
from issuer import Issuer
from processes import Stockade, binary, outside
from test_configuration import Service

POLICIES = """
@id("read") permit (principal, action in Action::"read", resource);
@id("no-secret") @mode("shadow") forbid (principal, action, resource in Path::"/secret");
@id("writers") @mode("shadow") permit (principal, action in Action::"write", resource in Path::"/orders");
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "all.cedar").write_text(POLICIES)
    return tmp_path


@pytest.fixture
def issuer(folder):
    issuer = Issuer()
    (folder / "keys.json").write_text(issuer.key_set())
    return issuer


def run(folder, name, upstream, more=""):
    (folder / "stockade.json5").write_text(
        f"""{{
          upstream: '{upstream}',
          issuers: {{ main: {{ issuer: 'https://login.example.com', audiences: ['orders'], jwks_file: 'keys.json', id_prefix: 'x' }} }},
          policies: 'policies/',
          {more}
        }}"""
    )
    return Stockade(folder, name, "--config", folder / "stockade.json5")


def ask(server, method, path, token=None, **headers):
    if token:
        headers["Authorization"] = "Bearer " + token
    response = requests.request(method, server.proxy + path, headers=headers, timeout=10)
    return response, server.record(response.headers["X-Stockade-Decision-Id"])


def ready(server):
    return requests.get(server.ops + "/readyz", timeout=5).json()


def metrics(server):
    lines = requests.get(server.ops + "/metrics", timeout=5).text.splitlines()
    return dict(line.rsplit(" ", 1) for line in lines if line.startswith("stockade_"))


def raw(server, text):
    host, port = server.proxy.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(text.encode())
        return connection.recv(65536).split(b" ")[1].decode()


def test_a_policy_in_the_shadow_is_told_of_and_not_enforced(folder, issuer):
    service = Service("usual")
    server = run(folder, "shadow", service.url)
    token = issuer.token("alice")
    response, record = ask(server, "GET", "/secret/plan", token)
    assert response.status_code == 200
    assert (record["decision"], record["policies"], record["enforced"]) == ("allow", ["read"], True)
    assert record["would"] == {"decision": "deny", "reason": "policy_forbid", "policies": ["no-secret"], "errors": 0}
    response, record = ask(server, "POST", "/orders", token)
    assert response.status_code == 403 and record["reason"] == "no_permit"
    assert record["would"] == {"decision": "allow", "reason": "policy_permit", "policies": ["writers"], "errors": 0}
    response, record = ask(server, "GET", "/orders", token)
    assert response.status_code == 200 and "would" not in record

    # Nobody can overlook it: at start, in metrics, in /readyz, in check.
    warning = next(line for line in server.err.read_text().splitlines() if "shadow_policies" in line)
    assert "no-secret, writers" in warning and "NOT enforced" in warning
    assert ready(server) == {
        "ready": True, "checks": {"listener": "ok", "keys:main": "ok", "worker:0": "ok"}, "mode": "enforce", "observed_routes": 0, "shadow_policies": 2,
    }  # fmt: skip
    server.until("it is counted", lambda: 'stockade_shadow_decisions_total{would="deny",changes="true"}' in metrics(server))
    numbers = metrics(server)
    assert numbers["stockade_shadow_policies"] == "2" and numbers['stockade_policies{effect="permit"}'] == "1"
    assert numbers['stockade_shadow_decisions_total{would="allow",changes="true"}'] == "1"
    checked = subprocess.run(
        [binary(), "check", "--config", folder / "stockade.json5"], env=outside(), capture_output=True, text=True, timeout=60
    )
    assert checked.returncode == 0 and "shadow: no-secret  (all.cedar:3)" in checked.stdout

    # Out of the shadow it is enforced, without a restart.
    (folder / "policies" / "all.cedar").write_text(POLICIES.replace('@mode("shadow")', ""))
    server.until("it is enforced", lambda: ask(server, "GET", "/secret/plan", token)[0].status_code == 403)
    assert ready(server)["shadow_policies"] == 0
    assert server.end() == 0, server.text()


def test_a_mode_that_is_none_keeps_the_old_set_and_says_where(folder, issuer):
    server = run(folder, "shadow", "http://127.0.0.1:1")
    (folder / "policies" / "all.cedar").write_text(POLICIES.replace("shadow", "shadwo"))
    server.until("it is told", lambda: "Nothing was changed." in server.err.read_text())
    said = server.err.read_text()
    assert 'all.cedar:3:18: error: "shadwo" is not a mode of a policy' in said and 'did you mean @mode("shadow")?' in said
    assert server.end() == 0, server.text()


def test_one_route_is_observed_and_the_others_are_not(folder, issuer):
    service = Service("usual")
    server = run(
        folder, "route", service.url,
        "routes: [ { match: 'GET /new/{rest...}', mode: 'observe' }, { match: '* /{rest...}' } ],",
    )  # fmt: skip
    response, record = ask(server, "GET", "/new/1", **{"X-Stockade-Principal": "root", "x_stockade_groups": "admin"})
    assert response.status_code == 200
    assert (record["decision"], record["reason"], record["enforced"], record["principal"]) == ("deny", "no_token", False, None)
    told = response.json()["headers"]
    assert told["X-Stockade-Principal"] == "" and told["X-Stockade-Groups"] == "" and "root" not in json.dumps(told)
    # An identity that was not verified is never told, whatever the token says.
    stranger = Issuer()
    response, record = ask(server, "GET", "/new/1", stranger.token("root"))
    assert (response.status_code, record["reason"], record["enforced"]) == (200, "token_signature", False)
    assert response.json()["headers"]["X-Stockade-Principal"] == "" and record["principal"] is None
    assert ask(server, "GET", "/old/1")[0].status_code == 401
    # What is ambiguous is refused on an observed route, too.
    assert raw(server, "GET /new/../old HTTP/1.1\r\nHost: a\r\n\r\n") == "400"
    assert raw(server, "GET /new/1 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n") == "400"
    assert raw(server, "GET /new/1 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n") == "400"
    warning = next(line for line in server.err.read_text().splitlines() if "observed_routes" in line)
    assert "GET /new/{rest...}" in warning and "NOT enforced" in warning
    assert (ready(server)["mode"], ready(server)["observed_routes"]) == ("enforce", 1)
    assert metrics(server)["stockade_observed_routes"] == "1" and metrics(server)["stockade_observe_mode"] == "0"
    assert server.end() == 0, server.text()


def test_everything_is_observed(folder, issuer):
    service = Service("usual")
    server = run(folder, "all", service.url, "mode: 'observe',")
    response, record = ask(server, "DELETE", "/orders/1", issuer.token("alice"))
    assert response.status_code in (200, 501) and (record["decision"], record["enforced"]) == ("deny", False)
    assert "NOT enforced" in next(line for line in server.err.read_text().splitlines() if "observe_mode" in line)
    assert ready(server)["mode"] == "observe" and metrics(server)["stockade_observe_mode"] == "1"
    assert server.end() == 0, server.text()

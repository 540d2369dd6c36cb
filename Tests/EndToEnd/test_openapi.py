"""From an OpenAPI document to a running proxy, with the names of either product; and what is said when the two drift apart."""

import json
import subprocess

import pytest
import requests
from processes import Stockade, binary, outside

DOCUMENT = {
    "openapi": "3.1.0",
    "info": {"title": "Order desk", "version": "1"},
    "paths": {
        "/": {"get": {"operationId": "home", "security": []}},
        "/orders/{orderId}": {
            "parameters": [{"name": "orderId", "in": "path", "required": True, "schema": {"type": "string"}}],
            "get": {"operationId": "getOrder"},
            "delete": {"operationId": "deleteOrder"},
        },
        "/orders/archive/{orderId}": {"get": {}},
    },
}


def run(folder, *words, **variables):
    return subprocess.run(
        [binary(), *map(str, words)], cwd=folder, env=outside() | variables, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture
def document(tmp_path):
    path = tmp_path / "openapi.json"
    path.write_text(json.dumps(DOCUMENT, indent=2))
    return path


def init(folder, *more):
    return run(folder, "init", "--to", "http://127.0.0.1:3000", "--cognito", "us-east-1_AbC123", "--client-id", "app", *more)


@pytest.mark.parametrize(
    ("mapping", "read", "delete"),
    [("avp", "get /orders/{orderId}", "delete /orders/{orderId}"), ("simple-rest", "getOrder", "deleteOrder")],
)
def test_init_check_and_run_before_a_real_service(tmp_path, document, pool, nginx, mapping, read, delete):
    made = run(
        tmp_path, "init", "--to", nginx.url, "--cognito", pool.id, "--client-id", pool.client_id, "--openapi", document, "--mapping", mapping,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    assert "  public      GET /   (security: [])\n" in made.stdout
    checked = run(tmp_path, "check", "--deny-warnings", "--openapi", document)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"4 operations, names as {mapping}, no drift" in checked.stdout
    # A group of the pool instead of the one that is only an example.
    policies = tmp_path / "policies" / "starter.cedar"
    policies.write_text(policies.read_text().replace("|reader", "|viewer"))
    more = ["--config", tmp_path / "stockade.json5", "--jwks-url", pool.jwks_url]
    alice, dave = pool.sign_in("alice")["AccessToken"], pool.sign_in("dave")["AccessToken"]
    server = Stockade(tmp_path, "observing", *more)
    try:
        server.until("its keys are there", lambda: requests.get(server.ops + "/readyz", timeout=5).status_code == 200)

        def ask(method, path, token=None):
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            response = requests.request(method, server.proxy + path, headers=headers, timeout=10)
            record = server.record(response.headers["X-Stockade-Decision-Id"])
            return response.status_code, record["decision"], record["reason"], record.get("action")

        namespace = "OrderDesk::Action"
        assert ask("GET", "/orders/42", alice) == (200, "allow", "policy_permit", f'{namespace}::"{read}"')
        # Observed: logged as refused, and forwarded.
        assert ask("GET", "/orders/42", dave) == (200, "deny", "no_permit", f'{namespace}::"{read}"')
        assert ask("GET", "/orders/archive/7", alice) == (200, "allow", "policy_permit", f'{namespace}::"get /orders/archive/{{orderId}}"')
        assert ask("DELETE", "/orders/nothing", alice) == (404, "deny", "no_permit", f'{namespace}::"{delete}"')
        assert ask("GET", "/")[:3] == (200, "allow", "public")
        assert ask("GET", "/invoices/1", alice)[:3] == (200, "deny", "no_route")
    finally:
        assert server.end() == 0, server.text()
    server = Stockade(tmp_path, "enforcing", *more, "--mode", "enforce")
    try:
        server.until("its keys are there", lambda: requests.get(server.ops + "/readyz", timeout=5).status_code == 200)
        for method, path, token, status in [
            ("GET", "/orders/42", alice, 200), ("GET", "/orders/42", dave, 403), ("DELETE", "/orders/42", alice, 403),
            ("GET", "/orders/42", None, 401), ("GET", "/", None, 200), ("GET", "/invoices/1", alice, 403),
        ]:  # fmt: skip
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            assert requests.request(method, server.proxy + path, headers=headers, timeout=10).status_code == status, (method, path)
    finally:
        assert server.end() == 0, server.text()


def test_nothing_is_overwritten_and_each_file_in_the_way_is_named(tmp_path, document):
    (tmp_path / "policies" / "tests").mkdir(parents=True)
    mine = [tmp_path / "policies" / "schema.cedarschema", tmp_path / "policies" / "tests" / "starter.test.json5"]
    for path in mine:
        path.write_text("mine")
    done = init(tmp_path, "--openapi", document)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr == (
        "error: policies/schema.cedarschema is here already\nerror: policies/tests/starter.test.json5 is here already\nNothing was written.\n"
    )
    assert [path.read_text() for path in mine] == ["mine", "mine"]
    assert not (tmp_path / "stockade.json5").exists() and not (tmp_path / "policies" / "starter.cedar").exists()


def test_init_refuses_a_document_that_it_cannot_read_and_writes_nothing(tmp_path):
    (tmp_path / "api.yaml").write_text("openapi: 3.0.0\npaths: {}\n")
    done = init(tmp_path, "--openapi", "api.yaml")
    assert done.returncode == 3
    assert "api.yaml:1:1: error: this is YAML, and OpenAPI documents are read as JSON" in done.stderr
    assert done.stderr.endswith("1 error. Nothing was written.\n")
    assert init(tmp_path, "--openapi", "nowhere.json").returncode == 3
    assert not (tmp_path / "stockade.json5").exists()
    for words, message in [
        (["--mapping", "avp"], "--openapi names none"), (["--namespace", "X"], "--openapi names none"),
        (["--openapi", "api.yaml", "--mapping", "rest"], "write avp or simple-rest"),
    ]:  # fmt: skip
        done = init(tmp_path, *words)
        assert done.returncode == 64 and message in done.stderr


def test_drift_is_drawn_in_both_files_and_exits_4(tmp_path, document):
    assert init(tmp_path, "--openapi", document, "--namespace", "Desk").returncode == 0
    assert "namespace Desk {" in (tmp_path / "policies" / "schema.cedarschema").read_text()
    changed = json.loads(document.read_text())
    changed["paths"]["/orders/{id}"] = changed["paths"].pop("/orders/{orderId}")
    del changed["paths"]["/orders/{id}"]["delete"], changed["paths"]["/orders/{id}"]["parameters"]
    changed["paths"]["/customers"] = {"get": {}}
    document.write_text(json.dumps(changed, indent=2))
    done = run(tmp_path, "check", "--openapi", "openapi.json")
    assert done.returncode == 4, done.stdout + done.stderr
    lines = document.read_text().splitlines()
    line = lines.index('    "/orders/{id}": {') + 2
    for text in [
        "stockade.json5:17:14: error: {orderId} is called {id} in the document", 'the action is "get /orders/{orderId}", and by the document it is "get /orders/{id}"',
        "no route is for GET /customers, so it is refused", "no operation of the document is for DELETE /orders/{orderId}", f"openapi.json:{line}:7: note: the operation is here",
        "openapi.json  4 operations, names as avp, 4 differences",
    ]:  # fmt: skip
        assert text in done.stdout
    done = run(tmp_path, "check", "--openapi", "openapi.json", "--json")
    assert done.returncode == 4
    report = json.loads(done.stdout)
    assert report["exit"] == 4 and report["configuration"] == "stockade.json5" and report["policies"] == {"errors": 0, "warnings": 0}
    assert report["tests"]["failed"] == 0 and report["openapi"]["mapping"] == "avp"
    kinds = [finding["kind"] for finding in report["openapi"]["findings"]]
    assert sorted(kinds) == ["operation_without_route", "other_action", "parameter_renamed", "route_without_operation"]
    renamed = report["openapi"]["findings"][kinds.index("parameter_renamed")]
    assert renamed["route"] == {"file": "stockade.json5", "line": 17, "column": 14}
    assert renamed["operation"]["file"] == "openapi.json"
    # A document that is invalid is no drift.
    document.write_text("{}")
    done = run(tmp_path, "check", "--openapi", "openapi.json", "--json")
    assert done.returncode == 3 and json.loads(done.stdout)["exit"] == 3
    assert "says no" in json.loads(done.stdout)["problems"][0]["text"]
    assert run(tmp_path, "check", "--openapi", "openapi.json", "--mapping", "x").returncode == 64

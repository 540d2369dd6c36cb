"""Deciding by Verified Permissions: one table for all engines, a hostile service, the decision cache, fallback, per-route engines."""

import gzip
import json
import socketserver
import subprocess
import threading
import time

import boto3
import pytest
import requests

from processes import Stockade, VerifiedPermissions, binary, outside
from test_verified_permissions import client

KEYS = {"AWS_ACCESS_KEY_ID": "AKIDTEST", "AWS_SECRET_ACCESS_KEY": "hush-secret", "AWS_SESSION_TOKEN": "hush-token", "AWS_REGION": "us-east-1"}


def run(folder, name, pool, nginx, engine, policies=None, routes=None, compare=None):
    configuration = {
        "upstream": nginx.url,
        "issuers": {"main": {
            "cognito": pool.id, "jwks_url": pool.jwks_url, "client_ids": [pool.client_id, pool.secret_client_id],
        }},
        "engine": engine,
    }  # fmt: skip
    if policies:
        configuration["policies"] = str(policies)
    if compare:
        configuration["compare"] = compare
    if routes:
        configuration |= {"routes": routes, "unrouted": "path"}
    path = folder / f"{name}.json5"
    path.write_text(json.dumps(configuration))
    server = Stockade(folder, name, "--config", path, environment=KEYS)
    server.until("it is ready", lambda: requests.get(server.ops + "/readyz", timeout=5).status_code == 200)
    return server


def remote(store, url, **more):
    return {"verified_permissions": {"policy_store": store, "endpoint": url, **more}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("engine")


@pytest.fixture(scope="module")
def avp(folder, pool):
    server = VerifiedPermissions(folder, "avp", "--jwks", f"https://cognito-idp.us-east-1.amazonaws.com/{pool.id}={pool.jwks_url}")
    yield server
    assert server.end() == 0


POLICIES = [
    'permit(principal in UserGroup::"{pool}|viewer", action == Action::"GET", resource in Path::"/orders");',
    'forbid(principal, action, resource == Path::"/orders/7");',
    'permit(principal, action, resource == Path::"/name") when {{ principal has email && principal["cognito:username"] == "alice" }};',
    'permit(principal, action, resource == Path::"/client") when {{ context has token && context.token.client_id == "{client}" }};',
    'permit(principal, action, resource == Path::"/time") when {{ context.time > datetime("2024-01-01") && context.client.ip.isLoopback() }};',
    'permit(principal, action, resource == Path::"/broken") when {{ context.nothing }};',
    'permit(principal, action == Action::"POST", resource in Path::"/orders/uploads") when {{ resource.segments == 3 }};',
]
REQUESTS = [
    ("GET", "/orders/42"), ("GET", "/orders/7"), ("POST", "/orders/42"), ("GET", "/name"), ("GET", "/client"), ("GET", "/time"),
    ("GET", "/broken"), ("POST", "/orders/uploads/1"), ("POST", "/orders/uploads/1/2"), ("GET", "/orders"), ("GET", "/"), ("HEAD", "/orders/42"),
]  # fmt: skip


@pytest.fixture(scope="module")
def store(avp, folder, pool):
    """The policies in a store, and the same in files under the ids that the store gave them."""
    api = client(avp)
    identifier = api.create_policy_store(validationSettings={"mode": "OFF"})["policyStoreId"]
    api.create_identity_source(
        policyStoreId=identifier, principalEntityType="User",
        configuration={"cognitoUserPoolConfiguration": {
            "userPoolArn": f"arn:aws:cognito-idp:us-east-1:123456789012:userpool/{pool.id}",
            "groupConfiguration": {"groupEntityType": "UserGroup"},
        }},
    )  # fmt: skip
    files = folder / "policies"
    files.mkdir()
    for number, text in enumerate(POLICIES):
        statement = text.format(pool=pool.id, client=pool.client_id)
        made = api.create_policy(policyStoreId=identifier, definition={"static": {"statement": statement}})["policyId"]
        (files / f"{number}.cedar").write_text(f'@id("{made}")\n{statement}\n')
    return identifier


def test_one_table_gets_one_answer_from_every_engine(folder, pool, nginx, avp, store):
    engines = {
        "local": run(folder, "local", pool, nginx, {"local": {}}, policies=folder / "policies"),
        "named": run(folder, "named", pool, nginx, remote(store, avp.url, operation="IsAuthorized")),
        "token": run(folder, "token", pool, nginx, remote(store, avp.url, operation="IsAuthorizedWithToken")),
        "remembered": run(folder, "remembered", pool, nginx, remote(store, avp.url, cache="60s")),
    }
    answers = {}
    for user in ("alice", "bob", "dave"):
        tokens = pool.sign_in(user)
        for use in ("AccessToken", "IdToken"):
            for method, path in REQUESTS:
                for name, server in [*engines.items(), ("remembered", engines["remembered"])]:
                    response = requests.request(method, server.proxy + path, headers={"Authorization": tokens[use]}, timeout=10, allow_redirects=False)
                    record = server.record(response.headers["X-Stockade-Decision-Id"])
                    found = (
                        record["decision"], record["reason"], tuple(sorted(record.get("policies") or [])), record.get("errors", 0),
                        record.get("principal"),
                    )  # fmt: skip
                    assert record["engine"] == ("local" if name == "local" else "verified_permissions")
                    answers.setdefault((user, use, method, path), {})[name] = found
    differing = {}
    for key, found in answers.items():
        # A remote engine does not say what a policy that failed would have done: on_policy_error refuses for any, as documented.
        if any(a[3] for a in found.values()):
            assert found["named"] == found["token"] and found["named"][0] == "deny" and found["local"][3:] == found["named"][3:], key
            continue
        if len(set(found.values())) != 1:
            differing[key] = found
    assert not differing
    decisions = [found["named"][0] for found in answers.values()]
    assert decisions.count("allow") >= 10 and decisions.count("deny") >= 30
    for server in engines.values():
        assert "hush" not in server.text() and "hush" not in server.log.read_text()
        assert server.end() == 0


class Stub:
    """A service that answers as the resource of the question says."""

    def __init__(self):
        stub = self
        self.asked = 0
        self.number = 0
        self.bodies = []
        self.batches = []

        class Connection(socketserver.StreamRequestHandler):
            def handle(self):
                while True:
                    length = 0
                    line = self.rfile.readline()
                    if not line:
                        return
                    while (line := self.rfile.readline()) not in (b"\r\n", b""):
                        if line.lower().startswith(b"content-length:"):
                            length = int(line.split(b":")[1])
                    body = json.loads(self.rfile.read(length))
                    stub.asked += 1
                    stub.bodies.append(body)
                    if "requests" in body:
                        stub.batch(body["requests"], self)
                        continue
                    if not stub.answer(body["resource"]["entityId"], self):
                        return

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True
            request_queue_size = 1024

        self.server = Server(("127.0.0.1", 0), Connection)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def batch(self, items, connection):
        self.batches.append(len(items))
        self.number += 1
        answers = [{"request": item, "decision": "ALLOW", "determiningPolicies": [{"policyId": "p"}], "errors": []} for item in items]
        body = json.dumps({"results": answers}).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.0\r\nContent-Length: {len(body)}\r\n"
        connection.wfile.write(f"{head}x-amzn-RequestId: request-{self.number:08}\r\n\r\n".encode() + body)

    def answer(self, path, connection):
        allow = json.dumps({"decision": "ALLOW", "determiningPolicies": [{"policyId": "p"}], "errors": []}).encode()
        self.number += 1
        status, kind, request_id, more, body, length = "200 OK", "application/x-amz-json-1.0", f"request-{self.number:08}", "", allow, None
        case = path.removeprefix("/")
        match case:
            case "slow":
                time.sleep(3)
            case "dropped":
                return False
            case "html":
                kind = "text/html"
            case "json-type":
                kind = "application/json"
            case "no-type":
                kind = None
            case "429" | "500" | "503" | "400" | "302" | "403" | "201":
                status = f"{case} X"
            case "typed-error":
                body = allow[:-1] + b', "__type": "com.amazonaws#AccessDeniedException"}'
            case "named-error":
                more = "x-amzn-ErrorType: AccessDeniedException\r\n"
            case "not-json":
                body = b"ALLOW"
            case "truncated-json":
                body = allow[:-5]
            case "two-answers":
                body = allow + allow
            case "twice-decided":
                body = allow.replace(b'"decision": "ALLOW"', b'"decision": "DENY", "decision": "ALLOW"')
            case "lower-case":
                body = allow.replace(b"ALLOW", b"Allow")
            case "no-policy":
                body = b'{"decision": "ALLOW", "determiningPolicies": [], "errors": []}'
            case "list":
                body = b"[" + allow + b"]"
            case "null":
                body = b"null"
            case "empty":
                body = b""
            case "huge":
                body = allow[:-1] + b', "padding": "' + b"x" * (4 << 20) + b'"}'
            case "gzip":
                more, body = "Content-Encoding: gzip\r\n", gzip.compress(allow)
            case "fake-gzip":
                more = "Content-Encoding: gzip\r\n"
            case "no-id":
                request_id = None
            case "old-id":
                request_id = "request-00000001"
            case "bad-id":
                request_id = "x"
            case "cut-off":
                length = len(body) + 10
            case "chunks-cut-off":
                connection.wfile.write(
                    f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nx-amzn-RequestId: {request_id}\r\nTransfer-Encoding: chunked\r\n\r\n"
                    f"{len(body):x}\r\n".encode() + body
                )
                return False
            case "two-lengths":
                more = f"Content-Length: {len(body) + 1}\r\n"
            case "nonsense":
                connection.wfile.write(b"\x00\x01\x02\r\n\r\n" + allow)
                return False
            case "trickle":
                connection.wfile.write(f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n".encode())
                try:
                    for byte in b"x-amzn-RequestId: request-trickle\r\n\r\n" + body:
                        connection.wfile.write(bytes([byte]))
                        connection.wfile.flush()
                        time.sleep(0.05)
                except OSError:
                    pass
                return False
            case _ if case.startswith("wait-"):
                time.sleep(0.05)
        head = f"HTTP/1.1 {status}\r\n{more}Content-Length: {len(body) if length is None else length}\r\n"
        head += f"Content-Type: {kind}\r\n" if kind else ""
        head += f"x-amzn-RequestId: {request_id}\r\n" if request_id else ""
        try:
            connection.wfile.write(head.encode() + b"\r\n" + body)
        except OSError:
            return False
        return length is None


CASES = {
    **dict.fromkeys(["slow", "trickle"], "engine_timeout"),
    **dict.fromkeys(
        ["dropped", "html", "json-type", "no-type", "429", "500", "503", "400", "302", "403", "201", "typed-error", "named-error", "not-json",
         "truncated-json", "two-answers", "twice-decided", "lower-case", "no-policy", "list", "null", "empty", "huge", "gzip", "fake-gzip",
         "no-id", "old-id", "bad-id", "cut-off", "chunks-cut-off", "two-lengths", "nonsense"],
        "engine_error",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def stub():
    made = Stub()
    yield made
    made.server.shutdown()


@pytest.fixture(scope="module")
def hostile(folder, pool, nginx, stub):
    server = run(folder, "hostile", pool, nginx, remote("PS1", stub.url, timeout="900ms", attempt_timeout="300ms", attempts=2))
    yield server
    assert server.end() == 0


@pytest.mark.parametrize("case", CASES)
def test_no_answer_of_a_hostile_service_becomes_an_allow(hostile, nginx, pool, stub, case):
    token = pool.sign_in("alice")["AccessToken"]
    # In between it answers as it should: what is refused is refused for its own sake.
    good = requests.get(hostile.proxy + f"/orders/42?good={case}", headers={"Authorization": token}, timeout=10)
    assert good.status_code == 200, good.text
    began = time.monotonic()
    bad = requests.get(hostile.proxy + f"/{case}?bad={case}", headers={"Authorization": token}, timeout=10)
    assert bad.status_code == 503 and bad.headers["Retry-After"], bad.text
    assert time.monotonic() - began < 2.5
    record = hostile.record(bad.headers["X-Stockade-Decision-Id"])
    assert record["reason"] == CASES[case] and record["decision"] == "error", record
    assert [r["id"] for r in hostile.records()].count(record["id"]) == 1
    assert not any(f"bad={case}" in line for line in nginx.requests())


def test_the_service_is_counted_and_no_secret_is_said(hostile):
    metrics = requests.get(hostile.ops + "/metrics", timeout=5).text
    assert 'stockade_avp_requests_total{result="failed"}' in metrics and 'stockade_avp_requests_total{result="timeout"}' in metrics
    assert "hush" not in hostile.text() and "hush" not in hostile.log.read_text() and "hush" not in metrics


def test_equal_questions_are_asked_once_and_remembered(folder, pool, nginx, stub):
    token = pool.sign_in("alice")["AccessToken"]
    server = run(folder, "cached", pool, nginx, remote("PS1", stub.url, cache="60s"))
    answers = []

    def ask(path):
        answers.append(requests.get(server.proxy + path, headers={"Authorization": token}, timeout=10).status_code)

    asked = stub.asked
    threads = [threading.Thread(target=ask, args=("/wait-1",)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # context.time has whole seconds: a second that begins in between asks once more.
    assert len(answers) == 20 and stub.asked - asked <= 2 * 2
    for _ in range(5):
        ask("/orders/42")
    metrics = requests.get(server.ops + "/metrics", timeout=5).text
    hits = float(next(line.split()[-1] for line in metrics.splitlines() if line.startswith('stockade_avp_requests_total{result="hit"}')))
    assert hits >= 1
    assert server.end() == 0


def test_the_local_engine_decides_in_its_place_only_where_that_was_chosen(folder, pool, nginx, stub, store):
    token = pool.sign_in("alice")["AccessToken"]
    server = run(
        folder, "fallback", pool, nginx, remote("PS1", stub.url, fallback="local", attempts=1), policies=folder / "policies"
    )
    for path, status in (("/orders/42", 200), ("/orders/7", 403)):
        stub_case = server.proxy + path
        answer = requests.get(stub_case, headers={"Authorization": token}, timeout=10)
        record = server.record(answer.headers["X-Stockade-Decision-Id"])
        assert record["engine"] == "verified_permissions" and answer.status_code in (200, 404)
    denied = requests.get(server.proxy + "/500", headers={"Authorization": token}, timeout=10)
    record = server.record(denied.headers["X-Stockade-Decision-Id"])
    assert denied.status_code == 403 and record["engine"] == "local_fallback" and record["reason"] == "no_permit"
    assert server.end() == 0


def test_a_route_has_an_engine_of_its_own(folder, pool, nginx, stub, store):
    token = pool.sign_in("alice")["AccessToken"]
    routes = [{"match": "GET /orders/archive/{id}", "engine": remote("PS1", stub.url)}]
    server = run(folder, "routed", pool, nginx, {"local": {}}, policies=folder / "policies", routes=routes)
    asked = stub.asked
    for path, engine in (("/orders/42", "local"), ("/orders/archive/7", "verified_permissions")):
        answer = requests.get(server.proxy + path, headers={"Authorization": token}, timeout=10)
        assert answer.status_code == 200
        assert server.record(answer.headers["X-Stockade-Decision-Id"])["engine"] == engine
    assert stub.asked == asked + 1
    assert server.end() == 0


def test_questions_that_wait_together_travel_together(folder, pool, nginx, avp, store):
    tokens = {user: pool.sign_in(user)["AccessToken"] for user in ("alice", "bob")}
    for operation in ("IsAuthorized", "IsAuthorizedWithToken"):
        server = run(
            folder, f"batch-{operation}", pool, nginx,
            remote(store, avp.url, operation=operation, batch=True, max_in_flight=1, timeout="20s", attempt_timeout="10s"),
        )  # fmt: skip
        answers = []

        def ask(number):
            user = ("alice", "bob")[number % 2]
            path = ("/orders/42", "/orders/7", "/client")[number % 3]
            answer = requests.get(server.proxy + path, headers={"Authorization": tokens[user]}, timeout=30)
            wanted = {"/orders/42": 200 if user == "alice" else 403, "/orders/7": 403, "/client": 404}[path]
            answers.append((user, path, answer.status_code, wanted))

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(60)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(answers) == 60 and all(got == wanted for *_, got, wanted in answers), answers
        assert server.end() == 0


def test_a_batch_saves_calls(folder, pool, nginx, stub):
    token = pool.sign_in("alice")["AccessToken"]
    server = run(folder, "batched", pool, nginx, remote("PS1", stub.url, batch=True, max_in_flight=1, timeout="20s", attempt_timeout="10s"))
    # One that takes its time holds the only place; what comes meanwhile travels together.
    first = threading.Thread(target=lambda: requests.get(server.proxy + "/slow", headers={"Authorization": token}, timeout=30))
    asked = stub.asked
    first.start()
    server.until("the slow question is there", lambda: stub.asked > asked)

    statuses = []

    def ask(number):
        statuses.append(requests.get(server.proxy + f"/d{number}", headers={"Authorization": token}, timeout=30).status_code)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in [first, *threads]:
        thread.join()
    assert statuses == [404] * 20
    assert stub.batches and max(stub.batches) >= 10, stub.batches
    assert server.end() == 0


def test_sessions_of_moto_sign(folder, pool, nginx, avp, store, moto, tmp_path):
    """Web identity and an identity pool, served by moto's STS and Cognito; `check --online` and `run` use them."""
    token = tmp_path / "token"
    token.write_text(pool.sign_in("alice")["IdToken"] + "\n")
    identity = boto3.client(
        "cognito-identity", endpoint_url=moto.url, region_name="us-east-1", aws_access_key_id="A", aws_secret_access_key="s"
    )
    guests = identity.create_identity_pool(IdentityPoolName="guests", AllowUnauthenticatedIdentities=True)["IdentityPoolId"]
    base = {"AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL_STS": moto.url, "AWS_ENDPOINT_URL_COGNITO_IDENTITY": moto.url}
    role = "arn:aws:iam::123456789012:role/app"
    profile = tmp_path / "config"
    profile.write_text(
        f"[profile app]\nrole_arn = {role}\nsource_profile = base\n[profile base]\naws_access_key_id = A\naws_secret_access_key = hush\n"
    )
    for name, environment, more, said in [
        ("web", {"AWS_WEB_IDENTITY_TOKEN_FILE": str(token), "AWS_ROLE_ARN": role}, {}, f"role {role} with the token in {token}"),
        ("pool", {}, {"identity_pool": guests}, f"identity pool {guests}"),
        ("role", {"AWS_CONFIG_FILE": str(profile)}, {"profile": "app"}, f"role {role} with keys of profile base in {profile}"),
    ]:
        path = tmp_path / f"{name}.json5"
        path.write_text(json.dumps({
            "upstream": nginx.url, "engine": remote(store, avp.url, **more),
            "issuers": {"main": {"cognito": pool.id, "jwks_url": pool.jwks_url, "client_ids": [pool.client_id]}},
        }))  # fmt: skip
        clean = {name: value for name, value in outside().items() if not name.startswith("AWS_")}
        done = subprocess.run(
            [binary(), "check", "--config", str(path), "--online"], env={**clean, **base, **environment}, capture_output=True, text=True,
            timeout=60,
        )  # fmt: skip
        assert done.returncode == 0 and said in done.stdout and "they end in" in done.stdout, done.stdout + done.stderr
        assert "hush" not in done.stdout
        server = Stockade(tmp_path, name, "--config", path, environment={**base, **environment})
        server.until("it is ready", lambda: requests.get(server.ops + "/readyz", timeout=5).status_code == 200)
        answer = requests.get(server.proxy + "/orders/42", headers={"Authorization": pool.sign_in("alice")["IdToken"]}, timeout=10)
        assert answer.status_code == 200
        assert server.end() == 0


def test_check_names_where_credentials_come_from_and_no_secret(folder, pool, nginx, avp, store, tmp_path):
    path = tmp_path / "stockade.json5"
    path.write_text(json.dumps({
        "upstream": nginx.url, "engine": remote(store, avp.url),
        "issuers": {"main": {"cognito": pool.id, "jwks_url": pool.jwks_url, "client_ids": [pool.client_id]}},
    }))  # fmt: skip
    done = subprocess.run(
        [binary(), "check", "--config", str(path), "--online"], env={**outside(), **KEYS}, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"engine {store}" in done.stdout and "keys of the environment" in done.stdout
    assert "hush" not in done.stdout + done.stderr
    profile = tmp_path / "config"
    profile.write_text("[default]\naws_access_key_id = A\naws_secret_access_key = hush\naws_secret_access_key = hush\n")
    bad = subprocess.run(
        [binary(), "check", "--config", str(path), "--online"],
        env={**outside(), "AWS_CONFIG_FILE": str(profile), "AWS_REGION": "us-east-1"}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert bad.returncode != 0 and f"{profile}:4:1" in bad.stdout and "hush" not in bad.stdout + bad.stderr


def logs(*words, width=80):
    return subprocess.run(
        [binary(), "logs", *map(str, words)], capture_output=True, text=True, timeout=60, check=False, env={**outside(), "COLUMNS": str(width), "LC_ALL": "C"}
    )  # fmt: skip


def test_another_engine_is_asked_in_the_background(folder, pool, nginx, avp, store, stub):
    token = pool.sign_in("alice")["AccessToken"]

    def counts(server):
        lines = requests.get(server.ops + "/metrics", timeout=5).text.splitlines()
        return {line.split('"')[1]: float(line.split()[-1]) for line in lines if line.startswith("stockade_compared_total{")}

    def compared(engine, other, paths):
        name = f"compared-{len(list(folder.glob('compared-*.json5')))}"
        server = run(folder, name, pool, nginx, engine, policies=folder / "policies", compare=other)
        for path in paths:
            requests.get(server.proxy + path, headers={"Authorization": token}, timeout=10)
        server.until("all were compared", lambda: sum(counts(server).values()) == len(paths))
        found = {name: count for name, count in counts(server).items() if count}
        told = server.text().count("engines_differ")
        assert server.end() == 0
        # Each difference is a line beside its decision's, found by its own flag and by no other search.
        lines = [json.loads(line) for line in server.log.read_text().splitlines()]
        decisions = {line["id"]: line for line in lines if line["type"] == "decision"}
        differences = [line for line in lines if line["type"] == "difference"]
        shown = logs(server.log, "--engine-differences", "--json").stdout.splitlines()
        assert [json.loads(line) for line in shown] == differences and len(differences) == told
        assert len(logs(server.log, "--json").stdout.splitlines()) == len(decisions) == len(paths)
        for line in differences:
            same = ("decision", "reason", "principal", "action", "resource", "policies")
            assert [line[name] for name in same] == [decisions[line["id"]][name] for name in same]
            assert line["difference"]["by"] in found and line["difference"]["engine"] == ("local" if "local" in other else "verified_permissions")
        return found, told

    paths = ["/orders/42", "/orders/7", "/client", "/"]
    assert compared({"local": {}}, remote(store, avp.url), paths) == ({"same": 4}, 0)
    assert compared(remote(store, avp.url), {"local": {}}, paths) == ({"same": 4}, 0)
    # The stub allows everything but what it is hostile about.
    assert compared({"local": {}}, remote("PS1", stub.url, attempts=1), ["/orders/42", "/", "/500"]) == ({"same": 1, "decision": 1, "unanswered": 1}, 1)
    # A permit that fails: Cedar skips it here and there, and only there on_policy_error cannot know that it was no forbid.
    assert compared({"local": {}}, remote(store, avp.url), ["/orders/42", "/broken"])[0] == {"same": 2}
    api = client(avp)
    extra = api.create_policy(policyStoreId=store, definition={"static": {"statement": "permit(principal, action, resource == Path::\"/orders/42\") when { context.nothing };"}})
    try:
        found, told = compared({"local": {}}, remote(store, avp.url), ["/orders/42"])
        assert (found, told) == ({"on_policy_error": 1}, 1)
        newest = max(folder.glob("compared-*.decisions"), key=lambda path: path.stat().st_mtime)
        assert "deny by verified_permissions, by on_policy_error alone" in " ".join(logs(newest, "--engine-differences", width=200).stdout.split())
        assert logs(newest, "--engine-differences", "--where", "difference.by=decision", "--json").stdout == ""
    finally:
        api.delete_policy(policyStoreId=store, policyId=extra["policyId"])


def test_what_is_asked_is_the_mapped_request(folder, pool, nginx, stub):
    tokens = pool.sign_in("alice")
    for operation in ("IsAuthorized", "IsAuthorizedWithToken"):
        server = run(folder, f"asked-{operation}", pool, nginx, remote("policy-store-alias/shop", stub.url, operation=operation))
        requests.get(server.proxy + "/orders/42", headers={"Authorization": tokens["IdToken"]}, timeout=10)
        body = stub.bodies[-1]
        assert body["policyStoreId"] == "policy-store-alias/shop" and body["resource"] == {"entityType": "Path", "entityId": "/orders/42"}
        kinds = {item["identifier"]["entityType"] for item in body["entities"]["entityList"]}
        if operation == "IsAuthorized":
            assert body["principal"]["entityId"].startswith(pool.id + "|") and kinds == {"User", "UserGroup", "Path"}
        else:
            assert body["identityToken"] == tokens["IdToken"] and "principal" not in body and kinds == {"Path"}
        assert server.end() == 0

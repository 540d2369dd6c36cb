"""Requests signed for a service that is an API of AWS: what arrives there is verified by botocore's own signer."""

import base64
import concurrent.futures
import hashlib
import http.client
import http.server
import json
import ssl
import subprocess
import threading
import time
import urllib.parse

import pytest
import requests
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from processes import CHECKOUT, Stockade

POOL = "us-east-1:00000000-0000-0000-0000-000000000001"
OWN = {"key": "AKIDOWN", "secret": "hush-own-secret", "token": "hush-own-token"}


class Threaded(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, handler, context=None):
        super().__init__(("127.0.0.1", 0), handler)
        if context:
            self.socket = context.wrap_socket(self.socket, server_side=True)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Service:
    """Computes the signature of every request from the bytes that came, and tells what it found."""

    def __init__(self, pool, context=None):
        seen = self.seen = []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if self.headers.get("Transfer-Encoding") == "chunked":
                    while size := int(self.rfile.readline(), 16):
                        body += self.rfile.read(size)
                        self.rfile.readline()
                    self.rfile.readline()
                found = verify(self, body, pool)
                found |= {"method": self.command, "target": self.path, "body": body.decode("latin-1"), "fields": self.headers.items()}
                seen.append(found)
                answer = json.dumps(found).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(answer)

            do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = do_OPTIONS = answer

            def log_message(self, *_):
                pass

        self.server = Threaded(Handler, context)
        self.port = self.server.server_address[1]


def verify(request, body, pool):
    """Whether botocore, given what is signed of the request as it came, signs it the same; and whose key it is."""
    fields = request.headers
    authorization = fields.get_all("Authorization")
    if len(authorization or []) != 1 or not authorization[0].startswith("AWS4-HMAC-SHA256 "):
        return {"valid": False, "why": f"{authorization}"}
    parts = dict(part.strip().split("=", 1) for part in authorization[0].split(" ", 1)[1].split(","))
    key, date, region, service, _ = parts["Credential"].split("/")
    secret, token, owner = pool.secret_of(key)
    signed = parts["SignedHeaders"].split(";")
    for name in ("host", "x-amz-date", "x-amz-content-sha256", *(n.lower() for n in fields if n.lower().startswith("x-amz-") or n.lower() == "content-type")):
        assert name in signed, f"{name} is not signed"
    claimed = fields["X-Amz-Content-Sha256"]
    assert claimed in ("UNSIGNED-PAYLOAD", hashlib.sha256(body).hexdigest())
    assert fields.get("X-Amz-Security-Token") == token
    path, _, query = request.path.partition("?")
    pairs = [tuple(urllib.parse.unquote(half) for half in (pair.partition("=")[0], pair.partition("=")[2])) for pair in query.split("&") if pair]
    again = AWSRequest(method=request.command, url=f"https://{fields['Host']}{path}", params=pairs, data=body)
    for name in signed:
        for value in fields.get_all(name):
            again.headers.add_header(name, value)
    again.context["timestamp"] = fields["X-Amz-Date"]
    signer = (S3SigV4Auth if service == "s3" else SigV4Auth)(Credentials(key, secret, token), service, region)
    string = signer.string_to_sign(again, signer.canonical_request(again))
    return {
        "valid": signer.signature(string, again) == parts["Signature"], "key": key, "owner": owner, "scope": [region, service], "payload": claimed,
        "canonical": signer.canonical_request(again),
    }


class IdentityPool:
    """GetId and GetCredentialsForIdentity: the key's name says whose token was shown."""

    def __init__(self):
        self.asked, self.issued, self.mode, self.lasts, self.delay = [], {}, "gives", 3600, 0
        self.lock = threading.Lock()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                operation = self.headers["X-Amz-Target"].split(".")[1]
                status, answer = outer.answer(operation, question)
                body = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/x-amz-json-1.1")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = Threaded(Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def answer(self, operation, question):
        (provider, token), = question["Logins"].items()
        claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
        user = claims["cognito:username"]
        with self.lock:
            self.asked.append((operation, user, provider))
        time.sleep(self.delay)
        if self.mode == "refuses":
            return 400, {"__type": "NotAuthorizedException", "message": "Access to Identity is forbidden"}
        if self.mode == "fails":
            return 500, {"__type": "InternalErrorException"}
        if operation == "GetId":
            assert question["IdentityPoolId"] == POOL
            return 200, {"IdentityId": f"us-east-1:{user}"}
        assert question["IdentityId"] == f"us-east-1:{user}", "another's identity"
        with self.lock:
            key = f"ASIA{user.upper()}{len(self.issued)}"
            self.issued[key] = (f"hush-secret-{key}", f"hush-token-{key}", user)
        secret, token, _ = self.issued[key]
        return 200, {
            "IdentityId": question["IdentityId"],
            "Credentials": {"AccessKeyId": key, "SecretKey": secret, "SessionToken": token, "Expiration": time.time() + self.lasts},
        }

    def secret_of(self, key):
        return (OWN["secret"], OWN["token"], "own") if key == OWN["key"] else self.issued[key]


ROUTES = [
    {"match": "* /api/{rest...}", "access": "authenticated", "sign": {"service": "execute-api", "region": "eu-west-1"}, "body_limit": "64KiB"},
    {"match": "* /bucket/{rest...}", "access": "authenticated", "sign": {"service": "s3"}},
    {"match": "* /mine/{rest...}", "access": "authenticated", "sign": {"service": "s3", "credentials": "identity_pool", "identity_pool": POOL}},
]


class World:
    def __init__(self, folder, pool, name, certificate=None, **more):
        self.identities = IdentityPool()
        context = None
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
        self.service = Service(self.identities, context)
        configuration = {
            "upstream": f"{'https' if certificate else 'http'}://localhost:{self.service.port}", "routes": ROUTES, "policies": str(CHECKOUT / "policies"),
            "issuers": {"main": {"cognito": pool.id, "jwks_url": pool.jwks_url, "client_ids": [pool.client_id]}}, **more,
        }
        path = folder / f"{name}.json5"
        path.write_text(json.dumps(configuration))
        environment = {
            "AWS_ACCESS_KEY_ID": OWN["key"], "AWS_SECRET_ACCESS_KEY": OWN["secret"], "AWS_SESSION_TOKEN": OWN["token"], "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL_COGNITO_IDENTITY": self.identities.url,
        } | ({"SSL_CERT_FILE": str(certificate[0])} if certificate else {})
        self.server = Stockade(folder, name, "--config", path, environment=environment)
        self.server.until("it is ready", lambda: requests.get(self.server.ops + "/readyz", timeout=5).status_code == 200)

    def ask(self, method, target, token, body=None, **fields):
        connection = http.client.HTTPConnection(self.server.proxy.removeprefix("http://"), timeout=30)
        connection.request(method, target, body=body, headers={"Authorization": f"Bearer {token}", **{n.replace("_", "-"): v for n, v in fields.items()}})
        response = connection.getresponse()
        text = response.read()
        connection.close()
        return response.status, json.loads(text) if text and response.status == 200 else text

    def end(self):
        """Every record, after the process has left. Nothing that it wrote has a secret."""
        assert self.server.end() == 0
        assert "hush-" not in self.server.text() + self.server.log.read_text()
        return self.server.records()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("signing")


@pytest.fixture(scope="module")
def tokens(pool):
    return {user: pool.sign_in(user) for user in ("alice", "bob")}


@pytest.fixture(scope="module")
def world(folder, pool):
    world = World(folder, pool, "signing")
    yield world
    world.end()


TARGETS = [
    "/x/a", "/x/a?b=c", "/x/a?b", "/x/a?b=&a=2&a=1&A=3", "/x/caf%C3%A9/%20?q=%e2%82%ac&%7E=~", "/x/a?x=1%2B1&y=a+b&z=%26%3D", "/x/a?=v&&k", "/x/a?p=/:@!$'()*,;",
    "/x/a-._~b", "/x/a%2Bb",
]  # fmt: skip


@pytest.mark.parametrize("place", ["api", "bucket"])
@pytest.mark.parametrize("target", TARGETS)
def test_the_signature_of_what_arrives_is_botocores(world, tokens, place, target):
    target = target.replace("/x/", f"/{place}/")
    status, found = world.ask("GET", target, tokens["alice"]["AccessToken"])
    assert status == 200 and found["valid"], found
    assert found["target"] == target and found["key"] == OWN["key"]
    assert found["scope"] == (["eu-west-1", "execute-api"] if place == "api" else ["us-east-1", "s3"])


def test_paths_of_other_services_are_encoded_once_more_and_of_buckets_not(world, tokens):
    for target in ("/api/a(1)!x", "/api/a:b@c"):
        status, found = world.ask("GET", target, tokens["alice"]["AccessToken"])
        assert status == 200 and found["valid"], found


@pytest.mark.parametrize("method", ["PUT", "POST", "PATCH", "DELETE"])
@pytest.mark.parametrize("body", [None, b"", b"hello", b"\x00\xff" * 20_000], ids=["none", "empty", "short", "long"])
def test_the_hash_of_a_body_is_signed(world, tokens, method, body):
    status, found = world.ask(method, "/api/a", tokens["alice"]["AccessToken"], body, Content_Type="application/octet-stream", X_Amz_Target="T.Op")
    assert status == 200 and found["valid"] and found["body"].encode("latin-1") == (body or b""), found
    assert found["payload"] == hashlib.sha256(body or b"").hexdigest()


def test_an_upload_in_chunks_goes_on_with_its_length(world, tokens):
    status, found = world.ask("PUT", "/bucket/a", tokens["alice"]["AccessToken"], iter([b"one", b"two" * 1000, b"three"]))
    assert status == 200 and found["valid"] and found["body"] == "one" + "two" * 1000 + "three"
    names = [name.lower() for name, _ in found["fields"]]
    assert "transfer-encoding" not in names and names.count("content-length") == 1


def test_a_body_that_is_too_large_never_arrives(world, tokens):
    before = len(world.service.seen)
    for body in (b"x" * 65_537, iter([b"x" * 40_000] * 2)):
        status, _ = world.ask("PUT", "/api/a", tokens["alice"]["AccessToken"], body)
        assert status == 413
    assert len(world.service.seen) == before


def test_what_a_client_says_of_signatures_never_arrives(world, tokens):
    theirs = {"X-Amz-Date": "theirs", "X-Amz-Security-Token": "theirs", "x_amz_content_sha256": "theirs", "X-Amz-Meta-Colour": "  blue   green "}
    connection = http.client.HTTPConnection(world.server.proxy.removeprefix("http://"), timeout=30)
    connection.request("GET", "/bucket/a", headers={"Authorization": f"Bearer {tokens['alice']['AccessToken']}", **theirs})
    found = json.loads(connection.getresponse().read())
    assert found["valid"] and "theirs" not in json.dumps(found) and tokens["alice"]["AccessToken"] not in json.dumps(found)
    assert dict(found["fields"])["Host"] == f"localhost:{world.service.port}"
    assert "x-amz-meta-colour:blue green" in found["canonical"]


def test_a_body_that_is_not_signed_streams(folder, pool, tokens):
    certificate = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost", "-keyout", certificate[1], "-out", certificate[0]], check=True, capture_output=True,
    )  # fmt: skip
    routes = [{"match": "PUT /stream/{rest...}", "access": "authenticated", "sign": {"service": "s3", "body": "unsigned"}}]
    world = World(folder, pool, "streaming", certificate, routes=routes)
    body = b"x" * 3_000_000
    status, found = world.ask("PUT", "/stream/a", tokens["alice"]["AccessToken"], iter([body, body]))
    assert status == 200 and found["valid"] and found["payload"] == "UNSIGNED-PAYLOAD" and len(found["body"]) == 6_000_000
    world.end()


def test_each_caller_signs_with_its_own_session_under_load(folder, pool, tokens):
    world = World(folder, pool, "callers", workers=2)
    world.identities.delay = 0.05

    def one(number):
        user = ("alice", "bob")[number % 2]
        status, found = world.ask("GET", f"/mine/{user}/{number}", tokens[user]["IdToken"])
        assert status == 200 and found["valid"] and found["owner"] == user, found

    with concurrent.futures.ThreadPoolExecutor(16) as executor:
        list(executor.map(one, range(400)))
    asked = [(operation, user) for operation, user, _ in world.identities.asked]
    # One flight a token, whichever worker's requests wait for it.
    assert sorted(asked) == sorted((operation, user) for operation in ("GetId", "GetCredentialsForIdentity") for user in ("alice", "bob"))
    assert {provider for _, _, provider in world.identities.asked} == {f"cognito-idp.us-east-1.amazonaws.com/{pool.id}"}
    records = world.end()
    signed = [record for record in records if record["route"] == "* /mine/{rest...}"]
    assert len(signed) == 400 and {record["signed_with"] for record in signed} == {f"identity pool {POOL}"}


def test_a_session_is_replaced_before_it_ends_and_its_identity_is_kept(folder, pool, tokens):
    world = World(folder, pool, "renewal")
    world.identities.lasts = 62
    keys = set()
    for _ in range(3):
        status, found = world.ask("GET", "/mine/a", tokens["alice"]["IdToken"])
        assert status == 200 and found["valid"]
        keys.add(found["key"])
        first = len(world.identities.issued)
        # A session of 62 s serves for two of them.
        world.server.until("it has served its time", lambda: world.ask("GET", "/mine/a", tokens["alice"]["IdToken"])[1]["key"] not in keys)
        assert len(world.identities.issued) > first or len(keys) > 1
    assert [operation for operation, _, _ in world.identities.asked].count("GetId") == 1
    # The pool cannot be reached any more, and what still holds serves.
    world.identities.mode = "fails"
    held = max(world.identities.issued)
    deadline = time.monotonic() + 4
    while time.monotonic() < deadline:
        status, found = world.ask("GET", "/mine/a", tokens["alice"]["IdToken"])
        assert status == 200 and found["valid"] and found["key"] in world.identities.issued, held
    world.end()


def test_what_the_pool_refuses_and_what_it_cannot_say(folder, pool, tokens):
    world = World(folder, pool, "refusals")
    status, _ = world.ask("GET", "/mine/a", tokens["alice"]["AccessToken"])
    assert status == 401
    world.identities.mode = "refuses"
    assert world.ask("GET", "/mine/a", tokens["alice"]["IdToken"])[0] == 403
    world.identities.mode = "fails"
    assert world.ask("GET", "/mine/a", tokens["bob"]["IdToken"])[0] == 503
    asked = len(world.identities.asked)
    # A refusal is believed for a while.
    assert world.ask("GET", "/mine/a", tokens["alice"]["IdToken"])[0] == 403 and len(world.identities.asked) == asked
    world.identities.mode = "gives"
    world.server.until("it gives sessions again", lambda: world.ask("GET", "/mine/a", tokens["bob"]["IdToken"])[0] == 200)
    assert {found["owner"] for found in world.service.seen} == {"bob"}
    records = world.end()
    reasons = [(record["status"], record["reason"], "signed_with" in record) for record in records]
    assert reasons[:3] == [(401, "token_use", False), (403, "credentials_refused", False), (503, "credentials_unavailable", False)]
    assert reasons[-1] == (200, "authenticated", True)

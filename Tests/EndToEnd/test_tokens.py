"""What is demanded of tokens beyond their own validity, end to end: revocation, step-up, proofs of possession, metadata, assertions."""

import base64
import hashlib
import json
import secrets
import threading
import time

import pytest
import requests
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from cognito import decode
from processes import Stockade, binary, eventually, free_port, outside
from provider import Key, Provider, encode
from test_configuration import Service

POLICY = """
@id("all") permit (principal, action, resource);
@id("transfer") @step_up_acr("urn:example:strong") forbid (principal, action, resource in Path::"/transfer")
  unless { context has token.acr && context.token.acr == "urn:example:strong" };
"""


@pytest.fixture(scope="module")
def provider():
    provider = Provider()
    yield provider
    provider.end()


@pytest.fixture(scope="module")
def service():
    service = Service("orders")
    yield service
    service.server.shutdown()


@pytest.fixture(scope="module")
def folder(workplace):
    folder = workplace / "tokens"
    (folder / "policies").mkdir(parents=True)
    (folder / "policies" / "policy.cedar").write_text(POLICY)
    (folder / "revoked.json").write_text("[]")
    return folder


@pytest.fixture(scope="module")
def server(folder, provider, service):
    path = folder / "stockade.json5"
    path.write_text(
        f"""{{ upstream: 'http://127.0.0.1:{service.server.server_address[1]}', policies: 'policies', workers: 3, revocations: 'revoked.json',
          protected_resource: {{ resource: 'https://api.example.com', scopes: ['read'], name: 'Orders' }},
          identity_assertion: {{ audience: 'orders', issuer: 'https://proxy.example', rotate: '1s', announce: '3s' }},
          issuers: {{ main: {{ issuer: '{provider.issuer}', client_ids: ['app'], id_prefix: 'demo', jwks_url: '{provider.url}' }} }},
          routes: [
            {{ match: 'GET /vault', access: 'authenticated', dpop: true }},
            {{ match: 'GET /recent', access: 'authenticated', step_up: {{ max_age: '5m' }} }},
            {{ match: 'GET /open', access: 'public' }},
            {{ match: '* /{{rest...}}' }},
          ] }}"""
    )
    server = Stockade(folder, "gateway", "--config", path, listen=f"127.0.0.1:{free_port()}")
    server.until("its keys are there", lambda: requests.get(server.ops + "/readyz", timeout=5).status_code == 200)
    yield server
    assert server.end() == 0, server.text()


def get(server, path, token=None, session=requests, scheme="Bearer", **headers):
    if token:
        headers["Authorization"] = f"{scheme} {token}"
    return session.get(server.proxy + path, headers=headers, timeout=30)


def reason(server, response):
    return server.record(response.headers["X-Stockade-Decision-Id"])["reason"]


# MARK: revocation


def write(path, entries):
    """As an editor does: beside it, and renamed into place."""
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(entries))
    fresh.rename(path)


def test_a_revoked_token_is_dead_within_a_second_at_every_worker(folder, server, provider, report):
    hot = provider.token(jti="stolen")
    other = provider.token()
    sessions = [requests.Session() for _ in range(12)]
    for session in sessions:
        assert get(server, "/orders", hot, session).status_code == 200
    written = time.monotonic()
    write(folder / "revoked.json", [{"jti": "stolen", "note": "seen elsewhere"}])
    accepted = written
    while time.monotonic() < written + 1.5:
        for session in sessions:
            began = time.monotonic()
            if get(server, "/orders", hot, session).status_code == 200:
                accepted = began
    report(f"a revoked token: last accepted {(accepted - written) * 1000:.0f} ms after the list was written")
    assert accepted < written + 1
    refused = get(server, "/orders", hot)
    assert refused.status_code == 401 and 'error="invalid_token"' in refused.headers["WWW-Authenticate"]
    assert reason(server, refused) == "token_revoked"
    assert get(server, "/orders", other).status_code == 200


def test_a_broken_list_or_policy_revives_nobody(folder, server, provider):
    token = provider.token(jti="lost")
    write(folder / "revoked.json", [{"jti": "lost"}])
    eventually("it is revoked", lambda: get(server, "/orders", token).status_code == 401)
    (folder / "revoked.json").write_text('[{"jti": "lost"')
    eventually("the mistake is shown", lambda: "revoked.json:1:" in server.err.read_text())
    assert get(server, "/orders", token).status_code == 401
    # A policy that is being edited holds up no revocation.
    policy = folder / "policies" / "policy.cedar"
    policy.write_text("permit (")
    late = provider.token(jti="late")
    assert get(server, "/orders", late).status_code == 200
    write(folder / "revoked.json", [{"jti": "lost"}, {"jti": "late"}])
    eventually("it is revoked all the same", lambda: get(server, "/orders", late).status_code == 401, 5)
    policy.write_text(POLICY)
    write(folder / "revoked.json", [])
    eventually("the list is empty", lambda: get(server, "/orders", token).status_code == 200)


def test_a_list_that_cannot_be_read_starts_nothing(folder, workplace):
    import subprocess

    text = (folder / "stockade.json5").read_text()
    broken = folder / "broken.json5"
    (folder / "bad.json").write_text('[\n  { "jti": "a" },\n  { "jti": 7 }\n]\n')
    for name, expected in (("bad.json", "bad.json:3:12"), ("missing.json", "cannot be read")):
        broken.write_text(text.replace("'revoked.json'", f"'{name}'"))
        for command in (["run"], ["check"]):
            ended = subprocess.run([binary(), *command, "--config", broken], env=outside(), capture_output=True, text=True, timeout=60)
            assert ended.returncode in (3, 64) and expected in ended.stderr, ended.stderr


# MARK: step-up


def test_an_old_or_weak_sign_in_is_told_what_would_do(server, provider):
    now = int(time.time())
    assert get(server, "/recent", provider.token(auth_time=now)).status_code == 200
    old = get(server, "/recent", provider.token(auth_time=now - 400))
    assert old.status_code == 401
    assert 'error="insufficient_user_authentication"' in old.headers["WWW-Authenticate"]
    assert 'max_age="300"' in old.headers["WWW-Authenticate"]
    assert reason(server, old) == "insufficient_authentication"
    weak = get(server, "/transfer/1", provider.token())
    assert weak.status_code == 401 and 'acr_values="urn:example:strong"' in weak.headers["WWW-Authenticate"]
    assert get(server, "/transfer/1", provider.token(acr="urn:example:strong")).status_code == 200


# MARK: protected-resource metadata


def test_a_client_finds_out_who_issues_tokens(server, provider):
    refused = get(server, "/orders")
    where = refused.headers["WWW-Authenticate"].split('resource_metadata="')[1].rstrip('"')
    assert where == "https://api.example.com/.well-known/oauth-protected-resource"
    found = get(server, "/.well-known/oauth-protected-resource")
    assert found.status_code == 200 and found.headers["Content-Type"] == "application/json"
    assert found.headers["Access-Control-Allow-Origin"] == "*"
    assert found.json() == {
        "resource": "https://api.example.com", "authorization_servers": [provider.issuer], "scopes_supported": ["read"],
        "bearer_methods_supported": ["header"], "resource_name": "Orders",
    }  # fmt: skip
    assert reason(server, found) == "metadata"


# MARK: proofs of possession


class Holder:
    """A client with a key of its own, RFC 9449; its proofs are made by another library's hand."""

    def __init__(self):
        self.key = Key()
        self.jwk = {name: self.key.jwk[name] for name in ("kty", "crv", "x", "y")}
        canonical = json.dumps(self.jwk, sort_keys=True, separators=(",", ":"))
        self.thumbprint = encode(hashlib.sha256(canonical.encode()).digest())

    def proof(self, server, token, path="/vault", method="GET", nonce=None):
        claims = {
            "jti": secrets.token_hex(8), "htm": method, "htu": server.proxy + path, "iat": int(time.time()),
            "ath": encode(hashlib.sha256(token.encode()).digest()), **({"nonce": nonce} if nonce else {}),
        }  # fmt: skip
        header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": self.jwk}
        text = f"{encode(json.dumps(header).encode())}.{encode(json.dumps(claims).encode())}"
        r, s = utils.decode_dss_signature(self.key.private.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{text}.{encode(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def test_a_bound_token_passes_with_fresh_proofs_by_its_key_alone(server, provider):
    holder, thief = Holder(), Holder()
    token = provider.token(cnf={"jkt": holder.thumbprint})

    def ask(who, **more):
        return get(server, "/vault", token, scheme="DPoP", DPoP=who.proof(server, token, **more))

    first = ask(holder)
    assert first.status_code == 401 and 'error="use_dpop_nonce"' in first.headers["WWW-Authenticate"]
    assert first.headers["WWW-Authenticate"].startswith("DPoP ")
    nonce = first.headers["DPoP-Nonce"]
    passed = ask(holder, nonce=nonce)
    assert passed.status_code == 200 and passed.headers["DPoP-Nonce"]
    assert reason(server, ask(thief, nonce=nonce)) == "token_binding"
    assert reason(server, ask(holder, nonce=nonce, path="/other")) == "dpop_proof"
    assert reason(server, get(server, "/vault", token, scheme="DPoP")) == "dpop_proof"
    assert reason(server, get(server, "/vault", token)) == "no_token", "not as a bearer token"
    assert reason(server, get(server, "/orders", token)) == "token_binding", "nor where no proof is demanded"


def test_a_proof_passes_once_whichever_worker_gets_it(server, provider):
    holder = Holder()
    token = provider.token(cnf={"jkt": holder.thumbprint})
    nonce = get(server, "/vault", token, scheme="DPoP", DPoP=holder.proof(server, token)).headers["DPoP-Nonce"]
    for _ in range(10):
        proof = holder.proof(server, token, nonce=nonce)
        statuses = []
        gate = threading.Barrier(8)

        def ask():
            gate.wait()  # eight connections at one moment, spread over the workers by the kernel
            statuses.append(get(server, "/vault", token, scheme="DPoP", DPoP=proof).status_code)

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(statuses) == [200] + [401] * 7


# MARK: the identity assertion


def told(response):
    return {name.lower(): value for name, value in response.json()["headers"].items()}


def test_the_service_can_check_who_asks(server, provider):
    forged = {"X-Stockade-Assertion": "forged"}
    answer = get(server, "/orders/42?a=1", provider.token(), **forged)
    assertion = told(answer)["x-stockade-assertion"]
    header, payload, signature = assertion.split(".")
    head = json.loads(decode(header))
    assert head["typ"] == "stockade-assertion+jwt" and head["alg"] == "ES256"
    keys = {key["kid"]: key for key in requests.get(server.ops + "/assertion/jwks.json", timeout=5).json()["keys"]}
    key = keys[head["kid"]]
    assert "d" not in key
    point = ec.EllipticCurvePublicNumbers(*(int.from_bytes(decode(key[name]), "big") for name in "xy"), ec.SECP256R1())
    raw = decode(signature)
    der = utils.encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    point.public_key().verify(der, f"{header}.{payload}".encode(), ec.ECDSA(hashes.SHA256()))
    claims = json.loads(decode(payload))
    assert claims["iss"] == "https://proxy.example" and claims["aud"] == "orders" and claims["sub"] == "demo|alice"
    assert claims["htm"] == "GET" and claims["htp"] == "/orders/42" and claims["jti"] == answer.headers["X-Stockade-Decision-Id"]
    assert claims["exp"] - claims["iat"] == 30
    assert "x-stockade-assertion" not in told(get(server, "/open", **forged)), "nobody is vouched for"


def test_the_next_key_is_shown_long_before_it_signs_and_takes_over_without_a_gap(server, provider):
    def ask():
        answer = requests.get(server.ops + "/assertion/jwks.json", timeout=5)
        assert answer.headers["Cache-Control"] == "public, max-age=3"
        return [key["kid"] for key in answer.json()["keys"]]

    def signer():
        assertion = told(get(server, "/orders/42", provider.token()))["x-stockade-assertion"]
        return json.loads(base64.urlsafe_b64decode(assertion.split(".")[0] + "=="))["kid"]

    # The services: each keeps a copy of the keys for as long as it may, and must know every key that signs.
    copied, copy = time.monotonic(), ask()
    announced, signed = {kid: copied - 60 for kid in copy}, []
    while len(set(signed)) < 3:
        if time.monotonic() > copied + 2.9:
            copied, copy = time.monotonic(), ask()
        for kid in ask():
            announced.setdefault(kid, time.monotonic())
        kid = signer()
        assert kid in copy, "a service meets a key that it cannot know"
        assert time.monotonic() > announced[kid] + 2.5, "it signs long after it was shown"
        signed.append(kid)
    order = [kid for at, kid in enumerate(signed) if at == 0 or signed[at - 1] != kid]
    workers = len(set(order))
    # Three workers take over within a moment of each other: beside that no key signs again.
    assert workers == 3 and len(order) <= 3 + 12, order
    assert set(signed[:1]) <= set(ask()), "a former key is shown for as long as what it signed may be read"


# MARK: introspection


def test_an_issuer_is_asked_once_for_all_workers_and_its_word_counts(workplace, service):
    provider = Provider()
    folder = workplace / "introspecting"
    (folder / "policies").mkdir(parents=True)
    (folder / "policies" / "policy.cedar").write_text("permit (principal, action, resource);")
    (folder / "secret").write_text("s3/cr+t\n")
    path = folder / "stockade.json5"
    path.write_text(
        f"""{{ upstream: 'http://127.0.0.1:{service.server.server_address[1]}', policies: 'policies', workers: 2,
          issuers: {{ main: {{ issuer: '{provider.issuer}', client_ids: ['app'], jwks_url: '{provider.url}',
            introspection: {{ url: 'http://127.0.0.1:{provider.port}/introspect', client_id: 'stock ade', client_secret: '${{file:secret}}', cache: '1s' }} }} }} }}"""
    )
    inactive, asked = set(), []

    def answer(handler, keys):
        if handler.path != "/introspect":
            return Provider.usual(handler, keys)
        form = dict(pair.split("=") for pair in handler.content.decode().split("&"))
        asked.append((form["token"], handler.headers["Authorization"]))
        handler.reply(200, json.dumps({"active": form["token"] not in inactive}).encode())

    provider.answer = answer
    server = Stockade(folder, "gateway", "--config", path, listen=f"127.0.0.1:{free_port()}")
    server.until("its keys are there", lambda: requests.get(server.ops + "/readyz", timeout=5).status_code == 200)
    token = provider.token()
    statuses = []
    threads = [threading.Thread(target=lambda: statuses.append(get(server, "/orders", token).status_code)) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 16
    assert len(asked) <= 2, "one question at a time, whoever asks"
    assert asked[0] == (token, "Basic " + base64.b64encode(b"stock%20ade:s3%2Fcr%2Bt").decode())
    inactive.add(token)
    eventually("the issuer's word counts", lambda: get(server, "/orders", token).status_code == 401, 5)
    assert reason(server, get(server, "/orders", token)) == "token_revoked"
    assert get(server, "/orders", provider.token()).status_code == 200
    provider.answer = lambda handler, keys: handler.reply(500, b"")
    fresh = provider.token()
    refused = get(server, "/orders", fresh)
    assert refused.status_code == 503 and reason(server, refused) == "introspection_unavailable"
    assert "s3/cr" not in server.text() and fresh not in server.text()
    assert server.end() == 0, server.text()
    provider.end()


def test_an_opaque_token_is_what_its_issuer_says_of_it(workplace, service):
    provider = Provider()
    folder = workplace / "opaque"
    (folder / "policies").mkdir(parents=True)
    (folder / "policies" / "policy.cedar").write_text('permit (principal == User::"demo|alice", action in Action::"read", resource);')
    path = folder / "stockade.json5"
    path.write_text(
        f"""{{ upstream: 'http://127.0.0.1:{service.server.server_address[1]}', policies: 'policies', workers: 2,
          issuers: {{ main: {{ issuer: '{provider.issuer}', client_ids: ['app'], id_prefix: 'demo',
            introspection: {{ url: 'http://127.0.0.1:{provider.port}/introspect', client_id: 'stockade', client_secret: 's3cret', cache: '1s', opaque: true }} }} }} }}"""
    )
    now = int(time.time())
    usual = {"active": True, "sub": "alice", "client_id": "app", "exp": now + 600, "scope": "read", "token_type": "Bearer"}
    known = {
        "alice": usual, "bob": {**usual, "sub": "bob"}, "late": {**usual, "exp": now - 100}, "other": {**usual, "client_id": "else"},
        "foreign": {**usual, "iss": "https://elsewhere.example"}, "refresh": {**usual, "token_use": "refresh_token"},
        "soon": {**usual, "exp": now + 3},
    }  # fmt: skip
    asked = []

    def answer(handler, keys):
        form = dict(pair.split("=") for pair in handler.content.decode().split("&"))
        asked.append(form["token"])
        handler.reply(200, json.dumps(known.get(form["token"], {"active": False})).encode())

    provider.answer = answer
    server = Stockade(folder, "gateway", "--config", path, listen=f"127.0.0.1:{free_port()}")
    server.until("it is ready, and has no keys to fetch", lambda: requests.get(server.ops + "/readyz", timeout=5).status_code == 200)
    assert not provider.served
    first = get(server, "/orders", "alice")
    assert first.status_code == 200 and told(first)["x-stockade-principal"] == "demo|alice"
    record = server.record(first.headers["X-Stockade-Decision-Id"])
    assert record["token"]["issuer"] == "main" and record["token"]["use"] == "access" and not record["token"].get("alg")
    for token, expected in {
        "bob": "no_permit", "late": "token_expired", "other": "token_audience", "foreign": "token_issuer", "refresh": "token_use",
        "nobody": "token_revoked", "a.b.c": "token_malformed", "x" * 5000: "token_malformed",
    }.items():  # fmt: skip
        refused = get(server, "/orders", token)
        assert reason(server, refused) == expected, token
        assert refused.status_code == (403 if expected == "no_permit" else 401)
    assert "a.b.c" not in asked and "x" * 5000 not in asked, "nobody is asked about what is no opaque token"
    assert get(server, "/orders", provider.token()).status_code == 401, "it has no keys"

    # What the issuer says counts within the second that it is believed, and no word outlives the token.
    eventually("the token's end", lambda: get(server, "/orders", "soon").status_code == 200)
    del known["alice"]
    eventually("the issuer's word counts", lambda: get(server, "/orders", "alice").status_code == 401, 5)
    known["alice"] = usual
    eventually("and again", lambda: get(server, "/orders", "alice").status_code == 200, 5)

    # Any number of tokens that nobody knows: each is asked about once, and nobody else waits for it.
    session = requests.Session()
    for index in range(200):
        assert get(server, "/orders", f"guess-{index}", session).status_code == 401
    assert get(server, "/orders", "alice", session).status_code == 200
    provider.answer = lambda handler, keys: handler.reply(200, b"<html>")
    assert reason(server, get(server, "/orders", "fresh")) == "introspection_unavailable"
    assert "s3cret" not in server.text() and "guess-7" not in server.text() + server.log.read_text()
    assert server.end() == 0, server.text()
    provider.end()


# MARK: what a load balancer says


def test_a_load_balancers_word_counts_from_its_network_alone(workplace, service):
    from cryptography.hazmat.primitives import serialization

    arn = "arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/app/shop/50dc6c495c0c9188"
    key = Key(kid="0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f")
    pem = key.private.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    provider = Provider()
    provider.answer = lambda handler, keys: (
        handler.reply(200, pem) if handler.path == f"/keys/{key.kid}" else handler.reply(404, b"")
    )
    folder = workplace / "balanced"
    (folder / "policies").mkdir(parents=True)
    (folder / "policies" / "policy.cedar").write_text('permit (principal == User::"alb|alice", action, resource);')

    def start(name, network):
        path = folder / f"{name}.json5"
        path.write_text(
            f"""{{ upstream: 'http://127.0.0.1:{service.server.server_address[1]}', policies: 'policies',
              issuers: {{ alb: {{ issuer: 'https://idp.example', id_prefix: 'alb', load_balancer: {{
                signer: '{arn}', client_id: 'app', from: ['{network}'], keys_url: 'http://127.0.0.1:{provider.port}/keys' }} }} }} }}"""
        )
        server = Stockade(folder, name, "--config", path)
        server.until("it is ready", lambda: requests.get(server.ops + "/readyz", timeout=5).status_code == 200)
        return server

    def word(key=key, kid=None, **claims):
        soon = int(time.time()) + 120
        header = {"alg": "ES256", "kid": kid or key.kid, "signer": arn, "iss": "https://idp.example", "client": "app", "exp": soon}

        def part(value):  # padded, as AWS pads, and the signature covers it
            return base64.urlsafe_b64encode(value).decode()

        text = f"{part(json.dumps(header).encode())}.{part(json.dumps({'sub': 'alice', 'exp': soon, **claims}).encode())}"
        r, s = utils.decode_dss_signature(key.private.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{text}.{part(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"

    server = start("inside", "127.0.0.0/8")
    said = {"x-amzn-oidc-data": word(), "x-amzn-oidc-identity": "mallory", "x-amzn-oidc-accesstoken": "a.b.c"}
    answer = get(server, "/orders", **said)
    assert answer.status_code == 200, server.text()
    assert told(answer)["x-stockade-principal"] == "alb|alice" and not [name for name in told(answer) if "amzn" in name]
    assert get(server, "/orders", **said).status_code == 200
    assert reason(server, get(server, "/orders", **{"x-amzn-oidc-data": word(Key(kid=key.kid))})) == "token_signature"
    assert reason(server, get(server, "/orders", **{"x-amzn-oidc-data": word(sub="bob")})) == "no_permit"
    unknown = "ffffffff-0a1b-0a1b-0a1b-0a1b2c3d4e5f"
    assert reason(server, get(server, "/orders", **{"x-amzn-oidc-data": word(kid=unknown)})) == "key_unknown"
    assert len(provider.served) == 2
    assert server.end() == 0, server.text()

    server = start("outside", "10.0.0.0/8")
    assert reason(server, get(server, "/orders", **said)) == "no_token"
    assert server.end() == 0, server.text()
    provider.end()

"""Debug tickets: whoever has one for its subject and route is told why, and nobody else ever is."""

import base64
import hashlib
import hmac
import http.server
import json
import subprocess
import threading
import time

import pytest
import requests
from processes import CHECKOUT, Stockade, binary, outside

KEY, OLD = "the present key of tickets", "the key of tickets before"
FIELD = "X-Stockade-Debug-Ticket"


def encoded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def forged(content, key=KEY):
    """A ticket as its format says, made without the product."""
    payload = encoded(json.dumps(content).encode())
    return f"{payload}.{encoded(hmac.new(key.encode(), b'stockade debug ticket 1' + bytes([10]) + payload.encode(), hashlib.sha256).digest())}"


class Upstream:
    """A service that keeps the heads of its requests."""

    def __init__(self):
        self.heads = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.heads.append(dict(self.headers))
                self.send_response(200)
                self.send_header("Content-Length", "3")
                self.end_headers()
                self.wfile.write(b"ok\n")

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture(scope="module")
def keyed(workplace, pool):
    upstream = Upstream()
    file = workplace / "tickets.json5"
    for name, key in [("now", KEY), ("before", OLD)]:
        (workplace / f"{name}.key").write_text(key + "\n")
    file.write_text(
        f"{{ upstream: '{upstream.url}', policies: '{CHECKOUT}/policies', issuers: {{ main: {{ cognito: '{pool.id}', id_prefix: 'demo', "
        f"jwks_url: '{pool.jwks_url}', client_ids: ['{pool.client_id}', '{pool.secret_client_id}'] }} }}, "
        "debug_tickets: { keys: ['${file:now.key}', '${file:before.key}'], max_ttl: '30m' } }"
    )
    server = Stockade(workplace, "tickets", "--config", str(file))
    server.file, server.upstream = file, upstream
    server.until("its keys are there", lambda: requests.get(server.ops + "/readyz", timeout=5).status_code == 200)
    yield server
    assert server.end() == 0, server.text()
    upstream.server.shutdown()


def minted(*words):
    return subprocess.run([binary(), "ticket", *map(str, words)], env=outside(), capture_output=True, text=True, timeout=60, check=False)


def ask(server, token, ticket=None, method="DELETE", path="/orders/42", **more):
    headers = {"Authorization": "Bearer " + token} if token else {}
    if ticket:
        headers[FIELD] = ticket
    return requests.request(method, server.proxy + path, headers=headers, timeout=30, **more)


@pytest.fixture(scope="module")
def sub(alice):
    payload = alice["AccessToken"].split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=="))["sub"]


def test_with_a_ticket_a_refusal_says_why_and_the_record_says_so(keyed, alice, sub):
    done = minted("--sub", sub, "--route", "/orders/42", "--ttl", "10m", "--config", keyed.file)
    assert done.returncode == 0, done.stderr
    name, ticket = done.stdout.strip().split(": ")
    assert name == FIELD
    answers = [ask(keyed, alice["AccessToken"], ticket) for _ in range(2)]
    for answer in answers:
        assert answer.status_code == 403
        told = "\n".join(answer.json()["explanation"])
        assert "DENY" in told and "Nearest permits" in told and 'Action::"DELETE"' in told
        assert keyed.record(answer.headers["X-Stockade-Decision-Id"])["debug_ticket"] is True
    # As `explain` and `why` tell it; and without the ticket as always.
    plain = ask(keyed, alice["AccessToken"])
    assert "explanation" not in plain.json() and "debug_ticket" not in keyed.record(plain.headers["X-Stockade-Decision-Id"])


def test_what_is_allowed_is_explained_in_a_field_and_the_ticket_goes_no_further(keyed, alice, sub):
    ticket = minted("--sub", sub, "--route", "/orders/42", "--config", keyed.file).stdout.strip().split(": ")[1]
    answer = ask(keyed, alice["AccessToken"], ticket, method="GET")
    assert answer.status_code == 200 and answer.text == "ok\n"
    head = keyed.upstream.heads[-1]
    assert head["X-Stockade-Principal"].endswith(sub) and FIELD.lower() not in {name.lower() for name in head}
    told = answer.headers["X-Stockade-Explanation"]
    assert "ALLOW" in base64.urlsafe_b64decode(told + "=" * (-len(told) % 4)).decode()
    assert "X-Stockade-Explanation" not in ask(keyed, alice["AccessToken"], method="GET").headers


def test_nobody_else_is_told_anything(keyed, alice, bob, sub):
    now = int(time.time())
    good = {"sub": sub, "route": "/orders/42", "iat": now, "exp": now + 600}
    assert "explanation" in ask(keyed, alice["AccessToken"], forged(good)).json()
    assert "explanation" in ask(keyed, alice["AccessToken"], forged(good, OLD)).json(), "the key before still counts"
    assert "explanation" in ask(keyed, alice["AccessToken"], forged({**good, "sub": f"demo|{sub}"})).json()
    text = forged(good)
    flipped = text[:-2] + ("A" if text[-2] != "A" else "B") + text[-1]
    for ticket, token in [
        (forged(good, "another key of tickets"), alice), (flipped, alice), (text.split(".")[0] + ".", alice), ("." + text.split(".")[1], alice),
        (text + ".x", alice), ("x" * 5000, alice), (text, bob), (forged({**good, "sub": "nobody"}), alice), (forged({**good, "sub": ""}), alice),
        (forged({**good, "sub": "alice"}), bob), (forged({**good, "route": "/orders"}), alice), (forged({**good, "route": "/orders/*"}), alice),
        (forged({**good, "iat": now - 700, "exp": now - 1}), alice), (forged({**good, "exp": now + 3600}), alice),
        (forged({**good, "iat": now + 600, "exp": now + 1200}), alice), (forged({**good, "exp": -(2**63), "iat": 2**63 - 1}), alice),
        (forged({**good, "exp": str(now + 600)}), alice), (forged({"sub": sub}), alice), (forged([]), alice),
    ]:  # fmt: skip
        answer = ask(keyed, token["AccessToken"], ticket)
        assert answer.status_code in (200, 204, 403, 404) and "explanation" not in answer.text, ticket
        assert "X-Stockade-Explanation" not in answer.headers
    # A token that is not good makes nobody of its subject.
    assert "explanation" not in ask(keyed, None, text).text
    assert "explanation" not in ask(keyed, alice["AccessToken"][:-8] + "AAAAAAAA", text).text
    # Two tickets are none.
    twice = requests.Request("DELETE", keyed.proxy + "/orders/42", headers={"Authorization": "Bearer " + alice["AccessToken"], FIELD: f"{text}, {text}"})
    assert "explanation" not in requests.Session().send(twice.prepare(), timeout=30).text


def test_without_the_setting_no_ticket_is_good(stockade, alice, sub):
    now = int(time.time())
    ticket = forged({"sub": sub, "route": "/orders/42", "iat": now, "exp": now + 60})
    assert "explanation" not in ask(stockade, alice["AccessToken"], ticket).json()


def test_a_ticket_is_made_with_a_key_and_within_bounds(keyed, workplace):
    for words, status, said in [
        (["--sub", "a", "--route", "/x", "--ttl", "2h", "--config", keyed.file], 3, "max_ttl is 30m"),
        (["--sub", "a", "--route", "/x", "--key", workplace / "nosuch"], 3, "cannot be read"),
        (["--sub", "a", "--route", "/x", "--ttl", "soon", "--key", workplace / "now.key"], 64, "write a time"),
        (["--sub", "a"], 64, "--route"),
    ]:
        done = minted(*words)
        assert done.returncode == status and said in done.stderr and done.stdout == "", (words, done.stderr)
    short = workplace / "short.json5"
    short.write_text(keyed.file.read_text().replace("${file:now.key}", "hush"))
    done = minted("--sub", "a", "--route", "/x", "--config", short)
    assert done.returncode == 3 and "at least 16 bytes" in done.stderr and done.stdout == ""

"""A configuration file in force: routes, services behind single routes, limits, browsers, and the commands around it."""

import contextlib
import http.client
import http.server
import json
import subprocess
import sys
import threading
import time

import pytest
from issuer import Issuer
from processes import CHECKOUT, Stockade, binary, outside

POLICY = 'permit (principal, action == Action::"view", resource is Order);\n'


class Service:
    """A service that says its name and what it was told; /slow takes its time."""

    def __init__(self, name):
        self.bodies = []
        bodies = self.bodies

        class Answer(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                if self.path == "/slow":
                    time.sleep(1.5)
                if self.path in ("/pause", "/pause-long"):
                    return self.answer_with_a_pause()
                body = self.whole_body()
                if body is None:
                    return
                bodies.append(body)
                told = {"service": name, "path": self.path, "headers": dict(self.headers.items())}
                body = json.dumps(told).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                with contextlib.suppress(ConnectionError):
                    self.end_headers()
                    self.wfile.write(body)

            do_POST = do_OPTIONS = do_GET

            def answer_with_a_pause(self):
                self.send_response(200)
                self.send_header("Content-Length", "2")
                with contextlib.suppress(ConnectionError):
                    self.end_headers()
                    self.wfile.write(b"a")
                    self.wfile.flush()
                    time.sleep(1)
                    self.wfile.write(b"b")

            def whole_body(self):
                if "chunked" not in self.headers.get("Transfer-Encoding", ""):
                    return self.rfile.read(int(self.headers.get("Content-Length") or 0))
                body = b""
                while line := self.rfile.readline():
                    size = int(line, 16)
                    body += self.rfile.read(size)
                    self.rfile.readline()
                    if size == 0:
                        return body
                self.close_connection = True
                return None

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


def call(proxy, method, path, headers=None, body=None):
    host, port = proxy.proxy.removeprefix("http://").split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=20)
    connection.request(method, path, body=body, headers=headers or {})
    response = connection.getresponse()
    text = response.read()
    connection.close()
    return response, text


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "orders.cedar").write_text(POLICY)
    return tmp_path


@pytest.fixture
def proxy(folder):
    usual, other = Service("usual"), Service("other")
    (folder / "stockade.json5").write_text(
        f"""{{
          // Comments, and names without quotes.
          upstream: '${{USUAL}}',
          issuers: {{ main: {{ cognito: 'us-east-1_AbC123', client_ids: ['app'], jwks_url: 'http://127.0.0.1:1/keys' }} }},
          policies: 'policies/',
          cors: {{ errors_allow_origins: ['https://app.example.com'] }},
          routes: [
            {{ match: 'GET /healthz', access: 'public' }},
            {{ match: 'GET /other', access: 'public', upstream: '{other.url}' }},
            {{ match: 'GET /slow', access: 'public', response_timeout: '300ms' }},
            {{ match: 'GET /pause', access: 'public', body_timeout: '300ms' }},
            {{ match: 'GET /pause-long', access: 'public', body_timeout: '20s' }},
            {{ match: 'GET /nowhere', access: 'public', upstream: 'http://192.0.2.1:9', connect_timeout: '200ms' }},
            {{ match: 'POST /notes', access: 'public', body_limit: '10B' }},
            {{ match: 'OPTIONS /{{rest...}}', access: 'preflight' }},
            {{ match: 'GET /orders/{{id}}', action: 'view', resource: {{ type: 'Order', id: '{{id}}' }} }},
          ],
        }}"""
    )
    server = Stockade(
        folder, "routes", "--config", folder / "stockade.json5", environment={"USUAL": usual.url}
    )
    server.usual = usual
    yield server
    assert server.end() == 0, server.text()


def test_routes_are_obeyed(proxy):
    response, text = call(proxy, "GET", "/healthz", {"X-Stockade-Principal": "root"})
    assert response.status == 200
    told = json.loads(text)
    assert told["service"] == "usual"
    assert told["headers"]["X-Stockade-Principal"] == ""
    record = proxy.record(response.headers["X-Stockade-Decision-Id"])
    assert (record["decision"], record["reason"]) == ("allow", "public")
    assert json.loads(call(proxy, "GET", "/other")[1])["service"] == "other"
    assert call(proxy, "GET", "/orders/42")[0].status == 401
    response, _ = call(proxy, "GET", "/elsewhere")
    assert response.status == 403
    assert proxy.record(response.headers["X-Stockade-Decision-Id"])["reason"] == "no_route"


def test_a_slow_answer_is_cut_off_where_the_route_says(proxy):
    assert call(proxy, "GET", "/slow")[0].status == 504


def test_a_body_that_pauses_is_cut_off_where_the_route_says(proxy):
    with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
        call(proxy, "GET", "/pause")
    assert call(proxy, "GET", "/pause-long")[1] == b"ab"


def test_connecting_takes_no_longer_than_the_route_says(proxy):
    began = time.monotonic()
    assert call(proxy, "GET", "/nowhere")[0].status in (502, 504)
    assert time.monotonic() - began < 1.5, "the usual time is 2 s"


def test_a_body_beyond_the_routes_limit_never_reaches_the_service_whole(proxy):
    assert call(proxy, "POST", "/notes", body=b"0123456789")[0].status == 200
    assert call(proxy, "POST", "/notes", body=b"0123456789a")[0].status == 413
    chunks = (piece for piece in [b"01234", b"56789", b"a"])
    assert call(proxy, "POST", "/notes", body=chunks)[0].status == 413
    assert proxy.usual.bodies == [b"0123456789"], "what was cut off is no whole request"


def test_browsers_can_ask_and_can_read_our_refusals(proxy):
    asks = {"Origin": "https://app.example.com", "Access-Control-Request-Method": "GET"}
    assert call(proxy, "OPTIONS", "/orders/42", asks)[0].status == 200
    assert call(proxy, "OPTIONS", "/orders/42")[0].status == 403
    response, _ = call(proxy, "GET", "/orders/42", {"Origin": "https://app.example.com"})
    assert response.status == 401
    assert response.headers["Access-Control-Allow-Origin"] == "https://app.example.com"
    response, _ = call(proxy, "GET", "/orders/42", {"Origin": "https://evil.example"})
    assert response.headers.get("Access-Control-Allow-Origin") is None


def run(folder, *words, **variables):
    return subprocess.run(
        [binary(), *words], cwd=folder, env=outside() | variables, capture_output=True, text=True, timeout=60, check=False
    )


def test_what_init_writes_is_in_order_and_stays(tmp_path):
    first = run(tmp_path, "init", "--to", "http://127.0.0.1:3000", "--cognito", "us-east-1_AbC123", "--client-id", "a'b$c")
    assert first.returncode == 0, first.stderr
    checked = run(tmp_path, "check", "--explain-public")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "3 passed, 0 failed" in checked.stdout
    assert "everything: mode is 'observe'" in checked.stdout
    assert json.loads(run(tmp_path, "config", "show", "--json").stdout)["issuers"]["main"]["client_ids"] == ["a'b$c"]
    before = (tmp_path / "stockade.json5").read_bytes()
    again = run(tmp_path, "init", "--to", "http://127.0.0.1:4000", "--issuer", "https://login.example.com")
    assert again.returncode == 1
    assert "stockade.json5 is here already" in again.stderr
    assert (tmp_path / "stockade.json5").read_bytes() == before


def test_check_tells_invalid_from_failing(tmp_path):
    run(tmp_path, "init", "--to", "http://127.0.0.1:3000", "--cognito", "us-east-1_AbC123", "--client-id", "app")
    policy = tmp_path / "policies" / "starter.cedar"
    sound = policy.read_text()
    policy.write_text(sound.replace('Action::"read"', 'Action::"write"', 1))
    failing = run(tmp_path, "check")
    assert failing.returncode == 4, failing.stdout
    assert "who is signed in reads" in failing.stdout
    policy.write_text(sound + "permti (principal, action, resource);\n")
    assert run(tmp_path, "check").returncode == 3
    policy.write_text(sound)
    invalid = run(tmp_path, "check", STOCKADE_MODE="observd")
    assert invalid.returncode == 3
    assert "STOCKADE_MODE=observd: did you mean observe?" in invalid.stderr


def test_run_with_a_broken_file_starts_nothing_and_tells_everything(tmp_path):
    (tmp_path / "stockade.json5").write_text("{ mod: 'observe', listen: 8080 }")
    broken = run(tmp_path, "run")
    assert broken.returncode == 3
    assert 'stockade.json5:1:3: error: unknown name "mod"' in broken.stderr
    assert "stockade.json5:1:27: error: listen: expected a string" in broken.stderr
    assert "Nothing was started." in broken.stderr


def test_the_schema_accepts_what_the_reader_accepts(tmp_path):
    schema = json.loads(run(tmp_path, "config", "schema").stdout)
    jsonschema = pytest.importorskip("jsonschema")
    run(tmp_path, "init", "--to", "http://127.0.0.1:3000", "--cognito", "us-east-1_AbC123", "--client-id", "app")
    validator = jsonschema.Draft202012Validator(schema)
    validator.check_schema(schema)
    validator.validate(json.loads(run(tmp_path, "config", "show", "--json").stdout))
    for wrong in [{"mod": "observe"}, {"listen": 8080}, {"drain": {"delay": "5"}}, {"routes": [{"metch": "GET /"}]}]:
        assert list(validator.iter_errors(wrong)), wrong


FULL = """
// Everything at once, as nobody would write it.
{
  $schema: 'https://example.com/stockade.schema.json',
  version: 1,
  mode: "${MODE:-observe}",
  upstream: { url: 'http://127.0.0.1:3000', connect_timeout: '1s', response_timeout: '30s', body_timeout: '5m', idle_timeout: '4s', max_connections: 8 },
  listen: '127.0.0.1:0', ops: { listen: '127.0.0.1:0' }, workers: 2, drain: { delay: '1s', timeout: '2s' },
  log: { decisions: { to: 'none', format: 'json' } }, realm: 'orders', namespace: 'Shop',
  identity_headers: { principal: 'X-User', subject: '', groups: 'X-Groups', claims: { 'X-Mail': 'email' }, authorization: 'remove' },
  cors: { errors_allow_origins: ['https://app.example.com'] },
  issuers: {
    pool: { cognito: 'us-east-1_AbC123', client_ids: ['a'], token_use: 'access', id_prefix: 'p', algorithms: ['RS256'],
            clock_skew: '30s', max_lifetime: '1h', accept_bare_token: false },
    other: { issuer: 'https://login.example.com', audiences: ['orders'], jwks_file: 'keys.json',
             mapping: { namespace: 'Corp', principal_type: 'Person', group_type: 'Team', id_claim: 'oid', group_claim: '/realm_access/roles',
                        scope_claim: 'permissions', attributes: { level: { claim: 'level', type: 'long' }, mail: 'email' } } },
  },
  routes: [
    'GET /plain',
    { match: 'GET,PUT /orders/{id}', host: '*.example.com', action: 'view', scopes: ['orders'], mode: 'enforce', upstream: 'http://127.0.0.1:1',
      connect_timeout: '1s', response_timeout: '1m', body_timeout: '1h', body_limit: '1MiB', engine: { local: {} },
      resource: { type: 'Order', id: '{id}', attributes: { host: { value: '{header.X-Reason}', optional: true } }, parents: [{ type: 'Shop', id: 'a' }] } },
    { match: 'OPTIONS /{rest...}', access: 'preflight' },
  ],
  unrouted: 'path',
  policies: { dir: 'policies/', ids: 'position' }, on_policy_error: 'skip', engine: { local: {} },
  context: { headers: ['x-tenant'], query: ['dry_run'] },
}
"""


def test_editors_and_check_jsonschema_read_the_file_as_we_do(tmp_path):
    (tmp_path / "schema.json").write_text(run(tmp_path, "config", "schema").stdout)
    (tmp_path / "keys.json").write_text(Issuer().key_set())
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "all.cedar").write_text("permit (principal, action, resource);\n")

    wrong = {
        "mode: \"${MODE:-observe}\"": "mod: 'observe'", "workers: 2": "workers: 65", "body_limit: '1MiB'": "body_limit: '1 megabyte'",
        "response_timeout: '30s'": "response_timeout: 30", "client_ids: ['a']": "client_ids: 'a'", "unrouted: 'path'": "unrouted: 'allow'",
        "match: 'OPTIONS /{rest...}'": "metch: 'OPTIONS /{rest...}'", "token_use: 'access'": "token_use: 'refresh'",
        "accept_bare_token: false": "accept_bare_token: 'no'", "type: 'long'": "type: 'int'", "realm: 'orders'": "realm: null",
    }  # fmt: skip
    texts = {"right.json5": FULL}
    for number, (right, mistake) in enumerate(wrong.items()):
        assert FULL.count(right) == 1, right
        texts[f"wrong-{number}.json5"] = FULL.replace(right, mistake)
    for name, text in texts.items():
        (tmp_path / name).write_text(text)

    peer = [sys.executable, "-m", "check_jsonschema"]
    subprocess.run([*peer, "--check-metaschema", "schema.json"], cwd=tmp_path, check=True, timeout=60)
    answer = subprocess.run([*peer, "--schemafile", "schema.json", "-o", "json", *texts], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    told = json.loads(answer.stdout)
    assert told["parse_errors"] == []
    assert {error["filename"].rpartition("/")[2] for error in told["errors"]} == set(texts) - {"right.json5"}
    for name, text in texts.items():
        (tmp_path / "stockade.json5").write_text(text)
        ours = run(tmp_path, "check")
        assert (ours.returncode == 0) == (name == "right.json5"), (name, ours.stdout, ours.stderr)


def test_what_wins_is_shown_with_its_source_and_secrets_are_not(tmp_path):
    (tmp_path / "realm").write_text("s3cret\n")
    (tmp_path / "stockade.json5").write_text(
        "{ upstream: 'http://127.0.0.1:1', realm: '${file:realm}', mode: 'observe', listen: '127.0.0.1:1', ops: '127.0.0.1:${PORT:-2}',\n"
        "  issuers: { main: { cognito: 'us-east-1_AbC123', client_ids: ['a'] } } }"
    )
    shown = run(tmp_path, "config", "show", "--sources", "--listen", "127.0.0.1:4", STOCKADE_MODE="enforce", STOCKADE_LISTEN="127.0.0.1:3")
    assert shown.returncode == 0, shown.stderr
    for name, value, source in [
        ("mode", '"enforce"', "environment STOCKADE_MODE"), ("listen", '"127.0.0.1:4"', "flag --listen"), ("realm", '"‹masked›"', "stockade.json5:1"),
        ("connect_timeout", '"2s"', "default"), ("listen", '"127.0.0.1:2"', "stockade.json5:1"), ("client_ids", '["a"]', "stockade.json5:2"),
    ]:  # fmt: skip
        assert any(f"{name}: {value}," in line and line.endswith(f"// {source}") for line in shown.stdout.splitlines()), (name, shown.stdout)
    assert "s3cret" not in shown.stdout + run(tmp_path, "config", "show", "--json").stdout
    wrong = run(tmp_path, "config", "show", PORT="many")
    assert wrong.returncode == 3 and "stockade.json5:1:" in wrong.stderr and "the port must be a number" in wrong.stderr


def test_the_samples_tests_pass_through_the_page():
    checked = run(CHECKOUT, "check", "--policies", "policies")
    assert checked.returncode == 0, checked.stdout

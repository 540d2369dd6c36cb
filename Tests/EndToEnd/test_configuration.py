"""A configuration file in force: routes, services behind single routes, limits, browsers, and the commands around it."""

import contextlib
import http.client
import http.server
import json
import subprocess
import threading
import time

import pytest
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


def test_the_samples_tests_pass_through_the_page():
    checked = run(CHECKOUT, "check", "--policies", "policies")
    assert checked.returncode == 0, checked.stdout

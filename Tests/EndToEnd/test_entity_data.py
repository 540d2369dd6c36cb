"""Decisions that need more than the head of a request: fields of its body, and entities looked up elsewhere."""

import concurrent.futures
import contextlib
import http.client
import http.server
import json
import socket
import struct
import subprocess
import threading
import time

import pytest
import requests
from processes import Stockade, binary, eventually, free_port
from test_data_plane import Upstream

POLICIES = """
@id("small") permit (principal, action == Action::"pay", resource is Order)
  when { context.http.body has amount && context.http.body.amount <= 100 };
@id("owner") permit (principal, action == Action::"change", resource is Order)
  when { resource has owner && resource.owner == principal };
@id("read") permit (principal, action == Action::"read", resource is Order);
"""
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
JSON = "application/json"


def order(identifier, owner, **more):
    attributes = {"owner": {"__entity": {"type": "User", "id": owner}}, **more}
    return json.dumps([{"uid": {"type": "Order", "id": identifier}, "attrs": attributes, "parents": []}])


class Source:
    """A source of entities: answers as the test says, and notes what it was asked."""

    def __init__(self):
        self.asked = []
        self.answer = lambda path: (404, "text/plain", "")
        source = self

        class Answer(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                source.asked.append((self.path, dict(self.headers.items())))
                status, kind, text = source.answer(self.path)
                body = text if isinstance(text, bytes) else text.encode()
                with contextlib.suppress(ConnectionError):
                    self.send_response(status)
                    self.send_header("Content-Type", kind)
                    self.send_header("Content-Length", str(len(body)))
                    if status == 302:
                        self.send_header("Location", "/orders/elsewhere")
                    self.end_headers()
                    self.wfile.write(body)

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

        self.server = Server(("127.0.0.1", 0), Answer)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = "http://127.0.0.1:%d" % self.server.server_address[1]

    def paths(self):
        return [path for path, _ in self.asked]


@pytest.fixture
def source():
    made = Source()
    yield made
    made.server.shutdown()


@pytest.fixture
def upstream():
    made = Upstream()

    def play(connection, number):
        while made.read_request(connection):
            connection.sendall(OK)

    made.plays(play)
    yield made
    made.end()


def configuration(pool, upstream, source, more=""):
    return f"""{{
      upstream: '{upstream.url}', {more}
      issuers: {{ main: {{ cognito: '{pool.id}', client_ids: ['{pool.client_id}'], jwks_url: '{pool.jwks_url}', id_prefix: 'demo' }} }},
      policies: 'policies/',
      routes: [
        {{ match: 'POST /orders/{{id}}/payments', action: 'pay', resource: {{ type: 'Order', id: '{{id}}' }},
          body: {{ max: '100kB', timeout: '1s', fields: {{ amount: '/payment/amount' }} }} }},
        {{ match: 'POST /small/{{id}}', action: 'pay', resource: {{ type: 'Order', id: '{{id}}' }},
          body: {{ max: '40B', fields: {{ amount: 'amount' }} }} }},
        {{ match: 'PUT /orders/{{id}}', action: 'change', resource: {{ type: 'Order', id: '{{id}}' }},
          entities: {{ url: '{source.url}/orders/{{id}}', timeout: '700ms', cache: '2s', max: '4KiB', headers: {{ 'X-Key': 'of-the-proxy' }} }} }},
        {{ match: 'PUT /watched/{{id}}', action: 'change', resource: {{ type: 'Order', id: '{{id}}' }}, mode: 'observe',
          entities: {{ url: '{source.url}/orders/{{id}}', timeout: '300ms' }} }},
        {{ match: 'PUT /both/{{id}}', action: 'change', resource: {{ type: 'Order', id: '{{body.order}}' }},
          body: {{ fields: {{ order: '/order' }} }}, entities: '{source.url}/orders/{{body.order}}?of={{principal.id}}' }},
        {{ match: '* /orders/{{id}}', action: 'read', resource: {{ type: 'Order', id: '{{id}}' }} }},
      ],
    }}"""


def start(tmp_path, pool, upstream, source, name="data", more="", patience="700ms", large="100kB", slow="1s", **options):
    (tmp_path / "policies").mkdir(exist_ok=True)
    (tmp_path / "policies" / "orders.cedar").write_text(POLICIES)
    file = tmp_path / "stockade.json5"
    text = configuration(pool, upstream, source, more)
    file.write_text(text.replace("700ms", patience).replace("'100kB'", f"'{large}'").replace("'1s'", f"'{slow}'"))
    server = Stockade(tmp_path, name, "--config", file, **options)
    server.until("its keys are there", lambda: requests.get(server.ops + "/readyz", timeout=5).status_code == 200)
    return server


@pytest.fixture
def proxy(tmp_path, pool, upstream, source):
    server = start(tmp_path, pool, upstream, source)
    yield server
    assert server.end() == 0, server.text()


class Client:
    """A connection on which every byte is ours."""

    def __init__(self, proxy):
        host, port = proxy.proxy.removeprefix("http://").split(":")
        self.socket = socket.create_connection((host, int(port)), timeout=10)
        self.file = self.socket.makefile("rb")

    def send(self, data):
        self.socket.sendall(data)

    def head(self, method, path, token, *fields):
        lines = [f"{method} {path} HTTP/1.1", "Host: api.example", f"Authorization: Bearer {token}", *fields]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    def line(self):
        """The next status line with its head; for interim responses too."""
        status = self.file.readline()
        fields = {}
        while (line := self.file.readline()) not in (b"\r\n", b""):
            name, value = line.decode().rstrip("\r\n").split(": ", 1)
            fields[name.lower()] = value
        return int(status.split()[1]) if status else None, fields

    def answer(self):
        status, fields = self.line()
        body = self.file.read(int(fields.get("content-length", 0))) if fields else b""
        return status, fields, body

    def is_closed(self):
        with contextlib.suppress(ConnectionError):
            return self.file.read(1) == b""
        return True


def chunked(body, size):
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x;note=x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\nX-Sum: 1\r\nX-Stockade-Principal: admin\r\n\r\n"


def payment(amount, filler=0):
    # White space and names that nobody asked for are the service's business, and arrive as they were sent.
    return b'  {"payment" : {"amount":%d } ,"x":1.50,"filler":"%s"}\r\n' % (amount, b"\xc3\xa9" * filler)


PAY = "/orders/7/payments"


def ask(proxy, method, path, token, body=None, kind=JSON, **headers):
    fields = {"Authorization": "Bearer " + token, **({"Content-Type": kind} if body is not None and kind else {}), **headers}
    return requests.request(method, proxy.proxy + path, data=body, headers=fields, timeout=20, allow_redirects=False)


def reason(proxy, response):
    headers = response if isinstance(response, dict) else {k.lower(): v for k, v in response.headers.items()}
    return proxy.record(headers["x-stockade-decision-id"])["reason"]


class TestBodies:
    @pytest.mark.parametrize("filler", [0, 40_000], ids=["short", "long"])
    @pytest.mark.parametrize("form", ["length", "chunked", "byte at a time", "chunked byte at a time", "pipelined"])
    def test_the_body_that_was_decided_on_is_forwarded_byte_for_byte(self, proxy, upstream, alice, form, filler):
        token, body = alice["AccessToken"], payment(99, filler)
        if "at a time" in form and filler:
            body = payment(99, 300)
        client = Client(proxy)
        if "chunked" in form:
            data = client.head("POST", PAY, token, "Content-Type: application/json", "Transfer-Encoding: chunked")
            data += chunked(body, 1000)
        else:
            data = client.head("POST", PAY, token, "Content-Type: application/json", f"Content-Length: {len(body)}") + body
        if form == "pipelined":
            data += client.head("GET", "/orders/8", token) + client.head("POST", PAY, token, "Content-Length: 0")
        if "at a time" in form:
            client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for at in range(len(data)):
                client.send(data[at : at + 1])
        else:
            client.send(data)
        assert client.answer()[0] == 200
        if form == "pipelined":
            assert client.answer()[0] == 200 and client.answer()[0] == 403
        head, got = upstream.requests[0]
        assert got == body
        assert (b"Transfer-Encoding: chunked" in head) == ("chunked" in form) and b"admin" not in head
        assert upstream.trailers == ([b"X-Sum: 1\r\n"] if "chunked" in form else [])
        assert len(upstream.requests) == (2 if form == "pipelined" else 1)
        # And the connection goes on.
        client.send(client.head("GET", "/orders/9", token))
        assert client.answer()[0] == 200

    def test_what_the_body_says_decides(self, proxy, upstream, alice):
        token = alice["AccessToken"]
        refused = ask(proxy, "POST", PAY, token, payment(101))
        assert refused.status_code == 403 and reason(proxy, refused) == "no_permit"
        for body, status, why in [
            (b'{"payment":{"amount":"1"}}', 403, "no_permit"), (b'{"payment":{}}', 403, "no_permit"), (b"[]", 403, "no_permit"),
            (b'{"payment":{"amount":1.5}}', 400, "body_invalid"), (b'{"payment":{"amount":1},"payment":{"amount":1000}}', 400, "body_invalid"),
            (b'{"payment":{"amount":1}', 400, "body_invalid"), (b"amount=1", 400, "body_invalid"),
        ]:  # fmt: skip
            answer = ask(proxy, "POST", PAY, token, body)
            assert (answer.status_code, reason(proxy, answer)) == (status, why), body
        assert not upstream.requests

    def test_what_is_no_json_by_its_own_word_is_refused(self, proxy, upstream, alice):
        token = alice["AccessToken"]
        for kind, more in [("text/plain", {}), (None, {}), ("application/json; charset=latin1", {}), (JSON, {"Content-Encoding": "gzip"})]:
            answer = ask(proxy, "POST", PAY, token, payment(1), kind, **more)
            assert (answer.status_code, reason(proxy, answer)) == (415, "body_unsupported"), kind
        assert not upstream.requests

    @pytest.mark.parametrize("form", ["length", "chunked"])
    def test_a_body_that_is_too_long_is_refused_and_nothing_after_it_is_read(self, proxy, upstream, alice, form):
        client = Client(proxy)
        token, body = alice["AccessToken"], b'{"amount":1,"filler":"' + b"x" * 40 + b'"}'
        fields = "Transfer-Encoding: chunked" if form == "chunked" else f"Content-Length: {len(body)}"
        # By its length alone it is refused at once: the body never comes.
        client.send(client.head("POST", "/small/7", token, "Content-Type: application/json", fields))
        if form == "chunked":
            client.send(chunked(body, 10) + client.head("GET", "/orders/8", token))
        status, fields, _ = client.answer()
        assert status == 413 and reason(proxy, fields) == "request_too_large"
        assert client.is_closed() and not upstream.requests

    def test_a_client_that_waits_for_100_gets_one_and_the_service_is_not_asked_for_it(self, proxy, upstream, alice):
        client = Client(proxy)
        token, body = alice["AccessToken"], payment(5)
        fields = ["Content-Type: application/json", f"Content-Length: {len(body)}", "Expect: 100-continue"]
        client.send(client.head("POST", PAY, token, *fields))
        assert client.line()[0] == 100
        client.send(body)
        assert client.answer()[0] == 200
        head, got = upstream.requests[0]
        assert got == body and b"expect" not in head.lower()
        # Who is refused unread gets no 100.
        client.send(client.head("POST", PAY, "bad", *fields))
        assert client.answer()[0] == 401

    def test_a_slow_body_is_refused_in_time(self, proxy, upstream, alice):
        client = Client(proxy)
        client.send(client.head("POST", PAY, alice["AccessToken"], "Content-Type: application/json", "Content-Length: 50") + b"{")
        began = time.monotonic()
        status, fields, _ = client.answer()
        assert status == 408 and reason(proxy, fields) == "request_timeout" and 0.5 < time.monotonic() - began < 8
        assert client.is_closed() and not upstream.requests

    def test_a_client_that_goes_is_recorded(self, proxy, upstream, alice):
        before = len(proxy.records())
        client = Client(proxy)
        client.send(client.head("POST", PAY, alice["AccessToken"], "Content-Type: application/json", "Content-Length: 50") + b"{")
        client.socket.close()
        client.file.close()
        proxy.until("its record", lambda: len(proxy.records()) > before)
        record = proxy.records()[-1]
        assert record["status"] == 0 and record["http"]["path"] == PAY and not upstream.requests
        assert "stockade_held_body_bytes 0" in requests.get(proxy.ops + "/metrics", timeout=5).text

    def test_a_body_without_end_takes_no_memory(self, proxy, alice):
        before = proxy.memory_kib("VmRSS")
        clients = [Client(proxy) for _ in range(50)]
        for client in clients:
            with contextlib.suppress(OSError):
                client.send(client.head("POST", PAY, alice["AccessToken"], "Content-Type: application/json", "Transfer-Encoding: chunked"))
                client.send((b"8000\r\n" + b" " * 0x8000 + b"\r\n") * 30)
        for client in clients:
            with contextlib.suppress(ConnectionError):
                assert client.answer()[0] in (413, 408)
        assert proxy.memory_kib("VmRSS") < before + 50 * 1024
        eventually("nothing is held", lambda: "stockade_held_body_bytes 0" in requests.get(proxy.ops + "/metrics", timeout=5).text)


    def test_what_all_connections_hold_together_is_bounded(self, tmp_path, pool, upstream, source, alice):
        server = start(tmp_path, pool, upstream, source, "held", "workers: 1, limits: { buffered: '64MiB' },", large="16MiB", slow="30s")
        held = []
        for _ in range(4):
            client = Client(server)
            client.send(client.head("POST", PAY, alice["AccessToken"], "Content-Type: application/json", f"Content-Length: {16 << 20}"))
            client.send(b" " * ((16 << 20) - 1))
            held.append(client)
        full = f"stockade_held_body_bytes {(64 << 20) - 4}"
        server.until("four bodies are held", lambda: full in requests.get(server.ops + "/metrics", timeout=5).text)
        late = Client(server)
        late.send(late.head("POST", PAY, alice["AccessToken"], "Content-Type: application/json", "Content-Length: 1000") + b" " * 10)
        status, fields, _ = late.answer()
        assert status == 503 and fields["retry-after"] == "1" and reason(server, fields) == "overload"
        # The last byte comes: it is a body without fields. And there is room again.
        held[0].send(b" ")
        assert held[0].answer()[0] == 400
        assert ask(server, "POST", PAY, alice["AccessToken"], payment(1)).status_code == 200
        for client in held:
            client.file.close()
            client.socket.close()
        assert server.end() == 0, server.text()

    def test_a_service_that_answers_before_it_has_read_a_held_body_is_relayed(self, tmp_path, pool, upstream, source, alice):
        server = start(tmp_path, pool, upstream, source, "early", large="16MiB", slow="30s")

        def play(connection, number):
            data = b""
            while b"\r\n\r\n" not in data:
                data += connection.recv(4096)
            connection.sendall(b"HTTP/1.1 507 Insufficient Storage\r\nContent-Length: 4\r\n\r\nfull")
            # What else comes stays unread until the proxy gives up.
            while number == 1 and connection.recv(1):
                pass

        upstream.plays(play)
        client = Client(server)
        body = b'{"payment":{"amount":1},"filler":"' + b"x" * (8 << 20) + b'"}'
        fields = ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        client.send(client.head("POST", PAY, alice["AccessToken"], *fields) + body)
        assert client.answer()[0] == 507
        client.send(client.head("GET", "/orders/1", alice["AccessToken"]))
        assert client.answer()[0] == 507, "the body was read to its end, so the next request is found"
        server.until("nothing is held", lambda: "stockade_held_body_bytes 0" in requests.get(server.ops + "/metrics", timeout=5).text)
        assert server.end() == 0, server.text()


class TestLookups:
    def test_who_owns_an_order_changes_it_and_nobody_else(self, proxy, upstream, source, pool, alice, bob):
        mine = order("7", "demo|" + pool.subjects["alice"])
        source.answer = lambda path: (200, JSON, mine) if path == "/orders/7" else (404, JSON, "")
        assert ask(proxy, "PUT", "/orders/7", alice["AccessToken"], b"x").status_code == 200
        refused = ask(proxy, "PUT", "/orders/7", bob["AccessToken"], b"x")
        assert refused.status_code == 403 and reason(proxy, refused) == "no_permit"
        absent = ask(proxy, "PUT", "/orders/8", alice["AccessToken"])
        assert absent.status_code == 403 and reason(proxy, absent) == "no_permit"
        assert source.paths() == ["/orders/7", "/orders/8"], "an answer serves for a while"
        told = source.asked[0][1]
        assert told["X-Key"] == "of-the-proxy" and "Authorization" not in told
        record = proxy.record(refused.headers["X-Stockade-Decision-Id"])
        assert record["lookup_us"] >= 0 and record["resource"] == 'Order::"7"'
        metrics = requests.get(proxy.ops + "/metrics", timeout=5).text
        for line in ('lookups_total{result="found"} 1', 'lookups_total{result="absent"} 1', "lookup_duration_seconds_count 2"):
            assert "stockade_entity_" + line in metrics

    def test_an_answer_serves_for_its_time(self, proxy, source, pool, alice):
        owners = ["alice", "bob"]
        source.answer = lambda path: (200, JSON, order("7", "demo|" + pool.subjects[owners[0]]))
        assert ask(proxy, "PUT", "/orders/7", alice["AccessToken"]).status_code == 200
        owners.pop(0)
        assert ask(proxy, "PUT", "/orders/7", alice["AccessToken"]).status_code == 200
        eventually("the new owner is seen", lambda: ask(proxy, "PUT", "/orders/7", alice["AccessToken"]).status_code == 403)
        assert len(source.asked) == 2

    @pytest.mark.parametrize(
        "status,kind,text",
        [
            (200, "text/html", "<html>sign in</html>"), (200, JSON, "<html>sign in</html>"), (200, JSON, '{"owner": "alice"}'),
            (200, JSON, "x" * 5000), (200, JSON, json.dumps(["x" * 5000])), (500, JSON, "[]"), (302, JSON, "[]"), (204, JSON, ""), (401, JSON, "[]"),
            (200, JSON, json.dumps([{"uid": {"type": "User", "id": "x"}, "attrs": {"admin": True}, "parents": []}])),
        ],
    )  # fmt: skip
    def test_what_is_no_answer_is_503(self, proxy, upstream, source, alice, status, kind, text):
        source.answer = lambda path: (status, kind, text)
        answer = ask(proxy, "PUT", "/orders/7", alice["AccessToken"])
        assert answer.status_code == 503 and answer.headers["Retry-After"] == "1"
        assert reason(proxy, answer) == "entity_lookup_failed" and not upstream.requests
        assert source.paths() == ["/orders/7"], "no redirect is followed"

    def test_a_failure_is_not_remembered_for_long(self, proxy, source, pool, alice):
        source.answer = lambda path: (500, JSON, "")
        assert ask(proxy, "PUT", "/orders/7", alice["AccessToken"]).status_code == 503
        source.answer = lambda path: (200, JSON, order("7", "demo|" + pool.subjects["alice"]))
        began = time.monotonic()
        eventually("it is mended", lambda: ask(proxy, "PUT", "/orders/7", alice["AccessToken"]).status_code == 200)
        assert time.monotonic() - began < 1.9

    def test_a_source_that_does_not_answer_is_503_in_time(self, proxy, upstream, source, alice):
        gate = threading.Event()
        source.answer = lambda path: (gate.wait(10), (404, JSON, ""))[1]
        began = time.monotonic()
        answer = ask(proxy, "PUT", "/orders/7", alice["AccessToken"])
        assert answer.status_code == 503 and reason(proxy, answer) == "entity_lookup_failed" and 0.5 < time.monotonic() - began < 5
        gate.set()
        assert not upstream.requests

    def test_a_source_that_is_not_there_is_503(self, tmp_path, pool, upstream, alice):
        class Gone:
            url = f"http://127.0.0.1:{free_port()}"

        server = start(tmp_path, pool, upstream, Gone, "gone")
        answer = ask(server, "PUT", "/orders/7", alice["AccessToken"])
        assert answer.status_code == 503 and reason(server, answer) == "entity_lookup_failed" and not upstream.requests
        # Observed, it passes, and the record says what would have been.
        watched = ask(server, "PUT", "/watched/7", alice["AccessToken"])
        assert watched.status_code == 200
        record = server.record(upstream.requests[-1][0].decode().split("X-Stockade-Decision-Id: ")[1].split("\r\n")[0])
        assert (record["reason"], record["enforced"], record["decision"]) == ("entity_lookup_failed", False, "error")
        assert server.end() == 0

    def test_nobody_who_is_not_known_causes_a_lookup(self, proxy, source):
        assert requests.put(proxy.proxy + "/orders/7", timeout=10).status_code == 401
        assert ask(proxy, "PUT", "/orders/7", "not.a.token").status_code == 401
        assert not source.asked

    @pytest.mark.parametrize(
        "sent,asked",
        [
            ("%3Fx=y%23z", "/orders/%3Fx%3Dy%23z"), ("a%20b%25", "/orders/a%20b%25"), ("@evil.example", "/orders/%40evil.example"),
            ("%C3%A9;v=1", None), ("..%2fadmin", None), ("..", None), ("%2e%2e", None), ("a%2fb", None), ("a%00b", None), ("a%0d%0ab", None),
        ],
    )  # fmt: skip
    def test_no_value_leaves_its_segment(self, proxy, source, alice, sent, asked):
        client = Client(proxy)
        client.send(client.head("PUT", "/orders/" + sent, alice["AccessToken"], "Content-Length: 0"))
        assert client.answer()[0] in ((403,) if asked else (400, 403))
        assert source.paths() == ([asked] if asked else [])

    @pytest.mark.parametrize("named", ["..", ".", "", "../admin", "7?x=y#z", "7\\u0000"])
    def test_nor_does_one_of_the_body(self, proxy, source, alice, pool, named):
        answer = ask(proxy, "PUT", "/both/7", alice["AccessToken"], b'{"order":"%s"}' % named.encode())
        expected = {"../admin": "..%2Fadmin", "7?x=y#z": "7%3Fx%3Dy%23z", "7\\u0000": "7%00"}.get(named)
        assert answer.status_code == (403 if expected else 400)
        principal = "demo%7C" + pool.subjects["alice"]
        assert source.paths() == ([f"/orders/{expected}?of={principal}"] if expected else [])

    def test_body_and_lookup_go_together(self, proxy, upstream, source, pool, alice):
        source.answer = lambda path: (200, JSON, order("9", "demo|" + pool.subjects["alice"]))
        body = b'{"order": 9, "note": "' + b"n" * 30_000 + b'"}'
        answer = ask(proxy, "PUT", "/both/7", alice["AccessToken"], body)
        assert answer.status_code == 200 and upstream.requests[0][1] == body
        record = proxy.record(upstream.requests[0][0].decode().split("X-Stockade-Decision-Id: ")[1].split("\r\n")[0])
        assert record["resource"] == 'Order::"9"' and record["policies"] == ["owner"]

    def test_fifty_at_once_ask_once_whichever_worker_they_reach(self, tmp_path, pool, upstream, source, alice, report):
        gate, entered = threading.Event(), threading.Event()
        mine = order("7", "demo|" + pool.subjects["alice"])

        def answer(path):
            entered.set()
            gate.wait(10)
            return 200, JSON, mine

        source.answer = answer
        listen = f"127.0.0.1:{free_port()}"
        server = start(tmp_path, pool, upstream, source, "many", "workers: 2,", patience="10s", listen=listen)
        with concurrent.futures.ThreadPoolExecutor(50) as threads:
            waiting = [threads.submit(ask, server, "PUT", "/orders/7", alice["AccessToken"]) for _ in range(50)]
            assert entered.wait(10)
            server.until(
                "all of them wait", lambda: "stockade_requests_in_flight 50" in requests.get(server.ops + "/metrics", timeout=5).text
            )
            gate.set()
            assert {done.result().status_code for done in waiting} == {200}
        assert len(source.asked) == 1
        report("entity look-ups: 50 requests at once over 2 workers, 1 question")
        assert server.end() == 0, server.text()

    def test_so_many_at_once_and_the_others_wait_for_their_turn(self, tmp_path, pool, upstream, source, alice):
        gate = threading.Event()
        source.answer = lambda path: (gate.wait(10), (200, JSON, order(path.rsplit("/", 1)[1], "demo|" + pool.subjects["alice"])))[1]
        server = start(tmp_path, pool, upstream, source, "turns", patience="10s")
        with concurrent.futures.ThreadPoolExecutor(80) as threads:
            waiting = [threads.submit(ask, server, "PUT", f"/orders/{number}", alice["AccessToken"]) for number in range(80)]
            server.until("all wait", lambda: "stockade_requests_in_flight 80" in requests.get(server.ops + "/metrics", timeout=5).text)
            eventually("64 are asked", lambda: len(source.asked) >= 64)
            assert len(source.asked) == 64
            gate.set()
            assert {done.result().status_code for done in waiting} == {200}
        assert len(source.asked) == 80
        assert server.end() == 0, server.text()

    def test_a_client_that_goes_while_its_order_is_looked_up_is_recorded(self, proxy, upstream, source, pool, alice):
        gate, entered = threading.Event(), threading.Event()
        source.answer = lambda path: (entered.set(), gate.wait(10), (404, JSON, ""))[2]
        client = Client(proxy)
        client.send(client.head("PUT", "/orders/7", alice["AccessToken"], "Content-Length: 0"))
        assert entered.wait(10)
        # A reset: a client that only ended its side may still wait for the answer.
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.file.close()
        client.socket.close()
        proxy.until("its record", lambda: [r for r in proxy.records() if r["status"] == 0 and r["http"]["path"] == "/orders/7"])
        gate.set()
        assert ask(proxy, "PUT", "/orders/8", alice["AccessToken"]).status_code == 403
        assert not upstream.requests

    def test_a_reload_while_requests_wait_decides_them_by_the_new_set(self, tmp_path, pool, upstream, source, alice):
        gate, entered = threading.Event(), threading.Event()

        def answer(path):
            entered.set()
            gate.wait(10)
            return 404, JSON, ""

        source.answer = answer
        server = start(tmp_path, pool, upstream, source, "reloaded", patience="10s")
        body = payment(5)
        slow = Client(server)
        slow.send(slow.head("POST", PAY, alice["AccessToken"], "Content-Type: application/json", f"Content-Length: {len(body)}") + body[:10])
        with concurrent.futures.ThreadPoolExecutor(1) as threads:
            waiting = threads.submit(ask, server, "PUT", "/orders/7", alice["AccessToken"])
            assert entered.wait(10)
            (tmp_path / "policies" / "orders.cedar").write_text(POLICIES + '@id("all") permit (principal, action == Action::"change", resource);')
            source.answer = lambda path: (404, JSON, "")
            server.process.send_signal(1)
            assert waiting.result().status_code == 200, "under the new policies nothing need be known of the order"
            gate.set()
        slow.send(body[10:])
        assert slow.answer()[0] == 200
        assert upstream.requests[-1][1] == body
        assert server.end() == 0, server.text()


def test_policy_tests_say_what_bodies_and_sources_say(tmp_path, pool, upstream, source):
    start(tmp_path, pool, upstream, source, "written").end()
    (tmp_path / "policies" / "tests").mkdir()
    mine = json.loads(order("7", "demo|alice"))
    tests = [
        {"name": "small", "as": "alice", "request": "POST /small/1", "body": {"amount": 5}, "expect": "allow", "by": ["small"]},
        {"name": "large", "as": "alice", "request": "POST /small/1", "body": {"amount": 500}, "expect": "deny", "by": []},
        {"name": "broken", "as": "alice", "request": "POST /small/1", "body": {"amount": 0.5}, "expect": "deny", "reason": "body_invalid"},
        {"name": "none", "as": "alice", "request": "POST /small/1", "expect": "deny", "reason": "no_permit"},
        {"name": "long", "as": "alice", "request": "POST /small/1", "body": ["x" * 50], "expect": "deny", "reason": "request_too_large"},
        {"name": "typed", "as": "alice", "request": "POST /small/1", "body": {}, "headers": {"Content-Type": "text/plain"},
         "expect": "deny", "reason": "body_unsupported"},
        {"name": "mine", "as": "alice", "request": "PUT /orders/7", "entities": mine, "expect": "allow", "by": ["owner"]},
        {"name": "nobody's", "as": "alice", "request": "PUT /orders/7", "expect": "deny", "by": []},
        {"name": "both", "as": "alice", "request": "PUT /both/1", "body": {"order": 7}, "entities": mine, "expect": "allow", "by": ["owner"]},
        {"name": "fails", "as": "alice", "request": "PUT /orders/7", "entities": [{}], "expect": "error", "reason": "entity_lookup_failed"},
    ]  # fmt: skip
    file = {"principals": {"alice": {"issuer": "main", "claims": {"sub": "alice"}}}, "tests": tests}
    (tmp_path / "policies" / "tests" / "data.test.json").write_text(json.dumps(file))
    done = subprocess.run(
        [binary(), "check", "--config", tmp_path / "stockade.json5"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0 and "10 passed, 0 failed" in done.stdout, done.stdout + done.stderr

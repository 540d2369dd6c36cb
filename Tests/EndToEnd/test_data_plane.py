"""The data plane between hostile clients and hostile upstreams, over raw sockets: what is relayed is whole or visibly broken."""

import contextlib
import socket
import struct
import threading

import pytest

from processes import CHECKOUT, Stockade
from services import Accepting

PATIENCE = 10


class Upstream(Accepting):
    """A service whose every connection is played by a function of the test."""

    def __init__(self):
        self.play = None
        self.connections = 0
        self.requests, self.trailers = [], []
        self.lock = threading.Lock()
        super().__init__(PATIENCE)

    def arrived(self, connection):
        with self.lock:
            self.connections += 1
            number = self.connections
        self.begin(connection, number)

    def serve(self, connection, number):
        with contextlib.suppress(OSError), connection:
            self.play(connection, number)

    def plays(self, play):
        with self.lock:
            self.play, self.connections, self.requests, self.trailers = play, 0, [], []

    def read_request(self, connection, rest=b""):
        """One request: its head and body; None at the end of the connection."""
        data = rest
        while b"\r\n\r\n" not in data:
            more = connection.recv(65536)
            if not more:
                return None
            data += more
        head, body = data.split(b"\r\n\r\n", 1)
        fields = {}
        for line in head.split(b"\r\n")[1:]:
            name, value = line.split(b": ", 1)
            fields[name.lower()] = value
        if fields.get(b"transfer-encoding") == b"chunked":
            body, trailers = chunks(connection, body)
            with self.lock:
                self.trailers.append(trailers)
        else:
            length = int(fields.get(b"content-length", b"0"))
            while len(body) < length:
                more = connection.recv(65536)
                if not more:
                    raise OSError("the request broke off")
                body += more
        with self.lock:
            self.requests.append((head, body))
        return head, body


def chunks(connection, data):
    """The data of a chunked body, of which something was read, and the lines behind it; OSError if it breaks off."""

    def more():
        nonlocal data
        got = connection.recv(65536)
        if not got:
            raise OSError("the body broke off")
        data += got

    out = b""
    while True:
        while b"\r\n" not in data:
            more()
        size, data = data.split(b"\r\n", 1)
        size = int(size, 16)
        if size == 0:
            break
        while len(data) < size + 2:
            more()
        assert data[size : size + 2] == b"\r\n"
        out, data = out + data[:size], data[size + 2 :]
    while data != b"\r\n" and not data.endswith(b"\r\n\r\n"):
        more()
    return out, data[:-2]


def dechunk(data):
    out = b""
    while True:
        size, data = data.split(b"\r\n", 1)
        size = int(size, 16)
        if size == 0:
            assert data == b"\r\n"
            return out
        out += data[:size]
        assert data[size : size + 2] == b"\r\n"
        data = data[size + 2 :]


def answering(response, upstream):
    """Answers each request of a connection with the same bytes."""

    def play(connection, number):
        while upstream.read_request(connection):
            connection.sendall(response)

    return play


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture
def upstream():
    server = Upstream()
    yield server
    server.end()


@pytest.fixture
def proxy(tmp_path, upstream):
    # One for each test, so that no connection of another test waits in its pool. Observe mode: what is tested here is the
    # relay, and no token is needed for it.
    server = Stockade(
        tmp_path, "relay", "--mode", "observe", "--to", upstream.url, "--cognito", "us-east-1_AbC123",
        "--client-id", "app", "--jwks-url", "http://127.0.0.1:1/keys", "--policies", CHECKOUT / "policies",
    )  # fmt: skip
    yield server
    assert server.end() == 0, server.text()


@pytest.fixture
def client(proxy):
    host, port = proxy.proxy.removeprefix("http://").split(":")
    opened = []

    def connect():
        connection = socket.create_connection((host, int(port)), timeout=PATIENCE)
        opened.append(connection)
        return connection

    yield connect
    for connection in opened:
        connection.close()


def everything(connection):
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while more := connection.recv(65536):
            data += more
    return data


def response(connection, rest=b""):
    """One response by its own framing; raises where it breaks off."""
    data = rest
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        assert more, f"the head broke off: {data!r}"
        data += more
    head, body = data.split(b"\r\n\r\n", 1)
    lower = head.lower()
    if b"transfer-encoding: chunked" in lower:
        while not body.endswith(b"0\r\n\r\n"):
            more = connection.recv(65536)
            assert more, "the body broke off"
            body += more
        return head, dechunk(body)
    for line in lower.split(b"\r\n"):
        if line.startswith(b"content-length: "):
            length = int(line.split(b": ")[1])
            while len(body) < length:
                more = connection.recv(65536)
                assert more, "the body broke off"
                body += more
            return head, body[:length]
    return head, b""


def get(path="/", fields=b"", version=b"1.1"):
    return b"GET " + path.encode() + b" HTTP/" + version + b"\r\nHost: a\r\n" + fields + b"\r\n"


def test_bodies_pass_in_every_framing(upstream, client):
    upstream.plays(answering(OK, upstream))
    body = bytes(range(256)) * 300
    connection = client()
    connection.sendall(b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    assert response(connection)[1] == b"ok"
    chunks = b"".join(b"%x;ext=1\r\n" % len(body[i : i + 777]) + body[i : i + 777] + b"\r\n" for i in range(0, len(body), 777))
    connection.sendall(b"POST /b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\nTrailer: dropped\r\n\r\n")
    assert response(connection)[1] == b"ok"
    assert [body for _, body in upstream.requests] == [body, body]
    head = upstream.requests[1][0].lower()
    assert b"transfer-encoding: chunked" in head and b"content-length" not in head


def test_one_byte_at_a_time_means_the_same(upstream, client):
    upstream.plays(answering(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", upstream))
    connection = client()
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n":
        connection.sendall(bytes([byte]))
    assert response(connection)[1] == b"ok"
    assert upstream.requests[0][1] == b"abc"


def test_an_upstream_that_sends_byte_by_byte(upstream, client):
    def play(connection, number):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while upstream.read_request(connection):
            for byte in b"HTTP/1.1 200 OK\r\nX: 1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n3\r\nabc\r\n0\r\n\r\n":
                connection.sendall(bytes([byte]))

    upstream.plays(play)
    connection = client()
    for _ in range(3):
        connection.sendall(get())
        head, body = response(connection)
        assert body == b"okabc"
    assert upstream.connections == 1, "the connection is used again"


def test_pipelined_requests_are_answered_in_order(upstream, client):
    def play(connection, number):
        while request := upstream.read_request(connection):
            path = request[0].split(b" ")[1]
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(path) + path)

    upstream.plays(play)
    connection = client()
    connection.sendall(b"".join(get(f"/{n}") for n in range(50)))
    data = b""
    for n in range(50):
        while True:
            with contextlib.suppress(ValueError):
                head, rest = data.split(b"\r\n\r\n", 1)
                wanted = b"/%d" % n
                if len(rest) >= len(wanted):
                    assert rest.startswith(wanted)
                    data = rest[len(wanted) :]
                    break
            data += connection.recv(65536)


def test_bytes_after_a_refused_request_are_never_interpreted(upstream, client):
    upstream.plays(answering(OK, upstream))
    connection = client()
    connection.sendall(get("/one") + get("/../two") + get("/three"))
    data = everything(connection)
    assert data.count(b"HTTP/1.1 ") == 2 and b" 400 " in data
    assert [head.split(b" ")[1] for head, _ in upstream.requests] == [b"/one"]


@pytest.mark.parametrize(
    "request_bytes, status",
    [
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n", 400),
        (b"GET / HTTP/1.1\nHost: a\n\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n c\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", 405),
        (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        (b"GET /a/%2e%2e/b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET /a%2fb HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET //a HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET /a\\b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: a\r\nA: " + b"a" * 70000 + b"\r\n\r\n", 431),
    ],
)
def test_framing_and_paths_that_can_be_read_in_two_ways_are_refused(upstream, client, request_bytes, status):
    upstream.plays(answering(OK, upstream))
    connection = client()
    connection.sendall(request_bytes)
    data = everything(connection)
    assert data.split(b" ")[1] == str(status).encode(), data
    assert upstream.requests == []


def test_a_chunk_that_lies_breaks_the_request_off(upstream, client):
    def play(connection, number):
        with contextlib.suppress(OSError, AssertionError):
            if upstream.read_request(connection):
                upstream.requests.append("whole")

    upstream.plays(play)
    connection = client()
    connection.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcX\r\n0\r\n\r\n")
    assert everything(connection).split(b" ")[1] == b"400"
    assert "whole" not in upstream.requests


@pytest.mark.parametrize(
    "head, body",
    [
        (b"Content-Length: 10\r\n", b"12345"),
        (b"Transfer-Encoding: chunked\r\n", b"5\r\n12345\r\n"),
        (b"Transfer-Encoding: chunked\r\n", b"5\r\n123"),
        (b"Transfer-Encoding: chunked\r\n", b"5\r\n12345\r\n0\r\n"),
        (b"Transfer-Encoding: chunked\r\n", b"zz\r\n"),
    ],
)
def test_a_response_that_breaks_off_is_never_seen_whole(upstream, client, head, body):
    def play(connection, number):
        upstream.read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n" + body)

    upstream.plays(play)
    connection = client()
    connection.sendall(get())
    with pytest.raises((AssertionError, ConnectionResetError)):
        response(connection)


@pytest.mark.parametrize(
    "bytes_sent",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
        b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nA\x00: b\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"banana\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Le",
    ],
)
def test_a_response_that_can_be_read_in_two_ways_is_502_and_its_connection_is_not_used_again(upstream, client, bytes_sent):
    def play(connection, number):
        if number == 1:
            upstream.read_request(connection)
            connection.sendall(bytes_sent)
            connection.shutdown(socket.SHUT_WR)
            everything(connection)
        else:
            answering(OK, upstream)(connection, number)

    upstream.plays(play)
    connection = client()
    connection.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
    assert response(connection)[0].split(b" ")[1] == b"502"
    again = client()
    again.sendall(get())
    assert response(again)[1] == b"ok"
    assert upstream.connections == 2


def test_bytes_after_a_response_are_nobodys(upstream, client):
    def play(connection, number):
        upstream.read_request(connection)
        connection.sendall(OK + b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nowned")
        everything(connection)

    upstream.plays(play)
    for _ in range(3):
        connection = client()
        connection.sendall(get())
        assert response(connection)[1] == b"ok"
    assert upstream.connections == 3


def test_a_response_without_length_ends_with_its_connection(upstream, client):
    def play(connection, number):
        upstream.read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\nno length")

    upstream.plays(play)
    connection = client()
    connection.sendall(get())
    head, body = response(connection)
    assert body == b"no length" and b"transfer-encoding: chunked" in head.lower()
    connection.sendall(get())
    assert response(connection)[1] == b"no length", "the client's connection lives on"
    old = client()
    old.sendall(get(version=b"1.0"))
    data = everything(old)
    assert data.endswith(b"\r\n\r\nno length") and b"transfer-encoding" not in data.lower()


def test_http_1_0_clients_get_no_chunks(upstream, client):
    upstream.plays(answering(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", upstream))
    connection = client()
    connection.sendall(b"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n")
    data = everything(connection)
    assert data.endswith(b"\r\n\r\nok") and b"transfer-encoding" not in data.lower()


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_responses_without_body(upstream, client, status):
    upstream.plays(answering(b"HTTP/1.1 " + status + b"\r\nETag: x\r\n\r\n", upstream))
    connection = client()
    for _ in range(2):
        connection.sendall(get())
        head, body = response(connection)
        assert status in head and body == b""


def test_head_has_a_length_and_no_body(upstream, client):
    upstream.plays(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n", upstream))
    connection = client()
    for _ in range(2):
        connection.sendall(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
        data = b""
        while not data.endswith(b"\r\n\r\n"):
            data += connection.recv(65536)
        assert b"Content-Length: 12345\r\n" in data
    assert upstream.connections == 1


def test_a_client_that_expects_100_gets_the_upstreams(upstream, client):
    def play(connection, number):
        data = b""
        while b"\r\n\r\n" not in data:
            data += connection.recv(65536)
        assert b"100-continue" in data.lower()
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert connection.recv(65536) == b"body"
        connection.sendall(OK)

    upstream.plays(play)
    connection = client()
    connection.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536)
    assert data.startswith(b"HTTP/1.1 100 ")
    connection.sendall(b"body")
    assert response(connection)[1] == b"ok"


def test_an_early_refusal_of_a_large_body_arrives(upstream, client):
    def play(connection, number):
        data = b""
        while b"\r\n\r\n" not in data:
            data += connection.recv(65536)
        connection.sendall(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig")

    upstream.plays(play)
    connection = client()
    connection.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n")
    head, body = response(connection)
    assert b" 413 " in head and body == b"big" and b"connection: close" in head.lower()


def test_a_client_that_only_closed_its_sending_side_gets_its_answer(upstream, client):
    upstream.plays(answering(OK, upstream))
    connection = client()
    connection.sendall(get())
    connection.shutdown(socket.SHUT_WR)
    assert everything(connection).endswith(b"ok")


def test_a_client_that_leaves_in_the_middle_of_a_body_breaks_the_request_off(upstream, client):
    seen = threading.Event()
    broken = threading.Event()

    def play(connection, number):
        data = b""
        with contextlib.suppress(ConnectionResetError):
            while more := connection.recv(65536):
                data += more
                seen.set()
        if not data.endswith(b"whole"):
            broken.set()

    upstream.plays(play)
    connection = client()
    connection.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nhalf")
    assert seen.wait(PATIENCE)
    connection.close()
    assert broken.wait(PATIENCE), "the upstream is told that no more will come"


def test_an_idle_connection_that_died_is_replaced_without_anyone_noticing(upstream, client):
    served = threading.Semaphore(0)

    def play(connection, number):
        upstream.read_request(connection)
        connection.sendall(OK)
        served.release()

    upstream.plays(play)
    connection = client()
    for _ in range(20):
        connection.sendall(get())
        assert response(connection)[1] == b"ok"


def test_a_post_on_a_connection_that_dies_is_never_sent_twice(upstream, client):
    def play(connection, number):
        upstream.read_request(connection)
        connection.sendall(OK)
        # The POST on this connection is read and then dropped without an answer.
        upstream.read_request(connection)

    upstream.plays(play)
    connection = client()
    connection.sendall(get("/1"))
    assert response(connection)[1] == b"ok"
    connection.sendall(b"POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx")
    assert response(connection)[0].split(b" ")[1] == b"502"
    assert len([head for head, _ in upstream.requests if head.startswith(b"POST /2 ")]) == 1


def test_a_get_on_a_connection_that_dies_is_tried_again_once(upstream, client):
    def play(connection, number):
        if number == 1:
            upstream.read_request(connection)
            connection.sendall(OK)
            # The second request on this connection is read and then dropped without an answer.
            upstream.read_request(connection)
            return
        answering(OK, upstream)(connection, number)

    upstream.plays(play)
    connection = client()
    connection.sendall(get("/1") + get("/2"))
    assert response(connection)[1] == b"ok"
    assert response(connection)[1] == b"ok", "the GET went to a fresh connection"


def test_an_upstream_that_cannot_be_reached_is_502(tmp_path, client):
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    server = Stockade(
        tmp_path, "unreachable", "--mode", "observe", "--to", f"http://127.0.0.1:{port}", "--cognito", "us-east-1_AbC123", "--client-id", "app",
        "--jwks-url", "http://127.0.0.1:1/keys", "--policies", CHECKOUT / "policies",
    )  # fmt: skip
    host, port = server.proxy.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as connection:
        connection.sendall(get())
        assert response(connection)[0].split(b" ")[1] == b"502"
    record = server.until("the record", lambda: server.records())[0]
    assert record["upstream_error"] == "connect" and record["status"] == 502
    assert server.end() == 0


def test_resets_at_every_byte_of_an_exchange_harm_nobody_else(upstream, proxy, client):
    upstream.plays(answering(OK, upstream))
    whole = b"POST /reset HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
    for cut in range(1, len(whole)):
        connection = client()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.sendall(whole[:cut])
        connection.close()
    reply = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"

    def play(connection, number):
        upstream.read_request(connection)
        connection.sendall(reply[: number % len(reply)])
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    upstream.plays(play)
    for _ in range(len(reply)):
        connection = client()
        connection.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        everything(connection)
    upstream.plays(answering(OK, upstream))
    connection = client()
    connection.sendall(get())
    assert response(connection)[1] == b"ok"
    assert proxy.is_alive()

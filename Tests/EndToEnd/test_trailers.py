"""Fields behind a body, in both directions: those that may go on do, and none becomes what only the head may say."""

import socket
import threading

import pytest
from processes import CHECKOUT, Stockade
from test_data_plane import PATIENCE, Upstream, answering, chunks, everything, get

CHUNKED = b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def answer(connection):
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        assert more, f"the head broke off: {data!r}"
        data += more
    head, body = data.split(b"\r\n\r\n", 1)
    if b"transfer-encoding: chunked" in head.lower():
        return head, *chunks(connection, body)
    while not body.endswith(b"ok"):
        body += connection.recv(65536)
    return head, body, b""


@pytest.fixture
def service():
    server = Upstream()
    yield server
    server.end()


@pytest.fixture
def proxy(tmp_path, service):
    configuration = tmp_path / "stockade.json5"
    configuration.write_text("""{
      mode: "observe", upstream: "%s", issuers: { main: { cognito: "us-east-1_AbC123", client_ids: ["app"], jwks_url: "http://127.0.0.1:1/keys" } },
      policies: "%s", limits: { header: "4KiB", header_count: 20 }, context: { headers: ["X-Tenant"] },
    }""" % (service.url, CHECKOUT / "policies"))  # fmt: skip
    server = Stockade(tmp_path, "trailers", "--config", configuration)
    yield server
    assert server.end() == 0, server.text()


@pytest.fixture
def client(proxy):
    host, port = proxy.proxy.removeprefix("http://").split(":")
    opened = []

    def connect():
        connection = socket.create_connection((host, int(port)), timeout=PATIENCE)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        opened.append(connection)
        return connection

    yield connect
    for connection in opened:
        connection.close()


SENT = (
    b"Grpc-Status: 0\r\nX-Stockade-Principal: admin\r\nx_stockade_groups: admin\r\nX-Tenant: other\r\nAuthorization: Bearer x\r\n"
    b"X-Forwarded-For: 1.2.3.4\r\nX-Gone: 1\r\nContent_Length: 7\r\nContent-Type: text/html\r\nx-sum:  abc \r\n"
)
ARRIVES = b"Grpc-Status: 0\r\nx-sum:  abc \r\n"


@pytest.mark.parametrize("pieces", ["whole", "byte by byte"])
def test_trailers_of_a_request_arrive_and_none_becomes_an_identity(service, client, pieces):
    service.plays(answering(OK, service))
    connection = client()
    data = CHUNKED + b"Connection: X-Gone\r\nTrailer: x-sum, X-Stockade-Principal\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n" + SENT + b"\r\n"
    for _ in range(2):
        if pieces == "whole":
            connection.sendall(data)
        else:
            for at in range(len(data)):
                connection.sendall(data[at : at + 1])
        assert answer(connection)[1] == b"ok"
    # And the connection goes on, in step.
    connection.sendall(get("/b"))
    assert answer(connection)[1] == b"ok"
    assert service.trailers == [ARRIVES] * 2
    for head, body in service.requests[:2]:
        assert body == b"abcde"
        assert b"\r\nTrailer: x-sum\r\n" in head and b"admin" not in head
    assert service.connections == 1


@pytest.mark.parametrize(
    "section, status, detail",
    [
        (b"X: a\r\n b\r\n\r\n", b"400", "trailer_invalid"),
        (b"X : a\r\n\r\n", b"400", "trailer_invalid"),
        (b"X: a\0\r\n\r\n", b"400", "trailer_invalid"),
        (b"X: a\nY: b\r\n\r\n", b"400", "bare_lf"),
        (b"X: a\rY: b\r\n\r\n", b"400", "bare_cr"),
        (b"Content-Length: 5\r\n\r\n", b"400", "trailer_forbidden"),
        (b"Transfer-Encoding: chunked\r\n\r\n", b"400", "trailer_forbidden"),
        (b"Host: b\r\n\r\n", b"400", "trailer_forbidden"),
        (b"X: y\r\n" * 21 + b"\r\n", b"431", "too_many_trailers"),
        (b"X: " + b"y" * 5000 + b"\r\n\r\n", b"431", "trailers_too_large"),
    ],
)
def test_what_is_no_trailer_is_refused_and_the_service_sees_no_whole_request(service, proxy, client, section, status, detail):
    broken = threading.Event()

    def play(connection, number):
        try:
            service.read_request(connection)
        except OSError:
            broken.set()

    service.plays(play)
    connection = client()
    connection.sendall(CHUNKED + b"\r\n3\r\nabc\r\n0\r\n" + section + get("/smuggled"))
    said = everything(connection)
    assert said.startswith(b"HTTP/1.1 " + status) and said.count(b"HTTP/1.1") == 1
    assert broken.wait(PATIENCE) and service.requests == []
    proxy.until("the record", lambda: any(detail in str(record) for record in proxy.records()))


def test_trailers_of_a_response_arrive_filtered_and_are_announced(service, client):
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Server-Timing, Set-Cookie\r\nConnection: X-Gone\r\n\r\n"
    behind = b"Server-Timing: a;dur=1\r\nSet-Cookie: a=b\r\nX-Gone: 1\r\nX-Stockade-Decision-Id: forged\r\nCache-Control: public\r\nETag: x\r\n"
    service.plays(answering(head + b"2\r\nok\r\n0\r\n" + behind + b"\r\n", service))
    connection = client()
    for _ in range(2):
        connection.sendall(get("/a", b"Connection: TE\r\nTE: trailers\r\n"))
        got, body, trailers = answer(connection)
        assert body == b"ok" and trailers == b"Server-Timing: a;dur=1\r\nETag: x\r\n"
        assert b"\r\nTrailer: Server-Timing\r\n" in got and b"Set-Cookie" not in got
    assert b"\r\nConnection: TE\r\nTE: trailers" in service.requests[0][0] and service.connections == 1


def test_a_client_of_http_1_0_gets_none(service, client):
    service.plays(answering(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n", service))
    connection = client()
    connection.sendall(get("/a", b"TE: trailers\r\n", version=b"1.0"))
    head, body = everything(connection).split(b"\r\n\r\n", 1)
    assert body == b"ok" and b"Trailer" not in head and b"TE:" not in service.requests[0][0]


@pytest.mark.parametrize(
    "request_line, response",
    [(b"HEAD /a", b"200 OK\r\nTransfer-Encoding: chunked"), (b"GET /a", b"304 Not Modified"), (b"GET /a", b"204 No Content")],
)
def test_answers_without_a_body_announce_none(service, client, request_line, response):
    service.plays(answering(b"HTTP/1.1 " + response + b"\r\nTrailer: X-Sum\r\n\r\n", service))
    connection = client()
    connection.sendall(request_line + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    said = everything(connection)
    assert said.startswith(b"HTTP/1.1 " + response[:3]) and b"Trailer" not in said and said.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    "section",
    [
        b"Content-Length: 5\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n", b"X: a\r\n b\r\n\r\n", b"X: a\nY: b\r\n\r\n", b"X: y\r\n" * 21 + b"\r\n",
        b"X: " + b"y" * 5000 + b"\r\n\r\n", b"X: y\r\n",
    ],
)  # fmt: skip
def test_a_response_whose_trailers_could_split_it_breaks_off_and_its_connection_is_left(service, client, section):
    ended = []

    def play(connection, number):
        if service.read_request(connection) is None:
            return
        if number == 1:
            connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n" + section)
            if section == b"X: y\r\n":
                return
            ended.append(connection.recv(1))
        else:
            connection.sendall(OK)

    service.plays(play)
    connection = client()
    connection.sendall(get("/a"))
    said = everything(connection)
    assert said.count(b"HTTP/1.1") <= 1 and not said.endswith(b"0\r\n\r\n") and b"\r\n0\r\n" not in said
    connection = client()
    connection.sendall(get("/b"))
    assert answer(connection)[1] == b"ok" and service.connections == 2
    assert ended in ([], [b""])


def test_the_preface_of_http_2_is_told_once_and_closes(service, proxy, client):
    service.plays(answering(OK, service))
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0" + get("/never")
    for _ in range(3):
        connection = client()
        connection.sendall(preface)
        said = everything(connection)
        assert said.startswith(b"HTTP/1.1 505 ") and said.count(b"HTTP/1.1 ") == 1 and b"use HTTP/1.1" in said
    assert service.requests == []
    proxy.until("three records", lambda: len([r for r in proxy.records() if "http2_preface" in str(r)]) == 3)
    lines = [line for line in proxy.text().split("\n") if "preface of HTTP/2" in line]
    assert len(lines) == 1 and "127.0.0.1" in lines[0] and "set the client, or its load balancer's target group, to HTTP/1.1" in lines[0]

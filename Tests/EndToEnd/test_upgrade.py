"""Other protocols over an authorized connection: asked for like any request, then passed on byte for byte."""

import contextlib
import socket
import threading

import pytest
import requests

from conftest import run_flags
from processes import CHECKOUT, Stockade, eventually

OFFER = "GET /orders/stream HTTP/1.1\r\nHost: shop\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n{more}\r\n"


class Switching:
    """A service that switches to a protocol in which it says back what it hears, in capitals."""

    def __init__(self, answer=None, greeting=b""):
        self.answer = answer or b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: shout\r\n\r\n"
        self.greeting = greeting
        self.heads, self.heard, self.ends = [], [], []
        self.server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.server.getsockname()[1]}"
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            connection, _ = self.server.accept()
            threading.Thread(target=self.speak, args=(connection,), daemon=True).start()

    def speak(self, connection):
        with connection, contextlib.suppress(ConnectionError):
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += connection.recv(1) or b"\r\n\r\n"
            self.heads.append(head)
            connection.sendall(self.answer + self.greeting)
            while chunk := connection.recv(65536):
                self.heard.append(chunk)
                connection.sendall(chunk.upper())
            self.ends.append(head)
            connection.sendall(b"BYE")


@pytest.fixture
def start(tmp_path, pool):
    running = []

    def begin(service):
        server = Stockade(tmp_path, "upgrade", *run_flags(pool, service.url, CHECKOUT / "policies"))
        server.until("its keys are there", lambda: requests.get(server.ops + "/readyz", timeout=5).status_code == 200)
        running.append(server)
        return server

    yield begin
    for server in running:
        assert server.end() == 0, server.text()


def connect(server):
    host, port = server.proxy.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=10)


def read_head(connection):
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = connection.recv(1)
        assert byte, head
        head += byte
    return head.decode()


def offer(token=None, protocol="shout", more=""):
    return OFFER.format(protocol=protocol, more=(f"Authorization: Bearer {token}\r\n" if token else "") + more).encode()


def test_an_allowed_upgrade_is_a_tunnel(start, alice):
    service = Switching(greeting=b"hello")
    server = start(service)
    with connect(server) as client:
        # What is sent before the service agrees waits for it.
        client.sendall(offer(alice["AccessToken"], more="X-Stockade-Principal: root\r\n") + b"early")
        head = read_head(client)
        assert head.startswith("HTTP/1.1 101 ") and "upgrade: shout" in head.lower() and "connection: upgrade" in head.lower()
        received = b""
        while len(received) < len(b"helloEARLY"):
            received += client.recv(100)
        assert received == b"helloEARLY"
        # Much more than any buffer, both ways at once.
        sent = bytes(range(97, 123)) * 100_000
        threading.Thread(target=lambda: (client.sendall(sent), client.shutdown(socket.SHUT_WR)), daemon=True).start()
        received = b""
        while chunk := client.recv(1 << 16):
            received += chunk
        assert received == sent.upper() + b"BYE", "an end of one side leaves the other its say"
    assert b"root" not in service.heads[0] and b"X-Stockade-Principal: demo|" in service.heads[0]
    record = server.until("the record", lambda: server.records() and server.records()[0])
    assert (record["decision"], record["status"]) == ("allow", 101)
    eventually("nothing is left", lambda: open_connections(server) == 0)


def open_connections(server):
    text = requests.get(server.ops + "/metrics", timeout=5).text
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith("stockade_connections{") or line.startswith("stockade_connections "))


@pytest.mark.parametrize("who, status", [("nobody", 401), ("mallory", 403)])
def test_an_upgrade_is_refused_like_any_request(start, dave, who, status):
    service = Switching()
    server = start(service)
    with connect(server) as client:
        client.sendall(offer(dave["AccessToken"] if who == "mallory" else None))
        assert read_head(client).startswith(f"HTTP/1.1 {status} ")
    assert service.heads == []


def test_what_was_not_offered_is_not_believed(start, alice):
    service = Switching()
    server = start(service)
    for head in (
        f"GET /orders/stream HTTP/1.1\r\nHost: shop\r\nAuthorization: Bearer {alice['AccessToken']}\r\n\r\n",
        # Without its connection option, and to HTTP/2 in the clear, an offer is none.
        f"GET /orders/stream HTTP/1.1\r\nHost: shop\r\nUpgrade: shout\r\nAuthorization: Bearer {alice['AccessToken']}\r\n\r\n",
        offer(alice["AccessToken"], protocol="h2c").decode(),
    ):
        with connect(server) as client:
            client.sendall(head.encode())
            assert read_head(client).startswith("HTTP/1.1 502 ")
    assert all(b"upgrade" not in head.lower() for head in service.heads)


def test_a_service_that_does_not_switch_answers_as_ever(start, alice):
    service = Switching(answer=b"HTTP/1.1 426 Upgrade Required\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
    server = start(service)
    with connect(server) as client:
        client.sendall(offer(alice["AccessToken"]))
        assert read_head(client).startswith("HTTP/1.1 426 ")
        assert client.recv(2) == b"no"
        # What comes now is HTTP again, and not that.
        client.sendall(b"\x81\x05hello\r\n\r\n")
        assert b"400" in client.recv(20)
    assert service.heard == []


def test_a_side_that_breaks_breaks_the_other(start, alice):
    service = Switching()
    server = start(service)
    client = connect(server)
    client.sendall(offer(alice["AccessToken"]))
    read_head(client)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.close()
    eventually("nothing is left", lambda: open_connections(server) == 0)

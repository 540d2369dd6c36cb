"""What a request on the hot path allocates: counted, for time says little on a machine that others use too."""

import os
import socket
import struct
import subprocess
import threading
import urllib.parse

import pytest
import requests
from conftest import run_flags
from processes import CHECKOUT, SLOWNESS, Stockade, binary

# A verified token, the sample's policies, identity headers, metrics. Each allocation here was looked at; a new one should be too.
ALLOCATIONS, ALLOCATIONS_WITH_LOG = 10, 13
REQUESTS = 2000
RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n\r\norder 42\n"


@pytest.fixture(scope="module")
def counter(workplace):
    """The library that counts."""
    library = workplace / "allocations.so"
    compiler = next(c for c in ("cc", "gcc", "clang") if subprocess.run(["which", c], capture_output=True).returncode == 0)
    source = CHECKOUT / "Tests" / "EndToEnd" / "allocations.c"
    subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", library, source], check=True)
    return library


class Service(threading.Thread):
    """Answers every request with the same bytes, on as many connections as come."""

    def __init__(self):
        super().__init__(daemon=True)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.start()

    def run(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=[connection], daemon=True).start()

    @staticmethod
    def serve(connection):
        held = b""
        while more := connection.recv(65536):
            held += more
            while b"\r\n\r\n" in held:
                _, held = held.split(b"\r\n\r\n", 1)
                connection.sendall(RESPONSE)


def ask(server, token, count):
    """Asks so many times over one connection."""
    where = urllib.parse.urlsplit(server.proxy)
    request = (
        f"GET /orders/42 HTTP/1.1\r\nHost: {where.netloc}\r\nAuthorization: Bearer {token}\r\n"
        "Accept: application/json\r\nUser-Agent: test\r\nX-Request-Id: 0b7a4f0e2f1a4f7f9a55d9a4d9a2f6c1\r\n\r\n"
    ).encode()
    with socket.create_connection((where.hostname, where.port), timeout=30) as connection:
        for _ in range(count):
            connection.sendall(request)
            held = b""
            while not held.endswith(b"order 42\n"):
                held += connection.recv(65536)
            assert held.startswith(b"HTTP/1.1 200 "), held


@pytest.mark.skipif(
    SLOWNESS != 1 or "/release/" not in os.path.realpath(binary()), reason="only what the optimizer has left says something"
)
@pytest.mark.parametrize("log", ["none", "file"])
def test_a_request_allocates_no_more_than_its_budget(workplace, pool, counter, report, log):
    service = Service()
    counts = workplace / f"allocations-{log}"
    server = Stockade(
        workplace, f"counted-{log}", *run_flags(pool, service.url), "--workers", "1", log=None if log == "file" else log,
        environment={"LD_PRELOAD": str(counter), "ALLOCATIONS": str(counts)},
    )  # fmt: skip
    try:
        server.until("its keys are there", lambda: requests.get(server.ops + "/readyz", timeout=5).status_code == 200)
        token = pool.sign_in("alice")["AccessToken"]

        def counted():
            return struct.unpack("QQ", counts.read_bytes()[:16])

        # What is made once is made by now: connections, tables, the token's verdict.
        ask(server, token, 200)
        spent = []
        for requested in (REQUESTS, 2 * REQUESTS):
            before = counted()
            ask(server, token, requested)
            spent.append([after - at for after, at in zip(counted(), before)])
        # The difference of two counts: what a connection costs is in both.
        each, octets = ((more - fewer) / REQUESTS for fewer, more in zip(*spent))
        report(f"allocations: {each:.1f} a request, {octets:.0f} bytes, log: {log}")
        assert 0 < each <= (ALLOCATIONS if log == "none" else ALLOCATIONS_WITH_LOG), f"{each} allocations a request"
    finally:
        service.listener.close()
        server.end()

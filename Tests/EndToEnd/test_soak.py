"""Mixed load for a while: every answer is the right one, and nothing grows."""

import http.client
import os
import random
import socket
import threading
import time
import urllib.parse

import pytest
import requests
from cognito import with_broken_signature
from conftest import run_flags
from processes import Nginx, Stockade

SECONDS = float(os.environ.get("SOAK_SECONDS", "15"))
CLIENTS = 6


class Client(threading.Thread):
    """One keep-alive connection that asks at random and knows the right answer."""

    def __init__(self, server, tokens, seed, until):
        super().__init__(daemon=True)
        self.where = urllib.parse.urlsplit(server.proxy)
        self.tokens = tokens
        self.random = random.Random(seed)
        self.until = until
        self.count = 0
        self.wrong = []

    def cases(self):
        alice, bob, dave, forged = (self.tokens[name] for name in ("alice", "bob", "dave", "forged"))
        body = os.urandom(self.random.choice([0, 1, 1000, 70_000]))
        return [
            ("GET", "/orders/42", alice, None, 200, b"order 42\n"),
            ("HEAD", "/orders/42", alice, None, 200, b""),
            ("GET", "/orders/unheard-of", alice, None, 404, None),
            ("GET", "/orders/42", None, None, 401, None),
            ("GET", "/orders/42", forged, None, 401, None),
            ("GET", "/orders/42", dave, None, 403, None),
            ("GET", "/orders/../invoices/1", alice, None, 400, None),
            ("PUT", f"/orders/uploads/{self.name}", bob, body, (201, 204), None),
            ("PUT", f"/orders/uploads/{self.name}", alice, body, 403, None),
        ]

    def run(self):
        connection = None
        while time.monotonic() < self.until:
            method, path, token, body, status, content = self.random.choice(self.cases())
            try:
                connection = connection or http.client.HTTPConnection(self.where.hostname, self.where.port, timeout=30)
                headers = {"Authorization": "Bearer " + token} if token else {}
                connection.request(method, path, body=body, headers=headers)
                response = connection.getresponse()
                got = response.read()
                wanted = status if isinstance(status, tuple) else (status,)
                if response.status not in wanted or content is not None and got != content:
                    self.wrong.append((method, path, response.status, got[:200]))
                if response.will_close or self.random.random() < 0.02:
                    connection.close()
                    connection = None
            except (ConnectionError, http.client.HTTPException) as error:
                # A refused upload may close under the client's hands while it still writes.
                if not (method == "PUT" and status == 403):
                    self.wrong.append((method, path, repr(error)))
                connection.close()
                connection = None
            self.count += 1


class Nuisance(threading.Thread):
    """Clients that send a byte at a time, go away in the middle, or send rubbish."""

    def __init__(self, server, until):
        super().__init__(daemon=True)
        self.where = urllib.parse.urlsplit(server.proxy)
        self.until = until
        self.count = 0

    def run(self):
        rubbish = [b"\x16\x03\x01\x02\x00\x01", b"GET / HTTP/1.1\r\nHost: x\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET /" + b"a" * 9000, b"\r\n" * 50]
        while time.monotonic() < self.until:
            with socket.create_connection((self.where.hostname, self.where.port), timeout=5) as stream:
                try:
                    for byte in random.choice(rubbish)[:200]:
                        stream.send(bytes([byte]))
                    if random.random() < 0.5:
                        stream.settimeout(0.2)
                        stream.recv(1000)
                except OSError:
                    pass
            self.count += 1
            time.sleep(0.01)


@pytest.mark.soak
def test_under_mixed_load_every_answer_is_right_and_nothing_grows(workplace, pool, alice, bob, dave, report):
    nginx = Nginx(workplace, "soak-nginx")
    server = Stockade(workplace, "soak", *run_flags(pool, nginx.url))
    tokens = {
        "alice": alice["AccessToken"], "bob": bob["AccessToken"], "dave": dave["AccessToken"],
        "forged": with_broken_signature(alice["AccessToken"]),
    }  # fmt: skip
    try:
        server.until("its keys are there", lambda: requests.get(server.ops + "/readyz", timeout=5).status_code == 200)
        begin = time.monotonic()
        until = begin + SECONDS
        threads = [Client(server, tokens, seed, until) for seed in range(CLIENTS)] + [Nuisance(server, until)]
        for thread in threads:
            thread.start()
        # After a tenth of the time, at most two minutes, everything has its working size.
        time.sleep(min(SECONDS / 10 + 2, 120))
        early = server.memory_kib("VmRSS")
        for thread in threads:
            thread.join()
        late = server.memory_kib("VmRSS")
        clients = [thread for thread in threads if isinstance(thread, Client)]
        wrong = [answer for client in clients for answer in client.wrong]
        count = sum(client.count for client in clients)
        server.until("connections are gone", lambda: server.descriptors() < 40)
        report(f"soak: {count} requests in {SECONDS:.0f} s, {len(wrong)} wrong, memory {early} to {late} KiB, {server.descriptors()} descriptors")
        assert wrong[:5] == []
        assert late <= early * 1.1 + 1024
        assert server.is_alive()
        # Every exchange is on record, and no line was lost.
        assert 'stockade_decision_log_dropped_total{sink="file"} 0' in requests.get(server.ops + "/metrics", timeout=10).text
    finally:
        assert server.end() == 0, server.text()
        nginx.end()

"""The soak's clients: each knows the right answer to what it asks, and those that misbehave do so in every way."""

import collections
import contextlib
import random
import threading
import time

from soaking import echo
from wire import BrokenOff, Message, end

# What is answered for a broken service: it is between two lives, or the breaker is open after several of them.
UNAVAILABLE = (502, 503)


class Client(threading.Thread):
    """Asks on one connection after the other, and knows each right answer."""

    def __init__(self, soak, name, pause):
        super().__init__(daemon=True, name=name)
        self.soak, self.pause = soak, pause
        self.random = random.Random(name)
        self.connection = None
        self.posts = 0
        self.counts = collections.Counter()

    def run(self):
        try:
            while not self.soak.is_over():
                self.step()
                time.sleep(self.random.random() * self.pause)
        except Exception as error:
            self.soak.ledger.fails(self.name, "ended", repr(error))
            raise
        finally:
            self.part()

    def part(self):
        if self.connection:
            self.connection.close()
        self.connection = None

    def step(self):
        tokens = self.soak.tokens
        alice, bob = tokens["alice"], tokens["bob"]
        self.posts += 1
        body = self.random.randbytes(self.random.choice((0, 1, 1000, 70_000)))
        upload = f"/orders/uploads/{self.name}"
        kinds = [
            lambda: self.ask("GET", "/orders/42", alice, {200}, "allow", text=b"order 42\n"),
            lambda: self.ask("HEAD", "/orders/42", alice, {200}, "allow"),
            lambda: self.ask("GET", "/orders/unheard-of", alice, {404}, "allow"),
            lambda: self.ask("GET", "/orders/42", None, {401}, "deny"),
            lambda: self.ask("GET", "/orders/42", tokens[self.random.choice(("forged", "stranger", "expired"))], {401}, "deny"),
            lambda: self.ask("GET", "/orders/42", tokens["dave"], {403}, "deny"),
            lambda: self.ask("GET", "/orders/../orders/42", alice, {400}, None),
            lambda: self.ask("PUT", upload, bob, {201, 204, 502}, "allow", body=body),
            lambda: self.ask("PUT", upload, alice, {403}, "deny", body=body, may_break=True),
            lambda: self.ask("GET", f"/flip/{self.name}", alice, {200, 403, *UNAVAILABLE}, "by version", may_break=True),
            lambda: self.ask("GET", f"/use/broken/{self.name}", alice, set(UNAVAILABLE), "allow", may_break=True),
            lambda: self.ask("GET", f"/use/{self.name}", alice, {200, *UNAVAILABLE}, "allow", may_break=True),
            lambda: self.ask("POST", f"/use/{self.name}/{self.posts}", bob, {200, *UNAVAILABLE}, "allow", body=body, may_break=True),
        ]
        self.random.choice(kinds)()

    def request(self, method, path, token, body):
        lines = [f"{method} {path} HTTP/1.1", "Host: a"] + ([f"Authorization: Bearer {token}"] if token else [])
        if body is not None and self.random.random() < 0.5:
            pieces = [body[at : at + 9000] for at in range(0, len(body), 9000)]
            body = b"".join(b"%x\r\n%s\r\n" % (len(each), each) for each in pieces) + b"0\r\n\r\n"
            lines.append("Transfer-Encoding: chunked")
        elif body is not None:
            lines.append(f"Content-Length: {len(body)}")
        return "\r\n".join([*lines, "", ""]).encode() + (body or b"")

    def send(self, request):
        self.connection.sendall(request)

    def ask(self, method, path, token, statuses, decision, body=None, text=None, may_break=False):
        self.connection = self.connection or self.soak.connect()
        oldest = self.soak.world.in_force
        answer, identifier, status = Message(self.connection, is_response=True), None, None
        try:
            # Who is refused before all was sent gets the answer all the same.
            with contextlib.suppress(ConnectionError):
                self.send(self.request(method, path, token, body))
            first, fields = answer.head()
            status = int(first.split(b" ")[1])
            identifier = fields.get(b"x-stockade-decision-id", b"").decode()
            got = b"" if method == "HEAD" or status in (204, 304) else self.read(answer, fields)
        except BrokenOff:
            self.part()
            self.counts["broken off"] += 1
            if not may_break:
                self.soak.ledger.fails(self.name, method, path, status, "broken off")
            if identifier:
                return self.soak.ledger.answer(identifier, status, (decision, oldest, self.soak.world.written))
            with self.soak.ledger.lock:
                self.soak.ledger.unseen += 1
            return
        newest = self.soak.world.written
        self.counts[status] += 1
        if text is None and status == 200 and path.startswith(("/use", "/flip")):
            text = bytes(1 << 20) if "/big" in path else echo(path.encode(), body or b"")
        is_ours = status in statuses and (status != 200 or text is None or method == "HEAD" or got == text)
        if not is_ours or answer.data:
            self.soak.ledger.fails(self.name, method, path, status, got[:100], answer.data[:100])
        if status == 401 and not oldest <= int(fields[b"www-authenticate"].split(b'realm="v')[1].split(b'"')[0]) <= newest:
            self.soak.ledger.fails(self.name, "a realm of another load", fields, oldest, newest)
        if decision:
            self.soak.ledger.answer(identifier, status, (decision, oldest, newest))
        if b"close" in fields.get(b"connection", b"") or self.random.random() < 0.02:
            self.part()

    def read(self, answer, fields):
        return answer.body(fields)


class Trickler(Client):
    """Sends its requests a byte at a time."""

    def step(self):
        self.posts += 1
        path = f"/use/{self.name}/{self.posts}"
        self.ask("POST", path, self.soak.tokens["bob"], {200, *UNAVAILABLE}, "allow", body=b"slow" * 30, may_break=True)

    def send(self, request):
        for at in range(len(request)):
            self.connection.sendall(request[at : at + 1])
            time.sleep(0.002)


class SlowReader(Client):
    """Takes a megabyte in small sips."""

    def step(self):
        self.ask("GET", "/use/big", self.soak.tokens["alice"], {200, *UNAVAILABLE}, "allow", may_break=True)

    def read(self, answer, fields):
        small, answer.connection = answer.connection, self
        self.source = small
        return answer.body(fields)

    def recv(self, count):
        time.sleep(0.005)
        return self.source.recv(8192)


class Tunneller(Client):
    """Speaks another protocol for a second or two, through loads that come and go."""

    def step(self):
        self.connection = self.soak.connect()
        alice = self.soak.tokens["alice"]
        request = f"GET /leave/tunnel HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {alice}\r\nConnection: Upgrade\r\nUpgrade: soak\r\n\r\n"
        answer = Message(self.connection, is_response=True)
        try:
            self.connection.sendall(request.encode())
            first, fields = answer.head()
            status = int(first.split(b" ")[1])
            if status not in (101, *UNAVAILABLE):
                self.soak.ledger.fails(self.name, first)
            while status == 101 and self.random.random() < 0.98:
                said = self.random.randbytes(self.random.randrange(1, 5000))
                self.connection.sendall(said)
                if answer.take(len(said)) != said:
                    self.soak.ledger.fails(self.name, "other bytes came back")
                self.counts["echoes"] += 1
                time.sleep(0.02)
        except (BrokenOff, ConnectionError):
            self.counts["broken off"] += 1
        self.part()


class Leaver(Client):
    """Goes away in the middle of everything, in every way; sends what is no request; opens connections and says little."""

    def step(self):
        bob = self.soak.tokens["bob"]
        head = f"POST /leave/{self.name} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {bob}\r\nContent-Length: 100000\r\n\r\n".encode()
        get = f"GET /leave/big HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {bob}\r\n\r\n".encode()
        said = self.random.choice([
            get, get[: self.random.randrange(len(get))], head, head + bytes(self.random.randrange(100_000)), b"\x16\x03\x01\x02\x00\x01",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET /" + b"a" * 9000, b"\r\n" * 50, b"",
        ])  # fmt: skip
        self.connection = self.soak.connect()
        with contextlib.suppress(OSError):
            self.connection.sendall(said)
            self.connection.settimeout(self.random.choice((0.001, 0.02, 0.2)))
            self.connection.recv(1000)
        end(self.connection, self.random.choice(("reset", "close")))
        self.connection = None
        self.counts["left"] += 1

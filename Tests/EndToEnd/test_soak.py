"""Everything at once for a while: every answer is the right one or visibly none, every one is on record, and nothing grows."""

import collections
import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import socket
import statistics
import subprocess
import threading
import time

import pytest
from cognito import with_broken_signature
from issuer import Issuer
from processes import Nginx, Stockade, binary
from services import Service, metric
from wire import BrokenOff, Message, end

SECONDS = float(os.environ.get("SOAK_SECONDS", "60"))
LOG_BYTES = 1 << 20
# What a broken service is answered with: it is between two lives, or the breaker is open after several of them.
UNAVAILABLE = (502, 503)


def echo(path, body):
    """What the service answers: a text that nobody can get right by accident, of some length."""
    digest = hashlib.sha256(path + body).hexdigest()
    return (digest * (1 + int(digest[:2], 16))).encode()


class Reborn(Service):
    """A service that is stopped and started while it is asked, breaks some answers off, and knows every POST that it ever saw."""

    def __init__(self):
        self.last = collections.Counter()
        self.posts, self.twice = 0, []
        super().__init__("reborn")

    def serve(self, connection):
        message = Message(connection)
        with contextlib.suppress(OSError, BrokenOff), connection:
            while True:
                first, fields = message.head()
                method, path, _ = first.split(b" ")
                if method == b"POST" and path.startswith(b"/use/"):
                    self.note(path)
                if b"upgrade" in fields:
                    connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: soak\r\n\r\n" + message.data)
                    while chunk := connection.recv(65536):
                        connection.sendall(chunk)
                    return
                self.answer_one(connection, path, message.body(fields))
        with self.lock:
            self.connections.discard(connection)

    def note(self, path):
        # Each client counts its posts up: one that is not beyond the last was here before.
        _, _, client, number = path.decode().split("/")
        with self.lock:
            if int(number) <= self.last[client]:
                self.twice.append(path)
            self.last[client] = int(number)
            self.posts += 1

    def answer_one(self, connection, path, body):
        text = bytes(1 << 20) if path.startswith(b"/use/big") else echo(path, body)
        kind = random.choice(("length", "chunks", "close"))
        if kind == "chunks":
            pieces = [text[at : at + 5000] for at in range(0, len(text), 5000)]
            head, text = b"Transfer-Encoding: chunked\r\n\r\n", b"".join(b"%x\r\n%s\r\n" % (len(each), each) for each in pieces) + b"0\r\n\r\n"
        else:
            head = b"Content-Length: %d\r\n\r\n" % len(text) if kind == "length" else b"\r\n"
        if path.startswith(b"/use/broken"):
            connection.sendall((b"HTTP/1.1 200 OK\r\n" + head + text)[: random.randrange(len(text))])
            end(connection, "reset")
            raise BrokenOff
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + head + text)
        if kind == "close":
            raise BrokenOff


class Ledger:
    """Every answer that a client got, beside the decision's record: each has exactly one, and it says the same."""

    def __init__(self):
        self.lock = threading.Lock()
        self.answered, self.recorded = {}, {}
        self.wrong, self.unseen, self.count = [], 0, 0

    def fails(self, *what):
        with self.lock:
            self.wrong.append(what)

    def answer(self, identifier, status, expectation):
        self.put(identifier, (status, expectation), self.answered, self.recorded, lambda mine, other: self.compare(other, *mine))

    def record(self, record):
        # Nobody here waits for the answers of those who leave, or to what is no request.
        path = record["http"].get("path")
        if path is None or path.startswith("/leave") or record["status"] in (400, 408):
            return
        self.put(record["id"], record, self.recorded, self.answered, lambda mine, other: self.compare(mine, *other))

    def put(self, identifier, mine, here, there, both):
        with self.lock:
            other = there.pop(identifier, None)
            if other is None:
                if here.setdefault(identifier, mine) is not mine:
                    self.wrong.append(("twice", identifier))
                return
            self.count += 1
        both(mine, other)

    def compare(self, record, status, expectation):
        decision, oldest, newest = expectation
        versions = {int(policy.rsplit("-", 1)[1]) for policy in record["policies"]}
        if decision == "by version":
            decision = "deny" if min(versions) % 2 else "allow"
            if (status == 403) != (decision == "deny"):
                self.fails("another answer than was decided", status, record)
        if record["decision"] != decision or record["status"] != status:
            self.fails("a wrong decision", status, expectation, record)
        # The load in force when it was asked, or one that came meanwhile, and one alone.
        if len(versions) > 1 or versions and not oldest <= min(versions) <= newest:
            self.fails("decided by another load", expectation, record)


class World:
    """What is in force: replaced as a whole every second, as Kubernetes replaces it."""

    def __init__(self, folder, issuer, service, nginx):
        self.folder, self.issuer, self.service, self.nginx = folder, issuer, service, nginx
        self.mount = folder / "mount"
        self.mount.mkdir()
        self.written = self.in_force = 0
        self.write(1)
        self.in_force = 1
        for name in ("stockade.json5", "keys.json", "policies"):
            os.symlink(f"..data/{name}", self.mount / name)

    def write(self, version):
        folder = self.mount / f"..{version}"
        (folder / "policies").mkdir(parents=True)
        (folder / "keys.json").write_text(self.issuer.key_set())
        (folder / "policies" / "all.cedar").write_text(
            f"""@id("alice-{version}") permit (principal == User::"x|alice", action in [Action::"read", Action::"flip", Action::"use"], resource);
            @id("bob-{version}") permit (principal == User::"x|bob", action, resource);
            """
            + (f'@id("flip-{version}") forbid (principal, action == Action::"flip", resource);' if version % 2 else "")
        )
        small = self.folder / "small.log"
        (folder / "stockade.json5").write_text(
            f"""{{ upstream: '{self.service.url}', upstreams: {{ files: '{self.nginx.url}' }}, policies: 'policies/', workers: 2, realm: 'v{version}',
              issuers: {{ main: {{ issuer: '{self.issuer.url}', audiences: ['orders'], jwks_file: 'keys.json', id_prefix: 'x' }} }},
              routes: [
                {{ match: 'PUT /orders/{{rest...}}', action: 'write', upstream: 'files' }},
                {{ match: '* /orders/{{rest...}}', action: 'read', upstream: 'files' }},
                {{ match: 'GET /flip/{{rest...}}', action: 'flip' }},
                {{ match: '* /use/{{rest...}}', action: 'use' }},
                {{ match: '* /leave/{{rest...}}', action: 'use' }},
              ],
              log: {{ decisions: {{ queue: 100000, also: [
                '/dev/full', {{ to: '{small}', max_size: '{LOG_BYTES // 1024}KiB', keep: 2 }} ] }} }} }}"""
        )
        self.written = version
        os.symlink(f"..{version}", self.mount / "..new")
        os.rename(self.mount / "..new", self.mount / "..data")
        shutil.rmtree(self.mount / f"..{version - 3}", ignore_errors=True)

    def replace(self, environment):
        """The next version is in force when this returns, by the word of the command."""
        version = self.written + 1
        self.write(version)
        done = subprocess.run([binary(), "reload"], env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        self.in_force = version


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


class Soak:
    """The whole: what runs, for how long, and what is seen of it meanwhile."""

    def __init__(self, folder):
        self.nginx = Nginx(folder, "soak-nginx")
        self.service = Reborn()
        issuer, stranger = Issuer(), Issuer()
        hours = int(time.time()) + 6 * 3600
        self.tokens = {name: issuer.token(name, exp=hours) for name in ("alice", "bob", "dave")}
        self.tokens["forged"] = with_broken_signature(self.tokens["alice"])
        self.tokens["stranger"] = stranger.token("alice", exp=hours)
        self.tokens["expired"] = issuer.token("alice", iat=1_700_000_000, exp=1_700_000_600)
        self.world = World(folder, issuer, self.service, self.nginx)
        self.ledger = Ledger()
        self.folder = folder
        reader, writer = os.pipe()
        self.server = Stockade(folder, "soak", "--config", self.world.mount / "stockade.json5", log="stdout", stdout=writer)
        os.close(writer)
        self.records = threading.Thread(target=self.read_records, args=(reader,), daemon=True)
        self.records.start()
        self.environment = {**os.environ, "STATE_DIRECTORY": str(folder / "soak.state")}
        self.until = time.monotonic() + SECONDS

    def read_records(self, reader):
        with os.fdopen(reader) as lines:
            for line in lines:
                record = json.loads(line)
                if record["type"] == "decision":
                    self.ledger.record(record)

    def is_over(self):
        return time.monotonic() >= self.until

    def connect(self):
        host, port = self.server.proxy.removeprefix("http://").split(":")
        return socket.create_connection((host, int(port)), timeout=60)

    def turn(self):
        """Every second another load, every few a service that starts anew; what the process holds, each time."""
        seen = []
        while not self.is_over():
            next_turn = time.monotonic() + 1
            self.world.replace(self.environment)
            if self.world.written % 3 == 0:
                self.service.stop()
                time.sleep(0.05)
                self.service.start()
            if self.world.written % 5 == 0:
                # nginx replaces its worker, which ends its idle connections.
                os.kill(self.nginx.pid, signal.SIGHUP)
            assert self.server.is_alive(), self.server.text()
            seen.append((self.server.memory_kib("VmRSS"), self.server.descriptors()))
            time.sleep(max(0, min(next_turn, self.until) - time.monotonic()))
        return seen


@pytest.mark.soak
def test_under_mixed_load_every_answer_is_right_or_visibly_none_and_nothing_grows(tmp_path, report):
    soak = Soak(tmp_path)
    server, ledger = soak.server, soak.ledger
    try:
        base = server.descriptors()
        clients = [Client(soak, f"client-{number}", 0.004) for number in range(4)]
        clients += [kind(soak, kind.__name__, pause) for kind, pause in ((Trickler, 0.1), (SlowReader, 0.1), (Tunneller, 0.1), (Leaver, 0.02))]
        for client in clients:
            client.start()
        seen = soak.turn()
        for client in clients:
            client.join(120)
        assert not [client.name for client in clients if client.is_alive()]
        soak.service.stop()
        server.until("nothing is in flight", lambda: metric(server, "stockade_requests_in_flight") == 0)
        server.until("connections are gone", lambda: server.descriptors() <= base + 2, 60)
        # Every line of the log that is read was written, those of the full disk were counted, and the small file stayed small.
        dropped = {sink: metric(server, f'stockade_decision_log_dropped_total{{sink="{sink}"}}') for sink in ("stdout", "file", "file-2")}
        text = [line for line in server.err.read_text().splitlines() if "decision_log_failed" in line]
        files = sorted(tmp_path.glob("small.log*"))
        assert len(files) <= 3 and all(file.stat().st_size <= LOG_BYTES for file in files)
        for file in files:
            assert all(json.loads(line)["type"] for line in file.read_text().splitlines())
    finally:
        assert server.end() == 0, server.text()[-10_000:]
        soak.nginx.end()
    soak.records.join(60)
    memory = [kib for kib, _ in seen]
    # At minute two everything has its working size; in a short run, after a quarter.
    at = min(120, len(memory) // 4)
    early, late = (statistics.median(part) for part in (memory[max(0, at - 15) : at + 5], memory[-20:]))
    opened = [count for _, count in seen]
    counts = sum((client.counts for client in clients), collections.Counter())
    total = sum(count for what, count in counts.items() if what not in ("echoes", "left"))
    lost = sum(each is not None for each in ledger.recorded)
    report(
        f"soak: {total} requests in {SECONDS:.0f} s, {len(ledger.wrong)} wrong; {ledger.count} beside their records, {counts['broken off']} visibly broken off, "
        f"{sum(counts[each] for each in UNAVAILABLE)} unavailable, {counts['echoes']} echoes, {counts['left']} left; {soak.world.written} loads, "
        f"{soak.service.posts} posts, {len(soak.service.twice)} twice; memory {early:.0f} to {late:.0f} KiB, "
        f"{max(opened[: len(opened) // 2])} then {max(opened[len(opened) // 2 :])} descriptors, {base} at rest; log lines lost: {dropped}"
    )
    assert ledger.wrong[:5] == []
    assert soak.service.twice == []
    assert ledger.answered == {}, "an answer without a record"
    assert lost <= ledger.unseen, list(ledger.recorded.values())[:5]
    assert dropped["stdout"] == 0 and len(text) == 1 and "No space left" in text[0]
    assert late <= early * 1.1 + (0 if SECONDS >= 600 else 2048)
    assert max(opened[len(opened) // 2 :]) <= max(opened[: len(opened) // 2]) * 1.2 + 20
    assert counts[200] > total / 5, "most is well"

"""The soak's world: a service that dies and is reborn, loads that change every second, and a ledger of every answer."""

import collections
import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import threading
import time

from cognito import with_broken_signature
from issuer import Issuer
from processes import Nginx, Stockade, binary
from services import Service
from wire import BrokenOff, Message, end

LOG_BYTES = 1 << 20


def echo(path, body):
    """What the service answers: a text that nobody can get right by accident, of some length."""
    digest = hashlib.sha256(path + body).hexdigest()
    return (digest * (1 + int(digest[:2], 16))).encode()


class Reborn(Service):
    """A service that is stopped and started while it is asked, breaks some answers off, and knows every POST that it ever saw."""

    def __init__(self):
        self.last = collections.Counter()
        self.posts, self.twice = 0, []
        # The end of a connection is the end of an answer without a length, so none of those may be under way when all end at once:
        # nobody could tell that it is not whole.
        self.unframed = threading.Lock()
        super().__init__("reborn")

    def stop(self):
        with self.unframed:
            super().stop()

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
        is_big = path.startswith(b"/use/big")
        text = bytes(1 << 20) if is_big else echo(path, body)
        kind = random.choice(("length", "chunks") if is_big else ("length", "chunks", "close"))
        if kind == "close":
            with self.unframed:
                self.send(connection, path, b"HTTP/1.1 200 OK\r\n\r\n" + text)
                connection.close()
            raise BrokenOff
        if kind == "chunks":
            pieces = [text[at : at + 5000] for at in range(0, len(text), 5000)]
            head, text = b"Transfer-Encoding: chunked\r\n\r\n", b"".join(b"%x\r\n%s\r\n" % (len(each), each) for each in pieces) + b"0\r\n\r\n"
        else:
            head = b"Content-Length: %d\r\n\r\n" % len(text)
        self.send(connection, path, b"HTTP/1.1 200 OK\r\n" + head + text)

    @staticmethod
    def send(connection, path, answer):
        if path.startswith(b"/use/broken"):
            connection.sendall(answer[: random.randrange(len(answer))])
            end(connection, "reset")
            raise BrokenOff
        connection.sendall(answer)


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
        if not path or path.startswith("/leave") or record["status"] in (400, 408):
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
            f"""{{ upstream: {{ url: '{self.service.url}', breaker: {{ open: '200ms' }} }}, upstreams: {{ files: '{self.nginx.url}' }}, policies: 'policies/',
              workers: 2, realm: 'v{version}',
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


class Soak:
    """The whole: what runs, for how long, and what is seen of it meanwhile."""

    def __init__(self, folder, seconds):
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
        self.until = time.monotonic() + seconds

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

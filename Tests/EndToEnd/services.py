"""Services behind, name servers and clients that a test plays, and Stockade before them by a configuration file."""

import contextlib
import http.client
import re
import socket
import struct
import threading
import time

import requests

from processes import CHECKOUT, Stockade, eventually

LEAST = f"""mode: 'observe', policies: '{CHECKOUT}/policies', workers: 1,
  issuers: {{ main: {{ cognito: 'us-east-1_AbC123', client_ids: ['app'], jwks_url: 'http://127.0.0.1:1/keys' }} }},"""


class Accepting:
    """A service on a port of its own whose connections are served at the same time: `serve` says how. It accepts at once, so what
    `serve` needs is there before this is made."""

    def __init__(self, patience=20, backlog=128):
        self.patience = patience
        self.server = socket.create_server(("127.0.0.1", 0), backlog=backlog)
        self.port = self.server.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.server.accept()
            except OSError:
                return
            connection.settimeout(self.patience)
            self.arrived(connection)

    def arrived(self, connection):
        self.begin(connection)

    def begin(self, *connection):
        threading.Thread(target=self.serve, args=connection, daemon=True).start()

    def end(self):
        self.server.close()


class Service:
    """Answers every request with its name; counts them; may be stopped, and started again at the same place."""

    def __init__(self, name="a", address=("127.0.0.1", 0)):
        self.name = name
        self.address = address
        self.requests = []
        self.connections = set()
        self.answer = lambda head: b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(self.name), self.name.encode())
        self.lock = threading.Lock()
        self.server = None
        self.start()

    def start(self):
        if isinstance(self.address, str):
            self.server = socket.socket(socket.AF_UNIX)
            self.server.bind(self.address)
            self.server.listen(1024)
            self.url = "unix:" + self.address
        else:
            family = socket.AF_INET6 if ":" in self.address[0] else socket.AF_INET
            self.server = socket.create_server(self.address, family=family, backlog=1024)
            self.address = self.server.getsockname()[:2]
            host = f"[{self.address[0]}]" if ":" in self.address[0] else self.address[0]
            self.url = f"http://{host}:{self.address[1]}"
        threading.Thread(target=self.accept, args=(self.server,), daemon=True).start()

    def accept(self, server):
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            if not isinstance(self.address, str):
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                self.connections.add(connection)
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        data = b""
        with contextlib.suppress(OSError), connection:
            while True:
                while b"\r\n\r\n" not in data:
                    more = connection.recv(65536)
                    if not more:
                        return
                    data += more
                head, data = data.split(b"\r\n\r\n", 1)
                length = int(m[1]) if (m := re.search(rb"(?i)content-length: (\d+)", head)) else 0
                while len(data) < length:
                    more = connection.recv(65536)
                    if not more:
                        return
                    data += more
                data = data[length:]
                with self.lock:
                    self.requests.append(head.split(b"\r\n")[0].decode())
                answer = self.answer(head)
                if answer is None:
                    return
                connection.sendall(answer)
        with self.lock:
            self.connections.discard(connection)

    def open_connections(self):
        with self.lock:
            return sum(1 for each in self.connections if each.fileno() >= 0)

    def refuse(self):
        """Takes no more connections; those that it has go on."""
        with contextlib.suppress(OSError):
            self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()

    def stop(self):
        """At once: connections end, too."""
        self.refuse()
        with self.lock:
            for connection in self.connections:
                with contextlib.suppress(OSError):
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    connection.shutdown(socket.SHUT_RDWR)
            self.connections = set()


class NameServer:
    """Answers questions for addresses from a table: name → (addresses of IPv4, of IPv6, seconds they hold)."""

    def __init__(self, place=("127.0.0.1", 0), **names):
        self.names = names
        self.asked = []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(place)
        self.address = "%s:%d" % self.socket.getsockname()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while True:
            try:
                query, peer = self.socket.recvfrom(1500)
            except OSError:
                return
            if not query:
                return
            labels, at = [], 12
            while query[at]:
                labels.append(query[at + 1 : at + 1 + query[at]].decode())
                at += 1 + query[at]
            kind = query[at + 2]
            self.asked.append(labels[0])
            v4, v6, life = self.names.get(labels[0], ((), (), 0))
            found = [socket.inet_pton(socket.AF_INET, x) for x in v4] if kind == 1 else [socket.inet_pton(socket.AF_INET6, x) for x in v6]
            code = 0 if labels[0] in self.names else 3
            head = query[:2] + bytes([0x81, 0x80 | code]) + struct.pack(">HHHH", 1, len(found), 0, 0)
            records = b"".join(b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, life, len(data)) + data for data in found)
            self.socket.sendto(head + query[12 : at + 5] + records, peer)

    def end(self):
        # Wakes whoever waits for a question, so that the place is free.
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.socket.close()


def start(folder, name, settings, **more):
    """Stockade by a configuration file."""
    file = folder / f"{name}.json5"
    file.write_text("{ " + LEAST + settings + " }\n")
    return Stockade(folder, name, "--config", file, **more)


def metric(server, name):
    """A number of the operations listener; 0 where it is not there."""
    text = requests.get(server.ops + "/metrics", timeout=10).text
    return next((float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.rsplit(" ", 1)[0] == name), 0)


def reached(server, limit):
    return metric(server, f'stockade_limits_reached_total{{limit="{limit}"}}')


def has_reached(server, limit, count):
    """Whether it was reached so often; numbers are shown at the end of the turn that answered."""
    return bool(eventually(f"{limit} is reached {count} times", lambda: reached(server, limit) == count))


def has_said(server, event):
    """Whether the server's log tells of it; workers tell by message, so it may come after the answer."""
    return bool(eventually(f"{event} is told", lambda: event in server.err.read_text()))


def connect(server, patience=20):
    host, port = server.proxy.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=patience)


def everything(connection):
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while more := connection.recv(65536):
            data += more
    return data


class Load(threading.Thread):
    """A client that asks without end on one connection; what is not answered with 200 is noted."""

    def __init__(self, server, method="GET", body=None, pause=0.0):
        super().__init__(daemon=True)
        self.where = server.proxy.removeprefix("http://")
        self.method, self.body, self.pause = method, body, pause
        self.stopped = threading.Event()
        self.count, self.wrong = 0, []
        self.start()

    def run(self):
        connection = http.client.HTTPConnection(self.where, timeout=30)
        while not self.stopped.is_set():
            try:
                connection.request(self.method, "/x", body=self.body)
                response = connection.getresponse()
                text = response.read()
                if response.status != 200:
                    self.wrong.append((response.status, text))
            except (OSError, http.client.HTTPException) as error:
                self.wrong.append(repr(error))
                connection.close()
                connection = http.client.HTTPConnection(self.where, timeout=30)
            self.count += 1
            if self.pause:
                time.sleep(self.pause)

    def end(self):
        self.stopped.set()
        self.join(60)
        return self

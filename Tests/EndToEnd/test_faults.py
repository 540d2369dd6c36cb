"""Everybody breaks off everywhere: clients and services that reset or close their connections at every byte of a small exchange.

What must hold, wherever it happens: a client has the whole right answer, or sees that it has not; a service never takes a part of
a request for the whole, and gets no POST twice; one decision record a request; nothing is left open, and others notice nothing.
"""

import collections
import concurrent.futures
import contextlib
import socket
import threading

import pytest

from processes import SLOWNESS
from services import Accepting, Load, metric, start
from wire import BrokenOff, Message, end

PATIENCE = 20 * SLOWNESS


class Hostile(Accepting):
    """A service whose connections are played by a function of the test."""

    def __init__(self):
        self.play = None
        self.lock = threading.Lock()
        self.connections = set()
        self.count = 0
        super().__init__(PATIENCE, backlog=1024)

    def arrived(self, connection):
        with self.lock:
            self.connections.add(connection)
            self.count += 1
            number = self.count
        self.begin(connection, number)

    def serve(self, connection, number):
        with contextlib.suppress(OSError), connection:
            self.play(connection, number)
        with self.lock:
            self.connections.discard(connection)

    def part(self):
        """Ends the connections that the proxy keeps."""
        with self.lock:
            for connection in self.connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Stage:
    """One proxy, and behind it a service for the cases of each test and one that is well."""

    def __init__(self, folder):
        self.services = {name: Hostile() for name in ("well", "a", "b", "c", "d", "e")}
        named = ", ".join(f"{name}: {{ url: '{each.url}', breaker: {{ failures: 0 }} }}" for name, each in self.services.items())
        routes = ", ".join(f"{{ match: '* /{name}/{{rest...}}', upstream: '{name}' }}" for name in self.services if name != "well")
        self.services["well"].play = self.serve_well
        self.server = start(folder, "faults", f"upstream: '{self.services['well'].url}', upstreams: {{ {named} }}, unrouted: 'path', routes: [{routes}]")
        self.seen = 0
        # What is opened by the first request stays.
        self.ask(b"GET /first HTTP/1.1\r\nHost: a\r\n\r\n")
        self.base = self.server.descriptors()
        self.comes_to_rest()

    @staticmethod
    def serve_well(connection, number):
        message = Message(connection)
        with contextlib.suppress(BrokenOff):
            while message.read():
                connection.sendall(OK)

    def connect(self):
        host, port = self.server.proxy.removeprefix("http://").split(":")
        return socket.create_connection((host, int(port)), timeout=PATIENCE)

    def ask(self, request):
        """The first line and body of the answer; what is missing is seen by the client, and is an exception."""
        with self.connect() as client:
            client.sendall(request)
            return Message(client, is_response=True).read()

    def perform(self, cases, play):
        """All cases at once, while others are served as ever."""
        load = Load(self.server)
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            done = [pool.submit(play, *case) for case in cases]
            wrong = [(case, repr(each.exception())) for case, each in zip(cases, done) if each.exception()]
        assert wrong == [], (len(wrong), wrong[:8])
        assert load.end().wrong == [] and load.count > 0
        self.comes_to_rest()

    def comes_to_rest(self):
        """Nothing is in flight, and no descriptor is open for any of it."""
        self.server.until("nothing is in flight", lambda: metric(self.server, "stockade_requests_in_flight") == 0, PATIENCE)
        self.server.until("connections are gone", self.is_alone, PATIENCE)
        self.server.until("no bytes are held", lambda: metric(self.server, "stockade_buffered_bytes") == 0, PATIENCE)
        self.server.until("descriptors are closed", lambda: self.server.descriptors() <= self.base, PATIENCE)
        self.base = self.server.descriptors()

    def is_alone(self):
        for service in self.services.values():
            service.part()
        return all(metric(self.server, f'stockade_connections{{state="{state}"}}') == 0 for state in ("client", "upstream"))

    def records(self, folder):
        """The records of a test's requests, by path: those of one path in a list."""
        self.ask(b"GET /last HTTP/1.1\r\nHost: a\r\n\r\n")
        self.seen += 1
        self.server.until("all is written", lambda: sum(r["http"].get("path") == "/last" for r in self.server.records()) == self.seen)
        found = collections.defaultdict(list)
        for record in self.server.records():
            path = record["http"].get("path", "")
            if path.startswith(f"/{folder}/") and path[-4:].isdigit():
                found[path].append(record)
        assert all(len(each) == 1 for each in found.values()), [each for each in found.items() if len(each[1]) > 1][:3]
        return {path: each[0] for path, each in found.items()}


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    stage = Stage(tmp_path_factory.mktemp("faults"))
    yield stage
    assert stage.server.end() == 0, stage.server.text()


def test_a_client_that_breaks_off_in_its_request(stage):
    forms = {
        "get": (b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n", b""),
        "length": (b"POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n", b"hello"),
        "chunks": (b"POST %s HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", b"5;x=y\r\nhello\r\n1\r\n!\r\n0\r\nT: u\r\n\r\n"),
    }
    whole, begun = collections.Counter(), collections.Counter()
    lock = threading.Lock()

    def play(connection, number):
        message = Message(connection)
        with contextlib.suppress(BrokenOff):
            while True:
                while b"\r\n" not in message.data:
                    message.more()
                path = message.data.split(b" ")[1].decode()
                with lock:
                    begun[path] += 1
                first, body = message.read()
                assert body in (b"", b"hello", b"hello!")
                with lock:
                    whole[path] += 1
                connection.sendall(OK)

    stage.services["a"].play = play
    cases = []
    for form, (head, body) in forms.items():
        for how in ("reset", "finish", "close"):
            size = len(head % f"/a/{form}/{how}/0000".encode())
            cases += [(form, how, cut, size, len(body)) for cut in range(1, size + len(body) + 1)]

    def path(form, how, cut):
        return f"/a/{form}/{how}/{cut:04}"

    def ask(form, how, cut, head_size, body_size):
        request = forms[form][0] % path(form, how, cut).encode() + forms[form][1]
        client = stage.connect()
        client.sendall(request[:cut])
        if how != "finish":
            return end(client, how)
        # Half closed: the answer still comes, if the request was whole, and no other does.
        with client:
            client.shutdown(socket.SHUT_WR)
            message = Message(client, is_response=True)
            if cut == len(request):
                assert message.read() == (b"HTTP/1.1 200 OK", b"ok")
            else:
                with pytest.raises(BrokenOff):
                    message.read()
                assert message.data == b""

    stage.perform(cases, ask)
    records = stage.records("a")
    for form, how, cut, head_size, body_size in cases:
        name, record = path(form, how, cut), records.get(path(form, how, cut))
        is_whole = cut == head_size + body_size
        assert begun[name] <= 1 and whole[name] <= begun[name], name
        if not is_whole:
            assert whole[name] == 0, name
        if cut < head_size:
            # No request yet, so nothing was decided.
            assert record is None and begun[name] == 0, name
        elif how == "finish" or begun[name]:
            assert record is not None, name
        if is_whole and how == "finish":
            assert whole[name] == 1 and record["status"] == 200, name
        elif record is not None:
            assert record["status"] in ((0, 200) if is_whole else (0,)), (name, record["status"])


FORMS = {
    "length": b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello",
    "chunks": b"HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nT: u\r\n\r\n",
    "close": b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello",
    "interim": b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello",
}


def test_a_service_that_breaks_off_in_its_response(stage):
    seen = collections.Counter()
    lock = threading.Lock()

    def play(connection, number):
        first, _ = Message(connection).read()
        path = first.split(b" ")[1].decode()
        with lock:
            seen[path] += 1
        _, _, _, form, how, cut = path.split("/")
        connection.sendall(FORMS[form][: int(cut)])
        end(connection, how)

    stage.services["b"].play = play
    clients = {
        "get": b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n",
        "post": b"POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody",
        "old": b"GET %s HTTP/1.0\r\nHost: a\r\n\r\n",
    }
    cases = [
        (client, form, how, cut)
        for client in clients
        for form, response in FORMS.items()
        for how in ("reset", "finish")
        for cut in range(len(response) + 1)
    ]

    def path(client, form, how, cut):
        return f"/b/{client}/{form}/{how}/{cut:04}"

    def outcome(form, how, cut):
        """What the client is to see: the whole, that it is not the whole, or that the service failed."""
        response = FORMS[form]
        if cut < response.rindex(b"\r\n\r\n", 0, response.index(b"hel")) + 4:
            return "failed"
        if form == "close":
            # Without a length the end of the connection is the end of the body: nobody could know better.
            return "whole" if how == "finish" else "broken"
        return "whole" if cut == len(response) else "broken"

    def ask(client, form, how, cut):
        request = clients[client] % path(client, form, how, cut).encode()
        wanted = outcome(form, how, cut)
        if wanted == "broken":
            with pytest.raises(BrokenOff):
                stage.ask(request)
            return
        first, body = stage.ask(request)
        if wanted == "failed":
            assert first.split(b" ")[1] == b"502", first
        else:
            whole = FORMS[form][FORMS[form].index(b"hel") : cut] if form == "close" else b"hello"
            assert first == b"HTTP/1.1 200 OK" and body == whole

    stage.perform(cases, ask)
    assert set(seen.values()) == {1}, "nothing is sent twice on a connection that was new"
    records = stage.records("b")
    for case in cases:
        record, wanted = records[path(*case)], outcome(*case[1:])
        assert record["status"] == (502 if wanted == "failed" else 200), (case, record)
        # A head that ends in the middle is no head; one that is cut off by a reset, neither.
        assert (record.get("upstream_error") in ("reset", "malformed")) == (wanted == "failed"), (case, record)


def request_to(service, name, method):
    """A request of known length, so that what is forwarded has one length too."""
    body = (b"Content-Length: 5\r\n\r\n", b"hello") if method == "POST" else (b"\r\n", b"")
    return f"{method} /{service}/{name} HTTP/1.1\r\nHost: a\r\n".encode() + body[0] + body[1]


def forwarded_length(stage, service, method):
    """How many bytes of such a request reach the service."""
    length = []

    def measure(connection, number):
        data = b""
        while b"\r\n\r\n" not in data or method == "POST" and not data.endswith(b"hello"):
            data += connection.recv(65536)
        length.append(len(data))
        connection.sendall(OK)
        connection.shutdown(socket.SHUT_WR)

    stage.services[service].play = measure
    assert stage.ask(request_to(service, f"{method}/reset/size", method))[1] == b"ok"
    return length[0]


def test_a_service_that_breaks_off_while_it_reads(stage):
    """On connections made for the request: whatever its method, it is not sent again."""
    service = stage.services["c"]
    lock = threading.Lock()
    for method in ("GET", "POST"):
        length = forwarded_length(stage, "c", method)
        plans = [(method, how, cut) for how in ("reset", "finish") for cut in range(length + 1)]
        read, service.count = [], 0

        def play(connection, number, plans=plans, read=read):
            # Which request comes is not known before it is read, so the connection's number says where it ends.
            _, how, cut = plans[(number - 1) % len(plans)]
            data = b""
            while len(data) < cut and (more := connection.recv(cut - len(data))):
                data += more
            with lock:
                read.append(data)
            end(connection, how)

        service.play = play

        def ask(method, how, cut):
            first, _ = stage.ask(request_to("c", f"{method}/{how}/{cut:04}", method))
            assert first.split(b" ")[1] == b"502", first

        stage.perform(plans, ask)
        assert service.count == len(plans), "one connection a request"
        assert sorted(map(len, read)) == sorted(cut for _, _, cut in plans)
        names = [data.split(b" ")[1] for data in read if data.count(b" ") > 1]
        assert len(names) == len(set(names))
        records = stage.records(f"c/{method}")
        assert len(records) == len(plans)
        for record in records.values():
            assert record["status"] == 502 and record["upstream_error"] in ("reset", "connect"), record


def test_a_service_that_breaks_off_on_a_connection_that_has_served(stage):
    """A GET is sent once more, on a new connection; a POST never."""
    service = stage.services["d"]
    seen = collections.Counter()
    now = {}

    def play(connection, number):
        message = Message(connection)
        first, _ = message.read()
        if first.split(b" ")[1] != b"/d/prime":
            seen[first.split(b" ")[1].decode()] += 1
            return connection.sendall(OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        connection.sendall(OK)
        name, how, cut = now["case"]
        left = cut
        while left and (more := connection.recv(left)):
            left -= len(more)
        if cut:
            seen[name] += 1
        end(connection, how)

    wrong = []
    lengths = {method: forwarded_length(stage, "d", method) for method in ("GET", "POST")}
    service.play = play
    cases = [(method, how, cut) for method in lengths for how in ("reset", "finish") for cut in range(lengths[method] + 1)]

    def ask_one_by_one():
        with stage.connect() as client:
            answers = Message(client, is_response=True)
            for method, how, cut in cases:
                name = f"/d/{method}/{how}/{cut:04}"
                now["case"] = (name, how, cut)
                client.sendall(b"GET /d/prime HTTP/1.1\r\nHost: a\r\n\r\n")
                assert answers.read()[1] == b"ok"
                client.sendall(request_to("d", name.removeprefix("/d/"), method))
                status = answers.read()[0].split(b" ")[1]
                # Before a byte of it was read the end may be known, and then another connection is taken.
                wanted = [b"200"] if method == "GET" else [b"502"] if cut else [b"200", b"502"]
                times = 2 if method == "GET" and cut else 1
                if status not in wanted or seen[name] > times or status == b"200" and seen[name] != times:
                    wrong.append((name, status, seen[name]))

    stage.perform([()], ask_one_by_one)
    assert wrong == [], (len(wrong), wrong[:8])
    records = stage.records("d")
    assert len(records) == len(cases)
    assert {record.get("upstream_error") for record in records.values() if record["status"] == 502} == {"reset"}


def test_a_client_that_leaves_in_the_response(stage):
    response = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
    chunks = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"
    responses = {"length": response, "chunks": chunks}
    reached = collections.defaultdict(threading.Event)
    left = collections.defaultdict(threading.Event)
    knows = collections.defaultdict(threading.Event)

    def play(connection, number):
        message = Message(connection)
        with contextlib.suppress(BrokenOff):
            while True:
                path = message.read()[0].split(b" ")[1].decode()
                _, _, form, how, cut = path.split("/")
                connection.sendall(responses[form][: int(cut)])
                reached[path].set()
                if how == "close":
                    # Nothing tells of a client that has closed before something is sent to it.
                    assert left[path].wait(PATIENCE)
                    knows[path].set()
                    connection.sendall(responses[form][int(cut) :])
                    continue
                try:
                    message.more()
                except BrokenOff:
                    knows[path].set()
                return

    stage.services["e"].play = play
    cases = [(form, how, cut) for form in responses for how in ("reset", "close") for cut in range(len(responses[form]))]

    def ask(form, how, cut):
        path = f"/e/{form}/{how}/{cut:04}"
        client = stage.connect()
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        assert reached[path].wait(PATIENCE)
        end(client, how)
        left[path].set()
        assert knows[path].wait(PATIENCE), "its request is broken off, too"

    stage.perform(cases, ask)
    records = stage.records("e")
    for form, how, cut in cases:
        record = records[f"/e/{form}/{how}/{cut:04}"]
        has_begun = cut >= responses[form].index(b"\r\n\r\n") + 4
        assert record["status"] in ((200,) if has_begun else (0,) if how == "reset" else (0, 200)), (form, how, cut, record)

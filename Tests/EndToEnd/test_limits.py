"""Each limit of `stockade config limits`: what a client is answered, the metric and the log; and that nothing is exhausted by clients
who are slow, idle, or many."""

import contextlib
import re
import resource
import socket
import struct
import subprocess
import threading
import time

import pytest
import requests

from processes import SLOWNESS, binary, eventually
from services import Load, Service, connect, everything, has_reached, has_said, metric, reached, start

OK = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture
def service():
    server = Service("a")
    yield server
    server.stop()


@pytest.fixture
def run(tmp_path, service):
    started = []

    def run(settings="", upstream="", **more):
        started.append(start(tmp_path, f"stockade-{len(started)}", f"upstream: {{ url: '{service.url}', {upstream} }}, {settings}", **more))
        return started[-1]

    yield run
    for server in started:
        if server.is_alive():
            assert server.end() == 0, server.text()


def status(data):
    return int(data.split(b" ", 2)[1]) if data else None


def ask(server, data):
    with connect(server) as client:
        client.sendall(data)
        return everything(client)


def get(server):
    return requests.get(server.proxy + "/", timeout=30)


def reason(server, data):
    return server.record(re.search(rb"(?i)x-stockade-decision-id: (\S+)", data)[1].decode())["reason"]


@pytest.mark.parametrize(
    "limit,settings,request_bytes,answer,logged",
    [
        ("header", "limits: { header: '2KiB' }", OK[:-2] + b"X: " + b"x" * 3000 + b"\r\n\r\n", 431, "request_too_large"),
        ("header_count", "limits: { header_count: 10 }", OK[:-2] + b"X: x\r\n" * 20 + b"\r\n", 431, "request_too_large"),
        ("target", "limits: { target: '100B' }", b"GET /" + b"a" * 200 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414, "request_too_large"),
        ("body", "limits: { body: '10B' }", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n12345678901", 413, "request_too_large"),
        (
            "body", "limits: { body: '10B' }",
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n12345678901\r\n0\r\n\r\n", 413, "request_too_large",
        ),
        ("header_timeout", "limits: { header_timeout: '300ms' }", b"GET / HTTP/1.1\r\nHost:", 408, "request_timeout"),
        (
            "body_timeout", "routes: [{ match: '* /{x...}', body_timeout: '300ms' }]",
            b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nx", 408, "request_timeout",
        ),
    ],
)  # fmt: skip
def test_a_request_beyond_its_limit_is_refused_with_its_status_and_told(run, service, limit, settings, request_bytes, answer, logged):
    server = run(settings)
    data = ask(server, request_bytes)
    assert status(data) == answer and b"connection: close" in data.lower()
    assert reason(server, data) == logged and has_reached(server, limit, 1)
    assert service.requests == [] or limit.startswith("body")
    assert status(ask(server, OK[:-2] + b"Connection: close\r\n\r\n")) == 200


def test_a_route_may_take_larger_and_smaller_bodies_than_others(run):
    server = run("limits: { body: '10B' }, unrouted: 'path', routes: [{ match: 'POST /big', body_limit: '1KiB' }, { match: 'POST /small', body_limit: '1B' }]")
    sent = {path: [requests.post(server.proxy + path, data=b"x" * n, timeout=10).status_code for n in (1, 2, 10, 11, 1024, 1025)] for path in ("/big", "/small", "/other")}
    assert sent == {"/big": [200] * 5 + [413], "/small": [200] + [413] * 5, "/other": [200] * 3 + [413] * 3}


def test_a_client_that_trickles_its_body_is_cut_though_it_never_pauses(run, service):
    server = run("limits: { body_rate: '100KiB' }")
    with connect(server, 60) as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n")
        began = time.monotonic()
        client.settimeout(0.2)
        data = b""
        while not data and time.monotonic() < began + 40:
            with contextlib.suppress(OSError):
                client.sendall(b"x")
            with contextlib.suppress(TimeoutError):
                data = client.recv(65536)
    assert status(data) == 408 and 15 < time.monotonic() - began < 30
    assert reason(server, data) == "request_timeout" and has_reached(server, "body_rate", 1) and service.requests == []


def big_answer(size):
    return lambda head: b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size


def test_a_client_that_takes_nothing_is_cut_and_one_that_takes_slowly_is_not(run, service):
    service.answer = big_answer(8 << 20)
    server = run(upstream="body_timeout: '1s',")

    def small_buffer():
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(30)
        host, port = server.proxy.removeprefix("http://").split(":")
        client.connect((host, int(port)))
        client.sendall(OK)
        return client

    stuck, slow = small_buffer(), small_buffer()
    taken = 0
    began = time.monotonic()
    while time.monotonic() < began + 4:
        taken += len(slow.recv(8192))
        time.sleep(0.01)
    assert has_reached(server, "body_timeout", 1) and taken > 100_000
    # What the kernel held is still there, and then the connection is reset.
    with pytest.raises(ConnectionResetError):
        while stuck.recv(65536):
            pass
    while taken <= 8 << 20 and (more := slow.recv(1 << 20)):
        taken += len(more)
    assert taken > 8 << 20, "slow and whole"
    stuck.close()
    slow.close()


def test_idle_connections_end_and_those_that_say_nothing(run):
    server = run("limits: { idle_timeout: '400ms', header_timeout: '400ms' }")
    with connect(server) as idle, connect(server) as silent:
        idle.sendall(OK)
        assert idle.recv(65536).startswith(b"HTTP/1.1 200 ")
        assert everything(idle) == b"" and everything(silent) == b""
    assert has_reached(server, "idle_timeout", 2)


def test_the_whole_may_take_so_long(run, service):
    gate = threading.Event()
    service.answer = lambda head: gate.wait(20) and None
    server = run("limits: { total_timeout: '500ms' }")
    answer = get(server)
    gate.set()
    assert answer.status_code == 504 and has_reached(server, "total_timeout", 1)
    assert server.record(answer.headers["X-Stockade-Decision-Id"])["upstream_error"] == "timeout"

    # A response that goes on for longer breaks off visibly, though it never pauses.
    def endless(head):
        return b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n"

    service.answer = endless
    with connect(server) as client:
        client.sendall(OK)
        with pytest.raises(ConnectionResetError):
            while client.recv(65536):
                pass


def test_a_service_that_does_not_answer_in_time_is_504(run, service):
    gate = threading.Event()
    service.answer = lambda head: gate.wait(20) and None
    server = run(upstream="response_timeout: '300ms',")
    answer = get(server)
    gate.set()
    assert answer.status_code == 504 and has_reached(server, "response_timeout", 1)


def test_a_service_that_does_not_take_a_connection_in_time_is_504(tmp_path):
    # A listener whose queue is full answers nothing.
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = []
        for _ in range(4):
            waiting.append(socket.socket())
            waiting[-1].setblocking(False)
            waiting[-1].connect_ex(full.getsockname())
        server = start(tmp_path, "full", f"upstream: {{ url: 'http://127.0.0.1:{full.getsockname()[1]}', connect_timeout: '300ms' }}")
        answer = get(server)
        assert answer.status_code == 504 and has_reached(server, "connect_timeout", 1)
        assert server.record(answer.headers["X-Stockade-Decision-Id"])["upstream_error"] == "connect_timeout"
        for each in waiting:
            each.close()
        assert server.end() == 0


def test_the_last_request_of_a_connection_is_told_so(run):
    server = run("limits: { requests_per_connection: 3 }")
    with connect(server) as client:
        client.sendall(OK * 5)
        data = everything(client)
    assert data.count(b"HTTP/1.1 200 OK") == 3 and data.lower().count(b"connection: close") == 1
    assert has_reached(server, "requests_per_connection", 1)
    load = [Load(server)]
    eventually("many", lambda: load[0].count > 50)
    assert load[0].end().wrong == []


def test_more_requests_than_may_be_in_flight_get_503(run, service):
    gate = threading.Event()
    service.answer = lambda head: gate.wait(20) and b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na"
    server = run("limits: { requests_in_flight: 3 }")
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(get(server).status_code)) for _ in range(3)]
    for thread in threads:
        thread.start()
    eventually("three are in flight", lambda: metric(server, "stockade_requests_in_flight") == 3)
    refused = get(server)
    assert refused.status_code == 503 and refused.headers["Retry-After"] == "1" and has_reached(server, "requests_in_flight", 1)
    record = server.record(refused.headers["X-Stockade-Decision-Id"])
    assert record["reason"] == "overload" and "limits.requests_in_flight" in record["detail"]
    gate.set()
    for thread in threads:
        thread.join()
    assert answers == [200] * 3 and get(server).status_code == 200 and has_said(server, "limit_reached")


def test_one_peer_has_so_many_connections_and_no_more(run):
    server = run("limits: { connections_per_peer: 3 }")
    mine = [connect(server) for _ in range(3)]
    eventually("they are there", lambda: metric(server, 'stockade_connections{state="client"}') == 3)
    data = ask(server, OK)
    assert status(data) == 429 and b"Retry-After: 1" in data and has_reached(server, "connections_per_peer", 1)
    with socket.socket() as other:
        other.bind(("127.0.0.9", 0))
        host, port = server.proxy.removeprefix("http://").split(":")
        other.connect((host, int(port)))
        other.sendall(OK)
        assert other.recv(65536).startswith(b"HTTP/1.1 200 ")
    mine.pop().close()
    eventually("there is room again", lambda: status(ask(server, OK[:-2] + b"Connection: close\r\n\r\n")) == 200)


def test_trusted_proxies_are_not_one_peer(run):
    server = run("limits: { connections_per_peer: 2 }, trusted_proxies: ['127.0.0.0/8']")
    connections = [connect(server) for _ in range(10)]
    for each in connections:
        each.sendall(OK)
        assert each.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_an_idle_flood_leaves_room_for_who_asks(run):
    server = run("limits: { connections: 40 }")
    flood = [connect(server) for _ in range(200)]
    began = time.monotonic()
    for _ in range(5):
        assert requests.get(server.proxy + "/", headers={"Connection": "close"}, timeout=30).status_code == 200
    assert time.monotonic() - began < 25 and reached(server, "connections") >= 1
    assert metric(server, 'stockade_connections{state="client"}') <= 41
    for each in flood:
        each.close()


def test_busy_connections_are_never_closed_for_others(run, service):
    gate = threading.Event()
    service.answer = lambda head: gate.wait(20) and b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na"
    server = run("limits: { connections: 4 }")
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(get(server).status_code)) for _ in range(8)]
    for thread in threads:
        thread.start()
    eventually("four are served", lambda: len(service.requests) == 4)
    gate.set()
    for thread in threads:
        thread.join()
    assert answers == [200] * 8, "the others waited in the kernel's queue"


def test_bytes_that_are_held_are_bounded(run, service):
    server = run("limits: { buffered: '1MiB', header: '64KiB', header_timeout: '20s' }")
    get(server)
    before = server.memory_kib("VmRSS")
    clients = []
    refused = 0
    for _ in range(100):
        client = connect(server)
        with contextlib.suppress(OSError):
            client.sendall(OK[:-2] + b"X: " + b"x" * 50_000)
        clients.append(client)
    eventually("some are refused", lambda: reached(server, "buffered") >= 1)
    for client in clients:
        client.settimeout(0.05)
        with contextlib.suppress(TimeoutError, OSError):
            refused += status(client.recv(65536)) == 503
    assert refused > 0 and metric(server, "stockade_buffered_bytes") <= 1_200_000
    # A sanitizer keeps what was freed.
    assert SLOWNESS > 1 or server.memory_kib("VmRSS") < before + 30_000
    for client in clients:
        client.close()
    eventually("it serves again", lambda: get(server).status_code == 200)
    eventually("nothing is held", lambda: metric(server, "stockade_buffered_bytes") == 0)


def test_when_descriptors_run_out_accepting_pauses_and_nothing_breaks(run):
    few = {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))}
    server = run("limits: { connections: 10000 }", **few)
    assert "connections_lowered" in server.err.read_text()
    for _ in range(3):
        flood = [connect(server) for _ in range(150)]
        for each in flood[::2]:
            each.sendall(b"GET / HTTP/1.1\r\nHost:")
        for each in flood:
            each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            each.close()
        load = [Load(server) for _ in range(10)]
        eventually("all are served", lambda: min(each.count for each in load) > 5)
        for each in load:
            assert each.end().wrong == []
    assert server.descriptors() < 100


def test_descriptors_that_are_gone_all_the_same_are_survived(run, service):
    """Taken away under its hands, as by a limit that is lowered: accepting rests, services get 503, and all is well afterwards."""
    server = run()
    assert get(server).status_code == 200
    used = server.descriptors()
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (used + 2, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    flood = [connect(server) for _ in range(20)]
    for each in flood:
        each.sendall(OK)
    time.sleep(0.5)  # So long nothing can be accepted; there is no event for that.
    assert server.is_alive()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (hard, hard))
    for each in flood:
        data = each.recv(65536)
        assert status(data) in (200, 503), data
        each.close()
    assert get(server).status_code == 200
    assert has_said(server, "accept_failed")


def test_the_table_is_printed():
    done = subprocess.run([binary(), "config", "limits"], capture_output=True, text=True, timeout=20, check=True)
    lines = done.stdout.splitlines()
    assert lines[0].split()[:5] == ["setting", "default", "status", "log", "metric"] and len(lines) == 24

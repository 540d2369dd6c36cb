"""Services behind with several addresses, names that move, health, and what holds back requests that would fail."""

import socket
import threading
import time
import urllib.parse

import pytest
import requests

from processes import eventually, free_port
from services import Load, NameServer, Service, has_reached, has_said, metric, reached, start


@pytest.fixture
def services():
    made = []

    def make(*args, **more):
        made.append(Service(*args, **more))
        return made[-1]

    yield make
    for each in made:
        each.stop()


@pytest.fixture
def run(tmp_path):
    started = []

    def run(settings, **more):
        started.append(start(tmp_path, f"stockade-{len(started)}", settings, **more))
        return started[-1]

    yield run
    for server in started:
        if server.is_alive():
            assert server.end() == 0, server.text()


def get(server, path="/x", **more):
    return requests.get(server.proxy + path, timeout=30, **more)


def test_requests_are_shared_by_those_in_flight(run, services):
    a, b = services("a"), services("b")
    server = run(f"upstream: ['{a.url}', '{b.url}']")
    got = [get(server).text for _ in range(20)]
    assert got.count("a") == got.count("b") == 10
    # While one is stuck with some, the other gets the rest.
    gate = threading.Event()
    stuck = threading.Semaphore(0)

    def wait(head):
        stuck.release()
        gate.wait(30)
        return b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na"

    a.answer = wait
    slow = [threading.Thread(target=get, args=(server,)) for _ in range(2)]
    for each in slow:
        each.start()
    assert stuck.acquire(timeout=10)
    eventually("the others are through", lambda: sum(1 for each in slow if each.is_alive()) == 1)
    assert {get(server).text for _ in range(20)} == {"b"}
    gate.set()
    for each in slow:
        each.join()


def test_routes_have_services_of_their_own_by_name_by_url_and_on_unix_sockets(run, services, tmp_path):
    usual, named, direct = services("usual"), services("named", str(tmp_path / "s.sock")), services("direct")
    server = run(
        f"upstream: '{usual.url}', upstreams: {{ orders: '{named.url}' }}, unrouted: 'path', routes: ["
        f"{{ match: 'GET /named', upstream: 'orders' }}, {{ match: 'GET /direct', upstream: '{direct.url}' }} ]"
    )
    assert [get(server, path).text for path in ("/", "/named", "/direct")] == ["usual", "named", "direct"]


def test_both_sides_on_unix_sockets(tmp_path, services):
    service = services("far", str(tmp_path / "s.sock"))
    server = start(tmp_path, "unix", f"upstream: '{service.url}'", listen=f"unix:{tmp_path}/p.sock")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(tmp_path / "p.sock"))
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        data = b""
        while more := client.recv(65536):
            data += more
    assert data.startswith(b"HTTP/1.1 200 ") and data.endswith(b"far")
    assert server.end() == 0


def test_an_address_where_nobody_is_costs_no_request_and_is_left_out(run, services):
    good = services("good")
    server = run(f"upstream: {{ urls: ['http://127.0.0.1:{free_port()}', '{good.url}'], ejection: {{ failures: 3, time: '1m' }} }}")
    load = [Load(server), Load(server, "POST", b"x" * 1000)]
    eventually("it is left out", lambda: metric(server, 'stockade_upstream_ejections_total{upstream="upstream"}') == 1)
    before = metric(server, 'stockade_upstream_errors_total{reason="connect"}')
    count = load[0].count
    eventually("more requests", lambda: load[0].count > count + 50)
    for each in load:
        assert each.end().wrong == [] and each.count > 10
    assert before == 0 and has_said(server, "upstream_ejected")


def test_never_are_all_left_out(run, services):
    ports = [free_port(), free_port()]
    server = run(
        "upstream: { urls: [" + ", ".join(f"'http://127.0.0.1:{port}'" for port in ports) + "],"
        " ejection: { failures: 1, time: '1m', max_percent: 99 }, breaker: { failures: 0 } }"
    )
    for _ in range(10):
        assert get(server).status_code == 502
    assert metric(server, 'stockade_upstream_ejections_total{upstream="upstream"}') == 1
    service = services("back", ("127.0.0.1", ports[0]))
    other = services("back", ("127.0.0.1", ports[1]))
    assert get(server).text == "back" and (service.requests or other.requests)


def test_health_checks_take_an_address_out_before_a_request_fails_there(run, services):
    a, b = services("a"), services("b")
    ill = threading.Event()

    def sick(head):
        if head.startswith(b"GET /up "):
            return b"HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n" % (b"503 Service Unavailable" if ill.is_set() else b"200 OK")
        return b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na"

    a.answer = sick
    settings = f"upstream: {{ urls: ['{a.url}', '{b.url}'], health: {{ path: '/up', interval: '100ms', unhealthy: 2, healthy: 2 }} }}"
    server = run(settings)
    up = f'stockade_upstream_up{{upstream="upstream",address="{a.url}"}}'
    eventually("it is up", lambda: metric(server, up) == 1 and any("/up" in line for line in a.requests))
    assert {get(server).text for _ in range(10)} == {"a", "b"}
    ill.set()
    eventually("it is down", lambda: metric(server, up) == 0)
    eventually("the worker knows", lambda: {get(server).text for _ in range(10)} == {"b"})
    # Known on over a reload of something else, and told in the log.
    file = server.folder / "stockade-0.json5"
    file.write_text(file.read_text().replace("upstream: {", "realm: 'other', upstream: {"))
    server.until("reloaded", lambda: "\"generation\":2" in server.err.read_text().replace(": ", ":") or "generation=2" in server.err.read_text())
    assert {get(server).text for _ in range(10)} == {"b"} and has_said(server, "upstream_down")
    ill.clear()
    eventually("it serves again", lambda: {get(server).text for _ in range(10)} == {"a", "b"})


def test_where_all_are_down_all_are_asked(run, services):
    a, b = services("a"), services("b")
    for each in (a, b):
        each.answer = lambda head, name=each.name: (
            b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n" if b"/up " in head.split(b"\r\n")[0]
            else b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n" + name.encode()
        )
    server = run(f"upstream: {{ urls: ['{a.url}', '{b.url}'], health: {{ path: '/up', interval: '100ms', unhealthy: 1 }} }}")
    eventually("both are down", lambda: server.err.read_text().count("upstream_down") == 2)
    assert {get(server).text for _ in range(10)} == {"a", "b"}


def test_the_circuit_breaker_answers_503_until_one_request_is_answered(run, services):
    port = free_port()
    server = run(f"upstream: {{ url: 'http://127.0.0.1:{port}', breaker: {{ failures: 3, open: '1s' }} }}")
    assert [get(server).status_code for _ in range(3)] == [502] * 3
    answer = get(server)
    assert answer.status_code == 503 and answer.headers["Retry-After"] == "1"
    record = server.record(answer.headers["X-Stockade-Decision-Id"])
    assert record["upstream_error"] == "circuit_open" and record["status"] == 503
    assert has_reached(server, "upstream_breaker", 1) and has_said(server, "circuit_open")
    services("well", ("127.0.0.1", port))
    eventually("it is asked again", lambda: get(server).status_code == 200)
    assert [get(server).status_code for _ in range(20)] == [200] * 20


def test_in_the_half_open_state_one_request_is_sent_and_not_all(run, services):
    service = services("a")
    service.answer = lambda head: None
    server = run(f"upstream: {{ url: '{service.url}', breaker: {{ failures: 2, open: '500ms' }} }}")
    for _ in range(2):
        assert requests.post(server.proxy + "/x", data="x", timeout=10).status_code == 502
    seen = len(service.requests)
    began = time.monotonic()
    statuses = []
    while time.monotonic() < began + 2.2:
        statuses.append(requests.post(server.proxy + "/x", data="x", timeout=10).status_code)
    assert statuses.count(503) > 20 and len(service.requests) - seen <= 5
    assert len(service.requests) - seen == statuses.count(502), "a POST is sent once"


def test_a_slow_client_cannot_open_the_breaker(run, services):
    service = services("a")
    server = run(f"upstream: {{ url: '{service.url}', body_timeout: '300ms', breaker: {{ failures: 1 }} }}")
    host, port = urllib.parse.urlsplit(server.proxy).netloc.split(":")
    for _ in range(3):
        with socket.create_connection((host, int(port)), timeout=10) as client:
            client.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nx")
            assert client.recv(65536).startswith(b"HTTP/1.1 408 ")
    assert get(server).status_code == 200


def test_requests_wait_for_a_connection_in_a_bounded_queue(run, services):
    service = services("a")
    gate, arrived = threading.Event(), threading.Semaphore(0)

    def wait(head):
        arrived.release()
        gate.wait(30)
        return b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na"

    service.answer = wait
    server = run(f"upstream: {{ url: '{service.url}', max_connections: 2, max_waiting: 3, waiting_timeout: '20s' }}")
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(get(server))) for _ in range(5)]
    for thread in threads:
        thread.start()
    for _ in range(2):
        assert arrived.acquire(timeout=10)
    eventually("three wait", lambda: reached(server, "upstream_connections") == 3)
    refused = get(server)
    assert refused.status_code == 503 and refused.headers["Retry-After"] == "1" and has_reached(server, "upstream_waiting", 1)
    assert server.record(refused.headers["X-Stockade-Decision-Id"])["upstream_error"] == "busy"
    gate.set()
    for thread in threads:
        thread.join(30)
    assert [answer.status_code for answer in answers] == [200] * 5 and service.open_connections() <= 2


def test_who_waits_too_long_gets_503(run, services):
    service = services("a")
    gate = threading.Event()
    service.answer = lambda head: gate.wait(30) and b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na"
    server = run(f"upstream: {{ url: '{service.url}', max_connections: 1, waiting_timeout: '200ms' }}")
    first = threading.Thread(target=get, args=(server,))
    first.start()
    eventually("one is there", lambda: service.requests)
    assert get(server).status_code == 503 and has_reached(server, "upstream_waiting_timeout", 1)
    gate.set()
    first.join()
    assert get(server).status_code == 200


def test_where_one_family_refuses_the_other_serves(run, services):
    service = services("four")
    dns = NameServer(orders=(["127.0.0.1"], ["::1"], 60))
    server = run(f"upstream: 'http://orders.test:{service.address[1]}', dns: {{ server: '{dns.address}' }}")
    assert [get(server).text for _ in range(3)] == ["four"] * 3
    dns.end()


def test_a_service_that_moves_loses_no_request(run, services):
    old = services("old", ("127.0.0.2", 0))
    new = services("new", ("127.0.0.3", old.address[1]))
    dns = NameServer(orders=(["127.0.0.2"], [], 1))
    server = run(f"upstream: 'http://orders.test:{old.address[1]}', dns: {{ server: '{dns.address}' }}")
    load = [Load(server), Load(server, "POST", b"x" * 100), Load(server, pause=0.05)]
    eventually("the old one serves", lambda: len(old.requests) > 100)
    dns.names["orders"] = (["127.0.0.3"], [], 1)
    eventually("nobody is at the old one any more", lambda: len(new.requests) > 100 and old.open_connections() == 0)
    old.stop()
    seen = len(new.requests)
    eventually("the new one serves on", lambda: len(new.requests) > seen + 200)
    for each in load:
        assert each.end().wrong == [] and each.count > 20
    dns.end()


def test_a_service_that_moves_before_its_time_is_found_at_once(run, services):
    old = services("old", ("127.0.0.2", 0))
    new = services("new", ("127.0.0.3", old.address[1]))
    dns = NameServer(orders=(["127.0.0.2"], [], 300))
    server = run(f"upstream: 'http://orders.test:{old.address[1]}', dns: {{ server: '{dns.address}' }}")
    assert get(server).text == "old"
    time.sleep(1.1)  # An answer younger than a second is not doubted.
    dns.names["orders"] = (["127.0.0.3"], [], 300)
    old.stop()
    assert get(server).text == "new"
    assert requests.post(server.proxy + "/x", data="x", timeout=10).text == "new" and new.requests
    dns.end()


def test_a_restart_of_one_of_two_loses_no_request_without_a_body(run, services):
    a, b = services("a"), services("b")
    server = run(f"upstream: ['{a.url}', '{b.url}']")
    load = [Load(server, pause=0.002) for _ in range(2)]
    for _ in range(3):
        count = len(a.requests)
        eventually("it serves", lambda count=count: len(a.requests) > count + 5)
        a.refuse()
        eventually("others serve", lambda count=len(b.requests): len(b.requests) > count + 20)
        a.start()
    for each in load:
        assert each.end().wrong == [] and each.count > 50


@pytest.mark.parametrize("settings", ["upstream: 'http://orders.test:1', dns: { server: '[::1]:53' }", "upstream: 'http://orders.test:1', dns: { server: 'x' }"])
def test_a_name_server_that_is_none_stops_the_start(tmp_path, settings):
    server = start(tmp_path, "wrong", settings, waits=False)
    assert server.process.wait(10) == 3 and "dns.server" in server.err.read_text()

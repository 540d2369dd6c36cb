"""Under load, with no request that fails: another configuration, and a successor on the same port."""

import os
import signal
import threading

import pytest
import requests

from processes import eventually, free_port
from services import Load, Service, metric, start


def generation(server):
    return metric(server, "stockade_snapshot_generation")


def test_reloads_of_the_configuration_under_load_lose_no_request(tmp_path):
    """Services, limits and policies change at every reload: pools are replaced, requests in flight end by what they began with."""
    services = [Service(name) for name in "abc"]
    server = start(tmp_path, "reload", f"upstream: '{services[0].url}'")
    load = [Load(server), Load(server, "POST", b"x" * 50_000), Load(server, pause=0.01)]
    file = tmp_path / "reload.json5"
    text = file.read_text()
    upstreams = [f"upstream: ['{services[1].url}', '{services[2].url}']", f"upstream: {{ url: '{services[2].url}', max_connections: 1 }}, realm: 'x'"]
    upstreams += [f"upstream: '{services[0].url}', limits: {{ header: '8KiB', buffered: '1MiB', requests_per_connection: 7 }}"]
    for round in range(12):
        before = generation(server)
        (tmp_path / "next").write_text(text.replace(f"upstream: '{services[0].url}'", upstreams[round % 3]))
        os.rename(tmp_path / "next", file)
        os.kill(server.pid, signal.SIGHUP)
        server.until("it is in force", lambda before=before: generation(server) > before)
        count = load[0].count
        eventually("requests went by", lambda count=count: load[0].count > count + 20)
    for each in load:
        assert each.end().wrong == [] and each.count > 20
    assert all(each.requests for each in services)
    # Nobody is left behind at a service that is no longer named.
    eventually("connections are closed", lambda: services[1].open_connections() == 0)
    assert server.end() == 0, server.text()
    for each in services:
        each.stop()


@pytest.mark.parametrize("workers", [1, 2])
def test_sigterm_with_a_successor_on_the_same_port_loses_no_request(tmp_path, workers):
    service = Service("a")
    port = free_port()
    settings = f"upstream: '{service.url}', share_port: true, drain: {{ timeout: '20s' }}"
    stop = threading.Event()
    wrong, counts = [], []

    def ask(session):
        count = 0
        while not stop.is_set():
            try:
                answer = (session or requests).get(f"http://127.0.0.1:{port}/x", headers={} if session else {"Connection": "close"}, timeout=30)
                if answer.status_code != 200:
                    wrong.append(answer.status_code)
            except requests.RequestException as error:
                wrong.append(repr(error))
            count += 1
        counts.append(count)

    def began(number):
        return start(tmp_path, f"generation-{number}", settings, listen=f"127.0.0.1:{port}", environment={"STOCKADE_WORKERS": str(workers)})

    server = began(0)
    threads = [threading.Thread(target=ask, args=(session,)) for session in (None, None, requests.Session())]
    for thread in threads:
        thread.start()
    for number in range(1, 5):
        successor = began(number)
        assert server.end() == 0, server.text()
        server = successor
        server.until("it has served", lambda server=server: len(server.records()) > 50)
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == [] and min(counts) > 20, (wrong[:5], counts)
    assert server.end() == 0
    service.stop()


def test_without_being_told_so_a_port_is_nobody_elses(tmp_path):
    service = Service("a")
    first = start(tmp_path, "first", f"upstream: '{service.url}'")
    port = first.proxy.rpartition(":")[2]
    second = start(tmp_path, "second", f"upstream: '{service.url}', share_port: true", listen=f"127.0.0.1:{port}", waits=False)
    assert second.process.wait(20) in (1, 3) and "in use" in second.err.read_text()
    assert first.end() == 0
    service.stop()

"""What orchestrators ask: /livez, /readyz and /startupz through everything that changes their answers, each with its reasons."""

import contextlib
import os
import signal
import time

import pytest
import requests

from processes import Stockade, free_port
from provider import Provider
from test_keys import configuration
from test_supervision import stopped_thread


@pytest.fixture
def provider():
    provider = Provider()
    yield provider
    with contextlib.suppress(OSError):
        provider.end()


def ask(server, probe):
    """The status and the checks."""
    answer = requests.get(f"{server.ops}/{probe}z", timeout=10)
    assert answer.headers["Content-Type"] == "application/json"
    said = answer.json()
    name = {"live": "alive", "ready": "ready", "startup": "started"}[probe]
    # The status, the word and the checks say the same.
    assert said[name] is (answer.status_code == 200) is all(reason == "ok" for reason in said["checks"].values())
    return answer.status_code, said["checks"]


def test_without_keys_it_is_started_and_alive_and_not_ready_and_then_ready(tmp_path, provider, nginx):
    provider.die()
    server = Stockade(tmp_path, "keys", "--config", configuration(tmp_path, provider, nginx.url, workers=2), listen=f"127.0.0.1:{free_port()}")
    try:
        assert ask(server, "startup") == (200, {"configuration": "ok", "policies": "ok", "listener": "ok"})
        assert ask(server, "live") == (200, {"worker:0": "ok", "worker:1": "ok"})
        status, checks = ask(server, "ready")
        assert status == 503 and list(checks) == ["listener", "keys:main", "worker:0", "worker:1"]
        assert checks.pop("keys:main").startswith("keys ") and set(checks.values()) == {"ok"}
        server.until("it is told why", lambda: f"127.0.0.1:{provider.port}" in ask(server, "ready")[1]["keys:main"])
        # One that answers nonsense is told otherwise.
        provider.answer = lambda handler, keys: handler.reply(200, b"{}")
        provider.start()
        server.until("it is told", lambda: "the key set" in ask(server, "ready")[1]["keys:main"])
        provider.answer = None
        server.until("it is ready", lambda: ask(server, "ready") == (200, dict.fromkeys(checks, "ok") | {"keys:main": "ok"}))
        # Keys that cannot be renewed serve on.
        provider.die()
        assert ask(server, "ready")[0] == 200
    finally:
        assert server.end() == 0, server.text()


def test_a_worker_that_is_stuck_is_named_and_everything_else_goes_on(tmp_path, provider, nginx):
    server = Stockade(tmp_path, "stuck", "--config", configuration(tmp_path, provider, nginx.url, workers=2), listen=f"127.0.0.1:{free_port()}")
    try:
        server.until("it is ready", lambda: ask(server, "ready")[0] == 200)
        with stopped_thread(server.pid, "worker-1"):
            began = time.monotonic()
            status, checks = ask(server, "live")
            assert status == 503 and checks["worker:0"] == "ok" and checks["worker:1"].startswith("has not answered for ")
            assert 1.9 < time.monotonic() - began < 3, "within what a kubelet waits"
            status, checks = ask(server, "ready")
            assert status == 503 and checks["listener"] == "ok" and checks["worker:1"] != "ok"
            # It has begun, whatever became of it; and it still tells its numbers.
            assert ask(server, "startup")[0] == 200
            assert requests.get(server.ops + "/metrics", timeout=5).status_code == 200
        server.until("it is alive again", lambda: ask(server, "live") == (200, {"worker:0": "ok", "worker:1": "ok"}))
        assert ask(server, "ready")[0] == 200
    finally:
        assert server.end() == 0, server.text()


def test_while_it_leaves_it_is_alive_and_not_ready(tmp_path, provider, nginx):
    path = configuration(tmp_path, provider, nginx.url, workers=1)
    server = Stockade(tmp_path, "drain", "--config", path, "--drain-delay", "3s")
    server.until("it is ready", lambda: ask(server, "ready")[0] == 200)
    os.kill(server.pid, signal.SIGTERM)
    server.until("it is not ready", lambda: ask(server, "ready")[0] == 503)
    assert ask(server, "ready")[1]["listener"] == "shutting down"
    assert ask(server, "live")[0] == 200 and ask(server, "startup")[0] == 200
    assert server.process.wait(30) == 0, server.text()


def test_what_is_not_asked_rightly_is_refused(tmp_path, provider, nginx):
    server = Stockade(tmp_path, "wrong", "--config", configuration(tmp_path, provider, nginx.url, workers=1))
    try:
        for path in ("/livez", "/readyz", "/startupz", "/metrics"):
            assert requests.post(server.ops + path, timeout=5).status_code == 405
            assert requests.head(server.ops + path, timeout=5).content == b""
        answer = requests.get(server.ops + "/healthz", timeout=5)
        assert answer.status_code == 404 and "/livez, /readyz, /startupz and /metrics" in answer.text
    finally:
        assert server.end() == 0, server.text()

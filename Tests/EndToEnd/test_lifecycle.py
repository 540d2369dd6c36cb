"""Start, readiness, trouble with the identity provider, drain."""

import http.client
import http.server
import os
import signal
import socket
import subprocess
import threading
import urllib.parse

import pytest
import requests
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from conftest import run_flags
from processes import CHECKOUT, Running, Stockade, binary, eventually, free_port


def ready(server):
    return requests.get(server.ops + "/readyz", timeout=10)


def test_live_and_ready(stockade):
    assert requests.get(stockade.ops + "/livez", timeout=10).status_code == 200
    assert ready(stockade).status_code == 200
    assert requests.get(stockade.ops + "/unheard-of", timeout=10).status_code == 404
    assert requests.post(stockade.ops + "/livez", timeout=10).status_code == 405


def test_the_ops_listener_carries_no_data(stockade):
    assert requests.get(stockade.ops + "/orders/42", timeout=10).status_code == 404


def test_metrics_are_what_prometheus_reads_in_both_formats(ask, stockade, alice):
    ask("GET", "/orders/42", alice["AccessToken"])
    ask("GET", "/orders/42")
    accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
    answer = requests.get(stockade.ops + "/metrics", headers=accept, timeout=10)
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    families = {family.name: family for family in openmetrics.text_string_to_metric_families(answer.text)}
    for name in (
        "stockade_build", "stockade_requests", "stockade_decisions", "stockade_request_duration_seconds", "stockade_token_cache",
        "stockade_jwks_refresh", "stockade_decision_log_dropped", "stockade_connections", "stockade_requests_in_flight",
        "process_cpu_seconds", "process_resident_memory_bytes", "process_open_fds", "process_start_time_seconds",
    ):  # fmt: skip
        assert name in families, name
    decisions = {tuple(sorted(s.labels.items())): s.value for s in families["stockade_decisions"].samples}
    assert any(dict(labels).get("reason") == "policy_permit" and value >= 1 for labels, value in decisions.items())
    assert any(dict(labels).get("reason") == "no_token" and value >= 1 for labels, value in decisions.items())
    plain = requests.get(stockade.ops + "/metrics", timeout=10)
    assert plain.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert "stockade_decisions" in {family.name for family in text_string_to_metric_families(plain.text)}


def test_with_the_identity_provider_down_it_starts_says_so_and_recovers(workplace, pool, nginx, alice):
    """A proxy port stands in for the provider: closed at first, then passing the pool's real keys on."""
    port = free_port()
    flags = run_flags(pool, nginx.url)
    flags[flags.index("--jwks-url") + 1] = f"http://127.0.0.1:{port}/{pool.id}/.well-known/jwks.json"
    before = len(nginx.requests())
    server = Stockade(workplace, "no-keys", *flags)
    try:
        answer = ready(server)
        assert answer.status_code == 503
        # It names the issuer, and what is wrong with it.
        assert "keys:main" in answer.text and f"127.0.0.1:{port}" in answer.text
        refused = requests.get(server.proxy + "/orders/42", headers={"Authorization": "Bearer " + alice["AccessToken"]}, timeout=30)
        assert refused.status_code == 503
        assert int(refused.headers["Retry-After"]) >= 1
        assert "WWW-Authenticate" not in refused.headers
        record = server.record(refused.headers["X-Stockade-Decision-Id"])
        assert (record["reason"], record["decision"]) == ("jwks_unavailable", "error")
        # Without a token it needs no keys to refuse.
        assert requests.get(server.proxy + "/orders/42", timeout=10).status_code == 401
        assert len(nginx.requests()) == before
        assert requests.get(server.ops + "/livez", timeout=10).status_code == 200

        keys = requests.get(pool.jwks_url, timeout=10).content

        class Provider(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(keys)))
                self.end_headers()
                self.wfile.write(keys)

            def log_message(self, *_):
                pass

        provider = http.server.ThreadingHTTPServer(("127.0.0.1", port), Provider)
        threading.Thread(target=provider.serve_forever, daemon=True).start()
        try:
            server.until("it is ready after all", lambda: ready(server).status_code == 200, patience=60)
            answer = requests.get(server.proxy + "/orders/42", headers={"Authorization": "Bearer " + alice["AccessToken"]}, timeout=30)
            assert answer.status_code == 200
        finally:
            provider.shutdown()
            provider.server_close()
    finally:
        assert server.end() == 0, server.text()


def test_with_the_service_down_the_answer_is_502_and_the_decision_stands(workplace, pool, alice):
    server = Stockade(workplace, "no-upstream", *run_flags(pool, f"http://127.0.0.1:{free_port()}"))
    try:
        server.until("its keys are there", lambda: alice and ready(server).status_code in (200, 503))
        answer = requests.get(server.proxy + "/orders/42", headers={"Authorization": "Bearer " + alice["AccessToken"]}, timeout=30)
        assert answer.status_code == 502
        record = server.record(answer.headers["X-Stockade-Decision-Id"])
        assert (record["decision"], record["status"]) == ("allow", 502)
    finally:
        assert server.end() == 0, server.text()


def slow_upstream(gate):
    """A service that answers when the gate opens."""

    class Service(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            gate.arrived.release()
            assert gate.opened.wait(30)
            self.send_response(200)
            self.send_header("Content-Length", "5")
            self.end_headers()
            self.wfile.write(b"late\n")

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Service)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


class Gate:
    def __init__(self):
        self.arrived = threading.Semaphore(0)
        self.opened = threading.Event()


def test_sigterm_finishes_what_is_in_flight_and_says_no_more(workplace, pool, alice):
    gate = Gate()
    service = slow_upstream(gate)
    server = Stockade(workplace, "drain", *run_flags(pool, f"http://127.0.0.1:{service.server_port}"), "--drain-delay", "1s")
    authorization = {"Authorization": "Bearer " + alice["AccessToken"]}
    answers = []
    try:
        eventually("ready", lambda: ready(server).status_code == 200)
        asking = threading.Thread(
            target=lambda: answers.append(requests.get(server.proxy + "/orders/42", headers=authorization, timeout=30))
        )
        asking.start()
        assert gate.arrived.acquire(timeout=30)
        where = urllib.parse.urlsplit(server.proxy)
        idle = http.client.HTTPConnection(where.hostname, where.port, timeout=30)
        idle.connect()
        os.kill(server.pid, signal.SIGTERM)
        # At once: not ready any more; new connections are still taken for the delay, so that balancers can notice.
        server.until("/readyz fails", lambda: ready(server).status_code == 503)
        idle.request("GET", "/orders/42")
        late = idle.getresponse()
        assert late.status == 401
        late.read()
        # After the delay the listener is closed, while the request in flight still waits for its answer.
        server.until("the listener is closed", lambda: refused(where.port))
        assert server.is_alive() and not answers
        gate.opened.set()
        asking.join(30)
        assert answers[0].status_code == 200 and answers[0].text == "late\n"
        assert answers[0].headers["Connection"].lower() == "close"
        assert server.process.wait(30) == 0, server.text()
        assert [record["status"] for record in server.records()].count(200) == 1
    finally:
        gate.opened.set()
        service.shutdown()
        service.server_close()
        if server.is_alive():
            server.process.kill()
            server.process.wait()


def refused(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
        return False
    except ConnectionRefusedError:
        return True


def test_sigterm_without_requests_ends_soon_with_status_0(workplace, pool, nginx):
    server = Stockade(workplace, "quiet", *run_flags(pool, nginx.url))
    assert server.end(10) == 0


@pytest.mark.parametrize(
    "change,status",
    [
        (lambda f: [x for x in f if x not in f[f.index("--to") : f.index("--to") + 2]], (3, 64)),
        (lambda f: f[: f.index("--policies")] + ["--policies", "/nonexistent"], (3,)),
        (lambda f: f + ["--unheard-of"], (64,)),
        (lambda f: [x if not x.startswith("http://127.0.0.1") or "jwks" not in x else "http://keys.example.com/jwks.json" for x in f], (3, 64)),
    ],
)  # fmt: skip
def test_a_start_that_cannot_be_right_says_why_and_starts_nothing(workplace, pool, nginx, change, status):
    flags = [str(flag) for flag in change(list(map(str, run_flags(pool, nginx.url))))]
    server = Stockade(workplace, "wrong", *flags, waits=False)
    assert server.process.wait(10) in status
    assert server.err.read_text().strip()


def test_broken_policies_are_an_error_with_a_place(workplace, pool, nginx):
    folder = workplace / "broken"
    folder.mkdir()
    (folder / "x.cedar").write_text("permit (principal, action, resource)\nwhen { context.http.method == };\n")
    server = Stockade(workplace, "broken-policies", *run_flags(pool, nginx.url, policies=folder), waits=False)
    assert server.process.wait(10) == 3
    assert "x.cedar:2" in server.err.read_text()


def test_run_refuses_a_development_issuer_without_being_told(workplace, demo, nginx):
    flags = ["--to", nginx.url, "--issuer", demo.info["issuer"], "--client-id", "x", "--policies", str(CHECKOUT / "policies")]
    server = Stockade(workplace, "no-dev", *flags, waits=False)
    assert server.process.wait(30) == 3, server.text()
    assert "--dev" in server.err.read_text()


def test_the_version_is_told(workplace):
    process = Running([binary(), "version"], workplace, "version")
    assert process.process.wait(10) == 0
    assert process.out.read_text().startswith("stockade ")


def test_two_processes_never_share_a_port(tmp_path, pool, nginx):
    first = Stockade(tmp_path, "first", *run_flags(pool, nginx.url))
    port = first.proxy.rpartition(":")[2]
    flags = [*map(str, run_flags(pool, nginx.url)), "--ops-listen", "127.0.0.1:0", "--log", "none", "--workers", "2"]
    done = subprocess.run(
        [binary(), "run", *flags, "--listen", f"127.0.0.1:{port}"], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 3 and "in use" in done.stderr, done.stderr
    assert first.end() == 0

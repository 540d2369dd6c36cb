"""The decision log as a process has it: rotation, a full disk, a reader that went away, standard output."""

import json
import os
import signal

import requests
from conftest import run_flags
from processes import Stockade, eventually


def refused(server):
    answer = requests.get(server.proxy + "/orders/42", timeout=10)
    assert answer.status_code == 401
    return answer.headers["X-Stockade-Decision-Id"]


def start(workplace, pool, nginx, name, *flags, **more):
    return Stockade(workplace, name, *run_flags(pool, nginx.url), *flags, **more)


def test_after_rotation_and_sighup_lines_go_to_the_new_file(workplace, pool, nginx):
    server = start(workplace, pool, nginx, "rotated")
    try:
        first = refused(server)
        server.record(first)
        old = server.log.with_suffix(".old")
        os.rename(server.log, old)
        os.kill(server.pid, signal.SIGHUP)
        server.until("the new file", server.log.exists)
        second = refused(server)
        server.record(second)
        assert first in old.read_text() and second not in old.read_text()
        assert first not in server.log.read_text()
    finally:
        assert server.end() == 0, server.text()


def test_the_file_is_for_its_group_at_most(stockade):
    assert stockade.log.stat().st_mode & 0o027 == 0


def test_a_full_disk_loses_lines_and_counts_them_and_stops_no_request(workplace, pool, nginx, alice):
    server = start(workplace, pool, nginx, "full", log="/dev/full")
    try:
        for _ in range(5):
            refused(server)
        answer = requests.get(server.proxy + "/orders/42", headers={"Authorization": "Bearer " + alice["AccessToken"]}, timeout=30)
        assert answer.status_code == 200

        def dropped():
            text = requests.get(server.ops + "/metrics", timeout=10).text
            return "stockade_decision_log_dropped_total{sink=\"file\"} 6\n" in text

        server.until("the loss is counted", dropped)
        assert server.err.read_text().count("decision_log_failed") == 1
        assert "No space left" in server.err.read_text()
    finally:
        assert server.end() == 0, server.text()


def test_a_destination_that_cannot_be_opened_stops_the_start(workplace, pool, nginx):
    server = start(workplace, pool, nginx, "unwritable", log="/nonexistent/decisions", waits=False)
    assert server.process.wait(30) != 0
    assert "/nonexistent/decisions" in server.err.read_text()


def test_standard_output_carries_json_lines_and_a_reader_that_leaves_is_survived(workplace, pool, nginx):
    reader, writer = os.pipe()
    server = start(workplace, pool, nginx, "piped", log="stdout", stdout=writer)
    os.close(writer)
    try:
        identifier = refused(server)
        with os.fdopen(reader) as lines:
            record = json.loads(next(lines))
            assert record["id"] == identifier and record["type"] == "decision"
        # The reader is gone now; SIGPIPE or EPIPE must not end the proxy.
        for _ in range(3):
            refused(server)
        eventually("it is told", lambda: "decision_log_failed" in server.err.read_text())
        assert server.is_alive()
        assert requests.get(server.ops + "/livez", timeout=10).status_code == 200
    finally:
        assert server.end() == 0, server.text()


def test_without_a_log_there_is_none(workplace, pool, nginx):
    server = start(workplace, pool, nginx, "unlogged", log="none")
    try:
        refused(server)
    finally:
        assert server.end() == 0, server.text()
    assert server.out.read_text() == ""


def test_a_terminal_gets_readable_lines(workplace, pool, nginx):
    controller, terminal = os.openpty()
    server = start(workplace, pool, nginx, "terminal", log="stdout", stdout=terminal, environment={"LC_ALL": "C.UTF-8", "TERM": "xterm"})
    os.close(terminal)
    try:
        identifier = refused(server)
        text = b""
        while identifier.encode() not in text:
            text += os.read(controller, 65536)
        assert "✗ deny".encode() in text and b"no_token" in text and b"\x1b[31m" in text
        assert not text.lstrip().startswith(b"{")
    finally:
        assert server.end() == 0, server.text()
        os.close(controller)


def configured(workplace, pool, nginx, name, settings, **more):
    """Under a configuration file with settings of the decision log."""
    path = workplace / f"{name}.json5"
    path.write_text("{ log: { decisions: " + settings + " } }")
    return Stockade(workplace, name, *run_flags(pool, nginx.url), "--config", str(path), **more)


def test_what_is_left_out_of_decisions_is_nowhere_in_the_log(workplace, pool, nginx, alice):
    key = workplace / "log-key"
    key.write_text("a key of more than 16 bytes\n")
    log = "{ record: 'replayable', principal: 'hmac', hmac_key: '${file:" + str(key) + "}', client_ip: 'prefix', drop: ['/http/user_agent'] }"
    server = configured(workplace, pool, nginx, "shaped", log)
    try:
        headers = {"Authorization": "Bearer " + alice["AccessToken"], "User-Agent": "a-very-own-agent"}
        answers = [requests.get(server.proxy + "/orders/42", headers=headers, timeout=30) for _ in range(2)]
        records = [server.record(answer.headers["X-Stockade-Decision-Id"]) for answer in answers]
    finally:
        assert server.end() == 0, server.text()
    text = server.log.read_text()
    assert "alice" not in text and "a-very-own-agent" not in text and "127.0.0.1/" not in text
    assert records[0]["principal"] == records[1]["principal"] and records[0]["principal"].startswith('User::"hmac:')
    assert records[0]["client"]["ip"] == "127.0.0.0/24"
    assert records[0]["redacted"] == ["/principal", "/input", "/client/ip", "/http/user_agent"]


def test_of_what_is_allowed_some_is_written_and_of_what_is_refused_all(workplace, pool, nginx, alice):
    server = configured(workplace, pool, nginx, "sampled", "{ allowed_one_in: 1000000 }")
    try:
        headers = {"Authorization": "Bearer " + alice["AccessToken"]}
        for _ in range(5):
            assert requests.get(server.proxy + "/orders/42", headers=headers, timeout=30).status_code == 200
        server.record(refused(server))
        assert len(server.records()) <= 1 + 1
        metrics = requests.get(server.ops + "/metrics", timeout=10).text
        assert 'decision="allow"' in metrics
    finally:
        assert server.end() == 0, server.text()


def test_a_stuck_reader_refuses_requests_only_where_that_is_asked_for(workplace, pool, nginx, alice):
    headers = {"Authorization": "Bearer " + alice["AccessToken"]}
    for on_full, allowed in [("drop", True), ("deny", False)]:
        reader, writer = os.pipe()
        server = configured(workplace, pool, nginx, f"stuck-{on_full}", f"{{ on_full: '{on_full}', queue: 10 }}", log="stdout", stdout=writer)
        os.close(writer)
        try:
            session = requests.Session()
            statuses = [session.get(server.proxy + "/orders/42", headers=headers, timeout=30).status_code for _ in range(400)]
            assert (set(statuses) == {200}) == allowed, (on_full, set(statuses))
            if not allowed:
                assert set(statuses) == {200, 503}
        finally:
            os.set_blocking(reader, False)
            os.close(reader)
            assert server.end() == 0, server.text()


def test_settings_that_make_no_sense_stop_the_start(workplace, pool, nginx):
    for name, log, complaint in [
        ("keyless", "{ principal: 'hmac' }", "need a key of at least 16 bytes"),
        ("undroppable", "{ drop: ['/decision'] }", "cannot be left out of decisions"),
    ]:
        server = configured(workplace, pool, nginx, name, log, waits=False)
        assert server.process.wait(30) == 3 and complaint in server.err.read_text()

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
            return "stockade_decision_log_dropped_total 6\n" in text

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

"""Bodies pass unchanged and are not kept: 50 MB in each direction, length known and unknown."""

import hashlib
import os
import subprocess
import sys

import pytest
from processes import Running

SIZE = 50 * 1000 * 1000
ALLOWED_GROWTH_KIB = 2 * 1024


@pytest.fixture(scope="module")
def payload():
    return os.urandom(SIZE)


def growth(server, transfer):
    """How far the peak of memory lies above what was resident before, in KiB."""
    server.forget_memory_peak()
    before = server.memory_kib("VmRSS")
    transfer()
    return server.memory_kib("VmHWM") - before


def pieces(payload, size=64 * 1024):
    for start in range(0, len(payload), size):
        yield payload[start : start + size]


@pytest.fixture(scope="module", autouse=True)
def warm(ask, bob):
    """The first requests make the process's own buffers."""
    for _ in range(50):
        ask("GET", "/orders/42", bob["AccessToken"])


def test_the_measure_sees_memory_that_was_held_and_given_back(tmp_path):
    """A control: a process that holds 10 MB for a moment is seen to have grown by them."""
    program = "import mmap, sys; sys.stdin.readline(); m = mmap.mmap(-1, 10 << 20); m.write(b'x' * (10 << 20)); m.close(); print('done', flush=True); sys.stdin.readline()"
    holder = Running([sys.executable, "-c", program], tmp_path, "holder", stdin=subprocess.PIPE)

    def hold():
        holder.process.stdin.write(b"\n")
        holder.process.stdin.flush()
        holder.until("it has held it", lambda: "done" in holder.out.read_text())

    assert growth(holder, hold) >= 10 * 1024
    holder.process.stdin.close()
    assert holder.process.wait(10) == 0


@pytest.mark.parametrize("form", ["content-length", "chunked"])
def test_an_upload_arrives_unchanged_and_is_not_kept(ask, stockade, nginx, bob, payload, form, report):
    body = payload if form == "content-length" else None

    def upload():
        answer = ask("PUT", f"/orders/uploads/{form}", bob["AccessToken"], data=body or pieces(payload))
        assert answer.status in (201, 204), answer.response.text

    grown = growth(stockade, upload)
    stored = (nginx.root / "orders" / "uploads" / form).read_bytes()
    assert hashlib.sha256(stored).digest() == hashlib.sha256(payload).digest()
    report(f"measured: 50 MB upload ({form}): peak {grown} KiB above rest")
    assert grown <= ALLOWED_GROWTH_KIB


def test_a_download_arrives_unchanged_and_is_not_kept(ask, stockade, nginx, bob, payload, report):
    (nginx.root / "orders" / "uploads" / "download").write_bytes(payload)
    digest = hashlib.sha256()

    def download():
        answer = ask("GET", "/orders/uploads/download", bob["AccessToken"], stream=True)
        assert answer.status == 200
        assert int(answer.headers["Content-Length"]) == SIZE
        for piece in answer.response.iter_content(1 << 16):
            digest.update(piece)

    grown = growth(stockade, download)
    assert digest.digest() == hashlib.sha256(payload).digest()
    report(f"measured: 50 MB download: peak {grown} KiB above rest")
    assert grown <= ALLOWED_GROWTH_KIB


def test_a_slow_reader_holds_back_the_service_and_not_the_memory(ask, stockade, nginx, bob, payload):
    """Back-pressure: a client that reads nothing for a while must not make Stockade read ahead without bound."""
    (nginx.root / "orders" / "uploads" / "slow").write_bytes(payload)

    def download():
        answer = ask("GET", "/orders/uploads/slow", bob["AccessToken"], stream=True)
        first = next(answer.response.iter_content(1 << 16))
        assert payload.startswith(first)
        # The rest waits in the kernel's buffers and at the service; other requests go on meanwhile.
        for _ in range(20):
            assert ask("GET", "/orders/42", bob["AccessToken"]).status == 200
        answer.response.close()

    assert growth(stockade, download) <= ALLOWED_GROWTH_KIB


def test_a_refused_upload_is_not_read_to_its_end(ask, alice, payload):
    """A viewer's 50 MB are refused from the head alone."""
    import requests

    try:
        answer = ask("PUT", "/orders/uploads/refused", alice["AccessToken"], data=payload)
        assert answer.status == 403
    except requests.exceptions.ConnectionError:
        # The connection was closed while the client still wrote, before it looked for the answer: also a refusal.
        pass

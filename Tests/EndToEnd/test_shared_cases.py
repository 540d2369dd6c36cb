"""The public cases of other parsers, through the real listener to a service that notes what it gets: each has the one right meaning
there, or is refused and does not arrive. What became of each is in `golden/listener-verdicts.txt`."""

import base64
import contextlib
import gzip
import json
import os
import pathlib
import re
import socket

import pytest

from processes import CHECKOUT
from services import Accepting, connect, everything, start
from wire import BrokenOff, Message

GOLDEN = pathlib.Path(__file__).parent / "golden" / "listener-verdicts.txt"
FOLDER = pathlib.Path(os.environ.get("STOCKADE_TEST_DATA") or CHECKOUT.parent / "shared") / "vectors"

# What a source refuses and we do not: its own opinion or its own limits.
OPINIONS = {
    "llhttp/request/invalid#3": "ANNOUNCE belongs to RTSP there; here it is a method like any other",
    "gunicorn/invalid/007": "a limit of 8190 bytes a field", "gunicorn/invalid/008": "a limit of 8190 bytes a field",
    "gunicorn/invalid/009": "a limit of fields",
}  # fmt: skip


class Noting(Accepting):
    """A service that notes every whole request: method, target and body."""

    def __init__(self):
        self.got = []
        super().__init__(patience=None)

    def serve(self, connection):
        message = Message(connection)
        with connection, contextlib.suppress(OSError, BrokenOff):
            while True:
                first, body = message.read()
                method, target, _ = first.split(b" ")
                self.got.append((method.decode(), target.decode("latin-1"), body))
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


@pytest.fixture(scope="module")
def listener(tmp_path_factory):
    if not FOLDER.exists():
        pytest.skip("the shared cases are not here")
    service = Noting()
    server = start(tmp_path_factory.mktemp("cases"), "cases", f"upstream: '{service.url}'")

    def say(data):
        """What the service got of these bytes, and the statuses that the client got."""
        before = len(service.got)
        with connect(server) as client:
            with contextlib.suppress(OSError):
                client.sendall(data)
                client.shutdown(socket.SHUT_WR)
            answer = everything(client)
        statuses = [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) [A-Z]", answer)]
        got = service.got[before:]
        assert statuses.count(200) == len(got) and [status for status in statuses if status != 200] in ([], statuses[-1:]), (data, answer, got)
        return got, statuses

    say.verdicts = {}
    yield say
    assert server.end() == 0, server.text()
    compare(say.verdicts)


def compare(verdicts):
    text = "".join(f"{name}: {verdict}\n" for name, verdict in verdicts.items())
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(text)
    wanted = dict(line.rsplit(": ", 1) for line in GOLDEN.read_text().splitlines())
    # A test that was chosen alone has its own cases only.
    differing = {name: (wanted.get(name), verdict) for name, verdict in verdicts.items() if wanted.get(name) != verdict}
    assert differing == {}


def verdict(got, statuses):
    sent = [f"{method} {json.dumps(target)}" + (f" with {len(body)} bytes" if body else "") for method, target, body in got]
    return ", ".join(sent + [str(status) for status in statuses if status != 200]) or "closed"


def parted(target):
    """The host that an absolute target names, and what is asked of it; of another one itself."""
    absolute = re.match(r"(?i)https?://([^/?#]*)(.*)$", target, re.DOTALL)
    if not absolute:
        return "x", target
    return absolute[1], absolute[2] if absolute[2].startswith("/") else "/" + absolute[2]


def said(case):
    """What the source says the requests mean, as far as it does: method, target and body, None where it says nothing."""
    says = case["says"]
    if "requests" in says:
        return [(each.get("method"), each.get("target"), each.get("body")) for each in says["requests"]]
    says = {**says, **(says.get("event") or {})}
    if says.get("method"):
        return [(says["method"], says.get("target"), None)]
    spans = [re.search(r'span\[(method|url)\]="(.*)"$', line) for line in says.get("log", [])]
    found = {}
    for span in filter(None, spans):
        found.setdefault(span[1], []).append(span[2])
    if all(len(found.get(kind, [])) == 1 for kind in ("method", "url")):
        return [(found["method"][0], found["url"][0], None)]
    return []


def test_requests_of_other_parsers(listener, report):
    ran = 0
    for line in gzip.open(FOLDER / "http" / "cases.jsonl.gz", "rt"):
        case = json.loads(line)
        if case["kind"] != "request":
            continue
        ran += 1
        got, statuses = listener(base64.b64decode(case["bytes"]))
        name = case["id"] if case["mode"] == "default" else f"{case['id']} ({case['mode']})"
        listener.verdicts[name] = verdict(got, statuses)
        if case["mode"] != "default":
            continue
        if case["verdict"] == "reject" and case["id"] not in OPINIONS:
            assert len(got) <= case["says"].get("messagesComplete", 0), (name, got)
        for (method, target, body), (their_method, their_target, their_body) in zip(got, said(case)):
            assert their_method in (None, method), (name, method)
            assert their_target is None or parted(their_target)[1] == target, (name, target, their_target)
            assert their_body is None or their_body.encode("latin-1") == body, (name, body)
    report(f"shared cases: http requests through the listener to a service: {ran} ran")


def targets():
    for case in json.loads((FOLDER / "uri" / "paths.json").read_text())["cases"]:
        yield case["path"]
    for line in gzip.open(FOLDER / "uri" / "wpt-urltestdata.jsonl.gz", "rt"):
        case = json.loads(line)
        if case.get("protocol") in ("http:", "https:"):
            yield case["pathname"] + case["search"]
        yield case["input"]
    for case in json.loads((FOLDER / "uri" / "rfc3986.json").read_text())["resolution"]:
        yield case["target"]


def test_targets_on_which_servers_differ(listener, report):
    """What arrives is the target byte for byte, or that of an absolute one behind its host; no other reading of it ever does."""
    every = list(dict.fromkeys(targets()))
    for number, target in enumerate(every):
        # Some inputs have halves of characters, which nobody can send.
        written = target.encode("utf-8", "replace").decode("latin-1")
        host, asked = parted(written)
        got, statuses = listener(f"GET {written} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode("latin-1"))
        # By number: the cases are not ours to write down.
        came = "arrives as it is" if asked == written else "arrives without its host"
        listener.verdicts[f"target {number}"] = came if got else verdict(got, statuses)
        assert len(got) <= 1 and all(each == ("GET", asked, b"") for each in got), (target, got)
    report(f"shared cases: uri targets through the listener to a service: {len(every)} ran")

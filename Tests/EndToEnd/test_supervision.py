"""Started as systemd starts it: sockets handed over, the notify protocol, the watchdog, and successors on the same sockets."""

import ctypes
import errno
import os
import pathlib
import select
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
import requests

from conftest import run_flags
from processes import Running, binary, free_port, outside

# As systemd does it: the sockets are descriptors 3 and up, and LISTEN_PID is the process that will be stockade.
HAND_OVER = """
import os, sys
fds = [os.dup(int(fd)) for fd in sys.argv[1].split(",") if fd]
# First all out of the way: one may be where another has to be.
fds = [os.dup2(fd, 100 + index) for index, fd in enumerate(fds)]
for index, fd in enumerate(fds):
    os.dup2(fd, 3 + index)
os.closerange(3 + len(fds), 65536)
os.environ["LISTEN_PID"] = str(os.getpid() + int(os.environ.pop("WRONG_PID", "0")))
os.environ["LISTEN_FDS"] = str(len(fds))
os.execv(sys.argv[2], sys.argv[2:])
"""


class Handed(Running):
    """`stockade run` with sockets handed over."""

    def __init__(self, folder, name, sockets, *flags, names="http:ops", environment=None):
        self.log = folder / f"{name}.decisions"
        fds = [each.fileno() for each in sockets]
        variables = {"LISTEN_FDNAMES": names, "STATE_DIRECTORY": str(folder / f"{name}.state"), **(environment or {})}
        super().__init__(
            [
                sys.executable, "-c", HAND_OVER, ",".join(map(str, fds)), binary(), "run", *map(str, flags),
                "--log", str(self.log),
            ],
            folder, name, variables, pass_fds=fds,
        )  # fmt: skip


class Notified:
    """The datagram socket that systemd listens on."""

    def __init__(self, folder):
        self.path = str(folder / "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.environment = {"NOTIFY_SOCKET": self.path}

    def next(self, patience=20.0):
        """The next message as a dictionary; None if there is none in time."""
        if not select.select([self.socket], [], [], patience)[0]:
            return None
        return dict(line.split("=", 1) for line in self.socket.recv(4096).decode().split("\n"))

    def until(self, name, patience=20.0):
        """The next message that has the name; what comes before it is left out."""
        deadline = time.monotonic() + patience
        while message := self.next(max(deadline - time.monotonic(), 0)):
            if name in message:
                return message
        raise AssertionError(f"{name} was never said")


@pytest.fixture
def sockets():
    pair = [socket.create_server(("127.0.0.1", 0), backlog=1024) for _ in range(2)]
    yield pair
    for each in pair:
        each.close()


@pytest.fixture
def notified(tmp_path):
    receiver = Notified(tmp_path)
    yield receiver
    receiver.socket.close()


def url(listener):
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


def ready(ops):
    return requests.get(url(ops) + "/readyz", timeout=10).status_code == 200


FD = ("--listen", "fd:http", "--ops-listen", "fd:ops")


def test_it_serves_on_sockets_handed_over_with_several_workers(tmp_path, pool, nginx, alice, sockets):
    http, ops = sockets
    server = Handed(tmp_path, "handed", sockets, *run_flags(pool, nginx.url), *FD, "--workers", "4")
    # Nothing is lost before it runs: the sockets listen already.
    server.until("its keys are there", lambda: ready(ops))
    headers = {"Authorization": "Bearer " + alice["AccessToken"]}
    statuses = set()

    def ask():
        for _ in range(50):
            statuses.add(requests.get(url(http) + "/orders/42", headers=headers, timeout=20).status_code)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == {200}
    # One queue, and yet not one worker alone: each is woken, and takes one connection at a time.
    spent = worker_nanos(server.pid)
    assert len(spent) == 4 and min(spent.values()) > max(spent.values()) / 4, spent
    done = subprocess.run(
        [binary(), "health", "--ops-listen", "fd:ops"], env={**outside(), "STATE_DIRECTORY": str(tmp_path / "handed.state")}, check=False
    )
    assert done.returncode == 0, "health asks on the control socket where there is no address"
    assert server.end() == 0, server.text()
    assert len(server.log.read_text().splitlines()) == 200


def worker_nanos(pid):
    """How long each worker's thread has run."""
    spent = {}
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        if (name := (task / "comm").read_text().strip()).startswith("worker-"):
            spent[name] = int((task / "schedstat").read_text().split()[0])
    return spent


@pytest.mark.parametrize("order", ["as systemd restarts", "the successor first"])
def test_a_successor_on_the_same_sockets_loses_no_request(tmp_path, pool, nginx, alice, sockets, order):
    http, ops = sockets
    flags = [*run_flags(pool, nginx.url), *FD, "--workers", "2"]
    stop = threading.Event()
    wrong, counts, again = [], [], []
    headers = {"Authorization": "Bearer " + alice["AccessToken"]}

    def ask_alone():
        """A connection for each request: none of them may fail in any way."""
        count = 0
        while not stop.is_set():
            try:
                response = requests.get(url(http) + "/orders/42", headers={**headers, "Connection": "close"}, timeout=30)
                if response.status_code != 200:
                    wrong.append(response.status_code)
            except requests.RequestException as error:
                wrong.append(repr(error))
            count += 1
        counts.append(count)

    def ask_on():
        """One connection for many: a server may close it between two requests, and then the request is sent again."""
        count = 0
        with requests.Session() as session:
            session.headers.update(headers)
            while not stop.is_set():
                try:
                    status = session.get(url(http) + "/orders/42", timeout=30).status_code
                except requests.ConnectionError:
                    again.append(1)
                    status = session.get(url(http) + "/orders/42", timeout=30).status_code
                if status != 200:
                    wrong.append(status)
                count += 1
        counts.append(count)

    server = Handed(tmp_path, "generation-0", sockets, *flags)
    server.until("its keys are there", lambda: ready(ops))
    threads = [threading.Thread(target=ask) for ask in (ask_alone, ask_alone, ask_on, ask_on)]
    for thread in threads:
        thread.start()
    for generation in range(1, 4):
        before = server
        if order == "as systemd restarts":
            assert before.end() == 0, before.text()
        server = Handed(tmp_path, f"generation-{generation}", sockets, *flags)
        server.until("it has served", lambda server=server: server.log.exists() and server.log.read_text().count("\n") > 200)
        if before.is_alive():
            assert before.end() == 0, before.text()
    stop.set()
    for thread in threads:
        thread.join()
    assert server.end() == 0, server.text()
    assert wrong == [] and min(counts) > 0 and sum(counts) > 600, (wrong[:5], counts)
    # A close is announced, or waits until nothing has come for a while.
    assert len(again) <= 3 * 2, again


def test_systemd_hears_of_start_reload_and_stop(tmp_path, pool, nginx, notified):
    policies = tmp_path / "policies"
    policies.mkdir()
    (policies / "one.cedar").write_text("permit (principal, action, resource);\n")
    flags = run_flags(pool, nginx.url, policies)
    server = Handed(tmp_path, "notify", [], *flags, "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", environment=notified.environment)
    said = notified.until("READY")
    assert said["READY"] == "1" and "Serving at 127.0.0.1:" in said["STATUS"] and "enforcing 1 policies, generation 1" in said["STATUS"]

    asked = time.monotonic_ns() // 1000
    (policies / "two.cedar").write_text("forbid (principal, action, resource);\n")
    os.kill(server.pid, signal.SIGHUP)
    said = notified.until("RELOADING")
    assert said["RELOADING"] == "1" and asked <= int(said["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000
    said = notified.until("READY")
    assert "2 policies, generation 2" in said["STATUS"]

    # A reload that changes nothing is over as well, and says so.
    (policies / "two.cedar").write_text("forbit (principal, action, resource);\n")
    os.kill(server.pid, signal.SIGHUP)
    while "failed" not in said["STATUS"]:
        assert notified.until("RELOADING")
        said = notified.until("READY")
    assert "2 policies, generation 2; the last reload failed" in said["STATUS"]

    os.kill(server.pid, signal.SIGTERM)
    said = notified.until("STOPPING")
    assert said["STOPPING"] == "1"
    assert server.process.wait(20) == 0
    assert notified.next(0) is None, "nothing is said after it"


def test_nothing_is_ready_before_it_is(tmp_path, pool, nginx, notified):
    """A port that is taken: systemd must not hear READY=1 from what never listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        flags = [*run_flags(pool, nginx.url), "--listen", f"127.0.0.1:{taken.getsockname()[1]}", "--ops-listen", "127.0.0.1:0"]
        server = Handed(tmp_path, "taken", [], *flags, environment=notified.environment)
        assert server.process.wait(20) != 0
    assert notified.next(0) is None


def test_the_watchdog_hears_of_a_worker_that_is_stuck_by_hearing_nothing(tmp_path, pool, nginx, notified, sockets):
    environment = {**notified.environment, "WATCHDOG_USEC": "400000"}
    server = Handed(tmp_path, "watchdog", sockets, *run_flags(pool, nginx.url), *FD, "--workers", "2", environment=environment)
    began = time.monotonic()
    for _ in range(3):
        assert notified.until("WATCHDOG") == {"WATCHDOG": "1"}
    assert time.monotonic() - began < 10
    live = url(sockets[1]) + "/livez"
    assert requests.get(live, timeout=10).status_code == 200
    with stopped_thread(server.pid, "worker-1"):
        # What was under way may still be said.
        notified.next(0.3)
        assert notified.next(1.2) is None, "a worker does not answer, and yet it is said that all is well"
        # The kubelet learns it the same way: the control loop answers other things, and not this.
        assert requests.get(url(sockets[1]) + "/metrics", timeout=10).status_code == 200
        with pytest.raises(requests.ReadTimeout):
            requests.get(live, timeout=0.5)
    assert notified.until("WATCHDOG") == {"WATCHDOG": "1"}
    assert requests.get(live, timeout=10).status_code == 200
    assert server.end() == 0, server.text()


class stopped_thread:
    """One thread of a process stands still, as if it hung; a debugger's means, for a process of our own."""

    ATTACH, DETACH, ALL_KINDS = 16, 17, 0x40000000

    def __init__(self, pid, name):
        tasks = pathlib.Path(f"/proc/{pid}/task").iterdir()
        self.thread = next(int(task.name) for task in tasks if (task / "comm").read_text().strip() == name)
        self.trace = ctypes.CDLL(None, use_errno=True).ptrace
        self.trace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]

    def __enter__(self):
        if self.trace(self.ATTACH, self.thread, None, None) != 0:
            pytest.fail(f"the thread cannot be stopped: {os.strerror(ctypes.get_errno())}")
        os.waitpid(self.thread, self.ALL_KINDS)

    def __exit__(self, *_):
        self.trace(self.DETACH, self.thread, None, None)


@pytest.mark.parametrize(
    "names,environment,flags,said",
    [
        ("web:ops", {}, FD, ('--listen: no socket named "http" was handed over', "there are: fd:web, fd:ops")),
        ("http:http", {}, FD, ('2 sockets named "http" were handed over', 'no socket named "ops"')),
        ("http:ops", {"WRONG_PID": "1"}, FD, ("no socket was handed over", "FileDescriptorName=http")),
        ("http:ops", {}, ("--listen", "fd:http", "--ops-listen", "fd:http"), ("fd:http is where requests arrive",)),
    ],
)
def test_a_socket_that_is_not_there_is_an_error_that_lists_those_that_are(tmp_path, pool, nginx, sockets, names, environment, flags, said):
    server = Handed(tmp_path, "wrong", sockets, *run_flags(pool, nginx.url), *flags, names=names, environment=environment)
    assert server.process.wait(20) == 3, server.text()
    for text in said:
        assert text in server.err.read_text(), server.text()


def test_a_socket_that_nothing_listens_on_is_told_and_closed(tmp_path, pool, nginx, sockets):
    http, ops = sockets
    server = Handed(tmp_path, "unused", sockets, *run_flags(pool, nginx.url), "--listen", "fd:http", "--ops-listen", "127.0.0.1:0")
    server.until("it is told", lambda: "unused_socket" in server.err.read_text())
    port = ops.getsockname()[1]
    ops.close()

    def is_refused():
        with socket.socket() as probe:
            # A queue of connections that nobody takes is full before long, and then a probe waits for minutes.
            probe.settimeout(1)
            return probe.connect_ex(("127.0.0.1", port)) == errno.ECONNREFUSED

    server.until("nobody listens any more", is_refused)
    assert server.end() == 0, server.text()


def test_systemds_own_socket_activation(tmp_path, pool, nginx, alice):
    """systemd-socket-activate, which hands over as PID 1 does, and starts it at the first connection."""
    port = free_port()
    flags = [*run_flags(pool, nginx.url), "--listen", "fd:http", "--ops-listen", "127.0.0.1:0", "--log", "none"]
    # It passes on no variable but those that it is told of; a sanitizer has its own.
    kept = [word for name in ("ASAN_OPTIONS", "TSAN_OPTIONS") if name in os.environ for word in ("-E", name)]
    server = Running(
        ["systemd-socket-activate", "-l", f"127.0.0.1:{port}", "--fdname=http", "-E", "STATE_DIRECTORY", *kept, binary(), "run", *map(str, flags)],
        tmp_path, "activate", {"STATE_DIRECTORY": str(tmp_path / "state")},
    )  # fmt: skip
    try:
        server.until("it waits for a connection", lambda: "Listening on" in server.err.read_text())
        headers = {"Authorization": "Bearer " + alice["AccessToken"]}
        assert requests.get(f"http://127.0.0.1:{port}/orders/42", headers=headers, timeout=30).status_code == 200
    finally:
        assert server.end() == 0, server.text()

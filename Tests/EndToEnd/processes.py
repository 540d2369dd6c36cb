"""Processes under test and beside it, each on a free loopback port, each ended by whoever started it."""

import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import time

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
PATIENCE = 30.0
# How many times slower than usual the program may be: under a sanitizer times are no promise, and only what happens is tested.
SLOWNESS = float(os.environ.get("SLOWNESS", "1"))


def binary():
    """The release binary that the test command built."""
    path = pathlib.Path(os.environ.get("STOCKADE_BINARY") or CHECKOUT / ".build-release/release/stockade")
    assert path.exists(), f"{path} is missing: build it first, or run .ci/test"
    return str(path)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def eventually(what, condition, patience=PATIENCE):
    """Asks until the answer is true: for things other processes do in their own time."""
    deadline = time.monotonic() + patience
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"never came true in {patience} s: {what}")
        time.sleep(0.02)


def listening(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def outside():
    """The environment without the variables that the product reads: a test sets those it means to."""
    return {name: value for name, value in os.environ.items() if not name.startswith("STOCKADE_")}


class Running:
    """A process with its output in files, which a failing test shows."""

    def __init__(self, command, folder, name, environment=None, **more):
        self.folder = pathlib.Path(folder)
        self.out = self.folder / f"{name}.out"
        self.err = self.folder / f"{name}.err"
        self.command = command
        with open(self.out, "wb") as out, open(self.err, "wb") as err:
            self.process = subprocess.Popen(
                command, env={**outside(), **(environment or {})},
                **{"stdin": subprocess.DEVNULL, "stdout": out, "stderr": err, **more},
            )

    @property
    def pid(self):
        return self.process.pid

    def is_alive(self):
        return self.process.poll() is None

    def text(self):
        return f"$ {' '.join(map(str, self.command))}\n{self.out.read_text(errors='replace')}{self.err.read_text(errors='replace')}"

    def until(self, what, condition, patience=PATIENCE):
        def asked():
            assert self.is_alive(), f"ended with {self.process.returncode} before {what}:\n{self.text()}"
            return condition()

        return eventually(what, asked, patience)

    def end(self, patience=PATIENCE):
        """Asks it to stop and returns its exit status."""
        if self.is_alive():
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"did not end {patience} s after SIGTERM:\n{self.text()}") from None

    def memory_kib(self, field):
        """`VmRSS` now or `VmHWM`, its peak."""
        for line in open(f"/proc/{self.pid}/status"):
            if line.startswith(field + ":"):
                return int(line.split()[1])
        raise AssertionError(f"no {field}")

    def forget_memory_peak(self):
        pathlib.Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))


class Stockade(Running):
    """`stockade run` with flags alone, listening on ports of its own choice."""

    def __init__(self, folder, name, *flags, environment=None, waits=True, log=None, listen="127.0.0.1:0", command=(), **more):
        self.log = pathlib.Path(folder) / f"{name}.decisions"
        ready = pathlib.Path(folder) / f"{name}.ready"
        super().__init__(
            [
                *command, binary(), "run", *map(str, flags), "--listen", listen, "--ops-listen", "127.0.0.1:0",
                "--log", log or str(self.log), "--ready-file", str(ready),
            ],
            folder, name, {"STATE_DIRECTORY": str(pathlib.Path(folder) / f"{name}.state"), **(environment or {})}, **more,
        )  # fmt: skip
        if not waits:
            return

        def addresses():
            if not ready.exists():
                return None
            with contextlib.suppress(json.JSONDecodeError):
                return json.loads(ready.read_text())

        found = self.until("it is listening", addresses)
        self.proxy, self.ops = found["proxy"], found["ops"]

    def records(self):
        """Every decision line so far."""
        if not self.log.exists():
            return []
        lines = self.log.read_text().split("\n")[:-1]
        return [record for record in map(json.loads, lines) if record["type"] == "decision"]

    def record(self, identifier):
        """The decision line of that name, once it is written."""
        return self.until(
            f"the record of {identifier}", lambda: next((r for r in self.records() if r["id"] == identifier), None)
        )


class Demo(Running):
    """`stockade demo --json`: what it prints first is `info`, what follows are decisions."""

    def __init__(self, folder, name):
        super().__init__([binary(), "demo", "--json", "--port", "0"], folder, name, cwd=CHECKOUT)
        self.until("the demo is ready", lambda: "\n" in self.out.read_text())
        self.info = json.loads(self.out.read_text().split("\n", 1)[0])

    def record(self, identifier):
        def found():
            lines = self.out.read_text().split("\n")[1:-1]
            return next((record for record in map(json.loads, lines) if record.get("id") == identifier), None)

        return self.until(f"the record of {identifier}", found)


class Nginx(Running):
    """A web service this project did not write: nginx serves files and takes uploads, and notes every request."""

    def __init__(self, folder, name="nginx", extra=""):
        folder = pathlib.Path(folder) / name
        self.root = folder / "root"
        self.access_log = folder / "access.log"
        for path in (self.root / "orders" / "archive", self.root / "orders" / "uploads", folder / "temp"):
            path.mkdir(parents=True)
        (self.root / "index.html").write_text("home\n")
        (self.root / "invoices").mkdir()
        (self.root / "orders" / "42").write_text("order 42\n")
        (self.root / "orders" / "index.html").write_text("orders\n")
        (self.root / "orders" / "archive" / "7").write_text("order 7\n")
        (self.root / "invoices" / "1").write_text("invoice 1\n")
        # nginx drops to an unprivileged user when root starts it; a test must not depend on who runs it.
        user = "user root;" if os.geteuid() == 0 else ""
        self.port = free_port()
        temp = "\n".join(f"  {kind}_temp_path {folder}/temp/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        configuration = folder / "nginx.conf"
        configuration.write_text(
            f"""daemon off;
{user}
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
  types {{ }}
  default_type text/plain;
{temp}
  log_format full '$request_method $request_uri $status $request_length '
    'principal="$http_x_stockade_principal" authorization="$http_authorization"';
  access_log {self.access_log} full;
  client_max_body_size 100m;
  keepalive_requests 1000000;
  server {{
    listen 127.0.0.1:{self.port};
    root {self.root};
    location /orders/uploads/ {{ dav_methods PUT DELETE; create_full_put_path on; }}
    location /orders {{ dav_methods DELETE; }}
    location = /echo-headers {{ return 200 "principal=$http_x_stockade_principal groups=$http_x_stockade_groups\\n"; }}
{extra}
  }}
}}
"""
        )
        super().__init__(["/usr/sbin/nginx", "-p", str(folder), "-c", str(configuration)], folder, "process")
        self.until("nginx listens", lambda: listening(self.port))
        self.url = f"http://127.0.0.1:{self.port}"

    def requests(self):
        return self.access_log.read_text().splitlines() if self.access_log.exists() else []


class VerifiedPermissions(Running):
    """`stockade avp serve`: a Verified Permissions service over a folder."""

    def __init__(self, folder, name, *flags, state=None, command=()):
        self.state = pathlib.Path(state or pathlib.Path(folder) / f"{name}.avp")
        super().__init__(
            [*command, binary(), "avp", "serve", "--listen", "127.0.0.1:0", "--state", str(self.state), *map(str, flags)], folder, name
        )
        mark = "AWS_ENDPOINT_URL_VERIFIEDPERMISSIONS="
        self.until("it listens", lambda: mark in self.out.read_text())
        self.url = self.out.read_text().split(mark, 1)[1].split()[0]

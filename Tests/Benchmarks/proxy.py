"""CPU per request: Stockade deciding every request against nginx deciding nothing, and against a relay of bytes that knows nothing
of HTTP, in one run, interleaved.

Stockade: signature verified once and then found in the token cache, Cedar policies of the sample, identity headers, metrics; without
log, and with the decision log to a file. nginx: plain proxy_pass; without access log, and with it. The relay (relay.c): what the
kernel alone costs. One worker each, keep-alive on both sides, the same client, the same upstream, the same requests. The proxy under
test has one processor for itself; client and upstream share the other.

A run is void, and says so, if other processes used more than 0.3 of a core in it, or if relay and nginx stand to each other as they
usually do not: then something else was measured.
"""

import argparse
import datetime
import os
import pathlib
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
CHECKOUT = HERE.parents[1]
sys.path.insert(0, str(CHECKOUT / "Tests" / "EndToEnd"))

import requests  # noqa: E402
from cognito import Moto, Pool  # noqa: E402
from processes import Running, Stockade, free_port, listening  # noqa: E402

PROXY_CPU, OTHER_CPU = "0", "1"
# A run in which other processes use more than this of a core is void, and so is one in which relay to nginx is not in this band.
MOST_OTHERS = 0.3
USUAL_RELAY = 0.48, 0.58
HEADERS = {
    "Accept": "application/json, text/plain, */*", "Accept-Encoding": "gzip, deflate, br", "Accept-Language": "en-GB,en;q=0.9,de;q=0.8",
    "Cache-Control": "no-cache", "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126 Safari/537.36",
    "Referer": "https://shop.example.com/orders", "Origin": "https://shop.example.com", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "same-site",
    "X-Request-Id": "0b7a4f0e2f1a4f7f9a55d9a4d9a2f6c1",
}  # fmt: skip


def cpu_nanoseconds(pid):
    """On-processor time of every thread, from the scheduler's own accounts."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            total += int(pathlib.Path(f"/proc/{pid}/task/{task}/schedstat").read_text().split()[0])
        except FileNotFoundError:
            continue
    return total


def resident_kib(pid):
    return next(int(line.split()[1]) for line in open(f"/proc/{pid}/status") if line.startswith("VmRSS:"))


def pin(pid, cpu):
    for task in os.listdir(f"/proc/{pid}/task"):
        os.sched_setaffinity(int(task), {int(cpu)})


def wrk(url, token, connections, seconds):
    command = ["taskset", "-c", OTHER_CPU, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", url]
    for name, value in {**HEADERS, "Authorization": "Bearer " + token}.items():
        command += ["-H", f"{name}: {value}"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", text), re.search(r"Socket errors: (.*)", text)
    if any(bad):
        raise SystemExit(f"the benchmark went wrong:\n{text}")
    return int(re.search(r"(\d+) requests in", text)[1]), float(re.search(r"Requests/sec: +([\d.]+)", text)[1])


class PlainNginx(Running):
    """One worker and two ports: without access log, and with it."""

    def __init__(self, folder, upstream):
        folder = pathlib.Path(folder) / "nginx"
        (folder / "temp").mkdir(parents=True)
        self.ports = [free_port(), free_port()]
        temp = "\n".join(f"  {kind}_temp_path {folder}/temp/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))

        def server(port, log):
            return f"""  server {{
    listen 127.0.0.1:{port};
    access_log {log};
    location / {{
      proxy_pass http://service;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Proto $scheme;
    }}
  }}"""

        (folder / "nginx.conf").write_text(
            f"""daemon off;
{"user root;" if os.geteuid() == 0 else ""}
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
{temp}
  keepalive_requests 1000000000;
  upstream service {{ server 127.0.0.1:{upstream}; keepalive 512; keepalive_requests 1000000000; }}
{server(self.ports[0], "off")}
{server(self.ports[1], f"{folder}/access.log combined")}
}}
"""
        )
        super().__init__(["/usr/sbin/nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")], folder, "process")
        for port in self.ports:
            self.until("nginx listens", lambda: listening(port))
        children = pathlib.Path(f"/proc/{self.pid}/task/{self.pid}/children")
        self.worker = int(self.until("its worker runs", lambda: children.read_text().split())[0])


class Target:
    """What is measured: where it listens, and whose processor time it is."""

    def __init__(self, label, url, pid):
        self.label, self.url, self.pid = label, url, pid
        self.measured = []

    @property
    def cost(self):
        return statistics.median(cost for cost, _ in self.measured)

    @property
    def rate(self):
        return statistics.median(rate for _, rate in self.measured)


class Others:
    """How much of a core processes use that have no part in this."""

    def __init__(self, ours):
        self.ours = ours
        self.began, self.before = time.monotonic(), self.ticks()

    @staticmethod
    def ticks():
        """Processor time of every process, those it waited for included, by its number and when it was started."""
        found = {}
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                try:
                    fields = pathlib.Path(f"/proc/{entry}/stat").read_text().rsplit(")", 1)[1].split()
                except (FileNotFoundError, ProcessLookupError):
                    continue
                found[int(entry), fields[19]] = int(fields[11]) + int(fields[12])
        return found

    def cores(self):
        after = self.ticks()
        used = sum(ticks - self.before.get(key, 0) for key, ticks in after.items() if key[0] not in self.ours)
        return used / os.sysconf("SC_CLK_TCK") / (time.monotonic() - self.began)


def build(folder, name, *libraries):
    """A program of the benchmarks, built from its C file."""
    program = pathlib.Path(folder) / name
    if not program.exists():
        compiler = os.environ.get("CC") or next(c for c in ("cc", "gcc", "clang") if subprocess.run(["which", c], capture_output=True).returncode == 0)
        subprocess.run([compiler, "-O2", "-o", program, HERE / f"{name}.c", *libraries], check=True)
    return program


def measure(target, token, arguments):
    before = cpu_nanoseconds(target.pid)
    count, rate = wrk(target.url + "/orders/42", token, arguments.connections, arguments.seconds)
    return (cpu_nanoseconds(target.pid) - before) / 1000 / count, rate


def enforces(url, token):
    """Whether a proxy lets exactly the right requests pass."""

    def status(method, token):
        return requests.request(method, url + "/orders/42", headers={"Authorization": "Bearer " + token} if token else {}, timeout=10).status_code

    forged = token[:-4] + ("AAAA" if token[-4:] != "AAAA" else "BBBB")
    found = status("GET", token), status("GET", None), status("GET", forged), status("DELETE", token)
    assert found == (200, 401, 401, 403), found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--profile", metavar="FILE", help="after the rounds, record Stockade with perf into FILE")
    parser.add_argument("--readme", action="store_true", help="write the block into README.md")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="stockade-bench-") as folder:
        moto = Moto(folder)
        upstream = Running(["taskset", "-c", OTHER_CPU, build(folder, "upstream"), "0"], folder, "upstream")
        started = [moto, upstream]
        try:
            upstream.until("it listens", lambda: upstream.out.read_text().strip())
            port = int(upstream.out.read_text())
            pool = Pool(moto)
            token = pool.sign_in("alice")["AccessToken"]
            flags = [
                "--to", f"http://127.0.0.1:{port}", "--cognito", pool.id, "--id-prefix", "demo", "--jwks-url", pool.jwks_url,
                "--client-id", pool.client_id, "--policies", CHECKOUT / "policies", "--workers", "1",
            ]  # fmt: skip
            quiet, logging = Stockade(folder, "quiet", *flags, log="none"), Stockade(folder, "logging", *flags)
            relay = Running([build(folder, "relay"), str(port)], folder, "relay")
            nginx = PlainNginx(folder, port)
            started += [quiet, logging, relay, nginx]
            relay.until("it listens", lambda: relay.out.read_text().strip())
            version = subprocess.run(["/usr/sbin/nginx", "-v"], capture_output=True, text=True).stderr.strip().split("/")[-1]
            targets = {
                "relay": Target("relay of bytes (the kernel alone)", f"http://127.0.0.1:{int(relay.out.read_text())}", relay.pid),
                "nginx": Target(f"nginx {version}, plain `proxy_pass`", f"http://127.0.0.1:{nginx.ports[0]}", nginx.worker),
                "stockade": Target("Stockade: token verified (cached), Cedar decided, metrics", quiet.proxy, quiet.pid),
                "nginx, log": Target(f"nginx {version}, plain, access log on", f"http://127.0.0.1:{nginx.ports[1]}", nginx.worker),
                "stockade, log": Target("Stockade, decision log on", logging.proxy, logging.pid),
            }
            for stockade in (quiet, logging):
                stockade.until("keys", lambda: requests.get(stockade.ops + "/readyz", timeout=5).status_code == 200)
                enforces(stockade.proxy, token)
            for target in targets.values():
                pin(target.pid, PROXY_CPU)
                wrk(target.url + "/orders/42", token, arguments.connections, 1)
            others = Others({os.getpid(), moto.pid, upstream.pid, nginx.pid, *(target.pid for target in targets.values())})
            for round_number in range(arguments.rounds):
                for name, target in targets.items():
                    cost, rate = measure(target, token, arguments)
                    target.measured.append((cost, rate))
                    print(f"round {round_number + 1}: {name:13} {cost:6.2f} µs CPU/request, {rate:8.0f} requests/s", flush=True)
            others = others.cores()
            if arguments.profile:
                recorder = subprocess.Popen(
                    ["perf", "record", "-q", "-F", "1999", "-g", "-o", arguments.profile, "-p", str(quiet.pid), "--", "sleep", "4"]
                )
                wrk(quiet.proxy + "/orders/42", token, arguments.connections, 5)
                recorder.wait()
            lines = sum(1 for _ in open(logging.log))
            report(arguments, targets, token, lines, others)
        finally:
            for process in reversed(started):
                process.end()


def report(arguments, targets, token, lines, others):
    def ratio(one, other):
        return targets[one].cost / targets[other].cost

    rows = [
        "| one worker, keep-alive on both sides | CPU µs per request, median (lowest to highest) | requests/s | resident MB |",
        "|---|---|---|---|",
    ]
    for target in targets.values():
        costs = sorted(cost for cost, _ in target.measured)
        rows.append(
            f"| {target.label} | {target.cost:.1f} ({costs[0]:.1f} to {costs[-1]:.1f}) | {target.rate:.0f} | {resident_kib(target.pid) / 1024:.0f} |"
        )
    rows.append("")
    rows.append(
        f"Stockade is **{ratio('stockade', 'nginx'):.2f}** of nginx and {ratio('stockade', 'relay'):.2f} of the relay (which is "
        f"{ratio('relay', 'nginx'):.2f} of nginx); both with their logs, {ratio('stockade, log', 'nginx, log'):.2f}."
    )
    rows.append("")
    rows.append(
        f"At {arguments.connections} connections, {arguments.rounds} interleaved rounds of {arguments.seconds} s, "
        f"token of {len(token)} bytes, {lines} decision lines written; {platform.machine()}, {os.cpu_count()} cores shared by client, proxy "
        f"and upstream, {datetime.date.today()}. Measured by `.ci/bench`."
    )
    block = "\n".join(rows)
    print("\n" + block)
    void = []
    if others > MOST_OTHERS:
        void.append(f"other processes used {others:.2f} of a core, and more than {MOST_OTHERS} is too much")
    if not USUAL_RELAY[0] <= ratio("relay", "nginx") <= USUAL_RELAY[1]:
        void.append(f"the relay is {ratio('relay', 'nginx'):.2f} of nginx, and usually from {USUAL_RELAY[0]} to {USUAL_RELAY[1]}")
    if void:
        raise SystemExit("\nThis run is void: " + "; ".join(void) + ".")
    if arguments.readme:
        readme = CHECKOUT / "README.md"
        text = readme.read_text()
        begin, end = "<!-- bench: written by .ci/bench --readme -->", "<!-- /bench -->"
        head, rest = text.split(begin)
        readme.write_text(head + begin + "\n" + block + "\n" + end + rest.split(end, 1)[1])


if __name__ == "__main__":
    main()

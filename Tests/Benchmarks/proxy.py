"""CPU per request: Stockade deciding every request against nginx deciding nothing, in one run, interleaved.

Stockade: signature verified once and then found in the token cache, Cedar policies of the sample, decision log to a file.
nginx: plain proxy_pass, access log to a file. One worker each, keep-alive on both sides, the same client, the same
upstream, the same requests. The proxy under test has one processor for itself; client and upstream share the other.
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

HERE = pathlib.Path(__file__).resolve().parent
CHECKOUT = HERE.parents[1]
sys.path.insert(0, str(CHECKOUT / "Tests" / "EndToEnd"))

import requests  # noqa: E402
from cognito import Moto, Pool  # noqa: E402
from processes import Running, Stockade, free_port, listening  # noqa: E402

PROXY_CPU, OTHER_CPU = "0", "1"
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
    def __init__(self, folder, upstream):
        folder = pathlib.Path(folder) / "nginx"
        (folder / "temp").mkdir(parents=True)
        self.port = free_port()
        temp = "\n".join(f"  {kind}_temp_path {folder}/temp/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        (folder / "nginx.conf").write_text(
            f"""daemon off;
{"user root;" if os.geteuid() == 0 else ""}
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
{temp}
  access_log {folder}/access.log combined;
  keepalive_requests 1000000000;
  upstream service {{ server 127.0.0.1:{upstream}; keepalive 512; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{self.port};
    location / {{
      proxy_pass http://service;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Proto $scheme;
    }}
  }}
}}
"""
        )
        super().__init__(["/usr/sbin/nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")], folder, "process")
        self.until("nginx listens", lambda: listening(self.port))
        children = pathlib.Path(f"/proc/{self.pid}/task/{self.pid}/children")
        self.measured = int(self.until("its worker runs", lambda: children.read_text().split())[0])
        self.url = f"http://127.0.0.1:{self.port}"


def build(folder, name, *libraries):
    """A program of the benchmarks, built from its C file."""
    program = pathlib.Path(folder) / name
    if not program.exists():
        compiler = os.environ.get("CC") or next(c for c in ("cc", "gcc", "clang") if subprocess.run(["which", c], capture_output=True).returncode == 0)
        subprocess.run([compiler, "-O2", "-o", program, HERE / f"{name}.c", *libraries], check=True)
    return program


def measure(target, token, arguments):
    before = cpu_nanoseconds(target.measured)
    count, rate = wrk(target.url + "/orders/42", token, arguments.connections, arguments.seconds)
    return (cpu_nanoseconds(target.measured) - before) / 1000 / count, rate


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
            stockade = Stockade(
                folder, "stockade", "--to", f"http://127.0.0.1:{port}", "--cognito", pool.id, "--id-prefix", "demo",
                "--jwks-url", pool.jwks_url, "--client-id", pool.client_id, "--policies", CHECKOUT / "policies", "--workers", "1",
            )  # fmt: skip
            started.append(stockade)
            stockade.measured, stockade.url = stockade.pid, stockade.proxy
            nginx = PlainNginx(folder, port)
            started.append(nginx)
            targets = {"nginx": nginx, "stockade": stockade}
            for target in targets.values():
                pin(target.measured, PROXY_CPU)
                answer = requests.get(target.url + "/orders/42", headers={"Authorization": "Bearer " + token}, timeout=10)
                assert answer.status_code == 200, answer.text
            stockade.until("keys", lambda: requests.get(stockade.ops + "/readyz", timeout=5).status_code == 200)
            measured = {name: [] for name in targets}
            for target in targets.values():
                wrk(target.url + "/orders/42", token, arguments.connections, 1)
            for round_number in range(arguments.rounds):
                for name, target in targets.items():
                    cost, rate = measure(target, token, arguments)
                    measured[name].append((cost, rate))
                    print(f"round {round_number + 1}: {name:9} {cost:6.2f} µs CPU/request, {rate:8.0f} requests/s", flush=True)
            if arguments.profile:
                recorder = subprocess.Popen(
                    ["perf", "record", "-q", "-F", "1999", "-g", "-o", arguments.profile, "-p", str(stockade.pid), "--", "sleep", "4"]
                )
                wrk(stockade.url + "/orders/42", token, arguments.connections, 5)
                recorder.wait()
            lines = sum(1 for _ in open(stockade.log))
            report(arguments, measured, token, lines, {name: resident_kib(t.measured) for name, t in targets.items()})
        finally:
            for process in reversed(started):
                process.end()


def report(arguments, measured, token, lines, resident):
    def middle(name):
        return statistics.median(cost for cost, _ in measured[name])

    ratio = middle("stockade") / middle("nginx")
    nginx_version = subprocess.run(["/usr/sbin/nginx", "-v"], capture_output=True, text=True).stderr.strip().split("/")[-1]
    rows = [
        "| one worker, keep-alive on both sides | CPU µs per request, median (lowest to highest) | requests/s | resident MB |",
        "|---|---|---|---|",
    ]
    labels = {
        "nginx": f"nginx {nginx_version}, plain `proxy_pass`, access log on",
        "stockade": "Stockade, token verified (cached), Cedar decided, decision log on",
    }
    for name, label in labels.items():
        costs = sorted(cost for cost, _ in measured[name])
        rate = statistics.median(rate for _, rate in measured[name])
        rows.append(f"| {label} | {middle(name):.1f} ({costs[0]:.1f} to {costs[-1]:.1f}) | {rate:.0f} | {resident[name] / 1024:.0f} |")
    rows.append("")
    rows.append(
        f"Ratio **{ratio:.2f}** at {arguments.connections} connections, {arguments.rounds} interleaved rounds of {arguments.seconds} s, "
        f"token of {len(token)} bytes, {lines} decision lines written; {platform.machine()}, {os.cpu_count()} cores shared by client, proxy "
        f"and upstream, {datetime.date.today()}. Measured by `.ci/bench`."
    )
    block = "\n".join(rows)
    print("\n" + block)
    if arguments.readme:
        readme = CHECKOUT / "README.md"
        text = readme.read_text()
        begin, end = "<!-- bench: written by .ci/bench --readme -->", "<!-- /bench -->"
        head, rest = text.split(begin)
        readme.write_text(head + begin + "\n" + block + "\n" + end + rest.split(end, 1)[1])


if __name__ == "__main__":
    main()

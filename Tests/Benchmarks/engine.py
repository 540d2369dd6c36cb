"""What deciding by Verified Permissions costs, beside the local engine, in one run and interleaved.

CPU per request of one worker with the local engine, with a remote engine whose answers are remembered, and with one that is asked
for every request over warm loopback TLS connections and answers after 2 ms. Then, with 1,000 requests in flight to a service that
needs 2 ms for an answer and has so many hands, the 99th percentile of a route that the local engine decides, with and without that
load. Requests for that route come at a steady pace, so that what is measured is how long they wait and not how many fit.
"""

import argparse
import json
import os
import pathlib
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(HERE.parents[1] / "Tests" / "EndToEnd"))

import requests  # noqa: E402
from cognito import Moto, Pool  # noqa: E402
from processes import CHECKOUT, Running, Stockade, free_port, listening  # noqa: E402
from proxy import OTHER_CPU, PROXY_CPU, build, cpu_nanoseconds, pin  # noqa: E402


def certificate(folder):
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", folder / "key.pem", "-out", folder / "cert.pem"],
        check=True, capture_output=True,
    )  # fmt: skip


class Answering(Running):
    """A service that allows everything: each answer takes so many microseconds, so many at a time (0: all)."""

    def __init__(self, folder, name, micros, slots=0):
        self.port = free_port()
        command = [str(build(folder, "answering", "-lssl", "-lcrypto")), str(self.port), folder / "cert.pem", folder / "key.pem", str(micros), str(slots)]
        super().__init__([str(part) for part in command], folder, name)
        self.until("it listens", lambda: listening(self.port))
        pin(self.pid, OTHER_CPU)


class Proxy(Stockade):
    def __init__(self, folder, name, pool, upstream, engine, routes=None):
        configuration = {
            "upstream": f"http://127.0.0.1:{upstream}", "policies": str(CHECKOUT / "policies"), "workers": 1, "unrouted": "path",
            "issuers": {"main": {"cognito": pool.id, "id_prefix": "demo", "jwks_url": pool.jwks_url, "client_ids": [pool.client_id]}},
            "engine": engine, "routes": routes or [{"match": "GET /unused", "access": "public"}],
        }  # fmt: skip
        path = pathlib.Path(folder) / f"{name}.json5"
        path.write_text(json.dumps(configuration))
        environment = {
            "AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "s", "AWS_REGION": "us-east-1", "SSL_CERT_FILE": str(pathlib.Path(folder) / "cert.pem"),
        }  # fmt: skip
        super().__init__(folder, name, "--config", path, environment=environment)
        self.until("it is ready", lambda: requests.get(self.ops + "/readyz", timeout=5).status_code == 200)
        self.measured, self.url = self.pid, self.proxy
        pin(self.pid, PROXY_CPU)


# Every request of a connection asks for another order: questions that are equal would be asked once.
SCRIPT = """
local n = 0
request = function()
  n = n + 1
  return wrk.format("GET", "/orders/" .. (n % 100000))
end
"""


def measure(proxy, token, arguments, script):
    command = ["taskset", "-c", OTHER_CPU, "wrk", "-t1", f"-c{arguments.connections}", f"-d{arguments.seconds}s", "-H", f"Authorization: Bearer {token}"]
    if script:
        command += ["-s", script]
    before = cpu_nanoseconds(proxy.measured)
    text = subprocess.run([*command, proxy.url + "/orders/42"], capture_output=True, text=True, check=True).stdout
    count = int(re.search(r"(\d+) requests in", text)[1])
    return (cpu_nanoseconds(proxy.measured) - before) / 1000 / count, float(re.search(r"Requests/sec: +([\d.]+)", text)[1])


def paced(folder, proxy, token, arguments):
    """Requests for the local route at a steady pace: microseconds at p50, p99, p99.9, and the longest."""
    command = [build(folder, "paced"), proxy.url.rsplit(":", 1)[1], "/orders/42", token, "8", str(arguments.pace), str(arguments.seconds)]
    text = subprocess.run(["taskset", "-c", OTHER_CPU, *map(str, command)], capture_output=True, text=True, check=True).stdout
    return [int(number) for number in text.split()[1:]]


def stalls(folder, proxy, token, arguments):
    """The local route alone, then beside requests in flight."""
    alone = paced(folder, proxy, token, arguments)
    command = ["wrk", "-t1", f"-c{arguments.in_flight}", f"-d{arguments.seconds + 4}s", "--timeout", "60s", "-H", f"Authorization: Bearer {token}"]
    load = subprocess.Popen(
        ["taskset", "-c", OTHER_CPU, *command, "-s", folder / "orders.lua", proxy.url + "/orders/42"], stdout=subprocess.PIPE, text=True)
    # All of them connect and ask at once, which is no steady state.
    time.sleep(2)
    before, began = in_flight(proxy), time.monotonic()
    beside = paced(folder, proxy, token, arguments)
    rate = (asked(proxy) - before[1]) / (time.monotonic() - began)
    output = load.communicate()[0]
    assert "Non-2xx" not in output, output
    return alone, beside, before[0], rate


def numbers(proxy):
    return requests.get(proxy.ops + "/metrics", timeout=5).text


def asked(proxy):
    return sum(float(value) for value in re.findall(r"^stockade_avp_requests_total\{.*\"answered\".*\} ([\d.]+)", numbers(proxy), re.M))


def in_flight(proxy):
    text = numbers(proxy)
    return int(float(re.search(r"^stockade_requests_in_flight(?:\{.*\})? ([\d.]+)", text, re.M)[1])), asked(proxy)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--in-flight", type=int, default=1000)
    parser.add_argument("--hands", type=int, default=2, help="how many answers the service with 1,000 waiting works on at a time")
    parser.add_argument("--pace", type=int, default=1000, help="requests a second for the local route")
    parser.add_argument("--only", choices=["cost", "stalls"])
    parser.add_argument("--profile", metavar="FILE", help="record with perf into FILE while each request is asked about")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        certificate(folder)
        moto = Moto(folder)
        pool = Pool(moto)
        token = pool.sign_in("alice")["AccessToken"]
        port = free_port()
        upstream = Running([str(build(folder, "upstream")), str(port)], folder, "upstream")
        upstream.until("the service listens", lambda: listening(port))
        pin(upstream.pid, OTHER_CPU)
        (folder / "orders.lua").write_text(SCRIPT)
        running = [upstream, moto]

        def remote(place, **more):
            return {"verified_permissions": {"policy_store": "PS1", "endpoint": f"https://localhost:{place.port}", "max_in_flight": 1000, **more}}

        if arguments.only != "stalls":
            prompt = Answering(folder, "prompt", 2000)
            proxies = {
                "local engine": Proxy(folder, "local", pool, port, {"local": {}}),
                "remembered answers": Proxy(folder, "cached", pool, port, remote(prompt, cache="60s")),
                "asked each time": Proxy(folder, "asked", pool, port, remote(prompt)),
            }
            running += [prompt, *proxies.values()]
            cost(folder, proxies, token, arguments)
        if arguments.only != "cost":
            slow = Answering(folder, "slow", 2000, arguments.hands)
            engine = remote(slow, max_waiting=4000, timeout="20s", attempt_timeout="20s", connect_timeout="10s")
            mixed = Proxy(folder, "mixed", pool, port, engine, [{"match": "GET /orders/{id}", "host": "localhost", "engine": {"local": {}}}])
            running += [slow, mixed]
            ratios = []
            # The connections to the service are made, and warm, before anything is measured.
            stalls(folder, mixed, token, arguments)
            for number in range(arguments.rounds):
                alone, beside, waiting, rate = stalls(folder, mixed, token, arguments)
                ratios.append(beside[1] / alone[1])
                print(
                    f"round {number + 1}  local route p50/p99/p99.9/longest {alone} us alone, {beside} us beside {waiting} in flight"
                    f" ({rate:.0f} remote decisions a second): {ratios[-1]:.2f}", flush=True)
            print(f"median ratio of p99 {statistics.median(ratios):.2f}")
        for one in running:
            one.end()


def cost(folder, proxies, token, arguments):
    found = {name: [] for name in proxies}
    for number in range(arguments.rounds):
        for name, proxy in proxies.items():
            script = None if name == "remembered answers" else folder / "orders.lua"
            micros, rate = measure(proxy, token, arguments, script)
            found[name].append(micros)
            print(f"round {number + 1}  {name:20}  {micros:7.2f} us CPU  {rate:8.0f} requests/s", flush=True)
    base = statistics.median(found["local engine"])
    for name, costs in found.items():
        over = statistics.median(mine - local for mine, local in zip(costs, found["local engine"]))
        print(f"{name:20}  {statistics.median(costs):7.2f} us  ({min(costs):.2f} to {max(costs):.2f}), {over:+.2f} us over the local engine in its round")
    print(f"local engine {base:.2f} us")
    if arguments.profile:
        proxy = proxies["asked each time"]
        record = subprocess.Popen(["perf", "record", "-q", "-e", "cpu-clock", "-F", "4999", "-g", "-p", str(proxy.pid), "-o", arguments.profile])
        measure(proxy, token, arguments, folder / "orders.lua")
        record.send_signal(signal.SIGINT)
        record.wait()


if __name__ == "__main__":
    main()

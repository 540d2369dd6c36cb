"""What deciding by Verified Permissions costs, beside the local engine, in one run and interleaved.

CPU per request of one worker with the local engine, with a remote engine whose answers are remembered, and with one that is asked
for every request over a warm loopback TLS connection (nginx answers it). Then, with answers that take 2 ms and 1,000 requests that
wait for them, the 99th percentile of a route that the local engine decides, with and without that load.
"""

import argparse
import asyncio
import json
import os
import pathlib
import re
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(HERE.parents[1] / "Tests" / "EndToEnd"))

import requests  # noqa: E402
from cognito import Moto, Pool  # noqa: E402
from processes import CHECKOUT, Running, Stockade, free_port, listening  # noqa: E402
from proxy import OTHER_CPU, PROXY_CPU, build_upstream, cpu_nanoseconds, pin  # noqa: E402

ANSWER = json.dumps({"decision": "ALLOW", "determiningPolicies": [{"policyId": "p"}], "errors": []})


def certificate(folder):
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", folder / "key.pem", "-out", folder / "cert.pem"],
        check=True, capture_output=True,
    )  # fmt: skip


class Answering(Running):
    """nginx as a service that allows everything at once."""

    def __init__(self, folder):
        self.port = free_port()
        configuration = folder / "answering.conf"
        configuration.write_text(
            f"""daemon off;
{"user root;" if os.geteuid() == 0 else ""}
worker_processes 1;
pid {folder}/answering.pid;
error_log {folder}/answering.log;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  default_type application/x-amz-json-1.0;
  server {{
    listen 127.0.0.1:{self.port} ssl;
    ssl_certificate {folder}/cert.pem;
    ssl_certificate_key {folder}/key.pem;
    location / {{
      add_header x-amzn-RequestId $request_id;
      return 200 '{ANSWER}';
    }}
  }}
}}
"""
        )
        super().__init__(["/usr/sbin/nginx", "-p", str(folder), "-c", str(configuration)], folder, "answering")
        self.until("it listens", lambda: listening(self.port))


class Slow:
    """A service that allows everything after 2 ms."""

    def __init__(self, folder):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
        self.number = 0
        ready = threading.Event()

        async def serve(reader, writer):
            try:
                while True:
                    head = await reader.readuntil(b"\r\n\r\n")
                    await reader.readexactly(int(re.search(rb"(?i)content-length: *(\d+)", head)[1]))
                    await asyncio.sleep(0.002)
                    self.number += 1
                    writer.write(
                        f"HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.0\r\nx-amzn-RequestId: {self.number:032x}\r\n"
                        f"Content-Length: {len(ANSWER)}\r\n\r\n{ANSWER}".encode()
                    )
            except (asyncio.IncompleteReadError, ConnectionError):
                writer.close()

        async def run():
            server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context, backlog=2048)
            self.port = server.sockets[0].getsockname()[1]
            ready.set()
            await server.serve_forever()

        threading.Thread(target=lambda: asyncio.run(run()), daemon=True).start()
        ready.wait(10)


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


def p99(url, token, connections, seconds):
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "--timeout", "10s", "-H", f"Authorization: Bearer {token}", url]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    number, unit = re.search(r"99% +([\d.]+)(us|ms|s)", text).groups()
    return float(number) * {"us": 1, "ms": 1000, "s": 1e6}[unit]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=32)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        certificate(folder)
        moto = Moto(folder)
        pool = Pool(moto)
        token = pool.sign_in("alice")["AccessToken"]
        port = free_port()
        upstream = Running([str(build_upstream(folder)), str(port)], folder, "upstream")
        upstream.until("the service listens", lambda: listening(port))
        answering, slow = Answering(folder), Slow(folder)

        def remote(place, **more):
            return {"verified_permissions": {"policy_store": "PS1", "endpoint": f"https://localhost:{place.port}", "max_in_flight": 512, **more}}

        for one in (upstream, answering):
            pin(one.pid, OTHER_CPU)
        proxies = {
            "local engine": Proxy(folder, "local", pool, port, {"local": {}}),
            "remembered answers": Proxy(folder, "cached", pool, port, remote(answering, cache="60s")),
            "asked each time": Proxy(folder, "asked", pool, port, remote(answering)),
        }
        script = folder / "orders.lua"
        script.write_text(SCRIPT)
        found = {name: [] for name in proxies}
        for number in range(arguments.rounds):
            for name, proxy in proxies.items():
                cost, rate = measure(proxy, token, arguments, script if name == "asked each time" else None)
                found[name].append(cost)
                print(f"round {number + 1}  {name:20}  {cost:7.2f} us CPU  {rate:8.0f} requests/s", flush=True)
        base = statistics.median(found["local engine"])
        for name, costs in found.items():
            middle = statistics.median(costs)
            print(f"{name:20}  {middle:7.2f} us  ({min(costs):.2f} to {max(costs):.2f}), {middle - base:+.2f} us over the local engine")

        routes = [{"match": "GET /orders/{id}", "engine": {"local": {}}}]
        mixed = Proxy(folder, "mixed", pool, port, remote(slow, max_in_flight=1000, max_waiting=4000, timeout="20s", attempt_timeout="15s"), routes)
        ratios = []
        for number in range(arguments.rounds):
            alone = p99(mixed.url + "/orders/42", token, 8, arguments.seconds)
            load = subprocess.Popen(
                ["wrk", "-t1", "-c1000", f"-d{arguments.seconds + 2}s", "--timeout", "30s", "-H", f"Authorization: Bearer {token}", mixed.url + "/remote"],
                stdout=subprocess.DEVNULL,
            )
            loaded = p99(mixed.url + "/orders/42", token, 8, arguments.seconds)
            load.wait()
            ratios.append(loaded / alone)
            print(f"round {number + 1}  local route p99 {alone:.0f} us alone, {loaded:.0f} us beside 1,000 waiting: {ratios[-1]:.2f}", flush=True)
        print(f"median ratio {statistics.median(ratios):.2f}")
        for one in (*proxies.values(), mixed, answering, upstream, moto):
            one.end()


if __name__ == "__main__":
    main()

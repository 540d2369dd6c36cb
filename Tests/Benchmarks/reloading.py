"""What a reload of 10,000 policies does to requests: a client at a steady pace against the release binary, in pairs without and with
reloads one after another."""

import json
import os
import pathlib
import re
import signal
import subprocess
import tempfile
import threading

import requests
from cognito import Moto, Pool
from processes import Running, Stockade, listening
from proxy import OTHER_CPU, PROXY_CPU, build, pin

POLICIES, PACE, SECONDS = 10_000, 1000, 5
TEXT = 'permit(principal, action, resource) when { context.http.method == "GET" };\n' + "".join(
    f'permit(principal == User::"demo|u{index}", action, resource) when {{ context.http.path like "/p{index}/*" }};\n' for index in range(POLICIES - 1)
)  # fmt: skip


def written(folder, number):
    """The policies; each time the text is another."""
    (folder / "all.cedar.next").write_text(TEXT + f"// {number}\n")
    os.replace(folder / "all.cedar.next", folder / "all.cedar")


def part(proxy, others):
    """The worker, its client and its service on one processor, what loads on the other: a machine that has one to spare for it."""
    for task in os.listdir(f"/proc/{proxy.pid}/task"):
        name = pathlib.Path(f"/proc/{proxy.pid}/task/{task}/comm").read_text()
        os.sched_setaffinity(int(task), {int(PROXY_CPU if name.startswith("worker") else OTHER_CPU)})
    pin(others.pid, PROXY_CPU)
    os.sched_setaffinity(0, {int(OTHER_CPU)})


def generation(proxy):
    text = requests.get(proxy.ops + "/metrics", timeout=5).text
    return float(re.search(r'^stockade_policy_reload_total\{result="success"\} ([\d.]+)', text, re.M)[1])


def paced(folder, proxy, token):
    command = ["taskset", "-c", PROXY_CPU, build(folder, "paced"), proxy.url.rsplit(":", 1)[1], "/orders/42", token, "8", str(PACE), str(SECONDS)]
    return int(subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True).stdout.split()[2])


def ratios(rounds):
    """The 99th percentiles in microseconds, quiet and during reloads, round by round."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        policies = folder / "policies"
        policies.mkdir()
        written(policies, 0)
        moto = Moto(folder)
        pool = Pool(moto)
        token = pool.sign_in("alice")["AccessToken"]
        upstream = Running([str(build(folder, "upstream")), "0"], folder, "upstream")
        upstream.until("it listens", lambda: upstream.out.read_text().strip())
        port = int(upstream.out.read_text())
        upstream.until("the service listens", lambda: listening(port))
        proxy = Stockade(
            folder, "stockade", "--to", f"http://127.0.0.1:{port}", "--cognito", pool.id, "--id-prefix", "demo", "--jwks-url", pool.jwks_url,
            "--client-id", pool.client_id, "--policies", policies, "--workers", "1")  # fmt: skip
        try:
            proxy.url = proxy.proxy
            proxy.until("keys", lambda: requests.get(proxy.ops + "/readyz", timeout=5).status_code == 200)
            found, number = [], 0
            part(proxy, upstream)
            paced(folder, proxy, token)
            for _ in range(rounds):
                quiet = paced(folder, proxy, token)
                isOver = threading.Event()

                def reload():
                    nonlocal number
                    while not isOver.is_set():
                        number += 1
                        before = generation(proxy)
                        written(policies, number)
                        os.kill(proxy.pid, signal.SIGHUP)
                        proxy.until("the reload is in force", lambda: generation(proxy) > before)

                began = generation(proxy)
                reloader = threading.Thread(target=reload)
                reloader.start()
                during = paced(folder, proxy, token)
                isOver.set()
                reloader.join()
                found.append((quiet, during))
                print(f"p99 {quiet} µs quiet, {during} µs during {generation(proxy) - began:.0f} reloads", flush=True)
            return found
        finally:
            for process in [proxy, upstream, moto]:
                process.end()

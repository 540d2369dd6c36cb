"""How fast `stockade logs` reads: megabytes of log a second of CPU, for each kind of search. Fails below --floor.

CPU time and not wall time, on one processor: what other programs do meanwhile counts little. The issue's floor is 300 MB/s.
"""

import argparse
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile

SEARCHES = [
    ["--denied"], ["--would-deny"], ["--reason", "token_expired"], ["--principal", "user17"], ["--route", "/orders/*", "--denied"],
    ["--slow", "10ms"], ["--engine-differences"], ["--by", "route,reason"],
]  # fmt: skip


def line(number):
    """A decision as the log writes it; one in ten is denied."""
    denied = number % 10 == 0
    return json.dumps({
        "v": 1, "type": "decision", "time": f"2026-11-23T09:{number // 60 % 60:02}:{number % 60:02}.412Z", "id": f"01KAR0B2Z8Q4W1FVQ2J{number:07}",
        "decision": "deny" if denied else "allow", "enforced": True, "reason": "no_permit" if denied else "policy_permit",
        "status": 403 if denied else 200, "policies": [] if denied else ["viewers-read-orders"], "policy_set": "sha256:9f2c5a7be1d0", "generation": 1,
        "errors": 0, "principal": f'User::"main|user{number % 5000}"', "action": 'Action::"GET"', "resource": f'Path::"/orders/{number}"',
        "route": "/orders/{id}",
        "http": {"method": "GET", "host": "api.example.com", "path": f"/orders/{number}", "version": "1.1", "request_bytes": 0, "user_agent": "curl/8.5.0"},
        "client": {"ip": "203.0.113.9", "forwarded": False},
        "token": {"issuer": "main", "use": "access", "alg": "RS256", "kid": "a1B2", "client_id": "4h57example", "expires_in_s": 3411},
        "engine": "local", "authz_us": 41, "total_us": 812 + number % 700, "upstream_us": 700, "trace_id": None, "span_id": None, "instance": "orders-7d9f",
    }, separators=(",", ":")) + "\n"  # fmt: skip


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--megabytes", type=int, default=400)
    options.add_argument("--floor", type=int, default=300, help="MB/s of CPU; 0 for none")
    options = options.parse_args()
    binary = os.environ.get("STOCKADE_BINARY") or pathlib.Path(__file__).resolve().parents[2] / ".build-release/release/stockade"
    slow = []
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "decisions.ndjson"
        block = "".join(map(line, range(20_000))).encode()
        with path.open("wb") as log:
            for _ in range(max(1, options.megabytes * 1_000_000 // len(block))):
                log.write(block)
        size = path.stat().st_size / 1e6
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        for search in SEARCHES:
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            with open(os.devnull, "wb") as nothing:
                subprocess.run([binary, "logs", path, "--json", *search], stdout=nothing, stderr=subprocess.DEVNULL, check=True)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            # Reading the file is the kernel's work, and as fast as the disk: what is measured is ours.
            seconds = after.ru_utime - before.ru_utime
            rate = size / max(seconds, 1e-3)
            print(f"{' '.join(search):34} {rate:7.0f} MB/s of CPU  ({seconds:.2f} s for {size:.0f} MB)")
            if rate < options.floor:
                slow.append(" ".join(search))
    if slow:
        sys.exit(f"slower than {options.floor} MB/s: {', '.join(slow)}")


main()

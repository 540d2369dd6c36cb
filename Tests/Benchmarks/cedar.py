#!/usr/bin/env python3
"""Our authorizer and the reference engine (cedarpy, from PyPI) on the same inputs in one run.

usage: cedar.py --exe PATH

PATH is the release build of CedarBenchmark (BENCH=1 swift build -c release --product CedarBenchmark). Ours is the whole
answer from a request in memory, its context numbered anew each time, in nanoseconds of processor time. The reference's is
the time that it reports itself for the authorization call alone, parsing excluded, truncated to whole microseconds.
"""
import argparse
import json
import re
import statistics
import subprocess

import cedarpy


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--exe", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    ours = {}
    for line in subprocess.run([options.exe], stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines():
        found = re.match(r"(.*?) +median (\d+) ns +p99 (\d+) ns", line)
        if found:
            ours[found[1]] = (int(found[2]), int(found[3]))
    print("| input | ours, median | ours, p99 | the reference, median | times |")
    print("|---|---|---|---|---|")
    dump = subprocess.run([options.exe, "--dump"], stdout=subprocess.PIPE, text=True, check=True).stdout
    for line in dump.split("\n"):
        if not line:
            continue
        case = json.loads(line)
        times = []
        for request in case["requests"] * (options.rounds if len(case["policies"]) < 100_000 else 1):
            answer = cedarpy.is_authorized(request, case["policies"], case["entities"])
            times.append(answer.metrics["authz_duration_micros"])
        median, p99 = ours[case["name"]]
        theirs = statistics.median(times)
        print(f"| {case['name']} | {median} ns | {p99} ns | {theirs:.0f} µs | {theirs * 1000 / median:.0f} |", flush=True)


main()

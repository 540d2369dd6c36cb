#!/usr/bin/env python3
"""Our authorizer beside the reference engine (cedarpy, from PyPI) on the same inputs in one run, each number with what it must reach.

usage: cedar.py --exe PATH [--compare] [--only WORD] [--rounds N] [--readme]

PATH is the release build of CedarBenchmark (BENCH=1 swift build -c release --product CedarBenchmark). Ours is the whole answer from a
request in memory, its context numbered anew each time, in nanoseconds of processor time; the 99th percentile is of single answers by
the clock on the wall. The reference's is the time that it reports itself for the authorization call alone, parsing excluded, truncated
to whole microseconds: up to a microsecond too little, in its favour. Rounds of both follow each other; of the rounds' medians the
median counts. Without --compare the reference is left out, and so is what can only be told beside it.
"""
import argparse
import datetime
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
CHECKOUT = HERE.parents[1]
SIZES = [5, 10, 20, 30, 40, 50]
BEGIN, END = "<!-- cedar: written by .ci/bench cedar --readme -->", "<!-- /cedar -->"


class Numbers:
    """What was measured of each input, by its name: ours in nanoseconds, the reference's in nanoseconds that were whole microseconds."""

    def __init__(self, options):
        self.options = options
        self.ours, self.p99, self.theirs, self.inputs, self.alone = {}, {}, {}, {}, {}

    def program(self, *words):
        text = subprocess.run([self.options.exe, *map(str, words)], stdout=subprocess.PIPE, text=True, check=True).stdout
        return [json.loads(line) for line in text.splitlines()]

    def measure(self, word, peer=True):
        """Rounds of ours and of the reference in turn, for all inputs whose name begins so."""
        peers = [Peer(case) for case in self.program("dump", word)] if peer and self.options.compare else []
        for _ in range(self.options.rounds):
            for found in self.program("measure", word):
                self.inputs[found["name"]] = found
                self.ours.setdefault(found["name"], []).append(found["median"])
                self.p99.setdefault(found["name"], []).append(found["p99"])
                self.alone.setdefault(found["name"], []).append(found["alone"])
            for one in peers:
                self.theirs.setdefault(one.name, []).append(one.median())

    def median(self, name):
        return statistics.median(self.ours[name])

    def tail(self, name):
        return statistics.median(self.p99[name])

    def reference(self, name):
        return statistics.median(self.theirs[name]) if name in self.theirs else None

    def reasons(self, name):
        """How many policies determine an answer, on average."""
        return self.inputs[name]["reasons"] / self.inputs[name]["requests"]


class Peer:
    """The reference with policies and entities that it has parsed before."""

    def __init__(self, case):
        import cedarpy

        self.cedarpy, self.name, self.requests = cedarpy, case["name"], case["requests"]
        self.policies = cedarpy.PolicySet.from_str(case["policies"])
        if case["links"]:
            self.policies = self.policies.with_linked_batch(case["links"])
        self.entities = cedarpy.Entities.from_json_str(json.dumps(case["entities"]))

    def median(self):
        times = []
        for request in self.requests:
            times.append(self.cedarpy.is_authorized(request, self.policies, self.entities).metrics["authz_duration_micros"])
            # Large sets take milliseconds for an answer.
            if sum(times) > 1_000_000:
                break
        return statistics.median(times) * 1000


class Table:
    def __init__(self):
        self.rows, self.missed = [], []

    def add(self, what, theirs, ours, bar, reached):
        """`reached` is None where the reference is needed and was not asked."""
        verdict = reached if isinstance(reached, str) else "not compared" if reached is None else "reached" if reached else "**missed**"
        if reached is False:
            self.missed.append(what)
        self.rows.append(f"| {what} | {theirs} | {ours} | {bar} | {verdict} |")
        print(self.rows[-1], flush=True)

    def text(self):
        return "\n".join(["| input | the reference | ours, median (p99) | to reach | |", "|---|---|---|---|---|", *self.rows])


def nanos(value):
    if value is None:
        return "–"
    return f"{value:.0f} ns" if value < 1000 else f"{value / 1000:.2f} µs" if value < 1e6 else f"{value / 1e6:.2f} ms" if value < 1e9 else f"{value / 1e9:.2f} s"


def span(values, show=nanos):
    values = [value for value in values if value is not None]
    return "–" if not values else show(min(values)) if show(min(values)) == show(max(values)) else f"{show(min(values))} to {show(max(values))}"


def applications(numbers, table):
    """Shapes of OOPSLA 2024: for each number of entities the median over five seeds."""
    for shape in ["gdrive", "github", "tinytodo"]:
        ours, tails, theirs, ratios = [], [], [], []
        for size in SIZES:
            numbers.measure(f"{shape} {size} ")
            names = [name for name in numbers.ours if name.startswith(f"{shape} {size} ")]
            ours.append(statistics.median(map(numbers.median, names)))
            tails.append(statistics.median(map(numbers.tail, names)))
            reference = [numbers.reference(name) for name in names]
            theirs.append(statistics.median(reference) if numbers.options.compare else None)
            ratios.append(theirs[-1] / ours[-1] if numbers.options.compare else None)
        table.add(
            f"{shape}, 5 to 50 entities of a type, five seeds", span(theirs), f"{span(ours)} ({span(tails)})",
            "at least 10 times faster" + ("" if None in ratios else f": {min(ratios):.0f} to {max(ratios):.0f} times"),
            None if None in ratios else min(ratios) >= 10)


def templates(numbers, table):
    for shape in ["gdrive", "github"]:
        cost, tail, theirs, reasons = {}, {}, {}, {}
        for links in SIZES:
            numbers.measure(f"{shape}, {links} links")
            names = [name for name in numbers.ours if name.startswith(f"{shape}, {links} links")]
            cost[links] = statistics.median(map(numbers.median, names))
            tail[links] = statistics.median(map(numbers.tail, names))
            theirs[links] = statistics.median([numbers.reference(name) for name in names]) if numbers.options.compare else None
            reasons[links] = statistics.mean(map(numbers.reasons, names))
        bar = 2 * cost[5] + 150 * reasons[50]
        table.add(
            f"{shape} by templates, 5 → 50 links a user", f"{nanos(theirs[5])} → {nanos(theirs[50])}",
            f"{nanos(cost[5])} ({nanos(tail[5])}) → {nanos(cost[50])} ({nanos(tail[50])})",
            f"at most 2 times and 150 ns for each of {reasons[50]:.2f} determining policies: {nanos(bar)}", cost[50] <= bar)


def gateway(numbers, table):
    numbers.measure("gateway")
    for name, what in [
        ("gateway, built", "a gateway's 20 policies, request built (entities and context) over a cached token"),
        ("gateway", "the same, request in memory as values that are numbered anew"),
        ("gateway, built as values", "the same, built as values, as routes with a mapping of their own do"),
    ]:  # fmt: skip
        if name == "gateway, built":
            alone = statistics.median(numbers.alone[name])
            table.add("a gateway's 20 policies, the answer alone", nanos(numbers.reference(name)), nanos(alone), "below 1 µs", alone <= 1000)
        bar = 1500 if name == "gateway, built" else None
        table.add(
            what, nanos(numbers.reference(name)), f"{nanos(numbers.median(name))} ({nanos(numbers.tail(name))})",
            f"at most {nanos(bar)}" if bar else "", numbers.median(name) <= bar if bar else "told")


def many(numbers, table):
    for word, what in [
        ("principals", "one per principal"), ("groups", "one per group"), ("links", "links of one template"),
        ("equalities", "scope open, equalities on an attribute of the request"),
    ]:  # fmt: skip
        numbers.measure(f"{word} 1")
        few, lots = f"{word} 10", f"{word} 10000"
        reasons = 0 if word == "principals" else numbers.reasons(lots)
        bar = 2 * numbers.median(few) + 150 * reasons
        table.add(
            f"10 → 10,000 policies, {what}", f"{nanos(numbers.reference(few))} → {nanos(numbers.reference(lots))}",
            f"{nanos(numbers.median(few))} ({nanos(numbers.tail(few))}) → {nanos(numbers.median(lots))} ({nanos(numbers.tail(lots))})",
            f"at most 2 times{f' and 150 ns for each of {reasons:.2f} determining policies' if reasons else ''}: {nanos(bar)}",
            numbers.median(lots) <= bar)
    numbers.measure("open 1")
    few, lots = "open 10", "open 10000"
    each = (numbers.median(lots) - numbers.median("equalities 10000")) / 5000
    table.add(
        "10 → 10,000 policies, scope open, half equalities, half `<`, `like`, `contains`",
        f"{nanos(numbers.reference(few))} → {nanos(numbers.reference(lots))}",
        f"{nanos(numbers.median(few))} ({nanos(numbers.tail(few))}) → {nanos(numbers.median(lots))} ({nanos(numbers.tail(lots))})",
        f"at most 60 ns for each that no index can exclude: {each:.0f} ns", each <= 60)


def loading(numbers, table):
    cases = {case["name"]: case for word in ["principals 10000", "open 10000"] for case in numbers.program("dump", word)}
    theirs = {name: [] for name in cases}
    ours = {name: [] for name in cases}
    for _ in range(numbers.options.rounds):
        for found in numbers.program("policies"):
            ours[found["name"].removeprefix("load ")].append(found)
        if numbers.options.compare:
            import cedarpy

            for name, case in cases.items():
                start = time.thread_time_ns()
                cedarpy.PolicySet.from_str(case["policies"])
                theirs[name].append(time.thread_time_ns() - start)
    for name, what in [("principals 10000", "one per principal"), ("open 10000", "scope open")]:
        parse = statistics.median(one["parse"] for one in ours[name])
        whole = statistics.median(one["parse"] + one["validate"] + one["compile"] for one in ours[name])
        reference = statistics.median(theirs[name]) if numbers.options.compare else None
        table.add(
            f"parsing 10,000 policies, {what}", nanos(reference), nanos(parse),
            "at most 1.5 times the reference's" + (f": {parse / reference:.2f}" if reference else ""), parse <= 1.5 * reference if reference else None)
        table.add("parsing, validating, compiling and indexing them", "–", nanos(whole), "below 1 s", whole < 1e9)


def entities(numbers, table):
    found = numbers.program("entities", 1_000_000)[0]
    load = found["read"] + found["authorizer"]
    table.add(
        "1,000,000 entities with two parents and three attributes, from JSON", "–", f"{nanos(load)}, {found['each']} bytes each",
        f"below 10 s, at most 400 bytes each (at the peak of loading {found['peak']}, beside the text of {found['text']})",
        load < 10e9 and found["each"] <= 400)
    found = numbers.program("groups", 100_000)[0]
    table.add(
        "100,000 members of a group, 50 groups deep", "–",
        f"loaded in {nanos(found['load'])}; `in` {found['hierarchy'] / 10:.1f} ns, `==` of an attribute {found['attribute'] / 10:.1f} ns",
        "`in` costs no more than an attribute, within a tenth", found["hierarchy"] <= 1.1 * found["attribute"])


def memory(numbers, table):
    found = numbers.program("memory")[0]
    table.add(
        "memory of a policy, of 10,000", "–", f"{found['authorizer']} bytes that answer, {found['set']} bytes of the set for explanations",
        "", "told")
    # Memory settles in the first hundreds: 600 rounds, of which the second half is held against the first.
    for count, times in [(20, 10_000), (10_000, 600)]:
        found = numbers.program("growth", count, times)[0]
        table.add(
            f"{times:,} reloads of {count:,} policies", "–",
            f"at most {found['early'] / 1e6:.1f} MB in the first half, {found['late'] / 1e6:.1f} MB in the second",
            "no growth", found["late"] <= found["early"] * 1.02)


def reloading(numbers, table):
    from reloading import ratios

    found = ratios(numbers.options.rounds)
    table.add(
        "requests while 10,000 policies are reloaded again and again on another processor, paced", "–",
        f"p99 {statistics.median(one[1] for one in found):.0f} µs, quiet {statistics.median(one[0] for one in found):.0f} µs",
        f"at most 2 times, paired: {statistics.median(one[1] / one[0] for one in found):.2f}",
        statistics.median(one[1] / one[0] for one in found) <= 2)


PARTS = [applications, templates, gateway, many, loading, entities, memory, reloading]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--exe", required=True)
    parser.add_argument("--compare", action="store_true", help="beside the reference engine")
    parser.add_argument("--only", metavar="WORD", choices=[part.__name__ for part in PARTS], action="append")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--readme", action="store_true", help="write the table into README.md")
    options = parser.parse_args()
    sys.path[:0] = [str(HERE), str(CHECKOUT / "Tests" / "EndToEnd")]
    numbers, table = Numbers(options), Table()
    for part in PARTS:
        if not options.only or part.__name__ in options.only:
            part(numbers, table)
    close = f"{platform.machine()}, {os.cpu_count()} cores, {datetime.date.today()}. Measured by `.ci/bench cedar`."
    if options.compare:
        import importlib.metadata

        close = (
            f"The reference is cedarpy {importlib.metadata.version('cedarpy')}, by the time that it reports for the authorization call alone, parsing excluded, "
            f"in whole microseconds, truncated; parsing by its processor time. {options.rounds} rounds of each in turn; " + close)
    print("\n" + close)
    if options.readme:
        readme = CHECKOUT / "README.md"
        head, rest = readme.read_text().split(BEGIN)
        readme.write_text(f"{head}{BEGIN}\n{table.text()}\n\n{close}\n{END}{rest.split(END, 1)[1]}")
    if table.missed:
        sys.exit("missed: " + "; ".join(table.missed))


if __name__ == "__main__":
    main()

"""Everything at once for a while: every answer is the right one or visibly none, every one is on record, and nothing grows."""

import collections
import json
import os
import statistics

import pytest

from services import metric
from soak_clients import UNAVAILABLE, Client, Leaver, SlowReader, Trickler, Tunneller
from soaking import LOG_BYTES, Soak

SECONDS = float(os.environ.get("SOAK_SECONDS", "60"))


@pytest.mark.soak
def test_under_mixed_load_every_answer_is_right_or_visibly_none_and_nothing_grows(tmp_path, report):
    soak = Soak(tmp_path, SECONDS)
    server, ledger = soak.server, soak.ledger
    try:
        base = server.descriptors()
        clients = [Client(soak, f"client-{number}", 0.004) for number in range(4)]
        clients += [kind(soak, kind.__name__, pause) for kind, pause in ((Trickler, 0.1), (SlowReader, 0.1), (Tunneller, 0.1), (Leaver, 0.02))]
        for client in clients:
            client.start()
        seen = soak.turn()
        for client in clients:
            client.join(120)
        assert not [client.name for client in clients if client.is_alive()]
        soak.service.stop()
        server.until("nothing is in flight", lambda: metric(server, "stockade_requests_in_flight") == 0)
        server.until("connections are gone", lambda: server.descriptors() <= base + 2, 60)
        # Every line of the log that is read was written, those of the full disk were counted, and the small file stayed small.
        dropped = {sink: metric(server, f'stockade_decision_log_dropped_total{{sink="{sink}"}}') for sink in ("stdout", "file", "file-2")}
        text = [line for line in server.err.read_text().splitlines() if "decision_log_failed" in line]
        files = sorted(tmp_path.glob("small.log*"))
        assert len(files) == 3 and all(file.stat().st_size <= LOG_BYTES for file in files)
        for file in files:
            assert all(json.loads(line)["type"] for line in file.read_text().splitlines())
    finally:
        assert server.end() == 0, server.text()[-10_000:]
        soak.nginx.end()
    soak.records.join(60)
    memory = [kib for kib, _ in seen]
    # At minute two everything has its working size; in a short run, after a quarter.
    at = min(120, len(memory) // 4)
    early, late = (statistics.median(part) for part in (memory[max(0, at - 15) : at + 5], memory[-20:]))
    opened = [count for _, count in seen]
    counts = sum((client.counts for client in clients), collections.Counter())
    total = sum(count for what, count in counts.items() if what not in ("echoes", "left"))
    report(
        f"soak: {total} requests in {SECONDS:.0f} s, {len(ledger.wrong)} wrong; {ledger.count} beside their records, {counts['broken off']} visibly broken off, "
        f"{sum(counts[each] for each in UNAVAILABLE)} unavailable, {counts['echoes']} echoes, {counts['left']} left; {soak.world.written} loads, "
        f"{soak.service.posts} posts, {len(soak.service.twice)} twice; memory {early:.0f} to {late:.0f} KiB, "
        f"{max(opened[: len(opened) // 2])} then {max(opened[len(opened) // 2 :])} descriptors, {base} at rest; log lines lost: {dropped}"
    )
    assert ledger.wrong[:5] == []
    assert soak.service.twice == []
    assert ledger.answered == {}, "an answer without a record"
    assert len(ledger.recorded) <= ledger.unseen, [(each["status"], each["reason"], each["http"]) for each in list(ledger.recorded.values())[:5]]
    assert dropped["stdout"] == 0 and len(text) == 1 and "No space left" in text[0]
    assert late <= early * 1.1 + (0 if SECONDS >= 600 else 2048)
    assert max(opened[len(opened) // 2 :]) <= max(opened[: len(opened) // 2]) * 1.2 + 20
    assert counts[200] > total / 5, "most is well"

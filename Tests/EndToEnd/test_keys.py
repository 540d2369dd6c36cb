"""Keys that survive outages: an issuer that rotates, withdraws, hangs, lies and dies, under load and over restarts."""

import collections
import contextlib
import os
import secrets
import statistics
import threading
import time

import pytest
import requests

from processes import SLOWNESS, Stockade, eventually, free_port
from provider import Key, Provider

POLICY = """
@id("readers") permit (principal == User::"demo|alice", action in Action::"read", resource in Path::"/orders");
"""


@pytest.fixture
def provider():
    provider = Provider()
    yield provider
    with contextlib.suppress(OSError):
        provider.end()


def configuration(folder, provider, upstream, jwks="min_interval: '1s'", **more):
    (folder / "policies").mkdir(exist_ok=True)
    (folder / "policies" / "policy.cedar").write_text(POLICY)
    path = folder / "stockade.json5"
    jwks_url = more.get("jwks_url", provider.url)
    path.write_text(
        f"""{{ upstream: '{upstream}', policies: 'policies', workers: {more.get("workers", 1)},
          issuers: {{ main: {{ issuer: '{provider.issuer}', client_ids: ['{provider.client}'], id_prefix: 'demo',
            jwks_url: '{jwks_url}', jwks: {{ {jwks} }}, {more.get("issuer", "")} }} }} }}"""
    )
    return path


def start(folder, name, path, **more):
    return Stockade(folder, name, "--config", path, **more)


def is_ready(server):
    return requests.get(server.ops + "/readyz", timeout=5).status_code == 200


def get(server, token, session=requests, path="/orders/42"):
    return session.get(server.proxy + path, headers={"Authorization": f"Bearer {token}"}, timeout=30)


class Load:
    """Clients that ask without pause, each kind of request with the answers that are right for it."""

    def __init__(self, server, provider):
        self.server = server
        self.provider = provider
        self.outcomes = []
        self.signer = provider.keys[0]
        # Counted up whenever the provider may not be answering rightly.
        self.trouble = 0
        self.is_troubled = False
        self.withdrawals = 0
        self.is_over = threading.Event()
        kinds = [self.valid, self.valid, self.not_permitted, self.forged, self.made_up, self.made_up]
        self.threads = [threading.Thread(target=self.ask, args=(kind,)) for kind in kinds]
        for thread in self.threads:
            thread.start()

    def ask(self, kind):
        session = requests.Session()
        while not self.is_over.is_set():
            before = (self.is_troubled, self.trouble, self.withdrawals)
            began = time.monotonic()
            status, right = kind(session)
            after = (self.is_troubled, self.trouble, self.withdrawals)
            if after != before or before[0]:
                # Without the issuer a key that nobody has seen cannot be judged; a withdrawn key may be either.
                right = right | ({503} if kind == self.made_up else set())
                right = right | ({401} if before[2] != after[2] and 200 in right else set())
                right = right | ({401} if before[2] != after[2] and 403 in right else set())
            self.outcomes.append((kind.__name__, status, right, time.monotonic() - began, began))
            if kind != self.made_up:
                self.is_over.wait(0.005)  # their pace: the machine is shared with what is tested

    def goes_on(self, times=20):
        """Until every kind of request was made and answered so often from now on; the made-up ones wait, so once is enough."""
        since = time.monotonic()

        def enough():
            seen = collections.Counter(kind for kind, _, _, _, began in list(self.outcomes) if began > since)
            return seen["made_up"] >= 1 and all(seen[kind] >= times for kind in ("valid", "not_permitted", "forged"))

        eventually("every kind of request is answered", enough)

    def valid(self, session):
        return get(self.server, self.provider.token(key=self.signer), session).status_code, {200}

    def not_permitted(self, session):
        return get(self.server, self.provider.token("mallory", key=self.signer), session).status_code, {403}

    def forged(self, session):
        return get(self.server, self.provider.token(key=Key(), kid=self.signer.kid), session).status_code, {401}

    def made_up(self, session):
        return get(self.server, self.provider.token(key=Key()), session).status_code, {401}

    @contextlib.contextmanager
    def in_trouble(self):
        self.is_troubled = True
        self.trouble += 1
        yield
        self.is_troubled = False
        self.trouble += 1

    def rotate(self, withdrawing=False):
        """The hard way: the new key signs the moment it is published."""
        key = self.provider.rotate(withdrawing)
        self.signer = key
        self.withdrawals += withdrawing
        return key

    def end(self):
        self.is_over.set()
        for thread in self.threads:
            thread.join()
        return self.outcomes


def lying(body):
    return lambda handler, keys: handler.reply(200, body)


def slowly(handler, keys):
    time.sleep(2)
    Provider.usual(handler, keys)


def test_under_load_no_decision_is_wrong_and_no_request_is_lost_to_a_rotation(workplace, nginx, provider, report):
    folder = workplace / "rotating"
    folder.mkdir()
    path = configuration(folder, provider, nginx.url, workers=2)
    server = start(folder, "gateway", path, listen=f"127.0.0.1:{free_port()}")
    server.until("its keys are there", lambda: is_ready(server))
    load = Load(server, provider)
    began = time.monotonic()
    asked = len(provider.served)
    try:
        load.goes_on()
        for _ in range(4):
            load.rotate()
            load.goes_on()
        # The last key is known before the issuer dies; one that it took with it could be judged by nobody.
        assert get(server, provider.token()).status_code == 200
        with load.in_trouble():
            provider.die()
            load.goes_on()
            provider.start()
        load.goes_on()
        load.rotate()
        load.goes_on()
        # A key that is published while the provider is slow: its tokens wait, and none is refused.
        provider.answer = slowly
        load.goes_on()
        load.rotate()
        assert get(server, provider.token()).status_code == 200
        provider.answer = None
        for body in (b"<!doctype html><title>Maintenance</title>", Provider.document(provider.keys)[:-9], b'{"keys": []}', b"\0" * (3 << 20)):
            with load.in_trouble():
                heard = len(provider.served)
                provider.answer = lying(body)
                eventually("the lie is told", lambda: len(provider.served) > heard)
                load.goes_on()
                provider.answer = None
            load.goes_on()
        for withdrawing in (True, False, True):
            load.rotate(withdrawing)
            load.goes_on()
    finally:
        outcomes = load.end()
    seconds = time.monotonic() - began
    fetches = len(provider.served) - asked
    wrong = collections.Counter((kind, status) for kind, status, right, *_ in outcomes if status not in right)
    assert not wrong, wrong
    counts = collections.Counter((kind, status) for kind, status, *_ in outcomes)
    waits = [wait for kind, _, _, wait, _ in outcomes if kind == "valid"]
    assert counts["valid", 200] > 500 and counts["made_up", 401] > 10 and counts["made_up", 503] > 0 and counts["forged", 401] > 100
    # One fetch an interval, whatever was asked for.
    assert fetches <= seconds / 0.95 + 3, f"{fetches} fetches in {seconds:.0f} s"
    report(
        f"keys under load: {len(outcomes)} requests in {seconds:.0f} s, 0 wrong, {fetches} fetches; "
        f"valid tokens {statistics.median(waits) * 1000:.0f} ms median, {max(waits):.1f} s at most; {dict(counts)}"
    )
    assert server.end() == 0, server.text()


def test_a_withdrawn_key_is_dead_in_every_worker_at_once(workplace, nginx, provider, report):
    folder = workplace / "withdrawing"
    folder.mkdir()
    server = start(folder, "gateway", configuration(folder, provider, nginx.url, workers=3), listen=f"127.0.0.1:{free_port()}")
    server.until("its keys are there", lambda: is_ready(server))
    hot = provider.token()
    sessions = [requests.Session() for _ in range(24)]
    for session in sessions:
        assert get(server, hot, session).status_code == 200
    accepted, refused = [], set()
    is_over = threading.Event()

    def ask(session):
        while not is_over.is_set():
            began = time.monotonic()
            if get(server, hot, session).status_code == 200:
                accepted.append(began)
            else:
                refused.add(session)

    threads = [threading.Thread(target=ask, args=(session,)) for session in sessions]
    for thread in threads:
        thread.start()
    eventually("all are served", lambda: len(accepted) > 5 * len(sessions))
    withdrawn = provider.keys[0].kid
    provider.rotate(withdrawing=True)
    # Somebody else's unknown key makes the set be fetched; the hot token alone would be trusted until the next refresh.
    assert get(server, provider.token()).status_code == 200
    eventually("all are refused", lambda: len(refused) == len(sessions), 5)
    is_over.set()
    for thread in threads:
        thread.join()
    shown = next(at for at, kids, _ in provider.served if withdrawn not in kids)
    late = [began - shown for began in accepted if began > shown + 0.1 * SLOWNESS]
    report(f"a withdrawn key: last accepted {max([a - shown for a in accepted]) * 1000:.0f} ms after the set without it was served")
    assert accepted and not late, f"accepted up to {max(late, default=0):.3f} s after the refresh"
    assert server.end() == 0, server.text()


def test_a_restart_during_an_outage_serves_and_says_so(workplace, nginx, provider):
    folder = workplace / "restarting"
    folder.mkdir()
    path = configuration(folder, provider, nginx.url)
    server = start(folder, "gateway", path)
    server.until("its keys are there", lambda: is_ready(server))
    token = provider.token()
    fresh = get(server, token)
    assert fresh.status_code == 200
    assert "keys_stale" not in server.record(fresh.headers["X-Stockade-Decision-Id"])["token"]
    assert server.end() == 0, server.text()
    (snapshot,) = (folder / "gateway.state").glob("keys-*")
    assert snapshot.stat().st_mode & 0o777 == 0o600

    provider.die()
    state = {"STATE_DIRECTORY": str(folder / "gateway.state")}
    server = start(folder, "again", path, environment=state)
    server.until("it is ready", lambda: is_ready(server))
    stale = get(server, token)
    assert stale.status_code == 200
    assert server.record(stale.headers["X-Stockade-Decision-Id"])["token"]["keys_stale"] is True
    assert get(server, provider.token(key=Key(), kid=provider.keys[0].kid)).status_code == 401, "stale keys are keys"
    unknown = get(server, provider.token(key=Key()))
    assert unknown.status_code == 503 and unknown.headers["Retry-After"] == "5", "nobody can say that it is bad"
    provider.start()
    server.until("the issuer is heard again", lambda: "keys_stale" not in told(server, token))
    assert server.end() == 0, server.text()

    # What somebody else could have written is not believed.
    provider.die()
    spoilers = [lambda: os.chmod(snapshot, 0o644), lambda: snapshot.write_bytes(snapshot.read_bytes()[:-2] + b"x\n")]
    for index, spoil in enumerate(spoilers):
        spoil()
        server = start(folder, f"spoilt-{index}", path, environment=state)
        refused = get(server, token)
        assert refused.status_code == 503
        assert server.record(refused.headers["X-Stockade-Decision-Id"])["reason"] == "jwks_unavailable"
        assert "key_snapshot_ignored" in server.text()
        assert server.end() == 0, server.text()
        os.chmod(snapshot, 0o600)


def told(server, token):
    return server.record(get(server, token).headers["X-Stockade-Decision-Id"])["token"]


def test_stale_keys_end(workplace, nginx, provider):
    folder = workplace / "too-stale"
    folder.mkdir()
    server = start(folder, "gateway", configuration(folder, provider, nginx.url, "refresh: '1s', max_stale: '2s'"))
    server.until("its keys are there", lambda: is_ready(server))
    token = provider.token()
    assert get(server, token).status_code == 200
    provider.die()
    assert get(server, token).status_code == 200
    eventually("they are too old", lambda: get(server, token).status_code == 503, 10)
    provider.start()
    eventually("there are new ones", lambda: get(server, token).status_code == 200)
    assert server.end() == 0, server.text()


def test_keys_come_through_the_proxy_that_the_environment_names(workplace, nginx, provider):
    folder = workplace / "through-a-proxy"
    folder.mkdir()
    path = configuration(
        folder, provider, nginx.url, jwks_url="http://keys.example.test/jwks", issuer="allow_insecure_jwks: true"
    )
    server = start(folder, "gateway", path, environment={"http_proxy": f"http://127.0.0.1:{provider.port}", "no_proxy": ""})
    server.until("its keys are there", lambda: is_ready(server))
    assert provider.served[0][2] == "http://keys.example.test/jwks", "a proxy is told the whole address"
    assert get(server, provider.token()).status_code == 200
    assert server.end() == 0, server.text()


def test_a_key_that_is_replaced_under_its_name_is_known_an_interval_later(workplace, nginx, provider, report):
    folder = workplace / "same-name"
    folder.mkdir()
    server = start(folder, "gateway", configuration(folder, provider, nginx.url))
    server.until("its keys are there", lambda: is_ready(server))
    old = provider.keys[0]
    hot = provider.token()
    assert get(server, hot).status_code == 200
    # Forged tokens are refused at once, and all of them together cause one fetch an interval.
    session = requests.Session()
    began, asked, waits = time.monotonic(), len(provider.served), []
    while time.monotonic() < began + 3:
        at = time.monotonic()
        assert get(server, provider.token(key=Key(), kid=old.kid), session).status_code == 401
        waits.append(time.monotonic() - at)
    assert 1 <= len(provider.served) - asked <= 5
    assert statistics.median(waits) < 0.1 * SLOWNESS, "no forgery is waited for"

    provider.keys = [Key(kid=old.kid)]
    replaced = time.monotonic()
    eventually("the new key is known", lambda: get(server, provider.token()).status_code == 200, 5)
    report(f"a key replaced under its name: known {time.monotonic() - replaced:.1f} s later (min_interval 1 s)")
    assert get(server, hot).status_code == 401, "what the old one signed is dead"
    assert server.end() == 0, server.text()


def test_requests_that_wait_for_keys_take_nothing_from_those_that_do_not(workplace, nginx, provider):
    folder = workplace / "crowded"
    folder.mkdir()
    server = start(folder, "gateway", configuration(folder, provider, nginx.url, "min_interval: '5s'"))
    server.until("its keys are there", lambda: is_ready(server))
    get(server, provider.token(key=Key()))  # takes the interval's fetch
    statuses = []
    crowd = [
        threading.Thread(target=lambda: statuses.append(get(server, provider.token(key=Key(kid=secrets.token_hex(8)))).status_code))
        for _ in range(60)
    ]
    for thread in crowd:
        thread.start()
    began = time.monotonic()
    session = requests.Session()
    for _ in range(20):
        assert get(server, provider.token(), session).status_code == 200
    assert time.monotonic() - began < 2
    fresh = provider.rotate()
    assert get(server, provider.token(key=fresh)).status_code == 200, "a new key is waited for and not refused"
    for thread in crowd:
        thread.join()
    assert statuses == [401] * 60
    assert len(provider.served) <= 4
    assert server.end() == 0, server.text()

"""The numbers: what they say of traffic, in both formats, and that no client can make more of them."""

import contextlib
import re
import secrets
import socket
import urllib.parse

import pytest
import requests
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from processes import CHECKOUT, Stockade, eventually
from provider import Key, Provider

POLICIES = """
@id("readers") permit (principal, action == Action::"read", resource);
@id("no-archive") forbid (principal, action, resource == Order::"archived");
@id("careless") permit (principal, action == Action::"write", resource) when { principal.nothing };
"""
OPEN = {"Accept": "application/openmetrics-text; version=1.0.0"}


@pytest.fixture(scope="module")
def provider():
    provider = Provider()
    yield provider
    with contextlib.suppress(OSError):
        provider.end()


@pytest.fixture(scope="module")
def server(tmp_path_factory, provider, nginx):
    folder = tmp_path_factory.mktemp("metrics")
    (folder / "policies").mkdir()
    (folder / "policies" / "policy.cedar").write_text(POLICIES)
    path = folder / "stockade.json5"
    path.write_text(
        f"""{{ upstream: '{nginx.url}', policies: 'policies', workers: 1,
          issuers: {{ main: {{ issuer: '{provider.issuer}', client_ids: ['app'], id_prefix: 'demo', jwks_url: '{provider.url}',
            jwks: {{ min_interval: '100ms' }} }} }},
          routes: [
            {{ match: 'GET /orders/{{id}}', action: 'read', resource: {{ type: 'Order', id: '{{id}}' }} }},
            {{ match: '* /orders/{{id}}', action: 'write', resource: {{ type: 'Order', id: '{{id}}' }} }},
          ] }}"""
    )
    server = Stockade(folder, "metrics", "--config", path)
    server.until("it is ready", lambda: requests.get(server.ops + "/readyz", timeout=5).status_code == 200)
    yield server
    assert server.end() == 0, server.text()


def families(server):
    answer = requests.get(server.ops + "/metrics", headers=OPEN, timeout=5)
    return {family.name: family for family in openmetrics.text_string_to_metric_families(answer.text)}


def value(server, name, **labels):
    """What a series says now; 0 where it is not there yet."""
    family = families(server).get(re.sub("_(total|count|sum|bucket)$", "", name))
    found = [s.value for s in (family.samples if family else []) if s.name == name and labels.items() <= s.labels.items()]
    return sum(found)


def ask(server, token=None, method="GET", path="/orders/42", **headers):
    sent = ({"Authorization": f"Bearer {token}"} if token else {}) | headers
    return requests.request(method, server.proxy + path, headers=sent, timeout=10)


def test_every_request_is_where_it_belongs(server, provider):
    stranger = Key()
    for expected, name, labels, request in [
        (200, "stockade_requests_total", {"method": "GET", "code": "200"}, lambda: ask(server, provider.token())),
        (200, "stockade_decisions_total", {"reason": "policy_permit", "route": "GET /orders/{id}"}, lambda: ask(server, provider.token())),
        (200, "stockade_policy_determinations_total", {"policy": "readers", "effect": "permit"}, lambda: ask(server, provider.token())),
        (403, "stockade_policy_determinations_total", {"policy": "no-archive", "effect": "forbid"},
         lambda: ask(server, provider.token(), path="/orders/archived")),
        (403, "stockade_policy_errors_total", {"policy": "careless"}, lambda: ask(server, provider.token(), "PUT")),
        (401, "stockade_jwks_unknown_kid_total", {"issuer": "main"}, lambda: ask(server, provider.token(key=stranger))),
        (403, "stockade_decisions_total", {"reason": "no_route", "route": "_none"}, lambda: ask(server, provider.token(), path="/none")),
        (400, "stockade_rejected_total", {"reason": "malformed"}, lambda: ask(server, path="/orders/a%2fb")),
        (200, "stockade_token_validation_duration_seconds_count", {}, lambda: ask(server, provider.token())),
        (200, "stockade_upstream_duration_seconds_count", {}, lambda: ask(server, provider.token())),
        (200, "stockade_authz_duration_seconds_count", {"engine": "local"}, lambda: ask(server, provider.token())),
        (401, "stockade_authz_duration_seconds_count", {"engine": "none"}, lambda: ask(server)),
    ]:  # fmt: skip
        before = value(server, name, **labels)
        assert request().status_code == expected, (name, labels)
        eventually(f"{name} {labels} is counted", lambda n=name, b=before, l=labels: value(server, n, **l) == b + 1)
    assert value(server, "stockade_connections", state="upstream") >= 1
    # As many as there are descriptors for, where those are few.
    assert 0 < value(server, "stockade_connections_limit", state="client") <= 10_000
    assert value(server, "stockade_policies", effect="permit") == 2 and value(server, "stockade_policies", effect="forbid") == 1
    assert value(server, "stockade_jwks_stale", issuer="main") == 0
    assert re.fullmatch(r"3\.\d+\.\d+\S*", families(server)["stockade_build"].samples[0].labels["openssl"])


def test_exemplars_are_valid_and_only_where_they_can_be(server, provider):
    trace = secrets.token_hex(16)
    ask(server, provider.token(), traceparent=f"00-{trace}-{secrets.token_hex(8)}-01")
    unsampled = secrets.token_hex(16)
    ask(server, provider.token(), traceparent=f"00-{unsampled}-{secrets.token_hex(8)}-00")
    found = {}
    for family in families(server).values():
        for sample in family.samples:
            if sample.exemplar:
                found.setdefault(family.name, []).append((sample, sample.exemplar))
    assert set(found) == {f"stockade_{name}_duration_seconds" for name in ("request", "authz", "upstream")}
    for pairs in found.values():
        for sample, exemplar in pairs:
            assert sample.name.endswith("_bucket") and 0 <= exemplar.value <= float(sample.labels["le"])
            assert list(exemplar.labels) == ["trace_id"] and exemplar.timestamp
        assert trace in {exemplar.labels["trace_id"] for _, exemplar in pairs}
    for headers in (OPEN, {}):
        assert unsampled not in requests.get(server.ops + "/metrics", headers=headers, timeout=5).text
    plain = requests.get(server.ops + "/metrics", timeout=5)
    assert plain.headers["Content-Type"].startswith("text/plain; version=0.0.4") and "trace_id" not in plain.text
    assert {f.name for f in text_string_to_metric_families(plain.text)} and "# EOF" not in plain.text


def test_what_is_shown_is_what_is_documented(server):
    documented = {}
    for line in (CHECKOUT / "deploy" / "observability" / "metrics.md").read_text().splitlines():
        if match := re.fullmatch(r"\| `([a-z_]+)` \| (\w+) \| (.*?) \| (\d+) \| (.+) \|", line):
            documented[match[1]] = (match[2], set(re.findall("`(\\w+)`", match[3])), match[5])
    for family in families(server).values():
        name = family.name + {"counter": "_total", "info": "_info"}.get(family.type, "")
        kind, labels, meaning = documented[name]
        assert (family.type, family.documentation) == (kind, meaning)
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == labels, sample
    assert len(documented) >= 45


def raw(server, text):
    """Bytes of a client that follows no rules."""
    where = urllib.parse.urlsplit(server.proxy)
    with socket.create_connection((where.hostname, where.port), timeout=10) as connection:
        connection.sendall(text)
        with contextlib.suppress(OSError):
            while connection.recv(65536):
                pass


def flood(server, provider, count):
    session = requests.Session()
    stranger = Key()
    for number in range(count):
        odd = f"{number:04d}{secrets.token_hex(4)}"
        token = provider.token(subject=odd, jti=odd, client_id=odd)
        headers = {"User-Agent": odd, "Host": f"{odd}.example", "X-Odd": odd, "traceparent": f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"}
        for method, path, credential in [
            (f"M{odd.upper()}", f"/orders/{odd}", token), ("GET", f"/{odd}/{odd}", token), ("GET", f"/orders/{odd}?{odd}={odd}", token),
            ("GET", "/orders/1", provider.token(kid=odd)), ("GET", "/orders/1", stranger.sign(provider.claims(odd))),
            ("GET", "/orders/1", provider.token(iss=f"https://{odd}.example")), ("GET", "/orders/1", provider.token(aud=odd, client_id=odd)),
            ("GET", "/orders/1", odd), ("GET", f"/orders/%{odd[:2]}%2f{odd}", token),
        ]:  # fmt: skip
            session.request(method, server.proxy + path, headers=headers | {"Authorization": f"Bearer {credential}"}, timeout=10)
        raw(server, f"{odd} / HTTP/1.{number % 10}\r\n{odd}: {odd}\r\n\r\n".encode())
        raw(server, f"GET /{odd} HTTP/1.1\r\nHost: {odd}\r\nContent-Length: {odd}\r\n\r\n".encode())


def series(server):
    lines = requests.get(server.ops + "/metrics", timeout=5).text.splitlines()
    return {line.rsplit(" ", 1)[0] for line in lines if not line.startswith("#")}


def test_no_client_can_make_series(server, provider, report):
    flood(server, provider, 3)
    before = series(server)
    flood(server, provider, 60)
    after = series(server)
    assert after == before, sorted(after ^ before)[:10]
    # And nothing that a client said is in any of them.
    assert not [name for name in after if re.search(r"\d{4}[0-9a-f]{8}|example", name)]
    report(f"measured: {len(after)} series after 660 requests with odd methods, paths, hosts, kids, issuers, subjects")
    assert len(after) < 500

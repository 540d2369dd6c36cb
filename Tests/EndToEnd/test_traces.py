"""W3C trace context from the caller through Stockade to the service behind, and the spans that a collector gets of it."""

import contextlib
import json
import re
import secrets
import time

import pytest
import requests

from collector import Collector
from processes import Nginx, Stockade, eventually
from provider import Provider

POLICIES = """
@id("readers") permit (principal, action == Action::"read", resource);
@id("no-archive") forbid (principal, action, resource == Order::"archived");
"""
SERVER, CLIENT, INTERNAL = 2, 3, 1


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("traces")
    (folder / "policies").mkdir()
    (folder / "policies" / "policy.cedar").write_text(POLICIES)
    return folder


@pytest.fixture(scope="module")
def provider():
    provider = Provider()
    yield provider
    with contextlib.suppress(OSError):
        provider.end()


@pytest.fixture(scope="module")
def service(folder):
    """nginx, which says what it was told."""
    server = Nginx(
        folder, "traced",
        'location /orders/ { return 200 "$http_traceparent|$http_tracestate\\n"; }'
        'location = /orders/gone { return 503 "gone\\n"; }',
    )  # fmt: skip
    yield server
    server.end()


@pytest.fixture
def collector():
    collector = Collector()
    yield collector
    collector.end()


@pytest.fixture
def start(folder, provider, service):
    servers = []

    def start(name, traces="", environment=None, more="", upstream=None):
        name = f"{name}-{len(servers)}-{secrets.token_hex(2)}"
        path = folder / f"{name}.json5"
        path.write_text(
            f"""{{ upstream: '{upstream or service.url}', policies: 'policies', workers: 2, {traces} {more}
              issuers: {{ main: {{ issuer: '{provider.issuer}', client_ids: ['app'], id_prefix: 'demo', jwks_url: '{provider.url}' }} }},
              routes: [
                {{ match: 'GET /orders/{{id}}', action: 'read', resource: {{ type: 'Order', id: '{{id}}' }} }},
                {{ match: '* /orders/{{id}}', action: 'write', resource: {{ type: 'Order', id: '{{id}}' }} }},
                {{ match: 'GET /public', access: 'public' }},
              ] }}"""
        )
        server = Stockade(folder, name, "--config", path, environment=environment)
        servers.append(server)
        server.until("it is ready", lambda: requests.get(server.ops + "/readyz", timeout=5).status_code == 200)
        return server

    yield start
    for server in servers:
        if server.is_alive():
            assert server.end() == 0, server.text()


def context(sampled=True, trace=None):
    trace, span = trace or secrets.token_hex(16), secrets.token_hex(8)
    return trace, span, f"00-{trace}-{span}-{'01' if sampled else '00'}"


def get(server, provider, path="/orders/42", method="GET", token=None, **headers):
    sent = {"Authorization": f"Bearer {token or provider.token()}", **headers}
    return requests.request(method, server.proxy + path, headers=sent, timeout=10)


def told(response):
    """What the service was told: traceparent as its parts, and tracestate."""
    parent, _, state = response.text.strip().partition("|")
    match = re.fullmatch("00-([0-9a-f]{32})-([0-9a-f]{16})-(0[01])", parent)
    return (match.groups() if match else parent), state


def the(spans, name):
    found = [span for span in spans if span.name == name]
    assert len(found) == 1, (name, [span.name for span in spans])
    return found[0]


def test_a_request_is_one_tree_from_its_caller_to_the_service(start, provider, collector):
    server = start("tree", f"traces: {{ endpoint: '{collector.url}', service: 'orders-gate', headers: {{ 'X-Key': 'k' }} }},")
    trace, caller, parent = context()
    before = time.time_ns()
    response = get(server, provider, traceparent=parent, tracestate="congo=t61rcWkgMzE,rojo=00f067aa0ba902b7")
    (seen, upstream_parent, flags), state = told(response)
    assert (seen, flags, state) == (trace, "01", "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7")
    eventually("the spans are there", lambda: len(collector.of_trace(trace)) == 4)
    spans = collector.of_trace(trace)
    request, authenticate = the(spans, "GET /orders/{id}"), the(spans, "stockade.authenticate")
    authorize, call = the(spans, "stockade.authorize"), the(spans, "GET")
    assert [span.kind for span in (request, authenticate, authorize, call)] == [SERVER, INTERNAL, INTERNAL, CLIENT]
    assert request.parent == caller and {span.parent for span in (authenticate, authorize, call)} == {request.id}
    # What the service takes for its caller is our call to it.
    assert upstream_parent == call.id and len({span.id for span in spans} | {caller}) == 5
    assert before - 50_000_000 < request.start <= authenticate.start <= authenticate.end <= authorize.start
    assert authorize.start <= authorize.end <= call.start <= call.end <= request.end <= time.time_ns() + 50_000_000
    assert request.state == "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7"
    said = request.attributes
    assert (said["http.request.method"], said["http.route"], said["url.path"]) == ("GET", "/orders/{id}", "/orders/42")
    assert (said["http.response.status_code"], said["client.address"], said["stockade.decision"]) == (200, "127.0.0.1", "allow")
    assert said["stockade.enforced"] is True and said["stockade.reason"] == "policy_permit"
    assert said["stockade.decision_id"] == response.headers["X-Stockade-Decision-Id"]
    assert authorize.attributes["stockade.policies"] == ["readers"] and authorize.attributes["stockade.engine"] == "local"
    assert authenticate.attributes["stockade.issuer"] == "main" and call.attributes["http.response.status_code"] == 200
    assert request.resource["service.name"] == "orders-gate" and request.resource["host.name"]
    path, headers, _ = collector.requests[0]
    assert path == "/v1/traces" and headers["Content-Type"] == "application/json" and headers["X-Key"] == "k"
    # The record names the same span, and no credential is in any.
    record = server.record(response.headers["X-Stockade-Decision-Id"])
    assert (record["trace_id"], record["span_id"]) == (trace, request.id)
    assert "eyJ" not in json.dumps([span.attributes for span in spans])
    # The exemplar of its bucket leads here.
    accept = {"Accept": "application/openmetrics-text"}
    text = requests.get(server.ops + "/metrics", headers=accept, timeout=5).text
    for family in ("request", "authz", "upstream"):
        assert re.search(rf'stockade_{family}_duration_seconds_bucket{{.*}} \d+ # {{trace_id="{trace}"}} ', text), family
    assert trace not in requests.get(server.ops + "/metrics", timeout=5).text


def test_refusals_and_failures_are_in_their_traces(start, provider, collector):
    server = start("refusals", f"traces: '{collector.url}/v1/traces',")
    seen = {}
    for name, path, method, token, status in [
        ("forbidden", "/orders/archived", "GET", None, 403), ("forged", "/orders/42", "GET", provider.token()[:-8] + "AAAAAAAA", 401),
        ("nobody", "/orders/42", "GET", "", 401), ("public", "/public", "GET", "", 404), ("failing", "/orders/gone", "GET", None, 503),
        ("odd", "/orders/42", "BREW", None, 403),
    ]:  # fmt: skip
        trace, _, parent = context()
        headers = {"traceparent": parent} | ({"Authorization": f"Bearer {token or provider.token()}"} if token != "" else {})
        assert requests.request(method, server.proxy + path, headers=headers, timeout=10).status_code == status, name
        eventually(f"{name} is there", lambda trace=trace: any(span.kind == SERVER for span in collector.of_trace(trace)))
        seen[name] = collector.of_trace(trace)
    names = {name: sorted(span.name for span in spans) for name, spans in seen.items()}
    assert names == {
        "forbidden": ["GET /orders/{id}", "stockade.authenticate", "stockade.authorize"],
        "forged": ["GET /orders/{id}", "stockade.authenticate"], "nobody": ["GET /orders/{id}"], "public": ["GET", "GET /public"],
        "failing": ["GET", "GET /orders/{id}", "stockade.authenticate", "stockade.authorize"],
        "odd": ["HTTP /orders/{id}", "stockade.authenticate", "stockade.authorize"],
    }  # fmt: skip
    assert the(seen["forbidden"], "stockade.authorize").attributes["stockade.policies"] == ["no-archive"]
    assert the(seen["forged"], "stockade.authenticate").attributes["stockade.reason"] == "token_signature"
    # A refusal is no error; a status from 500 on is, for whoever called as for whoever was called.
    assert {span.status for name in ("forbidden", "forged", "nobody", "odd") for span in seen[name]} == {0}
    assert [the(seen["failing"], name).status for name in ("GET", "GET /orders/{id}")] == [2, 2]
    assert the(seen["failing"], "GET").attributes["error.type"] == "503"
    odd = the(seen["odd"], "HTTP /orders/{id}").attributes
    assert (odd["http.request.method"], odd["http.request.method_original"]) == ("_OTHER", "BREW")


@pytest.mark.parametrize(
    "said",
    [
        {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01"},
        {"traceparent": "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01"},
        {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more"},
        {"traceparent": "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},
        {"traceparent": "nonsense"},
        {},
    ],
)
def test_what_is_not_valid_is_begun_anew(start, provider, collector, said):
    server = start("anew", f"traces: {{ endpoint: '{collector.url}', sample: 'always_on' }},")
    (trace, _, flags), state = told(get(server, provider, **said, tracestate="a=1"))
    assert trace != "4bf92f3577b34da6a3ce929d0e0e4736" and flags == "01" and state == ""
    eventually("it is one of its own", lambda: [span for span in collector.of_trace(trace) if span.kind == SERVER and span.parent == ""])


def test_the_callers_word_counts_as_far_as_the_sampler_listens(start, provider, collector):
    outcomes = {}
    for rule in ("parentbased_always_off", "parentbased_always_on", "always_off", "always_on", "traceidratio", "parentbased_traceidratio"):
        server = start(rule, f"traces: {{ endpoint: '{collector.url}', sample: '{rule}', ratio: '0' }},")
        found = []
        for parent in (context()[2], context(sampled=False)[2], None):
            (_, _, flags), _ = told(get(server, provider, **({"traceparent": parent} if parent else {})))
            found.append(flags == "01")
        outcomes[rule] = found
    assert outcomes == {
        "parentbased_always_off": [True, False, False], "parentbased_always_on": [True, False, True], "always_off": [False, False, False],
        "always_on": [True, True, True], "traceidratio": [False, False, False], "parentbased_traceidratio": [True, False, False],
    }  # fmt: skip


def test_an_unsampled_trace_goes_on_too_and_a_bad_state_does_not(start, provider, collector):
    server = start("unsampled", f"traces: '{collector.url}',")
    trace, caller, parent = context(sampled=False)
    (seen, span, flags), state = told(get(server, provider, traceparent=parent, tracestate="a=1"))
    assert (seen, flags, state) == (trace, "00", "a=1") and span != caller
    _, state = told(get(server, provider, traceparent=parent, tracestate="a=1,a=2"))
    assert state == ""
    assert collector.spans == []


def test_where_traces_are_off_a_trace_goes_by_untouched_and_is_in_the_record(start, provider):
    server = start("off")
    trace, caller, parent = context()
    response = get(server, provider, traceparent=parent, tracestate="whatever this is")
    assert response.text == f"{parent}|whatever this is\n"
    record = server.record(response.headers["X-Stockade-Decision-Id"])
    assert (record["trace_id"], record["span_id"]) == (trace, caller)
    response = get(server, provider, traceparent="nonsense")
    assert response.text == "nonsense|\n"
    assert server.record(response.headers["X-Stockade-Decision-Id"])["trace_id"] is None


def test_opentelemetrys_variables_are_taken_where_nothing_else_is_said(start, provider, collector, folder):
    environment = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url + "/base/", "OTEL_EXPORTER_OTLP_HEADERS": "x-key=se%20cret,x-other=1",
        "OTEL_SERVICE_NAME": "from-outside", "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test,service.name=no",
        "OTEL_TRACES_SAMPLER": "always_on", "OTEL_EXPORTER_OTLP_TIMEOUT": "5000", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
    }  # fmt: skip
    server = start("variables", environment=environment)
    get(server, provider)
    eventually("the spans are there", lambda: collector.spans)
    path, headers, _ = collector.requests[0]
    assert path == "/base/v1/traces" and headers["x-key"] == "se cret" and headers["x-other"] == "1"
    assert collector.spans[0].resource["service.name"] == "from-outside"
    assert collector.spans[0].resource["deployment.environment.name"] == "test"
    assert "OTEL_EXPORTER_OTLP_PROTOCOL is grpc" in server.text()
    # The file goes before them, and what nobody can use is told and stops nothing.
    other = start("file-first", "traces: { sample: 'always_off' },", {**environment, "OTEL_TRACES_SAMPLER_ARG": "1", "OTEL_BSP_MAX_QUEUE_SIZE": "many"})
    _, flags = told(get(other, provider))[0][1:]
    assert flags == "00" and "OTEL_BSP_MAX_QUEUE_SIZE" in other.text() and "se cret" not in other.text()
    none = start("none", environment={**environment, "OTEL_TRACES_EXPORTER": "none"})
    assert get(none, provider).text == "|\n"


def counts(server):
    lines = requests.get(server.ops + "/metrics", timeout=5).text.splitlines()
    found = (re.fullmatch(r'stockade_otlp_records_total\{signal="traces",result="(\w+)"\} (\d+)', line) for line in lines)
    return {match[1]: int(match[2]) for match in found if match}


def test_a_collector_that_is_away_or_slow_costs_spans_and_no_request(start, provider, collector):
    server = start("slow", f"traces: {{ endpoint: '{collector.url}', sample: 'always_on', queue: 40 }},")
    collector.is_held.clear()
    session = requests.Session()
    slowest = 0.0
    for _ in range(100):
        began = time.monotonic()
        session.get(server.proxy + "/orders/42", headers={"Authorization": f"Bearer {provider.token()}"}, timeout=10)
        slowest = max(slowest, time.monotonic() - began)
    eventually("what is too much is dropped and counted", lambda: counts(server).get("dropped", 0) > 100)
    assert slowest < 5
    collector.is_held.set()
    eventually("the rest arrives", lambda: counts(server)["sent"] + counts(server)["dropped"] == 400)
    assert counts(server)["sent"] >= 40


def test_a_busy_collector_is_asked_again_and_the_last_spans_leave_with_the_process(start, provider, collector):
    collector.statuses = [503]
    server = start("again", f"traces: {{ endpoint: '{collector.url}', sample: 'always_on' }},")
    get(server, provider)
    eventually("it came the second time", lambda: len(collector.spans) == 4)
    assert [status for _, _, status in collector.requests] == [503, 200]
    server.until("they are counted", lambda: counts(server) == {"sent": 4, "dropped": 0})
    trace, _, parent = context()
    get(server, provider, traceparent=parent)
    assert server.end() == 0
    assert len(collector.of_trace(trace)) == 4


def test_a_collector_that_never_answers_does_not_hold_up_the_end(start, provider, collector):
    collector.is_held.clear()
    server = start("held", f"traces: {{ endpoint: '{collector.url}', sample: 'always_on' }},")
    assert get(server, provider).status_code == 200
    began = time.monotonic()
    assert server.end() == 0
    assert time.monotonic() - began < 6
    collector.is_held.set()

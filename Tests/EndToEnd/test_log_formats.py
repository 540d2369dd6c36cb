"""One decision in every format, each held to a validator that is not ours.

ECS: Elastic's own table of fields (there is no package with it, so the part that is needed lies beside this file). OCSF: the schema of
`ocsf-json-schema`. EMF: AWS's `aws-embedded-metrics` for names, units, dimensions and times, and the JSON Schema of AWS's specification.
OTLP: the messages of `opentelemetry-proto`, read by protobuf itself, which refuses what it does not know.
"""

import datetime
import json
import os
import pathlib
import signal
import subprocess

import jsonschema
import pytest
import requests
from aws_embedded_metrics import validator as emf_validator
from aws_embedded_metrics.storage_resolution import StorageResolution
from conftest import run_flags
from google.protobuf import json_format
from log_peers import Collector, LineListener
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from processes import Stockade, binary, eventually

EVIL = 'x"\\\u00e4{"@timestamp":0}'


@pytest.fixture(scope="module")
def logged(workplace, pool, nginx, alice):
    """The same decisions in every format, and where."""
    collector = Collector()
    listener = LineListener(workplace / "lines.sock")
    places = {kind: workplace / f"formats.{kind}" for kind in ("ecs", "ocsf", "emf", "otlp")}
    also = [f"{{ to: '{path}', format: '{kind}' }}" for kind, path in places.items()]
    also += [f"'unix:{listener.path}'", f"{{ to: '{collector.url}', headers: {{ 'X-Key': 'k' }}, service: 'orders' }}"]
    file = workplace / "formats.json5"
    file.write_text("{ log: { decisions: { also: [" + ", ".join(also) + "] } } }")
    server = Stockade(workplace, "formats", *run_flags(pool, nginx.url), "--config", str(file))
    try:
        token = {"Authorization": "Bearer " + alice["AccessToken"]}

        def ask(method, path, **headers):
            answer = requests.request(method, server.proxy + path, headers=headers, timeout=30)
            return answer.headers["X-Stockade-Decision-Id"]

        ids = [
            ask("GET", "/orders/42", **token),
            ask("DELETE", "/orders/42", **token),
            ask("GET", "/orders/42"),
            ask("BREW", "/orders/42"),
            ask("GET", "/orders/%2e%2e/42", **token),
            ask("GET", "/orders/42", **{"Authorization": "Bearer a.b.c", "User-Agent": EVIL.encode()}),
        ]
        for name in ids:
            server.record(name)
        eventually("the collector has all", lambda: len(collector.records()) == len(ids))
        eventually("the listener has all", lambda: len(listener.lines()) == len(ids))
    finally:
        assert server.end() == 0, server.text()
        collector.end()
        listener.end()
    native = [json.loads(line) for line in server.log.read_text().splitlines()]
    assert [record["id"] for record in native] == ids
    lines = {kind: path.read_text().splitlines() for kind, path in places.items()}
    assert all(len(found) == len(ids) for found in lines.values())
    return native, {kind: [json.loads(line) for line in found] for kind, found in lines.items()}, collector, listener


# --- ECS ---------------------------------------------------------------------------------------------------------


ECS_TYPES = {
    **dict.fromkeys(["keyword", "wildcard", "match_only_text", "text", "constant_keyword"], {"type": "string"}),
    "long": {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1},
    "ip": {"type": "string", "anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]},
    "date": {"type": "string", "format": "date-time"},
    **dict.fromkeys(["object", "nested", "flattened"], {"type": "object"}),
}


def ecs_schema():
    """Elastic's table of its fields as a JSON Schema, closed: what may be said of a field is theirs, and jsonschema judges by it."""
    fields = json.loads((pathlib.Path(__file__).parent / "ecs_fields.json").read_text())["fields"]
    # Whatever is not ECS's stands under one name that is not ECS's either.
    root = {"type": "object", "required": ["@timestamp", "ecs"], "properties": {"stockade": {"type": "object"}}, "additionalProperties": False}
    for path, field in fields.items():
        place = root
        *outer, name = path.split(".")
        for step in outer:
            place = place["properties"].setdefault(step, {"type": "object", "properties": {}, "additionalProperties": False})
            place.setdefault("properties", {})
        one = dict(ECS_TYPES.get(field["type"], False) or {"not": {}})
        if "allowed" in field:
            one["enum"] = sorted(field["allowed"])
        place["properties"][name] = {"type": "array", "items": one} if field.get("array") else one
    root["properties"]["ecs"]["required"] = ["version"]
    kinds = fields["event.category"]["allowed"]
    # Types of an event are those that one of its categories expects.
    root["properties"]["event"]["allOf"] = [
        {"if": {"properties": {"category": {"const": [kind]}}, "required": ["category"]}, "then": {"properties": {"type": {"items": {"enum": types}}}}}
        for kind, types in kinds.items()
    ]
    jsonschema.Draft202012Validator.check_schema(root)
    return jsonschema.Draft202012Validator(root, format_checker=jsonschema.FormatChecker())


def test_ecs(logged):
    native, lines, _, _ = logged
    schema = ecs_schema()
    for record, event in zip(native, lines["ecs"]):
        assert [error.message for error in schema.iter_errors(event)] == []
        assert event["event"]["id"] == record["id"] and event["@timestamp"] == record["time"]
        assert event["event"]["reason"] == record["reason"] and event["http"]["response"]["status_code"] == record["status"]
        assert ("allowed" in event["event"]["type"]) == (record["decision"] == "allow")
        assert event["stockade"]["policies"] == record["policies"] if record["policies"] else "policies" not in event["stockade"]
    assert lines["ecs"][0]["user"]["id"].startswith("demo|") and lines["ecs"][-1]["user_agent"]["original"] == native[-1]["http"]["user_agent"]
    for broken in [
        {**lines["ecs"][0], "nosuch": 1}, {**lines["ecs"][0], "http": {"version": 1}},
        {**lines["ecs"][0], "event": {**lines["ecs"][0]["event"], "type": ["denied", "whim"]}},
        {**lines["ecs"][0], "@timestamp": "today"}, {**lines["ecs"][0], "event": {**lines["ecs"][0]["event"], "category": "web"}},
        {**lines["ecs"][0], "client": {"ip": "somewhere"}},
    ]:  # fmt: skip
        assert not schema.is_valid(broken)


# --- OCSF --------------------------------------------------------------------------------------------------------


def test_ocsf(logged):
    native, lines, _, _ = logged
    schema = OcsfJsonSchemaEmbedded(get_ocsf_schema("1.6.0")).get_class_schema("api_activity", profiles=["security_control"])
    validator = jsonschema.Draft202012Validator(schema)
    for record, event in zip(native, lines["ocsf"]):
        assert [error.message for error in validator.iter_errors(event)] == []
        assert event["metadata"]["uid"] == record["id"] and event["type_uid"] == 600300 + event["activity_id"]
        assert event["action_id"] == (1 if record["decision"] == "allow" else 2)
        assert [one["policy"]["uid"] for one in event["actor"].get("authorizations", [])] == record["policies"]
    assert [event["activity_id"] for event in lines["ocsf"]] == [2, 4, 2, 99, 2, 2]
    for broken in [{**lines["ocsf"][0], "extra": 1}, {**lines["ocsf"][0], "action_id": 77}, {**lines["ocsf"][0], "actor": {}}]:
        assert not validator.is_valid(broken)


# --- EMF ---------------------------------------------------------------------------------------------------------

# "Embedded metric format JSON schema" of AWS's specification of the format.
EMF_SCHEMA = {
    "type": "object", "title": "Root Node", "required": ["_aws"],
    "properties": {
        "_aws": {
            "type": "object", "title": "Metadata", "required": ["Timestamp", "CloudWatchMetrics"],
            "properties": {
                "Timestamp": {"type": "integer"},
                "CloudWatchMetrics": {
                    "type": "array",
                    "items": {
                        "type": "object", "title": "MetricDirective", "required": ["Namespace", "Dimensions", "Metrics"],
                        "properties": {
                            "Namespace": {"type": "string", "minLength": 1, "maxLength": 1024, "pattern": "^(.*)$"},
                            "Dimensions": {
                                "type": "array", "minItems": 1,
                                "items": {
                                    "type": "array", "title": "DimensionSet", "minItems": 0, "maxItems": 30,
                                    "items": {"type": "string", "minLength": 1, "maxLength": 250, "pattern": "^(.*)$"},
                                },
                            },
                            "Metrics": {
                                "type": "array",
                                "items": {
                                    "type": "object", "required": ["Name"],
                                    "properties": {
                                        "Name": {"type": "string", "minLength": 1, "maxLength": 1024, "pattern": "^(.*)$"},
                                        "Unit": {"type": "string"},
                                        "StorageResolution": {"type": "integer", "enum": [1, 60]},
                                    },
                                },
                            },
                        },
                    },
                },
            },
        }
    },
}  # fmt: skip


def check_emf(event):
    """Whatever CloudWatch would refuse, or take no metric from."""
    jsonschema.validate(event, EMF_SCHEMA)
    emf_validator.validate_timestamp(datetime.datetime.fromtimestamp(event["_aws"]["Timestamp"] / 1000, datetime.timezone.utc))
    for directive in event["_aws"]["CloudWatchMetrics"]:
        emf_validator.validate_namespace(directive["Namespace"])
        for names in directive["Dimensions"]:
            emf_validator.validate_dimension_set({name: event[name] for name in names})
        for metric in directive["Metrics"]:
            emf_validator.validate_metric(metric["Name"], event[metric["Name"]], metric["Unit"], StorageResolution.STANDARD, {})


def test_emf(logged):
    native, lines, _, _ = logged
    for record, event in zip(native, lines["emf"]):
        check_emf(event)
        assert {key: value for key, value in event.items() if key not in ("_aws", "decisions")} == record
        assert event["decisions"] == 1
    for broken in [{**lines["emf"][0], "decision": ""}, {**lines["emf"][0], "total_us": float("nan")}]:
        with pytest.raises(Exception):
            check_emf(broken)


# --- OTLP --------------------------------------------------------------------------------------------------------


def parsed(text):
    message = json.loads(text)
    for resource in message["resourceLogs"]:
        for scope in resource["scopeLogs"]:
            for record in scope["logRecords"]:
                # OTLP writes these in hexadecimal, protobuf's own JSON would in base64.
                for name, length in [("traceId", 32), ("spanId", 16)]:
                    if name in record:
                        assert len(bytes.fromhex(record.pop(name))) * 2 == length
    return json_format.ParseDict(message, ExportLogsServiceRequest())


def attributes(record):
    def plain(value):
        kind = value.WhichOneof("value")
        return [plain(one) for one in value.array_value.values] if kind == "array_value" else getattr(value, kind)

    return {one.key: plain(one.value) for one in record.attributes}


def test_otlp_to_a_collector_and_in_a_file(logged):
    native, lines, collector, _ = logged
    in_file = [parsed(json.dumps(line)) for line in lines["otlp"]]
    assert all(len(message.resource_logs[0].scope_logs[0].log_records) == 1 for message in in_file)
    sent = [parsed(body) for body in collector.bodies]
    assert set(collector.paths) == {"/v1/logs"} and all(fields["X-Key"] == "k" for fields in collector.fields)
    resource = {one.key: one.value.string_value for one in sent[0].resource_logs[0].resource.attributes}
    assert resource["service.name"] == "orders" and resource["service.version"]
    records = [record for message in sent for record in message.resource_logs[0].scope_logs[0].log_records]
    filed = [message.resource_logs[0].scope_logs[0].log_records[0] for message in in_file]
    assert records == filed
    for record, log in zip(native, records):
        found = attributes(log)
        assert found["stockade.id"] == record["id"] and found["stockade.reason"] == record["reason"]
        assert found["http.response.status_code"] == record["status"] and found.get("stockade.policies", []) == record["policies"]
        assert log.time_unix_nano // 1_000_000 == round(datetime.datetime.fromisoformat(record["time"]).timestamp() * 1000)
        assert log.event_name == "stockade.decision"
    assert attributes(records[3])["http.request.method"] == "_OTHER"
    with pytest.raises(json_format.ParseError):
        parsed(json.dumps({**lines["otlp"][0], "nosuch": 1}))


def test_a_unix_socket_has_the_lines_of_the_file(logged):
    native, _, _, listener = logged
    assert [json.loads(line) for line in listener.lines()] == native


def test_logs_says_what_it_does_not_read(logged, workplace):
    for kind in ("ecs", "ocsf", "otlp"):
        done = subprocess.run([binary(), "logs", workplace / f"formats.{kind}"], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 3 and f"in the format {kind}" in done.stderr
        done = subprocess.run([binary(), "why", "last", "--log", workplace / f"formats.{kind}"], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 1 and f"in the format {kind}" in done.stderr
    done = subprocess.run([binary(), "logs", workplace / "formats.emf", "--json"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0 and len(done.stdout.splitlines()) == 6


# --- Sinks that fail ---------------------------------------------------------------------------------------------


def started(workplace, pool, nginx, name, decisions, **more):
    file = workplace / f"{name}.json5"
    file.write_text("{ log: { decisions: " + decisions + " } }")
    return Stockade(workplace, name, *run_flags(pool, nginx.url), "--config", str(file), **more)


def refuse(server, count=1):
    return [requests.get(server.proxy + "/orders/42", timeout=10).headers["X-Stockade-Decision-Id"] for _ in range(count)]


def number(server, name):
    lines = requests.get(server.ops + "/metrics", timeout=10).text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(name))


def test_a_collector_that_is_away_loses_nothing(workplace, pool, nginx):
    collector = Collector()
    server = started(workplace, pool, nginx, "away", f"{{ also: ['{collector.url}'] }}")
    try:
        ids = refuse(server)
        eventually("the first is there", lambda: len(collector.records()) == 1)
        collector.statuses = [503]
        ids += refuse(server)
        eventually("it is sent again", lambda: len(collector.records()) == 2)
        collector.end()
        ids += refuse(server, 5)
        server.until("the trouble is told", lambda: "otlp_failed" in server.err.read_text())
        again = Collector(collector.port)
        eventually("the rest is there", lambda: len(again.records()) == 5, patience=60)
        ids += refuse(server)
    finally:
        assert server.end() == 0, server.text()
    records = collector.records() + again.records()
    # The last was sent when the process ended: its end waits for it.
    assert [next(one["value"]["stringValue"] for one in record["attributes"] if one["key"] == "stockade.id") for record in records] == ids
    again.end()


def test_a_unix_socket_is_connected_to_when_there_is_one_and_again(workplace, pool, nginx):
    path = workplace / "again.sock"
    server = started(workplace, pool, nginx, "again", f"{{ also: ['unix:{path}'] }}")
    try:
        ids = refuse(server, 3)
        server.until("it is told", lambda: number(server, 'stockade_decision_log_failures_total{sink="unix",action="write"}') > 0)
        first = LineListener(path)
        eventually("what waited is there", lambda: len(first.lines()) == 3)
        first.end()
        more = refuse(server, 3)
        second = LineListener(path)
        eventually("the rest is there", lambda: len(second.lines()) == 3)
        assert [json.loads(line)["id"] for line in first.lines() + second.lines()] == ids + more
        second.end()
    finally:
        assert server.end() == 0, server.text()


def test_a_file_is_begun_anew_when_it_is_full_and_grows_on_when_that_fails(workplace, pool, nginx):
    server = started(workplace, pool, nginx, "rotating", "{ max_size: '4KiB', keep: 100 }")
    try:
        ids = refuse(server, 40)
        server.until("the last is written", lambda: number(server, 'stockade_decision_log_queue_length{sink="file"}') == 0)
        blocked = server.log.with_name(server.log.name + ".next")
        blocked.mkdir()
        ids += refuse(server, 20)
        failures = 'stockade_decision_log_failures_total{sink="file",action="rotate"}'
        server.until("it is counted", lambda: number(server, failures) > 0)
        assert "decision_log_rotation_failed" in server.err.read_text() and server.is_alive()
        os.kill(server.pid, signal.SIGHUP)
        blocked.rmdir()
    finally:
        assert server.end() == 0, server.text()
    old = sorted(server.log.parent.glob(server.log.name + ".[0-9]*"), key=lambda path: -int(path.suffix[1:]))
    assert len(old) > 5 and all(path.stat().st_size <= 4096 for path in old)
    records = [json.loads(line) for path in [*old, server.log] for line in path.read_text().splitlines()]
    assert [record["id"] for record in records] == ids


def test_sinks_that_make_no_sense_stop_the_start(workplace, pool, nginx):
    for name, decisions, complaint in [
        ("twice", "{ also: ['unix:/a', 'unix:/a'] }", "decisions go to unix:/a already"),
        ("nowhere", "{ also: [{ format: 'ecs' }] }", "does not say where to"),
        ("whole", "{ also: [{ to: 'unix:/a', max_size: '1MiB' }] }", "only a file can be begun anew"),
        ("relative", "{ also: ['unix:a'] }", "is not the path of a socket"),
        ("otherwise", "{ also: [{ to: 'http://127.0.0.1:4318', format: 'ecs' }] }", "a collector takes OpenTelemetry's records"),
        ("unread", "{ format: 'ecs', record: 'replayable' }", "is written in the formats json and emf alone"),
    ]:
        server = started(workplace, pool, nginx, name, decisions, waits=False)
        assert server.process.wait(30) == 3 and complaint in server.err.read_text(), server.err.read_text()

"""An OpenTelemetry collector: takes OTLP over HTTP in JSON and reads it by OpenTelemetry's own schema, which knows every field."""

import base64
import http.server
import json
import threading

from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


def rightly_spelt(node):
    """OTLP's ids are hexadecimal where protobuf's own JSON has base64: the one difference between the two."""
    if isinstance(node, dict):
        return {
            name: base64.b64encode(bytes.fromhex(value)).decode() if name in ("traceId", "spanId", "parentSpanId") else rightly_spelt(value)
            for name, value in node.items()
        }
    return [rightly_spelt(each) for each in node] if isinstance(node, list) else node


def plain(value):
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [plain(each) for each in value.array_value.values]
    return getattr(value, kind)


class Span:
    """A span as a test reads it."""

    def __init__(self, span, resource):
        self.trace, self.id, self.parent = span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex()
        self.name, self.kind, self.state, self.status = span.name, span.kind, span.trace_state, span.status.code
        self.start, self.end = span.start_time_unix_nano, span.end_time_unix_nano
        self.attributes = {each.key: plain(each.value) for each in span.attributes}
        self.resource = resource


class Collector:
    """Takes spans on loopback; `statuses` are what the next requests are answered with."""

    def __init__(self):
        self.requests = []
        self.spans = []
        self.statuses = []
        self.is_held = threading.Event()
        self.is_held.set()
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.is_held.wait(30)
                status = collector.statuses.pop(0) if collector.statuses else 200
                collector.requests.append((self.path, dict(self.headers.items()), status))
                if status == 200:
                    collector.take(body)
                self.send_response(status)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def take(self, body):
        message = json_format.ParseDict(rightly_spelt(json.loads(body)), ExportTraceServiceRequest())
        for outer in message.resource_spans:
            resource = {each.key: plain(each.value) for each in outer.resource.attributes}
            for scope in outer.scope_spans:
                assert scope.scope.name == "stockade"
                self.spans += [Span(span, resource) for span in scope.spans]

    def of_trace(self, trace):
        return [span for span in self.spans if span.trace == trace]

    def end(self):
        self.server.shutdown()
        self.server.server_close()

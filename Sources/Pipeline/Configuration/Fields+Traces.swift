internal import Telemetry

extension Fields {
  /// Where spans go, and of which requests. The variables are OpenTelemetry's.
  static let traces: [Field] = [
    Field("traces", .object, "Spans of requests for an OpenTelemetry collector; off without an endpoint", shorthand: "endpoint"),
    Field(
      "traces.endpoint", .text("URL"),
      "Where the collector takes OTLP over HTTP: http://127.0.0.1:4318; /v1/traces is added to an address without a path; else OTEL_EXPORTER_OTLP_TRACES_ENDPOINT or OTEL_EXPORTER_OTLP_ENDPOINT",
      environment: ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"]),
    Field(
      "traces.exporter", .choice(["otlp", "none"]), "none: spans go nowhere, whatever the endpoint; else OTEL_TRACES_EXPORTER",
      default: "otlp", environment: ["OTEL_TRACES_EXPORTER"]),
    Field(
      "traces.sample", .choice(TraceSampling.Rule.allCases.map(\.rawValue)),
      "Which requests: parentbased_… does what the caller says in traceparent, and the rest where nobody says; the others do not listen; else OTEL_TRACES_SAMPLER",
      default: TraceSampling.Rule.parentAlwaysOff.rawValue, environment: ["OTEL_TRACES_SAMPLER"]),
    Field(
      "traces.ratio", .text("PART"), "The part that …traceidratio samples, from '0' to '1'; else OTEL_TRACES_SAMPLER_ARG", default: "1",
      environment: ["OTEL_TRACES_SAMPLER_ARG"]),
    Field(
      "traces.headers", .names,
      "Fields that the collector wants, such as its key; else OTEL_EXPORTER_OTLP_TRACES_HEADERS or OTEL_EXPORTER_OTLP_HEADERS",
      environment: ["OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"]),
    Field("traces.headers.*", .text("VALUE"), "The field's value", secret: true),
    Field(
      "traces.timeout", .duration(1...600_000),
      "How long the collector may take to answer; else OTEL_EXPORTER_OTLP_TRACES_TIMEOUT or OTEL_EXPORTER_OTLP_TIMEOUT, in milliseconds",
      default: "10s", environment: ["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"]),
    Field(
      "traces.queue", .integer(1...1_000_000), "How many spans may wait; more are dropped and counted; else OTEL_BSP_MAX_QUEUE_SIZE",
      default: "2048", environment: ["OTEL_BSP_MAX_QUEUE_SIZE"]),
    Field("traces.service", .text("NAME"), "service.name; else OTEL_SERVICE_NAME", default: "stockade", environment: ["OTEL_SERVICE_NAME"]),
    Field(
      "traces.attributes", .names, "More attributes of the resource, such as deployment.environment.name; else OTEL_RESOURCE_ATTRIBUTES",
      environment: ["OTEL_RESOURCE_ATTRIBUTES"]),
    Field("traces.attributes.*", .text("VALUE"), "The attribute's value"),
  ]
}

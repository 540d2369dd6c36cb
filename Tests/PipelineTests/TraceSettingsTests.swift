import Bytes
import HTTP
import Telemetry
import Testing

@testable import Pipeline

/// Where traces go, by the file and by OpenTelemetry's variables.
@Suite struct TraceSettingsTests {
  private func traces(_ text: String = "", _ variables: [String: String] = [:]) throws -> TraceSettings? {
    try ConfigurationTests.read(
      String(ConfigurationTests.least.dropLast()) + "\(text.isEmpty ? "" : ", traces: \(text)") }", variables: variables
    )
    .traces
  }

  @Test func theyAreOffUnlessAnEndpointIsGiven() throws {
    #expect(try traces() == nil && traces("{ sample: 'always_on' }") == nil)
    #expect(try traces("", ["OTEL_TRACES_SAMPLER": "always_on", "OTEL_EXPORTER_OTLP_ENDPOINT": ""]) == nil)
    #expect(try traces("'http://c:4318'", ["OTEL_TRACES_EXPORTER": "none"]) == nil)
  }

  @Test func theDefaultsAreTheCallersWordAndNothingElse() throws {
    let settings = try traces("'http://c:4318'")
    #expect(settings?.url == "http://c:4318/v1/traces" && settings?.sampling == TraceSampling(.parentAlwaysOff))
    #expect(settings?.timeoutMillis == 10_000 && settings?.queue == 2048 && settings?.service == "stockade")
  }

  @Test(
    arguments: [
      ("http://c:4318", "http://c:4318/v1/traces"), ("http://c:4318/", "http://c:4318/v1/traces"),
      ("https://c/otlp/v1/traces", "https://c/otlp/v1/traces"), ("http://[::1]:4318", "http://[::1]:4318/v1/traces"),
    ])
  func anAddressWithoutAPathIsABase(_ given: String, _ url: String) throws { #expect(try traces("'\(given)'")?.url == url) }

  @Test func variablesOfOpenTelemetryAreTakenWhereNothingElseIsSaid() throws {
    let variables = [
      "OTEL_EXPORTER_OTLP_ENDPOINT": "https://c/base", "OTEL_EXPORTER_OTLP_HEADERS": "api-key=a%20b, other = c",
      "OTEL_SERVICE_NAME": "orders",
      "OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.25", "OTEL_EXPORTER_OTLP_TIMEOUT": "2500",
      "OTEL_BSP_MAX_QUEUE_SIZE": "7", "OTEL_RESOURCE_ATTRIBUTES": "a.b=c,d=e",
    ]
    let settings = try traces("", variables)
    #expect(settings?.url == "https://c/base/v1/traces" && settings?.service == "orders" && settings?.queue == 7)
    #expect(settings?.sampling == TraceSampling(.ratio, ratio: 0.25) && settings?.timeoutMillis == 2500)
    #expect(settings?.attributes.map { "\($0.name)=\($0.value)" } == ["a.b=c", "d=e"])
    var fields = FieldBlock()
    fields.append("api-key", "a b")
    fields.append("other", "c")
    #expect(settings?.fields == fields)
    // A signal's own variable goes before the general one, and is used as it is.
    let own = variables.merging(["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://t/x"]) { $1 }
    #expect(try traces("", own)?.url == "https://t/x")
    #expect(try traces("{ endpoint: 'http://f:1', service: 'file', headers: {} }", own)?.url == "http://f:1/v1/traces")
    #expect(try traces("{ service: 'file' }", own)?.service == "file")
    #expect(try traces("{ headers: {} }", own)?.fields == FieldBlock())
  }

  @Test func whatAVariableOfOthersSaysWronglyIsToldAndStopsNothing() throws {
    let configuration = try ConfigurationTests.read(
      ConfigurationTests.least,
      variables: [
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_TRACES_SAMPLER": "jaeger_remote",
        "OTEL_EXPORTER_OTLP_HEADERS": "hush,b=%zz,c=1",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
      ])
    #expect(configuration.traces?.sampling == TraceSampling(.parentAlwaysOff))
    #expect(configuration.warnings.count == 4 && !configuration.warnings.joined().contains("hush"), "\(configuration.warnings)")
  }

  @Test func aCollectorsKeyIsNotShown() throws {
    let configuration = try ConfigurationTests.read(
      String(ConfigurationTests.least.dropLast()) + ", traces: { endpoint: 'http://c', headers: { 'api-key': 'hush-1' } } }")
    #expect(!configuration.listing(sources: true).contains("hush"))
    let other = try ConfigurationTests.read(
      ConfigurationTests.least, variables: ["OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_EXPORTER_OTLP_HEADERS": "api-key=hush-2"])
    let shown = other.listing(sources: true)
    #expect(!shown.contains("hush") && shown.contains("// environment OTEL_EXPORTER_OTLP_HEADERS"), "\(shown)")
  }
}

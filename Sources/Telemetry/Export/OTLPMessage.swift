internal import Bytes
internal import JSON

/// What is exported by OTLP, which decides where it is sent and what stands around it.
public enum OTLPSignal: String, Sendable, CaseIterable {
  /// Log records: decisions.
  case logs
  /// Spans.
  case traces

  /// The path that is added to a collector's address (OTLP/HTTP, "OTLP/HTTP Request").
  public var path: String { "/v1/\(rawValue)" }
}

/// The message around records of one signal, in OTLP's JSON: `ExportLogsServiceRequest` or `ExportTraceServiceRequest` with one
/// resource and one scope.
public struct OTLPMessage: Sendable {
  /// What stands before the records.
  public let head: [UInt8]
  /// What stands after them.
  public let tail: [UInt8]

  /// The message for a signal.
  ///
  /// - Parameters:
  ///   - resource: What the records come from, such as `service.name`.
  ///   - version: Our own version.
  public init(_ signal: OTLPSignal, resource: [(name: String, value: String)], version: String) {
    let names: (outer: String, scope: String, records: String) =
      switch signal {
      case .logs: ("resourceLogs", "scopeLogs", "logRecords")
      case .traces: ("resourceSpans", "scopeSpans", "spans")
      }
    let attributes = resource.map { attribute in
      JSONValue.object(["key": .string(attribute.name), "value": .object(["stringValue": .string(attribute.value)])]).text
    }
    let scope = JSONValue.object(["name": .string("stockade"), "version": .string(version)]).text
    let text =
      "{\"\(names.outer)\":[{\"resource\":{\"attributes\":[\(attributes.joined(separator: ","))]},"
      + "\"\(names.scope)\":[{\"scope\":\(scope),\"\(names.records)\":["
    head = Array(text.utf8)
    tail = Array("]}]}]}".utf8)
  }

  /// The message with records, which are given as lines: each a JSON object and a line feed.
  func body(_ batches: [[UInt8]]) -> [UInt8] {
    var body = head
    body.reserveCapacity(head.count + tail.count + batches.reduce(0) { $0 + $1.count })
    for batch in batches {
      // No line feed stands within a record: JSON's strings have none, and ours no white space elsewhere.
      body.append(contentsOf: batch.lazy.map { $0 == ASCII.lf ? UInt8(ascii: ",") : $0 })
    }
    if body.last == UInt8(ascii: ","), !batches.isEmpty { body.removeLast() }
    body.append(contentsOf: tail)
    return body
  }
}

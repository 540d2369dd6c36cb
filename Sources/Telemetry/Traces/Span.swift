internal import Bytes
internal import HTTP

/// One span as OTLP writes it in JSON: ids in hexadecimal digits, 64-bit numbers as strings, enumerations as numbers.
struct Span {
  /// OTLP's `SpanKind`.
  enum Kind: Int {
    case `internal` = 1
    case server = 2
    case client = 3
  }

  /// An attribute's value.
  enum Value {
    case text(String)
    case integer(Int)
    case flag(Bool)
    case texts([String])
  }

  var trace: TraceParent
  var id: UInt64
  /// 0 for none.
  var parent: UInt64
  var state: String?
  var kind: Kind
  var name: String
  /// Nanoseconds since 1970.
  var start: UInt64
  var end: UInt64
  var attributes: [(name: StaticString, value: Value)] = []
  var isError = false

  mutating func add(_ name: StaticString, _ value: String?) { if let value { attributes.append((name, .text(value))) } }
  mutating func add(_ name: StaticString, _ value: Int?) { if let value { attributes.append((name, .integer(value))) } }

  /// Appends the span and a line feed.
  func append(to line: inout LineCursor) {
    line.append(#"{"traceId":""#)
    line.append(hex: trace.trace.high)
    line.append(hex: trace.trace.low)
    line.append(#"","spanId":""#)
    line.append(hex: id)
    if parent != 0 {
      line.append(#"","parentSpanId":""#)
      line.append(hex: parent)
    }
    if let state {
      line.append(#"","traceState":""#)
      line.append(escaping: state, limit: Self.longestState)
    }
    // The W3C flags: sampled, since there are no others here.
    line.append(#"","flags":1,"name":""#)
    line.append(escaping: name, limit: Self.longestText)
    line.append(#"","kind":"#)
    line.append(integer: kind.rawValue)
    line.append(#","startTimeUnixNano":""#)
    line.append(integer: start)
    line.append(#"","endTimeUnixNano":""#)
    line.append(integer: max(end, start))
    line.append(#"","attributes":["#)
    for (index, attribute) in attributes.enumerated() {
      line.append(index == 0 ? #"{"key":""# : #",{"key":""#)
      line.append(attribute.name)
      line.append(#"","value":"#)
      append(attribute.value, to: &line)
      line.append("}")
    }
    line.append(isError ? #"],"status":{"code":2}}"# : "]}")
    line.append(ASCII.lf)
  }

  private func append(_ value: Value, to line: inout LineCursor) {
    switch value {
    case .text(let text):
      line.append(#"{"stringValue":""#)
      line.append(escaping: text, limit: Self.longestText)
      line.append(#""}"#)
    case .integer(let number):
      line.append(#"{"intValue":""#)
      line.append(integer: number)
      line.append(#""}"#)
    case .flag(let flag): line.append(flag ? #"{"boolValue":true}"# : #"{"boolValue":false}"#)
    case .texts(let texts):
      line.append(#"{"arrayValue":{"values":["#)
      for (index, text) in texts.prefix(Self.mostTexts).enumerated() {
        if index > 0 { line.append(",") }
        append(.text(text), to: &line)
      }
      line.append("]}}")
    }
  }

  // As in the decision log: a caller chooses many of them.
  private static let longestText = 2048
  private static let longestState = 16 * 1024
  private static let mostTexts = 64
}

extension LineCursor {
  fileprivate mutating func append(hex number: UInt64) {
    for shift in stride(from: UInt64(60), through: 0, by: -4) { append(Hex.digit(UInt8(truncatingIfNeeded: number >> shift) & 0xf)) }
  }
}

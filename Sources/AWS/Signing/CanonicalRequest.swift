internal import Bytes

/// A request in the one form that both ends hash.
public struct CanonicalRequest: Sendable {
  /// The canonical text.
  public let text: String
  /// The names of the signed fields, `host;x-amz-date`.
  public let signedFields: String

  /// The canonical form of a request.
  public init(_ request: SigV4.Request) {
    var values: [(name: String, value: String)] = []
    // A stable order: several fields of one name keep the order they are sent in.
    let lowered = request.fields.enumerated().map { (name: Self.lowercased($1.name), value: Self.trimmed($1.value), place: $0) }
    for field in lowered.sorted(by: { Self.precedes(($0.name, $0.place), ($1.name, $1.place)) }) {
      if let last = values.last, exactlyEquals(last.name, field.name) {
        values[values.count - 1].value += "," + field.value
      } else {
        values.append((field.name, field.value))
      }
    }
    signedFields = values.map(\.name).joined(separator: ";")
    let lines = values.map { "\($0.name):\($0.value)\n" }.joined()
    let path = Self.path(request)
    text = "\(request.method)\n\(path)\n\(Self.query(request.query))\n\(lines)\n\(signedFields)\n\(request.bodyHash)"
  }

  private static func precedes(_ a: (name: String, place: Int), _ b: (name: String, place: Int)) -> Bool {
    exactlyEquals(a.name, b.name) ? a.place < b.place : a.name.utf8.lexicographicallyPrecedes(b.name.utf8)
  }

  private static func path(_ request: SigV4.Request) -> String {
    let path = request.normalizesPath ? normalized(request.path) : request.path.isEmpty ? "/" : request.path
    // Encoded once, a `%` of the path is itself encoded: that is what services see as encoded twice.
    return PercentEncoding.encode(path.utf8) {
      PercentEncoding.isUnreserved($0) || $0 == UInt8(ascii: "/") || (!request.encodesPathTwice && $0 == UInt8(ascii: "%"))
    }
  }

  // RFC 3986 §5.2.4, and empty segments go as well.
  private static func normalized(_ path: String) -> String {
    var segments: [Substring.UTF8View] = []
    let slash = UInt8(ascii: "/")
    for segment in Substring(path).utf8.split(separator: slash) {
      if segment.elementsEqual(".".utf8) { continue }
      if segment.elementsEqual("..".utf8) { _ = segments.popLast() } else { segments.append(segment) }
    }
    let inner = segments.map { String(Substring($0)) }.joined(separator: "/")
    return "/" + inner + (path.utf8.last == slash && !segments.isEmpty ? "/" : "")
  }

  // Pairs in the order of their encoded names, then values; what is encoded already is not encoded again.
  private static func query(_ query: String) -> String {
    guard !query.isEmpty else { return "" }
    let pairs = query.utf8.split(separator: UInt8(ascii: "&")).map { pair in
      let equals = pair.firstIndex(of: UInt8(ascii: "=")) ?? pair.endIndex
      let value = equals == pair.endIndex ? pair[equals...] : pair[pair.index(after: equals)...]
      return (name: PercentEncoding.encode(decoded(pair[..<equals])), value: PercentEncoding.encode(decoded(value)))
    }
    let sorted = pairs.sorted {
      exactlyEquals($0.name, $1.name)
        ? $0.value.utf8.lexicographicallyPrecedes($1.value.utf8) : $0.name.utf8.lexicographicallyPrecedes($1.name.utf8)
    }
    return sorted.map { "\($0.name)=\($0.value)" }.joined(separator: "&")
  }

  private static func decoded(_ text: some Sequence<UInt8>) -> [UInt8] {
    let bytes = Array(text)
    var out: [UInt8] = []
    var index = 0
    while index < bytes.count {
      if bytes[index] == UInt8(ascii: "%"), index + 2 < bytes.count, let high = ASCII.hexValue(bytes[index + 1]),
        let low = ASCII.hexValue(bytes[index + 2])
      {
        out.append(high << 4 | low)
        index += 3
      } else {
        out.append(bytes[index])
        index += 1
      }
    }
    return out
  }

  private static func lowercased(_ name: String) -> String { String(decoding: name.utf8.map { ASCII.lowercased($0) }, as: UTF8.self) }

  // White space at the ends goes, and runs of it within become one space.
  private static func trimmed(_ value: String) -> String {
    let isSpace: (UInt8) -> Bool = { $0 == ASCII.space || (0x09...0x0d).contains($0) }
    return value.utf8.split(whereSeparator: isSpace).map { String(decoding: $0, as: UTF8.self) }.joined(separator: " ")
  }
}

internal import Bytes
internal import Cedar
internal import HTTP

/// A URL made of a request: scheme and host are fixed, and no value can leave the segment of the path, or the part of the
/// query, that it is put into.
struct URLTemplate: Sendable {
  /// Scheme and authority.
  let base: String
  private let target: TextTemplate
  private let endsInSlash: Bool

  // Longer ones are refused by common servers.
  private static let longestBytes = 4096

  /// Reads a template.
  init(_ text: String, for path: RoutePath, _ sources: TextTemplate.Sources) throws(RoutePath.Mistake) {
    let bytes = Array(text.utf8)
    guard bytes.allSatisfy({ $0 > 0x20 && $0 < 0x7f && $0 != UInt8(ascii: "#") && $0 != UInt8(ascii: "\\") }) else {
      throw RoutePath.Mistake(
        message: "\"\(text)\" is not a URL",
        help: "only visible ASCII can stand in it, no # and no \\; what is none of these is percent-encoded")
    }
    let scheme = ["http://", "https://"].first { ASCII.equalsIgnoringCase(bytes.prefix($0.utf8.count), $0.utf8) }
    guard let scheme else {
      throw RoutePath.Mistake(
        message: "\"\(text)\" does not say where entities are", help: "write a URL such as http://orders.example/entities/orders/{id}")
    }
    let rest = bytes.dropFirst(scheme.utf8.count)
    let authority = rest.prefix { $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "?") }
    guard !authority.contains(UInt8(ascii: "{")) else {
      throw RoutePath.Mistake(
        message: "the host of \"\(text)\" depends on the request", help: "a client could choose whom to ask; write the host itself")
    }
    guard !authority.contains(UInt8(ascii: "@")) else {
      throw RoutePath.Mistake(
        message: "a URL has no place for names and passwords", help: "write headers: { Authorization: '${file:/run/secrets/orders}' }")
    }
    guard Array(authority).withUnsafeBytes({ Authority.canonicalHost($0) }) != nil else {
      throw RoutePath.Mistake(message: "\"\(text)\" names no host", help: "write a URL such as http://orders.example/entities/orders/{id}")
    }
    base = scheme + String(decoding: authority, as: UTF8.self)
    let target = rest[authority.endIndex...]
    let segments = target.prefix { $0 != UInt8(ascii: "?") }.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
    guard target.first == UInt8(ascii: "/") else {
      throw RoutePath.Mistake(message: "\"\(text)\" has no path", help: "write a URL such as http://orders.example/entities/orders/{id}")
    }
    guard !segments.dropFirst().dropLast().contains(where: \.isEmpty), !segments.contains(where: Self.isDots)
    else {
      throw RoutePath.Mistake(
        message: "the path of \"\(text)\" can be read in two ways", help: "no segment of it is empty, . or ..")
    }
    endsInSlash = segments.last?.isEmpty ?? false
    self.target = try TextTemplate(String(decoding: target, as: UTF8.self), for: path, sources)
  }

  /// The fields of a request that the URL is made of.
  var fields: [String] { target.fields }

  /// The URL for a request; refuses one that lacks a value, and values with which the path could be read in two ways.
  func url(_ values: RequestValues.All) throws(Stop) -> String {
    var out = Array(base.utf8)
    for piece in target.pieces {
      if case .literal(let text) = piece {
        out += Array(text.utf8)
      } else if let value = try target.value(of: piece, values) {
        PercentEncoding.append(value.utf8, to: &out)
      } else {
        throw .refuse(.unmappable(detail: "the request lacks \(target.sources), which the URL of its entities is made of"))
      }
    }
    guard out.count <= Self.longestBytes else {
      throw .refuse(.unmappable(detail: "the URL of the request's entities is longer than \(Self.longestBytes) bytes"))
    }
    let segments = out.dropFirst(base.utf8.count).prefix { $0 != UInt8(ascii: "?") }
      .split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false).dropFirst()
    let isUnclear = segments.contains(where: Self.isDots) || (endsInSlash ? segments.dropLast() : segments).contains(where: \.isEmpty)
    guard !isUnclear else {
      throw .refuse(.unmappable(detail: "the URL of the request's entities would have an empty segment, or one of dots"))
    }
    return String(decoding: out, as: UTF8.self)
  }

  private static func isDots(_ segment: ArraySlice<UInt8>) -> Bool { segment.elementsEqual(".".utf8) || segment.elementsEqual("..".utf8) }
}

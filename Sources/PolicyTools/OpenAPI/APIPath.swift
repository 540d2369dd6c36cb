internal import Bytes
internal import Pipeline

/// A path template of an OpenAPI document: `/pets/{petId}`, or with API Gateway's `{proxy+}` for all that follows.
struct APIPath: Sendable {
  enum Segment: Sendable {
    case literal(String)
    /// Its name in the document.
    case parameter(String)
    /// Everything that follows; its name in the document.
    case rest(String)
  }

  /// The base path's segments, then the template's.
  private(set) var segments: [Segment] = []
  private let hasTrailingSlash: Bool
  /// The path as routes write it.
  let route: RoutePath
  /// The base path and the template, as the document writes them.
  let documentText: String

  /// Reads a template that stands below a base path, which is empty or begins with `/` and does not end with one.
  init(_ template: String, below base: String) throws(RoutePath.Mistake) {
    let parts = (base + template).utf8.dropFirst().split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
    guard parts.count <= RoutePath.mostSegments else {
      throw RoutePath.Mistake(message: "it has more than \(RoutePath.mostSegments) segments")
    }
    documentText = base + template
    var route = ""
    var taken: [String] = []
    hasTrailingSlash = parts.last?.isEmpty ?? false
    for (index, part) in parts.enumerated() {
      let word = String(decoding: part, as: UTF8.self)
      if part.isEmpty, index == parts.count - 1 {
        route += "/"
        continue
      }
      let segment = try Self.segment(word)
      segments.append(segment)
      switch segment {
      case .literal: route += "/" + word
      case .parameter(let name): route += "/{\(Self.parameter(name, &taken))}"
      case .rest(let name): route += "/{\(Self.parameter(name, &taken))...}"
      }
    }
    self.route = try RoutePath(route)
  }

  private static func segment(_ word: String) throws(RoutePath.Mistake) -> Segment {
    let bytes = word.utf8
    let isWhole = bytes.first == UInt8(ascii: "{") && bytes.last == UInt8(ascii: "}")
    let inner = isWhole ? String(decoding: bytes.dropFirst().dropLast(), as: UTF8.self) : word
    guard !inner.utf8.contains(where: { $0 == UInt8(ascii: "{") || $0 == UInt8(ascii: "}") }), !isWhole || !inner.isEmpty else {
      throw RoutePath.Mistake(message: "`\(word)` is neither a name nor a parameter: a route's parameter is a whole segment")
    }
    if bytes.contains(where: { $0 < 0x20 || $0 == 0x7f }) { throw RoutePath.Mistake(message: "`\(word)` has a control character") }
    if bytes.contains(ASCII.space) { throw RoutePath.Mistake(message: "`\(word)` has a space, which no route can be written with") }
    if isWhole, inner.utf8.count > 1, inner.utf8.last == UInt8(ascii: "+") {
      return .rest(String(decoding: inner.utf8.dropLast(), as: UTF8.self))
    }
    return isWhole ? .parameter(inner) : .literal(word)
  }

  // Routes allow fewer characters in a name than OpenAPI: `pet-id` becomes `pet_id`.
  private static func parameter(_ name: String, _ taken: inout [String]) -> String {
    var bytes = name.utf8.map { ASCII.isAlpha($0) || ASCII.isDigit($0) ? $0 : UInt8(ascii: "_") }
    if let first = bytes.first, !ASCII.isAlpha(first) { bytes.insert(UInt8(ascii: "p"), at: 0) }
    let plain = String(decoding: bytes, as: UTF8.self)
    var unique = plain
    // Two that became one are told apart; one that the document itself writes twice is for the route's reader to refuse.
    var number = 2
    while taken.contains(where: { exactlyEquals($0, unique) }), !exactlyEquals(plain, name) {
      unique = "\(plain)\(number)"
      number += 1
    }
    taken.append(unique)
    return unique
  }

  /// The names of its parameters in the document.
  var parameters: [String] {
    segments.compactMap { segment in
      switch segment {
      case .literal: nil
      case .parameter(let name), .rest(let name): name
      }
    }
  }

  /// Whether it takes all that follows.
  var hasRest: Bool { segments.contains { if case .rest = $0 { true } else { false } } }

  /// Equal for two paths that match the same requests. (No segment has a slash, and an empty one stands for a parameter.)
  var shape: String {
    segments.map { segment in
      switch segment {
      case .literal(let word): "/" + word
      case .parameter: "/"
      case .rest: "//"
      }
    }.joined() + (hasTrailingSlash ? "/." : "")
  }

  /// A request's path that it matches, each parameter filled with a word, escaped as requests are.
  func target(filling word: String) -> String {
    let path = segments.map { segment -> String in
      switch segment {
      case .literal(let text): "/" + Self.escaped(text)
      case .parameter, .rest: "/" + word
      }
    }.joined()
    return path + (hasTrailingSlash ? "/" : "")
  }

  // RFC 3986 §3.3: what may stand in a segment as it is.
  private static func escaped(_ text: String) -> String {
    PercentEncoding.encode(text.utf8) { PercentEncoding.isUnreserved($0) || "!$&'()*+,=:@".utf8.contains($0) }
  }
}

internal import Bytes
internal import HTTP

/// A path with parameters: `/orders/{id}`, `/files/{rest...}`. Matched on decoded segments, never on text.
public struct RoutePath: Sendable {
  enum Segment: Sendable, Equatable {
    /// These bytes.
    case literal([UInt8])
    /// Any one segment.
    case parameter
  }

  /// As written.
  public let text: String
  private(set) var segments: [Segment] = []
  /// Whether all that follows the segments, at least a `/`, belongs to the route.
  private(set) var hasRest = false
  /// Whether the path ends in `/`.
  private(set) var hasTrailingSlash = false
  /// The parameters by name: places of segments; the rest's is the number of segments before it.
  private(set) var parameters: [(name: String, index: Int)] = []

  /// What is wrong with a path, and what to do.
  public struct Mistake: Error {
    /// What is wrong, one sentence without a final stop.
    public let message: String
    /// What to do about it.
    public var help: String?

    /// A mistake.
    public init(message: String, help: String? = nil) {
      self.message = message
      self.help = help
    }
  }

  /// The longest path that a route is for.
  public static let mostSegments = 64

  /// Reads a path as routes write it.
  public init(_ text: String) throws(Mistake) {
    self.text = text
    guard text.utf8.first == UInt8(ascii: "/") else { throw Mistake(message: "a path begins with /", help: "write 'GET /orders/{id}'") }
    let parts = text.utf8.dropFirst().split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
    guard parts.count <= Self.mostSegments else { throw Mistake(message: "a path of more than \(Self.mostSegments) segments") }
    for (index, part) in parts.enumerated() {
      let isLast = index == parts.count - 1
      let word = String(decoding: part, as: UTF8.self)
      if part.isEmpty {
        guard isLast else {
          throw Mistake(message: "an empty segment in \(text)", help: "requests with // are refused, so no route can be for them")
        }
        hasTrailingSlash = true
        continue
      }
      guard part.contains(UInt8(ascii: "{")) || part.contains(UInt8(ascii: "}")) || part.contains(UInt8(ascii: "*")) else {
        segments.append(.literal(try Self.literal(word)))
        continue
      }
      guard part.first == UInt8(ascii: "{"), part.last == UInt8(ascii: "}"), part.count > 2 else {
        throw Mistake(
          message: "`\(word)` is neither a name nor a parameter",
          help: part.contains(UInt8(ascii: "*")) ? "for everything below write {rest...}" : "a parameter is a whole segment: /orders/{id}")
      }
      var name = String(decoding: part.dropFirst().dropLast(), as: UTF8.self)
      if name.utf8.count > 3, name.utf8.suffix(3).elementsEqual("...".utf8) {
        name = String(decoding: name.utf8.dropLast(3), as: UTF8.self)
        guard isLast else { throw Mistake(message: "{\(name)...} takes all that follows, so nothing can follow it", help: "put it last") }
        hasRest = true
      } else {
        segments.append(.parameter)
      }
      guard Self.isName(name) else {
        throw Mistake(message: "{\(name)} is not a parameter's name", help: "letters, digits and _, beginning with a letter")
      }
      guard !parameters.contains(where: { exactlyEquals($0.name, name) }) else {
        throw Mistake(message: "{\(name)} stands twice in \(text)", help: "give each a name of its own")
      }
      parameters.append((name, hasRest ? segments.count : segments.count - 1))
    }
  }

  private static func isName(_ name: String) -> Bool {
    guard let first = name.utf8.first, ASCII.isAlpha(first) else { return false }
    return name.utf8.allSatisfy { ASCII.isAlpha($0) || ASCII.isDigit($0) || $0 == UInt8(ascii: "_") }
  }

  // Segments are written as they are after decoding: `/a b` and not `/a%20b`, so that a route cannot be passed by another spelling.
  private static func literal(_ word: String) throws(Mistake) -> [UInt8] {
    if word.utf8.contains(UInt8(ascii: "%")) {
      throw Mistake(message: "`\(word)` has an escape", help: "write the segment decoded: requests are decoded before they are matched")
    }
    if word.utf8.contains(where: { $0 == UInt8(ascii: "?") || $0 == UInt8(ascii: "#") }) {
      throw Mistake(message: "`\(word)` has a query", help: "routes match paths; take a query's value with {query.NAME}")
    }
    if word.utf8.contains(where: { $0 < 0x20 || $0 == 0x7f || $0 == UInt8(ascii: "\\") || $0 == UInt8(ascii: ";") }) || word == "."
      || word == ".."
    {
      throw Mistake(message: "no request can have the segment `\(word)`: it would be refused as ambiguous")
    }
    return Array(word.utf8)
  }

  /// Whether a name in it has a letter that is not in lower case.
  var hasCapitals: Bool {
    segments.contains { if case .literal(let bytes) = $0 { bytes.contains { ASCII.lowercased($0) != $0 } } else { false } }
  }

  /// The names of the parameters, in the order of the path.
  public var parameterNames: [String] { parameters.map(\.name) }

  /// Whether two paths match the same requests.
  public func isSameShape(as other: RoutePath) -> Bool {
    segments == other.segments && hasRest == other.hasRest && hasTrailingSlash == other.hasTrailingSlash
  }

  /// The value of a parameter in a path that this one matches.
  func value(ofParameterAt index: Int, in path: DecodedPath) -> String {
    guard hasRest, index == segments.count else { return path.segment(index) }
    let rest = (index..<max(index, path.count)).map { path.segment($0) }.joined(separator: "/")
    return path.hasTrailingSlash && path.count > index ? rest + "/" : rest
  }
}

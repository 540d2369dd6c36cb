internal import Bytes

/// How the service behind a route reads paths, where that is otherwise than exactly.
public struct PathReading: Sendable, Equatable {
  /// Forms that would be ambiguous, and are data for this service.
  public var rules = PathRules.strict
  /// Whether upper and lower case are the same to it.
  public var ignoresCase = false
  /// Whether a final `/` makes no difference to it.
  public var ignoresTrailingSlash = false

  /// Exactly: every byte counts.
  public static let exact = PathReading()

  /// The exact reading.
  public init() {}
}

extension RequestHead {
  /// Reads the path as the service does: what it takes for the same becomes the same, the lower case and no final slash. Or
  /// refuses what it may or may not take for the same. Reading it twice changes nothing, and the target stays as it came.
  public mutating func readPath(as reading: PathReading) throws(HTTPRefusal) { try path.read(as: reading) }
}

extension DecodedPath {
  mutating func read(as reading: PathReading) throws(HTTPRefusal) {
    if let refusal = refusal(under: reading.rules) { throw refusal }
    if reading.ignoresTrailingSlash, count > 0 { hasTrailingSlash = false }
    guard reading.ignoresCase else { return }
    for index in bytes.indices {
      // Beyond ASCII no two libraries agree on what is the same letter.
      if bytes[index] >= 0x80 { throw .pathCaseUnclear }
      bytes[index] = ASCII.lowercased(bytes[index])
    }
  }
}

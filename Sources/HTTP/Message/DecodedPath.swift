internal import Bytes

/// Ambiguous forms of a path that a route may declare to be data, because its upstream reads them as such.
public struct PathRules: OptionSet, Sendable {
  /// The bits.
  public let rawValue: UInt8
  /// A set from its bits.
  public init(rawValue: UInt8) { self.rawValue = rawValue }

  /// `;`, raw or encoded, belongs to its segment: the upstream knows no path parameters.
  public static let semicolonIsData = PathRules(rawValue: 1)
  /// An encoded `/` belongs to its segment: the upstream splits before it decodes.
  public static let encodedSlashIsData = PathRules(rawValue: 2)

  /// Nothing ambiguous is data.
  public static let strict: PathRules = []
}

/// The segments of a path, percent-decoded exactly once: what routes are matched on and resources are mapped from.
///
/// `/a/b/` has the segments `a` and `b` and a trailing slash; `/` has none and a trailing slash.
public struct DecodedPath: Sendable {
  var bytes: [UInt8] = []
  var bounds: [(start: UInt32, end: UInt32)] = []
  /// Whether the path ends in `/`.
  public internal(set) var hasTrailingSlash = false
  /// What ambiguous forms the path has that only a route can allow; empty for nearly every path.
  public internal(set) var ambiguities: PathRules = []

  /// A path without segments.
  public init() {}

  /// How many segments there are.
  public var count: Int { bounds.count }

  /// Lends the bytes of a segment, UTF-8; empty for an index out of range.
  public func withSegment<R>(_ index: Int, _ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
    try bytes.withUnsafeBytes { all in
      guard bounds.indices.contains(index) else { return try body(UnsafeRawBufferPointer(rebasing: all[0..<0])) }
      return try body(all.part(Int(bounds[index].start)..<Int(bounds[index].end)))
    }
  }

  /// How many bytes a segment has; 0 for an index out of range.
  public func byteCount(ofSegment index: Int) -> Int {
    bounds.indices.contains(index) ? Int(bounds[index].end) - Int(bounds[index].start) : 0
  }

  /// A segment; empty for an index out of range.
  public func segment(_ index: Int) -> String { withSegment(index) { String(decoding: $0, as: UTF8.self) } }

  /// All segments.
  public var segments: [String] { (0..<count).map { segment($0) } }

  /// Whether a segment is exactly these UTF-8 bytes.
  public func segment(_ index: Int, equals text: String) -> Bool {
    bounds.indices.contains(index) && withSegment(index) { $0.elementsEqual(text.utf8) }
  }

  /// The first ambiguity that a route's rules do not allow; nil if the path is clear under them.
  public func refusal(under rules: PathRules) -> HTTPRefusal? {
    let rest = ambiguities.subtracting(rules)
    if rest.contains(.encodedSlashIsData) { return .pathEncodedSlash }
    if rest.contains(.semicolonIsData) { return .pathSemicolon }
    return nil
  }

  mutating func removeAll() {
    bytes.removeAll(keepingCapacity: true)
    bounds.removeAll(keepingCapacity: true)
    hasTrailingSlash = false
    ambiguities = []
  }
}

extension DecodedPath {
  /// Reads a raw path of URI bytes that begins with `/`, or refuses it.
  ///
  /// One rule, RFC 3986 §3.3 and §6.2.2 read with suspicion: whatever two servers on the way may read as two paths is
  /// refused, whether they resolve dots before or after decoding, merge slashes, cut at `;` or stop at NUL.
  mutating func read(_ path: UnsafeRawBufferPointer) throws(HTTPRefusal) {
    removeAll()
    guard path.first == UInt8(ascii: "/") else { throw .targetFormUnsupported }
    var start = 1
    var index = 1
    let plain = path.allSatisfy { $0 != UInt8(ascii: "%") }
    if plain { bytes.append(contentsOf: path) }
    while index <= path.count {
      guard index == path.count || path[index] == UInt8(ascii: "/") else {
        switch path[index] {
        case UInt8(ascii: "\\"): throw .pathBackslash
        case UInt8(ascii: ";"): ambiguities.insert(.semicolonIsData)
        default: break
        }
        index += 1
        continue
      }
      let last = index == path.count
      if start == index {
        guard last else { throw .pathEmptySegment }
        hasTrailingSlash = true
      } else if plain {
        try close(from: start, to: index)
      } else {
        let from = bytes.count
        try decode(path.part(start..<index))
        try close(from: from, to: bytes.count)
      }
      index += 1
      start = index
    }
  }

  /// Appends a segment's bytes, escapes decoded.
  private mutating func decode(_ segment: UnsafeRawBufferPointer) throws(HTTPRefusal) {
    let from = bytes.count
    var index = 0
    var wide = false
    while index < segment.count {
      let byte = segment[index]
      guard byte == UInt8(ascii: "%") else {
        bytes.append(byte)
        index += 1
        continue
      }
      guard segment.count - index > 2, let high = ASCII.hexValue(segment[index + 1]), let low = ASCII.hexValue(segment[index + 2]) else {
        throw .pathBadEscape
      }
      let decoded = high << 4 | low
      if decoded < 0x20 || decoded == 0x7f { throw .pathControl }
      switch decoded {
      case UInt8(ascii: "\\"): throw .pathBackslash
      case UInt8(ascii: "/"): ambiguities.insert(.encodedSlashIsData)
      case UInt8(ascii: ";"): ambiguities.insert(.semicolonIsData)
      default: wide = wide || decoded >= 0x80
      }
      bytes.append(decoded)
      index += 3
    }
    guard wide else { return }
    let found = try bytes.lend { all throws(HTTPRefusal) in try Self.lookalikes(in: all.part(from..<all.count)) }
    ambiguities.formUnion(found)
  }

  /// The ambiguities of a segment by characters that some servers turn into `/` or `;`, by normalization (NFKC, NFC) or by
  /// best-fit conversion to an 8-bit character set; refuses what is not UTF-8, and what they turn into `\` or dot segments.
  private static func lookalikes(in segment: UnsafeRawBufferPointer) throws(HTTPRefusal) -> PathRules {
    var iterator = segment.makeIterator()
    var decoder = UTF8()
    var found: PathRules = []
    var folded: [UInt8] = []
    while true {
      switch decoder.decode(&iterator) {
      case .scalarValue(let scalar):
        switch scalar.value {
        case 0xff0f, 0x2044, 0x2215:  // FULLWIDTH SOLIDUS, FRACTION SLASH, DIVISION SLASH
          found.insert(.encodedSlashIsData)
          folded.append(UInt8(ascii: "/"))
        case 0xff1b, 0x037e:  // FULLWIDTH SEMICOLON, GREEK QUESTION MARK
          found.insert(.semicolonIsData)
          folded.append(UInt8(ascii: ";"))
        case 0xff3c, 0xfe68, 0x2216: throw .pathBackslash  // FULLWIDTH and SMALL REVERSE SOLIDUS, SET MINUS
        case 0xff0e, 0xfe52, 0x2024: folded.append(UInt8(ascii: "."))  // FULLWIDTH and SMALL FULL STOP, ONE DOT LEADER
        case 0x2025: folded += [UInt8(ascii: "."), UInt8(ascii: ".")]  // TWO DOT LEADER
        default: folded.append(scalar.value < 0x80 ? UInt8(truncatingIfNeeded: scalar.value) : 0x80)
        }
      case .emptyInput:
        if folded.withUnsafeBytes({ hasDotSegment($0) }) { throw .pathDotSegment }
        return found
      case .error: throw .pathNotUTF8
      }
    }
  }

  /// Ends a segment and refuses it if any reading of it is a dot segment or empty.
  private mutating func close(from start: Int, to end: Int) throws(HTTPRefusal) {
    let (dots, empty) = bytes.withUnsafeBytes { all in
      let segment = all.part(start..<end)
      return (Self.hasDotSegment(segment), ambiguities.isEmpty ? false : Self.hasEmptyPart(segment))
    }
    if dots { throw .pathDotSegment }
    if empty { throw .pathEmptySegment }
    bounds.append((UInt32(truncatingIfNeeded: start), UInt32(truncatingIfNeeded: end)))
  }

  /// Whether a decoded segment is, or has between its decoded slashes, `.` or `..`, path parameters and final spaces cut off.
  private static func hasDotSegment(_ segment: UnsafeRawBufferPointer) -> Bool {
    var index = 0
    while index < segment.count {
      var dots = 0
      while index < segment.count, segment[index] == UInt8(ascii: ".") {
        dots += 1
        index += 1
      }
      if dots == 1 || dots == 2 {
        while index < segment.count, segment[index] == ASCII.space { index += 1 }
        if index == segment.count || segment[index] == UInt8(ascii: ";") || segment[index] == UInt8(ascii: "/") { return true }
      }
      while index < segment.count, segment[index] != UInt8(ascii: "/") { index += 1 }
      index += 1
    }
    return false
  }

  /// Whether there is nothing before, between or after a segment's decoded slashes, or nothing before its `;`.
  private static func hasEmptyPart(_ segment: UnsafeRawBufferPointer) -> Bool {
    var atStart = true
    for byte in segment {
      if atStart, byte == UInt8(ascii: "/") || byte == UInt8(ascii: ";") { return true }
      atStart = byte == UInt8(ascii: "/")
    }
    return atStart
  }
}

internal import Bytes

/// The one rule file for request targets, RFC 9112 §3.2: which forms are served and where their parts lie.
///
/// Nothing is rewritten here: the path and the query that are matched are slices of the bytes that are forwarded.
public enum RequestTarget {
  /// The parts of a target, as ranges of its bytes.
  public struct Parts: Equatable, Sendable {
    /// The authority of an absolute target; nil in origin-form.
    public var authority: Range<Int>?
    /// Whether an absolute target has the scheme `https`.
    public var isHTTPS = false
    /// The raw path; empty only in absolute-form, where it means `/`.
    public var path: Range<Int>
    /// The raw query, without `?`.
    public var query: Range<Int>?
  }

  /// Parts a target and decodes its path, or says why it is refused.
  ///
  /// - Parameters:
  ///   - target: the bytes between the two spaces of the request line.
  ///   - rules: the ambiguities that are data for whoever asks.
  ///   - path: receives the decoded segments; of a refused target it holds what was read.
  public static func read(_ target: UnsafeRawBufferPointer, rules: PathRules = .strict, into path: inout DecodedPath) throws(HTTPRefusal)
    -> Parts
  {
    let parts = try split(target)
    try decode(target, parts, rules: rules, into: &path)
    return parts
  }

  /// Decodes the path of a target that was parted.
  static func decode(
    _ target: UnsafeRawBufferPointer, _ parts: Parts, rules: PathRules, into path: inout DecodedPath
  ) throws(HTTPRefusal) {
    if parts.path.isEmpty {
      path.removeAll()
      path.hasTrailingSlash = true
    } else {
      try path.read(target.part(parts.path))
    }
    if let refusal = path.refusal(under: rules) { throw refusal }
  }

  /// Parts a target into authority, path and query by RFC 3986 §3, without decoding.
  static func split(_ target: UnsafeRawBufferPointer) throws(HTTPRefusal) -> Parts {
    guard let first = target.first else { throw .requestLineMalformed }
    var start = 0
    var authority: Range<Int>?
    var isHTTPS = false
    if first != UInt8(ascii: "/") {
      (authority, isHTTPS) = try readAuthority(target)
      start = authority?.upperBound ?? 0
    }
    // Path bytes up to `?`; query bytes behind it.
    var index = start
    try pathClasses.withUnsafeBufferPointer { classes throws(HTTPRefusal) in
      while index < target.count {
        let kind = classes[Int(target[index])]
        if kind == 0 { break }
        index += 1
      }
    }
    let path = start..<index
    guard index < target.count else { return Parts(authority: authority, isHTTPS: isHTTPS, path: path, query: nil) }
    guard target[index] == UInt8(ascii: "?") else { throw target[index] == UInt8(ascii: "#") ? .targetFragment : .targetInvalid }
    let query = (index + 1)..<target.count
    for byte in target.part(query) where byte == UInt8(ascii: "#") || byte <= 0x20 || byte >= 0x7f {
      throw byte == UInt8(ascii: "#") ? .targetFragment : .targetInvalid
    }
    return Parts(authority: authority, isHTTPS: isHTTPS, path: path, query: query)
  }

  /// The authority of `http://` and `https://` targets; every other form but origin-form is refused here.
  private static func readAuthority(_ target: UnsafeRawBufferPointer) throws(HTTPRefusal) -> (Range<Int>, isHTTPS: Bool) {
    if target.count == 1, target[0] == UInt8(ascii: "*") { throw .targetAsterisk }
    let start: Int
    if target.count > 7, target.part(0..<7).spellsIgnoringCase("http://") {
      start = 7
    } else if target.count > 8, target.part(0..<8).spellsIgnoringCase("https://") {
      start = 8
    } else {
      throw .targetFormUnsupported
    }
    var end = start
    while end < target.count {
      switch target[end] {
      case UInt8(ascii: "/"), UInt8(ascii: "?"), UInt8(ascii: "#"), UInt8(ascii: "\\"):
        guard Authority(target.part(start..<end)) != nil else { throw .targetFormUnsupported }
        return (start..<end, start == 8)
      case UInt8(ascii: "@"): throw .targetUserInformation
      default: end += 1
      }
    }
    guard Authority(target.part(start..<end)) != nil else { throw .targetFormUnsupported }
    return (start..<end, start == 8)
  }

  // 1: pchar, `/`, and what browsers send raw in a path though RFC 3986 has it encoded (`[`, `]`, `|`, `^`), on whose
  // meaning nobody differs; and the backslash, which the path's own rule refuses by its name.
  private static let pathClasses: [UInt8] = {
    var table = [UInt8](repeating: 0, count: 256)
    for byte in 0x30...0x39 { table[byte] = 1 }
    for byte in 0x41...0x5a { table[byte] = 1 }
    for byte in 0x61...0x7a { table[byte] = 1 }
    for byte in "-._~!$&'()*+,;=:@/%[]|^\\".utf8 { table[Int(byte)] = 1 }
    return table
  }()
}

/// The right side of `like`: literal scalars and wildcards, matched against a whole string (Cedar reference, "like").
public struct Pattern: Hashable, Sendable, CustomStringConvertible {
  /// One element.
  public enum Element: Hashable, Sendable {
    /// `*`: any sequence of scalars, also none.
    case wildcard
    /// A literal scalar.
    case scalar(Unicode.Scalar)
  }

  /// The elements in order.
  public let elements: [Element]

  // The literal runs as UTF-8: n wildcards stand between n + 1 runs. UTF-8 is self-synchronising, so matching bytes is
  // matching scalars.
  let runs: [[UInt8]]

  /// A pattern of these elements.
  public init(_ elements: [Element]) {
    self.elements = elements
    var runs: [[UInt8]] = [[]]
    for element in elements {
      switch element {
      case .wildcard: runs.append([])
      case .scalar(let scalar): runs[runs.count - 1].append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
      }
    }
    self.runs = runs
  }

  /// Whether the whole text matches.
  public func matches(_ text: String) -> Bool {
    var text = text
    return text.withUTF8 { (bytes: UnsafeBufferPointer<UInt8>) in matches(bytes) }
  }

  /// Whether the whole UTF-8 text matches.
  public func matches(_ text: UnsafeBufferPointer<UInt8>) -> Bool {
    // The runs side by side, so that both ways of keeping patterns are matched by the same code.
    let bytes = runs.flatMap { $0 }
    return bytes.withUnsafeBufferPointer { all in
      Self.matches(text, count: runs.count) { index in
        let start = runs[..<index].reduce(0) { $0 + $1.count }
        return UnsafeBufferPointer(rebasing: all[start..<(start + runs[index].count)])
      }
    }
  }

  /// Whether a whole text matches runs of bytes with wildcards between them.
  @inline(__always)
  static func matches(_ text: UnsafeBufferPointer<UInt8>, count: Int, _ run: (Int) -> UnsafeBufferPointer<UInt8>) -> Bool {
    let first = run(0)
    if count == 1 { return text.count == first.count && equal(first, text, at: 0) }
    let last = run(count - 1)
    guard text.count >= first.count + last.count, equal(first, text, at: 0), equal(last, text, at: text.count - last.count) else {
      return false
    }
    // Between the ends every run is taken at its first place: if any placing matches, this one does.
    var at = first.count
    let end = text.count - last.count
    for index in 1..<(count - 1) {
      let next = run(index)
      if next.isEmpty { continue }
      guard let found = find(next, in: text, from: at, to: end) else { return false }
      at = found + next.count
    }
    return true
  }

  /// Whether a run stands in a text at a place where it fits.
  @inline(__always)
  private static func equal(_ run: UnsafeBufferPointer<UInt8>, _ text: UnsafeBufferPointer<UInt8>, at start: Int) -> Bool {
    for index in 0..<run.count where text[start &+ index] != run[index] { return false }
    return true
  }

  private static func find(
    _ run: UnsafeBufferPointer<UInt8>, in text: UnsafeBufferPointer<UInt8>, from start: Int, to end: Int
  ) -> Int? {
    var at = start
    while at + run.count <= end {
      if text[at] == run[0], equal(run, text, at: at) { return at }
      at += 1
    }
    return nil
  }

  /// The pattern as it stands between the quotes of a `like`, stars that are literal escaped.
  public var escaped: String {
    var out = ""
    for element in elements {
      switch element {
      case .wildcard: out.append("*")
      case .scalar("*"): out.append("\\*")
      case .scalar(let scalar): out.append(Text.escaped(String(scalar)))
      }
    }
    return out
  }

  /// The pattern as Cedar text, quotes included.
  public var description: String { "\"\(escaped)\"" }
}

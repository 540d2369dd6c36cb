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
    let first = runs[0]
    guard runs.count > 1 else { return text.elementsEqual(first) }
    let last = runs[runs.count - 1]
    guard text.count >= first.count + last.count, text.starts(with: first), text.suffix(last.count).elementsEqual(last) else {
      return false
    }
    // Between the ends every run is taken at its first place: if any placing matches, this one does.
    var at = first.count
    let end = text.count - last.count
    for run in runs[1..<(runs.count - 1)] where !run.isEmpty {
      guard let found = Self.find(run, in: text, from: at, to: end) else { return false }
      at = found + run.count
    }
    return true
  }

  private static func find(_ run: [UInt8], in text: UnsafeBufferPointer<UInt8>, from start: Int, to end: Int) -> Int? {
    let count = run.count
    guard end - start >= count else { return nil }
    let head = run[0]
    var at = start
    let last = end - count
    outer: while at <= last {
      if text[at] != head {
        at += 1
        continue
      }
      var offset = 1
      while offset < count {
        if text[at + offset] != run[offset] {
          at += 1
          continue outer
        }
        offset += 1
      }
      return at
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

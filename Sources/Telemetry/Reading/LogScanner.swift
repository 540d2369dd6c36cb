internal import Bytes

/// Walks over the values of one line of JSON without making anything of them.
struct LogScanner {
  private let line: UnsafeRawBufferPointer
  private var at = 0

  init(_ line: UnsafeRawBufferPointer) { self.line = line }

  private mutating func skipSpace() {
    while at < line.count, line[at] == ASCII.space || line[at] == ASCII.tab || line[at] == ASCII.cr { at += 1 }
  }

  /// Takes a byte, if it is the next that is no space.
  mutating func take(_ byte: UInt8) -> Bool {
    skipSpace()
    guard at < line.count, line[at] == byte else { return false }
    at += 1
    return true
  }

  /// Takes a string; what stands between its quotes, escapes as written.
  mutating func string() -> UnsafeRawBufferPointer? {
    guard take(ASCII.quote) else { return nil }
    let start = at
    guard skipString() else { return nil }
    return UnsafeRawBufferPointer(rebasing: line[start..<(at - 1)])
  }

  /// Takes any value; where it stands.
  mutating func value() -> Range<Int>? {
    skipSpace()
    guard at < line.count else { return nil }
    let start = at
    switch line[at] {
    case ASCII.quote:
      at += 1
      guard skipString() else { return nil }
    case UInt8(ascii: "{"), UInt8(ascii: "["):
      guard skipNested() else { return nil }
    default:
      while at < line.count, !Self.endsScalar(line[at]) { at += 1 }
      guard at > start else { return nil }
    }
    return start..<at
  }

  // From behind the opening quote to behind the closing one.
  private mutating func skipString() -> Bool {
    while at < line.count {
      let byte = line[at]
      at += 1
      if byte == ASCII.quote { return true }
      if byte == ASCII.backslash { at += 1 }
    }
    return false
  }

  // An object or array: brackets are counted and not matched, for nothing is made of what is inside.
  private mutating func skipNested() -> Bool {
    var depth = 0
    while at < line.count {
      let byte = line[at]
      at += 1
      switch byte {
      case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
      case UInt8(ascii: "}"), UInt8(ascii: "]"):
        depth -= 1
        if depth == 0 { return true }
      case ASCII.quote: guard skipString() else { return false }
      default: break
      }
    }
    return false
  }

  private static func endsScalar(_ byte: UInt8) -> Bool {
    byte == UInt8(ascii: ",") || byte == UInt8(ascii: "}") || byte == UInt8(ascii: "]") || byte <= ASCII.space
  }
}

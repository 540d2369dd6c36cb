internal import Bytes

/// Field lines of our own, ready to be copied into a head: each was checked when it was added, so that no value can end its line.
public struct FieldBlock: Sendable, Equatable {
  /// The lines, CRLF included.
  public private(set) var bytes: [UInt8] = []

  /// No lines.
  public init() {}

  /// Whether there are no lines.
  public var isEmpty: Bool { bytes.isEmpty }

  /// Adds a line whose value is sent as it is; false, and nothing added, if the name is not a token or the value has a
  /// control byte, is not ASCII, or begins or ends with white space.
  @discardableResult
  public mutating func append(_ name: String, _ value: String) -> Bool {
    guard !name.isEmpty, name.utf8.allSatisfy(TokenTable.isToken), Self.isPlain(value) else { return false }
    appendLine(name, value.utf8)
    return true
  }

  /// Adds a line for a value from elsewhere (a claim, a group): bytes that are not printable ASCII, `%`, and spaces at the
  /// ends are percent-encoded, so that any string arrives and none can end the line. False only for a bad name.
  @discardableResult
  public mutating func append(_ name: String, encoding value: String) -> Bool {
    guard !name.isEmpty, name.utf8.allSatisfy(TokenTable.isToken) else { return false }
    appendLine(name, Self.encoded(value))
    return true
  }

  /// Adds the lines of another block.
  public mutating func append(_ other: FieldBlock) { bytes.append(contentsOf: other.bytes) }

  /// Gives up the lines and keeps the memory.
  public mutating func removeAll() { bytes.removeAll(keepingCapacity: true) }

  /// The bytes that `append(_:encoding:)` sends for a value.
  static func encoded(_ value: String) -> [UInt8] {
    var out: [UInt8] = []
    let count = value.utf8.count
    out.reserveCapacity(count)
    var index = -1
    PercentEncoding.append(
      value.utf8,
      keeping: { byte in
        index += 1
        let isInnerSpace = byte == ASCII.space && index != 0 && index != count - 1
        return isInnerSpace || (byte > 0x20 && byte < 0x7f && byte != UInt8(ascii: "%"))
      }, to: &out)
    return out
  }

  static func isPlain(_ value: String) -> Bool {
    let bytes = value.utf8
    guard bytes.allSatisfy({ $0 >= 0x20 && $0 < 0x7f }) else { return false }
    return bytes.first != ASCII.space && bytes.last != ASCII.space
  }

  private mutating func appendLine(_ name: String, _ value: some Sequence<UInt8>) {
    bytes.append(contentsOf: name.utf8)
    bytes.append(UInt8(ascii: ":"))
    bytes.append(ASCII.space)
    bytes.append(contentsOf: value)
    bytes.append(ASCII.cr)
    bytes.append(ASCII.lf)
  }
}

internal import Bytes

/// Field lines of our own, ready to be copied into a head: each was checked when it was added, so that no value can end its line.
public struct FieldBlock: Sendable, Equatable {
  /// The lines, CRLF included.
  public private(set) var bytes: [UInt8] = []

  /// No lines.
  public init() {}

  /// No lines yet, and memory for so many bytes of them.
  public init(capacity: Int) { bytes.reserveCapacity(capacity) }

  /// Whether there are no lines.
  public var isEmpty: Bool { bytes.isEmpty }

  /// Adds a line whose value is sent as it is; false, and nothing added, if the name is not a token or the value has a
  /// control byte, is not ASCII, or begins or ends with white space.
  @discardableResult
  public mutating func append(_ name: String, _ value: String) -> Bool {
    var value = value
    return value.withUTF8 { append(name, UnsafeRawBufferPointer($0)) }
  }

  /// The same, for a value that is bytes.
  @discardableResult
  public mutating func append(_ name: String, _ value: UnsafeRawBufferPointer) -> Bool {
    var name = name
    return name.withUTF8 { appendLine(UnsafeRawBufferPointer($0), value: value) }
  }

  /// Adds a line for a value from elsewhere (a claim, a group): bytes that are not printable ASCII, `%`, and spaces at the
  /// ends are percent-encoded, so that any string arrives and none can end the line. False only for a bad name.
  @discardableResult
  public mutating func append(_ name: String, encoding value: String) -> Bool {
    Self.encoded(value).withUnsafeBytes { append(name, $0) }
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

  private static func isPlain(_ value: UnsafeRawBufferPointer) -> Bool {
    for byte in value where byte < 0x20 || byte >= 0x7f { return false }
    return value.first != ASCII.space && value.last != ASCII.space
  }

  private static func isName(_ name: UnsafeRawBufferPointer) -> Bool {
    for byte in name where !TokenTable.isToken(byte) { return false }
    return !name.isEmpty
  }

  private mutating func appendLine(_ name: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer) -> Bool {
    guard Self.isName(name), Self.isPlain(value) else { return false }
    bytes.append(estimate: name.count + value.count + 4) { out in
      out.put(name)
      out.put(ascii: ": ")
      out.put(value)
      out.put(ascii: "\r\n")
    }
    return true
  }
}

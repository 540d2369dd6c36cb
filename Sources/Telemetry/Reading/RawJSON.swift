internal import Bytes

/// A JSON value that was not read yet, and its parts, not read either: so that what was read before is known again by its bytes.
///
/// It refers to memory of whoever reads the log. Nothing is checked but what leads from part to part.
public struct RawJSON {
  /// The bytes of the value as written.
  public let bytes: UnsafeRawBufferPointer

  /// The members of an object: names as written, without their quotes; nil for anything else.
  public var members: [(name: UnsafeRawBufferPointer, value: RawJSON)]? {
    var scanner = LogScanner(bytes)
    guard scanner.take(UInt8(ascii: "{")) else { return nil }
    var members: [(name: UnsafeRawBufferPointer, value: RawJSON)] = []
    if scanner.take(UInt8(ascii: "}")) { return members }
    while true {
      guard let name = scanner.string(), scanner.take(UInt8(ascii: ":")), let value = scanner.value() else { return nil }
      members.append((name, RawJSON(bytes: UnsafeRawBufferPointer(rebasing: bytes[value]))))
      if scanner.take(UInt8(ascii: ",")) { continue }
      return scanner.take(UInt8(ascii: "}")) ? members : nil
    }
  }

  /// The elements of an array; nil for anything else.
  public var elements: [RawJSON]? {
    var scanner = LogScanner(bytes)
    guard scanner.take(UInt8(ascii: "[")) else { return nil }
    var elements: [RawJSON] = []
    if scanner.take(UInt8(ascii: "]")) { return elements }
    while true {
      guard let value = scanner.value() else { return nil }
      elements.append(RawJSON(bytes: UnsafeRawBufferPointer(rebasing: bytes[value])))
      if scanner.take(UInt8(ascii: ",")) { continue }
      return scanner.take(UInt8(ascii: "]")) ? elements : nil
    }
  }
}

internal import Bytes

/// A comma-separated list of tokens, RFC 9110 §5.6.1: elements may be empty, as a recipient must allow.
struct TokenList {
  private let value: UnsafeRawBufferPointer
  private var index = 0
  /// Whether all that was read so far was tokens, commas and white space.
  private(set) var isWellFormed = true

  init(_ value: UnsafeRawBufferPointer) { self.value = value }

  /// Whether anything but white space and commas is left.
  var hasMore: Bool {
    var position = index
    while position < value.count {
      let byte = value[position]
      if byte != UInt8(ascii: ","), byte != ASCII.space, byte != ASCII.tab { return true }
      position += 1
    }
    return false
  }

  /// The next token; nil at the end, or where the list is malformed.
  mutating func next() -> Range<Int>? {
    while index < value.count {
      let byte = value[index]
      if byte == UInt8(ascii: ",") || byte == ASCII.space || byte == ASCII.tab {
        index += 1
        continue
      }
      let start = index
      while index < value.count, TokenTable.isToken(value[index]) { index += 1 }
      let end = index
      while index < value.count, value[index] == ASCII.space || value[index] == ASCII.tab { index += 1 }
      guard end > start, index == value.count || value[index] == UInt8(ascii: ",") else {
        isWellFormed = false
        index = value.count
        return nil
      }
      return start..<end
    }
    return nil
  }
}

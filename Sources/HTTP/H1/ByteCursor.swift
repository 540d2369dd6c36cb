/// Writes into memory that an array lends for one append: each piece costs a copy and a comparison, not a call into the array.
struct ByteCursor {
  private let memory: UnsafeMutableBufferPointer<UInt8>
  /// How many bytes are written.
  private(set) var count = 0
  /// Whether something did not fit; nothing was written beyond the memory.
  private(set) var hasOverflowed = false

  fileprivate init(_ memory: UnsafeMutableBufferPointer<UInt8>) { self.memory = memory }

  /// Writes bytes.
  @inline(__always)
  mutating func put(_ bytes: UnsafeRawBufferPointer) {
    guard bytes.count <= memory.count &- count, let source = bytes.baseAddress, let target = memory.baseAddress else {
      hasOverflowed = hasOverflowed || bytes.count > 0
      return
    }
    UnsafeMutableRawPointer(target + count).copyMemory(from: source, byteCount: bytes.count)
    count &+= bytes.count
  }

  /// Writes bytes.
  @inline(__always)
  mutating func put(_ bytes: [UInt8]) { bytes.withUnsafeBytes { put($0) } }

  /// Writes the UTF-8 of a string.
  mutating func put(_ text: String) {
    var copy = text
    copy.withUTF8 { put(UnsafeRawBufferPointer($0)) }
  }

  /// Writes an ASCII literal.
  @inline(__always)
  mutating func put(ascii text: StaticString) { put(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)) }

  /// Writes a byte.
  @inline(__always)
  mutating func put(_ byte: UInt8) {
    guard count < memory.count else {
      hasOverflowed = true
      return
    }
    memory[count] = byte
    count &+= 1
  }

  /// Writes a number in decimal.
  mutating func put(decimal number: UInt64) {
    // Digits from the last to the first, then one copy: 20 are enough for any number.
    withUnsafeTemporaryAllocation(byteCount: 20, alignment: 1) { digits in
      var rest = number
      var start = 20
      repeat {
        start -= 1
        digits[start] = 0x30 &+ UInt8(truncatingIfNeeded: rest % 10)
        rest /= 10
      } while rest != 0
      put(UnsafeRawBufferPointer(rebasing: digits[start...]))
    }
  }
}

extension [UInt8] {
  /// Appends what `write` writes.
  ///
  /// - Parameter estimate: bytes that are enough; if they are not, it is all written again into more.
  mutating func append(estimate: Int, _ write: (inout ByteCursor) -> Void) {
    var capacity = Swift.max(estimate, 64)
    var isWhole = false
    while !isWhole {
      append(addingCapacity: capacity) { (span: inout OutputSpan<UInt8>) in
        span.withUnsafeMutableBufferPointer { memory, count in
          var cursor = ByteCursor(memory)
          write(&cursor)
          isWhole = !cursor.hasOverflowed
          count = isWhole ? cursor.count : 0
        }
      }
      capacity *= 2
    }
  }
}

internal import Bytes

extension UnsafeRawBufferPointer {
  /// Whether the bytes are exactly those of an ASCII literal.
  @inline(__always)
  func spells(_ text: StaticString) -> Bool {
    let length = text.utf8CodeUnitCount
    guard count == length else { return false }
    for index in 0..<length where self[index] != text.utf8Start[index] { return false }
    return true
  }

  /// Whether the bytes are those of a lower-case ASCII literal, letters compared without case.
  @inline(__always)
  func spellsIgnoringCase(_ lower: StaticString) -> Bool {
    let length = lower.utf8CodeUnitCount
    guard count == length else { return false }
    for index in 0..<length where ASCII.lowercased(self[index]) != lower.utf8Start[index] { return false }
    return true
  }

  /// A part of the buffer; an impossible range is clamped, never a trap.
  @inline(__always)
  func part(_ range: Range<Int>) -> UnsafeRawBufferPointer {
    let lower = Swift.min(Swift.max(range.lowerBound, 0), count)
    let upper = Swift.min(Swift.max(range.upperBound, lower), count)
    return UnsafeRawBufferPointer(rebasing: self[lower..<upper])
  }
}

extension [UInt8] {
  /// `withUnsafeBytes` with typed throws.
  @inline(__always)
  func lend<R, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R {
    try withUnsafeBufferPointer { buffer throws(E) in try body(UnsafeRawBufferPointer(buffer)) }
  }
}

extension Slice<UnsafeRawBufferPointer> {
  /// Without the spaces and tabs at both ends.
  var trimmed: Slice<UnsafeRawBufferPointer> {
    var slice = self
    while let first = slice.first, first == ASCII.space || first == ASCII.tab { slice = slice.dropFirst() }
    while let last = slice.last, last == ASCII.space || last == ASCII.tab { slice = slice.dropLast() }
    return slice
  }
}

extension Range<Int> {
  func moved(by offset: Int) -> Range<Int> { lowerBound + offset..<upperBound + offset }
}

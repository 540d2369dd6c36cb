internal import Bytes

/// Scans for the first byte outside a class, sixteen at a time.
enum ByteScan {
  /// The first index at or after `from` whose byte no field value may have (RFC 9110 §5.5: a control byte other than
  /// tab), or the count.
  @inline(__always)
  static func endOfFieldValue(_ bytes: UnsafeRawBufferPointer, from: Int) -> Int {
    let space = SIMD16<UInt8>(repeating: 0x20)
    let tab = SIMD16<UInt8>(repeating: 0x09)
    let delete = SIMD16<UInt8>(repeating: 0x7f)
    var index = from
    while index &+ 16 <= bytes.count {
      let block = bytes.loadUnaligned(fromByteOffset: index, as: SIMD16<UInt8>.self)
      let bad = ((block .< space) .& (block .!= tab)) .| (block .== delete)
      if let lane = first(bad) { return index &+ lane }
      index &+= 16
    }
    while index < bytes.count {
      let byte = bytes[index]
      if (byte < 0x20 && byte != 0x09) || byte == 0x7f { return index }
      index &+= 1
    }
    return index
  }

  /// The first index at or after `from` whose byte is not visible ASCII, or the count.
  @inline(__always)
  static func endOfVisible(_ bytes: UnsafeRawBufferPointer, from: Int) -> Int {
    // Only `.<` of the unsigned comparisons compiles to vector instructions, so 0x7f and above are what is not below 0x7f.
    let visible = SIMD16<UInt8>(repeating: 0x21)
    let delete = SIMD16<UInt8>(repeating: 0x7f)
    var index = from
    while index &+ 16 <= bytes.count {
      let block = bytes.loadUnaligned(fromByteOffset: index, as: SIMD16<UInt8>.self)
      let bad = (block .< visible) .| .!(block .< delete)
      if let lane = first(bad) { return index &+ lane }
      index &+= 16
    }
    while index < bytes.count, bytes[index] > 0x20, bytes[index] < 0x7f { index &+= 1 }
    return index
  }

  /// The first index at or after `from` whose byte is none of a token68 (RFC 9110 §11.2), its final `=` left out; or the count.
  @inline(__always)
  static func endOfToken68(_ bytes: UnsafeRawBufferPointer, from: Int) -> Int {
    // Whole vectors and no numbers beside them: an operator between a vector and a number is a call for each byte.
    let lower = SIMD16<UInt8>(repeating: 0x20)
    let a = SIMD16<UInt8>(repeating: 0x61)
    let letters = SIMD16<UInt8>(repeating: 26)
    // `-`, `.`, `/` and the digits are neighbours.
    let hyphen = SIMD16<UInt8>(repeating: 0x2d)
    let neighbours = SIMD16<UInt8>(repeating: 13)
    let underscore = SIMD16<UInt8>(repeating: 0x5f)
    let tilde = SIMD16<UInt8>(repeating: 0x7e)
    let plus = SIMD16<UInt8>(repeating: 0x2b)
    var index = from
    while index &+ 16 <= bytes.count {
      let block = bytes.loadUnaligned(fromByteOffset: index, as: SIMD16<UInt8>.self)
      let isLetter = ((block | lower) &- a) .< letters
      let isNeighbour = (block &- hyphen) .< neighbours
      let isMark = (block .== underscore) .| (block .== tilde) .| (block .== plus)
      if let lane = first(.!(isLetter .| isNeighbour .| isMark)) { return index &+ lane }
      index &+= 16
    }
    while index < bytes.count, isToken68(bytes[index]) { index &+= 1 }
    return index
  }

  @inline(__always)
  private static func isToken68(_ byte: UInt8) -> Bool {
    ASCII.isAlpha(byte) || byte &- 0x2d < 13 || byte == UInt8(ascii: "_") || byte == UInt8(ascii: "~") || byte == UInt8(ascii: "+")
  }

  /// The index of the first set lane of a mask, or nil.
  @inline(__always)
  private static func first(_ mask: SIMDMask<SIMD16<Int8>>) -> Int? {
    let words = unsafeBitCast(mask, to: SIMD2<UInt64>.self)
    let low = UInt64(littleEndian: words[0])
    let high = UInt64(littleEndian: words[1])
    guard low | high != 0 else { return nil }
    return low != 0 ? low.trailingZeroBitCount &>> 3 : 8 &+ high.trailingZeroBitCount &>> 3
  }
}

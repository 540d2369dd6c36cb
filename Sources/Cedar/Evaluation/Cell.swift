/// A value as the evaluator holds it: 16 bytes without references.
///
/// Everything that does not fit 64 bits is the number of an entry in a `Layer`, and equal things have equal numbers, so
/// Cedar's `==` compares two cells.
struct Cell: BitwiseCopyable, Equatable {
  enum Tag: UInt8, BitwiseCopyable {
    case bool, long, string, entity, set, record, decimal, ip, datetime, duration
    /// An entry of the layer's unknowns, or −1 for what an operator left of one.
    case unknown
  }

  var bits: Int64
  var tag: Tag

  @inline(__always) init(_ tag: Tag, _ bits: Int64) {
    self.tag = tag
    self.bits = bits
  }

  @inline(__always) init(_ tag: Tag, number: Int32) { self.init(tag, Int64(number)) }

  @inline(__always) init(_ flag: Bool) { self.init(.bool, flag ? 1 : 0) }

  /// The number of the entry.
  @inline(__always) var number: Int32 { Int32(truncatingIfNeeded: bits) }
  @inline(__always) var isTrue: Bool { bits != 0 }

  @inline(__always) static func == (a: Cell, b: Cell) -> Bool { a.bits == b.bits && a.tag == b.tag }

  /// An order that makes lookup in sets possible and means nothing else.
  @inline(__always) static func precedes(_ a: Cell, _ b: Cell) -> Bool {
    a.tag == b.tag ? a.bits < b.bits : a.tag.rawValue < b.tag.rawValue
  }
}

/// Mixing for hash tables whose keys come from outside: seeded once a process.
enum Mix {
  static let seed: UInt64 = .random(in: .min ... .max) | 1

  @inline(__always) static func fold(_ a: UInt64, _ b: UInt64) -> UInt64 {
    let product = a.multipliedFullWidth(by: b)
    return product.high ^ product.low
  }

  @inline(__always) static func hash(_ value: UInt64, _ seed: UInt64) -> UInt64 {
    fold(value ^ seed, 0x9e37_79b9_7f4a_7c15 ^ (seed << 1))
  }

  static func hash(_ bytes: UnsafeBufferPointer<UInt8>, _ seed: UInt64) -> UInt64 {
    let count = bytes.count
    guard let base = bytes.baseAddress, count > 0 else { return hash(0, seed) }
    let raw = UnsafeRawPointer(base)
    var state = seed ^ UInt64(truncatingIfNeeded: count)
    var at = 0
    while count - at > 8 {
      state = fold(state ^ raw.loadUnaligned(fromByteOffset: at, as: UInt64.self), 0xd6e8_feb8_6659_fd93)
      at += 8
    }
    return hash(tail(raw, count), state)
  }

  /// The last bytes of a text, up to eight: with the count, and the bytes before, they say all of it.
  @inline(__always) private static func tail(_ raw: UnsafeRawPointer, _ count: Int) -> UInt64 {
    // Reads that overlap take the place of a loop over single bytes.
    if count >= 8 { return raw.loadUnaligned(fromByteOffset: count - 8, as: UInt64.self) }
    if count >= 4 {
      return UInt64(raw.loadUnaligned(as: UInt32.self)) << 32 | UInt64(raw.loadUnaligned(fromByteOffset: count - 4, as: UInt32.self))
    }
    let (first, middle, last) = (
      raw.load(as: UInt8.self), raw.load(fromByteOffset: count / 2, as: UInt8.self), raw.load(fromByteOffset: count - 1, as: UInt8.self)
    )
    return UInt64(first) << 16 | UInt64(middle) << 8 | UInt64(last)
  }

  /// Whether two texts of the same length are the same.
  @inline(__always) static func isSame(_ a: UnsafeRawPointer, _ b: UnsafeRawPointer, _ count: Int) -> Bool {
    if count == 0 { return true }
    var at = 0
    while count - at > 8 {
      guard a.loadUnaligned(fromByteOffset: at, as: UInt64.self) == b.loadUnaligned(fromByteOffset: at, as: UInt64.self) else {
        return false
      }
      at += 8
    }
    return tail(a, count) == tail(b, count)
  }
}

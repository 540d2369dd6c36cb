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
    guard let base = bytes.baseAddress else { return hash(0, seed) }
    let raw = UnsafeRawPointer(base)
    var count = bytes.count
    var state = seed ^ UInt64(truncatingIfNeeded: count)
    var at = 0
    while count >= 8 {
      state = fold(state ^ raw.loadUnaligned(fromByteOffset: at, as: UInt64.self), 0xd6e8_feb8_6659_fd93)
      at += 8
      count -= 8
    }
    var tail: UInt64 = 0
    while count > 0 {
      tail = tail << 8 | UInt64(base[at])
      at += 1
      count -= 1
    }
    return hash(tail, state)
  }
}

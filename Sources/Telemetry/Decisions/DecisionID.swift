internal import CSystem

/// The name of one decision: a ULID, 48 bits of milliseconds and 80 random bits, 26 characters of Crockford's base 32.
///
/// It sorts by time, is in the caller's answer and in the log line, and says nothing about the request.
public struct DecisionID: Hashable, Sendable, CustomStringConvertible {
  // The 128 bits, the most significant half first.
  let high: UInt64
  let low: UInt64

  /// An identifier from its parts.
  /// - Parameters:
  ///   - milliseconds: Unix time; only the lower 48 bits are used.
  ///   - random: 80 random bits; of `high` only the lower 16 are used.
  public init(milliseconds: UInt64, random: (high: UInt16, low: UInt64)) {
    self.high = milliseconds << 16 | UInt64(random.high)
    self.low = random.low
  }

  /// The 26 characters.
  public var description: String {
    String(unsafeUninitializedCapacity: Self.textLength) { buffer in
      write(to: UnsafeMutableRawBufferPointer(buffer))
      return Self.textLength
    }
  }

  /// The length of the text form.
  public static let textLength = 26

  /// Writes the 26 characters; a buffer that is too short gets none.
  public func write(to buffer: UnsafeMutableRawBufferPointer) {
    guard buffer.count >= Self.textLength else { return }
    Self.alphabet.withUnsafeBufferPointer { digits in
      var high = high
      var low = low
      // 26 digits of 5 bits are 130 bits: the first digit holds the top three.
      for position in stride(from: Self.textLength - 1, through: 0, by: -1) {
        buffer[position] = digits[Int(low & 31)]
        low = low >> 5 | high << 59
        high >>= 5
      }
    }
  }

  private static let alphabet = Array("0123456789ABCDEFGHJKMNPQRSTVWXYZ".utf8)
}

/// Makes the decision identifiers of one worker.
public struct DecisionIDGenerator {
  private var random = RandomWords()

  /// A generator for one thread.
  public init() {}

  /// The next identifier.
  /// - Parameter milliseconds: Unix time now.
  public mutating func next(milliseconds: UInt64) -> DecisionID {
    let high = UInt16(truncatingIfNeeded: random.next())
    return DecisionID(milliseconds: milliseconds, random: (high, random.next()))
  }
}

/// Random words of one thread, from the kernel's generator a block at a time, so that a word costs no system call of its own.
struct RandomWords {
  private var pool = [UInt64](repeating: 0, count: poolWords)
  private var left = 0

  mutating func next() -> UInt64 {
    if left == 0 { refill() }
    left -= 1
    let word = pool[left]
    // What was given out is nowhere else.
    pool[left] = 0
    return word
  }

  private mutating func refill() {
    left = pool.count
    let failed = pool.withUnsafeMutableBytes { csystem_random($0.baseAddress, $0.count) } != 0
    if failed {
      var generator = SystemRandomNumberGenerator()
      for index in pool.indices { pool[index] = generator.next() }
    }
  }

  // 2 KiB: for some hundred requests.
  private static let poolWords = 256
}

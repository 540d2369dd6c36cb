import Crypto
import Testing

struct PublicKeyTests {
  let modulus = TestKeys.rsa.number(.n) ?? []

  @Test("RSA moduli below 2048 bits, above 8192 bits and even ones are refused")
  func moduli() {
    #expect(throws: KeyError.modulusTooSmall(bits: 2047)) {
      try PublicKey.rsa(modulus: [0x7f] + Array(modulus.dropFirst()), exponent: [1, 0, 1])
    }
    #expect(throws: KeyError.modulusTooSmall(bits: 0)) { try PublicKey.rsa(modulus: [], exponent: [1, 0, 1]) }
    #expect(throws: KeyError.modulusTooSmall(bits: 0)) { try PublicKey.rsa(modulus: [UInt8](repeating: 0, count: 256), exponent: [3]) }
    #expect(throws: KeyError.modulusTooLarge(bits: 8193)) {
      try PublicKey.rsa(modulus: [1] + [UInt8](repeating: 0xff, count: 1024), exponent: [1, 0, 1])
    }
    #expect(throws: KeyError.modulusEven) { try PublicKey.rsa(modulus: Array(modulus.dropLast()) + [0xfe], exponent: [1, 0, 1]) }
  }

  @Test("RSA exponents 0, 1, even ones and huge ones are refused; 3 and 65537 are not")
  func exponent() throws {
    for exponent: [UInt8] in [[], [0], [1], [0, 0, 1], [2], [1, 0, 0], [UInt8](repeating: 0xff, count: 9)] {
      #expect(throws: KeyError.exponentUnfit) { try PublicKey.rsa(modulus: modulus, exponent: exponent) }
    }
    for exponent: [UInt8] in [[3], [1, 0, 1], [0, 0, 1, 0, 1]] { _ = try PublicKey.rsa(modulus: modulus, exponent: exponent) }
  }

  @Test("zero bytes before a modulus do not count towards its size")
  func leadingZeros() throws {
    #expect(try PublicKey.rsa(modulus: [0, 0] + modulus, exponent: [1, 0, 1]).kind == .rsa(bits: 2048))
  }

  @Test("a point that is not on the curve, and coordinates of another length, are refused")
  func points() throws {
    let x = try #require(TestKeys.p256.number(.x))
    var y = try #require(TestKeys.p256.number(.y))
    #expect(x.count == 32)
    _ = try PublicKey.ec(.p256, x: x, y: y)
    #expect(throws: KeyError.lengthWrong(found: 31, expected: 32)) { try PublicKey.ec(.p256, x: Array(x.dropFirst()), y: y) }
    #expect(throws: KeyError.lengthWrong(found: 33, expected: 32)) { try PublicKey.ec(.p256, x: x, y: [0] + y) }
    #expect(throws: KeyError.lengthWrong(found: 32, expected: 48)) { try PublicKey.ec(.p384, x: x, y: y) }
    #expect(throws: KeyError.lengthWrong(found: 0, expected: 66)) { try PublicKey.ec(.p521, x: [], y: []) }
    y[31] ^= 1
    #expect(throws: KeyError.notOnCurve) { try PublicKey.ec(.p256, x: x, y: y) }
    let zero = [UInt8](repeating: 0, count: 32)
    #expect(throws: KeyError.notOnCurve) { try PublicKey.ec(.p256, x: zero, y: zero) }
    #expect(throws: KeyError.notOnCurve) { try PublicKey.ec(.p256, x: [UInt8](repeating: 0xff, count: 32), y: zero) }
  }

  @Test("Ed25519 keys have 32 bytes")
  func ed25519() {
    #expect(throws: KeyError.lengthWrong(found: 31, expected: 32)) { try PublicKey.ed25519([UInt8](repeating: 1, count: 31)) }
    #expect(throws: KeyError.lengthWrong(found: 57, expected: 32)) { try PublicKey.ed25519([UInt8](repeating: 1, count: 57)) }
  }

  @Test("a modulus with the structure of ROCA is refused")
  func weakModulus() {
    // A power of 65537 below any primorial has the fingerprint by construction: 65537^128 has 2049 bits.
    var power: [UInt8] = [1]
    for _ in 0..<128 { power = times65537(power) }
    #expect(power.count == 257)
    #expect(throws: KeyError.modulusWeak) { try PublicKey.rsa(modulus: power, exponent: [1, 0, 1]) }
  }

  @Test("a key signs only by algorithms that fit it")
  func unfit() {
    #expect(throws: KeyError.refused) { try TestKeys.rsa.sign([], by: .ed25519) }
    #expect(throws: KeyError.refused) { try TestKeys.p256.sign([], by: .ecdsa(.p384)) }
    #expect(TestKeys.p256.number(.n) == nil)
    #expect(TestKeys.ed25519.number(.y) == nil)
    #expect(TestKeys.rsa.number(.x) == nil)
  }

  /// Big-endian, by the school method.
  private func times65537(_ number: [UInt8]) -> [UInt8] {
    var out = [UInt8](repeating: 0, count: number.count + 2)
    var carry = 0
    for position in 0..<out.count {
      let low = position < number.count ? Int(number[number.count - 1 - position]) : 0
      let high = position >= 2 && position - 2 < number.count ? Int(number[number.count - 1 - (position - 2)]) : 0
      carry += low + high
      out[out.count - 1 - position] = UInt8(carry & 0xff)
      carry >>= 8
    }
    return Array(out.drop { $0 == 0 })
  }
}

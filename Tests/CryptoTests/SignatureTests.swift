import Bytes
import Crypto
import Testing

struct SignatureTests {
  @Test("what a key signs, its public numbers alone verify, and a changed bit or length anywhere does not", arguments: TestKeys.algorithms)
  func roundTrip(algorithm: SignatureAlgorithm) throws {
    let key = TestKeys.key(for: algorithm)
    let message = Array("header.payload".utf8)
    let signature = try key.sign(message, by: algorithm)
    let imported = try publicCopy(of: key)
    let verifier = SignatureVerifier()
    #expect(verifier.verify(algorithm, key: key.publicKey, message: message, signature: signature))
    #expect(verifier.verify(algorithm, key: imported, message: message, signature: signature))
    for index in stride(from: 0, to: signature.count, by: 7) {
      var changed = signature
      changed[index] ^= 1
      #expect(!verifier.verify(algorithm, key: imported, message: message, signature: changed))
    }
    #expect(!verifier.verify(algorithm, key: imported, message: message + [0], signature: signature))
    #expect(!verifier.verify(algorithm, key: imported, message: [], signature: signature))
    #expect(!verifier.verify(algorithm, key: imported, message: message, signature: []))
    #expect(!verifier.verify(algorithm, key: imported, message: message, signature: Array(signature.dropLast())))
    #expect(!verifier.verify(algorithm, key: imported, message: message, signature: signature + [0]))
    #expect(!verifier.verify(algorithm, key: imported, message: message, signature: [0] + signature))
    // After all those failures the context still knows a good one.
    #expect(verifier.verify(algorithm, key: imported, message: message, signature: signature))
  }

  @Test(
    "numbers of a signature that are zero, the group's order, or larger by it are refused, each alone and both", arguments: Curve.allCases)
  func numbersOutOfRange(curve: Curve) throws {
    let algorithm = SignatureAlgorithm.ecdsa(curve)
    let key = TestKeys.key(for: algorithm)
    let message = Array("header.payload".utf8)
    let verifier = SignatureVerifier()
    let order = try #require(Hex.decode(Self.orders[curve] ?? ""))
    let zero = [UInt8](repeating: 0, count: order.count)
    let all = [UInt8](repeating: 0xff, count: order.count)
    for _ in 0..<8 {
      let signature = try key.sign(message, by: algorithm)
      #expect(signature.count == order.count * 2)
      let (r, s) = (Array(signature.prefix(order.count)), Array(signature.suffix(order.count)))
      #expect(verifier.verify(algorithm, key: key.publicKey, message: message, signature: r + s))
      for wrong in [zero, order, all, Self.sum(r, order), Self.sum(s, order)].compactMap({ $0 }) {
        for forged in [wrong + s, r + wrong, wrong + wrong] {
          #expect(!verifier.verify(algorithm, key: key.publicKey, message: message, signature: forged))
        }
      }
      // Of the exact length: neither the numbers' own, nor in DER, nor with zeros before them.
      for forged in [[0] + r + [0] + s, Array(r.dropFirst()) + s.dropFirst(), r, s + r, r + r] {
        #expect(!verifier.verify(algorithm, key: key.publicKey, message: message, signature: forged))
      }
      let der: [UInt8] = [0x30, UInt8(truncatingIfNeeded: signature.count + 4), 0x02, UInt8(r.count)] + r + [0x02, UInt8(s.count)] + s
      #expect(!verifier.verify(algorithm, key: key.publicKey, message: message, signature: der))
    }
  }

  /// SEC 2 §2: the orders of the groups.
  private static let orders: [Curve: String] = [
    .p256: "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551",
    .p384: "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973",
    .p521:
      "01fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409",
  ]

  /// The sum of two numbers of one length, or nil if it is longer.
  private static func sum(_ a: [UInt8], _ b: [UInt8]) -> [UInt8]? {
    var out = a
    var carry = 0
    for index in a.indices.reversed() {
      let sum = Int(a[index]) + Int(b[index]) + carry
      out[index] = UInt8(sum & 0xff)
      carry = sum >> 8
    }
    return carry == 0 ? out : nil
  }

  @Test("an empty message can be signed and verified", arguments: TestKeys.algorithms)
  func emptyMessage(algorithm: SignatureAlgorithm) throws {
    let key = TestKeys.key(for: algorithm)
    let signature = try key.sign([], by: algorithm)
    #expect(SignatureVerifier().verify(algorithm, key: key.publicKey, message: [], signature: signature))
  }

  @Test("a signature is good for its own algorithm only, even with the same key")
  func algorithmsDoNotMix() throws {
    let message = Array("m".utf8)
    let verifier = SignatureVerifier()
    for signing in TestKeys.algorithms {
      let key = TestKeys.key(for: signing)
      let signature = try key.sign(message, by: signing)
      for verifying in TestKeys.algorithms where verifying != signing {
        #expect(!verifier.verify(verifying, key: key.publicKey, message: message, signature: signature), "\(signing) as \(verifying)")
      }
    }
  }

  @Test("another key of the same kind does not verify")
  func otherKey() throws {
    let signature = try TestKeys.rsa.sign([1, 2, 3], by: .rsaPKCS1(.sha256))
    #expect(!SignatureVerifier().verify(.rsaPKCS1(.sha256), key: TestKeys.otherRSA.publicKey, message: [1, 2, 3], signature: signature))
  }

  @Test("a verifier that has seen more keys than it keeps still tells them apart")
  func manyKeys() throws {
    let verifier = SignatureVerifier()
    let keys = try (0..<150).map { _ in try PrivateKey.generateEd25519() }
    let signatures = try keys.map { try $0.sign([7], by: .ed25519) }
    for (index, key) in keys.enumerated() {
      #expect(verifier.verify(.ed25519, key: key.publicKey, message: [7], signature: signatures[index]))
      #expect(!verifier.verify(.ed25519, key: key.publicKey, message: [7], signature: signatures[(index + 1) % keys.count]))
    }
  }

  @Test("threads share a key, each with its own verifier")
  func threads() async throws {
    let signature = try TestKeys.rsa.sign([9], by: .rsaPSS(.sha256))
    let key = TestKeys.rsa.publicKey
    let good = await withTaskGroup(of: Int.self) { group in
      for _ in 0..<4 {
        group.addTask {
          let verifier = SignatureVerifier()
          return (0..<200).count { _ in verifier.verify(.rsaPSS(.sha256), key: key, message: [9], signature: signature) }
        }
      }
      return await group.reduce(0, +)
    }
    #expect(good == 800)
  }

  private func publicCopy(of key: PrivateKey) throws -> PublicKey {
    switch key.publicKey.kind {
    case .rsa: try PublicKey.rsa(modulus: #require(key.number(.n)), exponent: #require(key.number(.e)))
    case .ec(let curve): try PublicKey.ec(curve, x: #require(key.number(.x)), y: #require(key.number(.y)))
    case .ed25519: try PublicKey.ed25519(#require(key.number(.x)))
    }
  }
}

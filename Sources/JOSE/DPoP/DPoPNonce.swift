internal import Bytes
internal import Crypto

/// Nonces that a server gives out so that proofs cannot be made long in advance, RFC 9449 §9. Stateless: a nonce is the number of its
/// period and a code over it, so every worker accepts what any of them gave out.
public struct DPoPNonce: Sendable {
  /// How long a nonce is fresh, in seconds; the one before is still accepted.
  public static let period: Int64 = 60

  private let key: Secret<[UInt8]>

  /// Nonces under a random key of the process's own, at least 32 bytes.
  public init(key: [UInt8]) { self.key = Secret(key) }

  /// The nonce of now, in seconds since 1970.
  public func issue(now: Int64) -> String { nonce(of: Self.number(now)) }

  /// Whether a nonce is that of now or of the period before.
  public func accepts(_ nonce: String, now: Int64) -> Bool {
    let number = Self.number(now)
    return [number, number &- 1].contains { constantTimeEquals(self.nonce(of: $0).utf8, nonce.utf8) }
  }

  private static func number(_ now: Int64) -> Int64 { now / period }

  private func nonce(of number: Int64) -> String {
    let text = withUnsafeBytes(of: number.bigEndian) { Array($0) }
    return Base64URL.encode(text + HMAC.code(.sha256, key: key.exposed, message: text).prefix(16))
  }
}

internal import COpenSSL

/// Checks signatures for one thread. It keeps libcrypto's context of every key it has used, which is worth a sixth of an
/// RS256 check, and so it is neither shared nor sent.
public final class SignatureVerifier {
  private struct Use: Hashable {
    var key: ObjectIdentifier
    var algorithm: SignatureAlgorithm
  }

  // The context holds the key alive, so an identifier is never reused while it is in the table.
  private final class Context {
    let key: PublicKey
    let handle: OpaquePointer

    init?(key: PublicKey, algorithm: SignatureAlgorithm) {
      guard let handle = copenssl_verifier_new(key.handle, algorithm.scheme, algorithm.digestNumber) else { return nil }
      self.key = key
      self.handle = handle
    }

    deinit { copenssl_verifier_free(handle) }
  }

  // Enough for the keys of many issuers; keys that were replaced leave when it is full.
  private static let keptContexts = 64

  private var contexts: [Use: Context] = [:]

  /// A verifier without contexts.
  public init() {}

  /// Whether the signature is the key's own, by that algorithm, over exactly these bytes. Everything that is amiss (a key of
  /// another kind or curve, a signature of another length, numbers out of range) is `false`.
  public func verify(
    _ algorithm: SignatureAlgorithm, key: PublicKey, message: UnsafeRawBufferPointer, signature: UnsafeRawBufferPointer
  ) -> Bool {
    guard algorithm.fits(key.kind), let context = context(for: key, algorithm) else { return false }
    return copenssl_verify(
      context.handle, message.baseAddress, message.count, signature.baseAddress?.assumingMemoryBound(to: UInt8.self), signature.count) == 1
  }

  /// As above, for arrays.
  public func verify(_ algorithm: SignatureAlgorithm, key: PublicKey, message: [UInt8], signature: [UInt8]) -> Bool {
    message.withUnsafeBytes { message in
      signature.withUnsafeBytes { verify(algorithm, key: key, message: message, signature: $0) }
    }
  }

  private func context(for key: PublicKey, _ algorithm: SignatureAlgorithm) -> Context? {
    let use = Use(key: ObjectIdentifier(key), algorithm: algorithm)
    if let kept = contexts[use] { return kept }
    guard let fresh = Context(key: key, algorithm: algorithm) else { return nil }
    if contexts.count >= Self.keptContexts { contexts.removeAll(keepingCapacity: true) }
    contexts[use] = fresh
    return fresh
  }
}

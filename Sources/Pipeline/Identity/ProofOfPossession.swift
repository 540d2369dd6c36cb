internal import Bytes
internal import Crypto
internal import HTTP
public import JOSE

/// What an operator wants of proofs of possession, RFC 9449.
public struct ProofRules: Sendable, Equatable {
  /// Whether a proof must have a nonce of ours, so that none can be made long in advance.
  public var demandsNonce = true
  /// How old a proof may be, in seconds.
  public var maximumAge = Defaults.proofAgeSeconds
  /// The scheme and host that clients write, if not what they say in Host: where something in front of us ends TLS.
  public var origin: String?

  /// The defaults.
  public init() {}
}

/// What is remembered of proofs: the nonces that were given out, and the proofs that were used. One for the whole process; a proof
/// that one worker has seen must not pass at another.
public struct ProofMemory {
  /// The nonces.
  public let nonces: DPoPNonce
  /// Notes a proof that passed every other check, with the time and how long it could be used again, in seconds; says why it must
  /// not pass after all.
  let admit: (DPoPProof, Int64, Int64) -> DPoPError?

  /// A memory that others share: `admit` is called from the threads of those who do.
  public init(nonces: DPoPNonce, admit: @escaping (DPoPProof, Int64, Int64) -> DPoPError?) {
    self.nonces = nonces
    self.admit = admit
  }

  /// A memory of its own.
  public init() {
    var used = DPoPReplayGuard()
    self.init(nonces: DPoPNonce(key: RandomBytes.make(32))) { proof, now, window in
      do throws(DPoPError) {
        try used.admit(proof, now: now, window: window)
        return nil
      } catch {
        return error
      }
    }
  }
}

extension Exchange {
  /// Refuses a request whose sender does not prove that it holds the key of its token, where the route demands that; and a token
  /// that is bound to a key where no proof is asked for: whoever has stolen it would pass.
  mutating func requireProof(of identity: Identity, by credential: Credential, for question: Question, _ facts: Facts) throws(Stop) {
    try requireCertificate(of: identity, for: question)
    guard question.demandsProof else {
      let isCertificates = identity.certificateThumbprint != nil && identity.keyThumbprint == nil
      if identity.isSenderConstrained, !isCertificates { throw .refuse(.token(.senderConstrained)) }
      return
    }
    // The page may run again for the same request; its proof was used once all the same.
    guard !proofIsAdmitted else { return }
    trail.token = trail.token ?? TokenTrace(identity)
    let rules = snapshot.proofs
    do throws(DPoPError) {
      let proofs = head.fields.valueBytes(named: "dpop")
      guard proofs.count == 1, let text = proofs.first else { throw .count(proofs.count) }
      let proof = try DPoPProof.read(text, verifier: facts.proofVerifier)
      let digest = head.fields.withBytes(credential.range) { Digest.sha256($0) }
      let request = DPoPProof.Request(method: head.methodText, target: origin(rules) + head.rawPath)
      try proof.check(
        request, tokenDigest: digest, boundTo: identity.keyThumbprint, now: time, nonces: rules.demandsNonce ? facts.proofs.nonces : nil,
        window: rules.maximumAge)
      if let error = facts.proofs.admit(proof, time, rules.maximumAge + Defaults.clockSkewSeconds) { throw error }
    } catch {
      throw .refuse(.proof(error))
    }
    proofIsAdmitted = true
  }

  private func origin(_ rules: ProofRules) -> String {
    rules.origin ?? "\((client.scheme ?? .http).rawValue)://\(head.fields.value(of: .host) ?? "")"
  }
}

extension DPoPProof {
  fileprivate static func read(_ text: [UInt8], verifier: SignatureVerifier) throws(DPoPError) -> DPoPProof {
    let result: Result<DPoPProof, DPoPError> = text.withUnsafeBytes { bytes in
      do throws(DPoPError) { return .success(try DPoPProof(bytes, verifier: verifier)) } catch { return .failure(error) }
    }
    return try result.get()
  }
}

internal import AWS
internal import Bytes
internal import HTTP
internal import JOSE

/// What of a body is signed.
struct SignedBody: Sendable {
  /// The lower-case hexadecimal SHA-256 of its data, without the framing that it came in.
  let hash: String
  /// How many octets it has.
  let count: UInt64

  init(_ bytes: UnsafeRawBufferPointer) {
    hash = SigV4.hash(bytes)
    count = UInt64(bytes.count)
  }
}

/// With what a request is signed for the service behind. Signs the head as it is sent, and nothing else.
///
/// A class, so that the permit of a request that is not signed carries one word for it.
final class RequestSignature: Sendable {
  private let key: SigningKey
  private let sessionToken: Secret<String>?
  private let payload: String
  private let normalizesPath: Bool

  init(_ credentials: Credentials, _ key: SigningKey, payload: String, _ settings: UpstreamSigning) {
    self.key = key
    sessionToken = credentials.sessionToken
    self.payload = payload
    normalizesPath = settings.normalizesPath
  }

  /// What only a signature says: a client's lines of these names are removed, and every spelling of them.
  static let ownedFields = [
    "authorization", "x-amz-date", "x-amz-content-sha256", "x-amz-security-token", "x-amz-region-set", "x-amz-s3session-token",
  ]

  /// Our lines in the head that is signed.
  func appendFields(to lines: inout FieldBlock, at seconds: Int64) {
    lines.append("X-Amz-Date", Instant.basic(seconds))
    lines.append("X-Amz-Content-Sha256", payload)
    if let sessionToken { lines.append("X-Amz-Security-Token", sessionToken.exposed) }
  }

  /// Signs the head that begins at a place and ends with the bytes: its method, its target, its Host, and of its other lines those
  /// that are about the content or AWS's own, each as it stands there.
  func sign(_ head: inout [UInt8], from start: Int, at seconds: Int64) {
    var lines = head[start...].split(separator: ASCII.lf, omittingEmptySubsequences: false).map { line in
      line.last == ASCII.cr ? line.dropLast() : line
    }
    let first = lines.removeFirst().split(separator: ASCII.space, maxSplits: 2)
    guard first.count == 3 else { return }
    let target = first[1].split(separator: UInt8(ascii: "?"), maxSplits: 1, omittingEmptySubsequences: false)
    var fields: [(name: String, value: String)] = []
    for line in lines {
      guard let colon = line.firstIndex(of: UInt8(ascii: ":")), Self.isSigned(line[..<colon]) else { continue }
      fields.append((Self.text(line[..<colon]), Self.text(line[(colon + 1)...])))
    }
    let request = SigV4.Request(
      method: Self.text(first[0]), path: Self.text(target[0]), query: target.count > 1 ? Self.text(target[1]) : "", fields: fields,
      bodyHash: payload, normalizesPath: normalizesPath, encodesPathTwice: normalizesPath)
    var block = FieldBlock()
    block.append("Authorization", SigV4.authorization(request, with: key, at: seconds))
    // Before the empty line.
    head.removeLast(min(2, head.count))
    head.append(contentsOf: block.bytes)
    head.append(contentsOf: [ASCII.cr, ASCII.lf])
  }

  private static func text(_ bytes: ArraySlice<UInt8>) -> String { String(decoding: bytes, as: UTF8.self) }

  /// Whether lines of a name are signed: what an intermediary may change is not, and what says what is asked for is.
  static func isSigned(_ name: some Collection<UInt8>) -> Bool {
    if ASCII.equalsIgnoringCase(Array(name.prefix(6)), "x-amz-".utf8) { return true }
    return ["host", "content-type", "content-md5"].contains { ASCII.equalsIgnoringCase(name, $0.utf8) }
  }
}

extension Exchange {
  /// With what the request is signed for the service behind; nil where it is not. Waits for credentials, and for the body.
  func signature(for identity: Identity?, observing rejection: Rejection?, _ facts: Facts) throws(Stop) -> (
    RequestSignature, source: String
  )? {
    guard let signing = trail.question?.route?.signing else { return nil }
    try requireSignable()
    let login = try login(of: identity, observing: rejection, signing.settings)
    let question = SigningQuestion(signing: signing.index, generation: snapshot.generation, login: login)
    guard let answer = facts.signing.answer(to: question, at: time, arrival: arrival) else { throw .wait(.credentials(question)) }
    switch answer.outcome {
    case .unavailable(let why): throw .refuse(.credentialsUnavailable(detail: why))
    case .refused(let why): throw .refuse(.credentialsRefused(detail: why))
    case .known(let credentials, let region, let source):
      guard credentials.expiresAt ?? .max > time else { throw .refuse(.credentialsUnavailable(detail: "the credentials have ended")) }
      let payload = try payload(signing)
      let key = facts.signing.key(of: question, credentials, region: region, service: signing.settings.service, at: time)
      return (RequestSignature(credentials, key, payload: payload, signing.settings), source)
    }
  }

  // What the identity pool is shown of whoever asks; nil where the proxy's own credentials sign.
  private func login(of identity: Identity?, observing rejection: Rejection?, _ settings: UpstreamSigning) throws(Stop) -> SigningQuestion
    .Login?
  {
    guard settings.isCallers else { return nil }
    // Nobody was verified, so there is nobody to sign for: what would have refused the request does.
    guard let identity else { throw .refuse(rejection ?? .noToken) }
    guard identity.tokenUse == .id else { throw .refuse(.token(.tokenUse(found: "access", expected: [.id]))) }
    guard let provider = snapshot.issuers.issuers[identity.issuerIndex].loginProvider else {
      throw .refuse(.credentialsRefused(detail: "what a load balancer says is no token that an identity pool takes"))
    }
    let credential = try Credential.find(in: head, for: snapshot.issuers, from: peer, proven: trail.question?.demandsProof ?? false)
    return SigningQuestion.Login(
      provider: provider, token: head.fields.text(credential.range), owner: "\(identity.issuer) \(identity.principalText)")
  }

  private func payload(_ signing: RouteSigning) throws(Stop) -> String {
    guard signing.settings.body == .hash else { return SigV4.unsignedPayload }
    if let body = learned.signedBody { return body.hash }
    switch head.framing {
    case .none, .length(0): return SigV4.hash([])
    case .length, .chunked, .untilClose:
      try signing.body.requireFitting(head)
      throw .wait(.body)
    }
  }

  // What is no text has no canonical form.
  private func requireSignable() throws(Stop) {
    for line in head.fields.lines where head.fields.withBytes(line.name, { RequestSignature.isSigned($0) }) {
      guard head.fields.withBytes(line.value, { String(validating: $0, as: UTF8.self) }) != nil else {
        throw .refuse(.unmappable(detail: "the value of \(head.fields.text(line.name)) is not UTF-8, and cannot be signed"))
      }
    }
  }
}

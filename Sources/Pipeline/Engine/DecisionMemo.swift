internal import AWS
internal import HTTP

/// Answers of engines elsewhere to requests that were seen in the same second: found by what the question is made of, before anyone
/// makes it.
///
/// A question has the time in whole seconds, so that with the second everything in here is over: no answer outlives what its engine
/// or its token allows.
struct DecisionMemo {
  /// Every input of a question: of equal keys the questions are equal.
  struct Key: Hashable {
    fileprivate let identity: ObjectIdentifier
    fileprivate let engine: Int
    fileprivate let inputs: [UInt8]
  }

  private struct Entry {
    // Keeps the identity, so that no other can be where it was.
    let identity: Identity
    let answer: AuthorizationAnswer
  }

  private var entries: [Key: Entry] = [:]
  private var second: Int64 = .min

  /// The answer that was given in this second.
  mutating func answer(to key: Key, at time: Int64) -> AuthorizationAnswer? {
    adopt(time)
    return entries[key]?.answer
  }

  /// Keeps an answer for the rest of its second.
  mutating func keep(_ answer: AuthorizationAnswer, to key: Key, by identity: Identity, at time: Int64) {
    adopt(time)
    guard entries.count < Defaults.remoteAnswers else { return }
    entries[key] = Entry(identity: identity, answer: answer)
  }

  /// Another load is in force.
  mutating func removeAll() { entries.removeAll() }

  private mutating func adopt(_ time: Int64) {
    guard time != second else { return }
    second = time
    entries.removeAll(keepingCapacity: true)
  }
}

extension DecisionMemo.Key {
  /// The key of a request; nil where answers are not remembered for a whole second, or a question has inputs beside the request line,
  /// the host, the token and where it comes from.
  init?(
    _ question: Question, _ identity: Identity, to index: Int, _ engine: RemoteEngine, from peer: Peer, _ head: borrowing RequestHead,
    under snapshot: Snapshot
  ) {
    guard engine.cacheMillis >= 1000, question.route?.asksForMore != true, !snapshot.mapping.readsFields else { return nil }
    self.identity = ObjectIdentifier(identity)
    self.engine = index
    var inputs: [UInt8] = []
    inputs.reserveCapacity(96)
    // None of these can contain the byte that parts them: no head with it is accepted.
    for range in [head.methodRange, head.targetRange, head.fields.range(of: .host) ?? 0..<0] {
      head.fields.withBytes(range) { inputs.append(contentsOf: $0) }
      inputs.append(0)
    }
    if let address = peer.address { inputs.append(contentsOf: address.utf8) }
    inputs.append(0)
    if let certificate = peer.certificate { inputs.append(contentsOf: certificate.thumbprint.utf8) }
    self.inputs = inputs
  }
}

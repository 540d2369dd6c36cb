internal import Pipeline

/// Whoever waits for a fact that the page misses: a request, or a stream whose request is asked about again.
class Waiter {
  /// What the page waits for.
  var waitsFor: Dependency?
  /// Whether it still waits.
  var isWaiting: Bool { waitsFor != nil }
  /// Where the request comes from, for sharing room fairly.
  var origin: [UInt8] { [] }

  /// The fact is there: time to run the page again.
  func goOn() {}
  /// The lookup that the page waits for has an answer.
  func received(_ answer: EntityAnswer) {}
  /// The engine elsewhere that the page waits for has an answer.
  func received(_ answer: RemoteAnswer) {}
  /// There is no room to wait in.
  func turnedAway() {}
}

extension Dependency {
  /// How long to wait for it.
  var patienceMillis: UInt64 {
    switch self {
    case .keys, .loadBalancerKey, .introspection, .body: Defaults.keysWaitMillis
    case .entities(let lookup): lookup.source.timeoutMillis
    // The engine's own clock ends first and says why.
    case .decision(let question): question.timeoutMillis + Defaults.remoteGraceMillis
    }
  }

  /// What it means that it did not come.
  func rejection(_ why: String, issuer: String?) -> Rejection {
    switch self {
    case .introspection: .introspectionUnavailable(issuer: issuer ?? "", detail: why)
    case .entities: .entityLookupFailed(detail: why)
    case .decision: .engineFailed(detail: why)
    case .body: .bodyTimeout
    case .keys, .loadBalancerKey: .keysUnavailable(issuer: issuer ?? "", detail: why)
    }
  }
}

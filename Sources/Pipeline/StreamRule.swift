internal import JOSE
public import Telemetry

/// Which streams end when the request that began them would be refused by now: its token has ended, or what is in force has changed.
public enum StreamRule: String, Sendable, CaseIterable {
  /// Those of other protocols, such as WebSocket.
  case upgrades
  /// These, and responses that still flow.
  case all
  /// None: what was allowed once goes on.
  case never
}

extension Exchange {
  /// Whether the request is asked about again while its stream lasts.
  public func isAskedAgain(upgraded: Bool) -> Bool {
    switch route?.closeStreams ?? snapshot.closeStreams {
    case .upgrades: upgraded
    case .all: true
    case .never: false
    }
  }

  /// The first second, since 1970, in which the token is not accepted any more; nil if nobody was identified.
  public var identityEndsAt: Int64? {
    guard let identity = trail.identity, snapshot.issuers.issuers.indices.contains(identity.issuerIndex) else { return nil }
    let (end, overflow) = identity.expiresAt.addingReportingOverflow(snapshot.issuers.issuers[identity.issuerIndex].rules.clockSkew)
    return overflow ? .max : end
  }

  /// Asks about the same request again, under what is in force now, as another decision.
  ///
  /// A proof of possession was used when the request came. The body was read then too, by the fields of that load: under another
  /// it would be wanted again, and is not there.
  public mutating func askAgain(id: DecisionID, at time: Int64, arrival: UInt64, under snapshot: Snapshot) {
    let body = snapshot.generation == self.snapshot.generation ? learned.body : nil
    self.id = id
    self.time = time
    self.arrival = arrival
    beginAnew(under: snapshot)
    learned.body = body
  }
}

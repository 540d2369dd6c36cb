internal import Cedar
internal import CedarSchema
public import HTTP

/// What annotations of the policies say about the decisions that they determine.
public struct PolicyNotes: Sendable {
  /// How a forbid wants a caller to be refused.
  public struct Manner: Sendable {
    /// The answer's status; nil for the usual one.
    public let status: Status?
    /// What the caller is told; nil for the usual sentence.
    public let message: String?
  }

  private var manners: [PolicyID: Manner] = [:]
  private var audited: Set<PolicyID> = []

  init(_ policies: PolicySet) {
    for id in policies.policies.map(\.id) + policies.links.map(\.id) {
      guard let statement = policies.statement(id) else { continue }
      if statement.annotation("audit") != nil { audited.insert(id) }
      let (status, message) = (statement.annotation("status"), statement.annotation("deny_message"))
      guard status != nil || message != nil else { continue }
      manners[id] = Manner(status: status.flatMap { UInt16($0) }.flatMap { Status(rawValue: $0) }, message: message)
    }
  }

  /// The first manner among the policies that refused.
  func manner(of response: Response) -> Manner? {
    manners.isEmpty ? nil : response.determining.lazy.compactMap { manners[$0] }.first
  }

  /// Whether a decision is to be marked.
  func isAudited(_ response: Response) -> Bool { !audited.isEmpty && response.determining.contains { audited.contains($0) } }
}

extension Exchange {
  /// How the policies that forbade this request want it refused; nil where they do not say, and for every other refusal.
  public var manner: PolicyNotes.Manner? {
    guard trail.rejection == .policyForbids, let response = trail.response else { return nil }
    return snapshot.authorization.notes.manner(of: response)
  }
}

internal import Bytes
internal import Cedar

/// Questions that may be asked in one batch: of one store and, with a token, by the same one; without, of one principal or of one
/// resource. What two of them say of an entity must be the same.
public struct QuestionBatch: Sendable {
  private let first: AuthorizationCall
  private var sharesPrincipal = true
  private var sharesResource = true
  private var entities: [EntityUID: Entity] = [:]
  private var count = 1

  /// A batch that begins with a question.
  public init(_ first: AuthorizationCall) {
    self.first = first
    for entity in first.entities { entities[entity.uid] = entity }
  }

  /// Takes one more, if it fits.
  public mutating func take(_ call: AuthorizationCall) -> Bool {
    guard count < AuthorizationCall.mostInBatch, exactlyEquals(call.policyStore, first.policyStore) else { return false }
    var principal = sharesPrincipal
    var resource = sharesResource
    switch (first.principal, call.principal) {
    case (.token(let a), .token(let b)):
      guard a.isAccessToken == b.isAccessToken, constantTimeEquals(a.text.exposed.utf8, b.text.exposed.utf8) else { return false }
    case (.named(let a), .named(let b)):
      principal = principal && a == b
      resource = resource && call.resource == first.resource
      guard principal || resource else { return false }
    case (.token, .named), (.named, .token): return false
    }
    guard call.entities.allSatisfy({ entity in entities[entity.uid].map { $0 == entity } ?? true }) else { return false }
    for entity in call.entities { entities[entity.uid] = entity }
    guard entities.count <= Self.mostEntities else { return false }
    (sharesPrincipal, sharesResource) = (principal, resource)
    count += 1
    return true
  }

  // Far below what the service takes; a batch is to save calls, not to grow without end.
  private static let mostEntities = 500
}

internal import Cedar

/// A snapshot that another has replaced. Letting go of ten thousand policies takes milliseconds, and whoever lets go last pays:
/// held here until nobody else holds it, that is never a worker amid its requests.
public struct RetiredSnapshot {
  private var snapshot: Snapshot?
  // A cached token lies on its authorizer for longer than exchanges hold the snapshot.
  private var authorizers: [Authorizer]

  /// Holds a snapshot.
  public init(_ snapshot: Snapshot) {
    self.snapshot = snapshot
    authorizers = [snapshot.authorization.authorizer] + (snapshot.shadow.map { [$0.authorizer] } ?? [])
  }

  /// Lets go of what nobody else holds any more; true when that is all of it.
  public mutating func letGo() -> Bool {
    if snapshot != nil {
      guard isKnownUniquelyReferenced(&snapshot) else { return false }
      snapshot = nil
    }
    while let last = authorizers.indices.last, isKnownUniquelyReferenced(&authorizers[last]) { authorizers.removeLast() }
    return authorizers.isEmpty
  }
}

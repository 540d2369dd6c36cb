/// What is known to exist: an attribute or a tag of an expression, both by their shapes (Cedar reference, "capabilities").
struct Capability: Hashable {
  enum Kind: Hashable { case attribute, tag }

  var kind: Kind
  /// Of this expression,
  var of: Int32
  /// this name. Tags may be named by any expression.
  var name: Int32
}

/// What an expression may rely on. Scopes are linked: a new one costs nothing, and a lookup as much as the expression is deep.
final class CapabilityScope {
  private let outer: CapabilityScope?
  private var known: Set<Capability> = []

  init(inside outer: CapabilityScope? = nil) { self.outer = outer }

  func contains(_ capability: Capability) -> Bool {
    var scope: CapabilityScope? = self
    while let here = scope {
      if here.known.contains(capability) { return true }
      scope = here.outer
    }
    return false
  }

  func add(_ capabilities: Set<Capability>) { if !capabilities.isEmpty { known.formUnion(capabilities) } }
}

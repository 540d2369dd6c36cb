internal import Bytes
internal import Cedar

/// Why two types have no type above both.
enum IncompatibilityHint: String, Hashable, Sendable {
  case attributeQualifier =
    "Corresponding attributes of compatible record types must have the same optionality, either both being required or both being optional"
  case recordWidth = "Compatible record types must have exactly the same attributes"
  case entityType = "Different entity types are never compatible even when their attributes would be compatible"
  case entityRecord = "Entity and record types are never compatible even when their attributes would be compatible"
  case none = "Types must be exactly equal to be compatible"
}

/// There is no type above both.
struct Incompatible: Error { let hint: IncompatibilityHint }

extension CedarType {
  /// Whether every value of this type has the other type. Strict: records match exactly, entity types are equal.
  func isSubtype(of other: CedarType, _ mode: ValidationMode) -> Bool {
    switch (self, other) {
    case (.never, _): return true
    case (.true, .bool), (.false, .bool), (.true, .true), (.false, .false), (.bool, .bool), (.long, .long), (.string, .string): return true
    case (.set(let a?), .set(let b?)): return a.isSubtype(of: b, mode)
    case (.set, .set(nil)): return true
    case (.record(let a), .record(let b)): return a.isSubtype(of: b, mode)
    case (.entity(let a), .entity(let b)): return mode == .strict ? a == b : a.isSubset(of: b)
    case (.anyEntity, .anyEntity): return true
    case (.entity, .anyEntity): return mode == .permissive
    case (.extension(let a), .extension(let b)): return a == b
    default: return false
    }
  }

  /// The smallest type above both.
  func leastUpperBound(with other: CedarType, _ mode: ValidationMode) throws(Incompatible) -> CedarType {
    if isSubtype(of: other, mode) { return other }
    if other.isSubtype(of: self, mode) { return self }
    switch (self, other) {
    case (let a, let b) where a.isBoolean && b.isBoolean: return .bool
    case (.set(let a?), .set(let b?)): return .set(try a.leastUpperBound(with: b, mode))
    case (.record(let a), .record(let b)): return .record(try a.leastUpperBound(with: b, mode))
    case (.entity(let a), .entity(let b)):
      if mode == .strict { throw Incompatible(hint: .entityType) }
      return .entity(a.union(b))
    case (.entity, .anyEntity), (.anyEntity, .entity):
      if mode == .strict { throw Incompatible(hint: .entityType) }
      return .anyEntity
    case (.entity, .record), (.anyEntity, .record), (.record, .entity), (.record, .anyEntity): throw Incompatible(hint: .entityRecord)
    default: throw Incompatible(hint: .none)
    }
  }

  /// The smallest type above all; `never` for none.
  static func leastUpperBound(of types: some Sequence<CedarType>, _ mode: ValidationMode) throws(Incompatible) -> CedarType {
    var bound = CedarType.never
    for type in types { bound = try bound.leastUpperBound(with: type, mode) }
    return bound
  }

  /// Whether no value has both types. Only said of entity types: an empty set has every set type.
  func isDisjoint(with other: CedarType) -> Bool {
    if case .entity(let a) = self, case .entity(let b) = other { return a.isDisjoint(with: b) }
    return false
  }
}

extension RecordType {
  func isSubtype(of other: RecordType, _ mode: ValidationMode) -> Bool {
    if isOpen, !other.isOpen { return false }
    // Width: only an open record may have fewer names, and only in permissive mode.
    guard hasSameNames(as: other) || (other.isOpen && mode == .permissive) else { return false }
    return other.attributes.allSatisfy { theirs in
      guard let ours = self[theirs.name] else { return false }
      let qualifier = mode == .strict ? ours.isRequired == theirs.isRequired : ours.isRequired || !theirs.isRequired
      return qualifier && ours.type.isSubtype(of: theirs.type, mode)
    }
  }

  /// Strict: the same names with the same qualifiers. Permissive: the common names, open where names were lost.
  func leastUpperBound(with other: RecordType, _ mode: ValidationMode) throws(Incompatible) -> RecordType {
    if mode == .strict, !hasSameNames(as: other) { throw Incompatible(hint: .recordWidth) }
    var attributes: [Attribute] = []
    for ours in self.attributes {
      guard let theirs = other[ours.name] else { continue }
      do throws(Incompatible) {
        let type = try ours.type.leastUpperBound(with: theirs.type, mode)
        if mode == .strict, ours.isRequired != theirs.isRequired { throw Incompatible(hint: .attributeQualifier) }
        attributes.append(Attribute(ours.name, type, isRequired: ours.isRequired && theirs.isRequired))
      } catch {
        if mode == .strict { throw error }
      }
    }
    let keepsAllNames = attributes.count == self.attributes.count && attributes.count == other.attributes.count
    return RecordType(attributes: attributes, isOpen: isOpen || other.isOpen || !keepsAllNames)
  }
}

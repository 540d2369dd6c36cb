internal import Bytes
internal import Cedar

extension Schema {
  /// The attributes of entities of one or several types: what all of them have.
  func attributes(of union: EntityUnion) -> RecordType {
    guard let first = union.types.first else { return .empty }
    var common = entityType(first)?.attributes ?? .empty
    for type in union.types.dropFirst() {
      let other = entityType(type)?.attributes ?? .empty
      // Permissive: several types only meet there, and what they do not share is left out instead of failing.
      do throws(Incompatible) { common = try common.leastUpperBound(with: other, .permissive) } catch { return .empty }
    }
    return common
  }

  /// The attribute of that name, if every value of the type may be asked for it.
  func attribute(_ name: String, of type: CedarType) -> RecordType.Attribute? {
    switch type {
    case .record(let record): record[name]
    case .entity(let union):
      if let single = union.single { entityType(single)?.attributes[name] } else { attributes(of: union)[name] }
    default: nil
    }
  }

  /// Whether some value of the type may have the attribute.
  func mayHaveAttribute(_ name: String, _ type: CedarType) -> Bool {
    switch type {
    case .never, .anyEntity: true
    case .entity(let union):
      union.types.contains { candidate in
        if let definition = entityType(candidate) { return definition.attributes[name] != nil }
        return !candidate.isAction
      }
    case .record(let record): record.isOpen || record[name] != nil
    default: false
    }
  }

  /// The types of tags that entities of the type can have; types without tags are left out.
  func tagTypes(of type: CedarType) -> [CedarType] {
    var found: [CedarType] = []
    var seen: Set<CedarType> = []
    let definitions: [EntityTypeDefinition] =
      switch type {
      case .entity(let union): union.types.compactMap { entityType($0) }
      case .anyEntity: entityTypes
      default: []
      }
    for definition in definitions { if let tags = definition.tags, seen.insert(tags).inserted { found.append(tags) } }
    return found
  }

  /// The names of the attributes of a type, for did-you-mean.
  func attributeNames(of type: CedarType) -> [String] {
    switch type {
    case .record(let record): record.attributes.map(\.name)
    case .entity(let union): attributes(of: union).attributes.map(\.name)
    default: []
    }
  }

  /// What attributes there are, where none is like the one asked for.
  func attributeList(of type: CedarType) -> String? {
    let names = attributeNames(of: type)
    guard !names.isEmpty else { return "no attributes are declared there" }
    return "declared are: " + names.prefix(10).map { "`\($0)`" }.joined(separator: ", ") + (names.count > 10 ? ", …" : "")
  }
}

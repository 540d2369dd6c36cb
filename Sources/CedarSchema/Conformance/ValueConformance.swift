internal import Cedar

extension CedarType {
  /// Where a value is not of this type; nil if it is. Recursion is bounded by the type's depth.
  func mismatch(with value: Value) -> TypeMismatch? {
    switch (self, value) {
    case (.bool, .bool), (.true, .bool(true)), (.false, .bool(false)), (.long, .long), (.string, .string), (.anyEntity, .entity): return nil
    case (.entity(let union), .entity(let uid)) where union.contains(uid.type): return nil
    case (.set(nil), .set): return nil
    case (.set(let element?), .set(let set)):
      for member in set.elements { if let mismatch = element.mismatch(with: member) { return mismatch } }
      return nil
    case (.record(let type), .record(let record)): return type.mismatch(with: record)
    case (.extension(.decimal), .decimal), (.extension(.ipaddr), .ip), (.extension(.datetime), .datetime),
      (.extension(.duration), .duration):
      return nil
    case (_, .unknown(let unknown)) where self.admits(unknown): return nil
    default:
      return TypeMismatch(
        path: [], problem: "value was expected to have type \(self), but it actually has type \(value.typeName): `\(Self.shown(value))`")
    }
  }

  /// Whether something unknown may turn out to be of this type: a function says what it makes, `unknown` may be anything.
  private func admits(_ unknown: Unknown) -> Bool {
    guard let function = ExtensionFunction(rawValue: unknown.function) else { return false }
    return function == .unknown || function.signature.result == self
  }

  /// A value in a message: long ones are cut.
  private static func shown(_ value: Value) -> String {
    switch value {
    case .set(let set) where set.count > 8: "[…] of \(set.count) elements"
    case .record(let record) where record.count > 8: "{…} of \(record.count) attributes"
    default: String(value.description.prefix(200))
    }
  }
}

extension RecordType {
  /// Where a record is not of this type; nil if it is.
  func mismatch(with record: Record) -> TypeMismatch? {
    for attribute in attributes where attribute.isRequired && record[attribute.name] == nil {
      return TypeMismatch(path: [], problem: "expected the record to have an attribute `\(attribute.name)`, but it does not")
    }
    for field in record.fields {
      guard let attribute = self[field.key] else {
        if isOpen { continue }
        return TypeMismatch(path: [], problem: "record attribute `\(field.key)` should not exist according to the schema")
      }
      if var mismatch = attribute.type.mismatch(with: field.value) {
        mismatch.path.insert(field.key, at: 0)
        return mismatch
      }
    }
    return nil
  }
}

extension Value {
  /// Calls `body` with every entity uid inside the value.
  func forEachUID(_ body: (EntityUID) -> Void) {
    switch self {
    case .entity(let uid): body(uid)
    case .set(let set): for element in set.elements { element.forEachUID(body) }
    case .record(let record): for field in record.fields { field.value.forEachUID(body) }
    default: break
    }
  }
}

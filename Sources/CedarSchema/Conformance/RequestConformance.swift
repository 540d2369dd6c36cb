public import Cedar

extension Schema {
  /// Checks a request: the action is declared and applies to the types of principal and resource, enumerated ids are
  /// listed, the context is exactly of the action's context type.
  ///
  /// Source: Cedar reference, "request validation".
  public func check(_ request: Request) throws(ConformanceError) {
    try checkNames(of: request)
    try check(context: request.context, for: request.action)
  }

  /// Checks a request but for its context.
  public func checkNames(of request: Request) throws(ConformanceError) {
    guard entityType(request.principal.type) != nil else {
      throw .undeclaredPrincipalType(request.principal.type, suggestion: nearestType(to: request.principal.type)?.text)
    }
    try check(request.principal)
    guard entityType(request.resource.type) != nil else {
      throw .undeclaredResourceType(request.resource.type, suggestion: nearestType(to: request.resource.type)?.text)
    }
    try check(request.resource)
    guard let action = action(request.action) else { throw undeclared(request.action) }
    guard action.principals.contains(request.principal.type) else {
      throw .principalType(request.principal.type, action: request.action, valid: action.principals)
    }
    guard action.resources.contains(request.resource.type) else {
      throw .resourceType(request.resource.type, action: request.action, valid: action.resources)
    }
  }

  /// Checks a context against the context type of an action.
  public func check(context: Record, for action: EntityUID) throws(ConformanceError) {
    guard let definition = self.action(action) else { throw undeclared(action) }
    for field in context.fields {
      if let unknown = Self.untyped(in: field.value) {
        throw .context(
          action: action, TypeMismatch(path: [field.key], problem: "nothing says of which type `\(unknown)` is"))
      }
      try checkUIDs(in: field.value)
    }
    if let mismatch = definition.context.mismatch(with: context) { throw .context(action: action, mismatch) }
  }

  /// Something unknown in a value of a context that is not made by a function of an extension type, the only ones that the
  /// reference takes at their word here. (Attributes of entities are taken as they come.)
  private static func untyped(in value: Value) -> Unknown? {
    switch value {
    case .unknown(let unknown):
      if case .extension? = ExtensionFunction(rawValue: unknown.function)?.signature.result { return nil }
      return unknown
    case .set(let set): return set.elements.lazy.compactMap(untyped).first
    case .record(let record): return record.fields.lazy.compactMap { untyped(in: $0.value) }.first
    default: return nil
    }
  }
}

/// A request's principal, action and resource, to be held against the scopes of policies. Scopes never fail.
struct RequestScope {
  unowned(unsafe) let authorizer: Authorizer
  let layer: Layer
  let principal: Int32
  let action: Int32
  let resource: Int32

  init(authorizer: Authorizer, machine: Machine) {
    self.authorizer = authorizer
    layer = machine.layer
    principal = machine.principal.number
    action = machine.action.number
    resource = machine.resource.number
  }

  @inline(__always)
  private func matches(_ match: CompiledPolicy.Match, _ entity: Int32, _ type: Int32, _ uid: Int32) -> Bool {
    switch match {
    case .any: true
    case .equal: uid == entity
    case .in: uid == entity || layer.isAncestor(entity, of: uid)
    case .is: layer.type(ofUID: uid) == type
    default: layer.type(ofUID: uid) == type && (uid == entity || layer.isAncestor(entity, of: uid))
    }
  }

  /// Whether a policy's scope matches. A list of actions that was found under a key counts for the first of its actions
  /// that matches, so that a policy found under several is evaluated once.
  @inline(__always)
  func matches(_ policy: UnsafeMutablePointer<CompiledPolicy>, _ key: Int32) -> Bool {
    guard matches(policy.pointee.principalMatch, policy.pointee.principal, policy.pointee.principalType, principal),
      matches(policy.pointee.resourceMatch, policy.pointee.resource, policy.pointee.resourceType, resource)
    else { return false }
    if policy.pointee.actionMatch != .inAny { return matches(policy.pointee.actionMatch, policy.pointee.action, -1, action) }
    for index in 0..<policy.pointee.actionCount {
      let candidate = authorizer.actionLists[policy.pointee.action &+ index]
      if matches(.in, candidate, -1, action) { return key < 0 || candidate == key }
    }
    return false
  }

  /// Which elements of a policy's scope match.
  func elements(of policy: CompiledPolicy) -> (principal: Bool, action: Bool, resource: Bool) {
    var isAction = false
    if policy.actionMatch == .inAny {
      for index in 0..<policy.actionCount
      where matches(.in, authorizer.actionLists[policy.action &+ index], -1, action) { isAction = true }
    } else {
      isAction = matches(policy.actionMatch, policy.action, -1, action)
    }
    return (
      matches(policy.principalMatch, policy.principal, policy.principalType, principal), isAction,
      matches(policy.resourceMatch, policy.resource, policy.resourceType, resource)
    )
  }
}

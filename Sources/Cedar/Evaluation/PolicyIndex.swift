/// Finds the policies whose scope can match, without looking at the others.
///
/// Every policy is filed under the rarest thing its scope asks for: one principal, resource, action, or type of them. A
/// policy whose scope does not match can neither apply nor fail, because scopes never fail.
final class PolicyIndex {

  enum Kind: Int, CaseIterable {
    case principal, resource, action, principalType, resourceType
  }

  // Lists of policies one after another, and by kind and by the number of a uid or type name where its list stands.
  private let entries: Pool<Int32>
  private let principals: Pool<Layer.Run>
  private let resources: Pool<Layer.Run>
  private let actions: Pool<Layer.Run>
  private let principalTypes: Pool<Layer.Run>
  private let resourceTypes: Pool<Layer.Run>
  private let openRun: Layer.Run

  /// Files every policy; those that an equality files better are handed out in `byEquality`.
  init(
    compiled: Pool<CompiledPolicy>, actionLists: Pool<Int32>, equalities: [LeadingEquality?],
    byEquality: inout [(equality: LeadingEquality, policy: Int32)]
  ) {
    var equalityFrequency: [LeadingEquality: Int32] = [:]
    var pathFrequency: [LeadingEquality.Path: Int32] = [:]
    for number in 0..<compiled.count {
      guard let equality = equalities[Int(compiled[number].statement)] else { continue }
      equalityFrequency[equality, default: 0] += 1
      pathFrequency[equality.path, default: 0] += 1
    }
    var frequency: [[Int32: Int32]] = Kind.allCases.map { _ in [:] }
    for number in 0..<compiled.count {
      Self.forEachKey(compiled[number], actionLists) { kind, key, _ in frequency[kind.rawValue][key, default: 0] += 1 }
    }
    var filed: [[Int32: [Int32]]] = Kind.allCases.map { _ in [:] }
    var open: [Int32] = []
    for number in 0..<compiled.count {
      let policy = compiled[number]
      var best: (kind: Kind, cost: Int32)?
      var costs = [Int32](repeating: 0, count: Kind.allCases.count)
      var offered = [Bool](repeating: false, count: Kind.allCases.count)
      Self.forEachKey(policy, actionLists) { kind, key, _ in
        costs[kind.rawValue] += frequency[kind.rawValue][key] ?? 0
        offered[kind.rawValue] = true
      }
      // `action in []` matches nothing: it is filed nowhere.
      if policy.actionMatch == .inAny, policy.actionCount == 0 { continue }
      for kind in Kind.allCases where offered[kind.rawValue] {
        let cost = costs[kind.rawValue]
        if cost < best?.cost ?? Int32.max { best = (kind, cost) }
      }
      // Every attribute that is asked for costs a lookup in each request, so it must serve some policies.
      if let equality = equalities[Int(policy.statement)], pathFrequency[equality.path] ?? 0 >= Self.worthwhile,
        equalityFrequency[equality] ?? 0 < best?.cost ?? Int32.max
      {
        byEquality.append((equality, Int32(truncatingIfNeeded: number)))
        continue
      }
      guard let best else {
        open.append(Int32(truncatingIfNeeded: number))
        continue
      }
      Self.forEachKey(policy, actionLists) { kind, key, isRepeated in
        if kind == best.kind, !isRepeated { filed[kind.rawValue][key, default: []].append(Int32(truncatingIfNeeded: number)) }
      }
    }
    var entries = Pool<Int32>(capacity: compiled.count)
    func shelve(_ kind: Kind) -> Pool<Layer.Run> {
      let shelf = filed[kind.rawValue]
      var starts = Pool<Layer.Run>(capacity: 4)
      if !shelf.isEmpty {
        let size = Int(shelf.keys.max() ?? 0) + 1
        starts.append(repeating: Layer.Run(start: 0, count: 0), count: size)
        for (key, list) in shelf {
          starts[key] = Layer.Run(start: Int32(truncatingIfNeeded: entries.count), count: Int32(truncatingIfNeeded: list.count))
          for entry in list { entries.append(entry) }
        }
      }
      return starts
    }
    principals = shelve(.principal)
    resources = shelve(.resource)
    actions = shelve(.action)
    principalTypes = shelve(.principalType)
    resourceTypes = shelve(.resourceType)
    openRun = Layer.Run(start: Int32(truncatingIfNeeded: entries.count), count: Int32(truncatingIfNeeded: open.count))
    for entry in open { entries.append(entry) }
    self.entries = entries
  }

  private static let worthwhile: Int32 = 4

  deinit {
    entries.deallocate()
    for kind in Kind.allCases { shelf(kind).deallocate() }
  }

  /// Calls `body` with everything a policy could be filed under; the last argument says that an action list repeats a key.
  private static func forEachKey(_ policy: CompiledPolicy, _ lists: Pool<Int32>, _ body: (Kind, Int32, Bool) -> Void) {
    switch policy.principalMatch {
    case .equal, .in, .isIn: body(.principal, policy.principal, false)
    case .is: body(.principalType, policy.principalType, false)
    default: break
    }
    switch policy.resourceMatch {
    case .equal, .in, .isIn: body(.resource, policy.resource, false)
    case .is: body(.resourceType, policy.resourceType, false)
    default: break
    }
    switch policy.actionMatch {
    case .equal, .in: body(.action, policy.action, false)
    case .inAny:
      for index in 0..<policy.actionCount {
        let key = lists[policy.action &+ index]
        var isRepeated = false
        for earlier in 0..<index where lists[policy.action &+ earlier] == key { isRepeated = true }
        body(.action, key, isRepeated)
      }
    default: break
    }
  }

  @inline(__always) private func shelf(_ kind: Kind) -> Pool<Layer.Run> {
    switch kind {
    case .principal: principals
    case .resource: resources
    case .action: actions
    case .principalType: principalTypes
    case .resourceType: resourceTypes
    }
  }

  /// Calls `body` with every policy filed under a key.
  @inline(__always) func forEach(_ kind: Kind, _ key: Int32, _ body: (Int32) -> Void) {
    let starts = shelf(kind)
    guard Int(key) < starts.count else { return }
    let run = starts[key]
    var at = run.start
    let end = run.start &+ run.count
    while at < end {
      body(entries[at])
      at &+= 1
    }
  }

  /// Calls `body` with every policy whose scope asks for nothing.
  @inline(__always) func forEachOpen(_ body: (Int32) -> Void) {
    for at in openRun.start..<(openRun.start &+ openRun.count) { body(entries[at]) }
  }

  /// Whether any policy is filed under a kind of key.
  @inline(__always) func uses(_ kind: Kind) -> Bool { shelf(kind).count > 0 }
}

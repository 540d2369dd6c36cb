/// Finds the policies whose scope can match, without looking at the others.
///
/// Every policy is filed under the rarest thing its scope asks for: one principal, resource, action, or type of them. A
/// policy whose scope does not match can neither apply nor fail, because scopes never fail. Among those that ask for one principal,
/// the ones that ask for a resource as well are in its order, and the other way round: a principal with many links costs what those
/// to the resource at hand cost.
final class PolicyIndex {

  enum Kind: Int, CaseIterable {
    case principal, resource, action, principalType, resourceType
  }

  // Lists of policies one after another, and by kind and by the number of a uid or type name where its list stands.
  private let entries: Pool<Int32>
  // What each of them asks for beside, −1 for nothing.
  private let besides: Pool<Int32>
  private let principals: Pool<Stretch>
  private let resources: Pool<Stretch>
  private let actions: Pool<Stretch>
  private let principalTypes: Pool<Stretch>
  private let resourceTypes: Pool<Stretch>
  private let openRun: Layer.Run
  /// Whether any list is long enough to be searched.
  let isSearched: Bool

  /// A list: first those that ask for nothing beside, then the others by what they ask for.
  private struct Stretch: BitwiseCopyable {
    var start: Int32 = 0
    var plain: Int32 = 0
    var paired: Int32 = 0
  }

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
    var besides = Pool<Int32>(capacity: compiled.count)
    var isSearched = false
    func shelve(_ kind: Kind) -> Pool<Stretch> {
      let shelf = filed[kind.rawValue]
      var stretches = Pool<Stretch>(capacity: 4)
      guard !shelf.isEmpty else { return stretches }
      stretches.append(repeating: Stretch(), count: Int(shelf.keys.max() ?? 0) + 1)
      for (key, list) in shelf {
        var paired = list.map { (beside: Self.beside(kind, compiled[$0]), policy: $0) }
        paired.sort { ($0.beside, $0.policy) < ($1.beside, $1.policy) }
        let plain = paired.prefix { $0.beside < 0 }.count
        stretches[key] = Stretch(
          start: Int32(truncatingIfNeeded: entries.count), plain: Int32(truncatingIfNeeded: plain),
          paired: Int32(truncatingIfNeeded: list.count - plain))
        isSearched = isSearched || list.count - plain > Self.few
        for entry in paired {
          entries.append(entry.policy)
          besides.append(entry.beside)
        }
      }
      return stretches
    }
    principals = shelve(.principal)
    resources = shelve(.resource)
    actions = shelve(.action)
    principalTypes = shelve(.principalType)
    resourceTypes = shelve(.resourceType)
    openRun = Layer.Run(start: Int32(truncatingIfNeeded: entries.count), count: Int32(truncatingIfNeeded: open.count))
    for entry in open { entries.append(entry) }
    self.entries = entries
    self.besides = besides
    self.isSearched = isSearched
  }

  /// What a policy that is filed under one kind of key asks for beside.
  private static func beside(_ kind: Kind, _ policy: CompiledPolicy) -> Int32 {
    switch kind {
    case .principal: policy.resource
    case .resource: policy.principal
    case .action, .principalType, .resourceType: -1
    }
  }

  // A list of so many is gone through as it is.
  private static let few = 8

  private static let worthwhile: Int32 = 4

  deinit {
    entries.deallocate()
    besides.deallocate()
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

  @inline(__always) private func shelf(_ kind: Kind) -> Pool<Stretch> {
    switch kind {
    case .principal: principals
    case .resource: resources
    case .action: actions
    case .principalType: principalTypes
    case .resourceType: resourceTypes
    }
  }

  /// Calls `body` with every policy filed under a key that can match one whose other side is, or is below, one of `others`; those are
  /// there if `isSearched`.
  @inline(__always) func forEach(_ kind: Kind, _ key: Int32, beside others: Pool<Int32>? = nil, _ body: (Int32) -> Void) {
    let stretches = shelf(kind)
    guard Int(key) < stretches.count else { return }
    let stretch = stretches[key]
    var at = stretch.start
    var end = stretch.start &+ stretch.plain
    if stretch.paired > 0 {
      if let others, Int(stretch.paired) > Self.few, others.count &* Self.few < Int(stretch.paired) {
        for index in 0..<others.count { search(stretch, for: others[index], body) }
      } else {
        end &+= stretch.paired
      }
    }
    while at < end {
      body(entries[at])
      at &+= 1
    }
  }

  /// Calls `body` with every policy of a list that asks for `other` beside.
  private func search(_ stretch: Stretch, for other: Int32, _ body: (Int32) -> Void) {
    var low = stretch.start &+ stretch.plain
    let end = low &+ stretch.paired
    var high = end
    while low < high {
      let middle = low &+ (high &- low) / 2
      if besides[middle] < other { low = middle &+ 1 } else { high = middle }
    }
    while low < end, besides[low] == other {
      body(entries[low])
      low &+= 1
    }
  }

  /// Calls `body` with every policy whose scope asks for nothing.
  @inline(__always) func forEachOpen(_ body: (Int32) -> Void) {
    for at in openRun.start..<(openRun.start &+ openRun.count) { body(entries[at]) }
  }

  /// Whether any policy is filed under a kind of key.
  @inline(__always) func uses(_ kind: Kind) -> Bool { shelf(kind).count > 0 }
}

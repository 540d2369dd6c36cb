internal import Bytes
internal import Cedar
internal import Telemetry

/// `learn`: the least that observed traffic needs, as policies by group and action.
public struct Learn: Sendable {
  /// What a request needs: an action on a resource, or on what is below one.
  private struct Need: Hashable, Sendable {
    let action: EntityUID
    let resource: Scope
  }

  private enum Scope: Hashable, Sendable {
    case only(EntityUID)
    case below(EntityUID)
    case type(EntityType)

    var text: String {
      switch self {
      case .only(let uid): "resource == \(uid)"
      case .below(let uid): "resource in \(uid)"
      case .type(let type): "resource is \(type)"
      }
    }

    var name: String {
      switch self {
      case .only(let uid), .below(let uid): uid.id
      case .type(let type): type.text
      }
    }
  }

  /// Who needed it: one combination of groups, or a principal without any.
  private struct Seen: Sendable {
    var count = 0
    var last = ""
    let groups: [EntityUID]
  }

  private var needs: [Need: [[EntityUID]: Seen]] = [:]
  private var loners: [Need: [EntityUID: Seen]] = [:]
  private var obstacles: [ExactString: Int] = [:]
  private let includesObserved: Bool
  /// How many requests were learned from.
  public private(set) var learned = 0

  /// Nothing learned yet.
  /// - Parameter includesObserved: Whether requests count that no policy permitted, and that passed in observe mode.
  public init(includesObserved: Bool) { self.includesObserved = includesObserved }

  /// Learns from every decision of some whole lines.
  public mutating func run(_ lines: UnsafeRawBufferPointer) {
    var search = LogSearch(LogFilter())
    var reader = RecordedQuestionReader()
    var copy = self
    _ = search.search(lines, isLast: true) { line in
      copy.learn(line, &reader)
      return true
    }
    self = copy
  }

  private mutating func learn(_ line: LogLine, _ reader: inout RecordedQuestionReader) {
    switch line.text(Self.reason).flatMap(DecisionReason.init(rawValue:)) {
    case .policyPermit: break
    case .noPermit where includesObserved && exactlyEquals(line.text(Self.enforced) ?? "", "false"): break
    default: return
    }
    do throws(RecordedQuestionReader.Obstacle) {
      let question = try reader.question(of: line)
      learned += 1
      let need = Need(action: question.request.action, resource: Self.scope(of: question))
      let time = line.text(Self.time) ?? ""
      let groups = question.groups
      if groups.isEmpty {
        Self.count(time, [question.request.principal], in: &loners[need, default: [:]][question.request.principal])
      } else {
        Self.count(time, groups, in: &needs[need, default: [:]][groups])
      }
    } catch {
      obstacles[ExactString(error.reason), default: 0] += 1
    }
  }

  private static func count(_ time: String, _ groups: [EntityUID], in seen: inout Seen?) {
    var known = seen ?? Seen(groups: groups)
    known.count += 1
    if known.last.utf8.lexicographicallyPrecedes(time.utf8) { known.last = time }
    seen = known
  }

  /// The tree that a path is in, below its root; a resource without a tree by its type.
  private static func scope(of question: RecordedQuestionReader.Question) -> Scope {
    let resource = question.request.resource
    var parents: [EntityUID: Set<EntityUID>] = [:]
    for entity in question.entities { parents[entity.uid] = entity.parents }
    // Only the built-in mapping has resources in resources of their own type; routes name types.
    guard parents[resource]?.contains(where: { $0.type == resource.type }) ?? exactlyEquals(resource.id, "/") else {
      return .type(resource.type)
    }
    var here = resource
    var below: EntityUID?
    for _ in 0..<256 {
      guard let above = parents[here]?.first(where: { $0.type == resource.type }) else { break }
      below = here
      here = above
    }
    guard let below else { return .only(resource) }
    return below == resource ? .only(resource) : .below(below)
  }

  // MARK: - Policies

  private struct Rule {
    let need: Need
    let principal: String
    let name: String
    let count: Int
    let last: String
    var note: String?
  }

  /// The policies as Cedar text, the most used first; nothing if nothing was learned.
  public var policies: String {
    var rules: [Rule] = []
    for (need, seen) in Self.merged(needs) { rules += Self.rules(for: need, Array(seen.values)) }
    for (need, seen) in Self.merged(loners) { rules += Self.rules(for: need, seen) }
    rules.sort { a, b in
      if a.count != b.count { return a.count > b.count }
      return (a.principal + a.need.action.description + a.need.resource.text).utf8
        .lexicographicallyPrecedes((b.principal + b.need.action.description + b.need.resource.text).utf8)
    }
    var names: [ExactString: Int] = [:]
    return rules.map { rule in
      let base = Self.word("\(rule.name)-\(rule.need.action.id)-\(rule.need.resource.name)")
      let number = names[ExactString(base), default: 0] + 1
      names[ExactString(base)] = number
      let id = number == 1 ? base : "\(base)-\(number)"
      let note = rule.note.map { "// \($0)\n" } ?? ""
      return """
        // \(LogText.counted(rule.count)) \(rule.count == 1 ? "request" : "requests"), the last on \(Self.word(String(rule.last.prefix(10))))
        \(note)@id("learned-\(id)")
        permit (
          \(rule.principal),
          action == \(rule.need.action),
          \(rule.need.resource.text)
        );

        """
    }.joined(separator: "\n")
  }

  // What is below a resource has the resource itself with it.
  private static func merged<Who>(_ needs: [Need: [Who: Seen]]) -> [Need: [Who: Seen]] {
    var merged = needs
    for (need, seen) in needs {
      guard case .only(let uid) = need.resource else { continue }
      let wider = Need(action: need.action, resource: .below(uid))
      guard merged[wider] != nil else { continue }
      merged[need] = nil
      merged[wider]?.merge(seen) { one, other in
        var both = one
        both.count += other.count
        both.last = one.last.utf8.lexicographicallyPrecedes(other.last.utf8) ? other.last : one.last
        return both
      }
    }
    return merged
  }

  /// The fewest groups that cover everybody who needed something, found greedily: the group with most requests first.
  private static func rules(for need: Need, _ seen: [Seen]) -> [Rule] {
    var rules: [Rule] = []
    var open = seen
    while !open.isEmpty {
      var counts: [EntityUID: Int] = [:]
      for one in open { for group in one.groups { counts[group, default: 0] += one.count } }
      guard let best = counts.max(by: { $0.value == $1.value ? $0.key > $1.key : $0.value < $1.value })?.key else { break }
      let covered = open.filter { $0.groups.contains(best) }
      open.removeAll { $0.groups.contains(best) }
      rules.append(
        Rule(
          need: need, principal: "principal in \(best)", name: shortName(best), count: covered.reduce(0) { $0 + $1.count },
          last: covered.map(\.last).max { $0.utf8.lexicographicallyPrecedes($1.utf8) } ?? ""))
    }
    return rules
  }

  private static func rules(for need: Need, _ seen: [EntityUID: Seen]) -> [Rule] {
    guard seen.count > mostLoners else {
      return seen.map { principal, one in
        Rule(need: need, principal: "principal == \(principal)", name: shortName(principal), count: one.count, last: one.last)
      }
    }
    return Dictionary(grouping: seen) { $0.key.type }.map { type, members in
      Rule(
        need: need, principal: "principal is \(type)", name: type.text, count: members.reduce(0) { $0 + $1.value.count },
        last: members.map(\.value.last).max { $0.utf8.lexicographicallyPrecedes($1.utf8) } ?? "",
        note: "\(LogText.counted(members.count)) principals without a group; a condition on their tokens would be narrower")
    }
  }

  // `viewer` of `demo|viewer`.
  private static func shortName(_ uid: EntityUID) -> String {
    uid.id.utf8.split(separator: UInt8(ascii: "|")).last.map { String(decoding: $0, as: UTF8.self) } ?? uid.type.text
  }

  // A word of a policy's id: nothing that came with a request breaks out of its string or its comment.
  private static func word(_ text: String) -> String {
    var out: [UInt8] = []
    for byte in text.utf8 {
      if ASCII.isAlpha(byte) || ASCII.isDigit(byte) {
        out.append(ASCII.lowercased(byte))
      } else if out.last != UInt8(ascii: "-") {
        out.append(UInt8(ascii: "-"))
      }
    }
    while out.last == UInt8(ascii: "-") { out.removeLast() }
    while out.first == UInt8(ascii: "-") { out.removeFirst() }
    return String(decoding: out.prefix(80), as: UTF8.self)
  }

  /// What could not be learned from, and why; empty if that is nothing.
  public var gaps: String {
    obstacles.sorted { $0.key.string.utf8.lexicographicallyPrecedes($1.key.string.utf8) }
      .map {
        "\(LogText.counted($0.value)) allowed \($0.value == 1 ? "request was" : "requests were") not learned from: \($0.key.string)\n"
      }.joined()
  }

  private static let mostLoners = 50
  private static let reason = RecordedQuestionReader.field("reason")
  private static let enforced = RecordedQuestionReader.field("enforced")
  private static let time = RecordedQuestionReader.field("time")
}

import Cedar

/// Random policies, entities and requests from a small world, so that they meet: a case is a pure function of its seed.
struct RandomCases: RandomNumberGenerator {
  private var state: UInt64
  /// Every fourth case has values that are unknown, and names some; those are evaluated another way.
  private let hasUnknowns: Bool

  init(seed: UInt64) {
    state = seed &* 0x9e37_79b9_7f4a_7c15 | 1
    hasUnknowns = seed % 4 == 0
  }

  mutating func next() -> UInt64 {
    // SplitMix64.
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }

  mutating func pick<T>(_ choices: [T]) -> T { choices[Int.random(in: 0..<choices.count, using: &self)] }
  mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &self) < percent }

  static let types = ["User", "Group", "N::Photo", "Album"]
  static let ids = ["a", "b", "c", "ghost", "é\"", ""]
  static let actions = ["view", "edit", "all"]
  static let keys = ["n", "s", "b", "set", "rec", "ref", "ip", "if", "ü"]

  mutating func uidText() -> String { "\(pick(Self.types))::\(quoted(pick(Self.ids)))" }
  mutating func actionText() -> String { "Action::\"\(pick(Self.actions))\"" }
  func quoted(_ text: String) -> String { "\"" + text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"") + "\"" }

  // MARK: Text

  mutating func expression(_ depth: Int) -> String {
    if depth <= 0 || chance(15) { return leaf() }
    if hasUnknowns, chance(4) { return chance(80) ? "unknown(\"x\")" : "unknown(" + expression(depth - 1) + ")" }
    switch Int.random(in: 0..<24, using: &self) {
    case 0, 1: return "(" + operands(depth, " && ") + ")"
    case 2, 3: return "(" + operands(depth, " || ") + ")"
    case 4: return "!(" + expression(depth - 1) + ")"
    case 5: return "(" + expression(depth - 1) + pick([" == ", " != ", " < ", " <= ", " > ", " >= "]) + expression(depth - 1) + ")"
    case 6: return "(" + expression(depth - 1) + pick([" + ", " - ", " * "]) + expression(depth - 1) + ")"
    case 7: return "(if " + expression(depth - 1) + " then " + expression(depth - 1) + " else " + expression(depth - 1) + ")"
    case 8, 9: return "(" + pick(["principal", "resource", "action", expression(depth - 1)]) + " in " + container(depth) + ")"
    case 10: return "(" + expression(depth - 1) + " has " + path() + ")"
    case 11, 12: return access(depth)
    case 13:
      return "(" + expression(depth - 1) + " like " + quoted(pick(["*", "a*", "*b*", "é*\\*", "abc", ""])).replacing("\\\\*", with: "\\*")
        + ")"
    case 14:
      return "(" + pick(["principal", "resource", expression(depth - 1)]) + " is " + pick(Self.types)
        + (chance(40) ? " in " + container(depth) : "") + ")"
    case 15: return "[" + list(depth) + "]"
    case 16: return "{" + pick(["a", "n", "\"if\""]) + ": " + expression(depth - 1) + ", s: " + expression(depth - 1) + "}"
    case 17:
      return "(" + expression(depth - 1) + ")." + pick(["contains", "containsAll", "containsAny", "getTag", "hasTag"]) + "("
        + expression(depth - 1) + ")"
    case 18: return "(" + expression(depth - 1) + ").isEmpty()"
    case 19: return "principal." + pick(["getTag", "hasTag"]) + "(" + quoted(pick(Self.keys)) + ")"
    case 20: return call(depth)
    case 21: return "-(" + expression(depth - 1) + ")"
    case 22: return "(principal.n" + pick([" < ", " == ", " + "]) + "context.n)"
    default: return "(context." + pick(["s", "n", "set"]) + " == " + leaf() + ")"
    }
  }

  private mutating func operands(_ depth: Int, _ separator: String) -> String {
    (0..<Int.random(in: 2...4, using: &self)).map { _ in expression(depth - 1) }.joined(separator: separator)
  }

  private mutating func list(_ depth: Int) -> String {
    (0..<Int.random(in: 0...3, using: &self)).map { _ in expression(depth - 1) }.joined(separator: ", ")
  }

  private mutating func container(_ depth: Int) -> String {
    chance(60) ? uidText() : chance(50) ? "[" + uidText() + ", " + uidText() + "]" : expression(depth - 1)
  }

  private mutating func path() -> String { chance(50) ? quoted(pick(Self.keys)) : pick(["n", "rec.n", "rec.rec.s", "ref.n", "s", "rec"]) }

  private mutating func access(_ depth: Int) -> String {
    let base = chance(70) ? pick(["principal", "resource", "context", "action"]) : "(" + expression(depth - 1) + ")"
    return base + (chance(60) ? "." + pick(["n", "s", "b", "set", "rec", "ref"]) : "[" + quoted(pick(Self.keys)) + "]")
  }

  private mutating func call(_ depth: Int) -> String {
    switch Int.random(in: 0..<8, using: &self) {
    case 0: return "ip(" + quoted(pick(["10.0.0.1", "10.0.0.0/8", "::1", "no"])) + ")"
    case 1: return "decimal(" + quoted(pick(["1.0", "-0.5", "1", "922337203685477.5807"])) + ")"
    case 2: return "datetime(" + quoted(pick(["2024-01-01", "2024-01-01T10:00:00Z", "x"])) + ")"
    case 3: return "duration(" + quoted(pick(["1h", "-1d2ms", "", "9223372036854775807ms"])) + ")"
    case 4: return "context.ip.isInRange(ip(\"10.0.0.0/8\"))"
    case 5: return "(" + expression(depth - 1) + ")." + pick(["isIpv4", "isLoopback", "toDate", "toTime", "toSeconds", "toDays"]) + "()"
    case 6:
      return "(" + expression(depth - 1) + ")." + pick(["lessThan", "isInRange", "offset", "durationSince"]) + "(" + expression(depth - 1)
        + ")"
    default: return pick(["ip", "decimal", "datetime"]) + "(" + expression(depth - 1) + ")"
    }
  }

  private mutating func leaf() -> String {
    switch Int.random(in: 0..<9, using: &self) {
    case 0: return pick(["true", "false"])
    case 1: return pick(["0", "1", "2", "-1", "9223372036854775807", "-9223372036854775808"])
    case 2: return quoted(pick(["a", "abc", "é*", "", "n", "10.0.0.1"]))
    case 3: return uidText()
    case 4: return pick(["principal", "action", "resource", "context"])
    case 5: return pick(["principal.b", "resource.b", "context.b"])
    case 6: return pick(["[1, 2]", "[]", "[\"a\"]", "{n: 1}", "{}"])
    case 7: return pick(["principal.ref", "resource.set", "context.rec"])
    default: return pick(["true", "1", "\"a\""])
    }
  }

  mutating func policy() -> String {
    var text = chance(70) ? "permit" : "forbid"
    func scope(_ name: String, _ cases: inout RandomCases) -> String {
      switch Int.random(in: 0..<7, using: &cases) {
      case 0, 1: return name
      case 2: return "\(name) == \(cases.uidText())"
      case 3: return "\(name) in \(cases.uidText())"
      case 4: return "\(name) is \(cases.pick(Self.types))"
      case 5: return "\(name) is \(cases.pick(Self.types)) in \(cases.uidText())"
      default: return cases.chance(30) ? cases.pick(["\(name) == ?\(name)", "\(name) in ?\(name)", "\(name) is User in ?\(name)"]) : name
      }
    }
    let action: String
    switch Int.random(in: 0..<5, using: &self) {
    case 0, 1: action = "action"
    case 2: action = "action == \(actionText())"
    case 3: action = "action in \(actionText())"
    default: action = "action in [" + (0..<Int.random(in: 0...3, using: &self)).map { _ in actionText() }.joined(separator: ", ") + "]"
    }
    text += "(\(scope("principal", &self)), \(action), \(scope("resource", &self)))"
    if chance(30) { text += "\nwhen { " + leadingEquality() + (chance(50) ? " && " + expression(2) : "") + " }" }
    for _ in 0..<Int.random(in: 0...2, using: &self) {
      text += "\n" + pick(["when", "when", "unless"]) + " { " + expression(Int.random(in: 0...3, using: &self)) + " }"
    }
    return text + ";\n"
  }

  /// The conditions that policies are filed by; few attributes, so that several policies share one.
  private mutating func leadingEquality() -> String {
    switch Int.random(in: 0..<6, using: &self) {
    case 0, 1: "context.s == " + quoted(pick(["a", "abc", "é*"]))
    case 2: pick(["1", "\"a\""]) + " == principal.n"
    case 3: "context has s && context.s == " + quoted(pick(["a", "b"]))
    case 4: "resource.rec.n == " + pick(["0", "1", "2"])
    default: "principal has ref && principal.ref == " + uidText()
    }
  }

  // MARK: Values

  mutating func uid() -> EntityUID { EntityUID(type: EntityType(unchecked: pick(Self.types)), id: pick(Self.ids)) }
  mutating func action() -> EntityUID { EntityUID(type: EntityType(unchecked: "Action"), id: pick(Self.actions)) }

  mutating func value(_ depth: Int) -> Value {
    if hasUnknowns, chance(10) {
      let name = Value.unknown(Unknown("unknown", [.string("x")]))
      return chance(70) ? name : .unknown(Unknown(pick(["ip", "toDays"]), [name]))
    }
    return switch Int.random(in: 0..<(depth > 0 ? 9 : 6), using: &self) {
    case 0: .bool(chance(50))
    case 1: .long(pick([0, 1, 2, -1, .max, .min]))
    case 2: .string(pick(["a", "abc", "é*", "", "n"]))
    case 3, 4: .entity(uid())
    case 5:
      pick([
        .ip(IPAddress(v4: 0x0a00_0001)), .decimal(Decimal(scaled: 10_000)), .datetime(Datetime(milliseconds: -1)),
        .duration(Duration(milliseconds: 3_600_000)),
      ])
    case 6, 7: .set(ValueSet((0..<Int.random(in: 0...12, using: &self)).map { _ in value(depth - 1) }))
    default: .record(record(depth - 1))
    }
  }

  mutating func record(_ depth: Int) -> Record {
    var fields: [Record.Field] = []
    for key in Self.keys where chance(60) {
      // Most values are of the kind that the key suggests, so that conditions get past their first operator.
      let value: Value =
        switch chance(75) ? key : "" {
        case "n": .long(pick([0, 1, 2, .max]))
        case "s": .string(pick(["a", "abc", "é*"]))
        case "b": .bool(chance(50))
        case "ref": .entity(uid())
        case "ip": .ip(IPAddress(v4: pick([0x0a00_0001, 0x7f00_0001])))
        case "rec" where depth > 0: .record(record(depth - 1))
        default: value(depth)
        }
      fields.append(Record.Field(key, value))
    }
    return Record(lastWins: fields)
  }

  /// Entities whose hierarchy has no cycle: parents come later in a fixed order.
  mutating func entities() -> [Entity] {
    var order: [EntityUID] = []
    for type in Self.types { for id in Self.ids where id != "ghost" { order.append(EntityUID(type: EntityType(unchecked: type), id: id)) } }
    order.shuffle(using: &self)
    var entities: [Entity] = []
    for (index, uid) in order.enumerated() where chance(60) {
      var parents: Set<EntityUID> = []
      for later in order[(index + 1)...] where chance(15) { parents.insert(later) }
      if chance(10) { parents.insert(EntityUID(type: EntityType(unchecked: "Group"), id: "ghost")) }
      entities.append(Entity(uid: uid, attributes: record(2), parents: parents, tags: chance(50) ? record(0) : .empty))
    }
    let all = EntityUID(type: EntityType(unchecked: "Action"), id: "all")
    for id in ["view", "edit"] {
      entities.append(Entity(uid: EntityUID(type: all.type, id: id), parents: chance(60) ? [all] : []))
    }
    return entities
  }

  mutating func request() -> Request { Request(principal: uid(), action: action(), resource: uid(), context: record(2)) }
}

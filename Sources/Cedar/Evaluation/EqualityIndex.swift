/// The equality that a policy's conditions begin with: unless it holds, the policy neither applies nor fails.
struct LeadingEquality: Hashable {
  /// An attribute of the request: a variable and the keys that lead from it.
  struct Path: Hashable {
    var variable: Int32
    var keys: [Int32]
    /// Whether a `has` before the equality makes a missing attribute false instead of an error.
    var isGuarded: Bool
  }

  var path: Path
  /// The constant, as tag and bits of a cell.
  var tag: UInt8
  var bits: Int64

  var cell: Cell { Cell(Cell.Tag(rawValue: tag) ?? .bool, bits) }
}

extension Compiler {
  /// The equality that a clause begins with, if it does; the tree's constants must be known (`begin`).
  func leadingEquality(of condition: Condition, in tree: ExprTree) -> LeadingEquality? {
    guard condition.kind == .when else { return nil }
    guard case .and(let operands) = tree[condition.body] else { return equality(condition.body, tree, isGuarded: false) }
    if let first = equality(operands[0], tree, isGuarded: false) { return first }
    // `e has k && e.k == c`
    guard case .has(let bearer, let keys) = tree[operands[0]], keys.count == 1, operands.count > 1,
      let second = equality(operands[1], tree, isGuarded: true), var path = path(bearer, tree)
    else { return nil }
    path.keys.append(symbols.string(keys[0]))
    return path.keys == second.path.keys && path.variable == second.path.variable ? second : nil
  }

  private func equality(_ id: ExprID, _ tree: ExprTree, isGuarded: Bool) -> LeadingEquality? {
    guard case .comparison(.equal, let a, let b) = tree[id] else { return nil }
    for (side, other) in [(a, b), (b, a)] {
      guard let constant = constant(of: other), var path = path(side, tree) else { continue }
      path.isGuarded = isGuarded
      return LeadingEquality(path: path, tag: constant.tag.rawValue, bits: constant.bits)
    }
    return nil
  }

  private func path(_ id: ExprID, _ tree: ExprTree) -> LeadingEquality.Path? {
    var keys: [Int32] = []
    var here = id
    while true {
      switch tree[here] {
      case .variable(let variable):
        return LeadingEquality.Path(variable: variable.number, keys: keys.reversed(), isGuarded: false)
      case .attribute(let bearer, let key):
        keys.append(symbols.string(key))
        here = bearer
      default: return nil
      }
    }
  }
}

/// Policies by the equality that their conditions begin with: one lookup for each attribute that any policy asks for.
final class EqualityIndex {
  private let groups: Pool<Group>
  private let tables: [HashIndex]
  private let keys: Pool<Int32>
  private let cells: Pool<Entry>
  private let policies: Pool<Int32>

  /// Policies that ask for one attribute.
  private struct Group: BitwiseCopyable {
    var variable: Int32
    var keys: Layer.Run
    var isGuarded: Bool
    /// All of them, one constant after another.
    var all: Layer.Run
  }

  private struct Entry: BitwiseCopyable {
    var cell: Cell
    var policies: Layer.Run
  }

  /// What a path leads to.
  private enum Outcome {
    case value(Cell)
    /// Everything but the last attribute is there.
    case lastMissing
    case failed
  }

  init(_ filed: [(equality: LeadingEquality, policy: Int32)]) {
    var byPath: [LeadingEquality.Path: [(equality: LeadingEquality, policy: Int32)]] = [:]
    for entry in filed { byPath[entry.equality.path, default: []].append(entry) }
    var groups = Pool<Group>()
    var tables: [HashIndex] = []
    var keys = Pool<Int32>()
    var cells = Pool<Entry>()
    var policies = Pool<Int32>()
    for (path, members) in byPath {
      let keyStart = keys.count
      for key in path.keys { keys.append(key) }
      let start = policies.count
      var table = HashIndex(capacity: members.count)
      var byConstant: [LeadingEquality: [Int32]] = [:]
      for member in members { byConstant[member.equality, default: []].append(member.policy) }
      for (equality, numbers) in byConstant {
        table.insert(Self.hash(equality.cell), Int32(truncatingIfNeeded: cells.count))
        cells.append(
          Entry(
            cell: equality.cell,
            policies: Layer.Run(start: Int32(truncatingIfNeeded: policies.count), count: Int32(truncatingIfNeeded: numbers.count))))
        for number in numbers { policies.append(number) }
      }
      tables.append(table)
      groups.append(
        Group(
          variable: path.variable,
          keys: Layer.Run(start: Int32(truncatingIfNeeded: keyStart), count: Int32(truncatingIfNeeded: path.keys.count)),
          isGuarded: path.isGuarded,
          all: Layer.Run(start: Int32(truncatingIfNeeded: start), count: Int32(truncatingIfNeeded: policies.count - start))))
    }
    self.groups = groups
    self.tables = tables
    self.keys = keys
    self.cells = cells
    self.policies = policies
  }

  deinit {
    groups.deallocate()
    for table in tables { table.deallocate() }
    keys.deallocate()
    cells.deallocate()
    policies.deallocate()
  }

  private static func hash(_ cell: Cell) -> UInt64 { Mix.hash(UInt64(bitPattern: cell.bits) ^ UInt64(cell.tag.rawValue) << 56, Mix.seed) }

  /// Calls `body` with every policy whose equality holds, or may fail.
  @inline(__always)
  func forEach(_ machine: Machine, _ body: (Int32) -> Void) {
    for number in 0..<groups.count {
      let group = groups[number]
      var run = group.all
      // A comparison with something unknown fails, wherever on its path that is.
      switch machine.meetsUnknowns ? .failed : resolve(group, machine) {
      case .failed: break
      case .lastMissing: if group.isGuarded { continue }
      case .value(let cell):
        guard let entry = tables[number].find(Self.hash(cell), { cells[$0].cell == cell }) else { continue }
        run = cells[entry].policies
      }
      for at in run.start..<(run.start &+ run.count) { body(policies[at]) }
    }
  }

  private func resolve(_ group: Group, _ machine: Machine) -> Outcome {
    var here = machine.variable(group.variable)
    for index in 0..<group.keys.count {
      let key = keys[group.keys.start &+ index]
      let next: Cell?
      switch here.tag {
      case .record: next = machine.layer.record(here.number, key: key)
      case .entity: next = machine.layer.slot(here.number).flatMap { $0.exists ? machine.layer.record($0.attributes, key: key) : nil }
      default: return .failed
      }
      guard let next else { return index == group.keys.count - 1 ? .lastMissing : .failed }
      here = next
    }
    return .value(here)
  }
}

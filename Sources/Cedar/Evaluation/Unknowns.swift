/// Sees nothing, but asks of every operand whether it is known.
struct UnknownsObserver: EvaluationObserver {
  static var meetsUnknowns: Bool { true }
  @inline(__always) mutating func saw(_ node: Int32, _ cell: Cell) {}
}

extension Cell {
  /// What an operator makes of something unknown.
  fileprivate static let leftover = Cell(.unknown, -1)
}

/// Conditions where something may be unknown (Cedar reference, "partial evaluation").
///
/// An operator leaves something unknown of an unknown operand, and the evaluation goes on: what comes later may fail by
/// itself. Records carry unknowns until the one that is unknown is asked for.
extension Machine {
  /// Takes a step whose operands are not all known; false if it is to be taken as usual.
  @inline(never)
  mutating func passUnknown(_ step: Instruction, _ sp: inout UnsafeMutablePointer<Cell>, _ pc: inout Int) -> Bool {
    let operands: Int
    switch step.opcode {
    case .constant, .variable, .jump, .set, .record: return false
    case .variableAttribute:
      guard needs(step, unknownIn: variable(step.b), path: [step.a]) else { return false }
      sp += 1
      sp.pointee = .leftover
      return true
    case .attribute:
      guard needs(step, unknownIn: sp.pointee, path: [step.a]) else { return false }
      sp.pointee = .leftover
      return true
    case .has:
      guard needs(step, unknownIn: sp.pointee, path: (0..<step.b).map { program.keys[Int(step.a &+ $0)] }) else { return false }
      sp.pointee = .leftover
      return true
    case .and, .or, .bool, .branch, .not, .negate, .like, .is, .isThen, .isEmpty, .equalConstant, .inConstant, .constantContains:
      operands = 1
    case .add, .subtract, .multiply, .equal, .notEqual, .less, .lessOrEqual, .greater, .greaterOrEqual, .in, .contains, .containsAll,
      .containsAny, .getTag, .hasTag:
      operands = 2
    case .call, .undefinedCall: operands = Int(step.b)
    }
    let first = sp - (operands - 1)
    guard let unknown = (0..<operands).first(where: { layer.holdsUnknown(first[$0]) }) else { return false }
    note(first[unknown], step)
    sp = first
    sp.pointee = .leftover
    switch step.opcode {
    case .and, .or: pc = Int(step.a)
    case .isThen: pc = Int(step.b)
    // Neither branch: to where the jump before the second one leads.
    case .branch: pc = Int(program.code[Int(step.a) - 1].a)
    default: break
    }
    return true
  }

  /// Whether a path of keys comes to something unknown before its last key; the last key's value may be unknown.
  private mutating func needs(_ step: Instruction, unknownIn target: Cell, path: [Int32]) -> Bool {
    var here = target
    for key in path {
      let next: Cell?
      switch here.tag {
      case .entity: next = layer.slot(here.number).flatMap { $0.exists ? layer.record($0.attributes, key: key) : nil }
      case .record:
        next = layer.record(here.number, key: key)
        if layer.holdsUnknown(here), !layer.isProjectable(here) {
          // An attribute that is not there is missing whatever the others turn out to be.
          if step.opcode != .has, next == nil { return false }
          note(here, step)
          return true
        }
      default:
        guard layer.holdsUnknown(here) else { return false }
        note(here, step)
        return true
      }
      guard let next else { return false }
      here = next
    }
    return false
  }

  private mutating func note(_ operand: Cell, _ step: Instruction) {
    if needed == nil { needed = (operand, step.node) }
  }

  /// Whether the outcome of a run up to `end` is not all known; then that is its failure.
  @inline(never)
  mutating func failsForUnknown(_ cell: Cell, _ end: Int) -> Bool {
    guard layer.holdsUnknown(cell) else { return false }
    let cause = needed ?? (cell, program.code[end - 1].node)
    let name = layer.nameOfUnknown(in: cause.operand) ?? ExtensionFunction.unknown.rawValue
    failure = (EvaluationError(.nonvalue, "the expression contains an unknown: `\(name)`"), cause.node)
    return true
  }
}

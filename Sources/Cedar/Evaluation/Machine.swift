/// Sees what an evaluation does; asked for or not, the evaluation is the same.
protocol EvaluationObserver {
  /// Whether unknowns may be met at all; where not, no step asks for them.
  static var meetsUnknowns: Bool { get }
  /// The expression with that number has that value.
  mutating func saw(_ node: Int32, _ cell: Cell)
}

/// Sees nothing and costs nothing.
struct NoObserver: EvaluationObserver {
  static var meetsUnknowns: Bool { @inline(__always) get { false } }
  @inline(__always) mutating func saw(_ node: Int32, _ cell: Cell) {}
}

/// Runs compiled conditions over cells.
struct Machine {
  // Whoever makes a machine holds the program and the layers for as long as it runs.
  unowned(unsafe) let program: FrozenProgram
  let layer: Layer
  let stack: UnsafeMutablePointer<Cell>
  let principal: Cell
  let action: Cell
  let resource: Cell
  let context: Cell
  /// Whether an operand may be unknown; then conditions are run with an observer that says so.
  let meetsUnknowns: Bool
  /// The entity whose ancestors were asked for last, and they: policies ask about the same few.
  private var lineage: (uid: Int32, list: UnsafeBufferPointer<Int32>) = (-1, UnsafeBufferPointer(start: nil, count: 0))
  /// The first operand of the run at hand in which something is unknown, and of which operator.
  var needed: (operand: Cell, node: Int32)?
  /// What the last run that gave nil failed with, and at which expression.
  var failure: (error: EvaluationError, node: Int32)?

  init(
    program: FrozenProgram, layer: Layer, stack: UnsafeMutablePointer<Cell>, principal: Cell, action: Cell, resource: Cell, context: Cell
  ) {
    self.program = program
    self.layer = layer
    self.stack = stack
    self.principal = principal
    self.action = action
    self.resource = resource
    self.context = context
    meetsUnknowns = program.namesUnknowns || layer.holdsUnknowns
  }

  /// The variable of that number.
  @inline(__always) func variable(_ number: Int32) -> Cell {
    switch number {
    case 0: principal
    case 1: action
    case 2: resource
    default: context
    }
  }

  /// The value of a stretch of code; nil if it fails.
  @inline(__always)
  mutating func run<Observer: EvaluationObserver>(_ start: Int, _ end: Int, _ observer: inout Observer) -> Cell? {
    if Observer.meetsUnknowns { needed = nil }
    let code = program.code
    let constants = program.constants
    var pc = start
    // `top` is the last cell; the stack below it holds the others.
    var sp = stack - 1
    while pc < end {
      let step = code[pc]
      pc += 1
      if Observer.meetsUnknowns, meetsUnknowns, passUnknown(step, &sp, &pc) { continue }
      switch step.opcode {
      case .constant:
        sp += 1
        sp.pointee = constants[Int(step.a)]
      case .variable:
        sp += 1
        sp.pointee = variable(step.a)
      case .and:
        guard sp.pointee.tag == .bool else { return mismatch("bool", sp.pointee, step) }
        if sp.pointee.isTrue { sp -= 1 } else { pc = Int(step.a) }
        continue
      case .or:
        guard sp.pointee.tag == .bool else { return mismatch("bool", sp.pointee, step) }
        if sp.pointee.isTrue { pc = Int(step.a) } else { sp -= 1 }
        continue
      case .bool:
        guard sp.pointee.tag == .bool else { return mismatch("bool", sp.pointee, step) }
      case .branch:
        guard sp.pointee.tag == .bool else { return mismatch("bool", sp.pointee, step) }
        if !sp.pointee.isTrue { pc = Int(step.a) }
        sp -= 1
        continue
      case .jump:
        pc = Int(step.a)
        continue
      case .not:
        guard sp.pointee.tag == .bool else { return mismatch("bool", sp.pointee, step) }
        sp.pointee.bits ^= 1
      case .negate:
        guard sp.pointee.tag == .long else { return mismatch("long", sp.pointee, step) }
        let (value, overflow) = Int64(0).subtractingReportingOverflow(sp.pointee.bits)
        if overflow { return fail(.overflow, "integer overflow while attempting to negate the value `\(sp.pointee.bits)`", step) }
        sp.pointee.bits = value
      case .add, .subtract, .multiply:
        let right = sp.pointee
        sp -= 1
        guard sp.pointee.tag == .long else { return mismatch("long", sp.pointee, step) }
        guard right.tag == .long else { return mismatch("long", right, step) }
        guard let value = arithmetic(step.opcode, sp.pointee.bits, right.bits) else { return overflow(sp.pointee.bits, right.bits, step) }
        sp.pointee.bits = value
      case .equal:
        sp -= 1
        sp.pointee = Cell(sp[0] == sp[1])
      case .notEqual:
        sp -= 1
        sp.pointee = Cell(sp[0] != sp[1])
      case .equalConstant: sp.pointee = Cell(sp.pointee == constants[Int(step.a)])
      case .less, .lessOrEqual, .greater, .greaterOrEqual:
        sp -= 1
        let left = sp[0]
        let right = sp[1]
        guard left.tag == .long || left.tag == .datetime || left.tag == .duration else {
          return mismatch(right.tag == .datetime ? "datetime" : right.tag == .duration ? "duration" : "long", left, step)
        }
        guard right.tag == left.tag else { return mismatch(layer.typeName(left), right, step) }
        switch step.opcode {
        case .less: sp.pointee = Cell(left.bits < right.bits)
        case .lessOrEqual: sp.pointee = Cell(left.bits <= right.bits)
        case .greater: sp.pointee = Cell(left.bits > right.bits)
        default: sp.pointee = Cell(left.bits >= right.bits)
        }
      case .in:
        sp -= 1
        guard let cell = membership(sp[0], sp[1], step) else { return nil }
        sp.pointee = cell
      case .inConstant:
        guard let cell = membership(sp.pointee, constants[Int(step.a)], step) else { return nil }
        sp.pointee = cell
      case .has:
        guard let cell = has(sp.pointee, step) else { return nil }
        sp.pointee = cell
      case .attribute:
        guard let cell = attribute(sp.pointee, step) else { return nil }
        sp.pointee = cell
      case .variableAttribute:
        sp += 1
        guard let cell = attribute(variable(step.b), step) else { return nil }
        sp.pointee = cell
      case .like:
        guard sp.pointee.tag == .string else { return mismatch("string", sp.pointee, step) }
        sp.pointee = Cell(program.pattern(step.a, matches: layer.bytes(ofString: sp.pointee.number)))
      case .is:
        guard sp.pointee.tag == .entity else { return mismatch("(entity)", sp.pointee, step) }
        sp.pointee = Cell(layer.type(ofUID: sp.pointee.number) == step.a)
      case .isThen:
        guard sp.pointee.tag == .entity else { return mismatch("(entity)", sp.pointee, step) }
        if layer.type(ofUID: sp.pointee.number) != step.a {
          sp.pointee = Cell(false)
          pc = Int(step.b)
        }
        continue
      case .set:
        let count = Int(step.a)
        sp -= count - 1
        sp.pointee = Cell(.set, number: layer.set(UnsafeMutableBufferPointer(start: sp, count: count)))
      case .record:
        let count = Int(step.b)
        sp -= count - 1
        sp.pointee = makeRecord(sp, count, step)
      case .contains:
        sp -= 1
        guard sp[0].tag == .set else { return mismatch("set", sp[0], step) }
        sp.pointee = Cell(layer.set(sp[0].number, contains: sp[1]))
      case .constantContains: sp.pointee = Cell(layer.set(constants[Int(step.a)].number, contains: sp.pointee))
      case .containsAll, .containsAny:
        sp -= 1
        guard sp[0].tag == .set else { return mismatch("set", sp[0], step) }
        guard sp[1].tag == .set else { return mismatch("set", sp[1], step) }
        sp.pointee = Cell(
          step.opcode == .containsAll ? contains(sp[0], allOf: sp[1]) : contains(sp[0], anyOf: sp[1]))
      case .isEmpty:
        guard sp.pointee.tag == .set else { return mismatch("set", sp.pointee, step) }
        sp.pointee = Cell(layer.elements(ofSet: sp.pointee.number).isEmpty)
      case .getTag, .hasTag:
        sp -= 1
        guard let cell = tag(sp[0], sp[1], step) else { return nil }
        sp.pointee = cell
      case .call:
        let count = Int(step.b)
        sp -= count - 1
        guard let cell = call(sp, count, step) else { return nil }
        sp.pointee = cell
      case .undefinedCall:
        return fail(.extensionLookup, "extension function `\(program.names[Int(step.a)])` does not exist", step)
      }
      observer.saw(step.node, sp.pointee)
    }
    if Observer.meetsUnknowns, meetsUnknowns, failsForUnknown(stack.pointee, end) { return nil }
    return stack.pointee
  }

  // MARK: Operators

  @inline(__always) private func arithmetic(_ opcode: Instruction.Opcode, _ a: Int64, _ b: Int64) -> Int64? {
    let (value, overflow) =
      switch opcode {
      case .add: a.addingReportingOverflow(b)
      case .subtract: a.subtractingReportingOverflow(b)
      default: a.multipliedReportingOverflow(by: b)
      }
    return overflow ? nil : value
  }

  private mutating func membership(_ left: Cell, _ right: Cell, _ step: Instruction) -> Cell? {
    guard left.tag == .entity else { return mismatch("(entity)", left, step) }
    switch right.tag {
    case .entity: return Cell(left.bits == right.bits || isAncestor(right.number, of: left.number))
    case .set:
      // Every element is checked before any is compared: one that is no entity is an error whatever the others are.
      let elements = layer.elements(ofSet: right.number)
      for element in elements where element.tag != .entity { return mismatch("(entity)", element, step) }
      for element in elements where element.bits == left.bits || isAncestor(element.number, of: left.number) { return Cell(true) }
      return Cell(false)
    default: return mismatch("(entity) or set of entities", right, step)
    }
  }

  @inline(__always) private mutating func isAncestor(_ ancestor: Int32, of uid: Int32) -> Bool {
    if uid != lineage.uid {
      guard let list = layer.ancestorList(of: uid) else { return layer.isAncestor(ancestor, of: uid) }
      lineage = (uid, list)
    }
    return Layer.contains(ancestor, lineage.list)
  }

  private mutating func has(_ target: Cell, _ step: Instruction) -> Cell? {
    var here = target
    for index in 0..<Int(step.b) {
      let key = program.keys[Int(step.a) + index]
      let next: Cell?
      switch here.tag {
      case .record: next = layer.record(here.number, key: key)
      case .entity: next = layer.slot(here.number).flatMap { $0.exists ? layer.record($0.attributes, key: key) : nil }
      default: return mismatch("(entity) or record", here, step)
      }
      guard let next else { return Cell(false) }
      here = next
    }
    return Cell(true)
  }

  @inline(__always) private mutating func attribute(_ target: Cell, _ step: Instruction) -> Cell? {
    switch target.tag {
    case .record:
      if let cell = layer.record(target.number, key: step.a) { return cell }
      return missingKey(target, step)
    case .entity:
      guard let slot = layer.slot(target.number), slot.exists else { return missingEntity(target, step) }
      if let cell = layer.record(slot.attributes, key: step.a) { return cell }
      return missingAttribute(target, "attribute", step.a, step)
    default: return mismatch("(entity) or record", target, step)
    }
  }

  private mutating func tag(_ target: Cell, _ name: Cell, _ step: Instruction) -> Cell? {
    guard target.tag == .entity else { return mismatch("(entity)", target, step) }
    guard name.tag == .string else { return mismatch("string", name, step) }
    guard let slot = layer.slot(target.number), slot.exists else {
      return step.opcode == .hasTag ? Cell(false) : missingEntity(target, step)
    }
    let found = layer.record(slot.tags, key: name.number)
    if step.opcode == .hasTag { return Cell(found != nil) }
    return found ?? missingAttribute(target, "tag", name.number, step)
  }

  private func contains(_ set: Cell, allOf others: Cell) -> Bool {
    layer.elements(ofSet: others.number).allSatisfy { layer.set(set.number, contains: $0) }
  }

  private func contains(_ set: Cell, anyOf others: Cell) -> Bool {
    let mine = layer.elements(ofSet: set.number)
    let theirs = layer.elements(ofSet: others.number)
    // The smaller set is looked up in the larger.
    return mine.count < theirs.count
      ? mine.contains { layer.set(others.number, contains: $0) } : theirs.contains { layer.set(set.number, contains: $0) }
  }

  private func makeRecord(_ cells: UnsafeMutablePointer<Cell>, _ count: Int, _ step: Instruction) -> Cell {
    withUnsafeTemporaryAllocation(of: Layer.Field.self, capacity: max(count, 1)) { fields in
      for index in 0..<count {
        fields.initializeElement(at: index, to: Layer.Field(key: program.keys[Int(step.a) + index], cell: cells[index]))
      }
      return Cell(.record, number: layer.record(UnsafeMutableBufferPointer(rebasing: fields[..<count])))
    }
  }

  private mutating func call(_ arguments: UnsafeMutablePointer<Cell>, _ count: Int, _ step: Instruction) -> Cell? {
    let function = ExtensionFunction.numbered[Int(step.a)]
    // The methods that gateways' policies use on every request go without a detour through `Value`.
    if count == 2, function == .isInRange, arguments[0].tag == .ip, arguments[1].tag == .ip {
      return Cell(layer.address(number: arguments[0].number).isInRange(layer.address(number: arguments[1].number)))
    }
    var values: [Value] = []
    for index in 0..<count { values.append(layer.value(arguments[index])) }
    do throws(EvaluationError) {
      return layer.cell(try function.apply(values))
    } catch {
      failure = (error, step.node)
      return nil
    }
  }

  // MARK: Failures

  /// The failure of a clause that is no Boolean.
  func boolExpected(_ cell: Cell) -> EvaluationError {
    EvaluationError(.type, "type error: expected bool, got \(layer.typeName(cell))")
  }

  @inline(never) private mutating func fail(_ kind: EvaluationError.Kind, _ message: String, _ step: Instruction) -> Cell? {
    failure = (EvaluationError(kind, message), step.node)
    return nil
  }

  @inline(never) private mutating func mismatch(_ expected: String, _ cell: Cell, _ step: Instruction) -> Cell? {
    fail(.type, "type error: expected \(expected), got \(layer.typeName(cell))", step)
  }

  @inline(never) private mutating func overflow(_ a: Int64, _ b: Int64, _ step: Instruction) -> Cell? {
    let word = step.opcode == .add ? "add" : step.opcode == .subtract ? "subtract" : "multiply"
    return fail(.overflow, "integer overflow while attempting to \(word) the values `\(a)` and `\(b)`", step)
  }

  @inline(never) private mutating func missingEntity(_ cell: Cell, _ step: Instruction) -> Cell? {
    fail(.entityMissing, "entity `\(layer.value(ofUID: cell.number))` does not exist", step)
  }

  @inline(never) private mutating func missingAttribute(_ cell: Cell, _ word: String, _ key: Int32, _ step: Instruction) -> Cell? {
    fail(
      .attributeMissing, "`\(layer.value(ofUID: cell.number))` does not have the \(word) `\(Text.escaped(layer.text(ofString: key)))`", step
    )
  }

  @inline(never) private mutating func missingKey(_ cell: Cell, _ step: Instruction) -> Cell? {
    fail(.attributeMissing, "record does not have the attribute `\(Text.escaped(layer.text(ofString: step.a)))`", step)
  }
}

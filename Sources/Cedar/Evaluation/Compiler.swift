/// Compiles the conditions of policies to one flat program over numbered symbols.
///
/// Expressions are visited with a list of tasks, not by recursion; constant parts are evaluated once, here.
struct Compiler {
  private(set) var program = Program()
  let symbols: Layer
  private var constantNumbers: [ConstantKey: Int32] = [:]
  private var patternNumbers: [Pattern: Int32] = [:]
  private var keyStarts: [[Int32]: Int32] = [:]
  // Clauses by the hash of their code.
  private var known: [Int: [Program.Clause]] = [:]
  // State of the expression at hand.
  private var constants: [Cell?] = []
  private var tasks: [Task] = []
  private var labels: [Int] = []
  private var depth = 0

  private struct ConstantKey: Hashable {
    var tag: UInt8
    var bits: Int64
  }

  private enum Task {
    case visit(ExprID)
    /// Emits; the stack then holds `change` cells more.
    case emit(Instruction, change: Int)
    /// Emits with the target of a label in `a`, or in `b` for `isThen`.
    case jump(Instruction, label: Int, change: Int)
    case bind(Int)
    case adjust(Int)
  }

  init(symbols: Layer) { self.symbols = symbols }

  /// Compiles one clause. Where policies differ in their scopes alone, they share it.
  mutating func compile(_ condition: Condition, in tree: ExprTree) -> Program.Clause {
    let start = program.code.count
    visitAll(condition.body, tree)
    let clause = Program.Clause(start: start, end: program.code.count, isUnless: condition.kind == .unless)
    let hash = hash(of: clause)
    if let same = known[hash]?.first(where: { isSame($0, clause) }) {
      program.code.removeLast(program.code.count - start)
      return Program.Clause(start: same.start, end: same.end, isUnless: clause.isUnless)
    }
    known[hash, default: []].append(clause)
    return clause
  }

  /// A step as it would be in a clause that begins at 0.
  private func step(_ at: Int, of clause: Program.Clause) -> Instruction {
    var step = program.code[at]
    let start = Int32(truncatingIfNeeded: clause.start)
    switch step.opcode {
    case .and, .or, .branch, .jump: step.a -= start
    case .isThen: step.b -= start
    default: break
    }
    return step
  }

  private func hash(of clause: Program.Clause) -> Int {
    var hasher = Hasher()
    for at in clause.start..<clause.end { hasher.combine(step(at, of: clause)) }
    return hasher.finalize()
  }

  private func isSame(_ a: Program.Clause, _ b: Program.Clause) -> Bool {
    guard a.end - a.start == b.end - b.start else { return false }
    return (0..<(a.end - a.start)).allSatisfy { step(a.start + $0, of: a) == step(b.start + $0, of: b) }
  }

  /// Compiles one expression by itself.
  mutating func compile(_ root: ExprID, in tree: ExprTree) -> Program.Clause {
    let start = program.code.count
    visitAll(root, tree)
    return Program.Clause(start: start, end: program.code.count, isUnless: false)
  }

  /// Finds the constant parts of a tree; to be called before its clauses are compiled.
  mutating func begin(_ tree: ExprTree) {
    constants.removeAll(keepingCapacity: true)
    for node in tree.nodes { constants.append(fold(node)) }
  }

  /// The value of a constant part.
  func constant(of id: ExprID) -> Cell? { constants[Int(id.index)] }

  private func fold(_ node: Expr) -> Cell? {
    switch node {
    case .bool(let flag): return Cell(flag)
    case .long(let number): return Cell(.long, number)
    case .string(let text): return Cell(.string, number: symbols.string(text))
    case .entity(let uid): return Cell(.entity, number: symbols.uid(uid))
    case .set(let parts):
      var cells: [Cell] = []
      for part in parts {
        guard let cell = constants[Int(part.index)] else { return nil }
        cells.append(cell)
      }
      return Cell(.set, number: cells.withUnsafeMutableBufferPointer { symbols.set($0) })
    case .record(let parts):
      var fields: [Layer.Field] = []
      for part in parts {
        guard let cell = constants[Int(part.value.index)] else { return nil }
        fields.append(Layer.Field(key: symbols.string(part.key), cell: cell))
      }
      return Cell(.record, number: fields.withUnsafeMutableBufferPointer { symbols.record($0) })
    case .call(let function, let arguments):
      guard function.isConstructor, arguments.count == 1, let cell = constants[Int(arguments[0].index)], cell.tag == .string else {
        return nil
      }
      // A text that is no such value fails when it is evaluated, and only then.
      do throws(EvaluationError) { return symbols.cell(try function.construct(symbols.text(ofString: cell.number))) } catch { return nil }
    default: return nil
    }
  }

  private mutating func constant(_ cell: Cell) -> Int32 {
    let key = ConstantKey(tag: cell.tag.rawValue, bits: cell.bits)
    if let number = constantNumbers[key] { return number }
    let number = Int32(truncatingIfNeeded: program.constants.count)
    program.constants.append(cell)
    constantNumbers[key] = number
    return number
  }

  private mutating func visitAll(_ root: ExprID, _ tree: ExprTree) {
    let start = program.code.count
    var jumps: [(at: Int, label: Int)] = []
    labels.removeAll(keepingCapacity: true)
    depth = 0
    tasks.append(.visit(root))
    while let task = tasks.popLast() {
      switch task {
      case .visit(let id): visit(id, tree)
      case .emit(let instruction, let change): emit(instruction, change)
      case .jump(let instruction, let label, let change):
        jumps.append((program.code.count, label))
        emit(instruction, change)
      case .bind(let label): labels[label] = program.code.count
      case .adjust(let change): depth += change
      }
    }
    assert(start < program.code.count)
    for jump in jumps {
      let target = Int32(truncatingIfNeeded: labels[jump.label])
      if program.code[jump.at].opcode == .isThen { program.code[jump.at].b = target } else { program.code[jump.at].a = target }
    }
  }

  private mutating func emit(_ instruction: Instruction, _ change: Int) {
    program.code.append(instruction)
    depth += change
    program.stackSize = max(program.stackSize, depth + 2)
  }

  private mutating func label() -> Int {
    labels.append(0)
    return labels.count - 1
  }

  private mutating func visit(_ id: ExprID, _ tree: ExprTree) {
    func step(_ opcode: Instruction.Opcode, _ a: Int32 = 0, _ b: Int32 = 0) -> Instruction {
      Instruction(opcode: opcode, a: a, b: b, node: id.index)
    }
    if let cell = constants[Int(id.index)] { return emit(step(.constant, constant(cell)), 1) }
    switch tree[id] {
    case .bool, .long, .string, .entity: break
    case .variable(let variable): emit(step(.variable, variable.number), 1)
    case .not(let operand): then([.visit(operand), .emit(step(.not), change: 0)])
    case .negate(let operand): then([.visit(operand), .emit(step(.negate), change: 0)])
    case .and(let operands): chain(operands, step(.and), step(.bool))
    case .or(let operands): chain(operands, step(.or), step(.bool))
    case .comparison(let comparison, let left, let right):
      if comparison == .equal, let cell = constants[Int(right.index)] {
        return then([.visit(left), .emit(step(.equalConstant, constant(cell)), change: 0)])
      }
      then([.visit(left), .visit(right), .emit(step(comparison.opcode), change: -1)])
    case .in(let left, let right):
      if let cell = constants[Int(right.index)], cell.tag == .entity {
        return then([.visit(left), .emit(step(.inConstant, constant(cell)), change: 0)])
      }
      then([.visit(left), .visit(right), .emit(step(.in), change: -1)])
    case .arithmetic(let first, let steps):
      var all: [Task] = [.visit(first)]
      for next in steps {
        all.append(.visit(next.operand))
        all.append(.emit(step(next.operator.opcode), change: -1))
      }
      then(all)
    case .has(let target, let path):
      let start = keys(path)
      then([.visit(target), .emit(step(.has, start, Int32(truncatingIfNeeded: path.count)), change: 0)])
    case .attribute(let target, let key):
      let number = symbols.string(key)
      if case .variable(let variable) = tree[target] { return emit(step(.variableAttribute, number, variable.number), 1) }
      then([.visit(target), .emit(step(.attribute, number), change: 0)])
    case .like(let subject, let pattern):
      then([.visit(subject), .emit(step(.like, number(of: pattern)), change: 0)])
    case .is(let subject, let type, let container):
      let number = symbols.string(type.text)
      guard let container else { return then([.visit(subject), .emit(step(.is, number), change: 0)]) }
      let end = label()
      then([
        .visit(subject), .jump(step(.isThen, number), label: end, change: 0), .visit(container), .emit(step(.in), change: -1), .bind(end),
      ])
    case .conditional(let test, let yes, let no):
      let otherwise = label()
      let end = label()
      then([
        .visit(test), .jump(step(.branch), label: otherwise, change: -1), .visit(yes), .jump(step(.jump), label: end, change: 0),
        .adjust(-1), .bind(otherwise), .visit(no), .bind(end),
      ])
    case .set(let parts):
      then(parts.map { .visit($0) } + [.emit(step(.set, Int32(truncatingIfNeeded: parts.count)), change: 1 - parts.count)])
    case .record(let parts):
      let start = keys(parts.map(\.key))
      let count = Int32(truncatingIfNeeded: parts.count)
      then(parts.map { .visit($0.value) } + [.emit(step(.record, start, count), change: 1 - parts.count)])
    case .method(let method, let receiver, let argument):
      if method == .contains, let argument, let cell = constants[Int(receiver.index)], cell.tag == .set {
        return then([.visit(argument), .emit(step(.constantContains, constant(cell)), change: 0)])
      }
      guard let argument else { return then([.visit(receiver), .emit(step(method.opcode), change: 0)]) }
      then([.visit(receiver), .visit(argument), .emit(step(method.opcode), change: -1)])
    case .call(let function, let arguments):
      if function == .unknown { program.namesUnknowns = true }
      let number = Int32(truncatingIfNeeded: ExtensionFunction.numbered.firstIndex(of: function) ?? 0)
      let call = step(.call, number, Int32(truncatingIfNeeded: arguments.count))
      then(arguments.map { .visit($0) } + [.emit(call, change: 1 - arguments.count)])
    case .undefinedCall(let name, let arguments):
      program.names.append(name)
      let call = step(.undefinedCall, Int32(truncatingIfNeeded: program.names.count - 1))
      then(arguments.map { .visit($0) } + [.emit(call, change: 1 - arguments.count)])
    }
  }

  private mutating func then(_ next: [Task]) { tasks.append(contentsOf: next.reversed()) }

  private mutating func chain(_ operands: [ExprID], _ check: Instruction, _ last: Instruction) {
    let end = label()
    var all: [Task] = []
    for operand in operands.dropLast() {
      all.append(.visit(operand))
      all.append(.jump(check, label: end, change: -1))
    }
    if let operand = operands.last { all.append(.visit(operand)) }
    all.append(.emit(last, change: 0))
    all.append(.bind(end))
    then(all)
  }

  private mutating func number(of pattern: Pattern) -> Int32 {
    if let number = patternNumbers[pattern] { return number }
    let number = Int32(truncatingIfNeeded: program.patterns.count)
    program.patterns.append(pattern)
    patternNumbers[pattern] = number
    return number
  }

  private mutating func keys(_ keys: [String]) -> Int32 {
    let numbers = keys.map { symbols.string($0) }
    if let start = keyStarts[numbers] { return start }
    let start = Int32(truncatingIfNeeded: program.keys.count)
    program.keys += numbers
    keyStarts[numbers] = start
    return start
  }
}

extension Variable {
  /// Its place among the variables of an evaluation.
  var number: Int32 {
    switch self {
    case .principal: 0
    case .action: 1
    case .resource: 2
    case .context: 3
    }
  }
}

extension Expr.Comparison {
  var opcode: Instruction.Opcode {
    switch self {
    case .equal: .equal
    case .notEqual: .notEqual
    case .less: .less
    case .lessOrEqual: .lessOrEqual
    case .greater: .greater
    case .greaterOrEqual: .greaterOrEqual
    }
  }
}

extension Expr.ArithmeticOperator {
  var opcode: Instruction.Opcode {
    switch self {
    case .add: .add
    case .subtract: .subtract
    case .multiply: .multiply
    }
  }
}

extension Expr.Method {
  var opcode: Instruction.Opcode {
    switch self {
    case .contains: .contains
    case .containsAll: .containsAll
    case .containsAny: .containsAny
    case .isEmpty: .isEmpty
    case .getTag: .getTag
    case .hasTag: .hasTag
    }
  }
}

extension ExtensionFunction {
  /// The functions by the numbers that instructions use.
  static let numbered = allCases
}

extension Evaluation {
  /// The value of one expression for a request, with the entities of a store.
  public static func value(
    of root: ExprID, in tree: ExprTree, for request: Request, entities: Entities
  ) throws(EvaluationError) -> Value {
    let layer = Layer.make(on: entities.store.layer)
    defer {
      layer.free()
      withExtendedLifetime(entities) {}
    }
    var compiler = Compiler(symbols: layer)
    compiler.begin(tree)
    let clause = compiler.compile(root, in: tree)
    let program = FrozenProgram(compiler.program)
    var stack = Pool<Cell>()
    defer { stack.deallocate() }
    stack.append(repeating: Cell(false), count: program.stackSize + 4)
    var machine = Machine(
      program: program, layer: layer, stack: stack.base, principal: Cell(.entity, number: layer.uid(request.principal)),
      action: Cell(.entity, number: layer.uid(request.action)), resource: Cell(.entity, number: layer.uid(request.resource)),
      context: Cell(.record, number: layer.record(request.context)))
    var observer = UnknownsObserver()
    // The machine does not hold its program.
    defer { withExtendedLifetime(program) {} }
    if let cell = machine.run(clause.start, clause.end, &observer) { return layer.value(cell) }
    guard let failure = machine.failure else { throw EvaluationError(.nonvalue, "the expression has no value") }
    throw EvaluationError(failure.error.kind, failure.error.message, at: tree.span(of: ExprID(Int(failure.node))))
  }
}

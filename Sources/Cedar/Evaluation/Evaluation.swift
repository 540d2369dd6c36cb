/// Entities numbered once for an authorizer, to be laid under many requests: what a token brings.
public final class PreparedEntities: @unchecked Sendable {
  // Written by `init` and only read afterwards, so sharing is safe. The authorizer is held because the layer lies on its own.
  let layer: Layer
  let authorizer: Authorizer
  let cell: Cell?
  let firstUID: Int32?

  init(_ entities: [Entity], _ value: Value?, on authorizer: Authorizer) throws(OverlayError) {
    let layer = Layer.make(on: authorizer.symbols)
    self.layer = layer
    self.authorizer = authorizer
    cell = value.map(layer.cell)
    firstUID = entities.first.map { layer.uid($0.uid) }
    try layer.overlay(entities)
  }

  deinit { layer.free() }
}

extension Authorizer {
  /// Numbers entities for many requests to this authorizer: a token's principal with its groups.
  ///
  /// They lie over the static entities; one that has attributes in both is an error. A value that comes with each of the
  /// requests, such as a token's claims, may be numbered with them.
  public func prepare(_ entities: [Entity], and value: Value? = nil) throws(OverlayError) -> PreparedEntities {
    try PreparedEntities(entities, value, on: self)
  }
}

/// The memory of one evaluation after another, for one thread: it keeps its capacity and forgets its content.
public final class Evaluation {
  let layer = Layer.make(on: nil)
  // Lent to one `Decider` at a time.
  private var stack = Pool<Cell>(capacity: 64)
  private var permits = Pool<Int32>(capacity: 16)
  private var forbids = Pool<Int32>(capacity: 16)
  private var principals = Pool<Int32>(capacity: 16)
  private var resources = Pool<Int32>(capacity: 16)
  // What the layer lies on; held until the next request.
  private var authorizer: Authorizer?
  private var prepared: PreparedEntities?
  var variables = Variables()

  /// The request's parts as cells.
  struct Variables {
    var principal = Cell(false)
    var action = Cell(false)
    var resource = Cell(false)
    var context = Cell(false)
  }

  /// Empty memory.
  public init() {}

  deinit {
    layer.free()
    stack.deallocate()
    permits.deallocate()
    forbids.deallocate()
    principals.deallocate()
    resources.deallocate()
  }

  /// Takes in a request and the entities that come with it.
  func begin(_ request: Request, on authorizer: Authorizer, _ prepared: PreparedEntities?, _ entities: [Entity]) throws(OverlayError) {
    begin(on: authorizer, with: prepared)
    try layer.overlay(entities)
    variables = Variables(
      principal: Cell(.entity, number: layer.uid(request.principal)), action: Cell(.entity, number: layer.uid(request.action)),
      resource: Cell(.entity, number: layer.uid(request.resource)), context: Cell(.record, number: layer.record(request.context)))
  }

  func begin(on authorizer: Authorizer, with prepared: PreparedEntities?) {
    let usable = prepared?.authorizer === authorizer ? prepared : nil
    layer.reset(on: usable?.layer ?? authorizer.symbols)
    self.authorizer = authorizer
    self.prepared = usable
  }

  /// The machine for the request at hand.
  func machine(_ authorizer: Authorizer) -> Machine {
    stack.removeAll()
    stack.append(repeating: Cell(false), count: authorizer.program.stackSize + 4)
    return Machine(
      program: authorizer.program, layer: layer, stack: stack.base, principal: variables.principal, action: variables.action,
      resource: variables.resource, context: variables.context)
  }

  /// The answer to the request at hand.
  func decide(_ authorizer: Authorizer) -> Response {
    permits.removeAll()
    forbids.removeAll()
    var decider = Decider(
      authorizer: authorizer, machine: machine(authorizer), permits: permits, forbids: forbids, principals: principals, resources: resources
    )
    decider.run()
    permits = decider.permits
    forbids = decider.forbids
    principals = decider.principals
    resources = decider.resources
    return decider.response
  }
}

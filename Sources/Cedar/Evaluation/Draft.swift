/// A request written straight into the memory of an evaluation: it says what a `Request` and some `Entity` values say,
/// without making them. For the caller that maps thousands of requests a second; everyone else uses `Request`.
///
/// A draft is good until its evaluation begins the next one.
public struct Draft {
  /// A numbered string.
  public struct Text: BitwiseCopyable, Sendable {
    let number: Int32
  }

  /// A numbered entity uid.
  public struct UID: BitwiseCopyable, Sendable {
    let number: Int32
  }

  /// A value.
  public struct Item: BitwiseCopyable, Sendable {
    let cell: Cell
  }

  /// An attribute.
  public struct Field: BitwiseCopyable {
    let field: Layer.Field

    /// A key and its value.
    public init(_ key: Text, _ value: Item) { field = Layer.Field(key: key.number, cell: value.cell) }
  }

  private unowned(unsafe) let evaluation: Evaluation
  private unowned(unsafe) let authorizer: Authorizer
  private let layer: Layer

  init(_ evaluation: Evaluation, on authorizer: Authorizer) {
    self.evaluation = evaluation
    self.authorizer = authorizer
    layer = evaluation.layer
  }

  /// A string of UTF-8 bytes.
  public func text(_ bytes: UnsafeRawBufferPointer) -> Text {
    Text(number: layer.string(bytes.assumingMemoryBound(to: UInt8.self)))
  }

  /// A string.
  public func text(_ string: String) -> Text { Text(number: layer.string(string)) }

  /// An entity's name, by its type's name and its id.
  public func uid(_ type: Text, _ id: Text) -> UID { UID(number: layer.uid(type: type.number, id: id.number)) }

  /// An entity's name.
  public func uid(_ uid: EntityUID) -> UID { UID(number: layer.uid(uid)) }

  /// A string as a value.
  public func item(_ text: Text) -> Item { Item(cell: Cell(.string, number: text.number)) }
  /// An entity's name as a value.
  public func item(_ uid: UID) -> Item { Item(cell: Cell(.entity, number: uid.number)) }
  /// A Boolean as a value.
  public func item(_ flag: Bool) -> Item { Item(cell: Cell(flag)) }
  /// A number as a value.
  public func item(_ number: Int64) -> Item { Item(cell: Cell(.long, number)) }
  /// An instant as a value.
  public func item(_ instant: Datetime) -> Item { Item(cell: Cell(.datetime, instant.milliseconds)) }
  /// An address as a value.
  public func item(_ address: IPAddress) -> Item { Item(cell: Cell(.ip, number: layer.address(address))) }
  /// Any value.
  public func item(_ value: Value) -> Item { Item(cell: layer.cell(value)) }

  /// A record; the keys differ.
  public func record(_ fields: UnsafeMutableBufferPointer<Field>) -> Item {
    fields.withMemoryRebound(to: Layer.Field.self) { Item(cell: Cell(.record, number: layer.record($0))) }
  }

  /// Adds an entity of this request with its attributes below a parent that was added before; false if something is known
  /// of it already, among the static entities or those of the token: then the request is not for a draft.
  public func add(_ uid: UID, attributes: Item, below parent: UID?) -> Bool {
    let number = uid.number
    if let below = layer.below, number < layer.firstUID, below.slot(number) != nil || below.hasDescendants(of: number) { return false }
    if let parent { guard let slot = layer.slot(parent.number), slot.exists else { return false } }
    let tags = layer.record(UnsafeMutableBufferPointer<Layer.Field>(start: nil, count: 0))
    layer.add(uid: number, attributes: attributes.cell.number, tags: tags, below: parent?.number)
    return true
  }

  /// The answer.
  public func isAuthorized(principal: UID, action: UID, resource: UID, context: Item) -> Response {
    evaluation.variables = Evaluation.Variables(
      principal: Cell(.entity, number: principal.number), action: Cell(.entity, number: action.number),
      resource: Cell(.entity, number: resource.number), context: context.cell)
    return evaluation.decide(authorizer)
  }
}

extension Evaluation {
  /// Begins a request over an authorizer's entities and those of a token.
  public func draft(on authorizer: Authorizer, with prepared: PreparedEntities?) -> Draft {
    begin(on: authorizer, with: prepared)
    return Draft(self, on: authorizer)
  }
}

extension PreparedEntities {
  /// The value that was numbered with the entities; nil without one.
  public var value: Draft.Item? { cell.map { Draft.Item(cell: $0) } }
  /// The name of the first of the entities; nil if there are none.
  public var first: Draft.UID? { firstUID.map { Draft.UID(number: $0) } }
}

internal import Bytes
internal import Cedar
internal import JSON
internal import Telemetry

/// Reads the questions of many records, quickly: only what is asked for is made of a line.
struct RecordedQuestionReader {
  private var names: [[UInt8]: EntityUID] = [:]
  private var knownEntities: [[UInt8]: Entity] = [:]
  private var knownFields: [[UInt8]: Record.Field] = [:]
  private var key: [UInt8] = []

  /// A question that was recorded whole.
  struct Question {
    let request: Request
    let entities: [Entity]

    /// The groups of the principal, as its token said them.
    var groups: [EntityUID] { entities.first { $0.uid == request.principal }?.parents.sorted() ?? [] }
  }

  /// Why a record's question cannot be asked again; one sentence for all records of the kind.
  struct Obstacle: Error {
    let reason: String
  }

  /// The question of a scanned line.
  mutating func question(of line: LogLine) throws(Obstacle) -> Question {
    if let redacted = line.text(Self.redacted) {
      let pointers = redacted.split(separator: ",").filter {
        $0.hasPrefix("/input") || $0.hasPrefix("/principal") || $0.hasPrefix("/resource")
      }
      if !pointers.isEmpty { throw Obstacle(reason: "left out of the record: \(pointers.joined(separator: ", "))") }
    }
    guard let input = line.unread(Self.input) else {
      throw Obstacle(reason: "what the policies saw was not recorded (log.decisions.record: 'replayable')")
    }
    let (principal, action, resource) = (try name(line, Self.principal), try name(line, Self.action), try name(line, Self.resource))
    var (entities, context): ([Entity]?, Record?)
    for member in input.members ?? [] {
      if member.name.elementsEqual("entities".utf8) { entities = try self.entities(member.value) }
      if member.name.elementsEqual("context".utf8) { context = try self.context(member.value) }
    }
    guard let entities, let context else { throw Self.unreadable }
    return Question(
      request: Request(principal: principal, action: action, resource: resource, context: context), entities: entities)
  }

  private mutating func entities(_ list: RawJSON) throws(Obstacle) -> [Entity] {
    guard let elements = list.elements else { throw Self.unreadable }
    var entities: [Entity] = []
    entities.reserveCapacity(elements.count)
    for element in elements {
      key.removeAll(keepingCapacity: true)
      key.append(contentsOf: element.bytes)
      if let known = knownEntities[key] {
        entities.append(known)
        continue
      }
      let entity: Entity
      do {
        guard let one = try EntitiesJSON.entities(.array([try JSONParser.parse(element.bytes)])).first else { throw Self.unreadable }
        entity = one
      } catch { throw Self.unreadable }
      if knownEntities.count < Self.mostKept { knownEntities[key] = entity }
      entities.append(entity)
    }
    return entities
  }

  // Field by field: of most, another record had the same.
  private mutating func context(_ record: RawJSON) throws(Obstacle) -> Record {
    guard let members = record.members else { throw Self.unreadable }
    var fields: [Record.Field] = []
    fields.reserveCapacity(members.count)
    for member in members {
      key.removeAll(keepingCapacity: true)
      key.append(contentsOf: Self.opening)
      key.append(contentsOf: member.name)
      key.append(contentsOf: Self.between)
      key.append(contentsOf: member.value.bytes)
      key.append(UInt8(ascii: "}"))
      if let known = knownFields[key] {
        fields.append(known)
        continue
      }
      let field: Record.Field
      do {
        let read = try EntitiesJSON.context(try JSONParser.parse(key), action: Self.anyAction).fields
        guard let one = read.first, read.count == 1 else { throw Self.unreadable }
        field = one
      } catch { throw Self.unreadable }
      if knownFields.count < Self.mostKept { knownFields[key] = field }
      fields.append(field)
    }
    guard let context = Record(fields) else { throw Self.unreadable }
    return context
  }

  private static let opening = Array("{\"".utf8)
  private static let between = Array("\":".utf8)
  // Without a schema nothing is read differently for an action.
  private static let anyAction = EntityUID(type: EntityType(unchecked: "Action"), id: "")
  private static let unreadable = Obstacle(reason: "what the policies saw is not written as this build reads it")

  // The same few names come again and again.
  private mutating func name(_ line: LogLine, _ field: LogField) throws(Obstacle) -> EntityUID {
    key.removeAll(keepingCapacity: true)
    guard line.appendRaw(field, to: &key) else { throw Obstacle(reason: "principal, action or resource are not recorded") }
    if let known = names[key] { return known }
    guard let text = line.text(field), !text.hasSuffix("…") else { throw Obstacle(reason: "a name was too long to be recorded") }
    do throws(ParseErrors) {
      let uid = try PolicyParser.parseEntityUID(text)
      if names.count < Self.mostKept { names[key] = uid }
      return uid
    } catch {
      throw Self.unreadable
    }
  }

  // Beyond that many, a log says something new all the time.
  private static let mostKept = 65_536
  private static let input = field("input")
  private static let redacted = field("redacted")
  private static let principal = field("principal")
  private static let action = field("action")
  private static let resource = field("resource")

  static func field(_ name: String) -> LogField {
    guard let field = LogField(name) else { preconditionFailure("decisions have no field \(name)") }
    return field
  }
}

/// What a request asked for, as changes and policies are grouped by: the route, else the method and the first part of the path.
enum RequestKind {
  static func of(_ line: LogLine) -> String {
    let method = line.text(method) ?? "-"
    if let route = line.text(route) { return route.contains(" ") ? route : "\(method) \(route)" }
    guard let path = line.text(path) else { return method }
    let parts = path.utf8.split(separator: UInt8(ascii: "/"))
    guard let first = parts.first else { return "\(method) /" }
    return "\(method) /\(String(decoding: first, as: UTF8.self))" + (parts.count > 1 ? "/…" : "")
  }

  private static let method = RecordedQuestionReader.field("http.method")
  private static let route = RecordedQuestionReader.field("route")
  private static let path = RecordedQuestionReader.field("http.path")
}

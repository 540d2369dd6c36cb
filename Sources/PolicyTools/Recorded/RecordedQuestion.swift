internal import Bytes
internal import Cedar
internal import JSON
internal import Telemetry

/// Reads the questions of many records, quickly: only what is asked for is made of a line.
struct RecordedQuestionReader {
  private var names: [[UInt8]: EntityUID] = [:]
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
    guard let input = line.json(Self.input) else {
      throw Obstacle(reason: "what the policies saw was not recorded (log.decisions.record: 'replayable')")
    }
    let (principal, action, resource) = (try name(line, Self.principal), try name(line, Self.action), try name(line, Self.resource))
    guard let elements = input["entities"], let context = input["context"] else { throw Self.unreadable }
    do throws(ParseErrors) {
      let record = try EntitiesJSON.context(context, action: action)
      return Question(
        request: Request(principal: principal, action: action, resource: resource, context: record),
        entities: try EntitiesJSON.entities(elements))
    } catch {
      throw Self.unreadable
    }
  }

  private static let unreadable = Obstacle(reason: "what the policies saw is not written as this build reads it")

  // The same few names come again and again.
  private mutating func name(_ line: LogLine, _ field: LogField) throws(Obstacle) -> EntityUID {
    key.removeAll(keepingCapacity: true)
    guard line.appendRaw(field, to: &key) else { throw Obstacle(reason: "principal, action or resource are not recorded") }
    if let known = names[key] { return known }
    guard let text = line.text(field), !text.hasSuffix("…") else { throw Obstacle(reason: "a name was too long to be recorded") }
    do throws(ParseErrors) {
      let uid = try PolicyParser.parseEntityUID(text)
      if names.count < Self.mostNames { names[key] = uid }
      return uid
    } catch {
      throw Self.unreadable
    }
  }

  private static let mostNames = 65_536
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

import Cedar
import JSON

/// What an operation answers: the fields beside `ok`.
typealias Answer = [(String, JSONValue)]

/// Why an operation has no answer.
struct Failure: Error {
  /// The stage that failed.
  var stage: String
  /// The kind of an evaluation error.
  var kind: String?
  /// For a person.
  var message: String?

  init(_ stage: String, kind: String? = nil, message: String? = nil) {
    self.stage = stage
    self.kind = kind
    self.message = message
  }
}

/// The operations by their names in the protocol.
nonisolated(unsafe) let operations: [String: (Case) throws(Failure) -> Answer] = [
  "parse_policies": parsePolicies,
  "parse_expr": parseExpr,
  "eval": evaluate,
  "authorize": authorize,
  "parse_entities": parseEntities,
  "parse_context": parseContext,
  "entities_to_json": entitiesToJSON,
  "tpe": partiallyAuthorize,
  "to_json": toJSON,
  "from_json": fromJSON,
  "format": format,
  "parse_schema": parseSchema,
  "schema_to_json": schemaToJSON,
  "schema_to_cedar": schemaToCedar,
  "validate": validate,
]

/// Does something whose every failure is a failure of one stage.
func staged<Outcome, Reason: Error>(_ stage: String, _ body: () throws(Reason) -> Outcome) throws(Failure) -> Outcome {
  do throws(Reason) { return try body() } catch { throw Failure(stage, message: "\(error)") }
}

/// One line of input.
struct Case {
  /// The whole line.
  let json: JSONValue

  init(_ json: JSONValue) { self.json = json }

  /// A member of the line; null counts as absent.
  subscript(name: String) -> JSONValue? { json[name].flatMap { $0.isNull ? nil : $0 } }

  /// A member that must be a string.
  func string(_ name: String) throws(Failure) -> String {
    guard let text = self[name]?.string else { throw Failure("unsupported", message: "no string `\(name)`") }
    return text
  }
}

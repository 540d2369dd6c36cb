import Cedar
import CedarSchema
import JSON

func parseSchema(_ question: Case) throws(Failure) -> Answer {
  guard let schema = try question.schema() else { throw Failure("unsupported", message: "no schema") }
  return [("warnings", .integer(Int64(schema.warnings.count)))]
}

func schemaToJSON(_ question: Case) throws(Failure) -> Answer {
  [("json", try question.schemaFragment().json)]
}

func schemaToCedar(_ question: Case) throws(Failure) -> Answer {
  let fragment = try question.schemaFragment()
  return [("text", .string(try staged("schema") { () throws(SchemaErrors) in try fragment.cedarText() }))]
}

func validate(_ question: Case) throws(Failure) -> Answer {
  let policies = try question.policySet()
  guard let schema = try question.schema() else { throw Failure("unsupported", message: "no schema") }
  let mode: ValidationMode
  switch question["mode"]?.string ?? "strict" {
  case "strict": mode = .strict
  case "permissive": mode = .permissive
  default: throw Failure("unsupported", message: "unknown mode")
  }
  // (Not `?.integer.map`: the 6.3.1 optimizer fails on that, in its pass CopyPropagation.)
  var level: Int?
  if let number = question["level"]?.integer { level = Int(clamping: number) }
  return answer(Validator(schema, mode: mode, level: level).validate(policies))
}

private func answer(_ result: ValidationResult) -> Answer {
  func ids(_ ids: [PolicyID]) -> JSONValue { .array(Set(ids).sorted().map { .string($0.text) }) }
  func kinds(_ pairs: [(PolicyID, String)]) -> JSONValue { .array(pairs.map { .array([.string($0.0.text), .string($0.1)]) }) }
  return [
    ("valid", .bool(result.passed)), ("errors", ids(result.errors.map(\.policy))), ("warnings", ids(result.warnings.map(\.policy))),
    ("error_kinds", kinds(result.errors.map { ($0.policy, $0.kind.rawValue) })),
    ("warning_kinds", kinds(result.warnings.map { ($0.policy, $0.kind.rawValue) })),
    ("messages", .array((result.errors.map(\.description) + result.warnings.map(\.message)).map { .string($0) })),
  ]
}

extension Case {
  /// The schema of the line, in either syntax; nil where there is none.
  func schema() throws(Failure) -> Schema? {
    guard self["schema"] != nil else { return nil }
    let fragment = try schemaFragment()
    return try staged("schema") { () throws(SchemaErrors) in try Schema([fragment]) }
  }

  /// The schema of the line as it is written.
  func schemaFragment() throws(Failure) -> SchemaFragment {
    guard let schema = self["schema"] else { throw Failure("unsupported", message: "no schema") }
    return try staged("schema") { () throws(SchemaErrors) in
      if let text = schema.string { return try SchemaFragment(text) }
      return try SchemaFragment(json: schema)
    }
  }
}

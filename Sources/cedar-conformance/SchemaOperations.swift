import Cedar
import CedarSchema
import JSON

/// The operations on schemas by their names in the protocol.
nonisolated(unsafe) let schemaOperations: [String: (Case) throws(Failure) -> Answer] = [
  "parse_schema": parseSchema,
  "schema_to_json": schemaToJSON,
  "schema_to_cedar": schemaToCedar,
]

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

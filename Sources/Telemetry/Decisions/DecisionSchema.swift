internal import JSON

/// The JSON Schema of the decision log (draft 2020-12), made from the table of fields and the table of reasons.
///
/// Lines may get more fields without a new version, so unknown ones are allowed: readers ignore what they do not know.
public enum DecisionSchema {
  /// The schema as JSON text, ended by a newline.
  public static var text: String {
    var writer = JSONWriter()
    writer.beginObject()
    member("$schema", "https://json-schema.org/draft/2020-12/schema", &writer)
    member("title", "Stockade decision log, version \(DecisionRecord.version)", &writer)
    member(
      "description", "One JSON object a line. A line is a decision, or a summary of decisions that could not be written.", &writer)
    writer.name("oneOf")
    writer.beginArray()
    decision(&writer)
    summary(&writer)
    writer.endArray()
    writer.endObject()
    return writer.text + "\n"
  }

  private static func decision(_ writer: inout JSONWriter) {
    writer.beginObject()
    member("title", "decision", &writer)
    members(of: "", &writer)
    writer.endObject()
  }

  // The fields of an object, or of the line itself.
  private static func members(of outer: String, _ writer: inout JSONWriter) {
    let fields = DecisionField.all.filter { $0.outer.description == outer }
    writer.name("required")
    writer.beginArray()
    for field in fields where !field.isOptional { writer.string(field.key.description) }
    writer.endArray()
    writer.name("properties")
    writer.beginObject()
    for field in fields {
      writer.name(field.key)
      writer.beginObject()
      member("description", field.meaning.description, &writer)
      type(of: field, &writer)
      if case .object = field.kind { members(of: field.key.description, &writer) }
      writer.endObject()
    }
    writer.endObject()
  }

  private static func type(of field: DecisionField, _ writer: inout JSONWriter) {
    func type(_ name: String) {
      writer.name("type")
      guard field.isNullable else { return writer.string(name) }
      writer.beginArray()
      writer.string(name)
      writer.string("null")
      writer.endArray()
    }
    switch field.kind {
    case .version:
      writer.name("const")
      writer.integer(DecisionRecord.version)
    case .choice(let values):
      writer.name("enum")
      writer.beginArray()
      for value in values { writer.string(value) }
      writer.endArray()
    case .time:
      type("string")
      member("pattern", #"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$"#, &writer)
    case .text(let longest):
      type("string")
      writer.name("maxLength")
      // A text that was cut ends in one more character, an ellipsis.
      writer.integer(longest + 1)
    case .count:
      type("integer")
      writer.name("minimum")
      writer.integer(0)
    case .integer: type("integer")
    case .flag: type("boolean")
    case .texts:
      type("array")
      writer.name("items")
      writer.beginObject()
      member("type", "string", &writer)
      writer.endObject()
    case .object, .anything: type("object")
    }
  }

  private static func summary(_ writer: inout JSONWriter) {
    writer.beginObject()
    member("title", "summary", &writer)
    writer.name("required")
    writer.beginArray()
    for name in ["v", "type", "time", "dropped"] { writer.string(name) }
    writer.endArray()
    writer.name("properties")
    writer.value(
      .object([
        "v": .object(["const": .integer(Int64(DecisionRecord.version))]), "type": .object(["const": .string("summary")]),
        "time": .object(["type": .string("string")]),
        "dropped": .object([
          "type": .string("integer"), "minimum": .integer(1),
          "description": .string("How many decisions were not written since the last summary: the log could not keep up."),
        ]),
      ]))
    writer.endObject()
  }

  private static func member(_ name: StaticString, _ value: String, _ writer: inout JSONWriter) {
    writer.name(name)
    writer.string(value)
  }
}

internal import JSON

/// Text as people write it in JSON5 files.
public enum JSON5Text {
  /// A string in single quotes.
  public static func quoted(_ text: String) -> String {
    let json = JSONValue.string(text).text
    return "'" + json.dropFirst().dropLast().replacing("\\\"", with: "\"").replacing("'", with: "\\'") + "'"
  }

  /// A string in single quotes for a configuration, whose strings expand `${NAME}`: a dollar sign that means itself is written twice.
  public static func setting(_ text: String) -> String { quoted(text.replacing("$", with: "$$")) }
}

internal import Bytes

/// Writes members of JSON objects into a line, with commas where they belong; what is nil is left out.
struct LineMembers {
  private var needsComma = false

  /// Begins a member that is an object; without a name, the line itself or an element of a list.
  mutating func open(_ name: StaticString? = nil, in line: inout LineCursor) {
    begin(name, in: &line)
    line.append("{")
    needsComma = false
  }

  /// Ends an object.
  mutating func close(in line: inout LineCursor) {
    line.append("}")
    needsComma = true
  }

  /// Begins a member that is a list.
  mutating func openList(_ name: StaticString? = nil, in line: inout LineCursor) {
    begin(name, in: &line)
    line.append("[")
    needsComma = false
  }

  /// Ends a list.
  mutating func closeList(in line: inout LineCursor) {
    line.append("]")
    needsComma = true
  }

  /// A member that is a text from anywhere, escaped and cut; without a name, an element.
  mutating func text(_ name: StaticString? = nil, _ value: String?, limit: Int, in line: inout LineCursor) {
    guard let value else { return }
    begin(name, in: &line)
    line.append(ASCII.quote)
    line.append(escaping: value, limit: limit)
    line.append(ASCII.quote)
    needsComma = true
  }

  /// A member that is a whole number.
  mutating func integer(_ name: StaticString? = nil, _ value: (some FixedWidthInteger)?, in line: inout LineCursor) {
    guard let value else { return }
    begin(name, in: &line)
    line.append(integer: value)
    needsComma = true
  }

  /// A member that is `true` or `false`.
  mutating func flag(_ name: StaticString, _ value: Bool, in line: inout LineCursor) {
    begin(name, in: &line)
    line.append(value ? "true" : "false")
    needsComma = true
  }

  /// A member whose text is our own and needs no escape, such as a reason.
  mutating func word(_ name: StaticString? = nil, _ value: String, in line: inout LineCursor) {
    text(name, value, limit: .max, in: &line)
  }

  /// A member that is JSON already.
  mutating func raw(_ name: StaticString? = nil, _ json: StaticString, in line: inout LineCursor) {
    begin(name, in: &line)
    line.append(json)
    needsComma = true
  }

  /// A member that is a list of texts, left out if it is empty.
  mutating func texts(_ name: StaticString, _ values: some Sequence<String>, limit: Int, in line: inout LineCursor) {
    var isOpen = false
    for value in values {
      if !isOpen { openList(name, in: &line) }
      isOpen = true
      text(nil, value, limit: limit, in: &line)
    }
    if isOpen { closeList(in: &line) }
  }

  /// A member whose value the caller writes next.
  mutating func begin(_ name: StaticString?, in line: inout LineCursor) {
    if needsComma { line.append(",") }
    guard let name else { return }
    line.append(ASCII.quote)
    line.append(name)
    line.append("\":")
  }

  /// The value that the caller wrote is complete.
  mutating func end() { needsComma = true }
}

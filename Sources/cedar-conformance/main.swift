// One JSON object a line in, one out, each line flushed: the line protocol of the shared Cedar cases.

import Glibc
import JSON

while let line = readLine() {
  send(answer(to: line) + "\n")
}

/// Writes at once, without a buffer in between.
func send(_ text: String) {
  var text = text
  text.withUTF8 { bytes in
    var sent = 0
    while sent < bytes.count {
      let count = write(1, bytes.baseAddress.map { $0 + sent }, bytes.count - sent)
      if count <= 0 { exit(1) }
      sent += count
    }
  }
}

/// The answer to one line; whatever the line is, there is one.
func answer(to line: String) -> String {
  // Nested one inside another, the line's own levels come on top of those that the formats allow.
  let limits = JSONParser.Limits(depth: 512, duplicateNames: .keepAll)
  let result: Result<JSONValue, JSONError> = Result { () throws(JSONError) in try JSONParser.parse(line, limits: limits) }
  guard case .success(let value) = result else { return #"{"ok":false,"stage":"line"}"# }
  let question = Case(value)
  var members: [JSONValue.Member] = []
  if let id = value["id"] { members.append(.init(name: "id", value: id)) }
  do throws(Failure) {
    guard let operation = operations[value["op"]?.string ?? "authorize"] else { throw Failure("unsupported") }
    let outcome = try operation(question)
    members.append(.init(name: "ok", value: .bool(true)))
    for (name, value) in outcome { members.append(.init(name: name, value: value)) }
  } catch {
    members.append(.init(name: "ok", value: .bool(false)))
    members.append(.init(name: "stage", value: .string(error.stage)))
    if let kind = error.kind { members.append(.init(name: "kind", value: .string(kind))) }
    if let message = error.message { members.append(.init(name: "message", value: .string(message))) }
  }
  return JSONValue(.object(members)).text
}

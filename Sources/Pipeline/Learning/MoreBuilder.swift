internal import Bytes
internal import HTTP
internal import JSON

/// Reads what a route asks for beyond the head of a request: fields of the body, and entities from elsewhere.
enum MoreBuilder {
  static func body(_ route: Setting, _ report: inout ConfigurationReport) -> BodyFields? {
    guard let setting = route["body"], setting.origin != .byDefault else { return nil }
    let maximum = setting["max"]?.count ?? Defaults.bodyFieldsBytes
    if let limit = route["body_limit"]?.count, limit < maximum, let written = setting["max"] {
      report.add(written, "is larger than the route's body_limit, so it has no effect", help: "leave one of the two out")
    }
    let names = setting["fields"]?.members ?? []
    guard !names.isEmpty else {
      report.add(setting["fields"] ?? setting, "names no field of the body", help: "write body: { fields: { amount: '/amount' } }")
      return nil
    }
    var fields: [(name: String, pointer: JSONPointer)] = []
    for (name, field) in names {
      guard isName(name) else {
        report.add(
          field, "\"\(name)\" cannot be the name of a field", help: "letters, digits, - and _: { customer: '/customer/id' }")
        continue
      }
      guard let text = field.text, let pointer = ClaimPath.pointer(text) else {
        report.add(
          field, "\"\(field.text ?? "")\" leads nowhere in a body", help: "write a name, a.b, or a JSON Pointer such as /customer/id")
        continue
      }
      fields.append((name, pointer))
    }
    return BodyFields(
      bounds: BodyBounds(
        maximumBytes: maximum, timeoutMillis: setting["timeout"]?.count ?? Defaults.bodyFieldsMillis, setting: "body.max"), fields: fields)
  }

  private static func isName(_ name: String) -> Bool {
    name.utf8.allSatisfy { ASCII.isAlpha($0) || ASCII.isDigit($0) || $0 == UInt8(ascii: "_") || $0 == UInt8(ascii: "-") }
  }

  static func entities(
    _ setting: Setting?, _ path: RoutePath, _ sources: TextTemplate.Sources, _ report: inout ConfigurationReport
  ) -> EntitySource? {
    guard let setting, setting.origin != .byDefault else { return nil }
    guard let written = setting["url"], let text = written.text else {
      report.add(setting, "has no url", help: "write entities: { url: 'http://orders.example/entities/orders/{id}' }")
      return nil
    }
    let url: URLTemplate
    do throws(RoutePath.Mistake) { url = try URLTemplate(text, for: path, sources) } catch {
      report.add(written, error.message, help: error.help)
      return nil
    }
    var headers = FieldBlock()
    headers.append("Accept", "application/json")
    for (name, header) in setting["headers"]?.members ?? [] {
      if let problem = problem(ofHeader: name) {
        report.add(header, problem)
      } else if !headers.append(name, header.text ?? "") {
        report.add(header, "this value cannot be sent", help: "a field's value is visible ASCII, with blanks inside only")
      }
    }
    return EntitySource(
      url: url, timeoutMillis: setting["timeout"]?.count ?? Defaults.entitiesTimeoutMillis,
      cacheMillis: setting["cache"]?.count ?? Defaults.entitiesCacheMillis,
      maximumBytes: Int(clamping: setting["max"]?.integer ?? Defaults.entitiesBytes), headers: headers)
  }

  private static func problem(ofHeader name: String) -> String? {
    var block = FieldBlock()
    guard block.append(name, "x") else { return "\"\(name)\" is not the name of a field" }
    let steering = [
      "accept", "accept-encoding", "connection", "content-length", "expect", "host", "keep-alive", "proxy-connection", "te", "trailer",
      "transfer-encoding", "upgrade",
    ]
    guard steering.contains(where: { ASCII.equalsIgnoringCase($0.utf8, name.utf8) }) else { return nil }
    return "\(name) is not ours to choose: the call needs its own"
  }
}

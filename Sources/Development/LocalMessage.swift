internal import Bytes

/// A request as the development services see it: small, whole, already framed by the server that read it.
public struct LocalRequest: Sendable {
  /// The method, in its case.
  public let method: String
  /// The path of the target, as sent, without the query.
  public let path: String
  /// The query's pairs, escapes resolved, in order.
  public let query: [(name: String, value: String)]
  /// The header fields, in order.
  public let headers: [(name: String, value: String)]
  /// The whole body.
  public let body: [UInt8]

  /// A request of its parts; `target` is in origin form.
  public init(method: String, target: String, headers: [(name: String, value: String)] = [], body: [UInt8] = []) {
    self.method = method
    let mark = target.utf8.firstIndex(of: UInt8(ascii: "?"))
    path = String(target[..<(mark ?? target.endIndex)])
    query = mark.map { FormURLEncoded.pairs(target[$0...].utf8.dropFirst()) ?? [] } ?? []
    self.headers = headers
    self.body = body
  }

  /// The value of a header that stands there exactly once.
  public func header(_ name: String) -> String? {
    let values = headers.filter { ASCII.equalsIgnoringCase($0.name.utf8, name.utf8) }
    return values.count == 1 ? values[0].value : nil
  }

  /// Whether a header is there at all.
  public func hasHeader(_ name: String) -> Bool { headers.contains { ASCII.equalsIgnoringCase($0.name.utf8, name.utf8) } }

  /// The value of a query parameter that stands there exactly once.
  public func parameter(_ name: String) -> String? {
    let values = query.filter { exactlyEquals($0.name, name) }
    return values.count == 1 ? values[0].value : nil
  }
}

/// The answer of a development service. For HEAD the server sends it without its body.
public struct LocalResponse: Sendable {
  /// The status code.
  public var status: Int
  /// The header fields; the server adds length and date.
  public var headers: [(name: String, value: String)]
  /// The body.
  public var body: [UInt8]

  /// An answer of its parts.
  public init(status: Int, headers: [(name: String, value: String)] = [], body: [UInt8] = []) {
    self.status = status
    self.headers = headers
    self.body = body
  }

  /// The body as text.
  public var text: String { String(decoding: body, as: UTF8.self) }

  /// The value of the first header of that name.
  public func header(_ name: String) -> String? {
    headers.first { ASCII.equalsIgnoringCase($0.name.utf8, name.utf8) }?.value
  }

  static func plain(_ status: Int, _ text: String) -> LocalResponse {
    LocalResponse(status: status, headers: [("Content-Type", "text/plain; charset=utf-8")], body: Array(text.utf8))
  }
}

internal import Bytes
internal import Cedar
internal import HTTP

/// Text made of a request: `{id}` is a parameter of the path, `{query.NAME}` a parameter of the query, `{header.NAME}` a field,
/// `{body.NAME}` a field of the body that the route names.
struct TextTemplate: Sendable {
  enum Piece: Sendable {
    case literal(String)
    case parameter(Int)
    case query(String)
    case header(String)
    case body(String)
    case principal
  }

  /// What there is beside path, query and header.
  struct Sources {
    /// The fields of the body that the route names.
    var body: [String] = []
    /// Whether `{principal.id}` is known.
    var principal = false
  }

  private(set) var pieces: [Piece] = []

  /// Reads a template for a path's parameters.
  init(_ text: String, for path: RoutePath, _ sources: Sources = Sources()) throws(RoutePath.Mistake) {
    var rest = text.utf8[...]
    while !rest.isEmpty {
      let plain = rest.prefix { $0 != UInt8(ascii: "{") && $0 != UInt8(ascii: "}") }
      if !plain.isEmpty { pieces.append(.literal(String(decoding: plain, as: UTF8.self))) }
      rest = rest[plain.endIndex...]
      guard let brace = rest.first else { break }
      guard brace == UInt8(ascii: "{"), let end = rest.firstIndex(of: UInt8(ascii: "}")) else {
        throw RoutePath.Mistake(message: "a brace without its other in \"\(text)\"", help: "write {NAME}, {query.NAME} or {header.NAME}")
      }
      pieces.append(try Self.piece(String(decoding: rest[rest.index(after: rest.startIndex)..<end], as: UTF8.self), path, sources))
      rest = rest[rest.index(after: end)...]
    }
  }

  private static func piece(_ name: String, _ path: RoutePath, _ sources: Sources) throws(RoutePath.Mistake) -> Piece {
    if name.utf8.starts(with: "query.".utf8), name.utf8.count > 6 { return .query(String(decoding: name.utf8.dropFirst(6), as: UTF8.self)) }
    if name.utf8.starts(with: "header.".utf8), name.utf8.count > 7 {
      let field = String(decoding: name.utf8.dropFirst(7), as: UTF8.self)
      if let problem = RequestValues.problem(ofFieldName: field) { throw RoutePath.Mistake(message: problem) }
      return .header(field)
    }
    if name.utf8.starts(with: "body.".utf8), name.utf8.count > 5 {
      let field = String(decoding: name.utf8.dropFirst(5), as: UTF8.self)
      guard sources.body.contains(where: { exactlyEquals($0, field) }) else {
        let near = Spelling.nearest(to: field, among: sources.body).map { "did you mean {body.\($0)}?" }
        throw RoutePath.Mistake(
          message: "{\(name)} is no field of the body that the route names",
          help: near ?? "write body: { fields: { \(field): '/\(field)' } }")
      }
      return .body(field)
    }
    if exactlyEquals(name, "principal.id") {
      guard sources.principal else {
        throw RoutePath.Mistake(
          message: "{principal.id} has no place in what a request asks for",
          help: "it can stand in entities.url; policies compare with `principal`")
      }
      return .principal
    }
    if let parameter = path.parameters.first(where: { exactlyEquals($0.name, name) }) { return .parameter(parameter.index) }
    let near = Spelling.nearest(to: name, among: path.parameters.map(\.name)).map { "did you mean {\($0)}?" }
    let known =
      path.parameters.isEmpty
      ? "\(path.text) has no parameters" : "\(path.text) has " + path.parameters.map { "{\($0.name)}" }.joined(separator: ", ")
    throw RoutePath.Mistake(
      message: "{\(name)} is no parameter of the path", help: near ?? known + "; from elsewhere: {query.NAME}, {header.NAME}, {body.NAME}")
  }

  /// The text for a request; nil if the request lacks something. Refuses what could be read in two ways.
  func text(_ values: RequestValues.All) throws(Stop) -> String? {
    var out = ""
    for piece in pieces {
      guard let value = try value(of: piece, values) else { return nil }
      out += value
    }
    return out
  }

  /// The text of one piece.
  func value(of piece: Piece, _ values: RequestValues.All) throws(Stop) -> String? {
    switch piece {
    case .literal(let text): return text
    case .parameter(let index): return values.path.value(ofParameterAt: index, in: values.head.path)
    case .query(let name): return try RequestValues.query(name, in: values.head)
    case .header(let name): return try RequestValues.field(name, in: values.head)
    case .body(let name):
      switch values.body?[name] {
      case .string(let text): return text
      case .long(let number): return "\(number)"
      case .bool(let flag): return flag ? "true" : "false"
      case nil: return nil
      default: throw .refuse(.unmappable(detail: "the body's \(name) is a list or an object, of which no text can be made"))
      }
    case .principal: return values.principal?.id
    }
  }

  /// Whether the text depends on the body.
  var needsBody: Bool { pieces.contains { if case .body = $0 { true } else { false } } }

  /// The fields of a request that the text is made of.
  var fields: [String] { pieces.compactMap { if case .header(let name) = $0 { name } else { nil } } }

  /// The template as it would be written, for messages.
  var sources: String {
    pieces.compactMap { piece in
      switch piece {
      case .literal, .parameter, .principal: nil
      case .query(let name): "the query parameter \(name)"
      case .header(let name): "the field \(name)"
      case .body(let name): "the body's \(name)"
      }
    }.joined(separator: " and ")
  }
}

/// Values of a request that routes and policies may name.
enum RequestValues {
  /// Everything that a template can be made of.
  struct All {
    let head: RequestHead
    let path: RoutePath
    var body: Record?
    var principal: EntityUID?
  }

  /// Why a field cannot be named; nil if it can.
  static func problem(ofFieldName name: String) -> String? {
    guard !name.isEmpty,
      name.utf8.allSatisfy({ ASCII.isAlpha($0) || ASCII.isDigit($0) || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "_") })
    else {
      return "\"\(name)\" is not the name of a field"
    }
    let lower = String(decoding: name.utf8.map { ASCII.lowercased($0) }, as: UTF8.self)
    if ["authorization", "cookie", "proxy-authorization"].contains(lower) {
      return "\(name) holds credentials, which belong in no policy and no log"
    }
    let steering = [
      "connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "content-length", "proxy-connection", "host",
      "forwarded",
    ]
    if steering.contains(lower) || lower.utf8.starts(with: "x-forwarded-".utf8) || lower.utf8.starts(with: "x-stockade-".utf8) {
      return "\(name) is not the client's to say: it is removed or written anew before the request goes on"
    }
    return nil
  }

  /// The one value of a field; nil if there is none. Two values are refused: the service behind may read the other.
  static func field(_ name: String, in head: RequestHead) throws(Stop) -> String? {
    let values = head.fields.valueBytes(named: name)
    guard let value = values.first else { return nil }
    guard values.count == 1 else { throw .refuse(.unmappable(detail: "the field \(name) is given \(values.count) times")) }
    guard let text = String(validating: value, as: UTF8.self) else { throw .refuse(.unmappable(detail: "the field \(name) is not UTF-8")) }
    return text
  }

  /// The one value of a parameter of the query, decoded as forms are (WHATWG URL, "application/x-www-form-urlencoded parsing").
  static func query(_ name: String, in head: RequestHead) throws(Stop) -> String? {
    guard let range = head.queryRange else { return nil }
    let result: Result<String?, Rejection> = head.fields.withBytes(range) { bytes in
      var found: String?
      for part in bytes.split(separator: UInt8(ascii: "&")) {
        let key = part.prefix { $0 != UInt8(ascii: "=") }
        guard let decoded = decoded(key), decoded.elementsEqual(name.utf8) else { continue }
        guard let value = self.decoded(part.dropFirst(key.count + 1)), let text = String(validating: value, as: UTF8.self) else {
          return .failure(.unmappable(detail: "the query parameter \(name) is not UTF-8 with valid escapes"))
        }
        guard found == nil else { return .failure(.unmappable(detail: "the query parameter \(name) is given more than once")) }
        found = text
      }
      return .success(found)
    }
    switch result {
    case .success(let value): return value
    case .failure(let rejection): throw .refuse(rejection)
    }
  }

  private static func decoded(_ bytes: some Collection<UInt8>) -> [UInt8]? {
    var out: [UInt8] = []
    var rest = bytes[...]
    while let byte = rest.first {
      rest = rest.dropFirst()
      if byte == UInt8(ascii: "+") {
        out.append(ASCII.space)
      } else if byte == UInt8(ascii: "%") {
        guard let first = rest.first, let high = ASCII.hexValue(first), let second = rest.dropFirst().first,
          let low = ASCII.hexValue(second)
        else {
          return nil
        }
        out.append(high << 4 | low)
        rest = rest.dropFirst(2)
      } else {
        out.append(byte)
      }
    }
    return out
  }
}

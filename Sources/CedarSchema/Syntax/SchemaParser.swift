internal import Bytes
internal import Cedar

/// Reads the Cedar schema syntax (Cedar reference, "Cedar schema", grammar). Every declaration that cannot be read becomes
/// an error, and reading goes on behind it.
struct SchemaParser {
  private let bytes: [UInt8]
  private let tokens: [Token]
  private let limits: SchemaLimits
  private var at = 0
  /// How many `{` are open; where a broken declaration began tells how far to skip.
  private var openBraces = 0
  private(set) var errors: [SchemaError]
  private let lexicalSpans: [SourceSpan]

  private init(_ text: String, limits: SchemaLimits) {
    bytes = Array(text.utf8)
    let (tokens, invalid) = Lexer.tokens(bytes, dialect: .schema)
    self.tokens = tokens
    errors = invalid.prefix(limits.errors).map { SchemaError(.syntax, $0.message, at: $0.span, help: $0.help) }
    lexicalSpans = errors.map(\.span)
    self.limits = limits
  }

  /// The fragment a text stands for, before any check across declarations; and everything that could not be read.
  static func parse(_ text: String, limits: SchemaLimits) -> (SchemaFragment, [SchemaError]) {
    guard text.utf8.count <= limits.bytes else {
      return (SchemaFragment(), [SchemaError(.limit, "the schema is larger than \(limits.bytes) bytes", at: .none)])
    }
    var parser = SchemaParser(text, limits: limits)
    let fragment = parser.schema()
    return (fragment, parser.errors)
  }

  // MARK: Tokens

  private var token: Token { tokens[at] }
  private var isAtEnd: Bool { token.kind == .end }

  private func peek() -> Token { tokens[min(at + 1, tokens.count - 1)] }

  private mutating func advance() {
    if token.kind == .leftBrace { openBraces += 1 }
    if token.kind == .rightBrace { openBraces -= 1 }
    if at < tokens.count - 1 { at += 1 }
  }

  private func text(of token: Token) -> String { String(decoding: bytes[token.span.start..<token.span.end], as: UTF8.self) }

  private func isNext(_ kind: Token.Kind) -> Bool { token.kind == kind }

  private func isNext(word: StaticString) -> Bool {
    token.isWord
      && bytes[token.span.start..<token.span.end].elementsEqual(UnsafeBufferPointer(start: word.utf8Start, count: word.utf8CodeUnitCount))
  }

  private mutating func take(_ kind: Token.Kind) -> Bool {
    guard isNext(kind) else { return false }
    advance()
    return true
  }

  private mutating func take(word: StaticString) -> Bool {
    guard isNext(word: word) else { return false }
    advance()
    return true
  }

  private mutating func expect(_ kind: Token.Kind, or others: String = "") throws(SchemaError) {
    guard take(kind) else { throw unexpected("\(kind.expectation)\(others.isEmpty ? "" : " \(others)")") }
  }

  private func unexpected(_ expected: String, help: String? = nil) -> SchemaError {
    let label = "expected \(expected)"
    if help == nil, beginsDeclaration, expected.contains("`;`") {
      return SchemaError(
        .syntax, "unexpected token `\(text(of: token))`", at: token.span, label: label,
        help: "a `;` is missing before `\(text(of: token))`: every declaration ends with one")
    }
    if isAtEnd { return SchemaError(.syntax, "unexpected end of input", at: lastSpan, label: label, help: help) }
    return SchemaError(.syntax, "unexpected token `\(text(of: token))`", at: token.span, label: label, help: help)
  }

  /// Whether a declaration seems to begin here: its word is the first of a line, and a name follows.
  private var beginsDeclaration: Bool {
    guard at > 0, isNext(word: "entity") || isNext(word: "action") || isNext(word: "type") || isNext(word: "namespace"),
      peek().isWord || peek().kind == .string
    else { return false }
    return bytes[tokens[at - 1].span.end..<token.span.start].contains(ASCII.lf)
  }

  /// The last token before the end, so that a message about a missing rest points at something.
  private var lastSpan: SourceSpan { at > 0 ? tokens[at - 1].span : token.span }

  // MARK: Schema, namespaces, declarations

  private enum Declaration {
    case entities([SchemaFragment.EntityTypeDeclaration])
    case actions([SchemaFragment.ActionDeclaration])
    case commonType(SchemaFragment.CommonTypeDeclaration)
  }

  private mutating func schema() -> SchemaFragment {
    var named: [SchemaFragment.Namespace] = []
    var unnamed = SchemaFragment.Namespace(name: SchemaFragment.WrittenName(""))
    while !isAtEnd, errors.count < limits.errors {
      let start = at
      openBraces = 0
      do throws(SchemaError) {
        let annotations = try annotations()
        if isNext(word: "namespace") {
          if let namespace = try namespace(annotations: annotations) { named.append(namespace) }
        } else {
          add(try declaration(annotations: annotations, expected: "`namespace`, `entity`, `action`, `type`, or `@`"), to: &unnamed)
        }
      } catch {
        recover(from: error, start: start, floor: 0)
      }
    }
    let hasUnnamed = !unnamed.commonTypes.isEmpty || !unnamed.entityTypes.isEmpty || !unnamed.actions.isEmpty
    return SchemaFragment(namespaces: (hasUnnamed ? [unnamed] : []) + named)
  }

  /// Notes an error and skips to where the next declaration may start: behind a `;`, at a line that begins with a
  /// declaration's word, or before the `}` of the namespace.
  private mutating func recover(from error: SchemaError, start: Int, floor: Int) {
    // What the lexer could not read is a mistake once, whatever the parser then makes of it.
    let isReported = lexicalSpans.contains { $0.start < error.span.end && error.span.start < $0.end }
    if !isReported { errors.append(error) }
    while !isAtEnd {
      if at > start, beginsDeclaration {
        openBraces = floor
        return
      }
      if isNext(.semicolon) {
        advance()
        openBraces = floor
        return
      }
      if isNext(.rightBrace), openBraces <= floor {
        if floor == 0 {
          advance()
          openBraces = floor
        }
        return
      }
      advance()
    }
  }

  private mutating func namespace(annotations: [SchemaFragment.Annotation]) throws(SchemaError) -> SchemaFragment.Namespace? {
    advance()
    guard token.isWord else { throw unexpected("the namespace's name") }
    let name = try path()
    try expect(.leftBrace, or: "or `::`")
    var namespace = SchemaFragment.Namespace(name: name, annotations: annotations)
    while !isNext(.rightBrace) {
      if isAtEnd { throw unexpected("`}`, which ends namespace `\(name.text)`") }
      guard errors.count < limits.errors else { return namespace }
      let start = at
      openBraces = 1
      do throws(SchemaError) {
        let annotations = try self.annotations()
        let help = isNext(word: "namespace") ? "namespaces do not nest; write `namespace \(name.text)::Inner { … }` beside this one" : nil
        add(try declaration(annotations: annotations, expected: "`entity`, `action`, `type`, `@`, or `}`", help: help), to: &namespace)
      } catch {
        recover(from: error, start: start, floor: 1)
      }
    }
    advance()
    return namespace
  }

  private func add(_ declaration: Declaration, to namespace: inout SchemaFragment.Namespace) {
    switch declaration {
    case .entities(let entities): namespace.entityTypes += entities
    case .actions(let actions): namespace.actions += actions
    case .commonType(let type): namespace.commonTypes.append(type)
    }
  }

  private mutating func declaration(
    annotations: [SchemaFragment.Annotation], expected: String, help: String? = nil
  ) throws(SchemaError) -> Declaration {
    if isNext(word: "entity") { return .entities(try entities(annotations)) }
    if isNext(word: "action") { return .actions(try actions(annotations)) }
    if isNext(word: "type") { return .commonType(try commonType(annotations)) }
    var help = help
    if help == nil, token.isWord {
      help = Spelling.nearest(to: text(of: token), among: ["entity", "action", "type", "namespace"]).map {
        "did you mean `\($0)`?"
      }
    }
    throw unexpected(expected, help: help)
  }

  // MARK: Annotations

  private mutating func annotations() throws(SchemaError) -> [SchemaFragment.Annotation] {
    var found: [SchemaFragment.Annotation] = []
    while take(.at) {
      guard token.isWord else { throw unexpected("an identifier, the annotation's key") }
      let key = token
      let name = text(of: key)
      advance()
      var value: String?
      if take(.leftParen) {
        guard token.kind == .string else { throw unexpected("a string literal, the annotation's value") }
        value = try string().text
        try expect(.rightParen)
      }
      if found.contains(where: { exactlyEquals($0.key, name) }) {
        throw SchemaError(.duplicate, "duplicate annotations: `\(name)`", at: key.span, help: "keep one of them")
      }
      guard found.count < 1000 else { throw SchemaError(.limit, "more than 1000 annotations on one declaration", at: key.span) }
      found.append(SchemaFragment.Annotation(key: name, value: value))
    }
    return found.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
  }

  // MARK: Entity types

  private mutating func entities(
    _ annotations: [SchemaFragment.Annotation]
  ) throws(SchemaError) -> [SchemaFragment.EntityTypeDeclaration] {
    advance()
    var names = [try identifier("the entity type's name")]
    while take(.comma) { names.append(try identifier("an entity type's name")) }
    let kind: SchemaFragment.EntityTypeDeclaration.Kind
    if take(word: "enum") {
      try expect(.leftBracket)
      var ids = [try enumeratedID()]
      while take(.comma) { ids.append(try enumeratedID()) }
      try expect(.rightBracket, or: "or `,`")
      try expect(.semicolon)
      kind = .enumerated(ids)
    } else {
      let parents = take(.in) ? try entityTypes() : []
      var shape: SchemaFragment.TypeExpression?
      if take(.assign) || isNext(.leftBrace) {
        guard isNext(.leftBrace) else {
          let help = token.isWord ? "a shape is written inline, `entity \(names[0].text) { … };`; it cannot be a type's name" : nil
          throw unexpected("`{`", help: help)
        }
        shape = try type(depth: 1)
      }
      let tags = take(word: "tags") ? try type(depth: 1) : nil
      guard take(.semicolon) else {
        let parts = shape != nil ? "`tags` or `;`" : "`;`, `{`, `=`, `in`, `tags`, `enum`, or `,`"
        throw unexpected(parts)
      }
      kind = .standard(memberOf: parents, shape: shape, tags: tags)
    }
    return names.map { SchemaFragment.EntityTypeDeclaration(name: $0, kind: kind, annotations: annotations) }
  }

  private mutating func enumeratedID() throws(SchemaError) -> String {
    guard token.kind == .string else { throw unexpected("a string literal, one id of the enumeration") }
    return try string().text
  }

  /// `Path | '[' [Path {',' Path}] ']'`
  private mutating func entityTypes() throws(SchemaError) -> [SchemaFragment.WrittenName] {
    guard take(.leftBracket) else { return [try path()] }
    if take(.rightBracket) { return [] }
    var types = [try path()]
    while take(.comma) { types.append(try path()) }
    try expect(.rightBracket, or: "or `,`")
    return types
  }

  // MARK: Actions

  private mutating func actions(_ annotations: [SchemaFragment.Annotation]) throws(SchemaError) -> [SchemaFragment.ActionDeclaration] {
    advance()
    var names = [try name("the action's name")]
    while take(.comma) { names.append(try name("an action's name")) }
    var parents: [SchemaFragment.ActionReference]?
    if take(.in) {
      if take(.leftBracket) {
        var all = [try actionReference()]
        while take(.comma) { all.append(try actionReference()) }
        try expect(.rightBracket, or: "or `,`")
        parents = all
      } else {
        parents = [try actionReference()]
      }
    }
    var appliesTo: SchemaFragment.AppliesTo?
    if take(word: "appliesTo") { appliesTo = try self.appliesTo(action: names[0]) }
    if take(word: "attributes") {
      try expect(.leftBrace)
      try expect(.rightBrace)
    }
    guard take(.semicolon) else {
      let help: String? = isNext(.leftBrace) && appliesTo == nil ? "try `appliesTo { … }`" : nil
      throw unexpected("`;`, `in`, `appliesTo`, or `attributes`", help: help)
    }
    // The reference translates a missing clause as one that applies to nothing.
    let clause = appliesTo ?? SchemaFragment.AppliesTo(principals: [], resources: [])
    return names.map {
      SchemaFragment.ActionDeclaration(name: $0, memberOf: parents, appliesTo: clause, annotations: annotations)
    }
  }

  /// `[Path '::'] STR | IDENT`
  private mutating func actionReference() throws(SchemaError) -> SchemaFragment.ActionReference {
    if token.kind == .string {
      let id = try string()
      return SchemaFragment.ActionReference(type: nil, id: id.text, span: id.span)
    }
    var parts = [try identifier("an action")]
    while token.kind == .doubleColon {
      advance()
      if token.kind == .string {
        let id = try string()
        let type = joined(parts)
        return SchemaFragment.ActionReference(type: type, id: id.text, span: type.span.union(id.span))
      }
      parts.append(try identifier("an identifier or a string literal"))
    }
    guard parts.count == 1 else {
      let written = joined(parts).text
      throw unexpected("`::` and the action's id", help: "an action in another namespace is written `\(written)::\"id\"`")
    }
    return SchemaFragment.ActionReference(type: nil, id: parts[0].text, span: parts[0].span)
  }

  private mutating func appliesTo(action: SchemaFragment.WrittenName) throws(SchemaError) -> SchemaFragment.AppliesTo {
    try expect(.leftBrace)
    var principals: [SchemaFragment.WrittenName]?
    var resources: [SchemaFragment.WrittenName]?
    var context: SchemaFragment.TypeExpression?
    // The text is read to the end of the declaration first; what is amiss inside is reported together afterwards.
    var complaints: [SchemaError] = []
    repeat {
      let start = token.span
      if take(word: "principal") {
        try expect(.colon)
        let types = try entityTypes()
        complain(ifNotFirst: principals != nil, ifEmpty: types.isEmpty, "principal", action, start, &complaints)
        principals = types
      } else if take(word: "resource") {
        try expect(.colon)
        let types = try entityTypes()
        complain(ifNotFirst: resources != nil, ifEmpty: types.isEmpty, "resource", action, start, &complaints)
        resources = types
      } else if take(word: "context") {
        try expect(.colon)
        if context != nil {
          complaints.append(
            SchemaError(.appliesTo, "duplicate context declaration in action `\(action.text)`", at: start, help: "keep one of them"))
        }
        if isNext(.leftBrace) {
          context = try type(depth: 1)
        } else {
          let name = try path()
          context = SchemaFragment.TypeExpression(.common(name), span: name.span)
        }
      } else {
        let help =
          token.isWord
          ? Spelling.nearest(to: text(of: token), among: ["principal", "resource", "context"]).map { "did you mean `\($0)`?" }
          : nil
        throw unexpected("`principal`, `resource`, or `context`", help: help)
      }
    } while take(.comma) && !isNext(.rightBrace)
    try expect(.rightBrace, or: "or `,`")
    for (missing, word) in [(resources == nil, "resource"), (principals == nil, "principal")] where missing {
      complaints.append(
        SchemaError(
          .appliesTo, "missing `\(word)` declaration for `\(action.text)`", at: action.span,
          help: "Every action must define both `principal` and `resource` targets. An action without `appliesTo` is a group only."))
    }
    // All but the last go straight to the list; the last is thrown and noted by the caller's recovery.
    if let last = complaints.popLast() {
      errors += complaints
      throw last
    }
    return SchemaFragment.AppliesTo(principals: principals ?? [], resources: resources ?? [], context: context)
  }

  private func complain(
    ifNotFirst duplicate: Bool, ifEmpty empty: Bool, _ word: String, _ action: SchemaFragment.WrittenName, _ span: SourceSpan,
    _ complaints: inout [SchemaError]
  ) {
    if duplicate {
      complaints.append(
        SchemaError(
          .appliesTo, "duplicate `\(word)` declaration in action `\(action.text)`", at: span,
          help: "Actions may only have a single `\(word)` declaration"))
    }
    if empty {
      complaints.append(
        SchemaError(
          .appliesTo, "for action `\(action.text)`, `\(word)` is `[]`, which is invalid", at: span,
          help: "leave out `appliesTo` if the action applies to nothing"))
    }
  }

  // MARK: Types

  private mutating func commonType(_ annotations: [SchemaFragment.Annotation]) throws(SchemaError) -> SchemaFragment.CommonTypeDeclaration {
    advance()
    let name = try identifier("the type's name")
    try expect(.assign)
    let type = try type(depth: 1)
    try expect(.semicolon, or: "or `::`")
    return SchemaFragment.CommonTypeDeclaration(name: name, type: type, annotations: annotations)
  }

  /// `Path | 'Set' '<' Type '>' | '{' [AttrDecls] '}'`
  private mutating func type(depth: Int) throws(SchemaError) -> SchemaFragment.TypeExpression {
    guard depth <= limits.depth else {
      throw SchemaError(
        .limit, "this type is nested deeper than \(limits.depth) levels", at: token.span, help: "name the inner types with `type`")
    }
    let start = token.span.start
    if isNext(word: "Set"), peek().kind == .less {
      advance()
      advance()
      let element = try type(depth: depth + 1)
      try expect(.greater)
      return SchemaFragment.TypeExpression(.set(element), span: SourceSpan(start, tokens[at - 1].span.end))
    }
    if take(.leftBrace) {
      let attributes = try attributes(depth: depth + 1)
      return SchemaFragment.TypeExpression(.record(attributes), span: SourceSpan(start, tokens[at - 1].span.end))
    }
    guard token.isWord else { throw unexpected("a type: a name, `Set<…>`, or `{`") }
    let name = try path()
    return SchemaFragment.TypeExpression(.entityOrCommon(name), span: name.span)
  }

  /// What stands in a record behind its `{`, and the `}`. Of two attributes of one name the last wins, as in the reference.
  private mutating func attributes(depth: Int) throws(SchemaError) -> [SchemaFragment.Attribute] {
    var attributes: [SchemaFragment.Attribute] = []
    var positions: [ExactString: Int] = [:]
    if take(.rightBrace) { return [] }
    repeat {
      let annotations = try annotations()
      let name = try name("an attribute's name")
      let isRequired = !take(.question)
      try expect(.colon, or: isRequired ? "or `?`" : "")
      let attribute = SchemaFragment.Attribute(name: name, isRequired: isRequired, type: try type(depth: depth), annotations: annotations)
      if let position = positions[ExactString(name.text)] {
        attributes[position] = attribute
      } else {
        positions[ExactString(name.text)] = attributes.count
        attributes.append(attribute)
      }
    } while take(.comma) && !isNext(.rightBrace)
    try expect(.rightBrace, or: "or `,`")
    return attributes
  }

  // MARK: Names

  /// `IDENT | STR`
  private mutating func name(_ what: String) throws(SchemaError) -> SchemaFragment.WrittenName {
    token.kind == .string ? try string() : try identifier("\(what), an identifier or a string literal")
  }

  /// An identifier that is no reserved word.
  private mutating func identifier(_ what: String) throws(SchemaError) -> SchemaFragment.WrittenName {
    guard token.isWord else {
      let help: String? = token.kind == .string ? "entity types and common types are identifiers; remove the quotes" : nil
      throw unexpected(what, help: what.contains("string literal") ? nil : help)
    }
    let text = text(of: token)
    if Name.isReserved(text) {
      throw SchemaError(
        .reservedName, "`\(text)` is a reserved identifier", at: token.span,
        help: "choose another name, or write it in quotes where a string is allowed")
    }
    let name = SchemaFragment.WrittenName(text, span: token.span)
    advance()
    return name
  }

  /// `IDENT {'::' IDENT}`
  private mutating func path() throws(SchemaError) -> SchemaFragment.WrittenName {
    var parts = [try identifier("a type's name")]
    while token.kind == .doubleColon {
      advance()
      parts.append(try identifier("an identifier"))
    }
    return joined(parts)
  }

  private func joined(_ parts: [SchemaFragment.WrittenName]) -> SchemaFragment.WrittenName {
    let span = parts.dropFirst().reduce(parts.first?.span ?? .none) { $0.union($1.span) }
    return SchemaFragment.WrittenName(parts.map(\.text).joined(separator: "::"), span: span)
  }

  private mutating func string() throws(SchemaError) -> SchemaFragment.WrittenName {
    let span = token.span
    let (text, mistakes) = StringLiteral.unescape(bytes[span.start..<span.end].dropFirst().dropLast())
    if let first = mistakes.first {
      throw SchemaError(
        .syntax, "the input `\(first.text)` is not a valid escape", at: span,
        help: #"valid escapes are \n \r \t \0 \\ \" \' \x41 \u{1F600}"#)
    }
    advance()
    return SchemaFragment.WrittenName(text, span: span)
  }
}

/// Reads a policy text into a `SyntaxTree`, the grammar of Cedar and nothing of its meaning.
///
/// Operators are parsed by precedence with a stack of open constructs: nesting costs an entry in an array, never a call.
/// After a mistake it goes on with the next statement, so that a text's mistakes come all at once.
public struct SyntaxParser {
  /// The tree of a policy text, and its mistakes; statements with mistakes are left out of the tree's policies.
  public static func policies(_ source: [UInt8], limits: Limits = Limits()) -> (tree: SyntaxTree, errors: [ParseError]) {
    guard source.count <= limits.bytes else { return (empty(source.count), [tooLarge(source.count, limits)]) }
    let lexed = Lexer.tokens(source)
    var parser = SyntaxParser(tree: SyntaxTree(source: source, tokens: lexed.tokens), limits: limits)
    parser.invalid = lexed.errors
    while parser.kind != .end, parser.errors.count < ParseErrors.limit { parser.statement() }
    return (parser.tree, lexed.errors + parser.errors)
  }

  /// The tree of one expression, its root, and its mistakes; the root is nil if there are any.
  public static func expression(_ source: [UInt8], limits: Limits = Limits()) -> (tree: SyntaxTree, root: SyntaxID?, errors: [ParseError]) {
    guard source.count <= limits.bytes else { return (empty(source.count), nil, [tooLarge(source.count, limits)]) }
    let lexed = Lexer.tokens(source)
    var parser = SyntaxParser(tree: SyntaxTree(source: source, tokens: lexed.tokens), limits: limits)
    guard lexed.errors.isEmpty else { return (parser.tree, nil, lexed.errors) }
    guard let root = parser.expression(floor: 1) else { return (parser.tree, nil, parser.errors) }
    guard parser.kind == .end else {
      parser.unexpected(expecting: "end of input or an operator")
      return (parser.tree, nil, parser.errors)
    }
    return (parser.tree, SyntaxID(index: root), [])
  }

  private static func empty(_ count: Int) -> SyntaxTree { SyntaxTree(source: [], tokens: [Token(.end, at: SourceSpan(0, 0))]) }

  private static func tooLarge(_ count: Int, _ limits: Limits) -> ParseError {
    ParseError("the text has \(count) bytes, more than \(limits.bytes)", at: SourceSpan(0, 0), help: "split it into several files")
  }

  private(set) var tree: SyntaxTree
  private let limits: Limits
  private let tokenCount: Int
  private var at = 0
  private var frames: [Frame] = []
  private var errors: [ParseError] = []
  // Mistakes of the lexer: a statement that contains one says nothing else that is worth reading.
  private var invalid: [ParseError] = []
  private var invalidAt = 0
  private var failed = false

  private init(tree: SyntaxTree, limits: Limits) {
    self.tree = tree
    self.limits = limits
    tokenCount = tree.tokens.count
    self.tree.nodes.reserveCapacity(tokenCount)
  }

  /// A construct that was opened and waits for its next part.
  private struct Frame {
    var kind: SyntaxKind
    /// Precedence of a chain or relation; 0 for what only a closing token ends; `isRoot` frames are where a call started.
    var level: Int8
    var isRoot = false
    var stage: UInt8 = 0
    var count: Int32 = 0
    var firstToken: Int32
    var mainToken: Int32
    var firstChild: Int32 = -1
    var lastChild: Int32 = -1
  }

  // MARK: Tokens

  private var kind: Token.Kind { tree.tokens[at].kind }

  private func kind(after offset: Int) -> Token.Kind { at + offset < tokenCount ? tree.tokens[at + offset].kind : .end }

  private mutating func advance() { if at + 1 < tokenCount { at += 1 } }

  private mutating func expect(_ wanted: Token.Kind) -> Bool {
    guard kind == wanted else {
      unexpected(expecting: wanted.expectation)
      return false
    }
    advance()
    return true
  }

  private mutating func unexpected(expecting expectation: String, help: String? = nil) {
    guard !failed else { return }
    failed = true
    let token = tree.tokens[at]
    let message = token.kind == .end ? "unexpected end of input" : "unexpected token `\(tree.text(ofToken: at))`"
    errors.append(ParseError(message, at: token.span, label: "expected \(expectation)", help: help ?? wordHelp))
  }

  /// What other languages call an operator.
  private var wordHelp: String? {
    guard kind == .identifier else { return nil }
    switch tree.text(ofToken: at) {
    case "and", "AND", "And": return "write `&&` for \"and\""
    case "or", "OR", "Or": return "write `||` for \"or\""
    case "not", "NOT", "Not": return "write `!` for \"not\""
    case "IN", "HAS", "LIKE", "IS", "IF", "THEN", "ELSE", "TRUE", "FALSE", "True", "False":
      return "words of the language are written in lower case"
    case "contains", "matches", "startswith", "startsWith":
      return "methods follow a dot: `set.contains(element)`; patterns are written `text like \"a*\"`"
    default: return nil
    }
  }

  // MARK: Nodes

  private mutating func add(
    _ kind: SyntaxKind, first: Int32, main: Int32, last: Int32, firstChild: Int32 = -1
  ) -> Int32 {
    tree.nodes.append(SyntaxNode(kind: kind, firstToken: first, lastToken: last, mainToken: main, firstChild: firstChild, nextSibling: -1))
    return Int32(truncatingIfNeeded: tree.nodes.count - 1)
  }

  private mutating func append(_ child: Int32, to frame: inout Frame) {
    if frame.lastChild >= 0 { tree.nodes[Int(frame.lastChild)].nextSibling = child } else { frame.firstChild = child }
    frame.lastChild = child
    frame.count += 1
  }

  private mutating func append(_ child: Int32, toFrame index: Int) {
    let last = frames[index].lastChild
    if last >= 0 { tree.nodes[Int(last)].nextSibling = child } else { frames[index].firstChild = child }
    frames[index].lastChild = child
    frames[index].count += 1
  }

  private mutating func close(_ frame: Frame, last: Int32) -> Int32 {
    add(frame.kind, first: frame.firstToken, main: frame.mainToken, last: last, firstChild: frame.firstChild)
  }

  // MARK: Statements

  private mutating func statement() {
    let start = at
    failed = false
    if let policy = policy() {
      if !containsInvalid(from: start, to: at) { tree.policies.append(SyntaxID(index: policy)) }
      return
    }
    // The statement is lost; the next begins after its semicolon. At least one token is passed.
    if at == start { advance() }
    while kind != .end, kind != .semicolon { advance() }
    let stoppedAt = at
    if kind == .semicolon { advance() }
    if containsInvalid(from: start, to: stoppedAt), failed { errors.removeLast() }
  }

  private mutating func containsInvalid(from start: Int, to end: Int) -> Bool {
    let low = start == 0 ? 0 : tree.tokens[start - 1].span.end
    let high = tree.tokens[end].span.start
    while invalidAt < invalid.count, invalid[invalidAt].span.start < low { invalidAt += 1 }
    return invalidAt < invalid.count && invalid[invalidAt].span.start < max(high, low + 1)
  }

  private mutating func policy() -> Int32? {
    let first = Int32(truncatingIfNeeded: at)
    var frame = Frame(kind: .policy, level: 0, firstToken: first, mainToken: first)
    while kind == .at {
      guard let annotation = annotation() else { return nil }
      append(annotation, to: &frame)
    }
    guard tree.tokens[at].isWord else {
      unexpected(expecting: "`@` or identifier", help: kind == .semicolon ? "a policy ends with one `;`" : nil)
      return nil
    }
    let effect = Int32(truncatingIfNeeded: at)
    frame.mainToken = effect
    advance()
    guard expect(.leftParen) else { return nil }
    while kind != .rightParen {
      guard let element = scopeElement() else { return nil }
      append(element, to: &frame)
      if kind == .comma {
        advance()
      } else if kind != .rightParen {
        unexpected(expecting: "`,`, `)`, or one of `==`, `in`, `is`")
        return nil
      }
    }
    advance()
    while tree.tokens[at].isWord {
      guard let condition = condition() else { return nil }
      append(condition, to: &frame)
    }
    guard kind == .semicolon else {
      unexpected(expecting: "`;`, `when` or `unless`", help: kind == .end ? "every policy ends with `;`" : nil)
      return nil
    }
    let last = Int32(truncatingIfNeeded: at)
    advance()
    return close(frame, last: last)
  }

  private mutating func annotation() -> Int32? {
    let first = Int32(truncatingIfNeeded: at)
    advance()
    guard tree.tokens[at].isWord else {
      unexpected(expecting: "identifier")
      return nil
    }
    let key = Int32(truncatingIfNeeded: at)
    advance()
    guard kind == .leftParen else { return add(.annotation, first: first, main: key, last: key) }
    advance()
    guard expect(.string) else { return nil }
    let last = Int32(truncatingIfNeeded: at)
    guard expect(.rightParen) else { return nil }
    return add(.annotation, first: first, main: key, last: last)
  }

  private mutating func scopeElement() -> Int32? {
    let first = Int32(truncatingIfNeeded: at)
    guard tree.tokens[at].isWord else {
      unexpected(expecting: "`)` or identifier")
      return nil
    }
    var frame = Frame(kind: .scopeElement, level: 0, firstToken: first, mainToken: first)
    advance()
    if kind == .colon {
      let colon = Int32(truncatingIfNeeded: at)
      advance()
      // `A::{` opens the record of an entity, which no grammar has here.
      guard tree.tokens[at].isWord, let type = name(), type != Self.opened else {
        unexpected(expecting: "identifier")
        return nil
      }
      append(add(.typeConstraint, first: colon, main: colon, last: tree.nodes[Int(type)].lastToken, firstChild: type), to: &frame)
    }
    if kind == .is {
      let word = Int32(truncatingIfNeeded: at)
      advance()
      guard let type = expression(floor: 4) else { return nil }
      append(add(.isClause, first: word, main: word, last: tree.nodes[Int(type)].lastToken, firstChild: type), to: &frame)
    }
    if Self.isRelationOperator(kind) {
      let sign = Int32(truncatingIfNeeded: at)
      advance()
      guard let operand = expression(floor: 1) else { return nil }
      append(add(.operatorClause, first: sign, main: sign, last: tree.nodes[Int(operand)].lastToken, firstChild: operand), to: &frame)
    }
    let last = frame.lastChild >= 0 ? tree.nodes[Int(frame.lastChild)].lastToken : first
    return close(frame, last: last)
  }

  private mutating func condition() -> Int32? {
    let word = Int32(truncatingIfNeeded: at)
    advance()
    guard kind == .leftBrace else {
      let text = tree.text(ofToken: Int(word))
      let help =
        text == "permit" || text == "forbid"
        ? "a `;` is missing before `\(text)`: every policy ends with one"
        : text == "when" || text == "unless" ? "write the condition in braces: `\(text) { ... }`" : nil
      unexpected(expecting: "`{`", help: help)
      return nil
    }
    advance()
    var body: Int32 = -1
    if kind != .rightBrace {
      guard let expression = expression(floor: 1) else { return nil }
      body = expression
    }
    let last = Int32(truncatingIfNeeded: at)
    guard kind == .rightBrace else {
      unexpected(
        expecting: Self.afterOperand + " or `}`",
        help: kind == .semicolon || kind == .end ? "a `}` is missing that closes the condition" : nil)
      return nil
    }
    advance()
    return add(.condition, first: word, main: word, last: last, firstChild: body)
  }

  private static let afterOperand = "an operator"
  private static let operand = "an expression"

  private static func isRelationOperator(_ kind: Token.Kind) -> Bool {
    switch kind {
    case .equal, .notEqual, .less, .lessOrEqual, .greater, .greaterOrEqual, .in, .assign: true
    default: false
    }
  }

  // MARK: Expressions

  /// The precedence of an infix operator, 0 for what is none.
  private static func level(of kind: Token.Kind) -> Int8 {
    switch kind {
    case .or: 1
    case .and: 2
    case .equal, .notEqual, .less, .lessOrEqual, .greater, .greaterOrEqual, .in, .assign, .has, .like, .is: 3
    case .plus, .minus: 4
    case .times, .slash, .percent: 5
    default: 0
    }
  }

  private static func chain(of kind: Token.Kind) -> SyntaxKind {
    switch kind {
    case .or: .or
    case .and: .and
    case .plus, .minus: .sum
    case .times, .slash, .percent: .product
    case .has: .has
    case .like: .like
    case .is: .is
    default: .relation
    }
  }

  private mutating func push(_ kind: SyntaxKind, level: Int8 = 0, first: Int, main: Int) -> Bool {
    guard frames.count < 2 * limits.depth else {
      if !failed {
        failed = true
        errors.append(
          ParseError("expressions are nested deeper than the limit of \(limits.depth) levels", at: tree.tokens[at].span))
      }
      return false
    }
    frames.append(
      Frame(kind: kind, level: level, firstToken: Int32(truncatingIfNeeded: first), mainToken: Int32(truncatingIfNeeded: main)))
    return true
  }

  /// Parses an expression whose operators have at least the precedence `floor`; nil after a mistake.
  private mutating func expression(floor: Int8) -> Int32? {
    frames.removeAll(keepingCapacity: true)
    frames.append(Frame(kind: .paren, level: 0, isRoot: true, firstToken: 0, mainToken: 0))
    while true {
      guard var operand = operandStart(floor: floor) else { return nil }
      // A negative result opened a construct whose next part is an operand again.
      if operand == Self.opened { continue }
      guard let finished = operators(after: &operand, floor: floor) else { return nil }
      if finished { return operand }
    }
  }

  private static let opened: Int32 = -2
  private static let access: Int32 = -1

  /// Reads a primary, or opens a construct (`opened`), or opens and closes an empty one; nil after a mistake.
  private mutating func operandStart(floor: Int8) -> Int32? {
    let top = frames[frames.count - 1]
    switch kind {
    case .not, .minus:
      guard top.kind != .not, top.kind != .negate else {
        unexpected(expecting: "`(`, `[`, `{`, identifier, number, or string literal", help: "use parentheses: `!(-x)`")
        return nil
      }
      let sign = kind
      guard push(sign == .not ? .not : .negate, first: at, main: at) else { return nil }
      while kind == sign { advance() }
      return Self.opened
    case .if where kind(after: 1) != .colon && kind(after: 1) != .doubleColon:
      guard top.level == 0, top.kind != .not, top.kind != .negate, !top.isRoot || floor <= 1 else {
        unexpected(expecting: Self.operand, help: "put the `if` in parentheses to use it as an operand")
        return nil
      }
      guard push(.conditional, first: at, main: at) else { return nil }
      advance()
      return Self.opened
    case .number, .string, .true, .false: return leaf(.literal)
    case .slot: return leaf(.slot)
    case .identifier, .if, .then, .else, .in, .is, .has, .like: return name()
    case .leftParen:
      guard push(.paren, first: at, main: at) else { return nil }
      advance()
      return Self.opened
    case .leftBracket:
      guard push(.set, first: at, main: at) else { return nil }
      advance()
      return kind == .rightBracket ? closeTop() : Self.opened
    case .leftBrace:
      guard push(.record, first: at, main: at) else { return nil }
      return openBrace()
    default:
      unexpected(expecting: Self.operand, help: kind == .assign ? "equality is written `==`" : nil)
      return nil
    }
  }

  private mutating func openBrace() -> Int32? {
    advance()
    if kind == .rightBrace { return closeTop() }
    return push(.recordField, first: at, main: at) ? Self.opened : nil
  }

  private mutating func leaf(_ kind: SyntaxKind) -> Int32 {
    let token = Int32(truncatingIfNeeded: at)
    advance()
    return add(kind, first: token, main: token, last: token)
  }

  /// Closes the frame on top at the current token, which belongs to it.
  private mutating func closeTop() -> Int32 {
    let frame = frames.removeLast()
    let last = Int32(truncatingIfNeeded: at)
    advance()
    return close(frame, last: last)
  }

  /// A name, or an entity that begins with one; `opened` at an entity's record.
  private mutating func name() -> Int32? {
    let first = Int32(truncatingIfNeeded: at)
    advance()
    while kind == .doubleColon {
      if kind(after: 1) == .string {
        advance()
        let string = Int32(truncatingIfNeeded: at)
        advance()
        return add(.entity, first: first, main: string, last: string)
      }
      if kind(after: 1) == .leftBrace {
        advance()
        guard push(.entityRecord, first: Int(first), main: at) else { return nil }
        return openBrace()
      }
      advance()
      guard tree.tokens[at].isWord else {
        unexpected(expecting: "identifier or string literal")
        return nil
      }
      advance()
    }
    return add(.name, first: first, main: first, last: Int32(truncatingIfNeeded: at - 1))
  }

  /// Goes on after an operand: accesses, operators and closing tokens, until another operand is due (false) or the
  /// expression is complete (true); nil after a mistake.
  private mutating func operators(after operand: inout Int32, floor: Int8) -> Bool? {
    while true {
      switch kind {
      case .dot, .leftParen, .leftBracket:
        if operand != Self.access {
          let first = tree.nodes[Int(operand)].firstToken
          guard push(.member, first: Int(first), main: Int(first)) else { return nil }
          append(operand, toFrame: frames.count - 1)
          operand = Self.access
        }
        guard let closed = openAccess() else { return nil }
        if closed { continue }
        return false
      default: break
      }
      if operand == Self.access {
        let frame = frames.removeLast()
        operand = close(frame, last: tree.nodes[Int(frame.lastChild)].lastToken)
      }
      if let kind = frames.last?.kind, kind == .not || kind == .negate { reduceTop(&operand) }
      let level = Self.level(of: kind)
      if level > 0, level >= enclosingFloor(floor) {
        guard infix(level, &operand) else { return nil }
        return false
      }
      while let top = frames.last, top.level > 0 { reduceTop(&operand) }
      guard let outcome = delimiter(&operand) else { return nil }
      switch outcome {
      case .finished: return true
      case .operandDue: return false
      case .operandDone: continue
      }
    }
  }

  private func enclosingFloor(_ floor: Int8) -> Int8 {
    var index = frames.count - 1
    while index > 0, frames[index].level > 0 { index -= 1 }
    return frames[index].isRoot ? floor : 1
  }

  /// Opens or reads an access; true if it is complete.
  private mutating func openAccess() -> Bool? {
    let first = at
    switch kind {
    case .dot:
      advance()
      guard tree.tokens[at].isWord else {
        unexpected(expecting: "identifier")
        return nil
      }
      let word = Int32(truncatingIfNeeded: at)
      advance()
      append(add(.field, first: Int32(truncatingIfNeeded: first), main: word, last: word), toFrame: frames.count - 1)
      return true
    case .leftParen:
      guard push(.call, first: first, main: first) else { return nil }
      advance()
      guard kind == .rightParen else { return false }
      attachAccess()
      return true
    default:
      guard push(.index, first: first, main: first) else { return nil }
      advance()
      return false
    }
  }

  private mutating func attachAccess() {
    let access = closeTop()
    append(access, toFrame: frames.count - 1)
  }

  /// Makes the frame on top a node with `operand` as its last part.
  private mutating func reduceTop(_ operand: inout Int32) {
    var frame = frames.removeLast()
    append(operand, to: &frame)
    operand = close(frame, last: tree.nodes[Int(operand)].lastToken)
  }

  private mutating func infix(_ level: Int8, _ operand: inout Int32) -> Bool {
    while let top = frames.last, top.level > level { reduceTop(&operand) }
    let index = frames.count - 1
    let top = frames[index]
    if top.level == level {
      let goesOn: Bool =
        switch top.kind {
        case .has, .like: false
        case .is: kind == .in && top.count == 1
        case .relation: Self.isRelationOperator(kind)
        default: true
        }
      guard goesOn else {
        unexpected(expecting: "`&&`, `||`, or the end of the expression", help: "use parentheses to combine relations")
        return false
      }
      append(operand, toFrame: index)
    } else {
      guard push(Self.chain(of: kind), level: level, first: Int(tree.nodes[Int(operand)].firstToken), main: at) else { return false }
      append(operand, toFrame: frames.count - 1)
    }
    advance()
    return true
  }

  private enum Outcome {
    case finished, operandDue, operandDone
  }

  /// Gives a complete operand to the construct that waits for it, and reads the token that must follow.
  private mutating func delimiter(_ operand: inout Int32) -> Outcome? {
    let index = frames.count - 1
    if frames[index].isRoot {
      frames.removeLast()
      return .finished
    }
    switch frames[index].kind {
    case .paren:
      append(operand, toFrame: index)
      guard kind == .rightParen else { return mistake("`)`") }
      operand = closeTop()
      return .operandDone
    case .set, .call:
      append(operand, toFrame: index)
      let isSet = frames[index].kind == .set
      let end: Token.Kind = isSet ? .rightBracket : .rightParen
      if kind == .comma {
        advance()
        if kind != end { return .operandDue }
      }
      guard kind == end else { return mistake("`,` or " + end.expectation) }
      if isSet {
        operand = closeTop()
      } else {
        attachAccess()
        operand = Self.access
      }
      return .operandDone
    case .index:
      append(operand, toFrame: index)
      guard kind == .rightBracket else { return mistake("`]`") }
      attachAccess()
      operand = Self.access
      return .operandDone
    case .recordField: return recordField(&operand)
    case .conditional:
      let stage = frames[index].stage
      if stage == 2 {
        reduceTop(&operand)
        return .operandDone
      }
      append(operand, toFrame: index)
      let word: Token.Kind = stage == 0 ? .then : .else
      guard kind == word else { return mistake(word.expectation) }
      advance()
      frames[index].stage = stage + 1
      return .operandDue
    default: return mistake(nil)
    }
  }

  private mutating func recordField(_ operand: inout Int32) -> Outcome? {
    let index = frames.count - 1
    if frames[index].stage == 0 {
      append(operand, toFrame: index)
      guard kind == .colon else { return mistake("`:`") }
      advance()
      frames[index].stage = 1
      return .operandDue
    }
    reduceTop(&operand)
    append(operand, toFrame: frames.count - 1)
    if kind == .comma {
      advance()
      if kind != .rightBrace {
        return push(.recordField, first: at, main: at) ? .operandDue : nil
      }
    }
    guard kind == .rightBrace else { return mistake("`,` or `}`") }
    operand = closeTop()
    return .operandDone
  }

  private mutating func mistake(_ closing: String?) -> Outcome? {
    let isAssignment = kind == .assign
    let more = closing.map { ($0.contains(" or ") ? ", " : " or ") + $0 } ?? ""
    unexpected(expecting: Self.afterOperand + more, help: isAssignment ? "equality is written `==`" : nil)
    return nil
  }
}

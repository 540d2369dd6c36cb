/// The document of one policy after another, as the reference's formatter lays them out (spec: Cedar formatter).
///
/// The text is known to be valid, so its tokens say it all: no tree is needed, and nesting costs a stack entry, not a call.
struct PolicyLayout {
  /// What should not happen: tokens that are no valid policies.
  struct NotAPolicy: Error {}

  private let source: [UInt8]
  let tokens: [Token]
  private let comments: Comments
  let options: PolicyFormatter.Options
  var layout: Layout
  // The next token.
  var at = 0
  // Expressions that are open, the innermost last.
  var levels: [Level] = []
  // The token whose leading comments are already printed.
  private var leadingTaken = -1
  // Comments of tokens that are not printed.
  private var orphans: [Range<Int>] = []

  init(source: [UInt8], tokens: [Token], options: PolicyFormatter.Options) {
    self.source = source
    self.tokens = tokens
    self.options = options
    comments = Comments(source: source, tokens: tokens)
    layout = Layout(pool: source)
  }

  /// The text of the next policy, not yet cleaned of blank lines; nil at the end of the tokens.
  mutating func next() throws(NotAPolicy) -> [UInt8]? {
    guard kind != .end else { return nil }
    layout.removeAll()
    try policy()
    return layout.rendered(width: options.width)
  }

  /// The comments that close the file.
  var closing: [Range<Int>] { orphans + (tokens.count > 1 ? comments.leading(tokens.count - 1) : comments.leading(0)) }

  var kind: Token.Kind { tokens[min(at, tokens.count - 1)].kind }
  var kindAfter: Token.Kind { tokens[min(at + 1, tokens.count - 1)].kind }

  // MARK: - Tokens and comments

  private mutating func lead(_ token: Int) {
    var all = orphans
    orphans = []
    if token != leadingTaken { all += comments.leading(token) }
    leadingTaken = token
    guard !all.isEmpty else { return }
    layout.append(.hardLine)
    for (index, comment) in all.enumerated() {
      if index > 0 { layout.append(.hardLine) }
      layout.append(.text(comment))
    }
    layout.append(.hardLine)
  }

  private mutating func trail(_ token: Int, or next: Layout.Item? = nil) {
    let comment = comments.trailing(token)
    if !comment.isEmpty {
      layout.append(.space)
      layout.append(.text(comment))
      layout.append(.hardLine)
    } else if let next {
      layout.append(next)
    }
  }

  private mutating func print(_ token: Int) {
    let span = tokens[token].span
    var start = span.start
    if tokens[token].kind == .number {
      // The reference prints the number that it read.
      while start + 1 < span.end, source[start] == UInt8(ascii: "0") { start += 1 }
    }
    layout.append(.text(start..<span.end))
  }

  /// The next token with its comments; `next` stands behind it if no comment trails it.
  mutating func token(_ expected: Token.Kind? = nil, or next: Layout.Item? = nil) throws(NotAPolicy) {
    guard kind != .end, expected == nil || kind == expected else { throw NotAPolicy() }
    lead(at)
    print(at)
    trail(at, or: next)
    at += 1
  }

  /// Passes a trailing comma, which is not printed. The reference loses its comments.
  mutating func dropComma() {
    keepComments(of: at)
    at += 1
  }

  private mutating func keepComments(of token: Int) {
    guard options.keepsEveryComment else { return }
    orphans += comments.leading(token)
    let trailing = comments.trailing(token)
    if !trailing.isEmpty { orphans.append(trailing) }
  }

  // MARK: - Policies

  private mutating func policy() throws(NotAPolicy) {
    while kind == .at { try annotation() }
    lead(at)
    layout.append(.beginGroup)
    try token(.identifier)
    layout.append(.line)
    try token(.leftParen)
    layout.append(.endGroup)
    try scope()
    var isFirst = true
    while kind == .identifier {
      if !isFirst { layout.append(.hardLine) }
      isFirst = false
      try condition()
    }
    try token(.semicolon)
  }

  private mutating func annotation() throws(NotAPolicy) {
    try token(.at)
    guard tokens[at].isWord else { throw NotAPolicy() }
    try token()
    if kind == .leftParen {
      try token(.leftParen)
      try token(.string)
      try token(.rightParen, or: .hardLine)
    } else {
      layout.append(.hardLine)
    }
  }

  private mutating func scope() throws(NotAPolicy) {
    let isPlain = hasPlainScope
    let separator = isPlain ? Layout.Item.space : .hardLine
    if isPlain { layout.append(.beginGroup) }
    layout.append(.beginNest(options.indent))
    if !isPlain { layout.append(.hardLine) }
    try scopeElement()
    for _ in 0..<2 {
      try token(.comma, or: separator)
      try scopeElement()
    }
    layout.append(.endNest)
    layout.append(isPlain ? .endGroup : .hardLine)
    // The parenthesis gets the comments of what follows the last element, be it a comma.
    let first = at
    if kind == .comma { at += 1 }
    guard kind == .rightParen else { throw NotAPolicy() }
    lead(first)
    print(at)
    let hasConditions = kindAfter == .identifier
    trail(first, or: hasConditions ? .hardLine : nil)
    if first != at { keepComments(of: at) }
    at += 1
  }

  /// Whether the scope is three words: only then may it stand on one line.
  private var hasPlainScope: Bool {
    var index = at
    for last in [false, false, true] {
      guard index + 1 < tokens.count, tokens[index].isWord else { return false }
      let after = tokens[index + 1].kind
      guard after == .comma || (last && after == .rightParen) else { return false }
      index += 2
    }
    return true
  }

  private mutating func scopeElement() throws(NotAPolicy) {
    let variable = at
    guard tokens[variable].isWord else { throw NotAPolicy() }
    lead(variable)
    let outer = layout.reserve()
    let inner = layout.reserve()
    print(variable)
    trail(variable)
    at += 1
    if kind == .is {
      layout.append(.beginGroup)
      layout.append(.beginNest(options.indent))
      layout.append(.beginGroup)
      layout.append(.line)
      try token(.is)
      layout.append(.endGroup)
      layout.append(.line)
      try name()
      layout.append(.endNest)
      layout.append(.endGroup)
    }
    guard kind == .equal || kind == .in else { return }
    layout.append(.line)
    try token()
    layout.group(from: inner)
    layout.append(.beginNest(options.indent))
    layout.append(.line)
    try expression()
    layout.append(.endNest)
    layout.group(from: outer)
  }

  mutating func name() throws(NotAPolicy) {
    guard tokens[at].isWord else { throw NotAPolicy() }
    try token()
    while kind == .doubleColon {
      try token(.doubleColon)
      guard tokens[at].isWord || kind == .string else { throw NotAPolicy() }
      try token()
    }
  }

  private mutating func condition() throws(NotAPolicy) {
    lead(at)
    layout.append(.beginGroup)
    print(at)
    trail(at, or: .line)
    at += 1
    guard kind == .leftBrace else { throw NotAPolicy() }
    let brace = at
    lead(brace)
    print(brace)
    at += 1
    layout.append(.beginGroup)
    layout.append(.beginNest(options.indent))
    trail(brace, or: .line)
    lead(at)
    layout.append(.beginGroup)
    try expression()
    layout.append(.endGroup)
    layout.append(.endNest)
    layout.append(.line)
    try token(.rightBrace)
    layout.append(.endGroup)
    layout.append(.endGroup)
  }
}

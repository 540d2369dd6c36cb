/// Expressions: each level of precedence in a group of its own, and an explicit stack for what nests.
extension PolicyLayout {
  /// An open expression: what it stands in, and the places kept for groups that begin once it is known what they hold.
  struct Level {
    enum Place {
      /// A condition or a scope: ends at any token that continues no expression.
      case outermost
      case paren, set, record, arguments, index
      case ifTest, ifThen, ifElse
    }

    enum Relation {
      case none
      /// Behind `==` and the like, or `in`.
      case comparison
      /// Behind `has`, `like`, or the `in` of `is … in`: the operand is in a nest, the relation in a group.
      case word
      /// Behind `is`: as `word`, and an `in` may follow.
      case type
    }

    var place: Place
    var relation = Relation.none
    var relationStart = 0
    var sumStart = 0
    var productStart = 0
    var memberStart = 0
    /// Whether an access was printed, which opened a nest.
    var hasAccess = false
  }

  private enum State {
    case beginning, operand, afterOperand
  }

  /// Prints one expression and stops at the first token that cannot belong to it.
  mutating func expression() throws(NotAPolicy) {
    levels = [Level(place: .outermost)]
    var state = State.beginning
    while let top = levels.indices.last {
      switch state {
      case .beginning: state = try begin(top)
      case .operand: state = try operand(top)
      case .afterOperand: state = try proceed(top)
      }
    }
  }

  private mutating func begin(_ top: Int) throws(NotAPolicy) -> State {
    guard kind == .if else { return openRelation(top) }
    layout.append(.beginGroup)
    return try open(.ifTest)
  }

  /// Prints the word or bracket that opens an inner expression.
  private mutating func open(_ place: Level.Place) throws(NotAPolicy) -> State {
    levels.append(Level(place: place))
    switch place {
    case .paren:
      layout.append(.beginGroup)
      try token(.leftParen)
      layout.append(.beginNest(1))
    case .set:
      try token(.leftBracket)
      layout.append(.beginNest(1))
    case .record:
      try token(.leftBrace)
      layout.append(.beginNest(options.indent))
      layout.append(.beginGroup)
      layout.append(.line)
      try key()
    case .arguments:
      try token(.leftParen)
      layout.append(.beginNest(options.indent))
      layout.append(.softLine)
    case .index: try token(.leftBracket)
    case .ifTest, .ifThen, .ifElse:
      try token()
      layout.append(.beginNest(options.indent))
      layout.append(.line)
    case .outermost: break
    }
    return .beginning
  }

  private mutating func openRelation(_ top: Int) -> State {
    levels[top].relation = .none
    levels[top].relationStart = layout.reserve()
    return openSum(top)
  }

  private mutating func openSum(_ top: Int) -> State {
    levels[top].sumStart = layout.reserve()
    levels[top].productStart = layout.reserve()
    return .operand
  }

  // MARK: - Operands

  private mutating func operand(_ top: Int) throws(NotAPolicy) -> State {
    while kind == .not || kind == .minus { try token() }
    levels[top].memberStart = layout.reserve()
    levels[top].hasAccess = false
    switch (kind, kindAfter) {
    case (.number, _), (.string, _), (.slot, _), (.true, _), (.false, _): try token()
    case (.identifier, _): try name()
    case (.leftBracket, .rightBracket), (.leftBrace, .rightBrace):
      try token()
      try token()
    case (.leftParen, _): return try open(.paren)
    case (.leftBracket, _): return try open(.set)
    case (.leftBrace, _): return try open(.record)
    default: throw NotAPolicy()
    }
    return .afterOperand
  }

  private mutating func key() throws(NotAPolicy) {
    guard tokens[at].isWord || kind == .string else { throw NotAPolicy() }
    try token()
    try token(.colon)
    layout.append(.space)
  }

  private mutating func access(_ top: Int) throws(NotAPolicy) -> State {
    if levels[top].hasAccess {
      layout.append(.softLine)
    } else {
      layout.append(.beginNest(options.indent))
      levels[top].hasAccess = true
    }
    switch (kind, kindAfter) {
    case (.dot, _):
      try token()
      guard tokens[at].isWord else { throw NotAPolicy() }
      try token()
    case (.leftParen, .rightParen):
      try token()
      try token()
    case (.leftParen, _): return try open(.arguments)
    default: return try open(.index)
    }
    return .afterOperand
  }

  // MARK: - Operators and closing tokens

  private mutating func proceed(_ top: Int) throws(NotAPolicy) -> State {
    switch kind {
    case .dot, .leftParen, .leftBracket: return try access(top)
    case .times, .slash, .percent:
      closeMember(top)
      layout.append(.space)
      try token()
      layout.append(.line)
      return .operand
    case .plus, .minus:
      closeProduct(top)
      layout.append(.space)
      try token()
      layout.append(.line)
      levels[top].productStart = layout.reserve()
      return .operand
    case .equal, .notEqual, .less, .lessOrEqual, .greater, .greaterOrEqual, .in:
      let isTyped = levels[top].relation == .type
      guard levels[top].relation == .none || (isTyped && kind == .in) else { throw NotAPolicy() }
      closeSum(top)
      if isTyped { layout.append(.endNest) }
      layout.append(isTyped ? .line : .space)
      try token()
      layout.append(.space)
      if isTyped { layout.append(.beginNest(options.indent)) }
      levels[top].relation = isTyped ? .word : .comparison
      return openSum(top)
    case .has, .like, .is:
      guard levels[top].relation == .none else { throw NotAPolicy() }
      let isType = kind == .is
      closeSum(top)
      layout.append(isType ? .space : .line)
      try token()
      layout.append(isType ? .space : .line)
      layout.append(.beginNest(options.indent))
      levels[top].relation = isType ? .type : .word
      return openSum(top)
    case .and, .or:
      closeRelation(top)
      layout.append(.space)
      try token(or: .line)
      return openRelation(top)
    default:
      closeRelation(top)
      return try close()
    }
  }

  private mutating func closeMember(_ top: Int) {
    if levels[top].hasAccess { layout.append(.endNest) }
    layout.group(from: levels[top].memberStart)
  }

  private mutating func closeProduct(_ top: Int) {
    closeMember(top)
    layout.group(from: levels[top].productStart)
  }

  private mutating func closeSum(_ top: Int) {
    closeProduct(top)
    layout.group(from: levels[top].sumStart)
  }

  private mutating func closeRelation(_ top: Int) {
    closeSum(top)
    switch levels[top].relation {
    case .none, .comparison: break
    case .word, .type:
      layout.append(.endNest)
      layout.group(from: levels[top].relationStart)
    }
  }

  /// Ends the innermost expression at a token that cannot continue it: by what it stands in, another one begins, or the
  /// bracket closes and is an operand of the expression outside.
  private mutating func close() throws(NotAPolicy) -> State {
    var place = levels.popLast()?.place ?? .outermost
    while place == .ifElse {
      // The whole `if` is the expression outside: nothing can continue that either.
      layout.append(.endNest)
      layout.append(.endGroup)
      place = levels.popLast()?.place ?? .outermost
    }
    switch (place, kind) {
    case (.outermost, _): return .afterOperand
    case (.ifTest, .then), (.ifThen, .else):
      layout.append(.endNest)
      layout.append(.line)
      return try open(kind == .then ? .ifThen : .ifElse)
    case (.paren, .rightParen):
      layout.append(.endNest)
      try token()
      layout.append(.endGroup)
    case (.index, .rightBracket): try token()
    case (.set, .comma), (.arguments, .comma), (.record, .comma):
      if kindAfter == .rightBracket || kindAfter == .rightParen || kindAfter == .rightBrace {
        dropComma()
        levels.append(Level(place: place))
        return try close()
      }
      try token()
      layout.append(.line)
      if place == .record { try key() }
      levels.append(Level(place: place))
      return .beginning
    case (.set, .rightBracket):
      layout.append(.endNest)
      try token()
    case (.arguments, .rightParen):
      layout.append(.endNest)
      layout.append(.softLine)
      try token()
    case (.record, .rightBrace):
      layout.append(.line)
      layout.append(.endGroup)
      layout.append(.endNest)
      try token()
    default: throw NotAPolicy()
    }
    return .afterOperand
  }
}

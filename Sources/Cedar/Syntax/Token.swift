/// One token of a policy text; white space and comments are what stands between tokens (spec: Cedar grammar, lexis).
public struct Token: Sendable, Equatable {
  /// The kinds of token.
  public enum Kind: UInt8, Sendable {
    case identifier
    /// A decimal number without sign.
    case number
    /// A string literal, quotes included; escapes are not yet checked.
    case string
    /// `?principal`, `?resource`, or `?` and another identifier.
    case slot
    // Words that are no identifiers.
    case `if`, then, `else`, `true`, `false`, `in`, `is`, has, like
    // Punctuation.
    case at, dot, comma, semicolon, colon, doubleColon, leftParen, rightParen, leftBrace, rightBrace, leftBracket, rightBracket
    case equal, notEqual, less, lessOrEqual, greater, greaterOrEqual, or, and, plus, minus, times, slash, percent, not, assign
    /// `?` that stands alone: lexes only in schemas.
    case question
    /// The end of the text.
    case end
  }

  /// The kind.
  public let kind: Kind
  /// Where it stands.
  public let span: SourceSpan

  /// A token.
  public init(_ kind: Kind, at span: SourceSpan) {
    self.kind = kind
    self.span = span
  }

  /// Whether the token is a word: an identifier, reserved or not.
  public var isWord: Bool { kind == .identifier || (kind.rawValue >= Kind.if.rawValue && kind.rawValue <= Kind.like.rawValue) }
}

extension Token.Kind {
  /// How messages name a kind that is expected: `` `{` ``, `identifier`, `string literal`.
  public var expectation: String {
    switch self {
    case .identifier: "identifier"
    case .number: "number"
    case .string: "string literal"
    case .slot: "template slot"
    case .if: "`if`"
    case .then: "`then`"
    case .else: "`else`"
    case .true: "`true`"
    case .false: "`false`"
    case .in: "`in`"
    case .is: "`is`"
    case .has: "`has`"
    case .like: "`like`"
    case .at: "`@`"
    case .dot: "`.`"
    case .comma: "`,`"
    case .semicolon: "`;`"
    case .colon: "`:`"
    case .doubleColon: "`::`"
    case .leftParen: "`(`"
    case .rightParen: "`)`"
    case .leftBrace: "`{`"
    case .rightBrace: "`}`"
    case .leftBracket: "`[`"
    case .rightBracket: "`]`"
    case .equal: "`==`"
    case .notEqual: "`!=`"
    case .less: "`<`"
    case .lessOrEqual: "`<=`"
    case .greater: "`>`"
    case .greaterOrEqual: "`>=`"
    case .or: "`||`"
    case .and: "`&&`"
    case .plus: "`+`"
    case .minus: "`-`"
    case .times: "`*`"
    case .slash: "`/`"
    case .percent: "`%`"
    case .not: "`!`"
    case .assign: "`=`"
    case .question: "`?`"
    case .end: "end of input"
    }
  }
}

/// A policy text as it was written: every token, parenthesis and operator, before it is given a meaning.
///
/// Flat: nodes refer to tokens and to each other by index, so a tree is built, walked and freed without recursion.
/// The formatter works on it; the parser lowers it to `Policy` and `Expr`.
public struct SyntaxTree: Sendable {
  /// The text.
  public let source: [UInt8]
  /// Its tokens, the last of them `.end`.
  public let tokens: [Token]
  /// The nodes; a node stands after all of its descendants.
  public internal(set) var nodes: [SyntaxNode] = []
  /// The policies in order.
  public internal(set) var policies: [SyntaxID] = []

  init(source: [UInt8], tokens: [Token]) {
    self.source = source
    self.tokens = tokens
  }

  /// The node.
  public subscript(id: SyntaxID) -> SyntaxNode { nodes[Int(id.index)] }

  /// The children of a node, in the order of the text.
  public func children(of id: SyntaxID) -> SyntaxChildren { SyntaxChildren(tree: self, upcoming: self[id].firstChild) }

  /// The first of the nodes that a node and its descendants are.
  func firstNode(of id: SyntaxID) -> Int32 {
    var index = id.index
    while nodes[Int(index)].firstChild >= 0 { index = nodes[Int(index)].firstChild }
    return index
  }

  /// The text of a token.
  public func text(ofToken token: Int) -> String {
    let span = tokens[token].span
    return String(decoding: source[span.start..<span.end], as: UTF8.self)
  }

  /// The place of a node.
  public func span(of id: SyntaxID) -> SourceSpan {
    let node = self[id]
    return SourceSpan(tokens[Int(node.firstToken)].span.start, tokens[Int(node.lastToken)].span.end)
  }

  /// The text of a node as written.
  public func text(of id: SyntaxID) -> String {
    let span = span(of: id)
    return String(decoding: source[span.start..<span.end], as: UTF8.self)
  }
}

/// A node's place in its tree.
public struct SyntaxID: Hashable, Sendable {
  let index: Int32
}

/// What a node of a syntax tree is. Each comment names the children in order, and the main token.
public enum SyntaxKind: UInt8, Sendable {
  /// annotation…, scope element…, condition…; main token: the effect.
  case policy
  /// No children; main token: the key. The value, where there is one, is the token two after the key.
  case annotation
  /// [type constraint], [is clause], [operator clause]; main token: the variable.
  case scopeElement
  /// `: T`, an error later. One child; main token: the colon.
  case typeConstraint
  /// `is T`: one child; main token: `is`.
  case isClause
  /// `== e` and the like: one child; main token: the operator.
  case operatorClause
  /// `when { e }`: the expression, absent if the braces are empty; main token: the word.
  case condition
  /// `a || b || …`: at least two operands; the operator token follows each operand but the last.
  case or
  /// `a && b && …`, as `or`.
  case and
  /// `a + b - …`, as `or`.
  case sum
  /// `a * b * …`, as `or`; also `/` and `%`, errors later.
  case product
  /// `a == b`: two operands, more are an error later; main token: the first operator.
  case relation
  /// `a has b`: two operands; main token: `has`.
  case has
  /// `a like b`: two operands; main token: `like`.
  case like
  /// `a is T` or `a is T in b`: two or three operands; main token: `is`.
  case `is`
  /// One or more `!` and an operand; the operators are the tokens from the node's first up to the operand's.
  case not
  /// One or more `-` and an operand, as `not`.
  case negate
  /// A primary and at least one access (`field`, `call`, `index`).
  case member
  /// `.name`; no children; main token: the name.
  case field
  /// `(a, b)`: the arguments.
  case call
  /// `[e]`: one child.
  case index
  /// A number, string, `true` or `false`; main token: itself.
  case literal
  /// `A::B`; no children; its tokens are identifiers and `::`.
  case name
  /// `A::"id"`; no children; main token: the string. The name is the tokens before the last `::`.
  case entity
  /// `A::{…}`: record fields; an error later.
  case entityRecord
  /// `?principal`; main token: itself.
  case slot
  /// `(e)`: one child.
  case paren
  /// `[a, b]`: the elements.
  case set
  /// `{a: 1}`: record fields.
  case record
  /// `a: 1`: key and value.
  case recordField
  /// `if a then b else c`: three children.
  case conditional
}

/// One node of a syntax tree.
public struct SyntaxNode: Sendable {
  /// What it is.
  public let kind: SyntaxKind
  /// Index of its first token.
  public let firstToken: Int32
  /// Index of its last token.
  public internal(set) var lastToken: Int32
  /// Index of the token that `SyntaxKind` calls its main token; its first token where it names none.
  public let mainToken: Int32
  var firstChild: Int32
  var nextSibling: Int32
}

/// The children of a node.
public struct SyntaxChildren: Sequence, IteratorProtocol, Sendable {
  let tree: SyntaxTree
  var upcoming: Int32

  /// The next child.
  public mutating func next() -> SyntaxID? {
    guard upcoming >= 0 else { return nil }
    defer { upcoming = tree.nodes[Int(upcoming)].nextSibling }
    return SyntaxID(index: upcoming)
  }
}

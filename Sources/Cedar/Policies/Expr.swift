/// An expression's place in its tree.
public struct ExprID: Hashable, Sendable {
  /// The index in the tree.
  public let index: Int32

  /// The place with that index.
  public init(_ index: Int) { self.index = Int32(clamping: index) }
}

/// The variables of a request.
public enum Variable: String, Sendable, CaseIterable {
  case principal, action, resource, context
}

/// One expression; its parts are other places in the same tree (Cedar reference, "operators and functions").
///
/// Chains are flat: `a && b && c` is one node, so that the depth of a tree is the nesting of the text and never its length.
public enum Expr: Sendable {
  case bool(Bool)
  case long(Int64)
  case string(String)
  case entity(EntityUID)
  case variable(Variable)
  /// `!a`
  case not(ExprID)
  /// `-a`
  case negate(ExprID)
  /// `a && b && …`: two or more, left to right, lazily.
  case and([ExprID])
  /// `a || b || …`: two or more, left to right, lazily.
  case or([ExprID])
  /// `a == b`, `a < b` and the like.
  case comparison(Comparison, ExprID, ExprID)
  /// `a in b`
  case `in`(ExprID, ExprID)
  /// `a + b - c …` and `a * b …`: the first operand, then one or more steps, left to right.
  case arithmetic(ExprID, [ArithmeticStep])
  /// `a has b.c`: the path has one or more keys; `a has b.c` means `a has b && a.b has c`.
  case has(ExprID, [String])
  /// `a.b` and `a["b"]`
  case attribute(ExprID, String)
  /// `a like "p*"`
  case like(ExprID, Pattern)
  /// `a is T` and `a is T in b`
  case `is`(ExprID, EntityType, in: ExprID?)
  /// `if a then b else c`
  case conditional(ExprID, then: ExprID, else: ExprID)
  /// `[a, b]`
  case set([ExprID])
  /// `{a: 1}`; keys are unique.
  case record([RecordField])
  /// `a.contains(b)` and the other methods of sets and tags.
  case method(Method, ExprID, ExprID?)
  /// An extension function or method; the receiver of a method is the first argument. The number of arguments is not checked.
  case call(ExtensionFunction, [ExprID])
  /// A call of a function that does not exist; only the JSON formats can write one.
  case undefinedCall(String, [ExprID])

  /// Comparisons.
  public enum Comparison: String, Sendable, CaseIterable {
    case equal = "=="
    case notEqual = "!="
    case less = "<"
    case lessOrEqual = "<="
    case greater = ">"
    case greaterOrEqual = ">="
  }

  /// Arithmetic operators.
  public enum ArithmeticOperator: String, Sendable, CaseIterable {
    case add = "+"
    case subtract = "-"
    case multiply = "*"
  }

  /// One step of an arithmetic chain.
  public struct ArithmeticStep: Sendable {
    /// What is done.
    public let `operator`: ArithmeticOperator
    /// With what.
    public let operand: ExprID

    /// A step.
    public init(_ operator: ArithmeticOperator, _ operand: ExprID) {
      self.operator = `operator`
      self.operand = operand
    }
  }

  /// Methods of sets, and of entities with tags.
  public enum Method: String, Sendable, CaseIterable {
    case contains, containsAll, containsAny, isEmpty, getTag, hasTag
  }

  /// One field of a record expression.
  public struct RecordField: Sendable {
    /// The key.
    public let key: String
    /// The value's expression.
    public let value: ExprID

    /// A field.
    public init(_ key: String, _ value: ExprID) {
      self.key = key
      self.value = value
    }
  }
}

/// Expressions side by side in one array, their places in the text beside them.
///
/// A node stands after all of its parts, so a walk from the first to the last meets parts before wholes, and nothing needs
/// recursion to build, walk or free a tree. `depth(of:)` is at most `Limits.depth` for trees that the parsers make, which
/// makes recursive walks safe too.
public struct ExprTree: Sendable {
  /// The nodes.
  public private(set) var nodes: [Expr] = []
  /// The places in the text, one a node.
  public private(set) var spans: [SourceSpan] = []
  // Depths, kept so that a limit is checked as a tree grows and not after.
  private var depths: [Int32] = []
  /// How the JSON policy format wrote nodes for which it has two spellings, so that it writes them so again. Means nothing
  /// to evaluation.
  public var jsonSpellings: [ExprID: JSONSpelling] = [:]
  /// The literals of patterns, as `jsonSpellings`, where the JSON format did not write one a scalar; nil is a wildcard.
  public internal(set) var jsonPatterns: [ExprID: [String?]] = [:]

  /// An empty tree.
  public init() {}

  /// The expression.
  public subscript(id: ExprID) -> Expr { nodes[Int(id.index)] }

  /// Where it stands in the text.
  public func span(of id: ExprID) -> SourceSpan { spans[Int(id.index)] }

  /// How many levels the expression has: 1 for a literal.
  public func depth(of id: ExprID) -> Int { Int(depths[Int(id.index)]) }

  /// Adds an expression whose parts are already there.
  public mutating func add(_ expr: Expr, at span: SourceSpan = .none) -> ExprID {
    var deepest: Int32 = 0
    expr.forEachPart { deepest = max(deepest, depths[Int($0.index)]) }
    nodes.append(expr)
    spans.append(span)
    if case .has(_, let path) = expr { deepest += Int32(clamping: path.count - 1) }
    depths.append(deepest + 1)
    return ExprID(nodes.count - 1)
  }
}

extension Expr {
  /// Calls `body` with every direct part, in order of evaluation.
  public func forEachPart(_ body: (ExprID) -> Void) {
    switch self {
    case .bool, .long, .string, .entity, .variable: break
    case .not(let a), .negate(let a), .has(let a, _), .attribute(let a, _), .like(let a, _): body(a)
    case .and(let all), .or(let all), .set(let all), .call(_, let all), .undefinedCall(_, let all): all.forEach(body)
    case .comparison(_, let a, let b), .in(let a, let b):
      body(a)
      body(b)
    case .arithmetic(let first, let steps):
      body(first)
      for step in steps { body(step.operand) }
    case .is(let a, _, let b), .method(_, let a, let b):
      body(a)
      if let b { body(b) }
    case .conditional(let a, let b, let c):
      body(a)
      body(b)
      body(c)
    case .record(let fields): for field in fields { body(field.value) }
    }
  }
}

/// What a policy text may grow to. Beyond them is a clear error, where the reference would overflow its stack.
public struct Limits: Sendable {
  /// The largest text in bytes.
  public var bytes: Int
  /// The most expressions in one policy.
  public var nodes: Int
  /// The deepest nesting of expressions.
  public var depth: Int

  /// Limits; the defaults suit files that an operator wrote.
  public init(bytes: Int = 64 << 20, nodes: Int = 1 << 20, depth: Int = 512) {
    self.bytes = bytes
    self.nodes = nodes
    self.depth = depth
  }
}

internal import Bytes
internal import Cedar

/// Which expressions of a tree are the same expression written twice: what `principal has age` learns is known of every
/// `principal` with the same shape, wherever it stands.
///
/// Every shape gets a number; equal shapes equal numbers. Operators are taken apart as their meaning says (`a > b` is
/// `!(a <= b)`), chains are nested to the left, and Boolean literals joined by `&&` and `||` are one literal.
struct ExpressionShapes {
  private struct Key: Hashable {
    var tag: UInt8
    var text: ExactString
    var parts: [Int32]
  }

  private var numbers: [Key: Int32] = [:]
  private var literals: [Int32: Bool] = [:]
  private var ofNode: [Int32] = []

  init(_ tree: ExprTree) {
    ofNode.reserveCapacity(tree.nodes.count)
    for node in tree.nodes { ofNode.append(shape(of: node)) }
  }

  /// The shape of a node.
  func callAsFunction(_ id: ExprID) -> Int32 { ofNode[Int(id.index)] }

  /// The shape of an attribute that the tree asks for; nothing has the number −1.
  func attribute(_ name: String, of shape: Int32) -> Int32 { numbers[Key(tag: 20, text: ExactString(name), parts: [shape])] ?? -1 }

  /// The shape of the literal that spells an attribute's name that the tree asks for.
  func name(_ name: String) -> Int32 { numbers[Key(tag: 3, text: ExactString(name), parts: [])] ?? -1 }

  /// The Boolean that a node is a literal of, if it is one.
  func booleanLiteral(_ id: ExprID) -> Bool? { literals[self(id)] }

  private mutating func number(_ tag: UInt8, _ text: String, _ parts: [Int32]) -> Int32 {
    let key = Key(tag: tag, text: ExactString(text), parts: parts)
    if let number = numbers[key] { return number }
    let number = Int32(clamping: numbers.count)
    numbers[key] = number
    return number
  }

  private mutating func boolean(_ value: Bool) -> Int32 {
    let number = number(1, value ? "true" : "false", [])
    literals[number] = value
    return number
  }

  private mutating func string(_ text: String) -> Int32 { number(3, text, []) }

  /// An attribute, and its name as a literal: tags are named by expressions, attributes as if they were.
  private mutating func access(_ name: String, of shape: Int32) -> Int32 {
    _ = string(name)
    return number(20, name, [shape])
  }

  private func parts(_ ids: [ExprID]) -> [Int32] { ids.map { self($0) } }

  private mutating func join(_ isAnd: Bool, _ left: Int32, _ right: Int32) -> Int32 {
    if let a = literals[left], let b = literals[right] { return boolean(isAnd ? a && b : a || b) }
    return number(isAnd ? 12 : 13, "", [left, right])
  }

  private mutating func chain(_ isAnd: Bool, _ ids: [ExprID]) -> Int32 {
    guard let first = ids.first else { return boolean(isAnd) }
    return ids.dropFirst().reduce(self(first)) { join(isAnd, $0, self($1)) }
  }

  private mutating func not(_ shape: Int32) -> Int32 { number(10, "", [shape]) }

  private mutating func has(_ base: Int32, _ path: [String]) -> Int32 {
    guard let first = path.first else { return base }
    var shape = number(21, first, [base])
    var inner = access(first, of: base)
    for key in path.dropFirst() {
      shape = join(true, shape, number(21, key, [inner]))
      inner = access(key, of: inner)
    }
    return shape
  }

  private mutating func shape(of node: Expr) -> Int32 {
    switch node {
    case .bool(let value): return boolean(value)
    case .long(let value): return number(2, String(value), [])
    case .string(let text): return string(text)
    case .entity(let uid): return number(4, uid.id, [number(5, uid.type.text, [])])
    case .variable(let variable): return number(6, variable.rawValue, [])
    case .not(let a): return not(self(a))
    case .negate(let a): return number(11, "", [self(a)])
    case .and(let all): return chain(true, all)
    case .or(let all): return chain(false, all)
    case .comparison(let comparison, let a, let b):
      let parts = [self(a), self(b)]
      switch comparison {
      case .equal: return number(14, "", parts)
      case .notEqual: return not(number(14, "", parts))
      case .less: return number(15, "", parts)
      case .greaterOrEqual: return not(number(15, "", parts))
      case .lessOrEqual: return number(16, "", parts)
      case .greater: return not(number(16, "", parts))
      }
    case .in(let a, let b): return number(17, "", [self(a), self(b)])
    case .arithmetic(let first, let steps):
      return steps.reduce(self(first)) { number(18, $1.operator.rawValue, [$0, self($1.operand)]) }
    case .attribute(let a, let name): return access(name, of: self(a))
    case .has(let a, let path): return has(self(a), path)
    case .like(let a, let pattern): return number(22, pattern.escaped, [self(a)])
    case .is(let a, let type, let b):
      let shape = number(23, type.text, [self(a)])
      return b.map { join(true, shape, number(17, "", [self(a), self($0)])) } ?? shape
    case .conditional(let a, let b, let c): return number(24, "", [self(a), self(b), self(c)])
    case .set(let all): return number(25, "", parts(all))
    case .record(let fields):
      let sorted = fields.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
      return number(26, "", sorted.flatMap { [string($0.key), self($0.value)] })
    case .method(let method, let a, let b): return number(27, method.rawValue, [self(a)] + (b.map { [self($0)] } ?? []))
    case .call(let function, let all): return number(28, function.rawValue, parts(all))
    case .undefinedCall(let name, let all): return number(29, name, parts(all))
    }
  }
}

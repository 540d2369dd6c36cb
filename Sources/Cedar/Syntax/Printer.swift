internal import Bytes

/// Writes policies and expressions as Cedar text. What it writes reads back as what it was, apart from calls that only the
/// JSON format can express; parentheses stand where they are needed and nowhere else.
public enum PolicyPrinter {
  /// The text of a policy or template, ended by `;`.
  ///
  /// - Throws: `OutputTooLarge`.
  public static func text(of policy: Policy) throws(OutputTooLarge) -> String {
    var printer = ExpressionPrinter()
    printer.policy(policy)
    return try printer.finished()
  }

  /// The texts of a set's policies and templates, an empty line between two. Cedar text has no word for links.
  ///
  /// - Throws: `OutputTooLarge`.
  public static func text(of set: PolicySet) throws(OutputTooLarge) -> String {
    var texts: [String] = []
    for policy in set.policies + set.templates { texts.append(try text(of: policy)) }
    return texts.isEmpty ? "" : texts.joined(separator: "\n\n") + "\n"
  }

  /// The text of an expression.
  ///
  /// - Throws: `OutputTooLarge`.
  public static func text(of expression: ExprID, in tree: ExprTree) throws(OutputTooLarge) -> String {
    var printer = ExpressionPrinter()
    printer.expression(expression, tree)
    return try printer.finished()
  }
}

/// The work of printing: what is still to come stands in a list, so nesting and length cost no stack.
private struct ExpressionPrinter {
  private var out: [UInt8] = []
  private var remaining = 4_000_000
  static let limit = 4_000_000

  func finished() throws(OutputTooLarge) -> String {
    guard remaining > 0 else { throw OutputTooLarge(limit: Self.limit) }
    return String(decoding: out, as: UTF8.self)
  }

  private mutating func print(_ text: String) { out.append(contentsOf: text.utf8) }

  // MARK: - Policies

  mutating func policy(_ policy: Policy) {
    for annotation in policy.annotations {
      print("@\(annotation.key)")
      if let value = annotation.value { print("(\(Text.quoted(value)))") }
      print("\n")
    }
    print("\(policy.effect.rawValue)(\n  principal")
    scope(policy.principal, .principal)
    print(",\n  action")
    switch policy.action {
    case .any: break
    case .equal(let uid): print(" == \(uid)")
    case .in(let uid): print(" in \(uid)")
    case .inAny(let uids): print(" in [\(uids.map(\.description).joined(separator: ", "))]")
    }
    print(",\n  resource")
    scope(policy.resource, .resource)
    print("\n)")
    for condition in policy.conditions {
      print(" \(condition.kind.rawValue) {\n  ")
      expression(condition.body, policy.expressions)
      print("\n}")
    }
    print(";")
  }

  private mutating func scope(_ constraint: ScopeConstraint, _ slot: SlotID) {
    func text(_ reference: EntityReference) -> String { reference.entity?.description ?? slot.rawValue }
    switch constraint {
    case .any: break
    case .equal(let target): print(" == \(text(target))")
    case .in(let target): print(" in \(text(target))")
    case .is(let type): print(" is \(type)")
    case .isIn(let type, let target): print(" is \(type) in \(text(target))")
    }
  }

  // MARK: - Expressions

  /// How tightly a form binds, weakest first.
  private enum Level: Int, Comparable {
    case conditional, or, and, relation, sum, product, unary, member

    static func < (a: Level, b: Level) -> Bool { a.rawValue < b.rawValue }
  }

  /// What is still to be printed, the next last.
  private enum Step {
    case text(String)
    /// An expression, in parentheses if it binds less tightly than its place asks for.
    case expression(ExprID, Level)
    /// The `has` for one key of a path: `e.a.b has c` for the third.
    case hasKey(ExprID, [String], Int)
  }

  mutating func expression(_ root: ExprID, _ tree: ExprTree) {
    var steps: [Step] = [.expression(root, .conditional)]
    while let step = steps.popLast() {
      remaining -= 1
      guard remaining > 0 else { return }
      switch step {
      case .text(let text): print(text)
      case .hasKey(let left, let path, let index): push(hasKey(left, path, index), &steps)
      case .expression(let id, let asked):
        if level(of: tree[id]) < asked {
          push([.text("("), .expression(id, .conditional), .text(")")], &steps)
        } else {
          push(parts(of: tree[id]), &steps)
        }
      }
    }
  }

  private func push(_ parts: [Step], _ steps: inout [Step]) { steps.append(contentsOf: parts.reversed()) }

  private func level(of expr: Expr) -> Level {
    switch expr {
    case .conditional: .conditional
    case .or: .or
    case .and: .and
    case .comparison, .in, .like, .is: .relation
    case .has(_, let path): path.count > 1 && !path.allSatisfy(Self.isPlainKey) ? .and : .relation
    case .arithmetic(_, let steps): steps.contains { $0.operator == .multiply } ? .product : .sum
    case .not, .negate: .unary
    case .long(let number): number < 0 ? .unary : .member
    case .bool, .string, .entity, .variable, .attribute, .set, .record, .method, .call, .undefinedCall: .member
    }
  }

  private func parts(of expr: Expr) -> [Step] {
    switch expr {
    case .bool(let flag): return [.text(flag ? "true" : "false")]
    case .long(let number): return [.text(String(number))]
    case .string(let text): return [.text(Text.quoted(text))]
    case .entity(let uid): return [.text(uid.description)]
    case .variable(let variable): return [.text(variable.rawValue)]
    case .not(let operand): return [.text("!"), .expression(operand, .member)]
    // `-1` would be read as a number.
    case .negate(let operand): return [.text("-("), .expression(operand, .conditional), .text(")")]
    case .and(let operands): return list(operands, .relation, " && ")
    case .or(let operands): return list(operands, .and, " || ")
    case .comparison(let comparison, let left, let right):
      return [.expression(left, .sum), .text(" \(comparison.rawValue) "), .expression(right, .sum)]
    case .in(let left, let right): return [.expression(left, .sum), .text(" in "), .expression(right, .sum)]
    case .arithmetic(let first, let steps):
      let operand: Level = steps.contains { $0.operator == .multiply } ? .unary : .product
      return [.expression(first, operand)] + steps.flatMap { [.text(" \($0.operator.rawValue) "), .expression($0.operand, operand)] }
    case .has(let left, let path):
      if path.allSatisfy(Self.isPlainKey) { return [.expression(left, .sum), .text(" has " + path.joined(separator: "."))] }
      return Array(path.indices.map { [.hasKey(left, path, $0)] }.joined(separator: [.text(" && ")]))
    case .attribute(let left, let key): return [.expression(left, .member), .text(Self.access(key))]
    case .like(let left, let pattern): return [.expression(left, .sum), .text(" like \(pattern)")]
    case .is(let left, let type, in: let container):
      return [.expression(left, .sum), .text(" is \(type)")] + (container.map { [.text(" in "), .expression($0, .sum)] } ?? [])
    case .conditional(let test, then: let then, else: let otherwise):
      return [
        .text("if "), .expression(test, .conditional), .text(" then "), .expression(then, .conditional), .text(" else "),
        .expression(otherwise, .conditional),
      ]
    case .set(let elements): return [.text("[")] + list(elements, .conditional, ", ") + [.text("]")]
    case .record(let fields):
      let inner = fields.map { field -> [Step] in
        [.text(Self.isPlainKey(field.key) ? field.key : Text.quoted(field.key)), .text(": "), .expression(field.value, .conditional)]
      }
      return [.text("{")] + inner.joined(separator: [.text(", ")]) + [.text("}")]
    case .method(let method, let left, let argument):
      return [.expression(left, .member), .text(".\(method.rawValue)(")] + (argument.map { [.expression($0, .conditional)] } ?? []) + [
        .text(")")
      ]
    case .call(let function, let arguments):
      guard !function.isFunction, let receiver = arguments.first else {
        return [.text("\(function.rawValue)(")] + list(arguments, .conditional, ", ") + [.text(")")]
      }
      return [.expression(receiver, .member), .text(".\(function.rawValue)(")] + list(arguments.dropFirst(), .conditional, ", ") + [
        .text(")")
      ]
    case .undefinedCall(let name, let arguments): return [.text("\(name)(")] + list(arguments, .conditional, ", ") + [.text(")")]
    }
  }

  private func list(_ operands: some Sequence<ExprID>, _ level: Level, _ separator: String) -> [Step] {
    Array(operands.map { [Step.expression($0, level)] }.joined(separator: [.text(separator)]))
  }

  private func hasKey(_ left: ExprID, _ path: [String], _ index: Int) -> [Step] {
    let key = path[index]
    let accesses = path[..<index].map { Step.text(Self.access($0)) }
    return [.expression(left, index == 0 ? .sum : .member)] + accesses + [.text(" has \(Self.isPlainKey(key) ? key : Text.quoted(key))")]
  }

  private static func access(_ key: String) -> String { isPlainKey(key) ? ".\(key)" : "[\(Text.quoted(key))]" }

  /// Whether a key can stand without quotes.
  private static func isPlainKey(_ key: String) -> Bool { Name.isIdentifier(key) && !Name.isReserved(key) && key != "__cedar" }
}

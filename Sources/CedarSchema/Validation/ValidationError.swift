public import Bytes
public import Cedar

/// One reason why a policy does not validate.
public struct ValidationError: Error, Sendable, Hashable {
  /// What kind of reason; the raw values are the reference's names.
  public enum Kind: String, Sendable {
    case unrecognizedEntityType = "UnrecognizedEntityType"
    case unrecognizedActionID = "UnrecognizedActionId"
    case invalidActionApplication = "InvalidActionApplication"
    case unexpectedType = "UnexpectedType"
    case incompatibleTypes = "IncompatibleTypes"
    case unsafeAttributeAccess = "UnsafeAttributeAccess"
    case unsafeOptionalAttributeAccess = "UnsafeOptionalAttributeAccess"
    case unsafeTagAccess = "UnsafeTagAccess"
    case noTagsAllowed = "NoTagsAllowed"
    case undefinedFunction = "UndefinedFunction"
    case wrongNumberArguments = "WrongNumberArguments"
    case functionArgumentValidation = "FunctionArgumentValidation"
    case emptySetForbidden = "EmptySetForbidden"
    case nonLiteralExtensionConstructor = "NonLitExtConstructor"
    case invalidEnumEntity = "InvalidEnumEntity"
    case entityDereferenceLevelViolation = "EntityDerefLevelViolation"
    case internalInvariantViolation = "InternalInvariantViolation"
  }

  /// What kind of reason.
  public let kind: Kind
  /// The policy, template or link.
  public let policy: PolicyID
  /// One sentence, in the reference's words.
  public let message: String
  /// What to try; nil where there is no good guess.
  public let help: String?
  /// Where in the policy's text.
  public let span: SourceSpan

  init(_ kind: Kind, _ policy: PolicyID, at span: SourceSpan, _ message: String, help: String? = nil) {
    self.kind = kind
    self.policy = policy
    self.message = message
    self.help = help
    self.span = span
  }

  /// The same mistake as the parser reports its own.
  public var parseError: ParseError { ParseError(message, at: span, help: help) }

  /// The mistake for whoever shows it beside the text.
  public var diagnostic: Diagnostic { Diagnostic(.error, message, at: span.start..<span.end, help: help) }
}

extension ValidationError: CustomStringConvertible {
  /// The message and the help.
  public var description: String { help.map { "\(message) (\($0))" } ?? message }
}

/// What the type checker found wrong with an expression, before it is put into words: the same mistake in many request
/// environments is one.
enum TypeProblem: Hashable {
  case unexpectedType(expected: [CedarType], actual: CedarType, UnexpectedTypeHelp?)
  case incompatibleTypes(Set<CedarType>, IncompatibilityHint, IncompatibleContext)
  case unsafeAttribute(AttributePath, mayExist: Bool, CedarType)
  case unsafeOptionalAttribute(AttributePath)
  case unsafeTag(EntityUnion?, tag: String)
  case noTags(EntityType?)
  case undefinedFunction(String)
  case wrongNumberOfArguments(expected: Int, actual: Int)
  case invalidArgument(ExtensionFunction, String)
  case emptySet
  case nonLiteralConstructor
  case level(needed: Int, allowed: Int)
  case literalDereference
  case invariant
}

/// Advice on a value of the wrong type.
enum UnexpectedTypeHelp: String, Hashable {
  case like = "try using `like` to examine the contents of a string"
  case contains = "try using `contains`, `containsAny`, or `containsAll` to examine the contents of a set"
  case singleContains = "try using `contains` to test if a single element is in a set"
  case has = "try using `has` to test for an attribute"
  case `is` = "try using `is` to test for an entity type"
  case `in` = "try using `in` for entity hierarchy membership"
  case equalsEmptyString = #"try using `== ""` to test if a string is empty"#
  case typeTest = "Cedar only supports run time type tests for entities"
  case concatenation = "Cedar does not support string concatenation"
  case setOperation = "Cedar does not support computing the union, intersection, or difference of sets"
}

/// What had to have compatible types.
enum IncompatibleContext: String, Hashable {
  case set = "elements of a set"
  case conditional = "both branches of a conditional"
  case equality = "both operands to a `==` expression"
  case contains = "elements of the first operand and the second operand to a `contains` expression"
  case containsAnyAll = "elements of both set operands to a `containsAll` or `containsAny` expression"
  case getTag = "tag types for a `.getTag()` operation"
}

/// An attribute access as far back as the last entity or the context.
struct AttributePath: Hashable {
  enum Base: Hashable {
    case entity(EntityUnion)
    case context(EntityUID)
    case other
  }

  var base: Base
  /// The names from the base on; the last is the one in question.
  var names: [ExactString]

  /// The path as the reference writes it: `` `a.b` on entity type `User` ``.
  var description: String {
    let path = "`\(Self.chain(names, leadingDot: false))`"
    switch base {
    case .entity(let union):
      if let single = union.single { return "\(path) on entity type `\(single)`" }
      return "\(path) on entity types \(union.types.map { "`\($0)`" }.joined(separator: ", "))"
    case .context(let action): return "\(path) in context for \(action)"
    case .other: return path
    }
  }

  /// The guard that makes the access safe: `context.a has b`.
  var suggestedGuard: String {
    let base = if case .context = base { "context" } else { "e" }
    let last = names.last?.string ?? ""
    let name = Self.isPlain(last) ? last : Value.string(last).description
    return "\(base)\(Self.chain(names.dropLast(), leadingDot: true)) has \(name)"
  }

  private static func isPlain(_ name: String) -> Bool { Name.isIdentifier(name) && !Name.isReserved(name) && name != "__cedar" }

  private static func chain(_ names: some Sequence<ExactString>, leadingDot: Bool) -> String {
    var text = ""
    for name in names {
      if isPlain(name.string) {
        text += (text.isEmpty && !leadingDot ? "" : ".") + name.string
      } else {
        text += "[\(Value.string(name.string))]"
      }
    }
    return text
  }
}

extension TypeProblem {
  /// The problem in words; without a suggestion of what was meant where there are too many problems for that to help.
  func error(in policy: PolicyID, at span: SourceSpan, schema: Schema, suggesting: Bool = true) -> ValidationError {
    func made(_ kind: ValidationError.Kind, _ message: String, help: String? = nil) -> ValidationError {
      ValidationError(kind, policy, at: span, "for policy `\(policy)`, \(message)", help: help)
    }
    switch self {
    case .unexpectedType(let expected, let actual, let help):
      let wanted = expected.map(\.description).joined(separator: ", or ")
      return made(.unexpectedType, "unexpected type: expected \(wanted) but saw \(actual)", help: help?.rawValue ?? Self.advice(expected))
    case .incompatibleTypes(let types, let hint, let context):
      let names = types.map(\.description).sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
      return ValidationError(
        .incompatibleTypes, policy, at: span, "the types \(Self.joined(names)) are not compatible",
        help: "for policy `\(policy)`, \(context.rawValue) must have compatible types. \(hint.rawValue)")
    case .unsafeAttribute(let path, let mayExist, let type):
      let near = suggesting ? Spelling.nearest(to: path.names.last?.string ?? "", among: schema.attributeNames(of: type)) : nil
      let help: String? =
        switch (near, mayExist) {
        case (let near?, false): "did you mean `\(near)`?"
        case (let near?, true):
          "did you mean `\(near)`? (there may also be additional attributes that the validator is not able to reason about)"
        case (nil, true): "there may be additional attributes that the validator is not able to reason about"
        case (nil, false): schema.attributeList(of: type)
        }
      return made(.unsafeAttributeAccess, "attribute \(path.description) not found", help: help)
    case .unsafeOptionalAttribute(let path):
      return made(
        .unsafeOptionalAttributeAccess, "unable to guarantee safety of access to optional attribute \(path.description)",
        help: "try testing for the attribute's presence with `\(path.suggestedGuard) && ..`")
    case .unsafeTag(let union, let tag):
      let on = union?.single.map { " on entity type `\($0)`" } ?? ""
      return made(
        .unsafeTagAccess, "unable to guarantee safety of access to tag `\(tag)`\(on)",
        help: "try testing for the tag's presence with `.hasTag(\(tag)) && ..`")
    case .noTags(let type):
      let on = type.map { "type `\($0)`" } ?? "this type"
      return made(
        .noTagsAllowed, "`.getTag()` is not allowed on entities of \(on) because no `tags` were declared on the entity type in the schema",
        help: "declare `tags` on the entity type in the schema")
    case .undefinedFunction(let name):
      return made(
        .undefinedFunction, "undefined extension function: \(name)", help: "the constructors are `ip`, `decimal`, `datetime` and `duration`"
      )
    case .wrongNumberOfArguments(let expected, let actual):
      return made(
        .wrongNumberArguments, "wrong number of arguments in extension function application. Expected \(expected), got \(actual)",
        help: "the receiver of a method counts as its first argument")
    case .invalidArgument(let function, let text):
      let complaint = function.complaint(about: text)
      return made(
        .functionArgumentValidation, "error during extension function argument validation: \(complaint?.message ?? "")",
        help: complaint?.help)
    case .emptySet:
      return made(
        .emptySetForbidden, "empty set literals are forbidden in policies", help: "to test whether a set is empty, use `.isEmpty()`")
    case .nonLiteralConstructor:
      return made(
        .nonLiteralExtensionConstructor, "extension constructors may not be called with non-literal expressions",
        help: "consider applying extension constructors inside attribute values when constructing entity or context data")
    case .level(let needed, let allowed):
      return made(
        .entityDereferenceLevelViolation,
        "this policy requires level \(needed), which exceeds the maximum allowed level (\(allowed))",
        help: "use fewer steps from one entity to the next, or allow level \(needed)")
    case .literalDereference:
      return made(
        .entityDereferenceLevelViolation, "entity literals cannot be dereferenced at any level",
        help: "ask `principal`, `resource` or an entity from the context instead")
    case .invariant:
      return made(
        .internalInvariantViolation, "internal invariant violated",
        help:
          "the validator knows nothing of what `unknown(…)` stands for; ask an attribute of `principal`, `resource` or `context` instead")
    }
  }

  /// What can be done with values of the types expected.
  private static func advice(_ expected: [CedarType]) -> String? {
    switch expected.first {
    case .bool?: return "conditions and operands of `&&`, `||` and `!` are Booleans; compare the value, as in `… == …`"
    case .long? where expected.count == 1:
      return "only Longs are added, subtracted and multiplied, and compared with other Longs; strings are compared with `==` and `like`"
    case .string?: return "a String is needed here; other values are compared with `==`"
    case .set?: return "only sets have `contains`, `containsAll`, `containsAny` and `isEmpty`"
    case .anyEntity?:
      return expected.count > 1
        ? "only entities and records have attributes" : "an entity is needed here, such as `principal` or `Type::\"id\"`"
    case .extension(let type)?: return "make such a value with `\(type.constructor.rawValue)(\"…\")`"
    default: return "`<`, `<=`, `>` and `>=` compare two Longs, two datetimes or two durations; decimals have `.lessThan(…)`"
    }
  }

  /// `A`, `A and B`, `A, B, and C`.
  private static func joined(_ names: [String]) -> String {
    guard let last = names.last, names.count > 1 else { return names.first ?? "" }
    if names.count == 2 { return "\(names[0]) and \(last)" }
    return names.dropLast().joined(separator: ", ") + ", and " + last
  }
}

public import JSON

/// The JSON policy format, also called EST (Cedar reference, "JSON policy format"): policies, templates, and whole sets with
/// links, in both directions. What is read is written again in the spelling it had.
public enum PolicyJSON {
  /// Reads a policy set: `{"staticPolicies": …, "templates": …, "templateLinks": …}`.
  ///
  /// - Throws: every mistake there is; places are byte offsets of the JSON text.
  public static func policySet(from json: JSONValue) throws(ParseErrors) -> PolicySet {
    var reader = PolicyJSONReader()
    let set = reader.policySet(json)
    guard reader.errors.isEmpty else { throw ParseErrors(reader.errors) }
    return set
  }

  /// Reads one policy or template, `{"effect": …, "principal": …, …}`, under an id.
  ///
  /// - Throws: every mistake there is; places are byte offsets of the JSON text.
  public static func policy(from json: JSONValue, id: PolicyID) throws(ParseErrors) -> Policy {
    var reader = PolicyJSONReader()
    guard let policy = reader.policy(json, id: id), reader.errors.isEmpty else { throw ParseErrors(reader.errors) }
    return policy
  }

  /// Reads a policy set from text.
  ///
  /// - Throws: every mistake there is, or the first mistake of the JSON itself.
  public static func policySet(from text: some Collection<UInt8>) throws(ParseErrors) -> PolicySet {
    try policySet(from: value(of: text))
  }

  /// Reads a policy set, or one bare policy that then is called `policy0`, as command lines accept it.
  public static func policySetOrPolicy(from text: some Collection<UInt8>) throws(ParseErrors) -> PolicySet {
    let json = try value(of: text)
    guard json["effect"] != nil else { return try policySet(from: json) }
    var set = PolicySet()
    let policy = try policy(from: json, id: "policy0")
    do throws(PolicySetError) { try set.add(policy) } catch { throw ParseErrors([ParseError("\(error)", at: .none)]) }
    return set
  }

  /// Reads a policy set, or one bare policy, without its links; the links come with their places, for their templates may stand in
  /// other texts.
  public static func parts(
    from text: some Collection<UInt8>
  ) throws(ParseErrors) -> (set: PolicySet, links: [(link: TemplateLink, span: SourceSpan)]) {
    let json = try value(of: text)
    guard json["effect"] == nil else { return (try policySetOrPolicy(from: text), []) }
    var reader = PolicyJSONReader()
    let (set, links, _) = reader.parts(json)
    guard reader.errors.isEmpty else { throw ParseErrors(reader.errors) }
    return (set, links)
  }

  /// Writes a policy set.
  ///
  /// - Throws: `OutputTooLarge`; then what was written is cut off and must not be used.
  public static func write(_ set: PolicySet, to writer: inout JSONWriter) throws(OutputTooLarge) {
    var out = PolicyJSONWriter(writer)
    try out.policySet(set)
    writer = out.json
  }

  /// Writes one policy or template.
  ///
  /// - Throws: `OutputTooLarge`; then what was written is cut off and must not be used.
  public static func write(_ policy: Policy, to writer: inout JSONWriter) throws(OutputTooLarge) {
    var out = PolicyJSONWriter(writer)
    try out.policy(policy)
    writer = out.json
  }

  private static func value(of text: some Collection<UInt8>) throws(ParseErrors) -> JSONValue {
    do {
      return try JSONParser.parse(text)
    } catch {
      throw ParseErrors([ParseError("\(error)", at: SourceSpan(error.offset, error.offset + error.length))])
    }
  }
}

/// How the JSON policy format wrote an expression for which it has two spellings.
public struct JSONSpelling: OptionSet, Hashable, Sendable {
  /// The bits.
  public let rawValue: UInt8

  /// A spelling from its bits.
  public init(rawValue: UInt8) { self.rawValue = rawValue }

  /// A set, record or call that stands in a `Value`.
  public static let value = JSONSpelling(rawValue: 1)
  /// A call with `args`, though it has one argument; a `has` with an array.
  public static let list = JSONSpelling(rawValue: 2)
}

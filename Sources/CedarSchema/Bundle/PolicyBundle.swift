public import Bytes
public import Cedar
internal import JSON

/// The files of a policy folder taken together: policies, schema and entities, and everything that is wrong with them.
///
/// Pure: whoever reads files hands their contents in. All mistakes of all files are found at once; what could be read in
/// spite of them is there as well, but only a bundle without errors may decide anything.
public struct PolicyBundle: Sendable {
  /// The files.
  public struct Sources: Sendable {
    /// Policy texts; policy sets in JSON where the name ends in `.json`.
    public var policies: [SourceText]
    /// The schema, in JSON where the name ends in `.json`.
    public var schema: SourceText?
    /// The entities.
    public var entities: SourceText?

    /// Files.
    public init(policies: [SourceText], schema: SourceText? = nil, entities: SourceText? = nil) {
      self.policies = policies
      self.schema = schema
      self.entities = entities
    }
  }

  /// How to read them.
  public struct Options: Sendable {
    /// How demanding the validator is.
    public var mode: ValidationMode
    /// How many steps from entity to entity policies may take; nil for any number.
    public var level: Int?
    /// Entities that are there besides those of the files, such as the actions of a built-in mapping. What the files or
    /// the schema say of them counts.
    public var knownEntities: [Entity]
    /// What policies in Cedar syntax are called.
    public var ids: PolicyIDs

    /// What policies in Cedar syntax are called.
    public enum PolicyIDs: String, Sendable, CaseIterable {
      /// By their `@id`, else by file and place.
      case annotation
      /// By file and place, `orders.cedar#0`, whatever they are annotated with.
      case position
    }

    /// Options.
    public init(mode: ValidationMode = .strict, level: Int? = nil, knownEntities: [Entity] = [], ids: PolicyIDs = .annotation) {
      self.ids = ids
      self.mode = mode
      self.level = level
      self.knownEntities = knownEntities
    }
  }

  /// One thing to tell, with the text it is about; nil where it is about none of the files.
  public struct Problem: Sendable {
    /// The text.
    public var source: SourceText?
    /// What to tell.
    public var diagnostic: Diagnostic

    /// Something to tell.
    public init(source: SourceText?, diagnostic: Diagnostic) {
      self.source = source
      self.diagnostic = diagnostic
    }

    /// The report as drawn text, ended by a newline.
    public var rendered: String { source.map { diagnostic.rendered(in: $0) } ?? "\(diagnostic.severity.rawValue): \(diagnostic.message)\n" }
  }

  /// The files.
  public let sources: Sources
  /// The policies that could be read. A policy is called by its `@id`, else by its file and its number in it.
  public private(set) var policies = PolicySet()
  /// The schema; nil if there is none or it could not be read.
  public private(set) var schema: Schema?
  /// The entities, the schema's actions among them.
  public private(set) var entities = Entities()
  /// Everything there is to tell, file by file, each file's in the order of its text.
  public private(set) var problems: [Problem] = []
  /// Policies and links in the shadow: those of which `@mode("shadow")` says so, a link by its template.
  public private(set) var shadowed: Set<PolicyID> = []
  // The file that a policy, template or link stands in.
  private var files: [PolicyID: Int] = [:]

  /// Reads the files.
  public init(_ sources: Sources, options: Options = Options()) {
    self.sources = sources
    readSchema()
    readPolicies(options)
    validate(options)
    readEntities(options)
    sortProblems()
  }

  /// Whether nothing is an error.
  public var isSound: Bool { !problems.contains { $0.diagnostic.severity == .error } }

  /// The text in which a policy, template or link stands.
  public func source(of policy: PolicyID) -> SourceText? { files[policy].map { sources.policies[$0] } }

  /// Where a policy, template or link begins: `orders.cedar:4`, the file without its folder.
  public func place(of policy: PolicyID) -> String? {
    guard let source = source(of: policy) else { return nil }
    let name = Self.basename(source.name)
    guard policies.link(policy) == nil, let statement = policies.statement(policy) else { return String(name) }
    return "\(name):\(source.position(of: Self.head(of: statement, in: source)).line)"
  }

  // MARK: - Reading

  private mutating func readSchema() {
    guard let source = sources.schema else { return }
    guard let text = String(validating: source.bytes, as: UTF8.self) else { return report(.error, "invalid UTF-8", in: source) }
    do throws(SchemaErrors) {
      let schema = source.name.hasSuffix(".json") ? try Schema(jsonText: text) : try Schema(text)
      for warning in schema.warnings { report(.warning, warning.message, at: warning.span, in: source) }
      self.schema = schema
    } catch {
      report(error.parseErrors, in: source)
    }
  }

  private mutating func readPolicies(_ options: Options) {
    var links: [(link: TemplateLink, span: SourceSpan, file: Int)] = []
    var isEverythingRead = true
    for (file, source) in sources.policies.enumerated() {
      do throws(ParseErrors) {
        if source.name.hasSuffix(".json") {
          let parts = try PolicyJSON.parts(from: source.bytes)
          add(parts.set, file)
          links += parts.links.map { ($0.link, $0.span, file) }
        } else {
          for (number, var statement) in try PolicyParser.parse(source.bytes).enumerated() {
            let annotated = options.ids == .annotation ? statement.annotation("id") : nil
            statement.id = PolicyID(annotated ?? "\(Self.basename(source.name))#\(number)")
            add(statement, file) { (set: inout PolicySet, policy: Policy) throws(PolicySetError) in try set.add(policy) }
          }
        }
      } catch {
        report(error, in: source)
        isEverythingRead = false
      }
    }
    // A link's template may stand in any file; while one cannot be read, none is missed.
    if isEverythingRead { for link in links { add(link.link, at: link.span, link.file) } }
  }

  private mutating func add(_ link: TemplateLink, at span: SourceSpan, _ file: Int) {
    do throws(PolicySetError) {
      try policies.link(link)
      files[link.id] = file
      if let template = policies.template(link.template), PolicyMode(of: template) == .shadow { shadowed.insert(link.id) }
    } catch {
      report(.error, "\(error)\(elsewhere(link.id))", at: span, in: sources.policies[file])
    }
  }

  private mutating func add(_ set: PolicySet, _ file: Int) {
    for policy in set.policies {
      add(policy, file) { (set: inout PolicySet, policy: Policy) throws(PolicySetError) in try set.add(policy) }
    }
    for template in set.templates {
      add(template, file) { (set: inout PolicySet, policy: Policy) throws(PolicySetError) in try set.addTemplate(policy) }
    }
  }

  private mutating func add(
    _ statement: Policy, _ file: Int, _ body: (inout PolicySet, Policy) throws(PolicySetError) -> Void
  ) {
    for mistake in PolicyVocabulary.mistakes(in: statement) {
      report(.error, mistake.message, at: mistake.span, in: sources.policies[file], help: mistake.help)
    }
    do throws(PolicySetError) {
      try body(&policies, statement)
      files[statement.id] = file
      readMode(of: statement, file)
    } catch {
      let named = statement.annotations.first { exactlyEquals($0.key, "id") }?.span
      report(
        .error, "\(error)\(elsewhere(statement.id))", at: named ?? statement.span, in: sources.policies[file],
        help: "every `@id` names one policy; choose another")
    }
  }

  private mutating func readMode(of statement: Policy, _ file: Int) {
    switch PolicyMode(of: statement) {
    case .enforce: break
    case .shadow: if policies.policy(statement.id) != nil { shadowed.insert(statement.id) }
    case nil:
      let (span, message, help) = PolicyMode.mistake(in: statement)
      report(.error, message, at: span, in: sources.policies[file], help: help)
    }
  }

  private func elsewhere(_ id: PolicyID) -> String { place(of: id).map { " (the other is at \($0))" } ?? "" }

  private mutating func validate(_ options: Options) {
    guard let schema else { return }
    let result = Validator(schema, mode: options.mode, level: options.level).validate(policies)
    // A scope that names what the schema does not have applies to nothing; to say so as well hides what is wrong with it.
    let misnamed = Set(result.errors.filter { isMisnamed($0) }.map(\.policy))
    for error in result.errors where error.kind != .invalidActionApplication || !misnamed.contains(error.policy) {
      report(.error, error.message, at: error.span, of: error.policy, help: error.help)
    }
    let inapplicable = misnamed.union(result.errors.filter { $0.kind == .invalidActionApplication }.map(\.policy))
    for warning in result.warnings where warning.kind != .impossiblePolicy || !inapplicable.contains(warning.policy) {
      report(.warning, warning.message, at: warning.span, of: warning.policy, help: warning.help)
    }
  }

  /// Whether an error is a name in a scope that the schema does not have.
  private func isMisnamed(_ error: ValidationError) -> Bool {
    guard error.kind == .unrecognizedEntityType || error.kind == .unrecognizedActionID else { return false }
    guard let condition = policies.statement(error.policy)?.conditions.first else { return true }
    return error.span.end <= condition.span.start
  }

  private mutating func readEntities(_ options: Options) {
    // Without the schema that was meant, implicit forms would all be mistakes.
    if sources.schema != nil, schema == nil { return }
    let builder = EntitiesBuilder()
    var actions: [Entity] = []
    var contradiction: EntitiesError?
    if let source = sources.entities {
      var nonconforming: [Problem] = []
      do throws(JSONError) {
        let errors = try EntitiesJSON.forEach(in: source.bytes, schema: schema) { entity, json in
          guard !entity.uid.type.isAction else { return actions.append(entity) }
          if let schema {
            for problem in schema.problems(in: entity) {
              let span = Self.place(of: problem, in: json).span
              nonconforming.append(
                Problem(source: source, diagnostic: Diagnostic(.error, "\(problem)", at: span, help: problem.help)))
            }
          }
          do throws(EntitiesError) { try builder.add(entity) } catch { contradiction = contradiction ?? error }
        }
        if !errors.isEmpty { report(ParseErrors(errors), in: source) }
        problems += nonconforming
        // What is missing would be found missing once more.
        guard errors.isEmpty else { return }
      } catch { return report(.error, "\(error)", at: SourceSpan(error.offset, error.offset + error.length), in: source) }
    }
    do {
      if let contradiction { throw contradiction }
      try schema?.check(actions: actions)
      for action in schema?.actionEntities ?? actions { try builder.add(action) }
      for known in options.knownEntities where !builder.contains(known.uid) { try builder.add(known) }
      entities = try builder.finish()
    } catch {
      // Mistakes of single entities have been told already, with their places.
      if isSoundSoFar(in: sources.entities) { report(.error, "\(error)", in: sources.entities) }
    }
  }

  /// The part of an entity's JSON that a problem is about.
  private static func place(of problem: ConformanceError, in json: JSONValue) -> JSONValue {
    let part: JSONValue? =
      switch problem {
      case .unexpectedAttribute(_, let key), .attributeType(_, let key, _): json["attrs"]?[key]
      case .unexpectedTag(_, let key), .tagType(_, let key, _): json["tags"]?[key]
      case .ancestorType: json["parents"]
      default: nil
      }
    return part ?? json["uid"] ?? json
  }

  // MARK: - Reporting

  private func isSoundSoFar(in source: SourceText?) -> Bool {
    !problems.contains { $0.diagnostic.severity == .error && $0.source?.name == source?.name }
  }

  private mutating func report(_ errors: ParseErrors, in source: SourceText) {
    for diagnostic in errors.diagnostics { problems.append(Problem(source: source, diagnostic: diagnostic)) }
  }

  private mutating func report(
    _ severity: Diagnostic.Severity, _ message: String, at span: SourceSpan? = nil, in source: SourceText?, help: String? = nil
  ) {
    problems.append(Problem(source: source, diagnostic: Diagnostic(severity, message, at: span.map { $0.start..<$0.end }, help: help)))
  }

  private mutating func report(_ severity: Diagnostic.Severity, _ message: String, at span: SourceSpan, of policy: PolicyID, help: String?)
  {
    guard let source = source(of: policy) else { return report(severity, message, in: nil, help: help) }
    var span = span
    if let statement = policies.statement(policy), span == statement.span {
      // A whole policy underlined says less than its first line.
      let line = source.position(of: Self.head(of: statement, in: source)).line
      let range = source.range(ofLine: line)
      span = SourceSpan(Self.head(of: statement, in: source), min(statement.span.end, range.upperBound))
    }
    report(severity, message, at: span, in: source, help: help)
  }

  private mutating func sortProblems() {
    func order(_ problem: Problem) -> Int {
      if let name = problem.source?.name {
        if name == sources.schema?.name { return 0 }
        if let file = sources.policies.firstIndex(where: { $0.name == name }) { return 1 + file }
        return sources.policies.count + 1
      }
      return sources.policies.count + 2
    }
    let keyed = problems.map { (order($0), $0.diagnostic.span?.lowerBound ?? -1, $0) }
    problems = keyed.sorted { a, b in
      if (a.0, a.1) != (b.0, b.1) { return (a.0, a.1) < (b.0, b.1) }
      let (x, y) = (a.2.diagnostic, b.2.diagnostic)
      return x.severity == y.severity ? x.message.utf8.lexicographicallyPrecedes(y.message.utf8) : x.severity < y.severity
    }.map(\.2)
  }

  /// The offset of a statement's effect, behind its annotations.
  private static func head(of statement: Policy, in source: SourceText) -> Int {
    guard let last = statement.annotations.last?.span, last.end > 0, last.end < source.bytes.count else { return statement.span.start }
    var at = last.end
    while at < source.bytes.count {
      if source.bytes[at] == UInt8(ascii: "/") {
        at = source.bytes[at...].firstIndex { $0 == ASCII.lf || $0 == ASCII.cr } ?? source.bytes.count
      } else if source.bytes[at] <= ASCII.space {
        at += 1
      } else {
        return at
      }
    }
    return statement.span.start
  }

  private static func basename(_ name: String) -> Substring { name.split(separator: "/").last ?? name[...] }
}

public import Bytes
internal import Cedar
internal import CedarSchema
internal import JSON

/// The contents of a policy folder, as read: policies (`*.cedar`), policy sets with templates and links (`*.cedar.json`), a
/// schema and entities.
public struct PolicyFiles: Sendable {
  /// Policy texts and policy sets.
  public var policies: [SourceText]
  /// The schema, if there is one; in JSON if its name ends in `.json`, else in Cedar syntax.
  public var schema: SourceText?
  /// The entities, if there are any.
  public var entities: SourceText?
  /// The name of the set: `sha256:` and the first hexadecimal digits of the hash of all files.
  public var hash: String

  /// Contents.
  public init(policies: [SourceText], schema: SourceText?, entities: SourceText?, hash: String) {
    self.policies = policies
    self.schema = schema
    self.entities = entities
    self.hash = hash
  }

  /// The policies made ready to decide, or every mistake in every file, drawn with its place.
  func authorization(onPolicyError: Authorization.OnPolicyError, actions: [Entity]) throws(ConfigurationError) -> Authorization {
    var reports: [String] = []
    let parsedSchema = readSchema(&reports)
    let set = readPolicies(&reports)
    if let set, let parsedSchema { validate(set, parsedSchema, &reports) }
    let known = readEntities(parsedSchema, actions: actions, &reports)
    guard reports.isEmpty, let set, let known else { throw ConfigurationError(reports) }
    let statements = set.policies.policies.map { ($0.id, $0.effect) } + set.policies.links.map { link in
      (link.id, set.policies.statement(link.id)?.effect ?? .forbid)
    }
    return Authorization(
      policySet: hash, onPolicyError: onPolicyError, authorizer: Authorizer(policies: set.policies, entities: known),
      forbids: Set(statements.filter { $0.1 == .forbid }.map(\.0)))
  }

  // MARK: - Reading

  private func readSchema(_ reports: inout [String]) -> Schema? {
    guard let schema else { return nil }
    let text = String(decoding: schema.bytes, as: UTF8.self)
    do throws(SchemaErrors) {
      return schema.name.hasSuffix(".json") ? try Schema(jsonText: text) : try Schema(text)
    } catch {
      reports.append(Self.report(error.parseErrors, in: schema))
      return nil
    }
  }

  /// Policies of all files as one set, and where each one's text is.
  private struct Read {
    var policies = PolicySet()
    var sources: [PolicyID: SourceText] = [:]
  }

  private func readPolicies(_ reports: inout [String]) -> Read? {
    guard !policies.isEmpty else {
      reports.append("there is no policy file (*.cedar), so every request would be refused")
      return nil
    }
    var read = Read()
    var isWhole = true
    for source in policies {
      do throws(ParseErrors) {
        if source.name.hasSuffix(".json") {
          add(try PolicyJSON.policySetOrPolicy(from: source.bytes), from: source, to: &read, &reports)
        } else {
          add(try PolicyParser.parse(source.bytes), from: source, to: &read, &reports)
        }
      } catch {
        isWhole = false
        reports.append(Self.report(error, in: source))
      }
    }
    return isWhole ? read : nil
  }

  // A policy is called by its `@id`, else by its file and its place in it: the name that decisions show.
  private func add(_ statements: [Policy], from source: SourceText, to read: inout Read, _ reports: inout [String]) {
    for (number, var statement) in statements.enumerated() {
      statement.id = PolicyID(statement.annotation("id") ?? "\(Self.basename(source.name))#\(number)")
      add(source, statement, to: &read, &reports)
    }
  }

  private func add(_ set: PolicySet, from source: SourceText, to read: inout Read, _ reports: inout [String]) {
    for policy in set.policies { add(source, policy, to: &read, &reports) }
    for template in set.templates {
      do throws(PolicySetError) { try read.policies.addTemplate(template) } catch { reports.append("\(source.name): \(error)") }
      read.sources[template.id] = source
    }
    for link in set.links {
      do throws(PolicySetError) { try read.policies.link(link) } catch { reports.append("\(source.name): \(error)") }
      read.sources[link.id] = source
    }
  }

  private func add(_ source: SourceText, _ statement: Policy, to read: inout Read, _ reports: inout [String]) {
    do throws(PolicySetError) {
      try read.policies.add(statement)
      read.sources[statement.id] = source
    } catch {
      let other = read.sources[statement.id].map { " (the other is in \($0.name))" } ?? ""
      let error = ParseError("\(error)\(other)", at: statement.span, help: "every @id names one policy; choose another")
      reports.append(Self.report(ParseErrors([error]), in: source))
    }
  }

  private func validate(_ read: Read, _ schema: Schema, _ reports: inout [String]) {
    let result = Validator(schema).validate(read.policies)
    for error in result.errors {
      guard let source = read.sources[error.policy] else {
        reports.append("policy \(error.policy): \(error)")
        continue
      }
      reports.append(Self.report(ParseErrors([error.parseError]), in: source))
    }
  }

  private func readEntities(_ schema: Schema?, actions: [Entity], _ reports: inout [String]) -> Entities? {
    var list: [Entity] = []
    if let entities {
      do throws(JSONError) {
        let json = try JSONParser.parse(entities.bytes)
        do throws(ParseErrors) { list = try EntitiesJSON.entities(json, schema: schema) } catch {
          reports.append(Self.report(error, in: entities))
          return nil
        }
      } catch {
        let diagnostic = Diagnostic(.error, "\(error)", at: error.offset..<error.offset + max(error.length, 1))
        reports.append(diagnostic.rendered(in: entities))
        return nil
      }
    }
    let name = entities?.name ?? "entities"
    if let schema {
      for entity in list {
        do throws(ConformanceError) { try schema.check(entity) } catch { reports.append("\(name): \(entity.uid): \(error)") }
      }
    }
    // The actions of the mapping are there for policies without a schema; what the schema declares stands for itself.
    let declared = schema?.actionEntities ?? []
    let taken = Set((list + declared).map(\.uid))
    do throws(EntitiesError) {
      return try Entities(list + declared.filter { action in !list.contains { $0.uid == action.uid } } + actions.filter { !taken.contains($0.uid) })
    } catch {
      reports.append("\(name): \(error)")
      return nil
    }
  }

  private static func report(_ errors: ParseErrors, in source: SourceText) -> String {
    errors.errors.map { error in
      Diagnostic(.error, error.message, at: error.span.start..<error.span.end, label: error.label, help: error.help).rendered(in: source)
    }.joined()
  }

  private static func basename(_ name: String) -> Substring { name.split(separator: "/").last ?? name[...] }
}

public import Bytes
public import Cedar
public import CedarSchema
internal import JSON

/// A request as a person writes it: entities as Cedar text, the context as JSON.
public struct Question: Sendable {
  /// Who: `User::"alice"`.
  public var principal: SourceText
  /// What: `Action::"read"`.
  public var action: SourceText
  /// With what: `Photo::"1"`.
  public var resource: SourceText
  /// Under which circumstances: a JSON object; nil for none.
  public var context: SourceText?

  /// A request; the names are those of the flags or of the file.
  public init(principal: SourceText, action: SourceText, resource: SourceText, context: SourceText? = nil) {
    self.principal = principal
    self.action = action
    self.resource = resource
    self.context = context
  }

  /// A request in a file, `{"principal": "User::\"alice\"", "action": …, "resource": …, "context": {…}}`; entities may also be
  /// `{"type", "id"}`. All mistakes at once, drawn.
  public static func request(in file: SourceText, for bundle: PolicyBundle) -> Result<Request, ToolFailure> {
    var messages = ""
    let result: Result<JSONValue, JSONError> = Result { () throws(JSONError) in try JSONParser.parse(file.bytes) }
    guard case .success(let json) = result else {
      if case .failure(let error) = result {
        messages = Diagnostic(.error, "\(error)", at: error.offset..<error.offset + error.length).rendered(in: file)
      }
      return .failure(ToolFailure(messages))
    }
    func uid(_ name: String) -> EntityUID? {
      guard let value = json[name] else {
        messages += Diagnostic(.error, "missing field `\(name)` in the request", at: json.span).rendered(in: file)
        return nil
      }
      do throws(ParseErrors) {
        if let text = value.string { return try PolicyParser.parseEntityUID(text) }
        return try EntitiesJSON.uid(value)
      } catch {
        let first = error.errors.first
        messages += Diagnostic(.error, first?.message ?? "no entity", at: value.span, help: first?.help).rendered(in: file)
        return nil
      }
    }
    let (principal, action, resource) = (uid("principal"), uid("action"), uid("resource"))
    guard let principal, let action, let resource else { return .failure(ToolFailure(messages)) }
    if let failure = Self.misnamed(principal, action, resource, bundle) { return .failure(failure) }
    var context = Record.empty
    if let value = json["context"], !value.isNull {
      do throws(ParseErrors) { context = try EntitiesJSON.context(value, action: action, schema: bundle.schema) } catch {
        return .failure(ToolFailure(error.diagnostics.rendered(in: file)))
      }
    }
    return checked(Request(principal: principal, action: action, resource: resource, context: context), bundle)
  }

  /// The request, held to the bundle's schema if there is one; all mistakes at once, drawn.
  public func request(for bundle: PolicyBundle) -> Result<Request, ToolFailure> {
    var messages = ""
    func uid(_ source: SourceText) -> EntityUID? {
      do throws(ParseErrors) { return try PolicyParser.parseEntityUID(String(decoding: source.bytes, as: UTF8.self)) } catch {
        messages += Self.withoutQuotes(source)?.rendered(in: source) ?? error.diagnostics.rendered(in: source)
        return nil
      }
    }
    let (principal, action, resource) = (uid(principal), uid(action), uid(resource))
    var json: JSONValue?
    if let context {
      do throws(JSONError) { json = try JSONParser.parse(context.bytes) } catch {
        messages += Diagnostic(.error, "\(error)", at: error.offset..<error.offset + error.length).rendered(in: context)
      }
    }
    guard messages.isEmpty, let principal, let action, let resource else { return .failure(ToolFailure(messages)) }
    if let failure = Self.misnamed(principal, action, resource, bundle) { return .failure(failure) }
    var record = Record.empty
    if let json, let context {
      do throws(ParseErrors) { record = try EntitiesJSON.context(json, action: action, schema: bundle.schema) } catch {
        return .failure(ToolFailure(error.diagnostics.rendered(in: context)))
      }
    }
    return Self.checked(Request(principal: principal, action: action, resource: resource, context: record), bundle)
  }

  /// The mistake of a shell that took the quotes: `User::alice`; nil if it is another one.
  private static func withoutQuotes(_ source: SourceText) -> Diagnostic? {
    let text = String(decoding: source.bytes, as: UTF8.self)
    guard !text.utf8.contains(ASCII.quote), let colon = text.lastIndex(of: ":"), colon > text.startIndex else { return nil }
    let before = text.index(before: colon)
    guard text[before] == ":" else { return nil }
    let (type, id) = (text[..<before], text[text.index(after: colon)...])
    return Diagnostic(
      .error, "the id of an entity stands in quotes", at: 0..<source.bytes.count,
      help: "write \(type)::\"\(id)\"; in a shell put single quotes around it: '\(type)::\"\(id)\"'")
  }

  /// What the schema says against the three entities; before the context is read, since the action says what it should be.
  private static func misnamed(_ principal: EntityUID, _ action: EntityUID, _ resource: EntityUID, _ bundle: PolicyBundle) -> ToolFailure? {
    guard let schema = bundle.schema else { return nil }
    do throws(ConformanceError) {
      try schema.checkNames(of: Request(principal: principal, action: action, resource: resource))
      return nil
    } catch { return failure(error) }
  }

  private static func failure(_ error: ConformanceError) -> ToolFailure {
    ToolFailure("request: error: \(error)\n" + (error.help.map { "  help: \($0)\n" } ?? ""))
  }

  private static func checked(_ request: Request, _ bundle: PolicyBundle) -> Result<Request, ToolFailure> {
    guard let schema = bundle.schema else { return .success(request) }
    do throws(ConformanceError) {
      try schema.check(request)
      return .success(request)
    } catch { return .failure(failure(error)) }
  }
}

/// Why a tool could not start: drawn messages, each ended by a newline.
public struct ToolFailure: Error, Sendable, Equatable {
  /// The messages.
  public let messages: String

  init(_ messages: String) { self.messages = messages }

  /// The failure as an outcome.
  public var outcome: ToolOutcome { ToolOutcome(messages: messages, status: .invalid) }
}

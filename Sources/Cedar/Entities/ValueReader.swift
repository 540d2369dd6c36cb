internal import Bytes
internal import JSON

/// Reads Cedar values from JSON, with or without a schema's expectation (spec: "JSON data format"); all mistakes of a value at once.
struct ValueReader {
  /// What values belong to, for messages; put into words only when there is one.
  enum Place {
    case context
    case uid
    case parents(EntityUID)
    case attribute(String, EntityUID)
    case tag(String, EntityUID)

    /// ``attribute `a` on `User::"x"` `` and the like.
    var words: String {
      switch self {
      case .context: "context"
      case .uid: "uid field of an entity"
      case .parents(let uid): "parents field of `\(uid)`"
      case .attribute(let key, let uid): "attribute `\(key)` on `\(uid)`"
      case .tag(let key, let uid): "tag `\(key)` on `\(uid)`"
      }
    }
  }

  /// What the values belong to.
  let place: Place

  private func mistake(_ message: String, _ json: JSONValue) -> ParseError {
    ParseError("in \(place.words), \(message)", at: SourceSpan(json.span.lowerBound, json.span.upperBound))
  }

  private func failure(_ message: String, _ json: JSONValue) -> ParseErrors { ParseErrors([mistake(message, json)]) }

  /// A value; `depth` counts the levels above it.
  func value(_ json: JSONValue, expecting type: ExpectedType?, depth: Int = 0) throws(ParseErrors) -> Value {
    guard depth < Self.maximumDepth else { throw failure("values are nested deeper than \(Self.maximumDepth) levels", json) }
    // The escape for something unknown is read whatever is expected.
    if type != nil || depth == 0, let name = Self.unknownName(json) { return .unknown(Unknown(Self.unknown, [.string(name)])) }
    switch type {
    case .entity:
      do throws(ParseError) { return .entity(try entity(json)) } catch { throw ParseErrors([error]) }
    case .extension(let type): return try extensionValue(json, type, depth)
    case .set(let element):
      guard let elements = json.array else { throw failure("expected a set, but got \(json.kindName)", json) }
      return try set(elements, expecting: element, depth)
    case .record(let attributes, let isOpen):
      guard let members = json.object else { throw failure("expected a record, but got \(json.kindName)", json) }
      return .record(try record(members, expecting: attributes, isOpen: isOpen, in: json, depth: depth))
    case .bool, .long, .string, nil: return try plain(json, depth)
    }
  }

  private static let maximumDepth = 200

  private func plain(_ json: JSONValue, _ depth: Int) throws(ParseErrors) -> Value {
    switch json.kind {
    case .bool(let flag): return .bool(flag)
    case .integer(let number): return .long(number)
    case .string(let text): return .string(text)
    case .array(let elements): return try set(elements, expecting: nil, depth)
    case .null: throw failure("found a `null`; JSON `null`s are not allowed in Cedar", json)
    case .number(let text):
      throw failure(text == "-0" ? "write 0 without a sign" : "found the number \(text); Cedar has 64-bit integers only", json)
    case .object(let members):
      if members.count == 1, let member = members.first {
        if member.name.utf8.starts(with: "__e".utf8), let bad = EscapeRest.firstUnreadable(in: member.value) {
          throw failure("`\(member.name)` holds what no value can: a number that is no 64-bit integer, or a name twice", bad)
        }
        if exactlyEquals(member.name, "__expr"), member.value.string != nil {
          throw failure("the `__expr` escape is no longer supported", json)
        }
        if exactlyEquals(member.name, "__entity"), let parts = Self.entityParts(member.value) {
          do throws(ParseError) { return .entity(try uid(parts, json)) } catch { throw ParseErrors([error]) }
        }
        if exactlyEquals(member.name, "__extn"), let call = Self.callParts(member.value) {
          return try self.call(call.function, call.arguments, json, depth, typed: false)
        }
      }
      return .record(try record(members, expecting: [], isOpen: true, in: json, depth: depth))
    }
  }

  private func set(_ elements: [JSONValue], expecting type: ExpectedType?, _ depth: Int) throws(ParseErrors) -> Value {
    .set(ValueSet(try values(elements, depth) { _ in type }))
  }

  /// Each value, or the mistakes of all.
  private func values(
    _ elements: [JSONValue], _ depth: Int, expecting type: (Int) -> ExpectedType?
  ) throws(ParseErrors) -> [Value] {
    var values: [Value] = []
    values.reserveCapacity(elements.count)
    var errors: [ParseError] = []
    for (index, element) in elements.enumerated() where errors.count < ParseErrors.limit {
      do throws(ParseErrors) {
        values.append(try value(element, expecting: type(index), depth: depth + 1))
      } catch { errors += error.errors }
    }
    guard errors.isEmpty else { throw ParseErrors(errors) }
    return values
  }

  /// A record; keys that are not expected are an error unless it is open.
  func record(
    _ members: [JSONValue.Member], expecting attributes: [ExpectedAttribute], isOpen: Bool, in json: JSONValue, depth: Int
  ) throws(ParseErrors) -> Record {
    let expected = ExpectedAttributes(attributes)
    var fields: [Record.Field] = []
    fields.reserveCapacity(members.count)
    var errors: [ParseError] = []
    for member in members where errors.count < ParseErrors.limit {
      let attribute = expected[member.name]
      guard attribute != nil || isOpen else {
        errors.append(mistake("record attribute `\(member.name)` should not exist according to the schema", member.value))
        continue
      }
      do throws(ParseErrors) {
        fields.append(Record.Field(member.name, try value(member.value, expecting: attribute?.type, depth: depth + 1)))
      } catch { errors += error.errors }
    }
    // Whether an attribute is there does not depend on whether its value can be read.
    for attribute in attributes where attribute.isRequired && !members.contains(where: { exactlyEquals($0.name, attribute.key) }) {
      errors.append(mistake("expected the record to have an attribute `\(attribute.key)`, but it does not", json))
    }
    guard errors.isEmpty else { throw ParseErrors(errors) }
    guard let record = Record(fields) else { throw failure("a key occurs twice", json) }
    return record
  }

  // MARK: Entities

  private static func entityParts(_ json: JSONValue) -> (type: String, id: String)? {
    guard let type = json["type"]?.string, let id = json["id"]?.string else { return nil }
    return (type, id)
  }

  private func uid(_ parts: (type: String, id: String), _ json: JSONValue) throws(ParseError) -> EntityUID {
    do throws(NameError) {
      return EntityUID(type: try EntityType(normalized: parts.type), id: parts.id)
    } catch {
      throw mistake(error.description, json)
    }
  }

  /// An entity reference in either form, `{"type", "id"}` or `{"__entity": {"type", "id"}}`.
  func entity(_ json: JSONValue) throws(ParseError) -> EntityUID {
    if let escape = json["__entity"], let parts = Self.entityParts(escape) { return try uid(parts, json) }
    if let parts = Self.entityParts(json) { return try uid(parts, json) }
    throw ParseError(
      "in \(place.words), expected a literal entity reference, but got \(json.string.map { "`\(Text.quoted($0))`" } ?? json.kindName)",
      at: SourceSpan(json.span.lowerBound, json.span.upperBound),
      help: "write `{ \"__entity\": { \"type\": \"SomeType\", \"id\": \"SomeId\" } }`")
  }

  // MARK: Extension values

  private static let unknown = ExtensionFunction.unknown.rawValue

  /// The name in `{"__extn": {"fn": "unknown", "arg": name}}`.
  private static func unknownName(_ json: JSONValue) -> String? {
    guard case .object = json.kind, let call = json["__extn"], let function = call["fn"]?.string, exactlyEquals(function, unknown) else {
      return nil
    }
    return call["arg"]?.string
  }

  private static func callParts(_ json: JSONValue) -> (function: String, arguments: [JSONValue])? {
    guard let function = json["fn"]?.string else { return nil }
    if let argument = json["arg"] { return (function, [argument]) }
    if let arguments = json["args"]?.array { return (function, arguments) }
    return nil
  }

  private func extensionValue(_ json: JSONValue, _ type: ExtensionType, _ depth: Int) throws(ParseErrors) -> Value {
    if let escape = json["__extn"], let call = Self.callParts(escape) {
      return try self.call(call.function, call.arguments, json, depth, typed: true)
    }
    if let call = Self.callParts(json) { return try self.call(call.function, call.arguments, json, depth, typed: true) }
    return try apply(type.constructor, [plain(json, depth)], json)
  }

  private func call(
    _ name: String, _ arguments: [JSONValue], _ json: JSONValue, _ depth: Int, typed: Bool
  ) throws(ParseErrors) -> Value {
    let function = ExtensionFunction(rawValue: name)
    guard function != nil || !typed else { throw failure("extension function `\(name)` does not exist", json) }
    let parameters = typed ? function?.parameters ?? [] : []
    if typed, arguments.count != parameters.count {
      throw failure(
        "extension function `\(name)` takes \(parameters.count == 1 ? "1 argument" : "\(parameters.count) arguments"), but got \(arguments.count)",
        json)
    }
    let values = try values(arguments, depth) { typed ? parameters[$0] : nil }
    if let function { return try apply(function, values, json) }
    // As long as an argument is unknown nobody looks the function up; a policy that needs the value fails.
    guard values.contains(where: \.holdsUnknown), Self.isName(name) else {
      throw failure("extension function `\(name)` does not exist", json)
    }
    return .unknown(Unknown(name, values))
  }

  private static func isName(_ text: String) -> Bool {
    do throws(NameError) {
      _ = try EntityType(normalized: text)
      return true
    } catch { return false }
  }

  private func apply(_ function: ExtensionFunction, _ arguments: [Value], _ json: JSONValue) throws(ParseErrors) -> Value {
    do throws(EvaluationError) {
      return try function.apply(arguments)
    } catch {
      throw failure(error.message, json)
    }
  }
}

extension ExtensionFunction {
  /// The types of the parameters, the receiver of a method first.
  var parameters: [ExpectedType] {
    switch self {
    case .ip, .decimal, .datetime, .duration, .unknown: [.string]
    case .lessThan, .lessThanOrEqual, .greaterThan, .greaterThanOrEqual: [.extension(.decimal), .extension(.decimal)]
    case .isIpv4, .isIpv6, .isLoopback, .isMulticast: [.extension(.ipaddr)]
    case .isInRange: [.extension(.ipaddr), .extension(.ipaddr)]
    case .offset: [.extension(.datetime), .extension(.duration)]
    case .durationSince: [.extension(.datetime), .extension(.datetime)]
    case .toDate, .toTime: [.extension(.datetime)]
    case .toMilliseconds, .toSeconds, .toMinutes, .toHours, .toDays: [.extension(.duration)]
    }
  }
}

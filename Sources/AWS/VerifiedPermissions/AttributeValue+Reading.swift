internal import Bytes
public import Cedar
public import JSON

/// What is wrong with a part of a request, and where: `context.contextMap.mfa`.
public struct FieldError: Error, Sendable, Equatable {
  /// The member, as a path from the top.
  public var path: String
  /// What is wrong with it.
  public var message: String

  /// A mistake at a place.
  public init(_ path: String, _ message: String) {
    self.path = path
    self.message = message
  }
}

extension AttributeValue {
  /// Reads a value; `path` is where it stands.
  public static func read(_ json: JSONValue, at path: String, depth: Int = 0) throws(FieldError) -> Value {
    guard depth < deepest else { throw FieldError(path, "Values are nested too deeply.") }
    guard let members = json.object, members.count == 1, let member = members.first else {
      throw FieldError(path, "Exactly one member must be set.")
    }
    let place = "\(path).\(member.name)"
    switch member.name {
    case "boolean":
      guard let flag = member.value.bool else { throw FieldError(place, "Expected a boolean.") }
      return .bool(flag)
    case "long":
      guard let number = member.value.integer else { throw FieldError(place, "Expected a 64-bit integer.") }
      return .long(number)
    case "string": return .string(try string(member.value, place))
    case "entityIdentifier": return .entity(try uid(member.value, at: place))
    case "set":
      guard let elements = member.value.array else { throw FieldError(place, "Expected a list.") }
      var values: [Value] = []
      values.reserveCapacity(elements.count)
      for (index, element) in elements.enumerated() { values.append(try read(element, at: "\(place)[\(index)]", depth: depth + 1)) }
      return .set(ValueSet(values))
    case "record": return .record(try record(member.value, at: place, depth: depth + 1))
    case "ipaddr": return try extended(member.value, place, "ip", 1...44)
    case "decimal": return try extended(member.value, place, "decimal", 3...23)
    case "datetime": return try extended(member.value, place, "datetime", 10...28)
    case "duration": return try extended(member.value, place, "duration", 2...100)
    default: throw FieldError(path, "Unknown member \(member.name).")
    }
  }

  /// Reads a map of names to values.
  public static func record(_ json: JSONValue, at path: String, depth: Int = 0) throws(FieldError) -> Record {
    guard let members = json.object else { throw FieldError(path, "Expected a map.") }
    var fields: [Record.Field] = []
    fields.reserveCapacity(members.count)
    for member in members { fields.append(Record.Field(member.name, try read(member.value, at: "\(path).\(member.name)", depth: depth))) }
    guard let record = Record(fields) else { throw FieldError(path, "A name is there twice.") }
    return record
  }

  /// Reads an entity's name.
  public static func uid(_ json: JSONValue, at path: String) throws(FieldError) -> EntityUID {
    let type = try member("entityType", of: json, at: path, 1...200)
    return EntityUID(type: try entityType(type, at: "\(path).entityType"), id: try member("entityId", of: json, at: path, 1...612))
  }

  /// Reads an action's name; its type is called `Action`.
  public static func action(_ json: JSONValue, at path: String) throws(FieldError) -> EntityUID {
    let text = try member("actionType", of: json, at: path, 1...200)
    let type = try entityType(text, at: "\(path).actionType")
    guard type.isAction else { throw FieldError("\(path).actionType", "The type of an action is Action, or ends in ::Action.") }
    return EntityUID(type: type, id: try member("actionId", of: json, at: path, 1...512))
  }

  /// Reads the name of an entity type.
  public static func entityType(_ text: String, at path: String) throws(FieldError) -> EntityType {
    do throws(NameError) { return try Name(normalized: text) } catch { throw FieldError(path, "\(error).") }
  }

  /// A string member of bounded length that must be there.
  public static func member(_ name: String, of json: JSONValue, at path: String, _ length: ClosedRange<Int>) throws(FieldError) -> String {
    let place = path.isEmpty ? name : "\(path).\(name)"
    guard json.object != nil else { throw FieldError(path, "Expected a structure.") }
    guard let value = json[name], !value.isNull else { throw FieldError(place, "This member is required.") }
    let text = try string(value, place)
    guard length.contains(text.unicodeScalars.count) else {
      throw FieldError(place, "The length must be from \(length.lowerBound) to \(length.upperBound).")
    }
    return text
  }

  private static func string(_ json: JSONValue, _ path: String) throws(FieldError) -> String {
    guard let text = json.string else { throw FieldError(path, "Expected a string.") }
    return text
  }

  private static func extended(_ json: JSONValue, _ path: String, _ function: String, _ length: ClosedRange<Int>) throws(FieldError)
    -> Value
  {
    let text = try string(json, path)
    guard length.contains(text.unicodeScalars.count) else { throw FieldError(path, "This is no \(function).") }
    do throws(ExtensionError) {
      switch function {
      case "ip": return .ip(try IPAddress(text))
      case "decimal": return .decimal(try Decimal(text))
      case "datetime": return .datetime(try Datetime(text))
      default: return .duration(try Duration(text))
      }
    } catch { throw FieldError(path, "This is no \(function): \(error).") }
  }

  // As deep as values in Cedar's own JSON may be.
  private static let deepest = 200
}

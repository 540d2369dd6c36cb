internal import Bytes
internal import Cedar
internal import HTTP

/// A Cedar entity made of a request: type, id, attributes and parents.
struct ResourceTemplate: Sendable {
  /// One attribute.
  struct Attribute: Sendable {
    let name: String
    let template: TextTemplate
    let type: TypedText
    /// Whether it is left out if the request lacks it.
    let isOptional: Bool
  }

  let type: EntityType
  let id: TextTemplate
  var attributes: [Attribute] = []
  var parents: [(type: EntityType, id: TextTemplate)] = []

  /// The fields of a request that the entity is made of.
  var fields: [String] { ([id] + attributes.map(\.template) + parents.map(\.id)).flatMap(\.fields) }

  /// Whether the entity depends on the body.
  var needsBody: Bool { id.needsBody || attributes.contains { $0.template.needsBody } || parents.contains { $0.id.needsBody } }

  /// The entity's name and, if a request says anything of it, the entity.
  func entity(_ values: RequestValues.All) throws(Stop) -> (uid: EntityUID, entities: [Entity]) {
    let uid = EntityUID(type: type, id: try text(id, "the resource's id", values))
    guard !attributes.isEmpty || !parents.isEmpty else { return (uid, []) }
    var fields: [Record.Field] = []
    for attribute in attributes {
      guard let text = try attribute.template.text(values) else {
        guard attribute.isOptional else { throw lacking(attribute.template, for: "the resource's \(attribute.name)") }
        continue
      }
      guard let value = attribute.type.value(text) else {
        throw .refuse(
          .unmappable(detail: "\(attribute.template.sources) is not \(attribute.type.article): the resource's \(attribute.name) needs one"))
      }
      fields.append(Record.Field(attribute.name, value))
    }
    var uids: Set<EntityUID> = []
    for parent in parents { uids.insert(EntityUID(type: parent.type, id: try text(parent.id, "a parent's id", values))) }
    return (uid, [Entity(uid: uid, attributes: Record(lastWins: fields), parents: uids)])
  }

  private func text(_ template: TextTemplate, _ what: String, _ values: RequestValues.All) throws(Stop) -> String {
    guard let text = try template.text(values) else { throw lacking(template, for: what) }
    return text
  }

  private func lacking(_ template: TextTemplate, for what: String) -> Stop {
    .refuse(.unmappable(detail: "the request lacks \(template.sources), which \(what) is made of"))
  }
}

/// What a text from a request or a claim is read as.
public enum TypedText: String, Sendable, CaseIterable {
  case string
  case long
  case bool
  case decimal
  case ip
  case datetime
  /// A set of strings: the words between commas.
  case set

  /// The value, or nil if the text is none of that type.
  func value(_ text: String) -> Value? {
    switch self {
    case .string: return .string(text)
    case .long:
      // As JSON writes integers: no plus sign, no leading zeros.
      guard let number = Int64(text), exactlyEquals("\(number)", text) else { return nil }
      return .long(number)
    case .bool: return exactlyEquals(text, "true") ? .bool(true) : exactlyEquals(text, "false") ? .bool(false) : nil
    case .decimal: do throws(ExtensionError) { return .decimal(try Decimal(text)) } catch { return nil }
    case .ip: do throws(ExtensionError) { return .ip(try Cedar.IPAddress(text)) } catch { return nil }
    case .datetime: do throws(ExtensionError) { return .datetime(try Datetime(text)) } catch { return nil }
    case .set:
      let words = text.utf8.split(separator: UInt8(ascii: ",")).map { String(decoding: $0, as: UTF8.self) }
      return .set(ValueSet(words.map { Value.string($0) }))
    }
  }

  /// With its article, for messages.
  var article: String { self == .ip ? "an ip" : "a \(rawValue)" }
}

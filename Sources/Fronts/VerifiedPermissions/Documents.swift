internal import Bytes
internal import JSON

/// One thing that was made: a store, a policy, a template, a schema, an identity source, a remembered client token.
struct Document {
  /// The order of making.
  var number: Int64
  var id: String
  var value: JSONValue

  /// A string of it.
  func text(_ name: String) -> String? { value[name]?.string }
}

/// What is kept, by kind and in the order of making; changed by effects alone, so that reading the journal again makes the same.
struct Documents {
  /// A kind of document.
  enum Kind: String, CaseIterable {
    case store, policy, template, schema, source, token
  }

  /// One change.
  enum Effect {
    case put(Kind, store: String, id: String, JSONValue)
    case delete(Kind, store: String, id: String)
    /// A store and everything in it.
    case deleteStore(String)
  }

  private struct Place: Hashable {
    var kind: Kind
    var store: ExactString
  }

  private var lists: [Place: [Document]] = [:]
  private var next: Int64 = 0

  /// All of a kind in a store; stores themselves are in the store without a name.
  func all(_ kind: Kind, in store: String = "") -> [Document] { lists[Place(kind: kind, store: ExactString(store))] ?? [] }

  func one(_ kind: Kind, in store: String = "", _ id: String) -> Document? { all(kind, in: store).first { exactlyEquals($0.id, id) } }

  mutating func apply(_ effects: [Effect]) {
    for effect in effects {
      switch effect {
      case .put(let kind, let store, let id, let value):
        let place = Place(kind: kind, store: ExactString(store))
        if let index = lists[place]?.firstIndex(where: { exactlyEquals($0.id, id) }) {
          lists[place]?[index].value = value
        } else {
          lists[place, default: []].append(Document(number: next, id: id, value: value))
          next += 1
        }
      case .delete(let kind, let store, let id):
        lists[Place(kind: kind, store: ExactString(store))]?.removeAll { exactlyEquals($0.id, id) }
      case .deleteStore(let id):
        for kind in Kind.allCases { lists[Place(kind: kind, store: ExactString(id))] = nil }
        lists[Place(kind: .store, store: ExactString(""))]?.removeAll { exactlyEquals($0.id, id) }
      }
    }
  }
}

extension Documents.Effect {
  /// The change as a part of a journal's record.
  var json: JSONValue {
    switch self {
    case .put(let kind, let store, let id, let value):
      .object(["put": .string(kind.rawValue), "store": .string(store), "id": .string(id), "value": value])
    case .delete(let kind, let store, let id): .object(["delete": .string(kind.rawValue), "store": .string(store), "id": .string(id)])
    case .deleteStore(let id): .object(["deleteStore": .string(id)])
    }
  }

  /// Reads what `json` wrote; nil for anything else.
  init?(_ json: JSONValue) {
    if let id = json["deleteStore"]?.string {
      self = .deleteStore(id)
      return
    }
    guard let kind = (json["put"] ?? json["delete"])?.string.flatMap(Documents.Kind.init), let store = json["store"]?.string,
      let id = json["id"]?.string
    else { return nil }
    if json["delete"] != nil {
      self = .delete(kind, store: store, id: id)
    } else {
      guard let value = json["value"] else { return nil }
      self = .put(kind, store: store, id: id, value)
    }
  }
}

internal import Bytes
internal import JSON

/// Follows `$ref` within one document (RFC 6901 in a URL's fragment, RFC 3986 §2.1). Every step takes the same time, however many
/// members an object has: a document of nothing but references costs no more than its length.
struct LocalReferences {
  /// Why a reference leads nowhere.
  enum Mistake: Error {
    case notText
    /// To another document.
    case remote(String)
    case dangling(String)
    /// In a circle, or longer than anyone writes.
    case endless(String)

    var message: String {
      switch self {
      case .notText: "`$ref` is not a string"
      case .remote(let text): "`$ref` leads to another document, \"\(text)\", and only this one is read"
      case .dangling(let text): "`$ref` leads nowhere: the document has no \"\(text)\""
      case .endless(let text): "`$ref` leads in a circle: \"\(text)\""
      }
    }

    var help: String? {
      switch self {
      case .remote: "put everything into one document, for example with: redocly bundle openapi.json -o bundled.json"
      case .notText, .dangling, .endless: nil
      }
    }
  }

  private let root: JSONValue
  // The places of members by name, for large objects; an object is known by where it begins.
  private var indexes: [Int: [ExactString: Int]] = [:]

  init(_ root: JSONValue) { self.root = root }

  /// The value itself, or what it refers to.
  mutating func resolve(_ value: JSONValue) throws(Mistake) -> JSONValue {
    var here = value
    var steps = 0
    while let reference = member("$ref", of: here) {
      guard let text = reference.string else { throw .notText }
      steps += 1
      guard steps <= Self.mostSteps else { throw .endless(text) }
      here = try target(of: text)
    }
    return here
  }

  /// The member of that name.
  mutating func member(_ name: String, of object: JSONValue) -> JSONValue? {
    guard case .object(let members) = object.kind, members.count > Self.few else { return object[name] }
    let start = object.span.lowerBound
    if indexes[start] == nil {
      indexes[start] = Dictionary(members.enumerated().map { (ExactString($1.name), $0) }, uniquingKeysWith: { first, _ in first })
    }
    return indexes[start]?[ExactString(name)].map { members[$0].value }
  }

  private mutating func target(of text: String) throws(Mistake) -> JSONValue {
    guard text.utf8.first == UInt8(ascii: "#") else { throw .remote(text) }
    guard let fragment = Self.decoded(text.utf8.dropFirst()), let pointer = JSONPointer(fragment) else { throw .dangling(text) }
    var here = root
    for token in pointer.tokens {
      let next = here.object == nil ? JSONPointer(member: token).value(in: here) : member(token, of: here)
      guard let next else { throw .dangling(text) }
      here = next
    }
    return here
  }

  private static func decoded(_ bytes: some Sequence<UInt8>) -> String? {
    var out: [UInt8] = []
    var rest = Array(bytes)[...]
    while let byte = rest.popFirst() {
      guard byte == UInt8(ascii: "%") else {
        out.append(byte)
        continue
      }
      guard let first = rest.popFirst(), let high = ASCII.hexValue(first), let second = rest.popFirst(), let low = ASCII.hexValue(second)
      else {
        return nil
      }
      out.append(high << 4 | low)
    }
    return String(validating: out, as: UTF8.self)
  }

  private static let mostSteps = 16
  private static let few = 16
}

internal import Bytes
internal import Cedar
internal import HTTP
internal import JSON

/// The fields of a JSON body that a route's policies see, and the bounds of a body that is read before the decision.
public struct BodyFields: Sendable {
  /// The bounds of a body.
  let bounds: BodyBounds
  /// Name by name, where in the body it is found (RFC 6901).
  let fields: [(name: String, pointer: JSONPointer)]

  // Deep enough for documents that services take; every level is a frame of the reader's stack.
  private static let depth = 64

  /// Refuses, before any of it is read, a body that is too long or that is no JSON by its own word.
  func requireReadable(_ head: RequestHead) throws(Stop) {
    try bounds.requireFitting(head)
    guard !head.fields.has(.contentEncoding) else {
      throw .refuse(.bodyUnsupported(detail: "the body has a Content-Encoding, and is read as it is"))
    }
    let types = head.fields.valueBytes(named: "Content-Type")
    guard types.count == 1, let type = types.first, JSONMediaType.matches(type) else {
      throw .refuse(
        .bodyUnsupported(detail: types.isEmpty ? "the body has no Content-Type" : "the body's Content-Type is not JSON in UTF-8"))
    }
  }

  /// What the fields say in Cedar's values; a field that the body lacks is left out.
  ///
  /// What Cedar cannot hold exactly (a fraction, a number beyond 64 bits, null) refuses the request: left out, it would be
  /// unsaid for the policies and said for the service.
  func read(_ body: UnsafeRawBufferPointer) -> Result<Record, Rejection> {
    guard !body.isEmpty else { return .success(.empty) }
    let json: JSONValue
    do throws(JSONError) {
      json = try JSONParser.parse(body, limits: JSONParser.Limits(depth: Self.depth, bytes: body.count))
    } catch {
      return .failure(.bodyInvalid(detail: "the body is not JSON that can be read in one way only: \(error)"))
    }
    var record: [Record.Field] = []
    for (name, pointer) in fields {
      guard !Self.isUnclear(pointer, in: json) else {
        return .failure(.bodyInvalid(detail: "the body has a name that differs from one on the way to \(pointer) in case only"))
      }
      guard let found = pointer.value(in: json) else { continue }
      guard let value = Self.value(found) else {
        return .failure(.bodyInvalid(detail: "the body's \(pointer) is, or holds, null or a number that is no 64-bit integer"))
      }
      record.append(Record.Field(name, value))
    }
    return .success(Record(lastWins: record))
  }

  // Some readers take names without regard to case (Go's encoding/json does): a service with one of them would read what was
  // not decided on.
  private static func isUnclear(_ pointer: JSONPointer, in root: JSONValue) -> Bool {
    var here = root
    for token in pointer.tokens {
      for member in here.object ?? [] where !exactlyEquals(member.name, token) && isSameFolded(member.name, token) { return true }
      guard let next = JSONPointer(member: token).value(in: here) else { return false }
      here = next
    }
    return false
  }

  // ASCII letters, and the two others that fold to one: U+017F to s, U+212A to k.
  private static func isSameFolded(_ a: String, _ b: String) -> Bool {
    func folded(_ scalar: Unicode.Scalar) -> UInt32 {
      switch scalar.value {
      case 0x41...0x5a: scalar.value + 0x20
      case 0x17f: 0x73
      case 0x212a: 0x6b
      default: scalar.value
      }
    }
    return a.unicodeScalars.elementsEqual(b.unicodeScalars) { folded($0) == folded($1) }
  }

  // Nesting is bounded by the reader.
  private static func value(_ json: JSONValue) -> Value? {
    switch json.kind {
    case .null, .number: return nil
    case .bool(let flag): return .bool(flag)
    case .integer(let number): return .long(number)
    case .string(let text): return .string(text)
    case .array(let elements):
      var values: [Value] = []
      for element in elements {
        guard let value = value(element) else { return nil }
        values.append(value)
      }
      return .set(ValueSet(values))
    case .object(let members):
      var fields: [Record.Field] = []
      for member in members {
        guard let value = value(member.value) else { return nil }
        fields.append(Record.Field(member.name, value))
      }
      return .record(Record(lastWins: fields))
    }
  }
}

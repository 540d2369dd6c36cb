internal import Bytes
internal import JSON

/// What an escape such as `{"__entity": {"type": …, "id": …, …}}` holds besides its parts means nothing, but it must be what
/// values are made of: the reference reads the whole before it looks for escapes.
enum EscapeRest {
  /// A number that is no 64-bit integer, or an object with a name twice, anywhere in a value; nil if there is none.
  static func firstUnreadable(in json: JSONValue) -> JSONValue? {
    var pending = [json]
    while let next = pending.popLast() {
      switch next.kind {
      case .null, .bool, .integer, .string: break
      case .number: return next
      case .array(let elements): pending += elements
      case .object(let members):
        var names: Set<ExactString> = []
        for member in members {
          guard names.insert(ExactString(member.name)).inserted else { return next }
          pending.append(member.value)
        }
      }
    }
    return nil
  }
}

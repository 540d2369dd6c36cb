internal import Bytes
internal import Cedar
internal import JSON

/// Claims as Cedar values: string, Boolean and integer as they are, array as set, object as record.
///
/// `null` is left out; a number with a fraction becomes a decimal where that is exact, and is left out otherwise, as is
/// an integer beyond 64 bits: a claim that Cedar cannot hold exactly is absent rather than wrong.
struct ClaimValues {
  let record: Record

  init(_ claims: JSONValue, leavingOut left: JSONPointer, scopes: [String]) {
    var fields: [Record.Field] = []
    for member in claims.object ?? [] {
      // The group claim became parents; where it is nested, the rest of its object stays.
      if left.tokens.count == 1, let name = left.tokens.first, exactlyEquals(name, member.name) { continue }
      if exactlyEquals(member.name, "scope") {
        fields.append(Record.Field("scope", .set(ValueSet(scopes.map { Value.string($0) }))))
        continue
      }
      if let value = Self.value(member.value) { fields.append(Record.Field(member.name, value)) }
    }
    // Scopes are found under one name, whatever the issuer calls them (`scp` of Entra and Okta).
    if !scopes.isEmpty, !fields.contains(where: { exactlyEquals($0.key, "scope") }) {
      fields.append(Record.Field("scope", .set(ValueSet(scopes.map { Value.string($0) }))))
    }
    record = Record(lastWins: fields)
  }

  // Nesting is bounded: the token's reader refuses what is deeper than its limit.
  static func value(_ claim: JSONValue) -> Value? {
    switch claim.kind {
    case .null: return nil
    case .bool(let flag): return .bool(flag)
    case .integer(let number): return .long(number)
    case .string(let text): return .string(text)
    case .number(let text): return decimal(text).map { .decimal($0) }
    case .array(let elements): return .set(ValueSet(elements.compactMap(value)))
    case .object(let members):
      return .record(Record(lastWins: members.compactMap { member in value(member.value).map { Record.Field(member.name, $0) } }))
    }
  }

  // Only plain notation with at most four digits after the point is exact without arithmetic; `1e2` is nobody's claim.
  private static func decimal(_ text: String) -> Decimal? {
    guard text.utf8.contains(UInt8(ascii: ".")) else { return nil }
    do throws(ExtensionError) { return try Decimal(text) } catch { return nil }
  }
}

internal import Bytes

/// What an `Authorization` field carries for us, RFC 6750 §2.1; by the scheme `DPoP`, RFC 9449 §7.1.
public enum BearerCredential: Equatable, Sendable {
  /// A bearer token at this place in the head's bytes.
  case token(Range<Int>)
  /// A token without a scheme at this place, as Amplify clients send it: exactly two dots, nothing else.
  case rawToken(Range<Int>)
  /// Credentials of another scheme.
  case otherScheme
  /// `Bearer` without a token, or with more than one thing behind it.
  case malformed
  /// More than one `Authorization` line, or several credentials in one.
  case multiple
  /// No `Authorization`.
  case absent

  /// The scheme that is looked for, in lower case.
  public enum Scheme: Sendable {
    case bearer
    case dpop

    var name: StaticString {
      switch self {
      case .bearer: "bearer"
      case .dpop: "dpop"
      }
    }
  }

  /// Reads the `Authorization` of a head.
  public static func find(in fields: borrowing FieldSection, scheme: Scheme = .bearer) -> BearerCredential {
    guard fields.has(.authorization) else { return .absent }
    guard !fields.isRepeated(.authorization), let range = fields.range(of: .authorization) else { return .multiple }
    return fields.withBytes(range) { read($0, at: range.lowerBound, scheme) }
  }

  /// Reads a field value that lies at an offset in the head.
  static func read(_ value: UnsafeRawBufferPointer, at offset: Int, _ wanted: Scheme = .bearer) -> BearerCredential {
    var index = 0
    while index < value.count, TokenTable.isToken(value[index]) { index += 1 }
    let scheme = value.part(0..<index)
    guard index < value.count else {
      if scheme.spellsIgnoringCase(wanted.name) { return .malformed }
      // One word: a raw token has base64url characters and two dots, all of them token bytes.
      let dots = value.reduce(0) { $0 + ($1 == UInt8(ascii: ".") ? 1 : 0) }
      guard dots == 2, value.allSatisfy({ isBase64URL($0) || $0 == UInt8(ascii: ".") }) else {
        return index == 0 ? .malformed : .otherScheme
      }
      return .rawToken(offset..<offset + value.count)
    }
    // A comma where no credentials may have one: two lines that somebody joined, RFC 9110 §5.3.
    guard value[index] == ASCII.space else { return value[index] == UInt8(ascii: ",") ? .multiple : .malformed }
    guard scheme.spellsIgnoringCase(wanted.name) else { return .otherScheme }
    while index < value.count, value[index] == ASCII.space { index += 1 }
    let start = index
    index = ByteScan.endOfToken68(value, from: start)
    while index < value.count, index > start, value[index] == UInt8(ascii: "=") { index += 1 }
    guard index == value.count, index > start else {
      return index < value.count && index > start && value[index...].contains(UInt8(ascii: ",")) ? .multiple : .malformed
    }
    return .token(offset + start..<offset + index)
  }

  private static func isBase64URL(_ byte: UInt8) -> Bool {
    ASCII.isAlpha(byte) || ASCII.isDigit(byte) || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "_")
  }
}

/// Why a text is not the JSON we accept, and where.
public struct JSONError: Error, Sendable, Equatable {
  /// What was seen.
  public enum Reason: Sendable, Equatable {
    case empty
    case unexpectedEnd
    case unexpectedByte(UInt8)
    case trailingBytes
    case duplicateName(String)
    case tooDeep(limit: Int)
    case tooLarge(limit: Int)
    case invalidNumber
    case invalidEscape
    case loneSurrogate
    case controlCharacter(UInt8)
    case invalidUTF8
    case byteOrderMark
    // JSON5 alone.
    case unterminatedComment
    case unterminatedString
    case notFinite
  }

  /// What was seen.
  public var reason: Reason
  /// Byte offset of the place in the text.
  public var offset: Int
  /// How many bytes the place covers, at least 1 when an underline is drawn.
  public var length: Int

  /// An error at a byte offset.
  public init(_ reason: Reason, at offset: Int, length: Int = 1) {
    self.reason = reason
    self.offset = offset
    self.length = length
  }
}

extension JSONError: CustomStringConvertible {
  /// One line for a person, without the position.
  public var description: String {
    switch reason {
    case .empty: "expected a value, found nothing"
    case .unexpectedEnd: "unexpected end of the text"
    case .unexpectedByte(let byte): "unexpected \(Self.shown(byte))"
    case .trailingBytes: "unexpected text after the value"
    case .duplicateName(let name): "duplicate name \"\(name)\" in an object"
    case .tooDeep(let limit): "nested deeper than \(limit) levels"
    case .tooLarge(let limit): "larger than \(limit) bytes"
    case .invalidNumber: "not a number as JSON writes them"
    case .invalidEscape: "invalid escape in a string"
    case .loneSurrogate: "half of a surrogate pair in a string"
    case .controlCharacter(let byte): "control character \(Self.shown(byte)) in a string; write it as an escape"
    case .invalidUTF8: "invalid UTF-8"
    case .byteOrderMark: "a byte order mark stands before the value; remove it"
    case .unterminatedComment: "this comment has no end; close it with `*/`"
    case .unterminatedString: "this string does not end on its line; close it, or end the line with `\\` to go on in the next"
    case .notFinite: "Infinity and NaN are no values here"
    }
  }

  private static func shown(_ byte: UInt8) -> String {
    if byte > 0x20 && byte < 0x7f { return "`\(Character(UnicodeScalar(byte)))`" }
    let digits = String(byte, radix: 16, uppercase: true)
    return "byte 0x" + (digits.count < 2 ? "0" : "") + digits
  }
}

internal import Bytes

/// Cuts a Cedar text into tokens: the longest match, words over identifiers at equal length (spec: Cedar grammar, lexis).
///
/// The same lexer serves policies and schemas. It never stops at a mistake: what is no token is reported and skipped.
public struct Lexer: Sendable {
  /// What the text may contain beyond the tokens that both languages share.
  public enum Dialect: Sendable {
    /// Policies and expressions: slots are tokens, a lone `?` is not.
    case policies
    /// Schemas: a `?` is always a token of its own.
    case schema
  }

  /// The tokens of a text, ended by one `.end` token, and what was no token.
  public static func tokens(_ source: [UInt8], dialect: Dialect = .policies) -> (tokens: [Token], errors: [ParseError]) {
    source.withUnsafeBufferPointer { bytes in
      var lexer = Scanner(bytes: bytes, dialect: dialect)
      lexer.run()
      return (lexer.tokens, lexer.errors)
    }
  }

  private struct Scanner {
    let bytes: UnsafeBufferPointer<UInt8>
    let dialect: Dialect
    var at = 0
    var tokens: [Token] = []
    var errors: [ParseError] = []

    init(bytes: UnsafeBufferPointer<UInt8>, dialect: Dialect) {
      self.bytes = bytes
      self.dialect = dialect
      tokens.reserveCapacity(bytes.count / 4 + 1)
    }

    mutating func run() {
      while at < bytes.count { next() }
      tokens.append(Token(.end, at: SourceSpan(bytes.count, bytes.count)))
    }

    private func peek(_ offset: Int) -> UInt8 { at + offset < bytes.count ? bytes[at + offset] : 0 }

    private mutating func emit(_ kind: Token.Kind, _ length: Int) {
      tokens.append(Token(kind, at: SourceSpan(at, at + length)))
      at += length
    }

    private mutating func next() {
      let byte = bytes[at]
      if ASCII.isAlpha(byte) || byte == UInt8(ascii: "_") { return word() }
      if ASCII.isDigit(byte) {
        var length = 1
        while ASCII.isDigit(peek(length)) { length += 1 }
        return emit(.number, length)
      }
      switch byte {
      case ASCII.space, 0x09...0x0d: at += 1
      case ASCII.quote: string()
      case UInt8(ascii: "@"): emit(.at, 1)
      case UInt8(ascii: "."): emit(.dot, 1)
      case UInt8(ascii: ","): emit(.comma, 1)
      case UInt8(ascii: ";"): emit(.semicolon, 1)
      case UInt8(ascii: ":"): peek(1) == byte ? emit(.doubleColon, 2) : emit(.colon, 1)
      case UInt8(ascii: "("): emit(.leftParen, 1)
      case UInt8(ascii: ")"): emit(.rightParen, 1)
      case UInt8(ascii: "{"): emit(.leftBrace, 1)
      case UInt8(ascii: "}"): emit(.rightBrace, 1)
      case UInt8(ascii: "["): emit(.leftBracket, 1)
      case UInt8(ascii: "]"): emit(.rightBracket, 1)
      case UInt8(ascii: "="): peek(1) == UInt8(ascii: "=") ? emit(.equal, 2) : emit(.assign, 1)
      case UInt8(ascii: "!"): peek(1) == UInt8(ascii: "=") ? emit(.notEqual, 2) : emit(.not, 1)
      case UInt8(ascii: "<"): peek(1) == UInt8(ascii: "=") ? emit(.lessOrEqual, 2) : emit(.less, 1)
      case UInt8(ascii: ">"): peek(1) == UInt8(ascii: "=") ? emit(.greaterOrEqual, 2) : emit(.greater, 1)
      case UInt8(ascii: "|") where peek(1) == byte: emit(.or, 2)
      case UInt8(ascii: "&") where peek(1) == byte: emit(.and, 2)
      case UInt8(ascii: "+"): emit(.plus, 1)
      case UInt8(ascii: "-"): emit(.minus, 1)
      case UInt8(ascii: "*"): emit(.times, 1)
      case UInt8(ascii: "%"): emit(.percent, 1)
      case UInt8(ascii: "/"):
        if peek(1) == byte {
          while at < bytes.count, bytes[at] != ASCII.lf, bytes[at] != ASCII.cr { at += 1 }
        } else {
          emit(.slash, 1)
        }
      case UInt8(ascii: "?"):
        if dialect == .schema { return emit(.question, 1) }
        guard ASCII.isAlpha(peek(1)) || peek(1) == UInt8(ascii: "_") else { return invalid() }
        var length = 2
        while isWordByte(peek(length)) { length += 1 }
        emit(.slot, length)
      default:
        if byte >= 0x80, let length = unicodeSpace() { at += length } else { invalid() }
      }
    }

    private func isWordByte(_ byte: UInt8) -> Bool { ASCII.isAlpha(byte) || ASCII.isDigit(byte) || byte == UInt8(ascii: "_") }

    private mutating func word() {
      var length = 1
      while isWordByte(peek(length)) { length += 1 }
      var kind = Token.Kind.identifier
      switch length {
      case 2:
        if matches("if") { kind = .if }
        if matches("in") { kind = .in }
        if matches("is") { kind = .is }
      case 3: if matches("has") { kind = .has }
      case 4:
        if matches("then") { kind = .then }
        if matches("else") { kind = .else }
        if matches("true") { kind = .true }
        if matches("like") { kind = .like }
      case 5: if matches("false") { kind = .false }
      default: break
      }
      emit(kind, length)
    }

    private func matches(_ word: StaticString) -> Bool {
      for index in 0..<word.utf8CodeUnitCount where bytes[at + index] != word.utf8Start[index] { return false }
      return true
    }

    private mutating func string() {
      var end = at + 1
      while end < bytes.count {
        switch bytes[end] {
        case ASCII.quote:
          return emit(.string, end + 1 - at)
        case ASCII.backslash:
          // A backslash takes any character but a line feed with it.
          guard end + 1 < bytes.count, bytes[end + 1] != ASCII.lf else { return invalid() }
          end += 2
        default: end += 1
        }
      }
      invalid()
    }

    /// The length of a Unicode white-space character beyond ASCII that starts here.
    private func unicodeSpace() -> Int? {
      switch (bytes[at], peek(1), peek(2)) {
      case (0xc2, 0x85, _), (0xc2, 0xa0, _): 2
      case (0xe1, 0x9a, 0x80), (0xe2, 0x80, 0x80...0x8a), (0xe2, 0x80, 0xa8...0xa9), (0xe2, 0x80, 0xaf), (0xe2, 0x81, 0x9f),
        (0xe3, 0x80, 0x80):
        3
      default: nil
      }
    }

    private mutating func invalid() {
      let byte = bytes[at]
      var length = 1
      while at + length < bytes.count, bytes[at + length] & 0xc0 == 0x80 { length += 1 }
      let help: String? =
        switch byte {
        case ASCII.quote: "try checking that all strings are closed properly"
        case UInt8(ascii: "'"): "strings must use double quotes, not single quotes"
        case UInt8(ascii: "&"): "try using `&&` instead"
        case UInt8(ascii: "|"): "try using `||` instead"
        case UInt8(ascii: "#"): "comments start with `//`"
        default: nil
        }
      if errors.count < ParseErrors.limit { errors.append(ParseError("invalid token", at: SourceSpan(at, at + length), help: help)) }
      let start = at
      // After an unclosed string nothing that follows can be trusted to be code.
      at = byte == ASCII.quote ? bytes.count : at + length
      if byte == UInt8(ascii: "'") {
        // One mistake, not two and what stands between them.
        let line = bytes[at...].prefix { $0 != ASCII.lf }
        if let close = line.firstIndex(of: byte) {
          at = close + 1
          tokens.append(Token(.string, at: SourceSpan(start, at)))
        }
      }
    }
  }
}

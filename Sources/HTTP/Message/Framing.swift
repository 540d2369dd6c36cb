internal import Bytes

/// The one rule file for message framing, RFC 9112 §6: where a body ends, or why nobody may say so.
///
/// Wherever the RFC lets a recipient recover, this one refuses: recovery is where two parsers part ways.
enum Framing {
  // Request bodies

  /// The framing of a request, RFC 9112 §6.3 rules 3 to 7.
  static func ofRequest(_ fields: borrowing FieldSection, minorVersion: UInt8) throws(HTTPRefusal) -> BodyFraming {
    guard fields.present & framingFields != 0 else { return .none }
    return try declared(fields, minorVersion: minorVersion)
  }

  // Response bodies

  /// The framing of a response, RFC 9112 §6.3 rules 1 to 8, which depend on what was asked.
  static func ofResponse(
    _ fields: borrowing FieldSection, minorVersion: UInt8, status: Status, to method: Method
  ) throws(HTTPRefusal) -> BodyFraming {
    let declared = try declared(fields, minorVersion: minorVersion)
    if status.isInformational || status == .noContent {
      // RFC 9112 §6.1 and RFC 9110 §8.6 forbid both fields here. A length of zero says nothing untrue and is common.
      guard declared == .none || (declared == .length(0) && status == .noContent) else { throw .framingForbidden }
      return .none
    }
    if method == .head || status == .notModified { return .none }
    return declared == .none ? .untilClose : declared
  }

  private static let framingFields = KnownField.contentLength.bit | KnownField.transferEncoding.bit

  /// What the framing fields themselves declare; `none` without any.
  private static func declared(_ fields: borrowing FieldSection, minorVersion: UInt8) throws(HTTPRefusal) -> BodyFraming {
    // Both at once is how requests are smuggled, RFC 9112 §6.1: refused, whatever each says.
    if fields.has(.transferEncoding) {
      if fields.has(.contentLength) { throw .contentLengthWithTransferEncoding }
      if fields.isRepeated(.transferEncoding) { throw .transferEncodingRepeated }
      if minorVersion == 0 { throw .transferEncodingInHTTP10 }
      guard let range = fields.range(of: .transferEncoding) else { throw .transferEncodingInvalid }
      try fields.bytes.lend { bytes throws(HTTPRefusal) in try requireChunked(bytes.part(range)) }
      return .chunked
    }
    if fields.has(.contentLength) {
      // A list of equal lengths may be one length to us and another to the next reader, RFC 9112 §6.3 rule 5.
      if fields.isRepeated(.contentLength) { throw .contentLengthRepeated }
      guard let range = fields.range(of: .contentLength) else { throw .contentLengthInvalid }
      return try fields.bytes.lend { bytes throws(HTTPRefusal) in try .length(length(bytes.part(range))) }
    }
    return .none
  }

  /// The number that `Content-Length` spells, RFC 9110 §8.6: digits alone, no leading zero, at most 2^63 - 1.
  static func length(_ value: UnsafeRawBufferPointer) throws(HTTPRefusal) -> UInt64 {
    guard let first = value.first else { throw .contentLengthInvalid }
    for byte in value where !ASCII.isDigit(byte) {
      throw byte == UInt8(ascii: ",") ? .contentLengthRepeated : .contentLengthInvalid
    }
    guard value.count == 1 || first != UInt8(ascii: "0") else { throw .contentLengthInvalid }
    guard value.count <= 19 else { throw .contentLengthTooLarge }
    var number: UInt64 = 0
    for byte in value { number = number &* 10 &+ UInt64(byte &- 0x30) }
    guard number <= UInt64(Int64.max) else { throw .contentLengthTooLarge }
    return number
  }

  /// Accepts exactly one `chunked`, RFC 9112 §6.1 and §7.
  private static func requireChunked(_ value: UnsafeRawBufferPointer) throws(HTTPRefusal) {
    if value.spellsIgnoringCase("chunked") { return }
    // Another coding that ends in chunked is honest but unknown here (501); anything else is an attempt at something (400).
    var codings = TokenList(value)
    var last: Range<Int>?
    var count = 0
    while let coding = codings.next() {
      if value.part(coding).spellsIgnoringCase("chunked"), codings.hasMore { throw .transferEncodingInvalid }
      if value.part(coding).spellsIgnoringCase("identity") { throw .transferEncodingInvalid }
      last = coding
      count += 1
    }
    guard codings.isWellFormed, count > 1, let last, value.part(last).spellsIgnoringCase("chunked") else { throw .transferEncodingInvalid }
    throw .transferEncodingUnsupported
  }

  // The connection

  /// The tokens of all `Connection` lines that this house acts on, RFC 9110 §7.6.1.
  struct ConnectionOptions {
    var close = false
    var keepAlive = false
    var upgrade = false
    /// Whether other fields are named.
    var nominates = false
  }

  /// Reads `Connection`, or refuses what is not a list of tokens.
  static func connectionOptions(_ fields: borrowing FieldSection) throws(HTTPRefusal) -> ConnectionOptions {
    var options = ConnectionOptions()
    guard fields.has(.connection) else { return options }
    var nominated = 0
    for line in fields.lines where line.known == .connection {
      try fields.bytes.lend { bytes throws(HTTPRefusal) in
        let value = bytes.part(line.value)
        var tokens = TokenList(value)
        while let range = tokens.next() {
          let token = value.part(range)
          if token.spellsIgnoringCase("close") {
            options.close = true
          } else if token.spellsIgnoringCase("keep-alive") {
            options.keepAlive = true
          } else if token.spellsIgnoringCase("upgrade") {
            options.upgrade = true
          } else {
            options.nominates = true
            nominated += 1
          }
        }
        guard tokens.isWellFormed, nominated <= HopByHop.mostNominated else { throw .connectionInvalid }
      }
    }
    return options
  }
}

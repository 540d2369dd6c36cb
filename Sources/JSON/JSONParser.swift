internal import Bytes

/// The one reader of JSON in the house, RFC 8259: tokens, key sets, entities, policies, logs and tests all pass here.
///
/// Strict where readers disagree: duplicate names are an error, text after the value is an error, half surrogates and
/// invalid UTF-8 are errors. Never recurses deeper than its limit and never traps.
public struct JSONParser {
  /// What a reader allows.
  public struct Limits: Sendable {
    /// Deepest nesting of arrays and objects.
    public var depth: Int
    /// Largest text in bytes.
    public var bytes: Int
    /// What two members of one name mean.
    public var duplicateNames: DuplicateNames
    /// Which way of writing is accepted.
    public var syntax: Syntax

    /// Limits; the defaults suit files that an operator wrote.
    public init(depth: Int = 128, bytes: Int = 256 << 20, duplicateNames: DuplicateNames = .refuse, syntax: Syntax = .json) {
      self.depth = depth
      self.bytes = bytes
      self.duplicateNames = duplicateNames
      self.syntax = syntax
    }
  }

  /// A way of writing.
  public enum Syntax: Sendable {
    /// RFC 8259 and nothing else.
    case json
    /// JSON5 (spec.json5.org) as people write configuration: comments, trailing commas, names without quotes, single
    /// quotes, hexadecimal. `Infinity` and `NaN` are refused: no JSON value stands for them.
    case json5
  }

  /// What two members of one name mean.
  public enum DuplicateNames: Sendable {
    /// An error (the default: two readers of one document must not see two documents).
    case refuse
    /// Every member is kept, in order; the caller judges.
    case keepAll
  }

  /// Reads one value and nothing else.
  public static func parse(_ text: some Collection<UInt8>, limits: Limits = Limits()) throws(JSONError) -> JSONValue {
    let result: Result<JSONValue, JSONError>
    if let direct = text.withContiguousStorageIfAvailable({ parseResult(UnsafeRawBufferPointer($0), limits) }) {
      result = direct
    } else {
      result = Array(text).withUnsafeBytes { parseResult($0, limits) }
    }
    return try result.get()
  }

  /// Reads one value and nothing else.
  public static func parse(_ text: String, limits: Limits = Limits()) throws(JSONError) -> JSONValue {
    try parse(text.utf8, limits: limits)
  }

  /// Reads an array element by element: each is handed out and forgotten, so that a long array is never held as a whole. What is no
  /// array is handed back instead.
  ///
  /// Of a text that is no JSON, the elements before the mistake have been handed out by the time it is thrown.
  public static func parseElements(
    _ text: [UInt8], limits: Limits = Limits(), _ body: (JSONValue) -> Void
  ) throws(JSONError) -> JSONValue? {
    let result = text.withUnsafeBytes { bytes -> Result<JSONValue?, JSONError> in
      do throws(JSONError) {
        guard bytes.count <= limits.bytes else { throw JSONError(.tooLarge(limit: limits.bytes), at: 0) }
        var parser = JSONParser(bytes: bytes, limits: limits)
        return .success(
          try parser.document { (parser) throws(JSONError) in
            guard try parser.peek() == UInt8(ascii: "[") else { return try parser.value(depth: 0) }
            try parser.elements(depth: 1, body)
            return nil
          })
      } catch { return .failure(error) }
    }
    return try result.get()
  }

  private static func parseResult(_ bytes: UnsafeRawBufferPointer, _ limits: Limits) -> Result<JSONValue, JSONError> {
    do throws(JSONError) {
      guard bytes.count <= limits.bytes else { throw JSONError(.tooLarge(limit: limits.bytes), at: 0) }
      var parser = JSONParser(bytes: bytes, limits: limits)
      return .success(try parser.document { (parser) throws(JSONError) in try parser.value(depth: 0) })
    } catch {
      return .failure(error)
    }
  }

  let bytes: UnsafeRawBufferPointer
  let limits: Limits
  private let isJSON5: Bool
  var at = 0

  private init(bytes: UnsafeRawBufferPointer, limits: Limits) {
    self.bytes = bytes
    self.limits = limits
    isJSON5 = limits.syntax == .json5
  }

  private mutating func document<Result>(_ read: (inout JSONParser) throws(JSONError) -> Result) throws(JSONError) -> Result {
    if bytes.count >= 3, bytes[0] == 0xef, bytes[1] == 0xbb, bytes[2] == 0xbf { throw JSONError(.byteOrderMark, at: 0, length: 3) }
    try skipWhitespace()
    guard at < bytes.count else { throw JSONError(.empty, at: at) }
    let result = try read(&self)
    try skipWhitespace()
    guard at == bytes.count else { throw JSONError(.trailingBytes, at: at) }
    return result
  }

  private mutating func value(depth: Int) throws(JSONError) -> JSONValue {
    let start = at
    switch try peek() {
    case UInt8(ascii: "{"): return JSONValue(.object(try members(depth: depth + 1)), span: start..<at)
    case UInt8(ascii: "["): return JSONValue(.array(try elements(depth: depth + 1)), span: start..<at)
    case ASCII.quote: return JSONValue(.string(isJSON5 ? try string5() : try string()), span: start..<at)
    case UInt8(ascii: "t"):
      try literal("true")
      return JSONValue(.bool(true), span: start..<at)
    case UInt8(ascii: "f"):
      try literal("false")
      return JSONValue(.bool(false), span: start..<at)
    case UInt8(ascii: "n"):
      try literal("null")
      return JSONValue(.null, span: start..<at)
    case let byte where byte == UInt8(ascii: "-") || ASCII.isDigit(byte):
      return JSONValue(isJSON5 ? try number5() : try number(), span: start..<at)
    case UInt8(ascii: "'") where isJSON5: return JSONValue(.string(try string5()), span: start..<at)
    case UInt8(ascii: "+") where isJSON5, UInt8(ascii: ".") where isJSON5: return JSONValue(try number5(), span: start..<at)
    case let byte: throw JSONError(.unexpectedByte(byte), at: at)
    }
  }

  private mutating func members(depth: Int) throws(JSONError) -> [JSONValue.Member] {
    guard depth <= limits.depth else { throw JSONError(.tooDeep(limit: limits.depth), at: at) }
    at += 1
    var members: [JSONValue.Member] = []
    // Small objects compare names pairwise; larger ones keep a set, so that a hostile object stays linear.
    var seen: Set<ExactString> = []
    try skipWhitespace()
    if try peek() == UInt8(ascii: "}") {
      at += 1
      return members
    }
    while true {
      let start = at
      let name: String
      if isJSON5 {
        name = try name5()
      } else {
        guard try peek() == ASCII.quote else { throw JSONError(.unexpectedByte(bytes[at]), at: at) }
        name = try string()
      }
      let nameSpan = start..<at
      if limits.duplicateNames == .refuse {
        if members.count < 8 {
          if members.contains(where: { exactlyEquals($0.name, name) }) {
            throw JSONError(.duplicateName(name), at: start, length: nameSpan.count)
          }
        } else {
          if seen.isEmpty { for member in members { seen.insert(ExactString(member.name)) } }
          guard seen.insert(ExactString(name)).inserted else { throw JSONError(.duplicateName(name), at: start, length: nameSpan.count) }
        }
      }
      try skipWhitespace()
      guard try peek() == UInt8(ascii: ":") else { throw JSONError(.unexpectedByte(bytes[at]), at: at) }
      at += 1
      try skipWhitespace()
      if members.isEmpty { members.reserveCapacity(4) }
      members.append(JSONValue.Member(name: name, nameSpan: nameSpan, value: try value(depth: depth)))
      try skipWhitespace()
      switch try peek() {
      case UInt8(ascii: ","):
        at += 1
        try skipWhitespace()
        if isJSON5, try peek() == UInt8(ascii: "}") {
          at += 1
          return members
        }
      case UInt8(ascii: "}"):
        at += 1
        return members
      case let byte: throw JSONError(.unexpectedByte(byte), at: at)
      }
    }
  }

  private mutating func elements(depth: Int) throws(JSONError) -> [JSONValue] {
    var elements: [JSONValue] = []
    try self.elements(depth: depth) { elements.append($0) }
    return elements
  }

  private mutating func elements(depth: Int, _ body: (JSONValue) -> Void) throws(JSONError) {
    guard depth <= limits.depth else { throw JSONError(.tooDeep(limit: limits.depth), at: at) }
    at += 1
    try skipWhitespace()
    if try peek() == UInt8(ascii: "]") {
      at += 1
      return
    }
    while true {
      body(try value(depth: depth))
      try skipWhitespace()
      switch try peek() {
      case UInt8(ascii: ","):
        at += 1
        try skipWhitespace()
        if isJSON5, try peek() == UInt8(ascii: "]") {
          at += 1
          return
        }
      case UInt8(ascii: "]"):
        at += 1
        return
      case let byte: throw JSONError(.unexpectedByte(byte), at: at)
      }
    }
  }

  private mutating func string() throws(JSONError) -> String {
    at += 1
    let start = at
    // The usual string has no escape: find its end, check it once, copy it once.
    var plain = true
    var all: UInt8 = 0
    while true {
      guard at < bytes.count else { throw JSONError(.unexpectedEnd, at: bytes.count) }
      let byte = bytes[at]
      all |= byte
      if byte == ASCII.quote { break }
      if byte < 0x20 { throw JSONError(.controlCharacter(byte), at: at) }
      if byte == ASCII.backslash {
        plain = false
        break
      }
      at += 1
    }
    if plain {
      // ASCII alone is valid, and made a string at a fraction of the price.
      let text = all < 0x80 ? String(decoding: bytes[start..<at], as: UTF8.self) : try checkedString(start, at)
      at += 1
      return text
    }
    var out = Array(bytes[start..<at])
    while true {
      guard at < bytes.count else { throw JSONError(.unexpectedEnd, at: bytes.count) }
      let byte = bytes[at]
      switch byte {
      case ASCII.quote:
        guard let text = String(validating: out, as: UTF8.self) else {
          throw JSONError(.invalidUTF8, at: start, length: at - start)
        }
        at += 1
        return text
      case ASCII.backslash: try escape(into: &out)
      case 0..<0x20: throw JSONError(.controlCharacter(byte), at: at)
      default:
        out.append(byte)
        at += 1
      }
    }
  }

  private func checkedString(_ start: Int, _ end: Int) throws(JSONError) -> String {
    guard let text = String(validating: UnsafeRawBufferPointer(rebasing: bytes[start..<end]), as: UTF8.self) else {
      throw JSONError(.invalidUTF8, at: start, length: max(end - start, 1))
    }
    return text
  }

  private mutating func escape(into out: inout [UInt8]) throws(JSONError) {
    let start = at
    guard at + 1 < bytes.count else { throw JSONError(.unexpectedEnd, at: bytes.count) }
    let byte = bytes[at + 1]
    at += 2
    switch byte {
    case ASCII.quote, ASCII.backslash, UInt8(ascii: "/"): out.append(byte)
    case UInt8(ascii: "b"): out.append(0x08)
    case UInt8(ascii: "f"): out.append(0x0c)
    case UInt8(ascii: "n"): out.append(ASCII.lf)
    case UInt8(ascii: "r"): out.append(ASCII.cr)
    case UInt8(ascii: "t"): out.append(ASCII.tab)
    case UInt8(ascii: "u"): out.append(contentsOf: UTF8.encode(try unicodeEscape(from: start)).map(Array.init) ?? [])
    default: throw JSONError(.invalidEscape, at: start, length: 2)
    }
  }

  /// The scalar of `\u and four digits`, or of two for a surrogate pair; `at` is behind the first `\u`, which begins at `start`.
  mutating func unicodeEscape(from start: Int) throws(JSONError) -> Unicode.Scalar {
    let unit = try hexQuad(escapeAt: start)
    var scalar = UInt32(unit)
    if (0xd800...0xdbff).contains(unit) {
      guard at + 1 < bytes.count, bytes[at] == ASCII.backslash, bytes[at + 1] == UInt8(ascii: "u") else {
        throw JSONError(.loneSurrogate, at: start, length: at - start)
      }
      at += 2
      let low = try hexQuad(escapeAt: start)
      guard (0xdc00...0xdfff).contains(low) else { throw JSONError(.loneSurrogate, at: start, length: at - start) }
      scalar = 0x10000 + (UInt32(unit) - 0xd800) << 10 + (UInt32(low) - 0xdc00)
    }
    guard let valid = Unicode.Scalar(scalar) else { throw JSONError(.loneSurrogate, at: start, length: at - start) }
    return valid
  }

  mutating func hexQuad(escapeAt start: Int) throws(JSONError) -> UInt16 {
    guard at + 4 <= bytes.count else { throw JSONError(.unexpectedEnd, at: bytes.count) }
    var unit: UInt16 = 0
    for _ in 0..<4 {
      guard let digit = ASCII.hexValue(bytes[at]) else { throw JSONError(.invalidEscape, at: start, length: at - start + 1) }
      unit = unit << 4 | UInt16(digit)
      at += 1
    }
    return unit
  }

  private mutating func number() throws(JSONError) -> JSONValue.Kind {
    let start = at
    var isInteger = true
    if bytes[at] == UInt8(ascii: "-") { at += 1 }
    guard at < bytes.count, ASCII.isDigit(bytes[at]) else { throw JSONError(.invalidNumber, at: start, length: at - start) }
    if bytes[at] == UInt8(ascii: "0") {
      at += 1
      if at < bytes.count, ASCII.isDigit(bytes[at]) { throw JSONError(.invalidNumber, at: start, length: at - start + 1) }
    } else {
      skipDigits()
    }
    if at < bytes.count, bytes[at] == UInt8(ascii: ".") {
      isInteger = false
      at += 1
      guard at < bytes.count, ASCII.isDigit(bytes[at]) else { throw JSONError(.invalidNumber, at: start, length: at - start) }
      skipDigits()
    }
    if at < bytes.count, bytes[at] | 0x20 == UInt8(ascii: "e") {
      isInteger = false
      at += 1
      if at < bytes.count, bytes[at] == UInt8(ascii: "+") || bytes[at] == UInt8(ascii: "-") { at += 1 }
      guard at < bytes.count, ASCII.isDigit(bytes[at]) else { throw JSONError(.invalidNumber, at: start, length: at - start) }
      skipDigits()
    }
    let text = String(decoding: bytes[start..<at], as: UTF8.self)
    if isInteger, text != "-0", let value = Int64(text) { return .integer(value) }
    return .number(text)
  }

  mutating func skipDigits() {
    while at < bytes.count, ASCII.isDigit(bytes[at]) { at += 1 }
  }

  private mutating func literal(_ word: StaticString) throws(JSONError) {
    for index in 0..<word.utf8CodeUnitCount {
      guard at < bytes.count else { throw JSONError(.unexpectedEnd, at: bytes.count) }
      guard bytes[at] == word.utf8Start[index] else { throw JSONError(.unexpectedByte(bytes[at]), at: at) }
      at += 1
    }
  }

  func peek() throws(JSONError) -> UInt8 {
    guard at < bytes.count else { throw JSONError(.unexpectedEnd, at: bytes.count) }
    return bytes[at]
  }

  private mutating func skipWhitespace() throws(JSONError) {
    while at < bytes.count {
      switch bytes[at] {
      case ASCII.space, ASCII.tab, ASCII.lf, ASCII.cr: at += 1
      default:
        guard isJSON5, try skipComment() else { return }
      }
    }
  }
}

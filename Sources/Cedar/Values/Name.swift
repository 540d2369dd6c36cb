internal import Bytes

/// A namespaced name, `A::B::C`: an entity type, a namespace, a common type, an extension function (Cedar reference, "Name").
///
/// Held as the normalised text, components joined by `::` without white space; two names are equal if their bytes are.
public struct Name: Hashable, Comparable, Sendable, CustomStringConvertible {
  /// The normalised text.
  public let text: String

  /// A name from text that is known to be a normalised name, such as one the parser read.
  public init(unchecked text: String) { self.text = text }

  /// A name from components that are known to be identifiers.
  public init(unchecked components: [String]) { text = components.joined(separator: "::") }

  /// Reads a name as the JSON formats write it: identifiers joined by `::`, no white space, nothing reserved.
  public init(normalized text: String) throws(NameError) {
    try Self.check(text)
    self.text = text
  }

  /// The last component.
  public var basename: String { components.last ?? text }

  /// Everything before the last component, or nil for an unqualified name.
  public var namespace: Name? {
    let parts = components
    guard parts.count > 1 else { return nil }
    return Name(unchecked: Array(parts.dropLast()))
  }

  /// The identifiers, outermost first.
  public var components: [String] {
    var parts: [String] = []
    var part: [UInt8] = []
    for byte in text.utf8 {
      if byte == UInt8(ascii: ":") {
        // The second colon of a pair finds the part empty.
        if !part.isEmpty { parts.append(String(decoding: part, as: UTF8.self)) }
        part.removeAll(keepingCapacity: true)
      } else {
        part.append(byte)
      }
    }
    if !part.isEmpty { parts.append(String(decoding: part, as: UTF8.self)) }
    return parts
  }

  /// Whether the last component is `Action`: only such entities are actions.
  public var isAction: Bool {
    let utf8 = text.utf8
    guard utf8.count >= 6, utf8.suffix(6).elementsEqual("Action".utf8) else { return false }
    return utf8.count == 6 || utf8.dropLast(6).last == UInt8(ascii: ":")
  }

  /// The normalised text.
  public var description: String { text }

  /// Byte equality.
  public static func == (a: Name, b: Name) -> Bool { exactlyEquals(a.text, b.text) }
  /// Byte order.
  public static func < (a: Name, b: Name) -> Bool { Text.precedes(a.text, b.text) }
  /// Hashes the bytes.
  public func hash(into hasher: inout Hasher) { Text.hash(text, into: &hasher) }

  /// Words that are never identifiers in expressions (Cedar reference, "reserved identifiers").
  public static func isReserved(_ word: String) -> Bool {
    switch word {
    case "if", "then", "else", "true", "false", "in", "is", "has", "like": true
    default: false
    }
  }

  /// Whether the text is `[_a-zA-Z][_a-zA-Z0-9]*`; reserved words are.
  public static func isIdentifier(_ text: String) -> Bool {
    isIdentifier(text[...].utf8)
  }

  private static func check(_ text: String) throws(NameError) {
    var rest = text.utf8[...]
    while true {
      let part = rest.prefix { $0 != UInt8(ascii: ":") }
      guard isIdentifier(part) else { throw NameError(.notNormalized, text) }
      // The longest word that could be reserved has seven letters, and few names are so short.
      if part.count <= 7 {
        let word = String(decoding: part, as: UTF8.self)
        if isReserved(word) { throw NameError(.reservedWord, text) }
        if word == "__cedar" { throw NameError(.reservedNamespace, text) }
      }
      rest = rest[part.endIndex...]
      if rest.isEmpty { return }
      guard rest.starts(with: "::".utf8) else { throw NameError(.notNormalized, text) }
      rest = rest.dropFirst(2)
    }
  }

  private static func isIdentifier(_ text: Substring.UTF8View) -> Bool {
    guard let first = text.first, ASCII.isAlpha(first) || first == UInt8(ascii: "_") else { return false }
    return text.allSatisfy { ASCII.isAlpha($0) || ASCII.isDigit($0) || $0 == UInt8(ascii: "_") }
  }
}

/// The type of an entity is its name.
public typealias EntityType = Name

/// Why a text is no name.
public struct NameError: Error, Sendable, Equatable, CustomStringConvertible {
  /// What is wrong.
  public enum Reason: Sendable {
    /// Not identifiers joined by `::` without white space.
    case notNormalized
    /// A component such as `if` or `in`.
    case reservedWord
    /// A component `__cedar`.
    case reservedNamespace
  }

  /// What is wrong.
  public let reason: Reason
  /// The text.
  public let text: String

  init(_ reason: Reason, _ text: String) {
    self.reason = reason
    self.text = text
  }

  /// One line for a person.
  public var description: String {
    switch reason {
    case .notNormalized: "`\(text)` is not a name: write identifiers joined by `::`, without white space"
    case .reservedWord: "`\(text)` contains a reserved word"
    case .reservedNamespace: "The name `\(text)` contains `__cedar`, which is reserved"
    }
  }
}

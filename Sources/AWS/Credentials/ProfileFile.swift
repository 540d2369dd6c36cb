public import Bytes

/// `~/.aws/config` or `~/.aws/credentials`, read as botocore reads them: sections in brackets, `name = value`, and values of
/// indented pairs; `#` and `;` begin a comment at the beginning of a line only.
public struct ProfileFile: Sendable {
  /// One `name = value`.
  struct Entry: Sendable {
    var value: String
    /// Indented `name = value` lines below, as in `[services x]`.
    var nested: [String: String] = [:]
    var span: Range<Int>
  }

  /// The profiles by name.
  let profiles: [String: [String: Entry]]
  /// The `[services x]` sections by name.
  let services: [String: [String: Entry]]
  /// The text, for messages.
  public let source: SourceText

  /// Which of the two files.
  public enum Kind: Sendable {
    /// `config`: a profile's section is `[profile name]`, except `[default]`.
    case config
    /// `credentials`: a profile's section is `[name]`.
    case credentials
  }

  /// A file without content: what is not there says nothing.
  public static func absent(_ name: String) -> ProfileFile { ProfileFile(profiles: [:], services: [:], source: SourceText(name: name, "")) }

  private init(profiles: [String: [String: Entry]], services: [String: [String: Entry]], source: SourceText) {
    self.profiles = profiles
    self.services = services
    self.source = source
  }

  /// Reads a file, or says where it is wrong.
  public static func parse(_ source: SourceText, _ kind: Kind) throws(ProfileError) -> ProfileFile {
    var reader = ProfileReader(source: source, kind: kind)
    for line in 1...source.lineCount { try reader.take(source.range(ofLine: line)) }
    return ProfileFile(profiles: reader.profiles, services: reader.services, source: source)
  }
}

/// What is wrong with a profile or its file, drawn with its place.
public struct ProfileError: Error, Sendable, CustomStringConvertible {
  /// The mistake.
  public let diagnostic: Diagnostic
  /// The text with the mistake; nil if something is wrong that is in no file.
  public let source: SourceText?

  init(_ message: String, in source: SourceText? = nil, at span: Range<Int>? = nil, help: String? = nil) {
    diagnostic = Diagnostic(.error, message, at: source == nil ? nil : span, help: help)
    self.source = source
  }

  /// The mistake drawn with its place. The line itself is shown only where it can hold no secret: a section, or a setting that is
  /// known to be none.
  public var rendered: String {
    guard let source, let span = diagnostic.span else { return diagnostic.rendered(in: SourceText(name: "credentials", "")) }
    let line = source.bytes[source.range(ofLine: source.position(of: span.lowerBound).line)]
    let name = String(decoding: line.prefix { $0 != UInt8(ascii: "=") }, as: UTF8.self).lowercased().split(separator: " ").first ?? ""
    guard line.first == UInt8(ascii: "[") || Self.shown.contains(String(name)) else { return "\(description)\n" }
    return diagnostic.rendered(in: source)
  }

  private static let shown: Set<String> = [
    "role_arn", "source_profile", "credential_source", "region", "duration_seconds", "mfa_serial", "sso_session", "sso_start_url",
    "web_identity_token_file",
  ]

  /// One line for a person: place and message, never a value of the file.
  public var description: String {
    let place = source.map { source in "\(source.name)\(diagnostic.span.map { ":\(source.position(of: $0.lowerBound))" } ?? ""): " } ?? ""
    return place + diagnostic.message + (diagnostic.help.map { " (\($0))" } ?? "")
  }
}

/// Reads a profile file line by line.
private struct ProfileReader {
  let source: SourceText
  let kind: ProfileFile.Kind
  var profiles: [String: [String: ProfileFile.Entry]] = [:]
  var services: [String: [String: ProfileFile.Entry]] = [:]

  private enum Section {
    case none
    case profile(String)
    case services(String)
    case other
  }
  private var section = Section.none
  private var name: String?

  init(source: SourceText, kind: ProfileFile.Kind) {
    self.source = source
    self.kind = kind
  }

  mutating func take(_ line: Range<Int>) throws(ProfileError) {
    let isIndented = source.bytes[line].first.map { $0 == ASCII.space || $0 == ASCII.tab } ?? false
    let content = trimmed(line)
    guard let first = source.bytes[content].first, first != UInt8(ascii: "#"), first != UInt8(ascii: ";") else { return }
    if isIndented, name != nil { return try takeNested(content) }
    if first == UInt8(ascii: "[") { return try begin(content) }
    guard let equals = source.bytes[content].firstIndex(of: UInt8(ascii: "=")), equals > content.lowerBound else {
      throw mistake("expected `name = value` or `[section]`", content)
    }
    if case .none = section { throw mistake("this stands before any section", content, help: "begin with `[default]`") }
    let name = text(content.lowerBound..<equals).lowercased()
    guard entries[name] == nil else { throw mistake("`\(name)` is set twice in its section", content.lowerBound..<equals) }
    let value = text(equals + 1..<content.upperBound)
    entries[name] = ProfileFile.Entry(value: value, span: content)
    self.name = name
  }

  private var entries: [String: ProfileFile.Entry] {
    get {
      switch section {
      case .profile(let name): profiles[name] ?? [:]
      case .services(let name): services[name] ?? [:]
      case .none, .other: [:]
      }
    }
    set {
      switch section {
      case .profile(let name): profiles[name] = newValue
      case .services(let name): services[name] = newValue
      case .none, .other: break
      }
    }
  }

  private mutating func takeNested(_ content: Range<Int>) throws(ProfileError) {
    guard let name, let equals = source.bytes[content].firstIndex(of: UInt8(ascii: "=")) else {
      // A value that goes on in an indented line is one that no setting of ours has.
      return
    }
    let inner = text(content.lowerBound..<equals).lowercased()
    let value = text(equals + 1..<content.upperBound)
    entries[name]?.nested[inner] = value
  }

  private mutating func begin(_ content: Range<Int>) throws(ProfileError) {
    guard let close = source.bytes[content].firstIndex(of: UInt8(ascii: "]")) else {
      throw mistake("this section's name is not closed", content, help: "close it with `]`")
    }
    name = nil
    let title = text(content.lowerBound + 1..<close)
    let words = title.split(whereSeparator: { $0 == " " || $0 == "\t" }).map { $0.filter { $0 != "\"" && $0 != "'" } }
    switch (kind, words.count, words.first) {
    case (.credentials, 1, let profile?): section = .profile(profile)
    case (.config, 1, "default"): section = .profile("default")
    case (.config, 2, "profile"): section = .profile(words[1])
    case (.config, 2, "services"): section = .services(words[1])
    case (_, 0, _): throw mistake("this section has no name", content)
    default:
      // `[sso-session x]`, `[preview]`, `[plugins]`; and in `config` a bare name, which the AWS CLI reads as no profile either.
      section = .other
      return
    }
    let isThere: Bool
    switch section {
    case .profile(let name):
      isThere = profiles[name] != nil
      profiles[name] = [:]
    case .services(let name):
      isThere = services[name] != nil
      services[name] = [:]
    case .none, .other: isThere = false
    }
    if isThere { throw mistake("this section is there twice", content) }
  }

  private func mistake(_ message: String, _ span: Range<Int>, help: String? = nil) -> ProfileError {
    ProfileError(message, in: source, at: span, help: help)
  }

  private func trimmed(_ range: Range<Int>) -> Range<Int> {
    let isSpace: (UInt8) -> Bool = { $0 == ASCII.space || $0 == ASCII.tab }
    let start = source.bytes[range].firstIndex { !isSpace($0) } ?? range.upperBound
    let end = source.bytes[range].lastIndex { !isSpace($0) }.map { $0 + 1 } ?? start
    return start..<max(start, end)
  }

  private func text(_ range: Range<Int>) -> String { String(decoding: source.bytes[trimmed(range)], as: UTF8.self) }
}

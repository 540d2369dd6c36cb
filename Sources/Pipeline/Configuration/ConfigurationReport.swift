public import Bytes

/// Everything that is wrong with a configuration, each with its place: in the file, in a variable, or on the command line.
public struct ConfigurationReport: Sendable {
  /// The file.
  public let source: SourceText?
  /// What is odd and stops nothing.
  public var warnings: [String] = []
  /// Where the file begins: the place of what is not in it.
  var beginning: Range<Int>?
  private var diagnostics: [Diagnostic] = []
  private var others: [String] = []
  // Places that already have a problem: what follows from one is not told again.
  private var failed: [String] = []

  /// Nothing wrong yet.
  public init(source: SourceText?) { self.source = source }

  /// Whether nothing is wrong.
  public var isEmpty: Bool { diagnostics.isEmpty && others.isEmpty }

  /// Every problem as text; those of the file in its order.
  public var problems: [String] {
    guard let source else { return others + diagnostics.map { $0.message + ($0.help.map { "; \($0)" } ?? "") } }
    let drawn = diagnostics.sorted { ($0.span?.lowerBound ?? -1) < ($1.span?.lowerBound ?? -1) }.map { $0.rendered(in: source) }
    return drawn + others
  }

  /// A problem in the file.
  mutating func add(_ diagnostic: Diagnostic, under path: String) {
    diagnostics.append(diagnostic)
    failed.append(path)
  }

  /// Problems in another file that the configuration names.
  mutating func add(_ diagnostics: [Diagnostic], in source: SourceText) { others += diagnostics.map { $0.rendered(in: source) } }

  /// A value of a flag or variable that is not possible.
  mutating func add(_ text: String, _ field: Field, from origin: Setting.Origin, help: String) {
    switch origin {
    case .flag(let name): others.append("--\(name) \(text): \(help)")
    case .variable(let name): others.append("\(name)=\(text): \(help)")
    case .byDefault, .file: others.append("\(field.name) \(text): \(help)")
    }
    failed.append(field.flagPath.joined(separator: "."))
  }

  /// A problem with a value, wherever it came from; nothing if the place, or what it stands in, already has one.
  mutating func add(_ setting: Setting?, _ message: String, help: String? = nil, related: (setting: Setting, message: String)? = nil) {
    let path = setting?.path ?? ""
    guard !hasFailed(path) else { return }
    var message = message
    // What came from another file may be a secret, whatever it was meant for.
    if let setting, setting.isMasked {
      for secret in [setting.text ?? ""] + setting.texts where !secret.isEmpty {
        message = message.replacing(secret, with: Setting.masked)
      }
    }
    let text = path.isEmpty ? message : "\(path): \(message)"
    switch setting?.origin {
    case .file(let span):
      var notes: [Diagnostic.Related] = []
      if let related, case .file(let other) = related.setting.origin { notes.append(Diagnostic.Related(other, related.message)) }
      diagnostics.append(Diagnostic(.error, text, at: span, help: help, related: notes))
    case .flag(let name): others.append("--\(name): \(message)" + (help.map { "; \($0)" } ?? ""))
    case .variable(let name): others.append("\(name): \(message)" + (help.map { "; \($0)" } ?? ""))
    case .byDefault, nil:
      guard let beginning else { return others.append(text + (help.map { "; \($0)" } ?? "")) }
      diagnostics.append(Diagnostic(.error, text, at: beginning, help: help))
    }
  }

  /// Whether a place, what it stands in, or something in it already has a problem.
  func hasFailed(_ path: String) -> Bool { failed.contains { Self.isWithin($0, path) || Self.isWithin(path, $0) } }

  private static func isWithin(_ inner: String, _ outer: String) -> Bool {
    guard inner.utf8.starts(with: outer.utf8), !outer.isEmpty else { return false }
    guard let next = inner.utf8.dropFirst(outer.utf8.count).first else { return true }
    return next == UInt8(ascii: ".") || next == UInt8(ascii: "[")
  }
}

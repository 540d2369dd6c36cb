internal import Bytes

/// The readable line, for people at a terminal:
/// `09:01:20 ✓ allow 200 GET    /orders/42   demo|alice   viewers-read-orders   0.9 ms`.
///
/// Never by colour alone: a glyph and a word say it too.
public struct DecisionText: Sendable {
  /// Whether escape sequences colour the verdict.
  public var isColored: Bool
  /// Whether only ASCII may be used.
  public var isASCII: Bool
  private var timestamp = Timestamp()

  /// A style for a terminal.
  public init(isColored: Bool = false, isASCII: Bool = false) {
    self.isColored = isColored
    self.isASCII = isASCII
  }

  /// The style for a descriptor in an environment: colour on a terminal unless `NO_COLOR` is set or `TERM` is `dumb`;
  /// ASCII where the locale is not UTF-8.
  /// - Parameters:
  ///   - isTerminal: Whether the text goes to a terminal.
  ///   - environment: Looks up an environment variable.
  public init(isTerminal: Bool, environment: (String) -> String?) {
    func filled(_ name: String) -> String? { environment(name).flatMap { $0.isEmpty ? nil : $0 } }
    let forced = filled("FORCE_COLOR").map { $0 != "0" } ?? false
    let wanted = isTerminal && filled("TERM") != "dumb"
    let locale = filled("LC_ALL") ?? filled("LC_CTYPE") ?? filled("LANG") ?? ""
    let folded = locale.utf8.map(ASCII.lowercased)
    let saysUTF8 = Self.contains("utf-8", in: folded) || Self.contains("utf8", in: folded)
    self.init(isColored: (wanted || forced) && filled("NO_COLOR") == nil, isASCII: !saysUTF8)
  }

  /// The line for a record, without its line end.
  public mutating func line(for record: DecisionRecord) -> String {
    var line = LineBuffer()
    line.write { append(record, to: &$0) }
    return String(decoding: line.bytes.dropLast(), as: UTF8.self)
  }

  /// Appends a record's line and its end.
  mutating func append(_ record: borrowing DecisionRecord, to line: inout LineCursor) {
    timestamp.appendTimeOfDay(record.timeMillis, to: &line)
    line.append(" ")
    appendVerdict(record.decision, enforced: record.enforced, to: &line)
    line.append(" ")
    if record.status == 0 { line.append(" - ") } else { line.append(integer: record.status) }
    line.append(" ")
    column(record.http.method ?? "-", width: Widths.method, limit: DecisionLine.Limits.method, to: &line)
    column(record.http.path ?? "-", width: Widths.path, limit: Widths.pathLimit, to: &line)
    column(Self.shortPrincipal(record.principal), width: Widths.principal, limit: Widths.principalLimit, to: &line)
    column(Self.why(record), width: Widths.why, limit: DecisionLine.Limits.name, to: &line)
    if let micros = record.totalMicros {
      line.append(integer: micros / 1000)
      line.append(".")
      line.append(integer: micros / 100 % 10)
      line.append(" ms")
    }
    if let would = record.would {
      line.append(would.decision == .allow ? "  would-allow " : "  would-deny ")
      line.append(
        escaping: would.policies.isEmpty ? would.reason.rawValue : would.policies.joined(separator: ","), limit: DecisionLine.Limits.name,
        as: .text)
    }
    if record.decision != .allow {
      line.append("  ")
      line.append(id: record.id)
    }
    line.append("\n")
  }

  private func appendVerdict(_ decision: Decision, enforced: Bool, to line: inout LineCursor) {
    if isColored { line.append(decision == .allow ? "\u{1b}[32m" : decision == .deny ? "\u{1b}[31m" : "\u{1b}[33m") }
    switch decision {
    case .allow: line.append(isASCII ? "+ allow" : "✓ allow")
    case .deny: line.append(isASCII ? "x deny " : "✗ deny ")
    case .error: line.append(isASCII ? "! error" : "! error")
    }
    if isColored { line.append("\u{1b}[0m") }
    if !enforced && decision != .allow { line.append(" (observed)") }
  }

  private func column(_ text: String, width: Int, limit: Int, to line: inout LineCursor) {
    let start = line.position
    let isCut = text.utf8.count > limit
    if isASCII {
      // What is not ASCII is shown as `?`, a byte each: the terminal could not show it either.
      let plain = String(decoding: text.utf8.prefix(limit).map { $0 < 0x80 ? $0 : UInt8(ascii: "?") }, as: UTF8.self)
      line.append(escaping: plain, limit: limit, as: .text)
      if isCut { line.append("...") }
    } else {
      line.append(escaping: text, limit: limit, as: .text)
    }
    let shown = line.characters(since: start)
    for _ in 0..<max(width - shown, 0) { line.append(ASCII.space) }
    line.append(ASCII.space)
  }

  /// `User::"demo|alice"` as `demo|alice`: the type is nearly always the same.
  private static func shortPrincipal(_ principal: String?) -> String {
    guard let principal else { return "-" }
    guard let quote = principal.utf8.firstIndex(of: ASCII.quote), principal.utf8.last == ASCII.quote else { return principal }
    let inner = principal.utf8[principal.utf8.index(after: quote)...].dropLast()
    return String(inner) ?? principal
  }

  private static func why(_ record: borrowing DecisionRecord) -> String {
    switch record.reason {
    case .policyPermit, .policyForbid: record.policies.isEmpty ? record.reason.rawValue : record.policies.joined(separator: ",")
    default: record.reason.rawValue
    }
  }

  private static func contains(_ needle: String, in text: [UInt8]) -> Bool {
    let wanted = Array(needle.utf8)
    guard text.count >= wanted.count else { return false }
    return (0...(text.count - wanted.count)).contains { text[$0..<($0 + wanted.count)].elementsEqual(wanted) }
  }

  private enum Widths {
    static let method = 6
    static let path = 20
    static let principal = 14
    static let why = 24
    // A terminal is not a file: a longer path or name is cut.
    static let pathLimit = 120
    static let principalLimit = 64
  }
}

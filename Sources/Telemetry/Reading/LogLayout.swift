internal import Bytes

/// Decisions as rows of a table that fits a terminal.
public struct LogLayout: Sendable {
  private let style: TextStyle
  private var date = ""
  private let path: Int
  private let principal: Int
  private let why: Int

  /// A layout.
  public init(_ style: TextStyle) {
    self.style = style
    // What the terminal has beside the columns of fixed width.
    let rest = max((style.width ?? Self.usualWidth) - Self.fixedColumns, 24)
    principal = rest * 26 / 100
    why = rest * 37 / 100
    path = rest - principal - why
  }

  /// The rows for one decision: its own, after one for the day if that is another than before.
  public mutating func rows(for line: LogLine) -> String {
    let time = line.text(.time) ?? ""
    let day = String(time.prefix(10))
    var out = ""
    if day != date {
      date = day
      let rule = String(repeating: style.mark(.rule), count: 2)
      out += style.toned("\(rule) \(style.fitted(day, 10)) UTC \(rule)", .faint) + "\n"
    }
    let columns = [
      style.cell(String(time.dropFirst(11).prefix(8)), 8), Self.verdict(line, style), style.cell(status(line), 3),
      style.cell(line.text(.method) ?? "-", 6), style.cell(line.text(.path) ?? "-", path),
      style.cell(line.text(.principal).map(LogText.id) ?? "-", principal, keepsEnd: true), style.cell(Self.why(line), why),
      style.toned(style.fitted(LogText.shortID(line.text(.id) ?? ""), 8), .faint),
    ]
    return out + columns.joined(separator: " ") + "\n"
  }

  private func status(_ line: LogLine) -> String {
    let status = line.text(.status) ?? "-"
    return status == "0" ? " - " : status
  }

  /// `✓ allow`, `✗ deny`, `! error`; in parentheses what was only observed.
  static func verdict(_ line: LogLine, _ style: TextStyle) -> String {
    let decision = line.text(.decision) ?? ""
    let isObserved = line.raw(.enforced)?.elementsEqual("false".utf8) ?? false
    switch decision {
    case "allow": return style.toned("\(style.mark(.yes)) allow ", .good)
    case "deny": return style.toned("\(style.mark(.no)) " + (isObserved ? "(deny)" : "deny  "), isObserved ? .odd : .bad)
    default: return style.toned(isObserved ? "! (err.)" : "! error ", .odd)
    }
  }

  /// The policies that decided, or the reason where none did.
  static func why(_ line: LogLine) -> String {
    if let cause = line.text(.differenceCause), let engine = line.text(.differenceEngine) {
      let decision = line.text(.differenceDecision) ?? ""
      return "\(decision) by \(engine)" + (cause == "on_policy_error" ? ", by on_policy_error alone" : "")
    }
    let reason = line.text(.reason) ?? ""
    guard reason == "policy_permit" || reason == "policy_forbid", let policies = line.text(.policies), !policies.isEmpty else {
      return reason
    }
    return policies
  }

  private static let usualWidth = 80
  // Time, verdict, status, method, short id, and the seven spaces between eight columns.
  private static let fixedColumns = 8 + 8 + 3 + 6 + 8 + 7
}

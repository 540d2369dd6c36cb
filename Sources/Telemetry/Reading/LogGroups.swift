internal import Bytes
internal import JSON

/// Decisions counted by what they have in common.
public struct LogGroups: Sendable {
  private let fields: [LogField]
  private var places: [[UInt8]: Int] = [:]
  private var groups: [Group] = []
  // Decisions beyond the number of groups that are kept.
  private var uncounted = 0
  private var key: [UInt8] = []

  private struct Group {
    let values: [String]
    var count: Int
    var last: String
    var example: String
  }

  /// Groups by some fields.
  public init(by fields: [LogField]) { self.fields = fields }

  /// How many decisions were counted.
  public var total: Int { groups.reduce(uncounted) { $0 + $1.count } }

  /// Counts one decision.
  public mutating func add(_ line: LogLine) {
    key.removeAll(keepingCapacity: true)
    for field in fields {
      if let raw = line.raw(field) { key.append(contentsOf: raw) }
      key.append(0)
    }
    let time = line.text(.time) ?? ""
    if let place = places[key] {
      groups[place].count += 1
      guard !time.utf8.lexicographicallyPrecedes(groups[place].last.utf8) else { return }
      groups[place].last = time
      groups[place].example = line.text(.id) ?? ""
      return
    }
    guard groups.count < Self.mostGroups else { return uncounted += 1 }
    places[key] = groups.count
    groups.append(
      Group(
        values: fields.map { line.text($0).flatMap { $0.isEmpty ? nil : $0 } ?? "-" }, count: 1, last: time, example: line.text(.id) ?? ""))
  }

  private var sorted: [Group] {
    groups.sorted { a, b in
      if a.count != b.count { return a.count > b.count }
      for (x, y) in zip(a.values, b.values) where !exactlyEquals(x, y) { return x.utf8.lexicographicallyPrecedes(y.utf8) }
      return false
    }
  }

  /// The largest groups as a table, and below it how many decisions and groups there are.
  public func table(top: Int, _ style: TextStyle) -> String {
    let shown = sorted.prefix(top)
    let counts = shown.map { LogText.counted($0.count) }
    let countWidth = max(5, counts.map(\.utf8.count).max() ?? 0)
    // What is left for the fields, beside the count, `last` and an example.
    let room = (style.width ?? Int.max) - countWidth - 2 * (fields.count + 2) - 8 - 8
    let widths = Self.shared(
      room,
      among: fields.indices.map { index in
        ([fields[index].name] + shown.map { $0.values[index] }).map { DisplayWidth.columns(style.fitted($0, nil)) }.max() ?? 0
      })
    var out = ""
    func row(_ count: String, _ values: [String], _ last: String, _ example: String) -> String {
      ([style.cell(count, countWidth, alignsRight: true)] + zip(values, widths).map { style.cell($0, $1) } + [style.cell(last, 8), example])
        .joined(separator: "  ") + "\n"
    }
    if !shown.isEmpty { out += style.toned(String(row("count", fields.map(\.name), "last", "example").dropLast()), .faint) + "\n" }
    for (group, count) in zip(shown, counts) {
      out += row(count, group.values, String(group.last.dropFirst(11).prefix(8)), style.fitted(LogText.shortID(group.example), 8))
    }
    let rest = groups.count - shown.count
    if rest > 0 { out += "... and \(LogText.counted(rest)) more \(rest == 1 ? "group" : "groups")\n" }
    if uncounted > 0 { out += "... and \(LogText.counted(uncounted)) decisions in more groups than are counted\n" }
    let (count, number) = (LogText.counted(total), LogText.counted(groups.count))
    return out + "\(count) \(total == 1 ? "decision" : "decisions") in \(number) \(groups.count == 1 ? "group" : "groups")\n"
  }

  /// The largest groups, a JSON object a line.
  public func json(top: Int) -> String {
    var writer = JSONWriter()
    for group in sorted.prefix(top) {
      writer.beginObject()
      writer.name("count")
      writer.integer(group.count)
      for (field, value) in zip(fields, group.values) {
        writer.name(field.name)
        writer.string(value)
      }
      writer.name("last")
      writer.string(group.last)
      writer.name("example")
      writer.string(group.example)
      writer.endObject()
      writer.endLine()
    }
    return writer.text
  }

  // The widest columns give way until all fit.
  private static func shared(_ room: Int, among wanted: [Int]) -> [Int] {
    var widths = wanted
    while widths.reduce(0, +) > room, let widest = widths.max(), widest > 8, let index = widths.firstIndex(of: widest) {
      widths[index] -= 1
    }
    return widths
  }

  private static let mostGroups = 100_000
}

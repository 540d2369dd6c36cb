internal import Bytes
internal import CSystem
internal import Glibc
internal import JSON

/// Which decisions are wanted: every condition must hold.
public struct LogFilter: Sendable {
  /// One condition.
  public enum Condition: Sendable {
    /// A field is one of these texts.
    case isOne(LogField, of: [String])
    /// A field matches one of these patterns, in which `*` stands for anything.
    case matches(LogField, [String])
    /// The principal is one of these: the whole of it, its id, or its id behind the issuer's prefix.
    case principal([String])
    /// One of these policies is among those that determined the decision.
    case policy([String])
    /// It took at least so many microseconds.
    case slow(micros: Int)
    /// It was refused, or could not be decided, and passed all the same; or policies in the shadow would refuse it.
    case wouldDeny
    /// It was decided at or after a time, written as the log writes times.
    case since(String)
    /// It was decided before a time.
    case until(String)
  }

  /// Which lines are looked at.
  public enum Kind: Sendable {
    /// Decisions.
    case decisions
    /// Differences between engines, each beside a decision.
    case differences

    var type: StaticString { self == .decisions ? #""decision""# : #""difference""# }
  }

  private let conditions: [Condition]
  let kind: Kind
  /// The fields that the conditions look at.
  let fields: LogFieldSet
  /// Bytes that every wanted line has, so that most lines need no second look; nil if there are none such.
  let needle: [UInt8]?

  /// A filter.
  public init(_ conditions: [Condition] = [], of kind: Kind = .decisions) {
    self.conditions = conditions
    self.kind = kind
    var fields = LogFieldSet()
    for condition in conditions { for field in condition.fields { fields.insert(field) } }
    self.fields = fields
    // There are few differences: whatever else is asked for, their type finds them fastest.
    needle = kind == .differences ? Array("\"difference\"".utf8) : conditions.compactMap(\.needle).max { $0.count < $1.count }
  }

  /// Whether a text matches a pattern in which `*` stands for anything.
  public static func matches(_ text: String, _ pattern: String) -> Bool { Condition.matches(Array(text.utf8), Array(pattern.utf8)) }

  /// Whether a scanned line is wanted.
  func accepts(_ line: LogLine) -> Bool { conditions.allSatisfy { $0.holds(for: line) } }
}

extension LogFilter.Condition {
  var fields: [LogField] {
    switch self {
    case .isOne(let field, of: _), .matches(let field, _): [field]
    case .principal: [.principal]
    case .policy: [.policies]
    case .slow: [.totalMicros]
    case .wouldDeny: [.enforced, .decision, .wouldDecision]
    case .since, .until: [.time]
    }
  }

  /// Bytes of a value that no writer of JSON has a reason to write differently: nothing is assumed about the spaces and the order
  /// of a line that another program passed on.
  var needle: [UInt8]? {
    switch self {
    case .isOne(_, of: let texts): texts.count == 1 ? texts.first.flatMap { Self.plain($0, quoted: true) } : nil
    case .principal(let names): names.count == 1 ? names.first.flatMap { Self.plain($0, quoted: false) } : nil
    case .policy(let names): names.count == 1 ? names.first.flatMap { Self.plain($0, quoted: true) } : nil
    case .matches(_, let patterns):
      patterns.count == 1
        ? patterns.first?.utf8.split(separator: UInt8(ascii: "*")).compactMap {
          Self.plain(String(decoding: $0, as: UTF8.self), quoted: false)
        }
        .max { $0.count < $1.count } : nil
    case .slow, .wouldDeny, .since, .until: nil
    }
  }

  private static func plain(_ text: String, quoted: Bool) -> [UInt8]? {
    // A slash may be escaped, and whatever is not ASCII; a number has no quotes.
    guard text.utf8.count > 1, Int(text) == nil,
      text.utf8.allSatisfy({ $0 > 0x1f && $0 < 0x7f && $0 != ASCII.quote && $0 != ASCII.backslash && $0 != UInt8(ascii: "/") })
    else { return nil }
    return quoted ? [ASCII.quote] + Array(text.utf8) + [ASCII.quote] : Array(text.utf8)
  }

  func holds(for line: LogLine) -> Bool {
    switch self {
    case .isOne(let field, of: let texts):
      guard let text = line.text(field) else { return false }
      return texts.contains { exactlyEquals($0, text) }
    case .matches(let field, let patterns):
      guard let text = line.text(field) else { return false }
      return patterns.contains { Self.matches(Array(text.utf8), Array($0.utf8)) }
    case .principal(let names):
      guard let text = line.text(.principal) else { return false }
      let id = LogText.id(of: text)
      let subject = id.utf8.lastIndex(of: UInt8(ascii: "|")).map { String(id[id.utf8.index(after: $0)...]) } ?? id
      return names.contains { exactlyEquals($0, text) || exactlyEquals($0, id) || exactlyEquals($0, subject) }
    case .policy(let names):
      guard let raw = line.raw(.policies) else { return false }
      let json: JSONValue
      do throws(JSONError) { json = try JSONParser.parse(raw) } catch { return false }
      return (json.array ?? []).contains { element in names.contains { exactlyEquals($0, element.string ?? "") } }
    case .slow(let micros): return line.integer(.totalMicros).map { $0 >= micros } ?? false
    case .wouldDeny:
      guard let enforced = line.raw(.enforced), let decision = line.raw(.decision) else { return false }
      if enforced.elementsEqual("false".utf8), !decision.elementsEqual(#""allow""#.utf8) { return true }
      // Or the policies in the shadow would refuse it.
      guard decision.elementsEqual(#""allow""#.utf8), let would = line.raw(.wouldDecision) else { return false }
      return !would.elementsEqual(#""allow""#.utf8)
    case .since(let time): return line.escaped(.time).map { Self.order($0, time) >= 0 } ?? false
    case .until(let time): return line.escaped(.time).map { Self.order($0, time) < 0 } ?? false
    }
  }

  // Times of one form and length sort as their bytes do.
  private static func order(_ time: UnsafeRawBufferPointer, _ other: String) -> Int {
    for (a, b) in zip(time, other.utf8) where a != b { return a < b ? -1 : 1 }
    return time.count - other.utf8.count
  }

  /// Whether a text matches a pattern with `*`, in linear steps per star.
  static func matches(_ text: [UInt8], _ pattern: [UInt8]) -> Bool {
    var (at, place) = (0, 0)
    var star: (place: Int, at: Int)?
    while at < text.count {
      if place < pattern.count, pattern[place] == UInt8(ascii: "*") {
        star = (place, at)
        place += 1
      } else if place < pattern.count, pattern[place] == text[at] {
        place += 1
        at += 1
      } else if let last = star {
        star = (last.place, last.at + 1)
        place = last.place + 1
        at = last.at + 1
      } else {
        return false
      }
    }
    return pattern[place...].allSatisfy { $0 == UInt8(ascii: "*") }
  }
}

/// Finds the wanted lines in pieces of a log as they are read.
public struct LogSearch {
  private let filter: LogFilter
  private var line = LogLine()
  private let needle: [UInt8]?
  /// How many wanted lines were found.
  public private(set) var matches = 0
  /// How many lines were no decisions at all, among those that were looked at.
  public private(set) var strangers = 0

  /// The format of the first line, if that is one of the others, which are not read here.
  public private(set) var foreignFormat: String?
  private var hasBegun = false

  /// A search.
  public init(_ filter: LogFilter) {
    self.filter = filter
    needle = filter.needle
  }

  /// Looks through the whole lines of a piece.
  ///
  /// - Parameters:
  ///   - isLast: whether nothing follows, so that a line without an end counts too.
  ///   - body: is given every wanted line, scanned for all its fields; returns whether to go on.
  /// - Returns: how many bytes are done with; the rest is the beginning of a line, to be given again with what follows it.
  public mutating func search(_ piece: UnsafeRawBufferPointer, isLast: Bool, _ body: (LogLine) -> Bool) -> Int {
    guard let base = piece.baseAddress else { return 0 }
    if !hasBegun {
      hasBegun = true
      foreignFormat = Self.formats.first { piece.starts(with: $0.beginning.utf8) }?.name
    }
    var limit = piece.count
    if !isLast {
      while limit > 0, piece[limit - 1] != ASCII.lf { limit -= 1 }
    }
    var at = 0
    while at < limit {
      var start = at
      if let needle {
        let hit = needle.withUnsafeBytes { csystem_find(base + at, limit - at, $0.baseAddress, $0.count) }
        guard let hit else { return limit }
        start = hit - base
        while start > at, piece[start - 1] != ASCII.lf { start -= 1 }
      }
      let end = memchr(base + start, Int32(ASCII.lf), limit - start).map { UnsafeRawPointer($0) - base } ?? limit
      at = end + 1
      guard end > start else { continue }
      guard look(at: UnsafeRawBufferPointer(rebasing: piece[start..<end]), body) else { return min(at, limit) }
    }
    return limit
  }

  // How lines of the other formats begin; emf is the native line with more before it, and is read.
  private static let formats = [
    (name: "ecs", beginning: #"{"@timestamp""#), (name: "ocsf", beginning: #"{"category_uid""#),
    (name: "otlp", beginning: #"{"resourceLogs""#),
  ]

  private mutating func look(at bytes: UnsafeRawBufferPointer, _ body: (LogLine) -> Bool) -> Bool {
    guard line.scan(bytes, for: filter.fields, type: filter.kind.type) else {
      strangers += 1
      return true
    }
    guard filter.accepts(line), line.scan(bytes, for: .all, type: filter.kind.type) else { return true }
    matches += 1
    return body(line)
  }
}

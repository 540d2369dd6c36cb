internal import Bytes
internal import Glibc

/// What the process says about itself, on standard error: an event, which is a constant noun, and fields.
///
/// One message is one `write`, so lines of several threads do not mix. A descriptor that fails or is full is ignored:
/// there is nobody left to tell.
public struct ServerLog: Sendable {
  /// How much an operator must care.
  public enum Level: Int, Sendable, CaseIterable, Comparable {
    /// An operator must act.
    case error
    /// Degraded, but deciding.
    case warn
    /// Lifecycle.
    case info
    /// Why not, for debugging.
    case debug

    /// Whether one level is more severe than another.
    public static func < (a: Level, b: Level) -> Bool { a.rawValue < b.rawValue }

    /// The level called `error`, `warn`, `info` or `debug`.
    public init?(name: String) {
      guard let level = Self.allCases.first(where: { exactlyEquals($0.name, name) }) else { return nil }
      self = level
    }

    /// The level's name.
    public var name: String { String(describing: self) }
  }

  /// How a line looks.
  public enum Format: Sendable {
    /// `2026-11-23T09:01:31.412Z info  listen address=127.0.0.1:8080`.
    case text
    /// `{"time":"…","level":"info","event":"listen","address":"127.0.0.1:8080"}`.
    case json
  }

  /// A field's value.
  public enum Value: Sendable, ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral,
    ExpressibleByStringInterpolation
  {
    /// Text, which may be anything.
    case text(String)
    /// A whole number.
    case integer(Int)
    /// Yes or no.
    case flag(Bool)

    /// A literal text.
    public init(stringLiteral value: String) { self = .text(value) }
    /// A literal number.
    public init(integerLiteral value: Int) { self = .integer(value) }
    /// A literal flag.
    public init(booleanLiteral value: Bool) { self = .flag(value) }
  }

  private let threshold: Level
  private let format: Format
  private let descriptor: Int32

  /// A log.
  /// - Parameters:
  ///   - level: The least severe level that is written.
  ///   - format: How lines look.
  ///   - descriptor: Where they go.
  public init(level: Level = .info, format: Format = .text, descriptor: Int32 = 2) {
    self.threshold = level
    self.format = format
    self.descriptor = descriptor
  }

  /// Whether messages of a level are written; lets a caller skip gathering costly fields.
  public func writes(_ level: Level) -> Bool { level <= threshold }

  /// An operator must act.
  public func error(_ event: StaticString, _ fields: KeyValuePairs<StaticString, Value> = [:]) { write(.error, event, fields) }
  /// We are degraded, but deciding.
  public func warn(_ event: StaticString, _ fields: KeyValuePairs<StaticString, Value> = [:]) { write(.warn, event, fields) }
  /// Lifecycle.
  public func info(_ event: StaticString, _ fields: KeyValuePairs<StaticString, Value> = [:]) { write(.info, event, fields) }
  /// Why not.
  public func debug(_ event: StaticString, _ fields: KeyValuePairs<StaticString, Value> = [:]) { write(.debug, event, fields) }

  private func write(_ level: Level, _ event: StaticString, _ fields: KeyValuePairs<StaticString, Value>) {
    guard writes(level) else { return }
    let line = Self.line(level, event, fields, format: format, timeMillis: WallClock.millis())
    // A reader that has stopped reading must not stop a worker: with no room the message is lost.
    var room = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
    guard poll(&room, 1, 0) != 0 else { return }
    // Best effort by design, but a signal must not cost a message and a short write must not cut one.
    var written = 0
    while written < line.count {
      let count = line.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress?.advanced(by: written), $0.count - written) }
      if count > 0 { written += count } else if count == 0 || errno != EINTR { return }
    }
  }

  static func line(
    _ level: Level, _ event: StaticString, _ fields: KeyValuePairs<StaticString, Value>, format: Format, timeMillis: UInt64
  ) -> [UInt8] {
    var line = LineBuffer()
    line.write { append(level, event, fields, format: format, timeMillis: timeMillis, to: &$0) }
    return line.bytes
  }

  private static func append(
    _ level: Level, _ event: StaticString, _ fields: KeyValuePairs<StaticString, Value>, format: Format, timeMillis: UInt64,
    to line: inout LineCursor
  ) {
    var timestamp = Timestamp()
    switch format {
    case .text:
      timestamp.append(timeMillis, to: &line)
      line.append(ASCII.space)
      line.append(Array(level.name.utf8))
      line.append(level == .warn || level == .info ? "  " : " ")
      line.append(event)
      for (name, value) in fields {
        line.append(ASCII.space)
        line.append(name)
        line.append("=")
        append(value, quoting: needsQuotes, as: .text, to: &line)
      }
    case .json:
      line.append(#"{"time":""#)
      timestamp.append(timeMillis, to: &line)
      line.append(#"","level":""#)
      line.append(Array(level.name.utf8))
      line.append(#"","event":""#)
      line.append(event)
      line.append(ASCII.quote)
      for (name, value) in fields {
        line.append(",\"")
        line.append(name)
        line.append("\":")
        append(value, quoting: { _ in true }, as: .json, to: &line)
      }
      line.append("}")
    }
    line.append(ASCII.lf)
  }

  private static func append(_ value: Value, quoting: (String) -> Bool, as style: LineCursor.Escape, to line: inout LineCursor) {
    switch value {
    case .integer(let number): line.append(integer: number)
    case .flag(let flag): line.append(flag ? "true" : "false")
    case .text(let text):
      let isQuoted = quoting(text)
      if isQuoted { line.append(ASCII.quote) }
      // Inside quotes, quotes are escaped in both formats, so that a value cannot pretend to be another field.
      line.append(escaping: text, limit: longestValue, as: isQuoted ? .json : style)
      if isQuoted { line.append(ASCII.quote) }
    }
  }

  private static func needsQuotes(_ text: String) -> Bool {
    text.isEmpty || text.utf8.contains { $0 == ASCII.space || $0 == ASCII.quote || $0 == UInt8(ascii: "=") || $0 == ASCII.backslash }
  }

  private static let longestValue = 4096
}

/// The wall clock, for stamps of lines that no worker's turn gave a time.
enum WallClock {
  static func millis() -> UInt64 {
    var now = timespec()
    clock_gettime(CLOCK_REALTIME, &now)
    return UInt64(max(now.tv_sec, 0)) * 1000 + UInt64(now.tv_nsec / 1_000_000)
  }

  static func nanos() -> UInt64 {
    var now = timespec()
    clock_gettime(CLOCK_REALTIME, &now)
    return UInt64(max(now.tv_sec, 0)) &* 1_000_000_000 &+ UInt64(now.tv_nsec)
  }
}

internal import Glibc

/// Where decision lines go.
public enum DecisionLogDestination: Sendable, Equatable {
  /// Standard output.
  case standardOutput
  /// A file, appended to, made with mode 0640 where it is missing.
  case file(path: String)
  /// A descriptor that the caller keeps open.
  case descriptor(Int32)
  /// Nowhere.
  case none
}

/// A failed system call, by its name and `errno`.
public struct SystemCallError: Error, Sendable, CustomStringConvertible {
  /// What was called, and on what.
  public let call: String
  /// The error number.
  public let code: Int32

  /// `open decisions.log: Permission denied`.
  public var description: String {
    // strerror answers with constants for every number that Linux knows; only unknown numbers share a buffer.
    guard code >= 0 && code < 134, let text = strerror(code) else { return "\(call): error \(code)" }
    return "\(call): \(String(cString: text))"
  }
}

/// The writer thread's end of a log: one descriptor, whole lines.
struct LogSink {
  private let destination: DecisionLogDestination
  private var descriptor: Int32
  // Set while the last write ended inside a line, so that the next begins on a fresh one.
  private var isMidLine = false

  init(opening destination: DecisionLogDestination) throws(SystemCallError) {
    self.destination = destination
    self.descriptor = try Self.open(destination)
  }

  /// Opens a file anew under its name, as log rotation wants; the old one stays if that fails.
  mutating func reopen() throws(SystemCallError) {
    guard case .file = destination else { return }
    let next = try Self.open(destination)
    if descriptor >= 0 { Glibc.close(descriptor) }
    descriptor = next
    isMidLine = false
  }

  mutating func close() {
    if case .file = destination, descriptor >= 0 { Glibc.close(descriptor) }
    descriptor = -1
  }

  /// Writes the bytes from `offset` to `end`, which are whole lines.
  /// - Returns: nil when all were written, else the error and how far it got.
  mutating func write(_ lines: [UInt8], from offset: Int, to end: Int) -> (failure: SystemCallError, reached: Int)? {
    guard destination != .none else { return nil }
    if isMidLine && offset == 0 {
      guard let failure = writeAll([0x0a], from: 0, to: 1) else {
        isMidLine = false
        return write(lines, from: offset, to: end)
      }
      return (failure.failure, 0)
    }
    return writeAll(lines, from: offset, to: end)
  }

  private mutating func writeAll(_ bytes: [UInt8], from offset: Int, to end: Int) -> (failure: SystemCallError, reached: Int)? {
    var written = offset
    while written < end {
      let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress?.advanced(by: written), end - written) }
      if count > 0 {
        written += count
        isMidLine = bytes[written - 1] != 0x0a
        continue
      }
      let code = errno
      switch code {
      case EINTR: continue
      case EAGAIN:
        // Somebody made our standard output non-blocking: wait for room as a blocking write would.
        var poll = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        _ = Glibc.poll(&poll, 1, Self.pollMillis)
      default: return (SystemCallError(call: "write \(Self.name(of: destination))", code: count == 0 ? EIO : code), written)
      }
    }
    return nil
  }

  private static func open(_ destination: DecisionLogDestination) throws(SystemCallError) -> Int32 {
    switch destination {
    case .none: return -1
    case .standardOutput: return STDOUT_FILENO
    case .descriptor(let descriptor): return descriptor
    case .file(let path):
      while true {
        let descriptor = Glibc.open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0o640)
        if descriptor >= 0 { return descriptor }
        if errno != EINTR { throw SystemCallError(call: "open \(path)", code: errno) }
      }
    }
  }

  private static func name(of destination: DecisionLogDestination) -> String {
    switch destination {
    case .standardOutput: "standard output"
    case .file(let path): path
    case .descriptor(let descriptor): "descriptor \(descriptor)"
    case .none: "nowhere"
    }
  }

  private static let pollMillis: Int32 = 1000
}

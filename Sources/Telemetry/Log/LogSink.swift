internal import Glibc

/// Where decision lines go.
public enum DecisionLogDestination: Sendable, Equatable {
  /// Standard output.
  case standardOutput
  /// A file, appended to, made with mode 0640 where it is missing, and begun anew as `rotation` says.
  case file(path: String, rotation: LogRotation? = nil)
  /// A unix stream socket that somebody listens on; connected to again when that fails.
  case socket(path: String)
  /// A collector that a loop sends to.
  case collector(LogExport)
  /// A descriptor that the caller keeps open.
  case descriptor(Int32)
  /// Nowhere.
  case none

  /// What it is called in metrics.
  var name: String {
    switch self {
    case .standardOutput: "stdout"
    case .file: "file"
    case .socket: "unix"
    case .collector: "otlp"
    case .descriptor: "descriptor"
    case .none: "none"
    }
  }
}

/// When a file is begun anew, and how many old ones are kept: `decisions.log.1` is the youngest of them.
public struct LogRotation: Sendable, Equatable {
  /// The largest size in bytes; a line that is longer alone still stands whole in a file of its own.
  public var maximumBytes: Int
  /// How many old files are kept.
  public var keep: Int

  /// A rotation.
  public init(maximumBytes: Int, keep: Int) {
    self.maximumBytes = max(maximumBytes, 1)
    self.keep = max(keep, 0)
  }
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

/// The writer thread's end of a log: whole lines to one place.
struct LogSink {
  private enum Place {
    case nowhere
    case plain(descriptor: Int32, name: String)
    case file(LogFile)
    case socket(LogSocket)
  }

  private var place: Place
  // Set while the last write ended inside a line, so that the next begins on a fresh one.
  private var isMidLine = false

  init(opening destination: DecisionLogDestination) throws(SystemCallError) {
    place =
      switch destination {
      case .none, .collector: .nowhere
      case .standardOutput: .plain(descriptor: STDOUT_FILENO, name: "standard output")
      case .descriptor(let descriptor): .plain(descriptor: descriptor, name: "descriptor \(descriptor)")
      case .file(let path, let rotation): .file(try LogFile(path, rotation))
      case .socket(let path): .socket(LogSocket(path))
      }
  }

  /// Whether what cannot be written now is worth waiting for, whatever that costs lines that come later.
  var waitsForPeer: Bool { if case .socket = place { true } else { false } }

  /// Opens a file anew under its name, as log rotation wants; the old one stays if that fails. A socket is connected to anew.
  mutating func reopen() throws(SystemCallError) {
    switch place {
    case .nowhere, .plain: return
    case .file(var file):
      try file.reopen()
      place = .file(file)
    case .socket(var socket):
      socket.close()
      place = .socket(socket)
    }
    isMidLine = false
  }

  mutating func close() {
    switch place {
    case .nowhere, .plain: break
    case .file(let file): file.close()
    case .socket(var socket): socket.close()
    }
    place = .nowhere
  }

  /// What went wrong with a rotation since it was last asked.
  mutating func takeRotationFailure() -> SystemCallError? {
    guard case .file(var file) = place, let failure = file.rotationFailure else { return nil }
    file.rotationFailure = nil
    place = .file(file)
    return failure
  }

  /// Writes the bytes from `offset` to `end`, which are whole lines.
  /// - Returns: nil when all were written, else the error and how far it got; a socket's next peer gets a broken line from its start.
  mutating func write(_ lines: [UInt8], from offset: Int, to end: Int) -> LogDescriptor.Failure? {
    switch place {
    case .nowhere: return nil
    case .socket(var socket):
      defer { place = .socket(socket) }
      return socket.write(lines, from: offset, to: end)
    case .plain(let descriptor, let name):
      if isMidLine && offset == 0 {
        if let failure = LogDescriptor.write([0x0a], from: 0, to: 1, to: descriptor, name) { return (failure.error, 0) }
      }
      let failure = LogDescriptor.write(lines, from: offset, to: end, to: descriptor, name)
      note(lines, from: offset, reached: failure?.reached ?? end)
      return failure
    case .file(var file):
      defer { place = .file(file) }
      if isMidLine && offset == 0 {
        if let failure = file.write([0x0a], from: 0, to: 1, isMidLine: true) { return (failure.error, 0) }
        isMidLine = false
      }
      let failure = file.write(lines, from: offset, to: end, isMidLine: isMidLine)
      note(lines, from: offset, reached: failure?.reached ?? end)
      return failure
    }
  }

  private mutating func note(_ lines: [UInt8], from offset: Int, reached: Int) {
    if reached > offset { isMidLine = lines[reached - 1] != 0x0a } else if offset == 0 { isMidLine = false }
  }
}

/// Blocking writes to a descriptor.
enum LogDescriptor {
  /// What failed, and how far it got.
  typealias Failure = (error: SystemCallError, reached: Int)

  static func write(_ bytes: [UInt8], from offset: Int, to end: Int, to descriptor: Int32, _ name: String) -> Failure? {
    var written = offset
    while written < end {
      let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress?.advanced(by: written), end - written) }
      if count > 0 {
        written += count
        continue
      }
      let code = errno
      switch code {
      case EINTR: continue
      case EAGAIN:
        // Somebody made our standard output non-blocking, or a socket's peer is slow: wait for room as a blocking write would.
        var poll = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        _ = Glibc.poll(&poll, 1, pollMillis)
      default: return (SystemCallError(call: "write \(name)", code: count == 0 ? EIO : code), written)
      }
    }
    return nil
  }

  private static let pollMillis: Int32 = 1000
}

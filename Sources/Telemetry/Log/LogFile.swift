internal import Glibc

/// A log's file: appended to, begun anew when it is full, and opened anew when somebody else has moved it.
struct LogFile {
  private let path: String
  private let rotation: LogRotation?
  private var descriptor: Int32
  private var size = 0
  // A rotation that failed is not tried again for every line.
  private var nextTryMillis = 0
  /// Why the last rotation failed, until somebody asks.
  var rotationFailure: SystemCallError?

  init(_ path: String, _ rotation: LogRotation?) throws(SystemCallError) {
    self.path = path
    self.rotation = rotation
    descriptor = try Self.open(path)
    size = Self.size(of: descriptor)
  }

  mutating func reopen() throws(SystemCallError) {
    let next = try Self.open(path)
    Glibc.close(descriptor)
    descriptor = next
    size = Self.size(of: next)
    nextTryMillis = 0
  }

  func close() { Glibc.close(descriptor) }

  /// Writes whole lines; between two of them the file may be begun anew.
  mutating func write(_ lines: [UInt8], from offset: Int, to end: Int, isMidLine: Bool) -> LogDescriptor.Failure? {
    var at = offset
    var isMidLine = isMidLine
    while at < end {
      let next = isMidLine ? Self.lineEnd(lines, at, end) : piece(of: lines, at, end)
      let failure = LogDescriptor.write(lines, from: at, to: next, to: descriptor, path)
      size += (failure?.reached ?? next) - at
      if let failure { return failure }
      at = next
      isMidLine = false
    }
    return nil
  }

  // How far the file is written on; begins it anew first where nothing more fits.
  private mutating func piece(of lines: [UInt8], _ at: Int, _ end: Int) -> Int {
    guard let rotation else { return end }
    let room = rotation.maximumBytes - size
    if end - at <= room { return end }
    if let last = Self.lastLineEnd(lines, at, min(at + max(room, 0), end)) { return last }
    guard size > 0 else { return Self.lineEnd(lines, at, end) }
    guard rotate(rotation) else { return end }
    return piece(of: lines, at, end)
  }

  // The end of the first line from `at` on.
  private static func lineEnd(_ lines: [UInt8], _ at: Int, _ end: Int) -> Int {
    lines[at..<end].firstIndex(of: 0x0a).map { $0 + 1 } ?? end
  }

  // The end of the last whole line between two places; nil if there is none.
  private static func lastLineEnd(_ lines: [UInt8], _ at: Int, _ limit: Int) -> Int? {
    lines[at..<limit].lastIndex(of: 0x0a).map { $0 + 1 }
  }

  /// Begins the file anew; false, and everything as before, if that is not possible now.
  private mutating func rotate(_ rotation: LogRotation) -> Bool {
    guard MonotonicClock.millis() >= nextTryMillis else { return false }
    let fresh = path + ".next"
    do throws(SystemCallError) {
      // First what may fail for want of room or permission, so that nothing has moved then.
      let next = try Self.open(fresh, O_TRUNC)
      do throws(SystemCallError) {
        for number in stride(from: rotation.keep - 1, to: 0, by: -1) {
          try Self.move("\(path).\(number)", to: "\(path).\(number + 1)", mayBeMissing: true)
        }
        // Somebody may have moved or removed it: then there is nothing to keep under that name.
        if rotation.keep > 0 { try Self.move(path, to: "\(path).1", mayBeMissing: true) }
        try Self.move(fresh, to: path, mayBeMissing: false)
      } catch {
        Glibc.close(next)
        unlink(fresh)
        throw error
      }
      Glibc.close(descriptor)
      descriptor = next
      size = 0
      nextTryMillis = 0
      return true
    } catch {
      rotationFailure = error
      nextTryMillis = MonotonicClock.millis() + Self.retryMillis
      return false
    }
  }

  private static func move(_ from: String, to: String, mayBeMissing: Bool) throws(SystemCallError) {
    guard rename(from, to) != 0 else { return }
    let code = errno
    if mayBeMissing, code == ENOENT { return }
    throw SystemCallError(call: "rename \(from)", code: code)
  }

  private static func open(_ path: String, _ more: Int32 = 0) throws(SystemCallError) -> Int32 {
    while true {
      let descriptor = Glibc.open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | more, 0o640)
      if descriptor >= 0 { return descriptor }
      let code = errno
      if code != EINTR { throw SystemCallError(call: "open \(path)", code: code) }
    }
  }

  private static func size(of descriptor: Int32) -> Int {
    var status = stat()
    return fstat(descriptor, &status) == 0 && status.st_mode & S_IFMT == S_IFREG ? Int(status.st_size) : 0
  }

  private static let retryMillis = 10_000
}

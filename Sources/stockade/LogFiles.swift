internal import Glibc

/// Reads decision logs from files and from standard input, piece by piece, and follows a file that grows.
final class LogFiles {
  private let names: [String]
  private let follows: Bool
  private var buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 4 << 20, alignment: 64)
  // How many bytes of the buffer are the beginning of a line.
  private var kept = 0

  /// Takes a piece and says how many of its bytes are done with, or nil to end.
  typealias Reader = (_ piece: UnsafeRawBufferPointer, _ isLast: Bool) -> Int?

  /// Files by their names; `-` is standard input.
  /// - Parameter follows: Whether the last of them is read on as it grows, and under its name when it is rotated.
  init(_ names: [String], follows: Bool = false) {
    self.names = names
    self.follows = follows
  }

  deinit { buffer.deallocate() }

  /// How many bytes the files have together; nil if that is not known.
  var size: Int? {
    var total = 0
    for name in names {
      var status = stat()
      guard name != "-", stat(name, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
      total += Int(status.st_size)
    }
    return total
  }

  /// Gives every piece of every file to a reader.
  /// - Returns: What could not be read; nil if nothing failed.
  func read(_ reader: Reader) -> String? {
    for (index, name) in names.enumerated() {
      let isFollowed = follows && index == names.count - 1 && name != "-"
      var descriptor = name == "-" ? STDIN_FILENO : Self.open(name)
      guard descriptor >= 0 else { return Self.failure(name, errno) }
      defer { if descriptor != STDIN_FILENO { close(descriptor) } }
      while true {
        switch readToEnd(of: descriptor, isFollowed: isFollowed, reader) {
        case .stopped: return nil
        case .failed(let code): return Self.failure(name, code)
        case .ended: break
        }
        guard isFollowed else { break }
        switch Self.change(of: descriptor, name) {
        case .none: poll(nil, 0, Self.pauseMillis)
        case .truncated: lseek(descriptor, 0, SEEK_SET)
        case .replaced:
          let next = Self.open(name)
          guard next >= 0 else { continue }
          // What was written between our last look and the rotation.
          let end = readToEnd(of: descriptor, isFollowed: false, reader)
          close(descriptor)
          descriptor = next
          if case .stopped = end { return nil }
        }
      }
    }
    return nil
  }

  private enum End {
    case ended, stopped, failed(Int32)
  }

  private func readToEnd(of descriptor: Int32, isFollowed: Bool, _ reader: Reader) -> End {
    while true {
      if kept == buffer.count { grow() }
      let count = Glibc.read(descriptor, buffer.baseAddress?.advanced(by: kept), buffer.count - kept)
      if count < 0 {
        if errno == EINTR { continue }
        return .failed(errno)
      }
      let isLast = count == 0 && !isFollowed
      let filled = kept + count
      guard let done = reader(UnsafeRawBufferPointer(rebasing: buffer[..<filled]), isLast) else { return .stopped }
      kept = isLast ? 0 : max(0, filled - done)
      if kept > 0, done > 0, let base = buffer.baseAddress { memmove(base, base + done, kept) }
      if count == 0 { return .ended }
    }
  }

  // For a line that is longer than the buffer.
  private func grow() {
    let larger = UnsafeMutableRawBufferPointer.allocate(byteCount: buffer.count * 2, alignment: 64)
    larger.copyMemory(from: UnsafeRawBufferPointer(buffer))
    buffer.deallocate()
    buffer = larger
  }

  private static func open(_ name: String) -> Int32 { Glibc.open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY) }

  private enum Change {
    case none, truncated, replaced
  }

  private static func change(of descriptor: Int32, _ name: String) -> Change {
    var (open, named) = (stat(), stat())
    guard fstat(descriptor, &open) == 0, stat(name, &named) == 0 else { return .none }
    if open.st_ino != named.st_ino || open.st_dev != named.st_dev { return .replaced }
    return Int(open.st_size) < Int(lseek(descriptor, 0, SEEK_CUR)) ? .truncated : .none
  }

  private static func failure(_ name: String, _ code: Int32) -> String {
    "\(name == "-" ? "standard input" : name) cannot be read: \(String(cString: strerror(code)))"
  }

  private static let pauseMillis: Int32 = 200
}

internal import Glibc
internal import Net

/// Work over the lines of logs on all processors: each takes a share of every piece that is read.
enum LogWork {
  /// Gives shares of whole lines to `work`, on threads of its own, and adds up what they make of them.
  /// - Returns: What could not be read; nil if nothing failed.
  static func run<Part: Sendable>(
    _ files: LogFiles, _ what: String, empty: Part, work: @escaping @Sendable (UnsafeRawBufferPointer, inout Part) -> Void,
    add: @escaping @Sendable (inout Part, Part) -> Void
  ) -> (total: Part, problem: String?) {
    let processors = min(max(sysconf(Int32(_SC_NPROCESSORS_ONLN)), 1), 16)
    let total = Locked(empty)
    var progress = Progress(what, total: files.size)
    var failure: String?
    let problem = files.read { piece, isLast in
      var limit = piece.count
      if !isLast {
        while limit > 0, piece[limit - 1] != 0x0a { limit -= 1 }
      }
      let lines = UnsafeRawBufferPointer(rebasing: piece[..<limit])
      do throws(NetError) {
        var threads: [RunningThread] = []
        defer { for thread in threads { thread.join() } }
        for share in shares(of: lines, processors) {
          // A copy, for the piece belongs to the reader.
          let bytes = Array(lines[share])
          threads.append(
            try startThread(name: "log-work", stackBytes: 8 << 20) {
              var part = empty
              bytes.withUnsafeBytes { work($0, &part) }
              total.withLock { add(&$0, part) }
            })
        }
      } catch {
        failure = error.description
        return nil
      }
      progress.advance(by: limit)
      return limit
    }
    progress.end()
    return (total.withLock { $0 }, problem ?? failure)
  }

  // About equal shares that end with lines.
  private static func shares(of lines: UnsafeRawBufferPointer, _ count: Int) -> [Range<Int>] {
    var shares: [Range<Int>] = []
    var start = 0
    for number in 1...count where start < lines.count {
      var end = max(start, lines.count * number / count)
      while end < lines.count, end == 0 || lines[end - 1] != 0x0a { end += 1 }
      if end > start { shares.append(start..<end) }
      start = end
    }
    return shares
  }
}

internal import Glibc
internal import Net

/// How far long work has come, on a terminal; nothing where standard error is none.
struct Progress {
  private let what: String
  private let total: Int?
  private var done = 0
  private var shownAt: UInt64 = 0
  private let isShown: Bool
  private var isOnScreen = false

  /// Work on a number of bytes; nil if nobody knows how many.
  init(_ what: String, total: Int?) {
    self.what = what
    self.total = total
    isShown = isatty(STDERR_FILENO) == 1
  }

  /// Notes that so much more is done.
  mutating func advance(by count: Int) {
    done += count
    guard isShown else { return }
    let now = LoopClock.monotonicNanos()
    // What is done at once shows nothing, and what is fast does not flicker.
    guard total.map({ done < $0 }) ?? true, !isOnScreen || now &- shownAt > 250_000_000 else { return }
    shownAt = now
    isOnScreen = true
    let share = total.flatMap { $0 > 0 ? " of \(Self.size($0)), \(min(done * 100 / $0, 100)) %" : nil } ?? ""
    Terminal.error("\r\u{1b}[K\(what) \(Self.size(done))\(share)")
  }

  /// Takes the line away.
  mutating func end() {
    guard isOnScreen else { return }
    isOnScreen = false
    Terminal.error("\r\u{1b}[K")
  }

  private static func size(_ bytes: Int) -> String { bytes < 10_000_000 ? "\(bytes / 1000) kB" : "\(bytes / 1_000_000) MB" }
}

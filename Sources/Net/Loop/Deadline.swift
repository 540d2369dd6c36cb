/// A timeout that is pushed back often, as a connection's is on every request.
///
/// Setting it stores a number; the wheel is touched only when the timer that is armed would come too late. A timer that
/// comes too early arms itself again.
public final class Deadline {
  private unowned let loop: EventLoop
  private let expired: () -> Void
  private var timer: TimerID?
  private var armedFor: UInt64 = 0
  private var due: UInt64 = 0

  /// A deadline of a loop, not set. `expired` should hold its owner weakly or unowned: the owner holds the deadline.
  public init(_ loop: EventLoop, expired: @escaping () -> Void) {
    self.loop = loop
    self.expired = expired
  }

  deinit {
    if let timer { loop.cancel(timer) }
  }

  /// Whether it is set.
  public var isSet: Bool { due != 0 }

  /// Calls `expired` in `millis` milliseconds, unless it is set again or cleared before.
  public func set(_ millis: UInt64) {
    let (time, overflow) = loop.now.addingReportingOverflow(max(millis, 1))
    due = overflow ? .max : time
    if timer == nil || armedFor > due { arm() }
  }

  /// Forgets the deadline.
  public func clear() { due = 0 }

  private func arm() {
    if let timer { loop.cancel(timer) }
    armedFor = due
    timer = loop.after(due > loop.now ? due - loop.now : 1) { [weak self] in self?.fire() }
  }

  private func fire() {
    timer = nil
    guard due != 0 else { return }
    if due > loop.now { return arm() }
    due = 0
    expired()
  }
}

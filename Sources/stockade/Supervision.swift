internal import Net
internal import Proxy
internal import Telemetry

/// Keeps the supervisor of the process informed: ready, reloading, stopping, and alive for as long as all of it is.
final class Supervision {
  private let supervisor: Supervisor
  private let loop: EventLoop
  private let serverLog: ServerLog
  private var isStopping = false
  private var isAsking = false
  private var hasFailed = false

  init(_ supervisor: Supervisor, loop: EventLoop, serverLog: ServerLog) {
    self.supervisor = supervisor
    self.loop = loop
    self.serverLog = serverLog
  }

  /// Requests are accepted, or a reload is over, whatever came of it.
  func ready(_ status: String) {
    // A reload that ends while the process leaves must not call it back to life.
    guard !isStopping else { return }
    tell("READY=1", "STATUS=\(status)")
  }

  /// A reload begins. The time tells it apart from one that was asked for later (Type=notify-reload).
  func reloading() {
    guard !isStopping else { return }
    tell("RELOADING=1", "MONOTONIC_USEC=\(LoopClock.monotonicNanos() / 1000)", "STATUS=Reloading")
  }

  /// The process leaves.
  func stopping() {
    isStopping = true
    tell("STOPPING=1", "STATUS=Finishing the requests in flight")
  }

  /// Says from now on, twice in the time that the supervisor allows, that the process is alive: when every worker has answered.
  /// While one does not, nothing is said, and the supervisor does what it is there for.
  func beginWatchdog(_ gateway: Gateway) {
    guard let allowed = supervisor.watchdogMillis else { return }
    loop.after(allowed / 2) { [self] in
      beginWatchdog(gateway)
      guard !isAsking else { return }
      isAsking = true
      gateway.whenWorkersAnswer { [self] in
        isAsking = false
        tell("WATCHDOG=1")
      }
    }
  }

  private func tell(_ lines: String...) {
    do throws(NetError) { try supervisor.tell(lines) } catch {
      guard !hasFailed else { return }
      hasFailed = true
      serverLog.warn("notify_failed", ["why": .text(error.description)])
    }
  }
}

internal import Bytes
internal import CSystem
internal import Glibc

/// Whoever started this process and watches it: systemd, or what speaks as it does (sd_listen_fds(3), sd_notify(3),
/// sd_watchdog_enabled(3)). Of a process that nobody watches it hands over nothing and hears nothing.
public final class Supervisor {
  /// The sockets that it handed over.
  public let sockets: [Systemd.InheritedSocket]
  /// How long it may hear no `WATCHDOG=1` before it ends the process, in milliseconds; nil if it does not mind.
  public let watchdogMillis: UInt64?

  private let notifySocket: String?
  private var areSocketsOpen = true

  /// What the environment says. The variables are removed, so that no child believes they are meant for it; therefore once, and
  /// before other threads start.
  public static func fromEnvironment() -> Supervisor {
    var variables: [String: String] = [:]
    for name in variableNames {
      if let value = getenv(name) { variables[name] = String(cString: value) }
      unsetenv(name)
    }
    return Supervisor(variables, processID: csystem_process_id())
  }

  /// What variables say to the process with this id.
  init(_ variables: [String: String], processID: Int32) {
    sockets = Systemd.inheritedSockets(
      listenPID: variables["LISTEN_PID"], listenFDs: variables["LISTEN_FDS"], names: variables["LISTEN_FDNAMES"], processID: processID)
    notifySocket = variables["NOTIFY_SOCKET"].flatMap { $0.isEmpty ? nil : $0 }
    watchdogMillis = Self.watchdog(variables, processID: processID)
  }

  /// Whether it wants to be told anything.
  public var isListening: Bool { notifySocket != nil }

  /// Tells it something, a variable a line: `READY=1`, `STATUS=…`. A line break in a line would begin another, and is a space.
  public func tell(_ lines: [String]) throws(NetError) {
    guard let notifySocket else { return }
    let text = lines.map { line in String(line.map { $0.isNewline ? " " : $0 }) }.joined(separator: "\n")
    try Systemd.notify(text, socket: notifySocket)
  }

  /// Closes the sockets it handed over. Listeners on them go on: each has its own descriptor. The socket itself is gone for this
  /// process when the last of them is closed, so that a successor gets what comes from then on.
  public func closeSockets() {
    guard areSocketsOpen else { return }
    areSocketsOpen = false
    for socket in sockets { _ = csystem_close(socket.fd) }
  }

  private static func watchdog(_ variables: [String: String], processID: Int32) -> UInt64? {
    if let meant = variables["WATCHDOG_PID"], !exactlyEquals(meant, "\(processID)") { return nil }
    guard let text = variables["WATCHDOG_USEC"], let micros = UInt64(text), micros > 0, micros < .max else { return nil }
    return max(micros / 1000, 2)
  }

  private static let variableNames = [
    "LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDS", "LISTEN_FDNAMES", "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC",
  ]
}

internal import FoundationEssentials
internal import Glibc

/// Where a process keeps what outlives a request, and where its control socket is: `STATE_DIRECTORY` (as systemd sets it),
/// else `XDG_STATE_HOME/stockade`, else `/var/lib/stockade`.
enum StateDirectory {
  static var path: String {
    let variables = ProcessInfo.processInfo.environment
    // systemd may name several, separated by colons; the first is ours.
    if let directory = variables["STATE_DIRECTORY"]?.split(separator: ":").first { return String(directory) }
    if let home = variables["XDG_STATE_HOME"], home.hasPrefix("/") { return home + "/stockade" }
    return "/var/lib/stockade"
  }

  /// The control socket's path.
  static var controlSocket: String { path + "/control.sock" }

  /// Makes the directory if its parent is there; false if it cannot be used.
  static func prepare() -> Bool {
    mkdir(path, 0o750)
    return access(path, W_OK) == 0
  }
}

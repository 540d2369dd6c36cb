internal import Net

/// Watches the configuration's and the policies' folders.
final class PolicyWatch {
  private var folders: FolderWatch?
  /// What is in force, or was tried last: only something else is worth a reload.
  var fingerprint = ""
  /// What was wrong at the last look: said once, not at every look.
  var lastProblem: String?

  init(_ loop: EventLoop, changed: @escaping () -> Void) {
    // Without a watch there are still SIGHUP and `stockade reload`.
    do throws(NetError) { folders = try FolderWatch(loop, changed: changed) } catch { folders = nil }
  }

  func watch(_ names: [String]) { folders?.watch(names) }
}

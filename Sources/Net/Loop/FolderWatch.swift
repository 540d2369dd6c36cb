internal import Glibc

/// Tells that something in some folders may have changed: by inotify where the kernel can see it, and by a slow poll where
/// it cannot (network file systems).
///
/// Folders are watched and not files: editors replace files by renaming, and Kubernetes swaps a link beside them. Many
/// changes at once are told once, when it has been quiet for a moment.
public final class FolderWatch: EventSource {
  private let loop: EventLoop
  // Below 0 where the kernel gives no watch: the poll does alone.
  private let fd: Int32
  private var registration: Registration?
  private var folders: [String] = []
  private var watched: [Int32] = []
  private var quiet: TimerID?
  private var poll: TimerID?
  private let changed: () -> Void

  // Longer than an editor's write and rename, shorter than anyone waits.
  private static let quietMillis: UInt64 = 150
  private static let pollMillis: UInt64 = 10_000

  /// A watch of nothing yet; the loop holds it until `close`.
  public init(_ loop: EventLoop, changed: @escaping () -> Void) {
    self.loop = loop
    self.changed = changed
    fd = inotify_init1(Int32(IN_NONBLOCK | IN_CLOEXEC))
    if fd >= 0 {
      do throws(NetError) { registration = try loop.register(self, fd: fd, interest: .input) } catch { registration = nil }
    }
    schedulePoll()
  }

  deinit { if fd >= 0 { _ = Glibc.close(fd) } }

  /// Watches these folders, and none that were watched before. One that cannot be watched is still polled.
  public func watch(_ folders: [String]) {
    for descriptor in watched { inotify_rm_watch(fd, descriptor) }
    watched = []
    self.folders = folders
    addWatches()
  }

  private func addWatches() {
    guard fd >= 0 else { return }
    let events = IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ATTRIB
    for folder in folders {
      let descriptor = inotify_add_watch(fd, folder, UInt32(events))
      if descriptor >= 0, !watched.contains(descriptor) { watched.append(descriptor) }
    }
  }

  /// Stops watching.
  public func close() {
    if let registration { loop.deregister(registration, fd: fd) }
    registration = nil
    if let quiet { loop.cancel(quiet) }
    if let poll { loop.cancel(poll) }
    quiet = nil
    poll = nil
  }

  /// Called by the loop.
  public func ready(_ readiness: Readiness) {
    // What changed does not matter; the events are only drained.
    var isAny = false
    while Glibc.read(fd, loop.scratch.baseAddress, loop.scratch.count) > 0 { isAny = true }
    guard isAny, registration != nil else { return }
    if let quiet { loop.cancel(quiet) }
    quiet = loop.after(Self.quietMillis) { [unowned self] in
      quiet = nil
      changed()
    }
  }

  private func schedulePoll() {
    poll = loop.after(Self.pollMillis) { [unowned self] in
      schedulePoll()
      // A folder may have been moved away and made anew under its name.
      addWatches()
      changed()
    }
  }
}

internal import CSystem
internal import Glibc

/// Runs another program and collects what it prints, on a thread of its own so that no loop waits for it.
public enum ProgramOutput {
  /// How it ended.
  public enum Outcome: Sendable, Equatable {
    /// It ended by itself, successfully, and printed this.
    case printed([UInt8])
    /// It ended with another status, or by a signal.
    case failed(status: Int32)
    /// It could not be started.
    case notStarted(errno: Int32)
    /// It took too long or printed too much, and was killed.
    case stopped
  }

  /// Starts a program by its path or name, with its arguments; nothing is read by a shell. `completion` is called on the loop.
  public static func collect(
    _ command: [String], on loop: EventLoop, timeoutMillis: UInt64, mostBytes: Int = 64 * 1024, completion: @escaping (Outcome) -> Void
  ) throws(NetError) {
    let mailbox = try Mailbox<Outcome>()
    let slot = Holder()
    slot.slot = try mailbox.attach(to: loop) { outcome in
      slot.slot?.detach()
      slot.slot = nil
      completion(outcome)
    }
    let thread = try startThread(name: "program") { mailbox.post(run(command, timeoutMillis: timeoutMillis, mostBytes: mostBytes)) }
    thread.detach()
  }

  private final class Holder {
    var slot: MailboxSlot?
  }

  private static func run(_ command: [String], timeoutMillis: UInt64, mostBytes: Int) -> Outcome {
    var ends: [Int32] = [0, 0]
    guard let program = command.first, pipe(&ends) == 0 else { return .notStarted(errno: ENOENT) }
    defer { close(ends[0]) }
    // Of the two ends the program gets its output alone, by the copy below.
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1)
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    // Threads of this house block all signals; the program must not inherit that. Its own group can be killed whole.
    var none = sigset_t()
    sigemptyset(&none)
    posix_spawnattr_setsigmask(&attributes, &none)
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP))
    var arguments: [UnsafeMutablePointer<CChar>?] = command.map { strdup($0) }
    arguments.append(nil)
    defer { for argument in arguments { free(argument) } }
    var pid: pid_t = 0
    let error = posix_spawnp(&pid, program, &actions, &attributes, arguments, environ)
    close(ends[1])
    guard error == 0 else { return .notStarted(errno: error) }
    let output = read(ends[0], until: csystem_monotonic_millis_coarse() + timeoutMillis, mostBytes: mostBytes)
    if output == nil { kill(-pid, SIGKILL) }
    var status: Int32 = 0
    while waitpid(pid, &status, 0) < 0 {
      guard errno == EINTR else { return .stopped }
    }
    guard let output else { return .stopped }
    return status == 0 ? .printed(output) : .failed(status: status & 0x7f == 0 ? status >> 8 & 0xff : status & 0x7f)
  }

  /// Everything up to the end of the output; nil if it does not come in time or is too much.
  private static func read(_ descriptor: Int32, until end: UInt64, mostBytes: Int) -> [UInt8]? {
    var output: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 4096)
    while true {
      let now = csystem_monotonic_millis_coarse()
      var waiting = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
      guard now < end, poll(&waiting, 1, Int32(clamping: end - now)) > 0 else { return nil }
      let count = Glibc.read(descriptor, &buffer, buffer.count)
      if count == 0 { return output }
      guard count > 0, output.count + count <= mostBytes else { return nil }
      output.append(contentsOf: buffer[..<count])
    }
  }
}

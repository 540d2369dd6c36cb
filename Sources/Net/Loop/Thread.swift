internal import CSystem
internal import Glibc

/// A thread that was started, to wait for.
public struct RunningThread: Sendable {
  private let thread: pthread_t

  fileprivate init(_ thread: pthread_t) { self.thread = thread }

  /// Waits for the thread's end. Once.
  public func join() { pthread_join(thread, nil) }

  /// Lets the thread end by itself. Instead of `join`.
  public func detach() { pthread_detach(thread) }
}

/// Starts a thread with a name (15 bytes are kept) and a stack size of its own; the smallest stack is 64 KiB.
///
/// The body is `@Sendable`: what it makes inside belongs to the thread and never leaves it. All signals but faults are
/// blocked in the thread, so that they reach the loop that reads them from a descriptor. (A closure written at the top
/// level of main.swift is inferred `@MainActor` and traps on another thread: start threads from functions elsewhere.)
public func startThread(name: String, stackBytes: Int = 1 << 20, _ body: @escaping @Sendable () -> Void) throws(NetError) -> RunningThread {
  var attributes = pthread_attr_t()
  pthread_attr_init(&attributes)
  defer { pthread_attr_destroy(&attributes) }
  pthread_attr_setstacksize(&attributes, max(stackBytes, 64 * 1024))
  let start = Unmanaged.passRetained(ThreadStart(name: name, body: body))
  var thread = pthread_t()
  let result = pthread_create(
    &thread, &attributes,
    { argument in
      guard let argument else { return nil }
      let start = Unmanaged<ThreadStart>.fromOpaque(argument).takeRetainedValue()
      csystem_block_signals()
      csystem_name_thread(start.name)
      start.body()
      return nil
    }, start.toOpaque())
  guard result == 0 else {
    start.release()
    throw .system(call: "pthread_create", errno: result)
  }
  return RunningThread(thread)
}

private final class ThreadStart {
  let name: String
  let body: @Sendable () -> Void

  init(name: String, body: @escaping @Sendable () -> Void) {
    // The kernel keeps 15 bytes; a longer name would be refused whole.
    self.name = String(decoding: name.utf8.prefix(15), as: UTF8.self)
    self.body = body
  }
}

internal import Glibc
internal import Net
internal import Synchronization

/// What workers and the writer thread share: batches of lines under one lock, counters, and pipes to wake by.
final class DecisionQueue: Sendable {
  struct Batch: Sendable {
    // The first `count` bytes are the lines; the rest is room.
    var storage: [UInt8]
    var count: Int
    var lines: Int
  }

  private struct State: Sendable {
    var batches: [Batch] = []
    // Buffers that the writer is done with: a worker's flush allocates nothing in the long run.
    var empty: [[UInt8]] = []
    var wantsReopen = false
    var wantsStop = false
    var isWoken = false
    // Set when the writer has ended: nobody will take a batch any more.
    var hasEnded = false
  }

  /// What the writer finds when it wakes.
  struct Work {
    var batches: [Batch]
    var wantsReopen: Bool
    var wantsStop: Bool
  }

  private let state = Locked(State())
  private let lines = Atomic<Int>(0)
  private let bytes = Atomic<Int>(0)
  private let waiters = Atomic<Int>(0)
  private let isStopping = Atomic<Bool>(false)
  private let dropped = Atomic<UInt64>(0)
  private let written = Atomic<UInt64>(0)
  private let capacityLines: Int
  private let capacityBytes: Int
  private let wake: Pipe
  private let room: Pipe
  private let stopped: Pipe

  init(capacityLines: Int, capacityBytes: Int) throws(SystemCallError) {
    self.capacityLines = capacityLines
    self.capacityBytes = capacityBytes
    self.wake = try Pipe()
    self.room = try Pipe()
    self.stopped = try Pipe()
  }

  var queuedLines: Int { lines.load(ordering: .relaxed) }
  var droppedLines: UInt64 { dropped.load(ordering: .relaxed) }
  var writtenLines: UInt64 { written.load(ordering: .relaxed) }
  var wantsStop: Bool { isStopping.load(ordering: .relaxed) }

  // MARK: - The workers' side

  var hasRoom: Bool {
    lines.load(ordering: .relaxed) < capacityLines && bytes.load(ordering: .relaxed) < capacityBytes
  }

  /// Counts one line in if there is room for it.
  func takeRoom() -> Bool {
    guard !wantsStop, bytes.load(ordering: .relaxed) < capacityBytes else { return false }
    if lines.add(1, ordering: .relaxed).newValue <= capacityLines { return true }
    lines.subtract(1, ordering: .relaxed)
    return false
  }

  func takeRoomRegardless() { lines.add(1, ordering: .relaxed) }

  func giveBack(lines count: Int) { lines.subtract(count, ordering: .relaxed) }

  func countDropped(_ count: Int) { dropped.add(UInt64(count), ordering: .relaxed) }

  /// Waits until the writer has made room, or the log stops.
  func waitForRoom() {
    waiters.add(1, ordering: .sequentiallyConsistent)
    defer { waiters.subtract(1, ordering: .relaxed) }
    // The time-out only bounds the cost of a wake-up that another waiter took.
    while !hasRoom && !wantsStop { room.waitAndTake(timeoutMillis: 100) }
  }

  func emptyBuffer() -> [UInt8] { state.withLock { $0.empty.popLast() } ?? [] }

  func hand(over batch: Batch) {
    bytes.add(batch.count, ordering: .relaxed)
    let (isTaken, mustWake) = state.withLock { state -> (Bool, Bool) in
      guard !state.hasEnded else { return (false, false) }
      state.batches.append(batch)
      defer { state.isWoken = true }
      return (true, !state.isWoken)
    }
    if mustWake { wake.put() }
    guard !isTaken else { return }
    lines.subtract(batch.lines, ordering: .relaxed)
    bytes.subtract(batch.count, ordering: .relaxed)
    countDropped(batch.lines)
  }

  func requestReopen() { request { $0.wantsReopen = true } }

  func requestStop() {
    isStopping.store(true, ordering: .relaxed)
    request { $0.wantsStop = true }
  }

  func waitUntilStopped(timeoutMillis: Int) -> Bool { stopped.wait(timeoutMillis: timeoutMillis) }

  private func request(_ change: (inout State) -> Void) {
    let mustWake = state.withLock { state in
      change(&state)
      defer { state.isWoken = true }
      return !state.isWoken
    }
    if mustWake { wake.put() }
  }

  // MARK: - The writer's side

  /// Waits until there is something to do.
  func nextWork() -> Work {
    wake.waitAndTake(timeoutMillis: -1)
    return state.withLock { state in
      state.isWoken = false
      let work = Work(batches: state.batches, wantsReopen: state.wantsReopen, wantsStop: state.wantsStop)
      state.batches = []
      state.wantsReopen = false
      return work
    }
  }

  /// Takes a written batch off the books and keeps its memory for the next.
  func done(with batch: Batch, written count: Int) {
    lines.subtract(batch.lines, ordering: .relaxed)
    bytes.subtract(batch.count, ordering: .relaxed)
    written.add(UInt64(count), ordering: .relaxed)
    let buffer = batch.storage
    if buffer.count <= Self.keptBufferBytes {
      state.withLock { state in
        if state.empty.count < Self.keptBuffers { state.empty.append(buffer) }
      }
    }
    for _ in 0..<waiters.load(ordering: .sequentiallyConsistent) { room.put() }
  }

  /// Ends the writer's side, if nothing arrived meanwhile.
  func endIfEmpty() -> Bool {
    state.withLock { state in
      guard state.batches.isEmpty else { return false }
      state.hasEnded = true
      return true
    }
  }

  func reportStopped() { stopped.put() }

  private static let keptBuffers = 16
  private static let keptBufferBytes = 128 * 1024
}

/// A pipe used as a bell: non-blocking to ring, waited for with `poll`.
struct Pipe: ~Copyable, Sendable {
  private let reader: Int32
  private let writer: Int32

  init() throws(SystemCallError) {
    var ends: (Int32, Int32) = (-1, -1)
    let result = withUnsafeMutableBytes(of: &ends) { pipe($0.assumingMemoryBound(to: Int32.self).baseAddress) }
    guard result == 0 else { throw SystemCallError(call: "pipe", code: errno) }
    self.reader = ends.0
    self.writer = ends.1
    for end in [reader, writer] {
      _ = fcntl(end, F_SETFD, FD_CLOEXEC)
      _ = fcntl(end, F_SETFL, O_NONBLOCK)
    }
  }

  deinit {
    close(reader)
    close(writer)
  }

  /// Rings. A full pipe rings already.
  func put() {
    var byte: UInt8 = 1
    while write(writer, &byte, 1) < 0 && errno == EINTR {}
  }

  /// Waits for a ring and leaves it in place; false after the time-out.
  func wait(timeoutMillis: Int) -> Bool {
    let deadline = timeoutMillis < 0 ? nil : MonotonicClock.millis() + timeoutMillis
    while true {
      let left = deadline.map { max($0 - MonotonicClock.millis(), 0) } ?? -1
      var poll = pollfd(fd: reader, events: Int16(POLLIN), revents: 0)
      let ready = Glibc.poll(&poll, 1, Int32(clamping: left))
      if ready > 0 { return true }
      if ready == 0 { return false }
      if errno != EINTR { return false }
    }
  }

  /// Waits for a ring and takes it.
  func waitAndTake(timeoutMillis: Int) {
    guard wait(timeoutMillis: timeoutMillis) else { return }
    var byte: UInt8 = 0
    while read(reader, &byte, 1) < 0 && errno == EINTR {}
  }
}

/// The monotonic clock in milliseconds, for time-outs.
enum MonotonicClock {
  static func millis() -> Int {
    var now = timespec()
    clock_gettime(CLOCK_MONOTONIC, &now)
    return now.tv_sec * 1000 + now.tv_nsec / 1_000_000
  }
}

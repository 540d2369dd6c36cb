internal import CSystem

/// Where a loop takes its time from.
public struct LoopClock {
  /// Milliseconds that only go forward.
  public var monotonicMillis: () -> UInt64
  /// Milliseconds since 1970.
  public var wallMillis: () -> Int64

  /// A clock of two functions (tests).
  public init(monotonicMillis: @escaping () -> UInt64, wallMillis: @escaping () -> Int64) {
    self.monotonicMillis = monotonicMillis
    self.wallMillis = wallMillis
  }

  /// The system's coarse clocks: 5 ns to read, some milliseconds of resolution.
  public static var system: LoopClock {
    LoopClock(monotonicMillis: { csystem_monotonic_millis_coarse() }, wallMillis: { csystem_wall_millis() })
  }

  /// Nanoseconds that only go forward, read now: for measuring short spans.
  public static func monotonicNanos() -> UInt64 { csystem_monotonic_nanos() }
}

/// One thread's loop: one epoll set, one timer wheel, one scratch buffer.
///
/// Not `Sendable`: a loop is made on the thread that runs it and never leaves it. From other threads it is reached by a
/// `Mailbox`. A turn is, in this order: wait → take the time → call ready sources (mailboxes among them) → fire due
/// timers → run what was put off with `later` → `onTurnEnd`. `now` is taken once a turn and is constant in it.
public final class EventLoop {
  private struct Slot {
    var source: (any EventSource)?
    var generation: UInt32 = 0
  }

  private let epoll: Int32
  private let clock: LoopClock
  private var slots: [Slot] = []
  private var freeSlots: [UInt32] = []
  private var timers: TimerWheel
  private var deferred: [() -> Void] = []
  private let events: UnsafeMutableBufferPointer<csystem_event>
  private var isStopping = false

  /// Monotonic milliseconds, as of this turn.
  public private(set) var now: UInt64
  /// Milliseconds since 1970, as of this turn, `wallOffsetMillis` included.
  public private(set) var wallMillis: Int64
  /// Added to the wall clock; for tests that expire tokens and certificates without waiting. Effective at once.
  public var wallOffsetMillis: Int64 = 0 { didSet { wallMillis = wallMillis &- oldValue &+ wallOffsetMillis } }
  /// Seconds since 1970, as of this turn.
  public var wallSeconds: Int64 { wallMillis / 1000 }
  /// Called at the end of each turn, after the work put off with `later`.
  public var onTurnEnd: (() -> Void)?
  /// A buffer that anyone on the loop may use, within one call: 64 KiB.
  public let scratch: UnsafeMutableRawBufferPointer

  /// The size of `scratch`.
  public static let scratchBytes = 64 * 1024
  private static let eventsPerTurn = 256

  /// Makes a loop on the calling thread.
  public init(clock: LoopClock = .system) throws(NetError) {
    let descriptor = csystem_epoll_create()
    guard descriptor >= 0 else { throw .system(call: "epoll_create1", errno: -descriptor) }
    epoll = descriptor
    self.clock = clock
    now = clock.monotonicMillis()
    wallMillis = clock.wallMillis()
    timers = TimerWheel(now: now)
    events = .allocate(capacity: Self.eventsPerTurn)
    scratch = .allocate(byteCount: Self.scratchBytes, alignment: 64)
  }

  deinit {
    _ = csystem_close(epoll)
    events.deallocate()
    scratch.deallocate()
  }

  // MARK: - Sources

  /// Watches a descriptor. The loop holds the source until it is deregistered; the descriptor stays the caller's.
  public func register(_ source: any EventSource, fd: Int32, interest: Interest = .stream) throws(NetError) -> Registration {
    let slot: UInt32
    if let reused = freeSlots.popLast() {
      slot = reused
    } else {
      slot = UInt32(truncatingIfNeeded: slots.count)
      slots.append(Slot())
    }
    let registration = Registration(slot: slot, generation: slots[Int(slot)].generation)
    let result = csystem_epoll_add(epoll, fd, interest.bits, registration.packed)
    guard result >= 0 else {
      freeSlots.append(slot)
      throw .system(call: "epoll_ctl", errno: -result)
    }
    slots[Int(slot)].source = source
    return registration
  }

  /// Changes what to be told about a registered descriptor.
  public func modify(_ registration: Registration, fd: Int32, interest: Interest) throws(NetError) {
    guard isCurrent(registration) else { return }
    let result = csystem_epoll_modify(epoll, fd, interest.bits, registration.packed)
    guard result >= 0 else { throw .system(call: "epoll_ctl", errno: -result) }
  }

  /// Stops calling a source; events already fetched for it are dropped. With `closing`, the caller closes the
  /// descriptor right after, which takes it out of the epoll set without a system call here. Twice is harmless.
  public func deregister(_ registration: Registration, fd: Int32, closing: Bool = false) {
    guard isCurrent(registration) else { return }
    if !closing { _ = csystem_epoll_remove(epoll, fd) }
    let source = slots[Int(registration.slot)].source
    slots[Int(registration.slot)].source = nil
    slots[Int(registration.slot)].generation &+= 1
    freeSlots.append(registration.slot)
    // The last reference may go here; its deinit must find the table in order.
    withExtendedLifetime(source) {}
  }

  /// Lets go of every source, timer and callback: the last thing done with a loop. Sources hold their loop, so without it
  /// neither would ever be freed.
  public func releaseAll() {
    let sources = slots.map(\.source)
    for index in slots.indices where slots[index].source != nil {
      slots[index].source = nil
      slots[index].generation &+= 1
      freeSlots.append(UInt32(truncatingIfNeeded: index))
    }
    timers = TimerWheel(now: now)
    deferred = []
    onTurnEnd = nil
    withExtendedLifetime(sources) {}
  }

  /// How many descriptors are watched.
  public var sourceCount: Int { slots.count - freeSlots.count }

  private func isCurrent(_ registration: Registration) -> Bool {
    Int(registration.slot) < slots.count && slots[Int(registration.slot)].generation == registration.generation
      && slots[Int(registration.slot)].source != nil
  }

  // MARK: - Time

  /// Calls `body` once, `millis` from `now` or a little later, never within this turn. The loop holds the body until then.
  @discardableResult public func after(_ millis: UInt64, _ body: @escaping () -> Void) -> TimerID {
    let (deadline, overflow) = now.addingReportingOverflow(max(millis, 1))
    return timers.insert(deadline: overflow ? .max : deadline, body)
  }

  /// Takes a timer away and lets go of its body; false if it has fired or was cancelled before.
  @discardableResult public func cancel(_ timer: TimerID) -> Bool { timers.cancel(timer) }

  /// How many timers wait.
  public var timerCount: Int { timers.count }

  /// Calls `body` at the end of this turn, or of the next one if called from there.
  public func later(_ body: @escaping () -> Void) { deferred.append(body) }

  // MARK: - Turning

  /// Turns until `stop` is called.
  public func run() throws(NetError) {
    isStopping = false
    while !isStopping { try turn() }
  }

  /// Makes `run` return at the end of this turn. On the loop's thread; others post a message that calls it.
  public func stop() { isStopping = true }

  /// One turn, that waits for events no longer than `maxWaitMillis` (nil: as long as it takes).
  public func turn(maxWaitMillis: UInt64? = nil) throws(NetError) {
    var wait = timers.wait(from: now)
    if let limit = maxWaitMillis { wait = min(wait ?? limit, limit) }
    if !deferred.isEmpty { wait = 0 }
    let timeout = wait.map { Int32(truncatingIfNeeded: min($0, Self.longestWaitMillis)) } ?? -1
    let count = csystem_epoll_wait(epoll, events.baseAddress, Int32(Self.eventsPerTurn), timeout)
    guard count >= 0 else { throw .system(call: "epoll_wait", errno: -count) }
    let time = clock.monotonicMillis()
    if time > now { now = time }
    wallMillis = clock.wallMillis() &+ wallOffsetMillis

    for index in 0..<Int(count) {
      let event = events[index]
      let token = Registration(packed: event.data)
      // A source called earlier in this batch may have closed this one, and its slot may be taken again already.
      guard Int(token.slot) < slots.count, slots[Int(token.slot)].generation == token.generation,
        let source = slots[Int(token.slot)].source
      else { continue }
      source.ready(Readiness(rawValue: event.events))
    }
    while let body = timers.popDue(now: now) { body() }
    if !deferred.isEmpty {
      // Only what waits now: work that puts itself off again must not starve the descriptors.
      let batch = deferred
      deferred = []
      for body in batch { body() }
    }
    onTurnEnd?()
  }

  // A wait is looked at again at least this often; it keeps the timeout within epoll's Int32.
  private static let longestWaitMillis: UInt64 = 3_600_000
}

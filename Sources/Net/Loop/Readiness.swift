/// What the kernel says about a descriptor. The bits are epoll's own.
public struct Readiness: OptionSet, Sendable {
  /// epoll's event bits.
  public let rawValue: UInt32
  /// Wraps epoll's event bits.
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  /// Bytes, a connection or the end can be read (EPOLLIN).
  public static let readable = Readiness(rawValue: 0x1)
  /// Bytes can be written (EPOLLOUT).
  public static let writable = Readiness(rawValue: 0x4)
  /// The descriptor is in error (EPOLLERR).
  public static let failed = Readiness(rawValue: 0x8)
  /// Both directions are closed (EPOLLHUP).
  public static let hungUp = Readiness(rawValue: 0x10)
  /// The peer will send no more (EPOLLRDHUP).
  public static let peerClosed = Readiness(rawValue: 0x2000)

  // Edge-triggered: registered once, never modified again.
  static let edge = Readiness(rawValue: 1 << 31)
}

/// What an event loop calls when a descriptor is ready.
public protocol EventSource: AnyObject {
  /// Called on the loop's thread. The loop keeps the source alive during the call, even if it deregisters itself.
  func ready(_ readiness: Readiness)
}

/// What to be told about a descriptor.
public enum Interest: Sendable {
  /// A stream: both directions and the peer's close, edge-triggered, once and for all.
  case stream
  /// Input, edge-triggered: event and signal descriptors, which are drained on every event.
  case input
  /// Input, level-triggered: listeners, which may stop before the queue is empty.
  case inputLevel
  /// Nothing at the moment (a paused listener).
  case nothing

  var bits: UInt32 {
    switch self {
    case .stream: return ([.readable, .writable, .peerClosed, .edge] as Readiness).rawValue
    case .input: return ([.readable, .edge] as Readiness).rawValue
    case .inputLevel: return Readiness.readable.rawValue
    case .nothing: return 0
    }
  }
}

/// A place in a loop's table. The generation tells a stale event, or a stale caller, from the slot's present owner.
public struct Registration: Hashable, Sendable {
  let slot: UInt32
  let generation: UInt32

  init(slot: UInt32, generation: UInt32) {
    self.slot = slot
    self.generation = generation
  }

  init(packed: UInt64) {
    self.init(slot: UInt32(truncatingIfNeeded: packed), generation: UInt32(truncatingIfNeeded: packed >> 32))
  }

  // Rides in epoll's 64 bits of user data.
  var packed: UInt64 { UInt64(generation) << 32 | UInt64(slot) }
}

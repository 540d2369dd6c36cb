internal import CSystem

/// A signal that the process reacts to.
public enum ProcessSignal: Sendable, CaseIterable {
  /// SIGTERM: leave in good order.
  case terminate
  /// SIGINT: as from the keyboard.
  case interrupt
  /// SIGHUP: read the configuration again.
  case hangUp

  var number: Int32 {
    switch self {
    case .terminate: return csystem_sigterm
    case .interrupt: return csystem_sigint
    case .hangUp: return csystem_sighup
    }
  }
}

/// Signals as events of a loop, instead of interruptions.
public final class Signals: EventSource {
  private let fd: Int32
  private let loop: EventLoop
  private var registration: Registration?
  private let received: (ProcessSignal) -> Void

  /// Blocks the signals in the calling thread and reports them on its loop. To be called on the main thread before
  /// other threads start, which inherit the mask. The loop holds the object.
  @discardableResult
  public init(_ loop: EventLoop, _ signals: [ProcessSignal] = ProcessSignal.allCases, received: @escaping (ProcessSignal) -> Void)
    throws(NetError)
  {
    let numbers = signals.map(\.number)
    let descriptor = csystem_signalfd(numbers, Int32(numbers.count))
    guard descriptor >= 0 else { throw .system(call: "signalfd", errno: -descriptor) }
    fd = descriptor
    self.loop = loop
    self.received = received
    registration = try loop.register(self, fd: descriptor, interest: .input)
  }

  deinit { _ = csystem_close(fd) }

  /// Stops reporting; the signals stay blocked.
  public func close() {
    if let registration { loop.deregister(registration, fd: fd) }
    registration = nil
  }

  /// Called by the loop.
  public func ready(_ readiness: Readiness) {
    while true {
      let number = csystem_signalfd_read(fd)
      guard number > 0 else { return }
      if let signal = ProcessSignal.allCases.first(where: { $0.number == number }) { received(signal) }
    }
  }

  /// Makes writing to a closed pipe or socket an error instead of the process's end. Once, at start.
  public static func ignoreBrokenPipes() { csystem_ignore_sigpipe() }

  /// Raises the soft limit of open descriptors to the hard one; returns the limit now in force, or nil if it cannot be read.
  @discardableResult public static func raiseDescriptorLimit() -> Int? {
    let limit = csystem_raise_descriptor_limit()
    return limit < 0 ? nil : Int(clamping: limit)
  }
}

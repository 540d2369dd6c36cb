internal import CSystem

/// The one way into a loop from another thread: a locked array and an event descriptor that wakes the loop.
///
/// The descriptor is written only when the array was empty, so a burst of messages costs one wake-up.
public final class Mailbox<Message: Sendable>: Sendable {
  private struct State: Sendable {
    var messages: [Message] = []
    var isClosed = false
  }

  private let state = Locked(State())
  private let event: Int32
  private let limit: Int

  /// An empty mailbox for at most `limit` messages that wait.
  public init(limit: Int = .max) throws(NetError) {
    let descriptor = csystem_eventfd()
    guard descriptor >= 0 else { throw .system(call: "eventfd", errno: -descriptor) }
    event = descriptor
    self.limit = limit
  }

  deinit { _ = csystem_close(event) }

  /// Adds a message; false if the mailbox is full or closed, and the message was not taken.
  @discardableResult public func post(_ message: Message) -> Bool {
    let (taken, wake) = state.withLock { state -> (Bool, Bool) in
      guard !state.isClosed, state.messages.count < limit else { return (false, false) }
      state.messages.append(message)
      return (true, state.messages.count == 1)
    }
    if wake { csystem_eventfd_signal(event) }
    return taken
  }

  /// Delivers every message, in the order posted, on the loop's thread. Once; the loop holds the mailbox from here on.
  @discardableResult public func attach(to loop: EventLoop, receive: @escaping (Message) -> Void) throws(NetError) -> MailboxSlot {
    let slot = Slot(mailbox: self, receive: receive)
    let registration = try loop.register(slot, fd: event, interest: .input)
    return MailboxSlot(loop: loop, registration: registration, fd: event)
  }

  /// Refuses messages from now on. Those that wait are still delivered.
  public func close() { state.withLock { $0.isClosed = true } }

  /// How many messages wait.
  public var count: Int { state.withLock { $0.messages.count } }

  private final class Slot: EventSource {
    let mailbox: Mailbox
    let receive: (Message) -> Void

    init(mailbox: Mailbox, receive: @escaping (Message) -> Void) {
      self.mailbox = mailbox
      self.receive = receive
    }

    func ready(_ readiness: Readiness) {
      // INVARIANT: cleared before the array is taken. A message posted in between is in the array, and its signal only
      // wakes us once for nothing; the other order could clear the signal of a message that was not taken.
      csystem_eventfd_clear(mailbox.event)
      let messages = mailbox.state.withLock { state -> [Message] in
        let taken = state.messages
        state.messages = []
        return taken
      }
      for message in messages { receive(message) }
    }
  }
}

/// A mailbox's place in the loop that empties it.
public struct MailboxSlot {
  private let loop: EventLoop
  private let registration: Registration
  private let fd: Int32

  init(loop: EventLoop, registration: Registration, fd: Int32) {
    self.loop = loop
    self.registration = registration
    self.fd = fd
  }

  /// Stops delivering, and lets the loop let go of the mailbox.
  public func detach() { loop.deregister(registration, fd: fd) }
}

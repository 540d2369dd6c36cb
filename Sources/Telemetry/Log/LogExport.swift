public import Net

/// The way of decision lines from the log's own thread to the loop that sends them to a collector.
///
/// Lines count as waiting until the collector has them, so that the log's bounds hold for the whole way.
public final class LogExport: Sendable, Equatable {
  enum Message: Sendable {
    case batch(DecisionQueue.Batch, DecisionQueue)
    case summary([UInt8])
    case stop(DecisionQueue)
  }

  let mailbox: Mailbox<Message>

  /// A way that nobody waits at the end of yet.
  public init() throws(NetError) { mailbox = try Mailbox() }

  /// Begins to send, from this loop.
  public func attach(to loop: EventLoop, _ sender: OTLPSender) throws(NetError) {
    try mailbox.attach(to: loop) { message in
      switch message {
      case .batch(let batch, let queue):
        sender.offer(Array(batch.storage[..<batch.count]), count: batch.lines) { fate in
          switch fate {
          case .sent: queue.done(with: batch, written: batch.lines)
          case .dropped:
            queue.countDropped(batch.lines)
            queue.done(with: batch, written: 0)
          }
        }
      case .summary(let line): sender.offer(line, count: 1)
      case .stop(let queue): sender.drain { queue.reportStopped() }
      }
    }
  }

  /// One way is another only if it is the same.
  public static func == (a: LogExport, b: LogExport) -> Bool { a === b }
}

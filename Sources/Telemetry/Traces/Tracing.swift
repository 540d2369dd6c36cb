public import Net
internal import Synchronization

/// Traces of requests, for all threads: what is sampled, and the way of spans from the workers to the loop that sends them.
///
/// What waits for that loop is bounded; what does not fit is dropped and counted. Nothing of this exists where traces are off.
public final class Tracing: Sendable {
  struct Batch: Sendable {
    let lines: [UInt8]
    let count: Int
  }

  let sampling: TraceSampling
  let shape: DecisionShape
  let mailbox: Mailbox<Batch>
  private let capacity: Int
  private let waiting = Atomic<Int>(0)
  private let dropped = Atomic<UInt64>(0)

  /// Traces by a sampler.
  ///
  /// - Parameters:
  ///   - shape: What is left out of decision records is left out of spans.
  ///   - capacity: How many spans may wait.
  public init(_ sampling: TraceSampling, shape: DecisionShape, capacity: Int) throws(NetError) {
    self.sampling = sampling
    self.shape = shape
    self.capacity = capacity
    mailbox = try Mailbox()
  }

  /// A worker's own end. Make it on the worker's thread and keep it there.
  public func port() -> SpanPort { SpanPort(self) }

  /// How many spans were lost because too many waited.
  public var droppedSpans: UInt64 { dropped.load(ordering: .relaxed) }

  func hand(over batch: Batch) {
    let count = batch.count
    guard waiting.add(count, ordering: .relaxed).newValue <= capacity, mailbox.post(batch) else {
      waiting.subtract(count, ordering: .relaxed)
      dropped.add(UInt64(count), ordering: .relaxed)
      return
    }
  }

  func taken(_ count: Int) { waiting.subtract(count, ordering: .relaxed) }
}

/// A worker's end of the decision log: owned by one thread, handed over once a turn of its loop.
public final class DecisionLogPort {
  /// Room for one line in every sink, taken when the request is decided and given up when its line is written.
  public struct Slot: Sendable {
    // The sinks in whose queue it counts, a bit each: the line that goes into it cannot be dropped there for want of room.
    var counted: UInt64
  }

  private var sinks: [SinkPort]
  /// Whether lines go nowhere: then no record need be made.
  public let isOff: Bool

  init(_ sinks: [DecisionLog.Sink]) {
    self.sinks = sinks.map(SinkPort.init)
    isOff = self.sinks.allSatisfy(\.isOff)
  }

  /// Takes room for one line before the request is forwarded.
  /// - Returns: nil only with `onFull: deny` and no room: refuse the request with `log_full`.
  ///   With `onFull: block` this waits, having flushed what the worker itself holds.
  public func reserve() -> Slot? {
    if isOff { return Slot(counted: 0) }
    var slot = Slot(counted: 0)
    for index in sinks.indices {
      switch sinks[index].reserve() {
      case .counted: slot.counted |= 1 << UInt64(index)
      case .uncounted: break
      case .full:
        release(slot)
        return nil
      }
    }
    return slot
  }

  /// Gives a slot back unused.
  public func release(_ slot: Slot) {
    for index in sinks.indices where slot.counted & 1 << UInt64(index) != 0 { sinks[index].release() }
  }

  /// Writes one line into the worker's batch.
  /// - Parameters:
  ///   - record: What was decided.
  ///   - slot: The room taken for it; nil for a request that was refused because there was none.
  public func write(_ record: borrowing DecisionRecord, in slot: Slot?) {
    for index in sinks.indices {
      sinks[index].write(record, isCounted: (slot?.counted ?? 0) & 1 << UInt64(index) != 0, hasSlot: slot != nil)
    }
  }

  /// Hands the batch to the writer threads. Call it at the end of every turn of the loop.
  public func flush() { for index in sinks.indices { sinks[index].flush() } }
}

/// A worker's end of one sink.
private struct SinkPort {
  enum Room {
    case counted
    case uncounted
    case full
  }

  private let queue: DecisionQueue
  private let options: DecisionLog.Options
  private var batch = LineBuffer()
  private var batchLines = 0
  private var rendering: DecisionRendering
  let isOff: Bool
  private let isPlain: Bool

  init(_ sink: DecisionLog.Sink) {
    queue = sink.queue
    options = sink.options
    isOff = options.destination == .none
    isPlain = options.shape.isPlain
    rendering = DecisionRendering(options.format)
  }

  mutating func reserve() -> Room {
    if isOff { return .uncounted }
    switch options.onFull {
    case .drop: return .uncounted
    case .deny: return queue.takeRoom() ? .counted : .full
    case .block:
      // Only lines that wait for the writer count here. If reservations counted, a worker could wait for room that
      // only its own unfinished requests can free.
      if !queue.hasRoom {
        flush()
        queue.waitForRoom()
      }
      return .uncounted
    }
  }

  func release() { queue.giveBack(lines: 1) }

  mutating func write(_ record: borrowing DecisionRecord, isCounted: Bool, hasSlot: Bool) {
    if isOff { return }
    guard options.shape.keeps(record) else {
      if isCounted { release() }
      return
    }
    if !isCounted {
      if options.onFull == .block && hasSlot {
        queue.takeRoomRegardless()
      } else if !queue.takeRoom() {
        queue.countDropped(1)
        return
      }
    }
    if isPlain {
      append(record)
    } else {
      var shaped = copy record
      options.shape.apply(to: &shaped)
      append(shaped)
    }
    batchLines += 1
    if batch.count >= Self.largestBatch { flush() }
  }

  private mutating func append(_ record: borrowing DecisionRecord) {
    batch.write { rendering.append(record, to: &$0) }
  }

  mutating func flush() {
    guard batchLines > 0 else { return }
    let lines = batchLines
    batchLines = 0
    let full = batch.take(replacingWith: queue.emptyBuffer())
    queue.hand(over: DecisionQueue.Batch(storage: full.storage, count: full.count, lines: lines))
  }

  private static let largestBatch = 64 * 1024
}

/// A worker's end of the decision log: owned by one thread, handed over once a turn of its loop.
public final class DecisionLogPort {
  /// Room for one line, taken when the request is decided and given up when its line is written.
  public struct Slot: Sendable {
    // Whether the slot counts in the queue: the line that goes into it cannot be dropped for want of room.
    let isCounted: Bool
  }

  private let queue: DecisionQueue
  private let options: DecisionLog.Options
  private var batch = LineBuffer()
  private var batchLines = 0
  private var json = DecisionLine()

  // The text style keeps a time stamp's text, so it lives here as a variable.
  private var text: DecisionText?
  private let isOff: Bool
  private let isPlain: Bool

  init(queue: DecisionQueue, options: DecisionLog.Options) {
    self.queue = queue
    self.options = options
    self.isOff = options.destination == .none
    self.isPlain = options.shape.isPlain
    if case .text(let style) = options.format { text = style }
  }

  /// Takes room for one line before the request is forwarded.
  /// - Returns: nil only with `onFull: deny` and no room: refuse the request with `log_full`.
  ///   With `onFull: block` this waits, having flushed what the worker itself holds.
  public func reserve() -> Slot? {
    if isOff { return Slot(isCounted: false) }
    switch options.onFull {
    case .drop: return Slot(isCounted: false)
    case .deny: return queue.takeRoom() ? Slot(isCounted: true) : nil
    case .block:
      // Only lines that wait for the writer count here. If reservations counted, a worker could wait for room that
      // only its own unfinished requests can free.
      if !queue.hasRoom {
        flush()
        queue.waitForRoom()
      }
      return Slot(isCounted: false)
    }
  }

  /// Gives a slot back unused.
  public func release(_ slot: Slot) {
    if slot.isCounted { queue.giveBack(lines: 1) }
  }

  /// Writes one line into the worker's batch.
  /// - Parameters:
  ///   - record: What was decided.
  ///   - slot: The room taken for it; nil for a request that was refused because there was none.
  public func write(_ record: borrowing DecisionRecord, in slot: Slot?) {
    if isOff { return }
    guard options.shape.keeps(record) else {
      if let slot { release(slot) }
      return
    }
    if slot?.isCounted != true {
      if options.onFull == .block && slot != nil {
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

  private func append(_ record: borrowing DecisionRecord) {
    batch.write { line in
      if text == nil { json.append(record, to: &line) } else { text?.append(record, to: &line) }
    }
  }

  /// Hands the batch to the writer thread. Call it at the end of every turn of the loop.
  public func flush() {
    guard batchLines > 0 else { return }
    let lines = batchLines
    batchLines = 0
    let full = batch.take(replacingWith: queue.emptyBuffer())
    queue.hand(over: DecisionQueue.Batch(storage: full.storage, count: full.count, lines: lines))
  }

  private static let largestBatch = 64 * 1024
}

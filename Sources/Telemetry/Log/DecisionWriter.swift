internal import Bytes
internal import Glibc

/// The writer thread's work: takes batches, writes them, and says when lines were lost.
struct DecisionWriter: ~Copyable {
  private let queue: DecisionQueue
  private var sink: LogSink
  private let serverLog: ServerLog
  // Where losing a line is not allowed, a failing destination is tried again until it works.
  private let keepsTrying: Bool
  private let isText: Bool
  private var isFailing = false
  private var reportedDrops: UInt64 = 0
  private var lastSummaryMillis = 0
  private var timestamp = Timestamp()

  init(queue: DecisionQueue, sink: consuming LogSink, serverLog: ServerLog, keepsTrying: Bool, isText: Bool) {
    self.queue = queue
    self.sink = sink
    self.serverLog = serverLog
    self.keepsTrying = keepsTrying
    self.isText = isText
  }

  mutating func run() {
    while true {
      let work = queue.nextWork()
      if work.wantsReopen { reopen() }
      for batch in work.batches { write(batch) }
      if work.wantsStop && queue.endIfEmpty() {
        reportDrops(atLeastApartMillis: 0)
        sink.close()
        queue.reportStopped()
        return
      }
      reportDrops(atLeastApartMillis: Self.summaryMillis)
    }
  }

  private mutating func reopen() {
    do {
      try sink.reopen()
      serverLog.info("decision_log_reopened")
    } catch {
      serverLog.error("decision_log_reopen_failed", ["error": .text(error.description)])
    }
  }

  private mutating func write(_ batch: DecisionQueue.Batch) {
    var offset = 0
    while let (failure, reached) = sink.write(batch.storage, from: offset, to: batch.count) {
      if !isFailing {
        isFailing = true
        serverLog.error("decision_log_failed", ["error": .text(failure.description), "keeps_trying": .flag(keepsTrying)])
      }
      if keepsTrying && !queue.wantsStop {
        offset = reached
        poll(nil, 0, Self.retryMillis)
        continue
      }
      let lost = batch.storage[reached..<batch.count].reduce(0) { $0 + ($1 == ASCII.lf ? 1 : 0) }
      queue.countDropped(lost)
      queue.done(with: batch, written: batch.lines - lost)
      return
    }
    if isFailing {
      isFailing = false
      serverLog.info("decision_log_recovered")
    }
    queue.done(with: batch, written: batch.lines)
  }

  /// One line for all that was lost since the last such line.
  private mutating func reportDrops(atLeastApartMillis interval: Int) {
    let drops = queue.droppedLines
    guard drops > reportedDrops, !isFailing else { return }
    let now = MonotonicClock.millis()
    guard lastSummaryMillis == 0 || now - lastSummaryMillis >= interval else { return }
    var line = LineBuffer()
    line.write { appendSummary(of: drops - reportedDrops, to: &$0) }
    guard sink.write(line.bytes, from: 0, to: line.count) == nil else { return }
    reportedDrops = drops
    lastSummaryMillis = now
  }

  private mutating func appendSummary(of lost: UInt64, to line: inout LineCursor) {
    if isText {
      timestamp.appendTimeOfDay(WallClock.millis(), to: &line)
      line.append(" ! ")
      line.append(integer: lost)
      line.append(" decisions were not logged: the log could not keep up\n")
    } else {
      line.append(#"{"v":1,"type":"summary","time":""#)
      timestamp.append(WallClock.millis(), to: &line)
      line.append(#"","dropped":"#)
      line.append(integer: lost)
      line.append("}\n")
    }
  }

  private static let retryMillis: Int32 = 100
  private static let summaryMillis = 1000
}

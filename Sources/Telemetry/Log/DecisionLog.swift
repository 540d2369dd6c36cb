internal import Net

/// The decision log: lines are made by the workers and written by one thread a sink.
///
/// A worker never waits for a disk or a pipe unless the configuration asks for it. What does not fit is dropped and
/// counted, or refused, or waited for, as `onFull` says.
public final class DecisionLog: Sendable {
  /// What happens to a request when the queue has no room.
  public enum FullPolicy: String, Sendable, CaseIterable {
    /// The request goes on; its line is dropped and counted.
    case drop
    /// The worker waits for room.
    case block
    /// The request is refused (`log_full`).
    case deny
  }

  /// How lines look.
  public enum Format: Sendable {
    /// One JSON object a line, schema version 1.
    case json
    /// Readable lines.
    case text(DecisionText)
    /// Elastic Common Schema; the version is our own.
    case ecs(version: String)
    /// Open Cybersecurity Schema Framework, API Activity; the version is our own.
    case ocsf(version: String)
    /// CloudWatch's embedded metric format: the native line with metrics.
    case emf
    /// OpenTelemetry log records: with a message, each line is one whole; without, a sender puts it around many.
    case otlp(OTLPMessage?)
  }

  /// A sink's settings.
  public struct Options: Sendable {
    /// Where lines go.
    public var destination: DecisionLogDestination
    /// How they look.
    public var format: Format
    /// What happens when there is no room.
    public var onFull: FullPolicy
    /// How many lines may wait.
    public var capacityLines: Int
    /// How many bytes may wait.
    public var capacityBytes: Int
    /// What of decisions is written.
    public var shape: DecisionShape

    /// Settings; the defaults are a bounded queue that drops.
    public init(
      destination: DecisionLogDestination = .standardOutput, format: Format = .json, onFull: FullPolicy = .drop,
      capacityLines: Int = 8192, capacityBytes: Int = 16 << 20,
      shape: DecisionShape = DecisionShape()
    ) {
      self.destination = destination
      self.shape = shape
      self.format = format
      self.onFull = onFull
      self.capacityLines = max(capacityLines, 1)
      self.capacityBytes = max(capacityBytes, 1 << 16)
    }
  }

  /// One place that lines go to.
  struct Sink: Sendable {
    let name: String
    let options: Options
    let queue: DecisionQueue
    let counts = LogCounts()
  }

  let sinks: [Sink]
  var queue: DecisionQueue { sinks[0].queue }

  /// Opens the destination of one sink and starts its writer thread.
  public convenience init(_ options: Options, serverLog: ServerLog = ServerLog()) throws(SystemCallError) {
    try self.init([options], serverLog: serverLog)
  }

  /// Opens the destinations and starts a writer thread for each.
  /// - Parameters:
  ///   - options: The settings of each sink, one at least and 64 at most.
  ///   - serverLog: Where trouble with a destination is told.
  /// - Throws: What opening a file or starting a thread failed with.
  public init(_ options: [Options], serverLog: ServerLog = ServerLog()) throws(SystemCallError) {
    var sinks: [Sink] = []
    for one in (options.isEmpty ? [Options(destination: .none)] : options).prefix(64) {
      let kind = one.destination.name
      let others = sinks.count { $0.options.destination.name == kind }
      sinks.append(
        Sink(
          name: others == 0 ? kind : "\(kind)-\(others + 1)", options: one,
          queue: try DecisionQueue(capacityLines: one.capacityLines, capacityBytes: one.capacityBytes)))
    }
    self.sinks = sinks
    var opened: [LogSink] = []
    for sink in sinks { opened.append(try LogSink(opening: sink.options.destination)) }
    do throws(NetError) {
      for (index, sink) in sinks.enumerated() {
        let place = opened[index]
        // Not joined: a destination that is stuck must not hold up the process's end.
        try startThread(name: index == 0 ? "log" : "log-\(index + 1)", stackBytes: 256 * 1024) {
          var writer = DecisionWriter(
            sink.name, queue: sink.queue, sink: place, counts: sink.counts, options: sink.options, serverLog: serverLog)
          writer.run()
        }.detach()
      }
    } catch {
      guard case .system(let call, let code) = error else { throw SystemCallError(call: error.description, code: 0) }
      throw SystemCallError(call: call, code: code)
    }
  }

  deinit { for sink in sinks { sink.queue.requestStop() } }

  /// A worker's own end of the log. Make it on the worker's thread and keep it there.
  public func port() -> DecisionLogPort { DecisionLogPort(sinks) }

  /// Opens files anew under their names, for log rotation, and connects to sockets anew. Returns at once; the writer threads do it.
  public func reopen() { for sink in sinks { sink.queue.requestReopen() } }

  /// Writes what waits and stops the writer threads. Workers must have flushed; lines that come later are dropped.
  /// - Parameters:
  ///   - timeoutMillis: How long to wait for slow destinations.
  ///   - turning: Called again and again while waiting: where a collector is sent to by the caller's own loop, it must turn.
  /// - Returns: Whether everything that waited was written.
  public func drain(timeoutMillis: Int, turning: (() -> Void)? = nil) -> Bool {
    let before = droppedLines
    for sink in sinks { sink.queue.requestStop() }
    let deadline = MonotonicClock.millis() + timeoutMillis
    var isDrained = true
    for sink in sinks {
      while true {
        let left = max(deadline - MonotonicClock.millis(), 0)
        turning?()
        if sink.queue.waitUntilStopped(timeoutMillis: turning == nil ? left : min(left, Self.turnMillis)) { break }
        guard left > 0 else {
          isDrained = false
          break
        }
      }
    }
    return isDrained && droppedLines == before
  }

  /// How many lines were dropped since the start.
  public var droppedLines: UInt64 { sinks.reduce(0) { $0 + $1.queue.droppedLines } }
  /// How many lines were written since the start.
  public var writtenLines: UInt64 { sinks.reduce(0) { $0 + $1.queue.writtenLines } }
  /// How many lines wait to be written.
  public var queuedLines: Int { sinks.reduce(0) { $0 + $1.queue.queuedLines } }

  /// The log's own numbers, by sink.
  var samples: [Metrics.Sample] {
    sinks.flatMap { sink -> [Metrics.Sample] in
      let label = MetricLabel("sink", sink.name)
      return [
        Metrics.Sample(.logDropped, [label], value: Double(sink.queue.droppedLines)),
        Metrics.Sample(.logQueue, [label], value: Double(sink.queue.queuedLines)),
      ]
        + LogCounts.Action.allCases.map {
          Metrics.Sample(.logFailures, [label, MetricLabel("action", $0.rawValue)], value: Double(sink.counts.failures($0)))
        }
    }
  }

  private static let turnMillis = 5
}

internal import Net

/// The decision log: lines are made by the workers and written by one thread.
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
  }

  /// A log's settings.
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

  let queue: DecisionQueue
  let options: Options

  /// Opens the destination and starts the writer thread.
  /// - Parameters:
  ///   - options: The settings.
  ///   - serverLog: Where trouble with the destination is told.
  /// - Throws: What opening the file or starting the thread failed with.
  public init(_ options: Options, serverLog: ServerLog = ServerLog()) throws(SystemCallError) {
    self.options = options
    self.queue = try DecisionQueue(capacityLines: options.capacityLines, capacityBytes: options.capacityBytes)
    let sink = try LogSink(opening: options.destination)
    let queue = queue
    let isText = if case .text = options.format { true } else { false }
    let keepsTrying = options.onFull != .drop
    do throws(NetError) {
      // Not joined: a destination that is stuck must not hold up the process's end.
      try startThread(name: "log", stackBytes: 256 * 1024) {
        var writer = DecisionWriter(queue: queue, sink: sink, serverLog: serverLog, keepsTrying: keepsTrying, isText: isText)
        writer.run()
      }.detach()
    } catch {
      guard case .system(let call, let code) = error else { throw SystemCallError(call: error.description, code: 0) }
      throw SystemCallError(call: call, code: code)
    }
  }

  deinit { queue.requestStop() }

  /// A worker's own end of the log. Make it on the worker's thread and keep it there.
  public func port() -> DecisionLogPort { DecisionLogPort(queue: queue, options: options) }

  /// Opens the file anew under its name, for log rotation. Returns at once; the writer thread does it.
  public func reopen() { queue.requestReopen() }

  /// Writes what waits and stops the writer thread. Workers must have flushed; lines that come later are dropped.
  /// - Parameter timeoutMillis: How long to wait for a slow destination.
  /// - Returns: Whether everything that waited was written.
  public func drain(timeoutMillis: Int) -> Bool {
    let before = queue.droppedLines
    queue.requestStop()
    return queue.waitUntilStopped(timeoutMillis: timeoutMillis) && queue.droppedLines == before
  }

  /// How many lines were dropped since the start.
  public var droppedLines: UInt64 { queue.droppedLines }
  /// How many lines were written since the start.
  public var writtenLines: UInt64 { queue.writtenLines }
  /// How many lines wait to be written.
  public var queuedLines: Int { queue.queuedLines }
}

internal import Bytes
public import HTTP
internal import JSON
public import Net

/// Sends records of one signal to a collector by OTLP/HTTP in JSON: from one loop, a request at a time, in the order given.
///
/// What the collector cannot take now is tried again, ever later, as OTLP wants; what it will never take is dropped. What waits
/// is bounded, and whatever is lost is counted and told.
public final class OTLPSender {
  /// Where and how.
  public struct Settings: Sendable {
    /// The signal's address, path included.
    public var url: HTTPURL
    /// Fields that are sent along, such as a collector's key.
    public var fields = FieldBlock()
    /// The message around the records.
    public var message: OTLPMessage
    /// How long one request may take.
    public var timeoutMillis: UInt64 = 10_000
    /// How many records may wait; what comes then is dropped. nil where whoever offers them bounds them.
    public var capacity: Int? = 4096
    /// How many bytes of records a request carries, more or less: a batch is not cut.
    public var requestBytes = 1 << 20
    /// The shortest time between the beginnings of two requests that are not full.
    public var paceMillis: UInt64 = 1000
    /// How long a request is tried again; nil for as long as it takes.
    public var giveUpMillis: UInt64? = 300_000

    /// Settings with the usual bounds.
    public init(_ url: HTTPURL, _ message: OTLPMessage) {
      self.url = url
      self.message = message
    }
  }

  /// What became of a batch.
  public enum Fate: Sendable {
    /// The collector has it; so many of its records it did not want.
    case sent
    /// It is lost.
    case dropped
  }

  private struct Batch {
    let lines: [UInt8]
    let count: Int
    let completion: ((Fate) -> Void)?
  }

  private struct Flight {
    let batches: [Batch]
    let body: [UInt8]
    let beganAt: UInt64
    var tries = 0

    var count: Int { batches.reduce(0) { $0 + $1.count } }
  }

  private let loop: EventLoop
  private let client: HTTPClient
  private let signal: OTLPSignal
  private let settings: Settings
  private let serverLog: ServerLog
  private var waiting: [Batch] = []
  private var waitingLines = 0
  private var waitingBytes = 0
  private var flight: Flight?
  private var call: HTTPCall?
  private var timer: TimerID?
  private var lastBeganAt: UInt64?
  private var isFailing = false
  private var toldOfRejectsAt: UInt64?
  private var isClosed = false
  private var drained: (() -> Void)?

  /// How much was sent and lost, for metrics; readable from any thread.
  public let counts: OTLPCounts

  /// A sender.
  ///
  /// - Parameter client: Makes the requests; its bounds of time are set here.
  public init(_ loop: EventLoop, client: HTTPClient, _ signal: OTLPSignal, _ settings: Settings, serverLog: ServerLog) {
    self.loop = loop
    self.client = client
    self.signal = signal
    self.settings = settings
    self.serverLog = serverLog
    counts = OTLPCounts(signal)
  }

  /// Takes lines to send, each a JSON object and a line feed. The completion is called once, never from within this call.
  public func offer(_ lines: [UInt8], count: Int, completion: ((Fate) -> Void)? = nil) {
    let batch = Batch(lines: lines, count: count, completion: completion)
    if isClosed || settings.capacity.map({ waitingLines + count > $0 }) ?? false { return drop([batch]) }
    waiting.append(batch)
    waitingLines += count
    waitingBytes += lines.count
    proceed()
  }

  /// Sends what waits without pausing, and calls back when nothing waits any more.
  public func drain(_ completion: @escaping () -> Void) {
    drained = completion
    if flight == nil, let timer {
      loop.cancel(timer)
      self.timer = nil
    }
    proceed()
  }

  /// Gives up what was not sent.
  public func close() {
    guard !isClosed else { return }
    isClosed = true
    call?.cancel()
    call = nil
    if let timer { loop.cancel(timer) }
    timer = nil
    let lost = (flight?.batches ?? []) + waiting
    flight = nil
    waiting = []
    (waitingLines, waitingBytes) = (0, 0)
    drop(lost)
  }

  // MARK: - One request after the other

  private func proceed() {
    guard !isClosed, flight == nil, timer == nil else { return }
    guard !waiting.isEmpty else {
      let completion = drained
      drained = nil
      if let completion { loop.later(completion) }
      return
    }
    let due = lastBeganAt.map { $0 + settings.paceMillis } ?? 0
    if due > loop.now, waitingBytes < settings.requestBytes, drained == nil {
      timer = loop.after(due - loop.now) { [self] in
        timer = nil
        begin()
      }
      return
    }
    begin()
  }

  private func begin() {
    var bytes = 0
    var count = 0
    while count < waiting.count, count == 0 || bytes + waiting[count].lines.count <= settings.requestBytes {
      bytes += waiting[count].lines.count
      count += 1
    }
    let batches = Array(waiting.prefix(count))
    waiting.removeFirst(count)
    waitingBytes -= bytes
    waitingLines -= batches.reduce(0) { $0 + $1.count }
    lastBeganAt = loop.now
    flight = Flight(batches: batches, body: settings.message.body(batches.map(\.lines)), beganAt: loop.now)
    send()
  }

  private func send() {
    guard let body = flight?.body else { return }
    var fields = settings.fields
    fields.append("Content-Type", "application/json")
    client.limits.totalMillis = settings.timeoutMillis
    client.limits.connectMillis = min(settings.timeoutMillis, 5_000)
    call = client.send(HTTPClient.Request(.post, settings.url, fields: fields, body: body)) { [self] result in
      call = nil
      answered(result)
    }
  }

  private func answered(_ result: Result<HTTPClient.Response, NetError>) {
    switch result {
    case .failure(let error): tryAgain(because: error.description, after: nil)
    case .success(let response):
      switch response.status.code {
      case 200...299: sent(response)
      // The only ones that OTLP wants tried again.
      case 429, 502, 503, 504:
        let seconds = response.field("Retry-After").flatMap { UInt64($0) }
        tryAgain(because: "the collector answered \(response.status)", after: seconds)
      default: giveUp("the collector answered \(response.status)")
      }
    }
  }

  private func sent(_ response: HTTPClient.Response) {
    guard let done = flight else { return }
    flight = nil
    let rejected = min(Self.rejected(response.body), done.count)
    counts.add(sent: done.count - rejected, dropped: rejected)
    if rejected > 0, toldOfRejectsAt.map({ loop.now >= $0 + 60_000 }) ?? true {
      toldOfRejectsAt = loop.now
      serverLog.warn("otlp_rejected", ["signal": .text(signal.rawValue), "records": .integer(rejected)])
    }
    if isFailing {
      isFailing = false
      serverLog.info("otlp_recovered", ["signal": .text(signal.rawValue)])
    }
    for batch in done.batches { batch.completion?(.sent) }
    proceed()
  }

  private func tryAgain(because why: String, after seconds: UInt64?) {
    guard var failed = flight else { return }
    if let limit = settings.giveUpMillis, loop.now >= failed.beganAt + limit { return giveUp(why) }
    tell(why)
    let step = min(Self.firstDelayMillis << min(UInt64(failed.tries), 10), Self.longestDelayMillis)
    failed.tries += 1
    flight = failed
    // Those who failed together do not come back together.
    let own = step / 2 + UInt64.random(in: 0...(step / 2))
    let wait = max(own, min(seconds ?? 0, 300) * 1000)
    timer = loop.after(wait) { [self] in
      timer = nil
      send()
    }
  }

  private func giveUp(_ why: String) {
    tell(why)
    guard let lost = flight else { return }
    flight = nil
    drop(lost.batches)
    proceed()
  }

  private func drop(_ batches: [Batch]) {
    counts.add(sent: 0, dropped: batches.reduce(0) { $0 + $1.count })
    // Whoever offers must not be called from within.
    loop.later { for batch in batches { batch.completion?(.dropped) } }
  }

  private func tell(_ why: String) {
    // Once for one trouble, however long it lasts.
    guard !isFailing else { return }
    isFailing = true
    serverLog.warn("otlp_failed", ["signal": .text(signal.rawValue), "to": .text(settings.url.description), "why": .text(why)])
  }

  /// How many records a collector says it did not take: `partialSuccess`, whose number is a string in protobuf's JSON.
  static func rejected(_ body: [UInt8]) -> Int {
    do throws(JSONError) {
      let answer = try JSONParser.parse(body, limits: .init(depth: 16, bytes: 64 * 1024))
      guard let partial = answer["partialSuccess"] else { return 0 }
      let number = partial["rejectedLogRecords"] ?? partial["rejectedSpans"]
      // (No `integer.map`: the 6.3.1 optimizer fails on that, in its pass CopyPropagation.)
      if let count = number?.integer { return max(Int(clamping: count), 0) }
      return max(number?.string.flatMap { Int($0) } ?? 0, 0)
    } catch {
      // A collector that answers in another form has taken all.
      return 0
    }
  }

  private static let firstDelayMillis: UInt64 = 500
  private static let longestDelayMillis: UInt64 = 30_000
}

internal import HTTP
internal import JOSE
internal import JSON
public import Net
internal import Pipeline
internal import Telemetry

/// Fetches the issuers' keys and tells the workers: on the control loop, one fetch at a time an issuer, at a bounded rate.
///
/// The last good keys serve while fetching fails, for as long as `KeyFreshness` says; after that, and before the first
/// fetch has succeeded, an issuer's tokens cannot be judged, which is a 503 and never a 401.
///
/// A token may name a key that the set lacks: after a rotation, or because somebody made the name up. Both look alike before
/// a fresh copy is there, so both are treated alike. A copy is fetched at most once in `minimumIntervalMillis`, at once if the
/// last fetch was longer ago; whoever names an unknown key waits for a copy that was asked for after its request came
/// (`Facts.keys`) and is judged by that one. So made-up names cause one fetch an interval, however many they are; they
/// cannot make a token with a new key be refused, nor wait longer than one interval and one fetch (under such an attack
/// new keys are in fact known sooner, often before they sign); and what they hold while they wait is bounded and shared by
/// where they come from (`WaitingRoom`). Names that were found missing are not remembered: a key may be published a moment
/// later, and the next copy must count for it as for any other.
///
/// A key may also be replaced under its own name, against all advice. A bad signature cannot be told from a forged one, so it is refused at
/// once; it asks for a copy as an unknown name does, within the same interval, so that the new key is known an interval and a fetch later.
final class KeyRing {
  private struct Entry {
    let issuer: Issuer
    let allowsInsecure: Bool
    let freshness: KeyFreshness
    var set: JWKSet?
    var generation: UInt64 = 0
    /// When the set was fetched, in seconds since 1970.
    var fetchedAt: Int64 = 0
    /// When it was asked for, and when the last fetch that failed began: monotonic nanoseconds.
    var askedAt: UInt64 = 0
    var failedAt: UInt64 = 0
    /// When the last fetch began.
    var attempt: (loopMillis: UInt64, nanos: UInt64)?
    var failures = 0
    /// Why the set that serves, or the lack of one, could not be mended.
    var failure: String?
    var call: HTTPCall?
    var next: (timer: TimerID, at: UInt64)?
    /// When and what was last kept on disk.
    var keptAt: Int64 = 0
    var keptGeneration: UInt64 = 0

    /// Whether the keys came with the configuration: there is nothing to fetch, and they do not age.
    var isFixed: Bool { if case .file = issuer.keys { true } else { false } }
    /// Whether this ring fetches them: neither those that came with the configuration, nor those that are fetched one by one.
    var isFetched: Bool { !isFixed && issuer.keys != .noSet }
  }

  private let loop: EventLoop
  private let client: HTTPClient
  private let serverLog: ServerLog
  private let metrics: MetricsShard
  private let trustsDevelopmentKeys: Bool
  private let snapshots: KeySnapshots?
  private let publish: (IssuerKeys, Int) -> Void
  private var entries: [Entry]

  init(
    _ loop: EventLoop, client: HTTPClient, issuers: [(issuer: Issuer, settings: IssuerConfiguration)], after before: KeyRing?,
    trustsDevelopmentKeys: Bool, snapshots: KeySnapshots?, serverLog: ServerLog, metrics: MetricsShard,
    publish: @escaping (IssuerKeys, Int) -> Void
  ) {
    self.loop = loop
    self.client = client
    self.serverLog = serverLog
    self.metrics = metrics
    self.trustsDevelopmentKeys = trustsDevelopmentKeys
    self.snapshots = snapshots
    self.publish = publish
    entries = issuers.map {
      Entry(issuer: $0.issuer, allowsInsecure: $0.settings.allowsInsecureKeys, freshness: $0.settings.keyFreshness)
    }
    before?.close()
    for entry in before?.entries ?? [] where !entries.contains(where: { $0.issuer.name == entry.issuer.name }) {
      let label = MetricLabel("issuer", entry.issuer.name)
      for family in [MetricFamily.keys, .keysFetched, .keysStale] { metrics.withdraw(family, label) }
    }
    for index in entries.indices {
      if case .file(let file) = entries[index].issuer.keys {
        entries[index].set = file.set
        metrics.set(metrics.counter(.keys, MetricLabel("issuer", entries[index].issuer.name)), file.set.keys.count)
      }
      guard entries[index].isFetched else { continue }
      defer { show(index) }
      guard let known = before?.entries.first(where: { $0.issuer.keys == entries[index].issuer.keys }) else {
        recall(index)
        continue
      }
      entries[index].set = known.set
      entries[index].generation = known.generation
      entries[index].fetchedAt = known.fetchedAt
      entries[index].askedAt = known.askedAt
      entries[index].failedAt = known.failedAt
      entries[index].attempt = known.attempt
      entries[index].failures = known.failures
      entries[index].failure = known.failure
      entries[index].keptAt = known.keptAt
      entries[index].keptGeneration = known.keptGeneration
    }
  }

  /// Begins with the key set that an earlier process kept; it serves as one that could not be renewed, until it is.
  private func recall(_ index: Int) {
    guard let (stored, problem) = snapshots?.read(entries[index].issuer.keys) else { return }
    if let problem { serverLog.warn("key_snapshot_ignored", ["issuer": .text(entries[index].issuer.name), "why": .text(problem)]) }
    // A clock that was set back proves nothing about age.
    guard let stored, stored.fetchedAt <= loop.wallSeconds &+ Defaults.clockSkewSeconds else { return }
    do throws(JWKSetError) {
      let set = try JWKSet.parse(stored.body)
      guard !set.keys.isEmpty, trustsDevelopmentKeys || !set.isDevelopment else { return }
      entries[index].set = set
      entries[index].generation = 1
      entries[index].fetchedAt = stored.fetchedAt
      entries[index].failure = "not fetched since the start"
      guard !isTooOld(entries[index]) else { return }
      serverLog.info(
        "keys_recalled",
        [
          "issuer": .text(entries[index].issuer.name), "count": .integer(set.keys.count),
          "age_s": .integer(Int(clamping: loop.wallSeconds &- stored.fetchedAt)),
        ])
    } catch {
      serverLog.warn("key_snapshot_ignored", ["issuer": .text(entries[index].issuer.name), "why": .text(error.description)])
    }
  }

  /// Fetches nothing any more: another ring has taken over.
  private func close() {
    for index in entries.indices {
      entries[index].call?.cancel()
      if let next = entries[index].next { loop.cancel(next.timer) }
    }
  }

  /// What is known of every issuer's keys.
  var known: [IssuerKeys] { entries.indices.map { state(of: $0) } }

  /// Fetches every issuer's keys for the first time.
  func start() {
    for index in entries.indices where entries[index].isFetched {
      // What a ring before this one has fetched a moment ago is not asked for again.
      let age = max(loop.wallSeconds &- entries[index].fetchedAt, 0)
      let refresh = entries[index].freshness.refreshSeconds
      if entries[index].set != nil, entries[index].failure == nil, age < refresh {
        schedule(index, afterMillis: beforeExpiry(refresh - age))
      } else {
        fetch(index)
      }
    }
  }

  /// What stands between an issuer and being judged, for `/readyz`; nil if nothing does.
  func problem(of index: Int) -> String? {
    guard entries.indices.contains(index), entries[index].isFetched else { return nil }
    let entry = entries[index]
    if entry.set == nil || isTooOld(entry) { return entry.failure.map { "keys cannot be fetched: \($0)" } ?? "keys are being fetched" }
    return nil
  }

  /// The names of the issuers, in order.
  var issuerNames: [String] { entries.map(\.issuer.name) }

  /// A request waits for keys: there are none, or its token names one that is not among them. Or a signature was bad: then nobody waits.
  func want(_ index: Int) {
    guard entries.indices.contains(index) else { return }
    // Whoever waits hears of the end of a fetch that is under way, and asks again if it began too early for them.
    guard entries[index].isFetched else { return tell(index) }
    guard entries[index].call == nil else { return }
    guard let attempt = entries[index].attempt else { return fetch(index) }
    let (due, overflow) = attempt.loopMillis.addingReportingOverflow(entries[index].freshness.minimumIntervalMillis)
    guard !overflow, due > loop.now else { return fetch(index) }
    if let next = entries[index].next, next.at <= due { return }
    schedule(index, afterMillis: due - loop.now)
  }

  // MARK: - Fetching

  private func fetch(_ index: Int) {
    guard entries[index].call == nil else { return }
    entries[index].attempt = (loop.now, LoopClock.monotonicNanos())
    if let next = entries[index].next { loop.cancel(next.timer) }
    entries[index].next = nil
    switch entries[index].issuer.keys {
    case .jwks(let url): get(url, for: index) { [unowned self] in receivedKeys($0, for: index) }
    case .noSet: return
    case .discovery(let issuer):
      let base = issuer.hasSuffix("/") ? String(issuer.dropLast()) : issuer
      get(base + "/.well-known/openid-configuration", for: index) { [unowned self] in receivedDiscovery($0, from: issuer, for: index) }
    case .file: break
    }
  }

  private func get(_ text: String, for index: Int, _ completion: @escaping (HTTPClient.Response) -> Void) {
    let url: HTTPURL
    do throws(NetError) {
      url = try HTTPURL.parse(text)
    } catch {
      return failed(index, error.description)
    }
    guard url.isSecure || entries[index].allowsInsecure || KeyURL.isLoopback(url) else {
      return failed(index, "\(url) is plain HTTP: whoever is on the way could replace the keys")
    }
    var fields = FieldBlock()
    fields.append("Accept", "application/json")
    // A cache on the way may hold the set from before a rotation.
    fields.append("Cache-Control", "no-cache")
    entries[index].call = client.send(HTTPClient.Request(.get, url, fields: fields)) { [unowned self] result in
      entries[index].call = nil
      switch result {
      case .failure(let error): failed(index, error.description)
      case .success(let response):
        guard response.status == .ok else { return failed(index, "\(url) answered \(response.status)") }
        completion(response)
      }
    }
  }

  private func receivedDiscovery(_ response: HTTPClient.Response, from issuer: String, for index: Int) {
    let document: JSONValue
    do throws(JSONError) {
      document = try JSONParser.parse(response.body, limits: .init(depth: 32, bytes: 1 << 20))
    } catch {
      return failed(index, "the discovery document is not JSON: \(error)")
    }
    // OpenID Connect Discovery 1.0 §4.3: the document must be about this very issuer.
    guard let named = document["issuer"]?.string, named.utf8.elementsEqual(issuer.utf8) else {
      return failed(index, "the discovery document is about another issuer than \(issuer)")
    }
    guard let keys = document["jwks_uri"]?.string else { return failed(index, "the discovery document has no jwks_uri") }
    get(keys, for: index) { [unowned self] in receivedKeys($0, for: index) }
  }

  private func receivedKeys(_ response: HTTPClient.Response, for index: Int) {
    let set: JWKSet
    do throws(JWKSetError) {
      set = try JWKSet.parse(response.body)
    } catch {
      return failed(index, "the key set cannot be read: \(error)")
    }
    for problem in set.problems {
      serverLog.warn(
        "key_left_out", ["issuer": .text(entries[index].issuer.name), "kid": .text(problem.kid ?? "-"), "why": .text("\(problem.error)")])
    }
    guard !set.keys.isEmpty else { return failed(index, "the key set has no usable key") }
    guard trustsDevelopmentKeys || !set.isDevelopment else {
      return failed(index, "these are a development issuer's keys, with which anyone can sign in; --dev accepts them, never in production")
    }
    if entries[index].set?.fingerprint != set.fingerprint {
      entries[index].generation += 1
      serverLog.info(
        "keys",
        [
          "issuer": .text(entries[index].issuer.name), "count": .integer(set.keys.count),
          "generation": .integer(Int(entries[index].generation)),
        ])
    }
    entries[index].set = set
    entries[index].fetchedAt = loop.wallSeconds
    entries[index].askedAt = entries[index].attempt?.nanos ?? 0
    entries[index].failures = 0
    entries[index].failure = nil
    count(index, result: "success")
    show(index)
    let said = CacheControl.freshSeconds(of: response.head.fields)
    schedule(index, afterMillis: beforeExpiry(entries[index].freshness.life(said: said)))
    // The workers first: a key that is gone must be dead everywhere at once, and the disk may be slow.
    tell(index)
    keep(response.body, index)
  }

  /// Keeps a set for the next process; not at every fetch of a busy time.
  private func keep(_ body: [UInt8], _ index: Int) {
    let entry = entries[index]
    guard let snapshots, entry.keptAt &+ Self.keepingSeconds <= entry.fetchedAt || entry.keptGeneration != entry.generation else { return }
    if let problem = snapshots.write(.init(body: body, fetchedAt: entry.fetchedAt), of: entry.issuer.keys) {
      serverLog.warn("key_snapshot_failed", ["issuer": .text(entry.issuer.name), "why": .text(problem)])
    }
    entries[index].keptAt = entry.fetchedAt
    entries[index].keptGeneration = entry.generation
  }

  private func failed(_ index: Int, _ why: String) {
    entries[index].failures += 1
    entries[index].failure = why
    entries[index].failedAt = entries[index].attempt?.nanos ?? 0
    count(index, result: "failure")
    show(index)
    serverLog.warn("keys_failed", ["issuer": .text(entries[index].issuer.name), "why": .text(why)])
    // 1, 2, 4, … up to 30 seconds: an issuer that comes back is noticed soon, one that is down is not hammered.
    let pause = min(UInt64(1000) << UInt64(min(entries[index].failures - 1, 5)), 30_000)
    schedule(index, afterMillis: pause - pause / 10 + UInt64.random(in: 0...pause / 5))
    tell(index)
  }

  private func schedule(_ index: Int, afterMillis millis: UInt64) {
    if let next = entries[index].next { loop.cancel(next.timer) }
    let timer = loop.after(millis) { [unowned self] in
      entries[index].next = nil
      fetch(index)
    }
    entries[index].next = (timer, loop.now &+ millis)
  }

  // Somewhat before the keys are due, so that none are ever overdue, and never at the same moment as other proxies that
  // started together.
  private func beforeExpiry(_ seconds: Int64) -> UInt64 {
    let millis = UInt64(clamping: max(seconds, 1)) * 1000
    return millis / 100 * UInt64.random(in: 80...95)
  }

  private func usableUntil(_ entry: Entry) -> Int64 {
    entry.fetchedAt &+ entry.freshness.refreshSeconds &+ entry.freshness.maximumStaleSeconds
  }

  private func isTooOld(_ entry: Entry) -> Bool { !entry.isFixed && loop.wallSeconds > usableUntil(entry) }

  private static let keepingSeconds: Int64 = 60

  private func tell(_ index: Int) { publish(state(of: index), index) }

  private func state(of index: Int) -> IssuerKeys {
    let entry = entries[index]
    // Every load is a snapshot of its own, so one generation is enough for keys that only another load changes.
    if entry.isFixed, let set = entry.set { return .known(.init(set: set, generation: 1)) }
    if entry.issuer.keys == .noSet { return .known(.init(set: .empty, generation: 1)) }
    guard let set = entry.set, !isTooOld(entry) else { return entry.failure.map { .unavailable($0) } ?? .unfetched }
    return .known(
      .init(
        set: set, generation: entry.generation, askedAt: entry.askedAt, failedAt: entry.failedAt, usableUntil: usableUntil(entry),
        isStale: entry.failure != nil))
  }

  private func show(_ index: Int) {
    let label = MetricLabel("issuer", entries[index].issuer.name)
    metrics.set(metrics.counter(.keys, label), entries[index].set?.keys.count ?? 0)
    metrics.set(metrics.counter(.keysFetched, label), Int(clamping: entries[index].fetchedAt))
    metrics.set(metrics.counter(.keysStale, label), entries[index].failure == nil ? 0 : 1)
    metrics.publish()
  }

  private func count(_ index: Int, result: String) {
    metrics.add(metrics.counter(.keyRefreshes, MetricLabel("issuer", entries[index].issuer.name), MetricLabel("result", result)))
    metrics.publish()
  }
}

/// Which addresses keys may be fetched from.
public enum KeyURL {
  /// Whether the address can only be on this machine: nobody is on the way there.
  public static func isLoopback(_ url: HTTPURL) -> Bool {
    if url.socketPath != nil || url.host == "localhost" { return true }
    return IPAddress(url.host)?.isLoopback ?? false
  }
}

internal import HTTP
internal import JOSE
internal import JSON
public import Net
internal import Pipeline
internal import Telemetry

/// Fetches the issuers' keys and tells the workers: on the control loop, one fetch at a time an issuer, at a bounded rate.
///
/// The last good keys serve while fetching fails, for as long as `Defaults.keysMaximumStaleSeconds`; after that, and
/// before the first fetch has succeeded, an issuer's tokens cannot be judged, which is a 503 and never a 401.
final class KeyRing {
  private struct Entry {
    let issuer: Issuer
    let allowsInsecure: Bool
    var set: JWKSet?
    var generation: UInt64 = 0
    var fetchedAt: Int64 = 0
    var attemptedAt: Int64?
    var failures = 0
    var failure: String?
    var call: HTTPCall?
    var refresh: TimerID?

    /// Whether the keys came with the configuration: there is nothing to fetch, and they do not age.
    var isFixed: Bool { if case .file = issuer.keys { true } else { false } }
  }

  private let loop: EventLoop
  private let client: HTTPClient
  private let serverLog: ServerLog
  private let metrics: MetricsShard
  private let trustsDevelopmentKeys: Bool
  private let publish: (IssuerKeys, Int) -> Void
  private var entries: [Entry]

  init(
    _ loop: EventLoop, client: HTTPClient, issuers: [(issuer: Issuer, allowsInsecure: Bool)], after before: KeyRing?,
    trustsDevelopmentKeys: Bool,
    serverLog: ServerLog, metrics: MetricsShard,
    publish: @escaping (IssuerKeys, Int) -> Void
  ) {
    self.loop = loop
    self.client = client
    self.serverLog = serverLog
    self.metrics = metrics
    self.trustsDevelopmentKeys = trustsDevelopmentKeys
    self.publish = publish
    entries = issuers.map { Entry(issuer: $0.issuer, allowsInsecure: $0.allowsInsecure) }
    for index in entries.indices {
      guard case .file(let file) = entries[index].issuer.keys else { continue }
      entries[index].set = file.set
      metrics.set(metrics.counter(.keys, MetricLabel("issuer", entries[index].issuer.name)), file.set.keys.count)
    }
    guard let before else { return }
    before.close()
    for index in entries.indices where !entries[index].isFixed {
      guard let known = before.entries.first(where: { $0.issuer.keys == entries[index].issuer.keys }) else { continue }
      entries[index].set = known.set
      entries[index].generation = known.generation
      entries[index].fetchedAt = known.fetchedAt
      entries[index].attemptedAt = known.attemptedAt
      entries[index].failure = known.failure
    }
  }

  /// Fetches nothing any more: another ring has taken over.
  private func close() {
    for index in entries.indices {
      entries[index].call?.cancel()
      if let timer = entries[index].refresh { loop.cancel(timer) }
    }
  }

  /// What is known of every issuer's keys.
  var known: [IssuerKeys] { entries.indices.map { state(of: $0) } }

  /// Fetches every issuer's keys for the first time.
  func start() {
    for index in entries.indices where !entries[index].isFixed {
      // What a ring before this one has fetched a moment ago is not asked for again.
      let age = loop.wallSeconds - entries[index].fetchedAt
      if entries[index].set != nil, entries[index].failure == nil, age < Defaults.keysRefreshSeconds {
        schedule(index, afterMillis: jittered(UInt64(max(Defaults.keysRefreshSeconds - age, 1)) * 1000))
      } else {
        fetch(index)
      }
    }
  }

  /// What stands between an issuer and being judged, for `/readyz`; nil if nothing does.
  func problem(of index: Int) -> String? {
    guard entries.indices.contains(index) else { return nil }
    let entry = entries[index]
    if entry.set == nil || isTooOld(entry) { return entry.failure.map { "keys cannot be fetched: \($0)" } ?? "keys are being fetched" }
    return nil
  }

  /// The names of the issuers, in order.
  var issuerNames: [String] { entries.map(\.issuer.name) }

  /// A request waits for keys: there are none, or its token names one that is not among them.
  func want(_ index: Int) {
    guard entries.indices.contains(index) else { return }
    let entry = entries[index]
    if entry.isFixed { return tell(index) }
    if entry.call != nil { return }
    if let attempted = entry.attemptedAt, loop.wallSeconds < attempted + Defaults.keysMinimumIntervalSeconds {
      // At most one fetch an interval, whatever names tokens bring: the answer is what is known.
      return tell(index)
    }
    fetch(index)
  }

  // MARK: - Fetching

  private func fetch(_ index: Int) {
    guard entries[index].call == nil else { return }
    entries[index].attemptedAt = loop.wallSeconds
    if let timer = entries[index].refresh { loop.cancel(timer) }
    entries[index].refresh = nil
    switch entries[index].issuer.keys {
    case .jwks(let url): get(url, for: index) { [unowned self] in receivedKeys($0, for: index) }
    case .discovery(let issuer):
      let base = issuer.hasSuffix("/") ? String(issuer.dropLast()) : issuer
      get(base + "/.well-known/openid-configuration", for: index) { [unowned self] in receivedDiscovery($0, from: issuer, for: index) }
    case .file: break
    }
  }

  private func get(_ text: String, for index: Int, _ completion: @escaping ([UInt8]) -> Void) {
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
    entries[index].call = client.send(HTTPClient.Request(.get, url, fields: fields)) { [unowned self] result in
      entries[index].call = nil
      switch result {
      case .failure(let error): failed(index, error.description)
      case .success(let response):
        guard response.status == .ok else { return failed(index, "\(url) answered \(response.status)") }
        completion(response.body)
      }
    }
  }

  private func receivedDiscovery(_ body: [UInt8], from issuer: String, for index: Int) {
    let document: JSONValue
    do throws(JSONError) {
      document = try JSONParser.parse(body, limits: .init(depth: 32, bytes: 1 << 20))
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

  private func receivedKeys(_ body: [UInt8], for index: Int) {
    let set: JWKSet
    do throws(JWKSetError) {
      set = try JWKSet.parse(body)
    } catch {
      return failed(index, "the key set cannot be read: \(error)")
    }
    for problem in set.problems {
      serverLog.warn(
        "key_left_out", ["issuer": .text(entries[index].issuer.name), "kid": .text(problem.kid ?? "-"), "why": .text("\(problem.error)")])
    }
    guard !set.keys.isEmpty else { return failed(index, "the key set has no usable key") }
    guard trustsDevelopmentKeys || !Self.isDevelopmentSet(body) else {
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
    entries[index].failures = 0
    entries[index].failure = nil
    count(index, result: "success")
    metrics.set(metrics.counter(.keys, MetricLabel("issuer", entries[index].issuer.name)), set.keys.count)
    metrics.set(metrics.counter(.keysFetched, MetricLabel("issuer", entries[index].issuer.name)), Int(loop.wallSeconds))
    schedule(index, afterMillis: jittered(UInt64(Defaults.keysRefreshSeconds) * 1000))
    tell(index)
  }

  // The development issuer marks its set, whatever `iss` its tokens have.
  private static func isDevelopmentSet(_ body: [UInt8]) -> Bool {
    do throws(JSONError) { return try JSONParser.parse(body)["stockade_development"] != nil } catch { return false }
  }

  private func failed(_ index: Int, _ why: String) {
    entries[index].failures += 1
    entries[index].failure = why
    count(index, result: "failure")
    serverLog.warn("keys_failed", ["issuer": .text(entries[index].issuer.name), "why": .text(why)])
    // 1, 2, 4, … up to 30 seconds: an issuer that comes back is noticed soon, one that is down is not hammered.
    let pause = min(UInt64(1000) << UInt64(min(entries[index].failures - 1, 5)), 30_000)
    schedule(index, afterMillis: jittered(pause))
    tell(index)
  }

  private func schedule(_ index: Int, afterMillis millis: UInt64) {
    entries[index].refresh = loop.after(millis) { [unowned self] in
      entries[index].refresh = nil
      fetch(index)
    }
  }

  // Many proxies that started together should not ask together for ever.
  private func jittered(_ millis: UInt64) -> UInt64 { millis - millis / 10 + UInt64.random(in: 0...max(millis / 5, 1)) }

  private func isTooOld(_ entry: Entry) -> Bool { !entry.isFixed && loop.wallSeconds > entry.fetchedAt + Defaults.keysMaximumStaleSeconds }

  private func tell(_ index: Int) { publish(state(of: index), index) }

  private func state(of index: Int) -> IssuerKeys {
    let entry = entries[index]
    // Every load is a snapshot of its own, so one generation is enough for keys that only another load changes.
    if entry.isFixed, let set = entry.set { return .known(.init(set: set, generation: 1, mayRefetchAt: .max, isStale: false)) }
    guard let set = entry.set, !isTooOld(entry) else { return entry.failure.map { .unavailable($0) } ?? .unfetched }
    let mayRefetchAt = (entry.attemptedAt ?? 0) + Defaults.keysMinimumIntervalSeconds
    return .known(.init(set: set, generation: entry.generation, mayRefetchAt: mayRefetchAt, isStale: entry.failure != nil))
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

internal import AWS
internal import AWSClient
internal import Net
internal import Pipeline
internal import Proxy
internal import Telemetry

/// Looks at a store from time to time, on the control loop, and puts in force what has changed. What cannot be put in force changes
/// nothing, and neither does a store that cannot be reached.
final class StoreFollower {
  /// What came of looking, for the metrics.
  private struct Numbers: Sendable {
    var results = ["unchanged": 0, "changed": 0, "refused": 0, "failed": 0]
    var readAt: Int64 = 0
  }

  private let loop: EventLoop
  private let source: PolicySource
  private let followed: FollowedStore
  private let reader: PolicyStoreReader
  private let keeper: CredentialKeeper
  private let serverLog: ServerLog
  private let numbers = Locked(Numbers())
  private var putInForce: ((@escaping (Bool) -> Void) -> Void)?
  // What was refused is not tried again until it, or the configuration, is another.
  private var refused: PolicyStoreContents?
  private var failure: String?

  /// A follower of what a process started with; or why the store's place cannot be known.
  init(
    _ loop: EventLoop, _ source: PolicySource, _ followed: FollowedStore, metrics: Metrics, serverLog: ServerLog
  ) throws(ConfigurationError) {
    self.loop = loop
    self.source = source
    self.followed = followed
    self.serverLog = serverLog
    let tls: TLSContext
    do throws(NetError) { tls = try TLSContext(clientTrusting: .system) } catch { throw ConfigurationError([error.description]) }
    var problems: [String] = []
    guard let plan = EnginePlan.make(source.store, AWSFiles.read(), tls: tls, &problems) else { throw ConfigurationError(problems) }
    do throws(NetError) {
      let resolver = try Resolver(loop)
      let fetch = CredentialFetch(loop, resolver: resolver, tls: tls, setting: plan.setting)
      keeper = CredentialKeeper(loop, source: plan.source, fetch: fetch) { _ in }
      let calls = PolicyStoreCalls(loop, resolver: resolver, tls: tls, at: plan.url, region: plan.region, credentials: keeper, attempts: 3)
      reader = PolicyStoreReader(calls, store: source.store.policyStore)
    } catch {
      throw ConfigurationError([error.description])
    }
    let numbers = numbers
    metrics.collect {
      let now = numbers.withLock { $0 }
      return now.results.sorted { $0.key < $1.key }.map {
        Metrics.Sample(.storePolls, [MetricLabel("result", $0.key)], value: Double($0.value))
      } + [Metrics.Sample(.storeRead, value: Double(now.readAt))]
    }
  }

  /// Begins; `putInForce` loads what `followed` has as candidate and says whether that is in force.
  func start(_ putInForce: @escaping (@escaping (Bool) -> Void) -> Void) {
    self.putInForce = putInForce
    look()
  }

  /// The configuration is another: what was refused under the one before may be good.
  func reconsider() { refused = nil }

  private func look() {
    reader.read(after: followed.current) { [self] result in
      switch result {
      case .failure(let error): failed(error.description)
      case .success(let contents): found(contents)
      }
    }
  }

  private func found(_ contents: PolicyStoreContents) {
    numbers.withLock { $0.readAt = loop.wallSeconds }
    if failure != nil {
      serverLog.info("policy_store_back", ["policy_store": .text(source.store.policyStore)])
      failure = nil
    }
    guard contents != followed.current, contents != refused else { return settle("unchanged") }
    followed.candidate = contents
    putInForce? { [self] isInForce in
      followed.candidate = nil
      guard isInForce else {
        refused = contents
        serverLog.error(
          "policy_store_refused",
          [
            "policy_store": .text(contents.id), "kept": true,
            "meaning": "its policies or schema cannot be used; those before stay in force",
          ])
        return settle("refused")
      }
      if let why = followed.adopted(contents) { serverLog.warn("policy_store_copy_failed", ["why": .text(why)]) }
      settle("changed")
    }
  }

  private func failed(_ why: String) {
    // Said once for each reason, not at every look.
    if failure != why {
      serverLog.warn(
        "policy_store_failed",
        ["policy_store": .text(source.store.policyStore), "why": .text(why), "meaning": "the policies before stay in force"])
    }
    failure = why
    settle("failed")
  }

  private func settle(_ result: String) {
    numbers.withLock { $0.results[result, default: 0] += 1 }
    loop.after(source.pollMillis) { [weak self] in self?.look() }
  }
}

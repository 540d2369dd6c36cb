internal import Bytes

/// Amazon Verified Permissions as an engine: which store is asked, how, and for how long.
public struct RemoteEngine: Sendable, Equatable {
  /// What is sent.
  public enum Operation: String, Sendable, CaseIterable {
    /// Our mapping's principal, entities and context.
    case isAuthorized = "IsAuthorized"
    /// The token itself; the service reads it by the store's identity source.
    case isAuthorizedWithToken = "IsAuthorizedWithToken"
  }

  /// The store: an id, or `policy-store-alias/…`.
  public var policyStore: String
  /// What is sent.
  public var operation = Operation.isAuthorized
  /// The region; nil for the environment's or the profile's.
  public var region: String?
  /// The service's URL; nil for the region's.
  public var endpoint: String?
  /// Whether validated hosts are wanted; nil as the environment says.
  public var fips: Bool?
  /// Whether hosts with IPv6 addresses are wanted; nil as the environment says.
  public var dualStack: Bool?
  /// The profile whose credentials sign; nil for the usual chain.
  public var profile: String?
  /// The identity pool whose credentials sign; nil for the usual chain.
  public var identityPool: String?
  /// How long a request waits for the answer, all tries together, in milliseconds.
  public var timeoutMillis = Defaults.remoteTimeoutMillis
  /// How long one try may take.
  public var attemptMillis = Defaults.remoteAttemptMillis
  /// How long connecting may take.
  public var connectMillis = Defaults.remoteConnectMillis
  /// How often the service is asked at most.
  public var attempts = Defaults.remoteAttempts
  /// How many questions of a worker are asked at the same time.
  public var concurrency = Defaults.remoteConcurrency
  /// How many more wait for their turn.
  public var queue = Defaults.remoteQueue
  /// How long an answer serves, in milliseconds; 0 for none.
  public var cacheMillis: UInt64 = 0
  /// Whether questions that wait at the same moment travel together.
  public var batches = false
  /// Whether the local engine decides where the service does not.
  public var fallsBack = false

  /// An engine that asks a store.
  public init(policyStore: String) { self.policyStore = policyStore }

  /// Reads an engine's settings.
  init?(_ setting: Setting, _ report: inout ConfigurationReport) {
    guard let store = setting.text("policy_store"), Self.isStore(store) else {
      report.add(
        setting["policy_store"] ?? setting, "no policy store is named",
        help: "write verified_permissions: { policy_store: 'PSEXAMPLEabcdefg111111' }")
      return nil
    }
    self.init(policyStore: store)
    operation = setting.text("operation").flatMap(Operation.init) ?? operation
    region = setting.text("region")
    endpoint = setting.text("endpoint")
    fips = setting["fips"]?.bool
    dualStack = setting["dual_stack"]?.bool
    profile = setting.text("profile")
    identityPool = setting.text("identity_pool")
    timeoutMillis = setting["timeout"]?.count ?? timeoutMillis
    attemptMillis = setting["attempt_timeout"]?.count ?? min(attemptMillis, timeoutMillis)
    connectMillis = setting["connect_timeout"]?.count ?? min(connectMillis, attemptMillis)
    if let count = setting["attempts"]?.integer { attempts = Int(clamping: count) }
    if let count = setting["max_in_flight"]?.integer { concurrency = Int(clamping: count) }
    if let count = setting["max_waiting"]?.integer { queue = Int(clamping: count) }
    cacheMillis = setting["cache"]?.count ?? 0
    batches = setting["batch"]?.bool ?? false
    fallsBack = setting.text("fallback") == "local"
    for (name, inner, outer) in [("attempt_timeout", attemptMillis, timeoutMillis), ("connect_timeout", connectMillis, attemptMillis)]
    where inner > outer {
      report.add(
        setting[name], "is longer than what it is a part of, so it has no effect",
        help: "connect_timeout is a part of attempt_timeout, and that of timeout")
    }
    if let endpoint, fips == true || dualStack == true {
      report.add(
        setting["endpoint"], "\(endpoint) is the host, whatever fips and dual_stack say",
        help: "give the endpoint or the switches, not both")
    }
    if profile != nil, identityPool != nil {
      report.add(setting["identity_pool"], "credentials come from a profile or from an identity pool", help: "keep one of the two")
    }
  }

  /// Whether a text can name a store.
  public static func isStore(_ text: String) -> Bool {
    (1...200).contains(text.utf8.count)
      && text.utf8.allSatisfy { ASCII.isAlpha($0) || ASCII.isDigit($0) || "-/_".utf8.contains($0) }
  }
}

/// Who decides.
public enum Engine: Sendable, Equatable {
  /// The Cedar engine in this process.
  case local
  /// A service, by its place among the configuration's engines.
  case remote(Int)
}

/// Collects the engines of a configuration, each once.
struct EngineBuilder {
  private(set) var engines: [RemoteEngine] = []

  /// The engine that a setting names; nil if it names none.
  mutating func engine(_ setting: Setting?, _ report: inout ConfigurationReport) -> Engine? {
    guard let setting, setting.origin != .byDefault else { return nil }
    guard setting.members.count == 1, let one = setting.members.first else {
      report.add(setting, "an engine is one of its kinds", help: "write engine: { local: {} }")
      return nil
    }
    guard exactlyEquals(one.name, "verified_permissions") else { return .local }
    guard let remote = RemoteEngine(one.setting, &report) else { return nil }
    if let known = engines.firstIndex(of: remote) { return .remote(known) }
    engines.append(remote)
    return .remote(engines.count - 1)
  }
}

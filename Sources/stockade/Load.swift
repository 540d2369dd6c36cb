internal import Admin
internal import Bytes
internal import Crypto
internal import Net
internal import Pipeline
internal import Telemetry

/// What is read anew at a reload: the configuration and the contents of its policy folder.
struct Loaded {
  var configuration: Configuration
  var files: PolicyFiles
  /// The configuration file, if there is one.
  var file: String?
  /// The folders of everything that was read.
  var folders: [String] = []
  /// The tokens that are revoked.
  var revocations = RevocationFile.none

  /// Equal for two loads that say the same.
  var fingerprint: String { files.hash + revocations.hash + Hex.encode(configuration.fingerprint) }
}

/// Reads everything again, or says everything that is wrong.
typealias Load = () throws(ConfigurationError) -> Loaded

/// What one attempt to read everything came to.
struct Reading {
  private let result: Result<Loaded, ConfigurationError>
  /// Equal for two readings that came to the same, be it the same mistakes.
  let fingerprint: String

  init(_ load: Load) {
    do throws(ConfigurationError) { self.init(.success(try load())) } catch { self.init(.failure(error)) }
  }

  private init(_ result: Result<Loaded, ConfigurationError>) {
    self.result = result
    switch result {
    case .success(let loaded): fingerprint = loaded.fingerprint
    case .failure(let error): fingerprint = "mistakes: " + error.report
    }
  }

  /// What was read, or what is wrong with it.
  func get() throws(ConfigurationError) -> Loaded { try result.get() }

  /// Reads until two readings in a row came to the same. Files that are replaced together, as by the link that Kubernetes swaps,
  /// are then all old or all new; read once, they could be some of each.
  static func steady(_ load: Load) -> Reading {
    var before = Reading(load)
    for _ in 0..<attempts {
      let now = Reading(load)
      if exactlyEquals(now.fingerprint, before.fingerprint) { return now }
      before = now
    }
    return Reading(.failure(ConfigurationError(["the files change faster than they can be read; reload when they are whole"])))
  }

  private static let attempts = 10
}

/// What is known of the load in force and of the last attempt, for the metrics.
struct LoadNumbers: Sendable {
  var generation: UInt64
  var policies: Int
  var forbids: Int
  var isDevelopment: Bool
  var mode: String
  var observedRoutes: Int
  var shadowPolicies: Int
  var certificates: [(path: String, expiresAt: Int64)] = []
  var reloads = 0
  var failures = 0
  var lastWasGood = true
  var lastGoodAt: Int64 = 0

  init(_ configuration: Configuration, _ snapshot: Snapshot) {
    generation = snapshot.generation
    policies = snapshot.authorization.policyCount
    forbids = snapshot.authorization.forbidCount
    isDevelopment = configuration.isDevelopment
    mode = snapshot.mode.rawValue
    observedRoutes = snapshot.observedRoutes.count
    shadowPolicies = snapshot.shadow?.policyCount ?? 0
    for identity in configuration.tls?.identities ?? [] {
      guard let validity = PeerCertificate(pem: identity.chain.bytes)?.validity else { continue }
      certificates.append((identity.chain.path, validity.last))
    }
  }

  var enforcement: OpsServer.Enforcement {
    OpsServer.Enforcement(mode: mode, observedRoutes: observedRoutes, shadowPolicies: shadowPolicies)
  }

  var samples: [Metrics.Sample] {
    [
      Metrics.Sample(
        .build, [MetricLabel("version", Version.number), MetricLabel("swift", Version.swift), MetricLabel("openssl", OpenSSL.version)],
        value: 1),
      Metrics.Sample(.generation, value: Double(generation)),
      Metrics.Sample(.policies, [MetricLabel("effect", "permit")], value: Double(policies - forbids)),
      Metrics.Sample(.policies, [MetricLabel("effect", "forbid")], value: Double(forbids)),
      Metrics.Sample(.developmentMode, value: isDevelopment ? 1 : 0),
      Metrics.Sample(.observeMode, value: mode == Snapshot.Mode.observe.rawValue ? 1 : 0),
      Metrics.Sample(.observedRoutes, value: Double(observedRoutes)), Metrics.Sample(.shadowPolicies, value: Double(shadowPolicies)),
      Metrics.Sample(.reloads, [MetricLabel("result", "success")], value: Double(reloads)),
      Metrics.Sample(.reloads, [MetricLabel("result", "failure")], value: Double(failures)),
      Metrics.Sample(.lastReloadGood, value: lastWasGood ? 1 : 0), Metrics.Sample(.lastReloadAt, value: Double(lastGoodAt)),
    ] + certificates.map { Metrics.Sample(.certificateExpiry, [MetricLabel("certificate", $0.path)], value: Double($0.expiresAt)) }
  }
}

/// One metric by name: what it counts, of which kind, and how many series it may have.
///
/// Names and units follow the Prometheus naming rules; a counter's `_total` is added by the exposition. Label values
/// come from our own tables and from the configuration, never from a request.
public struct MetricFamily: Sendable {
  /// What kind of number it is.
  public enum Kind: Sendable, Equatable {
    /// Only grows.
    case counter
    /// Goes up and down; the shards' values are added.
    case gauge
    /// Always 1; the labels are the information.
    case info
    /// Durations in buckets, whose upper bounds are given in microseconds.
    case histogram(boundsMicros: [UInt64])
  }

  /// The name without `_total` or `_info`.
  public let name: String
  /// Its kind.
  public let kind: Kind
  /// One sentence.
  public let help: String
  /// How many series a shard may have; what comes later is counted under labels that say `_other`.
  public let seriesLimit: Int

  /// A family. The product's own are the static members; tests may make others.
  public init(_ name: String, _ kind: Kind, _ help: String, seriesLimit: Int = 100) {
    self.name = name
    self.kind = kind
    self.help = help
    self.seriesLimit = seriesLimit
  }
}

extension MetricFamily {
  /// `stockade_build_info{version,swift,openssl}`.
  public static let build = MetricFamily("stockade_build", .info, "The build that runs.")
  /// `stockade_requests_total{listener,method,code}`.
  public static let requests = MetricFamily("stockade_requests", .counter, "Requests answered, by status sent.", seriesLimit: 1000)
  /// `stockade_request_duration_seconds{listener}`.
  public static let requestDuration = MetricFamily(
    "stockade_request_duration_seconds", .histogram(boundsMicros: requestBounds),
    "Time from a request's first byte to its response's head.")
  /// `stockade_requests_in_flight`.
  public static let requestsInFlight = MetricFamily("stockade_requests_in_flight", .gauge, "Requests being decided or forwarded.")
  /// `stockade_connections{state}`.
  public static let connections = MetricFamily("stockade_connections", .gauge, "Open connections, from clients and to the upstream.")
  /// `stockade_decisions_total{decision,reason,enforced}`.
  public static let decisions = MetricFamily("stockade_decisions", .counter, "Decisions, by outcome and reason.", seriesLimit: 200)
  /// `stockade_shadow_decisions_total{would,changes}`.
  public static let shadowDecisions = MetricFamily(
    "stockade_shadow_decisions", .counter,
    "Decisions in which policies in the shadow have a say, by what would be decided and whether that is another decision.")
  /// `stockade_authz_duration_seconds`.
  public static let authorizeDuration = MetricFamily(
    "stockade_authz_duration_seconds", .histogram(boundsMicros: authorizeBounds), "Time the policy engine took.")
  /// `stockade_token_cache_total{result}`.
  public static let tokenCache = MetricFamily("stockade_token_cache", .counter, "Look-ups of already verified tokens, by hit or miss.")
  /// `stockade_jwks_refresh_total{issuer,result}`.
  public static let keyRefreshes = MetricFamily("stockade_jwks_refresh", .counter, "Fetches of an issuer's keys, by result.")
  /// `stockade_jwks_last_success_timestamp_seconds{issuer}`.
  public static let keysFetched = MetricFamily(
    "stockade_jwks_last_success_timestamp_seconds", .gauge, "When an issuer's keys were last fetched.")
  /// `stockade_jwks_keys{issuer}`.
  public static let keys = MetricFamily("stockade_jwks_keys", .gauge, "Usable keys of an issuer.")
  /// `stockade_upstream_errors_total{reason}`.
  public static let upstreamErrors = MetricFamily("stockade_upstream_errors", .counter, "Failures of the service behind.")
  /// `stockade_entity_lookups_total{result}`.
  public static let entityLookups = MetricFamily(
    "stockade_entity_lookups", .counter, "Look-ups of entities: hit from memory, else found, absent or failed.")
  /// `stockade_entity_lookup_duration_seconds`.
  public static let entityLookupDuration = MetricFamily(
    "stockade_entity_lookup_duration_seconds", .histogram(boundsMicros: requestBounds), "Time that a source of entities took to answer.")
  /// `stockade_avp_requests_total{result}`.
  public static let remoteDecisions = MetricFamily(
    "stockade_avp_requests", .counter, "Questions to Verified Permissions: hit from memory, else answered, failed or timeout.")
  /// `stockade_avp_duration_seconds`.
  public static let remoteDuration = MetricFamily(
    "stockade_avp_duration_seconds", .histogram(boundsMicros: requestBounds),
    "Time that Verified Permissions took to answer, all tries together.")
  /// `stockade_compared_total{result}`.
  public static let compared = MetricFamily(
    "stockade_compared", .counter,
    "Decisions compared with another engine's: same, decision (they differ), on_policy_error (that rule alone differs), or unanswered.")
  /// `stockade_held_body_bytes`.
  public static let heldBodyBytes = MetricFamily(
    "stockade_held_body_bytes", .gauge, "Bytes of request bodies that are held because a decision needs them.")
  /// `stockade_rejected_total{reason}`.
  public static let rejected = MetricFamily("stockade_rejected", .counter, "Connections or requests turned away before a decision.")
  /// `stockade_decision_log_dropped_total`.
  public static let logDropped = MetricFamily("stockade_decision_log_dropped", .counter, "Decision lines that were lost.")
  /// `stockade_decision_log_queue_length`.
  public static let logQueue = MetricFamily("stockade_decision_log_queue_length", .gauge, "Decision lines that wait to be written.")
  /// `stockade_policies`.
  public static let policies = MetricFamily("stockade_policies", .gauge, "Policies in force.")
  /// `stockade_shadow_policies`.
  public static let shadowPolicies = MetricFamily(
    "stockade_shadow_policies", .gauge, "Policies in the shadow: evaluated and logged, not enforced.")
  /// `stockade_policy_reload_total{result}`.
  public static let reloads = MetricFamily("stockade_policy_reload", .counter, "Reloads of configuration and policies, by result.")
  /// `stockade_policy_last_reload_successful`.
  public static let lastReloadGood = MetricFamily(
    "stockade_policy_last_reload_successful", .gauge, "1 if the last reload changed what is in force.")
  /// `stockade_policy_last_reload_timestamp_seconds`.
  public static let lastReloadAt = MetricFamily(
    "stockade_policy_last_reload_timestamp_seconds", .gauge, "When the last successful reload was; 0 before the first.")
  /// `stockade_policy_store_polls_total{result}`.
  public static let storePolls = MetricFamily(
    "stockade_policy_store_polls", .counter,
    "Looks at the policy store that is followed: unchanged, changed (and in force), refused (what was before is kept) or failed.")
  /// `stockade_policy_store_last_success_timestamp_seconds`.
  public static let storeRead = MetricFamily(
    "stockade_policy_store_last_success_timestamp_seconds", .gauge,
    "When the policy store that is followed was last read; 0 if never by this process.")
  /// `stockade_policy_errors_total`.
  public static let policyErrors = MetricFamily("stockade_policy_errors", .counter, "Policies that failed to evaluate.")
  /// `stockade_snapshot_generation`.
  public static let generation = MetricFamily("stockade_snapshot_generation", .gauge, "How often configuration and policies were loaded.")
  /// `stockade_dev_mode`.
  public static let developmentMode = MetricFamily("stockade_dev_mode", .gauge, "1 if a development issuer is trusted.")
  /// `stockade_observe_mode`.
  public static let observeMode = MetricFamily("stockade_observe_mode", .gauge, "1 if decisions are not enforced.")
  /// `stockade_observed_routes`.
  public static let observedRoutes = MetricFamily(
    "stockade_observed_routes", .gauge, "Routes whose decisions are not enforced though those of others are.")

  private static let requestBounds: [UInt64] = [
    100, 250, 500, 1000, 2500, 5000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 10_000_000, 60_000_000,
  ]
  private static let authorizeBounds: [UInt64] = [10, 25, 50, 100, 250, 500, 1000, 2500, 10_000, 100_000]
}

/// A label's name and value.
public struct MetricLabel: Sendable, Hashable {
  /// The name, known at compile time.
  public let name: String
  /// The value, from our tables or the configuration.
  public let value: String

  /// A label.
  public init(_ name: StaticString, _ value: String) {
    self.name = name.description
    self.value = value
  }
}

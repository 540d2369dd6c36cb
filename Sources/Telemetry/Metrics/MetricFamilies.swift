/// Every number there is, by what it is about. `MetricTable` prints it for people.
extension MetricFamily {
  // MARK: - What runs

  /// `stockade_build_info`.
  public static let build = MetricFamily("stockade_build", .info, labels: ["version", "swift", "openssl"], "The build that runs.")
  /// `stockade_dev_mode`.
  public static let developmentMode = MetricFamily("stockade_dev_mode", .gauge, "1 if a development issuer is trusted.")
  /// `stockade_observe_mode`.
  public static let observeMode = MetricFamily("stockade_observe_mode", .gauge, "1 if decisions are not enforced.")
  /// `stockade_observed_routes`.
  public static let observedRoutes = MetricFamily(
    "stockade_observed_routes", .gauge, "Routes whose decisions are not enforced though those of others are.")

  // MARK: - Requests

  /// `stockade_requests_total`.
  public static let requests = MetricFamily(
    "stockade_requests", .counter, labels: ["listener", "method", "code"],
    "Requests answered, by status sent; none where the client went away first.", seriesLimit: 1000)
  /// `stockade_request_duration_seconds`.
  public static let requestDuration = MetricFamily(
    "stockade_request_duration_seconds", .histogram(boundsMicros: requestBounds), labels: ["listener"],
    "Time from a request's head to its response's head.")
  /// `stockade_requests_in_flight`.
  public static let requestsInFlight = MetricFamily("stockade_requests_in_flight", .gauge, "Requests being decided or forwarded.")
  /// `stockade_connections`.
  public static let connections = MetricFamily(
    "stockade_connections", .gauge, labels: ["state"], "Open connections: from clients (client) and to the services behind (upstream).")
  /// `stockade_connections_limit`.
  public static let connectionsLimit = MetricFamily(
    "stockade_connections_limit", .gauge, labels: ["state"], "How many connections may be open before new ones wait.")
  /// `stockade_tls_handshakes_total`.
  public static let handshakes = MetricFamily(
    "stockade_tls_handshakes", .counter, labels: ["result"], "TLS handshakes of clients: full, resumed by a ticket, or failed.")
  /// `stockade_tls_certificate_expiry_timestamp_seconds`.
  public static let certificateExpiry = MetricFamily(
    "stockade_tls_certificate_expiry_timestamp_seconds", .gauge, labels: ["certificate"], "When the time of a certificate of ours is over.")
  /// `stockade_rejected_total`.
  public static let rejected = MetricFamily(
    "stockade_rejected", .counter, labels: ["reason"],
    "Connections and requests turned away before a decision: malformed, too_large, timeout, overload, proxy_header.")
  /// `stockade_limits_reached_total`.
  public static let limitsReached = MetricFamily(
    "stockade_limits_reached", .counter, labels: ["limit"], "How often each limit was reached.")
  /// `stockade_buffered_bytes`.
  public static let bufferedBytes = MetricFamily(
    "stockade_buffered_bytes", .gauge, "Bytes of clients and services that are held in memory, and count towards limits.buffered.")
  /// `stockade_held_body_bytes`.
  public static let heldBodyBytes = MetricFamily(
    "stockade_held_body_bytes", .gauge, "Bytes of request bodies that are held because a decision needs them.")

  // MARK: - Decisions

  /// `stockade_decisions_total`.
  public static let decisions = MetricFamily(
    "stockade_decisions", .counter, labels: ["decision", "reason", "enforced", "route"],
    "Decisions, by outcome, reason and route; _none without a route, _other beyond a hundred of them.", seriesLimit: 2000)
  /// `stockade_shadow_decisions_total`.
  public static let shadowDecisions = MetricFamily(
    "stockade_shadow_decisions", .counter, labels: ["would", "changes"],
    "Decisions in which policies in the shadow have a say, by what would be decided and whether that is another decision.")
  /// `stockade_policy_determinations_total`.
  public static let determinations = MetricFamily(
    "stockade_policy_determinations", .counter, labels: ["policy", "effect"], "Decisions that a policy determined.", seriesLimit: 1000)
  /// `stockade_policy_errors_total`.
  public static let policyErrors = MetricFamily(
    "stockade_policy_errors", .counter, labels: ["policy"], "Failures of a policy to evaluate.", seriesLimit: 1000)
  /// `stockade_authz_duration_seconds`.
  public static let authorizeDuration = MetricFamily(
    "stockade_authz_duration_seconds", .histogram(boundsMicros: authorizeBounds), labels: ["engine"],
    "Time from a request's head to its decision, by who decided; none where no engine was asked.")
  /// `stockade_compared_total`.
  public static let compared = MetricFamily(
    "stockade_compared", .counter, labels: ["result"],
    "Decisions compared with another engine's: same, decision (they differ), on_policy_error (that rule alone differs), or unanswered.")

  // MARK: - Identity

  /// `stockade_token_validation_duration_seconds`.
  public static let tokenValidation = MetricFamily(
    "stockade_token_validation_duration_seconds", .histogram(boundsMicros: validationBounds),
    "Time that a token which was not seen before took to verify.")
  /// `stockade_token_cache_total`.
  public static let tokenCache = MetricFamily(
    "stockade_token_cache", .counter, labels: ["result"], "Look-ups of already verified tokens, by hit or miss.")
  /// `stockade_jwks_refresh_total`.
  public static let keyRefreshes = MetricFamily(
    "stockade_jwks_refresh", .counter, labels: ["issuer", "result"], "Fetches of an issuer's keys, by result.")
  /// `stockade_jwks_last_success_timestamp_seconds`.
  public static let keysFetched = MetricFamily(
    "stockade_jwks_last_success_timestamp_seconds", .gauge, labels: ["issuer"],
    "When an issuer's keys were last fetched; 0 before the first time.")
  /// `stockade_jwks_keys`.
  public static let keys = MetricFamily("stockade_jwks_keys", .gauge, labels: ["issuer"], "Usable keys of an issuer.")
  /// `stockade_jwks_stale`.
  public static let keysStale = MetricFamily(
    "stockade_jwks_stale", .gauge, labels: ["issuer"], "1 if an issuer's keys are overdue: the last fetch failed.")
  /// `stockade_jwks_unknown_kid_total`.
  public static let unknownKeys = MetricFamily(
    "stockade_jwks_unknown_kid", .counter, labels: ["issuer"], "Tokens refused because they name a key that the issuer does not publish.")

  // MARK: - Behind us

  /// `stockade_upstream_duration_seconds`.
  public static let upstreamDuration = MetricFamily(
    "stockade_upstream_duration_seconds", .histogram(boundsMicros: requestBounds),
    "Time from a decision to the head of the service's response.")
  /// `stockade_streams_closed_total`.
  public static let streamsClosed = MetricFamily(
    "stockade_streams_closed", .counter, "Streams that were closed because their request would have been refused by then.")
  /// `stockade_upstream_up`.
  public static let upstreamUp = MetricFamily(
    "stockade_upstream_up", .gauge, labels: ["upstream", "address"],
    "Whether an address of a service is well, as its health check says.", seriesLimit: 1000)
  /// `stockade_upstream_ejections_total`.
  public static let upstreamEjections = MetricFamily(
    "stockade_upstream_ejections", .counter, labels: ["upstream"],
    "How often an address of a service was left out for a while because it failed.")
  /// `stockade_upstream_errors_total`.
  public static let upstreamErrors = MetricFamily(
    "stockade_upstream_errors", .counter, labels: ["reason"], "Failures of the service behind.")
  /// `stockade_entity_lookups_total`.
  public static let entityLookups = MetricFamily(
    "stockade_entity_lookups", .counter, labels: ["result"], "Look-ups of entities: hit from memory, else found, absent or failed.")
  /// `stockade_entity_lookup_duration_seconds`.
  public static let entityLookupDuration = MetricFamily(
    "stockade_entity_lookup_duration_seconds", .histogram(boundsMicros: requestBounds), "Time that a source of entities took to answer.")
  /// `stockade_avp_requests_total`.
  public static let remoteDecisions = MetricFamily(
    "stockade_avp_requests", .counter, labels: ["result"],
    "Questions to Verified Permissions: hit from memory, else answered, failed or timeout.")
  /// `stockade_avp_duration_seconds`.
  public static let remoteDuration = MetricFamily(
    "stockade_avp_duration_seconds", .histogram(boundsMicros: requestBounds),
    "Time that Verified Permissions took to answer, all tries together.")

  // MARK: - Policies and configuration

  /// `stockade_policies`.
  public static let policies = MetricFamily("stockade_policies", .gauge, labels: ["effect"], "Policies in force.")
  /// `stockade_shadow_policies`.
  public static let shadowPolicies = MetricFamily(
    "stockade_shadow_policies", .gauge, "Policies in the shadow: evaluated and logged, not enforced.")
  /// `stockade_snapshot_generation`.
  public static let generation = MetricFamily("stockade_snapshot_generation", .gauge, "How often configuration and policies were loaded.")
  /// `stockade_policy_reload_total`.
  public static let reloads = MetricFamily(
    "stockade_policy_reload", .counter, labels: ["result"], "Reloads of configuration and policies, by result.")
  /// `stockade_policy_last_reload_successful`.
  public static let lastReloadGood = MetricFamily(
    "stockade_policy_last_reload_successful", .gauge, "1 if the last reload changed what is in force.")
  /// `stockade_policy_last_reload_timestamp_seconds`.
  public static let lastReloadAt = MetricFamily(
    "stockade_policy_last_reload_timestamp_seconds", .gauge, "When the last successful reload was; 0 before the first.")

  // MARK: - The decision log and what is exported

  /// `stockade_decision_log_dropped_total`.
  public static let logDropped = MetricFamily(
    "stockade_decision_log_dropped", .counter, labels: ["sink"], "Decision lines that were lost.")
  /// `stockade_decision_log_failures_total`.
  public static let logFailures = MetricFamily(
    "stockade_decision_log_failures", .counter, labels: ["sink", "action"],
    "What a sink of the decision log could not do: write, rotate (a full file), reopen.")
  /// `stockade_otlp_records_total`.
  public static let otlpRecords = MetricFamily(
    "stockade_otlp_records", .counter, labels: ["signal", "result"],
    "Records for the OTLP collector, by signal: sent, or dropped because they were too many or it did not take them.")
  /// `stockade_decision_log_queue_length`.
  public static let logQueue = MetricFamily(
    "stockade_decision_log_queue_length", .gauge, labels: ["sink"], "Decision lines that wait to be written.")
  /// `stockade_policy_store_polls_total`.
  public static let storePolls = MetricFamily(
    "stockade_policy_store_polls", .counter, labels: ["result"],
    "Looks at the policy store that is followed: unchanged, changed (and in force), refused (what was before is kept) or failed.")
  /// `stockade_policy_store_last_success_timestamp_seconds`.
  public static let storeRead = MetricFamily(
    "stockade_policy_store_last_success_timestamp_seconds", .gauge,
    "When the policy store that is followed was last read; 0 if never by this process.")

  /// Every family that a running proxy may show, its process's own included: the published table, in its order.
  public static var all: [MetricFamily] {
    [
      build, developmentMode, observeMode, observedRoutes, requests, requestDuration, requestsInFlight, connections, connectionsLimit,
      handshakes, certificateExpiry,
      limitsReached, bufferedBytes,
      rejected, heldBodyBytes, decisions, shadowDecisions, determinations, policyErrors, authorizeDuration, compared, tokenValidation,
      tokenCache, keyRefreshes, keysFetched, keys, keysStale, unknownKeys, upstreamDuration, upstreamUp, upstreamEjections, upstreamErrors,
      streamsClosed, entityLookups,
      entityLookupDuration, remoteDecisions, remoteDuration, policies, shadowPolicies, generation, reloads, lastReloadGood, lastReloadAt,
      storePolls, storeRead,
      logDropped, logFailures, otlpRecords, logQueue,
    ] + ProcessMetrics.families
  }

  private static let requestBounds: [UInt64] = [
    100, 250, 500, 1000, 2500, 5000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 10_000_000, 60_000_000,
  ]
  // A decision may wait for keys, a body or entities.
  private static let authorizeBounds: [UInt64] = [
    10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 25_000, 100_000, 1_000_000, 10_000_000,
  ]
  private static let validationBounds: [UInt64] = [10, 25, 50, 100, 250, 500, 1000, 2500, 10_000]
}

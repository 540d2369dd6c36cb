/// One service behind: where it is, and what asking it is bounded by.
public struct UpstreamSettings: Sendable, Equatable {
  /// What it is called in the log and in metrics: `upstream`, its name among `upstreams`, or its URL.
  public var name: String
  /// Its addresses, each a URL; a request goes to one of them.
  public var addresses: [String]
  /// How long things may take there, and how much is asked at a time.
  public var limits = UpstreamLimits()
  /// When an address that fails is left out.
  public var ejection = Ejection()
  /// When the service is not asked at all.
  public var breaker = Breaker()
  /// How each address is asked whether it is well; nil if it is not.
  public var health: HealthCheck?
  /// How TLS is spoken with it, where an address of it is https; nil as usual.
  public var tls: UpstreamTLSSettings?

  /// A service with the usual bounds.
  public init(name: String, addresses: [String]) {
    self.name = name
    self.addresses = addresses
  }

  /// When an address that fails is left out for a while, where there are others.
  public struct Ejection: Sendable, Equatable {
    /// After so many failures in a row; 0 for never.
    public var failures = Defaults.ejectionFailures
    /// For so long the first time, in milliseconds; twice as long each time after that, up to 32 times.
    public var millis = Defaults.ejectionMillis
    /// So many of a hundred addresses at most, rounded down, and never all.
    public var percent = Defaults.ejectionPercent

    /// The defaults.
    public init() {}
  }

  /// When the service is not asked at all for a while.
  public struct Breaker: Sendable, Equatable {
    /// After so many requests in a row that got no answer; 0 for never.
    public var failures = Defaults.breakerFailures
    /// For so long, in milliseconds.
    public var openMillis = Defaults.breakerOpenMillis

    /// The defaults.
    public init() {}
  }

  /// How an address is asked whether it is well.
  public struct HealthCheck: Sendable, Equatable {
    /// What to GET.
    public var path: String
    /// How often, in milliseconds.
    public var intervalMillis = Defaults.healthIntervalMillis
    /// How long an answer may take, in milliseconds.
    public var timeoutMillis = Defaults.healthTimeoutMillis
    /// Down after so many failures in a row.
    public var failures = Defaults.healthFailures
    /// Up again after so many good answers in a row.
    public var successes = Defaults.healthSuccesses

    /// A check of a path.
    public init(path: String) { self.path = path }
  }
}

/// Bounds of a service behind.
public struct UpstreamLimits: Sendable, Equatable {
  /// How long connecting may take, in milliseconds.
  public var connectTimeoutMillis = Defaults.connectTimeoutMillis
  /// How long it may take to begin its response, in milliseconds.
  public var responseTimeoutMillis = Defaults.responseTimeoutMillis
  /// How long a body may pause, in milliseconds.
  public var bodyTimeoutMillis = Defaults.bodyIdleTimeoutMillis
  /// How long an idle connection is kept, in milliseconds.
  public var idleMillis = Defaults.upstreamIdleMillis
  /// How many connections to each address a worker opens at most.
  public var connections = Defaults.upstreamConnections
  /// How many requests of a worker may wait for one.
  public var waiting = Defaults.upstreamWaiting
  /// How long they wait, in milliseconds.
  public var waitingMillis = Defaults.upstreamWaitingMillis

  /// The defaults.
  public init() {}
}

extension UpstreamSettings {
  /// Reads what the file says of a service; without an address it is told, and nil.
  init?(_ name: String, _ setting: Setting?, _ report: inout ConfigurationReport) {
    // An empty text is how a variable says nothing.
    let url = setting?.text("url").flatMap { $0.isEmpty ? nil : $0 }
    let more = setting?["urls"]
    self.init(name: name, addresses: (url.map { [$0] } ?? []) + (more?.texts ?? []))
    var seen: [String] = []
    for address in addresses {
      if seen.contains(where: { $0.utf8.elementsEqual(address.utf8) }) {
        report.add(more, "\(address) is named twice", help: "an address gets its share of requests once")
      }
      seen.append(address)
    }
    if addresses.count > Defaults.upstreamAddresses {
      report.add(more, "\(addresses.count) addresses are more than \(Defaults.upstreamAddresses)", help: "put a balancer before them")
    }
    if addresses.isEmpty { return nil }
    guard let setting else { return }
    limits.connectTimeoutMillis = setting["connect_timeout"]?.count ?? limits.connectTimeoutMillis
    limits.responseTimeoutMillis = setting["response_timeout"]?.count ?? limits.responseTimeoutMillis
    limits.bodyTimeoutMillis = setting["body_timeout"]?.count ?? limits.bodyTimeoutMillis
    limits.idleMillis = setting["idle_timeout"]?.count ?? limits.idleMillis
    limits.waitingMillis = setting["waiting_timeout"]?.count ?? limits.waitingMillis
    limits.connections = setting["max_connections"]?.whole ?? limits.connections
    limits.waiting = setting["max_waiting"]?.whole ?? limits.waiting
    ejection.failures = setting["ejection"]?["failures"]?.whole ?? ejection.failures
    ejection.millis = setting["ejection"]?["time"]?.count ?? ejection.millis
    ejection.percent = setting["ejection"]?["max_percent"]?.whole ?? ejection.percent
    breaker.failures = setting["breaker"]?["failures"]?.whole ?? breaker.failures
    breaker.openMillis = setting["breaker"]?["open"]?.count ?? breaker.openMillis
    if let check = setting["health"], check.origin != .byDefault { health = HealthCheck(check, &report) }
  }
}

extension UpstreamSettings.HealthCheck {
  fileprivate init?(_ setting: Setting, _ report: inout ConfigurationReport) {
    guard let path = setting.text("path"), path.utf8.first == UInt8(ascii: "/"), path.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f }) else {
      report.add(setting["path"] ?? setting, "a health check needs a path that begins with /", help: "write health: '/healthz'")
      return nil
    }
    self.init(path: path)
    intervalMillis = setting["interval"]?.count ?? intervalMillis
    timeoutMillis = setting["timeout"]?.count ?? timeoutMillis
    failures = setting["unhealthy"]?.whole ?? failures
    successes = setting["healthy"]?.whole ?? successes
  }
}

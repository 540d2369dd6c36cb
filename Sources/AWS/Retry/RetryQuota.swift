/// How a call may fail in a way that another try could mend.
public enum Retryable: Sendable, Equatable {
  /// Nobody answered, or the service said that it failed.
  case transient
  /// The service asks for less.
  case throttling

  /// What an error of the service is, by its status and code; nil for one that the same request would meet again
  /// (botocore's mode "standard").
  public init?(status: Int, code: String?) {
    switch code {
    case "Throttling", "ThrottlingException", "ThrottledException", "RequestThrottledException", "TooManyRequestsException",
      "ProvisionedThroughputExceededException", "TransactionInProgressException", "RequestLimitExceeded", "BandwidthLimitExceeded",
      "LimitExceededException", "RequestThrottled", "SlowDown", "EC2ThrottledException":
      self = .throttling
    case "RequestTimeout", "RequestTimeoutException", "PriorRequestNotComplete", "InternalServerException", "IDPCommunicationError":
      self = .transient
    default:
      switch status {
      case 429: self = .throttling
      case 500, 502, 503, 504: self = .transient
      default: return nil
      }
    }
  }
}

/// The tries that are left for all calls to a service together: each costs, success pays back. A service that is down is thus
/// asked little more often than without tries.
public struct RetryQuota: Sendable {
  /// What is left.
  public private(set) var balance: Int

  /// A full quota.
  public init() { balance = Self.capacity }

  /// Takes the price of one more try; false if there is not enough.
  public mutating func take(_ retryable: Retryable) -> Bool {
    let price = Self.price(of: retryable)
    guard balance >= price else { return false }
    balance -= price
    return true
  }

  /// A call has succeeded, after a last try of that kind or, with nil, at once.
  public mutating func succeeded(after retryable: Retryable?) {
    balance = min(balance + (retryable.map(Self.price) ?? 1), Self.capacity)
  }

  private static func price(of retryable: Retryable) -> Int { retryable == .throttling ? 5 : 14 }
  private static let capacity = 500
}

/// How long to wait before another try.
public enum RetryDelay {
  /// Milliseconds before try `retry`, counted from 0.
  ///
  /// - Parameters:
  ///   - chance: a random number from 0 to 1, so that callers who failed together do not come back together.
  ///   - retryAfterMillis: what the service asked for in `x-amz-retry-after`; at most 5 s of it are added.
  public static func millis(retry: Int, _ retryable: Retryable, chance: Double, retryAfterMillis: Int64? = nil) -> Int {
    let scale = retryable == .throttling ? 1000.0 : 50.0
    let most = min(scale * Double(UInt64(1) << UInt64(min(max(retry, 0), 20))), 20_000)
    let own = Int(min(max(chance, 0), 1) * most)
    guard let retryAfterMillis, retryAfterMillis > 0 else { return own }
    return min(max(own, Int(clamping: retryAfterMillis)), own + 5000)
  }
}

/// How far the clock of AWS is from ours: signatures are good for five minutes around the time they name.
public struct ClockSkew: Sendable {
  /// Seconds to add to our time.
  public private(set) var offset: Int64 = 0

  /// No skew.
  public init() {}

  /// Learns from the refusal of a signature; true if the time was the matter, so that another try is worth it.
  ///
  /// - Parameters:
  ///   - date: the `Date` of the response.
  ///   - seconds: our time.
  public mutating func learn(code: String?, message: String, date: String?, at seconds: Int64) -> Bool {
    let names = ["RequestTimeTooSkewed", "RequestExpired", "RequestInTheFuture"]
    let isNamed = code.map(names.contains) ?? false
    let isSaid =
      ["InvalidSignatureException", "SignatureDoesNotMatch", "AuthFailure"].contains(code)
      && (message.contains("Signature expired") || message.contains("Signature not yet current"))
    guard isNamed || isSaid, let date, let theirs = Instant.seconds(httpDate: date), seconds >= 0 else { return false }
    let found = theirs - seconds
    // The same offset was tried already: it was not the clock.
    guard abs(found - offset) > 30 else { return false }
    offset = found
    return true
  }
}

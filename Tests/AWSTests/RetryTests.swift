import AWS
import Testing

@Suite struct RetryTests {
  @Test func whatIsTriedAgainIsWhatBotocoreTriesAgain() {
    #expect(Retryable(status: 400, code: "ThrottlingException") == .throttling)
    #expect(Retryable(status: 429, code: nil) == .throttling)
    #expect(Retryable(status: 500, code: "InternalServerException") == .transient)
    #expect(Retryable(status: 503, code: "Anything") == .transient)
    #expect(Retryable(status: 400, code: "RequestTimeout") == .transient)
    for (status, code) in [(400, "ValidationException"), (403, "AccessDeniedException"), (404, nil), (501, nil), (200, nil)]
      as [(Int, String?)]
    {
      #expect(Retryable(status: status, code: code) == nil)
    }
  }

  @Test func theQuotaRunsOutAndIsPaidBack() {
    var quota = RetryQuota()
    var tries = 0
    while quota.take(.transient) { tries += 1 }
    #expect(tries == 35 && quota.balance == 10)
    let isTaken = quota.take(.throttling)
    #expect(isTaken && quota.balance == 5)
    quota.succeeded(after: nil)
    #expect(quota.balance == 6)
    quota.succeeded(after: .transient)
    #expect(quota.balance == 20)
    for _ in 0..<1000 { quota.succeeded(after: nil) }
    #expect(quota.balance == 500)
  }

  @Test func delaysGrowAndAreBounded() {
    #expect(RetryDelay.millis(retry: 0, .transient, chance: 1) == 50)
    #expect(RetryDelay.millis(retry: 2, .transient, chance: 1) == 200)
    #expect(RetryDelay.millis(retry: 1, .throttling, chance: 0.5) == 1000)
    #expect(RetryDelay.millis(retry: 500, .throttling, chance: 1) == 20_000)
    #expect(RetryDelay.millis(retry: -1, .throttling, chance: -1) == 0)
    #expect(RetryDelay.millis(retry: 0, .transient, chance: 1, retryAfterMillis: 300) == 300)
    #expect(RetryDelay.millis(retry: 0, .transient, chance: 1, retryAfterMillis: .max) == 5050)
  }

  private func learnt(_ skew: inout ClockSkew, _ code: String, _ message: String, _ date: String?, _ seconds: Int64) -> Bool {
    skew.learn(code: code, message: message, date: date, at: seconds)
  }

  @Test func theClockIsLearntOnceFromARefusedSignature() {
    var skew = ClockSkew()
    let date = "Sun, 06 Nov 1994 08:49:37 GMT"
    #expect(learnt(&skew, "AccessDeniedException", "", date, 784_111_000) == false)
    #expect(learnt(&skew, "InvalidSignatureException", "does not match", date, 784_111_000) == false)
    #expect(learnt(&skew, "RequestTimeTooSkewed", "", nil, 784_111_000) == false)
    #expect(learnt(&skew, "InvalidSignatureException", "Signature expired: …", date, 784_111_000) == true)
    #expect(skew.offset == 777)
    #expect(learnt(&skew, "RequestTimeTooSkewed", "", date, 784_111_000) == false)
  }

  @Test func aBreakerOpensAfterFailuresInARowAndTriesAgain() {
    func allows(_ breaker: inout CircuitBreaker, _ now: UInt64) -> Bool { breaker.allows(at: now) }
    var breaker = CircuitBreaker()
    for _ in 0..<9 { breaker.failed(at: 0) }
    breaker.succeeded()
    for _ in 0..<9 { breaker.failed(at: 0) }
    #expect(allows(&breaker, 0))
    breaker.failed(at: 0)
    #expect(!allows(&breaker, 499))
    // One tries; the others wait for what becomes of it.
    #expect(allows(&breaker, 500) && !allows(&breaker, 500))
    breaker.failed(at: 500)
    #expect(!allows(&breaker, 1499) && allows(&breaker, 1500))
    breaker.succeeded()
    #expect(allows(&breaker, 1500) && allows(&breaker, 1500))
  }
}

import Bytes
import Pipeline
import Testing

@testable import Proxy

@Suite struct StandingTests {
  private var rule: UpstreamSettings.Ejection {
    var rule = UpstreamSettings.Ejection()
    rule.failures = 3
    rule.millis = 100
    return rule
  }

  @Test func failuresInARowLeaveAnAddressOutAndEachTimeForTwiceAsLong() {
    var standing = Standing()
    for time: (begin: UInt64, span: UInt64) in [(1000, 100), (2000, 200), (3000, 400)] {
      let asked = (1...3).map { _ in standing.failed(at: time.begin, rule) }
      #expect(asked == [false, false, true])
      standing.eject(at: time.begin, rule)
      #expect(standing.isOut(at: time.begin + time.span - 1) && !standing.isOut(at: time.begin + time.span))
    }
    for time in 0..<100 as Range<UInt64> { standing.eject(at: time, rule) }
    #expect(!standing.isOut(at: 99 + 32 * 100), "not for ever longer")
  }

  @Test func anAnswerBetweenFailuresForgivesThemAndZeroNeverLeavesOut() {
    var standing = Standing()
    for _ in 0..<10 {
      let asked = (1...2).map { _ in standing.failed(at: 1, rule) }
      #expect(asked == [false, false])
      standing.answered(at: 1)
    }
    var never = rule
    never.failures = 0
    for _ in 0..<100 {
      let isOut = standing.failed(at: 1, never)
      #expect(!isOut)
    }
  }

  @Test func whatTheHealthCheckSaysStandsBesideIt() {
    var standing = Standing()
    standing.isDown = true
    standing.answered(at: 5)
    #expect(standing.isOut(at: 5) && !standing.isEjected(at: 5))
  }

  @Test(arguments: [(1, 50, 0), (2, 50, 1), (3, 50, 1), (4, 50, 2), (4, 99, 3), (2, 99, 1), (10, 0, 0), (1, 99, 0)])
  func neverAreAllLeftOut(_ addresses: Int, _ percent: Int, _ most: Int) {
    var rule = rule
    rule.percent = percent
    #expect(rule.most(of: addresses) == most)
  }

  @Test func aBreakerOpensAfterFailuresInARowAndLetsOneThroughInEachTime() {
    var rule = UpstreamSettings.Breaker()
    rule.failures = 3
    rule.openMillis = 1500
    let breaker = Breaker(rule)
    for _ in 0..<5 {
      #expect(!breaker.failed(at: 10) && !breaker.failed(at: 10))
      breaker.answered()
    }
    #expect(!breaker.failed(at: 10) && !breaker.failed(at: 10) && breaker.failed(at: 10))
    #expect(breaker.isOpen && !breaker.admits(at: 10) && breaker.secondsLeft(at: 10) == 2 && !breaker.admits(at: 1509))
    #expect(breaker.admits(at: 1510) && !breaker.admits(at: 1511), "one, by which the others are judged")
    #expect(!breaker.failed(at: 1600) && !breaker.admits(at: 3099))
    // The one that is let through never ends, and is not waited for.
    #expect(breaker.admits(at: 3100) && breaker.admits(at: 4600))
    breaker.answered()
    #expect(!breaker.isOpen && breaker.admits(at: 4601) && breaker.admits(at: 4601))
  }

  @Test func aBreakerThatIsOffNeverOpens() {
    var rule = UpstreamSettings.Breaker()
    rule.failures = 0
    let breaker = Breaker(rule)
    for _ in 0..<1000 { #expect(!breaker.failed(at: 1) && breaker.admits(at: 1)) }
  }
}

@Suite struct PaceTests {
  @Test func slownessIsCountedOnlyWhileTheClientIsWaitedFor() {
    var pace = Pace(rate: 100, graceMillis: 1000)
    #expect(pace.left(at: 50_000) == 1000, "nobody has waited")
    pace.wait(at: 50_000)
    pace.wait(at: 50_300)
    #expect(pace.left(at: 50_400) == 600)
    pace.rest(at: 50_400)
    #expect(pace.left(at: 90_000) == 600)
    pace.wait(at: 90_000)
    #expect(pace.left(at: 90_600) == 0 && pace.left(at: 99_999) == 0)
  }

  @Test func bytesBringTimeBackAndAFastBeginningIsNoLicence() {
    var pace = Pace(rate: 100, graceMillis: 1000)
    pace.wait(at: 0)
    pace.moved(10_000_000, at: 100)
    #expect(pace.left(at: 100) == 1000 && pace.left(at: 1100) == 0)
    // Exactly the rate, for ever.
    for second in 1..<1000 as Range<UInt64> {
      pace.moved(100, at: second * 1000)
      #expect(pace.left(at: second * 1000) > 0)
    }
    // A byte a second is not enough.
    var slow = Pace(rate: 100, graceMillis: 1000)
    slow.wait(at: 0)
    var lasted: UInt64 = 0
    for second in 1..<100 as Range<UInt64> where slow.left(at: second * 900) > 0 {
      slow.moved(1, at: second * 900)
      lasted = second
    }
    #expect(lasted < 3)
  }

  @Test func noRateIsNoBoundAndNothingOverflows() {
    var pace = Pace(rate: 0, graceMillis: 1000)
    pace.wait(at: 0)
    pace.moved(5, at: 10)
    #expect(pace.left(at: .max) == .max)
    var huge = Pace(rate: 1, graceMillis: 1000)
    huge.wait(at: 0)
    huge.moved(.max, at: .max)
    #expect(huge.left(at: .max) <= 1000)
  }
}

@Suite struct MeterTests {
  @Test func whatIsHeldIsCountedAndWhatIsGivenAwayIsNot() {
    let meter = Meter()
    var queue = MeteredQueue(meter)
    [UInt8](repeating: 1, count: 100).withUnsafeBytes { queue.append($0) }
    queue.consume(30)
    #expect(meter.bytes == 70 && queue.count == 70)
    queue.consume(1000)
    #expect(meter.bytes == 0)
    [1, 2, 3 as UInt8].withUnsafeBytes { queue.append($0) }
    let taken = queue.take()
    #expect(meter.bytes == 0 && taken.count == 3 && queue.isEmpty)
    var other = MeteredQueue(meter, holding: taken)
    #expect(meter.bytes == 3)
    other.release()
    other.release()
    #expect(meter.bytes == 0)
  }
}

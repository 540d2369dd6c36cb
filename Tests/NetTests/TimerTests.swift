import Net
import Testing

@Suite struct TimerTests {
  @Test func timersFireInTheOrderOfTheirDeadlinesAndNotBeforeThem() throws {
    let time = FakeClock()
    let loop = try EventLoop(clock: time.clock)
    var fired: [UInt64] = []
    // Every wheel, both sides of each wheel's boundary.
    let waits: [UInt64] = [1, 2, 62, 63, 64, 65, 4095, 4096, 4097, 262_143, 262_144, 262_145, 16_777_216, 20_000_000, 1_100_000_000]
    for wait in waits.shuffled() { loop.after(wait) { fired.append(wait) } }
    let start = time.millis
    for wait in waits {
      time.millis = start + wait - 1
      try loop.turn(maxWaitMillis: 0)
      #expect(!fired.contains(wait), "\(wait) fired early")
      time.millis = start + wait
      try loop.turn(maxWaitMillis: 0)
      #expect(fired.last == wait)
    }
    #expect(fired == waits)
    #expect(loop.timerCount == 0)
  }

  @Test func aJumpOfTheClockFiresEverythingDueInOrder() throws {
    let time = FakeClock()
    let loop = try EventLoop(clock: time.clock)
    var fired: [UInt64] = []
    let waits = (0..<500).map { _ in UInt64.random(in: 1...3_000_000) }
    for wait in waits { loop.after(wait) { fired.append(wait) } }
    time.millis += 1_500_000
    try loop.turn(maxWaitMillis: 0)
    #expect(fired == waits.filter { $0 <= 1_500_000 }.sorted())
    time.millis += 1_500_000
    try loop.turn(maxWaitMillis: 0)
    #expect(fired == waits.sorted())
  }

  @Test func randomTimersAgreeWithASortedList() throws {
    let time = FakeClock()
    let loop = try EventLoop(clock: time.clock)
    var model: [Int: UInt64] = [:]
    var ids: [Int: TimerID] = [:]
    var fired: [Int] = []
    var next = 0
    for _ in 0..<3000 {
      switch Int.random(in: 0..<4) {
      case 0, 1:
        let number = next
        next += 1
        let wait = UInt64.random(in: 1...(Bool.random() ? 200 : 500_000))
        model[number] = time.millis + wait
        ids[number] = loop.after(wait) { fired.append(number) }
      case 2:
        guard let number = model.keys.randomElement(), let id = ids[number] else { continue }
        #expect(loop.cancel(id))
        #expect(!loop.cancel(id))
        model[number] = nil
      default:
        time.millis += UInt64.random(in: 0...(Bool.random() ? 50 : 20_000))
        fired = []
        try loop.turn(maxWaitMillis: 0)
        let due = model.filter { $0.value <= time.millis }.sorted { ($0.value, $0.key) < ($1.value, $1.key) }.map(\.key)
        #expect(fired == due)
        for number in due {
          model[number] = nil
          #expect(!loop.cancel(ids[number] ?? TimerID.none(of: loop)))
        }
      }
    }
    #expect(loop.timerCount == model.count)
  }

  @Test func aTimerSetWhileTimersFireWaitsForALaterTurn() throws {
    let time = FakeClock()
    let loop = try EventLoop(clock: time.clock)
    var count = 0
    func again() {
      count += 1
      loop.after(0) { again() }
    }
    loop.after(0) { again() }
    time.millis += 1
    try loop.turn(maxWaitMillis: 0)
    #expect(count == 1)
    time.millis += 1
    try loop.turn(maxWaitMillis: 0)
    #expect(count == 2)
  }

  @Test func aTimerMayCancelAnotherThatIsDueInTheSameTurn() throws {
    let time = FakeClock()
    let loop = try EventLoop(clock: time.clock)
    var second: TimerID?
    var fired = false
    loop.after(5) { if let second { loop.cancel(second) } }
    second = loop.after(5) { fired = true }
    time.millis += 10
    try loop.turn(maxWaitMillis: 0)
    #expect(!fired)
    #expect(loop.timerCount == 0)
  }

  @Test func theLongestWaitsNeitherTrapNorFire() throws {
    let time = FakeClock()
    let loop = try EventLoop(clock: time.clock)
    var fired = false
    loop.after(.max) { fired = true }
    let deadline = Deadline(loop) { fired = true }
    deadline.set(.max)
    time.millis += 86_400_000
    try loop.turn(maxWaitMillis: 0)
    #expect(!fired)
  }

  @Test func aClockThatGoesBackwardsIsIgnored() throws {
    let time = FakeClock()
    let loop = try EventLoop(clock: time.clock)
    try loop.turn(maxWaitMillis: 0)
    let before = loop.now
    time.millis -= 500
    try loop.turn(maxWaitMillis: 0)
    #expect(loop.now == before)
  }

  @Test func aDeadlinePushedBackFiresOnceAndAtItsLastTime() throws {
    let time = FakeClock()
    let loop = try EventLoop(clock: time.clock)
    var fired: [UInt64] = []
    let deadline = Deadline(loop) { fired.append(loop.now) }
    let start = time.millis
    deadline.set(100)
    for _ in 0..<50 {
      time.millis += 10
      try loop.turn(maxWaitMillis: 0)
      deadline.set(100)
      #expect(loop.timerCount <= 1)
    }
    #expect(fired.isEmpty)
    time.millis = start + 599
    try loop.turn(maxWaitMillis: 0)
    #expect(fired.isEmpty)
    time.millis = start + 600
    try loop.turn(maxWaitMillis: 0)
    #expect(fired == [start + 600])
    #expect(!deadline.isSet)
  }

  @Test func aDeadlinePulledForwardFiresEarlier() throws {
    let time = FakeClock()
    let loop = try EventLoop(clock: time.clock)
    var count = 0
    let deadline = Deadline(loop) { count += 1 }
    deadline.set(1000)
    deadline.set(10)
    time.millis += 10
    try loop.turn(maxWaitMillis: 0)
    #expect(count == 1)
    time.millis += 2000
    try loop.turn(maxWaitMillis: 0)
    #expect(count == 1)
  }

  @Test func aClearedOrForgottenDeadlineDoesNotFire() throws {
    let time = FakeClock()
    let loop = try EventLoop(clock: time.clock)
    var fired = false
    let cleared = Deadline(loop) { fired = true }
    cleared.set(10)
    cleared.clear()
    var forgotten: Deadline? = Deadline(loop) { fired = true }
    forgotten?.set(10)
    forgotten = nil
    time.millis += 20
    try loop.turn(maxWaitMillis: 0)
    #expect(!fired)
    #expect(loop.timerCount == 0)
  }

  @Test func theWallClockFollowsItsOffsetAtOnce() throws {
    let time = FakeClock()
    let loop = try EventLoop(clock: time.clock)
    loop.wallOffsetMillis = 3_600_000
    #expect(loop.wallSeconds == 1_700_003_600)
    try loop.turn(maxWaitMillis: 0)
    #expect(loop.wallSeconds == 1_700_003_600)
    loop.wallOffsetMillis = -1000
    #expect(loop.wallSeconds == 1_699_999_999)
  }
}

extension TimerID {
  /// A timer that has been cancelled.
  static func none(of loop: EventLoop) -> TimerID {
    let id = loop.after(1) {}
    loop.cancel(id)
    return id
  }
}

import Net
import Testing

@Suite struct MailboxTests {
  @Test func everyMessageOfManyThreadsArrivesOnceAndInEachThreadsOrder() throws {
    try withLoop { loop in
      let mailbox = try Mailbox<(Int, Int)>()
      let senders = 4
      let each = 20_000
      var last = [Int](repeating: -1, count: senders)
      var count = 0
      var isInOrder = true
      try mailbox.attach(to: loop) { sender, number in
        if number != last[sender] + 1 { isInOrder = false }
        last[sender] = number
        count += 1
      }
      var threads: [RunningThread] = []
      for sender in 0..<senders {
        threads.append(try startThread(name: "sender-\(sender)") { for number in 0..<each { mailbox.post((sender, number)) } })
      }
      // Waits without a limit of its own: a lost wake-up would end in the time-out here.
      #expect(try loop.turn(until: { count == senders * each }, seconds: 60))
      for thread in threads { thread.join() }
      #expect(isInOrder)
      #expect(mailbox.count == 0)
    }
  }

  @Test func whatIsDoneAsideKeepsNoLoopFromTurning() throws {
    try withLoop { loop in
      // The work ends only after the loop has turned and said so.
      let turned = try Mailbox<Int>()
      var outcome: Int?
      try Aside.run(name: "aside", on: loop) {
        var sum = 0
        while turned.count == 0 { sum += 1 }
        return min(sum, 1)
      } completion: {
        outcome = $0
      }
      loop.after(1) { turned.post(1) }
      #expect(try loop.turn(until: { outcome != nil }, seconds: 60))
    }
  }

  @Test func pingPongBetweenTwoLoopsLosesNoWakeUp() throws {
    try withLoop { loop in
      let there = try Mailbox<Int>()
      let back = try Mailbox<Int>()
      let rounds = 5_000
      let thread = try startThread(name: "other-loop") {
        do {
          let other = try EventLoop()
          try there.attach(to: other) { number in
            back.post(number)
            if number == rounds { other.stop() }
          }
          try other.run()
          other.releaseAll()
        } catch {
          Issue.record(error)
        }
      }
      var received = 0
      try back.attach(to: loop) { number in
        received = number
        if number < rounds { there.post(number + 1) }
      }
      there.post(1)
      #expect(try loop.turn(until: { received == rounds }, seconds: 60))
      thread.join()
    }
  }

  @Test func aFullOrClosedMailboxSaysSoAndDeliversWhatItTook() throws {
    try withLoop { loop in
      let mailbox = try Mailbox<Int>(limit: 2)
      #expect(mailbox.post(1))
      #expect(mailbox.post(2))
      #expect(!mailbox.post(3))
      mailbox.close()
      #expect(!mailbox.post(4))
      var received: [Int] = []
      // Attached after the posts: the first signal still wakes it.
      let slot = try mailbox.attach(to: loop) { received.append($0) }
      try loop.turn(maxWaitMillis: 100)
      #expect(received == [1, 2])
      slot.detach()
      #expect(loop.sourceCount == 0)
    }
  }

  @Test func aMessagePostedWhileMessagesAreDeliveredComesInALaterTurn() throws {
    try withLoop { loop in
      let mailbox = try Mailbox<Int>()
      var received: [Int] = []
      try mailbox.attach(to: loop) { number in
        received.append(number)
        if number < 3 { mailbox.post(number + 1) }
      }
      mailbox.post(1)
      try loop.turn(maxWaitMillis: 100)
      #expect(received == [1])
      try loop.turn(maxWaitMillis: 100)
      try loop.turn(maxWaitMillis: 100)
      #expect(received == [1, 2, 3])
    }
  }

  @Test func aLockedValueIsChangedByOneThreadAtATime() throws {
    let value = Locked(0)
    let threads = try (0..<4).map { _ in
      try startThread(name: "adder") { for _ in 0..<10_000 { value.withLock { $0 += 1 } } }
    }
    for thread in threads { thread.join() }
    #expect(value.withLock { $0 } == 40_000)
  }

  @Test func aThreadHasTheStackItAskedFor() throws {
    // A frame of this size on the default of the smallest stacks would overflow.
    @Sendable func deep(_ level: Int) -> Int {
      withUnsafeTemporaryAllocation(byteCount: 1024, alignment: 16) { buffer -> Int in
        buffer[0] = UInt8(truncatingIfNeeded: level)
        return level == 0 ? Int(buffer[0]) : deep(level - 1) + 1
      }
    }
    let result = Locked(0)
    try startThread(name: "a name longer than fifteen bytes", stackBytes: 16 << 20) {
      result.withLock { $0 = deep(5_000) }
    }.join()
    #expect(result.withLock { $0 } == 5_000)
  }
}

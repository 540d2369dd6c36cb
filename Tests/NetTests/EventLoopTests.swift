import CSystem
import Glibc
import Net
import Testing

@Suite struct EventLoopTests {
  final class Source: EventSource {
    let action: (Readiness) -> Void
    init(_ action: @escaping (Readiness) -> Void) { self.action = action }
    func ready(_ readiness: Readiness) { action(readiness) }
  }

  @Test func workPutOffRunsAtTheEndOfTheTurnAndWorkPutOffThereInTheNext() throws {
    try withLoop { loop in
      var order: [String] = []
      loop.onTurnEnd = { order.append("end") }
      loop.later {
        order.append("first")
        loop.later { order.append("second") }
      }
      try loop.turn(maxWaitMillis: 0)
      #expect(order == ["first", "end"])
      // It does not wait for events while work is put off.
      try loop.turn()
      #expect(order == ["first", "end", "second", "end"])
    }
  }

  @Test func stoppingEndsTheRunAfterTheTurn() throws {
    try withLoop { loop in
      var ended = 0
      loop.onTurnEnd = { ended += 1 }
      loop.later { loop.stop() }
      try loop.run()
      #expect(ended == 1)
    }
  }

  @Test func anEventFetchedForASourceThatIsGoneReachesNobodyEvenIfItsDescriptorAndSlotAreTakenAgain() throws {
    try withLoop { loop in
      // Both descriptors are readable in one batch; the first source to be called closes the other and registers a third
      // on the same descriptor number and slot.
      let (a, aPeer) = try socketPair()
      let (b, bPeer) = try socketPair()
      var registrations: [Int32: Registration] = [:]
      var calls: [String] = []
      var third: Source?
      var replaced: Int32?
      func closeOther(_ own: Int32, _ other: Int32) {
        guard replaced == nil, let registration = registrations[other] else { return }
        loop.deregister(registration, fd: other, closing: true)
        // Closes `other` and makes the number mean `own`'s socket, in one step.
        let again = dup2(own, other)
        replaced = again
        #expect(again == other)
        let source = Source { calls.append("third \($0.rawValue)") }
        third = source
        do {
          // Writable at once, but only in a later turn.
          _ = try loop.register(source, fd: again)
        } catch {
          Issue.record(error)
        }
      }
      registrations[a] = try loop.register(
        Source { _ in
          calls.append("a")
          closeOther(a, b)
        }, fd: a)
      registrations[b] = try loop.register(
        Source { _ in
          calls.append("b")
          closeOther(b, a)
        }, fd: b)
      for peer in [aPeer, bPeer] { #expect(write(peer, "x", 1) == 1) }
      try loop.turn(maxWaitMillis: 100)
      #expect(calls.count == 1, "the stale event was delivered: \(calls)")
      try loop.turn(maxWaitMillis: 100)
      #expect(calls.count == 2)
      #expect(calls.last?.hasPrefix("third") == true)
      _ = third
      for fd in [aPeer, bPeer, a, b] { close(fd) }
    }
  }

  @Test func aSourceMayLetGoOfItselfWhileItIsCalled() throws {
    try withLoop { loop in
      let (a, b) = try socketPair()
      final class Witness {
        let gone: () -> Void
        init(_ gone: @escaping () -> Void) { self.gone = gone }
        deinit { gone() }
      }
      var isGone = false
      var sawItselfAlive = false
      var registration: Registration?
      do {
        let witness = Witness { isGone = true }
        let source = Source { _ in
          if let registration { loop.deregister(registration, fd: a) }
          sawItselfAlive = !isGone
          withExtendedLifetime(witness) {}
        }
        registration = try loop.register(source, fd: a)
      }
      _ = write(b, "x", 1)
      try loop.turn(maxWaitMillis: 100)
      #expect(sawItselfAlive)
      #expect(isGone)
      #expect(loop.sourceCount == 0)
      close(a)
      close(b)
    }
  }

  @Test func deregisteringTwiceLeavesTheSlotsNewOwnerAlone() throws {
    try withLoop { loop in
      let (a, b) = try socketPair()
      let first = try loop.register(Source { _ in }, fd: a)
      loop.deregister(first, fd: a)
      var called = false
      _ = try loop.register(Source { _ in called = true }, fd: a)
      loop.deregister(first, fd: a)
      _ = write(b, "x", 1)
      try loop.turn(maxWaitMillis: 100)
      #expect(called)
      close(a)
      close(b)
    }
  }

  @Test func aDescriptorThatCannotBeWatchedIsAnErrorAndLeavesNothingBehind() throws {
    try withLoop { loop in
      #expect(throws: NetError.self) { try loop.register(Source { _ in }, fd: -1) }
      #expect(loop.sourceCount == 0)
    }
  }

  @Test func releasingEverythingFreesWhatTheSourcesHold() throws {
    let loop = try EventLoop()
    let (a, b) = try socketPair()
    let stream = try ByteStream(loop, fd: a, peer: .unix(path: ""))
    weak var probe: StreamProbe?
    do {
      let strong = StreamProbe(stream, loop)
      probe = strong
    }
    #expect(probe != nil)
    stream.close()
    #expect(probe == nil)
    loop.releaseAll()
    close(b)
  }
}

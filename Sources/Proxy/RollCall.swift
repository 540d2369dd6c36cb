internal import Net

/// Asks every worker whether its loop turns: one question at a time, so that a worker that is stuck does not find thousands when it
/// comes back.
final class RollCall {
  private let loop: EventLoop
  private let workers: [Mailbox<WorkerMessage>]
  private var unanswered: Set<Int> = []
  private var askedAt: UInt64 = 0
  private var waiting: [UInt64: () -> Void] = [:]
  private var waited: UInt64 = 0

  init(_ loop: EventLoop, _ workers: [Mailbox<WorkerMessage>]) {
    self.loop = loop
    self.workers = workers
  }

  /// Calls back when every worker has answered; while one does not, nobody is called.
  func whenAllAnswer(_ completion: @escaping () -> Void) { _ = ask(completion) }

  /// Calls back when every worker has answered, or with the milliseconds of silence of those that have not within a time.
  func answers(withinMillis millis: UInt64, _ completion: @escaping ([Int: UInt64]) -> Void) {
    var timer: TimerID?
    let loop = loop
    let place = ask {
      if let timer { loop.cancel(timer) }
      completion([:])
    }
    timer = loop.after(millis) { [unowned self] in
      waiting[place] = nil
      let silence = loop.now &- askedAt
      completion(Dictionary(uniqueKeysWithValues: unanswered.map { ($0, silence) }))
    }
  }

  /// A worker has answered.
  func answered(_ worker: Int) {
    unanswered.remove(worker)
    guard unanswered.isEmpty else { return }
    let completions = waiting.sorted { $0.key < $1.key }.map(\.value)
    waiting = [:]
    for completion in completions { completion() }
  }

  private func ask(_ completion: @escaping () -> Void) -> UInt64 {
    waited += 1
    waiting[waited] = completion
    guard unanswered.isEmpty else { return waited }
    unanswered = Set(workers.indices)
    askedAt = loop.now
    for worker in workers { worker.post(.answer) }
    return waited
  }
}

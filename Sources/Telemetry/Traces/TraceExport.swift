public import Net

/// Sends the workers' spans to a collector: on one loop.
public final class TraceExport {
  private let loop: EventLoop
  private let tracing: Tracing
  private let sender: OTLPSender
  private let slot: MailboxSlot

  /// Begins to take what the workers hand over.
  public init(_ loop: EventLoop, _ tracing: Tracing, to sender: OTLPSender) throws(NetError) {
    self.loop = loop
    self.tracing = tracing
    self.sender = sender
    slot = try tracing.mailbox.attach(to: loop) { batch in
      tracing.taken(batch.count)
      sender.offer(batch.lines, count: batch.count)
    }
  }

  /// How many spans were sent and lost.
  public static func collect(_ tracing: Tracing, _ counts: OTLPCounts, into metrics: Metrics) {
    metrics.collect {
      counts.samples + [
        Metrics.Sample(
          .otlpRecords, [MetricLabel("signal", OTLPSignal.traces.rawValue), MetricLabel("result", "dropped")],
          value: Double(tracing.droppedSpans))
      ]
    }
  }

  /// Sends what waits, for so long at most, and calls back.
  public func drain(withinMillis millis: UInt64, _ completion: @escaping () -> Void) {
    var isOver = false
    func over() {
      guard !isOver else { return }
      isOver = true
      slot.detach()
      sender.close()
      completion()
    }
    let timer = loop.after(millis) { over() }
    // What workers handed over last is delivered in the next turn.
    loop.later { [loop, sender] in
      loop.after(1) {
        sender.drain {
          loop.cancel(timer)
          over()
        }
      }
    }
  }
}

internal import Synchronization

/// How many records of a signal a collector was sent, and how many were lost.
public final class OTLPCounts: Sendable {
  private let signal: OTLPSignal
  private let sentRecords = Atomic<UInt64>(0)
  private let droppedRecords = Atomic<UInt64>(0)

  init(_ signal: OTLPSignal) { self.signal = signal }

  /// Records that the collector has.
  public var sent: UInt64 { sentRecords.load(ordering: .relaxed) }
  /// Records that were lost.
  public var dropped: UInt64 { droppedRecords.load(ordering: .relaxed) }

  /// The numbers, for `Metrics.collect`.
  public var samples: [Metrics.Sample] {
    [("sent", sent), ("dropped", dropped)].map { result, count in
      Metrics.Sample(
        .otlpRecords, [MetricLabel("signal", signal.rawValue), MetricLabel("result", result)], value: Double(count))
    }
  }

  func add(sent: Int, dropped: Int) {
    sentRecords.add(UInt64(max(sent, 0)), ordering: .relaxed)
    droppedRecords.add(UInt64(max(dropped, 0)), ordering: .relaxed)
  }
}

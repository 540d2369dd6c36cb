public import HTTP

/// Which traces are recorded: OpenTelemetry's samplers by their names there.
public struct TraceSampling: Sendable, Equatable {
  /// A sampler.
  public enum Rule: String, Sendable, CaseIterable {
    /// Every request.
    case alwaysOn = "always_on"
    /// None.
    case alwaysOff = "always_off"
    /// A part of all, whatever the caller says.
    case ratio = "traceidratio"
    /// What the caller samples; where nobody says, every request.
    case parentAlwaysOn = "parentbased_always_on"
    /// What the caller samples, and nothing else.
    case parentAlwaysOff = "parentbased_always_off"
    /// What the caller samples; where nobody says, a part.
    case parentRatio = "parentbased_traceidratio"
  }

  /// The sampler.
  public var rule: Rule
  // Traces whose lower 63 bits lie below are in the part.
  private let bound: UInt64

  /// A sampler, with the part that is sampled by those that sample a part: from 0 to 1.
  public init(_ rule: Rule = .parentAlwaysOff, ratio: Double = 1) {
    self.rule = rule
    // 2^63 is exact as a Double, and the product is below it unless everything is sampled.
    bound = ratio >= 1 ? 1 << 63 : ratio > 0 ? UInt64(ratio * 0x1p63) : 0
  }

  /// Whether a request is recorded: by what its caller says, as far as the sampler listens, and by its trace's id.
  public func samples(_ trace: (high: UInt64, low: UInt64), calledBy parent: TraceParent?) -> Bool {
    switch rule {
    case .alwaysOn: true
    case .alwaysOff: false
    case .ratio: isInPart(trace)
    case .parentAlwaysOn: parent?.isSampled ?? true
    case .parentAlwaysOff: parent?.isSampled ?? false
    case .parentRatio: parent?.isSampled ?? isInPart(trace)
    }
  }

  // As OpenTelemetry's own libraries do, so that all who sample the same part sample the same traces.
  private func isInPart(_ trace: (high: UInt64, low: UInt64)) -> Bool { trace.low >> 1 < bound }
}

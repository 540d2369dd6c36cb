internal import Synchronization

/// How often a sink of the decision log could not do what it should.
final class LogCounts: Sendable {
  /// What failed.
  enum Action: String, CaseIterable {
    /// Writing, or connecting to a socket.
    case write
    /// Beginning a file anew because it was full.
    case rotate
    /// Opening a file anew because somebody has moved it.
    case reopen
  }

  private let writes = Atomic<UInt64>(0)
  private let rotations = Atomic<UInt64>(0)
  private let reopens = Atomic<UInt64>(0)

  func countFailure(_ action: Action) {
    switch action {
    case .write: writes.add(1, ordering: .relaxed)
    case .rotate: rotations.add(1, ordering: .relaxed)
    case .reopen: reopens.add(1, ordering: .relaxed)
    }
  }

  func failures(_ action: Action) -> UInt64 {
    switch action {
    case .write: writes.load(ordering: .relaxed)
    case .rotate: rotations.load(ordering: .relaxed)
    case .reopen: reopens.load(ordering: .relaxed)
    }
  }
}

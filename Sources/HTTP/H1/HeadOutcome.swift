/// What a head parser made of the bytes so far.
public enum HeadOutcome: Equatable, Sendable {
  /// The head is not whole: keep the bytes and call again with more of them behind.
  case incomplete
  /// The head is whole and takes up this many bytes from the start.
  case complete(consumed: Int)
  /// The bytes are refused; what follows them must not be interpreted.
  case refused(HTTPRefusal)
}

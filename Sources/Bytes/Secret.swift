/// A value that may be used but never printed: interpolation, dumps and debuggers' summaries show `‹redacted›`.
public struct Secret<Value: Sendable>: Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
  /// The value itself. Whoever calls this takes it out of the envelope on purpose.
  public let exposed: Value

  /// Seals a value.
  public init(_ value: Value) { self.exposed = value }

  /// Always `‹redacted›`.
  public var description: String { "‹redacted›" }
  /// Always `‹redacted›`.
  public var debugDescription: String { description }
  /// A mirror without children.
  public var customMirror: Mirror { Mirror(self, children: [:]) }
}

/// Equality of secrets in time that depends on their length alone.
///
/// Different lengths are unequal at once: the length of a secret of ours is no secret.
public func constantTimeEquals(_ a: some Collection<UInt8>, _ b: some Collection<UInt8>) -> Bool {
  guard a.count == b.count else { return false }
  var difference: UInt8 = 0
  var other = b.makeIterator()
  for byte in a { difference |= byte ^ (other.next() ?? 0) }
  return difference == 0
}

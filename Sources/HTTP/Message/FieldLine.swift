/// One field line of a message head, RFC 9112 §5: where its name and its value lie in the head's bytes.
public struct FieldLine: Sendable {
  /// What is known of a line beyond its name.
  struct Traits: OptionSet, Sendable {
    let rawValue: UInt8
    /// The line ends here: a standard connection field, one that `Connection` names (RFC 9110 §7.6.1), or an alias of a
    /// known name (`Content_Length`).
    static let hopByHop = Traits(rawValue: 1)
  }

  var nameOffset: UInt32
  var valueOffset: UInt32
  var valueLength: UInt32
  var nameLength: UInt16
  /// The name, where it is one of the known ones.
  public internal(set) var known: KnownField
  var traits: Traits

  /// Where the name lies in the head's bytes.
  public var name: Range<Int> { Int(nameOffset)..<Int(nameOffset) + Int(nameLength) }
  /// Where the value lies in the head's bytes, without the white space around it.
  public var value: Range<Int> { Int(valueOffset)..<Int(valueOffset) + Int(valueLength) }
  /// Whether the line is for this connection only and does not reach the next hop.
  public var isHopByHop: Bool { traits.contains(.hopByHop) }
  /// Whether the line is part of what is decided on: it is for the next hop too, and is no forwarding field, which nobody
  /// is believed and which is written anew.
  public var isEvaluated: Bool { !isHopByHop && known.bit & KnownField.forwarding == 0 }
}

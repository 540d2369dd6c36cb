/// Where the parse of an incomplete head stopped, so that the next call goes on there: a client that sends byte by byte
/// costs what one that sends at once does.
struct HeadProgress: Sendable {
  enum Phase: UInt8, Sendable { case start, startLine, fields }
  var phase = Phase.start
  /// Where the start line begins: after the one empty line that may stand before it.
  var origin = 0
  /// Where the current line begins.
  var line = 0
  /// Up to where the current line's value (or target) is known to be good; 0 if its name is not whole.
  var scanned = 0
  /// Where the current line's name ends, if `scanned` is not 0.
  var nameEnd = 0
  /// Whether the current name has a byte that some servers read as `-`.
  var aliasing = false
}

internal import Bytes

/// Lays policy text out as the reference's formatter does: the same bytes for the same text, width and indent
/// (spec: Cedar formatter). Comments are kept.
public enum PolicyFormatter {
  /// How to lay out.
  public struct Options: Sendable {
    /// The columns of a line that is not to be exceeded where it can be avoided.
    public var width: Int
    /// By how many columns inner lines are indented.
    public var indent: Int
    /// The reference drops the comments at a trailing comma together with the comma; true keeps them, the one difference.
    public var keepsEveryComment: Bool

    /// Options; widths and indents beyond a million are taken as a million.
    public init(width: Int = 80, indent: Int = 2, keepsEveryComment: Bool = true) {
      self.width = min(max(width, 0), 1_000_000)
      self.indent = min(max(indent, 0), 1_000)
      self.keepsEveryComment = keepsEveryComment
    }
  }

  /// Lays out tokens that are known to be valid policies.
  static func format(source: [UInt8], tokens: [Token], options: Options) throws(PolicyLayout.NotAPolicy) -> [UInt8] {
    var layout = PolicyLayout(source: source, tokens: tokens, options: options)
    var out: [UInt8] = []
    while let policy = try layout.next() {
      if !out.isEmpty { out.append(contentsOf: [ASCII.lf, ASCII.lf]) }
      out.append(contentsOf: BlankLines.removed(from: policy))
    }
    out.append(ASCII.lf)
    for comment in layout.closing {
      out.append(contentsOf: source[comment])
      out.append(ASCII.lf)
    }
    return out
  }
}

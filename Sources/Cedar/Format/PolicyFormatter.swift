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

    /// Options; widths are at most a million, indents at most a hundred.
    public init(width: Int = 80, indent: Int = 2, keepsEveryComment: Bool = true) {
      self.width = min(max(width, 0), 1_000_000)
      self.indent = min(max(indent, 0), 100)
      self.keepsEveryComment = keepsEveryComment
    }
  }

  /// Lays out the policies of a text. The outcome is read again and has the same tokens in the same order.
  ///
  /// - Throws: every mistake of the text.
  public static func format(_ text: String, options: Options = Options()) throws(ParseErrors) -> String {
    // Members may have been set to anything since.
    let options = Options(width: options.width, indent: options.indent, keepsEveryComment: options.keepsEveryComment)
    let source = Array(text.utf8)
    _ = try PolicyParser.parse(source)
    let tokens = Lexer.tokens(source).tokens
    do {
      let out = try format(source: source, tokens: tokens, options: options)
      guard Self.isSame(tokens, source, Lexer.tokens(out).tokens, out) else { throw PolicyLayout.NotAPolicy() }
      return String(decoding: out, as: UTF8.self)
    } catch {
      throw ParseErrors([ParseError("internal error: the formatter would change these policies", at: SourceSpan(0, source.count))])
    }
  }

  /// Whether two texts have the same tokens, trailing commas of the first and leading zeros aside.
  private static func isSame(_ before: [Token], _ source: [UInt8], _ after: [Token], _ out: [UInt8]) -> Bool {
    var index = 0
    for (place, token) in before.enumerated() {
      if token.kind == .comma, place + 1 < before.count {
        switch before[place + 1].kind {
        case .rightParen, .rightBracket, .rightBrace: continue
        default: break
        }
      }
      guard index < after.count, after[index].kind == token.kind else { return false }
      var was = source[token.span.start..<token.span.end]
      let now = out[after[index].span.start..<after[index].span.end]
      if token.kind == .number { was = was.dropLast().drop { $0 == UInt8(ascii: "0") } + was.suffix(1) }
      guard was.elementsEqual(now) else { return false }
      index += 1
    }
    return index == after.count
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

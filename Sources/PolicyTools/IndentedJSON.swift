internal import Bytes

/// Compact JSON spread over lines for people to read.
enum IndentedJSON {
  /// The text indented by two, ended by a newline. The bytes are valid JSON without white space between tokens.
  static func text(of compact: [UInt8]) -> String {
    var out: [UInt8] = []
    out.reserveCapacity(compact.count * 2)
    var depth = 0
    var isInString = false
    var at = 0
    // Deeper than this, lines are not indented further: a long chain would grow quadratically.
    func newline() {
      out.append(ASCII.lf)
      out.append(contentsOf: repeatElement(ASCII.space, count: 2 * min(depth, 64)))
    }
    while at < compact.count {
      let byte = compact[at]
      out.append(byte)
      at += 1
      if isInString {
        if byte == ASCII.backslash, at < compact.count {
          out.append(compact[at])
          at += 1
        } else if byte == ASCII.quote {
          isInString = false
        }
        continue
      }
      switch byte {
      case ASCII.quote: isInString = true
      case UInt8(ascii: "{"), UInt8(ascii: "["):
        if at < compact.count, compact[at] == byte + 2 {
          // Empty: `{` and `}`, `[` and `]` are two apart.
          out.append(compact[at])
          at += 1
        } else {
          depth += 1
          newline()
        }
      case UInt8(ascii: "}"), UInt8(ascii: "]"):
        out.removeLast()
        depth -= 1
        newline()
        out.append(byte)
      case UInt8(ascii: ","): newline()
      case UInt8(ascii: ":"): out.append(ASCII.space)
      default: break
      }
    }
    out.append(ASCII.lf)
    return String(decoding: out, as: UTF8.self)
  }
}

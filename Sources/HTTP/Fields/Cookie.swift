internal import Bytes

/// The `Cookie` field, RFC 6265 §4.2 and §5.4: pairs parted at `;`, names and values as the bytes they are.
public enum Cookie {
  /// The values of all cookies with a name, in the order received, white space around them removed and quotes kept.
  ///
  /// Names are compared by bytes, with case. Pieces without `=` or without a name are no cookies. Whoever wants one
  /// credential refuses more than one value: servers differ on which of them counts.
  public static func values(named name: String, in fields: borrowing FieldSection) -> [[UInt8]] {
    var out: [[UInt8]] = []
    guard fields.has(.cookie) else { return out }
    for line in fields.lines where line.known == .cookie {
      fields.withBytes(line.value) { value in
        forEach(in: value) { found, text in
          if found.elementsEqual(name.utf8) { out.append(Array(text)) }
        }
      }
    }
    return out
  }

  /// The pairs of one field value, in order.
  public static func pairs(_ value: UnsafeRawBufferPointer) -> [(name: String, value: String)] {
    var out: [(name: String, value: String)] = []
    forEach(in: value) { out.append((String(decoding: $0, as: UTF8.self), String(decoding: $1, as: UTF8.self))) }
    return out
  }

  private static func forEach(
    in value: UnsafeRawBufferPointer, _ body: (Slice<UnsafeRawBufferPointer>, Slice<UnsafeRawBufferPointer>) -> Void
  ) {
    for piece in value.split(separator: UInt8(ascii: ";")) {
      guard let equals = piece.firstIndex(of: UInt8(ascii: "=")) else { continue }
      let name = piece[piece.startIndex..<equals].trimmed
      guard !name.isEmpty else { continue }
      body(name, piece[(equals + 1)..<piece.endIndex].trimmed)
    }
  }
}
